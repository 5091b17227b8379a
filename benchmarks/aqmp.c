/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp.h"

#include <err.h>
#include <string.h>

static const struct
{
  const char *work;
  void (*run) (Bench *bench);
} works[] = {
  { "calls", run_calls },
  { "blocking", run_blocking },
  { "connect", run_connects },
  { "events", run_events },
  { "memory", run_memory },
  { "pauses", run_pauses },
  { "sessions", run_sessions },
};

static void
on_connected (GObject      *client,
              GAsyncResult *result,
              gpointer      user_data)
{
  g_autoptr (GError) error = NULL;
  gboolean *connected = user_data;

  if (!aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error))
    errx (1, "%s", error->message);
  *connected = TRUE;
}

AqmpClient *
new_session (const Bench *bench)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnectable) address = aqmp_address_parse (bench->socket, &error);
  AqmpClient *client = aqmp_client_new (NULL);
  guint64 bytes = bench_number (bench, "bytes", 0);
  gboolean connected = FALSE;

  if (address == NULL)
    errx (1, "%s", error->message);

  /* What is around the value is some dozen bytes. */
  if (bytes + 1024 > aqmp_protocol_get_max_message_size (AQMP_PROTOCOL (client)))
    aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), bytes + 1024);

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), address, NULL, on_connected, &connected);
  while (!connected)
    g_main_context_iteration (NULL, TRUE);

  return client;
}

void
end_session (AqmpClient *client)
{
  g_autoptr (GError) error = NULL;

  if (!aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error))
    errx (1, "%s", error->message);
  g_object_unref (client);
}

int
main (int argc, char **argv)
{
  Bench bench;

  bench_init (&bench, argc, argv);
  for (guint i = 0; i < G_N_ELEMENTS (works); i++)
    {
      if (bench_is (&bench, works[i].work))
        {
          works[i].run (&bench);
          return 0;
        }
    }

  errx (2, "no such work: %s", bench.work);
}
