/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Blocking calls from many threads, among all else that threads may do with a client: T2, T3, T5. */

#include "client-util.h"
#include "echo-peer.h"

#include <string.h>

#define N_THREADS 8
#define MOST_WORKERS 16

/* --- Workers ------------------------------------------------------------------------------------------------------ */

typedef struct _Worker Worker;

typedef void (*WorkerFunc) (Worker *worker);

struct _Worker
{
  AqmpClient   *client;       /* (unowned) */
  EchoPeer     *peer;         /* (unowned) */
  WorkerFunc    func;
  guint         number;
  guint         n_calls;
  GThread      *thread;
  gint          finished;     /* atomic */
  gint          stop;         /* atomic: for those that go on until they are told */

  /* For one that is to be cancelled by another. */
  GMutex        lock;
  GCancellable *cancellable;  /* (owned) (nullable), under the lock */
  Worker       *victim;       /* (unowned) (nullable): whom this one cancels */

  GError       *error;        /* (owned) (nullable): how it has ended */
};

/* Many together, and an owner's thread that runs its context meanwhile. */
typedef struct
{
  AqmpClient *client;
  EchoPeer   *peer;
  guint       n_calls;
  guint       n_workers;
  Worker      workers[MOST_WORKERS];
} Team;

static gpointer
run_worker (gpointer data)
{
  Worker *worker = data;

  worker->func (worker);
  g_atomic_int_set (&worker->finished, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static Worker *
team_add (Team       *team,
          WorkerFunc  func)
{
  Worker *worker = &team->workers[team->n_workers];

  g_assert_cmpuint (team->n_workers, <, MOST_WORKERS);
  *worker = (Worker) {
    .client = team->client,
    .peer = team->peer,
    .func = func,
    .number = team->n_workers++,
    .n_calls = team->n_calls,
  };
  g_mutex_init (&worker->lock);
  return worker;
}

static void
team_start (Team *team)
{
  guint i;

  for (i = 0; i < team->n_workers; i++)
    team->workers[i].thread = g_thread_new ("worker", run_worker, &team->workers[i]);
}

static gboolean
team_has_finished (Team *team)
{
  guint i;

  for (i = 0; i < team->n_workers; i++)
    if (!g_atomic_int_get (&team->workers[i].finished) && team->workers[i].victim == NULL)
      return FALSE;
  return TRUE;
}

/* Those who cancel go on until the others are done. */
static void
team_join (Team *team)
{
  guint i;

  for (i = 0; i < team->n_workers; i++)
    g_atomic_int_set (&team->workers[i].stop, TRUE);
  for (i = 0; i < team->n_workers; i++)
    g_thread_join (team->workers[i].thread);
  for (i = 0; i < team->n_workers; i++)
    g_mutex_clear (&team->workers[i].lock);
}

/* Runs the main context, for a minute at most. */
static void
team_wait (Team *team)
{
  TestWait wait;

  test_wait_begin (&wait, 6 * test_bound_us ());
  while (!team_has_finished (team))
    test_wait_iterate (&wait, __FILE__, __LINE__, G_STRFUNC, "the threads");
  test_wait_end (&wait);
  team_join (team);
}

static void
team_clear_errors (Team *team)
{
  guint i;

  for (i = 0; i < team->n_workers; i++)
    g_clear_error (&team->workers[i].error);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

static JsonObject *
arguments_new (guint n)
{
  JsonObject *arguments = json_object_new ();

  json_object_set_int_member (arguments, "n", n);
  return arguments;
}

static gboolean
check_tree (JsonNode   *reply,
            const char *name,
            guint       n)
{
  g_autofree char *text = NULL;

  if (reply == NULL)
    return FALSE;

  text = json_to_string (reply, FALSE);
  g_assert_true (echo_peer_is_answer (text, name, n));
  return TRUE;
}

static gboolean
check_raw (GBytes     *reply,
           const char *name,
           guint       n)
{
  g_autofree char *text = NULL;

  if (reply == NULL)
    return FALSE;

  text = g_strndup (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
  g_assert_true (echo_peer_is_answer (text, name, n));
  return TRUE;
}

/* A blocking call, of the three forms in turn. The reply has to be the one to it, which the number in it shows.
   @timeout_ms: -1 for whichever form */
static gboolean
call (AqmpClient    *client,
      const char    *name,
      guint          n,
      int            timeout_ms,
      GCancellable  *cancellable,
      GError       **error)
{
  g_autoptr (JsonObject) arguments = arguments_new (n);
  g_autoptr (JsonNode) reply = NULL;

  if (timeout_ms < 0 && n % 2 == 0)
    {
      g_autofree char *command = echo_peer_command (name, n);
      g_autoptr (GBytes) raw_reply = aqmp_client_execute_raw_sync (client, command, NULL, cancellable, error);

      return check_raw (raw_reply, name, n);
    }

  if (timeout_ms < 0 && n % 3 == 0)
    reply = aqmp_client_execute_sync (client, name, arguments, AQMP_EXECUTE_FLAGS_NONE, cancellable, error);
  else
    reply = aqmp_client_execute_full_sync (client, name, arguments, NULL, AQMP_EXECUTE_FLAGS_NONE, timeout_ms, cancellable,
                                           error);
  return check_tree (reply, name, n);
}

/* The same, asynchronously, waiting in the thread-default context. */
static gboolean
call_async (AqmpClient    *client,
            const char    *name,
            guint          n,
            GCancellable  *cancellable,
            GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (JsonObject) arguments = arguments_new (n);
  g_autofree char *command = echo_peer_command (name, n);
  g_autofree char *reply = NULL;

  if (n % 2 == 0)
    test_start_raw (client, command, cancellable, &slot);
  else
    aqmp_client_execute_async (client, name, arguments, AQMP_EXECUTE_FLAGS_NONE, cancellable, test_slot_callback, &slot);

  reply = test_finish (&slot, error);
  if (reply != NULL)
    g_assert_true (echo_peer_is_answer (reply, name, n));
  return reply != NULL;
}

static guint
get_number (Worker *worker,
            guint   i)
{
  return worker->number * 1000000 + i;
}

static void
do_calls (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls; i++)
    {
      g_autoptr (GError) error = NULL;

      call (worker->client, "t", get_number (worker, i), -1, NULL, &error);
      g_assert_no_error (error);
    }
}

static void
do_async_calls (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < worker->n_calls; i++)
    {
      g_autoptr (GError) error = NULL;

      call_async (worker->client, "t", get_number (worker, i), NULL, &error);
      g_assert_no_error (error);
    }
  g_main_context_pop_thread_default (context);
}

/* What the peer does not answer ends in time, and what it does may. */
static void
do_hurried_calls (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls / 10; i++)
    {
      const char *name = i % 8 == 0 ? "silent" : "t";
      g_autoptr (GError) error = NULL;

      if (!call (worker->client, name, get_number (worker, i), 1, NULL, &error))
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_assert_true (error != NULL || i % 8 != 0);
    }
}

static void
set_cancellable (Worker       *worker,
                 GCancellable *cancellable)
{
  g_mutex_lock (&worker->lock);
  g_set_object (&worker->cancellable, cancellable);
  g_mutex_unlock (&worker->lock);
}

/* Another thread cancels, at all times. */
static void
do_cancelled_calls (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < worker->n_calls; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      const char *name = i % 4 == 0 ? "silent" : "t";
      g_autoptr (GError) error = NULL;
      gboolean answered;

      set_cancellable (worker, cancellable);
      if (i % 3 == 0)
        answered = call_async (worker->client, name, get_number (worker, i), cancellable, &error);
      else
        answered = call (worker->client, name, get_number (worker, i), -1, cancellable, &error);
      set_cancellable (worker, NULL);

      if (!answered)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_assert_true (!answered || i % 4 != 0);
    }
  g_main_context_pop_thread_default (context);
}

