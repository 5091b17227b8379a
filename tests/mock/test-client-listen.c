/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q16: listeners: what each hears, who is served, and what is kept. */

#include "event-util.h"

/* --- Names -------------------------------------------------------------------------------------------------------- */

static void
check_names (const char *names,
             const char *expected)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, names);

  mock_event (mock, "STOP", NULL);
  mock_event (mock, "RESUME", NULL);
  mock_event (mock, "STO", NULL);
  mock_event (mock, "STOPP", NULL);
  mock_event (mock, "stop", NULL);
  mock_event (mock, "STOP", NULL);
  test_ping (client, mock);
  event_check_taken (listener, expected);
  event_close (client, mock);
}

static void
test_no_names (void)
{
  check_names (NULL, "STOP RESUME STO STOPP stop STOP ");
}

/* A list that is empty stands for all, too. */
static void
test_empty_list (void)
{
  check_names ("", "STOP RESUME STO STOPP stop STOP ");
}

static void
test_one_name (void)
{
  check_names ("STOP", "STOP STOP ");
}

static void
test_several_names (void)
{
  check_names ("RESUME STOP", "STOP RESUME STOP ");
}

static void
test_unknown_name (void)
{
  check_names ("LEVITATE", "");
}

/* Each event once. */
static void
test_duplicate_names (void)
{
  check_names ("STOP STOP RESUME STOP", "STOP RESUME STOP ");
}

static void
test_names_not_kept (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  char name[] = "STOP";
  const char *names[] = { name, NULL };
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, names, NULL, NULL, NULL);

  name[0] = 'A';
  names[0] = NULL;
  mock_event (mock, "STOP", NULL);
  mock_event (mock, "ATOP", NULL);
  test_ping (client, mock);
  event_check_taken (listener, "STOP ");
  event_close (client, mock);
}

/* The mistake is told, and the other names are listened for. */
static void
test_empty_name (void)
{
  static const char * const names[] = { "STOP", "", NULL };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (TestLog) log = test_log_start ();
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, names, NULL, NULL, NULL);

  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MESSAGE, "aqmp", "empty name"), ==, 1);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK & ~G_LOG_LEVEL_DEBUG, NULL, NULL), ==, 1);
  g_assert_true (aqmp_event_listener_get_active (listener));

  mock_send_json (mock, "{'event': ''}");
  mock_event (mock, "RESUME", NULL);
  mock_event (mock, "STOP", NULL);
  test_ping (client, mock);
  event_check_taken (listener, "STOP ");
  event_close (client, mock);
}

static void
test_only_an_empty_name (void)
{
  static const char * const names[] = { "", NULL };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (TestLog) log = test_log_start ();
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, names, NULL, NULL, NULL);

  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MESSAGE, "aqmp", "empty name"), ==, 1);
  mock_send_json (mock, "{'event': ''}");
  mock_event (mock, "STOP", NULL);
  test_ping (client, mock);
  event_check_taken (listener, "");
  event_close (client, mock);
}

/* --- Several ------------------------------------------------------------------------------------------------------ */

/* What one takes, the others still have. */
static void
test_several_listeners (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) all = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) stop = event_listen (client, "STOP");
  g_autoptr (AqmpEventListener) stop_too = event_listen (client, "STOP");
  g_autoptr (AqmpEventListener) resume = event_listen (client, "RESUME");

  mock_event (mock, "STOP", NULL);
  mock_event (mock, "RESUME", NULL);
  mock_event (mock, "RESET", NULL);
  mock_event (mock, "STOP", NULL);
  test_ping (client, mock);
  event_check_taken (stop, "STOP STOP ");
  event_check_taken (stop_too, "STOP STOP ");
  event_check_taken (resume, "RESUME ");
  event_check_taken (all, "STOP RESUME RESET STOP ");
  event_close (client, mock);
}

static void
test_not_before_listening (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  AqmpEventListener *listener;

  mock_event (mock, "STOP", NULL);
  test_ping (client, mock);
  listener = event_listen (client, NULL);
  mock_event (mock, "RESUME", NULL);
  test_ping (client, mock);
  event_check_taken (listener, "RESUME ");

  event_forget (listener);
  mock_event (mock, "RESUME", NULL);
  event_count_made ();
  test_ping (client, mock);
  g_assert_cmpuint (event_count_made (), ==, 0);
  event_close (client, mock);
}

/* All listeners have one and the same object, which the signal has, too. */
static void
note_event (AqmpClient *client,
            AqmpEvent  *event,
            AqmpEvent **noted)
{
  g_set_object (noted, event);
}

