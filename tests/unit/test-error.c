/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <glib.h>
#include <string.h>

#include "aqmp-glib/aqmp-error-private.h"

#define REPLY "{\"id\": 1, \"error\": {\"class\": \"X\", \"desc\": \"y\"}}"

typedef struct
{
  const char   *class_name;
  AqmpExecError code;
} ClassCase;

static const ClassCase class_cases[] =
{
  { "GenericError", AQMP_EXEC_ERROR_GENERIC_ERROR },
  { "CommandNotFound", AQMP_EXEC_ERROR_COMMAND_NOT_FOUND },
  { "DeviceNotActive", AQMP_EXEC_ERROR_DEVICE_NOT_ACTIVE },
  { "DeviceNotFound", AQMP_EXEC_ERROR_DEVICE_NOT_FOUND },
  { "KVMMissingCap", AQMP_EXEC_ERROR_KVM_MISSING_CAP },
  { "DeviceEncrypted", AQMP_EXEC_ERROR_OTHER },
  { "genericerror", AQMP_EXEC_ERROR_OTHER },
  { "Other", AQMP_EXEC_ERROR_OTHER },
  { "", AQMP_EXEC_ERROR_OTHER },
};

static void
test_code_from_class (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (class_cases); i++)
    {
      g_autoptr (GError) error = aqmp_exec_error_new (class_cases[i].class_name, "no", NULL);

      g_assert_error (error, AQMP_EXEC_ERROR, (gint) class_cases[i].code);
      g_assert_cmpstr (aqmp_exec_error_get_class (error), ==, class_cases[i].class_name);
      g_assert_null (aqmp_exec_error_get_reply (error));
    }
}

/* What a binding does: domain, code and message are all it keeps. */
static void
test_class_from_code (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (class_cases); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (AQMP_EXEC_ERROR, (gint) class_cases[i].code, "no");
      const char *expected = class_cases[i].code == AQMP_EXEC_ERROR_OTHER ? "Other" : class_cases[i].class_name;

      g_assert_cmpstr (aqmp_exec_error_get_class (error), ==, expected);
      g_assert_null (aqmp_exec_error_get_reply (error));
    }
}

static void
test_unknown_code (void)
{
  g_autoptr (GError) above = g_error_new_literal (AQMP_EXEC_ERROR, 77, "no");
  g_autoptr (GError) below = g_error_new_literal (AQMP_EXEC_ERROR, -1, "no");

  g_assert_cmpstr (aqmp_exec_error_get_class (above), ==, "Other");
  g_assert_cmpstr (aqmp_exec_error_get_class (below), ==, "Other");
}

static void
test_desc_verbatim (void)
{
  const char *desc = "  100 % of %s\n“ü” \t";
  g_autoptr (GError) error = aqmp_exec_error_new ("GenericError", desc, NULL);

  g_assert_cmpstr (error->message, ==, desc);
}

static void
test_reply (void)
{
  g_autoptr (GBytes) reply = g_bytes_new_static (REPLY, strlen (REPLY));
  g_autoptr (GError) error = aqmp_exec_error_new ("GenericError", "no", reply);
  g_autoptr (GBytes) got = aqmp_exec_error_get_reply (error);

  g_assert_true (got == reply);
}

static void
test_copy (void)
{
  g_autoptr (GBytes) reply = g_bytes_new_static (REPLY, strlen (REPLY));
  g_autoptr (GError) error = aqmp_exec_error_new ("DeviceEncrypted", "no", reply);
  g_autoptr (GError) copy = g_error_copy (error);
  g_autoptr (GError) empty = aqmp_exec_error_new ("GenericError", "no", NULL);
  g_autoptr (GError) empty_copy = g_error_copy (empty);
  g_autoptr (GBytes) got = NULL;

  g_clear_error (&error);
  got = aqmp_exec_error_get_reply (copy);
  g_assert_true (got == reply);
  g_assert_cmpstr (aqmp_exec_error_get_class (copy), ==, "DeviceEncrypted");
  g_assert_null (aqmp_exec_error_get_reply (empty_copy));
}

static void
test_other_domain (void)
{
  g_autoptr (GError) foreign = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "no");
  g_autoptr (GError) ours = g_error_new_literal (AQMP_ERROR, AQMP_ERROR_FAILED, "no");

  g_assert_null (aqmp_exec_error_get_class (foreign));
  g_assert_null (aqmp_exec_error_get_reply (foreign));
  g_assert_null (aqmp_exec_error_get_class (ours));
  g_assert_null (aqmp_exec_error_get_reply (ours));
  g_assert_null (aqmp_exec_error_get_class (NULL));
  g_assert_null (aqmp_exec_error_get_reply (NULL));
  g_assert_cmpuint (AQMP_ERROR, !=, AQMP_EXEC_ERROR);
}

