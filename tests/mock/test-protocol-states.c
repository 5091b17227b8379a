/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The states: S1, S2, S6. */

#include "session-util.h"

#include <string.h>

/* ---- S1 ---------------------------------------------------------------------------------------------------------- */

static void
test_whole_cycle (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (LineProtocol) protocol = line_protocol_new ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  end_session (&protocol);
  line_trace_expect (trace, "connecting establish running ended(clean) disconnecting idle");
}

static void
on_notify (GObject    *object,
           GParamSpec *pspec,
           gpointer    user_data)
{
  LineProtocol *protocol = LINE_PROTOCOL (object);
  g_autofree char *what = g_strconcat ("n:", line_runstate_name (get_state (protocol)), NULL);

  line_trace_add (line_protocol_get_trace (protocol), what);
}

static void
on_runstate_changed (LineProtocol *protocol,
                     AqmpRunstate  runstate,
                     gpointer      user_data)
{
  g_autofree char *what = g_strconcat ("s:", line_runstate_name (runstate), NULL);

  line_trace_add (line_protocol_get_trace (protocol), what);
}

static void
watch_states (LineProtocol *protocol)
{
  g_signal_connect (protocol, "notify::runstate", G_CALLBACK (on_notify), NULL);
  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (on_runstate_changed), NULL);
}

static void
test_every_transition_observable (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  watch_states (protocol);
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  end_session (&protocol);
  line_trace_expect (trace,
                     "n:connecting s:connecting connecting establish n:running s:running running ended(clean) "
                     "n:disconnecting s:disconnecting disconnecting n:idle s:idle idle");
}

static void
test_connecting_is_observable_when_failing_at_once (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancelled);
  watch_states (protocol);
  start_open (protocol, &peer, cancelled, &slot);
  finish_open (protocol, &slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  line_trace_expect (trace,
                     "n:connecting s:connecting connecting n:disconnecting s:disconnecting disconnecting "
                     "n:idle s:idle idle");
  end_object (&protocol);
}

static void
note_finished (GObject      *source,
               GAsyncResult *result,
               gpointer      user_data)
{
  LineProtocol *protocol = LINE_PROTOCOL (source);

  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  line_trace_add (line_protocol_get_trace (protocol), "finish");
  test_slot_callback (source, result, user_data);
}

static void
test_failed_attempt_is_idle_before_finish (void)
{
  static const LineResult results[] = { LINE_RAISE, LINE_NOTHING, LINE_DROP_TASK, LINE_RETURN_ERROR, LINE_RETURN_FALSE };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new ();
      g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
      g_autoptr (GIOStream) stream = peer_connect (&peer);
      g_autoptr (GError) error = NULL;

      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, results[i]);
      aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, note_finished, &slot);
      g_assert_false (finish_open (protocol, &slot, &error));
      line_trace_expect (trace, "connecting establish ended(failed) disconnecting idle finish");
      peer_expect_eof (&peer);
      end_object (&protocol);
    }
}

static void
test_failed_connection_is_idle_before_finish (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "nobody.sock");
  g_autoptr (GSocketConnectable) address = aqmp_address_parse (path, NULL);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), address, NULL, note_finished, &slot);
  finish_connect (protocol, &slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  line_trace_expect (trace, "connecting disconnecting idle finish");
  end_object (&protocol);
}

static void
disconnect_when_running (LineProtocol *protocol,
                         AqmpRunstate  runstate,
                         gpointer      user_data)
{
  if (runstate == AQMP_RUNSTATE_RUNNING)
    line_disconnect_and_run (protocol, NULL);
  else if (runstate == AQMP_RUNSTATE_CONNECTING && user_data != NULL)
    line_fail (protocol, NULL);
}

static void
test_signal_tells_transition_property_present_state (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  const LineRecord *record;
  g_autoptr (GError) error = NULL;

  /* The handler runs before the class's own, which so sees the transitions inside out. */
  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (disconnect_when_running), NULL);
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  line_trace_expect (trace, "connecting establish ended(clean) disconnecting idle running");
  record = line_trace_find (trace, "running");
  g_assert_cmpint (record->runstate, ==, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

static void
test_attempt_ended_by_handler_of_connecting (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (disconnect_when_running), protocol);
  g_assert_false (open_session (protocol, &peer, &error));
  assert_error_like (error, LINE_ERROR, 99, "*deed");
  line_trace_expect (line_protocol_get_trace (protocol), "disconnecting idle connecting");
  g_signal_handlers_disconnect_by_func (protocol, disconnect_when_running, protocol);
  check_usable (protocol);
  end_object (&protocol);
}

typedef struct
{
  GIOStream *stream;
  TestSlot   slot;
} Again;

