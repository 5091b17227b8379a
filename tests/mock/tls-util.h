/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Two ends of TLS: an object of the library, and a peer made of GIO that does what the test says, step by step, in the
 * test's own main context. What MOCK_TRANSPORT_TLS cannot do: stop anywhere in the handshake, speak plain, count records.
 *
 *   g_auto (TlsPair) pair = TLS_PAIR_INIT;
 *
 *   tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
 *   … change the object's properties, or pair.peer's …
 *   tls_pair_begin (&pair, NULL);              // the peer has a connection, and nothing was said
 *   tls_peer_shake_hands (&pair.peer, &error);
 *   tls_pair_finish (&pair, &error);           // of the attempt
 *   tls_pair_end (&pair);
 */

#pragma once

#include "session-util.h"

G_BEGIN_DECLS

/* ---- test points ------------------------------------------------------------------------------------------------- */

typedef void (*TlsTestFunc) (gconstpointer data);

/* Skipped where there is no TLS. */
#define tls_add(path, func, data) \
  G_STMT_START { \
    if (test_transport_has_point (path)) \
      tls_add_test (path, (TlsTestFunc) (func), data); \
  } G_STMT_END
void        tls_add_test             (const char     *path,
                                      TlsTestFunc     func,
                                      gconstpointer   data);

/* g_test_run(), after one session that has GIO open what it keeps open: descriptors can be counted then. */
int         tls_run                  (void);

/* ---- the peer ---------------------------------------------------------------------------------------------------- */

typedef struct
{
  /* For the handshake. */
  gboolean                is_server;
  GTlsCertificate        *certificate;   /* (owned) (nullable) */
  GTlsDatabase           *database;      /* (owned) (nullable): NULL: trusts anybody */
  GTlsAuthenticationMode  mode;

  GSocket                *listener;      /* (owned) (nullable) */
  GSocketConnection      *connection;    /* (owned) (nullable) */
  GTlsConnection         *tls;           /* (owned) (nullable): from the handshake on */
  TestSlot                slot;          /* of the handshake */
} TlsPeer;

/* On a connection that there is already; takes it. */
void        tls_peer_init            (TlsPeer        *peer,
                                      GIOStream      *connection,
                                      gboolean        is_server);
void        tls_peer_clear           (TlsPeer        *peer);

/* A handshake that fails is the end of the connection: a reset, which GIO knows how to explain. (At a mere end it leaks the error
   that it makes of a missing certificate.) */
void        tls_peer_begin_handshake (TlsPeer        *peer);
gboolean    tls_peer_finish_handshake (TlsPeer       *peer,
                                      GError        **error);
gboolean    tls_peer_shake_hands     (TlsPeer        *peer,
                                      GError        **error);

void        tls_peer_set_certificate (TlsPeer        *peer,
                                      const char     *directory,
                                      const char     *end);

/* Below TLS. All of these wait, bounded, iterating the thread-default context. */
GSocket    *tls_peer_get_socket      (TlsPeer        *peer);
void        tls_peer_wait_readable   (TlsPeer        *peer);
void        tls_peer_send_raw        (TlsPeer        *peer,
                                      const void     *bytes,
                                      gsize           length);
/* One whole record, which is forgotten; returns its type: 22 handshake, 21 alert. */
guint8      tls_peer_skip_record     (TlsPeer        *peer);
/* Everything until the end of file, or a reset; returns how much there was. */
gsize       tls_peer_drain_raw       (TlsPeer        *peer);

/* Over TLS. */
void        tls_peer_send            (TlsPeer        *peer,
                                      const char     *text);
void        tls_peer_send_bytes      (TlsPeer        *peer,
                                      const void     *bytes,
                                      gsize           length);
void        tls_peer_expect          (TlsPeer        *peer,
                                      const char     *text);
/* (transfer full) (nullable): what one record carries; NULL: the end of file. */
GBytes     *tls_peer_next_record     (TlsPeer        *peer,
                                      gboolean       *goodbye);
/* Nothing more comes but the end of file: with close_notify, or without. */
void        tls_peer_expect_goodbye  (TlsPeer        *peer);
void        tls_peer_expect_cut      (TlsPeer        *peer);

/* Says goodbye, and closes. */
void        tls_peer_leave           (TlsPeer        *peer);
/* Closes what TLS runs over, as QEMU does. */
void        tls_peer_cut             (TlsPeer        *peer);
/* The same, and over TCP the object sees ECONNRESET. Not while a handshake waits. */
void        tls_peer_reset           (TlsPeer        *peer);

/* ---- both ends --------------------------------------------------------------------------------------------------- */

/* What the object does. */
typedef enum
{
  TLS_CONNECTS,
  TLS_ACCEPTS,
} TlsRole;

typedef enum
{
  TLS_OVER_TCP,
  TLS_OVER_TCP6,
  TLS_OVER_UNIX,
} TlsFamily;

typedef struct
{
  TlsRole             role;
  TlsFamily           family;
  TestTmpDir         *dir;        /* (owned) (nullable) */
  char               *path;       /* (owned) (nullable): of the socket */
  GSocketConnectable *address;    /* (owned): where the object connects to or listens; may be replaced before it does */
  LineProtocol       *protocol;   /* (owned) (nullable) */
  TlsPeer             peer;
  TestSlot            slot;       /* of the attempt */
  guint               n_fds;      /* at the beginning */
} TlsPair;

#define TLS_PAIR_INIT { 0 }

/* Everything so that it succeeds: the object trusts "good", is "good" itself if it is the server, and over UNIX connects to
   vm.example. */
void        tls_pair_init            (TlsPair        *pair,
                                      TlsRole         role,
                                      TlsFamily       family);
/* Checks that no descriptor is left over. */
void        tls_pair_clear           (TlsPair        *pair);

void        tls_pair_start_attempt   (TlsPair        *pair,
                                      GCancellable   *cancellable);
void        tls_pair_join            (TlsPair        *pair);
/* Both of them. */
void        tls_pair_begin           (TlsPair        *pair,
                                      GCancellable   *cancellable);
gboolean    tls_pair_finish          (TlsPair        *pair,
                                      GError        **error);
/* All of it, whatever the peer's handshake makes of it. */
gboolean    tls_pair_run             (TlsPair        *pair,
                                      GError        **error);
/* That succeeds. */
void        tls_pair_connect         (TlsPair        *pair);
/* "ping" one way and "pong" the other. */
void        tls_pair_ping            (TlsPair        *pair);
/* Disconnects; the peer is told. */
void        tls_pair_end             (TlsPair        *pair);

/* How an attempt that failed has to leave everything: the transitions, nothing on disk, and an object that can do it all. */
void        tls_pair_check_failed    (TlsPair        *pair);

void        tls_set_certificate      (gpointer        protocol,
                                      const char     *directory,
                                      const char     *end);
void        tls_set_database         (gpointer        protocol,
                                      const char     *directory);
void        tls_set_identity         (gpointer        protocol,
                                      const char     *host);

/* Waits until no more descriptors are open than that; what closes them may be in another thread. */
void        tls_wait_fds             (guint           n_fds);
/* The same for an object with this weak pointer: a connection may have its last moment in a thread of GIO's. */
void        tls_wait_gone            (gpointer       *weak);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TlsPeer, tls_peer_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TlsPair, tls_pair_clear)

G_END_DECLS
