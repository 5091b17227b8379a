/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Where a server listens, and whom it lets in: S8, S9. */

#include "accept-util.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static GSocketAddress *
get_listen_address (LineProtocol *protocol)
{
  return aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol));
}

/* ---- S8: one peer ------------------------------------------------------------------------------------------------ */

/* With everything around it: the whole session. */
static void
test_one_peer (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  start_accept (protocol, NULL, &slot);
  peer.fd = site_dial (&site);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  /* The session runs, and nobody else can come. */
  site_expect_free (&site);
  g_assert_null (get_listen_address (protocol));
  if (kind != SITE_TCP && kind != SITE_TCP6)
    g_assert_cmpint (site_try (&site), ==, -1);
  check_talks (protocol, &peer);
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  peer_expect_eof (&peer);
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* The first that has come is the one; the others are closed, counted, and logged at info level. */
static void
check_extra_peers (SiteKind kind,
                   guint    n_extra,
                   gboolean accept_first)
{
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autofree Peer *extra = g_new0 (Peer, n_extra);
  g_autofree char *text = g_strdup_printf ("closed the connections of %u more peers", n_extra);
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  guint i;

  aqmp_protocol_set_name (AQMP_PROTOCOL (protocol), "vm7");
  site_listen (&site, protocol);
  if (accept_first)
    start_accept (protocol, NULL, &slot);
  peer.fd = site_dial (&site);
  for (i = 0; i < n_extra; i++)
    extra[i] = (Peer) { site_dial (&site), NULL };

  if (!accept_first)
    {
      test_wait_until (get_listen_address (protocol) == NULL);
      start_accept (protocol, NULL, &slot);
    }
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  for (i = 0; i < n_extra; i++)
    {
      peer_expect_eof (&extra[i]);
      peer_close (&extra[i]);
    }

  if (n_extra == 0)
    g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", NULL), ==, 0);
  else
    {
      g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", text), ==, 1);
      g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "[vm7]"), ==, 1);
    }
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK & ~(G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG), NULL, NULL), ==, 0);

  check_talks (protocol, &peer);
  end_session (&protocol);
  peer_expect_eof (&peer);
}

static void
test_extra_peers (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  guint n_extra;

  for (n_extra = 0; n_extra <= 4; n_extra++)
    {
      check_extra_peers (kind, n_extra, TRUE);
      check_extra_peers (kind, n_extra, FALSE);
    }
}

/* Listening ends with the arrival, not with accept. */
static void
test_extra_peer_after_arrival (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  test_wait_until (get_listen_address (protocol) == NULL);
  /* Nobody accepts yet, and yet nobody else is let in. */
  site_expect_free (&site);
  g_assert_cmpint (site_try (&site), ==, -1);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_CONNECTING);
  peer_expect_none (&peer);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* A session that runs has no listener that a second server could meet. */
static void
test_second_server_at_the_same_place (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *first = line_protocol_new ();
  LineProtocol *second = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, first);
  start_accept (first, NULL, &slot);
  peer.fd = site_dial (&site);
  finish_accept (first, &slot, &error);
  g_assert_no_error (error);
  check_accepts (&site, second);

  /* What the first one does at its end is no concern of the second. */
  site_listen (&site, second);
  end_session (&first);
  g_assert_true (path_is_taken (site.path));
  close (site_dial (&site));
  end_session (&second);
}

/* The one that listens and the one to the peer. */
static void
test_descriptors_are_close_on_exec (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  GSocketConnection *connection;
  guint n_checked = 0;
  g_autoptr (GError) error = NULL;
  int fd;

  site_listen (&site, protocol);
  for (fd = 3; fd < 1024; fd++)
    {
      int is_listener = 0;
      socklen_t length = sizeof is_listener;

      if (getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &length) < 0 || !is_listener)
        continue;
      g_assert_cmpint (fcntl (fd, F_GETFD), ==, FD_CLOEXEC);
      n_checked++;
    }
  g_assert_cmpuint (n_checked, ==, 1);

  peer.fd = site_dial (&site);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  connection = G_SOCKET_CONNECTION (aqmp_protocol_get_stream (AQMP_PROTOCOL (protocol)));
  fd = g_socket_get_fd (g_socket_connection_get_socket (connection));
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, FD_CLOEXEC);
  if (kind == SITE_TCP)
    g_assert_true (g_socket_get_keepalive (g_socket_connection_get_socket (connection)));
  end_session (&protocol);
}

