/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Real servers as the side that connects. */

#include "session.h"

#include <gio/gunixsocketaddress.h>

#define N_SESSIONS 3

/* ---- support ----------------------------------------------------------------------------------------------------- */

/* (transfer full): where the server listens. */
static GSocketConnectable *
start_server (AqmpClient     *client,
              GSocketAddress *address)
{
  GSocketAddress *effective = NULL;
  g_autoptr(GError) error = NULL;

  aqmp_protocol_start_server (AQMP_PROTOCOL (client), address, &effective, &error);
  g_assert_no_error (error);
  return G_SOCKET_CONNECTABLE (effective);
}

static gboolean
finish_accept (TestSlot  *slot,
               GError   **error)
{
  g_autoptr(GAsyncResult) result = test_await (slot);
  g_autoptr(GObject) client = g_async_result_get_source_object (result);

  return aqmp_protocol_accept_finish (AQMP_PROTOCOL (client), result, error);
}

static gboolean
session_accept (AqmpClient  *client,
                GError     **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  aqmp_protocol_accept_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &slot);
  return finish_accept (&slot, error);
}

static void
accept_well (AqmpClient *client)
{
  g_autoptr(GError) error = NULL;

  session_accept (client, &error);
  g_assert_no_error (error);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client)));
}

static void
quit (AqmpClient *client,
      Qemu       *qemu)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node G_GNUC_UNUSED = session_execute (client, "quit", NULL, &error);

  g_assert_no_error (error);
  session_end (client);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
}

static GSocketAddress *
path_address (TestTmpDir *dir)
{
  g_autofree char *path = test_tmp_dir_build (dir, "qmp.sock");

  return g_unix_socket_address_new (path);
}

static GSocketAddress *
abstract_address (void)
{
  g_autofree char *name = g_strdup_printf ("aqmp-test-%d-%u", (int) getpid (), g_random_int ());

  return g_unix_socket_address_new_with_type (name, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
}

/* ---- success ----------------------------------------------------------------------------------------------------- */

static void
check_accepts (QemuKind        kind,
               GSocketAddress *address)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr(GSocketConnectable) effective = start_server (client, address);
  g_autoptr(Qemu) qemu = qemu_new_connecting (kind, effective, NULL, QEMU_FLAGS_NONE, NULL);

  if (qemu == NULL)
    {
      g_object_unref (client);
      return;
    }

  accept_well (client);
  session_check_works (client);
  quit (client, qemu);
}

static void
test_path (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);

  check_accepts (QEMU_SYSTEM_NONE, address);
  g_assert_false (g_file_test (g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (address)), G_FILE_TEST_EXISTS));
}

static void
test_abstract (void)
{
  g_autoptr(GSocketAddress) address = abstract_address ();

  check_accepts (QEMU_SYSTEM_NONE, address);
}

static void
test_tcp (void)
{
  g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);

  check_accepts (QEMU_SYSTEM_NONE, address);
}

static void
test_storage_daemon (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);

  check_accepts (QEMU_STORAGE_DAEMON, address);
}

/* One QEMU comes back to each of the servers that one object starts; it is there before any of them. */
static void
test_again_and_again (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);
  g_autoptr(Qemu) qemu = NULL;
  AqmpClient *client;

  qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, G_SOCKET_CONNECTABLE (address), NULL, QEMU_FLAGS_RECONNECT | QEMU_FLAGS_QUIET,
                              NULL);
  if (qemu == NULL)
    return;

  client = aqmp_client_new (NULL);
  for (gsize i = 0; i < N_SESSIONS; i++)
    {
      g_autoptr(GSocketConnectable) effective G_GNUC_UNUSED = start_server (client, address);
      g_autoptr(GError) error = NULL;

      accept_well (client);
      session_check_works (client);
      session_disconnect (client, &error);
      g_assert_no_error (error);
    }
  g_object_unref (client);
}

