/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* M1: filters of a subclass of AqmpClient. */

#include "client-util.h"

#include <string.h>

/* --- A client that can be told what to do with messages ----------------------------------------------------------- */

#define FILTERING_TYPE_CLIENT (filtering_client_get_type ())
G_DECLARE_FINAL_TYPE (FilteringClient, filtering_client, FILTERING, CLIENT, AqmpClient)

/* (transfer full) (nullable): what to put in the place of @text; NULL: leave it. */
typedef char *(*Replace) (const char  *text,
                          GError     **error);

struct _FilteringClient
{
  AqmpClient parent_instance;

  Replace  inbound;   /* (nullable) */
  Replace  outbound;  /* (nullable) */
  GString *seen;      /* (owned) */
  guint    n_outbound;
};

G_DEFINE_FINAL_TYPE (FilteringClient, filtering_client, AQMP_TYPE_CLIENT)

static GBytes *
replace_bytes (GBytes   *message,
               Replace   replace,
               GError  **error)
{
  g_autofree char *text = g_strndup (g_bytes_get_data (message, NULL), g_bytes_get_size (message));
  g_autoptr (GError) local_error = NULL;
  char *replacement = replace != NULL ? replace (text, &local_error) : NULL;

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (replacement == NULL)
    return g_bytes_ref (message);
  return g_bytes_new_take (replacement, strlen (replacement));
}

static GBytes *
filtering_client_inbound (AqmpProtocol  *protocol,
                          GBytes        *message,
                          GError       **error)
{
  FilteringClient *self = FILTERING_CLIENT (protocol);

  g_string_append_printf (self->seen, "← %.*s\n", (int) g_bytes_get_size (message),
                          (const char *) g_bytes_get_data (message, NULL));
  return replace_bytes (message, self->inbound, error);
}

static GBytes *
filtering_client_outbound (AqmpProtocol  *protocol,
                           GBytes        *message,
                           GError       **error)
{
  FilteringClient *self = FILTERING_CLIENT (protocol);

  self->n_outbound++;
  g_string_append_printf (self->seen, "→ %.*s\n", (int) g_bytes_get_size (message),
                          (const char *) g_bytes_get_data (message, NULL));
  return replace_bytes (message, self->outbound, error);
}

static void
filtering_client_finalize (GObject *object)
{
  g_string_free (FILTERING_CLIENT (object)->seen, TRUE);
  G_OBJECT_CLASS (filtering_client_parent_class)->finalize (object);
}

static void
filtering_client_class_init (FilteringClientClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = filtering_client_finalize;
  AQMP_PROTOCOL_CLASS (klass)->filter_inbound = filtering_client_inbound;
  AQMP_PROTOCOL_CLASS (klass)->filter_outbound = filtering_client_outbound;
}

static void
filtering_client_init (FilteringClient *self)
{
  self->seen = g_string_new (NULL);
}

static AqmpClient *
connect_filtering (MockServer *mock)
{
  AqmpClient *client = g_object_new (FILTERING_TYPE_CLIENT, NULL);
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  return client;
}

