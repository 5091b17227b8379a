/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"
#include "aqmp-event-listener-private.h"
#include "aqmp-protocol-private.h"

/* Threads: what arrives is dealt with in the owner's; the list of queues is under the protocol's lock, and open to any. */

/* Who listens: queues in the order in which they were made. Each is here from listen() to stop(), or to the end of the client. */

/* Any thread. Nobody else may call anything between the look at the queues and the first call: so they are copied. Returns (element-type
   AqmpEventQueue) (owned), empty for an event that nobody listens for. */
static GQueue
find_queues (AqmpClient *self,
             const char *name)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  GQueue wanting = G_QUEUE_INIT;
  guint i;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  for (i = 0; i < priv->queues->len; i++)
    {
      AqmpEventQueue *queue = priv->queues->pdata[i];

      if (aqmp_event_queue_wants (queue, name))
        g_queue_push_tail (&wanting, aqmp_event_queue_ref (queue));
    }
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  return wanting;
}

gboolean
aqmp_client_is_listened_for (AqmpClient *self,
                             const char *name)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  gboolean wanted = FALSE;
  guint i;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  for (i = 0; i < priv->queues->len && !wanted; i++)
    wanted = aqmp_event_queue_wants (priv->queues->pdata[i], name);
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  return wanted;
}

/* --- What arrives ------------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventQueue *queue;  /* (owned) */
  gboolean        done;
} Late;

static gboolean
append_late (gpointer data)
{
  Late *late = data;

  late->done = TRUE;
  aqmp_event_history_append_late (aqmp_event_queue_get_history (late->queue));
  return G_SOURCE_REMOVE;
}

static void
late_free (gpointer data)
{
  Late *late = data;

  /* Another thread has taken the client over before. */
  if (!late->done)
    aqmp_event_history_forget_late (aqmp_event_queue_get_history (late->queue));
  aqmp_event_queue_unref (late->queue);
  g_free (late);
}

static void
append_later (AqmpClient     *self,
              AqmpEventQueue *queue,
              AqmpEvent      *event)
{
  Late *late;

  if (!aqmp_event_history_append_later (aqmp_event_queue_get_history (queue), event))
    return;

  late = g_new (Late, 1);
  *late = (Late) { aqmp_event_queue_ref (queue), FALSE };
  aqmp_protocol_defer_call (AQMP_PROTOCOL (self), append_late, late, late_free);
}

/* Whoever watches the list is not called during a blocking call. */
static void
add_to_history (AqmpClient     *self,
                AqmpEventQueue *queue,
                AqmpEvent      *event)
{
  AqmpEventHistory *history = aqmp_event_queue_get_history (queue);

  if (history->size == 0)
    return;
  if (!g_queue_is_empty (&history->late) ||
      (aqmp_protocol_is_deferring (AQMP_PROTOCOL (self)) && aqmp_event_history_is_watched (history)))
    append_later (self, queue, event);
  else
    aqmp_event_history_append (history, event);
}

/* The filter must not block, as little as a virtual function; whoever else is called may. */
static void
offer (AqmpClient     *self,
       AqmpEventQueue *queue,
       AqmpEvent      *event)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  g_autoptr (GTask) waiter = NULL;
  gboolean taken;
  guint n_vfuncs;

  aqmp_protocol_enter_vfunc (protocol);
  taken = aqmp_event_queue_offer (queue, event, &waiter);
  aqmp_protocol_leave_vfunc (protocol);
  if (!taken)
    return;

  n_vfuncs = aqmp_protocol_suspend_vfuncs (protocol);
  add_to_history (self, queue, event);
  if (waiter != NULL)
    {
      aqmp_protocol_returns_task (protocol);
      g_task_return_pointer (waiter, g_object_ref (event), g_object_unref);
    }
  aqmp_protocol_resume_vfuncs (protocol, n_vfuncs);
}

void
aqmp_client_hear_event (AqmpProtocol *protocol,
                        AqmpEvent    *event)
{
  AqmpClient *self = AQMP_CLIENT (protocol);
  GQueue wanting = find_queues (self, aqmp_event_get_name (event));
  AqmpEventQueue *queue;

  while ((queue = g_queue_pop_head (&wanting)) != NULL)
    {
      offer (self, queue, event);
      aqmp_event_queue_unref (queue);
    }
}

/* --- Who listens -------------------------------------------------------------------------------------------------- */

void
aqmp_client_forget_queue (AqmpClient     *self,
                          AqmpEventQueue *queue)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  gboolean found;
  guint index;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  found = g_ptr_array_find (priv->queues, queue, &index);
  if (found)
    g_ptr_array_steal_index (priv->queues, index);
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  if (found)
    aqmp_event_queue_unref (queue);
}

GQueue
aqmp_client_steal_waiters (AqmpClient *self)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  GQueue stolen = G_QUEUE_INIT;
  guint i;

  for (i = 0; i < priv->queues->len; i++)
    {
      GQueue waiters = aqmp_event_queue_steal_waiters (priv->queues->pdata[i]);
      GTask *waiter;

      while ((waiter = g_queue_pop_head (&waiters)) != NULL)
        g_queue_push_tail (&stolen, waiter);
    }

  return stolen;
}

void
aqmp_client_stop_queues (AqmpClient *self)
{
  g_autoptr (GPtrArray) queues = g_steal_pointer (&aqmp_client_get_private (self)->queues);
  guint i;

  for (i = 0; i < queues->len; i++)
    aqmp_event_queue_stop (queues->pdata[i]);
}

/* Nothing has an empty name. */
static void
check_names (AqmpClient         *self,
             const char * const *names)
{
  if (names != NULL && g_strv_contains (names, ""))
    aqmp_protocol_log (AQMP_PROTOCOL (self), G_LOG_LEVEL_MESSAGE,
                       "listens for an event with an empty name, which none has");
}

/**
 * aqmp_client_listen:
 * @self: a client
 * @names: (nullable) (array zero-terminated=1): names of events, such as `STOP`; %NULL or none for all
 * @filter: (nullable) (scope notified) (closure user_data) (destroy destroy): whether an event of these is wanted, or %NULL if they
 *   all are
 * @user_data: data for @filter
 * @destroy: (nullable): called with @user_data when @filter will not be called any more
 *
 * Listens for events, from now on and through all sessions, until the listener is stopped or its last reference dropped.
 *
 * A command that is executed after this call cannot bring about an event before the listener hears.
 *
 * May be called from any thread, in any state.
 *
 * Returns: (transfer full): a listener, which does not keep the client alive
 *
 * Since: 1.0
 */
AqmpEventListener *
aqmp_client_listen (AqmpClient         *self,
                    const char * const *names,
                    AqmpEventFilter     filter,
                    gpointer            user_data,
                    GDestroyNotify      destroy)
{
  AqmpEventQueue *queue;

  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);

  check_names (self, names);
  queue = aqmp_event_queue_new (names, filter, user_data, destroy);

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  g_ptr_array_add (aqmp_client_get_private (self)->queues, aqmp_event_queue_ref (queue));
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  return aqmp_event_listener_new (self, queue);
}
