/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Sessions over TLS: how they end on either side, what flows, and in which records (S5, S7, S10, M7, Q13, Q14). */

#include "tls-util.h"

#include <string.h>
#include <sys/socket.h>

#include "certificates.h"

/* ---- a session on a connection that somebody else has made ------------------------------------------------------- */

typedef enum
{
  OPEN_SHAKEN,      /* the handshake is done */
  OPEN_UNSHAKEN,    /* it comes with the first bytes */
  OPEN_CLIENT,      /* what GSocketClient gives, which wraps it */
} OpenKind;

/* (transfer full): the object's end of TLS over a pair of sockets, which is the client. */
static GIOStream *
make_stream (TlsPeer *peer)
{
  g_autoptr (GSocketConnectable) identity = g_network_address_new ("vm.example", 0);
  g_autoptr (GTlsDatabase) database = test_certificates_get_database ("good");
  g_autoptr (GSocketConnection) base = NULL;
  GSocketConnection *other;
  g_autoptr (GError) error = NULL;
  GIOStream *stream;

  test_socket_pair (&base, &other);
  tls_peer_init (peer, G_IO_STREAM (other), TRUE);
  stream = g_tls_client_connection_new (G_IO_STREAM (base), identity, &error);
  g_assert_no_error (error);
  g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
  return stream;
}

static void
shake_hands (GIOStream *stream,
             TlsPeer   *peer)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_tls_connection_handshake_async (G_TLS_CONNECTION (stream), G_PRIORITY_DEFAULT, NULL, test_slot_callback, &slot);
  tls_peer_shake_hands (peer, &error);
  g_assert_no_error (error);
  result = test_await (&slot);
  g_tls_connection_handshake_finish (G_TLS_CONNECTION (stream), result, &error);
  g_assert_no_error (error);
}

static void
open_stream (LineProtocol *protocol,
             GIOStream    *stream)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &slot);
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  g_assert_true (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol)) == stream);
}

/* As tls_pair_ping(). */
static void
ping (LineProtocol *protocol,
      TlsPeer      *peer)
{
  line_protocol_send (protocol, "ping");
  tls_peer_expect (peer, "ping\n");
  line_trace_clear (line_protocol_get_trace (protocol));
  tls_peer_send (peer, "pong\n");
  wait_trace (protocol, "receive(pong)");
}

static void
test_open (gconstpointer data)
{
  gboolean shaken = GPOINTER_TO_INT (data) == OPEN_SHAKEN;
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GIOStream) stream = make_stream (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  if (shaken)
    shake_hands (stream, &peer);
  open_stream (protocol, stream);
  if (!shaken)
    {
      tls_peer_shake_hands (&peer, &error);
      g_assert_no_error (error);
    }

  ping (protocol, &peer);
  end_session (&protocol);
  tls_peer_expect_goodbye (&peer);
}

/* The object's end is the server, and shakes hands within the session. */
static void
test_open_server (void)
{
  g_autoptr (GTlsCertificate) certificate = test_certificates_load ("good", "server");
  g_autoptr (GSocketConnection) base = NULL;
  GSocketConnection *other;
  g_autoptr (GIOStream) stream = NULL;
  g_auto (TlsPeer) peer = { 0 };
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  test_socket_pair (&base, &other);
  tls_peer_init (&peer, G_IO_STREAM (other), FALSE);
  stream = g_tls_server_connection_new (G_IO_STREAM (base), certificate, &error);
  g_assert_no_error (error);
  open_stream (protocol, stream);
  tls_peer_shake_hands (&peer, &error);
  g_assert_no_error (error);
  ping (protocol, &peer);
  end_session (&protocol);
  tls_peer_expect_goodbye (&peer);
}

/* A certificate that is refused then ends the session. */
static void
test_open_refuses (void)
{
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GIOStream) stream = make_stream (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  tls_peer_set_certificate (&peer, "other-ca", "server");
  open_stream (protocol, stream);
  tls_peer_shake_hands (&peer, NULL);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  check_usable (protocol);
  end_object (&protocol);
}

