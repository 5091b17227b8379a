/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "session.h"

#include <gio/gunixsocketaddress.h>
#include <poll.h>
#include <sys/socket.h>

/* Twice what the smallest buffer that there is can hold, and more. */
#define STUFFING (32 * 1024)

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

gboolean
session_connect (AqmpClient  *client,
                 Qemu        *qemu,
                 GError     **error)
{
  g_autoptr(GIOStream) stream = NULL;

  if (qemu_get_connectable (qemu) != NULL)
    return session_connect_to (client, qemu_get_connectable (qemu), error);

  stream = qemu_get_stream (qemu);
  return session_open (client, stream, error);
}

gboolean
session_connect_to (AqmpClient          *client,
                    GSocketConnectable  *address,
                    GError             **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), address, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  return aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, error);
}

gboolean
session_open (AqmpClient  *client,
              GIOStream   *stream,
              GError     **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;

  aqmp_protocol_open_async (AQMP_PROTOCOL (client), stream, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  return aqmp_protocol_open_finish (AQMP_PROTOCOL (client), result, error);
}

gboolean
session_disconnect (AqmpClient  *client,
                    GError     **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;

  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  return aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, error);
}

AqmpClient *
session_new (Qemu *qemu)
{
  AqmpClient *client = aqmp_client_new ("test");
  g_autoptr(GError) error = NULL;

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_RUNNING);

  return client;
}

void
session_end (AqmpClient *client)
{
  g_autoptr(GError) error = NULL;

  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_object_unref (client);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

void
session_begin (AqmpClient   *client,
               const char   *command,
               const char   *arguments,
               GCancellable *cancellable,
               TestSlot     *slot)
{
  g_autoptr(JsonObject) object = NULL;
  g_autoptr(GError) error = NULL;

  if (arguments != NULL)
    {
      object = aqmp_arguments_parse (arguments, &error);
      g_assert_no_error (error);
    }
  aqmp_client_execute_async (client, command, object, AQMP_EXECUTE_FLAGS_NONE, cancellable, test_slot_callback, slot);
}

JsonNode *
session_await (TestSlot  *slot,
               GError   **error)
{
  g_autoptr(GAsyncResult) result = test_await (slot);
  g_autoptr(GObject) client = g_async_result_get_source_object (result);

  return aqmp_client_execute_finish (AQMP_CLIENT (client), result, error);
}

JsonNode *
session_execute (AqmpClient  *client,
                 const char  *command,
                 const char  *arguments,
                 GError     **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  session_begin (client, command, arguments, NULL, &slot);
  return session_await (&slot, error);
}

void
session_do (AqmpClient *client,
            const char *command,
            const char *arguments)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = session_execute (client, command, arguments, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
}

void
session_do_sync (AqmpClient *client,
                 const char *command)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = aqmp_client_execute_sync (client, command, NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
}

char *
session_execute_raw (AqmpClient  *client,
                     const char  *message,
                     GError     **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GBytes) reply = NULL;

  aqmp_client_execute_raw_async (client, message, NULL, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  reply = aqmp_client_execute_raw_finish (client, result, error);

  return reply != NULL ? g_strndup (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply)) : NULL;
}

void
session_check_works (AqmpClient *client)
{
  AqmpGreeting *greeting = aqmp_client_get_greeting (client);
  g_autoptr(JsonNode) version = NULL;
  g_autoptr(GError) error = NULL;
  JsonObject *qemu;

  version = session_execute (client, "query-version", NULL, &error);
  g_assert_no_error (error);
  qemu = json_object_get_object_member (json_node_get_object (version), "qemu");
  g_assert_cmpint (json_object_get_int_member (qemu, "major"), ==, aqmp_greeting_get_major (greeting));
}

void
session_wait_written (AqmpClient *client)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;

  aqmp_protocol_flush_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_flush_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), ==, 0);
}

static GSocket *
get_socket (AqmpClient *client)
{
  GIOStream *stream = aqmp_protocol_get_stream (AQMP_PROTOCOL (client));

  return g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream));
}

void
session_stuff (AqmpClient *client)
{
  g_autoptr(GBytes) message = g_bytes_new_take (g_strnfill (STUFFING, ' '), STUFFING);
  g_autoptr(GError) error = NULL;

  /* QEMU reads byte by byte: a full buffer of the usual size would take it seconds. */
  g_assert_true (g_socket_set_option (get_socket (client), SOL_SOCKET, SO_SNDBUF, 4096, NULL));
  g_assert_true (aqmp_protocol_send_message (AQMP_PROTOCOL (client), message, &error));
  g_assert_no_error (error);
}

void
session_wait_arrived (AqmpClient *client)
{
  struct pollfd poll_fd = { .events = POLLIN };

  poll_fd.fd = g_socket_get_fd (get_socket (client));
  g_assert_cmpint (poll (&poll_fd, 1, (int) (test_bound_us () / 1000)), ==, 1);
}

GObject *
session_begin_hang (AqmpClient *client,
                    Qemu       *qemu,
                    TestSlot   *slot)
{
  g_autofree char *path = g_build_filename (qemu_get_directory (qemu), "nbd.sock", NULL);
  g_autofree char *arguments = NULL;
  g_autoptr(GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr(GSocketListener) listener = g_socket_listener_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) accepted = TEST_SLOT_INIT;
  GSocketConnection *connection;

  g_socket_listener_add_address (listener, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, &error);
  g_assert_no_error (error);
  g_socket_listener_accept_async (listener, NULL, test_slot_callback, &accepted);

  arguments = g_strdup_printf ("{\"driver\": \"nbd\", \"node-name\": \"silent\", "
                               "\"server\": {\"type\": \"unix\", \"path\": \"%s\"}}", path);
  session_begin (client, "blockdev-add", arguments, NULL, slot);

  result = test_await (&accepted);
  connection = g_socket_listener_accept_finish (listener, result, NULL, &error);
  g_assert_no_error (error);

  return G_OBJECT (connection);
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

typedef struct
{
  GString *text;        /* (unowned) */
  guint    n_notified;
  guint    n_signalled;
} Recorder;

static void
recorder_free (gpointer  data,
               GClosure *closure)
{
  g_free (data);
}

static void
on_notify (GObject    *client,
           GParamSpec *pspec,
           gpointer    user_data)
{
  Recorder *recorder = user_data;

  recorder->n_notified++;
}

static void
on_runstate_changed (AqmpProtocol *client,
                     AqmpRunstate  runstate,
                     gpointer      user_data)
{
  Recorder *recorder = user_data;
  g_autoptr(GEnumClass) enum_class = g_type_class_ref (AQMP_TYPE_RUNSTATE);

  recorder->n_signalled++;
  g_assert_cmpuint (recorder->n_notified, ==, recorder->n_signalled);
  g_assert_cmpint (aqmp_protocol_get_runstate (client), ==, runstate);

  if (recorder->text->len > 0)
    g_string_append_c (recorder->text, ' ');
  g_string_append (recorder->text, g_enum_get_value (enum_class, (int) runstate)->value_nick);
}

GString *
session_record (AqmpClient *client)
{
  Recorder *recorder = g_new0 (Recorder, 1);

  recorder->text = g_string_new (NULL);
  g_signal_connect (client, "notify::runstate", G_CALLBACK (on_notify), recorder);
  g_signal_connect_data (client, "runstate-changed", G_CALLBACK (on_runstate_changed), recorder, recorder_free, 0);

  return recorder->text;
}
