/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3: inside virtual functions blocking is refused; and what else these may do while somebody blocks: T4, S10. */

#include "sync-util.h"

/* ---- virtual functions ------------------------------------------------------------------------------------------- */

typedef struct
{
  GError     *errors[SYNC_N_FORMS + 2];  /* (owned) (nullable): of each form, of flush and of disconnect */
  AqmpRunstate runstate;
} Refusals;

static void
try_everything (AqmpClient *client,
                gpointer    data)
{
  Refusals *refusals = data;
  SyncForm form;

  refusals->runstate = aqmp_protocol_get_runstate (AQMP_PROTOCOL (client));
  for (form = 0; form < SYNC_N_FORMS; form++)
    g_assert_null (sync_call (form, client, "never", NULL, &refusals->errors[form]));
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (client), NULL, &refusals->errors[SYNC_N_FORMS]));
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &refusals->errors[SYNC_N_FORMS + 1]));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, refusals->runstate);
}

static void
check_refusals (Refusals   *refusals,
                const char *state)
{
  guint i;

  for (i = 0; i < G_N_ELEMENTS (refusals->errors); i++)
    {
      test_assert_error (refusals->errors[i], AQMP_ERROR, AQMP_ERROR_STATE, "SyncClient");
      test_assert_error (refusals->errors[i], AQMP_ERROR, AQMP_ERROR_STATE, state);
      test_assert_error (refusals->errors[i], AQMP_ERROR, AQMP_ERROR_STATE, "use the asynchronous form");
      g_clear_error (&refusals->errors[i]);
    }
}

