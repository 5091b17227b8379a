/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* TLS with real servers, on either side of the connection. */

#include "certificates.h"
#include "session.h"

#include <string.h>

#define N_AT_ONCE 30
/* How long a reply is waited for that does not come. */
#define STALL_MS 300
#define WHOLE_RECORDS 16384

/* ---- support ----------------------------------------------------------------------------------------------------- */

static Qemu *
new_qemu (QemuKind    kind,
          const char *certificates,
          QemuFlags   flags)
{
  g_autofree char *directory = NULL;

  if (!test_have_certificates ())
    return NULL;

  directory = test_certificates_get_path (certificates, NULL);
  return qemu_new_tls (kind, directory, flags, NULL);
}

/* (transfer full): trusts the authority of @trusted; shows the certificate of a client of @shown, if any. */
static AqmpClient *
new_client (const char *trusted,
            const char *shown)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr(GTlsDatabase) database = test_certificates_get_database (trusted);

  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
  aqmp_protocol_set_tls_database (AQMP_PROTOCOL (client), database);
  if (shown != NULL)
    {
      g_autoptr(GTlsCertificate) certificate = test_certificates_load (shown, "client");

      aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (client), certificate);
    }
  return client;
}

static void
connect_well (AqmpClient *client,
              Qemu       *qemu)
{
  g_autoptr(GError) error = NULL;

  session_connect_to (client, qemu_get_connectable (qemu), &error);
  g_assert_no_error (error);
}

static void
execute_well (AqmpClient *client,
              const char *command)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = session_execute (client, command, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
}

static void
check_fails (AqmpClient *client,
             Qemu       *qemu,
             GQuark      domain,
             int         code,
             const char *text)
{
  g_autoptr(GError) error = NULL;

  g_assert_false (session_connect_to (client, qemu_get_connectable (qemu), &error));
  g_assert_error (error, domain, code);
  if (strstr (error->message, text) == NULL)
    g_error ("“%s” is not in “%s”", text, error->message);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
}

/* Once nothing is in the way any more, the same object connects. */
static void
check_recovers (AqmpClient *client,
                Qemu       *qemu)
{
  connect_well (client, qemu);
  session_check_works (client);
  session_end (client);
}

/* ---- success ----------------------------------------------------------------------------------------------------- */

static void
check_session (QemuKind kind,
               guint    record_size)
{
  g_autoptr(Qemu) qemu = new_qemu (kind, "good", QEMU_FLAGS_NONE);
  TestSlot slots[N_AT_ONCE] = { TEST_SLOT_INIT };
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (client), record_size);
  connect_well (client, qemu);
  execute_well (client, "query-version");
  execute_well (client, "query-qmp-schema");
  for (gsize i = 0; i < N_AT_ONCE; i++)
    session_begin (client, "query-version", NULL, NULL, &slots[i]);
  for (gsize i = 0; i < N_AT_ONCE; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(JsonNode) node = session_await (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }
  execute_well (client, "quit");
  session_end (client);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
}

static void
test_by_itself (void)
{
  check_session (QEMU_SYSTEM_NONE, 0);
}

static void
test_storage_daemon (void)
{
  check_session (QEMU_STORAGE_DAEMON, 0);
}

static void
test_small_records (void)
{
  check_session (QEMU_SYSTEM_NONE, 1);
}

static void
test_mutual (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_VERIFY_PEER);

  if (qemu != NULL)
    check_recovers (new_client ("good", "good"), qemu);
}

/* ---- Q13: the stall ---------------------------------------------------------------------------------------------- */

/* What QEMU 7.2 does with a command that comes as one record: it waits for more. With more bytes, white space here, it goes
   on. */
static void
check_stall (QemuKind kind)
{
  g_autoptr(Qemu) qemu = new_qemu (kind, "good", QEMU_FLAGS_NONE);
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(JsonNode) node = NULL;
  g_autoptr(GBytes) blank = g_bytes_new_static (" ", 1);
  g_autoptr(GError) error = NULL;
  AqmpClient *client;
  gint64 end;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  connect_well (client, qemu);
  if (aqmp_greeting_get_major (aqmp_client_get_greeting (client)) >= 8)
    {
      g_test_skip ("this QEMU is too new to stall");
      session_end (client);
      return;
    }

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (client), WHOLE_RECORDS);
  session_begin (client, "query-version", NULL, NULL, &slot);
  end = g_get_monotonic_time () + STALL_MS * 1000;
  while (g_get_monotonic_time () < end)
    {
      g_main_context_iteration (NULL, FALSE);
      g_usleep (1000);
    }
  g_assert_false (test_slot_is_done (&slot));

  aqmp_protocol_send_message (AQMP_PROTOCOL (client), blank, &error);
  g_assert_no_error (error);
  node = session_await (&slot, &error);
  g_assert_no_error (error);

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (client), 0);
  session_check_works (client);
  session_end (client);
}

