/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q5: the ids of calls. */

#include "client-util.h"

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

/* --- Generated ---------------------------------------------------------------------------------------------------- */

static void
test_generated (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GHashTable) ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint request = 0;
  guint session;

  /* Unique over all sessions of the object, the negotiations' included. */
  for (session = 0; session < 3; session++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *tree = NULL;
      g_autofree char *raw = NULL;
      guint i;

      mock_accept (mock);
      mock_greet (mock, MOCK_GREETING_PLAIN);
      mock_expect (mock, "{'execute': 'qmp_capabilities'}");
      mock_return (mock, "{}");
      test_connect (client, mock, &error);
      g_assert_no_error (error);

      mock_expect (mock, "{'execute': 'a'}");
      mock_return (mock, "1");
      tree = test_execute (client, "a", NULL, &error);
      g_assert_no_error (error);
      mock_expect (mock, "{'execute': 'b'}");
      mock_return (mock, "1");
      raw = test_execute_raw (client, "{\"execute\": \"b\"}", &error);
      g_assert_no_error (error);
      mock_expect_eof (mock);
      test_disconnect (client, &error);
      g_assert_no_error (error);

      for (i = 0; i < 3; i++)
        {
          g_autofree char *text = mock_dup_request (mock, ++request);
          g_autoptr (JsonNode) node = json_from_string (text, &error);
          const char *id = json_object_get_string_member (json_node_get_object (node), "id");

          g_assert_true (g_str_has_prefix (id, "aqmp-"));
          g_assert_true (g_hash_table_add (ids, g_strdup (id)));
        }
    }

  g_assert_cmpuint (g_hash_table_size (ids), ==, 9);
  g_object_unref (client);
}

/* Sends a command and has its reply come back with the id written as @echoed. */
static void
check_echo (const char *message,
            const char *sent,
            const char *echoed)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *reply = g_strdup_printf ("{\"id\": %s, \"return\": 1}", echoed);
  g_autofree char *line = g_strconcat (reply, "\r\n", NULL);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect_text (mock, sent);
  mock_send (mock, line);
  result = test_execute_raw (client, message, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, reply);

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_echo_same (void)
{
  check_echo ("{\"execute\": \"a\"}", "{\"id\":\"aqmp-2\",\"execute\": \"a\"}", "\"aqmp-2\"");
}

static void
test_echo_escaped (void)
{
  check_echo ("{\"execute\": \"a\"}", "{\"id\":\"aqmp-2\",\"execute\": \"a\"}", "\"\\u0061qmp-2\"");
}

static void
test_echo_all_escaped (void)
{
  check_echo ("{\"execute\": \"a\"}", "{\"id\":\"aqmp-2\",\"execute\": \"a\"}", "\"\\u0061\\u0071\\u006d\\u0070\\u002D\\u0032\"");
}

/* --- The caller's own --------------------------------------------------------------------------------------------- */

static void
test_own_string (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": \"mine\"}", "{\"execute\": \"a\", \"id\": \"mine\"}", "\"mine\"");
}

static void
test_own_string_empty (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": \"\"}", "{\"execute\": \"a\", \"id\": \"\"}", "\"\"");
}

static void
test_own_string_with_escapes (void)
{
  const char *message = "{\"id\": \"\\u00e9\\/\\\"\\n\\ud83d\\ude00\", \"execute\": \"a\"}";

  check_echo (message, message, "\"é/\\\"\\u000A😀\"");
}

static void
test_own_string_with_nul (void)
{
  const char *message = "{\"id\": \"a\\u0000b\", \"execute\": \"a\"}";

  check_echo (message, message, "\"\\u0061\\u0000\\u0062\"");
}

/* The part before the NUL is not the whole. */
static void
test_own_strings_with_nul_differ (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_autofree char *first_result = NULL;
  g_autofree char *second_result = NULL;

  test_start_raw (client, "{\"id\": \"a\\u0000b\", \"execute\": \"x\"}", NULL, &first);
  test_start_raw (client, "{\"id\": \"a\\u0000c\", \"execute\": \"y\"}", NULL, &second);
  mock_expect (mock, "{'execute': 'x'}");
  mock_expect (mock, "{'execute': 'y'}");
  mock_send (mock, "{\"id\": \"a\\u0000c\", \"return\": 2}{\"id\": \"a\\u0000b\", \"return\": 1}");
  first_result = test_finish (&first, NULL);
  second_result = test_finish (&second, NULL);
  g_assert_cmpstr (first_result, ==, "{\"id\": \"a\\u0000b\", \"return\": 1}");
  g_assert_cmpstr (second_result, ==, "{\"id\": \"a\\u0000c\", \"return\": 2}");

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_own_integer (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": 17}", "{\"execute\": \"a\", \"id\": 17}", "17");
}

