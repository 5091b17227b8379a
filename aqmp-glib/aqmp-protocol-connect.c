/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-attempt-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-connector-private.h"

/* Threads: the one that begins the session, which owns it from then on; not locked. */

static void
connected (GObject      *source_object,
           GAsyncResult *result,
           gpointer      user_data)
{
  AqmpAttempt *attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  stream = aqmp_connector_connect_finish (result, &error);

  if (!attempt->over)
    {
      if (stream != NULL)
        aqmp_attempt_take_connection (attempt, stream);
      else
        aqmp_protocol_attempt_fail (attempt->self, error);
    }
  aqmp_attempt_unref (attempt);
}

/* The attempt of a task for connect or open: CONNECTING, if it is not over already. NULL if there can be none now, which the
   task has been told. @address: (nullable) */
static AqmpAttempt *
begin_attempt (GTask              *task,
               GSocketConnectable *address)
{
  AqmpProtocol *self = g_task_get_source_object (task);
  AqmpAttempt *attempt;
  GError *error = NULL;

  if (!aqmp_protocol_claim_idle (self, &error))
    {
      g_task_return_error (task, error);
      return NULL;
    }

  attempt = aqmp_attempt_new (self, address);
  attempt->task = g_object_ref (task);
  aqmp_attempt_watch (attempt, TRUE);
  aqmp_attempt_begin (attempt);
  return attempt;
}

/* (transfer full) (nullable). A turn of the main loop less is a twentieth of what connecting costs. But without one, virtual functions of
   others would be called before connect returns, and what fails at once and is tried again would be inside ever more calls. */
static GIOStream *
connect_at_once (AqmpAttempt *attempt)
{
  if (attempt->tls.enabled || !aqmp_protocol_get_private (attempt->self)->hooks->waits_for_peer (attempt->self))
    return NULL;
  return aqmp_connector_connect_at_once (attempt->address, attempt->cancellable);
}

static void
connect_to (AqmpAttempt *attempt)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  aqmp_tls_copy (&attempt->tls, &aqmp_protocol_get_private (attempt->self)->tls);
  if (!aqmp_tls_check_client (&attempt->tls, attempt->address, &error))
    {
      aqmp_protocol_attempt_fail (attempt->self, error);
      return;
    }

  stream = connect_at_once (attempt);
  if (stream != NULL)
    aqmp_attempt_take_connection (attempt, stream);
  else
    aqmp_connector_connect_async (attempt->address, attempt->cancellable, connected, aqmp_attempt_ref (attempt));
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
 * With [property@Protocol:tls] the connection is made secure first.
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

  task = aqmp_protocol_new_task (self, cancellable, callback, user_data, aqmp_protocol_connect_async, "[aqmp] connect");
  attempt = begin_attempt (task, address);
  if (attempt == NULL)
    return;

  if (!attempt->over)
    connect_to (attempt);
  aqmp_attempt_unref (attempt);
}

/**
 * aqmp_protocol_connect_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.connect_async] went.
 *
 * An error keeps the domain and code of what caused it, such as %G_IO_ERROR, %G_RESOLVER_ERROR, %G_TLS_ERROR or %AQMP_ERROR; its
 * message says first whether the connection or the session could not be established. %G_IO_ERROR_TIMED_OUT means that
 * [property@Protocol:connect-timeout] has passed, [error@Error.STATE] that the object was not idle, or is being used by another
 * thread, and [error@Error.INTERRUPTED] that it was disconnected meanwhile. With [property@Protocol:tls], %G_IO_ERROR_INVALID_ARGUMENT means
 * that [property@Protocol:tls-server-identity] is needed, and %G_TLS_ERROR_UNAVAILABLE that GIO has no TLS.
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
      aqmp_attempt_start_session (attempt, stream);
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
 * another protocol, a [class@Gio.TlsConnection]. It belongs to the session from now on, which closes it when it ends; nobody else may read, write
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

  task = aqmp_protocol_new_task (self, cancellable, callback, user_data, aqmp_protocol_open_async, "[aqmp] open");
  attempt = begin_attempt (task, NULL);
  if (attempt == NULL)
    return;

  if (!attempt->over)
    open_stream (attempt, stream);
  aqmp_attempt_unref (attempt);
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
