/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* How long accepting waits, and how it is cancelled: S4, S9. */

#include "accept-util.h"

#include <string.h>

/* --- connect-timeout ---------------------------------------------------------------------------------------------- */

/* Times are checked from below only, where no load can break them: a clock that began too early would have run out. */
#define TIMEOUT_MS 150
#define LONGER_MS 250

static gint64
since_ms (gint64 before)
{
  return (g_get_monotonic_time () - before) / 1000;
}

static LineProtocol *
new_server (guint timeout_ms)
{
  LineProtocol *protocol = line_protocol_new ();

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), timeout_ms);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  return protocol;
}

static void
expect_timeout (LineProtocol *protocol,
                TestSlot     *slot,
                gint64        begun)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (finish_accept (protocol, slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: *150 ms*");
  g_assert_cmpint (since_ms (begun), >=, TIMEOUT_MS);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
}

static void
test_waits_for_a_peer_without_limit (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_server (1);
  g_autoptr (GError) error = NULL;

  if (at_once)
    site_serve (&site, protocol, NULL, &slot);
  else
    {
      site_listen (&site, protocol);
      pass_time (50);
      start_accept (protocol, NULL, &slot);
    }
  pass_time (50);
  g_assert_false (test_slot_is_done (&slot));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);
  peer.fd = site_dial (&site);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: *within 1 ms*");
  peer_drain (&peer);
  check_usable (protocol);
  end_object (&protocol);
}

/* Here before anybody accepts: for longer than the timeout, which counts from the call. */
static void
test_peer_long_before_accept (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_server (TIMEOUT_MS);
  gint64 begun;

  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  pass_time (LONGER_MS);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);
  peer_expect_none (&peer);
  begun = g_get_monotonic_time ();
  start_accept (protocol, NULL, &slot);
  expect_timeout (protocol, &slot, begun);
  peer_expect (&peer, "hi\n");
  peer_expect_eof (&peer);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* And the other way round: from the arrival. */
