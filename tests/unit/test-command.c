/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Commands as text: those that the caller wrote, and those that are put together. */

#include "aqmp-glib/aqmp-command-private.h"

#include <math.h>
#include <string.h>

#include "aqmp-glib/aqmp-error.h"

/* What is sent for @message. */
static char *
append (const char *message,
        guint64     serial)
{
  g_autoptr (GString) out = g_string_new ("before");
  g_autoptr (GError) error = NULL;
  AqmpCommand command;

  aqmp_command_parse (&command, message, &error);
  g_assert_no_error (error);
  aqmp_command_append (&command, serial, out);
  aqmp_command_clear (&command);
  g_assert_true (g_str_has_prefix (out->str, "before"));
  return g_strdup (out->str + strlen ("before"));
}

static void
test_id_added (void)
{
  g_autofree char *plain = append ("{\"execute\":\"a\"}", 1);
  g_autofree char *spaced = append ("{ \"execute\" : \"a\" }", 18446744073709551615u);
  g_autofree char *nested = append ("{\"arguments\": {\"id\": 1}, \"execute\": \"a\"}", 2);

  g_assert_cmpstr (plain, ==, "{\"id\":\"aqmp-1\",\"execute\":\"a\"}");
  g_assert_cmpstr (spaced, ==, "{\"id\":\"aqmp-18446744073709551615\", \"execute\" : \"a\" }");
  g_assert_cmpstr (nested, ==, "{\"id\":\"aqmp-2\",\"arguments\": {\"id\": 1}, \"execute\": \"a\"}");
}

static void
test_own_id_stays (void)
{
  g_autofree char *string = append ("{\"id\": \"\\u0061\", \"execute\": \"a\"}", 1);
  g_autofree char *integer = append ("{\"execute\": \"a\", \"id\": -0}", 1);
  g_autofree char *escaped = append ("{\"execute\": \"a\", \"\\u0069d\": 7}", 1);

  g_assert_cmpstr (string, ==, "{\"id\": \"\\u0061\", \"execute\": \"a\"}");
  g_assert_cmpstr (integer, ==, "{\"execute\": \"a\", \"id\": -0}");
  g_assert_cmpstr (escaped, ==, "{\"execute\": \"a\", \"\\u0069d\": 7}");
}

static void
test_space_stripped (void)
{
  g_autofree char *text = append ("\r\n\t {\"execute\": \"a\", \"id\": 1} \n\n", 1);

  g_assert_cmpstr (text, ==, "{\"execute\": \"a\", \"id\": 1}");
}

static void
test_out_of_band (void)
{
  AqmpCommand in_band;
  AqmpCommand out_of_band;

  g_assert_true (aqmp_command_parse (&in_band, "{\"execute\": \"a\"}", NULL));
  g_assert_false (in_band.out_of_band);
  g_assert_false (in_band.has_id);
  aqmp_command_clear (&in_band);
  g_assert_true (aqmp_command_parse (&out_of_band, "{\"\\u0065xec-oob\": \"a\", \"id\": 1}", NULL));
  g_assert_true (out_of_band.out_of_band);
  g_assert_true (out_of_band.has_id);
  aqmp_command_clear (&out_of_band);
}

static void
test_quits (void)
{
  static const struct
  {
    const char *message;
    gboolean    quits;
  } cases[] = {
    { "{\"execute\": \"quit\"}", TRUE },
    { "{\"execute\": \"\\u0071uit\"}", TRUE },
    { "{\"execute\": \"query-quit\"}", FALSE },
    { "{\"execute\": \"Quit\"}", FALSE },
    { "{\"execute\": \"a\", \"id\": \"quit\"}", FALSE },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AqmpCommand command;

      g_assert_true (aqmp_command_parse (&command, cases[i].message, NULL));
      g_assert_cmpint (command.quits, ==, cases[i].quits);
      aqmp_command_clear (&command);
    }
}

