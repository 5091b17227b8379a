/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Listeners, and waits for events, with real servers. */

#include "session.h"

/* (transfer full): the next one, with the loop. */
static AqmpEvent *
await_next (AqmpEventListener *listener)
{
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  AqmpEvent *event;

  aqmp_event_listener_next_async (listener, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  event = aqmp_event_listener_next_finish (listener, result, &error);
  g_assert_no_error (error);
  return event;
}

#define assert_next(listener, expected) \
  G_STMT_START { \
    g_autoptr(AqmpEvent) next_ = await_next (listener); \
    g_assert_cmpstr (aqmp_event_get_name (next_), ==, expected); \
  } G_STMT_END

static AqmpClient *
connect_sync (Qemu *qemu)
{
  AqmpClient *client = aqmp_client_new ("test");
  g_autoptr(GError) error = NULL;

  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), qemu_get_connectable (qemu), NULL, &error);
  g_assert_no_error (error);
  return client;
}

static void
close_sync (AqmpClient *client)
{
  g_autoptr(GError) error = NULL;

  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
  g_object_unref (client);
}

/* ---- Q16 --------------------------------------------------------------------------------------------------------- */

static void
test_listen (void)
{
  static const char * const names[] = { "STOP", "RESUME", "RESET", "POWERDOWN", NULL };
  static const char * const stop_names[] = { "STOP", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(AqmpEventListener) listener = NULL;
  g_autoptr(AqmpEventListener) stops = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  listener = aqmp_client_listen (client, names, NULL, NULL, NULL);
  stops = aqmp_client_listen (client, stop_names, NULL, NULL, NULL);
  session_do (client, "cont", NULL);
  session_do (client, "system_powerdown", NULL);
  session_do (client, "stop", NULL);
  session_do (client, "cont", NULL);
  assert_next (listener, "RESUME");
  assert_next (listener, "POWERDOWN");
  assert_next (listener, "STOP");
  assert_next (listener, "RESUME");
  session_do (client, "system_reset", NULL);
  assert_next (listener, "RESET");
  assert_next (stops, "STOP");
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (stops), ==, 0);
  session_end (g_steal_pointer (&client));
}

