/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q16: a command, and the event that completes what it has begun. */

#include "event-util.h"

#include <math.h>

typedef enum
{
  WITH_LOOP,
  BLOCKING,
  N_FORMS
} Form;

static const char * const form_names[N_FORMS] = { "async", "sync" };

static const char * const done_names[] = { "DONE", "FINISHED", NULL };
static const char * const failure_names[] = { "BROKEN", "FAILED", NULL };

/* What came of it: the event's name, and the reply as JSON. */
typedef struct
{
  char   *event;  /* (owned) (nullable) */
  char   *reply;  /* (owned) (nullable) */
  GError *error;  /* (owned) (nullable) */
} Result;

static void
result_clear (Result *result)
{
  g_clear_pointer (&result->event, g_free);
  g_clear_pointer (&result->reply, g_free);
  g_clear_error (&result->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static void
fill (Result    *result,
      AqmpEvent *event,
      JsonNode  *reply)
{
  g_assert_true ((event == NULL) == (result->error != NULL));
  g_assert_true (event != NULL || reply == NULL);
  result->event = event != NULL ? g_strdup (aqmp_event_get_name (event)) : NULL;
  result->reply = reply != NULL ? json_to_string (reply, FALSE) : NULL;
  g_clear_object (&event);
  g_clear_pointer (&reply, json_node_unref);
}

static void
start (AqmpClient   *client,
       const char   *data,
       int           timeout_ms,
       GCancellable *cancellable,
       TestSlot     *slot)
{
  g_autoptr (JsonObject) object = data != NULL ? aqmp_arguments_parse (data, NULL) : NULL;
  g_autoptr (JsonObject) arguments = aqmp_arguments_parse ("{\"id\": \"disk0\"}", NULL);

  aqmp_client_execute_and_wait_async (client, "begin", arguments, done_names, failure_names, object, timeout_ms, cancellable,
                                      test_slot_callback, slot);
}

static void
finish (TestSlot *slot,
        Result   *result)
{
  g_autoptr (GAsyncResult) async_result = test_await (slot);
  g_autoptr (GObject) client = g_async_result_get_source_object (async_result);
  JsonNode *reply = (gpointer) 1;
  AqmpEvent *event = aqmp_client_execute_and_wait_finish (AQMP_CLIENT (client), async_result, &reply, &result->error);

  fill (result, event, reply);
}

static void
run (Form          form,
     AqmpClient   *client,
     const char   *data,
     int           timeout_ms,
     GCancellable *cancellable,
     Result       *result)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  if (form == WITH_LOOP)
    {
      start (client, data, timeout_ms, cancellable, &slot);
      finish (&slot, result);
    }
  else
    {
      g_autoptr (JsonObject) object = data != NULL ? aqmp_arguments_parse (data, NULL) : NULL;
      g_autoptr (JsonObject) arguments = aqmp_arguments_parse ("{\"id\": \"disk0\"}", NULL);
      JsonNode *reply = (gpointer) 1;
      AqmpEvent *event = aqmp_client_execute_and_wait_sync (client, "begin", arguments, done_names, failure_names, object,
                                                            timeout_ms, cancellable, &reply, &result->error);

      fill (result, event, reply);
    }
}

static void
script_command (MockServer *mock)
{
  mock_expect (mock, "{'execute': 'begin', 'arguments': {'id': 'disk0'}}");
}

/* Nothing is left waiting, neither for an event nor for a reply. */
static void
check_nothing_left (AqmpClient *client,
                    MockServer *mock)
{
  test_dispatch_pending ();
  event_count_made ();
  event_send_at_once (mock, "DONE FINISHED BROKEN FAILED");
  test_ping (client, mock);
  g_assert_cmpuint (event_count_made (), ==, 0);
}

/* --- Success ------------------------------------------------------------------------------------------------------ */

typedef enum
{
  BEFORE_REPLY,
  WITH_REPLY,
  LONG_AFTER_REPLY,
} When;

static void
check_success (Form form,
               When when)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (Result) result = { NULL };
  SyncTrap trap;

  script_command (mock);
  event_send_at_once (mock, "NOISE");
  if (when == BEFORE_REPLY)
    event_send_at_once (mock, "FINISHED DONE BROKEN");
  if (when == WITH_REPLY)
    mock_send (mock, "{\"return\": {\"a\": 1}, \"id\": @ID@}{\"event\": \"FINISHED\"}{\"event\": \"BROKEN\"}");
  else
    mock_return (mock, "{'a': 1}");
  if (when == LONG_AFTER_REPLY)
    {
      mock_delay (mock, 20);
      event_send_at_once (mock, "NOISE FINISHED DONE");
    }

  sync_trap_set (&trap);
  if (form == WITH_LOOP)
    {
      g_source_destroy (trap.source);
      g_clear_pointer (&trap.source, g_source_unref);
    }
  run (form, client, NULL, 0, NULL, &result);
  if (form == BLOCKING)
    sync_trap_check (&trap);
  g_assert_no_error (result.error);
  g_assert_cmpstr (result.event, ==, "FINISHED");
  g_assert_cmpstr (result.reply, ==, "{\"a\":1}");
  check_nothing_left (client, mock);
  event_close (client, mock);
}

