/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q15, Q17: events, heard and unheard. */

#include "client-util.h"

#include <dlfcn.h>
#include <string.h>

/* --- What an event costs ------------------------------------------------------------------------------------------ */

/* The library gets these functions from here, as it would get them from json-glib: each tree begins with one of them. */
static _Thread_local guint n_trees;

#define COUNTED(type, name, parameters, arguments) \
  type \
  name parameters \
  { \
    static type (*real) parameters; \
    \
    if (real == NULL) \
      *(gpointer *) &real = dlsym (RTLD_NEXT, #name); \
    n_trees++; \
    return real arguments; \
  }

COUNTED (JsonNode *, json_node_alloc, (void), ())
COUNTED (JsonNode *, json_node_new, (JsonNodeType node_type), (node_type))
COUNTED (JsonObject *, json_object_new, (void), ())
COUNTED (JsonArray *, json_array_new, (void), ())
COUNTED (JsonArray *, json_array_sized_new, (guint n_elements), (n_elements))

/* Each event that was made is finalized some time: the library lets one serve for several only if nobody has data on it. */
static guint n_finalized;
static void (*real_finalize) (GObject *object);
static void (*real_constructed) (GObject *object);

static void
mark (GObject *object)
{
  real_constructed (object);
  g_object_set_data (object, "marked", object);
}

static void
count_finalize (GObject *object)
{
  n_finalized++;
  real_finalize (object);
}

static void
count_events (void)
{
  GObjectClass *klass = g_type_class_ref (AQMP_TYPE_EVENT);

  if (real_finalize == NULL)
    {
      real_finalize = klass->finalize;
      klass->finalize = count_finalize;
      real_constructed = klass->constructed;
      klass->constructed = mark;
    }
  n_finalized = 0;
  n_trees = 0;
}

/* --- A class that overrides the handler --------------------------------------------------------------------------- */

#define OVERRIDING_TYPE_CLIENT (overriding_client_get_type ())
G_DECLARE_FINAL_TYPE (OverridingClient, overriding_client, OVERRIDING, CLIENT, AqmpClient)

struct _OverridingClient
{
  AqmpClient parent_instance;

  GString *names;  /* (owned) */
};

G_DEFINE_FINAL_TYPE (OverridingClient, overriding_client, AQMP_TYPE_CLIENT)

static void
overriding_client_event (AqmpProtocol *protocol,
                         AqmpEvent    *event)
{
  test_note_event (AQMP_CLIENT (protocol), event, OVERRIDING_CLIENT (protocol)->names);
  AQMP_PROTOCOL_CLASS (overriding_client_parent_class)->event (protocol, event);
}

static void
overriding_client_finalize (GObject *object)
{
  g_string_free (OVERRIDING_CLIENT (object)->names, TRUE);
  G_OBJECT_CLASS (overriding_client_parent_class)->finalize (object);
}

static void
overriding_client_class_init (OverridingClientClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = overriding_client_finalize;
  AQMP_PROTOCOL_CLASS (klass)->event = overriding_client_event;
}

static void
overriding_client_init (OverridingClient *self)
{
  self->names = g_string_new (NULL);
}

/* --- Signals ------------------------------------------------------------------------------------------------------ */

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

static void
finish (AqmpClient *client,
        MockServer *mock)
{
  /* What was sent before has arrived when this has. */
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_detailed (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) stops = g_string_new (NULL);
  g_autoptr (GString) resumes = g_string_new (NULL);
  g_autoptr (GString) all = g_string_new (NULL);

  g_signal_connect (client, "event::STOP", G_CALLBACK (test_note_event), stops);
  g_signal_connect (client, "event::RESUME", G_CALLBACK (test_note_event), resumes);
  g_signal_connect (client, "event", G_CALLBACK (test_note_event), all);
  mock_event (mock, "STOP", NULL);
  mock_event (mock, "POWERDOWN", "{}");
  mock_event (mock, "RESUME", NULL);
  mock_event (mock, "STOP", NULL);
  mock_event (mock, "STOPPED", NULL);
  finish (client, mock);
  g_assert_cmpstr (stops->str, ==, "STOP STOP ");
  g_assert_cmpstr (resumes->str, ==, "RESUME ");
  g_assert_cmpstr (all->str, ==, "STOP POWERDOWN RESUME STOP STOPPED ");
}

static void
keep_event (AqmpClient *client,
            AqmpEvent  *event,
            AqmpEvent **kept)
{
  g_set_object (kept, event);
}

/* Sends @text; returns the event. */
static AqmpEvent *
receive_event (const char *text)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  AqmpEvent *event = NULL;

  g_signal_connect (client, "event", G_CALLBACK (keep_event), &event);
  mock_send_json (mock, text);
  finish (client, mock);
  return event;
}