static void
open_again (LineProtocol *protocol,
            gpointer      user_data)
{
  Again *again = user_data;

  if (again->stream == NULL)
    return;

  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), again->stream, NULL, test_slot_callback, &again->slot);
  g_clear_object (&again->stream);
}

static void
test_connect_again_inside_the_handler_of_idle (void)
{
  g_auto (Peer) first = PEER_INIT;
  g_auto (Peer) second = PEER_INIT;
  Again again = { peer_connect (&second), TEST_SLOT_INIT };
  LineProtocol *protocol = new_session (&first);
  g_autoptr (GError) error = NULL;

  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "idle", open_again, &again, LINE_CHAIN_UP);
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  peer_expect_eof (&first);
  finish_open (protocol, &again.slot, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);

  line_protocol_send (protocol, "second");
  peer_expect (&second, "second\n");
  end_session (&protocol);
  peer_expect_eof (&second);
}

/* ---- S2 ---------------------------------------------------------------------------------------------------------- */

typedef enum
{
  CALL_CONNECT,
  CALL_OPEN,
  CALL_FLUSH,
  CALL_READ,
  CALL_WRITE,
  CALL_SEND,
} Call;

static const char * const call_names[] = { "connect", "open", "flush", "read_message", "write_message", "send_message" };

static void
call_in_vain (LineProtocol *protocol,
              Call          call,
              GError      **error)
{
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  g_autoptr (GSocketConnectable) address = aqmp_address_parse ("unix-abstract:nobody", NULL);
  g_autoptr (GBytes) message = bytes_of ("in vain\n");
  g_autoptr (GAsyncResult) result = NULL;

  switch (call)
    {
    case CALL_CONNECT:
      aqmp_protocol_connect_async (self, address, NULL, test_slot_callback, &slot);
      g_assert_false (finish_connect (protocol, &slot, error));
      break;
    case CALL_OPEN:
      aqmp_protocol_open_async (self, stream, NULL, test_slot_callback, &slot);
      g_assert_false (finish_open (protocol, &slot, error));
      peer_expect_none (&peer);
      break;
    case CALL_FLUSH:
      aqmp_protocol_flush_async (self, NULL, test_slot_callback, &slot);
      g_assert_false (finish_flush (protocol, &slot, error));
      break;
    case CALL_READ:
      aqmp_protocol_read_message_async (self, NULL, test_slot_callback, &slot);
      result = test_await (&slot);
      g_assert_null (aqmp_protocol_read_message_finish (self, result, error));
      break;
    case CALL_WRITE:
      aqmp_protocol_write_message_async (self, message, NULL, test_slot_callback, &slot);
      result = test_await (&slot);
      g_assert_false (aqmp_protocol_write_message_finish (self, result, error));
      break;
    case CALL_SEND:
    default:
      g_assert_false (aqmp_protocol_send_message (self, message, error));
    }
}

typedef struct
{
  Call        call;
  const char *patterns[4];  /* by state; NULL: is possible there */
} StateCase;

#define NOT_ESTABLISHING(state) "LineFull*“" state "”*not establishing a session*establish_session()*"

static const StateCase state_cases[] = {
  { CALL_CONNECT, { NULL, "LineFull*“connecting”*“idle”*disconnect it first", "LineFull*“running”*“idle”*disconnect it first",
                    "LineFull*“disconnecting”*“idle”*disconnect it, and wait*" } },
  { CALL_OPEN, { NULL, "LineFull*“connecting”*“idle”*disconnect it first", "LineFull*“running”*“idle”*disconnect it first",
                 "LineFull*“disconnecting”*“idle”*disconnect it, and wait*" } },
  { CALL_FLUSH, { "LineFull*“idle”*“running”*connect it first", "LineFull*“connecting”*“running”*wait until it is connected*",
                  NULL, "LineFull*“disconnecting”*“running”*disconnect it, which tells*connect it again" } },
  { CALL_SEND, { "LineFull*“idle”*“running”*connect it first", "LineFull*“connecting”*“running”*wait until it is connected*",
                 NULL, "LineFull*“disconnecting”*“running”*disconnect it, which tells*connect it again" } },
  { CALL_READ, { NOT_ESTABLISHING ("idle"), NULL, NOT_ESTABLISHING ("running"), NOT_ESTABLISHING ("disconnecting") } },
  { CALL_WRITE, { NOT_ESTABLISHING ("idle"), NULL, NOT_ESTABLISHING ("running"), NOT_ESTABLISHING ("disconnecting") } },
};

