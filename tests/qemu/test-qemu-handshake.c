/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Greeting and negotiation, as QEMU does it, and when it does not. */

#include "session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SHORT_TIMEOUT_MS 150

/* ---- a client that asks for another capability ------------------------------------------------------------------- */

#define TEST_TYPE_DEMANDING (test_demanding_get_type ())
G_DECLARE_FINAL_TYPE (TestDemanding, test_demanding, TEST, DEMANDING, AqmpClient)

struct _TestDemanding
{
  AqmpClient parent_instance;
};

G_DEFINE_TYPE (TestDemanding, test_demanding, AQMP_TYPE_CLIENT)

static GBytes *
test_demanding_filter_outbound (AqmpProtocol  *protocol,
                                GBytes        *message,
                                GError       **error)
{
  g_autofree char *text = g_strndup (g_bytes_get_data (message, NULL), g_bytes_get_size (message));
  g_auto(GStrv) parts = g_strsplit (text, "\"oob\"", -1);
  char *demanding = g_strjoinv ("\"levitation\"", parts);

  return g_bytes_new_take (demanding, strlen (demanding));
}

static void
test_demanding_class_init (TestDemandingClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->filter_outbound = test_demanding_filter_outbound;
}

static void
test_demanding_init (TestDemanding *self)
{
}

/* ---- Q1 ---------------------------------------------------------------------------------------------------------- */

static void
check_greeting (AqmpClient *client)
{
  AqmpGreeting *greeting = aqmp_client_get_greeting (client);
  const char *package = aqmp_greeting_get_package (greeting);
  g_autofree char *version = NULL;

  version = g_strdup_printf ("%d.%d.%d", aqmp_greeting_get_major (greeting), aqmp_greeting_get_minor (greeting),
                             aqmp_greeting_get_micro (greeting));
  g_assert_true (g_str_has_prefix (version, "7.2."));
  g_assert_true (g_str_has_prefix (aqmp_greeting_get_version_string (greeting), version));
  g_assert_true (g_str_has_prefix (package, "Debian"));
  g_assert_nonnull (strstr (aqmp_greeting_get_version_string (greeting), package));
  g_assert_cmpuint (g_strv_length ((char **) aqmp_greeting_get_capabilities (greeting)), ==, 1);
  g_assert_true (aqmp_greeting_has_capability (greeting, "oob"));
  g_assert_false (aqmp_greeting_has_capability (greeting, "levitation"));
}

