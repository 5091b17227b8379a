/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Disconnecting: S7; and that sessions do not mix: S12. */

#include "session-util.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOG (1024 * 1024 + 1)

/* ---- S7: a clean end --------------------------------------------------------------------------------------------- */

static void
test_queued_is_sent_first (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  line_protocol_send (protocol, "last");
  line_disconnect (protocol, &slot);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpuint (peer_drain (&peer), ==, CLOG + strlen ("last\n"));
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

static void
test_unfiltered_is_sent_first (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_trace_clear (line_protocol_get_trace (protocol));
  line_protocol_set (protocol, LINE_FILTER_OUTBOUND, LINE_REPLACE);
  line_protocol_send (protocol, "one");
  line_protocol_send (protocol, "two");
  line_disconnect (protocol, &slot);
  peer_expect (&peer, "new-one\nnew-two\n");
  peer_expect_eof (&peer);
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_no_error (error);
  line_trace_expect (line_protocol_get_trace (protocol), "out(one) out(two) ended(clean) disconnecting idle");
  end_object (&protocol);
}

static void
test_reads_and_routes_meanwhile (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  line_disconnect (protocol, &slot);
  test_dispatch_pending ();
  peer_send (&peer, "news\n");
  wait_trace (protocol, "receive(news)");
  g_assert_cmpint (line_trace_find (line_protocol_get_trace (protocol), "receive(news)")->runstate, ==,
                   AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (test_slot_is_done (&slot));
  peer_drain (&peer);
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

static void
test_flush_pending_is_flushed (void)
{
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &flushed);
  line_disconnect (protocol, &closed);
  peer_drain (&peer);
  finish_flush (protocol, &flushed, &error);
  g_assert_no_error (error);
  finish_disconnect_of (protocol, &closed, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

static void
test_peer_leaves_first_with_nothing_queued (void)
{
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  peer_close (&peer);
  line_disconnect (protocol, &closed);
  finish_disconnect_of (protocol, &closed, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "ended(clean)"), ==, 1);
  end_object (&protocol);
}

static void
test_peer_leaves_while_flushing (void)
{
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) flush_error = NULL;
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &flushed);
  line_disconnect (protocol, &closed);
  test_dispatch_pending ();
  peer_close (&peer);
  g_assert_false (finish_disconnect_of (protocol, &closed, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_false (finish_flush (protocol, &flushed, &flush_error));
  g_assert_error (flush_error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "ended(failed)"), ==, 1);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- S7: what fails while flushing ------------------------------------------------------------------------------- */

typedef struct
{
  const char *path;
  LineSlot    slot;
  LineResult  result;
  const char *pattern;
} FlushCase;

static const FlushCase flush_cases[] = {
  { "message-received-raises", LINE_MESSAGE_RECEIVED, LINE_RAISE, "message_received raised" },
  { "message-received-returns-nothing", LINE_MESSAGE_RECEIVED, LINE_NOTHING, "message_received*LineFull*" },
  { "filter-inbound-raises", LINE_FILTER_INBOUND, LINE_RAISE, "filter_inbound raised" },
  { "filter-inbound-returns-nothing", LINE_FILTER_INBOUND, LINE_NOTHING, "filter_inbound*LineFull*" },
  { "filter-outbound-raises", LINE_FILTER_OUTBOUND, LINE_RAISE, "filter_outbound raised" },
  { "filter-outbound-returns-nothing", LINE_FILTER_OUTBOUND, LINE_NOTHING, "filter_outbound*LineFull*" },
  { "frame-raises", LINE_FRAME, LINE_RAISE, "frame raised" },
  { "frame-returns-nothing", LINE_FRAME, LINE_NOTHING, "frame*LineFull*" },
};

static void
test_failure_while_flushing (gconstpointer data)
{
  const FlushCase *flush = data;
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  line_protocol_when (protocol, flush->slot, flush->slot == LINE_FRAME ? NULL : "message", NULL, NULL, flush->result);
  line_protocol_send (protocol, "message");
  line_disconnect (protocol, &closed);
  peer_send (&peer, "message\n");
  g_assert_false (finish_disconnect_of (protocol, &closed, &error));
  if (flush->result == LINE_RAISE)
    assert_error_like (error, LINE_ERROR, flush->slot, flush->pattern);
  else
    assert_error_like (error, AQMP_ERROR, AQMP_ERROR_FAILED, flush->pattern);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_cmpuint (peer_drain (&peer), <, CLOG);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- S7: a peer that never reads --------------------------------------------------------------------------------- */

static void
test_flush_timeout (void)
{
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) flush_error = NULL;
  g_autoptr (GError) error = NULL;
  gint64 before = g_get_monotonic_time ();

  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &flushed);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 40);
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "*40 ms*");
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 40 * 1000);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));

  /* Pending at the close. */
  g_assert_false (finish_flush (protocol, &flushed, &flush_error));
  g_assert_error (flush_error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);

  /* It was closed, and the rest dropped. */
  g_assert_cmpuint (peer_drain (&peer), <, CLOG);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "ended(clean)"), ==, 1);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_no_flush_timeout (void)
{
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) flush_error = NULL;
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &flushed);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 0);
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_false (finish_flush (protocol, &flushed, &flush_error));
  g_assert_error (flush_error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpuint (peer_drain (&peer), <, CLOG);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- S7: a stream that does not close well ----------------------------------------------------------------------- */

typedef struct
{
  GIOStream  parent;
  GIOStream *base;      /* (owned) */
  guint      n_closed;
} BadStream;
typedef GIOStreamClass BadStreamClass;
static GType bad_stream_get_type (void);
G_DEFINE_TYPE (BadStream, bad_stream, G_TYPE_IO_STREAM)

static GInputStream *
bad_stream_get_input_stream (GIOStream *stream)
{
  return g_io_stream_get_input_stream (((BadStream *) stream)->base);
}

static GOutputStream *
bad_stream_get_output_stream (GIOStream *stream)
{
  return g_io_stream_get_output_stream (((BadStream *) stream)->base);
}

static gboolean
bad_stream_close (GIOStream     *stream,
                  GCancellable  *cancellable,
                  GError       **error)
{
  BadStream *self = (BadStream *) stream;

  self->n_closed++;
  g_io_stream_close (self->base, NULL, NULL);
  g_set_error_literal (error, LINE_ERROR, 97, "the close failed too");
  return FALSE;
}

static void
bad_stream_finalize (GObject *object)
{
  g_object_unref (((BadStream *) object)->base);
  G_OBJECT_CLASS (bad_stream_parent_class)->finalize (object);
}

static void
bad_stream_class_init (BadStreamClass *klass)
{
  klass->get_input_stream = bad_stream_get_input_stream;
  klass->get_output_stream = bad_stream_get_output_stream;
  klass->close_fn = bad_stream_close;
  G_OBJECT_CLASS (klass)->finalize = bad_stream_finalize;
}

static void
bad_stream_init (BadStream *self)
{
}

static void
test_close_error_is_dropped (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = g_object_new (bad_stream_get_type (), NULL);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  ((BadStream *) stream)->base = peer_connect (&peer);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &slot);
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  line_fail (protocol, NULL);
  g_assert_cmpuint (((BadStream *) stream)->n_closed, ==, 1);
  peer_expect_eof (&peer);
  assert_error_like (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)), LINE_ERROR, 99, "deed");
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, LINE_ERROR, 99, "deed");
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- S12 --------------------------------------------------------------------------------------------------------- */

