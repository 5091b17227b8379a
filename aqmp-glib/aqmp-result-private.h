/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define AQMP_TYPE_RESULT (aqmp_result_get_type ())

/* The result of a call: what a GTask would be, without what a call does not need (with a GTask, a call in flight took 11 % more
   instructions). It calls back in the thread-default context of whoever began, by the same rules as a GTask: at once inside a
   dispatch of that context, but never in the one in which it was made. */
G_DECLARE_FINAL_TYPE (AqmpResult, aqmp_result, AQMP, RESULT, GObject)

/* At the beginning of each dispatch of a source that returns many. GLib tells one dispatch from the next by the context's time, for
   which it takes a lock. */
void          aqmp_result_begin_turn      (void);

AqmpResult   *aqmp_result_new             (gpointer             source_object,
                                           GCancellable        *cancellable,
                                           GAsyncReadyCallback  callback,
                                           gpointer             user_data,
                                           gpointer             source_tag);
/* (transfer none), all of them */
gpointer      aqmp_result_get_source      (AqmpResult          *self);
GMainContext *aqmp_result_get_context     (AqmpResult          *self);
GCancellable *aqmp_result_get_cancellable (AqmpResult          *self);

/* Once, in any thread. @self: (transfer full); @result: (transfer full) (nullable); @error: (transfer full) (nullable) */
void          aqmp_result_return          (AqmpResult          *self,
                                           gpointer             result,
                                           GDestroyNotify       destroy,
                                           GError              *error);

/* For the finish functions. */
gboolean      aqmp_result_is_valid        (gpointer             result,
                                           gpointer             source_object,
                                           gpointer             source_tag);
/* (transfer full) (nullable): what was returned; once */
gpointer      aqmp_result_propagate       (gpointer             result,
                                           GError             **error);

G_END_DECLS
