/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "tls-fixture.h"

/* ---- a peer ------------------------------------------------------------------------------------------------------ */

/* A server's connection asks even about a certificate without flaws, a client's only about one that has some. */
static gboolean
peer_accepts (GTlsConnection       *connection,
              GTlsCertificate      *certificate,
              GTlsCertificateFlags  flags,
              gpointer              user_data)
{
  Peer *self = user_data;

  return flags == 0 || self->database == NULL;
}

static GTlsConnection *
peer_connection_new (Peer *self)
{
  g_autoptr (GSocketConnectable) server = g_network_address_new ("vm.example", 0);
  GIOStream *connection;

  if (self->is_server)
    connection = g_tls_server_connection_new (self->base, self->certificate, NULL);
  else
    connection = g_tls_client_connection_new (self->base, server, NULL);
  g_assert_nonnull (connection);

  if (self->is_server)
    g_object_set (connection, "authentication-mode", self->mode, NULL);
  else if (self->certificate != NULL)
    g_tls_connection_set_certificate (G_TLS_CONNECTION (connection), self->certificate);
  if (self->database != NULL)
    g_tls_connection_set_database (G_TLS_CONNECTION (connection), self->database);
  g_signal_connect (connection, "accept-certificate", G_CALLBACK (peer_accepts), self);
  return G_TLS_CONNECTION (connection);
}

static void
peer_talk (Peer      *self,
           GIOStream *stream)
{
  GInputStream *input = g_io_stream_get_input_stream (self->is_refused ? self->base : stream);
  char byte;

  if (self->is_refused)
    {
      while (g_input_stream_read (input, &byte, 1, NULL, NULL) > 0)
        ;
      return;
    }

  g_output_stream_write_all (g_io_stream_get_output_stream (stream), "hello", 5, NULL, NULL, NULL);
  g_input_stream_read (input, &byte, 1, NULL, NULL);
  if (self->is_polite)
    g_io_stream_close (stream, NULL, NULL);
}

gpointer
peer_run (gpointer data)
{
  Peer *self = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GTlsConnection) connection = NULL;

  g_main_context_push_thread_default (context);
  connection = peer_connection_new (self);
  if (g_tls_connection_handshake (connection, NULL, &self->error))
    peer_talk (self, G_IO_STREAM (connection));
  g_io_stream_close (self->base, NULL, NULL);
  g_main_context_pop_thread_default (context);
  return NULL;
}

void
peer_end (Peer *self)
{
  if (self->thread != NULL)
    g_thread_join (g_steal_pointer (&self->thread));
  g_clear_object (&self->base);
  g_clear_object (&self->certificate);
  g_clear_object (&self->database);
  g_clear_error (&self->error);
}

/* ---- this side --------------------------------------------------------------------------------------------------- */

static GTlsCertificate *
load (const char *directory,
      const char *end)
{
  return directory != NULL ? test_certificates_load (directory, end) : NULL;
}

/* This side is the client. */
gboolean
be_client (Fixture    *self,
           const char *servers,
           const char *host)
{
  if (!test_have_certificates ())
    return FALSE;

  self->tls.enabled = TRUE;
  self->tls.database = test_certificates_get_database ("good");
  self->address = g_network_address_new (host, 1234);
  self->peer.is_server = TRUE;
  self->peer.certificate = load (servers, "server");
  return TRUE;
}

gboolean
be_server (Fixture               *self,
           GTlsAuthenticationMode mode,
           const char            *clients)
{
  if (!test_have_certificates ())
    return FALSE;

  self->tls.enabled = TRUE;
  self->tls.auth_mode = mode;
  self->tls.certificate = test_certificates_load ("good", "server");
  self->tls.database = test_certificates_get_database ("good");
  self->peer.certificate = load (clients, "client");
  self->peer.database = test_certificates_get_database ("good");
  return TRUE;
}

static void
fixture_set_up (Fixture       *self,
                gconstpointer  data)
{
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;

  self->n_fds = test_count_fds ();
  test_socket_pair (&first, &second);
  g_socket_set_timeout (g_socket_connection_get_socket (second), (guint) (test_bound_us () / G_USEC_PER_SEC));
  self->base = G_IO_STREAM (g_steal_pointer (&first));
  self->peer.base = G_IO_STREAM (g_steal_pointer (&second));
}

