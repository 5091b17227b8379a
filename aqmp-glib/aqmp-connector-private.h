/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* (transfer full) (nullable): a stream connected to a UNIX socket, where there is one at once or none; with none, and to any other
   address, connect_async() finds out what the matter is. */
GIOStream *aqmp_connector_connect_at_once (GSocketConnectable  *address,
                                          GCancellable         *cancellable);

/* From an address to a connected stream. Tries on while a UNIX server's backlog is full, until @cancellable ends it. */
void       aqmp_connector_connect_async  (GSocketConnectable   *address,
                                          GCancellable         *cancellable,
                                          GAsyncReadyCallback   callback,
                                          gpointer              user_data);
GIOStream *aqmp_connector_connect_finish (GAsyncResult         *result,
                                          GError              **error);

/* For a connection of either side: what TCP needs. */
void       aqmp_connector_tune           (GSocketConnection    *connection);

G_END_DECLS
