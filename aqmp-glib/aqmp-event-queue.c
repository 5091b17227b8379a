/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-event-queue-private.h"

/* Threads: any, under the queue's own lock, which is taken after the protocol's; the filter is called outside, in the owner's. */

#define DEFAULT_CAPACITY 1024

/* An atomic GRcBox: it is let go while it may be running in another thread, or be what is running. */
typedef struct
{
  AqmpEventFilter  func;
  gpointer         user_data;  /* (owned) */
  GDestroyNotify   destroy;    /* (nullable) */
} Filter;

struct _AqmpEventQueue
{
  char        **names;      /* (owned) (nullable): NULL for all; never changes */

  GMutex        lock;       /* for all below */
  Filter       *filter;     /* (owned) (nullable) */
  gboolean      stopped;
  GQueue        events;     /* (element-type AqmpEvent) (owned) */
  guint         capacity;
  guint64       n_dropped;
  AqmpWaiters   waiters;    /* has a lock of its own, taken after this one; empty unless events is */

  AqmpEventHistory history; /* owner's thread */
};

static void
filter_clear (gpointer data)
{
  Filter *self = data;

  if (self->destroy != NULL)
    self->destroy (self->user_data);
}

static void
filter_unref (gpointer self)
{
  g_atomic_rc_box_release_full (self, filter_clear);
}

static Filter *
filter_new (AqmpEventFilter func,
            gpointer        user_data,
            GDestroyNotify  destroy)
{
  Filter *self = g_atomic_rc_box_new (Filter);

  *self = (Filter) { func, user_data, destroy };
  return self;
}

AqmpEventQueue *
aqmp_event_queue_new (const char * const *names,
                      AqmpEventFilter     filter,
                      gpointer            user_data,
                      GDestroyNotify      destroy)
{
  AqmpEventQueue *self = g_atomic_rc_box_new0 (AqmpEventQueue);

  self->names = names != NULL && names[0] != NULL ? g_strdupv ((char **) names) : NULL;
  self->filter = filter_new (filter, user_data, destroy);
  self->capacity = DEFAULT_CAPACITY;
  g_mutex_init (&self->lock);
  g_queue_init (&self->events);
  aqmp_waiters_init (&self->waiters);
  aqmp_event_history_init (&self->history);
  return self;
}

static void
queue_clear (gpointer data)
{
  AqmpEventQueue *self = data;

  g_clear_pointer (&self->filter, filter_unref);
  g_queue_clear_full (&self->events, g_object_unref);
  aqmp_waiters_clear (&self->waiters);
  aqmp_event_history_clear (&self->history);
  g_mutex_clear (&self->lock);
  g_strfreev (self->names);
}

void
aqmp_event_queue_unref (gpointer self)
{
  g_atomic_rc_box_release_full (self, queue_clear);
}

gboolean
aqmp_event_queue_wants (AqmpEventQueue *self,
                        const char     *name)
{
  return self->names == NULL || g_strv_contains ((const char * const *) self->names, name);
}

/* --- Events in ---------------------------------------------------------------------------------------------------- */

/* (transfer full) (nullable): NULL once it is stopped */
static Filter *
get_filter (AqmpEventQueue *self)
{
  Filter *filter;

  g_mutex_lock (&self->lock);
  filter = self->filter != NULL ? g_atomic_rc_box_acquire (self->filter) : NULL;
  g_mutex_unlock (&self->lock);

  return filter;
}

static gboolean
passes (AqmpEventQueue *self,
        AqmpEvent      *event)
{
  Filter *filter = get_filter (self);
  gboolean passed;

  if (filter == NULL)
    return FALSE;

  passed = filter->func == NULL || filter->func (event, filter->user_data);
  filter_unref (filter);
  return passed;
}

/* Locked. (transfer full) (nullable): what there is no room for, to be freed without the lock */
static AqmpEvent *
push (AqmpEventQueue *self,
      AqmpEvent      *event)
{
  AqmpEvent *oldest = NULL;

  if (self->events.length == self->capacity)
    {
      oldest = g_queue_pop_head (&self->events);
      self->n_dropped++;
    }
  g_queue_push_tail (&self->events, g_object_ref (event));
  return oldest;
}

