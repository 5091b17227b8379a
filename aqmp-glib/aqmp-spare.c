/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-spare-private.h"

static void
free_all (gpointer spares_of_thread)
{
  AqmpSpare *self = spares_of_thread;

  while (self != NULL)
    {
      AqmpSpare *next = self->next;

      /* What an object frees could let go of another one. */
      self->is_known = FALSE;
      while (self->n > 0)
        g_object_unref (self->objects[--self->n]);
      self = next;
    }
}

static void
free_with_thread (AqmpSpare *self)
{
  static GPrivate spares = G_PRIVATE_INIT (free_all);

  self->next = g_private_get (&spares);
  self->is_known = TRUE;
  g_private_set (&spares, self);
}

gpointer
aqmp_spare_take (AqmpSpare *self,
                 GType      type)
{
  return self->n > 0 ? self->objects[--self->n] : g_object_new (type, NULL);
}

/* Weak references, toggle references, the wrappers of languages: all that can tell whether an object still exists is in its data
   list. (But for handlers of signals; a class for this has none but GObject's own, which it never emits.) Who has no reference cannot
   add to the list. Who has a weak one can turn that into a strong one at any moment, hence the second look. */
gboolean
aqmp_spare_is_unknown (gpointer object)
{
  GObject *self = object;

  return g_atomic_int_get (&self->ref_count) == 1 && g_atomic_pointer_get (&self->qdata) == NULL &&
         g_atomic_int_get (&self->ref_count) == 1;
}

void
aqmp_spare_keep (AqmpSpare *self,
                 gpointer   object)
{
  if (G_UNLIKELY (!self->is_known))
    free_with_thread (self);

  if (self->n < AQMP_MOST_SPARE)
    self->objects[self->n++] = object;
  else
    g_object_unref (object);
}
