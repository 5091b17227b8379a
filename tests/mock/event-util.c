/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "event-util.h"

AqmpClient *
event_connect (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

void
event_send_at_once (MockServer *mock,
                    const char *names)
{
  g_auto (GStrv) list = g_strsplit (names, " ", -1);
  g_autoptr (GString) text = g_string_new (NULL);
  guint i;

  for (i = 0; list[i] != NULL; i++)
    g_string_append_printf (text, "{\"event\": \"%s\"}\r\n", list[i]);
  mock_send (mock, text->str);
}

AqmpEventListener *
event_listen (AqmpClient *client,
              const char *names)
{
  g_auto (GStrv) list = names != NULL ? g_strsplit (names, " ", -1) : NULL;

  return aqmp_client_listen (client, (const char * const *) list, NULL, NULL, NULL);
}

char *
event_take (AqmpEventListener *listener)
{
  GString *names = g_string_new (NULL);

  while (aqmp_event_listener_get_n_pending (listener) > 0)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AqmpEvent) event = aqmp_event_listener_next_sync (listener, NULL, &error);

      g_assert_no_error (error);
      g_string_append_printf (names, "%s ", aqmp_event_get_name (event));
    }

  return g_string_free (names, FALSE);
}

void
event_start_next (AqmpEventListener *listener,
                  GCancellable      *cancellable,
                  TestSlot          *slot)
{
  aqmp_event_listener_next_async (listener, cancellable, test_slot_callback, slot);
}

AqmpEvent *
event_finish (TestSlot  *slot,
              GError   **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);
  g_autoptr (GObject) source = g_async_result_get_source_object (result);

  if (g_async_result_is_tagged (result, aqmp_client_wait_event_async))
    return aqmp_client_wait_event_finish (AQMP_CLIENT (source), result, error);
  if (g_async_result_is_tagged (result, aqmp_client_execute_and_wait_async))
    return aqmp_client_execute_and_wait_finish (AQMP_CLIENT (source), result, NULL, error);
  return aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (source), result, error);
}

AqmpEvent *
event_next (AqmpEventListener  *listener,
            GError            **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  event_start_next (listener, NULL, &slot);
  return event_finish (&slot, error);
}

void
event_forget (AqmpEventListener *listener)
{
  gpointer watched = listener;

  g_object_add_weak_pointer (G_OBJECT (listener), &watched);
  g_object_unref (listener);
  g_assert_null (watched);
}

void
event_close (AqmpClient *client,
             MockServer *mock)
{
  mock_expect_eof (mock);
  test_client_close (client);
}

static guint n_finalized;
static void (*real_finalize) (GObject *object);

static void
count_finalize (GObject *object)
{
  n_finalized++;
  real_finalize (object);
}

guint
event_count_made (void)
{
  GObjectClass *klass = g_type_class_ref (AQMP_TYPE_EVENT);
  guint n_made = n_finalized;

  if (real_finalize == NULL)
    {
      real_finalize = klass->finalize;
      klass->finalize = count_finalize;
    }
  n_finalized = 0;
  g_type_class_unref (klass);
  return n_made;
}
