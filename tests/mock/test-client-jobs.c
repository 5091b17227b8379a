/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Jobs of a server that does what a real one does seldom or never. */

#include "sync-util.h"

#define JOB(status) "[{'id': 'other', 'status': 'running'}, {'id': 'job0', 'type': 'backup', 'status': '" status "'," \
                    "'current-progress': 1, 'total-progress': 4}]"

static void
script_jobs (MockServer *mock,
             const char *jobs)
{
  mock_expect (mock, "{'execute': 'query-jobs'}");
  mock_return (mock, jobs);
}

static void
expect_act (MockServer *mock,
            const char *command)
{
  g_autofree char *pattern = g_strdup_printf ("{'execute': '%s', 'arguments': {'id': 'job0'}}", command);

  mock_expect (mock, pattern);
}

static void
send_status (MockServer *mock,
             const char *status)
{
  g_autofree char *data = g_strdup_printf ("{'id': 'job0', 'status': '%s'}", status);

  mock_event (mock, "JOB_STATUS_CHANGE", data);
}

/* Only while a command is to be answered: else the client asks about some of these, if they come one by one. */
static void
send_end (MockServer *mock)
{
  send_status (mock, "waiting");
  send_status (mock, "pending");
  send_status (mock, "concluded");
  send_status (mock, "null");
}

static gboolean
finish (TestSlot  *slot,
        GError   **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GObject) job = g_async_result_get_source_object (result);

  return aqmp_job_run_finish (AQMP_JOB (job), result, error);
}

static gboolean
run (AqmpJob       *job,
     GCancellable  *cancellable,
     GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_job_run_async (job, cancellable, test_slot_callback, &slot);
  return finish (&slot, error);
}

static void
end_job (AqmpJob *job)
{
  gpointer watched = job;

  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (job), &watched);
  g_object_unref (job);
  g_assert_null (watched);
}

/* The job ends, and what the script says after that happens, once the answer was taken: an event that comes close behind it makes
   the client ask again. */
static void
run_until_running (MockServer *mock,
                   AqmpJob    *job)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  mock_pause (mock);
  send_status (mock, "null");
  aqmp_job_run_async (job, NULL, test_slot_callback, &slot);
  test_wait_until (g_strcmp0 (aqmp_job_get_status (job), "running") == 0);
  mock_continue (mock);
  finish (&slot, &error);
  g_assert_no_error (error);
}

typedef struct
{
  MockServer *mock;
  AqmpClient *client;
  AqmpJob    *job;
} Fixture;

/* Before anything is asked: what comes meanwhile makes the client ask again. */
static void
hear (Fixture    *fixture,
      const char *status)
{
  send_status (fixture->mock, status);
  test_wait_until (g_strcmp0 (aqmp_job_get_status (fixture->job), status) == 0);
}

static void
set_up (Fixture       *fixture,
        gconstpointer  data)
{
  fixture->mock = mock_new (MOCK_TRANSPORT_UNIX);
  mock_negotiate (fixture->mock, MOCK_GREETING_OOB);
  fixture->client = test_client_new (fixture->mock);
  fixture->job = aqmp_job_new (fixture->client, "job0");
  aqmp_job_set_progress_interval (fixture->job, 0);
}

static void
tear_down (Fixture       *fixture,
           gconstpointer  data)
{
  end_job (fixture->job);
  test_ping (fixture->client, fixture->mock);
  mock_expect_eof (fixture->mock);
  test_client_close (fixture->client);
  mock_finish (fixture->mock);
}

/* What was heard meanwhile is newer. */
static void
test_old_answer (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  mock_expect (fixture->mock, "{'execute': 'query-jobs'}");
  send_status (fixture->mock, "running");
  send_end (fixture->mock);
  mock_return (fixture->mock, JOB ("running"));
  script_jobs (fixture->mock, "[]");
  g_assert_true (run (fixture->job, NULL, &error) || error != NULL);
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_job_get_status (fixture->job), ==, "null");
}

