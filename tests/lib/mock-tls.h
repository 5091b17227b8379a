/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* TLS for the mock: one connection, and the thread that takes connections in.
 *
 * A connection speaks TLS right where the mock would speak to the kernel: nothing stands between, so what the mock does not
 * read the client cannot send for long, a piece that the mock sends is a record of its own, and a reset is one. At most one
 * chunk is taken from the kernel before a step asks for it.
 *
 * The handshake of a listening mock must not wait for a step, or a client could not connect until the script asks who is
 * there. So another thread accepts and shakes hands, whenever somebody comes, and hands over what is ready to be used.
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* ---- who the mock is, and whom it trusts ------------------------------------------------------------------------- */

typedef struct
{
  GTlsCertificate       *certificate;   /* (owned) (nullable): shown to the peer */
  GTlsDatabase          *database;      /* (owned) (nullable): who the peer may be; NULL: anybody */
  GTlsAuthenticationMode mode;          /* listening: whether the peer has to show a certificate */
} MockTlsIdentity;

void     mock_tls_identity_copy  (const MockTlsIdentity  *self,
                                  MockTlsIdentity        *copy);
void     mock_tls_identity_clear (MockTlsIdentity        *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MockTlsIdentity, mock_tls_identity_clear)

/* ---- one connection, for one thread at a time -------------------------------------------------------------------- */

typedef struct _MockTls MockTls;

/* With this the message of an error of mock_tls_new() begins. */
#define MOCK_TLS_HANDSHAKE "TLS handshake: "

/* Shakes hands, within test_bound_us(), or until @wake_fd is readable. Takes @fd in any case. */
MockTls *mock_tls_new            (int                     fd,
                                  gboolean                is_client,
                                  const MockTlsIdentity  *identity,
                                  int                     wake_fd,
                                  GError                **error);

/* (unowned): to be polled when a call below would block. */
int      mock_tls_get_fd         (MockTls                *self);

/* As mock_connection_peek_now(). The end of file may have come with a goodbye (close_notify), or without: see below. */
gssize   mock_tls_peek           (MockTls                *self,
                                  char                   *buffer,
                                  gsize                   size,
                                  GError                **error);

/* What was peeked at, or the beginning of it. */
void     mock_tls_take           (MockTls                *self,
                                  gsize                   length);

/* Without blocking; after WOULD_BLOCK the same bytes have to come again. */
gssize   mock_tls_send           (MockTls                *self,
                                  const char             *data,
                                  gsize                   length,
                                  GError                **error);

/* The peer has said goodbye; known once peeking has found the end. */
gboolean mock_tls_got_goodbye    (MockTls                *self);

/* A goodbye, and nothing more is sent; @is_polite FALSE: without, the end of TCP's stream only. */
gboolean mock_tls_shutdown_write (MockTls                *self,
                                  gboolean                is_polite,
                                  GError                **error);

/* With a goodbye if @is_polite and it can be sent without waiting; then closes the socket, whose options hold. Frees. */
void     mock_tls_close          (MockTls                *self,
                                  gboolean                is_polite);

/* ---- the thread that takes connections in ------------------------------------------------------------------------ */

typedef struct _MockTlsAcceptor MockTlsAcceptor;

MockTlsAcceptor *mock_tls_acceptor_new          (int                     listen_fd);
void             mock_tls_acceptor_free         (MockTlsAcceptor        *self);

/* For handshakes that begin from now on. */
void             mock_tls_acceptor_set_identity (MockTlsAcceptor        *self,
                                                 const MockTlsIdentity  *identity);

/* Readable while there is something to take. */
int              mock_tls_acceptor_get_fd       (MockTlsAcceptor        *self);

/* (transfer full) (nullable): the next connection, or what was wrong with its handshake. Only if there is one. */
MockTls         *mock_tls_acceptor_take         (MockTlsAcceptor        *self,
                                                 GError                **error);

/* How many wait that can be used. */
guint            mock_tls_acceptor_count        (MockTlsAcceptor        *self);

G_END_DECLS
