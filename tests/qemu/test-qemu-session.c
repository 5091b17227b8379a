/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The life of sessions with a real QEMU: their states, their ends, and what comes after. */

#include "session.h"

#include <string.h>

#define N_CALLS 10
#define N_CYCLES 200

static AqmpRunstate
get_runstate (AqmpClient *client)
{
  return aqmp_protocol_get_runstate (AQMP_PROTOCOL (client));
}

/* ---- S1 ---------------------------------------------------------------------------------------------------------- */

static void
test_transitions (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (client);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (states->str, ==, "connecting running");
  session_check_works (client);

  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (states->str, ==, "connecting running disconnecting idle");
}

static void
test_failed_at_once (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (client);
  g_autoptr(GSocketConnectable) nowhere = aqmp_address_parse ("/nowhere/qmp.sock", NULL);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  session_connect_to (client, nowhere, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "Could not establish the connection"));
  g_assert_cmpstr (states->str, ==, "connecting disconnecting idle");
  g_clear_error (&error);

  /* It can be used again. */
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

/* A QEMU that is not there any more leaves its socket file behind. */
static void
test_nobody_listens (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (client);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  qemu_kill (qemu);
  session_connect (client, qemu, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the connection"));
  g_assert_cmpstr (states->str, ==, "connecting disconnecting idle");
}

/* ---- S5 ---------------------------------------------------------------------------------------------------------- */

static void
check_failed_session (AqmpClient *client)
{
  const GError *cause = aqmp_protocol_get_error (AQMP_PROTOCOL (client));
  g_autofree char *cause_message = NULL;
  g_autoptr(GError) error = NULL;

  g_assert_cmpint (get_runstate (client), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_null (aqmp_protocol_get_stream (AQMP_PROTOCOL (client)));
  g_assert_error (cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  cause_message = g_strdup (cause->message);

  /* It stays so, and says so. */
  test_dispatch_pending ();
  g_assert_cmpint (get_runstate (client), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_null (session_execute (client, "query-name", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE);
  g_assert_nonnull (strstr (error->message, "AqmpClient"));
  g_assert_nonnull (strstr (error->message, "disconnecting"));
  g_clear_error (&error);

  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_cmpstr (error->message, ==, cause_message);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (client)));
}

static void
check_interrupted (TestSlot   *slots,
                   gsize       n_slots,
                   AqmpClient *client)
{
  for (gsize i = 0; i < n_slots; i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_null (session_await (&slots[i], &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      g_assert_nonnull (strstr (error->message, aqmp_protocol_get_error (AQMP_PROTOCOL (client))->message));
    }
}

static void
check_works_with_new_qemu (AqmpClient *client)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GError) error = NULL;

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_disconnect (client, &error);
  g_assert_no_error (error);
}

/* It has not even read the commands: what a client sees is a reset. */
static void
test_killed_with_calls_unread (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  TestSlot slots[N_CALLS] = { TEST_SLOT_INIT };

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  for (gsize i = 0; i < N_CALLS; i++)
    session_begin (client, "query-status", NULL, NULL, &slots[i]);
  session_wait_written (client);
  qemu_kill (qemu);

  test_wait_until (get_runstate (client) == AQMP_RUNSTATE_DISCONNECTING);
  check_interrupted (slots, N_CALLS, client);
  check_failed_session (client);
  check_works_with_new_qemu (client);
}

/* It has begun with one. */
static void
test_killed_with_call_under_way (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GObject) hang = NULL;
  TestSlot slots[2] = { TEST_SLOT_INIT };

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  hang = session_begin_hang (client, qemu, &slots[0]);
  session_begin (client, "query-status", NULL, NULL, &slots[1]);
  session_wait_written (client);
  qemu_kill (qemu);

  test_wait_until (get_runstate (client) == AQMP_RUNSTATE_DISCONNECTING);
  check_interrupted (slots, 2, client);
  check_failed_session (client);
  check_works_with_new_qemu (client);
}

static void
test_killed_with_calls_not_written (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  TestSlot slots[N_CALLS] = { TEST_SLOT_INIT };

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_kill (qemu);
  for (gsize i = 0; i < N_CALLS; i++)
    session_begin (client, "query-status", NULL, NULL, &slots[i]);

  test_wait_until (get_runstate (client) == AQMP_RUNSTATE_DISCONNECTING);
  check_interrupted (slots, N_CALLS, client);
  check_failed_session (client);
}

static void
test_killed_when_nothing_is_pending (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GString) states = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  states = session_record (client);
  qemu_kill (qemu);
  test_wait_until (get_runstate (client) == AQMP_RUNSTATE_DISCONNECTING);
  g_assert_cmpstr (states->str, ==, "disconnecting");
  check_failed_session (client);
  g_assert_cmpstr (states->str, ==, "disconnecting idle");
  check_works_with_new_qemu (client);
}

/* ---- S6 ---------------------------------------------------------------------------------------------------------- */

static void
test_disconnect_when_idle (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (client);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (states->str, ==, "disconnecting idle");

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_string_truncate (states, 0);
  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (states->str, ==, "disconnecting idle");
}

static void
await_disconnect (TestSlot  *slot,
                  GError   **error)
{
  g_autoptr(GAsyncResult) result = test_await (slot);
  g_autoptr(GObject) client = g_async_result_get_source_object (result);

  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, error);
}

