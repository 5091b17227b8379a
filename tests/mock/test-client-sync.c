/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3: commands that wait for their reply: wherever the caller is, and what errors there are. */

#include "sync-util.h"

#include <string.h>
#include <unistd.h>

/* ---- wherever the caller is -------------------------------------------------------------------------------------- */

typedef struct
{
  SyncForm    form;
  AqmpClient *client;
  gboolean    elsewhere;   /* not in the owner's thread */
  gint        done;        /* atomic */
} Caller;

static void
script_calls (MockServer *mock)
{
  sync_script (mock, "works", "{'a': [1, 2.5]}");
  mock_expect (mock, "{'execute': 'fails'}");
  mock_error (mock, "GenericError", "it does not");
  sync_script (mock, "works-again", "'x'");
}

/* Success, an error of the server, one of the caller, and success again. */
static void
make_calls (Caller *caller)
{
  g_autoptr (GError) error = NULL;
  SyncTrap trap;

  if (!caller->elsewhere)
    sync_trap_set (&trap);

  sync_check (caller->form, caller->client, "works", "{\"a\":[1,2.5]}");
  g_assert_null (sync_call (caller->form, caller->client, "fails", NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
  g_assert_cmpstr (error->message, ==, "it does not");
  g_clear_error (&error);
  g_assert_null (sync_call (caller->form, caller->client, "\xff", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  sync_check (caller->form, caller->client, "works-again", "\"x\"");

  if (!caller->elsewhere)
    sync_trap_check (&trap);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (caller->client)), ==, AQMP_RUNSTATE_RUNNING);
  g_atomic_int_set (&caller->done, TRUE);
  g_main_context_wakeup (NULL);
}

static void
finish (Caller     *caller,
        MockServer *mock)
{
  g_assert_true (g_atomic_int_get (&caller->done));
  sync_ping (caller->client, mock);
  test_ping (caller->client, mock);
  mock_expect_eof (mock);
  sync_client_close (caller->client);
}

static void
test_without_loop (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form), sync_client_connect (mock, MOCK_GREETING_OOB) };

  script_calls (mock);
  make_calls (&caller);
  finish (&caller, mock);
}

/* A thread-default context, which nobody runs either. */
static void
test_without_loop_in_own_context (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GMainContext) context = g_main_context_new ();
  Caller caller = { GPOINTER_TO_INT (form) };

  g_main_context_push_thread_default (context);
  caller.client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  script_calls (mock);
  make_calls (&caller);
  finish (&caller, mock);
  g_main_context_pop_thread_default (context);
}

static gboolean
call_once (gpointer user_data)
{
  make_calls (user_data);
  return G_SOURCE_REMOVE;
}

static void
test_in_dispatch (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form) };

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  caller.client = test_client_new (mock);
  script_calls (mock);
  g_idle_add (call_once, &caller);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

static void
call_in_callback (GObject      *object,
                  GAsyncResult *result,
                  gpointer      user_data)
{
  Caller *caller = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = NULL;

  if (g_async_result_is_tagged (result, aqmp_client_execute_async))
    node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, &error);
  else
    aqmp_protocol_connect_finish (AQMP_PROTOCOL (object), result, &error);
  g_assert_no_error (error);
  make_calls (caller);
}

static void
test_in_callback (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form) };

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  caller.client = test_client_new (mock);
  sync_script (mock, "first", "1");
  script_calls (mock);
  aqmp_client_execute_async (caller.client, "first", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_in_callback, &caller);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

static void
test_in_connect_callback (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form), aqmp_client_new (NULL) };

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  script_calls (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (caller.client), mock_get_connectable (mock), NULL, call_in_callback, &caller);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Caller     *caller)
{
  make_calls (caller);
}

static void
test_in_event_handler (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form) };

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  caller.client = test_client_new (mock);
  g_signal_connect (caller.client, "event::STOP", G_CALLBACK (on_event), &caller);
  mock_event (mock, "STOP", NULL);
  script_calls (mock);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

/* Both events came during the handshake, and reading begins after them. */
static void
test_in_early_event_handler (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GString) names = g_string_new (NULL);
  Caller caller = { GPOINTER_TO_INT (form), aqmp_client_new (NULL) };
  g_autoptr (GError) error = NULL;

  mock_event (mock, "STOP", NULL);
  mock_event (mock, "RESUME", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_event (mock, "POWERDOWN", NULL);
  script_calls (mock);
  g_signal_connect (caller.client, "event", G_CALLBACK (test_note_event), names);
  g_signal_connect (caller.client, "event::STOP", G_CALLBACK (on_event), &caller);
  test_connect (caller.client, mock, &error);
  g_assert_no_error (error);
  test_wait_until (caller.done);
  g_assert_cmpstr (names->str, ==, "STOP ");
  test_dispatch_pending ();
  g_assert_cmpstr (names->str, ==, "STOP RESUME POWERDOWN ");
  finish (&caller, mock);
}

