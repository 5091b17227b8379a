/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Messages for the log, without what must not get there. Only used when somebody looks at the traffic, so it is simple
   rather than fast, but linear and with a bounded stack. */

#include "aqmp-json-private.h"
#include "aqmp-json-text-private.h"

#define HIDDEN "***"

/* What a member's name says about its value. */
typedef enum
{
  VALUE_OPEN,
  VALUE_SECRET,       /* all strings and numbers in it */
  VALUE_SECRET_DATA,  /* a secret if the object is a secret */
  VALUE_COMMAND_LINE, /* a secret if a password is set there */
} Disclosure;

typedef enum
{
  OBJECT_UNKNOWN, /* not looked at yet */
  OBJECT_PLAIN,
  OBJECT_IS_SECRET,
} ObjectKind;

typedef struct
{
  gsize      start;
  ObjectKind kind;
} Level;

typedef struct
{
  const guint8 *data;
  const guint8 *p;
  const guint8 *end;
  const guint8 *copied; /* everything before it is in out, or replaced there */
  GString      *out;
  GString      *scratch;

  Disclosure    next;          /* for the value that comes */
  guint         depth;
  guint         secret_depth;  /* of the array or object all of which is secret, or 0 */
  Level         levels[AQMP_JSON_MAX_DEPTH];
} Redactor;

static gboolean
contains_any (const char         *text,
              gsize               length,
              const char * const *words)
{
  for (; *words != NULL; words++)
    {
      if (memmem (text, length, *words, strlen (*words)) != NULL)
        return TRUE;
    }
  return FALSE;
}

/* Decoded and in lower case, in scratch. @p is at the opening quote. */
static void
read_string (GString      *scratch,
             const guint8 *p,
             const guint8 *end)
{
  g_string_truncate (scratch, 0);
  aqmp_json_decode_string (p, end - p, scratch);
  g_string_ascii_down (scratch);
}

static gboolean
string_contains (GString            *scratch,
                 const guint8       *p,
                 const guint8       *end,
                 const char * const *words)
{
  read_string (scratch, p, end);
  return contains_any (scratch->str, scratch->len, words);
}

static const char * const secret_words[] = { "password", "passwd", "passphrase", "secret", NULL };
static const char * const secret_types[] = { "secret", NULL };
static const char * const secret_commands[] = { "passw", "passphrase", "secret", NULL };

static Disclosure
judge_name (Redactor     *redactor,
            const guint8 *close)
{
  read_string (redactor->scratch, redactor->p, close + 1);

  if (contains_any (redactor->scratch->str, redactor->scratch->len, secret_words))
    return VALUE_SECRET;
  if (strcmp (redactor->scratch->str, "data") == 0)
    return VALUE_SECRET_DATA;
  if (strcmp (redactor->scratch->str, "command-line") == 0)
    return VALUE_COMMAND_LINE;
  return VALUE_OPEN;
}

static const guint8 *
skip_space (const guint8 *p,
            const guint8 *end)
{
  return p + aqmp_json_skip_space (p, end - p);
}

/* Whether the object at @p has a "qom-type" that says secret: it may come after what it makes secret. */
static gboolean
has_secret_type (const guint8 *p,
                 const guint8 *end,
                 GString      *scratch)
{
  guint depth = 0;

  for (; p < end; p++)
    {
      const guint8 *close, *value;

      if (*p == '{' || *p == '[')
        depth++;
      else if ((*p == '}' || *p == ']') && --depth == 0)
        break;
      if (*p != '"')
        continue;

      close = aqmp_json_find_close (p + 1, end);
      value = skip_space (close + 1, end);
      if (depth == 1 && value < end && *value == ':')
        {
          read_string (scratch, p, close + 1);
          value = skip_space (value + 1, end);
          if (strcmp (scratch->str, "qom-type") == 0 && *value == '"' &&
              string_contains (scratch, value, end, secret_types))
            return TRUE;
        }
      p = close;
    }

  return FALSE;
}

/* Each object is looked at once at most, so that the time is bounded by size times depth. */
static gboolean
is_secret_object (Redactor *redactor,
                  guint     index)
{
  Level *level = &redactor->levels[index];

  if (level->kind == OBJECT_UNKNOWN)
    level->kind = redactor->data[level->start] == '{' &&
                  has_secret_type (redactor->data + level->start, redactor->end, redactor->scratch)
                  ? OBJECT_IS_SECRET : OBJECT_PLAIN;

  return level->kind == OBJECT_IS_SECRET;
}

