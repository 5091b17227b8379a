/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Jobs of a real storage daemon that do not succeed, and calls that do not. */

#include "job-util.h"

#define MIB (1024 * 1024)
#define ENDLESS (256 * (guint64) MIB)

/* --- Cancelling --------------------------------------------------------------------------------------------------- */

static AqmpJob *
begin_endless (Daemon *daemon)
{
  AqmpJob *job;

  daemon_add_pair (daemon, ENDLESS);
  job = aqmp_job_new (daemon->client, "backup0");
  daemon_start_endless (daemon, "backup0");
  return job;
}

static void
test_cancel (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  job = begin_endless (&daemon);
  aqmp_job_run_async (job, cancellable, test_slot_callback, &slot);
  job_check_wait (job, "running");
  daemon_settle (&daemon);
  g_assert_false (test_slot_is_done (&slot));

  g_cancellable_cancel (cancellable);
  g_assert_false (job_finish_run (&slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "null");
  test_slot_clear (&slot);
  job_end (job);
  daemon_end (&daemon);
}

/* Before it is even begun. */
static void
test_cancelled_before (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  job = begin_endless (&daemon);
  g_cancellable_cancel (cancellable);
  g_assert_false (job_wait_status (job, "ready", cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (job_run (job, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "null");
  job_end (job);
  daemon_end (&daemon);
}

/* While it is ready, and has to be dismissed by hand. */
static void
test_cancel_ready (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  daemon_do (&daemon, "blockdev-mirror", "{'job-id': 'mirror0', 'device': 'source', 'target': 'target', 'sync': 'full',"
             "'auto-finalize': false, 'auto-dismiss': false}");
  job_check_wait (job, "ready");
  g_cancellable_cancel (cancellable);
  g_assert_false (job_run (job, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  job_end (job);
  daemon_end (&daemon);
}

static void
test_cancelled_by_another (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  job = begin_endless (&daemon);
  aqmp_job_run_async (job, NULL, test_slot_callback, &slot);
  daemon_do (&daemon, "job-cancel", "{'id': 'backup0'}");
  g_assert_false (job_finish_run (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB);
  test_slot_clear (&slot);
  job_end (job);
  daemon_end (&daemon);
}

/* --- I/O errors --------------------------------------------------------------------------------------------------- */

static void
test_io_error (gconstpointer data)
{
  const char *side = data;
  gboolean on_target = g_str_equal (side, "target");
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_null (&daemon, "good", MIB);
  daemon_add_failing (&daemon, "bad", MIB, on_target ? "write" : "read", FALSE);
  job = aqmp_job_new (daemon.client, "backup0");
  daemon_do (&daemon, "blockdev-backup", "{'job-id': 'backup0', 'device': '%s', 'target': '%s', 'sync': 'full',"
             "'on-%s-error': 'report'}", on_target ? "good" : "bad", on_target ? "bad" : "good", side);
  g_assert_false (job_run (job, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB);
  g_assert_nonnull (g_strrstr (error->message, "Input/output error"));
  g_assert_cmpstr (aqmp_job_get_error (job), ==, "Input/output error");
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "null");
  job_end (job);
  daemon_end (&daemon);
}

/* It waits for somebody, and then succeeds. */
static void
test_io_error_stop (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_null (&daemon, "good", MIB);
  daemon_add_failing (&daemon, "bad", MIB, "write", TRUE);
  job = aqmp_job_new (daemon.client, "backup0");
  daemon_do (&daemon, "blockdev-backup", "{'job-id': 'backup0', 'device': 'good', 'target': 'bad', 'sync': 'full',"
             "'on-target-error': 'stop'}");
  job_check_wait (job, "paused");
  aqmp_job_run_async (job, NULL, test_slot_callback, &slot);
  daemon_settle (&daemon);
  g_assert_false (test_slot_is_done (&slot));
  daemon_do (&daemon, "job-resume", "{'id': 'backup0'}");
  g_assert_true (job_finish_run (&slot, &error));
  g_assert_no_error (error);
  test_slot_clear (&slot);
  job_end (job);
  daemon_end (&daemon);
}

static void
test_io_error_ignore (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_null (&daemon, "good", MIB);
  daemon_add_failing (&daemon, "bad", MIB, "write", TRUE);
  job = aqmp_job_new (daemon.client, "backup0");
  daemon_do (&daemon, "blockdev-backup", "{'job-id': 'backup0', 'device': 'good', 'target': 'bad', 'sync': 'full',"
             "'on-target-error': 'ignore'}");
  job_check_run (job);
  job_end (job);
  daemon_end (&daemon);
}

/* --- No job, no session ------------------------------------------------------------------------------------------- */

static void
test_not_found (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  job = aqmp_job_new (daemon.client, "nothing");
  g_assert_false (job_run (job, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (job_wait_status (job, "ready", NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (job_refresh (job, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  job_end (job);
  daemon_end (&daemon);
}

static void
test_idle (void)
{
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr (AqmpJob) job = aqmp_job_new (client, "job0");
  g_autoptr (GError) error = NULL;

  g_assert_false (job_run (job, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);
  g_assert_false (aqmp_job_run_sync (job, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
}

/* It ends without it, and that is told. */
static void
test_wait_in_vain (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "backup0");
  daemon_do (&daemon, "blockdev-backup", "{'job-id': 'backup0', 'device': 'source', 'target': 'target', 'sync': 'full'}");
  g_assert_false (job_wait_status (job, "ready", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB);
  job_end (job);
  daemon_end (&daemon);
}

/* The daemon dies. The program has dropped the object meanwhile. */
static void
test_interrupted (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  job = begin_endless (&daemon);
  aqmp_job_run_async (job, NULL, test_slot_callback, &slot);
  job_check_wait (job, "running");
  daemon_settle (&daemon);
  g_object_unref (job);
  daemon_settle (&daemon);
  g_assert_false (test_slot_is_done (&slot));
  qemu_kill (daemon.qemu);
  g_assert_false (job_finish_run (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  test_slot_clear (&slot);
}

/* --- Blocking ----------------------------------------------------------------------------------------------------- */

static gboolean
spring (gpointer n_sprung)
{
  ++*(guint *) n_sprung;
  return G_SOURCE_REMOVE;
}

/* Nothing of the program's runs. */
static void
test_sync (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GError) error = NULL;
  GString *statuses;
  guint n_sprung = 0;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  statuses = job_record (job);
  daemon_do (&daemon, "blockdev-mirror", "{'job-id': 'mirror0', 'device': 'source', 'target': 'target', 'sync': 'full'}");
  test_dispatch_pending ();
  g_string_truncate (statuses, 0);
  g_idle_add_full (G_PRIORITY_HIGH, spring, &n_sprung, NULL);
  aqmp_job_wait_status_sync (job, "ready", NULL, &error);
  g_assert_no_error (error);
  aqmp_job_refresh_sync (job, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "mirror");
  aqmp_job_run_sync (job, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "null");
  g_assert_cmpuint (n_sprung, ==, 0);
  g_assert_cmpstr (statuses->str, ==, "");
  test_dispatch_pending ();
  g_assert_true (g_str_has_suffix (statuses->str, "null"));
  job_end (job);
  daemon_end (&daemon);
}

static gpointer
run_in_thread (gpointer job)
{
  g_autoptr (GError) error = NULL;

  aqmp_job_wait_status_sync (job, "ready", NULL, &error);
  g_assert_no_error (error);
  aqmp_job_refresh_sync (job, NULL, &error);
  g_assert_no_error (error);
  aqmp_job_run_sync (job, NULL, &error);
  g_assert_no_error (error);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_thread (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  GThread *thread;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  daemon_do (&daemon, "blockdev-mirror", "{'job-id': 'mirror0', 'device': 'source', 'target': 'target', 'sync': 'full'}");
  thread = g_thread_new ("caller", run_in_thread, job);
  test_wait_until (g_strcmp0 (aqmp_job_get_status (job), "null") == 0);
  /* The run still has to come to its end here. */
  job_check_run (job);
  g_thread_join (thread);
  job_end (job);
  daemon_end (&daemon);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/job/cancel/running", test_cancel);
  g_test_add_func ("/job/cancel/before", test_cancelled_before);
  g_test_add_func ("/job/cancel/ready", test_cancel_ready);
  g_test_add_func ("/job/cancel/by-another", test_cancelled_by_another);
  g_test_add_data_func ("/job/io-error/target", "target", test_io_error);
  g_test_add_data_func ("/job/io-error/source", "source", test_io_error);
  g_test_add_func ("/job/io-error/stop", test_io_error_stop);
  g_test_add_func ("/job/io-error/ignore", test_io_error_ignore);
  g_test_add_func ("/job/not-found", test_not_found);
  g_test_add_func ("/job/idle", test_idle);
  g_test_add_func ("/job/wait-in-vain", test_wait_in_vain);
  g_test_add_func ("/job/interrupted", test_interrupted);
  g_test_add_func ("/job/sync/no-loop", test_sync);
  g_test_add_func ("/job/sync/thread", test_thread);

  return g_test_run ();
}
