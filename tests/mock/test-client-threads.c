/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T2, T4: calls from anywhere, and callbacks that do anything. */

#include "client-util.h"

#include <string.h>

#define N_THREADS 4
#define N_CALLS 50

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

/* --- T2: other threads -------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpClient *client;
  guint       number;
  guint       n_calls;
  gboolean    raw;
  gint       *n_finished;  /* atomic */
} Caller;

/* Each call waits in a context of its thread, where its callback has to run: test_await() checks the thread. */
static gpointer
call_in_thread (gpointer data)
{
  Caller *caller = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < caller->n_calls; i++)
    {
      g_autofree char *command = g_strdup_printf (caller->raw ? "{\"execute\": \"t\", \"id\": \"%u-%u\"}" : "t-%u-%u",
                                                  caller->number, i);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      if (caller->raw)
        test_start_raw (caller->client, command, NULL, &slot);
      else
        test_start (caller->client, command, NULL, &slot);
      result = test_finish (&slot, &error);
      g_assert_no_error (error);
      g_assert_true (slot.thread == NULL || slot.thread == g_thread_self ());
    }
  g_main_context_pop_thread_default (context);

  g_atomic_int_inc (caller->n_finished);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
check_threads (gboolean raw)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  Caller callers[N_THREADS];
  GThread *threads[N_THREADS];
  int n_finished = 0;
  guint i;

  for (i = 0; i < N_THREADS * N_CALLS; i++)
    {
      mock_expect (mock, "{'execute': '@ANY@'}");
      mock_return (mock, "{'a': [1]}");
    }
  for (i = 0; i < N_THREADS; i++)
    {
      callers[i] = (Caller) { client, i, N_CALLS, raw, &n_finished };
      threads[i] = g_thread_new ("caller", call_in_thread, &callers[i]);
    }
  test_wait_until (g_atomic_int_get (&n_finished) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);

  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_execute_from_threads (void)
{
  check_threads (FALSE);
}

static void
test_execute_raw_from_threads (void)
{
  check_threads (TRUE);
}

/* The owner is asleep in its poll when another thread calls. */
static void
test_wakes_owner (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  int n_finished = 0;
  Caller caller = { client, 0, 1, FALSE, &n_finished };
  guint asleep;
  GThread *thread;

  asleep = mock_pause (mock);
  mock_expect (mock, "{'execute': 't-0-0'}");
  mock_return (mock, "1");
  mock_wait_reached (mock, asleep);
  test_dispatch_pending ();
  thread = g_thread_new ("caller", call_in_thread, &caller);
  mock_continue (mock);
  test_wait_until (g_atomic_int_get (&n_finished) == 1);
  g_thread_join (thread);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* In the owner's thread, but in another context than the owner's. */
static void
test_callers_context (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;

  g_main_context_push_thread_default (context);
  test_start (client, "a", NULL, &slot);
  g_main_context_pop_thread_default (context);

  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  test_ping (client, mock);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));

  g_main_context_push_thread_default (context);
  result = test_finish (&slot, NULL);
  g_main_context_pop_thread_default (context);
  g_assert_cmpstr (result, ==, "1");
  mock_expect_eof (mock);
  test_client_close (client);
}

/* The owner's context is not the default one: a thread of its own runs it. */
typedef struct
{
  MockServer   *mock;
  AqmpClient   *client;
  GMainContext *context;
  gint          ready;  /* atomic */
  gint          leave;  /* atomic */
} Owner;

static gpointer
own_session (gpointer data)
{
  Owner *owner = data;

  g_main_context_push_thread_default (owner->context);
  test_connect (owner->client, owner->mock, NULL);
  g_atomic_int_set (&owner->ready, TRUE);
  g_main_context_wakeup (NULL);
  while (!g_atomic_int_get (&owner->leave))
    g_main_context_iteration (owner->context, TRUE);
  g_main_context_pop_thread_default (owner->context);
  return NULL;
}

static void
test_owner_in_thread (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Owner owner = { mock, aqmp_client_new (NULL), g_main_context_new (), FALSE, FALSE };
  GThread *thread;
  guint i;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  thread = g_thread_new ("owner", own_session, &owner);
  test_wait_until (g_atomic_int_get (&owner.ready));
  for (i = 0; i < 100; i++)
    test_ping (owner.client, mock);

  /* Also disconnect may be called from here. */
  mock_expect_eof (mock);
  test_disconnect (owner.client, &error);
  g_assert_no_error (error);
  g_atomic_int_set (&owner.leave, TRUE);
  g_main_context_wakeup (owner.context);
  g_thread_join (thread);
  g_main_context_unref (owner.context);
  g_object_unref (owner.client);
}

