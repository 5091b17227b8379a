/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Who keeps the object alive, and how it goes: S10. */

#include "session-util.h"

#include <string.h>

/* ---- operations keep it alive ------------------------------------------------------------------------------------ */

typedef struct
{
  LineProtocol *weak;
  LineTrace    *trace;
  gboolean      alive;    /* in the callback */
  gboolean      done;
} Watched;

static void
watch (LineProtocol *protocol,
       Watched      *watched)
{
  *watched = (Watched) { protocol, line_trace_ref (line_protocol_get_trace (protocol)), FALSE, FALSE };
  g_object_add_weak_pointer (G_OBJECT (protocol), (gpointer *) &watched->weak);
}

static void
on_done (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  Watched *watched = user_data;

  g_assert_false (watched->done);
  watched->alive = watched->weak != NULL && G_OBJECT (watched->weak) == source;
  watched->done = TRUE;
}

/* The reference has been dropped before: the operation had the last one. */
static void
check_watched (Watched *watched)
{
  test_wait_until (watched->done);
  g_assert_true (watched->alive);
  test_dispatch_pending ();
  g_assert_null (watched->weak);
  line_trace_unref (watched->trace);
}

static void
test_open_keeps_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  Watched watched;

  watch (protocol, &watched);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, on_done, &watched);
  g_object_unref (protocol);
  peer_expect (&peer, "hi\n");
  g_assert_nonnull (watched.weak);
  peer_send (&peer, "hello\n");
  check_watched (&watched);
  peer_expect_eof (&peer);
}

static void
test_connect_keeps_alive (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  Watched watched;

  watch (protocol, &watched);
  mock_fill_backlog (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, on_done, &watched);
  g_object_unref (protocol);
  test_dispatch_pending ();
  g_assert_nonnull (watched.weak);
  mock_drain_backlog (mock);
  mock_accept (mock);
  mock_expect_eof (mock);
  check_watched (&watched);
  mock_wait_done (mock);
}

static void
test_disconnect_keeps_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  Watched watched;

  watch (protocol, &watched);
  fill_queue (protocol);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (protocol), NULL, on_done, &watched);
  g_object_unref (protocol);
  test_dispatch_pending ();
  g_assert_nonnull (watched.weak);
  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  test_wait_until (watched.done);
  g_assert_cmpuint (line_trace_count (watched.trace, "idle"), ==, 1);
  check_watched (&watched);
}

static void
test_disconnect_without_callback_keeps_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));

  fill_queue (protocol);
  line_disconnect (protocol, NULL);
  g_object_unref (protocol);
  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  test_wait_until (line_trace_count (trace, "idle") == 1);
}

static void
test_flush_keeps_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  Watched watched;

  watch (protocol, &watched);
  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, on_done, &watched);
  g_object_unref (protocol);
  test_dispatch_pending ();
  g_assert_nonnull (watched.weak);
  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  check_watched (&watched);
}

static void
test_wait_keeps_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  Watched watched;

  watch (protocol, &watched);
  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_RUNNING, NULL, on_done, &watched);
  g_object_unref (protocol);
  test_dispatch_pending ();
  g_assert_nonnull (watched.weak);
  peer_close (&peer);
  check_watched (&watched);
}

static void
test_read_and_write_keep_alive (gconstpointer data)
{
  gboolean reading = GPOINTER_TO_INT (data);
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autofree char *big = g_strnfill (1024 * 1024, 'x');
  g_autoptr (GBytes) message = bytes_of (big);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = NULL;
  Watched watched;

  watch (protocol, &watched);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  start_open (protocol, &peer, NULL, &opened);
  task = line_protocol_steal_task (protocol);
  if (reading)
    aqmp_protocol_read_message_async (AQMP_PROTOCOL (protocol), NULL, on_done, &watched);
  else
    aqmp_protocol_write_message_async (AQMP_PROTOCOL (protocol), message, NULL, on_done, &watched);
  line_fail (protocol, NULL);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_false (finish_open (protocol, &opened, NULL));
  g_clear_object (&task);
  test_slot_clear (&opened);
  g_object_unref (protocol);
  check_watched (&watched);
}

