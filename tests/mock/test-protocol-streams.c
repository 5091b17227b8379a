/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The same session over every kind of stream: Q14; and how it treats them: M7. */

#include "session-util.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gnetworking.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

/* ---- Q14 --------------------------------------------------------------------------------------------------------- */

typedef enum
{
  OVER_UNIX,
  OVER_TCP,
  OVER_SOCKETPAIR,
  OVER_PIPES,
  OVER_POLLABLE,        /* no socket connection, but can be polled */
  OVER_PLAIN,           /* cannot be polled */
  OVER_PLAIN_PIPES,
} Kind;

static const char * const kind_names[] = {
  "unix", "tcp", "socketpair", "pipes", "pollable-wrapper", "unpollable-wrapper", "unpollable-pipes",
};

static MockServer *
new_peer (Kind kind)
{
  switch (kind)
    {
    case OVER_UNIX:
      return mock_new (MOCK_TRANSPORT_UNIX);
    case OVER_TCP:
      return mock_new (MOCK_TRANSPORT_TCP);
    case OVER_PIPES:
    case OVER_PLAIN_PIPES:
      return mock_new (MOCK_TRANSPORT_PIPES);
    default:
      return mock_new (MOCK_TRANSPORT_SOCKETPAIR);
    }
}

static GIOStream *
get_stream (Kind        kind,
            MockServer *mock)
{
  g_autoptr (GIOStream) base = mock_get_stream (mock);

  switch (kind)
    {
    case OVER_POLLABLE:
      return test_pollable_stream_new (base);
    case OVER_PLAIN:
    case OVER_PLAIN_PIPES:
      return test_plain_stream_new (base);
    default:
      return g_steal_pointer (&base);
    }
}

static void
begin (Kind          kind,
       LineProtocol *protocol,
       MockServer   *mock,
       TestSlot     *slot)
{
  g_autoptr (GIOStream) stream = NULL;

  if (kind == OVER_UNIX || kind == OVER_TCP)
    {
      aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, slot);
      return;
    }

  stream = get_stream (kind, mock);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, slot);
}

static gboolean
finish (Kind           kind,
        LineProtocol  *protocol,
        TestSlot      *slot,
        GError       **error)
{
  return kind == OVER_UNIX || kind == OVER_TCP ? finish_connect (protocol, slot, error)
                                               : finish_open (protocol, slot, error);
}

static void
run_until_running (Kind          kind,
                   LineProtocol *protocol,
                   MockServer   *mock)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  begin (kind, protocol, mock, &slot);
  finish (kind, protocol, &slot, &error);
  g_assert_no_error (error);
}

/* A handshake, lines both ways, a message that takes many reads and writes, a flush, and an end with something queued. */
static void
test_whole_session (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  LineProtocol *protocol = line_protocol_new ();
  g_autofree char *big = g_strnfill (300 * 1000, 'x');
  g_autofree char *big_line = g_strconcat (big, "\n", NULL);
  g_autofree char *what = g_strdup_printf ("receive(%s)", big);
  g_autoptr (GError) error = NULL;
  guint i;

  mock_expect_bytes (mock, "hi\n", -1);
  mock_send (mock, "hello\r\nearly\n");
  for (i = 0; i < 3; i++)
    {
      mock_expect_bytes (mock, "ping\n", -1);
      mock_send_split (mock, "pong\r\n", 1, 0);
    }
  mock_expect_bytes (mock, big_line, -1);
  mock_send (mock, big_line);
  mock_expect_bytes (mock, "last\n", -1);
  mock_expect_eof (mock);

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  run_until_running (kind, protocol, mock);
  wait_trace (protocol, "receive(early)");
  for (i = 1; i <= 3; i++)
    {
      line_protocol_send (protocol, "ping");
      test_wait_until (line_trace_count (line_protocol_get_trace (protocol), "receive(pong)") == i);
    }
  line_protocol_send (protocol, big);
  flush_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 0);
  wait_trace (protocol, what);

  line_protocol_send (protocol, "last");
  end_session (&protocol);
  /* Closing a stream that cannot be polled takes another turn of the loop. */
  mock_wait_done (mock);
}

