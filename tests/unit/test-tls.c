/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The TLS handshake, on either side, against a peer that uses GIO alone. */

#include <gio/gunixsocketaddress.h>
#include <string.h>

#include "aqmp-glib/aqmp-tls-private.h"

#include "certificates.h"
#include "util.h"

/* ---- a peer ------------------------------------------------------------------------------------------------------ */

/* In a thread: shakes hands, and then writes "hello" and reads one byte; or waits for the end, if it is to be refused. Waits
   for nothing longer than the bound. */
typedef struct
{
  GIOStream             *base;         /* (owned) */
  gboolean               is_server;
  GTlsCertificate       *certificate;  /* (owned) (nullable) */
  GTlsDatabase          *database;     /* (owned) (nullable): NULL: any certificate will do */
  GTlsAuthenticationMode mode;         /* of a server */
  gboolean               is_polite;    /* ends with a goodbye */
  gboolean               is_refused;   /* glib-networking 2.74 leaks an error if a client then reads or writes */
  GError                *error;        /* (owned) (nullable): of the handshake */
  GThread               *thread;
} Peer;

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

static gpointer
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

static void
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

typedef struct
{
  AqmpTls             tls;
  GSocketConnectable *address;      /* (owned) (nullable): NULL on the server's side */
  GIOStream          *base;         /* (owned) */
  GCancellable       *cancellable;  /* (owned) (nullable) */
  Peer                peer;
  guint               n_fds;        /* open before */

  gboolean            accepts;      /* whatever certificate it is asked about */
  int                 n_asked;      /* atomic */
  GTlsCertificateFlags asked_flags;
  GThread            *asked_thread; /* (unowned) */
  gboolean            asked_in_context;
  GMainContext       *context;      /* (unowned) (nullable): the one that it should be asked in */
} Fixture;

static GTlsCertificate *
load (const char *directory,
      const char *end)
{
  return directory != NULL ? test_certificates_load (directory, end) : NULL;
}

/* This side is the client. */
static gboolean
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

static gboolean
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
  g_assert_cmpuint (test_count_fds (), ==, self->n_fds);
}

static gboolean
on_accept (gpointer              user_data,
           GTlsCertificate      *certificate,
           GTlsCertificateFlags  flags)
{
  Fixture *self = user_data;

  g_assert_true (G_IS_TLS_CERTIFICATE (certificate));
  self->asked_flags = flags;
  self->asked_thread = g_thread_self ();
  self->asked_in_context = g_main_current_source () != NULL &&
                           g_source_get_context (g_main_current_source ()) ==
                             (self->context != NULL ? self->context : g_main_context_default ());
  g_atomic_int_inc (&self->n_asked);
  return self->accepts;
}

static GIOStream *
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

static GIOStream *
handshake_with_peer (Fixture  *self,
                     GError  **error)
{
  self->peer.thread = g_thread_new ("peer", peer_run, &self->peer);
  return handshake (self, error);
}

/* Before the test fails. */
static void
explain_by_peer (Fixture *self)
{
  g_thread_join (g_steal_pointer (&self->peer.thread));
  g_test_message ("The peer: %s", self->peer.error != NULL ? self->peer.error->message : "no error");
}

/* Data both ways, and the end; all streams are gone afterwards. */
static void
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

static void
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
static char *
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

#define assert_contains(text, part) \
  G_STMT_START { \
    if (strstr (text, part) == NULL) \
      { \
        g_test_message ("“%s” should be in “%s”", part, text); \
        g_test_fail (); \
      } \
  } G_STMT_END

/* ---- it works ---------------------------------------------------------------------------------------------------- */

static void
test_client (Fixture       *self,
             gconstpointer  host)
{
  if (!be_client (self, "good", host))
    return;
  g_assert_true (aqmp_tls_check_client (&self->tls, self->address, NULL));
  expect_success (self);
  /* A good certificate is nothing to ask about. */
  g_assert_cmpint (self->n_asked, ==, 0);
}

static void
test_client_shows_certificate (Fixture       *self,
                               gconstpointer  data)
{
  if (!be_client (self, "good", "localhost"))
    return;
  self->tls.certificate = test_certificates_load ("good", "client");
  self->peer.mode = G_TLS_AUTHENTICATION_REQUIRED;
  self->peer.database = test_certificates_get_database ("good");
  expect_success (self);
}

