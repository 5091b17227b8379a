/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-command-private.h"
#include "aqmp-error.h"
#include "aqmp-protocol-private.h"

/* The sound reply to a call whose caller wants a tree, until it asks for it: building it is left to its thread. */
typedef struct
{
  GBytes      *bytes;    /* (owned) */
  AqmpMessage  message;
} Reply;

static Reply *
reply_new (const AqmpMessage *message)
{
  Reply *self = g_new (Reply, 1);

  self->bytes = g_bytes_ref (message->message);
  self->message = *message;
  return self;
}

static void
reply_free (gpointer data)
{
  Reply *self = data;

  g_bytes_unref (self->bytes);
  g_free (self);
}

/* --- The end of a call -------------------------------------------------------------------------------------------- */

/* The call has left the table. Returning the task may run the caller's callback: nothing may be touched after that. */
static GTask *
take_task (AqmpCall *call)
{
  aqmp_watch_stop (&call->watch);
  return g_steal_pointer (&call->task);
}

static gboolean
wants_tree (GTask *task)
{
  return g_task_get_source_tag (task) != aqmp_client_execute_raw_async;
}

void
aqmp_call_complete (AqmpCall          *call,
                    const AqmpMessage *message)
{
  g_autoptr (GTask) task = take_task (call);
  GError *error = aqmp_message_check_reply (message);

  if (error == NULL && wants_tree (task) && aqmp_message_has (message, AQMP_MEMBER_ERROR))
    error = aqmp_message_get_error (message);

  if (error != NULL)
    g_task_return_error (task, error);
  else if (wants_tree (task))
    g_task_return_pointer (task, reply_new (message), reply_free);
  else
    g_task_return_pointer (task, g_bytes_ref (message->message), (GDestroyNotify) g_bytes_unref);
}

/* --- Holding back ------------------------------------------------------------------------------------------------- */

/* Locked. Where the text of the command goes. */
static GString *
begin_text (AqmpClient *self,
            AqmpCall   *call)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (!priv->oob_enabled || !aqmp_pending_has_to_wait (&priv->pending, call))
    return aqmp_protocol_begin_message (AQMP_PROTOCOL (self));

  call->held_text = g_string_new (NULL);
  return call->held_text;
}

static void
discard_text (AqmpClient *self,
              AqmpCall   *call)
{
  /* A text of its own goes when the call does. */
  if (call->held_text == NULL)
    aqmp_protocol_rollback_message (AQMP_PROTOCOL (self));
}

/* Locked. Whatever need not be held back any longer goes on its way. */
void
aqmp_client_release_calls (AqmpClient *self)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  AqmpCall *call;

  while ((call = aqmp_pending_release (&priv->pending)) != NULL)
    {
      g_string_append_len (aqmp_protocol_begin_message (protocol), call->held_text->str, call->held_text->len);
      call->token = aqmp_protocol_commit_message (protocol, g_steal_pointer (&call->fds));
      g_string_free (g_steal_pointer (&call->held_text), TRUE);
    }
}

/* --- Giving up ---------------------------------------------------------------------------------------------------- */

/* Locked. What was not written is taken back. */
static gboolean
take_back (AqmpClient *self,
           AqmpCall   *call)
{
  if (call->state == AQMP_CALL_PENDING && !aqmp_protocol_remove_message (AQMP_PROTOCOL (self), call->token))
    return FALSE;

  aqmp_pending_remove (&aqmp_client_get_private (self)->pending, call);
  aqmp_client_release_calls (self);
  aqmp_call_unref (call);
  return TRUE;
}

/* Cancelled or timed out, in the context of the caller. A command that was not written is never sent; that is urgent. For
   one that was, a reply which has arrived goes first; a later one will be swallowed. */
static gboolean
give_up (gpointer      operation,
         const GError *error,
         gboolean      urgently)
{
  AqmpCall *call = operation;
  g_autoptr (GObject) client = NULL;
  g_autoptr (GTask) task = NULL;
  AqmpClientPrivate *priv;
  AqmpClient *self;
  gboolean done = TRUE;

  /* It is only let go below, and after that the watch tells no more. */
  self = AQMP_CLIENT (call->client);
  priv = aqmp_client_get_private (self);

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  if (call->state == AQMP_CALL_PENDING || call->state == AQMP_CALL_WAITING)
    {
      if (take_back (self, call))
        task = g_steal_pointer (&call->task);
      else if (urgently)
        done = FALSE;
      else
        {
          aqmp_pending_abandon (&priv->pending, call);
          task = g_steal_pointer (&call->task);
          /* Nobody waits any more, so it must not keep the client alive. */
          client = g_steal_pointer (&call->client);
        }
    }
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  if (task != NULL)
    {
      aqmp_watch_stop (&call->watch);
      g_task_return_error (task, g_error_copy (error));
    }

  return done;
}

