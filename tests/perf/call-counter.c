/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* To be preloaded: when the program ends, writes how many system calls it has made, and how much memory it has asked for, to the
 * file that AQMP_TEST_COUNTS names:
 *   system calls 4711
 *   writes 12              (of these: what is written to files, eventfds among them, and not sent to sockets)
 *   allocations 815        (each block, and each one that was resized)
 * No ptrace, so it works in any container; and it is so cheap that the order of events is that of a run without it.
 */

#include "syscall-counter.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic (guint64) n_allocations;

/* Counts, and finds the function that would have been called without us. What it is called for first comes before any constructor. */
static gpointer
count_allocation (_Atomic (gpointer) *real,
                  const char         *name)
{
  gpointer function = atomic_load_explicit (real, memory_order_relaxed);

  atomic_fetch_add_explicit (&n_allocations, 1, memory_order_relaxed);
  if (function == NULL)
    {
      function = dlsym (RTLD_NEXT, name);
      if (function == NULL)
        abort ();
      atomic_store_explicit (real, function, memory_order_relaxed);
    }

  return function;
}

/* X (type, name, parameters, arguments) */
#define ALLOCATORS(X) \
  X (void *, malloc, (size_t size), (size)) \
  X (void *, calloc, (size_t n, size_t size), (n, size)) \
  X (void *, realloc, (void *block, size_t size), (block, size)) \
  X (void *, reallocarray, (void *block, size_t n, size_t size), (block, n, size)) \
  X (void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size)) \
  X (int, posix_memalign, (void **block, size_t alignment, size_t size), (block, alignment, size))

#define AS_FUNCTION(type, name, parameters, arguments) \
  type \
  name parameters \
  { \
    static _Atomic (gpointer) real; \
    \
    return ((__typeof__ (name) *) count_allocation (&real, #name)) arguments; \
  }
ALLOCATORS (AS_FUNCTION)
#undef AS_FUNCTION

__attribute__ ((destructor))
static void
write_counts (void)
{
  guint64 allocations = n_allocations;
  guint64 calls = syscall_counter_total (SYSCALL_COUNTER_PROCESS);
  guint64 writes = syscall_counter_get (SYSCALL_COUNTER_PROCESS, "write") +
                   syscall_counter_get (SYSCALL_COUNTER_PROCESS, "writev") +
                   syscall_counter_get (SYSCALL_COUNTER_PROCESS, "eventfd_write");
  const char *path = getenv ("AQMP_TEST_COUNTS");
  FILE *file = path != NULL ? fopen (path, "w") : NULL;

  if (file == NULL ||
      fprintf (file, "system calls %" PRIu64 "\nwrites %" PRIu64 "\nallocations %" PRIu64 "\n", calls, writes, allocations) < 0 ||
      fclose (file) != 0)
    abort ();
}
