/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-json-private.h"

#include <string.h>

static gboolean
is_number (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) &&
         (json_node_get_value_type (node) == G_TYPE_INT64 || json_node_get_value_type (node) == G_TYPE_DOUBLE);
}

/* Not as doubles, where large integers would seem equal to what is next to them. */
static gboolean
is_integer (JsonNode *node,
            gint64    value)
{
  double number;

  if (json_node_get_value_type (node) == G_TYPE_INT64)
    return json_node_get_int (node) == value;

  number = json_node_get_double (node);
  return number >= -0x1p63 && number < 0x1p63 && (double) (gint64) number == number && (gint64) number == value;
}

/* JSON has one kind of number. */
static gboolean
numbers_equal (JsonNode *a,
               JsonNode *b)
{
  if (json_node_get_value_type (a) == G_TYPE_INT64)
    return is_integer (b, json_node_get_int (a));
  if (json_node_get_value_type (b) == G_TYPE_INT64)
    return is_integer (a, json_node_get_int (b));

  return json_node_get_double (a) == json_node_get_double (b);
}

static gboolean
values_equal (JsonNode *a,
              JsonNode *b)
{
  if (is_number (a) || is_number (b))
    return is_number (a) && is_number (b) && numbers_equal (a, b);
  if (json_node_get_value_type (a) != json_node_get_value_type (b))
    return FALSE;
  if (json_node_get_value_type (a) == G_TYPE_STRING)
    return g_strcmp0 (json_node_get_string (a), json_node_get_string (b)) == 0;

  return json_node_get_boolean (a) == json_node_get_boolean (b);
}

static gboolean
nodes_match (JsonNode *whole,
             JsonNode *part);

static gboolean
arrays_match (JsonArray *whole,
              JsonArray *part)
{
  guint length = json_array_get_length (part);
  guint i;

  if (json_array_get_length (whole) != length)
    return FALSE;

  for (i = 0; i < length; i++)
    {
      if (!nodes_match (json_array_get_element (whole, i), json_array_get_element (part, i)))
        return FALSE;
    }

  return TRUE;
}

static gboolean
nodes_match (JsonNode *whole,
             JsonNode *part)
{
  if (JSON_NODE_TYPE (whole) != JSON_NODE_TYPE (part))
    return FALSE;

  switch (JSON_NODE_TYPE (part))
    {
    case JSON_NODE_OBJECT:
      return aqmp_json_object_matches (json_node_get_object (whole), json_node_get_object (part));
    case JSON_NODE_ARRAY:
      return arrays_match (json_node_get_array (whole), json_node_get_array (part));
    case JSON_NODE_VALUE:
      return values_equal (whole, part);
    case JSON_NODE_NULL:
    default:
      return TRUE;
    }
}

gboolean
aqmp_json_object_matches (JsonObject *whole,
                          JsonObject *part)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init (&iter, part);
  while (json_object_iter_next (&iter, &name, &node))
    {
      JsonNode *other = json_object_get_member (whole, name);

      if (other == NULL || !nodes_match (other, node))
        return FALSE;
    }

  return TRUE;
}
