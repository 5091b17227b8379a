/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-attempt-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-alloc-private.h"
#include "aqmp-error.h"

/* Threads: the owner's, unless a function says otherwise. Only the state and the transport are changed under the lock, as others look
   at them. */

AqmpAttempt *
aqmp_attempt_ref (AqmpAttempt *attempt)
{
  return g_atomic_rc_box_acquire (attempt);
}

static void
attempt_clear (gpointer data)
{
  AqmpAttempt *attempt = data;

  g_assert (attempt->over && attempt->task == NULL && attempt->listener == NULL);
  g_main_context_unref (attempt->context);
  g_object_unref (attempt->cancellable);
  g_clear_object (&attempt->address);
  g_clear_object (&attempt->peer);
  g_clear_error (&attempt->peer_error);
  g_clear_error (&attempt->failure);
  aqmp_tls_clear (&attempt->tls);
}

void
aqmp_attempt_unref (gpointer attempt)
{
  g_atomic_rc_box_release_full (attempt, attempt_clear);
}

GTask *
aqmp_protocol_abandon_attempt (AqmpProtocol  *self,
                               GCancellable **cancellable)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpAttempt *attempt = g_steal_pointer (&priv->attempt);
  GTask *task;

  if (attempt == NULL)
    return NULL;

  attempt->over = TRUE;
  task = g_steal_pointer (&attempt->task);
  aqmp_watch_stop (&attempt->watch);
  g_clear_pointer (&attempt->listener, aqmp_listener_free);
  if (cancellable != NULL)
    *cancellable = g_object_ref (attempt->cancellable);
  aqmp_attempt_unref (attempt);

  return task;
}

/* --- Failing ------------------------------------------------------------------------------------------------------ */

/* A peer that does not like our certificate, or misses it, need not say so, and may close after the handshake only; but then it
   has not said anything. */
static gboolean
may_be_for_certificate (AqmpAttempt  *attempt,
                        const GError *error)
{
  return attempt->stage == AQMP_ATTEMPT_ESTABLISHING && attempt->tls.enabled &&
         !aqmp_transport_has_received (aqmp_protocol_get_private (attempt->self)->transport) &&
         (error->domain == G_TLS_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED));
}

/* What could not be done. @error: (inout) */
static void
prefix_error (AqmpAttempt  *attempt,
              GError      **error)
{
  g_autofree char *address = attempt->address != NULL ? g_socket_connectable_to_string (attempt->address) : NULL;

  if (may_be_for_certificate (attempt, *error))
    g_prefix_error (error, attempt->tls.certificate != NULL
                             ? _("Could not establish the session, perhaps because of the certificate that was shown: ")
                             : _("Could not establish the session, perhaps because no certificate was shown: "));
  else if (attempt->stage == AQMP_ATTEMPT_ESTABLISHING)
    g_prefix_error (error, _("Could not establish the session: "));
  else if (address == NULL)
    g_prefix_error (error, _("Could not establish the connection: "));
  else if (attempt->is_server)
    g_prefix_error (error, _("Could not establish a connection by listening at “%s”: "), address);
  else
    g_prefix_error (error, _("Could not establish the connection to “%s”: "), address);
}

