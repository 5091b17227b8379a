/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q1: how a session begins when all goes well. */

#include "client-util.h"

#define GREETING_WITH(capabilities) \
  "{'QMP': {'version': {'qemu': {'micro': 22, 'minor': 2, 'major': 7}, 'package': 'pkg'}, " \
  "'capabilities': [" capabilities "]}}"

#define CAPABILITIES "{\"execute\":\"qmp_capabilities\",\"id\":@ID@}"
#define CAPABILITIES_OOB "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},\"id\":@ID@}"

static void
start_connecting (AqmpClient *client,
                  MockServer *mock,
                  TestSlot   *slot)
{
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, slot);
}

static void
assert_connected (AqmpClient *client,
                  TestSlot   *slot)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_RUNNING);
}

/* --- Waiting, negotiating ----------------------------------------------------------------------------------------- */

static void
test_waits_for_greeting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  guint silent;

  /* Before it was greeted it says nothing. */
  mock_expect_nothing (mock, 30);
  silent = mock_pause (mock);
  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_text (mock, CAPABILITIES);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  start_connecting (client, mock, &slot);
  mock_wait_reached (mock, silent);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_CONNECTING);

  mock_continue (mock);
  assert_connected (client, &slot);
  test_client_close (client);
}

static void
test_waits_for_negotiation (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  guint asked;

  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_text (mock, CAPABILITIES);
  asked = mock_pause (mock);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  start_connecting (client, mock, &slot);
  mock_wait_reached (mock, asked);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  g_assert_nonnull (aqmp_client_get_greeting (client));

  mock_continue (mock);
  assert_connected (client, &slot);
  test_client_close (client);
}

