/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3: where blocking calls are made, one inside another, and what becomes of everybody else's business meanwhile. */

#include "session-util.h"

#include <gio/gunixsocketaddress.h>

/* A message makes an event, of its own name. */
static void
emit_event (LineProtocol *protocol,
            gpointer      name)
{
  g_autoptr (AqmpEvent) event = aqmp_event_new (name, -1, NULL);

  aqmp_protocol_emit_event (AQMP_PROTOCOL (protocol), event);
}

/* The session reads and writes where the test runs the loop. */
static void
check_served_here (LineProtocol *protocol,
                   Peer         *peer)
{
  line_trace_clear (line_protocol_get_trace (protocol));
  line_protocol_set (protocol, LINE_MESSAGE_RECEIVED, LINE_CHAIN_UP);
  line_protocol_send (protocol, "served?");
  peer_expect (peer, "served?\n");
  peer_send (peer, "served\n");
  wait_trace (protocol, "receive(served)");
}

/* ---- nested in handlers ------------------------------------------------------------------------------------------ */

typedef struct
{
  gboolean  succeeded;
  GError   *error;      /* (owned) (nullable) */
  guint     n_calls;
} Nested;

static void
nested_clear (Nested *nested)
{
  g_clear_error (&nested->error);
  *nested = (Nested) { FALSE, NULL, 0 };
}

static void
flush_nested (LineProtocol *protocol,
              gpointer      data)
{
  Nested *nested = data;

  if (nested->n_calls++ == 0)
    nested->succeeded = aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &nested->error);
}

static void
accept_nested (LineProtocol *protocol,
               gpointer      data)
{
  Nested *nested = data;

  if (nested->n_calls++ == 0)
    nested->succeeded = aqmp_protocol_accept_sync (AQMP_PROTOCOL (protocol), NULL, &nested->error);
}

static void
disconnect_nested (LineProtocol *protocol,
                   gpointer      data)
{
  Nested *nested = data;

  if (nested->n_calls++ == 0)
    nested->succeeded = aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &nested->error);
}

/* Refused, and without consequences for the attempt that goes on. */
static void
check_refused_while_connecting (LineDeed    deed,
                                const char *message)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "connecting", deed, &nested, LINE_CHAIN_UP);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), (guint) (test_bound_us () / 1000));
  peer_send (&peer, "hello\n");
  aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error);
  g_assert_no_error (error);
  peer_expect (&peer, "hi\n");
  g_assert_false (nested.succeeded);
  assert_error_like (nested.error, AQMP_ERROR, AQMP_ERROR_STATE, message);
  nested_clear (&nested);
  check_served_here (protocol, &peer);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
test_flush_while_connecting (void)
{
  check_refused_while_connecting (flush_nested, "*“connecting”*");
}

static void
test_accept_while_connecting (void)
{
  check_refused_while_connecting (accept_nested, "*no server was started*");
}

static void
test_flush_when_running (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };

  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "running", flush_nested, &nested, LINE_CHAIN_UP);
  open_blocking (protocol, &peer);
  g_assert_no_error (nested.error);
  g_assert_true (nested.succeeded);
  check_served_here (protocol, &peer);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
test_disconnect_while_connecting (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };
  g_autoptr (GError) error = NULL;

  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "connecting", disconnect_nested, &nested, LINE_CHAIN_UP);
  g_assert_false (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_no_error (nested.error);
  g_assert_true (nested.succeeded);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_disconnect_when_running (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };
  g_autoptr (GError) error = NULL;

  /* The session was there. */
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "running", disconnect_nested, &nested, LINE_CHAIN_UP);
  g_assert_true (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error));
  g_assert_no_error (error);
  g_assert_no_error (nested.error);
  g_assert_true (nested.succeeded);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish running ended(clean) disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

/* Another disconnect is waiting for what calls it. */
static void
test_disconnect_when_disconnecting (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };

  open_blocking (protocol, &peer);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "disconnecting", disconnect_nested, &nested, LINE_CHAIN_UP);
  disconnect_blocking (protocol);
  g_assert_no_error (nested.error);
  g_assert_true (nested.succeeded);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish running ended(clean) disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

