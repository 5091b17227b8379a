/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "tls-util.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>

#include "certificates.h"

/* ---- test points ------------------------------------------------------------------------------------------------- */

typedef struct
{
  TlsTestFunc   func;
  gconstpointer data;
} TlsTest;

static void
run_test (gconstpointer data)
{
  const TlsTest *test = data;

  if (test_have_certificates ())
    test->func (test->data);
}

void
tls_add_test (const char    *path,
              TlsTestFunc    func,
              gconstpointer  data)
{
  /* GLib only frees the data of tests that run. */
  static GSList *tests;
  TlsTest *test = g_new (TlsTest, 1);

  test->func = func;
  test->data = data;
  tests = g_slist_prepend (tests, test);
  g_test_add_data_func (path, test, run_test);
}

int
tls_run (void)
{
  if (test_certificates_get_missing () == NULL && !g_test_subprocess ())
    {
      TlsPair pair = TLS_PAIR_INIT;

      tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
      tls_pair_connect (&pair);
      tls_pair_end (&pair);
      pair.n_fds = 0;
      tls_pair_clear (&pair);
    }

  return g_test_run ();
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static gboolean
tick (gpointer user_data)
{
  return G_SOURCE_CONTINUE;
}

/* (transfer full): wakes the context again and again, for what nothing else would announce. */
static GSource *
start_ticking (void)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  GSource *source = g_timeout_source_new (2);

  g_source_set_callback (source, tick, NULL, NULL);
  g_source_attach (source, context);
  return source;
}

void
tls_wait_fds (guint n_fds)
{
  g_autoptr (GSource) source = NULL;
  g_autofree char *before = NULL;

  /* Fewer: something of an earlier test had its end late. */
  if (test_count_fds () <= n_fds)
    return;

  before = test_list_fds ();
  g_test_message ("%u descriptors were open at the beginning; now:\n%s", n_fds, before);
  source = start_ticking ();
  test_wait_until (test_count_fds () <= n_fds);
  g_source_destroy (source);
}

void
tls_wait_gone (gpointer *weak)
{
  g_autoptr (GSource) source = start_ticking ();

  test_wait_until (*weak == NULL);
  g_source_destroy (source);
}

static gboolean
on_condition (GSocket      *socket,
              GIOCondition  condition,
              gpointer      user_data)
{
  gboolean *ready = user_data;

  *ready = TRUE;
  return G_SOURCE_CONTINUE;
}

static void
wait_for_socket (GSocket      *socket,
                 GIOCondition  condition)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  g_autoptr (GSource) source = g_socket_create_source (socket, condition, NULL);
  gboolean ready = FALSE;

  g_source_set_callback (source, G_SOURCE_FUNC (on_condition), &ready, NULL);
  g_source_attach (source, context);
  test_wait_until (ready);
  g_source_destroy (source);
}

/* ---- the peer ---------------------------------------------------------------------------------------------------- */

void
tls_peer_init (TlsPeer   *peer,
               GIOStream *connection,
               gboolean   is_server)
{
  memset (peer, 0, sizeof *peer);
  peer->is_server = is_server;
  peer->database = test_certificates_get_database ("good");
  if (is_server)
    peer->certificate = test_certificates_load ("good", "server");
  if (connection != NULL)
    {
      peer->connection = G_SOCKET_CONNECTION (connection);
      g_socket_set_blocking (tls_peer_get_socket (peer), FALSE);
    }
}

void
tls_peer_clear (TlsPeer *peer)
{
  tls_peer_cut (peer);
  g_clear_object (&peer->tls);
  g_clear_object (&peer->connection);
  g_clear_object (&peer->certificate);
  g_clear_object (&peer->database);
  if (peer->listener != NULL)
    g_socket_close (peer->listener, NULL);
  g_clear_object (&peer->listener);
  test_slot_clear (&peer->slot);
}

void
tls_peer_set_certificate (TlsPeer    *peer,
                          const char *directory,
                          const char *end)
{
  g_clear_object (&peer->certificate);
  peer->certificate = test_certificates_load (directory, end);
}