static void
check_state (LineProtocol *protocol)
{
  AqmpRunstate runstate = get_state (protocol);
  gsize i;

  line_trace_clear (line_protocol_get_trace (protocol));

  for (i = 0; i < G_N_ELEMENTS (state_cases); i++)
    {
      const char *pattern = state_cases[i].patterns[runstate];
      g_autoptr (GError) error = NULL;

      if (pattern == NULL)
        continue;

      g_test_message ("%s while %s", call_names[state_cases[i].call], line_runstate_name (runstate));
      call_in_vain (protocol, state_cases[i].call, &error);
      assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, pattern);
      g_assert_cmpint (get_state (protocol), ==, runstate);
    }

  /* Nothing was done. */
  line_trace_expect (line_protocol_get_trace (protocol), "");
}

static void
test_wrong_state_idle (void)
{
  LineProtocol *protocol = line_protocol_new ();

  check_state (protocol);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_wrong_state_connecting (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &slot);
  peer_expect (&peer, "hi\n");
  check_state (protocol);
  peer_send (&peer, "hello\n");
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
  peer_expect_eof (&peer);
}

static void
test_wrong_state_running (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);

  check_state (protocol);
  line_protocol_send (protocol, "still here");
  peer_expect (&peer, "still here\n");
  end_session (&protocol);
  peer_expect_eof (&peer);
}

static void
test_wrong_state_disconnecting (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_fail (protocol, NULL);
  check_state (protocol);
  disconnect_session (protocol, &error);
  assert_error_like (error, LINE_ERROR, 99, "deed");
  end_object (&protocol);
}

/* While a disconnect still writes what is queued. */
static void
test_wrong_state_flushing (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  line_disconnect (protocol, &slot);
  test_dispatch_pending ();
  check_state (protocol);
  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

static void
test_require_runstate (void)
{
  g_autoptr (AqmpProtocol) protocol = g_object_new (LINE_TYPE_BARE, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (aqmp_protocol_require_runstate (protocol, AQMP_RUNSTATE_IDLE, &error));
  g_assert_no_error (error);
  g_assert_false (aqmp_protocol_require_runstate (protocol, AQMP_RUNSTATE_RUNNING, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "LineBare*“idle”*“running”*connect it first");
  g_assert_false (aqmp_protocol_require_runstate (protocol, AQMP_RUNSTATE_CONNECTING, NULL));
}

/* ---- S6 ---------------------------------------------------------------------------------------------------------- */

static void
test_disconnect_from_idle (void)
{
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_assert_true (disconnect_session (protocol, &error));
  g_assert_no_error (error);
  line_trace_expect (line_protocol_get_trace (protocol), "disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_concurrent_disconnects_share_success (void)
{
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  gsize i;

  line_trace_clear (trace);
  fill_queue (protocol);
  line_disconnect (protocol, &slots[0]);
  line_disconnect (protocol, &slots[1]);
  test_dispatch_pending ();
  line_disconnect (protocol, &slots[2]);
  peer_drain (&peer);

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr (GError) error = NULL;

      finish_disconnect_of (protocol, &slots[i], &error);
      g_assert_no_error (error);
    }
  g_assert_cmpuint (line_trace_count (trace, "disconnecting"), ==, 1);
  g_assert_cmpuint (line_trace_count (trace, "idle"), ==, 1);
  end_object (&protocol);
}

static void
test_concurrent_disconnects_share_failure (void)
{
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  gsize i;

  line_fail (protocol, NULL);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    line_disconnect (protocol, &slots[i]);

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (finish_disconnect_of (protocol, &slots[i], &error));
      assert_error_like (error, LINE_ERROR, 99, "deed");
    }
  end_object (&protocol);
}

/* The result is not lost either if a handler runs the loop, and that gets the disconnect done. */
static void
test_result_survives_nested_loop (void)
{
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  gsize i;

  fill_queue (protocol);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 1);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "disconnecting", line_disconnect_and_run, NULL, LINE_CHAIN_UP);
  line_disconnect (protocol, &slots[0]);
  line_disconnect (protocol, &slots[1]);

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr (GError) error = NULL;

      finish_disconnect_of (protocol, &slots[i], &error);
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    }
  end_object (&protocol);
}

static void
test_cancelling_one_disconnect (void)
{
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) first = NULL;
  g_autoptr (GError) second = NULL;
  g_autoptr (GError) third = NULL;

  fill_queue (protocol);
  line_disconnect (protocol, &slots[0]);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (protocol), cancellable, test_slot_callback, &slots[1]);
  line_disconnect (protocol, &slots[2]);
  test_dispatch_pending ();

  g_cancellable_cancel (cancellable);
  g_assert_false (finish_disconnect_of (protocol, &slots[1], &second));
  g_assert_error (second, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (test_slot_is_done (&slots[0]));
  g_assert_false (test_slot_is_done (&slots[2]));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);

  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  finish_disconnect_of (protocol, &slots[0], &first);
  g_assert_no_error (first);
  finish_disconnect_of (protocol, &slots[2], &third);
  g_assert_no_error (third);
  end_object (&protocol);
}

