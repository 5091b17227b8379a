/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q14: blocking calls over other streams than a UNIX socket. */

#include "sync-util.h"

/* ---- other streams ----------------------------------------------------------------------------------------------- */

typedef enum
{
  OVER_TCP,
  OVER_SOCKETPAIR,
  OVER_PIPES,
  OVER_POLLABLE,
  OVER_PLAIN,
  N_STREAMS
} Stream;

static const char * const stream_names[N_STREAMS] = { "tcp", "socketpair", "pipes", "pollable-wrapper", "not-pollable" };

static MockServer *
new_peer (Stream stream)
{
  if (stream == OVER_TCP)
    return mock_new (MOCK_TRANSPORT_TCP);
  return mock_new (stream == OVER_PIPES ? MOCK_TRANSPORT_PIPES : MOCK_TRANSPORT_SOCKETPAIR);
}

static AqmpClient *
open_stream (Stream      stream,
             MockServer *mock)
{
  AqmpClient *client = sync_client_new ();
  g_autoptr (GIOStream) base = mock_get_stream (mock);
  g_autoptr (GIOStream) wrapped = NULL;
  g_autoptr (GError) error = NULL;

  if (stream == OVER_POLLABLE)
    wrapped = test_pollable_stream_new (base);
  else if (stream == OVER_PLAIN)
    wrapped = test_plain_stream_new (base);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  aqmp_protocol_open_sync (AQMP_PROTOCOL (client), wrapped != NULL ? wrapped : base, NULL, &error);
  g_assert_no_error (error);
  return client;
}

/* Large both ways, too. */
static void
test_over_stream (gconstpointer data)
{
  Stream stream = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (stream);
  g_autofree char *big = g_strnfill (500 * 1000, 'x');
  g_autofree char *json = g_strdup_printf ("{\"s\": \"%s\"}", big);
  g_autofree char *pattern = g_strdup_printf ("{\"execute\": \"big\", \"arguments\": %s}", json);
  g_autofree char *value = g_strdup_printf ("\"%s\"", big);
  AqmpClient *client = open_stream (stream, mock);
  g_autoptr (JsonObject) arguments = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;
  SyncTrap trap;
  guint i;

  sync_trap_set (&trap);
  for (i = 0; i < 3 * SYNC_N_FORMS; i++)
    {
      sync_script (mock, "small", "1");
      sync_check (i % SYNC_N_FORMS, client, "small", "1");
    }

  mock_expect (mock, pattern);
  mock_return (mock, value);
  arguments = aqmp_arguments_parse (json, &error);
  g_assert_no_error (error);
  node = aqmp_client_execute_sync (client, "big", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (json_node_get_string (node), ==, big);

  sync_trap_check (&trap);
  mock_expect_eof (mock);
  sync_client_close (client);
  mock_wait_done (mock);
}

static void
test_timeout_over_stream (gconstpointer data)
{
  Stream stream = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (stream);
  AqmpClient *client = open_stream (stream, mock);
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < SYNC_N_FORMS; i++)
    {
      /* So that nothing else is still being written, and the command is sent in any case. */
      aqmp_protocol_flush_sync (AQMP_PROTOCOL (client), NULL, &error);
      g_assert_no_error (error);
      mock_expect (mock, "{'execute': 'slow'}");
      aqmp_client_set_call_timeout (client, 5);
      g_assert_null (sync_call (i, client, "slow", NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
      g_clear_error (&error);
      aqmp_client_set_call_timeout (client, 0);
      mock_return (mock, "'late'");
      sync_ping (client, mock);
    }

  mock_expect_eof (mock);
  sync_client_close (client);
  mock_wait_done (mock);
}

static void
test_cancelled_over_stream (gconstpointer data)
{
  Stream stream = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (stream);
  AqmpClient *client = open_stream (stream, mock);
  guint i;

  for (i = 0; i < SYNC_N_FORMS; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      SyncCanceller canceller = { .cancellable = cancellable };
      GThread *thread = sync_canceller_start (&canceller);
      g_autoptr (GError) error = NULL;

      mock_expect (mock, "{'execute': 'slow'}");
      mock_event (mock, "POKE", NULL);
      sync_client_once (client, SYNC_IN_FILTER_INBOUND, "POKE", sync_canceller_tell, &canceller);
      g_assert_null (sync_call (i, client, "slow", cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (thread);
      mock_return (mock, "'late'");
      sync_ping (client, mock);
    }

  mock_expect_eof (mock);
  sync_client_close (client);
  mock_wait_done (mock);
}

static void
test_failure_over_stream (gconstpointer data)
{
  Stream stream = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (stream);
  AqmpClient *client = open_stream (stream, mock);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'a'}");
  mock_close (mock);
  g_assert_null (sync_call (SYNC_EXECUTE, client, "a", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_object_unref (client);
}

/* The next loop takes over where the blocking call has left off. */
static void
test_loop_over_stream (gconstpointer data)
{
  Stream stream = GPOINTER_TO_INT (data);
  g_autoptr (MockServer) mock = new_peer (stream);
  AqmpClient *client = open_stream (stream, mock);
  g_autoptr (GString) names = g_string_new (NULL);
  guint i;

  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  for (i = 0; i < 5; i++)
    {
      sync_ping (client, mock);
      mock_event (mock, "IN_LOOP", NULL);
      test_wait_until (g_str_has_suffix (names->str, "IN_LOOP "));
      mock_event (mock, "IN_CALL", NULL);
      sync_ping (client, mock);
      test_ping (client, mock);
      g_assert_true (g_str_has_suffix (names->str, "IN_LOOP IN_CALL "));
    }

  mock_expect_eof (mock);
  sync_client_close (client);
  mock_wait_done (mock);
}

static void
add_for_streams (const char    *prefix,
                 GTestDataFunc  func)
{
  Stream stream;

  for (stream = 0; stream < N_STREAMS; stream++)
    {
      g_autofree char *full_path = g_strconcat (prefix, stream_names[stream], NULL);

      g_test_add_data_func (full_path, GINT_TO_POINTER (stream), func);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_for_streams ("/client/Q14/blocking-over/", test_over_stream);
  add_for_streams ("/client/Q14/blocking-timeout-over/", test_timeout_over_stream);
  add_for_streams ("/client/Q14/blocking-cancelled-over/", test_cancelled_over_stream);
  add_for_streams ("/client/Q14/blocking-failure-over/", test_failure_over_stream);
  add_for_streams ("/client/Q14/loop-after-blocking-over/", test_loop_over_stream);

  return g_test_run ();
}
