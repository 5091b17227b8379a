/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Whether the data of an event has what is asked for. */

#include <math.h>
#include <string.h>

#include "aqmp-glib/aqmp-event-private.h"
#include "aqmp-glib/aqmp-json-private.h"

typedef struct
{
  const char *name;
  const char *data;
  const char *subset;
  gboolean    expected;
} Case;

static const Case cases[] = {
  { "empty-subset", "{\"a\":1}", "{}", TRUE },
  { "empty-of-empty", "{}", "{}", TRUE },
  { "one-member", "{\"a\":1,\"b\":2}", "{\"b\":2}", TRUE },
  { "all-members-in-another-order", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", TRUE },
  { "one-of-two-differs", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}", FALSE },
  { "the-last-is-missing", "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2,\"c\":3}", FALSE },
  { "member-is-missing", "{\"a\":1}", "{\"b\":1}", FALSE },
  { "subset-is-more", "{}", "{\"a\":1}", FALSE },
  { "names-are-case-sensitive", "{\"a\":1}", "{\"A\":1}", FALSE },
  { "empty-name", "{\"\":1}", "{\"\":1}", TRUE },

  { "object/subset", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2}}", TRUE },
  { "object/empty", "{\"a\":{\"b\":1}}", "{\"a\":{}}", TRUE },
  { "object/differs", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":3}}", FALSE },
  { "object/missing", "{\"a\":{\"b\":1}}", "{\"a\":{\"c\":1}}", FALSE },
  { "object/three-levels", "{\"a\":{\"b\":{\"c\":[1],\"d\":2}},\"e\":3}", "{\"a\":{\"b\":{\"c\":[1]}}}", TRUE },
  { "object/three-levels-differ", "{\"a\":{\"b\":{\"c\":[1],\"d\":2}}}", "{\"a\":{\"b\":{\"c\":[2]}}}", FALSE },
  { "object/not-found-elsewhere", "{\"a\":{\"b\":1},\"b\":2}", "{\"a\":{\"b\":2}}", FALSE },
  { "object/is-no-array", "{\"a\":{}}", "{\"a\":[]}", FALSE },

  { "array/same", "{\"a\":[1,\"x\",null]}", "{\"a\":[1,\"x\",null]}", TRUE },
  { "array/empty", "{\"a\":[]}", "{\"a\":[]}", TRUE },
  { "array/is-no-subset", "{\"a\":[1,2]}", "{\"a\":[1]}", FALSE },
  { "array/empty-is-no-subset", "{\"a\":[1]}", "{\"a\":[]}", FALSE },
  { "array/longer", "{\"a\":[1]}", "{\"a\":[1,2]}", FALSE },
  { "array/order", "{\"a\":[1,2]}", "{\"a\":[2,1]}", FALSE },
  { "array/last-differs", "{\"a\":[1,2]}", "{\"a\":[1,3]}", FALSE },
  { "array/objects-are-subsets", "{\"a\":[{\"b\":1,\"c\":2},{\"d\":3}]}", "{\"a\":[{\"b\":1},{}]}", TRUE },
  { "array/object-differs", "{\"a\":[{\"b\":1},{\"d\":3}]}", "{\"a\":[{\"b\":1},{\"d\":4}]}", FALSE },
  { "array/of-arrays", "{\"a\":[[1,[2]]]}", "{\"a\":[[1,[2]]]}", TRUE },
  { "array/of-arrays-differs", "{\"a\":[[1,[2]]]}", "{\"a\":[[1,[3]]]}", FALSE },

  { "number/same", "{\"a\":-5}", "{\"a\":-5}", TRUE },
  { "number/differs", "{\"a\":5}", "{\"a\":-5}", FALSE },
  { "number/1-is-1.0", "{\"a\":1}", "{\"a\":1.0}", TRUE },
  { "number/1.0-is-1", "{\"a\":1.0}", "{\"a\":1}", TRUE },
  { "number/1-is-1e0", "{\"a\":1}", "{\"a\":1e0}", TRUE },
  { "number/1-is-not-1.5", "{\"a\":1}", "{\"a\":1.5}", FALSE },
  { "number/1.5-is-not-1", "{\"a\":1.5}", "{\"a\":1}", FALSE },
  { "number/1.5-is-15e-1", "{\"a\":1.5}", "{\"a\":15e-1}", TRUE },
  { "number/0-is-minus-0", "{\"a\":0}", "{\"a\":-0.0}", TRUE },
  { "number/beyond-2^53", "{\"a\":9007199254740993}", "{\"a\":9007199254740993}", TRUE },
  { "number/beyond-2^53-differs", "{\"a\":9007199254740993}", "{\"a\":9007199254740992}", FALSE },
  { "number/largest", "{\"a\":9223372036854775807}", "{\"a\":9223372036854775807}", TRUE },
  { "number/largest-differs", "{\"a\":9223372036854775807}", "{\"a\":9223372036854775806}", FALSE },
  { "number/smallest", "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808}", TRUE },
  { "number/2^53-is-2^53.0", "{\"a\":9007199254740992}", "{\"a\":9007199254740992.0}", TRUE },
  { "number/2^53+1-is-not-2^53.0", "{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}", FALSE },
  { "number/2^53.0-is-not-2^53+1", "{\"a\":9007199254740992.0}", "{\"a\":9007199254740993}", FALSE },
  { "number/largest-is-not-2^63", "{\"a\":9223372036854775807}", "{\"a\":9223372036854775808}", FALSE },
  { "number/smallest-is-minus-2^63.0", "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808.0}", TRUE },
  { "number/huge", "{\"a\":1e300}", "{\"a\":1e300}", TRUE },
  { "number/1-is-not-huge", "{\"a\":1}", "{\"a\":1e300}", FALSE },
  { "number/is-no-string", "{\"a\":1}", "{\"a\":\"1\"}", FALSE },
  { "number/is-no-boolean", "{\"a\":1}", "{\"a\":true}", FALSE },
  { "number/is-not-null", "{\"a\":0}", "{\"a\":null}", FALSE },

  { "string/same", "{\"a\":\"x\"}", "{\"a\":\"x\"}", TRUE },
  { "string/escaped", "{\"a\":\"x\\u00e9\"}", "{\"a\":\"x\xc3\xa9\"}", TRUE },
  { "string/differs", "{\"a\":\"x\"}", "{\"a\":\"X\"}", FALSE },
  { "string/is-no-prefix", "{\"a\":\"xy\"}", "{\"a\":\"x\"}", FALSE },
  { "string/empty", "{\"a\":\"\"}", "{\"a\":\"\"}", TRUE },
  { "string/empty-is-not-null", "{\"a\":\"\"}", "{\"a\":null}", FALSE },
  { "string/is-no-number", "{\"a\":\"1\"}", "{\"a\":1}", FALSE },
  { "string/is-no-boolean", "{\"a\":\"true\"}", "{\"a\":true}", FALSE },

  { "boolean/true", "{\"a\":true}", "{\"a\":true}", TRUE },
  { "boolean/false", "{\"a\":false}", "{\"a\":false}", TRUE },
  { "boolean/true-is-not-false", "{\"a\":true}", "{\"a\":false}", FALSE },
  { "boolean/false-is-not-true", "{\"a\":false}", "{\"a\":true}", FALSE },
  { "boolean/is-no-number", "{\"a\":true}", "{\"a\":1}", FALSE },
  { "boolean/false-is-not-null", "{\"a\":false}", "{\"a\":null}", FALSE },

  { "null/same", "{\"a\":null}", "{\"a\":null}", TRUE },
  { "null/has-to-be-there", "{\"b\":1}", "{\"a\":null}", FALSE },
  { "null/is-no-object", "{\"a\":null}", "{\"a\":{}}", FALSE },
};

