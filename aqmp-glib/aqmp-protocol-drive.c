/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"
#include "aqmp-weak-ref-private.h"

/* Threads: the owner's, also for what is deferred: that is told where its context runs. The queues of what is deferred are under the
   lock, as another thread that takes the object over empties them. */

/* A blocking call in the thread that owns the session drives the session's reading and writing itself. What would call
   anybody else meanwhile, other callers' callbacks and the handlers of signals, is left to the owner's context: there it
   comes in the order in which it happened, and before whatever arrives later. */

/* So many events wait at most; then the oldest are dropped. */
#define MOST_DEFERRED_EVENTS 1024
/* Rounds that are made after the end of the time, for what has arrived by then. */
#define MOST_LAST_ROUNDS 1024

/* --- Virtual functions -------------------------------------------------------------------------------------------- */

/* Inside any other a blocking call would wait for what only happens once that has returned. */
guint
aqmp_protocol_suspend_vfuncs (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  guint n_vfuncs = priv->n_vfuncs;

  if (n_vfuncs != priv->n_receiving)
    return 0;

  priv->n_vfuncs = 0;
  priv->n_receiving = 0;
  return n_vfuncs;
}

void
aqmp_protocol_resume_vfuncs (AqmpProtocol *self,
                             guint         n_vfuncs)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  priv->n_vfuncs += n_vfuncs;
  priv->n_receiving += n_vfuncs;
}

GError *
aqmp_protocol_not_inside_vfunc (AqmpProtocol *self)
{
  return g_error_new (AQMP_ERROR, AQMP_ERROR_STATE,
                      _("%s is in state “%s”, and this is inside one of its virtual functions, which must not block: use the "
                        "asynchronous form"),
                      G_OBJECT_TYPE_NAME (self), aqmp_protocol_get_runstate_nick (aqmp_protocol_get_runstate (self)));
}

gboolean
aqmp_protocol_acquire (AqmpProtocol  *self,
                       GMainContext **context,
                       GError       **error)
{
  *context = aqmp_protocol_acquire_context (self);
  if (*context == NULL || aqmp_protocol_get_private (self)->n_vfuncs == 0)
    return TRUE;

  g_propagate_error (error, aqmp_protocol_not_inside_vfunc (self));
  aqmp_protocol_release (g_steal_pointer (context));
  return FALSE;
}

/* --- Deferring ---------------------------------------------------------------------------------------------------- */

/* Always ready. The last reference to the object may be dropped in another thread while it is dispatched. In one of the queues
   until somebody takes it, to tell it or to drop it. */
typedef struct
{
  GSource         source;
  GWeakRef        protocol;
  AqmpEvent      *event;     /* (owned) (nullable) */
  GParamSpec     *property;  /* (unowned) (nullable): of the class */
  GSourceFunc     func;      /* (nullable) */
  gpointer        data;      /* (owned) */
  GDestroyNotify  destroy;
  AqmpRunstate    runstate;  /* with none of them */
} Deferred;

static void
deferred_finalize (GSource *source)
{
  Deferred *deferred = (Deferred *) source;

  g_weak_ref_clear (&deferred->protocol);
  g_clear_object (&deferred->event);
  if (deferred->destroy != NULL)
    deferred->destroy (deferred->data);
}

gboolean
aqmp_protocol_is_deferring (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->n_drives > 0 || priv->outer_context != NULL;
}

GMainContext *
aqmp_protocol_get_outer_context (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->outer_context != NULL ? priv->outer_context : priv->context;
}

/* (transfer none): the queue that it is in. */
static GQueue *
get_queue (AqmpProtocol *self,
           Deferred     *deferred)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (deferred->event != NULL)
    return &priv->deferred_events;
  return deferred->func != NULL ? &priv->deferred_calls : &priv->deferred_states;
}

/* From here to end_telling() no other thread can take the object over. FALSE: it was dropped. */
static gboolean
begin_telling (AqmpProtocol *self,
               Deferred     *deferred)
{
  gboolean found;

  aqmp_protocol_lock (self);
  found = g_queue_remove (get_queue (self, deferred), deferred);
  if (found)
    aqmp_protocol_get_private (self)->n_telling++;
  aqmp_protocol_unlock (self);

  return found;
}

static void
end_telling (AqmpProtocol *self)
{
  aqmp_protocol_lock (self);
  aqmp_protocol_get_private (self)->n_telling--;
  aqmp_protocol_unlock (self);
}

