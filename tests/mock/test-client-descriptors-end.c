/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q10: whatever becomes of a command, its copies of file descriptors are closed, once. */

#include "descriptors-util.h"

#include <math.h>
#include <unistd.h>

static void
test_cancelled_before_the_call (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) full = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  g_cancellable_cancel (cancellable);
  scene_start (&scene, FULL, "never", cancellable, &full);
  scene_start (&scene, RAW, "never", cancellable, &raw);
  scene_assert_open (&scene, 0);
  assert_cancelled (&full);
  assert_cancelled (&raw);
  scene_end (&scene);
}

/* In the same turn, and behind what is stuck. */
static void
test_cancelled_unwritten (void)
{
  Scene scene;
  g_autoptr (GCancellable) first = g_cancellable_new ();
  g_autoptr (GCancellable) second = g_cancellable_new ();
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start (&scene, FULL, "never", first, &slots[0]);
  scene_assert_open (&scene, N_FILES);
  g_cancellable_cancel (first);
  assert_cancelled (&slots[0]);
  scene_assert_open (&scene, 0);

  scene_start_plug (&scene, &plug);
  scene_start (&scene, RAW, "never", second, &slots[1]);
  test_dispatch_pending ();
  scene_assert_open (&scene, N_FILES);
  g_cancellable_cancel (second);
  assert_cancelled (&slots[1]);
  scene_assert_open (&scene, 0);
  scene_expect_plug (scene.mock);
  scene_answer_plug (scene.mock);
  assert_succeeded (&plug);
  scene_end (&scene);
}

static void
test_timed_out_unwritten (void)
{
  Scene scene;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_plug (&scene, &plug);
  scene_start_timeout (&scene, "never", 20, &slot);
  assert_timed_out (&slot);
  scene_assert_open (&scene, 0);
  scene_expect_plug (scene.mock);
  scene_answer_plug (scene.mock);
  assert_succeeded (&plug);
  scene_end (&scene);
}

static void
check_written (gboolean by_time)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  if (by_time)
    scene_start_timeout (&scene, "getfd", 300, &slot);
  else
    scene_start (&scene, RAW, "getfd", cancellable, &slot);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_wait_done (scene.mock);
  scene_assert_open (&scene, N_FILES);
  g_cancellable_cancel (cancellable);
  if (by_time)
    assert_timed_out (&slot);
  else
    assert_cancelled (&slot);
  mock_return (scene.mock, "{}");
  test_ping (scene.client, scene.mock);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_assert_open (&scene, N_FILES);
  scene_end (&scene);
}

static void
test_cancelled_written (void)
{
  check_written (FALSE);
}

static void
test_timed_out_written (void)
{
  check_written (TRUE);
}

/* Some of the command is out, the descriptors with it. */
static void
test_cancelled_partly_written (void)
{
  Scene scene;
  g_autofree char *padding = g_strnfill (2 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"plug\", \"arguments\": \"%s\"}", padding);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_text (&scene, command, cancellable, &slot);
  scene_assert_open (&scene, N_FILES);
  test_dispatch_pending ();
  scene_assert_open (&scene, 0);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&slot);
  scene_assert_open (&scene, 0);
  mock_expect_with_fds (scene.mock, "{'execute': 'plug', 'arguments': '@ANY@'}", N_FILES);
  mock_return (scene.mock, "{}");
  mock_wait_done (scene.mock);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_end (&scene);
}

static void
test_cancelled_held (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) held = TEST_SLOT_INIT;

  scene_begin_held (&scene, &outstanding, cancellable, -1, &held);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&held);
  scene_assert_open (&scene, 0);
  mock_return_to (scene.mock, 1, "{}");
  assert_succeeded (&outstanding);
  scene_end (&scene);
}

static void
test_timed_out_held (void)
{
  Scene scene;
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) held = TEST_SLOT_INIT;

  scene_begin_held (&scene, &outstanding, NULL, 20, &held);
  assert_timed_out (&held);
  scene_assert_open (&scene, 0);
  mock_return_to (scene.mock, 1, "{}");
  assert_succeeded (&outstanding);
  scene_end (&scene);
}

static void
test_fails_held (void)
{
  Scene scene;
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  TestSlot held[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };

  scene_begin_held (&scene, &outstanding, NULL, -1, &held[0]);
  scene_start_text (&scene, "{\"exec-oob\": \"held\"}", NULL, &held[1]);
  scene_assert_open (&scene, 2 * N_FILES);
  mock_close (scene.mock);
  assert_interrupted (&outstanding);
  assert_interrupted (&held[0]);
  assert_interrupted (&held[1]);
  /* Both ends of the connection have gone too. */
  scene_assert_open (&scene, -2);
  scene_end_failed (&scene);
}

