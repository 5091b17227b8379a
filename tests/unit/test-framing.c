/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Framing: messages out of bytes, wherever these are cut, within a limit, in linear time, with little memory. */

#include <malloc.h>
#include <string.h>

#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-framing-private.h"

#define SMALL 4096
#define NO_LIMIT G_MAXUINT64

/* ---- help -------------------------------------------------------------------------------------------------------- */

static gssize
frame_line (gpointer       user_data,
            const guint8  *data,
            gsize          length,
            gsize          scanned,
            gboolean       at_eof,
            gsize         *payload_length,
            GError       **error)
{
  return aqmp_framing_line (data, length, scanned, at_eof, payload_length);
}

/* As frame_line(), but for lines that begin with '#', which are no messages, and with '!', which are errors. */
static gssize
frame_commented (gpointer       user_data,
                 const guint8  *data,
                 gsize          length,
                 gsize          scanned,
                 gboolean       at_eof,
                 gsize         *payload_length,
                 GError       **error)
{
  gssize consumed = aqmp_framing_line (data, length, scanned, at_eof, payload_length);

  if (consumed > 0 && data[0] == '#')
    *payload_length = AQMP_FRAMING_NO_MESSAGE;
  if (consumed > 0 && data[0] == '!')
    {
      g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_PARSE, "exclaimed");
      return -1;
    }
  return consumed;
}

static void
push (AqmpFraming *framing,
      const void  *data,
      gsize        length)
{
  const char *rest = data;

  while (length > 0)
    {
      gsize room;
      guint8 *where = aqmp_framing_reserve (framing, &room);
      gsize part = MIN (room, length);

      g_assert_cmpuint (room, >, 0);
      memcpy (where, rest, part);
      aqmp_framing_commit (framing, part);
      rest += part;
      length -= part;
    }
}

/* All messages that are whole, each in brackets. Ends with "E" for an error. */
static void
take_all (AqmpFraming   *framing,
          guint64        limit,
          gboolean       at_eof,
          AqmpFrameFunc  frame,
          GString       *out)
{
  while (TRUE)
    {
      g_autoptr (GBytes) message = NULL;
      g_autoptr (GError) error = NULL;
      AqmpFramingResult result = aqmp_framing_next (framing, limit, at_eof, frame, NULL, &message, &error);

      if (result == AQMP_FRAMING_NEED_MORE)
        return;
      if (result == AQMP_FRAMING_ERROR)
        {
          g_assert_nonnull (error);
          g_string_append_c (out, 'E');
          return;
        }

      g_string_append_c (out, '[');
      g_string_append_len (out, g_bytes_get_data (message, NULL), g_bytes_get_size (message));
      g_string_append_c (out, ']');
    }
}

/* The text in two parts, with a look in between; @split may be its length. */
static char *
frame_split (const char    *text,
             gsize          split,
             guint64        limit,
             AqmpFrameFunc  frame)
{
  AqmpFraming framing;
  GString *out = g_string_new (NULL);
  gsize length = strlen (text);

  aqmp_framing_init (&framing);
  push (&framing, text, split);
  take_all (&framing, limit, FALSE, frame, out);
  if (!g_str_has_suffix (out->str, "E"))
    {
      push (&framing, text + split, length - split);
      take_all (&framing, limit, FALSE, frame, out);
    }
  if (!g_str_has_suffix (out->str, "E"))
    take_all (&framing, limit, TRUE, frame, out);
  aqmp_framing_clear (&framing);

  return g_string_free (out, FALSE);
}

