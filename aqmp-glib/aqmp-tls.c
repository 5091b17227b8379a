/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-tls-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-nested-context-private.h"

/* Threads: the owner's; not locked. What GIO computes in threads of its own calls back there. */

typedef struct
{
  GTlsConnection       *connection;  /* (owned) */
  GMainContext         *context;     /* (owned): where GIO asks about certificates; see Driver */
  GSocketConnectable   *identity;    /* (owned) (nullable): that the server should have */
  AqmpTlsAcceptFunc     accept;
  gpointer              data;        /* (unowned) */
  gulong                handler;
  GSource              *driver;      /* (owned) */
  GTlsCertificateFlags  flags;       /* why the certificate was refused */
} Handshake;

void
aqmp_tls_copy (AqmpTls       *self,
               const AqmpTls *other)
{
  *self = *other;
  self->certificate = other->certificate != NULL ? g_object_ref (other->certificate) : NULL;
  self->database = other->database != NULL ? g_object_ref (other->database) : NULL;
  self->interaction = other->interaction != NULL ? g_object_ref (other->interaction) : NULL;
  self->server_identity = other->server_identity != NULL ? g_object_ref (other->server_identity) : NULL;
}

void
aqmp_tls_clear (AqmpTls *self)
{
  g_clear_object (&self->certificate);
  g_clear_object (&self->database);
  g_clear_object (&self->interaction);
  g_clear_object (&self->server_identity);
}

/* --- Beforehand --------------------------------------------------------------------------------------------------- */

static gboolean
check_backend (GError **error)
{
  if (g_tls_backend_supports_tls (g_tls_backend_get_default ()))
    return TRUE;

  g_set_error_literal (error, G_TLS_ERROR, G_TLS_ERROR_UNAVAILABLE,
                       _("GIO has no TLS here; install glib-networking"));
  return FALSE;
}

/* Whether a certificate can be compared with it. */
static gboolean
is_identity (GSocketConnectable *address)
{
  return G_IS_NETWORK_ADDRESS (address) || G_IS_NETWORK_SERVICE (address) || G_IS_INET_SOCKET_ADDRESS (address);
}

static GSocketConnectable *
choose_identity (const AqmpTls      *self,
                 GSocketConnectable *address)
{
  if (self->server_identity != NULL)
    return self->server_identity;
  return is_identity (address) ? address : NULL;
}

gboolean
aqmp_tls_check_client (const AqmpTls       *self,
                       GSocketConnectable  *address,
                       GError             **error)
{
  if (!self->enabled)
    return TRUE;
  if (!check_backend (error))
    return FALSE;
  if (choose_identity (self, address) != NULL)
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                       _("The address has no host name that the server’s certificate could be compared with; set "
                         "“tls-server-identity”"));
  return FALSE;
}

gboolean
aqmp_tls_check_server (const AqmpTls  *self,
                       GError        **error)
{
  if (!self->enabled)
    return TRUE;
  if (!check_backend (error))
    return FALSE;
  if (self->certificate != NULL)
    return TRUE;

  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                       _("A server needs a certificate for TLS; set “tls-certificate”"));
  return FALSE;
}

/* --- Certificates ------------------------------------------------------------------------------------------------- */

static gboolean
on_accept_certificate (GTlsConnection       *connection,
                       GTlsCertificate      *certificate,
                       GTlsCertificateFlags  flags,
                       gpointer              user_data)
{
  Handshake *self = user_data;

  /* GIO asks a server about every certificate of a client, also about one that has passed. */
  if (flags == 0)
    return TRUE;

  if (self->accept (self->data, certificate, flags))
    return TRUE;

  self->flags = flags;
  return FALSE;
}

static void
append_reason (GString    *reasons,
               const char *reason)
{
  if (reasons->len > 0)
    g_string_append (reasons, "; ");
  g_string_append (reasons, reason);
}

/* Without the port, which plays no part in a certificate. Only a client gets here. */
static char *
describe_identity (Handshake *self)
{
  if (G_IS_NETWORK_ADDRESS (self->identity))
    return g_strdup (g_network_address_get_hostname (G_NETWORK_ADDRESS (self->identity)));
  if (G_IS_INET_SOCKET_ADDRESS (self->identity))
    return g_inet_address_to_string (g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (self->identity)));
  return g_socket_connectable_to_string (self->identity);
}

/* GIO only says that it is unacceptable. */
static char *
describe_flags (Handshake *self)
{
  static const struct
  {
    GTlsCertificateFlags flag;
    const char *reason;
  } simple[] = {
    { G_TLS_CERTIFICATE_UNKNOWN_CA, N_("nobody that is trusted here has signed it") },
    { G_TLS_CERTIFICATE_NOT_ACTIVATED, N_("it is not valid yet") },
    { G_TLS_CERTIFICATE_EXPIRED, N_("it has expired") },
    { G_TLS_CERTIFICATE_REVOKED, N_("it was revoked") },
    { G_TLS_CERTIFICATE_INSECURE, N_("its algorithm is not secure") },
    { G_TLS_CERTIFICATE_GENERIC_ERROR, N_("it could not be verified") },
  };
  GString *reasons = g_string_new (NULL);
  guint i;

  if (self->identity != NULL && (self->flags & G_TLS_CERTIFICATE_BAD_IDENTITY))
    {
      g_autofree char *identity = describe_identity (self);
      g_autofree char *reason = g_strdup_printf (_("it is not for “%s”"), identity);

      append_reason (reasons, reason);
    }
  for (i = 0; i < G_N_ELEMENTS (simple); i++)
    if (self->flags & simple[i].flag)
      append_reason (reasons, _(simple[i].reason));

  return g_string_free (reasons, FALSE);
}

/* --- Driving ------------------------------------------------------------------------------------------------------ */

