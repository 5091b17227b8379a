/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q2, S4: a session that does not come about. Each time the client is of use again afterwards. */

#include "client-util.h"

#define GREETING_WITH(members) "{'QMP': {" members "}}"
#define QEMU "'qemu': {'micro': 0, 'minor': 2, 'major': 7}"
#define LONG_TEXT \
  "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"

/* The next attempt on the same object succeeds. */
static void
assert_usable (AqmpClient *client,
               MockServer *mock)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (client)));

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- The greeting is malformed ------------------------------------------------------------------------------------ */

typedef struct
{
  const char *text;
  const char *what;
} Malformed;

static const Malformed no_version = { GREETING_WITH ("'capabilities': []"), "“version”" };
static const Malformed version_not_object = { GREETING_WITH ("'version': 7, 'capabilities': []"), "integer" };
static const Malformed no_qemu = { GREETING_WITH ("'version': {'package': ''}, 'capabilities': []"), "“version.qemu”" };
static const Malformed qemu_not_object = {
  GREETING_WITH ("'version': {'package': '', 'qemu': [7, 2, 0]}, 'capabilities': []"), "array" };
static const Malformed no_major = {
  GREETING_WITH ("'version': {'package': '', 'qemu': {'micro': 0, 'minor': 2}}, 'capabilities': []"),
  "“version.qemu.major”" };
static const Malformed major_not_integer = {
  GREETING_WITH ("'version': {'package': '', 'qemu': {'micro': 0, 'minor': 2, 'major': '7'}}, 'capabilities': []"),
  "string" };
static const Malformed major_out_of_range = {
  GREETING_WITH ("'version': {'package': '', 'qemu': {'micro': 0, 'minor': 2, 'major': 4294967296}}, 'capabilities': []"),
  "4294967296" };
static const Malformed no_package = { GREETING_WITH ("'version': {" QEMU "}, 'capabilities': []"), "“version.package”" };
static const Malformed package_with_nul = {
  "{\"QMP\": {\"version\": {\"package\": \"a\\u0000b\", \"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}}, "
  "\"capabilities\": []}}", "NUL" };
static const Malformed no_capabilities = { GREETING_WITH ("'version': {'package': '', " QEMU "}"), "“capabilities”" };
static const Malformed capabilities_not_array = {
  GREETING_WITH ("'version': {'package': '', " QEMU "}, 'capabilities': 'oob'"), "array" };
static const Malformed capability_not_string = {
  GREETING_WITH ("'version': {'package': '', " QEMU "}, 'capabilities': ['oob', 1]"), "“capabilities[1]”" };
static const Malformed qmp_not_object = { "{'QMP': []}", "array" };
static const Malformed no_qmp = { "{'return': {}, 'text': '" LONG_TEXT "'}", "{\"return\": {}, \"text\": \"0123456789" };
static const Malformed error_instead = {
  "{'error': {'class': 'GenericError', 'desc': 'busy'}}", "busy" };
static const Malformed array_instead = { "['" LONG_TEXT "']", "[\"0123456789" };
static const Malformed string_instead = { "\"" LONG_TEXT "\"", "\"0123456789" };
static const Malformed number_instead = { "17", "17" };
static const Malformed null_instead = { "null", "null" };

static void
test_malformed_greeting (gconstpointer data)
{
  const Malformed *malformed = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  mock_send_json (mock, malformed->text);
  mock_expect_eof (mock);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_GREETING, malformed->what);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  g_assert_null (aqmp_client_get_greeting (client));
  assert_usable (client, mock);
}

static void
test_greeting_invalid_json (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  mock_send (mock, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" LONG_TEXT LONG_TEXT);
  mock_expect_eof (mock);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE, "SSH-2.0");
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  assert_usable (client, mock);
}

static void
test_greeting_too_large (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), 1000);
  mock_send (mock, "{\"QMP\": \"");
  mock_flood (mock, "x", -1, 4 * 1024 * 1024);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE, "1000");
  assert_usable (client, mock);
}

/* --- Negotiation -------------------------------------------------------------------------------------------------- */

static const Malformed refused = { "{'id': @ID@, 'error': {'class': 'GenericError', 'desc': 'monitor is on fire'}}",
                                   "monitor is on fire" };
static const Malformed refused_unknown = {
  "{'id': @ID@, 'error': {'class': 'CommandNotFound', 'desc': 'The command qmp_capabilities has not been found'}}",
  "The command qmp_capabilities has not been found" };
static const Malformed refused_without_id = { "{'error': {'class': 'GenericError', 'desc': 'no id, but a reason'}}",
                                              "no id, but a reason" };
