/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

/* Threads: the owner's, but for what composes, queues or takes back a message, which is under the lock. */

typedef struct
{
  guint64      token;
  GBytes      *message;  /* (owned) */
  GUnixFDList *fds;      /* (owned) (nullable) */
} OutboundMessage;

static void
outbound_message_free (gpointer data)
{
  OutboundMessage *outbound = data;

  g_bytes_unref (outbound->message);
  g_clear_object (&outbound->fds);
  g_free (outbound);
}

/* --- The wire log ------------------------------------------------------------------------------------------------- */

static gboolean
wire_is_logged (void)
{
  static gsize state = 0;
  static const GDebugKey keys[] = { { "wire", 1 } };

  if (g_once_init_enter (&state))
    {
      guint flags = g_parse_debug_string (g_getenv ("AQMP_DEBUG"), keys, G_N_ELEMENTS (keys));

      g_once_init_leave (&state, flags != 0 ? 2 : 1);
    }

  return state == 2;
}

static void
log_wire (AqmpProtocol *self,
          const char   *direction,
          GBytes       *message)
{
  g_autofree char *description = NULL;

  if (!wire_is_logged ())
    return;

  description = aqmp_protocol_get_private (self)->hooks->describe_message (self, message);
  aqmp_protocol_log (self, G_LOG_LEVEL_DEBUG, "%s %s", direction, description);
}

/* --- In ----------------------------------------------------------------------------------------------------------- */

static gssize
on_frame (gpointer       user_data,
          const guint8  *data,
          gsize          length,
          gsize          scanned,
          gboolean       at_eof,
          gsize         *payload_length,
          GError       **error)
{
  AqmpProtocol *self = user_data;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GError) local_error = NULL;
  gssize consumed;

  /* What the frame function remembers of the message before, it may forget now. */
  priv->framed = NULL;

  aqmp_protocol_enter_vfunc (self);
  consumed = AQMP_PROTOCOL_GET_CLASS (self)->frame (self, data, length, scanned, at_eof, payload_length, &local_error);
  aqmp_protocol_leave_vfunc (self);

  if (consumed < 0 || consumed > (gssize) length ||
      (consumed > 0 && *payload_length != AQMP_PROTOCOL_NO_MESSAGE && *payload_length > (gsize) consumed))
    {
      g_propagate_error (error, aqmp_protocol_error_from_vfunc (self, "frame", g_steal_pointer (&local_error)));
      return -1;
    }

  return consumed;
}

static gboolean
has_inbound_filter (AqmpProtocol *self)
{
  return AQMP_PROTOCOL_GET_CLASS (self)->filter_inbound != aqmp_protocol_pass_on;
}

/* NULL: the session has ended, because the filter failed or in some other way. */
static GBytes *
filter_inbound (AqmpProtocol *self,
                GBytes       *message)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 serial = priv->session_serial;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) cause = NULL;
  g_autoptr (GBytes) filtered = NULL;

  aqmp_protocol_enter_vfunc (self);
  filtered = AQMP_PROTOCOL_GET_CLASS (self)->filter_inbound (self, message, &error);
  aqmp_protocol_leave_vfunc (self);
  if (priv->transport == NULL || priv->session_serial != serial)
    return NULL;
  if (filtered != NULL)
    return g_steal_pointer (&filtered);

  cause = aqmp_protocol_error_from_vfunc (self, "filter_inbound", g_steal_pointer (&error));
  aqmp_protocol_fail_session (self, cause);
  return NULL;
}

static void
receive (AqmpProtocol *self,
         GBytes       *message)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 serial = priv->session_serial;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) cause = NULL;
  gboolean received;

  aqmp_protocol_enter_vfunc (self);
  priv->n_receiving++;
  received = AQMP_PROTOCOL_GET_CLASS (self)->message_received (self, message, &error);
  priv->n_receiving--;
  aqmp_protocol_leave_vfunc (self);
  priv->framed = NULL;

  if (received || priv->transport == NULL || priv->session_serial != serial)
    return;

  cause = aqmp_protocol_error_from_vfunc (self, "message_received", g_steal_pointer (&error));
  aqmp_protocol_fail_session (self, cause);
}