static gboolean
is_secret_string (Redactor     *redactor,
                  const guint8 *close)
{
  guint depth = redactor->depth;

  switch (redactor->next)
    {
    case VALUE_SECRET:
      return TRUE;

    case VALUE_SECRET_DATA:
      /* Before QEMU 6.0, data was in "props" beside qom-type. */
      return is_secret_object (redactor, depth - 1) || (depth > 1 && is_secret_object (redactor, depth - 2));

    case VALUE_COMMAND_LINE:
      return string_contains (redactor->scratch, redactor->p, close + 1, secret_commands);

    case VALUE_OPEN:
    default:
      return FALSE;
    }
}

/* Instead of what is from here to @value_end. */
static void
hide (Redactor     *redactor,
      const guint8 *value_end)
{
  g_string_append_len (redactor->out, (const char *) redactor->copied, redactor->p - redactor->copied);
  g_string_append (redactor->out, "\"" HIDDEN "\"");
  redactor->copied = value_end;
}

/* Names are the strings that a colon follows. */
static void
redact_string (Redactor *redactor)
{
  const guint8 *close = aqmp_json_find_close (redactor->p + 1, redactor->end);
  const guint8 *next = skip_space (close + 1, redactor->end);

  if (next < redactor->end && *next == ':')
    redactor->next = judge_name (redactor, close);
  else if (redactor->secret_depth > 0 || is_secret_string (redactor, close))
    hide (redactor, close + 1);
  redactor->p = close + 1;
}

static void
redact_number (Redactor *redactor)
{
  const guint8 *p = redactor->p;

  while (p < redactor->end && strchr ("+-.0123456789eE", *p) != NULL)
    p++;
  if (redactor->secret_depth > 0 || redactor->next == VALUE_SECRET)
    hide (redactor, p);
  redactor->p = p;
}

static void
open_level (Redactor *redactor)
{
  redactor->levels[redactor->depth].start = redactor->p - redactor->data;
  redactor->levels[redactor->depth].kind = OBJECT_UNKNOWN;
  redactor->depth++;
  if (redactor->next == VALUE_SECRET && redactor->secret_depth == 0)
    redactor->secret_depth = redactor->depth;
  redactor->next = VALUE_OPEN;
}

static void
close_level (Redactor *redactor)
{
  if (redactor->secret_depth == redactor->depth)
    redactor->secret_depth = 0;
  redactor->depth--;
}

static void
redact_json (Redactor *redactor)
{
  while (redactor->p < redactor->end)
    {
      guint8 c = *redactor->p;

      if (c == '"')
        {
          redact_string (redactor);
          continue;
        }
      if (c == '-' || aqmp_json_is_digit (c))
        {
          redact_number (redactor);
          continue;
        }

      if (c == '{' || c == '[')
        open_level (redactor);
      else if (c == '}' || c == ']')
        close_level (redactor);
      else if (c == ',')
        redactor->next = VALUE_OPEN;
      redactor->p++;
    }

  g_string_append_len (redactor->out, (const char *) redactor->copied, redactor->end - redactor->copied);
}

/* It has no members that could be judged: where a word tells of a secret, nothing is shown from there on. */
static char *
redact_bytes (const guint8 *data,
              gsize         length)
{
  g_autofree char *lower = g_ascii_strdown (length > 0 ? (const char *) data : "", length);
  GString *out = g_string_sized_new (length + 16);
  gsize i;

  for (i = 0; i < length; i++)
    {
      if ((lower[i] == 'p' || lower[i] == 's') &&
          (g_str_has_prefix (lower + i, "passw") || g_str_has_prefix (lower + i, "passphrase") ||
           g_str_has_prefix (lower + i, "secret")))
        {
          g_string_append (out, HIDDEN);
          break;
        }
      if (data[i] == '\\')
        g_string_append (out, "\\\\");
      else if (g_ascii_isprint ((char) data[i]))
        g_string_append_c (out, (char) data[i]);
      else
        g_string_append_printf (out, "\\x%02X", data[i]);
    }

  return g_string_free (out, FALSE);
}

char *
aqmp_json_redact (const guint8 *data,
                  gsize         length)
{
  AqmpJsonScan scan;
  g_autofree Redactor *redactor = NULL;

  if (!aqmp_json_validate (&scan, NULL, data, length, NULL))
    return redact_bytes (data, length);

  redactor = g_new (Redactor, 1);
  redactor->data = redactor->p = redactor->copied = data;
  redactor->end = data + length;
  redactor->out = g_string_sized_new (length + 16);
  redactor->scratch = g_string_new (NULL);
  redactor->next = VALUE_OPEN;
  redactor->depth = 0;
  redactor->secret_depth = 0;
  redact_json (redactor);

  g_string_free (redactor->scratch, TRUE);
  return g_string_free (redactor->out, FALSE);
}
