/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "client-util.h"

#include <string.h>

/* An excerpt has 80 characters, and there may be one inside another's message. */
#define LONGEST_MESSAGE 400

void
test_check_message (const GError *error,
                    const char   *text,
                    const char   *file,
                    int           line,
                    const char   *function)
{
  g_autofree char *complaint = NULL;

  g_assert_true (g_utf8_validate (error->message, -1, NULL));

  if (strstr (error->message, text) == NULL)
    complaint = g_strdup_printf ("“%s” is not in: %s", text, error->message);
  else if (g_utf8_strlen (error->message, -1) > LONGEST_MESSAGE)
    complaint = g_strdup_printf ("more than %d characters: %s", LONGEST_MESSAGE, error->message);

  if (complaint != NULL)
    g_assertion_message (G_LOG_DOMAIN, file, line, function, complaint);
}

AqmpClient *
test_client_new (MockServer *mock)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  test_connect (client, mock, &error);
  g_assert_no_error (error);
  return client;
}

gboolean
test_connect (AqmpClient  *client,
              MockServer  *mock,
              GError     **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  return aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, error);
}

gboolean
test_disconnect (AqmpClient  *client,
                 GError     **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;

  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  return aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, error);
}

void
test_client_close (AqmpClient *client)
{
  g_autoptr (GError) error = NULL;
  gpointer watched = client;

  test_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);

  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_object_unref (client);
  g_assert_null (watched);
}

void
test_wait_failed (AqmpClient *client)
{
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_DISCONNECTING);
}

void
test_start (AqmpClient   *client,
            const char   *command,
            GCancellable *cancellable,
            TestSlot     *slot)
{
  aqmp_client_execute_async (client, command, NULL, AQMP_EXECUTE_FLAGS_NONE, cancellable, test_slot_callback, slot);
}

void
test_start_timeout (AqmpClient *client,
                    const char *command,
                    int         timeout_ms,
                    TestSlot   *slot)
{
  aqmp_client_execute_full_async (client, command, NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, timeout_ms, NULL,
                                  test_slot_callback, slot);
}

void
test_start_raw (AqmpClient   *client,
                const char   *message,
                GCancellable *cancellable,
                TestSlot     *slot)
{
  aqmp_client_execute_raw_async (client, message, NULL, cancellable, test_slot_callback, slot);
}

static char *
bytes_to_text (GBytes *bytes)
{
  gsize length;
  const char *data;

  if (bytes == NULL)
    return NULL;

  data = g_bytes_get_data (bytes, &length);
  g_assert_null (memchr (data, '\0', length));
  return g_strndup (data, length);
}

char *
test_finish (TestSlot  *slot,
             GError   **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GObject) source = g_async_result_get_source_object (result);
  g_autoptr (JsonNode) node = NULL;
  AqmpClient *client = AQMP_CLIENT (source);

  if (g_async_result_is_tagged (result, aqmp_client_execute_raw_async))
    {
      g_autoptr (GBytes) reply = aqmp_client_execute_raw_finish (client, result, error);

      return bytes_to_text (reply);
    }

  if (g_async_result_is_tagged (result, aqmp_client_execute_full_async))
    node = aqmp_client_execute_full_finish (client, result, error);
  else
    node = aqmp_client_execute_finish (client, result, error);

  return node != NULL ? json_to_string (node, FALSE) : NULL;
}

char *
test_execute (AqmpClient  *client,
              const char  *command,
              const char  *arguments,
              GError     **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (GError) local_error = NULL;

  if (arguments != NULL)
    {
      object = aqmp_arguments_parse (arguments, &local_error);
      g_assert_no_error (local_error);
    }

  aqmp_client_execute_async (client, command, object, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &slot);
  return test_finish (&slot, error);
}

char *
test_execute_raw (AqmpClient  *client,
                  const char  *message,
                  GError     **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  test_start_raw (client, message, NULL, &slot);
  return test_finish (&slot, error);
}

void
test_ping (AqmpClient *client,
           MockServer *mock)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'ping', 'arguments': {'b': 1}}");
  mock_return (mock, "{'pong': true}");
  result = test_execute (client, "ping", "{\"b\": 1}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"pong\":true}");
}

void
test_note_event (AqmpClient *client,
                 AqmpEvent  *event,
                 GString    *names)
{
  g_string_append_printf (names, "%s ", aqmp_event_get_name (event));
}

#if defined (__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER TRUE
#elif defined (__SANITIZE_THREAD__)
#define HAS_THREAD_SANITIZER TRUE
#elif defined (__has_feature)
#if __has_feature (address_sanitizer)
#define HAS_ADDRESS_SANITIZER TRUE
#elif __has_feature (thread_sanitizer)
#define HAS_THREAD_SANITIZER TRUE
#endif
#endif

#ifdef HAS_THREAD_SANITIZER
/* It does not see into the json-glib of the system, and so not that the threads which need this type first agree on who
   registers it. */
__attribute__ ((constructor)) static void
register_json_type (void)
{
  g_type_ensure (JSON_TYPE_GENERATOR);
}
#endif

/* It loads its own libraries this way. */
static gboolean
is_in_valgrind (void)
{
  const char *preloaded = g_getenv ("LD_PRELOAD");

  return preloaded != NULL && strstr (preloaded, "vgpreload") != NULL;
}

gboolean
test_is_instrumented (void)
{
#if defined (HAS_ADDRESS_SANITIZER) || defined (HAS_THREAD_SANITIZER)
  return TRUE;
#else
  return is_in_valgrind ();
#endif
}

guint
test_scale_down (guint n_times)
{
  return is_in_valgrind () ? MAX (n_times / 100, 1) : n_times;
}