static void
pass_on (AqmpProtocol *self,
         GBytes       *message,
         gboolean      as_framed)
{
  if (aqmp_protocol_is_establishing (self))
    {
      aqmp_protocol_handshake_received (self, message);
      return;
    }

  aqmp_protocol_get_private (self)->framed = as_framed ? message : NULL;
  receive (self, message);
}

static void
on_message (gpointer  user_data,
            GBytes   *message)
{
  AqmpProtocol *self = user_data;
  g_autoptr (GBytes) filtered = NULL;

  log_wire (self, "←", message);

  if (!has_inbound_filter (self))
    {
      pass_on (self, message, TRUE);
      return;
    }

  filtered = filter_inbound (self, message);
  if (filtered != NULL)
    pass_on (self, filtered, FALSE);
}

gboolean
aqmp_protocol_passes_on (AqmpProtocol *self,
                         gsize         length)
{
  return !has_inbound_filter (self) && !wire_is_logged () && !aqmp_protocol_is_establishing (self) &&
         length <= aqmp_protocol_get_private (self)->max_message_size;
}

gboolean
aqmp_protocol_is_as_framed (AqmpProtocol *self,
                            GBytes       *message)
{
  return aqmp_protocol_get_private (self)->framed == message;
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */

static gboolean
has_outbound_filter (AqmpProtocol *self)
{
  return AQMP_PROTOCOL_GET_CLASS (self)->filter_outbound != aqmp_protocol_pass_on;
}

/* Without a filter, and a log, the text goes straight to where it is written from. With one, it first has to become a
   message. */
GString *
aqmp_protocol_begin_message (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (!has_outbound_filter (self) && !wire_is_logged ())
    return aqmp_transport_begin_message (priv->transport);

  priv->composing = g_string_new (NULL);
  return priv->composing;
}

guint64
aqmp_protocol_commit_message (AqmpProtocol *self,
                              GUnixFDList  *fds)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 token = ++priv->last_token;

  if (priv->composing == NULL)
    aqmp_transport_commit_message (priv->transport, token, fds);
  else
    {
      OutboundMessage *outbound = g_new (OutboundMessage, 1);

      outbound->token = token;
      outbound->message = g_string_free_to_bytes (g_steal_pointer (&priv->composing));
      outbound->fds = fds;
      g_queue_push_tail (&priv->unfiltered, outbound);
      priv->unfiltered_bytes += g_bytes_get_size (outbound->message);
      aqmp_transport_request_work (priv->transport);
    }

  return token;
}

void
aqmp_protocol_rollback_message (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->composing == NULL)
    aqmp_transport_rollback_message (priv->transport);
  else
    g_string_free (g_steal_pointer (&priv->composing), TRUE);
}

static OutboundMessage *
pop_unfiltered (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  OutboundMessage *outbound;

  aqmp_protocol_lock (self);
  outbound = g_queue_pop_head (&priv->unfiltered);
  if (outbound != NULL)
    priv->unfiltered_bytes -= g_bytes_get_size (outbound->message);
  aqmp_protocol_unlock (self);

  return outbound;
}

gboolean
aqmp_protocol_remove_message (AqmpProtocol *self,
                              guint64       token)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GList *link;

  for (link = priv->unfiltered.head; link != NULL; link = link->next)
    {
      OutboundMessage *outbound = link->data;

      if (outbound->token != token)
        continue;

      g_queue_delete_link (&priv->unfiltered, link);
      priv->unfiltered_bytes -= g_bytes_get_size (outbound->message);
      outbound_message_free (outbound);
      return TRUE;
    }

  return priv->transport != NULL && aqmp_transport_remove_message (priv->transport, token);
}

guint
aqmp_protocol_get_max_fds (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->transport != NULL ? aqmp_transport_get_max_fds (priv->transport) : 0;
}

guint64
aqmp_protocol_get_written_token (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->transport != NULL ? aqmp_transport_get_written_token (priv->transport) : 0;
}

void
aqmp_protocol_clear_outbound (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_queue_clear_full (&priv->unfiltered, outbound_message_free);
  priv->unfiltered_bytes = 0;
}

gboolean
aqmp_protocol_has_outbound (AqmpProtocol *self)
{
  return aqmp_protocol_get_private (self)->filtering || aqmp_protocol_get_queued_bytes (self) > 0;
}

