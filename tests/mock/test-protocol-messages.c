/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Messages in and out, their filters, lines, and what a message may cost: M1, M2, M4. */

#include "session-util.h"

#include <malloc.h>
#include <string.h>
#include <sys/socket.h>

/* ---- M1 ---------------------------------------------------------------------------------------------------------- */

static void
test_inbound_order (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  line_trace_clear (line_protocol_get_trace (protocol));
  peer_send (&peer, "one\ntwo\n");
  wait_trace (protocol, "receive(two)");
  line_trace_expect (line_protocol_get_trace (protocol), "in(one) receive(one) in(two) receive(two)");
  g_assert_cmpuint (line_trace_get_n_frame (line_protocol_get_trace (protocol)), >=, 2);
  end_session (&protocol);
}

static void
test_outbound_order (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  line_trace_clear (line_protocol_get_trace (protocol));
  line_protocol_send (protocol, "one");
  line_protocol_send (protocol, "two");
  /* Queued, not filtered yet. */
  line_trace_expect (line_protocol_get_trace (protocol), "");
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 8);
  peer_expect (&peer, "one\ntwo\n");
  line_trace_expect (line_protocol_get_trace (protocol), "out(one) out(two)");
  end_session (&protocol);
}

static void
test_filter_inbound_replaces (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  line_protocol_when (protocol, LINE_FILTER_INBOUND, "two", NULL, NULL, LINE_REPLACE);
  line_trace_clear (line_protocol_get_trace (protocol));
  peer_send (&peer, "one\ntwo\nthree\n");
  wait_trace (protocol, "receive(three)");
  line_trace_expect (line_protocol_get_trace (protocol),
                     "in(one) receive(one) in(two) receive(new-two) in(three) receive(three)");
  end_session (&protocol);
}

static void
test_filter_outbound_replaces (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  line_protocol_when (protocol, LINE_FILTER_OUTBOUND, "two", NULL, NULL, LINE_REPLACE);
  line_protocol_send (protocol, "one");
  line_protocol_send (protocol, "two");
  line_protocol_send (protocol, "three");
  peer_expect (&peer, "one\nnew-two\nthree\n");
  end_session (&protocol);
}

/* What was filtered before still goes; nothing after it does. */
static void
test_filter_outbound_refuses (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_protocol_when (protocol, LINE_FILTER_OUTBOUND, "two", NULL, NULL, LINE_RAISE);
  line_trace_clear (line_protocol_get_trace (protocol));
  line_protocol_send (protocol, "one");
  line_protocol_send (protocol, "two");
  line_protocol_send (protocol, "three");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (line_protocol_get_trace (protocol), "out(one) out(two) ended(failed) disconnecting");
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, LINE_ERROR, LINE_FILTER_OUTBOUND, "filter_outbound raised");
  end_object (&protocol);
}

static void
test_handshake_is_filtered (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  line_protocol_set (protocol, LINE_FILTER_OUTBOUND, LINE_REPLACE);
  line_protocol_set (protocol, LINE_FILTER_INBOUND, LINE_REPLACE);
  start_open (protocol, &peer, NULL, &slot);
  peer_expect (&peer, "new-hi\n");
  peer_send (&peer, "hello\n");
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, LINE_ERROR, LINE_ESTABLISH_SESSION, "*“new-hello” is no greeting");
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish out(hi) in(hello) ended(failed) disconnecting idle");
  end_object (&protocol);
}

/* A source's prepare has no dispatch around it. */
static void
test_filters_run_from_dispatch (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  guint i;

  line_trace_clear (trace);
  line_protocol_send (protocol, "one");
  peer_expect (&peer, "one\n");
  peer_send (&peer, "two\n");
  wait_trace (protocol, "receive(two)");
  line_protocol_set (protocol, LINE_FILTER_OUTBOUND, LINE_RAISE);
  line_protocol_send (protocol, "three");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);

  line_trace_expect (trace, "out(one) in(two) receive(two) out(three) ended(failed) disconnecting");
  for (i = 0; i < line_trace_get_length (trace); i++)
    {
      g_assert_cmpint (line_trace_get (trace, i)->depth, ==, 1);
      g_assert_true (line_trace_get (trace, i)->context == g_main_context_default ());
    }
  g_assert_false (disconnect_session (protocol, NULL));
  end_object (&protocol);
}