static void
assert_frames (const char    *text,
               guint64        limit,
               AqmpFrameFunc  frame,
               const char    *expected)
{
  gsize split;

  for (split = 0; split <= strlen (text); split++)
    {
      g_autofree char *out = frame_split (text, split, limit, frame);

      g_test_message ("“%s” split at %zu", text, split);
      g_assert_cmpstr (out, ==, expected);
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void
test_lf (void)
{
  assert_frames ("one\ntwo\n", NO_LIMIT, frame_line, "[one][two]");
}

static void
test_crlf (void)
{
  assert_frames ("one\r\ntwo\r\n", NO_LIMIT, frame_line, "[one][two]");
}

static void
test_mixed_endings (void)
{
  assert_frames ("one\r\ntwo\nthree\r\n", NO_LIMIT, frame_line, "[one][two][three]");
}

/* Only a CR right before the LF belongs to the ending, and only one. */
static void
test_lone_cr (void)
{
  assert_frames ("a\rb\nc\r\r\nd\r", NO_LIMIT, frame_line, "[a\rb][c\r][d\r]");
}

static void
test_empty_lines (void)
{
  assert_frames ("\n\r\n\na\n\n", NO_LIMIT, frame_line, "[][][][a][]");
}

static void
test_last_line_without_newline (void)
{
  assert_frames ("one\ntwo", NO_LIMIT, frame_line, "[one][two]");
}

/* Without EOF the last line is waited for. */
static void
test_not_before_eof (void)
{
  AqmpFraming framing;
  g_autoptr (GString) out = g_string_new (NULL);

  aqmp_framing_init (&framing);
  push (&framing, "one\ntwo", 7);
  take_all (&framing, NO_LIMIT, FALSE, frame_line, out);
  g_assert_cmpstr (out->str, ==, "[one]");
  g_assert_cmpuint (aqmp_framing_get_held (&framing), ==, 3);
  g_assert_false (aqmp_framing_has_news (&framing));

  take_all (&framing, NO_LIMIT, TRUE, frame_line, out);
  g_assert_cmpstr (out->str, ==, "[one][two]");
  g_assert_cmpuint (aqmp_framing_get_held (&framing), ==, 0);
  aqmp_framing_clear (&framing);
}

static void
test_nothing (void)
{
  assert_frames ("", NO_LIMIT, frame_line, "");
}

static void
test_nul_bytes (void)
{
  static const char text[] = "a\0b\nc";
  AqmpFraming framing;
  g_autoptr (GBytes) message = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_framing_init (&framing);
  push (&framing, text, sizeof text);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_cmpmem (g_bytes_get_data (message, NULL), g_bytes_get_size (message), text, 3);
  aqmp_framing_clear (&framing);
}

/* ---- the frame function ------------------------------------------------------------------------------------------ */

static void
test_no_message (void)
{
  assert_frames ("#x\na\n#y\n#z\r\nb\n#", NO_LIMIT, frame_commented, "[a][b]");
}

static void
test_error (void)
{
  assert_frames ("a\n!\nb\n", NO_LIMIT, frame_commented, "[a]E");
}

static void
test_error_is_handed_on (void)
{
  AqmpFraming framing;
  g_autoptr (GBytes) message = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_framing_init (&framing);
  push (&framing, "!\n", 2);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_commented, NULL, &message, &error), ==,
                   AQMP_FRAMING_ERROR);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
  g_assert_null (message);
  aqmp_framing_clear (&framing);
}

/* What is handed on is not changed by what comes after it. */
static void
test_messages_are_independent (void)
{
  AqmpFraming framing;
  g_autoptr (GBytes) first = NULL;
  g_autoptr (GBytes) second = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_framing_init (&framing);
  push (&framing, "one\n", 4);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &first, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  push (&framing, "two\n", 4);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &second, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  aqmp_framing_clear (&framing);

  g_assert_cmpmem (g_bytes_get_data (first, NULL), g_bytes_get_size (first), "one", 3);
  g_assert_cmpmem (g_bytes_get_data (second, NULL), g_bytes_get_size (second), "two", 3);
}

/* Whether there is anything that no frame function was shown. */
static void
test_news (void)
{
  AqmpFraming framing;
  g_autoptr (GBytes) message = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_framing_init (&framing);
  g_assert_false (aqmp_framing_has_news (&framing));
  push (&framing, "a\nb\nc", 5);
  g_assert_true (aqmp_framing_has_news (&framing));
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_true (aqmp_framing_has_news (&framing));
  g_clear_pointer (&message, g_bytes_unref);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  /* "c": a byte that was never looked at, though the message before it was taken. */
  g_assert_true (aqmp_framing_has_news (&framing));
  g_clear_pointer (&message, g_bytes_unref);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_NEED_MORE);
  g_assert_false (aqmp_framing_has_news (&framing));
  push (&framing, "d", 1);
  g_assert_true (aqmp_framing_has_news (&framing));
  aqmp_framing_clear (&framing);
}

