/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The mock server itself: that it does what a script says, and that it tells when it could not. The client here is as plain
   as possible: blocking calls on a GIOStream. */

#include "certificates.h"
#include "mock-server.h"
#include "util.h"

#include <errno.h>
#include <gio/gunixconnection.h>
#include <gio/gunixfdmessage.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
client_write (GIOStream  *stream,
              const char *text)
{
  g_autoptr(GError) error = NULL;

  g_output_stream_write_all (g_io_stream_get_output_stream (stream), text, strlen (text), NULL, NULL, &error);
  g_assert_no_error (error);
}

/* Reads exactly @text. */
static void
client_read (GIOStream  *stream,
             const char *text)
{
  gsize length = strlen (text);
  g_autofree char *buffer = g_malloc0 (length + 1);
  g_autoptr(GError) error = NULL;

  g_input_stream_read_all (g_io_stream_get_input_stream (stream), buffer, length, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (buffer, ==, text);
}

static void
client_read_eof (GIOStream *stream)
{
  g_autoptr(GError) error = NULL;
  char byte;

  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (stream), &byte, 1, NULL, &error), ==, 0);
  g_assert_no_error (error);
}

static void
client_close (GIOStream *stream)
{
  g_autoptr(GError) error = NULL;

  g_io_stream_close (stream, NULL, &error);
  g_assert_no_error (error);
}

/* In the child of a test about failures: those that consist in waiting are not to take long. */
static void
shorten_bounds (void)
{
  g_setenv ("AQMP_TEST_TIMEOUT_SCALE", "0.02", TRUE);
}

/* Runs the child part of the present test, which must end with @message, once on standard error and once in the test's. */
static void
assert_child_fails (const char *message)
{
  g_autofree char *pattern = g_strdup_printf ("*%s*", message);

  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr (pattern);
}

/* ---- what works ------------------------------------------------------------------------------------------------- */

static void
test_session (gconstpointer data)
{
  MockTransport transport = GPOINTER_TO_INT (data);
  g_autoptr(MockServer) mock = mock_new (transport);
  g_autoptr(GIOStream) stream = NULL;

  mock_negotiate (mock, MOCK_GREETING_OOB);
  mock_expect (mock, "{'execute': 'query-status', 'arguments': {'b': [1, 2.5, null], 'a': {'x': true}}}");
  mock_return (mock, "{'running': true}");
  mock_event (mock, "STOP", NULL);
  mock_event (mock, "RESET", "{'guest': false}");
  mock_expect (mock, "{'execute': 'nope', 'id': '@ANY@'}");
  mock_error (mock, "CommandNotFound", "no \"nope\"");
  mock_expect_eof (mock);

  stream = mock_get_stream (mock);
  client_read (stream, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, "
                       "\"package\": \"mock\"}, \"capabilities\": [\"oob\"]}}\r\n");
  client_write (stream, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},\"id\":\"n\"}");
  client_read (stream, "{\"return\": {}, \"id\": \"n\"}\r\n");
  client_write (stream, " \n{\"id\": 17, \"arguments\":{\"a\":{\"x\":true},\"b\":[1,2.5,null]}, \"execute\":\"query-status\"}");
  client_read (stream, "{\"return\": {\"running\": true}, \"id\": 17}\r\n"
                       "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"STOP\"}\r\n"
                       "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"RESET\", "
                       "\"data\": {\"guest\": false}}\r\n");
  client_write (stream, "{\"execute\": \"nope\", \"id\": \"\\u0061}\\\"\" }");
  client_read (stream, "{\"id\": \"\\u0061}\\\"\", \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no \\\"nope\\\"\"}}\r\n");
  client_close (stream);

  mock_block_done (mock);
  g_assert_cmpuint (mock_get_n_accepted (mock), ==, 1);
  mock_finish (g_steal_pointer (&mock));
}

