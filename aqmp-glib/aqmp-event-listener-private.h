/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-client.h"
#include "aqmp-event-queue-private.h"

G_BEGIN_DECLS

/* @queue: (transfer full): registered with the client */
AqmpEventListener *aqmp_event_listener_new              (AqmpClient          *client,
                                                         AqmpEventQueue      *queue);

/* With an end to it, for the same finish function. @timeout_ms: 0 for none */
void               aqmp_event_listener_next_timed_async (AqmpEventListener   *self,
                                                         guint                timeout_ms,
                                                         GCancellable        *cancellable,
                                                         GAsyncReadyCallback  callback,
                                                         gpointer             user_data);

G_END_DECLS
