/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What blocking calls cost: three system calls each, and nothing that stays. */

#include "client-util.h"
#include "echo-peer.h"

#include "syscall-counter.h"

#define N_CALLS 1000
#define WARM_UP 100

#define FIRST_CYCLE 1000
#define LAST_CYCLE 10000
#define MOST_GROWTH (256 * 1024)

typedef struct
{
  EchoPeer   *peer;
  AqmpClient *client;
  gboolean    raw;
  guint       timeout_ms;
} Session;

static void
session_begin (Session  *session,
               gboolean  raw,
               guint     timeout_ms)
{
  session->client = echo_peer_open (&session->peer, ECHO_PEER_SILENT_AT_FIRST);
  session->raw = raw;
  aqmp_client_set_call_timeout (session->client, timeout_ms);
}

static void
session_end (Session *session)
{
  test_client_close (session->client);
  echo_peer_free (session->peer);
}

static void
call (Session *session)
{
  g_autoptr (GError) error = NULL;

  if (session->raw)
    {
      g_autoptr (GBytes) reply = aqmp_client_execute_raw_sync (session->client, "{\"execute\":\"c\"}", NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_nonnull (reply);
    }
  else
    {
      g_autoptr (JsonNode) node = aqmp_client_execute_sync (session->client, "c", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL,
                                                            &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

static void
check_count (Session    *session,
             const char *where)
{
  guint64 total = syscall_counter_total (SYSCALL_COUNTER_PROCESS);
  g_autofree char *table = syscall_counter_table (SYSCALL_COUNTER_PROCESS);

  g_test_message ("%s: %s", where, table);
  if (total < 3 * N_CALLS - 10 || total > 3 * N_CALLS + 10)
    g_error ("%d blocking calls %s cost %" G_GUINT64_FORMAT " system calls: %s", N_CALLS, where, total, table);
}

static void
check_without_loop (gboolean raw,
                    guint    timeout_ms)
{
  Session session;
  guint i;

  session_begin (&session, raw, timeout_ms);
  for (i = 0; i < WARM_UP; i++)
    call (&session);
  syscall_counter_reset (SYSCALL_COUNTER_PROCESS);
  for (i = 0; i < N_CALLS; i++)
    call (&session);
  check_count (&session, "without a loop");
  session_end (&session);
}

static void
test_tree_without_loop (void)
{
  check_without_loop (FALSE, 0);
}

static void
test_raw_without_loop (void)
{
  check_without_loop (TRUE, 0);
}

static void
test_timeout_without_loop (void)
{
  check_without_loop (TRUE, 100 * 1000);
}

static gboolean
make_calls (gpointer data)
{
  Session *session = data;
  guint i;

  for (i = 0; i < WARM_UP; i++)
    call (session);
  syscall_counter_reset (SYSCALL_COUNTER_PROCESS);
  for (i = 0; i < N_CALLS; i++)
    call (session);
  check_count (session, "inside a loop");
  session->raw = FALSE;
  return G_SOURCE_REMOVE;
}

static void
test_inside_loop (void)
{
  Session session;

  session_begin (&session, TRUE, 0);
  g_idle_add (make_calls, &session);
  test_wait_until (!session.raw);
  session_end (&session);
}

/* The loop turns between them: that is its business, not theirs. */
static gboolean
make_call (gpointer data)
{
  Session *session = data;
  static guint n_calls;

  if (n_calls == WARM_UP)
    syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  call (session);
  if (++n_calls < WARM_UP + N_CALLS)
    return G_SOURCE_CONTINUE;

  session->raw = FALSE;
  return G_SOURCE_REMOVE;
}

static void
test_between_turns (void)
{
  Session session;
  guint64 n_polls;
  guint64 n_others;

  session_begin (&session, TRUE, 0);
  g_idle_add (make_call, &session);
  test_wait_until (!session.raw);
  n_polls = syscall_counter_get (SYSCALL_COUNTER_THREAD, "poll");
  n_others = syscall_counter_total (SYSCALL_COUNTER_THREAD) - n_polls;
  g_test_message ("%" G_GUINT64_FORMAT " polls, %" G_GUINT64_FORMAT " others", n_polls, n_others);
  g_assert_cmpuint (n_polls, <=, 2 * N_CALLS + 10);
  g_assert_cmpuint (n_others, <=, 2 * N_CALLS + 10);
  session_end (&session);
}

/* ---- leaks ------------------------------------------------------------------------------------------------------- */

static void
note_event (AqmpClient *client,
            AqmpEvent  *event,
            guint      *n_events)
{
  (*n_events)++;
}

static void
call_once (Session      *session,
           const char   *command,
           int           timeout_ms,
           GCancellable *cancellable,
           int           code)
{
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  node = aqmp_client_execute_full_sync (session->client, command, NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, timeout_ms,
                                        cancellable, &error);
  if (code < 0)
    g_assert_no_error (error);
  else
    g_assert_error (error, G_IO_ERROR, code);
}

/* Of each kind one: answered, with an event deferred, with a cancellable, cancelled. */
static void
cycle (Session *session,
       guint    i)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  session->raw = i % 2 == 0;
  call (session);
  call_once (session, "event", -1, cancellable, -1);
  g_cancellable_cancel (cancellable);
  call_once (session, "never", -1, cancellable, G_IO_ERROR_CANCELLED);
  /* Those that are given up stay until the session ends, so that a late reply is known. */
  if (i % 1000 == 0)
    call_once (session, "silent", 1, NULL, G_IO_ERROR_TIMED_OUT);
  test_dispatch_pending ();
}

static void
test_calls_leak_nothing (void)
{
  guint first_cycle = test_is_instrumented () ? 20 : FIRST_CYCLE;
  guint last_cycle = test_is_instrumented () ? 100 : LAST_CYCLE;
  Session session;
  guint n_events = 0;
  guint n_fds = 0;
  gsize rss = 0;
  gint64 growth;
  guint i;

  session_begin (&session, FALSE, 0);
  g_signal_connect (session.client, "event", G_CALLBACK (note_event), &n_events);
  for (i = 0; i < last_cycle; i++)
    {
      if (i == first_cycle)
        {
          n_fds = test_count_fds ();
          rss = test_get_rss ();
        }
      cycle (&session, i);
    }

  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  growth = (gint64) test_get_rss () - (gint64) rss;
  g_test_message ("%" G_GINT64_FORMAT " bytes more, %u events", growth, n_events);
  if (!test_is_instrumented ())
    g_assert_cmpint (growth, <, MOST_GROWTH);
  g_assert_cmpuint (n_events, ==, last_cycle);
  session_end (&session);
}

/* The same for what begins and ends sessions. @loops: also runs the loop in between */
static void
check_sessions (gboolean loops)
{
  guint first_cycle = test_is_instrumented () ? 20 : FIRST_CYCLE;
  guint last_cycle = test_is_instrumented () ? 60 : 4 * FIRST_CYCLE;
  Session session;
  guint n_fds = 0;
  gsize rss = 0;
  gint64 growth;
  guint i;

  session_begin (&session, FALSE, 0);
  for (i = 0; i < last_cycle; i++)
    {
      g_autoptr (GIOStream) stream = NULL;
      g_autoptr (GError) error = NULL;

      if (i == first_cycle)
        {
          n_fds = test_count_fds ();
          rss = test_get_rss ();
        }
      call (&session);
      aqmp_protocol_flush_sync (AQMP_PROTOCOL (session.client), NULL, &error);
      g_assert_no_error (error);
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (session.client), NULL, &error);
      g_assert_no_error (error);
      echo_peer_free (session.peer);
      if (loops)
        test_dispatch_pending ();
      session.peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);
      aqmp_protocol_open_sync (AQMP_PROTOCOL (session.client), stream, NULL, &error);
      g_assert_no_error (error);
    }

  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  growth = (gint64) test_get_rss () - (gint64) rss;
  g_test_message ("%" G_GINT64_FORMAT " bytes more", growth);
  if (!test_is_instrumented ())
    g_assert_cmpint (growth, <, MOST_GROWTH);
  session_end (&session);
}

static void
test_sessions_leak_nothing (void)
{
  check_sessions (FALSE);
}

static void
test_sessions_with_loop_leak_nothing (void)
{
  check_sessions (TRUE);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/T3/system-calls/tree", test_tree_without_loop);
  g_test_add_func ("/client/T3/system-calls/raw", test_raw_without_loop);
  g_test_add_func ("/client/T3/system-calls/with-a-timeout", test_timeout_without_loop);
  g_test_add_func ("/client/T3/system-calls/inside-a-loop", test_inside_loop);
  g_test_add_func ("/client/T3/system-calls/between-turns-of-a-loop", test_between_turns);
  g_test_add_func ("/client/T3/leaks/calls", test_calls_leak_nothing);
  g_test_add_func ("/client/T3/leaks/sessions", test_sessions_leak_nothing);
  g_test_add_func ("/client/T3/leaks/sessions-and-a-loop", test_sessions_with_loop_leak_nothing);

  return g_test_run ();
}
