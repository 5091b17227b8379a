/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

/* A stream read and written without ever waiting, whatever kind of stream it is. Three kinds:
 *
 * - socket: a plain GSocketConnection, by recv() and sendmsg() on its descriptor;
 * - pollable: any other stream whose two sides say that they can be polled (TLS, pipes);
 * - queued: all others, by GIO's asynchronous calls and a small buffer for each direction.
 *
 * The last two get their readiness from sources in a GMainContext of their own, which the transport drives.
 *
 * Owner thread only, but for close. */
typedef struct _AqmpChannel AqmpChannel;

typedef struct
{
  /* Bytes, 0 for EOF, -1 with G_IO_ERROR_WOULD_BLOCK when there is nothing now. */
  gssize   (*read)          (AqmpChannel          *self,
                             guint8               *buffer,
                             gsize                 length,
                             GError              **error);
  /* Bytes taken, -1 with G_IO_ERROR_WOULD_BLOCK when none can be. Without pieces: pushes on what it has. @fds: (nullable):
     to go with the first byte; at most max_fds. */
  gssize   (*write)         (AqmpChannel          *self,
                             const GOutputVector  *pieces,
                             guint                 n_pieces,
                             GUnixFDList          *fds,
                             GError              **error);
  /* Bytes that write() took and that are still here. */
  gsize    (*get_unwritten) (AqmpChannel          *self);
  /* See to it that the context wakes up once there is something to read, or writing can go on. */
  void     (*watch)         (AqmpChannel          *self,
                             gboolean              for_reading,
                             gboolean              for_writing);
  /* Closes the stream without waiting for anything, and frees the channel. What can only happen later, such as the end
     of a read that was cancelled, is driven by @owner_context. */
  void     (*close)         (AqmpChannel          *self,
                             GMainContext         *owner_context);
} AqmpChannelKind;

struct _AqmpChannel
{
  const AqmpChannelKind *kind;
  GIOStream    *stream;   /* (owned) */
  int           fd;       /* of a socket, or -1 */
  guint         max_fds;  /* how many file descriptors it can send at once */
  gsize         largest_write; /* what a kind other than a socket hands on at once; 0: as much as it likes */
  gboolean      last_byte_apart; /* such a kind hands on the last byte that there is by itself */
  gboolean      may_block;     /* for a moment: it is closed in a blocking call */
  gboolean      says_goodbye;  /* TLS may tell the peer that it closes, if that need not wait */
  GMainContext *context;  /* (owned) (nullable): NULL for a socket */
};

AqmpChannel *aqmp_channel_new          (GIOStream     *stream);
/* Any thread, while no other uses it. */
void         aqmp_channel_close        (AqmpChannel   *self,
                                        GMainContext  *owner_context);

/* For the kinds. */
AqmpChannel *aqmp_channel_socket_new   (GIOStream     *stream);
AqmpChannel *aqmp_channel_pollable_new (GIOStream     *stream);
AqmpChannel *aqmp_channel_queued_new   (GIOStream     *stream);

void         aqmp_channel_init         (AqmpChannel           *self,
                                        const AqmpChannelKind *kind,
                                        GIOStream             *stream);
void         aqmp_channel_clear        (AqmpChannel           *self);
/* How much of the first piece to hand on; @most: what the kind likes. */
gsize        aqmp_channel_limit_write  (AqmpChannel           *self,
                                        const GOutputVector   *pieces,
                                        guint                  n_pieces,
                                        gsize                  most);
/* A peer that closes without the goodbye of TLS has closed: 0 instead of that error. */
gssize       aqmp_channel_check_eof    (gssize                 n_read,
                                        GError               **error);
void         aqmp_channel_close_stream (AqmpChannel           *self);

G_END_DECLS