/* Threads that cancel, at all times, what others execute: each call ends once, as one or the other. */
static gpointer
call_and_cancel (gpointer data)
{
  Caller *caller = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < caller->n_calls; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;
      guint turns;

      test_start (caller->client, "t", cancellable, &slot);
      for (turns = 0; turns < i % 7; turns++)
        g_thread_yield ();
      if (i % 3 != 0)
        g_cancellable_cancel (cancellable);
      result = test_finish (&slot, &error);
      if (result == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
  g_main_context_pop_thread_default (context);

  g_atomic_int_inc (caller->n_finished);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* How many arrive cannot be known; so this peer is not a script. */
static gpointer
answer_all (gpointer data)
{
  g_autoptr (GSocketConnection) peer = data;
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (peer));
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (peer));
  g_autoptr (GString) request = g_string_new (NULL);
  char byte;

  while (g_input_stream_read (input, &byte, 1, NULL, NULL) == 1)
    {
      g_autofree char *reply = NULL;

      g_string_append_c (request, byte);
      if (byte != '}')
        continue;
      /* {"execute":"t","id":"aqmp-N"} */
      reply = g_strdup_printf ("{\"return\":{},%s\r\n", g_strrstr (request->str, "\"id\""));
      if (!g_output_stream_write_all (output, reply, strlen (reply), NULL, NULL, NULL))
        break;
      g_string_truncate (request, 0);
    }
  return NULL;
}

static void
test_cancel_races (void)
{
  AqmpClient *client = aqmp_client_new (NULL);
  GSocketConnection *ours;
  GSocketConnection *theirs;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) opened = NULL;
  Caller callers[N_THREADS];
  GThread *threads[N_THREADS];
  GThread *peer;
  int n_finished = 0;
  guint n_calls = test_is_instrumented () ? 300 : 2000;
  guint i;

  test_socket_pair (&ours, &theirs);
  peer = g_thread_new ("peer", answer_all, theirs);
  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  aqmp_protocol_open_async (AQMP_PROTOCOL (client), G_IO_STREAM (ours), NULL, test_slot_callback, &slot);
  opened = test_await (&slot);
  g_assert_true (aqmp_protocol_open_finish (AQMP_PROTOCOL (client), opened, NULL));
  g_clear_object (&opened);
  g_object_unref (ours);

  for (i = 0; i < N_THREADS; i++)
    {
      callers[i] = (Caller) { client, i, n_calls, FALSE, &n_finished };
      threads[i] = g_thread_new ("caller", call_and_cancel, &callers[i]);
    }
  test_wait_until (g_atomic_int_get (&n_finished) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  test_client_close (client);
  g_thread_join (peer);
}

/* The last reference goes in another thread, while the owner may be dispatching. */
static gpointer
unref_in_thread (gpointer client)
{
  g_object_unref (client);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_unref_in_thread (void)
{
  guint i;

  for (i = 0; i < 50; i++)
    {
      g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
      AqmpClient *client = connect_to (mock);
      GWeakRef weak;
      GThread *thread;

      mock_flood (mock, "{\"event\": \"NOISE\"}\r\n", -1, 1024 * 1024 * 1024);
      g_weak_ref_init (&weak, client);
      thread = g_thread_new ("unref", unref_in_thread, client);
      while (TRUE)
        {
          g_autoptr (GObject) alive = g_weak_ref_get (&weak);

          if (alive == NULL)
            break;
          g_clear_object (&alive);
          g_main_context_iteration (NULL, FALSE);
        }
      g_thread_join (thread);
      g_weak_ref_clear (&weak);
    }
}

/* --- T4: callbacks do anything ------------------------------------------------------------------------------------ */

typedef struct
{
  AqmpClient *client;
  guint       n_left;
} Chain;

static void
call_next (GObject      *object,
           GAsyncResult *result,
           gpointer      data)
{
  Chain *chain = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
  if (--chain->n_left > 0)
    aqmp_client_execute_async (chain->client, "c", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_next, chain);
}

static void
test_call_in_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Chain chain = { connect_to (mock), 100 };
  guint i;

  for (i = 0; i < 100; i++)
    {
      mock_expect (mock, "{'execute': 'c'}");
      mock_return (mock, "1");
    }
  aqmp_client_execute_async (chain.client, "c", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_next, &chain);
  test_wait_until (chain.n_left == 0);
  mock_expect_eof (mock);
  test_client_close (chain.client);
}

static void
disconnect_in_callback (GObject      *object,
                        GAsyncResult *result,
                        gpointer      data)
{
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, NULL);

  g_assert_nonnull (node);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (object), NULL, test_slot_callback, data);
}

