/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"

/* Threads: the owner's, unless the documentation of a function says otherwise, and whichever drops the last reference. The state and all that
   others may add to is taken under the lock; what was taken is dealt with outside. */

static GError *
interrupted_by (const GError *cause)
{
  if (cause == NULL)
    return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session was ended before this was done"));
  return g_error_new (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session failed before this was done: %s"),
                      cause->message);
}

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    {
      g_source_destroy (*source);
      g_clear_pointer (source, g_source_unref);
    }
}

static GError *
copy_error (const GError *error)
{
  return error != NULL ? g_error_copy (error) : NULL;
}

static void
forget_cause (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_clear_error (&priv->cause);
  g_clear_error (&priv->result);
}

static void
return_all (AqmpWaiters  *waiters,
            const GError *error)
{
  GQueue tasks = aqmp_waiters_steal (waiters);

  aqmp_waiters_return (&tasks, error);
}

/* --- The one path ------------------------------------------------------------------------------------------------- */

/* State first, and with it all that other threads may add to: from now on nobody can. */
static gpointer
leave_session (AqmpProtocol   *self,
               AqmpRunstate    runstate,
               AqmpTransport **transport)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  gpointer calls;

  aqmp_protocol_lock (self);
  priv->runstate = runstate;
  *transport = g_steal_pointer (&priv->transport);
  aqmp_protocol_clear_outbound (self);
  calls = priv->hooks->steal_calls (self);
  aqmp_protocol_unlock (self);

  g_queue_clear_full (&priv->handshake_inbox, (GDestroyNotify) g_bytes_unref);
  priv->started = FALSE;
  priv->flushing = FALSE;
  priv->over = TRUE;
  clear_source (&priv->flush_timeout_source);

  return calls;
}

/* What can only end later ends in the owner's context; that of a blocking call is not run for long. */
static void
close_transport (AqmpProtocol  *self,
                 AqmpTransport *transport)
{
  if (transport == NULL)
    return;

  if (aqmp_protocol_is_deferring (self))
    aqmp_transport_close_in_call (transport, aqmp_protocol_get_private (self)->outer_context);
  else
    aqmp_transport_close (transport);
  aqmp_transport_unref (transport);
}

/* Handlers may do anything, run the loop and begin the next session even. So what belongs to this one is in hand before
   the first is called. */
void
aqmp_protocol_tear_down (AqmpProtocol *self,
                         const GError *cause,
                         const GError *result)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GError) own_cause = copy_error (cause);
  g_autoptr (GError) interrupted = interrupted_by (cause);
  /* What was written was flushed, whatever came after that. A handshake has failed all the same. */
  gboolean flushed = priv->runstate != AQMP_RUNSTATE_CONNECTING && !aqmp_protocol_has_outbound (self);
  AqmpTransport *transport = NULL;
  gboolean had_session;
  GQueue readers;
  GQueue flushers;
  gpointer calls;

  calls = leave_session (self, AQMP_RUNSTATE_DISCONNECTING, &transport);
  forget_cause (self);
  priv->cause = copy_error (cause);
  priv->result = copy_error (result);
  readers = aqmp_waiters_steal (&priv->readers);
  flushers = aqmp_waiters_steal (&priv->flushers);

  had_session = transport != NULL;
  if (had_session && cause == NULL && result == NULL)
    aqmp_transport_allow_goodbye (transport);
  close_transport (self, transport);
  /* Both, before the first handler may begin the next session. */
  g_object_freeze_notify (G_OBJECT (self));
  aqmp_protocol_set_stream (self, NULL);
  aqmp_protocol_set_listen_address (self, NULL);
  g_object_thaw_notify (G_OBJECT (self));

  if (had_session)
    {
      aqmp_protocol_enter_vfunc (self);
      AQMP_PROTOCOL_GET_CLASS (self)->session_ended (self, own_cause);
      aqmp_protocol_leave_vfunc (self);
    }
  if (!aqmp_protocol_defer_runstate (self, AQMP_RUNSTATE_DISCONNECTING))
    aqmp_protocol_announce_runstate (self, AQMP_RUNSTATE_DISCONNECTING);

  aqmp_protocol_returns_task (self);
  aqmp_waiters_return (&readers, interrupted);
  aqmp_waiters_return (&flushers, flushed ? NULL : interrupted);
  priv->hooks->fail_calls (self, calls, own_cause);
}

