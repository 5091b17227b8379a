/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-error.h"

/* Threads: any; not locked. */

/* NULL: it was cancelled before it began, and is returned already. Later the command has its effect whether the caller still
   wants to know or not: a reply that is here counts. */
static AqmpCall *
begin (AqmpClient          *self,
       GCancellable        *cancellable,
       GAsyncReadyCallback  callback,
       gpointer             user_data,
       gpointer             source_tag)
{
  AqmpResult *result = aqmp_result_new (self, cancellable, callback, user_data, source_tag);
  GError *error = NULL;

  if (!g_cancellable_set_error_if_cancelled (cancellable, &error))
    return aqmp_call_new (result);

  aqmp_result_return (result, NULL, NULL, error);
  return NULL;
}

/* @call, @error: (transfer full) */
static void
fail (AqmpCall *call,
      GError   *error)
{
  aqmp_result_return (g_steal_pointer (&call->result), NULL, NULL, error);
  aqmp_call_unref (call);
}

static void
execute (AqmpClient       *self,
         AqmpCall         *call,
         const char       *command,
         JsonObject       *arguments,
         GUnixFDList      *fd_list,
         AqmpExecuteFlags  flags,
         int               timeout_ms)
{
  GError *error = NULL;

  if (!aqmp_client_send_composed (self, call, command, arguments, fd_list, flags, timeout_ms, &error))
    fail (call, error);
}

/**
 * aqmp_client_execute_async:
 * @self: a client
 * @command: the name of a command, such as `query-status`
 * @arguments: (nullable) (transfer none): its arguments; neither changed nor kept
 * @flags: how to execute it
 * @cancellable: (nullable): gives up waiting for the reply
 * @callback: (scope async) (closure user_data): called when the reply has come
 * @user_data: data for @callback
 *
 * Executes a command on the server.
 *
 * Any number of commands can be under way. They are sent in the order of the calls. If out-of-band execution was negotiated
 * ([property@Client:oob-enabled]), at most 8 are sent before one of them is answered, since QEMU would not see an
 * out-of-band command behind more; the others wait in the client.
 *
 * A command that is cancelled before it was written to the stream is never sent. One that is cancelled later is
 * executed by the server all the same, and its reply is dropped. [property@Client:call-timeout] ends the wait in the
 * same way.
 *
 * May be called from any thread; @callback is called in the thread-default [struct@GLib.MainContext] of the caller.
 *
 * Since: 1.0
 */
void
aqmp_client_execute_async (AqmpClient          *self,
                           const char          *command,
                           JsonObject          *arguments,
                           AqmpExecuteFlags     flags,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  AqmpCall *call;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (command != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = begin (self, cancellable, callback, user_data, aqmp_client_execute_async);
  if (call != NULL)
    execute (self, call, command, arguments, NULL, flags, -1);
}

static JsonNode *
finish_with_tree (GAsyncResult  *result,
                  GError       **error)
{
  gpointer reply = aqmp_result_propagate (result, error);

  return reply != NULL ? aqmp_call_reply_build (reply, error) : NULL;
}

/**
 * aqmp_client_execute_finish:
 * @self: a client
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Gets what a command of [method@Client.execute_async] has returned.
 *
 * If the server answered with an error, its domain is %AQMP_EXEC_ERROR, its message the description that the server
 * gave, and [func@ExecError.get_class] tells its class.
 *
 * The other errors are:
 *
 *  - [error@Error.STATE] if no session was running;
 *  - [error@Error.INVALID_MESSAGE] if the name or the arguments cannot be written as JSON;
 *  - [error@Error.INTERRUPTED] if the session ended before the reply came;
 *  - [error@Error.BAD_REPLY] if the reply is malformed, or holds a value that no [struct@Json.Node] can hold: a string
 *    with `\u0000` or a number beyond double, see [method@Client.execute_raw_async];
 *  - %G_IO_ERROR_CANCELLED if the cancellable was cancelled, %G_IO_ERROR_TIMED_OUT if the reply did not come in time;
 *  - %G_IO_ERROR_NOT_SUPPORTED if what the call asks for is not possible in this session, or in this version.
 *
 * Integers that fit 64 bits with a sign are exact; those beyond become double, and so are rounded.
 *
 * Returns: (transfer full): what the command has returned, any JSON value
 *
 * Since: 1.0
 */
JsonNode *
aqmp_client_execute_finish (AqmpClient    *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (aqmp_result_is_valid (result, self, aqmp_client_execute_async), NULL);

  return finish_with_tree (result, error);
}

/**
 * aqmp_client_execute_full_async:
 * @self: a client
 * @command: the name of a command
 * @arguments: (nullable) (transfer none): its arguments; neither changed nor kept
 * @fd_list: (nullable): file descriptors to send with it; copied, so what becomes of the list does not matter
 * @flags: how to execute it
 * @timeout_ms: how many milliseconds to wait for the reply, 0 for no limit, -1 for [property@Client:call-timeout]
 * @cancellable: (nullable): gives up waiting for the reply
 * @callback: (scope async) (closure user_data): called when the reply has come
 * @user_data: data for @callback
 *
 * Executes a command as [method@Client.execute_async] does, with file descriptors and a timeout of its own.
 *
 * File descriptors, at most 253, are sent together with the first byte of the command, for `getfd`, `add-fd` and the like.
 * They can only be sent over a UNIX socket: over any other stream a call with descriptors fails with
 * %G_IO_ERROR_NOT_SUPPORTED. One that is closed already fails it with %G_IO_ERROR_INVALID_ARGUMENT, and one that cannot be
 * copied with what the system gives, such as %G_IO_ERROR_TOO_MANY_OPEN_FILES. In each case nothing is sent. The
 * descriptors of the caller stay open and are the caller's; the copies that are sent are closed in any case.
 *
 * QEMU takes at most 16 descriptors with one command. When out-of-band execution is negotiated it also closes those which it
 * has not taken when the next ones arrive; therefore a command with descriptors is held back then until the one before it has been
 * answered, and commands behind it wait too, so that their order is kept.
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_client_execute_full_async (AqmpClient          *self,
                                const char          *command,
                                JsonObject          *arguments,
                                GUnixFDList         *fd_list,
                                AqmpExecuteFlags     flags,
                                int                  timeout_ms,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  AqmpCall *call;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (command != NULL);
  g_return_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list));
  g_return_if_fail (timeout_ms >= -1);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = begin (self, cancellable, callback, user_data, aqmp_client_execute_full_async);
  if (call != NULL)
    execute (self, call, command, arguments, fd_list, flags, timeout_ms);
}

/**
 * aqmp_client_execute_full_finish:
 * @self: a client
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Gets what a command of [method@Client.execute_full_async] has returned; as [method@Client.execute_finish].
 *
 * Returns: (transfer full): what the command has returned, any JSON value
 *
 * Since: 1.0
 */
JsonNode *
aqmp_client_execute_full_finish (AqmpClient    *self,
                                 GAsyncResult  *result,
                                 GError       **error)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (aqmp_result_is_valid (result, self, aqmp_client_execute_full_async), NULL);

  return finish_with_tree (result, error);
}

