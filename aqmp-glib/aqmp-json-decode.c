/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The bytes of strings and numbers: characters, escape sequences, and what they stand for. */

#include "aqmp-json-private.h"
#include "aqmp-json-text-private.h"

#define ESCAPE_LENGTH 6 /* of \uXXXX */

/* UTF-8 is checked by an automaton without branches, which costs the same for any mixture of scripts. A state is the
   number of the bit where, in the row of the next byte, the state after that byte stands; six bits each. What is not in a
   row is UTF8_BAD, which stays. */
#define UTF8_BAD 0
#define UTF8_DONE 6      /* at the end of a character */
#define UTF8_1 12        /* so many bytes are missing */
#define UTF8_2 18
#define UTF8_3 24
#define UTF8_AFTER_E0 30 /* overlong forms begin so */
#define UTF8_AFTER_ED 36 /* and surrogates */
#define UTF8_AFTER_F0 42 /* and overlong forms */
#define UTF8_AFTER_F4 48 /* and what is beyond U+10FFFF */

#define UTF8_STEP(from, to) ((guint64) (to) << (from))
#define UTF8_CONTINUES \
  (UTF8_STEP (UTF8_1, UTF8_DONE) | UTF8_STEP (UTF8_2, UTF8_1) | UTF8_STEP (UTF8_3, UTF8_2))

static const guint64 utf8_rows[256] = {
  [0x00 ... 0x7f] = UTF8_STEP (UTF8_DONE, UTF8_DONE),
  [0x80 ... 0x8f] = UTF8_CONTINUES | UTF8_STEP (UTF8_AFTER_ED, UTF8_1) | UTF8_STEP (UTF8_AFTER_F4, UTF8_2),
  [0x90 ... 0x9f] = UTF8_CONTINUES | UTF8_STEP (UTF8_AFTER_ED, UTF8_1) | UTF8_STEP (UTF8_AFTER_F0, UTF8_2),
  [0xa0 ... 0xbf] = UTF8_CONTINUES | UTF8_STEP (UTF8_AFTER_E0, UTF8_1) | UTF8_STEP (UTF8_AFTER_F0, UTF8_2),
  [0xc2 ... 0xdf] = UTF8_STEP (UTF8_DONE, UTF8_1),
  [0xe0] = UTF8_STEP (UTF8_DONE, UTF8_AFTER_E0),
  [0xe1 ... 0xec] = UTF8_STEP (UTF8_DONE, UTF8_2),
  [0xed] = UTF8_STEP (UTF8_DONE, UTF8_AFTER_ED),
  [0xee ... 0xef] = UTF8_STEP (UTF8_DONE, UTF8_2),
  [0xf0] = UTF8_STEP (UTF8_DONE, UTF8_AFTER_F0),
  [0xf1 ... 0xf3] = UTF8_STEP (UTF8_DONE, UTF8_3),
  [0xf4] = UTF8_STEP (UTF8_DONE, UTF8_AFTER_F4),
};

static inline guint64
utf8_step (guint64 state,
           guint8  byte)
{
  return utf8_rows[byte] >> (state & 63);
}

const guint8 *
aqmp_json_skip_utf8 (const guint8 *p,
                     const guint8 *end)
{
  const guint8 *start = p;
  guint64 state = UTF8_DONE;

  /* In fours, or the speed depends on where the linker places the loop. */
  for (; end - p >= 4; p += 4)
    {
      state = utf8_step (state, p[0]);
      state = utf8_step (state, p[1]);
      state = utf8_step (state, p[2]);
      state = utf8_step (state, p[3]);
    }
  for (; p < end; p++)
    state = utf8_step (state, *p);
  if (G_LIKELY ((state & 63) == UTF8_DONE))
    return end;

  /* Once in a call of the scanner at most: where was it? */
  for (p = start; p < end;)
    {
      gint length = *p < 0x80 ? 1 : aqmp_json_utf8_length (p, end);

      if (length <= 0)
        break;
      p += length;
    }
  return p;
}

static inline gboolean
is_continuation (guint8 c)
{
  return (c & 0xc0) == 0x80;
}

/* What is wrong already is not called incomplete. */
gint
aqmp_json_utf8_length (const guint8 *p,
                       const guint8 *end)
{
  guint8 lowest = 0x80, highest = 0xbf;
  gint length, i;

  if (p[0] >= 0xc2 && p[0] <= 0xdf)
    length = 2;
  else if (p[0] >= 0xe0 && p[0] <= 0xef)
    length = 3;
  else if (p[0] >= 0xf0 && p[0] <= 0xf4)
    length = 4;
  else
    return 0;

  /* Overlong forms, surrogates, and beyond U+10FFFF. */
  if (p[0] == 0xe0)
    lowest = 0xa0;
  else if (p[0] == 0xed)
    highest = 0x9f;
  else if (p[0] == 0xf0)
    lowest = 0x90;
  else if (p[0] == 0xf4)
    highest = 0x8f;

  for (i = 1; i < length; i++)
    {
      if (p + i == end)
        return AQMP_JSON_INCOMPLETE;
      if (i == 1 ? p[i] < lowest || p[i] > highest : !is_continuation (p[i]))
        return 0;
    }

  return length;
}

