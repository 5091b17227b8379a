/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-attempt-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"

/* Threads: the one that begins the session, which owns it from then on; not locked. Accepting comes to it from others. */

/* --- The server --------------------------------------------------------------------------------------------------- */

/* Somebody accepts, and the peer is here. */
static void
take_peer (AqmpAttempt *attempt)
{
  g_autoptr (GIOStream) peer = g_steal_pointer (&attempt->peer);

  aqmp_attempt_watch (attempt, TRUE);
  aqmp_attempt_take_connection (attempt, peer);
}

/* The outcome of listening: at once for whoever accepts, else kept. */
static void
settle (AqmpAttempt *attempt)
{
  if (attempt->task == NULL)
    return;

  if (attempt->peer_error != NULL)
    aqmp_protocol_attempt_fail (attempt->self, attempt->peer_error);
  else if (attempt->peer != NULL)
    take_peer (attempt);
}

static void
on_peer (gpointer           owner,
         GSocketConnection *peer,
         guint              n_refused,
         const GError      *error)
{
  AqmpProtocol *self = owner;
  AqmpAttempt *attempt = aqmp_protocol_get_private (self)->attempt;

  /* Somebody has run dispose in another thread. */
  if (attempt == NULL || attempt->listener == NULL)
    return;

  if (n_refused > 0)
    aqmp_protocol_log (self, G_LOG_LEVEL_INFO, "closed the connections of %u more peers than the one that is served",
                       n_refused);

  aqmp_attempt_ref (attempt);
  g_clear_pointer (&attempt->listener, aqmp_listener_free);
  if (peer != NULL)
    attempt->peer = G_IO_STREAM (g_object_ref (peer));
  else
    attempt->peer_error = g_error_copy (error);

  aqmp_protocol_set_listen_address (self, NULL);
  if (!attempt->over)
    settle (attempt);
  aqmp_attempt_unref (attempt);
}

void
aqmp_protocol_move_listener (AqmpProtocol *self,
                             GMainContext *context)
{
  AqmpAttempt *attempt = aqmp_protocol_get_private (self)->attempt;

  if (attempt == NULL)
    return;

  g_main_context_unref (attempt->context);
  attempt->context = g_main_context_ref (context);
  if (attempt->listener != NULL)
    aqmp_listener_attach (attempt->listener, attempt->context, G_OBJECT (self), on_peer);
}

/* CONNECTING already. FALSE: @error is the cause, and the attempt still to be failed with it. @effective_address: (out)
   (optional) */
static gboolean
listen_at (AqmpAttempt     *attempt,
           GSocketAddress  *address,
           GSocketAddress **effective_address,
           GError         **error)
{
  AqmpProtocol *self = attempt->self;

  aqmp_tls_copy (&attempt->tls, &aqmp_protocol_get_private (self)->tls);
  if (!aqmp_tls_check_server (&attempt->tls, error))
    return FALSE;

  attempt->listener = aqmp_listener_new (address, error);
  if (attempt->listener == NULL)
    return FALSE;

  aqmp_listener_attach (attempt->listener, attempt->context, G_OBJECT (self), on_peer);
  g_set_object (&attempt->address, G_SOCKET_CONNECTABLE (aqmp_listener_get_address (attempt->listener)));
  if (effective_address != NULL)
    *effective_address = G_SOCKET_ADDRESS (g_object_ref (attempt->address));
  /* Its handlers may have it disconnected. */
  aqmp_protocol_set_listen_address (self, aqmp_listener_get_address (attempt->listener));
  return TRUE;
}

static AqmpAttempt *
new_server (AqmpProtocol   *self,
            GSocketAddress *address)
{
  AqmpAttempt *attempt = aqmp_attempt_new (self, G_SOCKET_CONNECTABLE (address));

  attempt->is_server = TRUE;
  return attempt;
}

