/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* How an attempt fails: S4. */

#include "session-util.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <unistd.h>

/* ---- an address that fails as it is told ------------------------------------------------------------------------- */

typedef struct
{
  GSocketAddressEnumerator parent;
  GQuark domain;
  int    code;
} FailingEnumerator;
typedef GSocketAddressEnumeratorClass FailingEnumeratorClass;
static GType failing_enumerator_get_type (void);
G_DEFINE_TYPE (FailingEnumerator, failing_enumerator, G_TYPE_SOCKET_ADDRESS_ENUMERATOR)

static GSocketAddress *
failing_enumerator_next (GSocketAddressEnumerator  *enumerator,
                         GCancellable              *cancellable,
                         GError                   **error)
{
  FailingEnumerator *self = (FailingEnumerator *) enumerator;

  g_set_error (error, self->domain, self->code, "the root cause");
  return NULL;
}

static void
failing_enumerator_class_init (FailingEnumeratorClass *klass)
{
  klass->next = failing_enumerator_next;
}

static void
failing_enumerator_init (FailingEnumerator *self)
{
}

typedef struct
{
  GObject parent;
  GQuark  domain;
  int     code;
} FailingAddress;
typedef GObjectClass FailingAddressClass;
static GType failing_address_get_type (void);

static GSocketAddressEnumerator *
failing_address_enumerate (GSocketConnectable *connectable)
{
  FailingAddress *self = (FailingAddress *) connectable;
  FailingEnumerator *enumerator = g_object_new (failing_enumerator_get_type (), NULL);

  enumerator->domain = self->domain;
  enumerator->code = self->code;
  return G_SOCKET_ADDRESS_ENUMERATOR (enumerator);
}

static char *
failing_address_to_string (GSocketConnectable *connectable)
{
  return g_strdup ("nowhere");
}

static void
failing_address_iface_init (GSocketConnectableIface *iface)
{
  iface->enumerate = failing_address_enumerate;
  iface->proxy_enumerate = failing_address_enumerate;
  iface->to_string = failing_address_to_string;
}

G_DEFINE_TYPE_WITH_CODE (FailingAddress, failing_address, G_TYPE_OBJECT,
                         G_IMPLEMENT_INTERFACE (G_TYPE_SOCKET_CONNECTABLE, failing_address_iface_init))

static void
failing_address_class_init (FailingAddressClass *klass)
{
}

static void
failing_address_init (FailingAddress *self)
{
}

/* ---- S4: the cause ----------------------------------------------------------------------------------------------- */

static void
connect_in_vain (LineProtocol       *protocol,
                 GSocketConnectable *address,
                 GError            **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), address, NULL, test_slot_callback, &slot);
  g_assert_false (finish_connect (protocol, &slot, error));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));
}

static void
test_root_cause_of_connection (void)
{
  const struct
  {
    GQuark domain;
    int    code;
  } causes[] = {
    { G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE },
    { G_IO_ERROR, G_IO_ERROR_TIMED_OUT },
    { G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND },
    { G_TLS_ERROR, G_TLS_ERROR_HANDSHAKE },
    { AQMP_ERROR, AQMP_ERROR_FAILED },
  };
  LineProtocol *protocol = line_protocol_new ();
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (causes); i++)
    {
      g_autoptr (GObject) address = g_object_new (failing_address_get_type (), NULL);
      g_autoptr (GError) error = NULL;

      ((FailingAddress *) address)->domain = causes[i].domain;
      ((FailingAddress *) address)->code = causes[i].code;
      connect_in_vain (protocol, G_SOCKET_CONNECTABLE (address), &error);
      g_assert_error (error, causes[i].domain, causes[i].code);
      g_assert_cmpstr (error->message, ==, "Could not establish the connection to “nowhere”: the root cause");
    }

  check_usable (protocol);
  end_object (&protocol);
}

/* ---- a resolver that knows nobody -------------------------------------------------------------------------------- */

typedef GResolver IgnorantResolver;
typedef GResolverClass IgnorantResolverClass;
static GType ignorant_resolver_get_type (void);
G_DEFINE_TYPE (IgnorantResolver, ignorant_resolver, G_TYPE_RESOLVER)

