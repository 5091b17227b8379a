/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q4, Q6: what becomes of a message that arrives. */

#include "client-util.h"

#define ABOVE_INFO (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE)

/* S11: nothing that a peer does may stop a program that runs with fatal warnings. */
static void
assert_nothing_above_info (TestLog *log)
{
  g_autofree char *dump = test_log_dump (log);

  if (test_log_count (log, ABOVE_INFO, NULL, NULL) > 0)
    g_error ("%s", dump);
}

/* A guest agent: no greeting, no negotiation, so that no id was ever sent back. */
static AqmpClient *
connect_to_agent (MockServer *mock)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  return client;
}

/* --- Ids ---------------------------------------------------------------------------------------------------------- */

static void
test_id_known (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  guint i;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);

  for (i = 0; i < 3; i++)
    {
      test_start (client, "test", NULL, &slots[i]);
      mock_expect (mock, "{'execute': 'test'}");
    }
  mock_return_to (mock, 3, "'third'");
  mock_return_to (mock, 1, "'first'");
  mock_return_to (mock, 2, "'second'");
  for (i = 0; i < 3; i++)
    {
      static const char * const expected[] = { "\"first\"", "\"second\"", "\"third\"" };
      g_autoptr (GError) error = NULL;
      g_autofree char *result = test_finish (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_cmpstr (result, ==, expected[i]);
    }

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_event_with_id (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_autoptr (GString) names = g_string_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);

  test_start (client, "test", NULL, &slot);
  mock_expect (mock, "{'execute': 'test'}");
  mock_send_json (mock, "{\"event\": \"STOP\", \"id\": @ID@, \"return\": 1, \"error\": 2}");
  mock_return (mock, "'real'");
  result = test_finish (&slot, NULL);
  g_assert_cmpstr (result, ==, "\"real\"");
  g_assert_cmpstr (names->str, ==, "STOP ");

  mock_expect_eof (mock);
  g_signal_handlers_disconnect_by_data (client, names);
  test_client_close (client);
}

static void
test_idless_reply_of_sole_call (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to_agent (mock);
  g_autofree char *result = NULL;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'guest-info'}");
  mock_send_json (mock, "{'return': 'old'}");
  result = test_execute (client, "guest-info", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"old\"");

  /* An error is a reply too. */
  mock_expect (mock, "{'execute': 'guest-x'}");
  mock_send_json (mock, "{'error': {'class': 'CommandNotFound', 'desc': 'never heard of it'}}");
  no_result = test_execute (client, "guest-x", NULL, &error);
  g_assert_null (no_result);
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_COMMAND_NOT_FOUND);
  g_assert_cmpstr (error->message, ==, "never heard of it");

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_idless_reply_swallowed_if_cancelled (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to_agent (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *no_result = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "slow", cancellable, &slot);
  mock_expect (mock, "{'execute': 'slow'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  no_result = test_finish (&slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  /* The next call gets its own reply, not this one. */
  mock_send_json (mock, "{'return': 'late'}");
  mock_wait_done (mock);
  test_dispatch_pending ();
  mock_expect (mock, "{'execute': 'next'}");
  mock_send_json (mock, "{'return': 'own'}");
  result = test_execute (client, "next", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"own\"");

  mock_expect_eof (mock);
  test_client_close (client);
}

/* Two are outstanding: whose it is cannot be known, and guessing would be worse than nothing. */
static void
test_idless_reply_of_two (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to_agent (mock);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_autofree char *first_result = NULL;
  g_autofree char *second_result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "a", NULL, &first);
  test_start (client, "b", NULL, &second);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_send_json (mock, "{'return': 'whose?'}");
  mock_return_to (mock, 2, "'b'");
  mock_return_to (mock, 1, "'a'");
  first_result = test_finish (&first, &error);
  g_assert_no_error (error);
  second_result = test_finish (&second, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (first_result, ==, "\"a\"");
  g_assert_cmpstr (second_result, ==, "\"b\"");

  mock_expect_eof (mock);
  test_client_close (client);
}

/* A call that waits for its turn to be written is not outstanding. The first one is too large for the socket's buffer. */
static void
test_idless_reply_unsent_does_not_count (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to_agent (mock);
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"a\", \"arguments\": \"%s\"}", padding);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_autofree char *first_result = NULL;
  g_autofree char *second_result = NULL;
  g_autoptr (GError) error = NULL;

  test_start_raw (client, command, NULL, &first);
  test_start (client, "b", NULL, &second);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), >, 1024 * 1024);

  mock_send_json (mock, "{'return': 'a'}");
  first_result = test_finish (&first, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (first_result, ==, "{\"return\": \"a\"}");

  mock_expect (mock, "{'execute': 'a', 'arguments': '@ANY@'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_return (mock, "'b'");
  second_result = test_finish (&second, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (second_result, ==, "\"b\"");

  mock_expect_eof (mock);
  test_client_close (client);
}

/* Once ids come back, a reply without one is nobody's. */
static void
test_idless_reply_after_ids (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestLog) log = test_log_start ();
  AqmpClient *client;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  test_start (client, "test", NULL, &slot);
  mock_expect (mock, "{'execute': 'test'}");
  mock_send_json (mock, "{'return': 'nobody'}");
  mock_return (mock, "'own'");
  result = test_finish (&slot, NULL);
  g_assert_cmpstr (result, ==, "\"own\"");
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "answers no call"), ==, 1);

  mock_expect_eof (mock);
  test_client_close (client);
  assert_nothing_above_info (log);
}