static void
tell (AqmpProtocol *self,
      Deferred     *deferred)
{
  if (deferred->event != NULL)
    aqmp_protocol_tell_event (self, deferred->event);
  else if (deferred->func != NULL)
    deferred->func (deferred->data);
  else if (deferred->property != NULL)
    g_object_notify_by_pspec (G_OBJECT (self), deferred->property);
  else
    aqmp_protocol_tell_runstate (self, deferred->runstate);
}

/* This is the place for it, so it is not deferred once more, even if a blocking call is going on and somebody runs the owner's
   context all the same. */
static gboolean
tell_deferred (GSource     *source,
               GSourceFunc  callback,
               gpointer     user_data)
{
  Deferred *deferred = (Deferred *) source;
  g_autoptr (AqmpProtocol) self = g_weak_ref_get (&deferred->protocol);

  if (self == NULL || !begin_telling (self, deferred))
    return G_SOURCE_REMOVE;

  tell (self, deferred);
  end_telling (self);
  g_source_unref (source);
  return G_SOURCE_REMOVE;
}

/* (transfer full) (nullable): the oldest that is still to be told. */
static Deferred *
pop (AqmpProtocol *self,
     GQueue       *queue)
{
  Deferred *deferred;

  aqmp_protocol_lock (self);
  deferred = g_queue_pop_head (queue);
  aqmp_protocol_unlock (self);

  if (deferred != NULL)
    g_source_destroy (&deferred->source);
  return deferred;
}

/* Owner's thread. */
void
aqmp_protocol_tell_deferred_states (AqmpProtocol *self)
{
  Deferred *deferred;

  while ((deferred = pop (self, &aqmp_protocol_get_private (self)->deferred_states)) != NULL)
    {
      tell (self, deferred);
      g_source_unref (&deferred->source);
    }
}

/* A drive has acquired it. */
static gboolean
is_outer_held (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  return priv->outer_context == NULL || priv->holds_outer;
}

static GSourceFuncs deferred_funcs = { NULL, NULL, tell_deferred, deferred_finalize, NULL, NULL };

/* Owner's thread, inside a blocking call. GLib dispatches the sources of a priority in the order in which they were attached,
   those of returned tasks too. */
static void
defer (AqmpProtocol   *self,
       const Deferred *template)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GSource *source = g_source_new (&deferred_funcs, sizeof (Deferred));
  Deferred *deferred = (Deferred *) source;

  g_weak_ref_init (&deferred->protocol, self);
  deferred->event = template->event != NULL ? g_object_ref (template->event) : NULL;
  deferred->property = template->property;
  deferred->func = template->func;
  deferred->data = template->data;
  deferred->destroy = template->destroy;
  deferred->runstate = template->runstate;

  aqmp_protocol_lock (self);
  g_queue_push_tail (get_queue (self, deferred), deferred);
  aqmp_protocol_unlock (self);

  g_source_set_name (source, "[aqmp] deferred");
  g_source_set_ready_time (source, 0);
  if (is_outer_held (self))
    g_source_attach (source, aqmp_protocol_get_outer_context (self));
  else
    g_queue_push_tail (&priv->late_sources, g_source_ref (source));
  priv->has_deferred = TRUE;
}

static void
drop_oldest_event (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  Deferred *oldest = pop (self, &priv->deferred_events);

  if (g_queue_remove (&priv->late_sources, oldest))
    g_source_unref (&oldest->source);
  g_source_unref (&oldest->source);
  priv->n_dropped_events++;
}

gboolean
aqmp_protocol_defer_event (AqmpProtocol *self,
                           AqmpEvent    *event)
{
  if (!aqmp_protocol_is_deferring (self))
    return FALSE;
  if (!aqmp_protocol_is_event_heard (self, aqmp_event_get_name (event)))
    return TRUE;

  if (aqmp_protocol_get_private (self)->deferred_events.length == MOST_DEFERRED_EVENTS)
    drop_oldest_event (self);
  defer (self, &(Deferred) { .event = event });
  return TRUE;
}

void
aqmp_protocol_defer_call (AqmpProtocol   *self,
                          GSourceFunc     func,
                          gpointer        data,
                          GDestroyNotify  destroy)
{
  defer (self, &(Deferred) { .func = func, .data = data, .destroy = destroy });
}

/* Only a drive defers these: a blocking call that begins or ends a session runs the handlers itself. */
static gboolean
defer_state (AqmpProtocol *self,
             GParamSpec   *property,
             AqmpRunstate  runstate)
{
  if (aqmp_protocol_get_private (self)->n_drives == 0)
    return FALSE;

  defer (self, &(Deferred) { .property = property, .runstate = runstate });
  return TRUE;
}

