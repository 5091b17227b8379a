/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-event-history-private.h"
#include "aqmp-event-listener.h"
#include "aqmp-waiters-private.h"

G_BEGIN_DECLS

/* What somebody listens for, and what has come of it: shared by the client, which puts events in, and by whoever takes them out.
   It keeps neither alive. An atomic GRcBox.
   Its lock is taken after the protocol's, and never held while anybody's code is called. */
typedef struct _AqmpEventQueue AqmpEventQueue;

/* @names: (nullable): of events; none stands for all. @filter: (nullable); called in the owner's context. @destroy is called when
   it is not used any more, in whatever thread that is. */
AqmpEventQueue *aqmp_event_queue_new           (const char * const *names,
                                                AqmpEventFilter     filter,
                                                gpointer            user_data,
                                                GDestroyNotify      destroy);
#define         aqmp_event_queue_ref(self) ((AqmpEventQueue *) g_atomic_rc_box_acquire (self))
void            aqmp_event_queue_unref         (gpointer            self);

/* By its name alone. Any thread. */
gboolean        aqmp_event_queue_wants         (AqmpEventQueue     *self,
                                                const char         *name);

/* Owner's thread: asks the filter, and takes the event in. FALSE: it does not want it. @waiter: (out) (transfer full) (nullable):
   who is to be returned the event, which is then not in the queue */
gboolean        aqmp_event_queue_offer         (AqmpEventQueue     *self,
                                                AqmpEvent          *event,
                                                GTask             **waiter);

typedef enum
{
  AQMP_EVENT_QUEUE_TAKEN,
  AQMP_EVENT_QUEUE_WAITING,
  AQMP_EVENT_QUEUE_EMPTY,
} AqmpEventQueueResult;

/* Any thread: takes the oldest, or waits for the next one. @task: (transfer none): its source object keeps the queue; NULL not
   to wait. @timeout_ms: 0 for none. @event: (out) (transfer full) (nullable) */
AqmpEventQueueResult
                aqmp_event_queue_take          (AqmpEventQueue     *self,
                                                GTask              *task,
                                                guint               timeout_ms,
                                                AqmpEvent         **event);
/* Those that wait in vain: to be returned with an error. Any thread. */
GQueue          aqmp_event_queue_steal_waiters (AqmpEventQueue     *self);

/* Any thread. */
void            aqmp_event_queue_clear         (AqmpEventQueue     *self);
/* Nothing is taken in any more, and the filter is let go. FALSE: it was so before. */
gboolean        aqmp_event_queue_stop          (AqmpEventQueue     *self);
gboolean        aqmp_event_queue_is_stopped    (AqmpEventQueue     *self);
guint           aqmp_event_queue_get_length    (AqmpEventQueue     *self);
guint64         aqmp_event_queue_get_n_dropped (AqmpEventQueue     *self);
guint           aqmp_event_queue_get_capacity  (AqmpEventQueue     *self);
void            aqmp_event_queue_set_capacity  (AqmpEventQueue     *self,
                                                guint               capacity);
/* Owner's thread: the latest events that passed. */
AqmpEventHistory *aqmp_event_queue_get_history (AqmpEventQueue     *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AqmpEventQueue, aqmp_event_queue_unref)

G_END_DECLS
