/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-channel-private.h"
#include "aqmp-nested-context-private.h"

#include <string.h>

/* Threads: as in aqmp-channel.c. The callbacks of GIO run in the channel's own context, which only the owner's thread iterates. */

/* For a transfer to end after it was cancelled, in milliseconds, in a blocking call. */
#define LONGEST_WAIT 200
#define LARGEST_TRANSFER 16384

typedef struct
{
  AqmpChannel   base;
  GCancellable *cancellable;   /* (owned): of the transfers, nobody else's */

  guint8       *in;            /* (owned): what has arrived */
  gsize         in_start;
  gsize         in_end;
  gboolean      in_eof;
  GError       *in_error;      /* (owned) (nullable) */
  gboolean      reading;

  GByteArray   *out;           /* (owned): what was taken and is not written */
  gssize        n_written;     /* by the last write: bytes at the start of @out */
  GError       *out_error;     /* (owned) (nullable) */
  gboolean      writing;       /* or flushing */

  gboolean      closed;
} QueuedChannel;

/* Drives the context of a channel that was closed until its last transfer has come to its end. */
typedef struct
{
  GSource           source;
  AqmpNestedContext nested;
  QueuedChannel    *channel;   /* (owned) */
} Farewell;

/* Once no transfer is under way: closes, and frees everything. */
static void
finish_close (QueuedChannel *self)
{
  aqmp_channel_close_stream (&self->base);
  aqmp_channel_clear (&self->base);
  g_object_unref (self->cancellable);
  g_free (self->in);
  g_clear_error (&self->in_error);
  g_byte_array_unref (self->out);
  g_clear_error (&self->out_error);
  g_free (self);
}

static void
read_done (GObject      *stream,
           GAsyncResult *result,
           gpointer      user_data)
{
  QueuedChannel *self = user_data;
  gssize n_read = g_input_stream_read_finish (G_INPUT_STREAM (stream), result, &self->in_error);

  n_read = aqmp_channel_check_eof (n_read, &self->in_error);
  self->reading = FALSE;
  if (n_read == 0)
    self->in_eof = TRUE;
  else if (n_read > 0)
    self->in_end = n_read;
}

static void
start_reading (QueuedChannel *self)
{
  if (self->reading || self->in_eof || self->in_error != NULL)
    return;

  self->reading = TRUE;
  self->in_start = self->in_end = 0;
  g_main_context_push_thread_default (self->base.context);
  g_input_stream_read_async (g_io_stream_get_input_stream (self->base.stream), self->in, LARGEST_TRANSFER,
                             G_PRIORITY_DEFAULT, self->cancellable, read_done, self);
  g_main_context_pop_thread_default (self->base.context);
}

static gssize
queued_read (AqmpChannel  *channel,
             guint8       *buffer,
             gsize         length,
             GError      **error)
{
  QueuedChannel *self = (QueuedChannel *) channel;
  gsize available = self->reading ? 0 : self->in_end - self->in_start;

  if (available > 0)
    {
      gsize taken = MIN (available, length);

      memcpy (buffer, self->in + self->in_start, taken);
      self->in_start += taken;
      return taken;
    }

  if (self->in_eof)
    return 0;

  if (self->in_error != NULL)
    g_propagate_error (error, g_error_copy (self->in_error));
  else
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "Nothing has arrived");
  return -1;
}

static void start_writing (QueuedChannel *self);

static void
take_off_written (QueuedChannel *self)
{
  g_byte_array_remove_range (self->out, 0, self->n_written);
  if (!self->closed)
    start_writing (self);
}

static void
flush_done (GObject      *stream,
            GAsyncResult *result,
            gpointer      user_data)
{
  QueuedChannel *self = user_data;

  self->writing = FALSE;
  if (g_output_stream_flush_finish (G_OUTPUT_STREAM (stream), result, &self->out_error))
    take_off_written (self);
}

/* A stream with a buffer of its own would keep the end of a message to itself. */
static gboolean
needs_flush (GOutputStream *stream)
{
  return G_OUTPUT_STREAM_GET_CLASS (stream)->flush != NULL;
}

static void
write_done (GObject      *stream,
            GAsyncResult *result,
            gpointer      user_data)
{
  QueuedChannel *self = user_data;

  self->n_written = g_output_stream_write_finish (G_OUTPUT_STREAM (stream), result, &self->out_error);

  if (self->n_written == self->out->len && !self->closed && needs_flush (G_OUTPUT_STREAM (stream)))
    {
      g_main_context_push_thread_default (self->base.context);
      g_output_stream_flush_async (G_OUTPUT_STREAM (stream), G_PRIORITY_DEFAULT, self->cancellable, flush_done, self);
      g_main_context_pop_thread_default (self->base.context);
      return;
    }

  self->writing = FALSE;
  if (self->n_written >= 0)
    take_off_written (self);
}

static void
start_writing (QueuedChannel *self)
{
  if (self->writing || self->out->len == 0 || self->out_error != NULL)
    return;

  self->writing = TRUE;
  g_main_context_push_thread_default (self->base.context);
  g_output_stream_write_async (g_io_stream_get_output_stream (self->base.stream), self->out->data, self->out->len,
                               G_PRIORITY_DEFAULT, self->cancellable, write_done, self);
  g_main_context_pop_thread_default (self->base.context);
}