typedef struct
{
  GQueue  calls;         /* (element-type AqmpCall) (owned) */
  GTask  *establishing;  /* (owned) (nullable) */
  GQueue  held_events;   /* (element-type GBytes) (owned) */
} Stolen;

static void
steal_held (AqmpClientPrivate *priv,
            Stolen            *stolen)
{
  AqmpCall *call;

  while ((call = aqmp_pending_steal_held (&priv->pending)) != NULL)
    g_queue_push_tail (&stolen->calls, call);
}

/* Those that would not be sent any more: the session will end when what is queued has been written. */
gpointer
aqmp_client_steal_held_calls (AqmpProtocol *protocol)
{
  Stolen *stolen = g_new0 (Stolen, 1);

  steal_held (aqmp_client_get_private (AQMP_CLIENT (protocol)), stolen);
  return stolen;
}

/* Everything that belongs to the session that has ended. */
gpointer
aqmp_client_steal_calls (AqmpProtocol *protocol)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (AQMP_CLIENT (protocol));
  Stolen *stolen = g_new0 (Stolen, 1);
  AqmpCall *call;

  while ((call = g_queue_peek_head (&priv->pending.order)) != NULL)
    {
      aqmp_pending_remove (&priv->pending, call);
      g_queue_push_tail (&stolen->calls, call);
    }
  steal_held (priv, stolen);

  stolen->establishing = g_steal_pointer (&priv->establishing);
  stolen->held_events = priv->held_events;
  g_queue_init (&priv->held_events);
  priv->held_bytes = 0;

  return stolen;
}

static GError *
interrupted (const GError *cause)
{
  if (cause == NULL)
    return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session ended before the reply came"));
  return g_error_new (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session failed before the reply came: %s"),
                      cause->message);
}

void
aqmp_client_fail_calls (AqmpProtocol *protocol,
                        gpointer      calls,
                        const GError *cause)
{
  Stolen *stolen = calls;
  AqmpCall *call;

  while ((call = g_queue_pop_head (&stolen->calls)) != NULL)
    {
      /* Nobody waits for one that was given up. */
      g_autoptr (GTask) task = call->task != NULL ? take_task (call) : NULL;

      aqmp_call_unref (call);
      if (task != NULL)
        g_task_return_error (task, interrupted (cause));
    }

  /* The attempt is over, and asks no more; but a task that is dropped without being returned would be a mistake. */
  if (stolen->establishing != NULL)
    g_task_return_error (stolen->establishing, interrupted (cause));
  g_clear_object (&stolen->establishing);
  g_queue_clear_full (&stolen->held_events, (GDestroyNotify) g_bytes_unref);
  g_free (stolen);
}

/* --- The beginning ------------------------------------------------------------------------------------------------ */

/* NULL: it was cancelled before it began, and is returned already. */
static GTask *
begin_task (AqmpClient          *self,
            GCancellable        *cancellable,
            GAsyncReadyCallback  callback,
            gpointer             user_data,
            gpointer             source_tag)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);

  /* The function, not the macro of that name: that also sets a name, which GLib 2.74 copies for each call. */
  (g_task_set_source_tag) (task, source_tag);
  /* The command has its effect whether the caller still wants to know or not: a reply that is here counts. */
  g_task_set_check_cancellable (task, FALSE);

  return g_task_return_error_if_cancelled (task) ? NULL : g_steal_pointer (&task);
}

static void
set_copy_error (GError **error,
                int      fd,
                int      position,
                int      saved_errno)
{
  g_set_error (error, G_IO_ERROR,
               saved_errno == EBADF ? G_IO_ERROR_INVALID_ARGUMENT : (int) g_io_error_from_errno (saved_errno),
               _("File descriptor %d, number %d in the list, cannot be sent: %s"), fd, position, g_strerror (saved_errno));
}

/* A copy gets the lowest number that is free, which may be that of a closed one further on in the list. So before there are any
   copies. */
