/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Many sessions on one loop: what each takes while it is idle, and what a call costs with "active" of them busy, by default
   all. A busy one has one call on its way at any time. */

#include "aqmp.h"

typedef struct
{
  Call call;
  GMainLoop *loop;      /* (unowned) */
  guint64 to_start;
  guint64 to_finish;
} Sessions;

static void
on_reply (GObject      *client,
          GAsyncResult *result,
          gpointer      user_data)
{
  Sessions *self = user_data;

  call_finish (&self->call, client, result);
  if (self->to_start > 0)
    {
      self->to_start--;
      call_start (&self->call, AQMP_CLIENT (client), on_reply, self);
    }
  if (--self->to_finish == 0)
    g_main_loop_quit (self->loop);
}

static void
do_calls (Sessions  *self,
          GPtrArray *clients,
          guint64    active,
          guint64    count)
{
  self->to_start = count;
  self->to_finish = count;
  for (guint64 i = 0; i < active && self->to_start > 0; i++)
    {
      self->to_start--;
      call_start (&self->call, clients->pdata[i], on_reply, self);
    }
  g_main_loop_run (self->loop);
}

void
run_sessions (Bench *bench)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GPtrArray) clients = g_ptr_array_new_with_free_func ((GDestroyNotify) end_session);
  guint64 n = bench_number (bench, "sessions", 1);
  guint64 active = bench_number (bench, "active", n);
  Sessions self = { .loop = loop };
  double before;

  call_init (&self.call, bench);

  /* One session first: it brings what is made once for all. */
  g_ptr_array_add (clients, new_session (bench));
  before = bench_memory ("VmRSS");
  for (guint64 i = 1; i < n; i++)
    g_ptr_array_add (clients, new_session (bench));
  if (n > 1)
    bench_note (bench, "session_kb", (bench_memory ("VmRSS") - before) / (n - 1));
  bench_note (bench, "threads", bench_threads ());

  do_calls (&self, clients, n, n);
  bench_begin (bench);
  do_calls (&self, clients, active, bench->count);
  bench_end (bench);
  call_clear (&self.call);
}