static void
test_wrong_events (Fixture       *fixture,
                   gconstpointer  data)
{
  mock_event (fixture->mock, "JOB_STATUS_CHANGE", NULL);
  mock_event (fixture->mock, "JOB_STATUS_CHANGE", "{}");
  mock_event (fixture->mock, "JOB_STATUS_CHANGE", "{'id': 'job0'}");
  mock_event (fixture->mock, "JOB_STATUS_CHANGE", "{'status': 'null'}");
  mock_event (fixture->mock, "JOB_STATUS_CHANGE", "{'id': 'job0', 'status': 1}");
  mock_event (fixture->mock, "JOB_STATUS_CHANGE", "{'id': ['job0'], 'status': 'null'}");
  mock_event (fixture->mock, "BLOCK_JOB_COMPLETED", "{'device': 'job0', 'error': 5}");
  test_ping (fixture->client, fixture->mock);
  g_assert_null (aqmp_job_get_status (fixture->job));
  g_assert_null (aqmp_job_get_error (fixture->job));

  script_jobs (fixture->mock, "[1, null, {}, {'id': 2}, {'id': 'job0', 'status': 'running', 'total-progress': 'x'}]");
  run_until_running (fixture->mock, fixture->job);
}

static void
test_wrong_answer (Fixture       *fixture,
                   gconstpointer  data)
{
  static const char * const answers[] = { "{}", "1", "null", "'job0'" };
  gsize i;

  hear (fixture, "running");
  for (i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_autoptr (GError) error = NULL;

      script_jobs (fixture->mock, answers[i]);
      g_assert_false (run (fixture->job, NULL, &error));
      test_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, "query-jobs");
      g_assert_cmpstr (aqmp_job_get_status (fixture->job), ==, "running");
    }
}

/* Without an event nobody knows how. */
static void
test_vanished (Fixture       *fixture,
               gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  hear (fixture, "running");
  script_jobs (fixture->mock, "[]");
  g_assert_false (run (fixture->job, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB, "nobody has seen");
}

/* Somebody else was faster. */
static void
test_moved_on (Fixture       *fixture,
               gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  hear (fixture, "pending");
  script_jobs (fixture->mock, JOB ("pending"));
  expect_act (fixture->mock, "job-finalize");
  send_status (fixture->mock, "concluded");
  mock_error (fixture->mock, "GenericError", "Job 'job0' in state 'concluded' cannot accept command verb 'finalize'");
  script_jobs (fixture->mock, JOB ("concluded"));
  expect_act (fixture->mock, "job-dismiss");
  send_status (fixture->mock, "null");
  mock_error (fixture->mock, "DeviceNotActive", "Job not found");
  g_assert_true (run (fixture->job, NULL, &error) || error != NULL);
  g_assert_no_error (error);
  g_assert_cmpfloat (aqmp_job_get_progress (fixture->job), ==, 1.0);
}

/* And nothing else has happened to it. */
static void
test_refused (Fixture       *fixture,
              gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  script_jobs (fixture->mock, JOB ("ready"));
  expect_act (fixture->mock, "job-complete");
  mock_error (fixture->mock, "GenericError", "Not now");
  script_jobs (fixture->mock, JOB ("ready"));
  g_assert_false (run (fixture->job, NULL, &error));
  test_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR, "Not now");
}

static void
test_cancel_refused (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  script_jobs (fixture->mock, JOB ("running"));
  expect_act (fixture->mock, "job-cancel");
  mock_error (fixture->mock, "GenericError", "Never");
  script_jobs (fixture->mock, JOB ("running"));
  g_assert_false (run (fixture->job, cancellable, &error));
  test_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR, "Never");
}

/* It has succeeded before it could be cancelled. */
static void
test_cancel_too_late (Fixture       *fixture,
                      gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  script_jobs (fixture->mock, JOB ("running"));
  expect_act (fixture->mock, "job-cancel");
  send_end (fixture->mock);
  mock_error (fixture->mock, "DeviceNotActive", "Job not found");
  g_assert_true (run (fixture->job, cancellable, &error) || error != NULL);
  g_assert_no_error (error);
}

