/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Where one thread waits for a result that the same or another one has for it. An atomic GRcBox; any thread. */
typedef struct _AqmpBlocking AqmpBlocking;

AqmpBlocking *aqmp_blocking_new       (void);
void          aqmp_blocking_unref     (gpointer        self);
#define       aqmp_blocking_ref(self) ((AqmpBlocking *) g_atomic_rc_box_acquire (self))

/* Once. @result: (transfer full) (nullable); @error: (transfer full) (nullable) */
void          aqmp_blocking_return    (AqmpBlocking   *self,
                                       gpointer        result,
                                       GDestroyNotify  destroy,
                                       GError         *error);
gboolean      aqmp_blocking_is_done   (gpointer        self);
/* Until another thread has returned it. @deadline: monotonic, -1 for none. FALSE: G_IO_ERROR_CANCELLED or
   G_IO_ERROR_TIMED_OUT, and it was not returned before that. */
gboolean      aqmp_blocking_wait      (AqmpBlocking   *self,
                                       gint64          deadline,
                                       GCancellable   *cancellable,
                                       GError        **error);
/* What was returned. */
gpointer      aqmp_blocking_propagate (AqmpBlocking   *self,
                                       GError        **error);

/* A time from now as a deadline. @timeout_ms: 0 for none */
gint64        aqmp_blocking_deadline  (guint           timeout_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AqmpBlocking, aqmp_blocking_unref)

G_END_DECLS
