/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The real servers of the test support start, answer, and leave nothing behind. */

#include "certificates.h"
#include "qemu.h"
#include "util.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* In the environment: where the child of a test leaves a process id. */
#define PID_FILE "AQMP_TEST_PID_FILE"

/* Reads until a line has @text, and returns that. (transfer full) */
static char *
read_until (GDataInputStream *input,
            const char       *text)
{
  while (TRUE)
    {
      g_autoptr(GError) error = NULL;
      g_autofree char *line = g_data_input_stream_read_line_utf8 (input, NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_nonnull (line);
      if (strstr (line, text) != NULL)
        return g_steal_pointer (&line);
    }
}

/* Over TLS, QEMU 7.2 reads one byte each time that something has come, or is still to be taken from the socket: of a record it
   takes the rest only when there is another one behind it. So the last byte goes alone. */
static void
client_write (GIOStream  *stream,
              const char *text)
{
  GOutputStream *output = g_io_stream_get_output_stream (stream);
  gsize length = strlen (text);
  gsize n_alone = G_IS_TLS_CONNECTION (stream) ? 1 : 0;
  g_autoptr(GError) error = NULL;

  g_output_stream_write_all (output, text, length - n_alone, NULL, NULL, &error);
  g_assert_no_error (error);
  g_output_stream_write_all (output, text + length - n_alone, n_alone, NULL, NULL, &error);
  g_assert_no_error (error);
}

/* Greeting, commands, and the end. */
static void
check_session (Qemu      *qemu,
               GIOStream *stream,
               QemuFlags  flags)
{
  g_autoptr(GDataInputStream) input = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  g_autofree char *greeting = NULL;
  g_autofree char *reply = NULL;

  g_data_input_stream_set_newline_type (input, G_DATA_STREAM_NEWLINE_TYPE_ANY);

  greeting = read_until (input, "\"QMP\"");
  g_assert_cmpint (strstr (greeting, "version") == NULL, ==, (flags & QEMU_FLAGS_PRETTY) != 0);
  client_write (stream, "{\"execute\":\"qmp_capabilities\",\"id\":\"caps\"}");
  g_free (read_until (input, "caps"));
  client_write (stream, "{\"execute\":\"quit\",\"id\":\"the end\"}");
  reply = read_until (input, "the end");
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
}

static void
check_server (QemuKind      kind,
              QemuTransport transport,
              QemuFlags     flags)
{
  g_autoptr(Qemu) qemu = qemu_new (kind, transport, flags, NULL);
  g_autoptr(GIOStream) stream = NULL;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  check_session (qemu, stream, flags);
}

static void
test_system (void)
{
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_PRETTY);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_STDIO, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_TCP, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_ABSTRACT, QEMU_FLAGS_NONE);
  check_server (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE);
}

static void
test_storage_daemon (void)
{
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_PATH, QEMU_FLAGS_PRETTY);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_NONE);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_STDIO, QEMU_FLAGS_NONE);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_TCP, QEMU_FLAGS_NONE);
  check_server (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_ABSTRACT, QEMU_FLAGS_NONE);
}

static void
test_guest_agent (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GDataInputStream) input = NULL;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  input = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  client_write (stream, "{\"execute\":\"guest-ping\",\"id\":\"here\"}");
  g_free (read_until (input, "here"));
  client_write (stream, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/true\"}}");
  g_free (read_until (input, "disabled"));
}

/* ---- the program connects --------------------------------------------------------------------------------------- */

/* (transfer full) */
static GSocketListener *
listener_new (GSocketAddress      *address,
              GSocketConnectable **effective)
{
  GSocketListener *listener = g_socket_listener_new ();
  GSocketAddress *bound;
  g_autoptr(GError) error = NULL;

  g_socket_listener_add_address (listener, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, &bound, &error);
  g_assert_no_error (error);
  *effective = G_SOCKET_CONNECTABLE (bound);

  return listener;
}

/* On a free port of 127.0.0.1. (transfer full) */
static GSocketListener *
listener_new_tcp (GSocketConnectable **effective)
{
  g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);

  return listener_new (address, effective);
}

/* What is read or written in blocking calls is bounded, and not held back. */
static void
prepare_connection (GIOStream *connection)
{
  GSocket *socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (connection));

  g_socket_set_timeout (socket, (guint) (test_bound_us () / G_USEC_PER_SEC));
  if (g_socket_get_family (socket) != G_SOCKET_FAMILY_UNIX)
    g_assert_true (g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, TRUE, NULL));
}

/* (transfer full) */
static GIOStream *
accept_one (GSocketListener *listener)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  GSocketConnection *connection;

  g_socket_listener_accept_async (listener, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  connection = g_socket_listener_accept_finish (listener, result, NULL, &error);
  g_assert_no_error (error);
  prepare_connection (G_IO_STREAM (connection));

  return G_IO_STREAM (connection);
}