static void
check_greeting_of (QemuKind kind)
{
  g_autoptr(Qemu) qemu = qemu_new (kind, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(AqmpGreeting) first = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  g_assert_null (aqmp_client_get_greeting (client));
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  check_greeting (client);
  g_assert_true (aqmp_client_get_oob_enabled (client));
  first = aqmp_greeting_ref (aqmp_client_get_greeting (client));

  /* Kept after the session, but not longer than to the next. */
  session_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_true (aqmp_client_get_greeting (client) == first);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_true (aqmp_client_get_greeting (client) != first);
  check_greeting (client);
  session_end (g_steal_pointer (&client));
}

static void
test_greeting (void)
{
  check_greeting_of (QEMU_SYSTEM_NONE);
}

static void
test_greeting_storage_daemon (void)
{
  check_greeting_of (QEMU_STORAGE_DAEMON);
}

static void
test_greeting_reset (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(GSocketConnectable) nowhere = aqmp_address_parse ("/nowhere/qmp.sock", NULL);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  client = session_new (qemu);
  session_disconnect (client, &error);
  g_assert_no_error (error);
  session_connect_to (client, nowhere, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_null (aqmp_client_get_greeting (client));
  g_assert_false (aqmp_client_get_oob_enabled (client));
}

/* QEMU itself says whether out-of-band execution was negotiated. */
static void
check_oob (gboolean enable)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autofree char *reply = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  aqmp_client_set_enable_oob (client, enable);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_client_get_oob_enabled (client), ==, enable);

  reply = session_execute_raw (client, "{\"exec-oob\": \"query-yank\"}", &error);
  if (enable)
    {
      g_assert_no_error (error);
      g_assert_nonnull (strstr (reply, "\"return\": ["));
    }
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_oob_enabled (void)
{
  check_oob (TRUE);
}

static void
test_oob_not_wanted (void)
{
  check_oob (FALSE);
}

/* The greeting only: then QEMU takes no command but the negotiation, which is left to the caller. */
static void
test_no_negotiation (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) negotiated = NULL;

  if (qemu == NULL)
    return;

  aqmp_client_set_negotiate (client, FALSE);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  check_greeting (client);
  g_assert_false (aqmp_client_get_oob_enabled (client));

  g_assert_null (session_execute (client, "query-version", NULL, &error));
  g_assert_error (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_COMMAND_NOT_FOUND);
  g_clear_error (&error);
  negotiated = session_execute (client, "qmp_capabilities", NULL, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

/* ---- Q2 ---------------------------------------------------------------------------------------------------------- */

/* A monitor has one client at a time. Who comes next is connected, by the kernel, but hears nothing. */
static void
test_busy_monitor_times_out (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) first = NULL;
  g_autoptr(AqmpClient) second = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (second);
  g_autoptr(GError) error = NULL;
  gint64 begun;

  if (qemu == NULL)
    return;

  first = session_new (qemu);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (second), SHORT_TIMEOUT_MS);
  begun = g_get_monotonic_time ();
  session_connect (second, qemu, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session"));
  g_assert_cmpint (g_get_monotonic_time () - begun, >=, SHORT_TIMEOUT_MS * 1000);
  g_assert_cmpstr (states->str, ==, "connecting disconnecting idle");
  g_assert_null (aqmp_client_get_greeting (second));
  g_clear_error (&error);

  /* Neither is harmed. */
  session_check_works (first);
  session_end (g_steal_pointer (&first));
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (second), 30000);
  session_connect (second, qemu, &error);
  g_assert_no_error (error);
  session_check_works (second);
  session_end (g_steal_pointer (&second));
}

static void
test_busy_monitor_cancelled (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) first = NULL;
  g_autoptr(AqmpClient) second = aqmp_client_new (NULL);
  g_autoptr(GCancellable) cancellable = g_cancellable_new ();
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  first = session_new (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (second), qemu_get_connectable (qemu), cancellable, test_slot_callback, &slot);
  test_wait_until (aqmp_protocol_get_stream (AQMP_PROTOCOL (second)) != NULL);
  g_cancellable_cancel (cancellable);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (second), result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (g_str_has_prefix (error->message, "Could not"));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (second)), ==, AQMP_RUNSTATE_IDLE);

  session_check_works (first);
  session_end (g_steal_pointer (&first));
}

static void
test_busy_monitor_becomes_free (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) first = NULL;
  g_autoptr(AqmpClient) second = aqmp_client_new (NULL);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  first = session_new (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (second), qemu_get_connectable (qemu), NULL, test_slot_callback, &slot);
  test_wait_until (aqmp_protocol_get_stream (AQMP_PROTOCOL (second)) != NULL);
  g_assert_false (test_slot_is_done (&slot));
  session_end (g_steal_pointer (&first));
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (second), result, &error);
  g_assert_no_error (error);
  session_check_works (second);
  session_end (g_steal_pointer (&second));
}

static void
test_refused_with_reason (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = g_object_new (TEST_TYPE_DEMANDING, NULL);
  g_autoptr(GString) states = session_record (client);
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  session_connect (client, qemu, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_NEGOTIATION);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session"));
  /* In QEMU's words. */
  g_assert_nonnull (strstr (error->message, "levitation"));
  g_assert_cmpstr (states->str, ==, "connecting disconnecting idle");
  g_clear_error (&error);

  aqmp_client_set_enable_oob (client, FALSE);
  session_connect (client, qemu, &error);
  g_assert_no_error (error);
  session_check_works (client);
  session_end (g_steal_pointer (&client));
}

static void
test_killed_before_greeting (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;

  if (qemu == NULL)
    return;

  qemu_freeze (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), qemu_get_connectable (qemu), NULL, test_slot_callback, &slot);
  test_wait_until (aqmp_protocol_get_stream (AQMP_PROTOCOL (client)) != NULL);
  qemu_kill (qemu);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session"));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
}

/* ---- S4 ---------------------------------------------------------------------------------------------------------- */