/* The end of one session begins the next. */
typedef struct
{
  GIOStream *stream;
  GError    *error;   /* (owned) (nullable) */
  guint      n_calls;
} Reopen;

static void
reopen (LineProtocol *protocol,
        gpointer      data)
{
  Reopen *again = data;

  if (again->n_calls++ == 0)
    aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), again->stream, NULL, &again->error);
}

static void
test_open_when_idle (void)
{
  g_auto (Peer) first = PEER_INIT;
  g_auto (Peer) second = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&second);
  LineProtocol *protocol = line_protocol_new ();
  Reopen again = { stream, NULL, 0 };
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &first);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "idle", reopen, &again, LINE_CHAIN_UP);
  g_assert_true (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_no_error (error);
  g_assert_no_error (again.error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish running ended(clean) disconnecting idle connecting establish running");
  peer_expect_eof (&first);
  line_protocol_set (protocol, LINE_RUNSTATE_CHANGED, LINE_CHAIN_UP);
  check_served_here (protocol, &second);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

/* ---- in callbacks and handlers of the loop ----------------------------------------------------------------------- */

static void
count_call (GObject      *object,
            GAsyncResult *result,
            gpointer      data)
{
  (*(guint *) data)++;
}

static void
disconnect_in_event (LineProtocol *protocol,
                     gpointer      data)
{
  disconnect_nested (protocol, data);
}

/* Called from within message_received, whose session is over when it returns. */
static void
test_disconnect_in_event_handler (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };

  open_blocking (protocol, &peer);
  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, NULL, emit_event, (gpointer) "E", LINE_CHAIN_UP);
  line_protocol_when (protocol, LINE_EVENT, NULL, disconnect_in_event, &nested, LINE_CHAIN_UP);
  peer_send (&peer, "one\ntwo\n");
  wait_trace (protocol, "event(E)");
  test_dispatch_pending ();
  g_assert_no_error (nested.error);
  g_assert_true (nested.succeeded);
  /* What has arrived is read on while it disconnects; the event of the second is deferred, and told all the same. */
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish running in(one) receive(one) event(E) in(two) receive(two) ended(clean) "
                     "disconnecting idle event(E)");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_flush_in_event_handler (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Nested nested = { FALSE, NULL, 0 };

  open_blocking (protocol, &peer);
  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, "one", emit_event, (gpointer) "E", LINE_CHAIN_UP);
  line_protocol_when (protocol, LINE_EVENT, NULL, flush_nested, &nested, LINE_CHAIN_UP);
  line_protocol_send (protocol, "flushed");
  peer_send (&peer, "one\n");
  wait_trace (protocol, "event(E)");
  g_assert_no_error (nested.error);
  g_assert_true (nested.succeeded);
  peer_expect (&peer, "flushed\n");
  check_served_here (protocol, &peer);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static gboolean
reconnect (gpointer data)
{
  LineProtocol *protocol = data;
  g_auto (Peer) peer = PEER_INIT;
  guint i;

  for (i = 0; i < 3; i++)
    {
      open_blocking (protocol, &peer);
      line_protocol_send (protocol, "x");
      aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, NULL);
      disconnect_blocking (protocol);
    }
  line_trace_add (line_protocol_get_trace (protocol), "done");
  return G_SOURCE_REMOVE;
}

/* Of high priority and always ready, it would be dispatched by whoever ran the context. */
static gboolean
spring (gpointer data)
{
  g_assert_cmpint (g_main_depth (), ==, 1);
  return G_SOURCE_CONTINUE;
}

static void
test_sessions_in_dispatch (void)
{
  LineProtocol *protocol = line_protocol_new ();
  guint trap = g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, spring, NULL, NULL);

  g_idle_add (reconnect, protocol);
  wait_trace (protocol, "done");
  g_source_remove (trap);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- what handlers begin ----------------------------------------------------------------------------------------- */

typedef struct
{
  guint         n_done;
  GMainContext *context;    /* (unowned): where the callback came */
  GThread      *thread;
  GSource      *idle;       /* (owned) (nullable) */
} Begun;

static void
begun_done (GObject      *object,
            GAsyncResult *result,
            gpointer      data)
{
  Begun *begun = data;

  begun->n_done++;
  begun->context = g_source_get_context (g_main_current_source ());
  begun->thread = g_thread_self ();
}