/* GIO asks a server about every certificate, also about one that has passed. */
static gboolean
accept_certificate (GTlsConnection       *connection,
                    GTlsCertificate      *certificate,
                    GTlsCertificateFlags  flags,
                    gpointer              user_data)
{
  const TlsPeer *peer = user_data;

  return flags == 0 || peer->database == NULL;
}

void
tls_peer_begin_handshake (TlsPeer *peer)
{
  GTlsBackend *backend = g_tls_backend_get_default ();
  g_autoptr (GSocketConnectable) server = g_network_address_new ("vm.example", 0);
  g_autoptr (GError) error = NULL;
  gpointer tls;

  /* With the database from the beginning, or GIO would load all that the system trusts, which takes longer than a session. */
  if (peer->is_server)
    tls = g_initable_new (g_tls_backend_get_server_connection_type (backend), NULL, &error, "base-io-stream",
                          peer->connection, "certificate", peer->certificate, "database", peer->database, NULL);
  else
    tls = g_initable_new (g_tls_backend_get_client_connection_type (backend), NULL, &error, "base-io-stream",
                          peer->connection, "server-identity", server, "database", peer->database, NULL);
  g_assert_no_error (error);

  g_clear_object (&peer->tls);
  peer->tls = G_TLS_CONNECTION (tls);
  if (peer->is_server)
    g_object_set (peer->tls, "authentication-mode", peer->mode, NULL);
  else if (peer->certificate != NULL)
    g_tls_connection_set_certificate (peer->tls, peer->certificate);
  g_signal_connect (peer->tls, "accept-certificate", G_CALLBACK (accept_certificate), peer);

  g_tls_connection_handshake_async (peer->tls, G_PRIORITY_DEFAULT, NULL, test_slot_callback, &peer->slot);
}

gboolean
tls_peer_finish_handshake (TlsPeer  *peer,
                           GError  **error)
{
  g_autoptr (GAsyncResult) result = test_await (&peer->slot);
  gboolean done = g_tls_connection_handshake_finish (peer->tls, result, error);

  if (!done)
    tls_peer_reset (peer);
  return done;
}

gboolean
tls_peer_shake_hands (TlsPeer  *peer,
                      GError  **error)
{
  tls_peer_begin_handshake (peer);
  return tls_peer_finish_handshake (peer, error);
}

/* ---- the peer, below TLS ----------------------------------------------------------------------------------------- */

GSocket *
tls_peer_get_socket (TlsPeer *peer)
{
  return g_socket_connection_get_socket (peer->connection);
}

void
tls_peer_wait_readable (TlsPeer *peer)
{
  wait_for_socket (tls_peer_get_socket (peer), G_IO_IN);
}

void
tls_peer_send_raw (TlsPeer    *peer,
                   const void *bytes,
                   gsize       length)
{
  g_autoptr (GError) error = NULL;
  gssize n_sent;

  n_sent = g_socket_send (tls_peer_get_socket (peer), bytes, length, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (n_sent, ==, length);
}

/* 0: the end of file, or a reset. */
static gsize
receive_raw (TlsPeer *peer,
             guint8  *buffer,
             gsize    size)
{
  g_autoptr (GError) error = NULL;
  gssize n_received;

  tls_peer_wait_readable (peer);
  n_received = g_socket_receive (tls_peer_get_socket (peer), (char *) buffer, size, NULL, &error);
  if (n_received < 0)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  return MAX (n_received, 0);
}

static void
receive_all_raw (TlsPeer *peer,
                 guint8  *buffer,
                 gsize    size)
{
  gsize got = 0;

  while (got < size)
    {
      gsize n_received = receive_raw (peer, buffer + got, size - got);

      g_assert_cmpuint (n_received, >, 0);
      got += n_received;
    }
}

guint8
tls_peer_skip_record (TlsPeer *peer)
{
  guint8 header[5];
  g_autofree guint8 *body = NULL;
  gsize length;

  receive_all_raw (peer, header, sizeof header);
  length = header[3] << 8 | header[4];
  body = g_malloc (length);
  receive_all_raw (peer, body, length);
  return header[0];
}

gsize
tls_peer_drain_raw (TlsPeer *peer)
{
  guint8 buffer[65536];
  gsize n_received;
  gsize total = 0;

  while ((n_received = receive_raw (peer, buffer, sizeof buffer)) > 0)
    total += n_received;

  return total;
}

/* ---- the peer, over TLS ------------------------------------------------------------------------------------------ */

void
tls_peer_send_bytes (TlsPeer    *peer,
                     const void *bytes,
                     gsize       length)
{
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (peer->tls));
  gsize sent = 0;

  while (sent < length)
    {
      g_autoptr (GError) error = NULL;
      gssize n_sent = g_pollable_output_stream_write_nonblocking (G_POLLABLE_OUTPUT_STREAM (output),
                                                                  (const char *) bytes + sent, length - sent, NULL, &error);

      if (n_sent >= 0)
        sent += n_sent;
      else
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
          wait_for_socket (tls_peer_get_socket (peer), G_IO_OUT);
        }
    }
}

