/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3, Q8: blocking calls that end by themselves: time is over, or somebody has cancelled. */

#include "sync-util.h"

/* ---- timeouts ---------------------------------------------------------------------------------------------------- */

static void
set_call_timeout (AqmpClient *client,
                  guint       timeout_ms)
{
  aqmp_client_set_call_timeout (client, timeout_ms);
}

/* A late reply is swallowed, and the next call gets its own. */
static void
test_call_timeout (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;
  SyncTrap trap;

  mock_expect (mock, "{'execute': 'slow'}");
  mock_pause (mock);
  mock_return (mock, "'late'");
  sync_script (mock, "next", "'its own'");
  set_call_timeout (client, 1);
  sync_trap_set (&trap);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "slow", NULL, &error));
  sync_trap_check (&trap);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "1 ms");
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 1000);
  g_assert_cmpint (g_get_monotonic_time () - start, <, test_bound_us ());

  set_call_timeout (client, 0);
  mock_continue (mock);
  sync_check (GPOINTER_TO_INT (form), client, "next", "\"its own\"");
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_timeout_ms (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  /* The call's own goes before that of all. */
  mock_expect (mock, "{'execute': 'slow'}");
  set_call_timeout (client, 1000 * 1000);
  g_assert_null (aqmp_client_execute_full_sync (client, "slow", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, 2, NULL, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "2 ms");
  g_clear_error (&error);

  /* 0: none */
  mock_expect (mock, "{'execute': 'slow'}");
  mock_delay (mock, 20);
  mock_return (mock, "3");
  set_call_timeout (client, 1);
  node = aqmp_client_execute_full_sync (client, "slow", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (node), ==, 3);

  set_call_timeout (client, 0);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* Held back, as eight are under way: it is never sent. */
static void
test_timeout_of_held_call (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  TestSlot slots[8] = { TEST_SLOT_INIT };
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < 8; i++)
    {
      mock_expect (mock, "{'execute': 'c'}");
      test_start (client, "c", NULL, &slots[i]);
    }
  set_call_timeout (client, 1);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "held", NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  set_call_timeout (client, 0);

  for (i = 0; i < 8; i++)
    mock_return_to (mock, i + 1, "1");
  sync_ping (client, mock);
  mock_expect_eof (mock);
  for (i = 0; i < 8; i++)
    {
      g_autofree char *result = test_finish (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_cmpstr (result, ==, "1");
    }
  sync_client_close (client);
}

typedef struct
{
  SyncForm      form;
  AqmpClient   *client;
  GCancellable *cancellable;  /* (nullable) */
  GError       *error;        /* (owned) (nullable) */
  char         *result;       /* (owned) (nullable) */
  gint          ended;        /* atomic */
} ThreadCall;

static gpointer
call_slow (gpointer data)
{
  ThreadCall *call = data;

  call->result = sync_call (call->form, call->client, "slow", call->cancellable, &call->error);
  g_atomic_int_set (&call->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_timeout_in_other_thread (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  ThreadCall call = { GPOINTER_TO_INT (form), client };
  GThread *thread;

  mock_expect (mock, "{'execute': 'slow'}");
  mock_pause (mock);
  mock_return (mock, "'late'");
  set_call_timeout (client, 50);
  thread = g_thread_new ("caller", call_slow, &call);
  test_wait_until (g_atomic_int_get (&call.ended));
  g_thread_join (thread);
  test_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "50 ms");
  g_clear_error (&call.error);

  set_call_timeout (client, 0);
  mock_continue (mock);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* Nobody runs the owner's context, so it is not even sent. */
static void
test_owner_does_not_run (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  ThreadCall call = { GPOINTER_TO_INT (form), client };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread;

  set_call_timeout (client, 1);
  g_thread_join (g_thread_new ("caller", call_slow, &call));
  test_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "1 ms");
  g_clear_error (&call.error);

  set_call_timeout (client, 0);
  call.cancellable = cancellable;
  thread = g_thread_new ("caller", call_slow, &call);
  g_thread_yield ();
  g_cancellable_cancel (cancellable);
  g_thread_join (thread);
  g_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&call.error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), ==, 0);

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* ---- cancellation ------------------------------------------------------------------------------------------------ */

static void
test_cancelled_before (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "never", cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), ==, 0);

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_cancelled_from_other_thread (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SyncCanceller canceller = { .cancellable = cancellable };
  GThread *thread;
  g_autoptr (GError) error = NULL;
  SyncTrap trap;

  mock_expect (mock, "{'execute': 'slow'}");
  mock_event (mock, "POKE", NULL);
  mock_pause (mock);
  mock_return (mock, "'late'");
  sync_script (mock, "next", "'its own'");

  sync_client_once (client, SYNC_IN_FILTER_INBOUND, "POKE", sync_canceller_tell, &canceller);
  thread = sync_canceller_start (&canceller);
  sync_trap_set (&trap);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "slow", cancellable, &error));
  sync_trap_check (&trap);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);

  mock_continue (mock);
  sync_check (GPOINTER_TO_INT (form), client, "next", "\"its own\"");
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* And the one that waits is no owner. */
static void
test_cancelled_in_other_thread (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  ThreadCall call = { GPOINTER_TO_INT (form), client, cancellable };
  GThread *thread;
  guint gate;

  mock_expect (mock, "{'execute': 'slow'}");
  gate = mock_pause (mock);
  mock_return (mock, "'late'");
  sync_script (mock, "next", "'its own'");

  thread = g_thread_new ("caller", call_slow, &call);
  mock_wait_reached (mock, gate);
  g_assert_false (g_atomic_int_get (&call.ended));
  g_cancellable_cancel (cancellable);
  g_thread_join (thread);
  g_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&call.error);

  mock_continue (mock);
  sync_check (GPOINTER_TO_INT (form), client, "next", "\"its own\"");
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* In the middle of it, but the reply has arrived, if unread, by then. */
typedef struct
{
  MockServer   *mock;
  GCancellable *cancellable;  /* (nullable): else the time is over */
  gint64        start;
} Race;

