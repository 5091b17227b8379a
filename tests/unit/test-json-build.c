/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* From validated text to values: the tree, strings and integers. */

#include <math.h>
#include <string.h>

#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-json-private.h"

/* In a block of its own without NUL, so that a sanitizer sees a look beyond it. */
static JsonNode *
build_bytes (const char  *text,
             gsize        length,
             GError     **error)
{
  g_autofree guint8 *copy = g_memdup2 (text, length);
  AqmpJsonScan scan;

  g_assert_true (aqmp_json_validate (&scan, NULL, copy, length, NULL));
  return aqmp_json_build (copy, length, error);
}

static JsonNode *
build (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonNode *node = build_bytes (text, strlen (text), &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
  return node;
}

static void
assert_bad_reply (const char *text,
                  const char *word)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (build_bytes (text, strlen (text), &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);
  g_assert_nonnull (strstr (error->message, word));
  g_assert_nonnull (strstr (error->message, "execute_raw"));
}

static void
test_literals (void)
{
  g_autoptr (JsonNode) yes = build ("true");
  g_autoptr (JsonNode) no = build (" false ");
  g_autoptr (JsonNode) null = build ("null");

  g_assert_cmpuint (json_node_get_value_type (yes), ==, G_TYPE_BOOLEAN);
  g_assert_true (json_node_get_boolean (yes));
  g_assert_cmpuint (json_node_get_value_type (no), ==, G_TYPE_BOOLEAN);
  g_assert_false (json_node_get_boolean (no));
  g_assert_cmpint (json_node_get_node_type (null), ==, JSON_NODE_NULL);
}

static void
test_int64_exact (void)
{
  static const struct { const char *text; gint64 value; } cases[] = {
    { "0", 0 }, { "-0", 0 }, { "1", 1 }, { "-1", -1 }, { "9007199254740993", 9007199254740993 },
    { "9223372036854775807", G_MAXINT64 }, { "-9223372036854775808", G_MININT64 },
    { "1000000000000000000", 1000000000000000000 },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (JsonNode) node = build (cases[i].text);
      gint64 value = 0;

      g_assert_cmpuint (json_node_get_value_type (node), ==, G_TYPE_INT64);
      g_assert_cmpint (json_node_get_int (node), ==, cases[i].value);
      g_assert_true (aqmp_json_get_int64 ((const guint8 *) cases[i].text, strlen (cases[i].text), &value));
      g_assert_cmpint (value, ==, cases[i].value);
    }
}

static void
test_doubles (void)
{
  static const struct { const char *text; gdouble value; } cases[] = {
    { "1.0", 1.0 }, { "-0.0", -0.0 }, { "0.1", 0.1 }, { "1e3", 1000.0 }, { "2.5E-3", 0.0025 },
    { "9223372036854775808", 9223372036854775808.0 }, { "-9223372036854775809", -9223372036854775808.0 },
    { "18446744073709551615", 18446744073709551616.0 }, { "92233720368547758070", 92233720368547758080.0 },
    { "1.7976931348623157e308", G_MAXDOUBLE }, { "1e-400", 0.0 },
    { "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798", G_PI },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (JsonNode) node = build (cases[i].text);
      gint64 value;

      g_assert_cmpuint (json_node_get_value_type (node), ==, G_TYPE_DOUBLE);
      g_assert_true (json_node_get_double (node) == cases[i].value);
      g_assert_cmpint (signbit (json_node_get_double (node)), ==, signbit (cases[i].value));
      g_assert_false (aqmp_json_get_int64 ((const guint8 *) cases[i].text, strlen (cases[i].text), &value));
    }
}

static void
test_strings (void)
{
  static const struct { const char *text; const char *value; } cases[] = {
    { "\"\"", "" },
    { "\"plain\"", "plain" },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
    { "\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "\"\\uffff\\u0001\\u007f\"", "\xef\xbf\xbf\x01\x7f" },
    { "\"an escape \\n after more than sixteen bytes, and \\t another one, and then some text\"",
      "an escape \n after more than sixteen bytes, and \t another one, and then some text" },
    { "\"\\\\\"", "\\" },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (JsonNode) node = build (cases[i].text);
      g_autoptr (GString) decoded = g_string_new ("before ");
      g_autofree char *expected = g_strconcat ("before ", cases[i].value, NULL);
      g_autofree guint8 *copy = g_memdup2 (cases[i].text, strlen (cases[i].text));
      g_autofree char *dup = aqmp_json_dup_string (copy, strlen (cases[i].text));

      g_assert_cmpuint (json_node_get_value_type (node), ==, G_TYPE_STRING);
      g_assert_cmpstr (json_node_get_string (node), ==, cases[i].value);
      g_assert_true (aqmp_json_decode_string (copy, strlen (cases[i].text), decoded));
      g_assert_cmpstr (decoded->str, ==, expected);
      g_assert_cmpstr (dup, ==, cases[i].value);
    }
}

static void
test_long_string (void)
{
  g_autofree char *name = g_strnfill (1000000, 'n');
  g_autofree char *content = g_strnfill (1000000, 'x');
  g_autofree char *text = g_strdup_printf ("{\"short\": \"a\", \"%s\": \"%s\", \"again\": \"b\"}", name, content);
  g_autoptr (JsonNode) node = build (text);
  JsonObject *object = json_node_get_object (node);

  g_assert_cmpstr (json_object_get_string_member (object, name), ==, content);
  g_assert_cmpstr (json_object_get_string_member (object, "again"), ==, "b");
}

/* Whatever room there was for the name or the string before. */
static void
test_lengths (void)
{
  g_autoptr (GString) text = g_string_new ("{");
  g_autoptr (JsonNode) node = NULL;
  gsize length;

  for (length = 1; length < 1500; length++)
    {
      g_autofree char *name = g_strnfill (length, 'n');
      g_autofree char *content = g_strnfill (length, 'x');

      g_string_append_printf (text, "\"%s\":\"%s\",", name, content);
    }
  g_string_append (text, "\"\":\"\"}");
  node = build (text->str);

  for (length = 0; length < 1500; length++)
    {
      g_autofree char *name = g_strnfill (length, 'n');
      g_autofree char *content = g_strnfill (length, 'x');

      g_assert_cmpstr (json_object_get_string_member (json_node_get_object (node), name), ==, content);
    }
}

static void
test_decode_string_keeps_nul (void)
{
  static const char text[] = "\"a\\u0000b\"";
  g_autoptr (GString) decoded = g_string_new (NULL);

  g_assert_true (aqmp_json_decode_string ((const guint8 *) text, sizeof text - 1, decoded));
  g_assert_cmpmem (decoded->str, decoded->len, "a\0b", 3);
  g_assert_null (aqmp_json_dup_string ((const guint8 *) text, sizeof text - 1));
}

static void
test_no_string (void)
{
  static const char * const texts[] = { "1", "null", "{\"a\":\"b\"}", "[\"a\"]", "" };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GString) decoded = g_string_new ("x");

      g_assert_false (aqmp_json_decode_string ((const guint8 *) texts[i], strlen (texts[i]), decoded));
      g_assert_cmpstr (decoded->str, ==, "x");
      g_assert_null (aqmp_json_dup_string ((const guint8 *) texts[i], strlen (texts[i])));
    }
}

