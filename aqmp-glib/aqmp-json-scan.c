/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The scanner: a state machine over the text that can stop at any byte. What it stops in is at most an escape sequence,
   a character or a literal, which it looks at again from the beginning; longer tokens have states of their own, so that the
   time is linear in the size however the text arrives. */

#include <math.h>

#include <glib/gi18n-lib.h>

#include "aqmp-error-private.h"
#include "aqmp-json-private.h"
#include "aqmp-json-text-private.h"

/* What comes next. */
enum
{
  STATE_START,          /* the value itself */
  STATE_VALUE,
  STATE_VALUE_OR_CLOSE, /* just after [ */
  STATE_IN_STRING,
  STATE_IN_NUMBER,
  STATE_AFTER_VALUE,    /* a comma or the end of the array or object */
  STATE_NAME,
  STATE_NAME_OR_CLOSE,  /* just after { */
  STATE_IN_NAME,
  STATE_COLON,
  STATE_DONE,
};

/* What was read of a number. */
enum
{
  NUMBER_NONE,          /* also: the byte does not belong to the number */
  NUMBER_MINUS,
  NUMBER_ZERO,
  NUMBER_INTEGER,
  NUMBER_POINT,
  NUMBER_FRACTION,
  NUMBER_E,
  NUMBER_SIGN,
  NUMBER_EXPONENT,
  NUMBER_N_STATES,
};

enum
{
  DIGIT_OTHER,
  DIGIT_ZERO,
  DIGIT_NONZERO,
  DIGIT_POINT,
  DIGIT_E,
  DIGIT_PLUS,
  DIGIT_MINUS,
  DIGIT_N_CLASSES,
};

static const guint8 digit_class[256] = {
  ['0'] = DIGIT_ZERO,
  ['1'] = DIGIT_NONZERO, ['2'] = DIGIT_NONZERO, ['3'] = DIGIT_NONZERO,
  ['4'] = DIGIT_NONZERO, ['5'] = DIGIT_NONZERO, ['6'] = DIGIT_NONZERO,
  ['7'] = DIGIT_NONZERO, ['8'] = DIGIT_NONZERO, ['9'] = DIGIT_NONZERO,
  ['.'] = DIGIT_POINT,
  ['e'] = DIGIT_E, ['E'] = DIGIT_E,
  ['+'] = DIGIT_PLUS,
  ['-'] = DIGIT_MINUS,
};

static const guint8 number_next[NUMBER_N_STATES][DIGIT_N_CLASSES] = {
  [NUMBER_NONE] = { [DIGIT_MINUS] = NUMBER_MINUS, [DIGIT_ZERO] = NUMBER_ZERO, [DIGIT_NONZERO] = NUMBER_INTEGER },
  [NUMBER_MINUS] = { [DIGIT_ZERO] = NUMBER_ZERO, [DIGIT_NONZERO] = NUMBER_INTEGER },
  [NUMBER_ZERO] = { [DIGIT_POINT] = NUMBER_POINT, [DIGIT_E] = NUMBER_E },
  [NUMBER_INTEGER] = { [DIGIT_ZERO] = NUMBER_INTEGER, [DIGIT_NONZERO] = NUMBER_INTEGER,
                       [DIGIT_POINT] = NUMBER_POINT, [DIGIT_E] = NUMBER_E },
  [NUMBER_POINT] = { [DIGIT_ZERO] = NUMBER_FRACTION, [DIGIT_NONZERO] = NUMBER_FRACTION },
  [NUMBER_FRACTION] = { [DIGIT_ZERO] = NUMBER_FRACTION, [DIGIT_NONZERO] = NUMBER_FRACTION, [DIGIT_E] = NUMBER_E },
  [NUMBER_E] = { [DIGIT_PLUS] = NUMBER_SIGN, [DIGIT_MINUS] = NUMBER_SIGN,
                 [DIGIT_ZERO] = NUMBER_EXPONENT, [DIGIT_NONZERO] = NUMBER_EXPONENT },
  [NUMBER_SIGN] = { [DIGIT_ZERO] = NUMBER_EXPONENT, [DIGIT_NONZERO] = NUMBER_EXPONENT },
  [NUMBER_EXPONENT] = { [DIGIT_ZERO] = NUMBER_EXPONENT, [DIGIT_NONZERO] = NUMBER_EXPONENT },
};