static void
cancel_another (Worker *worker)
{
  while (!g_atomic_int_get (&worker->stop))
    {
      g_autoptr (GCancellable) cancellable = NULL;

      g_mutex_lock (&worker->victim->lock);
      g_set_object (&cancellable, worker->victim->cancellable);
      g_mutex_unlock (&worker->victim->lock);

      g_cancellable_cancel (cancellable);
      g_thread_yield ();
    }
}

/* --- T2: every reply to its caller -------------------------------------------------------------------------------- */

static void
call_from_threads (EchoPeerKind kind)
{
  EchoPeer *peer;
  Team team = { .client = echo_peer_open (&peer, kind), .n_calls = test_scale_down (10000) };
  gint64 start;
  guint i;

  for (i = 0; i < N_THREADS; i++)
    team_add (&team, do_calls);
  start = g_get_monotonic_time ();
  team_start (&team);
  team_wait (&team);
  g_test_message ("%u threads × %u calls: %.3f s", N_THREADS, team.n_calls,
                  (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC);

  test_client_close (team.client);
  echo_peer_free (peer);
}

static void
test_calls_from_threads (void)
{
  call_from_threads (ECHO_PEER_SILENT_AT_FIRST);
}

/* With eight threads as many as may be under way; so these are more. */
static void
test_held_calls_from_threads (void)
{
  EchoPeer *peer;
  Team team = { .client = echo_peer_open (&peer, ECHO_PEER_OFFERS_OOB), .n_calls = test_scale_down (2000) };
  guint i;

  g_assert_true (aqmp_client_get_oob_enabled (team.client));
  for (i = 0; i < MOST_WORKERS; i++)
    team_add (&team, i % 4 == 0 ? do_async_calls : do_calls);
  team_start (&team);
  team_wait (&team);

  test_client_close (team.client);
  echo_peer_free (peer);
}

/* --- T2: everything at once --------------------------------------------------------------------------------------- */

typedef struct
{
  GThread *thread;    /* where they have to come */
  guint    n_events;
} Events;

/* In order, and none is lost. */
static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Events     *events)
{
  JsonObject *data = aqmp_event_get_data (event);

  g_assert_true (g_thread_self () == events->thread);
  g_assert_cmpint (json_object_get_int_member (data, "n"), ==, ++events->n_events);
}

