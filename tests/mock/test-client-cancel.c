/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q8: calls that are given up, by cancelling or by time. */

#include "client-util.h"

#define AT_LEAST_INFO \
  (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO)

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

static void
assert_given_up (TestSlot *slot,
                 GIOErrorEnum code)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_null (result);
  g_assert_error (error, G_IO_ERROR, (int) code);
  g_assert_cmpuint (slot->n_calls, ==, 1);
}

static void
assert_result (TestSlot   *slot,
               const char *expected)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, expected);
}

/* A command that does not fit the socket's buffer: what is queued behind it waits until the mock reads it. */
static void
start_plug (AqmpClient *client,
            TestSlot   *slot)
{
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"plug\", \"arguments\": \"%s\"}", padding);

  test_start_raw (client, command, NULL, slot);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), >, 1024 * 1024);
}

static void
expect_plug (MockServer *mock)
{
  mock_expect (mock, "{'execute': 'plug', 'arguments': '@ANY@'}");
  mock_return (mock, "'plug'");
}

/* --- Not written yet ---------------------------------------------------------------------------------------------- */

/* In the same turn of the loop as the call. */
static void
test_unwritten_same_turn (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  test_start (client, "never", cancellable, &slot);
  g_cancellable_cancel (cancellable);
  assert_given_up (&slot, G_IO_ERROR_CANCELLED);

  /* The first thing that the mock sees. */
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_unwritten_behind_others (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  g_auto (TestSlot) before = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) after = TEST_SLOT_INIT;

  start_plug (client, &plug);
  test_start (client, "before", NULL, &before);
  test_start (client, "never", cancellable, &slot);
  test_start (client, "after", NULL, &after);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  assert_given_up (&slot, G_IO_ERROR_CANCELLED);

  expect_plug (mock);
  mock_expect (mock, "{'execute': 'before'}");
  mock_return (mock, "1");
  mock_expect (mock, "{'execute': 'after'}");
  mock_return (mock, "2");
  assert_result (&after, "2");
  assert_result (&before, "1");
  assert_result (&plug, "{\"return\": \"plug\", \"id\": \"aqmp-2\"}");
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_unwritten_timed_out (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  start_plug (client, &plug);
  test_start_timeout (client, "never", 20, &slot);
  assert_given_up (&slot, G_IO_ERROR_TIMED_OUT);

  expect_plug (mock);
  assert_result (&plug, "{\"return\": \"plug\", \"id\": \"aqmp-2\"}");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_cancelled_before_the_call (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;

  g_cancellable_cancel (cancellable);
  test_start (client, "never", cancellable, &slot);
  test_start_raw (client, "{\"execute\": \"never\"}", cancellable, &raw);
  /* Never from inside the call. */
  g_assert_false (test_slot_is_done (&slot));
  assert_given_up (&slot, G_IO_ERROR_CANCELLED);
  assert_given_up (&raw, G_IO_ERROR_CANCELLED);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* A message of which a part is written cannot be taken back; the rest of it still has to go. */
static void
test_partly_written (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"plug\", \"arguments\": \"%s\"}", padding);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  test_start_raw (client, command, cancellable, &slot);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  assert_given_up (&slot, G_IO_ERROR_CANCELLED);
  expect_plug (mock);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Written ------------------------------------------------------------------------------------------------------ */

/* @late: what comes for the call after it was given up. */
static void
check_written (gboolean    by_time,
               const char *late)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestLog) log = test_log_start ();
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_autofree char *dump = NULL;

  if (by_time)
    test_start_timeout (client, "slow", 30, &slot);
  else
    test_start (client, "slow", cancellable, &slot);
  test_start (client, "other", NULL, &other);
  mock_expect (mock, "{'execute': 'slow'}");
  mock_expect (mock, "{'execute': 'other'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  assert_given_up (&slot, by_time ? G_IO_ERROR_TIMED_OUT : G_IO_ERROR_CANCELLED);

  /* Its own reply, then that of the other one, whom all of this is none of the business of. */
  mock_send_json (mock, late);
  mock_return_to (mock, 2, "'other'");
  assert_result (&other, "\"other\"");
  g_assert_cmpuint (slot.n_calls, ==, 1);

  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
  dump = test_log_dump (log);
  if (test_log_count (log, AT_LEAST_INFO, NULL, NULL) != 0)
    g_error ("%s", dump);
}

static void
test_written_cancelled (void)
{
  check_written (FALSE, "{\"return\": \"late\", \"id\": @ID:1@}");
}

static void
test_written_cancelled_late_error (void)
{
  check_written (FALSE, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"late\"}, \"id\": @ID:1@}");
}

static void
test_written_cancelled_late_malformed (void)
{
  check_written (FALSE, "{\"error\": 5, \"id\": @ID:1@}");
}

static void
test_written_timed_out (void)
{
  check_written (TRUE, "{\"return\": \"late\", \"id\": @ID:1@}");
}

/* It is swallowed once: the second one to the same id is from nobody again. */
static void
test_swallowed_once (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestLog) log = test_log_start ();
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  test_start (client, "slow", cancellable, &slot);
  mock_expect (mock, "{'execute': 'slow'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  assert_given_up (&slot, G_IO_ERROR_CANCELLED);
  mock_return (mock, "1");
  mock_return (mock, "2");
  test_ping (client, mock);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "answers no call"), ==, 1);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* One cancellable for several calls, one of them without: only those are given up, and the stream lives on. */
static void
test_shared_cancellable (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GCancellable) another = g_cancellable_new ();
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) third = TEST_SLOT_INIT;
  g_auto (TestSlot) fourth = TEST_SLOT_INIT;

  test_start (client, "a", cancellable, &first);
  test_start (client, "b", NULL, &second);
  test_start (client, "c", cancellable, &third);
  test_start (client, "d", another, &fourth);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_expect (mock, "{'execute': 'c'}");
  mock_expect (mock, "{'execute': 'd'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  assert_given_up (&first, G_IO_ERROR_CANCELLED);
  assert_given_up (&third, G_IO_ERROR_CANCELLED);
  g_assert_false (test_slot_is_done (&second));
  g_assert_false (test_slot_is_done (&fourth));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_RUNNING);

  mock_return_to (mock, 1, "1");
  mock_return_to (mock, 2, "2");
  mock_return_to (mock, 3, "3");
  mock_return_to (mock, 4, "4");
  assert_result (&second, "2");
  assert_result (&fourth, "4");
  mock_expect_eof (mock);
  test_client_close (client);
}

