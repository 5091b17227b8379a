/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-enum-types.h"
#include "aqmp-error.h"
#include "aqmp-watch-private.h"

/* Threads: the owner's, unless the documentation of a function says otherwise. What others may reach is under the lock, in which
   nobody is called but a hook that says so. */

#define DEFAULT_MAX_MESSAGE_SIZE (10 * 1024 * 1024)
#define DEFAULT_CONNECT_TIMEOUT_MS 30000
#define DEFAULT_FLUSH_TIMEOUT_MS 5000

/**
 * AqmpProtocol:
 *
 * A session of messages with a peer, over any stream.
 *
 * It connects, establishes a session, reads, writes, and takes care of everything that can go wrong on that way. What
 * the messages mean is left to subclasses, such as [class@Client].
 *
 * ## States
 *
 * [property@Protocol:runstate] goes from [enum@Runstate.IDLE] through [enum@Runstate.CONNECTING] to
 * [enum@Runstate.RUNNING], and through [enum@Runstate.DISCONNECTING] back to [enum@Runstate.IDLE]. A running session
 * that fails stays [enum@Runstate.DISCONNECTING] until [method@Protocol.disconnect_async] is called;
 * [method@Protocol.get_error] tells the cause before that. The same object can be used for any number of sessions, one
 * after the other.
 *
 * ## Subclasses
 *
 * A subclass implements [vfunc@Protocol.message_received] to handle what arrives, and calls
 * [method@Protocol.send_message]. If the peers have to greet each other first, it implements
 * [vfunc@Protocol.establish_session]. A message is a line, unless a subclass in C or Vala provides the `frame` slot of
 * the class structure.
 *
 * `frame` is given what has arrived and not been consumed. It returns how many bytes the first whole message takes up,
 * and stores how many of those, from the start, are the message itself (or %AQMP_PROTOCOL_NO_MESSAGE if they are no
 * message). It returns 0 if it needs more, and -1 with an error to fail the session. It is told how many of the bytes
 * it was shown the last time, when it needed more, so that it need not look at them again (0 means that a new message
 * begins), and whether nothing more can come.
 *
 * ## Threads
 *
 * A session belongs to the [struct@GLib.MainContext] that was the thread-default one when it was connected or opened, or its
 * server started.
 * This is the owner's context: all virtual functions and signals run there. [method@Protocol.send_message],
 * [method@Protocol.accept_async], [method@Protocol.flush_async], [method@Protocol.disconnect_async], [method@Protocol.fail],
 * [method@Protocol.get_runstate], [method@Protocol.require_runstate] and the blocking forms may be called from any thread, and the
 * last reference may be dropped in any thread. Everything else is for the thread that runs that context.
 *
 * The blocking forms, whose names end in `_sync`, need no main loop: in the owner's thread they read and write themselves.
 *
 * Since: 1.0
 */

enum
{
  PROP_NAME = 1,
  PROP_RUNSTATE,
  PROP_STREAM,
  PROP_LISTEN_ADDRESS,
  PROP_MAX_MESSAGE_SIZE,
  PROP_QUEUED_BYTES,
  PROP_CONNECT_TIMEOUT,
  PROP_FLUSH_TIMEOUT,
  N_PROPERTIES
};

G_STATIC_ASSERT (N_PROPERTIES <= AQMP_PROTOCOL_FIRST_TLS_PROPERTY);

