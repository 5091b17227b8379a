/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Jobs of a real storage daemon, which reads from, and writes to, nothing at all: null-co nodes. */

#pragma once

#include "session.h"

G_BEGIN_DECLS

/* A server with its client. */
typedef struct
{
  Qemu       *qemu;     /* (owned) */
  AqmpClient *client;   /* (owned) */
} Daemon;

#define DAEMON_INIT { NULL, NULL }

/* FALSE: there is no such program, and the test was marked as skipped. */
gboolean  daemon_start          (Daemon        *daemon);
/* Also checks that nobody else holds the client, and that the server has no job left. */
void      daemon_end            (Daemon        *daemon);
void      daemon_clear          (Daemon        *daemon);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Daemon, daemon_clear)

/* A command that has to succeed. @format: its arguments, JSON in which ' stands for ". */
void      daemon_do             (Daemon        *daemon,
                                 const char    *command,
                                 const char    *format,
                                 ...) G_GNUC_PRINTF (3, 4);
/* A null-co node of so many bytes. */
void      daemon_add_null       (Daemon        *daemon,
                                 const char    *name,
                                 guint64        size);
/* One on top of another such node, which fails with EIO: in each @iotype ("read", "write"), or only @once. */
void      daemon_add_failing    (Daemon        *daemon,
                                 const char    *name,
                                 guint64        size,
                                 const char    *iotype,
                                 gboolean       once);
/* Nodes "source" and "target". */
void      daemon_add_pair       (Daemon        *daemon,
                                 guint64        size);
/* A backup from "source" to "target" that does not come to its end before the test does. */
void      daemon_start_endless  (Daemon        *daemon,
                                 const char    *id);
/* The ids of the server's jobs, as "a b". (transfer full) */
char     *daemon_list_jobs      (Daemon        *daemon);
/* Does what can only be done while no other call iterates: until the server's events up to now are here. */
void      daemon_settle         (Daemon        *daemon);

/* The asynchronous form, waited for in the thread-default context. */
gboolean  job_run               (AqmpJob       *job,
                                 GCancellable  *cancellable,
                                 GError       **error);
gboolean  job_finish_run        (TestSlot      *slot,
                                 GError       **error);
gboolean  job_wait_status       (AqmpJob       *job,
                                 const char    *status,
                                 GCancellable  *cancellable,
                                 GError       **error);
gboolean  job_refresh           (AqmpJob       *job,
                                 GError       **error);

#define job_check_run(job) \
  G_STMT_START { \
    g_autoptr (GError) job_error_ = NULL; \
    \
    g_assert_true (job_run (job, NULL, &job_error_) || job_error_ != NULL); \
    g_assert_no_error (job_error_); \
    g_assert_cmpstr (aqmp_job_get_status (job), ==, "null"); \
    g_assert_cmpfloat (aqmp_job_get_progress (job), ==, 1.0); \
    g_assert_null (aqmp_job_get_error (job)); \
  } G_STMT_END

#define job_check_wait(job, status) \
  G_STMT_START { \
    g_autoptr (GError) job_error_ = NULL; \
    \
    job_wait_status (job, status, NULL, &job_error_); \
    g_assert_no_error (job_error_); \
    g_assert_cmpstr (aqmp_job_get_status (job), ==, status); \
  } G_STMT_END

/* Drops the last reference, which has to be the last. */
void      job_end               (AqmpJob       *job);

/* Records the statuses that are notified, as "created running"; asserts that this is in the default main context. */
GString  *job_record            (AqmpJob       *job);

G_END_DECLS