static GBytes *
filter_outbound (AqmpProtocol  *self,
                 GBytes        *message,
                 GError       **error)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GBytes) filtered = NULL;

  if (!has_outbound_filter (self))
    return g_bytes_ref (message);

  aqmp_protocol_enter_vfunc (self);
  filtered = AQMP_PROTOCOL_GET_CLASS (self)->filter_outbound (self, message, &local_error);
  aqmp_protocol_leave_vfunc (self);
  if (filtered == NULL)
    {
      g_propagate_error (error, aqmp_protocol_error_from_vfunc (self, "filter_outbound", g_steal_pointer (&local_error)));
      return NULL;
    }

  if (filtered != message && !priv->hooks->check_filtered (self, message, filtered, error))
    return NULL;

  return g_steal_pointer (&filtered);
}

/* @message: what the filter made of it */
static void
append_to_transport (AqmpProtocol    *self,
                     OutboundMessage *outbound,
                     GBytes          *message)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  gsize length;
  const char *text = g_bytes_get_data (message, &length);

  log_wire (self, "→", message);
  g_string_append_len (aqmp_transport_begin_message (priv->transport), text, length);
  aqmp_transport_commit_message (priv->transport, outbound->token, g_steal_pointer (&outbound->fds));
}

/* FALSE: the session has ended. */
static gboolean
send_filtered (AqmpProtocol    *self,
               OutboundMessage *outbound)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 serial = priv->session_serial;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) filtered = NULL;

  filtered = filter_outbound (self, outbound->message, &error);
  if (priv->transport == NULL || priv->session_serial != serial)
    return FALSE;

  if (filtered == NULL)
    {
      aqmp_protocol_fail_session (self, error);
      return FALSE;
    }

  append_to_transport (self, outbound, filtered);
  return TRUE;
}

static void
filter_and_send (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  OutboundMessage *outbound;
  gboolean going_on = TRUE;

  /* A filter that runs the loop gets here again; what it holds comes first. */
  if (priv->filtering)
    return;

  priv->filtering = TRUE;
  while (going_on && (outbound = pop_unfiltered (self)) != NULL)
    {
      going_on = send_filtered (self, outbound);
      outbound_message_free (outbound);
    }
  priv->filtering = FALSE;

  /* The filter may have let this session end and the next one begin. */
  aqmp_protocol_lock (self);
  if (!g_queue_is_empty (&priv->unfiltered))
    aqmp_transport_request_work (priv->transport);
  aqmp_protocol_unlock (self);

  /* Word of the drain that came while it ran did not count. */
  if (priv->transport != NULL && (priv->flushing || !aqmp_waiters_is_empty (&priv->flushers)))
    aqmp_transport_request_drained (priv->transport);
}

/* The session runs: first what a subclass has kept from the handshake, then what comes. Whoever is called meanwhile may wait for
   more, in a blocking call or by running the loop; so that it does not wait in vain, this is then done once more, inside. */
static void
start (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 serial = priv->session_serial;

  aqmp_transport_request_work (priv->transport);
  priv->hooks->session_started (self);
  while (priv->transport != NULL && priv->session_serial == serial && !g_queue_is_empty (&priv->handshake_inbox))
    {
      g_autoptr (GBytes) message = g_queue_pop_head (&priv->handshake_inbox);

      receive (self, message);
    }
  if (priv->transport != NULL && priv->session_serial == serial)
    {
      priv->started = TRUE;
      aqmp_transport_set_reading (priv->transport, TRUE);
    }
}

static void
on_work (gpointer user_data)
{
  AqmpProtocol *self = user_data;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  filter_and_send (self);
  if (priv->transport != NULL && priv->attempt == NULL && !priv->started)
    start (self);
}

static void
on_failed (gpointer      user_data,
           const GError *error)
{
  AqmpProtocol *self = user_data;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->runstate == AQMP_RUNSTATE_RUNNING && priv->hooks->is_expected_end (self, error))
    aqmp_protocol_tear_down (self, NULL, NULL);
  else
    aqmp_protocol_fail_session (self, error);
}

/* The transport has nothing left; but what is not filtered yet comes as well. While a filter runs the loop, asking again
   would only keep that busy. */