static void
on_client_event (GSocketClient      *client,
                 GSocketClientEvent  event,
                 GSocketConnectable *address,
                 GIOStream          *connection,
                 GTlsDatabase       *database)
{
  if (event == G_SOCKET_CLIENT_TLS_HANDSHAKING)
    g_tls_connection_set_database (G_TLS_CONNECTION (connection), database);
}

/* What GSocketClient returns with TLS is no GTlsConnection: it wraps one. */
static void
test_open_wrapper (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GTlsDatabase) database = test_certificates_get_database ("good");
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_set_tls (client, TRUE);
  g_signal_connect (client, "event", G_CALLBACK (on_client_event), database);
  g_socket_client_connect_async (client, pair.address, NULL, test_slot_callback, &slot);
  tls_pair_join (&pair);
  tls_peer_shake_hands (&pair.peer, &error);
  g_assert_no_error (error);
  result = test_await (&slot);
  connection = g_socket_client_connect_finish (client, result, &error);
  g_assert_no_error (error);
  g_assert_true (G_IS_TCP_WRAPPER_CONNECTION (connection));

  open_stream (pair.protocol, G_IO_STREAM (connection));
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* The maker's wish for a goodbye from the peer is for him: to the session it is an end like any other. */
static void
test_open_that_requires_goodbye (void)
{
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GIOStream) stream = make_stream (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_assert_true (g_tls_connection_get_require_close_notify (G_TLS_CONNECTION (stream)));
  shake_hands (stream, &peer);
  open_stream (protocol, stream);
  ping (protocol, &peer);
  tls_peer_cut (&peer);
  wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (protocol, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  end_object (&protocol);
}

/* ---- S5: the peer leaves ----------------------------------------------------------------------------------------- */

static void
leave_or_cut (TlsPair  *pair,
              gboolean  goodbye)
{
  if (goodbye)
    tls_peer_leave (&pair->peer);
  else
    tls_peer_cut (&pair->peer);
}

static void
expect_failure (TlsPair    *pair,
                const char *pattern)
{
  g_autoptr (GError) error = NULL;

  wait_state (pair->protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (pair->protocol, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, pattern);
  check_usable (pair->protocol);
}

static void
check_peer_leaves (TlsRole  role,
                   gboolean goodbye)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, role, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  leave_or_cut (&pair, goodbye);
  wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
  line_trace_expect (line_protocol_get_trace (pair.protocol),
                     "connecting establish running ended(failed) disconnecting");
  expect_failure (&pair, "The peer closed the connection");
}

static void
test_peer_leaves (gconstpointer data)
{
  check_peer_leaves (GPOINTER_TO_INT (data), TRUE);
}

static void
test_peer_cuts (gconstpointer data)
{
  check_peer_leaves (GPOINTER_TO_INT (data), FALSE);
}

static void
test_leaves_in_the_middle (gconstpointer data)
{
  gboolean goodbye = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  LineTrace *trace;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  trace = line_protocol_get_trace (pair.protocol);
  tls_peer_send (&pair.peer, "whole\nhalf");
  leave_or_cut (&pair, goodbye);
  wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
  /* M2: the last line need not have an ending. */
  line_trace_expect (trace, "connecting establish running in(whole) receive(whole) in(half) receive(half) ended(failed) "
                            "disconnecting");
  expect_failure (&pair, "The peer closed the connection");
}

/* The end in the middle of a record: what was in it nobody can know. */
static void
test_leaves_in_a_record (void)
{
  static const guint8 begin_of_record[] = { 23, 3, 3, 0, 60, 1, 2, 3 };
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  tls_peer_send (&pair.peer, "whole\n");
  tls_peer_send_raw (&pair.peer, begin_of_record, sizeof begin_of_record);
  tls_peer_cut (&pair.peer);
  wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (pair.protocol), "receive(whole)"), ==, 1);
  g_assert_false (disconnect_session (pair.protocol, &error));
  g_assert_nonnull (error);
  check_usable (pair.protocol);
}

