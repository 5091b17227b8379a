/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What a server finds where it is to listen, and what it leaves there: S8; how it fails to listen: S4. */

#include "accept-util.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- S8: the file ------------------------------------------------------------------------------------------------ */

static void
bind_by_hand (const char *path,
              gboolean    listening,
              int        *fd)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };

  g_strlcpy (name.sun_path, path, sizeof name.sun_path);
  *fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_no_errno (bind (*fd, (struct sockaddr *) &name, sizeof name));
  if (listening)
    g_assert_no_errno (listen (*fd, 1));
}

static void
test_stale_socket_is_rebound (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  int fd;

  bind_by_hand (site.path, TRUE, &fd);
  close (fd);
  g_assert_true (path_is_taken (site.path));
  check_accepts (&site, protocol);

  bind_by_hand (site.path, FALSE, &fd);
  close (fd);
  g_assert_true (path_is_taken (site.path));
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* A stale one of another type is none the less stale. */
static void
test_stale_datagram_socket (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  LineProtocol *protocol = line_protocol_new ();
  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_strlcpy (name.sun_path, site.path, sizeof name.sun_path);
  g_assert_no_errno (bind (fd, (struct sockaddr *) &name, sizeof name));
  close (fd);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Does not listen, as the address is in use; what is there stays as it is. */
static void
check_in_use (Site         *site,
              LineProtocol *protocol,
              const char   *pattern)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  struct stat before;
  struct stat after;
  g_autoptr (GError) error = NULL;

  g_assert_no_errno (lstat (site->path, &before));
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), site->address, NULL, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE, pattern);
  g_clear_error (&error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  site_serve (site, protocol, NULL, &slot);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE, pattern);
  check_usable (protocol);

  g_assert_no_errno (lstat (site->path, &after));
  g_assert_cmpuint (after.st_ino, ==, before.st_ino);
  g_assert_cmpuint (after.st_mode, ==, before.st_mode);
  g_assert_cmpint (after.st_mtim.tv_sec, ==, before.st_mtim.tv_sec);
  g_assert_cmpint (after.st_mtim.tv_nsec, ==, before.st_mtim.tv_nsec);
}