static void
begin_something (LineProtocol *protocol,
                 gpointer      data)
{
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, begun_done, data);
}

/* Its callback comes in the context of the one who blocks, not in one of the library's that nobody runs any more. */
static void
check_begun_in_handler (const char   *state,
                        GMainContext *context)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Begun begun = { 0 };

  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, state, begin_something, &begun, LINE_CHAIN_UP);
  open_blocking (protocol, &peer);
  if (g_str_equal (state, "disconnecting") || g_str_equal (state, "idle"))
    disconnect_blocking (protocol);
  g_assert_cmpuint (begun.n_done, ==, 0);
  test_wait_until (begun.n_done > 0);
  g_assert_cmpuint (begun.n_done, ==, 1);
  g_assert_true (begun.context == context);
  line_protocol_set (protocol, LINE_RUNSTATE_CHANGED, LINE_CHAIN_UP);
  if (get_state (protocol) != AQMP_RUNSTATE_IDLE)
    disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
test_begun_in_handler (gconstpointer state)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  check_begun_in_handler (state, g_main_context_default ());
  g_main_context_push_thread_default (context);
  check_begun_in_handler (state, context);
  g_main_context_pop_thread_default (context);
}

/* The caller's context is the default one, which another thread runs. */
typedef struct
{
  LineProtocol *protocol;
  GIOStream    *stream;
  GError       *error;     /* (owned) (nullable) */
  gint          ended;     /* atomic */
} Elsewhere;

static gpointer
open_elsewhere (gpointer data)
{
  Elsewhere *elsewhere = data;

  aqmp_protocol_open_sync (AQMP_PROTOCOL (elsewhere->protocol), elsewhere->stream, NULL, &elsewhere->error);
  g_atomic_int_set (&elsewhere->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_begun_in_handler_elsewhere (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  Elsewhere elsewhere = { protocol, stream };
  Begun begun = { 0 };
  GThread *thread;

  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "connecting", begin_something, &begun, LINE_CHAIN_UP);
  /* Acquired all the time, as by a main loop that runs. */
  g_assert_true (g_main_context_acquire (NULL));
  thread = g_thread_new ("opener", open_elsewhere, &elsewhere);
  test_wait_until (g_atomic_int_get (&elsewhere.ended));
  g_thread_join (thread);
  g_assert_no_error (elsewhere.error);
  test_wait_until (begun.n_done > 0);
  g_assert_true (begun.context == g_main_context_default ());
  g_assert_true (begun.thread == g_thread_self ());
  check_served_here (protocol, &peer);
  g_main_context_release (NULL);
  disconnect_session (protocol, NULL);
  end_object (&protocol);
}

/* ---- the owner's context stays what it was ----------------------------------------------------------------------- */

/* The caller has another context as its thread-default one by now, for purposes of its own. */
static void
test_flush_with_other_context (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GMainContext) context = g_main_context_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  line_protocol_send (protocol, "one");
  g_main_context_push_thread_default (context);
  aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error);
  g_assert_no_error (error);
  g_main_context_pop_thread_default (context);
  peer_expect (&peer, "one\n");
  check_served_here (protocol, &peer);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

/* What is deferred is told in the owner's context, too. */
static void
test_deferred_with_other_context (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GMainContext) context = g_main_context_new ();
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  const LineRecord *record;

  open_blocking (protocol, &peer);
  test_dispatch_pending ();
  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, NULL, emit_event, (gpointer) "E", LINE_CHAIN_UP);
  peer_send (&peer, "one\n");
  line_protocol_send (protocol, "x");
  g_main_context_push_thread_default (context);
  disconnect_blocking (protocol);
  test_dispatch_pending ();
  g_main_context_pop_thread_default (context);
  g_assert_cmpuint (line_trace_count (trace, "receive(one)"), ==, 1);
  g_assert_cmpuint (line_trace_count (trace, "event(E)"), ==, 0);
  test_dispatch_pending ();
  record = line_trace_find (trace, "event(E)");
  g_assert_true (record->context == g_main_context_default ());
  check_usable (protocol);
  end_object (&protocol);
}

