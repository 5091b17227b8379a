/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3: the blocking forms of what begins and ends a session, one by one: success and each failure, without any main loop. */

#include "session-util.h"

#include <gio/gunixsocketaddress.h>

/* A source of high priority that must not be dispatched, as nobody runs this context. */
typedef struct
{
  GSource *source;
  guint    n_sprung;
} Trap;

static gboolean
spring (gpointer data)
{
  Trap *trap = data;

  trap->n_sprung++;
  return G_SOURCE_CONTINUE;
}

static void
trap_set (Trap *trap)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  trap->n_sprung = 0;
  trap->source = g_idle_source_new ();
  g_source_set_priority (trap->source, G_PRIORITY_HIGH);
  g_source_set_callback (trap->source, spring, trap, NULL);
  g_source_attach (trap->source, context);
}

static void
trap_check (Trap *trap)
{
  g_source_destroy (trap->source);
  g_source_unref (trap->source);
  g_assert_cmpuint (trap->n_sprung, ==, 0);
}

/* Everything that was called, was called in this thread. */
static void
check_thread (LineProtocol *protocol)
{
  LineTrace *trace = line_protocol_get_trace (protocol);
  guint i;

  for (i = 0; i < line_trace_get_length (trace); i++)
    g_assert_true (line_trace_get (trace, i)->thread == g_thread_self ());
}

/* For what may wait in vain: another thread cancels, when the flag is up. */
typedef struct
{
  GCancellable *cancellable;
  gint         *when;         /* atomic */
} Canceller;

static gpointer
cancel_when (gpointer data)
{
  Canceller *canceller = data;

  while (!g_atomic_int_get (canceller->when))
    g_thread_yield ();
  g_cancellable_cancel (canceller->cancellable);
  return NULL;
}

static void
raise_flag (LineProtocol *protocol,
            gpointer      flag)
{
  g_atomic_int_set ((gint *) flag, TRUE);
}

/* ---- connect ----------------------------------------------------------------------------------------------------- */

static void
check_connect (gboolean in_own_context)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GMainContext) context = g_main_context_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  Trap trap;

  mock_expect_bytes (mock, "hi\n", -1);
  mock_send (mock, "hello\n");
  mock_expect_eof (mock);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);

  if (in_own_context)
    g_main_context_push_thread_default (context);
  trap_set (&trap);
  g_assert_true (aqmp_protocol_connect_sync (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish out(hi) in(hello) running");
  disconnect_blocking (protocol);
  trap_check (&trap);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish out(hi) in(hello) running ended(clean) disconnecting idle");
  check_thread (protocol);
  mock_block_done (mock);

  end_object (&protocol);
  if (in_own_context)
    g_main_context_pop_thread_default (context);
}

static void
test_connect (void)
{
  check_connect (FALSE);
}

static void
test_connect_in_own_context (void)
{
  check_connect (TRUE);
}

static void
expect_connect_fails (LineProtocol       *protocol,
                      GSocketConnectable *address,
                      GCancellable       *cancellable,
                      GError            **error)
{
  Trap trap;

  trap_set (&trap);
  g_assert_false (aqmp_protocol_connect_sync (AQMP_PROTOCOL (protocol), address, cancellable, error));
  trap_check (&trap);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  check_thread (protocol);
}

static void
test_connect_no_server (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "none");
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  expect_connect_fails (protocol, G_SOCKET_CONNECTABLE (address), NULL, &error);
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "Could not establish the connection*");
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_connect_establish_fails (void)
{
  static const LineResult results[] = {
    LINE_RAISE, LINE_NOTHING, LINE_DROP_TASK, LINE_RETURN_ERROR, LINE_RETURN_FALSE, LINE_RETURN_AND_RAISE,
  };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
      LineProtocol *protocol = line_protocol_new ();
      g_autoptr (GError) error = NULL;

      mock_expect_eof (mock);
      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, results[i]);
      expect_connect_fails (protocol, mock_get_connectable (mock), NULL, &error);
      g_assert_true (error->domain == LINE_ERROR || g_error_matches (error, AQMP_ERROR, AQMP_ERROR_FAILED));
      line_trace_expect (line_protocol_get_trace (protocol), "connecting establish ended(failed) disconnecting idle");
      mock_block_done (mock);
      check_usable (protocol);
      end_object (&protocol);
    }
}

/* What is not returned at once is not what this call runs, but what comes from elsewhere. */
static gpointer
return_task (gpointer task)
{
  g_task_return_boolean (task, TRUE);
  g_object_unref (task);
  return NULL;
}

