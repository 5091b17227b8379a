/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* How a connection is made secure. */
typedef struct
{
  gboolean                enabled;
  GTlsCertificate        *certificate;      /* (owned) (nullable): our own */
  GTlsDatabase           *database;         /* (owned) (nullable): whom to trust; NULL: whom the system trusts */
  GTlsInteraction        *interaction;      /* (owned) (nullable) */
  GTlsAuthenticationMode  auth_mode;        /* of a server */
  GSocketConnectable     *server_identity;  /* (owned) (nullable): NULL: the address */
} AqmpTls;

/* Asked when a peer's certificate did not pass; in the context of the handshake. */
typedef gboolean (*AqmpTlsAcceptFunc) (gpointer              user_data,
                                       GTlsCertificate      *certificate,
                                       GTlsCertificateFlags  flags);

void       aqmp_tls_copy             (AqmpTls              *self,
                                      const AqmpTls        *other);
void       aqmp_tls_clear            (AqmpTls              *self);

/* Whether it can work at all. @address: (nullable): of the server, to be compared with its certificate; NULL on the server's
   side */
gboolean   aqmp_tls_check_client     (const AqmpTls        *self,
                                      GSocketConnectable   *address,
                                      GError              **error);
gboolean   aqmp_tls_check_server     (const AqmpTls        *self,
                                      GError              **error);

/* From a connection to a secure stream over it. @address: (nullable): as above; NULL makes it the server's side. @data has
   to live until the callback. */
void       aqmp_tls_handshake_async  (const AqmpTls        *self,
                                      GIOStream            *base,
                                      GSocketConnectable   *address,
                                      AqmpTlsAcceptFunc     accept,
                                      gpointer              data,
                                      GCancellable         *cancellable,
                                      GAsyncReadyCallback   callback,
                                      gpointer              user_data);
GIOStream *aqmp_tls_handshake_finish (GAsyncResult         *result,
                                      GError              **error);

G_END_DECLS
