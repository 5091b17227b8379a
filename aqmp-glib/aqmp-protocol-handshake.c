/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"

/* Threads: the owner's; not locked, but for the outbound queue. */

void
aqmp_protocol_handshake_received (AqmpProtocol *self,
                                  GBytes       *message)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GTask) reader = NULL;

  /* One at a time: what comes after it may be meant for message_received. */
  aqmp_transport_set_reading (priv->transport, FALSE);

  reader = aqmp_waiters_steal_first (&priv->readers);
  if (reader != NULL)
    g_task_return_pointer (reader, g_bytes_ref (message), (GDestroyNotify) g_bytes_unref);
  else
    g_queue_push_tail (&priv->handshake_inbox, g_bytes_ref (message));
}

static GError *
no_handshake (AqmpProtocol *self)
{
  return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                      _("%s is in state “%s” and not establishing a session: single messages can only be read and written "
                        "between the call of establish_session() and the return of its task"),
                      G_OBJECT_TYPE_NAME (self),
                      aqmp_protocol_get_runstate_nick (aqmp_protocol_get_runstate (self)));
}

/* Owner's thread. Nobody runs the context of a blocking call once that has returned: so its writers are told at once. */
GQueue
aqmp_protocol_steal_handshake_writers (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GQueue none = G_QUEUE_INIT;

  return priv->inner_context != NULL ? aqmp_waiters_steal (&priv->flushers) : none;
}

void
aqmp_protocol_return_handshake_tasks (AqmpProtocol *self,
                                      GTask        *reader,
                                      GQueue       *writers)
{
  gboolean written = !aqmp_protocol_has_outbound (self);
  g_autoptr (GError) too_late = NULL;

  if (reader == NULL && g_queue_is_empty (writers))
    return;

  too_late = no_handshake (self);
  if (reader != NULL)
    g_task_return_error (reader, g_error_copy (too_late));
  aqmp_waiters_return (writers, written ? NULL : too_late);
}

static gboolean
require_handshake (AqmpProtocol  *self,
                   GError       **error)
{
  if (aqmp_protocol_is_establishing (self))
    return TRUE;

  g_propagate_error (error, no_handshake (self));
  return FALSE;
}

/**
 * aqmp_protocol_read_message_async:
 * @self: a protocol
 * @cancellable: (nullable): gives up waiting; the next call gets the message
 * @callback: (scope async) (closure user_data): called when there is a message
 * @user_data: data for @callback
 *
 * Reads the next message while a session is being established, after [vfunc@Protocol.filter_inbound].
 *
 * Only between the call of [vfunc@Protocol.establish_session] and the return of its task; one at a time. To be called
 * in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_read_message_async (AqmpProtocol        *self,
                                  GCancellable        *cancellable,
                                  GAsyncReadyCallback  callback,
                                  gpointer             user_data)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_protocol_read_message_async);
  g_task_set_name (task, "[aqmp] read message");
  /* A message that was taken must not be lost to a cancellation that comes after it. */
  g_task_set_check_cancellable (task, FALSE);

  if (g_task_return_error_if_cancelled (task))
    return;

  if (!require_handshake (self, &error))
    g_task_return_error (task, error);
  else if (!aqmp_waiters_is_empty (&priv->readers))
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_PENDING, _("Another message is being read already"));
  else if (!g_queue_is_empty (&priv->handshake_inbox))
    g_task_return_pointer (task, g_queue_pop_head (&priv->handshake_inbox), (GDestroyNotify) g_bytes_unref);
  else
    {
      aqmp_waiters_add (&priv->readers, g_steal_pointer (&task));
      aqmp_transport_set_reading (priv->transport, TRUE);
    }
}

/**
 * aqmp_protocol_read_message_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Gets the message that [method@Protocol.read_message_async] waited for.
 *
 * The error is [error@Error.STATE] if no session is being established, %G_IO_ERROR_PENDING if another message is being
 * read, %G_IO_ERROR_CANCELLED, or [error@Error.INTERRUPTED] if the attempt has ended. The last needs no handling: the
 * attempt reports its failure itself.
 *
 * Returns: (transfer full): the message
 *
 * Since: 1.0
 */
GBytes *
aqmp_protocol_read_message_finish (AqmpProtocol  *self,
                                   GAsyncResult  *result,
                                   GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_read_message_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * aqmp_protocol_write_message_async:
 * @self: a protocol
 * @message: the bytes to write, as they are
 * @cancellable: (nullable): gives up waiting; the message is written all the same
 * @callback: (scope async) (closure user_data): called when it was written
 * @user_data: data for @callback
 *
 * Writes a message while a session is being established, after [vfunc@Protocol.filter_outbound].
 *
 * Only between the call of [vfunc@Protocol.establish_session] and the return of its task. If that is returned first, the
 * message is written all the same; but in a blocking call such as [method@Protocol.connect_sync] the error is then
 * [error@Error.STATE]. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_write_message_async (AqmpProtocol        *self,
                                   GBytes              *message,
                                   GCancellable        *cancellable,
                                   GAsyncReadyCallback  callback,
                                   gpointer             user_data)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (message != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_protocol_write_message_async);
  g_task_set_name (task, "[aqmp] write message");
  g_task_set_check_cancellable (task, FALSE);

  if (g_task_return_error_if_cancelled (task))
    return;

  if (!require_handshake (self, &error))
    {
      g_task_return_error (task, error);
      return;
    }

  aqmp_protocol_queue_message (self, message);
  aqmp_waiters_add (&priv->flushers, g_steal_pointer (&task));
  aqmp_transport_request_drained (priv->transport);
}

/**
 * aqmp_protocol_write_message_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.write_message_async] went; errors are those of [method@Protocol.read_message_finish].
 *
 * Returns: %TRUE if the message was written
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_write_message_finish (AqmpProtocol  *self,
                                    GAsyncResult  *result,
                                    GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_write_message_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