static void
test_event_before_reply (gconstpointer form)
{
  check_success (GPOINTER_TO_INT (form), BEFORE_REPLY);
}

static void
test_event_with_reply (gconstpointer form)
{
  check_success (GPOINTER_TO_INT (form), WITH_REPLY);
}

static void
test_event_after_reply (gconstpointer form)
{
  check_success (GPOINTER_TO_INT (form), LONG_AFTER_REPLY);
}

/* The event alone is not enough. */
static void
test_waits_for_both (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Result) result = { NULL };

  start (client, NULL, 0, NULL, &slot);
  script_command (mock);
  event_send_at_once (mock, "DONE");
  mock_expect (mock, "{'execute': 'ping', 'arguments': {'b': 1}}");
  mock_return (mock, "{'pong': true}");
  {
    g_autofree char *pong = test_execute (client, "ping", "{\"b\": 1}", NULL);

    g_assert_nonnull (pong);
  }
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  mock_return_to (mock, 1, "5");
  finish (&slot, &result);
  g_assert_cmpstr (result.event, ==, "DONE");
  g_assert_cmpstr (result.reply, ==, "5");
  event_close (client, mock);
}

static void
test_data (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (Result) result = { NULL };

  script_command (mock);
  mock_event (mock, "DONE", "{'device': 'disk1'}");
  mock_event (mock, "BROKEN", "{'device': 'disk1'}");
  mock_event (mock, "DONE", NULL);
  mock_return (mock, "{}");
  mock_event (mock, "DONE", "{'path': 'disk0'}");
  mock_event (mock, "FINISHED", "{'device': 'disk0', 'path': '/x'}");
  run (GPOINTER_TO_INT (form), client, "{\"device\": \"disk0\"}", 0, NULL, &result);
  g_assert_no_error (result.error);
  g_assert_cmpstr (result.event, ==, "FINISHED");
  mock_block_done (mock);
  event_close (client, mock);
}

