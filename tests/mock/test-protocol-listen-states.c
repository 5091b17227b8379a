/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The states of an object that listens and accepts: S1, S2, S3, S6. */

#include "accept-util.h"

#include <string.h>

/* ---- S1 ---------------------------------------------------------------------------------------------------------- */

static void
on_notify (LineProtocol *protocol,
           GParamSpec   *pspec,
           gpointer      user_data)
{
  g_autofree char *what = g_strconcat ("n:", line_runstate_name (get_state (protocol)), NULL);

  line_trace_add (line_protocol_get_trace (protocol), what);
}

static void
on_runstate_changed (LineProtocol *protocol,
                     AqmpRunstate  runstate,
                     gpointer      user_data)
{
  g_autofree char *what = g_strconcat ("s:", line_runstate_name (runstate), NULL);

  line_trace_add (line_protocol_get_trace (protocol), what);
}

static void
watch_states (LineProtocol *protocol)
{
  g_signal_connect (protocol, "notify::runstate", G_CALLBACK (on_notify), NULL);
  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (on_runstate_changed), NULL);
}

#define SEEN(state) "n:" state " s:" state " " state

/* Each of these once, in this order, and no other. */
static void
expect_logged (TestLog    *log,
               const char *expected)
{
  g_autoptr (GPtrArray) entries = test_log_steal (log);
  g_autoptr (GString) states = g_string_new (NULL);
  guint i;

  for (i = 0; i < entries->len; i++)
    {
      const TestLogEntry *entry = g_ptr_array_index (entries, i);

      if (g_strcmp0 (entry->domain, "aqmp") != 0)
        continue;
      g_assert_cmpint (entry->level & G_LOG_LEVEL_MASK, ==, G_LOG_LEVEL_DEBUG);
      g_assert_true (g_str_has_prefix (entry->message, "[LineProtocol] "));
      g_string_append_printf (states, "%s%s", states->len > 0 ? " " : "", entry->message + strlen ("[LineProtocol] "));
    }

  g_assert_cmpstr (states->str, ==, expected);
}

static void
test_whole_cycle (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  watch_states (protocol);
  if (at_once)
    site_serve (&site, protocol, NULL, &slot);
  else
    {
      site_listen (&site, protocol);
      start_accept (protocol, NULL, &slot);
    }
  /* Now, not later. */
  line_trace_expect (trace, SEEN ("connecting"));
  test_dispatch_pending ();
  line_trace_expect (trace, SEEN ("connecting"));
  g_assert_false (test_slot_is_done (&slot));

  peer.fd = site_dial (&site);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_RUNNING);
  check_talks (protocol, &peer);
  end_session (&protocol);
  line_trace_expect (trace,
                     SEEN ("connecting") " establish " SEEN ("running") " receive(pong) ended(clean) "
                     SEEN ("disconnecting") " " SEEN ("idle"));
  expect_logged (log, "connecting running disconnecting idle");
}

static void
test_start_server_failing (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = line_protocol_new_plain ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  GSocketAddress *effective = nowhere;
  g_autoptr (GError) error = NULL;

  watch_states (protocol);
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), nowhere, &effective, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "Could not establish*“/nowhere/at/all.sock”*");
  g_assert_null (effective);
  /* Through all of them, before it returned. */
  line_trace_expect (trace, SEEN ("connecting") " " SEEN ("disconnecting") " " SEEN ("idle"));
  expect_logged (log, "connecting disconnecting idle");
  test_dispatch_pending ();
  line_trace_expect (trace, SEEN ("connecting") " " SEEN ("disconnecting") " " SEEN ("idle"));
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
note_finished (GObject      *source,
               GAsyncResult *result,
               gpointer      user_data)
{
  LineProtocol *protocol = LINE_PROTOCOL (source);

  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)));
  line_trace_add (line_protocol_get_trace (protocol), "finish");
  test_slot_callback (source, result, user_data);
}