/* As aqmp_json_read_escape(), of one \uXXXX, which may be half of a pair. */
static gint
read_code_unit (const guint8 *p,
                const guint8 *end,
                gunichar     *unit)
{
  gint i;

  *unit = 0;
  for (i = 0; i < ESCAPE_LENGTH; i++)
    {
      if (p + i >= end)
        return AQMP_JSON_INCOMPLETE;
      if (i < 2)
        {
          if (p[i] != "\\u"[i])
            return 0;
        }
      else
        {
          gint digit = g_ascii_xdigit_value ((char) p[i]);

          if (digit < 0)
            return 0;
          *unit = *unit << 4 | (guint) digit;
        }
    }

  return ESCAPE_LENGTH;
}

static gint
read_unicode_escape (const guint8 *p,
                     const guint8 *end,
                     gunichar     *character)
{
  gunichar low;
  gint length = read_code_unit (p, end, character);

  if (length <= 0 || (*character & 0xf800) != 0xd800)
    return length;
  if (*character >= 0xdc00)
    return 0;

  length = read_code_unit (p + ESCAPE_LENGTH, end, &low);
  if (length == AQMP_JSON_INCOMPLETE)
    return AQMP_JSON_INCOMPLETE;
  if (length == 0 || (low & 0xfc00) != 0xdc00)
    return 0;

  *character = 0x10000 + ((*character & 0x3ff) << 10) + (low & 0x3ff);
  return 2 * ESCAPE_LENGTH;
}

gint
aqmp_json_read_escape (const guint8 *p,
                       const guint8 *end,
                       gunichar     *character)
{
  if (end - p < 2)
    return AQMP_JSON_INCOMPLETE;

  switch (p[1])
    {
    case '"':
    case '\\':
    case '/':
      *character = p[1];
      return 2;
    case 'b':
      *character = '\b';
      return 2;
    case 'f':
      *character = '\f';
      return 2;
    case 'n':
      *character = '\n';
      return 2;
    case 'r':
      *character = '\r';
      return 2;
    case 't':
      *character = '\t';
      return 2;
    case 'u':
      return read_unicode_escape (p, end, character);
    default:
      return 0;
    }
}

const guint8 *
aqmp_json_find_close (const guint8 *p,
                      const guint8 *end)
{
  for (p = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_TRUSTED); p < end && *p == '\\';
       p = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_TRUSTED))
    p += MIN (2, end - p);

  return p;
}

gsize
aqmp_json_decode_text (const guint8 *p,
                       const guint8 *close,
                       char         *out,
                       gboolean     *has_nul)
{
  char *o = out;

  *has_nul = FALSE;

  while (p < close)
    {
      const guint8 *run_end = aqmp_json_skip_run (p, close, AQMP_JSON_RUN_TRUSTED);
      gunichar character;
      gint length;

      memcpy (o, p, run_end - p);
      o += run_end - p;
      p = run_end;
      if (p == close)
        break;

      length = aqmp_json_read_escape (p, close, &character);
      /* Not in validated text. */
      if (G_UNLIKELY (length <= 0))
        break;
      *has_nul |= character == 0;
      if (character < 0x80)
        *o++ = (char) character;
      else
        o += g_unichar_to_utf8 (character, o);
      p += length;
    }

  return o - out;
}

gdouble
aqmp_json_number_to_double (const guint8 *text,
                            gsize         length)
{
  char small[64];
  char *copy = length < sizeof small ? small : g_malloc (length + 1);
  gdouble value;

  memcpy (copy, text, length);
  copy[length] = '\0';
  value = g_ascii_strtod (copy, NULL);
  if (copy != small)
    g_free (copy);

  return value;
}

/* FALSE if the value is no string; else where its inside is. */
static gboolean
find_text (const guint8  *data,
           gsize          length,
           const guint8 **text,
           const guint8 **close)
{
  if (length < 2 || data[0] != '"')
    return FALSE;

  *text = data + 1;
  *close = aqmp_json_find_close (*text, data + length);
  return *close < data + length;
}

gboolean
aqmp_json_decode_string (const guint8 *data,
                         gsize         length,
                         GString      *decoded)
{
  const guint8 *text, *close;
  gsize old_length = decoded->len;
  gsize added;
  gboolean has_nul;

  if (!find_text (data, length, &text, &close))
    return FALSE;

  g_string_set_size (decoded, old_length + (close - text));
  added = aqmp_json_decode_text (text, close, decoded->str + old_length, &has_nul);
  g_string_truncate (decoded, old_length + added);
  return TRUE;
}

char *
aqmp_json_dup_string (const guint8 *data,
                      gsize         length)
{
  g_autofree char *decoded = NULL;
  const guint8 *text, *close;
  gsize added;
  gboolean has_nul;

  if (!find_text (data, length, &text, &close))
    return NULL;

  decoded = g_malloc (close - text + 1);
  added = aqmp_json_decode_text (text, close, decoded, &has_nul);
  decoded[added] = '\0';
  return has_nul ? NULL : g_steal_pointer (&decoded);
}

gboolean
aqmp_json_get_int64 (const guint8 *data,
                     gsize         length,
                     gint64       *value)
{
  gboolean negative = length > 0 && data[0] == '-';
  guint64 limit = (guint64) G_MAXINT64 + negative;
  guint64 magnitude = 0;
  gsize i;

  if (length == (gsize) negative)
    return FALSE;

  for (i = negative; i < length; i++)
    {
      guint digit = data[i] - (guint) '0';

      if (digit > 9 || magnitude > (limit - digit) / 10)
        return FALSE;
      magnitude = magnitude * 10 + digit;
    }

  /* Negated as unsigned: the magnitude of G_MININT64 is no gint64. */
  *value = (gint64) (negative ? -magnitude : magnitude);
  return TRUE;
}