static void
test_pipelined (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  g_autofree char *request = NULL;

  /* Two requests in one write; answered in the other order, and an id from long ago. */
  client_write (stream, "{\"execute\":\"a\",\"id\":{\"k\":[1,\"]\"]}}{\"execute\":\"b\", \"id\" : 1e3 }[1]");
  mock_expect_text (mock, "{\"execute\":\"a\",\"id\":@ID@}");
  mock_expect_text (mock, "{\"execute\":\"b\", \"id\" : @ID@ }");
  mock_expect (mock, "[1]");
  mock_send (mock, "@ID:2@ @ID:1@ @IDEA@");
  mock_return_to (mock, 1, "{}");
  mock_close (mock);

  client_read (stream, "1e3 {\"k\":[1,\"]\"]} @IDEA@{\"return\": {}, \"id\": {\"k\":[1,\"]\"]}}\r\n");
  client_read_eof (stream);

  request = mock_dup_request (mock, 2);
  g_assert_cmpstr (request, ==, "{\"execute\":\"b\", \"id\" : 1e3 }");
}

static void
test_bytes (gconstpointer data)
{
  static const char garbage[] = "\0\xff{'\n";
  g_autoptr(MockServer) mock = mock_new (GPOINTER_TO_INT (data));
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  char buffer[sizeof garbage];
  g_autoptr(GError) error = NULL;
  gsize n_read;

  mock_send_bytes (mock, garbage, sizeof garbage);
  mock_send_split (mock, "split\n", 1, 100);
  mock_expect_bytes (mock, "line\r\n", -1);
  mock_expect_bytes (mock, garbage, sizeof garbage);
  mock_expect_nothing (mock, 20);
  mock_shutdown_write (mock);
  mock_expect_bytes (mock, "bye", -1);
  mock_expect_eof (mock);

  g_input_stream_read_all (g_io_stream_get_input_stream (stream), buffer, sizeof buffer, &n_read, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, n_read, garbage, sizeof garbage);
  client_read (stream, "split\n");

  client_write (stream, "line\r\n");
  g_output_stream_write_all (g_io_stream_get_output_stream (stream), garbage, sizeof garbage, NULL, NULL, &error);
  g_assert_no_error (error);
  client_read_eof (stream);
  client_write (stream, "bye");
  client_close (stream);
}

static void
test_large (gconstpointer data)
{
  MockTransport transport = GPOINTER_TO_INT (data);
  g_autoptr(MockServer) mock = mock_new (transport);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  g_autofree char *text = g_strnfill (300000, 'x');
  g_autofree char *request = NULL;
  g_autofree char *taken = NULL;
  GString *received = g_string_new (NULL);

  request = g_strdup_printf ("{\"%s\":1}", text);
  mock_expect (mock, request);
  mock_send_repeated (mock, "0123456789", 100000);
  mock_close (mock);

  client_write (stream, request);
  while (TRUE)
    {
      g_autoptr(GError) error = NULL;
      char buffer[4096];
      gssize n_read = g_input_stream_read (g_io_stream_get_input_stream (stream), buffer, sizeof buffer, NULL, &error);

      g_assert_no_error (error);
      if (n_read == 0)
        break;
      g_string_append_len (received, buffer, n_read);
    }

  g_assert_cmpuint (received->len, ==, 1000000);
  g_assert_cmpint (received->str[received->len - 1], ==, '9');
  g_string_free (received, TRUE);

  mock_block_done (mock);
  taken = mock_dup_request (mock, 1);
  g_assert_cmpstr (taken, ==, request);
}

static void
test_connections (gconstpointer data)
{
  g_autoptr(MockServer) mock = mock_new (GPOINTER_TO_INT (data));

  for (guint i = 0; i < 3; i++)
    {
      mock_accept (mock);
      mock_expect (mock, "{}");
      mock_send (mock, "hello");
      mock_close (mock);
    }

  for (guint i = 0; i < 3; i++)
    {
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      client_write (stream, "{}");
      client_read (stream, "hello");
      client_read_eof (stream);
    }

  mock_block_done (mock);
  g_assert_cmpuint (mock_get_n_accepted (mock), ==, 3);
}

static void
test_connecting (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "s");
  g_autoptr(GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr(GSocketListener) listener = g_socket_listener_new ();
  g_autoptr(GSocketConnection) connection = NULL;
  g_autoptr(MockServer) mock = NULL;
  g_autoptr(GError) error = NULL;

  g_socket_listener_add_address (listener, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, &error);
  g_assert_no_error (error);

  mock = mock_new_connecting (address);
  mock_send (mock, "one");
  mock_close (mock);
  mock_accept (mock);
  mock_send (mock, "two");

  connection = g_socket_listener_accept (listener, NULL, NULL, &error);
  g_assert_no_error (error);
  client_read (G_IO_STREAM (connection), "one");
  client_read_eof (G_IO_STREAM (connection));
  g_clear_object (&connection);
  connection = g_socket_listener_accept (listener, NULL, NULL, &error);
  g_assert_no_error (error);
  client_read (G_IO_STREAM (connection), "two");
}

