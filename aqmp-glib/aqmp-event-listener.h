/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>

#include <aqmp-glib/aqmp-event.h>
#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

/**
 * AqmpEventFilter:
 * @event: an event
 * @user_data: data that was given along with the function
 *
 * Tells whether a listener wants an event whose name it has asked for.
 *
 * Called in the owner's context, as soon as the event has arrived: also inside a blocking call. It may do anything but block: stop
 * the listener, or drop it, or disconnect the client even.
 *
 * Returns: %TRUE if it does
 *
 * Since: 1.0
 */
typedef gboolean (*AqmpEventFilter) (AqmpEvent *event,
                                     gpointer   user_data);

#define AQMP_TYPE_EVENT_LISTENER (aqmp_event_listener_get_type ())

AQMP_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (AqmpEventListener, aqmp_event_listener, AQMP, EVENT_LISTENER, GObject)

AQMP_AVAILABLE_IN_1_0
void aqmp_event_listener_next_async (AqmpEventListener   *self,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_event_listener_next_finish (AqmpEventListener  *self,
                                            GAsyncResult       *result,
                                            GError            **error);

AQMP_AVAILABLE_IN_1_0
AqmpEvent *aqmp_event_listener_next_sync (AqmpEventListener  *self,
                                          GCancellable       *cancellable,
                                          GError            **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_event_listener_clear (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_event_listener_stop (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_event_listener_get_active (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
GListModel *aqmp_event_listener_get_history (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
guint aqmp_event_listener_get_max_pending (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_event_listener_set_max_pending (AqmpEventListener *self,
                                          guint              max_pending);

AQMP_AVAILABLE_IN_1_0
guint aqmp_event_listener_get_n_pending (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
guint64 aqmp_event_listener_get_n_dropped (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
guint aqmp_event_listener_get_history_size (AqmpEventListener *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_event_listener_set_history_size (AqmpEventListener *self,
                                           guint              history_size);

G_END_DECLS
