/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The blocking forms, called in the owner's thread. No main loop runs. */

#include "aqmp.h"

#include <err.h>

static void
do_raw_call (Call       *call,
             AqmpClient *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = aqmp_client_execute_raw_sync (client, call->message, NULL, NULL, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
}

static void
do_tree_call (Call       *call,
              AqmpClient *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_sync (client, call->command, call->arguments, AQMP_EXECUTE_FLAGS_NONE,
                                                         NULL, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
}

static void
do_calls (Call       *call,
          AqmpClient *client,
          guint64     count)
{
  for (guint64 i = 0; i < count; i++)
    {
      if (*call->form == 't')
        do_tree_call (call, client);
      else
        do_raw_call (call, client);
    }
}

void
run_blocking (Bench *bench)
{
  AqmpClient *client = new_session (bench);
  Call call;

  call_init (&call, bench);
  do_calls (&call, client, bench_warm (bench));
  bench_begin (bench);
  do_calls (&call, client, bench->count);
  bench_end (bench);
  call_clear (&call);
  end_session (client);
}
