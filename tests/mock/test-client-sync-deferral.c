/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3: what is put off while the owner blocks: other calls' callbacks, and the handlers of signals. */

#include "sync-util.h"

#include <string.h>

#define N_ASYNC 100
#define MOST_DEFERRED 1024

/* ---- a story ----------------------------------------------------------------------------------------------------- */

/* What happened, in order: the numbers of calls that were called back, names of events, →N for states. */
typedef struct
{
  AqmpClient *client;
  MockServer *mock;
  GString    *text;
  guint       n_async;          /* calls begun */
  guint       n_called_back;
  guint       blocking_after;   /* after so many callbacks: a blocking call */
  guint       n_blocking;       /* how many, one after the other */
  gboolean    all_arrived;      /* block until everything scripted is done, too */
  gboolean    blocked;
} Story;

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Story      *story)
{
  g_string_append_printf (story->text, "%s ", aqmp_event_get_name (event));
}

static void
on_runstate (AqmpClient   *client,
             AqmpRunstate  runstate,
             Story        *story)
{
  g_string_append_printf (story->text, "→%d ", (int) runstate);
}

static void
on_notify_stream (AqmpClient *client,
                  GParamSpec *property,
                  Story      *story)
{
  g_string_append (story->text, "stream ");
}

static void
story_begin (Story        *story,
             MockGreeting  greeting)
{
  *story = (Story) { .mock = mock_new (MOCK_TRANSPORT_UNIX), .text = g_string_new (NULL) };
  story->client = sync_client_connect (story->mock, greeting);
  g_signal_connect (story->client, "event", G_CALLBACK (on_event), story);
  g_signal_connect (story->client, "runstate-changed", G_CALLBACK (on_runstate), story);
}

static void
story_end (Story *story)
{
  g_signal_handlers_disconnect_by_data (story->client, story);
  if (aqmp_protocol_get_runstate (AQMP_PROTOCOL (story->client)) == AQMP_RUNSTATE_RUNNING)
    mock_expect_eof (story->mock);
  sync_client_close (story->client);
  mock_finish (story->mock);
  g_string_free (story->text, TRUE);
}

#define expect_story(story, expected) g_assert_cmpstr ((story)->text->str, ==, expected)

/* Nothing of it is told before the loop runs. */
static void
make_blocking_calls (Story *story)
{
  g_autofree char *before = g_strdup (story->text->str);
  SyncTrap trap;
  guint i;

  sync_trap_set (&trap);
  for (i = 0; i < story->n_blocking; i++)
    sync_check (i % SYNC_N_FORMS, story->client, "blocking", "true");
  if (story->all_arrived)
    mock_block_done (story->mock);
  sync_trap_check (&trap);
  expect_story (story, before);
  g_string_append (story->text, "[blocked] ");
  story->blocked = TRUE;
}

static void
called_back (GObject      *object,
             GAsyncResult *result,
             gpointer      data)
{
  Story *story = data;
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, &error);
  if (node != NULL)
    g_string_append_printf (story->text, "%d ", (int) json_node_get_int (node));
  else
    {
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      g_string_append (story->text, "interrupted ");
    }

  if (++story->n_called_back == story->blocking_after)
    make_blocking_calls (story);
}

static void
begin_calls (Story *story,
             guint  n_calls)
{
  guint i;

  for (i = 0; i < n_calls; i++)
    aqmp_client_execute_async (story->client, "c", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, called_back, story);
  story->n_async += n_calls;
}

/* The mock takes them. */
static void
expect_calls (Story *story,
              guint  n_calls)
{
  guint i;

  for (i = 0; i < n_calls; i++)
    mock_expect (story->mock, "{'execute': 'c'}");
}

/* The @from-th request to the @to-th are answered with their numbers. */
static void
answer (Story *story,
        guint  from,
        guint  to)
{
  guint i;

  for (i = from; i <= to; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      mock_return_to (story->mock, i, number);
    }
}

