/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Waiting for a state. */

#include "session-util.h"

static void
wait_other_than (LineProtocol *protocol,
                 AqmpRunstate  known,
                 TestSlot     *slot)
{
  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), known, NULL, test_slot_callback, slot);
}

static AqmpRunstate
finish_wait (LineProtocol *protocol,
             TestSlot     *slot)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GError) error = NULL;
  AqmpRunstate runstate = AQMP_RUNSTATE_IDLE;

  aqmp_protocol_wait_runstate_finish (AQMP_PROTOCOL (protocol), result, &runstate, &error);
  g_assert_no_error (error);
  return runstate;
}

static void
test_wait_at_once (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();

  wait_other_than (protocol, AQMP_RUNSTATE_RUNNING, &slot);
  g_assert_cmpint (finish_wait (protocol, &slot), ==, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

/* Each wait is told what the one before has found: then nothing is missed, whatever happens in between. */
static void
test_wait_misses_nothing (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  AqmpRunstate known = AQMP_RUNSTATE_IDLE;

  wait_other_than (protocol, known, &slot);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));

  start_open (protocol, &peer, NULL, &opened);
  known = finish_wait (protocol, &slot);
  g_assert_cmpint (known, ==, AQMP_RUNSTATE_CONNECTING);

  finish_open (protocol, &opened, &error);
  g_assert_no_error (error);
  wait_other_than (protocol, known, &slot);
  known = finish_wait (protocol, &slot);
  g_assert_cmpint (known, ==, AQMP_RUNSTATE_RUNNING);

  wait_other_than (protocol, known, &slot);
  peer_close (&peer);
  known = finish_wait (protocol, &slot);
  g_assert_cmpint (known, ==, AQMP_RUNSTATE_DISCONNECTING);

  wait_other_than (protocol, known, &slot);
  line_disconnect (protocol, &closed);
  known = finish_wait (protocol, &slot);
  g_assert_cmpint (known, ==, AQMP_RUNSTATE_IDLE);
  finish_disconnect_of (protocol, &closed, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  end_object (&protocol);
}

/* In a disconnect the state has changed as soon as it begins to write what is queued. */
static void
test_wait_ends_when_the_state_differs (void)
{
  g_auto (TestSlot) waited = TEST_SLOT_INIT;
  g_auto (TestSlot) closed = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  fill_queue (protocol);
  wait_other_than (protocol, AQMP_RUNSTATE_RUNNING, &waited);
  line_disconnect (protocol, &closed);
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_true (test_slot_is_done (&waited));
  g_assert_cmpint (finish_wait (protocol, &waited), ==, AQMP_RUNSTATE_DISCONNECTING);

  peer_drain (&peer);
  finish_disconnect_of (protocol, &closed, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

typedef struct
{
  TestSlot slot;
  gboolean begun;
} NestedWait;

static void
wait_while_idle (LineProtocol *protocol,
                 AqmpRunstate  runstate,
                 gpointer      user_data)
{
  NestedWait *wait = user_data;

  if (runstate == AQMP_RUNSTATE_RUNNING)
    line_disconnect_and_run (protocol, NULL);
  if (runstate == AQMP_RUNSTATE_IDLE && !wait->begun)
    {
      wait->begun = TRUE;
      wait_other_than (protocol, AQMP_RUNSTATE_IDLE, &wait->slot);
    }
}

/* A transition that was overtaken by others is no news to who began to wait after those. */
static void
test_wait_ignores_overtaken_transition (void)
{
  NestedWait wait = { TEST_SLOT_INIT, FALSE };
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GError) error = NULL;
  LineProtocol *protocol = line_protocol_new ();

  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (wait_while_idle), &wait);
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  test_dispatch_pending ();
  g_assert_true (wait.begun);
  g_assert_false (test_slot_is_done (&wait.slot));

  line_disconnect (protocol, NULL);
  g_assert_cmpint (finish_wait (protocol, &wait.slot), ==, AQMP_RUNSTATE_DISCONNECTING);
  wait_state (protocol, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

static void
fail_and_wait_again (GObject      *source,
                     GAsyncResult *result,
                     gpointer      again)
{
  line_fail (LINE_PROTOCOL (source), NULL);
  g_assert_cmpint (get_state (LINE_PROTOCOL (source)), ==, AQMP_RUNSTATE_DISCONNECTING);
  wait_other_than (LINE_PROTOCOL (source), AQMP_RUNSTATE_DISCONNECTING, again);
}

/* The callback of a wait brings about the next transition, and waits for the end of that: what woke it is no news then. */
static void
test_wait_again_in_callback (void)
{
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) again = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &opened);
  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_CONNECTING, NULL, fail_and_wait_again, &again);
  peer_send (&peer, "hello\n");
  finish_open (protocol, &opened, &error);
  g_assert_no_error (error);
  test_dispatch_pending ();
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (test_slot_is_done (&again));

  g_assert_false (disconnect_session (protocol, NULL));
  g_assert_cmpint (finish_wait (protocol, &again), ==, AQMP_RUNSTATE_IDLE);
  end_object (&protocol);
}

static void
test_wait_cancelled (void)
{
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  gsize i;

  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_IDLE, cancellable, test_slot_callback, &slots[0]);
  g_cancellable_cancel (cancellable);
  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_IDLE, cancellable, test_slot_callback, &slots[1]);

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr (GAsyncResult) result = test_await (&slots[i]);
      g_autoptr (GError) error = NULL;

      g_assert_false (aqmp_protocol_wait_runstate_finish (AQMP_PROTOCOL (protocol), result, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/wait-runstate/at-once-if-it-differs", test_wait_at_once);
  g_test_add_func ("/protocol/wait-runstate/misses-nothing", test_wait_misses_nothing);
  g_test_add_func ("/protocol/wait-runstate/ends-as-soon-as-the-state-differs", test_wait_ends_when_the_state_differs);
  g_test_add_func ("/protocol/wait-runstate/overtaken-transition-is-no-news", test_wait_ignores_overtaken_transition);
  g_test_add_func ("/protocol/wait-runstate/callback-may-change-the-state-and-wait-again", test_wait_again_in_callback);
  g_test_add_func ("/protocol/wait-runstate/cancelled", test_wait_cancelled);

  return g_test_run ();
}
