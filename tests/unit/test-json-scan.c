/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The scanner: what is JSON and what is not, wherever the text is cut. */

#include <string.h>

#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-json-private.h"

/* Of what takes minutes under valgrind, a part is enough there. */
static guint
get_step (guint under_valgrind)
{
  return g_strcmp0 (g_getenv ("AQMP_TEST_TIMEOUT_SCALE"), "10") == 0 ? under_valgrind : 1;
}

static const char * const names[] = { "return", "error", "event", "id", "é", NULL };

enum
{
  RETURN,
  ERROR,
  EVENT,
  ID,
  E_ACUTE,
};

typedef struct
{
  const char *path;
  const char *text;
  gsize       length; /* 0: up to the NUL */
} Case;

static gsize
case_length (const Case *test)
{
  return test->length > 0 ? test->length : strlen (test->text);
}

/* Every prefix lives in a block of its own, so that a sanitizer sees a look beyond it. */
static gssize
scan_prefix (AqmpJsonScan  *scan,
             const char    *text,
             gsize          length,
             gboolean       at_eof,
             GError       **error)
{
  g_autofree guint8 *copy = g_memdup2 (text, length);

  return aqmp_json_scan (scan, copy, length, at_eof, error);
}

static gssize
scan_at_once (AqmpJsonScan  *scan,
              const char    *text,
              gsize          length,
              GError       **error)
{
  aqmp_json_scan_init (scan, names);
  return scan_prefix (scan, text, length, TRUE, error);
}

static gssize
scan_in_steps (AqmpJsonScan  *scan,
               const char    *text,
               gsize          length,
               gsize          step,
               GError       **error)
{
  gsize seen = 0;
  gssize result;

  aqmp_json_scan_init (scan, names);
  do
    {
      seen = MIN (seen + step, length);
      result = scan_prefix (scan, text, seen, seen == length, error);
    }
  while (result == 0 && seen < length);
  return result;
}

static void
assert_same_results (const AqmpJsonScan *a,
                     const AqmpJsonScan *b)
{
  guint i;

  g_assert_cmpint (a->kind, ==, b->kind);
  g_assert_cmpuint (a->has_escape, ==, b->has_escape);
  g_assert_cmpuint (a->has_nul, ==, b->has_nul);
  g_assert_cmpuint (a->has_huge_number, ==, b->has_huge_number);
  g_assert_cmpuint (a->has_duplicate, ==, b->has_duplicate);
  for (i = 0; i < AQMP_JSON_MAX_NAMES; i++)
    {
      g_assert_cmpuint (a->members[i].start, ==, b->members[i].start);
      g_assert_cmpuint (a->members[i].end, ==, b->members[i].end);
    }
}

static void
assert_member (const AqmpJsonScan *scan,
               guint               index,
               const char         *text,
               const char         *expected)
{
  const AqmpJsonSpan *span = &scan->members[index];
  g_autofree char *found = g_strndup (text + span->start, span->end - span->start);

  if (expected == NULL)
    g_assert_cmpuint (span->start, ==, span->end);
  else
    g_assert_cmpstr (found, ==, expected);
}

/* Valid text */