/* A double goes up to about 1.8e308, so this many digits are no risk, nor a hundred less and an exponent of two digits. */
#define SAFE_NUMBER_LENGTH 300

void
aqmp_json_scan_init (AqmpJsonScan       *scan,
                     const char * const *names)
{
  /* Runs once a message: what is left out is written before it is read. */
  scan->has_escape = FALSE;
  scan->has_nul = scan->has_huge_number = scan->has_duplicate = FALSE;
  /* In two halves, which are short enough for compilers to clear them by plain stores: a “rep stos” costs more than a name. */
  memset (scan->members, 0, sizeof scan->members / 2);
  memset (scan->members + AQMP_JSON_MAX_NAMES / 2, 0, sizeof scan->members / 2);
  scan->names = names;
  scan->position = 0;
  scan->depth = 0;
  scan->state = STATE_START;
  scan->member = -1;
}

/* Errors */

/* Some bytes before the culprit are shown too, from the beginning of a character on. */
static char *
excerpt_around (const guint8 *data,
                gsize         length,
                gsize         offset)
{
  gsize start = offset > 24 ? offset - 24 : 0;

  while (start < offset && (data[start] & 0xc0) == 0x80)
    start++;
  return aqmp_excerpt (data + start, length - start);
}

G_GNUC_NO_INLINE
static void
set_parse_error (const guint8  *data,
                 gsize          length,
                 gsize          offset,
                 const char    *what,
                 GError       **error)
{
  g_autofree char *excerpt = excerpt_around (data, length, offset);

  g_set_error (error, AQMP_ERROR, AQMP_ERROR_PARSE,
               _("Invalid JSON at byte %zu: %s, in “%s”"), offset, what, excerpt);
}

/* @state and @p are such that another call would end here again. */
G_GNUC_NO_INLINE
static gssize
fail (AqmpJsonScan  *scan,
      guint8         state,
      guint          depth,
      const guint8  *p,
      const guint8  *data,
      gsize          length,
      const char    *what,
      GError       **error)
{
  scan->state = state;
  scan->depth = depth;
  scan->position = p - data;
  set_parse_error (data, length, scan->position, what, error);
  return -1;
}

G_GNUC_NO_INLINE
static const char *
explain_value (const guint8 *p,
               const guint8 *end)
{
  static const guint8 byte_order_mark[] = { 0xef, 0xbb, 0xbf };

  if ((gsize) (end - p) >= sizeof byte_order_mark && memcmp (p, byte_order_mark, sizeof byte_order_mark) == 0)
    return _("a byte order mark does not belong there");
  if (*p == '\'')
    return _("strings need double quotes");
  if (*p == '/')
    return _("comments are not allowed");
  if (*p == '}' || *p == ']')
    return _("a value is missing");
  return _("no value begins like this");
}

G_GNUC_NO_INLINE
static const char *
explain_string (const guint8 *p,
                const guint8 *end)
{
  if (*p >= 0x80)
    return _("the string is not valid UTF-8");
  if (*p != '\\')
    return _("a control character in a string has to be escaped");
  if (end - p >= 4 && p[1] == 'u' && (p[2] == 'd' || p[2] == 'D') && g_ascii_isxdigit (p[3]))
    return _("half of a surrogate pair stands alone");
  return _("this escape sequence does not exist");
}

G_GNUC_NO_INLINE
static const char *
explain_number (const guint8 *p,
                guint8        number_state)
{
  if (number_state == NUMBER_ZERO)
    return _("a number must not begin with a superfluous zero");
  return _("a digit is missing in the number");
}

/* Tokens */

