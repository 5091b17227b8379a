/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T2, Q16: listeners that other threads use, stop and drop at all times. */

#include "echo-peer.h"
#include "event-util.h"

#define N_THREADS 4

/* Enough for races to come, also where everything is slower. */
static guint
count_rounds (guint n_rounds)
{
  return test_is_instrumented () ? test_scale_down (n_rounds / 4) : n_rounds;
}

static void
close_peer (AqmpClient *client,
            EchoPeer   *peer)
{
  test_client_close (client);
  echo_peer_free (peer);
}

/* --- Dropped while events arrive ---------------------------------------------------------------------------------- */

typedef void (*ListenerFunc) (AqmpEventListener *listener);

typedef struct
{
  GThread      *thread;
  GAsyncQueue  *listeners;
  ListenerFunc  before;    /* (nullable) */
  gint          n_done;    /* atomic */
} Dropper;

static gpointer
drop_listeners (gpointer data)
{
  Dropper *dropper = data;
  gpointer listener;

  /* Itself means the end. */
  while ((listener = g_async_queue_pop (dropper->listeners)) != dropper)
    {
      if (dropper->before != NULL)
        dropper->before (listener);
      g_object_unref (listener);
      g_atomic_int_inc (&dropper->n_done);
      g_main_context_wakeup (NULL);
    }

  return NULL;
}

/* Freed once, and not used afterwards. */
typedef struct
{
  gint *n_freed;  /* atomic */
  guint n_asked;
} Asked;

static gboolean
filter_asked (AqmpEvent *event,
              gpointer   data)
{
  Asked *asked = data;

  return ++asked->n_asked % 2 == 0;
}

static void
free_asked (gpointer data)
{
  Asked *asked = data;

  g_atomic_int_inc (asked->n_freed);
  g_free (asked);
}

static void
drop_elsewhere (ListenerFunc before,
                guint        n_rounds)
{
  EchoPeer *peer;
  AqmpClient *client = echo_peer_open (&peer, ECHO_PEER_FLOODS);
  g_autoptr (AqmpEventListener) lasting = event_listen (client, NULL);
  Dropper dropper = { .listeners = g_async_queue_new (), .before = before };
  gint n_freed = 0;
  guint i;
  guint j;

  n_rounds = count_rounds (n_rounds);
  dropper.thread = g_thread_new ("drops", drop_listeners, &dropper);
  for (i = 0; i < n_rounds; i++)
    {
      Asked *asked = g_new0 (Asked, 1);
      AqmpEventListener *listener;

      asked->n_freed = &n_freed;
      listener = aqmp_client_listen (client, NULL, filter_asked, asked, free_asked);
      aqmp_event_listener_set_max_pending (listener, 2);
      if (i % 3 == 0)
        aqmp_event_listener_set_history_size (listener, 2);
      for (j = 0; j < i % 4; j++)
        g_main_context_iteration (NULL, FALSE);
      g_async_queue_push (dropper.listeners, listener);
      g_main_context_iteration (NULL, FALSE);
      /* Not so far ahead that the listeners pile up. */
      if (i % 16 == 0)
        test_wait_until (g_atomic_int_get (&dropper.n_done) == (int) i + 1);
    }
  g_async_queue_push (dropper.listeners, &dropper);
  test_wait_until (g_atomic_int_get (&dropper.n_done) == (int) n_rounds);
  g_thread_join (dropper.thread);
  g_async_queue_unref (dropper.listeners);

  g_assert_cmpint (g_atomic_int_get (&n_freed), ==, (int) n_rounds);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (lasting), >, 0);
  g_assert_true (aqmp_event_listener_get_active (lasting));
  close_peer (client, peer);
}

static void
test_drop (void)
{
  drop_elsewhere (NULL, 8000);
}

static void
test_stop_and_drop (void)
{
  drop_elsewhere (aqmp_event_listener_stop, 4000);
}

