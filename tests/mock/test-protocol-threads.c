/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Which thread runs what: T1, T2. */

#include "session-util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- T1 ---------------------------------------------------------------------------------------------------------- */

static gpointer
fail_in_thread (gpointer data)
{
  line_fail (data, NULL);
  return NULL;
}

static void
on_signal (LineProtocol *protocol,
           gpointer      unused,
           LineTrace    *trace)
{
  line_trace_add (trace, "signal");
}

/* Runs in a thread with a context of its own, while the default one is not run. */
static gpointer
run_owner (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = data;
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (AqmpEvent) event = aqmp_event_new ("STOP", -1, NULL);
  g_autoptr (GError) error = NULL;
  guint i;

  g_main_context_push_thread_default (context);
  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (on_signal), trace);
  g_signal_connect (protocol, "notify", G_CALLBACK (on_signal), trace);
  g_signal_connect (protocol, "event", G_CALLBACK (on_signal), trace);

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &slot);
  peer_send (&peer, "hello\n");
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  aqmp_protocol_emit_event (AQMP_PROTOCOL (protocol), event);
  line_protocol_send (protocol, "ping");
  peer_expect (&peer, "hi\nping\n");
  peer_send (&peer, "pong\n");
  wait_trace (protocol, "receive(pong)");

  /* Somebody else ends it: all the same. */
  g_thread_join (g_thread_new ("fails", fail_in_thread, protocol));
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (protocol, NULL));

  g_assert_cmpuint (line_trace_count (trace, "event(STOP)"), ==, 1);
  g_assert_cmpuint (line_trace_count (trace, "idle"), ==, 1);
  for (i = 0; i < line_trace_get_length (trace); i++)
    {
      const LineRecord *record = line_trace_get (trace, i);

      g_assert_true (record->thread == g_thread_self ());
      g_assert_true (record->context == NULL || record->context == context);
    }
  /* What arrives is handled in a dispatch of it, not just somewhere in the thread. */
  g_assert_true (line_trace_find (trace, "receive(pong)")->context == context);
  g_assert_true (line_trace_find (trace, "out(ping)")->context == context);

  test_slot_clear (&slot);
  end_object (&protocol);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_owner_context (void)
{
  g_thread_join (g_thread_new ("owner", run_owner, line_protocol_new ()));
}

/* The main thread is not in its loop at the moment, so a thread without a context of its own could take it over. */
static void
test_owner_thread_is_not_replaced (gconstpointer data)
{
  GThreadFunc func = (GThreadFunc) data;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  LineTrace *trace = line_protocol_get_trace (protocol);
  guint i;

  line_trace_clear (trace);
  g_thread_join (g_thread_new ("other", func, protocol));
  wait_trace (protocol, "disconnecting");
  for (i = 0; i < line_trace_get_length (trace); i++)
    g_assert_true (line_trace_get (trace, i)->thread == g_thread_self ());
  disconnect_session (protocol, NULL);
  end_object (&protocol);
}

static gpointer
disconnect_fresh (gpointer data)
{
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (data), NULL, NULL, NULL);
  return NULL;
}

/* Nor is a thread without a context made the owner of an object that has had no session yet. */
static void
test_disconnect_before_any_session (void)
{
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  guint i;

  g_thread_join (g_thread_new ("other", disconnect_fresh, protocol));
  wait_trace (protocol, "idle");
  g_assert_cmpuint (line_trace_get_length (trace), ==, 2);
  for (i = 0; i < line_trace_get_length (trace); i++)
    g_assert_true (line_trace_get (trace, i)->thread == g_thread_self ());
  end_object (&protocol);
}

/* ---- T2: sending ------------------------------------------------------------------------------------------------- */

#define N_SENDERS 4
#define N_LINES 500

typedef struct
{
  LineProtocol *protocol;
  guint         number;
} Sender;

