/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-event.h"
#include "aqmp-json-private.h"

G_BEGIN_DECLS

/* An event as it came over the wire. @message is validated JSON; @data (which may be absent) is the place of its "data"
   member in it. The tree of the data is built when somebody asks for it, at most once, on whatever thread asks. */
AqmpEvent *aqmp_event_new_from_message (const char   *name,
                                        gint64        timestamp,
                                        GBytes       *message,
                                        AqmpJsonSpan  data);

/* µs since the epoch from the value of a "timestamp" member (validated JSON), -1 where it says nothing usable. */
gint64 aqmp_event_parse_timestamp (const guint8 *data,
                                   gsize         length);

G_END_DECLS
