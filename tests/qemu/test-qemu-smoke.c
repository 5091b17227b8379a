/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A little of everything, in one session after the other: small enough to be run under valgrind too. */

#include "session.h"

static void
on_event (AqmpProtocol *client,
          AqmpEvent    *event,
          gpointer      user_data)
{
  guint *n_events = user_data;

  (*n_events)++;
}

static void
test_smoke (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(Qemu) other = NULL;
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) stopped = NULL;
  g_autoptr(JsonNode) refused = NULL;
  g_autoptr(JsonNode) interrupted = NULL;
  g_autoptr(JsonNode) quit = NULL;
  g_autofree char *name = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  AqmpClient *client;
  guint n_events = 0;

  if (qemu == NULL)
    return;

  /* Tree, raw, an error, an event. */
  client = session_new (qemu);
  g_signal_connect (client, "event::STOP", G_CALLBACK (on_event), &n_events);
  session_check_works (client);
  name = session_execute_raw (client, "{\"execute\": \"query-name\"}", &error);
  g_assert_no_error (error);
  stopped = session_execute (client, "stop", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_events, ==, 1);
  refused = session_execute (client, "qom-get", "{\"path\": \"/nowhere\", \"property\": \"type\"}", &error);
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_DEVICE_NOT_FOUND);
  g_clear_error (&error);
  session_disconnect (client, &error);
  g_assert_no_error (error);

  /* The server dies. */
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  qemu_freeze (qemu);
  session_begin (client, "query-status", NULL, NULL, &slot);
  session_wait_written (client);
  qemu_kill (qemu);
  interrupted = session_await (&slot, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_null (interrupted);
  g_clear_error (&error);
  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_clear_error (&error);

  /* And another takes its place. */
  other = qemu_new (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_STDIO, QEMU_FLAGS_NONE, NULL);
  if (other != NULL)
    {
      session_connect (client, other, &error);
      g_assert_no_error (error);
      quit = session_execute (client, "quit", NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpint (qemu_wait_exit (other), ==, 0);
    }
  session_end (client);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/smoke", test_smoke);

  return g_test_run ();
}
