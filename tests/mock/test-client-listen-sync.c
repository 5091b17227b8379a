/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3, Q16: waiting for events without any main loop, and in other threads than the owner's. */

#include "event-util.h"

#include <string.h>

/* --- Without a loop ----------------------------------------------------------------------------------------------- */

/* Whether the event comes before the reply, with it or long after. */
static void
check_listen_execute_next (gboolean before,
                           gboolean after)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "STOP");
  SyncTrap trap;

  sync_trap_set (&trap);
  mock_expect (mock, "{'execute': 'stop'}");
  mock_event (mock, "RESET", NULL);
  if (before)
    mock_event (mock, "STOP", "{'n': 1}");
  mock_return (mock, "{}");
  if (after)
    mock_delay (mock, 20);
  if (!before)
    mock_event (mock, "STOP", NULL);
  sync_check (SYNC_EXECUTE, client, "stop", "{}");
  event_check_next_sync (listener, "STOP");
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
  sync_trap_check (&trap);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_event_before_reply (void)
{
  check_listen_execute_next (TRUE, FALSE);
}

static void
test_event_after_reply (void)
{
  check_listen_execute_next (FALSE, FALSE);
}

static void
test_event_long_after_reply (void)
{
  check_listen_execute_next (FALSE, TRUE);
}

static void
test_many_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  guint i;

  for (i = 0; i < 100; i++)
    {
      mock_expect (mock, "{'execute': 'stop'}");
      event_send_at_once (mock, "STOP SUSPEND");
      mock_return (mock, "{}");
      event_send_at_once (mock, "RESUME");
      sync_check (SYNC_EXECUTE, client, "stop", "{}");
      event_check_next_sync (listener, "STOP");
      event_check_next_sync (listener, "SUSPEND");
      event_check_next_sync (listener, "RESUME");
    }
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* It reads and writes itself: what was begun before is sent, too. */
static void
test_next_sync_writes (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;

  mock_expect (mock, "{'execute': 'begin'}");
  mock_return (mock, "5");
  mock_event (mock, "BEGUN", NULL);
  test_start (client, "begin", NULL, &slot);
  event_check_next_sync (listener, "BEGUN");
  g_assert_false (test_slot_is_done (&slot));
  result = test_finish (&slot, NULL);
  g_assert_cmpstr (result, ==, "5");
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* --- What is put off ---------------------------------------------------------------------------------------------- */

static void
note_next (GObject      *listener,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (AqmpEvent) event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, NULL);

  g_string_append_printf (data, "next-%s ", aqmp_event_get_name (event));
}

static void
note_reply (GObject      *client,
            GAsyncResult *result,
            gpointer      data)
{
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (client), result, NULL);

  g_string_append (data, node != NULL ? "reply " : "failed ");
}

/* Handlers of signals and callbacks of others are called by the loop, in order; and before what comes then. */
static void
test_deferred (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");
  g_autoptr (AqmpEventListener) other = event_listen (client, "B");
  g_autoptr (GString) text = g_string_new (NULL);
  SyncTrap trap;

  g_signal_connect (client, "event", G_CALLBACK (test_note_event), text);
  aqmp_event_listener_next_async (other, NULL, note_next, text);
  aqmp_client_execute_async (client, "begin", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, note_reply, text);
  mock_expect (mock, "{'execute': 'begin'}");
  mock_event (mock, "A", NULL);
  mock_event (mock, "B", NULL);
  mock_return (mock, "{}");
  mock_event (mock, "C", NULL);
  mock_event (mock, "WANTED", NULL);
  sync_trap_set (&trap);
  event_check_next_sync (listener, "WANTED");
  sync_trap_check (&trap);
  g_assert_cmpstr (text->str, ==, "");
  event_send_at_once (mock, "LAST");
  mock_block_done (mock);
  test_wait_until (g_str_has_suffix (text->str, "LAST "));
  g_assert_cmpstr (text->str, ==, "A next-B B reply C WANTED LAST ");
  mock_expect_eof (mock);
  g_signal_handlers_disconnect_by_data (client, text);
  sync_client_close (client);
}

static void
note_runstate (AqmpClient   *client,
               AqmpRunstate  runstate,
               GString      *text)
{
  g_string_append_printf (text, "→%d ", (int) runstate);
}