/* Also if the disconnect has nothing to wait for, from each state: what was cancelled before there was a result is
   cancelled. */
static void
test_cancelled_at_once (gconstpointer data)
{
  gboolean with_session = GPOINTER_TO_INT (data);
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = with_session ? new_session (&peer) : line_protocol_new ();
  g_autoptr (GError) first = NULL;
  g_autoptr (GError) second = NULL;

  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (protocol), cancellable, test_slot_callback, &slots[0]);
  line_disconnect (protocol, &slots[1]);
  g_cancellable_cancel (cancellable);

  g_assert_false (finish_disconnect_of (protocol, &slots[0], &first));
  g_assert_error (first, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (finish_disconnect_of (protocol, &slots[1], &second));
  g_assert_no_error (second);
  end_object (&protocol);
}

static void
test_cancelled_disconnect_goes_on (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancelled);
  fill_queue (protocol);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (protocol), cancelled, test_slot_callback, &slot);
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  peer_drain (&peer);
  wait_state (protocol, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

static void
test_disconnect_while_connecting (void)
{
  g_auto (TestSlot) attempt = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) disconnect_error = NULL;

  mock_fill_backlog (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, &attempt);
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);

  disconnect_session (protocol, &disconnect_error);
  g_assert_no_error (disconnect_error);
  g_assert_false (finish_connect (protocol, &attempt, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "*connection*disconnected*");
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_disconnect_while_establishing (void)
{
  g_auto (TestSlot) attempt = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) disconnect_error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &attempt);
  peer_expect (&peer, "hi\n");
  disconnect_session (protocol, &disconnect_error);
  g_assert_no_error (disconnect_error);
  g_assert_false (finish_open (protocol, &attempt, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "*session*disconnected*");
  peer_expect_eof (&peer);
  check_usable (protocol);
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/S1/whole-cycle", test_whole_cycle);
  g_test_add_func ("/protocol/S1/every-transition-is-signalled-and-notified", test_every_transition_observable);
  g_test_add_func ("/protocol/S1/connecting-is-observable-when-the-attempt-fails-at-once",
                   test_connecting_is_observable_when_failing_at_once);
  g_test_add_func ("/protocol/S1/failed-attempt-passes-disconnecting-and-idle-before-finish",
                   test_failed_attempt_is_idle_before_finish);
  g_test_add_func ("/protocol/S1/failed-connection-passes-disconnecting-and-idle-before-finish",
                   test_failed_connection_is_idle_before_finish);
  g_test_add_func ("/protocol/S1/signal-tells-the-transition-property-the-present-state",
                   test_signal_tells_transition_property_present_state);
  g_test_add_func ("/protocol/S1/handler-of-connecting-ends-the-attempt", test_attempt_ended_by_handler_of_connecting);
  g_test_add_func ("/protocol/S1/handler-of-idle-connects-again", test_connect_again_inside_the_handler_of_idle);

  g_test_add_func ("/protocol/S2/wrong-state-idle", test_wrong_state_idle);
  g_test_add_func ("/protocol/S2/wrong-state-connecting", test_wrong_state_connecting);
  g_test_add_func ("/protocol/S2/wrong-state-running", test_wrong_state_running);
  g_test_add_func ("/protocol/S2/wrong-state-disconnecting", test_wrong_state_disconnecting);
  g_test_add_func ("/protocol/S2/wrong-state-flushing", test_wrong_state_flushing);
  g_test_add_func ("/protocol/S2/require-runstate", test_require_runstate);

  g_test_add_func ("/protocol/S6/disconnect-from-idle-passes-disconnecting", test_disconnect_from_idle);
  g_test_add_func ("/protocol/S6/concurrent-disconnects-share-result", test_concurrent_disconnects_share_success);
  g_test_add_func ("/protocol/S6/concurrent-disconnects-share-failure", test_concurrent_disconnects_share_failure);
  g_test_add_func ("/protocol/S6/result-survives-a-nested-loop", test_result_survives_nested_loop);
  g_test_add_func ("/protocol/S6/cancelling-one-disconnect-is-its-own-affair", test_cancelling_one_disconnect);
  g_test_add_data_func ("/protocol/S6/cancelled-at-once/running", GINT_TO_POINTER (TRUE), test_cancelled_at_once);
  g_test_add_data_func ("/protocol/S6/cancelled-at-once/idle", GINT_TO_POINTER (FALSE), test_cancelled_at_once);
  g_test_add_func ("/protocol/S6/cancelled-disconnect-goes-on", test_cancelled_disconnect_goes_on);
  g_test_add_func ("/protocol/S6/disconnect-while-connecting-interrupts", test_disconnect_while_connecting);
  g_test_add_func ("/protocol/S6/disconnect-while-establishing-interrupts", test_disconnect_while_establishing);

  return g_test_run ();
}
