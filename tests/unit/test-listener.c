/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The listening socket: what it makes of an address, what it leaves alone, and whom it lets in. */

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-listener-private.h"

#include "util.h"

/* ---- an owner ---------------------------------------------------------------------------------------------------- */

#define TEST_TYPE_OWNER (test_owner_get_type ())
G_DECLARE_FINAL_TYPE (TestOwner, test_owner, TEST, OWNER, GObject)

struct _TestOwner
{
  GObject            parent_instance;
  AqmpListener      *listener;   /* (owned) (nullable) */
  GSocketConnection *peer;       /* (owned) (nullable) */
  GError            *error;      /* (owned) (nullable) */
  guint              n_refused;
  int                n_calls;    /* atomic */
  GThread           *thread;     /* (unowned): where it was called */
  gboolean           keeps;      /* the listener, though it was told that this was all */
  void             (*on_peer) (TestOwner *self);
  gpointer           hook_data;
};

G_DEFINE_FINAL_TYPE (TestOwner, test_owner, G_TYPE_OBJECT)

static int n_owners;  /* atomic */

static void
test_owner_finalize (GObject *object)
{
  TestOwner *self = TEST_OWNER (object);

  g_clear_pointer (&self->listener, aqmp_listener_free);
  g_clear_object (&self->peer);
  g_clear_error (&self->error);
  g_atomic_int_add (&n_owners, -1);

  G_OBJECT_CLASS (test_owner_parent_class)->finalize (object);
}

static void
test_owner_class_init (TestOwnerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_owner_finalize;
}

static void
test_owner_init (TestOwner *self)
{
  g_atomic_int_inc (&n_owners);
}

/* Any thread. */
static void
free_listener (TestOwner *self)
{
  AqmpListener *listener = g_atomic_pointer_exchange (&self->listener, NULL);

  if (listener != NULL)
    aqmp_listener_free (listener);
}

static void
on_peer (gpointer           owner,
         GSocketConnection *peer,
         guint              n_refused,
         const GError      *error)
{
  TestOwner *self = TEST_OWNER (owner);

  g_assert_true ((peer == NULL) == (error != NULL));
  g_atomic_int_inc (&self->n_calls);
  g_set_object (&self->peer, peer);
  g_clear_error (&self->error);
  self->error = error != NULL ? g_error_copy (error) : NULL;
  self->n_refused = n_refused;
  self->thread = g_thread_self ();
  if (!self->keeps)
    free_listener (self);
  if (self->on_peer != NULL)
    self->on_peer (self);
}

/* (transfer full): one with a listener, which is not attached yet. */
static TestOwner *
owner_new (GSocketAddress *address)
{
  g_autoptr (GError) error = NULL;
  TestOwner *self = g_object_new (TEST_TYPE_OWNER, NULL);

  self->listener = aqmp_listener_new (address, &error);
  g_assert_no_error (error);
  g_assert_nonnull (self->listener);
  return self;
}

static void
attach (TestOwner *self)
{
  aqmp_listener_attach (self->listener, g_main_context_get_thread_default (), G_OBJECT (self), on_peer);
}

/* ---- a fixture --------------------------------------------------------------------------------------------------- */

typedef struct
{
  TestTmpDir     *dir;      /* (owned) */
  char           *path;     /* (owned): where nothing is yet */
  GSocketAddress *address;  /* (owned): that path */
  guint           n_fds;    /* open before */
} Fixture;

static void
fixture_set_up (Fixture       *self,
                gconstpointer  data)
{
  self->dir = test_tmp_dir_new ();
  self->path = test_tmp_dir_build (self->dir, "socket");
  self->address = g_unix_socket_address_new (self->path);
  self->n_fds = test_count_fds ();
}

static void
fixture_tear_down (Fixture       *self,
                   gconstpointer  data)
{
  if (test_count_fds () != self->n_fds)
    {
      g_autofree char *fds = test_list_fds ();

      g_test_message ("%s", fds);
    }
  g_assert_cmpuint (test_count_fds (), ==, self->n_fds);
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
  g_clear_object (&self->address);
  g_clear_pointer (&self->path, g_free);
  g_clear_pointer (&self->dir, test_tmp_dir_free);
}