static void
test_no_integer (void)
{
  static const char * const texts[] = { "1.0", "1e2", "\"1\"", "null", "true", "[1]", "-", "", "9223372036854775808",
                                        "-9223372036854775809", "99999999999999999999999999999999" };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      gint64 value = 42;

      g_assert_false (aqmp_json_get_int64 ((const guint8 *) texts[i], strlen (texts[i]), &value));
      g_assert_cmpint (value, ==, 42);
    }
}

static void
test_containers (void)
{
  g_autoptr (JsonNode) node = build (" { \"return\" : [ 1 , \"two\" , { } , [ ] , { \"a\" : null } ] , \"\" : -3 } ");
  JsonObject *object = json_node_get_object (node);
  JsonArray *array = json_object_get_array_member (object, "return");

  g_assert_cmpuint (json_object_get_size (object), ==, 2);
  g_assert_cmpint (json_object_get_int_member (object, ""), ==, -3);
  g_assert_cmpuint (json_array_get_length (array), ==, 5);
  g_assert_cmpint (json_array_get_int_element (array, 0), ==, 1);
  g_assert_cmpstr (json_array_get_string_element (array, 1), ==, "two");
  g_assert_cmpuint (json_object_get_size (json_array_get_object_element (array, 2)), ==, 0);
  g_assert_cmpuint (json_array_get_length (json_array_get_array_element (array, 3)), ==, 0);
  g_assert_true (json_object_get_null_member (json_array_get_object_element (array, 4), "a"));
}