/* ---- the limit --------------------------------------------------------------------------------------------------- */

static void
test_exact_size (void)
{
  assert_frames ("abcd\n", 4, frame_line, "[abcd]");
  assert_frames ("abcd\r\n", 4, frame_line, "[abcd]");
  assert_frames ("abcd", 4, frame_line, "[abcd]");
  assert_frames ("abcd\nabcd\r\nabc\n", 4, frame_line, "[abcd][abcd][abc]");
}

static void
test_one_too_many (void)
{
  assert_frames ("abcde\n", 4, frame_line, "E");
  assert_frames ("abcde\r\n", 4, frame_line, "E");
  assert_frames ("abcde", 4, frame_line, "E");
  assert_frames ("abcd\nabcde\nab\n", 4, frame_line, "[abcd]E");
}

/* One that never ends is not waited for beyond the ending that might still come. */
static void
test_without_end (void)
{
  AqmpFraming framing;
  g_autoptr (GBytes) message = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_framing_init (&framing);
  push (&framing, "abcd\r", 5);
  g_assert_cmpint (aqmp_framing_next (&framing, 4, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_NEED_MORE);
  push (&framing, "e", 1);
  g_assert_cmpint (aqmp_framing_next (&framing, 4, FALSE, frame_line, NULL, &message, &error), ==, AQMP_FRAMING_ERROR);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE);
  g_assert_nonnull (strstr (error->message, "4 bytes"));
  aqmp_framing_clear (&framing);
}

/* What is skipped does not count. */
static void
test_skipped_does_not_count (void)
{
  assert_frames ("#a\n#b\n#c\nabcd\n#d\n", 4, frame_commented, "[abcd]");
}

/* Never more than about twice the limit in memory, whatever the peer sends. */
static void
test_limit_bounds_memory (void)
{
  const gsize limit = 1024 * 1024;
  AqmpFraming framing;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) message = NULL;
  AqmpFramingResult result;

  aqmp_framing_init (&framing);
  do
    {
      gsize room;
      guint8 *where = aqmp_framing_reserve (&framing, &room);

      memset (where, 'x', room);
      aqmp_framing_commit (&framing, room);
      g_assert_cmpuint (framing.capacity, <=, 2 * limit);
      result = aqmp_framing_next (&framing, limit, FALSE, frame_line, NULL, &message, &error);
    }
  while (result == AQMP_FRAMING_NEED_MORE);

  g_assert_cmpint (result, ==, AQMP_FRAMING_ERROR);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE);
  aqmp_framing_clear (&framing);
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

/* What a frame function was shown. */
typedef struct
{
  guint64 n_calls;
  guint64 n_new;     /* bytes shown that were not said to be scanned */
  gsize   seen;      /* of the message that is being read */
} Witness;

static gssize
frame_witnessed (gpointer       user_data,
                 const guint8  *data,
                 gsize          length,
                 gsize          scanned,
                 gboolean       at_eof,
                 gsize         *payload_length,
                 GError       **error)
{
  Witness *witness = user_data;
  gssize consumed;

  g_assert_cmpuint (scanned, ==, witness->seen);
  g_assert_cmpuint (scanned, <=, length);
  witness->n_calls++;

  consumed = aqmp_framing_line (data, length, scanned, at_eof, payload_length);
  witness->n_new += (consumed > 0 ? (gsize) consumed : length) - scanned;
  witness->seen = consumed > 0 ? 0 : length;
  return consumed;
}

