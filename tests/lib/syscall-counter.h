/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Counts system calls, by taking the place of the C library's functions.
 *
 * A program that uses any of these functions gets the counting ones in, and has to export its symbols (aqmp_test_dep sees
 * to it), so that GLib and GIO call them. Works under the sanitizers, whose own functions are called next.
 *
 * Counted are the calls with which a stream, a main loop or a lock can enter the kernel: see the table in the .c file. Not
 * seen: what the C library does inside itself (futex() of pthread mutexes, condition variables and joins; malloc; stdio),
 * and what needs no kernel (clock_gettime()). GLib's own GMutex and GCond use syscall(): those are seen, as "syscall".
 *
 * Threads: counts are kept per thread and for the whole process; the latter leaves out test support threads, the mock's
 * (see test_mark_helper_thread()), at all times.
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  SYSCALL_COUNTER_THREAD,       /* the calling thread only */
  SYSCALL_COUNTER_PROCESS,      /* all threads but the test support's */
} SyscallCounterScope;

/* Sets the counts of that scope (for THREAD: of the calling thread) to zero. */
void    syscall_counter_reset (SyscallCounterScope  scope);

/* All calls since. */
guint64 syscall_counter_total (SyscallCounterScope  scope);

/* Calls of one function since; "recvmsg" counts recvmsg() only. A name that is not counted at all ends the test. */
guint64 syscall_counter_get   (SyscallCounterScope  scope,
                               const char          *name);

/* (transfer full): "recv 3, poll 4, total 7", for the message of a failing test; names without calls are left out. */
char   *syscall_counter_table (SyscallCounterScope  scope);

G_END_DECLS
