/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define OBVIOUS_TYPE_CLIENT (obvious_client_get_type ())
G_DECLARE_FINAL_TYPE (ObviousClient, obvious_client, OBVIOUS, CLIENT, GObject)

ObviousClient *obvious_client_new               (void);

void           obvious_client_connect_async     (ObviousClient        *self,
                                                 GSocketConnectable   *address,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
gboolean       obvious_client_connect_finish    (ObviousClient        *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
void           obvious_client_execute_async     (ObviousClient        *self,
                                                 const char           *command,
                                                 JsonObject           *arguments,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
JsonNode      *obvious_client_execute_finish    (ObviousClient        *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);
void           obvious_client_disconnect_async  (ObviousClient        *self,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
gboolean       obvious_client_disconnect_finish (ObviousClient        *self,
                                                 GAsyncResult         *result,
                                                 GError              **error);

G_END_DECLS