static void
test_one_object (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) first = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) second = event_listen (client, "STOP");
  g_autoptr (AqmpEvent) signalled = NULL;
  g_autoptr (AqmpEvent) one = NULL;
  g_autoptr (AqmpEvent) two = NULL;

  g_signal_connect (client, "event::STOP", G_CALLBACK (note_event), &signalled);
  mock_event (mock, "STOP", "{'a': 1}");
  one = event_next (first, NULL);
  two = event_next (second, NULL);
  g_assert_nonnull (one);
  g_assert_true (one == two);
  g_assert_true (one == signalled);
  g_assert_cmpint (json_object_get_int_member (aqmp_event_get_data (one), "a"), ==, 1);
  event_close (client, mock);
}

/* --- Waiting ------------------------------------------------------------------------------------------------------ */

static void
test_next_waits (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "STOP");
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  event_start_next (listener, NULL, &slot);
  mock_event (mock, "RESUME", NULL);
  test_ping (client, mock);
  g_assert_false (test_slot_is_done (&slot));
  mock_event (mock, "STOP", NULL);
  event_check_finish (&slot, "STOP");
  event_check_taken (listener, "");
  event_close (client, mock);
}

/* Not inside the call: GTask's rule. */
static void
test_next_is_there (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_event (mock, "A", NULL);
  mock_event (mock, "B", NULL);
  test_ping (client, mock);
  event_start_next (listener, NULL, &slot);
  g_assert_false (test_slot_is_done (&slot));
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 1);
  event_check_finish (&slot, "A");
  event_check_next (listener, "B");
  event_close (client, mock);
}

static void
note_name (GObject      *listener,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (AqmpEvent) event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, NULL);

  g_string_append_printf (data, "%s ", event != NULL ? aqmp_event_get_name (event) : "-");
}

/* The first who waits has the first event, and what is too much is kept. */
static void
test_several_waiters (void)
{
  enum { N = 5 };
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  TestSlot slots[N] = { TEST_SLOT_INIT };
  guint i;

  for (i = 0; i < N; i++)
    event_start_next (listener, NULL, &slots[i]);
  for (i = 0; i < N + 2; i++)
    {
      g_autofree char *name = g_strdup_printf ("E%u", i);

      mock_event (mock, name, NULL);
    }
  test_ping (client, mock);
  for (i = 0; i < N; i++)
    {
      g_autofree char *name = g_strdup_printf ("E%u", i);

      event_check_finish (&slots[i], name);
      test_slot_clear (&slots[i]);
    }
  event_check_taken (listener, "E5 E6 ");
  event_close (client, mock);
}

/* Called back in that order, too. */
static void
test_waiters_called_in_order (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GString) names = g_string_new (NULL);
  guint i;

  for (i = 0; i < 4; i++)
    aqmp_event_listener_next_async (listener, NULL, note_name, names);
  event_send_at_once (mock, "A B C D");
  test_wait_until (names->len >= 8);
  g_assert_cmpstr (names->str, ==, "A B C D ");
  event_close (client, mock);
}

/* Who waits for the next one in his callback does not miss any. */
typedef struct
{
  AqmpEventListener *listener;
  GString           *names;
} Follower;

static void
follow (GObject      *listener,
        GAsyncResult *result,
        gpointer      data)
{
  Follower *self = data;

  note_name (listener, result, self->names);
  if (!g_str_has_suffix (self->names->str, "- "))
    aqmp_event_listener_next_async (self->listener, NULL, follow, self);
}

static void
test_follow (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GString) names = g_string_new (NULL);
  Follower follower = { listener, names };

  aqmp_event_listener_next_async (listener, NULL, follow, &follower);
  event_send_at_once (mock, "A B C");
  test_ping (client, mock);
  event_send_at_once (mock, "D E");
  test_ping (client, mock);
  test_wait_until (names->len >= 10);
  g_assert_cmpstr (names->str, ==, "A B C D E ");
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);

  aqmp_event_listener_stop (listener);
  test_wait_until (g_str_has_suffix (names->str, "- "));
  event_close (client, mock);
}

/* --- Cancelling --------------------------------------------------------------------------------------------------- */

static void
test_cancel_one (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) third = TEST_SLOT_INIT;

  event_start_next (listener, NULL, &first);
  event_start_next (listener, cancellable, &second);
  event_start_next (listener, NULL, &third);
  g_cancellable_cancel (cancellable);
  event_check_failure (&second, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");

  mock_event (mock, "A", NULL);
  mock_event (mock, "B", NULL);
  mock_event (mock, "C", NULL);
  test_ping (client, mock);
  event_check_finish (&first, "A");
  event_check_finish (&third, "B");
  event_check_taken (listener, "C ");
  event_close (client, mock);
}