typedef struct
{
  LineProtocol *protocol;
  GThread      *thread;
} Establishing;

static gboolean
return_in_thread (gpointer data)
{
  Establishing *establishing = data;

  establishing->thread = g_thread_new ("establishing", return_task, line_protocol_steal_task (establishing->protocol));
  return G_SOURCE_REMOVE;
}

/* Runs after establish_session() has kept the task. */
static void
return_later (LineProtocol *protocol,
              gpointer      establishing)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_callback (source, return_in_thread, establishing, NULL);
  g_source_attach (source, context);
}

static void
test_connect_asynchronous_establish (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  Establishing establishing = { protocol, NULL };
  g_autoptr (GError) error = NULL;
  Trap trap;

  mock_expect_eof (mock);
  line_protocol_when (protocol, LINE_ESTABLISH_SESSION, NULL, return_later, &establishing, LINE_KEEP_TASK);
  trap_set (&trap);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, &error);
  trap_check (&trap);
  g_assert_no_error (error);
  g_thread_join (establishing.thread);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running");
  check_thread (protocol);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
writing_returned (GObject      *protocol,
                  GAsyncResult *result,
                  gpointer      user_data)
{
  GError **error = user_data;

  g_assert_null (*error);
  g_assert_false (aqmp_protocol_write_message_finish (AQMP_PROTOCOL (protocol), result, error));
}

static void
write_and_forget (LineProtocol *protocol,
                  gpointer      data)
{
  g_autoptr (GBytes) message = g_bytes_new_static ("hi\n", 3);

  aqmp_protocol_write_message_async (AQMP_PROTOCOL (protocol), message, NULL, writing_returned, data);
}

/* establish_session() returns its task before what it writes is written. Nobody will run that context. */
static void
test_connect_before_written (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_when (protocol, LINE_ESTABLISH_SESSION, NULL, write_and_forget, &error, LINE_CHAIN_UP);
  open_blocking (protocol, &peer);
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "*not establishing a session*");
  disconnect_blocking (protocol);
  peer_expect (&peer, "hi\n");
  end_object (&protocol);
}

static void
test_connect_timeout (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  guint i;

  mock_expect_gone (mock);
  for (i = 0; i < 2; i++)
    {
      aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), i == 0 ? 1 : 30);
      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
      expect_connect_fails (protocol, mock_get_connectable (mock), NULL, &error);
      assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, i == 0 ? "* 1 ms*" : "* 30 ms*");
      g_clear_error (&error);
      mock_accept (mock);
      mock_expect_gone (mock);
    }
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 30000);
  check_usable (protocol);
  mock_abandon (g_steal_pointer (&mock));
  end_object (&protocol);
}

