/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"

/* Threads: any. From claim() to give_back() no other thread can begin a session or take one over; so what is set between them is
   not locked, but for the owner itself. */

/* A blocking call that begins or ends a session runs the asynchronous form in a context of its own, never in the caller's. If
   the session belongs to this thread, or to nobody yet, it moves into that context for the time; otherwise the owner does
   the work, in its context, and only the result comes here. */

typedef enum
{
  BEGINS_SESSION,
  IS_FOR_SESSION,
  ONLY_WAITS,      /* for what a session brings: then nobody is called, and an idle object is left alone */
} Kind;

typedef struct
{
  Kind          kind;
  AqmpProtocol *self;         /* (owned) */
  GMainContext *own;          /* (owned) */
  GMainContext *home;         /* (owned): where the session belongs after this */
  GMainContext *outer_before; /* (owned) (nullable): of a blocking call around this one */
  GMainContext *inner_before; /* (unowned) (nullable): likewise */
  GMainContext *owned;        /* (owned) (nullable): the owner's, acquired, if this is its thread */
  gboolean      holds_home;   /* acquired too: no other thread can run it meanwhile */
  gboolean      held_before;
  gboolean      taken_over;
  GAsyncResult *result;       /* (owned) (nullable) */
} Blocking;

/* What handlers begin is to go on in the caller's thread-default context, which another thread may be running: so it is not put
   on top, but found below. A task, too, has put its context there while it calls back. */
guint
aqmp_protocol_leave_inner_context (AqmpProtocol  *self,
                                   GMainContext **inner)
{
  guint n_left = 0;

  *inner = aqmp_protocol_get_private (self)->inner_context;
  while (*inner != NULL && g_main_context_get_thread_default () == *inner)
    {
      g_main_context_pop_thread_default (*inner);
      n_left++;
    }

  return n_left;
}

void
aqmp_protocol_reenter_inner_context (GMainContext *inner,
                                     guint         n_left)
{
  while (n_left-- > 0)
    g_main_context_push_thread_default (inner);
}

/* Locked. An object that is idle belongs to whoever uses it, unless its last owner is still telling of that, or may be doing
   something else with it: that is not so if nobody can run its context meanwhile. @left: as for claim_locked() */
static gboolean
claim_locked (Blocking *blocking,
              AqmpLeft *left)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (blocking->self);
  gboolean idle = priv->runstate == AQMP_RUNSTATE_IDLE;

  if (blocking->kind == BEGINS_SESSION && !idle)
    return FALSE;
  if (blocking->kind == ONLY_WAITS && (idle || blocking->owned == NULL))
    return FALSE;
  if (blocking->owned == NULL && (!idle || priv->n_becoming_idle > 0))
    return FALSE;
  if (!aqmp_protocol_claim_locked (blocking->self, left))
    return FALSE;

  if (blocking->owned == NULL && g_main_context_acquire (priv->context))
    blocking->owned = g_main_context_ref (priv->context);
  if (blocking->owned != NULL || blocking->kind == BEGINS_SESSION)
    return TRUE;

  aqmp_protocol_unclaim_locked (blocking->self);
  return FALSE;
}

/* From here on nobody else takes it for his. One who may not have it never holds a context in between: its owner may need that.
   @outer: the caller's thread-default context. FALSE: inside a virtual function */
static gboolean
claim (Blocking     *blocking,
       GMainContext *outer)
{
  AqmpProtocol *self = blocking->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  AqmpLeft left = { G_QUEUE_INIT, NULL };
  gboolean possible;

  aqmp_protocol_lock (self);
  blocking->owned = aqmp_protocol_acquire_context_locked (self);
  possible = blocking->owned == NULL || priv->n_vfuncs == 0;
  blocking->taken_over = possible && claim_locked (blocking, &left);
  if (blocking->taken_over)
    {
      gboolean stays = blocking->owned != NULL && (priv->runstate != AQMP_RUNSTATE_IDLE || priv->inner_context != NULL);

      blocking->home = g_main_context_ref (stays ? blocking->owned : outer);
      blocking->holds_home = g_main_context_acquire (blocking->home);
      aqmp_protocol_set_owner_locked (self, blocking->own);
    }
  else
    aqmp_protocol_release (g_steal_pointer (&blocking->owned));
  aqmp_protocol_unlock (self);

  aqmp_protocol_drop_left (self, &left);
  return possible;
}

