/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

void
bench_init (Bench  *self,
            int     argc,
            char  **argv)
{
  struct rlimit limit;

  if (argc < 4)
    errx (2, "usage: %s SOCKET WORK COUNT [KEY=VALUE]...", argv[0]);

  *self = (Bench) {
    .socket = argv[1],
    .work = argv[2],
    .count = g_ascii_strtoull (argv[3], NULL, 10),
    .options = argv + 4,
    .notes = g_string_new (NULL),
  };

  /* For many sessions at once. */
  if (getrlimit (RLIMIT_NOFILE, &limit) == 0)
    {
      limit.rlim_cur = limit.rlim_max;
      setrlimit (RLIMIT_NOFILE, &limit);
    }
}

const char *
bench_text (const Bench *self,
            const char  *key,
            const char  *preset)
{
  gsize length = strlen (key);

  for (char **option = self->options; *option != NULL; option++)
    {
      if (strncmp (*option, key, length) == 0 && (*option)[length] == '=')
        return *option + length + 1;
    }

  return preset;
}

guint64
bench_number (const Bench *self,
              const char  *key,
              guint64      preset)
{
  const char *text = bench_text (self, key, NULL);

  return text != NULL ? g_ascii_strtoull (text, NULL, 10) : preset;
}

gboolean
bench_is (const Bench *self,
          const char  *work)
{
  return strcmp (self->work, work) == 0;
}

guint64
bench_warm (const Bench *self)
{
  return bench_number (self, "warm", 10);
}

static double
seconds_of (const struct timeval *time)
{
  return time->tv_sec + time->tv_usec / 1e6;
}

static double
get_cpu (void)
{
  struct rusage usage;

  if (getrusage (RUSAGE_SELF, &usage) < 0)
    err (1, "getrusage");

  return seconds_of (&usage.ru_utime) + seconds_of (&usage.ru_stime);
}

void
bench_begin (Bench *self)
{
  self->cpu_start = get_cpu ();
  self->start = g_get_monotonic_time ();
}

void
bench_end (Bench *self)
{
  double seconds = (g_get_monotonic_time () - self->start) / 1e6;
  double cpu = get_cpu () - self->cpu_start;

  printf ("{\"count\": %" G_GUINT64_FORMAT ", \"seconds\": %.6f, \"cpu\": %.6f%s}\n",
          self->count, seconds, cpu, self->notes->str);
  g_string_free (self->notes, TRUE);
}

void
bench_note (Bench      *self,
            const char *key,
            double      value)
{
  g_string_append_printf (self->notes, ", \"%s\": %.3f", key, value);
}

char *
bench_arguments (const Bench *self)
{
  guint64 bytes = bench_number (self, "bytes", 0);
  guint64 piece = bench_number (self, "piece", 0);

  if (bytes == 0)
    return NULL;

  return g_strdup_printf ("{\"bytes\":%" G_GUINT64_FORMAT ",\"piece\":%" G_GUINT64_FORMAT "}", bytes, piece);
}

char *
bench_command (const Bench *self)
{
  g_autofree char *arguments = bench_arguments (self);
  const char *name = bench_text (self, "command", "query-status");

  if (arguments == NULL)
    return g_strdup_printf ("{\"execute\":\"%s\"}", name);

  return g_strdup_printf ("{\"execute\":\"%s\",\"arguments\":%s}", name, arguments);
}

double
bench_memory (const char *name)
{
  g_autofree char *text = NULL;
  const char *found;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL) || (found = strstr (text, name)) == NULL)
    errx (1, "/proc/self/status does not tell %s", name);

  return g_ascii_strtod (found + strlen (name) + 1, NULL);
}

void
bench_reset_peak (void)
{
  FILE *file = fopen ("/proc/self/clear_refs", "w");

  if (file == NULL || fputs ("5", file) < 0 || fclose (file) != 0)
    err (1, "/proc/self/clear_refs");
}

guint
bench_threads (void)
{
  return bench_memory ("Threads");
}