static void
next_session (LineProtocol *protocol,
              Peer         *peer)
{
  g_autoptr (GError) error = NULL;

  line_trace_clear (line_protocol_get_trace (protocol));
  open_session (protocol, peer, &error);
  g_assert_no_error (error);
  line_protocol_send (protocol, "new");
  peer_expect (peer, "new\n");
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  peer_expect_eof (peer);
}

static void
test_queued_does_not_reach_the_next (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  fill_queue (protocol);
  line_protocol_send (protocol, "old");
  test_dispatch_pending ();
  line_fail (protocol, NULL);
  g_assert_false (disconnect_session (protocol, NULL));
  next_session (protocol, &peer);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running out(new) ended(clean) disconnecting idle");
  end_object (&protocol);
}

static void
test_unfiltered_does_not_reach_the_next (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  line_protocol_send (protocol, "old");
  line_fail (protocol, NULL);
  g_assert_false (disconnect_session (protocol, NULL));
  next_session (protocol, &peer);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running out(new) ended(clean) disconnecting idle");
  end_object (&protocol);
}

static void
test_plain_queued_does_not_reach_the_next (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;

  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  line_protocol_send (protocol, "old");
  line_fail (protocol, NULL);
  g_assert_false (disconnect_session (protocol, NULL));
  next_session (protocol, &peer);
  end_object (&protocol);
}

static void
test_handshake_message_does_not_reach_the_next (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) written = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = NULL;
  g_autoptr (GBytes) old = bytes_of ("old\n");

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  start_open (protocol, &peer, NULL, &opened);
  task = line_protocol_steal_task (protocol);
  aqmp_protocol_write_message_async (AQMP_PROTOCOL (protocol), old, NULL, test_slot_callback, &written);
  line_fail (protocol, NULL);
  g_assert_false (finish_open (protocol, &opened, NULL));
  test_wait_until (test_slot_is_done (&written));
  test_slot_clear (&written);
  g_clear_object (&task);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_CHAIN_UP);
  next_session (protocol, &peer);
  end_object (&protocol);
}

/* The same for a message that was read in a handshake and that nobody has taken. */
static void
test_handshake_inbox_does_not_reach_the_next (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) reading = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  start_open (protocol, &peer, NULL, &opened);
  task = line_protocol_steal_task (protocol);
  aqmp_protocol_read_message_async (AQMP_PROTOCOL (protocol), cancellable, test_slot_callback, &reading);
  g_cancellable_cancel (cancellable);
  test_wait_until (test_slot_is_done (&reading));
  test_slot_clear (&reading);
  peer_send (&peer, "old\n");
  wait_trace (protocol, "in(old)");
  line_fail (protocol, NULL);
  g_assert_false (finish_open (protocol, &opened, NULL));
  g_clear_object (&task);

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &opened);
  peer_expect (&peer, "hi\n");
  peer_send (&peer, "hello\n");
  finish_open (protocol, &opened, &error);
  g_assert_no_error (error);
  end_session (&protocol);
}

