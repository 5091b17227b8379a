/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/* As g_new0() and g_atomic_rc_box_new0(), for one of what every session or call has. These use calloc(), which takes nothing from the C
   library's cache of a thread, where small blocks go to that are freed: so each is made the slow way, and freed the slow way. */
#define aqmp_new0(Type) ((Type *) memset (g_new (Type, 1), 0, sizeof (Type)))
#define aqmp_atomic_rc_box_new0(Type) ((Type *) memset (g_atomic_rc_box_new (Type), 0, sizeof (Type)))

G_END_DECLS
