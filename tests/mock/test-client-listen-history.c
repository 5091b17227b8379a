/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q16, T3: the history of a listener. */

#include "event-util.h"

static char *
get_names (GListModel *history)
{
  GString *names = g_string_new (NULL);
  guint i;

  for (i = 0; i < g_list_model_get_n_items (history); i++)
    {
      g_autoptr (AqmpEvent) event = g_list_model_get_item (history, i);

      g_string_append_printf (names, "%s ", aqmp_event_get_name (event));
    }

  return g_string_free (names, FALSE);
}

#define check_history(listener, expected) \
  G_STMT_START { \
    g_autofree char *history_ = get_names (aqmp_event_listener_get_history (listener)); \
    g_assert_cmpstr (history_, ==, expected); \
  } G_STMT_END

/* What a view would have: it follows the changes that it is told of. */
typedef struct
{
  GListModel *history;
  GPtrArray  *view;     /* (element-type AqmpEvent) (owned) */
  GString    *changes;
} Watcher;

static void
on_changed (GListModel *history,
            guint       position,
            guint       n_removed,
            guint       n_added,
            Watcher    *watcher)
{
  guint i;

  g_assert_cmpuint (position + n_removed, <=, watcher->view->len);
  if (n_removed > 0)
    g_ptr_array_remove_range (watcher->view, position, n_removed);
  for (i = 0; i < n_added; i++)
    g_ptr_array_insert (watcher->view, (int) (position + i), g_list_model_get_item (history, position + i));
  g_assert_cmpuint (watcher->view->len, ==, g_list_model_get_n_items (history));

  for (i = 0; i < n_removed; i++)
    g_string_append_c (watcher->changes, '-');
  for (i = 0; i < n_added; i++)
    g_string_append_printf (watcher->changes, "%s ",
                            aqmp_event_get_name (g_ptr_array_index (watcher->view, position + i)));
}

static void
watch (Watcher           *watcher,
       AqmpEventListener *listener)
{
  *watcher = (Watcher) { g_object_ref (aqmp_event_listener_get_history (listener)),
                         g_ptr_array_new_with_free_func (g_object_unref), g_string_new (NULL) };
  g_signal_connect (watcher->history, "items-changed", G_CALLBACK (on_changed), watcher);
}

static void
unwatch (Watcher *watcher)
{
  guint i;

  g_assert_cmpuint (watcher->view->len, ==, g_list_model_get_n_items (watcher->history));
  for (i = 0; i < watcher->view->len; i++)
    {
      g_autoptr (AqmpEvent) event = g_list_model_get_item (watcher->history, i);

      g_assert_true (event == g_ptr_array_index (watcher->view, i));
    }
  g_signal_handlers_disconnect_by_data (watcher->history, watcher);
  g_object_unref (watcher->history);
  g_ptr_array_unref (watcher->view);
  g_string_free (watcher->changes, TRUE);
}

static void
count_change (GListModel *history,
              guint       position,
              guint       n_removed,
              guint       n_added,
              guint      *n_changes)
{
  (*n_changes)++;
}

/* --- What is in it ------------------------------------------------------------------------------------------------ */

static void
test_none_by_default (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  g_assert_cmpuint (aqmp_event_listener_get_history_size (listener), ==, 0);
  g_assert_true (g_list_model_get_item_type (aqmp_event_listener_get_history (listener)) == AQMP_TYPE_EVENT);
  event_send_at_once (mock, "A B");
  test_ping (client, mock);
  check_history (listener, "");
  event_close (client, mock);
}

/* Taken or not, dropped or cleared: what passed the filter is in it. */
static void
test_content (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "A B C D E");
  GListModel *history = aqmp_event_listener_get_history (listener);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_event_listener_set_history_size (listener, 10);
  aqmp_event_listener_set_max_pending (listener, 1);
  event_start_next (listener, NULL, &slot);
  event_send_at_once (mock, "A B X C D");
  test_ping (client, mock);
  event_check_finish (&slot, "A");
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (listener), ==, 2);
  check_history (listener, "A B C D ");
  event_check_taken (listener, "D ");
  event_send_at_once (mock, "E");
  test_ping (client, mock);
  aqmp_event_listener_clear (listener);
  check_history (listener, "A B C D E ");

  aqmp_event_listener_stop (listener);
  event_send_at_once (mock, "A");
  test_ping (client, mock);
  check_history (listener, "A B C D E ");
  g_assert_true (aqmp_event_listener_get_history (listener) == history);
  event_close (client, mock);
  check_history (listener, "A B C D E ");
}

static void
test_trimming (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  aqmp_event_listener_set_history_size (listener, 3);
  event_send_at_once (mock, "A B C");
  test_ping (client, mock);
  check_history (listener, "A B C ");
  event_send_at_once (mock, "D E");
  test_ping (client, mock);
  check_history (listener, "C D E ");
  event_close (client, mock);
}

