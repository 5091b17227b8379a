/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Attempts to connect and to accept with TLS: what succeeds, and how the others fail (S1, S4, S6, S8, S10). */

#include "tls-util.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

#include "certificates.h"

/* TLS 1.3 lets a client be done before the server has looked at its certificate. */
static gboolean
client_is_done_first (void)
{
  const char *priority = g_getenv ("G_TLS_GNUTLS_PRIORITY");

  return priority == NULL || strstr (priority, "-VERS-TLS1.3") == NULL;
}

/* ---- success ----------------------------------------------------------------------------------------------------- */

static void
check_success (TlsPair *pair)
{
  GIOStream *stream;

  tls_pair_connect (pair);
  stream = aqmp_protocol_get_stream (AQMP_PROTOCOL (pair->protocol));
  g_assert_true (G_IS_TLS_CONNECTION (stream));
  g_assert_cmpint (g_tls_connection_get_protocol_version (G_TLS_CONNECTION (stream)), ==,
                   client_is_done_first () ? G_TLS_PROTOCOL_VERSION_TLS_1_3 : G_TLS_PROTOCOL_VERSION_TLS_1_2);
  line_trace_expect (line_protocol_get_trace (pair->protocol), "connecting establish running");
  tls_pair_ping (pair);
  tls_pair_end (pair);
}

static void
test_success (gconstpointer data)
{
  const TlsPair *like = data;
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  if (like->family == TLS_OVER_TCP6)
    {
      g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("::1", 0);
      g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_IPV6, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

      if (socket == NULL || !g_socket_bind (socket, address, TRUE, NULL))
        {
          g_test_skip ("there is no IPv6 here");
          return;
        }
      g_clear_object (&socket);
    }

  tls_pair_init (&pair, like->role, like->family);
  check_success (&pair);
}

/* Again and again on one object, and without TLS in between. */
static void
test_again (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_TCP);
  tls_pair_connect (&pair);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);

  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair.protocol), FALSE);
  check_usable (pair.protocol);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair.protocol), TRUE);

  tls_peer_cut (&pair.peer);
  g_clear_object (&pair.peer.connection);
  tls_pair_connect (&pair);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

static void
use_host_name (TlsPair    *pair,
               const char *host)
{
  guint16 port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (pair->address));
  g_autofree char *address = g_strdup_printf ("tcp:%s:%u", host, port);
  g_autoptr (GError) error = NULL;

  g_clear_object (&pair->address);
  pair->address = aqmp_address_parse (address, &error);
  g_assert_no_error (error);
}

/* The certificate is for "localhost" too. */
static void
test_host_name (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  use_host_name (&pair, "localhost");
  g_assert_true (G_IS_NETWORK_ADDRESS (pair.address));
  check_success (&pair);
}

/* It takes precedence over the address, which the certificate is not for. */
static void
test_identity_overrides_address (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_peer_set_certificate (&pair.peer, "other-name", "server");
  tls_set_identity (pair.protocol, "other.example");
  check_success (&pair);
}

/* A numeric identity for a UNIX socket, and a service. */
static void
test_kinds_of_identity (void)
{
  g_autoptr (GSocketAddress) number = g_inet_socket_address_new_from_string ("127.0.0.1", 1);
  g_autoptr (GSocketConnectable) service = g_network_service_new ("qmp", "tcp", "vm.example");
  GSocketConnectable *identities[] = { G_SOCKET_CONNECTABLE (number), service };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (identities); i++)
    {
      g_auto (TlsPair) pair = TLS_PAIR_INIT;

      tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
      aqmp_protocol_set_tls_server_identity (AQMP_PROTOCOL (pair.protocol), identities[i]);
      check_success (&pair);
    }
}

/* Accepting does not care. */
static void
test_identity_is_for_clients (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  tls_set_identity (pair.protocol, "nobody.example");
  check_success (&pair);
}

static void
test_start_server_then_accept (gconstpointer data)
{
  gboolean peer_first = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  aqmp_protocol_start_server (AQMP_PROTOCOL (pair.protocol), G_SOCKET_ADDRESS (pair.address), NULL, &error);
  g_assert_no_error (error);
  if (peer_first)
    {
      tls_pair_join (&pair);
      tls_peer_begin_handshake (&pair.peer);
      test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (pair.protocol)) == NULL);
    }

  aqmp_protocol_accept_async (AQMP_PROTOCOL (pair.protocol), NULL, test_slot_callback, &slot);
  if (!peer_first)
    {
      tls_pair_join (&pair);
      tls_peer_begin_handshake (&pair.peer);
    }
  tls_peer_finish_handshake (&pair.peer, &error);
  g_assert_no_error (error);
  result = test_await (&slot);
  aqmp_protocol_accept_finish (AQMP_PROTOCOL (pair.protocol), result, &error);
  g_assert_no_error (error);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* ---- mutual authentication --------------------------------------------------------------------------------------- */

