/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For how long nothing else runs on the main loop while replies arrive: the longest time between two runs of a source that
 * is always ready, for each reply, and of these the median. Whoever gets trees builds one by itself, too, after each reply: what
 * there is to compare with.
 *
 * Time is that of the thread: on the core that it shares with the server, the clock would show the server's as well.
 */

#include "aqmp.h"

#include <err.h>
#include <time.h>

typedef struct
{
  Call call;
  AqmpClient *client;   /* (unowned) */
  GMainLoop *loop;      /* (unowned) */
  guint64 to_do;
  gint64 last;          /* ns: the ready source ran; −1: not in this reply */
  gint64 longest;
  GArray *pauses;       /* (owned): the longest one of each reply */
  char *text;           /* (owned) (nullable): a reply, to build its tree alone */
  GArray *in_builds;    /* (owned): the longest pause of each reply as multiple of the time that took right after it */
} Pauses;

static gint64
get_thread_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * G_GINT64_CONSTANT (1000000000) + time.tv_nsec;
}

static void
look_at_clock (Pauses *self)
{
  gint64 now = get_thread_time ();

  self->longest = MAX (self->longest, now - self->last);
  self->last = now;
}

static gboolean
on_ready (gpointer user_data)
{
  look_at_clock (user_data);
  return G_SOURCE_CONTINUE;
}

/* Checked strictly, built and freed, as with a reply; also in that its text comes and goes, since the allocator joins what trees have
   left when it is asked for a big block. */
static void
build_alone (Pauses *self)
{
  g_autoptr (GError) error = NULL;
  gint64 start = get_thread_time ();
  char *text = g_strdup (self->text);
  JsonObject *tree = aqmp_arguments_parse (text, &error);
  double in_builds;

  if (tree == NULL)
    errx (1, "%s", error->message);
  g_free (text);
  json_object_unref (tree);
  in_builds = self->longest / (double) (get_thread_time () - start);
  g_array_append_val (self->in_builds, in_builds);
}

static char *
get_text (Pauses *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = aqmp_client_execute_raw_sync (self->client, self->call.message, NULL, NULL, &error);

  if (reply == NULL)
    errx (1, "%s", error->message);
  return g_strndup (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
}

static void on_reply (GObject      *client,
                      GAsyncResult *result,
                      gpointer      user_data);

static void
start_call (Pauses *self)
{
  self->last = get_thread_time ();
  self->longest = 0;
  call_start (&self->call, self->client, on_reply, self);
}

/* Not from the callback, where it would be part of the pause before. */
static gboolean
on_done (gpointer user_data)
{
  Pauses *self = user_data;

  look_at_clock (self);
  g_array_append_val (self->pauses, self->longest);
  if (self->text != NULL)
    build_alone (self);
  if (--self->to_do > 0)
    start_call (self);
  else
    g_main_loop_quit (self->loop);
  return G_SOURCE_REMOVE;
}

static void
on_reply (GObject      *client,
          GAsyncResult *result,
          gpointer      user_data)
{
  Pauses *self = user_data;

  call_finish (&self->call, client, result);
  g_idle_add_full (G_PRIORITY_DEFAULT, on_done, self, NULL);
}

static void
do_calls (Pauses  *self,
          guint64  count)
{
  if (count == 0)
    return;

  self->to_do = count;
  start_call (self);
  g_main_loop_run (self->loop);
}

static int
compare_times (gconstpointer a,
               gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

static int
compare_ratios (gconstpointer a,
                gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static void
note_medians (Pauses *self,
              Bench  *bench)
{
  g_array_sort (self->pauses, compare_times);
  bench_note (bench, "pause_us", g_array_index (self->pauses, gint64, self->pauses->len / 2) / 1000.0);

  if (self->in_builds->len > 0)
    {
      g_array_sort (self->in_builds, compare_ratios);
      bench_note (bench, "pause_in_builds", g_array_index (self->in_builds, double, self->in_builds->len / 2));
    }
}

void
run_pauses (Bench *bench)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GArray) pauses = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GArray) in_builds = g_array_new (FALSE, FALSE, sizeof (double));
  Pauses self = { .client = new_session (bench), .loop = loop, .pauses = pauses, .in_builds = in_builds };
  guint ready = g_idle_add_full (G_PRIORITY_DEFAULT, on_ready, &self, NULL);

  call_init (&self.call, bench);
  if (*self.call.form == 't')
    self.text = get_text (&self);
  do_calls (&self, bench_warm (bench));
  g_array_set_size (pauses, 0);
  g_array_set_size (in_builds, 0);
  bench_begin (bench);
  do_calls (&self, bench->count);
  note_medians (&self, bench);
  bench_end (bench);
  g_source_remove (ready);
  g_free (self.text);
  call_clear (&self.call);
  end_session (self.client);
}
