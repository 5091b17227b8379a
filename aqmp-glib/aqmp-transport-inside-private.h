/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-channel-private.h"
#include "aqmp-transport-private.h"
#include "aqmp-write-queue-private.h"

G_BEGIN_DECLS

/* Between the files of the transport:
 *
 *   aqmp-transport.c          what there is to do, and the source that does it
 *   aqmp-transport-iterate.c  the same without the owner's context
 */
typedef enum
{
  AQMP_POLLER_NONE,
  AQMP_POLLER_CONTEXT,
  AQMP_POLLER_ITERATE,  /* in the place of the context */
} AqmpPoller;

struct _AqmpTransport
{
  gatomicrefcount               ref_count;
  GWeakRef                      owner;
  const AqmpTransportCallbacks *callbacks;
  GMainContext                 *context;   /* (owned) (nullable): where it is attached */

  /* Owner thread. */
  AqmpFraming    framing;
  guint64        max_message_size;
  gboolean       reading;
  gboolean       received;       /* something */
  gboolean       at_eof;
  gboolean       failed;

  GMutex         lock;           /* for all below; held only for moments, never while calling the owner */
  AqmpChannel   *channel;        /* (owned) (nullable): NULL once closed, which is atomic; replaced by nobody else */
  GSource       *source;         /* (owned) (nullable) */
  AqmpWriteQueue queue;
  gboolean       write_blocked;  /* until the channel is writable again */
  GError        *write_error;    /* (owned) (nullable): reported when all that had arrived is delivered */
  gboolean       work_requested;
  gboolean       drained_requested;
  guint          n_put_off;      /* rounds that put off telling so, because they had something to deliver */
  AqmpPoller     poller;         /* who may be waiting: only then does news need a wake-up */
  gboolean       woken;          /* since then, or by wake() at any time before a wait */
  gboolean       iterating;      /* inside iterate(): what is on hold goes on there */
  int            wake_fd;        /* an eventfd that ends the wait for a socket there, or -1 */
  gboolean       on_hold;        /* the source does nothing, but that of a socket writes */
};


static inline void
aqmp_transport_lock (AqmpTransport *self)
{
  g_mutex_lock (&self->lock);
}

static inline void
aqmp_transport_unlock (AqmpTransport *self)
{
  g_mutex_unlock (&self->lock);
}

gboolean aqmp_transport_is_closed      (AqmpTransport *self);
/* Locked. Calls nobody but the channel, so a socket's queue can be written from prepare. */
void     aqmp_transport_write_queue    (AqmpTransport *self);
/* Locked. The queue may be left unfinished, so that others have their turn. */
gboolean aqmp_transport_can_write      (AqmpTransport *self);
/* Locked. Whether there is something to do without waiting for the channel. */
gboolean aqmp_transport_is_ready       (AqmpTransport *self);
/* Sees to it that a channel with a context of its own wakes up for what the next round waits for. */
void     aqmp_transport_watch_channel  (AqmpTransport *self);
/* What there is to do once something happened; @readable: reading may yield something. */
void     aqmp_transport_do_whole_round (AqmpTransport *self,
                                        gpointer       owner,
                                        gboolean       readable);

G_END_DECLS