/* DISCONNECTING → IDLE, once the session was torn down. */
static void
become_idle (AqmpProtocol *protocol)
{
  g_autoptr (AqmpProtocol) self = g_object_ref (protocol);
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GQueue disconnecters = aqmp_waiters_steal (&priv->disconnecters);
  g_autoptr (GError) result = g_steal_pointer (&priv->result);

  clear_source (&priv->finish_source);
  forget_cause (self);
  priv->over = FALSE;
  aqmp_protocol_lock (self);
  priv->runstate = AQMP_RUNSTATE_IDLE;
  priv->n_becoming_idle++;
  aqmp_protocol_unlock (self);

  if (!aqmp_protocol_defer_runstate (self, AQMP_RUNSTATE_IDLE))
    aqmp_protocol_announce_runstate (self, AQMP_RUNSTATE_IDLE);
  aqmp_protocol_returns_task (self);

  /* Whoever is told next may do with it what he likes, in any thread. */
  aqmp_protocol_lock (self);
  priv->n_becoming_idle--;
  aqmp_protocol_unlock (self);
  aqmp_waiters_return (&disconnecters, result);
}

void
aqmp_protocol_end (AqmpProtocol *self,
                   const GError *cause,
                   const GError *result)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 serial = priv->session_serial;

  aqmp_protocol_tear_down (self, cause, result);
  /* Unless a handler let the loop run, and that has finished it. */
  if (priv->over && priv->session_serial == serial)
    become_idle (self);
}

/* The last reference has gone, or somebody ran dispose. The former can happen in any thread, so nobody's code may run. */
void
aqmp_protocol_dispose_session (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GCancellable) cancellable = NULL;
  g_autoptr (GTask) attempt = aqmp_protocol_abandon_attempt (self, &cancellable);
  g_autoptr (GError) error = interrupted_by (NULL);
  AqmpTransport *transport = NULL;
  gpointer calls;
  guint i;

  calls = leave_session (self, AQMP_RUNSTATE_IDLE, &transport);
  close_transport (self, transport);
  aqmp_protocol_clear_deferred (self);
  priv->over = FALSE;
  g_clear_object (&priv->stream);
  g_clear_object (&priv->listen_address);
  forget_cause (self);
  clear_source (&priv->finish_source);

  if (attempt != NULL)
    {
      g_cancellable_cancel (cancellable);
      g_task_return_error (attempt, g_error_copy (error));
    }
  return_all (&priv->readers, error);
  return_all (&priv->flushers, error);
  return_all (&priv->disconnecters, error);
  for (i = 0; i < G_N_ELEMENTS (priv->state_waiters); i++)
    return_all (&priv->state_waiters[i], error);
  priv->hooks->fail_calls (self, calls, NULL);
}

/* --- Failing ------------------------------------------------------------------------------------------------------ */

/* A peer that leaves while we are leaving too only matters if it left something unread. */
static void
fail_while_flushing (AqmpProtocol *self,
                     const GError *error)
{
  const GError *result = aqmp_protocol_has_outbound (self) ? error : NULL;

  aqmp_protocol_end (self, result, result);
}

void
aqmp_protocol_fail_session (AqmpProtocol *self,
                            const GError *error)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->attempt != NULL)
    aqmp_protocol_attempt_fail (self, error);
  else if (priv->flushing)
    fail_while_flushing (self, error);
  else if (priv->runstate == AQMP_RUNSTATE_RUNNING)
    aqmp_protocol_tear_down (self, error, error);
}

typedef struct
{
  AqmpProtocol *self;   /* (owned) */
  GError       *error;  /* (owned) */
} Failure;

static void
failure_free (gpointer data)
{
  Failure *failure = data;

  g_object_unref (failure->self);
  g_error_free (failure->error);
  g_free (failure);
}

static gboolean
fail_now (gpointer user_data)
{
  Failure *failure = user_data;

  aqmp_protocol_fail_session (failure->self, failure->error);
  return G_SOURCE_REMOVE;
}

