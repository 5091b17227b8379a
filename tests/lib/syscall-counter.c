/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The functions are defined here under their own names, so their headers must neither rename them nor define them inline. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "syscall-counter.h"

#include "util.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* What glibc offers to programs that are built with _FORTIFY_SOURCE, as Debian's GLib is; in no header by then. */
ssize_t __read_chk     (int fd, void *buffer, size_t count, size_t buffer_size);
ssize_t __recv_chk     (int fd, void *buffer, size_t count, size_t buffer_size, int flags);
ssize_t __recvfrom_chk (int fd, void *buffer, size_t count, size_t buffer_size, int flags, __SOCKADDR_ARG address,
                        socklen_t *length);
int     __poll_chk     (struct pollfd *fds, nfds_t n_fds, int timeout, size_t fds_size);
int     __ppoll_chk    (struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout, const sigset_t *mask,
                        size_t fds_size);
int     fcntl64        (int fd, int command, ...);

/* X (type, name, parameters, arguments) for each function with a fixed list of parameters. */
#define FIXED_CALLS(X) \
  X (int, accept, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length)) \
  X (int, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *length, int flags), (fd, address, length, flags)) \
  X (int, close, (int fd), (fd)) \
  X (int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length)) \
  X (int, dup, (int fd), (fd)) \
  X (int, epoll_create, (int size), (size)) \
  X (int, epoll_create1, (int flags), (flags)) \
  X (int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event), (epfd, op, fd, event)) \
  X (int, epoll_pwait, (int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask), \
     (epfd, events, max, timeout, mask)) \
  X (int, epoll_wait, (int epfd, struct epoll_event *events, int max, int timeout), (epfd, events, max, timeout)) \
  X (int, eventfd, (unsigned int value, int flags), (value, flags)) \
  X (int, eventfd_read, (int fd, eventfd_t *value), (fd, value)) \
  X (int, eventfd_write, (int fd, eventfd_t value), (fd, value)) \
  X (int, getpeername, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length)) \
  X (int, getsockname, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length)) \
  X (int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length), (fd, level, name, value, length)) \
  X (int, pipe, (int fds[2]), (fds)) \
  X (int, pipe2, (int fds[2], int flags), (fds, flags)) \
  X (int, poll, (struct pollfd *fds, nfds_t n_fds, int timeout), (fds, n_fds, timeout)) \
  X (int, __poll_chk, (struct pollfd *fds, nfds_t n_fds, int timeout, size_t size), (fds, n_fds, timeout, size)) \
  X (int, ppoll, (struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout, const sigset_t *mask), \
     (fds, n_fds, timeout, mask)) \
  X (int, __ppoll_chk, \
     (struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout, const sigset_t *mask, size_t size), \
     (fds, n_fds, timeout, mask, size)) \
  X (int, pselect, (int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *timeout, const sigset_t *mask), \
     (n, in, out, ex, timeout, mask)) \
  X (ssize_t, read, (int fd, void *buffer, size_t count), (fd, buffer, count)) \
  X (ssize_t, __read_chk, (int fd, void *buffer, size_t count, size_t size), (fd, buffer, count, size)) \
  X (ssize_t, readv, (int fd, const struct iovec *vector, int count), (fd, vector, count)) \
  X (ssize_t, recv, (int fd, void *buffer, size_t count, int flags), (fd, buffer, count, flags)) \
  X (ssize_t, __recv_chk, (int fd, void *buffer, size_t count, size_t size, int flags), (fd, buffer, count, size, flags)) \
  X (ssize_t, recvfrom, (int fd, void *buffer, size_t count, int flags, __SOCKADDR_ARG address, socklen_t *length), \
     (fd, buffer, count, flags, address, length)) \
  X (ssize_t, __recvfrom_chk, \
     (int fd, void *buffer, size_t count, size_t size, int flags, __SOCKADDR_ARG address, socklen_t *length), \
     (fd, buffer, count, size, flags, address, length)) \
  X (int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout), \
     (fd, messages, count, flags, timeout)) \
  X (ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags)) \
  X (int, select, (int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout), (n, in, out, ex, timeout)) \
  X (ssize_t, send, (int fd, const void *buffer, size_t count, int flags), (fd, buffer, count, flags)) \
  X (int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned int count, int flags), (fd, messages, count, flags)) \
  X (ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags)) \
  X (ssize_t, sendto, \
     (int fd, const void *buffer, size_t count, int flags, __CONST_SOCKADDR_ARG address, socklen_t length), \
     (fd, buffer, count, flags, address, length)) \
  X (int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length), (fd, level, name, value, length)) \
  X (int, shutdown, (int fd, int how), (fd, how)) \
  X (int, socket, (int domain, int type, int protocol), (domain, type, protocol)) \
  X (int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds)) \
  X (int, timerfd_settime, (int fd, int flags, const struct itimerspec *value, struct itimerspec *old), \
     (fd, flags, value, old)) \
  X (ssize_t, write, (int fd, const void *buffer, size_t count), (fd, buffer, count)) \
  X (ssize_t, writev, (int fd, const struct iovec *vector, int count), (fd, vector, count))