static void
test_own_zero (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": -0}", "{\"execute\": \"a\", \"id\": -0}", "0");
}

static void
test_own_int64_max (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": 9223372036854775807}", "{\"execute\": \"a\", \"id\": 9223372036854775807}",
              "9223372036854775807");
}

static void
test_own_int64_min (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": -9223372036854775808}", "{\"execute\": \"a\", \"id\": -9223372036854775808}",
              "-9223372036854775808");
}

static void
test_own_uint64_max (void)
{
  check_echo ("{\"execute\": \"a\", \"id\": 18446744073709551615}", "{\"execute\": \"a\", \"id\": 18446744073709551615}",
              "18446744073709551615");
}

/* A string of digits and a number are two ids. */
static void
test_own_string_is_not_integer (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) string = TEST_SLOT_INIT;
  g_auto (TestSlot) integer = TEST_SLOT_INIT;
  g_autofree char *string_result = NULL;
  g_autofree char *integer_result = NULL;

  test_start_raw (client, "{\"execute\": \"a\", \"id\": \"5\"}", NULL, &string);
  test_start_raw (client, "{\"execute\": \"a\", \"id\": 5}", NULL, &integer);
  mock_expect (mock, "{'execute': 'a', 'id': '5'}");
  mock_expect (mock, "{'execute': 'a', 'id': 5}");
  mock_send (mock, "{\"return\": \"i\", \"id\": 5}{\"return\": \"s\", \"id\": \"5\"}");
  string_result = test_finish (&string, NULL);
  integer_result = test_finish (&integer, NULL);
  g_assert_cmpstr (string_result, ==, "{\"return\": \"s\", \"id\": \"5\"}");
  g_assert_cmpstr (integer_result, ==, "{\"return\": \"i\", \"id\": 5}");

  mock_expect_eof (mock);
  test_client_close (client);
}

