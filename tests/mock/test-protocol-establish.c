/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* establish_session: what becomes of its task, and the messages that it reads and writes. */

#include "session-util.h"

#include <string.h>

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static void
check_failing (LineResult  result,
               GQuark      domain,
               int         code,
               const char *pattern)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, result);
  g_assert_false (open_session (protocol, &peer, &error));
  assert_error_like (error, domain, code, pattern);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish ended(failed) disconnecting idle");
  peer_expect_eof (&peer);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_raises (void)
{
  check_failing (LINE_RAISE, LINE_ERROR, LINE_ESTABLISH_SESSION,
                 "Could not establish the session: establish_session raised");
}

static void
test_returns_false_without_error (void)
{
  check_failing (LINE_NOTHING, AQMP_ERROR, AQMP_ERROR_FAILED, "*establish_session*LineFull*");
}

static void
test_task_dropped (void)
{
  check_failing (LINE_DROP_TASK, AQMP_ERROR, AQMP_ERROR_FAILED, "*establish_session*");
}

static void
test_task_returned_error (void)
{
  check_failing (LINE_RETURN_ERROR, LINE_ERROR, LINE_ESTABLISH_SESSION,
                 "Could not establish the session: establish_session raised");
}

static void
test_task_returned_false (void)
{
  check_failing (LINE_RETURN_FALSE, AQMP_ERROR, AQMP_ERROR_FAILED, "*establish_session*LineFull*");
}

static void
test_task_returned_and_false (void)
{
  check_failing (LINE_RETURN_AND_RAISE, LINE_ERROR, LINE_ESTABLISH_SESSION,
                 "Could not establish the session: establish_session raised");
}

static void
test_task_returned_twice (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_RETURN_TWICE);
  g_test_expect_message ("GLib-GIO", G_LOG_LEVEL_CRITICAL, "*g_task_return*ever_returned*");
  open_session (protocol, &peer, &error);
  g_test_assert_expected_messages ();
  g_assert_no_error (error);
  line_protocol_send (protocol, "ping");
  peer_expect (&peer, "ping\n");
  end_session (&protocol);
}

static GTask *
keep_task (LineProtocol *protocol,
           Peer         *peer,
           GCancellable *cancellable,
           TestSlot     *slot)
{
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  start_open (protocol, peer, cancellable, slot);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (slot));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);
  return line_protocol_steal_task (protocol);
}

static void
test_task_returned_late (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &slot);
  g_autoptr (GError) error = NULL;

  g_task_return_boolean (task, TRUE);
  g_clear_object (&task);
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
}

static void
test_task_dropped_late (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  GTask *task = keep_task (protocol, &peer, NULL, &slot);
  g_autoptr (GError) error = NULL;

  g_object_unref (task);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_FAILED, "*establish_session*");
  peer_expect_eof (&peer);
  end_object (&protocol);
}

typedef struct
{
  LineProtocol *protocol;
  TestSlot      disconnected;
  guint         n_cancelled;
} Watcher;

static void
disconnect_when_cancelled (GCancellable *cancellable,
                           Watcher      *watcher)
{
  watcher->n_cancelled++;
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (watcher->protocol), NULL, test_slot_callback, &watcher->disconnected);
}

/* The cancellable of the task tells that the attempt was given up; a handler of that may do anything too. */
static void
test_disconnect_when_cancelled (gconstpointer data)
{
  const char *how = data;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  Watcher watcher = { protocol, TEST_SLOT_INIT, 0 };
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;

  if (g_str_equal (how, "timed-out"))
    aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 300);
  task = keep_task (protocol, &peer, cancellable, &slot);
  g_signal_connect (g_task_get_cancellable (task), "cancelled", G_CALLBACK (disconnect_when_cancelled), &watcher);

  if (g_str_equal (how, "cancelled"))
    g_cancellable_cancel (cancellable);
  else if (g_str_equal (how, "failed"))
    line_fail (protocol, NULL);
  else if (g_str_equal (how, "disposed"))
    g_object_run_dispose (G_OBJECT (protocol));

  g_assert_false (finish_open (protocol, &slot, &error));
  g_assert_cmpuint (watcher.n_cancelled, ==, 1);
  /* What is being disposed of interrupts that as well. */
  g_assert_cmpint (finish_disconnect_of (protocol, &watcher.disconnected, NULL), ==, !g_str_equal (how, "disposed"));
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_signal_handlers_disconnect_by_data (g_task_get_cancellable (task), &watcher);
  g_clear_object (&task);
  end_object (&protocol);
}

