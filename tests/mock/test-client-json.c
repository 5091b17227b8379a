/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* M5, M4: what a server may send as JSON, and how far. */

#include "client-util.h"

#include <string.h>

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

/* The session has failed with @code, and the next one works. */
static void
assert_failed (AqmpClient *client,
               MockServer *mock,
               AqmpError   code,
               const char *what)
{
  g_autoptr (GError) error = NULL;

  test_wait_failed (client);
  test_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), AQMP_ERROR, (int) code, what);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, (int) code, what);

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  g_clear_error (&error);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- M5: not JSON ------------------------------------------------------------------------------------------------- */

typedef struct
{
  const char *value;
  const char *what;
} Invalid;

static const Invalid invalid[] = {
  { "01", "zero" },
  { "-", "digit" },
  { "1.", "digit" },
  { "1e", "digit" },
  { "1e+", "digit" },
  { ".5", "no value" },
  { "+1", "no value" },
  { "0x10", "“}”" },
  { "NaN", "no value" },
  { "Infinity", "no value" },
  { "True", "no value" },
  { "tru", "" },
  { "nul", "" },
  { "'a'", "double quotes" },
  { "\"\\x41\"", "escape" },
  { "\"\\'\"", "escape" },
  { "\"\\u12g4\"", "escape" },
  { "\"\\ud800\"", "surrogate" },
  { "\"\\udc00\"", "surrogate" },
  { "\"\\ud800\\u0041\"", "surrogate" },
  { "\"\\ud800x\"", "surrogate" },
  { "\"a\tb\"", "control character" },
  { "\"a\x01\"", "control character" },
  { "\"a\nb\"", "control character" },
  { "\"caf\xe9 \"", "UTF-8" },
  { "\"\x80\"", "UTF-8" },
  { "\"\xc0\x80\"", "UTF-8" },
  { "\"\xc1\xbf\"", "UTF-8" },
  { "\"\xe0\x80\xaf\"", "UTF-8" },
  { "\"\xed\xa0\x80\"", "UTF-8" },
  { "\"\xf4\x90\x80\x80\"", "UTF-8" },
  { "\"\xf8\x88\x80\x80\x80\"", "UTF-8" },
  { "\"\xe2\x82\"", "UTF-8" },
  { "{\"caf\xe9\": 1}", "UTF-8" },
  { "1 /* no */", "“}”" },
  { "/* no */ 1", "comments" },
  { "// no\n1", "comments" },
  { "[1,]", "" },
  { "[,1]", "" },
  { "[1 2]", "“]”" },
  { "[1}", "“]”" },
  { "{\"a\":1,}", "name" },
  { "{\"a\" 1}", "“:”" },
  { "{\"a\"}", "“:”" },
  { "{\"a\":}", "" },
  { "{a: 1}", "name" },
  { "{1: 1}", "name" },
  { "{'a': 1}", "" },
  { "{\"a\":1]", "“}”" },
  { "", "" },
};

typedef enum
{
  IN_TREE,
  IN_RAW,
  IN_UNHEARD_EVENT,
} Place;

static void
check_invalid (const Invalid *value,
               Place          place)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *message = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  if (place == IN_RAW)
    test_start_raw (client, "{\"execute\": \"x\"}", NULL, &slot);
  else
    test_start (client, "x", NULL, &slot);
  mock_expect (mock, "{'execute': 'x'}");

  message = g_strdup_printf (place == IN_UNHEARD_EVENT ? "{\"event\": \"UNHEARD\", \"data\": {\"v\": %s}}\r\n"
                                                       : "{\"id\": @ID@, \"return\": %s}\r\n", value->value);
  mock_send (mock, message);
  mock_expect_gone (mock);
  result = test_finish (&slot, &error);
  if (result != NULL)
    g_error ("%s was taken for JSON", value->value);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, value->what);
  assert_failed (client, mock, AQMP_ERROR_PARSE, value->what);
}

static void
test_invalid (gconstpointer data)
{
  Place place = GPOINTER_TO_INT (data);
  guint i;

  for (i = 0; i < G_N_ELEMENTS (invalid); i++)
    check_invalid (&invalid[i], place);
}