static void
check_kinds (JsonNode * const *values)
{
  g_assert_true (JSON_NODE_HOLDS_NULL (values[0]));
  g_assert_cmpuint (json_node_get_value_type (values[1]), ==, G_TYPE_BOOLEAN);
  g_assert_true (json_node_get_boolean (values[1]));
  g_assert_cmpuint (json_node_get_value_type (values[2]), ==, G_TYPE_BOOLEAN);
  g_assert_false (json_node_get_boolean (values[2]));
  g_assert_cmpuint (json_node_get_value_type (values[3]), ==, G_TYPE_INT64);
  g_assert_cmpint (json_node_get_int (values[3]), ==, -7);
  g_assert_cmpuint (json_node_get_value_type (values[4]), ==, G_TYPE_DOUBLE);
  g_assert_cmpfloat (json_node_get_double (values[4]), ==, 0.5);
  g_assert_cmpstr (json_node_get_string (values[5]), ==, "text");
  g_assert_cmpint (json_object_get_int_member (json_node_get_object (values[6]), "in"), ==, 1);
  g_assert_cmpint (json_array_get_int_element (json_node_get_array (values[7]), 0), ==, 2);
}

/* A member may be made in another way than an element is, and one whose name was there before in yet another. */
static void
test_kinds (void)
{
  static const char * const texts[] = {
    "[null,true,false,-7,0.5,\"text\",{\"in\":1},[2]]",
    "{\"a\":null,\"b\":true,\"c\":false,\"d\":-7,\"e\":0.5,\"f\":\"text\",\"g\":{\"in\":1},\"h\":[2]}",
    "{\"a\":1,\"a\":null,\"b\":true,\"c\":false,\"d\":-7,\"e\":0.5,\"f\":\"text\",\"g\":{\"in\":1},\"h\":[2]}",
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (JsonNode) node = build (texts[i]);
      JsonNode *values[8];
      guint k;

      for (k = 0; k < G_N_ELEMENTS (values); k++)
        {
          const char name[] = { (char) ('a' + k), '\0' };

          values[k] = i == 0 ? json_array_get_element (json_node_get_array (node), k)
                             : json_object_get_member (json_node_get_object (node), name);
        }
      check_kinds (values);
    }
}