static void
finish (AqmpClient *client,
        MockServer *mock)
{
  FILTERING_CLIENT (client)->inbound = NULL;
  FILTERING_CLIENT (client)->outbound = NULL;
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* (transfer full): @text with each @old in it made @new. */
static char *
exchange (const char *text,
          const char *old,
          const char *new)
{
  g_auto (GStrv) parts = g_strsplit (text, old, -1);

  return g_strjoinv (new, parts);
}

/* --- Both ways ---------------------------------------------------------------------------------------------------- */

static void
test_see_everything (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autofree char *raw = NULL;
  g_autoptr (GError) error = NULL;

  mock_event (mock, "UNHEARD", NULL);
  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  result = test_execute (client, "a", NULL, &error);
  g_assert_no_error (error);
  mock_expect (mock, "{'execute': 'b'}");
  mock_return (mock, "2");
  raw = test_execute_raw (client, "{\"execute\": \"b\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (FILTERING_CLIENT (client)->seen->str, ==,
                   "← {\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"mock\"}, "
                   "\"capabilities\": []}}\n"
                   "→ {\"execute\":\"qmp_capabilities\",\"id\":\"aqmp-1\"}\n"
                   "← {\"return\": {}, \"id\": \"aqmp-1\"}\n"
                   "→ {\"execute\":\"a\",\"id\":\"aqmp-2\"}\n"
                   "← {\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"UNHEARD\"}\n"
                   "← {\"return\": 1, \"id\": \"aqmp-2\"}\n"
                   "→ {\"id\":\"aqmp-3\",\"execute\": \"b\"}\n"
                   "← {\"return\": 2, \"id\": \"aqmp-3\"}\n");
  finish (client, mock);
}

static char *
renamed_command (const char  *text,
                 GError     **error)
{
  return exchange (text, "\"old\"", "\"new\"");
}

static void
test_outbound_replaced (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->outbound = renamed_command;
  mock_expect_text (mock, "{\"execute\":\"new\",\"id\":\"aqmp-2\"}");
  mock_return (mock, "1");
  result = test_execute (client, "old", NULL, &error);
  g_assert_no_error (error);
  finish (client, mock);
}

/* Written another way it is still the same. */
static char *
reescaped_id (const char  *text,
              GError     **error)
{
  return exchange (text, "\"aqmp-", "\"\\u0061qmp-");
}

static void
test_outbound_id_reescaped (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->outbound = reescaped_id;
  mock_expect_text (mock, "{\"execute\":\"a\",\"id\":\"\\u0061qmp-2\"}");
  mock_return (mock, "1");
  result = test_execute (client, "a", NULL, &error);
  g_assert_no_error (error);
  finish (client, mock);
}

static char *
other_id (const char  *text,
          GError     **error)
{
  return exchange (text, "aqmp-", "pmqa-");
}

static char *
no_id (const char  *text,
       GError     **error)
{
  return g_strdup ("{\"execute\": \"a\"}");
}

static char *
not_json (const char  *text,
          GError     **error)
{
  return exchange (text, "}", "");
}

/* The session fails, and says which function is to blame. */
static void
check_outbound_refused (Replace replace)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->outbound = replace;
  mock_expect_eof (mock);
  result = test_execute (client, "a", NULL, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "filter_outbound");
  g_clear_error (&error);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "filter_outbound() of FilteringClient");

  FILTERING_CLIENT (client)->outbound = NULL;
  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  g_clear_error (&error);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  finish (client, mock);
}

static void
test_outbound_other_id (void)
{
  check_outbound_refused (other_id);
}

static void
test_outbound_no_id (void)
{
  check_outbound_refused (no_id);
}

static void
test_outbound_not_json (void)
{
  check_outbound_refused (not_json);
}

static char *
refuse (const char  *text,
        GError     **error)
{
  if (strstr (text, "forbidden") != NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "this is forbidden");
  return NULL;
}

static void
test_outbound_fails (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_auto (TestSlot) fine = TEST_SLOT_INIT;
  g_auto (TestSlot) refused = TEST_SLOT_INIT;
  g_auto (TestSlot) behind = TEST_SLOT_INIT;
  g_autofree char *refused_result = NULL;
  g_autofree char *behind_result = NULL;
  g_autofree char *fine_result = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->outbound = refuse;
  test_start (client, "fine", NULL, &fine);
  test_start (client, "forbidden", NULL, &refused);
  test_start (client, "behind", NULL, &behind);
  mock_expect_gone (mock);
  refused_result = test_finish (&refused, &error);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "this is forbidden");
  behind_result = test_finish (&behind, NULL);
  fine_result = test_finish (&fine, NULL);
  g_clear_error (&error);
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_assert_null (refused_result);
  g_assert_null (behind_result);

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  g_clear_error (&error);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  finish (client, mock);
}

/* --- In ----------------------------------------------------------------------------------------------------------- */

static char *
sevens (const char  *text,
        GError     **error)
{
  return strstr (text, "\"QMP\"") == NULL ? exchange (text, "\"return\": 1", "\"return\": [7, \"sieben\"]") : NULL;
}

static void
test_inbound_replaced (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autofree char *raw = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->inbound = sevens;
  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  result = test_execute (client, "a", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "[7,\"sieben\"]");

  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  raw = test_execute_raw (client, "{\"execute\": \"a\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (raw, ==, "{\"return\": [7, \"sieben\"], \"id\": \"aqmp-3\"}");
  finish (client, mock);
}

static char *
event_to_reply (const char  *text,
                GError     **error)
{
  return strstr (text, "STOP") != NULL ? g_strdup ("{\"id\": \"aqmp-2\", \"return\": \"from an event\"}") : NULL;
}

/* What it is, is decided after the filter. */
static void
test_inbound_routed_after (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->inbound = event_to_reply;
  mock_expect (mock, "{'execute': 'a', 'id': 'aqmp-2'}");
  mock_event (mock, "STOP", NULL);
  result = test_execute (client, "a", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"from an event\"");
  finish (client, mock);
}

static char *
spoil (const char  *text,
       GError     **error)
{
  return strstr (text, "STOP") != NULL ? g_strdup ("{\"event\": \"STOP\", }") : NULL;
}

/* What a filter makes is checked as what the server sends is. */
static void
test_inbound_not_json (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->inbound = spoil;
  mock_event (mock, "STOP", NULL);
  mock_expect_eof (mock);
  test_wait_failed (client);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE, "STOP");
  g_object_unref (client);
}

