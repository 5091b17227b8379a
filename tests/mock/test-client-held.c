/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q3 and M4: events that come while the session is being established. */

#include "client-util.h"

#include <string.h>

/* What happened, in order. */
typedef struct
{
  AqmpClient *client;
  GString    *story;
  gboolean    connected;
} Story;

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Story      *story)
{
  g_string_append_printf (story->story, "%s@%d ", aqmp_event_get_name (event),
                          (int) aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)));
}

static void
on_runstate (AqmpClient   *client,
             AqmpRunstate  runstate,
             Story        *story)
{
  g_string_append_printf (story->story, "→%d ", (int) runstate);
}

static void
on_connected (GObject      *object,
              GAsyncResult *result,
              gpointer      data)
{
  Story *story = data;
  g_autoptr (GError) error = NULL;

  if (g_async_result_is_tagged (result, aqmp_protocol_open_async))
    aqmp_protocol_open_finish (AQMP_PROTOCOL (object), result, &error);
  else
    aqmp_protocol_connect_finish (AQMP_PROTOCOL (object), result, &error);
  g_string_append (story->story, error != NULL ? "failed " : "connected ");
  story->connected = TRUE;
}

static void
story_begin (Story *story)
{
  story->client = aqmp_client_new (NULL);
  story->story = g_string_new (NULL);
  story->connected = FALSE;
  g_signal_connect (story->client, "event", G_CALLBACK (on_event), story);
  g_signal_connect (story->client, "runstate-changed", G_CALLBACK (on_runstate), story);
}

static void
story_connect (Story      *story,
               MockServer *mock)
{
  aqmp_protocol_connect_async (AQMP_PROTOCOL (story->client), mock_get_connectable (mock), NULL, on_connected, story);
}

static void
story_end (Story *story)
{
  g_signal_handlers_disconnect_by_data (story->client, story);
  test_client_close (story->client);
  g_string_free (story->story, TRUE);
}

static void
test_before_greeting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Story story;

  mock_event (mock, "STOP", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);

  story_begin (&story);
  story_connect (&story, mock);
  test_wait_until (strstr (story.story->str, "STOP") != NULL);
  g_assert_cmpstr (story.story->str, ==, "→1 →2 connected STOP@2 ");
  story_end (&story);
}

static void
test_before_capabilities_reply (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Story story;

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_event (mock, "STOP", NULL);
  mock_return (mock, "{}");
  mock_expect_eof (mock);

  story_begin (&story);
  story_connect (&story, mock);
  test_wait_until (strstr (story.story->str, "STOP") != NULL);
  g_assert_cmpstr (story.story->str, ==, "→1 →2 connected STOP@2 ");
  story_end (&story);
}

/* In the same read as the reply to the negotiation: before and behind it. */
static void
test_order_with_later_ones (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Story story;

  mock_send (mock, "{\"event\": \"E1\"}\r\n{\"event\": \"E2\"}\r\n");
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_send (mock, "{\"event\": \"E3\"}\r\n{\"event\": \"E4\"}\r\n{\"return\": {}, \"id\": @ID@}\r\n"
                   "{\"event\": \"E5\"}\r\n{\"event\": \"E6\"}\r\n");
  mock_send (mock, "{\"event\": \"E7\"}\r\n");
  mock_expect_eof (mock);

  story_begin (&story);
  story_connect (&story, mock);
  test_wait_until (strstr (story.story->str, "E7") != NULL);
  g_assert_cmpstr (story.story->str, ==, "→1 →2 connected E1@2 E2@2 E3@2 E4@2 E5@2 E6@2 E7@2 ");
  story_end (&story);
}

static void
test_greeting_only (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Story story;

  mock_send (mock, "{\"event\": \"E1\"}\r\n");
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_send (mock, "{\"event\": \"E2\"}\r\n");
  mock_expect_eof (mock);

  story_begin (&story);
  aqmp_client_set_negotiate (story.client, FALSE);
  story_connect (&story, mock);
  test_wait_until (strstr (story.story->str, "E2") != NULL);
  g_assert_cmpstr (story.story->str, ==, "→1 →2 connected E1@2 E2@2 ");
  story_end (&story);
}

/* A server that neither greets nor negotiates has sent something before anybody could have been told. */
static void
test_no_handshake (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_SOCKETPAIR);
  g_autoptr (GIOStream) stream = mock_get_stream (mock);
  Story story;

  mock_send (mock, "{\"event\": \"E1\"}\r\n{\"event\": \"E2\"}\r\n");
  mock_block_done (mock);
  mock_expect_eof (mock);

  story_begin (&story);
  aqmp_client_set_await_greeting (story.client, FALSE);
  aqmp_client_set_negotiate (story.client, FALSE);
  aqmp_protocol_open_async (AQMP_PROTOCOL (story.client), stream, NULL, on_connected, &story);
  test_wait_until (strstr (story.story->str, "E2") != NULL);
  g_assert_cmpstr (story.story->str, ==, "→1 →2 connected E1@2 E2@2 ");
  story_end (&story);
}

/* A handler that is connected in the callback of connect hears what was held. */
typedef struct
{
  GString  *names;
  gboolean  connected;
} Late;

static void
connect_handler (GObject      *object,
                 GAsyncResult *result,
                 gpointer      data)
{
  Late *late = data;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_finish (AQMP_PROTOCOL (object), result, &error);
  g_assert_no_error (error);
  g_signal_connect (object, "event::STOP", G_CALLBACK (test_note_event), late->names);
  late->connected = TRUE;
}