/* ---- plain sockets ----------------------------------------------------------------------------------------------- */

static struct sockaddr_un
unix_name (const char *path)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };

  g_assert_cmpuint (strlen (path), <, sizeof name.sun_path);
  strcpy (name.sun_path, path);
  return name;
}

/* A socket bound to @path. */
static int
bind_plain (const char *path,
            int         type)
{
  struct sockaddr_un name = unix_name (path);
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC, 0);

  g_assert_no_errno (fd);
  g_assert_no_errno (bind (fd, (struct sockaddr *) &name, sizeof name));
  return fd;
}

/* What a program leaves that has crashed. */
static void
leave_stale (const char *path)
{
  close (bind_plain (path, SOCK_STREAM));
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
}

static int
try_to_connect (GSocketAddress *address)
{
  struct sockaddr_storage name;
  gssize size = g_socket_address_get_native_size (address);
  int fd = socket (g_socket_address_get_family (address), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const struct timeval bound = { test_bound_us () / G_USEC_PER_SEC, 0 };

  g_assert_no_errno (fd);
  g_assert_no_errno (setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound));
  g_assert_true (g_socket_address_to_native (address, &name, sizeof name, NULL));
  if (connect (fd, (struct sockaddr *) &name, (socklen_t) size) < 0)
    {
      int saved_errno = errno;

      close (fd);
      errno = saved_errno;
      return -1;
    }
  return fd;
}

static int
connect_to (GSocketAddress *address)
{
  int fd = try_to_connect (address);

  g_assert_no_errno (fd);
  return fd;
}

/* The end, with or without a reset. */
static gboolean
is_gone (int fd)
{
  char byte;
  gssize n_read = recv (fd, &byte, 1, 0);

  return n_read == 0 || (n_read < 0 && errno == ECONNRESET);
}

static int
get_fd (GSocketConnection *connection)
{
  return g_socket_get_fd (g_socket_connection_get_socket (connection));
}

/* @fd is the other end. */
static void
assert_peers (GSocketConnection *connection,
              int                fd)
{
  char byte = '\0';

  g_assert_cmpint (send (fd, "x", 1, MSG_NOSIGNAL), ==, 1);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (connection), &byte, 1, NULL, NULL), ==, 1);
  g_assert_cmpint (byte, ==, 'x');
}

/* The only listening socket that there is. */
static int
find_listening_fd (void)
{
  int found = -1;
  int fd;

  for (fd = 0; fd < 1000; fd++)
    {
      int listening = 0;
      socklen_t length = sizeof listening;

      if (getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening)
        {
          g_assert_cmpint (found, ==, -1);
          found = fd;
        }
    }
  g_assert_cmpint (found, >=, 0);
  return found;
}

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

static GSocketAddress *
loopback (GSocketFamily family,
          guint16       port)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_loopback (family);

  return g_inet_socket_address_new (address, port);
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

/* ---- one peer ---------------------------------------------------------------------------------------------------- */

#define N_PEERS 6

static void
test_one_peer (Fixture       *self,
               gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fds[N_PEERS];
  guint i;

  for (i = 0; i < N_PEERS; i++)
    fds[i] = connect_to (self->address);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  g_assert_cmpuint (owner->n_refused, ==, N_PEERS - 1);
  for (i = 1; i < N_PEERS; i++)
    g_assert_true (is_gone (fds[i]));
  /* The first that came. */
  assert_peers (owner->peer, fds[0]);

  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 1);
  for (i = 0; i < N_PEERS; i++)
    close (fds[i]);
}

/* Whoever comes then waits in vain, until the listener goes; but nobody is told of him. */
static void
test_called_once (Fixture       *self,
                  gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int first = connect_to (self->address);
  int second;

  owner->keeps = TRUE;
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  second = connect_to (self->address);
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 1);
  assert_peers (owner->peer, first);
  free_listener (owner);
  g_assert_true (is_gone (second));
  close (first);
  close (second);
}

