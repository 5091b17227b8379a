/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "server-output.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

typedef struct
{
  const char *text;     /* (nullable): NULL for one among the copies, which move as they grow */
  gsize offset;
  gsize length;
} Segment;

#define MAX_VECTOR 256

void
output_init (Output *self)
{
  self->segments = g_array_new (FALSE, FALSE, sizeof (Segment));
  self->copies = g_byte_array_new ();
  self->first = 0;
  self->written = 0;
}

void
output_clear (Output *self)
{
  g_clear_pointer (&self->segments, g_array_unref);
  g_clear_pointer (&self->copies, g_byte_array_unref);
}

void
output_append (Output     *self,
               const char *text,
               gsize       length)
{
  Segment segment = { text, 0, length };

  g_array_append_val (self->segments, segment);
}

void
output_append_copy (Output     *self,
                    const char *text,
                    gsize       length)
{
  Segment *last = NULL;

  if (self->segments->len > self->first)
    last = &g_array_index (self->segments, Segment, self->segments->len - 1);

  if (last == NULL || last->text != NULL)
    {
      Segment segment = { NULL, self->copies->len, 0 };

      g_array_append_val (self->segments, segment);
      last = &g_array_index (self->segments, Segment, self->segments->len - 1);
    }

  last->length += length;
  g_byte_array_append (self->copies, (const guint8 *) text, length);
}

static guint
fill_vector (Output       *self,
             struct iovec *vector)
{
  guint n = 0;

  for (guint i = self->first; i < self->segments->len && n < MAX_VECTOR; i++, n++)
    {
      const Segment *segment = &g_array_index (self->segments, Segment, i);
      const char *text = segment->text != NULL ? segment->text : (char *) self->copies->data + segment->offset;
      gsize skip = i == self->first ? self->written : 0;

      vector[n].iov_base = (char *) text + skip;
      vector[n].iov_len = segment->length - skip;
    }

  return n;
}

static void
advance (Output *self,
         gsize   n)
{
  n += self->written;
  while (self->first < self->segments->len)
    {
      gsize length = g_array_index (self->segments, Segment, self->first).length;

      if (n < length)
        break;
      n -= length;
      self->first++;
    }
  self->written = n;

  if (self->first == self->segments->len)
    {
      g_array_set_size (self->segments, 0);
      g_byte_array_set_size (self->copies, 0);
      self->first = 0;
    }
}

OutputResult
output_write (Output *self,
              int     fd)
{
  while (self->segments->len > 0)
    {
      struct iovec vector[MAX_VECTOR];
      struct msghdr message = { .msg_iov = vector, .msg_iovlen = fill_vector (self, vector) };
      gssize n = sendmsg (fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

      if (n < 0)
        return errno == EAGAIN ? OUTPUT_BLOCKED : OUTPUT_FAILED;
      advance (self, n);
    }

  return OUTPUT_DONE;
}

/* On the same core the peer runs when this yields. */
static gboolean
wait_until_read (int fd)
{
  int unread;

  do
    {
      struct pollfd poll_fd = { .fd = fd, .events = 0 };

      sched_yield ();
      if (ioctl (fd, SIOCOUTQ, &unread) < 0 || (poll (&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLHUP) != 0))
        return FALSE;
    }
  while (unread > 0);

  return TRUE;
}

OutputResult
output_write_pieces (Output *self,
                     int     fd,
                     gsize   piece)
{
  while (self->segments->len > 0)
    {
      struct iovec vector[MAX_VECTOR];
      gsize length;
      gssize n;

      fill_vector (self, vector);
      length = MIN (vector[0].iov_len, piece);
      n = send (fd, vector[0].iov_base, length, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN)
        return OUTPUT_FAILED;
      if (n > 0)
        advance (self, n);
      if (!wait_until_read (fd))
        return OUTPUT_FAILED;
    }

  return OUTPUT_DONE;
}
