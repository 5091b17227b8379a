/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Jobs of a real storage daemon that succeed. */

#include "job-util.h"

#define MIB (1024 * 1024)
#define N_JOBS 200
#define N_TIMES 20

/* --- Each kind ---------------------------------------------------------------------------------------------------- */

static void
start_create (Daemon     *daemon,
              const char *id)
{
  daemon_do (daemon, "blockdev-create", "{'job-id': '%s', 'options': {'driver': 'file', 'filename': '%s/%s.raw',"
             "'size': 65536}}", id, qemu_get_directory (daemon->qemu), id);
}

/* A job that is not dismissed by itself. */
static void
test_create (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autofree char *path = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  job = aqmp_job_new (daemon.client, "create0");
  g_assert_true (aqmp_job_get_client (job) == daemon.client);
  g_assert_cmpstr (aqmp_job_get_id (job), ==, "create0");
  g_assert_null (aqmp_job_get_status (job));
  g_assert_null (aqmp_job_get_job_type (job));
  g_assert_cmpfloat (aqmp_job_get_progress (job), ==, 0.0);

  start_create (&daemon, "create0");
  job_check_run (job);
  g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "create");
  path = g_build_filename (qemu_get_directory (daemon.qemu), "create0.raw", NULL);
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));

  job_end (job);
  daemon_end (&daemon);
}

/* With what a program would do: images, which are made, opened and copied. */
static void
test_images (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  const char *directory;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  directory = qemu_get_directory (daemon.qemu);
  job = aqmp_job_new (daemon.client, "job0");
  for (gsize i = 0; i < 2; i++)
    {
      const char *name = i == 0 ? "a" : "b";

      daemon_do (&daemon, "blockdev-create", "{'job-id': 'job0', 'options': {'driver': 'file', 'filename': '%s/%s',"
                 "'size': 0}}", directory, name);
      job_check_run (job);
      daemon_do (&daemon, "blockdev-add", "{'driver': 'file', 'node-name': 'file-%s', 'filename': '%s/%s'}", name, directory,
                 name);
      daemon_do (&daemon, "blockdev-create", "{'job-id': 'job0', 'options': {'driver': 'qcow2', 'file': 'file-%s',"
                 "'size': 1048576}}", name);
      job_check_run (job);
      daemon_do (&daemon, "blockdev-add", "{'driver': 'qcow2', 'node-name': '%s', 'file': 'file-%s'}", name, name);
    }
  daemon_do (&daemon, "blockdev-backup", "{'job-id': 'job0', 'device': 'a', 'target': 'b', 'sync': 'full'}");
  job_check_run (job);
  g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "backup");

  job_end (job);
  daemon_end (&daemon);
}

static void
start_mirror (Daemon     *daemon,
              const char *id)
{
  daemon_do (daemon, "blockdev-mirror", "{'job-id': '%s', 'device': 'source', 'target': 'target', 'sync': 'full'}", id);
}

/* Ready, and then somebody decides. */
static void
test_mirror_ready (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  start_mirror (&daemon, "mirror0");
  job_check_wait (job, "ready");
  daemon_settle (&daemon);
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "ready");
  g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "mirror");

  job_check_run (job);
  job_end (job);
  daemon_end (&daemon);
}

static void
test_mirror_at_once (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  GString *statuses;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  statuses = job_record (job);
  start_mirror (&daemon, "mirror0");
  job_check_run (job);
  test_dispatch_pending ();
  g_assert_true (g_str_has_suffix (statuses->str, "null"));

  job_end (job);
  daemon_end (&daemon);
}

/* A job that somebody has paused waits, and goes on. */
static void
test_mirror_paused (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  start_mirror (&daemon, "mirror0");
  job_check_wait (job, "ready");
  daemon_do (&daemon, "job-pause", "{'id': 'mirror0'}");
  job_check_wait (job, "standby");
  aqmp_job_run_async (job, NULL, test_slot_callback, &slot);
  daemon_settle (&daemon);
  g_assert_false (test_slot_is_done (&slot));
  daemon_do (&daemon, "job-resume", "{'id': 'mirror0'}");
  g_assert_true (job_finish_run (&slot, &error));
  g_assert_no_error (error);

  g_clear_object (&slot.source);
  test_slot_clear (&slot);
  job_end (job);
  daemon_end (&daemon);
}

/* --- Who finalizes and dismisses ---------------------------------------------------------------------------------- */

typedef struct
{
  const char *name;
  gboolean    auto_finalize;
  gboolean    auto_dismiss;
} Manner;

