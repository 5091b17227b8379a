/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "aqmp-error.h"

G_BEGIN_DECLS

/* An error of domain AQMP_EXEC_ERROR: the code follows from the class name, the message is @desc verbatim. */
GError *aqmp_exec_error_new (const char *class_name,
                             const char *desc,
                             GBytes     *reply);

/* A piece of what the peer sent, fit for an error message: at most about 80 characters, printable ASCII/UTF-8, control
   characters escaped, "…" where it was cut. */
char *aqmp_excerpt (const void *data,
                    gsize       length);

G_END_DECLS
