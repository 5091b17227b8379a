/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The TLS handshake, on either side: whom it trusts, and whom it asks. */

#include "tls-fixture.h"

#include <gio/gunixsocketaddress.h>

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
  g_assert_true (self->asked_thread == g_thread_self ());
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

/* ---- copies ------------------------------------------------------------------------------------------------------- */

/* One that nobody else holds. */
static GTlsCertificate *
load_anew (const char *file)
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
  tls.certificate = certificate = load_anew ("client-cert.pem");
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

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  gpointer none = GINT_TO_POINTER (G_TLS_AUTHENTICATION_NONE);
  gpointer requested = GINT_TO_POINTER (G_TLS_AUTHENTICATION_REQUESTED);
  gpointer required = GINT_TO_POINTER (G_TLS_AUTHENTICATION_REQUIRED);
  guint i;

  init_tls_tests (&argc, &argv);

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

  g_test_add_func ("/tls/copy", test_copy);

  return g_test_run ();
}
