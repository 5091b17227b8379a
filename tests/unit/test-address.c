/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <net/if.h>
#include <string.h>

#include "aqmp-glib/aqmp-address.h"

typedef struct
{
  const char *path;
  const char *address;
  const char *host; /* or path, or abstract name */
  guint       port;
} GoodCase;

static const GoodCase path_cases[] =
{
  { "absolute", "/run/vm.sock", "/run/vm.sock" },
  { "absolute-with-colon", "/run/vm:1.sock", "/run/vm:1.sock" },
  { "absolute-not-ascii", "/run/Maschine ü.sock", "/run/Maschine ü.sock" },
  { "relative-with-slash", "run/vm.sock", "run/vm.sock" },
  { "relative-with-dot", "./vm:1.sock", "./vm:1.sock" },
  { "scheme-absolute", "unix:/run/vm.sock", "/run/vm.sock" },
  { "scheme-relative", "unix:vm.sock", "vm.sock" },
  { "scheme-twice", "unix:unix:vm.sock", "unix:vm.sock" },
  { "scheme-looks-like-a-port", "unix:4444", "4444" },
};

static const GoodCase abstract_cases[] =
{
  { "plain", "unix-abstract:vm", "vm" },
  { "with-slash-and-colon", "unix-abstract:/a:b", "/a:b" },
  { "with-at", "unix-abstract:@vm", "@vm" },
};

static const GoodCase numeric_cases[] =
{
  { "ipv4", "127.0.0.1:4444", "127.0.0.1", 4444 },
  { "ipv4-scheme", "tcp:127.0.0.1:4444", "127.0.0.1", 4444 },
  { "ipv6", "[::1]:4444", "::1", 4444 },
  { "ipv6-scheme", "tcp:[::1]:4444", "::1", 4444 },
  { "ipv6-any", "[::]:65535", "::", 65535 },
  { "port-zero", "0.0.0.0:0", "0.0.0.0", 0 },
};

static const GoodCase name_cases[] =
{
  { "plain", "vm.example.org:4444", "vm.example.org", 4444 },
  { "scheme", "tcp:vm.example.org:4444", "vm.example.org", 4444 },
  { "localhost", "localhost:1", "localhost", 1 },
  { "scheme-as-host", "tcp:unix:4444", "unix", 4444 },
  { "not-ascii", "tcp:grüße.example:80", "grüße.example", 80 },
  { "with-underscore", "vm_1:4444", "vm_1", 4444 },
};

static GSocketConnectable *
parse (const char *address)
{
  g_autoptr (GError) error = NULL;
  GSocketConnectable *result = aqmp_address_parse (address, &error);

  g_assert_no_error (error);
  g_assert_nonnull (result);

  return result;
}

static void
test_path (gconstpointer data)
{
  const GoodCase *test = data;
  g_autoptr (GSocketConnectable) result = parse (test->address);
  GUnixSocketAddress *address;

  g_assert_true (G_IS_UNIX_SOCKET_ADDRESS (result));
  address = G_UNIX_SOCKET_ADDRESS (result);
  g_assert_cmpint (g_unix_socket_address_get_address_type (address), ==, G_UNIX_SOCKET_ADDRESS_PATH);
  g_assert_cmpstr (g_unix_socket_address_get_path (address), ==, test->host);
}

