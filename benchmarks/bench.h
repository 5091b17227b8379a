/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the clients in C share: "PROGRAM SOCKET WORK COUNT [KEY=VALUE]...".
 *
 * A client does some of the work to get warm, then as much as COUNT says between bench_begin() and bench_end(), and prints
 * {"count": …, "seconds": …, "cpu": …} and what else it has noted. How much it does to get warm does not depend on COUNT, so
 * that the difference of two runs is that of the work alone.
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *socket;
  const char *work;
  guint64 count;
  char **options;       /* (unowned): "KEY=VALUE" */

  gint64 start;         /* µs */
  double cpu_start;     /* s */
  GString *notes;       /* (owned) */
} Bench;

void        bench_init        (Bench       *self,
                               int          argc,
                               char       **argv);

const char *bench_text        (const Bench *self,
                               const char  *key,
                               const char  *preset);
guint64     bench_number      (const Bench *self,
                               const char  *key,
                               guint64      preset);
gboolean    bench_is          (const Bench *self,
                               const char  *work);

/* How many operations to do before bench_begin(): the option "warm", 10 without it. */
guint64     bench_warm        (const Bench *self);

void        bench_begin       (Bench       *self);
/* Prints the result. */
void        bench_end         (Bench       *self);
/* One more number for the result. */
void        bench_note        (Bench       *self,
                               const char  *key,
                               double       value);

/* The text of the command that options "command", "bytes" and "piece" tell of, or of another one; without "id". */
char       *bench_command     (const Bench *self);
/* Its arguments only; NULL without any. */
char       *bench_arguments   (const Bench *self);

/* One of the kB values in /proc/self/status, such as "VmRSS"; in kB. */
double      bench_memory      (const char  *name);
/* From now on "VmHWM" is the highest since. */
void        bench_reset_peak  (void);
guint       bench_threads     (void);

G_END_DECLS