/* Asked for only afterwards, it is the same list. */
static void
test_asked_for_late (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  GListModel *history;

  aqmp_event_listener_set_history_size (listener, 2);
  aqmp_event_listener_set_history_size (listener, 3);
  event_send_at_once (mock, "A B C D");
  test_ping (client, mock);
  event_check_taken (listener, "A B C D ");
  history = aqmp_event_listener_get_history (listener);
  check_history (listener, "B C D ");
  event_send_at_once (mock, "E");
  test_ping (client, mock);
  g_assert_true (aqmp_event_listener_get_history (listener) == history);
  check_history (listener, "C D E ");
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
test_set_size (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  guint n_notified = 0;

  g_signal_connect (listener, "notify::history-size", G_CALLBACK (count_notify), &n_notified);
  aqmp_event_listener_set_history_size (listener, 0);
  g_assert_cmpuint (n_notified, ==, 0);
  aqmp_event_listener_set_history_size (listener, 5);
  aqmp_event_listener_set_history_size (listener, 5);
  g_assert_cmpuint (n_notified, ==, 1);
  event_send_at_once (mock, "A B C D E");
  test_ping (client, mock);
  aqmp_event_listener_set_history_size (listener, 2);
  check_history (listener, "D E ");
  aqmp_event_listener_set_history_size (listener, 3);
  check_history (listener, "D E ");
  event_send_at_once (mock, "F G");
  test_ping (client, mock);
  check_history (listener, "E F G ");
  aqmp_event_listener_set_history_size (listener, 0);
  check_history (listener, "");
  event_send_at_once (mock, "H");
  test_ping (client, mock);
  check_history (listener, "");
  g_assert_cmpuint (n_notified, ==, 4);
  event_check_taken (listener, "A B C D E F G H ");
  event_close (client, mock);
}

/* --- Whoever watches ---------------------------------------------------------------------------------------------- */

static void
test_watched (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, 2);
  event_send_at_once (mock, "A B C");
  test_ping (client, mock);
  g_assert_cmpstr (watcher.changes->str, ==, "A B -C ");
  aqmp_event_listener_set_history_size (listener, 0);
  g_assert_cmpstr (watcher.changes->str, ==, "A B -C --");
  unwatch (&watcher);
  event_close (client, mock);
}

/* Nobody is called during a blocking call, but afterwards, and in order. */
static void
check_blocking (guint       size,
                const char *expected)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, size);
  event_send_at_once (mock, "A B");
  sync_ping (client, mock);
  g_assert_cmpstr (watcher.changes->str, ==, "");
  event_send_at_once (mock, "C D");
  sync_ping (client, mock);
  event_check_next_sync (listener, "A");
  g_assert_cmpstr (watcher.changes->str, ==, "");
  check_history (listener, "");

  /* What comes later is later in the list. */
  event_send_at_once (mock, "E");
  test_wait_until (g_str_has_suffix (watcher.changes->str, "E "));
  check_history (listener, expected);
  event_check_taken (listener, "B C D E ");
  unwatch (&watcher);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_not_while_blocking (void)
{
  check_blocking (10, "A B C D E ");
}

static void
test_not_while_blocking_trimmed (void)
{
  check_blocking (3, "C D E ");
}

/* And in next_sync(), where another wait is the only thing that happens. */
static void
test_not_in_next_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, 10);
  event_send_at_once (mock, "A");
  event_check_next_sync (listener, "A");
  mock_delay (mock, 5);
  event_send_at_once (mock, "B");
  event_check_next_sync (listener, "B");
  g_assert_cmpstr (watcher.changes->str, ==, "");
  test_dispatch_pending ();
  g_assert_cmpstr (watcher.changes->str, ==, "A B ");
  unwatch (&watcher);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* With nobody to be called the list is up to date at once. */
