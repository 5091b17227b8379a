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

/* A decoded string on its way into json-glib, which copies it. */
typedef struct
{
  char  usual[256];
  char *large;  /* (owned) (nullable): if that is too short */
  gsize large_size;
} Scratch;

typedef struct
{
  const guint8 *p;
  const guint8 *end;
  guint         depth;
  Scratch       name;
  Scratch       string;
  GError      **error;
} Builder;

/* A value before it is a node. json-glib makes the node of a member itself, which is cheaper: json_object_set_member() looks a
   name up once more than the setters for one type do. */
typedef struct
{
  enum
  {
    NULL_VALUE,
    BOOLEAN,
    INTEGER,
    DOUBLE,
    STRING,
    OBJECT,
    ARRAY,
  } kind;

  union
  {
    gboolean    boolean;
    gint64      integer;
    gdouble     real;
    const char *string; /* good until the next string value */
    JsonObject *object; /* (owned) */
    JsonArray  *array;  /* (owned) */
  };
} Value;

static gboolean take_value (Builder *builder,
                            Value   *value);

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

static char *
reserve (Scratch *scratch,
         gsize    size)
{
  if (G_LIKELY (size <= sizeof scratch->usual))
    return scratch->usual;

  if (size > scratch->large_size)
    {
      g_free (scratch->large);
      scratch->large_size = size + sizeof scratch->usual;
      scratch->large = g_malloc (scratch->large_size);
    }
  return scratch->large;
}

/* The decoded string, good until the next one in the same place, or NULL. */
static const char *
decode (Builder    *builder,
        const Text *text,
        Scratch    *scratch)
{
  gsize length = text->close - text->start;
  char *decoded = reserve (scratch, length + 1);
  gboolean has_nul = FALSE;

  if (G_LIKELY (text->is_plain))
    memcpy (decoded, text->start, length);
  else
    length = aqmp_json_decode_text (text->start, text->close, decoded, &has_nul);
  decoded[length] = '\0';

  if (G_UNLIKELY (has_nul))
    {
      fail_nul (builder, text, scratch == &builder->name);
      return NULL;
    }
  return decoded;
}

/* Values of one token */

static gboolean
take_string_value (Builder *builder,
                   Value   *value)
{
  Text text;

  value->kind = STRING;
  if (!take_string (builder, &text))
    return FALSE;
  value->string = decode (builder, &text, &builder->string);
  return value->string != NULL;
}