static void
test_fails_queued (void)
{
  Scene scene;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_plug (&scene, &plug);
  scene_start (&scene, FULL, "never", NULL, &slots[0]);
  scene_start (&scene, RAW, "never", NULL, &slots[1]);
  test_dispatch_pending ();
  scene_assert_open (&scene, 2 * N_FILES);
  mock_stop_reading (scene.mock);
  mock_close (scene.mock);
  assert_interrupted (&plug);
  assert_interrupted (&slots[0]);
  assert_interrupted (&slots[1]);
  test_dispatch_pending ();
  scene_assert_open (&scene, -2);
  scene_end_failed (&scene);
}

/* In another thread's own time. */
static gpointer
fail_in_thread (gpointer client)
{
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "enough");

  aqmp_protocol_fail (client, error);
  return NULL;
}

static void
test_failed_by_another_thread (void)
{
  Scene scene;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  GThread *thread;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_plug (&scene, &plug);
  scene_start (&scene, FULL, "never", NULL, &slot);
  thread = g_thread_new ("failing", fail_in_thread, scene.client);
  assert_interrupted (&plug);
  assert_interrupted (&slot);
  g_thread_join (thread);
  test_dispatch_pending ();
  scene_assert_open (&scene, -1);
  mock_expect_gone (scene.mock);
  scene_end_failed (&scene);
}

/* What is queued still goes, descriptors and all; and nobody is told of an answer. */
static void
test_disconnect_flushes (void)
{
  Scene scene;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (scene.client), 60000);
  scene_start_plug (&scene, &plug);
  scene_start (&scene, FULL, "first", NULL, &slots[0]);
  scene_start (&scene, RAW, "second", NULL, &slots[1]);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (scene.client), NULL, test_slot_callback, &disconnected);
  test_dispatch_pending ();
  scene_assert_open (&scene, 2 * N_FILES);
  scene_expect_plug (scene.mock);
  mock_expect_with_fds (scene.mock, "{'execute': 'first'}", N_FILES);
  mock_expect_with_fds (scene.mock, "{'execute': 'second'}", N_FILES);
  mock_expect_eof (scene.mock);
  result = test_await (&disconnected);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (scene.client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  assert_interrupted (&plug);
  assert_interrupted (&slots[0]);
  assert_interrupted (&slots[1]);
  mock_wait_done (scene.mock);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_assert_arrived (&scene, 2, 0, N_FILES);
  scene_assert_open (&scene, 2 * N_FILES - 1);
  scene_end_failed (&scene);
}

/* S7: those held back fail as soon as it begins; the one outstanding can still be answered. */
static void
test_disconnect_held (void)
{
  Scene scene;
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot held[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (scene.client), 60000);
  scene_start (&scene, FULL, "getfd", NULL, &outstanding);
  scene_start_plug (&scene, &plug);
  scene_start (&scene, FULL, "held", NULL, &held[0]);
  test_start (scene.client, "held", NULL, &held[1]);
  scene_start_text (&scene, "{\"exec-oob\": \"held\"}", NULL, &held[2]);
  test_dispatch_pending ();
  scene_assert_open (&scene, 2 * N_FILES);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (scene.client), NULL, test_slot_callback, &disconnected);
  for (i = 0; i < 3; i++)
    assert_interrupted (&held[i]);
  scene_assert_open (&scene, 0);
  g_assert_false (test_slot_is_done (&outstanding));
  g_assert_false (test_slot_is_done (&plug));

  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&outstanding);
  g_assert_false (test_slot_is_done (&disconnected));
  scene_expect_plug (scene.mock);
  mock_expect_eof (scene.mock);
  result = test_await (&disconnected);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (scene.client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  assert_interrupted (&plug);
  scene_end_failed (&scene);
}

/* A peer that never reads: in the end, nothing is left of what it did not take. */
static void
check_flush_timeout (guint timeout_ms)
{
  Scene scene;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  g_autoptr (GError) error = NULL;
  gboolean succeeded;
  guint stopped;
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  mock_stop_reading (scene.mock);
  stopped = mock_pause (scene.mock);
  mock_close (scene.mock);
  mock_wait_reached (scene.mock, stopped);
  scene_start_plug (&scene, &plug);
  for (i = 0; i < 3; i++)
    scene_start (&scene, i == 1 ? RAW : FULL, "never", NULL, &slots[i]);
  test_dispatch_pending ();
  scene_assert_open (&scene, 3 * N_FILES);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (scene.client), timeout_ms);
  succeeded = test_disconnect (scene.client, &error);
  scene_assert_open (&scene, -1);
  g_assert_cmpint (succeeded, ==, timeout_ms == 0);
  if (timeout_ms > 0)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  assert_interrupted (&plug);
  for (i = 0; i < 3; i++)
    assert_interrupted (&slots[i]);
  mock_continue (scene.mock);
  scene_end_failed (&scene);
}

