/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "listener-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- an owner ---------------------------------------------------------------------------------------------------- */

G_DEFINE_FINAL_TYPE (TestOwner, test_owner, G_TYPE_OBJECT)

static int n_owners;  /* atomic */

int
count_owners (void)
{
  return g_atomic_int_get (&n_owners);
}

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
void
free_listener (TestOwner *self)
{
  AqmpListener *listener = g_atomic_pointer_exchange (&self->listener, NULL);

  if (listener != NULL)
    aqmp_listener_free (listener);
}

void
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
TestOwner *
owner_new (GSocketAddress *address)
{
  g_autoptr (GError) error = NULL;
  TestOwner *self = g_object_new (TEST_TYPE_OWNER, NULL);

  self->listener = aqmp_listener_new (address, &error);
  g_assert_no_error (error);
  g_assert_nonnull (self->listener);
  return self;
}

void
attach (TestOwner *self)
{
  aqmp_listener_attach (self->listener, g_main_context_get_thread_default (), G_OBJECT (self), on_peer);
}

/* ---- a fixture --------------------------------------------------------------------------------------------------- */

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
  g_assert_cmpint (count_owners (), ==, 0);
  g_clear_object (&self->address);
  g_clear_pointer (&self->path, g_free);
  g_clear_pointer (&self->dir, test_tmp_dir_free);
}

/* ---- plain sockets ----------------------------------------------------------------------------------------------- */

struct sockaddr_un
unix_name (const char *path)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };

  g_assert_cmpuint (strlen (path), <, sizeof name.sun_path);
  strcpy (name.sun_path, path);
  return name;
}

/* A socket bound to @path. */
int
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
void
leave_stale (const char *path)
{
  close (bind_plain (path, SOCK_STREAM));
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
}

int
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

int
connect_to (GSocketAddress *address)
{
  int fd = try_to_connect (address);

  g_assert_no_errno (fd);
  return fd;
}

/* The end, with or without a reset. */
gboolean
is_gone (int fd)
{
  char byte;
  gssize n_read = recv (fd, &byte, 1, 0);

  return n_read == 0 || (n_read < 0 && errno == ECONNRESET);
}

int
get_fd (GSocketConnection *connection)
{
  return g_socket_get_fd (g_socket_connection_get_socket (connection));
}

/* @fd is the other end. */
void
assert_peers (GSocketConnection *connection,
              int                fd)
{
  char byte = '\0';

  g_assert_cmpint (send (fd, "x", 1, MSG_NOSIGNAL), ==, 1);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (connection), &byte, 1, NULL, NULL), ==, 1);
  g_assert_cmpint (byte, ==, 'x');
}

/* The only listening socket that there is. */
int
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

GSocketAddress *
loopback (GSocketFamily family,
          guint16       port)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_loopback (family);

  return g_inet_socket_address_new (address, port);
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

void
add (const char *path,
     gpointer    data,
     void      (*func) (Fixture *self, gconstpointer data))
{
  g_autofree char *full_path = g_strconcat ("/listener/", path, NULL);

  g_test_add (full_path, Fixture, data, fixture_set_up, func, fixture_tear_down);
}

void
init_listener_tests (int    *argc,
                     char ***argv)
{
  g_test_init (argc, argv, NULL);
  test_open_what_stays_open ();
}