static const Malformed refused_and_accepted = {
  "{'return': {}, 'id': @ID@, 'error': {'class': 'GenericError', 'desc': 'on second thoughts'}}",
  "on second thoughts" };
static const Malformed refusal_not_object = { "{'id': @ID@, 'error': 'go away'}", "go away" };
static const Malformed refusal_without_class = { "{'id': @ID@, 'error': {'desc': 'go away'}}", "“class”" };
static const Malformed refusal_without_desc = { "{'id': @ID@, 'error': {'class': 'GenericError'}}", "“desc”" };
static const Malformed neither_way = { "{'id': @ID@}", "neither" };

static void
test_refused (gconstpointer data)
{
  const Malformed *malformed = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities', 'id': 'aqmp-1'}");
  mock_send_json (mock, malformed->text);
  mock_expect_eof (mock);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_NEGOTIATION, malformed->what);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  g_assert_false (aqmp_client_get_oob_enabled (client));
  assert_usable (client, mock);
}

static void
test_negotiation_no_object (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_send_json (mock, "['" LONG_TEXT "']");
  mock_expect_eof (mock);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_UNEXPECTED_TYPE, "[\"0123456789");
  assert_usable (client, mock);
}

/* --- End of file -------------------------------------------------------------------------------------------------- */

static void
assert_eof_while_establishing (AqmpClient *client,
                               MockServer *mock)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The peer closed the connection");
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  assert_usable (client, mock);
}

static void
test_eof_before_greeting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);

  mock_close (mock);
  assert_eof_while_establishing (aqmp_client_new (NULL), mock);
}

static void
test_eof_in_greeting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);

  mock_send (mock, "{\"QMP\": {\"version\"");
  mock_close (mock);
  assert_eof_while_establishing (aqmp_client_new (NULL), mock);
}

static void
test_eof_in_negotiation (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_close (mock);
  assert_eof_while_establishing (aqmp_client_new (NULL), mock);
}

static void
test_eof_in_negotiation_reply (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_send (mock, "{\"return\": {}, \"id\": @ID@");
  mock_close (mock);
  assert_eof_while_establishing (aqmp_client_new (NULL), mock);
}

/* The greeting and the end arrive together: nobody is left to negotiate with. */
static void
test_eof_behind_greeting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_shutdown_write (mock);
  mock_expect_gone (mock);
  assert_eof_while_establishing (client, mock);
}

/* --- Silence ------------------------------------------------------------------------------------------------------ */

/* @before: what the server does before it falls silent. */
/* For the mock server, in a thread of its own on a busy machine, to have said its part before the client gives up. */
static guint
long_enough (void)
{
  return (guint) (400 * test_timeout_scale ());
}

static void
check_timeout (void (*before) (MockServer *mock))
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *told = g_strdup_printf ("%u ms", long_enough ());
  gint64 started = g_get_monotonic_time ();

  before (mock);
  mock_expect_gone (mock);

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), long_enough ());
  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, told);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  g_assert_cmpint (g_get_monotonic_time () - started, >=, long_enough () * 1000);

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 0);
  assert_usable (client, mock);
}

static void
check_cancelled (void (*before) (MockServer *mock))
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint silent;

  mock_accept (mock);
  before (mock);
  silent = mock_mark (mock);
  mock_expect_gone (mock);

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), cancellable, test_slot_callback,
                               &slot);
  mock_wait_reached (mock, silent);
  g_assert_false (test_slot_is_done (&slot));
  g_cancellable_cancel (cancellable);
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error));
  /* Unprefixed, as GIO says it. */
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (error->message, ==, "Operation was cancelled");
  g_clear_object (&result);
  assert_usable (client, mock);
}

static void
say_nothing (MockServer *mock)
{
}

static void
greet_only (MockServer *mock)
{
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
}

static void
greet_half (MockServer *mock)
{
  mock_send (mock, "{\"QMP\": {\"version\": ");
}

static void
test_silent_timeout (void)
{
  check_timeout (say_nothing);
}

static void
test_half_greeting_timeout (void)
{
  check_timeout (greet_half);
}

static void
test_negotiation_timeout (void)
{
  check_timeout (greet_only);
}

static void
test_silent_cancelled (void)
{
  check_cancelled (say_nothing);
}

static void
test_half_greeting_cancelled (void)
{
  check_cancelled (greet_half);
}

static void
test_negotiation_cancelled (void)
{
  check_cancelled (greet_only);
}