/* Its listener's queue is full, so it is tried again and again, until the time is over. */
static void
test_connect_timeout_busy (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  mock_fill_backlog (mock);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 30);
  expect_connect_fails (protocol, mock_get_connectable (mock), NULL, &error);
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "*30 ms");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_connect_cancelled_before (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  expect_connect_fails (protocol, mock_get_connectable (mock), cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_connect_cancelled (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  gint arrived = FALSE;
  Canceller canceller = { cancellable, &arrived };
  GThread *thread = g_thread_new ("canceller", cancel_when, &canceller);
  g_autoptr (GError) error = NULL;

  mock_expect_gone (mock);
  line_protocol_when (protocol, LINE_ESTABLISH_SESSION, NULL, raise_flag, &arrived, LINE_HANDSHAKE);
  expect_connect_fails (protocol, mock_get_connectable (mock), cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (error->message, ==, "Operation was cancelled");
  g_thread_join (thread);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static void
test_open (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Trap trap;

  trap_set (&trap);
  open_blocking (protocol, &peer);
  trap_check (&trap);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running");
  check_thread (protocol);

  /* It belongs to this context now, as after open_async. */
  peer_send (&peer, "one\n");
  wait_trace (protocol, "receive(one)");
  disconnect_blocking (protocol);
  peer_expect_eof (&peer);
  end_object (&protocol);
}

static void
test_open_closed (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_io_stream_close (stream, NULL, NULL);
  g_assert_false (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_open_peer_leaves (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  peer_close (&peer);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  g_assert_false (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_open_timeout (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 1);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  g_assert_false (aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (protocol), 30000);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- accept ------------------------------------------------------------------------------------------------------ */

/* A path, and a mock that will connect to it once it has something to do. */
typedef struct
{
  TestTmpDir     *dir;
  GSocketAddress *address;
  MockServer     *mock;
  LineProtocol   *protocol;
} Server;

static void
server_begin (Server *server)
{
  g_autofree char *path = NULL;

  server->dir = test_tmp_dir_new ();
  path = test_tmp_dir_build (server->dir, "s");
  server->address = g_unix_socket_address_new (path);
  server->mock = mock_new_connecting (server->address);
  server->protocol = line_protocol_new ();
}

static void
server_end (Server *server)
{
  end_object (&server->protocol);
  mock_finish (server->mock);
  g_object_unref (server->address);
  test_tmp_dir_free (server->dir);
}

static void
start_server (Server *server)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_start_server (AQMP_PROTOCOL (server->protocol), server->address, NULL, &error);
  g_assert_no_error (error);
}

static void
script_peer (Server *server)
{
  mock_send (server->mock, "one\n");
  mock_expect_eof (server->mock);
}

static void
finish_server (Server *server)
{
  g_assert_cmpint (get_state (server->protocol), ==, AQMP_RUNSTATE_RUNNING);
  check_thread (server->protocol);
  wait_trace (server->protocol, "receive(one)");
  disconnect_blocking (server->protocol);
  server_end (server);
}

static void
test_accept_peer_is_there (void)
{
  Server server;
  g_autoptr (GError) error = NULL;
  Trap trap;

  server_begin (&server);
  trap_set (&trap);
  start_server (&server);
  mock_send (server.mock, "one\n");
  mock_block_done (server.mock);
  g_assert_true (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), NULL, &error));
  trap_check (&trap);
  g_assert_no_error (error);
  mock_expect_eof (server.mock);
  finish_server (&server);
}

/* The loop has seen the peer before anybody accepts. */
static void
test_accept_peer_was_taken (void)
{
  Server server;
  g_autoptr (GError) error = NULL;
  Trap trap;

  server_begin (&server);
  start_server (&server);
  script_peer (&server);
  test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (server.protocol)) == NULL);
  trap_set (&trap);
  g_assert_true (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), NULL, &error));
  trap_check (&trap);
  g_assert_no_error (error);
  finish_server (&server);
}

static void
test_accept_peer_comes_later (void)
{
  Server server;
  g_autoptr (GError) error = NULL;
  Trap trap;

  server_begin (&server);
  start_server (&server);
  mock_pause (server.mock);
  mock_delay (server.mock, 20);
  script_peer (&server);
  mock_continue (server.mock);
  trap_set (&trap);
  g_assert_true (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), NULL, &error));
  trap_check (&trap);
  g_assert_no_error (error);
  finish_server (&server);
}

static void
check_accept_fails (gboolean taken)
{
  static const LineResult results[] = { LINE_RAISE, LINE_DROP_TASK, LINE_RETURN_ERROR };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (results); i++)
    {
      Server server;
      g_autoptr (GError) error = NULL;

      server_begin (&server);
      line_protocol_set (server.protocol, LINE_ESTABLISH_SESSION, results[i]);
      start_server (&server);
      mock_expect_eof (server.mock);
      if (taken)
        test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (server.protocol)) == NULL);
      aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (server.protocol), (guint) (test_bound_us () / 1000));
      g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), NULL, &error));
      g_assert_true (error->domain == LINE_ERROR || g_error_matches (error, AQMP_ERROR, AQMP_ERROR_FAILED));
      g_assert_cmpint (get_state (server.protocol), ==, AQMP_RUNSTATE_IDLE);
      mock_block_done (server.mock);
      check_usable (server.protocol);
      server_end (&server);
    }
}

static void
test_accept_establish_fails (void)
{
  check_accept_fails (FALSE);
}

static void
test_accept_establish_fails_after_peer_was_taken (void)
{
  check_accept_fails (TRUE);
}

static void
test_accept_wrong_state (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "*LineFull*“idle”*no server was started*");
  g_clear_error (&error);

  open_blocking (protocol, &peer);
  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "*LineFull*“running”*no server was started*");
  line_protocol_send (protocol, "still");
  peer_expect (&peer, "still\n");
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
test_accept_cancelled (void)
{
  Server server;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gint now = TRUE;
  Canceller canceller = { cancellable, &now };
  GThread *thread;
  g_autoptr (GError) error = NULL;

  server_begin (&server);
  start_server (&server);
  thread = g_thread_new ("canceller", cancel_when, &canceller);
  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  g_assert_cmpint (get_state (server.protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (server.protocol)));

  /* Cancelled before. */
  g_clear_error (&error);
  start_server (&server);
  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  check_usable (server.protocol);
  server_end (&server);
}