/* The server that is there now knows nothing of it; but what was seen to end has ended. */
static void
test_new_session (Fixture       *fixture,
                  gconstpointer  data)
{
  gboolean over = data != NULL;
  g_autoptr (GError) error = NULL;

  send_status (fixture->mock, "running");
  if (over)
    send_end (fixture->mock);
  test_ping (fixture->client, fixture->mock);
  mock_expect_eof (fixture->mock);
  test_disconnect (fixture->client, &error);
  g_assert_no_error (error);

  mock_accept (fixture->mock);
  mock_negotiate (fixture->mock, MOCK_GREETING_OOB);
  test_connect (fixture->client, fixture->mock, &error);
  g_assert_no_error (error);
  script_jobs (fixture->mock, "[]");
  run (fixture->job, NULL, &error);
  if (over)
    g_assert_no_error (error);
  else
    test_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB, "nobody has seen");
}

/* The last that is heard of the job, in a session that ends. */
static void
test_end_then_closed (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = NULL;
  g_autoptr (AqmpJob) job = NULL;

  mock_negotiate (mock, MOCK_GREETING_OOB);
  client = test_client_new (mock);
  job = aqmp_job_new (client, "job0");
  script_jobs (mock, JOB ("running"));
  run_until_running (mock, job);
  mock_close (mock);
}