static const guint8 *
skip_space_run (const guint8 *p,
                const guint8 *end)
{
  while (p < end && aqmp_json_is_space (*p))
    {
      if (*p++ != ' ')
        continue;
      /* Indented text is full of runs of blanks. */
      while (end - p >= 8 && memcmp (p, "        ", 8) == 0)
        p += 8;
    }
  return p;
}

/* @p is before @end, and at white space or a control character. Most often it is one blank. */
static inline const guint8 *
skip_space (const guint8 *p,
            const guint8 *end)
{
  if (*p == ' ')
    p++;
  return p < end && *p <= ' ' ? skip_space_run (p, end) : p;
}

/* Whether a comma or colon is here, one blank follows, and then what comes next: that is how QEMU writes. */
static inline gboolean
is_separated (const guint8 *p,
              const guint8 *end,
              const char   *separator)
{
  return end - p > 2 && memcmp (p, separator, 2) == 0 && p[2] > ' ';
}

typedef enum
{
  STRING_CLOSED,
  STRING_INCOMPLETE,
  STRING_INVALID,
} StringEnd;

/* Advances inside a string to where it ends: the closing quote, the first piece that is incomplete, or is invalid. These functions take
   and return the place instead of a pointer to it: whose address is taken is kept in memory. */
static const guint8 *
scan_string (AqmpJsonScan *scan,
             const guint8 *p,
             const guint8 *end,
             StringEnd    *result)
{
  *result = STRING_INCOMPLETE;

  while (p < end)
    {
      gint length;

      if (*p >= 0x80)
        {
          const guint8 *run_end = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_UTF8);

          p = aqmp_json_skip_utf8 (p, run_end);
          if (G_LIKELY (p == run_end))
            continue;
          length = aqmp_json_utf8_length (p, end);
        }
      else if (*p == '"')
        {
          *result = STRING_CLOSED;
          break;
        }
      else if (*p == '\\')
        {
          gunichar character;

          length = aqmp_json_read_escape (p, end, &character);
          if (length > 0)
            {
              scan->name_escaped = scan->has_escape = TRUE;
              scan->has_nul |= character == 0;
              p += length;
              continue;
            }
        }
      else if (*p < 0x20)
        {
          length = 0;
        }
      else
        {
          p = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_ASCII);
          continue;
        }

      *result = length == AQMP_JSON_INCOMPLETE ? STRING_INCOMPLETE : STRING_INVALID;
      break;
    }

  return p;
}

#ifdef __SSE2__

/* Of the bytes of a block of UTF-8, those of characters that are all there. */
static inline gsize
whole_characters (const guint8 *block)
{
  const guint8 *end = block + AQMP_JSON_BLOCK;

  if (end[-1] >= 0xc0)
    return AQMP_JSON_BLOCK - 1;
  if (end[-2] >= 0xe0)
    return AQMP_JSON_BLOCK - 2;
  if (end[-3] >= 0xf0)
    return AQMP_JSON_BLOCK - 3;
  return AQMP_JSON_BLOCK;
}

/* The same, block by block, of a string with characters beyond ASCII. */
G_GNUC_NO_INLINE
static const guint8 *
scan_long_text (AqmpJsonScan *scan,
                const guint8 *p,
                const guint8 *end,
                StringEnd    *result)
{
  while (end - p >= AQMP_JSON_BLOCK)
    {
      AqmpJsonStops stops = aqmp_json_block_stops (p, AQMP_JSON_RUN_UTF8);

      if (G_UNLIKELY (!aqmp_json_block_is_utf8 (p, stops)))
        break;
      if (G_UNLIKELY (stops == 0))
        {
          p += whole_characters (p);
          continue;
        }
      p += aqmp_json_first_stop (stops);
      if (G_UNLIKELY (*p != '"'))
        break;
      *result = STRING_CLOSED;
      return p;
    }

  return scan_string (scan, p, end, result);
}