/* Not TLS at all, or TLS that was tampered with. */
static void
test_garbage (void)
{
  static const guint8 forged[] = { 23, 3, 3, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                   22, 23, 24 };
  static const char plain[] = "{\"return\": {}}\r\n";
  const struct
  {
    const void *bytes;
    gsize length;
  } garbage[] = { { forged, sizeof forged }, { plain, sizeof plain - 1 } };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (garbage); i++)
    {
      g_auto (TlsPair) pair = TLS_PAIR_INIT;
      g_autoptr (GError) error = NULL;

      tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
      tls_pair_connect (&pair);
      tls_peer_send (&pair.peer, "whole\n");
      tls_peer_send_raw (&pair.peer, garbage[i].bytes, garbage[i].length);
      wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
      g_assert_cmpuint (line_trace_count (line_protocol_get_trace (pair.protocol), "receive(whole)"), ==, 1);
      g_assert_cmpuint (line_trace_count (line_protocol_get_trace (pair.protocol), "ended(failed)"), ==, 1);
      g_assert_false (disconnect_session (pair.protocol, &error));
      g_assert_true (error->domain == G_TLS_ERROR || error->domain == G_IO_ERROR);
      check_usable (pair.protocol);
    }
}

/* While it is being written to, too: over UNIX that is what closing with something unread does. */
static void
test_reset (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  fill_queue (pair.protocol);
  tls_peer_cut (&pair.peer);
  wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (pair.protocol, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  check_usable (pair.protocol);
}

/* All that had arrived comes first, in its order, however it came. */
static void
test_arrived_comes_first (gconstpointer data)
{
  gboolean goodbye = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  LineTrace *trace;
  guint i;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  trace = line_protocol_get_trace (pair.protocol);
  for (i = 0; i < 300; i++)
    {
      g_autofree char *line = g_strdup_printf ("%u\n", i);

      tls_peer_send (&pair.peer, line);
    }
  leave_or_cut (&pair, goodbye);
  /* It has something to write as well, which can only fail. */
  line_protocol_send (pair.protocol, "ping");
  wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
  for (i = 0; i < 300; i++)
    {
      g_autofree char *what = g_strdup_printf ("receive(%u)", i);

      g_assert_cmpuint (line_trace_count (trace, what), ==, 1);
    }
  g_assert_false (disconnect_session (pair.protocol, NULL));
}

/* ---- S7: goodbye ------------------------------------------------------------------------------------------------- */

static void
test_goodbye (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  /* What is queued comes first. */
  line_protocol_send (pair.protocol, "last words");
  disconnect_session (pair.protocol, &error);
  g_assert_no_error (error);
  tls_peer_expect (&pair.peer, "last words\n");
  tls_peer_expect_goodbye (&pair.peer);
}

/* One that has nothing to flush. */
static void
test_goodbye_without_flush (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (pair.protocol), 0);
  tls_pair_connect (&pair);
  tls_pair_end (&pair);
}

static void
test_no_goodbye_on_failure (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  line_fail (pair.protocol, NULL);
  tls_peer_expect_cut (&pair.peer);
  g_assert_false (disconnect_session (pair.protocol, NULL));
}

static void
test_no_goodbye_on_dispose (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  end_object (&pair.protocol);
  tls_peer_expect_cut (&pair.peer);
}

static gpointer
unref_in_thread (gpointer data)
{
  g_object_unref (data);
  return NULL;
}

/* Nor does it wait, in whatever thread it happens, though there is more queued than the peer will ever take. */
static void
test_dispose_with_full_queue (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  fill_queue (pair.protocol);
  g_thread_join (g_thread_new ("unref", unref_in_thread, g_steal_pointer (&pair.protocol)));
  tls_peer_drain_raw (&pair.peer);
}

static void
test_failure_with_full_queue (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  fill_queue (pair.protocol);
  line_fail (pair.protocol, NULL);
  g_assert_cmpint (get_state (pair.protocol), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_false (disconnect_session (pair.protocol, &error));
  g_assert_error (error, LINE_ERROR, 99);
  tls_peer_drain_raw (&pair.peer);
  check_usable (pair.protocol);
}

static void
test_flush_timeout (gconstpointer data)
{
  guint timeout = GPOINTER_TO_UINT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  fill_queue (pair.protocol);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (pair.protocol), timeout);
  disconnect_session (pair.protocol, &error);
  if (timeout == 0)
    g_assert_no_error (error);
  else
    assert_error_like (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "The peer did not take all * 40 ms*");
  g_assert_cmpint (get_state (pair.protocol), ==, AQMP_RUNSTATE_IDLE);
  tls_peer_drain_raw (&pair.peer);
  check_usable (pair.protocol);
}