static GTlsConnection *
get_tls (TlsPair *pair)
{
  return G_TLS_CONNECTION (aqmp_protocol_get_stream (AQMP_PROTOCOL (pair->protocol)));
}

/* As the client: its certificate is what the server gets, if that asks. */
static void
test_client_certificate (gconstpointer data)
{
  GTlsAuthenticationMode mode = GPOINTER_TO_INT (data);
  g_autoptr (GTlsCertificate) certificate = test_certificates_load ("good", "client");
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  GTlsCertificate *shown;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  pair.peer.mode = mode;
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (pair.protocol), certificate);
  tls_pair_connect (&pair);
  shown = g_tls_connection_get_peer_certificate (pair.peer.tls);
  if (mode == G_TLS_AUTHENTICATION_NONE)
    g_assert_null (shown);
  else
    g_assert_true (g_tls_certificate_is_same (shown, certificate));
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* One that is asked for, but not insisted on. */
static void
test_without_client_certificate (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_TCP);
  pair.peer.mode = G_TLS_AUTHENTICATION_REQUESTED;
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair.protocol), G_TLS_AUTHENTICATION_REQUESTED);
  tls_pair_connect (&pair);
  if (pair.role == TLS_ACCEPTS)
    g_assert_null (g_tls_connection_get_peer_certificate (get_tls (&pair)));
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* As the server. */
static void
test_peer_certificate (gconstpointer data)
{
  GTlsAuthenticationMode mode = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  GTlsCertificate *shown;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  tls_peer_set_certificate (&pair.peer, "good", "client");
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair.protocol), mode);
  tls_pair_connect (&pair);
  shown = g_tls_connection_get_peer_certificate (get_tls (&pair));
  if (mode == G_TLS_AUTHENTICATION_NONE)
    g_assert_null (shown);
  else
    g_assert_true (g_tls_certificate_is_same (shown, pair.peer.certificate));
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* ---- S4: what is wrong before anything is done ------------------------------------------------------------------- */

static void
test_no_identity (gconstpointer data)
{
  gboolean abstract = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autofree char *pattern = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_set_identity (pair.protocol, NULL);
  if (abstract)
    {
      g_clear_object (&pair.address);
      pair.address = aqmp_address_parse ("unix-abstract:aqmp-nobody", NULL);
    }
  pattern = g_strdup_printf ("Could not establish the connection to “%s”: *no host name*“tls-server-identity”",
                             abstract ? "aqmp-nobody" : pair.path);

  tls_pair_start_attempt (&pair, NULL);
  g_assert_cmpint (get_state (pair.protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_false (tls_pair_finish (&pair, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, pattern);
  g_assert_cmpint (g_socket_condition_check (pair.peer.listener, G_IO_IN), ==, 0);
  tls_pair_check_failed (&pair);
}

static void
test_server_without_certificate (gconstpointer data)
{
  gboolean accepts_too = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autofree char *pattern = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (pair.protocol), NULL);
  pattern = g_strdup_printf ("Could not establish a connection by listening at “%s”: *certificate*“tls-certificate”", pair.path);

  if (accepts_too)
    {
      tls_pair_start_attempt (&pair, NULL);
      g_assert_cmpint (get_state (pair.protocol), ==, AQMP_RUNSTATE_IDLE);
      g_assert_false (tls_pair_finish (&pair, &error));
    }
  else
    {
      GSocketAddress *effective = G_SOCKET_ADDRESS (pair.address);

      g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (pair.protocol), G_SOCKET_ADDRESS (pair.address),
                                                  &effective, &error));
      g_assert_null (effective);
    }
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, pattern);
  tls_pair_check_failed (&pair);
}

/* ---- S4: no backend ---------------------------------------------------------------------------------------------- */

/* GIO does as if glib-networking were not installed. */
static void
fail_without_backend (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "tls.sock");
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) connect_error = NULL;
  g_autoptr (GError) server_error = NULL;

  aqmp_protocol_set_tls (AQMP_PROTOCOL (protocol), TRUE);
  tls_set_identity (protocol, "vm.example");

  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), G_SOCKET_CONNECTABLE (address), NULL, test_slot_callback, &slot);
  g_assert_false (finish_connect (protocol, &slot, &connect_error));
  assert_error_like (connect_error, G_TLS_ERROR, G_TLS_ERROR_UNAVAILABLE,
                     "Could not establish the connection to “*/tls.sock”: *install glib-networking*");
  line_trace_expect (trace, "connecting disconnecting idle");

  line_trace_clear (trace);
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), address, NULL, &server_error));
  assert_error_like (server_error, G_TLS_ERROR, G_TLS_ERROR_UNAVAILABLE,
                     "Could not establish a connection by listening at “*/tls.sock”: *install glib-networking*");
  line_trace_expect (trace, "connecting disconnecting idle");
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));

  aqmp_protocol_set_tls (AQMP_PROTOCOL (protocol), FALSE);
  check_usable (protocol);
  test_slot_clear (&slot);
  end_object (&protocol);
}