static void
test_disconnect_in_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = connect_to (mock);
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_client_execute_async (client, "a", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, disconnect_in_callback, &disconnected);
  test_start (client, "b", NULL, &other);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_return_to (mock, 1, "1");
  mock_expect_eof (mock);
  result = test_await (&disconnected);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  no_result = test_finish (&other, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

/* Both replies are in one read; after the first callback the session is another. */
typedef struct
{
  AqmpClient *client;
  MockServer *mock;
  gboolean    done;
} Reconnect;

static void
reconnect_in_callback (GObject      *object,
                       GAsyncResult *result,
                       gpointer      data)
{
  Reconnect *reconnect = data;
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (node);
  /* Runs the loop in here. */
  test_disconnect (reconnect->client, &error);
  g_assert_no_error (error);
  mock_accept (reconnect->mock);
  mock_negotiate (reconnect->mock, MOCK_GREETING_PLAIN);
  test_connect (reconnect->client, reconnect->mock, &error);
  g_assert_no_error (error);
  test_ping (reconnect->client, reconnect->mock);
  reconnect->done = TRUE;
}

static void
test_reconnect_in_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  Reconnect reconnect = { client, mock, FALSE };
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_client_execute_async (client, "a", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, reconnect_in_callback, &reconnect);
  test_start (client, "b", NULL, &other);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_send (mock, "{\"return\": 1, \"id\": @ID:1@}{\"event\": \"STOP\"}");
  mock_expect_eof (mock);
  test_wait_until (reconnect.done);
  no_result = test_finish (&other, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* The last reference, in a callback and in a handler. */
static void
unref_in_callback (GObject      *object,
                   GAsyncResult *result,
                   gpointer      data)
{
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, NULL);

  g_assert_nonnull (node);
  g_object_unref (object);
}

static void
test_unref_in_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  aqmp_client_execute_async (client, "a", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, unref_in_callback, NULL);
  mock_expect (mock, "{'execute': 'a'}");
  mock_send (mock, "{\"return\": 1, \"id\": @ID@}{\"event\": \"STOP\"}{\"event\": \"RESUME\"}");
  mock_expect_eof (mock);
  test_wait_until (watched == NULL);
}

static void
unref_in_handler (AqmpClient *client,
                  AqmpEvent  *event,
                  gpointer    data)
{
  g_object_unref (client);
}

static void
test_unref_in_handler (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_signal_connect (client, "event::STOP", G_CALLBACK (unref_in_handler), NULL);
  mock_send (mock, "{\"event\": \"STOP\"}{\"event\": \"RESUME\"}");
  mock_expect_eof (mock);
  test_wait_until (watched == NULL);
}

static void
unref_when_connected (GObject      *object,
                      GAsyncResult *result,
                      gpointer      data)
{
  g_assert_true (aqmp_protocol_connect_finish (AQMP_PROTOCOL (object), result, NULL));
  g_object_unref (object);
}

static void
test_unref_when_connected (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  mock_event (mock, "STOP", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, unref_when_connected, NULL);
  test_wait_until (watched == NULL);
}

/* A handler that waits for a call: the loop runs inside it, and what comes meanwhile comes in order. */
static void
call_in_handler (AqmpClient *client,
                 AqmpEvent  *event,
                 GString    *names)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_note_event (client, event, names);
  if (!g_str_equal (aqmp_event_get_name (event), "E1"))
    return;
  result = test_execute (client, "inside", NULL, &error);
  g_assert_no_error (error);
  g_string_append (names, "called ");
}

static void
test_loop_in_handler (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) names = g_string_new (NULL);

  g_signal_connect (client, "event", G_CALLBACK (call_in_handler), names);
  mock_send (mock, "{\"event\": \"E1\"}{\"event\": \"E2\"}");
  mock_expect (mock, "{'execute': 'inside'}");
  mock_send (mock, "{\"event\": \"E3\"}{\"return\": 1, \"id\": @ID@}{\"event\": \"E4\"}");
  test_wait_until (strstr (names->str, "called") != NULL);
  test_ping (client, mock);
  g_assert_cmpstr (names->str, ==, "E1 E2 E3 E4 called ");
  g_signal_handlers_disconnect_by_data (client, names);
  mock_expect_eof (mock);
  test_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/T2/execute-from-threads", test_execute_from_threads);
  g_test_add_func ("/client/T2/execute-raw-from-threads", test_execute_raw_from_threads);
  g_test_add_func ("/client/T2/call-wakes-the-owner", test_wakes_owner);
  g_test_add_func ("/client/T2/callback-in-the-callers-context", test_callers_context);
  g_test_add_func ("/client/T2/owner-in-another-thread", test_owner_in_thread);
  g_test_add_func ("/client/T2/cancel-races-with-replies", test_cancel_races);
  g_test_add_func ("/client/T2/last-reference-in-another-thread", test_unref_in_thread);
  g_test_add_func ("/client/T4/call-in-a-callback", test_call_in_callback);
  g_test_add_func ("/client/T4/disconnect-in-a-callback", test_disconnect_in_callback);
  g_test_add_func ("/client/T4/reconnect-in-a-callback", test_reconnect_in_callback);
  g_test_add_func ("/client/T4/last-reference-in-a-callback", test_unref_in_callback);
  g_test_add_func ("/client/T4/last-reference-in-a-handler", test_unref_in_handler);
  g_test_add_func ("/client/T4/last-reference-when-connected", test_unref_when_connected);
  g_test_add_func ("/client/T4/loop-in-a-handler", test_loop_in_handler);

  return g_test_run ();
}
