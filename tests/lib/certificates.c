/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "certificates.h"

/* Whether anything of TLS was used. What GLib leaks then is not ours: an error whenever a server refuses the certificate of the
   client, and a source whenever one for a cancellable is destroyed while another thread cancels. LeakSanitizer cannot tell
   it apart, so the tests of TLS look for leaks without it: by counting, and those of the units under valgrind. */
static int uses_tls;

#ifdef __SANITIZE_ADDRESS__
int __lsan_is_turned_off (void);

int
__lsan_is_turned_off (void)
{
  return g_atomic_int_get (&uses_tls);
}
#endif

const char *
test_certificates_get_missing (void)
{
  if (g_getenv ("AQMP_TEST_CERTIFICATES") == NULL)
    return "no test certificates were made: certtool is missing";

  if (!g_tls_backend_supports_tls (g_tls_backend_get_default ()))
    return "GIO has no TLS: glib-networking is missing";

  return NULL;
}

gboolean
test_have_certificates (void)
{
  const char *what = test_certificates_get_missing ();

  if (what == NULL)
    return TRUE;

  if (g_getenv ("AQMP_TEST_REQUIRE_ALL") != NULL)
    g_test_fail_printf ("%s", what);
  else
    g_test_skip (what);

  return FALSE;
}

char *
test_certificates_get_path (const char *directory,
                            const char *file)
{
  const char *root = g_getenv ("AQMP_TEST_CERTIFICATES");

  g_assert_nonnull (root);
  g_atomic_int_set (&uses_tls, TRUE);

  return g_build_filename (root, directory, file, NULL);
}

/* GIO reads all that the system trusts for each database of a file, which takes longer than the rest of a short test. */
static GMutex cache_lock;
static GHashTable *cache;    /* (owned) (nullable) (element-type utf8 GObject): by path, under the lock */

typedef gpointer (*LoadFunc) (const char  *path,
                              GError     **error);

/* (transfer full) */
static gpointer
load (const char *path,
      LoadFunc    func)
{
  g_autoptr(GError) error = NULL;
  GObject *object;

  g_mutex_lock (&cache_lock);
  if (cache == NULL)
    cache = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  object = g_hash_table_lookup (cache, path);
  if (object == NULL)
    {
      object = func (path, &error);
      g_assert_no_error (error);
      g_hash_table_insert (cache, g_strdup (path), object);
    }
  g_object_ref (object);
  g_mutex_unlock (&cache_lock);

  return object;
}

/* @path is that of the certificate, without "-cert.pem". */
static gpointer
load_certificate (const char  *path,
                  GError     **error)
{
  g_autofree char *certificate_path = g_strconcat (path, "-cert.pem", NULL);
  g_autofree char *key_path = g_strconcat (path, "-key.pem", NULL);

  return g_tls_certificate_new_from_files (certificate_path, key_path, error);
}

static gpointer
load_database (const char  *path,
               GError     **error)
{
  return g_tls_file_database_new (path, error);
}

GTlsCertificate *
test_certificates_load (const char *directory,
                        const char *end)
{
  g_autofree char *path = test_certificates_get_path (directory, end);

  return load (path, load_certificate);
}

GTlsDatabase *
test_certificates_get_database (const char *directory)
{
  g_autofree char *path = test_certificates_get_path (directory, "ca-cert.pem");

  return load (path, load_database);
}
