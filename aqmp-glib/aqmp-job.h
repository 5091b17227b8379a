/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>

#include <aqmp-glib/aqmp-client.h>
#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

#define AQMP_TYPE_JOB (aqmp_job_get_type ())

AQMP_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (AqmpJob, aqmp_job, AQMP, JOB, GObject)

AQMP_AVAILABLE_IN_1_0
AqmpJob *aqmp_job_new (AqmpClient *client,
                       const char *id);

AQMP_AVAILABLE_IN_1_0
AqmpClient *aqmp_job_get_client (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_job_get_id (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_job_get_status (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_job_get_job_type (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
double aqmp_job_get_progress (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_job_get_error (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
guint aqmp_job_get_progress_interval (AqmpJob *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_job_set_progress_interval (AqmpJob *self,
                                     guint    progress_interval);

AQMP_AVAILABLE_IN_1_0
void aqmp_job_run_async (AqmpJob             *self,
                         GCancellable        *cancellable,
                         GAsyncReadyCallback  callback,
                         gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_job_run_finish (AqmpJob       *self,
                              GAsyncResult  *result,
                              GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_job_run_sync (AqmpJob       *self,
                            GCancellable  *cancellable,
                            GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_job_wait_status_async (AqmpJob             *self,
                                 const char          *status,
                                 GCancellable        *cancellable,
                                 GAsyncReadyCallback  callback,
                                 gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_job_wait_status_finish (AqmpJob       *self,
                                      GAsyncResult  *result,
                                      GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_job_wait_status_sync (AqmpJob       *self,
                                    const char    *status,
                                    GCancellable  *cancellable,
                                    GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_job_refresh_async (AqmpJob             *self,
                             GCancellable        *cancellable,
                             GAsyncReadyCallback  callback,
                             gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_job_refresh_finish (AqmpJob       *self,
                                  GAsyncResult  *result,
                                  GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_job_refresh_sync (AqmpJob       *self,
                                GCancellable  *cancellable,
                                GError       **error);

G_END_DECLS