static void
test_peer_cuts_off (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  mock_send (mock, "one\ntw");
  mock_close (mock);
  run_until_running (kind, protocol, mock);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (trace, "connecting establish running in(one) receive(one) in(tw) receive(tw) ended(failed) disconnecting");
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_silent_peer (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_expect_gone (mock);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 20);
  begin (kind, protocol, mock, &slot);
  g_assert_false (finish (kind, protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  check_usable (protocol);
  end_object (&protocol);
  mock_wait_done (mock);
}

/* What is under way when the session fails is cancelled, and then the stream closed. */
static void
test_failure_closes (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_send (mock, "one\n");
  mock_expect_eof (mock);
  run_until_running (kind, protocol, mock);
  wait_trace (protocol, "receive(one)");
  line_fail (protocol, NULL);
  mock_wait_done (mock);
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, LINE_ERROR, 99, "deed");
  end_object (&protocol);
}

static void
test_last_reference_closes (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  LineProtocol *protocol = line_protocol_new ();

  mock_send (mock, "one\n");
  mock_expect_eof (mock);
  run_until_running (kind, protocol, mock);
  wait_trace (protocol, "receive(one)");
  end_object (&protocol);
  mock_wait_done (mock);
}

/* A peer that never reads: the flush ends in time, and nothing hangs. */
static void
test_clogged (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  LineProtocol *protocol = line_protocol_new ();
  g_autofree char *big = g_strnfill (16 * 1024 * 1024, 'x');
  g_autoptr (GError) error = NULL;

  mock_expect_bytes (mock, "hi\n", -1);
  mock_stop_reading (mock);
  run_until_running (kind, protocol, mock);
  line_protocol_send (protocol, "hi");
  mock_wait_done (mock);
  line_protocol_send (protocol, big);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 30);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
  test_dispatch_pending ();
}

/* ---- M7 ---------------------------------------------------------------------------------------------------------- */