static void
test_accept_long_before_peer (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_server (TIMEOUT_MS);
  gint64 begun;

  if (at_once)
    site_serve (&site, protocol, NULL, &slot);
  else
    {
      site_listen (&site, protocol);
      start_accept (protocol, NULL, &slot);
    }
  pass_time (LONGER_MS);
  g_assert_false (test_slot_is_done (&slot));
  begun = g_get_monotonic_time ();
  peer.fd = site_dial (&site);
  expect_timeout (protocol, &slot, begun);
  peer_expect (&peer, "hi\n");
  peer_expect_eof (&peer);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* One that talks, but never says the right thing, has no more time than one that is silent. */
static void
test_timeout_is_for_the_whole_greeting (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_server (TIMEOUT_MS);
  g_autoptr (GError) error = NULL;

  site_serve (&site, protocol, NULL, &slot);
  peer.fd = site_dial (&site);
  peer_expect (&peer, "hi\n");
  while (!test_slot_is_done (&slot))
    {
      /* Half a line. */
      if (get_state (protocol) == AQMP_RUNSTATE_CONNECTING)
        peer_send (&peer, "h");
      pass_time (5);
    }
  g_assert_false (finish_accept (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_no_timeout (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_server (0);
  g_autoptr (GError) error = NULL;

  site_serve (&site, protocol, NULL, &slot);
  peer.fd = site_dial (&site);
  peer_expect (&peer, "hi\n");
  pass_time (50);
  peer_send (&peer, "hello\n");
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* The timeout of the attempt ends with it. */
static void
test_timeout_does_not_outlive_the_attempt (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), TIMEOUT_MS);
  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    {
      g_test_skip ("the machine is too busy");
      end_object (&protocol);
      return;
    }
  g_assert_no_error (error);
  pass_time (LONGER_MS);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* --- the cancellable ---------------------------------------------------------------------------------------------- */

static void
expect_cancelled (LineProtocol *protocol,
                  TestSlot     *slot)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (finish_accept (protocol, slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (strstr (error->message, "Could not"));
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)));
}

static void
test_cancelled_before (gconstpointer data)
{
  gboolean with_peer = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);

  g_cancellable_cancel (cancellable);
  site_listen (&site, protocol);
  if (with_peer)
    {
      peer.fd = site_dial (&site);
      test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) == NULL);
    }
  start_accept (protocol, cancellable, &slot);
  /* At once, and the result by the loop. */
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  site_expect_free (&site);
  g_assert_false (test_slot_is_done (&slot));
  expect_cancelled (protocol, &slot);
  line_trace_expect (trace, "connecting disconnecting idle");
  if (with_peer)
    peer_expect_eof (&peer);
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Nothing was even bound. */
static void
test_cancelled_before_both (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  guint n_notified = 0;

  g_cancellable_cancel (cancellable);
  g_signal_connect_swapped (protocol, "notify::listen-address", G_CALLBACK (g_atomic_int_inc), &n_notified);
  site_serve (&site, protocol, cancellable, &slot);
  site_expect_free (&site);
  expect_cancelled (protocol, &slot);
  g_assert_cmpuint (n_notified, ==, 0);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Where the address is wrong as well: nobody looks at that any more. */
static void
test_cancelled_before_failing (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();

  g_cancellable_cancel (cancellable);
  aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (protocol), nowhere, cancellable, test_slot_callback, &slot);
  expect_cancelled (protocol, &slot);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_cancelled_while (gconstpointer data)
{
  When when = GPOINTER_TO_INT (data);
  gboolean run_loop;

  for (run_loop = FALSE; run_loop <= TRUE; run_loop++)
    {
      g_auto (Site) site = site_make (SITE_PATH);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      LineProtocol *protocol = line_protocol_new ();

      go_as_far_as (when, &site, protocol, cancellable, &peer, &slot);
      if (run_loop)
        test_dispatch_pending ();
      g_cancellable_cancel (cancellable);
      expect_cancelled (protocol, &slot);
      site_expect_free (&site);
      if (peer.fd >= 0)
        peer_drain (&peer);
      check_usable (protocol);
      check_accepts (&site, protocol);
      end_object (&protocol);
    }
}

/* The peer's arrival, or the last word of its greeting, in the same turn as the cancellation: one or the other. */
static void
check_race (gboolean greets,
            gboolean cancel_first)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  if (greets)
    line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  site_serve (&site, protocol, cancellable, &slot);
  test_dispatch_pending ();
  if (greets)
    {
      peer.fd = site_dial (&site);
      peer_expect (&peer, "hi\n");
      test_dispatch_pending ();
    }

  if (cancel_first)
    g_cancellable_cancel (cancellable);
  if (greets)
    peer_send (&peer, "hello\n");
  else
    peer.fd = site_dial (&site);
  g_cancellable_cancel (cancellable);

  if (finish_accept (protocol, &slot, &error))
    {
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_CHAIN_UP);
      check_talks (protocol, &peer);
      disconnect_session (protocol, &error);
      g_assert_no_error (error);
    }
  else
    {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
    }
  peer_drain (&peer);
  site_expect_free (&site);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_cancelled_in_the_same_turn (void)
{
  check_race (FALSE, FALSE);
  check_race (FALSE, TRUE);
  check_race (TRUE, FALSE);
  check_race (TRUE, TRUE);
}

/* The same for the timeout: the word is there when the time is over. */
static void
test_timeout_in_the_same_turn (void)
{
  guint i;

  for (i = 0; i < 20; i++)
    {
      g_auto (Site) site = site_make (SITE_PATH);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = new_server (1);
      g_autoptr (GError) error = NULL;

      site_listen (&site, protocol);
      peer.fd = site_dial (&site);
      peer_send (&peer, "hello\n");
      start_accept (protocol, NULL, &slot);
      if (i % 2 == 0)
        g_main_context_iteration (NULL, FALSE);
      g_usleep (2000);
      if (finish_accept (protocol, &slot, &error))
        {
          peer_expect (&peer, "hi\n");
          check_talks (protocol, &peer);
          disconnect_session (protocol, &error);
          g_assert_no_error (error);
        }
      else
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      peer_drain (&peer);
      site_expect_free (&site);
      end_object (&protocol);
    }
}

