/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
/* Listens for a QEMU that connects by itself, prints its version, status and events, and ends when QEMU does or when it is
 * interrupted. In either order:
 *
 *   listen /tmp/vm.sock
 *   qemu-system-x86_64 -S -display none -mon chardev=qmp,mode=control \
 *     -chardev socket,id=qmp,path=/tmp/vm.sock,server=off,reconnect=1
 */
#include <aqmp-glib/aqmp-glib.h>
#include <err.h>
#include <glib-unix.h>
#include <stdlib.h>

static GMainLoop *loop;
static gboolean ending;
static int status;

static void
complain (const GError *error)
{
  warnx ("%s", error->message);
  status = EXIT_FAILURE;
}

static void
on_disconnected (GObject *client, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  /* This is where one hears why a session has failed. */
  if (!aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error))
    complain (error);
  g_main_loop_quit (loop);
}

/* Ends the session, or listening for it; and leaves no socket behind. */
static void
end (AqmpProtocol *client)
{
  if (ending)
    return;

  ending = TRUE;
  aqmp_protocol_disconnect_async (client, NULL, on_disconnected, NULL);
}

static gboolean
on_signal (gpointer client)
{
  end (client);
  return G_SOURCE_CONTINUE;
}

static void
on_runstate_changed (AqmpProtocol *client, AqmpRunstate runstate)
{
  /* QEMU has quit or was lost. */
  if (runstate == AQMP_RUNSTATE_DISCONNECTING)
    end (client);
}

static void
on_event (AqmpClient *client, AqmpEvent *event)
{
  g_print ("Event: %s\n", aqmp_event_get_name (event));
}

static void
on_status (GObject *client, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  if (reply != NULL)
    {
      g_print ("Status: %s\n", json_object_get_string_member (json_node_get_object (reply), "status"));
      return;
    }
  complain (error);
  end (AQMP_PROTOCOL (client));
}

static void
on_accepted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AqmpClient *client = AQMP_CLIENT (source);
  g_autoptr (GError) error = NULL;

  if (aqmp_protocol_accept_finish (AQMP_PROTOCOL (client), result, &error))
    {
      g_print ("Version: %s\n", aqmp_greeting_get_version_string (aqmp_client_get_greeting (client)));
      g_signal_connect (client, "runstate-changed", G_CALLBACK (on_runstate_changed), NULL);
      aqmp_client_execute_async (client, "query-status", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, on_status, NULL);
    }
  else if (!ending)
    {
      /* Nobody listens any more. */
      complain (error);
      g_main_loop_quit (loop);
    }
}

int
main (int argc, char **argv)
{
  g_autoptr (AqmpClient) client = aqmp_client_new ("vm0");
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnectable) address = aqmp_address_parse (argc == 2 ? argv[1] : "", &error);
  g_autoptr (GSocketAddress) effective = NULL;
  g_autofree char *text = NULL;

  if (address == NULL)
    errx (EXIT_FAILURE, "%s", error->message);
  if (!G_IS_SOCKET_ADDRESS (address))
    errx (EXIT_FAILURE, "To listen at a host, give its address as a number, such as 127.0.0.1:4444 or [::1]:4444");
  if (!aqmp_protocol_start_server (AQMP_PROTOCOL (client), G_SOCKET_ADDRESS (address), &effective, &error))
    errx (EXIT_FAILURE, "%s", error->message);

  text = g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (effective));
  g_print ("Listening: %s\n", text);
  loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGINT, on_signal, client);
  g_unix_signal_add (SIGTERM, on_signal, client);
  g_signal_connect (client, "event", G_CALLBACK (on_event), NULL);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (client), NULL, on_accepted, NULL);
  g_main_loop_run (loop);
  g_main_loop_unref (loop);
  return status;
}