static void
test_queued_bytes_and_flush (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);
  g_autoptr (GError) error = NULL;
  guint64 property = 0;
  guint64 queued;

  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (self), ==, 0);
  line_protocol_send (protocol, "12345");
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (self), ==, 6);
  flush_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (self), ==, 0);
  peer_expect (&peer, "12345\n");

  fill_queue (protocol);
  queued = aqmp_protocol_get_queued_bytes (self);
  g_assert_cmpuint (queued, >, 0);
  g_object_get (protocol, "queued-bytes", &property, NULL);
  g_assert_cmpuint (property, ==, queued);
  aqmp_protocol_flush_async (self, NULL, test_slot_callback, &slot);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  line_disconnect (protocol, NULL);
  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  finish_flush (protocol, &slot, &error);
  g_assert_no_error (error);
  wait_state (protocol, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

static void
test_cancelled_flush (void)
{
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = new_session (&peer);
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) other_error = NULL;

  fill_queue (protocol);
  aqmp_protocol_flush_async (self, cancellable, test_slot_callback, &slots[0]);
  aqmp_protocol_flush_async (self, NULL, test_slot_callback, &slots[1]);
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_flush (protocol, &slots[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (test_slot_is_done (&slots[1]));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  line_disconnect (protocol, NULL);
  peer_drain (&peer);
  finish_flush (protocol, &slots[1], &other_error);
  g_assert_no_error (other_error);
  wait_state (protocol, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

/* The peer takes a few bytes at a time, and what it gets is in order and whole. */
static void
test_partial_writes (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  int size = 2048;
  guint i;

  setsockopt (g_socket_get_fd (g_socket_connection_get_socket (
                G_SOCKET_CONNECTION (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol))))),
              SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  for (i = 0; i < 20000; i++)
    {
      g_autofree char *line = g_strdup_printf ("message %u", i);

      line_protocol_send (protocol, line);
      g_string_append_printf (expected, "%s\n", line);
    }
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &slot);
  peer_expect (&peer, expected->str);
  finish_flush (protocol, &slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
}

static void
test_one_byte_reads (gconstpointer data)
{
  g_autoptr (MockServer) mock = mock_new ((MockTransport) GPOINTER_TO_INT (data));
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_send_split (mock, "first line\r\nsecond line\n\nlast line\n", 1, 0);
  mock_expect_eof (mock);
  connect_session (protocol, mock, NULL, &error);
  g_assert_no_error (error);
  line_trace_clear (line_protocol_get_trace (protocol));
  wait_trace (protocol, "receive(last line)");
  line_trace_expect (line_protocol_get_trace (protocol),
                     "in(first line) receive(first line) in(second line) receive(second line) in() receive() "
                     "in(last line) receive(last line)");
  end_session (&protocol);
}

/* ---- M7: not read faster than handled ---------------------------------------------------------------------------- */

/* Writes as much as fits, until nothing does for a while in which the other side could read. */
static gsize
write_all_that_fits (Peer *peer)
{
  g_autofree char *lines = g_malloc (64 * 1024);
  gsize total = 0;
  gssize n_sent;
  gsize i;
  guint n_full;

  for (i = 0; i < 64 * 1024; i++)
    lines[i] = i % 1024 == 1023 ? '\n' : 'x';

  for (n_full = 0; n_full < 50 && total < 16 * 1024 * 1024;)
    {
      n_sent = send (peer->fd, lines, 64 * 1024, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n_sent > 0)
        total += n_sent;
      n_full = n_sent > 0 ? 0 : n_full + 1;
      test_dispatch_pending ();
      g_thread_yield ();
    }

  return total;
}

static void
test_nothing_is_read_before_it_is_wanted (gconstpointer data)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) base = peer_connect (&peer);
  g_autoptr (GIOStream) stream = GPOINTER_TO_INT (data) == OVER_PLAIN      ? test_plain_stream_new (base)
                                 : GPOINTER_TO_INT (data) == OVER_POLLABLE ? test_pollable_stream_new (base)
                                                                           : g_object_ref (base);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &slot);
  task = line_protocol_steal_task (protocol);
  g_assert_cmpuint (write_all_that_fits (&peer), <, 2 * 1024 * 1024);
  g_assert_cmpuint (line_trace_get_n_frame (line_protocol_get_trace (protocol)), ==, 0);
  g_task_return_boolean (task, TRUE);
  g_clear_object (&task);
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 0);
  end_session (&protocol);
}

typedef struct
{
  Peer  *peer;
  gsize  total;
} Flood;

static void
flood_while_handling (LineProtocol *protocol,
                      gpointer      user_data)
{
  Flood *flood = user_data;
  char lines[] = "more\nmore\nmore\nmore\nmore\nmore\nmore\nmore\n";
  gssize n_sent;
  guint n_full = 0;

  if (flood->total > 0)
    return;

  while (n_full < 50 && flood->total < 16 * 1024 * 1024)
    {
      n_sent = send (flood->peer->fd, lines, sizeof lines - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n_sent > 0)
        flood->total += n_sent;
      n_full = n_sent > 0 ? 0 : n_full + 1;
      /* Should some thread read ahead, this is its chance. */
      g_thread_yield ();
    }
}

static void
test_nothing_is_read_while_handling (gconstpointer data)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  Flood flood = { &peer, 0 };
  g_autoptr (GIOStream) base = peer_connect (&peer);
  g_autoptr (GIOStream) stream = GPOINTER_TO_INT (data) == OVER_PLAIN ? test_plain_stream_new (base) : g_object_ref (base);
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;

  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, "one", flood_while_handling, &flood, LINE_RAISE);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &slot);
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  peer_send (&peer, "one\n");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpuint (flood.total, >, 0);
  g_assert_cmpuint (flood.total, <, 2 * 1024 * 1024);
  g_assert_false (disconnect_session (protocol, NULL));
  end_object (&protocol);
}

/* ---- M7: descriptors and signals --------------------------------------------------------------------------------- */