static void
on_running (AqmpClient   *client,
            AqmpRunstate  runstate,
            Caller       *caller)
{
  if (runstate == AQMP_RUNSTATE_RUNNING)
    make_calls (caller);
}

static void
test_in_runstate_handler (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form), aqmp_client_new (NULL) };
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  script_calls (mock);
  g_signal_connect (caller.client, "runstate-changed", G_CALLBACK (on_running), &caller);
  test_connect (caller.client, mock, &error);
  g_assert_no_error (error);
  finish (&caller, mock);
}

static void
test_in_runstate_handler_of_connect_sync (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form), aqmp_client_new (NULL) };
  g_autoptr (GError) error = NULL;
  SyncTrap trap;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  script_calls (mock);
  g_signal_connect (caller.client, "runstate-changed", G_CALLBACK (on_running), &caller);
  sync_trap_set (&trap);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (caller.client), mock_get_connectable (mock), NULL, &error);
  sync_trap_check (&trap);
  g_assert_no_error (error);
  finish (&caller, mock);
}

static void
on_idle (AqmpClient   *client,
         AqmpRunstate  runstate,
         Caller       *caller)
{
  g_autoptr (GError) error = NULL;

  if (runstate != AQMP_RUNSTATE_IDLE)
    return;

  g_assert_null (sync_call (caller->form, client, "never", NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "“idle”");
  caller->done = TRUE;
}

static void
test_in_runstate_handler_of_disconnect_sync (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form), sync_client_connect (mock, MOCK_GREETING_PLAIN) };

  mock_expect_eof (mock);
  g_signal_connect (caller.client, "runstate-changed", G_CALLBACK (on_idle), &caller);
  sync_client_close (caller.client);
  g_assert_true (caller.done);
}

static gpointer
call_in_thread (gpointer data)
{
  make_calls (data);
  return NULL;
}

static void
test_in_other_thread (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form), NULL, TRUE };
  GThread *thread;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  caller.client = test_client_new (mock);
  script_calls (mock);
  thread = g_thread_new ("caller", call_in_thread, &caller);
  test_wait_until (g_atomic_int_get (&caller.done));
  g_thread_join (thread);
  finish (&caller, mock);
}

/* The owner's loop runs inside one of its callbacks. */
static void
wait_in_callback (GObject      *object,
                  GAsyncResult *result,
                  gpointer      user_data)
{
  Caller *caller = user_data;
  G_GNUC_UNUSED g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, NULL);

  g_idle_add (call_once, caller);
  test_wait_until (caller->done);
}

static void
test_in_nested_loop (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form) };

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  caller.client = test_client_new (mock);
  sync_script (mock, "first", "1");
  script_calls (mock);
  aqmp_client_execute_async (caller.client, "first", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, wait_in_callback, &caller);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

/* Two clients, of which one blocks in what the other has called. */
static void
test_in_callback_of_other_client (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (MockServer) other_mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { GPOINTER_TO_INT (form) };
  AqmpClient *other;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  caller.client = test_client_new (mock);
  mock_negotiate (other_mock, MOCK_GREETING_PLAIN);
  other = test_client_new (other_mock);
  sync_script (other_mock, "first", "1");
  mock_expect_eof (other_mock);
  script_calls (mock);
  aqmp_client_execute_async (other, "first", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_in_callback, &caller);
  test_wait_until (caller.done);
  finish (&caller, mock);
  sync_client_close (other);
}

/* A callback, or a handler, is called from within message_received, and still free to block. */
static void
test_allowed_in_callback_of_subclass (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { SYNC_EXECUTE, sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN) };

  sync_script (mock, "first", "1");
  script_calls (mock);
  aqmp_client_execute_async (caller.client, "first", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_in_callback, &caller);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

static void
test_allowed_in_handler_of_subclass (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Caller caller = { SYNC_EXECUTE, sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN) };

  g_signal_connect (caller.client, "event", G_CALLBACK (on_event), &caller);
  mock_event (mock, "STOP", NULL);
  script_calls (mock);
  test_wait_until (caller.done);
  finish (&caller, mock);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void
expect_state_error (SyncForm    form,
                    AqmpClient *client,
                    const char *state,
                    const char *way_out)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sync_call (form, client, "never", NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, state);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, way_out);
}

static void
test_wrong_state (gconstpointer data)
{
  SyncForm form = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  expect_state_error (form, client, "“idle”", "connect it first");

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_close (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  expect_state_error (form, client, "“connecting”", "wait until it is connected");
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);

  test_wait_failed (client);
  expect_state_error (form, client, "“disconnecting”", "disconnect it");
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  expect_state_error (form, client, "“idle”", "connect it first");
}

