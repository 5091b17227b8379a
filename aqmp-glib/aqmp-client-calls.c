/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-alloc-private.h"
#include "aqmp-command-private.h"
#include "aqmp-error.h"
#include "aqmp-protocol-private.h"

/* Threads: any. The table of calls and the outbound queue are under the protocol's lock ("Locked" at those that need it held); tasks
   are returned outside, in the owner's thread or the caller's. */

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

static void
return_to_caller (AqmpCall       *call,
                  gpointer        value,
                  GDestroyNotify  destroy,
                  GError         *error)
{
  aqmp_watch_stop (&call->watch);
  aqmp_protocol_returns_task (AQMP_PROTOCOL (call->client));
  aqmp_result_return (g_steal_pointer (&call->result), value, destroy, error);
}

/* The call has left the table. This may run the caller's callback: nothing may be touched after that. */
static void
return_call (AqmpCall       *call,
             gpointer        result,
             GDestroyNotify  destroy,
             GError         *error)
{
  if (call->blocking != NULL)
    aqmp_blocking_return (call->blocking, result, destroy, error);
  else
    return_to_caller (call, result, destroy, error);
}

void
aqmp_call_complete (AqmpCall          *call,
                    const AqmpMessage *message)
{
  GError *error = aqmp_message_check_reply (message);

  if (error == NULL && !call->raw && aqmp_message_has (message, AQMP_MEMBER_ERROR))
    error = aqmp_message_get_error (message);

  if (error != NULL)
    return_call (call, NULL, NULL, error);
  else if (call->raw)
    return_call (call, g_bytes_ref (message->message), (GDestroyNotify) g_bytes_unref, NULL);
  else
    return_call (call, reply_new (message), reply_free, NULL);
}

JsonNode *
aqmp_call_reply_build (gpointer   reply,
                       GError   **error)
{
  Reply *self = reply;
  JsonNode *node = aqmp_message_build (&self->message, AQMP_MEMBER_RETURN, error);

  reply_free (self);
  return node;
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

  /* Otherwise nothing is ever held back. */
  while (priv->oob_enabled && (call = aqmp_pending_release (&priv->pending)) != NULL)
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
  /* The result, which keeps it, calls back in this context, and so not now; and then the watch tells no more. */
  AqmpClient *self = AQMP_CLIENT (call->client);
  AqmpResult *result = NULL;
  gboolean done = TRUE;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  if (aqmp_call_is_awaited (call))
    {
      if (take_back (self, call))
        result = g_steal_pointer (&call->result);
      else if (urgently)
        done = FALSE;
      else
        {
          result = g_steal_pointer (&call->result);
          aqmp_pending_abandon (&aqmp_client_get_private (self)->pending, call);
        }
    }
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  if (result != NULL)
    {
      aqmp_watch_stop (&call->watch);
      aqmp_result_return (result, NULL, NULL, g_error_copy (error));
    }

  return done;
}

gboolean
aqmp_client_give_up_call (AqmpClient *self,
                          AqmpCall   *call)
{
  gboolean given_up;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  given_up = aqmp_call_is_awaited (call);
  if (given_up)
    {
      g_clear_pointer (&call->blocking, aqmp_blocking_unref);
      if (!take_back (self, call))
        aqmp_pending_abandon (&aqmp_client_get_private (self)->pending, call);
    }
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  return given_up;
}

typedef struct
{
  GQueue  calls;         /* (element-type AqmpCall) (owned) */
  GTask  *establishing;  /* (owned) (nullable) */
  GQueue  held_events;   /* (element-type GBytes) (owned) */
  GQueue  waiters;       /* (element-type GTask) (owned): for events */
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
  Stolen *stolen = aqmp_new0 (Stolen);

  steal_held (aqmp_client_get_private (AQMP_CLIENT (protocol)), stolen);
  return stolen;
}

/* Everything that belongs to the session that has ended. */
gpointer
aqmp_client_steal_calls (AqmpProtocol *protocol)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (AQMP_CLIENT (protocol));
  Stolen *stolen = aqmp_new0 (Stolen);
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
  stolen->waiters = aqmp_client_steal_waiters (AQMP_CLIENT (protocol));

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

