/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "session-util.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the peer ---------------------------------------------------------------------------------------------------- */

GIOStream *
peer_connect (Peer *peer)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  peer_close (peer);
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  peer->fd = fds[1];

  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

void
peer_send (Peer       *peer,
           const char *text)
{
  gsize length = strlen (text);

  while (length > 0)
    {
      gssize n_sent = send (peer->fd, text, length, MSG_NOSIGNAL);

      g_assert_no_errno (n_sent);
      text += n_sent;
      length -= n_sent;
    }
}

static gboolean
on_readable (int          fd,
             GIOCondition condition,
             gpointer     user_data)
{
  gboolean *readable = user_data;

  *readable = TRUE;
  return G_SOURCE_CONTINUE;
}

/* 0: the end of file or a reset */
static gsize
receive (Peer  *peer,
         char  *buffer,
         gsize  size)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  g_autoptr (GSource) source = g_unix_fd_source_new (peer->fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
  gboolean readable = FALSE;
  gssize n_received;

  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), &readable, NULL);
  g_source_attach (source, context);
  test_wait_until (readable);
  g_source_destroy (source);

  n_received = recv (peer->fd, buffer, size, 0);
  if (n_received < 0)
    g_assert_cmpint (errno, ==, ECONNRESET);
  return MAX (n_received, 0);
}

void
peer_expect (Peer       *peer,
             const char *text)
{
  g_autoptr (GString) got = g_string_new (NULL);
  gsize length = strlen (text);

  while (got->len < length)
    {
      char buffer[4096];
      gsize n_received = receive (peer, buffer, MIN (sizeof buffer, length - got->len));

      g_string_append_len (got, buffer, n_received);
      if (n_received == 0 || strncmp (got->str, text, got->len) != 0)
        break;
    }

  g_assert_cmpstr (got->str, ==, text);
}

void
peer_expect_eof (Peer *peer)
{
  char byte[2] = "";

  receive (peer, byte, 1);
  g_assert_cmpstr (byte, ==, "");
}

gsize
peer_drain (Peer *peer)
{
  gsize total = 0;
  gsize n_received;
  char buffer[65536];

  while ((n_received = receive (peer, buffer, sizeof buffer)) > 0)
    total += n_received;

  return total;
}

void
peer_expect_none (Peer *peer)
{
  char byte[2] = "";
  gssize n_received = recv (peer->fd, byte, 1, MSG_DONTWAIT);

  g_assert_cmpstr (byte, ==, "");
  g_assert_cmpint (n_received, ==, -1);
}

void
peer_close (Peer *peer)
{
  if (peer->echo != NULL)
    g_thread_join (g_steal_pointer (&peer->echo));
  if (peer->fd >= 0)
    close (peer->fd);
  peer->fd = -1;
}

void
peer_reset (Peer *peer)
{
  char byte;

  /* UNIX: closing with something unread. */
  if (recv (peer->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 1)
    {
      receive (peer, &byte, 0);
      g_assert_cmpint (recv (peer->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), ==, 1);
    }
  peer_close (peer);
}

static gpointer
echo (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  char buffer[4096];
  gssize length;

  while ((length = recv (fd, buffer, sizeof buffer, 0)) > 0)
    {
      gssize done = 0;
      gssize n_sent = 0;

      while (done < length && (n_sent = send (fd, buffer + done, length - done, MSG_NOSIGNAL)) > 0)
        done += n_sent;
    }

  return NULL;
}

void
peer_echo (Peer *peer)
{
  peer->echo = g_thread_new ("echo", echo, GINT_TO_POINTER (peer->fd));
}

/* ---- the object -------------------------------------------------------------------------------------------------- */

void
start_open (LineProtocol *protocol,
            Peer         *peer,
            GCancellable *cancellable,
            TestSlot     *slot)
{
  g_autoptr (GIOStream) stream = peer_connect (peer);

  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, cancellable, test_slot_callback, slot);
}

gboolean
finish_open (LineProtocol  *protocol,
             TestSlot      *slot,
             GError       **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_protocol_open_finish (AQMP_PROTOCOL (protocol), result, error);
}