/* ---- S9: the address --------------------------------------------------------------------------------------------- */

typedef struct
{
  GSocketAddress *address;    /* (owned) (nullable) */
  guint           n_notified;
} Noted;

static void
note_address (LineProtocol *protocol,
              GParamSpec   *pspec,
              Noted        *noted)
{
  noted->n_notified++;
  g_set_object (&noted->address, get_listen_address (protocol));
}

static void
test_listen_address (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GSocketAddress) got = NULL;
  g_autofree char *wanted = NULL;
  g_autofree char *text = NULL;
  LineProtocol *protocol = line_protocol_new ();
  Noted noted = { NULL, 0 };
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, "notify::listen-address", G_CALLBACK (note_address), &noted);
  g_assert_null (get_listen_address (protocol));

  site_listen (&site, protocol);
  g_assert_cmpuint (noted.n_notified, ==, 1);
  g_assert_true (noted.address == site.bound);
  g_object_get (protocol, "listen-address", &got, NULL);
  g_assert_true (got == site.bound);
  if (kind == SITE_TCP || kind == SITE_TCP6)
    {
      GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS (got);

      g_assert_cmpuint (g_inet_socket_address_get_port (inet), >, 0);
      g_assert_true (g_inet_address_get_is_loopback (g_inet_socket_address_get_address (inet)));
    }
  else
    {
      wanted = g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (site.address));
      text = g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (got));
      g_assert_cmpstr (text, ==, wanted);
    }

  start_accept (protocol, NULL, &slot);
  g_assert_cmpuint (noted.n_notified, ==, 1);
  peer.fd = site_dial (&site);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (noted.n_notified, ==, 2);
  g_assert_null (noted.address);
  end_session (&protocol);
  g_assert_cmpuint (noted.n_notified, ==, 2);
}

/* The library's own client finds its way there by it. */
static void
test_listen_address_can_be_connected_to (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  g_auto (TestSlot) connected = TEST_SLOT_INIT;
  LineProtocol *server = line_protocol_new ();
  LineProtocol *client = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_serve (&site, server, NULL, &accepted);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client),
                               G_SOCKET_CONNECTABLE (get_listen_address (server)), NULL, test_slot_callback, &connected);
  finish_accept (server, &accepted, &error);
  g_assert_no_error (error);
  finish_connect (client, &connected, &error);
  g_assert_no_error (error);

  line_protocol_send (client, "from client");
  line_protocol_send (server, "from server");
  wait_trace (client, "receive(from server)");
  wait_trace (server, "receive(from client)");
  disconnect_session (client, &error);
  g_assert_no_error (error);
  wait_state (server, AQMP_RUNSTATE_DISCONNECTING);
  disconnect_session (server, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  end_object (&client);
  end_object (&server);
}

static void
test_listen_address_ends_with_listening (void)
{
  g_auto (Site) site = site_make (SITE_TCP);
  LineProtocol *protocol = line_protocol_new ();
  Noted noted = { NULL, 0 };
  g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");

  g_signal_connect (protocol, "notify::listen-address", G_CALLBACK (note_address), &noted);
  site_listen (&site, protocol);
  line_fail (protocol, NULL);
  g_assert_cmpuint (noted.n_notified, ==, 2);
  g_assert_null (get_listen_address (protocol));
  /* Never had one. */
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), nowhere, NULL, NULL));
  g_assert_cmpuint (noted.n_notified, ==, 2);
  end_object (&protocol);
}