static gboolean
start_server (AqmpAttempt     *attempt,
              GSocketAddress  *address,
              GSocketAddress **effective_address,
              GError         **error)
{
  g_autoptr (GError) cause = NULL;

  aqmp_attempt_begin (attempt);
  if (!attempt->over && !listen_at (attempt, address, effective_address, &cause))
    aqmp_protocol_attempt_fail (attempt->self, cause);

  if (!attempt->over)
    return TRUE;

  if (attempt->failure != NULL)
    g_propagate_error (error, g_error_copy (attempt->failure));
  else
    g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("It was disposed of meanwhile"));
  return FALSE;
}

/**
 * aqmp_protocol_start_server:
 * @self: a protocol
 * @address: where to listen, for example from [func@address_parse]: a path, an abstract name, or a numeric host and a port
 * @effective_address: (out) (optional) (transfer full): the address with the port that the system has chosen if it was 0
 * @error: return location for an error
 *
 * Begins to listen for a peer that connects by itself, such as a QEMU that was started with
 * `-chardev socket,id=qmp,path=PATH,server=off,reconnect=1 -mon chardev=qmp,mode=control`.
 *
 * The [property@Protocol:runstate] has to be [enum@Runstate.IDLE], and becomes [enum@Runstate.CONNECTING]. When this
 * returns, peers can connect; [method@Protocol.accept_async] then establishes a session with the first one. Listening ends with that
 * peer: any others are disconnected. [method@Protocol.disconnect_async] ends it too.
 *
 * A UNIX socket is created for the user who runs the program only, and unlinked when listening ends. If there is a socket at the
 * path which nobody listens on any more, it is replaced; whatever else there is stays as it is, and the error is
 * %G_IO_ERROR_ADDRESS_IN_USE. A path can have 106 bytes; a longer one is %G_IO_ERROR_FILENAME_TOO_LONG, and an address without
 * any name %G_IO_ERROR_INVALID_ARGUMENT, as is [property@Protocol:tls] without a certificate. Other errors are those that the system gives, such as %G_IO_ERROR_PERMISSION_DENIED, and those of
 * TLS; [error@Error.STATE] if the object was not idle, or is being used by another thread, and [error@Error.INTERRUPTED] if a handler
 * of its signals has disconnected it.
 *
 * With [property@Protocol:tls] the peer has to speak TLS, which needs [property@Protocol:tls-certificate].
 *
 * The thread-default [struct@GLib.MainContext] of the caller becomes the owner's context. To be called from the thread
 * that runs it.
 *
 * Returns: %TRUE if it listens
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_start_server (AqmpProtocol    *self,
                            GSocketAddress  *address,
                            GSocketAddress **effective_address,
                            GError         **error)
{
  g_autoptr (GSocketAddress) effective = NULL;
  g_autoptr (AqmpProtocol) kept = NULL;
  AqmpAttempt *attempt;
  gboolean started;

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (G_IS_SOCKET_ADDRESS (address), FALSE);

  if (effective_address != NULL)
    *effective_address = NULL;

  if (!aqmp_protocol_claim_idle (self, error))
    return FALSE;

  /* Handlers may drop the last reference. */
  kept = g_object_ref (self);
  attempt = new_server (self, address);
  started = start_server (attempt, address, &effective, error);
  if (started && effective_address != NULL)
    *effective_address = g_steal_pointer (&effective);
  aqmp_attempt_unref (attempt);

  return started;
}

/* --- Accepting ---------------------------------------------------------------------------------------------------- */

static GError *
no_server (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  const char *state = aqmp_protocol_get_runstate_nick (priv->runstate);
  const char *type = G_OBJECT_TYPE_NAME (self);

  if (priv->attempt != NULL && priv->attempt->is_server)
    return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                        _("%s is in state “%s”, and accepts a peer already: wait for that, or disconnect it"), type, state);
  if (priv->runstate == AQMP_RUNSTATE_IDLE)
    return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                        _("%s is in state “%s”, and no server was started: start one first"), type, state);
  return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                      _("%s is in state “%s”, and no server was started: disconnect it first, then start one"), type, state);
}