/* One that listens, and one that is only bound yet. Who listens does not even notice. */
static void
test_live_socket_is_in_use (gconstpointer data)
{
  gboolean listening = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  int fd;

  bind_by_hand (site.path, listening, &fd);
  check_in_use (&site, protocol, "Could not establish a connection * “*/listen.sock”: *in use*");
  if (listening)
    {
      g_assert_no_errno (fcntl (fd, F_SETFL, O_NONBLOCK));
      g_assert_cmpint (accept (fd, NULL, NULL), ==, -1);
      g_assert_cmpint (errno, ==, EAGAIN);
    }
  close (fd);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Nor one whose backlog is full. */
static void
test_busy_socket_is_in_use (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  LineProtocol *protocol = line_protocol_new ();
  int listener;
  int fd;
  guint i;

  bind_by_hand (site.path, TRUE, &listener);
  g_strlcpy (name.sun_path, site.path, sizeof name.sun_path);
  do
    {
      fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      g_array_append_val (fds, fd);
    }
  while (connect (fd, (struct sockaddr *) &name, sizeof name) == 0);
  g_assert_cmpint (errno, ==, EAGAIN);

  check_in_use (&site, protocol, "*in use*");
  for (i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  close (listener);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_other_server_of_the_library_is_in_use (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *first = line_protocol_new ();
  LineProtocol *second = line_protocol_new ();

  site_listen (&site, first);
  check_in_use (&site, second, "*in use*");
  end_session (&first);
  check_accepts (&site, second);
  end_object (&second);
}

static void
test_regular_file_is_never_touched (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_file_set_contents (site.path, "precious", -1, &error);
  g_assert_no_error (error);
  check_in_use (&site, protocol, "Could not establish a connection * “*/listen.sock”: *no socket*another path*");
  g_file_get_contents (site.path, &text, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "precious");
  g_assert_no_errno (unlink (site.path));
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_directory_is_never_touched (gconstpointer data)
{
  gboolean empty = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *inside = g_build_filename (site.path, "inside", NULL);
  LineProtocol *protocol = line_protocol_new ();

  g_assert_no_errno (mkdir (site.path, 0700));
  if (!empty)
    g_assert_true (g_file_set_contents (inside, "", 0, NULL));
  check_in_use (&site, protocol, "Could not establish a connection * “*/listen.sock”: *directory*another path*");
  if (!empty)
    g_assert_no_errno (unlink (inside));
  g_assert_no_errno (rmdir (site.path));
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Wherever it leads: to nothing, to a file, even to a socket that nobody listens on. */
static void
test_symlink_is_never_touched (gconstpointer data)
{
  const char *target = data;
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *target_path = test_tmp_dir_build (site.dir, "target");
  g_autofree char *link = NULL;
  LineProtocol *protocol = line_protocol_new ();
  gboolean exists = !g_str_equal (target, "nothing");
  struct stat before;
  struct stat after;
  int fd = -1;

  if (g_str_equal (target, "file"))
    g_assert_true (g_file_set_contents (target_path, "", 0, NULL));
  else if (g_str_equal (target, "directory"))
    g_assert_no_errno (mkdir (target_path, 0700));
  else if (exists)
    bind_by_hand (target_path, TRUE, &fd);
  if (g_str_equal (target, "stale-socket"))
    close (fd);
  g_assert_no_errno (symlink (target_path, site.path));
  if (exists)
    g_assert_no_errno (lstat (target_path, &before));

  check_in_use (&site, protocol, "*“*/listen.sock”*no socket*");
  link = g_file_read_link (site.path, NULL);
  g_assert_cmpstr (link, ==, target_path);
  g_assert_cmpint (path_is_taken (target_path), ==, exists);
  if (exists)
    {
      g_assert_no_errno (lstat (target_path, &after));
      g_assert_cmpuint (after.st_ino, ==, before.st_ino);
      g_assert_cmpuint (after.st_mode, ==, before.st_mode);
      g_remove (target_path);
    }
  if (g_str_equal (target, "live-socket"))
    close (fd);
  g_assert_no_errno (unlink (site.path));
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_fifo_is_never_touched (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();

  g_assert_no_errno (mkfifo (site.path, 0600));
  check_in_use (&site, protocol, "*no socket*");
  g_assert_no_errno (unlink (site.path));
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* What somebody has put in its place meanwhile is not what the library created. */
static void
test_replaced_file_is_not_unlinked (gconstpointer data)
{
  gboolean with_socket = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  int fd = -1;

  site_listen (&site, protocol);
  g_assert_no_errno (unlink (site.path));
  if (with_socket)
    bind_by_hand (site.path, TRUE, &fd);
  else
    g_assert_true (g_file_set_contents (site.path, "other", -1, NULL));
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_true (path_is_taken (site.path));
  g_assert_no_errno (unlink (site.path));
  if (with_socket)
    close (fd);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_removed_file_is_no_trouble (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  g_assert_no_errno (unlink (site.path));
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK & ~G_LOG_LEVEL_DEBUG, NULL, NULL), ==, 0);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Relative to where it was created. */
static void
test_relative_path_is_unlinked (gconstpointer data)
{
  gboolean moving = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (GSocketAddress) relative = g_unix_socket_address_new ("listen.sock");
  g_autofree char *cwd = g_get_current_dir ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_assert_no_errno (chdir (test_tmp_dir_get_path (site.dir)));
  aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), relative, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (path_is_taken (site.path));
  if (moving)
    g_assert_no_errno (chdir (cwd));
  end_session (&protocol);
  g_assert_false (path_is_taken (site.path));
  g_assert_no_errno (chdir (cwd));
}

/* Nobody else may connect, whatever the umask; and none of it stays with the process. */
static void
test_permissions (void)
{
  static const mode_t masks[] = { 0022, 0, 0077, 0177 };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (masks); i++)
    {
      g_auto (Site) site = site_make (SITE_PATH);
      LineProtocol *protocol = line_protocol_new ();
      mode_t own = umask (masks[i]);
      struct stat status;

      site_listen (&site, protocol);
      g_assert_cmpuint (umask (own), ==, masks[i]);
      g_assert_no_errno (lstat (site.path, &status));
      g_assert_true (S_ISSOCK (status.st_mode));
      g_assert_cmpuint (status.st_mode & 0777, ==, 0600 & ~masks[i]);
      end_session (&protocol);
    }
}

/* A stale one that was open to all is not taken over as it is. */
static void
test_permissions_of_rebound_socket (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  struct stat status;
  int fd;

  bind_by_hand (site.path, TRUE, &fd);
  g_assert_no_errno (chmod (site.path, 0777));
  close (fd);
  site_listen (&site, protocol);
  g_assert_no_errno (lstat (site.path, &status));
  g_assert_cmpuint (status.st_mode & 0777, ==, 0600);
  end_session (&protocol);
}

/* ---- S4: how it fails -------------------------------------------------------------------------------------------- */

/* In all forms, and from then on as if it had never been. */
static void
check_fails_once (LineProtocol   *protocol,
                  GSocketAddress *address,
                  int             code,
                  const char     *pattern)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_protocol_start_server (self, address, NULL, &error));
  assert_error_like (error, G_IO_ERROR, code, pattern);
  g_clear_error (&error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (self));
  start_accept (protocol, NULL, &slot);
  g_assert_false (finish_accept (protocol, &slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);

  aqmp_protocol_start_server_and_accept_async (self, address, NULL, test_slot_callback, &slot);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, code, pattern);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
}

static void
check_fails (Site           *site,
             GSocketAddress *address,
             int             code,
             const char     *pattern)
{
  LineProtocol *protocol = line_protocol_new ();
  guint n_fds;

  /* The main loop opens some of its own, once. */
  check_fails_once (protocol, address, code, pattern);
  n_fds = test_count_fds ();
  check_fails_once (protocol, address, code, pattern);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);

  check_usable (protocol);
  if (site != NULL)
    check_accepts (site, protocol);
  end_object (&protocol);
}

static void
test_port_in_use (void)
{
  g_auto (Site) site = site_make (SITE_TCP);
  LineProtocol *other = line_protocol_new ();

  site_listen (&site, other);
  check_fails (NULL, site.bound, G_IO_ERROR_ADDRESS_IN_USE, "Could not establish a connection * “127.0.0.1:*”: *in use*");
  end_session (&other);
}

static void
test_abstract_name_in_use (void)
{
  g_auto (Site) site = site_make (SITE_ABSTRACT);
  LineProtocol *other = line_protocol_new ();

  site_listen (&site, other);
  check_fails (NULL, site.address, G_IO_ERROR_ADDRESS_IN_USE, "Could not establish a connection * “*aqmp-test-*”: *in use*");
  end_session (&other);
}

static void
test_path_too_long (gconstpointer data)
{
  gsize length = GPOINTER_TO_SIZE (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *name = g_strnfill (length - strlen (test_tmp_dir_get_path (site.dir)) - 1, 'x');
  g_autofree char *path = test_tmp_dir_build (site.dir, name);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);

  g_assert_cmpuint (strlen (path), ==, length);
  check_fails (&site, address, G_IO_ERROR_FILENAME_TOO_LONG, "Could not establish a connection * “*”: *“*xxx”*too long*");
}

/* The longest that there can be no doubt about. */
static void
test_longest_path (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *name = g_strnfill (106 - strlen (test_tmp_dir_get_path (site.dir)) - 1, 'x');
  LineProtocol *protocol = line_protocol_new ();

  g_free (site.path);
  site.path = test_tmp_dir_build (site.dir, name);
  g_clear_object (&site.address);
  site.address = parse_socket_address (site.path);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_no_such_directory (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *path = test_tmp_dir_build (site.dir, "nowhere/listen.sock");
  g_autoptr (GSocketAddress) address = parse_socket_address (path);

  check_fails (&site, address, G_IO_ERROR_NOT_FOUND, "Could not establish a connection * “*/nowhere/listen.sock”: *");
}

static void
test_file_instead_of_directory (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *path = g_build_filename (site.path, "listen.sock", NULL);
  g_autoptr (GSocketAddress) address = parse_socket_address (path);

  g_assert_true (g_file_set_contents (site.path, "", 0, NULL));
  check_fails (NULL, address, G_IO_ERROR_NOT_DIRECTORY, "Could not establish a connection * “*”: *");
  g_assert_no_errno (unlink (site.path));
}

/* Root may everything, so for the moment we are nobody. */
static void
test_permission_denied (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *directory = test_tmp_dir_build (site.dir, "closed");
  g_autofree char *path = g_build_filename (directory, "listen.sock", NULL);
  g_autoptr (GSocketAddress) address = parse_socket_address (path);
  gboolean is_root = geteuid () == 0;

  g_assert_no_errno (mkdir (directory, 0500));
  if (is_root)
    g_assert_no_errno (seteuid (65534));
  check_fails (NULL, address, G_IO_ERROR_PERMISSION_DENIED, "Could not establish a connection * “*/closed/listen.sock”: *");
  if (is_root)
    g_assert_no_errno (seteuid (0));
  g_assert_no_errno (rmdir (directory));
}

/* A stale socket in a directory where it cannot be removed. */
static void
test_stale_socket_that_cannot_be_removed (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *directory = test_tmp_dir_build (site.dir, "closed");
  g_autofree char *path = g_build_filename (directory, "listen.sock", NULL);
  g_autoptr (GSocketAddress) address = parse_socket_address (path);
  gboolean is_root = geteuid () == 0;
  int fd;

  g_assert_no_errno (mkdir (directory, 0700));
  bind_by_hand (path, TRUE, &fd);
  close (fd);
  g_assert_no_errno (chmod (path, 0777));
  g_assert_no_errno (chmod (directory, 0555));
  g_assert_no_errno (chmod (test_tmp_dir_get_path (site.dir), 0755));
  if (is_root)
    g_assert_no_errno (seteuid (65534));
  check_fails (NULL, address, G_IO_ERROR_ADDRESS_IN_USE, "Could not establish a connection * “*/closed/listen.sock”: *");
  if (is_root)
    g_assert_no_errno (seteuid (0));
  g_assert_true (path_is_taken (path));
  g_assert_no_errno (chmod (directory, 0700));
  g_assert_no_errno (unlink (path));
  g_assert_no_errno (rmdir (directory));
}

/* Nor may one that we may not even ask be taken for stale. */
static void
test_foreign_socket_is_in_use (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autofree char *directory = test_tmp_dir_build (site.dir, "open");
  g_autofree char *path = g_build_filename (directory, "listen.sock", NULL);
  g_autoptr (GSocketAddress) address = parse_socket_address (path);
  int fd;

  if (geteuid () != 0)
    {
      g_test_skip ("only root can be two users");
      return;
    }

  g_assert_no_errno (mkdir (directory, 0777));
  g_assert_no_errno (chmod (directory, 0777));
  g_assert_no_errno (chmod (test_tmp_dir_get_path (site.dir), 0755));
  bind_by_hand (path, TRUE, &fd);
  g_assert_no_errno (chmod (path, 0700));
  g_assert_no_errno (seteuid (65534));
  check_fails (NULL, address, G_IO_ERROR_ADDRESS_IN_USE, "Could not establish a connection * “*/open/listen.sock”: *");
  g_assert_no_errno (seteuid (0));
  g_assert_true (path_is_taken (path));
  close (fd);
  g_assert_no_errno (unlink (path));
  g_assert_no_errno (rmdir (directory));
}

static void
test_privileged_port (void)
{
  g_autoptr (GSocketAddress) address = parse_socket_address ("tcp:127.0.0.1:1");
  g_autofree char *first = NULL;
  gboolean is_root = geteuid () == 0;

  if (!g_file_get_contents ("/proc/sys/net/ipv4/ip_unprivileged_port_start", &first, NULL, NULL) || atoi (first) <= 1)
    {
      g_test_skip ("no port is privileged here");
      return;
    }

  if (is_root)
    g_assert_no_errno (seteuid (65534));
  check_fails (NULL, address, G_IO_ERROR_PERMISSION_DENIED, "Could not establish a connection * “127.0.0.1:1”: *");
  if (is_root)
    g_assert_no_errno (seteuid (0));
}

/* An address that is not this machine's (it is for documentation). */
static void
test_foreign_host (void)
{
  g_auto (Site) site = site_make (SITE_TCP);
  g_autoptr (GSocketAddress) address = parse_socket_address ("tcp:192.0.2.1:0");

  check_fails (&site, address, G_IO_ERROR_FAILED, "Could not establish a connection * “192.0.2.1*”: *");
}

static void
test_empty_path (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new ("");
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  /* Not a name that anybody could connect to without any permission. */
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), address, NULL, &error));
  g_assert_cmpstr (error->message, !=, "");
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* From now on nothing can be opened. Returns how it was. */
static struct rlimit
forbid_descriptors (void)
{
  struct rlimit own;
  struct rlimit tight;
  int next = open ("/dev/null", O_RDONLY | O_CLOEXEC);

  g_assert_no_errno (next);
  close (next);
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &own));
  tight = own;
  tight.rlim_cur = next;
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &tight));
  return own;
}