static void
test_no_backend (void)
{
  g_autofree char *before = NULL;

  if (g_test_subprocess ())
    {
      g_assert_false (g_tls_backend_supports_tls (g_tls_backend_get_default ()));
      fail_without_backend ();
      return;
    }

  before = g_strdup (g_getenv ("GIO_USE_TLS"));
  g_setenv ("GIO_USE_TLS", "dummy", TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  if (before != NULL)
    g_setenv ("GIO_USE_TLS", before, TRUE);
  else
    g_unsetenv ("GIO_USE_TLS");
  g_test_trap_assert_passed ();
}

/* ---- S4: what is wrong in the handshake -------------------------------------------------------------------------- */

typedef struct
{
  const char *path;
  TlsRole     role;
  TlsFamily   family;
  void      (*prepare) (TlsPair *pair);
  void      (*act)     (TlsPair *pair);  /* NULL: the peer shakes hands */
  GQuark    (*domain)  (void);
  int         code;       /* -1: GIO chooses one for it */
  const char *pattern;    /* after what could not be done, and a colon */
} Failure;

static void
be_other_ca (TlsPair *pair)
{
  tls_peer_set_certificate (&pair->peer, "other-ca", "server");
}

static void
be_other_name (TlsPair *pair)
{
  tls_peer_set_certificate (&pair->peer, "other-name", "server");
}

static void
be_expired (TlsPair *pair)
{
  tls_peer_set_certificate (&pair->peer, "expired", "server");
}

static void
trust_the_system (TlsPair *pair)
{
  aqmp_protocol_set_tls_database (AQMP_PROTOCOL (pair->protocol), NULL);
}

static void
trust_other_ca (TlsPair *pair)
{
  tls_set_database (pair->protocol, "other-ca");
}

static void
expect_somebody_else (TlsPair *pair)
{
  tls_set_identity (pair->protocol, "nobody.example");
}

static void
expect_another_number (TlsPair *pair)
{
  g_autoptr (GSocketAddress) identity = g_inet_socket_address_new_from_string ("127.0.0.2", 0);

  aqmp_protocol_set_tls_server_identity (AQMP_PROTOCOL (pair->protocol), G_SOCKET_CONNECTABLE (identity));
}

static void
be_wrong_in_two_ways (TlsPair *pair)
{
  expect_somebody_else (pair);
  be_other_ca (pair);
}

static void
require_certificate (TlsPair *pair)
{
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair->protocol), G_TLS_AUTHENTICATION_REQUIRED);
}

static void
require_certificate_of_other_ca (TlsPair *pair)
{
  require_certificate (pair);
  tls_peer_set_certificate (&pair->peer, "other-ca", "client");
}

static void
request_certificate_of_other_ca (TlsPair *pair)
{
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair->protocol), G_TLS_AUTHENTICATION_REQUESTED);
  tls_peer_set_certificate (&pair->peer, "other-ca", "client");
}

static void
have_no_key (TlsPair *pair)
{
  g_autofree char *path = test_certificates_get_path ("good", "server-cert.pem");
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;

  certificate = g_tls_certificate_new_from_file (path, &error);
  g_assert_no_error (error);
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (pair->protocol), certificate);
}

static void
be_distrusted (TlsPair *pair)
{
  g_clear_object (&pair->peer.database);
  pair->peer.database = test_certificates_get_database ("other-ca");
}

static void
hang_up (TlsPair *pair)
{
  tls_peer_cut (&pair->peer);
}

static void
reset (TlsPair *pair)
{
  tls_peer_reset (&pair->peer);
}

/* The beginning of a ServerHello or ClientHello. */
static void
begin_to_speak (TlsPair *pair)
{
  static const guint8 server_hello[] = { 22, 3, 3, 0, 122, 2, 0, 0 };
  static const guint8 client_hello[] = { 22, 3, 1, 0, 200, 1, 0, 0 };

  if (pair->role == TLS_CONNECTS)
    {
      g_assert_cmpint (tls_peer_skip_record (&pair->peer), ==, 22);
      tls_peer_send_raw (&pair->peer, server_hello, sizeof server_hello);
    }
  else
    tls_peer_send_raw (&pair->peer, client_hello, sizeof client_hello);
}

static void
hang_up_in_the_middle (TlsPair *pair)
{
  begin_to_speak (pair);
  hang_up (pair);
}

/* What a server says if the two have nothing in common. */
static void
refuse (TlsPair *pair)
{
  static const guint8 handshake_failure[] = { 21, 3, 3, 0, 2, 2, 40 };

  tls_peer_skip_record (&pair->peer);
  tls_peer_send_raw (&pair->peer, handshake_failure, sizeof handshake_failure);
}

static void
greet_plainly (TlsPair *pair)
{
  static const char greeting[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}}}}\r\n";

  tls_peer_send_raw (&pair->peer, greeting, strlen (greeting));
}

static void
greet_shortly (TlsPair *pair)
{
  tls_peer_send_raw (&pair->peer, "hi\n", 3);
  hang_up (pair);
}