/* A write that fails is noticed where the queue is written; who is told of it is told from dispatch. */
static void
test_write_failure_from_dispatch (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  line_trace_clear (trace);
  shutdown (peer.fd, SHUT_RD);
  line_protocol_send (protocol, "in vain");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (trace, "ended(failed) disconnecting");
  g_assert_cmpint (line_trace_get (trace, 0)->depth, ==, 1);
  g_assert_cmpint (line_trace_get (trace, 1)->depth, ==, 1);
  g_assert_false (disconnect_session (protocol, NULL));
  end_object (&protocol);
}

static void
test_fail_from_calling_function (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);

  line_trace_clear (trace);
  line_fail (protocol, NULL);
  line_trace_expect (trace, "ended(failed) disconnecting");
  g_assert_cmpint (line_trace_get (trace, 0)->depth, ==, 0);
  g_assert_false (disconnect_session (protocol, NULL));
  end_object (&protocol);
}

/* No message is made for a filter, and nothing is dispatched: what is queued goes out before the next poll. */
static void
test_default_filters_cost_nothing (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;

  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  test_dispatch_pending ();
  line_protocol_send (protocol, "ping");
  g_assert_false (g_main_context_iteration (NULL, FALSE));
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 0);
  peer_expect (&peer, "ping\n");
  end_session (&protocol);
}

static void
test_no_slot_is_null (void)
{
  AqmpProtocolClass *klass = g_type_class_ref (LINE_TYPE_BARE);
  g_autoptr (AqmpProtocol) protocol = g_object_new (LINE_TYPE_BARE, NULL);
  g_autoptr (AqmpEvent) event = aqmp_event_new ("STOP", -1, NULL);
  g_autoptr (GBytes) message = bytes_of ("message");
  g_autoptr (GBytes) inbound = NULL;
  g_autoptr (GBytes) outbound = NULL;
  gsize payload_length = 0;
  g_autoptr (GError) error = NULL;

  klass->runstate_changed (protocol, AQMP_RUNSTATE_IDLE);
  klass->event (protocol, event);
  klass->session_ended (protocol, NULL);
  g_assert_true (klass->message_received (protocol, message, &error));
  inbound = klass->filter_inbound (protocol, message, &error);
  g_assert_true (inbound == message);
  outbound = klass->filter_outbound (protocol, message, &error);
  g_assert_true (outbound == message);
  g_assert_cmpint (klass->frame (protocol, (const guint8 *) "a\r\nb", 4, 0, FALSE, &payload_length, &error), ==, 3);
  g_assert_cmpuint (payload_length, ==, 1);
  g_assert_nonnull (klass->establish_session);
  g_assert_no_error (error);
  g_type_class_unref (klass);
}

/* ---- M2 ---------------------------------------------------------------------------------------------------------- */

static void
check_lines (const char *sent,
             gboolean    at_end,
             const char *expected)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_FILTER_INBOUND, LINE_CHAIN_UP);
  line_trace_clear (trace);
  peer_send (&peer, sent);
  if (!at_end)
    {
      wait_trace (protocol, "receive(end)");
      line_trace_expect (trace, expected);
      end_session (&protocol);
      return;
    }

  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (trace, expected);
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The peer closed the connection");
  end_object (&protocol);
}

static void
test_lf_lines (void)
{
  check_lines ("one\ntwo\nend\n", FALSE, "in(one) receive(one) in(two) receive(two) in(end) receive(end)");
}

static void
test_crlf_lines (void)
{
  check_lines ("one\r\ntwo\nend\r\n", FALSE, "in(one) receive(one) in(two) receive(two) in(end) receive(end)");
}