/* X (name) for those with a variable one. */
#define VARIADIC_CALLS(X) \
  X (fcntl) \
  X (fcntl64) \
  X (ioctl) \
  X (syscall)

typedef enum
{
#define AS_INDEX(type, name, parameters, arguments) CALL_##name,
  FIXED_CALLS (AS_INDEX)
#undef AS_INDEX
#define AS_INDEX(name) CALL_##name,
  VARIADIC_CALLS (AS_INDEX)
#undef AS_INDEX
  N_CALLS
} Call;

static const char * const call_names[N_CALLS] = {
#define AS_NAME(type, name, parameters, arguments) #name,
  FIXED_CALLS (AS_NAME)
#undef AS_NAME
#define AS_NAME(name) #name,
  VARIADIC_CALLS (AS_NAME)
#undef AS_NAME
};

/* No initialisation needed for any of these: GLib's constructors make calls before ours could have run. */
static gpointer real_calls[N_CALLS];                    /* atomic */
static guint64 process_counts[N_CALLS];                 /* atomic */
static _Thread_local guint64 thread_counts[N_CALLS];

/* Counts, and returns the function that would have been called without us: the sanitizer's, or the C library's. */
static gpointer
count_call (Call call)
{
  gpointer real = __atomic_load_n (&real_calls[call], __ATOMIC_RELAXED);

  thread_counts[call]++;
  if (!test_is_helper_thread ())
    __atomic_fetch_add (&process_counts[call], 1, __ATOMIC_RELAXED);

  if (G_UNLIKELY (real == NULL))
    {
      real = dlsym (RTLD_NEXT, call_names[call]);
      if (real == NULL)
        g_abort ();
      __atomic_store_n (&real_calls[call], real, __ATOMIC_RELAXED);
    }

  return real;
}

#define AS_FUNCTION(type, name, parameters, arguments) \
  type \
  name parameters \
  { \
    return ((__typeof__ (name) *) count_call (CALL_##name)) arguments; \
  }
FIXED_CALLS (AS_FUNCTION)
#undef AS_FUNCTION

/* How many arguments there are only the real function knows. They are all of the size of a register, and passing on one that
   was not given does no harm; but the sanitizer would object to looking for it. */
#define READS_TOO_FAR __attribute__ ((no_sanitize_address))

#define AS_FUNCTION(name, type) \
  READS_TOO_FAR \
  int \
  name (int fd, type command, ...) \
  { \
    va_list arguments; \
    gpointer argument; \
    \
    va_start (arguments, command); \
    argument = va_arg (arguments, gpointer); \
    va_end (arguments); \
    \
    return ((__typeof__ (name) *) count_call (CALL_##name)) (fd, command, argument); \
  }
AS_FUNCTION (fcntl, int)
AS_FUNCTION (fcntl64, int)
AS_FUNCTION (ioctl, unsigned long)
#undef AS_FUNCTION

READS_TOO_FAR
long
syscall (long number, ...)
{
  va_list arguments;
  long a[6];

  va_start (arguments, number);
  for (guint i = 0; i < G_N_ELEMENTS (a); i++)
    a[i] = va_arg (arguments, long);
  va_end (arguments);

  return ((__typeof__ (syscall) *) count_call (CALL_syscall)) (number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static guint64
get_count (SyscallCounterScope scope,
           guint               call)
{
  if (scope == SYSCALL_COUNTER_THREAD)
    return thread_counts[call];

  return __atomic_load_n (&process_counts[call], __ATOMIC_RELAXED);
}

void
syscall_counter_reset (SyscallCounterScope scope)
{
  for (guint i = 0; i < N_CALLS; i++)
    {
      if (scope == SYSCALL_COUNTER_THREAD)
        thread_counts[i] = 0;
      else
        __atomic_store_n (&process_counts[i], 0, __ATOMIC_RELAXED);
    }
}

guint64
syscall_counter_total (SyscallCounterScope scope)
{
  guint64 total = 0;

  for (guint i = 0; i < N_CALLS; i++)
    total += get_count (scope, i);

  return total;
}

guint64
syscall_counter_get (SyscallCounterScope  scope,
                     const char          *name)
{
  for (guint i = 0; i < N_CALLS; i++)
    {
      if (strcmp (call_names[i], name) == 0)
        return get_count (scope, i);
    }

  g_error ("%s() is not among the calls that are counted", name);
}

char *
syscall_counter_table (SyscallCounterScope scope)
{
  guint64 counts[N_CALLS];
  guint64 total = 0;
  GString *table = g_string_new (NULL);

  /* Before anything that may make calls itself. */
  for (guint i = 0; i < N_CALLS; i++)
    counts[i] = get_count (scope, i);

  for (guint i = 0; i < N_CALLS; i++)
    {
      if (counts[i] > 0)
        g_string_append_printf (table, "%s %" G_GUINT64_FORMAT ", ", call_names[i], counts[i]);
      total += counts[i];
    }
  g_string_append_printf (table, "total %" G_GUINT64_FORMAT, total);

  return g_string_free (table, FALSE);
}