/* A slow peer is waited for. */
static void
test_flush_waits (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  gsize total = 0;
  gboolean goodbye = FALSE;
  g_autoptr (GBytes) record = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  fill_queue (pair.protocol);
  line_disconnect (pair.protocol, &slot);
  while ((record = tls_peer_next_record (&pair.peer, &goodbye)) != NULL)
    {
      total += g_bytes_get_size (record);
      g_clear_pointer (&record, g_bytes_unref);
    }
  /* The socket may be too full for a goodbye when the last byte has gone into it. */
  g_assert_cmpuint (total, ==, 1024 * 1024 + 1);
  finish_disconnect_of (pair.protocol, &slot, &error);
  g_assert_no_error (error);
}

/* ---- S7: closing never blocks ------------------------------------------------------------------------------------ */

/* Frees a thread that blocks all the same, so that the test can say so. */
typedef struct
{
  GSocket *socket;    /* (unowned) */
  GThread *thread;    /* (owned) */
  GMutex   lock;
  GCond    cond;
  gboolean over;      /* under the lock, as the next */
  gboolean bitten;
} WatchDog;

static gpointer
watch (gpointer data)
{
  WatchDog *self = data;
  gint64 deadline = g_get_monotonic_time () + test_bound_us () / 2;

  g_mutex_lock (&self->lock);
  while (!self->over && !self->bitten)
    self->bitten = !g_cond_wait_until (&self->cond, &self->lock, deadline);
  if (self->bitten)
    g_socket_shutdown (self->socket, TRUE, TRUE, NULL);
  g_mutex_unlock (&self->lock);

  return NULL;
}

static void
watch_dog_start (WatchDog *self,
                 GSocket  *socket)
{
  *self = (WatchDog) { .socket = socket };
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->thread = g_thread_new ("watch dog", watch, self);
}

/* Whether nothing has blocked. */
static gboolean
watch_dog_stop (WatchDog *self)
{
  g_mutex_lock (&self->lock);
  self->over = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  g_thread_join (self->thread);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  return !self->bitten;
}

typedef struct
{
  TlsPeer *peer;
  GSocket *socket;    /* (unowned): the object's */
} Nibbling;

/* Takes as little as makes the socket writable, which is less than the rest of the record needs. */
static gboolean
nibble (gpointer data)
{
  const Nibbling *self = data;
  char buffer[512];

  while ((g_socket_condition_check (self->socket, G_IO_OUT) & G_IO_OUT) == 0)
    g_assert_cmpint (g_socket_receive (tls_peer_get_socket (self->peer), buffer, sizeof buffer, NULL, NULL), >, 0);
  return G_SOURCE_REMOVE;
}

/* A record is in the socket by half when the session is closed at once. Saying goodbye would first have to write the rest of it,
   which the socket says to have room for, but has not. */
static void
test_no_goodbye_in_a_record (void)
{
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GIOStream) stream = make_stream (&peer);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GSource) source = g_idle_source_new ();
  g_autoptr (GIOStream) base = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  int size = 4096;
  Nibbling nibbling;
  GSocket *socket;
  WatchDog dog;

  g_object_get (stream, "base-io-stream", &base, NULL);
  socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (base));
  g_assert_no_errno (setsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  shake_hands (stream, &peer);
  open_stream (protocol, stream);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 0);
  fill_queue (protocol);

  /* In one turn of the loop: first this, after the transport has had its turn; then the end. */
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  nibbling = (Nibbling) { &peer, socket };
  g_source_set_callback (source, nibble, &nibbling, NULL);
  g_source_attach (source, NULL);
  line_disconnect (protocol, &slot);
  watch_dog_start (&dog, tls_peer_get_socket (&peer));
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_true (watch_dog_stop (&dog));
  g_assert_no_error (error);
  end_object (&protocol);
}

