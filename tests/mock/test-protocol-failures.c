/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A running session fails: S5, and the order of S13. */

#include "session-util.h"

#include <string.h>
#include <sys/socket.h>

/* ---- S5: each way to fail ---------------------------------------------------------------------------------------- */

static void
make_peer_close (LineProtocol *protocol,
                 Peer         *peer)
{
  shutdown (peer->fd, SHUT_WR);
}

static void
make_peer_reset (LineProtocol *protocol,
                 Peer         *peer)
{
  peer_reset (peer);
}

static void
make_peer_refuse (LineProtocol *protocol,
                  Peer         *peer)
{
  shutdown (peer->fd, SHUT_RD);
}

static void
make_peer_send (LineProtocol *protocol,
                Peer         *peer)
{
  peer_send (peer, "message\n");
}

static void
send_something (LineProtocol *protocol,
                Peer         *peer)
{
  line_protocol_send (protocol, "message");
}

static void
fail_it (LineProtocol *protocol,
         Peer         *peer)
{
  line_fail (protocol, NULL);
}

static void
fail_without_error (LineProtocol *protocol,
                    Peer         *peer)
{
  aqmp_protocol_fail (AQMP_PROTOCOL (protocol), NULL);
}

typedef struct
{
  const char *path;
  LineSlot    slot;      /* LINE_N_SLOTS: none */
  LineResult  result;
  void      (*provoke) (LineProtocol *protocol, Peer *peer);
  GQuark    (*domain)  (void);
  int         code;
  const char *pattern;
} FailureCase;

static const FailureCase failure_cases[] = {
  { "eof", LINE_N_SLOTS, LINE_CHAIN_UP, make_peer_close, g_io_error_quark, G_IO_ERROR_CONNECTION_CLOSED, "*closed*" },
  { "reader", LINE_N_SLOTS, LINE_CHAIN_UP, make_peer_reset, g_io_error_quark, G_IO_ERROR_CONNECTION_CLOSED, "?*" },
  { "writer", LINE_N_SLOTS, LINE_CHAIN_UP, make_peer_refuse, g_io_error_quark, G_IO_ERROR_BROKEN_PIPE, "?*" },
  { "filter-inbound-raises", LINE_FILTER_INBOUND, LINE_RAISE, make_peer_send, line_error_quark, LINE_FILTER_INBOUND,
    "filter_inbound raised" },
  { "filter-inbound-returns-nothing", LINE_FILTER_INBOUND, LINE_NOTHING, make_peer_send, aqmp_error_quark,
    AQMP_ERROR_FAILED, "filter_inbound*LineFull*" },
  { "filter-outbound-raises", LINE_FILTER_OUTBOUND, LINE_RAISE, send_something, line_error_quark, LINE_FILTER_OUTBOUND,
    "filter_outbound raised" },
  { "filter-outbound-returns-nothing", LINE_FILTER_OUTBOUND, LINE_NOTHING, send_something, aqmp_error_quark,
    AQMP_ERROR_FAILED, "filter_outbound*LineFull*" },
  { "message-received-raises", LINE_MESSAGE_RECEIVED, LINE_RAISE, make_peer_send, line_error_quark,
    LINE_MESSAGE_RECEIVED, "message_received raised" },
  { "message-received-returns-nothing", LINE_MESSAGE_RECEIVED, LINE_NOTHING, make_peer_send, aqmp_error_quark,
    AQMP_ERROR_FAILED, "message_received*LineFull*" },
  { "frame-raises", LINE_FRAME, LINE_RAISE, make_peer_send, line_error_quark, LINE_FRAME, "frame raised" },
  { "frame-returns-nothing", LINE_FRAME, LINE_NOTHING, make_peer_send, aqmp_error_quark, AQMP_ERROR_FAILED,
    "frame*LineFull*" },
  { "frame-claims-too-much", LINE_FRAME, LINE_OVERRUN, make_peer_send, aqmp_error_quark, AQMP_ERROR_FAILED,
    "frame*LineFull*" },
  { "fail", LINE_N_SLOTS, LINE_CHAIN_UP, fail_it, line_error_quark, 99, "deed" },
  { "fail-without-error", LINE_N_SLOTS, LINE_CHAIN_UP, fail_without_error, aqmp_error_quark, AQMP_ERROR_FAILED, "?*" },
};