enum
{
  SIGNAL_RUNSTATE_CHANGED,
  SIGNAL_EVENT,
  SIGNAL_ACCEPT_CERTIFICATE,
  N_SIGNALS
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (AqmpProtocol, aqmp_protocol, G_TYPE_OBJECT)

gint aqmp_protocol_private_offset;

/* --- Defaults of the virtual functions ---------------------------------------------------------------------------- */

static void
runstate_changed_default (AqmpProtocol *self,
                          AqmpRunstate  runstate)
{
}

static void
event_default (AqmpProtocol *self,
               AqmpEvent    *event)
{
}

/**
 * AqmpProtocolClass::establish_session:
 * @self: a protocol
 * @task: a task to return %TRUE with, or an error, when the session is established or cannot be
 * @error: return location for an error
 *
 * Does what has to be done on a new connection before the session runs, such as greeting each other.
 *
 * It may return @task before it returns itself, or keep a reference and return it later with
 * [method@Gio.Task.return_boolean]. Meanwhile [method@Protocol.read_message_async] and
 * [method@Protocol.write_message_async] are possible. The cancellable of @task is cancelled when the attempt is given
 * up; what is returned after that is ignored, and so is a second return. A task that is dropped without being returned
 * fails the attempt.
 *
 * The default returns @task at once. Called in the owner's context.
 *
 * Returns: %TRUE if @task was or will be returned, %FALSE if the session cannot be established. %FALSE without an error
 *   stands for [error@Error.FAILED].
 *
 * Since: 1.0
 */
static gboolean
establish_session_default (AqmpProtocol  *self,
                           GTask         *task,
                           GError       **error)
{
  g_task_return_boolean (task, TRUE);
  return TRUE;
}

/**
 * AqmpProtocolClass::message_received:
 * @self: a protocol
 * @message: what has arrived: by default a line without its ending
 * @error: return location for an error
 *
 * Handles a message of a running session, after [vfunc@Protocol.filter_inbound].
 *
 * The default does nothing with it. Called in the owner's context.
 *
 * Returns: %TRUE to go on, %FALSE to fail the session. %FALSE without an error stands for [error@Error.FAILED].
 *
 * Since: 1.0
 */
static gboolean
message_received_default (AqmpProtocol  *self,
                          GBytes        *message,
                          GError       **error)
{
  return TRUE;
}

/**
 * AqmpProtocolClass::filter_inbound:
 * @self: a protocol
 * @message: what has arrived
 * @error: return location for an error
 *
 * Looks at each message that arrives, also while the session is being established, and may put another in its place.
 *
 * The default returns @message, and costs nothing. Called in the owner's context.
 *
 * Returns: (transfer full) (nullable): the message to go on with, or %NULL to fail the session. %NULL without an error
 *   stands for [error@Error.FAILED].
 *
 * Since: 1.0
 */
/**
 * AqmpProtocolClass::filter_outbound:
 * @self: a protocol
 * @message: what will be sent
 * @error: return location for an error
 *
 * Looks at each message before it is written, also while the session is being established, and may put another in its
 * place.
 *
 * The `id` of a QMP command has to stay. The default returns @message, and costs nothing. Called in the owner's
 * context, for messages that were queued in other threads too.
 *
 * Returns: (transfer full) (nullable): the message to write, or %NULL to fail the session. %NULL without an error
 *   stands for [error@Error.FAILED].
 *
 * Since: 1.0
 */
GBytes *
aqmp_protocol_pass_on (AqmpProtocol  *self,
                       GBytes        *message,
                       GError       **error)
{
  return g_bytes_ref (message);
}

/**
 * AqmpProtocolClass::session_ended:
 * @self: a protocol
 * @cause: (nullable): why the session has failed, or %NULL after a clean end
 *
 * Ends what a subclass has pending. It is called once for each connection, after the stream was closed and before
 * [signal@Protocol::runstate-changed] tells of it.
 *
 * The default does nothing. Called in the owner's context.
 *
 * Since: 1.0
 */
static void
session_ended_default (AqmpProtocol *self,
                       const GError *cause)
{
}

/**
 * AqmpProtocolClass::frame: (skip)
 * @self: a protocol
 * @data: (array length=length): what has arrived and was not consumed
 * @length: number of bytes at @data
 * @scanned: how many of them were there at the last call for the same message; 0 if a new message begins
 * @at_eof: whether nothing more can come
 * @payload_length: (out): how many of the bytes consumed, from the first, are the message itself
 * @error: return location for an error
 *
 * Finds the first whole message in what has arrived; see the description of the class. It must not run the main loop:
 * what is at @data could move.
 *
 * Returns: how many bytes it takes up, 0 if it needs more, -1 to fail the session
 *
 * Since: 1.0
 */
static gssize
frame_line (AqmpProtocol  *self,
            const guint8  *data,
            gsize          length,
            gsize          scanned,
            gboolean       at_eof,
            gsize         *payload_length,
            GError       **error)
{
  return aqmp_framing_line (data, length, scanned, at_eof, payload_length);
}

GError *
aqmp_protocol_error_from_vfunc (AqmpProtocol *self,
                                const char   *function,
                                GError       *error)
{
  if (error != NULL)
    return error;

  return g_error_new (AQMP_ERROR, AQMP_ERROR_FAILED, _("%s() of %s failed without saying why"), function,
                      G_OBJECT_TYPE_NAME (self));
}

/* --- Hooks -------------------------------------------------------------------------------------------------------- */

static void
session_starting_default (AqmpProtocol *self)
{
}

static gpointer
steal_calls_default (AqmpProtocol *self)
{
  return NULL;
}

static void
fail_calls_default (AqmpProtocol *self,
                    gpointer      calls,
                    const GError *cause)
{
}

static void
session_started_default (AqmpProtocol *self)
{
}

static void
hear_event_default (AqmpProtocol *self,
                    AqmpEvent    *event)
{
}

static gboolean
waits_for_peer_default (AqmpProtocol *self)
{
  return FALSE;
}

static gboolean
is_expected_end_default (AqmpProtocol *self,
                         const GError *error)
{
  return FALSE;
}

static gboolean
check_filtered_default (AqmpProtocol  *self,
                        GBytes        *original,
                        GBytes        *replacement,
                        GError       **error)
{
  return TRUE;
}

static char *
describe_message_default (AqmpProtocol *self,
                          GBytes       *message)
{
  gsize length;
  const char *text = g_bytes_get_data (message, &length);

  return length > 0 ? g_utf8_make_valid (text, length) : g_strdup ("");
}

static const AqmpProtocolHooks default_hooks = {
  .session_starting = session_starting_default,
  .steal_calls = steal_calls_default,
  .steal_held_calls = steal_calls_default,
  .fail_calls = fail_calls_default,
  .session_started = session_started_default,
  .hear_event = hear_event_default,
  .waits_for_peer = waits_for_peer_default,
  .is_expected_end = is_expected_end_default,
  .check_filtered = check_filtered_default,
  .describe_message = describe_message_default,
};

void
aqmp_protocol_set_hooks (AqmpProtocol            *self,
                         const AqmpProtocolHooks *hooks)
{
  aqmp_protocol_get_private (self)->hooks = hooks;
}

/* --- The log ------------------------------------------------------------------------------------------------------ */

/* What g_log_structured() does, without formatting once more what nobody may read. */
static void
log_message (GLogLevelFlags  level,
             const char     *name,
             const char     *message)
{
  const char *priority = level == G_LOG_LEVEL_DEBUG ? "7" : level == G_LOG_LEVEL_INFO ? "6" : "5";
  const GLogField fields[] = {
    { "PRIORITY", priority, -1 },
    { "GLIB_DOMAIN", G_LOG_DOMAIN, -1 },
    { "AQMP_NAME", name, -1 },
    { "MESSAGE", message, -1 },
  };

  g_log_structured_array (level, fields, G_N_ELEMENTS (fields));
}

static void
log_text (AqmpProtocol   *self,
          GLogLevelFlags  level,
          const char     *text)
{
  g_autofree char *own_name = aqmp_protocol_dup_name (self);
  const char *name = own_name != NULL ? own_name : G_OBJECT_TYPE_NAME (self);
  g_autofree char *message = g_strconcat ("[", name, "] ", text, NULL);

  log_message (level, name, message);
}

void
aqmp_protocol_log (AqmpProtocol   *self,
                   GLogLevelFlags  level,
                   const char     *format,
                   ...)
{
  g_autofree char *text = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);

