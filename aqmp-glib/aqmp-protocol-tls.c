/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-protocol-private.h"

/* Threads: the owner's; not locked. */

#define LARGEST_RECORD 16384

enum
{
  PROP_TLS = AQMP_PROTOCOL_FIRST_TLS_PROPERTY,
  PROP_TLS_CERTIFICATE,
  PROP_TLS_DATABASE,
  PROP_TLS_INTERACTION,
  PROP_TLS_AUTH_MODE,
  PROP_TLS_SERVER_IDENTITY,
  PROP_TLS_RECORD_SIZE,
  END_OF_PROPERTIES
};

static GParamSpec *properties[END_OF_PROPERTIES - AQMP_PROTOCOL_FIRST_TLS_PROPERTY];

#define pspec_of(id) (properties[(id) - AQMP_PROTOCOL_FIRST_TLS_PROPERTY])

static void
notify (AqmpProtocol *self,
        guint         property_id)
{
  g_object_notify_by_pspec (G_OBJECT (self), pspec_of (property_id));
}

/* --- Records ------------------------------------------------------------------------------------------------------ */

static gboolean
is_secure (GIOStream *stream)
{
  if (G_IS_TCP_WRAPPER_CONNECTION (stream))
    stream = g_tcp_wrapper_connection_get_base_io_stream (G_TCP_WRAPPER_CONNECTION (stream));
  return G_IS_TLS_CONNECTION (stream);
}

/* One write to a TLS stream makes one record. */
void
aqmp_protocol_apply_record_size (AqmpProtocol *self)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  if (priv->transport != NULL && is_secure (priv->stream))
    aqmp_transport_set_portions (priv->transport, priv->tls_record_size,
                                 priv->tls_record_size == 0 && priv->last_byte_apart);
}

void
aqmp_protocol_set_last_byte_apart (AqmpProtocol *self,
                                   gboolean      last_byte_apart)
{
  aqmp_protocol_get_private (self)->last_byte_apart = last_byte_apart;
  aqmp_protocol_apply_record_size (self);
}

/* --- Accessors ---------------------------------------------------------------------------------------------------- */

/**
 * aqmp_protocol_get_tls: (get-property tls)
 * @self: a protocol
 *
 * Gets whether connections are made secure with TLS. To be called in the owner's context.
 *
 * Returns: %TRUE if they are
 *
 * Since: 1.0
 */
gboolean
aqmp_protocol_get_tls (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), FALSE);

  return aqmp_protocol_get_private (self)->tls.enabled;
}

/**
 * aqmp_protocol_set_tls: (set-property tls)
 * @self: a protocol
 * @tls: whether they are
 *
 * Sets whether connections are made secure with TLS. Holds from the next attempt on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls (AqmpProtocol *self,
                       gboolean      tls)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));

  tls = !!tls;
  if (priv->tls.enabled == tls)
    return;

  priv->tls.enabled = tls;
  notify (self, PROP_TLS);
}

/**
 * aqmp_protocol_get_tls_certificate: (get-property tls-certificate)
 * @self: a protocol
 *
 * Gets the certificate that this side shows. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): the certificate, or %NULL for none
 *
 * Since: 1.0
 */
GTlsCertificate *
aqmp_protocol_get_tls_certificate (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->tls.certificate;
}

/**
 * aqmp_protocol_set_tls_certificate: (set-property tls-certificate)
 * @self: a protocol
 * @tls_certificate: (nullable): a certificate with its private key, or %NULL for none
 *
 * Sets the certificate that this side shows. Holds from the next attempt on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls_certificate (AqmpProtocol    *self,
                                   GTlsCertificate *tls_certificate)
{
  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (tls_certificate == NULL || G_IS_TLS_CERTIFICATE (tls_certificate));

  if (g_set_object (&aqmp_protocol_get_private (self)->tls.certificate, tls_certificate))
    notify (self, PROP_TLS_CERTIFICATE);
}

/**
 * aqmp_protocol_get_tls_database: (get-property tls-database)
 * @self: a protocol
 *
 * Gets whom this side trusts. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): the authorities, or %NULL for those that the system trusts
 *
 * Since: 1.0
 */
GTlsDatabase *
aqmp_protocol_get_tls_database (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->tls.database;
}

/**
 * aqmp_protocol_set_tls_database: (set-property tls-database)
 * @self: a protocol
 * @tls_database: (nullable): the authorities, or %NULL for those that the system trusts
 *
 * Sets whom this side trusts. Holds from the next attempt on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls_database (AqmpProtocol *self,
                                GTlsDatabase *tls_database)
{
  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (tls_database == NULL || G_IS_TLS_DATABASE (tls_database));

  if (g_set_object (&aqmp_protocol_get_private (self)->tls.database, tls_database))
    notify (self, PROP_TLS_DATABASE);
}

/**
 * aqmp_protocol_get_tls_interaction: (get-property tls-interaction)
 * @self: a protocol
 *
 * Gets what asks the user in a handshake. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): what asks the user, or %NULL for nothing
 *
 * Since: 1.0
 */
GTlsInteraction *
aqmp_protocol_get_tls_interaction (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->tls.interaction;
}

