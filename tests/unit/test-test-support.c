/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The rest of the test support: waiting, streams, log, temporary directories. */

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixconnection.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

static gboolean
on_timeout (gpointer user_data)
{
  gboolean *flag = user_data;

  *flag = TRUE;

  return G_SOURCE_REMOVE;
}

static void
test_wait (void)
{
  gboolean flag = FALSE;

  g_timeout_add (5, on_timeout, &flag);
  test_wait_until (flag);

  /* Leaves no source behind. */
  g_assert_false (g_main_context_pending (NULL));
}

static void
test_wait_in_own_context (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GSource) source = g_timeout_source_new (5);
  gboolean flag = FALSE;

  g_main_context_push_thread_default (context);
  g_source_set_callback (source, on_timeout, &flag, NULL);
  g_source_attach (source, context);
  test_wait_until (flag);
  g_main_context_pop_thread_default (context);
}

static void
test_wait_in_vain (void)
{
  if (g_test_subprocess ())
    {
      gboolean never = FALSE;

      g_setenv ("AQMP_TEST_TIMEOUT_SCALE", "0.01", TRUE);
      test_wait_until (never);
      return;
    }

  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*test-test-support.c*test_wait_in_vain: waited in vain for: never*");
}

static void
test_slot (void)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  for (guint i = 1; i <= 2; i++)
    {
      g_autoptr(GTask) task = g_task_new (NULL, NULL, test_slot_callback, &slot);
      g_autoptr(GAsyncResult) result = NULL;
      g_autoptr(GError) error = NULL;

      g_task_return_int (task, i);
      g_assert_false (test_slot_is_done (&slot));
      result = test_await (&slot);
      g_assert_false (test_slot_is_done (&slot));
      g_assert_cmpint (g_task_propagate_int (G_TASK (result), &error), ==, i);
      g_assert_no_error (error);
      g_assert_cmpuint (slot.n_calls, ==, i);
    }
}

static void
test_pending (void)
{
  gboolean flag = FALSE;

  g_idle_add (on_timeout, &flag);
  test_dispatch_pending ();
  g_assert_true (flag);
}

/* ---- directories, descriptors, memory --------------------------------------------------------------------------- */

static void
test_directory (void)
{
  TestTmpDir *dir = test_tmp_dir_new ();
  g_autofree char *path = g_strdup (test_tmp_dir_get_path (dir));
  g_autofree char *sub = test_tmp_dir_build (dir, "sub");
  g_autofree char *file = g_build_filename (sub, "file", NULL);
  g_autofree char *outside = test_tmp_dir_build (dir, "link");
  g_autoptr(TestTmpDir) other = test_tmp_dir_new ();
  g_autoptr(GError) error = NULL;
  GStatBuf buf;

  g_assert_no_errno (g_stat (path, &buf));
  g_assert_cmpint (buf.st_mode & 07777, ==, 0700);
  g_assert_no_errno (g_mkdir (sub, 0700));
  g_file_set_contents (file, "x", 1, &error);
  g_assert_no_error (error);
  g_assert_no_errno (symlink (test_tmp_dir_get_path (other), outside));

  test_tmp_dir_free (dir);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (test_tmp_dir_get_path (other), G_FILE_TEST_IS_DIR));
}

static void
test_fds (void)
{
  guint n_fds = test_count_fds ();
  g_autofree char *list = NULL;
  int fds[2];

  g_assert_no_errno (pipe (fds));
  g_assert_cmpuint (test_count_fds (), ==, n_fds + 2);
  list = test_list_fds ();
  g_assert_nonnull (strstr (list, "pipe:"));
  close (fds[0]);
  close (fds[1]);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
}

