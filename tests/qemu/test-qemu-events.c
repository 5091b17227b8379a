/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Events of real servers. */

#include "session.h"

#include <string.h>

static void
on_event (AqmpProtocol *client,
          AqmpEvent    *event,
          gpointer      user_data)
{
  g_assert_cmpint (aqmp_protocol_get_runstate (client), ==, AQMP_RUNSTATE_RUNNING);
  g_ptr_array_add (user_data, g_object_ref (event));
}

/* (transfer full) (element-type AqmpEvent): those of @signal, as they come. */
static GPtrArray *
record (AqmpClient *client,
        const char *signal)
{
  GPtrArray *events = g_ptr_array_new_with_free_func (g_object_unref);

  g_signal_connect (client, signal, G_CALLBACK (on_event), events);
  return events;
}

/* (transfer full) */
static char *
get_names (GPtrArray *events)
{
  GString *names = g_string_new (NULL);

  for (gsize i = 0; i < events->len; i++)
    g_string_append_printf (names, "%s%s", i > 0 ? " " : "", aqmp_event_get_name (events->pdata[i]));

  return g_string_free (names, FALSE);
}

#define assert_names(events, expected) \
  G_STMT_START { \
    g_autofree char *names_ = get_names (events); \
    g_assert_cmpstr (names_, ==, expected); \
  } G_STMT_END

/* ---- Q15 --------------------------------------------------------------------------------------------------------- */

static void
test_detailed (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) stops = NULL;
  g_autoptr(GPtrArray) resumes = NULL;
  g_autoptr(GPtrArray) all = NULL;
  g_autoptr(GPtrArray) others = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  stops = record (client, "event::STOP");
  resumes = record (client, "event::RESUME");
  all = record (client, "event");
  others = record (client, "event::LEVITATE");

  session_do (client, "cont", NULL);
  assert_names (resumes, "RESUME");
  assert_names (stops, "");
  session_do (client, "stop", NULL);
  assert_names (resumes, "RESUME");
  assert_names (stops, "STOP");
  assert_names (all, "RESUME STOP");
  assert_names (others, "");

  session_end (g_steal_pointer (&client));
}

/* What nobody listens to is gone, and nobody misses it. */
static void
test_unheard (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) stops = NULL;
  g_autoptr(GPtrArray) all = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  for (gsize i = 0; i < 3; i++)
    {
      session_do (client, "cont", NULL);
      session_do (client, "stop", NULL);
    }

  /* Another is heard. */
  stops = record (client, "event::STOP");
  session_do (client, "cont", NULL);
  assert_names (stops, "");
  session_do (client, "stop", NULL);
  assert_names (stops, "STOP");

  /* None any more. */
  g_signal_handlers_disconnect_by_data (client, stops);
  session_do (client, "cont", NULL);
  session_do (client, "stop", NULL);
  assert_names (stops, "STOP");

  /* And nothing was kept for whoever comes later. */
  all = record (client, "event");
  session_check_works (client);
  assert_names (all, "");
  session_end (g_steal_pointer (&client));
}

static void
test_handlers_outlive_sessions (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GPtrArray) resumes = record (client, "event::RESUME");
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  for (gsize i = 0; i < 2; i++)
    {
      session_connect (client, qemu, &error);
      g_assert_no_error (error);
      session_do (client, "cont", NULL);
      session_do (client, "stop", NULL);
      session_disconnect (client, &error);
      g_assert_no_error (error);
    }
  assert_names (resumes, "RESUME RESUME");
}

static void
test_accessors (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) all = NULL;
  g_autoptr(GBytes) bytes = NULL;
  g_autofree char *text = NULL;
  g_autofree char *timestamp = NULL;
  JsonObject *data;
  gint64 before = g_get_real_time ();
  gint64 time;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  all = record (client, "event");
  session_do (client, "cont", NULL);
  session_do (client, "system_reset", NULL);
  test_wait_until (all->len >= 2);
  assert_names (all, "RESUME RESET");

  /* An event without data, and one with. */
  time = aqmp_event_get_timestamp (all->pdata[0]);
  g_assert_cmpint (time, >=, before);
  g_assert_cmpint (time, <=, g_get_real_time ());
  g_assert_null (aqmp_event_get_data (all->pdata[0]));
  data = aqmp_event_get_data (all->pdata[1]);
  g_assert_nonnull (data);
  g_assert_false (json_object_get_boolean_member (data, "guest"));
  g_assert_cmpstr (json_object_get_string_member (data, "reason"), ==, "host-qmp-system-reset");

  bytes = aqmp_event_to_bytes (all->pdata[0]);
  text = g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  g_assert_nonnull (strstr (text, "\"event\": \"RESUME\""));
  timestamp = g_strdup_printf ("{\"seconds\": %" G_GINT64_FORMAT ", \"microseconds\": %" G_GINT64_FORMAT "}",
                               time / G_USEC_PER_SEC, time % G_USEC_PER_SEC);
  g_assert_nonnull (strstr (text, timestamp));

  session_end (g_steal_pointer (&client));
}

