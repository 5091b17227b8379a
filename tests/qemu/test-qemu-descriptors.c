/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* File descriptors sent to real QEMU, and used there. */

#include "session.h"

#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_IN_A_ROW 20

/* ---- support ----------------------------------------------------------------------------------------------------- */

/* (transfer full): takes @fd over. */
static GUnixFDList *
list_of (int fd)
{
  return g_unix_fd_list_new_from_array (&fd, 1);
}

static GUnixFDList *
list_of_null (void)
{
  int fd = open ("/dev/null", O_RDWR | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  return list_of (fd);
}

static void
begin (AqmpClient  *client,
       const char  *command,
       const char  *arguments,
       GUnixFDList *fd_list,
       TestSlot    *slot)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonObject) object = aqmp_arguments_parse (arguments, &error);

  g_assert_no_error (error);
  aqmp_client_execute_full_async (client, command, object, fd_list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL, test_slot_callback,
                                  slot);
}

static JsonNode *
finish (TestSlot  *slot,
        GError   **error)
{
  g_autoptr(GAsyncResult) result = test_await (slot);
  g_autoptr(GObject) client = g_async_result_get_source_object (result);

  return aqmp_client_execute_full_finish (AQMP_CLIENT (client), result, error);
}

static JsonNode *
execute (AqmpClient   *client,
         const char   *command,
         const char   *arguments,
         GUnixFDList  *fd_list,
         GError      **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  begin (client, command, arguments, fd_list, &slot);
  return finish (&slot, error);
}

static void
execute_well (AqmpClient  *client,
              const char  *command,
              const char  *arguments,
              GUnixFDList *fd_list)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = execute (client, command, arguments, fd_list, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
}

/* ---- getfd ------------------------------------------------------------------------------------------------------- */

/* QEMU has the other end of what we hold, for as long as the chardev is there. */
static void
test_getfd (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GUnixFDList) fd_list = NULL;
  AqmpClient *client;
  int pair[2];
  char buffer[16];
  guint n_fds;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  n_fds = test_count_fds ();
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  fd_list = list_of (pair[0]);
  execute_well (client, "getfd", "{\"fdname\": \"pair\"}", fd_list);
  g_clear_object (&fd_list);

  execute_well (client, "chardev-add",
                "{\"id\": \"monitor\", \"backend\": {\"type\": \"socket\", \"data\": {\"server\": false, "
                "\"addr\": {\"type\": \"fd\", \"data\": {\"str\": \"pair\"}}}}}", NULL);
  execute_well (client, "query-chardev", "{}", NULL);
  g_assert_cmpint (recv (pair[1], buffer, sizeof buffer, MSG_DONTWAIT), ==, -1);
  execute_well (client, "chardev-remove", "{\"id\": \"monitor\"}", NULL);
  g_assert_cmpint (recv (pair[1], buffer, sizeof buffer, 0), ==, 0);

  close (pair[1]);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  session_end (client);
}

/* (nullable): the node of that name in what "query-named-block-nodes" returns. */
static gboolean
has_block_node (AqmpClient *client,
                const char *name)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) nodes = execute (client, "query-named-block-nodes", "{\"flat\": true}", NULL, &error);
  JsonArray *array;

  g_assert_no_error (error);
  array = json_node_get_array (nodes);
  for (guint i = 0; i < json_array_get_length (array); i++)
    if (g_str_equal (json_object_get_string_member (json_array_get_object_element (array, i), "node-name"), name))
      return TRUE;
  return FALSE;
}

/* A server on a descriptor: it speaks to whoever connects. */
static void
test_getfd_listening (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GSocket) listening = NULL;
  g_autoptr(GSocket) socket = NULL;
  g_autoptr(GSocketAddress) address = NULL;
  g_autoptr(GUnixFDList) fd_list = g_unix_fd_list_new ();
  g_autofree char *path = NULL;
  g_autoptr(GError) error = NULL;
  char magic[8];
  AqmpClient *client;

  if (qemu == NULL)
    return;

  path = g_build_filename (qemu_get_directory (qemu), "nbd.sock", NULL);
  address = g_unix_socket_address_new (path);
  listening = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_assert_true (g_socket_bind (listening, address, FALSE, NULL) && g_socket_listen (listening, NULL));
  g_unix_fd_list_append (fd_list, g_socket_get_fd (listening), &error);
  g_assert_no_error (error);

  client = session_new (qemu);
  execute_well (client, "getfd", "{\"fdname\": \"nbd\"}", fd_list);
  execute_well (client, "nbd-server-start", "{\"addr\": {\"type\": \"fd\", \"data\": {\"str\": \"nbd\"}}}", NULL);

  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_socket_set_timeout (socket, TEST_BOUND_SECONDS);
  g_assert_true (g_socket_connect (socket, address, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_socket_receive (socket, magic, sizeof magic, NULL, &error), ==, sizeof magic);
  g_assert_cmpmem (magic, sizeof magic, "NBDMAGIC", 8);
  session_end (client);
}