static void
test_clear_and_drop (void)
{
  drop_elsewhere (aqmp_event_listener_clear, 4000);
}

/* There may be none. */
static void
take_one (AqmpEventListener *listener)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) event = NULL;

  if (aqmp_event_listener_get_n_pending (listener) > 0)
    event = aqmp_event_listener_next_sync (listener, cancellable, &error);
  g_assert_no_error (error);
}

static void
test_take_and_drop (void)
{
  drop_elsewhere (take_one, 4000);
}

/* --- Everything at once ------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;
  gint               stops;  /* atomic */
} Meddler;

static gpointer
meddle (gpointer data)
{
  Meddler *meddler = data;
  guint i;

  for (i = 0; !g_atomic_int_get (&meddler->stops); i++)
    {
      aqmp_event_listener_set_max_pending (meddler->listener, 1 + i % 7);
      g_assert_cmpuint (aqmp_event_listener_get_n_pending (meddler->listener), <=, 7);
      aqmp_event_listener_get_n_dropped (meddler->listener);
      g_assert_true (aqmp_event_listener_get_active (meddler->listener));
      if (i % 5 == 0)
        aqmp_event_listener_clear (meddler->listener);
      g_usleep (10);
    }

  return NULL;
}

static void
test_meddle (void)
{
  EchoPeer *peer;
  AqmpClient *client = echo_peer_open (&peer, ECHO_PEER_FLOODS);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Meddler meddler = { listener, FALSE };
  GThread *threads[N_THREADS];
  guint i;

  aqmp_event_listener_set_max_pending (listener, 7);
  for (i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("meddles", meddle, &meddler);
  for (i = 0; i < count_rounds (4000); i++)
    g_main_context_iteration (NULL, TRUE);
  g_atomic_int_set (&meddler.stops, TRUE);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  close_peer (client, peer);
}

/* --- Several take from one ---------------------------------------------------------------------------------------- */

#define N_NOTES 2000

typedef struct
{
  AqmpClient        *client;
  AqmpEventListener *listener;
  GMutex             lock;
  guint8             taken[N_NOTES + 1];
  gint               n_taken;    /* atomic */
  gint               n_threads;  /* that are done; atomic */
} Takers;

static void
note_taken (Takers    *takers,
            AqmpEvent *event,
            gint64    *last)
{
  gint64 n = json_object_get_int_member (aqmp_event_get_data (event), "n");

  g_assert_cmpint (n, >, *last);
  *last = n;
  g_mutex_lock (&takers->lock);
  g_assert_cmpuint (takers->taken[n], ==, 0);
  takers->taken[n] = 1;
  g_mutex_unlock (&takers->lock);
  g_atomic_int_inc (&takers->n_taken);
  g_main_context_wakeup (NULL);
}

/* Again and again, so that it comes at all times. */
static gpointer
cancel_often (gpointer data)
{
  GAsyncQueue *queue = data;
  gpointer cancellable;

  while ((cancellable = g_async_queue_pop (queue)) != queue)
    {
      g_cancellable_cancel (cancellable);
      g_object_unref (cancellable);
    }
  return NULL;
}

static gpointer
take_often (gpointer data)
{
  Takers *takers = data;
  g_autoptr (GAsyncQueue) queue = g_async_queue_new ();
  GThread *thread = g_thread_new ("cancels", cancel_often, queue);
  gint64 last = 0;
  guint i;

  for (i = 0;; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      g_autoptr (AqmpEvent) event = NULL;

      if (i % 2 == 0)
        g_async_queue_push (queue, g_object_ref (cancellable));
      event = aqmp_event_listener_next_sync (takers->listener, cancellable, &error);
      if (event != NULL)
        note_taken (takers, event, &last);
      else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          /* It was stopped during the wait, or between two. */
          g_assert_true (g_error_matches (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED) ||
                         g_error_matches (error, AQMP_ERROR, AQMP_ERROR_STATE));
          break;
        }
    }
  g_async_queue_push (queue, queue);
  g_thread_join (thread);
  g_atomic_int_inc (&takers->n_threads);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* Each event goes to exactly one of them, whoever gives up waiting meanwhile, and nobody is given an older one later. */
static void
test_takers (void)
{
  EchoPeer *peer;
  Takers takers = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST) };
  guint n_notes = MIN (count_rounds (N_NOTES), N_NOTES);
  GThread *threads[N_THREADS];
  guint i;

  takers.listener = event_listen (takers.client, "NOTE");
  aqmp_event_listener_set_max_pending (takers.listener, N_NOTES);
  for (i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("takes", take_often, &takers);
  for (i = 0; i < n_notes; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *result = test_execute (takers.client, "event", NULL, &error);

      g_assert_no_error (error);
      g_assert_nonnull (result);
    }
  test_wait_until (g_atomic_int_get (&takers.n_taken) == (int) n_notes);
  aqmp_event_listener_stop (takers.listener);
  test_wait_until (g_atomic_int_get (&takers.n_threads) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  for (i = 1; i <= n_notes; i++)
    g_assert_cmpuint (takers.taken[i], ==, 1);
  g_assert_cmpuint (aqmp_event_listener_get_n_dropped (takers.listener), ==, 0);
  event_forget (takers.listener);
  close_peer (takers.client, peer);
}

/* --- Commands with events ----------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpClient *client;
  guint       n_rounds;
  gint        n_done;  /* atomic */
} Executor;