static void
test_empty_lines (void)
{
  check_lines ("\n\r\nend\n", FALSE, "in() receive() in() receive() in(end) receive(end)");
}

static void
test_last_line_without_newline (void)
{
  check_lines ("one\ntwo", TRUE, "in(one) receive(one) in(two) receive(two) ended(failed) disconnecting");
}

typedef struct
{
  GPtrArray *lines;    /* (element-type GBytes) */
} Collected;

static gboolean
collect (AqmpProtocol  *protocol,
         GBytes        *message,
         GError       **error)
{
  Collected *collected = g_object_get_data (G_OBJECT (protocol), "collected");

  g_ptr_array_add (collected->lines, g_bytes_ref (message));
  return TRUE;
}

typedef AqmpProtocol CollectProtocol;
typedef AqmpProtocolClass CollectProtocolClass;
static GType collect_protocol_get_type (void);
G_DEFINE_TYPE (CollectProtocol, collect_protocol, AQMP_TYPE_PROTOCOL)

static void
collect_protocol_class_init (CollectProtocolClass *klass)
{
  klass->message_received = collect;
}

static void
collect_protocol_init (CollectProtocol *self)
{
}

static AqmpProtocol *
new_collector (Peer      *peer,
               Collected *collected)
{
  g_autoptr (GIOStream) stream = peer_connect (peer);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  AqmpProtocol *protocol = g_object_new (collect_protocol_get_type (), NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  collected->lines = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_object_set_data (G_OBJECT (protocol), "collected", collected);
  aqmp_protocol_open_async (protocol, stream, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_open_finish (protocol, result, &error);
  g_assert_no_error (error);
  return protocol;
}

static void
test_bytes_are_exact (void)
{
  static const char sent[] = "a\0b\n \xff\xfe\t \r\n\rx\r\n";
  g_auto (Peer) peer = PEER_INIT;
  Collected collected;
  g_autoptr (AqmpProtocol) protocol = new_collector (&peer, &collected);
  const struct { const char *data; gsize length; } expected[] = { { "a\0b", 3 }, { " \xff\xfe\t ", 5 }, { "\rx", 2 } };
  gsize i;

  g_assert_cmpint (send (peer.fd, sent, sizeof sent - 1, MSG_NOSIGNAL), ==, sizeof sent - 1);
  test_wait_until (collected.lines->len == G_N_ELEMENTS (expected));
  for (i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      gsize length;
      const void *data = g_bytes_get_data (g_ptr_array_index (collected.lines, i), &length);

      g_assert_cmpmem (data, length, expected[i].data, expected[i].length);
    }
  g_assert_cmpint (aqmp_protocol_get_runstate (protocol), ==, AQMP_RUNSTATE_RUNNING);
  g_ptr_array_unref (collected.lines);
}

/* ---- M4 ---------------------------------------------------------------------------------------------------------- */

static void
test_longest_message (gconstpointer data)
{
  const char *ending = data;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autofree char *longest = g_strnfill (100, 'x');
  g_autofree char *line = g_strconcat (longest, ending, longest, ending, NULL);
  g_autofree char *what = g_strdup_printf ("receive(%s)", longest);

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (protocol), 100);
  peer_send (&peer, line);
  test_wait_until (line_trace_count (line_protocol_get_trace (protocol), what) == 2);
  end_session (&protocol);
}

static void
test_too_long_message (gconstpointer data)
{
  const char *ending = data;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autofree char *too_long = g_strnfill (101, 'x');
  g_autofree char *line = g_strconcat ("fine\n", too_long, ending, NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (protocol), 100);
  line_trace_clear (trace);
  peer_send (&peer, line);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (trace, "in(fine) receive(fine) ended(failed) disconnecting");
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE, "*100*max-message-size*");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_endless_message (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autofree char *endless = g_strnfill (16 * 1024, 'x');
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (protocol), 1024 * 1024);
  mock_flood (mock, endless, -1, 4 * 1024 * 1024);
  connect_session (protocol, mock, NULL, &error);
  g_assert_no_error (error);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE);
  end_object (&protocol);
}

