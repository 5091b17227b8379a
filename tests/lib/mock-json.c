/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "mock-json.h"

#include <string.h>

#define ANY "@ANY@"

gboolean
mock_framer_push (MockFramer *framer,
                  char        byte)
{
  if (framer->in_string)
    {
      if (framer->escaped)
        framer->escaped = FALSE;
      else if (byte == '\\')
        framer->escaped = TRUE;
      else if (byte == '"')
        framer->in_string = FALSE;

      return FALSE;
    }

  switch (byte)
    {
    case '"':
      framer->in_string = TRUE;
      return FALSE;

    case '{':
    case '[':
      framer->depth++;
      return FALSE;

    case '}':
    case ']':
      framer->depth--;
      return framer->depth == 0;

    default:
      return FALSE;
    }
}

char *
mock_json_requote (const char *text)
{
  char *copy = g_strdup (text);

  return strchr (copy, '"') != NULL ? copy : g_strdelimit (copy, "'", '"');
}

static gboolean nodes_match (JsonNode *pattern, JsonNode *value, gboolean is_top);

static gboolean
objects_match (JsonObject *pattern,
               JsonObject *value,
               gboolean    is_top)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;
  guint n_expected = json_object_get_size (pattern);

  json_object_iter_init (&iter, pattern);
  while (json_object_iter_next (&iter, &name, &member))
    {
      JsonNode *other = json_object_get_member (value, name);

      if (other == NULL || !nodes_match (member, other, FALSE))
        return FALSE;
    }

  /* An id that the pattern is silent about is none of its business. */
  if (is_top && !json_object_has_member (pattern, "id") && json_object_has_member (value, "id"))
    n_expected++;

  return json_object_get_size (value) == n_expected;
}

static gboolean
nodes_match (JsonNode *pattern,
             JsonNode *value,
             gboolean  is_top)
{
  if (JSON_NODE_HOLDS_VALUE (pattern)
      && json_node_get_value_type (pattern) == G_TYPE_STRING
      && strcmp (json_node_get_string (pattern), ANY) == 0)
    return TRUE;

  if (json_node_get_node_type (pattern) != json_node_get_node_type (value))
    return FALSE;

  switch (json_node_get_node_type (pattern))
    {
    case JSON_NODE_OBJECT:
      return objects_match (json_node_get_object (pattern), json_node_get_object (value), is_top);

    case JSON_NODE_ARRAY:
      {
        JsonArray *expected = json_node_get_array (pattern);
        JsonArray *got = json_node_get_array (value);

        if (json_array_get_length (expected) != json_array_get_length (got))
          return FALSE;

        for (guint i = 0; i < json_array_get_length (expected); i++)
          {
            if (!nodes_match (json_array_get_element (expected, i), json_array_get_element (got, i), FALSE))
              return FALSE;
          }

        return TRUE;
      }

    case JSON_NODE_VALUE:
      return json_node_get_value_type (pattern) == json_node_get_value_type (value)
             && json_node_equal (pattern, value);

    case JSON_NODE_NULL:
    default:
      return TRUE;
    }
}

gboolean
mock_json_matches (JsonNode *pattern,
                   JsonNode *value)
{
  return nodes_match (pattern, value, TRUE);
}

char *
mock_json_find_id (const char *text)
{
  MockFramer framer = { 0 };
  const char *key = NULL;       /* where the latest string outside of any inner value began */
  const char *value = NULL;     /* where the value of "id" begins */

  for (const char *p = text; *p != '\0'; p++)
    {
      gboolean was_in_string = framer.in_string;
      gboolean ended = mock_framer_push (&framer, *p);

      if (value != NULL && (ended || (framer.depth == 1 && !framer.in_string && *p == ',')))
        return g_strstrip (g_strndup (value, p - value));

      if (framer.depth != 1)
        continue;

      if (framer.in_string && !was_in_string)
        key = p;
      else if (*p == ':' && !framer.in_string && key != NULL && g_str_has_prefix (key, "\"id\""))
        value = p + 1;
    }

  return NULL;
}

char *
mock_json_quote (const char *text)
{
  g_autoptr(JsonNode) node = json_node_init_string (json_node_alloc (), text);

  return json_to_string (node, FALSE);
}
