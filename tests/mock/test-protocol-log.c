/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The log: S11. */

#include "session-util.h"

#include <string.h>

#define ABOVE_INFO (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE)
#define ALL G_LOG_LEVEL_MASK

/* Every line has the name as its field and in its text. Returns how many there were. */
static guint
check_names (TestLog    *log,
             const char *name)
{
  g_autoptr (GPtrArray) entries = test_log_steal (log);
  guint n_lines = 0;
  guint i;

  for (i = 0; i < entries->len; i++)
    {
      const TestLogEntry *entry = g_ptr_array_index (entries, i);

      if (g_strcmp0 (entry->domain, "aqmp") != 0)
        continue;
      g_assert_cmpstr (entry->name, ==, name);
      g_assert_nonnull (strstr (entry->message, name));
      n_lines++;
    }

  return n_lines;
}

static void
test_name_is_in_every_line (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_name (AQMP_PROTOCOL (protocol), "machine-7");
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  end_session (&protocol);
  g_assert_cmpuint (check_names (log, "machine-7"), >=, 4);
}

static void
test_class_stands_in_for_the_name (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = new_session (&peer);

  g_assert_null (aqmp_protocol_get_name (AQMP_PROTOCOL (protocol)));
  end_session (&protocol);
  g_assert_cmpuint (check_names (log, "LineFull"), >=, 4);
}

static void
count (gpointer    object,
       GParamSpec *pspec,
       guint      *n_notified)
{
  (*n_notified)++;
}

static void
test_name_can_be_changed (void)
{
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (TestLog) log = NULL;
  LineProtocol *protocol = g_object_new (LINE_TYPE_PROTOCOL, "name", "before", NULL);
  g_autofree char *name = NULL;
  g_autoptr (GError) error = NULL;
  guint n_notified = 0;

  g_signal_connect (protocol, "notify::name", G_CALLBACK (count), &n_notified);
  g_assert_cmpstr (aqmp_protocol_get_name (AQMP_PROTOCOL (protocol)), ==, "before");
  open_session (protocol, &peer, &error);
  g_assert_no_error (error);
  log = test_log_start ();
  aqmp_protocol_set_name (AQMP_PROTOCOL (protocol), "after");
  aqmp_protocol_set_name (AQMP_PROTOCOL (protocol), "after");
  g_assert_cmpuint (n_notified, ==, 1);
  g_object_get (protocol, "name", &name, NULL);
  g_assert_cmpstr (name, ==, "after");
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (check_names (log, "after"), >=, 2);
  aqmp_protocol_set_name (AQMP_PROTOCOL (protocol), NULL);
  g_assert_cmpuint (n_notified, ==, 2);
  end_object (&protocol);
}

static void
test_transitions_are_debug (void)
{
  static const char * const states[] = { "connecting", "running", "disconnecting", "idle" };
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (TestLog) log = test_log_start ();
  LineProtocol *protocol = new_session (&peer);
  gsize i;

  end_session (&protocol);
  for (i = 0; i < G_N_ELEMENTS (states); i++)
    {
      g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_DEBUG, "aqmp", states[i]), >=, 1);
      g_assert_cmpuint (test_log_count (log, ALL & ~G_LOG_LEVEL_DEBUG, "aqmp", states[i]), ==, 0);
    }
}

/* ---- what a peer does -------------------------------------------------------------------------------------------- */

static void
leave (LineProtocol *protocol,
       Peer         *peer)
{
  peer_close (peer);
}

static void
leave_in_the_middle (LineProtocol *protocol,
                     Peer         *peer)
{
  line_protocol_set (protocol, LINE_FRAME, LINE_REPLACE);
  peer_send (peer, "hal");
  peer_close (peer);
}

static void
reset (LineProtocol *protocol,
       Peer         *peer)
{
  line_protocol_send (protocol, "unread");
  peer_reset (peer);
}

static void
send_garbage (LineProtocol *protocol,
              Peer         *peer)
{
  peer_send (peer, "\xff\xfe garbage \x1b[2J\n");
  line_protocol_set (protocol, LINE_MESSAGE_RECEIVED, LINE_RAISE);
}

static void
send_too_much (LineProtocol *protocol,
               Peer         *peer)
{
  g_autofree char *too_much = g_strnfill (1000, 'x');

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (protocol), 100);
  peer_send (peer, too_much);
}

static void
read_nothing (LineProtocol *protocol,
              Peer         *peer)
{
  fill_queue (protocol);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (protocol), 1);
}