static JsonObject *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = aqmp_json_build ((const guint8 *) text, strlen (text), &error);

  g_assert_no_error (error);
  return json_node_dup_object (node);
}

/* In the same way as what comes from a server, which is looked into only now. */
static AqmpEvent *
receive (const char *data)
{
  static const char * const names[] = { "data", NULL };
  g_autofree char *text = g_strdup_printf ("{\"event\":\"X\"%s%s}", data != NULL ? ",\"data\":" : "", data != NULL ? data : "");
  g_autoptr (GBytes) message = g_bytes_new (text, strlen (text));
  g_autoptr (GError) error = NULL;
  AqmpJsonScan scan;

  aqmp_json_validate (&scan, names, g_bytes_get_data (message, NULL), g_bytes_get_size (message), &error);
  g_assert_no_error (error);
  return aqmp_event_new_from_message ("X", message, (AqmpJsonSpan) { 0, 0 }, scan.members[0]);
}

static void
test_case (gconstpointer data)
{
  const Case *test = data;
  g_autoptr (JsonObject) whole = parse (test->data);
  g_autoptr (JsonObject) subset = parse (test->subset);
  g_autoptr (AqmpEvent) made = aqmp_event_new ("X", -1, whole);
  g_autoptr (AqmpEvent) received = receive (test->data);

  g_assert_cmpint (aqmp_json_object_matches (whole, subset), ==, test->expected);
  g_assert_cmpint (aqmp_event_matches (made, subset), ==, test->expected);
  g_assert_cmpint (aqmp_event_matches (received, subset), ==, test->expected);
  /* Once more, when it was looked into already. */
  g_assert_cmpint (aqmp_event_matches (received, subset), ==, test->expected);

  /* Anything has what it is. */
  g_assert_true (aqmp_event_matches (received, whole));
  g_assert_true (aqmp_event_matches (received, NULL));
}