static void
test_reset (gconstpointer data)
{
  MockTransport transport = GPOINTER_TO_INT (data);
  g_autoptr(MockServer) mock = mock_new (transport);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  g_autoptr(GError) error = NULL;
  char byte;

  mock_expect (mock, "{}");
  mock_reset (mock);

  client_write (stream, "{}{}");
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (stream), &byte, 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

static void
test_fds (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  GSocket *socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream));
  static const char first[] = "{\"n\":1}";
  static const char second[] = "{\"n\":2}";
  GOutputVector vector = { second, strlen (second) };
  g_autoptr(GSocketControlMessage) message = g_unix_fd_message_new ();
  g_autoptr(GError) error = NULL;
  int fds[2];
  char byte;

  g_assert_no_errno (pipe (fds));
  g_unix_fd_message_append_fd (G_UNIX_FD_MESSAGE (message), fds[1], &error);
  g_assert_no_error (error);
  g_unix_fd_message_append_fd (G_UNIX_FD_MESSAGE (message), fds[0], &error);
  g_assert_no_error (error);

  /* All of it is there before the mock looks: it has to know where the descriptors belong. */
  client_write (stream, first);
  g_socket_send_message (socket, NULL, &vector, 1, &message, 1, 0, NULL, &error);
  g_assert_no_error (error);
  client_write (stream, first);

  mock_expect (mock, "{'n': 1}");
  mock_expect_with_fds (mock, "{'n': 2}", 2);
  mock_expect (mock, "{'n': 1}");
  mock_block_done (mock);

  g_assert_cmpint (mock_get_fd (mock, 1, 0), ==, -1);
  g_assert_cmpint (mock_get_fd (mock, 2, 2), ==, -1);
  g_assert_cmpint (write (mock_get_fd (mock, 2, 0), "!", 1), ==, 1);
  g_assert_cmpint (read (fds[0], &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, '!');

  close (fds[0]);
  close (fds[1]);
}

static gboolean
on_idle (gpointer user_data)
{
  guint *count = user_data;

  (*count)++;

  return G_SOURCE_CONTINUE;
}

static void
test_gates (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  GInputStream *input = g_io_stream_get_input_stream (stream);
  guint n_idles = 0;
  guint idle = g_idle_add (on_idle, &n_idles);
  guint gate;
  guint mark;

  mock_send (mock, "a");
  gate = mock_pause (mock);
  mock_send (mock, "b");
  mark = mock_mark (mock);

  mock_wait_reached (mock, gate);
  client_read (stream, "a");
  g_assert_false (g_pollable_input_stream_is_readable (G_POLLABLE_INPUT_STREAM (input)));

  mock_continue (mock);
  mock_block_reached (mock, mark);
  client_read (stream, "b");

  /* Continued before it is there; and the main context runs meanwhile. */
  mock_continue (mock);
  mock_pause (mock);
  mock_delay (mock, 20);
  n_idles = 0;
  mock_wait_done (mock);
  g_assert_cmpuint (n_idles, >, 0);

  g_source_remove (idle);
}

