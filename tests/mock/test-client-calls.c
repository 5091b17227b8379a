/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q7, Q11, M6, S2: what is sent for a call, and what a call returns. */

#include "client-util.h"

#include <math.h>
#include <unistd.h>

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

/* --- Q7: errors of the server ------------------------------------------------------------------------------------- */

typedef struct
{
  const char    *class_name;
  AqmpExecError  code;
} ErrorClass;

static const ErrorClass generic_error = { "GenericError", AQMP_EXEC_ERROR_GENERIC_ERROR };
static const ErrorClass command_not_found = { "CommandNotFound", AQMP_EXEC_ERROR_COMMAND_NOT_FOUND };
static const ErrorClass device_not_active = { "DeviceNotActive", AQMP_EXEC_ERROR_DEVICE_NOT_ACTIVE };
static const ErrorClass device_not_found = { "DeviceNotFound", AQMP_EXEC_ERROR_DEVICE_NOT_FOUND };
static const ErrorClass kvm_missing_cap = { "KVMMissingCap", AQMP_EXEC_ERROR_KVM_MISSING_CAP };
static const ErrorClass other_class = { "GuestAgentIsAsleep", AQMP_EXEC_ERROR_OTHER };

static void
test_error_class (gconstpointer data)
{
  const ErrorClass *expected = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autofree char *text = NULL;
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'test'}");
  mock_error (mock, expected->class_name, "Could not do it: “no” \\ \"never\"\n100%s");
  result = test_execute (client, "test", NULL, &error);
  g_assert_null (result);
  g_assert_error (error, AQMP_EXEC_ERROR, (int) expected->code);
  g_assert_cmpstr (error->message, ==, "Could not do it: “no” \\ \"never\"\n100%s");
  g_assert_cmpstr (aqmp_exec_error_get_class (error), ==, expected->class_name);

  reply = aqmp_exec_error_get_reply (error);
  text = g_strndup (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
  g_assert_true (g_str_has_prefix (text, "{\"id\": \"aqmp-2\", \"error\": {\"class\": "));
  g_assert_true (g_str_has_suffix (text, "}}"));

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_error_raw_is_result (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'test'}");
  mock_error (mock, "GenericError", "no");
  result = test_execute_raw (client, "{\"execute\": \"test\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"id\": \"aqmp-2\", \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}");

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_any_value (gconstpointer value)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'test'}");
  mock_return (mock, value);
  result = test_execute (client, "test", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, value);

  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Q11: what is sent -------------------------------------------------------------------------------------------- */