/* Both are optional. */
static void
test_without_failures_and_reply (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint i;

  for (i = 0; i < 2; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autoptr (GError) error = NULL;
      g_autoptr (AqmpEvent) event = NULL;

      mock_expect (mock, "{'execute': 'begin'}");
      event_send_at_once (mock, "BROKEN DONE");
      mock_return (mock, "{}");
      if (i == 0)
        {
          aqmp_client_execute_and_wait_async (client, "begin", NULL, done_names, NULL, NULL, 0, NULL, test_slot_callback, &slot);
          event = event_finish (&slot, &error);
        }
      else
        event = aqmp_client_execute_and_wait_sync (client, "begin", NULL, done_names, NULL, NULL, 0, NULL, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (aqmp_event_get_name (event), ==, "DONE");
    }
  event_close (client, mock);
}

/* One after the other, each with its own event. */
static void
test_many (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint i;

  for (i = 0; i < 50; i++)
    {
      g_auto (Result) result = { NULL };

      script_command (mock);
      if (i % 2 == 0)
        event_send_at_once (mock, "DONE");
      mock_return (mock, "{}");
      if (i % 2 == 1)
        event_send_at_once (mock, "DONE");
      run (GPOINTER_TO_INT (form), client, NULL, 0, NULL, &result);
      g_assert_no_error (result.error);
      g_assert_cmpstr (result.event, ==, "DONE");
    }
  check_nothing_left (client, mock);
  event_close (client, mock);
}

/* --- Failure ------------------------------------------------------------------------------------------------------ */

static void
test_command_fails (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint i;

  /* Also when there was an event that could have been it. */
  for (i = 0; i < 2; i++)
    {
      g_auto (Result) result = { NULL };

      script_command (mock);
      if (i == 1)
        event_send_at_once (mock, "DONE");
      mock_error (mock, "DeviceNotFound", "no such disk");
      run (GPOINTER_TO_INT (form), client, NULL, 0, NULL, &result);
      test_assert_error (result.error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_DEVICE_NOT_FOUND, "no such disk");
      g_assert_cmpstr (aqmp_exec_error_get_class (result.error), ==, "DeviceNotFound");
      check_nothing_left (client, mock);
    }
  event_close (client, mock);
}

static void
test_failure_event (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint i;

  for (i = 0; i < 2; i++)
    {
      g_auto (Result) result = { NULL };

      script_command (mock);
      if (i == 0)
        mock_event (mock, "FAILED", "{'device': 'disk0'}");
      mock_return (mock, "{}");
      if (i == 1)
        mock_event (mock, "FAILED", "{'device': 'disk0'}");
      event_send_at_once (mock, "DONE");
      run (GPOINTER_TO_INT (form), client, NULL, 0, NULL, &result);
      test_assert_error (result.error, AQMP_ERROR, AQMP_ERROR_EVENT, "FAILED");
      test_assert_error (result.error, AQMP_ERROR, AQMP_ERROR_EVENT, "disk0");
      mock_block_done (mock);
      test_ping (client, mock);
      check_nothing_left (client, mock);
    }
  event_close (client, mock);
}

/* The message is one that can be shown, whatever the event has. */
static void
test_large_failure_event (void)
{
  g_autoptr (GString) text = g_string_new ("{\"event\": \"FAILED\", \"data\": {\"x\": \"a");
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (Result) result = { NULL };
  guint i;

  for (i = 0; i < 1000; i++)
    g_string_append (text, "\xe2\x82\xac");
  g_string_append (text, "\"}}");
  script_command (mock);
  mock_send (mock, text->str);
  mock_return (mock, "{}");
  run (WITH_LOOP, client, NULL, 0, NULL, &result);
  test_assert_error (result.error, AQMP_ERROR, AQMP_ERROR_EVENT, "FAILED");
  event_close (client, mock);
}

/* In both lists: it says that something has failed. */
static void
test_name_in_both (void)
{
  static const char * const names[] = { "DONE", NULL };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'begin'}");
  event_send_at_once (mock, "DONE");
  mock_return (mock, "{}");
  g_assert_null (aqmp_client_execute_and_wait_sync (client, "begin", NULL, names, names, NULL, 0, NULL, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_EVENT);
  event_close (client, mock);
}

/* --- Giving up ---------------------------------------------------------------------------------------------------- */

/* @replied: the command was answered, and only the event is not there */
static void
check_timeout (Form     form,
               gboolean replied,
               int      timeout_ms)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (Result) result = { NULL };
  gint64 before = g_get_monotonic_time ();

  if (timeout_ms == -1)
    aqmp_client_set_call_timeout (client, 20);
  script_command (mock);
  if (replied)
    mock_return (mock, "{}");
  else
    event_send_at_once (mock, "DONE");
  run (form, client, NULL, timeout_ms, NULL, &result);
  g_assert_error (result.error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 20000);
  aqmp_client_set_call_timeout (client, 0);

  /* A late reply is nobody's any more. */
  if (!replied)
    mock_return (mock, "{}");
  check_nothing_left (client, mock);
  event_close (client, mock);
}

