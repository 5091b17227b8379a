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

#define AQMP_TYPE_GREETING (aqmp_greeting_get_type ())

/**
 * AqmpGreeting:
 *
 * What a server says of itself when it is connected to: its version and the capabilities that it offers.
 *
 * A greeting never changes, and may be used from any thread.
 *
 * Since: 1.0
 */
typedef struct _AqmpGreeting AqmpGreeting;

AQMP_AVAILABLE_IN_1_0
GType aqmp_greeting_get_type (void) G_GNUC_CONST;

AQMP_AVAILABLE_IN_1_0
AqmpGreeting *aqmp_greeting_ref (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_greeting_unref (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
int aqmp_greeting_get_major (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
int aqmp_greeting_get_minor (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
int aqmp_greeting_get_micro (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_greeting_get_package (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_greeting_get_version_string (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
const char * const *aqmp_greeting_get_capabilities (AqmpGreeting *self);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_greeting_has_capability (AqmpGreeting *self,
                                       const char   *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AqmpGreeting, aqmp_greeting_unref)

G_END_DECLS
