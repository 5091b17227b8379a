/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T2, T3: one object and many threads: whose the next session is, and what others have done while the owner blocks. */

#include "client-util.h"
#include "echo-peer.h"
#include "owner-util.h"
#include "session-util.h"

#include <gio/gunixsocketaddress.h>

#define N_EVENTS 10

/* --- What was deferred -------------------------------------------------------------------------------------------- */

/* Of two owners, one after the other. */
typedef struct
{
  AqmpClient *client;
  GThread    *first;      /* (unowned) */
  GMainContext *context;  /* (owned): the second one's */
  GIOStream  *stream;     /* (owned): for the second one */
  EchoPeer   *peer;
  gint        taken;      /* atomic: the second one has the session */
  gint        ended;      /* atomic */
  gint        n_first;    /* atomic: events that were told in each thread */
  guint       n_second;
} Heritage;

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Heritage   *heritage)
{
  if (g_thread_self () == heritage->first)
    {
      g_atomic_int_inc (&heritage->n_first);
      g_assert_false (g_atomic_int_get (&heritage->taken));
      return;
    }

  /* In order, and the other session's are not among them. */
  g_assert_cmpint (json_object_get_int_member (aqmp_event_get_data (event), "n"), ==, ++heritage->n_second);
}

static gpointer
inherit (gpointer data)
{
  Heritage *heritage = data;
  guint i;

  g_main_context_push_thread_default (heritage->context);
  g_assert_true (owner_try_open (heritage->client, heritage->stream));
  g_atomic_int_set (&heritage->taken, TRUE);
  for (i = 0; i < 200; i++)
    owner_check_call (heritage->client, "event");
  g_assert_cmpuint (heritage->n_second, ==, 0);
  test_wait_until (heritage->n_second == i);
  owner_check_disconnect (heritage->client);
  g_main_context_pop_thread_default (heritage->context);
  g_atomic_int_set (&heritage->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* @n_events: deferred by the first one; none of them is told before the second one has taken over */
static void
bequeath (Heritage *heritage,
          guint     n_events)
{
  EchoPeer *peer;
  GThread *thread;
  guint i;

  *heritage = (Heritage) {
    .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST),
    .first = g_thread_self (),
    .context = g_main_context_new (),
  };
  g_signal_connect (heritage->client, "event", G_CALLBACK (on_event), heritage);
  for (i = 0; i < n_events; i++)
    owner_check_call (heritage->client, "event");
  owner_check_disconnect (heritage->client);
  echo_peer_free (peer);

  heritage->peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &heritage->stream);
  thread = g_thread_new ("heir", inherit, heritage);
  wait_elsewhere (g_atomic_int_get (&heritage->taken));
  test_wait_until (g_atomic_int_get (&heritage->ended));
  g_thread_join (thread);

  g_assert_cmpint (heritage->n_first, ==, 0);
  owner_free_peer (heritage->peer, heritage->stream);
  g_main_context_unref (heritage->context);
  owner_check_session (heritage->client);
  owner_end_client (heritage->client);
}

static void
test_deferred_events_stay_behind (void)
{
  guint n_rounds = test_scale_down (50);
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      g_autoptr (TestLog) log = test_log_start ();
      Heritage heritage;

      bequeath (&heritage, N_EVENTS);
      g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "dropped 10 handlers"), ==, 1);
      g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK, NULL, "dropped"), ==, 1);
    }
}

static void
test_nothing_deferred_is_no_loss (void)
{
  g_autoptr (TestLog) log = test_log_start ();
  Heritage heritage;

  bequeath (&heritage, 0);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK, NULL, "dropped"), ==, 0);
}

