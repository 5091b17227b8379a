/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q16, T4: filters; and listeners that are stopped, cleared and dropped inside what they or others call. */

#include "event-util.h"

/* --- Filters ------------------------------------------------------------------------------------------------------ */

typedef struct
{
  GString  *seen;
  gboolean  passes;
  guint     n_destroyed;
  GThread  *thread;
} Seen;

static gboolean
filter_seen (AqmpEvent *event,
             gpointer   data)
{
  Seen *self = data;

  g_assert_cmpuint (self->n_destroyed, ==, 0);
  self->thread = g_thread_self ();
  g_string_append_printf (self->seen, "%s ", aqmp_event_get_name (event));
  return self->passes;
}

static void
destroy_seen (gpointer data)
{
  Seen *self = data;

  self->n_destroyed++;
}

static gboolean
filter_data (AqmpEvent *event,
             gpointer   data)
{
  JsonObject *object = aqmp_event_get_data (event);

  return object != NULL && json_object_get_int_member (object, "n") > GPOINTER_TO_INT (data);
}

static void
test_filter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, filter_data, GINT_TO_POINTER (1), NULL);

  mock_event (mock, "ONE", "{'n': 1}");
  mock_event (mock, "TWO", "{'n': 2}");
  mock_event (mock, "NONE", NULL);
  mock_event (mock, "THREE", "{'n': 3}");
  test_ping (client, mock);
  event_check_taken (listener, "TWO THREE ");
  event_close (client, mock);
}

/* It is asked only for events of the names. */
static void
test_names_first (void)
{
  static const char * const names[] = { "STOP", NULL };
  Seen seen = { g_string_new (NULL), TRUE };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, names, filter_seen, &seen, destroy_seen);

  mock_event (mock, "RESUME", NULL);
  mock_event (mock, "STOP", NULL);
  mock_event (mock, "RESUME", NULL);
  test_ping (client, mock);
  g_assert_cmpstr (seen.seen->str, ==, "STOP ");
  g_assert_true (seen.thread == g_thread_self ());
  event_check_taken (listener, "STOP ");
  event_close (client, mock);
  g_string_free (seen.seen, TRUE);
}

static void
test_always_false (void)
{
  Seen seen = { g_string_new (NULL), FALSE };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, filter_seen, &seen, destroy_seen);
  g_autoptr (AqmpEventListener) other = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_event_listener_set_max_pending (listener, 1);
  aqmp_event_listener_set_history_size (listener, 10);
  event_start_next (listener, NULL, &slot);
  event_send_at_once (mock, "A B C");
  test_ping (client, mock);
  g_assert_cmpstr (seen.seen->str, ==, "A B C ");
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 0);
  g_assert_cmpuint (g_list_model_get_n_items (aqmp_event_listener_get_history (listener)), ==, 0);
  g_assert_false (test_slot_is_done (&slot));
  event_check_taken (other, "A B C ");

  aqmp_event_listener_stop (listener);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "stopped");
  event_close (client, mock);
  g_string_free (seen.seen, TRUE);
}

/* Once, whatever ends it. */
static void
test_destroy (void)
{
  Seen stopped = { g_string_new (NULL), TRUE };
  Seen dropped = { g_string_new (NULL), TRUE };
  Seen left = { g_string_new (NULL), TRUE };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  AqmpEventListener *first = aqmp_client_listen (client, NULL, filter_seen, &stopped, destroy_seen);
  AqmpEventListener *second = aqmp_client_listen (client, NULL, filter_seen, &dropped, destroy_seen);
  AqmpEventListener *third = aqmp_client_listen (client, NULL, filter_seen, &left, destroy_seen);
  AqmpEventListener *without = aqmp_client_listen (client, NULL, NULL, &left, NULL);

  aqmp_event_listener_stop (first);
  g_assert_cmpuint (stopped.n_destroyed, ==, 1);
  aqmp_event_listener_stop (first);
  event_forget (first);
  g_assert_cmpuint (stopped.n_destroyed, ==, 1);
  event_forget (second);
  g_assert_cmpuint (dropped.n_destroyed, ==, 1);
  event_close (client, mock);
  g_assert_cmpuint (left.n_destroyed, ==, 1);
  event_forget (third);
  event_forget (without);
  g_assert_cmpuint (left.n_destroyed, ==, 1);
  g_string_free (stopped.seen, TRUE);
  g_string_free (dropped.seen, TRUE);
  g_string_free (left.seen, TRUE);
}

