/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The certificates that tests/certificates makes: one directory for each combination, laid out as QEMU's
 * "-object tls-creds-x509,dir=…" has it.
 *
 *   "good"         the server is localhost, 127.0.0.1, ::1 and vm.example
 *   "other-name"   the same authority and client; the server is other.example only
 *   "expired"      the same authority and client; the server's time is over
 *   "other-ca"     another authority, with a server (names as in "good") and a client of its own
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* (transfer none) (nullable): what is missing that TLS needs. */
const char      *test_certificates_get_missing  (void);

/* Whether nothing is. Otherwise the present test is skipped, and has to return; where all is required
   (AQMP_TEST_REQUIRE_ALL) it fails. */
gboolean         test_have_certificates         (void);

/* (transfer full): the path of that directory, or of a file in it ("ca-cert.pem"). */
char            *test_certificates_get_path     (const char *directory,
                                                 const char *file /* nullable */);

/* What follows is loaded once. Any thread. */

/* (transfer full): with its key; @end is "server" or "client". */
GTlsCertificate *test_certificates_load         (const char *directory,
                                                 const char *end);

/* (transfer full): trusts the authority of that directory, and nobody else. */
GTlsDatabase    *test_certificates_get_database (const char *directory);

G_END_DECLS
