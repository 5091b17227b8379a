/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-protocol-private.h"

/* Threads: any; not locked. In the owner's the session is driven, in others waited for. */

/* A blocking call. Either this thread owns the session: then it reads and writes for it until the reply is here; or the owner
   does, whose context has to run, and this thread sleeps. */
typedef struct
{
  AqmpClient   *self;          /* (owned) */
  GMainContext *owned;         /* (owned) (nullable): the owner's context, if this is its thread */
  AqmpBlocking *blocking;      /* (owned) */
  AqmpCall     *call;          /* (owned) */
  GCancellable *cancellable;   /* (unowned) (nullable) */
} BlockingCall;

static gboolean
begin (BlockingCall  *blocking_call,
       AqmpClient    *self,
       GCancellable  *cancellable,
       GError       **error)
{
  if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
      !aqmp_protocol_acquire (AQMP_PROTOCOL (self), &blocking_call->owned, error))
    return FALSE;

  blocking_call->self = g_object_ref (self);
  blocking_call->cancellable = cancellable;
  blocking_call->blocking = aqmp_blocking_new ();
  blocking_call->call = aqmp_call_new_blocking (blocking_call->blocking);
  return TRUE;
}

static gboolean
wait_until_done (BlockingCall  *blocking_call,
                 GError       **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (blocking_call->self);
  gint64 deadline = aqmp_blocking_deadline (blocking_call->call->timeout_ms);

  if (blocking_call->owned != NULL)
    return aqmp_protocol_drive (protocol, aqmp_blocking_is_done, blocking_call->blocking, deadline,
                                blocking_call->cancellable, error);
  return aqmp_blocking_wait (blocking_call->blocking, deadline, blocking_call->cancellable, error);
}

static GError *
explain (BlockingCall *blocking_call,
         GError       *error)
{
  GError *explained;

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return error;

  explained = g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("Timed out after %u ms"), blocking_call->call->timeout_ms);
  g_error_free (error);
  return explained;
}

/* (transfer full) (nullable): what was returned. */
static gpointer
wait_for_reply (BlockingCall  *blocking_call,
                GError       **error)
{
  GError *local_error = NULL;

  if (!wait_until_done (blocking_call, &local_error) &&
      aqmp_client_give_up_call (blocking_call->self, blocking_call->call))
    {
      g_propagate_error (error, explain (blocking_call, local_error));
      return NULL;
    }

  /* If it is not there, another thread is just bringing it. */
  g_clear_error (&local_error);
  aqmp_blocking_wait (blocking_call->blocking, -1, NULL, NULL);

  return aqmp_blocking_propagate (blocking_call->blocking, error);
}

/* @sent: the table of calls has taken over the reference that it was given. Returns what was returned: (transfer full) (nullable) */
static gpointer
end (BlockingCall  *blocking_call,
     gboolean       sent,
     GError       **error)
{
  gpointer reply = NULL;

  if (sent)
    reply = wait_for_reply (blocking_call, error);
  else
    aqmp_call_unref (blocking_call->call);

  aqmp_call_unref (blocking_call->call);
  aqmp_blocking_unref (blocking_call->blocking);
  aqmp_protocol_release (blocking_call->owned);
  g_object_unref (blocking_call->self);
  return reply;
}

static JsonNode *
execute (AqmpClient        *self,
         const char        *command,
         JsonObject        *arguments,
         GUnixFDList       *fd_list,
         AqmpExecuteFlags   flags,
         int                timeout_ms,
         GCancellable      *cancellable,
         GError           **error)
{
  BlockingCall blocking_call;
  gboolean sent;
  gpointer reply;

  if (!begin (&blocking_call, self, cancellable, error))
    return NULL;

  sent = aqmp_client_send_composed (self, aqmp_call_ref (blocking_call.call), command, arguments, fd_list, flags, timeout_ms,
                                    error);
  reply = end (&blocking_call, sent, error);

  return reply != NULL ? aqmp_call_reply_build (reply, error) : NULL;
}

