/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What is to be written to one session: long texts that exist anyway, without copying them, and short ones in between. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  GArray *segments;     /* (owned) */
  GByteArray *copies;   /* (owned): the short texts */
  guint first;          /* segment that is not written yet */
  gsize written;        /* of it */
} Output;

typedef enum
{
  OUTPUT_DONE,
  OUTPUT_BLOCKED,
  OUTPUT_FAILED,
} OutputResult;

void         output_init          (Output     *self);
void         output_clear         (Output     *self);

/* `text` has to stay where it is. */
void         output_append        (Output     *self,
                                   const char *text,
                                   gsize       length);
void         output_append_copy   (Output     *self,
                                   const char *text,
                                   gsize       length);

/* All that fits, in as few writes as possible. */
OutputResult output_write         (Output     *self,
                                   int         fd);

/* All of it, `piece` bytes at a time, each of them when the peer has read the one before. No other session gets anything
   meanwhile. */
OutputResult output_write_pieces  (Output     *self,
                                   int         fd,
                                   gsize       piece);

G_END_DECLS
