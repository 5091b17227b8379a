/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q9: out-of-band execution, and the eight commands that may be outstanding when it is negotiated. */

#include "sync-util.h"

#include <string.h>
#include <unistd.h>

#define MOST_IN_BAND 8

static void
start_oob (AqmpClient *client,
           const char *command,
           TestSlot   *slot)
{
  aqmp_client_execute_async (client, command, NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, test_slot_callback, slot);
}

static void
expect_result (TestSlot   *slot,
               const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *result = test_finish (slot, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, expected);
}

static void
finish (AqmpClient *client,
        MockServer *mock)
{
  sync_ping (client, mock);
  mock_expect_eof (mock);
  sync_client_close (client);
}

/* ---- the flag ---------------------------------------------------------------------------------------------------- */

static void
test_text (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  g_autoptr (JsonObject) arguments = aqmp_arguments_parse ("{\"a\": 1}", NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_expect_text (mock, "{\"exec-oob\":\"yank\",\"arguments\":{\"a\":1},\"id\":\"aqmp-2\"}");
  mock_return (mock, "1");
  aqmp_client_execute_async (client, "yank", arguments, AQMP_EXECUTE_FLAGS_OOB, NULL, test_slot_callback, &slot);
  expect_result (&slot, "1");

  mock_expect_text (mock, "{\"exec-oob\":\"yank\",\"id\":\"aqmp-3\"}");
  mock_return (mock, "2");
  aqmp_client_execute_full_async (client, "yank", NULL, NULL, AQMP_EXECUTE_FLAGS_OOB, -1, NULL, test_slot_callback, &slot);
  expect_result (&slot, "2");

  mock_expect_text (mock, "{\"id\":\"aqmp-4\",\"exec-oob\": \"yank\"}");
  mock_return (mock, "3");
  test_start_raw (client, "{\"exec-oob\": \"yank\"}", NULL, &slot);
  expect_result (&slot, "{\"return\": 3, \"id\": \"aqmp-4\"}");

  /* And without the flag it is as ever. */
  mock_expect_text (mock, "{\"execute\":\"yank\",\"id\":\"aqmp-5\"}");
  mock_return (mock, "4");
  test_start (client, "yank", NULL, &slot);
  expect_result (&slot, "4");
  finish (client, mock);
}

static void
test_text_sync (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  g_autoptr (JsonNode) first = NULL;
  g_autoptr (JsonNode) second = NULL;
  g_autoptr (GBytes) third = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect_text (mock, "{\"exec-oob\":\"yank\",\"id\":\"aqmp-2\"}");
  mock_return (mock, "1");
  first = aqmp_client_execute_sync (client, "yank", NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, &error);
  g_assert_no_error (error);
  mock_expect_text (mock, "{\"exec-oob\":\"yank\",\"id\":\"aqmp-3\"}");
  mock_return (mock, "2");
  second = aqmp_client_execute_full_sync (client, "yank", NULL, NULL, AQMP_EXECUTE_FLAGS_OOB, 0, NULL, &error);
  g_assert_no_error (error);
  mock_expect_text (mock, "{\"id\":\"aqmp-4\",\"exec-oob\": \"yank\"}");
  mock_return (mock, "3");
  third = aqmp_client_execute_raw_sync (client, "{\"exec-oob\": \"yank\"}", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (first), ==, 1);
  g_assert_cmpint (json_node_get_int (second), ==, 2);
  finish (client, mock);
}

/* Of each form, asynchronous and blocking. */
static void
expect_not_supported (AqmpClient       *client,
                      AqmpExecuteFlags  flags,
                      GQuark            domain,
                      int               code,
                      const char       *message)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  GError *errors[6] = { NULL };
  guint n_errors = flags == AQMP_EXECUTE_FLAGS_OOB ? 6 : 4;
  guint i;

  aqmp_client_execute_async (client, "yank", NULL, flags, NULL, test_slot_callback, &slot);
  g_assert_null (test_finish (&slot, &errors[0]));
  aqmp_client_execute_full_async (client, "yank", NULL, NULL, flags, -1, NULL, test_slot_callback, &slot);
  g_assert_null (test_finish (&slot, &errors[1]));
  g_assert_null (aqmp_client_execute_sync (client, "yank", NULL, flags, NULL, &errors[2]));
  g_assert_null (aqmp_client_execute_full_sync (client, "yank", NULL, NULL, flags, -1, NULL, &errors[3]));
  if (n_errors > 4)
    {
      test_start_raw (client, "{\"exec-oob\": \"yank\"}", NULL, &slot);
      g_assert_null (test_finish (&slot, &errors[4]));
      g_assert_null (aqmp_client_execute_raw_sync (client, "{\"exec-oob\": \"yank\"}", NULL, NULL, &errors[5]));
    }

  for (i = 0; i < n_errors; i++)
    {
      test_assert_error (errors[i], domain, code, message);
      g_clear_error (&errors[i]);
    }
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), ==, 0);
}

