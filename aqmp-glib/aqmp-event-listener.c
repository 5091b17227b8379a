/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-event-listener.h"

#include <glib/gi18n-lib.h>

#include "aqmp-client-private.h"
#include "aqmp-error.h"
#include "aqmp-event-listener-private.h"
#include "aqmp-protocol-private.h"

/* Threads: any; what is shared is in the queue, which has a lock of its own. */

/**
 * AqmpEventListener:
 *
 * Events of a [class@Client], kept until somebody takes them.
 *
 * [method@Client.listen] makes one. From then on it has every event that it was made for, in the order of their arrival, so none
 * can be missed between a command and the wait for what comes of it:
 *
 * ```c
 * const char *names[] = { "STOP", NULL };
 * g_autoptr (AqmpEventListener) listener = aqmp_client_listen (client, names, NULL, NULL, NULL);
 * g_autoptr (JsonNode) reply = aqmp_client_execute_sync (client, "stop", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
 * g_autoptr (AqmpEvent) event = aqmp_event_listener_next_sync (listener, NULL, &error);
 * ```
 *
 * At most [property@EventListener:max-pending] events are kept for [method@EventListener.next_async]; then the oldest are dropped,
 * and counted in [property@EventListener:n-dropped]. [method@EventListener.get_history] is a list of the latest, taken or not.
 *
 * A listener belongs to its client, and goes on through any number of sessions. Neither keeps the other alive: a listener that nobody
 * holds any more does not listen, and one whose client is gone only has what it had.
 *
 * All but the history may be used from any thread.
 *
 * Since: 1.0
 */
struct _AqmpEventListener
{
  GObject parent_instance;

  AqmpEventQueue *queue;   /* (owned) */
  GWeakRef        client;  /* AqmpClient */
};

G_DEFINE_FINAL_TYPE (AqmpEventListener, aqmp_event_listener, G_TYPE_OBJECT)

typedef enum
{
  PROP_MAX_PENDING = 1,
  PROP_N_PENDING,
  PROP_N_DROPPED,
  PROP_HISTORY_SIZE,
} AqmpEventListenerProperty;

static GParamSpec *properties[PROP_HISTORY_SIZE + 1];

AqmpEventListener *
aqmp_event_listener_new (AqmpClient     *client,
                         AqmpEventQueue *queue)
{
  AqmpEventListener *self = g_object_new (AQMP_TYPE_EVENT_LISTENER, NULL);

  aqmp_event_queue_unref (self->queue);
  self->queue = queue;
  g_weak_ref_set (&self->client, client);
  return self;
}

/* --- Waiting ------------------------------------------------------------------------------------------------------ */

static GError *
nothing_to_wait_for (AqmpEventListener *self,
                     AqmpClient        *client)
{
  AqmpRunstate runstate = client != NULL ? aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) : AQMP_RUNSTATE_IDLE;

  if (client == NULL)
    return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_STATE,
                                _("The client that this listener belongs to is gone, and no event is left"));
  if (aqmp_event_queue_is_stopped (self->queue))
    return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_STATE, _("This listener was stopped, and no event is left"));
  if (runstate == AQMP_RUNSTATE_IDLE)
    return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                        _("%s is in state “%s”, and no event is left: connect it first"), G_OBJECT_TYPE_NAME (client),
                        aqmp_protocol_get_runstate_nick (runstate));
  return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session has ended, and no event is left"));
}

/* Locked, with a client. */
static gboolean
can_wait (AqmpClient *client)
{
  AqmpRunstate runstate = aqmp_protocol_get_private (AQMP_PROTOCOL (client))->runstate;

  return runstate == AQMP_RUNSTATE_CONNECTING || runstate == AQMP_RUNSTATE_RUNNING;
}

/* The state must not change between the look at it and the wait: who waits then would not be told. */
static AqmpEventQueueResult
take (AqmpEventListener  *self,
      AqmpClient         *client,
      GTask              *task,
      guint               timeout_ms,
      AqmpEvent         **event)
{
  AqmpEventQueueResult result;

  if (client == NULL)
    return aqmp_event_queue_take (self->queue, NULL, 0, event);

  aqmp_protocol_lock (AQMP_PROTOCOL (client));
  result = aqmp_event_queue_take (self->queue, can_wait (client) ? task : NULL, timeout_ms, event);
  aqmp_protocol_unlock (AQMP_PROTOCOL (client));

  return result;
}