static void
test_arrived_does_not_reach_the_next (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  line_protocol_set (protocol, LINE_MESSAGE_RECEIVED, LINE_RAISE);
  peer_send (&peer, "one\ntwo\nthr");
  peer_expect_eof (&peer);
  g_assert_false (disconnect_session (protocol, NULL));
  line_protocol_set (protocol, LINE_MESSAGE_RECEIVED, LINE_CHAIN_UP);
  next_session (protocol, &peer);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "receive(two)"), ==, 0);
  end_object (&protocol);
}

typedef struct
{
  Peer     peer;
  gboolean done;
} Next;

static void
begin_next_session (LineProtocol *protocol,
                    gpointer      user_data)
{
  Next *next = user_data;
  g_autoptr (GError) error = NULL;

  if (next->done)
    return;

  next->done = TRUE;
  line_fail (protocol, NULL);
  g_assert_false (disconnect_session (protocol, NULL));
  open_session (protocol, &next->peer, &error);
  g_assert_no_error (error);
}

/* A virtual function runs the loop until the next session runs; what it then returns was for the one before. */
static void
test_result_is_for_its_own_session (gconstpointer data)
{
  LineSlot slot = GPOINTER_TO_UINT (data);
  g_auto (Peer) peer = PEER_INIT;
  Next next = { PEER_INIT, FALSE };
  LineProtocol *protocol = new_session (&peer);

  line_protocol_when (protocol, slot, "old", begin_next_session, &next, LINE_RAISE);
  if (slot == LINE_FILTER_OUTBOUND)
    line_protocol_send (protocol, "old");
  peer_send (&peer, "old\nolder\n");
  test_wait_until (next.done && get_state (protocol) == AQMP_RUNSTATE_RUNNING);
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);

  line_protocol_send (protocol, "new");
  peer_expect (&next.peer, "new\n");
  peer_send (&next.peer, "newer\n");
  wait_trace (protocol, "receive(newer)");
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "receive(older)"), ==, 0);
  end_session (&protocol);
  peer_expect_eof (&next.peer);
  peer_close (&next.peer);
}

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/S7/queued-is-sent-first", test_queued_is_sent_first);
  g_test_add_func ("/protocol/S7/queued-is-filtered-and-sent-first", test_unfiltered_is_sent_first);
  g_test_add_func ("/protocol/S7/reads-and-routes-meanwhile", test_reads_and_routes_meanwhile);
  g_test_add_func ("/protocol/S7/pending-flush-succeeds", test_flush_pending_is_flushed);
  g_test_add_func ("/protocol/S7/peer-leaves-with-nothing-queued", test_peer_leaves_first_with_nothing_queued);
  g_test_add_func ("/protocol/S7/peer-leaves-with-something-queued", test_peer_leaves_while_flushing);
  for (i = 0; i < G_N_ELEMENTS (flush_cases); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/S7/while-flushing/", flush_cases[i].path, NULL);

      g_test_add_data_func (path, &flush_cases[i], test_failure_while_flushing);
    }
  g_test_add_func ("/protocol/S7/flush-timeout-ends-the-flush", test_flush_timeout);
  g_test_add_func ("/protocol/S7/flush-timeout-0-closes-at-once", test_no_flush_timeout);
  g_test_add_func ("/protocol/S7/secondary-close-error-is-dropped", test_close_error_is_dropped);

  g_test_add_func ("/protocol/S12/queued-does-not-reach-the-next-session", test_queued_does_not_reach_the_next);
  g_test_add_func ("/protocol/S12/unfiltered-does-not-reach-the-next-session", test_unfiltered_does_not_reach_the_next);
  g_test_add_func ("/protocol/S12/unfilterable-does-not-reach-the-next-session", test_plain_queued_does_not_reach_the_next);
  g_test_add_func ("/protocol/S12/handshake-message-does-not-reach-the-next-session",
                   test_handshake_message_does_not_reach_the_next);
  g_test_add_func ("/protocol/S12/untaken-handshake-message-does-not-reach-the-next-session",
                   test_handshake_inbox_does_not_reach_the_next);
  g_test_add_func ("/protocol/S12/arrived-does-not-reach-the-next-session", test_arrived_does_not_reach_the_next);
  g_test_add_data_func ("/protocol/S12/late-result-of-message-received-is-for-its-own-session",
                        GUINT_TO_POINTER (LINE_MESSAGE_RECEIVED), test_result_is_for_its_own_session);
  g_test_add_data_func ("/protocol/S12/late-result-of-filter-inbound-is-for-its-own-session",
                        GUINT_TO_POINTER (LINE_FILTER_INBOUND), test_result_is_for_its_own_session);
  g_test_add_data_func ("/protocol/S12/late-result-of-filter-outbound-is-for-its-own-session",
                        GUINT_TO_POINTER (LINE_FILTER_OUTBOUND), test_result_is_for_its_own_session);

  return g_test_run ();
}