static void
ignorant_resolver_lookup_async (GResolver                *resolver,
                                const char               *hostname,
                                GResolverNameLookupFlags  flags,
                                GCancellable             *cancellable,
                                GAsyncReadyCallback       callback,
                                gpointer                  user_data)
{
  g_autoptr (GTask) task = g_task_new (resolver, cancellable, callback, user_data);

  g_task_return_new_error (task, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "nobody knows %s", hostname);
}

static GList *
ignorant_resolver_lookup_finish (GResolver     *resolver,
                                 GAsyncResult  *result,
                                 GError       **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
ignorant_resolver_class_init (IgnorantResolverClass *klass)
{
  klass->lookup_by_name_with_flags_async = ignorant_resolver_lookup_async;
  klass->lookup_by_name_with_flags_finish = ignorant_resolver_lookup_finish;
}

static void
ignorant_resolver_init (IgnorantResolver *self)
{
}

static void
test_name_that_does_not_resolve (void)
{
  g_autoptr (GResolver) usual = g_resolver_get_default ();
  g_autoptr (GResolver) ignorant = g_object_new (ignorant_resolver_get_type (), NULL);
  g_autoptr (GSocketConnectable) address = g_network_address_new ("vm.invalid", 4444);
  LineProtocol *protocol = line_protocol_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  g_resolver_set_default (ignorant);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), address, NULL, test_slot_callback, &slot);
  g_assert_false (finish_connect (protocol, &slot, &error));
  g_resolver_set_default (usual);
  assert_error_like (error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND,
                     "Could not establish the connection to “vm.invalid:4444”: *nobody knows vm.invalid");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_nobody_listens (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "nobody.sock");
  g_autoptr (GSocketConnectable) address = aqmp_address_parse (path, NULL);
  g_autofree char *pattern = g_strdup_printf ("Could not establish the connection to “%s”: ?*", path);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  connect_in_vain (protocol, address, &error);
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, pattern);
  check_usable (protocol);
  end_object (&protocol);
}

static void
fail_otherwise (LineProtocol *protocol,
                gpointer      user_data)
{
  aqmp_protocol_fail (AQMP_PROTOCOL (protocol), user_data);
}

static void
test_root_cause_of_session (void)
{
  GError causes[] = {
    { G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, (char *) "the root cause" },
    { G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, (char *) "the root cause" },
    { AQMP_ERROR, AQMP_ERROR_GREETING, (char *) "the root cause" },
  };
  LineProtocol *protocol = line_protocol_new ();
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (causes); i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GError) error = NULL;

      line_protocol_when (protocol, LINE_ESTABLISH_SESSION, NULL, fail_otherwise, &causes[i], LINE_DROP_TASK);
      g_assert_false (open_session (protocol, &peer, &error));
      g_assert_error (error, causes[i].domain, causes[i].code);
      g_assert_cmpstr (error->message, ==, "Could not establish the session: the root cause");
      peer_expect_eof (&peer);
    }

  check_usable (protocol);
  end_object (&protocol);
}

