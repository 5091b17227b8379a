/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Commands: what a real QEMU answers, and what becomes of those that are given up. */

#include "session.h"

#include <string.h>

#define N_CALLS 200
#define MIN_SCHEMA_SIZE 200000

/* "query-name" of this one has a character that C strings cannot have: it is what QEMU takes these two bytes for. */
static const char * const odd_name[] = { "-name", "odd\xc0\x80name", NULL };

static JsonNode *
execute_well (AqmpClient *client,
              const char *command,
              const char *arguments)
{
  g_autoptr(GError) error = NULL;
  JsonNode *node = session_execute (client, command, arguments, &error);

  g_assert_no_error (error);
  return node;
}

static char *
execute_raw_well (AqmpClient *client,
                  const char *message)
{
  g_autoptr(GError) error = NULL;
  char *reply = session_execute_raw (client, message, &error);

  g_assert_no_error (error);
  return reply;
}

/* ---- Q7 ---------------------------------------------------------------------------------------------------------- */

static void
check_server_error (const char *command,
                    const char *arguments,
                    int         code,
                    const char *class_name,
                    const char *desc)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GBytes) reply = NULL;
  g_autoptr(JsonParser) parser = json_parser_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(GError) copy = NULL;
  JsonObject *object;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  g_assert_null (session_execute (client, command, arguments, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, code);
  g_assert_cmpstr (error->message, ==, desc);
  g_assert_cmpstr (aqmp_exec_error_get_class (error), ==, class_name);

  /* A copy has it too. */
  copy = g_error_copy (error);
  g_assert_cmpstr (aqmp_exec_error_get_class (copy), ==, class_name);
  reply = aqmp_exec_error_get_reply (copy);
  g_assert_nonnull (reply);
  g_assert_true (json_parser_load_from_data (parser, g_bytes_get_data (reply, NULL), (gssize) g_bytes_get_size (reply),
                                             NULL));
  object = json_object_get_object_member (json_node_get_object (json_parser_get_root (parser)), "error");
  g_assert_cmpstr (json_object_get_string_member (object, "class"), ==, class_name);
  g_assert_cmpstr (json_object_get_string_member (object, "desc"), ==, desc);

  /* That was the command's failure, not the session's. */
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_command_not_found (void)
{
  check_server_error ("levitate", NULL, AQMP_EXEC_ERROR_COMMAND_NOT_FOUND, "CommandNotFound",
                      "The command levitate has not been found");
}

static void
test_generic_error (void)
{
  check_server_error ("qom-list", NULL, AQMP_EXEC_ERROR_GENERIC_ERROR, "GenericError", "Parameter 'path' is missing");
}

static void
test_device_not_found (void)
{
  check_server_error ("device_del", "{\"id\": \"nothing\"}", AQMP_EXEC_ERROR_DEVICE_NOT_FOUND, "DeviceNotFound",
                      "Device 'nothing' not found");
}

static void
test_device_not_active (void)
{
  check_server_error ("balloon", "{\"value\": 1048576}", AQMP_EXEC_ERROR_DEVICE_NOT_ACTIVE, "DeviceNotActive",
                      "No balloon device has been activated");
}

static void
test_error_is_raw_result (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autofree char *reply = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  reply = execute_raw_well (client, "{\"execute\": \"levitate\", \"id\": \"mine\"}");
  g_assert_cmpstr (reply, ==,
                   "{\"id\": \"mine\", \"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                   "\"The command levitate has not been found\"}}");
  session_end (g_steal_pointer (&client));
}

/* ---- Q5 ---------------------------------------------------------------------------------------------------------- */

/* QEMU writes strings and numbers in its own way when it sends an id back. */
static void
test_own_ids (void)
{
  static const char * const ids[] = {
    "\"plain\"", "\"\\u00e4\\/\\\"\"", "\"ä €\"", "\"a\\u0000b\"", "\"\\ud83d\\ude00\"", "\"\"", "0", "-0", "-17",
    "9223372036854775807", "18446744073709551615",
  };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      g_autofree char *message = g_strdup_printf ("{\"execute\": \"query-name\", \"id\": %s}", ids[i]);
      g_autofree char *reply = execute_raw_well (client, message);

      g_assert_nonnull (strstr (reply, "\"return\": {}"));
    }
  session_end (g_steal_pointer (&client));
}