static void
test_close_on_exec (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (kind);
  LineProtocol *protocol = line_protocol_new ();
  GSocket *socket;

  mock_expect_eof (mock);
  run_until_running (kind, protocol, mock);
  socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol))));
  g_assert_cmpint (fcntl (g_socket_get_fd (socket), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  end_session (&protocol);
}

static void
test_keepalive (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  LineProtocol *protocol = line_protocol_new ();
  GSocket *socket;
  int no_delay = 0;

  mock_expect_eof (mock);
  run_until_running (OVER_TCP, protocol, mock);
  socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol))));
  g_assert_true (g_socket_get_keepalive (socket));
  g_assert_true (g_socket_get_option (socket, IPPROTO_TCP, TCP_NODELAY, &no_delay, NULL));
  g_assert_cmpint (no_delay, !=, 0);
  end_session (&protocol);
}

/* A proxy resolver that wants everything to go through nowhere. */
typedef GObject NowhereResolver;
typedef GObjectClass NowhereResolverClass;
static GType nowhere_resolver_get_type (void);
static guint n_proxy_lookups;

static gboolean
nowhere_is_supported (GProxyResolver *resolver)
{
  return TRUE;
}

static char **
nowhere_lookup (GProxyResolver  *resolver,
                const char      *uri,
                GCancellable    *cancellable,
                GError         **error)
{
  char *proxies[] = { (char *) "socks5://127.0.0.1:1", NULL };

  n_proxy_lookups++;
  return g_strdupv (proxies);
}

static void
nowhere_lookup_async (GProxyResolver      *resolver,
                      const char          *uri,
                      GCancellable        *cancellable,
                      GAsyncReadyCallback  callback,
                      gpointer             user_data)
{
  g_autoptr (GTask) task = g_task_new (resolver, cancellable, callback, user_data);

  g_task_return_pointer (task, nowhere_lookup (resolver, uri, cancellable, NULL), (GDestroyNotify) g_strfreev);
}

static char **
nowhere_lookup_finish (GProxyResolver  *resolver,
                       GAsyncResult    *result,
                       GError         **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
nowhere_iface_init (GProxyResolverInterface *iface)
{
  iface->is_supported = nowhere_is_supported;
  iface->lookup = nowhere_lookup;
  iface->lookup_async = nowhere_lookup_async;
  iface->lookup_finish = nowhere_lookup_finish;
}

G_DEFINE_TYPE_WITH_CODE (NowhereResolver, nowhere_resolver, G_TYPE_OBJECT,
                         G_IMPLEMENT_INTERFACE (G_TYPE_PROXY_RESOLVER, nowhere_iface_init))

static void
nowhere_resolver_class_init (NowhereResolverClass *klass)
{
}

static void
nowhere_resolver_init (NowhereResolver *self)
{
}

static void
test_no_proxy (void)
{
  g_autoptr (MockServer) mock = NULL;
  LineProtocol *protocol = NULL;

  /* The resolver is chosen once in a process. */
  g_io_extension_point_register (G_PROXY_RESOLVER_EXTENSION_POINT_NAME);
  g_io_extension_point_implement (G_PROXY_RESOLVER_EXTENSION_POINT_NAME, nowhere_resolver_get_type (), "nowhere", G_MAXINT);
  g_assert_cmpstr (G_OBJECT_TYPE_NAME (g_proxy_resolver_get_default ()), ==, "NowhereResolver");

  mock = mock_new (MOCK_TRANSPORT_TCP);
  mock_expect_eof (mock);
  protocol = line_protocol_new ();
  run_until_running (OVER_TCP, protocol, mock);
  end_session (&protocol);
  g_assert_cmpuint (n_proxy_lookups, ==, 0);
}

static volatile sig_atomic_t n_sigpipe;

static void
on_sigpipe (int number)
{
  n_sigpipe++;
}

static void
test_no_sigpipe (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = NULL;
  LineProtocol *protocol = NULL;
  struct sigaction action = { .sa_handler = on_sigpipe };
  struct sigaction before;
  g_autoptr (GError) error = NULL;

  /* GIO has the process ignore it; by now, at the latest. */
  g_type_class_unref (g_type_class_ref (G_TYPE_SOCKET));
  sigaction (SIGPIPE, &action, &before);
  n_sigpipe = 0;

  mock = new_peer (kind);
  /* Without a filter it writes before it reads, so that writing is what fails. */
  protocol = line_protocol_new_plain ();
  mock_stop_reading (mock);
  mock_close (mock);
  run_until_running (kind, protocol, mock);
  mock_block_done (mock);
  line_protocol_send (protocol, "in vain");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  end_object (&protocol);
  g_assert_cmpint (n_sigpipe, ==, 0);
  sigaction (SIGPIPE, &before, NULL);
}

/* Written by a thread of GIO's: there the signal is ignored, though nobody has used a socket so far. */
static void
test_no_sigpipe_in_threads (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_PIPES);
      LineProtocol *protocol = line_protocol_new_plain ();

      signal (SIGPIPE, SIG_DFL);
      mock_stop_reading (mock);
      mock_close (mock);
      run_until_running (OVER_PLAIN_PIPES, protocol, mock);
      mock_block_done (mock);
      line_protocol_send (protocol, "in vain");
      wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
      g_assert_false (disconnect_session (protocol, NULL));
      end_object (&protocol);
      return;
    }

  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