static void
test_peer_leaves_while_establishing (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  mock_expect_bytes (mock, "hi\n", -1);
  mock_close (mock);
  g_assert_false (connect_session (protocol, mock, NULL, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "Could not establish the session: *closed*");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_closed_stream (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_io_stream_close (stream, NULL, NULL);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &slot);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "Could not establish the connection: *closed*");
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- S4: cancelled ----------------------------------------------------------------------------------------------- */

static void
test_cancelled_before (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  connect_session (protocol, mock, cancellable, &error);
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
  g_assert_cmpuint (mock_get_n_accepted (mock), ==, 0);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_cancelled_while_connecting (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_fill_backlog (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), cancellable, test_slot_callback, &slot);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_connect (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_cancelled_while_establishing (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, cancellable, &slot);
  peer_expect (&peer, "hi\n");
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
  peer_expect_eof (&peer);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish out(hi) ended(failed) disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

/* The session is there: it stays, whatever happens to the cancellable of the attempt. */
static void
test_cancelled_afterwards (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  start_open (protocol, &peer, cancellable, &slot);
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  g_cancellable_cancel (cancellable);
  test_dispatch_pending ();
  line_protocol_send (protocol, "ping");
  peer_expect (&peer, "ping\n");
  end_session (&protocol);
}

/* ---- S4: in time ------------------------------------------------------------------------------------------------- */

static void
test_full_backlog_is_tried_again (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_fill_backlog (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));

  mock_drain_backlog (mock);
  mock_accept (mock);
  mock_expect_eof (mock);
  finish_connect (protocol, &slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
}

static void
test_full_backlog_until_timeout (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autofree char *pattern = g_strdup_printf ("Could not establish the connection to “%s”: *70 ms", mock_get_path (mock));
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  gint64 before = g_get_monotonic_time ();

  mock_fill_backlog (mock);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 70);
  g_assert_false (connect_session (protocol, mock, NULL, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, pattern);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 70 * 1000);
  check_usable (protocol);
  end_object (&protocol);
}

static gboolean
set_flag (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

/* Who has given up does not come later all the same: a server of QMP has room for one only. */
static void
test_full_backlog_given_up (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  gboolean waited = FALSE;

  mock_fill_backlog (mock);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 30);
  g_assert_false (connect_session (protocol, mock, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  mock_drain_backlog (mock);
  g_timeout_add (100, set_flag, &waited);
  test_wait_until (waited);

  mock_accept (mock);
  mock_expect_bytes (mock, "hi\n", -1);
  mock_close (mock);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 0);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  g_assert_false (connect_session (protocol, mock, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  end_object (&protocol);
}

static void
test_silent_peer (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  gint64 before = g_get_monotonic_time ();

  mock_expect_bytes (mock, "hi\n", -1);
  mock_expect_eof (mock);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 50);
  g_assert_false (connect_session (protocol, mock, NULL, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: *50 ms*");
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 50 * 1000);
  check_usable (protocol);
  end_object (&protocol);
}

/* The time runs from the call, not from when there was a connection. */
static void
test_timeout_spans_both_phases (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_fill_backlog (mock);
  mock_delay (mock, 60);
  mock_drain_backlog (mock);
  mock_accept (mock);
  mock_expect_bytes (mock, "hi\n", -1);
  mock_expect_eof (mock);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), (guint) (400 * test_timeout_scale ()));
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  wait_trace (protocol, "establish");
  g_assert_false (finish_connect (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: *");
  end_object (&protocol);
}

static gboolean
go_on (gpointer unused)
{
  return G_SOURCE_CONTINUE;
}

static void
test_no_timeout_once_running (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GSource) later = NULL;
  gint64 before;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 200);
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);

  /* Time that has to pass, or there would be nothing to see. */
  before = g_get_monotonic_time ();
  later = g_timeout_source_new (250);
  g_source_set_callback (later, go_on, NULL, NULL);
  g_source_attach (later, NULL);
  test_wait_until (g_get_monotonic_time () - before >= 250 * 1000);
  g_source_destroy (later);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  end_session (&protocol);
}

/* ---- S4: usable again -------------------------------------------------------------------------------------------- */

static void
test_usable_after_each_failure (void)
{
  static const LineResult results[] = { LINE_RAISE, LINE_NOTHING, LINE_DROP_TASK, LINE_RETURN_ERROR, LINE_RETURN_FALSE };
  LineProtocol *protocol = line_protocol_new ();
  gsize i;

  for (i = 0; i < 3 * G_N_ELEMENTS (results); i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GError) error = NULL;

      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, results[i % G_N_ELEMENTS (results)]);
      g_assert_false (open_session (protocol, &peer, &error));
      g_assert_nonnull (error);
      peer_expect_eof (&peer);
      check_usable (protocol);
    }
  end_object (&protocol);
}

static void
test_no_descriptor_is_left (void)
{
  LineProtocol *protocol = line_protocol_new ();
  guint before;
  guint i;

  check_usable (protocol);
  before = test_count_fds ();
  for (i = 0; i < 20; i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GError) error = NULL;

      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_RAISE);
      g_assert_false (open_session (protocol, &peer, &error));
    }
  g_assert_cmpuint (test_count_fds (), ==, before);
  end_object (&protocol);
}

/* ---- what happens within the call -------------------------------------------------------------------------------- */

