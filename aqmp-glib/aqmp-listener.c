/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-listener-private.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "aqmp-connector-private.h"

/* Threads: the owner's; not locked. Freed in any, once its source is destroyed. */

/* GIO cuts longer paths to this silently: one that long may not be the one that was meant. */
#define CUT_PATH_LENGTH (sizeof (((struct sockaddr_un *) NULL)->sun_path) - 1)

struct _AqmpListener
{
  GSocket        *socket;   /* (owned) */
  GSocketAddress *address;  /* (owned) */
  char           *path;     /* (owned) (nullable): to be unlinked, if it is still this: */
  dev_t           device;
  ino_t           inode;
  GSource        *source;   /* (owned) (nullable) */
};

/* Of the source: the listener itself may be freed in another thread while it is dispatched. */
typedef struct
{
  GSocket          *socket;  /* (owned) */
  GWeakRef          owner;
  AqmpListenerFunc  func;
} Watch;

/* --- The path ----------------------------------------------------------------------------------------------------- */

/* (nullable): what is unlinked in the end. */
static const char *
get_path (GSocketAddress *address)
{
  if (!G_IS_UNIX_SOCKET_ADDRESS (address) ||
      g_unix_socket_address_get_address_type (G_UNIX_SOCKET_ADDRESS (address)) != G_UNIX_SOCKET_ADDRESS_PATH)
    return NULL;
  return g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (address));
}

/* Whether no socket is bound to it any more. It is asked with a socket of another type, which can never be connected: so a
   live listener does not notice. */
static gboolean
is_stale (const char *path)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  gboolean refused;
  int fd;

  fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return FALSE;

  g_strlcpy (name.sun_path, path, sizeof name.sun_path);
  refused = connect (fd, (struct sockaddr *) &name, sizeof name) < 0 && errno == ECONNREFUSED;
  g_close (fd, NULL);

  return refused;
}

/* @error: that of binding, which found something at the path */
static void
explain_path_in_use (const char  *path,
                     GError     **error)
{
  struct stat status;
  GError *explained;

  if (lstat (path, &status) < 0 || S_ISSOCK (status.st_mode))
    return;

  explained = g_error_new_literal ((*error)->domain, (*error)->code,
                                   S_ISDIR (status.st_mode) ? _("there is a directory; choose another path")
                                                            : _("there is something that is no socket; choose another path"));
  g_clear_error (error);
  *error = explained;
}

/* Whoever else finds it stale at the same moment can lose what he has just bound; the kernel has no way to take a path over. */
static gboolean
remove_stale (const char *path)
{
  struct stat status;

  return lstat (path, &status) == 0 && S_ISSOCK (status.st_mode) && is_stale (path) && unlink (path) == 0;
}

/* --- Binding ------------------------------------------------------------------------------------------------------ */

static gboolean
check_path (const char  *path,
            GError     **error)
{
  if (strlen (path) < CUT_PATH_LENGTH)
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
               /* Translators: a path, and a number of bytes */
               _("The path “%s” is too long for a socket, or was cut to what fits in; use one of less than %zu bytes"),
               path, CUT_PATH_LENGTH);
  return FALSE;
}

/* Linux would find an abstract name for a UNIX address without any, where everybody may connect. */
static gboolean
check_address (GSocketAddress  *address,
               GError         **error)
{
  const char *path = get_path (address);

  if (G_IS_UNIX_SOCKET_ADDRESS (address) && g_unix_socket_address_get_path_len (G_UNIX_SOCKET_ADDRESS (address)) == 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                           _("The address has neither a path nor a name; give it one"));
      return FALSE;
    }

  return path == NULL || check_path (path, error);
}

static gboolean
bind_socket (GSocket         *socket,
             GSocketAddress  *address,
             GError         **error)
{
  const char *path = get_path (address);
  GError *local_error = NULL;

  /* Before it is bound: Linux then makes the socket file with these permissions, as open() would. */
  if (path != NULL && fchmod (g_socket_get_fd (socket), S_IRUSR | S_IWUSR) < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   _("Could not keep others out of the socket: %s"), g_strerror (saved_errno));
      return FALSE;
    }

  if (g_socket_bind (socket, address, TRUE, &local_error))
    return TRUE;

  if (path != NULL && g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
    {
      if (remove_stale (path))
        {
          g_clear_error (&local_error);
          return g_socket_bind (socket, address, TRUE, error);
        }
      explain_path_in_use (path, &local_error);
    }

  g_propagate_error (error, local_error);
  return FALSE;
}