/* Nobody listens any more once the listener is freed, not even while its owner is still being called. */
static void
try_again (TestOwner *owner)
{
  int fd = try_to_connect (owner->hook_data);

  g_assert_cmpint (fd, ==, -1);
  g_assert_cmpint (errno, ==, ECONNREFUSED);
}

static void
test_closed_at_once (Fixture       *self,
                     gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV4, 0);
  g_autoptr (TestOwner) owner = owner_new (address);
  g_autoptr (GSocketAddress) effective = g_object_ref (aqmp_listener_get_address (owner->listener));
  int fd = connect_to (effective);

  owner->on_peer = try_again;
  owner->hook_data = effective;
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  close (fd);
}

/* It is looked at when it comes. */
static void
test_peer_comes_later (Fixture       *self,
                       gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd;

  attach (owner);
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 0);
  fd = connect_to (self->address);
  test_wait_until (owner->n_calls > 0);
  assert_peers (owner->peer, fd);
  close (fd);
}

/* A peer that has gone again is a peer still: what it said can be read. */
static void
test_peer_gone (Fixture       *self,
                gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);
  int other;
  char byte;

  g_assert_cmpint (send (fd, "x", 1, MSG_NOSIGNAL), ==, 1);
  close (fd);
  other = connect_to (self->address);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_cmpuint (owner->n_refused, ==, 1);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (owner->peer), &byte, 1, NULL, NULL), ==, 1);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (owner->peer), &byte, 1, NULL, NULL), ==, 0);
  g_assert_true (is_gone (other));
  close (other);
}

/* The same over TCP, with a reset. */
static void
test_peer_reset (Fixture       *self,
                 gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV4, 0);
  g_autoptr (TestOwner) owner = owner_new (address);
  const struct linger at_once = { 1, 0 };
  int fd = connect_to (aqmp_listener_get_address (owner->listener));

  g_assert_no_errno (setsockopt (fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  close (fd);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  g_assert_true (is_gone (get_fd (owner->peer)));
}

/* Somebody else, who has inherited the socket, takes the peer away: then there is none, and the next one counts. */
static gboolean
take_away (int           fd,
           GIOCondition  condition,
           gpointer      user_data)
{
  int *taken = user_data;

  *taken = accept (fd, NULL, NULL);
  g_assert_no_errno (*taken);
  return G_SOURCE_REMOVE;
}

static void
test_peer_taken_away (Fixture       *self,
                      gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  g_autoptr (GSource) source = NULL;
  int inherited = dup (find_listening_fd ());
  int taken = -1;
  int first;
  int second;

  /* Of the same priority, and attached before: both find the peer, and this one takes it. */
  source = g_unix_fd_source_new (inherited, G_IO_IN);
  g_source_set_callback (source, G_SOURCE_FUNC (take_away), &taken, NULL);
  g_source_attach (source, NULL);
  attach (owner);
  first = connect_to (self->address);
  test_dispatch_pending ();
  g_assert_cmpint (taken, >=, 0);
  g_assert_cmpint (owner->n_calls, ==, 0);

  second = connect_to (self->address);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  assert_peers (owner->peer, second);

  close (first);
  close (second);
  close (taken);
  close (inherited);
}

/* ---- no descriptors ---------------------------------------------------------------------------------------------- */

/* From now on only @n_more can be opened. (transfer full): to be given to allow_fds(). */
static struct rlimit
limit_fds (guint n_more)
{
  struct rlimit before;
  struct rlimit limit;
  int fds[10];
  guint i;

  /* Where the next ones would be. */
  g_assert_cmpuint (n_more, <, G_N_ELEMENTS (fds));
  for (i = 0; i <= n_more; i++)
    fds[i] = fcntl (0, F_DUPFD_CLOEXEC, 0);
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &before));
  limit = before;
  limit.rlim_cur = fds[n_more];
  for (i = 0; i <= n_more; i++)
    close (fds[i]);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  return before;
}

static void
allow_fds (struct rlimit before)
{
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &before));
}