/* The peer does not speak: the timeout is counted from its arrival. */
static void
test_accept_timeout (void)
{
  Server server;
  g_autoptr (GError) error = NULL;

  server_begin (&server);
  line_protocol_set (server.protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (server.protocol), 20);
  start_server (&server);
  mock_delay (server.mock, 40);
  mock_expect_gone (server.mock);
  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (server.protocol), NULL, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session*");
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (server.protocol), 30000);
  check_usable (server.protocol);
  server_end (&server);
}

/* Not the thread that has started the server: its loop does the work. */
typedef struct
{
  LineProtocol *protocol;
  GCancellable *cancellable;  /* (nullable) */
  gboolean      succeeded;
  GError       *error;        /* (owned) (nullable) */
  gint          ended;        /* atomic */
} ThreadCall;

static gpointer
accept_in_thread (gpointer data)
{
  ThreadCall *call = data;

  call->succeeded = aqmp_protocol_accept_sync (AQMP_PROTOCOL (call->protocol), call->cancellable, &call->error);
  g_atomic_int_set (&call->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_accept_in_other_thread (void)
{
  Server server;
  ThreadCall call = { NULL };
  GThread *thread;

  server_begin (&server);
  start_server (&server);
  script_peer (&server);
  call.protocol = server.protocol;
  thread = g_thread_new ("caller", accept_in_thread, &call);
  test_wait_until (g_atomic_int_get (&call.ended));
  g_thread_join (thread);
  g_assert_no_error (call.error);
  g_assert_true (call.succeeded);
  finish_server (&server);
}

/* Nobody runs the owner's context, and the cancellable ends the wait all the same. */
static void
test_accept_in_other_thread_cancelled (void)
{
  Server server;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  ThreadCall call = { NULL, cancellable };
  GThread *thread;
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  server_begin (&server);
  start_server (&server);
  call.protocol = server.protocol;
  thread = g_thread_new ("caller", accept_in_thread, &call);
  g_thread_yield ();
  g_cancellable_cancel (cancellable);
  while (!g_atomic_int_get (&call.ended) && g_get_monotonic_time () < deadline)
    g_thread_yield ();
  g_assert_true (g_atomic_int_get (&call.ended));
  g_thread_join (thread);
  g_assert_false (call.succeeded);
  g_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&call.error);

  test_dispatch_pending ();
  disconnect_blocking (server.protocol);
  check_usable (server.protocol);
  server_end (&server);
}

/* The owner's loop runs: that is where the attempt ends, too. @timeout_ms: 0 for none; then it is cancelled */
static void
check_accept_given_up_elsewhere (guint timeout_ms)
{
  Server server;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  ThreadCall call = { NULL, cancellable };
  GThread *thread;

  server_begin (&server);
  line_protocol_set (server.protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  if (timeout_ms > 0)
    aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (server.protocol), timeout_ms);
  start_server (&server);
  mock_expect_gone (server.mock);
  call.protocol = server.protocol;
  thread = g_thread_new ("caller", accept_in_thread, &call);
  wait_trace (server.protocol, "establish");
  if (timeout_ms == 0)
    g_cancellable_cancel (cancellable);
  test_wait_until (g_atomic_int_get (&call.ended));
  g_thread_join (thread);
  g_assert_error (call.error, G_IO_ERROR, (timeout_ms > 0 ? (int) G_IO_ERROR_TIMED_OUT : (int) G_IO_ERROR_CANCELLED));
  g_clear_error (&call.error);
  g_assert_cmpint (get_state (server.protocol), ==, AQMP_RUNSTATE_IDLE);
  check_thread (server.protocol);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (server.protocol), 30000);
  check_usable (server.protocol);
  server_end (&server);
}

static void
test_accept_in_other_thread_cancelled_with_owner (void)
{
  check_accept_given_up_elsewhere (0);
}

static void
test_accept_in_other_thread_timeout (void)
{
  check_accept_given_up_elsewhere (20);
}

/* ---- start_server_and_accept ------------------------------------------------------------------------------------- */

static void
on_listening (AqmpProtocol *protocol,
              GParamSpec   *property,
              Server       *server)
{
  if (aqmp_protocol_get_listen_address (protocol) != NULL)
    script_peer (server);
}

