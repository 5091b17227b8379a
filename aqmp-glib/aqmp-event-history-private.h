/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "aqmp-event.h"

G_BEGIN_DECLS

/* The latest events of a listener, as a list that others can watch. Owner's thread. */
typedef struct
{
  GListStore *events;  /* (owned) (element-type AqmpEvent) (nullable): NULL until somebody wants it */
  guint       size;
  GQueue      late;    /* (element-type AqmpEvent) (owned): not in the list yet */
} AqmpEventHistory;

void        aqmp_event_history_init        (AqmpEventHistory *self);
void        aqmp_event_history_clear       (AqmpEventHistory *self);
/* (transfer none) */
GListModel *aqmp_event_history_get_list    (AqmpEventHistory *self);
void        aqmp_event_history_append      (AqmpEventHistory *self,
                                            AqmpEvent        *event);
/* The list will have it when append_late() is called. TRUE: it is the first of these. */
gboolean    aqmp_event_history_append_later (AqmpEventHistory *self,
                                             AqmpEvent        *event);
void        aqmp_event_history_append_late (AqmpEventHistory *self);
void        aqmp_event_history_forget_late (AqmpEventHistory *self);
/* Somebody is called when it changes. */
gboolean    aqmp_event_history_is_watched  (AqmpEventHistory *self);
void        aqmp_event_history_set_size    (AqmpEventHistory *self,
                                            guint             size);

G_END_DECLS