static void
let_reply_arrive (AqmpClient *client,
                  gpointer    data)
{
  Race *race = data;

  g_cancellable_cancel (race->cancellable);
  mock_continue (race->mock);
  mock_block_done (race->mock);
  /* Time, not an event, is what this is about. */
  while (race->cancellable == NULL && g_get_monotonic_time () < race->start + 30 * 1000)
    g_thread_yield ();
}

static void
test_arrived_reply_beats_cancellation (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Race race = { mock, cancellable };
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'slow'}");
  mock_event (mock, "POKE", NULL);
  mock_pause (mock);
  mock_return (mock, "'here'");
  sync_client_once (client, SYNC_IN_FILTER_INBOUND, "POKE", let_reply_arrive, &race);
  result = sync_call (GPOINTER_TO_INT (form), client, "slow", cancellable, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"here\"");

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_arrived_reply_beats_timeout (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  Race race = { mock, NULL };
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'slow'}");
  mock_event (mock, "POKE", NULL);
  mock_pause (mock);
  mock_return (mock, "'here'");
  sync_client_once (client, SYNC_IN_FRAME, NULL, let_reply_arrive, &race);
  set_call_timeout (client, 20);
  race.start = g_get_monotonic_time ();
  result = sync_call (GPOINTER_TO_INT (form), client, "slow", NULL, &error);
  if (error != NULL && !sync_client_has_done (client, SYNC_IN_FRAME))
    {
      /* Too slow a machine: the command was not even seen in time. */
      mock_abandon (g_steal_pointer (&mock));
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, NULL);
      g_object_unref (client);
      g_test_skip ("the event did not come within 20 ms");
      return;
    }
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"here\"");

  set_call_timeout (client, 0);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  sync_add_for_forms ("/client/T3/", "/call-timeout", test_call_timeout);
  g_test_add_func ("/client/T3/timeout-ms", test_timeout_ms);
  sync_add_for_forms ("/client/T3/", "/timeout-of-a-held-call", test_timeout_of_held_call);
  sync_add_for_forms ("/client/T3/", "/timeout-in-other-thread", test_timeout_in_other_thread);
  sync_add_for_forms ("/client/T3/", "/owner-does-not-run", test_owner_does_not_run);
  sync_add_for_forms ("/client/T3/", "/cancelled-before", test_cancelled_before);
  sync_add_for_forms ("/client/T3/", "/cancelled-from-other-thread", test_cancelled_from_other_thread);
  sync_add_for_forms ("/client/T3/", "/cancelled-in-other-thread", test_cancelled_in_other_thread);
  sync_add_for_forms ("/client/T3/", "/arrived-reply-beats-cancellation", test_arrived_reply_beats_cancellation);
  sync_add_for_forms ("/client/T3/", "/arrived-reply-beats-timeout", test_arrived_reply_beats_timeout);

  return g_test_run ();
}