static void
test_stall (void)
{
  check_stall (QEMU_SYSTEM_NONE);
}

static void
test_stall_storage_daemon (void)
{
  check_stall (QEMU_STORAGE_DAEMON);
}

/* The negotiation is a command like any other. */
static void
test_stall_in_negotiation (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_NONE);
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (client), WHOLE_RECORDS);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 1000);
  check_fails (client, qemu, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "did not answer");

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (client), 0);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  check_recovers (client, qemu);
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

static void
test_wrong_authority (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "other-ca", QEMU_FLAGS_QUIET);
  g_autoptr(GTlsDatabase) database = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  check_fails (client, qemu, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "nobody that is trusted");
  database = test_certificates_get_database ("other-ca");
  aqmp_protocol_set_tls_database (AQMP_PROTOCOL (client), database);
  check_recovers (client, qemu);
}

static void
test_wrong_identity (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "other-name", QEMU_FLAGS_QUIET);
  g_autoptr(GSocketConnectable) identity = g_network_address_new ("other.example", 0);
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  check_fails (client, qemu, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "it is not for “127.0.0.1”");
  aqmp_protocol_set_tls_server_identity (AQMP_PROTOCOL (client), identity);
  check_recovers (client, qemu);
}

/* QEMU does not say why it closes. */
static void
check_client_refused (const char *shown,
                      const char *text)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_VERIFY_PEER | QEMU_FLAGS_QUIET);
  g_autoptr(GTlsCertificate) certificate = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", shown);
  g_assert_false (session_connect_to (client, qemu_get_connectable (qemu), &error));
  g_assert_true (error->domain == G_TLS_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED));
  g_assert_nonnull (strstr (error->message, text));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);

  certificate = test_certificates_load ("good", "client");
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (client), certificate);
  check_recovers (client, qemu);
}

static void
test_missing_client_certificate (void)
{
  check_client_refused (NULL, "no certificate was shown");
}

static void
test_wrong_client_certificate (void)
{
  check_client_refused ("other-ca", "the certificate that was shown");
}

/* ---- peers that do something else -------------------------------------------------------------------------------- */

static void
test_plain_server (void)
{
  g_autoptr(Qemu) qemu = NULL;
  AqmpClient *client;

  if (!test_have_certificates ())
    return;

  qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_TCP, QEMU_FLAGS_NONE, NULL);
  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  check_fails (client, qemu, G_TLS_ERROR, G_TLS_ERROR_MISC, "TLS handshake");
  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), FALSE);
  check_recovers (client, qemu);
}

/* Each waits for the other to begin. */
static void
test_plain_client (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_QUIET);
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), FALSE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 200);
  check_fails (client, qemu, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "did not answer");

  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  check_recovers (client, qemu);
}

static void
test_hangs_in_handshake (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_NONE);
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  qemu_freeze (qemu);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 200);
  check_fails (client, qemu, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "within 200 ms");

  qemu_thaw (qemu);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  check_recovers (client, qemu);
}

static void
test_cancelled_in_handshake (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_NONE);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  qemu_freeze (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), qemu_get_connectable (qemu), cancellable, test_slot_callback, &slot);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  qemu_thaw (qemu);
  check_recovers (client, qemu);
}

static void
test_dies_in_handshake (void)
{
  g_autoptr(Qemu) qemu = new_qemu (QEMU_SYSTEM_NONE, "good", QEMU_FLAGS_NONE);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(AqmpClient) client = NULL;

  if (qemu == NULL)
    return;

  client = new_client ("good", NULL);
  qemu_freeze (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), qemu_get_connectable (qemu), NULL, test_slot_callback, &slot);
  test_dispatch_pending ();
  qemu_kill (qemu);
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error));
  g_assert_true (error->domain == G_TLS_ERROR || error->domain == G_IO_ERROR);
  g_assert_nonnull (strstr (error->message, "Could not establish the connection"));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
}

