/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* A weak reference as the data of a source or of a callback, for g_weak_ref_get(). Any thread. */

static inline gpointer
aqmp_weak_ref_new (gpointer object)
{
  GWeakRef *self = g_new0 (GWeakRef, 1);

  g_weak_ref_init (self, object);
  return self;
}

static inline void
aqmp_weak_ref_free (gpointer self)
{
  g_weak_ref_clear (self);
  g_free (self);
}

G_END_DECLS