/* Byte for byte, with nothing behind it. */
static void
test_no_trailing_newline (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_auto (TestSlot) plain = TEST_SLOT_INIT;
  g_auto (TestSlot) with_arguments = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;

  json_object_set_string_member (arguments, "s", "a\"b");
  json_object_set_int_member (arguments, "i", G_MININT64);

  test_start (client, "plain", NULL, &plain);
  aqmp_client_execute_async (client, "args", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &with_arguments);
  test_start_raw (client, " \t\r\n{ \"execute\" : \"raw\" }\r\n\n ", NULL, &raw);

#define ALL_OF_IT \
  "{\"execute\":\"plain\",\"id\":\"aqmp-2\"}" \
  "{\"execute\":\"args\",\"arguments\":{\"s\":\"a\\\"b\",\"i\":-9223372036854775808},\"id\":\"aqmp-3\"}" \
  "{\"id\":\"aqmp-4\", \"execute\" : \"raw\" }"

  mock_expect_bytes (mock, ALL_OF_IT, -1);
  mock_expect_nothing (mock, 30);
  mock_send (mock, "{\"return\": 1, \"id\": \"aqmp-2\"}{\"return\": 1, \"id\": \"aqmp-3\"}{\"return\": 1, \"id\": \"aqmp-4\"}");
  g_free (test_finish (&plain, NULL));
  g_free (test_finish (&with_arguments, NULL));
  g_free (test_finish (&raw, NULL));
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_negotiation_no_trailing_newline (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect_bytes (mock, "{\"execute\":\"qmp_capabilities\",\"id\":\"aqmp-1\"}", -1);
  mock_expect_nothing (mock, 30);
  mock_send (mock, "{\"return\": {}, \"id\": \"aqmp-1\"}");
  client = test_client_new (mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- M6: what the caller gives ------------------------------------------------------------------------------------ */

static void
test_arguments_untouched (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (JsonObject) arguments = NULL;
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  arguments = aqmp_arguments_parse ("{\"a\": {\"b\": [1, 2.5, null]}, \"c\": \"d\"}", &error);
  g_assert_no_error (error);
  json_node_set_object (node, arguments);
  before = json_to_string (node, FALSE);

  aqmp_client_execute_async (client, "test", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &slot);
  /* Neither changed, nor kept: what is done to it afterwards is of no effect. */
  after = json_to_string (node, FALSE);
  g_assert_cmpstr (before, ==, after);
  g_assert_false (json_object_is_immutable (arguments));
  json_object_set_string_member (arguments, "c", "changed");

  mock_expect (mock, "{'execute': 'test', 'arguments': {'a': {'b': [1, 2.5, null]}, 'c': 'd'}}");
  mock_return (mock, "1");
  result = test_finish (&slot, &error);
  g_assert_no_error (error);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Both ways, to the last digit and byte. */
static void
test_arguments_exact (gconstpointer value)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *text = g_strdup_printf ("{\"v\":%s}", (const char *) value);
  g_autofree char *expected = g_strdup_printf ("{\"execute\":\"test\",\"arguments\":%s,\"id\":\"aqmp-2\"}", text);
  g_autoptr (JsonObject) arguments = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  arguments = aqmp_arguments_parse (text, &error);
  g_assert_no_error (error);
  aqmp_client_execute_async (client, "test", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &slot);
  mock_expect_text (mock, expected);
  mock_return (mock, text);
  result = test_finish (&slot, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, text);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Whole or not at all. */
static void
check_cannot_be_written (const char *command,
                         JsonObject *arguments,
                         const char *what)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "other", NULL, &other);
  aqmp_client_execute_async (client, command, arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &slot);
  mock_expect_text (mock, "{\"execute\":\"other\",\"id\":\"aqmp-2\"}");
  mock_return (mock, "1");
  no_result = test_finish (&slot, &error);
  g_assert_null (no_result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, what);
  g_clear_error (&error);
  result = test_finish (&other, &error);
  g_assert_no_error (error);

  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_not_utf8 (void)
{
  g_autoptr (JsonObject) arguments = json_object_new ();

  json_object_set_string_member (arguments, "first", "fine");
  json_object_set_string_member (arguments, "second", "caf\xe9");
  check_cannot_be_written ("test", arguments, "UTF-8");
}

static void
test_name_not_utf8 (void)
{
  g_autoptr (JsonObject) arguments = json_object_new ();

  json_object_set_int_member (arguments, "caf\xe9", 1);
  check_cannot_be_written ("test", arguments, "UTF-8");
}

static void
test_command_not_utf8 (void)
{
  check_cannot_be_written ("caf\xe9", NULL, "UTF-8");
}

static void
test_nan (void)
{
  g_autoptr (JsonObject) arguments = json_object_new ();

  json_object_set_double_member (arguments, "x", NAN);
  check_cannot_be_written ("test", arguments, "not a number");
}

static void
test_infinity (void)
{
  g_autoptr (JsonObject) arguments = json_object_new ();

  json_object_set_double_member (arguments, "x", -INFINITY);
  check_cannot_be_written ("test", arguments, "infinite");
}

static void
test_too_deep (void)
{
  g_autoptr (JsonObject) arguments = json_object_new ();
  JsonArray *array = json_array_new ();
  guint i;

  for (i = 0; i < 1100; i++)
    {
      JsonArray *outer = json_array_new ();

      json_array_add_array_element (outer, array);
      array = outer;
    }
  json_object_set_array_member (arguments, "x", array);
  check_cannot_be_written ("test", arguments, "deep");
}

/* --- The raw form ------------------------------------------------------------------------------------------------- */

typedef struct
{
  const char *message;
  const char *what;
} Refused;

static const Refused raw_empty = { "", "no text" };
static const Refused raw_blank = { " \n", "" };
static const Refused raw_array = { "[]", "object" };
static const Refused raw_no_command = { "{\"arguments\": {}}", "“execute”" };
static const Refused raw_both = { "{\"execute\": \"a\", \"exec-oob\": \"a\"}", "both" };
static const Refused raw_twice = { "{\"execute\": \"a\", \"execute\": \"b\"}", "more than once" };
static const Refused raw_not_string = { "{\"execute\": 5}", "string" };
static const Refused raw_two_values = { "{\"execute\": \"a\"} {\"execute\": \"b\"}", "behind" };
static const Refused raw_incomplete = { "{\"execute\": \"a\"", "too early" };
static const Refused raw_single_quotes = { "{'execute': 'a'}", "double quotes" };
static const Refused raw_huge_number = { "{\"execute\": \"a\", \"arguments\": {\"x\": 1e400}}", "finite" };
static const Refused raw_not_utf8 = { "{\"execute\": \"caf\xe9\"}", "UTF-8" };

static void
test_raw_refused (gconstpointer data)
{
  const Refused *refused = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_execute_raw (client, refused->message, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, refused->what);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_raw_exact (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect_text (mock, "{\"id\":\"aqmp-2\",\"arguments\": {\"n\": 1.50e+1, \"n\":\"\\u0041\"},   \"execute\":\"test\"}");
  mock_send (mock, "  { \"return\" : [1.50e+1,18446744073709551616,\"\\u0041\\u0000\"],\n\"id\":\"aqmp-2\" }\r\n\r\n");
  result = test_execute_raw (client, "{\"arguments\": {\"n\": 1.50e+1, \"n\":\"\\u0041\"},   \"execute\":\"test\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{ \"return\" : [1.50e+1,18446744073709551616,\"\\u0041\\u0000\"],\n\"id\":\"aqmp-2\" }");

  mock_expect_eof (mock);
  test_client_close (client);
}

/* Each finish function is for what its own form has begun, with the same client: else the types would be wrong. */
static void
test_wrong_finish (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (AqmpClient) other = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'test'}");
  mock_return (mock, "{}");
  aqmp_client_execute_raw_async (client, "{\"execute\": \"test\"}", NULL, NULL, test_slot_callback, &slot);
  result = test_await (&slot);

  g_test_expect_message ("aqmp", G_LOG_LEVEL_CRITICAL, "*execute_finish*aqmp_result_is_valid*");
  g_assert_null (aqmp_client_execute_finish (client, result, NULL));
  g_test_expect_message ("aqmp", G_LOG_LEVEL_CRITICAL, "*execute_full_finish*aqmp_result_is_valid*");
  g_assert_null (aqmp_client_execute_full_finish (client, result, NULL));
  g_test_expect_message ("aqmp", G_LOG_LEVEL_CRITICAL, "*execute_raw_finish*aqmp_result_is_valid*");
  g_assert_null (aqmp_client_execute_raw_finish (other, result, NULL));
  g_test_assert_expected_messages ();

  reply = aqmp_client_execute_raw_finish (client, result, &error);
  g_assert_no_error (error);
  g_assert_nonnull (reply);

  g_clear_object (&result);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_raw_oob_not_negotiated (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_execute_raw (client, "{\"exec-oob\": \"query-yank\"}", &error);
  g_assert_null (result);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "out-of-band");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_raw_oob_negotiated (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_OOB);
  client = test_client_new (mock);
  mock_expect_text (mock, "{\"id\":\"aqmp-2\",\"exec-oob\": \"query-yank\"}");
  mock_return (mock, "[]");
  result = test_execute_raw (client, "{\"exec-oob\": \"query-yank\"}", &error);
  g_assert_no_error (error);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Not supported ------------------------------------------------------------------------------------------------ */

static void
check_not_supported (AqmpClient *client,
                     MockServer *mock,
                     TestSlot   *slot)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_null (result);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "");
  test_ping (client, mock);
}

static void
test_flags_not_supported (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_client_execute_async (client, "x", NULL, (AqmpExecuteFlags) (1 << 7), NULL, test_slot_callback, &slot);
  check_not_supported (client, mock, &slot);
  aqmp_client_execute_full_async (client, "x", NULL, NULL, (AqmpExecuteFlags) (1 << 30), 0, NULL, test_slot_callback, &slot);
  check_not_supported (client, mock, &slot);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- S2: no session ----------------------------------------------------------------------------------------------- */

/* Each of the three forms: the class, the state, the way out. */
static void
check_state (AqmpClient *client,
             const char *state,
             const char *way_out)
{
  guint i;

  for (i = 0; i < 3; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      if (i == 0)
        test_start (client, "x", NULL, &slot);
      else if (i == 1)
        test_start_timeout (client, "x", 1, &slot);
      else
        test_start_raw (client, "{\"execute\": \"x\"}", NULL, &slot);
      result = test_finish (&slot, &error);
      g_assert_null (result);
      test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, state);
      test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, way_out);
      test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
    }
}

static void
test_state (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  check_state (client, "“idle”", "connect it");

  mock_pause (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  check_state (client, "“connecting”", "wait");
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_continue (mock);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);

  mock_close (mock);
  test_wait_failed (client);
  check_state (client, "“disconnecting”", "disconnect it");
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  check_state (client, "“idle”", "connect it");

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  g_clear_error (&error);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Many --------------------------------------------------------------------------------------------------------- */

#define N_CALLS 1000

static void
test_pipelined_reverse (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree TestSlot *slots = g_new0 (TestSlot, N_CALLS);
  guint i;

  for (i = 0; i < N_CALLS; i++)
    {
      g_autofree char *command = g_strdup_printf ("c%u", i);
      g_autofree char *expected = g_strdup_printf ("{'execute': 'c%u'}", i);

      test_start (client, command, NULL, &slots[i]);
      mock_expect (mock, expected);
    }
  for (i = N_CALLS; i > 0; i--)
    {
      g_autofree char *value = g_strdup_printf ("%u", i);

      mock_return_to (mock, i, value);
    }
  for (i = 0; i < N_CALLS; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *value = g_strdup_printf ("%u", i + 1);
      g_autofree char *result = test_finish (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_cmpstr (result, ==, value);
      g_assert_cmpuint (slots[i].n_calls, ==, 1);
    }

  mock_expect_eof (mock);
  test_client_close (client);
}

#define ADD_CLASS(path, variable) g_test_add_data_func ("/client/Q7/class/" path, &variable, test_error_class)
#define ADD_EXACT(path, value) g_test_add_data_func ("/client/M6/exact/" path, value, test_arguments_exact)
#define ADD_RAW(path, variable) g_test_add_data_func ("/client/execute-raw/refused/" path, &variable, test_raw_refused)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD_CLASS ("generic-error", generic_error);
  ADD_CLASS ("command-not-found", command_not_found);
  ADD_CLASS ("device-not-active", device_not_active);
  ADD_CLASS ("device-not-found", device_not_found);
  ADD_CLASS ("kvm-missing-cap", kvm_missing_cap);
  ADD_CLASS ("any-other", other_class);
  g_test_add_func ("/client/Q7/raw-form-has-it-as-result", test_error_raw_is_result);
  g_test_add_func ("/client/execute/wrong-finish-function", test_wrong_finish);
  g_test_add_data_func ("/client/execute/result/object", "{\"a\":[]}", test_any_value);
  g_test_add_data_func ("/client/execute/result/array", "[1,\"b\"]", test_any_value);
  g_test_add_data_func ("/client/execute/result/string", "\"s\"", test_any_value);
  g_test_add_data_func ("/client/execute/result/number", "-1", test_any_value);
  g_test_add_data_func ("/client/execute/result/false", "false", test_any_value);
  g_test_add_data_func ("/client/execute/result/null", "null", test_any_value);
  g_test_add_func ("/client/Q11/no-trailing-newline", test_no_trailing_newline);
  g_test_add_func ("/client/Q11/negotiation-no-trailing-newline", test_negotiation_no_trailing_newline);
  g_test_add_func ("/client/M6/arguments-neither-changed-nor-kept", test_arguments_untouched);
  ADD_EXACT ("largest", "9223372036854775807");
  ADD_EXACT ("smallest", "-9223372036854775808");
  ADD_EXACT ("not-a-double", "9007199254740993");
  ADD_EXACT ("null", "null");
  ADD_EXACT ("empty-array", "[]");
  ADD_EXACT ("empty-object", "{}");
  ADD_EXACT ("nested", "{\"a\":[null,[],{},\"\"],\"b\":{}}");
  ADD_EXACT ("not-ascii", "\"caf\u00e9 \u20ac \U0001f600\"");
  g_test_add_func ("/client/M6/string-not-utf8", test_not_utf8);
  g_test_add_func ("/client/M6/name-not-utf8", test_name_not_utf8);
  g_test_add_func ("/client/M6/command-not-utf8", test_command_not_utf8);
  g_test_add_func ("/client/M6/nan", test_nan);
  g_test_add_func ("/client/M6/infinity", test_infinity);
  g_test_add_func ("/client/M6/too-deep", test_too_deep);
  ADD_RAW ("empty", raw_empty);
  ADD_RAW ("blank", raw_blank);
  ADD_RAW ("array", raw_array);
  ADD_RAW ("no-command", raw_no_command);
  ADD_RAW ("execute-and-exec-oob", raw_both);
  ADD_RAW ("execute-twice", raw_twice);
  ADD_RAW ("execute-not-string", raw_not_string);
  ADD_RAW ("two-values", raw_two_values);
  ADD_RAW ("incomplete", raw_incomplete);
  ADD_RAW ("single-quotes", raw_single_quotes);
  ADD_RAW ("number-not-finite", raw_huge_number);
  ADD_RAW ("not-utf8", raw_not_utf8);
  g_test_add_func ("/client/execute-raw/exact-both-ways", test_raw_exact);
  g_test_add_func ("/client/execute-raw/exec-oob-not-negotiated", test_raw_oob_not_negotiated);
  g_test_add_func ("/client/execute-raw/exec-oob-negotiated", test_raw_oob_negotiated);
  g_test_add_func ("/client/execute/unknown-flags", test_flags_not_supported);
  g_test_add_func ("/client/S2/execute-without-session", test_state);
  g_test_add_func ("/client/Q9/thousand-pipelined-answered-in-reverse", test_pipelined_reverse);

  return g_test_run ();
}
