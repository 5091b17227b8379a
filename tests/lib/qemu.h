/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Real servers for tests.
 *
 *   g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
 *
 *   if (qemu == NULL)
 *     return;     // the program is missing and the test was marked as skipped
 *   … connect to qemu_get_connectable (qemu) …
 *
 * A missing program is a skipped test, or with AQMP_TEST_REQUIRE_ALL in the environment a failed one. The process is
 * killed and reaped, and its directory removed, when the Qemu is freed. It dies with the thread that started it too, and
 * so with a test that fails: start it from the main thread, or from one that lives on.
 *
 * Bounds: each function that waits gives up after test_bound_us(), and ends the test.
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  QEMU_SYSTEM_NONE,             /* qemu-system-x86_64 -M none: up in 30 ms; no machine, no CPU */
  QEMU_SYSTEM_Q35,              /* qemu-system-x86_64 -M q35 -accel tcg -S -m 64: stopped, has events and devices */
  QEMU_STORAGE_DAEMON,          /* qemu-storage-daemon */
  QEMU_GUEST_AGENT,             /* qemu-ga, its dangerous commands blocked; PATH only */
} QemuKind;

typedef enum
{
  QEMU_TRANSPORT_LISTENER,      /* a UNIX socket on which the test already listens is passed on; qemu_new() waits until the
                                   monitor is ready */
  QEMU_TRANSPORT_PATH,          /* the program makes the UNIX socket; qemu_new() waits until it listens */
  QEMU_TRANSPORT_SOCKETPAIR,    /* one end of a socket pair is passed on; the other is qemu_get_stream() */
  QEMU_TRANSPORT_STDIO,         /* a stream over the program's standard input and output: qemu_get_stream() */
} QemuTransport;

typedef enum
{
  QEMU_FLAGS_NONE   = 0,
  QEMU_FLAGS_PRETTY = 1 << 0,   /* indented replies over many lines (not for the guest agent) */
  QEMU_FLAGS_QUIET  = 1 << 1,   /* what the program says on standard error is dropped, not passed through */
} QemuFlags;

typedef struct _Qemu Qemu;

/* @extra_args: (nullable), more arguments for the program, NULL-terminated. "@DIR@" in them is the private directory.
   Returns NULL if the program is missing. */
Qemu               *qemu_new             (QemuKind             kind,
                                          QemuTransport        transport,
                                          QemuFlags            flags,
                                          const char * const  *extra_args);

/* Kills the process if it still runs, reaps it, and removes the directory. */
void                qemu_free            (Qemu                *qemu);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qemu, qemu_free)

/* (transfer none): where to connect; LISTENER and PATH only. */
GSocketConnectable *qemu_get_connectable (Qemu                *qemu);

/* (nullable): the path of the socket; LISTENER and PATH only. */
const char         *qemu_get_path        (Qemu                *qemu);

/* (transfer full): for SOCKETPAIR (a GSocketConnection) and STDIO (a GSimpleIOStream) the one stream, to be called once;
   for the others a new connection each time. */
GIOStream          *qemu_get_stream      (Qemu                *qemu);

/* The private directory (mode 0700). */
const char         *qemu_get_directory   (Qemu                *qemu);

int                 qemu_get_pid         (Qemu                *qemu);

/* Kills it now with SIGKILL, and reaps it: a crash, as a client sees it. */
void                qemu_kill            (Qemu                *qemu);

/* Stops and goes on (SIGSTOP, SIGCONT): a server that hangs. */
void                qemu_freeze          (Qemu                *qemu);
void                qemu_thaw            (Qemu                *qemu);

/* Waits until it has ended by itself (after "quit"), without iterating the caller's main context, and reaps it. Returns
   its exit status, or 128 + the signal that ended it. */
int                 qemu_wait_exit       (Qemu                *qemu);

/* Whether @program can be run; if not, marks the test as skipped, or as failed under AQMP_TEST_REQUIRE_ALL. For tests that
   start something themselves. */
gboolean            qemu_require_program (const char          *program);

/* (transfer full) (nullable): a new image made by qemu-img in @directory, its path; NULL if that program is missing (as
   above). @size as qemu-img understands it, e.g. "1M". */
char               *qemu_create_image    (const char          *directory,
                                          const char          *name,
                                          const char          *format,
                                          const char          *size);

G_END_DECLS
