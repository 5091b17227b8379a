/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "connecting.h"

#include "certificates.h"
#include "transports.h"
#include "util.h"

#define LARGEST_RECORD 16384

/* (transfer full) (nullable) */
static GIOStream *
connect_by_hand (GSocketConnectable *address)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnection) connection = NULL;

  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect (client, address, NULL, NULL);

  return connection != NULL ? test_plain_stream_new (G_IO_STREAM (connection)) : NULL;
}

void
test_connect_async (AqmpProtocol        *protocol,
                    GSocketConnectable  *address,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  if (test_transport_is ("plain"))
    {
      g_autoptr (GIOStream) stream = connect_by_hand (address);

      if (stream != NULL)
        {
          aqmp_protocol_open_async (protocol, stream, cancellable, callback, user_data);
          return;
        }
    }
  else if (test_transport_is_tls ())
    {
      g_autoptr (GTlsDatabase) database = test_certificates_get_database ("good");
      g_autoptr (GTlsCertificate) certificate = test_certificates_load ("good", "client");

      aqmp_protocol_set_tls (protocol, TRUE);
      aqmp_protocol_set_tls_database (protocol, database);
      aqmp_protocol_set_tls_certificate (protocol, certificate);
      /* The mock's greeting is that of QEMU 7.2. */
      if (test_transport_is ("tls"))
        aqmp_protocol_set_tls_record_size (protocol, LARGEST_RECORD);
    }

  /* Not the macro. */
  (aqmp_protocol_connect_async) (protocol, address, cancellable, callback, user_data);
}

gboolean
test_connect_finish (AqmpProtocol  *protocol,
                     GAsyncResult  *result,
                     GError       **error)
{
  if (g_async_result_is_tagged (result, aqmp_protocol_open_async))
    return aqmp_protocol_open_finish (protocol, result, error);

  return (aqmp_protocol_connect_finish) (protocol, result, error);
}
