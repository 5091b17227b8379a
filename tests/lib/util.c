/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "util.h"

#include <errno.h>
#include <gio/gunixconnection.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

double
test_timeout_scale (void)
{
  static gsize once;
  static double scale = 1;

  if (g_once_init_enter (&once))
    {
      const char *text = g_getenv ("AQMP_TEST_TIMEOUT_SCALE");

      if (text != NULL && g_ascii_strtod (text, NULL) > 0)
        scale = g_ascii_strtod (text, NULL);
      g_once_init_leave (&once, 1);
    }

  return scale;
}

gint64
test_bound_us (void)
{
  return (gint64) (TEST_BOUND_SECONDS * G_USEC_PER_SEC * test_timeout_scale ());
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static gboolean
on_wait_expired (gpointer user_data)
{
  TestWait *wait = user_data;

  wait->expired = TRUE;

  return G_SOURCE_CONTINUE;
}

void
test_wait_begin (TestWait *wait,
                 gint64    bound_us)
{
  wait->context = g_main_context_ref_thread_default ();
  wait->expired = FALSE;
  wait->timeout = g_timeout_source_new ((guint) (bound_us / 1000));
  g_source_set_static_name (wait->timeout, "[aqmp-test] bound");
  g_source_set_callback (wait->timeout, on_wait_expired, wait, NULL);
  g_source_attach (wait->timeout, wait->context);
}

void
test_wait_iterate (TestWait   *wait,
                   const char *file,
                   int         line,
                   const char *function,
                   const char *what)
{
  g_main_context_iteration (wait->context, TRUE);

  if (wait->expired)
    {
      g_autofree char *message = g_strdup_printf ("waited in vain for: %s", what);

      g_assertion_message (G_LOG_DOMAIN, file, line, function, message);
    }
}

void
test_wait_end (TestWait *wait)
{
  g_source_destroy (wait->timeout);
  g_clear_pointer (&wait->timeout, g_source_unref);
  g_clear_pointer (&wait->context, g_main_context_unref);
}

void
(test_dispatch_pending) (const char *file,
                         int         line,
                         const char *function)
{
  g_autoptr(GMainContext) context = g_main_context_ref_thread_default ();
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (g_main_context_iteration (context, FALSE))
    {
      if (g_get_monotonic_time () > deadline)
        g_assertion_message (G_LOG_DOMAIN, file, line, function, "a source of the main context is always ready");
    }
}

void
test_slot_callback (GObject      *source,
                    GAsyncResult *result,
                    gpointer      user_data)
{
  TestSlot *slot = user_data;

  /* A second result before the first was taken: somebody completed a call twice. */
  g_assert_null (slot->result);
  g_assert_true (G_IS_ASYNC_RESULT (result));

  g_set_object (&slot->source, source);
  slot->result = g_object_ref (result);
  slot->thread = g_thread_self ();
  slot->n_calls++;
}

gboolean
test_slot_is_done (TestSlot *slot)
{
  return slot->result != NULL;
}

void
test_slot_clear (TestSlot *slot)
{
  g_clear_object (&slot->source);
  g_clear_object (&slot->result);
}

GAsyncResult *
(test_await) (TestSlot   *slot,
              const char *file,
              int         line,
              const char *function)
{
  GAsyncResult *result;
  TestWait wait;

  test_wait_begin (&wait, test_bound_us ());
  while (slot->result == NULL)
    test_wait_iterate (&wait, file, line, function, "the result of an asynchronous call");
  test_wait_end (&wait);

  if (slot->thread != g_thread_self ())
    g_assertion_message (G_LOG_DOMAIN, file, line, function, "the callback ran in another thread");

  result = g_steal_pointer (&slot->result);
  test_slot_clear (slot);

  return result;
}

/* ---- helper threads ---------------------------------------------------------------------------------------------- */

static _Thread_local gboolean is_helper_thread;

void
test_mark_helper_thread (void)
{
  is_helper_thread = TRUE;
}

gboolean
test_is_helper_thread (void)
{
  return is_helper_thread;
}

/* ---- temporary directories --------------------------------------------------------------------------------------- */

struct _TestTmpDir
{
  char *path;    /* (owned) */
};

TestTmpDir *
test_tmp_dir_new (void)
{
  g_autoptr(GError) error = NULL;
  TestTmpDir *dir = g_new0 (TestTmpDir, 1);

  dir->path = g_dir_make_tmp ("aqmp-XXXXXX", &error);
  g_assert_no_error (error);
  /* sockaddr_un holds 107 bytes; leave some for the name. */
  g_assert_cmpuint (strlen (dir->path), <, 80);

  return dir;
}

/* Best effort: what cannot be removed is left. Symbolic links are removed, not followed. */
static void
remove_recursively (const char *path)
{
  if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
    {
      g_autoptr(GDir) dir = g_dir_open (path, 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *child = g_build_filename (path, name, NULL);

          remove_recursively (child);
        }
    }

  g_remove (path);
}

void
test_tmp_dir_free (TestTmpDir *dir)
{
  remove_recursively (dir->path);
  g_free (dir->path);
  g_free (dir);
}

const char *
test_tmp_dir_get_path (TestTmpDir *dir)
{
  return dir->path;
}

char *
test_tmp_dir_build (TestTmpDir *dir,
                    const char *name)
{
  return g_build_filename (dir->path, name, NULL);
}

/* ---- what the process uses --------------------------------------------------------------------------------------- */

/* Calls @func for each open descriptor but the one that reading the directory takes itself. */
static void
foreach_fd (void     (*func) (const char *name, gpointer user_data),
            gpointer   user_data)
{
  g_autoptr(GDir) dir = NULL;
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  dir = g_dir_open ("/proc/self/fd", 0, NULL);
  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  g_clear_pointer (&dir, g_dir_close);

  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename ("/proc/self/fd", g_ptr_array_index (names, i), NULL);
      char target[8];

      /* The directory's own is gone by now. */
      if (readlink (path, target, sizeof target) >= 0)
        func (g_ptr_array_index (names, i), user_data);
    }
}

