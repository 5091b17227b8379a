/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Watches over an operation that is pending: tells, in the context that its task returns in, that the task's cancellable
   was cancelled or that it took too long. Costs nothing without a cancellable and a timeout.
   A cancellable only ever schedules here: it may be cancelled in any thread, and from inside the operation. */
typedef struct
{
  GCancellable *cancellable; /* (owned) (nullable) */
  gulong        handler;
  GSource      *cancelled;   /* (owned) (nullable) */
  GSource      *timed_out;   /* (owned) (nullable) */
} AqmpWatch;

/* @error: G_IO_ERROR_CANCELLED or G_IO_ERROR_TIMED_OUT. Called @urgently first, before anything else happens in the context;
   if it returns FALSE then, it is called again, after what else was ready. */
typedef gboolean (*AqmpWatchFunc) (gpointer      operation,
                                   const GError *error,
                                   gboolean      urgently);

/* @operation: an atomic GRcBox (g_atomic_rc_box_new()), kept by the watch. @release: of its last reference.
   @timeout_ms: 0 for none. */
void aqmp_watch_start    (AqmpWatch      *self,
                          GTask          *task,
                          guint           timeout_ms,
                          AqmpWatchFunc   func,
                          gpointer        operation,
                          GDestroyNotify  release);
/* Without a task. @cancellable: (nullable) */
void aqmp_watch_start_in (AqmpWatch      *self,
                          GMainContext   *context,
                          int             priority,
                          GCancellable   *cancellable,
                          guint           timeout_ms,
                          AqmpWatchFunc   func,
                          gpointer        operation,
                          GDestroyNotify  release);

/* Any thread, more than once. The function may still be running elsewhere; so it has to ask whether the operation is
   pending at all. */
void aqmp_watch_stop     (AqmpWatch      *self);

G_END_DECLS