/* A callback is never lost: it is called where the call was made, whoever has the object by then. */
static void
test_deferred_callback_is_called_all_the_same (void)
{
  g_autoptr (TestLog) log = test_log_start ();
  Heritage heritage = { .first = g_thread_self (), .context = g_main_context_new () };
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  EchoPeer *peer;
  AqmpClient *client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST);
  g_autofree char *reply = NULL;
  GThread *thread;
  g_autoptr (GError) error = NULL;

  test_start (client, "t", NULL, &slot);
  owner_check_call (client, "t");
  owner_check_disconnect (client);
  echo_peer_free (peer);
  g_assert_false (test_slot_is_done (&slot));

  heritage.client = client;
  heritage.peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &heritage.stream);
  g_signal_connect (client, "event", G_CALLBACK (on_event), &heritage);
  thread = g_thread_new ("heir", inherit, &heritage);
  wait_elsewhere (g_atomic_int_get (&heritage.taken));
  reply = test_finish (&slot, &error);
  g_assert_no_error (error);
  g_assert_nonnull (reply);
  test_wait_until (g_atomic_int_get (&heritage.ended));
  g_thread_join (thread);

  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK, NULL, "dropped"), ==, 0);
  owner_free_peer (heritage.peer, heritage.stream);
  g_main_context_unref (heritage.context);
  owner_end_client (client);
}

/* A handler of the last session is still running. */
typedef struct
{
  AqmpClient *client;
  gint        telling;  /* atomic */
  gint        refused;  /* atomic */
} Telling;

static void
on_event_wait (AqmpClient *client,
               AqmpEvent  *event,
               Telling    *telling)
{
  g_atomic_int_set (&telling->telling, TRUE);
  wait_elsewhere (g_atomic_int_get (&telling->refused));
}

static gpointer
try_while_telling (gpointer data)
{
  Telling *telling = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  GIOStream *stream;
  EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);

  g_main_context_push_thread_default (context);
  wait_elsewhere (g_atomic_int_get (&telling->telling));
  g_assert_false (owner_try_open (telling->client, stream));
  g_atomic_int_set (&telling->refused, TRUE);
  owner_open_at_last (telling->client, stream);
  owner_check_call (telling->client, "t");
  owner_check_disconnect (telling->client);
  g_main_context_pop_thread_default (context);
  owner_free_peer (peer, stream);
  return NULL;
}

static void
test_not_before_handlers_have_returned (void)
{
  EchoPeer *peer;
  Telling telling = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST) };
  GThread *thread = g_thread_new ("heir", try_while_telling, &telling);

  g_signal_connect (telling.client, "event", G_CALLBACK (on_event_wait), &telling);
  owner_check_call (telling.client, "event");
  owner_check_disconnect (telling.client);
  echo_peer_free (peer);
  test_wait_until (g_atomic_int_get (&telling.telling));
  g_thread_join (thread);
  owner_check_session (telling.client);
  owner_end_client (telling.client);
}

/* --- While the owner blocks --------------------------------------------------------------------------------------- */

typedef struct _Visit Visit;

typedef gboolean (*VisitFunc) (Visit   *visit,
                               GError **error);

/* What another thread does once the owner's call has been sent. */
struct _Visit
{
  AqmpClient *client;
  EchoPeer   *peer;
  VisitFunc   func;
  gboolean    succeeded;
  GError     *error;       /* (owned) (nullable) */
};

static gpointer
visit_owner (gpointer data)
{
  Visit *visit = data;
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  wait_elsewhere (echo_peer_get_n_silent (visit->peer) == 1);
  visit->succeeded = visit->func (visit, &visit->error);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static gboolean
disconnect_owner (Visit   *visit,
                     GError **error)
{
  return aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (visit->client), NULL, error);
}

static gboolean
disconnect_asynchronously (Visit   *visit,
                           GError **error)
{
  return test_disconnect (visit->client, error);
}

static gboolean
fail_session (Visit   *visit,
              GError **error)
{
  g_autoptr (GError) cause = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "enough of it");

  aqmp_protocol_fail (AQMP_PROTOCOL (visit->client), cause);
  return TRUE;
}