static void
test_backlog (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr(GSocket) socket = NULL;
  g_autoptr(GSocketConnection) connection = NULL;
  g_autoptr(GError) error = NULL;

  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_socket_set_blocking (socket, FALSE);

  g_assert_cmpuint (mock_fill_backlog (mock), >, 0);
  g_assert_false (g_socket_connect (socket, G_SOCKET_ADDRESS (mock_get_connectable (mock)), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_clear_error (&error);

  mock_drain_backlog (mock);
  mock_block_done (mock);
  mock_send (mock, "x");
  g_socket_connect (socket, G_SOCKET_ADDRESS (mock_get_connectable (mock)), NULL, &error);
  g_assert_no_error (error);
  g_socket_set_blocking (socket, TRUE);
  connection = g_socket_connection_factory_create_connection (socket);
  client_read (G_IO_STREAM (connection), "x");
}

static void
test_never_accepting (gconstpointer data)
{
  MockServer *mock = mock_new (GPOINTER_TO_INT (data));
  g_autoptr(GIOStream) stream = mock_get_stream (mock);

  g_assert_true (g_str_has_prefix (mock_get_address (mock), mock_get_path (mock) != NULL ? "unix:/" : "tcp:127.0.0.1:"));
  client_write (stream, "anything");
  mock_finish (mock);
}

static void
test_slow_client (gconstpointer data)
{
  g_autoptr(MockServer) mock = mock_new (GPOINTER_TO_INT (data));
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  GPollableOutputStream *output = G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream));
  g_autofree char *block = g_strnfill (65536, ' ');
  g_autoptr(GError) error = NULL;
  gsize n_written = 0;

  mock_stop_reading (mock);
  mock_block_done (mock);

  /* It ends some time: the other side takes nothing. */
  while (error == NULL)
    {
      gssize n = g_pollable_output_stream_write_nonblocking (output, block, 65536, NULL, &error);

      n_written += n > 0 ? (gsize) n : 0;
    }
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_test_message ("%" G_GSIZE_FORMAT " bytes fit", n_written);
  g_assert_cmpuint (n_written, <, 8 * 1024 * 1024);

  /* There is no room for TLS to say goodbye: it would wait. */
  if (G_IS_TLS_CONNECTION (stream))
    {
      g_autoptr(GIOStream) base = NULL;

      g_object_get (stream, "base-io-stream", &base, NULL);
      client_close (base);
    }
}

static void
test_gone (gconstpointer data)
{
  MockTransport transport = GPOINTER_TO_INT (data);
  g_autoptr(MockServer) mock = mock_new (transport);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);

  mock_expect_gone (mock);
  client_write (stream, "whatever");
  client_close (stream);
}

static void
test_flood (gconstpointer data)
{
  MockTransport transport = GPOINTER_TO_INT (data);
  g_autoptr(MockServer) mock = mock_new (transport);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);

  mock_flood (mock, "[[[[[[[[", -1, 100 * 1000 * 1000);
  client_read (stream, "[[[[[[[[[[[[[[[[[[[[[[[[");
  client_close (stream);
}

static void
test_abandon (void)
{
  MockServer *mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr(GIOStream) stream G_GNUC_UNUSED = mock_get_stream (mock);
  guint mark;

  mark = mock_mark (mock);
  mock_expect (mock, "{}");
  mock_expect (mock, "{}");
  mock_block_reached (mock, mark);
  mock_abandon (mock);
}

/* GIO's threads may hold for a moment what a handshake had. */
static void
wait_for_fds (guint most)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (test_count_fds () > most && g_get_monotonic_time () < deadline)
    g_thread_yield ();
  g_assert_cmpuint (test_count_fds (), <=, most);
}

static void
test_leaves_nothing (gconstpointer data)
{
  guint n_fds = 0;

  for (guint i = 0; i < 4; i++)
    {
      MockServer *mock = mock_new (GPOINTER_TO_INT (data));
      g_autoptr(GIOStream) stream = mock_get_stream (mock);
      g_autofree char *path = g_strdup (mock_get_path (mock));

      mock_send (mock, "x");
      client_read (stream, "x");
      mock_finish (mock);
      if (path != NULL)
        g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));

      /* What the first leaves is GIO's: its worker, its modules. */
      g_clear_object (&stream);
      if (i == 0)
        n_fds = test_count_fds ();
      wait_for_fds (n_fds);
    }
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

static void
test_tls_available (void)
{
  if (test_have_certificates ())
    g_assert_null (test_certificates_get_missing ());
}

static void
test_certificates (void)
{
  static const char * const directories[] = { "good", "other-name", "expired", "other-ca" };
  g_autoptr(GTlsDatabase) authority = test_certificates_get_database ("good");
  const GTlsCertificateFlags flaws[] = { 0, G_TLS_CERTIFICATE_BAD_IDENTITY, G_TLS_CERTIFICATE_EXPIRED,
                                         G_TLS_CERTIFICATE_UNKNOWN_CA };
  static const char * const names[] = { "localhost", "127.0.0.1", "::1", "vm.example" };

  for (gsize i = 0; i < G_N_ELEMENTS (directories); i++)
    {
      g_autoptr(GTlsDatabase) own_authority = test_certificates_get_database (directories[i]);
      g_autoptr(GTlsCertificate) server = test_certificates_load (directories[i], "server");
      g_autoptr(GTlsCertificate) client = test_certificates_load (directories[i], "client");

      g_assert_cmpint (g_tls_database_verify_chain (own_authority, client, G_TLS_DATABASE_PURPOSE_AUTHENTICATE_CLIENT, NULL,
                                                    NULL, G_TLS_DATABASE_VERIFY_NONE, NULL, NULL), ==, 0);
      for (gsize j = 0; j < G_N_ELEMENTS (names); j++)
        {
          g_autoptr(GSocketConnectable) identity = g_network_address_new (names[j], 0);

          g_assert_cmpint (g_tls_database_verify_chain (authority, server, G_TLS_DATABASE_PURPOSE_AUTHENTICATE_SERVER,
                                                        identity, NULL, G_TLS_DATABASE_VERIFY_NONE, NULL, NULL),
                           ==, flaws[i]);
        }
    }
}