/**
 * aqmp_client_execute_sync:
 * @self: a client
 * @command: the name of a command, such as `query-status`
 * @arguments: (nullable) (transfer none): its arguments; neither changed nor kept
 * @flags: how to execute it
 * @cancellable: (nullable): gives up waiting for the reply
 * @error: return location for an error
 *
 * Executes a command, as [method@Client.execute_async] does, and waits for the reply.
 *
 * In the thread that owns the session it needs no main loop, and does not run the caller's: it reads and writes itself, and calls
 * nobody but the virtual functions of the session. Callbacks of other calls, the handlers of [signal@Protocol::event] and of
 * [signal@Protocol::runstate-changed] are called later, in the owner's context and in the order of what happened; of more
 * than 1024 events the oldest are dropped. In another thread it waits for the owner's context, which has to run.
 *
 * The errors are those of [method@Client.execute_finish]; [error@Error.STATE] also means that this is inside a virtual function
 * of the session, where blocking is not possible.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): what the command has returned, any JSON value
 *
 * Since: 1.0
 */
JsonNode *
aqmp_client_execute_sync (AqmpClient        *self,
                          const char        *command,
                          JsonObject        *arguments,
                          AqmpExecuteFlags   flags,
                          GCancellable      *cancellable,
                          GError           **error)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (command != NULL, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  return execute (self, command, arguments, NULL, flags, -1, cancellable, error);
}

/**
 * aqmp_client_execute_full_sync:
 * @self: a client
 * @command: the name of a command
 * @arguments: (nullable) (transfer none): its arguments; neither changed nor kept
 * @fd_list: (nullable): file descriptors to send with it; copied, so what becomes of the list does not matter
 * @flags: how to execute it
 * @timeout_ms: how many milliseconds to wait for the reply, 0 for no limit, -1 for [property@Client:call-timeout]
 * @cancellable: (nullable): gives up waiting for the reply
 * @error: return location for an error
 *
 * Executes a command, as [method@Client.execute_full_async] does, and waits for the reply as [method@Client.execute_sync] does.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): what the command has returned, any JSON value
 *
 * Since: 1.0
 */
JsonNode *
aqmp_client_execute_full_sync (AqmpClient        *self,
                               const char        *command,
                               JsonObject        *arguments,
                               GUnixFDList       *fd_list,
                               AqmpExecuteFlags   flags,
                               int                timeout_ms,
                               GCancellable      *cancellable,
                               GError           **error)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (command != NULL, NULL);
  g_return_val_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list), NULL);
  g_return_val_if_fail (timeout_ms >= -1, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  return execute (self, command, arguments, fd_list, flags, timeout_ms, cancellable, error);
}

/**
 * aqmp_client_execute_raw_sync:
 * @self: a client
 * @message: the JSON text of one command, such as `{"execute": "query-status"}`
 * @fd_list: (nullable): file descriptors to send with it; copied, so what becomes of the list does not matter
 * @cancellable: (nullable): gives up waiting for the reply
 * @error: return location for an error
 *
 * Executes a command that is given as text, as [method@Client.execute_raw_async] does, and waits for the reply as
 * [method@Client.execute_sync] does.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the JSON text of the reply, an object with `return` or `error`
 *
 * Since: 1.0
 */
GBytes *
aqmp_client_execute_raw_sync (AqmpClient    *self,
                              const char    *message,
                              GUnixFDList   *fd_list,
                              GCancellable  *cancellable,
                              GError       **error)
{
  BlockingCall blocking_call;
  gboolean sent;

  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (message != NULL, NULL);
  g_return_val_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list), NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  if (!begin (&blocking_call, self, cancellable, error))
    return NULL;

  sent = aqmp_client_send_raw (self, aqmp_call_ref (blocking_call.call), message, fd_list, error);
  return end (&blocking_call, sent, error);
}