static void
test_abstract (gconstpointer data)
{
  const GoodCase *test = data;
  g_autoptr (GSocketConnectable) result = parse (test->address);
  GUnixSocketAddress *address;

  g_assert_true (G_IS_UNIX_SOCKET_ADDRESS (result));
  address = G_UNIX_SOCKET_ADDRESS (result);
  g_assert_cmpint (g_unix_socket_address_get_address_type (address), ==, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  g_assert_cmpmem (g_unix_socket_address_get_path (address), g_unix_socket_address_get_path_len (address),
                   test->host, strlen (test->host));
}

static void
test_numeric (gconstpointer data)
{
  const GoodCase *test = data;
  g_autoptr (GSocketConnectable) result = parse (test->address);
  g_autofree char *host = NULL;
  GInetSocketAddress *address;

  g_assert_true (G_IS_INET_SOCKET_ADDRESS (result));
  address = G_INET_SOCKET_ADDRESS (result);
  host = g_inet_address_to_string (g_inet_socket_address_get_address (address));
  g_assert_cmpstr (host, ==, test->host);
  g_assert_cmpuint (g_inet_socket_address_get_port (address), ==, test->port);
}

static void
test_name (gconstpointer data)
{
  const GoodCase *test = data;
  g_autoptr (GSocketConnectable) result = parse (test->address);
  GNetworkAddress *address;

  g_assert_true (G_IS_NETWORK_ADDRESS (result));
  address = G_NETWORK_ADDRESS (result);
  g_assert_cmpstr (g_network_address_get_hostname (address), ==, test->host);
  g_assert_cmpuint (g_network_address_get_port (address), ==, test->port);
  g_assert_null (g_network_address_get_scheme (address));
}

static void
test_scope_id (void)
{
  g_autoptr (GSocketConnectable) numbered = parse ("[fe80::1%7]:4444");
  g_autoptr (GSocketConnectable) named = NULL;

  g_assert_true (G_IS_INET_SOCKET_ADDRESS (numbered));
  g_assert_cmpuint (g_inet_socket_address_get_scope_id (G_INET_SOCKET_ADDRESS (numbered)), ==, 7);

  if (if_nametoindex ("lo") == 0)
    {
      g_test_skip ("no interface “lo”");
      return;
    }

  named = parse ("tcp:[fe80::1%lo]:4444");
  g_assert_cmpuint (g_inet_socket_address_get_scope_id (G_INET_SOCKET_ADDRESS (named)), ==, if_nametoindex ("lo"));
}

typedef struct
{
  const char *path;
  const char *address;
  const char *mentions;
} BadCase;

static const BadCase bad_cases[] =
{
  { "empty/null", NULL, "empty" },
  { "empty/text", "", "empty" },
  { "empty/unix-path", "unix:", "path is empty" },
  { "empty/abstract-name", "unix-abstract:", "abstract name is empty" },
  { "empty/tcp", "tcp:", "port is missing" },
  { "host/empty", ":4444", "host is empty" },
  { "host/empty-scheme", "tcp::4444", "host is empty" },
  { "host/empty-brackets", "[]:4444", "host is empty" },
  { "host/white-space", "my host:4444", "characters" },
  { "host/control-character", "a\033b:4444", "characters" },
  { "host/url", "http://host:4444", "characters" },
  { "host/slash", "tcp:/run/vm.sock:1", "characters" },
  { "host/not-a-name", "tcp:\xef\xbf\xbd.example:1", "characters" },
  { "port/missing", "vm.example.org", "port is missing" },
  { "port/missing-bare-name", "vm.sock", "port is missing" },
  { "port/missing-scheme", "tcp:host", "port is missing" },
  { "port/missing-brackets", "[::1]", "port is missing" },
  { "port/empty", "host:", "port is missing" },
  { "port/empty-brackets", "[::1]:", "port is missing" },
  { "port/name", "host:https", "not a number" },
  { "port/negative", "host:-1", "not a number" },
  { "port/signed", "host:+1", "not a number" },
  { "port/white-space", "host: 1", "not a number" },
  { "port/trailing-text", "host:1x", "not a number" },
  { "port/trailing-slash", "host:4444/", "not a number" },
  { "port/hex", "host:0x10", "not a number" },
  { "port/out-of-range", "host:65536", "65535" },
  { "port/beyond-64-bits", "host:99999999999999999999999", "65535" },
  { "ipv6/bare", "::1", "brackets" },
  { "ipv6/bare-with-port", "::1:4444", "brackets" },
  { "ipv6/bare-scheme", "tcp:fe80::1:4444", "brackets" },
  { "ipv6/not-closed", "[::1:4444", "closing bracket is missing" },
  { "ipv6/not-opened", "::1]:4444", "bracket in the wrong place" },
  { "ipv6/late-bracket", "a[::1]:4444", "bracket in the wrong place" },
  { "ipv6/closed-twice", "[::1]]:4444", "no colon" },
  { "ipv6/no-colon", "[::1]4444", "no colon" },
  { "ipv6/name-in-brackets", "[localhost]:4444", "not an IPv6 address" },
  { "ipv6/ipv4-in-brackets", "[127.0.0.1]:4444", "not an IPv6 address" },
  { "ipv6/malformed", "[::1::2]:4444", "not an IPv6 address" },
  { "ipv6/unknown-scope", "[fe80::1%nosuchinterface]:4444", "not an IPv6 address" },
  { "utf8/path", "/run/\xff.sock", "not valid UTF-8" },
  { "utf8/host", "\xc3\x28:4444", "not valid UTF-8" },
};

static void
test_bad (gconstpointer data)
{
  const BadCase *test = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnectable) result = aqmp_address_parse (test->address, &error);

  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_assert_null (result);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, test->mentions));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));

  /* the accepted forms are there for who has to correct it */
  g_assert_nonnull (strstr (error->message, "unix-abstract:NAME"));

  g_assert_null (aqmp_address_parse (test->address, NULL));
}

