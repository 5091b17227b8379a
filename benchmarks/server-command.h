/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Takes commands apart in one pass, and only as far as the server has to know them. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Text that lies in what was received. */
typedef struct
{
  const char *text;
  gsize length;
} Span;

typedef struct
{
  Span name;
  Span id;              /* as it was written, with its quotes; length 0: none */
  guint64 bytes;        /* of the value that is returned */
  guint64 count;        /* of events before the reply */
  guint64 data;         /* whether these events have data */
  guint64 piece;        /* how much of the reply is written at a time; 0: all of it */
} Command;

/* The length of the first command in the text, with all that comes before it, or 0 if there is no whole one. */
gsize    command_read    (Command    *self,
                          const char *text,
                          gsize       length);

gboolean command_has_name (const Command *self,
                           const char    *name);

G_END_DECLS