/* ---- M7: large, small, and many ---------------------------------------------------------------------------------- */

static void
test_large_reply (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autofree char *line = g_strnfill (5 * 1024 * 1024, 'x');
  const LineRecord *record;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_TCP);
  tls_pair_connect (&pair);
  line_trace_clear (line_protocol_get_trace (pair.protocol));
  tls_peer_send (&pair.peer, line);
  tls_peer_send (&pair.peer, "\n");
  test_wait_until (line_trace_get_length (line_protocol_get_trace (pair.protocol)) == 2);
  record = line_trace_get (line_protocol_get_trace (pair.protocol), 1);
  g_assert_cmpuint (strlen (record->what), ==, 5 * 1024 * 1024 + strlen ("receive()"));
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* The peer reads it record by record; none is larger than it may be, and none smaller without need. */
static void
test_large_message (gconstpointer data)
{
  guint record_size = GPOINTER_TO_UINT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autofree char *line = g_strnfill (1024 * 1024, 'x');
  gsize largest = record_size > 0 ? record_size : 16384;
  gsize total = 0;
  guint n_records = 0;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (pair.protocol), record_size);
  tls_pair_connect (&pair);
  line_protocol_send (pair.protocol, line);
  while (total < 1024 * 1024 + 1)
    {
      g_autoptr (GBytes) record = tls_peer_next_record (&pair.peer, NULL);

      g_assert_nonnull (record);
      g_assert_cmpuint (g_bytes_get_size (record), <=, largest);
      total += g_bytes_get_size (record);
      n_records++;
    }
  g_assert_cmpuint (total, ==, 1024 * 1024 + 1);
  g_assert_cmpuint (n_records, ==, (1024 * 1024 + 1 + largest - 1) / largest);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* Both at once, each more than the sockets hold. */
static void
test_both_ways (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autofree char *line = g_strnfill (4 * 1024 * 1024, 'x');
  gsize total = 0;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  line_trace_clear (line_protocol_get_trace (pair.protocol));
  line_protocol_send (pair.protocol, line);
  tls_peer_send (&pair.peer, line);
  tls_peer_send (&pair.peer, "\n");
  while (total < 4 * 1024 * 1024 + 1)
    {
      g_autoptr (GBytes) record = tls_peer_next_record (&pair.peer, NULL);

      g_assert_nonnull (record);
      total += g_bytes_get_size (record);
    }
  test_wait_until (line_trace_get_length (line_protocol_get_trace (pair.protocol)) == 3);
  tls_pair_end (&pair);
}

static void
test_many_small (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  LineTrace *trace;
  guint i;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_TCP);
  tls_pair_connect (&pair);
  trace = line_protocol_get_trace (pair.protocol);
  line_trace_clear (trace);
  for (i = 0; i < 2000; i++)
    {
      g_autofree char *line = g_strdup_printf ("%u", i);

      line_protocol_send (pair.protocol, line);
      tls_peer_send (&pair.peer, "x\n");
    }
  for (i = 0; i < 2000; i++)
    {
      g_autofree char *line = g_strdup_printf ("%u\n", i);

      tls_peer_expect (&pair.peer, line);
    }
  test_wait_until (line_trace_count (trace, "receive(x)") == 2000);
  tls_pair_end (&pair);
}

/* A record for each byte, and records that end where messages do not. */
static void
test_record_boundaries (gconstpointer data)
{
  gsize size = GPOINTER_TO_UINT (data);
  static const char text[] = "first\nsecond\n\nthird, which is longer\n";
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  gsize i;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  line_trace_clear (line_protocol_get_trace (pair.protocol));
  for (i = 0; i < strlen (text); i += size)
    {
      tls_peer_send_bytes (&pair.peer, text + i, MIN (size, strlen (text) - i));
      /* Each by itself. */
      test_dispatch_pending ();
    }
  wait_trace (pair.protocol, "receive(third, which is longer)");
  line_trace_expect (line_protocol_get_trace (pair.protocol),
                     "in(first) receive(first) in(second) receive(second) in() receive() "
                     "in(third, which is longer) receive(third, which is longer)");
  tls_pair_end (&pair);
}