static GError *
interrupted_wait (const GError *cause)
{
  if (cause == NULL)
    return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session ended before an event came"));
  return g_error_new (AQMP_ERROR, AQMP_ERROR_INTERRUPTED, _("The session failed before an event came: %s"),
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
      if (call->result != NULL || call->blocking != NULL)
        return_call (call, NULL, NULL, interrupted (cause));
      aqmp_call_unref (call);
    }

  if (!g_queue_is_empty (&stolen->waiters))
    {
      g_autoptr (GError) no_event = interrupted_wait (cause);

      aqmp_waiters_return (&stolen->waiters, no_event);
    }

  /* The attempt is over, and asks no more; but a task that is dropped without being returned would be a mistake. */
  if (stolen->establishing != NULL)
    g_task_return_error (stolen->establishing, interrupted (cause));
  g_clear_object (&stolen->establishing);
  g_queue_clear_full (&stolen->held_events, (GDestroyNotify) g_bytes_unref);
  g_free (stolen);
}

/* --- The beginning ------------------------------------------------------------------------------------------------ */

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

/* Locked. */
static gboolean
check_out_of_band (AqmpClient  *self,
                   AqmpCall    *call,
                   GError     **error)
{
  if (!call->out_of_band || aqmp_client_get_private (self)->oob_enabled)
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                       _("The session has not negotiated out-of-band execution; execute the command in-band"));
  return FALSE;
}

/* Locked. Whether the call is possible in the session that there is. */
static gboolean
check_session (AqmpClient  *self,
               AqmpCall    *call,
               GError     **error)
{
  return aqmp_protocol_require_runstate_locked (AQMP_PROTOCOL (self), AQMP_RUNSTATE_RUNNING, error) &&
         check_out_of_band (self, call, error) && check_descriptors (self, call, error);
}

static gboolean
check_flags (AqmpExecuteFlags   flags,
             GError           **error)
{
  if ((flags & ~AQMP_EXECUTE_FLAGS_OOB) == 0)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("This version does not know the execution flags 0x%x"),
               flags & ~AQMP_EXECUTE_FLAGS_OOB);
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
  call->timeout_ms = timeout_ms;
  if (call->result != NULL)
    aqmp_watch_start_in (&call->watch, aqmp_result_get_context (call->result), G_PRIORITY_DEFAULT,
                         aqmp_result_get_cancellable (call->result), timeout_ms, give_up, call, aqmp_call_unref);
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

  if (!check_session (self, call, error))
    return FALSE;

  call->id.serial = ++priv->last_serial;
  if (!aqmp_command_compose (command, call->out_of_band, arguments, call->id.serial, begin_text (self, call), error))
    {
      discard_text (self, call);
      return FALSE;
    }

  return queue_call (self, call, timeout_ms, error);
}

gboolean
aqmp_client_send_composed (AqmpClient        *self,
                           AqmpCall          *call,
                           const char        *command,
                           JsonObject        *arguments,
                           GUnixFDList       *fd_list,
                           AqmpExecuteFlags   flags,
                           int                timeout_ms,
                           GError           **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  gboolean sent;

  if (!check_flags (flags, error) || !copy_descriptors (call, fd_list, error))
    return FALSE;

  call->quits = aqmp_command_name_quits (command);
  call->out_of_band = (flags & AQMP_EXECUTE_FLAGS_OOB) != 0;

  aqmp_protocol_lock (protocol);
  sent = send_composed_locked (self, call, command, arguments,
                               timeout_ms < 0 ? aqmp_client_get_private (self)->call_timeout : (guint) timeout_ms, error);
  aqmp_protocol_unlock (protocol);

  return sent;
}

/* --- Commands as text --------------------------------------------------------------------------------------------- */

/* Locked. */
static gboolean
send_command_locked (AqmpClient   *self,
                     AqmpCall     *call,
                     AqmpCommand  *command,
                     GError      **error)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (!check_session (self, call, error))
    return FALSE;

  if (command->has_id)
    call->id.own = g_steal_pointer (&command->id.own);
  else
    call->id.serial = ++priv->last_serial;

  aqmp_command_append (command, call->id.serial, begin_text (self, call));
  return queue_call (self, call, priv->call_timeout, error);
}

gboolean
aqmp_client_send_raw (AqmpClient   *self,
                      AqmpCall     *call,
                      const char   *message,
                      GUnixFDList  *fd_list,
                      GError      **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  AqmpCommand command;
  gboolean sent;

  if (!aqmp_command_parse (&command, message, error))
    return FALSE;

  call->raw = TRUE;
  call->quits = command.quits;
  call->out_of_band = command.out_of_band;
  sent = copy_descriptors (call, fd_list, error);
  if (sent)
    {
      aqmp_protocol_lock (protocol);
      sent = send_command_locked (self, call, &command, error);
      aqmp_protocol_unlock (protocol);
    }

  aqmp_command_clear (&command);
  return sent;
}