static void
test_inbound_fails (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->inbound = refuse;
  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "'forbidden'");
  mock_expect_eof (mock);
  result = test_execute (client, "a", NULL, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "this is forbidden");
  g_clear_error (&error);
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_object_unref (client);
}

/* --- Handshake ---------------------------------------------------------------------------------------------------- */

static char *
another_greeting (const char  *text,
                  GError     **error)
{
  return strstr (text, "\"QMP\"") != NULL ? exchange (text, "\"major\": 7", "\"major\": 17") : NULL;
}

static char *
no_oob (const char  *text,
        GError     **error)
{
  return exchange (text, "\"arguments\":{\"enable\":[\"oob\"]}", "\"arguments\":{\"enable\":[]}");
}

static void
test_handshake_replaced (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = g_object_new (FILTERING_TYPE_CLIENT, NULL);
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->inbound = another_greeting;
  FILTERING_CLIENT (client)->outbound = no_oob;
  mock_greet (mock, MOCK_GREETING_OOB);
  mock_expect_text (mock, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]},\"id\":\"aqmp-1\"}");
  mock_return (mock, "{}");
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_greeting_get_major (aqmp_client_get_greeting (client)), ==, 17);
  finish (client, mock);
}

static char *
refuse_greeting (const char  *text,
                 GError     **error)
{
  if (strstr (text, "QMP") != NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "I do not like this server");
  return NULL;
}

static void
test_handshake_inbound_fails (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = g_object_new (FILTERING_TYPE_CLIENT, NULL);
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->inbound = refuse_greeting;
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);
  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "Could not establish the session: I do not like");
}

static void
test_handshake_outbound_other_id (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = g_object_new (FILTERING_TYPE_CLIENT, NULL);
  g_autoptr (GError) error = NULL;

  FILTERING_CLIENT (client)->outbound = other_id;
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);
  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "filter_outbound");
}

/* --- When --------------------------------------------------------------------------------------------------------- */

/* From dispatch, not from inside the call; and a call that is cancelled before passes no filter. */
static void
test_filter_runs_later (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_filtering (mock);
  FilteringClient *filtering = FILTERING_CLIENT (client);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  guint before = filtering->n_outbound;

  test_start (client, "a", NULL, &slot);
  g_assert_cmpuint (filtering->n_outbound, ==, before);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), ==, strlen ("{'execute':'a','id':'aqmp-2'}"));
  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  result = test_finish (&slot, NULL);
  g_assert_nonnull (result);
  g_assert_cmpuint (filtering->n_outbound, ==, before + 1);
  finish (client, mock);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/M1/all-messages-pass", test_see_everything);
  g_test_add_func ("/client/M1/outbound/replaced", test_outbound_replaced);
  g_test_add_func ("/client/M1/outbound/id-written-another-way", test_outbound_id_reescaped);
  g_test_add_func ("/client/M1/outbound/other-id-fails-session", test_outbound_other_id);
  g_test_add_func ("/client/M1/outbound/no-id-fails-session", test_outbound_no_id);
  g_test_add_func ("/client/M1/outbound/not-json-fails-session", test_outbound_not_json);
  g_test_add_func ("/client/M1/outbound/failure-fails-session", test_outbound_fails);
  g_test_add_func ("/client/M1/outbound/runs-from-dispatch", test_filter_runs_later);
  g_test_add_func ("/client/M1/inbound/replaced", test_inbound_replaced);
  g_test_add_func ("/client/M1/inbound/routed-after-the-filter", test_inbound_routed_after);
  g_test_add_func ("/client/M1/inbound/not-json-fails-session", test_inbound_not_json);
  g_test_add_func ("/client/M1/inbound/failure-fails-session", test_inbound_fails);
  g_test_add_func ("/client/M1/handshake/replaced", test_handshake_replaced);
  g_test_add_func ("/client/M1/handshake/inbound-failure", test_handshake_inbound_fails);
  g_test_add_func ("/client/M1/handshake/outbound-other-id", test_handshake_outbound_other_id);

  return g_test_run ();
}
