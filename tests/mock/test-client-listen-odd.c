/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q15–Q17: odd and hostile events, and what listeners cost. */

#include "event-util.h"

#include <string.h>

/* --- Odd ---------------------------------------------------------------------------------------------------------- */

typedef struct
{
  const char *name;
  const char *text;
  const char *event;      /* NULL: none */
  gint64      timestamp;
  const char *data;       /* NULL: none */
} Odd;

static const Odd odd_events[] = {
  { "with-id", "{\"event\": \"X\", \"id\": \"aqmp-1\", \"data\": {\"a\": 1}}", "X", -1, "{\"a\":1}" },
  { "with-id-and-return", "{\"id\": 5, \"return\": {}, \"event\": \"X\"}", "X", -1, NULL },
  { "with-error", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"x\"}, \"event\": \"X\"}", "X", -1, NULL },
  { "without-data", "{\"event\": \"X\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}", "X", 1000002, NULL },
  { "data-null", "{\"event\": \"X\", \"data\": null}", "X", -1, NULL },
  { "data-array", "{\"event\": \"X\", \"data\": [1, 2]}", "X", -1, NULL },
  { "data-string", "{\"event\": \"X\", \"data\": \"{}\"}", "X", -1, NULL },
  { "data-empty", "{\"event\": \"X\", \"data\": {}}", "X", -1, "{}" },
  { "timestamp-minus-one", "{\"event\": \"X\", \"timestamp\": {\"seconds\": -1, \"microseconds\": -1}}", "X", -1, NULL },
  { "timestamp-string", "{\"event\": \"X\", \"timestamp\": \"now\"}", "X", -1, NULL },
  { "timestamp-beyond", "{\"event\": \"X\", \"timestamp\": {\"seconds\": 1e300, \"microseconds\": 0}}", "X", -1, NULL },
  { "duplicate-event", "{\"event\": \"Y\", \"event\": \"X\"}", "X", -1, NULL },
  { "duplicate-data", "{\"event\": \"X\", \"data\": {\"a\": 1}, \"data\": {\"b\": 2, \"b\": 3}}", "X", -1, "{\"b\":3}" },
  { "unknown-members", "{\"zzz\": [1, {\"event\": \"Y\"}], \"event\": \"X\", \"\": null}", "X", -1, NULL },
  { "escaped-name", "{\"\\u0065vent\": \"\\u0058\"}", "X", -1, NULL },
  { "name-number", "{\"event\": 1}", NULL, -1, NULL },
  { "name-null", "{\"event\": null, \"data\": {}}", NULL, -1, NULL },
  { "name-object", "{\"event\": {\"event\": \"X\"}}", NULL, -1, NULL },
  { "name-empty", "{\"event\": \"\"}", NULL, -1, NULL },
  { "name-with-nul", "{\"event\": \"X\\u0000\"}", NULL, -1, NULL },
};

static void
check_odd (const Odd         *odd,
           AqmpEventListener *listener)
{
  g_autoptr (AqmpEvent) event = NULL;
  g_autoptr (GBytes) bytes = NULL;

  if (odd->event == NULL)
    {
      g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
      return;
    }

  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 1);
  event = event_next (listener, NULL);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, odd->event);
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, odd->timestamp);
  if (odd->data == NULL)
    g_assert_null (aqmp_event_get_data (event));
  else
    {
      g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), aqmp_event_get_data (event));
      g_autofree char *text = json_to_string (node, FALSE);

      g_assert_cmpstr (text, ==, odd->data);
    }
  bytes = aqmp_event_to_bytes (event);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), odd->text, strlen (odd->text));
}

/* With the loop and without it; the session goes on, and nothing is said that could end a program. */
static void
test_odd (gconstpointer data)
{
  const Odd *odd = data;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) all = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) named = event_listen (client, "X");
  g_autoptr (TestLog) log = test_log_start ();
  guint i;

  for (i = 0; i < 2; i++)
    {
      mock_send (mock, odd->text);
      if (i == 0)
        test_ping (client, mock);
      else
        sync_ping (client, mock);
      check_odd (odd, all);
      check_odd (odd, named);
    }
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING |
                                    G_LOG_LEVEL_MESSAGE, NULL, NULL), ==, 0);
  event_close (client, mock);
}

/* A name that does not fit where names are usually put. */
static void
test_long_name (void)
{
  g_autofree char *name = g_strnfill (100000, 'N');
  g_autofree char *text = g_strdup_printf ("{\"event\": \"%s\"}{\"event\": \"%sN\"}", name, name);
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, name);

  mock_send (mock, text);
  test_ping (client, mock);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 1);
  event_check_next (listener, name);
  event_close (client, mock);
}

