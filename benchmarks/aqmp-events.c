/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Bursts of events. By option "heard" nobody listens ("none"), or a handler of the signal reads the data ("signal"). An event
   listener, once the API has it, goes beside them. */

#include "aqmp.h"

#include <err.h>
#include <string.h>

typedef struct
{
  AqmpClient *client;   /* (unowned) */
  GMainLoop *loop;      /* (unowned) */
  char *message;        /* (owned) */
  guint64 to_do;        /* bursts */
  guint64 heard;        /* events */
} Events;

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          gpointer    user_data)
{
  Events *self = user_data;
  JsonObject *data = aqmp_event_get_data (event);

  if (data == NULL || json_object_get_int_member (data, "offset") != 78)
    errx (1, "not the data that was sent");
  self->heard++;
}

static void on_reply (GObject      *client,
                      GAsyncResult *result,
                      gpointer      user_data);

static void
start_burst (Events *self)
{
  aqmp_client_execute_raw_async (self->client, self->message, NULL, NULL, on_reply, self);
}

static void
on_reply (GObject      *client,
          GAsyncResult *result,
          gpointer      user_data)
{
  Events *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = aqmp_client_execute_raw_finish (AQMP_CLIENT (client), result, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
  if (--self->to_do > 0)
    start_burst (self);
  else
    g_main_loop_quit (self->loop);
}

static void
do_bursts (Events  *self,
           guint64  count)
{
  if (count == 0)
    return;

  self->to_do = count;
  start_burst (self);
  g_main_loop_run (self->loop);
}

void
run_events (Bench *bench)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  guint64 burst = bench_number (bench, "burst", 1000);
  gboolean signal = strcmp (bench_text (bench, "heard", "none"), "signal") == 0;
  guint64 n_bursts = bench->count / burst;
  Events self = {
    .client = new_session (bench),
    .loop = loop,
    .message = g_strdup_printf ("{\"execute\":\"x-events\",\"arguments\":{\"count\":%" G_GUINT64_FORMAT ",\"data\":1}}",
                                burst),
  };

  if (signal)
    g_signal_connect (self.client, "event", G_CALLBACK (on_event), &self);

  do_bursts (&self, 1);
  bench_begin (bench);
  do_bursts (&self, n_bursts);
  bench_end (bench);
  if (signal && self.heard != (1 + n_bursts) * burst)
    errx (1, "%" G_GUINT64_FORMAT " events instead of %" G_GUINT64_FORMAT, self.heard, (1 + n_bursts) * burst);
  end_session (self.client);
  g_free (self.message);
}