static void
test_timeout_before_reply (gconstpointer form)
{
  check_timeout (GPOINTER_TO_INT (form), FALSE, 20);
}

static void
test_timeout_after_reply (gconstpointer form)
{
  check_timeout (GPOINTER_TO_INT (form), TRUE, 20);
}

static void
test_call_timeout (gconstpointer form)
{
  check_timeout (GPOINTER_TO_INT (form), TRUE, -1);
}

static void
check_cancel (gboolean replied)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Result) result = { NULL };
  guint gate;

  start (client, NULL, 0, cancellable, &slot);
  script_command (mock);
  if (replied)
    mock_return (mock, "{}");
  event_send_at_once (mock, "NOISE");
  gate = mock_mark (mock);
  mock_wait_reached (mock, gate);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  g_cancellable_cancel (cancellable);
  finish (&slot, &result);
  g_assert_error (result.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  if (!replied)
    mock_return (mock, "{}");
  check_nothing_left (client, mock);
  event_close (client, mock);
}

static void
test_cancel_before_reply (void)
{
  check_cancel (FALSE);
}

static void
test_cancel_after_reply (void)
{
  check_cancel (TRUE);
}

/* The command is not even sent. */
static void
test_cancelled_already (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Result) result = { NULL };

  g_cancellable_cancel (cancellable);
  run (GPOINTER_TO_INT (form), client, NULL, 0, cancellable, &result);
  g_assert_error (result.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  check_nothing_left (client, mock);
  event_close (client, mock);
}

static void
test_cancel_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SyncCanceller canceller = { .cancellable = cancellable };
  g_auto (Result) result = { NULL };
  GThread *thread;

  sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, "NOISE", sync_canceller_tell, &canceller);
  thread = sync_canceller_start (&canceller);
  script_command (mock);
  mock_return (mock, "{}");
  event_send_at_once (mock, "NOISE");
  run (BLOCKING, client, NULL, 0, cancellable, &result);
  g_assert_error (result.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  check_nothing_left (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* --- The session ends --------------------------------------------------------------------------------------------- */

static void
check_end (Form     form,
           gboolean replied,
           gboolean heard)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (Result) result = { NULL };
  g_autoptr (GError) error = NULL;

  script_command (mock);
  if (heard)
    event_send_at_once (mock, "DONE");
  if (replied)
    mock_return (mock, "{}");
  mock_close (mock);
  run (form, client, NULL, 0, NULL, &result);
  if (replied && heard)
    {
      g_assert_no_error (result.error);
      g_assert_cmpstr (result.event, ==, "DONE");
    }
  else
    test_assert_error (result.error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "failed");
  test_wait_failed (client);
  test_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  test_client_close (client);
}

static void
test_end_before_reply (gconstpointer form)
{
  check_end (GPOINTER_TO_INT (form), FALSE, FALSE);
}

static void
test_end_after_event (gconstpointer form)
{
  check_end (GPOINTER_TO_INT (form), FALSE, TRUE);
}

static void
test_end_after_reply (gconstpointer form)
{
  check_end (GPOINTER_TO_INT (form), TRUE, FALSE);
}

static void
test_end_after_both (gconstpointer form)
{
  check_end (GPOINTER_TO_INT (form), TRUE, TRUE);
}

static void
test_disconnect_after_reply (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Result) result = { NULL };
  g_autoptr (GError) error = NULL;

  start (client, NULL, 0, NULL, &slot);
  script_command (mock);
  mock_return (mock, "{}");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  finish (&slot, &result);
  test_assert_error (result.error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "ended before an event");
  test_client_close (client);
}

