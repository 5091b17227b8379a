/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error-private.h"
#include "aqmp-event-listener-private.h"
#include "aqmp-protocol-private.h"

/* Threads: any; callbacks run in the context of whoever waits. Not locked: only that one looks at what it waits for, but for the
   filter, which runs in the owner's and changes nothing. */

/* Each wait has a listener of its own, made before anything else: so the event cannot come too early. */

static gboolean
matches (AqmpEvent *event,
         gpointer   data)
{
  return aqmp_event_matches (event, data);
}

static void
unref_object (gpointer object)
{
  if (object != NULL)
    json_object_unref (object);
}

/* (transfer full): of its own, as the caller's may change, and its references are counted for one thread only. */
static JsonObject *
copy_object (JsonObject  *object,
             GError     **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (JsonNode) node = NULL;

  if (!aqmp_json_append_object (text, object, error))
    return NULL;

  node = aqmp_json_build ((const guint8 *) text->str, text->len, error);
  return node != NULL ? json_node_dup_object (node) : NULL;
}

static gboolean
check_names (const char * const  *names,
             GError             **error)
{
  if (names == NULL || !g_strv_contains (names, ""))
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _("An event with an empty name never comes"));
  return FALSE;
}

/* (transfer full) (nullable) */
static AqmpEventListener *
listen_for (AqmpClient          *self,
            const char * const  *names,
            JsonObject          *data,
            GError             **error)
{
  JsonObject *copy = NULL;

  if (!check_names (names, error))
    return NULL;

  if (data != NULL)
    {
      copy = copy_object (data, error);
      if (copy == NULL)
        return NULL;
    }

  return aqmp_client_listen (self, names, matches, copy, unref_object);
}

static guint
get_timeout (AqmpClient *self,
             int         timeout_ms)
{
  return timeout_ms < 0 ? aqmp_client_get_call_timeout (self) : (guint) timeout_ms;
}

/* --- An event ----------------------------------------------------------------------------------------------------- */

static void
got_event (GObject      *listener,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  AqmpEvent *event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, &error);

  if (event != NULL)
    g_task_return_pointer (task, event, g_object_unref);
  else
    g_task_return_error (task, error);
}

/**
 * aqmp_client_wait_event_async:
 * @self: a client
 * @names: (nullable) (array zero-terminated=1): names of events, such as `STOP`; %NULL or none for any
 * @data: (nullable) (transfer none): what its data has to say, as for [method@Event.matches]; neither changed nor kept
 * @timeout_ms: how many milliseconds to wait, 0 for no limit, -1 for [property@Client:call-timeout]
 * @cancellable: (nullable): gives up waiting
 * @callback: (scope async) (closure user_data): called when the event has come
 * @user_data: data for @callback
 *
 * Waits for an event that comes after this call.
 *
 * It listens when it returns: so an event that comes of the next command cannot be missed, even if it comes before the reply to
 * that. With a command to begin with there is [method@Client.execute_and_wait_async].
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_client_wait_event_async (AqmpClient          *self,
                              const char * const  *names,
                              JsonObject          *data,
                              int                  timeout_ms,
                              GCancellable        *cancellable,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  g_autoptr (AqmpEventListener) listener = NULL;
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (timeout_ms >= -1);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_client_wait_event_async);
  g_task_set_name (task, "[aqmp] wait for event");
  g_task_set_check_cancellable (task, FALSE);

  listener = listen_for (self, names, data, &error);
  if (listener == NULL)
    g_task_return_error (task, error);
  else
    aqmp_event_listener_next_timed_async (listener, get_timeout (self, timeout_ms), cancellable, got_event,
                                          g_steal_pointer (&task));
}

/**
 * aqmp_client_wait_event_finish:
 * @self: a client
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Gets the event that [method@Client.wait_event_async] has waited for.
 *
 * The error is [error@Error.STATE] if the client is idle, [error@Error.INTERRUPTED] if the session ended before the event came,
 * %G_IO_ERROR_TIMED_OUT, %G_IO_ERROR_CANCELLED, %G_IO_ERROR_INVALID_ARGUMENT for an empty name, and
 * [error@Error.INVALID_MESSAGE] for data that no event can have.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_client_wait_event_finish (AqmpClient    *self,
                               GAsyncResult  *result,
                               GError       **error)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_client_wait_event_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- A command and an event --------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;       /* (owned) */
  char             **failure_names;  /* (owned) (nullable) */
  JsonNode          *reply;          /* (owned) (nullable) */
  AqmpEvent         *event;          /* (owned) (nullable) */
  GError            *reply_error;    /* (owned) (nullable) */
  GError            *event_error;    /* (owned) (nullable) */
} Waiting;

