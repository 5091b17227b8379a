/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The listening socket: what it makes of an address, and what it leaves alone. */

#include "listener-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is at a path -------------------------------------------------------------------------------------------- */

static mode_t
get_mode (const char *path)
{
  struct stat status;

  g_assert_no_errno (lstat (path, &status));
  return status.st_mode;
}

static ino_t
get_inode (const char *path)
{
  struct stat status;

  g_assert_no_errno (lstat (path, &status));
  return status.st_ino;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* A peer that comes before anybody looks; in the end nobody can come any more. */
static void
expect_peer (GSocketAddress *address)
{
  g_autoptr (TestOwner) owner = owner_new (address);
  g_autoptr (GSocketAddress) effective = g_object_ref (aqmp_listener_get_address (owner->listener));
  int fd = connect_to (effective);

  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  assert_peers (owner->peer, fd);
  g_assert_cmpuint (owner->n_refused, ==, 0);
  g_assert_cmpint (try_to_connect (effective), ==, -1);
  close (fd);
}

static void
test_path (Fixture       *self,
           gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  GSocketAddress *effective = aqmp_listener_get_address (owner->listener);

  g_assert_cmpstr (g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (effective)), ==, self->path);
  g_assert_true (S_ISSOCK (get_mode (self->path)));
  g_object_unref (owner);
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));

  expect_peer (self->address);
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
}

static void
test_abstract (Fixture       *self,
               gconstpointer  data)
{
  g_autofree char *name = g_strconcat ("aqmp-test", self->path, NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new_with_type (name, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
  g_autoptr (GError) error = NULL;
  TestOwner *owner = owner_new (address);

  g_assert_null (aqmp_listener_new (address, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_object_unref (owner);

  expect_peer (address);
}

/* A name that is also the path of a file is another thing. */
static void
test_abstract_is_no_path (Fixture       *self,
                          gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new_with_type (self->path, -1,
                                                                            G_UNIX_SOCKET_ADDRESS_ABSTRACT);

  g_assert_true (g_file_set_contents (self->path, "precious", -1, NULL));
  expect_peer (address);
  g_assert_true (S_ISREG (get_mode (self->path)));
}

static void
test_tcp (Fixture       *self,
          gconstpointer  family)
{
  g_autoptr (GSocketAddress) address = loopback ((GSocketFamily) GPOINTER_TO_INT (family), 0);
  g_autoptr (GSocketAddress) effective = NULL;
  g_autoptr (GError) error = NULL;
  TestOwner *owner = owner_new (address);

  effective = g_object_ref (aqmp_listener_get_address (owner->listener));
  g_assert_cmpint (g_socket_address_get_family (effective), ==, GPOINTER_TO_INT (family));
  g_assert_cmpuint (g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective)), !=, 0);

  g_assert_null (aqmp_listener_new (effective, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_object_unref (owner);

  expect_peer (address);
}

static gboolean
have_ipv6 (void)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV6, 0);
  g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_IPV6, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);

  return socket != NULL && g_socket_bind (socket, address, FALSE, NULL);
}

/* The port can be had again while the old connection lingers. */
static void
test_tcp_again (Fixture       *self,
                gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV4, 0);
  guint i;

  for (i = 0; i < 3; i++)
    {
      TestOwner *owner = owner_new (address);
      int fd;

      g_set_object (&address, aqmp_listener_get_address (owner->listener));
      fd = connect_to (address);
      attach (owner);
      test_wait_until (owner->n_calls > 0);
      /* This side closes first, and so its port is in TIME_WAIT. */
      g_object_unref (owner);
      g_assert_true (is_gone (fd));
      close (fd);
    }
}

static int
get_option (int fd,
            int level,
            int name)
{
  int value = -1;
  socklen_t length = sizeof value;

  g_assert_no_errno (getsockopt (fd, level, name, &value, &length));
  return value;
}