static void
test_start_server_and_accept_failing (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");
  LineProtocol *protocol = line_protocol_new_plain ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  watch_states (protocol);
  aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (protocol), nowhere, NULL, note_finished, &slot);
  /* Idle again, and the callback comes from the loop. */
  line_trace_expect (trace, SEEN ("connecting") " " SEEN ("disconnecting") " " SEEN ("idle"));
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "Could not establish*“/nowhere/at/all.sock”*");
  line_trace_expect (trace, SEEN ("connecting") " " SEEN ("disconnecting") " " SEEN ("idle") " finish");
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_accept_failing (void)
{
  static const LineResult results[] = { LINE_RAISE, LINE_NOTHING, LINE_DROP_TASK, LINE_RETURN_ERROR, LINE_RETURN_FALSE };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_auto (Site) site = site_make (SITE_PATH);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new_plain ();
      LineTrace *trace = line_protocol_get_trace (protocol);
      g_autoptr (GError) error = NULL;

      watch_states (protocol);
      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, results[i]);
      site_listen (&site, protocol);
      peer.fd = site_dial (&site);
      aqmp_protocol_accept_async (AQMP_PROTOCOL (protocol), NULL, note_finished, &slot);
      g_assert_false (finish_accept (protocol, &slot, &error));
      g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
      line_trace_expect (trace,
                         SEEN ("connecting") " establish ended(failed) " SEEN ("disconnecting") " " SEEN ("idle") " finish");
      peer_expect_eof (&peer);
      check_usable (protocol);
      check_accepts (&site, protocol);
      end_object (&protocol);
    }
}

/* No peer has come: nothing to establish, nothing to end. */
static void
test_accept_cancelled (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new_plain ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  watch_states (protocol);
  site_listen (&site, protocol);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (protocol), cancellable, note_finished, &slot);
  test_dispatch_pending ();
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_accept (protocol, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  line_trace_expect (trace, SEEN ("connecting") " " SEEN ("disconnecting") " " SEEN ("idle") " finish");
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
note_waited (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  LineProtocol *protocol = LINE_PROTOCOL (source);
  AqmpRunstate runstate;
  g_autofree char *what = NULL;

  g_assert_true (aqmp_protocol_wait_runstate_finish (AQMP_PROTOCOL (protocol), result, &runstate, NULL));
  what = g_strconcat ("w:", line_runstate_name (runstate), NULL);
  line_trace_add (line_protocol_get_trace (protocol), what);
  if (runstate != AQMP_RUNSTATE_RUNNING)
    aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), runstate, NULL, note_waited, NULL);
}

static void
test_wait_runstate_sees_listening (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new_plain ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (protocol), AQMP_RUNSTATE_IDLE, NULL, note_waited, NULL);
  site_listen (&site, protocol);
  wait_trace (protocol, "w:connecting");
  start_accept (protocol, NULL, &slot);
  peer.fd = site_dial (&site);
  wait_trace (protocol, "w:running");
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  end_session (&protocol);
  g_assert_cmpuint (line_trace_count (trace, "w:connecting"), ==, 1);
  g_assert_cmpuint (line_trace_count (trace, "w:running"), ==, 1);
}

/* ---- S2, S3 ------------------------------------------------------------------------------------------------------ */

typedef enum
{
  CALL_START_SERVER,
  CALL_ACCEPT,
  CALL_START_SERVER_AND_ACCEPT,
  CALL_CONNECT,
  CALL_OPEN,
  N_CALLS
} Call;

static const char * const call_names[N_CALLS] = { "start_server", "accept", "start_server_and_accept", "connect", "open" };

static void
call_in_vain (Site         *site,
              LineProtocol *protocol,
              Call          call,
              GError      **error)
{
  AqmpProtocol *self = AQMP_PROTOCOL (protocol);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autofree char *path = test_tmp_dir_build (site->dir, "in-vain.sock");
  g_autoptr (GSocketAddress) address = parse_socket_address (path);
  g_autoptr (GIOStream) stream = peer_connect (&peer);
  GSocketAddress *effective = address;

  switch (call)
    {
    case CALL_START_SERVER:
      g_assert_false (aqmp_protocol_start_server (self, address, &effective, error));
      g_assert_null (effective);
      break;
    case CALL_ACCEPT:
      start_accept (protocol, NULL, &slot);
      g_assert_false (test_slot_is_done (&slot));
      g_assert_false (finish_accept (protocol, &slot, error));
      break;
    case CALL_START_SERVER_AND_ACCEPT:
      aqmp_protocol_start_server_and_accept_async (self, address, NULL, test_slot_callback, &slot);
      g_assert_false (test_slot_is_done (&slot));
      g_assert_false (finish_accept (protocol, &slot, error));
      break;
    case CALL_CONNECT:
      aqmp_protocol_connect_async (self, G_SOCKET_CONNECTABLE (address), NULL, test_slot_callback, &slot);
      g_assert_false (finish_connect (protocol, &slot, error));
      break;
    case CALL_OPEN:
    default:
      aqmp_protocol_open_async (self, stream, NULL, test_slot_callback, &slot);
      g_assert_false (finish_open (protocol, &slot, error));
      peer_expect_none (&peer);
    }

  g_assert_false (path_is_taken (path));
}

