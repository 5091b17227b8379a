/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The builder: text that the scanner has validated becomes a tree of JsonNode. It checks no grammar, but trusts the text
   no further than that: whatever it is given, it stays inside its bytes and its depth. */

#include <math.h>

#include <glib/gi18n-lib.h>

#include "aqmp-error-private.h"
#include "aqmp-json-private.h"
#include "aqmp-json-text-private.h"

/* The inside of a string. */
typedef struct
{
  const guint8 *start;
  const guint8 *close;
  gboolean      is_plain; /* no escape sequence in it */
} Text;

typedef struct
{
  const guint8 *p;
  const guint8 *end;
  guint         depth;

  /* A decoded string on its way into json-glib, which copies it. */
  char         *scratch;  /* (owned) */
  gsize         scratch_size;

  GError      **error;
} Builder;

static gboolean fill_value (Builder  *builder,
                            JsonNode *node);

/* Errors, all FALSE */

static gboolean
fail_malformed (Builder *builder)
{
  g_set_error_literal (builder->error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, _("The value is not valid JSON"));
  return FALSE;
}

static gboolean
fail_nul (Builder    *builder,
          const Text *text,
          gboolean    is_name)
{
  g_autofree char *excerpt = aqmp_excerpt (text->start, text->close - text->start);

  if (is_name)
    g_set_error (builder->error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY,
                 _("The name “%s” contains a NUL character, which no JsonNode can hold; the raw form "
                   "(execute_raw) has it exactly"), excerpt);
  else
    g_set_error (builder->error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY,
                 _("The string “%s” contains a NUL character, which no JsonNode can hold; the raw form "
                   "(execute_raw) has it exactly"), excerpt);
  return FALSE;
}

static gboolean
fail_huge_number (Builder      *builder,
                  const guint8 *text,
                  gsize         length)
{
  g_autofree char *excerpt = aqmp_excerpt (text, length);

  g_set_error (builder->error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY,
               _("The number %s is beyond what a JsonNode can hold; the raw form (execute_raw) has it exactly"),
               excerpt);
  return FALSE;
}

/* Tokens */

static inline void
skip_space (Builder *builder)
{
  while (builder->p < builder->end && aqmp_json_is_space (*builder->p))
    builder->p++;
}

static inline gboolean
skip_byte (Builder *builder,
           guint8   byte)
{
  if (builder->p == builder->end || *builder->p != byte)
    return FALSE;
  builder->p++;
  return TRUE;
}

/* Passes a string whose opening quote is next, and tells where its inside is. */
static gboolean
take_string (Builder *builder,
             Text    *text)
{
  if (!skip_byte (builder, '"'))
    return fail_malformed (builder);

  text->start = builder->p;
  text->close = aqmp_json_skip_run (builder->p, builder->end, AQMP_JSON_RUN_TRUSTED);
  text->is_plain = text->close < builder->end && *text->close == '"';
  if (G_UNLIKELY (!text->is_plain))
    text->close = aqmp_json_find_close (text->close, builder->end);

  builder->p = text->close;
  return skip_byte (builder, '"') || fail_malformed (builder);
}

/* The decoded string, good until the next one, or NULL. */
static const char *
decode (Builder    *builder,
        const Text *text,
        gboolean    is_name)
{
  gsize length = text->close - text->start;
  gboolean has_nul = FALSE;

  if (G_UNLIKELY (length >= builder->scratch_size))
    {
      g_free (builder->scratch);
      builder->scratch_size = length + 256;
      builder->scratch = g_malloc (builder->scratch_size);
    }

  if (G_LIKELY (text->is_plain))
    memcpy (builder->scratch, text->start, length);
  else
    length = aqmp_json_decode_text (text->start, text->close, builder->scratch, &has_nul);
  builder->scratch[length] = '\0';

  if (G_UNLIKELY (has_nul))
    {
      fail_nul (builder, text, is_name);
      return NULL;
    }
  return builder->scratch;
}

