/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-write-queue-private.h"

#include <string.h>

/* Threads: any, under the transport's lock. */

/* What a queue keeps for the next messages when it is empty. */
#define KEPT_TEXT 4096
#define KEPT_RECORDS 64
#define ENOUGH_FOR_A_WRITE (256 * 1024)

/* Positions count from the first byte ever queued, so that nothing changes when the text moves to the front. */
typedef struct
{
  guint64      token;
  guint64      start;
  guint64      end;
  GUnixFDList *fds;     /* (owned) (nullable): until the first byte is written, or it is taken back */
  gboolean     removed;
} Record;

#define record_at(self, index) (&g_array_index ((self)->records, Record, index))

void
aqmp_write_queue_init (AqmpWriteQueue *self)
{
  *self = (AqmpWriteQueue) {
    .text = g_string_new (NULL),
    .records = g_array_new (FALSE, FALSE, sizeof (Record)),
    .composing = G_MAXSIZE,
  };
}

static void
drop_fds (AqmpWriteQueue *self,
          Record         *record)
{
  if (record->fds == NULL)
    return;

  g_clear_object (&record->fds);
  self->n_with_fds--;
}

void
aqmp_write_queue_clear (AqmpWriteQueue *self)
{
  guint i;

  for (i = self->first; i < self->records->len; i++)
    drop_fds (self, record_at (self, i));
  g_string_free (self->text, TRUE);
  g_array_unref (self->records);
  *self = (AqmpWriteQueue) { NULL, };
}

GString *
aqmp_write_queue_begin (AqmpWriteQueue *self)
{
  g_assert (self->composing == G_MAXSIZE);

  self->composing = self->text->len;
  return self->text;
}

void
aqmp_write_queue_commit (AqmpWriteQueue *self,
                         guint64         token,
                         GUnixFDList    *fds)
{
  Record record = {
    .token = token,
    .start = self->text_start + self->composing,
    .end = self->text_start + self->text->len,
    .fds = fds,
  };

  g_assert (self->composing != G_MAXSIZE);
  g_assert (fds == NULL || record.end > record.start);

  if (fds != NULL)
    self->n_with_fds++;

  g_array_append_val (self->records, record);
  self->length += record.end - record.start;
  self->composing = G_MAXSIZE;
}

void
aqmp_write_queue_rollback (AqmpWriteQueue *self)
{
  g_assert (self->composing != G_MAXSIZE);

  g_string_truncate (self->text, self->composing);
  self->composing = G_MAXSIZE;
}

static Record *
find_record (AqmpWriteQueue *self,
             guint64         token)
{
  guint low = self->first;
  guint high = self->records->len;

  while (low < high)
    {
      guint middle = low + (high - low) / 2;

      if (record_at (self, middle)->token < token)
        low = middle + 1;
      else
        high = middle;
    }

  if (low == self->records->len || record_at (self, low)->token != token)
    return NULL;
  return record_at (self, low);
}

static void
forget_everything (AqmpWriteQueue *self)
{
  self->text_start += self->text->len;
  self->sent = self->text_start;
  self->first = 0;
  self->n_removed = 0;

  if (self->text->allocated_len > 4 * KEPT_TEXT)
    {
      g_string_free (self->text, TRUE);
      self->text = g_string_sized_new (KEPT_TEXT);
    }
  else
    g_string_truncate (self->text, 0);

  if (self->records->len > KEPT_RECORDS)
    {
      g_array_unref (self->records);
      self->records = g_array_new (FALSE, FALSE, sizeof (Record));
    }
  else
    g_array_set_size (self->records, 0);
}

/* Moves what is left to the front once that is at most half of the whole: each byte moves once on average. */
static void
forget_done (AqmpWriteQueue *self)
{
  gsize done = self->sent - self->text_start;

  if (done > 0 && done >= self->text->len - done)
    {
      g_string_erase (self->text, 0, done);
      self->text_start = self->sent;
    }

  if (self->first > 0 && self->first >= self->records->len - self->first)
    {
      g_array_remove_range (self->records, 0, self->first);
      self->first = 0;
    }
}

static void
leave_behind (AqmpWriteQueue *self,
              Record         *record)
{
  if (record->removed)
    self->n_removed--;
  self->sent = MAX (self->sent, record->end);
  self->first++;
}

