/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q17: a flood of events, and somebody who is slow to take them. */

#include "event-util.h"

#define N_EVENTS 1000000
#define N_ROUNDS 100
#define N_SETTLED 10000    /* after which memory must not grow */
#define MOST_GROWTH (1024 * 1024)

#define EVENT "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"NOISE\", " \
              "\"data\": {\"device\": \"virtio0\", \"values\": [1, 2, 3], \"nested\": {\"a\": null}}}\r\n"

/* Of what waits, so many are taken after each round. */
static guint
take_some (AqmpEventListener *listener,
           guint              n_events)
{
  guint i;

  for (i = 0; i < n_events; i++)
    event_check_next_sync (listener, "NOISE");
  return n_events;
}

static void
check_flood (guint    n_taken_each,
             guint    history_size,
             gboolean blocking)
{
  guint n_events = test_is_instrumented () ? N_EVENTS / 20 : N_EVENTS;
  guint n_each = n_events / N_ROUNDS;
  guint n_settled = N_SETTLED / n_each;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  guint max_pending = aqmp_event_listener_get_max_pending (listener);
  guint n_taken = 0;
  gsize before = 0;
  gint64 growth;
  guint round;

  aqmp_event_listener_set_history_size (listener, history_size);
  for (round = 0; round < N_ROUNDS; round++)
    {
      if (round == n_settled)
        before = test_get_rss ();

      /* The reply comes in the middle of the flood. */
      mock_expect (mock, "{'execute': 'ping', 'arguments': {'b': 1}}");
      mock_send_repeated (mock, EVENT, n_each / 2);
      mock_return (mock, "{'pong': true}");
      mock_send_repeated (mock, EVENT, n_each - n_each / 2);
      if (blocking)
        {
          g_autoptr (JsonObject) arguments = aqmp_arguments_parse ("{\"b\": 1}", NULL);
          g_autoptr (GError) error = NULL;
          g_autoptr (JsonNode) result = aqmp_client_execute_sync (client, "ping", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL,
                                                                  &error);

          g_assert_no_error (error);
          g_assert_nonnull (result);
        }
      else
        {
          g_autoptr (GError) error = NULL;
          g_autofree char *result = test_execute (client, "ping", "{\"b\": 1}", &error);

          g_assert_no_error (error);
          g_assert_cmpstr (result, ==, "{\"pong\":true}");
        }
      n_taken += take_some (listener, n_taken_each);
    }
  if (blocking)
    sync_ping (client, mock);
  else
    test_ping (client, mock);

  growth = (gint64) test_get_rss () - (gint64) before;
  g_test_message ("%u events, %u taken, %" G_GINT64_FORMAT " bytes more", n_each * N_ROUNDS, n_taken, growth);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, max_pending);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, (guint64) n_each * N_ROUNDS - n_taken - max_pending);
  g_assert_cmpuint (g_list_model_get_n_items (aqmp_event_listener_get_history (listener)), ==, history_size);
  if (test_is_instrumented ())
    g_test_message ("instrumented: the resident set says nothing, not checked");
  else
    g_assert_cmpint (growth, <, MOST_GROWTH);

  event_close (client, mock);
}

static void
test_slow (void)
{
  check_flood (3, 0, FALSE);
}

static void
test_blocking (void)
{
  check_flood (1, 100, TRUE);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q17/flood/slow-listener", test_slow);
  g_test_add_func ("/client/Q17/flood/blocking", test_blocking);

  return g_test_run ();
}