static void
do_calls_with_events (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls; i++)
    {
      g_autoptr (GError) error = NULL;

      call (worker->client, i % 5 == 0 ? "event" : "t", get_number (worker, i), -1, NULL, &error);
      g_assert_no_error (error);
    }
}

static void
ask_for_state (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls; i++)
    {
      g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (worker->client)), ==, AQMP_RUNSTATE_RUNNING);
      g_assert_true (aqmp_protocol_require_runstate (AQMP_PROTOCOL (worker->client), AQMP_RUNSTATE_RUNNING, NULL));
      g_assert_cmpuint (aqmp_client_get_call_timeout (worker->client), ==, 0);
      if (i % 100 == 0)
        g_thread_yield ();
    }
}

/* The owner makes a blocking call too, as often as it gets to it. */
typedef struct
{
  AqmpClient *client;
  guint       n_calls;
} OwnCalls;

static gboolean
call_from_dispatch (gpointer user_data)
{
  OwnCalls *own = user_data;
  guint n = own->n_calls++;
  g_autoptr (GError) error = NULL;

  call (own->client, n % 3 == 0 ? "event" : "t", n, -1, NULL, &error);
  g_assert_no_error (error);
  return G_SOURCE_CONTINUE;
}

static void
add_all_kinds (Team *team)
{
  guint i;

  for (i = 0; i < 2; i++)
    {
      Worker *victim = team_add (team, do_cancelled_calls);

      team_add (team, cancel_another)->victim = victim;
      team_add (team, do_calls_with_events);
      team_add (team, do_async_calls);
    }
  team_add (team, do_hurried_calls);
  team_add (team, ask_for_state);
}