static void
test_client_inet_socket_address (Fixture       *self,
                                 gconstpointer  host)
{
  if (!be_client (self, "good", "localhost"))
    return;
  g_object_unref (self->address);
  self->address = G_SOCKET_CONNECTABLE (g_inet_socket_address_new_from_string (host, 1234));
  g_assert_true (aqmp_tls_check_client (&self->tls, self->address, NULL));
  if (!g_str_equal (host, "127.0.0.2"))
    {
      expect_success (self);
      g_assert_cmpint (self->n_asked, ==, 0);
    }
  else
    {
      g_autofree char *message = expect_failure (self, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);

      assert_contains (message, "it is not for “127.0.0.2”");
    }
}

/* What is asked for goes before what is connected to. */
static void
test_client_server_identity (Fixture       *self,
                             gconstpointer  data)
{
  if (!be_client (self, "other-name", "localhost"))
    return;
  self->tls.server_identity = g_network_address_new ("other.example", 0);
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 0);
}

static void
test_client_server_identity_differs (Fixture       *self,
                                     gconstpointer  data)
{
  g_autofree char *message = NULL;

  if (!be_client (self, "good", "localhost"))
    return;
  self->tls.server_identity = g_network_address_new ("other.example", 0);
  message = expect_failure (self, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  assert_contains (message, "other.example");
}

/* A path is no name; with one it will do. */
static void
test_client_unix_with_identity (Fixture       *self,
                                gconstpointer  data)
{
  if (!be_client (self, "good", "localhost"))
    return;
  g_object_unref (self->address);
  self->address = G_SOCKET_CONNECTABLE (g_unix_socket_address_new ("/nowhere"));
  self->tls.server_identity = g_network_address_new ("vm.example", 0);
  g_assert_true (aqmp_tls_check_client (&self->tls, self->address, NULL));
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 0);
}

static void
test_server (Fixture       *self,
             gconstpointer  mode)
{
  if (!be_server (self, (GTlsAuthenticationMode) GPOINTER_TO_INT (mode), NULL))
    return;
  g_assert_true (aqmp_tls_check_server (&self->tls, NULL));
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 0);
}

static void
test_server_with_client_certificate (Fixture       *self,
                                     gconstpointer  mode)
{
  if (!be_server (self, (GTlsAuthenticationMode) GPOINTER_TO_INT (mode), "good"))
    return;
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 0);
}

/* ---- whom it does not trust -------------------------------------------------------------------------------------- */

typedef struct
{
  const char           *servers;
  const char           *authority;
  GTlsCertificateFlags  flags;
  const char           *reasons[3];
} Distrust;

static const Distrust distrusts[] = {
  { "other-ca", "good", G_TLS_CERTIFICATE_UNKNOWN_CA, { "nobody that is trusted here has signed it" } },
  { "other-name", "good", G_TLS_CERTIFICATE_BAD_IDENTITY, { "it is not for “localhost”" } },
  { "expired", "good", G_TLS_CERTIFICATE_EXPIRED, { "it has expired" } },
  { "other-name", "other-ca", G_TLS_CERTIFICATE_BAD_IDENTITY | G_TLS_CERTIFICATE_UNKNOWN_CA,
    { "it is not for “localhost”; nobody that is trusted here has signed it" } },
};

static void
test_distrust (Fixture       *self,
               gconstpointer  data)
{
  const Distrust *distrust = data;
  g_autofree char *message = NULL;
  guint i;

  if (!be_client (self, distrust->servers, "localhost"))
    return;
  g_object_unref (self->tls.database);
  self->tls.database = test_certificates_get_database (distrust->authority);
  message = expect_failure (self, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  for (i = 0; distrust->reasons[i] != NULL; i++)
    assert_contains (message, distrust->reasons[i]);
  g_assert_cmpint (self->n_asked, ==, 1);
  g_assert_cmpuint (self->asked_flags, ==, distrust->flags);
}

/* Whoever is asked knows better. */
static void
test_distrust_accepted (Fixture       *self,
                        gconstpointer  data)
{
  const Distrust *distrust = data;

  if (!be_client (self, distrust->servers, "localhost"))
    return;
  g_object_unref (self->tls.database);
  self->tls.database = test_certificates_get_database (distrust->authority);
  self->accepts = TRUE;
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 1);
  g_assert_cmpuint (self->asked_flags, ==, distrust->flags);
}

