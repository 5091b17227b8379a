/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* S5, S7, S10, S12, S13, Q12: how a session ends, and what that means for calls. */

#include "client-util.h"
#include "echo-peer.h"

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

static void
assert_interrupted (TestSlot   *slot,
                    const char *cause)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_null (result);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, cause);
  g_assert_cmpuint (slot->n_calls, ==, 1);
}

static void
assert_result (TestSlot   *slot,
               const char *expected)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, expected);
}

static void
assert_usable (AqmpClient *client,
               MockServer *mock)
{
  g_autoptr (GError) error = NULL;

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* --- S5: failures ------------------------------------------------------------------------------------------------- */

/* Calls of each kind are pending when the peer goes. */
static void
check_eof (const char *last_bytes,
           const char *what)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) tree = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;
  g_auto (TestSlot) full = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  test_start (client, "a", NULL, &tree);
  test_start_raw (client, "{\"execute\": \"b\"}", NULL, &raw);
  test_start_timeout (client, "c", 100000, &full);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_expect (mock, "{'execute': 'c'}");
  if (last_bytes != NULL)
    mock_send (mock, last_bytes);
  mock_close (mock);

  assert_interrupted (&tree, what);
  assert_interrupted (&raw, what);
  assert_interrupted (&full, what);

  /* It stays until disconnect asks for the cause. */
  test_dispatch_pending ();
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_DISCONNECTING);
  test_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, what);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, what);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (client)));
  assert_usable (client, mock);
}

static void
test_eof (void)
{
  check_eof (NULL, "The peer closed the connection");
}

static void
test_eof_in_message (void)
{
  check_eof ("{\"return\": {\"a\": ", "middle of a message");
}

/* The rest of a number at the top could still have come. */
static void
test_eof_behind_blank (void)
{
  check_eof ("  \r\n", "The peer closed the connection");
}

static void
test_eof_after_quit (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) other = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  test_start (client, "quit", NULL, &slot);
  test_start (client, "never answered", NULL, &other);
  mock_expect (mock, "{'execute': 'quit'}");
  mock_expect (mock, "{'execute': 'never answered'}");
  mock_return_to (mock, 1, "{}");
  mock_send_json (mock, "{'event': 'SHUTDOWN'}");
  mock_close (mock);

  assert_result (&slot, "{}");
  assert_interrupted (&other, "");
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (client)));
  test_disconnect (client, &error);
  g_assert_no_error (error);
  assert_usable (client, mock);
}

static void
test_eof_after_raw_quit (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'quit'}");
  mock_return (mock, "{}");
  mock_close (mock);
  result = test_execute_raw (client, "{\"\\u0065xecute\": \"qu\\u0069t\"}", &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  assert_usable (client, mock);
}

/* It is the answer that counts, also one that nobody waits for any more. */
static void
test_eof_after_cancelled_quit (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "quit", cancellable, &slot);
  mock_expect (mock, "{'execute': 'quit'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  result = test_finish (&slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  mock_return (mock, "{}");
  mock_close (mock);
  test_wait_failed (client);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  assert_usable (client, mock);
}

/* A server that leaves instead of answering, and one that has refused. */
static void
check_unclean_quit (gboolean refused)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'quit'}");
  if (refused)
    mock_error (mock, "GenericError", "not now");
  mock_close (mock);
  result = test_execute (client, "quit", NULL, &error);
  g_assert_null (result);
  g_clear_error (&error);
  test_wait_failed (client);
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  assert_usable (client, mock);
}

static void
test_eof_before_quit_answered (void)
{
  check_unclean_quit (FALSE);
}

static void
test_eof_after_quit_refused (void)
{
  check_unclean_quit (TRUE);
}

/* The next session has not quit. */
static void
test_quit_is_of_one_session (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'quit'}");
  mock_return (mock, "{}");
  mock_close (mock);
  result = test_execute (client, "quit", NULL, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  test_disconnect (client, NULL);

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_close (mock);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  assert_usable (client, mock);
}