/* The working directory can be another one by the time that it is unlinked. Not g_canonicalize_filename(), which does not know
   where “..” leads to behind a symbolic link. */
static char *
make_absolute (const char *path)
{
  g_autofree char *directory = NULL;

  if (g_path_is_absolute (path))
    return g_strdup (path);

  directory = g_get_current_dir ();
  return g_build_filename (directory, path, NULL);
}

static void
remember_path (AqmpListener *self,
               const char   *path)
{
  struct stat status;

  if (path == NULL || lstat (path, &status) < 0)
    return;

  self->path = make_absolute (path);
  self->device = status.st_dev;
  self->inode = status.st_ino;
}

static void
unlink_path (AqmpListener *self)
{
  struct stat status;

  if (self->path == NULL)
    return;

  if (lstat (self->path, &status) == 0 && status.st_dev == self->device && status.st_ino == self->inode)
    unlink (self->path);
  g_clear_pointer (&self->path, g_free);
}

AqmpListener *
aqmp_listener_new (GSocketAddress  *address,
                   GError         **error)
{
  g_autoptr (GSocket) socket = NULL;
  AqmpListener *self;

  if (!check_address (address, error))
    return NULL;

  socket = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
  if (socket == NULL || !bind_socket (socket, address, error))
    return NULL;

  self = g_new0 (AqmpListener, 1);
  self->socket = g_steal_pointer (&socket);
  remember_path (self, get_path (address));
  g_socket_set_blocking (self->socket, FALSE);

  self->address = g_socket_get_local_address (self->socket, error);
  if (self->address == NULL || !g_socket_listen (self->socket, error))
    {
      aqmp_listener_free (self);
      return NULL;
    }

  return self;
}

GSocketAddress *
aqmp_listener_get_address (AqmpListener *self)
{
  return self->address;
}

/* --- Accepting ---------------------------------------------------------------------------------------------------- */

static GSocketConnection *
connection_new (GSocket *peer)
{
  GSocketConnection *connection = g_socket_connection_factory_create_connection (peer);

  aqmp_connector_tune (connection);
  return connection;
}

static guint
refuse_others (GSocket *socket)
{
  GSocket *other;
  guint n_refused = 0;

  while ((other = g_socket_accept (socket, NULL, NULL)) != NULL)
    {
      g_object_unref (other);
      n_refused++;
    }

  return n_refused;
}

/* A peer that has changed its mind leaves nothing to report. */
static gboolean
is_passing (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

static gboolean
on_readable (GSocket      *socket,
             GIOCondition  condition,
             gpointer      user_data)
{
  Watch *watch = user_data;
  g_autoptr (GObject) owner = g_weak_ref_get (&watch->owner);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GSocket) peer = NULL;
  g_autoptr (GError) error = NULL;
  guint n_refused = 0;

  if (owner == NULL || g_source_is_destroyed (g_main_current_source ()))
    return G_SOURCE_REMOVE;

  peer = g_socket_accept (socket, NULL, &error);
  if (peer == NULL && is_passing (error))
    return G_SOURCE_CONTINUE;

  if (peer != NULL)
    {
      connection = connection_new (peer);
      n_refused = refuse_others (socket);
    }
  watch->func (owner, connection, n_refused, error);

  return G_SOURCE_REMOVE;
}

static void
watch_free (gpointer data)
{
  Watch *watch = data;

  g_object_unref (watch->socket);
  g_weak_ref_clear (&watch->owner);
  g_free (watch);
}

static void
detach (AqmpListener *self)
{
  if (self->source == NULL)
    return;

  g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
}

void
aqmp_listener_attach (AqmpListener     *self,
                      GMainContext     *context,
                      GObject          *owner,
                      AqmpListenerFunc  func)
{
  Watch *watch = g_new (Watch, 1);

  detach (self);

  watch->socket = g_object_ref (self->socket);
  g_weak_ref_init (&watch->owner, owner);
  watch->func = func;

  self->source = g_socket_create_source (self->socket, G_IO_IN, NULL);
  g_source_set_name (self->source, "[aqmp] listening");
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_readable), watch, watch_free);
  g_source_attach (self->source, context);
}

void
aqmp_listener_free (AqmpListener *self)
{
  detach (self);
  /* First the path, so that who finds it is not refused. */
  unlink_path (self);
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  g_clear_object (&self->address);
  g_free (self);
}