  log_text (self, level, text);
}

/* --- States ------------------------------------------------------------------------------------------------------- */

const char *
aqmp_protocol_get_runstate_nick (AqmpRunstate runstate)
{
  static const char * const nicks[] = { "idle", "connecting", "running", "disconnecting" };

  return nicks[runstate];
}

/* What the caller can do about the state that the object is in. */
static const char *
way_out (AqmpRunstate runstate,
         AqmpRunstate required)
{
  switch (runstate)
    {
    case AQMP_RUNSTATE_IDLE:
      return _("connect it first");
    case AQMP_RUNSTATE_CONNECTING:
      return required == AQMP_RUNSTATE_RUNNING ? _("wait until it is connected, for which a server has to accept a peer")
                                               : _("disconnect it first");
    case AQMP_RUNSTATE_RUNNING:
      return _("disconnect it first");
    case AQMP_RUNSTATE_DISCONNECTING:
    default:
      return required == AQMP_RUNSTATE_RUNNING ? _("disconnect it, which tells how its session ended, then connect it again")
                                               : _("disconnect it, and wait for the result of that");
    }
}

gboolean
aqmp_protocol_require_runstate_locked (AqmpProtocol  *self,
                                       AqmpRunstate   required,
                                       GError       **error)
{
  AqmpRunstate runstate = aqmp_protocol_get_private (self)->runstate;

  if (runstate == required)
    return TRUE;

  g_set_error (error, AQMP_ERROR, AQMP_ERROR_STATE, _("%s is in state “%s” and would have to be in state “%s”: %s"),
               G_OBJECT_TYPE_NAME (self), aqmp_protocol_get_runstate_nick (runstate), aqmp_protocol_get_runstate_nick (required),
               way_out (runstate, required));
  return FALSE;
}

/**
 * aqmp_protocol_require_runstate:
 * @self: a protocol
 * @required: the state that is needed
 * @error: return location for an error
 *
 * Checks that the object is in a state, for functions that are not possible in another.
 *
 * The error is [error@Error.STATE]; its message names the class, the state that it is in, and the way out.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if it is in that state
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_require_runstate (AqmpProtocol  *self,
                                AqmpRunstate   required,
                                GError       **error)
{
  gboolean is_so;

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);

  aqmp_protocol_lock (self);
  is_so = aqmp_protocol_require_runstate_locked (self, required, error);
  aqmp_protocol_unlock (self);

  return is_so;
}

void
aqmp_protocol_set_runstate (AqmpProtocol *self,
                            AqmpRunstate  runstate)
{
  aqmp_protocol_lock (self);
  aqmp_protocol_get_private (self)->runstate = runstate;
  aqmp_protocol_unlock (self);
}

/* The present state counts, not a transition that others may have overtaken. */
void
aqmp_protocol_wake_state_waiters (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpRunstate known;

  for (known = AQMP_RUNSTATE_IDLE; known <= AQMP_RUNSTATE_DISCONNECTING; known++)
    {
      /* Looked at anew: who was woken may have changed it, and wait for the end of that. */
      AqmpRunstate runstate = priv->runstate;
      GQueue tasks = G_QUEUE_INIT;
      GTask *task;

      if (known != runstate)
        tasks = aqmp_waiters_steal (&priv->state_waiters[known]);

      while ((task = g_queue_pop_head (&tasks)) != NULL)
        {
          g_task_return_int (task, runstate);
          g_object_unref (task);
        }
    }
}

