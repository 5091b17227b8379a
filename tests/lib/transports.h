/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The same tests over another transport: AQMP_TEST_TRANSPORT says which.
 *
 *   unix      (or not set) as the tests are written
 *   tcp       a mock for MOCK_TRANSPORT_UNIX listens on TCP instead
 *   tls       and speaks TLS, and the client makes records of any size
 *   tls-qemu  as QEMU 7.2 does: it never says goodbye, wants a certificate of the client, and is sent records of one byte
 *   plain     UNIX, but the client is given a stream that cannot be polled; mock_finish() iterates the thread-default context,
 *             which such a stream needs to be closed
 *
 * Which test points run over which is in transports.c. To be included last: it redefines how test points are added.
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The name above. */
const char *test_transport_get       (void);
gboolean    test_transport_is        (const char *transport);
/* One of the two above. */
gboolean    test_transport_is_tls    (void);

/* Whether this test point makes sense over the present transport, and has anything to do with it. */
gboolean    test_transport_has_point (const char *path);

/* Adds the points that have. */
#define g_test_add_func(path, func) \
  G_STMT_START { \
    if (test_transport_has_point (path)) \
      (g_test_add_func) (path, func); \
  } G_STMT_END
#define g_test_add_data_func(path, data, func) \
  G_STMT_START { \
    if (test_transport_has_point (path)) \
      (g_test_add_data_func) (path, data, func); \
  } G_STMT_END

G_END_DECLS