/**
 * aqmp_protocol_set_tls_interaction: (set-property tls-interaction)
 * @self: a protocol
 * @tls_interaction: (nullable): what asks the user, or %NULL for nothing
 *
 * Sets what asks the user in a handshake. Holds from the next attempt on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls_interaction (AqmpProtocol    *self,
                                   GTlsInteraction *tls_interaction)
{
  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (tls_interaction == NULL || G_IS_TLS_INTERACTION (tls_interaction));

  if (g_set_object (&aqmp_protocol_get_private (self)->tls.interaction, tls_interaction))
    notify (self, PROP_TLS_INTERACTION);
}

/**
 * aqmp_protocol_get_tls_auth_mode: (get-property tls-auth-mode)
 * @self: a protocol
 *
 * Gets whether a server asks its peer for a certificate. To be called in the owner's context.
 *
 * Returns: the mode
 *
 * Since: 1.0
 */
GTlsAuthenticationMode
aqmp_protocol_get_tls_auth_mode (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), G_TLS_AUTHENTICATION_NONE);

  return aqmp_protocol_get_private (self)->tls.auth_mode;
}

/**
 * aqmp_protocol_set_tls_auth_mode: (set-property tls-auth-mode)
 * @self: a protocol
 * @tls_auth_mode: the mode
 *
 * Sets whether a server asks its peer for a certificate. Holds from the next attempt on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls_auth_mode (AqmpProtocol           *self,
                                 GTlsAuthenticationMode  tls_auth_mode)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));

  if (priv->tls.auth_mode == tls_auth_mode)
    return;

  priv->tls.auth_mode = tls_auth_mode;
  notify (self, PROP_TLS_AUTH_MODE);
}

/**
 * aqmp_protocol_get_tls_server_identity: (get-property tls-server-identity)
 * @self: a protocol
 *
 * Gets whom the certificate of the server has to be for. To be called in the owner's context.
 *
 * Returns: (nullable) (transfer none): a host, or %NULL for that of the address which is connected to
 *
 * Since: 1.0
 */
GSocketConnectable *
aqmp_protocol_get_tls_server_identity (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), NULL);

  return aqmp_protocol_get_private (self)->tls.server_identity;
}

/**
 * aqmp_protocol_set_tls_server_identity: (set-property tls-server-identity)
 * @self: a protocol
 * @tls_server_identity: (nullable): a host, or %NULL for that of the address which is connected to
 *
 * Sets whom the certificate of the server has to be for. Holds from the next attempt on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls_server_identity (AqmpProtocol       *self,
                                       GSocketConnectable *tls_server_identity)
{
  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (tls_server_identity == NULL || G_IS_SOCKET_CONNECTABLE (tls_server_identity));

  if (g_set_object (&aqmp_protocol_get_private (self)->tls.server_identity, tls_server_identity))
    notify (self, PROP_TLS_SERVER_IDENTITY);
}

/**
 * aqmp_protocol_get_tls_record_size: (get-property tls-record-size)
 * @self: a protocol
 *
 * Gets how many bytes go into one TLS record. To be called in the owner's context.
 *
 * Returns: a number of bytes, 0 to leave it to the session
 *
 * Since: 1.0
 */
guint
aqmp_protocol_get_tls_record_size (AqmpProtocol *self)
{
  g_return_val_if_fail (AQMP_IS_PROTOCOL (self), 0);

  return aqmp_protocol_get_private (self)->tls_record_size;
}

/**
 * aqmp_protocol_set_tls_record_size: (set-property tls-record-size)
 * @self: a protocol
 * @tls_record_size: a number of bytes from 1 to 16384, or 0 to leave it to the session
 *
 * Sets how many bytes go into one TLS record; see [property@Protocol:tls-record-size]. Holds at once. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_protocol_set_tls_record_size (AqmpProtocol *self,
                                   guint         tls_record_size)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  g_return_if_fail (AQMP_IS_PROTOCOL (self));
  g_return_if_fail (tls_record_size <= LARGEST_RECORD);

  if (priv->tls_record_size == tls_record_size)
    return;

  priv->tls_record_size = tls_record_size;
  aqmp_protocol_apply_record_size (self);
  notify (self, PROP_TLS_RECORD_SIZE);
}

/* --- The class ---------------------------------------------------------------------------------------------------- */

gboolean
aqmp_protocol_tls_get_property (AqmpProtocol *self,
                                guint         property_id,
                                GValue       *value)
{
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (self);

  switch (property_id)
    {
    case PROP_TLS:
      g_value_set_boolean (value, priv->tls.enabled);
      return TRUE;
    case PROP_TLS_CERTIFICATE:
      g_value_set_object (value, priv->tls.certificate);
      return TRUE;
    case PROP_TLS_DATABASE:
      g_value_set_object (value, priv->tls.database);
      return TRUE;
    case PROP_TLS_INTERACTION:
      g_value_set_object (value, priv->tls.interaction);
      return TRUE;
    case PROP_TLS_AUTH_MODE:
      g_value_set_enum (value, priv->tls.auth_mode);
      return TRUE;
    case PROP_TLS_SERVER_IDENTITY:
      g_value_set_object (value, priv->tls.server_identity);
      return TRUE;
    case PROP_TLS_RECORD_SIZE:
      g_value_set_uint (value, priv->tls_record_size);
      return TRUE;
    default:
      return FALSE;
    }
}