static gpointer
execute_and_wait (gpointer data)
{
  static const char * const names[] = { "NOTE", NULL };
  Executor *executor = data;
  guint i;

  for (i = 0; i < executor->n_rounds; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) reply = NULL;
      g_autoptr (AqmpEvent) event = aqmp_client_execute_and_wait_sync (executor->client, "event", NULL, names, NULL, NULL, 0, NULL,
                                                                       &reply, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (aqmp_event_get_name (event), ==, "NOTE");
      g_assert_nonnull (reply);
    }
  g_atomic_int_inc (&executor->n_done);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_execute_and_wait (void)
{
  EchoPeer *peer;
  Executor executor = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST), .n_rounds = count_rounds (400) };
  GThread *threads[N_THREADS];
  guint i;

  for (i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("executes", execute_and_wait, &executor);
  test_wait_until (g_atomic_int_get (&executor.n_done) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  close_peer (executor.client, peer);
}

/* --- The client goes ---------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;  /* (owned) */
  gint              *n_done;    /* atomic */
} User;

static gpointer
use_until_gone (gpointer data)
{
  User *user = data;
  while (aqmp_event_listener_get_active (user->listener))
    {
      if (aqmp_event_listener_get_n_pending (user->listener) > 0)
        {
          g_autoptr (AqmpEvent) event = aqmp_event_listener_next_sync (user->listener, NULL, NULL);

          g_assert_nonnull (event);
        }
      else
        g_usleep (10);
    }
  g_object_unref (user->listener);
  g_atomic_int_inc (user->n_done);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* While other threads look at its listeners. */
static void
test_client_goes (void)
{
  guint n_rounds = count_rounds (300);
  guint round;

  for (round = 0; round < n_rounds; round++)
    {
      EchoPeer *peer;
      AqmpClient *client = echo_peer_open (&peer, ECHO_PEER_FLOODS);
      GThread *threads[2];
      User users[2];
      gint n_done = 0;
      guint i;

      for (i = 0; i < G_N_ELEMENTS (threads); i++)
        {
          users[i] = (User) { event_listen (client, NULL), &n_done };
          aqmp_event_listener_set_max_pending (users[i].listener, 4);
          threads[i] = g_thread_new ("uses", use_until_gone, &users[i]);
        }
      for (i = 0; i < round % 8; i++)
        g_main_context_iteration (NULL, FALSE);
      g_object_unref (client);
      test_wait_until (g_atomic_int_get (&n_done) == 2);
      for (i = 0; i < G_N_ELEMENTS (threads); i++)
        g_thread_join (threads[i]);
      test_dispatch_pending ();
      echo_peer_free (peer);
    }
}

/* --- Sessions come and go ----------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;
  gint               stops;    /* atomic */
  gint               n_calls;  /* atomic */
} Asker;