static void
waiting_free (gpointer data)
{
  Waiting *waiting = data;

  g_object_unref (waiting->listener);
  g_strfreev (waiting->failure_names);
  g_clear_pointer (&waiting->reply, json_node_unref);
  g_clear_object (&waiting->event);
  g_clear_error (&waiting->reply_error);
  g_clear_error (&waiting->event_error);
  g_free (waiting);
}

static GError *
failure_event (AqmpEvent *event)
{
  JsonObject *data = aqmp_event_get_data (event);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *excerpt = NULL;

  if (data == NULL || !aqmp_json_append_object (text, data, NULL))
    return g_error_new (AQMP_ERROR, AQMP_ERROR_EVENT, _("The server reports a failure by the event %s"),
                        aqmp_event_get_name (event));

  excerpt = aqmp_excerpt (text->str, text->len);
  return g_error_new (AQMP_ERROR, AQMP_ERROR_EVENT, _("The server reports a failure by the event %s: %s"),
                      aqmp_event_get_name (event), excerpt);
}

/* Once both have come. What the command says goes first: without it the event would not be there. */
static void
settle (GTask *task)
{
  Waiting *waiting = g_task_get_task_data (task);
  gboolean replied = waiting->reply != NULL || waiting->reply_error != NULL;
  gboolean heard = waiting->event != NULL || waiting->event_error != NULL;

  if (!replied || !heard)
    return;

  if (waiting->reply_error != NULL)
    g_task_return_error (task, g_steal_pointer (&waiting->reply_error));
  else if (waiting->event_error != NULL)
    g_task_return_error (task, g_steal_pointer (&waiting->event_error));
  else if (waiting->failure_names != NULL &&
           g_strv_contains ((const char * const *) waiting->failure_names, aqmp_event_get_name (waiting->event)))
    g_task_return_error (task, failure_event (waiting->event));
  else
    g_task_return_pointer (task, g_object_ref (waiting->event), g_object_unref);
}

/* Without the reply that was wanted there is nothing to wait for, and a wait that was given up ends the call as well: both have
   the same time, the same cancellable and the same session. */
static void
got_reply (GObject      *client,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  Waiting *waiting = g_task_get_task_data (task);

  waiting->reply = aqmp_client_execute_full_finish (AQMP_CLIENT (client), result, &waiting->reply_error);
  if (waiting->reply == NULL)
    aqmp_event_listener_stop (waiting->listener);
  settle (task);
}

static void
got_event_after_command (GObject      *listener,
                         GAsyncResult *result,
                         gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  Waiting *waiting = g_task_get_task_data (task);

  waiting->event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, &waiting->event_error);
  settle (task);
}

/* (transfer full): both kinds of names */
static char **
join_names (const char * const *names,
            const char * const *failure_names)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  if (names != NULL)
    g_strv_builder_addv (builder, (const char **) names);
  if (failure_names != NULL)
    g_strv_builder_addv (builder, (const char **) failure_names);
  return g_strv_builder_end (builder);
}