static void
test_content (void)
{
  g_autoptr (AqmpEvent) event = NULL;
  g_autoptr (GBytes) bytes = NULL;
  const char *text = "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"SHUTDOWN\", "
                     "\"data\": {\"guest\": false, \"n\": 9223372036854775807}}";

  event = receive_event (text);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, "SHUTDOWN");
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, G_GINT64_CONSTANT (1700000000123456));
  g_assert_true (json_object_is_immutable (aqmp_event_get_data (event)));
  g_assert_cmpint (json_object_get_int_member (aqmp_event_get_data (event), "n"), ==, G_MAXINT64);
  bytes = aqmp_event_to_bytes (event);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), text, strlen (text));
}

static void
test_no_timestamp (gconstpointer text)
{
  g_autoptr (AqmpEvent) event = receive_event (text);

  g_assert_nonnull (event);
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, -1);
}

static void
test_no_data (gconstpointer text)
{
  g_autoptr (AqmpEvent) event = receive_event (text);

  g_assert_nonnull (event);
  g_assert_null (aqmp_event_get_data (event));
}

static void
test_name_with_escapes (void)
{
  g_autoptr (AqmpEvent) event = receive_event ("{\"event\": \"ST\\u004fP\"}");

  g_assert_cmpstr (aqmp_event_get_name (event), ==, "STOP");
}

/* It is found by its meaning, not by how it was written. */
static void
test_name_with_escapes_detailed (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) names = g_string_new (NULL);

  g_signal_connect (client, "event::STOP", G_CALLBACK (test_note_event), names);
  mock_send (mock, "{\"event\": \"ST\\u004fP\"}");
  finish (client, mock);
  g_assert_cmpstr (names->str, ==, "STOP ");
}

/* Each has its own name, however those before it were written. */
static void
test_names_in_turn (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) names = g_string_new (NULL);

  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  mock_send (mock, "{\"event\": \"FIRST\"}");
  mock_send (mock, "{\"event\": \"ST\\u004fP\"}");
  mock_send (mock, "{\"event\": \"X\"}");
  mock_send (mock, "{\"event\": \"\"}");
  mock_send (mock, "{\"event\": \"LAST\"}");
  finish (client, mock);
  g_assert_cmpstr (names->str, ==, "FIRST STOP X LAST ");
}

/* Names around the size of any buffer for them. */
static void
test_name_length (void)
{
  guint length;

  for (length = 1; length <= 300; length++)
    {
      g_autofree char *name = g_strnfill (length, 'N');
      g_autofree char *text = g_strdup_printf ("{\"event\": \"%s\"}", name);
      g_autoptr (AqmpEvent) event = NULL;

      if (length > 80 && length < 250)
        continue;
      event = receive_event (text);
      g_assert_cmpstr (aqmp_event_get_name (event), ==, name);
    }
}

/* No name that could be used: dropped, and no more than that. */
static void
test_name_unusable (gconstpointer text)
{
  g_autoptr (TestLog) log = test_log_start ();
  g_autoptr (AqmpEvent) event = receive_event (text);

  g_assert_null (event);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "dropped an event"), ==, 1);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING |
                                    G_LOG_LEVEL_MESSAGE, NULL, NULL), ==, 0);
}