/* The client's end of TCP, before TLS. */
static GSocketConnection *
connect_tcp (MockServer *mock)
{
  g_autoptr(GSocketClient) client = g_socket_client_new ();
  g_autoptr(GError) error = NULL;
  GSocketConnection *connection;

  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect (client, mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);

  return connection;
}

/* The client's end of TLS, trusting @directory, showing @own. */
static GTlsConnection *
connect_tls (MockServer *mock,
             const char *directory,
             const char *own)
{
  g_autoptr(GSocketConnection) base = connect_tcp (mock);
  g_autoptr(GTlsDatabase) database = test_certificates_get_database (directory);
  g_autoptr(GTlsCertificate) certificate = own != NULL ? test_certificates_load (own, "client") : NULL;
  g_autoptr(GError) error = NULL;
  GIOStream *stream = g_tls_client_connection_new (G_IO_STREAM (base), mock_get_connectable (mock), &error);

  g_assert_no_error (error);
  g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
  if (certificate != NULL)
    g_tls_connection_set_certificate (G_TLS_CONNECTION (stream), certificate);

  return G_TLS_CONNECTION (stream);
}

/* There is a connection as soon as the client has made it, whatever the script does. */
static void
test_tls_before_any_step (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  g_autoptr(GIOStream) first = mock_get_stream (mock);
  g_autoptr(GIOStream) second = mock_get_stream (mock);

  g_assert_true (G_IS_TLS_CONNECTION (first));
  client_write (second, "{\"second\":1}");
  client_write (first, "{\"first\":1}");
  mock_expect (mock, "{'first': 1}");
  mock_accept (mock);
  mock_expect (mock, "{'second': 1}");
  mock_send (mock, "end");
  client_read (second, "end");
}

static void
test_tls_pieces_are_records (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);
  GInputStream *input = g_io_stream_get_input_stream (stream);
  g_autoptr(GError) error = NULL;
  gssize n_read;
  char buffer[16];

  mock_send_split (mock, "abcdefgh", 3, 0);
  mock_block_done (mock);
  n_read = g_input_stream_read (input, buffer, sizeof buffer, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, n_read, "abc", 3);
  n_read = g_input_stream_read (input, buffer, sizeof buffer, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, n_read, "def", 3);
}

static void
test_tls_goodbye (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  g_autoptr(GTlsConnection) first = connect_tls (mock, "good", NULL);
  g_autoptr(GTlsConnection) second = NULL;
  g_autoptr(GTlsConnection) third = NULL;
  g_autoptr(GError) error = NULL;
  char byte;

  mock_send (mock, "x");
  mock_close (mock);
  client_read (G_IO_STREAM (first), "x");
  client_read_eof (G_IO_STREAM (first));

  mock_accept (mock);
  mock_send (mock, "x");
  mock_cut (mock);
  second = connect_tls (mock, "good", NULL);
  client_read (G_IO_STREAM (second), "x");
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (second)), &byte, 1, NULL, &error), ==, -1);
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_EOF);

  mock_accept (mock);
  mock_send (mock, "x");
  mock_expect_goodbye (mock);
  third = connect_tls (mock, "good", NULL);
  client_read (G_IO_STREAM (third), "x");
  client_close (G_IO_STREAM (third));
}