static inline gboolean
belongs_to_number (guint8 c)
{
  return aqmp_json_is_digit (c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static gboolean
take_number (Builder *builder,
             Value   *value)
{
  const guint8 *start = builder->p;
  gsize length;

  while (builder->p < builder->end && belongs_to_number (*builder->p))
    builder->p++;
  length = builder->p - start;
  if (length == 0)
    return fail_malformed (builder);

  value->kind = INTEGER;
  if (aqmp_json_get_int64 (start, length, &value->integer))
    return TRUE;

  value->kind = DOUBLE;
  value->real = aqmp_json_number_to_double (start, length);
  return !isinf (value->real) || fail_huge_number (builder, start, length);
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

static gboolean
take_boolean (Builder *builder,
              Value   *value)
{
  value->kind = BOOLEAN;
  value->boolean = *builder->p == 't';
  return skip_literal (builder, value->boolean ? "true" : "false");
}

static gboolean
take_null (Builder *builder,
           Value   *value)
{
  value->kind = NULL_VALUE;
  return skip_literal (builder, "null");
}

/* Where values go to: each takes over what is owned. */

static JsonNode *
make_node (Value *value)
{
  JsonNode *node = json_node_alloc ();

  switch (value->kind)
    {
    case BOOLEAN:
      return json_node_init_boolean (node, value->boolean);
    case INTEGER:
      return json_node_init_int (node, value->integer);
    case DOUBLE:
      return json_node_init_double (node, value->real);
    case STRING:
      return json_node_init_string (node, value->string);
    case OBJECT:
      json_node_init (node, JSON_NODE_OBJECT);
      json_node_take_object (node, value->object);
      return node;
    case ARRAY:
      json_node_init (node, JSON_NODE_ARRAY);
      json_node_take_array (node, value->array);
      return node;
    case NULL_VALUE:
    default:
      return json_node_init_null (node);
    }
}

static void
set_member (JsonObject *object,
            const char *name,
            Value      *value)
{
  switch (value->kind)
    {
    case BOOLEAN:
      json_object_set_boolean_member (object, name, value->boolean);
      break;
    case INTEGER:
      json_object_set_int_member (object, name, value->integer);
      break;
    case DOUBLE:
      json_object_set_double_member (object, name, value->real);
      break;
    case STRING:
      json_object_set_string_member (object, name, value->string);
      break;
    case OBJECT:
      json_object_set_object_member (object, name, value->object);
      break;
    case ARRAY:
      json_object_set_array_member (object, name, value->array);
      break;
    case NULL_VALUE:
    default:
      json_object_set_null_member (object, name);
    }
}

static void
drop_value (Value *value)
{
  if (value->kind == OBJECT)
    json_object_unref (value->object);
  else if (value->kind == ARRAY)
    json_array_unref (value->array);
}

/* Members

   Of members with the same name the last one stays. json-glib walks through all names to replace one, which a hostile peer could
   make quadratic, and a node cannot be filled anew (json_node_init() in json-glib 1.6 leaves a pointer to
   the old content behind). So where a name was there already the members are gathered in a table, and the object is made of
   that in the end. */

typedef struct
{
  JsonObject *object; /* (owned) */
  guint       n;      /* of them, as long as all their names differ */
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
            Value      *value)
{
  if (G_UNLIKELY (members->last != NULL))
    {
      gather_member (members, name, make_node (value));
      return;
    }

  set_member (members->object, name, value);
  if (G_UNLIKELY (json_object_get_size (members->object) != ++members->n))
    begin_to_gather (members);
}

static gboolean
take_member (Builder *builder,
             Members *members)
{
  Text text;
  Value value;
  const char *name;

  skip_space (builder);
  if (!take_string (builder, &text))
    return FALSE;
  skip_space (builder);
  if (!skip_byte (builder, ':'))
    return fail_malformed (builder);
  if (!take_value (builder, &value))
    return FALSE;

  /* The name is decoded after its value, in which there may be others. */
  name = decode (builder, &text, &builder->name);
  if (name == NULL)
    {
      drop_value (&value);
      return FALSE;
    }

  add_member (members, name, &value);
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
      Value element;

      if (!take_value (builder, &element))
        return FALSE;
      json_array_add_element (array, make_node (&element));
      skip_space (builder);
    }
  while (skip_byte (builder, ','));

  return skip_byte (builder, ']') || fail_malformed (builder);
}

static gboolean
take_object (Builder *builder,
             Value   *value)
{
  Members members = { NULL, 0, NULL, NULL };
  gboolean ok;

  if (builder->depth == AQMP_JSON_MAX_DEPTH)
    return fail_malformed (builder);

  members.object = json_object_new ();
  builder->depth++;
  ok = take_members (builder, &members);
  builder->depth--;

  if (G_UNLIKELY (members.last != NULL))
    {
      if (ok)
        add_gathered (&members);
      g_ptr_array_unref (members.order);
      g_hash_table_unref (members.last);
    }
  if (!ok)
    {
      json_object_unref (members.object);
      return FALSE;
    }

  value->kind = OBJECT;
  value->object = members.object;
  return TRUE;
}

static gboolean
take_array (Builder *builder,
            Value   *value)
{
  JsonArray *array;
  gboolean ok;

  if (builder->depth == AQMP_JSON_MAX_DEPTH)
    return fail_malformed (builder);

  /* The first elements make it grow twice otherwise. */
  array = json_array_sized_new (4);
  builder->depth++;
  ok = take_elements (builder, array);
  builder->depth--;
  if (!ok)
    {
      json_array_unref (array);
      return FALSE;
    }

  value->kind = ARRAY;
  value->array = array;
  return TRUE;
}

static gboolean
take_value (Builder *builder,
            Value   *value)
{
  skip_space (builder);
  if (builder->p == builder->end)
    return fail_malformed (builder);

  switch (*builder->p)
    {
    case '"':
      return take_string_value (builder, value);
    case '{':
      return take_object (builder, value);
    case '[':
      return take_array (builder, value);
    case 't':
    case 'f':
      return take_boolean (builder, value);
    case 'n':
      return take_null (builder, value);
    default:
      return take_number (builder, value);
    }
}

static void
begin (Builder       *builder,
       const guint8  *data,
       gsize          length,
       GError       **error)
{
  /* No bytes may be NULL, which has no end to compute. */
  builder->p = length > 0 ? data : (const guint8 *) "";
  builder->end = builder->p + length;
  builder->depth = 0;
  builder->name.large = builder->string.large = NULL;
  builder->name.large_size = builder->string.large_size = 0;
  builder->error = error;
}

static void
end (Builder *builder)
{
  g_free (builder->name.large);
  g_free (builder->string.large);
}

JsonNode *
aqmp_json_build (const guint8  *data,
                 gsize          length,
                 GError       **error)
{
  Builder builder;
  Value value;
  JsonNode *node;

  begin (&builder, data, length, error);
  node = take_value (&builder, &value) ? make_node (&value) : NULL;
  end (&builder);
  return node;
}

JsonObject *
aqmp_json_build_object (const guint8  *data,
                        gsize          length,
                        GError       **error)
{
  Builder builder;
  Value value;
  gboolean ok;

  begin (&builder, data, length, error);
  ok = length > 0 && *data == '{' ? take_object (&builder, &value) : fail_malformed (&builder);
  end (&builder);
  return ok ? value.object : NULL;
}