gboolean
aqmp_event_queue_offer (AqmpEventQueue  *self,
                        AqmpEvent       *event,
                        GTask          **waiter)
{
  g_autoptr (AqmpEvent) dropped = NULL;
  gboolean wanted = passes (self, event);

  *waiter = NULL;
  if (!wanted)
    return FALSE;

  g_mutex_lock (&self->lock);
  /* The filter may have stopped it. */
  wanted = !self->stopped;
  if (wanted)
    {
      *waiter = aqmp_waiters_steal_first (&self->waiters);
      if (*waiter == NULL)
        dropped = push (self, event);
    }
  g_mutex_unlock (&self->lock);

  return wanted;
}

/* --- Events out --------------------------------------------------------------------------------------------------- */

AqmpEventQueueResult
aqmp_event_queue_take (AqmpEventQueue  *self,
                       GTask           *task,
                       guint            timeout_ms,
                       AqmpEvent      **event)
{
  AqmpEventQueueResult result = AQMP_EVENT_QUEUE_TAKEN;

  g_mutex_lock (&self->lock);
  *event = g_queue_pop_head (&self->events);
  if (*event == NULL)
    {
      result = task != NULL && !self->stopped ? AQMP_EVENT_QUEUE_WAITING : AQMP_EVENT_QUEUE_EMPTY;
      if (result == AQMP_EVENT_QUEUE_WAITING)
        aqmp_waiters_add_timed (&self->waiters, g_object_ref (task), timeout_ms);
    }
  g_mutex_unlock (&self->lock);

  return result;
}

GQueue
aqmp_event_queue_steal_waiters (AqmpEventQueue *self)
{
  return aqmp_waiters_steal (&self->waiters);
}

/* Frees without the lock, as the last reference on an event may run the code of a binding. */
static void
forget (GQueue *events)
{
  g_queue_clear_full (events, g_object_unref);
}

void
aqmp_event_queue_clear (AqmpEventQueue *self)
{
  GQueue events;

  g_mutex_lock (&self->lock);
  events = self->events;
  g_queue_init (&self->events);
  g_mutex_unlock (&self->lock);

  forget (&events);
}

gboolean
aqmp_event_queue_stop (AqmpEventQueue *self)
{
  Filter *filter;
  gboolean stops;

  g_mutex_lock (&self->lock);
  stops = !self->stopped;
  self->stopped = TRUE;
  filter = g_steal_pointer (&self->filter);
  g_mutex_unlock (&self->lock);

  g_clear_pointer (&filter, filter_unref);
  return stops;
}

/* --- Looking at it ------------------------------------------------------------------------------------------------ */

gboolean
aqmp_event_queue_is_stopped (AqmpEventQueue *self)
{
  gboolean stopped;

  g_mutex_lock (&self->lock);
  stopped = self->stopped;
  g_mutex_unlock (&self->lock);

  return stopped;
}

guint
aqmp_event_queue_get_length (AqmpEventQueue *self)
{
  guint length;

  g_mutex_lock (&self->lock);
  length = self->events.length;
  g_mutex_unlock (&self->lock);

  return length;
}

guint64
aqmp_event_queue_get_n_dropped (AqmpEventQueue *self)
{
  guint64 n_dropped;

  g_mutex_lock (&self->lock);
  n_dropped = self->n_dropped;
  g_mutex_unlock (&self->lock);

  return n_dropped;
}

guint
aqmp_event_queue_get_capacity (AqmpEventQueue *self)
{
  guint capacity;

  g_mutex_lock (&self->lock);
  capacity = self->capacity;
  g_mutex_unlock (&self->lock);

  return capacity;
}

void
aqmp_event_queue_set_capacity (AqmpEventQueue *self,
                               guint           capacity)
{
  GQueue dropped = G_QUEUE_INIT;

  g_mutex_lock (&self->lock);
  self->capacity = capacity;
  while (self->events.length > capacity)
    {
      g_queue_push_tail (&dropped, g_queue_pop_head (&self->events));
      self->n_dropped++;
    }
  g_mutex_unlock (&self->lock);

  forget (&dropped);
}

AqmpEventHistory *
aqmp_event_queue_get_history (AqmpEventQueue *self)
{
  return &self->history;
}
