/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>

#include <aqmp-glib/aqmp-enums.h>
#include <aqmp-glib/aqmp-event.h>
#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

#define AQMP_TYPE_PROTOCOL (aqmp_protocol_get_type ())

AQMP_AVAILABLE_IN_1_0
G_DECLARE_DERIVABLE_TYPE (AqmpProtocol, aqmp_protocol, AQMP, PROTOCOL, GObject)

/**
 * AqmpProtocolClass:
 * @parent_class: the parent class
 * @runstate_changed: class handler of [signal@Protocol::runstate-changed]
 * @event: class handler of [signal@Protocol::event]
 * @establish_session: see [vfunc@Protocol.establish_session]
 * @message_received: see [vfunc@Protocol.message_received]
 * @filter_inbound: see [vfunc@Protocol.filter_inbound]
 * @filter_outbound: see [vfunc@Protocol.filter_outbound]
 * @session_ended: see [vfunc@Protocol.session_ended]
 * @frame: (skip): finds the first whole message in what has arrived; see the description of the class
 *
 * What a protocol can do its own way. No slot is ever %NULL, so that an implementation can always chain up.
 *
 * Since: 1.0
 */
struct _AqmpProtocolClass
{
  GObjectClass parent_class;

  /* signals */
  void     (*runstate_changed)  (AqmpProtocol *self,
                                 AqmpRunstate  runstate);
  void     (*event)             (AqmpProtocol *self,
                                 AqmpEvent    *event);

  /* virtual functions */
  gboolean (*establish_session) (AqmpProtocol  *self,
                                 GTask         *task,
                                 GError       **error);
  gboolean (*message_received)  (AqmpProtocol  *self,
                                 GBytes        *message,
                                 GError       **error);
  GBytes * (*filter_inbound)    (AqmpProtocol  *self,
                                 GBytes        *message,
                                 GError       **error);
  GBytes * (*filter_outbound)   (AqmpProtocol  *self,
                                 GBytes        *message,
                                 GError       **error);
  void     (*session_ended)     (AqmpProtocol  *self,
                                 const GError  *cause);
  gssize   (*frame)             (AqmpProtocol  *self,
                                 const guint8  *data,
                                 gsize          length,
                                 gsize          scanned,
                                 gboolean       at_eof,
                                 gsize         *payload_length,
                                 GError       **error);

  /*< private >*/
  gpointer padding[12];
};

/**
 * AQMP_PROTOCOL_NO_MESSAGE:
 *
 * What a `frame` function stores as the length of the payload when the bytes that it consumed are no message at all,
 * such as white space between messages.
 *
 * Since: 1.0
 */
#define AQMP_PROTOCOL_NO_MESSAGE G_MAXSIZE

/* Properties */