static void
test_add_fd (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GUnixFDList) fd_list = NULL;
  g_autofree char *path = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  path = qemu_create_image (qemu_get_directory (qemu), "disk.raw", "raw", "1M");
  if (path == NULL)
    return;

  client = session_new (qemu);
  fd_list = list_of (open (path, O_RDWR | O_CLOEXEC));
  /* QEMU has only the descriptor. */
  g_assert_no_errno (unlink (path));
  execute_well (client, "add-fd", "{\"fdset-id\": 7}", fd_list);
  execute_well (client, "blockdev-add",
                "{\"driver\": \"file\", \"node-name\": \"from-fd\", \"filename\": \"/dev/fdset/7\"}", NULL);
  g_assert_true (has_block_node (client, "from-fd"));
  execute_well (client, "blockdev-del", "{\"node-name\": \"from-fd\"}", NULL);
  execute_well (client, "remove-fd", "{\"fdset-id\": 7}", NULL);
  session_end (client);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

static char *
fdname_arguments (gsize i)
{
  return g_strdup_printf ("{\"fdname\": \"fd%zu\"}", i);
}

/* All begun at once, and each of them is really there afterwards. */
static void
check_in_a_row (gboolean with_oob)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  AqmpClient *client = aqmp_client_new (NULL);
  TestSlot slots[N_IN_A_ROW] = { TEST_SLOT_INIT };
  g_autoptr(GError) error = NULL;
  guint n_fds;

  if (qemu == NULL)
    {
      g_object_unref (client);
      return;
    }

  aqmp_client_set_enable_oob (client, with_oob);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_client_get_oob_enabled (client), ==, with_oob);

  n_fds = test_count_fds ();
  for (gsize i = 0; i < N_IN_A_ROW; i++)
    {
      g_autoptr(GUnixFDList) fd_list = list_of_null ();
      g_autofree char *arguments = fdname_arguments (i);

      begin (client, "getfd", arguments, fd_list, &slots[i]);
    }
  for (gsize i = 0; i < N_IN_A_ROW; i++)
    {
      g_autoptr(JsonNode) node G_GNUC_UNUSED = finish (&slots[i], &error);

      g_assert_no_error (error);
      test_slot_clear (&slots[i]);
    }
  g_assert_cmpuint (test_count_fds (), ==, n_fds);

  for (gsize i = 0; i < N_IN_A_ROW; i++)
    {
      g_autofree char *arguments = fdname_arguments (i);

      execute_well (client, "closefd", arguments, NULL);
    }
  session_end (client);
}

static void
test_in_a_row_with_oob (void)
{
  check_in_a_row (TRUE);
}

static void
test_in_a_row_without_oob (void)
{
  check_in_a_row (FALSE);
}

/* ---- what cannot be ---------------------------------------------------------------------------------------------- */

/* QEMU says so if none has come: that is how the tests above know that it has. */
static void
test_none_supplied (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  g_assert_null (execute (client, "getfd", "{\"fdname\": \"none\"}", NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
  g_assert_nonnull (strstr (error->message, "SCM_RIGHTS"));
  session_end (client);
}

static void
test_not_over_tcp (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_TCP, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GUnixFDList) fd_list = list_of_null ();
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = aqmp_client_new (NULL);
  session_connect_to (client, qemu_get_connectable (qemu), &error);
  g_assert_no_error (error);
  g_assert_null (execute (client, "getfd", "{\"fdname\": \"x\"}", fd_list, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  session_check_works (client);
  session_end (client);
}

/* Given up while QEMU does not listen: it is executed all the same when it does, and the next one too. */
static void
test_given_up (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GUnixFDList) fd_list = list_of_null ();
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(JsonObject) arguments = json_object_new ();
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_auto(TestSlot) next = TEST_SLOT_INIT;
  g_autoptr(JsonNode) node = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  json_object_set_string_member (arguments, "fdname", "first");
  aqmp_client_execute_full_async (client, "getfd", arguments, fd_list, AQMP_EXECUTE_FLAGS_NONE, -1, cancellable,
                                  test_slot_callback, &slot);
  session_wait_written (client);
  begin (client, "getfd", "{\"fdname\": \"second\"}", fd_list, &next);
  g_cancellable_cancel (cancellable);
  g_assert_null (finish (&slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  qemu_thaw (qemu);
  node = finish (&next, &error);
  g_assert_no_error (error);
  execute_well (client, "closefd", "{\"fdname\": \"first\"}", NULL);
  execute_well (client, "closefd", "{\"fdname\": \"second\"}", NULL);
  session_end (client);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q10/getfd", test_getfd);
  g_test_add_func ("/qemu/Q10/getfd-listening", test_getfd_listening);
  g_test_add_func ("/qemu/Q10/add-fd", test_add_fd);
  g_test_add_func ("/qemu/Q10/in-a-row-with-oob", test_in_a_row_with_oob);
  g_test_add_func ("/qemu/Q10/in-a-row-without-oob", test_in_a_row_without_oob);
  g_test_add_func ("/qemu/Q10/none-supplied", test_none_supplied);
  g_test_add_func ("/qemu/Q10/not-over-tcp", test_not_over_tcp);
  g_test_add_func ("/qemu/Q10/given-up", test_given_up);

  return g_test_run ();
}
