/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The TLS handshake, on either side: what goes wrong, and how a connection ends. */

#include "tls-fixture.h"

#include <gio/gunixsocketaddress.h>

/* ---- beforehand -------------------------------------------------------------------------------------------------- */

static void
test_check_disabled (void)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new ("/nowhere");
  AqmpTls tls = { .enabled = FALSE };
  g_autoptr (GError) error = NULL;

  g_assert_true (aqmp_tls_check_client (&tls, G_SOCKET_CONNECTABLE (address), &error));
  g_assert_no_error (error);
  g_assert_true (aqmp_tls_check_server (&tls, &error));
  g_assert_no_error (error);
}

static void
test_check_no_identity (void)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new ("/nowhere");
  AqmpTls tls = { .enabled = TRUE };
  g_autoptr (GError) error = NULL;

  if (!test_have_certificates ())
    return;
  g_assert_false (aqmp_tls_check_client (&tls, G_SOCKET_CONNECTABLE (address), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  assert_contains (error->message, "tls-server-identity");
}

static void
test_check_no_certificate (void)
{
  AqmpTls tls = { .enabled = TRUE };
  g_autoptr (GError) error = NULL;

  if (!test_have_certificates ())
    return;
  g_assert_false (aqmp_tls_check_server (&tls, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  assert_contains (error->message, "tls-certificate");
}

/* GIO without glib-networking. */
static void
test_check_no_backend (void)
{
  g_autoptr (GSocketConnectable) address = NULL;
  AqmpTls tls = { .enabled = TRUE };
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_passed ();
      return;
    }

  g_setenv ("GIO_USE_TLS", "dummy", TRUE);
  address = g_network_address_new ("localhost", 1);
  g_assert_false (aqmp_tls_check_client (&tls, address, &error));
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_UNAVAILABLE);
  assert_contains (error->message, "glib-networking");
  g_clear_error (&error);
  g_assert_false (aqmp_tls_check_server (&tls, &error));
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_UNAVAILABLE);

  /* Who does not want it does not miss it. */
  tls.enabled = FALSE;
  g_assert_true (aqmp_tls_check_client (&tls, address, NULL));
  g_assert_true (aqmp_tls_check_server (&tls, NULL));
}

/* ---- it goes wrong ----------------------------------------------------------------------------------------------- */

/* A certificate alone does not prove anything. */
static GTlsCertificate *
load_without_key (const char *file)
{
  g_autofree char *path = test_certificates_get_path ("good", file);
  g_autoptr (GError) error = NULL;
  GTlsCertificate *certificate = g_tls_certificate_new_from_file (path, &error);

  g_assert_no_error (error);
  return certificate;
}

static void
test_server_without_key (Fixture       *self,
                         gconstpointer  data)
{
  g_autoptr (GError) error = NULL;

  if (!be_server (self, G_TLS_AUTHENTICATION_NONE, NULL))
    return;
  g_object_unref (self->tls.certificate);
  self->tls.certificate = load_without_key ("server-cert.pem");
  g_assert_null (handshake_with_peer (self, &error));
  g_assert_cmpint (error->domain, ==, G_TLS_ERROR);
  g_test_message ("%s", error->message);
}

static void
test_client_without_key (Fixture       *self,
                         gconstpointer  data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) stream = NULL;

  if (!be_client (self, "good", "localhost"))
    return;
  self->tls.certificate = load_without_key ("client-cert.pem");
  self->peer.mode = G_TLS_AUTHENTICATION_REQUIRED;
  self->peer.database = test_certificates_get_database ("good");
  stream = handshake_with_peer (self, &error);
  g_test_message ("%s", error != NULL ? error->message : "no error");
  if (stream == NULL)
    {
      g_assert_cmpint (error->domain, ==, G_TLS_ERROR);
      return;
    }
  g_io_stream_close (stream, NULL, NULL);
  peer_end (&self->peer);
}

/* What the peer does instead of a handshake. */
static void
send_instead (Fixture    *self,
              const char *text)
{
  g_assert_true (g_output_stream_write_all (g_io_stream_get_output_stream (self->peer.base), text, strlen (text), NULL,
                                            NULL, NULL));
}

static void
expect_failed_handshake (Fixture *self)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (handshake (self, &error));
  g_assert_nonnull (error);
  g_test_message ("%s, %d: %s", g_quark_to_string (error->domain), error->code, error->message);
  g_assert_true (error->domain == G_TLS_ERROR || error->domain == G_IO_ERROR);
  g_assert_false (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  g_assert_true (g_str_has_prefix (error->message, "The TLS handshake failed: "));
  g_assert_cmpint (self->n_asked, ==, 0);
}

static void
test_plain_server (Fixture       *self,
                   gconstpointer  data)
{
  if (!be_client (self, NULL, "localhost"))
    return;
  send_instead (self, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0}}, \"capabilities\": [\"oob\"]}}\r\n");
  expect_failed_handshake (self);
}