/* What TLS has decrypted and not handed over, no socket announces. The peer sends one record of the largest size with as many
   lines as go into it, and then nothing: each of them has to come all the same. */
static void
test_record_is_delivered_whole (gconstpointer data)
{
  gsize line_length = GPOINTER_TO_UINT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *line = g_strnfill (line_length - 1, 'x');
  guint n_lines = 16384 / line_length;
  guint n_rounds;
  guint i;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  for (i = 0; i < n_lines; i++)
    g_string_append_printf (text, "%s\n", line);
  g_assert_cmpuint (text->len, <=, 16384);

  /* Whatever the state of the buffer is by then. */
  for (n_rounds = 0; n_rounds < 5; n_rounds++)
    {
      line_trace_clear (line_protocol_get_trace (pair.protocol));
      tls_peer_send (&pair.peer, text->str);
      test_wait_until (line_trace_get_length (line_protocol_get_trace (pair.protocol)) == 2 * n_lines);
    }
  tls_pair_end (&pair);
}

/* The same with sizes around those of any buffer. */
static void
test_record_of_any_size (void)
{
  static const gsize sizes[] = { 1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 12288, 16383, 16384 };
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  gsize i;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  for (i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autofree char *line = g_strnfill (sizes[i] - 1, 'x');
      g_autofree char *text = g_strconcat (line, "\n", NULL);
      g_autofree char *what = g_strconcat ("receive(", line, ")", NULL);

      line_trace_clear (line_protocol_get_trace (pair.protocol));
      tls_peer_send (&pair.peer, text);
      wait_trace (pair.protocol, what);
    }
  tls_pair_end (&pair);
}

/* A reader that pauses in the middle of a record finds the rest of it when it goes on. */
static void
run_loop_once (LineProtocol *protocol,
               gpointer      n_calls)
{
  if ((*(guint *) n_calls)++ == 0)
    line_run_loop (protocol, NULL);
}

static void
test_nested_loop_in_a_record (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GString) text = g_string_new (NULL);
  guint n_calls = 0;
  guint i;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  tls_pair_connect (&pair);
  for (i = 0; i < 8000; i++)
    g_string_append (text, "x\n");
  line_protocol_when (pair.protocol, LINE_MESSAGE_RECEIVED, "x", run_loop_once, &n_calls, LINE_CHAIN_UP);
  tls_peer_send (&pair.peer, text->str);
  test_wait_until (line_trace_count (line_protocol_get_trace (pair.protocol), "receive(x)") == 8000);
  tls_pair_end (&pair);
}

/* Small buffers: each write to the socket takes only a part of a record. */
static void
test_partial_writes (void)
{
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GIOStream) stream = make_stream (&peer);
  g_autofree char *line = g_strnfill (512 * 1024, 'y');
  g_autofree char *expected = g_strconcat (line, "\nlast\n", NULL);
  g_autoptr (GIOStream) base = NULL;
  LineProtocol *protocol = line_protocol_new ();
  GSocket *socket;
  int size = 4096;

  g_object_get (stream, "base-io-stream", &base, NULL);
  socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (base));
  g_assert_no_errno (setsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  shake_hands (stream, &peer);
  open_stream (protocol, stream);
  line_protocol_send (protocol, line);
  line_protocol_send (protocol, "last");
  tls_peer_expect (&peer, expected);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 0);
  ping (protocol, &peer);
  end_session (&protocol);
  tls_peer_expect_goodbye (&peer);
}

/* What is not written yet is counted, TLS's own buffer included, and flush waits for it. */
static void
test_queued_bytes (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;
  gsize total = 0;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  fill_queue (pair.protocol);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (pair.protocol), NULL, test_slot_callback, &slot);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&slot));
  while (total < 1024 * 1024 + 1)
    {
      g_autoptr (GBytes) record = tls_peer_next_record (&pair.peer, NULL);

      total += g_bytes_get_size (record);
    }
  finish_flush (pair.protocol, &slot, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (pair.protocol)), ==, 0);
  tls_pair_end (&pair);
}

/* ---- Q13: records ------------------------------------------------------------------------------------------------ */