static gpointer
send_lines (gpointer data)
{
  Sender *sender = data;
  guint i;

  for (i = 0; i < N_LINES; i++)
    {
      g_autofree char *line = g_strdup_printf ("%u %u", sender->number, i);

      line_protocol_send (sender->protocol, line);
      g_assert_cmpint (get_state (sender->protocol), ==, AQMP_RUNSTATE_RUNNING);
      if (i % 50 == 0)
        g_thread_yield ();
    }

  return NULL;
}

/* An echo brings back all lines of all threads, each whole, those of each thread in order. */
static void
send_from_threads (LineProtocol *protocol)
{
  g_auto (Peer) peer = PEER_INIT;
  LineTrace *trace = line_protocol_get_trace (protocol);
  GThread *threads[N_SENDERS];
  Sender senders[N_SENDERS];
  guint next[N_SENDERS] = { 0, };
  g_autoptr (GError) error = NULL;
  guint i;

  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  peer_echo (&peer);
  for (i = 0; i < N_SENDERS; i++)
    {
      senders[i] = (Sender) { protocol, i };
      threads[i] = g_thread_new ("sends", send_lines, &senders[i]);
    }

  for (i = 0; i < line_trace_get_length (trace) || i < N_SENDERS * N_LINES;)
    {
      const LineRecord *record;
      guint number;
      guint line;

      test_wait_until (i < line_trace_get_length (trace));
      record = line_trace_get (trace, i++);
      if (sscanf (record->what, "receive(%u %u)", &number, &line) != 2)
        continue;
      g_assert_cmpuint (number, <, N_SENDERS);
      g_assert_cmpuint (line, ==, next[number]);
      next[number]++;
    }
  test_wait_until (line_trace_count (trace, "receive(0 499)") + line_trace_count (trace, "receive(1 499)") +
                   line_trace_count (trace, "receive(2 499)") + line_trace_count (trace, "receive(3 499)") == 4);

  for (i = 0; i < N_SENDERS; i++)
    g_thread_join (threads[i]);
  end_session (&protocol);
}

static void
test_send_from_threads (void)
{
  send_from_threads (line_protocol_new_plain ());
}

static void
test_send_filtered_from_threads (void)
{
  send_from_threads (line_protocol_new ());
}

/* The owner sleeps in a poll: it has to be woken up. */
static gpointer
send_one (gpointer data)
{
  line_protocol_send (data, "wake up");
  return NULL;
}

static void
test_send_wakes_the_owner (gconstpointer data)
{
  LineProtocol *protocol = GPOINTER_TO_INT (data) ? line_protocol_new () : line_protocol_new_plain ();
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GError) error = NULL;
  guint i;

  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  for (i = 0; i < 50; i++)
    {
      GThread *thread;

      test_dispatch_pending ();
      thread = g_thread_new ("sends", send_one, protocol);
      peer_expect (&peer, "wake up\n");
      g_thread_join (thread);
    }
  end_session (&protocol);
}

/* ---- T2: sending and ending at once ------------------------------------------------------------------------------ */

typedef struct
{
  LineProtocol *protocol;
  GMutex        lock;
  int           session;    /* under the lock; set while nothing runs */
  int           accepted;   /* under the lock: the latest session that took a message */
  gboolean      stop;       /* under the lock */
} Flood;

static gboolean
has_accepted (Flood *state)
{
  gboolean accepted;

  g_mutex_lock (&state->lock);
  accepted = state->accepted == state->session;
  g_mutex_unlock (&state->lock);

  return accepted;
}

static gpointer
flood (gpointer data)
{
  Flood *state = data;
  gboolean stop;

  do
    {
      g_autofree char *line = NULL;
      g_autoptr (GBytes) message = NULL;
      g_autoptr (GError) error = NULL;

      g_mutex_lock (&state->lock);
      stop = state->stop;
      line = g_strdup_printf ("%d\n", state->session);
      message = bytes_of (line);
      if (aqmp_protocol_send_message (AQMP_PROTOCOL (state->protocol), message, &error))
        state->accepted = state->session;
      else
        g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
      g_mutex_unlock (&state->lock);
      g_main_context_wakeup (NULL);
      g_thread_yield ();
    }
  while (!stop);

  return NULL;
}

