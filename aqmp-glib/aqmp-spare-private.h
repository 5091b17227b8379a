/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define AQMP_MOST_SPARE 64

typedef struct _AqmpSpare AqmpSpare;

/* Objects of one class that are over, kept by a thread for what comes next: a GObject takes longer to make and to free than all else
   that a call needs. Static and _Thread_local, with all bytes 0 in the beginning; what is left in it is freed with the thread. */
struct _AqmpSpare
{
  gpointer   objects[AQMP_MOST_SPARE];  /* (owned) */
  guint      n;
  gboolean   is_known;                  /* to the end of the thread */
  AqmpSpare *next;                      /* (nullable): of another class */
};

/* (transfer full): a spare one, or a new one */
gpointer aqmp_spare_take       (AqmpSpare *self,
                                GType      type);
/* Whether the caller's reference is all that anybody has of the object, be it a weak one: then nobody misses it. */
gboolean aqmp_spare_is_unknown (gpointer   object);
/* @object: (transfer full): unknown to all others, and as it was when it was new. Freed if there are enough. */
void     aqmp_spare_keep       (AqmpSpare *self,
                                gpointer   object);

G_END_DECLS
