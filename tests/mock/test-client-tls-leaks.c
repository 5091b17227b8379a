/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* TLS sessions again and again, at either end: neither descriptors nor memory grow. */

#include "client-util.h"
#include "tls-util.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "certificates.h"

#define FIRST_CYCLE 200
#define LAST_CYCLE 2000
#define MOST_GROWTH (256 * 1024)

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, " \
                 "\"capabilities\": [\"oob\"]}}\r\n"

typedef enum
{
  SAME_CLIENT,
  NEW_CLIENTS,
  ACCEPTING,
  REFUSED,      /* the certificate of the server */
  WITHOUT,      /* GIO alone, at both ends */
} Kind;

/* Loaded once: what a certificate costs is not the question. */
typedef struct
{
  Kind             kind;
  GTlsCertificate *server;      /* (owned) */
  GTlsDatabase    *database;    /* (owned) */
  GSocket         *listener;    /* (owned) */
  GSocketAddress  *address;     /* (owned) */
  AqmpClient      *client;      /* (owned) (nullable) */
} Cycles;

/* ---- the peer ---------------------------------------------------------------------------------------------------- */

/* (transfer full): the text up to the end of an object. */
static char *
take_object (TlsPeer *peer)
{
  GString *text = g_string_new (NULL);
  int depth = 0;

  do
    {
      g_autoptr (GBytes) record = tls_peer_next_record (peer, NULL);
      const char *data;
      gsize length;
      gsize i;

      g_assert_nonnull (record);
      data = g_bytes_get_data (record, &length);
      for (i = 0; i < length; i++)
        depth += data[i] == '{' ? 1 : data[i] == '}' ? -1 : 0;
      g_string_append_len (text, data, length);
    }
  while (depth > 0);

  return g_string_free (text, FALSE);
}

static void
answer (TlsPeer *peer)
{
  g_autofree char *request = take_object (peer);
  g_autofree char *reply = NULL;
  const char *id = strstr (request, "\"id\":\"");

  g_assert_nonnull (id);
  id += strlen ("\"id\":\"");
  reply = g_strdup_printf ("{\"return\": {}, \"id\": \"%.*s\"}\r\n", (int) strcspn (id, "\""), id);
  tls_peer_send (peer, reply);
}

static void
init_peer (Cycles            *self,
           TlsPeer           *peer,
           GSocketConnection *connection,
           gboolean           is_server)
{
  memset (peer, 0, sizeof *peer);
  peer->is_server = is_server;
  peer->connection = connection;
  peer->database = g_object_ref (self->database);
  if (is_server)
    peer->certificate = g_object_ref (self->server);
  g_socket_set_blocking (tls_peer_get_socket (peer), FALSE);
  /* Otherwise each cycle waits for an acknowledgement that TCP delays. */
  g_socket_set_option (tls_peer_get_socket (peer), IPPROTO_TCP, TCP_NODELAY, TRUE, NULL);
}

static GSocketConnection *
take_connection (Cycles *self)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  /* Blocks for a moment: the other end is another thread's or the kernel's matter. */
  test_wait_until (g_socket_condition_check (self->listener, G_IO_IN) != 0);
  socket = g_socket_accept (self->listener, NULL, &error);
  g_assert_no_error (error);
  return g_socket_connection_factory_create_connection (socket);
}

static GSocketConnection *
connect_to (GSocketAddress *address)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;

  socket = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_socket_connect (socket, address, NULL, &error);
  g_assert_no_error (error);
  return g_socket_connection_factory_create_connection (socket);
}

/* ---- one cycle --------------------------------------------------------------------------------------------------- */

static void
use_session (Cycles  *self,
             TlsPeer *peer)
{
  g_auto (TestSlot) call = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (self->client, "query-status", NULL, &call);
  answer (peer);
  result = test_finish (&call, &error);
  g_assert_no_error (error);
  test_disconnect (self->client, &error);
  g_assert_no_error (error);
  tls_peer_expect_goodbye (peer);
}

static void
cycle_connecting (Cycles *self)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (self->client), G_SOCKET_CONNECTABLE (self->address), NULL, test_slot_callback,
                               &slot);
  init_peer (self, &peer, take_connection (self), TRUE);
  if (!tls_peer_shake_hands (&peer, &error))
    g_assert_cmpint (self->kind, ==, REFUSED);
  else if (self->kind != REFUSED)
    {
      tls_peer_send (&peer, GREETING);
      answer (&peer);
    }
  g_clear_error (&error);
  result = test_await (&slot);
  if (aqmp_protocol_connect_finish (AQMP_PROTOCOL (self->client), result, &error))
    use_session (self, &peer);
  else
    {
      g_assert_cmpint (self->kind, ==, REFUSED);
      g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
    }
}