static void
append_numbers (GString *text,
                guint    from,
                guint    to)
{
  guint i;

  for (i = from; i <= to; i++)
    g_string_append_printf (text, "%u ", i);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

/* A program with a loop and 100 calls under way makes a blocking call in the callback of the first. */
static void
check_callbacks_deferred (gboolean all_arrived,
                          guint    n_blocking)
{
  g_autoptr (GString) expected = g_string_new ("1 [blocked] ");
  Story story;
  guint i;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.blocking_after = 1;
  story.n_blocking = n_blocking;
  story.all_arrived = all_arrived;
  expect_calls (&story, N_ASYNC);
  answer (&story, 1, 1);
  mock_event (story.mock, "E0", NULL);
  answer (&story, 2, 30);
  for (i = 0; i < n_blocking; i++)
    {
      mock_expect (story.mock, "{'execute': 'blocking'}");
      answer (&story, 31 + 10 * i, 40 + 10 * i);
      mock_event (story.mock, i == 0 ? "E1" : "E2", NULL);
      mock_return_to (story.mock, N_ASYNC + 1 + i, "true");
    }
  answer (&story, 31 + 10 * n_blocking, N_ASYNC - 1);
  mock_event (story.mock, "E3", NULL);
  answer (&story, N_ASYNC, N_ASYNC);

  begin_calls (&story, N_ASYNC);
  test_wait_until (story.n_called_back == N_ASYNC);

  g_string_append (expected, "E0 ");
  append_numbers (expected, 2, 30);
  for (i = 0; i < n_blocking; i++)
    {
      append_numbers (expected, 31 + 10 * i, 40 + 10 * i);
      g_string_append (expected, i == 0 ? "E1 " : "E2 ");
    }
  append_numbers (expected, 31 + 10 * n_blocking, N_ASYNC - 1);
  g_string_append (expected, "E3 ");
  append_numbers (expected, N_ASYNC, N_ASYNC);
  expect_story (&story, expected->str);
  story_end (&story);
}

static void
test_callbacks_deferred (void)
{
  check_callbacks_deferred (FALSE, 1);
}

/* What comes behind the reply is there before the loop gets to what was deferred. */
static void
test_order_with_later (void)
{
  check_callbacks_deferred (TRUE, 1);
}

static void
test_several_blocking_calls (void)
{
  check_callbacks_deferred (FALSE, 2);
  check_callbacks_deferred (TRUE, 3);
}

/* Nothing but callbacks is deferred; and what comes later comes when the blocking call is over. */
static void
test_without_events (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  test_dispatch_pending ();
  story.n_blocking = 1;
  expect_calls (&story, 3);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  answer (&story, 1, 2);
  mock_return (story.mock, "true");
  mock_pause (story.mock);
  mock_event (story.mock, "E1", NULL);
  answer (&story, 3, 3);

  begin_calls (&story, 3);
  make_blocking_calls (&story);
  mock_continue (story.mock);
  mock_block_done (story.mock);
  test_wait_until (story.n_called_back == 3);
  expect_story (&story, "[blocked] 1 2 E1 3 ");
  story_end (&story);
}

static gboolean
block_in_dispatch (gpointer data)
{
  make_blocking_calls (data);
  return G_SOURCE_REMOVE;
}

/* Another source's dispatch, of a higher priority or of the same, while the transport's own is ready in the same turn. */
static void
check_in_dispatch (int priority)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.n_blocking = 1;
  story.all_arrived = TRUE;
  expect_calls (&story, 4);
  mock_event (story.mock, "E1", NULL);
  answer (&story, 1, 1);
  mock_pause (story.mock);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  answer (&story, 2, 2);
  mock_event (story.mock, "E2", NULL);
  mock_return (story.mock, "true");
  mock_event (story.mock, "E3", NULL);
  answer (&story, 3, 4);

  begin_calls (&story, 4);
  test_wait_until (story.n_called_back == 1);
  expect_story (&story, "E1 1 ");
  g_idle_add_full (priority, block_in_dispatch, &story, NULL);
  mock_continue (story.mock);
  test_wait_until (story.n_called_back == 4);
  expect_story (&story, "E1 1 [blocked] 2 E2 E3 3 4 ");
  story_end (&story);
}

static void
test_in_dispatch (void)
{
  check_in_dispatch (G_PRIORITY_HIGH);
  check_in_dispatch (G_PRIORITY_DEFAULT);
  check_in_dispatch (G_PRIORITY_LOW);
}

