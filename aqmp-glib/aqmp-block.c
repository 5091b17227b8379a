/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-block-private.h"

/* Threads: any; what they share is exchanged atomically. */

#define SMALLEST_KEPT (64 * 1024)
#define LARGEST_KEPT (512 * 1024)

typedef struct
{
  gpointer data;  /* (owned) */
  gsize    size;
} Block;

static Block *kept; /* (owned) (nullable), atomic */

static gboolean
is_worth_keeping (gsize size)
{
  return size >= SMALLEST_KEPT && size <= LARGEST_KEPT;
}

static Block *
block_new (gpointer data,
           gsize    size)
{
  Block *self = g_new (Block, 1);

  *self = (Block) { data, size };
  return self;
}

/* (transfer full) (nullable): its data */
static gpointer
block_free (Block *self)
{
  gpointer data = self != NULL ? self->data : NULL;

  g_free (self);
  return data;
}

static void
keep (gpointer block)
{
  g_free (block_free (g_atomic_pointer_exchange (&kept, block)));
}

gpointer
aqmp_block_take (gsize  least,
                 gsize *size)
{
  Block *self = is_worth_keeping (least) ? g_atomic_pointer_exchange (&kept, NULL) : NULL;

  if (self == NULL)
    return NULL;

  *size = self->size;
  if (self->size >= least && self->size / 2 <= least)
    return block_free (self);

  g_free (block_free (self));
  return NULL;
}

void
aqmp_block_let_go (gpointer block,
                   gsize    size)
{
  if (is_worth_keeping (size))
    keep (block_new (block, size));
  else
    g_free (block);
}

GBytes *
aqmp_block_to_bytes (gpointer block,
                     gsize    size,
                     gsize    length)
{
  if (is_worth_keeping (size))
    return g_bytes_new_with_free_func (block, length, keep, block_new (block, size));
  return g_bytes_new_take (block, length);
}
