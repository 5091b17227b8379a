/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "tls-pair.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "certificates.h"
#include "util.h"

#define HEADER_SIZE 5
#define APPLICATION_DATA 23
/* What TLS 1.3 adds to the data of a record. */
#define OVERHEAD 17

static void
tcp_pair (GSocketConnection **first,
          GSocketConnection **second)
{
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;
  guint16 port = g_socket_listener_add_any_inet_port (listener, NULL, &error);

  g_assert_no_error (error);
  g_socket_client_set_enable_proxy (client, FALSE);
  *first = g_socket_client_connect_to_host (client, "127.0.0.1", port, NULL, &error);
  g_assert_no_error (error);
  *second = g_socket_listener_accept (listener, NULL, NULL, &error);
  g_assert_no_error (error);
  /* A record is on its way as soon as it was written. */
  g_socket_set_option (g_socket_connection_get_socket (*first), IPPROTO_TCP, TCP_NODELAY, TRUE, &error);
  g_assert_no_error (error);
}

static int
get_fd (GSocketConnection *connection)
{
  return g_socket_get_fd (g_socket_connection_get_socket (connection));
}

static void
handshake_end (TestSlot *slot)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GObject) connection = g_async_result_get_source_object (result);
  g_autoptr (GError) error = NULL;

  g_tls_connection_handshake_finish (G_TLS_CONNECTION (connection), result, &error);
  g_assert_no_error (error);
}

/* Reading makes the near end take what the far end sends after the handshake, so that nothing of that comes later. */
static void
settle (TlsPair *self)
{
  char byte;

  tls_pair_write (self, "x", 1);
  g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (self->near), &byte, 1, NULL, NULL), ==, 1);
}

void
tls_pair_init (TlsPair  *self,
               gboolean  tcp)
{
  g_autoptr (GTlsCertificate) certificate = test_certificates_load ("good", "server");
  g_autoptr (GTlsDatabase) database = test_certificates_get_database ("good");
  g_autoptr (GSocketConnectable) identity = g_network_address_new ("vm.example", 1);
  g_auto (TestSlot) near_slot = TEST_SLOT_INIT;
  g_auto (TestSlot) far_slot = TEST_SLOT_INIT;

  if (tcp)
    tcp_pair (&self->near_base, &self->far_base);
  else
    test_socket_pair (&self->near_base, &self->far_base);
  self->near_fd = get_fd (self->near_base);
  self->far_fd = get_fd (self->far_base);

  self->near = g_tls_client_connection_new (G_IO_STREAM (self->near_base), identity, NULL);
  self->far = g_tls_server_connection_new (G_IO_STREAM (self->far_base), certificate, NULL);
  g_assert_true (self->near != NULL && self->far != NULL);
  g_tls_connection_set_database (G_TLS_CONNECTION (self->near), database);
  g_tls_connection_set_require_close_notify (G_TLS_CONNECTION (self->near), FALSE);
  g_assert_true (g_tls_connection_get_require_close_notify (G_TLS_CONNECTION (self->far)));

  g_tls_connection_handshake_async (G_TLS_CONNECTION (self->near), G_PRIORITY_DEFAULT, NULL, test_slot_callback, &near_slot);
  g_tls_connection_handshake_async (G_TLS_CONNECTION (self->far), G_PRIORITY_DEFAULT, NULL, test_slot_callback, &far_slot);
  handshake_end (&near_slot);
  handshake_end (&far_slot);
  settle (self);
}

void
tls_pair_clear (TlsPair *self)
{
  /* Without a goodbye, which might wait. */
  g_io_stream_close (G_IO_STREAM (self->far_base), NULL, NULL);
  g_io_stream_close (G_IO_STREAM (self->near_base), NULL, NULL);
  g_clear_object (&self->near);
  g_clear_object (&self->far);
  g_clear_object (&self->near_base);
  g_clear_object (&self->far_base);
}

GArray *
tls_pair_list_records (TlsPair *self)
{
  GArray *lengths = g_array_new (FALSE, FALSE, sizeof (guint));
  gsize size = 1024 * 1024;
  g_autofree guint8 *bytes = g_malloc (size);
  gssize n_bytes = recv (self->far_fd, bytes, size, MSG_PEEK | MSG_DONTWAIT);
  gssize position = 0;

  while (position + HEADER_SIZE <= n_bytes)
    {
      guint length = (guint) bytes[position + 3] << 8 | bytes[position + 4];
      guint inner = length - OVERHEAD;

      g_assert_cmpuint (bytes[position], ==, APPLICATION_DATA);
      position += HEADER_SIZE + length;
      if (position <= n_bytes)
        g_array_append_val (lengths, inner);
    }
  return lengths;
}

gssize
tls_pair_read (TlsPair  *self,
               char     *buffer,
               gsize     size,
               GError  **error)
{
  GPollableInputStream *input = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (self->far));

  return g_pollable_input_stream_read_nonblocking (input, buffer, size, NULL, error);
}

void
tls_pair_write (TlsPair     *self,
                const char  *data,
                gsize        length)
{
  g_autoptr (GError) error = NULL;
  gssize n_written = g_output_stream_write (g_io_stream_get_output_stream (self->far), data, length, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpint (n_written, ==, (gssize) length);
}