/* Sessions come and go while another thread sends without pause: what was accepted in one never gets into another. */
static void
test_send_while_sessions_change (gconstpointer data)
{
  LineProtocol *protocol = GPOINTER_TO_INT (data) ? line_protocol_new () : line_protocol_new_plain ();
  Flood state = { protocol, };
  GThread *thread;
  guint n_lines = 0;
  int i;

  g_mutex_init (&state.lock);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 1);
  thread = g_thread_new ("floods", flood, &state);

  for (i = 1; i <= 100; i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GError) error = NULL;
      char buffer[4096];
      gssize length;
      char *line;
      char *end;
      guint j;

      g_mutex_lock (&state.lock);
      state.session = i;
      g_mutex_unlock (&state.lock);
      open_session (protocol, &peer, &error);
      g_assert_no_error (error);
      test_wait_until (has_accepted (&state));
      for (j = 0; j < 20; j++)
        g_main_context_iteration (NULL, FALSE);
      if (i % 2 == 0)
        line_fail (protocol, NULL);
      disconnect_session (protocol, NULL);
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
      g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 0);

      length = recv (peer.fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
      buffer[MAX (length, 0)] = '\0';
      for (line = buffer; (end = strchr (line, '\n')) != NULL; line = end + 1)
        {
          g_assert_cmpint (atoi (line), ==, i);
          n_lines++;
        }
    }

  g_mutex_lock (&state.lock);
  state.stop = TRUE;
  g_mutex_unlock (&state.lock);
  g_thread_join (thread);
  g_assert_cmpuint (n_lines, >, 0);
  g_mutex_clear (&state.lock);
  end_object (&protocol);
}

/* ---- T2: ending from elsewhere ----------------------------------------------------------------------------------- */

typedef struct
{
  LineProtocol *protocol;
  GError       *error;     /* (owned) (nullable) */
  gboolean      cancelled;
  int           done;      /* atomic */
} Ender;

static gpointer
disconnect_in_thread (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Ender *ender = data;

  if (ender->cancelled)
    g_cancellable_cancel (cancellable);

  g_main_context_push_thread_default (context);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (ender->protocol), cancellable, test_slot_callback, &slot);
  /* Awaiting checks that the callback runs in this thread. */
  finish_disconnect_of (ender->protocol, &slot, &ender->error);
  g_main_context_pop_thread_default (context);

  g_atomic_int_set (&ender->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_disconnect_in_thread (void)
{
  guint i;

  for (i = 0; i < 100; i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = new_session (&peer);
      LineTrace *trace = line_protocol_get_trace (protocol);
      Ender ender = { protocol, NULL, FALSE, FALSE };
      GThread *thread;

      line_protocol_send (protocol, "last");
      thread = g_thread_new ("disconnects", disconnect_in_thread, &ender);
      test_wait_until (g_atomic_int_get (&ender.done));
      g_thread_join (thread);
      g_assert_no_error (ender.error);
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
      g_assert_true (line_trace_find (trace, "ended(clean)")->thread == g_thread_self ());
      g_assert_true (line_trace_find (trace, "idle")->thread == g_thread_self ());
      peer_expect (&peer, "last\n");
      peer_expect_eof (&peer);
      end_object (&protocol);
    }
}

/* Cancelled before, in a context that runs elsewhere: the cancellation can come before the wait has begun. */
static void
test_cancelled_disconnect_in_thread (void)
{
  guint i;

  for (i = 0; i < 1000; i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = new_session (&peer);
      Ender ender = { protocol, NULL, TRUE, FALSE };
      GThread *thread = g_thread_new ("disconnects", disconnect_in_thread, &ender);

      test_wait_until (g_atomic_int_get (&ender.done) && get_state (protocol) == AQMP_RUNSTATE_IDLE);
      g_thread_join (thread);
      /* Unless the end came first. */
      if (ender.error != NULL)
        g_assert_error (ender.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&ender.error);
      end_object (&protocol);
    }
}

static void
test_fail_in_thread (void)
{
  guint i;

  for (i = 0; i < 100; i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = new_session (&peer);
      GThread *thread = g_thread_new ("fails", fail_in_thread, protocol);
      g_autoptr (GError) error = NULL;

      wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
      g_thread_join (thread);
      g_assert_false (disconnect_session (protocol, &error));
      assert_error_like (error, LINE_ERROR, 99, "deed");
      end_object (&protocol);
    }
}

/* An attempt as well. */
static void
test_fail_attempt_in_thread (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  GThread *thread;
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &slot);
  peer_expect (&peer, "hi\n");
  thread = g_thread_new ("fails", fail_in_thread, protocol);
  g_assert_false (finish_open (protocol, &slot, &error));
  assert_error_like (error, LINE_ERROR, 99, "Could not establish the session: deed");
  g_thread_join (thread);
  end_object (&protocol);
}