static void
add (const char    *format,
     Kind           kind,
     GTestDataFunc  func)
{
  g_autofree char *path = g_strconcat (format, kind_names[kind], NULL);

  g_test_add_data_func (path, GINT_TO_POINTER (kind), func);
}

int
main (int    argc,
      char **argv)
{
  Kind kind;

  g_test_init (&argc, &argv, NULL);

  for (kind = OVER_UNIX; kind <= OVER_PLAIN_PIPES; kind++)
    {
      add ("/protocol/Q14/whole-session/", kind, test_whole_session);
      add ("/protocol/Q14/peer-cuts-off/", kind, test_peer_cuts_off);
      add ("/protocol/Q14/silent-peer/", kind, test_silent_peer);
      add ("/protocol/Q14/failure-closes/", kind, test_failure_closes);
      add ("/protocol/Q14/last-reference-closes/", kind, test_last_reference_closes);
      add ("/protocol/Q14/peer-that-never-reads/", kind, test_clogged);
    }

  g_test_add_func ("/protocol/M7/queued-bytes-and-flush", test_queued_bytes_and_flush);
  g_test_add_func ("/protocol/M7/cancelled-flush", test_cancelled_flush);
  g_test_add_func ("/protocol/M7/partial-writes", test_partial_writes);
  g_test_add_data_func ("/protocol/M7/one-byte-reads/unix", GINT_TO_POINTER (MOCK_TRANSPORT_UNIX), test_one_byte_reads);
  g_test_add_data_func ("/protocol/M7/one-byte-reads/tcp", GINT_TO_POINTER (MOCK_TRANSPORT_TCP), test_one_byte_reads);
  add ("/protocol/M7/nothing-is-read-before-it-is-wanted/", OVER_SOCKETPAIR, test_nothing_is_read_before_it_is_wanted);
  add ("/protocol/M7/nothing-is-read-before-it-is-wanted/", OVER_POLLABLE, test_nothing_is_read_before_it_is_wanted);
  add ("/protocol/M7/nothing-is-read-before-it-is-wanted/", OVER_PLAIN, test_nothing_is_read_before_it_is_wanted);
  add ("/protocol/M7/nothing-is-read-while-handling/", OVER_SOCKETPAIR, test_nothing_is_read_while_handling);
  add ("/protocol/M7/nothing-is-read-while-handling/", OVER_PLAIN, test_nothing_is_read_while_handling);
  add ("/protocol/M7/close-on-exec/", OVER_UNIX, test_close_on_exec);
  add ("/protocol/M7/close-on-exec/", OVER_TCP, test_close_on_exec);
  g_test_add_func ("/protocol/M7/tcp-keepalive", test_keepalive);
  for (kind = OVER_UNIX; kind <= OVER_POLLABLE; kind++)
    add ("/protocol/M7/no-sigpipe/", kind, test_no_sigpipe);
  g_test_add_func ("/protocol/M7/no-sigpipe/unpollable-pipes", test_no_sigpipe_in_threads);
  g_test_add_func ("/protocol/M7/no-proxy", test_no_proxy);

  return g_test_run ();
}
