/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Lets a source of one GMainContext wait for another context, the child: what that one would poll, the source polls.
   Embedded in the source; called from its functions. The child needs G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING. */
typedef struct
{
  GArray *watched;  /* (owned) (nullable) (element-type Watched): what the source polls for the child */
} AqmpNestedContext;

void     aqmp_nested_context_clear    (AqmpNestedContext *self);

/* TRUE: the child has something to dispatch now. Otherwise @timeout (ms, -1 for none) is made no longer than it needs. */
gboolean aqmp_nested_context_prepare  (AqmpNestedContext *self,
                                       GSource           *source,
                                       GMainContext      *child,
                                       int               *timeout);
gboolean aqmp_nested_context_check    (AqmpNestedContext *self,
                                       GSource           *source,
                                       GMainContext      *child);

G_END_DECLS
