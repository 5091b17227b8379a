/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q16, Q3: listeners before, between and after sessions, and without their client. */

#include "event-util.h"

/* --- The client goes ---------------------------------------------------------------------------------------------- */

static void
test_client_finalized (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) empty = event_listen (client, "NEVER");
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  gpointer watched = client;

  event_send_at_once (mock, "A B C");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_object_unref (client);
  g_assert_null (watched);

  g_assert_false (aqmp_event_listener_get_active (listener));
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 3);
  event_check_next (listener, "A");
  event_check_next_sync (listener, "B");
  aqmp_event_listener_set_max_pending (listener, 1);
  event_check_next (listener, "C");

  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "gone");
  event_start_next (listener, NULL, &slot);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_STATE, "gone");
  event_start_next (empty, NULL, &slot);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_STATE, "gone");

  aqmp_event_listener_clear (listener);
  aqmp_event_listener_stop (listener);
  g_assert_false (aqmp_event_listener_get_active (listener));
}

static void
test_never_connected (void)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  g_assert_true (aqmp_event_listener_get_active (listener));
  g_assert_finalize_object (client);
  g_assert_false (aqmp_event_listener_get_active (listener));
}

/* Listeners keep nothing alive, whoever waits does. */
static void
test_waiter_keeps_client (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  gpointer watched = client;

  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  event_start_next (listener, NULL, &slot);
  g_object_unref (client);
  g_assert_nonnull (watched);
  mock_event (mock, "A", NULL);
  event_check_finish (&slot, "A");
  test_dispatch_pending ();
  g_assert_null (watched);
  mock_expect_eof (mock);
}

static void
test_run_dispose (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  event_start_next (listener, NULL, &slot);
  mock_expect_eof (mock);
  g_object_run_dispose (G_OBJECT (client));
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  test_slot_clear (&slot);
  test_dispatch_pending ();
  g_assert_finalize_object (client);
  g_assert_false (aqmp_event_listener_get_active (listener));
}

/* --- States ------------------------------------------------------------------------------------------------------- */

static void
check_idle (AqmpEventListener *listener)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  event_start_next (listener, NULL, &slot);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_STATE, "“idle”");
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
}

static void
test_idle (void)
{
  g_autoptr (AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);

  check_idle (listener);
}

static void
test_idle_again (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;

  event_send_at_once (mock, "A B");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);

  g_assert_true (aqmp_event_listener_get_active (listener));
  event_check_next (listener, "A");
  event_check_next_sync (listener, "B");
  check_idle (listener);
  test_client_close (client);
}

static void
test_disconnect_with_waiters (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) first = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) second = event_listen (client, "STOP");
  TestSlot slots[3] = { TEST_SLOT_INIT };
  g_autoptr (GError) error = NULL;
  guint i;

  event_start_next (first, NULL, &slots[0]);
  event_start_next (second, NULL, &slots[1]);
  event_start_next (first, NULL, &slots[2]);
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      event_check_failure (&slots[i], AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "ended");
      test_slot_clear (&slots[i]);
    }
  test_client_close (client);
}

/* What has arrived goes first, and the message says why no more will. */
static void
test_failure (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) waiting = event_listen (client, "NEVER");
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) failure = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  event_start_next (waiting, NULL, &slot);
  event_send_at_once (mock, "A B");
  mock_send (mock, "{]");
  test_wait_failed (client);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED,
                       aqmp_protocol_get_error (AQMP_PROTOCOL (client))->message);

  event_check_next (listener, "A");
  event_check_next_sync (listener, "B");
  g_assert_null (event_next (listener, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "ended");
  g_clear_error (&error);
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "ended");

  test_disconnect (client, &failure);
  g_assert_error (failure, AQMP_ERROR, AQMP_ERROR_PARSE);
  check_idle (listener);
  mock_expect_gone (mock);
  test_client_close (client);
}

