/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-command-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-error.h"

/* Threads: any; nothing is shared. */

enum
{
  EXECUTE,
  EXEC_OOB,
  ID,
};

static const char * const command_members[] = { "execute", "exec-oob", "id", NULL };

static gboolean
is_present (const AqmpJsonSpan *span)
{
  return span->end > span->start;
}

static gboolean
invalid (const char  *what,
         GError     **error)
{
  g_set_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, _("This is no command that could be sent: %s"), what);
  return FALSE;
}

static gboolean
validate (AqmpJsonScan  *scan,
          const char    *message,
          GError       **error)
{
  g_autoptr (GError) local_error = NULL;

  if (aqmp_json_validate (scan, command_members, (const guint8 *) message, strlen (message), &local_error))
    return TRUE;

  return invalid (local_error->message, error);
}

static gboolean
check_members (const AqmpJsonScan  *scan,
               GError             **error)
{
  gboolean in_band = is_present (&scan->members[EXECUTE]);
  gboolean out_of_band = is_present (&scan->members[EXEC_OOB]);

  if (scan->kind != '{')
    return invalid (_("it has to be one JSON object"), error);
  if (scan->has_duplicate)
    return invalid (_("“execute”, “exec-oob” or “id” is there more than once"), error);
  if (!in_band && !out_of_band)
    return invalid (_("it needs a member “execute” or “exec-oob” with the name of the command"), error);
  if (in_band && out_of_band)
    return invalid (_("it has both “execute” and “exec-oob”; leave one away"), error);
  if (scan->has_huge_number)
    return invalid (_("it holds a number that is not finite as a double"), error);
  return TRUE;
}

/* The fast way is for names without escapes: all that exist. (An escape elsewhere does not matter to the slow one.) */
static gboolean
parse_name (AqmpCommand         *self,
            const char          *message,
            const AqmpJsonScan  *scan,
            GError             **error)
{
  const AqmpJsonSpan *span = &scan->members[is_present (&scan->members[EXECUTE]) ? EXECUTE : EXEC_OOB];
  const char *text = message + span->start;
  gsize length = span->end - span->start;
  g_autofree char *name = NULL;

  if (text[0] == '"' && !scan->has_escape)
    {
      self->quits = length == strlen ("\"quit\"") && memcmp (text, "\"quit\"", length) == 0;
      return TRUE;
    }

  name = aqmp_json_dup_string ((const guint8 *) text, length);
  if (name == NULL)
    return invalid (_("the name of the command has to be a string"), error);

  self->quits = aqmp_command_name_quits (name);
  return TRUE;
}

static gboolean
has_generated_prefix (const guint8 *text,
                      gsize         length)
{
  g_autoptr (GString) decoded = g_string_new (NULL);

  return aqmp_json_decode_string (text, length, decoded) && g_str_has_prefix (decoded->str, AQMP_GENERATED_ID_PREFIX);
}

static gboolean
parse_id (AqmpCommand         *self,
          const char          *message,
          const AqmpJsonScan  *scan,
          GError             **error)
{
  const AqmpJsonSpan *span = &scan->members[ID];
  const guint8 *text = (const guint8 *) message + span->start;
  gsize length = span->end - span->start;

  self->has_id = is_present (span);
  if (!self->has_id)
    return TRUE;

  if (!aqmp_call_id_parse (&self->id, text, length))
    return invalid (_("its “id” has to be a string or an integer, or to be left away"), error);
  if (has_generated_prefix (text, length))
    return invalid (_("its “id” begins with “aqmp-”, which is kept for generated ids"), error);
  return TRUE;
}

gboolean
aqmp_command_parse (AqmpCommand  *self,
                    const char   *message,
                    GError      **error)
{
  AqmpJsonScan scan;

  *self = (AqmpCommand) { NULL, };

  if (!validate (&scan, message, error) || !check_members (&scan, error) ||
      !parse_name (self, message, &scan, error) || !parse_id (self, message, &scan, error))
    {
      aqmp_command_clear (self);
      return FALSE;
    }

  for (self->text = message; *self->text != '{'; self->text++)
    ;
  self->length = message + scan.position - self->text;
  self->out_of_band = is_present (&scan.members[EXEC_OOB]);
  return TRUE;
}

void
aqmp_command_clear (AqmpCommand *self)
{
  aqmp_call_id_clear (&self->id);
}

/* @before, the member with the id, @after, @rest. At once, the number backwards: printf, or a piece at a time, would be most of the work
   of making a command. */
static void
append_serial (GString    *out,
               char        before,
               guint64     serial,
               char        after,
               const char *rest,
               gsize       rest_length)
{
  static const char name[] = "\"id\":\"" AQMP_GENERATED_ID_PREFIX;
  char text[64];
  char *end = text + sizeof text;
  char *start = end;
  gsize old_length = out->len;
  gsize length;

  *--start = after;
  *--start = '"';
  do
    {
      *--start = '0' + serial % 10;
      serial /= 10;
    }
  while (serial > 0);
  start -= strlen (name);
  memcpy (start, name, strlen (name));
  *--start = before;

  length = end - start;
  g_string_set_size (out, old_length + length + rest_length);
  memcpy (out->str + old_length, start, length);
  memcpy (out->str + old_length + length, rest, rest_length);
}

void
aqmp_command_append (AqmpCommand *self,
                     guint64      serial,
                     GString     *out)
{
  if (self->has_id)
    {
      g_string_append_len (out, self->text, self->length);
      return;
    }

  /* There is at least one member, so a comma follows. */
  append_serial (out, '{', serial, ',', self->text + 1, self->length - 1);
}

gboolean
aqmp_command_compose (const char  *command,
                      gboolean     out_of_band,
                      JsonObject  *arguments,
                      guint64      serial,
                      GString     *out,
                      GError     **error)
{
  gsize start = out->len;

  g_string_append (out, out_of_band ? "{\"exec-oob\":" : "{\"execute\":");
  if (!aqmp_json_append_string (out, command, error))
    goto failed;

  if (arguments != NULL)
    {
      g_string_append (out, ",\"arguments\":");
      if (!aqmp_json_append_object (out, arguments, error))
        goto failed;
    }

  append_serial (out, ',', serial, '}', "", 0);
  return TRUE;

failed:
  g_string_truncate (out, start);
  return FALSE;
}

gboolean
aqmp_command_name_quits (const char *command)
{
  return strcmp (command, "quit") == 0;
}