static void
count_fd (const char *name,
          gpointer    user_data)
{
  guint *count = user_data;

  (*count)++;
}

static void
list_fd (const char *name,
         gpointer    user_data)
{
  GString *list = user_data;
  g_autofree char *path = g_build_filename ("/proc/self/fd", name, NULL);
  g_autofree char *target = g_file_read_link (path, NULL);

  g_string_append_printf (list, "%s → %s\n", name, target != NULL ? target : "?");
}

static void
do_nothing (GTask        *task,
            gpointer      source_object,
            gpointer      task_data,
            GCancellable *cancellable)
{
  g_task_return_boolean (task, TRUE);
}

void
test_open_what_stays_open (void)
{
  g_autoptr(GTask) task = g_task_new (NULL, NULL, NULL, NULL);

  g_main_context_default ();
  g_task_run_in_thread_sync (task, do_nothing);
}

guint
test_count_fds (void)
{
  guint count = 0;

  foreach_fd (count_fd, &count);

  return count;
}

char *
test_list_fds (void)
{
  GString *list = g_string_new (NULL);

  foreach_fd (list_fd, list);

  return g_string_free (list, FALSE);
}

gsize
test_get_rss (void)
{
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  unsigned long resident = 0;

  g_file_get_contents ("/proc/self/statm", &text, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (sscanf (text, "%*s %lu", &resident), ==, 1);

  return (gsize) resident * (gsize) sysconf (_SC_PAGESIZE);
}

/* ---- socket pair ------------------------------------------------------------------------------------------------- */

static GSocketConnection *
connection_new_for_fd (int fd)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GSocket) socket = g_socket_new_from_fd (fd, &error);

  g_assert_no_error (error);

  return g_socket_connection_factory_create_connection (socket);
}

void
test_socket_pair (GSocketConnection **first,
                  GSocketConnection **second)
{
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  *first = connection_new_for_fd (fds[0]);
  *second = connection_new_for_fd (fds[1]);
}

/* ---- log --------------------------------------------------------------------------------------------------------- */

struct _TestLog
{
  GPtrArray *entries;            /* (owned) (element-type TestLogEntry) */
  gboolean   debug_was_enabled;
};

/* GLib takes a writer once per process; ours looks for a recorder. */
static GMutex log_lock;
static TestLog *log_current;    /* (unowned) (nullable), under log_lock */

static void
test_log_entry_free (gpointer data)
{
  TestLogEntry *entry = data;

  g_free (entry->domain);
  g_free (entry->message);
  g_free (entry->name);
  g_hash_table_unref (entry->fields);
  g_free (entry);
}