static gpointer
disconnect_without_context (gpointer data)
{
  line_disconnect (data, NULL);
  return NULL;
}

/* ---- T2: the last reference -------------------------------------------------------------------------------------- */

typedef struct
{
  LineProtocol *protocol;
  int           ready;   /* atomic: 1 when the thread may go */
} Dropper;

static gpointer
drop_at_once (gpointer data)
{
  Dropper *dropper = data;

  while (!g_atomic_int_get (&dropper->ready))
    g_thread_yield ();
  g_object_unref (dropper->protocol);
  return NULL;
}

/* Data arrives, and is being dispatched, at the moment when the last reference goes. */
static void
drop_while_data_arrives (gboolean plain_stream,
                         guint    n_rounds)
{
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GIOStream) base = peer_connect (&peer);
      g_autoptr (GIOStream) stream = plain_stream ? test_plain_stream_new (base) : g_object_ref (base);
      LineProtocol *protocol = line_protocol_new ();
      LineProtocol *weak = protocol;
      g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
      Dropper dropper = { protocol, FALSE };
      GThread *thread = g_thread_new ("drops", drop_at_once, &dropper);
      g_autoptr (GError) error = NULL;
      guint length;

      aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &slot);
      finish_open (protocol, &slot, &error);
      g_assert_no_error (error);
      test_slot_clear (&slot);
      g_object_add_weak_pointer (G_OBJECT (weak), (gpointer *) &weak);
      peer_send (&peer, "one\ntwo\nthree\n");
      line_protocol_send (protocol, "ping");
      if (i % 2 == 0)
        test_dispatch_pending ();

      g_atomic_int_set (&dropper.ready, TRUE);
      if (i % 3 != 0)
        test_dispatch_pending ();
      g_thread_join (thread);
      test_dispatch_pending ();

      /* Gone: nothing is called any more, and the peer sees the end. */
      g_assert_null (weak);
      length = line_trace_get_length (trace);
      peer_drain (&peer);
      g_assert_cmpuint (line_trace_get_length (trace), ==, length);
      g_assert_cmpuint (line_trace_count (trace, "disconnecting"), ==, 0);
    }
}

static void
test_last_unref_while_data_arrives (void)
{
  drop_while_data_arrives (FALSE, 1500);
}

static void
test_last_unref_of_unpollable_while_data_arrives (void)
{
  drop_while_data_arrives (TRUE, 300);
}

/* The owner's thread waits in its loop meanwhile, and takes part in the end of it. */
typedef struct
{
  GMainContext *context;
  GMainLoop    *loop;
} Owner;

static gpointer
run_loop (gpointer data)
{
  Owner *owner = data;

  g_main_context_push_thread_default (owner->context);
  g_main_loop_run (owner->loop);
  g_main_context_pop_thread_default (owner->context);
  return NULL;
}

typedef struct
{
  LineProtocol *protocol;
  GIOStream    *stream;
  int           done;     /* atomic */
} Opening;

