/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* How much memory one reply of "bytes" takes at most, and how much is left of that afterwards; in kB. */

#include "aqmp.h"

static void
on_reply (GObject      *client,
          GAsyncResult *result,
          gpointer      user_data)
{
  Call **call = user_data;

  call_finish (*call, client, result);
  *call = NULL;
}

static void
do_call (Call       *call,
         AqmpClient *client)
{
  Call *pending = call;

  call_start (call, client, on_reply, &pending);
  while (pending != NULL)
    g_main_context_iteration (NULL, TRUE);
}

void
run_memory (Bench *bench)
{
  AqmpClient *client = new_session (bench);
  char *no_options[] = { NULL };
  Bench small = { .options = no_options };
  Call small_call, call;
  double before;

  call_init (&small_call, &small);
  call_init (&call, bench);

  /* Everything that is made once is there. */
  do_call (&small_call, client);
  before = bench_memory ("VmRSS");
  bench_reset_peak ();

  bench_begin (bench);
  for (guint64 i = 0; i < bench->count; i++)
    do_call (&call, client);
  bench_note (bench, "peak_kb", bench_memory ("VmHWM") - before);
  do_call (&small_call, client);
  bench_note (bench, "after_kb", bench_memory ("VmRSS") - before);
  bench_end (bench);

  call_clear (&small_call);
  call_clear (&call);
  end_session (client);
}