/* ---- Q8 ---------------------------------------------------------------------------------------------------------- */

#define RINGBUF(name) \
  "{\"id\": \"" name "\", \"backend\": {\"type\": \"ringbuf\", \"data\": {}}}"

static gboolean
has_chardev (AqmpClient *client,
             const char *label)
{
  g_autofree char *reply = execute_raw_well (client, "{\"execute\": \"query-chardev\"}");
  g_autofree char *text = g_strdup_printf ("\"label\": \"%s\"", label);

  return strstr (reply, text) != NULL;
}

static void
test_cancelled_in_flight (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) name = NULL;
  g_auto(TestSlot) cancelled = TEST_SLOT_INIT;
  g_auto(TestSlot) other = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_begin (client, "chardev-add", RINGBUF ("cancelled"), cancellable, &cancelled);
  session_begin (client, "query-name", NULL, NULL, &other);
  session_wait_written (client);
  g_cancellable_cancel (cancellable);
  g_assert_null (session_await (&cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (test_slot_is_done (&other));

  /* The reply comes all the same, and is nobody's; it was executed, as it had been written. */
  qemu_thaw (qemu);
  name = session_await (&other, &error);
  g_assert_no_error (error);
  g_assert_true (has_chardev (client, "cancelled"));
  session_check_works (client);
  g_assert_cmpuint (cancelled.n_calls, ==, 1);
  session_end (g_steal_pointer (&client));
}

/* The error of a command that nobody waits for any more. */
static void
test_cancelled_and_refused (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_begin (client, "levitate", NULL, cancellable, &slot);
  session_wait_written (client);
  g_cancellable_cancel (cancellable);
  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  qemu_thaw (qemu);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_cancelled_before_written (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) added = NULL;
  g_auto(TestSlot) before = TEST_SLOT_INIT;
  g_auto(TestSlot) cancelled = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  session_stuff (client);
  session_begin (client, "chardev-add", RINGBUF ("before"), NULL, &before);
  session_begin (client, "chardev-add", RINGBUF ("cancelled"), cancellable, &cancelled);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (client)), >, 0);
  g_cancellable_cancel (cancellable);
  g_assert_null (session_await (&cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  /* It was never sent. */
  qemu_thaw (qemu);
  added = session_await (&before, &error);
  g_assert_no_error (error);
  g_assert_true (has_chardev (client, "before"));
  g_assert_false (has_chardev (client, "cancelled"));
  session_end (g_steal_pointer (&client));
}

static void
test_timed_out (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  qemu_freeze (qemu);
  aqmp_client_set_call_timeout (client, 50);
  g_assert_null (session_execute (client, "chardev-add", RINGBUF ("late"), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);

  qemu_thaw (qemu);
  aqmp_client_set_call_timeout (client, 0);
  g_assert_true (has_chardev (client, "late"));
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

/* A command that QEMU itself takes for ever to answer. */
static void
test_timed_out_while_hanging (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_QUIET, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GObject) hang = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  aqmp_client_set_call_timeout (client, 300);
  hang = session_begin_hang (client, qemu, &slot);
  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);

  aqmp_client_set_call_timeout (client, 0);
  g_io_stream_close (G_IO_STREAM (hang), NULL, NULL);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

/* ---- Q9 ---------------------------------------------------------------------------------------------------------- */

/* Each gets its own reply. */
static void
test_many_at_once (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autofree TestSlot *slots = g_new0 (TestSlot, N_CALLS);

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  for (guint i = 0; i < N_CALLS; i++)
    {
      g_autofree char *arguments = g_strdup_printf ("{\"command-line\": \"help no%u\"}", i);

      session_begin (client, "human-monitor-command", arguments, NULL, &slots[i]);
    }

  for (guint i = 0; i < N_CALLS; i++)
    {
      g_autofree char *expected = g_strdup_printf ("unknown command: 'no%u'\r\n", i);
      g_autoptr(GError) error = NULL;
      g_autoptr(JsonNode) node = session_await (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_cmpstr (json_node_get_string (node), ==, expected);
    }
  session_end (g_steal_pointer (&client));
}

/* ---- Q4 ---------------------------------------------------------------------------------------------------------- */

/* A subclass can send what it likes. */
static void
test_garbage (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GBytes) garbage = g_bytes_new_static ("{\"execute\": garbage}", strlen ("{\"execute\": garbage}"));
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  /* Frozen, so that the reply to the command is not there before the session ends. */
  qemu_freeze (qemu);
  g_assert_true (aqmp_protocol_send_message (AQMP_PROTOCOL (client), garbage, &error));
  session_wait_written (client);
  session_begin (client, "query-name", NULL, NULL, &slot);
  qemu_thaw (qemu);

  g_assert_null (session_await (&slot, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_assert_nonnull (strstr (error->message, "'garbage'"));
  g_clear_error (&error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_DISCONNECTING);
  g_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), AQMP_ERROR, AQMP_ERROR_SERVER_PARSE);
  session_disconnect (client, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE);
  /* In QEMU's words. */
  g_assert_nonnull (strstr (error->message, "JSON parse error, invalid keyword 'garbage'"));
  g_clear_error (&error);

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

/* ---- M3 ---------------------------------------------------------------------------------------------------------- */

static void
check_pretty (QemuKind kind)
{
  g_autoptr(Qemu) qemu = qemu_new (kind, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_PRETTY, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(JsonNode) schema = NULL;
  g_autofree char *reply = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  session_check_works (client);
  schema = execute_well (client, "query-qmp-schema", NULL);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (schema)), >, 100);
  reply = execute_raw_well (client, "{\"execute\": \"query-version\", \"id\": 1}");
  g_assert_nonnull (strchr (reply, '\n'));
  g_assert_true (g_str_has_prefix (reply, "{"));
  g_assert_true (g_str_has_suffix (reply, "}"));
  g_assert_null (session_execute (client, "levitate", NULL, NULL));
  session_end (g_steal_pointer (&client));
}

static void
test_pretty (void)
{
  check_pretty (QEMU_SYSTEM_NONE);
}

static void
test_pretty_storage_daemon (void)
{
  check_pretty (QEMU_STORAGE_DAEMON);
}

/* ---- M4, M5 ------------------------------------------------------------------------------------------------------ */

static void
test_large_reply (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(JsonNode) schema = NULL;
  g_autofree char *reply = NULL;
  JsonArray *array;
  guint n_commands = 0;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  reply = execute_raw_well (client, "{\"execute\": \"query-qmp-schema\"}");
  g_assert_cmpuint (strlen (reply), >, MIN_SCHEMA_SIZE);

  schema = execute_well (client, "query-qmp-schema", NULL);
  array = json_node_get_array (schema);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonObject *entity = json_array_get_object_element (array, i);

      if (g_str_equal (json_object_get_string_member (entity, "meta-type"), "command"))
        n_commands++;
    }
  g_assert_cmpuint (n_commands, >, 100);
  session_end (g_steal_pointer (&client));
}

/* The same reply is too much for a client that allows less; only that session suffers. */
static void
test_too_large_reply (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = aqmp_client_new (NULL);
  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), 100000);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_null (session_execute (client, "query-qmp-schema", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  session_disconnect (client, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE);
  g_clear_error (&error);

  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_nul_in_string (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, odd_name);
  g_autoptr(AqmpClient) client = NULL;
  g_autofree char *name = NULL;
  g_autofree char *monitor = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  /* No JsonNode can hold it; whoever takes the text gets it as it was sent. */
  client = session_new (qemu);
  g_assert_null (session_execute (client, "human-monitor-command", "{\"command-line\": \"info name\"}", &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);
  g_clear_error (&error);
  monitor = execute_raw_well (client, "{\"execute\": \"human-monitor-command\", "
                                      "\"arguments\": {\"command-line\": \"info name\"}, \"id\": 1}");
  g_assert_cmpstr (monitor, ==, "{\"return\": \"odd\\u0000name\\r\\n\", \"id\": 1}");

  g_assert_null (session_execute (client, "query-name", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY);
  g_clear_error (&error);
  name = execute_raw_well (client, "{\"execute\": \"query-name\", \"id\": 2}");
  g_assert_cmpstr (name, ==, "{\"return\": {\"name\": \"odd\\u0000name\"}, \"id\": 2}");

  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_odd_strings (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(JsonNode) escaped = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  escaped = execute_well (client, "human-monitor-command",
                          "{\"command-line\": \"no\\u0001\\u007f\\u00e4\\u20ac\\ud83d\\ude00\\\"such\"}");
  g_assert_cmpstr (json_node_get_string (escaped), ==,
                   "unknown command: 'no\x01\x7f" "ä€😀\"such'\r\n");
  session_end (g_steal_pointer (&client));
}

/* Integers as QEMU has them, to the last digit. */
static void
test_integers (void)
{
  static const char * const extra[] = { "-object", "memory-backend-ram,id=mem,size=4096", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, extra);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(JsonNode) size = NULL;
  g_autoptr(JsonNode) text = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  size = execute_well (client, "qom-get", "{\"path\": \"/objects/mem\", \"property\": \"size\"}");
  g_assert_cmpint (json_node_get_value_type (size), ==, G_TYPE_INT64);
  g_assert_cmpint (json_node_get_int (size), ==, 4096);
  text = execute_well (client, "human-monitor-command", "{\"command-line\": \"print 9007199254740993\"}");
  g_assert_cmpint (json_node_get_value_type (text), ==, G_TYPE_STRING);
  session_end (g_steal_pointer (&client));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q7/command-not-found", test_command_not_found);
  g_test_add_func ("/qemu/Q7/generic-error", test_generic_error);
  g_test_add_func ("/qemu/Q7/device-not-found", test_device_not_found);
  g_test_add_func ("/qemu/Q7/device-not-active", test_device_not_active);
  g_test_add_func ("/qemu/Q7/error-is-raw-result", test_error_is_raw_result);
  g_test_add_func ("/qemu/Q5/own-ids", test_own_ids);
  g_test_add_func ("/qemu/Q8/cancelled-in-flight", test_cancelled_in_flight);
  g_test_add_func ("/qemu/Q8/cancelled-and-refused", test_cancelled_and_refused);
  g_test_add_func ("/qemu/Q8/cancelled-before-written", test_cancelled_before_written);
  g_test_add_func ("/qemu/Q8/timed-out", test_timed_out);
  g_test_add_func ("/qemu/Q8/timed-out-while-hanging", test_timed_out_while_hanging);
  g_test_add_func ("/qemu/Q9/many-at-once", test_many_at_once);
  g_test_add_func ("/qemu/Q4/garbage", test_garbage);
  g_test_add_func ("/qemu/M3/pretty", test_pretty);
  g_test_add_func ("/qemu/M3/pretty-storage-daemon", test_pretty_storage_daemon);
  g_test_add_func ("/qemu/M4/large-reply", test_large_reply);
  g_test_add_func ("/qemu/M4/too-large-reply", test_too_large_reply);
  g_test_add_func ("/qemu/M5/nul-in-string", test_nul_in_string);
  g_test_add_func ("/qemu/M5/odd-strings", test_odd_strings);
  g_test_add_func ("/qemu/M5/integers", test_integers);

  return g_test_run ();
}