/* --- The raw form ------------------------------------------------------------------------------------------------- */

static void
execute_raw (AqmpClient  *self,
             AqmpCall    *call,
             const char  *message,
             GUnixFDList *fd_list)
{
  GError *error = NULL;

  if (!aqmp_client_send_raw (self, call, message, fd_list, &error))
    fail (call, error);
}

/**
 * aqmp_client_execute_raw_async:
 * @self: a client
 * @message: the JSON text of one command, such as `{"execute": "query-status"}`
 * @fd_list: (nullable): file descriptors to send with it; copied, so what becomes of the list does not matter
 * @cancellable: (nullable): gives up waiting for the reply
 * @callback: (scope async) (closure user_data): called when the reply has come
 * @user_data: data for @callback
 *
 * Executes a command that is given as text, and gets the reply as text.
 *
 * It is the fastest form, as no tree is built, and it loses nothing: integers of any size and strings with `\u0000` are
 * what they were. Languages that can read JSON themselves are best served by it.
 *
 * @message has to be one object with `execute` or `exec-oob`, valid as JSON, with finite numbers; white space around
 * it is stripped. It gets an `id` unless it has one, which has to be a string or an integer, must not begin with
 * `aqmp-`, and must not be that of a command which is still waiting for its reply. Anything else fails with
 * [error@Error.INVALID_MESSAGE].
 *
 * File descriptors are sent as by [method@Client.execute_full_async].
 *
 * `exec-oob` fails with %G_IO_ERROR_NOT_SUPPORTED unless [property@Client:oob-enabled] is %TRUE.
 *
 * In all else it is like [method@Client.execute_async]. May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_client_execute_raw_async (AqmpClient          *self,
                               const char          *message,
                               GUnixFDList         *fd_list,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data)
{
  AqmpCall *call;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (message != NULL);
  g_return_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call = begin (self, cancellable, callback, user_data, aqmp_client_execute_raw_async);
  if (call != NULL)
    execute_raw (self, call, message, fd_list);
}

/**
 * aqmp_client_execute_raw_finish:
 * @self: a client
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Gets the reply to a command of [method@Client.execute_raw_async].
 *
 * It is the whole reply, as [vfunc@Protocol.filter_inbound] has left it. Also an error of the server is a reply here;
 * errors are otherwise those of [method@Client.execute_finish].
 *
 * Returns: (transfer full): the JSON text of the reply, an object with `return` or `error`
 *
 * Since: 1.0
 */
GBytes *
aqmp_client_execute_raw_finish (AqmpClient    *self,
                                GAsyncResult  *result,
                                GError       **error)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);
  g_return_val_if_fail (aqmp_result_is_valid (result, self, aqmp_client_execute_raw_async), NULL);

  return aqmp_result_propagate (result, error);
}

/**
 * aqmp_arguments_parse:
 * @json: the JSON text of an object, such as `{"path": "/machine"}`
 * @error: return location for an error
 *
 * Reads the arguments of a command from JSON text, which is easier than to build them by hand.
 *
 * The text is read strictly: it fails with [error@Error.PARSE] if it is not valid JSON, [error@Error.UNEXPECTED_TYPE]
 * if it is no object, and [error@Error.INVALID_MESSAGE] if it holds a value that no [struct@Json.Node] can hold.
 * Integers beyond 64 bits with a sign become double.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the arguments
 *
 * Since: 1.0
 */
JsonObject *
aqmp_arguments_parse (const char  *json,
                      GError     **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (JsonNode) node = NULL;
  AqmpJsonScan scan;
  gsize space;
  gsize length;

  g_return_val_if_fail (json != NULL, NULL);

  length = strlen (json);
  if (!aqmp_json_validate (&scan, NULL, (const guint8 *) json, length, error))
    return NULL;

  if (scan.kind != '{')
    {
      g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_UNEXPECTED_TYPE, _("Arguments have to be a JSON object"));
      return NULL;
    }

  space = aqmp_json_skip_space ((const guint8 *) json, length);
  node = aqmp_json_build ((const guint8 *) json + space, length - space, &local_error);
  if (node == NULL)
    {
      g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, local_error->message);
      return NULL;
    }

  return json_node_dup_object (node);
}