static void
check_without_data (AqmpEvent *event)
{
  g_autoptr (JsonObject) nothing = parse ("{}");
  g_autoptr (JsonObject) something = parse ("{\"a\":null}");

  g_assert_true (aqmp_event_matches (event, NULL));
  g_assert_true (aqmp_event_matches (event, nothing));
  g_assert_false (aqmp_event_matches (event, something));
}

static void
test_without_data (void)
{
  g_autoptr (AqmpEvent) made = aqmp_event_new ("X", -1, NULL);
  g_autoptr (AqmpEvent) received = receive (NULL);
  g_autoptr (AqmpEvent) null = receive ("null");
  g_autoptr (AqmpEvent) array = receive ("[{\"a\":null}]");

  check_without_data (made);
  check_without_data (received);
  check_without_data (null);
  check_without_data (array);
}

/* Of several with the same name the last one counts, on either side. */
static void
test_duplicates (void)
{
  g_autoptr (AqmpEvent) event = receive ("{\"a\":1,\"b\":0,\"a\":2}");
  g_autoptr (JsonObject) first = parse ("{\"a\":1}");
  g_autoptr (JsonObject) last = parse ("{\"a\":1,\"a\":2}");

  g_assert_false (aqmp_event_matches (event, first));
  g_assert_true (aqmp_event_matches (event, last));
}

static void
test_nan (void)
{
  g_autoptr (AqmpEvent) event = receive ("{\"a\":1,\"b\":0}");
  g_autoptr (JsonObject) nan = json_object_new ();
  g_autoptr (JsonObject) infinity = json_object_new ();

  json_object_set_double_member (nan, "a", NAN);
  json_object_set_double_member (infinity, "a", -INFINITY);
  g_assert_false (aqmp_event_matches (event, nan));
  g_assert_false (aqmp_event_matches (event, infinity));
}

/* As deep as anything that a session lets in. */
static char *
nest (guint       depth,
      const char *innermost)
{
  GString *text = g_string_new (NULL);
  guint i;

  for (i = 0; i < depth; i++)
    g_string_append (text, i % 2 == 0 ? "{\"a\":" : "[");
  g_string_append (text, innermost);
  for (i = depth; i-- > 0;)
    g_string_append_c (text, i % 2 == 0 ? '}' : ']');

  return g_string_free (text, FALSE);
}

static void
test_depth (void)
{
  g_autofree char *data = nest (1022, "1");
  g_autofree char *other_text = nest (1022, "2");
  g_autofree char *deeper_text = nest (1024, "1");
  g_autoptr (AqmpEvent) event = receive (data);
  g_autoptr (JsonObject) same = parse (data);
  g_autoptr (JsonObject) other = parse (other_text);
  g_autoptr (JsonObject) deeper = parse (deeper_text);

  g_assert_true (aqmp_event_matches (event, same));
  g_assert_false (aqmp_event_matches (event, other));
  g_assert_false (aqmp_event_matches (event, deeper));
}

/* What a program asks for may be deeper than any event. */
static void
test_bottomless (void)
{
  g_autoptr (AqmpEvent) event = receive ("{\"a\":{\"a\":{\"a\":1}}}");
  JsonObject *subset = json_object_new ();
  guint i;

  for (i = 0; i < 3000; i++)
    {
      JsonObject *outer = json_object_new ();

      json_object_set_object_member (outer, "a", subset);
      subset = outer;
    }
  g_assert_false (aqmp_event_matches (event, subset));
  json_object_unref (subset);
}

/* json-glib has strings that are none. */
static void
test_no_string (void)
{
  g_autoptr (AqmpEvent) event = receive ("{\"a\":\"\"}");
  g_autoptr (JsonObject) subset = json_object_new ();
  JsonNode *node = json_node_new (JSON_NODE_VALUE);

  json_node_set_string (node, NULL);
  json_object_set_member (subset, "a", node);
  g_assert_false (aqmp_event_matches (event, subset));
}

/* Neither is changed, and neither kept. */
static void
test_untouched (void)
{
  g_autoptr (AqmpEvent) event = receive ("{\"a\":1}");
  g_autoptr (JsonObject) subset = parse ("{\"a\":1}");

  g_assert_true (aqmp_event_matches (event, subset));
  g_assert_false (json_object_is_immutable (subset));
  json_object_set_int_member (subset, "a", 2);
  g_assert_false (aqmp_event_matches (event, subset));
  json_object_remove_member (subset, "a");
  g_assert_true (aqmp_event_matches (event, subset));
}

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/event/matches/", cases[i].name, NULL);

      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/event/matches/without-data", test_without_data);
  g_test_add_func ("/event/matches/duplicates", test_duplicates);
  g_test_add_func ("/event/matches/number/nan", test_nan);
  g_test_add_func ("/event/matches/depth", test_depth);
  g_test_add_func ("/event/matches/bottomless-subset", test_bottomless);
  g_test_add_func ("/event/matches/no-string", test_no_string);
  g_test_add_func ("/event/matches/untouched", test_untouched);

  return g_test_run ();
}