static void
test_cancelled_before (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_event (mock, "A", NULL);
  test_ping (client, mock);
  g_cancellable_cancel (cancellable);
  event_start_next (listener, cancellable, &slot);
  event_check_failure (&slot, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  g_assert_null (aqmp_event_listener_next_sync (listener, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  event_check_taken (listener, "A ");
  event_close (client, mock);
}

/* The event was taken from the queue for this one already, so he gets it. */
static void
test_cancel_after_event (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_event (mock, "A", NULL);
  test_ping (client, mock);
  event_start_next (listener, cancellable, &slot);
  g_cancellable_cancel (cancellable);
  event_check_finish (&slot, "A");
  event_close (client, mock);
}

/* In the same turn: either the one that was cancelled has the event, or the listener has. */
static void
cancel_it (AqmpClient   *client,
           AqmpEvent    *event,
           GCancellable *cancellable)
{
  g_cancellable_cancel (cancellable);
}

static void
test_cancel_races_event (void)
{
  guint n_cancelled = 0;
  guint i;
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");

  for (i = 0; i < 20; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autoptr (AqmpEvent) event = NULL;
      g_autoptr (GError) error = NULL;
      gulong handler = g_signal_connect (client, i % 2 == 0 ? "event::BEFORE" : "event::AFTER", G_CALLBACK (cancel_it),
                                         cancellable);

      event_start_next (listener, cancellable, &slot);
      event_send_at_once (mock, "BEFORE WANTED AFTER");
      event = event_finish (&slot, &error);
      test_ping (client, mock);
      g_assert_true (g_cancellable_is_cancelled (cancellable));
      if (event == NULL)
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          event_check_taken (listener, "WANTED ");
          n_cancelled++;
        }
      else
        event_check_taken (listener, "");
      g_signal_handler_disconnect (client, handler);
    }
  g_test_message ("%u of %u were cancelled", n_cancelled, i);
  event_close (client, mock);
}

/* --- What is kept ------------------------------------------------------------------------------------------------- */

static void
send_numbered (MockServer *mock,
               guint       first,
               guint       n_events)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint i;

  for (i = first; i < first + n_events; i++)
    g_string_append_printf (text, "{\"event\": \"E%u\"}\r\n", i);
  mock_send (mock, text->str);
}

static void
test_bound (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) other = event_listen (client, NULL);

  g_assert_cmpuint (aqmp_event_listener_get_max_pending (listener), ==, 1024);
  aqmp_event_listener_set_max_pending (listener, 3);
  send_numbered (mock, 0, 3);
  test_ping (client, mock);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 3);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 0);
  send_numbered (mock, 3, 2);
  test_ping (client, mock);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 3);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 2);
  event_check_taken (listener, "E2 E3 E4 ");
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 2);

  /* Each has a bound of its own. */
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (other), ==, 0);
  event_check_taken (other, "E0 E1 E2 E3 E4 ");
  event_close (client, mock);
}

static void
test_bound_of_1 (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  aqmp_event_listener_set_max_pending (listener, 1);
  send_numbered (mock, 0, 10);
  test_ping (client, mock);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 9);
  event_check_taken (listener, "E9 ");
  event_close (client, mock);
}

static void
test_bound_by_default (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  send_numbered (mock, 0, 1025);
  test_ping (client, mock);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 1024);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 1);
  event_check_next (listener, "E1");
  event_close (client, mock);
}

/* What somebody waits for is not kept, and so not dropped. */
static void
test_bound_with_waiters (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;

  aqmp_event_listener_set_max_pending (listener, 1);
  event_start_next (listener, NULL, &first);
  event_start_next (listener, NULL, &second);
  send_numbered (mock, 0, 4);
  test_ping (client, mock);
  event_check_finish (&first, "E0");
  event_check_finish (&second, "E1");
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 1);
  event_check_taken (listener, "E3 ");
  event_close (client, mock);
}

static void
count_notify (GObject    *object,
              GParamSpec *property,
              guint      *n_notified)
{
  (*n_notified)++;
}

static void
test_bound_lowered (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  guint n_notified = 0;

  g_signal_connect (listener, "notify::max-pending", G_CALLBACK (count_notify), &n_notified);
  aqmp_event_listener_set_max_pending (listener, 1024);
  g_assert_cmpuint (n_notified, ==, 0);
  send_numbered (mock, 0, 6);
  test_ping (client, mock);
  aqmp_event_listener_set_max_pending (listener, 2);
  g_assert_cmpuint (n_notified, ==, 1);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 2);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 4);

  /* Raised again, it has room for more, but nothing comes back. */
  g_object_set (listener, "max-pending", 4u, NULL);
  g_assert_cmpuint (n_notified, ==, 2);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 2);
  send_numbered (mock, 6, 3);
  test_ping (client, mock);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 5);
  event_check_taken (listener, "E5 E6 E7 E8 ");
  event_close (client, mock);
}