static void
test_not_cancelled_on_success (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &slot);
  g_autoptr (GCancellable) cancellable = g_object_ref (g_task_get_cancellable (task));

  g_task_return_boolean (task, TRUE);
  g_clear_object (&task);
  g_assert_true (finish_open (protocol, &slot, NULL));
  end_session (&protocol);
  g_assert_false (g_cancellable_is_cancelled (cancellable));
}

static gpointer
return_elsewhere (gpointer data)
{
  g_autoptr (GTask) task = data;

  g_task_return_boolean (task, TRUE);
  return NULL;
}

static gpointer
drop_elsewhere (gpointer data)
{
  g_object_unref (data);
  return NULL;
}

static void
test_task_returned_elsewhere (void)
{
  guint i;

  for (i = 0; i < 100; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new ();
      GThread *thread = g_thread_new ("returns", return_elsewhere, keep_task (protocol, &peer, NULL, &slot));
      g_autoptr (GError) error = NULL;

      finish_open (protocol, &slot, &error);
      g_assert_no_error (error);
      g_assert_true (line_trace_find (line_protocol_get_trace (protocol), "running")->thread == g_thread_self ());
      g_thread_join (thread);
      end_session (&protocol);
    }
}

static void
test_task_dropped_elsewhere (void)
{
  guint i;

  for (i = 0; i < 300; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new ();
      GThread *thread = g_thread_new ("drops", drop_elsewhere, keep_task (protocol, &peer, NULL, &slot));
      g_autoptr (GError) error = NULL;

      /* Every other time the attempt ends at that very moment. */
      if (i % 2 == 0)
        line_disconnect (protocol, NULL);
      g_assert_false (finish_open (protocol, &slot, &error));
      if (i % 2 == 0)
        g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      else
        g_assert_error (error, AQMP_ERROR, AQMP_ERROR_FAILED);
      g_thread_join (thread);
      end_object (&protocol);
    }
}

/* The attempt has ended; what its task then returns is nobody's business any more. */
static void
check_late_result (LineProtocol *protocol,
                   GTask        *task)
{
  line_trace_clear (line_protocol_get_trace (protocol));
  g_task_return_boolean (task, TRUE);
  test_dispatch_pending ();
  line_trace_expect (line_protocol_get_trace (protocol), "");
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
}

static void
test_true_and_timed_out (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 1);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  start_open (protocol, &peer, NULL, &slot);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: *");
  task = line_protocol_steal_task (protocol);
  g_assert_true (g_cancellable_is_cancelled (g_task_get_cancellable (task)));
  check_late_result (protocol, task);
  g_clear_object (&task);
  end_object (&protocol);
}

static void
test_true_and_cancelled (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, cancellable, &slot);
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
  check_late_result (protocol, task);
  g_clear_object (&task);
  end_object (&protocol);
}

static void
test_true_and_disconnected (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &slot);
  g_autoptr (GError) error = NULL;

  line_disconnect (protocol, NULL);
  g_assert_false (finish_open (protocol, &slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  check_late_result (protocol, task);
  g_clear_object (&task);
  end_object (&protocol);
}

static void
test_true_and_failed (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &slot);
  g_autoptr (GError) error = NULL;

  line_fail (protocol, NULL);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, LINE_ERROR, 99, "Could not establish the session: deed");
  check_late_result (protocol, task);
  g_clear_object (&task);
  end_object (&protocol);
}