static void
test_rss (void)
{
  gsize size = 32 * 1024 * 1024;
  gsize before = test_get_rss ();
  char *memory = g_malloc (size);

  memset (memory, 1, size);
  g_assert_cmpuint (test_get_rss (), >, before + size / 2);
  g_free (memory);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

typedef GIOStream *(*Wrapper) (GIOStream *base);

static void
check_transfer (GIOStream *from,
                GIOStream *to)
{
  g_auto(TestSlot) write_slot = TEST_SLOT_INIT;
  g_auto(TestSlot) read_slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) written = NULL;
  g_autoptr(GAsyncResult) got = NULL;
  g_autoptr(GError) error = NULL;
  char buffer[8] = "";

  g_input_stream_read_async (g_io_stream_get_input_stream (to), buffer, sizeof buffer, 0, NULL,
                             test_slot_callback, &read_slot);
  g_output_stream_write_async (g_io_stream_get_output_stream (from), "hello", 5, 0, NULL,
                               test_slot_callback, &write_slot);
  written = test_await (&write_slot);
  g_assert_cmpint (g_output_stream_write_finish (g_io_stream_get_output_stream (from), written, &error), ==, 5);
  g_assert_no_error (error);
  got = test_await (&read_slot);
  g_assert_cmpint (g_input_stream_read_finish (g_io_stream_get_input_stream (to), got, &error), ==, 5);
  g_assert_no_error (error);
  g_assert_cmpstr (buffer, ==, "hello");
}

static void
check_cancel (GIOStream *stream)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  char byte;

  g_input_stream_read_async (g_io_stream_get_input_stream (stream), &byte, 1, 0, cancellable, test_slot_callback, &slot);
  g_cancellable_cancel (cancellable);
  result = test_await (&slot);
  g_assert_cmpint (g_input_stream_read_finish (g_io_stream_get_input_stream (stream), result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Closing the wrapper, either way, is the end of the connection. */
static void
check_close (Wrapper  wrapper,
             gboolean async)
{
  g_autoptr(GSocketConnection) first = NULL;
  g_autoptr(GSocketConnection) second = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GError) error = NULL;
  char byte;

  test_socket_pair (&first, &second);
  stream = wrapper (G_IO_STREAM (first));
  if (async)
    {
      g_auto(TestSlot) slot = TEST_SLOT_INIT;
      g_autoptr(GAsyncResult) result = NULL;

      g_io_stream_close_async (stream, 0, NULL, test_slot_callback, &slot);
      result = test_await (&slot);
      g_io_stream_close_finish (stream, result, &error);
    }
  else
    {
      g_io_stream_close (stream, NULL, &error);
    }
  g_assert_no_error (error);

  g_assert_true (g_io_stream_is_closed (G_IO_STREAM (first)));
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (second)), &byte, 1, NULL, &error),
                   ==, 0);
  g_assert_no_error (error);
}

static void
check_stream (Wrapper wrapper)
{
  g_autoptr(GSocketConnection) first = NULL;
  g_autoptr(GSocketConnection) second = NULL;
  g_autoptr(GIOStream) stream = NULL;

  test_socket_pair (&first, &second);
  stream = wrapper (G_IO_STREAM (first));
  g_assert_false (G_IS_SOCKET_CONNECTION (stream));

  check_transfer (stream, G_IO_STREAM (second));
  check_transfer (G_IO_STREAM (second), stream);
  check_cancel (stream);
  check_close (wrapper, FALSE);
  check_close (wrapper, TRUE);
}

static void
test_plain_stream (void)
{
  g_autoptr(GSocketConnection) first = NULL;
  g_autoptr(GSocketConnection) second = NULL;
  g_autoptr(GIOStream) stream = NULL;

  check_stream (test_plain_stream_new);

  test_socket_pair (&first, &second);
  stream = test_plain_stream_new (G_IO_STREAM (first));
  g_assert_false (G_IS_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (stream)));
  g_assert_false (G_IS_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream)));
}

static gboolean
on_readable (GObject  *stream,
             gpointer  user_data)
{
  GObject **seen = user_data;

  *seen = stream;

  return G_SOURCE_REMOVE;
}