/* ---- QEMU as the client ------------------------------------------------------------------------------------------ */

/* (transfer full) (nullable): a client that listens with the certificate of @shown, and the QEMU that it listens for, which
   has the certificates of "good". */
static AqmpClient *
listen_for (const char  *shown,
            QemuFlags    flags,
            Qemu       **qemu,
            TestSlot    *slot)
{
  g_autoptr(GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr(GSocketAddress) effective = NULL;
  g_autoptr(GTlsCertificate) certificate = NULL;
  g_autofree char *directory = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (!test_have_certificates ())
    return NULL;

  client = new_client ("good", NULL);
  certificate = test_certificates_load (shown, "server");
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (client), certificate);
  if (flags & QEMU_FLAGS_VERIFY_PEER)
    aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (client), G_TLS_AUTHENTICATION_REQUIRED);
  aqmp_protocol_start_server (AQMP_PROTOCOL (client), any, &effective, &error);
  g_assert_no_error (error);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, slot);

  directory = test_certificates_get_path ("good", NULL);
  *qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, G_SOCKET_CONNECTABLE (effective), directory, flags, NULL);
  if (*qemu == NULL)
    {
      session_disconnect (client, NULL);
      g_clear_object (&client);
    }
  return client;
}

static gboolean
finish_accept (AqmpClient  *client,
               TestSlot    *slot,
               GError     **error)
{
  g_autoptr(GAsyncResult) result = test_await (slot);

  return aqmp_protocol_accept_finish (AQMP_PROTOCOL (client), result, error);
}

static void
check_accepts (QemuFlags flags)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(Qemu) qemu = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client = listen_for ("good", flags, &qemu, &slot);

  if (client == NULL)
    return;

  finish_accept (client, &slot, &error);
  g_assert_no_error (error);
  session_check_works (client);
  execute_well (client, "quit");
  session_end (client);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
}

static void
test_accept (void)
{
  check_accepts (QEMU_FLAGS_NONE);
}

static void
test_accept_mutual (void)
{
  check_accepts (QEMU_FLAGS_VERIFY_PEER);
}

/* QEMU does not like our certificate. */
static void
test_accept_not_trusted (void)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(Qemu) qemu = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(AqmpClient) client = listen_for ("other-ca", QEMU_FLAGS_VERIFY_PEER | QEMU_FLAGS_QUIET, &qemu, &slot);

  if (client == NULL)
    return;

  g_assert_false (finish_accept (client, &slot, &error));
  g_assert_true (error->domain == G_TLS_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/tls/by-itself", test_by_itself);
  g_test_add_func ("/qemu/tls/storage-daemon", test_storage_daemon);
  g_test_add_func ("/qemu/tls/mutual", test_mutual);
  g_test_add_func ("/qemu/Q13/small-records", test_small_records);
  g_test_add_func ("/qemu/Q13/stall", test_stall);
  g_test_add_func ("/qemu/Q13/stall-storage-daemon", test_stall_storage_daemon);
  g_test_add_func ("/qemu/Q13/stall-in-negotiation", test_stall_in_negotiation);
  g_test_add_func ("/qemu/tls/S4/wrong-authority", test_wrong_authority);
  g_test_add_func ("/qemu/tls/S4/wrong-identity", test_wrong_identity);
  g_test_add_func ("/qemu/tls/S4/missing-client-certificate", test_missing_client_certificate);
  g_test_add_func ("/qemu/tls/S4/wrong-client-certificate", test_wrong_client_certificate);
  g_test_add_func ("/qemu/tls/S4/plain-server", test_plain_server);
  g_test_add_func ("/qemu/tls/S4/plain-client", test_plain_client);
  g_test_add_func ("/qemu/tls/S4/hangs-in-handshake", test_hangs_in_handshake);
  g_test_add_func ("/qemu/tls/S4/cancelled-in-handshake", test_cancelled_in_handshake);
  g_test_add_func ("/qemu/tls/S4/dies-in-handshake", test_dies_in_handshake);
  g_test_add_func ("/qemu/tls/accept", test_accept);
  g_test_add_func ("/qemu/tls/accept-mutual", test_accept_mutual);
  g_test_add_func ("/qemu/tls/accept-not-trusted", test_accept_not_trusted);

  return g_test_run ();
}