/* The root cause keeps its domain and code, and gets said first what could not be done. */
GError *
aqmp_attempt_explain (AqmpAttempt  *attempt,
                      const GError *error)
{
  GError *explained = g_error_copy (error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return explained;

  prefix_error (attempt, &explained);
  return explained;
}

void
aqmp_protocol_attempt_fail (AqmpProtocol *self,
                            const GError *error)
{
  AqmpAttempt *attempt = aqmp_attempt_ref (aqmp_protocol_get_private (self)->attempt);
  g_autoptr (GError) explained = aqmp_attempt_explain (attempt, error);
  g_autoptr (GCancellable) cancellable = NULL;
  g_autoptr (GTask) task = aqmp_protocol_abandon_attempt (self, &cancellable);

  attempt->failure = g_error_copy (explained);
  aqmp_protocol_end (self, explained, NULL);
  g_cancellable_cancel (cancellable);
  if (task != NULL)
    g_task_return_error (task, g_steal_pointer (&explained));
  aqmp_attempt_unref (attempt);
}

static GError *
explain_timeout (AqmpAttempt *attempt)
{
  switch (attempt->stage)
    {
    case AQMP_ATTEMPT_SECURING:
      return g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("The TLS handshake was not done within %u ms"),
                          attempt->timeout_ms);
    case AQMP_ATTEMPT_ESTABLISHING:
      if (!attempt->tls.enabled && !aqmp_transport_has_received (aqmp_protocol_get_private (attempt->self)->transport))
        return g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                            _("The peer did not answer within %u ms; it may be busy with somebody else, or expect TLS"),
                            attempt->timeout_ms);
      return g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("The peer did not answer within %u ms"),
                          attempt->timeout_ms);
    case AQMP_ATTEMPT_CONNECTING:
    default:
      return g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("There was no connection within %u ms"),
                          attempt->timeout_ms);
    }
}

typedef struct
{
  AqmpProtocol *self;     /* (owned) */
  AqmpAttempt  *attempt;  /* (owned) */
  GError       *error;    /* (owned) */
} GivenUp;

static void
given_up_free (gpointer data)
{
  GivenUp *given_up = data;

  aqmp_attempt_unref (given_up->attempt);
  g_object_unref (given_up->self);
  g_error_free (given_up->error);
  g_free (given_up);
}