/* The reply may come without an id, as from old servers, and after replies to nobody. */
static void
test_negotiation_reply_without_id (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;

  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_text (mock, CAPABILITIES);
  mock_send_json (mock, "{'return': {}, 'id': 'somebody else'}");
  mock_send_json (mock, "{'error': {'class': 'GenericError', 'desc': 'not yours'}, 'id': 77}");
  mock_send_json (mock, "{'return': {}}");

  client = test_client_new (mock);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_negotiation_id_escaped (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;

  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_text (mock, "{\"execute\":\"qmp_capabilities\",\"id\":\"aqmp-1\"}");
  mock_send_json (mock, "{\"return\": {}, \"id\": \"\\u0061qmp\\u002d1\"}");

  client = test_client_new (mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_neither (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  mock_expect_nothing (mock, 30);

  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_null (aqmp_client_get_greeting (client));
  g_assert_false (aqmp_client_get_oob_enabled (client));
  mock_wait_done (mock);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_greeting_only (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_client_set_negotiate (client, FALSE);
  mock_send_json (mock, GREETING_WITH ("'oob'"));
  mock_expect_nothing (mock, 30);

  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_nonnull (aqmp_client_get_greeting (client));
  g_assert_false (aqmp_client_get_oob_enabled (client));
  mock_wait_done (mock);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_negotiate_implies_greeting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_client_set_await_greeting (client, FALSE);
  mock_expect_nothing (mock, 30);
  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_text (mock, CAPABILITIES);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_nonnull (aqmp_client_get_greeting (client));
  test_client_close (client);
}

/* --- Out-of-band execution ---------------------------------------------------------------------------------------- */

typedef struct
{
  const char *greeting;
  gboolean    enable;
  const char *request;
  gboolean    enabled;
} OobCase;

static const OobCase oob_on_offered = { GREETING_WITH ("'oob'"), TRUE, CAPABILITIES_OOB, TRUE };
static const OobCase oob_among_others = { GREETING_WITH ("'x-a', 'oob', 'x-b'"), TRUE, CAPABILITIES_OOB, TRUE };
static const OobCase oob_on_not_offered = { GREETING_WITH ("'x-oob'"), TRUE, CAPABILITIES, FALSE };
static const OobCase oob_off_offered = { GREETING_WITH ("'oob'"), FALSE, CAPABILITIES, FALSE };
static const OobCase oob_off_not_offered = { GREETING_WITH (""), FALSE, CAPABILITIES, FALSE };

static void
test_oob (gconstpointer data)
{
  const OobCase *oob = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;
  gboolean enabled;

  aqmp_client_set_enable_oob (client, oob->enable);
  mock_send_json (mock, oob->greeting);
  mock_expect_text (mock, oob->request);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_object_get (client, "oob-enabled", &enabled, NULL);
  g_assert_cmpint (enabled, ==, oob->enabled);
  test_client_close (client);
}

/* The property holds from the next session on; what was asked for in this one is what was sent. */
static void
test_oob_changed_meanwhile (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  guint asked;
  guint asked_again;

  aqmp_client_set_enable_oob (client, FALSE);
  mock_send_json (mock, GREETING_WITH ("'oob'"));
  mock_expect_text (mock, CAPABILITIES);
  asked = mock_pause (mock);
  mock_return (mock, "{}");

  start_connecting (client, mock, &slot);
  mock_wait_reached (mock, asked);
  aqmp_client_set_enable_oob (client, TRUE);
  mock_continue (mock);
  assert_connected (client, &slot);
  g_assert_false (aqmp_client_get_oob_enabled (client));
  test_disconnect (client, NULL);

  mock_accept (mock);
  mock_send_json (mock, GREETING_WITH ("'oob'"));
  mock_expect_text (mock, CAPABILITIES_OOB);
  asked_again = mock_pause (mock);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  start_connecting (client, mock, &slot);
  mock_wait_reached (mock, asked_again);
  aqmp_client_set_enable_oob (client, FALSE);
  mock_continue (mock);
  assert_connected (client, &slot);
  g_assert_true (aqmp_client_get_oob_enabled (client));
  test_client_close (client);
}

static void
note_property (GObject    *object,
               GParamSpec *pspec,
               GString    *notes)
{
  g_string_append_printf (notes, "%s ", pspec->name);
}

static void
test_oob_enabled_notified (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GString) notes = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "notify::oob-enabled", G_CALLBACK (note_property), notes);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (notes->str, ==, "oob-enabled ");

  /* Kept, and reset by the next session. */
  test_disconnect (client, NULL);
  g_assert_true (aqmp_client_get_oob_enabled (client));
  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_false (aqmp_client_get_oob_enabled (client));
  g_assert_cmpstr (notes->str, ==, "oob-enabled oob-enabled ");
  test_client_close (client);
}

/* --- The greeting is a property ----------------------------------------------------------------------------------- */

static void
test_greeting_content (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_autoptr (AqmpGreeting) greeting = NULL;

  mock_send_json (mock, GREETING_WITH ("'oob', 'x-new'"));
  mock_expect_text (mock, CAPABILITIES_OOB);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  client = test_client_new (mock);
  g_object_get (client, "greeting", &greeting, NULL);
  g_assert_cmpint (aqmp_greeting_get_major (greeting), ==, 7);
  g_assert_cmpint (aqmp_greeting_get_minor (greeting), ==, 2);
  g_assert_cmpint (aqmp_greeting_get_micro (greeting), ==, 22);
  g_assert_cmpstr (aqmp_greeting_get_package (greeting), ==, "pkg");
  g_assert_cmpstr (aqmp_greeting_get_version_string (greeting), ==, "7.2.22 (pkg)");
  g_assert_true (aqmp_greeting_has_capability (greeting, "x-new"));
  g_assert_false (aqmp_greeting_has_capability (greeting, "x-"));
  test_client_close (client);
}

static void
note_greeting (GObject    *object,
               GParamSpec *pspec,
               GString    *notes)
{
  AqmpGreeting *greeting = aqmp_client_get_greeting (AQMP_CLIENT (object));
  AqmpRunstate runstate = aqmp_protocol_get_runstate (AQMP_PROTOCOL (object));

  g_string_append_printf (notes, "%s@%d ", greeting != NULL ? aqmp_greeting_get_version_string (greeting) : "none",
                          (int) runstate);
}

static void
test_greeting_kept_and_reset (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GString) notes = g_string_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  guint connected;

  g_signal_connect (client, "notify::greeting", G_CALLBACK (note_greeting), notes);
  g_assert_null (aqmp_client_get_greeting (client));

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (notes->str, ==, "7.2.0 (mock)@1 ");

  test_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_nonnull (aqmp_client_get_greeting (client));
  g_assert_cmpstr (notes->str, ==, "7.2.0 (mock)@1 ");

  /* The next session begins with none. */
  mock_accept (mock);
  connected = mock_pause (mock);
  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_text (mock, CAPABILITIES);
  mock_return (mock, "{}");
  mock_expect_eof (mock);
  start_connecting (client, mock, &slot);
  g_assert_null (aqmp_client_get_greeting (client));
  mock_wait_reached (mock, connected);
  test_dispatch_pending ();
  g_assert_null (aqmp_client_get_greeting (client));
  mock_continue (mock);
  assert_connected (client, &slot);
  g_assert_cmpstr (notes->str, ==, "7.2.0 (mock)@1 none@1 7.2.22 (pkg)@1 ");
  test_client_close (client);
}

/* A failed attempt leaves no greeting of the session before. */
static void
test_greeting_reset_by_failed_attempt (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  client = test_client_new (mock);
  test_disconnect (client, NULL);

  mock_accept (mock);
  mock_close (mock);
  g_assert_false (test_connect (client, mock, &error));
  g_assert_null (aqmp_client_get_greeting (client));
}

static void
disconnect_now (GObject    *object,
                GParamSpec *pspec,
                TestSlot   *slot)
{
  if (aqmp_client_get_greeting (AQMP_CLIENT (object)) != NULL)
    aqmp_protocol_disconnect_async (AQMP_PROTOCOL (object), NULL, test_slot_callback, slot);
}

/* T4: a handler of that may end the attempt; nothing is negotiated then. */
static void
test_disconnect_in_notify (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "notify::greeting", G_CALLBACK (disconnect_now), &disconnected);
  mock_send_json (mock, GREETING_WITH (""));
  mock_expect_eof (mock);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "Could not establish the session");
  result = test_await (&disconnected);
  g_clear_error (&error);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