/* The transport was ready, too, in the turn in which another source blocks: what it then finds, be it the end, comes behind
   what was deferred. */
static gboolean
block_and_reset (gpointer data)
{
  Story *story = data;
  g_autoptr (GError) error = NULL;

  make_blocking_calls (story);
  /* Something that is left unread. */
  g_assert_null (aqmp_client_execute_full_sync (story->client, "unread", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, 1, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mock_continue (story->mock);
  mock_block_done (story->mock);
  return G_SOURCE_REMOVE;
}

static void
test_end_in_same_turn (void)
{
  /* Older than the transport's source, and of the same priority, so it is dispatched before. */
  g_autoptr (GSource) source = g_timeout_source_new (G_MAXINT);
  g_autoptr (GError) error = NULL;
  Story story;

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_attach (source, NULL);
  story_begin (&story, MOCK_GREETING_PLAIN);
  g_source_set_callback (source, block_and_reset, &story, NULL);
  test_dispatch_pending ();
  story.n_blocking = 1;
  mock_event (story.mock, "E1", NULL);
  mock_block_done (story.mock);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  mock_event (story.mock, "E2", NULL);
  mock_return (story.mock, "true");
  mock_pause (story.mock);
  mock_reset (story.mock);

  g_source_set_ready_time (source, 0);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (story.client)) == AQMP_RUNSTATE_DISCONNECTING);
  test_dispatch_pending ();
  expect_story (&story, "[blocked] E1 E2 →3 ");
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (story.client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  expect_story (&story, "[blocked] E1 E2 →3 →0 ");
  story_end (&story);
}

/* Without any loop before, and with one from then on. */
static void
test_loop_afterwards (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.n_blocking = 1;
  expect_calls (&story, 3);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  mock_event (story.mock, "E1", NULL);
  answer (&story, 1, 2);
  mock_return (story.mock, "true");
  answer (&story, 3, 3);
  mock_event (story.mock, "E2", NULL);

  begin_calls (&story, 3);
  make_blocking_calls (&story);
  test_wait_until (g_str_has_suffix (story.text->str, "E2 "));
  expect_story (&story, "[blocked] E1 1 2 3 E2 ");
  story_end (&story);
}

/* A deferred handler blocks itself: what that defers comes behind all the rest. */
static void
block_in_handler (AqmpClient *client,
                  AqmpEvent  *event,
                  Story      *story)
{
  make_blocking_calls (story);
}

static void
test_blocking_in_deferred_handler (void)
{
  Story story;
  gulong handler;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.n_blocking = 1;
  handler = g_signal_connect_after (story.client, "event::E1", G_CALLBACK (block_in_handler), &story);
  expect_calls (&story, 2);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  mock_event (story.mock, "E1", NULL);
  answer (&story, 1, 1);
  mock_event (story.mock, "E2", NULL);
  mock_return (story.mock, "true");
  mock_event (story.mock, "E3", NULL);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  answer (&story, 2, 2);
  mock_event (story.mock, "E4", NULL);
  mock_return (story.mock, "true");
  mock_event (story.mock, "E5", NULL);

  begin_calls (&story, 2);
  make_blocking_calls (&story);
  test_wait_until (g_str_has_suffix (story.text->str, "E5 "));
  expect_story (&story, "[blocked] E1 [blocked] 1 E2 E3 2 E4 E5 ");
  g_signal_handler_disconnect (story.client, handler);
  story_end (&story);
}

/* And one that runs the loop gets the rest inside. */
static void
run_loop_in_handler (AqmpClient *client,
                     AqmpEvent  *event,
                     Story      *story)
{
  test_wait_until (story->n_called_back == story->n_async);
  g_string_append (story->text, "ran ");
}

static void
test_loop_in_deferred_handler (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.n_blocking = 1;
  g_signal_connect (story.client, "event::E1", G_CALLBACK (run_loop_in_handler), &story);
  expect_calls (&story, 2);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  mock_event (story.mock, "E1", NULL);
  answer (&story, 1, 1);
  mock_event (story.mock, "E2", NULL);
  mock_return (story.mock, "true");
  mock_event (story.mock, "E3", NULL);
  answer (&story, 2, 2);

  begin_calls (&story, 2);
  make_blocking_calls (&story);
  test_wait_until (g_str_has_suffix (story.text->str, "ran "));
  expect_story (&story, "[blocked] E1 1 E2 E3 2 ran ");
  story_end (&story);
}

/* A flush that ends meanwhile is told before what comes later. */
static void
flush_done (GObject      *object,
            GAsyncResult *result,
            gpointer      data)
{
  Story *story = data;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_flush_finish (AQMP_PROTOCOL (object), result, &error);
  g_assert_no_error (error);
  g_string_append (story->text, "flushed ");
}

static void
test_flush_meanwhile (void)
{
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_autofree char *big = g_strnfill (1000 * 1000, 'x');
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.n_blocking = 1;
  story.all_arrived = TRUE;
  mock_expect (story.mock, "{'execute': 'c', 'arguments': '@ANY@'}");
  mock_expect (story.mock, "{'execute': 'blocking'}");
  mock_return (story.mock, "true");
  mock_event (story.mock, "E1", NULL);
  answer (&story, 1, 1);

  json_object_set_string_member (arguments, "big", big);
  aqmp_client_execute_async (story.client, "c", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, called_back, &story);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (story.client), NULL, flush_done, &story);
  make_blocking_calls (&story);
  test_wait_until (story.n_called_back == 1);
  expect_story (&story, "[blocked] flushed E1 1 ");
  story_end (&story);
}

