/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-watch-private.h"

#include <glib/gi18n-lib.h>

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

  /* Behind all that have this priority already; and ready still, which a cancellable's source is only once. */
  g_source_set_priority (source, priority);
  g_source_set_ready_time (source, 0);
  return G_SOURCE_CONTINUE;
}

static gboolean
cancelled (GCancellable *cancellable,
           gpointer      user_data)
{
  g_autoptr (GError) error = NULL;

  g_cancellable_set_error_if_cancelled (cancellable, &error);
  return error != NULL ? tell (user_data, error) : G_SOURCE_CONTINUE;
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
deadline_dispatch (GSource     *source,
                   GSourceFunc  callback,
                   gpointer     user_data)
{
  return callback (user_data);
}

static GSourceFuncs deadline_funcs = { NULL, NULL, deadline_dispatch, NULL, NULL, NULL };

/* Unlike a timeout source it stays ready once it is. */
static GSource *
deadline_source_new (guint timeout_ms)
{
  GSource *source = g_source_new (&deadline_funcs, sizeof (GSource));

  g_source_set_ready_time (source, g_get_monotonic_time () + (gint64) timeout_ms * 1000);
  return source;
}

static GSource *
attach (GSource       *source,
        const char    *name,
        GTask         *task,
        GSourceFunc    callback,
        const Watched *template)
{
  Watched *watched = g_new (Watched, 1);

  *watched = *template;
  g_atomic_rc_box_acquire (watched->operation);
  g_source_set_name (source, name);
  /* So that a command which was cancelled is taken back before the transport, in the same turn, writes it. */
  g_source_set_priority (source, watched->priority + G_PRIORITY_HIGH);
  g_source_set_callback (source, callback, watched, watched_free);
  g_source_attach (source, g_task_get_context (task));
  return source;
}

void
aqmp_watch_start (AqmpWatch      *self,
                  GTask          *task,
                  guint           timeout_ms,
                  AqmpWatchFunc   func,
                  gpointer        operation,
                  GDestroyNotify  release)
{
  const Watched template = { func, operation, release, timeout_ms, g_task_get_priority (task) };
  GCancellable *cancellable = g_task_get_cancellable (task);

  if (cancellable != NULL)
    self->cancelled = attach (g_cancellable_source_new (cancellable), "[aqmp] cancelled", task, G_SOURCE_FUNC (cancelled),
                              &template);
  if (timeout_ms > 0)
    self->timed_out = attach (deadline_source_new (timeout_ms), "[aqmp] timed out", task, timed_out, &template);
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
  stop (&self->cancelled);
  stop (&self->timed_out);
}
