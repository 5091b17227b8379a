/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-blocking-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-alloc-private.h"

/* Threads: any. All of it is under a lock of its own, in which nobody is called. */

struct _AqmpBlocking
{
  GMutex          lock;
  GCond           changed;
  gboolean        waiting;   /* telling of the change enters the kernel, whether anybody is there or not */
  gboolean        done;
  gboolean        cancelled;
  gpointer        result;    /* (owned) (nullable) */
  GDestroyNotify  destroy;
  GError         *error;     /* (owned) (nullable) */
};

AqmpBlocking *
aqmp_blocking_new (void)
{
  AqmpBlocking *self = aqmp_atomic_rc_box_new0 (AqmpBlocking);

  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  return self;
}

static void
blocking_clear (gpointer data)
{
  AqmpBlocking *self = data;

  if (self->result != NULL)
    self->destroy (self->result);
  g_clear_error (&self->error);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
}

void
aqmp_blocking_unref (gpointer self)
{
  g_atomic_rc_box_release_full (self, blocking_clear);
}

void
aqmp_blocking_return (AqmpBlocking   *self,
                      gpointer        result,
                      GDestroyNotify  destroy,
                      GError         *error)
{
  g_mutex_lock (&self->lock);
  g_assert (!self->done);
  self->result = result;
  self->destroy = destroy;
  self->error = error;
  self->done = TRUE;
  if (self->waiting)
    g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
}

gboolean
aqmp_blocking_is_done (gpointer data)
{
  AqmpBlocking *self = data;
  gboolean done;

  g_mutex_lock (&self->lock);
  done = self->done;
  g_mutex_unlock (&self->lock);

  return done;
}

/* In whatever thread cancels. */
static void
on_cancelled (GCancellable *cancellable,
              gpointer      user_data)
{
  AqmpBlocking *self = user_data;

  g_mutex_lock (&self->lock);
  self->cancelled = TRUE;
  g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
}

static void
release (gpointer  data,
         GClosure *closure)
{
  aqmp_blocking_unref (data);
}

/* Locked. FALSE: the time is over. */
static gboolean
wait_once (AqmpBlocking *self,
           gint64        deadline)
{
  if (deadline >= 0)
    return g_cond_wait_until (&self->changed, &self->lock, deadline);

  g_cond_wait (&self->changed, &self->lock);
  return TRUE;
}

gboolean
aqmp_blocking_wait (AqmpBlocking  *self,
                    gint64         deadline,
                    GCancellable  *cancellable,
                    GError       **error)
{
  gboolean in_time = TRUE;
  gboolean done;
  gulong handler = 0;

  /* Not g_cancellable_connect(), as g_cancellable_disconnect() waits for handlers. */
  if (cancellable != NULL)
    handler = g_signal_connect_data (cancellable, "cancelled", G_CALLBACK (on_cancelled), aqmp_blocking_ref (self), release,
                                     0);

  g_mutex_lock (&self->lock);
  self->waiting = TRUE;
  self->cancelled = self->cancelled || g_cancellable_is_cancelled (cancellable);
  /* Without a cancellable this is a second wait, after one that was cancelled. */
  while (!self->done && !(self->cancelled && cancellable != NULL) && in_time)
    in_time = wait_once (self, deadline);
  done = self->done;
  g_mutex_unlock (&self->lock);

  if (handler != 0)
    g_signal_handler_disconnect (cancellable, handler);

  if (done)
    return TRUE;
  if (in_time)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled"));
  else
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _("Timed out"));
  return FALSE;
}

gpointer
aqmp_blocking_propagate (AqmpBlocking  *self,
                         GError       **error)
{
  if (self->error != NULL)
    g_propagate_error (error, g_steal_pointer (&self->error));
  return g_steal_pointer (&self->result);
}

gint64
aqmp_blocking_deadline (guint timeout_ms)
{
  return timeout_ms > 0 ? g_get_monotonic_time () + (gint64) timeout_ms * G_TIME_SPAN_MILLISECOND : -1;
}
