/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Tasks that wait for the same thing. One that is cancelled leaves and returns by itself; the others are stolen when the
   thing happens. Any thread. Belongs to the source object of its tasks, which they keep alive. */
typedef struct
{
  GMutex lock;
  GQueue waiting; /* (element-type Waiter) */
} AqmpWaiters;

void     aqmp_waiters_init         (AqmpWaiters  *self);
void     aqmp_waiters_clear        (AqmpWaiters  *self);

/* @task: (transfer full) */
void     aqmp_waiters_add          (AqmpWaiters  *self,
                                    GTask        *task);
/* @timeout_ms: after which it leaves, too; 0 for none */
void     aqmp_waiters_add_timed    (AqmpWaiters  *self,
                                    GTask        *task,
                                    guint         timeout_ms);
gboolean aqmp_waiters_is_empty     (AqmpWaiters  *self);

/* The first that waits, or NULL; no longer watched: the caller returns it. */
GTask   *aqmp_waiters_steal_first  (AqmpWaiters  *self);
/* All at once, so that whoever is added by a callback waits for the next time. */
GQueue   aqmp_waiters_steal        (AqmpWaiters  *self);

/* Return all tasks of a queue that was stolen. @error: (nullable): NULL returns TRUE */
void     aqmp_waiters_return       (GQueue       *tasks,
                                    const GError *error);

G_END_DECLS
