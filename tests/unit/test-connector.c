/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The connector: from an address to a stream. */

#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "aqmp-glib/aqmp-connector-private.h"

#include "mock-server.h"
#include "util.h"

static GIOStream *
finish (TestSlot  *slot,
        GError   **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_connector_connect_finish (result, error);
}

static GIOStream *
connect_to (GSocketConnectable  *address,
            GError             **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_connector_connect_async (address, NULL, test_slot_callback, &slot);
  g_assert_false (test_slot_is_done (&slot));
  return finish (&slot, error);
}

static GSocketConnectable *
unix_address (const char *path)
{
  return G_SOCKET_CONNECTABLE (g_unix_socket_address_new (path));
}

static int
get_fd (GIOStream *stream)
{
  return g_socket_get_fd (g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream)));
}

static int
get_option (GIOStream *stream,
            int        level,
            int        name)
{
  int value = -1;
  socklen_t length = sizeof value;

  g_assert_no_errno (getsockopt (get_fd (stream), level, name, &value, &length));
  return value;
}

/* Something goes through it. */
static void
assert_connected (GIOStream  *stream,
                  MockServer *mock)
{
  g_autoptr (GError) error = NULL;

  mock_expect_bytes (mock, "hello", -1);
  g_output_stream_write_all (g_io_stream_get_output_stream (stream), "hello", 5, NULL, NULL, &error);
  g_assert_no_error (error);
  mock_block_done (mock);
}

/* ---- reaching it ------------------------------------------------------------------------------------------------- */