/* GIO computes a handshake in a thread of its own, and asks about certificates in the context where it was begun; but if that is
   the default one, and nobody is running it at the moment, in the thread of the handshake. So it is begun in a context of its own,
   which the owner's drives. */
typedef struct
{
  GSource           source;
  AqmpNestedContext nested;
  GMainContext     *context;  /* (owned) */
} Driver;

static gboolean
driver_prepare (GSource *source,
                int     *timeout)
{
  Driver *self = (Driver *) source;

  *timeout = -1;
  return aqmp_nested_context_prepare (&self->nested, source, self->context, timeout);
}

static gboolean
driver_check (GSource *source)
{
  Driver *self = (Driver *) source;

  return aqmp_nested_context_check (&self->nested, source, self->context);
}

static gboolean
driver_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     user_data)
{
  Driver *self = (Driver *) source;

  g_main_context_iteration (self->context, FALSE);
  return G_SOURCE_CONTINUE;
}

static void
driver_finalize (GSource *source)
{
  Driver *self = (Driver *) source;

  aqmp_nested_context_clear (&self->nested);
  g_main_context_unref (self->context);
}

static GSourceFuncs driver_funcs = {
  driver_prepare,
  driver_check,
  driver_dispatch,
  driver_finalize,
  NULL,
  NULL,
};

/* (transfer full) */
static GSource *
drive (GMainContext *context,
       GMainContext *owner_context)
{
  Driver *self = (Driver *) g_source_new (&driver_funcs, sizeof (Driver));

  self->context = g_main_context_ref (context);
  g_source_set_name (&self->source, "[aqmp] TLS handshake");
  g_source_attach (&self->source, owner_context);
  return &self->source;
}

/* --- The handshake ------------------------------------------------------------------------------------------------ */

static void
handshake_free (gpointer data)
{
  Handshake *self = data;

  g_source_destroy (self->driver);
  g_source_unref (self->driver);
  g_main_context_unref (self->context);
  g_object_unref (self->connection);
  g_clear_object (&self->identity);
  g_free (self);
}

static void
handshaken (GObject      *connection,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  Handshake *self = g_task_get_task_data (task);
  GError *error = NULL;

  g_signal_handler_disconnect (connection, self->handler);
  g_source_destroy (self->driver);

  if (g_tls_connection_handshake_finish (G_TLS_CONNECTION (connection), result, &error))
    {
      g_task_return_pointer (task, g_object_ref (connection), g_object_unref);
      return;
    }

  if (self->flags != 0 && g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
    {
      g_autofree char *reasons = describe_flags (self);

      g_clear_error (&error);
      g_set_error (&error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE,
                   _("The certificate of the peer is not acceptable: %s"), reasons);
    }
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_prefix_error (&error, _("The TLS handshake failed: "));
  g_task_return_error (task, error);
}

/* With the database from the beginning: otherwise GIO first reads all that the system trusts, which takes it more than 10 ms. */
static GTlsConnection *
connection_new (const AqmpTls       *self,
                GIOStream           *base,
                GSocketConnectable  *address,
                GError             **error)
{
  GTlsBackend *backend = g_tls_backend_get_default ();
  gpointer connection;

  if (address != NULL)
    connection = g_initable_new (g_tls_backend_get_client_connection_type (backend), NULL, error,
                                 "base-io-stream", base,
                                 "server-identity", choose_identity (self, address),
                                 self->database != NULL ? "database" : NULL, self->database,
                                 NULL);
  else
    connection = g_initable_new (g_tls_backend_get_server_connection_type (backend), NULL, error,
                                 "base-io-stream", base,
                                 "certificate", self->certificate,
                                 self->database != NULL ? "database" : NULL, self->database,
                                 NULL);

  return connection;
}

static void
configure (const AqmpTls  *self,
           GTlsConnection *connection)
{
  if (G_IS_TLS_SERVER_CONNECTION (connection))
    g_object_set (connection, "authentication-mode", self->auth_mode, NULL);
  else if (self->certificate != NULL)
    g_tls_connection_set_certificate (connection, self->certificate);

  if (self->interaction != NULL)
    g_tls_connection_set_interaction (connection, self->interaction);

  /* QEMU does not say goodbye, and JSON shows by itself whether a message is whole. */
  g_tls_connection_set_require_close_notify (connection, FALSE);
}

void
aqmp_tls_handshake_async (const AqmpTls       *self,
                          GIOStream           *base,
                          GSocketConnectable  *address,
                          AqmpTlsAcceptFunc    accept,
                          gpointer             data,
                          GCancellable        *cancellable,
                          GAsyncReadyCallback  callback,
                          gpointer             user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  GTlsConnection *connection;
  Handshake *handshake;
  GError *error = NULL;

  g_task_set_source_tag (task, aqmp_tls_handshake_async);

  connection = connection_new (self, base, address, &error);
  if (connection == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  configure (self, connection);

  handshake = g_new0 (Handshake, 1);
  handshake->connection = connection;
  handshake->accept = accept;
  handshake->data = data;
  if (address != NULL)
    handshake->identity = g_object_ref (choose_identity (self, address));
  handshake->handler = g_signal_connect (connection, "accept-certificate", G_CALLBACK (on_accept_certificate), handshake);
  handshake->context = g_main_context_new_with_flags (G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  handshake->driver = drive (handshake->context, g_task_get_context (task));
  g_task_set_task_data (task, handshake, handshake_free);

  g_main_context_push_thread_default (handshake->context);
  g_tls_connection_handshake_async (connection, G_PRIORITY_DEFAULT, cancellable, handshaken, g_object_ref (task));
  g_main_context_pop_thread_default (handshake->context);
}

GIOStream *
aqmp_tls_handshake_finish (GAsyncResult  *result,
                           GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
