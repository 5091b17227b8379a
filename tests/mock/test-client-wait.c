/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q16, Q17: waiting for one event. */

#include "event-util.h"

#include <math.h>

/* @names: with a blank between them; @data: JSON; both (nullable) */
static void
start_wait (AqmpClient   *client,
            const char   *names,
            const char   *data,
            int           timeout_ms,
            GCancellable *cancellable,
            TestSlot     *slot)
{
  g_auto (GStrv) list = names != NULL ? g_strsplit (names, " ", -1) : NULL;
  g_autoptr (JsonObject) object = data != NULL ? aqmp_arguments_parse (data, NULL) : NULL;

  aqmp_client_wait_event_async (client, (const char * const *) list, object, timeout_ms, cancellable, test_slot_callback, slot);
}

static AqmpEvent *
wait_sync (AqmpClient    *client,
           const char    *names,
           const char    *data,
           int            timeout_ms,
           GCancellable  *cancellable,
           GError       **error)
{
  g_auto (GStrv) list = names != NULL ? g_strsplit (names, " ", -1) : NULL;
  g_autoptr (JsonObject) object = data != NULL ? aqmp_arguments_parse (data, NULL) : NULL;

  return aqmp_client_wait_event_sync (client, (const char * const *) list, object, timeout_ms, cancellable, error);
}

/* Nobody listens any more: an event is not even looked at. */
static void
check_nobody_listens (AqmpClient *client,
                      MockServer *mock)
{
  test_dispatch_pending ();
  event_count_made ();
  event_send_at_once (mock, "STOP RESUME DEVICE_DELETED WANTED");
  test_ping (client, mock);
  g_assert_cmpuint (event_count_made (), ==, 0);
}

/* --- What is waited for ------------------------------------------------------------------------------------------- */

static void
check_wait (const char *names,
            const char *data,
            const char *expected_data)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint i;

  for (i = 0; i < 2; i++)
    {
      g_autoptr (AqmpEvent) event = NULL;
      g_autoptr (JsonNode) node = NULL;
      g_autofree char *text = NULL;
      g_autoptr (GError) error = NULL;
      g_auto (TestSlot) slot = TEST_SLOT_INIT;

      if (i == 0)
        start_wait (client, names, data, 0, NULL, &slot);
      mock_event (mock, "NOISE", NULL);
      mock_event (mock, "JOB", "{'id': 'a', 'n': 1}");
      mock_event (mock, "JOB", "{'id': 'b', 'n': 2}");
      mock_event (mock, "TASK", "{'id': 'b', 'n': 3}");
      mock_event (mock, "JOB", "{'id': 'c', 'n': 4}");
      event = i == 0 ? event_finish (&slot, &error) : wait_sync (client, names, data, 0, NULL, &error);
      g_assert_no_error (error);
      if (expected_data == NULL)
        g_assert_null (aqmp_event_get_data (event));
      else
        {
          node = json_node_init_object (json_node_alloc (), aqmp_event_get_data (event));
          text = json_to_string (node, FALSE);
          g_assert_cmpstr (text, ==, expected_data);
        }
      g_clear_object (&event);
      mock_block_done (mock);
      test_ping (client, mock);
    }
  check_nobody_listens (client, mock);
  event_close (client, mock);
}

static void
test_any (void)
{
  check_wait (NULL, NULL, NULL);
}

static void
test_by_name (void)
{
  check_wait ("JOB", NULL, "{\"id\":\"a\",\"n\":1}");
}

static void
test_by_names (void)
{
  check_wait ("TASK LEVITATE", NULL, "{\"id\":\"b\",\"n\":3}");
}

static void
test_by_data (void)
{
  check_wait (NULL, "{\"id\": \"b\"}", "{\"id\":\"b\",\"n\":2}");
}

static void
test_by_name_and_data (void)
{
  check_wait ("TASK JOB", "{\"n\": 4.0}", "{\"id\":\"c\",\"n\":4}");
}

