/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "job-util.h"

/* ---- the server -------------------------------------------------------------------------------------------------- */

gboolean
daemon_start (Daemon *daemon)
{
  daemon->qemu = qemu_new (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_QUIET, NULL);
  if (daemon->qemu == NULL)
    return FALSE;

  daemon->client = session_new (daemon->qemu);
  return TRUE;
}

void
daemon_end (Daemon *daemon)
{
  g_autofree char *jobs = daemon_list_jobs (daemon);
  gpointer watched = daemon->client;

  g_assert_cmpstr (jobs, ==, "");
  g_object_add_weak_pointer (watched, &watched);
  session_end (g_steal_pointer (&daemon->client));
  test_dispatch_pending ();
  g_assert_null (watched);
}

void
daemon_clear (Daemon *daemon)
{
  g_clear_object (&daemon->client);
  g_clear_pointer (&daemon->qemu, qemu_free);
}

void
daemon_do (Daemon     *daemon,
           const char *command,
           const char *format,
           ...)
{
  g_autofree char *arguments = NULL;
  g_autoptr (JsonNode) reply = NULL;
  g_autoptr (GError) error = NULL;
  va_list list;

  va_start (list, format);
  arguments = g_strdelimit (g_strdup_vprintf (format, list), "'", '"');
  va_end (list);
  reply = session_execute (daemon->client, command, arguments, &error);
  g_assert_no_error (error);
}

void
daemon_add_null (Daemon     *daemon,
                 const char *name,
                 guint64     size)
{
  daemon_do (daemon, "blockdev-add", "{'driver': 'null-co', 'node-name': '%s', 'size': %" G_GUINT64_FORMAT "}", name,
             size);
}

void
daemon_add_failing (Daemon     *daemon,
                    const char *name,
                    guint64     size,
                    const char *iotype,
                    gboolean    once)
{
  daemon_do (daemon, "blockdev-add", "{'driver': 'blkdebug', 'node-name': '%s', 'image': {'driver': 'null-co',"
             "'size': %" G_GUINT64_FORMAT "}, 'inject-error': [{'event': 'none', 'errno': 5,"
             "'iotype': '%s', 'once': %s}]}", name, size, iotype, once ? "true" : "false");
}

void
daemon_add_pair (Daemon  *daemon,
                 guint64  size)
{
  daemon_add_null (daemon, "source", size);
  daemon_add_null (daemon, "target", size);
}

void
daemon_start_endless (Daemon     *daemon,
                      const char *id)
{
  daemon_do (daemon, "blockdev-backup", "{'job-id': '%s', 'device': 'source', 'target': 'target', 'sync': 'full',"
             "'speed': 1}", id);
}

char *
daemon_list_jobs (Daemon *daemon)
{
  GString *ids = g_string_new (NULL);
  g_autoptr (JsonNode) reply = NULL;
  g_autoptr (GError) error = NULL;
  JsonArray *jobs;

  reply = session_execute (daemon->client, "query-jobs", NULL, &error);
  g_assert_no_error (error);
  jobs = json_node_get_array (reply);
  for (guint i = 0; i < json_array_get_length (jobs); i++)
    g_string_append_printf (ids, "%s%s", i > 0 ? " " : "",
                            json_object_get_string_member (json_array_get_object_element (jobs, i), "id"));

  return g_string_free (ids, FALSE);
}

void
daemon_settle (Daemon *daemon)
{
  session_check_works (daemon->client);
  test_dispatch_pending ();
}

/* ---- its jobs ---------------------------------------------------------------------------------------------------- */

gboolean
job_run (AqmpJob       *job,
         GCancellable  *cancellable,
         GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_job_run_async (job, cancellable, test_slot_callback, &slot);
  return job_finish_run (&slot, error);
}

gboolean
job_finish_run (TestSlot  *slot,
                GError   **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GObject) job = g_async_result_get_source_object (result);

  return aqmp_job_run_finish (AQMP_JOB (job), result, error);
}

gboolean
job_wait_status (AqmpJob       *job,
                 const char    *status,
                 GCancellable  *cancellable,
                 GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;

  aqmp_job_wait_status_async (job, status, cancellable, test_slot_callback, &slot);
  result = test_await (&slot);
  return aqmp_job_wait_status_finish (job, result, error);
}

gboolean
job_refresh (AqmpJob  *job,
             GError  **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;

  aqmp_job_refresh_async (job, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  return aqmp_job_refresh_finish (job, result, error);
}

void
job_end (AqmpJob *job)
{
  gpointer watched = job;

  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (job), &watched);
  g_object_unref (job);
  g_assert_null (watched);
}

static void
on_status (AqmpJob    *job,
           GParamSpec *pspec,
           GString    *statuses)
{
  g_assert_true (g_source_get_context (g_main_current_source ()) == g_main_context_default ());
  g_assert_true (g_main_context_is_owner (NULL));
  g_string_append_printf (statuses, "%s%s", statuses->len > 0 ? " " : "", aqmp_job_get_status (job));
}

static void
free_record (gpointer  statuses,
             GClosure *closure)
{
  g_string_free (statuses, TRUE);
}

GString *
job_record (AqmpJob *job)
{
  GString *statuses = g_string_new (NULL);

  g_signal_connect_data (job, "notify::status", G_CALLBACK (on_status), statuses, free_record, 0);
  return statuses;
}
