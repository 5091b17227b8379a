/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

#define AQMP_TYPE_EVENT (aqmp_event_get_type ())

AQMP_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (AqmpEvent, aqmp_event, AQMP, EVENT, GObject)

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_event_new (const char *name,
                           gint64      timestamp,
                           JsonObject *data);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_event_get_name (AqmpEvent *self);

AQMP_AVAILABLE_IN_1_0
gint64 aqmp_event_get_timestamp (AqmpEvent *self);

AQMP_AVAILABLE_IN_1_0
JsonObject *aqmp_event_get_data (AqmpEvent *self);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_event_matches (AqmpEvent  *self,
                             JsonObject *subset);

AQMP_AVAILABLE_IN_1_0
GBytes *aqmp_event_to_bytes (AqmpEvent *self);

G_END_DECLS