/* Values: each fills a node that json_node_alloc() made, or leaves it as it is. */

static gboolean
fill_string (Builder  *builder,
             JsonNode *node)
{
  Text text;
  const char *value;

  if (!take_string (builder, &text))
    return FALSE;
  value = decode (builder, &text, FALSE);
  if (value == NULL)
    return FALSE;

  json_node_init_string (node, value);
  return TRUE;
}

static inline gboolean
belongs_to_number (guint8 c)
{
  return aqmp_json_is_digit (c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static gboolean
fill_number (Builder  *builder,
             JsonNode *node)
{
  const guint8 *start = builder->p;
  gsize length;
  gint64 integer;
  gdouble value;

  while (builder->p < builder->end && belongs_to_number (*builder->p))
    builder->p++;
  length = builder->p - start;
  if (length == 0)
    return fail_malformed (builder);

  if (aqmp_json_get_int64 (start, length, &integer))
    {
      json_node_init_int (node, integer);
      return TRUE;
    }

  value = aqmp_json_number_to_double (start, length);
  if (isinf (value))
    return fail_huge_number (builder, start, length);
  json_node_init_double (node, value);
  return TRUE;
}

static gboolean
skip_literal (Builder    *builder,
              const char *literal)
{
  gsize length = strlen (literal);

  if ((gsize) (builder->end - builder->p) < length || memcmp (builder->p, literal, length) != 0)
    return fail_malformed (builder);
  builder->p += length;
  return TRUE;
}

/* Members

   Of members with the same name the last one stays. json_object_set_member() walks through all names to replace one, which a
   hostile peer could make quadratic, and a node cannot be filled anew (json_node_init() in json-glib 1.6 leaves a pointer to
   the old content behind). So where a name was there already the members are gathered in a table, and the object is made of
   that in the end. */

typedef struct
{
  JsonObject *object; /* (owned) */
  GHashTable *last;   /* (owned) (nullable): name to JsonNode, of an object with a name that was there already */
  GPtrArray  *order;  /* (owned) (nullable): the keys of @last, in the order in which they came first */
} Members;

static void
gather_member (Members    *members,
               const char *name,
               JsonNode   *value)  /* (transfer full) */
{
  char *key = g_strdup (name);

  if (!g_hash_table_contains (members->last, key))
    g_ptr_array_add (members->order, key);
  /* Keeps the key that is there. */
  g_hash_table_insert (members->last, key, value);
}

static void
begin_to_gather (Members *members)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  members->last = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) json_node_unref);
  members->order = g_ptr_array_new ();

  json_object_iter_init_ordered (&iter, members->object);
  while (json_object_iter_next_ordered (&iter, &name, &value))
    gather_member (members, name, json_node_ref (value));
}

static void
add_gathered (Members *members)
{
  guint i;

  json_object_unref (members->object);
  members->object = json_object_new ();
  for (i = 0; i < members->order->len; i++)
    {
      const char *name = g_ptr_array_index (members->order, i);

      json_object_set_member (members->object, name, json_node_ref (g_hash_table_lookup (members->last, name)));
    }
}

static void
add_member (Members    *members,
            const char *name,
            JsonNode   *value)  /* (transfer full) */
{
  guint size;

  if (G_UNLIKELY (members->last != NULL))
    {
      gather_member (members, name, value);
      return;
    }

  size = json_object_get_size (members->object);
  json_object_set_member (members->object, name, value);
  if (G_UNLIKELY (json_object_get_size (members->object) == size))
    begin_to_gather (members);
}

static gboolean
take_member (Builder *builder,
             Members *members)
{
  Text text;
  JsonNode *value;
  const char *name;

  skip_space (builder);
  if (!take_string (builder, &text))
    return FALSE;
  skip_space (builder);
  if (!skip_byte (builder, ':'))
    return fail_malformed (builder);

  value = json_node_alloc ();
  /* The name is decoded after its value: until then it needs no copy. */
  name = fill_value (builder, value) ? decode (builder, &text, TRUE) : NULL;
  if (name == NULL)
    {
      json_node_unref (value);
      return FALSE;
    }

  add_member (members, name, value);
  return TRUE;
}