/* Takes nothing while a transfer is under way: the stream is writing from the buffer. */
static gssize
queued_write (AqmpChannel          *channel,
              const GOutputVector  *pieces,
              guint                 n_pieces,
              GUnixFDList          *fds,
              GError              **error)
{
  QueuedChannel *self = (QueuedChannel *) channel;
  gsize taken;

  if (self->out_error != NULL)
    {
      g_propagate_error (error, g_error_copy (self->out_error));
      return -1;
    }

  if (self->out->len > 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "Still writing");
      return -1;
    }

  if (n_pieces == 0)
    return 0;

  taken = aqmp_channel_limit_write (channel, pieces, n_pieces, LARGEST_TRANSFER);
  g_byte_array_append (self->out, pieces[0].buffer, taken);
  start_writing (self);
  return taken;
}

static gsize
queued_get_unwritten (AqmpChannel *channel)
{
  QueuedChannel *self = (QueuedChannel *) channel;

  return self->out->len;
}

static gboolean
end_wait (gpointer user_data)
{
  return G_SOURCE_REMOVE;
}

static void
queued_watch (AqmpChannel *channel,
              gboolean     for_reading,
              gboolean     for_writing)
{
  QueuedChannel *self = (QueuedChannel *) channel;

  if (!for_reading)
    return;

  /* What is here already has no source to announce it. */
  if (!self->reading && (self->in_start < self->in_end || self->in_eof || self->in_error != NULL))
    {
      g_autoptr (GSource) source = g_timeout_source_new (0);

      g_source_set_name (source, "[aqmp] readable");
      g_source_set_callback (source, end_wait, NULL, NULL);
      g_source_attach (source, self->base.context);
    }
  else
    start_reading (self);
}

static gboolean
farewell_prepare (GSource *source,
                  int     *timeout)
{
  Farewell *self = (Farewell *) source;

  *timeout = -1;
  return aqmp_nested_context_prepare (&self->nested, source, self->channel->base.context, timeout);
}

static gboolean
farewell_check (GSource *source)
{
  Farewell *self = (Farewell *) source;

  return aqmp_nested_context_check (&self->nested, source, self->channel->base.context);
}

static gboolean
farewell_dispatch (GSource     *source,
                   GSourceFunc  callback,
                   gpointer     user_data)
{
  Farewell *self = (Farewell *) source;

  g_main_context_iteration (self->channel->base.context, FALSE);
  if (self->channel->reading || self->channel->writing)
    return G_SOURCE_CONTINUE;

  finish_close (g_steal_pointer (&self->channel));
  return G_SOURCE_REMOVE;
}

static void
farewell_finalize (GSource *source)
{
  Farewell *self = (Farewell *) source;

  aqmp_nested_context_clear (&self->nested);
}

static GSourceFuncs farewell_funcs = {
  farewell_prepare,
  farewell_check,
  farewell_dispatch,
  farewell_finalize,
  NULL,
  NULL,
};

static gboolean
end_patience (gpointer user_data)
{
  gboolean *over = user_data;

  *over = TRUE;
  return G_SOURCE_CONTINUE;
}

/* Transfers that were cancelled end soon, as a rule. The owner's context may never be run after a blocking call. */
static void
wait_for_transfers (QueuedChannel *self)
{
  g_autoptr (GSource) patience = g_timeout_source_new (LONGEST_WAIT);
  gboolean over = FALSE;

  g_source_set_callback (patience, end_patience, &over, NULL);
  g_source_attach (patience, self->base.context);
  while ((self->reading || self->writing) && !over)
    g_main_context_iteration (self->base.context, TRUE);
  g_source_destroy (patience);
}

static void
queued_close (AqmpChannel  *channel,
              GMainContext *owner_context)
{
  QueuedChannel *self = (QueuedChannel *) channel;
  Farewell *farewell;

  self->closed = TRUE;
  g_cancellable_cancel (self->cancellable);
  if (channel->may_block)
    wait_for_transfers (self);

  if (!self->reading && !self->writing)
    {
      finish_close (self);
      return;
    }

  farewell = (Farewell *) g_source_new (&farewell_funcs, sizeof (Farewell));
  farewell->channel = self;
  g_source_set_name (&farewell->source, "[aqmp] closing stream");
  g_source_attach (&farewell->source, owner_context);
  g_source_unref (&farewell->source);
}

static const AqmpChannelKind queued_kind = {
  .read = queued_read,
  .write = queued_write,
  .get_unwritten = queued_get_unwritten,
  .watch = queued_watch,
  .close = queued_close,
};

AqmpChannel *
aqmp_channel_queued_new (GIOStream *stream)
{
  QueuedChannel *self = g_new0 (QueuedChannel, 1);

  /* Such a stream may write to a pipe in a thread of GIO's, where nothing can be held back. GIO has the process ignore
     SIGPIPE as soon as it uses a socket; here too, then. */
  g_type_class_unref (g_type_class_ref (G_TYPE_SOCKET));

  aqmp_channel_init (&self->base, &queued_kind, stream);
  self->base.context = g_main_context_new_with_flags (G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  self->cancellable = g_cancellable_new ();
  self->in = g_malloc (LARGEST_TRANSFER);
  self->out = g_byte_array_new ();
  return &self->base;
}