/* No time limit anywhere, and no loop until both of them have ended. @raw: in the raw form */
static void
check_end_of_silence (VisitFunc func,
                      gboolean  raw)
{
  Visit visit = { .func = func };
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GBytes) bytes = NULL;
  GThread *thread;
  g_autoptr (GError) error = NULL;

  visit.client = echo_peer_open (&visit.peer, ECHO_PEER_SILENT_AT_FIRST);
  thread = g_thread_new ("visitor", visit_owner, &visit);
  if (raw)
    bytes = aqmp_client_execute_raw_sync (visit.client, "{\"execute\":\"silent\"}", NULL, NULL, &error);
  else
    node = aqmp_client_execute_sync (visit.client, "silent", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_true (node == NULL && bytes == NULL);
  g_clear_error (&error);
  g_thread_join (thread);
  g_assert_no_error (visit.error);
  g_assert_true (visit.succeeded);

  if (func == fail_session)
    {
      g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (visit.client)), ==, AQMP_RUNSTATE_DISCONNECTING);
      g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (visit.client), NULL, &error));
      test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "enough of it");
    }
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (visit.client)), ==, AQMP_RUNSTATE_IDLE);
  echo_peer_free (visit.peer);
  owner_check_session (visit.client);
  owner_end_client (visit.client);
}

static void
test_end_of_silence (gconstpointer func)
{
  guint n_rounds = test_scale_down (50);
  guint i;

  for (i = 0; i < n_rounds; i++)
    check_end_of_silence ((VisitFunc) func, i % 2 == 1);
}

/* The peer reads nothing at all: the owner, inside its call, is the one to see that the time for it is over. */
static gpointer
disconnect_in_vain (gpointer client)
{
  g_autoptr (GError) error = NULL;

  wait_elsewhere (aqmp_protocol_get_queued_bytes (client) > 0);
  g_assert_false (aqmp_protocol_disconnect_sync (client, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  return NULL;
}

static void
test_flush_timeout_elsewhere (void)
{
  AqmpClient *client = echo_peer_new_client (ECHO_PEER_SILENT_AT_FIRST);
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  g_autofree char *big = g_strnfill (4 * 1000 * 1000, 'x');
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_autoptr (JsonNode) node = NULL;
  GThread *thread;
  g_autoptr (GError) error = NULL;

  json_object_set_string_member (arguments, "big", big);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 30);
  g_assert_true (owner_try_open (client, stream));
  thread = g_thread_new ("visitor", disconnect_in_vain, client);
  node = aqmp_client_execute_sync (client, "big", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_thread_join (thread);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 5000);
  owner_check_session (client);
  owner_end_client (client);
}

/* What another thread does and what does not end the session: then it lets the owner go. */
static gboolean
open_gate (Visit   *visit,
           GError **error)
{
  owner_check_call (visit->client, "open");
  return TRUE;
}

static gboolean
flush_and_open_gate (Visit   *visit,
                     GError **error)
{
  guint i;

  for (i = 0; i < 5; i++)
    {
      g_autoptr (JsonObject) arguments = json_object_new ();
      g_autofree char *big = g_strnfill (300 * 1000, 'x');
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autofree char *reply = NULL;

      json_object_set_string_member (arguments, "big", big);
      aqmp_client_execute_async (visit->client, "t", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &slot);
      if (!aqmp_protocol_flush_sync (AQMP_PROTOCOL (visit->client), NULL, error))
        return FALSE;
      g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (visit->client)), ==, 0);
      reply = test_finish (&slot, error);
      if (reply == NULL)
        return FALSE;
    }
  return open_gate (visit, error);
}

static gboolean
begin_and_open_gate (Visit   *visit,
                     GError **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (visit->client);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new ("/nonexistent/s");
  GIOStream *stream;
  EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);
  GError *errors[4] = { NULL };
  guint i;

  g_assert_false (aqmp_protocol_accept_sync (protocol, NULL, &errors[0]));
  g_assert_false (aqmp_protocol_open_sync (protocol, stream, NULL, &errors[1]));
  g_assert_false (aqmp_protocol_connect_sync (protocol, G_SOCKET_CONNECTABLE (address), NULL, &errors[2]));
  g_assert_false (aqmp_protocol_start_server_and_accept_sync (protocol, address, NULL, &errors[3]));
  for (i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      test_assert_error (errors[i], AQMP_ERROR, AQMP_ERROR_STATE, "“running”");
      g_clear_error (&errors[i]);
    }
  owner_free_peer (peer, stream);
  return open_gate (visit, error);
}