#define BUSY_CONNECTING "LineFull*“connecting”*“idle”*disconnect it first"
#define BUSY_RUNNING "LineFull*“running”*“idle”*disconnect it first"
#define BUSY_DISCONNECTING "LineFull*“disconnecting”*“idle”*disconnect it, and wait*"
#define NOT_STARTED(state) "LineFull*“" state "”*no server was started: disconnect it first, then start one"

typedef enum
{
  STATE_IDLE,
  STATE_LISTENING,
  STATE_ACCEPTING,
  STATE_GREETING,         /* the peer has come */
  STATE_OPENING,          /* CONNECTING, but not as a server */
  STATE_RUNNING,
  STATE_DISCONNECTING,
  N_STATES
} State;

/* NULL: is possible there */
static const char * const patterns[N_STATES][N_CALLS] = {
  [STATE_IDLE] = { NULL, "LineFull*“idle”*no server was started: start one first", NULL, NULL, NULL },
  [STATE_LISTENING] = { BUSY_CONNECTING, NULL, BUSY_CONNECTING, BUSY_CONNECTING, BUSY_CONNECTING },
  [STATE_ACCEPTING] = { BUSY_CONNECTING, "LineFull*“connecting”*accepts a peer already*disconnect it", BUSY_CONNECTING,
                        BUSY_CONNECTING, BUSY_CONNECTING },
  [STATE_GREETING] = { BUSY_CONNECTING, "LineFull*“connecting”*accepts a peer already*disconnect it", BUSY_CONNECTING,
                       BUSY_CONNECTING, BUSY_CONNECTING },
  [STATE_OPENING] = { BUSY_CONNECTING, NOT_STARTED ("connecting"), BUSY_CONNECTING, BUSY_CONNECTING, BUSY_CONNECTING },
  [STATE_RUNNING] = { BUSY_RUNNING, NOT_STARTED ("running"), BUSY_RUNNING, BUSY_RUNNING, BUSY_RUNNING },
  [STATE_DISCONNECTING] = { BUSY_DISCONNECTING, NOT_STARTED ("disconnecting"), BUSY_DISCONNECTING, BUSY_DISCONNECTING,
                            BUSY_DISCONNECTING },
};

static void
on_listen_address (LineProtocol *protocol,
                   GParamSpec   *pspec,
                   gpointer      user_data)
{
  line_trace_add (line_protocol_get_trace (protocol), "listen-address");
}

static void
check_state (Site         *site,
             LineProtocol *protocol,
             State         state)
{
  AqmpRunstate runstate = get_state (protocol);
  GSocketAddress *listening = aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol));
  gulong handler = g_signal_connect (protocol, "notify::listen-address", G_CALLBACK (on_listen_address), NULL);
  Call call;

  line_trace_clear (line_protocol_get_trace (protocol));

  for (call = 0; call < N_CALLS; call++)
    {
      g_autoptr (GError) error = NULL;

      if (patterns[state][call] == NULL)
        continue;

      g_test_message ("%s", call_names[call]);
      call_in_vain (site, protocol, call, &error);
      assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, patterns[state][call]);
      g_assert_cmpint (get_state (protocol), ==, runstate);
      g_assert_true (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) == listening);
    }

  /* Nothing was done. */
  line_trace_expect (line_protocol_get_trace (protocol), "");
  g_signal_handler_disconnect (protocol, handler);
}

static void
test_wrong_state_idle (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();

  check_state (&site, protocol, STATE_IDLE);
  check_accepts (&site, protocol);
  /* Once more: having been one does not make it a server. */
  check_state (&site, protocol, STATE_IDLE);
  end_object (&protocol);
}