gboolean
aqmp_protocol_defer_runstate (AqmpProtocol *self,
                              AqmpRunstate  runstate)
{
  return defer_state (self, NULL, runstate);
}

gboolean
aqmp_protocol_defer_notify (AqmpProtocol *self,
                            GParamSpec   *property)
{
  return defer_state (self, property, AQMP_RUNSTATE_IDLE);
}

void
aqmp_protocol_returns_task (AqmpProtocol *self)
{
  if (aqmp_protocol_is_deferring (self))
    aqmp_protocol_get_private (self)->has_deferred = TRUE;
}

/* (transfer full) (nullable): the marker, which is none any more. */
static GSource *
take_marker (AqmpProtocol *self)
{
  GSource *marker;

  aqmp_protocol_lock (self);
  marker = g_steal_pointer (&aqmp_protocol_get_private (self)->deferral_marker);
  aqmp_protocol_unlock (self);

  return marker;
}

static gboolean
clear_marker (AqmpProtocol *self)
{
  GSource *marker = take_marker (self);

  if (marker == NULL)
    return FALSE;

  g_source_destroy (marker);
  g_source_unref (marker);
  return TRUE;
}

/* The last of what was deferred was told: whatever arrives is dealt with as ever. With no marker any more, another thread has the
   object. */
static gboolean
end_deferral (gpointer user_data)
{
  g_autoptr (AqmpProtocol) self = g_weak_ref_get (user_data);
  AqmpProtocolPrivate *priv;
  GSource *marker;

  if (self == NULL)
    return G_SOURCE_REMOVE;

  priv = aqmp_protocol_get_private (self);
  aqmp_protocol_lock (self);
  marker = g_steal_pointer (&priv->deferral_marker);
  if (marker != NULL && priv->transport != NULL)
    aqmp_transport_hold (priv->transport, FALSE);
  aqmp_protocol_unlock (self);

  g_clear_pointer (&marker, g_source_unref);
  return G_SOURCE_REMOVE;
}

/* In the order in which they came; some may have been dropped. */
static void
attach_late_sources (AqmpProtocol *self,
                     GMainContext *context)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GSource *source;

  while ((source = g_queue_pop_head (&priv->late_sources)) != NULL)
    {
      if (!g_source_is_destroyed (source))
        g_source_attach (source, context);
      g_source_unref (source);
    }
}

void
aqmp_protocol_settle_deferral (AqmpProtocol *self,
                               GMainContext *context)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  GSource *marker;

  if (aqmp_protocol_is_deferring (self) || !priv->has_deferred)
    return;

  if (priv->n_dropped_events > 0)
    aqmp_protocol_log (self, G_LOG_LEVEL_INFO, "dropped the oldest %u events that came during a blocking call",
                       priv->n_dropped_events);
  priv->n_dropped_events = 0;
  priv->has_deferred = FALSE;

  if (priv->transport != NULL)
    aqmp_transport_hold (priv->transport, TRUE);

  clear_marker (self);
  marker = g_idle_source_new ();
  g_source_set_priority (marker, G_PRIORITY_DEFAULT);
  g_source_set_name (marker, "[aqmp] end of what was deferred");
  g_source_set_callback (marker, end_deferral, aqmp_weak_ref_new (self), aqmp_weak_ref_free);

  aqmp_protocol_lock (self);
  priv->deferral_marker = g_source_ref (marker);
  aqmp_protocol_unlock (self);
  attach_late_sources (self, context);
  g_source_attach (marker, context);
  g_source_unref (marker);
}

/* Another blocking call, which may never run the context where the marker is. */
void
aqmp_protocol_resume_deferral (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (!clear_marker (self))
    return;

  if (priv->transport != NULL)
    aqmp_transport_hold (priv->transport, FALSE);
  priv->has_deferred = TRUE;
}

static void
steal_queue (GQueue *queue,
             GQueue *stolen)
{
  GSource *source;

  while ((source = g_queue_pop_head (queue)) != NULL)
    g_queue_push_tail (stolen, source);
}

void
aqmp_protocol_steal_deferred_locked (AqmpProtocol *self,
                                     GQueue       *stolen)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  steal_queue (&priv->deferred_events, stolen);
  steal_queue (&priv->deferred_states, stolen);
  steal_queue (&priv->deferred_calls, stolen);
  /* It calls nobody, so it is not counted among them. */
  if (priv->deferral_marker != NULL)
    g_source_destroy (priv->deferral_marker);
  g_clear_pointer (&priv->deferral_marker, g_source_unref);
}