static void
test_by_empty_data (void)
{
  check_wait ("NOISE", "{}", NULL);
}

/* Neither is kept, nor changed: the caller may do with them what he likes. */
static void
test_not_kept (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  char name[] = "JOB";
  const char *names[] = { name, NULL };
  JsonObject *data = aqmp_arguments_parse ("{\"a\": {\"b\": 1}}", NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_client_wait_event_async (client, names, data, 0, NULL, test_slot_callback, &slot);
  name[0] = 'X';
  g_assert_false (json_object_is_immutable (data));
  json_object_set_int_member (json_object_get_object_member (data, "a"), "b", 2);
  json_object_unref (data);
  mock_event (mock, "JOB", "{'a': {'b': 2}}");
  mock_event (mock, "XOB", "{'a': {'b': 1}}");
  mock_event (mock, "JOB", "{'a': {'b': 1, 'c': 5}}");
  {
    g_autoptr (AqmpEvent) event = event_finish (&slot, NULL);

    g_assert_cmpint (json_object_get_int_member (json_object_get_object_member (aqmp_event_get_data (event), "a"), "c"), ==, 5);
  }
  event_close (client, mock);
}

/* Each waits for himself: one event is for all. */
static void
test_several (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) third = TEST_SLOT_INIT;

  start_wait (client, "STOP", NULL, 0, NULL, &first);
  start_wait (client, "STOP", NULL, 0, NULL, &second);
  start_wait (client, "RESUME", NULL, 0, NULL, &third);
  mock_event (mock, "STOP", NULL);
  event_check_finish (&first, "STOP");
  event_check_finish (&second, "STOP");
  test_ping (client, mock);
  g_assert_false (test_slot_is_done (&third));
  mock_event (mock, "RESUME", NULL);
  event_check_finish (&third, "RESUME");
  event_close (client, mock);
}

/* It listens when the call returns: so what comes of the next command is caught, also before its reply. */
static void
test_before_reply (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint i;

  for (i = 0; i < 2; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;

      start_wait (client, "STOP", NULL, 0, NULL, &slot);
      mock_expect (mock, "{'execute': 'stop'}");
      mock_event (mock, "STOP", NULL);
      mock_event (mock, "STOP", NULL);
      mock_return (mock, "{}");
      if (i == 0)
        {
          g_autofree char *result = test_execute (client, "stop", NULL, NULL);

          g_assert_cmpstr (result, ==, "{}");
        }
      else
        sync_check (SYNC_EXECUTE, client, "stop", "{}");
      event_check_finish (&slot, "STOP");
    }
  check_nobody_listens (client, mock);
  event_close (client, mock);
}

/* But not what came before the call. */
static void
test_not_earlier (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_event (mock, "STOP", "{'n': 1}");
  test_ping (client, mock);
  start_wait (client, "STOP", NULL, 0, NULL, &slot);
  test_ping (client, mock);
  g_assert_false (test_slot_is_done (&slot));
  mock_event (mock, "STOP", "{'n': 2}");
  {
    g_autoptr (AqmpEvent) event = event_finish (&slot, NULL);

    g_assert_cmpint (json_object_get_int_member (aqmp_event_get_data (event), "n"), ==, 2);
  }
  event_close (client, mock);
}

/* --- Giving up ---------------------------------------------------------------------------------------------------- */

static void
test_timeout (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  gint64 before = g_get_monotonic_time ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  start_wait (client, "WANTED", NULL, 20, NULL, &slot);
  mock_event (mock, "NOISE", NULL);
  event_check_failure (&slot, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "20 ms");
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);

  before = g_get_monotonic_time ();
  g_assert_null (wait_sync (client, "WANTED", NULL, 20, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);

  check_nobody_listens (client, mock);
  event_close (client, mock);
}