static void
test_tcp_tuned (Fixture       *self,
                gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV4, 0);
  g_autoptr (TestOwner) owner = owner_new (address);
  int fd = connect_to (aqmp_listener_get_address (owner->listener));

  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_true (G_IS_TCP_CONNECTION (owner->peer));
  g_assert_cmpint (get_option (get_fd (owner->peer), SOL_SOCKET, SO_KEEPALIVE), !=, 0);
  g_assert_cmpint (get_option (get_fd (owner->peer), IPPROTO_TCP, TCP_NODELAY), !=, 0);
  close (fd);
}

static void
test_close_on_exec (Fixture       *self,
                    gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);

  g_assert_cmpint (fcntl (find_listening_fd (), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_cmpint (fcntl (get_fd (owner->peer), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  close (fd);
}

/* ---- the socket file --------------------------------------------------------------------------------------------- */

/* Nobody else, however permissive the program is; and never more than it wants. */
static void
test_permissions (Fixture       *self,
                  gconstpointer  data)
{
  static const mode_t masks[] = { 0, 0022, 0077, 0007, 0277 };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (masks); i++)
    {
      mode_t before = umask (masks[i]);
      TestOwner *owner = owner_new (self->address);

      g_assert_cmpuint (umask (before), ==, masks[i]);
      g_assert_cmpuint (get_mode (self->path) & 07777, ==, 0600 & ~masks[i]);
      g_object_unref (owner);
    }
}

/* The same in the place of a stale one that had others let in. */
static void
test_permissions_after_stale (Fixture       *self,
                              gconstpointer  data)
{
  mode_t before = umask (0);
  TestOwner *owner;

  leave_stale (self->path);
  g_assert_no_errno (g_chmod (self->path, 0777));
  owner = owner_new (self->address);
  umask (before);
  g_assert_cmpuint (get_mode (self->path) & 07777, ==, 0600);
  g_object_unref (owner);
}

static void
test_stale (Fixture       *self,
            gconstpointer  data)
{
  static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
  guint i;

  for (i = 0; i < G_N_ELEMENTS (types); i++)
    {
      close (bind_plain (self->path, types[i]));
      expect_peer (self->address);
      g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
    }
}

/* (transfer full): @error_code, and nothing changed at the path. */
static char *
expect_refusal (Fixture *self,
                int      error_code)
{
  g_autoptr (GError) error = NULL;
  mode_t mode = get_mode (self->path);
  ino_t inode = get_inode (self->path);
  guint n_fds = test_count_fds ();

  g_assert_null (aqmp_listener_new (self->address, &error));
  g_assert_error (error, G_IO_ERROR, error_code);
  g_test_message ("%s", error->message);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  g_assert_cmpuint (get_mode (self->path), ==, mode);
  g_assert_cmpuint (get_inode (self->path), ==, inode);
  return g_strdup (error->message);
}

/* Somebody listens there; and does not notice. */
static void
test_live_listening (Fixture       *self,
                     gconstpointer  type)
{
  int fd = bind_plain (self->path, GPOINTER_TO_INT (type));
  int peer;

  g_assert_no_errno (listen (fd, 1));
  g_assert_no_errno (fcntl (fd, F_SETFL, O_NONBLOCK));
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  g_assert_cmpint (accept (fd, NULL, NULL), ==, -1);
  g_assert_cmpint (errno, ==, EAGAIN);

  if (GPOINTER_TO_INT (type) == SOCK_STREAM)
    {
      peer = connect_to (self->address);
      close (peer);
    }
  close (fd);
}

/* Not even when it has no time for anybody. */
static void
test_live_busy (Fixture       *self,
                gconstpointer  data)
{
  int fd = bind_plain (self->path, SOCK_STREAM);
  int waiting;

  g_assert_no_errno (listen (fd, 0));
  waiting = connect_to (self->address);
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  close (waiting);
  close (fd);
}

static void
test_live_not_listening (Fixture       *self,
                         gconstpointer  data)
{
  int fd = bind_plain (self->path, SOCK_STREAM);

  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  g_assert_no_errno (listen (fd, 1));
  close (connect_to (self->address));
  close (fd);
}

static void
test_live_datagram (Fixture       *self,
                    gconstpointer  data)
{
  int fd = bind_plain (self->path, SOCK_DGRAM);
  struct sockaddr_un name = unix_name (self->path);
  int sender = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  char byte;

  g_assert_no_errno (sender);
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  g_assert_cmpint (recv (fd, &byte, 1, MSG_DONTWAIT), ==, -1);
  g_assert_cmpint (errno, ==, EAGAIN);
  g_assert_cmpint (sendto (sender, "x", 1, 0, (struct sockaddr *) &name, sizeof name), ==, 1);
  g_assert_cmpint (recv (fd, &byte, 1, MSG_DONTWAIT), ==, 1);
  close (sender);
  close (fd);
}

/* Another of the library's own. */
static void
test_live_own (Fixture       *self,
               gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd;

  attach (owner);
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 0);
  fd = connect_to (self->address);
  test_wait_until (owner->n_calls > 0);
  assert_peers (owner->peer, fd);
  close (fd);
}

static void
test_directory (Fixture       *self,
                gconstpointer  data)
{
  g_autofree char *message = NULL;

  g_assert_no_errno (g_mkdir (self->path, 0700));
  message = expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE);
  g_assert_nonnull (strstr (message, "directory"));
}