/* Connects until the kernel takes no more. (element-type int) */
static GArray *
fill_backlog (Qemu *qemu)
{
  g_autoptr(GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  g_strlcpy (address.sun_path, qemu_get_path (qemu), sizeof address.sun_path);

  while (TRUE)
    {
      int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

      g_assert_cmpint (fd, >=, 0);
      if (connect (fd, (struct sockaddr *) &address, sizeof address) != 0)
        {
          g_assert_cmpint (errno, ==, EAGAIN);
          close (fd);
          return g_steal_pointer (&fds);
        }

      g_array_append_val (fds, fd);
      g_assert_cmpuint (fds->len, <, 100);
    }
}

static void
empty_backlog (GArray *fds)
{
  for (gsize i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_array_unref (fds);
}

static void
test_full_backlog_times_out (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) first = NULL;
  g_autoptr(AqmpClient) late = aqmp_client_new (NULL);
  g_autoptr(GString) states = session_record (late);
  g_autoptr(GError) error = NULL;
  GArray *fds;
  gint64 begun;

  if (qemu == NULL)
    return;

  first = session_new (qemu);
  fds = fill_backlog (qemu);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (late), SHORT_TIMEOUT_MS);
  begun = g_get_monotonic_time ();
  session_connect (late, qemu, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the connection"));
  g_assert_cmpint (g_get_monotonic_time () - begun, >=, SHORT_TIMEOUT_MS * 1000);
  g_assert_cmpstr (states->str, ==, "connecting disconnecting idle");

  empty_backlog (fds);
  session_check_works (first);
  session_end (g_steal_pointer (&first));
}

static gboolean
on_idle (gpointer user_data)
{
  gboolean *ran = user_data;

  *ran = TRUE;
  return G_SOURCE_REMOVE;
}

/* Ten intervals of the library's: it has been refused, and more than once. */
static void
wait_for_refusals (void)
{
  gboolean ran = FALSE;

  g_timeout_add (SHORT_TIMEOUT_MS, on_idle, &ran);
  test_wait_until (ran);
}

static void
test_full_backlog_is_retried (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) first = NULL;
  g_autoptr(AqmpClient) late = aqmp_client_new (NULL);
  g_autoptr(GAsyncResult) result = NULL;
  g_autoptr(GError) error = NULL;
  g_auto(TestSlot) slot = TEST_SLOT_INIT;
  GArray *fds;

  if (qemu == NULL)
    return;

  first = session_new (qemu);
  fds = fill_backlog (qemu);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (late), qemu_get_connectable (qemu), NULL, test_slot_callback, &slot);
  wait_for_refusals ();
  g_assert_false (test_slot_is_done (&slot));
  g_assert_null (aqmp_protocol_get_stream (AQMP_PROTOCOL (late)));

  empty_backlog (fds);
  session_end (g_steal_pointer (&first));
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (late), result, &error);
  g_assert_no_error (error);
  session_check_works (late);
  session_end (g_steal_pointer (&late));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/Q1/greeting", test_greeting);
  g_test_add_func ("/qemu/Q1/greeting-storage-daemon", test_greeting_storage_daemon);
  g_test_add_func ("/qemu/Q1/greeting-reset-by-next-attempt", test_greeting_reset);
  g_test_add_func ("/qemu/Q1/oob-enabled", test_oob_enabled);
  g_test_add_func ("/qemu/Q1/oob-not-wanted", test_oob_not_wanted);
  g_test_add_func ("/qemu/Q1/no-negotiation", test_no_negotiation);
  g_test_add_func ("/qemu/Q2/busy-monitor-times-out", test_busy_monitor_times_out);
  g_test_add_func ("/qemu/Q2/busy-monitor-cancelled", test_busy_monitor_cancelled);
  g_test_add_func ("/qemu/Q2/busy-monitor-becomes-free", test_busy_monitor_becomes_free);
  g_test_add_func ("/qemu/Q2/refused-with-reason", test_refused_with_reason);
  g_test_add_func ("/qemu/Q2/killed-before-greeting", test_killed_before_greeting);
  g_test_add_func ("/qemu/S4/full-backlog-times-out", test_full_backlog_times_out);
  g_test_add_func ("/qemu/S4/full-backlog-is-retried", test_full_backlog_is_retried);

  return g_test_run ();
}