static void
take_over (Blocking *blocking)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (blocking->self);

  blocking->outer_before = g_steal_pointer (&priv->outer_context);
  blocking->inner_before = priv->inner_context;
  blocking->held_before = priv->holds_outer;
  if (blocking->outer_before == NULL)
    priv->holds_outer = blocking->holds_home;
  priv->outer_context = g_main_context_ref (blocking->outer_before != NULL ? blocking->outer_before : blocking->home);
  priv->inner_context = blocking->own;
  if (blocking->kind == ONLY_WAITS)
    priv->n_drives++;
  aqmp_protocol_resume_deferral (blocking->self);
  aqmp_protocol_attach_to_context (blocking->self, blocking->own);
}

static gboolean
begin_blocking (Blocking      *blocking,
                AqmpProtocol  *self,
                Kind           kind,
                GError       **error)
{
  g_autoptr (GMainContext) outer = g_main_context_ref_thread_default ();
  g_autoptr (GMainContext) own = g_main_context_new ();

  *blocking = (Blocking) { .kind = kind, .self = self, .own = own };
  if (!claim (blocking, outer))
    {
      g_propagate_error (error, aqmp_protocol_not_inside_vfunc (self));
      return FALSE;
    }

  g_object_ref (self);
  g_main_context_push_thread_default (g_steal_pointer (&own));
  if (blocking->taken_over)
    take_over (blocking);
  return TRUE;
}

static void
got_result (GObject      *self,
            GAsyncResult *result,
            gpointer      user_data)
{
  Blocking *blocking = user_data;

  blocking->result = g_object_ref (result);
}

static void
wait_for_result (Blocking *blocking)
{
  /* What others have asked for before is in the caller's context, which is not run. */
  if (blocking->taken_over)
    aqmp_protocol_serve_invocations (blocking->self);

  while (blocking->result == NULL)
    g_main_context_iteration (blocking->own, TRUE);
}

/* If another thread runs that context, it can go on with the session as soon as that is attached there; and what is called from
   elsewhere still comes here, to be sent on, until the context is the owner's. So nothing else is done after either. */
static void
give_back (Blocking *blocking)
{
  AqmpProtocol *self = blocking->self;
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  /* Unless the session is over, and another one has begun in some other way. */
  gboolean moves = priv->context == blocking->own;

  g_clear_pointer (&priv->outer_context, g_main_context_unref);
  priv->outer_context = g_steal_pointer (&blocking->outer_before);
  priv->inner_context = blocking->inner_before;

  priv->holds_outer = blocking->held_before;
  if (blocking->kind == ONLY_WAITS)
    priv->n_drives--;
  aqmp_protocol_settle_deferral (self, moves ? blocking->home : priv->context);
  if (moves)
    aqmp_protocol_attach_to_context (self, blocking->home);

  aqmp_protocol_lock (self);
  if (moves)
    aqmp_protocol_set_owner_locked (self, blocking->home);
  aqmp_protocol_unclaim_locked (self);
  /* Not later: whoever claims it next, or runs this context, may be there at once. */
  if (blocking->holds_home)
    g_main_context_release (blocking->home);
  if (blocking->owned != NULL)
    g_main_context_release (blocking->owned);
  aqmp_protocol_unlock (self);
}

static void
end_blocking (Blocking *blocking)
{
  g_main_context_pop_thread_default (blocking->own);
  if (blocking->taken_over)
    give_back (blocking);

  /* Other threads may have had something called in there. Not before the session has left: it would be read from. */
  while (g_main_context_iteration (blocking->own, FALSE))
    ;

  g_clear_object (&blocking->result);
  g_main_context_unref (blocking->own);
  g_clear_pointer (&blocking->home, g_main_context_unref);
  g_clear_pointer (&blocking->owned, g_main_context_unref);
  g_object_unref (blocking->self);
}