static void
test_not_offered (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);

  expect_not_supported (client, AQMP_EXECUTE_FLAGS_OOB, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "out-of-band");
  finish (client, mock);
}

static void
test_not_enabled (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_client_set_enable_oob (client, FALSE);
  mock_greet (mock, MOCK_GREETING_OOB);
  mock_expect_text (mock, "{\"execute\":\"qmp_capabilities\",\"id\":\"aqmp-1\"}");
  mock_return (mock, "{}");
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  g_assert_false (aqmp_client_get_oob_enabled (client));
  expect_not_supported (client, AQMP_EXECUTE_FLAGS_OOB, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "out-of-band");
  finish (client, mock);
}

static void
test_not_negotiated (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_client_set_negotiate (client, FALSE);
  mock_greet (mock, MOCK_GREETING_OOB);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  expect_not_supported (client, AQMP_EXECUTE_FLAGS_OOB, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "out-of-band");
  finish (client, mock);
}

/* The session before had it. */
static void
test_not_in_next_session (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'exec-oob': 'yank'}");
  mock_return (mock, "1");
  node = aqmp_client_execute_sync (client, "yank", NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, &error);
  g_assert_no_error (error);
  mock_expect_eof (mock);
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
  expect_not_supported (client, AQMP_EXECUTE_FLAGS_OOB, AQMP_ERROR, AQMP_ERROR_STATE, "“idle”");

  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  expect_not_supported (client, AQMP_EXECUTE_FLAGS_OOB, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "out-of-band");
  finish (client, mock);
}

static void
test_unknown_flags (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);

  expect_not_supported (client, (AqmpExecuteFlags) 0x2, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "0x2");
  expect_not_supported (client, (AqmpExecuteFlags) (0x40 | AQMP_EXECUTE_FLAGS_OOB), G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                        "0x40");
  finish (client, mock);
}

/* ---- overtaking -------------------------------------------------------------------------------------------------- */

typedef struct
{
  MockServer *mock;
  AqmpClient *client;
  guint       n_slots;
  TestSlot    slots[40];
} Busy;

/* So many commands are begun; the mock takes as many as may be outstanding. */
static void
busy_begin (Busy         *busy,
            MockGreeting  greeting,
            guint         n_calls)
{
  guint i;

  *busy = (Busy) { .mock = mock_new (MOCK_TRANSPORT_UNIX), .n_slots = n_calls };
  busy->client = sync_client_connect (busy->mock, greeting);
  for (i = 0; i < n_calls; i++)
    {
      if (i < MOST_IN_BAND || greeting == MOCK_GREETING_PLAIN)
        mock_expect (busy->mock, "{'execute': 'c'}");
      test_start (busy->client, "c", NULL, &busy->slots[i]);
    }
}

/* The held ones follow, one for each answer; the requests have these numbers. */
static void
busy_end (Busy  *busy,
          guint  n_other_requests)
{
  guint n_held = busy->n_slots - MIN (busy->n_slots, MOST_IN_BAND);
  guint i;

  for (i = 0; i < busy->n_slots; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      mock_return_to (busy->mock, i < MOST_IN_BAND ? i + 1 : i + 1 + n_other_requests, number);
      if (i < n_held)
        mock_expect (busy->mock, "{'execute': 'c'}");
    }
  for (i = 0; i < busy->n_slots; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      expect_result (&busy->slots[i], number);
      test_slot_clear (&busy->slots[i]);
    }
  finish (busy->client, busy->mock);
  mock_finish (busy->mock);
}

static void
expect_none_done (Busy *busy)
{
  guint i;

  for (i = 0; i < busy->n_slots; i++)
    g_assert_false (test_slot_is_done (&busy->slots[i]));
}

/* Eight, and not one more before one of them is answered. */
static void
test_limit (void)
{
  Busy busy;
  guint gate;

  busy_begin (&busy, MOCK_GREETING_OOB, 20);
  mock_expect_nothing (busy.mock, 20);
  gate = mock_mark (busy.mock);
  mock_wait_reached (busy.mock, gate);
  expect_none_done (&busy);
  busy_end (&busy, 0);
}