/* ---- the bound --------------------------------------------------------------------------------------------------- */

typedef struct
{
  guint n_events;
  gint64 first;
  gint64 last;
} Numbers;

static void
note_number (AqmpClient *client,
             AqmpEvent  *event,
             Numbers    *numbers)
{
  gint64 n = json_object_get_int_member (aqmp_event_get_data (event), "n");

  if (numbers->n_events++ == 0)
    numbers->first = n;
  else
    g_assert_cmpint (n, ==, numbers->last + 1);
  numbers->last = n;
}

static void
send_numbered (MockServer *mock,
               guint       from,
               guint       to)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint i;

  for (i = from; i <= to; i++)
    g_string_append_printf (text, "{\"event\": \"NOTE\", \"data\": {\"n\": %u}}\r\n", i);
  mock_send (mock, text->str);
}

static void
check_bound (guint n_events,
             guint n_dropped)
{
  Story story;
  g_autofree char *message = g_strdup_printf ("dropped the oldest %u events", n_dropped);
  Numbers numbers = { 0 };
  TestLog *log;

  story_begin (&story, MOCK_GREETING_PLAIN);
  story.n_blocking = 1;
  g_signal_handlers_disconnect_by_data (story.client, &story);
  g_signal_connect (story.client, "event::NOTE", G_CALLBACK (note_number), &numbers);
  mock_expect (story.mock, "{'execute': 'blocking'}");
  send_numbered (story.mock, 1, n_events);
  mock_return (story.mock, "true");
  mock_pause (story.mock);
  send_numbered (story.mock, n_events + 1, n_events + 3);

  log = test_log_start ();
  make_blocking_calls (&story);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", message), ==, n_dropped > 0);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "dropped"), ==, n_dropped > 0);
  g_assert_cmpuint (test_log_count (log, (GLogLevelFlags) (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL),
                                    NULL, NULL), ==, 0);
  test_log_stop (log);
  g_assert_cmpuint (numbers.n_events, ==, 0);
  mock_continue (story.mock);
  test_wait_until (numbers.n_events == n_events - n_dropped + 3);
  g_assert_cmpint (numbers.first, ==, n_dropped + 1);
  g_assert_cmpint (numbers.last, ==, n_events + 3);

  /* They are counted once. */
  mock_expect (story.mock, "{'execute': 'blocking'}");
  send_numbered (story.mock, n_events + 4, n_events + 4);
  mock_return (story.mock, "true");
  log = test_log_start ();
  make_blocking_calls (&story);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "dropped"), ==, 0);
  test_log_stop (log);
  test_wait_until (numbers.last == n_events + 4);

  g_signal_handlers_disconnect_by_data (story.client, &numbers);
  story_end (&story);
}

