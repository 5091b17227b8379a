/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "mock-connection.h"

#include "mock-json.h"
#include "util.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536
#define MAX_FDS 64

void
mock_connection_init (MockConnection *self,
                      int             wake_fd)
{
  self->in_fd = -1;
  self->out_fd = -1;
  self->wake_fd = wake_fd;
  self->held = -1;
  self->tls = NULL;
}

void
mock_connection_open (MockConnection *self,
                      int             in_fd,
                      int             out_fd)
{
  struct sockaddr_storage address;
  socklen_t length = sizeof address;

  self->in_fd = in_fd;
  self->out_fd = out_fd;
  self->held = -1;
  self->is_socket = in_fd == out_fd;
  self->is_unix = FALSE;

  g_assert_true (g_unix_set_fd_nonblocking (in_fd, TRUE, NULL));
  g_assert_true (g_unix_set_fd_nonblocking (out_fd, TRUE, NULL));

  if (self->is_socket)
    {
      g_assert_no_errno (getsockname (in_fd, (struct sockaddr *) &address, &length));
      self->is_unix = address.ss_family == AF_UNIX;

      if (!self->is_unix)
        {
          int one = 1;

          /* Pieces are to arrive as they were sent. */
          g_assert_no_errno (setsockopt (in_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
        }
    }
}

void
mock_connection_open_tls (MockConnection *self,
                          MockTls        *tls)
{
  mock_connection_open (self, mock_tls_get_fd (tls), mock_tls_get_fd (tls));
  self->tls = tls;
}

gboolean
mock_connection_is_open (MockConnection *self)
{
  return self->in_fd >= 0 || self->out_fd >= 0;
}

void
mock_connection_close (MockConnection *self,
                       gboolean        is_polite)
{
  if (self->tls != NULL)
    {
      mock_tls_close (g_steal_pointer (&self->tls), is_polite);
    }
  else
    {
      if (self->out_fd >= 0 && self->out_fd != self->in_fd)
        close (self->out_fd);
      if (self->in_fd >= 0)
        close (self->in_fd);
    }
  self->in_fd = -1;
  self->out_fd = -1;
  self->held = -1;
}

/* For use right after a call that failed. */
static void
set_error_from_errno (GError     **error,
                      const char  *what)
{
  int saved_errno = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: %s", what, g_strerror (saved_errno));
}

gboolean
mock_connection_wait (MockConnection  *self,
                      int              fd,
                      short            events,
                      gint64           timeout_us,
                      GError         **error)
{
  gint64 deadline = g_get_monotonic_time () + (timeout_us >= 0 ? timeout_us : test_bound_us ());

  while (TRUE)
    {
      struct pollfd poll_fds[] = {
        { .fd = self->wake_fd, .events = POLLIN },
        { .fd = fd, .events = events },
      };
      gint64 rest = deadline - g_get_monotonic_time ();
      int n_ready = poll (poll_fds, fd >= 0 ? 2 : 1, (int) ((MAX (rest, 0) + 999) / 1000));

      if (n_ready < 0 && errno != EINTR)
        {
          set_error_from_errno (error, "poll");
          return FALSE;
        }

      if (n_ready > 0 && poll_fds[0].revents != 0)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "still waiting when the test gave up");
          return FALSE;
        }

      if (n_ready > 0)
        return TRUE;

      if (n_ready == 0 && rest <= 0)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "nothing happened within the bound");
          return FALSE;
        }
    }
}