/* The domain was not asked for before: an error with no private data in front of it would be read out of bounds. */
static void
test_domain_by_name (void)
{
  if (g_test_subprocess ())
    {
      GQuark domain = g_quark_try_string ("AqmpExecError");
      g_autoptr (GError) error = NULL;

      g_assert_cmpuint (domain, !=, 0);
      error = g_error_new_literal (domain, AQMP_EXEC_ERROR_OTHER, "no");
      g_assert_cmpstr (aqmp_exec_error_get_class (error), ==, "Other");
      return;
    }

  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

static void
assert_excerpt (const char *data,
                gsize       length,
                const char *expected)
{
  g_autofree char *got = aqmp_excerpt (data, length);

  g_assert_cmpstr (got, ==, expected);
  g_assert_true (g_utf8_validate (got, -1, NULL));
}

static void
test_excerpt_plain (void)
{
  assert_excerpt ("{\"a\\n\": \"ü€🙂\"}", strlen ("{\"a\\n\": \"ü€🙂\"}"), "{\"a\\n\": \"ü€🙂\"}");
  assert_excerpt ("", 0, "");
  assert_excerpt (NULL, 0, "");
}

static void
test_excerpt_escapes (void)
{
  assert_excerpt ("a\nb\rc\td", 7, "a\\nb\\rc\\td");
  assert_excerpt ("a\0b\033[2J\177", 8, "a\\x00b\\x1b[2J\\x7f");
  /* a C1 control, a right-to-left override, a line separator, a private character, a tag */
  assert_excerpt ("\xc2\x9b|\xe2\x80\xae|\xe2\x80\xa8|\xee\x80\x80|\xf3\xa0\x80\x81", 19,
                  "\\u009b|\\u202e|\\u2028|\\ue000|\\U000e0001");
}

static void
test_excerpt_invalid_utf8 (void)
{
  assert_excerpt ("\xff" "a\xc0\xaf\xed\xa0\x80", 7, "\\xffa\\xc0\\xaf\\xed\\xa0\\x80");
  /* cut inside a character */
  assert_excerpt ("a\xe2\x82", 3, "a\\xe2\\x82");
}

static void
test_excerpt_length (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) wide = g_string_new (NULL);
  g_autofree char *whole = NULL;
  g_autofree char *cut = NULL;
  g_autofree char *cut_wide = NULL;
  g_autofree char *cut_escapes = NULL;
  guint8 zeros[100] = { 0 };

  for (int i = 0; i < 81; i++)
    {
      g_string_append_c (text, 'x');
      g_string_append (wide, "€");
    }

  whole = aqmp_excerpt (text->str, 80);
  g_assert_cmpuint (strlen (whole), ==, 80);

  cut = aqmp_excerpt (text->str, 81);
  g_assert_cmpint (g_utf8_strlen (cut, -1), ==, 81);
  g_assert_true (g_str_has_suffix (cut, "x…"));

  cut_wide = aqmp_excerpt (wide->str, wide->len);
  g_assert_cmpint (g_utf8_strlen (cut_wide, -1), ==, 81);
  g_assert_true (g_str_has_suffix (cut_wide, "€…"));

  cut_escapes = aqmp_excerpt (zeros, sizeof zeros);
  g_assert_cmpint (g_utf8_strlen (cut_escapes, -1), ==, 81);
  g_assert_true (g_str_has_suffix (cut_escapes, "\\x00…"));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/error/Q7/code-from-class", test_code_from_class);
  g_test_add_func ("/error/Q7/class-from-code", test_class_from_code);
  g_test_add_func ("/error/Q7/class-of-an-unknown-code", test_unknown_code);
  g_test_add_func ("/error/Q7/message-is-desc-verbatim", test_desc_verbatim);
  g_test_add_func ("/error/Q7/reply-is-kept", test_reply);
  g_test_add_func ("/error/Q7/copy-keeps-class-and-reply", test_copy);
  g_test_add_func ("/error/Q7/null-and-other-domains", test_other_domain);
  g_test_add_func ("/error/Q7/domain-known-before-any-call", test_domain_by_name);
  g_test_add_func ("/error/excerpt/printable-stays", test_excerpt_plain);
  g_test_add_func ("/error/excerpt/control-characters-escaped", test_excerpt_escapes);
  g_test_add_func ("/error/excerpt/invalid-utf8-escaped", test_excerpt_invalid_utf8);
  g_test_add_func ("/error/excerpt/cut-at-80-characters", test_excerpt_length);

  return g_test_run ();
}
