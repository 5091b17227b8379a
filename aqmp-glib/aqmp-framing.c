/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-framing-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-block-private.h"
#include "aqmp-error.h"

/* Threads: the owner's; not locked. */

/* An idle session keeps no more than this; a busy one grows by doubling. */
#define SMALLEST_BUFFER 4096
/* Who sends faster than it is read is read in bigger pieces, up to this. */
#define LARGEST_PIECE (4 * SMALLEST_BUFFER)
/* A buffer that this many messages in a row did not need half of is made smaller. */
#define SETTLED_MESSAGES 64
/* A buffer that is not bigger stays with the session, whatever was in it. */
#define LARGEST_KEPT (16 * SMALLEST_BUFFER)
/* Of a bigger message nothing stays with the allocator, either. */
#define LARGEST_UNTRIMMED (1024 * 1024)
/* CR LF: of a message that is as long as allowed, all but the last byte of this can be here before its end is seen. */
#define LONGEST_ENDING 2

void
aqmp_framing_init (AqmpFraming *self)
{
  *self = (AqmpFraming) { NULL, };
}

void
aqmp_framing_clear (AqmpFraming *self)
{
  aqmp_block_let_go (self->data, self->capacity);
  g_free (self->small);
  aqmp_framing_init (self);
}

static void
resize (AqmpFraming *self,
        gsize        capacity)
{
  self->data = g_realloc (self->data, capacity);
  self->capacity = capacity;
}

/* With none before. */
static void
begin_small (AqmpFraming *self)
{
  self->data = self->small != NULL ? g_steal_pointer (&self->small) : g_malloc (SMALLEST_BUFFER);
  self->capacity = SMALLEST_BUFFER;
}

/* A small buffer is set aside meanwhile. */
static void
exchange (AqmpFraming *self,
          guint8      *data,
          gsize        capacity)
{
  memcpy (data, self->data, self->end);

  if (self->capacity == SMALLEST_BUFFER && self->small == NULL)
    self->small = self->data;
  else
    aqmp_block_let_go (self->data, self->capacity);
  self->data = data;
  self->capacity = capacity;
}

static void
grow (AqmpFraming *self,
      gsize        capacity)
{
  gsize block_size;
  guint8 *block = aqmp_block_take (capacity, &block_size);

  if (block != NULL)
    exchange (self, block, block_size);
  else
    resize (self, capacity);
}

static void
move_to_front (AqmpFraming *self)
{
  if (self->start == 0)
    return;

  memmove (self->data, self->data + self->start, self->end - self->start);
  self->end -= self->start;
  self->start = 0;
}

guint8 *
aqmp_framing_reserve (AqmpFraming *self,
                      gsize       *room)
{
  if (self->data == NULL)
    begin_small (self);

  if (self->start == self->end)
    self->start = self->end = 0;

  /* Moving costs what is held, so it is done only when the space won is at least as much: that keeps it linear. */
  if (self->start >= self->end - self->start && self->capacity - self->end < self->capacity / 2)
    move_to_front (self);

  if (self->end == self->capacity)
    grow (self, MAX (self->capacity * 2, self->expected));
  else if (self->filled && self->capacity < LARGEST_PIECE)
    grow (self, self->capacity * 2);

  *room = self->capacity - self->end;
  return self->data + self->end;
}

void
aqmp_framing_commit (AqmpFraming *self,
                     gsize        length)
{
  g_assert (length <= self->capacity - self->end);

  self->end += length;
  self->filled = self->end == self->capacity;
  self->recent_peak = MAX (self->recent_peak, self->end);
}

/* Called between messages, or whatever else was framed, when little or nothing is held. Giving memory back at once after each big message would make
   a stream of big messages pay for growing each time, so it waits until they have stopped coming. */
static void
consider_shrinking (AqmpFraming *self)
{
  gsize capacity = self->capacity;

  if ((capacity <= SMALLEST_BUFFER && self->expected == 0) || ++self->settled < SETTLED_MESSAGES)
    return;

  while (capacity > SMALLEST_BUFFER && self->recent_peak <= capacity / 2)
    capacity /= 2;

  if (capacity < self->capacity)
    {
      move_to_front (self);
      if (self->end <= capacity)
        resize (self, capacity);
      g_clear_pointer (&self->small, g_free);
    }

  self->settled = 0;
  self->recent_peak = self->end;
  self->expected = 0;
}

/* What a message that took its buffer does not need of it is given back if it is much. But a block that was cut is of no use to the
   next message of this size: the allocator asks the kernel for new pages each time, which costs as much as reading them. */