static void
test_without_out_arguments (void)
{
  g_auto (Site) site = site_make (SITE_TCP);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");

  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), nowhere, NULL, NULL));
  g_assert_true (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), site.address, NULL, NULL));
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), site.address, NULL, NULL));
  end_session (&protocol);
}

static void
test_any_address (void)
{
  g_auto (Site) site = site_make (SITE_TCP);
  g_auto (Peer) peer = PEER_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_clear_object (&site.address);
  site.address = parse_socket_address ("tcp:0.0.0.0:0");
  site_listen (&site, protocol);
  g_assert_cmpuint (g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (site.bound)), >, 0);
  peer.fd = site_dial (&site);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* The port of a session that was just closed can be had again. */
static void
test_port_again_at_once (void)
{
  g_auto (Site) site = site_make (SITE_TCP);
  LineProtocol *protocol = line_protocol_new ();
  guint i;

  check_accepts (&site, protocol);
  g_set_object (&site.address, site.bound);
  for (i = 0; i < 3; i++)
    check_accepts (&site, protocol);
  end_object (&protocol);
}

/* ---- S9: the peer is early --------------------------------------------------------------------------------------- */

static void
test_peer_before_accept (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  /* And before the loop has run at all. */
  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
  peer_expect_eof (&peer);
}

static void
test_greeting_before_accept (gconstpointer data)
{
  gboolean run_loop = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  peer_send (&peer, "hello\nearly\n");
  if (run_loop)
    {
      test_wait_until (get_listen_address (protocol) == NULL);
      test_dispatch_pending ();
    }
  line_trace_expect (trace, "connecting");
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  wait_trace (protocol, "receive(early)");
  line_trace_expect (trace, "connecting establish out(hi) in(hello) running in(early) receive(early)");
  peer_expect (&peer, "hi\n");
  end_session (&protocol);
}

/* It connects and is gone again: that is the peer, and the end of this attempt. */
static void
test_peer_gone_before_accept (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  gboolean run_loop;

  for (run_loop = FALSE; run_loop <= TRUE; run_loop++)
    {
      g_auto (Site) site = site_make (kind);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      LineProtocol *protocol = line_protocol_new ();
      LineTrace *trace = line_protocol_get_trace (protocol);
      g_autoptr (GError) error = NULL;

      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
      site_listen (&site, protocol);
      close (site_dial (&site));
      if (run_loop)
        {
          test_wait_until (get_listen_address (protocol) == NULL);
          test_dispatch_pending ();
          line_trace_expect (trace, "connecting");
        }
      start_accept (protocol, NULL, &slot);
      g_assert_false (finish_accept (protocol, &slot, &error));
      assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "Could not establish the session: *");
      g_assert_cmpuint (line_trace_count (trace, "ended(failed)"), ==, 1);
      check_usable (protocol);
      check_accepts (&site, protocol);
      end_object (&protocol);
    }
}