static void
test_tls_refused_by_client (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  static const char * const directories[] = { "other-ca", "expired", "other-name" };

  for (gsize i = 0; i < G_N_ELEMENTS (directories); i++)
    {
      g_autoptr(GTlsConnection) connection = NULL;
      g_autoptr(GError) error = NULL;

      mock_set_tls (mock, directories[i], NULL, G_TLS_AUTHENTICATION_NONE);
      mock_expect_no_tls (mock);
      connection = connect_tls (mock, "good", NULL);
      g_assert_false (g_tls_connection_handshake (connection, NULL, &error));
      g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
      /* Which is when the mock learns it. */
      g_clear_object (&connection);
      mock_block_done (mock);
    }

  mock_set_tls (mock, "good", NULL, G_TLS_AUTHENTICATION_NONE);
  mock_send (mock, "x");
  client_read (G_IO_STREAM (connect_tls (mock, "good", NULL)), "x");
}

static void
test_tls_refused_by_mock (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  static const char * const certificates[] = { NULL, "other-ca", "good" };

  mock_set_tls (mock, "good", "good", G_TLS_AUTHENTICATION_REQUIRED);
  for (gsize i = 0; i < G_N_ELEMENTS (certificates); i++)
    {
      g_autoptr(GTlsConnection) connection = connect_tls (mock, "good", certificates[i]);
      g_autoptr(GError) error = NULL;
      char byte;

      if (i + 1 < G_N_ELEMENTS (certificates))
        {
          mock_expect_no_tls (mock);
          /* TLS 1.3: the client learns it when it reads. */
          g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (connection)), &byte, 1, NULL,
                                                &error), ==, -1);
          g_assert_nonnull (error);
        }
      else
        {
          mock_accept (mock);
          mock_send (mock, "x");
          client_read (G_IO_STREAM (connection), "x");
        }
    }
}

static gboolean
accept_flawless (GTlsConnection       *connection,
                 GTlsCertificate      *certificate,
                 GTlsCertificateFlags  flaws,
                 gpointer              user_data)
{
  return flaws == 0;
}

/* The test is the server. */
static void
test_tls_connecting (void)
{
  g_autoptr(GSocketListener) listener = g_socket_listener_new ();
  g_autoptr(GSocketAddress) loopback = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr(GSocketAddress) address = NULL;
  g_autoptr(GTlsDatabase) database = test_certificates_get_database ("good");
  static const char * const servers[] = { "good", "other-ca" };
  g_autoptr(MockServer) mock = NULL;
  g_autoptr(GError) error = NULL;

  g_socket_listener_add_address (listener, loopback, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &address, &error);
  g_assert_no_error (error);

  mock = mock_new_connecting (address);
  mock_set_tls (mock, "good", "good", G_TLS_AUTHENTICATION_NONE);
  mock_expect (mock, "{}");
  mock_send (mock, "x");
  mock_shutdown_write (mock);
  mock_expect_goodbye (mock);
  mock_expect_no_tls (mock);

  for (gsize i = 0; i < G_N_ELEMENTS (servers); i++)
    {
      g_autoptr(GTlsCertificate) certificate = test_certificates_load (servers[i], "server");
      g_autoptr(GSocketConnection) base = g_socket_listener_accept (listener, NULL, NULL, &error);
      g_autoptr(GIOStream) stream = NULL;

      g_assert_no_error (error);
      stream = g_tls_server_connection_new (G_IO_STREAM (base), certificate, &error);
      g_assert_no_error (error);
      g_object_set (stream, "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
      g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
      g_signal_connect (stream, "accept-certificate", G_CALLBACK (accept_flawless), NULL);

      if (i == 0)
        {
          client_write (stream, "{}");
          client_read (stream, "x");
          client_read_eof (stream);
          client_close (stream);
        }
      else
        {
          g_assert_false (g_tls_connection_handshake (G_TLS_CONNECTION (stream), NULL, &error));
          g_assert_nonnull (error);
        }
    }
}

/* A client that says nothing does not keep a mock from ending. */
static void
test_tls_silent_client (void)
{
  MockServer *mock = mock_new (MOCK_TRANSPORT_TLS);
  g_autoptr(GSocketConnection) connection G_GNUC_UNUSED = connect_tcp (mock);
  gint64 before = g_get_monotonic_time ();

  mock_expect (mock, "{}");
  mock_abandon (mock);
  g_assert_cmpint (g_get_monotonic_time () - before, <, test_bound_us ());
}

/* ---- what does not ---------------------------------------------------------------------------------------------- */

static void
test_fails_left_over (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      shorten_bounds ();
      client_write (stream, "{}{\"execu");
      mock_expect (mock, "{}");
      mock_expect (mock, "{'execute': 'stop'}");
      mock_return (mock, "{}");
      mock_expect_eof (mock);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 2, test-mock-server.c:*after*{\"execu*left over: step 3,*left over: step 4,*mock_expect_eof");
}

static void
test_fails_different (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      mock_expect (mock, "{'execute': 'stop'}");
      client_write (stream, "{\"execute\":\"stop\",\"more\":1}");
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*\"stop\"*got instead*\"more\":1}");
}