/* The end of the session as well: only the session's virtual functions are called. */
static void
test_end_is_deferred (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "runstate-changed", G_CALLBACK (note_runstate), text);
  aqmp_client_execute_async (client, "begin", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, note_reply, text);
  mock_expect (mock, "{'execute': 'begin'}");
  mock_close (mock);
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpstr (text->str, ==, "");
  test_dispatch_pending ();
  g_assert_cmpstr (text->str, ==, "→3 failed ");
  g_signal_handlers_disconnect_by_data (client, text);
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, NULL);
  sync_client_close (client);
}

static void
test_session_ends (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) failure = NULL;

  event_send_at_once (mock, "A B");
  mock_close (mock);
  event_check_next_sync (listener, "A");
  event_check_next_sync (listener, "B");
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &failure);
  g_assert_error (failure, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_clear_error (&error);
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "“idle”");
  sync_client_close (client);
}

/* --- Giving up ---------------------------------------------------------------------------------------------------- */

static void
test_cancel (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  SyncCanceller canceller = { .cancellable = cancellable };
  GThread *thread;

  /* Once it waits, as it has read something. */
  sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, "OTHER", sync_canceller_tell, &canceller);
  thread = sync_canceller_start (&canceller);
  mock_event (mock, "OTHER", NULL);
  g_assert_null (aqmp_event_listener_next_sync (listener, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);

  /* No event is lost by that. */
  mock_event (mock, "WANTED", NULL);
  event_check_next_sync (listener, "WANTED");
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
cancel_now (AqmpClient *client,
            gpointer    cancellable)
{
  g_cancellable_cancel (cancellable);
}

/* What comes in the same turn is not lost: he has it, or the listener. */
static void
test_cancel_races_event (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  guint n_events = 0;
  guint i;

  for (i = 0; i < 10; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      g_autoptr (AqmpEvent) event = NULL;

      sync_client_once (client, i % 2 == 0 ? SYNC_IN_FILTER_INBOUND : SYNC_IN_FRAME, i % 2 == 0 ? "WANTED" : NULL, cancel_now,
                        cancellable);
      mock_event (mock, "WANTED", NULL);
      event = aqmp_event_listener_next_sync (listener, cancellable, &error);
      if (event == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      n_events += event != NULL;
      sync_ping (client, mock);
      g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, event == NULL);
      aqmp_event_listener_clear (listener);
    }
  g_test_message ("%u of %u times there was an event", n_events, i);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
stop_now (AqmpClient *client,
          gpointer    listener)
{
  aqmp_event_listener_stop (listener);
}

static void
test_stopped_meanwhile (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");
  g_autoptr (GError) error = NULL;

  sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, "OTHER", stop_now, listener);
  mock_event (mock, "OTHER", NULL);
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "stopped");
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* --- Where it is refused ------------------------------------------------------------------------------------------ */

typedef struct
{
  AqmpEventListener *listener;
  GError            *error;     /* (owned) (nullable) */
  guint              n_tried;
} Try;

static void
try_next_sync (AqmpClient *client,
               gpointer    data)
{
  Try *try = data;

  if (try->n_tried++ > 0)
    return;
  g_assert_null (aqmp_event_listener_next_sync (try->listener, NULL, &try->error));
}

static gboolean
try_in_filter (AqmpEvent *event,
               gpointer   data)
{
  try_next_sync (NULL, data);
  return TRUE;
}

static void
check_refused (Try *try)
{
  g_assert_cmpuint (try->n_tried, >, 0);
  test_assert_error (try->error, AQMP_ERROR, AQMP_ERROR_STATE, "use the asynchronous form");
  g_clear_error (&try->error);
  try->n_tried = 0;
}

static void
script_event_ping (MockServer *mock)
{
  mock_event (mock, "POKE", NULL);
  mock_event (mock, "WANTED", NULL);
}

/* With the loop, in a blocking call, and in the wait for an event. Even if there is an event to be had. */
static void
test_in_filter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) first = event_listen (client, NULL);
  Try try = { first };
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, try_in_filter, &try, NULL);

  script_event_ping (mock);
  test_ping (client, mock);
  check_refused (&try);
  script_event_ping (mock);
  sync_ping (client, mock);
  check_refused (&try);
  event_check_taken (first, "POKE WANTED POKE WANTED ");
  event_check_taken (listener, "POKE WANTED POKE WANTED ");
  script_event_ping (mock);
  event_check_next_sync (first, "POKE");
  sync_ping (client, mock);
  check_refused (&try);
  event_close (client, mock);
}

/* What came during the handshake is told outside of all virtual functions: a filter must not block there, either. */
static void
test_in_filter_early (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) first = event_listen (client, NULL);
  Try try = { first };
  g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, NULL, try_in_filter, &try, NULL);
  g_autoptr (GError) error = NULL;

  script_event_ping (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  check_refused (&try);
  event_check_taken (first, "POKE WANTED ");
  event_check_taken (listener, "POKE WANTED ");
  event_close (client, mock);
}

