/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-waiters-private.h"

#include "aqmp-alloc-private.h"
#include "aqmp-watch-private.h"

/* Threads: any. All of it is under a lock of its own; tasks are returned outside. */

typedef struct
{
  AqmpWaiters *waiters;  /* kept alive by @owner */
  GObject     *owner;    /* (owned) */
  GTask       *task;     /* (owned) (nullable): NULL once somebody has taken it to return it */
  AqmpWatch    watch;
} Waiter;

static void
waiter_clear (gpointer data)
{
  Waiter *self = data;

  g_clear_object (&self->task);
  g_clear_object (&self->owner);
}

static void
waiter_unref (gpointer data)
{
  g_atomic_rc_box_release_full (data, waiter_clear);
}

static gboolean
leave (gpointer      operation,
       const GError *error,
       gboolean      urgently)
{
  Waiter *waiter = operation;
  AqmpWaiters *self = waiter->waiters;
  g_autoptr (GTask) task = NULL;

  g_mutex_lock (&self->lock);
  task = g_steal_pointer (&waiter->task);
  if (task != NULL)
    g_queue_remove (&self->waiting, waiter);
  g_mutex_unlock (&self->lock);

  if (task != NULL)
    {
      aqmp_watch_stop (&waiter->watch);
      waiter_unref (waiter);
      g_task_return_error (task, g_error_copy (error));
    }

  return TRUE;
}

void
aqmp_waiters_init (AqmpWaiters *self)
{
  g_mutex_init (&self->lock);
  g_queue_init (&self->waiting);
}

void
aqmp_waiters_clear (AqmpWaiters *self)
{
  g_assert (g_queue_is_empty (&self->waiting));
  g_mutex_clear (&self->lock);
}

void
aqmp_waiters_add (AqmpWaiters *self,
                  GTask       *task)
{
  aqmp_waiters_add_timed (self, task, 0);
}

void
aqmp_waiters_add_timed (AqmpWaiters *self,
                        GTask       *task,
                        guint        timeout_ms)
{
  Waiter *waiter = aqmp_atomic_rc_box_new0 (Waiter);

  waiter->waiters = self;
  waiter->owner = g_object_ref (g_task_get_source_object (task));
  waiter->task = task;

  /* The task's context may be another thread's, where it would leave, if it is cancelled already, before it is here. */
  g_mutex_lock (&self->lock);
  aqmp_watch_start (&waiter->watch, task, timeout_ms, leave, waiter, waiter_unref);
  g_queue_push_tail (&self->waiting, waiter);
  g_mutex_unlock (&self->lock);
}

gboolean
aqmp_waiters_is_empty (AqmpWaiters *self)
{
  gboolean empty;

  g_mutex_lock (&self->lock);
  empty = g_queue_is_empty (&self->waiting);
  g_mutex_unlock (&self->lock);

  return empty;
}

GTask *
aqmp_waiters_steal_first (AqmpWaiters *self)
{
  Waiter *waiter;
  GTask *task = NULL;

  g_mutex_lock (&self->lock);
  waiter = g_queue_pop_head (&self->waiting);
  if (waiter != NULL)
    task = g_steal_pointer (&waiter->task);
  g_mutex_unlock (&self->lock);

  if (waiter != NULL)
    {
      aqmp_watch_stop (&waiter->watch);
      waiter_unref (waiter);
    }

  return task;
}

GQueue
aqmp_waiters_steal (AqmpWaiters *self)
{
  GQueue tasks = G_QUEUE_INIT;
  guint n_waiting;
  GTask *task;

  g_mutex_lock (&self->lock);
  n_waiting = self->waiting.length;
  g_mutex_unlock (&self->lock);

  while (n_waiting-- > 0 && (task = aqmp_waiters_steal_first (self)) != NULL)
    g_queue_push_tail (&tasks, task);

  return tasks;
}

void
aqmp_waiters_return (GQueue       *tasks,
                     const GError *error)
{
  GTask *task;

  while ((task = g_queue_pop_head (tasks)) != NULL)
    {
      if (error != NULL)
        g_task_return_error (task, g_error_copy (error));
      else
        g_task_return_boolean (task, TRUE);
      g_object_unref (task);
    }
}