/* The cancellable of a call that is over, and that of connecting, mean nothing any more. */
static void
test_cancelled_too_late (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GCancellable) connecting = g_cancellable_new ();
  g_autoptr (GCancellable) calling = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), connecting, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  g_cancellable_cancel (connecting);
  test_dispatch_pending ();

  test_start (client, "a", calling, &slot);
  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  assert_result (&slot, "1");
  g_cancellable_cancel (calling);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- An arrived reply wins ---------------------------------------------------------------------------------------- */

/* The reply is in the socket when the call is cancelled. */
static void
test_reply_in_socket_wins (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  test_start (client, "a", cancellable, &slot);
  mock_expect (mock, "{'execute': 'a'}");
  mock_wait_done (mock);
  mock_return (mock, "1");
  mock_block_done (mock);
  g_cancellable_cancel (cancellable);
  assert_result (&slot, "1");
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
cancel_it (AqmpClient   *client,
           AqmpEvent    *event,
           GCancellable *cancellable)
{
  g_cancellable_cancel (cancellable);
}

/* It was read together with an event whose handler cancels. */
static void
test_reply_behind_event_wins (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  g_signal_connect (client, "event::STOP", G_CALLBACK (cancel_it), cancellable);
  test_start (client, "a", cancellable, &slot);
  mock_expect (mock, "{'execute': 'a'}");
  mock_send (mock, "{\"event\": \"STOP\"}{\"return\": 1, \"id\": @ID@}");
  assert_result (&slot, "1");
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  mock_expect_eof (mock);
  test_client_close (client);
}

/* The caller's context has not run yet when the reply is there. */
static void
test_reply_on_its_way_wins (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  g_main_context_push_thread_default (context);
  test_start (client, "a", cancellable, &slot);
  g_main_context_pop_thread_default (context);

  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  test_ping (client, mock);
  g_assert_false (test_slot_is_done (&slot));
  g_cancellable_cancel (cancellable);

  g_main_context_push_thread_default (context);
  assert_result (&slot, "1");
  g_main_context_pop_thread_default (context);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* The time is up, and the reply is there. */
static void
test_reply_beats_timeout (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  test_start_timeout (client, "a", 200, &slot);
  mock_expect (mock, "{'execute': 'a'}");
  mock_wait_done (mock);
  mock_return (mock, "1");
  mock_delay (mock, 250);
  mock_block_done (mock);
  assert_result (&slot, "1");
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Whoever cancels ---------------------------------------------------------------------------------------------- */

static gpointer
cancel_in_thread (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancelled_by_another_thread (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  GThread *thread;

  test_start (client, "a", cancellable, &slot);
  mock_expect (mock, "{'execute': 'a'}");
  mock_wait_done (mock);
  thread = g_thread_new ("canceller", cancel_in_thread, cancellable);
  assert_given_up (&slot, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  mock_return (mock, "1");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* In the callback of one call, all others: also those that are not written yet. */
typedef struct
{
  GCancellable *cancellable;
  TestSlot      slot;
} Chain;

static void
cancel_others (GObject      *object,
               GAsyncResult *result,
               gpointer      data)
{
  Chain *chain = data;

  g_cancellable_cancel (chain->cancellable);
  test_slot_callback (object, result, &chain->slot);
}

static void
test_cancelled_in_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Chain chain = { cancellable, TEST_SLOT_INIT };
  g_auto (TestSlot) other = TEST_SLOT_INIT;

  aqmp_client_execute_async (client, "a", NULL, AQMP_EXECUTE_FLAGS_NONE, cancellable, cancel_others, &chain);
  test_start (client, "b", cancellable, &other);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_return_to (mock, 1, "1");
  assert_result (&chain.slot, "1");
  assert_given_up (&other, G_IO_ERROR_CANCELLED);
  mock_return_to (mock, 2, "2");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Time --------------------------------------------------------------------------------------------------------- */

/* What the sequence of properties and arguments amounts to: a call that nobody answers is given up after that, or not. */
static void
check_time (guint    call_timeout,
            int      timeout_ms,
            gboolean ends)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  gint64 started = g_get_monotonic_time ();

  aqmp_client_set_call_timeout (client, call_timeout);
  test_start_timeout (client, "a", timeout_ms, &slot);
  /* It has been sampled. */
  aqmp_client_set_call_timeout (client, ends ? 0 : 1);
  mock_expect (mock, "{'execute': 'a'}");
  mock_wait_done (mock);

  if (ends)
    {
      g_autofree char *result = NULL;
      g_autofree char *expected = g_strdup_printf ("%u ms", timeout_ms >= 0 ? (guint) timeout_ms : call_timeout);
      g_autoptr (GError) error = NULL;

      result = test_finish (&slot, &error);
      test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, expected);
      g_assert_cmpint (g_get_monotonic_time () - started, >=, 40000);
    }
  else
    {
      mock_delay (mock, 80);
      mock_return (mock, "1");
      assert_result (&slot, "1");
    }

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_time_argument (void)
{
  check_time (0, 40, TRUE);
}

static void
test_time_argument_over_property (void)
{
  check_time (100000, 40, TRUE);
}

static void
test_time_property (void)
{
  check_time (40, -1, TRUE);
}

static void
test_time_none (void)
{
  check_time (40, 0, FALSE);
}

static void
test_time_none_by_default (void)
{
  check_time (0, -1, FALSE);
}

static void
test_time_property_holds_for_all_forms (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) tree = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;
  g_auto (TestSlot) unlimited = TEST_SLOT_INIT;

  aqmp_client_set_call_timeout (client, 40);
  test_start (client, "a", NULL, &tree);
  test_start_raw (client, "{\"execute\": \"b\"}", NULL, &raw);
  aqmp_client_set_call_timeout (client, 0);
  test_start (client, "c", NULL, &unlimited);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_expect (mock, "{'execute': 'c'}");
  assert_given_up (&tree, G_IO_ERROR_TIMED_OUT);
  assert_given_up (&raw, G_IO_ERROR_TIMED_OUT);
  g_assert_false (test_slot_is_done (&unlimited));
  mock_return_to (mock, 3, "3");
  assert_result (&unlimited, "3");
  mock_expect_eof (mock);
  test_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q8/cancel-before-written-is-never-sent/same-turn", test_unwritten_same_turn);
  g_test_add_func ("/client/Q8/cancel-before-written-is-never-sent/behind-others", test_unwritten_behind_others);
  g_test_add_func ("/client/Q8/cancel-before-written-is-never-sent/timed-out", test_unwritten_timed_out);
  g_test_add_func ("/client/Q8/cancel-before-written-is-never-sent/before-the-call", test_cancelled_before_the_call);
  g_test_add_func ("/client/Q8/partly-written-goes-out-whole", test_partly_written);
  g_test_add_func ("/client/Q8/written/late-reply-swallowed", test_written_cancelled);
  g_test_add_func ("/client/Q8/written/late-error-swallowed", test_written_cancelled_late_error);
  g_test_add_func ("/client/Q8/written/late-malformed-reply-swallowed", test_written_cancelled_late_malformed);
  g_test_add_func ("/client/Q8/written/late-reply-after-timeout-swallowed", test_written_timed_out);
  g_test_add_func ("/client/Q8/written/swallowed-once", test_swallowed_once);
  g_test_add_func ("/client/Q8/nobody-else-is-touched", test_shared_cancellable);
  g_test_add_func ("/client/Q8/cancelled-too-late", test_cancelled_too_late);
  g_test_add_func ("/client/Q8/arrived-reply-beats-cancel/in-the-socket", test_reply_in_socket_wins);
  g_test_add_func ("/client/Q8/arrived-reply-beats-cancel/behind-an-event", test_reply_behind_event_wins);
  g_test_add_func ("/client/Q8/arrived-reply-beats-cancel/on-its-way-to-the-caller", test_reply_on_its_way_wins);
  g_test_add_func ("/client/Q8/arrived-reply-beats-cancel/timeout", test_reply_beats_timeout);
  g_test_add_func ("/client/Q8/cancelled-by-another-thread", test_cancelled_by_another_thread);
  g_test_add_func ("/client/Q8/cancelled-in-a-callback", test_cancelled_in_callback);
  g_test_add_func ("/client/Q8/timeout/argument", test_time_argument);
  g_test_add_func ("/client/Q8/timeout/argument-before-property", test_time_argument_over_property);
  g_test_add_func ("/client/Q8/timeout/property-sampled-at-the-call", test_time_property);
  g_test_add_func ("/client/Q8/timeout/zero-is-none", test_time_none);
  g_test_add_func ("/client/Q8/timeout/none-by-default", test_time_none_by_default);
  g_test_add_func ("/client/Q8/timeout/property-holds-for-all-forms", test_time_property_holds_for_all_forms);

  return g_test_run ();
}
