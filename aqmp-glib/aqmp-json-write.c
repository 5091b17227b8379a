/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The writer: what the caller hands over becomes text. It only reads the tree, and refuses what is not JSON. */

#include <math.h>

#include <glib/gi18n-lib.h>

#include "aqmp-error-private.h"
#include "aqmp-json-private.h"
#include "aqmp-json-text-private.h"

/* Longer paths to a culprit are cut: they go into an error message. */
#define MAX_PATH_LENGTH 200

typedef struct
{
  GString *out;
  guint    depth;

  /* Of a failure. The path grows from the culprit outwards while the recursion unwinds. */
  char    *reason;  /* (owned) (nullable) */
  GString *path;    /* (owned) (nullable) */
} Writer;

static gboolean append_value (Writer   *writer,
                              JsonNode *node);

/* Failures, all FALSE */

static gboolean
fail (Writer     *writer,
      const char *reason)
{
  g_free (writer->reason);
  writer->reason = g_strdup (reason);
  if (writer->path == NULL)
    writer->path = g_string_new (NULL);
  return FALSE;
}

static gboolean
fail_at (Writer     *writer,
         const char *step)
{
  if (g_str_has_prefix (writer->path->str, "…"))
    return FALSE;
  /* The step before this one begins with a bracket, or with a name. */
  if (writer->path->len > 0 && writer->path->str[0] != '[')
    g_string_prepend_c (writer->path, '.');
  g_string_prepend (writer->path, writer->path->len + strlen (step) > MAX_PATH_LENGTH ? "…" : step);
  return FALSE;
}

static gboolean
fail_at_member (Writer     *writer,
                const char *name)
{
  g_autofree char *step = aqmp_excerpt (name, strlen (name));

  return fail_at (writer, step);
}

static gboolean
fail_at_element (Writer *writer,
                 guint   index)
{
  g_autofree char *step = g_strdup_printf ("[%u]", index);

  return fail_at (writer, step);
}

/* Removes what was appended since @old_length, and reports. */
static gboolean
give_up (Writer  *writer,
         gsize    old_length,
         GError **error)
{
  g_string_truncate (writer->out, old_length);
  if (writer->path->len > 0)
    g_set_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "%s: %s", writer->path->str, writer->reason);
  else
    g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, writer->reason);

  g_free (writer->reason);
  g_string_free (writer->path, TRUE);
  return FALSE;
}

/* Strings */

static void
append_control (GString *out,
                guint8   c)
{
  static const char hex[] = "0123456789abcdef";
  static const char short_forms[0x20] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
  char escape[] = "\\u0000";

  if (short_forms[c] != '\0')
    {
      escape[1] = short_forms[c];
      g_string_append_len (out, escape, 2);
      return;
    }

  escape[4] = hex[c >> 4];
  escape[5] = hex[c & 0x0f];
  g_string_append_len (out, escape, 6);
}

/* FALSE if it is not UTF-8; @out then ends with a part of it. */
static gboolean
append_escaped (GString      *out,
                const guint8 *p,
                const guint8 *end)
{
  const guint8 *run = p;

  g_string_append_c (out, '"');

  for (p = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_ASCII); p < end;
       p = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_ASCII))
    {
      if (*p >= 0x80)
        {
          const guint8 *run_end = aqmp_json_skip_run (p, end, AQMP_JSON_RUN_UTF8);

          p = aqmp_json_skip_utf8 (p, run_end);
          if (p < run_end)
            return FALSE;
          continue;
        }

      g_string_append_len (out, (const char *) run, p - run);
      if (*p < 0x20)
        {
          append_control (out, *p);
        }
      else
        {
          g_string_append_c (out, '\\');
          g_string_append_c (out, (char) *p);
        }
      run = ++p;
    }

  g_string_append_len (out, (const char *) run, p - run);
  g_string_append_c (out, '"');
  return TRUE;
}

/* As append_escaped(). Most strings need nothing but the quotes. */
static gboolean
append_quoted (GString    *out,
               const char *utf8)
{
  gsize length = strlen (utf8);
  const guint8 *p = (const guint8 *) utf8;
  const guint8 *end = p + length;
  gsize old_length = out->len;

  if (aqmp_json_skip_run (p, end, AQMP_JSON_RUN_ASCII) < end)
    return append_escaped (out, p, end);

  g_string_set_size (out, old_length + length + 2);
  out->str[old_length] = '"';
  memcpy (out->str + old_length + 1, utf8, length);
  out->str[old_length + 1 + length] = '"';
  return TRUE;
}

static gboolean
append_string (Writer     *writer,
               const char *utf8)
{
  if (utf8 == NULL)
    return fail (writer, _("the string is NULL; a null node says that there is none"));
  if (!append_quoted (writer->out, utf8))
    return fail (writer, _("the string is not valid UTF-8; convert it, or encode bytes as base64 where the command takes that"));
  return TRUE;
}

/* Numbers */