/* It cannot be accepted, which is told to whoever accepts, then or later. */
static void
check_no_descriptor (gboolean accept_first)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  struct rlimit own;
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  if (accept_first)
    start_accept (protocol, NULL, &slot);
  test_dispatch_pending ();
  peer.fd = site_dial (&site);
  own = forbid_descriptors ();
  test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) == NULL);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &own));

  if (!accept_first)
    {
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);
      site_expect_free (&site);
      start_accept (protocol, NULL, &slot);
    }
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES, "Could not establish a connection * “*”: *");
  peer_expect_eof (&peer);
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_no_descriptor_for_the_peer (void)
{
  check_no_descriptor (TRUE);
  check_no_descriptor (FALSE);
}

static void
test_no_descriptor_for_listening (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  struct rlimit own;
  g_autoptr (GError) error = NULL;

  /* The main loop then has what it needs. */
  test_dispatch_pending ();
  own = forbid_descriptors ();
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), site.address, NULL, &error));
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &own));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES, "Could not establish a connection * “*”: *");
  check_accepts (&site, protocol);
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/S8/stale-socket-is-rebound", test_stale_socket_is_rebound);
  g_test_add_func ("/protocol/S8/stale-datagram-socket-is-rebound", test_stale_datagram_socket);
  g_test_add_data_func ("/protocol/S8/never-touched/listening-socket", GINT_TO_POINTER (TRUE), test_live_socket_is_in_use);
  g_test_add_data_func ("/protocol/S8/never-touched/bound-socket", GINT_TO_POINTER (FALSE), test_live_socket_is_in_use);
  g_test_add_func ("/protocol/S8/never-touched/busy-socket", test_busy_socket_is_in_use);
  g_test_add_func ("/protocol/S8/never-touched/socket-of-another-object", test_other_server_of_the_library_is_in_use);
  g_test_add_func ("/protocol/S8/never-touched/socket-of-another-user", test_foreign_socket_is_in_use);
  g_test_add_func ("/protocol/S8/never-touched/stale-socket-without-permission", test_stale_socket_that_cannot_be_removed);
  g_test_add_func ("/protocol/S8/never-touched/regular-file", test_regular_file_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/empty-directory", GINT_TO_POINTER (TRUE), test_directory_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/directory", GINT_TO_POINTER (FALSE), test_directory_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/symlink-to-nothing", "nothing", test_symlink_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/symlink-to-file", "file", test_symlink_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/symlink-to-directory", "directory", test_symlink_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/symlink-to-stale-socket", "stale-socket", test_symlink_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/symlink-to-live-socket", "live-socket", test_symlink_is_never_touched);
  g_test_add_func ("/protocol/S8/never-touched/fifo", test_fifo_is_never_touched);
  g_test_add_data_func ("/protocol/S8/never-touched/file-put-in-its-place", GINT_TO_POINTER (FALSE),
                        test_replaced_file_is_not_unlinked);
  g_test_add_data_func ("/protocol/S8/never-touched/socket-put-in-its-place", GINT_TO_POINTER (TRUE),
                        test_replaced_file_is_not_unlinked);
  g_test_add_func ("/protocol/S8/file-removed-meanwhile", test_removed_file_is_no_trouble);
  g_test_add_data_func ("/protocol/S8/relative-path-is-unlinked", GINT_TO_POINTER (FALSE), test_relative_path_is_unlinked);
  g_test_add_data_func ("/protocol/S8/relative-path-is-unlinked-from-elsewhere", GINT_TO_POINTER (TRUE),
                        test_relative_path_is_unlinked);
  g_test_add_func ("/protocol/S8/permissions", test_permissions);
  g_test_add_func ("/protocol/S8/permissions-of-rebound-socket", test_permissions_of_rebound_socket);
  g_test_add_func ("/protocol/S4/listening/port-in-use", test_port_in_use);
  g_test_add_func ("/protocol/S4/listening/abstract-name-in-use", test_abstract_name_in_use);
  g_test_add_data_func ("/protocol/S4/listening/path-of-107-bytes", GSIZE_TO_POINTER (107), test_path_too_long);
  g_test_add_func ("/protocol/S4/listening/path-of-106-bytes", test_longest_path);
  g_test_add_func ("/protocol/S4/listening/no-such-directory", test_no_such_directory);
  g_test_add_func ("/protocol/S4/listening/file-instead-of-directory", test_file_instead_of_directory);
  g_test_add_func ("/protocol/S4/listening/permission-denied", test_permission_denied);
  g_test_add_func ("/protocol/S4/listening/privileged-port", test_privileged_port);
  g_test_add_func ("/protocol/S4/listening/foreign-host", test_foreign_host);
  g_test_add_func ("/protocol/S4/listening/empty-path", test_empty_path);
  g_test_add_func ("/protocol/S4/listening/no-descriptor-for-the-peer", test_no_descriptor_for_the_peer);
  g_test_add_func ("/protocol/S4/listening/no-descriptor", test_no_descriptor_for_listening);

  return g_test_run ();
}