static void
test_object (void)
{
  static const char text[] = "{\"a\":[1,{\"b\":\"c\"}],\"a\":2}";
  static const char * const others[] = { "[{}]", "\"{}\"", "1", "null", " {}", "[}", "", "{", "{\"a\":1", "{\"a\":\"\\u0000\"}" };
  g_autoptr (JsonObject) object = aqmp_json_build_object ((const guint8 *) text, sizeof text - 1, NULL);
  gsize i;

  g_assert_cmpint (json_object_get_int_member (object, "a"), ==, 2);

  for (i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_autofree guint8 *copy = g_memdup2 (others[i], strlen (others[i]));
      g_autoptr (GError) error = NULL;

      g_assert_null (aqmp_json_build_object (copy, strlen (others[i]), &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);
    }
}

static void
test_order_of_members (void)
{
  g_autoptr (JsonNode) node = build ("{\"z\":1,\"a\":2,\"m\":3,\"b\":4}");
  g_autofree char *text = json_to_string (node, FALSE);

  g_assert_cmpstr (text, ==, "{\"z\":1,\"a\":2,\"m\":3,\"b\":4}");
}

static void
test_last_duplicate_wins (void)
{
  g_autoptr (JsonNode) node = build ("{\"a\":1,\"b\":2,\"a\":{\"x\":[1]},\"b\":\"two\",\"\\u0061\":[4],\"c\":5,\"c\":null}");
  JsonObject *object = json_node_get_object (node);

  g_assert_cmpuint (json_object_get_size (object), ==, 3);
  g_assert_cmpint (json_array_get_int_element (json_object_get_array_member (object, "a"), 0), ==, 4);
  g_assert_cmpstr (json_object_get_string_member (object, "b"), ==, "two");
  g_assert_true (json_object_get_null_member (object, "c"));
}

/* json_object_set_member() would walk 60,000 names each time: minutes. */
static void
test_duplicates_are_linear (void)
{
  g_autoptr (GString) text = g_string_new ("{");
  g_autoptr (JsonNode) node = NULL;
  gsize i;

  for (i = 0; i < 60000; i++)
    g_string_append_printf (text, "\"n%zu\":0,", i);
  for (i = 0; i < 60000; i++)
    g_string_append_printf (text, "\"n59999\":\"%zu\",", i);
  g_string_append (text, "\"end\":1}");

  node = build (text->str);
  g_assert_cmpstr (json_object_get_string_member (json_node_get_object (node), "n59999"), ==, "59999");
}

static void
test_depth (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (JsonNode) node = NULL;
  gsize i;

  for (i = 0; i < 1024; i++)
    g_string_append (text, i % 2 == 0 ? "[" : "{\"a\":");
  g_string_append (text, "null");
  for (i = 1024; i-- > 0;)
    g_string_append_c (text, i % 2 == 0 ? ']' : '}');

  node = build (text->str);
  g_assert_true (JSON_NODE_HOLDS_ARRAY (node));
}

static void
test_nul_is_bad_reply (void)
{
  assert_bad_reply ("\"a\\u0000b\"", "The string “a\\u0000b”");
  assert_bad_reply ("{\"return\":[1,{\"x\":\"\\u0000\"}]}", "NUL");
  assert_bad_reply ("{\"a\\u0000b\":[1,2,{\"c\":3}]}", "The name “a\\u0000b”");
  assert_bad_reply ("{\"a\\u0000b\":{\"c\":3}}", "The name “a\\u0000b”");
  assert_bad_reply ("{\"a\":1,\"a\":2,\"b\\u0000\":[3]}", "NUL");
}

static void
test_huge_number_is_bad_reply (void)
{
  g_autofree char *digits = g_strnfill (400, '7');

  assert_bad_reply ("1e400", "1e400");
  assert_bad_reply ("[[1,2],{\"a\":[-1e400]}]", "-1e400");
  assert_bad_reply ("{\"a\":1,\"a\":2,\"a\":1e400}", "1e400");
  assert_bad_reply (digits, "77777");
}

/* Not that anybody should: but whatever is given, nothing beyond it is touched. */
static void
test_unvalidated_is_safe (void)
{
  static const char * const texts[] = { "", "{", "[", "\"", "\"\\", "{\"a\"", "{\"a\":", "{\"a\":1", "[1,", "tru", "x", "{1}",
                                        "\"\\ud800\"", "[1}", "\"\\u00" };
  g_autofree char *deep = g_strnfill (100000, '[');
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree guint8 *copy = g_memdup2 (texts[i], strlen (texts[i]));
      g_autoptr (JsonNode) node = aqmp_json_build (copy, strlen (texts[i]), NULL);

      if (i != 12)
        g_assert_null (node);
    }
  g_assert_null (aqmp_json_build ((const guint8 *) deep, strlen (deep), NULL));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/json/build/literals", test_literals);
  g_test_add_func ("/json/M5/int64-exact", test_int64_exact);
  g_test_add_func ("/json/M5/other-numbers-become-double", test_doubles);
  g_test_add_func ("/json/build/strings", test_strings);
  g_test_add_func ("/json/build/long-string", test_long_string);
  g_test_add_func ("/json/build/lengths", test_lengths);
  g_test_add_func ("/json/build/decode-string-keeps-nul", test_decode_string_keeps_nul);
  g_test_add_func ("/json/build/no-string", test_no_string);
  g_test_add_func ("/json/build/no-integer", test_no_integer);
  g_test_add_func ("/json/build/containers", test_containers);
  g_test_add_func ("/json/build/kinds-of-values", test_kinds);
  g_test_add_func ("/json/build/object", test_object);
  g_test_add_func ("/json/build/order-of-members", test_order_of_members);
  g_test_add_func ("/json/build/last-duplicate-wins", test_last_duplicate_wins);
  g_test_add_func ("/json/build/duplicates-are-linear", test_duplicates_are_linear);
  g_test_add_func ("/json/M4/tree-depth-1024", test_depth);
  g_test_add_func ("/json/M5/nul-is-bad-reply", test_nul_is_bad_reply);
  g_test_add_func ("/json/M5/huge-number-is-bad-reply", test_huge_number_is_bad_reply);
  g_test_add_func ("/json/build/unvalidated-is-safe", test_unvalidated_is_safe);

  return g_test_run ();
}
