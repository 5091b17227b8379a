/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Memory for a big message. The process keeps the last block that was let go for the next such message: whenever it is given or
   asked for a big block, the allocator joins all the small ones that a tree has left, one by one, which is a fifth of what the next tree
   takes. Any thread. */

/* (transfer full) (nullable): at least as big as that, and not much bigger. @size: (out): how big it is */
gpointer  aqmp_block_take     (gsize     least,
                               gsize    *size);
/* @block: (transfer full) (nullable): from g_malloc(), of any size; freed if it is too small or too big to be kept. */
void      aqmp_block_let_go   (gpointer  block,
                               gsize     size);
/* @block: (transfer full): let go when the bytes are freed, of which there are @length in it */
GBytes   *aqmp_block_to_bytes (gpointer  block,
                               gsize     size,
                               gsize     length);

G_END_DECLS