static const Case valid_cases[] = {
  { "null", "null" },
  { "true", "true" },
  { "false", "false" },
  { "zero", "0" },
  { "minus-zero", "-0" },
  { "integer", "1234567890" },
  { "negative", "-17" },
  { "fraction", "0.5" },
  { "zero-with-exponent", "0e0" },
  { "exponent", "1e5" },
  { "exponent-with-plus", "1E+05" },
  { "exponent-with-minus", "-12.340e-0017" },
  { "empty-string", "\"\"" },
  { "string", "\"some text that is longer than one block of sixteen bytes\"" },
  { "all-short-escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"" },
  { "unicode-escape", "\"\\u20aC\\u0041\"" },
  { "surrogate-pair", "\"\\ud83D\\uDe00\"" },
  { "escaped-nul", "\"\\u0000\"" },
  { "escaped-noncharacter", "\"\\uffff\\ufdd0\"" },
  { "del-is-no-control-character", "\"\x7f\"" },
  { "utf8-lowest-of-each-length", "\"\xc2\x80 \xe0\xa0\x80 \xf0\x90\x80\x80\"" },
  { "utf8-highest-of-each-length", "\"\xdf\xbf \xef\xbf\xbf \xf4\x8f\xbf\xbf\"" },
  { "utf8-around-the-surrogates", "\"\xed\x9f\xbf\xee\x80\x80\"" },
  { "utf8-mixed",
    "\"Za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87 g\xc4\x99\xc5\x9bl\xc4\x85 ja\xc5\xba\xc5\x84 \xf0\x9f\x98\x80 \xe2\x82\xac\"" },
  { "empty-array", "[]" },
  { "empty-object", "{}" },
  { "empty-ones-with-blanks", "[ { } , [\n] ]" },
  { "array", "[1,\"two\",3.0,null,true,false,[],{}]" },
  { "object", "{\"a\":1,\"b\":{\"c\":[{\"d\":null}]}}" },
  { "empty-name", "{\"\":0}" },
  { "name-with-escapes", "{\"\\u0061\\n\":0}" },
  { "names-twice", "{\"a\":1,\"a\":2}" },
  { "all-kinds-of-space", "{ \t\r\n\"a\" \t\r\n: \t\r\n1 \t\r\n, \t\r\n\"b\" \t\r\n:                    2 \t\r\n}" },
  { "pretty-printed", "{\r\n    \"return\": {\r\n        \"status\": \"running\"\r\n    }\r\n}" },
  { "nul-in-name", "{\"a\\u0000b\":1}" },
};

static void
test_valid (gconstpointer data)
{
  const Case *test = data;
  gsize length = case_length (test);
  gsize step;
  AqmpJsonScan whole, pieces;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (scan_at_once (&whole, test->text, length, &error), ==, length);
  g_assert_no_error (error);

  for (step = 1; step < length; step++)
    {
      g_assert_cmpint (scan_in_steps (&pieces, test->text, length, step, &error), ==, length);
      g_assert_no_error (error);
      assert_same_results (&whole, &pieces);
    }

  g_assert_true (aqmp_json_validate (&pieces, names, (const guint8 *) test->text, length, &error));
  g_assert_no_error (error);
}

/* What is valid may stand anywhere. */
static void
test_valid_nested (gconstpointer data)
{
  const Case *test = data;
  gsize length = case_length (test);
  g_autoptr (GString) text = g_string_new ("{\"return\":[");
  AqmpJsonScan scan;
  g_autoptr (GError) error = NULL;

  g_string_append_len (text, test->text, length);
  g_string_append_c (text, ',');
  g_string_append_len (text, test->text, length);
  g_string_append (text, "],\"id\":");
  g_string_append_len (text, test->text, length);
  g_string_append (text, "}{");

  g_assert_cmpint (scan_in_steps (&scan, text->str, text->len, 1, &error), ==, text->len - 1);
  g_assert_no_error (error);
  g_assert_cmpuint (scan.members[ID].end - scan.members[ID].start, ==, length);
  g_assert_cmpuint (scan.members[RETURN].start, ==, 10);
  g_assert_cmpuint (scan.members[RETURN].end - scan.members[RETURN].start, ==, 2 * length + 3);
}

/* Invalid text */

static const Case invalid_cases[] = {
  { "leading-zero", "[01]" },
  { "negative-leading-zero", "[-01]" },
  { "leading-zero-at-the-top", "01" },
  { "plus", "+1" },
  { "lone-minus", "[-]" },
  { "no-digit-before-the-point", ".5" },
  { "no-digit-after-the-point", "[1.]" },
  { "no-digit-in-the-exponent", "[1e]" },
  { "no-digit-after-the-exponent-sign", "[1e+]" },
  { "two-points", "[1.2.3]" },
  { "hex", "[0x10]" },
  { "hex-at-the-top", "0x10" },
  { "octal", "[0o7]" },
  { "nan", "[NaN]" },
  { "infinity", "[Infinity]" },
  { "minus-infinity", "[-Infinity]" },
  { "undefined", "undefined" },
  { "wrong-case", "[True]" },
  { "misspelt-literal", "[nulk]" },
  { "misspelt-first-letter", "[halse ]" },
  { "misspelt-last-letter", "[falsy ]" },
  { "literal-with-a-tail", "[truely]" },
  { "line-comment", "[1] // one" },
  { "comment", "[/* one */ 1]" },
  { "single-quotes", "['a']" },
  { "single-quoted-name", "{'a':1}" },
  { "bare-name", "{a:1}" },
  { "number-as-name", "{1:1}" },
  { "trailing-comma-in-array", "[1,]" },
  { "trailing-comma-in-object", "{\"a\":1,}" },
  { "leading-comma", "[,1]" },
  { "two-commas", "[1,,2]" },
  { "no-comma-in-array", "[1 2]" },
  { "no-comma-in-object", "{\"a\":1 \"b\":2}" },
  { "no-colon", "{\"a\" 1}" },
  { "equals-for-colon", "{\"a\"=1}" },
  { "no-value", "{\"a\":}" },
  { "name-only", "{\"a\"}" },
  { "wrong-close-of-array", "[1}" },
  { "wrong-close-of-object", "{\"a\":1]" },
  { "close-only", "]" },
  { "byte-order-mark", "\xef\xbb\xbf{}" },
  { "form-feed-is-no-space", "[\f1]" },
  { "nbsp-is-no-space", "[\xc2\xa0" "1]" },
  { "raw-nul", "[\0]", 3 },
  { "raw-nul-in-string", "\"a\0b\"", 5 },
  { "raw-newline-in-string", "\"a\nb\"" },
  { "raw-tab-in-string", "\"a\tb\"" },
  { "raw-newline-in-long-string", "\"some text that is longer than one block\nof bytes\"" },
  { "raw-control-in-name", "{\"a\x1f\":1}" },
  { "unknown-escape", "\"\\x41\"" },
  { "escaped-single-quote", "\"\\'\"" },
  { "upper-case-escape", "\"\\U0041\"" },
  { "short-unicode-escape", "\"\\u12\"" },
  { "unicode-escape-without-hex", "\"\\u12g4\"" },
  { "lone-high-surrogate", "\"\\ud800\"" },
  { "lone-low-surrogate", "\"\\udc00\"" },
  { "two-high-surrogates", "\"\\ud800\\ud800\"" },
  { "high-surrogate-and-letter", "\"\\ud800\\u0041\"" },
  { "high-surrogate-and-other-escape", "\"\\ud800\\n\"" },
  { "high-surrogate-and-text", "\"\\ud800abcdefgh\"" },
  { "lone-surrogate-in-name", "{\"\\udfff\":1}" },
  { "utf8-lone-continuation", "\"\x80\"" },
  { "utf8-missing-continuation", "\"\xc3\"" },
  { "utf8-missing-continuation-before-text", "\"\xe2\x82 some more text follows\"" },
  { "utf8-too-many-continuations", "\"\xc3\xa9\xa9\"" },
  { "utf8-overlong-two", "\"\xc0\xaf\"" },
  { "utf8-overlong-two-c1", "\"\xc1\xbf\"" },
  { "utf8-overlong-three", "\"\xe0\x9f\xbf\"" },
  { "utf8-overlong-four", "\"\xf0\x8f\xbf\xbf\"" },
  { "utf8-surrogate", "\"\xed\xa0\x80\"" },
  { "utf8-surrogate-pair", "\"\xed\xa0\xbd\xed\xb8\x80\"" },
  { "utf8-beyond-10ffff", "\"\xf4\x90\x80\x80\"" },
  { "utf8-f5", "\"\xf5\x80\x80\x80\"" },
  { "utf8-five-bytes", "\"\xf8\x88\x80\x80\x80\"" },
  { "byte-ff", "\xff" },
  { "byte-ff-in-array", "[\xff]" },
  { "byte-ff-in-string", "\"\xff\"" },
  { "byte-ff-in-long-string", "\"some text that is longer than one block\xff of bytes\"" },
  { "latin1-in-string", "\"caf\xe9\"" },
};

/* Refused in whatever pieces, with the same words. */
static void
test_invalid (gconstpointer data)
{
  const Case *test = data;
  gsize length = case_length (test);
  AqmpJsonScan scan;
  g_autoptr (GError) expected = NULL;
  gsize step;

  g_assert_false (aqmp_json_validate (&scan, names, (const guint8 *) test->text, length, &expected));
  g_assert_error (expected, AQMP_ERROR, AQMP_ERROR_PARSE);
  g_assert_nonnull (strstr (expected->message, "at byte "));
  g_assert_true (g_utf8_validate (expected->message, -1, NULL));

  for (step = 1; step <= length; step++)
    {
      g_autoptr (GError) error = NULL;
      gssize result = scan_in_steps (&scan, test->text, length, step, &error);

      /* Valid text with something behind it is for the next call, which then fails. */
      if (result > 0)
        {
          g_assert_no_error (error);
          result = scan_in_steps (&scan, test->text + result, length - result, step, &error);
          if (result > 0)
            continue;
        }
      g_assert_cmpint (result, ==, -1);
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
    }
}

static void
test_failure_stays (void)
{
  AqmpJsonScan scan;
  g_autoptr (GError) first = NULL;
  g_autoptr (GError) second = NULL;

  g_assert_cmpint (scan_at_once (&scan, "[1,]", 4, &first), ==, -1);
  g_assert_cmpint (scan_prefix (&scan, "[1,]", 4, TRUE, &second), ==, -1);
  g_assert_cmpstr (first->message, ==, second->message);
}

static void
test_message (void)
{
  AqmpJsonScan scan;
  g_autoptr (GError) error = NULL;
  const char *text = "{\"return\": [1, 2, 'three']}";

  g_assert_cmpint (scan_at_once (&scan, text, strlen (text), &error), ==, -1);
  g_assert_nonnull (strstr (error->message, "byte 18"));
  g_assert_nonnull (strstr (error->message, "double quotes"));
  g_assert_nonnull (strstr (error->message, "'three'"));
}

static void
test_message_is_bounded (void)
{
  AqmpJsonScan scan;
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new ("[");
  gsize i;

  for (i = 0; i < 10000; i++)
    g_string_append (text, "\"\xe2\x82\xac\xe2\x82\xac\",");
  g_string_append (text, "]");
  for (i = 0; i < 10000; i++)
    g_string_append (text, "\xff\n");

  g_assert_cmpint (scan_at_once (&scan, text->str, text->len, &error), ==, -1);
  g_assert_cmpuint (strlen (error->message), <, 1000);
}

/* M3 */

static void
test_one_byte_at_a_time (void)
{
  static const char text[] = "{\"return\": {\"status\": \"r\\u00fcnn\xc3\xafng \\ud83d\\ude00\", \"n\": [-1.50e+3, true, null]}, \"id\": 7}";
  gsize length = sizeof text - 1;
  AqmpJsonScan scan;
  gsize i;

  aqmp_json_scan_init (&scan, names);
  for (i = 0; i < length; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (scan_prefix (&scan, text, i, FALSE, &error), ==, 0);
      g_assert_no_error (error);
    }
  g_assert_cmpint (scan_prefix (&scan, text, length, FALSE, NULL), ==, length);
  g_assert_cmpint (scan_prefix (&scan, text, length, FALSE, NULL), ==, length);
  assert_member (&scan, ID, text, "7");
  assert_member (&scan, RETURN, text,
                 "{\"status\": \"r\\u00fcnn\xc3\xafng \\ud83d\\ude00\", \"n\": [-1.50e+3, true, null]}");
}

static void
test_several_values (void)
{
  static const char text[] = "{\"id\": 1}\r\n{\"id\": 2}{\"id\":\n3}\n\n [4] 5 \"six\"true";
  static const gsize lengths[] = { 9, 9, 9, 3, 1, 5, 4 };
  gsize position = 0, i;

  for (i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      AqmpJsonScan scan;
      gsize length = sizeof text - 1 - position;
      gsize space = aqmp_json_skip_space ((const guint8 *) text + position, length);

      position += space;
      g_assert_cmpint (scan_at_once (&scan, text + position, length - space, NULL), ==, lengths[i]);
      position += lengths[i];
    }
  g_assert_cmpuint (position, ==, sizeof text - 1);
}

static void
test_top_level_number (void)
{
  AqmpJsonScan scan;

  aqmp_json_scan_init (&scan, NULL);
  g_assert_cmpint (scan_prefix (&scan, "12", 2, FALSE, NULL), ==, 0);
  g_assert_cmpint (scan_prefix (&scan, "123", 3, FALSE, NULL), ==, 0);
  g_assert_cmpint (scan_prefix (&scan, "123", 3, TRUE, NULL), ==, 3);
  g_assert_cmpint (scan.kind, ==, 0);

  aqmp_json_scan_init (&scan, NULL);
  g_assert_cmpint (scan_prefix (&scan, "123\n", 4, FALSE, NULL), ==, 3);
  aqmp_json_scan_init (&scan, NULL);
  g_assert_cmpint (scan_prefix (&scan, "4{}", 3, FALSE, NULL), ==, 1);
  aqmp_json_scan_init (&scan, NULL);
  g_assert_cmpint (scan_prefix (&scan, "4.", 2, TRUE, NULL), ==, 0);
}

static void
test_incomplete_at_eof (void)
{
  static const char text[] = "{\"a\": [1, \"\\u00e9\xc3\xa9\", true]}";
  gsize i;

  for (i = 0; i < sizeof text - 1; i++)
    {
      AqmpJsonScan scan;
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (scan_at_once (&scan, text, i, &error), ==, 0);
      g_assert_no_error (error);
      g_assert_false (aqmp_json_validate (&scan, NULL, (const guint8 *) text, i, &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
    }
}

/* Bytes looked at are counted by time: a quadratic scanner would take minutes here. */
static void
test_linear (gconstpointer data)
{
  const char *filler = data;
  gsize size = 400000;
  g_autoptr (GString) text = g_string_sized_new (size + 32);
  AqmpJsonScan scan;
  gsize seen;

  g_string_append (text, strchr (filler, '9') != NULL ? "[" : *filler == ',' ? "[0" : "{\"");
  while (text->len < size)
    g_string_append (text, filler);

  aqmp_json_scan_init (&scan, names);
  for (seen = 1; seen <= text->len; seen++)
    g_assert_cmpint (aqmp_json_scan (&scan, (const guint8 *) text->str, seen, FALSE, NULL), ==, 0);
}

/* M4 */

static void
append_repeated (GString    *text,
                 const char *piece,
                 gsize       n)
{
  while (n-- > 0)
    g_string_append (text, piece);
}

static void
test_depth (gconstpointer data)
{
  gboolean objects = GPOINTER_TO_INT (data);
  g_autoptr (GString) text = g_string_new (NULL);
  AqmpJsonScan scan;
  g_autoptr (GError) error = NULL;

  append_repeated (text, objects ? "{\"a\":" : "[", 1024);
  g_string_append_c (text, '0');
  append_repeated (text, objects ? "}" : "]", 1024);
  g_assert_cmpint (scan_at_once (&scan, text->str, text->len, &error), ==, text->len);
  g_assert_cmpint (scan_in_steps (&scan, text->str, text->len, 1, &error), ==, text->len);
  g_assert_no_error (error);

  g_string_prepend (text, objects ? "{\"a\":" : "[");
  g_string_append_c (text, objects ? '}' : ']');
  g_assert_cmpint (scan_at_once (&scan, text->str, text->len, &error), ==, -1);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
  g_assert_nonnull (strstr (error->message, "nested too deeply"));
}

static void
test_depth_mixed (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  AqmpJsonScan scan;
  gsize i;

  for (i = 0; i < 1024; i++)
    g_string_append (text, i % 3 == 0 ? "{\"a\":" : "[");
  g_string_append (text, "1");
  for (i = 1024; i-- > 0;)
    g_string_append (text, i % 3 == 0 ? ",\"b\":2}" : ",3]");
  g_assert_cmpint (scan_at_once (&scan, text->str, text->len, NULL), ==, text->len);
  g_assert_cmpint (scan_in_steps (&scan, text->str, text->len, 7, NULL), ==, text->len);
}

static void
test_depth_is_not_breadth (void)
{
  g_autoptr (GString) text = g_string_new ("[");
  AqmpJsonScan scan;

  append_repeated (text, "[{}],", 5000);
  g_string_append (text, "0]");
  g_assert_cmpint (scan_at_once (&scan, text->str, text->len, NULL), ==, text->len);
}

/* Results */

static void
test_kind (void)
{
  static const struct { const char *text; char kind; } cases[] = {
    { "{}", '{' }, { "[]", '[' }, { "\"\"", '"' }, { "true", 't' }, { "false", 'f' }, { "null", 'n' },
    { "0", 0 }, { "-1", 0 }, { "7 ", 0 },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AqmpJsonScan scan;

      g_assert_cmpint (scan_at_once (&scan, cases[i].text, strlen (cases[i].text), NULL), >, 0);
      g_assert_cmpint (scan.kind, ==, cases[i].kind);
    }
}

static void
test_has_nul (void)
{
  static const struct { const char *text; gboolean has_nul; } cases[] = {
    { "\"\\u0000\"", TRUE }, { "{\"a\\u0000\":1}", TRUE }, { "[[\"abc\\u0000def\"],1]", TRUE },
    { "\"\\\\u0000\"", FALSE }, { "\"\\u0001\"", FALSE }, { "0", FALSE },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AqmpJsonScan scan;

      g_assert_cmpint (scan_in_steps (&scan, cases[i].text, strlen (cases[i].text), 1, NULL), >, 0);
      g_assert_cmpint (scan.has_nul, ==, cases[i].has_nul);
    }
}

static void
test_has_escape (void)
{
  static const struct { const char *text; gboolean has_escape; } cases[] = {
    { "\"\\n\"", TRUE }, { "{\"a\\/\":1,\"b\":2}", TRUE }, { "[[\"some text that is longer\\tthan one block\"],1]", TRUE },
    { "{\"a\":\"\xc3\xa9\"}", FALSE }, { "0", FALSE },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AqmpJsonScan scan;

      g_assert_cmpint (scan_at_once (&scan, cases[i].text, strlen (cases[i].text), NULL), >, 0);
      g_assert_cmpint (scan.has_escape, ==, cases[i].has_escape);
    }
}

static void
test_has_huge_number (void)
{
  g_autofree char *digits = g_strnfill (400, '9');
  g_autofree char *many_digits = g_strdup_printf ("[%s]", digits);
  g_autofree char *small = g_strdup_printf ("[0.%s%se-17]", digits, digits);
  g_autofree char *scaled = g_strdup_printf ("[%se-200]", digits);
  struct { const char *text; gboolean huge; } cases[] = {
    { "[1e400]", TRUE }, { "[-1e400]", TRUE }, { "[1.0E+00309]", TRUE }, { "[1.7976931348623159e308]", TRUE },
    { many_digits, TRUE }, { "{\"a\":1e999999999999999999999}", TRUE },
    { "[1.7976931348623157e308]", FALSE }, { "[1e-400]", FALSE }, { "[1e99]", FALSE }, { small, FALSE },
    { scaled, FALSE }, { "[0e400]", FALSE }, { "[18446744073709551616]", FALSE }, { "[\"1e400\"]", FALSE },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AqmpJsonScan scan;

      g_assert_cmpint (scan_at_once (&scan, cases[i].text, strlen (cases[i].text), NULL), >, 0);
      g_assert_cmpint (scan.has_huge_number, ==, cases[i].huge);
      g_assert_cmpint (scan_in_steps (&scan, cases[i].text, strlen (cases[i].text), 1, NULL), >, 0);
      g_assert_cmpint (scan.has_huge_number, ==, cases[i].huge);
    }
}

static void
test_members (void)
{
  static const char text[] =
    "{\"return\" : {\"id\": 1, \"error\": [\"event\"]} , \"x\": {\"event\": 3},\"id\":-12.5 ,\"event\":\"a\\\"b\"}";
  AqmpJsonScan scan;

  g_assert_cmpint (scan_at_once (&scan, text, sizeof text - 1, NULL), ==, sizeof text - 1);
  assert_member (&scan, RETURN, text, "{\"id\": 1, \"error\": [\"event\"]}");
  assert_member (&scan, ERROR, text, NULL);
  assert_member (&scan, EVENT, text, "\"a\\\"b\"");
  assert_member (&scan, ID, text, "-12.5");
  g_assert_false (scan.has_duplicate);
}

static void
test_member_names_are_decoded (void)
{
  static const char text[] = "{\"\\u0065vent\": 1, \"\\u00e9\": 2, \"i\\u0064\": 3, \"retur\\u006E\": 4, \"err\\/or\": 5}";
  static const char raw[] = "{\"\xc3\xa9\": 2}";
  AqmpJsonScan scan;

  g_assert_cmpint (scan_in_steps (&scan, text, sizeof text - 1, 1, NULL), ==, sizeof text - 1);
  assert_member (&scan, EVENT, text, "1");
  assert_member (&scan, E_ACUTE, text, "2");
  assert_member (&scan, ID, text, "3");
  assert_member (&scan, RETURN, text, "4");
  assert_member (&scan, ERROR, text, NULL);

  g_assert_cmpint (scan_at_once (&scan, raw, sizeof raw - 1, NULL), ==, sizeof raw - 1);
  assert_member (&scan, E_ACUTE, raw, "2");
}

static void
test_member_names_are_whole (void)
{
  static const char text[] = "{\"i\": 1, \"idd\": 2, \"\": 3, \"id\\u0000\": 4, \"ID\": 5, \"returned\": 6, \"\\u0065ventt\": 7, "
                             "\"\\u0065ven\": 8}";
  AqmpJsonScan scan;
  guint i;

  g_assert_cmpint (scan_at_once (&scan, text, sizeof text - 1, NULL), ==, sizeof text - 1);
  for (i = 0; i < AQMP_JSON_MAX_NAMES; i++)
    assert_member (&scan, i, text, NULL);
}

static void
test_member_of_array_is_none (void)
{
  static const char text[] = "[\"id\", {\"id\": 1}]";
  AqmpJsonScan scan;

  g_assert_cmpint (scan_at_once (&scan, text, sizeof text - 1, NULL), ==, sizeof text - 1);
  assert_member (&scan, ID, text, NULL);
}

static void
test_duplicates (void)
{
  static const char text[] = "{\"id\": 1, \"\\u0069d\": true}";
  static const char others[] = "{\"a\": 1, \"a\": 2, \"id\": 3, \"b\": {\"id\": 4, \"id\": 5}}";
  AqmpJsonScan scan;

  g_assert_cmpint (scan_in_steps (&scan, text, sizeof text - 1, 1, NULL), ==, sizeof text - 1);
  assert_member (&scan, ID, text, "true");
  g_assert_true (scan.has_duplicate);

  g_assert_cmpint (scan_at_once (&scan, others, sizeof others - 1, NULL), ==, sizeof others - 1);
  assert_member (&scan, ID, others, "3");
  g_assert_false (scan.has_duplicate);
}

static void
test_validate (void)
{
  static const char text[] = "\r\n\t {\"id\": 1} \r\n";
  AqmpJsonScan scan;
  g_autoptr (GError) error = NULL;

  g_assert_true (aqmp_json_validate (&scan, names, (const guint8 *) text, sizeof text - 1, &error));
  g_assert_no_error (error);
  assert_member (&scan, ID, text, "1");

  g_assert_false (aqmp_json_validate (&scan, names, (const guint8 *) "{} {}", 5, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
  g_clear_error (&error);
  g_assert_false (aqmp_json_validate (&scan, names, (const guint8 *) "  ", 2, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
  g_clear_error (&error);
  g_assert_false (aqmp_json_validate (&scan, names, NULL, 0, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
}

static void
test_skip_space (void)
{
  const char *text = "            \r\n\t x";

  g_assert_cmpuint (aqmp_json_skip_space ((const guint8 *) text, strlen (text)), ==, strlen (text) - 1);
  g_assert_cmpuint (aqmp_json_skip_space ((const guint8 *) text, 12), ==, 12);
  g_assert_cmpuint (aqmp_json_skip_space ((const guint8 *) "x ", 2), ==, 0);
  g_assert_cmpuint (aqmp_json_skip_space (NULL, 0), ==, 0);
}

/* UTF-8: what is done by the block, against what the standard says byte by byte (Unicode 15, table 3-7) */

static gsize
reference_length (const guint8 *p)
{
  static const struct { guint8 first, last, lowest, highest; gsize length; } rows[] = {
    { 0x20, 0x7f, 0, 0, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
    { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
  };
  gsize row, i;

  for (row = 0; row < G_N_ELEMENTS (rows); row++)
    {
      if (p[0] < rows[row].first || p[0] > rows[row].last)
        continue;
      if (rows[row].length > 1 && (p[1] < rows[row].lowest || p[1] > rows[row].highest))
        return 0;
      for (i = 2; i < rows[row].length; i++)
        {
          if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
        }
      return rows[row].length;
    }

  return 0;
}

/* @text is a string without escapes, with a quote as last byte: the length up to its closing quote, or -1 and @position. */
static gssize
reference_scan (const guint8 *text,
                gsize        *position)
{
  gsize i, length;

  for (i = 1; text[i] != '"'; i += length)
    {
      length = reference_length (text + i);
      if (length == 0)
        {
          *position = i;
          return -1;
        }
    }

  *position = i + 1;
  return i + 1;
}

static void
assert_as_reference (const AqmpJsonScan *scan,
                     gssize              result,
                     const guint8       *text)
{
  gsize position;

  g_assert_cmpint (result, ==, reference_scan (text, &position));
  g_assert_cmpuint (scan->position, ==, position);
}

static void
assert_scanned_in_two (const guint8 *text,
                       gsize         length)
{
  gsize split;

  for (split = 1; split < length; split++)
    {
      AqmpJsonScan scan;
      gssize result;

      aqmp_json_scan_init (&scan, NULL);
      result = scan_prefix (&scan, (const char *) text, split, FALSE, NULL);
      if (result == 0)
        result = scan_prefix (&scan, (const char *) text, length, FALSE, NULL);
      assert_as_reference (&scan, result, text);
    }
}

/* Characters of @filler, ASCII for what is left over, @sequence, and the same behind it. */
static void
assert_sequence (const char   *filler,
                 gsize         before,
                 const guint8 *sequence,
                 gsize         sequence_length,
                 gsize         after,
                 gboolean      in_two)
{
  guint8 text[128];
  gsize filler_length = strlen (filler);
  gsize length = 0, end;
  AqmpJsonScan scan;

  text[length++] = '"';
  for (end = 1 + before; length + filler_length <= end; length += filler_length)
    memcpy (text + length, filler, filler_length);
  while (length < end)
    text[length++] = 'x';
  memcpy (text + length, sequence, sequence_length);
  length += sequence_length;
  for (end = length + after; length + filler_length <= end; length += filler_length)
    memcpy (text + length, filler, filler_length);
  while (length < end)
    text[length++] = 'x';
  text[length++] = '"';

  aqmp_json_scan_init (&scan, NULL);
  assert_as_reference (&scan, scan_prefix (&scan, (const char *) text, length, FALSE, NULL), text);
  if (in_two)
    assert_scanned_in_two (text, length);
}

static const char * const fillers[] = { "x", "\xd1\x8f", "\xe5\x9e\x8b", "\xf0\x9f\x99\x82" };

/* Every first byte with every second one. */
static void
test_utf8_pairs (void)
{
  guint first, second;
  gsize before;

  for (first = 0; first < 256; first++)
    {
      for (second = first % get_step (13); second < 256; second += get_step (13))
        {
          const guint8 sequence[] = { first, second };

          if (first == '\\' || second == '\\')
            continue;
          for (before = 0; before <= 17; before += get_step (7))
            assert_sequence ("x", before, sequence, 2, 18, FALSE);
        }
    }
}

/* The limits of each byte, at each place in a block and each distance from the end, also cut anywhere. */
static void
test_utf8_limits (gconstpointer data)
{
  static const guint8 seconds[] = { '"', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0 };
  static const guint8 others[] = { '"', 0x7f, 0x80, 0xbf, 0xc0, 0xe5 };
  const char *filler = data;
  guint first;
  gsize i, j, k, before, after;

  for (first = 0xbf; first < 256; first++)
    {
      for (i = 0; i < G_N_ELEMENTS (seconds); i++)
        {
          for (j = 0; j < G_N_ELEMENTS (others); j++)
            {
              for (k = 0; k < (first < 0xf0 ? 1 : G_N_ELEMENTS (others)); k++)
                {
                  const guint8 sequence[] = { first, seconds[i], others[j], others[k] };
                  gsize length = first < 0xf0 ? 3 : 4;

                  for (before = 0; before <= 17; before += get_step (7))
                    assert_sequence (filler, before, sequence, length, (i + j + k + before) % 20, FALSE);
                  /* Those that begin a kind, or end one. */
                  if (first < 0xf0 && first != 0xc1 && first != 0xc2 && first != 0xdf && first != 0xe0 && first != 0xed && first != 0xef)
                    continue;
                  for (after = 0; after <= 18; after += get_step (7))
                    assert_sequence (filler, (i + j + k + after) % 18, sequence, length, after, (j + k + after) % 8 == 0);
                }
            }
        }
    }
}

/* Whole characters, at all distances from each other and from the end. */
static void
test_utf8_lengths (gconstpointer data)
{
  const char *filler = data;
  gsize i, before, after;

  for (i = 0; i < G_N_ELEMENTS (fillers); i++)
    {
      for (before = 0; before <= 36; before += get_step (7))
        {
          for (after = 0; after <= 36; after++)
            assert_sequence (filler, before, (const guint8 *) fillers[i], strlen (fillers[i]), after, TRUE);
        }
    }
}

/* Any mixture, with a byte changed in most. */
static void
test_utf8_mixtures (void)
{
  static const struct { gunichar lowest, end; } kinds[] = {
    { 0x23, 0x5c }, { 0x80, 0x800 }, { 0x800, 0xd800 }, { 0xe000, 0x10000 }, { 0x10000, 0x110000 },
  };
  GRand *random = g_rand_new_with_seed (20261122);
  guint n;

  for (n = 0; n < 200000; n += get_step (13))
    {
      g_autoptr (GString) text = g_string_new ("\"");
      gsize length = g_rand_int_range (random, 0, 60);
      AqmpJsonScan scan;

      while (text->len < length)
        {
          guint kind = g_rand_int_range (random, 0, G_N_ELEMENTS (kinds));

          g_string_append_unichar (text, g_rand_int_range (random, kinds[kind].lowest, kinds[kind].end));
        }
      if (n % 4 != 0 && text->len > 1)
        text->str[g_rand_int_range (random, 1, text->len)] ^= 1 << g_rand_int_range (random, 0, 8);
      g_strdelimit (text->str, "\\", 'x');
      g_string_append_c (text, '"');

      aqmp_json_scan_init (&scan, NULL);
      assert_as_reference (&scan, scan_prefix (&scan, text->str, text->len, FALSE, NULL), (const guint8 *) text->str);
    }

  g_rand_free (random);
}

/* What comes byte by byte does not go the short ways: the results are the same. */
static void
test_short_ways (gconstpointer data)
{
  static const char pieces[] = " :,\"1\n}]\x01\xc3";
  const char *start = data;
  gsize n_pieces = sizeof pieces - 1;
  guint n, rest;
  gsize i;

  for (n = 0; n < n_pieces * n_pieces * n_pieces * n_pieces * n_pieces; n += get_step (13))
    {
      g_autoptr (GString) text = g_string_new (start);
      AqmpJsonScan whole, steps;
      gssize result;

      for (i = 0, rest = n; i < 5; i++, rest /= n_pieces)
        g_string_append_c (text, pieces[rest % n_pieces]);

      result = scan_at_once (&whole, text->str, text->len, NULL);
      g_assert_cmpint (scan_in_steps (&steps, text->str, text->len, 1, NULL), ==, result);
      g_assert_cmpuint (whole.position, ==, steps.position);
      assert_same_results (&whole, &steps);
    }
}

static void
add_cases (const char    *format,
           const Case    *cases,
           gsize          n_cases,
           GTestDataFunc  func)
{
  gsize i;

  for (i = 0; i < n_cases; i++)
    {
      g_autofree char *path = g_strconcat (format, cases[i].path, NULL);

      g_test_add_data_func (path, &cases[i], func);
    }
}

int
main (int   argc,
      char *argv[])
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  add_cases ("/json/M5/valid/", valid_cases, G_N_ELEMENTS (valid_cases), test_valid);
  add_cases ("/json/M5/valid-nested/", valid_cases, G_N_ELEMENTS (valid_cases), test_valid_nested);
  add_cases ("/json/M5/refused/", invalid_cases, G_N_ELEMENTS (invalid_cases), test_invalid);
  g_test_add_func ("/json/M5/failure-stays", test_failure_stays);
  g_test_add_func ("/json/M5/message-says-what-and-where", test_message);
  g_test_add_func ("/json/M5/message-is-bounded", test_message_is_bounded);

  g_test_add_func ("/json/M3/one-byte-at-a-time", test_one_byte_at_a_time);
  g_test_add_func ("/json/M3/several-values", test_several_values);
  g_test_add_func ("/json/M3/top-level-number", test_top_level_number);
  g_test_add_func ("/json/M3/incomplete-at-eof", test_incomplete_at_eof);
  g_test_add_data_func ("/json/M3/linear/name", "abc", test_linear);
  g_test_add_data_func ("/json/M3/linear/escapes", "\\ud83d\\ude00", test_linear);
  g_test_add_data_func ("/json/M3/linear/utf8", "\xf0\x9f\x98\x80", test_linear);
  g_test_add_data_func ("/json/M3/linear/number", "99", test_linear);
  g_test_add_data_func ("/json/M3/linear/elements", ",[ null , {} ] ", test_linear);

  g_test_add_data_func ("/json/M4/depth-1024/arrays", GINT_TO_POINTER (FALSE), test_depth);
  g_test_add_data_func ("/json/M4/depth-1024/objects", GINT_TO_POINTER (TRUE), test_depth);
  g_test_add_func ("/json/M4/depth-1024/mixed", test_depth_mixed);
  g_test_add_func ("/json/M4/depth-is-not-breadth", test_depth_is_not_breadth);

  g_test_add_func ("/json/scan/kind", test_kind);
  g_test_add_func ("/json/scan/has-nul", test_has_nul);
  g_test_add_func ("/json/scan/has-escape", test_has_escape);
  g_test_add_func ("/json/scan/has-huge-number", test_has_huge_number);
  g_test_add_func ("/json/scan/members", test_members);
  g_test_add_func ("/json/scan/member-names-are-decoded", test_member_names_are_decoded);
  g_test_add_func ("/json/scan/member-names-are-whole", test_member_names_are_whole);
  g_test_add_func ("/json/scan/member-of-array-is-none", test_member_of_array_is_none);
  g_test_add_func ("/json/scan/duplicates", test_duplicates);
  g_test_add_func ("/json/scan/validate", test_validate);
  g_test_add_func ("/json/scan/skip-space", test_skip_space);

  for (i = 0; i < G_N_ELEMENTS (fillers); i++)
    {
      g_autofree char *limits = g_strdup_printf ("/json/utf8/limits/%zu", i + 1);
      g_autofree char *lengths = g_strdup_printf ("/json/utf8/lengths/%zu", i + 1);

      g_test_add_data_func (limits, fillers[i], test_utf8_limits);
      g_test_add_data_func (lengths, fillers[i], test_utf8_lengths);
    }
  g_test_add_func ("/json/utf8/pairs", test_utf8_pairs);
  g_test_add_func ("/json/utf8/mixtures", test_utf8_mixtures);
  g_test_add_data_func ("/json/scan/short-ways/name", "{\"id\"", test_short_ways);
  g_test_add_data_func ("/json/scan/short-ways/member", "{\"id\":1", test_short_ways);
  g_test_add_data_func ("/json/scan/short-ways/element", "[1", test_short_ways);

  return g_test_run ();
}
