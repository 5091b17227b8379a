/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Every way to a real server; and that none loses the last reply. */

#include "session.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define N_QUITS 50
/* With the quit, as many as are sent before one is answered. */
#define N_BEFORE_QUIT 7

typedef GIOStream *(*WrapFunc) (GIOStream *base);

static void
on_event (AqmpProtocol *client,
          AqmpEvent    *event,
          gpointer      user_data)
{
  guint *n_events = user_data;

  (*n_events)++;
}

/* ---- Q14 --------------------------------------------------------------------------------------------------------- */

/* All that there is in a session. */
static void
use_session (AqmpClient *client)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *schema = NULL;
  TestSlot slots[N_BEFORE_QUIT] = { TEST_SLOT_INIT };

  session_check_works (client);
  g_assert_null (session_execute (client, "levitate", NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_COMMAND_NOT_FOUND);
  g_clear_error (&error);

  schema = session_execute_raw (client, "{\"execute\": \"query-qmp-schema\"}", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (schema), >, 100000);

  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    session_begin (client, "query-version", NULL, NULL, &slots[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr(JsonNode) node = session_await (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }
}

/* quit is answered, what follows is no failure, and QEMU has ended by itself. */
static void
check_quit (AqmpClient *client,
            Qemu       *qemu)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) quit = session_execute (client, "quit", NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (quit);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
  g_assert_no_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)));
  session_disconnect (client, &error);
  g_assert_no_error (error);
}

static void
check_stream (QemuKind      kind,
              QemuTransport transport,
              WrapFunc      wrap)
{
  g_autoptr(Qemu) qemu = qemu_new (kind, transport, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GIOStream) base = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  base = qemu_get_stream (qemu);
  stream = wrap != NULL ? wrap (base) : g_object_ref (base);
  session_open (client, stream, &error);
  g_assert_no_error (error);
  g_assert_true (aqmp_protocol_get_stream (AQMP_PROTOCOL (client)) == stream);
  use_session (client);
  check_quit (client, qemu);
  test_wait_until (g_io_stream_is_closed (stream));
}

static void
test_listening_descriptor (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  use_session (client);
  check_quit (client, qemu);
}

static void
test_connected_descriptor (void)
{
  check_stream (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, NULL);
  check_stream (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_SOCKETPAIR, NULL);
}

static void
test_stdio (void)
{
  check_stream (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_STDIO, NULL);
  check_stream (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_STDIO, NULL);
}

/* Neither pipes nor sockets to the library, but streams that can be polled. */
static void
test_pollable (void)
{
  check_stream (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_STDIO, test_pollable_stream_new);
  check_stream (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, test_pollable_stream_new);
}

static void
test_not_pollable (void)
{
  check_stream (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_STDIO, test_plain_stream_new);
  check_stream (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_SOCKETPAIR, test_plain_stream_new);
  check_stream (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_STDIO, test_plain_stream_new);
}

/* It does not outlive a test that fails. */
static void
on_child_setup (gpointer user_data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

/* "-qmp stdio" as it is written on a command line. */
static void
test_qmp_stdio (void)
{
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GSubprocessLauncher) launcher = NULL;
  g_autoptr(GSubprocess) process = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) quit = NULL;

  if (!qemu_require_program ("qemu-system-x86_64"))
    return;

  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_subprocess_launcher_set_child_setup (launcher, on_child_setup, NULL, NULL);
  process = g_subprocess_launcher_spawn (launcher, &error, "qemu-system-x86_64", "-M", "none", "-accel", "tcg",
                                         "-display", "none", "-nodefaults", "-qmp", "stdio", NULL);
  g_assert_no_error (error);
  stream = g_simple_io_stream_new (g_subprocess_get_stdout_pipe (process), g_subprocess_get_stdin_pipe (process));
  session_open (client, stream, &error);
  g_assert_no_error (error);
  use_session (client);
  quit = session_execute (client, "quit", NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  session_end (g_steal_pointer (&client));
}

static void
check_killed (QemuTransport transport,
              WrapFunc      wrap)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, transport, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GIOStream) base = NULL;
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  base = qemu_get_stream (qemu);
  stream = wrap != NULL ? wrap (base) : g_object_ref (base);
  session_open (client, stream, &error);
  g_assert_no_error (error);
  qemu_freeze (qemu);
  session_begin (client, "query-name", NULL, NULL, &slot);
  session_wait_written (client);
  qemu_kill (qemu);
  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_true (g_io_stream_is_closed (stream));
}

static void
test_killed_on_stdio (void)
{
  check_killed (QEMU_TRANSPORT_STDIO, NULL);
}

static void
test_killed_on_pollable (void)
{
  check_killed (QEMU_TRANSPORT_SOCKETPAIR, test_pollable_stream_new);
}