#define NOT_ACCEPTABLE "The certificate of the peer is not acceptable: "
#define FAILED "The TLS handshake failed: "

static const Failure failures[] = {
  { "wrong-ca", TLS_CONNECTS, TLS_OVER_TCP, be_other_ca, NULL, g_tls_error_quark, G_TLS_ERROR_BAD_CERTIFICATE,
    NOT_ACCEPTABLE "*trusted*signed*" },
  { "wrong-ca", TLS_CONNECTS, TLS_OVER_UNIX, be_other_ca, NULL, g_tls_error_quark, G_TLS_ERROR_BAD_CERTIFICATE,
    NOT_ACCEPTABLE "*trusted*signed*" },
  { "trusts-another", TLS_CONNECTS, TLS_OVER_TCP, trust_other_ca, NULL, g_tls_error_quark, G_TLS_ERROR_BAD_CERTIFICATE,
    NOT_ACCEPTABLE "*trusted*signed*" },
  { "trusts-the-system", TLS_CONNECTS, TLS_OVER_TCP, trust_the_system, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, NOT_ACCEPTABLE "*trusted*signed*" },
  { "wrong-name", TLS_CONNECTS, TLS_OVER_TCP, be_other_name, NULL, g_tls_error_quark, G_TLS_ERROR_BAD_CERTIFICATE,
    NOT_ACCEPTABLE "*not for “127.0.0.1”*" },
  { "wrong-name", TLS_CONNECTS, TLS_OVER_UNIX, be_other_name, NULL, g_tls_error_quark, G_TLS_ERROR_BAD_CERTIFICATE,
    NOT_ACCEPTABLE "*not for “vm.example”*" },
  { "wrong-identity", TLS_CONNECTS, TLS_OVER_TCP, expect_somebody_else, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, NOT_ACCEPTABLE "*not for “nobody.example”*" },
  { "wrong-numeric-identity", TLS_CONNECTS, TLS_OVER_TCP, expect_another_number, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, NOT_ACCEPTABLE "*not for “127.0.0.2”*" },
  { "expired", TLS_CONNECTS, TLS_OVER_TCP, be_expired, NULL, g_tls_error_quark, G_TLS_ERROR_BAD_CERTIFICATE,
    NOT_ACCEPTABLE "*expired*" },
  { "wrong-in-two-ways", TLS_CONNECTS, TLS_OVER_TCP, be_wrong_in_two_ways, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, NOT_ACCEPTABLE "*not for “nobody.example”; *trusted*signed*" },
  { "hangs-up", TLS_CONNECTS, TLS_OVER_TCP, NULL, hang_up, g_tls_error_quark, -1, FAILED "?*" },
  { "hangs-up-in-the-middle", TLS_CONNECTS, TLS_OVER_TCP, NULL, hang_up_in_the_middle, g_tls_error_quark,
    -1, FAILED "?*" },
  { "resets", TLS_CONNECTS, TLS_OVER_TCP, NULL, reset, g_tls_error_quark, -1, FAILED "*reset*" },
  { "refuses", TLS_CONNECTS, TLS_OVER_TCP, NULL, refuse, g_tls_error_quark, G_TLS_ERROR_MISC, FAILED "*alert*" },
  { "speaks-plain", TLS_CONNECTS, TLS_OVER_TCP, NULL, greet_plainly, g_tls_error_quark, -1, FAILED "?*" },
  { "speaks-plain", TLS_CONNECTS, TLS_OVER_UNIX, NULL, greet_plainly, g_tls_error_quark, -1, FAILED "?*" },
  { "speaks-plain-and-leaves", TLS_CONNECTS, TLS_OVER_TCP, NULL, greet_shortly, g_tls_error_quark, -1, FAILED "?*" },

  { "distrusted", TLS_ACCEPTS, TLS_OVER_UNIX, be_distrusted, NULL, g_tls_error_quark, -1, FAILED "?*" },
  { "shows-none", TLS_ACCEPTS, TLS_OVER_UNIX, require_certificate, NULL, g_tls_error_quark,
    G_TLS_ERROR_CERTIFICATE_REQUIRED, FAILED "*did not send a certificate*" },
  { "wrong-ca", TLS_ACCEPTS, TLS_OVER_UNIX, require_certificate_of_other_ca, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, NOT_ACCEPTABLE "*trusted*signed*" },
  { "wrong-ca-requested", TLS_ACCEPTS, TLS_OVER_UNIX, request_certificate_of_other_ca, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, NOT_ACCEPTABLE "*trusted*signed*" },
  { "certificate-without-key", TLS_ACCEPTS, TLS_OVER_UNIX, have_no_key, NULL, g_tls_error_quark,
    G_TLS_ERROR_BAD_CERTIFICATE, "*no private key*" },
  { "hangs-up", TLS_ACCEPTS, TLS_OVER_UNIX, NULL, hang_up, g_tls_error_quark, -1, FAILED "?*" },
  { "hangs-up-in-the-middle", TLS_ACCEPTS, TLS_OVER_UNIX, NULL, hang_up_in_the_middle, g_tls_error_quark,
    -1, FAILED "?*" },
  { "resets", TLS_ACCEPTS, TLS_OVER_TCP, NULL, reset, g_tls_error_quark, -1, FAILED "*reset*" },
  { "speaks-plain", TLS_ACCEPTS, TLS_OVER_UNIX, NULL, greet_plainly, g_tls_error_quark, -1, FAILED "?*" },
  { "speaks-plain", TLS_ACCEPTS, TLS_OVER_TCP, NULL, greet_plainly, g_tls_error_quark, -1, FAILED "?*" },
  { "speaks-plain-and-leaves", TLS_ACCEPTS, TLS_OVER_UNIX, NULL, greet_shortly, g_tls_error_quark, -1, FAILED "?*" },
};

