/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-spare-private.h"

/* Weak references, toggle references, the wrappers of languages: all that can tell whether an object still exists is in its data
   list. (But for handlers of signals; a class for this has none but GObject's own, which it never emits.) Who has no reference cannot
   add to the list. */
gboolean
aqmp_spare_is_unknown (gpointer object)
{
  GObject *self = object;

  return g_atomic_int_get (&self->ref_count) == 1 && self->qdata == NULL;
}

void
aqmp_spare_keep (AqmpSpare *self,
                 gpointer   object)
{
  if (self->n < AQMP_MOST_SPARE)
    self->objects[self->n++] = object;
  else
    g_object_unref (object);
}

gpointer
aqmp_spare_take (AqmpSpare *self)
{
  return self->n > 0 ? self->objects[--self->n] : NULL;
}

void
aqmp_spare_clear (gpointer self)
{
  gpointer object;

  while ((object = aqmp_spare_take (self)) != NULL)
    g_object_unref (object);
}
