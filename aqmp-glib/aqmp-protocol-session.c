/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-connector-private.h"
#include "aqmp-error.h"
#include "aqmp-watch-private.h"

/* One connect or open, until its session runs or it has failed. Callbacks hold it by reference; once it is given up, its
   task is gone, and they find nothing to do. */
struct _AqmpAttempt
{
  AqmpProtocol *self;         /* (unowned): kept alive by the task */
  GTask        *task;         /* (owned) (nullable): the caller's; NULL once the attempt is over */
  GMainContext *context;      /* (owned): the owner's */
  GCancellable *cancellable;  /* (owned): its own; the caller's is only watched */
  AqmpWatch     watch;        /* of the caller's cancellable and the time */
  char         *address;      /* (owned) (nullable) */
  guint         timeout_ms;
  gboolean      establishing; /* there is a stream, and the session is being established on it */
};

static AqmpAttempt *
attempt_ref (AqmpAttempt *attempt)
{
  return g_atomic_rc_box_acquire (attempt);
}

static void
attempt_clear (gpointer data)
{
  AqmpAttempt *attempt = data;

  g_assert (attempt->task == NULL);
  g_main_context_unref (attempt->context);
  g_object_unref (attempt->cancellable);
  g_free (attempt->address);
}

static void
attempt_unref (gpointer data)
{
  g_atomic_rc_box_release_full (data, attempt_clear);
}

static gboolean
attempt_is_over (AqmpAttempt *attempt)
{
  return attempt->task == NULL;
}

GTask *
aqmp_protocol_abandon_attempt (AqmpProtocol  *self,
                               GCancellable **cancellable)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpAttempt *attempt = g_steal_pointer (&priv->attempt);
  GTask *task;

  if (attempt == NULL)
    return NULL;

  task = g_steal_pointer (&attempt->task);
  aqmp_watch_stop (&attempt->watch);
  if (cancellable != NULL)
    *cancellable = g_object_ref (attempt->cancellable);
  attempt_unref (attempt);

  return task;
}

/* --- Failing ------------------------------------------------------------------------------------------------------ */

/* The root cause keeps its domain and code, and gets said first what could not be done. */
static GError *
explain (AqmpAttempt  *attempt,
         const GError *error)
{
  GError *explained = g_error_copy (error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return explained;

  if (attempt->establishing)
    g_prefix_error (&explained, _("Could not establish the session: "));
  else if (attempt->address != NULL)
    g_prefix_error (&explained, _("Could not establish the connection to “%s”: "), attempt->address);
  else
    g_prefix_error (&explained, _("Could not establish the connection: "));
  return explained;
}

void
aqmp_protocol_attempt_fail (AqmpProtocol *self,
                            const GError *error)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GError) explained = explain (priv->attempt, error);
  g_autoptr (GCancellable) cancellable = NULL;
  g_autoptr (GTask) task = aqmp_protocol_abandon_attempt (self, &cancellable);

  aqmp_protocol_end (self, explained, NULL);
  g_cancellable_cancel (cancellable);
  g_task_return_error (task, g_steal_pointer (&explained));
}

static GError *
explain_timeout (AqmpAttempt *attempt)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                      attempt->establishing ? _("The peer did not answer within %u ms")
                                            : _("There was no connection within %u ms"),
                      attempt->timeout_ms);
}

/* Cancelled or timed out. */
static gboolean
give_up (gpointer      operation,
         const GError *error,
         gboolean      urgently)
{
  AqmpAttempt *attempt = operation;
  g_autoptr (GError) cause = NULL;

  /* What completes it may be here in this turn. */
  if (urgently)
    return FALSE;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    cause = explain_timeout (attempt);
  else
    cause = g_error_copy (error);

  if (!attempt_is_over (attempt))
    aqmp_protocol_attempt_fail (attempt->self, cause);
  return TRUE;
}

/* --- Establishing the session ------------------------------------------------------------------------------------- */