static void
test_in_vfunc (gconstpointer data)
{
  SyncVfunc vfunc = GPOINTER_TO_UINT (data);
  const char *trigger = vfunc == SYNC_IN_FRAME || vfunc == SYNC_IN_FILTER_OUTBOUND ? NULL : "POKE";
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");
  Try try = { listener };
  guint i;

  for (i = 0; i < 2; i++)
    {
      sync_client_once (client, vfunc, trigger, try_next_sync, &try);
      script_event_ping (mock);
      if (i == 0)
        test_ping (client, mock);
      else
        sync_ping (client, mock);
      check_refused (&try);
    }
  event_check_taken (listener, "WANTED WANTED ");
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* --- Where it works ----------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;
  GString           *text;
} Reader;

static void
block_in_handler (AqmpClient *client,
                  AqmpEvent  *event,
                  Reader     *reader)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) next = aqmp_event_listener_next_sync (reader->listener, NULL, &error);

  g_assert_no_error (error);
  g_string_append_printf (reader->text, "%s→%s ", aqmp_event_get_name (event), aqmp_event_get_name (next));
}

static void
test_in_handler (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "WANTED");
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { listener, text };
  guint gate;

  g_signal_connect (client, "event::POKE", G_CALLBACK (block_in_handler), &reader);
  event_send_at_once (mock, "POKE OTHER WANTED POKE");
  gate = mock_mark (mock);
  mock_delay (mock, 10);
  event_send_at_once (mock, "WANTED");
  mock_wait_reached (mock, gate);
  test_wait_until (text->len >= strlen ("POKE→WANTED POKE→WANTED "));
  g_assert_cmpstr (text->str, ==, "POKE→WANTED POKE→WANTED ");
  test_ping (client, mock);
  event_close (client, mock);
}

static void
block_in_callback (GObject      *object,
                   GAsyncResult *result,
                   gpointer      data)
{
  Reader *reader = data;
  g_autoptr (AqmpEvent) event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (object), result, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) next = aqmp_event_listener_next_sync (reader->listener, NULL, &error);

  g_assert_no_error (error);
  g_string_append_printf (reader->text, "%s→%s ", aqmp_event_get_name (event), aqmp_event_get_name (next));
}

/* The callback of a wait is not part of the virtual function that has led to it. */
static void
test_in_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { listener, text };

  aqmp_event_listener_next_async (listener, NULL, block_in_callback, &reader);
  mock_event (mock, "A", NULL);
  mock_delay (mock, 10);
  mock_event (mock, "B", NULL);
  test_wait_until (text->len > 0);
  g_assert_cmpstr (text->str, ==, "A→B ");
  test_ping (client, mock);
  event_close (client, mock);
}

static void
block_in_watcher (GListModel *history,
                  guint       position,
                  guint       n_removed,
                  guint       n_added,
                  Reader     *reader)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) next = aqmp_event_listener_next_sync (reader->listener, NULL, &error);

  g_assert_no_error (error);
  g_string_append_printf (reader->text, "%s ", aqmp_event_get_name (next));
}

static void
test_in_watcher (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "A");
  g_autoptr (AqmpEventListener) other = event_listen (client, "B");
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { other, text };

  aqmp_event_listener_set_history_size (listener, 10);
  g_signal_connect (aqmp_event_listener_get_history (listener), "items-changed", G_CALLBACK (block_in_watcher), &reader);
  mock_event (mock, "A", NULL);
  mock_event (mock, "B", NULL);
  test_wait_until (text->len > 0);
  g_assert_cmpstr (text->str, ==, "B ");
  test_ping (client, mock);
  event_close (client, mock);
}

/* --- Other threads ------------------------------------------------------------------------------------------------ */

typedef struct
{
  AqmpEventListener *listener;
  GCancellable      *cancellable;  /* (nullable) */
  GString           *names;
  GError            *error;        /* (owned) (nullable) */
  gint               n_taken;      /* atomic */
  gint               done;         /* atomic */
} Taker;