static void
expect_no_socket (Fixture *self)
{
  g_autofree char *message = expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE);

  g_assert_nonnull (strstr (message, "no socket"));
}

static void
test_regular_file (Fixture       *self,
                   gconstpointer  data)
{
  g_autofree char *contents = NULL;

  g_assert_true (g_file_set_contents (self->path, "precious", -1, NULL));
  expect_no_socket (self);
  g_assert_true (g_file_get_contents (self->path, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "precious");

  g_assert_true (g_file_set_contents (self->path, "", -1, NULL));
  expect_no_socket (self);
}

static void
test_fifo (Fixture       *self,
           gconstpointer  data)
{
  g_assert_no_errno (mkfifo (self->path, 0600));
  expect_no_socket (self);
}

typedef enum
{
  DANGLING,
  TO_STALE,
  TO_LIVE,
  TO_FILE,
  TO_DIRECTORY,
} Target;

/* It may be there so that something else is replaced; neither it nor its target is touched. */
static void
test_symlink (Fixture       *self,
              gconstpointer  data)
{
  g_autofree char *target = test_tmp_dir_build (self->dir, "target");
  int fd = -1;

  switch ((Target) GPOINTER_TO_INT (data))
    {
    case TO_STALE:
      leave_stale (target);
      break;
    case TO_LIVE:
      fd = bind_plain (target, SOCK_STREAM);
      g_assert_no_errno (listen (fd, 1));
      break;
    case TO_FILE:
      g_assert_true (g_file_set_contents (target, "precious", -1, NULL));
      break;
    case TO_DIRECTORY:
      g_assert_no_errno (g_mkdir (target, 0700));
      break;
    case DANGLING:
    default:
      break;
    }

  g_assert_no_errno (symlink (target, self->path));
  expect_no_socket (self);
  g_assert_cmpint (g_file_test (target, G_FILE_TEST_EXISTS), ==, GPOINTER_TO_INT (data) != DANGLING);
  if (fd >= 0)
    close (fd);
}

/* GIO cuts what does not fit: one that is longer is refused, and so is what may have been cut. */
static void
test_too_long (Fixture       *self,
               gconstpointer  data)
{
  const gsize fits = sizeof (((struct sockaddr_un *) NULL)->sun_path) - 2;
  gsize length;

  for (length = fits - 1; length < fits + 10; length++)
    {
      g_autofree char *filler = g_strnfill (length - strlen (test_tmp_dir_get_path (self->dir)) - 1, 'x');
      g_autofree char *path = test_tmp_dir_build (self->dir, filler);
      g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
      g_autoptr (GDir) dir = NULL;
      g_autoptr (GError) error = NULL;
      AqmpListener *listener;

      g_assert_cmpuint (strlen (path), ==, length);
      listener = aqmp_listener_new (address, &error);
      if (length <= fits)
        {
          g_assert_no_error (error);
          g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
          aqmp_listener_free (listener);
        }
      else
        {
          g_assert_null (listener);
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG);
          g_assert_nonnull (strstr (error->message, test_tmp_dir_get_path (self->dir)));
        }

      dir = g_dir_open (test_tmp_dir_get_path (self->dir), 0, NULL);
      g_assert_null (g_dir_read_name (dir));
    }
}