/* @prefix and as many letters as make @length behind it */
static char *
make_long (const char *prefix,
           gsize       length)
{
  g_autofree char *name = g_strnfill (length, 'x');

  return g_strconcat (prefix, name, NULL);
}

static void
test_too_long (gconstpointer data)
{
  const char *prefix = data;
  const gsize counted = g_str_has_prefix (prefix, "unix") ? 0 : strlen (prefix);
  g_autofree char *longest = make_long (prefix, 107 - counted);
  g_autofree char *too_long = make_long (prefix, 108 - counted);
  g_autoptr (GSocketConnectable) result = parse (longest);
  g_autoptr (GSocketConnectable) none = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *native = NULL;
  gssize native_size;

  g_assert_cmpuint (g_unix_socket_address_get_path_len (G_UNIX_SOCKET_ADDRESS (result)), ==, 107);
  native_size = g_socket_address_get_native_size (G_SOCKET_ADDRESS (result));
  native = g_malloc0 ((gsize) native_size);
  g_assert_true (g_socket_address_to_native (G_SOCKET_ADDRESS (result), native, (gsize) native_size, &error));
  g_assert_no_error (error);

  none = aqmp_address_parse (too_long, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_assert_null (none);
  g_assert_nonnull (strstr (error->message, "108 bytes"));
  g_assert_nonnull (strstr (error->message, "107"));
}

static void
add_cases (const char     *prefix,
           const GoodCase *cases,
           gsize           n_cases,
           GTestDataFunc   function)
{
  for (gsize i = 0; i < n_cases; i++)
    {
      g_autofree char *path = g_strconcat ("/address/", prefix, "/", cases[i].path, NULL);

      g_test_add_data_func (path, &cases[i], function);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_cases ("unix", path_cases, G_N_ELEMENTS (path_cases), test_path);
  add_cases ("unix-abstract", abstract_cases, G_N_ELEMENTS (abstract_cases), test_abstract);
  add_cases ("numeric", numeric_cases, G_N_ELEMENTS (numeric_cases), test_numeric);
  add_cases ("name", name_cases, G_N_ELEMENTS (name_cases), test_name);
  g_test_add_func ("/address/numeric/ipv6-scope-id", test_scope_id);
  g_test_add_data_func ("/address/unix/too-long", "unix:", test_too_long);
  g_test_add_data_func ("/address/unix/too-long-without-scheme", "/", test_too_long);
  g_test_add_data_func ("/address/unix-abstract/too-long", "unix-abstract:", test_too_long);

  for (gsize i = 0; i < G_N_ELEMENTS (bad_cases); i++)
    {
      g_autofree char *path = g_strconcat ("/address/bad/", bad_cases[i].path, NULL);

      g_test_add_data_func (path, &bad_cases[i], test_bad);
    }

  return g_test_run ();
}