gboolean
mock_connection_wait_input (MockConnection  *self,
                            gint64           timeout_us,
                            GError         **error)
{
  gint64 deadline = g_get_monotonic_time () + (timeout_us >= 0 ? timeout_us : test_bound_us ());

  if (self->tls == NULL)
    return mock_connection_wait (self, self->in_fd, POLLIN, timeout_us, error);

  /* What the socket has may be nothing but TLS's own business, and what TLS has may not be in the socket any more. */
  while (TRUE)
    {
      g_autoptr(GError) local_error = NULL;
      char byte;

      if (mock_tls_peek (self->tls, &byte, 1, &local_error) >= 0
          || !g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          /* Only to be told to give up. */
          g_autoptr(GError) wake_error = NULL;

          if (mock_connection_wait (self, -1, 0, 0, &wake_error)
              || g_error_matches (wake_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
            return TRUE;
          g_propagate_error (error, g_steal_pointer (&wake_error));
          return FALSE;
        }

      if (!mock_connection_wait (self, self->in_fd, POLLIN, MAX (deadline - g_get_monotonic_time (), 0), error))
        return FALSE;
    }
}

/* A pipe cannot be peeked at: one byte is taken out and held. */
static gssize
peek_pipe (MockConnection  *self,
           char            *buffer,
           GError         **error)
{
  if (self->held < 0)
    {
      guint8 byte;
      gssize n_read;

      do
        n_read = read (self->in_fd, &byte, 1);
      while (n_read < 0 && errno == EINTR);

      if (n_read < 0)
        set_error_from_errno (error, "read");
      if (n_read <= 0)
        return n_read;
      self->held = byte;
    }

  buffer[0] = (char) self->held;

  return 1;
}

gssize
mock_connection_peek_now (MockConnection  *self,
                          char            *buffer,
                          gsize            size,
                          GError         **error)
{
  struct iovec vector = { buffer, size };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
  gssize n_peeked;

  if (self->tls != NULL)
    return mock_tls_peek (self->tls, buffer, size, error);

  if (!self->is_socket)
    return peek_pipe (self, buffer, error);

  do
    n_peeked = recvmsg (self->in_fd, &message, MSG_PEEK | MSG_DONTWAIT);
  while (n_peeked < 0 && errno == EINTR);

  if (n_peeked < 0)
    set_error_from_errno (error, "recvmsg");

  /* Descriptors are somewhere among these bytes, without room for them here. The kernel does not say where: from here on
     byte by byte, until they come out with theirs. */
  if (n_peeked > 0 && (message.msg_flags & MSG_CTRUNC) != 0)
    return 1;

  return n_peeked;
}

gssize
mock_connection_peek (MockConnection  *self,
                      char            *buffer,
                      gsize            size,
                      GError         **error)
{
  while (TRUE)
    {
      g_autoptr(GError) local_error = NULL;
      gssize n_peeked = mock_connection_peek_now (self, buffer, size, &local_error);

      if (n_peeked >= 0)
        return n_peeked;

      if (!g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return -1;
        }

      if (!mock_connection_wait (self, self->in_fd, POLLIN, -1, error))
        return -1;
    }
}

/* Takes @length bytes that were peeked at, and the descriptors that come with them; @offset is that of the first. */
static void
take (MockConnection *self,
      gsize           length,
      gsize           offset,
      MockFds        *fds)
{
  char buffer[CHUNK];
  union
  {
    char bytes[CMSG_SPACE (MAX_FDS * sizeof (int))];
    struct cmsghdr align;
  } control;
  struct iovec vector = { buffer, length };
  struct msghdr message = {
    .msg_iov = &vector,
    .msg_iovlen = 1,
    .msg_control = &control,
    .msg_controllen = sizeof control,
  };
  gssize n_read;

  g_assert_cmpuint (length, <=, sizeof buffer);

  if (self->tls != NULL)
    {
      mock_tls_take (self->tls, length);
      return;
    }

  if (!self->is_socket)
    {
      self->held = -1;
      return;
    }

  do
    n_read = recvmsg (self->in_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (n_read < 0 && errno == EINTR);
  g_assert_cmpint (n_read, ==, (gssize) length);

  for (struct cmsghdr *header = CMSG_FIRSTHDR (&message); header != NULL; header = CMSG_NXTHDR (&message, header))
    {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        continue;

      if (fds->fds == NULL)
        fds->fds = g_array_new (FALSE, FALSE, sizeof (int));
      fds->offset = offset;
      g_array_append_vals (fds->fds, CMSG_DATA (header),
                           (guint) ((header->cmsg_len - CMSG_LEN (0)) / sizeof (int)));
    }
}

/* Peeks, turning the end of file into an error. */
static gssize
peek_data (MockConnection  *self,
           char            *buffer,
           gsize            size,
           GError         **error)
{
  gssize n_peeked = mock_connection_peek (self, buffer, size, error);

  if (n_peeked == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "the client closed the connection");
      return -1;
    }

  return n_peeked;
}

gboolean
mock_connection_read_value (MockConnection  *self,
                            gboolean         skip_space,
                            GString         *text,
                            MockFds         *fds,
                            GError         **error)
{
  MockFramer framer = { 0 };
  gboolean is_complete = FALSE;

  while (!is_complete)
    {
      char buffer[CHUNK];
      gssize n_peeked = peek_data (self, buffer, sizeof buffer, error);
      gssize n_space = 0;
      gssize n_used;

      if (n_peeked < 0)
        return FALSE;

      if (text->len == 0 && skip_space)
        {
          while (n_space < n_peeked && g_ascii_isspace (buffer[n_space]))
            n_space++;
        }

      if (text->len == 0 && n_space < n_peeked && buffer[n_space] != '{' && buffer[n_space] != '[')
        {
          g_string_append_len (text, buffer, n_peeked);
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "neither a JSON object nor an array begins here");
          return FALSE;
        }

      for (n_used = n_space; n_used < n_peeked && !is_complete; n_used++)
        is_complete = mock_framer_push (&framer, buffer[n_used]);

      take (self, (gsize) n_used, text->len, fds);
      if (fds->fds != NULL && n_space == n_used)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "descriptors came with white space before a value");
          return FALSE;
        }
      g_string_append_len (text, buffer + n_space, n_used - n_space);
    }

  return TRUE;
}

