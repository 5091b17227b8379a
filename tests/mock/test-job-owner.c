/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3: what waits for a job is told of the end of its session, whoever has the client by then. */

#include "echo-peer.h"
#include "sync-util.h"

/* Another thread has a session of its own meanwhile. */
static gpointer
use_client (gpointer client)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GIOStream) stream = NULL;
  EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  aqmp_protocol_open_sync (client, stream, NULL, &error);
  g_assert_no_error (error);
  aqmp_protocol_disconnect_sync (client, NULL, &error);
  g_assert_no_error (error);
  g_main_context_pop_thread_default (context);
  g_clear_object (&stream);
  echo_peer_free (peer);
  return NULL;
}

/* @taken: by that thread before this one's context runs */
static void
test_wait_is_told_of_end (gconstpointer taken)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = sync_client_connect (mock, MOCK_GREETING_PLAIN);
  AqmpJob *job = aqmp_job_new (client, "job0");
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'query-jobs'}");
  mock_return (mock, "[{'id': 'job0', 'type': 'create', 'status': 'running', 'current-progress': 0, 'total-progress': 1}]");
  mock_expect_eof (mock);
  aqmp_job_wait_status_async (job, "concluded", NULL, test_slot_callback, &slot);
  test_wait_until (g_strcmp0 (aqmp_job_get_status (job), "running") == 0);
  test_dispatch_pending ();
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
  g_assert_false (test_slot_is_done (&slot));
  if (taken)
    g_thread_join (g_thread_new ("heir", use_client, client));

  result = test_await (&slot);
  g_assert_false (aqmp_job_wait_status_finish (job, result, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_object (&result);
  test_slot_clear (&slot);
  g_object_unref (job);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/job/T3/wait-is-told-of-the-end", GINT_TO_POINTER (FALSE), test_wait_is_told_of_end);
  g_test_add_data_func ("/job/T3/wait-is-told-of-the-end-of-an-earlier-owner", GINT_TO_POINTER (TRUE), test_wait_is_told_of_end);

  return g_test_run ();
}
