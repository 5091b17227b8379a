/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-connector-private.h"

#include <gio/gunixsocketaddress.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "aqmp-alloc-private.h"

/* Threads: the one that runs the context which was the thread-default one at the beginning; not locked. */

#define RETRY_INTERVAL_MS 20

typedef struct
{
  GSocketClient      *client;   /* (owned) (nullable) */
  GSocketConnectable *address;  /* (owned) */
} Attempt;

static void try_to_connect (GTask *task);

static void
attempt_free (Attempt *self)
{
  g_clear_object (&self->client);
  g_object_unref (self->address);
  g_free (self);
}

static gboolean
retry (gpointer user_data)
{
  try_to_connect (user_data);
  return G_SOURCE_REMOVE;
}

/* The source holds the task; that the attempt was cancelled shows when it tries again. */
static void
retry_later (GTask *task)
{
  g_autoptr (GSource) source = g_timeout_source_new (RETRY_INTERVAL_MS);

  g_source_set_name (source, "[aqmp] backlog full");
  g_source_set_callback (source, retry, g_object_ref (task), g_object_unref);
  g_source_attach (source, g_task_get_context (task));
}

void
aqmp_connector_tune (GSocketConnection *connection)
{
  GSocket *socket = g_socket_connection_get_socket (connection);
  GSocketFamily family = g_socket_get_family (socket);

  if (family != G_SOCKET_FAMILY_IPV4 && family != G_SOCKET_FAMILY_IPV6)
    return;

  /* A host that is gone is noticed; small commands are not held back to be sent together. */
  g_socket_set_keepalive (socket, TRUE);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, TRUE, NULL);
}

/* @connection: (transfer full) (nullable)
   @error: (transfer full) (nullable): why there is none */
static void
take_outcome (GTask             *task,
              GSocketConnection *connection,
              GError            *error)
{
  if (connection != NULL)
    {
      aqmp_connector_tune (connection);
      g_task_return_pointer (task, connection, g_object_unref);
    }
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    {
      g_error_free (error);
      retry_later (task);
    }
  else
    g_task_return_error (task, error);
}

static void
connected (GObject      *client,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GSocketConnection *connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (client), result, &error);

  take_outcome (task, connection, error);
}

static GSocketConnection *
connect_unix (GSocketAddress  *address,
              GCancellable    *cancellable,
              GError         **error)
{
  g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);

  if (socket == NULL)
    return NULL;

  g_socket_set_blocking (socket, FALSE);
  if (!g_socket_connect (socket, address, cancellable, error))
    return NULL;

  g_socket_set_blocking (socket, TRUE);
  return g_socket_connection_factory_create_connection (socket);
}

GIOStream *
aqmp_connector_connect_at_once (GSocketConnectable *address,
                                GCancellable       *cancellable)
{
  GSocketConnection *connection = NULL;

  if (G_IS_UNIX_SOCKET_ADDRESS (address))
    connection = connect_unix (G_SOCKET_ADDRESS (address), cancellable, NULL);
  return connection != NULL ? G_IO_STREAM (connection) : NULL;
}

/* To a UNIX socket there is a connection at once, or none. GSocketClient, which is for addresses that have to be looked for, and
   for those that answer in their own time, would be a third of all the work that a session of one command is. */
static void
try_to_connect (GTask *task)
{
  Attempt *self = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);

  if (g_task_return_error_if_cancelled (task))
    return;

  if (G_IS_UNIX_SOCKET_ADDRESS (self->address))
    {
      GError *error = NULL;
      GSocketConnection *connection = connect_unix (G_SOCKET_ADDRESS (self->address), cancellable, &error);

      take_outcome (task, connection, error);
      return;
    }

  if (self->client == NULL)
    {
      self->client = g_socket_client_new ();
      g_socket_client_set_enable_proxy (self->client, FALSE);
    }
  g_socket_client_connect_async (self->client, self->address, cancellable, connected, g_object_ref (task));
}

void
aqmp_connector_connect_async (GSocketConnectable  *address,
                              GCancellable        *cancellable,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Attempt *self = aqmp_new0 (Attempt);

  self->address = g_object_ref (address);
  g_task_set_source_tag (task, aqmp_connector_connect_async);
  g_task_set_task_data (task, self, (GDestroyNotify) attempt_free);
  try_to_connect (task);
}

GIOStream *
aqmp_connector_connect_finish (GAsyncResult  *result,
                               GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