void
aqmp_protocol_announce_runstate (AqmpProtocol *self,
                                 AqmpRunstate  runstate)
{
  aqmp_protocol_tell_deferred_states (self);
  aqmp_protocol_tell_runstate (self, runstate);
}

void
aqmp_protocol_tell_runstate (AqmpProtocol *self,
                             AqmpRunstate  runstate)
{
  GMainContext *inner;
  guint n_left;

  log_text (self, G_LOG_LEVEL_DEBUG, aqmp_protocol_get_runstate_nick (runstate));

  n_left = aqmp_protocol_leave_inner_context (self, &inner);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_RUNSTATE]);
  g_signal_emit (self, signals[SIGNAL_RUNSTATE_CHANGED], 0, runstate);
  aqmp_protocol_reenter_inner_context (inner, n_left);

  aqmp_protocol_wake_state_waiters (self);
}

/**
 * aqmp_protocol_wait_runstate_async:
 * @self: a protocol
 * @known: the state that the caller knows of
 * @cancellable: (nullable): gives up waiting
 * @callback: (scope async) (closure user_data): called when the state differs from @known
 * @user_data: data for @callback
 *
 * Waits until [property@Protocol:runstate] is another than @known: at once if it already is. So no change can be missed
 * between two calls, if the second is told what the first has found. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_wait_runstate_async (AqmpProtocol        *self,
                                   AqmpRunstate         known,
                                   GCancellable        *cancellable,
                                   GAsyncReadyCallback  callback,
                                   gpointer             user_data)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (known <= AQMP_RUNSTATE_DISCONNECTING);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, aqmp_protocol_wait_runstate_async);
  g_task_set_name (task, "[aqmp] wait for runstate");
  g_task_set_check_cancellable (task, FALSE);

  if (g_task_return_error_if_cancelled (task))
    return;

  if (priv->runstate != known)
    g_task_return_int (task, priv->runstate);
  else
    aqmp_waiters_add (&priv->state_waiters[known], g_steal_pointer (&task));
}

/**
 * aqmp_protocol_wait_runstate_finish:
 * @self: a protocol
 * @result: the result that the callback was given
 * @runstate: (out) (optional): the state that was reached
 * @error: return location for an error
 *
 * Gets what [method@Protocol.wait_runstate_async] has found.
 *
 * Returns: %TRUE if the state has changed, %FALSE if the wait was cancelled
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_wait_runstate_finish (AqmpProtocol  *self,
                                    GAsyncResult  *result,
                                    AqmpRunstate  *runstate,
                                    GError       **error)
{
  gssize reached;

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, aqmp_protocol_wait_runstate_async), FALSE);

  reached = g_task_propagate_int (G_TASK (result), error);
  if (reached < 0)
    return FALSE;

  if (runstate != NULL)
    *runstate = reached;
  return TRUE;
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static gboolean
has_event_handler (AqmpProtocol     *self,
                   GSignalMatchType  mask,
                   GQuark            detail)
{
  return g_signal_handler_find (self, mask | G_SIGNAL_MATCH_ID | G_SIGNAL_MATCH_UNBLOCKED, signals[SIGNAL_EVENT], detail,
                                NULL, NULL, NULL) != 0;
}

/* Looks whether a handler hears all events. */
static gboolean
are_all_events_heard (AqmpProtocol *self)
{
  return aqmp_protocol_get_private (self)->hears_all = has_event_handler (self, G_SIGNAL_MATCH_DETAIL, 0);
}

gboolean
aqmp_protocol_is_event_heard (AqmpProtocol *self,
                              const char   *name)
{
  GQuark detail;

  if (AQMP_PROTOCOL_GET_CLASS (self)->event != event_default)
    return TRUE;

  /* What was so last time is likely to be so again: then one look is enough. */
  if (aqmp_protocol_get_private (self)->hears_all && are_all_events_heard (self))
    return TRUE;
  if (!has_event_handler (self, 0, 0))
    return FALSE;
  if (are_all_events_heard (self))
    return TRUE;

  detail = g_quark_try_string (name);
  return detail != 0 && has_event_handler (self, G_SIGNAL_MATCH_DETAIL, detail);
}