/* --- Deeds -------------------------------------------------------------------------------------------------------- */

typedef enum
{
  STOP,
  CLEAR,
  DROP,
  STOP_AND_DROP,
  LISTEN_ANEW,
  N_DEEDS
} Deed;

static const char * const deed_names[N_DEEDS] = { "stop", "clear", "drop", "stop-and-drop", "listen-anew" };

typedef enum
{
  IN_OWN_FILTER,
  IN_EARLIER_FILTER,   /* of a listener that is asked before */
  IN_LATER_FILTER,
  IN_OWN_CALLBACK,
  IN_EARLIER_CALLBACK,
  IN_LATER_CALLBACK,
  IN_HANDLER,
  N_PLACES
} Place;

static const char * const place_names[N_PLACES] = {
  "own-filter", "earlier-filter", "later-filter", "own-callback", "earlier-callback", "later-callback", "event-handler",
};

typedef struct
{
  AqmpClient        *client;
  AqmpEventListener *listener;  /* (owned) (nullable): to which it is done */
  AqmpEventListener *new;       /* (owned) (nullable) */
  Deed               deed;
  Place              place;
  guint              n_done;
  guint              n_destroyed;
} Story;

static void
do_it (Story     *story,
       AqmpEvent *event)
{
  if (g_strcmp0 (aqmp_event_get_name (event), "NOW") != 0 || story->n_done++ > 0)
    return;

  switch (story->deed)
    {
    case STOP:
      aqmp_event_listener_stop (story->listener);
      g_assert_false (aqmp_event_listener_get_active (story->listener));
      break;
    case CLEAR:
      aqmp_event_listener_clear (story->listener);
      break;
    case STOP_AND_DROP:
      aqmp_event_listener_stop (story->listener);
      g_clear_object (&story->listener);
      break;
    case DROP:
      g_clear_object (&story->listener);
      break;
    default:
      story->new = event_listen (story->client, NULL);
      break;
    }
}

static gboolean
filter_done (AqmpEvent *event,
             gpointer   data)
{
  Story *story = data;

  if (story->place == IN_OWN_FILTER)
    do_it (story, event);
  return TRUE;
}

/* Whatever was done to the listener: as long as its filter runs, what that needs is there. */
static gboolean
filter_that_does (AqmpEvent *event,
                  gpointer   data)
{
  Story *story = data;
  guint n_destroyed = story->n_destroyed;

  filter_done (event, data);
  g_assert_cmpuint (story->n_destroyed, ==, n_destroyed);
  return TRUE;
}

static void
destroy_story (gpointer data)
{
  ((Story *) data)->n_destroyed++;
}

static gboolean
filter_other (AqmpEvent *event,
              gpointer   data)
{
  do_it (data, event);
  return TRUE;
}

static void
got_next (GObject      *listener,
          GAsyncResult *result,
          gpointer      data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, &error);

  if (event != NULL)
    do_it (data, event);
  else
    g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Story      *story)
{
  do_it (story, event);
}

static AqmpEventListener *
listen_other (Story *story,
              Place  filter,
              Place  callback)
{
  AqmpEventListener *listener;

  listener = aqmp_client_listen (story->client, NULL, story->place == filter ? filter_other : NULL, story, NULL);
  if (story->place == callback)
    {
      /* The second event comes to the second waiter. */
      aqmp_event_listener_next_async (listener, NULL, got_next, story);
      aqmp_event_listener_next_async (listener, NULL, got_next, story);
    }
  return listener;
}

