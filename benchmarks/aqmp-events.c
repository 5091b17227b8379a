/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Bursts of events. By option "heard" nobody listens ("none"), or the data is read: by a handler of the signal ("signal"), or by
   whoever takes the next one from a listener again and again ("listener"). */

#include "aqmp.h"

#include <err.h>
#include <string.h>

typedef struct
{
  AqmpClient *client;           /* (unowned) */
  AqmpEventListener *listener;  /* (owned) (nullable) */
  GMainLoop *loop;              /* (unowned) */
  char *message;                /* (owned) */
  guint64 burst;                /* events in each */
  guint64 to_do;                /* bursts */
  guint64 to_take;              /* events of this burst, from the listener */
  guint64 heard;                /* events */
  gboolean replied;             /* to the command that asked for this burst */
} Events;

static void
hear (Events    *self,
      AqmpEvent *event)
{
  JsonObject *data = aqmp_event_get_data (event);

  if (data == NULL || json_object_get_int_member (data, "offset") != 78)
    errx (1, "not the data that was sent");
  self->heard++;
}

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          gpointer    user_data)
{
  hear (user_data, event);
}

static void on_reply (GObject      *client,
                      GAsyncResult *result,
                      gpointer      user_data);
static void on_next (GObject      *listener,
                     GAsyncResult *result,
                     gpointer      user_data);

static void
start_burst (Events *self)
{
  self->replied = FALSE;
  aqmp_client_execute_raw_async (self->client, self->message, NULL, NULL, on_reply, self);
  if (self->listener != NULL)
    {
      self->to_take = self->burst;
      aqmp_event_listener_next_async (self->listener, NULL, on_next, self);
    }
}

/* The next burst waits until this one has been taken: a listener keeps only so many. */
static void
go_on (Events *self)
{
  if (!self->replied || self->to_take > 0)
    return;

  if (--self->to_do > 0)
    start_burst (self);
  else
    g_main_loop_quit (self->loop);
}

static void
on_next (GObject      *listener,
         GAsyncResult *result,
         gpointer      user_data)
{
  Events *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, &error);

  if (event == NULL)
    errx (1, "%s", error->message);
  hear (self, event);
  if (--self->to_take > 0)
    aqmp_event_listener_next_async (AQMP_EVENT_LISTENER (listener), NULL, on_next, self);
  else
    go_on (self);
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
  if (self->listener != NULL && aqmp_event_listener_get_n_dropped (self->listener) > 0)
    errx (1, "the listener has dropped events");
  self->replied = TRUE;
  go_on (self);
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

static void
start_hearing (Events     *self,
               const char *how)
{
  if (strcmp (how, "signal") == 0)
    g_signal_connect (self->client, "event", G_CALLBACK (on_event), self);
  else if (strcmp (how, "listener") == 0)
    {
      self->listener = aqmp_client_listen (self->client, NULL, NULL, NULL, NULL);
      aqmp_event_listener_set_max_pending (self->listener, self->burst);
    }
}

void
run_events (Bench *bench)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  const char *how = bench_text (bench, "heard", "none");
  guint64 burst = bench_number (bench, "burst", 1000);
  guint64 n_bursts = bench->count / burst;
  Events self = {
    .client = new_session (bench),
    .loop = loop,
    .message = g_strdup_printf ("{\"execute\":\"x-events\",\"arguments\":{\"count\":%" G_GUINT64_FORMAT ",\"data\":1}}",
                                burst),
    .burst = burst,
  };

  start_hearing (&self, how);
  do_bursts (&self, 1);
  bench_begin (bench);
  do_bursts (&self, n_bursts);
  bench_end (bench);
  if (strcmp (how, "none") != 0 && self.heard != (1 + n_bursts) * burst)
    errx (1, "%" G_GUINT64_FORMAT " events instead of %" G_GUINT64_FORMAT, self.heard, (1 + n_bursts) * burst);
  end_session (self.client);
  g_clear_object (&self.listener);
  g_free (self.message);
}