/* To a UNIX socket a client is connected within the call, but nothing that a subclass has of its own is called there. */
static void
test_virtual_functions_come_later (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_accept (mock);
  mock_expect_eof (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting");
  finish_connect (protocol, &slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
}

static void
test_client_is_connected_within_the_call (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);

  mock_accept (mock);
  mock_expect_eof (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  g_assert_nonnull (aqmp_protocol_get_stream (AQMP_PROTOCOL (client)));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_CONNECTING);
  g_object_run_dispose (G_OBJECT (client));
  test_wait_until (test_slot_is_done (&slot));
}

typedef struct
{
  GSocketConnectable *address;  /* (unowned) */
  guint               n_tries;
  guint               depth;    /* calls inside each other */
} Retrying;

static void
try_again (AqmpProtocol *protocol,
           AqmpRunstate  runstate,
           Retrying     *self)
{
  if (runstate != AQMP_RUNSTATE_IDLE || self->n_tries == 10)
    return;

  g_assert_cmpuint (self->depth, ==, 0);
  self->n_tries++;
  self->depth++;
  aqmp_protocol_connect_async (protocol, self->address, NULL, NULL, NULL);
  g_assert_cmpint (aqmp_protocol_get_runstate (protocol), ==, AQMP_RUNSTATE_CONNECTING);
  self->depth--;
}

/* Whoever tries again at once what fails at once comes back to the main loop between two tries. */
static void
test_trying_again_at_once (void)
{
  g_autofree char *name = g_strdup_printf ("aqmp-test-%d-trying-again", (int) getpid ());
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new_with_type (name, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  g_autoptr (GError) error = NULL;
  LineProtocol *protocol = line_protocol_new ();
  Retrying retrying = { G_SOCKET_CONNECTABLE (address), 0, 0 };

  /* Nobody accepts; there is room for all tries. */
  g_socket_listener_set_backlog (listener, 32);
  g_socket_listener_add_address (listener, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, &error);
  g_assert_no_error (error);

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_RAISE);
  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (try_again), &retrying);
  try_again (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_IDLE, &retrying);
  test_wait_until (retrying.n_tries == 10 &&
                   aqmp_protocol_get_runstate (AQMP_PROTOCOL (protocol)) == AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/connect/virtual-functions-come-later", test_virtual_functions_come_later);
  g_test_add_func ("/protocol/connect/client-is-connected-within-the-call", test_client_is_connected_within_the_call);
  g_test_add_func ("/protocol/connect/trying-again-at-once", test_trying_again_at_once);

  g_test_add_func ("/protocol/S4/connection-keeps-domain-and-code-of-the-cause", test_root_cause_of_connection);
  g_test_add_func ("/protocol/S4/name-that-does-not-resolve", test_name_that_does_not_resolve);
  g_test_add_func ("/protocol/S4/nobody-listens", test_nobody_listens);
  g_test_add_func ("/protocol/S4/session-keeps-domain-and-code-of-the-cause", test_root_cause_of_session);
  g_test_add_func ("/protocol/S4/peer-leaves-while-establishing", test_peer_leaves_while_establishing);
  g_test_add_func ("/protocol/S4/closed-stream", test_closed_stream);
  g_test_add_func ("/protocol/S4/cancelled-before-the-call", test_cancelled_before);
  g_test_add_func ("/protocol/S4/cancelled-while-connecting-is-unprefixed", test_cancelled_while_connecting);
  g_test_add_func ("/protocol/S4/cancelled-while-establishing-is-unprefixed", test_cancelled_while_establishing);
  g_test_add_func ("/protocol/S4/cancelled-afterwards-does-not-matter", test_cancelled_afterwards);
  g_test_add_func ("/protocol/S4/full-backlog-is-tried-again", test_full_backlog_is_tried_again);
  g_test_add_func ("/protocol/S4/full-backlog-until-connect-timeout", test_full_backlog_until_timeout);
  g_test_add_func ("/protocol/S4/full-backlog-given-up", test_full_backlog_given_up);
  g_test_add_func ("/protocol/S4/silent-peer-until-connect-timeout", test_silent_peer);
  g_test_add_func ("/protocol/S4/connect-timeout-spans-both-phases", test_timeout_spans_both_phases);
  g_test_add_func ("/protocol/S4/connect-timeout-ends-with-the-attempt", test_no_timeout_once_running);
  g_test_add_func ("/protocol/S4/usable-after-each-failure", test_usable_after_each_failure);
  g_test_add_func ("/protocol/S4/no-descriptor-is-left", test_no_descriptor_is_left);

  return g_test_run ();
}