/* While a blocking call reads and writes. */
static void
test_refused_in_drive (gconstpointer data)
{
  SyncVfunc vfunc = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  Refusals refusals = { 0 };

  sync_client_once (client, vfunc, NULL, try_everything, &refusals);
  sync_ping (client, mock);
  check_refusals (&refusals, "“running”");
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* While the loop does. */
static void
test_refused_in_loop (gconstpointer data)
{
  SyncVfunc vfunc = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  Refusals refusals = { 0 };

  sync_client_once (client, vfunc, NULL, try_everything, &refusals);
  test_ping (client, mock);
  check_refusals (&refusals, "“running”");
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
check_refused_in_establish (gboolean blocking)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_new ();
  Refusals refusals = { 0 };
  g_autoptr (GError) error = NULL;
  guint i;

  sync_client_once (client, SYNC_IN_ESTABLISH_SESSION, NULL, try_everything, &refusals);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  if (blocking)
    aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  else
    test_connect (client, mock, &error);
  g_assert_no_error (error);

  check_refusals (&refusals, "“connecting”");
  for (i = 0; i < 2; i++)
    sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_refused_in_establish_blocking (void)
{
  check_refused_in_establish (TRUE);
}

static void
test_refused_in_establish (void)
{
  check_refused_in_establish (FALSE);
}

static void
check_refused_in_session_ended (gboolean blocking)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  Refusals refusals = { 0 };
  g_autoptr (GError) error = NULL;

  sync_client_once (client, SYNC_IN_SESSION_ENDED, NULL, try_everything, &refusals);
  mock_expect_eof (mock);
  if (blocking)
    aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  else
    test_disconnect (client, &error);
  g_assert_no_error (error);
  check_refusals (&refusals, "“disconnecting”");

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_refused_in_session_ended_blocking (void)
{
  check_refused_in_session_ended (TRUE);
}

static void
test_refused_in_session_ended (void)
{
  check_refused_in_session_ended (FALSE);
}

/* Of another client it is possible there. */
static void
ping_other (AqmpClient *client,
            gpointer    other)
{
  sync_check (SYNC_EXECUTE, other, "inside", "1");
}

static void
test_other_client_in_vfunc (gconstpointer data)
{
  SyncVfunc vfunc = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (MockServer) other_mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  AqmpClient *other = sync_client_connect (other_mock, MOCK_GREETING_PLAIN);

  sync_script (other_mock, "inside", "1");
  sync_client_once (client, vfunc, NULL, ping_other, other);
  sync_ping (client, mock);
  g_assert_true (sync_client_has_done (client, vfunc));

  mock_expect_eof (mock);
  mock_expect_eof (other_mock);
  sync_client_close (client);
  sync_client_close (other);
}

/* A virtual function emits an event, and a handler of that blocks: after message_received that works. In the others the call
   is inside the virtual function, however long the way. */
typedef struct
{
  GError *error;   /* (owned) (nullable) */
  guint   n_calls;
} HandlerCall;

static void
emit_note (AqmpClient *client,
           gpointer    data)
{
  g_autoptr (AqmpEvent) event = aqmp_event_new ("NOTE", -1, NULL);

  aqmp_protocol_emit_event (AQMP_PROTOCOL (client), event);
}

static void
call_in_handler (AqmpClient  *client,
                 AqmpEvent   *event,
                 HandlerCall *call)
{
  g_autoptr (JsonNode) node = NULL;

  call->n_calls++;
  node = aqmp_client_execute_full_sync (client, "inside", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE,
                                        (int) (test_bound_us () / 1000), NULL, &call->error);
}

static void
check_emitting_vfunc (SyncVfunc   vfunc,
                      const char *trigger,
                      gboolean    allowed)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  HandlerCall call = { NULL, 0 };

  g_signal_connect (client, "event::NOTE", G_CALLBACK (call_in_handler), &call);
  sync_client_once (client, vfunc, trigger, emit_note, NULL);
  if (allowed)
    {
      mock_event (mock, "POKE", NULL);
      sync_script (mock, "inside", "1");
      test_wait_until (call.n_calls > 0);
    }
  test_ping (client, mock);
  g_assert_cmpuint (call.n_calls, ==, 1);
  if (allowed)
    g_assert_no_error (call.error);
  else
    test_assert_error (call.error, AQMP_ERROR, AQMP_ERROR_STATE, "virtual function");
  g_clear_error (&call.error);

  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

static void
test_event_from_message_received (void)
{
  check_emitting_vfunc (SYNC_IN_MESSAGE_RECEIVED, "POKE", TRUE);
}

static void
test_event_from_other_vfunc (gconstpointer vfunc)
{
  check_emitting_vfunc (GPOINTER_TO_INT (vfunc), NULL, FALSE);
}

/* ---- last references --------------------------------------------------------------------------------------------- */

static void
drop_reference (AqmpClient *client,
                gpointer    data)
{
  g_clear_object ((AqmpClient **) data);
}

static void
never_called (AqmpClient *client,
              AqmpEvent  *event,
              gpointer    data)
{
  g_assert_not_reached ();
}

/* The caller's own, in a virtual function while it waits. */
static void
test_reference_dropped_meanwhile (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  gpointer watched = client;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  sync_script (mock, "a", "1");
  mock_expect_eof (mock);
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  sync_client_once (client, SYNC_IN_FILTER_OUTBOUND, NULL, drop_reference, &client);
  result = sync_call (GPOINTER_TO_INT (form), client, "a", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "1");
  g_assert_null (watched);
}

/* In a callback that was deferred. */
static void
drop_in_callback (GObject      *object,
                  GAsyncResult *result,
                  gpointer      data)
{
  g_autoptr (JsonNode) node = aqmp_client_execute_finish (AQMP_CLIENT (object), result, NULL);

  g_assert_nonnull (node);
  g_clear_object ((AqmpClient **) data);
}

static void
test_reference_dropped_in_deferred_callback (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_signal_connect (client, "event", G_CALLBACK (never_called), NULL);
  mock_expect (mock, "{'execute': 'first'}");
  mock_return (mock, "1");
  mock_expect (mock, "{'execute': 'blocking'}");
  mock_event (mock, "NEVER", NULL);
  mock_return (mock, "1");
  mock_expect_eof (mock);
  aqmp_client_execute_async (client, "first", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, drop_in_callback, &client);
  sync_check (GPOINTER_TO_INT (form), client, "blocking", "1");
  test_wait_until (client == NULL);
  g_assert_null (watched);
  test_dispatch_pending ();
}

/* With all that was deferred left where it is. */
static void
test_reference_dropped_with_deferred (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  gpointer watched = client;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_signal_connect (client, "event", G_CALLBACK (never_called), NULL);
  mock_expect (mock, "{'execute': 'blocking'}");
  mock_event (mock, "NEVER", NULL);
  mock_return (mock, "1");
  mock_expect_eof (mock);
  sync_check (GPOINTER_TO_INT (form), client, "blocking", "1");
  g_object_unref (client);
  g_assert_null (watched);
  test_dispatch_pending ();
}

static void
run_dispose (AqmpClient *client,
             gpointer    data)
{
  g_object_run_dispose (G_OBJECT (client));
}

static void
test_run_dispose_meanwhile (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'a'}");
  mock_event (mock, "POKE", NULL);
  mock_expect_eof (mock);
  sync_client_once (client, SYNC_IN_FILTER_INBOUND, "POKE", run_dispose, NULL);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "a", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
}

static void
test_run_dispose_after (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = sync_client_connect (mock, MOCK_GREETING_PLAIN);

  g_signal_connect (client, "event", G_CALLBACK (never_called), NULL);
  mock_expect (mock, "{'execute': 'a'}");
  mock_event (mock, "NEVER", NULL);
  mock_return (mock, "1");
  mock_expect_eof (mock);
  sync_check (GPOINTER_TO_INT (form), client, "a", "1");
  g_object_run_dispose (G_OBJECT (client));
  test_dispatch_pending ();
}

/* The callback of another call drops what the blocking call needs: but that comes later. Here the session fails meanwhile. */
static void
fail_session (AqmpClient *client,
              gpointer    data)
{
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "enough of it");

  aqmp_protocol_fail (AQMP_PROTOCOL (client), error);
}