static const char *
get_expected (Story *story)
{
  gboolean before = story->place == IN_EARLIER_FILTER || story->place == IN_EARLIER_CALLBACK || story->place == IN_OWN_FILTER;

  switch (story->deed)
    {
    case STOP:
      return before ? "BEFORE " : "BEFORE NOW ";
    case CLEAR:
      return before ? "NOW AFTER " : "AFTER ";
    default:
      return "BEFORE NOW AFTER ";
    }
}

static void
test_deed (gconstpointer data)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  Story story = { .client = client, .deed = GPOINTER_TO_UINT (data) / N_PLACES, .place = GPOINTER_TO_UINT (data) % N_PLACES };
  AqmpEventListener *earlier = listen_other (&story, IN_EARLIER_FILTER, IN_EARLIER_CALLBACK);
  AqmpEventListener *later;

  story.listener = aqmp_client_listen (client, NULL, filter_that_does, &story, destroy_story);
  later = listen_other (&story, IN_LATER_FILTER, IN_LATER_CALLBACK);
  if (story.place == IN_OWN_CALLBACK)
    {
      aqmp_event_listener_next_async (story.listener, NULL, got_next, &story);
      aqmp_event_listener_next_async (story.listener, NULL, got_next, &story);
    }
  if (story.place == IN_HANDLER)
    g_signal_connect (client, "event", G_CALLBACK (on_event), &story);

  event_send_at_once (mock, "BEFORE NOW AFTER");
  test_ping (client, mock);
  test_dispatch_pending ();
  g_assert_cmpuint (story.n_done, ==, 1);

  /* The others do not notice. */
  event_check_taken (earlier, story.place == IN_EARLIER_CALLBACK ? "AFTER " : "BEFORE NOW AFTER ");
  event_check_taken (later, story.place == IN_LATER_CALLBACK ? "AFTER " : "BEFORE NOW AFTER ");
  if (story.deed == STOP || story.deed == STOP_AND_DROP || (story.deed == DROP && story.place != IN_OWN_CALLBACK))
    g_assert_cmpuint (story.n_destroyed, ==, 1);

  if (story.place == IN_OWN_CALLBACK)
    {
      /* Two were taken by those who have waited. A callback may come later than the next event. */
      if (story.listener != NULL && story.deed == LISTEN_ANEW)
        event_check_taken (story.listener, "AFTER ");
    }
  else if (story.listener != NULL)
    event_check_taken (story.listener, get_expected (&story));
  if (story.new != NULL)
    {
      event_send_at_once (mock, "LATEST");
      test_ping (client, mock);
      g_assert_cmpuint (aqmp_event_listener_get_n_pending (story.new), >, 0);
    }

  if (story.listener != NULL)
    event_forget (story.listener);
  g_clear_object (&story.new);
  event_forget (earlier);
  event_forget (later);
  g_assert_cmpuint (story.n_destroyed, ==, 1);
  g_signal_handlers_disconnect_by_data (client, &story);
  event_close (client, mock);
}

/* One that is made in the middle of an event does not hear that one. */
static void
test_anew_not_this_one (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  Story story = { .client = client, .deed = LISTEN_ANEW };
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, filter_other, &story, NULL);

  event_send_at_once (mock, "NOW AFTER");
  test_ping (client, mock);
  event_check_taken (listener, "NOW AFTER ");
  event_check_taken (story.new, "AFTER ");
  event_forget (story.new);
  event_close (client, mock);
}

/* --- Stopping ----------------------------------------------------------------------------------------------------- */

static void
test_stop (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (aqmp_event_listener_get_active (listener));
  event_send_at_once (mock, "A B");
  test_ping (client, mock);
  aqmp_event_listener_stop (listener);
  aqmp_event_listener_stop (listener);
  g_assert_false (aqmp_event_listener_get_active (listener));

  /* It costs nothing any more. */
  event_check_next (listener, "A");
  event_send_at_once (mock, "C D");
  event_count_made ();
  test_ping (client, mock);
  g_assert_cmpuint (event_count_made (), ==, 0);

  /* What was heard is still there; then there is nothing to wait for. */
  event_check_next_sync (listener, "B");
  g_assert_null (event_next (listener, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "stopped");
  g_clear_error (&error);
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "stopped");
  test_ping (client, mock);
  event_close (client, mock);
}