/* Each of the steps at the end may run anybody's code, and so be the end of the session. */
static void
session_established (AqmpAttempt *attempt)
{
  AqmpProtocol *self = attempt->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GTask) task = aqmp_protocol_abandon_attempt (self, NULL);
  g_autoptr (GTask) reader = aqmp_waiters_steal_first (&priv->readers);

  aqmp_protocol_set_runstate (self, AQMP_RUNSTATE_RUNNING);
  /* What comes next is read from there, so that whoever waits for this attempt can connect to signals before. */
  aqmp_transport_request_work (priv->transport);

  aqmp_protocol_announce_runstate (self, AQMP_RUNSTATE_RUNNING);
  g_task_return_boolean (task, TRUE);
  if (reader != NULL)
    aqmp_protocol_return_reader_too_late (reader);
}

static void
establish_failed (AqmpAttempt *attempt,
                  GError      *error)
{
  g_autoptr (GError) cause = aqmp_protocol_error_from_vfunc (attempt->self, "establish_session", error);

  aqmp_protocol_attempt_fail (attempt->self, cause);
}

static void
establish_returned (GObject      *source_object,
                    GAsyncResult *result,
                    gpointer      user_data)
{
  AqmpAttempt *attempt = user_data;
  g_autoptr (GError) error = NULL;
  gboolean established = g_task_propagate_boolean (G_TASK (result), &error);

  if (!attempt_is_over (attempt))
    {
      if (established)
        session_established (attempt);
      else
        establish_failed (attempt, g_steal_pointer (&error));
    }
}

static gboolean
establish_forgotten (gpointer user_data)
{
  AqmpAttempt *attempt = user_data;

  if (!attempt_is_over (attempt))
    {
      g_autoptr (GError) error = NULL;

      error = g_error_new_literal (AQMP_ERROR, AQMP_ERROR_FAILED,
                                   _("establish_session() dropped its task without returning it"));
      aqmp_protocol_attempt_fail (attempt->self, error);
    }
  return G_SOURCE_REMOVE;
}

/* The task was finalized: in any thread, perhaps inside establish_session(). In the owner's thread it shows whether that
   matters; nothing of the attempt may be looked at elsewhere. */
static void
establish_task_gone (gpointer  user_data,
                     GObject  *where_the_task_was)
{
  AqmpAttempt *attempt = user_data;

  if (!g_main_context_is_owner (attempt->context) || !attempt_is_over (attempt))
    {
      GSource *source = g_idle_source_new ();

      g_source_set_priority (source, G_PRIORITY_DEFAULT);
      g_source_set_name (source, "[aqmp] establish task dropped");
      g_source_set_callback (source, establish_forgotten, attempt_ref (attempt), attempt_unref);
      g_source_attach (source, attempt->context);
      g_source_unref (source);
    }
  attempt_unref (attempt);
}

static void
establish_session (AqmpAttempt *attempt)
{
  AqmpProtocol *self = attempt->self;
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;
  gboolean begun;

  /* A task of our own: the caller's must not be returned before the state has changed. */
  task = g_task_new (self, attempt->cancellable, establish_returned, attempt);
  /* Not its callback's data alone: a task that is dropped without being returned never frees that. */
  g_object_set_data_full (G_OBJECT (task), "aqmp-attempt", attempt_ref (attempt), attempt_unref);
  g_task_set_source_tag (task, establish_session);
  g_task_set_name (task, "[aqmp] establish session");
  g_task_set_check_cancellable (task, FALSE);
  g_object_weak_ref (G_OBJECT (task), establish_task_gone, attempt_ref (attempt));

  begun = AQMP_PROTOCOL_GET_CLASS (self)->establish_session (self, task, &error);
  if (!begun && !attempt_is_over (attempt))
    establish_failed (attempt, g_steal_pointer (&error));
}

