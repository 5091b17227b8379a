/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Connecting to a mock over the transport of this run (transports.h): a test of what happens over any connection calls
 * aqmp_protocol_connect_async() and its finish function, and gets these. To be included after the library, and last.
 *
 *   tls, tls-qemu   the object trusts the authority of the mock ("good" in certificates.h) and shows a certificate; who the
 *                   server has to be, the address tells
 *   plain           the test connects, and opens a stream that cannot be polled; where nobody listens, the library may connect
 */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

G_BEGIN_DECLS

void     test_connect_async  (AqmpProtocol         *protocol,
                              GSocketConnectable   *address,
                              GCancellable         *cancellable,
                              GAsyncReadyCallback   callback,
                              gpointer              user_data);
gboolean test_connect_finish (AqmpProtocol         *protocol,
                              GAsyncResult         *result,
                              GError              **error);

#define aqmp_protocol_connect_async(protocol, address, cancellable, callback, user_data) \
  test_connect_async (protocol, address, cancellable, callback, user_data)
#define aqmp_protocol_connect_finish(protocol, result, error) test_connect_finish (protocol, result, error)

G_END_DECLS