/* The same. Most fit into the first block, and are spared what a loop sets up. */
G_GNUC_NO_INLINE
static const guint8 *
scan_text (AqmpJsonScan *scan,
           const guint8 *p,
           const guint8 *end,
           StringEnd    *result)
{
  AqmpJsonStops stops = aqmp_json_block_stops (p, AQMP_JSON_RUN_UTF8);

  if (G_UNLIKELY (stops == 0 || p[aqmp_json_first_stop (stops)] != '"' || !aqmp_json_block_is_utf8 (p, stops)))
    return scan_long_text (scan, p, end, result);

  *result = STRING_CLOSED;
  return p + aqmp_json_first_stop (stops);
}

#endif

/* The bytes up to @end are fewer than a block, but there are enough before them, back to @data: the block that ends there will do. */
static const guint8 *
scan_string_at_end (AqmpJsonScan *scan,
                    const guint8 *data,
                    const guint8 *p,
                    const guint8 *end,
                    StringEnd    *result)
{
  if (p < end && end - data >= AQMP_JSON_BLOCK)
    {
      AqmpJsonStops stops = aqmp_json_tail_stops (p, end, AQMP_JSON_RUN_ASCII);

      p = stops != 0 ? p + aqmp_json_first_stop (stops) : end;
      if (G_LIKELY (stops != 0 && *p == '"'))
        {
          *result = STRING_CLOSED;
          return p;
        }
    }

  return scan_string (scan, p, end, result);
}

/* Most strings are short and plain: one look at a block settles them. */
G_ALWAYS_INLINE
static inline const guint8 *
scan_string_quickly (AqmpJsonScan *scan,
                     const guint8 *data,
                     const guint8 *p,
                     const guint8 *end,
                     StringEnd    *result)
{
  AqmpJsonStops stops;
  const guint8 *stop;

  if (G_UNLIKELY (end - p < AQMP_JSON_BLOCK))
    return scan_string_at_end (scan, data, p, end, result);

  stops = aqmp_json_block_stops (p, AQMP_JSON_RUN_ASCII);
  if (G_UNLIKELY (stops == 0))
    return scan_string (scan, p + AQMP_JSON_BLOCK, end, result);

  stop = p + aqmp_json_first_stop (stops);
  if (G_LIKELY (*stop == '"'))
    {
      *result = STRING_CLOSED;
      return stop;
    }
#ifdef __SSE2__
  if (*stop >= 0x80)
    return scan_text (scan, p, end, result);
#endif
  return scan_string (scan, stop, end, result);
}

/* The first byte that cannot belong to the number; @state tells what was read. */
static const guint8 *
scan_number (guint8       *state,
             const guint8 *p,
             const guint8 *end)
{
  guint8 current = *state;

  while (p < end)
    {
      guint8 next = number_next[current][digit_class[*p]];

      if (next == NUMBER_NONE)
        break;
      current = next;
      p++;
    }

  *state = current;
  return p;
}

/* Most numbers are integers without a sign. NULL: this is none, or does not end here. */
static inline const guint8 *
scan_number_quickly (const guint8 *p,
                     const guint8 *end)
{
  const guint8 *start = p;

  if (*p == '0')
    return NULL;

  while (p < end && aqmp_json_is_digit (*p))
    p++;
  if (p == start || p == end || p - start >= SAFE_NUMBER_LENGTH ||
      number_next[NUMBER_INTEGER][digit_class[*p]] != NUMBER_NONE)
    return NULL;
  return p;
}

static inline gboolean
number_is_complete (guint8 state)
{
  return state == NUMBER_ZERO || state == NUMBER_INTEGER || state == NUMBER_FRACTION || state == NUMBER_EXPONENT;
}

G_GNUC_NO_INLINE
static gboolean
exceeds_double (const guint8 *text,
                gsize         length,
                guint8        number_state)
{
  if (number_state != NUMBER_EXPONENT)
    {
      if (length < SAFE_NUMBER_LENGTH)
        return FALSE;
    }
  else if (length < SAFE_NUMBER_LENGTH - 100 && !(aqmp_json_is_digit (text[length - 2]) &&
                                                  aqmp_json_is_digit (text[length - 3])))
    {
      return FALSE;
    }

  return isinf (aqmp_json_number_to_double (text, length));
}