static void
start_session (AqmpAttempt *attempt,
               GIOStream   *stream)
{
  AqmpProtocol *self = attempt->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpTransport *transport;

  transport = aqmp_transport_new (stream, G_OBJECT (self), &aqmp_protocol_transport_callbacks);
  aqmp_transport_set_max_message_size (transport, priv->max_message_size);
  aqmp_transport_attach (transport, priv->context);

  aqmp_protocol_lock (self);
  priv->transport = transport;
  aqmp_protocol_unlock (self);

  attempt->establishing = TRUE;
  aqmp_protocol_set_stream (self, stream);
  if (!attempt_is_over (attempt))
    establish_session (attempt);
}

gboolean
aqmp_protocol_is_establishing (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->attempt != NULL && priv->attempt->establishing;
}

/* --- Beginning ---------------------------------------------------------------------------------------------------- */

/* Into CONNECTING. The attempt may be over when this returns: handlers can disconnect. */
static AqmpAttempt *
begin_attempt (AqmpProtocol *self,
               GTask        *task,
               char         *address)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpAttempt *attempt = g_atomic_rc_box_new0 (AqmpAttempt);
  g_autoptr (GError) error = NULL;

  attempt->self = self;
  attempt->task = g_object_ref (task);
  attempt->context = g_main_context_ref (g_task_get_context (task));
  attempt->cancellable = g_cancellable_new ();
  attempt->address = address;
  attempt->timeout_ms = priv->connect_timeout;
  aqmp_watch_start (&attempt->watch, task, attempt->timeout_ms, give_up, attempt, attempt_unref);
  priv->attempt = attempt_ref (attempt);
  priv->session_serial++;

  aqmp_protocol_lock (self);
  aqmp_protocol_set_owner_locked (self, attempt->context);
  aqmp_protocol_unlock (self);

  aqmp_protocol_set_runstate (self, AQMP_RUNSTATE_CONNECTING);
  aqmp_protocol_announce_runstate (self, AQMP_RUNSTATE_CONNECTING);
  if (!attempt_is_over (attempt))
    priv->hooks->session_starting (self);

  g_cancellable_set_error_if_cancelled (g_task_get_cancellable (task), &error);
  if (error != NULL && !attempt_is_over (attempt))
    aqmp_protocol_attempt_fail (self, error);

  return attempt;
}

/* A task for connect and the like; NULL if they are not possible now, which the task has been told. */
static GTask *
begin_operation (AqmpProtocol        *self,
                 GCancellable        *cancellable,
                 GAsyncReadyCallback  callback,
                 gpointer             user_data,
                 gpointer             source_tag,
                 const char          *name)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  GError *error = NULL;

  g_task_set_source_tag (task, source_tag);
  g_task_set_name (task, name);
  /* A session that was established while the cancellable was being cancelled is there, and has to be reported. */
  g_task_set_check_cancellable (task, FALSE);

  if (!aqmp_protocol_require_runstate (self, AQMP_RUNSTATE_IDLE, &error))
    {
      g_task_return_error (task, error);
      return NULL;
    }

  return g_steal_pointer (&task);
}

static void
connected (GObject      *source_object,
           GAsyncResult *result,
           gpointer      user_data)
{
  AqmpAttempt *attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  stream = aqmp_connector_connect_finish (result, &error);

  if (!attempt_is_over (attempt))
    {
      if (stream != NULL)
        start_session (attempt, stream);
      else
        aqmp_protocol_attempt_fail (attempt->self, error);
    }
  attempt_unref (attempt);
}

/**
 * aqmp_protocol_connect_async:
 * @self: a protocol
 * @address: where the peer listens, for example from [func@address_parse]
 * @cancellable: (nullable): ends the attempt
 * @callback: (scope async) (closure user_data): called when the session runs or the attempt has failed
 * @user_data: data for @callback
 *
 * Connects to a peer and establishes a session.
 *
 * The [property@Protocol:runstate] has to be [enum@Runstate.IDLE]; it becomes [enum@Runstate.CONNECTING] at once, and
 * [enum@Runstate.RUNNING] before @callback is called. A failed attempt passes through [enum@Runstate.DISCONNECTING]
 * back to [enum@Runstate.IDLE] before @callback is called, and the object can connect again.
 *
 * The attempt, from the call to the end of [vfunc@Protocol.establish_session], has to succeed within
 * [property@Protocol:connect-timeout]. A UNIX socket whose backlog is full is tried again until then.
 *
 * The thread-default [struct@GLib.MainContext] of the caller becomes the owner's context: all virtual functions and
 * signals of the session run in it. To be called from the thread that runs it.
 *
 * Since: 1.0
 */