static void
do_everything (gboolean owner_calls)
{
  EchoPeer *peer;
  Team team = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST), .n_calls = test_scale_down (2000) };
  Events events = { g_thread_self (), 0 };
  OwnCalls own = { team.client, 0 };
  g_autoptr (GSource) source = g_timeout_source_new (1);

  g_signal_connect (team.client, "event::NOTE", G_CALLBACK (on_event), &events);
  add_all_kinds (&team);
  team_start (&team);
  if (owner_calls)
    {
      g_source_set_callback (source, call_from_dispatch, &own, NULL);
      g_source_attach (source, NULL);
    }
  team_wait (&team);
  g_source_destroy (source);

  test_wait_until (events.n_events == echo_peer_get_n_events (peer));
  g_assert_cmpuint (events.n_events, >, 0);
  g_signal_handlers_disconnect_by_data (team.client, &events);
  test_client_close (team.client);
  echo_peer_free (peer);
}

static void
test_everything_at_once (void)
{
  do_everything (FALSE);
}

static void
test_everything_and_owner_blocks (void)
{
  do_everything (TRUE);
}

/* --- T3: the owner blocks while others call ----------------------------------------------------------------------- */

/* No context is run at all: the owner serves the others only while it makes calls itself. */
static void
test_owner_serves_others (void)
{
  EchoPeer *peer;
  Team team = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST), .n_calls = test_scale_down (1000) };
  gint64 deadline = g_get_monotonic_time () + 6 * test_bound_us ();
  guint n = 0;
  guint i;

  for (i = 0; i < N_THREADS / 2; i++)
    team_add (&team, i % 2 == 0 ? do_calls : do_async_calls);
  team_start (&team);
  while (!team_has_finished (&team))
    {
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      call (team.client, "t", n++, -1, NULL, &error);
      g_assert_no_error (error);
    }
  team_join (&team);

  test_client_close (team.client);
  echo_peer_free (peer);
}

/* The owner's call is only answered when that of another thread has come, which so has to wake the owner up. */
static void
open_gates (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls; i++)
    {
      g_autoptr (GError) error = NULL;

      while (echo_peer_get_n_silent (worker->peer) <= i)
        g_thread_yield ();
      call (worker->client, "open", get_number (worker, i), -1, NULL, &error);
      g_assert_no_error (error);
    }
}

static void
test_blocking_owner_is_woken_up (void)
{
  EchoPeer *peer;
  AqmpClient *client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST);
  Team team = { .client = client, .peer = peer, .n_calls = test_scale_down (5000) };
  guint i;

  team_add (&team, open_gates);
  team_start (&team);
  for (i = 0; i < team.n_calls; i++)
    {
      g_autoptr (GError) error = NULL;

      call (client, "gate", i, (int) (test_bound_us () / 1000), NULL, &error);
      g_assert_no_error (error);
    }
  team_wait (&team);

  test_client_close (client);
  echo_peer_free (peer);
}

/* Nobody runs the owner's context: a time-out and a cancellation end the wait all the same. */
static void
give_up_without_owner (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;

      if (i % 2 == 0)
        {
          g_assert_false (call (worker->client, "t", get_number (worker, i), 1, NULL, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
        }
      else
        {
          set_cancellable (worker, cancellable);
          g_assert_false (call (worker->client, "t", get_number (worker, i), -1, cancellable, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          set_cancellable (worker, NULL);
        }
    }
}

static void
test_give_up_without_owner (void)
{
  EchoPeer *peer;
  Team team = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST), .n_calls = 50 };
  Worker *caller = team_add (&team, give_up_without_owner);
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  g_autoptr (GError) error = NULL;

  team_add (&team, cancel_another)->victim = caller;
  team_start (&team);
  while (!team_has_finished (&team))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_thread_yield ();
    }
  team_join (&team);

  /* What was taken back was never sent. */
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (team.client)), ==, 0);
  call (team.client, "t", 1, -1, NULL, &error);
  g_assert_no_error (error);
  test_client_close (team.client);
  echo_peer_free (peer);
}