/* The shortest form that reads back as the same number. %.17g always does, the shorter ones most often. */
static gboolean
append_double (Writer  *writer,
               gdouble  value)
{
  static const char * const formats[] = { "%.15g", "%.16g", "%.17g" };
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  gsize i;

  if (!isfinite (value))
    return fail (writer, _("the number is infinite or not a number, which JSON cannot say; leave it out, or send null"));

  for (i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_ascii_formatd (text, sizeof text, formats[i], value);
      if (g_ascii_strtod (text, NULL) == value)
        break;
    }

  g_string_append (writer->out, text);
  /* It stays a double for who reads it. */
  if (strpbrk (text, ".e") == NULL)
    g_string_append (writer->out, ".0");
  return TRUE;
}

static void
append_integer (GString *out,
                gint64   value)
{
  char text[24];
  char *p = text + sizeof text;
  guint64 magnitude = value < 0 ? -(guint64) value : (guint64) value;

  do
    {
      *--p = (char) ('0' + magnitude % 10);
      magnitude /= 10;
    }
  while (magnitude > 0);
  if (value < 0)
    *--p = '-';

  g_string_append_len (out, p, text + sizeof text - p);
}

/* Arrays and objects */

static gboolean
enter (Writer *writer,
       char    bracket)
{
  if (writer->depth == AQMP_JSON_MAX_DEPTH)
    return fail (writer, _("nested too deeply, more than 1024 arrays and objects inside each other"));

  writer->depth++;
  g_string_append_c (writer->out, bracket);
  return TRUE;
}

static void
leave (Writer *writer,
       char    bracket)
{
  writer->depth--;
  g_string_append_c (writer->out, bracket);
}

static gboolean
append_array (Writer    *writer,
              JsonArray *array)
{
  guint length, i;

  if (array == NULL)
    return fail (writer, _("the array is NULL; a null node says that there is none"));
  if (!enter (writer, '['))
    return FALSE;

  length = json_array_get_length (array);
  for (i = 0; i < length; i++)
    {
      if (i > 0)
        g_string_append_c (writer->out, ',');
      if (!append_value (writer, json_array_get_element (array, i)))
        return fail_at_element (writer, i);
    }

  leave (writer, ']');
  return TRUE;
}

static gboolean
append_object (Writer     *writer,
               JsonObject *object)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;
  gboolean first = TRUE;

  if (object == NULL)
    return fail (writer, _("the object is NULL; a null node says that there is none"));
  if (!enter (writer, '{'))
    return FALSE;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &value))
    {
      if (!first)
        g_string_append_c (writer->out, ',');
      first = FALSE;

      if (!append_quoted (writer->out, name))
        {
          fail (writer, _("the name is not valid UTF-8"));
          return fail_at_member (writer, name);
        }
      g_string_append_c (writer->out, ':');
      if (!append_value (writer, value))
        return fail_at_member (writer, name);
    }

  leave (writer, '}');
  return TRUE;
}

static gboolean
append_scalar (Writer   *writer,
               JsonNode *node)
{
  switch (json_node_get_value_type (node))
    {
    case G_TYPE_STRING:
      return append_string (writer, json_node_get_string (node));

    case G_TYPE_INT64:
      append_integer (writer->out, json_node_get_int (node));
      return TRUE;

    case G_TYPE_DOUBLE:
      return append_double (writer, json_node_get_double (node));

    case G_TYPE_BOOLEAN:
      g_string_append (writer->out, json_node_get_boolean (node) ? "true" : "false");
      return TRUE;

    default:
      return fail (writer, _("the node holds no value of a type that JSON has; set a string, integer, double or boolean"));
    }
}

static gboolean
append_value (Writer   *writer,
              JsonNode *node)
{
  if (node == NULL)
    return fail (writer, _("the node is NULL; a null node says that there is none"));

  switch (json_node_get_node_type (node))
    {
    case JSON_NODE_OBJECT:
      return append_object (writer, json_node_get_object (node));

    case JSON_NODE_ARRAY:
      return append_array (writer, json_node_get_array (node));

    case JSON_NODE_VALUE:
      return append_scalar (writer, node);

    case JSON_NODE_NULL:
    default:
      g_string_append (writer->out, "null");
      return TRUE;
    }
}

gboolean
aqmp_json_append_node (GString   *out,
                       JsonNode  *node,
                       GError   **error)
{
  Writer writer = { out, 0, NULL, NULL };
  gsize old_length = out->len;

  return append_value (&writer, node) || give_up (&writer, old_length, error);
}

gboolean
aqmp_json_append_object (GString     *out,
                         JsonObject  *object,
                         GError     **error)
{
  Writer writer = { out, 0, NULL, NULL };
  gsize old_length = out->len;

  return append_object (&writer, object) || give_up (&writer, old_length, error);
}

gboolean
aqmp_json_append_string (GString     *out,
                         const char  *utf8,
                         GError     **error)
{
  Writer writer = { out, 0, NULL, NULL };
  gsize old_length = out->len;

  return append_string (&writer, utf8) || give_up (&writer, old_length, error);
}