static GBytes *
to_bytes (guint8 *data,
          gsize   capacity,
          gsize   length)
{
  if (length <= LARGEST_UNTRIMMED && length >= capacity - capacity / 4)
    return aqmp_block_to_bytes (data, capacity, length);
  return aqmp_block_to_bytes (g_realloc (data, length), length, length);
}

/* With another buffer, after a big message of that size. */
static void
begin_anew (AqmpFraming *self,
            gsize        size)
{
  self->expected = size + size / 8;
  self->filled = FALSE;
  self->recent_peak = self->end;
  self->settled = 0;
}

/* A message that fills most of its buffer takes the buffer with it instead of a copy: for big ones the copy costs as
   much memory again. What follows it in the buffer is little, and moves to a new one. */
static GBytes *
take_payload (AqmpFraming *self,
              gsize        consumed,
              gsize        payload_length)
{
  gsize rest = self->end - self->start - consumed;
  gsize capacity = self->capacity;
  guint8 *whole;

  if (self->start > 0 || payload_length < capacity / 2 || capacity <= LARGEST_KEPT || rest > SMALLEST_BUFFER)
    {
      GBytes *copy = g_bytes_new (self->data + self->start, payload_length);

      self->start += consumed;
      return copy;
    }

  whole = g_steal_pointer (&self->data);
  begin_small (self);
  memcpy (self->data, whole + consumed, rest);
  self->end = rest;
  begin_anew (self, payload_length);

  return to_bytes (whole, capacity, payload_length);
}

/* As if the message that was skipped had taken its buffer with it. */
static void
drop_big_buffer (AqmpFraming *self,
                 gsize        skipped)
{
  if (self->start < self->end || self->capacity <= LARGEST_KEPT)
    return;

  aqmp_block_let_go (g_steal_pointer (&self->data), self->capacity);
  self->capacity = self->start = self->end = 0;
  begin_anew (self, skipped);
}

static gboolean
exceeds (gsize   length,
         guint64 max_message_size,
         guint   allowance)
{
  return length > max_message_size && length - max_message_size > allowance;
}

static AqmpFramingResult
too_large (guint64   max_message_size,
           GError  **error)
{
  g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, max_message_size);

  g_set_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE,
               _("A message from the peer exceeds the limit of %s bytes; raise “max-message-size” if such messages are "
                 "expected"),
               number);
  return AQMP_FRAMING_ERROR;
}

AqmpFramingResult
aqmp_framing_next (AqmpFraming    *self,
                   guint64         max_message_size,
                   gboolean        at_eof,
                   AqmpFrameFunc   frame,
                   gpointer        user_data,
                   GBytes        **message,
                   GError        **error)
{
  while (self->end > self->start)
    {
      gsize length = self->end - self->start;
      gsize payload_length = AQMP_FRAMING_NO_MESSAGE;
      gssize consumed;

      consumed = frame (user_data, self->data + self->start, length, self->scanned, at_eof, &payload_length, error);
      if (consumed < 0)
        return AQMP_FRAMING_ERROR;

      if (consumed == 0)
        {
          self->scanned = length;
          return exceeds (length, max_message_size, LONGEST_ENDING - 1) ? too_large (max_message_size, error)
                                                                        : AQMP_FRAMING_NEED_MORE;
        }

      g_assert ((gsize) consumed <= length);
      self->scanned = 0;

      if (payload_length == AQMP_FRAMING_NO_MESSAGE)
        {
          self->start += consumed;
          drop_big_buffer (self, consumed);
          consider_shrinking (self);
          continue;
        }

      g_assert (payload_length <= (gsize) consumed);
      if (exceeds (payload_length, max_message_size, 0))
        return too_large (max_message_size, error);

      *message = take_payload (self, consumed, payload_length);
      consider_shrinking (self);
      return AQMP_FRAMING_MESSAGE;
    }

  return AQMP_FRAMING_NEED_MORE;
}

gboolean
aqmp_framing_has_news (AqmpFraming *self)
{
  return self->end - self->start > self->scanned;
}

gsize
aqmp_framing_get_held (AqmpFraming *self)
{
  return self->end - self->start;
}

gssize
aqmp_framing_line (const guint8 *data,
                   gsize         length,
                   gsize         scanned,
                   gboolean      at_eof,
                   gsize        *payload_length)
{
  const guint8 *newline = memchr (data + scanned, '\n', length - scanned);
  gsize end;

  if (newline == NULL)
    {
      if (!at_eof)
        return 0;
      *payload_length = length;
      return length;
    }

  end = newline - data;
  *payload_length = end > 0 && data[end - 1] == '\r' ? end - 1 : end;
  return end + 1;
}