static void
test_pollable_stream (void)
{
  g_autoptr(GSocketConnection) first = NULL;
  g_autoptr(GSocketConnection) second = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GSource) source = NULL;
  g_autoptr(GError) error = NULL;
  GPollableInputStream *input;
  GObject *seen = NULL;
  char buffer[8];

  check_stream (test_pollable_stream_new);

  test_socket_pair (&first, &second);
  stream = test_pollable_stream_new (G_IO_STREAM (first));
  input = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (stream));
  g_assert_true (g_pollable_input_stream_can_poll (input));
  g_assert_true (g_pollable_output_stream_can_poll (G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream))));
  g_assert_false (g_pollable_input_stream_is_readable (input));
  g_assert_cmpint (g_pollable_input_stream_read_nonblocking (input, buffer, sizeof buffer, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_clear_error (&error);

  source = g_pollable_input_stream_create_source (input, NULL);
  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), &seen, NULL);
  g_source_attach (source, NULL);
  test_dispatch_pending ();
  g_assert_null (seen);
  g_assert_cmpint (g_socket_send (g_socket_connection_get_socket (second), "x", 1, NULL, &error), ==, 1);
  test_wait_until (seen != NULL);
  g_assert_true (seen == G_OBJECT (input));

  g_assert_cmpint (g_pollable_input_stream_read_nonblocking (input, buffer, sizeof buffer, NULL, &error), ==, 1);
  g_assert_cmpint (g_pollable_output_stream_write_nonblocking (
                     G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream)), "yz", 2, NULL, &error), ==, 2);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (second), buffer, sizeof buffer, NULL, &error), ==, 2);
}

/* ---- log -------------------------------------------------------------------------------------------------------- */

static void
test_log (void)
{
  g_autoptr(TestLog) log = test_log_start ();
  g_autoptr(GPtrArray) entries = NULL;
  g_autofree char *dump = NULL;
  const TestLogEntry *entry;

  /* Would end this program if nobody recorded. */
  g_warning ("plain %d", 1);
  g_log_structured ("other", G_LOG_LEVEL_DEBUG, "AQMP_NAME", "vm0", "MESSAGE", "structured %d", 2);

  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_WARNING, NULL, NULL), ==, 1);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK, "other", "structured"), ==, 1);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK, "other", "plain"), ==, 0);
  g_assert_true (g_log_get_debug_enabled ());

  dump = test_log_dump (log);
  g_assert_nonnull (strstr (dump, "other [vm0] level 0x80: structured 2\n"));

  entries = test_log_steal (log);
  g_assert_cmpuint (entries->len, ==, 2);
  entry = g_ptr_array_index (entries, 0);
  g_assert_cmpstr (entry->domain, ==, G_LOG_DOMAIN);
  g_assert_cmpstr (entry->message, ==, "plain 1");
  g_assert_cmpint (entry->level, ==, G_LOG_LEVEL_WARNING);
  g_assert_null (entry->name);
  g_assert_nonnull (g_hash_table_lookup (entry->fields, "CODE_FUNC"));
  entry = g_ptr_array_index (entries, 1);
  g_assert_cmpstr (entry->name, ==, "vm0");
  g_assert_cmpstr (entry->message, ==, "structured 2");
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK, NULL, NULL), ==, 0);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/test-support/wait", test_wait);
  g_test_add_func ("/test-support/wait/own-context", test_wait_in_own_context);
  g_test_add_func ("/test-support/wait/in-vain", test_wait_in_vain);
  g_test_add_func ("/test-support/slot", test_slot);
  g_test_add_func ("/test-support/pending", test_pending);
  g_test_add_func ("/test-support/directory", test_directory);
  g_test_add_func ("/test-support/fds", test_fds);
  g_test_add_func ("/test-support/rss", test_rss);
  g_test_add_func ("/test-support/stream/plain", test_plain_stream);
  g_test_add_func ("/test-support/stream/pollable", test_pollable_stream);
  g_test_add_func ("/test-support/log", test_log);

  return g_test_run ();
}
