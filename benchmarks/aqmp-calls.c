/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp.h"

#include <err.h>
#include <string.h>

typedef struct
{
  Call call;
  AqmpClient *client;   /* (unowned) */
  GMainLoop *loop;      /* (unowned) */
  guint64 to_start;
  guint64 to_finish;
} Calls;

void
call_init (Call        *self,
           const Bench *bench)
{
  g_autofree char *arguments = bench_arguments (bench);

  *self = (Call) {
    .form = bench_text (bench, "form", "raw"),
    .message = bench_command (bench),
    .command = bench_text (bench, "command", "query-status"),
    .arguments = arguments != NULL ? aqmp_arguments_parse (arguments, NULL) : NULL,
    .parser = json_parser_new (),
  };
}

void
call_clear (Call *self)
{
  g_free (self->message);
  g_clear_pointer (&self->arguments, json_object_unref);
  g_object_unref (self->parser);
}

void
call_start (Call                *self,
            AqmpClient          *client,
            GAsyncReadyCallback  callback,
            gpointer             user_data)
{
  if (*self->form == 't')
    aqmp_client_execute_async (client, self->command, self->arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, callback, user_data);
  else
    aqmp_client_execute_raw_async (client, self->message, NULL, NULL, callback, user_data);
}

static void
finish_tree (GObject      *client,
             GAsyncResult *result)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
  if (JSON_NODE_HOLDS_VALUE (reply))
    errx (1, "neither an object nor an array");
}

static void
finish_raw (GObject      *client,
            GAsyncResult *result,
            JsonParser   *parser)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = aqmp_client_execute_raw_finish (AQMP_CLIENT (client), result, &error);
  gsize length;
  const char *text;

  if (reply == NULL)
    errx (1, "%s", error->message);
  text = g_bytes_get_data (reply, &length);
  if (text[0] != '{')
    errx (1, "no object");
  if (parser != NULL && !json_parser_load_from_data (parser, text, length, &error))
    errx (1, "%s", error->message);
}

void
call_finish (Call         *self,
             GObject      *client,
             GAsyncResult *result)
{
  if (*self->form == 't')
    finish_tree (client, result);
  else
    finish_raw (client, result, *self->form == 'p' ? self->parser : NULL);
}

static void on_reply (GObject      *client,
                      GAsyncResult *result,
                      gpointer      user_data);

static void
start_next (Calls *self)
{
  self->to_start--;
  call_start (&self->call, self->client, on_reply, self);
}

static void
on_reply (GObject      *client,
          GAsyncResult *result,
          gpointer      user_data)
{
  Calls *self = user_data;

  call_finish (&self->call, client, result);
  if (self->to_start > 0)
    start_next (self);
  if (--self->to_finish == 0)
    g_main_loop_quit (self->loop);
}

static void
do_calls (Calls   *self,
          guint64  in_flight,
          guint64  count)
{
  if (count == 0)
    return;

  self->to_start = count;
  self->to_finish = count;
  for (guint64 i = 0; i < in_flight && self->to_start > 0; i++)
    start_next (self);
  g_main_loop_run (self->loop);
}

void
run_calls (Bench *bench)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  guint64 in_flight = bench_number (bench, "inflight", 1);
  Calls self = { .client = new_session (bench), .loop = loop };

  call_init (&self.call, bench);
  do_calls (&self, in_flight, bench_warm (bench));
  bench_begin (bench);
  do_calls (&self, in_flight, bench->count);
  bench_end (bench);
  call_clear (&self.call);
  end_session (self.client);
}