/* "Of this session": the one before does not matter. */
static void
test_ids_echoed_is_per_session (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to_agent (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_ping (client, mock);
  mock_expect_eof (mock);
  test_disconnect (client, NULL);

  mock_accept (mock);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  mock_expect (mock, "{'execute': 'x'}");
  mock_send_json (mock, "{'return': 1}");
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "1");

  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Errors without id -------------------------------------------------------------------------------------------- */

static void
test_idless_error (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  test_start (client, "test", NULL, &slot);
  mock_expect (mock, "{'execute': 'test'}");
  mock_send_json (mock, "{'error': {'class': 'GenericError', 'desc': 'JSON parse error, expecting value'}}");
  mock_expect_eof (mock);

  result = test_finish (&slot, &error);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "JSON parse error, expecting value");
  test_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), AQMP_ERROR, AQMP_ERROR_SERVER_PARSE,
                     "JSON parse error, expecting value");
  g_clear_error (&error);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE, "JSON parse error, expecting value");
  g_object_unref (client);
}

static void
test_idless_error_with_no_call (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = connect_to_agent (mock);
  g_autoptr (GError) error = NULL;

  mock_send_json (mock, "{'error': {'class': 'GenericError', 'desc': 'out of the blue'}}");
  mock_expect_eof (mock);
  test_wait_failed (client);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE, "out of the blue");
}

/* Even an error that is malformed itself. */
static void
test_idless_error_malformed (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_send_json (mock, "{'error': 'what was that?'}");
  mock_expect_eof (mock);
  client = test_client_new (mock);
  test_wait_failed (client);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE, "what was that?");
}

static void
test_idless_error_after_cancelled (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestLog) log = test_log_start ();
  AqmpClient *client;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) cancelled = TEST_SLOT_INIT;
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_autofree char *no_result = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  test_start (client, "a", cancellable, &cancelled);
  test_start (client, "b", NULL, &other);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  no_result = test_finish (&cancelled, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  mock_send_json (mock, "{'error': {'class': 'GenericError', 'desc': 'dropped'}}");
  mock_return_to (mock, 2, "'b'");
  result = test_finish (&other, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"b\"");

  mock_expect_eof (mock);
  test_client_close (client);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", NULL), ==, 0);
  assert_nothing_above_info (log);
}

/* --- Everything else is dropped ----------------------------------------------------------------------------------- */

/* @silently: a cancelled call is outstanding */
static void
check_dropped (const char *text,
               gboolean    silently)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (TestLog) log = test_log_start ();
  AqmpClient *client;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *no_result = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);

  if (silently)
    {
      test_start (client, "given up", cancellable, &slot);
      mock_expect (mock, "{'execute': 'given up'}");
      mock_wait_done (mock);
      g_cancellable_cancel (cancellable);
      no_result = test_finish (&slot, NULL);
    }

  mock_send_json (mock, text);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);

  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "dropped"), ==, silently ? 0 : 1);
  assert_nothing_above_info (log);
}

static void
test_dropped (gconstpointer text)
{
  check_dropped (text, FALSE);
}

static void
test_dropped_silently (gconstpointer text)
{
  check_dropped (text, TRUE);
}

#define ADD_DROPPED(path, text) \
  G_STMT_START { \
    g_test_add_data_func ("/client/Q4/dropped/" path, text, test_dropped); \
    g_test_add_data_func ("/client/Q4/dropped-silently-after-cancelled/" path, text, test_dropped_silently); \
  } G_STMT_END