void
tls_peer_send (TlsPeer    *peer,
               const char *text)
{
  tls_peer_send_bytes (peer, text, strlen (text));
}

static gssize
read_now (TlsPeer  *peer,
          char     *buffer,
          gsize     size,
          GError  **error)
{
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (peer->tls));

  return g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), buffer, size, NULL, error);
}

/* One read never gives more than one record. 0: the end; @goodbye: how it came. */
static gsize
receive (TlsPeer  *peer,
         char     *buffer,
         gsize     size,
         gboolean *goodbye)
{
  while (TRUE)
    {
      g_autoptr (GError) error = NULL;
      gssize n_read = read_now (peer, buffer, size, &error);

      *goodbye = n_read == 0;
      if (n_read >= 0)
        return n_read;
      if (g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_EOF))
        return 0;

      /* TLS has nothing more of its own then. */
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
      tls_peer_wait_readable (peer);
    }
}

GBytes *
tls_peer_next_record (TlsPeer  *peer,
                      gboolean *goodbye)
{
  gboolean unused;
  char buffer[32768];
  gsize n_read = receive (peer, buffer, sizeof buffer, goodbye != NULL ? goodbye : &unused);

  return n_read > 0 ? g_bytes_new (buffer, n_read) : NULL;
}

void
tls_peer_expect (TlsPeer    *peer,
                 const char *text)
{
  g_autoptr (GString) got = g_string_new (NULL);
  gsize length = strlen (text);

  while (got->len < length)
    {
      char buffer[4096];
      gboolean goodbye;
      gsize n_read = receive (peer, buffer, MIN (sizeof buffer, length - got->len), &goodbye);

      g_string_append_len (got, buffer, n_read);
      if (n_read == 0 || strncmp (got->str, text, got->len) != 0)
        break;
    }

  g_assert_cmpstr (got->str, ==, text);
}

static void
expect_end (TlsPeer  *peer,
            gboolean  with_goodbye)
{
  char byte[2] = "";
  gboolean goodbye;

  receive (peer, byte, 1, &goodbye);
  g_assert_cmpstr (byte, ==, "");
  g_assert_cmpint (goodbye, ==, with_goodbye);
}

void
tls_peer_expect_goodbye (TlsPeer *peer)
{
  expect_end (peer, TRUE);
}

void
tls_peer_expect_cut (TlsPeer *peer)
{
  expect_end (peer, FALSE);
}

void
tls_peer_leave (TlsPeer *peer)
{
  g_autoptr (GError) error = NULL;

  g_io_stream_close (G_IO_STREAM (peer->tls), NULL, &error);
  g_assert_no_error (error);
}

void
tls_peer_reset (TlsPeer *peer)
{
  struct linger at_once = { 1, 0 };

  if (g_socket_is_closed (tls_peer_get_socket (peer)))
    return;

  g_assert_no_errno (setsockopt (g_socket_get_fd (tls_peer_get_socket (peer)), SOL_SOCKET, SO_LINGER, &at_once,
                                 sizeof at_once));
  g_socket_close (tls_peer_get_socket (peer), NULL);
  g_io_stream_close (G_IO_STREAM (peer->connection), NULL, NULL);
}