/* Only the end of file is expected then; garbage is garbage. */
static void
test_garbage_after_quit (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'quit'}");
  mock_return (mock, "{}");
  mock_send (mock, "Segmentation fault\n");
  mock_expect_gone (mock);
  result = test_execute (client, "quit", NULL, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  g_assert_false (test_disconnect (client, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE, "Segmentation fault");
  assert_usable (client, mock);
}

/* --- Q12: what has arrived comes first ---------------------------------------------------------------------------- */

/* The reply and the end of file are in the socket together; so is what the peer never read. */
static void
check_reply_first (const char *behind,
                   gboolean    unread)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) answered = TEST_SLOT_INIT;
  g_auto (TestSlot) lost = TEST_SLOT_INIT;
  g_auto (TestSlot) late = TEST_SLOT_INIT;

  test_start (client, "answered", NULL, &answered);
  test_start (client, "lost", NULL, &lost);
  mock_expect (mock, "{'execute': 'answered'}");
  mock_expect (mock, "{'execute': 'lost'}");
  mock_wait_done (mock);
  if (unread)
    {
      test_start (client, "unread", NULL, &late);
      test_dispatch_pending ();
    }
  mock_send_json (mock, "{\"return\": \"got it\", \"id\": @ID:1@}");
  if (behind != NULL)
    mock_send (mock, behind);
  mock_close (mock);
  mock_block_done (mock);
  if (!unread)
    /* Written into a connection that is closed: EPIPE, while the reply waits to be read. */
    test_start (client, "unwritten", NULL, &late);

  assert_result (&answered, "\"got it\"");
  assert_interrupted (&lost, "");
  assert_interrupted (&late, "");
  test_wait_failed (client);
  test_disconnect (client, NULL);
  assert_usable (client, mock);
}

static void
test_reply_before_eof (void)
{
  check_reply_first (NULL, FALSE);
}

static void
test_reply_before_reset (void)
{
  check_reply_first (NULL, TRUE);
}

static void
test_reply_before_garbage (void)
{
  check_reply_first ("}}}", FALSE);
}

/* --- S7: disconnecting -------------------------------------------------------------------------------------------- */

static void
test_disconnect_interrupts (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  test_start (client, "slow", NULL, &slot);
  mock_expect (mock, "{'execute': 'slow'}");
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  assert_interrupted (&slot, "session ended");
  assert_usable (client, mock);
}

/* What is queued is sent first, and replies are routed meanwhile. */
static void
test_disconnect_flushes (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"big\", \"arguments\": \"%s\"}", padding);
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) big = TEST_SLOT_INIT;
  g_auto (TestSlot) last = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  test_start (client, "first", NULL, &first);
  test_start_raw (client, command, NULL, &big);
  test_start (client, "last", NULL, &last);
  mock_expect (mock, "{'execute': 'first'}");
  mock_return (mock, "'meanwhile'");
  mock_expect (mock, "{'execute': 'big', 'arguments': '@ANY@'}");
  mock_expect (mock, "{'execute': 'last'}");
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  assert_result (&first, "\"meanwhile\"");
  assert_interrupted (&big, "session ended");
  assert_interrupted (&last, "session ended");
  assert_usable (client, mock);
}

/* A call once it is being disconnected is none. */
static void
test_no_calls_while_flushing (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) before = TEST_SLOT_INIT;
  g_auto (TestSlot) after = TEST_SLOT_INIT;
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "before", NULL, &before);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &disconnected);
  test_start (client, "after", NULL, &after);
  mock_expect (mock, "{'execute': 'before'}");
  mock_expect_eof (mock);
  no_result = test_finish (&after, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_clear_error (&error);
  assert_interrupted (&before, "");
  result = test_await (&disconnected);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  assert_usable (client, mock);
}

static void
test_peer_never_reads (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"big\", \"arguments\": \"%s\"}", padding);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 50);
  mock_stop_reading (mock);
  test_start_raw (client, command, NULL, &slot);
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  assert_interrupted (&slot, "");
  assert_usable (client, mock);
}

/* So that the peer is always ahead. */
static void
take_time (AqmpClient *client,
           AqmpEvent  *event,
           guint      *n_events)
{
  (*n_events)++;
  g_usleep (100);
}

/* There is always something to read before word that nothing is left to be written; but it is so. */
static void
test_peer_never_stops_sending (void)
{
  EchoPeer *peer;
  AqmpClient *client = echo_peer_open (&peer, ECHO_PEER_FLOODS);
  guint n_events = 0;

  g_signal_connect (client, "event", G_CALLBACK (take_time), &n_events);
  test_wait_until (n_events > 0);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 1);
  test_client_close (client);
  echo_peer_free (peer);
}