static TestLogEntry *
test_log_entry_new (GLogLevelFlags   level,
                    const GLogField *fields,
                    gsize            n_fields)
{
  TestLogEntry *entry = g_new0 (TestLogEntry, 1);

  entry->level = level & G_LOG_LEVEL_MASK;
  entry->fields = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for (gsize i = 0; i < n_fields; i++)
    {
      const GLogField *field = &fields[i];
      char *text;

      /* A field that is a pointer to something else carries a length of its own; so does text that has no NUL. */
      if (field->value == NULL)
        continue;
      if (field->length < 0)
        text = g_strdup (field->value);
      else
        text = g_strndup (field->value, (gsize) field->length);
      g_hash_table_insert (entry->fields, g_strdup (field->key), text);
    }

  entry->domain = g_strdup (g_hash_table_lookup (entry->fields, "GLIB_DOMAIN"));
  entry->message = g_strdup (g_hash_table_lookup (entry->fields, "MESSAGE"));
  entry->name = g_strdup (g_hash_table_lookup (entry->fields, "AQMP_NAME"));
  if (entry->message == NULL)
    entry->message = g_strdup ("");

  return entry;
}

/* Runs in whichever thread logs. */
static GLogWriterOutput
log_writer (GLogLevelFlags   level,
            const GLogField *fields,
            gsize            n_fields,
            gpointer         user_data)
{
  gboolean recorded;

  g_mutex_lock (&log_lock);
  recorded = log_current != NULL;
  if (recorded)
    g_ptr_array_add (log_current->entries, test_log_entry_new (level, fields, n_fields));
  g_mutex_unlock (&log_lock);

  return recorded ? G_LOG_WRITER_HANDLED : g_log_writer_default (level, fields, n_fields, NULL);
}

TestLog *
test_log_start (void)
{
  static gsize once;
  TestLog *log = g_new0 (TestLog, 1);

  log->entries = g_ptr_array_new_with_free_func (test_log_entry_free);
  log->debug_was_enabled = g_log_get_debug_enabled ();

  if (g_once_init_enter (&once))
    {
      g_log_set_writer_func (log_writer, NULL, NULL);
      g_once_init_leave (&once, 1);
    }

  g_mutex_lock (&log_lock);
  g_assert_null (log_current);
  log_current = log;
  g_mutex_unlock (&log_lock);
  g_log_set_debug_enabled (TRUE);

  return log;
}

void
test_log_stop (TestLog *log)
{
  g_log_set_debug_enabled (log->debug_was_enabled);
  g_mutex_lock (&log_lock);
  g_assert_true (log_current == log);
  log_current = NULL;
  g_mutex_unlock (&log_lock);

  g_ptr_array_unref (log->entries);
  g_free (log);
}

GPtrArray *
test_log_steal (TestLog *log)
{
  GPtrArray *entries;

  g_mutex_lock (&log_lock);
  entries = log->entries;
  log->entries = g_ptr_array_new_with_free_func (test_log_entry_free);
  g_mutex_unlock (&log_lock);

  return entries;
}

guint
test_log_count (TestLog        *log,
                GLogLevelFlags  levels,
                const char     *domain,
                const char     *text)
{
  guint count = 0;

  g_mutex_lock (&log_lock);
  for (guint i = 0; i < log->entries->len; i++)
    {
      const TestLogEntry *entry = g_ptr_array_index (log->entries, i);

      if ((entry->level & levels) != 0
          && (domain == NULL || g_strcmp0 (entry->domain, domain) == 0)
          && (text == NULL || strstr (entry->message, text) != NULL))
        count++;
    }
  g_mutex_unlock (&log_lock);

  return count;
}

char *
test_log_dump (TestLog *log)
{
  GString *dump = g_string_new (NULL);

  g_mutex_lock (&log_lock);
  for (guint i = 0; i < log->entries->len; i++)
    {
      const TestLogEntry *entry = g_ptr_array_index (log->entries, i);

      g_string_append_printf (dump, "%s [%s] level 0x%x: %s\n",
                              entry->domain != NULL ? entry->domain : "(no domain)",
                              entry->name != NULL ? entry->name : "",
                              (guint) entry->level, entry->message);
    }
  g_mutex_unlock (&log_lock);

  return g_string_free (dump, FALSE);
}