static void
expect_records (TlsPeer    *peer,
                const char *text,
                gsize       size)
{
  gsize length = strlen (text);
  gsize done;

  for (done = 0; done < length; done += size)
    {
      g_autoptr (GBytes) record = tls_peer_next_record (peer, NULL);

      g_assert_nonnull (record);
      g_assert_cmpmem (g_bytes_get_data (record, NULL), g_bytes_get_size (record), text + done, MIN (size, length - done));
    }
}

static void
test_record_size (gconstpointer data)
{
  guint size = GPOINTER_TO_UINT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (pair.protocol), size);
  tls_pair_connect (&pair);
  line_protocol_send (pair.protocol, "a message of several bytes");
  expect_records (&pair.peer, "a message of several bytes\n", size > 0 ? size : 16384);
  tls_pair_end (&pair);
}

/* It holds at once: also for what is queued. */
static void
test_record_size_changes (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  tls_pair_connect (&pair);
  line_protocol_send (pair.protocol, "first");
  expect_records (&pair.peer, "first\n", 6);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (pair.protocol), 2);
  line_protocol_send (pair.protocol, "second");
  expect_records (&pair.peer, "second\n", 2);
  line_protocol_send (pair.protocol, "third");
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (pair.protocol), 3);
  expect_records (&pair.peer, "third\n", 3);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (pair.protocol), 0);
  line_protocol_send (pair.protocol, "fourth");
  expect_records (&pair.peer, "fourth\n", 7);
  tls_pair_end (&pair);
}

static void
test_record_size_of_opened (void)
{
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GIOStream) stream = make_stream (&peer);
  LineProtocol *protocol = line_protocol_new ();

  shake_hands (stream, &peer);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (protocol), 2);
  open_stream (protocol, stream);
  line_protocol_send (protocol, "message");
  expect_records (&peer, "message\n", 2);
  end_session (&protocol);
}

/* Over a plain socket there are no records, and a message goes out in one piece. */
static void
test_record_size_without_tls (void)
{
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  char buffer[32];

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (protocol), 1);
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  line_protocol_send (protocol, "message");
  flush_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_cmpint (recv (peer.fd, buffer, sizeof buffer, MSG_DONTWAIT), ==, 8);
  end_session (&protocol);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