static void
test_no_fds (Fixture       *self,
             gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);
  struct rlimit before;

  attach (owner);
  before = limit_fds (0);
  while (owner->n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  allow_fds (before);
  g_assert_null (owner->peer);
  g_assert_error (owner->error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_assert_true (is_gone (fd));
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 1);
  close (fd);
}

/* Enough for the first: those that could not be closed one by one go with the listening socket. */
static void
test_one_fd (Fixture       *self,
             gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fds[N_PEERS];
  struct rlimit before;
  guint i;

  for (i = 0; i < N_PEERS; i++)
    fds[i] = connect_to (self->address);
  attach (owner);
  before = limit_fds (1);
  while (owner->n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  allow_fds (before);
  g_assert_no_error (owner->error);
  assert_peers (owner->peer, fds[0]);
  for (i = 1; i < N_PEERS; i++)
    g_assert_true (is_gone (fds[i]));
  for (i = 0; i < N_PEERS; i++)
    close (fds[i]);
}

static void
test_no_fds_to_listen (Fixture       *self,
                       gconstpointer  data)
{
  g_autoptr (GError) error = NULL;
  struct rlimit before = limit_fds (0);
  AqmpListener *listener = aqmp_listener_new (self->address, &error);

  allow_fds (before);
  g_assert_null (listener);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  /* With none left to look whether it is stale, it counts as live. */
  leave_stale (self->path);
  before = limit_fds (1);
  listener = aqmp_listener_new (self->address, &error);
  allow_fds (before);
  g_assert_null (listener);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_assert_true (g_file_test (self->path, G_FILE_TEST_EXISTS));
}

/* ---- the owner, threads ------------------------------------------------------------------------------------------ */

/* Nobody to be called: the source goes, and nothing keeps spinning. */
static void
test_owner_gone (Fixture       *self,
                 gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  AqmpListener *listener = g_steal_pointer (&owner->listener);
  int fd;

  aqmp_listener_attach (listener, NULL, G_OBJECT (owner), on_peer);
  g_object_unref (owner);
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
  fd = connect_to (self->address);
  test_dispatch_pending ();
  aqmp_listener_free (listener);
  g_assert_true (is_gone (fd));
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
  close (fd);
}

static void
drop_owner (TestOwner *self)
{
  TestOwner **owner = self->hook_data;

  g_clear_object (owner);
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 1);
  /* It is still whole. */
  g_assert_true (G_IS_SOCKET_CONNECTION (self->peer));
}

static void
test_owner_dropped_meanwhile (Fixture       *self,
                              gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd = connect_to (self->address);

  owner->on_peer = drop_owner;
  owner->hook_data = &owner;
  attach (owner);
  test_wait_until (owner == NULL);
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
  g_assert_true (is_gone (fd));
  close (fd);
}

/* Freed before anybody came, or with one who waits. */
static void
test_freed (Fixture       *self,
            gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd;

  g_object_unref (owner);
  owner = owner_new (self->address);
  attach (owner);
  fd = connect_to (self->address);
  g_clear_pointer (&owner->listener, aqmp_listener_free);
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 0);
  g_assert_true (is_gone (fd));
  g_object_unref (owner);
  close (fd);
}

static gpointer
run_until_called (gpointer data)
{
  TestOwner *owner = TEST_OWNER (data);
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_true (owner->thread == g_thread_self ());
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* In the context where it is attached, whoever made it. */
static void
test_context (Fixture       *self,
              gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);

  g_thread_join (g_thread_new ("owner", run_until_called, owner));
  g_assert_no_error (owner->error);
  g_assert_true (owner->thread != g_thread_self ());
  assert_peers (owner->peer, fd);
  close (fd);
}

static gpointer
unref_elsewhere (gpointer owner)
{
  g_object_unref (owner);
  return NULL;
}

static void
test_freed_elsewhere (Fixture       *self,
                      gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd = connect_to (self->address);

  attach (owner);
  g_thread_join (g_thread_new ("unref", unref_elsewhere, owner));
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
  g_assert_true (is_gone (fd));
  test_dispatch_pending ();
  close (fd);
}