/* What the task of an earlier attempt returns does not end the next. */
static void
test_late_result_does_not_end_the_next_attempt (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) next_slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) old_task = keep_task (protocol, &peer, NULL, &slot);
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;

  line_fail (protocol, NULL);
  g_assert_false (finish_open (protocol, &slot, NULL));
  task = keep_task (protocol, &peer, NULL, &next_slot);
  g_task_return_boolean (old_task, TRUE);
  g_clear_object (&old_task);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&next_slot));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);

  g_task_return_boolean (task, TRUE);
  g_clear_object (&task);
  finish_open (protocol, &next_slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
}

static void
test_default_returns_at_once (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  g_autoptr (AqmpProtocol) protocol = g_object_new (LINE_TYPE_BARE, NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_open_async (protocol, stream, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_open_finish (protocol, result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);

  aqmp_protocol_disconnect_async (protocol, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_disconnect_finish (protocol, result, &error);
  g_assert_no_error (error);
}

/* ---- single messages --------------------------------------------------------------------------------------------- */

static void
start_read (LineProtocol *protocol,
            GCancellable *cancellable,
            TestSlot     *slot)
{
  aqmp_protocol_read_message_async (AQMP_PROTOCOL (protocol), cancellable, test_slot_callback, slot);
}

static char *
finish_read (LineProtocol  *protocol,
             TestSlot      *slot,
             GError       **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GBytes) message = aqmp_protocol_read_message_finish (AQMP_PROTOCOL (protocol), result, error);
  gsize length;
  const char *text;

  if (message == NULL)
    return NULL;
  text = g_bytes_get_data (message, &length);
  return g_strndup (length > 0 ? text : "", length);
}

static void
start_write (LineProtocol *protocol,
             const char   *text,
             GCancellable *cancellable,
             TestSlot     *slot)
{
  g_autoptr (GBytes) message = bytes_of (text);

  aqmp_protocol_write_message_async (AQMP_PROTOCOL (protocol), message, cancellable, test_slot_callback, slot);
}

static gboolean
finish_write (LineProtocol  *protocol,
              TestSlot      *slot,
              GError       **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_protocol_write_message_finish (AQMP_PROTOCOL (protocol), result, error);
}

static void
expect_read (LineProtocol *protocol,
             const char   *expected)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  start_read (protocol, NULL, &slot);
  text = finish_read (protocol, &slot, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, expected);
}

static void
finish_handshake (LineProtocol  *protocol,
                  GTask        **task,
                  TestSlot      *slot)
{
  g_autoptr (GError) error = NULL;

  g_task_return_boolean (*task, TRUE);
  g_clear_object (task);
  finish_open (protocol, slot, &error);
  g_assert_no_error (error);
}

static void
test_read_and_write (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autoptr (GError) error = NULL;

  peer_send (&peer, "one\r\ntwo\nthree\n");
  expect_read (protocol, "one");
  expect_read (protocol, "two");
  start_write (protocol, "as it is", NULL, &slot);
  g_assert_true (finish_write (protocol, &slot, &error));
  g_assert_no_error (error);
  peer_expect (&peer, "as it is");
  finish_handshake (protocol, &task, &opened);

  /* What nobody read in the handshake is an ordinary message. */
  wait_trace (protocol, "receive(three)");
  line_trace_expect (trace, "connecting establish in(one) in(two) out(as it is) running in(three) receive(three)");
  end_session (&protocol);
}

static void
test_one_read_at_a_time (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  start_read (protocol, NULL, &first);
  start_read (protocol, NULL, &second);
  g_assert_null (finish_read (protocol, &second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_clear_error (&error);

  peer_send (&peer, "for the first\n");
  text = finish_read (protocol, &first, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "for the first");
  finish_handshake (protocol, &task, &opened);
  end_session (&protocol);
}

static void
test_cancelled_read_then_read (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autoptr (GError) error = NULL;

  start_read (protocol, cancellable, &slot);
  g_cancellable_cancel (cancellable);
  g_assert_null (finish_read (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);

  /* Comes before the next read, and another one with it. */
  peer_send (&peer, "one\ntwo\n");
  wait_trace (protocol, "in(one)");
  expect_read (protocol, "one");
  expect_read (protocol, "two");

  /* Cancelled already: nothing is taken. */
  peer_send (&peer, "three\n");
  start_read (protocol, cancellable, &slot);
  g_assert_null (finish_read (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  expect_read (protocol, "three");
  finish_handshake (protocol, &task, &opened);
  end_session (&protocol);
}

/* A message that came after its reader was cancelled is not lost if the session is established then. */
static void
test_message_after_cancelled_read_is_not_lost (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autoptr (GError) error = NULL;

  start_read (protocol, cancellable, &slot);
  g_cancellable_cancel (cancellable);
  g_assert_null (finish_read (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  peer_send (&peer, "one\ntwo\n");
  wait_trace (protocol, "in(one)");
  finish_handshake (protocol, &task, &opened);

  wait_trace (protocol, "receive(two)");
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish in(one) running receive(one) in(two) receive(two)");
  end_session (&protocol);
}

static void
test_read_pending_at_the_end (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autoptr (GError) error = NULL;

  start_read (protocol, NULL, &slot);
  finish_handshake (protocol, &task, &opened);
  g_assert_null (finish_read (protocol, &slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  peer_send (&peer, "for the session\n");
  wait_trace (protocol, "receive(for the session)");
  end_session (&protocol);
}

static void
fail_from_callback (GObject      *source,
                    GAsyncResult *result,
                    gpointer      slot)
{
  line_fail (LINE_PROTOCOL (source), NULL);
  test_slot_callback (source, result, slot);
}

/* The callback of that read may do anything too. */
static void
test_read_pending_at_the_end_fails_the_session (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_read_message_async (AQMP_PROTOCOL (protocol), NULL, fail_from_callback, &slot);
  test_dispatch_pending ();
  finish_handshake (protocol, &task, &opened);
  g_assert_null (finish_read (protocol, &slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running ended(failed) disconnecting");
  disconnect_session (protocol, &error);
  assert_error_like (error, LINE_ERROR, 99, "deed");
  end_object (&protocol);
}

static void
test_pending_when_the_attempt_fails (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) reading = TEST_SLOT_INIT;
  g_auto (TestSlot) writing = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autofree char *big = g_strnfill (4 * 1024 * 1024, 'x');
  g_autoptr (GError) read_error = NULL;
  g_autoptr (GError) write_error = NULL;
  g_autoptr (GError) error = NULL;

  start_read (protocol, NULL, &reading);
  start_write (protocol, big, NULL, &writing);
  test_dispatch_pending ();
  line_fail (protocol, NULL);
  g_assert_null (finish_read (protocol, &reading, &read_error));
  assert_error_like (read_error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "*deed*");
  g_assert_false (finish_write (protocol, &writing, &write_error));
  assert_error_like (write_error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "*deed*");
  g_assert_false (finish_open (protocol, &opened, &error));
  assert_error_like (error, LINE_ERROR, 99, "*deed");
  g_clear_object (&task);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_cancelled_write_is_written (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = keep_task (protocol, &peer, NULL, &opened);
  g_autofree char *big = g_strnfill (4 * 1024 * 1024, 'x');
  g_autoptr (GError) error = NULL;
  gsize length;

  start_write (protocol, big, cancellable, &slot);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_write (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);
  finish_handshake (protocol, &task, &opened);

  line_disconnect (protocol, &slot);
  length = peer_drain (&peer);
  g_assert_cmpuint (length, ==, 4 * 1024 * 1024);
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

static void
test_filter_refuses_in_handshake (void)
{
  static const LineSlot slots[] = { LINE_FILTER_OUTBOUND, LINE_FILTER_INBOUND, LINE_FRAME };
  static const char * const patterns[] = { "*filter_outbound*LineFull*", "*filter_inbound*LineFull*", "*frame*LineFull*" };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new ();
      g_autoptr (GError) raised = NULL;
      g_autoptr (GError) failed = NULL;
      g_auto (TestSlot) slot = TEST_SLOT_INIT;

      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
      line_protocol_set (protocol, slots[i], LINE_RAISE);
      start_open (protocol, &peer, NULL, &slot);
      peer_send (&peer, "hello\n");
      g_assert_false (finish_open (protocol, &slot, &raised));
      assert_error_like (raised, LINE_ERROR, slots[i], "Could not establish the session: * raised");
      peer_drain (&peer);

      line_protocol_set (protocol, slots[i], LINE_NOTHING);
      start_open (protocol, &peer, NULL, &slot);
      peer_send (&peer, "hello\n");
      g_assert_false (finish_open (protocol, &slot, &failed));
      assert_error_like (failed, AQMP_ERROR, AQMP_ERROR_FAILED, patterns[i]);
      peer_drain (&peer);
      check_usable (protocol);
      end_object (&protocol);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/protocol/T4/disconnect-when-cancelled/timed-out", "timed-out", test_disconnect_when_cancelled);
  g_test_add_data_func ("/protocol/T4/disconnect-when-cancelled/cancelled", "cancelled", test_disconnect_when_cancelled);
  g_test_add_data_func ("/protocol/T4/disconnect-when-cancelled/failed", "failed", test_disconnect_when_cancelled);
  g_test_add_data_func ("/protocol/T4/disconnect-when-cancelled/disposed", "disposed", test_disconnect_when_cancelled);
  g_test_add_func ("/protocol/establish/not-cancelled-on-success", test_not_cancelled_on_success);
  g_test_add_func ("/protocol/establish/raises", test_raises);
  g_test_add_func ("/protocol/establish/false-without-error-names-the-function", test_returns_false_without_error);
  g_test_add_func ("/protocol/establish/task-dropped-fails", test_task_dropped);
  g_test_add_func ("/protocol/establish/task-returned-an-error", test_task_returned_error);
  g_test_add_func ("/protocol/establish/task-returned-false-names-the-function", test_task_returned_false);
  g_test_add_func ("/protocol/establish/false-after-a-returned-task-fails", test_task_returned_and_false);
  g_test_add_func ("/protocol/establish/task-returned-twice-second-is-ignored", test_task_returned_twice);
  g_test_add_func ("/protocol/establish/task-returned-late", test_task_returned_late);
  g_test_add_func ("/protocol/establish/task-dropped-late-fails", test_task_dropped_late);
  g_test_add_func ("/protocol/establish/task-returned-in-another-thread", test_task_returned_elsewhere);
  g_test_add_func ("/protocol/establish/task-dropped-in-another-thread", test_task_dropped_elsewhere);
  g_test_add_func ("/protocol/establish/true-and-timed-out", test_true_and_timed_out);
  g_test_add_func ("/protocol/establish/true-and-cancelled", test_true_and_cancelled);
  g_test_add_func ("/protocol/establish/true-and-disconnected", test_true_and_disconnected);
  g_test_add_func ("/protocol/establish/true-and-failed", test_true_and_failed);
  g_test_add_func ("/protocol/establish/late-result-does-not-end-the-next-attempt",
                   test_late_result_does_not_end_the_next_attempt);
  g_test_add_func ("/protocol/establish/default-returns-at-once", test_default_returns_at_once);

  g_test_add_func ("/protocol/establish/reads-and-writes-messages", test_read_and_write);
  g_test_add_func ("/protocol/establish/one-read-at-a-time", test_one_read_at_a_time);
  g_test_add_func ("/protocol/establish/cancelled-read-leaves-the-message-to-the-next", test_cancelled_read_then_read);
  g_test_add_func ("/protocol/establish/message-after-a-cancelled-read-is-not-lost",
                   test_message_after_cancelled_read_is_not_lost);
  g_test_add_func ("/protocol/establish/read-pending-at-the-end-fails", test_read_pending_at_the_end);
  g_test_add_func ("/protocol/establish/read-pending-at-the-end-may-fail-the-session",
                   test_read_pending_at_the_end_fails_the_session);
  g_test_add_func ("/protocol/establish/pending-when-the-attempt-fails-is-interrupted", test_pending_when_the_attempt_fails);
  g_test_add_func ("/protocol/establish/cancelled-write-is-written", test_cancelled_write_is_written);
  g_test_add_func ("/protocol/establish/filters-and-framing-can-refuse", test_filter_refuses_in_handshake);

  return g_test_run ();
}