static void
test_clear (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) other = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_event_listener_clear (listener);
  send_numbered (mock, 0, 3);
  test_ping (client, mock);
  aqmp_event_listener_clear (listener);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 0);
  g_assert_true (aqmp_event_listener_get_active (listener));

  /* Who waits goes on waiting. */
  event_start_next (listener, NULL, &slot);
  aqmp_event_listener_clear (listener);
  send_numbered (mock, 3, 2);
  test_ping (client, mock);
  event_check_finish (&slot, "E3");
  event_check_taken (listener, "E4 ");
  event_check_taken (other, "E0 E1 E2 E3 E4 ");
  event_close (client, mock);
}

static void
test_properties (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  guint max_pending;
  guint n_pending;
  guint history_size;
  guint64 n_dropped;

  g_object_set (listener, "max-pending", 2u, "history-size", 7u, NULL);
  send_numbered (mock, 0, 5);
  test_ping (client, mock);
  g_object_get (listener, "max-pending", &max_pending, "n-pending", &n_pending, "n-dropped", &n_dropped,
                "history-size", &history_size, NULL);
  g_assert_cmpuint (max_pending, ==, 2);
  g_assert_cmpuint (n_pending, ==, 2);
  g_assert_cmpuint (n_dropped, ==, 3);
  g_assert_cmpuint (history_size, ==, 7);
  event_close (client, mock);
}

/* One that no client has made. */
static void
test_made_by_nobody (void)
{
  g_autoptr (AqmpEventListener) listener = g_object_new (AQMP_TYPE_EVENT_LISTENER, NULL);
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  g_assert_false (aqmp_event_listener_get_active (listener));
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
  g_assert_cmpuint (g_list_model_get_n_items (aqmp_event_listener_get_history (listener)), ==, 0);
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  event_start_next (listener, NULL, &slot);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_STATE, "");
  aqmp_event_listener_clear (listener);
  aqmp_event_listener_stop (listener);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q16/names/none-is-all", test_no_names);
  g_test_add_func ("/client/Q16/names/empty-list-is-all", test_empty_list);
  g_test_add_func ("/client/Q16/names/one", test_one_name);
  g_test_add_func ("/client/Q16/names/several", test_several_names);
  g_test_add_func ("/client/Q16/names/unknown", test_unknown_name);
  g_test_add_func ("/client/Q16/names/duplicates", test_duplicate_names);
  g_test_add_func ("/client/Q16/names/not-kept", test_names_not_kept);
  g_test_add_func ("/client/Q16/names/empty", test_empty_name);
  g_test_add_func ("/client/Q16/names/only-an-empty-one", test_only_an_empty_name);
  g_test_add_func ("/client/Q16/several-listeners", test_several_listeners);
  g_test_add_func ("/client/Q16/not-before-listening", test_not_before_listening);
  g_test_add_func ("/client/Q16/one-object", test_one_object);
  g_test_add_func ("/client/Q16/next/waits", test_next_waits);
  g_test_add_func ("/client/Q16/next/is-there", test_next_is_there);
  g_test_add_func ("/client/Q16/next/several-waiters", test_several_waiters);
  g_test_add_func ("/client/Q16/next/called-in-order", test_waiters_called_in_order);
  g_test_add_func ("/client/Q16/next/follow", test_follow);
  g_test_add_func ("/client/Q16/cancel/one-of-several", test_cancel_one);
  g_test_add_func ("/client/Q16/cancel/before", test_cancelled_before);
  g_test_add_func ("/client/Q16/cancel/after-the-event", test_cancel_after_event);
  g_test_add_func ("/client/Q16/cancel/races-event", test_cancel_races_event);
  g_test_add_func ("/client/Q16/pending/bound", test_bound);
  g_test_add_func ("/client/Q16/pending/bound-of-1", test_bound_of_1);
  g_test_add_func ("/client/Q16/pending/bound-by-default", test_bound_by_default);
  g_test_add_func ("/client/Q16/pending/bound-with-waiters", test_bound_with_waiters);
  g_test_add_func ("/client/Q16/pending/bound-lowered", test_bound_lowered);
  g_test_add_func ("/client/Q16/pending/clear", test_clear);
  g_test_add_func ("/client/Q16/properties", test_properties);
  g_test_add_func ("/client/Q16/made-by-nobody", test_made_by_nobody);

  return g_test_run ();
}
