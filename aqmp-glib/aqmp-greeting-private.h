/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <json-glib/json-glib.h>

#include "aqmp-greeting.h"

G_BEGIN_DECLS

/* @greeting: the value of the "QMP" member, already parsed. AQMP_ERROR_GREETING says which part of it was wrong. */
AqmpGreeting *aqmp_greeting_new (JsonNode  *greeting,
                                 GError   **error);

G_END_DECLS