/* --- Not a message ------------------------------------------------------------------------------------------------ */

static void
test_not_an_object (gconstpointer text)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *start = g_strndup (text, 20);
  g_autofree char *line = g_strconcat (text, "\n", NULL);

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  test_start (client, "test", NULL, &slot);
  mock_expect (mock, "{'execute': 'test'}");
  mock_send (mock, line);
  mock_expect_eof (mock);

  result = test_finish (&slot, &error);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, start);
  g_clear_error (&error);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_UNEXPECTED_TYPE, start);

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  g_clear_error (&error);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Members ------------------------------------------------------------------------------------------------------ */

/* @members: with the id of the request; returns what became of the call. */
static char *
reply_with (const char  *members,
            gboolean     raw,
            GError     **error)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  char *result;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  if (raw)
    test_start_raw (client, "{\"execute\": \"test\"}", NULL, &slot);
  else
    test_start (client, "test", NULL, &slot);
  mock_expect (mock, "{'execute': 'test'}");
  mock_send_json (mock, members);
  result = test_finish (&slot, error);

  /* The session goes on. */
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
  return result;
}

static void
test_unknown_members (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = NULL;

  result = reply_with ("{\"x-new\": [{\"id\": 1}], \"return\": 5, \"QMP\": {}, \"id\": @ID@, \"data\": 1}", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "5");
}

static void
test_duplicate_return (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = NULL;

  result = reply_with ("{\"return\": 1, \"id\": @ID@, \"return\": 2}", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "2");
}

static void
test_duplicate_id (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = NULL;

  result = reply_with ("{\"id\": \"other\", \"return\": 1, \"id\": @ID@}", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "1");
}

static void
test_escaped_names (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = NULL;

  result = reply_with ("{\"\\u0072eturn\": 1, \"i\\u0064\": @ID@}", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "1");
}

static void
test_nested_names (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = NULL;

  result = reply_with ("{\"return\": {\"id\": 1, \"error\": {}, \"event\": \"STOP\"}, \"id\": @ID@}", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"id\":1,\"error\":{},\"event\":\"STOP\"}");
}

typedef struct
{
  const char *members;
  const char *what;
} BadReply;

static const BadReply error_not_object = { "{\"error\": \"no\", \"id\": @ID@}", "is no object" };
static const BadReply error_null = { "{\"error\": null, \"return\": {}, \"id\": @ID@}", "is no object" };
static const BadReply error_no_class = { "{\"error\": {\"desc\": \"d\"}, \"id\": @ID@}", "“class”" };
static const BadReply error_no_desc = { "{\"error\": {\"class\": \"GenericError\"}, \"id\": @ID@}", "“desc”" };
static const BadReply error_class_number = { "{\"error\": {\"class\": 1, \"desc\": \"d\"}, \"id\": @ID@}", "“class”" };
static const BadReply error_desc_object = { "{\"error\": {\"class\": \"GenericError\", \"desc\": {}}, \"id\": @ID@}",
                                            "“desc”" };
static const BadReply neither = { "{\"id\": @ID@, \"x\": \"something else\"}", "neither" };

static void
test_bad_reply (gconstpointer data)
{
  const BadReply *bad = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) raw_error = NULL;
  g_autofree char *result = NULL;
  g_autofree char *raw_result = NULL;

  result = reply_with (bad->members, FALSE, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, bad->what);
  /* With an excerpt. */
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, "{\"");

  raw_result = reply_with (bad->members, TRUE, &raw_error);
  g_assert_null (raw_result);
  test_assert_error (raw_error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, bad->what);
}

static void
test_error_wins (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = NULL;

  result = reply_with ("{\"error\": {\"class\": \"GenericError\", \"desc\": \"d\"}, \"return\": {}, \"id\": @ID@}", FALSE,
                       &error);
  g_assert_null (result);
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
}

static void
test_bad_reply_touches_no_other_call (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_auto (TestSlot) bad = TEST_SLOT_INIT;
  g_auto (TestSlot) good = TEST_SLOT_INIT;
  g_autofree char *no_result = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  test_start (client, "bad", NULL, &bad);
  test_start (client, "good", NULL, &good);
  mock_expect (mock, "{'execute': 'bad'}");
  mock_expect (mock, "{'execute': 'good'}");
  mock_send_json (mock, "{\"error\": 1, \"id\": @ID:1@}");
  mock_return_to (mock, 2, "true");
  no_result = test_finish (&bad, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);
  g_clear_error (&error);
  result = test_finish (&good, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "true");

  mock_expect_eof (mock);
  test_client_close (client);
}