AQMP_AVAILABLE_IN_1_0
const char *aqmp_protocol_get_name (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_name (AqmpProtocol *self,
                             const char   *name);

AQMP_AVAILABLE_IN_1_0
AqmpRunstate aqmp_protocol_get_runstate (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
GIOStream *aqmp_protocol_get_stream (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
GSocketAddress *aqmp_protocol_get_listen_address (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
guint64 aqmp_protocol_get_max_message_size (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_max_message_size (AqmpProtocol *self,
                                         guint64       max_message_size);

AQMP_AVAILABLE_IN_1_0
guint64 aqmp_protocol_get_queued_bytes (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
guint aqmp_protocol_get_connect_timeout (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_connect_timeout (AqmpProtocol *self,
                                        guint         connect_timeout);

AQMP_AVAILABLE_IN_1_0
guint aqmp_protocol_get_flush_timeout (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_flush_timeout (AqmpProtocol *self,
                                      guint         flush_timeout);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_get_tls (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls (AqmpProtocol *self,
                            gboolean      tls);

AQMP_AVAILABLE_IN_1_0
GTlsCertificate *aqmp_protocol_get_tls_certificate (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls_certificate (AqmpProtocol    *self,
                                        GTlsCertificate *tls_certificate);

AQMP_AVAILABLE_IN_1_0
GTlsDatabase *aqmp_protocol_get_tls_database (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls_database (AqmpProtocol *self,
                                     GTlsDatabase *tls_database);

AQMP_AVAILABLE_IN_1_0
GTlsInteraction *aqmp_protocol_get_tls_interaction (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls_interaction (AqmpProtocol    *self,
                                        GTlsInteraction *tls_interaction);

AQMP_AVAILABLE_IN_1_0
GTlsAuthenticationMode aqmp_protocol_get_tls_auth_mode (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls_auth_mode (AqmpProtocol           *self,
                                      GTlsAuthenticationMode  tls_auth_mode);

AQMP_AVAILABLE_IN_1_0
GSocketConnectable *aqmp_protocol_get_tls_server_identity (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls_server_identity (AqmpProtocol       *self,
                                            GSocketConnectable *tls_server_identity);

AQMP_AVAILABLE_IN_1_0
guint aqmp_protocol_get_tls_record_size (AqmpProtocol *self);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_set_tls_record_size (AqmpProtocol *self,
                                        guint         tls_record_size);

AQMP_AVAILABLE_IN_1_0
const GError *aqmp_protocol_get_error (AqmpProtocol *self);

/* The session */

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_connect_async (AqmpProtocol        *self,
                                  GSocketConnectable  *address,
                                  GCancellable        *cancellable,
                                  GAsyncReadyCallback  callback,
                                  gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_connect_finish (AqmpProtocol  *self,
                                       GAsyncResult  *result,
                                       GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_connect_sync (AqmpProtocol        *self,
                                     GSocketConnectable  *address,
                                     GCancellable        *cancellable,
                                     GError             **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_open_async (AqmpProtocol        *self,
                               GIOStream           *stream,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_open_finish (AqmpProtocol  *self,
                                    GAsyncResult  *result,
                                    GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_open_sync (AqmpProtocol  *self,
                                  GIOStream     *stream,
                                  GCancellable  *cancellable,
                                  GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_start_server (AqmpProtocol    *self,
                                     GSocketAddress  *address,
                                     GSocketAddress **effective_address,
                                     GError         **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_accept_async (AqmpProtocol        *self,
                                 GCancellable        *cancellable,
                                 GAsyncReadyCallback  callback,
                                 gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_accept_finish (AqmpProtocol  *self,
                                      GAsyncResult  *result,
                                      GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_accept_sync (AqmpProtocol  *self,
                                    GCancellable  *cancellable,
                                    GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_start_server_and_accept_async (AqmpProtocol        *self,
                                                  GSocketAddress      *address,
                                                  GCancellable        *cancellable,
                                                  GAsyncReadyCallback  callback,
                                                  gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_start_server_and_accept_finish (AqmpProtocol  *self,
                                                       GAsyncResult  *result,
                                                       GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_start_server_and_accept_sync (AqmpProtocol    *self,
                                                     GSocketAddress  *address,
                                                     GCancellable    *cancellable,
                                                     GError         **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_disconnect_async (AqmpProtocol        *self,
                                     GCancellable        *cancellable,
                                     GAsyncReadyCallback  callback,
                                     gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_disconnect_finish (AqmpProtocol  *self,
                                          GAsyncResult  *result,
                                          GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_disconnect_sync (AqmpProtocol  *self,
                                        GCancellable  *cancellable,
                                        GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_flush_async (AqmpProtocol        *self,
                                GCancellable        *cancellable,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_flush_finish (AqmpProtocol  *self,
                                     GAsyncResult  *result,
                                     GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_flush_sync (AqmpProtocol  *self,
                                   GCancellable  *cancellable,
                                   GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_wait_runstate_async (AqmpProtocol        *self,
                                        AqmpRunstate         known,
                                        GCancellable        *cancellable,
                                        GAsyncReadyCallback  callback,
                                        gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_wait_runstate_finish (AqmpProtocol  *self,
                                             GAsyncResult  *result,
                                             AqmpRunstate  *runstate,
                                             GError       **error);

/* For subclasses */

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_require_runstate (AqmpProtocol  *self,
                                         AqmpRunstate   required,
                                         GError       **error);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_send_message (AqmpProtocol  *self,
                                     GBytes        *message,
                                     GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_read_message_async (AqmpProtocol        *self,
                                       GCancellable        *cancellable,
                                       GAsyncReadyCallback  callback,
                                       gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
GBytes *aqmp_protocol_read_message_finish (AqmpProtocol  *self,
                                           GAsyncResult  *result,
                                           GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_write_message_async (AqmpProtocol        *self,
                                        GBytes              *message,
                                        GCancellable        *cancellable,
                                        GAsyncReadyCallback  callback,
                                        gpointer             user_data);

AQMP_AVAILABLE_IN_1_0
gboolean aqmp_protocol_write_message_finish (AqmpProtocol  *self,
                                             GAsyncResult  *result,
                                             GError       **error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_fail (AqmpProtocol *self,
                         const GError *error);

AQMP_AVAILABLE_IN_1_0
void aqmp_protocol_emit_event (AqmpProtocol *self,
                               AqmpEvent    *event);

G_END_DECLS