/* --- S13: the order ----------------------------------------------------------------------------------------------- */

typedef struct
{
  GString *story;
  guint    n_ended;
} Story;

static void
on_runstate (AqmpClient   *client,
             AqmpRunstate  runstate,
             Story        *story)
{
  g_string_append_printf (story->story, "→%d%s ", (int) runstate,
                          aqmp_protocol_get_stream (AQMP_PROTOCOL (client)) != NULL ? " with a stream" : "");
}

static void
on_call_ended (GObject      *object,
               GAsyncResult *result,
               gpointer      data)
{
  Story *story = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, &error);

  g_assert_null (node);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_string_append (story->story, "call ");
  story->n_ended++;
}

static void
check_order (gboolean    by_peer,
             const char *expected)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) text = g_string_new (NULL);
  Story story = { text, 0 };

  aqmp_client_execute_async (client, "a", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, on_call_ended, &story);
  aqmp_client_execute_async (client, "b", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, on_call_ended, &story);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_wait_done (mock);
  g_signal_connect (client, "runstate-changed", G_CALLBACK (on_runstate), &story);

  if (by_peer)
    {
      mock_close (mock);
      test_wait_until (story.n_ended == 2);
    }
  else
    {
      mock_expect_eof (mock);
      test_disconnect (client, NULL);
    }
  g_assert_cmpstr (text->str, ==, expected);
  g_signal_handlers_disconnect_by_data (client, &story);
  test_disconnect (client, NULL);
  assert_usable (client, mock);
}

static void
test_calls_fail_last (void)
{
  check_order (TRUE, "→3 call call ");
}

/* Here the last of the teardown is followed by what comes after it. */
static void
test_calls_fail_after_state_on_disconnect (void)
{
  check_order (FALSE, "→3 call call →0 ");
}

/* --- S10: disposed ------------------------------------------------------------------------------------------------ */

static void
test_run_dispose (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GString) text = g_string_new (NULL);
  Story story = { text, 0 };
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  gpointer watched = client;

  g_signal_connect (client, "runstate-changed", G_CALLBACK (on_runstate), &story);
  test_start (client, "a", NULL, &first);
  test_start_raw (client, "{\"execute\": \"b\"}", NULL, &second);
  mock_expect (mock, "{'execute': 'a'}");
  mock_expect (mock, "{'execute': 'b'}");
  mock_wait_done (mock);
  mock_expect_eof (mock);

  g_object_run_dispose (G_OBJECT (client));
  assert_interrupted (&first, "");
  assert_interrupted (&second, "");
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  g_assert_cmpstr (text->str, ==, "");
  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_object_unref (client);
  g_assert_null (watched);
}

static void
test_run_dispose_while_connecting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint asked;

  mock_event (mock, "STOP", NULL);
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  asked = mock_mark (mock);
  mock_expect_eof (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  mock_wait_reached (mock, asked);
  g_object_run_dispose (G_OBJECT (client));
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

/* A call keeps the client alive until its callback has run, and no longer. */
static void
test_call_keeps_alive (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  test_start (client, "a", NULL, &slot);
  g_object_unref (client);
  g_assert_nonnull (watched);
  mock_expect (mock, "{'execute': 'a'}");
  mock_return (mock, "1");
  mock_expect_eof (mock);
  assert_result (&slot, "1");
  test_wait_until (watched == NULL);
}

/* A call that was given up keeps nothing alive, though its reply is still to come. */
static void
test_cancelled_call_keeps_nothing_alive (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  test_start (client, "a", cancellable, &slot);
  mock_expect (mock, "{'execute': 'a'}");
  mock_wait_done (mock);
  g_cancellable_cancel (cancellable);
  result = test_finish (&slot, NULL);
  test_dispatch_pending ();
  mock_expect_eof (mock);
  g_object_unref (client);
  g_assert_null (watched);
}

/* A session keeps nothing alive: dropping it closes the stream at once. */
static void
test_last_reference (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);

  mock_expect_eof (mock);
  test_dispatch_pending ();
  g_assert_finalize_object (client);
  mock_block_done (mock);
}