/* With the port that the system has chosen. */
static char *
describe_address (TlsPair *pair)
{
  GSocketConnectable *address = pair->address;

  if (pair->role == TLS_ACCEPTS)
    address = G_SOCKET_CONNECTABLE (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (pair->protocol)));
  return g_socket_connectable_to_string (address);
}

static void
test_failure (gconstpointer data)
{
  const Failure *failure = data;
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autofree char *address = NULL;
  g_autofree char *pattern = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, failure->role, failure->family);
  if (failure->prepare != NULL)
    failure->prepare (&pair);

  tls_pair_begin (&pair, NULL);
  address = describe_address (&pair);
  if (failure->act != NULL)
    failure->act (&pair);
  else
    tls_peer_shake_hands (&pair.peer, NULL);
  g_assert_false (tls_pair_finish (&pair, &error));

  pattern = g_strdup_printf ("Could not establish %s “%s”: %s",
                             pair.role == TLS_CONNECTS ? "the connection to" : "a connection by listening at", address,
                             failure->pattern);
  assert_error_like (error, failure->domain (), failure->code >= 0 ? failure->code : error->code, pattern);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  tls_pair_check_failed (&pair);
}

/* ---- S4: the server does not like the client --------------------------------------------------------------------- */

typedef struct
{
  const char *path;
  const char *directory;  /* of the client's certificate; NULL: it shows none */
  gboolean    with_key;
} Disliked;

static const Disliked disliked[] = {
  { "shows-none", NULL, TRUE },
  { "wrong-ca", "other-ca", TRUE },
  { "no-key", "good", FALSE },
};

static void
show_certificate (TlsPair        *pair,
                  const Disliked *client)
{
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autofree char *path = NULL;

  pair->peer.mode = G_TLS_AUTHENTICATION_REQUIRED;
  if (client->directory != NULL && client->with_key)
    tls_set_certificate (pair->protocol, client->directory, "client");
  else if (client->directory != NULL)
    {
      path = test_certificates_get_path (client->directory, "client-cert.pem");
      certificate = g_tls_certificate_new_from_file (path, NULL);
      aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (pair->protocol), certificate);
    }
}

/* In the handshake, or as the first thing in a session that waits for nothing else. */
static void
test_disliked (gconstpointer data)
{
  const Disliked *client = data;
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) peer_error = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  show_certificate (&pair, client);
  tls_pair_begin (&pair, NULL);
  g_assert_false (tls_peer_shake_hands (&pair.peer, &peer_error));

  if (tls_pair_finish (&pair, &error))
    {
      g_assert_true (client_is_done_first ());
      wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
      g_assert_false (disconnect_session (pair.protocol, &error));
      line_trace_expect (line_protocol_get_trace (pair.protocol),
                         "connecting establish running ended(failed) disconnecting idle");
      line_trace_clear (line_protocol_get_trace (pair.protocol));
      line_trace_add (line_protocol_get_trace (pair.protocol), "connecting disconnecting idle");
    }
  else
    g_assert_true (strstr (error->message, "TLS handshake failed") != NULL);

  /* What GIO makes of it depends on how the server leaves. */
  g_assert_true (error->domain == G_TLS_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED));
  tls_pair_check_failed (&pair);
}

/* ---- S4: the peer speaks TLS, and the object does not ------------------------------------------------------------ */