static void
test_bound (void)
{
  check_bound (MOST_DEFERRED, 0);
  check_bound (MOST_DEFERRED + 1, 1);
  check_bound (MOST_DEFERRED + 2000, 2000);
}

/* Over several blocking calls, with no loop between them; the callback among the events stays. */
static void
test_bound_of_several_calls (void)
{
  Story story;
  Numbers numbers = { 0 };
  guint i;

  story_begin (&story, MOCK_GREETING_PLAIN);
  g_signal_handlers_disconnect_by_func (story.client, on_event, &story);
  g_signal_connect (story.client, "event::NOTE", G_CALLBACK (note_number), &numbers);
  expect_calls (&story, 1);
  begin_calls (&story, 1);
  for (i = 0; i < 20; i++)
    {
      mock_expect (story.mock, "{'execute': 'blocking'}");
      send_numbered (story.mock, 100 * i + 1, 100 * (i + 1));
      if (i == 0)
        answer (&story, 1, 1);
      mock_return_to (story.mock, i + 2, "true");
      story.n_blocking = 1;
      make_blocking_calls (&story);
    }
  g_assert_cmpuint (numbers.n_events, ==, 0);
  g_assert_cmpuint (story.n_called_back, ==, 0);
  test_dispatch_pending ();
  g_assert_cmpuint (numbers.n_events, ==, MOST_DEFERRED);
  g_assert_cmpint (numbers.last, ==, 2000);
  g_assert_cmpuint (story.n_called_back, ==, 1);

  g_signal_handlers_disconnect_by_data (story.client, &numbers);
  story_end (&story);
}

/* Nobody listens: nothing is kept. */
static void
test_unheard_events (void)
{
  Story story;
  TestLog *log;

  story_begin (&story, MOCK_GREETING_PLAIN);
  g_signal_handlers_disconnect_by_data (story.client, &story);
  story.n_blocking = 1;
  mock_expect (story.mock, "{'execute': 'blocking'}");
  send_numbered (story.mock, 1, 3000);
  mock_return (story.mock, "true");
  log = test_log_start ();
  make_blocking_calls (&story);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "dropped"), ==, 0);
  test_log_stop (log);
  g_assert_false (g_main_context_pending (NULL));
  story_end (&story);
}

/* ---- the session fails meanwhile --------------------------------------------------------------------------------- */

static void
fail_blocking_call (Story *story)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sync_call (SYNC_EXECUTE, story->client, "blocking", NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "closed the connection");
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (story->client)), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (story->client)), G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_null (aqmp_protocol_get_stream (AQMP_PROTOCOL (story->client)));
}

static void
script_failure (Story *story)
{
  expect_calls (story, 2);
  mock_expect (story->mock, "{'execute': 'blocking'}");
  mock_event (story->mock, "E1", NULL);
  answer (story, 1, 1);
  mock_event (story->mock, "E2", NULL);
  mock_close (story->mock);
  g_signal_connect (story->client, "notify::stream", G_CALLBACK (on_notify_stream), story);
  begin_calls (story, 2);
}

static void
disconnect_failed (Story *story)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (story->client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (story->client)), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (story->client)));
}

static void
connect_again (Story *story)
{
  g_autoptr (GError) error = NULL;

  mock_accept (story->mock);
  mock_negotiate (story->mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (story->client), mock_get_connectable (story->mock), NULL, &error);
  g_assert_no_error (error);
  sync_ping (story->client, story->mock);
}

/* The loop tells it, once and in order; then disconnect_sync reports the cause. */
static void
test_failure_told_by_loop (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  script_failure (&story);
  fail_blocking_call (&story);
  expect_story (&story, "");
  test_dispatch_pending ();
  expect_story (&story, "E1 1 E2 stream →3 interrupted ");
  disconnect_failed (&story);
  test_dispatch_pending ();
  expect_story (&story, "E1 1 E2 stream →3 interrupted →0 ");
  g_string_truncate (story.text, 0);
  connect_again (&story);
  test_dispatch_pending ();
  expect_story (&story, "→1 stream →2 ");
  story_end (&story);
}