/* What QEMU says of its end comes before the reply to the command that ends it, and can still be taken when it is gone. */
static void
test_shutdown (void)
{
  static const char * const names[] = { "SHUTDOWN", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(AqmpEventListener) listener = NULL;
  g_autoptr(AqmpEvent) event = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  listener = aqmp_client_listen (client, names, NULL, NULL, NULL);
  session_do (client, "quit", NULL);
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 1);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
  event = await_next (listener);
  g_assert_cmpstr (json_object_get_string_member (aqmp_event_get_data (event), "reason"), ==, "host-qmp-quit");
  g_assert_null (aqmp_event_listener_next_sync (listener, NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  session_end (g_steal_pointer (&client));
}

static void
test_several_sessions (void)
{
  static const char * const names[] = { "RESUME", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(AqmpEventListener) listener = aqmp_client_listen (client, names, NULL, NULL, NULL);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  for (gsize i = 0; i < 3; i++)
    {
      session_connect (client, qemu, &error);
      g_assert_no_error (error);
      session_do (client, "cont", NULL);
      session_do (client, "stop", NULL);
      session_disconnect (client, &error);
      g_assert_no_error (error);
    }
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 3);
}

/* ---- T3: without a loop ------------------------------------------------------------------------------------------ */

static void
test_next_sync (void)
{
  static const char * const names[] = { "STOP", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpEventListener) listener = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = connect_sync (qemu);
  listener = aqmp_client_listen (client, names, NULL, NULL, NULL);
  for (gsize i = 0; i < 10; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(AqmpEvent) event = NULL;

      session_do_sync (client, "cont");
      session_do_sync (client, "stop");
      event = aqmp_event_listener_next_sync (listener, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (aqmp_event_get_name (event), ==, "STOP");
    }
  close_sync (client);
}

/* Of a command that was begun, but not sent yet. */
static void
test_wait_event_sync (void)
{
  static const char * const names[] = { "RESET", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(JsonObject) by_host = aqmp_arguments_parse ("{\"guest\": false}", NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(AqmpEvent) event = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr(JsonNode) node = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = connect_sync (qemu);
  session_begin (client, "system_reset", NULL, NULL, &slot);
  event = aqmp_client_wait_event_sync (client, names, by_host, 0, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (json_object_get_string_member (aqmp_event_get_data (event), "reason"), ==, "host-qmp-system-reset");
  node = session_await (&slot, &error);
  g_assert_no_error (error);

  /* Nothing comes by itself. */
  g_clear_object (&event);
  event = aqmp_client_wait_event_sync (client, NULL, NULL, 50, NULL, &error);
  g_assert_null (event);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  session_do_sync (client, "query-status");
  close_sync (client);
}

/* ---- a command and its event ------------------------------------------------------------------------------------- */

static const char * const deleted[] = { "DEVICE_DELETED", NULL };
static const char * const failed[] = { "DEVICE_UNPLUG_GUEST_ERROR", NULL };

static Qemu *
new_with_usb (void)
{
  static const char * const arguments[] = {
    "-device", "qemu-xhci,id=xhci", "-device", "usb-tablet,bus=xhci.0,id=tablet", "-device", "usb-mouse,bus=xhci.0,id=mouse", NULL
  };

  return qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, arguments);
}

static JsonObject *
device_object (const char *member,
               const char *id)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, member, id);
  return object;
}

/* USB needs nobody in the guest to agree. */
static void
test_device_del (void)
{
  g_autoptr(Qemu) qemu = new_with_usb ();
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(JsonObject) arguments = device_object ("id", "tablet");
  g_autoptr(JsonObject) data = device_object ("device", "tablet");
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(AqmpEvent) event = NULL;
  g_autoptr(JsonNode) reply = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  aqmp_client_execute_and_wait_async (client, "device_del", arguments, deleted, failed, data, 0, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  event = aqmp_client_execute_and_wait_finish (client, result, &reply, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, "DEVICE_DELETED");
  g_assert_cmpstr (json_object_get_string_member (aqmp_event_get_data (event), "device"), ==, "tablet");
  g_assert_cmpuint (json_object_get_size (json_node_get_object (reply)), ==, 0);
  session_end (g_steal_pointer (&client));
}

static void
test_device_del_sync (void)
{
  static const char * const ids[] = { "tablet", "mouse" };
  g_autoptr(Qemu) qemu = new_with_usb ();
  g_autoptr(JsonObject) gone = device_object ("id", "tablet");
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = connect_sync (qemu);
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      g_autoptr(JsonObject) arguments = device_object ("id", ids[i]);
      g_autoptr(JsonObject) data = device_object ("device", ids[i]);
      g_autoptr(AqmpEvent) event = NULL;

      event = aqmp_client_execute_and_wait_sync (client, "device_del", arguments, deleted, failed, data, 0, NULL, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (json_object_get_string_member (aqmp_event_get_data (event), "device"), ==, ids[i]);
    }

  /* It is no more, so the command fails, and nothing is waited for. */
  g_assert_null (aqmp_client_execute_and_wait_sync (client, "device_del", gone, deleted, failed, NULL, 0, NULL, NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_DEVICE_NOT_FOUND);
  session_do_sync (client, "query-status");
  close_sync (client);
}

/* A hot-plugged one, again and again. */
static void
test_plug_and_unplug (void)
{
  g_autoptr(Qemu) qemu = new_with_usb ();
  g_autoptr(JsonObject) arguments = device_object ("id", "hot");
  g_autoptr(JsonObject) data = device_object ("device", "hot");
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  for (gsize i = 0; i < 10; i++)
    {
      g_autoptr(GError) error = NULL;
      g_autoptr(AqmpEvent) event = NULL;

      session_do (client, "device_add", "{\"driver\": \"usb-kbd\", \"bus\": \"xhci.0\", \"id\": \"hot\"}");
      event = aqmp_client_execute_and_wait_sync (client, "device_del", arguments, deleted, failed, data, 0, NULL, NULL, &error);
      g_assert_no_error (error);
    }
  session_end (client);
}

/* PCI needs the guest, which does not run: the command is answered, and no event comes. */
static void
test_device_del_without_guest (void)
{
  static const char * const extra[] = {
    "-device", "pcie-root-port,id=root", "-device", "virtio-rng-pci,bus=root,id=rng", NULL
  };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, extra);
  g_autoptr(JsonObject) arguments = device_object ("id", "rng");
  g_autoptr(JsonObject) data = device_object ("device", "rng");
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = connect_sync (qemu);
  g_assert_null (aqmp_client_execute_and_wait_sync (client, "device_del", arguments, deleted, failed, data, 200, NULL, NULL,
                                                    &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  session_do_sync (client, "query-status");
  close_sync (client);
}

static void
test_quit (void)
{
  static const char * const names[] = { "SHUTDOWN", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpEvent) event = NULL;
  g_autoptr(JsonNode) reply = NULL;
  g_autoptr(GError) error = NULL;
  AqmpClient *client;

  if (qemu == NULL)
    return;

  client = connect_sync (qemu);
  event = aqmp_client_execute_and_wait_sync (client, "quit", NULL, names, NULL, NULL, 0, NULL, &reply, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, "SHUTDOWN");
  g_assert_nonnull (reply);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
  close_sync (client);
}

/* It crashes while somebody waits. */
static void
test_crash (void)
{
  static const char * const names[] = { "STOP", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  aqmp_client_wait_event_async (client, names, NULL, 0, NULL, test_slot_callback, &slot);
  session_check_works (client);
  g_assert_false (test_slot_is_done (&slot));
  qemu_kill (qemu);
  result = test_await (&slot);
  g_assert_null (aqmp_client_wait_event_finish (client, result, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  session_disconnect (client, NULL);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q16/listen", test_listen);
  g_test_add_func ("/qemu/Q16/shutdown", test_shutdown);
  g_test_add_func ("/qemu/Q16/several-sessions", test_several_sessions);
  g_test_add_func ("/qemu/T3/next-sync", test_next_sync);
  g_test_add_func ("/qemu/T3/wait-event-sync", test_wait_event_sync);
  g_test_add_func ("/qemu/Q16/device-del", test_device_del);
  g_test_add_func ("/qemu/Q16/device-del-sync", test_device_del_sync);
  g_test_add_func ("/qemu/Q16/plug-and-unplug", test_plug_and_unplug);
  g_test_add_func ("/qemu/Q16/device-del-without-guest", test_device_del_without_guest);
  g_test_add_func ("/qemu/Q16/quit", test_quit);
  g_test_add_func ("/qemu/Q16/crash", test_crash);

  return g_test_run ();
}
