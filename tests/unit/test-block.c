/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Blocks for big messages: the process keeps one, and only where that is worth it. */

#include "aqmp-glib/aqmp-block-private.h"

#include <string.h>

#define KB 1024

/* Nothing is kept afterwards. */
static void
empty (void)
{
  gsize size;

  g_free (aqmp_block_take (512 * KB, &size));
}

static void
test_used_again (void)
{
  gpointer block = g_malloc (200 * KB);
  gsize size;

  empty ();
  aqmp_block_let_go (block, 200 * KB);
  g_assert_true (aqmp_block_take (150 * KB, &size) == block);
  g_assert_cmpuint (size, ==, 200 * KB);
  g_assert_null (aqmp_block_take (150 * KB, &size));

  aqmp_block_let_go (block, size);
  g_assert_true (aqmp_block_take (200 * KB, &size) == block);
  g_free (block);
}

/* A second one takes the place of the first. */
static void
test_last_one (void)
{
  gpointer second = g_malloc (100 * KB);
  gsize size;

  empty ();
  aqmp_block_let_go (g_malloc (100 * KB), 100 * KB);
  aqmp_block_let_go (second, 100 * KB);
  g_assert_true (aqmp_block_take (100 * KB, &size) == second);
  g_assert_null (aqmp_block_take (100 * KB, &size));
  g_free (second);
}

static void
check_not_taken (gsize size,
                 gsize least)
{
  gsize taken;

  empty ();
  aqmp_block_let_go (g_malloc (size), size);
  g_assert_null (aqmp_block_take (least, &taken));
}

static void
test_not_taken (void)
{
  /* Too small, and more than twice what is needed. */
  check_not_taken (200 * KB, 200 * KB + 1);
  check_not_taken (200 * KB, 100 * KB - 1);
  /* Kept neither. */
  check_not_taken (64 * KB - 1, 64 * KB - 1);
  check_not_taken (512 * KB + 1, 512 * KB);
  check_not_taken (512 * KB + 1, 512 * KB + 1);
  empty ();
  aqmp_block_let_go (NULL, 0);
}

/* For little a big one is not even looked at. */
static void
test_small_demand (void)
{
  gpointer block = g_malloc (64 * KB);
  gsize size;

  empty ();
  aqmp_block_let_go (block, 64 * KB);
  g_assert_null (aqmp_block_take (64 * KB - 1, &size));
  g_assert_true (aqmp_block_take (64 * KB, &size) == block);
  g_free (block);
}

static void
test_bytes (void)
{
  gpointer block = g_malloc0 (300 * KB);
  GBytes *bytes = aqmp_block_to_bytes (block, 300 * KB, 250 * KB);
  gsize size;

  empty ();
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 250 * KB);
  g_assert_true (g_bytes_get_data (bytes, NULL) == block);
  g_assert_null (aqmp_block_take (300 * KB, &size));
  g_bytes_unref (bytes);
  g_assert_true (aqmp_block_take (300 * KB, &size) == block);
  g_assert_cmpuint (size, ==, 300 * KB);
  g_free (block);

  g_bytes_unref (aqmp_block_to_bytes (g_malloc (KB), KB, KB));
  g_bytes_unref (aqmp_block_to_bytes (g_malloc (KB * KB), KB * KB, KB * KB));
  g_assert_null (aqmp_block_take (300 * KB, &size));
}

/* Nobody gets what another has. */
static gpointer
take_and_let_go (gpointer mark)
{
  guint i;

  for (i = 0; i < 5000; i++)
    {
      gsize size = 100 * KB;
      guint8 *block = aqmp_block_take (100 * KB, &size);

      if (block == NULL)
        block = g_malloc (size);
      memset (block, GPOINTER_TO_INT (mark), 64);
      g_thread_yield ();
      g_assert_cmpuint (block[0], ==, GPOINTER_TO_INT (mark));
      g_assert_cmpuint (block[63], ==, GPOINTER_TO_INT (mark));
      aqmp_block_let_go (block, size);
    }

  return NULL;
}

static void
test_threads (void)
{
  GThread *threads[4];
  guint i;

  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("takes", take_and_let_go, GINT_TO_POINTER (i + 1));
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  empty ();
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/block/used-again", test_used_again);
  g_test_add_func ("/block/last-one", test_last_one);
  g_test_add_func ("/block/not-taken", test_not_taken);
  g_test_add_func ("/block/small-demand", test_small_demand);
  g_test_add_func ("/block/bytes", test_bytes);
  g_test_add_func ("/block/threads", test_threads);

  return g_test_run ();
}