void
tls_peer_cut (TlsPeer *peer)
{
  if (peer->connection == NULL)
    return;

  /* A handshake of it that waits in a thread would keep the socket open. */
  g_socket_shutdown (tls_peer_get_socket (peer), TRUE, TRUE, NULL);
  g_socket_close (tls_peer_get_socket (peer), NULL);
  g_io_stream_close (G_IO_STREAM (peer->connection), NULL, NULL);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

void
tls_set_certificate (gpointer    protocol,
                     const char *directory,
                     const char *end)
{
  g_autoptr (GTlsCertificate) certificate = test_certificates_load (directory, end);

  aqmp_protocol_set_tls_certificate (protocol, certificate);
}

void
tls_set_database (gpointer    protocol,
                  const char *directory)
{
  g_autoptr (GTlsDatabase) database = test_certificates_get_database (directory);

  aqmp_protocol_set_tls_database (protocol, database);
}

void
tls_set_identity (gpointer    protocol,
                  const char *host)
{
  g_autoptr (GSocketConnectable) identity = host != NULL ? g_network_address_new (host, 0) : NULL;

  aqmp_protocol_set_tls_server_identity (protocol, identity);
}

/* ---- both ends --------------------------------------------------------------------------------------------------- */

static GSocketAddress *
choose_address (TlsPair *pair)
{
  switch (pair->family)
    {
    case TLS_OVER_UNIX:
      pair->dir = test_tmp_dir_new ();
      pair->path = test_tmp_dir_build (pair->dir, "tls.sock");
      return g_unix_socket_address_new (pair->path);
    case TLS_OVER_TCP6:
      return g_inet_socket_address_new_from_string ("::1", 0);
    case TLS_OVER_TCP:
    default:
      return g_inet_socket_address_new_from_string ("127.0.0.1", 0);
    }
}

static void
listen_at (TlsPair        *pair,
           GSocketAddress *address)
{
  g_autoptr (GError) error = NULL;

  pair->peer.listener = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM,
                                      G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_socket_bind (pair->peer.listener, address, TRUE, &error);
  g_assert_no_error (error);
  g_socket_listen (pair->peer.listener, &error);
  g_assert_no_error (error);
  pair->address = G_SOCKET_CONNECTABLE (g_socket_get_local_address (pair->peer.listener, &error));
  g_assert_no_error (error);
}

static void
set_up_object (TlsPair *pair)
{
  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair->protocol), TRUE);
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair->protocol), G_TLS_AUTHENTICATION_NONE);
  tls_set_database (pair->protocol, "good");
  tls_set_identity (pair->protocol, pair->role == TLS_CONNECTS && pair->family == TLS_OVER_UNIX ? "vm.example" : NULL);
  if (pair->role == TLS_ACCEPTS)
    tls_set_certificate (pair->protocol, "good", "server");
  else
    aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (pair->protocol), NULL);
}

static void
set_up_peer (TlsPair *pair)
{
  g_autoptr (GSocketAddress) address = choose_address (pair);

  tls_peer_init (&pair->peer, NULL, pair->role == TLS_CONNECTS);
  if (pair->role == TLS_CONNECTS)
    listen_at (pair, address);
  else
    pair->address = G_SOCKET_CONNECTABLE (g_steal_pointer (&address));
}

void
tls_pair_init (TlsPair   *pair,
               TlsRole    role,
               TlsFamily  family)
{
  memset (pair, 0, sizeof *pair);
  pair->role = role;
  pair->family = family;
  pair->n_fds = test_count_fds ();
  set_up_peer (pair);
  pair->protocol = line_protocol_new ();
  set_up_object (pair);
}

static void
clear_peer (TlsPair *pair)
{
  tls_peer_clear (&pair->peer);
  g_clear_object (&pair->address);
  g_clear_pointer (&pair->path, g_free);
  g_clear_pointer (&pair->dir, test_tmp_dir_free);
}

void
tls_pair_clear (TlsPair *pair)
{
  clear_peer (pair);
  test_slot_clear (&pair->slot);
  if (pair->protocol != NULL)
    end_object (&pair->protocol);
  if (pair->n_fds > 0)
    tls_wait_fds (pair->n_fds);
}