/* --- The handler of the class ------------------------------------------------------------------------------------- */

static void
test_class_handler (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (OverridingClient) client = g_object_new (OVERRIDING_TYPE_CLIENT, NULL);
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (AQMP_CLIENT (client), mock, &error);
  g_assert_no_error (error);
  mock_event (mock, "STOP", NULL);
  mock_event (mock, "ANYTHING_ELSE", NULL);
  test_ping (AQMP_CLIENT (client), mock);
  mock_expect_eof (mock);
  test_disconnect (AQMP_CLIENT (client), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (client->names->str, ==, "STOP ANYTHING_ELSE ");
}

/* --- Unheard ------------------------------------------------------------------------------------------------------ */

#define N_EVENTS 1000
#define UNHEARD "{\"event\": \"UNHEARD\", \"data\": {\"a\": [1, {\"b\": null}]}, \"timestamp\": {\"seconds\": 1, \"microseconds\": 1}}"

/* @n: which command of the session this is */
static void
check_round (AqmpClient *client,
             MockServer *mock,
             guint       n,
             guint       expected_events)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *request = g_strdup_printf ("{\"id\":\"aqmp-%u\",\"execute\": \"x\"}", n);
  g_autofree char *result = NULL;

  test_start_raw (client, "{\"execute\": \"x\"}", NULL, &slot);
  mock_expect_text (mock, request);
  mock_send_repeated (mock, UNHEARD, N_EVENTS);
  mock_return (mock, "{'a': {'b': [1, 2]}}");

  count_events ();
  result = test_finish (&slot, NULL);
  g_assert_nonnull (result);
  g_assert_cmpuint (n_finalized, ==, expected_events);
  /* Neither for the events, heard but not looked into, nor for the raw reply. */
  g_assert_cmpuint (n_trees, ==, 0);
}

/* @signal: what somebody is connected to; NULL: nothing. */
static void
check_cost (const char *signal,
            gboolean    blocked,
            guint       expected_events)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) names = g_string_new (NULL);
  gulong handler = 0;

  if (signal != NULL)
    handler = g_signal_connect (client, signal, G_CALLBACK (test_note_event), names);
  if (blocked)
    g_signal_handler_block (client, handler);

  check_round (client, mock, 2, expected_events);

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_unheard_nobody (void)
{
  check_cost (NULL, FALSE, 0);
}

static void
test_unheard_another_name (void)
{
  check_cost ("event::STOP", FALSE, 0);
}

static void
test_unheard_blocked (void)
{
  check_cost ("event::UNHEARD", TRUE, 0);
}

static void
test_heard_by_name (void)
{
  check_cost ("event::UNHEARD", FALSE, N_EVENTS);
}

static void
test_heard_by_all (void)
{
  check_cost ("event", FALSE, N_EVENTS);
}

/* Who hears what is found out anew for each event, whatever it was before. */
static void
test_heard_on_and_off (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) names = g_string_new (NULL);
  gulong all = g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  gulong named;

  check_round (client, mock, 2, N_EVENTS);
  g_signal_handler_block (client, all);
  check_round (client, mock, 3, 0);
  g_signal_handler_unblock (client, all);
  check_round (client, mock, 4, N_EVENTS);
  named = g_signal_connect (client, "event::UNHEARD", G_CALLBACK (test_note_event), names);
  g_signal_handler_disconnect (client, all);
  check_round (client, mock, 5, N_EVENTS);
  g_signal_handler_block (client, named);
  check_round (client, mock, 6, 0);
  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  check_round (client, mock, 7, N_EVENTS);

  mock_expect_eof (mock);
  test_client_close (client);
}