static void
check_connecting (QemuKind        kind,
                  GSocketAddress *address)
{
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(GSocketListener) listener = listener_new (address, &effective);
  g_autoptr(Qemu) qemu = qemu_new_connecting (kind, effective, NULL, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GIOStream) stream = NULL;

  if (qemu == NULL)
    return;

  g_assert_null (qemu_get_connectable (qemu));
  stream = accept_one (listener);
  check_session (qemu, stream, QEMU_FLAGS_NONE);
}

static void
check_connecting_everywhere (QemuKind kind)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "a,b.sock");
  g_autofree char *name = test_tmp_dir_build (dir, "c,d.abstract");
  g_autoptr(GSocketAddress) unix_address = g_unix_socket_address_new (path);
  g_autoptr(GSocketAddress) abstract_address = NULL;
  g_autoptr(GSocketAddress) tcp_address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);

  abstract_address = g_unix_socket_address_new_with_type (name, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  check_connecting (kind, unix_address);
  check_connecting (kind, abstract_address);
  check_connecting (kind, tcp_address);
}

static void
test_connecting (void)
{
  check_connecting_everywhere (QEMU_SYSTEM_NONE);
}

static void
test_connecting_storage_daemon (void)
{
  check_connecting_everywhere (QEMU_STORAGE_DAEMON);
}

/* It comes when somebody listens, and comes again. */
static void
test_connecting_again (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "qmp.sock");
  g_autoptr(GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(GSocketListener) listener = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(Qemu) qemu = NULL;

  qemu = qemu_new_connecting (QEMU_STORAGE_DAEMON, G_SOCKET_CONNECTABLE (address), NULL,
                              QEMU_FLAGS_RECONNECT | QEMU_FLAGS_QUIET, NULL);
  if (qemu == NULL)
    return;

  listener = listener_new (address, &effective);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr(GIOStream) dropped = accept_one (listener);
      g_autoptr(GDataInputStream) input = g_data_input_stream_new (g_io_stream_get_input_stream (dropped));

      g_free (read_until (input, "QMP"));
    }

  stream = accept_one (listener);
  check_session (qemu, stream, QEMU_FLAGS_NONE);
}

/* ---- TLS -------------------------------------------------------------------------------------------------------- */

/* Instead of the greeting there is the end: QEMU looks at certificates after the handshake, and goes without a word if it does
   not like them. */
static void
check_refused (GIOStream *stream)
{
  g_autoptr(GError) error = NULL;
  char byte;

  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (stream), &byte, 1, NULL, &error), ==, -1);
  /* The latter if it has left something unread. */
  if (!g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_EOF))
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

/* A connection to @qemu that trusts the authority of "good". @shown: (nullable): whose certificate it shows. */
static GTlsConnection *
tls_client_new (Qemu       *qemu,
                const char *shown)
{
  g_autoptr(GIOStream) base = qemu_get_stream (qemu);
  g_autoptr(GTlsDatabase) database = test_certificates_get_database ("good");
  g_autoptr(GError) error = NULL;
  GTlsConnection *connection;

  prepare_connection (base);
  connection = G_TLS_CONNECTION (g_tls_client_connection_new (base, qemu_get_connectable (qemu), &error));
  g_assert_no_error (error);
  g_tls_connection_set_database (connection, database);
  if (shown != NULL)
    {
      g_autoptr(GTlsCertificate) certificate = test_certificates_load (shown, "client");

      g_tls_connection_set_certificate (connection, certificate);
    }

  return connection;
}

/* @shown: (nullable) */
static void
check_tls (QemuKind    kind,
           QemuFlags   flags,
           const char *shown,
           gboolean    is_accepted)
{
  g_autofree char *directory = test_certificates_get_path ("good", NULL);
  g_autoptr(Qemu) qemu = qemu_new_tls (kind, directory, flags, NULL);
  g_autoptr(GTlsConnection) connection = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  connection = tls_client_new (qemu, shown);
  g_tls_connection_handshake (connection, NULL, &error);
  g_assert_no_error (error);

  if (is_accepted)
    check_session (qemu, G_IO_STREAM (connection), flags);
  else
    check_refused (G_IO_STREAM (connection));
}

static void
check_tls_verifies (QemuKind kind)
{
  if (!test_have_certificates ())
    return;

  check_tls (kind, QEMU_FLAGS_NONE, NULL, TRUE);
  check_tls (kind, QEMU_FLAGS_NONE, "other-ca", TRUE);
  check_tls (kind, QEMU_FLAGS_VERIFY_PEER, "good", TRUE);
  check_tls (kind, QEMU_FLAGS_VERIFY_PEER | QEMU_FLAGS_QUIET, NULL, FALSE);
  check_tls (kind, QEMU_FLAGS_VERIFY_PEER | QEMU_FLAGS_QUIET, "other-ca", FALSE);
}