/* What is no value at all where a message should begin. */
static void
test_invalid_outside (gconstpointer text)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);

  mock_send (mock, text);
  mock_expect_gone (mock);
  assert_failed (client, mock, AQMP_ERROR_PARSE, "");
}

static void
test_nul_byte (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  static const char text[] = "{\"event\": \"A\0B\"}";

  mock_send_bytes (mock, text, sizeof text - 1);
  mock_expect_gone (mock);
  assert_failed (client, mock, AQMP_ERROR_PARSE, "control character");
}

/* Where it was, and a piece of it. */
static void
test_excerpt (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *padding = g_strnfill (5000, 'x');
  g_autofree char *text = g_strdup_printf ("{\"event\": \"%s\", \"needle\": oops, \"y\": \"%s\"}", padding, padding);

  mock_send (mock, text);
  mock_expect_gone (mock);
  test_wait_failed (client);
  test_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), AQMP_ERROR, AQMP_ERROR_PARSE, "byte 5024");
  assert_failed (client, mock, AQMP_ERROR_PARSE, "oops");
}

/* --- M5: JSON that a tree cannot hold ----------------------------------------------------------------------------- */

typedef struct
{
  const char *value;
  const char *what;
} Unholdable;

static const Unholdable nul_string = { "\"VNC\\u0000info\"", "NUL" };
static const Unholdable nul_nested = { "[{\"a\": [\"\\u0000\"]}]", "NUL" };
static const Unholdable nul_name = { "{\"a\\u0000b\": 1}", "NUL" };
static const Unholdable huge_number = { "1e400", "1e400" };
static const Unholdable huge_negative = { "[-1e400]", "-1e400" };

static void
test_unholdable (gconstpointer data)
{
  const Unholdable *unholdable = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *reply = g_strdup_printf ("{\"return\": %s, \"id\": @ID@}", unholdable->value);
  g_autofree char *raw_reply = g_strdup_printf ("{\"return\": %s, \"id\": \"aqmp-3\"}", unholdable->value);
  g_autofree char *result = NULL;
  g_autofree char *raw = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, reply);
  result = test_execute (client, "x", NULL, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, unholdable->what);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, "execute_raw");
  g_clear_error (&error);

  /* The session goes on, and the raw form has it exactly. */
  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, reply);
  raw = test_execute_raw (client, "{\"execute\": \"x\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (raw, ==, raw_reply);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* An error with a text that C cannot hold: a fact about that call's tree form only, too. */
static void
test_unholdable_error (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autofree char *raw = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u0000\"}, \"id\": @ID@}");
  result = test_execute (client, "x", NULL, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, "NUL");
  g_clear_error (&error);

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u0000\"}, \"id\": @ID@}");
  raw = test_execute_raw (client, "{\"execute\": \"x\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (raw, ==, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u0000\"}, \"id\": \"aqmp-3\"}");
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Beside the result it does not matter. */
static void
test_unholdable_elsewhere (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, "{\"x-note\": [\"\\u0000\", 1e999], \"return\": true, \"id\": @ID@}");
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "true");
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
note_event (AqmpClient *client,
            AqmpEvent  *event,
            AqmpEvent **noted)
{
  g_set_object (noted, event);
}

static void
test_unholdable_event (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (AqmpEvent) event = NULL;
  g_autoptr (GBytes) bytes = NULL;
  static const char text[] = "{\"event\": \"X\", \"data\": {\"s\": \"\\u0000\", \"n\": 1e400}}";

  g_signal_connect (client, "event", G_CALLBACK (note_event), &event);
  mock_send (mock, text);
  test_wait_until (event != NULL);
  g_assert_null (aqmp_event_get_data (event));
  bytes = aqmp_event_to_bytes (event);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), text, sizeof text - 1);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- M5: numbers and strings -------------------------------------------------------------------------------------- */