/* --- T2: an end from elsewhere ------------------------------------------------------------------------------------ */

static void
call_silent (Worker *worker)
{
  call (worker->client, "silent", get_number (worker, 0), -1, NULL, &worker->error);
}

static void
call_silent_async (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  call_async (worker->client, "silent", get_number (worker, 0), NULL, &worker->error);
  g_main_context_pop_thread_default (context);
}

/* Until something goes wrong. */
static void
call_until_error (Worker *worker)
{
  guint i;

  for (i = 0; worker->error == NULL; i++)
    call (worker->client, "t", get_number (worker, i), -1, NULL, &worker->error);
}

static void
call_until_error_async (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; worker->error == NULL; i++)
    call_async (worker->client, "t", get_number (worker, i), NULL, &worker->error);
  g_main_context_pop_thread_default (context);
}

static void
disconnect_elsewhere (Worker *worker)
{
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (worker->client), NULL, &worker->error);
}

static void
fail_elsewhere (Worker *worker)
{
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "enough of it");

  aqmp_protocol_fail (AQMP_PROTOCOL (worker->client), error);
}

/* @end: runs in a thread of its own; what the others end with is in @team */
static void
end_in_the_middle (Team       *callers,
                   WorkerFunc  end,
                   GError    **error)
{
  Team enders = { .client = callers->client };

  team_add (&enders, end);
  team_start (&enders);
  team_wait (&enders);
  team_wait (callers);
  if (enders.workers[0].error != NULL)
    g_propagate_error (error, enders.workers[0].error);
}

/* All wait for what never comes: each of them is told. */
static void
end_silence (WorkerFunc  end,
             const char *message)
{
  guint n_rounds = test_scale_down (200);
  guint i;
  guint j;

  for (i = 0; i < n_rounds; i++)
    {
      EchoPeer *peer;
      Team callers = { .client = echo_peer_open (&peer, i % 2 == 0 ? ECHO_PEER_SILENT_AT_FIRST : ECHO_PEER_OFFERS_OOB) };
      g_autoptr (GError) error = NULL;

      for (j = 0; j < 6; j++)
        team_add (&callers, j % 3 == 0 ? call_silent_async : call_silent);
      team_start (&callers);
      test_wait_until (echo_peer_get_n_silent (peer) == callers.n_workers);
      end_in_the_middle (&callers, end, &error);
      g_assert_no_error (error);

      for (j = 0; j < callers.n_workers; j++)
        {
          g_assert_error (callers.workers[j].error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
          g_assert_true (message == NULL || strstr (callers.workers[j].error->message, message) != NULL);
        }
      team_clear_errors (&callers);

      /* The failure is left for this to report. */
      g_assert_cmpint (test_disconnect (callers.client, NULL), ==, message == NULL);
      test_client_close (callers.client);
      echo_peer_free (peer);
    }
}

/* Calls come and go all the time; so it may also be that there is no session any more when one begins. */
static void
end_traffic (WorkerFunc end)
{
  guint n_rounds = test_scale_down (200);
  guint i;
  guint j;

  for (i = 0; i < n_rounds; i++)
    {
      EchoPeer *peer;
      Team callers = { .client = echo_peer_open (&peer, i % 2 == 0 ? ECHO_PEER_SILENT_AT_FIRST : ECHO_PEER_OFFERS_OOB) };

      for (j = 0; j < 6; j++)
        team_add (&callers, j % 3 == 0 ? call_until_error_async : call_until_error);
      team_start (&callers);
      for (j = 0; j < i % 50; j++)
        g_main_context_iteration (NULL, FALSE);
      end_in_the_middle (&callers, end, NULL);

      for (j = 0; j < callers.n_workers; j++)
        if (!g_error_matches (callers.workers[j].error, AQMP_ERROR, AQMP_ERROR_STATE))
          g_assert_error (callers.workers[j].error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      team_clear_errors (&callers);

      test_disconnect (callers.client, NULL);
      test_client_close (callers.client);
      echo_peer_free (peer);
    }
}

static void
test_disconnect_in_silence (void)
{
  end_silence (disconnect_elsewhere, NULL);
}

static void
test_disconnect_in_traffic (void)
{
  end_traffic (disconnect_elsewhere);
}

static void
test_fail_in_silence (void)
{
  end_silence (fail_elsewhere, "enough of it");
}

static void
test_fail_in_traffic (void)
{
  end_traffic (fail_elsewhere);
}

/* Some find a session that runs, some one that is ending, and some none. */
static void
test_disconnect_by_all (void)
{
  guint n_rounds = test_scale_down (300);
  guint i;
  guint j;

  for (i = 0; i < n_rounds; i++)
    {
      EchoPeer *peer;
      Team team = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST) };

      for (j = 0; j < N_THREADS; j++)
        team_add (&team, disconnect_elsewhere);
      team_start (&team);
      team_wait (&team);
      for (j = 0; j < N_THREADS; j++)
        g_assert_no_error (team.workers[j].error);

      test_client_close (team.client);
      echo_peer_free (peer);
    }
}