/* As many as there are. */
static gpointer
take_all (gpointer data)
{
  Taker *taker = data;
  AqmpEvent *event;

  while ((event = aqmp_event_listener_next_sync (taker->listener, taker->cancellable, &taker->error)) != NULL)
    {
      g_string_append_printf (taker->names, "%s ", aqmp_event_get_name (event));
      g_object_unref (event);
      g_atomic_int_inc (&taker->n_taken);
      g_main_context_wakeup (NULL);
    }
  g_atomic_int_set (&taker->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
check_other_thread (gboolean cancelling)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Taker taker = { listener, cancellable, g_string_new (NULL) };
  GThread *thread;

  event_send_at_once (mock, "A B");
  test_ping (client, mock);
  thread = g_thread_new ("takes", take_all, &taker);
  test_wait_until (g_atomic_int_get (&taker.n_taken) == 2);
  event_send_at_once (mock, "C");
  test_wait_until (g_atomic_int_get (&taker.n_taken) == 3);
  event_send_at_once (mock, "D E");
  test_ping (client, mock);
  test_wait_until (g_atomic_int_get (&taker.n_taken) == 5);

  if (cancelling)
    g_cancellable_cancel (cancellable);
  else
    {
      mock_expect_eof (mock);
      test_disconnect (client, &error);
      g_assert_no_error (error);
    }
  test_wait_until (g_atomic_int_get (&taker.done));
  g_thread_join (thread);
  g_assert_cmpstr (taker.names->str, ==, "A B C D E ");
  if (cancelling)
    g_assert_error (taker.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  else
    /* It may have come too late to wait. */
    g_assert_true (g_error_matches (taker.error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED) ||
                   g_error_matches (taker.error, AQMP_ERROR, AQMP_ERROR_STATE));
  g_clear_error (&taker.error);
  g_string_free (taker.names, TRUE);
  if (cancelling)
    mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_other_thread (void)
{
  check_other_thread (FALSE);
}

static void
test_other_thread_cancels (void)
{
  check_other_thread (TRUE);
}

/* The owner has no loop, but blocking calls: these serve whoever waits elsewhere. */
static void
test_other_thread_while_blocking (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Taker taker = { listener, NULL, g_string_new (NULL) };
  GThread *thread = g_thread_new ("takes", take_all, &taker);
  gint64 end = g_get_monotonic_time () + test_bound_us ();

  event_send_at_once (mock, "A B");
  sync_ping (client, mock);
  event_send_at_once (mock, "C");
  sync_ping (client, mock);
  /* It has to come there, too. */
  while (g_atomic_int_get (&taker.n_taken) < 3)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      sync_ping (client, mock);
    }
  aqmp_event_listener_stop (listener);
  g_thread_join (thread);
  g_assert_cmpstr (taker.names->str, ==, "A B C ");
  g_clear_error (&taker.error);
  g_string_free (taker.names, TRUE);
  mock_expect_eof (mock);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  SyncVfunc vfunc;

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/T3/next/event-before-reply", test_event_before_reply);
  g_test_add_func ("/client/T3/next/event-after-reply", test_event_after_reply);
  g_test_add_func ("/client/T3/next/event-long-after-reply", test_event_long_after_reply);
  g_test_add_func ("/client/T3/next/many", test_many_sync);
  g_test_add_func ("/client/T3/next/writes", test_next_sync_writes);
  g_test_add_func ("/client/T3/next/deferred", test_deferred);
  g_test_add_func ("/client/T3/next/end-is-deferred", test_end_is_deferred);
  g_test_add_func ("/client/T3/next/session-ends", test_session_ends);
  g_test_add_func ("/client/T3/next/cancel", test_cancel);
  g_test_add_func ("/client/T3/next/cancel-races-event", test_cancel_races_event);
  g_test_add_func ("/client/T3/next/stopped-meanwhile", test_stopped_meanwhile);
  g_test_add_func ("/client/T3/next/refused/filter-of-listener", test_in_filter);
  g_test_add_func ("/client/T3/next/refused/filter-of-listener-early", test_in_filter_early);
  for (vfunc = SYNC_IN_MESSAGE_RECEIVED; vfunc <= SYNC_IN_FRAME; vfunc++)
    {
      g_autofree char *path = g_strconcat ("/client/T3/next/refused/", sync_vfunc_names[vfunc], NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (vfunc), test_in_vfunc);
    }
  g_test_add_func ("/client/T3/next/in-event-handler", test_in_handler);
  g_test_add_func ("/client/T3/next/in-callback", test_in_callback);
  g_test_add_func ("/client/T3/next/in-watcher-of-history", test_in_watcher);
  g_test_add_func ("/client/T3/next/other-thread", test_other_thread);
  g_test_add_func ("/client/T3/next/other-thread-cancels", test_other_thread_cancels);
  g_test_add_func ("/client/T3/next/other-thread-while-blocking", test_other_thread_while_blocking);

  return g_test_run ();
}