static gboolean
begin_accept (gpointer user_data)
{
  GTask *task = user_data;
  AqmpProtocol *self = g_task_get_source_object (task);
  AqmpAttempt *attempt = aqmp_protocol_get_private (self)->attempt;

  if (attempt == NULL || !attempt->is_server || attempt->task != NULL)
    {
      g_task_return_error (task, no_server (self));
      return G_SOURCE_REMOVE;
    }

  aqmp_attempt_ref (attempt);
  attempt->task = g_object_ref (task);
  aqmp_attempt_watch (attempt, FALSE);
  aqmp_attempt_check_cancelled (attempt);
  if (!attempt->over)
    settle (attempt);
  aqmp_attempt_unref (attempt);
  return G_SOURCE_REMOVE;
}

/**
 * aqmp_protocol_accept_async:
 * @self: a protocol
 * @cancellable: (nullable): ends the attempt, and listening with it
 * @callback: (scope async) (closure user_data): called when the session runs or the attempt has failed
 * @user_data: data for @callback
 *
 * Waits for the peer that [method@Protocol.start_server] listens for, and establishes a session with it. The peer may have
 * come before.
 *
 * It waits for a peer without limit. From then on, or from this call if the peer was here before,
 * [property@Protocol:connect-timeout] holds, as it was when the server was started.
 *
 * A peer that cannot be talked to is the end of the attempt: the object passes through [enum@Runstate.DISCONNECTING] back to
 * [enum@Runstate.IDLE], and a server has to be started anew. In all else it is like [method@Protocol.connect_async].
 *
 * May be called from any thread; in another than the owner's it takes effect once the owner's context runs.
 *
 * Since: 1.0
 */
void
aqmp_protocol_accept_async (AqmpProtocol        *self,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = aqmp_protocol_new_task (self, cancellable, callback, user_data, aqmp_protocol_accept_async, "[aqmp] accept");
  aqmp_protocol_begin_task (self, g_steal_pointer (&task), begin_accept);
}

/**
 * aqmp_protocol_accept_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.accept_async] went; errors are those of [method@Protocol.connect_finish].
 * [error@Error.STATE] also means that no server was started.
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_accept_finish (AqmpProtocol  *self,
                             GAsyncResult  *result,
                             GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_accept_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * aqmp_protocol_start_server_and_accept_async:
 * @self: a protocol
 * @address: where to listen
 * @cancellable: (nullable): ends the attempt
 * @callback: (scope async) (closure user_data): called when the session runs or the attempt has failed
 * @user_data: data for @callback
 *
 * Listens, waits for a peer, and establishes a session with it: [method@Protocol.start_server] and
 * [method@Protocol.accept_async] in one.
 *
 * When this returns, peers can connect, and [property@Protocol:listen-address] tells where; or else @callback will get the error.
 *
 * The thread-default [struct@GLib.MainContext] of the caller becomes the owner's context. To be called from the thread
 * that runs it.
 *
 * Since: 1.0
 */
void
aqmp_protocol_start_server_and_accept_async (AqmpProtocol        *self,
                                             GSocketAddress      *address,
                                             GCancellable        *cancellable,
                                             GAsyncReadyCallback  callback,
                                             gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) cause = NULL;
  GError *error = NULL;
  AqmpAttempt *attempt;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (G_IS_SOCKET_ADDRESS (address));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = aqmp_protocol_new_task (self, cancellable, callback, user_data, aqmp_protocol_start_server_and_accept_async,
                                 "[aqmp] start server and accept");
  if (!aqmp_protocol_claim_idle (self, &error))
    {
      g_task_return_error (task, error);
      return;
    }

  attempt = new_server (self, address);
  attempt->task = g_object_ref (task);
  aqmp_attempt_watch (attempt, FALSE);
  aqmp_attempt_begin (attempt);
  if (!attempt->over && !listen_at (attempt, address, NULL, &cause))
    aqmp_protocol_attempt_fail (self, cause);
  aqmp_attempt_unref (attempt);
}

/**
 * aqmp_protocol_start_server_and_accept_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how [method@Protocol.start_server_and_accept_async] went; errors are those of [method@Protocol.start_server] and
 * [method@Protocol.connect_finish].
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_start_server_and_accept_finish (AqmpProtocol  *self,
                                              GAsyncResult  *result,
                                              GError       **error)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_start_server_and_accept_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