static void
test_start_server_and_accept (void)
{
  Server server;
  g_autoptr (GError) error = NULL;
  Trap trap;

  server_begin (&server);
  g_signal_connect (server.protocol, "notify::listen-address", G_CALLBACK (on_listening), &server);
  trap_set (&trap);
  g_assert_true (aqmp_protocol_start_server_and_accept_sync (AQMP_PROTOCOL (server.protocol), server.address, NULL, &error));
  trap_check (&trap);
  g_assert_no_error (error);
  finish_server (&server);
}

static void
test_start_server_and_accept_fails (void)
{
  Server server;
  g_autoptr (GSocketAddress) nowhere = g_unix_socket_address_new ("/nonexistent/directory/s");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gint now = TRUE;
  Canceller canceller = { cancellable, &now };
  GThread *thread;
  g_autoptr (GError) error = NULL;

  server_begin (&server);
  g_assert_false (aqmp_protocol_start_server_and_accept_sync (AQMP_PROTOCOL (server.protocol), nowhere, NULL, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "Could not establish*");
  g_clear_error (&error);

  thread = g_thread_new ("canceller", cancel_when, &canceller);
  g_assert_false (aqmp_protocol_start_server_and_accept_sync (AQMP_PROTOCOL (server.protocol), server.address, cancellable,
                                                              &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  check_usable (server.protocol);
  server_end (&server);
}

/* ---- wrong states ------------------------------------------------------------------------------------------------ */

static void
test_begin_in_wrong_state (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new ("/nonexistent/s");
  g_auto (Peer) peer = PEER_INIT;
  g_auto (Peer) other = PEER_INIT;
  g_autoptr (GIOStream) stream = peer_connect (&other);
  LineProtocol *protocol = line_protocol_new ();
  AqmpProtocol *base = AQMP_PROTOCOL (protocol);
  GError *errors[3] = { NULL };
  guint i;

  open_blocking (protocol, &peer);
  g_assert_false (aqmp_protocol_connect_sync (base, mock_get_connectable (mock), NULL, &errors[0]));
  g_assert_false (aqmp_protocol_open_sync (base, stream, NULL, &errors[1]));
  g_assert_false (aqmp_protocol_start_server_and_accept_sync (base, address, NULL, &errors[2]));
  for (i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      assert_error_like (errors[i], AQMP_ERROR, AQMP_ERROR_STATE, "LineFull*“running”*disconnect it first");
      g_clear_error (&errors[i]);
    }
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running");
  disconnect_blocking (protocol);
  end_object (&protocol);
}

/* ---- disconnect -------------------------------------------------------------------------------------------------- */

/* What is queued goes out first, and what comes meanwhile is handled. */
static void
test_disconnect_flushes (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autofree char *big = g_strnfill (1000 * 1000, 'x');
  Trap trap;

  open_blocking (protocol, &peer);
  peer_echo (&peer);
  line_protocol_send (protocol, "first");
  line_protocol_send (protocol, big);
  trap_set (&trap);
  disconnect_blocking (protocol);
  trap_check (&trap);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "receive(first)"), ==, 1);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "ended(clean)"), ==, 1);
  end_object (&protocol);
}

static void
test_disconnect_idle (void)
{
  LineProtocol *protocol = line_protocol_new ();
  guint i;

  for (i = 0; i < 2; i++)
    disconnect_blocking (protocol);
  line_trace_expect (line_protocol_get_trace (protocol), "disconnecting idle disconnecting idle");
  check_thread (protocol);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_disconnect_reports_cause (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running ended(failed) disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

/* The end of file is there, and nobody has read it: leaving is no failure then. */
static void
test_disconnect_after_unseen_end (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();

  open_blocking (protocol, &peer);
  test_dispatch_pending ();
  peer_send (&peer, "last\n");
  peer_close (&peer);
  disconnect_blocking (protocol);
  line_trace_expect (line_protocol_get_trace (protocol),
                     "connecting establish running in(last) receive(last) ended(clean) disconnecting idle");
  end_object (&protocol);
}

static void
test_disconnect_flush_timeout (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;
  Trap trap;

  open_blocking (protocol, &peer);
  fill_queue (protocol);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 20);
  trap_set (&trap);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  trap_check (&trap);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 5000);

  /* At once. */
  open_blocking (protocol, &peer);
  fill_queue (protocol);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 0);
  disconnect_blocking (protocol);
  check_usable (protocol);
  end_object (&protocol);
}