static void
test_failed_by_vfunc (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  g_autoptr (AqmpClient) client = sync_client_connect_obedient (mock, MOCK_GREETING_PLAIN);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'a'}");
  mock_event (mock, "POKE", NULL);
  mock_expect_eof (mock);
  sync_client_once (client, SYNC_IN_FILTER_INBOUND, "POKE", fail_session, NULL);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "a", NULL, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "enough of it");
  g_clear_error (&error);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
}

static void
add_for_vfuncs (const char    *prefix,
                GTestDataFunc  func)
{
  SyncVfunc vfunc;

  for (vfunc = SYNC_IN_MESSAGE_RECEIVED; vfunc <= SYNC_IN_FRAME; vfunc++)
    {
      g_autofree char *full_path = g_strconcat (prefix, sync_vfunc_names[vfunc], NULL);

      g_test_add_data_func (full_path, GINT_TO_POINTER (vfunc), func);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  sync_add_for_forms ("/client/T3/", "/failed-by-virtual-function", test_failed_by_vfunc);
  add_for_vfuncs ("/client/T3/refused-during-blocking-call/", test_refused_in_drive);
  add_for_vfuncs ("/client/T3/refused-in-loop/", test_refused_in_loop);
  g_test_add_func ("/client/T3/refused-during-blocking-call/establish-session", test_refused_in_establish_blocking);
  g_test_add_func ("/client/T3/refused-in-loop/establish-session", test_refused_in_establish);
  g_test_add_func ("/client/T3/refused-during-blocking-call/session-ended", test_refused_in_session_ended_blocking);
  g_test_add_func ("/client/T3/refused-in-loop/session-ended", test_refused_in_session_ended);
  add_for_vfuncs ("/client/T3/other-client-in/", test_other_client_in_vfunc);
  g_test_add_func ("/client/T3/event-emitted-in/message-received", test_event_from_message_received);
  g_test_add_data_func ("/client/T3/event-emitted-in/filter-inbound", GINT_TO_POINTER (SYNC_IN_FILTER_INBOUND),
                        test_event_from_other_vfunc);
  g_test_add_data_func ("/client/T3/event-emitted-in/filter-outbound", GINT_TO_POINTER (SYNC_IN_FILTER_OUTBOUND),
                        test_event_from_other_vfunc);
  g_test_add_data_func ("/client/T3/event-emitted-in/frame", GINT_TO_POINTER (SYNC_IN_FRAME), test_event_from_other_vfunc);
  sync_add_for_forms ("/client/T4/", "/reference-dropped-meanwhile", test_reference_dropped_meanwhile);
  sync_add_for_forms ("/client/T4/", "/reference-dropped-in-deferred-callback", test_reference_dropped_in_deferred_callback);
  sync_add_for_forms ("/client/T4/", "/reference-dropped-with-deferred", test_reference_dropped_with_deferred);
  sync_add_for_forms ("/client/S10/", "/run-dispose-meanwhile", test_run_dispose_meanwhile);
  sync_add_for_forms ("/client/S10/", "/run-dispose-after", test_run_dispose_after);

  return g_test_run ();
}