/* --- What cannot be done ------------------------------------------------------------------------------------------ */

static void
test_idle (gconstpointer form)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (Result) result = { NULL };

  run (GPOINTER_TO_INT (form), client, NULL, 0, NULL, &result);
  test_assert_error (result.error, AQMP_ERROR, AQMP_ERROR_STATE, "“idle”");
  test_dispatch_pending ();
  g_assert_finalize_object (client);
}

static void
check_refused (AqmpClient         *client,
               MockServer         *mock,
               const char * const *names,
               const char * const *failures,
               JsonObject         *arguments,
               JsonObject         *data,
               GQuark              domain,
               int                 code)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  JsonNode *reply = (gpointer) 1;

  aqmp_client_execute_and_wait_async (client, "begin", arguments, names, failures, data, 0, NULL, test_slot_callback, &slot);
  g_assert_false (test_slot_is_done (&slot));
  event_check_failure (&slot, domain, code, "");
  g_assert_null (aqmp_client_execute_and_wait_sync (client, "begin", arguments, names, failures, data, 0, NULL, &reply, &error));
  g_assert_error (error, domain, code);
  g_assert_null (reply);
  check_nothing_left (client, mock);
}

/* Nothing is sent. */
static void
test_refused (void)
{
  static const char * const with_empty[] = { "DONE", "", NULL };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (JsonObject) nan = json_object_new ();

  json_object_set_double_member (nan, "a", NAN);
  check_refused (client, mock, with_empty, NULL, NULL, NULL, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  check_refused (client, mock, done_names, with_empty, NULL, NULL, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  check_refused (client, mock, done_names, NULL, NULL, nan, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  check_refused (client, mock, done_names, NULL, nan, NULL, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  event_close (client, mock);
}

static void
add (const char    *name,
     GTestDataFunc  func)
{
  Form form;

  for (form = 0; form < N_FORMS; form++)
    {
      g_autofree char *path = g_strdup_printf ("/client/Q16/execute-and-wait/%s/%s", name, form_names[form]);

      g_test_add_data_func (path, GINT_TO_POINTER (form), func);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add ("event-before-reply", test_event_before_reply);
  add ("event-with-reply", test_event_with_reply);
  add ("event-after-reply", test_event_after_reply);
  g_test_add_func ("/client/Q16/execute-and-wait/waits-for-both", test_waits_for_both);
  add ("data", test_data);
  g_test_add_func ("/client/Q16/execute-and-wait/nothing-optional", test_without_failures_and_reply);
  add ("many", test_many);
  add ("command-fails", test_command_fails);
  add ("failure-event", test_failure_event);
  g_test_add_func ("/client/Q16/execute-and-wait/large-failure-event", test_large_failure_event);
  g_test_add_func ("/client/Q16/execute-and-wait/name-in-both", test_name_in_both);
  add ("timeout-before-reply", test_timeout_before_reply);
  add ("timeout-after-reply", test_timeout_after_reply);
  add ("call-timeout", test_call_timeout);
  g_test_add_func ("/client/Q16/execute-and-wait/cancel-before-reply", test_cancel_before_reply);
  g_test_add_func ("/client/Q16/execute-and-wait/cancel-after-reply", test_cancel_after_reply);
  add ("cancelled-already", test_cancelled_already);
  g_test_add_func ("/client/Q16/execute-and-wait/cancel-blocking", test_cancel_sync);
  add ("end-before-reply", test_end_before_reply);
  add ("end-after-event", test_end_after_event);
  add ("end-after-reply", test_end_after_reply);
  add ("end-after-both", test_end_after_both);
  g_test_add_func ("/client/Q16/execute-and-wait/disconnect-after-reply", test_disconnect_after_reply);
  add ("idle", test_idle);
  g_test_add_func ("/client/Q16/execute-and-wait/refused", test_refused);

  return g_test_run ();
}
