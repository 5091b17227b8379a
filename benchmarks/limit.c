/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The limit: a blocking socket, no JSON, no main loop. A reply is over where its line is. Nothing can be faster. */

#include "bench.h"

#include <err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER_SIZE (1024 * 1024)

static char buffer[BUFFER_SIZE];

static int
dial (const Bench *bench)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, bench->socket, sizeof address.sun_path);
  if (fd < 0 || connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    err (1, "%s", bench->socket);

  return fd;
}

static void
send_text (int         fd,
           const char *text,
           gsize       length)
{
  if (send (fd, text, length, MSG_NOSIGNAL) != (gssize) length)
    err (1, "send");
}

static guint64
count_lines (const char *text,
             gsize       length)
{
  const char *end = text + length;
  guint64 n = 0;

  while ((text = memchr (text, '\n', end - text)) != NULL)
    {
      n++;
      text++;
    }

  return n;
}

static void
read_lines (int     fd,
            guint64 n)
{
  while (n > 0)
    {
      gssize length = recv (fd, buffer, sizeof buffer, 0);
      guint64 lines;

      if (length <= 0)
        err (1, "recv");
      lines = count_lines (buffer, length);
      if (lines > n)
        errx (1, "more replies than calls");
      n -= lines;
    }
}

static int
connect_and_negotiate (const Bench *bench)
{
  static const char command[] = "{\"execute\":\"qmp_capabilities\",\"id\":\"aqmp-0\"}";
  int fd = dial (bench);

  read_lines (fd, 1);
  send_text (fd, command, strlen (command));
  read_lines (fd, 1);

  return fd;
}

static char *
make_command (const Bench *bench)
{
  g_autofree char *command = bench_command (bench);

  return g_strdup_printf ("{\"id\":\"aqmp-1\",%s", command + 1);
}

static void
do_calls (int         fd,
          const char *command,
          guint64     in_flight,
          guint64     count)
{
  g_autoptr (GString) commands = g_string_new (NULL);
  gsize length = strlen (command);

  for (guint64 i = 0; i < in_flight; i++)
    g_string_append_len (commands, command, length);

  while (count > 0)
    {
      guint64 n = MIN (count, in_flight);

      send_text (fd, commands->str, n * length);
      read_lines (fd, n);
      count -= n;
    }
}

static void
run_calls (Bench *bench)
{
  g_autofree char *command = make_command (bench);
  guint64 in_flight = bench_number (bench, "inflight", 1);
  int fd = connect_and_negotiate (bench);

  do_calls (fd, command, in_flight, bench_warm (bench));
  bench_begin (bench);
  do_calls (fd, command, in_flight, bench->count);
  bench_end (bench);
  close (fd);
}

static void
do_events (int     fd,
           guint64 burst,
           guint64 count)
{
  g_autofree char *command = g_strdup_printf ("{\"execute\":\"x-events\",\"id\":\"aqmp-1\",\"arguments\":"
                                              "{\"count\":%" G_GUINT64_FORMAT ",\"data\":1}}", burst);

  for (guint64 i = 0; i < count / burst; i++)
    {
      send_text (fd, command, strlen (command));
      read_lines (fd, burst + 1);
    }
}

static void
run_events (Bench *bench)
{
  guint64 burst = bench_number (bench, "burst", 1000);
  int fd = connect_and_negotiate (bench);

  do_events (fd, burst, burst);
  bench_begin (bench);
  do_events (fd, burst, bench->count);
  bench_end (bench);
  close (fd);
}

static void
do_connects (const Bench *bench,
             guint64      count)
{
  for (guint64 i = 0; i < count; i++)
    close (connect_and_negotiate (bench));
}

static void
run_connects (Bench *bench)
{
  do_connects (bench, bench_warm (bench));
  bench_begin (bench);
  do_connects (bench, bench->count);
  bench_end (bench);
}

/* On each session one call is on its way, so the others need not be waited for. */
static void
do_session_calls (const int  *fds,
                  guint64     n_sessions,
                  const char *command,
                  guint64     count)
{
  gsize length = strlen (command);

  while (count > 0)
    {
      guint64 n = MIN (count, n_sessions);

      for (guint64 i = 0; i < n; i++)
        send_text (fds[i], command, length);
      for (guint64 i = 0; i < n; i++)
        read_lines (fds[i], 1);
      count -= n;
    }
}

static void
run_sessions (Bench *bench)
{
  g_autofree char *command = make_command (bench);
  guint64 n = bench_number (bench, "sessions", 1);
  g_autofree int *fds = g_new (int, n);
  guint64 active = bench_number (bench, "active", n);

  for (guint64 i = 0; i < n; i++)
    fds[i] = connect_and_negotiate (bench);

  do_session_calls (fds, n, command, n);
  bench_begin (bench);
  do_session_calls (fds, active, command, bench->count);
  bench_end (bench);
}

int
main (int argc, char **argv)
{
  Bench bench;

  bench_init (&bench, argc, argv);
  if (bench_is (&bench, "calls"))
    run_calls (&bench);
  else if (bench_is (&bench, "events"))
    run_events (&bench);
  else if (bench_is (&bench, "connect"))
    run_connects (&bench);
  else if (bench_is (&bench, "sessions"))
    run_sessions (&bench);
  else
    errx (2, "the limit has no %s", bench.work);
  return 0;
}