void
aqmp_event_listener_next_timed_async (AqmpEventListener   *self,
                                      guint                timeout_ms,
                                      GCancellable        *cancellable,
                                      GAsyncReadyCallback  callback,
                                      gpointer             user_data)
{
  g_autoptr (AqmpClient) client = g_weak_ref_get (&self->client);
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  AqmpEvent *event;

  g_task_set_source_tag (task, aqmp_event_listener_next_async);
  g_task_set_name (task, "[aqmp] next event");
  /* An event that was taken must not be lost to a cancellation that comes after it. */
  g_task_set_check_cancellable (task, FALSE);
  if (g_task_return_error_if_cancelled (task))
    return;

  /* Whoever waits keeps the client, too: without it there is nothing to wait for. */
  if (client != NULL)
    g_task_set_task_data (task, g_object_ref (client), g_object_unref);

  switch (take (self, client, task, timeout_ms, &event))
    {
    case AQMP_EVENT_QUEUE_TAKEN:
      g_task_return_pointer (task, event, g_object_unref);
      break;
    case AQMP_EVENT_QUEUE_EMPTY:
      g_task_return_error (task, nothing_to_wait_for (self, client));
      break;
    case AQMP_EVENT_QUEUE_WAITING:
    default:
      break;
    }
}

/**
 * aqmp_event_listener_next_async:
 * @self: a listener
 * @cancellable: (nullable): gives up waiting; no event is lost by that
 * @callback: (scope async) (closure user_data): called when there is an event
 * @user_data: data for @callback
 *
 * Takes the oldest event, waiting for it if there is none.
 *
 * Several may wait at a time: each event goes to the one that has waited longest. Whoever waits keeps the client alive.
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_event_listener_next_async (AqmpEventListener   *self,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  g_return_if_fail (AQMP_IS_EVENT_LISTENER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  aqmp_event_listener_next_timed_async (self, 0, cancellable, callback, user_data);
}

/**
 * aqmp_event_listener_next_finish:
 * @self: a listener
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Gets the event that [method@EventListener.next_async] has waited for.
 *
 * While the client is connecting or its session runs, the wait has no end of its own. Otherwise events that are left come first;
 * then the error is [error@Error.INTERRUPTED] if a session has ended (also during the wait), and [error@Error.STATE] if the client is
 * idle or gone, or the listener was stopped. It is %G_IO_ERROR_CANCELLED if the wait was given up.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_event_listener_next_finish (AqmpEventListener  *self,
                                 GAsyncResult       *result,
                                 GError            **error)
{
  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_event_listener_next_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

typedef struct
{
  AqmpEventListener *self;
  GCancellable      *cancellable;
} Arguments;

static void
begin_next (gpointer             data,
            GAsyncReadyCallback  callback,
            gpointer             user_data)
{
  Arguments *arguments = data;

  aqmp_event_listener_next_async (arguments->self, arguments->cancellable, callback, user_data);
}

/* Without any waiting. FALSE: a virtual function of the session must not even try. @event: (out) (transfer full) (nullable) */
static gboolean
try_to_take (AqmpEventListener  *self,
             AqmpClient         *client,
             AqmpEvent         **event,
             GError            **error)
{
  GMainContext *context;

  if (client != NULL && !aqmp_protocol_acquire (AQMP_PROTOCOL (client), &context, error))
    return FALSE;

  aqmp_event_queue_take (self->queue, NULL, 0, event);
  if (client != NULL)
    aqmp_protocol_release (context);
  return TRUE;
}

/**
 * aqmp_event_listener_next_sync:
 * @self: a listener
 * @cancellable: (nullable): gives up waiting; no event is lost by that
 * @error: return location for an error
 *
 * Takes the oldest event, as [method@EventListener.next_async] does, and waits for it.
 *
 * In the thread that owns the client's session it needs no main loop, and does not run the caller's: it reads and writes
 * itself, as [method@Client.execute_sync] does. In another one it waits for the owner's context, which has to run.
 *
 * The errors are those of [method@EventListener.next_finish]; [error@Error.STATE] also means that this is inside a virtual function of
 * the session, where blocking is not possible.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_event_listener_next_sync (AqmpEventListener  *self,
                               GCancellable       *cancellable,
                               GError            **error)
{
  g_autoptr (AqmpClient) client = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  Arguments arguments = { self, cancellable };
  AqmpEvent *event;

  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  client = g_weak_ref_get (&self->client);
  if (g_cancellable_set_error_if_cancelled (cancellable, error) || !try_to_take (self, client, &event, error))
    return NULL;
  if (event != NULL)
    return event;

  if (client == NULL)
    {
      g_propagate_error (error, nothing_to_wait_for (self, NULL));
      return NULL;
    }

  result = aqmp_protocol_block (AQMP_PROTOCOL (client), begin_next, &arguments, error);
  return result != NULL ? aqmp_event_listener_next_finish (self, result, error) : NULL;
}

/* --- Ending ------------------------------------------------------------------------------------------------------- */