static void
test_flush_timeout (void)
{
  check_flush_timeout (50);
}

static void
test_no_flush (void)
{
  check_flush_timeout (0);
}

static void
test_dispose (void)
{
  Scene scene;
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot slots[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };

  /* One queued for writing, or more exactly behind what is stuck. */
  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_plug (&scene, &plug);
  scene_start (&scene, FULL, "never", NULL, &slots[0]);
  scene_assert_open (&scene, N_FILES);
  g_object_run_dispose (G_OBJECT (scene.client));
  scene_assert_open (&scene, -1);
  scene_guard (&scene);
  assert_interrupted (&plug);
  assert_interrupted (&slots[0]);
  g_assert_cmpuint (G_OBJECT (scene.client)->ref_count, ==, 1);
  g_object_unref (scene.client);
  mock_expect_gone (scene.mock);
  scene_free (&scene);

  /* Held back. */
  scene_begin_held (&scene, &outstanding, NULL, -1, &slots[1]);
  g_object_run_dispose (G_OBJECT (scene.client));
  scene_assert_open (&scene, -1);
  scene_guard (&scene);
  assert_interrupted (&outstanding);
  assert_interrupted (&slots[1]);
  g_object_unref (scene.client);
  mock_expect_eof (scene.mock);
  scene_free (&scene);
}

/* The last reference goes while a written one, which nobody waits for any more, is unanswered. */
static void
test_last_reference (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  gpointer watched;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "getfd", cancellable, &slot);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_wait_done (scene.mock);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&slot);
  test_dispatch_pending ();
  watched = scene.client;
  g_object_add_weak_pointer (G_OBJECT (scene.client), &watched);
  g_object_unref (scene.client);
  g_assert_null (watched);
  scene_assert_open (&scene, N_FILES - 1);
  mock_expect_eof (scene.mock);
  scene_free (&scene);
}

/* Those that are never sent, and tell so from the first moment. */
static void
test_invalid_messages (void)
{
  Scene scene;
  g_autoptr (GUnixFDList) list = NULL;
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  TestSlot slots[4] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  test_start_raw (scene.client, "{\"execute\": \"a\", \"id\": 7}", NULL, &outstanding);
  json_object_set_double_member (arguments, "x", NAN);
  list = scene_list_files (&scene, 0, N_FILES);
  scene.n_fds += N_FILES;
  aqmp_client_execute_full_async (scene.client, "never", arguments, list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL,
                                  test_slot_callback, &slots[0]);
  scene_assert_open (&scene, 0);
  start_with_list (scene.client, FULL, "\xff", list, -1, NULL, &slots[1]);
  scene_assert_open (&scene, 0);
  scene_start_text (&scene, "{\"execute\": \"never\"", NULL, &slots[2]);
  scene_assert_open (&scene, 0);
  scene_start_text (&scene, "{\"execute\": \"never\", \"id\": 7}", NULL, &slots[3]);
  scene_assert_open (&scene, 0);
  for (i = 0; i < 4; i++)
    assert_failed (&slots[i], AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "");

  mock_expect (scene.mock, "{'execute': 'a', 'id': 7}");
  mock_return (scene.mock, "{}");
  assert_succeeded (&outstanding);
  scene_end (&scene);
}

/* The same while they would be held back: the window is none the worse for it. */
static void
test_invalid_messages_held (void)
{
  Scene scene;
  g_autoptr (GUnixFDList) list = NULL;
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) held = TEST_SLOT_INIT;
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start_text (&scene, "{\"execute\": \"getfd\", \"id\": \"x\"}", NULL, &outstanding);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd', 'id': 'x'}", N_FILES);
  mock_wait_done (scene.mock);
  scene_start_text (&scene, "{\"execute\": \"held\", \"id\": \"y\"}", NULL, &held);
  json_object_set_double_member (arguments, "x", INFINITY);
  list = scene_list_files (&scene, 0, N_FILES);
  scene.n_fds = test_count_fds ();
  aqmp_client_execute_full_async (scene.client, "never", arguments, list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL,
                                  test_slot_callback, &slots[0]);
  scene_start_text (&scene, "{\"execute\": \"never\", \"id\": \"x\"}", NULL, &slots[1]);
  scene_start_text (&scene, "{\"execute\": \"never\", \"id\": \"y\"}", NULL, &slots[2]);
  scene_assert_open (&scene, 0);
  for (i = 0; i < 3; i++)
    assert_failed (&slots[i], AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "");

  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'held', 'id': 'y'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&outstanding);
  assert_succeeded (&held);
  scene_end (&scene);
}