gboolean
aqmp_protocol_tls_set_property (AqmpProtocol *self,
                                guint         property_id,
                                const GValue *value)
{
  switch (property_id)
    {
    case PROP_TLS:
      aqmp_protocol_set_tls (self, g_value_get_boolean (value));
      return TRUE;
    case PROP_TLS_CERTIFICATE:
      aqmp_protocol_set_tls_certificate (self, g_value_get_object (value));
      return TRUE;
    case PROP_TLS_DATABASE:
      aqmp_protocol_set_tls_database (self, g_value_get_object (value));
      return TRUE;
    case PROP_TLS_INTERACTION:
      aqmp_protocol_set_tls_interaction (self, g_value_get_object (value));
      return TRUE;
    case PROP_TLS_AUTH_MODE:
      aqmp_protocol_set_tls_auth_mode (self, g_value_get_enum (value));
      return TRUE;
    case PROP_TLS_SERVER_IDENTITY:
      aqmp_protocol_set_tls_server_identity (self, g_value_get_object (value));
      return TRUE;
    case PROP_TLS_RECORD_SIZE:
      aqmp_protocol_set_tls_record_size (self, g_value_get_uint (value));
      return TRUE;
    default:
      return FALSE;
    }
}

void
aqmp_protocol_tls_class_init (GObjectClass *klass)
{
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  guint id;

  /**
   * AqmpProtocol:tls: (getter get_tls) (setter set_tls)
   *
   * Whether connections are made secure with TLS, by connect and accept; a stream that is opened is used as it is.
   *
   * The properties for TLS are read when an attempt begins. GIO needs the package glib-networking for it.
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS) = g_param_spec_boolean ("tls", NULL, NULL, FALSE, writable);

  /**
   * AqmpProtocol:tls-certificate: (getter get_tls_certificate) (setter set_tls_certificate)
   *
   * The certificate that this side shows, with its private key. A server needs one, a client only if the server asks.
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS_CERTIFICATE) = g_param_spec_object ("tls-certificate", NULL, NULL, G_TYPE_TLS_CERTIFICATE, writable);

  /**
   * AqmpProtocol:tls-database: (getter get_tls_database) (setter set_tls_database)
   *
   * The authorities that are trusted to sign the certificate of the peer, for example a [iface@Gio.TlsFileDatabase]. %NULL
   * stands for those that the system trusts.
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS_DATABASE) = g_param_spec_object ("tls-database", NULL, NULL, G_TYPE_TLS_DATABASE, writable);

  /**
   * AqmpProtocol:tls-interaction: (getter get_tls_interaction) (setter set_tls_interaction)
   *
   * What asks the user if the handshake needs a password or a certificate. With %NULL nobody is asked.
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS_INTERACTION) = g_param_spec_object ("tls-interaction", NULL, NULL, G_TYPE_TLS_INTERACTION, writable);

  /**
   * AqmpProtocol:tls-auth-mode: (getter get_tls_auth_mode) (setter set_tls_auth_mode)
   *
   * Whether a server asks its peer for a certificate, and insists on one: mutual authentication.
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS_AUTH_MODE) = g_param_spec_enum ("tls-auth-mode", NULL, NULL, G_TYPE_TLS_AUTHENTICATION_MODE,
                                                     G_TLS_AUTHENTICATION_NONE, writable);

  /**
   * AqmpProtocol:tls-server-identity: (getter get_tls_server_identity) (setter set_tls_server_identity)
   *
   * Whom the certificate of the server has to be for, on the client's side. %NULL stands for the address that is
   * connected to. An address without a host, that of a UNIX socket, needs this: for example a [class@Gio.NetworkAddress].
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS_SERVER_IDENTITY) = g_param_spec_object ("tls-server-identity", NULL, NULL, G_TYPE_SOCKET_CONNECTABLE,
                                                             writable);

  /**
   * AqmpProtocol:tls-record-size: (getter get_tls_record_size) (setter set_tls_record_size)
   *
   * How many bytes are sent in one TLS record at most, from 1 to 16384; also for a [class@Gio.TlsConnection] that was opened.
   *
   * 0, as it is at first, leaves it to the session: records are as large as TLS allows, and a [class@Client] puts the last
   * byte of what it sends into a record of its own if it talks to a QEMU before 8.0, or to a server that does not greet. Such a QEMU
   * takes a single byte out of the last record that has arrived, and then waits for another one: a command that comes as a whole,
   * in one record, is not answered.
   *
   * Since: 1.0
   */
  pspec_of (PROP_TLS_RECORD_SIZE) = g_param_spec_uint ("tls-record-size", NULL, NULL, 0, LARGEST_RECORD, 0, writable);

  for (id = AQMP_PROTOCOL_FIRST_TLS_PROPERTY; id < END_OF_PROPERTIES; id++)
    g_object_class_install_property (klass, id, pspec_of (id));
}