static gpointer
ask_always (gpointer data)
{
  Asker *asker = data;

  while (!g_atomic_int_get (&asker->stops))
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AqmpEvent) event = aqmp_event_listener_next_sync (asker->listener, NULL, &error);

      if (event == NULL)
        g_assert_true (g_error_matches (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED) ||
                       g_error_matches (error, AQMP_ERROR, AQMP_ERROR_STATE));
      g_atomic_int_inc (&asker->n_calls);
      g_usleep (10);
    }

  return NULL;
}

static void
sync_check_event (AqmpClient *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = aqmp_client_execute_sync (client, "event", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
}

/* Somebody waits for events in all states, and is neither in the way of the owner nor forgotten. */
static void
check_sessions (gboolean blocking)
{
  AqmpClient *client = echo_peer_new_client (ECHO_PEER_OFFERS_OOB);
  Asker asker = { event_listen (client, NULL), FALSE, 0 };
  GThread *threads[2];
  guint n_rounds = count_rounds (400);
  guint i;

  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("asks", ask_always, &asker);

  for (i = 0; i < n_rounds; i++)
    {
      g_autoptr (GIOStream) stream = NULL;
      EchoPeer *peer = echo_peer_new (ECHO_PEER_OFFERS_OOB, &stream);
      g_autoptr (GError) error = NULL;
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autoptr (GAsyncResult) result = NULL;

      if (blocking)
        {
          aqmp_protocol_open_sync (AQMP_PROTOCOL (client), stream, NULL, &error);
          g_assert_no_error (error);
          sync_check_event (client);
          aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
          g_assert_no_error (error);
        }
      else
        {
          g_autofree char *reply = NULL;

          aqmp_protocol_open_async (AQMP_PROTOCOL (client), stream, NULL, test_slot_callback, &slot);
          result = test_await (&slot);
          aqmp_protocol_open_finish (AQMP_PROTOCOL (client), result, &error);
          g_assert_no_error (error);
          reply = test_execute (client, "event", NULL, &error);
          g_assert_no_error (error);
          test_disconnect (client, &error);
          g_assert_no_error (error);
        }
      g_clear_object (&stream);
      echo_peer_free (peer);
    }

  g_atomic_int_set (&asker.stops, TRUE);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (g_atomic_int_get (&asker.n_calls), >, 0);
  event_forget (asker.listener);
  test_dispatch_pending ();
  g_assert_finalize_object (client);
}

static void
test_sessions (void)
{
  check_sessions (FALSE);
}

static void
test_sessions_blocking (void)
{
  check_sessions (TRUE);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q16/threads/drop", test_drop);
  g_test_add_func ("/client/Q16/threads/stop-and-drop", test_stop_and_drop);
  g_test_add_func ("/client/Q16/threads/clear-and-drop", test_clear_and_drop);
  g_test_add_func ("/client/Q16/threads/take-and-drop", test_take_and_drop);
  g_test_add_func ("/client/Q16/threads/meddle", test_meddle);
  g_test_add_func ("/client/Q16/threads/several-take", test_takers);
  g_test_add_func ("/client/Q16/threads/execute-and-wait", test_execute_and_wait);
  g_test_add_func ("/client/Q16/threads/client-goes", test_client_goes);

  g_test_add_func ("/client/Q16/threads/sessions", test_sessions);
  g_test_add_func ("/client/Q16/threads/sessions-blocking", test_sessions_blocking);

  return g_test_run ();
}