/* Without any authority of its own it is the system's that count, which know nothing of tests. */
static void
test_system_authorities (Fixture       *self,
                         gconstpointer  data)
{
  g_autofree char *message = NULL;

  if (!be_client (self, "good", "localhost"))
    return;
  g_clear_object (&self->tls.database);
  message = expect_failure (self, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  assert_contains (message, "nobody that is trusted here");
}

static void
test_server_distrusts (Fixture       *self,
                       gconstpointer  mode)
{
  g_autofree char *message = NULL;

  if (!be_server (self, (GTlsAuthenticationMode) GPOINTER_TO_INT (mode), "other-ca"))
    return;
  message = expect_failure (self, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  assert_contains (message, "nobody that is trusted here has signed it");
  g_assert_cmpint (self->n_asked, ==, 1);
}

static void
test_server_distrust_accepted (Fixture       *self,
                               gconstpointer  mode)
{
  if (!be_server (self, (GTlsAuthenticationMode) GPOINTER_TO_INT (mode), "other-ca"))
    return;
  self->accepts = TRUE;
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 1);
}

/* That there is none cannot be accepted. */
static void
test_server_requires_certificate (Fixture       *self,
                                  gconstpointer  data)
{
  g_autofree char *message = NULL;

  if (!be_server (self, G_TLS_AUTHENTICATION_REQUIRED, NULL))
    return;
  self->accepts = TRUE;
  message = expect_failure (self, G_TLS_ERROR, G_TLS_ERROR_CERTIFICATE_REQUIRED);
  g_assert_true (g_str_has_prefix (message, "The TLS handshake failed: "));
}

/* ---- where it asks ----------------------------------------------------------------------------------------------- */

static gpointer
handshake_in_context (gpointer data)
{
  Fixture *self = data;
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  self->context = context;
  self->accepts = TRUE;
  expect_success (self);
  g_assert_cmpint (self->n_asked, ==, 1);
  g_assert_true (self->asked_thread == g_thread_self ());
  g_assert_true (self->asked_in_context);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* As a main loop that runs owns its context. */
static void
test_asks_in_default_context (Fixture       *self,
                              gconstpointer  data)
{
  if (!be_client (self, "expired", "localhost"))
    return;
  g_assert_true (g_main_context_acquire (NULL));
  self->accepts = TRUE;
  expect_success (self);
  g_main_context_release (NULL);
  g_assert_true (self->asked_thread == g_thread_self ());
  g_assert_true (self->asked_in_context);
}

/* A program that has something else to do between two iterations of the default context. GIO then calls in its own thread what
   should be called there, as nobody seems to own the context. */
static void
test_asks_between_iterations (Fixture       *self,
                              gconstpointer  data)
{
  gint64 later = g_get_monotonic_time () + 100 * 1000;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GIOStream *stream;

  if (!be_client (self, "expired", "localhost"))
    return;
  self->accepts = TRUE;
  self->peer.thread = g_thread_new ("peer", peer_run, &self->peer);
  aqmp_tls_handshake_async (&self->tls, self->base, self->address, on_accept, self, NULL, test_slot_callback, &slot);
  while (g_atomic_int_get (&self->n_asked) == 0 && g_get_monotonic_time () < later)
    g_thread_yield ();
  result = test_await (&slot);
  stream = aqmp_tls_handshake_finish (result, &error);
  g_clear_object (&result);
  g_assert_no_error (error);
  assert_talks (self, stream);
  g_assert_cmpint (self->n_asked, ==, 1);
  if (self->asked_thread != g_thread_self ())
    {
      g_test_incomplete ("it asks in a thread of GIO's");
      return;
    }
  g_assert_true (self->asked_in_context);
}

static void
test_asks_in_context (Fixture       *self,
                      gconstpointer  data)
{
  if (be_client (self, "expired", "localhost"))
    handshake_in_context (self);
}

static void
test_asks_in_thread (Fixture       *self,
                     gconstpointer  data)
{
  if (be_client (self, "expired", "localhost"))
    g_thread_join (g_thread_new ("owner", handshake_in_context, self));
}

static void
test_server_asks_in_thread (Fixture       *self,
                            gconstpointer  data)
{
  if (be_server (self, G_TLS_AUTHENTICATION_REQUIRED, "other-ca"))
    g_thread_join (g_thread_new ("owner", handshake_in_context, self));
}

/* ---- an interaction ---------------------------------------------------------------------------------------------- */

#define TEST_TYPE_INTERACTION (test_interaction_get_type ())
G_DECLARE_FINAL_TYPE (TestInteraction, test_interaction, TEST, INTERACTION, GTlsInteraction)

struct _TestInteraction
{
  GTlsInteraction parent_instance;
  guint           n_asked;
};

G_DEFINE_FINAL_TYPE (TestInteraction, test_interaction, G_TYPE_TLS_INTERACTION)

static GTlsInteractionResult
test_interaction_request_certificate (GTlsInteraction              *interaction,
                                      GTlsConnection               *connection,
                                      GTlsCertificateRequestFlags   flags,
                                      GCancellable                 *cancellable,
                                      GError                      **error)
{
  g_autoptr (GTlsCertificate) certificate = test_certificates_load ("good", "client");

  TEST_INTERACTION (interaction)->n_asked++;
  g_tls_connection_set_certificate (connection, certificate);
  return G_TLS_INTERACTION_HANDLED;
}

static void
test_interaction_class_init (TestInteractionClass *klass)
{
  G_TLS_INTERACTION_CLASS (klass)->request_certificate = test_interaction_request_certificate;
}

static void
test_interaction_init (TestInteraction *self)
{
}

/* Someone who chooses a certificate when one is wanted. */
static void
test_interaction_asked (Fixture       *self,
                        gconstpointer  data)
{
  g_autoptr (TestInteraction) interaction = NULL;

  if (!be_client (self, "good", "localhost"))
    return;
  interaction = g_object_new (TEST_TYPE_INTERACTION, NULL);
  self->tls.interaction = g_object_ref (G_TLS_INTERACTION (interaction));
  self->peer.mode = G_TLS_AUTHENTICATION_REQUIRED;
  self->peer.database = test_certificates_get_database ("good");
  expect_success (self);
  g_assert_cmpuint (interaction->n_asked, >, 0);
}

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

/* The copy lives on by itself, and has everything. */
static void
test_copy (void)
{
  AqmpTls tls = { .enabled = TRUE, .auth_mode = G_TLS_AUTHENTICATION_REQUIRED };
  AqmpTls empty = { .enabled = FALSE };
  AqmpTls copy;
  GTlsInteraction *interaction;
  GSocketConnectable *identity;
  GTlsCertificate *certificate;
  GTlsDatabase *database;
  g_autofree char *path = NULL;

  aqmp_tls_copy (&copy, &empty);
  g_assert_false (copy.enabled);
  g_assert_null (copy.certificate);
  aqmp_tls_clear (&copy);
  aqmp_tls_clear (&copy);

  if (!test_have_certificates ())
    return;
  path = test_certificates_get_path ("good", "ca-cert.pem");
  tls.certificate = certificate = load_without_key ("client-cert.pem");
  tls.database = database = g_tls_file_database_new (path, NULL);
  tls.interaction = interaction = g_object_new (TEST_TYPE_INTERACTION, NULL);
  tls.server_identity = identity = g_network_address_new ("localhost", 1);
  aqmp_tls_copy (&copy, &tls);
  aqmp_tls_clear (&tls);
  g_assert_null (tls.certificate);

  g_assert_true (copy.enabled);
  g_assert_cmpint (copy.auth_mode, ==, G_TLS_AUTHENTICATION_REQUIRED);
  g_assert_true (copy.certificate == certificate && G_IS_TLS_CERTIFICATE (certificate));
  g_assert_true (copy.database == database && G_IS_TLS_DATABASE (database));
  g_assert_true (copy.interaction == interaction && TEST_IS_INTERACTION (interaction));
  g_assert_true (copy.server_identity == identity && G_IS_NETWORK_ADDRESS (identity));

  g_object_add_weak_pointer (G_OBJECT (certificate), (gpointer *) &certificate);
  g_object_add_weak_pointer (G_OBJECT (interaction), (gpointer *) &interaction);
  g_object_add_weak_pointer (G_OBJECT (identity), (gpointer *) &identity);
  g_object_add_weak_pointer (G_OBJECT (database), (gpointer *) &database);
  aqmp_tls_clear (&copy);
  g_assert_null (certificate);
  g_assert_null (interaction);
  g_assert_null (identity);
  g_assert_null (database);
}

/* ---- it goes wrong ----------------------------------------------------------------------------------------------- */

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

static void
do_nothing (GTask        *task,
            gpointer      source_object,
            gpointer      task_data,
            GCancellable *cancellable)
{
  g_task_return_boolean (task, TRUE);
}

/* What GLib opens once and keeps is no leak. */
static void
open_what_stays_open (void)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);

  g_main_context_default ();
  g_task_run_in_thread_sync (task, do_nothing);
}

