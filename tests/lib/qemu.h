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
  QEMU_TRANSPORT_TCP,           /* as LISTENER, but on 127.0.0.1 and some free port */
  QEMU_TRANSPORT_ABSTRACT,      /* as PATH, but with an abstract name */
  QEMU_TRANSPORT_CONNECTING,    /* the program connects: qemu_new_connecting() only */
} QemuTransport;

typedef enum
{
  QEMU_FLAGS_NONE        = 0,
  QEMU_FLAGS_PRETTY      = 1 << 0,      /* indented replies over many lines (not for the guest agent) */
  QEMU_FLAGS_QUIET       = 1 << 1,      /* what the program says on standard error is dropped, not passed through */
  QEMU_FLAGS_VERIFY_PEER = 1 << 2,      /* with TLS: the program wants a certificate of the other side, and checks it; if it
                                           connects, the name in it too */
  QEMU_FLAGS_RECONNECT   = 1 << 3,      /* CONNECTING: again and again, see there */
} QemuFlags;

typedef struct _Qemu Qemu;

/* @extra_args: (nullable), more arguments for the program, NULL-terminated. "@DIR@" in them is the private directory.
   Returns NULL if the program is missing. Not for the guest agent, but with PATH. */
Qemu               *qemu_new             (QemuKind             kind,
                                          QemuTransport        transport,
                                          QemuFlags            flags,
                                          const char * const  *extra_args);

/* As QEMU_TRANSPORT_TCP, and the program speaks TLS.
   @certificates: a directory with ca-cert.pem, server-cert.pem and server-key.pem (see certificates.h).
   Whatever the flags, it asks for a certificate of the client. QEMU 7.2 reads but one byte of the last record that has
   arrived: the last byte of a message needs a record of its own. */
Qemu               *qemu_new_tls         (QemuKind             kind,
                                          const char          *certificates,
                                          QemuFlags            flags,
                                          const char * const  *extra_args);

/* The program is the side that connects: once, while it starts. Somebody has to listen by then, but need not accept: returns
   when the monitor is ready.
   With QEMU_FLAGS_RECONNECT nobody may listen at @address yet, or QEMU 7.2 might forget to greet its first peer. From then on
   the program tries once in a second while it has no connection, as long as it lives.
   @address: a GUnixSocketAddress (path or abstract), GInetSocketAddress or GNetworkAddress.
   @certificates: (nullable): for TLS, which it has over TCP only: a directory with ca-cert.pem; with client-cert.pem and
   client-key.pem too if it is to show a certificate. The host of @address is the name that it wants the server to have. */
Qemu               *qemu_new_connecting  (QemuKind             kind,
                                          GSocketConnectable  *address,
                                          const char          *certificates,
                                          QemuFlags            flags,
                                          const char * const  *extra_args);

/* Kills the process if it still runs, reaps it, and removes the directory. */
void                qemu_free            (Qemu                *qemu);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qemu, qemu_free)

/* (transfer none) (nullable): where to connect; LISTENER, PATH, TCP and ABSTRACT only. */
GSocketConnectable *qemu_get_connectable (Qemu                *qemu);

/* (nullable): the path of the socket; LISTENER and PATH only. */
const char         *qemu_get_path        (Qemu                *qemu);

/* (transfer full): for SOCKETPAIR (a GSocketConnection) and STDIO (a GSimpleIOStream) the one stream, to be called once;
   for the others a new connection each time (with TLS, what is beneath it), but for CONNECTING. */
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
