/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The guest agent: no greeting, no negotiation, one client at a time. */

#include "session.h"

#include <string.h>

static AqmpClient *
agent_client_new (void)
{
  return g_object_new (AQMP_TYPE_CLIENT, "await-greeting", FALSE, "negotiate", FALSE, NULL);
}

/* (nullable): a client with a session that runs. */
static AqmpClient *
agent_session_new (Qemu *qemu)
{
  AqmpClient *client = agent_client_new ();
  g_autoptr(GError) error = NULL;

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  return client;
}

static void
check_sync (AqmpClient *client,
            gint64      number)
{
  g_autofree char *arguments = g_strdup_printf ("{\"id\": %" G_GINT64_FORMAT "}", number);
  g_autoptr(JsonNode) node = NULL;
  g_autoptr(GError) error = NULL;

  node = session_execute (client, "guest-sync", arguments, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (node), ==, number);
}

static void
test_agent_session (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GString) states = NULL;
  g_autoptr(JsonNode) pong = NULL;
  g_autoptr(JsonNode) info = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = agent_client_new ();
  states = session_record (client);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_null (aqmp_client_get_greeting (client));
  g_assert_false (aqmp_client_get_oob_enabled (client));

  pong = session_execute (client, "guest-ping", NULL, &error);
  g_assert_no_error (error);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (pong));
  check_sync (client, 17);
  check_sync (client, 9007199254740993);
  info = session_execute (client, "guest-info", NULL, &error);
  g_assert_no_error (error);
  g_assert_true (json_object_has_member (json_node_get_object (info), "version"));

  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (states->str, ==, "connecting running disconnecting idle");
}

static void
test_agent_errors (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = agent_session_new (qemu);
  g_assert_null (session_execute (client, "guest-levitate", NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_COMMAND_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (session_execute (client, "guest-exec", "{\"path\": \"/bin/true\"}", &error));
  g_assert_true (error->domain == AQMP_EXEC_ERROR);
  g_assert_nonnull (strstr (error->message, "disabled"));
  g_clear_error (&error);
  check_sync (client, 1);
  session_end (g_steal_pointer (&client));
}

/* Many, and one after the other, on one agent. */
static void
test_agent_sessions (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = agent_client_new ();
  for (gsize i = 0; i < 10; i++)
    {
      TestSlot slots[10] = { TEST_SLOT_INIT };

      session_connect (client, qemu, &error);
      g_assert_no_error (error);
      for (gsize j = 0; j < G_N_ELEMENTS (slots); j++)
        session_begin (client, "guest-ping", NULL, NULL, &slots[j]);
      for (gsize j = 0; j < G_N_ELEMENTS (slots); j++)
        {
          g_autoptr(JsonNode) node = session_await (&slots[j], &error);

          g_assert_no_error (error);
          g_assert_nonnull (node);
        }
      session_disconnect (client, &error);
      g_assert_no_error (error);
    }
}

/* Its session runs at once, as there is no handshake; its commands wait for their turn. */
static void
test_agent_second_client (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) first = NULL;
  g_autoptr(AqmpClient) second = NULL;
  g_autoptr(JsonNode) pong = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  first = agent_session_new (qemu);
  check_sync (first, 1);
  second = agent_session_new (qemu);
  session_begin (second, "guest-ping", NULL, NULL, &slot);
  session_wait_written (second);
  check_sync (first, 2);
  g_assert_false (test_slot_is_done (&slot));

  session_end (g_steal_pointer (&first));
  pong = session_await (&slot, &error);
  g_assert_no_error (error);
  session_end (g_steal_pointer (&second));
}

/* What the agent cannot read it answers without an id. */
static void
test_agent_garbage (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GBytes) garbage = g_bytes_new_static ("{\"execute\": garbage}\n", strlen ("{\"execute\": garbage}\n"));
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = agent_session_new (qemu);
  check_sync (client, 1);
  g_assert_true (aqmp_protocol_send_message (AQMP_PROTOCOL (client), garbage, &error));
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
  session_disconnect (client, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE);
  g_clear_error (&error);

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  check_sync (client, 2);
  session_end (g_steal_pointer (&client));
}

/* Waiting for a greeting is a mistake, and shows as one. */
static void
test_agent_never_greets (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = aqmp_client_new (NULL);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 100);
  session_connect (client, qemu, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void
test_agent_killed (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_GUEST_AGENT, QEMU_TRANSPORT_PATH, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = agent_session_new (qemu);
  check_sync (client, 1);
  qemu_freeze (qemu);
  session_begin (client, "guest-ping", NULL, NULL, &slot);
  session_wait_written (client);
  qemu_kill (qemu);
  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  session_disconnect (client, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/agent/Q1/session", test_agent_session);
  g_test_add_func ("/qemu/agent/Q7/errors", test_agent_errors);
  g_test_add_func ("/qemu/agent/S1/many-sessions", test_agent_sessions);
  g_test_add_func ("/qemu/agent/Q2/second-client-waits", test_agent_second_client);
  g_test_add_func ("/qemu/agent/Q2/never-greets", test_agent_never_greets);
  g_test_add_func ("/qemu/agent/Q4/garbage", test_agent_garbage);
  g_test_add_func ("/qemu/agent/S5/killed", test_agent_killed);

  return g_test_run ();
}
