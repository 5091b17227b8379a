/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "accept-util.h"

static const char * const when_names[] = { "listening", "peer-waits", "accepting", "peer-has-come", "greeting" };

void
check_talks (LineProtocol *protocol,
             Peer         *peer)
{
  line_protocol_send (protocol, "ping");
  peer_expect (peer, "ping\n");
  peer_send (peer, "pong\n");
  wait_trace (protocol, "receive(pong)");
}

void
check_accepts (Site         *site,
               LineProtocol *protocol)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GError) error = NULL;
  LineSlot i;

  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (protocol)));
  for (i = 0; i < LINE_N_SLOTS; i++)
    line_protocol_set (protocol, i, LINE_CHAIN_UP);
  line_trace_clear (line_protocol_get_trace (protocol));

  site_listen (site, protocol);
  peer.fd = site_dial (site);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  peer_expect_eof (&peer);
}

void
go_as_far_as (When          when,
              Site         *site,
              LineProtocol *protocol,
              GCancellable *cancellable,
              Peer         *peer,
              TestSlot     *slot)
{
  gboolean at_once = (when & WHEN_AT_ONCE) != 0;

  when &= ~WHEN_AT_ONCE;
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  if (at_once)
    site_serve (site, protocol, cancellable, slot);
  else
    site_listen (site, protocol);
  if (when == WHEN_LISTENING)
    return;

  if (!at_once && when != WHEN_PEER_WAITS)
    start_accept (protocol, cancellable, slot);
  test_dispatch_pending ();
  if (when == WHEN_ACCEPTING)
    return;

  peer->fd = site_dial (site);
  if (when == WHEN_PEER_HAS_COME)
    return;

  test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) == NULL);
  if (when == WHEN_GREETING)
    peer_expect (peer, "hi\n");
}

gboolean
has_accept (When when)
{
  return when != WHEN_LISTENING && when != WHEN_PEER_WAITS;
}

gboolean
is_greeting (When when)
{
  return (when & ~WHEN_AT_ONCE) == WHEN_GREETING;
}

const char *
explained (When        when,
           const char *cause)
{
  static char pattern[256];

  g_snprintf (pattern, sizeof pattern, "%s: %s",
              is_greeting (when) ? "Could not establish the session" : "Could not establish a connection * “*”", cause);
  return pattern;
}

void
add_for_each (const char    *path,
              When           first,
              GTestDataFunc  func)
{
  When when;

  for (when = first; when <= WHEN_GREETING; when++)
    {
      g_autofree char *full = g_strconcat (path, "/", when_names[when], NULL);

      g_autofree char *full_at_once = g_strconcat (path, "/", when_names[when], "-at-once", NULL);

      g_test_add_data_func (full, GINT_TO_POINTER (when), func);
      if (has_accept (when))
        g_test_add_data_func (full_at_once, GINT_TO_POINTER (when | WHEN_AT_ONCE), func);
    }
}