static gpointer
run_and_give_up (gpointer user_data)
{
  Fixture *fixture = user_data;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (aqmp_job_run_sync (fixture->job, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  return NULL;
}

/* The owner does not run its context meanwhile; the job is cancelled when it does. */
static void
test_owner_does_not_run (Fixture       *fixture,
                         gconstpointer  data)
{
  g_thread_join (g_thread_new ("caller", run_and_give_up, fixture));
  expect_act (fixture->mock, "job-cancel");
  mock_return (fixture->mock, "{}");
}

/* --- Waiting for a status ----------------------------------------------------------------------------------------- */

static void
wait_status (Fixture     *fixture,
             const char  *status,
             GError     **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;

  aqmp_job_wait_status_async (fixture->job, status, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_job_wait_status_finish (fixture->job, result, error);
}

/* It stays until somebody dismisses it, and will not get ready any more. */
static void
test_kept_in_vain (Fixture       *fixture,
                   gconstpointer  data)
{
  gboolean failed = data != NULL;
  g_autoptr (GError) error = NULL;

  script_jobs (fixture->mock, failed ? "[{'id': 'job0', 'status': 'concluded', 'error': 'No space left'}]" : JOB ("concluded"));
  wait_status (fixture, "ready", &error);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB, failed ? "No space left" : "without having been");
  g_assert_true (failed ? aqmp_job_get_progress (fixture->job) < 1.0 : aqmp_job_get_progress (fixture->job) == 1.0);
}

/* That it is over is what is waited for. */
static void
test_kept (Fixture       *fixture,
           gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  script_jobs (fixture->mock, JOB ("concluded"));
  wait_status (fixture, "concluded", &error);
  g_assert_no_error (error);
}

/* The server does not answer the question about the job. */
static void
test_give_up_unanswered (Fixture       *fixture,
                         gconstpointer  data)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint asked;

  mock_expect (fixture->mock, "{'execute': 'query-jobs'}");
  asked = mock_pause (fixture->mock);
  mock_return (fixture->mock, "[]");
  if (data != NULL)
    aqmp_job_refresh_async (fixture->job, cancellable, test_slot_callback, &slot);
  else
    aqmp_job_wait_status_async (fixture->job, "ready", cancellable, test_slot_callback, &slot);
  mock_wait_reached (fixture->mock, asked);
  g_cancellable_cancel (cancellable);
  result = test_await (&slot);
  if (data != NULL)
    aqmp_job_refresh_finish (fixture->job, result, &error);
  else
    aqmp_job_wait_status_finish (fixture->job, result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  mock_continue (fixture->mock);
  /* The answer has come by then. */
  test_ping (fixture->client, fixture->mock);
}

/* --- Another session ---------------------------------------------------------------------------------------------- */

static void
reconnect (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  test_ping (fixture->client, fixture->mock);
  mock_expect_eof (fixture->mock);
  test_disconnect (fixture->client, &error);
  g_assert_no_error (error);

  mock_accept (fixture->mock);
  mock_negotiate (fixture->mock, MOCK_GREETING_OOB);
  test_connect (fixture->client, fixture->mock, &error);
  g_assert_no_error (error);
}

/* What it was in the session before does not count. */
static void
test_status_of_before (Fixture       *fixture,
                       gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  send_status (fixture->mock, "ready");
  reconnect (fixture);
  script_jobs (fixture->mock, "[]");
  wait_status (fixture, "ready", &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB);
}

/* It is another job that has the id now. */
static void
test_failure_of_before (Fixture       *fixture,
                        gconstpointer  data)
{
  send_status (fixture->mock, "aborting");
  send_status (fixture->mock, "concluded");
  reconnect (fixture);
  script_jobs (fixture->mock, JOB ("running"));
  run_until_running (fixture->mock, fixture->job);
}

/* The end of the job comes while a question about it is open, and then that of the session. */
static void
test_end_then_closed_unanswered (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = NULL;
  g_autoptr (AqmpJob) job = NULL;
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_OOB);
  client = test_client_new (mock);
  job = aqmp_job_new (client, "job0");
  mock_expect (mock, "{'execute': 'query-jobs'}");
  send_status (mock, "running");
  send_end (mock);
  mock_close (mock);
  run (job, NULL, &error);
  g_assert_no_error (error);
}

static void
run_blocking (AqmpClient *client,
              AqmpEvent  *event,
              Fixture    *fixture)
{
  g_autoptr (GError) error = NULL;

  mock_expect (fixture->mock, "{'execute': 'query-jobs'}");
  send_status (fixture->mock, "running");
  send_end (fixture->mock);
  mock_return (fixture->mock, "[]");
  script_jobs (fixture->mock, "[]");
  g_assert_true (aqmp_job_run_sync (fixture->job, NULL, &error) || error != NULL);
  g_assert_no_error (error);
}

static void
test_in_handler (Fixture       *fixture,
                 gconstpointer  data)
{
  g_signal_connect (fixture->client, "event::STOP", G_CALLBACK (run_blocking), fixture);
  mock_event (fixture->mock, "STOP", NULL);
  test_wait_until (g_strcmp0 (aqmp_job_get_status (fixture->job), "null") == 0);
}

#define ADD(path, data, func) g_test_add (path, Fixture, data, set_up, func, tear_down)

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  ADD ("/job/old-answer", NULL, test_old_answer);
  ADD ("/job/wrong/events", NULL, test_wrong_events);
  ADD ("/job/wrong/answer", NULL, test_wrong_answer);
  ADD ("/job/vanished", NULL, test_vanished);
  ADD ("/job/moved-on", NULL, test_moved_on);
  ADD ("/job/refused", NULL, test_refused);
  ADD ("/job/cancel/refused", NULL, test_cancel_refused);
  ADD ("/job/cancel/too-late", NULL, test_cancel_too_late);
  ADD ("/job/new-session/alive", NULL, test_new_session);
  ADD ("/job/new-session/over", "over", test_new_session);
  g_test_add_func ("/job/end-then-closed", test_end_then_closed);
  g_test_add_func ("/job/end-then-closed/unanswered", test_end_then_closed_unanswered);
  ADD ("/job/new-session/status-of-before", NULL, test_status_of_before);
  ADD ("/job/new-session/failure-of-before", NULL, test_failure_of_before);
  ADD ("/job/owner-does-not-run", NULL, test_owner_does_not_run);
  ADD ("/job/wait/kept", NULL, test_kept);
  ADD ("/job/wait/kept-in-vain", NULL, test_kept_in_vain);
  ADD ("/job/wait/kept-in-vain/failed", "failed", test_kept_in_vain);
  ADD ("/job/give-up-unanswered/wait", NULL, test_give_up_unanswered);
  ADD ("/job/give-up-unanswered/refresh", "refresh", test_give_up_unanswered);
  ADD ("/job/in-handler", NULL, test_in_handler);

  return g_test_run ();
}