/**
 * aqmp_protocol_fail:
 * @self: a protocol
 * @error: (nullable): why; %NULL stands for an [error@Error.FAILED] that says no more
 *
 * Ends the session, or the attempt to establish one, with an error.
 *
 * A running session becomes [enum@Runstate.DISCONNECTING] and stays so until [method@Protocol.disconnect_async] is
 * called, which reports @error. If nothing is going on, or something has failed before, nothing happens.
 *
 * May be called from any thread; takes effect in the owner's context, at once if called there.
 *
 * Since: 1.0
 */
void
aqmp_protocol_fail (AqmpProtocol *self,
                    const GError *error)
{
  Failure *failure;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));

  failure = g_new (Failure, 1);
  failure->self = g_object_ref (self);
  failure->error = error != NULL ? g_error_copy (error)
                                 : g_error_new_literal (AQMP_ERROR, AQMP_ERROR_FAILED, _("The session was made to fail"));
  aqmp_protocol_invoke (self, fail_now, failure, failure_free);
}

/* --- Disconnecting ------------------------------------------------------------------------------------------------ */

/* The end of every disconnect, always from a dispatch: whoever calls disconnect right after somebody else shares its
   result that way. */
static gboolean
finish_disconnect (gpointer user_data)
{
  g_autoptr (AqmpProtocol) self = g_object_ref (user_data);
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->over)
    become_idle (self);
  else
    aqmp_protocol_end (self, NULL, NULL);

  return G_SOURCE_REMOVE;
}

static void
schedule_finish (AqmpProtocol *self,
                 GMainContext *context)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->finish_source != NULL)
    return;

  priv->finish_source = g_idle_source_new ();
  g_source_set_priority (priv->finish_source, G_PRIORITY_DEFAULT);
  g_source_set_name (priv->finish_source, "[aqmp] disconnect");
  g_source_set_callback (priv->finish_source, finish_disconnect, g_object_ref (self),
                         g_object_unref);
  g_source_attach (priv->finish_source, context);
}

static gboolean
flush_timed_out (gpointer user_data)
{
  g_autoptr (AqmpProtocol) self = g_object_ref (user_data);
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GError) error = NULL;

  /* If nothing is left, it is only that the peer has never stopped sending. */
  if (aqmp_protocol_has_outbound (self))
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                         _("The peer did not take all that was queued within %u ms; the rest was dropped"),
                         priv->flush_timeout);
  aqmp_protocol_end (self, NULL, error);

  return G_SOURCE_REMOVE;
}

gint64
aqmp_protocol_serve_disconnect (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->finish_source != NULL)
    {
      clear_source (&priv->finish_source);
      finish_disconnect (self);
    }
  if (priv->flush_timeout_source == NULL)
    return -1;

  if (g_source_get_ready_time (priv->flush_timeout_source) > g_get_monotonic_time ())
    return g_source_get_ready_time (priv->flush_timeout_source);

  flush_timed_out (self);
  return -1;
}

/* @end: monotonic */
static void
start_flush_timeout (AqmpProtocol *self,
                     gint64        end,
                     GMainContext *context)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  priv->flush_timeout_source = g_timeout_source_new (priv->flush_timeout);
  g_source_set_ready_time (priv->flush_timeout_source, end);
  g_source_set_name (priv->flush_timeout_source, "[aqmp] flush-timeout");
  g_source_set_callback (priv->flush_timeout_source, flush_timed_out, g_object_ref (self),
                         g_object_unref);
  g_source_attach (priv->flush_timeout_source, context);
}

void
aqmp_protocol_attach_to_context (AqmpProtocol *self,
                                 GMainContext *context)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->finish_source != NULL)
    {
      clear_source (&priv->finish_source);
      schedule_finish (self, context);
    }
  if (priv->flush_timeout_source != NULL)
    {
      gint64 end = g_source_get_ready_time (priv->flush_timeout_source);

      clear_source (&priv->flush_timeout_source);
      start_flush_timeout (self, end, context);
    }

  aqmp_protocol_move_listener (self, context);
  if (priv->transport != NULL)
    aqmp_transport_attach (priv->transport, context);
}