static void
test_bad_reply (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'a'}");
  mock_send (mock, "{\"id\": @ID@, \"neither\": 1}\r\n");
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "a", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* What a tree cannot hold. */
static void
test_bad_tree (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GBytes) raw = NULL;
  g_autoptr (GError) error = NULL;

  sync_script (mock, "a", "'\\u0000'");
  g_assert_null (sync_call (SYNC_EXECUTE, client, "a", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);
  g_clear_error (&error);
  sync_script (mock, "a", "'\\u0000'");
  raw = aqmp_client_execute_raw_sync (client, "{\"execute\": \"a\"}", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (memmem (g_bytes_get_data (raw, NULL), g_bytes_get_size (raw), "\"\\u0000\"", 8));

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
check_closed_descriptors (AqmpClient  *client,
                          GUnixFDList *fd_list,
                          int          code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (aqmp_client_execute_full_sync (client, "getfd", NULL, fd_list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, code);
  g_clear_error (&error);
  g_assert_null (aqmp_client_execute_raw_sync (client, "{\"execute\": \"getfd\"}", fd_list, NULL, &error));
  g_assert_error (error, G_IO_ERROR, code);
}

static void
test_descriptors (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  g_autoptr (GUnixFDList) fd_list = g_unix_fd_list_new ();
  g_autoptr (JsonNode) tree = NULL;
  g_autoptr (GBytes) raw = NULL;
  g_autoptr (GError) error = NULL;

  g_unix_fd_list_append (fd_list, STDIN_FILENO, &error);
  g_assert_no_error (error);
  mock_expect_with_fds (mock, "{'execute': 'getfd'}", 1);
  mock_return (mock, "{}");
  tree = aqmp_client_execute_full_sync (client, "getfd", NULL, fd_list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL, &error);
  g_assert_no_error (error);
  mock_expect_with_fds (mock, "{'execute': 'getfd'}", 1);
  mock_return (mock, "{}");
  raw = aqmp_client_execute_raw_sync (client, "{\"execute\": \"getfd\"}", fd_list, NULL, &error);
  g_assert_no_error (error);

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_descriptors_over_tcp (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GUnixFDList) fd_list = g_unix_fd_list_new ();

  g_unix_fd_list_append (fd_list, STDIN_FILENO, NULL);
  check_closed_descriptors (client, fd_list, G_IO_ERROR_NOT_SUPPORTED);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* ---- the session fails ------------------------------------------------------------------------------------------- */

static void
test_peer_closes (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'a'}");
  mock_close (mock);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "a", NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "closed the connection");
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  expect_state_error (GPOINTER_TO_INT (form), client, "“disconnecting”", "disconnect it");

  g_clear_error (&error);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_clear_error (&error);

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* The reply to quit, and the end right behind it, which is no failure. */
static void
test_quit (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);

  mock_expect (mock, "{'execute': 'quit'}");
  mock_send (mock, "{\"event\": \"SHUTDOWN\"}\r\n{\"return\": {}, \"id\": @ID@}\r\n");
  mock_close (mock);
  sync_check (GPOINTER_TO_INT (form), client, "quit", "{}");
  mock_block_done (mock);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  sync_add_for_forms ("/client/T3/", "/without-main-loop", test_without_loop);
  sync_add_for_forms ("/client/T3/", "/without-main-loop-in-own-context", test_without_loop_in_own_context);
  sync_add_for_forms ("/client/T3/", "/in-dispatch", test_in_dispatch);
  sync_add_for_forms ("/client/T3/", "/in-callback", test_in_callback);
  sync_add_for_forms ("/client/T3/", "/in-connect-callback", test_in_connect_callback);
  sync_add_for_forms ("/client/T3/", "/in-event-handler", test_in_event_handler);
  sync_add_for_forms ("/client/T3/", "/in-handler-of-an-early-event", test_in_early_event_handler);
  sync_add_for_forms ("/client/T3/", "/in-runstate-handler", test_in_runstate_handler);
  sync_add_for_forms ("/client/T3/", "/in-runstate-handler-of-connect-sync", test_in_runstate_handler_of_connect_sync);
  sync_add_for_forms ("/client/T3/", "/in-runstate-handler-of-disconnect-sync", test_in_runstate_handler_of_disconnect_sync);
  sync_add_for_forms ("/client/T3/", "/in-other-thread", test_in_other_thread);
  sync_add_for_forms ("/client/T3/", "/in-nested-loop", test_in_nested_loop);
  sync_add_for_forms ("/client/T3/", "/in-callback-of-other-client", test_in_callback_of_other_client);
  sync_add_for_forms ("/client/T3/", "/wrong-state", test_wrong_state);
  sync_add_for_forms ("/client/T3/", "/bad-reply", test_bad_reply);
  g_test_add_func ("/client/T3/value-that-no-tree-holds", test_bad_tree);
  g_test_add_func ("/client/T3/descriptors", test_descriptors);
  g_test_add_func ("/client/T3/descriptors-over-tcp", test_descriptors_over_tcp);
  sync_add_for_forms ("/client/T3/", "/peer-closes", test_peer_closes);
  sync_add_for_forms ("/client/T3/", "/quit", test_quit);
  g_test_add_func ("/client/T3/allowed-in-callback-of-subclass", test_allowed_in_callback_of_subclass);
  g_test_add_func ("/client/T3/allowed-in-handler-of-subclass", test_allowed_in_handler_of_subclass);

  return g_test_run ();
}