static void
test_missing_directory (Fixture       *self,
                        gconstpointer  data)
{
  g_autofree char *path = g_build_filename (self->path, "socket", NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;

  g_assert_null (aqmp_listener_new (address, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (self->path, "precious", -1, NULL));
  g_assert_null (aqmp_listener_new (address, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY);
}

/* In a process of its own, which stops being root. */
#define NOBODY 65534

static gboolean
in_other_process (void)
{
  if (g_test_subprocess ())
    return TRUE;

  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_passed ();
  return FALSE;
}

/* Nothing may be created there. */
static void
test_permission_denied (Fixture       *self,
                        gconstpointer  data)
{
  g_autoptr (GError) error = NULL;
  uid_t uid = geteuid ();

  if (!in_other_process ())
    return;

  g_assert_no_errno (g_chmod (test_tmp_dir_get_path (self->dir), 0555));
  if (uid == 0)
    g_assert_no_errno (seteuid (NOBODY));
  g_assert_null (aqmp_listener_new (self->address, &error));
  g_assert_no_errno (seteuid (uid));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_assert_no_errno (g_chmod (test_tmp_dir_get_path (self->dir), 0700));
}

/* Sockets that may not be connected to count as live, even where they could be unlinked. */
static void
test_no_access (Fixture       *self,
                gconstpointer  data)
{
  uid_t uid = geteuid ();
  int fd;

  if (!in_other_process ())
    return;

  g_assert_no_errno (g_chmod (test_tmp_dir_get_path (self->dir), 0777));
  fd = bind_plain (self->path, SOCK_STREAM);
  g_assert_no_errno (g_chmod (self->path, 0));
  g_assert_no_errno (listen (fd, 1));
  if (uid == 0)
    g_assert_no_errno (seteuid (NOBODY));
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));

  /* A stale one too: nobody can tell. */
  close (fd);
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  g_assert_no_errno (seteuid (uid));
  g_assert_no_errno (g_chmod (test_tmp_dir_get_path (self->dir), 0700));
}

/* Stale, and somebody else's, in a directory like /tmp. */
static void
test_stale_of_another (Fixture       *self,
                       gconstpointer  data)
{
  uid_t uid = geteuid ();

  if (uid != 0)
    {
      g_test_skip ("only root can have two users");
      return;
    }
  if (!in_other_process ())
    return;

  g_assert_no_errno (g_chmod (test_tmp_dir_get_path (self->dir), 01777));
  leave_stale (self->path);
  g_assert_no_errno (g_chmod (self->path, 0777));
  g_assert_no_errno (seteuid (NOBODY));
  g_free (expect_refusal (self, G_IO_ERROR_ADDRESS_IN_USE));
  g_assert_no_errno (seteuid (uid));
  g_assert_no_errno (g_chmod (test_tmp_dir_get_path (self->dir), 0700));
}

/* ---- unlinking --------------------------------------------------------------------------------------------------- */

static void
test_unlinks_own_only (Fixture       *self,
                       gconstpointer  data)
{
  g_autofree char *contents = NULL;
  TestOwner *owner = owner_new (self->address);

  /* Somebody has cleaned up, and put something of his own there. */
  g_assert_no_errno (g_unlink (self->path));
  g_assert_true (g_file_set_contents (self->path, "precious", -1, NULL));
  g_object_unref (owner);
  g_assert_true (g_file_get_contents (self->path, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "precious");
}

/* Another socket has another inode, though all else is the same. */
static void
test_unlinks_no_other_socket (Fixture       *self,
                              gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd;

  g_assert_no_errno (g_unlink (self->path));
  fd = bind_plain (self->path, SOCK_STREAM);
  g_assert_no_errno (listen (fd, 1));
  g_object_unref (owner);
  close (connect_to (self->address));
  close (fd);
}

static void
test_nothing_to_unlink (Fixture       *self,
                        gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);

  g_assert_no_errno (g_unlink (self->path));
  g_object_unref (owner);
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
}

/* It has moved: its new place is somebody's wish, too. */
static void
test_moved (Fixture       *self,
            gconstpointer  data)
{
  g_autofree char *elsewhere = test_tmp_dir_build (self->dir, "elsewhere");
  TestOwner *owner = owner_new (self->address);

  g_assert_no_errno (g_rename (self->path, elsewhere));
  g_object_unref (owner);
  g_assert_true (g_file_test (elsewhere, G_FILE_TEST_EXISTS));
}

/* The listener has gone before its owner sees the peer: so did its path. */
static void
remember_path (TestOwner *owner)
{
  gboolean *existed = owner->hook_data;

  *existed = g_file_test (g_object_get_data (G_OBJECT (owner), "path"), G_FILE_TEST_EXISTS);
}

static void
test_unlinked_with_listener (Fixture       *self,
                             gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  gboolean existed = TRUE;
  int fd = connect_to (self->address);

  owner->on_peer = remember_path;
  owner->hook_data = &existed;
  g_object_set_data (G_OBJECT (owner), "path", self->path);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_false (existed);
  close (fd);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  init_listener_tests (&argc, &argv);

  add ("S9/path", NULL, test_path);
  add ("S9/abstract", NULL, test_abstract);
  add ("S9/abstract-is-no-path", NULL, test_abstract_is_no_path);
  add ("S9/tcp/ipv4", GINT_TO_POINTER (G_SOCKET_FAMILY_IPV4), test_tcp);
  if (have_ipv6 ())
    add ("S9/tcp/ipv6", GINT_TO_POINTER (G_SOCKET_FAMILY_IPV6), test_tcp);
  add ("S9/tcp/again", NULL, test_tcp_again);
  add ("M7/tcp/tuned", NULL, test_tcp_tuned);
  add ("M7/close-on-exec", NULL, test_close_on_exec);

  add ("S8/permissions", NULL, test_permissions);
  add ("S8/permissions/after-stale", NULL, test_permissions_after_stale);
  add ("S8/stale", NULL, test_stale);
  add ("S8/live/stream", GINT_TO_POINTER (SOCK_STREAM), test_live_listening);
  add ("S8/live/seqpacket", GINT_TO_POINTER (SOCK_SEQPACKET), test_live_listening);
  add ("S8/live/busy", NULL, test_live_busy);
  add ("S8/live/not-listening", NULL, test_live_not_listening);
  add ("S8/live/datagram", NULL, test_live_datagram);
  add ("S8/live/own", NULL, test_live_own);
  add ("S8/untouched/directory", NULL, test_directory);
  add ("S8/untouched/regular-file", NULL, test_regular_file);
  add ("S8/untouched/fifo", NULL, test_fifo);
  add ("S8/untouched/symlink/dangling", GINT_TO_POINTER (DANGLING), test_symlink);
  add ("S8/untouched/symlink/to-stale", GINT_TO_POINTER (TO_STALE), test_symlink);
  add ("S8/untouched/symlink/to-live", GINT_TO_POINTER (TO_LIVE), test_symlink);
  add ("S8/untouched/symlink/to-file", GINT_TO_POINTER (TO_FILE), test_symlink);
  add ("S8/untouched/symlink/to-directory", GINT_TO_POINTER (TO_DIRECTORY), test_symlink);
  add ("S8/too-long", NULL, test_too_long);
  add ("S8/missing-directory", NULL, test_missing_directory);
  add ("S8/permission-denied", NULL, test_permission_denied);
  add ("S8/no-access", NULL, test_no_access);
  add ("S8/stale-of-another", NULL, test_stale_of_another);

  add ("S8/unlink/own-only", NULL, test_unlinks_own_only);
  add ("S8/unlink/no-other-socket", NULL, test_unlinks_no_other_socket);
  add ("S8/unlink/nothing-there", NULL, test_nothing_to_unlink);
  add ("S8/unlink/moved", NULL, test_moved);
  add ("S8/unlink/with-listener", NULL, test_unlinked_with_listener);

  return g_test_run ();
}