static void
test_no_limit_without_oob (void)
{
  Busy busy;
  guint i;

  busy_begin (&busy, MOCK_GREETING_PLAIN, 40);
  mock_wait_done (busy.mock);
  expect_none_done (&busy);
  for (i = 0; i < busy.n_slots; i++)
    mock_return_to (busy.mock, i + 1, "1");
  for (i = 0; i < busy.n_slots; i++)
    {
      expect_result (&busy.slots[i], "1");
      test_slot_clear (&busy.slots[i]);
    }
  finish (busy.client, busy.mock);
  mock_finish (busy.mock);
}

static void
test_overtakes (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  Busy busy;

  busy_begin (&busy, MOCK_GREETING_OOB, 30);
  mock_expect (busy.mock, "{'exec-oob': 'yank'}");
  mock_return (busy.mock, "'at once'");
  start_oob (busy.client, "yank", &slot);
  expect_result (&slot, "\"at once\"");
  expect_none_done (&busy);
  busy_end (&busy, 1);
}

/* Each form of a blocking call, with the others under way all the time. */
static void
test_overtakes_blocking (void)
{
  g_autoptr (JsonNode) first = NULL;
  g_autoptr (JsonNode) second = NULL;
  g_autoptr (GBytes) third = NULL;
  g_autoptr (GError) error = NULL;
  SyncTrap trap;
  Busy busy;
  guint i;

  busy_begin (&busy, MOCK_GREETING_OOB, 30);
  for (i = 0; i < 3; i++)
    {
      mock_expect (busy.mock, "{'exec-oob': 'yank'}");
      mock_return (busy.mock, "true");
    }
  sync_trap_set (&trap);
  first = aqmp_client_execute_sync (busy.client, "yank", NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, &error);
  g_assert_no_error (error);
  second = aqmp_client_execute_full_sync (busy.client, "yank", NULL, NULL, AQMP_EXECUTE_FLAGS_OOB, -1, NULL, &error);
  g_assert_no_error (error);
  third = aqmp_client_execute_raw_sync (busy.client, "{\"exec-oob\": \"yank\"}", NULL, NULL, &error);
  g_assert_no_error (error);
  sync_trap_check (&trap);
  expect_none_done (&busy);
  busy_end (&busy, 3);
}

/* They are not counted among the eight, and need not be answered in order. */
static void
test_many_out_of_band (void)
{
  TestSlot slots[20] = { TEST_SLOT_INIT };
  Busy busy;
  guint i;

  busy_begin (&busy, MOCK_GREETING_OOB, 10);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      mock_expect (busy.mock, "{'exec-oob': 'yank'}");
      start_oob (busy.client, "yank", &slots[i]);
    }
  for (i = G_N_ELEMENTS (slots); i > 0; i--)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      mock_return_to (busy.mock, MOST_IN_BAND + i, number);
    }
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i + 1);

      expect_result (&slots[i], number);
      test_slot_clear (&slots[i]);
    }
  expect_none_done (&busy);
  busy_end (&busy, G_N_ELEMENTS (slots));
}

/* Eight under way: a blocking call in-band waits for one of them, in its turn. */
static void
test_blocking_in_band_waits (void)
{
  SyncTrap trap;
  Busy busy;
  guint i;

  busy_begin (&busy, MOCK_GREETING_OOB, 10);
  for (i = 0; i < MOST_IN_BAND; i++)
    mock_return_to (busy.mock, i + 1, "1");
  for (i = 0; i < 2; i++)
    {
      mock_expect (busy.mock, "{'execute': 'c'}");
      mock_return (busy.mock, "1");
    }
  sync_script (busy.mock, "blocking", "2");
  sync_trap_set (&trap);
  sync_check (SYNC_EXECUTE, busy.client, "blocking", "2");
  sync_trap_check (&trap);
  expect_none_done (&busy);
  for (i = 0; i < busy.n_slots; i++)
    {
      expect_result (&busy.slots[i], "1");
      test_slot_clear (&busy.slots[i]);
    }
  finish (busy.client, busy.mock);
  mock_finish (busy.mock);
}

/* ---- other ends -------------------------------------------------------------------------------------------------- */

