/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The mock server itself: that it does what a script says, and that it tells when it could not. The client here is as plain
   as possible: blocking calls on a GIOStream. */

#include "mock-server.h"
#include "util.h"

#include <gio/gunixconnection.h>
#include <gio/gunixfdmessage.h>
#include <string.h>
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
test_bytes (void)
{
  static const char garbage[] = "\0\xff{'\n";
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
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
test_connections (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);

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
test_never_accepting (void)
{
  MockServer *mock = mock_new (MOCK_TRANSPORT_TCP);
  g_autoptr(GIOStream) stream = mock_get_stream (mock);

  g_assert_true (g_str_has_prefix (mock_get_address (mock), "tcp:127.0.0.1:"));
  client_write (stream, "anything");
  mock_finish (mock);
}

static void
test_slow_client (void)
{
  g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
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

static void
test_leaves_nothing (void)
{
  guint n_fds = test_count_fds ();

  for (guint i = 0; i < 10; i++)
    {
      MockServer *mock = mock_new (i % 4);
      g_autoptr(GIOStream) stream = mock_get_stream (mock);
      g_autofree char *path = g_strdup (mock_get_path (mock));

      mock_send (mock, "x");
      client_read (stream, "x");
      mock_finish (mock);
      if (path != NULL)
        g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
    }

  g_assert_cmpuint (test_count_fds (), ==, n_fds);
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
    { "socketpair", MOCK_TRANSPORT_SOCKETPAIR },
    { "pipes", MOCK_TRANSPORT_PIPES },
  };

  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (transports); i++)
    {
      gconstpointer transport = GINT_TO_POINTER (transports[i].transport);
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
        { "fails-unexpected-bytes", test_fails_unexpected_bytes },
      };

      for (gsize j = 0; j < G_N_ELEMENTS (tests); j++)
        {
          g_autofree char *path = NULL;

          /* A pipe knows no reset. */
          if (tests[j].func == test_reset && transports[i].transport == MOCK_TRANSPORT_PIPES)
            continue;

          path = g_strdup_printf ("/mock-server/%s/%s", tests[j].name, transports[i].name);
          g_test_add_data_func (path, transport, tests[j].func);
        }
    }

  g_test_add_func ("/mock-server/pipelined", test_pipelined);
  g_test_add_func ("/mock-server/bytes", test_bytes);
  g_test_add_func ("/mock-server/connections", test_connections);
  g_test_add_func ("/mock-server/connecting", test_connecting);
  g_test_add_func ("/mock-server/fds", test_fds);
  g_test_add_func ("/mock-server/gates", test_gates);
  g_test_add_func ("/mock-server/backlog", test_backlog);
  g_test_add_func ("/mock-server/never-accepting", test_never_accepting);
  g_test_add_func ("/mock-server/slow-client", test_slow_client);
  g_test_add_func ("/mock-server/abandon", test_abandon);
  g_test_add_func ("/mock-server/leaves-nothing", test_leaves_nothing);
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

  return g_test_run ();
}