void
aqmp_protocol_connect_async (AqmpProtocol        *self,
                             GSocketConnectable  *address,
                             GCancellable        *cancellable,
                             GAsyncReadyCallback  callback,
                             gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;
  AqmpAttempt *attempt;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (G_IS_SOCKET_CONNECTABLE (address));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = begin_operation (self, cancellable, callback, user_data, aqmp_protocol_connect_async, "[aqmp] connect");
  if (task == NULL)
    return;

  attempt = begin_attempt (self, task, g_socket_connectable_to_string (address));
  if (!attempt_is_over (attempt))
    aqmp_connector_connect_async (address, attempt->cancellable, connected, attempt_ref (attempt));
  attempt_unref (attempt);
}

/**
 * aqmp_protocol_connect_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.connect_async] went.
 *
 * An error keeps the domain and code of what caused it, such as %G_IO_ERROR, %G_RESOLVER_ERROR or %AQMP_ERROR; its
 * message says first whether the connection or the session could not be established. %G_IO_ERROR_TIMED_OUT means that
 * [property@Protocol:connect-timeout] has passed, [error@Error.STATE] that the object was not idle, and
 * [error@Error.INTERRUPTED] that it was disconnected meanwhile.
 *
 * A [class@Client] adds [error@Error.GREETING] for a server whose greeting is malformed, [error@Error.PARSE] for one that does
 * not speak JSON at all, and [error@Error.NEGOTIATION] for one that refuses the negotiation.
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_connect_finish (AqmpProtocol  *self,
                              GAsyncResult  *result,
                              GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_connect_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
open_stream (AqmpAttempt *attempt,
             GIOStream   *stream)
{
  g_autoptr (GError) error = NULL;

  if (!g_io_stream_is_closed (stream))
    {
      start_session (attempt, stream);
      return;
    }

  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CLOSED, _("The stream is closed already"));
  aqmp_protocol_attempt_fail (attempt->self, error);
}

/**
 * aqmp_protocol_open_async:
 * @self: a protocol
 * @stream: a stream that is connected to the peer
 * @cancellable: (nullable): ends the attempt
 * @callback: (scope async) (closure user_data): called when the session runs or the attempt has failed
 * @user_data: data for @callback
 *
 * Establishes a session on a stream that is connected already.
 *
 * Any [class@Gio.IOStream] will do: one end of a socket pair, the standard streams of a subprocess, a channel of
 * another protocol. It belongs to the session from now on, which closes it when it ends; nobody else may read, write
 * or close it. A stream whose two sides can be polled costs the least; one that cannot is served by its asynchronous
 * functions.
 *
 * In all else it is like [method@Protocol.connect_async].
 *
 * Since: 1.0
 */
void
aqmp_protocol_open_async (AqmpProtocol        *self,
                          GIOStream           *stream,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;
  AqmpAttempt *attempt;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (G_IS_IO_STREAM (stream));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = begin_operation (self, cancellable, callback, user_data, aqmp_protocol_open_async, "[aqmp] open");
  if (task == NULL)
    return;

  attempt = begin_attempt (self, task, NULL);
  if (!attempt_is_over (attempt))
    open_stream (attempt, stream);
  attempt_unref (attempt);
}

/**
 * aqmp_protocol_open_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.open_async] went; errors are those of [method@Protocol.connect_finish].
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_open_finish (AqmpProtocol  *self,
                           GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_open_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