static gboolean
check_open (const int  *fds,
            int         n_fds,
            GError    **error)
{
  int i;

  for (i = 0; i < n_fds; i++)
    {
      if (fcntl (fds[i], F_GETFD) < 0)
        {
          set_copy_error (error, fds[i], i + 1, errno);
          return FALSE;
        }
    }

  return TRUE;
}

/* FALSE: @copies has those before the one that could not be copied, and -1 for the rest. */
static gboolean
duplicate (const int  *fds,
           int         n_fds,
           int        *copies,
           GError    **error)
{
  int i;

  memset (copies, -1, n_fds * sizeof (int));
  if (!check_open (fds, n_fds, error))
    return FALSE;

  for (i = 0; i < n_fds; i++)
    {
      copies[i] = fcntl (fds[i], F_DUPFD_CLOEXEC, 3);

      if (copies[i] < 0)
        {
          set_copy_error (error, fds[i], i + 1, errno);
          return FALSE;
        }
    }

  return TRUE;
}

/* The command has its own, so that nothing the caller does with the list matters to it. */
static gboolean
copy_descriptors (AqmpCall     *call,
                  GUnixFDList  *fd_list,
                  GError      **error)
{
  g_autofree int *copies = NULL;
  const int *fds;
  gboolean copied;
  int n_fds;

  if (fd_list == NULL || g_unix_fd_list_get_length (fd_list) == 0)
    return TRUE;

  fds = g_unix_fd_list_peek_fds (fd_list, &n_fds);
  copies = g_new (int, n_fds);
  copied = duplicate (fds, n_fds, copies, error);

  /* It takes them over, and closes them when it goes. */
  while (!copied && n_fds > 0 && copies[n_fds - 1] < 0)
    n_fds--;
  call->fds = g_unix_fd_list_new_from_array (copies, n_fds);
  call->carries_fds = TRUE;
  return copied;
}

/* Locked, with a session. */
static gboolean
check_descriptors (AqmpClient  *self,
                   AqmpCall    *call,
                   GError     **error)
{
  guint max_fds;

  if (!call->carries_fds)
    return TRUE;

  max_fds = aqmp_protocol_get_max_fds (AQMP_PROTOCOL (self));
  if ((guint) g_unix_fd_list_get_length (call->fds) <= max_fds)
    return TRUE;

  if (max_fds == 0)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                         _("File descriptors can only be sent over a UNIX socket, which this session does not have"));
  else
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 _("At most %u file descriptors can be sent with one command"), max_fds);
  return FALSE;
}

/* Locked, with the command's text between begin and commit. */
static gboolean
queue_call (AqmpClient  *self,
            AqmpCall    *call,
            guint        timeout_ms,
            GError     **error)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (!aqmp_pending_add (&priv->pending, call, call->held_text != NULL))
    {
      discard_text (self, call);
      g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE,
                           _("A command with this “id” is still waiting for its reply; use another, or none"));
      return FALSE;
    }

  if (call->held_text == NULL)
    call->token = aqmp_protocol_commit_message (AQMP_PROTOCOL (self), g_steal_pointer (&call->fds));
  aqmp_watch_start (&call->watch, call->task, timeout_ms, give_up, call, aqmp_call_unref);
  return TRUE;
}

/* Locked. */
static gboolean
send_composed_locked (AqmpClient  *self,
                      AqmpCall    *call,
                      const char  *command,
                      JsonObject  *arguments,
                      guint        timeout_ms,
                      GError     **error)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (!aqmp_protocol_require_runstate_locked (AQMP_PROTOCOL (self), AQMP_RUNSTATE_RUNNING, error) ||
      !check_descriptors (self, call, error))
    return FALSE;

  call->id.serial = ++priv->last_serial;
  if (!aqmp_command_compose (command, arguments, call->id.serial, begin_text (self, call), error))
    {
      discard_text (self, call);
      return FALSE;
    }

  return queue_call (self, call, timeout_ms, error);
}

static gboolean
send_composed (AqmpClient  *self,
               AqmpCall    *call,
               const char  *command,
               JsonObject  *arguments,
               int          timeout_ms,
               GError     **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  gboolean sent;

  aqmp_protocol_lock (protocol);
  sent = send_composed_locked (self, call, command, arguments,
                               timeout_ms < 0 ? aqmp_client_get_private (self)->call_timeout : (guint) timeout_ms, error);
  aqmp_protocol_unlock (protocol);

  return sent;
}

