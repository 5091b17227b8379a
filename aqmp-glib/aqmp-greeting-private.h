/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-greeting.h"

G_BEGIN_DECLS

/* @text: the value of the "QMP" member, already validated. AQMP_ERROR_GREETING says which part of it was wrong. */
AqmpGreeting *aqmp_greeting_new (const guint8  *text,
                                 gsize          length,
                                 GError       **error);

G_END_DECLS