/* It goes on without the one who has waited, where the session belongs. */
static void
test_disconnect_cancelled (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gint now = TRUE;
  Canceller canceller = { cancellable, &now };
  GThread *thread;
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  fill_queue (protocol);
  thread = g_thread_new ("canceller", cancel_when, &canceller);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);

  g_assert_cmpuint (peer_drain (&peer), >, 1000 * 1000);
  wait_state (protocol, AQMP_RUNSTATE_IDLE);
  check_usable (protocol);
  end_object (&protocol);
}

/* The flush timeout is not lost on the way back. */
static void
test_disconnect_cancelled_then_timeout (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  fill_queue (protocol);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 50);
  g_cancellable_cancel (cancellable);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 5000);
  check_usable (protocol);
  end_object (&protocol);
}

/* Somebody is disconnecting already: both get the result. */
static void
test_disconnect_joins_other (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;
  guint timeout_ms;

  for (timeout_ms = 0; timeout_ms <= 30; timeout_ms += 30)
    {
      gboolean in_time = timeout_ms == 0;

      open_blocking (protocol, &peer);
      aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), timeout_ms);
      fill_queue (protocol);
      line_disconnect (protocol, &slot);
      g_assert_cmpint (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error), ==, in_time);
      g_assert_cmpint (error == NULL, ==, in_time);
      g_assert_false (test_slot_is_done (&slot));
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
      g_clear_error (&error);
      g_assert_cmpint (finish_disconnect_of (protocol, &slot, &error), ==, in_time);
      if (!in_time)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_clear_error (&error);
    }

  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 5000);
  check_usable (protocol);
  end_object (&protocol);
}

/* Of a failed session, with the end of another disconnect scheduled. */
static void
test_disconnect_joins_other_after_failure (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_disconnect (protocol, &slot);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_clear_error (&error);
  g_assert_false (finish_disconnect_of (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_disconnect_while_connecting (void)
{
  static const LineResult results[] = { LINE_CHAIN_UP, LINE_HANDSHAKE, LINE_KEEP_TASK };
  guint i;

  for (i = 0; i < 2 * G_N_ELEMENTS (results); i++)
    {
      g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      LineProtocol *protocol = line_protocol_new ();
      g_autoptr (GError) error = NULL;
      Trap trap;

      mock_expect_gone (mock);
      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, results[i / 2]);
      aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
      if (i % 2 == 1 && results[i / 2] != LINE_CHAIN_UP)
        wait_trace (protocol, "establish");
      trap_set (&trap);
      disconnect_blocking (protocol);
      trap_check (&trap);
      g_assert_false (test_slot_is_done (&slot));
      g_assert_false (finish_connect (protocol, &slot, &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      if (results[i / 2] == LINE_KEEP_TASK && line_trace_count (line_protocol_get_trace (protocol), "establish") > 0)
        {
          g_autoptr (GTask) task = line_protocol_steal_task (protocol);

          g_task_return_boolean (task, TRUE);
        }
      check_usable (protocol);
      mock_abandon (g_steal_pointer (&mock));
      end_object (&protocol);
    }
}

static void
test_disconnect_while_listening (void)
{
  Server server;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  server_begin (&server);
  start_server (&server);
  disconnect_blocking (server.protocol);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (server.protocol)));

  start_server (&server);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (server.protocol), NULL, test_slot_callback, &slot);
  disconnect_blocking (server.protocol);
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_accept_finish (AQMP_PROTOCOL (server.protocol), result, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_object (&result);
  check_usable (server.protocol);
  server_end (&server);
}

static gpointer
disconnect_in_thread (gpointer data)
{
  ThreadCall *call = data;

  call->succeeded = aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (call->protocol), call->cancellable, &call->error);
  g_atomic_int_set (&call->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_disconnect_in_other_thread (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  ThreadCall call = { protocol };
  GThread *thread;

  open_blocking (protocol, &peer);
  thread = g_thread_new ("caller", disconnect_in_thread, &call);
  test_wait_until (g_atomic_int_get (&call.ended));
  g_thread_join (thread);
  g_assert_no_error (call.error);
  g_assert_true (call.succeeded);
  check_thread (protocol);
  line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running ended(clean) disconnecting idle");
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_disconnect_in_other_thread_cancelled (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  ThreadCall call = { protocol, cancellable };
  gint now = TRUE;
  Canceller canceller = { cancellable, &now };
  GThread *threads[2];

  open_blocking (protocol, &peer);
  threads[0] = g_thread_new ("caller", disconnect_in_thread, &call);
  threads[1] = g_thread_new ("canceller", cancel_when, &canceller);
  g_thread_join (threads[0]);
  g_thread_join (threads[1]);
  g_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&call.error);

  /* It happens all the same, once the owner's context runs. */
  wait_state (protocol, AQMP_RUNSTATE_IDLE);
  check_usable (protocol);
  end_object (&protocol);
}

/* ---- flush ------------------------------------------------------------------------------------------------------- */

static void
flush_blocking (LineProtocol *protocol)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 0);
}

static void
test_flush (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autofree char *big = g_strnfill (1000 * 1000, 'x');
  Trap trap;

  open_blocking (protocol, &peer);
  trap_set (&trap);
  flush_blocking (protocol);
  line_protocol_send (protocol, "one");
  flush_blocking (protocol);
  trap_check (&trap);
  peer_expect (&peer, "one\n");

  peer_echo (&peer);
  line_protocol_send (protocol, big);
  trap_set (&trap);
  flush_blocking (protocol);
  trap_check (&trap);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
test_flush_wrong_state (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "LineFull*“idle”*connect it first");
  g_clear_error (&error);

  open_blocking (protocol, &peer);
  peer_close (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "LineFull*“disconnecting”*");
  g_clear_error (&error);
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, NULL);
  check_usable (protocol);
  end_object (&protocol);
}