static void
test_failure (gconstpointer data)
{
  const FailureCase *failure = data;
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);
  g_autofree char *quoted = g_strdup_printf ("*: %s", failure->pattern);
  g_autoptr (GIOStream) stream = g_object_ref (aqmp_protocol_get_stream (self));
  g_autoptr (GError) flush_error = NULL;
  g_autoptr (GError) error = NULL;

  line_trace_clear (line_protocol_get_trace (protocol));
  /* A socket that is full would not notice that nobody will read from it. */
  if (failure->provoke == make_peer_refuse)
    line_protocol_send (protocol, "in vain");
  else
    fill_queue (protocol);
  aqmp_protocol_flush_async (self, NULL, test_slot_callback, &flushed);
  if (failure->slot != LINE_N_SLOTS)
    line_protocol_when (protocol, failure->slot, failure->slot == LINE_FRAME ? NULL : "message", NULL, NULL,
                        failure->result);

  g_assert_null (aqmp_protocol_get_error (self));
  failure->provoke (protocol, &peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);

  /* Torn down, pending calls failed. */
  g_assert_true (g_io_stream_is_closed (stream));
  g_assert_null (aqmp_protocol_get_stream (self));
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (self), ==, 0);
  g_assert_false (finish_flush (protocol, &flushed, &flush_error));
  assert_error_like (flush_error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, quoted);

  /* The peer sees the end, and nothing was flushed. */
  if (peer.fd >= 0 && failure->provoke != make_peer_refuse)
    g_assert_cmpuint (peer_drain (&peer), <, 1024 * 1024);

  /* It stays so, and the cause can be seen. */
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "ended(failed)"), ==, 1);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "idle"), ==, 0);
  assert_error_like (aqmp_protocol_get_error (self), failure->domain (), failure->code, failure->pattern);

  /* Until disconnect, which reports it. */
  g_assert_false (disconnect_session (protocol, &error));
  assert_error_like (error, failure->domain (), failure->code, failure->pattern);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "disconnecting"), ==, 1);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "idle"), ==, 1);
  check_usable (protocol);
  end_object (&protocol);
}

static void
raise_later (LineProtocol *protocol,
             gpointer      unused)
{
  g_autoptr (GError) second = g_error_new_literal (LINE_ERROR, 98, "second");

  line_fail (protocol, NULL);
  aqmp_protocol_fail (AQMP_PROTOCOL (protocol), second);
}

static void
test_first_cause (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, NULL, raise_later, NULL, LINE_RAISE);
  peer_send (&peer, "message\n");
  peer_expect_eof (&peer);
  raise_later (protocol, NULL);
  assert_error_like (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)), LINE_ERROR, 99, "deed");
  disconnect_session (protocol, &error);
  assert_error_like (error, LINE_ERROR, 99, "deed");
  end_object (&protocol);
}

static void
test_fail_when_idle (void)
{
  LineProtocol *protocol = line_protocol_new ();

  line_fail (protocol, NULL);
  test_dispatch_pending ();
  line_trace_expect (line_protocol_get_trace (protocol), "");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_eof_after_a_message (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_trace_clear (line_protocol_get_trace (protocol));
  peer_send (&peer, "one\ntwo\n");
  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "in(one) receive(one) in(two) receive(two) ended(failed) disconnecting");
  disconnect_session (protocol, &error);
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The peer closed the connection");
  end_object (&protocol);
}

static void
test_eof_in_the_middle_of_a_message (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_FRAME, LINE_REPLACE);
  line_trace_clear (line_protocol_get_trace (protocol));
  peer_send (&peer, "one;tw");
  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (line_protocol_get_trace (protocol), "in(one) receive(one) ended(failed) disconnecting");
  disconnect_session (protocol, &error);
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "*middle of a message*");
  end_object (&protocol);
}

/* What had arrived comes before the failure to write, which is noticed first. */
static void
test_arrived_messages_before_failure (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_trace_clear (line_protocol_get_trace (protocol));
  peer_send (&peer, "one\n");
  peer_close (&peer);
  line_protocol_send (protocol, "in vain");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "receive(one)"), ==, 1);
  disconnect_session (protocol, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  end_object (&protocol);
}

/* ---- S5: nothing comes after the failure ------------------------------------------------------------------------- */

static void
test_no_message_after_failure (gconstpointer data)
{
  LineSlot slot = GPOINTER_TO_UINT (data);
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;
  guint i;

  line_trace_clear (trace);
  line_protocol_when (protocol, slot, slot == LINE_FRAME ? NULL : "one", line_fail, NULL, LINE_CHAIN_UP);
  peer_send (&peer, "one\ntwo\nthree\n");
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  test_dispatch_pending ();

  for (i = 0; i < line_trace_get_length (trace); i++)
    {
      const LineRecord *record = line_trace_get (trace, i);

      if (record->slot == LINE_FILTER_INBOUND || record->slot == LINE_MESSAGE_RECEIVED)
        g_assert_cmpint (record->runstate, ==, AQMP_RUNSTATE_RUNNING);
    }
  g_assert_cmpuint (line_trace_count (trace, "receive(two)"), ==, 0);
  disconnect_session (protocol, &error);
  assert_error_like (error, LINE_ERROR, 99, "deed");
  end_object (&protocol);
}

/* ---- S13 --------------------------------------------------------------------------------------------------------- */

static void
add_finished (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  LineProtocol *protocol = LINE_PROTOCOL (source);

  line_trace_add (line_protocol_get_trace (protocol), "call");
  test_slot_callback (source, result, user_data);
}