static JsonNode *
get_tree (const char *value)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autofree char *reply = g_strdup_printf ("{\"return\": %s, \"id\": @ID@}", value);
  g_autoptr (GError) error = NULL;
  JsonNode *node;

  test_start (client, "x", NULL, &slot);
  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, reply);
  result = test_await (&slot);
  node = aqmp_client_execute_finish (client, result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  mock_expect_eof (mock);
  test_client_close (client);
  return node;
}

static void
assert_integer (const char *text,
                gint64      expected)
{
  g_autoptr (JsonNode) node = get_tree (text);

  g_assert_cmpint (json_node_get_value_type (node), ==, G_TYPE_INT64);
  g_assert_cmpint (json_node_get_int (node), ==, expected);
}

static void
assert_double (const char *text,
               double      expected)
{
  g_autoptr (JsonNode) node = get_tree (text);

  g_assert_cmpint (json_node_get_value_type (node), ==, G_TYPE_DOUBLE);
  g_assert_cmpfloat (json_node_get_double (node), ==, expected);
}

static void
test_int64_exact (void)
{
  assert_integer ("9223372036854775807", G_MAXINT64);
  assert_integer ("-9223372036854775808", G_MININT64);
  assert_integer ("9007199254740993", G_GINT64_CONSTANT (9007199254740993));
  assert_integer ("-0", 0);
}

static void
test_beyond_int64_double (void)
{
  assert_double ("9223372036854775808", 9223372036854775808.0);
  assert_double ("18446744073709551615", 18446744073709551616.0);
  assert_double ("-9223372036854775809", -9223372036854775808.0);
  assert_double ("100000000000000000000000000000", 1e29);
  assert_double ("1.0", 1.0);
  assert_double ("1e2", 100.0);
  assert_double ("1.7976931348623157e308", 1.7976931348623157e308);
}

static void
test_strings (void)
{
  g_autoptr (JsonNode) node = get_tree ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00 é😀\x7f\"");

  g_assert_cmpstr (json_node_get_string (node), ==, "\"\\/\b\f\n\r\té😀 é😀\x7f");
}

/* --- M4: bounds --------------------------------------------------------------------------------------------------- */

static char *
nested_reply (guint n_arrays)
{
  g_autofree char *open = g_strnfill (n_arrays, '[');
  g_autofree char *close = g_strnfill (n_arrays, ']');

  return g_strdup_printf ("{\"id\": @ID@, \"return\": %s%s}\r\n", open, close);
}

/* The reply itself is the first of 1024. */
static void
test_depth_allowed (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *reply = nested_reply (1023);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, reply);
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (result), ==, 2 * 1023);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_depth_exceeded (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *reply = nested_reply (1024);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, reply);
  mock_expect_gone (mock);
  result = test_execute (client, "x", NULL, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "nested too deeply");
  assert_failed (client, mock, AQMP_ERROR_PARSE, "nested too deeply");
}

static void
test_depth_flood (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);

  mock_flood (mock, "[[[[[[[[[[[[[[[[{\"a\":", -1, 4 * 1024 * 1024);
  assert_failed (client, mock, AQMP_ERROR_PARSE, "nested too deeply");
}

static AqmpClient *
connect_with_limit (MockServer *mock,
                    guint64     limit)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), limit);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  return client;
}

/* @length: of the reply, the space around it not included */
static char *
sized_reply (gsize length)
{
  const char *form = "{\"id\": \"own\", \"return\": \"%s\"}";
  g_autofree char *text = g_strnfill (length - (strlen (form) - 2), 'x');

  return g_strdup_printf ("   {\"id\": \"own\", \"return\": \"%s\"}\r\n\r\n", text);
}