add_both (const char  *path,
          TlsTestFunc  func)
{
  g_autofree char *connect = g_strconcat (path, "/connect", NULL);
  g_autofree char *accept = g_strconcat (path, "/accept", NULL);

  tls_add (connect, func, GINT_TO_POINTER (TLS_CONNECTS));
  tls_add (accept, func, GINT_TO_POINTER (TLS_ACCEPTS));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  tls_add ("/protocol/tls/open/shaken", test_open, GINT_TO_POINTER (OPEN_SHAKEN));
  tls_add ("/protocol/tls/open/unshaken", test_open, GINT_TO_POINTER (OPEN_UNSHAKEN));
  tls_add ("/protocol/tls/open/server", test_open_server, NULL);
  tls_add ("/protocol/tls/open/refuses", test_open_refuses, NULL);
  tls_add ("/protocol/tls/open/of-g-socket-client", test_open_wrapper, NULL);
  tls_add ("/protocol/tls/open/that-requires-goodbye", test_open_that_requires_goodbye, NULL);

  add_both ("/protocol/tls/S5/peer-says-goodbye", test_peer_leaves);
  add_both ("/protocol/tls/S5/peer-does-not-say-goodbye", test_peer_cuts);
  tls_add ("/protocol/tls/S5/in-the-middle/with-goodbye", test_leaves_in_the_middle, GINT_TO_POINTER (TRUE));
  tls_add ("/protocol/tls/S5/in-the-middle/without", test_leaves_in_the_middle, GINT_TO_POINTER (FALSE));
  tls_add ("/protocol/tls/S5/in-the-middle/of-a-record", test_leaves_in_a_record, NULL);
  tls_add ("/protocol/tls/S5/garbage", test_garbage, NULL);
  tls_add ("/protocol/tls/S5/reset", test_reset, NULL);
  tls_add ("/protocol/tls/Q12/arrived-comes-first/with-goodbye", test_arrived_comes_first, GINT_TO_POINTER (TRUE));
  tls_add ("/protocol/tls/Q12/arrived-comes-first/without", test_arrived_comes_first, GINT_TO_POINTER (FALSE));

  add_both ("/protocol/tls/S7/goodbye", test_goodbye);
  tls_add ("/protocol/tls/S7/goodbye-without-flush", test_goodbye_without_flush, NULL);
  add_both ("/protocol/tls/S5/no-goodbye-on-failure", test_no_goodbye_on_failure);
  tls_add ("/protocol/tls/S10/no-goodbye-on-dispose", test_no_goodbye_on_dispose, NULL);
  tls_add ("/protocol/tls/S10/last-unref-with-full-queue", test_dispose_with_full_queue, NULL);
  tls_add ("/protocol/tls/S5/failure-with-full-queue", test_failure_with_full_queue, NULL);
  tls_add ("/protocol/tls/S7/flush-timeout", test_flush_timeout, GUINT_TO_POINTER (40));
  tls_add ("/protocol/tls/S7/flush-timeout-0", test_flush_timeout, GUINT_TO_POINTER (0));
  tls_add ("/protocol/tls/S7/flush-waits-for-a-slow-peer", test_flush_waits, NULL);
  tls_add ("/protocol/tls/S7/no-goodbye-in-a-record", test_no_goodbye_in_a_record, NULL);

  add_both ("/protocol/tls/M7/large-reply", test_large_reply);
  tls_add ("/protocol/tls/M7/large-message/16384", test_large_message, GUINT_TO_POINTER (16384));
  tls_add ("/protocol/tls/M7/large-message/0", test_large_message, GUINT_TO_POINTER (0));
  tls_add ("/protocol/tls/M7/large-message/1000", test_large_message, GUINT_TO_POINTER (1000));
  tls_add ("/protocol/tls/M7/both-ways", test_both_ways, NULL);
  add_both ("/protocol/tls/M7/many-small", test_many_small);
  tls_add ("/protocol/tls/M7/partial-writes", test_partial_writes, NULL);
  tls_add ("/protocol/tls/M7/queued-bytes", test_queued_bytes, NULL);
  tls_add ("/protocol/tls/Q14/record-boundaries/1", test_record_boundaries, GUINT_TO_POINTER (1));
  tls_add ("/protocol/tls/Q14/record-boundaries/4", test_record_boundaries, GUINT_TO_POINTER (4));
  tls_add ("/protocol/tls/Q14/record-boundaries/17", test_record_boundaries, GUINT_TO_POINTER (17));
  tls_add ("/protocol/tls/Q14/record-is-delivered-whole/2", test_record_is_delivered_whole, GUINT_TO_POINTER (2));
  tls_add ("/protocol/tls/Q14/record-is-delivered-whole/100", test_record_is_delivered_whole, GUINT_TO_POINTER (100));
  tls_add ("/protocol/tls/Q14/record-is-delivered-whole/16384", test_record_is_delivered_whole, GUINT_TO_POINTER (16384));
  tls_add ("/protocol/tls/Q14/record-of-any-size", test_record_of_any_size, NULL);
  tls_add ("/protocol/tls/Q14/nested-loop-in-a-record", test_nested_loop_in_a_record, NULL);

  tls_add ("/protocol/tls/Q13/record-size/0", test_record_size, GUINT_TO_POINTER (0));
  tls_add ("/protocol/tls/Q13/record-size/1", test_record_size, GUINT_TO_POINTER (1));
  tls_add ("/protocol/tls/Q13/record-size/5", test_record_size, GUINT_TO_POINTER (5));
  tls_add ("/protocol/tls/Q13/record-size/16384", test_record_size, GUINT_TO_POINTER (16384));
  tls_add ("/protocol/tls/Q13/record-size/changes", test_record_size_changes, NULL);
  tls_add ("/protocol/tls/Q13/record-size/of-an-opened-stream", test_record_size_of_opened, NULL);
  g_test_add_func ("/protocol/tls/Q13/record-size/without-tls", test_record_size_without_tls);

  return tls_run ();
}