static void
test_plain_client (Fixture       *self,
                   gconstpointer  data)
{
  if (!be_server (self, G_TLS_AUTHENTICATION_NONE, NULL))
    return;
  send_instead (self, "{\"execute\": \"qmp_capabilities\"}");
  expect_failed_handshake (self);
}

static void
test_eof_at_once (Fixture       *self,
                  gconstpointer  is_server)
{
  if (is_server ? !be_server (self, G_TLS_AUTHENTICATION_NONE, NULL) : !be_client (self, NULL, "localhost"))
    return;
  g_io_stream_close (self->peer.base, NULL, NULL);
  expect_failed_handshake (self);
}

/* In the middle of a record. */
static void
test_eof_in_handshake (Fixture       *self,
                       gconstpointer  is_server)
{
  if (is_server ? !be_server (self, G_TLS_AUTHENTICATION_NONE, NULL) : !be_client (self, NULL, "localhost"))
    return;
  send_instead (self, "\x16\x03\x01\x01\xff");
  g_io_stream_close (self->peer.base, NULL, NULL);
  expect_failed_handshake (self);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static gboolean
cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return G_SOURCE_REMOVE;
}

static gboolean
cancel_when_readable (GObject  *stream,
                      gpointer  cancellable)
{
  return cancel (cancellable);
}

static void
expect_cancelled (Fixture *self)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (handshake (self, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (g_str_has_prefix (error->message, "The TLS handshake failed"));
  g_assert_cmpint (self->n_asked, ==, 0);
}

/* The peer says nothing at all. */
static void
test_cancel (Fixture       *self,
             gconstpointer  is_server)
{
  if (is_server ? !be_server (self, G_TLS_AUTHENTICATION_NONE, NULL) : !be_client (self, NULL, "localhost"))
    return;
  self->cancellable = g_cancellable_new ();
  if (is_server)
    /* Most often it waits by then; it makes no difference. */
    g_timeout_add (20, cancel, self->cancellable);
  else
    {
      /* Once it has said something. */
      GSource *source = g_pollable_input_stream_create_source (
        G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (self->peer.base)), NULL);

      g_source_set_callback (source, G_SOURCE_FUNC (cancel_when_readable), self->cancellable, NULL);
      g_source_attach (source, NULL);
      g_source_unref (source);
    }
  expect_cancelled (self);
}

static void
test_cancelled_before (Fixture       *self,
                       gconstpointer  data)
{
  if (!be_client (self, NULL, "localhost"))
    return;
  self->cancellable = g_cancellable_new ();
  g_cancellable_cancel (self->cancellable);
  expect_cancelled (self);
}

/* ---- the end of a connection ------------------------------------------------------------------------------------- */

/* A peer that just closes, as QEMU does; and one that says so. In either case it is an EOF. */
static void
test_eof (Fixture       *self,
          gconstpointer  is_polite)
{
  if (!be_client (self, "good", "localhost"))
    return;
  self->peer.is_polite = GPOINTER_TO_INT (is_polite);
  expect_success (self);
}

static void
test_eof_of_client (Fixture       *self,
                    gconstpointer  is_polite)
{
  if (!be_server (self, G_TLS_AUTHENTICATION_NONE, NULL))
    return;
  self->peer.is_polite = GPOINTER_TO_INT (is_polite);
  expect_success (self);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  init_tls_tests (&argc, &argv);

  g_test_add_func ("/tls/Q13/check/disabled", test_check_disabled);
  g_test_add_func ("/tls/Q13/check/no-identity", test_check_no_identity);
  g_test_add_func ("/tls/Q13/check/no-certificate", test_check_no_certificate);
  g_test_add_func ("/tls/Q13/check/no-backend", test_check_no_backend);

  add ("Q13/server/without-key", NULL, test_server_without_key);
  add ("Q13/client/without-key", NULL, test_client_without_key);
  add ("Q13/plain/server", NULL, test_plain_server);
  add ("Q13/plain/client", NULL, test_plain_client);
  add ("Q13/eof-at-once/client", GINT_TO_POINTER (FALSE), test_eof_at_once);
  add ("Q13/eof-at-once/server", GINT_TO_POINTER (TRUE), test_eof_at_once);
  add ("Q13/eof-in-handshake/client", GINT_TO_POINTER (FALSE), test_eof_in_handshake);
  add ("Q13/eof-in-handshake/server", GINT_TO_POINTER (TRUE), test_eof_in_handshake);
  add ("Q2/cancel/client", GINT_TO_POINTER (FALSE), test_cancel);
  add ("Q2/cancel/server", GINT_TO_POINTER (TRUE), test_cancel);
  add ("Q2/cancel/before", NULL, test_cancelled_before);
  add ("Q13/eof/client", GINT_TO_POINTER (FALSE), test_eof);
  add ("Q13/eof/client-goodbye", GINT_TO_POINTER (TRUE), test_eof);
  add ("Q13/eof/server", GINT_TO_POINTER (FALSE), test_eof_of_client);
  add ("Q13/eof/server-goodbye", GINT_TO_POINTER (TRUE), test_eof_of_client);

  return g_test_run ();
}