/* It waits for a line that never comes; the time-out ends that, not the first bytes, as a server waits for those of the client. */
static void
test_connects_plainly (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair.protocol), FALSE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 60);
  line_protocol_set (pair.protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  tls_pair_begin (&pair, NULL);
  tls_peer_begin_handshake (&pair.peer);
  g_assert_false (tls_pair_finish (&pair, &error));
  /* "hi" was no ClientHello, and a server says so or leaves: before the time is up, or after. */
  g_assert_cmpint (get_state (pair.protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  g_assert_false (tls_peer_finish_handshake (&pair.peer, NULL));
  line_protocol_set (pair.protocol, LINE_ESTABLISH_SESSION, LINE_CHAIN_UP);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 30000);
  line_trace_clear (line_protocol_get_trace (pair.protocol));
  line_trace_add (line_protocol_get_trace (pair.protocol), "connecting disconnecting idle");
  tls_pair_check_failed (&pair);
}

/* A ClientHello is no line; what is one in it is no greeting. */
static void
test_accepts_plainly (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair.protocol), FALSE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 60);
  line_protocol_set (pair.protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  tls_pair_begin (&pair, NULL);
  tls_peer_begin_handshake (&pair.peer);
  g_assert_false (tls_pair_finish (&pair, &error));
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  g_assert_false (tls_peer_finish_handshake (&pair.peer, NULL));
  g_assert_false (g_file_test (pair.path, G_FILE_TEST_EXISTS));
  line_protocol_set (pair.protocol, LINE_ESTABLISH_SESSION, LINE_CHAIN_UP);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 30000);
  line_trace_clear (line_protocol_get_trace (pair.protocol));
  line_trace_add (line_protocol_get_trace (pair.protocol), "connecting disconnecting idle");
  tls_pair_check_failed (&pair);
}

/* ---- ending an attempt in the handshake -------------------------------------------------------------------------- */

typedef enum
{
  BY_TIMEOUT,
  BY_CANCELLABLE,
  BY_DISCONNECT,
  BY_FAIL,
  BY_DISPOSE,
} Ending;

typedef struct
{
  const char *path;
  TlsRole     role;
  TlsFamily   family;
  gboolean    in_the_middle;   /* the peer has begun to speak, and then is silent */
  Ending      by;
} Silence;

#define SILENCES_OF(what, role, family, in_the_middle) \
  { "S4/" what "/time-out", role, family, in_the_middle, BY_TIMEOUT }, \
  { "S4/" what "/cancelled", role, family, in_the_middle, BY_CANCELLABLE }, \
  { "S6/" what "/disconnected", role, family, in_the_middle, BY_DISCONNECT }, \
  { "S4/" what "/failed", role, family, in_the_middle, BY_FAIL }, \
  { "S10/" what "/disposed", role, family, in_the_middle, BY_DISPOSE }

static const Silence silences[] = {
  SILENCES_OF ("connect/peer-silent", TLS_CONNECTS, TLS_OVER_TCP, FALSE),
  SILENCES_OF ("connect/peer-silent-in-the-middle", TLS_CONNECTS, TLS_OVER_TCP, TRUE),
  SILENCES_OF ("connect-unix/peer-silent", TLS_CONNECTS, TLS_OVER_UNIX, FALSE),
  SILENCES_OF ("accept/peer-silent", TLS_ACCEPTS, TLS_OVER_UNIX, FALSE),
  SILENCES_OF ("accept/peer-silent-in-the-middle", TLS_ACCEPTS, TLS_OVER_UNIX, TRUE),
  SILENCES_OF ("accept-tcp/peer-silent", TLS_ACCEPTS, TLS_OVER_TCP, FALSE),
};

/* Until the object is in the handshake. */
static void
wait_for_handshake (TlsPair *pair)
{
  if (pair->role == TLS_CONNECTS)
    tls_peer_wait_readable (&pair->peer);
  else
    test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (pair->protocol)) == NULL);
  g_assert_cmpint (get_state (pair->protocol), ==, AQMP_RUNSTATE_CONNECTING);
}

static void
test_silence (gconstpointer data)
{
  const Silence *silence = data;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, silence->role, silence->family);
  if (silence->by == BY_TIMEOUT)
    aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 60);
  tls_pair_begin (&pair, cancellable);
  if (silence->by != BY_TIMEOUT)
    wait_for_handshake (&pair);
  if (silence->in_the_middle)
    begin_to_speak (&pair);

  switch (silence->by)
    {
    case BY_CANCELLABLE:
      g_cancellable_cancel (cancellable);
      break;
    case BY_DISCONNECT:
      line_disconnect (pair.protocol, &disconnected);
      break;
    case BY_FAIL:
      line_fail (pair.protocol, NULL);
      break;
    case BY_DISPOSE:
      g_object_run_dispose (G_OBJECT (pair.protocol));
      break;
    case BY_TIMEOUT:
    default:
      break;
    }

  g_assert_false (tls_pair_finish (&pair, &error));
  tls_peer_drain_raw (&pair.peer);
  switch (silence->by)
    {
    case BY_TIMEOUT:
      assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish *: *TLS handshake* 60 ms");
      aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 30000);
      break;
    case BY_CANCELLABLE:
      assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled");
      break;
    case BY_DISCONNECT:
      assert_error_like (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "Could not establish *: *disconnected*");
      g_clear_error (&error);
      finish_disconnect_of (pair.protocol, &disconnected, &error);
      g_assert_no_error (error);
      break;
    case BY_FAIL:
      assert_error_like (error, LINE_ERROR, 99, "Could not establish *: deed");
      break;
    case BY_DISPOSE:
    default:
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      line_trace_expect (line_protocol_get_trace (pair.protocol), "connecting");
      if (pair.role == TLS_ACCEPTS && pair.path != NULL)
        g_assert_false (g_file_test (pair.path, G_FILE_TEST_EXISTS));
      return;
    }
  tls_pair_check_failed (&pair);
}