/* Events do not count as an answer. */
static void
test_events_only_timeout (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autofree char *told = g_strdup_printf ("%u ms", long_enough ());
  g_autoptr (GError) error = NULL;

  mock_event (mock, "STOP", NULL);
  mock_event (mock, "RESUME", NULL);
  mock_expect_gone (mock);

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), long_enough ());
  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, told);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 0);
  assert_usable (client, mock);
}

/* --- No connection ------------------------------------------------------------------------------------------------ */

static void
test_no_connection (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocketConnectable) address = NULL;
  g_autoptr (GError) error = NULL;

  address = aqmp_address_parse ("/nonexistent/directory/qmp.sock", &error);
  g_assert_no_error (error);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), address, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "/nonexistent/directory/qmp.sock");
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the connection"));
  g_clear_object (&result);
  assert_usable (client, mock);
}

#define ADD_MALFORMED(path, variable) g_test_add_data_func ("/client/Q2/greeting/" path, &variable, test_malformed_greeting)
#define ADD_REFUSED(path, variable) g_test_add_data_func ("/client/Q2/negotiation/" path, &variable, test_refused)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD_MALFORMED ("no-version", no_version);
  ADD_MALFORMED ("version-not-object", version_not_object);
  ADD_MALFORMED ("no-qemu", no_qemu);
  ADD_MALFORMED ("qemu-not-object", qemu_not_object);
  ADD_MALFORMED ("no-major", no_major);
  ADD_MALFORMED ("major-not-integer", major_not_integer);
  ADD_MALFORMED ("major-out-of-range", major_out_of_range);
  ADD_MALFORMED ("no-package", no_package);
  ADD_MALFORMED ("package-with-nul", package_with_nul);
  ADD_MALFORMED ("no-capabilities", no_capabilities);
  ADD_MALFORMED ("capabilities-not-array", capabilities_not_array);
  ADD_MALFORMED ("capability-not-string", capability_not_string);
  ADD_MALFORMED ("qmp-not-object", qmp_not_object);
  ADD_MALFORMED ("no-qmp", no_qmp);
  ADD_MALFORMED ("error-instead", error_instead);
  ADD_MALFORMED ("array-instead", array_instead);
  ADD_MALFORMED ("string-instead", string_instead);
  ADD_MALFORMED ("number-instead", number_instead);
  ADD_MALFORMED ("null-instead", null_instead);
  g_test_add_func ("/client/Q2/greeting/invalid-json-is-parse", test_greeting_invalid_json);
  g_test_add_func ("/client/Q2/greeting/too-large", test_greeting_too_large);

  ADD_REFUSED ("refused-with-reason", refused);
  ADD_REFUSED ("refused-command-not-found", refused_unknown);
  ADD_REFUSED ("refused-without-id", refused_without_id);
  ADD_REFUSED ("error-wins-over-return", refused_and_accepted);
  ADD_REFUSED ("error-not-object", refusal_not_object);
  ADD_REFUSED ("error-without-class", refusal_without_class);
  ADD_REFUSED ("error-without-desc", refusal_without_desc);
  ADD_REFUSED ("neither-return-nor-error", neither_way);
  g_test_add_func ("/client/Q2/negotiation/no-object", test_negotiation_no_object);

  g_test_add_func ("/client/Q2/eof/before-greeting", test_eof_before_greeting);
  g_test_add_func ("/client/Q2/eof/in-greeting", test_eof_in_greeting);
  g_test_add_func ("/client/Q2/eof/behind-greeting", test_eof_behind_greeting);
  g_test_add_func ("/client/Q2/eof/before-negotiation-reply", test_eof_in_negotiation);
  g_test_add_func ("/client/Q2/eof/in-negotiation-reply", test_eof_in_negotiation_reply);

  g_test_add_func ("/client/Q2/silent/times-out", test_silent_timeout);
  g_test_add_func ("/client/Q2/silent/in-greeting-times-out", test_half_greeting_timeout);
  g_test_add_func ("/client/Q2/silent/in-negotiation-times-out", test_negotiation_timeout);
  g_test_add_func ("/client/Q2/silent/but-for-events-times-out", test_events_only_timeout);
  g_test_add_func ("/client/Q2/silent/cancelled", test_silent_cancelled);
  g_test_add_func ("/client/Q2/silent/in-greeting-cancelled", test_half_greeting_cancelled);
  g_test_add_func ("/client/Q2/silent/in-negotiation-cancelled", test_negotiation_cancelled);

  g_test_add_func ("/client/S4/no-connection-keeps-domain-and-code", test_no_connection);

  return g_test_run ();
}