static void
test_refused (void)
{
  static const char * const messages[] = {
    "", "  ", "null", "[]", "\"quit\"", "{}", "{\"exec\": \"a\"}", "{\"execute\": null}", "{\"execute\": {}}",
    "{\"execute\": \"a\\u0000b\"}", "{\"execute\": \"a\", \"exec-oob\": \"a\"}", "{\"execute\": \"a\", \"execute\": \"a\"}",
    "{\"execute\": \"a\", \"id\": 1, \"id\": 1}", "{\"execute\": \"a\", \"id\": null}", "{\"execute\": \"a\", \"id\": 1.5}",
    "{\"execute\": \"a\", \"id\": []}", "{\"execute\": \"a\", \"id\": \"aqmp-1\"}", "{\"execute\": \"a\", \"id\": \"\\u0061qmp-\"}",
    "{\"execute\": \"a\", \"arguments\": {\"x\": -1e999}}", "{\"execute\": \"a\"", "{\"execute\": \"a\"}}",
    "{\"execute\": \"a\"}{}", "{\"execute\": \"a\",}", "{\"execute\": \"\xff\"}", "{'execute': 'a'}",
    "{\"execute\": \"a\"} // no",
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (messages); i++)
    {
      g_autoptr (GError) error = NULL;
      AqmpCommand command;

      if (aqmp_command_parse (&command, messages[i], &error))
        g_error ("%s was taken for a command", messages[i]);
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
      g_assert_cmpint (g_utf8_strlen (error->message, -1), <, 300);
    }
}

static void
test_depth (void)
{
  g_autofree char *open = g_strnfill (1023, '[');
  g_autofree char *close = g_strnfill (1023, ']');
  g_autofree char *deep = g_strdup_printf ("{\"execute\": \"a\", \"arguments\": %s%s}", open, close);
  g_autofree char *too_deep = g_strdup_printf ("{\"execute\": \"a\", \"arguments\": [%s%s]}", open, close);
  g_autoptr (GError) error = NULL;
  AqmpCommand command;

  g_assert_true (aqmp_command_parse (&command, deep, NULL));
  aqmp_command_clear (&command);
  g_assert_false (aqmp_command_parse (&command, too_deep, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
}

static void
test_compose (void)
{
  g_autoptr (GString) out = g_string_new ("before");
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_autoptr (GError) error = NULL;

  json_object_set_string_member (arguments, "s", "\"\\\n\x01é");
  aqmp_command_compose ("a\"b", FALSE, NULL, 1, out, &error);
  g_assert_no_error (error);
  aqmp_command_compose ("c", FALSE, arguments, 2, out, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (out->str, ==,
                   "before{\"execute\":\"a\\\"b\",\"id\":\"aqmp-1\"}"
                   "{\"execute\":\"c\",\"arguments\":{\"s\":\"\\\"\\\\\\n\\u0001é\"},\"id\":\"aqmp-2\"}");
}

/* What had been appended is as it was. */
static void
test_compose_fails (void)
{
  g_autoptr (GString) out = g_string_new ("before");
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) name_error = NULL;

  json_object_set_string_member (arguments, "fine", "fine");
  json_object_set_double_member (arguments, "x", INFINITY);
  g_assert_false (aqmp_command_compose ("c", FALSE, arguments, 1, out, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  g_assert_cmpstr (out->str, ==, "before");
  g_assert_false (aqmp_command_compose ("\xff", FALSE, NULL, 1, out, &name_error));
  g_assert_error (name_error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
  g_assert_cmpstr (out->str, ==, "before");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/command/raw/id-added", test_id_added);
  g_test_add_func ("/command/raw/own-id-stays", test_own_id_stays);
  g_test_add_func ("/command/raw/space-stripped", test_space_stripped);
  g_test_add_func ("/command/raw/out-of-band", test_out_of_band);
  g_test_add_func ("/command/S5/quit-recognised", test_quits);
  g_test_add_func ("/command/Q5/refused", test_refused);
  g_test_add_func ("/command/M4/depth", test_depth);
  g_test_add_func ("/command/compose/text", test_compose);
  g_test_add_func ("/command/M6/compose-fails-and-leaves-nothing", test_compose_fails);

  return g_test_run ();
}