static void
test_tls (void)
{
  check_tls_verifies (QEMU_SYSTEM_NONE);
}

static void
test_tls_storage_daemon (void)
{
  check_tls_verifies (QEMU_STORAGE_DAEMON);
}

/* What the server shows is what it was given. */
static void
check_tls_bad (const char           *shown,
               GTlsCertificateFlags  expected)
{
  g_autofree char *directory = test_certificates_get_path (shown, NULL);
  g_autoptr(Qemu) qemu = qemu_new_tls (QEMU_STORAGE_DAEMON, directory, QEMU_FLAGS_QUIET, NULL);
  g_autoptr(GTlsConnection) connection = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  connection = tls_client_new (qemu, NULL);
  g_assert_false (g_tls_connection_handshake (connection, NULL, &error));
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  g_assert_cmpuint (g_tls_connection_get_peer_certificate_errors (connection), ==, expected);
}

static void
test_tls_bad (void)
{
  if (!test_have_certificates ())
    return;

  check_tls_bad ("other-name", G_TLS_CERTIFICATE_BAD_IDENTITY);
  check_tls_bad ("expired", G_TLS_CERTIFICATE_EXPIRED);
  check_tls_bad ("other-ca", G_TLS_CERTIFICATE_UNKNOWN_CA);
}

static gboolean
on_accept_certificate (GTlsConnection       *connection,
                       GTlsCertificate      *certificate,
                       GTlsCertificateFlags  errors,
                       gpointer              user_data)
{
  return errors == G_TLS_CERTIFICATE_NO_FLAGS;
}

/* @host: (nullable): instead of the numeric address; @shown: the server's certificate. */
static void
check_connecting_tls (QemuKind    kind,
                      QemuFlags   flags,
                      const char *host,
                      const char *shown,
                      gboolean    is_accepted)
{
  g_autofree char *directory = test_certificates_get_path ("good", NULL);
  g_autoptr(GTlsCertificate) certificate = test_certificates_load (shown, "server");
  g_autoptr(GTlsDatabase) database = test_certificates_get_database ("good");
  g_autoptr(GSocketConnectable) address = NULL;
  g_autoptr(GSocketListener) listener = listener_new_tcp (&address);
  g_autoptr(Qemu) qemu = NULL;
  g_autoptr(GIOStream) base = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GError) error = NULL;

  if (host != NULL)
    {
      guint16 port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));

      g_object_unref (address);
      address = g_network_address_new (host, port);
    }

  qemu = qemu_new_connecting (kind, address, directory, flags, NULL);
  if (qemu == NULL)
    return;

  base = accept_one (listener);
  stream = g_tls_server_connection_new (base, certificate, &error);
  g_assert_no_error (error);
  g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
  g_object_set (stream, "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
  g_signal_connect (stream, "accept-certificate", G_CALLBACK (on_accept_certificate), NULL);
  g_tls_connection_handshake (G_TLS_CONNECTION (stream), NULL, &error);
  g_assert_no_error (error);

  if (is_accepted)
    check_session (qemu, stream, flags);
  else
    check_refused (stream);
}

static void
check_connecting_tls_verifies (QemuKind kind)
{
  if (!test_have_certificates ())
    return;

  check_connecting_tls (kind, QEMU_FLAGS_VERIFY_PEER, NULL, "good", TRUE);
  check_connecting_tls (kind, QEMU_FLAGS_VERIFY_PEER, "localhost", "good", TRUE);
  check_connecting_tls (kind, QEMU_FLAGS_NONE, NULL, "other-name", TRUE);
  check_connecting_tls (kind, QEMU_FLAGS_VERIFY_PEER | QEMU_FLAGS_QUIET, NULL, "other-name", FALSE);
  check_connecting_tls (kind, QEMU_FLAGS_VERIFY_PEER | QEMU_FLAGS_QUIET, NULL, "other-ca", FALSE);
}

static void
test_connecting_tls (void)
{
  check_connecting_tls_verifies (QEMU_SYSTEM_NONE);
}

static void
test_connecting_tls_storage_daemon (void)
{
  check_connecting_tls_verifies (QEMU_STORAGE_DAEMON);
}

/* ---- beginning and end ------------------------------------------------------------------------------------------ */