/* From listening to running, with each state on the way. */
static void
test_wrong_state_on_the_way (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  if (at_once)
    site_serve (&site, protocol, NULL, &slot);
  else
    {
      site_listen (&site, protocol);
      check_state (&site, protocol, STATE_LISTENING);
      start_accept (protocol, NULL, &slot);
    }
  check_state (&site, protocol, STATE_ACCEPTING);
  peer.fd = site_dial (&site);
  peer_expect (&peer, "hi\n");
  check_state (&site, protocol, STATE_GREETING);
  peer_send (&peer, "hello\n");
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_state (&site, protocol, STATE_RUNNING);
  check_talks (protocol, &peer);

  fill_queue (protocol);
  line_disconnect (protocol, &slot);
  test_dispatch_pending ();
  check_state (&site, protocol, STATE_DISCONNECTING);
  g_assert_cmpuint (peer_drain (&peer), ==, 1024 * 1024 + 1);
  finish_disconnect_of (protocol, &slot, &error);
  g_assert_no_error (error);
  check_state (&site, protocol, STATE_IDLE);
  end_object (&protocol);
}

/* The peer is here, and nobody accepts it. */
static void
test_wrong_state_with_peer_waiting (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) == NULL);
  check_state (&site, protocol, STATE_LISTENING);
  peer_expect_none (&peer);
  start_accept (protocol, NULL, &slot);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

static void
test_wrong_state_opening (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &slot);
  peer_expect (&peer, "hi\n");
  check_state (&site, protocol, STATE_OPENING);
  peer_send (&peer, "hello\n");
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  check_state (&site, protocol, STATE_RUNNING);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