static void
test_server_error (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'exec-oob': 'query-status'}");
  mock_error (mock, "GenericError", "The command query-status does not support OOB");
  g_assert_null (aqmp_client_execute_sync (client, "query-status", NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
  finish (client, mock);
}

/* Given up, it leaves no room that it has not taken. */
static void
test_given_up (void)
{
  g_autoptr (GError) error = NULL;
  Busy busy;
  guint gate;

  busy_begin (&busy, MOCK_GREETING_OOB, 9);
  mock_expect (busy.mock, "{'exec-oob': 'slow'}");
  g_assert_null (aqmp_client_execute_full_sync (busy.client, "slow", NULL, NULL, AQMP_EXECUTE_FLAGS_OOB, 5, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mock_return (busy.mock, "'late'");
  mock_expect_nothing (busy.mock, 20);
  gate = mock_mark (busy.mock);
  mock_wait_reached (busy.mock, gate);
  expect_none_done (&busy);
  busy_end (&busy, 1);
}

/* Descriptors go with one command at a time, in-band or not; a command out of band without any does not wait for that. */
static void
test_descriptors (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_OOB);
  g_autoptr (GUnixFDList) fd_list = g_unix_fd_list_new ();
  TestSlot slots[3] = { TEST_SLOT_INIT };
  guint i;

  g_unix_fd_list_append (fd_list, STDIN_FILENO, NULL);
  mock_expect_with_fds (mock, "{'execute': 'getfd'}", 1);
  mock_expect (mock, "{'exec-oob': 'yank'}");
  mock_return (mock, "'third'");
  mock_return_to (mock, 1, "'first'");
  mock_expect_with_fds (mock, "{'exec-oob': 'getfd-oob'}", 1);
  mock_return (mock, "'second'");

  aqmp_client_execute_full_async (client, "getfd", NULL, fd_list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL, test_slot_callback,
                                  &slots[0]);
  aqmp_client_execute_full_async (client, "getfd-oob", NULL, fd_list, AQMP_EXECUTE_FLAGS_OOB, -1, NULL, test_slot_callback,
                                  &slots[1]);
  start_oob (client, "yank", &slots[2]);
  expect_result (&slots[2], "\"third\"");
  expect_result (&slots[0], "\"first\"");
  expect_result (&slots[1], "\"second\"");
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    test_slot_clear (&slots[i]);
  finish (client, mock);
}

/* What was held back when it ends is interrupted, not sent; so is what was under way. */
static void
test_disconnect_with_held (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  Busy busy;
  guint i;

  busy_begin (&busy, MOCK_GREETING_OOB, 20);
  mock_expect (busy.mock, "{'exec-oob': 'slow'}");
  mock_expect_eof (busy.mock);
  start_oob (busy.client, "slow", &slot);
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (busy.client), NULL, &error);
  g_assert_no_error (error);
  for (i = 0; i <= busy.n_slots; i++)
    {
      TestSlot *ended = i < busy.n_slots ? &busy.slots[i] : &slot;

      g_assert_null (test_finish (ended, &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      g_clear_error (&error);
      test_slot_clear (ended);
    }
  sync_client_close (busy.client);
  mock_finish (busy.mock);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q9/oob/text", test_text);
  g_test_add_func ("/client/Q9/oob/text-of-blocking-forms", test_text_sync);
  g_test_add_func ("/client/Q9/oob/not-offered", test_not_offered);
  g_test_add_func ("/client/Q9/oob/not-enabled", test_not_enabled);
  g_test_add_func ("/client/Q9/oob/not-negotiated", test_not_negotiated);
  g_test_add_func ("/client/Q9/oob/not-in-the-next-session", test_not_in_next_session);
  g_test_add_func ("/client/Q9/oob/unknown-flags", test_unknown_flags);
  g_test_add_func ("/client/Q9/oob/limit", test_limit);
  g_test_add_func ("/client/Q9/oob/no-limit-without-it", test_no_limit_without_oob);
  g_test_add_func ("/client/Q9/oob/overtakes", test_overtakes);
  g_test_add_func ("/client/Q9/oob/overtakes-blocking", test_overtakes_blocking);
  g_test_add_func ("/client/Q9/oob/many", test_many_out_of_band);
  g_test_add_func ("/client/Q9/oob/blocking-in-band-waits", test_blocking_in_band_waits);
  g_test_add_func ("/client/Q9/oob/server-error", test_server_error);
  g_test_add_func ("/client/Q9/oob/given-up", test_given_up);
  g_test_add_func ("/client/Q9/oob/descriptors", test_descriptors);
  g_test_add_func ("/client/Q9/oob/disconnect", test_disconnect_with_held);

  return g_test_run ();
}