/* The end of the literal that @p is at; NULL and @incomplete, or NULL for none. */
static const guint8 *
scan_literal_at_end (const guint8 *p,
                     const guint8 *end,
                     gboolean     *incomplete)
{
  const char *literal = *p == 't' ? "true" : *p == 'f' ? "false" : "null";
  gsize length = *p == 'f' ? 5 : 4;
  gsize available = end - p;

  *incomplete = FALSE;
  if (memcmp (p, literal, MIN (length, available)) != 0)
    return NULL;
  *incomplete = available < length;
  return *incomplete ? NULL : p + length;
}

static inline const guint8 *
scan_literal (const guint8 *p,
              const guint8 *end,
              gboolean     *incomplete)
{
  if (G_UNLIKELY (end - p < 5))
    return scan_literal_at_end (p, end, incomplete);

  *incomplete = FALSE;
  if (memcmp (p, "true", 4) == 0 || memcmp (p, "null", 4) == 0)
    return p + 4;
  return *p == 'f' && memcmp (p + 1, "alse", 4) == 0 ? p + 5 : NULL;
}

/* Names of the outermost object */

static gboolean
escaped_name_equals (const guint8 *p,
                     const guint8 *close,
                     const char   *name)
{
  while (p < close)
    {
      char decoded[6];
      gunichar character = 0;
      gint taken = 1, length = 1;

      decoded[0] = (char) *p;
      if (*p == '\\')
        {
          taken = aqmp_json_read_escape (p, close, &character);
          if (character == 0)
            return FALSE;
          length = g_unichar_to_utf8 (character, decoded);
        }
      if (strncmp (name, decoded, length) != 0)
        return FALSE;
      name += length;
      p += taken;
    }

  return *name == '\0';
}

G_GNUC_NO_INLINE
static gint8
find_escaped_name (const AqmpJsonScan *scan,
                   const guint8       *p,
                   const guint8       *close)
{
  gint8 i;

  for (i = 0; scan->names[i] != NULL; i++)
    {
      if (escaped_name_equals (p, close, scan->names[i]))
        return i;
    }

  return -1;
}

/* The index of the name that was asked for, or -1. */
static gint8
find_name (const AqmpJsonScan *scan,
           const guint8       *p,
           const guint8       *close)
{
  const char * const *name;

  if (scan->names == NULL)
    return -1;
  if (G_UNLIKELY (scan->name_escaped))
    return find_escaped_name (scan, p, close);

  for (name = scan->names; *name != NULL; name++)
    {
      gsize i = 0;

      /* The first byte settles most. At the end of the shorter one they differ: in a NUL or in the closing quote. */
      while ((*name)[i] == (char) p[i])
        i++;
      if ((*name)[i] == '\0' && p + i == close)
        return (gint8) (name - scan->names);
    }

  return -1;
}

static inline void
member_begins (AqmpJsonScan *scan,
               gsize         offset)
{
  AqmpJsonSpan *span = &scan->members[scan->member];

  if (G_UNLIKELY (span->start != span->end))
    scan->has_duplicate = TRUE;
  span->start = span->end = offset;
}

/* Nesting */

static inline void
enter (AqmpJsonScan *scan,
       guint         depth,
       gboolean      is_object)
{
  guint64 bit = G_GUINT64_CONSTANT (1) << (depth % 64);

  if (is_object)
    scan->is_object[depth / 64] |= bit;
  else
    scan->is_object[depth / 64] &= ~bit;
}

static inline gboolean
is_in_object (const AqmpJsonScan *scan,
              guint               depth)
{
  return (scan->is_object[depth / 64] >> (depth % 64)) & 1;
}

/* The state machine. Labels instead of a loop around a switch: every token has its own branches, which the processor then
   predicts by themselves. Each label may be entered from the one above it or by resuming. */