/* The owner leaves with a blocking call, too. */
static void
test_owner_disconnects (void)
{
  guint n_rounds = test_scale_down (200);
  guint i;
  guint j;

  for (i = 0; i < n_rounds; i++)
    {
      EchoPeer *peer;
      Team callers = { .client = echo_peer_open (&peer, ECHO_PEER_SILENT_AT_FIRST) };
      g_autoptr (GError) error = NULL;

      for (j = 0; j < 4; j++)
        team_add (&callers, j % 2 == 0 ? call_until_error_async : call_until_error);
      team_start (&callers);
      for (j = 0; j < i % 50; j++)
        {
          if (i % 3 == 0)
            call (callers.client, "t", j, -1, NULL, &error);
          else
            g_main_context_iteration (NULL, FALSE);
          g_assert_no_error (error);
        }
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (callers.client), NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (callers.client)), ==, AQMP_RUNSTATE_IDLE);
      team_wait (&callers);
      for (j = 0; j < callers.n_workers; j++)
        if (!g_error_matches (callers.workers[j].error, AQMP_ERROR, AQMP_ERROR_STATE))
          g_assert_error (callers.workers[j].error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      team_clear_errors (&callers);

      test_client_close (callers.client);
      echo_peer_free (peer);
    }
}

/* --- T3: a session that a thread begins whose default context another thread runs ---------------------------------- */

static void
count_event (AqmpClient *client,
             AqmpEvent  *event,
             gint       *n_events)
{
  g_atomic_int_inc (n_events);
}

/* Events may come as soon as the session runs, while the call that has begun it is still about to return. */
static void
own_session_elsewhere (Worker *worker)
{
  guint i;

  for (i = 0; i < worker->n_calls; i++)
    {
      EchoPeerKind kind = i % 2 == 0 ? ECHO_PEER_STARTS_WITH_EVENTS : ECHO_PEER_OFFERS_OOB;
      EchoPeer *peer;
      AqmpClient *client = echo_peer_new_client (kind);
      g_autoptr (GIOStream) stream = NULL;
      g_autoptr (GError) error = NULL;
      gint n_events = 0;
      guint j;

      g_signal_connect (client, "event", G_CALLBACK (count_event), &n_events);
      peer = echo_peer_new (kind, &stream);
      aqmp_protocol_open_sync (AQMP_PROTOCOL (client), stream, NULL, &error);
      g_assert_no_error (error);
      g_clear_object (&stream);
      for (j = 0; j < i % 10; j++)
        {
          call (client, "event", j, -1, NULL, &error);
          g_assert_no_error (error);
        }
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
      g_assert_no_error (error);
      g_object_unref (client);
      echo_peer_free (peer);
    }
}