/**
 * aqmp_protocol_emit_event:
 * @self: a protocol
 * @event: an event
 *
 * Emits [signal@Protocol::event], with the name of the event as its detail. For subclasses. To be called in the owner's
 * context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_emit_event (AqmpProtocol *self,
                          AqmpEvent    *event)
{
  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (AQMP_IS_EVENT (event));

  aqmp_protocol_get_private (self)->hooks->hear_event (self, event);
  if (!aqmp_protocol_defer_event (self, event))
    aqmp_protocol_tell_event (self, event);
}

void
aqmp_protocol_tell_event (AqmpProtocol *self,
                          AqmpEvent    *event)
{
  guint n_vfuncs;

  /* A name that nobody has connected to has no quark, and must not get one from a peer. */
  n_vfuncs = aqmp_protocol_suspend_vfuncs (self);
  g_signal_emit (self, signals[SIGNAL_EVENT], g_quark_try_string (aqmp_event_get_name (event)), event);
  aqmp_protocol_resume_vfuncs (self, n_vfuncs);
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

void
aqmp_protocol_set_stream (AqmpProtocol *self,
                          GIOStream    *stream)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (g_set_object (&priv->stream, stream) && !aqmp_protocol_defer_notify (self, properties[PROP_STREAM]))
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STREAM]);
}

void
aqmp_protocol_set_listen_address (AqmpProtocol   *self,
                                  GSocketAddress *address)
{
  if (g_set_object (&aqmp_protocol_get_private (self)->listen_address, address))
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LISTEN_ADDRESS]);
}

char *
aqmp_protocol_dup_name (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  char *name;

  aqmp_protocol_lock (self);
  name = g_strdup (priv->name);
  aqmp_protocol_unlock (self);

  return name;
}

/**
 * aqmp_protocol_get_name: (get-property name)
 * @self: a protocol
 *
 * Gets the name that the object has in the log. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): the name
 *
 * Since: 1.0
 */
const char *
aqmp_protocol_get_name (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->name;
}

/**
 * aqmp_protocol_set_name: (set-property name)
 * @self: a protocol
 * @name: (nullable): a name, such as that of the virtual machine
 *
 * Sets the name that the object has in the log. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_name (AqmpProtocol *self,
                        const char   *name)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));

  if (g_strcmp0 (priv->name, name) == 0)
    return;

  aqmp_protocol_lock (self);
  g_free (priv->name);
  priv->name = g_strdup (name);
  aqmp_protocol_unlock (self);

  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_NAME]);
}

/**
 * aqmp_protocol_get_runstate: (get-property runstate)
 * @self: a protocol
 *
 * Gets the state that the object is in. May be called from any thread.
 *
 * Returns: the state
 *
 * Since: 1.0
 */
AqmpRunstate
aqmp_protocol_get_runstate (AqmpProtocol *self)
{
  AqmpRunstate runstate;

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), AQMP_RUNSTATE_IDLE);

  aqmp_protocol_lock (self);
  runstate = aqmp_protocol_get_private (self)->runstate;
  aqmp_protocol_unlock (self);

  return runstate;
}

/**
 * aqmp_protocol_get_stream: (get-property stream)
 * @self: a protocol
 *
 * Gets the stream of the session, for example to ask for the peer's credentials. It must not be read, written or
 * closed. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): the stream, or %NULL without a session
 *
 * Since: 1.0
 */
GIOStream *
aqmp_protocol_get_stream (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->stream;
}

/**
 * aqmp_protocol_get_listen_address: (get-property listen-address)
 * @self: a protocol
 *
 * Gets where a server that [method@Protocol.start_server] has started listens. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): the address, with the port that the system has chosen; %NULL while it does not listen
 *
 * Since: 1.0
 */
GSocketAddress *
aqmp_protocol_get_listen_address (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->listen_address;
}

/**
 * aqmp_protocol_get_max_message_size: (get-property max-message-size)
 * @self: a protocol
 *
 * Gets how many bytes a message from the peer may have. To be called in the owner's context.
 *
 * Returns: the limit in bytes
 *
 * Since: 1.0
 */
guint64
aqmp_protocol_get_max_message_size (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), 0);

  return aqmp_protocol_get_private (self)->max_message_size;
}

/**
 * aqmp_protocol_set_max_message_size: (set-property max-message-size)
 * @self: a protocol
 * @max_message_size: the limit in bytes, at least 1
 *
 * Sets how many bytes a message from the peer may have; one that has more fails the session. Holds from the next
 * message on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_max_message_size (AqmpProtocol *self,
                                    guint64       max_message_size)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (max_message_size > 0);

  if (priv->max_message_size == max_message_size)
    return;

  priv->max_message_size = max_message_size;
  if (priv->transport != NULL)
    aqmp_transport_set_max_message_size (priv->transport, max_message_size);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MAX_MESSAGE_SIZE]);
}

/**
 * aqmp_protocol_get_queued_bytes: (get-property queued-bytes)
 * @self: a protocol
 *
 * Gets how many bytes are waiting to be written to the peer. A peer that does not read makes it grow. To be called in
 * the owner's context.
 *
 * Returns: a number of bytes
 *
 * Since: 1.0
 */