/* ---- what keeps nothing alive ------------------------------------------------------------------------------------ */

static void
on_signal (LineProtocol *protocol,
           gpointer      unused,
           LineTrace    *trace)
{
  line_trace_add (trace, "signal");
}

static void
test_reader_and_queue_keep_nothing_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  gint64 before;

  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (on_signal), trace);
  g_signal_connect (protocol, "notify", G_CALLBACK (on_signal), trace);
  fill_queue (protocol);
  line_protocol_send (protocol, "unfiltered");
  peer_send (&peer, "unread\n");
  line_trace_clear (trace);
  before = g_get_monotonic_time ();

    {
      LineProtocol *weak = protocol;

      /* Nothing is dispatched: it goes here and now. */
      g_object_add_weak_pointer (G_OBJECT (weak), (gpointer *) &weak);
      g_object_unref (protocol);
      g_assert_null (weak);
    }

  /* Without a flush, and without a word. */
  g_assert_cmpint (g_get_monotonic_time () - before, <, 4 * G_USEC_PER_SEC);
  line_trace_expect (trace, "");
  g_assert_cmpuint (peer_drain (&peer), <, 1024 * 1024);
  test_dispatch_pending ();
  line_trace_expect (trace, "");
}

static void
test_failed_session_keeps_nothing_alive (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));

  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_clear (trace);
  end_object (&protocol);
  line_trace_expect (trace, "");
}

static gpointer
drop (gpointer data)
{
  g_object_unref (data);
  return NULL;
}

static void
test_dispose_in_another_thread (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));

  fill_queue (protocol);
  line_trace_clear (trace);
  g_thread_join (g_thread_new ("drops", drop, protocol));
  line_trace_expect (trace, "");
  g_assert_cmpuint (peer_drain (&peer), <, 1024 * 1024);
  line_trace_expect (trace, "");
}

static void
test_no_descriptor_is_left (void)
{
  LineProtocol *protocol;
  guint before = 0;
  guint i;

  for (i = 0; i < 20; i++)
    {
      g_auto (Peer) peer = PEER_INIT;

      protocol = new_session (&peer);
      end_object (&protocol);
      peer_close (&peer);
      if (i == 0)
        before = test_count_fds ();
    }
  g_assert_cmpuint (test_count_fds (), ==, before);
}

/* ---- run_dispose ------------------------------------------------------------------------------------------------- */