static const Manner manners[] = {
  { "automatic", TRUE, TRUE },
  { "finalize", FALSE, TRUE },
  { "dismiss", TRUE, FALSE },
  { "finalize-and-dismiss", FALSE, FALSE },
};

static void
start_backup (Daemon       *daemon,
              const Manner *manner)
{
  daemon_do (daemon, "blockdev-backup", "{'job-id': 'backup0', 'device': 'source', 'target': 'target', 'sync': 'full',"
             "'auto-finalize': %s, 'auto-dismiss': %s}", manner->auto_finalize ? "true" : "false",
             manner->auto_dismiss ? "true" : "false");
}

static void
test_manner (gconstpointer data)
{
  const Manner *manner = data;
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "backup0");
  for (gsize i = 0; i < N_TIMES; i++)
    {
      start_backup (&daemon, manner);
      job_check_run (job);
      g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "backup");
    }
  job_end (job);
  daemon_end (&daemon);
}

/* It waits for somebody, which wait_status() shows. */
static void
test_manner_by_hand (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "backup0");
  start_backup (&daemon, &manners[3]);
  job_check_wait (job, "pending");
  daemon_do (&daemon, "job-finalize", "{'id': 'backup0'}");
  job_check_wait (job, "concluded");
  g_assert_cmpfloat (aqmp_job_get_progress (job), ==, 1.0);
  daemon_do (&daemon, "job-dismiss", "{'id': 'backup0'}");
  job_check_wait (job, "null");
  job_check_run (job);

  job_end (job);
  daemon_end (&daemon);
}

/* --- When it was begun -------------------------------------------------------------------------------------------- */

/* All that the job does is here before the run begins. */
static void
test_over_before (gconstpointer data)
{
  const Manner *manner = data;
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "backup0");
  start_backup (&daemon, manner);
  test_wait_until (g_strcmp0 (aqmp_job_get_status (job), manner->auto_dismiss ? "null" : "concluded") == 0);
  g_assert_cmpfloat (aqmp_job_get_progress (job), ==, 1.0);
  job_check_run (job);
  job_check_run (job);

  job_end (job);
  daemon_end (&daemon);
}

/* The object was made when the job was over: its end can still be asked for. */
static void
test_made_after_kept (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *witness;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  witness = aqmp_job_new (daemon.client, "backup0");
  start_backup (&daemon, &manners[2]);
  job_check_wait (witness, "concluded");
  job = aqmp_job_new (daemon.client, "backup0");
  g_assert_null (aqmp_job_get_status (job));
  job_check_run (job);
  g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "backup");

  job_end (witness);
  job_end (job);
  daemon_end (&daemon);
}