static void
test_eof (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;

  event_start_next (listener, NULL, &first);
  event_start_next (listener, NULL, &second);
  mock_event (mock, "A", NULL);
  mock_close (mock);
  event_check_finish (&first, "A");
  event_check_failure (&second, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "failed");
  test_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  test_client_close (client);
}

/* --- While connecting --------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpEventListener *listener;
  TestSlot           slot;
  gboolean           begun;
} Early;

static void
wait_when_connecting (AqmpClient   *client,
                      AqmpRunstate  runstate,
                      Early        *early)
{
  if (runstate != AQMP_RUNSTATE_CONNECTING || early->begun)
    return;

  early->begun = TRUE;
  event_start_next (early->listener, NULL, &early->slot);
}

static void
test_connecting (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Early early = { listener, TEST_SLOT_INIT };
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "runstate-changed", G_CALLBACK (wait_when_connecting), &early);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  g_assert_true (early.begun);
  test_ping (client, mock);
  g_assert_false (test_slot_is_done (&early.slot));
  mock_event (mock, "A", NULL);
  event_check_finish (&early.slot, "A");
  test_slot_clear (&early.slot);
  event_close (client, mock);
}

/* Why the attempt has failed is in the message. */
static void
test_connecting_fails (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Early early = { listener, TEST_SLOT_INIT };
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "runstate-changed", G_CALLBACK (wait_when_connecting), &early);
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_error (mock, "GenericError", "not today");
  mock_expect_gone (mock);
  test_connect (client, mock, &error);
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_NEGOTIATION, "not today");
  event_check_failure (&early.slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "not today");
  test_slot_clear (&early.slot);
  check_idle (listener);
  test_client_close (client);
}

static void
test_connecting_refused (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "nobody.sock");
  g_autoptr (GSocketConnectable) address = aqmp_address_parse (path, NULL);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  Early early = { listener, TEST_SLOT_INIT };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  g_signal_connect (client, "runstate-changed", G_CALLBACK (wait_when_connecting), &early);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), address, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  event_check_failure (&early.slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "failed");
  test_slot_clear (&early.slot);
  test_slot_clear (&slot);
  g_clear_object (&result);
  test_client_close (client);
}

static void
test_connecting_aborted (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;
  g_auto (TestSlot) connecting = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  guint gate;

  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  gate = mock_mark (mock);
  mock_expect_eof (mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &connecting);
  event_start_next (listener, NULL, &slot);
  mock_wait_reached (mock, gate);
  g_assert_false (test_slot_is_done (&slot));
  test_disconnect (client, &error);
  g_assert_no_error (error);
  event_check_failure (&slot, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  test_wait_until (test_slot_is_done (&connecting));
  test_slot_clear (&connecting);
  test_slot_clear (&slot);
  test_client_close (client);
}

/* --- Several sessions --------------------------------------------------------------------------------------------- */

static void
test_reconnect (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = event_connect (mock);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) stop = event_listen (client, "STOP");
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GString) expected_stops = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < 5; i++)
    {
      g_autofree char *name = g_strdup_printf ("E%u", i);

      g_string_append_printf (expected, "%s STOP ", name);
      g_string_append (expected_stops, "STOP ");
      mock_event (mock, name, NULL);
      mock_event (mock, "STOP", NULL);
      test_ping (client, mock);
      if (i % 2 == 0)
        {
          mock_expect_eof (mock);
          test_disconnect (client, &error);
          g_assert_no_error (error);
        }
      else
        {
          mock_close (mock);
          test_wait_failed (client);
          test_disconnect (client, &error);
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
          g_clear_error (&error);
        }
      g_assert_true (aqmp_event_listener_get_active (listener));
      mock_accept (mock);
      mock_negotiate (mock, MOCK_GREETING_PLAIN);
      test_connect (client, mock, &error);
      g_assert_no_error (error);
    }
  event_check_taken (listener, expected->str);
  event_check_taken (stop, expected_stops->str);

  mock_event (mock, "LAST", NULL);
  event_check_next (listener, "LAST");
  event_close (client, mock);
}