/**
 * aqmp_event_listener_clear:
 * @self: a listener
 *
 * Forgets the events that nobody has taken. They are not counted as dropped, and the history keeps them.
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_event_listener_clear (AqmpEventListener *self)
{
  g_return_if_fail (AQMP_IS_EVENT_LISTENER (self));

  aqmp_event_queue_clear (self->queue);
}

/**
 * aqmp_event_listener_stop:
 * @self: a listener
 *
 * Stops listening, for good. The filter function is let go; what was heard can still be taken. Whoever waits for an event gets
 * [error@Error.INTERRUPTED].
 *
 * Dropping the last reference does it, too. May be called from any thread, also in a filter or callback.
 *
 * Since: 1.0
 */
void
aqmp_event_listener_stop (AqmpEventListener *self)
{
  g_autoptr (AqmpClient) client = NULL;
  g_autoptr (GError) error = NULL;
  GQueue waiters;

  g_return_if_fail (AQMP_IS_EVENT_LISTENER (self));

  client = g_weak_ref_get (&self->client);
  if (client != NULL)
    aqmp_client_forget_queue (client, self->queue);
  aqmp_event_queue_stop (self->queue);

  waiters = aqmp_event_queue_steal_waiters (self->queue);
  error = g_error_new_literal (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The listener was stopped before an event came"));
  aqmp_waiters_return (&waiters, error);
}

/**
 * aqmp_event_listener_get_active:
 * @self: a listener
 *
 * Gets whether the listener would hear an event: it was not stopped, and its client is still there.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if it would
 *
 * Since: 1.0
 */
gboolean
aqmp_event_listener_get_active (AqmpEventListener *self)
{
  g_autoptr (AqmpClient) client = NULL;

  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), FALSE);

  client = g_weak_ref_get (&self->client);
  return client != NULL && !aqmp_event_queue_is_stopped (self->queue);
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

/**
 * aqmp_event_listener_get_history:
 * @self: a listener
 *
 * Gets a list of the latest [property@EventListener:history-size] events, oldest first, whether they were taken or not.
 *
 * The list is always the same one. It changes when events arrive; if somebody watches it, not during a blocking call, but
 * when the owner's context runs next. To be used in the owner's context.
 *
 * Returns: (transfer none): a list of [class@Event]
 *
 * Since: 1.0
 */
GListModel *
aqmp_event_listener_get_history (AqmpEventListener *self)
{
  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), NULL);

  return aqmp_event_history_get_list (aqmp_event_queue_get_history (self->queue));
}

/**
 * aqmp_event_listener_get_max_pending: (get-property max-pending)
 * @self: a listener
 *
 * Gets how many events are kept for whoever will take them.
 *
 * May be called from any thread.
 *
 * Returns: a number of events
 *
 * Since: 1.0
 */
guint
aqmp_event_listener_get_max_pending (AqmpEventListener *self)
{
  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), 0);

  return aqmp_event_queue_get_capacity (self->queue);
}

/**
 * aqmp_event_listener_set_max_pending: (set-property max-pending)
 * @self: a listener
 * @max_pending: a number of events, at least 1
 *
 * Sets how many events are kept for whoever will take them. If there are more now, the oldest are dropped.
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_event_listener_set_max_pending (AqmpEventListener *self,
                                     guint              max_pending)
{
  g_return_if_fail (AQMP_IS_EVENT_LISTENER (self));
  g_return_if_fail (max_pending > 0);

  if (aqmp_event_queue_get_capacity (self->queue) == max_pending)
    return;

  aqmp_event_queue_set_capacity (self->queue, max_pending);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MAX_PENDING]);
}

/**
 * aqmp_event_listener_get_n_pending: (get-property n-pending)
 * @self: a listener
 *
 * Gets how many events could be taken at once.
 *
 * May be called from any thread.
 *
 * Returns: a number of events
 *
 * Since: 1.0
 */
guint
aqmp_event_listener_get_n_pending (AqmpEventListener *self)
{
  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), 0);

  return aqmp_event_queue_get_length (self->queue);
}

/**
 * aqmp_event_listener_get_n_dropped: (get-property n-dropped)
 * @self: a listener
 *
 * Gets how many events were dropped because nobody had taken them in time.
 *
 * May be called from any thread.
 *
 * Returns: a number of events
 *
 * Since: 1.0
 */
guint64
aqmp_event_listener_get_n_dropped (AqmpEventListener *self)
{
  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), 0);

  return aqmp_event_queue_get_n_dropped (self->queue);
}

/**
 * aqmp_event_listener_get_history_size: (get-property history-size)
 * @self: a listener
 *
 * Gets how many events the history has at most. To be called in the owner's context.
 *
 * Returns: a number of events
 *
 * Since: 1.0
 */
guint
aqmp_event_listener_get_history_size (AqmpEventListener *self)
{
  g_return_val_if_fail (AQMP_IS_EVENT_LISTENER (self), 0);

  return aqmp_event_queue_get_history (self->queue)->size;
}

