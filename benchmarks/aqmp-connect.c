/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Connect, negotiate, disconnect; with a new client each time. */

#include "aqmp.h"

#include <err.h>

typedef struct
{
  GSocketConnectable *address;  /* (owned) */
  GMainLoop *loop;              /* (owned) */
  guint64 to_do;
} Connects;

static void connect_next (Connects *self);

static void
on_disconnected (GObject      *client,
                 GAsyncResult *result,
                 gpointer      user_data)
{
  Connects *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error))
    errx (1, "%s", error->message);
  if (--self->to_do > 0)
    connect_next (self);
  else
    g_main_loop_quit (self->loop);
}

static void
on_connected (GObject      *client,
              GAsyncResult *result,
              gpointer      user_data)
{
  g_autoptr (GError) error = NULL;

  if (!aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error))
    errx (1, "%s", error->message);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, on_disconnected, user_data);
}

static void
connect_next (Connects *self)
{
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), self->address, NULL, on_connected, self);
}

static void
do_connects (Connects *self,
             guint64   count)
{
  if (count == 0)
    return;

  self->to_do = count;
  connect_next (self);
  g_main_loop_run (self->loop);
}

void
run_connects (Bench *bench)
{
  Connects self = {
    .address = aqmp_address_parse (bench->socket, NULL),
    .loop = g_main_loop_new (NULL, FALSE),
  };

  do_connects (&self, bench_warm (bench));
  bench_begin (bench);
  do_connects (&self, bench->count);
  bench_end (bench);
  g_object_unref (self.address);
  g_main_loop_unref (self.loop);
}