static void
on_drained (gpointer user_data)
{
  AqmpProtocol *self = user_data;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 serial = priv->session_serial;
  GQueue flushers;

  if (aqmp_protocol_has_outbound (self))
    {
      if (!priv->filtering)
        aqmp_transport_request_drained (priv->transport);
      return;
    }

  flushers = aqmp_waiters_steal (&priv->flushers);
  if (!g_queue_is_empty (&flushers))
    aqmp_protocol_returns_task (self);
  aqmp_waiters_return (&flushers, NULL);
  if (priv->flushing && priv->session_serial == serial)
    aqmp_protocol_end (self, NULL, NULL);
}

const AqmpTransportCallbacks aqmp_protocol_transport_callbacks = {
  .frame = on_frame,
  .message = on_message,
  .work = on_work,
  .drained = on_drained,
  .failed = on_failed,
};

/* --- Public ------------------------------------------------------------------------------------------------------- */

static void
queue_message_locked (AqmpProtocol *self,
                      GBytes       *message)
{
  gsize length;
  const char *text = g_bytes_get_data (message, &length);

  g_string_append_len (aqmp_protocol_begin_message (self), text, length);
  aqmp_protocol_commit_message (self, NULL);
}

void
aqmp_protocol_queue_message (AqmpProtocol *self,
                             GBytes       *message)
{
  aqmp_protocol_lock (self);
  queue_message_locked (self, message);
  aqmp_protocol_unlock (self);
}

/**
 * aqmp_protocol_send_message:
 * @self: a protocol
 * @message: the bytes to send, as they are: with the line ending or whatever else marks the end of a message
 * @error: return location for an error
 *
 * Queues a message for a running session. It is written when the owner's context runs next, after
 * [vfunc@Protocol.filter_outbound]. [property@Protocol:queued-bytes] tells how much is waiting, and
 * [method@Protocol.flush_async] waits until nothing is.
 *
 * If the session is not running, nothing is queued, and the error is [error@Error.STATE]. A queued message can still be
 * lost if the session ends; it never gets into a later one.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if the message was queued
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_send_message (AqmpProtocol  *self,
                            GBytes        *message,
                            GError       **error)
{
  gboolean possible;

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  aqmp_protocol_lock (self);
  possible = aqmp_protocol_require_runstate_locked (self, AQMP_RUNSTATE_RUNNING, error);
  if (possible)
    queue_message_locked (self, message);
  aqmp_protocol_unlock (self);

  return possible;
}

gboolean
aqmp_protocol_begin_flush (gpointer user_data)
{
  GTask *task = user_data;
  AqmpProtocol *self = g_task_get_source_object (task);
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GError *error = NULL;

  if (!aqmp_protocol_require_runstate (self, AQMP_RUNSTATE_RUNNING, &error))
    g_task_return_error (task, error);
  else if (!aqmp_protocol_has_outbound (self))
    g_task_return_boolean (task, TRUE);
  else
    {
      aqmp_waiters_add (&priv->flushers, g_object_ref (task));
      aqmp_transport_request_drained (priv->transport);
    }
  return G_SOURCE_REMOVE;
}

/**
 * aqmp_protocol_flush_async:
 * @self: a protocol
 * @cancellable: (nullable): gives up waiting
 * @callback: (scope async) (closure user_data): called when nothing is waiting to be written
 * @user_data: data for @callback
 *
 * Waits until everything that is queued was written to the stream. Commands that a [class@Client] holds back, because others
 * have to be answered first, are not queued yet.
 *
 * That the peer has read it is another matter. May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_protocol_flush_async (AqmpProtocol        *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_protocol_flush_async);
  g_task_set_name (task, "[aqmp] flush");
  g_task_set_check_cancellable (task, FALSE);

  if (!g_task_return_error_if_cancelled (task))
    aqmp_protocol_begin_task (self, g_steal_pointer (&task), aqmp_protocol_begin_flush);
}

/**
 * aqmp_protocol_flush_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.flush_async] went.
 *
 * The error is [error@Error.STATE] if no session was running, [error@Error.INTERRUPTED] if it ended before everything
 * was written, or %G_IO_ERROR_CANCELLED.
 *
 * Returns: %TRUE if everything was written
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_flush_finish (AqmpProtocol  *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_flush_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