static void
test_fails_different_bytes (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      mock_expect_text (mock, "{\"execute\":\"stop\",\"id\":@ID@}");
      client_write (stream, "{\"execute\": \"stop\",\"id\":1}");
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*got instead*\"id\":1}");
}

static void
test_fails_closed (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_PIPES);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      mock_expect (mock, "{}");
      client_close (stream);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*the client closed the connection");
}

static void
test_fails_unexpected_bytes (gconstpointer data)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (GPOINTER_TO_INT (data));
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      client_write (stream, "{}\n");
      mock_expect (mock, "{}");
      mock_finish (mock);
      return;
    }

  assert_child_fails ("after the last step*more than any step expected: \\n");
}

static void
test_fails_unexpected_connection (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_UNIX);
      g_autoptr(GIOStream) first G_GNUC_UNUSED = mock_get_stream (mock);
      g_autoptr(GIOStream) second G_GNUC_UNUSED = mock_get_stream (mock);

      mock_accept (mock);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("somebody connected whom no step accepted");
}

static void
test_fails_not_continued (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);

      mock_pause (mock);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*finished without mock_continue");
}

static void
test_fails_not_connected (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_UNIX);

      shorten_bounds ();
      mock_expect (mock, "{}");
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*nobody connected");
}

static void
test_fails_while_waiting (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);

      shorten_bounds ();
      mock_expect (mock, "{}");
      mock_wait_done (mock);
      return;
    }

  assert_child_fails ("step 1,*nothing happened within the bound");
}

static void
test_fails_something_came (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      client_write (stream, "x");
      mock_expect_nothing (mock, 10);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*mock_expect_nothing*got*x");
}

static void
test_fails_no_goodbye (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_TLS);
      g_autoptr(GSocketConnection) base = connect_tcp (mock);
      g_autoptr(GIOStream) stream = g_tls_client_connection_new (G_IO_STREAM (base), mock_get_connectable (mock), NULL);
      g_autoptr(GTlsDatabase) database = test_certificates_get_database ("good");
      g_autoptr(GError) error = NULL;

      g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
      client_write (stream, "{}");
      g_socket_shutdown (g_socket_connection_get_socket (base), FALSE, TRUE, &error);
      g_assert_no_error (error);
      mock_expect (mock, "{}");
      mock_expect_goodbye (mock);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 2,*the client did not say goodbye");
}

static void
test_fails_no_tls (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_TLS);
      g_autoptr(GSocketConnection) stream = connect_tcp (mock);

      client_write (G_IO_STREAM (stream), "{\"execute\":\"qmp_capabilities\"}");
      mock_expect (mock, "{}");
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*TLS handshake: *");
}

static void
test_fails_fds (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);
      g_autoptr(GError) error = NULL;

      /* Which sends a NUL byte along, in the middle of a string. */
      client_write (stream, "{\"a");
      g_unix_connection_send_fd (G_UNIX_CONNECTION (stream), 0, NULL, &error);
      g_assert_no_error (error);
      client_write (stream, "\":1}");
      mock_expect_with_fds (mock, "{'a': 1}", 1);
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 1,*descriptors came with byte 3, not with the first");
}

static void
test_fails_no_id (void)
{
  if (g_test_subprocess ())
    {
      MockServer *mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);

      client_write (stream, "{}");
      mock_expect (mock, "{}");
      mock_return (mock, "{}");
      mock_finish (mock);
      return;
    }

  assert_child_fails ("step 2,*request 1 had no id");
}