/* After connect, open or accept it is the caller's. */
static void
test_open_takes_over (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GMainContext) context = g_main_context_new ();
  LineProtocol *protocol = line_protocol_new ();

  open_blocking (protocol, &peer);
  disconnect_blocking (protocol);
  g_main_context_push_thread_default (context);
  open_blocking (protocol, &peer);
  check_served_here (protocol, &peer);
  g_main_context_pop_thread_default (context);

  /* And so it is still after a blocking call from elsewhere in this thread. */
  aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, NULL);
  g_main_context_push_thread_default (context);
  check_served_here (protocol, &peer);
  disconnect_blocking (protocol);
  g_main_context_pop_thread_default (context);
  end_object (&protocol);
}

/* An object that is idle is for whoever uses it, whoever did before. */
static gpointer
use_in_thread (gpointer data)
{
  LineProtocol *protocol = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (Peer) peer = PEER_INIT;
  LineTrace *trace = line_protocol_get_trace (protocol);
  guint i;

  g_main_context_push_thread_default (context);
  line_trace_clear (trace);
  open_blocking (protocol, &peer);
  check_served_here (protocol, &peer);
  disconnect_blocking (protocol);
  disconnect_blocking (protocol);
  for (i = 0; i < line_trace_get_length (trace); i++)
    g_assert_true (line_trace_get (trace, i)->thread == g_thread_self ());
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_threads_one_after_the_other (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  guint i;

  for (i = 0; i < 3; i++)
    {
      open_blocking (protocol, &peer);
      check_served_here (protocol, &peer);
      disconnect_blocking (protocol);
      g_thread_join (g_thread_new ("user", use_in_thread, protocol));
    }
  end_object (&protocol);
}

/* ---- events and states around ------------------------------------------------------------------------------------ */

/* Those that came before the end are told, in order, although it is over by then. */
static void
test_events_around_disconnect (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  guint n_flushed = 0;

  open_blocking (protocol, &peer);
  test_dispatch_pending ();
  line_trace_clear (line_protocol_get_trace (protocol));
  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, NULL, emit_event, (gpointer) "E", LINE_CHAIN_UP);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, count_call, &n_flushed);
  peer_send (&peer, "one\ntwo\n");
  line_protocol_send (protocol, "x");
  disconnect_blocking (protocol);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "out(x) in(one) receive(one) in(two) receive(two) ended(clean) disconnecting idle");
  test_dispatch_pending ();
  line_trace_expect (line_protocol_get_trace (protocol),
                     "out(x) in(one) receive(one) in(two) receive(two) ended(clean) disconnecting idle event(E) event(E)");
  g_assert_cmpuint (n_flushed, ==, 1);
  check_usable (protocol);
  end_object (&protocol);
}

/* And if a handler runs the owner's loop before that is over, it gets what is there. */
static void
test_handler_runs_loop (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();

  open_blocking (protocol, &peer);
  test_dispatch_pending ();
  line_trace_clear (line_protocol_get_trace (protocol));
  line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, NULL, emit_event, (gpointer) "E", LINE_CHAIN_UP);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "idle", line_run_loop, NULL, LINE_CHAIN_UP);
  peer_send (&peer, "one\n");
  line_protocol_send (protocol, "x");
  disconnect_blocking (protocol);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "out(x) in(one) receive(one) ended(clean) disconnecting idle event(E)");
  check_usable (protocol);
  end_object (&protocol);
}

/* A failure that a blocking call has found is told by the loop, or before the next state is. */
static void
test_failure_in_flush (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  test_dispatch_pending ();
  line_trace_clear (trace);
  line_protocol_set (protocol, LINE_FILTER_OUTBOUND, LINE_RAISE);
  line_protocol_send (protocol, "x");
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  line_trace_expect (trace, "out(x) ended(failed) disconnecting");
  g_clear_error (&error);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, LINE_ERROR, LINE_FILTER_OUTBOUND);
  test_dispatch_pending ();
  line_trace_expect (trace, "out(x) ended(failed) disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- refused ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  GSocketConnectable *connectable;
  GSocketAddress     *address;
  GIOStream          *stream;
  GError             *errors[6];   /* (owned) (nullable) */
  gboolean            tried;
} Attempts;

