/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Out-of-band execution on real QEMU: it gets through whatever else hangs. */

#include "session.h"

#define N_IN_BAND 30
/* Not scaled: the reply has to be there while everything else waits, and it is measured in the hundredths of that. */
#define SOON_MS 100

static void
begin_oob (AqmpClient *client,
           const char *command,
           TestSlot   *slot)
{
  aqmp_client_execute_async (client, command, NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, test_slot_callback, slot);
}

static JsonNode *
execute_oob (AqmpClient  *client,
             const char  *command,
             GError     **error)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  begin_oob (client, command, &slot);
  return session_await (&slot, error);
}

/* Lets the block server go, and with it the command that waits for it. */
static void
end_hang (GObject  *hang,
          TestSlot *slot)
{
  g_autoptr(GError) error = NULL;

  g_io_stream_close (G_IO_STREAM (hang), NULL, NULL);
  g_object_unref (hang);
  g_assert_null (session_await (slot, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
}

static void
test_overtakes (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  AqmpClient *client;
  TestSlot slots[N_IN_BAND] = { TEST_SLOT_INIT };
  g_auto(TestSlot) hanging = TEST_SLOT_INIT;
  g_autoptr(JsonNode) reply = NULL;
  g_autoptr(GError) error = NULL;
  GObject *hang;
  gint64 start;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  g_assert_true (aqmp_client_get_oob_enabled (client));
  hang = session_begin_hang (client, qemu, &hanging);
  for (gsize i = 0; i < N_IN_BAND; i++)
    session_begin (client, "query-name", NULL, NULL, &slots[i]);
  session_wait_written (client);

  start = g_get_monotonic_time ();
  reply = execute_oob (client, "query-yank", &error);
  g_assert_no_error (error);
  g_assert_true (JSON_NODE_HOLDS_ARRAY (reply));
  g_assert_cmpint (g_get_monotonic_time () - start, <, SOON_MS * test_timeout_scale () * 1000);

  g_assert_false (test_slot_is_done (&hanging));
  for (gsize i = 0; i < N_IN_BAND; i++)
    g_assert_false (test_slot_is_done (&slots[i]));

  end_hang (hang, &hanging);
  for (gsize i = 0; i < N_IN_BAND; i++)
    {
      g_autoptr(JsonNode) node = session_await (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }
  session_end (client);
}

/* The same in a thread that blocks, with a call that blocks in another one meanwhile. */
typedef struct
{
  AqmpClient *client;
  int         done;
} InBand;

static gpointer
block_in_band (gpointer data)
{
  InBand *in_band = data;
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = NULL;

  node = aqmp_client_execute_sync (in_band->client, "query-name", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (node);

  g_atomic_int_set (&in_band->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_overtakes_blocking (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  AqmpClient *client;
  g_auto(TestSlot) hanging = TEST_SLOT_INIT;
  g_autoptr(JsonNode) reply = NULL;
  g_autoptr(GError) error = NULL;
  InBand in_band = { NULL, FALSE };
  GThread *thread;
  GObject *hang;

  if (qemu == NULL)
    return;

  client = in_band.client = session_new (qemu);
  hang = session_begin_hang (client, qemu, &hanging);
  thread = g_thread_new ("in-band", block_in_band, &in_band);
  reply = aqmp_client_execute_sync (client, "query-yank", NULL, AQMP_EXECUTE_FLAGS_OOB, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (JSON_NODE_HOLDS_ARRAY (reply));

  end_hang (hang, &hanging);
  test_wait_until (g_atomic_int_get (&in_band.done));
  g_thread_join (thread);
  session_end (client);
}

/* "migrate-pause" may be executed out of band, and is refused as there is nothing to pause. */
static void
test_error (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  AqmpClient *client;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  g_assert_null (execute_oob (client, "migrate-pause", &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
  session_check_works (client);
  session_end (client);
}

/* Only few commands can be. */
static void
test_not_possible (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  AqmpClient *client;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  g_assert_null (execute_oob (client, "query-name", &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR);
  session_check_works (client);
  session_end (client);
}

static void
test_not_negotiated (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    {
      g_object_unref (client);
      return;
    }

  aqmp_client_set_enable_oob (client, FALSE);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_null (execute_oob (client, "query-yank", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  session_check_works (client);
  session_end (client);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q9/oob-overtakes", test_overtakes);
  g_test_add_func ("/qemu/Q9/oob-overtakes-blocking", test_overtakes_blocking);
  g_test_add_func ("/qemu/Q9/oob-error", test_error);
  g_test_add_func ("/qemu/Q9/oob-not-possible", test_not_possible);
  g_test_add_func ("/qemu/Q9/oob-not-negotiated", test_not_negotiated);

  return g_test_run ();
}