/* Nothing is left to be asked for. */
static void
test_made_after_dismissed (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *witness;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  witness = aqmp_job_new (daemon.client, "backup0");
  start_backup (&daemon, &manners[0]);
  job_check_wait (witness, "null");
  job = aqmp_job_new (daemon.client, "backup0");
  g_assert_false (job_run (job, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_nonnull (g_strrstr (error->message, "backup0"));

  job_end (witness);
  job_end (job);
  daemon_end (&daemon);
}

/* Made while it goes on. */
static void
test_made_during (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  start_mirror (&daemon, "mirror0");
  job = aqmp_job_new (daemon.client, "mirror0");
  job_check_run (job);

  job_end (job);
  daemon_end (&daemon);
}

/* The command and the run in one go, before anything is answered. */
static void
test_pipelined (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  for (gsize i = 0; i < N_TIMES; i++)
    {
      g_auto (TestSlot) command = TEST_SLOT_INIT;
      g_autoptr (JsonNode) reply = NULL;
      g_autoptr (GError) error = NULL;
      AqmpJob *job = aqmp_job_new (daemon.client, "backup0");

      session_begin (daemon.client, "blockdev-backup", "{\"job-id\": \"backup0\", \"device\": \"source\","
                     "\"target\": \"target\", \"sync\": \"full\"}", NULL, &command);
      job_check_run (job);
      reply = session_await (&command, &error);
      g_assert_no_error (error);
      job_end (job);
    }
  daemon_end (&daemon);
}

/* --- The same object, again --------------------------------------------------------------------------------------- */

/* Of the job before nothing is left. */
static void
test_id_again (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  daemon_add_failing (&daemon, "bad", MIB, "write", FALSE);
  job = aqmp_job_new (daemon.client, "job0");
  for (gsize i = 0; i < 3; i++)
    {
      g_autoptr (GError) error = NULL;

      daemon_do (&daemon, "blockdev-backup", "{'job-id': 'job0', 'device': 'source', 'target': 'bad', 'sync': 'full'}");
      g_assert_false (job_run (job, NULL, &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_JOB);
      g_assert_nonnull (aqmp_job_get_error (job));

      start_mirror (&daemon, "job0");
      job_check_wait (job, "ready");
      g_assert_null (aqmp_job_get_error (job));
      job_check_run (job);
      g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "mirror");
    }
  job_end (job);
  daemon_end (&daemon);
}

/* All of them tell the same. */
static void
test_run_twice (gconstpointer data)
{
  const Manner *manner = data;
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *jobs[2];

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  jobs[0] = aqmp_job_new (daemon.client, "backup0");
  jobs[1] = aqmp_job_new (daemon.client, "backup0");
  for (gsize i = 0; i < N_TIMES; i++)
    {
      TestSlot slots[4] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };

      start_backup (&daemon, manner);
      for (gsize n = 0; n < G_N_ELEMENTS (slots); n++)
        aqmp_job_run_async (jobs[n % 2], NULL, test_slot_callback, &slots[n]);
      for (gsize n = 0; n < G_N_ELEMENTS (slots); n++)
        {
          g_autoptr (GError) error = NULL;

          g_assert_true (job_finish_run (&slots[n], &error) || error != NULL);
          g_assert_no_error (error);
          test_slot_clear (&slots[n]);
        }
    }
  job_end (jobs[0]);
  job_end (jobs[1]);
  daemon_end (&daemon);
}

/* --- Many --------------------------------------------------------------------------------------------------------- */

/* Half of them copy, and half of them have to be dismissed. */
static void
test_many (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  AqmpJob *jobs[N_JOBS];
  TestSlot slots[N_JOBS] = { TEST_SLOT_INIT };
  gint64 began;

  if (!daemon_start (&daemon))
    return;

  for (guint i = 0; i < N_JOBS; i += 2)
    {
      g_autofree char *source = g_strdup_printf ("source%u", i);
      g_autofree char *target = g_strdup_printf ("target%u", i);

      daemon_add_null (&daemon, source, MIB);
      daemon_add_null (&daemon, target, MIB);
    }

  began = g_get_monotonic_time ();
  for (guint i = 0; i < N_JOBS; i++)
    {
      g_autofree char *id = g_strdup_printf ("job%u", i);

      jobs[i] = aqmp_job_new (daemon.client, id);
      if (i % 2 == 0)
        daemon_do (&daemon, "blockdev-mirror", "{'job-id': '%s', 'device': 'source%u', 'target': 'target%u',"
                   "'sync': 'full'}", id, i, i);
      else
        start_create (&daemon, id);
    }
  for (guint i = 0; i < N_JOBS; i++)
    aqmp_job_run_async (jobs[i], NULL, test_slot_callback, &slots[i]);
  for (guint i = 0; i < N_JOBS; i++)
    {
      g_autoptr (GError) error = NULL;

      job_finish_run (&slots[i], &error);
      g_assert_no_error (error);
      g_assert_cmpfloat (aqmp_job_get_progress (jobs[i]), ==, 1.0);
      test_slot_clear (&slots[i]);
    }
  g_test_message ("%u jobs in %" G_GINT64_FORMAT " ms", N_JOBS, (g_get_monotonic_time () - began) / 1000);
  g_assert_cmpint (g_get_monotonic_time () - began, <, test_bound_us ());
  for (guint i = 0; i < N_JOBS; i++)
    job_end (jobs[i]);
  daemon_end (&daemon);
}

/* --- Progress ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  double latest;
  guint  n_between;
} Progress;

static void
on_progress (AqmpJob    *job,
             GParamSpec *pspec,
             Progress   *progress)
{
  double value = aqmp_job_get_progress (job);

  g_assert_true (g_main_context_is_owner (NULL));
  g_assert_cmpfloat (value, >=, progress->latest);
  g_assert_cmpfloat (value, <=, 1.0);
  progress->latest = value;
  if (value > 0.0 && value < 1.0)
    progress->n_between++;
}

/* A job that takes about half a second. */
static void
test_progress (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  Progress progress = { 0.0, 0 };
  AqmpJob *job;
  guint interval;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, 8 * MIB);
  job = aqmp_job_new (daemon.client, "backup0");
  g_assert_cmpuint (aqmp_job_get_progress_interval (job), ==, 1000);
  g_object_set (job, "progress-interval", 10, NULL);
  g_object_get (job, "progress-interval", &interval, NULL);
  g_assert_cmpuint (interval, ==, 10);
  g_signal_connect (job, "notify::progress", G_CALLBACK (on_progress), &progress);
  daemon_do (&daemon, "blockdev-backup", "{'job-id': 'backup0', 'device': 'source', 'target': 'target', 'sync': 'full',"
             "'speed': 16777216}");
  job_check_run (job);
  test_dispatch_pending ();
  g_assert_cmpfloat (progress.latest, ==, 1.0);
  g_assert_cmpuint (progress.n_between, >, 0);

  job_end (job);
  daemon_end (&daemon);
}

