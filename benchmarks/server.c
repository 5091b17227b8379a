/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* bench-server SOCKET [DELAY]: a QMP server that is faster than any client. Prints "ready" once it listens.
 *
 * It knows query-status and query-qmp-schema, with replies as QEMU's, and
 *   x-text                       a reply of the schema's size with non-ASCII text
 *   x-size {bytes, piece}        a reply with a value of that size, written in pieces of that size
 *   x-events {count, data}       that many events, with or without data, and then the reply
 * and answers anything else with an empty object. Whatever has been asked in one read is answered in one write. With a delay
 * (in microseconds) it sleeps that long before each of these writes.
 */

#include "server-command.h"
#include "server-output.h"
#include "server-texts.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING \
  "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, " \
  "\"package\": \"Debian 1:7.2+dfsg-7\"}, \"capabilities\": []}}\r\n"
#define STATUS "{\"status\": \"prelaunch\", \"singlestep\": false, \"running\": false}"

#define BUFFER_SIZE (64 * 1024)

typedef struct
{
  int fd;
  gboolean blocked;     /* waits for room to write, and reads nothing meanwhile */
  GByteArray *input;    /* (owned): the beginning of a command; mostly empty */
  Output output;
} Session;

typedef struct
{
  int epoll_fd;
  int listening_fd;
  useconds_t delay;
  Texts texts;
} Server;

static void
append_literal (Output     *output,
                const char *text)
{
  output_append_copy (output, text, strlen (text));
}

static void
append_reply (Output        *output,
              const Command *command,
              const GString *long_value,
              const char    *short_value)
{
  append_literal (output, "{\"return\": ");
  if (long_value != NULL)
    output_append (output, long_value->str, long_value->len);
  else
    append_literal (output, short_value);
  if (command->id.length > 0)
    {
      append_literal (output, ", \"id\": ");
      output_append_copy (output, command->id.text, command->id.length);
    }
  append_literal (output, "}\r\n");
}

static void
append_events (Output        *output,
               const GString *events,
               guint64        count)
{
  for (; count >= TEXTS_N_EVENTS; count -= TEXTS_N_EVENTS)
    output_append (output, events->str, events->len);

  /* All have the same length. */
  if (count > 0)
    output_append (output, events->str, events->len / TEXTS_N_EVENTS * count);
}

static OutputResult
answer (Server        *self,
        Session       *session,
        const Command *command)
{
  Output *output = &session->output;

  if (command_has_name (command, "query-status"))
    append_reply (output, command, NULL, STATUS);
  else if (command_has_name (command, "query-qmp-schema"))
    append_reply (output, command, self->texts.schema, NULL);
  else if (command_has_name (command, "x-text"))
    append_reply (output, command, self->texts.text, NULL);
  else if (command_has_name (command, "x-size"))
    append_reply (output, command, texts_sized (&self->texts, command->bytes), NULL);
  else
    {
      append_events (output, command->data ? self->texts.data_events : self->texts.events, command->count);
      append_reply (output, command, NULL, "{}");
    }

  return command->piece > 0 ? output_write_pieces (output, session->fd, command->piece) : OUTPUT_DONE;
}

static void
watch (Server   *self,
       Session  *session,
       int       operation,
       guint32   events)
{
  struct epoll_event event = { .events = events, .data.ptr = session };

  if (epoll_ctl (self->epoll_fd, operation, session->fd, &event) < 0)
    err (1, "epoll_ctl");
}

static void
end_session (Session *session)
{
  close (session->fd);
  output_clear (&session->output);
  g_byte_array_unref (session->input);
  g_free (session);
}

/* FALSE: the session has ended. */
static gboolean
write_output (Server  *self,
              Session *session)
{
  OutputResult result;
  gboolean blocked;

  if (self->delay > 0)
    usleep (self->delay);
  result = output_write (&session->output, session->fd);
  if (result == OUTPUT_FAILED)
    {
      end_session (session);
      return FALSE;
    }

  blocked = result == OUTPUT_BLOCKED;
  if (blocked != session->blocked)
    watch (self, session, EPOLL_CTL_MOD, blocked ? EPOLLOUT : EPOLLIN);
  session->blocked = blocked;
  return TRUE;
}

/* How much of it were whole commands, or -1. */
static gssize
answer_all (Server     *self,
            Session    *session,
            const char *text,
            gsize       length)
{
  gsize done = 0;
  gsize n;
  Command command;

  while ((n = command_read (&command, text + done, length - done)) > 0)
    {
      if (answer (self, session, &command) == OUTPUT_FAILED)
        return -1;
      done += n;
    }

  return done;
}

static void
read_input (Server  *self,
            Session *session)
{
  static char buffer[BUFFER_SIZE];
  gssize n = recv (session->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  const char *text = buffer;
  gssize done;

  if (n < 0 && errno == EAGAIN)
    return;
  if (n <= 0)
    {
      end_session (session);
      return;
    }

  if (session->input->len > 0)
    {
      g_byte_array_append (session->input, (guint8 *) buffer, n);
      text = (char *) session->input->data;
      n = session->input->len;
    }
  done = answer_all (self, session, text, n);
  if (done < 0)
    {
      end_session (session);
      return;
    }

  if (text != buffer)
    g_byte_array_remove_range (session->input, 0, done);
  else if (done < n)
    g_byte_array_append (session->input, (guint8 *) buffer + done, n - done);
  write_output (self, session);
}

static void
accept_session (Server *self)
{
  int fd = accept4 (self->listening_fd, NULL, NULL, SOCK_CLOEXEC);
  Session *session;

  if (fd < 0)
    return;

  session = g_new0 (Session, 1);
  session->fd = fd;
  session->input = g_byte_array_new ();
  output_init (&session->output);
  watch (self, session, EPOLL_CTL_ADD, EPOLLIN);
  output_append (&session->output, GREETING, strlen (GREETING));
  write_output (self, session);
}

static void
dispatch (Server  *self,
          Session *session)
{
  if (session == NULL)
    accept_session (self);
  else if (!session->blocked)
    read_input (self, session);
  else
    write_output (self, session);
}

static void
start_listening (Server     *self,
                 const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

  if (strlen (path) >= sizeof address.sun_path)
    errx (1, "%s: too long for the address of a socket", path);
  strcpy (address.sun_path, path);

  self->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  self->listening_fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (self->epoll_fd < 0 || self->listening_fd < 0 ||
      bind (self->listening_fd, (struct sockaddr *) &address, sizeof address) < 0 ||
      listen (self->listening_fd, 4096) < 0 ||
      epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, self->listening_fd, &event) < 0)
    err (1, "%s", path);
}

static void
allow_many_files (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0)
    {
      limit.rlim_cur = limit.rlim_max;
      setrlimit (RLIMIT_NOFILE, &limit);
    }
}

int
main (int argc, char **argv)
{
  Server self = { 0, };

  if (argc < 2 || argc > 3)
    errx (2, "usage: bench-server SOCKET [DELAY]");
  if (argc == 3)
    self.delay = strtoul (argv[2], NULL, 10);

  prctl (PR_SET_PDEATHSIG, SIGTERM);
  allow_many_files ();
  texts_init (&self.texts);
  start_listening (&self, argv[1]);
  if (puts ("ready") < 0 || fflush (stdout) != 0)
    err (1, "standard output");

  while (TRUE)
    {
      struct epoll_event events[64];
      int n = epoll_wait (self.epoll_fd, events, G_N_ELEMENTS (events), -1);

      /* At most one event for each session: none of the others is of one that has ended. */
      for (int i = 0; i < n; i++)
        dispatch (&self, events[i].data.ptr);
    }
}