static void
test_owner_is_not_disturbed (gconstpointer func)
{
  guint n_rounds = test_scale_down (20);
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      Visit visit = { .func = (VisitFunc) func };
      GThread *thread;

      visit.client = echo_peer_open (&visit.peer, ECHO_PEER_SILENT_AT_FIRST);
      thread = g_thread_new ("visitor", visit_owner, &visit);
      owner_check_call (visit.client, "gate");
      g_thread_join (thread);
      g_assert_no_error (visit.error);
      g_assert_true (visit.succeeded);
      owner_check_disconnect (visit.client);
      echo_peer_free (visit.peer);
      owner_end_client (visit.client);
    }
}

/* --- While the owner begins a session ----------------------------------------------------------------------------- */

typedef enum
{
  BEGIN_BY_OPEN,
  BEGIN_BY_ACCEPT,
  BEGIN_BY_SERVER,
} BeginBy;

typedef struct
{
  LineProtocol   *protocol;
  TestTmpDir     *dir;
  GSocketAddress *address;
  gboolean        interrupts;   /* else a peer connects at last */
  GSocketConnection *connection;
} Beginning;

/* The object has got so far that it waits for a peer. */
static gpointer
disturb_beginning (gpointer data)
{
  Beginning *beginning = data;
  AqmpProtocol *protocol = AQMP_PROTOCOL (beginning->protocol);
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;

  wait_elsewhere (aqmp_protocol_get_runstate (protocol) == AQMP_RUNSTATE_CONNECTING);
  g_assert_false (aqmp_protocol_flush_sync (protocol, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);
  g_assert_false (aqmp_protocol_start_server_and_accept_sync (protocol, beginning->address, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);

  if (beginning->interrupts)
    aqmp_protocol_disconnect_sync (protocol, NULL, &error);
  else
    beginning->connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (beginning->address), NULL, &error);
  g_assert_no_error (error);
  return NULL;
}

static gboolean
begin_blocking (Beginning *beginning,
                BeginBy    by,
                GError   **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (beginning->protocol);
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = NULL;

  switch (by)
    {
    case BEGIN_BY_OPEN:
      stream = peer_connect (&peer);
      return aqmp_protocol_open_sync (protocol, stream, NULL, error);
    case BEGIN_BY_ACCEPT:
      g_assert_true (aqmp_protocol_start_server (protocol, beginning->address, NULL, NULL));
      return aqmp_protocol_accept_sync (protocol, NULL, error);
    default:
      return aqmp_protocol_start_server_and_accept_sync (protocol, beginning->address, NULL, error);
    }
}

static void
check_beginning (BeginBy  by,
                 gboolean interrupts)
{
  Beginning beginning = { line_protocol_new (), test_tmp_dir_new (), NULL, interrupts, NULL };
  g_autofree char *path = test_tmp_dir_build (beginning.dir, "s");
  GThread *thread;
  g_autoptr (GError) error = NULL;

  beginning.address = g_unix_socket_address_new (path);
  if (by == BEGIN_BY_OPEN)
    line_protocol_set (beginning.protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  thread = g_thread_new ("visitor", disturb_beginning, &beginning);
  g_assert_cmpint (begin_blocking (&beginning, by, &error), ==, !interrupts);
  if (interrupts)
    g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  else
    g_assert_no_error (error);
  g_clear_error (&error);
  g_thread_join (thread);

  g_assert_cmpint (get_state (beginning.protocol), ==, interrupts ? AQMP_RUNSTATE_IDLE : AQMP_RUNSTATE_RUNNING);
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (beginning.protocol), NULL, &error);
  g_assert_no_error (error);
  g_clear_object (&beginning.connection);
  check_usable (beginning.protocol);
  end_object (&beginning.protocol);
  g_object_unref (beginning.address);
  test_tmp_dir_free (beginning.dir);
}

static void
test_disconnect_interrupts_beginning (gconstpointer by)
{
  guint n_rounds = test_scale_down (20);
  guint i;

  for (i = 0; i < n_rounds; i++)
    check_beginning (GPOINTER_TO_INT (by), TRUE);
}

static void
test_beginning_goes_on (gconstpointer by)
{
  guint n_rounds = test_scale_down (20);
  guint i;

  for (i = 0; i < n_rounds; i++)
    check_beginning (GPOINTER_TO_INT (by), FALSE);
}

/* Another thread has asked for it before the owner blocks: there it is done, as the owner's context is not run. */
static gpointer
ask_for_disconnect (gpointer protocol)
{
  aqmp_protocol_disconnect_async (protocol, NULL, NULL, NULL);
  return NULL;
}

static void
test_asked_for_before_accept_sync (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "s");
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_assert_true (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), address, NULL, NULL));
  g_thread_join (g_thread_new ("visitor", ask_for_disconnect, protocol));
  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  check_usable (protocol);
  end_object (&protocol);
}

