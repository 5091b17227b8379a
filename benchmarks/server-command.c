/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A command ends with its last brace: not every client ends its commands with a newline. That is all the JSON there is in
 * here: the benchmarks send no escaped quotes, and nothing but these few members matters, at whatever depth it is.
 */

#include "server-command.h"

#include <string.h>

static gboolean
span_is (const Span *span,
         const char *text)
{
  gsize length = strlen (text);

  return span->length == length && memcmp (span->text, text, length) == 0;
}

/* The end of a string that begins at `start`, quotes included; or NULL. */
static const char *
end_of_string (const char *start,
               const char *end)
{
  const char *quote = memchr (start + 1, '"', end - start - 1);

  return quote != NULL ? quote + 1 : NULL;
}

static const char *
end_of_number (const char *start,
               const char *end)
{
  while (start < end && g_ascii_isdigit (*start))
    start++;

  return start;
}

static void
set_number (Command    *self,
            const Span *key,
            guint64     value)
{
  if (span_is (key, "\"bytes\""))
    self->bytes = value;
  else if (span_is (key, "\"count\""))
    self->count = value;
  else if (span_is (key, "\"data\""))
    self->data = value;
  else if (span_is (key, "\"piece\""))
    self->piece = value;
}

static void
set_member (Command    *self,
            const Span *key,
            const Span *value)
{
  if (span_is (key, "\"id\""))
    self->id = *value;
  else if (span_is (key, "\"execute\"") || span_is (key, "\"exec-oob\""))
    self->name = (Span) { value->text + 1, value->length - 2 };
  else if (*value->text != '"')
    set_number (self, key, g_ascii_strtoull (value->text, NULL, 10));
}

gsize
command_read (Command    *self,
              const char *text,
              gsize       length)
{
  const char *end = text + length;
  const char *at = text;
  Span key = { NULL, 0 };
  guint depth = 0;

  *self = (Command) { { NULL, }, };

  while (at < end)
    {
      const char *start = at;

      if (*at == '{')
        depth++;
      if (*at == '}' && --depth == 0)
        return at + 1 - text;

      if (*at == '"')
        at = end_of_string (at, end);
      else if (g_ascii_isdigit (*at))
        at = end_of_number (at, end);
      else
        {
          /* After a comma or a brace comes a key, not a value. */
          if (*at == ',' || *at == '{')
            key.text = NULL;
          at++;
          continue;
        }

      if (at == NULL)
        return 0;
      if (key.text == NULL)
        key = (Span) { start, at - start };
      else
        set_member (self, &key, &(Span) { start, at - start });
    }

  return 0;
}

gboolean
command_has_name (const Command *self,
                  const char    *name)
{
  return span_is (&self->name, name);
}