static void
test_unwatched (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  aqmp_event_listener_set_history_size (listener, 3);
  event_send_at_once (mock, "A B C D");
  sync_ping (client, mock);
  check_history (listener, "B C D ");
  event_check_taken (listener, "A B C D ");
  event_send_at_once (mock, "E");
  event_check_next_sync (listener, "E");
  check_history (listener, "C D E ");
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* What has not been told yet counts, too. */
static void
test_size_while_late (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, 10);
  event_send_at_once (mock, "A B C D");
  sync_ping (client, mock);
  aqmp_event_listener_set_history_size (listener, 2);
  test_dispatch_pending ();
  check_history (listener, "C D ");

  event_send_at_once (mock, "E F");
  sync_ping (client, mock);
  aqmp_event_listener_set_history_size (listener, 0);
  test_dispatch_pending ();
  check_history (listener, "");
  g_assert_cmpstr (watcher.changes->str, ==, "C D --");
  unwatch (&watcher);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* Nor are more kept than there is room for. */
static void
test_late_is_bounded (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, 3);
  event_count_made ();
  mock_send_repeated (mock, "{\"event\": \"NOISE\"}", 1000);
  sync_ping (client, mock);
  aqmp_event_listener_clear (listener);
  g_assert_cmpuint (event_count_made (), ==, 997);
  test_dispatch_pending ();
  check_history (listener, "NOISE NOISE NOISE ");
  unwatch (&watcher);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* Nobody watches any more: what comes then still is behind what has waited. */
static void
test_unwatched_while_late (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  gulong handler;
  guint n_changes = 0;

  aqmp_event_listener_set_history_size (listener, 10);
  handler = g_signal_connect (aqmp_event_listener_get_history (listener), "items-changed", G_CALLBACK (count_change), &n_changes);
  event_send_at_once (mock, "A B");
  sync_ping (client, mock);
  g_signal_handler_disconnect (aqmp_event_listener_get_history (listener), handler);
  event_send_at_once (mock, "C");
  sync_ping (client, mock);
  test_dispatch_pending ();
  check_history (listener, "A B C ");
  g_assert_cmpuint (n_changes, ==, 0);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* The listener is gone before the loop runs; who watches has the list. */
static void
test_dropped_while_late (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  AqmpEventListener *listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, 10);
  event_send_at_once (mock, "A B");
  sync_ping (client, mock);
  event_forget (listener);
  test_dispatch_pending ();
  unwatch (&watcher);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* The client, too: with it goes what the history was still to be given. */
static void
test_client_dropped_while_late (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Watcher watcher;

  watch (&watcher, listener);
  aqmp_event_listener_set_history_size (listener, 10);
  event_send_at_once (mock, "A B");
  sync_ping (client, mock);
  mock_expect_eof (mock);
  g_assert_finalize_object (client);
  test_dispatch_pending ();
  check_history (listener, "");
  unwatch (&watcher);
}

/* --- Inside a watcher --------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;  /* (owned) (nullable) */
  guint              new_size;
  gboolean           drops;
  guint              n_changes;
} Changer;

static void
change (GListModel *history,
        guint       position,
        guint       n_removed,
        guint       n_added,
        Changer    *changer)
{
  if (++changer->n_changes != 2)
    return;
  if (changer->drops)
    g_clear_object (&changer->listener);
  else
    aqmp_event_listener_set_history_size (changer->listener, changer->new_size);
}

static void
check_change (gboolean    blocking,
              gboolean    drops,
              guint       new_size,
              const char *expected)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  Changer changer = { event_listen (client, NULL), new_size, drops, 0 };
  g_autoptr (AqmpEventListener) other = event_listen (client, NULL);

  aqmp_event_listener_set_history_size (changer.listener, 4);
  g_signal_connect (aqmp_event_listener_get_history (changer.listener), "items-changed", G_CALLBACK (change), &changer);
  event_send_at_once (mock, "A B C D");
  if (blocking)
    sync_ping (client, mock);
  else
    test_ping (client, mock);
  test_dispatch_pending ();
  g_assert_cmpuint (changer.n_changes, >=, 2);
  if (changer.listener != NULL)
    {
      check_history (changer.listener, expected);
      event_forget (changer.listener);
    }
  event_check_taken (other, "A B C D ");
  event_close (client, mock);
}

static void
test_size_in_watcher (void)
{
  check_change (FALSE, FALSE, 1, "D ");
  check_change (FALSE, FALSE, 0, "");
  check_change (FALSE, FALSE, 10, "A B C D ");
  check_change (TRUE, FALSE, 1, "D ");
  check_change (TRUE, FALSE, 0, "");
  check_change (TRUE, FALSE, 10, "A B C D ");
}

static void
test_drop_in_watcher (void)
{
  check_change (FALSE, TRUE, 0, NULL);
  check_change (TRUE, TRUE, 0, NULL);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q16/history/none-by-default", test_none_by_default);
  g_test_add_func ("/client/Q16/history/content", test_content);
  g_test_add_func ("/client/Q16/history/trimming", test_trimming);
  g_test_add_func ("/client/Q16/history/asked-for-late", test_asked_for_late);
  g_test_add_func ("/client/Q16/history/set-size", test_set_size);
  g_test_add_func ("/client/Q16/history/watched", test_watched);
  g_test_add_func ("/client/T3/history/not-while-blocking", test_not_while_blocking);
  g_test_add_func ("/client/T3/history/not-while-blocking-trimmed", test_not_while_blocking_trimmed);
  g_test_add_func ("/client/T3/history/not-in-next-sync", test_not_in_next_sync);
  g_test_add_func ("/client/T3/history/unwatched", test_unwatched);
  g_test_add_func ("/client/T3/history/size-while-late", test_size_while_late);
  g_test_add_func ("/client/T3/history/late-is-bounded", test_late_is_bounded);
  g_test_add_func ("/client/T3/history/unwatched-while-late", test_unwatched_while_late);
  g_test_add_func ("/client/T3/history/dropped-while-late", test_dropped_while_late);
  g_test_add_func ("/client/T3/history/client-dropped-while-late", test_client_dropped_while_late);
  g_test_add_func ("/client/T4/history/size-in-watcher", test_size_in_watcher);
  g_test_add_func ("/client/T4/history/drop-in-watcher", test_drop_in_watcher);

  return g_test_run ();
}
