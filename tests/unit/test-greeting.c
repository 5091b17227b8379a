/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <glib.h>
#include <string.h>

#include "aqmp-glib/aqmp-error-private.h"
#include "aqmp-glib/aqmp-greeting-private.h"
#include "aqmp-glib/aqmp-json-private.h"

#define DEBIAN "Debian 1:7.2+dfsg-7+deb12u18"

static AqmpGreeting *
parse (const char  *json,
       GError     **error)
{
  g_autoptr (GError) json_error = NULL;
  AqmpJsonScan scan;

  aqmp_json_validate (&scan, NULL, (const guint8 *) json, strlen (json), &json_error);
  g_assert_no_error (json_error);

  return aqmp_greeting_new ((const guint8 *) json, strlen (json), error);
}

static AqmpGreeting *
parse_package (const char *package)
{
  g_autofree char *json =
    g_strdup_printf ("{\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"%s\"},"
                     " \"capabilities\": [\"oob\"]}", package);
  g_autoptr (GError) error = NULL;
  AqmpGreeting *greeting = parse (json, &error);

  g_assert_no_error (error);
  g_assert_nonnull (greeting);
  g_assert_cmpstr (aqmp_greeting_get_package (greeting), ==, package);

  return greeting;
}

static void
test_debian (void)
{
  g_autoptr (AqmpGreeting) greeting = parse_package (DEBIAN);
  const char * const expected[] = { "oob", NULL };

  g_assert_cmpint (aqmp_greeting_get_major (greeting), ==, 7);
  g_assert_cmpint (aqmp_greeting_get_minor (greeting), ==, 2);
  g_assert_cmpint (aqmp_greeting_get_micro (greeting), ==, 22);
  g_assert_cmpstr (aqmp_greeting_get_version_string (greeting), ==, "7.2.22 (" DEBIAN ")");
  g_assert_cmpstrv (aqmp_greeting_get_capabilities (greeting), expected);
  g_assert_true (aqmp_greeting_has_capability (greeting, "oob"));
  g_assert_false (aqmp_greeting_has_capability (greeting, "OOB"));
  g_assert_false (aqmp_greeting_has_capability (greeting, ""));
}

static void
test_version_string (void)
{
  const struct { const char *package; const char *expected; } cases[] =
  {
    { "", "7.2.22" },
    { "  ", "7.2.22" },
    { "v7.2.22", "7.2.22 (v7.2.22)" },
    { " (Debian 1:2.8+dfsg-6)", "7.2.22 (Debian 1:2.8+dfsg-6)" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AqmpGreeting) greeting = parse_package (cases[i].package);

      g_assert_cmpstr (aqmp_greeting_get_version_string (greeting), ==, cases[i].expected);
    }
}

static void
test_tolerated (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpGreeting) greeting =
    parse ("{\"version\": {\"qemu\": {\"major\": 0, \"minor\": 2147483647, \"micro\": 90, \"nano\": []}, \"package\": \"\","
           " \"build\": null}, \"capabilities\": [], \"extra\": {}}", &error);

  g_assert_no_error (error);
  g_assert_cmpint (aqmp_greeting_get_minor (greeting), ==, G_MAXINT);
  g_assert_cmpstr (aqmp_greeting_get_version_string (greeting), ==, "0.2147483647.90");
  g_assert_nonnull (aqmp_greeting_get_capabilities (greeting));
  g_assert_null (aqmp_greeting_get_capabilities (greeting)[0]);
  g_assert_false (aqmp_greeting_has_capability (greeting, "oob"));
}

static void
test_boxed (void)
{
  g_autoptr (AqmpGreeting) greeting = parse_package (DEBIAN);
  AqmpGreeting *again = aqmp_greeting_ref (greeting);
  AqmpGreeting *boxed = g_boxed_copy (AQMP_TYPE_GREETING, greeting);

  g_assert_true (again == greeting);
  g_assert_true (boxed == greeting);
  aqmp_greeting_unref (again);
  g_boxed_free (AQMP_TYPE_GREETING, boxed);
  g_assert_cmpint (aqmp_greeting_get_major (greeting), ==, 7);
}

typedef struct
{
  const char *path;
  const char *json;
  const char *mentions[3];
} MalformedCase;

#define QEMU "\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}"
#define VERSION "\"version\": {" QEMU ", \"package\": \"\"}"
#define CAPABILITIES "\"capabilities\": []"
#define WITH_QEMU(qemu) "{\"version\": {\"qemu\": " qemu ", \"package\": \"\"}, " CAPABILITIES "}"