/* --- Cost --------------------------------------------------------------------------------------------------------- */

#define N_EVENTS 1000

/* Whom the events are for. */
static void
check_cost (const char *names,
            gboolean    stopped,
            guint       expected)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, names);

  aqmp_event_listener_set_max_pending (listener, 1);
  if (stopped)
    aqmp_event_listener_stop (listener);
  event_count_made ();
  mock_send_repeated (mock, "{\"event\": \"NOISE\", \"data\": {\"a\": [1]}}\r\n", N_EVENTS);
  test_ping (client, mock);
  aqmp_event_listener_clear (listener);
  g_assert_cmpuint (event_count_made (), ==, expected);
  event_close (client, mock);
}

static void
test_cost_other_name (void)
{
  check_cost ("STOP RESUME", FALSE, 0);
}

static void
test_cost_stopped (void)
{
  check_cost (NULL, TRUE, 0);
}

static void
test_cost_heard (void)
{
  check_cost ("NOISE", FALSE, N_EVENTS);
  check_cost (NULL, FALSE, N_EVENTS);
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

#define N_NAMES 100000

/* What a quark that is made now is numbered: how many there are. */
static guint
count_quarks (void)
{
  static guint n_probes;
  g_autofree char *probe = g_strdup_printf ("test-client-listen-probe-%u", n_probes++);

  return g_quark_from_string (probe);
}

static void
send_hostile (MockServer *mock,
              guint       round,
              guint       n_names)
{
  g_autoptr (GString) text = g_string_sized_new (64 * n_names);
  guint i;

  for (i = 0; i < n_names; i++)
    g_string_append_printf (text, "{\"event\": \"EVIL_%u_%u\", \"data\": {\"x\": 1}}", round, i);
  mock_send_bytes (mock, text->str, (gssize) text->len);
}

/* Each name only once; and all are taken, so that nothing is dropped. */
static void
test_hostile_names (void)
{
  guint n_names = test_is_instrumented () ? N_NAMES / 20 : N_NAMES;
  guint n_each = 1000;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  gsize before = 0;
  gsize after;
  guint n_quarks = 0;
  guint round;
  guint i;

  aqmp_event_listener_set_history_size (listener, 10);
  for (round = 0; round < n_names / n_each; round++)
    {
      if (round == n_names / n_each / 5)
        {
          n_quarks = count_quarks ();
          before = test_get_rss ();
        }
      send_hostile (mock, round, n_each);
      if (round % 2 == 0)
        test_ping (client, mock);
      else
        sync_ping (client, mock);
      for (i = 0; i < n_each; i++)
        {
          g_autofree char *name = g_strdup_printf ("EVIL_%u_%u", round, i);

          event_check_next_sync (listener, name);
        }
    }
  after = test_get_rss ();

  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 0);
  g_assert_cmpuint (g_quark_try_string ("EVIL_0_0"), ==, 0);
  g_assert_cmpuint (g_quark_try_string ("EVIL_4_77"), ==, 0);
  g_assert_cmpuint (count_quarks () - n_quarks, ==, 1);
  g_test_message ("%" G_GINT64_FORMAT " bytes more", (gint64) after - (gint64) before);
  if (!test_is_instrumented ())
    g_assert_cmpint ((gint64) after - (gint64) before, <, 2 * 1024 * 1024);
  event_close (client, mock);
}

/* Nor do those of a wait. */
static void
test_names_of_waits (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  guint n_quarks;
  guint i;

  test_ping (client, mock);
  n_quarks = count_quarks ();
  for (i = 0; i < 1000; i++)
    {
      g_autofree char *name = g_strdup_printf ("NAME_%u", i);
      AqmpEventListener *listener = event_listen (client, name);

      event_forget (listener);
    }
  g_assert_cmpuint (count_quarks () - n_quarks, ==, 1);
  event_close (client, mock);
}

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (odd_events); i++)
    {
      g_autofree char *path = g_strconcat ("/client/Q15/listener/", odd_events[i].name, NULL);

      g_test_add_data_func (path, &odd_events[i], test_odd);
    }
  g_test_add_func ("/client/Q15/listener/long-name", test_long_name);
  g_test_add_func ("/client/Q15/listener/cost/other-name", test_cost_other_name);
  g_test_add_func ("/client/Q15/listener/cost/stopped", test_cost_stopped);
  g_test_add_func ("/client/Q15/listener/cost/heard", test_cost_heard);
  g_test_add_func ("/client/Q15/listener/hostile-names", test_hostile_names);
  g_test_add_func ("/client/Q15/listener/names-of-waits", test_names_of_waits);

  return g_test_run ();
}