/* A peer that comes at the very moment when, in another thread, the owner goes, or only the listener: it sees the end,
   and nothing is leaked. */
static void
count_call (TestOwner *self)
{
  guint *n_called = self->hook_data;

  n_called[self->error != NULL]++;
}

typedef struct
{
  TestOwner *owner;      /* (owned) */
  gboolean   whole;      /* the owner, not only its listener */
  guint      patience;
  int        ready;      /* atomic */
  int        go;         /* atomic */
  int        done;       /* atomic */
} Dropper;

static void
spin (guint n_rounds)
{
  volatile guint i;

  for (i = 0; i < n_rounds; i++)
    ;
}

static gpointer
drop (gpointer data)
{
  Dropper *self = data;

  g_atomic_int_set (&self->ready, TRUE);
  while (!g_atomic_int_get (&self->go))
    g_thread_yield ();
  spin (self->patience);

  if (!self->whole)
    free_listener (self->owner);
  g_object_unref (self->owner);
  g_atomic_int_set (&self->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_race (Fixture       *self,
           gconstpointer  data)
{
  guint n_rounds = 300 / (test_timeout_scale () > 4 ? 10 : 1);
  guint n_called[2] = { 0, 0 };
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      Dropper dropper = { .whole = GPOINTER_TO_INT (data), .patience = i * 37 % 4000 };
      TestOwner *owner = owner_new (self->address);
      int fd = connect_to (self->address);
      GThread *thread;

      attach (owner);
      dropper.owner = owner;
      owner->hook_data = n_called;
      owner->on_peer = count_call;
      thread = g_thread_new ("drop", drop, &dropper);
      while (!g_atomic_int_get (&dropper.ready))
        g_thread_yield ();
      g_atomic_int_set (&dropper.go, TRUE);
      spin (i * 101 % 4000);
      test_wait_until (g_atomic_int_get (&dropper.done));
      g_thread_join (thread);
      test_dispatch_pending ();
      g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
      g_assert_true (is_gone (fd));
      close (fd);
    }
  g_test_message ("called with a peer in %u of %u rounds, with an error in %u", n_called[0], n_rounds, n_called[1]);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
do_nothing (GTask        *task,
            gpointer      source_object,
            gpointer      task_data,
            GCancellable *cancellable)
{
  g_task_return_boolean (task, TRUE);
}

/* What GLib opens once and keeps is no leak. */
static void
open_what_stays_open (void)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);

  g_main_context_default ();
  g_task_run_in_thread_sync (task, do_nothing);
}

static void
add (const char *path,
     gpointer    data,
     void      (*func) (Fixture *self, gconstpointer data))
{
  g_autofree char *full_path = g_strconcat ("/listener/", path, NULL);

  g_test_add (full_path, Fixture, data, fixture_set_up, func, fixture_tear_down);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  open_what_stays_open ();

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

  add ("S8/one-peer", NULL, test_one_peer);
  add ("S8/called-once", NULL, test_called_once);
  add ("S8/closed-at-once", NULL, test_closed_at_once);
  add ("S9/peer-comes-later", NULL, test_peer_comes_later);
  add ("S8/peer-gone", NULL, test_peer_gone);
  add ("S8/peer-reset", NULL, test_peer_reset);
  add ("S8/peer-taken-away", NULL, test_peer_taken_away);

  add ("S4/no-descriptors", NULL, test_no_fds);
  add ("S8/one-descriptor", NULL, test_one_fd);
  add ("S4/no-descriptors-to-listen", NULL, test_no_fds_to_listen);

  add ("S10/owner-gone", NULL, test_owner_gone);
  add ("T4/owner-dropped-meanwhile", NULL, test_owner_dropped_meanwhile);
  add ("S10/freed", NULL, test_freed);
  add ("T1/context", NULL, test_context);
  add ("T2/freed-elsewhere", NULL, test_freed_elsewhere);
  add ("T2/race/owner", GINT_TO_POINTER (TRUE), test_race);
  add ("T2/race/listener", GINT_TO_POINTER (FALSE), test_race);

  return g_test_run ();
}