static void
test_unix (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = connect_to (mock_get_connectable (mock), &error);

  g_assert_no_error (error);
  g_assert_cmpuint (G_OBJECT_TYPE (stream), ==, G_TYPE_UNIX_CONNECTION);
  g_assert_cmpint (fcntl (get_fd (stream), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  assert_connected (stream, mock);
}

static void
test_tcp (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = connect_to (mock_get_connectable (mock), &error);

  g_assert_no_error (error);
  g_assert_cmpuint (G_OBJECT_TYPE (stream), ==, G_TYPE_TCP_CONNECTION);
  g_assert_cmpint (fcntl (get_fd (stream), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  g_assert_cmpint (get_option (stream, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
  g_assert_cmpint (get_option (stream, IPPROTO_TCP, TCP_NODELAY), ==, 1);
  assert_connected (stream, mock);
}

static void
test_missing_path (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "nobody.sock");
  g_autoptr (GSocketConnectable) address = unix_address (path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = connect_to (address, &error);

  g_assert_null (stream);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

/* A socket file that nobody listens on any more. */
static void
test_refused_unix (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "stale.sock");
  g_autoptr (GSocketConnectable) address = unix_address (path);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_assert_true (g_socket_bind (socket, G_SOCKET_ADDRESS (address), FALSE, &error));
  g_socket_close (socket, NULL);

  stream = connect_to (address, &error);
  g_assert_null (stream);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

static void
test_refused_tcp (void)
{
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) any_port = g_inet_socket_address_new (loopback, 0);
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  /* Bound, so that nobody else gets the port, but not listening. */
  socket = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  g_assert_no_error (error);
  g_assert_true (g_socket_bind (socket, any_port, FALSE, &error));
  address = g_socket_get_local_address (socket, &error);
  g_assert_no_error (error);

  stream = connect_to (G_SOCKET_CONNECTABLE (address), &error);
  g_assert_null (stream);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

/* ---- an address that would rather have a proxy used -------------------------------------------------------------- */

#define TEST_TYPE_CONNECTABLE (test_connectable_get_type ())
G_DECLARE_FINAL_TYPE (TestConnectable, test_connectable, TEST, CONNECTABLE, GObject)

struct _TestConnectable
{
  GObject             parent_instance;
  GSocketConnectable *real;      /* (owned) */
  guint               n_asked;
  guint               n_asked_for_proxy;
};

static GSocketAddressEnumerator *
test_connectable_enumerate (GSocketConnectable *connectable)
{
  TestConnectable *self = TEST_CONNECTABLE (connectable);

  self->n_asked++;
  return g_socket_connectable_enumerate (self->real);
}

static GSocketAddressEnumerator *
test_connectable_proxy_enumerate (GSocketConnectable *connectable)
{
  TestConnectable *self = TEST_CONNECTABLE (connectable);

  self->n_asked_for_proxy++;
  return g_socket_connectable_enumerate (self->real);
}

static void
test_connectable_iface_init (GSocketConnectableIface *iface)
{
  iface->enumerate = test_connectable_enumerate;
  iface->proxy_enumerate = test_connectable_proxy_enumerate;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (TestConnectable, test_connectable, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_SOCKET_CONNECTABLE, test_connectable_iface_init))

static void
test_connectable_finalize (GObject *object)
{
  g_clear_object (&TEST_CONNECTABLE (object)->real);

  G_OBJECT_CLASS (test_connectable_parent_class)->finalize (object);
}

static void
test_connectable_class_init (TestConnectableClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_connectable_finalize;
}

static void
test_connectable_init (TestConnectable *self)
{
}

static void
test_no_proxy (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  g_autoptr (TestConnectable) address = g_object_new (TEST_TYPE_CONNECTABLE, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  address->real = g_object_ref (mock_get_connectable (mock));
  stream = connect_to (G_SOCKET_CONNECTABLE (address), &error);
  g_assert_no_error (error);
  g_assert_cmpuint (address->n_asked, ==, 1);
  g_assert_cmpuint (address->n_asked_for_proxy, ==, 0);
  assert_connected (stream, mock);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static void
test_cancelled_before (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  g_cancellable_cancel (cancellable);
  aqmp_connector_connect_async (mock_get_connectable (mock), cancellable, test_slot_callback, &slot);
  stream = finish (&slot, &error);
  g_assert_null (stream);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* A connection that was made, but cancelled before that was known, is closed again. */
static void
test_cancelled_while (void)
{
  guint n_fds;
  guint i;

  for (i = 0; i < 6; i++)
    {
      g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autoptr (GError) error = NULL;
      guint j;

      n_fds = test_count_fds ();
      aqmp_connector_connect_async (mock_get_connectable (mock), cancellable, test_slot_callback, &slot);
      for (j = 0; j < i && !test_slot_is_done (&slot); j++)
        g_main_context_iteration (NULL, FALSE);
      g_cancellable_cancel (cancellable);
      g_assert_null (finish (&slot, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      test_dispatch_pending ();
      g_assert_cmpuint (test_count_fds (), <=, n_fds);
    }
}

/* ---- a full backlog ---------------------------------------------------------------------------------------------- */

/* An address that tells how often it was tried. */
static TestConnectable *
count_attempts (MockServer *mock)
{
  TestConnectable *address = g_object_new (TEST_TYPE_CONNECTABLE, NULL);

  address->real = g_object_ref (mock_get_connectable (mock));
  return address;
}

static void
test_backlog_until_space (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestConnectable) address = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (mock_fill_backlog (mock), >, 0);
  address = count_attempts (mock);
  aqmp_connector_connect_async (G_SOCKET_CONNECTABLE (address), NULL, test_slot_callback, &slot);
  test_wait_until (address->n_asked > 3);
  g_assert_false (test_slot_is_done (&slot));

  mock_drain_backlog (mock);
  stream = finish (&slot, &error);
  g_assert_no_error (error);
  assert_connected (stream, mock);
  g_assert_cmpuint (slot.n_calls, ==, 1);
}

static void
test_backlog_until_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (TestConnectable) address = NULL;
  MockServer *mock = mock_new (MOCK_TRANSPORT_UNIX);
  guint n_fds;

  mock_fill_backlog (mock);
  n_fds = test_count_fds ();
  address = count_attempts (mock);
  aqmp_connector_connect_async (G_SOCKET_CONNECTABLE (address), cancellable, test_slot_callback, &slot);
  test_wait_until (address->n_asked > 3);
  g_assert_false (test_slot_is_done (&slot));

  g_cancellable_cancel (cancellable);
  stream = finish (&slot, &error);
  g_assert_null (stream);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  test_dispatch_pending ();
  g_assert_cmpuint (test_count_fds (), <=, n_fds);
  mock_abandon (mock);
}

/* In the context of the call, with none of it in the default one. */
static void
test_context (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestConnectable) address = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_fill_backlog (mock);
  address = count_attempts (mock);
  g_main_context_push_thread_default (context);
  aqmp_connector_connect_async (G_SOCKET_CONNECTABLE (address), NULL, test_slot_callback, &slot);
  test_wait_until (address->n_asked > 3);
  mock_drain_backlog (mock);
  stream = finish (&slot, &error);
  g_assert_no_error (error);
  assert_connected (stream, mock);
  g_main_context_pop_thread_default (context);
  g_assert_false (g_main_context_pending (NULL));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  test_open_what_stays_open ();

  g_test_add_func ("/connector/unix", test_unix);
  g_test_add_func ("/connector/M7/tcp", test_tcp);
  g_test_add_func ("/connector/M7/no-proxy", test_no_proxy);
  g_test_add_func ("/connector/S4/missing-path", test_missing_path);
  g_test_add_func ("/connector/S4/refused-unix", test_refused_unix);
  g_test_add_func ("/connector/S4/refused-tcp", test_refused_tcp);
  g_test_add_func ("/connector/S4/cancelled-before", test_cancelled_before);
  g_test_add_func ("/connector/S4/cancelled-while", test_cancelled_while);
  g_test_add_func ("/connector/S4/backlog-until-space", test_backlog_until_space);
  g_test_add_func ("/connector/S4/backlog-until-cancelled", test_backlog_until_cancelled);
  g_test_add_func ("/connector/context", test_context);

  return g_test_run ();
}
