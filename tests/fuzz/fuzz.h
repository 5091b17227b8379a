/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

/* What every fuzzer has: with libFuzzer (scripts/fuzz) nothing more is needed; without clang, -DAQMP_FUZZ_STANDALONE
   makes a program that runs over the files that are named, or standard input. */

#include <glib.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput (const uint8_t *data,
                            size_t         size);

/* Not g_assert(): the failure has to be seen whatever G_DISABLE_ASSERT says, and the fuzzer wants a trap. */
#define CHECK(condition) \
  G_STMT_START { \
    if (!(condition)) \
      { \
        fprintf (stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
        __builtin_trap (); \
      } \
  } G_STMT_END

#ifdef AQMP_FUZZ_STANDALONE
static gboolean
run_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *contents = NULL;
  gsize length;

  if (!g_file_get_contents (path, &contents, &length, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return FALSE;
    }
  LLVMFuzzerTestOneInput ((const guint8 *) contents, length);
  return TRUE;
}

int
main (int   argc,
      char *argv[])
{
  int i;

  if (argc < 2)
    return run_file ("/dev/stdin") ? 0 : 1;
  for (i = 1; i < argc; i++)
    {
      if (!run_file (argv[i]))
        return 1;
    }
  return 0;
}
#endif