static void
test_too_long_greeting (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autofree char *too_long = g_strnfill (103, 'x');
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (protocol), 100);
  start_open (protocol, &peer, NULL, &slot);
  peer_send (&peer, too_long);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE, "Could not establish the session: *100*");
  end_object (&protocol);
}

/* Bytes in use; 0 where the allocator does not tell. */
static gsize
get_heap (void)
{
  struct mallinfo2 info;

  test_dispatch_pending ();
  info = mallinfo2 ();
  return info.uordblks + info.hblkhd;
}

static gboolean
heap_is_known (void)
{
  gsize before = get_heap ();
  g_autofree char *something = g_strnfill (1024 * 1024, 'x');

  if (get_heap () >= before + strlen (something))
    return TRUE;

  g_test_skip ("this allocator does not tell what is in use");
  return FALSE;
}

static void
send_and_wait (Peer       *peer,
               Collected  *collected,
               const char *text,
               guint       n_lines)
{
  guint expected = collected->lines->len + n_lines;
  gsize length = strlen (text);
  gsize done = 0;

  while (done < length || collected->lines->len < expected)
    {
      gssize n_sent = done < length ? send (peer->fd, text + done, length - done, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

      if (n_sent > 0)
        done += n_sent;
      test_dispatch_pending ();
    }
}

static void
test_inbound_buffer_shrinks (void)
{
  g_auto (Peer) peer = PEER_INIT;
  Collected collected;
  g_autoptr (AqmpProtocol) protocol = NULL;
  g_autofree char *text = NULL;
  gsize before;
  guint i;

  if (!heap_is_known ())
    return;

  /* Enough comes right behind the big one for it not to take the buffer with it. */
  text = g_strnfill (5 * 1024 * 1024, 'x');
  text[5 * 1024 * 1024 - 10000] = '\n';
  text[5 * 1024 * 1024 - 1] = '\n';

  protocol = new_collector (&peer, &collected);
  send_and_wait (&peer, &collected, "small\n", 1);
  g_ptr_array_set_size (collected.lines, 0);
  before = get_heap ();

  send_and_wait (&peer, &collected, text, 2);
  g_ptr_array_set_size (collected.lines, 0);
  for (i = 0; i < 400; i++)
    send_and_wait (&peer, &collected, "small\n", 1);
  g_ptr_array_set_size (collected.lines, 0);
  g_assert_cmpuint (get_heap (), <, before + 64 * 1024);
  g_ptr_array_unref (collected.lines);
}

static void
test_outbound_buffer_shrinks (void)
{
  g_auto (Peer) peer = PEER_INIT;
  Collected collected;
  g_autoptr (AqmpProtocol) protocol = NULL;
  g_autoptr (GBytes) small = bytes_of ("small\n");
  gsize before;

  if (!heap_is_known ())
    return;

  protocol = new_collector (&peer, &collected);
  g_assert_true (aqmp_protocol_send_message (protocol, small, NULL));
  peer_expect (&peer, "small\n");
  before = get_heap ();

    {
      g_autofree char *text = g_strnfill (5 * 1024 * 1024, 'x');
      g_autoptr (GBytes) big = bytes_of (text);
      char buffer[65536];
      gsize left = 5 * 1024 * 1024;

      g_assert_true (aqmp_protocol_send_message (protocol, big, NULL));
      while (left > 0)
        {
          gssize n_received = recv (peer.fd, buffer, sizeof buffer, MSG_DONTWAIT);

          left -= MAX (n_received, 0);
          test_dispatch_pending ();
        }
    }

  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (protocol), ==, 0);
  g_assert_cmpuint (get_heap (), <, before + 64 * 1024);
  g_ptr_array_unref (collected.lines);
}