/* Once it runs, the cancellable has no more to say. */
static void
test_cancelled_after (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_serve (&site, protocol, cancellable, &slot);
  peer.fd = site_dial (&site);
  wait_state (protocol, AQMP_RUNSTATE_RUNNING);
  g_cancellable_cancel (cancellable);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  test_dispatch_pending ();
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* One that belonged to a failed attempt is nothing to the next. */
static void
test_cancellable_of_an_earlier_attempt (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_serve (&site, protocol, cancellable, &first);
  disconnect_session (protocol, NULL);
  g_assert_false (finish_accept (protocol, &first, NULL));
  site_serve (&site, protocol, NULL, &second);
  g_cancellable_cancel (cancellable);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&second));
  peer.fd = site_dial (&site);
  finish_accept (protocol, &second, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

static gpointer
cancel (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancelled_in_another_thread (void)
{
  guint i;

  for (i = 0; i < 200; i++)
    {
      g_auto (Site) site = site_make (SITE_PATH);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      LineProtocol *protocol = line_protocol_new ();
      GThread *thread;
      g_autoptr (GError) error = NULL;

      site_listen (&site, protocol);
      start_accept (protocol, cancellable, &slot);
      thread = g_thread_new ("cancels", cancel, cancellable);
      if (i % 2 == 0)
        peer.fd = site_try (&site);
      if (finish_accept (protocol, &slot, &error))
        {
          disconnect_session (protocol, &error);
          g_assert_no_error (error);
        }
      else
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (thread);
      site_expect_free (&site);
      end_object (&protocol);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/protocol/S9/timeout/waits-for-a-peer-without-limit", GINT_TO_POINTER (FALSE),
                        test_waits_for_a_peer_without_limit);
  g_test_add_data_func ("/protocol/S9/timeout/start-server-and-accept-waits-without-limit", GINT_TO_POINTER (TRUE),
                        test_waits_for_a_peer_without_limit);
  g_test_add_func ("/protocol/S9/timeout/peer-long-before-accept", test_peer_long_before_accept);
  g_test_add_data_func ("/protocol/S9/timeout/accept-long-before-peer", GINT_TO_POINTER (FALSE), test_accept_long_before_peer);
  g_test_add_data_func ("/protocol/S9/timeout/start-server-and-accept-long-before-peer", GINT_TO_POINTER (TRUE),
                        test_accept_long_before_peer);
  g_test_add_func ("/protocol/S9/timeout/for-the-whole-greeting", test_timeout_is_for_the_whole_greeting);
  g_test_add_func ("/protocol/S9/timeout/none", test_no_timeout);
  g_test_add_func ("/protocol/S9/timeout/does-not-outlive-the-attempt", test_timeout_does_not_outlive_the_attempt);
  g_test_add_func ("/protocol/S9/timeout/in-the-same-turn", test_timeout_in_the_same_turn);

  g_test_add_data_func ("/protocol/S4/listening/cancelled-before-accept", GINT_TO_POINTER (FALSE), test_cancelled_before);
  g_test_add_data_func ("/protocol/S4/listening/cancelled-before-accept-of-waiting-peer", GINT_TO_POINTER (TRUE),
                        test_cancelled_before);
  g_test_add_func ("/protocol/S4/listening/cancelled-before-start-server-and-accept", test_cancelled_before_both);
  g_test_add_func ("/protocol/S4/listening/cancelled-before-failing", test_cancelled_before_failing);
  add_for_each ("/protocol/S4/listening/cancelled-while", WHEN_ACCEPTING, test_cancelled_while);
  g_test_add_func ("/protocol/S4/listening/cancelled-in-the-same-turn", test_cancelled_in_the_same_turn);
  g_test_add_func ("/protocol/S4/listening/cancelled-after", test_cancelled_after);
  g_test_add_func ("/protocol/S4/listening/cancellable-of-an-earlier-attempt", test_cancellable_of_an_earlier_attempt);
  g_test_add_func ("/protocol/S4/listening/cancelled-in-another-thread", test_cancelled_in_another_thread);

  return g_test_run ();
}