/* No loop between them: of the states none overtakes another, not even those of the next session. */
static void
test_failure_told_by_disconnect_sync (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  script_failure (&story);
  fail_blocking_call (&story);
  disconnect_failed (&story);
  expect_story (&story, "stream →3 →0 ");
  connect_again (&story);
  expect_story (&story, "stream →3 →0 →1 stream →2 ");
  test_dispatch_pending ();
  expect_story (&story, "stream →3 →0 →1 stream →2 E1 1 E2 interrupted ");
  story_end (&story);
}

/* The same with the asynchronous form. */
static void
disconnect_done (GObject      *object,
                 GAsyncResult *result,
                 gpointer      data)
{
  Story *story = data;

  g_string_append (story->text, aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (object), result, NULL) ? "clean " : "ended ");
}

static void
test_failure_and_disconnect_async (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  script_failure (&story);
  fail_blocking_call (&story);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (story.client), NULL, disconnect_done, &story);
  expect_story (&story, "");
  test_wait_until (g_str_has_suffix (story.text->str, "ended "));
  expect_story (&story, "E1 1 E2 stream →3 interrupted →0 ended ");
  story_end (&story);
}

/* A virtual function disconnects while a blocking call waits: both states are deferred, and in order. */
static void
disconnect_in_vfunc (AqmpClient *client,
                     gpointer    data)
{
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, disconnect_done, data);
}

static void
test_disconnect_in_vfunc (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Story story = { .client = sync_client_new (), .mock = mock, .text = g_string_new (NULL) };
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'blocking'}");
  mock_event (mock, "POKE", NULL);
  mock_expect_eof (mock);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (story.client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (story.client, "runstate-changed", G_CALLBACK (on_runstate), &story);
  sync_client_once (story.client, SYNC_IN_FILTER_INBOUND, "POKE", disconnect_in_vfunc, &story);

  g_assert_null (sync_call (SYNC_EXECUTE, story.client, "blocking", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  expect_story (&story, "");
  test_wait_until (g_str_has_suffix (story.text->str, "clean "));
  expect_story (&story, "→3 →0 clean ");

  g_signal_handlers_disconnect_by_data (story.client, &story);
  sync_client_close (story.client);
  g_string_free (story.text, TRUE);
}

/* ---- the session ends afterwards --------------------------------------------------------------------------------- */

static void
defer_something (Story *story)
{
  expect_calls (story, 2);
  mock_expect (story->mock, "{'execute': 'blocking'}");
  mock_event (story->mock, "E1", NULL);
  answer (story, 1, 1);
  mock_return_to (story->mock, 3, "true");
  begin_calls (story, 2);
  story->n_blocking = 1;
  make_blocking_calls (story);
}

/* Right away, without a loop: it does not wait for anything that only a loop could do. */
static void
test_disconnect_sync_afterwards (void)
{
  Story story;
  guint i;

  for (i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;

      story_begin (&story, MOCK_GREETING_PLAIN);
      defer_something (&story);
      if (i == 1)
        {
          aqmp_protocol_flush_sync (AQMP_PROTOCOL (story.client), NULL, &error);
          g_assert_no_error (error);
        }
      mock_event (story.mock, "E2", NULL);
      mock_block_done (story.mock);
      mock_expect_eof (story.mock);
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (story.client), NULL, &error);
      g_assert_no_error (error);
      expect_story (&story, "[blocked] →3 →0 ");
      test_dispatch_pending ();
      expect_story (&story, "[blocked] →3 →0 E1 1 E2 interrupted ");
      story_end (&story);
    }
}

static void
test_disconnect_async_afterwards (void)
{
  Story story;

  story_begin (&story, MOCK_GREETING_PLAIN);
  defer_something (&story);
  mock_event (story.mock, "E2", NULL);
  mock_block_done (story.mock);
  mock_expect_eof (story.mock);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (story.client), NULL, disconnect_done, &story);
  test_wait_until (g_str_has_suffix (story.text->str, "clean "));
  expect_story (&story, "[blocked] E1 1 E2 →3 interrupted →0 clean ");
  story_end (&story);
}