static void
cycle_accepting (Cycles *self)
{
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (self->client), any, NULL, test_slot_callback, &slot);
  init_peer (self, &peer, connect_to (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (self->client))), FALSE);
  tls_peer_shake_hands (&peer, &error);
  g_assert_no_error (error);
  tls_peer_send (&peer, GREETING);
  answer (&peer);
  result = test_await (&slot);
  aqmp_protocol_start_server_and_accept_finish (AQMP_PROTOCOL (self->client), result, &error);
  g_assert_no_error (error);
  use_session (self, &peer);
}

static void
cycle_without (Cycles *self)
{
  g_auto (TlsPeer) client = { 0 };
  g_auto (TlsPeer) server = { 0 };

  init_peer (self, &client, connect_to (self->address), FALSE);
  init_peer (self, &server, take_connection (self), TRUE);
  tls_peer_begin_handshake (&client);
  g_assert_true (tls_peer_shake_hands (&server, NULL));
  g_assert_true (tls_peer_finish_handshake (&client, NULL));
  tls_peer_send (&server, "hello");
  tls_peer_expect (&client, "hello");
  tls_peer_leave (&client);
  tls_peer_expect_goodbye (&server);
}

static void
cycle (Cycles *self)
{
  if (self->kind == WITHOUT)
    {
      cycle_without (self);
      return;
    }

  if (self->client == NULL)
    {
      self->client = aqmp_client_new (NULL);
      aqmp_protocol_set_tls (AQMP_PROTOCOL (self->client), TRUE);
      aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (self->client), self->server);
      if (self->kind == REFUSED)
        tls_set_database (self->client, "other-ca");
      else
        aqmp_protocol_set_tls_database (AQMP_PROTOCOL (self->client), self->database);
    }
  if (self->kind == ACCEPTING)
    cycle_accepting (self);
  else
    cycle_connecting (self);
  if (self->kind == NEW_CLIENTS)
    {
      test_dispatch_pending ();
      g_object_add_weak_pointer (G_OBJECT (self->client), (gpointer *) &self->client);
      g_object_unref (self->client);
      g_assert_null (self->client);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
cycles_init (Cycles *self,
             Kind    kind)
{
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GError) error = NULL;

  *self = (Cycles) { .kind = kind };
  self->server = test_certificates_load ("good", "server");
  self->database = test_certificates_get_database ("good");
  self->listener = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_assert_true (g_socket_bind (self->listener, any, TRUE, NULL));
  g_assert_true (g_socket_listen (self->listener, NULL));
  self->address = g_socket_get_local_address (self->listener, NULL);
}

static void
cycles_clear (Cycles *self)
{
  g_clear_object (&self->client);
  g_clear_object (&self->address);
  g_clear_object (&self->listener);
  g_clear_object (&self->database);
  g_clear_object (&self->server);
}

static gint64
run (Kind  kind,
     guint first_cycle,
     guint last_cycle)
{
  Cycles cycles;
  guint n_fds;
  gsize rss;
  gint64 growth;
  guint i;

  cycles_init (&cycles, kind);
  for (i = 0; i < first_cycle; i++)
    cycle (&cycles);
  test_dispatch_pending ();
  n_fds = test_count_fds ();
  rss = test_get_rss ();
  for (; i < last_cycle; i++)
    cycle (&cycles);
  tls_wait_fds (n_fds);
  growth = (gint64) test_get_rss () - (gint64) rss;
  cycles_clear (&cycles);

  return growth;
}

/* GIO shakes hands in threads, each with a heap of its own: it takes some hundred connections until all of that has the size that
   it keeps. Without the library the same; what is measured after that is the library's. */
static void
settle (void)
{
  static gboolean settled = FALSE;

  if (!settled && !test_is_instrumented ())
    g_test_message ("without the library: %" G_GINT64_FORMAT " bytes more", run (WITHOUT, FIRST_CYCLE, LAST_CYCLE / 2));
  settled = TRUE;
}

static void
test_leaks (gconstpointer data)
{
  Kind kind = GPOINTER_TO_INT (data);
  guint last_cycle = kind == SAME_CLIENT || kind == ACCEPTING ? LAST_CYCLE : LAST_CYCLE / 2;
  gint64 growth;

  if (test_is_instrumented ())
    {
      run (kind, 10, 40);
      g_test_message ("instrumented: the resident set says nothing, not checked");
      return;
    }

  settle ();
  growth = run (kind, FIRST_CYCLE, last_cycle);
  g_test_message ("%" G_GINT64_FORMAT " bytes more", growth);
  g_assert_cmpint (growth, <, MOST_GROWTH);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  tls_add ("/client/tls/leaks/same-client", test_leaks, GINT_TO_POINTER (SAME_CLIENT));
  tls_add ("/client/tls/leaks/new-clients", test_leaks, GINT_TO_POINTER (NEW_CLIENTS));
  tls_add ("/client/tls/leaks/accepting", test_leaks, GINT_TO_POINTER (ACCEPTING));
  tls_add ("/client/tls/leaks/refused", test_leaks, GINT_TO_POINTER (REFUSED));

  return tls_run ();
}
