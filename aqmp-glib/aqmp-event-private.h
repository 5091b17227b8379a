/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-event.h"
#include "aqmp-json-private.h"

G_BEGIN_DECLS

/* An event as it came over the wire. @message is validated JSON; @timestamp and @data (which may be absent) are the places of these
   members in it. Both are read when somebody asks for them, on whatever thread asks; the tree of the data is built at most once. */
AqmpEvent *aqmp_event_new_from_message (const char   *name,
                                        GBytes       *message,
                                        AqmpJsonSpan  timestamp,
                                        AqmpJsonSpan  data);

/* @self: (transfer full). Instead of unref: it may then serve for the next message. */
void       aqmp_event_let_go           (AqmpEvent    *self);

/* µs since the epoch from the value of a "timestamp" member (validated JSON), -1 where it says nothing usable. */
gint64 aqmp_event_parse_timestamp (const guint8 *data,
                                   gsize         length);

G_END_DECLS