guint64
aqmp_protocol_get_queued_bytes (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint64 queued;

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), 0);

  aqmp_protocol_lock (self);
  queued = priv->unfiltered_bytes;
  if (priv->transport != NULL)
    queued += aqmp_transport_get_queued_bytes (priv->transport);
  aqmp_protocol_unlock (self);

  return queued;
}

/**
 * aqmp_protocol_get_connect_timeout: (get-property connect-timeout)
 * @self: a protocol
 *
 * Gets how long connecting may take. To be called in the owner's context.
 *
 * Returns: a number of milliseconds, 0 for no limit
 *
 * Since: 1.0
 */
guint
aqmp_protocol_get_connect_timeout (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), 0);

  return aqmp_protocol_get_private (self)->connect_timeout;
}

/**
 * aqmp_protocol_set_connect_timeout: (set-property connect-timeout)
 * @self: a protocol
 * @connect_timeout: a number of milliseconds, 0 for no limit
 *
 * Sets how long connecting may take, from the call until the session is established. Holds from the next attempt on.
 * To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_connect_timeout (AqmpProtocol *self,
                                   guint         connect_timeout)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));

  if (priv->connect_timeout == connect_timeout)
    return;

  priv->connect_timeout = connect_timeout;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_CONNECT_TIMEOUT]);
}

/**
 * aqmp_protocol_get_flush_timeout: (get-property flush-timeout)
 * @self: a protocol
 *
 * Gets how long a disconnect may take to write what is queued. To be called in the owner's context.
 *
 * Returns: a number of milliseconds, 0 for closing at once
 *
 * Since: 1.0
 */
guint
aqmp_protocol_get_flush_timeout (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), 0);

  return aqmp_protocol_get_private (self)->flush_timeout;
}

/**
 * aqmp_protocol_set_flush_timeout: (set-property flush-timeout)
 * @self: a protocol
 * @flush_timeout: a number of milliseconds, 0 for closing at once
 *
 * Sets how long a disconnect may take to write what is queued. Holds from the next disconnect on. To be called in the
 * owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_flush_timeout (AqmpProtocol *self,
                                 guint         flush_timeout)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));

  if (priv->flush_timeout == flush_timeout)
    return;

  priv->flush_timeout = flush_timeout;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_FLUSH_TIMEOUT]);
}

/**
 * aqmp_protocol_get_error:
 * @self: a protocol
 *
 * Gets why the session has failed, from then until it is disconnected. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): the first cause, or %NULL if there is none
 *
 * Since: 1.0
 */
const GError *
aqmp_protocol_get_error (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->cause;
}

/* --- The class ---------------------------------------------------------------------------------------------------- */

