/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-channel-private.h"

/* Threads: reading is for the owner's; writing for any, under the transport's lock; closing for whoever has taken the channel from
   the transport, where nobody else finds it any more. */

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

gssize
aqmp_channel_check_eof (gssize   n_read,
                        GError **error)
{
  if (n_read >= 0 || error == NULL || !g_error_matches (*error, G_TLS_ERROR, G_TLS_ERROR_EOF))
    return n_read;

  g_clear_error (error);
  return 0;
}

/* (transfer none) (nullable): the TLS in it. GSocketClient wraps the connections that it has made secure. */
static GIOStream *
find_tls (GIOStream *stream)
{
  if (G_IS_TCP_WRAPPER_CONNECTION (stream))
    stream = g_tcp_wrapper_connection_get_base_io_stream (G_TCP_WRAPPER_CONNECTION (stream));
  return G_IS_TLS_CONNECTION (stream) ? stream : NULL;
}

/* (transfer full) (nullable): what TLS runs over. */
static GIOStream *
dup_base (GIOStream *tls)
{
  GIOStream *base = NULL;

  if (tls != NULL)
    g_object_get (tls, "base-io-stream", &base, NULL);
  return base;
}

/* A handshake that is under way would be waited for. */
static gboolean
is_shaken (GIOStream *tls)
{
  return g_tls_connection_get_protocol_version (G_TLS_CONNECTION (tls)) != G_TLS_PROTOCOL_VERSION_UNKNOWN;
}

/* The few bytes of a goodbye fit into any socket that says so. */
static gboolean
has_room (GIOStream *stream)
{
  return G_IS_SOCKET_CONNECTION (stream) &&
         (g_socket_condition_check (g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream)), G_IO_OUT) & G_IO_OUT);
}

static GCancellable *
cancelled_new (void)
{
  GCancellable *cancellable = g_cancellable_new ();

  g_cancellable_cancel (cancellable);
  return cancellable;
}

/* (transfer full): cancelled. GIO's own sockets can share one. */
static GCancellable *
dup_cancelled (GIOStream *stream)
{
  static gsize shared = 0;

  if (!G_IS_SOCKET_CONNECTION (stream))
    return cancelled_new ();

  if (g_once_init_enter (&shared))
    g_once_init_leave (&shared, GPOINTER_TO_SIZE (cancelled_new ()));
  return g_object_ref (GSIZE_TO_POINTER (shared));
}

void
aqmp_channel_close_stream (AqmpChannel *self)
{
  g_autoptr (GCancellable) at_once = dup_cancelled (self->stream);
  GIOStream *tls = find_tls (self->stream);
  g_autoptr (GIOStream) base = dup_base (tls);

  if (base != NULL && self->says_goodbye && is_shaken (tls) && has_room (base))
    g_io_stream_close (tls, NULL, NULL);

  /* A stream that is closed under a cancelled cancellable skips what it would wait for, and closes all the same; but TLS then
     leaves what it runs over open. */
  g_io_stream_close (self->stream, at_once, NULL);
  if (base != NULL)
    g_io_stream_close (base, at_once, NULL);
}