static void
test_session_without_own_context (void)
{
  Team team = { .n_calls = test_scale_down (500) };
  guint i;

  for (i = 0; i < N_THREADS / 2; i++)
    team_add (&team, own_session_elsewhere);
  team_start (&team);
  team_wait (&team);
}

/* --- T5 ----------------------------------------------------------------------------------------------------------- */

static void
own_a_session (guint number,
               guint n_calls)
{
  EchoPeerKind kind = number % 2 == 0 ? ECHO_PEER_SILENT_AT_FIRST : ECHO_PEER_OFFERS_OOB;
  EchoPeer *peer;
  AqmpClient *client = echo_peer_open (&peer, kind);
  Events events = { g_thread_self (), 0 };
  guint i;

  g_signal_connect (client, "event::NOTE", G_CALLBACK (on_event), &events);
  for (i = 0; i < n_calls; i++)
    {
      g_autoptr (GError) error = NULL;

      if (i % 3 == 0)
        call_async (client, i % 5 == 0 ? "event" : "t", i, NULL, &error);
      else
        call (client, i % 5 == 0 ? "event" : "t", i, -1, NULL, &error);
      g_assert_no_error (error);
    }
  test_wait_until (events.n_events == echo_peer_get_n_events (peer));
  g_signal_handlers_disconnect_by_data (client, &events);
  test_client_close (client);
  echo_peer_free (peer);
}

static void
own_sessions (Worker *worker)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < 10; i++)
    own_a_session (worker->number, worker->n_calls);
  g_main_context_pop_thread_default (context);
}

static void
test_sessions_in_threads (void)
{
  Team team = { .n_calls = test_scale_down (300) };
  guint i;

  for (i = 0; i < N_THREADS; i++)
    team_add (&team, own_sessions);
  team_start (&team);
  team_wait (&team);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/T2/blocking-calls-from-threads", test_calls_from_threads);
  g_test_add_func ("/client/T2/calls-held-back-from-threads", test_held_calls_from_threads);
  g_test_add_func ("/client/T2/everything-at-once", test_everything_at_once);
  g_test_add_func ("/client/T3/everything-at-once-and-the-owner-blocks", test_everything_and_owner_blocks);
  g_test_add_func ("/client/T3/blocking-owner-serves-others", test_owner_serves_others);
  g_test_add_func ("/client/T3/blocking-owner-is-woken-up", test_blocking_owner_is_woken_up);
  g_test_add_func ("/client/T3/giving-up-without-the-owner", test_give_up_without_owner);
  g_test_add_func ("/client/T2/disconnect-elsewhere-interrupts-all", test_disconnect_in_silence);
  g_test_add_func ("/client/T2/disconnect-elsewhere-in-traffic", test_disconnect_in_traffic);
  g_test_add_func ("/client/T2/fail-elsewhere-interrupts-all", test_fail_in_silence);
  g_test_add_func ("/client/T2/fail-elsewhere-in-traffic", test_fail_in_traffic);
  g_test_add_func ("/client/T2/disconnect-from-all-threads", test_disconnect_by_all);
  g_test_add_func ("/client/T3/owner-disconnects-while-others-call", test_owner_disconnects);
  g_test_add_func ("/client/T3/session-of-a-thread-without-a-context", test_session_without_own_context);
  g_test_add_func ("/client/T5/sessions-in-threads", test_sessions_in_threads);

  return g_test_run ();
}
