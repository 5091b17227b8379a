/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-connector-private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

/* Threads: the one that runs the context which was the thread-default one at the beginning; not locked. */

#define RETRY_INTERVAL_MS 20

typedef struct
{
  GSocketClient      *client;   /* (owned) */
  GSocketConnectable *address;  /* (owned) */
} Attempt;

static void try_to_connect (GTask *task);

static void
attempt_free (Attempt *self)
{
  g_object_unref (self->client);
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

static void
connected (GObject      *client,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  GSocketConnection *connection;

  connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (client), result, &error);

  if (connection != NULL)
    {
      aqmp_connector_tune (connection);
      g_task_return_pointer (task, connection, g_object_unref);
    }
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    retry_later (task);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

static void
try_to_connect (GTask *task)
{
  Attempt *self = g_task_get_task_data (task);

  g_socket_client_connect_async (self->client, self->address, g_task_get_cancellable (task), connected,
                                 g_object_ref (task));
}

void
aqmp_connector_connect_async (GSocketConnectable  *address,
                              GCancellable        *cancellable,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Attempt *self = g_new0 (Attempt, 1);

  self->client = g_socket_client_new ();
  self->address = g_object_ref (address);
  g_socket_client_set_enable_proxy (self->client, FALSE);

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