#define SUSPEND(at_state) G_STMT_START { state = (at_state); goto suspend; } G_STMT_END
#define SKIP_SPACE(at_state) \
  G_STMT_START { \
    if (G_UNLIKELY (p == end)) \
      SUSPEND (at_state); \
    if (*p <= ' ') \
      { \
        p = skip_space (p, end); \
        if (G_UNLIKELY (p == end)) \
          SUSPEND (at_state); \
      } \
  } G_STMT_END
#define FAIL(at_state, text) \
  return fail (scan, (at_state), depth, p, data, length, (text), error)

gssize
aqmp_json_scan (AqmpJsonScan  *scan,
                const guint8  *data,
                gsize          length,
                gboolean       at_eof,
                GError       **error)
{
  const guint8 *p, *end, *literal_end;
  guint depth = scan->depth;
  gboolean in_object = depth > 0 && is_in_object (scan, depth - 1);
  guint8 state = scan->state;
  StringEnd string_end;
  gboolean incomplete;

  /* An empty buffer may be NULL. */
  if (length == 0)
    return 0;
  p = data + scan->position;
  end = data + length;

  switch (state)
    {
    case STATE_START:
      break;
    case STATE_VALUE:
      goto value;
    case STATE_VALUE_OR_CLOSE:
      goto value_or_close;
    case STATE_IN_STRING:
      goto in_string;
    case STATE_IN_NUMBER:
      goto in_number;
    case STATE_AFTER_VALUE:
      goto after_value;
    case STATE_NAME:
      goto name;
    case STATE_NAME_OR_CLOSE:
      goto name_or_close;
    case STATE_IN_NAME:
      goto in_name;
    case STATE_COLON:
      goto colon;
    default:
      return scan->position;
    }

  SKIP_SPACE (STATE_START);
  scan->kind = *p == '-' || aqmp_json_is_digit (*p) ? '\0' : (char) *p;

value:
  SKIP_SPACE (STATE_VALUE);

value_here:
  if (depth == 1 && scan->member >= 0)
    member_begins (scan, p - data);

  if (G_LIKELY (*p == '"'))
    {
      p++;

in_string:
      p = scan_string_quickly (scan, data, p, end, &string_end);
      if (G_UNLIKELY (string_end != STRING_CLOSED))
        {
          if (string_end == STRING_INCOMPLETE)
            SUSPEND (STATE_IN_STRING);
          FAIL (STATE_IN_STRING, explain_string (p, end));
        }
      p++;
      goto end_of_value;
    }

  if (*p == '{')
    {
      if (G_UNLIKELY (depth == AQMP_JSON_MAX_DEPTH))
        FAIL (STATE_VALUE, _("nested too deeply, more than 1024 arrays and objects inside each other"));
      enter (scan, depth++, TRUE);
      in_object = TRUE;
      p++;

name_or_close:
      SKIP_SPACE (STATE_NAME_OR_CLOSE);
      if (G_LIKELY (*p == '"'))
        goto name_here;
      if (*p != '}')
        FAIL (STATE_NAME_OR_CLOSE, _("a name in double quotes or “}” was expected"));
      goto close;
    }

  if (*p == '[')
    {
      if (G_UNLIKELY (depth == AQMP_JSON_MAX_DEPTH))
        FAIL (STATE_VALUE, _("nested too deeply, more than 1024 arrays and objects inside each other"));
      enter (scan, depth++, FALSE);
      in_object = FALSE;
      p++;

value_or_close:
      SKIP_SPACE (STATE_VALUE_OR_CLOSE);
      if (*p != ']')
        goto value;
      goto close;
    }

  if (*p == '-' || aqmp_json_is_digit (*p))
    {
      const guint8 *number_end = scan_number_quickly (p, end);

      if (G_LIKELY (number_end != NULL))
        {
          p = number_end;
          goto end_of_value;
        }
      scan->token_start = p - data;
      scan->number_state = NUMBER_NONE;

in_number:
      p = scan_number (&scan->number_state, p, end);
      if (p == end && !(at_eof && depth == 0 && number_is_complete (scan->number_state)))
        SUSPEND (STATE_IN_NUMBER);
      if (!number_is_complete (scan->number_state) ||
          (scan->number_state == NUMBER_ZERO && p < end && aqmp_json_is_digit (*p)))
        FAIL (STATE_IN_NUMBER, explain_number (p, scan->number_state));
      scan->has_huge_number |= exceeds_double (data + scan->token_start, (p - data) - scan->token_start,
                                               scan->number_state);
      goto end_of_value;
    }

  literal_end = scan_literal (p, end, &incomplete);
  if (G_UNLIKELY (literal_end == NULL))
    {
      if (incomplete)
        SUSPEND (STATE_VALUE);
      FAIL (depth == 0 ? STATE_START : STATE_VALUE, explain_value (p, end));
    }
  p = literal_end;
  goto end_of_value;

close:
  p++;
  depth--;
  in_object = depth > 0 && is_in_object (scan, depth - 1);

end_of_value:
  if (depth <= 1)
    {
      if (depth == 0)
        goto done;
      if (scan->member >= 0)
        {
          scan->members[scan->member].end = p - data;
          scan->member = -1;
        }
    }

  if (G_LIKELY (is_separated (p, end, ", ")))
    {
      p += 2;
      if (!in_object)
        goto value_here;
      goto name_here;
    }

after_value:
  SKIP_SPACE (STATE_AFTER_VALUE);
  if (G_LIKELY (*p == ','))
    {
      p++;
      if (!in_object)
        goto value;
    }
  else
    {
      if (*p == (in_object ? '}' : ']'))
        goto close;
      FAIL (STATE_AFTER_VALUE, in_object ? _("“,” or “}” was expected") : _("“,” or “]” was expected"));
    }

name:
  SKIP_SPACE (STATE_NAME);

name_here:
  if (G_UNLIKELY (*p != '"'))
    FAIL (STATE_NAME, _("a name in double quotes was expected"));
  p++;
  scan->token_start = p - data;
  scan->name_escaped = FALSE;

in_name:
  p = scan_string_quickly (scan, data, p, end, &string_end);
  if (G_UNLIKELY (string_end != STRING_CLOSED))
    {
      if (string_end == STRING_INCOMPLETE)
        SUSPEND (STATE_IN_NAME);
      FAIL (STATE_IN_NAME, explain_string (p, end));
    }
  if (depth == 1)
    scan->member = find_name (scan, data + scan->token_start, p);
  p++;
  if (G_LIKELY (is_separated (p, end, ": ")))
    {
      p += 2;
      goto value_here;
    }

colon:
  SKIP_SPACE (STATE_COLON);
  if (G_UNLIKELY (*p != ':'))
    FAIL (STATE_COLON, _("“:” was expected"));
  p++;
  goto value;

done:
  scan->state = STATE_DONE;
  scan->depth = 0;
  scan->position = p - data;
  return scan->position;

suspend:
  scan->state = state;
  scan->depth = depth;
  scan->position = p - data;
  return 0;
}

#undef SUSPEND
#undef SKIP_SPACE
#undef FAIL

gsize
aqmp_json_skip_space (const guint8 *data,
                      gsize         length)
{
  return length == 0 ? 0 : skip_space_run (data, data + length) - data;
}

gboolean
aqmp_json_validate (AqmpJsonScan       *scan,
                    const char * const *names,
                    const guint8       *text,
                    gsize               length,
                    GError            **error)
{
  gssize value;
  gsize rest;

  /* An empty GBytes has no data. */
  if (text == NULL)
    text = (const guint8 *) "";

  aqmp_json_scan_init (scan, names);
  value = aqmp_json_scan (scan, text, length, TRUE, error);
  if (value < 0)
    return FALSE;
  if (value == 0)
    {
      set_parse_error (text, length, length, length == 0 ? _("there is no text") : _("the text ends too early"), error);
      return FALSE;
    }

  rest = value + aqmp_json_skip_space (text + value, length - value);
  if (rest < length)
    {
      set_parse_error (text, length, rest, _("there is something behind the value"), error);
      return FALSE;
    }

  return TRUE;
}