/* What QEMU says of its own end comes before the reply to the command that ends it. */
static void
test_shutdown (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) events = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  events = record (client, "event::SHUTDOWN");
  session_do (client, "quit", NULL);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
  assert_names (events, "SHUTDOWN");
  g_assert_cmpstr (json_object_get_string_member (aqmp_event_get_data (events->pdata[0]), "reason"), ==, "host-qmp-quit");
  session_end (g_steal_pointer (&client));
}

static void
test_pretty (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_PRETTY, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) all = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  all = record (client, "event");
  session_do (client, "cont", NULL);
  session_do (client, "system_powerdown", NULL);
  session_do (client, "stop", NULL);
  assert_names (all, "RESUME POWERDOWN STOP");
  session_end (g_steal_pointer (&client));
}

/* A real job, with all its states. */
static void
test_job (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_STORAGE_DAEMON, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) changes = NULL;
  g_autoptr(GString) states = g_string_new (NULL);
  g_autofree char *arguments = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  changes = record (client, "event::JOB_STATUS_CHANGE");
  arguments = g_strdup_printf ("{\"job-id\": \"create\", \"options\": "
                               "{\"driver\": \"file\", \"filename\": \"%s/disk.img\", \"size\": 1048576}}",
                               qemu_get_directory (qemu));
  session_do (client, "blockdev-create", arguments);
  test_wait_until (changes->len >= 5);
  session_do (client, "job-dismiss", "{\"id\": \"create\"}");
  test_wait_until (changes->len >= 6);

  for (gsize i = 0; i < changes->len; i++)
    {
      JsonObject *data = aqmp_event_get_data (changes->pdata[i]);

      g_assert_cmpstr (json_object_get_string_member (data, "id"), ==, "create");
      g_string_append_printf (states, "%s ", json_object_get_string_member (data, "status"));
    }
  g_assert_cmpstr (states->str, ==, "created running waiting pending concluded null ");
  session_end (g_steal_pointer (&client));
}

/* ---- T4 ---------------------------------------------------------------------------------------------------------- */

static void
on_stop_execute (AqmpProtocol *client,
                 AqmpEvent    *event,
                 gpointer      user_data)
{
  session_begin (AQMP_CLIENT (client), "cont", NULL, NULL, user_data);
}

static void
test_handler_executes (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GPtrArray) all = NULL;
  g_autoptr(JsonNode) continued = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  session_do (client, "cont", NULL);
  all = record (client, "event");
  g_signal_connect (client, "event::STOP", G_CALLBACK (on_stop_execute), &slot);
  session_do (client, "stop", NULL);
  continued = session_await (&slot, &error);
  g_assert_no_error (error);
  assert_names (all, "STOP RESUME");
  session_end (g_steal_pointer (&client));
}

static void
on_stop_disconnect (AqmpProtocol *client,
                    AqmpEvent    *event,
                    gpointer      user_data)
{
  aqmp_protocol_disconnect_async (client, NULL, test_slot_callback, user_data);
}

/* The reply to the command comes after the event, when nobody reads any more; unless it was there already. */
static void
test_handler_disconnects (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(JsonNode) stopped = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) disconnected = TEST_SLOT_INIT;
  g_auto(TestSlot) stop = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  session_do (client, "cont", NULL);
  g_signal_connect (client, "event::STOP", G_CALLBACK (on_stop_disconnect), &disconnected);
  session_begin (client, "stop", NULL, NULL, &stop);
  result = test_await (&disconnected);
  g_assert_true (aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error));
  g_assert_no_error (error);

  stopped = session_await (&stop, &error);
  if (stopped == NULL)
    g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q15/detailed", test_detailed);
  g_test_add_func ("/qemu/Q15/unheard", test_unheard);
  g_test_add_func ("/qemu/Q15/handlers-outlive-sessions", test_handlers_outlive_sessions);
  g_test_add_func ("/qemu/Q15/accessors", test_accessors);
  g_test_add_func ("/qemu/Q15/shutdown", test_shutdown);
  g_test_add_func ("/qemu/Q15/pretty", test_pretty);
  g_test_add_func ("/qemu/Q15/job", test_job);
  g_test_add_func ("/qemu/T4/handler-executes", test_handler_executes);
  g_test_add_func ("/qemu/T4/handler-disconnects", test_handler_disconnects);

  return g_test_run ();
}