static void
test_own_id (void)
{
  Scene scene;
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  for (i = 0; i < 2; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;

      scene_start_text (&scene, " {\"execute\": \"getfd\", \"id\": \"mine\"}\n", NULL, &slot);
      mock_expect_with_fds (scene.mock, "{'execute': 'getfd', 'id': 'mine'}", N_FILES);
      mock_return (scene.mock, "{}");
      assert_succeeded (&slot);
      scene_assert_arrived (&scene, i + 1, 0, N_FILES);
    }
  scene_end (&scene);
}

/* A server that answers what it was not sent. Its word is taken for it; what it answered is never sent. */
static void
test_answered_unsent (void)
{
  Scene scene;
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) held = TEST_SLOT_INIT;
  g_auto (TestSlot) next = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "getfd", NULL, &outstanding);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  scene_start_text (&scene, "{\"execute\": \"held\", \"id\": \"x\"}", NULL, &held);
  scene_start (&scene, RAW, "next", NULL, &next);
  mock_send_json (scene.mock, "{'return': {}, 'id': 'x'}");
  assert_succeeded (&held);
  mock_wait_done (scene.mock);
  scene_assert_open (&scene, 2 * N_FILES);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'next'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&outstanding);
  assert_succeeded (&next);
  scene_end (&scene);
}

/* --- While others open files -------------------------------------------------------------------------------------- */

#define N_OPEN 8
#define N_ROUNDS 500

/* Whatever number it gets stays its own: nobody closes it a second time. */
static gpointer
open_files (gpointer data)
{
  int *is_over = data;
  File files[N_OPEN];
  guint i;

  for (i = 0; i < N_OPEN; i++)
    files[i] = file_open ();
  while (!g_atomic_int_get (is_over))
    {
      i = (i + 1) % N_OPEN;
      assert_is_file (&files[i], files[i].fd);
      close (files[i].fd);
      files[i] = file_open ();
    }
  for (i = 0; i < N_OPEN; i++)
    {
      assert_is_file (&files[i], files[i].fd);
      close (files[i].fd);
    }
  return NULL;
}

static void
test_others_open_files (void)
{
  Scene scene;
  int is_over = FALSE;
  GThread *thread;
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  thread = g_thread_new ("opening", open_files, &is_over);
  for (i = 0; i < N_ROUNDS; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };

      /* Written; and given up, held back and not. */
      scene_start (&scene, FULL, "never", cancellable, &slots[0]);
      scene_start (&scene, RAW, "never", cancellable, &slots[1]);
      g_cancellable_cancel (cancellable);
      assert_cancelled (&slots[0]);
      assert_cancelled (&slots[1]);
      if (i % 10 != 0)
        continue;
      scene_start (&scene, FULL, "getfd", NULL, &slots[2]);
      mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
      mock_return (scene.mock, "{}");
      assert_succeeded (&slots[2]);
    }
  g_atomic_int_set (&is_over, TRUE);
  g_thread_join (thread);
  scene_end (&scene);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const SceneTest tests[] = {
  { test_cancelled_before_the_call, "/client/Q10/closed-once/cancelled-before-the-call" },
  { test_cancelled_unwritten, "/client/Q10/closed-once/cancelled-unwritten" },
  { test_timed_out_unwritten, "/client/Q10/closed-once/timed-out-unwritten" },
  { test_cancelled_written, "/client/Q10/closed-once/cancelled-written" },
  { test_timed_out_written, "/client/Q10/closed-once/timed-out-written" },
  { test_cancelled_partly_written, "/client/Q10/closed-once/cancelled-partly-written" },
  { test_cancelled_held, "/client/Q10/closed-once/cancelled-held-back" },
  { test_timed_out_held, "/client/Q10/closed-once/timed-out-held-back" },
  { test_fails_queued, "/client/Q10/closed-once/session-fails-queued" },
  { test_fails_held, "/client/Q10/closed-once/session-fails-held-back" },
  { test_failed_by_another_thread, "/client/Q10/closed-once/session-failed-by-another-thread" },
  { test_disconnect_flushes, "/client/S7/descriptors/flushed" },
  { test_disconnect_held, "/client/S7/descriptors/held-back-fail-at-once" },
  { test_flush_timeout, "/client/S7/descriptors/flush-timeout" },
  { test_no_flush, "/client/S7/descriptors/no-flush" },
  { test_dispose, "/client/S10/descriptors/dispose" },
  { test_last_reference, "/client/S10/descriptors/last-reference" },
  { test_invalid_messages, "/client/Q10/closed-once/invalid-messages" },
  { test_invalid_messages_held, "/client/Q10/closed-once/invalid-messages-held-back" },
  { test_own_id, "/client/Q5/own-id-with-descriptors" },
  { test_answered_unsent, "/client/Q10/closed-once/answered-without-being-sent" },
  { test_others_open_files, "/client/Q10/closed-once/others-open-files" },
};

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  return scene_run_tests (tests, G_N_ELEMENTS (tests));
}