static void
test_in_one (void)
{
  g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(Qemu) qemu = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  AqmpClient *client = aqmp_client_new (NULL);

  aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (client), address, NULL, test_slot_callback, &slot);
  effective = G_SOCKET_CONNECTABLE (g_object_ref (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client))));
  qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);
  if (qemu == NULL)
    {
      g_autoptr(GError) ignored = NULL;

      session_disconnect (client, &ignored);
      g_object_unref (client);
      return;
    }

  result = test_await (&slot);
  aqmp_protocol_start_server_and_accept_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  session_check_works (client);
  quit (client, qemu);
}

/* ---- one peer ---------------------------------------------------------------------------------------------------- */

/* Both connect before anything is accepted: one is served; the other is closed, and counted. */
static void
test_two_peers (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(Qemu) first = NULL;
  g_autoptr(Qemu) second = NULL;
  g_autoptr(TestLog) log = NULL;
  AqmpClient *client = aqmp_client_new (NULL);

  effective = start_server (client, address);
  first = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);
  second = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);
  if (first == NULL || second == NULL)
    {
      g_object_unref (client);
      return;
    }

  log = test_log_start ();
  accept_well (client);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", " 1 more peers"), ==, 1);
  session_check_works (client);
  quit (client, first);
}

/* ---- peers that go ----------------------------------------------------------------------------------------------- */

static void
check_usable (AqmpClient     *client,
              GSocketAddress *address)
{
  g_autoptr(GSocketConnectable) effective = start_server (client, address);
  g_autoptr(Qemu) qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);

  accept_well (client);
  quit (client, qemu);
}

/* It has connected and sent its greeting, and is dead by the time it is accepted. A client reads that greeting and then
   finds the end, or cannot write to it. */
static void
test_dies_before_accept (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(Qemu) qemu = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client = aqmp_client_new (NULL);

  effective = start_server (client, address);
  qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);
  if (qemu == NULL)
    {
      g_object_unref (client);
      return;
    }

  qemu_kill (qemu);
  g_assert_false (session_accept (client, &error));
  g_assert_true (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED) ||
                 g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  check_usable (client, address);
}

static void
test_dies_in_session (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(Qemu) qemu = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client = aqmp_client_new (NULL);

  effective = start_server (client, address);
  qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);
  if (qemu == NULL)
    {
      g_object_unref (client);
      return;
    }

  accept_well (client);
  qemu_kill (qemu);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  check_usable (client, address);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* It connects, but hangs before it answers the negotiation. */
static void
test_hangs (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(Qemu) qemu = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client = aqmp_client_new (NULL);

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 200);
  effective = start_server (client, address);
  qemu = qemu_new_connecting (QEMU_SYSTEM_NONE, effective, NULL, QEMU_FLAGS_NONE, NULL);
  if (qemu == NULL)
    {
      g_object_unref (client);
      return;
    }

  qemu_freeze (qemu);
  g_assert_false (session_accept (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  check_usable (client, address);
}

static void
test_cancelled (void)
{
  g_autoptr(TestTmpDir) dir = test_tmp_dir_new ();
  g_autoptr(GSocketAddress) address = path_address (dir);
  g_autoptr(GSocketConnectable) effective = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  AqmpClient *client;

  if (!qemu_require_program ("qemu-system-x86_64"))
    return;

  client = aqmp_client_new (NULL);
  effective = start_server (client, address);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (client), cancellable, test_slot_callback, &slot);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_accept (&slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (g_file_test (g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (address)), G_FILE_TEST_EXISTS));
  check_usable (client, address);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/S9/path", test_path);
  g_test_add_func ("/qemu/S9/abstract", test_abstract);
  g_test_add_func ("/qemu/S9/tcp", test_tcp);
  g_test_add_func ("/qemu/S9/storage-daemon", test_storage_daemon);
  g_test_add_func ("/qemu/S9/again-and-again", test_again_and_again);
  g_test_add_func ("/qemu/S9/in-one", test_in_one);
  g_test_add_func ("/qemu/S8/two-peers", test_two_peers);
  g_test_add_func ("/qemu/S4/dies-before-accept", test_dies_before_accept);
  g_test_add_func ("/qemu/S5/dies-in-accepted-session", test_dies_in_session);
  g_test_add_func ("/qemu/S4/hangs-in-negotiation", test_hangs);
  g_test_add_func ("/qemu/S4/accept-cancelled", test_cancelled);

  return g_test_run ();
}