gboolean
mock_connection_read_bytes (MockConnection  *self,
                            gsize            length,
                            GString         *text,
                            MockFds         *fds,
                            GError         **error)
{
  while (text->len < length)
    {
      char buffer[CHUNK];
      gssize n_peeked = peek_data (self, buffer, MIN (sizeof buffer, length - text->len), error);

      if (n_peeked < 0)
        return FALSE;

      take (self, (gsize) n_peeked, text->len, fds);
      g_string_append_len (text, buffer, n_peeked);
    }

  return TRUE;
}

gboolean
mock_connection_read_until_gone (MockConnection  *self,
                                 GError         **error)
{
  while (TRUE)
    {
      g_autoptr(GError) local_error = NULL;
      char buffer[CHUNK];
      gssize n_peeked;
      MockFds fds = { 0 };

      /* Also to be told to give up, for a client that never stops sending. */
      if (!mock_connection_wait_input (self, -1, error))
        return FALSE;
      n_peeked = mock_connection_peek (self, buffer, sizeof buffer, &local_error);

      /* It may have gone in the middle of a record. */
      if (n_peeked == 0
          || g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED)
          || (local_error != NULL && local_error->domain == G_TLS_ERROR))
        return TRUE;

      if (n_peeked < 0)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }

      take (self, (gsize) n_peeked, 0, &fds);
      if (fds.fds != NULL)
        {
          for (guint i = 0; i < fds.fds->len; i++)
            close (g_array_index (fds.fds, int, i));
          g_array_unref (fds.fds);
        }
    }
}

/* (-1 with an error, WOULD_BLOCK too) */
static gssize
send_now (MockConnection  *self,
          const char      *data,
          gsize            length,
          GError         **error)
{
  gssize n_sent;

  if (self->tls != NULL)
    return mock_tls_send (self->tls, data, length, error);

  do
    {
      if (self->is_socket)
        n_sent = send (self->out_fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
      else
        n_sent = write (self->out_fd, data, length);
    }
  while (n_sent < 0 && errno == EINTR);

  if (n_sent < 0)
    set_error_from_errno (error, "send");

  return n_sent;
}

gboolean
mock_connection_send (MockConnection  *self,
                      const char      *data,
                      gsize            length,
                      GError         **error)
{
  while (length > 0)
    {
      g_autoptr(GError) local_error = NULL;
      gssize n_sent = send_now (self, data, length, &local_error);

      if (n_sent >= 0)
        {
          data += n_sent;
          length -= (gsize) n_sent;
        }
      else if (!g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      else if (!mock_connection_wait (self, self->out_fd, POLLOUT, -1, error))
        {
          g_prefix_error (error, "%" G_GSIZE_FORMAT " bytes could not be sent: ", length);
          return FALSE;
        }
    }

  return TRUE;
}

gboolean
mock_connection_shutdown_write (MockConnection  *self,
                                gboolean         is_polite,
                                GError         **error)
{
  /* A goodbye needs room. */
  if (self->tls != NULL)
    return mock_connection_wait (self, self->out_fd, POLLOUT, -1, error)
           && mock_tls_shutdown_write (self->tls, is_polite, error);

  if (!self->is_socket)
    {
      close (self->out_fd);
      self->out_fd = -1;
      return TRUE;
    }

  if (shutdown (self->out_fd, SHUT_WR) < 0)
    {
      set_error_from_errno (error, "shutdown");
      return FALSE;
    }

  return TRUE;
}

gboolean
mock_connection_reset (MockConnection  *self,
                       GError         **error)
{
  if (!self->is_socket)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "pipes know no reset");
      return FALSE;
    }

  if (self->is_unix)
    {
      char byte;

      if (peek_data (self, &byte, 1, error) < 0)
        return FALSE;
    }
  else
    {
      struct linger linger = { .l_onoff = 1, .l_linger = 0 };

      g_assert_no_errno (setsockopt (self->out_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    }

  mock_connection_close (self, FALSE);

  return TRUE;
}