static void
opened (GObject      *source,
        GAsyncResult *result,
        gpointer      user_data)
{
  Opening *opening = user_data;

  g_assert_true (aqmp_protocol_open_finish (AQMP_PROTOCOL (source), result, NULL));
  g_atomic_int_set (&opening->done, TRUE);
}

static gboolean
open_there (gpointer user_data)
{
  Opening *opening = user_data;

  aqmp_protocol_open_async (AQMP_PROTOCOL (opening->protocol), opening->stream, NULL, opened, opening);
  return G_SOURCE_REMOVE;
}

static void
test_last_unref_while_the_owner_runs (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (context, FALSE);
  Owner owner = { context, loop };
  GThread *thread = g_thread_new ("owner", run_loop, &owner);
  guint i;

  for (i = 0; i < 1000; i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      g_autoptr (GIOStream) stream = peer_connect (&peer);
      Opening opening = { line_protocol_new (), stream, FALSE };
      g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (opening.protocol));

      g_main_context_invoke (context, open_there, &opening);
      while (!g_atomic_int_get (&opening.done))
        g_thread_yield ();
      peer_send (&peer, "one\ntwo\nthree\nfour\nfive\nsix\n");
      while (i % 2 == 0 && line_trace_count (trace, "receive(one)") == 0)
        g_thread_yield ();
      g_object_unref (opening.protocol);
      peer_drain (&peer);
      g_assert_cmpuint (line_trace_count (trace, "disconnecting"), ==, 0);
    }

  g_main_loop_quit (loop);
  g_thread_join (thread);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/T1/everything-runs-in-the-owner-context", test_owner_context);
  g_test_add_func ("/protocol/T2/disconnect-before-any-session", test_disconnect_before_any_session);
  g_test_add_data_func ("/protocol/T1/fail-elsewhere-does-not-replace-the-owner-thread", (gconstpointer) fail_in_thread,
                        test_owner_thread_is_not_replaced);
  g_test_add_data_func ("/protocol/T1/disconnect-elsewhere-does-not-replace-the-owner-thread",
                        (gconstpointer) disconnect_without_context, test_owner_thread_is_not_replaced);

  g_test_add_func ("/protocol/T2/send-message-from-threads", test_send_from_threads);
  g_test_add_func ("/protocol/T2/send-message-from-threads-filtered", test_send_filtered_from_threads);
  g_test_add_data_func ("/protocol/T2/send-message-wakes-the-owner", GINT_TO_POINTER (FALSE), test_send_wakes_the_owner);
  g_test_add_data_func ("/protocol/T2/send-message-wakes-the-owner-filtered", GINT_TO_POINTER (TRUE),
                        test_send_wakes_the_owner);
  g_test_add_data_func ("/protocol/T2/send-message-while-sessions-change", GINT_TO_POINTER (FALSE),
                        test_send_while_sessions_change);
  g_test_add_data_func ("/protocol/T2/send-message-while-sessions-change-filtered", GINT_TO_POINTER (TRUE),
                        test_send_while_sessions_change);
  g_test_add_func ("/protocol/T2/disconnect-from-a-thread-calls-back-there", test_disconnect_in_thread);
  g_test_add_func ("/protocol/T2/cancelled-disconnect-from-a-thread", test_cancelled_disconnect_in_thread);
  g_test_add_func ("/protocol/T2/fail-from-a-thread", test_fail_in_thread);
  g_test_add_func ("/protocol/T2/fail-from-a-thread-ends-an-attempt", test_fail_attempt_in_thread);
  g_test_add_func ("/protocol/T2/last-unref-while-data-arrives", test_last_unref_while_data_arrives);
  g_test_add_func ("/protocol/T2/last-unref-while-data-arrives-unpollable",
                   test_last_unref_of_unpollable_while_data_arrives);
  g_test_add_func ("/protocol/T2/last-unref-while-the-owner-runs", test_last_unref_while_the_owner_runs);

  return g_test_run ();
}
