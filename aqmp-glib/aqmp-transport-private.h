/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "aqmp-framing-private.h"

G_BEGIN_DECLS

/* A stream on one side, whole messages on the other. Knows no states and no JSON.
 *
 * It is driven by a source in its owner's context, or round by round with aqmp_transport_iterate(). It holds its owner
 * weakly, and takes a strong reference for as long as it calls it. What is queued is written right before the context
 * polls, without calling anybody; everything else happens in dispatch.
 *
 * Thread rule: the functions under "any thread" lock; the rest is for the thread that runs the owner's context. */
typedef struct _AqmpTransport AqmpTransport;

/* What it tells its owner, always from dispatch or iterate; each may close the transport. */
typedef struct
{
  AqmpFrameFunc frame;
  void (*message) (gpointer  owner,
                   GBytes   *message);
  /* Asked for by aqmp_transport_request_work(). */
  void (*work)    (gpointer  owner);
  /* Asked for by aqmp_transport_request_drained(): nothing is left to be written. */
  void (*drained) (gpointer  owner);
  /* No more messages can come, or be sent. All that arrived has been delivered. */
  void (*failed)  (gpointer      owner,
                   const GError *error);
} AqmpTransportCallbacks;

AqmpTransport *aqmp_transport_new                  (GIOStream                    *stream,
                                                    GObject                      *owner,
                                                    const AqmpTransportCallbacks *callbacks);
/* Leaves the context where it was attached before. */
void           aqmp_transport_attach               (AqmpTransport  *self,
                                                    GMainContext   *context);
/* On hold, its source only writes; iterate() does everything. */
void           aqmp_transport_hold                 (AqmpTransport  *self,
                                                    gboolean        on_hold);
/* Whether messages are wanted now; not at first. Without it nothing is read, nor an EOF noticed. */
void           aqmp_transport_set_reading          (AqmpTransport  *self,
                                                    gboolean        reading);
void           aqmp_transport_set_max_message_size (AqmpTransport  *self,
                                                    guint64         max_message_size);
/* Whether anything has come from the peer. */
gboolean       aqmp_transport_has_received         (AqmpTransport  *self);
gsize          aqmp_transport_get_queued_bytes     (AqmpTransport  *self);
/* How a stream which is no plain socket is given its bytes. @largest_write: the most at once, 0 for as many as it takes.
   @last_byte_apart: the last one that there is comes by itself. */
void           aqmp_transport_set_portions         (AqmpTransport  *self,
                                                    gsize           largest_write,
                                                    gboolean        last_byte_apart);
/* When it is closed, TLS may tell the peer so, if that need not wait. */
void           aqmp_transport_allow_goodbye        (AqmpTransport  *self);
/* One round without any GMainContext of the owner's: writes, waits, reads, delivers. Waits for @timeout_ms at most (-1:
   without end), or until @cancellable is cancelled; FALSE if nothing happened till then. */
gboolean       aqmp_transport_iterate              (AqmpTransport  *self,
                                                    int             timeout_ms,
                                                    GCancellable   *cancellable);

/* Any thread */

AqmpTransport *aqmp_transport_ref                  (AqmpTransport  *self);
void           aqmp_transport_unref                (AqmpTransport  *self);
/* Closes the stream for real, without waiting. Nothing is called after it. */
void           aqmp_transport_close                (AqmpTransport  *self);
/* The same in a blocking call, which may be held up for a moment: what cannot be done in that is driven by that context, but nobody
   may ever run it. @context: (nullable): the one it is attached to */
void           aqmp_transport_close_in_call        (AqmpTransport  *self,
                                                    GMainContext   *context);

/* Between begin and commit or rollback the transport is locked: append to the string, call nothing else. */
GString       *aqmp_transport_begin_message        (AqmpTransport  *self);
/* @fds: (transfer full) (nullable): at most as many as can go with a message */
void           aqmp_transport_commit_message       (AqmpTransport  *self,
                                                    guint64         token,
                                                    GUnixFDList    *fds);
void           aqmp_transport_rollback_message     (AqmpTransport  *self);
/* FALSE if it is no longer there, or partly written. */
gboolean       aqmp_transport_remove_message       (AqmpTransport  *self,
                                                    guint64         token);

/* How many file descriptors can go with a message: 0 unless the stream is a UNIX socket. */
guint          aqmp_transport_get_max_fds          (AqmpTransport  *self);

guint64        aqmp_transport_get_written_token    (AqmpTransport  *self);
/* Any thread. An iteration that waits returns. */
void           aqmp_transport_wake                 (AqmpTransport  *self);
void           aqmp_transport_request_work         (AqmpTransport  *self);
void           aqmp_transport_request_drained      (AqmpTransport  *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AqmpTransport, aqmp_transport_unref)

G_END_DECLS