/* Without telling anybody: it is the end of the object. */
void
aqmp_protocol_clear_deferred (AqmpProtocol *self)
{
  GQueue stolen = G_QUEUE_INIT;
  GSource *source;

  aqmp_protocol_lock (self);
  aqmp_protocol_steal_deferred_locked (self, &stolen);
  aqmp_protocol_unlock (self);

  while ((source = g_queue_pop_head (&stolen)) != NULL)
    {
      g_source_destroy (source);
      g_source_unref (source);
    }
}

/* --- Driving ------------------------------------------------------------------------------------------------------ */

typedef struct
{
  AqmpProtocol  *self;
  AqmpDriveDone  done;
  gpointer       data;
  gint64         deadline;
  GCancellable  *cancellable;
  GError        *error;     /* (owned) (nullable) */
  gboolean       ended;
} Drive;

/* In milliseconds, rounded up; -1 for no limit. @end: monotonic, -1 for never */
static int
get_remaining (gint64 end)
{
  gint64 remaining;

  if (end < 0)
    return -1;

  remaining = end - g_get_monotonic_time ();
  return remaining <= 0 ? 0 : (int) MIN ((remaining + 999) / 1000, G_MAXINT);
}

/* FALSE: the session is over, or nothing happened. */
static gboolean
iterate (Drive *drive,
         int    timeout_ms)
{
  AqmpTransport *transport = aqmp_protocol_get_private (drive->self)->transport;

  return transport != NULL && aqmp_transport_iterate (transport, timeout_ms, drive->cancellable);
}

/* Cancelled or too late: but what has arrived goes first. */
static void
give_up (Drive *drive)
{
  guint i;

  for (i = 0; i < MOST_LAST_ROUNDS && !drive->done (drive->data) && iterate (drive, 0); i++)
    ;
  if (drive->done (drive->data))
    return;

  if (!g_cancellable_set_error_if_cancelled (drive->cancellable, &drive->error))
    g_set_error_literal (&drive->error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("Timed out"));
}

/* What the session needs from its context, which is not run meanwhile. Returns when this has to be called again. */
static gint64
serve (Drive *drive)
{
  aqmp_protocol_serve_invocations (drive->self);
  return aqmp_protocol_serve_disconnect (drive->self);
}

/* FALSE: there is nothing left to be done. */
static gboolean
run_once (Drive *drive)
{
  gint64 next = serve (drive);
  gint64 end = next >= 0 && (drive->deadline < 0 || next < drive->deadline) ? next : drive->deadline;

  if (drive->done (drive->data))
    return FALSE;

  if (get_remaining (drive->deadline) == 0 || g_cancellable_is_cancelled (drive->cancellable))
    {
      give_up (drive);
      return FALSE;
    }

  return iterate (drive, get_remaining (end)) || aqmp_protocol_get_private (drive->self)->transport != NULL;
}

static gboolean
run (gpointer user_data)
{
  Drive *drive = user_data;

  while (!drive->done (drive->data) && run_once (drive))
    ;

  drive->ended = TRUE;
  return G_SOURCE_REMOVE;
}

static GMainContext *
get_context_for_drives (void)
{
  static GPrivate contexts = G_PRIVATE_INIT ((GDestroyNotify) g_main_context_unref);
  GMainContext *context = g_private_get (&contexts);

  if (context == NULL)
    {
      context = g_main_context_new ();
      g_private_set (&contexts, context);
    }

  return context;
}

/* A task that is returned inside a dispatch of its own context calls back at once. Inside one of another context, it does so
   later. */
static void
run_in_other_context (Drive *drive)
{
  GMainContext *context = get_context_for_drives ();
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_name (source, "[aqmp] blocking call");
  /* Above that of the context's own wake-up, so that this is not polled. */
  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, run, drive, NULL);
  g_source_attach (source, context);
  while (!drive->ended)
    g_main_context_iteration (context, FALSE);
}

gboolean
aqmp_protocol_drive (AqmpProtocol   *self,
                     AqmpDriveDone   done,
                     gpointer        data,
                     gint64          deadline,
                     GCancellable   *cancellable,
                     GError        **error)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);
  Drive drive = { self, done, data, deadline, cancellable, NULL, FALSE };

  priv->n_drives++;
  if (g_main_current_source () != NULL)
    run_in_other_context (&drive);
  else
    run (&drive);
  priv->n_drives--;

  aqmp_protocol_settle_deferral (self, priv->context);

  if (drive.error != NULL)
    g_propagate_error (error, drive.error);
  return drive.error == NULL;
}