static void
test_flush_cancelled (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gint now = TRUE;
  Canceller canceller = { cancellable, &now };
  GThread *thread;
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  fill_queue (protocol);
  thread = g_thread_new ("canceller", cancel_when, &canceller);
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  g_clear_error (&error);

  /* Before, although nothing would have to be written. */
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);

  peer_echo (&peer);
  flush_blocking (protocol);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static void
test_flush_session_fails (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  fill_queue (protocol);
  peer_close (&peer);
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_nonnull (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));
  g_clear_error (&error);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error));
  check_usable (protocol);
  end_object (&protocol);
}

/* While the loop, or another blocking call before it, has begun one. */
static void
test_flush_joins_other (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GError) error = NULL;

  open_blocking (protocol, &peer);
  fill_queue (protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &slot);
  peer_echo (&peer);
  flush_blocking (protocol);
  g_assert_false (test_slot_is_done (&slot));
  g_assert_true (finish_flush (protocol, &slot, &error));
  g_assert_no_error (error);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

static gpointer
flush_in_thread (gpointer data)
{
  ThreadCall *call = data;

  call->succeeded = aqmp_protocol_flush_sync (AQMP_PROTOCOL (call->protocol), call->cancellable, &call->error);
  g_atomic_int_set (&call->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_flush_in_other_thread (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  ThreadCall call = { protocol };
  gint now = TRUE;
  Canceller canceller = { cancellable, &now };
  GThread *threads[2];

  open_blocking (protocol, &peer);
  fill_queue (protocol);

  /* Without the owner. */
  call.cancellable = cancellable;
  threads[0] = g_thread_new ("caller", flush_in_thread, &call);
  threads[1] = g_thread_new ("canceller", cancel_when, &canceller);
  g_thread_join (threads[0]);
  g_thread_join (threads[1]);
  g_assert_error (call.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&call.error);

  /* With it. */
  peer_echo (&peer);
  call = (ThreadCall) { protocol };
  threads[0] = g_thread_new ("caller", flush_in_thread, &call);
  test_wait_until (g_atomic_int_get (&call.ended));
  g_thread_join (threads[0]);
  g_assert_no_error (call.error);
  g_assert_true (call.succeeded);
  disconnect_blocking (protocol);
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/T3/connect-sync/before-written", test_connect_before_written);
  g_test_add_func ("/protocol/T3/connect-sync/success", test_connect);
  g_test_add_func ("/protocol/T3/connect-sync/in-own-context", test_connect_in_own_context);
  g_test_add_func ("/protocol/T3/connect-sync/no-server", test_connect_no_server);
  g_test_add_func ("/protocol/T3/connect-sync/establish-session-fails", test_connect_establish_fails);
  g_test_add_func ("/protocol/T3/connect-sync/asynchronous-establish-session", test_connect_asynchronous_establish);
  g_test_add_func ("/protocol/T3/connect-sync/timeout", test_connect_timeout);
  g_test_add_func ("/protocol/T3/connect-sync/timeout-of-a-busy-server", test_connect_timeout_busy);
  g_test_add_func ("/protocol/T3/connect-sync/cancelled-before", test_connect_cancelled_before);
  g_test_add_func ("/protocol/T3/connect-sync/cancelled-from-other-thread", test_connect_cancelled);

  g_test_add_func ("/protocol/T3/open-sync/success", test_open);
  g_test_add_func ("/protocol/T3/open-sync/closed-stream", test_open_closed);
  g_test_add_func ("/protocol/T3/open-sync/peer-leaves", test_open_peer_leaves);
  g_test_add_func ("/protocol/T3/open-sync/timeout", test_open_timeout);

  g_test_add_func ("/protocol/T3/accept-sync/peer-is-there", test_accept_peer_is_there);
  g_test_add_func ("/protocol/T3/accept-sync/peer-was-taken", test_accept_peer_was_taken);
  g_test_add_func ("/protocol/T3/accept-sync/peer-comes-later", test_accept_peer_comes_later);
  g_test_add_func ("/protocol/T3/accept-sync/establish-session-fails", test_accept_establish_fails);
  g_test_add_func ("/protocol/T3/accept-sync/establish-session-fails-after-peer-was-taken",
                   test_accept_establish_fails_after_peer_was_taken);
  g_test_add_func ("/protocol/T3/accept-sync/wrong-state", test_accept_wrong_state);
  g_test_add_func ("/protocol/T3/accept-sync/cancelled", test_accept_cancelled);
  g_test_add_func ("/protocol/T3/accept-sync/timeout", test_accept_timeout);
  g_test_add_func ("/protocol/T3/accept-sync/in-other-thread", test_accept_in_other_thread);
  g_test_add_func ("/protocol/T3/accept-sync/in-other-thread-cancelled", test_accept_in_other_thread_cancelled);
  g_test_add_func ("/protocol/T1/accept-sync/in-other-thread-cancelled-with-the-owner",
                   test_accept_in_other_thread_cancelled_with_owner);
  g_test_add_func ("/protocol/T1/accept-sync/in-other-thread-timeout", test_accept_in_other_thread_timeout);
  g_test_add_func ("/protocol/T3/start-server-and-accept-sync/success", test_start_server_and_accept);
  g_test_add_func ("/protocol/T3/start-server-and-accept-sync/fails", test_start_server_and_accept_fails);
  g_test_add_func ("/protocol/T3/begin-in-wrong-state", test_begin_in_wrong_state);

  g_test_add_func ("/protocol/T3/disconnect-sync/flushes", test_disconnect_flushes);
  g_test_add_func ("/protocol/T3/disconnect-sync/idle", test_disconnect_idle);
  g_test_add_func ("/protocol/T3/disconnect-sync/reports-the-cause", test_disconnect_reports_cause);
  g_test_add_func ("/protocol/T3/disconnect-sync/after-an-end-that-nobody-has-seen", test_disconnect_after_unseen_end);
  g_test_add_func ("/protocol/T3/disconnect-sync/flush-timeout", test_disconnect_flush_timeout);
  g_test_add_func ("/protocol/T3/disconnect-sync/cancelled", test_disconnect_cancelled);
  g_test_add_func ("/protocol/T3/disconnect-sync/cancelled-then-timeout", test_disconnect_cancelled_then_timeout);
  g_test_add_func ("/protocol/T3/disconnect-sync/joins-another", test_disconnect_joins_other);
  g_test_add_func ("/protocol/T3/disconnect-sync/joins-another-after-failure", test_disconnect_joins_other_after_failure);
  g_test_add_func ("/protocol/T3/disconnect-sync/while-connecting", test_disconnect_while_connecting);
  g_test_add_func ("/protocol/T3/disconnect-sync/while-listening", test_disconnect_while_listening);
  g_test_add_func ("/protocol/T3/disconnect-sync/in-other-thread", test_disconnect_in_other_thread);
  g_test_add_func ("/protocol/T3/disconnect-sync/in-other-thread-cancelled", test_disconnect_in_other_thread_cancelled);

  g_test_add_func ("/protocol/T3/flush-sync/success", test_flush);
  g_test_add_func ("/protocol/T3/flush-sync/wrong-state", test_flush_wrong_state);
  g_test_add_func ("/protocol/T3/flush-sync/cancelled", test_flush_cancelled);
  g_test_add_func ("/protocol/T3/flush-sync/session-fails", test_flush_session_fails);
  g_test_add_func ("/protocol/T3/flush-sync/joins-another", test_flush_joins_other);
  g_test_add_func ("/protocol/T3/flush-sync/in-other-thread", test_flush_in_other_thread);

  return g_test_run ();
}