/**
 * aqmp_event_listener_set_history_size: (set-property history-size)
 * @self: a listener
 * @history_size: a number of events
 *
 * Sets how many events the history has at most. If it has more now, the oldest leave it. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_event_listener_set_history_size (AqmpEventListener *self,
                                      guint              history_size)
{
  AqmpEventHistory *history;

  g_return_if_fail (AQMP_IS_EVENT_LISTENER (self));

  history = aqmp_event_queue_get_history (self->queue);
  if (history->size == history_size)
    return;

  aqmp_event_history_set_size (history, history_size);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_HISTORY_SIZE]);
}

/* --- Class -------------------------------------------------------------------------------------------------------- */

static void
aqmp_event_listener_get_property (GObject    *object,
                                  guint       property_id,
                                  GValue     *value,
                                  GParamSpec *pspec)
{
  AqmpEventListener *self = AQMP_EVENT_LISTENER (object);

  switch ((AqmpEventListenerProperty) property_id)
    {
    case PROP_MAX_PENDING:
      g_value_set_uint (value, aqmp_event_listener_get_max_pending (self));
      break;

    case PROP_N_PENDING:
      g_value_set_uint (value, aqmp_event_listener_get_n_pending (self));
      break;

    case PROP_N_DROPPED:
      g_value_set_uint64 (value, aqmp_event_listener_get_n_dropped (self));
      break;

    case PROP_HISTORY_SIZE:
      g_value_set_uint (value, aqmp_event_listener_get_history_size (self));
      break;

    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_event_listener_set_property (GObject      *object,
                                  guint         property_id,
                                  const GValue *value,
                                  GParamSpec   *pspec)
{
  AqmpEventListener *self = AQMP_EVENT_LISTENER (object);

  switch ((AqmpEventListenerProperty) property_id)
    {
    case PROP_MAX_PENDING:
      aqmp_event_listener_set_max_pending (self, g_value_get_uint (value));
      break;

    case PROP_HISTORY_SIZE:
      aqmp_event_listener_set_history_size (self, g_value_get_uint (value));
      break;

    case PROP_N_PENDING:
    case PROP_N_DROPPED:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_event_listener_dispose (GObject *object)
{
  aqmp_event_listener_stop (AQMP_EVENT_LISTENER (object));

  G_OBJECT_CLASS (aqmp_event_listener_parent_class)->dispose (object);
}

static void
aqmp_event_listener_finalize (GObject *object)
{
  AqmpEventListener *self = AQMP_EVENT_LISTENER (object);

  g_weak_ref_clear (&self->client);
  aqmp_event_queue_unref (self->queue);

  G_OBJECT_CLASS (aqmp_event_listener_parent_class)->finalize (object);
}

static void
aqmp_event_listener_class_init (AqmpEventListenerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->get_property = aqmp_event_listener_get_property;
  object_class->set_property = aqmp_event_listener_set_property;
  object_class->dispose = aqmp_event_listener_dispose;
  object_class->finalize = aqmp_event_listener_finalize;

  /**
   * AqmpEventListener:max-pending: (getter get_max_pending) (setter set_max_pending)
   *
   * How many events are kept for whoever will take them; if another one comes, the oldest is dropped.
   *
   * Since: 1.0
   */
  properties[PROP_MAX_PENDING] = g_param_spec_uint ("max-pending", NULL, NULL, 1, G_MAXUINT, 1024, writable);

  /**
   * AqmpEventListener:n-pending: (getter get_n_pending)
   *
   * How many events could be taken at once. It is not notified.
   *
   * Since: 1.0
   */
  properties[PROP_N_PENDING] = g_param_spec_uint ("n-pending", NULL, NULL, 0, G_MAXUINT, 0, readable);

  /**
   * AqmpEventListener:n-dropped: (getter get_n_dropped)
   *
   * How many events were dropped because nobody had taken them in time. It is not notified.
   *
   * Since: 1.0
   */
  properties[PROP_N_DROPPED] = g_param_spec_uint64 ("n-dropped", NULL, NULL, 0, G_MAXUINT64, 0, readable);

  /**
   * AqmpEventListener:history-size: (getter get_history_size) (setter set_history_size)
   *
   * How many events [method@EventListener.get_history] has at most.
   *
   * Since: 1.0
   */
  properties[PROP_HISTORY_SIZE] = g_param_spec_uint ("history-size", NULL, NULL, 0, G_MAXUINT, 0, writable);

  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);
}

static void
aqmp_event_listener_init (AqmpEventListener *self)
{
  /* One that no client has made hears nothing. */
  self->queue = aqmp_event_queue_new (NULL, NULL, NULL, NULL);
  aqmp_event_queue_stop (self->queue);
  g_weak_ref_init (&self->client, NULL);
}