/* And a loop that finds everything at once, much later. */
static void
test_many_sessions_without_loop (void)
{
  g_autoptr (GString) expected = g_string_new (NULL);
  Story story;
  guint i;

  story_begin (&story, MOCK_GREETING_PLAIN);
  for (i = 0; i < 10; i++)
    {
      mock_expect (story.mock, "{'execute': 'blocking'}");
      mock_event (story.mock, "E1", NULL);
      mock_return (story.mock, "true");
      mock_expect_eof (story.mock);
      sync_check (SYNC_EXECUTE, story.client, "blocking", "true");
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (story.client), NULL, NULL);
      mock_accept (story.mock);
      mock_negotiate (story.mock, MOCK_GREETING_PLAIN);
      aqmp_protocol_connect_sync (AQMP_PROTOCOL (story.client), mock_get_connectable (story.mock), NULL, NULL);
      g_string_append (expected, "→3 →0 →1 →2 ");
    }
  expect_story (&story, expected->str);
  for (i = 0; i < 10; i++)
    g_string_append (expected, "E1 ");
  test_dispatch_pending ();
  expect_story (&story, expected->str);
  sync_ping (story.client, story.mock);
  test_ping (story.client, story.mock);
  story_end (&story);
}

/* ---- events of connect_sync -------------------------------------------------------------------------------------- */

/* Those that came before the greeting are told by the loop, and not before somebody could connect to the signal. */
static void
test_events_of_connect_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (GString) names = g_string_new (NULL);
  AqmpClient *client;

  mock_event (mock, "E1", NULL);
  client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  mock_event (mock, "E2", NULL);
  sync_ping (client, mock);
  g_assert_cmpstr (names->str, ==, "");
  mock_event (mock, "E3", NULL);
  test_wait_until (g_str_has_suffix (names->str, "E3 "));
  g_assert_cmpstr (names->str, ==, "E1 E2 E3 ");
  mock_expect_eof (mock);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/T3/deferral/callbacks-in-order", test_callbacks_deferred);
  g_test_add_func ("/client/T3/deferral/in-order-with-later-ones", test_order_with_later);
  g_test_add_func ("/client/T3/deferral/several-blocking-calls", test_several_blocking_calls);
  g_test_add_func ("/client/T3/deferral/callbacks-only", test_without_events);
  g_test_add_func ("/client/T3/deferral/blocking-in-dispatch", test_in_dispatch);
  g_test_add_func ("/client/T3/deferral/end-in-the-same-turn", test_end_in_same_turn);
  g_test_add_func ("/client/T3/deferral/loop-afterwards", test_loop_afterwards);
  g_test_add_func ("/client/T3/deferral/blocking-in-deferred-handler", test_blocking_in_deferred_handler);
  g_test_add_func ("/client/T3/deferral/loop-in-deferred-handler", test_loop_in_deferred_handler);
  g_test_add_func ("/client/T3/deferral/flush-meanwhile", test_flush_meanwhile);

  g_test_add_func ("/client/T3/deferral/bound", test_bound);
  g_test_add_func ("/client/T3/deferral/bound-of-several-calls", test_bound_of_several_calls);
  g_test_add_func ("/client/T3/deferral/unheard-events", test_unheard_events);

  g_test_add_func ("/client/T3/deferral/failure-told-by-the-loop", test_failure_told_by_loop);
  g_test_add_func ("/client/T3/deferral/failure-told-by-disconnect-sync", test_failure_told_by_disconnect_sync);
  g_test_add_func ("/client/T3/deferral/failure-and-disconnect-async", test_failure_and_disconnect_async);
  g_test_add_func ("/client/T3/deferral/disconnect-in-virtual-function", test_disconnect_in_vfunc);

  g_test_add_func ("/client/T3/deferral/disconnect-sync-afterwards", test_disconnect_sync_afterwards);
  g_test_add_func ("/client/T3/deferral/disconnect-async-afterwards", test_disconnect_async_afterwards);
  g_test_add_func ("/client/T3/deferral/many-sessions-without-loop", test_many_sessions_without_loop);
  g_test_add_func ("/client/T3/deferral/events-of-connect-sync", test_events_of_connect_sync);

  return g_test_run ();
}