static void
test_extra_arguments (void)
{
  static const char * const extra[] = { "-pidfile", "@DIR@/the.pid", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_PATH, QEMU_FLAGS_QUIET, extra);
  g_autofree char *path = NULL;
  g_autofree char *image = NULL;

  if (qemu == NULL)
    return;

  path = g_build_filename (qemu_get_directory (qemu), "the.pid", NULL);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));

  image = qemu_create_image (qemu_get_directory (qemu), "a.qcow2", "qcow2", "1M");
  if (image != NULL)
    g_assert_true (g_file_test (image, G_FILE_TEST_IS_REGULAR));
}

static void
test_kill (void)
{
  Qemu *qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GDataInputStream) input = NULL;
  g_autofree char *directory = NULL;
  int pid;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  input = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  g_free (read_until (input, "QMP"));

  qemu_freeze (qemu);
  qemu_thaw (qemu);
  qemu_kill (qemu);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 128 + SIGKILL);

  directory = g_strdup (qemu_get_directory (qemu));
  pid = qemu_get_pid (qemu);
  qemu_free (qemu);
  g_assert_false (g_file_test (directory, G_FILE_TEST_EXISTS));
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_assert_cmpint (errno, ==, ESRCH);
}

/* A test that fails takes its servers with it. */
static void
test_dies_with_test (void)
{
  const char *path = g_getenv (PID_FILE);
  g_autofree char *text = NULL;
  g_autoptr(GError) error = NULL;
  gint64 deadline;
  int pid;

  if (g_test_subprocess ())
    {
      Qemu *qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, QEMU_FLAGS_NONE, NULL);

      text = g_strdup_printf ("%d", qemu_get_pid (qemu));
      g_file_set_contents (path, text, -1, &error);
      g_assert_no_error (error);

      /* Which nobody else would do, as this test fails. */
      g_assert_no_errno (g_rmdir (qemu_get_directory (qemu)));
      g_error ("this test fails");
    }

  if (!qemu_require_program ("qemu-system-x86_64"))
    return;

  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, 0);
  g_test_trap_assert_failed ();

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  pid = atoi (text);
  g_assert_cmpint (pid, >, 1);

  /* It is somebody else's child now, who has to reap it: there may be a zombie. */
  deadline = g_get_monotonic_time () + test_bound_us ();
  while (TRUE)
    {
      g_autofree char *exe = g_strdup_printf ("/proc/%d/exe", pid);
      g_autofree char *target = g_file_read_link (exe, NULL);

      if (target == NULL)
        break;
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_thread_yield ();
    }
}

static void
test_leaves_nothing (void)
{
  g_autoptr(GSocketConnectable) address = NULL;
  g_autoptr(GSocketListener) listener = NULL;
  guint n_fds;

  if (!qemu_require_program ("qemu-storage-daemon"))
    return;

  listener = listener_new_tcp (&address);
  n_fds = test_count_fds ();
  for (guint i = 0; i < QEMU_TRANSPORT_CONNECTING; i++)
    {
      Qemu *qemu = qemu_new (QEMU_STORAGE_DAEMON, i, QEMU_FLAGS_NONE, NULL);

      g_object_unref (qemu_get_stream (qemu));
      qemu_free (qemu);
    }
  qemu_free (qemu_new_connecting (QEMU_STORAGE_DAEMON, address, NULL, QEMU_FLAGS_NONE, NULL));
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr(TestTmpDir) dir = NULL;

  g_test_init (&argc, &argv, NULL);

  if (!g_test_subprocess ())
    {
      g_autofree char *pid_file = NULL;

      /* Before there are threads; the child inherits it. */
      dir = test_tmp_dir_new ();
      pid_file = test_tmp_dir_build (dir, "pid");
      g_setenv (PID_FILE, pid_file, TRUE);
    }

  g_test_add_func ("/servers/system", test_system);
  g_test_add_func ("/servers/storage-daemon", test_storage_daemon);
  g_test_add_func ("/servers/guest-agent", test_guest_agent);
  g_test_add_func ("/servers/connecting/system", test_connecting);
  g_test_add_func ("/servers/connecting/storage-daemon", test_connecting_storage_daemon);
  g_test_add_func ("/servers/connecting/again", test_connecting_again);
  g_test_add_func ("/servers/tls/system", test_tls);
  g_test_add_func ("/servers/tls/storage-daemon", test_tls_storage_daemon);
  g_test_add_func ("/servers/tls/bad", test_tls_bad);
  g_test_add_func ("/servers/connecting-tls/system", test_connecting_tls);
  g_test_add_func ("/servers/connecting-tls/storage-daemon", test_connecting_tls_storage_daemon);
  g_test_add_func ("/servers/extra-arguments", test_extra_arguments);
  g_test_add_func ("/servers/kill", test_kill);
  g_test_add_func ("/servers/dies-with-test", test_dies_with_test);
  g_test_add_func ("/servers/leaves-nothing", test_leaves_nothing);

  return g_test_run ();
}
