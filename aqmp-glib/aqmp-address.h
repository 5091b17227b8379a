/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>

#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

AQMP_AVAILABLE_IN_1_0
GSocketConnectable *aqmp_address_parse (const char  *address,
                                        GError     **error);

G_END_DECLS