static void
test_concurrent_disconnects (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  TestSlot slots[3] = { TEST_SLOT_INIT };

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_stuff (client);
  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), i == 1 ? cancellable : NULL, test_slot_callback, &slots[i]);

  /* One gives up waiting, which ends nothing. */
  g_cancellable_cancel (cancellable);
  await_disconnect (&slots[1], &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (test_slot_is_done (&slots[0]));
  g_assert_false (test_slot_is_done (&slots[2]));
  g_assert_cmpint (get_runstate (client), ==, AQMP_RUNSTATE_DISCONNECTING);

  qemu_thaw (qemu);
  await_disconnect (&slots[0], &error);
  g_assert_no_error (error);
  await_disconnect (&slots[2], &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_runstate (client), ==, AQMP_RUNSTATE_IDLE);

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_concurrent_disconnects_of_failed_session (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  TestSlot slots[3] = { TEST_SLOT_INIT };

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_kill (qemu);
  test_wait_until (get_runstate (client) == AQMP_RUNSTATE_DISCONNECTING);

  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &slots[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autoptr(GError) error = NULL;

      await_disconnect (&slots[i], &error);
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
    }
  g_assert_cmpint (get_runstate (client), ==, AQMP_RUNSTATE_IDLE);
}

/* A server that does not read. */
static void
test_flush_times_out (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 50);
  qemu_freeze (qemu);
  session_stuff (client);
  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  qemu_thaw (qemu);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_disconnect_while_connecting (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (client);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  qemu_freeze (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), qemu_get_connectable (qemu), NULL, test_slot_callback, &slot);
  test_wait_until (aqmp_protocol_get_stream (AQMP_PROTOCOL (client)) != NULL);
  session_disconnect (client, &error);
  g_assert_no_error (error);

  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_cmpstr (states->str, ==, "connecting disconnecting idle");
  g_clear_error (&error);

  qemu_thaw (qemu);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

/* Calls that are still waiting when the session ends cleanly. */
static void
test_disconnect_with_call_pending (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_begin (client, "query-status", NULL, NULL, &slot);
  session_disconnect (client, &error);
  g_assert_no_error (error);

  g_assert_true (test_slot_is_done (&slot));
  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

static void
run_cycle (AqmpClient *client,
           Qemu       *qemu)
{
  g_autoptr(GError) error = NULL;

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_disconnect (client, &error);
  g_assert_no_error (error);
}

static void
test_many_sessions (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  if (qemu == NULL)
    return;

  /* What GLib opens once is open after the first few. */
  for (gsize i = 0; i < 5; i++)
    run_cycle (client, qemu);
  before = test_list_fds ();

  for (gsize i = 0; i < N_CYCLES; i++)
    run_cycle (client, qemu);
  after = test_list_fds ();
  g_assert_cmpstr (before, ==, after);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/S1/transitions", test_transitions);
  g_test_add_func ("/qemu/S1/failed-at-once", test_failed_at_once);
  g_test_add_func ("/qemu/S4/nobody-listens", test_nobody_listens);
  g_test_add_func ("/qemu/S5/killed-with-calls-unread", test_killed_with_calls_unread);
  g_test_add_func ("/qemu/S5/killed-with-call-under-way", test_killed_with_call_under_way);
  g_test_add_func ("/qemu/S5/killed-with-calls-not-written", test_killed_with_calls_not_written);
  g_test_add_func ("/qemu/S5/killed-when-nothing-is-pending", test_killed_when_nothing_is_pending);
  g_test_add_func ("/qemu/S6/disconnect-when-idle", test_disconnect_when_idle);
  g_test_add_func ("/qemu/S6/concurrent-disconnects", test_concurrent_disconnects);
  g_test_add_func ("/qemu/S6/concurrent-disconnects-of-failed-session", test_concurrent_disconnects_of_failed_session);
  g_test_add_func ("/qemu/S6/disconnect-while-connecting", test_disconnect_while_connecting);
  g_test_add_func ("/qemu/S7/disconnect-with-call-pending", test_disconnect_with_call_pending);
  g_test_add_func ("/qemu/S7/flush-times-out", test_flush_times_out);
  g_test_add_func ("/qemu/S10/many-sessions-leave-no-descriptor", test_many_sessions);

  return g_test_run ();
}