static const MalformedCase malformed_cases[] =
{
  { "not-an-object", "[]", { "array", "object" } },
  { "null", "null", { "null", "object" } },
  { "a-string", "\"QMP\"", { "string", "object" } },
  { "no-version", "{" CAPABILITIES "}", { "“version”" } },
  { "version-not-an-object", "{\"version\": \"7.2\", " CAPABILITIES "}", { "“version”", "string", "object" } },
  { "no-qemu", "{\"version\": {\"package\": \"\"}, " CAPABILITIES "}", { "“version.qemu”" } },
  { "qemu-not-an-object", WITH_QEMU ("[7, 2, 0]"), { "“version.qemu”", "array", "object" } },
  { "no-major", WITH_QEMU ("{\"minor\": 2, \"micro\": 0}"), { "“version.qemu.major”" } },
  { "no-minor", WITH_QEMU ("{\"major\": 7, \"micro\": 0}"), { "“version.qemu.minor”" } },
  { "no-micro", WITH_QEMU ("{\"major\": 7, \"minor\": 2}"), { "“version.qemu.micro”" } },
  { "major-a-string", WITH_QEMU ("{\"major\": \"7\", \"minor\": 2, \"micro\": 0}"),
    { "“version.qemu.major”", "string", "integer" } },
  { "major-with-fraction", WITH_QEMU ("{\"major\": 7.5, \"minor\": 2, \"micro\": 0}"),
    { "“version.qemu.major”", "number", "integer" } },
  { "minor-null", WITH_QEMU ("{\"major\": 7, \"minor\": null, \"micro\": 0}"),
    { "“version.qemu.minor”", "null", "integer" } },
  { "micro-a-boolean", WITH_QEMU ("{\"major\": 7, \"minor\": 2, \"micro\": true}"),
    { "“version.qemu.micro”", "boolean", "integer" } },
  { "major-beyond-int", WITH_QEMU ("{\"major\": 2147483648, \"minor\": 2, \"micro\": 0}"),
    { "“version.qemu.major”", "2147483648", "range" } },
  { "major-negative", WITH_QEMU ("{\"major\": -7, \"minor\": 2, \"micro\": 0}"),
    { "“version.qemu.major”", "-7", "range" } },
  { "no-package", "{\"version\": {" QEMU "}, " CAPABILITIES "}", { "“version.package”" } },
  { "package-not-a-string", "{\"version\": {" QEMU ", \"package\": 1}, " CAPABILITIES "}",
    { "“version.package”", "integer", "string" } },
  { "package-null", "{\"version\": {" QEMU ", \"package\": null}, " CAPABILITIES "}",
    { "“version.package”", "null", "string" } },
  { "no-capabilities", "{" VERSION "}", { "“capabilities”" } },
  { "capabilities-not-an-array", "{" VERSION ", \"capabilities\": {\"oob\": true}}",
    { "“capabilities”", "object", "array" } },
  { "capability-not-a-string", "{" VERSION ", \"capabilities\": [\"oob\", 1]}",
    { "“capabilities[1]”", "integer", "string" } },
  { "capability-null", "{" VERSION ", \"capabilities\": [null]}", { "“capabilities[0]”", "null", "string" } },
};

static void
test_malformed (gconstpointer data)
{
  const MalformedCase *test = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpGreeting) greeting = parse (test->json, &error);

  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_GREETING);
  g_assert_null (greeting);
  g_test_message ("%s", error->message);

  for (gsize i = 0; i < G_N_ELEMENTS (test->mentions) && test->mentions[i] != NULL; i++)
    g_assert_nonnull (strstr (error->message, test->mentions[i]));

  /* an error nobody wants */
  g_assert_null (parse (test->json, NULL));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/greeting/Q1/debian", test_debian);
  g_test_add_func ("/greeting/Q1/version-string", test_version_string);
  g_test_add_func ("/greeting/Q1/extra-members-and-extremes", test_tolerated);
  g_test_add_func ("/greeting/boxed/shared-by-reference", test_boxed);

  for (gsize i = 0; i < G_N_ELEMENTS (malformed_cases); i++)
    {
      g_autofree char *path = g_strconcat ("/greeting/Q2/", malformed_cases[i].path, NULL);

      g_test_add_data_func (path, &malformed_cases[i], test_malformed);
    }

  return g_test_run ();
}