static void
test_stop_with_waiters (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  TestSlot slots[3] = { TEST_SLOT_INIT };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    event_start_next (listener, NULL, &slots[i]);
  aqmp_event_listener_stop (listener);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    g_assert_false (test_slot_is_done (&slots[i]));
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      event_check_failure (&slots[i], AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "stopped");
      test_slot_clear (&slots[i]);
    }
  test_ping (client, mock);
  event_close (client, mock);
}

/* Who waits keeps the listener, so it goes on. */
static void
test_drop_with_waiter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  AqmpEventListener *listener = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  gpointer watched = listener;

  event_start_next (listener, NULL, &slot);
  g_object_add_weak_pointer (G_OBJECT (listener), &watched);
  g_object_unref (listener);
  mock_event (mock, "A", NULL);
  event_check_finish (&slot, "A");
  test_slot_clear (&slot);
  test_dispatch_pending ();
  g_assert_null (watched);
  event_close (client, mock);
}

/* --- T4: anything else inside ------------------------------------------------------------------------------------- */

static void
got_disconnected (GObject      *client,
                  GAsyncResult *result,
                  gpointer      data)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  *(gboolean *) data = TRUE;
}

typedef struct
{
  AqmpClient *client;
  gboolean    disconnected;
  gboolean    begun;
} Ending;

static gboolean
filter_that_disconnects (AqmpEvent *event,
                         gpointer   data)
{
  Ending *ending = data;

  if (!ending->begun)
    aqmp_protocol_disconnect_async (AQMP_PROTOCOL (ending->client), NULL, got_disconnected, &ending->disconnected);
  ending->begun = TRUE;
  return TRUE;
}

static void
test_disconnect_in_filter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  Ending ending = { .client = client };
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, filter_that_disconnects, &ending, NULL);
  g_autoptr (AqmpEventListener) other = event_listen (client, NULL);

  mock_event (mock, "A", NULL);
  mock_expect_eof (mock);
  test_wait_until (ending.disconnected);
  event_check_taken (listener, "A ");
  event_check_taken (other, "A ");
  test_client_close (client);
}

/* The last reference to the client goes in a filter of its own. */
static gboolean
filter_that_drops_client (AqmpEvent *event,
                          gpointer   data)
{
  AqmpClient **client = data;

  g_clear_object (client);
  return TRUE;
}

static void
test_drop_client_in_filter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  gpointer watched = client;
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, filter_that_drops_client, &client, NULL);

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  mock_event (mock, "A", NULL);
  mock_expect_eof (mock);
  test_wait_until (watched == NULL);
  g_assert_false (aqmp_event_listener_get_active (listener));
  event_check_taken (listener, "A ");
}

int
main (int    argc,
      char **argv)
{
  guint i;

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q16/filter/by-data", test_filter);
  g_test_add_func ("/client/Q16/filter/names-first", test_names_first);
  g_test_add_func ("/client/Q16/filter/always-false", test_always_false);
  g_test_add_func ("/client/Q16/filter/destroyed-once", test_destroy);
  for (i = 0; i < N_DEEDS * N_PLACES; i++)
    {
      g_autofree char *path = g_strdup_printf ("/client/Q16/%s/in-%s", deed_names[i / N_PLACES], place_names[i % N_PLACES]);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_deed);
    }
  g_test_add_func ("/client/Q16/listen-anew/not-this-one", test_anew_not_this_one);
  g_test_add_func ("/client/Q16/stop/what-is-left", test_stop);
  g_test_add_func ("/client/Q16/stop/with-waiters", test_stop_with_waiters);
  g_test_add_func ("/client/Q16/drop/with-waiter", test_drop_with_waiter);
  g_test_add_func ("/client/T4/filter/disconnects", test_disconnect_in_filter);
  g_test_add_func ("/client/T4/filter/drops-client", test_drop_client_in_filter);

  return g_test_run ();
}