void
tls_pair_start_attempt (TlsPair      *pair,
                        GCancellable *cancellable)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (pair->protocol);

  if (pair->role == TLS_CONNECTS)
    aqmp_protocol_connect_async (protocol, pair->address, cancellable, test_slot_callback, &pair->slot);
  else
    aqmp_protocol_start_server_and_accept_async (protocol, G_SOCKET_ADDRESS (pair->address), cancellable,
                                                 test_slot_callback, &pair->slot);
}

static void
join_as_server (TlsPair *pair)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  wait_for_socket (pair->peer.listener, G_IO_IN);
  socket = g_socket_accept (pair->peer.listener, NULL, &error);
  g_assert_no_error (error);
  pair->peer.connection = g_socket_connection_factory_create_connection (socket);
}

static void
join_as_client (TlsPair *pair)
{
  GSocketAddress *address = aqmp_protocol_get_listen_address (AQMP_PROTOCOL (pair->protocol));
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (address);
  socket = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_socket_connect (socket, address, NULL, &error);
  g_assert_no_error (error);
  pair->peer.connection = g_socket_connection_factory_create_connection (socket);
}

void
tls_pair_join (TlsPair *pair)
{
  g_assert_null (pair->peer.connection);

  if (pair->role == TLS_CONNECTS)
    join_as_server (pair);
  else
    join_as_client (pair);
  g_socket_set_blocking (tls_peer_get_socket (&pair->peer), FALSE);
}

void
tls_pair_begin (TlsPair      *pair,
                GCancellable *cancellable)
{
  tls_pair_start_attempt (pair, cancellable);
  tls_pair_join (pair);
}

gboolean
tls_pair_finish (TlsPair  *pair,
                 GError  **error)
{
  g_autoptr (GAsyncResult) result = test_await (&pair->slot);

  if (pair->role == TLS_CONNECTS)
    return aqmp_protocol_connect_finish (AQMP_PROTOCOL (pair->protocol), result, error);
  return aqmp_protocol_start_server_and_accept_finish (AQMP_PROTOCOL (pair->protocol), result, error);
}

gboolean
tls_pair_run (TlsPair  *pair,
              GError  **error)
{
  tls_pair_begin (pair, NULL);
  tls_peer_shake_hands (&pair->peer, NULL);
  return tls_pair_finish (pair, error);
}

void
tls_pair_connect (TlsPair *pair)
{
  g_autoptr (GError) error = NULL;

  tls_pair_begin (pair, NULL);
  tls_peer_shake_hands (&pair->peer, &error);
  g_assert_no_error (error);
  tls_pair_finish (pair, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (pair->protocol), ==, AQMP_RUNSTATE_RUNNING);
}

void
tls_pair_ping (TlsPair *pair)
{
  line_protocol_send (pair->protocol, "ping");
  tls_peer_expect (&pair->peer, "ping\n");
  line_trace_clear (line_protocol_get_trace (pair->protocol));
  tls_peer_send (&pair->peer, "pong\n");
  wait_trace (pair->protocol, "receive(pong)");
}

void
tls_pair_end (TlsPair *pair)
{
  g_autoptr (GError) error = NULL;

  disconnect_session (pair->protocol, &error);
  g_assert_no_error (error);
  tls_peer_expect_goodbye (&pair->peer);
}

void
tls_pair_check_failed (TlsPair *pair)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (pair->protocol);
  LineTrace *trace = line_protocol_get_trace (pair->protocol);

  line_trace_expect (trace, "connecting disconnecting idle");
  g_assert_cmpint (get_state (pair->protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (protocol));
  g_assert_null (aqmp_protocol_get_stream (protocol));
  g_assert_null (aqmp_protocol_get_listen_address (protocol));
  if (pair->role == TLS_ACCEPTS && pair->path != NULL)
    g_assert_false (g_file_test (pair->path, G_FILE_TEST_EXISTS));

  /* A whole session, on the same object. */
  clear_peer (pair);
  line_trace_clear (trace);
  set_up_peer (pair);
  set_up_object (pair);
  tls_pair_connect (pair);
  tls_pair_ping (pair);
  line_trace_clear (trace);
  tls_pair_end (pair);
  line_trace_expect (trace, "ended(clean) disconnecting idle");
}
