/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
/* Prints version and status of a QEMU that was started with -S, resumes and stops its guest, and awaits both events. */
#include <err.h>
#include <aqmp-glib/aqmp-glib.h>

static const char * const commands[] = { "query-status", "cont", "stop" };
static guint n_replies;
static gboolean resumed, stopped, disconnected;
static GMainLoop *loop;

static void
on_disconnected (GObject *client, GAsyncResult *result, gpointer user_data)
{
  disconnected = aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, NULL);
  g_main_loop_quit (loop);
}

static void
disconnect_when_done (AqmpProtocol *client)
{
  if (resumed && stopped && n_replies == G_N_ELEMENTS (commands))
    aqmp_protocol_disconnect_async (client, NULL, on_disconnected, NULL);
}

static void
on_event (AqmpProtocol *client, AqmpEvent *event, gboolean *seen)
{
  g_print ("Event: %s\n", aqmp_event_get_name (event));
  *seen = TRUE;
  disconnect_when_done (client);
}

static void
on_reply (GObject *client, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
  if (n_replies++ == 0)
    g_print ("Status: %s\n", json_object_get_string_member (json_node_get_object (reply), "status"));
  disconnect_when_done (AQMP_PROTOCOL (client));
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AqmpClient *client = AQMP_CLIENT (source);
  g_autoptr (GError) error = NULL;

  if (!aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error))
    errx (1, "%s", error->message);
  g_print ("Version: %s\n", aqmp_greeting_get_version_string (aqmp_client_get_greeting (client)));
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) /* QEMU executes them in order: no need to wait in between */
    aqmp_client_execute_async (client, commands[i], NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, on_reply, NULL);
}

int
main (int argc, char **argv)
{
  g_autoptr (AqmpClient) client = aqmp_client_new ("vm0");
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnectable) address = aqmp_address_parse (argc == 2 ? argv[1] : "", &error);

  if (address == NULL)
    errx (1, "%s", error->message);
  loop = g_main_loop_new (NULL, FALSE);
  g_timeout_add_once (10000, (GSourceOnceFunc) g_main_loop_quit, loop);
  g_signal_connect (client, "event::RESUME", G_CALLBACK (on_event), &resumed);
  g_signal_connect (client, "event::STOP", G_CALLBACK (on_event), &stopped);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), address, NULL, on_connected, NULL);
  g_main_loop_run (loop);
  if (!disconnected)
    errx (1, "The guest was not seen to resume and to stop within 10 seconds");
  return 0;
}
