/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The real servers of the test support start, answer, and leave nothing behind. */

#include "qemu.h"
#include "util.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* In the environment: where the child of a test leaves a process id. */
#define PID_FILE "AQMP_TEST_PID_FILE"

/* Reads until a line has @text, and returns that. (transfer full) */
static char *
read_until (GDataInputStream *input,
            const char       *text)
{
  while (TRUE)
    {
      g_autoptr(GError) error = NULL;
      g_autofree char *line = g_data_input_stream_read_line_utf8 (input, NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_nonnull (line);
      if (strstr (line, text) != NULL)
        return g_steal_pointer (&line);
    }
}

static void
client_write (GIOStream  *stream,
              const char *text)
{
  g_autoptr(GError) error = NULL;

  g_output_stream_write_all (g_io_stream_get_output_stream (stream), text, strlen (text), NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
check_server (QemuKind      kind,
              QemuTransport transport,
              QemuFlags     flags)
{
  g_autoptr(Qemu) qemu = qemu_new (kind, transport, flags, NULL);
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GDataInputStream) input = NULL;
  g_autofree char *greeting = NULL;
  g_autofree char *reply = NULL;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  input = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  g_data_input_stream_set_newline_type (input, G_DATA_STREAM_NEWLINE_TYPE_ANY);

  greeting = read_until (input, "\"QMP\"");
  g_assert_cmpint (strstr (greeting, "version") == NULL, ==, (flags & QEMU_FLAGS_PRETTY) != 0);
  client_write (stream, "{\"execute\":\"qmp_capabilities\",\"id\":\"caps\"}");
  g_free (read_until (input, "caps"));
  client_write (stream, "{\"execute\":\"quit\",\"id\":\"the end\"}");
  reply = read_until (input, "the end");
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
}

static void
test_system (void)
{
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_PRETTY);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_STDIO, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE);
}

static void
test_storage_daemon (void)
{
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_PATH, QEMU_FLAGS_PRETTY);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_NONE);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_STDIO, QEMU_FLAGS_NONE);
}

static void
test_guest_agent (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GDataInputStream) input = NULL;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  input = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  client_write (stream, "{\"execute\":\"guest-ping\",\"id\":\"here\"}");
  g_free (read_until (input, "here"));
  client_write (stream, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/true\"}}");
  g_free (read_until (input, "disabled"));
}

static void
test_extra_arguments (void)
{
  static const char * const extra[] = { "-pidfile", "@DIR@/the.pid", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_PATH, QEMU_FLAGS_QUIET, extra);
  g_autofree char *path = NULL;
  g_autofree char *image = NULL;

  if (qemu == NULL)
    return;

  path = g_build_filename (qemu_get_directory (qemu), "the.pid", NULL);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));

  image = qemu_create_image (qemu_get_directory (qemu), "a.qcow2", "qcow2", "1M");
  if (image != NULL)
    g_assert_true (g_file_test (image, G_FILE_TEST_IS_REGULAR));
}

static void
test_kill (void)
{
  Qemu *qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GDataInputStream) input = NULL;
  g_autofree char *directory = NULL;
  int pid;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  input = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  g_free (read_until (input, "QMP"));

  qemu_freeze (qemu);
  qemu_thaw (qemu);
  qemu_kill (qemu);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 128 + SIGKILL);

  directory = g_strdup (qemu_get_directory (qemu));
  pid = qemu_get_pid (qemu);
  qemu_free (qemu);
  g_assert_false (g_file_test (directory, G_FILE_TEST_EXISTS));
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_assert_cmpint (errno, ==, ESRCH);
}

/* A test that fails takes its servers with it. */
static void
test_dies_with_test (void)
{
  const char *path = g_getenv (PID_FILE);
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  gint64 deadline;
  int pid;

  if (g_test_subprocess ())
    {
      Qemu *qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_NONE, NULL);

      text = g_strdup_printf ("%d", qemu_get_pid (qemu));
      g_file_set_contents (path, text, -1, &error);
      g_assert_no_error (error);

      /* Which nobody else would do, as this test fails. */
      g_assert_no_errno (g_rmdir (qemu_get_directory (qemu)));
      g_error ("this test fails");
    }

  if (!qemu_require_program ("qemu-system-x86_64"))
    return;

  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, 0);
  g_test_trap_assert_failed ();

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  pid = atoi (text);
  g_assert_cmpint (pid, >, 1);

  /* It is somebody else's child now, who has to reap it: there may be a zombie. */
  deadline = g_get_monotonic_time () + test_bound_us ();
  while (TRUE)
    {
      g_autofree char *exe = g_strdup_printf ("/proc/%d/exe", pid);
      g_autofree char *target = g_file_read_link (exe, NULL);

      if (target == NULL)
        break;
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_thread_yield ();
    }
}

static void
test_leaves_nothing (void)
{
  guint n_fds;

  if (!qemu_require_program ("qemu-storage-daemon"))
    return;

  n_fds = test_count_fds ();
  for (guint i = 0; i < 4; i++)
    {
      Qemu *qemu = qemu_new (QEMU_STORAGE_DAEMON, i, QEMU_FLAGS_NONE, NULL);

      g_object_unref (qemu_get_stream (qemu));
      qemu_free (qemu);
    }
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(TestTmpDir) dir = NULL;

  g_test_init (&argc, &argv, NULL);

  if (!g_test_subprocess ())
    {
      g_autofree char *pid_file = NULL;

      /* Before there are threads; the child inherits it. */
      dir = test_tmp_dir_new ();
      pid_file = test_tmp_dir_build (dir, "pid");
      g_setenv (PID_FILE, pid_file, TRUE);
    }

  g_test_add_func ("/servers/system", test_system);
  g_test_add_func ("/servers/storage-daemon", test_storage_daemon);
  g_test_add_func ("/servers/guest-agent", test_guest_agent);
  g_test_add_func ("/servers/extra-arguments", test_extra_arguments);
  g_test_add_func ("/servers/kill", test_kill);
  g_test_add_func ("/servers/dies-with-test", test_dies_with_test);
  g_test_add_func ("/servers/leaves-nothing", test_leaves_nothing);

  return g_test_run ();
}