/* From RUNNING. The state is announced when the session was torn down, after what is queued has been written. */
static void
begin_flush (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  gpointer held_calls;

  aqmp_protocol_lock (self);
  priv->runstate = AQMP_RUNSTATE_DISCONNECTING;
  held_calls = priv->hooks->steal_held_calls (self);
  aqmp_protocol_unlock (self);
  priv->flushing = TRUE;

  if (priv->flush_timeout == 0)
    schedule_finish (self, priv->context);
  else
    {
      start_flush_timeout (self, g_get_monotonic_time () + (gint64) priv->flush_timeout * 1000, priv->context);
      aqmp_transport_request_drained (priv->transport);
    }

  priv->hooks->fail_calls (self, held_calls, NULL);
  aqmp_protocol_wake_state_waiters (self);
}

static void
abort_attempt (AqmpProtocol *self)
{
  g_autoptr (GError) error = NULL;

  error = g_error_new_literal (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("It was disconnected meanwhile"));
  aqmp_protocol_attempt_fail (self, error);
}

static gboolean
begin_disconnect (gpointer user_data)
{
  GTask *task = user_data;
  AqmpProtocol *self = g_task_get_source_object (task);
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  aqmp_waiters_add (&priv->disconnecters, g_object_ref (task));

  switch (priv->runstate)
    {
    case AQMP_RUNSTATE_CONNECTING:
      abort_attempt (self);
      break;
    case AQMP_RUNSTATE_RUNNING:
      begin_flush (self);
      break;
    case AQMP_RUNSTATE_IDLE:
      /* In this order: a handler that runs the loop may be in the next session when the teardown returns. */
      schedule_finish (self, priv->context);
      aqmp_protocol_tear_down (self, NULL, NULL);
      break;
    case AQMP_RUNSTATE_DISCONNECTING:
    default:
      if (priv->over)
        schedule_finish (self, priv->context);
      break;
    }

  return G_SOURCE_REMOVE;
}

/**
 * aqmp_protocol_disconnect_async:
 * @self: a protocol
 * @cancellable: (nullable): ends the wait for the result, not the disconnect
 * @callback: (scope async) (closure user_data): called when the object is idle again
 * @user_data: data for @callback
 *
 * Ends the session, and makes the object ready for the next one.
 *
 * A session that runs first writes what is queued, still handling what arrives, for at most
 * [property@Protocol:flush-timeout]; then it closes the stream. Commands that a [class@Client] holds back, because others have to be
 * answered first, fail at once, and are never sent. What still waits for an answer then fails with
 * [error@Error.INTERRUPTED], and so does an attempt to connect. If the session has failed before, its cause is
 * reported now. If nothing is going on, that is no error. In each case [property@Protocol:runstate] becomes
 * [enum@Runstate.DISCONNECTING], unless it is already, and then [enum@Runstate.IDLE].
 *
 * A peer need not have handled what was written to it: QEMU drops a command whose connection is closed before its turn
 * comes. To be sure of a command, such as `quit`, wait for its reply before disconnecting.
 *
 * May be called from any thread, and more than once: all calls get the same result. In another thread than the owner's
 * it takes effect once the owner's context runs.
 *
 * Since: 1.0
 */
void
aqmp_protocol_disconnect_async (AqmpProtocol        *self,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_protocol_disconnect_async);
  g_task_set_name (task, "[aqmp] disconnect");
  g_task_set_check_cancellable (task, FALSE);

  aqmp_protocol_begin_task (self, g_steal_pointer (&task), begin_disconnect);
}

/**
 * aqmp_protocol_disconnect_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.disconnect_async] went. In any case the object has become idle, unless this call was
 * cancelled.
 *
 * If the session had failed before, this is where the first cause is reported. %G_IO_ERROR_TIMED_OUT means that the
 * peer did not take all that was queued within [property@Protocol:flush-timeout].
 *
 * Returns: %TRUE if the session ended cleanly
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_disconnect_finish (AqmpProtocol  *self,
                                 GAsyncResult  *result,
                                 GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_disconnect_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