/* Nobody asks, but who does it himself. */
static void
test_refresh (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (GError) error = NULL;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, 256 * MIB);
  daemon_start_endless (&daemon, "backup0");
  job = aqmp_job_new (daemon.client, "backup0");
  aqmp_job_set_progress_interval (job, 0);
  g_assert_true (job_refresh (job, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "running");
  g_assert_cmpstr (aqmp_job_get_job_type (job), ==, "backup");
  g_assert_cmpfloat (aqmp_job_get_progress (job), <, 1.0);
  daemon_do (&daemon, "job-cancel", "{'id': 'backup0'}");
  job_check_wait (job, "null");
  g_assert_true (job_refresh (job, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_job_get_status (job), ==, "null");

  job_end (job);
  daemon_end (&daemon);
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

static void
test_properties (void)
{
  g_auto (Daemon) daemon = DAEMON_INIT;
  g_autoptr (AqmpClient) client = NULL;
  g_autofree char *id = NULL;
  g_autofree char *status = NULL;
  g_autofree char *type = NULL;
  g_autofree char *failure = NULL;
  GString *statuses;
  double progress;
  AqmpJob *job;

  if (!daemon_start (&daemon))
    return;

  daemon_add_pair (&daemon, MIB);
  job = aqmp_job_new (daemon.client, "mirror0");
  statuses = job_record (job);
  start_mirror (&daemon, "mirror0");
  job_check_wait (job, "ready");
  test_dispatch_pending ();
  g_assert_true (g_str_has_suffix (statuses->str, "ready"));
  g_object_get (job, "client", &client, "id", &id, "status", &status, "type", &type, "progress", &progress, "error", &failure,
                NULL);
  g_assert_true (client == daemon.client);
  g_assert_cmpstr (id, ==, "mirror0");
  g_assert_cmpstr (status, ==, "ready");
  g_assert_cmpstr (type, ==, "mirror");
  g_assert_cmpfloat (progress, ==, 1.0);
  g_assert_null (failure);
  job_check_run (job);
  test_dispatch_pending ();
  g_assert_true (g_str_has_suffix (statuses->str, "null"));

  g_clear_object (&client);
  job_end (job);
  daemon_end (&daemon);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/job/create", test_create);
  g_test_add_func ("/job/images", test_images);
  g_test_add_func ("/job/mirror/ready", test_mirror_ready);
  g_test_add_func ("/job/mirror/at-once", test_mirror_at_once);
  g_test_add_func ("/job/mirror/paused", test_mirror_paused);
  for (gsize i = 0; i < G_N_ELEMENTS (manners); i++)
    {
      g_autofree char *path = g_strconcat ("/job/manner/", manners[i].name, NULL);
      g_autofree char *twice = g_strconcat ("/job/run-twice/", manners[i].name, NULL);

      g_test_add_data_func (path, &manners[i], test_manner);
      g_test_add_data_func (twice, &manners[i], test_run_twice);
    }
  g_test_add_func ("/job/manner/by-hand", test_manner_by_hand);
  g_test_add_data_func ("/job/over-before/dismissed", &manners[0], test_over_before);
  g_test_add_data_func ("/job/over-before/kept", &manners[2], test_over_before);
  g_test_add_func ("/job/made-after/kept", test_made_after_kept);
  g_test_add_func ("/job/made-after/dismissed", test_made_after_dismissed);
  g_test_add_func ("/job/made-during", test_made_during);
  g_test_add_func ("/job/pipelined", test_pipelined);
  g_test_add_func ("/job/id-again", test_id_again);
  g_test_add_func ("/job/many", test_many);
  g_test_add_func ("/job/progress", test_progress);
  g_test_add_func ("/job/refresh", test_refresh);
  g_test_add_func ("/job/properties", test_properties);

  return g_test_run ();
}
