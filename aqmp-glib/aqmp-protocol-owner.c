/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-alloc-private.h"
#include "aqmp-error.h"
#include "aqmp-watch-private.h"

/* Threads: any, unless a function says otherwise. All that it looks at is under the lock; what it does for others, outside. */

/* Whose thread it is: who owns the session, who may begin another one, and what other threads have done in the owner's. */

/* --- The owner ---------------------------------------------------------------------------------------------------- */

/* Locked. A context that nobody runs at the moment can be acquired by anybody; it still belongs to the thread that began the
   session. */
static gboolean
acquire_if_owner (AqmpProtocolPrivate *priv)
{
  return (g_thread_self () == priv->owner_thread || g_main_context_is_owner (priv->context)) &&
         g_main_context_acquire (priv->context);
}

/* Locked. Without a session yet, a context of the caller's own will do. The default one belongs to whoever made the object. */
static void
ensure_context (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->context != NULL)
    return;

  if (g_main_context_get_thread_default () != NULL)
    aqmp_protocol_set_owner_locked (self, g_main_context_get_thread_default ());
  else
    priv->context = g_main_context_ref (g_main_context_default ());
}

GMainContext *
aqmp_protocol_acquire_context_locked (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  ensure_context (self);
  return acquire_if_owner (priv) ? g_main_context_ref (priv->context) : NULL;
}

/* Any thread. */
GMainContext *
aqmp_protocol_acquire_context (AqmpProtocol *self)
{
  GMainContext *context;

  aqmp_protocol_lock (self);
  context = aqmp_protocol_acquire_context_locked (self);
  aqmp_protocol_unlock (self);

  return context;
}

void
aqmp_protocol_release (GMainContext *context)
{
  if (context == NULL)
    return;

  g_main_context_release (context);
  g_main_context_unref (context);
}

void
aqmp_protocol_set_owner_locked (AqmpProtocol *self,
                                GMainContext *context)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_main_context_ref (context);
  g_clear_pointer (&priv->context, g_main_context_unref);
  priv->context = context;
  /* With a reference: the address of one that has ended may become that of another. */
  g_clear_pointer (&priv->owner_thread, g_thread_unref);
  priv->owner_thread = g_thread_ref (g_thread_self ());
}

/* --- Claims ------------------------------------------------------------------------------------------------------- */

/* Locked. Handlers of the last session that its owner has still to call, or is just calling, must not meet the next session in
   another thread. @left: (inout): what has to be dropped for that */
static gboolean
leave_behind (AqmpProtocol *self,
              AqmpLeft     *left)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  ensure_context (self);
  if (priv->owner_thread == g_thread_self () || g_main_context_is_owner (priv->context))
    return TRUE;
  if (priv->n_telling > 0 || priv->n_becoming_idle > 0)
    return FALSE;

  aqmp_protocol_steal_deferred_locked (self, &left->sources);
  left->context = g_main_context_ref (priv->context);
  return TRUE;
}

gboolean
aqmp_protocol_claim_locked (AqmpProtocol *self,
                            AqmpLeft     *left)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if ((priv->claimer != NULL && priv->claimer != g_thread_self ()) || !leave_behind (self, left))
    return FALSE;

  if (priv->n_claims++ == 0)
    priv->claimer = g_thread_ref (g_thread_self ());
  return TRUE;
}

void
aqmp_protocol_unclaim_locked (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (--priv->n_claims == 0)
    g_clear_pointer (&priv->claimer, g_thread_unref);
}

void
aqmp_protocol_drop_left (AqmpProtocol *self,
                         AqmpLeft     *left)
{
  GSource *source;

  if (left->sources.length > 0)
    aqmp_protocol_log (self, G_LOG_LEVEL_INFO, "dropped %u handlers’ calls of a session that another thread had", left->sources.length);

  while ((source = g_queue_pop_head (&left->sources)) != NULL)
    {
      g_source_destroy (source);
      g_source_unref (source);
    }
  g_clear_pointer (&left->context, g_main_context_unref);
}

GError *
aqmp_protocol_owned_elsewhere (AqmpProtocol *self)
{
  return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                      _("%s is being used by another thread, which is beginning a session or is still being told of the end of "
                        "one: wait for its result"),
                      G_OBJECT_TYPE_NAME (self));
}

gboolean
aqmp_protocol_claim_idle (AqmpProtocol  *self,
                          GError       **error)
{
  AqmpLeft left = { G_QUEUE_INIT, NULL };
  gboolean idle;
  gboolean claimed;

  aqmp_protocol_lock (self);
  idle = aqmp_protocol_require_runstate_locked (self, AQMP_RUNSTATE_IDLE, error);
  claimed = idle && aqmp_protocol_claim_locked (self, &left);
  aqmp_protocol_unlock (self);

  aqmp_protocol_drop_left (self, &left);
  if (idle && !claimed)
    g_propagate_error (error, aqmp_protocol_owned_elsewhere (self));
  return claimed;
}

/* --- What others want done ---------------------------------------------------------------------------------------- */

/* Belongs to its source. */
typedef struct
{
  AqmpProtocol   *self;     /* (owned) */
  GSourceFunc     func;
  gpointer        data;     /* (owned) (nullable): until it is called */
  GDestroyNotify  destroy;
} Invocation;

static void
invocation_free (gpointer user_data)
{
  Invocation *invocation = user_data;

  aqmp_protocol_lock (invocation->self);
  g_queue_remove (&aqmp_protocol_get_private (invocation->self)->invocations, invocation);
  aqmp_protocol_unlock (invocation->self);

  if (invocation->data != NULL)
    invocation->destroy (invocation->data);
  g_object_unref (invocation->self);
  g_free (invocation);
}

