/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-channel-private.h"

#include <gio/gfiledescriptorbased.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

/* Threads: as in aqmp-channel.c. */

/* The most that is handed to the stream at once; a TLS record. */
#define LARGEST_WRITE 16384

typedef struct
{
  AqmpChannel            base;
  GPollableInputStream  *input;    /* (unowned): the stream's */
  GPollableOutputStream *output;   /* (unowned): the stream's */
  gsize                  most;     /* that is handed to the stream at once */
  gboolean               maybe_more; /* the last read filled its buffer */
  GByteArray            *unwritten; /* (owned) */
  GSource               *readable; /* (owned) (nullable): waiting in the channel's context */
  GSource               *writable; /* (owned) (nullable) */
} PollableChannel;

static gssize
pollable_read (AqmpChannel  *channel,
               guint8       *buffer,
               gsize         length,
               GError      **error)
{
  PollableChannel *self = (PollableChannel *) channel;
  gssize n_read = g_pollable_input_stream_read_nonblocking (self->input, buffer, length, NULL, error);

  n_read = aqmp_channel_check_eof (n_read, error);
  self->maybe_more = n_read == (gssize) length;
  return n_read;
}

/* Writing to a pipe whose other end is closed raises SIGPIPE, and GIO has no way to ask it not to. So the signal is held
   back for this thread, and taken away if it came. */
static gssize
write_without_sigpipe (GPollableOutputStream  *output,
                       GByteArray             *bytes,
                       GError                **error)
{
  sigset_t sigpipe;
  sigset_t pending;
  sigset_t before;
  gboolean was_pending;
  gssize n_written;

  sigemptyset (&sigpipe);
  sigaddset (&sigpipe, SIGPIPE);
  sigpending (&pending);
  was_pending = sigismember (&pending, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &sigpipe, &before);

  n_written = g_pollable_output_stream_write_nonblocking (output, bytes->data, bytes->len, NULL, error);

  if (n_written < 0 && !was_pending)
    {
      const struct timespec no_wait = { 0, 0 };

      sigtimedwait (&sigpipe, NULL, &no_wait);
    }
  pthread_sigmask (SIG_SETMASK, &before, NULL);

  return n_written;
}

/* TLS wants a write that would block to be tried again with the very same bytes. By then the queue may hold others, as a
   message can be taken back; so what was tried once is kept here. */
static gboolean
push_unwritten (PollableChannel  *self,
                GError          **error)
{
  while (self->unwritten->len > 0)
    {
      gssize n_written = write_without_sigpipe (self->output, self->unwritten, error);

      if (n_written < 0)
        return FALSE;
      g_byte_array_remove_range (self->unwritten, 0, n_written);
    }

  return TRUE;
}

static gssize
pollable_write (AqmpChannel          *channel,
                const GOutputVector  *pieces,
                guint                 n_pieces,
                GUnixFDList          *fds,
                GError              **error)
{
  PollableChannel *self = (PollableChannel *) channel;
  g_autoptr (GError) local_error = NULL;
  gsize taken;

  if (!push_unwritten (self, error))
    return -1;
  if (n_pieces == 0)
    return 0;

  taken = aqmp_channel_limit_write (channel, pieces, n_pieces, self->most);
  g_byte_array_append (self->unwritten, pieces[0].buffer, taken);

  if (!push_unwritten (self, &local_error) && !g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return -1;
    }

  return taken;
}

static gsize
pollable_get_unwritten (AqmpChannel *channel)
{
  PollableChannel *self = (PollableChannel *) channel;

  return self->unwritten->len;
}

/* All that is wanted of the source is that it ends the wait; the transport then reads and writes. */
static gboolean
ready (GObject  *stream,
       gpointer  user_data)
{
  GSource **source = user_data;

  g_clear_pointer (source, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
start_watch (PollableChannel *self,
             GSource        **source,
             const char      *name)
{
  g_source_set_name (*source, name);
  g_source_set_callback (*source, G_SOURCE_FUNC (ready), source, NULL);
  g_source_attach (*source, self->base.context);
}

static void
stop_watch (GSource **source)
{
  if (*source != NULL)
    {
      g_source_destroy (*source);
      g_clear_pointer (source, g_source_unref);
    }
}

static gboolean
ready_at_once (gpointer user_data)
{
  return ready (NULL, user_data);
}

/* What TLS has decrypted already, no socket announces any more. */
static void
watch_for_reading (PollableChannel *self)
{
  if (self->maybe_more)
    {
      stop_watch (&self->readable);
      self->readable = g_timeout_source_new (0);
      g_source_set_name (self->readable, "[aqmp] more to read");
      g_source_set_callback (self->readable, ready_at_once, &self->readable, NULL);
      g_source_attach (self->readable, self->base.context);
    }
  else if (self->readable == NULL)
    {
      self->readable = g_pollable_input_stream_create_source (self->input, NULL);
      start_watch (self, &self->readable, "[aqmp] readable");
    }
}

static void
pollable_watch (AqmpChannel *channel,
                gboolean     for_reading,
                gboolean     for_writing)
{
  PollableChannel *self = (PollableChannel *) channel;

  if (for_reading)
    watch_for_reading (self);
  else
    stop_watch (&self->readable);

  if (!for_writing)
    stop_watch (&self->writable);
  else if (self->writable == NULL)
    {
      self->writable = g_pollable_output_stream_create_source (self->output, NULL);
      start_watch (self, &self->writable, "[aqmp] writable");
    }
}

static void
pollable_close (AqmpChannel  *channel,
                GMainContext *owner_context)
{
  PollableChannel *self = (PollableChannel *) channel;

  pollable_watch (channel, FALSE, FALSE);
  /* The rest of a record would go first, and have to wait for room; and what is cut off is no clean end. */
  channel->says_goodbye = channel->says_goodbye && self->unwritten->len == 0;
  aqmp_channel_close_stream (channel);
  aqmp_channel_clear (channel);
  g_byte_array_unref (self->unwritten);
  g_free (self);
}

static const AqmpChannelKind pollable_kind = {
  .read = pollable_read,
  .write = pollable_write,
  .get_unwritten = pollable_get_unwritten,
  .watch = pollable_watch,
  .close = pollable_close,
};

AqmpChannel *
aqmp_channel_pollable_new (GIOStream *stream)
{
  PollableChannel *self = g_new0 (PollableChannel, 1);

  aqmp_channel_init (&self->base, &pollable_kind, stream);
  self->base.context = g_main_context_new_with_flags (G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  self->input = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (stream));
  self->output = G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream));
  /* GIO asks whether a pipe is writable, and then writes to it as to any descriptor: if that blocks, more than there is
     room for in any writable pipe would wait for the peer. */
  self->most = G_IS_FILE_DESCRIPTOR_BASED (self->output) ? PIPE_BUF : LARGEST_WRITE;
  self->unwritten = g_byte_array_new ();
  return &self->base;
}