int
main (int   argc,
      char *argv[])
{
  static const struct
  {
    const char    *name;
    MockTransport  transport;
  } transports[] = {
    { "unix", MOCK_TRANSPORT_UNIX },
    { "tcp", MOCK_TRANSPORT_TCP },
    { "tls", MOCK_TRANSPORT_TLS },
    { "socketpair", MOCK_TRANSPORT_SOCKETPAIR },
    { "pipes", MOCK_TRANSPORT_PIPES },
  };

  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (transports); i++)
    {
      gconstpointer transport = GINT_TO_POINTER (transports[i].transport);
      gboolean is_pair = transports[i].transport == MOCK_TRANSPORT_SOCKETPAIR
                         || transports[i].transport == MOCK_TRANSPORT_PIPES;
      const struct
      {
        const char    *name;
        GTestDataFunc  func;
      } tests[] = {
        { "session", test_session },
        { "large", test_large },
        { "gone", test_gone },
        { "flood", test_flood },
        { "reset", test_reset },
        { "leaves-nothing", test_leaves_nothing },
        { "bytes", test_bytes },
        { "connections", test_connections },
        { "never-accepting", test_never_accepting },
        { "slow-client", test_slow_client },
        { "fails-unexpected-bytes", test_fails_unexpected_bytes },
      };

      for (gsize j = 0; j < G_N_ELEMENTS (tests); j++)
        {
          g_autofree char *path = NULL;

          /* test_tls_available() says why. */
          if (transports[i].transport == MOCK_TRANSPORT_TLS && test_certificates_get_missing () != NULL)
            continue;
          /* A pipe knows no reset. */
          if (tests[j].func == test_reset && transports[i].transport == MOCK_TRANSPORT_PIPES)
            continue;
          /* A pair is connected from the beginning, and only once. */
          if (is_pair && (tests[j].func == test_connections || tests[j].func == test_never_accepting))
            continue;
          /* Closing a pipe's other end would have to be seen while writing. */
          if (transports[i].transport == MOCK_TRANSPORT_PIPES && tests[j].func == test_bytes)
            continue;

          path = g_strdup_printf ("/mock-server/%s/%s", tests[j].name, transports[i].name);
          g_test_add_data_func (path, transport, tests[j].func);
        }
    }

  g_test_add_func ("/mock-server/pipelined", test_pipelined);
  g_test_add_func ("/mock-server/connecting", test_connecting);
  g_test_add_func ("/mock-server/fds", test_fds);
  g_test_add_func ("/mock-server/gates", test_gates);
  g_test_add_func ("/mock-server/backlog", test_backlog);
  g_test_add_func ("/mock-server/abandon", test_abandon);
  g_test_add_func ("/mock-server/fails/left-over", test_fails_left_over);
  g_test_add_func ("/mock-server/fails/different", test_fails_different);
  g_test_add_func ("/mock-server/fails/different-bytes", test_fails_different_bytes);
  g_test_add_func ("/mock-server/fails/closed", test_fails_closed);
  g_test_add_func ("/mock-server/fails/unexpected-connection", test_fails_unexpected_connection);
  g_test_add_func ("/mock-server/fails/not-continued", test_fails_not_continued);
  g_test_add_func ("/mock-server/fails/not-connected", test_fails_not_connected);
  g_test_add_func ("/mock-server/fails/while-waiting", test_fails_while_waiting);
  g_test_add_func ("/mock-server/fails/something-came", test_fails_something_came);
  g_test_add_func ("/mock-server/fails/fds", test_fails_fds);
  g_test_add_func ("/mock-server/fails/no-id", test_fails_no_id);

  g_test_add_func ("/mock-server/tls/available", test_tls_available);
  if (test_certificates_get_missing () == NULL)
    {
      g_test_add_func ("/mock-server/tls/certificates", test_certificates);
      g_test_add_func ("/mock-server/tls/before-any-step", test_tls_before_any_step);
      g_test_add_func ("/mock-server/tls/pieces-are-records", test_tls_pieces_are_records);
      g_test_add_func ("/mock-server/tls/goodbye", test_tls_goodbye);
      g_test_add_func ("/mock-server/tls/refused-by-client", test_tls_refused_by_client);
      g_test_add_func ("/mock-server/tls/refused-by-mock", test_tls_refused_by_mock);
      g_test_add_func ("/mock-server/tls/connecting", test_tls_connecting);
      g_test_add_func ("/mock-server/tls/silent-client", test_tls_silent_client);
      g_test_add_func ("/mock-server/fails/no-goodbye", test_fails_no_goodbye);
      g_test_add_func ("/mock-server/fails/no-tls", test_fails_no_tls);
    }

  return g_test_run ();
}