/* Each byte is shown as new exactly once, at any size of the parts it comes in. */
static void
test_scanned (void)
{
  const gsize sizes[] = { 1, 2, 3, 7, 64, 1000, 5000 };
  g_autoptr (GString) text = g_string_new (NULL);
  guint i;

  for (i = 0; i < 300; i++)
    g_string_append_printf (text, "%0*d\n", (int) (1 + i * 7 % 180), i);

  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      Witness witness = { 0 };
      AqmpFraming framing;
      gsize done = 0;
      guint n_messages = 0;

      aqmp_framing_init (&framing);
      while (done < text->len)
        {
          gsize part = MIN (sizes[i], text->len - done);
          GBytes *message = NULL;

          push (&framing, text->str + done, part);
          done += part;
          while (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_witnessed, &witness, &message, NULL) ==
                 AQMP_FRAMING_MESSAGE)
            {
              n_messages++;
              g_bytes_unref (message);
            }
        }

      g_assert_cmpuint (n_messages, ==, 300);
      g_assert_cmpuint (witness.n_new, ==, text->len);
      /* One for each message and at most one for each part. */
      g_assert_cmpuint (witness.n_calls, <=, 300 + (text->len + sizes[i] - 1) / sizes[i]);
      aqmp_framing_clear (&framing);
    }
}

/* How many bytes a buffer that grows or moves had to copy for a message that comes byte by byte, after @before bytes of
   others in the same read. */
static guint64
count_moved (gsize before,
             gsize length)
{
  AqmpFraming framing;
  Witness witness = { 0 };
  guint64 n_moved = 0;
  gsize done = 0;

  aqmp_framing_init (&framing);
  while (done < length)
    {
      GBytes *message = NULL;
      gsize room;
      const guint8 *old_data = framing.data;
      gsize old_start = framing.start;
      guint8 *where = aqmp_framing_reserve (&framing, &room);

      if (framing.data != old_data || framing.start != old_start)
        n_moved += framing.end - framing.start;

      *where = done < before && done % 16 == 15 ? '\n' : 'x';
      aqmp_framing_commit (&framing, 1);
      done++;
      if (done < before)
        continue;
      while (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_witnessed, &witness, &message, NULL) ==
             AQMP_FRAMING_MESSAGE)
        g_bytes_unref (message);
    }

  g_assert_cmpuint (witness.n_new, ==, length);
  aqmp_framing_clear (&framing);
  return n_moved;
}

static void
test_byte_by_byte (void)
{
  const gsize length = 256 * 1024;

  /* Doubling copies twice the length at most; moving to the front as much again. */
  g_assert_cmpuint (count_moved (0, length), <=, 3 * length);
  g_assert_cmpuint (count_moved (16, length), <=, 3 * length);
  g_assert_cmpuint (count_moved (4000, length), <=, 3 * length);
  g_assert_cmpuint (count_moved (65536, length), <=, 3 * length);
}

