/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <json-glib/json-glib.h>

#include <aqmp-glib/aqmp-enums.h>
#include <aqmp-glib/aqmp-event-listener.h>
#include <aqmp-glib/aqmp-greeting.h>
#include <aqmp-glib/aqmp-protocol.h>
#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

#define AQMP_TYPE_CLIENT (aqmp_client_get_type ())

AQMP_AVAILABLE_IN_1_0
G_DECLARE_DERIVABLE_TYPE (AqmpClient, aqmp_client, AQMP, CLIENT, AqmpProtocol)

/**
 * AqmpClientClass:
 * @parent_class: the parent class
 *
 * The class structure of [class@Client]; what a subclass can change is in its parent class.
 *
 * Since: 1.0
 */
struct _AqmpClientClass
{
  AqmpProtocolClass parent_class;

  /*< private >*/
  gpointer padding[8];
};

AQMP_AVAILABLE_IN_1_0
AqmpClient *aqmp_client_new (const char *name);

/* Properties */

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_client_get_await_greeting (AqmpClient *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_set_await_greeting (AqmpClient *self,
                                     gboolean    await_greeting);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_client_get_negotiate (AqmpClient *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_set_negotiate (AqmpClient *self,
                                gboolean    negotiate);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_client_get_enable_oob (AqmpClient *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_set_enable_oob (AqmpClient *self,
                                 gboolean    enable_oob);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_client_get_oob_enabled (AqmpClient *self);

AQMP_AVAILABLE_IN_1_0
AqmpGreeting *aqmp_client_get_greeting (AqmpClient *self);

AQMP_AVAILABLE_IN_1_0
guint aqmp_client_get_call_timeout (AqmpClient *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_set_call_timeout (AqmpClient *self,
                                   guint       call_timeout);

/* Commands */

AQMP_AVAILABLE_IN_1_0
void aqmp_client_execute_async (AqmpClient          *self,
                                const char          *command,
                                JsonObject          *arguments,
                                AqmpExecuteFlags     flags,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
JsonNode *aqmp_client_execute_finish (AqmpClient    *self,
                                      GAsyncResult  *result,
                                      GError       **error);

AQMP_AVAILABLE_IN_1_0
JsonNode *aqmp_client_execute_sync (AqmpClient        *self,
                                    const char        *command,
                                    JsonObject        *arguments,
                                    AqmpExecuteFlags   flags,
                                    GCancellable      *cancellable,
                                    GError           **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_execute_full_async (AqmpClient          *self,
                                     const char          *command,
                                     JsonObject          *arguments,
                                     GUnixFDList         *fd_list,
                                     AqmpExecuteFlags     flags,
                                     int                  timeout_ms,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
JsonNode *aqmp_client_execute_full_finish (AqmpClient    *self,
                                           GAsyncResult  *result,
                                           GError       **error);

AQMP_AVAILABLE_IN_1_0
JsonNode *aqmp_client_execute_full_sync (AqmpClient        *self,
                                         const char        *command,
                                         JsonObject        *arguments,
                                         GUnixFDList       *fd_list,
                                         AqmpExecuteFlags   flags,
                                         int                timeout_ms,
                                         GCancellable      *cancellable,
                                         GError           **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_execute_raw_async (AqmpClient          *self,
                                    const char          *message,
                                    GUnixFDList         *fd_list,
                                    GCancellable        *cancellable,
                                    GAsyncReadyCallback  callback,
                                    gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
GBytes *aqmp_client_execute_raw_finish (AqmpClient    *self,
                                        GAsyncResult  *result,
                                        GError       **error);

AQMP_AVAILABLE_IN_1_0
GBytes *aqmp_client_execute_raw_sync (AqmpClient    *self,
                                      const char    *message,
                                      GUnixFDList   *fd_list,
                                      GCancellable  *cancellable,
                                      GError       **error);

AQMP_AVAILABLE_IN_1_0
AqmpEventListener *aqmp_client_listen (AqmpClient         *self,
                                       const char * const *names,
                                       AqmpEventFilter     filter,
                                       gpointer            user_data,
                                       GDestroyNotify      destroy);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_wait_event_async (AqmpClient          *self,
                                   const char * const  *names,
                                   JsonObject          *data,
                                   int                  timeout_ms,
                                   GCancellable        *cancellable,
                                   GAsyncReadyCallback  callback,
                                   gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_client_wait_event_finish (AqmpClient    *self,
                                          GAsyncResult  *result,
                                          GError       **error);

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_client_wait_event_sync (AqmpClient          *self,
                                        const char * const  *names,
                                        JsonObject          *data,
                                        int                  timeout_ms,
                                        GCancellable        *cancellable,
                                        GError             **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_client_execute_and_wait_async (AqmpClient          *self,
                                         const char          *command,
                                         JsonObject          *arguments,
                                         const char * const  *names,
                                         const char * const  *failure_names,
                                         JsonObject          *data,
                                         int                  timeout_ms,
                                         GCancellable        *cancellable,
                                         GAsyncReadyCallback  callback,
                                         gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_client_execute_and_wait_finish (AqmpClient    *self,
                                                GAsyncResult  *result,
                                                JsonNode     **reply,
                                                GError       **error);

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_client_execute_and_wait_sync (AqmpClient          *self,
                                              const char          *command,
                                              JsonObject          *arguments,
                                              const char * const  *names,
                                              const char * const  *failure_names,
                                              JsonObject          *data,
                                              int                  timeout_ms,
                                              GCancellable        *cancellable,
                                              JsonNode           **reply,
                                              GError             **error);

AQMP_AVAILABLE_IN_1_0
JsonObject *aqmp_arguments_parse (const char  *json,
                                  GError     **error);

G_END_DECLS