/* Gives up the last reference; but a thread of GIO's may hold another for a moment. */
static void
assert_goes (GIOStream *stream)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  gpointer held;
  GWeakRef ref;

  g_weak_ref_init (&ref, stream);
  g_object_unref (stream);
  while ((held = g_weak_ref_get (&ref)) != NULL)
    {
      g_object_unref (held);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      test_dispatch_pending ();
      g_thread_yield ();
    }
  g_weak_ref_clear (&ref);
}

/* Nothing but the fixture holds the stream now. */
static void
fixture_tear_down (Fixture       *self,
                   gconstpointer  data)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  g_io_stream_close (self->base, NULL, NULL);
  peer_end (&self->peer);
  assert_goes (self->base);
  aqmp_tls_clear (&self->tls);
  g_clear_object (&self->address);
  g_clear_object (&self->cancellable);
  test_dispatch_pending ();

  while (test_count_fds () > self->n_fds && g_get_monotonic_time () < deadline)
    g_thread_yield ();
  /* A thread of GIO's may have had some of its own when the others were counted. */
  g_assert_cmpuint (test_count_fds (), <=, self->n_fds);
}

gboolean
on_accept (gpointer              user_data,
           GTlsCertificate      *certificate,
           GTlsCertificateFlags  flags)
{
  Fixture *self = user_data;

  g_assert_true (G_IS_TLS_CERTIFICATE (certificate));
  self->asked_flags = flags;
  self->asked_thread = g_thread_self ();
  self->asked_in_context = g_main_context_is_owner (self->context != NULL ? self->context : g_main_context_default ());
  g_atomic_int_inc (&self->n_asked);
  return self->accepts;
}

GIOStream *
handshake (Fixture  *self,
           GError  **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;

  aqmp_tls_handshake_async (&self->tls, self->base, self->address, on_accept, self, self->cancellable,
                            test_slot_callback, &slot);
  g_assert_false (test_slot_is_done (&slot));
  result = test_await (&slot);
  return aqmp_tls_handshake_finish (result, error);
}

GIOStream *
handshake_with_peer (Fixture  *self,
                     GError  **error)
{
  self->peer.thread = g_thread_new ("peer", peer_run, &self->peer);
  return handshake (self, error);
}

/* Before the test fails. */
void
explain_by_peer (Fixture *self)
{
  g_thread_join (g_steal_pointer (&self->peer.thread));
  g_test_message ("The peer: %s", self->peer.error != NULL ? self->peer.error->message : "no error");
}

/* Data both ways, and the end; all streams are gone afterwards. */
void
assert_talks (Fixture   *self,
              GIOStream *stream)
{
  GInputStream *input = g_io_stream_get_input_stream (stream);
  g_autoptr (GError) error = NULL;
  char buffer[6];
  gsize n_read;

  g_input_stream_read_all (input, buffer, 5, &n_read, NULL, &error);
  if (error != NULL)
    explain_by_peer (self);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, n_read, "hello", 5);
  g_assert_true (g_output_stream_write_all (g_io_stream_get_output_stream (stream), "x", 1, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_input_stream_read (input, buffer, sizeof buffer, NULL, &error), ==, 0);
  g_assert_no_error (error);

  g_assert_no_error (self->peer.error);
  assert_goes (stream);
}

void
expect_success (Fixture *self)
{
  g_autoptr (GError) error = NULL;
  GIOStream *stream = handshake_with_peer (self, &error);

  if (stream == NULL)
    explain_by_peer (self);
  g_assert_no_error (error);
  g_assert_true (self->address != NULL ? G_IS_TLS_CLIENT_CONNECTION (stream) : G_IS_TLS_SERVER_CONNECTION (stream));
  assert_talks (self, stream);
}

/* (transfer full): the message; nothing is left of the connection. */
char *
expect_failure (Fixture *self,
                GQuark   domain,
                int      code)
{
  g_autoptr (GError) error = NULL;

  self->peer.is_refused = TRUE;
  g_assert_null (handshake_with_peer (self, &error));
  if (!g_error_matches (error, domain, code))
    explain_by_peer (self);
  g_assert_error (error, domain, code);
  g_test_message ("%s", error->message);
  return g_strdup (error->message);
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

void
add (const char    *path,
     gconstpointer  data,
     void         (*func) (Fixture *self, gconstpointer data))
{
  g_autofree char *full_path = g_strconcat ("/tls/", path, NULL);

  g_test_add (full_path, Fixture, data, fixture_set_up, func, fixture_tear_down);
}

void
init_tls_tests (int    *argc,
                char ***argv)
{
  g_test_init (argc, argv, NULL);
  test_open_what_stays_open ();
}