static void
expect_interrupted (LineProtocol *protocol,
                    TestSlot     *slot,
                    gboolean    (*finish) (AqmpProtocol *, GAsyncResult *, GError **))
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GError) error = NULL;

  g_assert_false (finish (AQMP_PROTOCOL (protocol), result, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

static gboolean
wait_finish (AqmpProtocol  *protocol,
             GAsyncResult  *result,
             GError       **error)
{
  return aqmp_protocol_wait_runstate_finish (protocol, result, NULL, error);
}

static gboolean
read_finish (AqmpProtocol  *protocol,
             GAsyncResult  *result,
             GError       **error)
{
  return aqmp_protocol_read_message_finish (protocol, result, error) != NULL;
}

static void
test_run_dispose_running (void)
{
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (TestSlot) waited = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);

  fill_queue (protocol);
  aqmp_protocol_flush_async (self, NULL, test_slot_callback, &flushed);
  aqmp_protocol_wait_runstate_async (self, AQMP_RUNSTATE_RUNNING, NULL, test_slot_callback, &waited);
  line_trace_clear (line_protocol_get_trace (protocol));
  g_object_run_dispose (G_OBJECT (protocol));
  line_trace_expect (line_protocol_get_trace (protocol), "");
  expect_interrupted (protocol, &flushed, aqmp_protocol_flush_finish);
  expect_interrupted (protocol, &waited, wait_finish);
  g_assert_cmpuint (peer_drain (&peer), <, 1024 * 1024);
  end_object (&protocol);
}

static void
test_run_dispose_flushing (void)
{
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  fill_queue (protocol);
  line_disconnect (protocol, &closed);
  test_dispatch_pending ();
  g_object_run_dispose (G_OBJECT (protocol));
  expect_interrupted (protocol, &closed, aqmp_protocol_disconnect_finish);
  g_assert_cmpuint (peer_drain (&peer), <, 1024 * 1024);
  end_object (&protocol);
}

static void
test_run_dispose_connecting (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();

  mock_fill_backlog (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, &opened);
  test_dispatch_pending ();
  g_object_run_dispose (G_OBJECT (protocol));
  expect_interrupted (protocol, &opened, aqmp_protocol_connect_finish);
  end_object (&protocol);
}

static void
test_run_dispose_establishing (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) reading = TEST_SLOT_INIT;
  g_auto (TestSlot) writing = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autofree char *big = g_strnfill (1024 * 1024, 'x');
  g_autoptr (GBytes) message = bytes_of (big);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  start_open (protocol, &peer, NULL, &opened);
  task = line_protocol_steal_task (protocol);
  aqmp_protocol_read_message_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &reading);
  aqmp_protocol_write_message_async (AQMP_PROTOCOL (protocol), message, NULL, test_slot_callback, &writing);
  g_object_run_dispose (G_OBJECT (protocol));
  expect_interrupted (protocol, &opened, aqmp_protocol_open_finish);
  expect_interrupted (protocol, &reading, read_finish);
  expect_interrupted (protocol, &writing, aqmp_protocol_write_message_finish);
  g_clear_object (&task);
  peer_drain (&peer);
  end_object (&protocol);
}

static void
test_run_dispose_idle (void)
{
  g_auto (TestSlot) waited = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();

  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_IDLE, NULL, test_slot_callback, &waited);
  g_object_run_dispose (G_OBJECT (protocol));
  expect_interrupted (protocol, &waited, wait_finish);
  g_object_run_dispose (G_OBJECT (protocol));
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/S10/open-keeps-alive", test_open_keeps_alive);
  g_test_add_func ("/protocol/S10/connect-keeps-alive", test_connect_keeps_alive);
  g_test_add_func ("/protocol/S10/disconnect-keeps-alive", test_disconnect_keeps_alive);
  g_test_add_func ("/protocol/S10/disconnect-without-callback-keeps-alive", test_disconnect_without_callback_keeps_alive);
  g_test_add_func ("/protocol/S10/flush-keeps-alive", test_flush_keeps_alive);
  g_test_add_func ("/protocol/S10/wait-runstate-keeps-alive", test_wait_keeps_alive);
  g_test_add_data_func ("/protocol/S10/read-message-keeps-alive", GINT_TO_POINTER (TRUE), test_read_and_write_keep_alive);
  g_test_add_data_func ("/protocol/S10/write-message-keeps-alive", GINT_TO_POINTER (FALSE), test_read_and_write_keep_alive);

  g_test_add_func ("/protocol/S10/reader-and-queue-keep-nothing-alive", test_reader_and_queue_keep_nothing_alive);
  g_test_add_func ("/protocol/S10/failed-session-keeps-nothing-alive", test_failed_session_keeps_nothing_alive);
  g_test_add_func ("/protocol/S10/dispose-in-another-thread", test_dispose_in_another_thread);
  g_test_add_func ("/protocol/S10/no-descriptor-is-left", test_no_descriptor_is_left);

  g_test_add_func ("/protocol/S10/run-dispose-interrupts/running", test_run_dispose_running);
  g_test_add_func ("/protocol/S10/run-dispose-interrupts/flushing", test_run_dispose_flushing);
  g_test_add_func ("/protocol/S10/run-dispose-interrupts/connecting", test_run_dispose_connecting);
  g_test_add_func ("/protocol/S10/run-dispose-interrupts/establishing", test_run_dispose_establishing);
  g_test_add_func ("/protocol/S10/run-dispose-interrupts/idle", test_run_dispose_idle);

  return g_test_run ();
}