/**
 * aqmp_client_execute_and_wait_async:
 * @self: a client
 * @command: the name of a command, such as `device_del`
 * @arguments: (nullable) (transfer none): its arguments; neither changed nor kept
 * @names: (array zero-terminated=1): names of the events that complete it, such as `DEVICE_DELETED`
 * @failure_names: (nullable) (array zero-terminated=1): names of the events that say that it has failed, such as
 *   `DEVICE_UNPLUG_GUEST_ERROR`
 * @data: (nullable) (transfer none): what the data of the event has to say, as for [method@Event.matches]; neither changed nor kept
 * @timeout_ms: how many milliseconds to wait for both, 0 for no limit, -1 for [property@Client:call-timeout]
 * @cancellable: (nullable): gives up waiting; what the server has begun goes on
 * @callback: (scope async) (closure user_data): called when the command was answered and the event has come
 * @user_data: data for @callback
 *
 * Executes a command, and waits for the event that completes what it has begun.
 *
 * The event may come before the reply; without a reply, or with an error as the reply, it does not count. One that was on its way
 * already when this is called counts like any other: let @data say enough to tell them apart. For jobs there is [class@Job].
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_client_execute_and_wait_async (AqmpClient          *self,
                                    const char          *command,
                                    JsonObject          *arguments,
                                    const char * const  *names,
                                    const char * const  *failure_names,
                                    JsonObject          *data,
                                    int                  timeout_ms,
                                    GCancellable        *cancellable,
                                    GAsyncReadyCallback  callback,
                                    gpointer             user_data)
{
  g_autoptr (AqmpEventListener) listener = NULL;
  g_autoptr (GTask) task = NULL;
  g_auto (GStrv) all_names = NULL;
  GError *error = NULL;
  Waiting *waiting;
  guint timeout;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (command != NULL);
  g_return_if_fail (names != NULL && names[0] != NULL);
  g_return_if_fail (timeout_ms >= -1);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_client_execute_and_wait_async);
  g_task_set_name (task, "[aqmp] execute and wait");
  g_task_set_check_cancellable (task, FALSE);

  all_names = join_names (names, failure_names);
  listener = listen_for (self, (const char * const *) all_names, data, &error);
  if (listener == NULL)
    {
      g_task_return_error (task, error);
      return;
    }

  waiting = g_new0 (Waiting, 1);
  waiting->listener = g_object_ref (listener);
  waiting->failure_names = g_strdupv ((char **) failure_names);
  g_task_set_task_data (task, waiting, waiting_free);

  timeout = get_timeout (self, timeout_ms);
  aqmp_client_execute_full_async (self, command, arguments, NULL, AQMP_EXECUTE_FLAGS_NONE, MIN (timeout, G_MAXINT), cancellable,
                                  got_reply, g_object_ref (task));
  aqmp_event_listener_next_timed_async (listener, timeout, cancellable, got_event_after_command, g_object_ref (task));
}

/**
 * aqmp_client_execute_and_wait_finish:
 * @self: a client
 * @result: the result that the callback was given
 * @reply: (out) (optional) (transfer full): return location for what the command has returned
 * @error: return location for an error
 *
 * Gets the event that [method@Client.execute_and_wait_async] has waited for.
 *
 * If the command has failed, the error is that of [method@Client.execute_finish]. If it succeeded, but one of the events came that
 * say otherwise, it is [error@Error.EVENT] with the event in the message; and if neither came, [error@Error.INTERRUPTED] at
 * the end of the session, %G_IO_ERROR_TIMED_OUT or %G_IO_ERROR_CANCELLED.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_client_execute_and_wait_finish (AqmpClient    *self,
                                     GAsyncResult  *result,
                                     JsonNode     **reply,
                                     GError       **error)
{
  AqmpEvent *event;

  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_client_execute_and_wait_async), NULL);

  event = g_task_propagate_pointer (G_TASK (result), error);
  if (reply != NULL)
    *reply = event != NULL ? json_node_ref (((Waiting *) g_task_get_task_data (G_TASK (result)))->reply) : NULL;
  return event;
}

/* --- Blocking ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpClient         *self;
  const char         *command;        /* (nullable): NULL only to wait */
  JsonObject         *arguments;      /* (nullable) */
  const char * const *names;          /* (nullable) */
  const char * const *failure_names;  /* (nullable) */
  JsonObject         *data;           /* (nullable) */
  int                 timeout_ms;
  GCancellable       *cancellable;    /* (nullable) */
} Arguments;