/* --- Q3: before the session --------------------------------------------------------------------------------------- */

static void
script_early_events (MockServer *mock)
{
  mock_event (mock, "BEFORE_GREETING", "{'n': 1}");
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_event (mock, "AFTER_GREETING", NULL);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_event (mock, "BEFORE_REPLY", "{'n': 2}");
  mock_send (mock, "{\"return\": {}, \"id\": @ID@}\r\n{\"event\": \"WITH_REPLY\"}\r\n");
}

#define EARLY "BEFORE_GREETING AFTER_GREETING BEFORE_REPLY WITH_REPLY "

static void
test_early_events (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (AqmpEventListener) some = event_listen (client, "BEFORE_REPLY BEFORE_GREETING");
  g_autoptr (GError) error = NULL;

  script_early_events (mock);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  event_check_taken (listener, EARLY);
  event_check_taken (some, "BEFORE_GREETING BEFORE_REPLY ");
  event_close (client, mock);
}

static void
test_early_events_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;

  script_early_events (mock);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  event_check_next_sync (listener, "BEFORE_GREETING");
  event_check_next_sync (listener, "AFTER_GREETING");
  event_check_next_sync (listener, "BEFORE_REPLY");
  event_check_next_sync (listener, "WITH_REPLY");
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* Who waits since the beginning of the attempt. */
static void
test_early_event_to_waiter (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, "BEFORE_REPLY");
  Early early = { listener, TEST_SLOT_INIT };
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "runstate-changed", G_CALLBACK (wait_when_connecting), &early);
  script_early_events (mock);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  event_check_finish (&early.slot, "BEFORE_REPLY");
  test_slot_clear (&early.slot);
  event_close (client, mock);
}

/* An attempt that fails has no events. */
static void
test_early_events_of_failure (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (AqmpEventListener) listener = event_listen (client, NULL);
  g_autoptr (GError) error = NULL;

  mock_event (mock, "LOST", NULL);
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_event (mock, "LOST", NULL);
  mock_close (mock);
  test_connect (client, mock, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_clear_error (&error);
  test_dispatch_pending ();
  event_check_taken (listener, "");

  mock_accept (mock);
  mock_event (mock, "HEARD", NULL);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  event_check_taken (listener, "HEARD ");
  event_close (client, mock);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q16/client-gone/finalized", test_client_finalized);
  g_test_add_func ("/client/Q16/client-gone/never-connected", test_never_connected);
  g_test_add_func ("/client/Q16/client-gone/waiter-keeps-it", test_waiter_keeps_client);
  g_test_add_func ("/client/S10/run-dispose-ends-waits", test_run_dispose);
  g_test_add_func ("/client/Q16/state/idle", test_idle);
  g_test_add_func ("/client/Q16/state/idle-again", test_idle_again);
  g_test_add_func ("/client/Q16/state/disconnect-with-waiters", test_disconnect_with_waiters);
  g_test_add_func ("/client/Q16/state/failure", test_failure);
  g_test_add_func ("/client/Q16/state/eof", test_eof);
  g_test_add_func ("/client/Q16/connecting/waits", test_connecting);
  g_test_add_func ("/client/Q16/connecting/fails", test_connecting_fails);
  g_test_add_func ("/client/Q16/connecting/refused", test_connecting_refused);
  g_test_add_func ("/client/Q16/connecting/aborted", test_connecting_aborted);
  g_test_add_func ("/client/Q16/reconnect", test_reconnect);
  g_test_add_func ("/client/Q3/listener/early-events", test_early_events);
  g_test_add_func ("/client/Q3/listener/early-events-sync", test_early_events_sync);
  g_test_add_func ("/client/Q3/listener/early-event-to-waiter", test_early_event_to_waiter);
  g_test_add_func ("/client/Q3/listener/early-events-of-failure", test_early_events_of_failure);

  return g_test_run ();
}