static void
add_read (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (aqmp_protocol_read_message_finish (AQMP_PROTOCOL (source), result, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "*deed");
  line_trace_add (line_protocol_get_trace (LINE_PROTOCOL (source)), "read");
}

static void
add_written (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_protocol_write_message_finish (AQMP_PROTOCOL (source), result, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "*deed");
  line_trace_add (line_protocol_get_trace (LINE_PROTOCOL (source)), "written");
}

typedef struct
{
  GIOStream *stream;
  gboolean   clean;
  guint      n_calls;
} Teardown;

static void
check_teardown (LineProtocol *protocol,
                gpointer      user_data)
{
  Teardown *teardown = user_data;

  teardown->n_calls++;
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_true (g_io_stream_is_closed (teardown->stream));
  g_assert_null (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol)));
  if (teardown->clean)
    g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));
  else
    g_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)), LINE_ERROR, 99);
}

static void
on_notify_stream (GObject    *object,
                  GParamSpec *pspec,
                  gpointer    unused)
{
  line_trace_add (line_protocol_get_trace (LINE_PROTOCOL (object)), "stream");
}

static void
run_teardown (gboolean clean)
{
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GIOStream) stream = g_object_ref (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol)));
  Teardown teardown = { stream, clean, 0 };
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 1);
  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, add_finished, &flushed);
  test_dispatch_pending ();
  line_trace_clear (trace);
  g_signal_connect (protocol, "notify::stream", G_CALLBACK (on_notify_stream), NULL);
  line_protocol_when (protocol, LINE_SESSION_ENDED, NULL, check_teardown, &teardown, LINE_CHAIN_UP);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "disconnecting", check_teardown, &teardown, LINE_CHAIN_UP);

  if (!clean)
    line_fail (protocol, NULL);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_cmpuint (teardown.n_calls, ==, 2);
  line_trace_expect (trace, clean ? "stream ended(clean) disconnecting call idle"
                                  : "stream ended(failed) disconnecting call idle");
  test_slot_clear (&flushed);
  end_object (&protocol);
}

static void
test_teardown_order (void)
{
  run_teardown (FALSE);
}

static void
test_clean_teardown_order (void)
{
  run_teardown (TRUE);
}

static void
test_teardown_order_while_establishing (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autofree char *big = g_strnfill (1024 * 1024, 'x');
  g_autoptr (GBytes) message = bytes_of (big);
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  Teardown teardown = { stream, FALSE, 0 };
  g_autoptr (GTask) task = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_KEEP_TASK);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, add_finished, &opened);
  aqmp_protocol_read_message_async (AQMP_PROTOCOL (protocol), NULL, add_read, NULL);
  aqmp_protocol_write_message_async (AQMP_PROTOCOL (protocol), message, NULL, add_written, NULL);
  test_dispatch_pending ();
  line_protocol_when (protocol, LINE_SESSION_ENDED, NULL, check_teardown, &teardown, LINE_CHAIN_UP);
  line_protocol_when (protocol, LINE_FILTER_INBOUND, NULL, line_fail, NULL, LINE_CHAIN_UP);
  line_trace_clear (trace);
  peer_send (&peer, "message\n");
  test_wait_until (test_slot_is_done (&opened));
  g_assert_cmpuint (teardown.n_calls, ==, 1);
  line_trace_expect (trace, "in(message) ended(failed) disconnecting read written idle call");
  test_slot_clear (&opened);
  task = line_protocol_steal_task (protocol);
  g_clear_object (&task);
  end_object (&protocol);
}

static void
test_no_session_to_end (void)
{
  g_autoptr (GSocketConnectable) address = aqmp_address_parse ("unix-abstract:aqmp-nobody", NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();

  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), address, NULL, test_slot_callback, &slot);
  g_assert_false (finish_connect (protocol, &slot, NULL));
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (failure_cases); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/S5/failure/", failure_cases[i].path, NULL);

      g_test_add_data_func (path, &failure_cases[i], test_failure);
    }
  g_test_add_func ("/protocol/S5/first-cause-is-reported", test_first_cause);
  g_test_add_func ("/protocol/S5/fail-when-idle-does-nothing", test_fail_when_idle);
  g_test_add_func ("/protocol/S5/eof-comes-after-the-messages", test_eof_after_a_message);
  g_test_add_func ("/protocol/S5/eof-in-the-middle-of-a-message", test_eof_in_the_middle_of_a_message);
  g_test_add_func ("/protocol/S5/arrived-messages-come-before-the-failure", test_arrived_messages_before_failure);
  g_test_add_data_func ("/protocol/S5/no-message-after-fail-in-message-received", GUINT_TO_POINTER (LINE_MESSAGE_RECEIVED),
                        test_no_message_after_failure);
  g_test_add_data_func ("/protocol/S5/no-message-after-fail-in-filter-inbound", GUINT_TO_POINTER (LINE_FILTER_INBOUND),
                        test_no_message_after_failure);
  g_test_add_data_func ("/protocol/S5/no-message-after-fail-in-frame", GUINT_TO_POINTER (LINE_FRAME),
                        test_no_message_after_failure);

  g_test_add_func ("/protocol/S13/teardown-order", test_teardown_order);
  g_test_add_func ("/protocol/S13/teardown-order-of-a-clean-end", test_clean_teardown_order);
  g_test_add_func ("/protocol/S13/teardown-order-while-establishing", test_teardown_order_while_establishing);
  g_test_add_func ("/protocol/S13/no-session-to-end", test_no_session_to_end);

  return g_test_run ();
}