static void
try_everything (LineProtocol *protocol,
                gpointer      data)
{
  Attempts *attempts = data;
  AqmpProtocol *base = AQMP_PROTOCOL (protocol);
  AqmpRunstate runstate = get_state (protocol);

  if (attempts->tried)
    return;
  attempts->tried = TRUE;
  g_assert_false (aqmp_protocol_connect_sync (base, attempts->connectable, NULL, &attempts->errors[0]));
  g_assert_false (aqmp_protocol_open_sync (base, attempts->stream, NULL, &attempts->errors[1]));
  g_assert_false (aqmp_protocol_accept_sync (base, NULL, &attempts->errors[2]));
  g_assert_false (aqmp_protocol_start_server_and_accept_sync (base, attempts->address, NULL, &attempts->errors[3]));
  g_assert_false (aqmp_protocol_disconnect_sync (base, NULL, &attempts->errors[4]));
  g_assert_false (aqmp_protocol_flush_sync (base, NULL, &attempts->errors[5]));
  g_assert_cmpint (get_state (protocol), ==, runstate);
}

static void
test_refused_in_vfunc (gconstpointer data)
{
  LineSlot slot = GPOINTER_TO_INT (data);
  g_auto (Peer) peer = PEER_INIT;
  g_auto (Peer) other = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&other);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new ("/nonexistent/s");
  LineProtocol *protocol = line_protocol_new ();
  Attempts attempts = { G_SOCKET_CONNECTABLE (address), address, stream };
  guint i;

  line_protocol_when (protocol, slot, NULL, try_everything, &attempts, LINE_CHAIN_UP);
  open_blocking (protocol, &peer);
  peer_send (&peer, "one\n");
  line_protocol_send (protocol, "x");
  wait_trace (protocol, "receive(one)");
  peer_expect (&peer, "x\n");
  disconnect_blocking (protocol);

  g_assert_true (attempts.tried);
  for (i = 0; i < G_N_ELEMENTS (attempts.errors); i++)
    {
      assert_error_like (attempts.errors[i], AQMP_ERROR, AQMP_ERROR_STATE, "LineFull is in state “*”*");
      if (i >= 4 || i == 2)
        assert_error_like (attempts.errors[i], AQMP_ERROR, AQMP_ERROR_STATE, "*use the asynchronous form");
      g_clear_error (&attempts.errors[i]);
    }
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- the last reference, and dispose ----------------------------------------------------------------------------- */

static void
test_reference_dropped (gconstpointer state)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  LineProtocol *reference = protocol;
  gpointer watched = protocol;

  g_object_add_weak_pointer (G_OBJECT (protocol), &watched);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, state, line_drop_reference, &reference, LINE_CHAIN_UP);
  g_assert_true (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, NULL));
  g_assert_null (watched);
  g_assert_null (reference);
  peer_expect_eof (&peer);
}

static void
test_reference_dropped_disconnecting (gconstpointer state)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineProtocol *reference = protocol;
  gpointer watched = protocol;
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  g_object_add_weak_pointer (G_OBJECT (protocol), &watched);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, state, line_drop_reference, &reference, LINE_CHAIN_UP);
  g_assert_true (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_no_error (error);
  g_assert_null (watched);
  g_assert_null (reference);
  peer_expect_eof (&peer);
}

