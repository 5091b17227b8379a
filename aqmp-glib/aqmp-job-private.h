/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-job.h"

G_BEGIN_DECLS

/* Jobs, file by file:
 *
 *   aqmp-job.c      what is known of a job: from events, and from answers to query-jobs
 *   aqmp-job-run.c  what is done to it, until it is at its end or in the state that is waited for
 */

typedef enum
{
  AQMP_JOB_UNKNOWN,
  AQMP_JOB_ALIVE,
  AQMP_JOB_SUCCEEDED,
  AQMP_JOB_FAILED,
  AQMP_JOB_GONE,      /* and nobody has seen how it ended */
} AqmpJobFate;

/* Owner's thread, all of it. */

AqmpJobFate        aqmp_job_get_fate      (AqmpJob    *self);
/* In this session, as far as is known. */
gboolean           aqmp_job_has_status    (AqmpJob    *self,
                                           const char *status);
/* The server does not know it any more. */
gboolean           aqmp_job_is_gone       (AqmpJob    *self);
/* Changes whenever the status does: what was asked before may be out of date. */
guint64            aqmp_job_get_visit     (AqmpJob    *self);
AqmpEventListener *aqmp_job_get_listener  (AqmpJob    *self);
/* The answer to a query-jobs that was sent when the visit was @visit. FALSE: it says nothing about the present. */
gboolean           aqmp_job_take_answer   (AqmpJob    *self,
                                           JsonNode   *answer,
                                           guint64     visit);

/* What is being done to the job, to be told of every change. An atomic GRcBox; the list holds references. */
typedef struct _AqmpJobRun AqmpJobRun;

void               aqmp_job_add_run       (AqmpJob    *self,
                                           AqmpJobRun *run);
void               aqmp_job_remove_run    (AqmpJob    *self,
                                           AqmpJobRun *run);

void               aqmp_job_run_unref     (gpointer    run);
/* The job has changed. */
void               aqmp_job_run_schedule  (AqmpJobRun *run);

G_END_DECLS