/* Leaves behind the records at the front that are all written or taken back. */
static void
skip_done (AqmpWriteQueue *self)
{
  if (self->length == 0)
    {
      forget_everything (self);
      return;
    }

  while (self->first < self->records->len)
    {
      Record *record = record_at (self, self->first);

      if (!record->removed && record->end > self->sent)
        break;
      leave_behind (self, record);
    }

  forget_done (self);
}

/* With a peer that takes nothing, what was taken back would pile up behind what is stuck: it is cut out when it is more
   than what is left, so that each byte moves once on average here too. */
static void
forget_removed (AqmpWriteQueue *self)
{
  GString *text;
  GArray *records;
  guint64 position = self->sent;
  guint i;

  if (self->text->len - (self->sent - self->text_start) - self->length <= MAX (self->length, 4 * KEPT_TEXT))
    return;

  text = g_string_sized_new (MAX (self->length, KEPT_TEXT));
  records = g_array_new (FALSE, FALSE, sizeof (Record));

  for (i = self->first; i < self->records->len; i++)
    {
      Record record = *record_at (self, i);
      guint64 start = MAX (record.start, self->sent);

      if (record.removed)
        continue;

      g_string_append_len (text, self->text->str + (start - self->text_start), record.end - start);
      /* One that is partly written stays so. */
      record.start = record.start < self->sent ? record.start : position;
      position += record.end - start;
      record.end = position;
      g_array_append_val (records, record);
    }

  g_string_free (self->text, TRUE);
  g_array_unref (self->records);
  self->text = text;
  self->text_start = self->sent;
  self->records = records;
  self->first = 0;
  self->n_removed = 0;
}

gboolean
aqmp_write_queue_remove (AqmpWriteQueue *self,
                         guint64         token)
{
  Record *record = find_record (self, token);

  g_assert (self->composing == G_MAXSIZE);

  if (record == NULL || record->removed || record->start < self->sent)
    return FALSE;

  drop_fds (self, record);
  record->removed = TRUE;
  self->n_removed++;
  self->length -= record->end - record->start;
  skip_done (self);
  forget_removed (self);
  return TRUE;
}

/* Message by message: around those that were taken back, and up to the next that has descriptors, as one write can have
   them at its beginning only. A slow peer makes this run often, so it looks no further than what one write could take. */
static guint
peek_records (AqmpWriteQueue *self,
              GOutputVector  *pieces,
              guint           max,
              GUnixFDList   **fds)
{
  guint n_pieces = 0;
  gsize n_bytes = 0;
  guint i;

  for (i = self->first; i < self->records->len && n_bytes < ENOUGH_FOR_A_WRITE; i++)
    {
      Record *record = record_at (self, i);
      guint64 start = MAX (record->start, self->sent);
      const char *text = self->text->str + (start - self->text_start);

      if (record->removed)
        continue;

      if (record->fds != NULL && n_pieces > 0)
        break;
      if (n_pieces == 0)
        *fds = record->fds;

      if (n_pieces > 0 && (const char *) pieces[n_pieces - 1].buffer + pieces[n_pieces - 1].size == text)
        pieces[n_pieces - 1].size += record->end - start;
      else if (n_pieces == max)
        break;
      else
        pieces[n_pieces++] = (GOutputVector) { text, record->end - start };

      n_bytes += record->end - start;
    }

  return n_pieces;
}

guint
aqmp_write_queue_peek (AqmpWriteQueue *self,
                       GOutputVector  *pieces,
                       guint           max,
                       GUnixFDList   **fds)
{
  *fds = NULL;
  if (self->length == 0)
    return 0;

  if (self->n_removed > 0 || self->n_with_fds > 0)
    return peek_records (self, pieces, max, fds);

  pieces[0].buffer = self->text->str + (self->sent - self->text_start);
  pieces[0].size = self->length;
  return 1;
}

void
aqmp_write_queue_advance (AqmpWriteQueue *self,
                          gsize           written)
{
  g_assert (self->composing == G_MAXSIZE);
  g_assert (written <= self->length);

  self->length -= written;

  while (written > 0)
    {
      Record *record = record_at (self, self->first);

      if (!record->removed)
        {
          gsize part = MIN (written, record->end - self->sent);

          self->sent += part;
          written -= part;
          self->written_token = record->token;
          drop_fds (self, record);
          if (self->sent < record->end)
            break;
        }

      leave_behind (self, record);
    }

  skip_done (self);
}

gsize
aqmp_write_queue_get_length (AqmpWriteQueue *self)
{
  return self->length;
}

guint64
aqmp_write_queue_get_written_token (AqmpWriteQueue *self)
{
  return self->written_token;
}