/* In the handshake, or a moment after it, when the session was about to be established. */
static void
expect_cancelled (TlsPair *pair)
{
  LineTrace *trace = line_protocol_get_trace (pair->protocol);

  if (line_trace_count (trace, "establish") > 0)
    {
      line_trace_expect (trace, "connecting establish ended(failed) disconnecting idle");
      line_trace_clear (trace);
      line_trace_add (trace, "connecting disconnecting idle");
    }
  else
    line_trace_expect (trace, "connecting disconnecting idle");
}

/* The peer answers after all, too late: nothing comes of it. */
static void
test_late_answer (gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  tls_pair_begin (&pair, cancellable);
  wait_for_handshake (&pair);
  tls_peer_begin_handshake (&pair.peer);
  g_cancellable_cancel (cancellable);
  g_assert_false (tls_pair_finish (&pair, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  tls_peer_finish_handshake (&pair.peer, NULL);
  expect_cancelled (&pair);
  tls_pair_check_failed (&pair);
}

/* At each moment of the handshake, from before its beginning to after its end: it either is cancelled or succeeds, and nothing is
   left of it. */
static void
test_cancelled_at_any_time (gconstpointer data)
{
  guint n_cancelled = 0;
  guint i;

  for (i = 0; i < 60; i++)
    {
      g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_auto (TlsPair) pair = TLS_PAIR_INIT;
      g_autoptr (GError) error = NULL;
      guint j;

      tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
      tls_pair_begin (&pair, cancellable);
      tls_peer_begin_handshake (&pair.peer);
      for (j = 0; j < i && !test_slot_is_done (&pair.slot); j++)
        g_main_context_iteration (context, TRUE);
      g_cancellable_cancel (cancellable);

      if (tls_pair_finish (&pair, &error))
        {
          g_assert_true (tls_peer_finish_handshake (&pair.peer, NULL));
          tls_pair_ping (&pair);
          tls_pair_end (&pair);
          /* Longer would be the same. */
          break;
        }
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      n_cancelled++;
      expect_cancelled (&pair);
      tls_peer_finish_handshake (&pair.peer, NULL);
    }

  g_assert_cmpuint (n_cancelled, >, 0);
}

/* The time is one for all: a slow handshake leaves less of it for the session. */
static void
test_one_timeout_for_all (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  line_protocol_set (pair.protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (pair.protocol), 500);
  tls_pair_begin (&pair, NULL);
  tls_peer_shake_hands (&pair.peer, &error);
  g_assert_no_error (error);
  tls_peer_expect (&pair.peer, "hi\n");
  g_assert_false (tls_pair_finish (&pair, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: * 500 ms");
  tls_peer_expect_cut (&pair.peer);
  line_trace_expect (line_protocol_get_trace (pair.protocol),
                     "connecting establish out(hi) ended(failed) disconnecting idle");
}

/* ---- S10 --------------------------------------------------------------------------------------------------------- */

static gpointer
unref_in_thread (gpointer data)
{
  g_object_unref (data);
  return NULL;
}

static gpointer
dispose_in_thread (gpointer data)
{
  g_object_run_dispose (data);
  return NULL;
}

/* The attempt keeps it alive, whoever else lets it go; what it has led to goes with it. */
static void
test_unref_in_handshake (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;
  gpointer weak;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  tls_pair_begin (&pair, NULL);
  wait_for_handshake (&pair);
  weak = pair.protocol;
  g_object_add_weak_pointer (weak, &weak);
  g_thread_join (g_thread_new ("unref", unref_in_thread, g_steal_pointer (&pair.protocol)));
  g_assert_nonnull (weak);

  tls_peer_shake_hands (&pair.peer, &error);
  g_assert_no_error (error);
  test_wait_until (test_slot_is_done (&pair.slot));
  g_assert_nonnull (weak);
  g_assert_cmpint (aqmp_protocol_get_runstate (weak), ==, AQMP_RUNSTATE_RUNNING);
  test_slot_clear (&pair.slot);
  test_dispatch_pending ();
  g_assert_null (weak);
  tls_peer_expect_cut (&pair.peer);
}

static void
test_dispose_in_thread (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  tls_pair_begin (&pair, NULL);
  wait_for_handshake (&pair);
  g_thread_join (g_thread_new ("dispose", dispose_in_thread, pair.protocol));
  g_assert_false (tls_pair_finish (&pair, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  tls_peer_drain_raw (&pair.peer);
  line_trace_expect (line_protocol_get_trace (pair.protocol), "connecting");
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const char * const role_names[] = { "connect", "accept" };
static const char * const family_names[] = { "tcp", "tcp6", "unix" };

/* Both roles. */
static void
add_both (const char  *format,
          TlsTestFunc  func)
{
  guint role;

  for (role = 0; role < G_N_ELEMENTS (role_names); role++)
    {
      g_auto (GStrv) parts = g_strsplit (format, "ROLE", 2);
      g_autofree char *path = g_strconcat (parts[0], role_names[role], parts[1], NULL);

      tls_add (path, func, GUINT_TO_POINTER (role));
    }
}

static void
add_successes (void)
{
  static const TlsPair pairs[] = {
    { .role = TLS_CONNECTS, .family = TLS_OVER_TCP },
    { .role = TLS_CONNECTS, .family = TLS_OVER_TCP6 },
    { .role = TLS_CONNECTS, .family = TLS_OVER_UNIX },
    { .role = TLS_ACCEPTS, .family = TLS_OVER_TCP },
    { .role = TLS_ACCEPTS, .family = TLS_OVER_TCP6 },
    { .role = TLS_ACCEPTS, .family = TLS_OVER_UNIX },
  };
  static const struct
  {
    const char *name;
    GTlsAuthenticationMode mode;
  } modes[] = {
    { "none", G_TLS_AUTHENTICATION_NONE },
    { "requested", G_TLS_AUTHENTICATION_REQUESTED },
    { "required", G_TLS_AUTHENTICATION_REQUIRED },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      g_autofree char *path = g_strdup_printf ("/protocol/tls/success/%s/%s", role_names[pairs[i].role],
                                               family_names[pairs[i].family]);

      tls_add (path, test_success, &pairs[i]);
    }

  for (i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      g_autofree char *client = g_strconcat ("/protocol/tls/mutual/connect/", modes[i].name, NULL);
      g_autofree char *server = g_strconcat ("/protocol/tls/mutual/accept/", modes[i].name, NULL);

      tls_add (client, test_client_certificate, GUINT_TO_POINTER (modes[i].mode));
      tls_add (server, test_peer_certificate, GUINT_TO_POINTER (modes[i].mode));
    }
}

static void
add_failures (void)
{
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (failures); i++)
    {
      g_autofree char *path = g_strdup_printf ("/protocol/tls/S4/%s/%s/%s", role_names[failures[i].role],
                                               failures[i].path, family_names[failures[i].family]);

      tls_add (path, test_failure, &failures[i]);
    }

  for (i = 0; i < G_N_ELEMENTS (disliked); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/tls/S4/connect/server-dislikes/", disliked[i].path, NULL);

      tls_add (path, test_disliked, &disliked[i]);
    }

  for (i = 0; i < G_N_ELEMENTS (silences); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/tls/", silences[i].path, NULL);

      tls_add (path, test_silence, &silences[i]);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_successes ();
  add_both ("/protocol/tls/success/ROLE/again", test_again);
  tls_add ("/protocol/tls/success/connect/host-name", test_host_name, NULL);
  tls_add ("/protocol/tls/success/connect/identity-overrides-address", test_identity_overrides_address, NULL);
  tls_add ("/protocol/tls/success/connect/kinds-of-identity", test_kinds_of_identity, NULL);
  tls_add ("/protocol/tls/success/accept/identity-is-for-clients", test_identity_is_for_clients, NULL);
  tls_add ("/protocol/tls/S9/peer-before-accept", test_start_server_then_accept, GINT_TO_POINTER (TRUE));
  tls_add ("/protocol/tls/S9/accept-before-peer", test_start_server_then_accept, GINT_TO_POINTER (FALSE));
  add_both ("/protocol/tls/mutual/ROLE/requested-and-not-shown", test_without_client_certificate);

  tls_add ("/protocol/tls/S4/connect/no-identity/unix", test_no_identity, GINT_TO_POINTER (FALSE));
  tls_add ("/protocol/tls/S4/connect/no-identity/abstract", test_no_identity, GINT_TO_POINTER (TRUE));
  tls_add ("/protocol/tls/S4/accept/no-certificate/start-server", test_server_without_certificate,
           GINT_TO_POINTER (FALSE));
  tls_add ("/protocol/tls/S4/accept/no-certificate/start-server-and-accept", test_server_without_certificate,
           GINT_TO_POINTER (TRUE));
  g_test_add_func ("/protocol/tls/S4/no-backend", test_no_backend);
  add_failures ();
  tls_add ("/protocol/tls/S4/connect/plain-to-tls", test_connects_plainly, NULL);
  tls_add ("/protocol/tls/S4/accept/plain-from-tls", test_accepts_plainly, NULL);
  add_both ("/protocol/tls/S4/ROLE/answer-after-cancel", test_late_answer);
  add_both ("/protocol/tls/S4/ROLE/cancelled-at-any-time", test_cancelled_at_any_time);
  add_both ("/protocol/tls/S4/ROLE/one-time-out-for-all", test_one_timeout_for_all);
  add_both ("/protocol/tls/S10/ROLE/unref-in-another-thread", test_unref_in_handshake);
  add_both ("/protocol/tls/S10/ROLE/dispose-in-another-thread", test_dispose_in_thread);

  return tls_run ();
}