/* An id is free again when its call has ended. */
static void
test_own_again (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  guint i;

  for (i = 0; i < 3; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *result = NULL;

      mock_expect (mock, "{'execute': 'a', 'id': 'again'}");
      mock_return (mock, "1");
      result = test_execute_raw (client, "{\"execute\": \"a\", \"id\": \"again\"}", &error);
      g_assert_no_error (error);
    }

  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- Refused before sending --------------------------------------------------------------------------------------- */

typedef struct
{
  const char *message;
  const char *what;
} Refused;

static const Refused refused_float = { "{\"execute\": \"a\", \"id\": 1.0}", "“id”" };
static const Refused refused_exponent = { "{\"execute\": \"a\", \"id\": 1e3}", "“id”" };
static const Refused refused_beyond = { "{\"execute\": \"a\", \"id\": 18446744073709551616}", "“id”" };
static const Refused refused_below = { "{\"execute\": \"a\", \"id\": -9223372036854775809}", "“id”" };
static const Refused refused_null = { "{\"execute\": \"a\", \"id\": null}", "“id”" };
static const Refused refused_true = { "{\"execute\": \"a\", \"id\": true}", "“id”" };
static const Refused refused_object = { "{\"execute\": \"a\", \"id\": {\"n\": 1}}", "“id”" };
static const Refused refused_array = { "{\"execute\": \"a\", \"id\": [1]}", "“id”" };
static const Refused refused_twice = { "{\"execute\": \"a\", \"id\": 1, \"id\": 2}", "more than once" };
static const Refused refused_prefix = { "{\"execute\": \"a\", \"id\": \"aqmp-7\"}", "“aqmp-”" };
static const Refused refused_prefix_only = { "{\"execute\": \"a\", \"id\": \"aqmp-\"}", "“aqmp-”" };
static const Refused refused_prefix_and_more = { "{\"execute\": \"a\", \"id\": \"aqmp-mine\"}", "“aqmp-”" };
static const Refused refused_prefix_escaped = { "{\"execute\": \"a\", \"id\": \"\\u0061qmp\\u002dx\"}", "“aqmp-”" };

static void
test_refused (gconstpointer data)
{
  const Refused *refused = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_execute_raw (client, refused->message, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, refused->what);

  /* Nothing of it was sent: what comes next is the first thing that the mock sees. */
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Also written another way. */
static void
check_in_use (const char *first_message,
              const char *second_message)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  test_start_raw (client, first_message, NULL, &slot);
  no_result = test_execute_raw (client, second_message, &error);
  g_assert_null (no_result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "“id”");
  g_clear_error (&error);

  mock_expect (mock, first_message);
  mock_return (mock, "1");
  result = test_finish (&slot, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_in_use_string (void)
{
  check_in_use ("{\"execute\": \"a\", \"id\": \"x\"}", "{\"execute\": \"b\", \"id\": \"\\u0078\"}");
}

static void
test_in_use_integer (void)
{
  check_in_use ("{\"execute\": \"a\", \"id\": 0}", "{\"execute\": \"b\", \"id\": -0}");
}

/* The reply to a cancelled call is still to come, and would be taken for the new one's. */
static void
test_in_use_by_cancelled (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *cancelled = NULL;
  g_autofree char *no_result = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_start_raw (client, "{\"execute\": \"a\", \"id\": \"x\"}", cancellable, &slot);
  mock_expect (mock, "{'execute': 'a', 'id': 'x'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  cancelled = test_finish (&slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  no_result = test_execute_raw (client, "{\"execute\": \"b\", \"id\": \"x\"}", &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  g_clear_error (&error);

  mock_return (mock, "'late'");
  mock_wait_done (mock);
  test_dispatch_pending ();
  mock_expect (mock, "{'execute': 'b', 'id': 'x'}");
  mock_return (mock, "'own'");
  result = test_execute_raw (client, "{\"execute\": \"b\", \"id\": \"x\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"return\": \"own\", \"id\": \"x\"}");

  mock_expect_eof (mock);
  test_client_close (client);
}

#define ADD_REFUSED(path, variable) g_test_add_data_func ("/client/Q5/refused/" path, &variable, test_refused)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q5/generated/prefix-and-unique-across-reconnects", test_generated);
  g_test_add_func ("/client/Q5/echo/as-sent", test_echo_same);
  g_test_add_func ("/client/Q5/echo/escaped", test_echo_escaped);
  g_test_add_func ("/client/Q5/echo/all-escaped", test_echo_all_escaped);
  g_test_add_func ("/client/Q5/own/string", test_own_string);
  g_test_add_func ("/client/Q5/own/string-empty", test_own_string_empty);
  g_test_add_func ("/client/Q5/own/string-with-escapes", test_own_string_with_escapes);
  g_test_add_func ("/client/Q5/own/string-with-nul", test_own_string_with_nul);
  g_test_add_func ("/client/Q5/own/strings-with-nul-differ", test_own_strings_with_nul_differ);
  g_test_add_func ("/client/Q5/own/integer", test_own_integer);
  g_test_add_func ("/client/Q5/own/minus-zero-comes-back-as-zero", test_own_zero);
  g_test_add_func ("/client/Q5/own/int64-max", test_own_int64_max);
  g_test_add_func ("/client/Q5/own/int64-min", test_own_int64_min);
  g_test_add_func ("/client/Q5/own/uint64-max", test_own_uint64_max);
  g_test_add_func ("/client/Q5/own/string-is-not-integer", test_own_string_is_not_integer);
  g_test_add_func ("/client/Q5/own/free-again-after-the-reply", test_own_again);
  ADD_REFUSED ("float", refused_float);
  ADD_REFUSED ("exponent", refused_exponent);
  ADD_REFUSED ("beyond-uint64", refused_beyond);
  ADD_REFUSED ("below-int64", refused_below);
  ADD_REFUSED ("null", refused_null);
  ADD_REFUSED ("true", refused_true);
  ADD_REFUSED ("object", refused_object);
  ADD_REFUSED ("array", refused_array);
  ADD_REFUSED ("twice", refused_twice);
  ADD_REFUSED ("prefix", refused_prefix);
  ADD_REFUSED ("prefix-only", refused_prefix_only);
  ADD_REFUSED ("prefix-and-more", refused_prefix_and_more);
  ADD_REFUSED ("prefix-escaped", refused_prefix_escaped);
  g_test_add_func ("/client/Q5/refused/string-in-use", test_in_use_string);
  g_test_add_func ("/client/Q5/refused/integer-in-use", test_in_use_integer);
  g_test_add_func ("/client/Q5/refused/in-use-by-a-cancelled-call", test_in_use_by_cancelled);

  return g_test_run ();
}