static void
test_after_connect_callback (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GString) names = g_string_new (NULL);
  Late late = { names, FALSE };

  mock_event (mock, "STOP", NULL);
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_send (mock, "{\"return\": {}, \"id\": @ID@}\r\n{\"event\": \"STOP\"}\r\n");
  mock_expect_eof (mock);

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, connect_handler, &late);
  test_wait_until (names->len >= 2 * strlen ("STOP "));
  g_assert_cmpstr (names->str, ==, "STOP STOP ");
  test_client_close (client);
}

static void
test_dropped_when_attempt_fails (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  Story story;

  mock_event (mock, "STOP", NULL);
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_event (mock, "RESUME", NULL);
  mock_error (mock, "GenericError", "no");
  mock_expect_eof (mock);

  story_begin (&story);
  story_connect (&story, mock);
  test_wait_until (story.connected);
  test_dispatch_pending ();
  g_assert_cmpstr (story.story->str, ==, "→1 →3 →0 failed ");

  /* The next session has its own only. */
  story.connected = FALSE;
  g_string_truncate (story.story, 0);
  mock_accept (mock);
  mock_event (mock, "POWERDOWN", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);
  story_connect (&story, mock);
  test_wait_until (strstr (story.story->str, "POWERDOWN") != NULL);
  g_assert_cmpstr (story.story->str, ==, "→1 →2 connected POWERDOWN@2 ");
  story_end (&story);
}

/* Leaving in the callback of connect: what was held is for nobody. */
static void
disconnect_at_once (GObject      *object,
                    GAsyncResult *result,
                    gpointer      data)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_finish (AQMP_PROTOCOL (object), result, &error);
  g_assert_no_error (error);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (object), NULL, test_slot_callback, data);
}

static void
test_dropped_when_disconnected (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  mock_event (mock, "STOP", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  mock_expect_eof (mock);

  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 0);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, disconnect_at_once, &slot);
  result = test_await (&slot);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);

  /* Nothing of it in the next session. */
  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  {
    g_autoptr (GString) names = g_string_new (NULL);

    g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
    test_connect (client, mock, &error);
    g_assert_no_error (error);
    test_ping (client, mock);
    mock_expect_eof (mock);
    g_assert_cmpstr (names->str, ==, "");
    g_signal_handlers_disconnect_by_data (client, names);
  }
  test_client_close (client);
}

/* A handler of a held event ends the session: the others are not dispatched. */
static void
end_session (AqmpClient *client,
             AqmpEvent  *event,
             gpointer    data)
{
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "enough");

  aqmp_protocol_fail (AQMP_PROTOCOL (client), error);
}

static void
test_handler_fails_session (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr (GString) names = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  mock_send (mock, "{\"event\": \"E1\"}\r\n{\"event\": \"E2\"}\r\n");
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_send (mock, "{\"return\": {}, \"id\": @ID@}{\"event\": \"E3\"}");
  mock_expect_eof (mock);

  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  g_signal_connect (client, "event::E1", G_CALLBACK (end_session), NULL);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  test_dispatch_pending ();
  g_assert_cmpstr (names->str, ==, "E1 ");
  g_assert_false (test_disconnect (client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
}

/* --- The bound ---------------------------------------------------------------------------------------------------- */

static void
test_bound (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  /* Each is far below the bound, all of them together without end. */
  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), 10000);
  mock_flood (mock, "{\"event\": \"NIC_RX_FILTER_CHANGED\", \"data\": {\"name\": \"net0\"}}\r\n", -1, 4 * 1024 * 1024);

  g_assert_false (test_connect (client, mock, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE, "10000 bytes of events");

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  g_clear_error (&error);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* What is held counts by itself, neither with what was dispatched before nor with that of an earlier attempt. */
static void
test_bound_is_per_attempt (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  guint i;

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), 1000);
  for (i = 0; i < 4; i++)
    {
      g_autoptr (GError) error = NULL;

      mock_accept (mock);
      mock_send_repeated (mock, "{\"event\": \"ABCDEFGHIJKLMNOPQRSTUVWXYZ\", \"data\": {}}\r\n", 16);
      if (i == 1)
        {
          mock_send (mock, "{\"QMP\": 1}");
          mock_expect_eof (mock);
          g_assert_false (test_connect (client, mock, &error));
          g_assert_error (error, AQMP_ERROR, AQMP_ERROR_GREETING);
          continue;
        }

      mock_negotiate (mock, MOCK_GREETING_PLAIN);
      mock_expect_eof (mock);
      test_connect (client, mock, &error);
      g_assert_no_error (error);
      test_disconnect (client, &error);
      g_assert_no_error (error);
    }
  g_object_unref (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q3/before-greeting", test_before_greeting);
  g_test_add_func ("/client/Q3/before-capabilities-reply", test_before_capabilities_reply);
  g_test_add_func ("/client/Q3/in-order-with-later-ones", test_order_with_later_ones);
  g_test_add_func ("/client/Q3/greeting-without-negotiation", test_greeting_only);
  g_test_add_func ("/client/Q3/no-handshake", test_no_handshake);
  g_test_add_func ("/client/Q3/after-the-connect-callback", test_after_connect_callback);
  g_test_add_func ("/client/Q3/dropped-when-the-attempt-fails", test_dropped_when_attempt_fails);
  g_test_add_func ("/client/Q3/dropped-when-disconnected", test_dropped_when_disconnected);
  g_test_add_func ("/client/Q3/handler-fails-the-session", test_handler_fails_session);
  g_test_add_func ("/client/M4/held-events-bound", test_bound);
  g_test_add_func ("/client/M4/held-events-bound-is-per-attempt", test_bound_is_per_attempt);

  return g_test_run ();
}
