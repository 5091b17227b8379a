/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "listen-util.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char * const kind_names[SITE_N_KINDS] = { "path", "abstract", "tcp", "tcp6" };

GSocketAddress *
parse_socket_address (const char *address)
{
  g_autoptr (GError) error = NULL;
  GSocketConnectable *parsed = aqmp_address_parse (address, &error);

  g_assert_no_error (error);
  return G_SOCKET_ADDRESS (parsed);
}

gboolean
path_is_taken (const char *path)
{
  struct stat status;

  if (lstat (path, &status) == 0)
    return TRUE;
  g_assert_cmpint (errno, ==, ENOENT);
  return FALSE;
}

gboolean
site_is_possible (SiteKind kind)
{
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (kind != SITE_TCP6)
    return TRUE;

  address = parse_socket_address ("[::1]:0");
  socket = g_socket_new (G_SOCKET_FAMILY_IPV6, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
  return socket != NULL && g_socket_bind (socket, address, TRUE, NULL);
}

char *
site_test_path (const char *path,
                SiteKind    kind)
{
  return g_strconcat (path, "/", kind_names[kind], NULL);
}

Site
site_make (SiteKind kind)
{
  static int n_names;
  Site site = { kind, test_tmp_dir_new (), NULL, NULL, NULL };
  g_autofree char *name = NULL;

  site.path = test_tmp_dir_build (site.dir, "listen.sock");

  switch (kind)
    {
    case SITE_ABSTRACT:
      name = g_strdup_printf ("unix-abstract:aqmp-test-%d-%d", (int) getpid (), g_atomic_int_add (&n_names, 1));
      site.address = parse_socket_address (name);
      break;
    case SITE_TCP:
      site.address = parse_socket_address ("tcp:127.0.0.1:0");
      break;
    case SITE_TCP6:
      site.address = parse_socket_address ("[::1]:0");
      break;
    case SITE_PATH:
    default:
      site.address = parse_socket_address (site.path);
    }

  return site;
}

void
site_clear (Site *site)
{
  g_autoptr (GDir) dir = g_dir_open (test_tmp_dir_get_path (site->dir), 0, NULL);

  site_expect_free (site);
  g_assert_cmpstr (g_dir_read_name (dir), ==, NULL);
  g_clear_pointer (&site->dir, test_tmp_dir_free);
  g_clear_pointer (&site->path, g_free);
  g_clear_object (&site->address);
  g_clear_object (&site->bound);
}

void
site_listen (Site     *site,
             gpointer  protocol)
{
  g_autoptr (GSocketAddress) effective = NULL;
  g_autoptr (GError) error = NULL;
  gboolean started;

  started = aqmp_protocol_start_server (protocol, site->address, &effective, &error);
  g_assert_no_error (error);
  g_assert_true (started);
  g_set_object (&site->bound, effective);
}

void
site_serve (Site         *site,
            gpointer      protocol,
            GCancellable *cancellable,
            TestSlot     *slot)
{
  aqmp_protocol_start_server_and_accept_async (protocol, site->address, cancellable, test_slot_callback, slot);
  g_set_object (&site->bound, aqmp_protocol_get_listen_address (protocol));
}

int
site_try (Site *site)
{
  GSocketAddress *address = site->bound != NULL ? site->bound : site->address;
  struct sockaddr_storage native;
  g_autoptr (GError) error = NULL;
  int fd;

  g_socket_address_to_native (address, &native, sizeof native, &error);
  g_assert_no_error (error);
  fd = socket (native.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_no_errno (fd);
  if (connect (fd, (struct sockaddr *) &native, (socklen_t) g_socket_address_get_native_size (address)) == 0)
    return fd;

  g_assert_true (errno == ECONNREFUSED || errno == ENOENT || errno == EADDRNOTAVAIL);
  close (fd);
  return -1;
}

int
site_dial (Site *site)
{
  int fd = site_try (site);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

/* Sockets of this process: a port that it has given back may be another's by now. */
static guint
count_listeners (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  const char *name;
  guint n_listeners = 0;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      int is_listener = 0;
      socklen_t length = sizeof is_listener;

      if (getsockopt (atoi (name), SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &length) == 0 && is_listener)
        n_listeners++;
    }

  return n_listeners;
}

void
site_expect_free (Site *site)
{
  g_assert_false (path_is_taken (site->path));
  g_assert_cmpuint (count_listeners (), ==, 0);
}

void
start_accept (gpointer      protocol,
              GCancellable *cancellable,
              TestSlot     *slot)
{
  aqmp_protocol_accept_async (protocol, cancellable, test_slot_callback, slot);
}

gboolean
finish_accept (gpointer   protocol,
               TestSlot  *slot,
               GError   **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  if (g_async_result_is_tagged (result, aqmp_protocol_accept_async))
    return aqmp_protocol_accept_finish (protocol, result, error);

  return aqmp_protocol_start_server_and_accept_finish (protocol, result, error);
}

static gboolean
on_time (gpointer user_data)
{
  gboolean *passed = user_data;

  *passed = TRUE;
  return G_SOURCE_REMOVE;
}

void
pass_time (guint milliseconds)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  g_autoptr (GSource) source = g_timeout_source_new (milliseconds);
  gboolean passed = FALSE;

  g_source_set_callback (source, on_time, &passed, NULL);
  g_source_attach (source, context);
  test_wait_until (passed);
}