static void
test_run_dispose_connecting (gconstpointer state)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  gboolean running = g_str_equal (state, "running");

  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, state, line_run_dispose, NULL, LINE_CHAIN_UP);
  g_assert_cmpint (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error), ==, running);
  if (!running)
    g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_run_dispose_disconnecting (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  line_protocol_when (protocol, LINE_RUNSTATE_CHANGED, "disconnecting", line_run_dispose, NULL, LINE_CHAIN_UP);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- streams that cannot be polled ------------------------------------------------------------------------------- */

/* The end of what was under way comes in the loop, if there is one. */
static void
test_not_pollable (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  guint i;

  for (i = 0; i < 20; i++)
    {
      g_autoptr (GIOStream) base = peer_connect (&peer);
      g_autoptr (GIOStream) stream = test_plain_stream_new (base);
      g_autoptr (GError) error = NULL;

      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, i % 2 == 0 ? LINE_CHAIN_UP : LINE_HANDSHAKE);
      peer_send (&peer, "hello\n");
      aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error);
      g_assert_no_error (error);
      line_protocol_send (protocol, "one");
      aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error);
      g_assert_no_error (error);
      peer_expect (&peer, i % 2 == 0 ? "one\n" : "hi\none\n");
      check_served_here (protocol, &peer);
      disconnect_blocking (protocol);
      peer_expect_eof (&peer);
      g_assert_true (g_io_stream_is_closed (stream));
    }

  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  static const char * const states[] = { "connecting", "running", "disconnecting", "idle" };
  static const char * const slots[] = {
    "establish-session", "message-received", "filter-inbound", "filter-outbound", "frame", "session-ended",
  };
  guint i;

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/T3/nested/flush-while-connecting", test_flush_while_connecting);
  g_test_add_func ("/protocol/T3/nested/accept-while-connecting", test_accept_while_connecting);
  g_test_add_func ("/protocol/T3/nested/flush-when-running", test_flush_when_running);
  g_test_add_func ("/protocol/T3/nested/disconnect-while-connecting", test_disconnect_while_connecting);
  g_test_add_func ("/protocol/T3/nested/disconnect-when-running", test_disconnect_when_running);
  g_test_add_func ("/protocol/T3/nested/disconnect-when-disconnecting", test_disconnect_when_disconnecting);
  g_test_add_func ("/protocol/T3/nested/open-when-idle", test_open_when_idle);
  g_test_add_func ("/protocol/T3/disconnect-in-event-handler", test_disconnect_in_event_handler);
  g_test_add_func ("/protocol/T3/flush-in-event-handler", test_flush_in_event_handler);
  g_test_add_func ("/protocol/T3/sessions-in-dispatch", test_sessions_in_dispatch);

  for (i = 0; i < G_N_ELEMENTS (states); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/T3/begun-in-handler/", states[i], NULL);

      g_test_add_data_func (path, states[i], test_begun_in_handler);
    }
  g_test_add_func ("/protocol/T3/begun-in-handler/context-of-other-thread", test_begun_in_handler_elsewhere);

  g_test_add_func ("/protocol/T3/context/flush-with-another", test_flush_with_other_context);
  g_test_add_func ("/protocol/T3/context/deferred-with-another", test_deferred_with_other_context);
  g_test_add_func ("/protocol/T3/context/open-takes-over", test_open_takes_over);
  g_test_add_func ("/protocol/T3/context/threads-one-after-the-other", test_threads_one_after_the_other);

  g_test_add_func ("/protocol/T3/order/events-around-disconnect", test_events_around_disconnect);
  g_test_add_func ("/protocol/T3/order/handler-runs-the-loop", test_handler_runs_loop);
  g_test_add_func ("/protocol/T3/order/failure-in-flush", test_failure_in_flush);

  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/T3/refused-in/", slots[i], NULL);

      g_test_add_data_func (path, GINT_TO_POINTER (i), test_refused_in_vfunc);
    }

  g_test_add_data_func ("/protocol/T4/open-sync/reference-dropped-connecting", "connecting", test_reference_dropped);
  g_test_add_data_func ("/protocol/T4/open-sync/reference-dropped-running", "running", test_reference_dropped);
  g_test_add_data_func ("/protocol/T4/disconnect-sync/reference-dropped-disconnecting", "disconnecting",
                        test_reference_dropped_disconnecting);
  g_test_add_data_func ("/protocol/T4/disconnect-sync/reference-dropped-idle", "idle", test_reference_dropped_disconnecting);
  g_test_add_data_func ("/protocol/S10/open-sync/run-dispose-connecting", "connecting", test_run_dispose_connecting);
  g_test_add_data_func ("/protocol/S10/open-sync/run-dispose-running", "running", test_run_dispose_connecting);
  g_test_add_func ("/protocol/S10/disconnect-sync/run-dispose", test_run_dispose_disconnecting);

  g_test_add_func ("/protocol/Q14/blocking-over-not-pollable", test_not_pollable);

  return g_test_run ();
}