static void
test_peer_is_never_above_info (void)
{
  void (*deeds[]) (LineProtocol *, Peer *) = {
    leave, leave_in_the_middle, reset, send_garbage, send_too_much, read_nothing,
  };
  g_autoptr (TestLog) log = test_log_start ();
  g_autofree char *dump = NULL;
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (deeds); i++)
    {
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = new_session (&peer);

      deeds[i] (protocol, &peer);
      if (deeds[i] != read_nothing)
        wait_state (protocol, AQMP_RUNSTATE_DISCONNECTING);
      g_assert_false (disconnect_session (protocol, NULL));
      end_object (&protocol);
    }

  /* In the handshake too. */
  for (i = 0; i + 1 < G_N_ELEMENTS (deeds); i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol;

      /* What takes a session that runs. */
      if (deeds[i] == reset)
        continue;
      protocol = line_protocol_new ();
      line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
      start_open (protocol, &peer, NULL, &slot);
      deeds[i] (protocol, &peer);
      g_assert_false (finish_open (protocol, &slot, NULL));
      test_slot_clear (&slot);
      end_object (&protocol);
    }

  g_assert_cmpuint (test_log_count (log, ALL, "aqmp", NULL), >, 20);
  dump = test_log_dump (log);
  g_test_message ("%s", dump);
  g_assert_cmpuint (test_log_count (log, ABOVE_INFO, NULL, NULL), ==, 0);
}

/* ---- the wire ---------------------------------------------------------------------------------------------------- */

/* A session of a class that filters, or one that does not, with messages each way in the handshake and after it. */
static void
talk (LineProtocol *protocol)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GError) error = NULL;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  start_open (protocol, &peer, NULL, &slot);
  peer_expect (&peer, "hi\n");
  peer_send (&peer, "hello\n");
  finish_open (protocol, &slot, &error);
  g_assert_no_error (error);
  line_protocol_send (protocol, "outbound");
  peer_expect (&peer, "outbound\n");
  peer_send (&peer, "inbound \xff\n");
  wait_trace (protocol, "receive(inbound \xff)");
  end_session (&protocol);
}

static void
check_wire (guint expected)
{
  g_autoptr (TestLog) log = test_log_start ();
  static const char * const texts[] = { "hi", "hello", "outbound", "inbound" };
  gsize i;

  talk (line_protocol_new ());
  talk (line_protocol_new_plain ());
  for (i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *arrow = g_strconcat (i % 2 == 0 ? "→ " : "← ", texts[i], NULL);

      g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_DEBUG, "aqmp", arrow), ==, expected);
      g_assert_cmpuint (test_log_count (log, ALL & ~G_LOG_LEVEL_DEBUG, "aqmp", texts[i]), ==, 0);
    }
  if (expected == 0)
    g_assert_cmpuint (test_log_count (log, ALL, "aqmp", "outbound"), ==, 0);

  /* Only text ever gets into the log. */
    {
      g_autoptr (GPtrArray) entries = test_log_steal (log);
      guint j;

      for (j = 0; j < entries->len; j++)
        g_assert_true (g_utf8_validate (((TestLogEntry *) g_ptr_array_index (entries, j))->message, -1, NULL));
    }
}

static void
run_with_debug (const char *value)
{
  g_setenv ("AQMP_DEBUG", value, TRUE);
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_unsetenv ("AQMP_DEBUG");
  g_test_trap_assert_passed ();
}

static void
test_wire (void)
{
  if (g_test_subprocess ())
    check_wire (2);
  else
    run_with_debug ("wire");
}

static void
test_no_wire (void)
{
  if (g_test_subprocess ())
    check_wire (0);
  else
    run_with_debug ("");
}

static void
test_other_debug_is_no_wire (void)
{
  if (g_test_subprocess ())
    check_wire (0);
  else
    run_with_debug ("something-else");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/S11/name-is-a-field-and-in-the-text-of-every-line", test_name_is_in_every_line);
  g_test_add_func ("/protocol/S11/class-stands-in-for-a-missing-name", test_class_stands_in_for_the_name);
  g_test_add_func ("/protocol/S11/name-can-be-changed", test_name_can_be_changed);
  g_test_add_func ("/protocol/S11/transitions-are-logged-at-debug-level", test_transitions_are_debug);
  g_test_add_func ("/protocol/S11/peer-is-never-logged-above-info", test_peer_is_never_above_info);
  g_test_add_func ("/protocol/S11/wire-logs-messages", test_wire);
  g_test_add_func ("/protocol/S11/messages-are-not-logged-otherwise", test_no_wire);
  g_test_add_func ("/protocol/S11/another-debug-key-is-not-wire", test_other_debug_is_no_wire);

  return g_test_run ();
}