/* --- S12 ---------------------------------------------------------------------------------------------------------- */

/* What an earlier session had queued when it failed is not sent in the next. */
static void
test_queued_never_later (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"big\", \"arguments\": \"%s\"}", padding);
  g_auto (TestSlot) big = TEST_SLOT_INIT;
  g_auto (TestSlot) behind = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  test_start_raw (client, command, NULL, &big);
  test_start (client, "behind", NULL, &behind);
  test_dispatch_pending ();
  mock_send (mock, "no JSON");
  mock_expect_gone (mock);
  assert_interrupted (&big, "no JSON");
  assert_interrupted (&behind, "no JSON");
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_PARSE);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), ==, 0);

  /* That expects its own requests only. */
  assert_usable (client, mock);
}

/* Nor does a reply that is late by a session find its call. */
static void
test_reply_of_earlier_session (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "a", NULL, &slot);
  mock_expect (mock, "{'execute': 'a', 'id': 'aqmp-2'}");
  mock_expect_eof (mock);
  test_disconnect (client, NULL);
  assert_interrupted (&slot, "");

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  mock_expect (mock, "{'execute': 'b'}");
  mock_send (mock, "{\"return\": \"old\", \"id\": @ID:1@}{\"return\": \"new\", \"id\": @ID:2@}");
  result = test_execute (client, "b", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "\"new\"");
  mock_expect_eof (mock);
  test_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/S5/eof-fails-pending-calls", test_eof);
  g_test_add_func ("/client/S5/eof-in-the-middle-of-a-message", test_eof_in_message);
  g_test_add_func ("/client/S5/eof-behind-blank-space", test_eof_behind_blank);
  g_test_add_func ("/client/S5/quit/eof-after-the-answer-is-clean", test_eof_after_quit);
  g_test_add_func ("/client/S5/quit/raw-and-escaped", test_eof_after_raw_quit);
  g_test_add_func ("/client/S5/quit/cancelled-but-answered", test_eof_after_cancelled_quit);
  g_test_add_func ("/client/S5/quit/eof-before-the-answer-is-not-clean", test_eof_before_quit_answered);
  g_test_add_func ("/client/S5/quit/eof-after-refusal-is-not-clean", test_eof_after_quit_refused);
  g_test_add_func ("/client/S5/quit/is-of-one-session", test_quit_is_of_one_session);
  g_test_add_func ("/client/S5/quit/garbage-after-the-answer-is-not-clean", test_garbage_after_quit);
  g_test_add_func ("/client/Q12/reply-before-eof", test_reply_before_eof);
  g_test_add_func ("/client/Q12/reply-before-reset", test_reply_before_reset);
  g_test_add_func ("/client/Q12/reply-before-garbage", test_reply_before_garbage);
  g_test_add_func ("/client/S7/disconnect-interrupts-calls", test_disconnect_interrupts);
  g_test_add_func ("/client/S7/queued-is-sent-and-replies-routed-meanwhile", test_disconnect_flushes);
  g_test_add_func ("/client/S7/no-calls-while-flushing", test_no_calls_while_flushing);
  g_test_add_func ("/client/S7/peer-that-never-reads", test_peer_never_reads);
  g_test_add_func ("/client/S7/peer-that-never-stops-sending", test_peer_never_stops_sending);
  g_test_add_func ("/client/S13/calls-fail-last", test_calls_fail_last);
  g_test_add_func ("/client/S13/calls-fail-last-on-disconnect", test_calls_fail_after_state_on_disconnect);
  g_test_add_func ("/client/S10/run-dispose-fails-pending-calls", test_run_dispose);
  g_test_add_func ("/client/S10/run-dispose-while-connecting", test_run_dispose_while_connecting);
  g_test_add_func ("/client/S10/call-keeps-the-client-alive", test_call_keeps_alive);
  g_test_add_func ("/client/S10/cancelled-call-keeps-nothing-alive", test_cancelled_call_keeps_nothing_alive);
  g_test_add_func ("/client/S10/last-reference-closes-the-stream", test_last_reference);
  g_test_add_func ("/client/S12/queued-never-reaches-a-later-session", test_queued_never_later);
  g_test_add_func ("/client/S12/reply-of-an-earlier-session", test_reply_of_earlier_session);

  return g_test_run ();
}
