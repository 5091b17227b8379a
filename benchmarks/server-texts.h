/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the server says, made before anybody waits for it. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Of query-qmp-schema of QEMU 7.2. */
#define TEXTS_SCHEMA_SIZE 207000

typedef struct
{
  GString *schema;      /* like the value that query-qmp-schema returns: as many objects and strings for its size */
  GString *text;        /* the same with names in letters that are two to four bytes each */
  GString *events;      /* TEXTS_N_EVENTS of them */
  GString *data_events;
  GHashTable *sized;    /* size (as a pointer) → GString: like the schema */
} Texts;

#define TEXTS_N_EVENTS 1000

void           texts_init  (Texts *self);

/* A value of that many bytes, at least two. Kept for the next time. */
const GString *texts_sized (Texts *self,
                            gsize  size);

G_END_DECLS
