/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What a frame function stores as payload length when the bytes consumed are no message (same as the public macro). */
#define AQMP_FRAMING_NO_MESSAGE G_MAXSIZE

/* Finds the first whole message in @data. Returns the bytes that it takes up, 0 if it needs more, -1 for an error.
   @scanned bytes of it were seen before, without finding an end; 0 means that a new message begins. */
typedef gssize (*AqmpFrameFunc) (gpointer       user_data,
                                 const guint8  *data,
                                 gsize          length,
                                 gsize          scanned,
                                 gboolean       at_eof,
                                 gsize         *payload_length,
                                 GError       **error);

/* The bytes that have arrived and were not handed on yet, in one buffer that is used again and again. */
typedef struct
{
  guint8 *data;        /* (owned) (nullable) */
  gsize   capacity;
  guint8 *small;       /* (owned) (nullable): one of the smallest size, while a big one is in its place */
  gsize   start;       /* of the message being read */
  gsize   end;         /* of what has arrived */
  gsize   scanned;     /* bytes from start that the frame function has seen without finding an end */
  gsize   recent_peak; /* most bytes held since the last look at whether to shrink */
  guint   settled;     /* messages since then */
  gboolean filled;    /* what came last took all the room that there was */
  gsize   expected;    /* what a buffer that is not big enough grows to at once, as one before had to */
} AqmpFraming;

typedef enum
{
  AQMP_FRAMING_MESSAGE,
  AQMP_FRAMING_NEED_MORE,
  AQMP_FRAMING_ERROR,
} AqmpFramingResult;

void              aqmp_framing_init     (AqmpFraming    *self);
void              aqmp_framing_clear    (AqmpFraming    *self);

/* Room for what arrives next, and word of how much of it was used. */
guint8           *aqmp_framing_reserve  (AqmpFraming    *self,
                                         gsize          *room);
void              aqmp_framing_commit   (AqmpFraming    *self,
                                         gsize           length);

/* The next whole message, in a GBytes that is independent of the buffer. */
AqmpFramingResult aqmp_framing_next     (AqmpFraming    *self,
                                         guint64         max_message_size,
                                         gboolean        at_eof,
                                         AqmpFrameFunc   frame,
                                         gpointer        user_data,
                                         GBytes        **message,
                                         GError        **error);

/* Bytes that have arrived and that no frame function has looked at. */
gboolean          aqmp_framing_has_news (AqmpFraming    *self);
/* Bytes of a message whose end has not arrived. */
gsize             aqmp_framing_get_held (AqmpFraming    *self);

/* The default frame function: lines ended by LF or CRLF, at EOF also a last one that is not. */
gssize            aqmp_framing_line     (const guint8   *data,
                                         gsize           length,
                                         gsize           scanned,
                                         gboolean        at_eof,
                                         gsize          *payload_length);

G_END_DECLS