/* -1 is call-timeout, as for commands; 0 is none, whatever that is. */
static void
test_call_timeout (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) unlimited = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  aqmp_client_set_call_timeout (client, 10);
  start_wait (client, "WANTED", NULL, -1, NULL, &slot);
  start_wait (client, "WANTED", NULL, 0, NULL, &unlimited);
  aqmp_client_set_call_timeout (client, 0);
  event_check_failure (&slot, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "10 ms");
  g_assert_false (test_slot_is_done (&unlimited));
  mock_event (mock, "WANTED", NULL);
  event_check_finish (&unlimited, "WANTED");

  aqmp_client_set_call_timeout (client, 10);
  g_assert_null (wait_sync (client, "WANTED", NULL, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  event_close (client, mock);
}

static void
test_cancel (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) cancelled = TEST_SLOT_INIT;
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  start_wait (client, "WANTED", NULL, 0, cancellable, &cancelled);
  start_wait (client, "WANTED", NULL, 0, NULL, &other);
  test_ping (client, mock);
  g_cancellable_cancel (cancellable);
  event_check_failure (&cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");

  /* Before it has begun. */
  start_wait (client, "WANTED", NULL, 0, cancellable, &cancelled);
  event_check_failure (&cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  g_assert_null (wait_sync (client, "WANTED", NULL, 0, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  g_assert_false (test_slot_is_done (&other));
  mock_event (mock, "WANTED", NULL);
  event_check_finish (&other, "WANTED");
  check_nobody_listens (client, mock);
  event_close (client, mock);
}

static void
test_cancel_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SyncCanceller canceller = { .cancellable = cancellable };
  g_autoptr (GError) error = NULL;
  GThread *thread;

  sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, "OTHER", sync_canceller_tell, &canceller);
  thread = sync_canceller_start (&canceller);
  mock_event (mock, "OTHER", NULL);
  g_assert_null (wait_sync (client, "WANTED", NULL, 0, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  check_nobody_listens (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* --- What cannot come --------------------------------------------------------------------------------------------- */

static void
check_refused (AqmpClient *client,
               const char *names,
               JsonObject *data,
               GQuark      domain,
               int         code,
               const char *text)
{
  g_auto (GStrv) list = names != NULL ? g_strsplit (names, ",", -1) : NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  aqmp_client_wait_event_async (client, (const char * const *) list, data, 0, NULL, test_slot_callback, &slot);
  g_assert_false (test_slot_is_done (&slot));
  event_check_failure (&slot, domain, code, text);
  g_assert_null (aqmp_client_wait_event_sync (client, (const char * const *) list, data, 0, NULL, &error));
  test_assert_error (error, domain, code, text);
}

static void
test_empty_name (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (TestLog) log = test_log_start ();

  check_refused (client, "STOP,", NULL, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "empty name");
  check_refused (client, ",STOP", NULL, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "empty name");
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK & ~G_LOG_LEVEL_DEBUG, "aqmp", NULL), ==, 0);
  check_nobody_listens (client, mock);
  event_close (client, mock);
}

static void
test_invalid_data (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (JsonObject) nan = json_object_new ();
  g_autoptr (JsonObject) infinity = json_object_new ();
  g_autoptr (JsonObject) broken = json_object_new ();

  json_object_set_double_member (nan, "a", NAN);
  json_object_set_double_member (infinity, "a", INFINITY);
  json_object_set_string_member (broken, "a", "\xff");
  check_refused (client, "STOP", nan, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "");
  check_refused (client, "STOP", infinity, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "");
  check_refused (client, "STOP", broken, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "UTF-8");
  check_nobody_listens (client, mock);
  event_close (client, mock);
}

static void
test_idle (void)
{
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);

  check_refused (client, "STOP", NULL, AQMP_ERROR, AQMP_ERROR_STATE, "“idle”");
}

/* --- The session ends --------------------------------------------------------------------------------------------- */

static void
test_disconnect_meanwhile (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  start_wait (client, "STOP", NULL, 0, NULL, &slot);
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "ended");
  test_slot_clear (&slot);
  test_client_close (client);
}

static void
test_failure_meanwhile (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) failure = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  start_wait (client, "STOP", NULL, 0, NULL, &slot);
  mock_send (mock, "{]");
  mock_expect_gone (mock);
  test_wait_failed (client);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED,
                       aqmp_protocol_get_error (AQMP_PROTOCOL (client))->message);

  /* And once it has failed. */
  start_wait (client, "STOP", NULL, 0, NULL, &slot);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "ended");
  g_assert_null (wait_sync (client, "STOP", NULL, 0, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  test_disconnect (client, &failure);
  g_assert_error (failure, AQMP_ERROR, AQMP_ERROR_PARSE);
  test_slot_clear (&slot);
  test_client_close (client);
}

static void
test_end_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;

  mock_event (mock, "NOISE", NULL);
  mock_close (mock);
  g_assert_null (wait_sync (client, "STOP", NULL, 0, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, NULL);
  sync_client_close (client);
}

/* While connecting it waits for the session. */
static void
test_connecting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_auto (TestSlot) connecting = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  mock_event (mock, "EARLY", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &connecting);
  start_wait (client, "EARLY", NULL, 0, NULL, &slot);
  event_check_finish (&slot, "EARLY");
  result = test_await (&connecting);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  test_slot_clear (&connecting);
  test_slot_clear (&slot);
  event_close (client, mock);
}