static gboolean
take_members (Builder *builder,
              Members *members)
{
  builder->p++;
  skip_space (builder);
  if (skip_byte (builder, '}'))
    return TRUE;

  do
    {
      if (!take_member (builder, members))
        return FALSE;
      skip_space (builder);
    }
  while (skip_byte (builder, ','));

  return skip_byte (builder, '}') || fail_malformed (builder);
}

static gboolean
take_elements (Builder   *builder,
               JsonArray *array)
{
  builder->p++;
  skip_space (builder);
  if (skip_byte (builder, ']'))
    return TRUE;

  do
    {
      JsonNode *element = json_node_alloc ();

      if (!fill_value (builder, element))
        {
          json_node_unref (element);
          return FALSE;
        }
      json_array_add_element (array, element);
      skip_space (builder);
    }
  while (skip_byte (builder, ','));

  return skip_byte (builder, ']') || fail_malformed (builder);
}

static gboolean
fill_object (Builder  *builder,
             JsonNode *node)
{
  Members members = { NULL, NULL, NULL };
  gboolean ok;

  if (builder->depth == AQMP_JSON_MAX_DEPTH)
    return fail_malformed (builder);

  members.object = json_object_new ();
  builder->depth++;
  ok = take_members (builder, &members);
  builder->depth--;

  if (ok && members.last != NULL)
    add_gathered (&members);
  g_clear_pointer (&members.order, g_ptr_array_unref);
  g_clear_pointer (&members.last, g_hash_table_unref);
  if (!ok)
    {
      json_object_unref (members.object);
      return FALSE;
    }

  json_node_init (node, JSON_NODE_OBJECT);
  json_node_take_object (node, members.object);
  return TRUE;
}

static gboolean
fill_array (Builder  *builder,
            JsonNode *node)
{
  JsonArray *array;
  gboolean ok;

  if (builder->depth == AQMP_JSON_MAX_DEPTH)
    return fail_malformed (builder);

  array = json_array_new ();
  builder->depth++;
  ok = take_elements (builder, array);
  builder->depth--;
  if (!ok)
    {
      json_array_unref (array);
      return FALSE;
    }

  json_node_init (node, JSON_NODE_ARRAY);
  json_node_take_array (node, array);
  return TRUE;
}

static gboolean
fill_value (Builder  *builder,
            JsonNode *node)
{
  skip_space (builder);
  if (builder->p == builder->end)
    return fail_malformed (builder);

  switch (*builder->p)
    {
    case '"':
      return fill_string (builder, node);
    case '{':
      return fill_object (builder, node);
    case '[':
      return fill_array (builder, node);
    case 't':
      if (!skip_literal (builder, "true"))
        return FALSE;
      json_node_init_boolean (node, TRUE);
      return TRUE;
    case 'f':
      if (!skip_literal (builder, "false"))
        return FALSE;
      json_node_init_boolean (node, FALSE);
      return TRUE;
    case 'n':
      if (!skip_literal (builder, "null"))
        return FALSE;
      json_node_init_null (node);
      return TRUE;
    default:
      return fill_number (builder, node);
    }
}

JsonNode *
aqmp_json_build (const guint8  *data,
                 gsize          length,
                 GError       **error)
{
  g_autoptr (JsonNode) root = json_node_alloc ();
  Builder builder = { NULL, NULL, 0, NULL, 256, error };
  gboolean ok;

  /* No bytes may be NULL, which has no end to compute. */
  builder.p = length > 0 ? data : (const guint8 *) "";
  builder.end = builder.p + length;
  builder.scratch = g_malloc (builder.scratch_size);
  ok = fill_value (&builder, root);
  g_free (builder.scratch);

  return ok ? g_steal_pointer (&root) : NULL;
}