/* By now the owner's context may be another one; or the owner has done it already, inside a blocking call. */
static gboolean
invoke_again (gpointer user_data)
{
  Invocation *invocation = user_data;
  gpointer data = NULL;

  aqmp_protocol_lock (invocation->self);
  if (g_queue_remove (&aqmp_protocol_get_private (invocation->self)->invocations, invocation))
    data = g_steal_pointer (&invocation->data);
  aqmp_protocol_unlock (invocation->self);

  if (data != NULL)
    aqmp_protocol_invoke (invocation->self, invocation->func, data, invocation->destroy);
  return G_SOURCE_REMOVE;
}

/* Locked. An owner that is inside a blocking call does not run its context, but is woken up for it, too. */
static void
invoke_later (AqmpProtocol   *self,
              GSourceFunc     func,
              gpointer        data,
              GDestroyNotify  destroy)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  Invocation *invocation = g_new (Invocation, 1);
  GSource *source = g_idle_source_new ();

  *invocation = (Invocation) { g_object_ref (self), func, data, destroy };
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_name (source, "[aqmp] called from another thread");
  g_source_set_callback (source, invoke_again, invocation, invocation_free);
  g_queue_push_tail (&priv->invocations, invocation);
  g_source_attach (source, priv->context);
  g_source_unref (source);
  if (priv->transport != NULL)
    aqmp_transport_wake (priv->transport);
}

/* Any thread. Attached under the lock: whoever changes the context afterwards runs what is in the old one once more. */
void
aqmp_protocol_invoke (AqmpProtocol   *self,
                      GSourceFunc     func,
                      gpointer        data,
                      GDestroyNotify  destroy)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GMainContext *acquired = NULL;

  aqmp_protocol_lock (self);
  ensure_context (self);
  if (acquire_if_owner (priv))
    acquired = g_main_context_ref (priv->context);
  else
    invoke_later (self, func, data, destroy);
  aqmp_protocol_unlock (self);

  if (acquired == NULL)
    return;

  func (data);
  destroy (data);
  aqmp_protocol_release (acquired);
}

/* Owner's thread. The source stays, and finds nothing to do: it may be in a context that its thread is just letting go. */
static gboolean
serve_one (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  Invocation *invocation;
  GDestroyNotify destroy = NULL;
  GSourceFunc func = NULL;
  gpointer data = NULL;

  aqmp_protocol_lock (self);
  invocation = g_queue_pop_head (&priv->invocations);
  if (invocation != NULL)
    {
      func = invocation->func;
      destroy = invocation->destroy;
      data = g_steal_pointer (&invocation->data);
    }
  aqmp_protocol_unlock (self);

  if (func == NULL)
    return FALSE;

  func (data);
  destroy (data);
  return TRUE;
}

void
aqmp_protocol_serve_invocations (AqmpProtocol *self)
{
  while (serve_one (self))
    ;
}

/* --- Tasks that begin there --------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpProtocol *self;         /* (owned) */
  GCancellable *cancellable;  /* (owned) */
  GTask        *task;         /* (owned) (nullable): NULL once somebody has taken it, under the lock */
  AqmpWatch     watch;
  GSourceFunc   begin;
} Beginning;

static void
beginning_clear (gpointer data)
{
  Beginning *beginning = data;

  g_clear_object (&beginning->task);
  g_object_unref (beginning->cancellable);
  g_object_unref (beginning->self);
}

static void
beginning_unref (gpointer beginning)
{
  g_atomic_rc_box_release_full (beginning, beginning_clear);
}

static GTask *
take_task (Beginning *beginning)
{
  GTask *task;

  aqmp_protocol_lock (beginning->self);
  task = g_steal_pointer (&beginning->task);
  aqmp_protocol_unlock (beginning->self);

  if (task != NULL)
    aqmp_watch_stop (&beginning->watch);
  return task;
}

static gboolean
leave (gpointer      operation,
       const GError *error,
       gboolean      urgently)
{
  g_autoptr (GTask) task = take_task (operation);

  if (task != NULL)
    g_task_return_error (task, g_error_copy (error));
  return TRUE;
}

static gboolean
begin (gpointer user_data)
{
  Beginning *beginning = user_data;
  g_autoptr (GTask) task = take_task (beginning);

  /* Nobody waits for it any more. */
  if (task == NULL)
    {
      task = g_task_new (beginning->self, beginning->cancellable, NULL, NULL);
      g_task_set_check_cancellable (task, FALSE);
    }
  return beginning->begin (task);
}

void
aqmp_protocol_begin_task (AqmpProtocol *self,
                          GTask        *task,
                          GSourceFunc   begin_func)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  GMainContext *acquired = aqmp_protocol_acquire_context (self);
  Beginning *beginning;

  if (acquired != NULL || cancellable == NULL)
    {
      aqmp_protocol_invoke (self, begin_func, task, g_object_unref);
      aqmp_protocol_release (acquired);
      return;
    }

  beginning = aqmp_atomic_rc_box_new0 (Beginning);
  beginning->self = g_object_ref (self);
  beginning->cancellable = g_object_ref (cancellable);
  beginning->begin = begin_func;

  aqmp_protocol_lock (self);
  aqmp_watch_start (&beginning->watch, task, 0, leave, beginning, beginning_unref);
  beginning->task = task;
  aqmp_protocol_unlock (self);

  aqmp_protocol_invoke (self, begin, beginning, beginning_unref);
}