/* Before the beginning of a session. FALSE: it is not possible, and nothing is left to be ended. */
static gboolean
begin_session (Blocking      *blocking,
               AqmpProtocol  *self,
               GError       **error)
{
  if (!aqmp_protocol_require_runstate (self, AQMP_RUNSTATE_IDLE, error) || !begin_blocking (blocking, self, BEGINS_SESSION, error))
    return FALSE;
  if (blocking->taken_over)
    return TRUE;

  g_propagate_error (error, aqmp_protocol_owned_elsewhere (self));
  end_blocking (blocking);
  return FALSE;
}

static GAsyncResult *
run_blocking (AqmpProtocol   *self,
              Kind            kind,
              AqmpBeginFunc   begin,
              gpointer        data,
              GError        **error)
{
  Blocking blocking;
  GAsyncResult *result;

  if (kind == BEGINS_SESSION ? !begin_session (&blocking, self, error) : !begin_blocking (&blocking, self, kind, error))
    return NULL;

  begin (data, got_result, &blocking);
  wait_for_result (&blocking);
  result = g_steal_pointer (&blocking.result);
  end_blocking (&blocking);

  return result;
}

GAsyncResult *
aqmp_protocol_block (AqmpProtocol   *self,
                     AqmpBeginFunc   begin,
                     gpointer        data,
                     GError        **error)
{
  return run_blocking (self, ONLY_WAITS, begin, data, error);
}

typedef void     (*Begin)  (AqmpProtocol        *self,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data);
typedef gboolean (*Finish) (AqmpProtocol        *self,
                            GAsyncResult        *result,
                            GError             **error);

typedef struct
{
  AqmpProtocol       *self;
  GSocketConnectable *address;  /* (nullable) */
  GIOStream          *stream;   /* (nullable) */
  Begin               begin;
  GCancellable       *cancellable;
} Arguments;

static void
begin_connect (gpointer             data,
               GAsyncReadyCallback  callback,
               gpointer             user_data)
{
  Arguments *arguments = data;

  aqmp_protocol_connect_async (arguments->self, arguments->address, arguments->cancellable, callback, user_data);
}

static void
begin_open (gpointer             data,
            GAsyncReadyCallback  callback,
            gpointer             user_data)
{
  Arguments *arguments = data;

  aqmp_protocol_open_async (arguments->self, arguments->stream, arguments->cancellable, callback, user_data);
}

static void
begin_server (gpointer             data,
              GAsyncReadyCallback  callback,
              gpointer             user_data)
{
  Arguments *arguments = data;

  aqmp_protocol_start_server_and_accept_async (arguments->self, G_SOCKET_ADDRESS (arguments->address),
                                               arguments->cancellable, callback, user_data);
}

static void
begin_other (gpointer             data,
             GAsyncReadyCallback  callback,
             gpointer             user_data)
{
  Arguments *arguments = data;

  arguments->begin (arguments->self, arguments->cancellable, callback, user_data);
}

static gboolean
block (Arguments      *arguments,
       Kind            kind,
       AqmpBeginFunc   begin,
       Finish          finish,
       GError        **error)
{
  g_autoptr (GAsyncResult) result = run_blocking (arguments->self, kind, begin, arguments, error);

  return result != NULL && finish (arguments->self, result, error);
}

/* --- Public ------------------------------------------------------------------------------------------------------- */