/* --- Blocking ----------------------------------------------------------------------------------------------------- */

static void
test_sync_without_loop (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) event = NULL;
  SyncTrap trap;

  sync_trap_set (&trap);
  mock_event (mock, "NOISE", NULL);
  mock_event (mock, "WANTED", "{'a': 1}");
  event = wait_sync (client, "WANTED", "{\"a\": 1}", 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, "WANTED");
  sync_trap_check (&trap);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
try_wait (AqmpClient *client,
          gpointer    data)
{
  g_assert_null (wait_sync (client, NULL, NULL, 0, NULL, data));
}

static void
test_refused_in_vfunc (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;

  sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, NULL, try_wait, &error);
  sync_ping (client, mock);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "use the asynchronous form");
  mock_expect_eof (mock);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q16/wait/any", test_any);
  g_test_add_func ("/client/Q16/wait/by-name", test_by_name);
  g_test_add_func ("/client/Q16/wait/by-names", test_by_names);
  g_test_add_func ("/client/Q16/wait/by-data", test_by_data);
  g_test_add_func ("/client/Q16/wait/by-name-and-data", test_by_name_and_data);
  g_test_add_func ("/client/Q16/wait/by-empty-data", test_by_empty_data);
  g_test_add_func ("/client/Q16/wait/not-kept", test_not_kept);
  g_test_add_func ("/client/Q16/wait/several", test_several);
  g_test_add_func ("/client/Q16/wait/before-reply", test_before_reply);
  g_test_add_func ("/client/Q16/wait/not-earlier", test_not_earlier);
  g_test_add_func ("/client/Q16/wait/timeout", test_timeout);
  g_test_add_func ("/client/Q16/wait/call-timeout", test_call_timeout);
  g_test_add_func ("/client/Q16/wait/cancel", test_cancel);
  g_test_add_func ("/client/Q16/wait/cancel-sync", test_cancel_sync);
  g_test_add_func ("/client/Q16/wait/empty-name", test_empty_name);
  g_test_add_func ("/client/Q16/wait/invalid-data", test_invalid_data);
  g_test_add_func ("/client/Q16/wait/idle", test_idle);
  g_test_add_func ("/client/Q16/wait/disconnect-meanwhile", test_disconnect_meanwhile);
  g_test_add_func ("/client/Q16/wait/failure-meanwhile", test_failure_meanwhile);
  g_test_add_func ("/client/Q16/wait/end-sync", test_end_sync);
  g_test_add_func ("/client/Q16/wait/connecting", test_connecting);
  g_test_add_func ("/client/T3/wait/without-loop", test_sync_without_loop);
  g_test_add_func ("/client/T3/wait/refused-in-virtual-function", test_refused_in_vfunc);

  return g_test_run ();
}