#define LONG_TEXT "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q4/id-known", test_id_known);
  g_test_add_func ("/client/Q4/event-even-with-id", test_event_with_id);
  g_test_add_func ("/client/Q4/id-less-reply/of-the-sole-call", test_idless_reply_of_sole_call);
  g_test_add_func ("/client/Q4/id-less-reply/swallowed-if-cancelled", test_idless_reply_swallowed_if_cancelled);
  g_test_add_func ("/client/Q4/id-less-reply/not-with-two-calls", test_idless_reply_of_two);
  g_test_add_func ("/client/Q4/id-less-reply/unsent-calls-do-not-count", test_idless_reply_unsent_does_not_count);
  g_test_add_func ("/client/Q4/id-less-reply/not-after-ids-came-back", test_idless_reply_after_ids);
  g_test_add_func ("/client/Q4/id-less-reply/of-this-session", test_ids_echoed_is_per_session);
  g_test_add_func ("/client/Q4/id-less-error", test_idless_error);
  g_test_add_func ("/client/Q4/id-less-error/with-no-call", test_idless_error_with_no_call);
  g_test_add_func ("/client/Q4/id-less-error/malformed", test_idless_error_malformed);
  g_test_add_func ("/client/Q4/id-less-error/not-while-a-cancelled-call-is-outstanding", test_idless_error_after_cancelled);
  ADD_DROPPED ("unknown-id", "{'return': {}, 'id': 'nobody'}");
  ADD_DROPPED ("unknown-generated-id", "{'return': {}, 'id': 'aqmp-999'}");
  ADD_DROPPED ("unknown-id-error", "{'error': {'class': 'GenericError', 'desc': 'd'}, 'id': 12}");
  ADD_DROPPED ("id-of-another-type", "{'return': {}, 'id': {'a': [1]}}");
  ADD_DROPPED ("id-null", "{'return': {}, 'id': null}");
  ADD_DROPPED ("id-less-return", "{'return': {}}");
  ADD_DROPPED ("nothing-known", "{'x': 1}");
  ADD_DROPPED ("empty", "{}");
  ADD_DROPPED ("late-greeting", "{'QMP': {'version': {}, 'capabilities': []}}");
  g_test_add_func ("/client/Q4/unknown-members", test_unknown_members);
  g_test_add_func ("/client/Q4/duplicate-return-last-wins", test_duplicate_return);
  g_test_add_func ("/client/Q4/duplicate-id-last-wins", test_duplicate_id);
  g_test_add_func ("/client/Q4/escaped-member-names", test_escaped_names);
  g_test_add_func ("/client/Q4/nested-member-names", test_nested_names);
  g_test_add_data_func ("/client/Q4/no-object/array", "[{\"return\": {}}, \"" LONG_TEXT "\"]", test_not_an_object);
  g_test_add_data_func ("/client/Q4/no-object/string", "\"" LONG_TEXT "\"", test_not_an_object);
  g_test_add_data_func ("/client/Q4/no-object/number", "42", test_not_an_object);
  g_test_add_data_func ("/client/Q4/no-object/true", "true", test_not_an_object);
  g_test_add_data_func ("/client/Q4/no-object/null", "null", test_not_an_object);
  g_test_add_data_func ("/client/Q6/error-not-object", &error_not_object, test_bad_reply);
  g_test_add_data_func ("/client/Q6/error-null", &error_null, test_bad_reply);
  g_test_add_data_func ("/client/Q6/error-without-class", &error_no_class, test_bad_reply);
  g_test_add_data_func ("/client/Q6/error-without-desc", &error_no_desc, test_bad_reply);
  g_test_add_data_func ("/client/Q6/class-not-string", &error_class_number, test_bad_reply);
  g_test_add_data_func ("/client/Q6/desc-not-string", &error_desc_object, test_bad_reply);
  g_test_add_data_func ("/client/Q6/neither-return-nor-error", &neither, test_bad_reply);
  g_test_add_func ("/client/Q6/error-wins-over-return", test_error_wins);
  g_test_add_func ("/client/Q6/no-other-call-is-touched", test_bad_reply_touches_no_other_call);

  return g_test_run ();
}