/* What is kept of a message keeps nothing else alive. */
static void
test_message_pins_its_own_size (gconstpointer data)
{
  gsize size = GPOINTER_TO_SIZE (data);
  g_auto (Peer) peer = PEER_INIT;
  Collected collected;
  g_autoptr (AqmpProtocol) protocol = NULL;
  g_autofree char *text = NULL;
  g_autofree char *line = NULL;
  const guint n_lines = MAX (8, 512 * 1024 / size);
  gsize before;
  guint i;

  if (!heap_is_known ())
    return;

  protocol = new_collector (&peer, &collected);
  text = g_strnfill (size, 'x');
  line = g_strconcat (text, "\n", NULL);
  send_and_wait (&peer, &collected, line, 1);
  before = get_heap ();
  for (i = 0; i < n_lines; i++)
    send_and_wait (&peer, &collected, line, 1);
  g_assert_cmpuint (get_heap () - before, <, 2 * n_lines * (size + 128));
  g_ptr_array_unref (collected.lines);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/M1/inbound-is-framed-filtered-received", test_inbound_order);
  g_test_add_func ("/protocol/M1/outbound-is-queued-filtered-written", test_outbound_order);
  g_test_add_func ("/protocol/M1/filter-inbound-replaces", test_filter_inbound_replaces);
  g_test_add_func ("/protocol/M1/filter-outbound-replaces", test_filter_outbound_replaces);
  g_test_add_func ("/protocol/M1/filter-outbound-fails-the-session", test_filter_outbound_refuses);
  g_test_add_func ("/protocol/M1/handshake-messages-pass-the-filters", test_handshake_is_filtered);
  g_test_add_func ("/protocol/M1/filters-run-from-dispatch", test_filters_run_from_dispatch);
  g_test_add_func ("/protocol/M1/failure-to-write-is-told-from-dispatch", test_write_failure_from_dispatch);
  g_test_add_func ("/protocol/M1/fail-acts-in-the-calling-function", test_fail_from_calling_function);
  g_test_add_func ("/protocol/M1/default-filters-cost-nothing", test_default_filters_cost_nothing);
  g_test_add_func ("/protocol/M1/no-slot-is-null", test_no_slot_is_null);

  g_test_add_func ("/protocol/M2/lf-lines", test_lf_lines);
  g_test_add_func ("/protocol/M2/crlf-lines", test_crlf_lines);
  g_test_add_func ("/protocol/M2/empty-lines", test_empty_lines);
  g_test_add_func ("/protocol/M2/last-line-without-newline-then-eof", test_last_line_without_newline);
  g_test_add_func ("/protocol/M2/bytes-are-exact", test_bytes_are_exact);

  g_test_add_data_func ("/protocol/M4/longest-message", "\n", test_longest_message);
  g_test_add_data_func ("/protocol/M4/longest-message-crlf", "\r\n", test_longest_message);
  g_test_add_data_func ("/protocol/M4/too-long-message", "\n", test_too_long_message);
  g_test_add_data_func ("/protocol/M4/too-long-message-crlf", "\r\n", test_too_long_message);
  g_test_add_func ("/protocol/M4/endless-message", test_endless_message);
  g_test_add_func ("/protocol/M4/too-long-greeting", test_too_long_greeting);
  g_test_add_func ("/protocol/M4/inbound-buffer-shrinks-again", test_inbound_buffer_shrinks);
  g_test_add_func ("/protocol/M4/outbound-buffer-shrinks-again", test_outbound_buffer_shrinks);
  g_test_add_data_func ("/protocol/M4/message-of-30-bytes-pins-its-own-size", GSIZE_TO_POINTER (30),
                        test_message_pins_its_own_size);
  g_test_add_data_func ("/protocol/M4/message-of-3000-bytes-pins-its-own-size", GSIZE_TO_POINTER (3000),
                        test_message_pins_its_own_size);
  g_test_add_data_func ("/protocol/M4/message-of-600000-bytes-pins-its-own-size", GSIZE_TO_POINTER (600000),
                        test_message_pins_its_own_size);

  return g_test_run ();
}