static void
test_properties (void)
{
  g_autoptr (AqmpClient) client = aqmp_client_new ("vm0");
  g_autoptr (GString) notes = g_string_new (NULL);
  gboolean await_greeting;
  gboolean negotiate;
  gboolean enable_oob;
  guint call_timeout;

  g_object_get (client, "await-greeting", &await_greeting, "negotiate", &negotiate, "enable-oob", &enable_oob,
                "call-timeout", &call_timeout, NULL);
  g_assert_true (await_greeting);
  g_assert_true (negotiate);
  g_assert_true (enable_oob);
  g_assert_cmpuint (call_timeout, ==, 0);
  g_assert_cmpstr (aqmp_protocol_get_name (AQMP_PROTOCOL (client)), ==, "vm0");

  g_signal_connect (client, "notify", G_CALLBACK (note_property), notes);
  g_object_set (client, "await-greeting", TRUE, "negotiate", TRUE, "enable-oob", TRUE, "call-timeout", 0, NULL);
  g_assert_cmpstr (notes->str, ==, "");
  g_object_set (client, "await-greeting", FALSE, NULL);
  g_object_set (client, "negotiate", FALSE, NULL);
  g_object_set (client, "enable-oob", FALSE, NULL);
  g_object_set (client, "call-timeout", 5, NULL);
  g_assert_cmpstr (notes->str, ==, "await-greeting negotiate enable-oob call-timeout ");
  g_assert_false (aqmp_client_get_await_greeting (client));
  g_assert_false (aqmp_client_get_negotiate (client));
  g_assert_false (aqmp_client_get_enable_oob (client));
  g_assert_cmpuint (aqmp_client_get_call_timeout (client), ==, 5);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q1/waits-for-greeting", test_waits_for_greeting);
  g_test_add_func ("/client/Q1/waits-for-negotiation", test_waits_for_negotiation);
  g_test_add_func ("/client/Q1/negotiation-reply-without-id", test_negotiation_reply_without_id);
  g_test_add_func ("/client/Q1/negotiation-id-escaped", test_negotiation_id_escaped);
  g_test_add_func ("/client/Q1/neither-greeting-nor-negotiation", test_neither);
  g_test_add_func ("/client/Q1/greeting-without-negotiation", test_greeting_only);
  g_test_add_func ("/client/Q1/negotiate-implies-await-greeting", test_negotiate_implies_greeting);
  g_test_add_data_func ("/client/Q1/oob/enabled-and-offered", &oob_on_offered, test_oob);
  g_test_add_data_func ("/client/Q1/oob/offered-among-others", &oob_among_others, test_oob);
  g_test_add_data_func ("/client/Q1/oob/enabled-not-offered", &oob_on_not_offered, test_oob);
  g_test_add_data_func ("/client/Q1/oob/offered-not-enabled", &oob_off_offered, test_oob);
  g_test_add_data_func ("/client/Q1/oob/neither", &oob_off_not_offered, test_oob);
  g_test_add_func ("/client/Q1/oob/changed-meanwhile", test_oob_changed_meanwhile);
  g_test_add_func ("/client/Q1/oob/enabled-notified-and-reset", test_oob_enabled_notified);
  g_test_add_func ("/client/Q1/greeting/content", test_greeting_content);
  g_test_add_func ("/client/Q1/greeting/kept-and-reset-by-next-session", test_greeting_kept_and_reset);
  g_test_add_func ("/client/Q1/greeting/reset-by-failed-attempt", test_greeting_reset_by_failed_attempt);
  g_test_add_func ("/client/Q1/greeting/disconnect-in-notify", test_disconnect_in_notify);
  g_test_add_func ("/client/properties/defaults-and-notify", test_properties);

  return g_test_run ();
}