static void
test_wrong_state_failed (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = new_session (&peer);
  g_autoptr (GError) error = NULL;

  line_fail (protocol, NULL);
  check_state (&site, protocol, STATE_DISCONNECTING);
  disconnect_session (protocol, &error);
  assert_error_like (error, LINE_ERROR, 99, "deed");
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* The second accept is refused; the first goes on, and gets its peer. */
static void
test_accept_twice (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  start_accept (protocol, NULL, &first);
  start_accept (protocol, NULL, &second);
  peer.fd = site_dial (&site);
  g_assert_false (finish_accept (protocol, &second, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "LineFull*“connecting”*accepts a peer already*");
  g_clear_error (&error);
  finish_accept (protocol, &first, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* The refused one has a cancellable, which is its own affair. */
static void
test_refused_accept_cancelled (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  start_accept (protocol, NULL, &first);
  start_accept (protocol, cancellable, &second);
  g_cancellable_cancel (cancellable);
  g_assert_false (finish_accept (protocol, &second, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);
  test_dispatch_pending ();
  g_assert_false (test_slot_is_done (&first));
  peer.fd = site_dial (&site);
  finish_accept (protocol, &first, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* ---- S6 ---------------------------------------------------------------------------------------------------------- */

static void
test_disconnect (gconstpointer data)
{
  When when = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  go_as_far_as (when, &site, protocol, NULL, &peer, &accepted);
  line_disconnect (protocol, &disconnected);
  /* At once. */
  site_expect_free (&site);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)));
  finish_disconnect_of (protocol, &disconnected, &error);
  g_assert_no_error (error);
  line_trace_expect (trace, is_greeting (when) ? "connecting establish out(hi) ended(failed) disconnecting idle"
                                                  : "connecting disconnecting idle");
  if (has_accept (when))
    {
      g_assert_false (finish_accept (protocol, &accepted, &error));
      assert_error_like (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, explained (when, "It was disconnected meanwhile"));
    }
  if (peer.fd >= 0)
    peer_expect_eof (&peer);

  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_fail (gconstpointer data)
{
  When when = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;

  go_as_far_as (when, &site, protocol, NULL, &peer, &accepted);
  line_fail (protocol, NULL);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  site_expect_free (&site);
  line_trace_expect (trace, is_greeting (when) ? "connecting establish out(hi) ended(failed) disconnecting idle"
                                                  : "connecting disconnecting idle");
  if (has_accept (when))
    {
      g_assert_false (finish_accept (protocol, &accepted, &error));
      assert_error_like (error, LINE_ERROR, 99, explained (when, "deed"));
    }
  if (peer.fd >= 0)
    peer_expect_eof (&peer);

  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
note_error (LineProtocol *protocol,
            AqmpRunstate  runstate,
            GError      **noted)
{
  const GError *error = aqmp_protocol_get_error (AQMP_PROTOCOL (protocol));

  if (runstate == AQMP_RUNSTATE_DISCONNECTING && error != NULL)
    *noted = g_error_copy (error);
}

/* Nobody accepts, so there is nobody to tell: but handlers can see it. */
static void
test_failing_while_listening_is_seen (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) noted = NULL;
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (note_error), &noted);
  site_listen (&site, protocol);
  line_fail (protocol, NULL);
  assert_error_like (noted, LINE_ERROR, 99, "Could not establish a connection * “*”: deed");
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  end_object (&protocol);
}

static void
test_concurrent_disconnects (gconstpointer data)
{
  When when = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) cancelled = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  go_as_far_as (when, &site, protocol, NULL, &peer, &accepted);
  line_disconnect (protocol, &first);
  line_disconnect (protocol, &second);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (protocol), cancellable, test_slot_callback, &cancelled);
  finish_disconnect_of (protocol, &first, &error);
  g_assert_no_error (error);
  finish_disconnect_of (protocol, &second, &error);
  g_assert_no_error (error);
  g_assert_false (finish_disconnect_of (protocol, &cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  if (has_accept (when))
    {
      g_assert_false (finish_accept (protocol, &accepted, &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
    }
  check_accepts (&site, protocol);
  end_object (&protocol);
}

/* The very same place at once, again and again. */
static void
test_start_again_at_once (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  LineProtocol *protocol = line_protocol_new ();
  guint i;

  for (i = 0; i < 20; i++)
    {
      site_listen (&site, protocol);
      line_disconnect (protocol, NULL);
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
    }
  check_accepts (&site, protocol);
  end_object (&protocol);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/protocol/S1/listening/start-server-then-accept", GINT_TO_POINTER (FALSE), test_whole_cycle);
  g_test_add_data_func ("/protocol/S1/listening/start-server-and-accept", GINT_TO_POINTER (TRUE), test_whole_cycle);
  g_test_add_func ("/protocol/S1/listening/start-server-fails", test_start_server_failing);
  g_test_add_func ("/protocol/S1/listening/start-server-and-accept-fails", test_start_server_and_accept_failing);
  g_test_add_func ("/protocol/S1/listening/accept-fails", test_accept_failing);
  g_test_add_func ("/protocol/S1/listening/accept-cancelled", test_accept_cancelled);
  g_test_add_func ("/protocol/S1/listening/wait-runstate", test_wait_runstate_sees_listening);

  g_test_add_func ("/protocol/S3/wrong-state/idle", test_wrong_state_idle);
  g_test_add_data_func ("/protocol/S3/wrong-state/start-server-to-end", GINT_TO_POINTER (FALSE), test_wrong_state_on_the_way);
  g_test_add_data_func ("/protocol/S3/wrong-state/start-server-and-accept-to-end", GINT_TO_POINTER (TRUE),
                        test_wrong_state_on_the_way);
  g_test_add_func ("/protocol/S3/wrong-state/peer-waits", test_wrong_state_with_peer_waiting);
  g_test_add_func ("/protocol/S3/wrong-state/opening", test_wrong_state_opening);
  g_test_add_func ("/protocol/S3/wrong-state/failed", test_wrong_state_failed);
  g_test_add_func ("/protocol/S3/accept-twice", test_accept_twice);
  g_test_add_func ("/protocol/S3/refused-accept-is-cancelled", test_refused_accept_cancelled);

  add_for_each ("/protocol/S6/disconnect-of-server", WHEN_LISTENING, test_disconnect);
  add_for_each ("/protocol/S6/fail-of-server", WHEN_LISTENING, test_fail);
  add_for_each ("/protocol/S6/concurrent-disconnects-of-server", WHEN_LISTENING, test_concurrent_disconnects);
  g_test_add_func ("/protocol/S6/failing-while-listening-is-seen", test_failing_while_listening_is_seen);
  g_test_add_func ("/protocol/S6/start-again-at-once", test_start_again_at_once);

  return g_test_run ();
}