static void
begin (gpointer             data,
       GAsyncReadyCallback  callback,
       gpointer             user_data)
{
  Arguments *arguments = data;

  if (arguments->command == NULL)
    aqmp_client_wait_event_async (arguments->self, arguments->names, arguments->data, arguments->timeout_ms,
                                  arguments->cancellable, callback, user_data);
  else
    aqmp_client_execute_and_wait_async (arguments->self, arguments->command, arguments->arguments, arguments->names,
                                        arguments->failure_names, arguments->data, arguments->timeout_ms,
                                        arguments->cancellable, callback, user_data);
}

/**
 * aqmp_client_wait_event_sync:
 * @self: a client
 * @names: (nullable) (array zero-terminated=1): names of events, such as `STOP`; %NULL or none for any
 * @data: (nullable) (transfer none): what its data has to say, as for [method@Event.matches]; neither changed nor kept
 * @timeout_ms: how many milliseconds to wait, 0 for no limit, -1 for [property@Client:call-timeout]
 * @cancellable: (nullable): gives up waiting
 * @error: return location for an error
 *
 * Waits for an event that comes after this call, as [method@Client.wait_event_async] does.
 *
 * For an event that comes of a command take [method@Client.execute_and_wait_sync], or a listener made before it:
 * this function begins to listen only when it is called. It needs a running loop as little, or as much, as
 * [method@EventListener.next_sync].
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_client_wait_event_sync (AqmpClient          *self,
                             const char * const  *names,
                             JsonObject          *data,
                             int                  timeout_ms,
                             GCancellable        *cancellable,
                             GError             **error)
{
  Arguments arguments = { .self = self, .names = names, .data = data, .timeout_ms = timeout_ms, .cancellable = cancellable };
  g_autoptr (GAsyncResult) result = NULL;

  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (timeout_ms >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  result = aqmp_protocol_block (AQMP_PROTOCOL (self), begin, &arguments, error);
  return result != NULL ? aqmp_client_wait_event_finish (self, result, error) : NULL;
}

/**
 * aqmp_client_execute_and_wait_sync:
 * @self: a client
 * @command: the name of a command, such as `device_del`
 * @arguments: (nullable) (transfer none): its arguments; neither changed nor kept
 * @names: (array zero-terminated=1): names of the events that complete it, such as `DEVICE_DELETED`
 * @failure_names: (nullable) (array zero-terminated=1): names of the events that say that it has failed, such as
 *   `DEVICE_UNPLUG_GUEST_ERROR`
 * @data: (nullable) (transfer none): what the data of the event has to say, as for [method@Event.matches]; neither changed nor kept
 * @timeout_ms: how many milliseconds to wait for both, 0 for no limit, -1 for [property@Client:call-timeout]
 * @cancellable: (nullable): gives up waiting; what the server has begun goes on
 * @reply: (out) (optional) (transfer full): return location for what the command has returned
 * @error: return location for an error
 *
 * Executes a command, and waits for the event that completes what it has begun, as [method@Client.execute_and_wait_async] does.
 *
 * It needs a running loop as little, or as much, as [method@Client.execute_sync]. May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_client_execute_and_wait_sync (AqmpClient          *self,
                                   const char          *command,
                                   JsonObject          *arguments,
                                   const char * const  *names,
                                   const char * const  *failure_names,
                                   JsonObject          *data,
                                   int                  timeout_ms,
                                   GCancellable        *cancellable,
                                   JsonNode           **reply,
                                   GError             **error)
{
  Arguments all = { self, command, arguments, names, failure_names, data, timeout_ms, cancellable };
  g_autoptr (GAsyncResult) result = NULL;

  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (command != NULL, NULL);
  g_return_val_if_fail (names != NULL && names[0] != NULL, NULL);
  g_return_val_if_fail (timeout_ms >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  if (reply != NULL)
    *reply = NULL;
  result = aqmp_protocol_block (AQMP_PROTOCOL (self), begin, &all, error);
  return result != NULL ? aqmp_client_execute_and_wait_finish (self, result, reply, error) : NULL;
}