/* The same while somebody accepts. */
static void
test_peer_gone_after_accept (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  site_serve (&site, protocol, NULL, &slot);
  close (site_dial (&site));
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "Could not establish the session: *");
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* Nor is a reset any different. */
static void
test_peer_reset_before_accept (gconstpointer data)
{
  gboolean run_loop = GPOINTER_TO_INT (data);
  const struct linger linger = { 1, 0 };
  g_auto (Site) site = site_make (SITE_TCP);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;
  int fd;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  site_listen (&site, protocol);
  fd = site_dial (&site);
  g_assert_no_errno (setsockopt (fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  close (fd);
  if (run_loop)
    test_wait_until (get_listen_address (protocol) == NULL);
  start_accept (protocol, NULL, &slot);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "Could not establish the session: *");
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* The first to come is the peer, even if it has gone when the next one comes. */
static void
test_gone_peer_is_not_replaced (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) second = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  site_listen (&site, protocol);
  close (site_dial (&site));
  second.fd = site_dial (&site);
  start_accept (protocol, NULL, &slot);
  g_assert_false (finish_accept (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  peer_expect_eof (&second);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* ---- S4 ---------------------------------------------------------------------------------------------------------- */

static void
test_cause_of_accept (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  site_serve (&site, protocol, NULL, &slot);
  peer.fd = site_dial (&site);
  peer_send (&peer, "humbug\n");
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, LINE_ERROR, LINE_ESTABLISH_SESSION, "Could not establish the session: “humbug” is no greeting");
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* ---- S12 --------------------------------------------------------------------------------------------------------- */

static void
test_queue_of_an_earlier_session (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) first = PEER_INIT;
  g_auto (Peer) second = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_serve (&site, protocol, NULL, &slot);
  first.fd = site_dial (&site);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  fill_queue (protocol);
  line_protocol_send (protocol, "from the first session");
  line_fail (protocol, NULL);
  disconnect_session (protocol, NULL);

  site_serve (&site, protocol, NULL, &slot);
  second.fd = site_dial (&site);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (protocol)), ==, 0);
  check_talks (protocol, &second);
  end_session (&protocol);
  peer_expect_eof (&second);
}

static void
add_for_kinds (const char    *path,
               GTestDataFunc  func)
{
  SiteKind kind;

  for (kind = SITE_PATH; kind <= SITE_TCP6; kind++)
    {
      g_autofree char *full = site_test_path (path, kind);

      if (site_is_possible (kind))
        g_test_add_data_func (full, GINT_TO_POINTER (kind), func);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_for_kinds ("/protocol/S8/one-peer", test_one_peer);
  add_for_kinds ("/protocol/S8/extra-peers-are-closed-and-counted", test_extra_peers);
  g_test_add_func ("/protocol/S8/no-extra-peer-after-the-first", test_extra_peer_after_arrival);
  g_test_add_func ("/protocol/S8/second-server-at-the-same-place", test_second_server_at_the_same_place);
  add_for_kinds ("/protocol/M7/listening/close-on-exec-and-keep-alive", test_descriptors_are_close_on_exec);
  add_for_kinds ("/protocol/S9/listen-address", test_listen_address);
  add_for_kinds ("/protocol/S9/listen-address-can-be-connected-to", test_listen_address_can_be_connected_to);
  g_test_add_func ("/protocol/S9/listen-address-ends-with-listening", test_listen_address_ends_with_listening);
  g_test_add_func ("/protocol/S9/without-out-arguments", test_without_out_arguments);
  g_test_add_func ("/protocol/S9/any-address", test_any_address);
  g_test_add_func ("/protocol/S9/port-again-at-once", test_port_again_at_once);
  add_for_kinds ("/protocol/S9/peer-before-accept", test_peer_before_accept);
  g_test_add_data_func ("/protocol/S9/greeting-before-accept", GINT_TO_POINTER (FALSE), test_greeting_before_accept);
  g_test_add_data_func ("/protocol/S9/greeting-long-before-accept", GINT_TO_POINTER (TRUE), test_greeting_before_accept);
  add_for_kinds ("/protocol/S9/peer-gone-before-accept", test_peer_gone_before_accept);
  add_for_kinds ("/protocol/S9/peer-gone-after-accept", test_peer_gone_after_accept);
  g_test_add_data_func ("/protocol/S9/peer-reset-before-accept", GINT_TO_POINTER (FALSE), test_peer_reset_before_accept);
  g_test_add_data_func ("/protocol/S9/peer-reset-long-before-accept", GINT_TO_POINTER (TRUE), test_peer_reset_before_accept);
  g_test_add_func ("/protocol/S9/gone-peer-is-not-replaced", test_gone_peer_is_not_replaced);
  g_test_add_func ("/protocol/S4/listening/cause-of-accept", test_cause_of_accept);
  g_test_add_func ("/protocol/S12/listening/queue-of-an-earlier-session", test_queue_of_an_earlier_session);

  return g_test_run ();
}