static gboolean
give_up_now (gpointer user_data)
{
  GivenUp *given_up = user_data;
  AqmpAttempt *attempt = given_up->attempt;
  g_autoptr (GError) cause = NULL;

  if (attempt->over)
    return G_SOURCE_REMOVE;

  if (g_error_matches (given_up->error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    cause = explain_timeout (attempt);
  else
    cause = g_error_copy (given_up->error);
  aqmp_protocol_attempt_fail (given_up->self, cause);
  return G_SOURCE_REMOVE;
}

/* Cancelled or timed out, in the context of the caller; who accepts need not be the owner. */
static gboolean
give_up (gpointer      operation,
         const GError *error,
         gboolean      urgently)
{
  AqmpAttempt *attempt = operation;
  GivenUp *given_up;

  /* What completes it may be here in this turn. */
  if (urgently)
    return FALSE;

  given_up = g_new (GivenUp, 1);
  *given_up = (GivenUp) { g_object_ref (attempt->self), aqmp_attempt_ref (attempt), g_error_copy (error) };
  aqmp_protocol_invoke (attempt->self, give_up_now, given_up, given_up_free);
  return TRUE;
}

/* --- Establishing the session ------------------------------------------------------------------------------------- */

/* Each of the steps at the end may run anybody's code, and so be the end of the session. */
static void
session_established (AqmpAttempt *attempt)
{
  AqmpProtocol *self = attempt->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  g_autoptr (GTask) task = aqmp_protocol_abandon_attempt (self, NULL);
  g_autoptr (GTask) reader = aqmp_waiters_steal_first (&priv->readers);
  GQueue writers = aqmp_protocol_steal_handshake_writers (self);

  aqmp_protocol_set_runstate (self, AQMP_RUNSTATE_RUNNING);
  /* What comes next is read from there, so that whoever waits for this attempt can connect to signals before. */
  aqmp_transport_request_work (priv->transport);

  aqmp_protocol_announce_runstate (self, AQMP_RUNSTATE_RUNNING);
  g_task_return_boolean (task, TRUE);
  aqmp_protocol_return_handshake_tasks (self, reader, &writers);
}

static void
establish_failed (AqmpAttempt *attempt,
                  GError      *error)
{
  g_autoptr (GError) cause = aqmp_protocol_error_from_vfunc (attempt->self, "establish_session", error);

  aqmp_protocol_attempt_fail (attempt->self, cause);
}

static void
establish_returned (GObject      *source_object,
                    GAsyncResult *result,
                    gpointer      user_data)
{
  AqmpAttempt *attempt = user_data;
  g_autoptr (GError) error = NULL;
  gboolean established = g_task_propagate_boolean (G_TASK (result), &error);

  if (!attempt->over)
    {
      if (established)
        session_established (attempt);
      else
        establish_failed (attempt, g_steal_pointer (&error));
    }
}

static gboolean
establish_forgotten (gpointer user_data)
{
  AqmpAttempt *attempt = user_data;

  if (!attempt->over)
    {
      g_autoptr (GError) error = NULL;

      error = g_error_new_literal (AQMP_ERROR, AQMP_ERROR_FAILED,
                                   _("establish_session() dropped its task without returning it"));
      aqmp_protocol_attempt_fail (attempt->self, error);
    }
  return G_SOURCE_REMOVE;
}

/* The task was finalized: in any thread, perhaps inside establish_session(). In the owner's thread it shows whether that
   matters; nothing of the attempt may be looked at elsewhere. */
static void
establish_task_gone (gpointer  user_data,
                     GObject  *where_the_task_was)
{
  AqmpAttempt *attempt = user_data;

  if (!g_main_context_is_owner (attempt->context) || !attempt->over)
    {
      GSource *source = g_idle_source_new ();

      g_source_set_priority (source, G_PRIORITY_DEFAULT);
      g_source_set_name (source, "[aqmp] establish task dropped");
      g_source_set_callback (source, establish_forgotten, aqmp_attempt_ref (attempt), aqmp_attempt_unref);
      g_source_attach (source, attempt->context);
      g_source_unref (source);
    }
  aqmp_attempt_unref (attempt);
}

static void
establish_session (AqmpAttempt *attempt)
{
  AqmpProtocol *self = attempt->self;
  g_autoptr (GTask) task = NULL;
  g_autoptr (GError) error = NULL;
  gboolean begun;

  /* A task of our own: the caller's must not be returned before the state has changed. */
  task = g_task_new (self, attempt->cancellable, establish_returned, attempt);
  /* Not its callback's data alone: a task that is dropped without being returned never frees that. */
  g_object_set_data_full (G_OBJECT (task), "aqmp-attempt", aqmp_attempt_ref (attempt), aqmp_attempt_unref);
  g_task_set_source_tag (task, establish_session);
  g_task_set_name (task, "[aqmp] establish session");
  g_task_set_check_cancellable (task, FALSE);
  g_object_weak_ref (G_OBJECT (task), establish_task_gone, aqmp_attempt_ref (attempt));

  aqmp_protocol_enter_vfunc (self);
  begun = AQMP_PROTOCOL_GET_CLASS (self)->establish_session (self, task, &error);
  aqmp_protocol_leave_vfunc (self);
  if (!begun && !attempt->over)
    establish_failed (attempt, g_steal_pointer (&error));
}

void
aqmp_attempt_start_session (AqmpAttempt *attempt,
                            GIOStream   *stream)
{
  AqmpProtocol *self = attempt->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpTransport *transport;

  transport = aqmp_transport_new (stream, G_OBJECT (self), &aqmp_protocol_transport_callbacks);
  aqmp_transport_set_max_message_size (transport, priv->max_message_size);
  aqmp_transport_attach (transport, priv->context);

  aqmp_protocol_lock (self);
  priv->transport = transport;
  aqmp_protocol_unlock (self);

  attempt->stage = AQMP_ATTEMPT_ESTABLISHING;
  aqmp_protocol_set_stream (self, stream);
  if (attempt->over)
    return;

  aqmp_protocol_apply_record_size (self);
  /* Whoever runs the context need not have made it the thread-default one again, where tasks come back to. */
  g_main_context_push_thread_default (attempt->context);
  establish_session (attempt);
  g_main_context_pop_thread_default (attempt->context);
}

gboolean
aqmp_protocol_is_establishing (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->attempt != NULL && priv->attempt->stage == AQMP_ATTEMPT_ESTABLISHING;
}

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

static gboolean
accept_certificate (gpointer              user_data,
                    GTlsCertificate      *certificate,
                    GTlsCertificateFlags  flags)
{
  AqmpAttempt *attempt = user_data;

  return !attempt->over && aqmp_protocol_accept_certificate (attempt->self, certificate, flags);
}

static void
secured (GObject      *source_object,
         GAsyncResult *result,
         gpointer      user_data)
{
  AqmpAttempt *attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  stream = aqmp_tls_handshake_finish (result, &error);

  if (!attempt->over)
    {
      if (stream != NULL)
        aqmp_attempt_start_session (attempt, stream);
      else
        aqmp_protocol_attempt_fail (attempt->self, error);
    }
  aqmp_attempt_unref (attempt);
}

void
aqmp_attempt_take_connection (AqmpAttempt *attempt,
                              GIOStream   *connection)
{
  if (!attempt->tls.enabled)
    {
      aqmp_attempt_start_session (attempt, connection);
      return;
    }

  attempt->stage = AQMP_ATTEMPT_SECURING;
  /* As for establish_session(). */
  g_main_context_push_thread_default (attempt->context);
  aqmp_tls_handshake_async (&attempt->tls, connection, attempt->is_server ? NULL : attempt->address, accept_certificate,
                            attempt, attempt->cancellable, secured, aqmp_attempt_ref (attempt));
  g_main_context_pop_thread_default (attempt->context);
}

/* --- Beginning ---------------------------------------------------------------------------------------------------- */

void
aqmp_attempt_watch (AqmpAttempt *attempt,
                    gboolean     with_timeout)
{
  aqmp_watch_stop (&attempt->watch);
  aqmp_watch_start (&attempt->watch, attempt->task, with_timeout ? attempt->timeout_ms : 0, give_up, attempt,
                    aqmp_attempt_unref);
}

void
aqmp_attempt_check_cancelled (AqmpAttempt *attempt)
{
  g_autoptr (GError) error = NULL;

  if (attempt->over || attempt->task == NULL)
    return;

  g_cancellable_set_error_if_cancelled (g_task_get_cancellable (attempt->task), &error);
  if (error != NULL)
    aqmp_protocol_attempt_fail (attempt->self, error);
}

AqmpAttempt *
aqmp_attempt_new (AqmpProtocol       *self,
                  GSocketConnectable *address)
{
  AqmpAttempt *attempt = aqmp_atomic_rc_box_new0 (AqmpAttempt);

  attempt->self = self;
  attempt->context = g_main_context_ref_thread_default ();
  attempt->cancellable = g_cancellable_new ();
  attempt->address = address != NULL ? g_object_ref (address) : NULL;
  attempt->timeout_ms = aqmp_protocol_get_private (self)->connect_timeout;
  return attempt;
}

/* Of an object that was claimed. */
void
aqmp_attempt_begin (AqmpAttempt *attempt)
{
  AqmpProtocol *self = attempt->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  priv->attempt = aqmp_attempt_ref (attempt);
  priv->session_serial++;
  priv->last_byte_apart = FALSE;

  /* From here on it is not idle: that is enough to keep others away. */
  aqmp_protocol_lock (self);
  aqmp_protocol_set_owner_locked (self, attempt->context);
  priv->runstate = AQMP_RUNSTATE_CONNECTING;
  aqmp_protocol_unclaim_locked (self);
  aqmp_protocol_unlock (self);

  aqmp_protocol_announce_runstate (self, AQMP_RUNSTATE_CONNECTING);
  if (!attempt->over)
    priv->hooks->session_starting (self);
  aqmp_attempt_check_cancelled (attempt);
}

GTask *
aqmp_protocol_new_task (AqmpProtocol        *self,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data,
                        gpointer             source_tag,
                        const char          *name)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, source_tag);
  g_task_set_name (task, name);
  /* A session that was established while the cancellable was being cancelled is there, and has to be reported. */
  g_task_set_check_cancellable (task, FALSE);
  return task;
}