/* A tree for a reply is seen by the counter: so what it does not see is not there. */
static void
test_counter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_return (mock, "{'a': {'b': [1, 2]}}");
  mock_expect_eof (mock);
  count_events ();
  result = test_execute (client, "x", NULL, NULL);
  g_assert_cmpuint (n_trees, >=, 4);
  test_client_close (client);
}

/* --- Hostile names ------------------------------------------------------------------------------------------------ */

#define N_NAMES 100000

/* What a quark that is made now is numbered: how many there are. */
static guint
count_quarks (void)
{
  static guint n_probes;
  g_autofree char *probe = g_strdup_printf ("test-client-events-probe-%u", n_probes++);

  return g_quark_from_string (probe);
}

static void
ignore_event (AqmpClient *client,
              AqmpEvent  *event,
              guint      *n_heard)
{
  (*n_heard)++;
}

/* Each name only once. */
static void
check_hostile (const char *signal,
               gboolean    overriding,
               guint       expected)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  guint n_names = test_is_instrumented () ? N_NAMES / 20 : N_NAMES;
  guint n_heard = 0;
  guint n_quarks;
  gsize before;
  gsize after;
  guint round;
  g_autoptr (GError) error = NULL;

  client = overriding ? g_object_new (OVERRIDING_TYPE_CLIENT, NULL) : aqmp_client_new (NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  if (signal != NULL)
    g_signal_connect (client, signal, G_CALLBACK (ignore_event), &n_heard);

  n_quarks = 0;
  before = 0;
  for (round = 0; round < 6; round++)
    {
      g_autoptr (GString) text = g_string_sized_new (64 * n_names / 5);
      guint i;

      /* By then everything has the size, and the quarks, that it needs. */
      if (round == 2)
        {
          n_quarks = count_quarks ();
          before = test_get_rss ();
        }
      for (i = 0; i < n_names / 5; i++)
        g_string_append_printf (text, "{\"event\": \"EVIL_%u_%u\", \"data\": {\"x\": 1}}", round, i);
      mock_send_bytes (mock, text->str, (gssize) text->len);
      test_ping (client, mock);
      if (overriding)
        g_string_truncate (OVERRIDING_CLIENT (client)->names, 0);
    }
  after = test_get_rss ();

  g_assert_cmpuint (g_quark_try_string ("EVIL_0_0"), ==, 0);
  g_assert_cmpuint (g_quark_try_string ("EVIL_4_77"), ==, 0);
  g_assert_cmpuint (count_quarks () - n_quarks, ==, 1);
  g_assert_cmpuint (n_heard, ==, expected * 6 * (n_names / 5));
  if (!test_is_instrumented ())
    g_assert_cmpint ((gint64) after - (gint64) before, <, 2 * 1024 * 1024);

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_hostile_unheard (void)
{
  check_hostile (NULL, FALSE, 0);
}

static void
test_hostile_another_name (void)
{
  check_hostile ("event::STOP", FALSE, 0);
}

static void
test_hostile_heard_by_all (void)
{
  check_hostile ("event", FALSE, 1);
}

static void
test_hostile_class_handler (void)
{
  check_hostile (NULL, TRUE, 0);
}

/* --- Q17 ---------------------------------------------------------------------------------------------------------- */

/* A million events that nobody takes. */
static void
test_memory (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  guint n_rounds = test_is_instrumented () ? 2 : 20;
  gsize before = 0;
  guint round;

  for (round = 0; round < n_rounds; round++)
    {
      if (round == 1)
        before = test_get_rss ();
      mock_send_repeated (mock, UNHEARD "\r\n", 50000);
      test_ping (client, mock);
    }
  g_test_message ("%" G_GSSIZE_FORMAT " bytes more", (gssize) (test_get_rss () - before));
  if (!test_is_instrumented ())
    g_assert_cmpint ((gint64) test_get_rss () - (gint64) before, <, 1024 * 1024);

  mock_expect_eof (mock);
  test_client_close (client);
}

#define ADD_NO_TIMESTAMP(path, timestamp) \
  g_test_add_data_func ("/client/Q15/timestamp/" path, "{\"event\": \"X\", \"timestamp\": " timestamp "}", test_no_timestamp)
#define ADD_NO_DATA(path, data) \
  g_test_add_data_func ("/client/Q15/data/" path, "{\"event\": \"X\"" data "}", test_no_data)
#define ADD_NAME_UNUSABLE(path, name) \
  g_test_add_data_func ("/client/Q15/name/" path, "{\"event\": " name ", \"data\": {}}", test_name_unusable)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  count_events ();

  g_test_add_func ("/client/Q15/detailed", test_detailed);
  g_test_add_func ("/client/Q15/content", test_content);
  g_test_add_data_func ("/client/Q15/timestamp/absent", "{\"event\": \"X\"}", test_no_timestamp);
  ADD_NO_TIMESTAMP ("minus-one-stays", "{\"seconds\": -1, \"microseconds\": -1}");
  ADD_NO_TIMESTAMP ("seconds-minus-one", "{\"seconds\": -1, \"microseconds\": 999999}");
  ADD_NO_TIMESTAMP ("no-object", "1700000000");
  ADD_NO_TIMESTAMP ("no-seconds", "{\"microseconds\": 1}");
  ADD_NO_TIMESTAMP ("seconds-string", "{\"seconds\": \"1\", \"microseconds\": 1}");
  ADD_NO_TIMESTAMP ("beyond-microseconds", "{\"seconds\": 9223372036854775807, \"microseconds\": 1}");
  ADD_NO_DATA ("absent", "");
  ADD_NO_DATA ("null", ", \"data\": null");
  ADD_NO_DATA ("array", ", \"data\": [1]");
  g_test_add_func ("/client/Q15/name/with-escapes", test_name_with_escapes);
  g_test_add_func ("/client/Q15/name/with-escapes-detailed", test_name_with_escapes_detailed);
  g_test_add_func ("/client/Q15/name/in-turn", test_names_in_turn);
  g_test_add_func ("/client/Q15/name/of-any-length", test_name_length);
  ADD_NAME_UNUSABLE ("number", "5");
  ADD_NAME_UNUSABLE ("null", "null");
  ADD_NAME_UNUSABLE ("object", "{\"event\": \"STOP\"}");
  ADD_NAME_UNUSABLE ("empty", "\"\"");
  ADD_NAME_UNUSABLE ("with-nul", "\"STOP\\u0000\"");
  g_test_add_func ("/client/Q15/class-handler-hears-all", test_class_handler);
  g_test_add_func ("/client/Q15/unheard-builds-nothing/counter-counts", test_counter);
  g_test_add_func ("/client/Q15/unheard-builds-nothing/nobody-connected", test_unheard_nobody);
  g_test_add_func ("/client/Q15/unheard-builds-nothing/another-name-connected", test_unheard_another_name);
  g_test_add_func ("/client/Q15/unheard-builds-nothing/handler-blocked", test_unheard_blocked);
  g_test_add_func ("/client/Q15/unheard-builds-nothing/handlers-come-and-go", test_heard_on_and_off);
  g_test_add_func ("/client/Q15/heard-builds-no-tree/by-name", test_heard_by_name);
  g_test_add_func ("/client/Q15/heard-builds-no-tree/by-all", test_heard_by_all);
  g_test_add_func ("/client/Q15/hostile-names/unheard", test_hostile_unheard);
  g_test_add_func ("/client/Q15/hostile-names/another-name-connected", test_hostile_another_name);
  g_test_add_func ("/client/Q15/hostile-names/heard-by-all", test_hostile_heard_by_all);
  g_test_add_func ("/client/Q15/hostile-names/class-handler", test_hostile_class_handler);
  g_test_add_func ("/client/Q17/memory-does-not-grow", test_memory);

  return g_test_run ();
}
