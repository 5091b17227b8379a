/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The writer: what goes out is JSON, or does not go out. */

#include <locale.h>
#include <math.h>
#include <string.h>

#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-json-private.h"

static void
assert_written (JsonNode   *node,
                const char *expected)
{
  g_autoptr (GString) out = g_string_new ("before");
  g_autofree char *whole = g_strconcat ("before", expected, NULL);
  g_autoptr (GError) error = NULL;
  AqmpJsonScan scan;

  g_assert_true (aqmp_json_append_node (out, node, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (out->str, ==, whole);
  g_assert_cmpuint (out->len, ==, strlen (whole));
  g_assert_true (aqmp_json_validate (&scan, NULL, (const guint8 *) out->str + 6, out->len - 6, NULL));
}

/* @node: (transfer full) */
static void
assert_refused (JsonNode   *node,
                const char *where,
                const char *what)
{
  g_autoptr (GString) out = g_string_new ("before");
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_json_append_node (out, node, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  g_assert_cmpstr (out->str, ==, "before");
  g_assert_cmpuint (out->len, ==, 6);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  if (where != NULL)
    g_assert_true (g_str_has_prefix (error->message, where));
  g_assert_nonnull (strstr (error->message, what));
  json_node_unref (node);
}

static JsonNode *
string_node (const char *value)
{
  return json_node_init_string (json_node_alloc (), value);
}

static JsonNode *
double_node (gdouble value)
{
  return json_node_init_double (json_node_alloc (), value);
}

/* {"foo":[0,{"bar":node}]} */
static JsonNode *
bury (JsonNode *node)
{
  JsonObject *outer = json_object_new ();
  JsonObject *inner = json_object_new ();
  JsonArray *array = json_array_new ();
  JsonNode *result = json_node_new (JSON_NODE_OBJECT);

  json_object_set_member (inner, "bar", node);
  json_array_add_int_element (array, 0);
  json_array_add_object_element (array, inner);
  json_object_set_array_member (outer, "foo", array);
  json_node_take_object (result, outer);
  return result;
}

static void
test_round_trip (void)
{
  static const char * const texts[] = {
    "null", "true", "false", "0", "-1", "9223372036854775807", "-9223372036854775808", "1.5", "\"\"", "\"text\"", "[]", "{}",
    "[1,\"two\",[3.0],{\"four\":[null,true,false]}]",
    "{\"z\":{\"y\":[{}]},\"a\":[[]],\"\":\"\xc3\xa9\"}",
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (JsonNode) node = aqmp_json_build ((const guint8 *) texts[i], strlen (texts[i]), NULL);

      g_assert_nonnull (node);
      assert_written (node, texts[i]);
    }
}

static void
test_strings (void)
{
  static const struct { const char *value; const char *text; } cases[] = {
    { "", "\"\"" },
    { "plain text of more than sixteen bytes", "\"plain text of more than sixteen bytes\"" },
    { "\"\\/", "\"\\\"\\\\/\"" },
    { "\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\"" },
    { "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"" },
    { "a line\nand \"another\" one, \\ and more text\n", "\"a line\\nand \\\"another\\\" one, \\\\ and more text\\n\"" },
    { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
    { "\xef\xbf\xbf\n\xc2\x80", "\"\xef\xbf\xbf\\n\xc2\x80\"" },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (JsonNode) node = string_node (cases[i].value);
      g_autoptr (GString) out = g_string_new (NULL);

      assert_written (node, cases[i].text);
      g_assert_true (aqmp_json_append_string (out, cases[i].value, NULL));
      g_assert_cmpstr (out->str, ==, cases[i].text);
    }
}

static void
test_doubles (void)
{
  static const struct { gdouble value; const char *text; } cases[] = {
    { 0.0, "0.0" }, { -0.0, "-0.0" }, { 1.0, "1.0" }, { -17.0, "-17.0" }, { 0.1, "0.1" }, { 0.1 + 0.2, "0.30000000000000004" },
    { 1e22, "1e+22" }, { 1e300, "1e+300" }, { 5e-324, "4.94065645841247e-324" }, { G_MAXDOUBLE, "1.797693134862316e+308" },
    { 123456789012345680.0, "1.2345678901234568e+17" }, { 1e15, "1e+15" }, { 123456.0, "123456.0" },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GString) out = g_string_new (NULL);
      g_autoptr (JsonNode) node = double_node (cases[i].value);
      g_autoptr (JsonNode) again = NULL;

      g_assert_true (aqmp_json_append_node (out, node, NULL));
      again = aqmp_json_build ((const guint8 *) out->str, out->len, NULL);
      g_assert_cmpuint (json_node_get_value_type (again), ==, G_TYPE_DOUBLE);
      g_assert_true (json_node_get_double (again) == cases[i].value);
      /* The largest double is not read back from 16 digits: they round beyond it. */
      if (cases[i].value != G_MAXDOUBLE)
        g_assert_cmpstr (out->str, ==, cases[i].text);
    }
}

static void
test_doubles_in_any_locale (void)
{
  static const char * const locales[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8" };
  g_autoptr (JsonNode) node = double_node (1234.5);
  gboolean found = FALSE;
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (locales) && !found; i++)
    found = setlocale (LC_NUMERIC, locales[i]) != NULL;
  assert_written (node, "1234.5");
  setlocale (LC_NUMERIC, "C");
  if (!found)
    g_test_skip ("no locale with a decimal comma is installed");
}

static void
test_small_value_types (void)
{
  g_autoptr (JsonNode) integer = json_node_new (JSON_NODE_VALUE);
  g_autoptr (JsonNode) real = json_node_new (JSON_NODE_VALUE);
  g_auto (GValue) int_value = G_VALUE_INIT;
  g_auto (GValue) float_value = G_VALUE_INIT;

  /* json-glib widens these two. */
  g_value_set_int (g_value_init (&int_value, G_TYPE_INT), -5);
  json_node_set_value (integer, &int_value);
  g_value_set_float (g_value_init (&float_value, G_TYPE_FLOAT), 0.5f);
  json_node_set_value (real, &float_value);

  assert_written (integer, "-5");
  assert_written (real, "0.5");
}

static void
test_object (void)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (GString) out = g_string_new (NULL);

  json_object_set_string_member (object, "z", "1");
  json_object_set_int_member (object, "a\n", 2);
  json_object_set_null_member (object, "\xc3\xa9");
  g_assert_true (aqmp_json_append_object (out, object, NULL));
  g_assert_cmpstr (out->str, ==, "{\"z\":\"1\",\"a\\n\":2,\"\xc3\xa9\":null}");
}

static void
test_immutable (void)
{
  g_autoptr (JsonNode) node = bury (double_node (1.5));

  json_node_seal (node);
  assert_written (node, "{\"foo\":[0,{\"bar\":1.5}]}");
}

static void
test_arguments_are_not_kept (void)
{
  JsonObject *object = json_object_new ();
  JsonNode *node = bury (json_node_init_object (json_node_alloc (), object));

  assert_written (node, "{\"foo\":[0,{\"bar\":{}}]}");
  json_node_unref (node);
  /* Ours is the only reference again: it is not immutable, and can be changed. */
  json_object_set_int_member (object, "x", 1);
  json_object_unref (object);
}

static void
test_not_utf8 (void)
{
  static const char * const values[] = {
    "\xff", "caf\xe9", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "some more text of many bytes \xe2\x82", "\xe2\x82 text",
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autoptr (GString) out = g_string_new ("x");
      g_autoptr (GError) error = NULL;

      assert_refused (bury (string_node (values[i])), "foo[1].bar: ", "UTF-8");
      assert_refused (string_node (values[i]), "the string", "UTF-8");
      g_assert_false (aqmp_json_append_string (out, values[i], &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
      g_assert_cmpstr (out->str, ==, "x");
    }
}

static void
test_name_not_utf8 (void)
{
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "caf\xe9", 1);
  assert_refused (bury (json_node_init_object (json_node_alloc (), object)), "foo[1].bar.caf", "name is not valid UTF-8");
  json_object_unref (object);
}

static void
test_nan (void)
{
  assert_refused (bury (double_node (NAN)), "foo[1].bar: ", "number");
}

static void
test_infinity (void)
{
  assert_refused (bury (double_node (INFINITY)), "foo[1].bar: ", "number");
  assert_refused (bury (double_node (-INFINITY)), "foo[1].bar: ", "number");
}

static void
test_no_value (void)
{
  assert_refused (bury (json_node_new (JSON_NODE_VALUE)), "foo[1].bar: ", "no value");
  assert_refused (bury (json_node_new (JSON_NODE_OBJECT)), "foo[1].bar: ", "object is NULL");
  assert_refused (bury (json_node_new (JSON_NODE_ARRAY)), "foo[1].bar: ", "array is NULL");
  assert_refused (bury (string_node (NULL)), "foo[1].bar: ", "string is NULL");
}

static JsonNode *
nested (gsize depth)
{
  JsonNode *node = json_node_new (JSON_NODE_NULL);

  while (depth-- > 0)
    {
      JsonNode *outer;

      if (depth % 2 == 0)
        {
          outer = json_node_new (JSON_NODE_ARRAY);
          json_node_take_array (outer, json_array_new ());
          json_array_add_element (json_node_get_array (outer), node);
        }
      else
        {
          outer = json_node_new (JSON_NODE_OBJECT);
          json_node_take_object (outer, json_object_new ());
          json_object_set_member (json_node_get_object (outer), "name", node);
        }
      node = outer;
    }
  return node;
}

static void
test_depth (void)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (JsonNode) node = nested (1024);
  AqmpJsonScan scan;

  g_assert_true (aqmp_json_append_node (out, node, NULL));
  g_assert_true (aqmp_json_validate (&scan, NULL, (const guint8 *) out->str, out->len, NULL));

  assert_refused (nested (1025), NULL, "nested too deeply");
}

/* A loop that the caller made is only a special depth. */
static void
test_loop (void)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  JsonArray *array = json_array_new ();

  json_array_add_array_element (array, json_array_ref (array));
  {
    JsonNode *node = json_node_init_array (json_node_alloc (), array);

    g_assert_false (aqmp_json_append_node (out, node, &error));
    g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
    g_assert_cmpuint (strlen (error->message), <, 500);
    g_assert_cmpuint (out->len, ==, 0);
    json_node_unref (node);
  }
  json_array_remove_element (array, 0);
  json_array_unref (array);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/json/write/round-trip", test_round_trip);
  g_test_add_func ("/json/write/strings", test_strings);
  g_test_add_func ("/json/write/doubles", test_doubles);
  g_test_add_func ("/json/write/doubles-in-any-locale", test_doubles_in_any_locale);
  g_test_add_func ("/json/write/small-value-types", test_small_value_types);
  g_test_add_func ("/json/write/object", test_object);
  g_test_add_func ("/json/M6/immutable-arguments", test_immutable);
  g_test_add_func ("/json/M6/arguments-are-not-kept", test_arguments_are_not_kept);
  g_test_add_func ("/json/M6/not-utf8", test_not_utf8);
  g_test_add_func ("/json/M6/name-not-utf8", test_name_not_utf8);
  g_test_add_func ("/json/M6/nan", test_nan);
  g_test_add_func ("/json/M6/infinity", test_infinity);
  g_test_add_func ("/json/M6/no-value", test_no_value);
  g_test_add_func ("/json/M6/depth-1024", test_depth);
  g_test_add_func ("/json/M6/loop", test_loop);

  return g_test_run ();
}