static void
execute (AqmpClient  *self,
         GTask       *task,
         const char  *command,
         JsonObject  *arguments,
         GUnixFDList *fd_list,
         int          timeout_ms)
{
  AqmpCall *call = aqmp_call_new (task);
  GError *error = NULL;
  gboolean sent;

  call->quits = aqmp_command_name_quits (command);
  sent = copy_descriptors (call, fd_list, &error) &&
         send_composed (self, call, command, arguments, timeout_ms, &error);

  aqmp_call_unref (call);
  if (!sent)
    g_task_return_error (task, error);
}

static gboolean
check_flags (AqmpExecuteFlags   flags,
             GError           **error)
{
  if (flags == AQMP_EXECUTE_FLAGS_NONE)
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                       _("The flags ask for a way of execution that this session does not have"));
  return FALSE;
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
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (command != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = begin_task (self, cancellable, callback, user_data, aqmp_client_execute_async);
  if (task == NULL)
    return;

  if (check_flags (flags, &error))
    execute (self, task, command, arguments, NULL, -1);
  else
    g_task_return_error (task, error);
}

static JsonNode *
finish_with_tree (GAsyncResult  *result,
                  GError       **error)
{
  Reply *reply = g_task_propagate_pointer (G_TASK (result), error);
  JsonNode *node;

  if (reply == NULL)
    return NULL;

  node = aqmp_message_build (&reply->message, AQMP_MEMBER_RETURN, error);
  reply_free (reply);
  return node;
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
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_client_execute_async), NULL);

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
 * %G_IO_ERROR_NOT_SUPPORTED, and nothing is sent. One that is closed already fails it with %G_IO_ERROR_INVALID_ARGUMENT. The
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
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (command != NULL);
  g_return_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list));
  g_return_if_fail (timeout_ms >= -1);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = begin_task (self, cancellable, callback, user_data, aqmp_client_execute_full_async);
  if (task == NULL)
    return;

  if (check_flags (flags, &error))
    execute (self, task, command, arguments, fd_list, timeout_ms);
  else
    g_task_return_error (task, error);
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
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_client_execute_full_async), NULL);

  return finish_with_tree (result, error);
}

/* --- The raw form ------------------------------------------------------------------------------------------------- */

/* Locked. */
static gboolean
send_command_locked (AqmpClient   *self,
                     AqmpCall     *call,
                     AqmpCommand  *command,
                     GError      **error)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (!aqmp_protocol_require_runstate_locked (AQMP_PROTOCOL (self), AQMP_RUNSTATE_RUNNING, error) ||
      !check_descriptors (self, call, error))
    return FALSE;

  if (command->out_of_band && !priv->oob_enabled)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                           _("The session has not negotiated out-of-band execution; use “execute”"));
      return FALSE;
    }

  if (command->has_id)
    call->id.own = g_steal_pointer (&command->id.own);
  else
    call->id.serial = ++priv->last_serial;

  aqmp_command_append (command, call->id.serial, begin_text (self, call));
  return queue_call (self, call, priv->call_timeout, error);
}

static gboolean
send_command (AqmpClient   *self,
              AqmpCall     *call,
              AqmpCommand  *command,
              GError      **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  gboolean sent;

  aqmp_protocol_lock (protocol);
  sent = send_command_locked (self, call, command, error);
  aqmp_protocol_unlock (protocol);

  return sent;
}

static void
execute_raw (AqmpClient  *self,
             GTask       *task,
             AqmpCommand *command,
             GUnixFDList *fd_list)
{
  AqmpCall *call = aqmp_call_new (task);
  GError *error = NULL;
  gboolean sent;

  call->quits = command->quits;
  call->out_of_band = command->out_of_band;
  sent = copy_descriptors (call, fd_list, &error) && send_command (self, call, command, &error);

  aqmp_call_unref (call);
  if (!sent)
    g_task_return_error (task, error);
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
  g_autoptr (GTask) task = NULL;
  AqmpCommand command;
  GError *error = NULL;

  g_return_if_fail (AQMP_IS_CLIENT (self));
  g_return_if_fail (message != NULL);
  g_return_if_fail (fd_list == NULL || G_IS_UNIX_FD_LIST (fd_list));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = begin_task (self, cancellable, callback, user_data, aqmp_client_execute_raw_async);
  if (task == NULL)
    return;

  if (!aqmp_command_parse (&command, message, &error))
    {
      g_task_return_error (task, error);
      return;
    }

  execute_raw (self, task, &command, fd_list);
  aqmp_command_clear (&command);
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
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_client_execute_raw_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
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