static void
aqmp_protocol_get_property (GObject    *object,
                            guint       property_id,
                            GValue     *value,
                            GParamSpec *pspec)
{
  AqmpProtocol *self = AQMP_PROTOCOL (object);

  switch (property_id)
    {
    case PROP_NAME:
      g_value_take_string (value, aqmp_protocol_dup_name (self));
      break;
    case PROP_RUNSTATE:
      g_value_set_enum (value, aqmp_protocol_get_runstate (self));
      break;
    case PROP_STREAM:
      g_value_set_object (value, aqmp_protocol_get_stream (self));
      break;
    case PROP_LISTEN_ADDRESS:
      g_value_set_object (value, aqmp_protocol_get_listen_address (self));
      break;
    case PROP_MAX_MESSAGE_SIZE:
      g_value_set_uint64 (value, aqmp_protocol_get_max_message_size (self));
      break;
    case PROP_QUEUED_BYTES:
      g_value_set_uint64 (value, aqmp_protocol_get_queued_bytes (self));
      break;
    case PROP_CONNECT_TIMEOUT:
      g_value_set_uint (value, aqmp_protocol_get_connect_timeout (self));
      break;
    case PROP_FLUSH_TIMEOUT:
      g_value_set_uint (value, aqmp_protocol_get_flush_timeout (self));
      break;
    default:
      if (!aqmp_protocol_tls_get_property (self, property_id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_protocol_set_property (GObject      *object,
                            guint         property_id,
                            const GValue *value,
                            GParamSpec   *pspec)
{
  AqmpProtocol *self = AQMP_PROTOCOL (object);

  switch (property_id)
    {
    case PROP_NAME:
      aqmp_protocol_set_name (self, g_value_get_string (value));
      break;
    case PROP_MAX_MESSAGE_SIZE:
      aqmp_protocol_set_max_message_size (self, g_value_get_uint64 (value));
      break;
    case PROP_CONNECT_TIMEOUT:
      aqmp_protocol_set_connect_timeout (self, g_value_get_uint (value));
      break;
    case PROP_FLUSH_TIMEOUT:
      aqmp_protocol_set_flush_timeout (self, g_value_get_uint (value));
      break;
    default:
      if (!aqmp_protocol_tls_set_property (self, property_id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_protocol_dispose (GObject *object)
{
  aqmp_protocol_dispose_session (AQMP_PROTOCOL (object));

  G_OBJECT_CLASS (aqmp_protocol_parent_class)->dispose (object);
}

static void
aqmp_protocol_finalize (GObject *object)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (AQMP_PROTOCOL (object));
  guint i;

  aqmp_waiters_clear (&priv->readers);
  aqmp_waiters_clear (&priv->flushers);
  aqmp_waiters_clear (&priv->disconnecters);
  for (i = 0; i < G_N_ELEMENTS (priv->state_waiters); i++)
    aqmp_waiters_clear (&priv->state_waiters[i]);

  g_queue_clear_full (&priv->handshake_inbox, (GDestroyNotify) g_bytes_unref);
  g_clear_pointer (&priv->context, g_main_context_unref);
  g_clear_pointer (&priv->owner_thread, g_thread_unref);
  aqmp_tls_clear (&priv->tls);
  g_free (priv->name);
  g_mutex_clear (&priv->lock);

  G_OBJECT_CLASS (aqmp_protocol_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  /**
   * AqmpProtocol:name: (getter get_name) (setter set_name)
   *
   * A name for the log: the field `AQMP_NAME` of structured messages, and part of their text. %NULL is logged as the
   * name of the class.
   *
   * Since: 1.0
   */
  properties[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, writable);

  /**
   * AqmpProtocol:runstate: (getter get_runstate)
   *
   * The state that the object is in.
   *
   * Since: 1.0
   */
  properties[PROP_RUNSTATE] = g_param_spec_enum ("runstate", NULL, NULL, AQMP_TYPE_RUNSTATE, AQMP_RUNSTATE_IDLE, readable);

  /**
   * AqmpProtocol:stream: (getter get_stream)
   *
   * The stream of the session, or %NULL without one.
   *
   * Since: 1.0
   */
  properties[PROP_STREAM] = g_param_spec_object ("stream", NULL, NULL, G_TYPE_IO_STREAM, readable);

  /**
   * AqmpProtocol:listen-address: (getter get_listen_address)
   *
   * Where a server listens, with the port that the system has chosen; %NULL before a server was started and once its peer has
   * come.
   *
   * Since: 1.0
   */
  properties[PROP_LISTEN_ADDRESS] = g_param_spec_object ("listen-address", NULL, NULL, G_TYPE_SOCKET_ADDRESS, readable);

  /**
   * AqmpProtocol:max-message-size: (getter get_max_message_size) (setter set_max_message_size)
   *
   * How many bytes a message from the peer may have, 10 MiB at first.
   *
   * A longer one fails the session with [error@Error.MESSAGE_TOO_LARGE], so that no peer can use up the memory.
   *
   * Since: 1.0
   */
  properties[PROP_MAX_MESSAGE_SIZE] = g_param_spec_uint64 ("max-message-size", NULL, NULL, 1, G_MAXUINT64,
                                                           DEFAULT_MAX_MESSAGE_SIZE, writable);

  /**
   * AqmpProtocol:queued-bytes: (getter get_queued_bytes)
   *
   * How many bytes are waiting to be written. Changes are not notified.
   *
   * Since: 1.0
   */
  properties[PROP_QUEUED_BYTES] = g_param_spec_uint64 ("queued-bytes", NULL, NULL, 0, G_MAXUINT64, 0, readable);

  /**
   * AqmpProtocol:connect-timeout: (getter get_connect_timeout) (setter set_connect_timeout)
   *
   * How many milliseconds connecting may take, until the session is established: 30000 at first. 0 is no limit. For a server
   * it counts from when the peer has come and is accepted, whichever is later.
   *
   * Since: 1.0
   */
  properties[PROP_CONNECT_TIMEOUT] = g_param_spec_uint ("connect-timeout", NULL, NULL, 0, G_MAXUINT,
                                                        DEFAULT_CONNECT_TIMEOUT_MS, writable);

  /**
   * AqmpProtocol:flush-timeout: (getter get_flush_timeout) (setter set_flush_timeout)
   *
   * How many milliseconds a disconnect may take to write what is queued: 5000 at first. With 0 it closes at once, and
   * what the stream does not take without waiting is dropped.
   *
   * Since: 1.0
   */
  properties[PROP_FLUSH_TIMEOUT] = g_param_spec_uint ("flush-timeout", NULL, NULL, 0, G_MAXUINT, DEFAULT_FLUSH_TIMEOUT_MS,
                                                      writable);

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
install_signals (AqmpProtocolClass *klass)
{
  /**
   * AqmpProtocol::runstate-changed:
   * @self: the protocol
   * @runstate: the state that was entered
   *
   * Emitted on each change of [property@Protocol:runstate], in the owner's context.
   *
   * Handlers may do anything, also cause the next change. So by the time a handler is called, the property can tell a
   * later state than @runstate. It can also be ahead of the signal: while a disconnect still writes what is queued, the
   * property is [enum@Runstate.DISCONNECTING] already, and the signal comes when the stream was closed.
   *
   * Since: 1.0
   */
  signals[SIGNAL_RUNSTATE_CHANGED] =
    g_signal_new ("runstate-changed", AQMP_TYPE_PROTOCOL, G_SIGNAL_RUN_LAST,
                  G_STRUCT_OFFSET (AqmpProtocolClass, runstate_changed), NULL, NULL, NULL,
                  G_TYPE_NONE, 1, AQMP_TYPE_RUNSTATE);

  /**
   * AqmpProtocol::event:
   * @self: the protocol
   * @event: the event
   *
   * Emitted when the peer reports an event, in the owner's context. The name of the event is the detail: `event::STOP`
   * is emitted for that one only. An event that nobody listens to costs next to nothing.
   *
   * Since: 1.0
   */
  signals[SIGNAL_EVENT] =
    g_signal_new ("event", AQMP_TYPE_PROTOCOL, G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED | G_SIGNAL_NO_HOOKS,
                  G_STRUCT_OFFSET (AqmpProtocolClass, event), NULL, NULL, NULL,
                  G_TYPE_NONE, 1, AQMP_TYPE_EVENT);

  /**
   * AqmpProtocol::accept-certificate:
   * @self: the protocol
   * @certificate: what the peer has shown
   * @errors: what is wrong with it
   *
   * Emitted in the TLS handshake if the certificate of the peer does not pass, in the owner's context. If no handler accepts it,
   * the connection fails with %G_TLS_ERROR_BAD_CERTIFICATE.
   *
   * A handler that accepts a certificate has to compare it with one that it knows; to accept any is to have no security at all.
   * It must not run the main loop.
   *
   * Returns: %TRUE to accept the certificate all the same, %FALSE to leave it to the next handler
   *
   * Since: 1.0
   */
  signals[SIGNAL_ACCEPT_CERTIFICATE] =
    g_signal_new ("accept-certificate", AQMP_TYPE_PROTOCOL, G_SIGNAL_RUN_LAST, 0, g_signal_accumulator_true_handled, NULL,
                  NULL, G_TYPE_BOOLEAN, 2, G_TYPE_TLS_CERTIFICATE, G_TYPE_TLS_CERTIFICATE_FLAGS);
}

gboolean
aqmp_protocol_accept_certificate (AqmpProtocol         *self,
                                  GTlsCertificate      *certificate,
                                  GTlsCertificateFlags  flags)
{
  GMainContext *inner;
  guint n_left = aqmp_protocol_leave_inner_context (self, &inner);
  gboolean accepted = FALSE;

  g_signal_emit (self, signals[SIGNAL_ACCEPT_CERTIFICATE], 0, certificate, flags, &accepted);
  aqmp_protocol_reenter_inner_context (inner, n_left);
  return accepted;
}

static void
aqmp_protocol_class_init (AqmpProtocolClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  aqmp_protocol_private_offset = AqmpProtocol_private_offset;

  object_class->get_property = aqmp_protocol_get_property;
  object_class->set_property = aqmp_protocol_set_property;
  object_class->dispose = aqmp_protocol_dispose;
  object_class->finalize = aqmp_protocol_finalize;

  klass->runstate_changed = runstate_changed_default;
  klass->event = event_default;
  klass->establish_session = establish_session_default;
  klass->message_received = message_received_default;
  klass->filter_inbound = aqmp_protocol_pass_on;
  klass->filter_outbound = aqmp_protocol_pass_on;
  klass->session_ended = session_ended_default;
  klass->frame = frame_line;

  install_properties (object_class);
  aqmp_protocol_tls_class_init (object_class);
  install_signals (klass);
}

static void
aqmp_protocol_init (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint i;

  priv->hooks = &default_hooks;
  priv->owner_thread = g_thread_ref (g_thread_self ());
  g_mutex_init (&priv->lock);
  g_queue_init (&priv->unfiltered);
  g_queue_init (&priv->handshake_inbox);
  g_queue_init (&priv->deferred_events);
  g_queue_init (&priv->deferred_states);
  g_queue_init (&priv->deferred_calls);
  g_queue_init (&priv->invocations);
  g_queue_init (&priv->late_sources);
  aqmp_waiters_init (&priv->readers);
  aqmp_waiters_init (&priv->flushers);
  aqmp_waiters_init (&priv->disconnecters);
  for (i = 0; i < G_N_ELEMENTS (priv->state_waiters); i++)
    aqmp_waiters_init (&priv->state_waiters[i]);

  priv->max_message_size = DEFAULT_MAX_MESSAGE_SIZE;
  priv->connect_timeout = DEFAULT_CONNECT_TIMEOUT_MS;
  priv->flush_timeout = DEFAULT_FLUSH_TIMEOUT_MS;
}