static void
test_killed_on_not_pollable (void)
{
  check_killed (QEMU_TRANSPORT_SOCKETPAIR, test_plain_stream_new);
  check_killed (QEMU_TRANSPORT_STDIO, test_plain_stream_new);
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

static const char * const tcp_monitor[] = {
  "-chardev", "socket,id=tcp,host=127.0.0.1,port=0,server=on,wait=off", "-mon", "chardev=tcp,mode=control", NULL
};

/* (transfer full): where its second monitor listens, asked for over the first. */
static GSocketConnectable *
get_tcp_address (Qemu *qemu)
{
  g_autoptr(AqmpClient) client = session_new (qemu);
  g_autofree char *reply = NULL;
  g_autofree char *address_text = NULL;
  g_autoptr(GError) error = NULL;
  GSocketConnectable *address;
  const char *found;

  reply = session_execute_raw (client, "{\"execute\": \"query-chardev\"}", &error);
  g_assert_no_error (error);
  found = strstr (reply, "tcp:127.0.0.1:");
  g_assert_nonnull (found);
  address_text = g_strndup (found, strcspn (found, ","));
  address = aqmp_address_parse (address_text, &error);
  g_assert_no_error (error);
  session_end (g_steal_pointer (&client));

  return address;
}

static void
test_tcp (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, tcp_monitor);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GSocketConnectable) address = NULL;
  g_autoptr(GError) error = NULL;
  GIOStream *stream;

  if (qemu == NULL)
    return;

  address = get_tcp_address (qemu);
  session_connect_to (client, address, &error);
  g_assert_no_error (error);
  stream = aqmp_protocol_get_stream (AQMP_PROTOCOL (client));
  g_assert_true (g_socket_get_keepalive (g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream))));
  use_session (client);
  check_quit (client, qemu);
}

/* ---- Q11, Q12 ---------------------------------------------------------------------------------------------------- */

static void
test_quit_unix (void)
{
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);

  for (gsize i = 0; i < N_QUITS; i++)
    {
      g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
      g_autoptr(GError) error = NULL;

      if (qemu == NULL)
        return;

      session_connect (client, qemu, &error);
      g_assert_no_error (error);
      check_quit (client, qemu);
    }
}

static void
test_quit_tcp (void)
{
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);

  for (gsize i = 0; i < N_QUITS; i++)
    {
      g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, tcp_monitor);
      g_autoptr(GSocketConnectable) address = NULL;
      g_autoptr(GError) error = NULL;

      if (qemu == NULL)
        return;

      address = get_tcp_address (qemu);
      session_connect_to (client, address, &error);
      g_assert_no_error (error);
      check_quit (client, qemu);
    }
}

static void
test_quit_storage_daemon (void)
{
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);

  for (gsize i = 0; i < N_QUITS; i++)
    {
      g_autoptr(Qemu) qemu = qemu_new (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
      g_autoptr(GError) error = NULL;

      if (qemu == NULL)
        return;

      session_connect (client, qemu, &error);
      g_assert_no_error (error);
      check_quit (client, qemu);
    }
}

/* All that QEMU had answered before its end is read before the end is noticed. */
static void
test_replies_before_end (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  TestSlot slots[N_BEFORE_QUIT] = { TEST_SLOT_INIT };
  g_auto(TestSlot) quit = TEST_SLOT_INIT;
  g_autoptr(JsonNode) quit_reply = NULL;
  g_autoptr(GError) error = NULL;
  guint n_events = 0;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  g_signal_connect (client, "event::SHUTDOWN", G_CALLBACK (on_event), &n_events);
  qemu_freeze (qemu);
  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    session_begin (client, "query-version", NULL, NULL, &slots[i]);
  session_begin (client, "quit", NULL, NULL, &quit);
  session_wait_written (client);
  qemu_thaw (qemu);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);

  /* Everything is in the kernel by now: replies, event, end of file. */
  g_assert_false (test_slot_is_done (&slots[0]));
  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr(JsonNode) node = session_await (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }
  quit_reply = session_await (&quit, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_events, ==, 1);
  session_end (g_steal_pointer (&client));
}

/* The same, when it is no end that anybody has asked for. */
static void
test_reply_before_failure (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(JsonNode) reply = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_begin (client, "query-version", NULL, NULL, &slot);
  session_wait_written (client);
  qemu_thaw (qemu);
  session_wait_arrived (client);
  qemu_kill (qemu);

  reply = session_await (&slot, &error);
  g_assert_no_error (error);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

/* What the documentation warns of: a command, even if it was written, whose connection is closed before its turn comes. */
static void
test_quit_without_waiting_is_lost (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_begin (client, "quit", NULL, NULL, &slot);
  session_wait_written (client);
  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  qemu_thaw (qemu);

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  check_quit (client, qemu);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q14/listening-descriptor", test_listening_descriptor);
  g_test_add_func ("/qemu/Q14/connected-descriptor", test_connected_descriptor);
  g_test_add_func ("/qemu/Q14/stdio", test_stdio);
  g_test_add_func ("/qemu/Q14/qmp-stdio", test_qmp_stdio);
  g_test_add_func ("/qemu/Q14/pollable", test_pollable);
  g_test_add_func ("/qemu/Q14/not-pollable", test_not_pollable);
  g_test_add_func ("/qemu/S5/killed-on-stdio", test_killed_on_stdio);
  g_test_add_func ("/qemu/S5/killed-on-pollable", test_killed_on_pollable);
  g_test_add_func ("/qemu/S5/killed-on-not-pollable", test_killed_on_not_pollable);
  g_test_add_func ("/qemu/M7/tcp", test_tcp);
  g_test_add_func ("/qemu/Q11/quit-unix", test_quit_unix);
  g_test_add_func ("/qemu/Q11/quit-tcp", test_quit_tcp);
  g_test_add_func ("/qemu/Q11/quit-storage-daemon", test_quit_storage_daemon);
  g_test_add_func ("/qemu/Q12/replies-before-end", test_replies_before_end);
  g_test_add_func ("/qemu/Q12/reply-before-failure", test_reply_before_failure);
  g_test_add_func ("/qemu/Q12/quit-without-waiting-is-lost", test_quit_without_waiting_is_lost);

  return g_test_run ();
}
