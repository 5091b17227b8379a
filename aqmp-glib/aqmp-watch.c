/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-watch-private.h"

#include <glib/gi18n-lib.h>

/* Threads: any, not locked: started by whoever begins an operation, before others can know it; stopped by whoever has taken its
   task. A cancellable calls in any thread, and only sets a ready time there. */

typedef struct
{
  AqmpWatchFunc  func;
  gpointer       operation;
  GDestroyNotify release;
  guint          timeout_ms;
  int            priority;   /* of the task */
} Watched;

static void
watched_free (gpointer user_data)
{
  Watched *watched = user_data;

  watched->release (watched->operation);
  g_free (watched);
}

static gboolean
tell (Watched      *watched,
      const GError *error)
{
  GSource *source = g_main_current_source ();
  int priority = watched->priority;

  if (watched->func (watched->operation, error, g_source_get_priority (source) < priority))
    return G_SOURCE_REMOVE;

  /* Behind all that have this priority already. */
  g_source_set_priority (source, priority);
  return G_SOURCE_CONTINUE;
}

static gboolean
cancelled (gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled"));
  return tell (user_data, error);
}

static gboolean
timed_out (gpointer user_data)
{
  Watched *watched = user_data;
  g_autoptr (GError) error = NULL;

  error = g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("Timed out after %u ms"), watched->timeout_ms);
  return tell (watched, error);
}

static gboolean
dispatch (GSource     *source,
          GSourceFunc  callback,
          gpointer     user_data)
{
  return callback (user_data);
}

/* Ready from its ready time on, until it is destroyed. */
static GSourceFuncs source_funcs = { NULL, NULL, dispatch, NULL, NULL, NULL };

static GSource *
attach (gint64          ready_time,
        const char     *name,
        GMainContext   *context,
        GSourceFunc     callback,
        const Watched  *template)
{
  GSource *source = g_source_new (&source_funcs, sizeof (GSource));
  Watched *watched = g_new (Watched, 1);

  *watched = *template;
  g_atomic_rc_box_acquire (watched->operation);
  g_source_set_name (source, name);
  /* So that a command which was cancelled is taken back before the transport, in the same turn, writes it. */
  g_source_set_priority (source, watched->priority + G_PRIORITY_HIGH);
  g_source_set_callback (source, callback, watched, watched_free);
  g_source_set_ready_time (source, ready_time);
  g_source_attach (source, context);
  return source;
}

/* What is done in whatever thread cancels. The context is kept, too: GLib looks for it in the source without any lock, and the
   caller's thread may just be letting it go. */
typedef struct
{
  GSource      *source;   /* (owned) */
  GMainContext *context;  /* (owned) */
} Scheduling;

static void
schedule (GCancellable *cancellable,
          gpointer      user_data)
{
  Scheduling *scheduling = user_data;

  g_source_set_ready_time (scheduling->source, 0);
}

static void
scheduling_free (gpointer  user_data,
                 GClosure *closure)
{
  Scheduling *scheduling = user_data;

  g_source_unref (scheduling->source);
  g_main_context_unref (scheduling->context);
  g_free (scheduling);
}

/* Not g_cancellable_source_new(): GLib 2.74 leaks one that is destroyed while another thread cancels. And not
   g_cancellable_connect(), as g_cancellable_disconnect() waits for handlers. */
static void
watch_cancellable (AqmpWatch    *self,
                   GMainContext *context,
                   GCancellable *cancellable)
{
  Scheduling *scheduling = g_new (Scheduling, 1);

  *scheduling = (Scheduling) { g_source_ref (self->cancelled), g_main_context_ref (context) };
  self->cancellable = g_object_ref (cancellable);
  self->handler = g_signal_connect_data (cancellable, "cancelled", G_CALLBACK (schedule), scheduling, scheduling_free, 0);
  if (g_cancellable_is_cancelled (cancellable))
    g_source_set_ready_time (self->cancelled, 0);
}

void
aqmp_watch_start_in (AqmpWatch      *self,
                     GMainContext   *context,
                     int             priority,
                     GCancellable   *cancellable,
                     guint           timeout_ms,
                     AqmpWatchFunc   func,
                     gpointer        operation,
                     GDestroyNotify  release)
{
  const Watched template = { func, operation, release, timeout_ms, priority };

  if (cancellable != NULL)
    {
      self->cancelled = attach (-1, "[aqmp] cancelled", context, cancelled, &template);
      watch_cancellable (self, context, cancellable);
    }
  if (timeout_ms > 0)
    self->timed_out = attach (g_get_monotonic_time () + (gint64) timeout_ms * 1000, "[aqmp] timed out", context, timed_out,
                              &template);
}

void
aqmp_watch_start (AqmpWatch      *self,
                  GTask          *task,
                  guint           timeout_ms,
                  AqmpWatchFunc   func,
                  gpointer        operation,
                  GDestroyNotify  release)
{
  aqmp_watch_start_in (self, g_task_get_context (task), g_task_get_priority (task), g_task_get_cancellable (task), timeout_ms,
                       func, operation, release);
}

static void
stop (GSource **source)
{
  GSource *stopped = g_steal_pointer (source);

  if (stopped == NULL)
    return;

  g_source_destroy (stopped);
  g_source_unref (stopped);
}

void
aqmp_watch_stop (AqmpWatch *self)
{
  if (self->cancellable != NULL)
    {
      g_signal_handler_disconnect (self->cancellable, self->handler);
      g_clear_object (&self->cancellable);
    }
  stop (&self->cancelled);
  stop (&self->timed_out);
}