/* Many messages that never end where the buffer does: moving what is left may not cost more than it is. */
static void
test_remainders (void)
{
  AqmpFraming framing;
  guint64 n_moved = 0;
  guint64 n_bytes = 0;
  guint i;

  aqmp_framing_init (&framing);
  for (i = 0; i < 20000; i++)
    {
      static const char text[] = "abcdefghijklmnopqrstuvwxyz\nabcdefghijkl";
      GBytes *message = NULL;
      gsize room;
      gsize old_start;
      const guint8 *old_data = framing.data;
      gsize part;
      guint8 *where;

      old_start = framing.start;
      where = aqmp_framing_reserve (&framing, &room);
      if (framing.end > framing.start && (framing.data != old_data || framing.start != old_start))
        n_moved += framing.end - framing.start;
      part = MIN (room, sizeof text - 1);
      memcpy (where, text, part);
      aqmp_framing_commit (&framing, part);
      n_bytes += part;
      while (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &message, NULL) == AQMP_FRAMING_MESSAGE)
        g_bytes_unref (message);
    }

  g_assert_cmpuint (n_moved, <=, n_bytes);
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  aqmp_framing_clear (&framing);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static GBytes *
take_line (AqmpFraming *framing,
           gsize        length)
{
  g_autofree char *text = g_malloc (length + 1);
  g_autoptr (GError) error = NULL;
  GBytes *message = NULL;

  memset (text, 'x', length);
  text[length] = '\n';
  push (framing, text, length + 1);
  g_assert_cmpint (aqmp_framing_next (framing, NO_LIMIT, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_cmpuint (g_bytes_get_size (message), ==, length);
  return message;
}

/* As take_line(), with another message before it in the buffer. */
static GBytes *
take_second_line (AqmpFraming *framing,
                  gsize        length)
{
  g_autofree char *text = g_malloc (length + 3);
  g_autoptr (GBytes) first = NULL;
  GBytes *message = NULL;

  memset (text, 'x', length + 3);
  text[1] = '\n';
  text[length + 2] = '\n';
  push (framing, text, length + 3);
  g_assert_cmpint (aqmp_framing_next (framing, NO_LIMIT, FALSE, frame_line, NULL, &first, NULL), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_cmpuint (g_bytes_get_size (first), ==, 1);
  g_assert_cmpint (aqmp_framing_next (framing, NO_LIMIT, FALSE, frame_line, NULL, &message, NULL), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_cmpuint (g_bytes_get_size (message), ==, length);
  return message;
}

/* Through a pointer that hides from the compiler what it points to. */
static gsize
usable_size (GBytes *bytes)
{
  gconstpointer data = g_bytes_get_data (bytes, NULL);

  return malloc_usable_size ((gpointer) (guintptr) data);
}

static void
test_pins_little (void)
{
  gsize length;

  for (length = 100; length <= 4 * 1024 * 1024; length = length * 7 / 4)
    {
      AqmpFraming framing;
      g_autoptr (GBytes) alone = NULL;
      g_autoptr (GBytes) after_another = NULL;

      aqmp_framing_init (&framing);
      alone = take_line (&framing, length);
      g_assert_cmpuint (usable_size (alone), <=, 2 * length + 64);

      after_another = take_second_line (&framing, length);
      g_assert_cmpuint (usable_size (after_another), <=, 2 * length + 64);
      /* Of a really big one, nothing but itself. */
      if (length > 1024 * 1024)
        g_assert_cmpuint (usable_size (alone), <=, length + 2 * SMALL);
      aqmp_framing_clear (&framing);
    }
}

/* A big message is not copied: it takes the buffer with it, and what follows it is not lost. */
static void
test_big_is_not_copied (void)
{
  const gsize length = 1024 * 1024;
  g_autofree char *text = g_malloc (length);
  AqmpFraming framing;
  g_autoptr (GBytes) message = NULL;
  g_autoptr (GBytes) rest = NULL;
  g_autoptr (GError) error = NULL;

  memset (text, 'x', length);
  text[length - 8] = '\n';
  memcpy (text + length - 7, "follow\n", 7);

  aqmp_framing_init (&framing);
  push (&framing, text, length);
  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &message, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_cmpuint (g_bytes_get_size (message), ==, length - 8);
  g_assert_cmpmem (g_bytes_get_data (message, NULL), length - 8, text, length - 8);
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  g_assert_true (aqmp_framing_has_news (&framing));

  g_assert_cmpint (aqmp_framing_next (&framing, NO_LIMIT, FALSE, frame_line, NULL, &rest, &error), ==,
                   AQMP_FRAMING_MESSAGE);
  g_assert_cmpmem (g_bytes_get_data (rest, NULL), g_bytes_get_size (rest), "follow", 6);
  aqmp_framing_clear (&framing);
}

/* After a burst of big messages, small ones are enough to get back to the smallest buffer. */
static void
test_shrinks (void)
{
  AqmpFraming framing;
  guint i;

  aqmp_framing_init (&framing);
  /* Just too small for taking the buffer with them. */
  for (i = 0; i < 10; i++)
    g_bytes_unref (take_line (&framing, 60000));
  g_assert_cmpuint (framing.capacity, >=, 60000);

  for (i = 0; i < 200; i++)
    g_bytes_unref (take_line (&framing, 10));
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  g_assert_cmpuint (malloc_usable_size (framing.data), <, 2 * SMALL);
  aqmp_framing_clear (&framing);
}

/* Those that are skipped are enough, too. */
static void
test_shrinks_when_skipping (void)
{
  AqmpFraming framing;
  g_autoptr (GString) out = g_string_new (NULL);
  guint i;

  aqmp_framing_init (&framing);
  g_bytes_unref (take_line (&framing, 60000));
  g_assert_cmpuint (framing.capacity, >=, 60000);

  for (i = 0; i < 200; i++)
    {
      push (&framing, "#skipped\n", 9);
      take_all (&framing, NO_LIMIT, FALSE, frame_commented, out);
    }
  g_assert_cmpstr (out->str, ==, "");
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  aqmp_framing_clear (&framing);
}

/* One that was big leaves no big buffer behind, either. */
static void
test_big_is_skipped (void)
{
  g_autofree char *text = g_strnfill (1024 * 1024, '#');
  AqmpFraming framing;
  g_autoptr (GString) out = g_string_new (NULL);
  gsize room;

  text[1024 * 1024 - 1] = '\n';
  aqmp_framing_init (&framing);
  push (&framing, text, 1024 * 1024);
  take_all (&framing, NO_LIMIT, FALSE, frame_commented, out);
  g_assert_cmpstr (out->str, ==, "");
  g_assert_cmpuint (framing.capacity, ==, 0);

  push (&framing, "next\n", 5);
  take_all (&framing, NO_LIMIT, FALSE, frame_commented, out);
  g_assert_cmpstr (out->str, ==, "[next]");
  aqmp_framing_reserve (&framing, &room);
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  aqmp_framing_clear (&framing);
}

/* A big message takes its buffer with it; where that is freed before the next big one, it serves again, and so does the small buffer
   that was in its place. What has arrived by then moves along. */
static void
test_big_buffer_serves_again (void)
{
  AqmpFraming framing;
  const guint8 *small, *big = NULL;
  guint i;

  aqmp_framing_init (&framing);
  g_bytes_unref (take_line (&framing, 200000));
  small = framing.data;

  for (i = 0; i < 5; i++)
    {
      g_autoptr (GBytes) message = take_line (&framing, 200000 - 500 * i);

      g_assert_true (i == 0 || g_bytes_get_data (message, NULL) == big);
      big = g_bytes_get_data (message, NULL);
      g_assert_cmpuint (framing.capacity, ==, SMALL);
      g_assert_true (framing.data == small);
    }
  aqmp_framing_clear (&framing);
}

/* From a peer that always has more to say than is asked for, more is asked for; but not ever more. */
static void
test_bigger_pieces (void)
{
  AqmpFraming framing;
  g_autoptr (GString) out = g_string_new (NULL);
  gsize room;
  guint i;

  aqmp_framing_init (&framing);
  for (i = 0; i < 10; i++)
    {
      guint8 *where = aqmp_framing_reserve (&framing, &room);

      memset (where, '\n', room);
      aqmp_framing_commit (&framing, room);
      take_all (&framing, NO_LIMIT, FALSE, frame_line, out);
    }
  g_assert_cmpuint (room, ==, 4 * SMALL);
  g_assert_cmpuint (framing.capacity, ==, 4 * SMALL);

  for (i = 0; i < 200; i++)
    g_bytes_unref (take_line (&framing, 10));
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  aqmp_framing_clear (&framing);
}

/* Bytes of a message that is not whole yet survive the shrinking. */
static void
test_shrinks_around_remainder (void)
{
  AqmpFraming framing;
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GString) out = g_string_new (NULL);
  guint i;

  aqmp_framing_init (&framing);
  g_bytes_unref (take_line (&framing, 60000));
  for (i = 0; i < 500; i++)
    {
      g_autofree char *text = g_strdup_printf ("-first half %u\nsecond half %u", i, i);

      push (&framing, text, strlen (text));
      take_all (&framing, NO_LIMIT, FALSE, frame_line, out);
      if (i == 0)
        g_string_append_printf (expected, "[-first half 0]");
      else
        g_string_append_printf (expected, "[second half %u-first half %u]", i - 1, i);
    }

  g_assert_cmpstr (out->str, ==, expected->str);
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  aqmp_framing_clear (&framing);
}

/* A buffer that is used is not given back each time only to be asked for again. */
static void
test_does_not_flap (void)
{
  AqmpFraming framing;
  guint n_resized = 0;
  gsize capacity;
  guint i;

  aqmp_framing_init (&framing);
  g_bytes_unref (take_line (&framing, 40000));
  capacity = framing.capacity;

  for (i = 0; i < 1000; i++)
    {
      g_bytes_unref (take_line (&framing, i % 10 == 0 ? 40000 : 10));
      n_resized += framing.capacity != capacity;
      capacity = framing.capacity;
    }
  g_assert_cmpuint (n_resized, ==, 0);
  aqmp_framing_clear (&framing);
}

static void
test_many_messages (void)
{
  AqmpFraming framing;
  guint i;

  aqmp_framing_init (&framing);
  for (i = 0; i < 100000; i++)
    g_bytes_unref (take_line (&framing, i % 200));
  g_assert_cmpuint (framing.capacity, ==, SMALL);
  g_assert_cmpuint (aqmp_framing_get_held (&framing), ==, 0);
  aqmp_framing_clear (&framing);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/framing/M2/lf", test_lf);
  g_test_add_func ("/framing/M2/crlf", test_crlf);
  g_test_add_func ("/framing/M2/mixed-endings", test_mixed_endings);
  g_test_add_func ("/framing/M2/lone-cr", test_lone_cr);
  g_test_add_func ("/framing/M2/empty-lines", test_empty_lines);
  g_test_add_func ("/framing/M2/last-line-without-newline", test_last_line_without_newline);
  g_test_add_func ("/framing/M2/last-line-not-before-eof", test_not_before_eof);
  g_test_add_func ("/framing/M2/nothing", test_nothing);
  g_test_add_func ("/framing/M2/nul-bytes", test_nul_bytes);
  g_test_add_func ("/framing/no-message", test_no_message);
  g_test_add_func ("/framing/error", test_error);
  g_test_add_func ("/framing/error-is-handed-on", test_error_is_handed_on);
  g_test_add_func ("/framing/messages-are-independent", test_messages_are_independent);
  g_test_add_func ("/framing/news", test_news);
  g_test_add_func ("/framing/M4/exact-size", test_exact_size);
  g_test_add_func ("/framing/M4/one-too-many", test_one_too_many);
  g_test_add_func ("/framing/M4/without-end", test_without_end);
  g_test_add_func ("/framing/M4/skipped-does-not-count", test_skipped_does_not_count);
  g_test_add_func ("/framing/M4/limit-bounds-memory", test_limit_bounds_memory);
  g_test_add_func ("/framing/M3/linear/scanned", test_scanned);
  g_test_add_func ("/framing/M3/linear/byte-by-byte", test_byte_by_byte);
  g_test_add_func ("/framing/M3/linear/remainders", test_remainders);
  g_test_add_func ("/framing/M4/pins-little", test_pins_little);
  g_test_add_func ("/framing/M4/big-is-not-copied", test_big_is_not_copied);
  g_test_add_func ("/framing/M4/shrinks", test_shrinks);
  g_test_add_func ("/framing/M4/shrinks-when-skipping", test_shrinks_when_skipping);
  g_test_add_func ("/framing/M4/big-is-skipped", test_big_is_skipped);
  g_test_add_func ("/framing/big-buffer-serves-again", test_big_buffer_serves_again);
  g_test_add_func ("/framing/bigger-pieces", test_bigger_pieces);
  g_test_add_func ("/framing/M4/shrinks-around-remainder", test_shrinks_around_remainder);
  g_test_add_func ("/framing/M4/does-not-flap", test_does_not_flap);
  g_test_add_func ("/framing/M4/many-messages", test_many_messages);

  return g_test_run ();
}
