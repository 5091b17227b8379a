/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-channel-private.h"

/* Only these: a subclass, such as one that wraps TLS, need not send what it is given to its socket as it is. */
static gboolean
is_plain_socket (GIOStream *stream)
{
  GType type = G_OBJECT_TYPE (stream);

  return type == G_TYPE_SOCKET_CONNECTION || type == G_TYPE_UNIX_CONNECTION || type == G_TYPE_TCP_CONNECTION;
}

static gboolean
is_pollable (GIOStream *stream)
{
  GInputStream *input = g_io_stream_get_input_stream (stream);
  GOutputStream *output = g_io_stream_get_output_stream (stream);

  return G_IS_POLLABLE_INPUT_STREAM (input) && g_pollable_input_stream_can_poll (G_POLLABLE_INPUT_STREAM (input)) &&
         G_IS_POLLABLE_OUTPUT_STREAM (output) && g_pollable_output_stream_can_poll (G_POLLABLE_OUTPUT_STREAM (output));
}

AqmpChannel *
aqmp_channel_new (GIOStream *stream)
{
  if (is_plain_socket (stream))
    return aqmp_channel_socket_new (stream);
  if (is_pollable (stream))
    return aqmp_channel_pollable_new (stream);
  return aqmp_channel_queued_new (stream);
}

void
aqmp_channel_close (AqmpChannel  *self,
                    GMainContext *owner_context)
{
  self->kind->close (self, owner_context);
}

void
aqmp_channel_init (AqmpChannel           *self,
                   const AqmpChannelKind *kind,
                   GIOStream             *stream)
{
  self->kind = kind;
  self->stream = g_object_ref (stream);
  self->fd = -1;
}

void
aqmp_channel_clear (AqmpChannel *self)
{
  g_clear_object (&self->stream);
  g_clear_pointer (&self->context, g_main_context_unref);
}

gsize
aqmp_channel_limit_write (AqmpChannel         *self,
                          const GOutputVector *pieces,
                          guint                n_pieces,
                          gsize                most)
{
  gsize size = pieces[0].size;

  if (self->last_byte_apart && n_pieces == 1 && size > 1)
    size--;
  if (self->largest_write > 0)
    most = MIN (most, self->largest_write);
  return MIN (size, most);
}

/* (transfer full) (nullable): what TLS runs over. */
static GIOStream *
dup_base (GIOStream *stream)
{
  GIOStream *base = NULL;

  if (G_IS_TLS_CONNECTION (stream))
    g_object_get (stream, "base-io-stream", &base, NULL);
  return base;
}

/* The few bytes of a goodbye fit into any socket that says so. */
static gboolean
has_room (GIOStream *stream)
{
  return G_IS_SOCKET_CONNECTION (stream) &&
         (g_socket_condition_check (g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream)), G_IO_OUT) & G_IO_OUT);
}

void
aqmp_channel_close_stream (AqmpChannel *self)
{
  g_autoptr (GCancellable) at_once = g_cancellable_new ();
  g_autoptr (GIOStream) base = dup_base (self->stream);

  if (base != NULL && self->says_goodbye && has_room (base))
    g_io_stream_close (self->stream, NULL, NULL);

  /* A stream that is closed under a cancelled cancellable skips what it would wait for, and closes all the same; but TLS then
     leaves what it runs over open. */
  g_cancellable_cancel (at_once);
  g_io_stream_close (self->stream, at_once, NULL);
  if (base != NULL)
    g_io_stream_close (base, at_once, NULL);
}
