/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the log may show (S11). */

#include <string.h>

#include "aqmp-glib/aqmp-json-private.h"

typedef struct
{
  const char *path;
  const char *text;
  const char *redacted;
} Case;

static const Case cases[] = {
  { "nothing-to-hide", "{\"execute\": \"stop\",\r\n \"id\": 1}", "{\"execute\": \"stop\",\r\n \"id\": 1}" },
  { "password", "{\"a\":\"b\",\"password\":\"x\\\"y\",\"c\":\"d\"}", "{\"a\":\"b\",\"password\":\"***\",\"c\":\"d\"}" },
  { "any-case", "{\"PassWord\":\"x\"}", "{\"PassWord\":\"***\"}" },
  { "part-of-the-name", "{\"new-passwd-2\":\"x\"}", "{\"new-passwd-2\":\"***\"}" },
  { "passphrase", "{\"passphrase\" : \"x\" }", "{\"passphrase\" : \"***\" }" },
  { "secret", "{\"key-secret\":\"sec0\"}", "{\"key-secret\":\"***\"}" },
  { "escaped-name", "{\"p\\u0061ssword\":\"x\"}", "{\"p\\u0061ssword\":\"***\"}" },
  { "name-with-nul", "{\"\\u0000password\":\"x\"}", "{\"\\u0000password\":\"***\"}" },
  { "number", "{\"password\":-12e3,\"x\":4}", "{\"password\":\"***\",\"x\":4}" },
  { "literals-stay", "{\"password\":null,\"secret\":true}", "{\"password\":null,\"secret\":true}" },
  { "inside-arrays-and-objects", "{\"passwords\":[\"x\",{\"y\":[\"z\"]},7],\"a\":[\"b\"]}",
    "{\"passwords\":[\"***\",{\"y\":[\"***\"]},\"***\"],\"a\":[\"b\"]}" },
  { "value-is-no-name", "{\"a\":\"password\",\"b\":[\"secret\",\"x\"]}", "{\"a\":\"password\",\"b\":[\"secret\",\"x\"]}" },
  { "deep", "[[{\"a\":{\"password\":\"x\"}}]]", "[[{\"a\":{\"password\":\"***\"}}]]" },
  { "data-after-secret-type", "{\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"x\"}",
    "{\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"***\"}" },
  { "data-before-secret-type", "{\"data\":\"x\",\"y\":[{}],\"qom-type\" : \"secret_keyring\"}",
    "{\"data\":\"***\",\"y\":[{}],\"qom-type\" : \"secret_keyring\"}" },
  { "data-in-props", "{\"qom-type\":\"secret\",\"props\":{\"data\":\"x\"}}", "{\"qom-type\":\"secret\",\"props\":{\"data\":\"***\"}}" },
  { "data-of-something-else", "{\"qom-type\":\"iothread\",\"data\":\"x\"}", "{\"qom-type\":\"iothread\",\"data\":\"x\"}" },
  { "data-of-a-neighbour", "[{\"qom-type\":\"secret\"},{\"data\":\"x\"}]", "[{\"qom-type\":\"secret\"},{\"data\":\"x\"}]" },
  { "data-of-an-event", "{\"event\":\"X\",\"data\":{\"a\":\"b\"}}", "{\"event\":\"X\",\"data\":{\"a\":\"b\"}}" },
  { "command-line-with-password", "{\"command-line\":\"set_PASSWord vnc x\"}", "{\"command-line\":\"***\"}" },
  { "command-line-without", "{\"command-line\":\"info status\"}", "{\"command-line\":\"info status\"}" },
  { "non-ascii-stays", "{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\xc3\xa9\"}" },
  { "scalar", "\"password\"", "\"password\"" },
  { "not-json", "caf\xe9\r\n\\ {", "caf\\xE9\\x0D\\x0A\\\\ {" },
  { "not-json-with-password", "{\"a\": 1, \"PassWord\": \"x\"", "{\"a\": 1, \"***" },
  { "empty", "", "" },
};

static void
test_case (gconstpointer data)
{
  const Case *test = data;
  gsize length = strlen (test->text);
  g_autofree guint8 *copy = g_memdup2 (test->text, length);
  g_autofree char *redacted = aqmp_json_redact (copy, length);

  g_assert_cmpstr (redacted, ==, test->redacted);
}

static void
test_nul_bytes (void)
{
  g_autofree char *redacted = aqmp_json_redact ((const guint8 *) "\0a\0", 3);

  g_assert_cmpstr (redacted, ==, "\\x00a\\x00");
}

static void
test_deepest (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *redacted = NULL;
  AqmpJsonScan scan;
  gsize i;

  for (i = 0; i < 1024; i++)
    g_string_append (text, "{\"data\":\"x\",\"a\":");
  g_string_append (text, "\"y\"");
  for (i = 0; i < 1024; i++)
    g_string_append (text, i == 1000 ? ",\"qom-type\":\"secret\"}" : "}");

  redacted = aqmp_json_redact ((const guint8 *) text->str, text->len);
  g_assert_true (aqmp_json_validate (&scan, NULL, (const guint8 *) redacted, strlen (redacted), NULL));
  g_assert_nonnull (strstr (redacted, "***"));
}

int
main (int   argc,
      char *argv[])
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/json/S11/redact/", cases[i].path, NULL);

      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/json/S11/redact/nul-bytes", test_nul_bytes);
  g_test_add_func ("/json/S11/redact/deepest", test_deepest);

  return g_test_run ();
}