/* The peer does not read: without the flush the owner's would not end either. */
static void
test_asked_for_before_flush_sync (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 1);
  fill_queue (protocol);
  g_thread_join (g_thread_new ("visitor", ask_for_disconnect, protocol));
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  peer_close (&peer);
  check_usable (protocol);
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/T3/owner/deferred-events-do-not-meet-the-next-session", test_deferred_events_stay_behind);
  g_test_add_func ("/protocol/T3/owner/nothing-deferred-is-no-loss", test_nothing_deferred_is_no_loss);
  g_test_add_func ("/protocol/T3/owner/deferred-callback-is-called-all-the-same", test_deferred_callback_is_called_all_the_same);

  g_test_add_func ("/protocol/T3/owner/next-session-not-before-handlers-have-returned", test_not_before_handlers_have_returned);
  g_test_add_data_func ("/protocol/T2/owner/disconnect-sync-ends-silent-call", disconnect_owner, test_end_of_silence);
  g_test_add_data_func ("/protocol/T2/owner/disconnect-async-ends-silent-call", disconnect_asynchronously, test_end_of_silence);
  g_test_add_data_func ("/protocol/T2/owner/fail-ends-silent-call", fail_session, test_end_of_silence);
  g_test_add_data_func ("/protocol/T2/owner/flush-sync-during-silent-call", flush_and_open_gate, test_owner_is_not_disturbed);
  g_test_add_data_func ("/protocol/T2/owner/beginning-during-silent-call-is-refused", begin_and_open_gate,
                        test_owner_is_not_disturbed);

  g_test_add_func ("/protocol/T2/owner/disconnect-sync-with-full-socket-ends-silent-call", test_flush_timeout_elsewhere);
  g_test_add_func ("/protocol/T2/owner/disconnect-asked-for-before-accept-sync", test_asked_for_before_accept_sync);
  g_test_add_func ("/protocol/T2/owner/disconnect-asked-for-before-flush-sync", test_asked_for_before_flush_sync);
  g_test_add_data_func ("/protocol/S6/owner/disconnect-sync-interrupts-open-sync", GINT_TO_POINTER (BEGIN_BY_OPEN),
                        test_disconnect_interrupts_beginning);
  g_test_add_data_func ("/protocol/S6/owner/disconnect-sync-interrupts-accept-sync", GINT_TO_POINTER (BEGIN_BY_ACCEPT),
                        test_disconnect_interrupts_beginning);
  g_test_add_data_func ("/protocol/S6/owner/disconnect-sync-interrupts-start-server-and-accept-sync",
                        GINT_TO_POINTER (BEGIN_BY_SERVER), test_disconnect_interrupts_beginning);
  g_test_add_data_func ("/protocol/T3/owner/accept-sync-goes-on-while-others-try", GINT_TO_POINTER (BEGIN_BY_ACCEPT),
                        test_beginning_goes_on);
  g_test_add_data_func ("/protocol/T3/owner/start-server-and-accept-sync-goes-on-while-others-try",
                        GINT_TO_POINTER (BEGIN_BY_SERVER), test_beginning_goes_on);

  return g_test_run ();
}
