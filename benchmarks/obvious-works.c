/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What is measured of the obvious client. */

#include "obvious.h"

#include "bench.h"

#include <err.h>
#include <gio/gunixsocketaddress.h>

typedef struct
{
  const Bench *bench;
  GMainLoop *loop;              /* (owned) */
  GSocketAddress *address;      /* (owned) */
  ObviousClient *client;        /* (owned) (nullable) */
  const char *command;
  JsonObject *arguments;        /* (owned) (nullable) */
  guint64 to_start;
  guint64 to_finish;
  guint64 heard;
} Works;

static void on_reply (GObject      *client,
                      GAsyncResult *result,
                      gpointer      user_data);
static void on_session (GObject      *client,
                        GAsyncResult *result,
                        gpointer      user_data);

static void
start_call (Works *self)
{
  self->to_start--;
  obvious_client_execute_async (self->client, self->command, self->arguments, on_reply, self);
}

static void
on_reply (GObject      *client,
          GAsyncResult *result,
          gpointer      user_data)
{
  Works *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = obvious_client_execute_finish (OBVIOUS_CLIENT (client), result, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
  if (self->to_start > 0)
    start_call (self);
  if (--self->to_finish == 0)
    g_main_loop_quit (self->loop);
}

static void
do_calls (Works   *self,
          guint64  in_flight,
          guint64  count)
{
  if (count == 0)
    return;

  self->to_start = count;
  self->to_finish = count;
  for (guint64 i = 0; i < in_flight && self->to_start > 0; i++)
    start_call (self);
  g_main_loop_run (self->loop);
}

static void
on_connected (GObject      *client,
              GAsyncResult *result,
              gpointer      user_data)
{
  Works *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!obvious_client_connect_finish (OBVIOUS_CLIENT (client), result, &error))
    errx (1, "%s", error->message);
  g_main_loop_quit (self->loop);
}

static void
open_session (Works *self)
{
  self->client = obvious_client_new ();
  obvious_client_connect_async (self->client, G_SOCKET_CONNECTABLE (self->address), on_connected, self);
  g_main_loop_run (self->loop);
}

static void
run_calls (Works *self,
           Bench *bench)
{
  g_autofree char *arguments = bench_arguments (bench);
  guint64 in_flight = bench_number (bench, "inflight", 1);

  if (arguments != NULL)
    self->arguments = json_node_dup_object (json_from_string (arguments, NULL));
  self->command = bench_text (bench, "command", "query-status");
  open_session (self);
  do_calls (self, in_flight, bench_warm (bench));
  bench_begin (bench);
  do_calls (self, in_flight, bench->count);
  bench_end (bench);
}

static void
on_event (ObviousClient *client,
          const char    *name,
          JsonObject    *data,
          gpointer       user_data)
{
  Works *self = user_data;

  if (data == NULL || json_object_get_int_member (data, "offset") != 78)
    errx (1, "not the data that was sent");
  self->heard++;
}

static void
run_events (Works *self,
            Bench *bench)
{
  guint64 burst = bench_number (bench, "burst", 1000);

  self->command = "x-events";
  self->arguments = json_object_new ();
  json_object_set_int_member (self->arguments, "count", burst);
  json_object_set_int_member (self->arguments, "data", 1);
  open_session (self);
  g_signal_connect (self->client, "event", G_CALLBACK (on_event), self);
  do_calls (self, 1, 1);
  bench_begin (bench);
  do_calls (self, 1, bench->count / burst);
  bench_end (bench);
  if (self->heard != (bench->count / burst + 1) * burst)
    errx (1, "events are missing");
}

static void
connect_next (Works *self)
{
  g_autoptr (ObviousClient) client = obvious_client_new ();

  obvious_client_connect_async (client, G_SOCKET_CONNECTABLE (self->address), on_session, self);
}

static void
on_disconnected (GObject      *client,
                 GAsyncResult *result,
                 gpointer      user_data)
{
  Works *self = user_data;

  if (!obvious_client_disconnect_finish (OBVIOUS_CLIENT (client), result, NULL))
    errx (1, "not disconnected");
  if (--self->to_finish > 0)
    connect_next (self);
  else
    g_main_loop_quit (self->loop);
}

static void
on_session (GObject      *client,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (GError) error = NULL;

  if (!obvious_client_connect_finish (OBVIOUS_CLIENT (client), result, &error))
    errx (1, "%s", error->message);
  obvious_client_disconnect_async (OBVIOUS_CLIENT (client), on_disconnected, user_data);
}

static void
do_connects (Works   *self,
             guint64  count)
{
  if (count == 0)
    return;

  self->to_finish = count;
  connect_next (self);
  g_main_loop_run (self->loop);
}

static void
run_connects (Works *self,
              Bench *bench)
{
  do_connects (self, bench_warm (bench));
  bench_begin (bench);
  do_connects (self, bench->count);
  bench_end (bench);
}

int
main (int argc, char **argv)
{
  Bench bench;
  Works self = { &bench, };

  bench_init (&bench, argc, argv);
  self.loop = g_main_loop_new (NULL, FALSE);
  self.address = g_unix_socket_address_new (bench.socket);

  if (bench_is (&bench, "calls"))
    run_calls (&self, &bench);
  else if (bench_is (&bench, "events"))
    run_events (&self, &bench);
  else if (bench_is (&bench, "connect"))
    run_connects (&self, &bench);
  else
    errx (2, "the obvious client has no %s", bench.work);

  g_clear_object (&self.client);
  g_clear_pointer (&self.arguments, json_object_unref);
  g_object_unref (self.address);
  g_main_loop_unref (self.loop);
  return 0;
}