gboolean
open_session (LineProtocol  *protocol,
              Peer          *peer,
              GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  start_open (protocol, peer, NULL, &slot);
  return finish_open (protocol, &slot, error);
}

LineProtocol *
new_session (Peer *peer)
{
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  open_session (protocol, peer, &error);
  g_assert_no_error (error);
  return protocol;
}

gboolean
finish_connect (LineProtocol  *protocol,
                TestSlot      *slot,
                GError       **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_protocol_connect_finish (AQMP_PROTOCOL (protocol), result, error);
}

gboolean
connect_session (LineProtocol  *protocol,
                 MockServer    *mock,
                 GCancellable  *cancellable,
                 GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (protocol), mock_get_connectable (mock), cancellable, test_slot_callback,
                               &slot);
  return finish_connect (protocol, &slot, error);
}

gboolean
finish_disconnect_of (LineProtocol  *protocol,
                      TestSlot      *slot,
                      GError       **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (protocol), result, error);
}

gboolean
disconnect_session (LineProtocol  *protocol,
                    GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &slot);
  return finish_disconnect_of (protocol, &slot, error);
}

gboolean
finish_flush (LineProtocol  *protocol,
              TestSlot      *slot,
              GError       **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_protocol_flush_finish (AQMP_PROTOCOL (protocol), result, error);
}

gboolean
flush_session (LineProtocol  *protocol,
               GError       **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  aqmp_protocol_flush_async (AQMP_PROTOCOL (protocol), NULL, test_slot_callback, &slot);
  return finish_flush (protocol, &slot, error);
}

AqmpRunstate
get_state (LineProtocol *protocol)
{
  return aqmp_protocol_get_runstate (AQMP_PROTOCOL (protocol));
}

void
wait_state (LineProtocol *protocol,
            AqmpRunstate  runstate)
{
  test_wait_until (get_state (protocol) == runstate);
}

void
wait_trace (LineProtocol *protocol,
            const char   *what)
{
  test_wait_until (line_trace_count (line_protocol_get_trace (protocol), what) > 0);
}

void
fill_queue (LineProtocol *protocol)
{
  g_autofree char *line = g_strnfill (1024 * 1024, 'x');
  guint64 queued;

  line_protocol_send (protocol, line);
  do
    {
      queued = aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol));
      test_dispatch_pending ();
    }
  while (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)) < queued);

  g_assert_cmpuint (queued, >, 0);
}

void
end_object (LineProtocol **protocol)
{
  LineProtocol *weak = *protocol;

  /* What has a callback to run may still hold it. */
  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (weak), (gpointer *) &weak);
  g_clear_object (protocol);
  g_assert_null (weak);
}

void
end_session (LineProtocol **protocol)
{
  g_autoptr (GError) error = NULL;

  disconnect_session (*protocol, &error);
  g_assert_no_error (error);
  end_object (protocol);
}

void
check_usable (LineProtocol *protocol)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GError) error = NULL;
  LineSlot slot;

  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));
  for (slot = 0; slot < LINE_N_SLOTS; slot++)
    line_protocol_set (protocol, slot, LINE_CHAIN_UP);
  line_trace_clear (line_protocol_get_trace (protocol));

  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  line_protocol_send (protocol, "ping");
  peer_expect (&peer, "ping\n");
  peer_send (&peer, "pong\n");
  wait_trace (protocol, "receive(pong)");
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  peer_expect_eof (&peer);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "ended(clean)"), ==, 1);
}

GBytes *
bytes_of (const char *text)
{
  return g_bytes_new (text, strlen (text));
}

/* ---- blocking ---------------------------------------------------------------------------------------------------- */

void
open_blocking (LineProtocol *protocol,
               Peer         *peer)
{
  g_autoptr (GIOStream) stream = peer_connect (peer);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_open_sync (AQMP_PROTOCOL (protocol), stream, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
}

void
disconnect_blocking (LineProtocol *protocol)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (protocol), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
}