static void
test_size_allowed (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_with_limit (mock, 20000);
  g_autofree char *reply = sized_reply (20000);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x', 'id': 'own'}");
  mock_send (mock, reply);
  result = test_execute_raw (client, "{\"execute\": \"x\", \"id\": \"own\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (result), ==, 20000);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_size_exceeded (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_with_limit (mock, 20000);
  g_autofree char *reply = sized_reply (20001);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x', 'id': 'own'}");
  mock_send (mock, reply);
  mock_expect_gone (mock);
  result = test_execute_raw (client, "{\"execute\": \"x\", \"id\": \"own\"}", &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "20000 bytes");
  assert_failed (client, mock, AQMP_ERROR_MESSAGE_TOO_LARGE, "20000 bytes");
}

static void
test_size_flood (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_with_limit (mock, 20000);

  mock_send (mock, "{\"event\": \"");
  mock_flood (mock, "and so on ", -1, 4 * 1024 * 1024);
  assert_failed (client, mock, AQMP_ERROR_MESSAGE_TOO_LARGE, "max-message-size");
}

/* Many small ones are no large one. */
static void
test_size_is_of_one_message (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_with_limit (mock, 1000);

  mock_send_repeated (mock, "{\"event\": \"UNHEARD\", \"data\": {\"a\": [1, 2, 3]}}\r\n", 2000);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

#define ADD_UNHOLDABLE(path, variable) g_test_add_data_func ("/client/M5/unholdable/" path, &variable, test_unholdable)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/client/M5/invalid/for-a-tree", GINT_TO_POINTER (IN_TREE), test_invalid);
  g_test_add_data_func ("/client/M5/invalid/raw-replies-too", GINT_TO_POINTER (IN_RAW), test_invalid);
  g_test_add_data_func ("/client/M5/invalid/unheard-events-too", GINT_TO_POINTER (IN_UNHEARD_EVENT), test_invalid);
  g_test_add_data_func ("/client/M5/invalid/text", "Welcome!\r\n", test_invalid_outside);
  g_test_add_data_func ("/client/M5/invalid/byte-order-mark", "\xef\xbb\xbf{}", test_invalid_outside);
  g_test_add_data_func ("/client/M5/invalid/comma-between", "{},{}", test_invalid_outside);
  g_test_add_data_func ("/client/M5/invalid/text-behind-a-message", "{} trailing", test_invalid_outside);
  g_test_add_data_func ("/client/M5/invalid/closed-once-too-often", "{}}", test_invalid_outside);
  g_test_add_data_func ("/client/M5/invalid/form-feed-between", "{}\f{}", test_invalid_outside);
  g_test_add_data_func ("/client/M5/invalid/no-break-space-between", "{}\xc2\xa0{}", test_invalid_outside);
  g_test_add_func ("/client/M5/invalid/nul-byte", test_nul_byte);
  g_test_add_func ("/client/M5/invalid/message-has-place-and-excerpt", test_excerpt);
  ADD_UNHOLDABLE ("nul-in-string", nul_string);
  ADD_UNHOLDABLE ("nul-nested", nul_nested);
  ADD_UNHOLDABLE ("nul-in-name", nul_name);
  ADD_UNHOLDABLE ("1e400", huge_number);
  ADD_UNHOLDABLE ("minus-1e400", huge_negative);
  g_test_add_func ("/client/M5/unholdable/nul-in-an-error", test_unholdable_error);
  g_test_add_func ("/client/M5/unholdable/beside-the-result", test_unholdable_elsewhere);
  g_test_add_func ("/client/M5/unholdable/in-an-event", test_unholdable_event);
  g_test_add_func ("/client/M5/int64-exact", test_int64_exact);
  g_test_add_func ("/client/M5/beyond-int64-is-double", test_beyond_int64_double);
  g_test_add_func ("/client/M5/strings-decoded", test_strings);
  g_test_add_func ("/client/M4/depth/1024-allowed", test_depth_allowed);
  g_test_add_func ("/client/M4/depth/1025-refused", test_depth_exceeded);
  g_test_add_func ("/client/M4/depth/flood", test_depth_flood);
  g_test_add_func ("/client/M4/size/as-allowed", test_size_allowed);
  g_test_add_func ("/client/M4/size/one-byte-more", test_size_exceeded);
  g_test_add_func ("/client/M4/size/flood", test_size_flood);
  g_test_add_func ("/client/M4/size/is-of-one-message", test_size_is_of_one_message);

  return g_test_run ();
}