/**
 * aqmp_protocol_connect_sync:
 * @self: a protocol
 * @address: where the peer listens
 * @cancellable: (nullable): ends the attempt
 * @error: return location for an error
 *
 * Connects to a peer and establishes a session, as [method@Protocol.connect_async] does, and waits for the result.
 *
 * It needs no main loop, and does not run the caller's: the virtual functions and the handlers of
 * [signal@Protocol::runstate-changed] and [signal@Protocol::accept-certificate] are called in this thread, everybody else
 * later. The caller's thread-default [struct@GLib.MainContext] becomes the owner's context, and this thread the one that owns the
 * session. [error@Error.STATE] also means that this is one of the virtual functions.
 *
 * May be called from any thread while the object is idle.
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_connect_sync (AqmpProtocol        *self,
                            GSocketConnectable  *address,
                            GCancellable        *cancellable,
                            GError             **error)
{
  Arguments arguments = { .self = self, .address = address, .cancellable = cancellable };

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (G_IS_SOCKET_CONNECTABLE (address), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, BEGINS_SESSION, begin_connect, aqmp_protocol_connect_finish, error);
}

/**
 * aqmp_protocol_open_sync:
 * @self: a protocol
 * @stream: a stream that is connected to the peer
 * @cancellable: (nullable): ends the attempt
 * @error: return location for an error
 *
 * Establishes a session on a stream, as [method@Protocol.open_async] does, and waits for the result.
 *
 * In all else it is like [method@Protocol.connect_sync].
 *
 * May be called from any thread while the object is idle.
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_open_sync (AqmpProtocol  *self,
                         GIOStream     *stream,
                         GCancellable  *cancellable,
                         GError       **error)
{
  Arguments arguments = { .self = self, .stream = stream, .cancellable = cancellable };

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (G_IS_IO_STREAM (stream), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, BEGINS_SESSION, begin_open, aqmp_protocol_open_finish, error);
}

/**
 * aqmp_protocol_accept_sync:
 * @self: a protocol
 * @cancellable: (nullable): ends the attempt, and listening with it
 * @error: return location for an error
 *
 * Waits for the peer that [method@Protocol.start_server] listens for, as [method@Protocol.accept_async] does, and for the result.
 *
 * In the thread that has started the server it needs no main loop, as [method@Protocol.connect_sync]; in another one it
 * waits for the owner's context, which has to run.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_accept_sync (AqmpProtocol  *self,
                           GCancellable  *cancellable,
                           GError       **error)
{
  Arguments arguments = { .self = self, .begin = aqmp_protocol_accept_async, .cancellable = cancellable };

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, IS_FOR_SESSION, begin_other, aqmp_protocol_accept_finish, error);
}

/**
 * aqmp_protocol_start_server_and_accept_sync:
 * @self: a protocol
 * @address: where to listen
 * @cancellable: (nullable): ends the attempt
 * @error: return location for an error
 *
 * Listens, waits for a peer and establishes a session with it, as [method@Protocol.start_server_and_accept_async] does, and waits for the result.
 *
 * In all else it is like [method@Protocol.connect_sync].
 *
 * May be called from any thread while the object is idle.
 *
 * Returns: %TRUE if the session was established
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_start_server_and_accept_sync (AqmpProtocol    *self,
                                            GSocketAddress  *address,
                                            GCancellable    *cancellable,
                                            GError         **error)
{
  Arguments arguments = { .self = self, .address = G_SOCKET_CONNECTABLE (address), .cancellable = cancellable };

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (G_IS_SOCKET_ADDRESS (address), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, BEGINS_SESSION, begin_server, aqmp_protocol_start_server_and_accept_finish, error);
}

/**
 * aqmp_protocol_disconnect_sync:
 * @self: a protocol
 * @cancellable: (nullable): ends the wait for the result, not the disconnect
 * @error: return location for an error
 *
 * Ends the session, as [method@Protocol.disconnect_async] does, and waits for the result.
 *
 * In the thread that owns the session it needs no main loop, as [method@Protocol.connect_sync]; in another one it waits for
 * the owner's context, which has to run.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if the session ended cleanly
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_disconnect_sync (AqmpProtocol  *self,
                               GCancellable  *cancellable,
                               GError       **error)
{
  Arguments arguments = { .self = self, .begin = aqmp_protocol_disconnect_async, .cancellable = cancellable };

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, IS_FOR_SESSION, begin_other, aqmp_protocol_disconnect_finish, error);
}

/**
 * aqmp_protocol_flush_sync:
 * @self: a protocol
 * @cancellable: (nullable): gives up waiting
 * @error: return location for an error
 *
 * Waits until everything that is queued was written to the stream, as [method@Protocol.flush_async] does.
 *
 * In the thread that owns the session it needs no main loop, as [method@Protocol.connect_sync]; in another one it waits for
 * the owner's context, which has to run.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if everything was written
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_flush_sync (AqmpProtocol  *self,
                          GCancellable  *cancellable,
                          GError       **error)
{
  Arguments arguments = { .self = self, .begin = aqmp_protocol_flush_async, .cancellable = cancellable };

  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, IS_FOR_SESSION, begin_other, aqmp_protocol_flush_finish, error);
}