static void
add (const char    *path,
     gconstpointer  data,
     void         (*func) (Fixture *self, gconstpointer data))
{
  g_autofree char *full_path = g_strconcat ("/tls/", path, NULL);

  g_test_add (full_path, Fixture, data, fixture_set_up, func, fixture_tear_down);
}

int
main (int   argc,
      char *argv[])
{
  gpointer none = GINT_TO_POINTER (G_TLS_AUTHENTICATION_NONE);
  gpointer requested = GINT_TO_POINTER (G_TLS_AUTHENTICATION_REQUESTED);
  gpointer required = GINT_TO_POINTER (G_TLS_AUTHENTICATION_REQUIRED);
  guint i;

  g_test_init (&argc, &argv, NULL);
  open_what_stays_open ();

  add ("Q13/client/name", "localhost", test_client);
  add ("Q13/client/other-name", "vm.example", test_client);
  add ("Q13/client/ipv4", "127.0.0.1", test_client);
  add ("Q13/client/socket-address/ipv4", "127.0.0.1", test_client_inet_socket_address);
  add ("Q13/client/socket-address/ipv6", "::1", test_client_inet_socket_address);
  add ("Q13/client/socket-address/other", "127.0.0.2", test_client_inet_socket_address);
  add ("Q13/client/shows-certificate", NULL, test_client_shows_certificate);
  add ("Q13/client/server-identity", NULL, test_client_server_identity);
  add ("Q13/client/server-identity-differs", NULL, test_client_server_identity_differs);
  add ("Q13/client/unix-with-identity", NULL, test_client_unix_with_identity);
  add ("Q13/client/interaction", NULL, test_interaction_asked);
  add ("Q13/server/no-client-certificate/none", none, test_server);
  add ("Q13/server/no-client-certificate/requested", requested, test_server);
  add ("Q13/server/client-certificate/requested", requested, test_server_with_client_certificate);
  add ("Q13/server/client-certificate/required", required, test_server_with_client_certificate);

  for (i = 0; i < G_N_ELEMENTS (distrusts); i++)
    {
      g_autofree char *refused = g_strdup_printf ("Q13/client/distrusts/%s-by-%s", distrusts[i].servers,
                                                  distrusts[i].authority);
      g_autofree char *accepted = g_strdup_printf ("Q13/client/accepts/%s-by-%s", distrusts[i].servers,
                                                   distrusts[i].authority);

      add (refused, &distrusts[i], test_distrust);
      add (accepted, &distrusts[i], test_distrust_accepted);
    }
  add ("Q13/client/system-authorities", NULL, test_system_authorities);
  add ("Q13/server/distrusts/requested", requested, test_server_distrusts);
  add ("Q13/server/distrusts/required", required, test_server_distrusts);
  add ("Q13/server/accepts/required", required, test_server_distrust_accepted);
  add ("Q13/server/requires-certificate", NULL, test_server_requires_certificate);

  add ("T1/asks/default-context", NULL, test_asks_in_default_context);
  add ("T1/asks/between-iterations", NULL, test_asks_between_iterations);
  add ("T1/asks/context", NULL, test_asks_in_context);
  add ("T1/asks/thread", NULL, test_asks_in_thread);
  add ("T1/asks/server-thread", NULL, test_server_asks_in_thread);

  g_test_add_func ("/tls/Q13/check/disabled", test_check_disabled);
  g_test_add_func ("/tls/Q13/check/no-identity", test_check_no_identity);
  g_test_add_func ("/tls/Q13/check/no-certificate", test_check_no_certificate);
  g_test_add_func ("/tls/Q13/check/no-backend", test_check_no_backend);
  g_test_add_func ("/tls/copy", test_copy);

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
