/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The system call counter: known numbers of calls, made through GLib and GIO, must be what it says. */

#include "syscall-counter.h"

#include "mock-server.h"
#include "util.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N 17

static void
assert_counts (SyscallCounterScope  scope,
               const char          *expected)
{
  g_autofree char *table = syscall_counter_table (scope);

  g_assert_cmpstr (table, ==, expected);
}

static void
test_socket (void)
{
  g_autoptr(GSocketConnection) first = NULL;
  g_autoptr(GSocketConnection) second = NULL;
  g_autoptr(GError) error = NULL;
  char buffer[N];
  GSocket *socket;

  test_socket_pair (&first, &second);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  assert_counts (SYSCALL_COUNTER_THREAD, "total 0");

  socket = g_socket_connection_get_socket (first);
  g_socket_set_blocking (socket, FALSE);
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (g_socket_send (socket, "x", 1, NULL, &error), ==, 1);
  assert_counts (SYSCALL_COUNTER_THREAD, "send 17, total 17");

  socket = g_socket_connection_get_socket (second);
  g_socket_set_blocking (socket, FALSE);
  g_assert_cmpint (g_socket_receive (socket, buffer, sizeof buffer, NULL, &error), ==, N);
  g_assert_cmpint (g_socket_condition_check (socket, G_IO_OUT), ==, G_IO_OUT);
  assert_counts (SYSCALL_COUNTER_THREAD, "poll 1, recv 1, send 17, total 19");

  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "send"), ==, N);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "recvmsg"), ==, 0);
  g_assert_cmpuint (syscall_counter_total (SYSCALL_COUNTER_THREAD), ==, N + 2);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  for (guint i = 0; i < 3; i++)
    {
      GOutputVector vector = { "ab", 2 };
      GInputVector room = { buffer, sizeof buffer };

      g_assert_cmpint (g_socket_send_message (socket, NULL, &vector, 1, NULL, 0, 0, NULL, &error), ==, 2);
      g_assert_cmpint (g_socket_receive_message (g_socket_connection_get_socket (first), NULL, &room, 1, NULL, NULL,
                                                 NULL, NULL, &error), ==, 2);
    }
  assert_counts (SYSCALL_COUNTER_THREAD, "recvmsg 3, sendmsg 3, total 6");
}

static void
test_main_context (void)
{
  g_autoptr(GMainContext) context = g_main_context_new ();

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  for (guint i = 0; i < N; i++)
    g_main_context_iteration (context, FALSE);
  assert_counts (SYSCALL_COUNTER_THREAD, "poll 17, total 17");

  /* Wakes the context up by its eventfd; the next iteration reads that. */
  g_main_context_wakeup (context);
  assert_counts (SYSCALL_COUNTER_THREAD, "poll 17, write 1, total 18");
  g_main_context_iteration (context, FALSE);
  assert_counts (SYSCALL_COUNTER_THREAD, "poll 18, read 1, write 1, total 20");
}

/* Those that are variadic get their arguments. */
static void
test_variadic (void)
{
  int fds[2];
  int n_readable = -1;
  int copy;

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM, 0, fds));
  g_assert_cmpint (write (fds[0], "abc", 3), ==, 3);
  g_assert_no_errno (ioctl (fds[1], FIONREAD, &n_readable));
  g_assert_cmpint (n_readable, ==, 3);
  copy = fcntl (fds[0], F_DUPFD_CLOEXEC, 100);
  g_assert_cmpint (copy, >=, 100);
  g_assert_cmpint (fcntl (copy, F_GETFD), ==, FD_CLOEXEC);
  g_assert_cmpint (syscall (SYS_getpid), ==, getpid ());
  g_assert_cmpint (syscall (SYS_write, copy, "d", 1), ==, 1);
  g_assert_no_errno (ioctl (fds[1], FIONREAD, &n_readable));
  g_assert_cmpint (n_readable, ==, 4);
  close (copy);
  close (fds[0]);
  close (fds[1]);

  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "socketpair"), ==, 1);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "ioctl"), ==, 2);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "syscall"), ==, 2);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "close"), ==, 3);
  /* Under either name. */
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "fcntl")
                    + syscall_counter_get (SYSCALL_COUNTER_THREAD, "fcntl64"), ==, 2);
}

static gpointer
write_in_thread (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);

  for (guint i = 0; i < N; i++)
    g_assert_cmpint (write (fd, "x", 1), ==, 1);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "write"), ==, N);

  return NULL;
}

static void
test_threads (void)
{
  int fds[2];

  g_assert_no_errno (pipe (fds));
  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  syscall_counter_reset (SYSCALL_COUNTER_PROCESS);

  g_assert_cmpint (write (fds[1], "x", 1), ==, 1);
  g_thread_join (g_thread_new ("writer", write_in_thread, GINT_TO_POINTER (fds[1])));

  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "write"), ==, 1);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_PROCESS, "write"), ==, N + 1);

  close (fds[0]);
  close (fds[1]);
}

/* A mock does its work without being counted. */
static void
test_mock (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  g_autoptr(GError) error = NULL;
  char byte;

  syscall_counter_reset (SYSCALL_COUNTER_PROCESS);
  mock_send_split (mock, "abcdefghijklmnopqrstuvwxyz", 1, 0);
  mock_block_done (mock);
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (stream), &byte, 1, NULL, &error), ==, 1);
  g_assert_no_error (error);

  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_PROCESS, "send"), ==, 0);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_PROCESS, "recv"), ==, 1);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/syscall-counter/socket", test_socket);
  g_test_add_func ("/syscall-counter/main-context", test_main_context);
  g_test_add_func ("/syscall-counter/variadic", test_variadic);
  g_test_add_func ("/syscall-counter/threads", test_threads);
  g_test_add_func ("/syscall-counter/mock", test_mock);

  return g_test_run ();
}
