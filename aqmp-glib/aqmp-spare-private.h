/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define AQMP_MOST_SPARE 64

/* Objects of one class that are over, kept by a thread for what comes next: a GObject takes longer to make and to free than all else
   that a call needs. Each thread has one for the class (_Thread_local). */
typedef struct
{
  gpointer objects[AQMP_MOST_SPARE];  /* (owned) */
  guint    n;
} AqmpSpare;

/* Whether the caller's reference is all that anybody has of the object, be it a weak one: then nobody misses it. */
gboolean aqmp_spare_is_unknown (gpointer   object);
/* @object: (transfer full): unknown to all others, and as it was when it was new. Freed if there are enough. */
void     aqmp_spare_keep       (AqmpSpare *self,
                                gpointer   object);
/* (transfer full) (nullable) */
gpointer aqmp_spare_take       (AqmpSpare *self);
/* What a GPrivate that has the thread's @self does at the end of the thread. */
void     aqmp_spare_clear      (gpointer   self);

G_END_DECLS
