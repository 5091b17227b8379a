/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-channel-private.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/socket.h>

#include "aqmp-alloc-private.h"

/* Threads: as in aqmp-channel.c. */

/* @what: what could not be done */
static gssize
fail_with_errno (const char  *what,
                 int          saved_errno,
                 GError     **error)
{
  if (saved_errno == EAGAIN || saved_errno == EWOULDBLOCK)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, g_strerror (saved_errno));
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: %s", what, g_strerror (saved_errno));
  return -1;
}

static gssize
socket_read (AqmpChannel  *self,
             guint8       *buffer,
             gsize         length,
             GError      **error)
{
  gssize n_read;

  do
    n_read = recv (self->fd, buffer, length, MSG_DONTWAIT);
  while (n_read < 0 && errno == EINTR);

  return n_read < 0 ? fail_with_errno (_("Could not read from the peer"), errno, error) : n_read;
}

/* The most descriptors that the kernel takes at once: its SCM_MAX_FD, which no header has. */
#define MAX_FDS 253

typedef union
{
  char           bytes[CMSG_SPACE (MAX_FDS * sizeof (int))];
  struct cmsghdr header;
} Control;

static void
attach_fds (struct msghdr *message,
            Control       *control,
            GUnixFDList   *fds)
{
  int n_fds;
  const int *array = g_unix_fd_list_peek_fds (fds, &n_fds);

  g_assert (n_fds > 0 && n_fds <= MAX_FDS);

  memset (control, 0, CMSG_SPACE (n_fds * sizeof (int)));
  control->header.cmsg_level = SOL_SOCKET;
  control->header.cmsg_type = SCM_RIGHTS;
  control->header.cmsg_len = CMSG_LEN (n_fds * sizeof (int));
  memcpy (CMSG_DATA (&control->header), array, n_fds * sizeof (int));
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
}

static gssize
socket_write (AqmpChannel          *self,
              const GOutputVector  *pieces,
              guint                 n_pieces,
              GUnixFDList          *fds,
              GError              **error)
{
  struct msghdr message = {
    /* GLib guarantees that the two structures are laid out alike. */
    .msg_iov = (struct iovec *) pieces,
    .msg_iovlen = n_pieces,
  };
  Control control;
  gssize n_written;

  if (n_pieces == 0)
    return 0;

  if (fds != NULL)
    attach_fds (&message, &control, fds);
  do
    n_written = sendmsg (self->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n_written < 0 && errno == EINTR);

  return n_written < 0 ? fail_with_errno (_("Could not write to the peer"), errno, error) : n_written;
}

/* The transport polls the descriptor itself. */
static void
socket_watch (AqmpChannel *self,
              gboolean     for_reading,
              gboolean     for_writing)
{
}

static gsize
socket_get_unwritten (AqmpChannel *self)
{
  return 0;
}

static void
socket_close (AqmpChannel  *self,
              GMainContext *owner_context)
{
  aqmp_channel_close_stream (self);
  aqmp_channel_clear (self);
  g_free (self);
}

static const AqmpChannelKind socket_kind = {
  .read = socket_read,
  .write = socket_write,
  .get_unwritten = socket_get_unwritten,
  .watch = socket_watch,
  .close = socket_close,
};

AqmpChannel *
aqmp_channel_socket_new (GIOStream *stream)
{
  GSocket *socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream));
  AqmpChannel *self = aqmp_new0 (AqmpChannel);

  aqmp_channel_init (self, &socket_kind, stream);
  self->fd = g_socket_get_fd (socket);
  self->max_fds = g_socket_get_family (socket) == G_SOCKET_FAMILY_UNIX ? MAX_FDS : 0;
  return self;
}
