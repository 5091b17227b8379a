/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Programs that block, on real servers. */

#include "session.h"

#define N_CALLS 1000
#define N_THREADS 8
#define N_CALLS_PER_THREAD 500

static AqmpClient *
connect_to (Qemu *qemu)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr(GError) error = NULL;

  g_assert_true (aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), qemu_get_connectable (qemu), NULL, &error));
  g_assert_no_error (error);
  return client;
}

static void
disconnect_from (AqmpClient *client)
{
  g_autoptr(GError) error = NULL;

  g_assert_true (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_no_error (error);
}

static void
on_event (AqmpProtocol *client,
          AqmpEvent    *event,
          GString      *names)
{
  g_string_append (names, aqmp_event_get_name (event));
  g_string_append_c (names, ' ');
}

/* Takes what is there, or waits for it. */
static void
expect_event (AqmpEventListener *listener,
              const char        *name)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(AqmpEvent) event = aqmp_event_listener_next_sync (listener, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, name);
}

/* No handler of the program is ever called, as nothing ever runs its context; a listener hears all the same. */
static void
test_without_loop (void)
{
  const char * const wanted[] = { "STOP", NULL };
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_Q35, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GString) names = g_string_new (NULL);
  g_autoptr(AqmpClient) client = NULL;
  g_autoptr(AqmpEventListener) listener = NULL;

  if (qemu == NULL)
    return;

  client = connect_to (qemu);
  listener = aqmp_client_listen (client, wanted, NULL, NULL, NULL);
  g_signal_connect (client, "event", G_CALLBACK (on_event), names);
  for (gsize i = 0; i < N_CALLS; i++)
    session_do_sync (client, "query-status");
  session_do_sync (client, "cont");
  session_do_sync (client, "stop");
  expect_event (listener, "STOP");
  g_assert_cmpuint (aqmp_event_listener_get_n_pending (listener), ==, 0);
  disconnect_from (client);
  g_assert_cmpstr (names->str, ==, "");

  /* Until now. */
  test_dispatch_pending ();
  g_assert_cmpstr (names->str, ==, "RESUME STOP ");
}

static void
test_quit (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = NULL;

  if (qemu == NULL)
    return;

  client = connect_to (qemu);
  session_do_sync (client, "quit");
  disconnect_from (client);
  g_assert_cmpint (qemu_wait_exit (qemu), ==, 0);
}

static void
test_every_server (void)
{
  const QemuKind kinds[] = { QEMU_SYSTEM_NONE, QEMU_STORAGE_DAEMON };

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autoptr(Qemu) qemu = qemu_new (kinds[i], QEMU_TRANSPORT_PATH, QEMU_FLAGS_PRETTY, NULL);
      g_autoptr(AqmpClient) client = NULL;

      if (qemu == NULL)
        return;

      client = connect_to (qemu);
      session_do_sync (client, "query-qmp-schema");
      disconnect_from (client);
    }
}

/* A stream that cannot be polled is driven all the same. */
static void
test_plain_stream (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(AqmpClient) client = aqmp_client_new (NULL);
  g_autoptr(GIOStream) stream = NULL;
  g_autoptr(GIOStream) plain = NULL;
  g_autoptr(GError) error = NULL;

  if (qemu == NULL)
    return;

  stream = qemu_get_stream (qemu);
  plain = test_plain_stream_new (stream);
  aqmp_protocol_open_sync (AQMP_PROTOCOL (client), plain, NULL, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < 50; i++)
    session_do_sync (client, "query-version");
  disconnect_from (client);
}

typedef struct
{
  AqmpClient *client;
  GMainLoop  *loop;
  guint       n_left;
} Crowd;

/* As a string: QEMU may escape it otherwise than we did. */
static void
check_id (GBytes     *reply,
          const char *id)
{
  g_autofree char *text = g_strndup (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonObject) object = aqmp_arguments_parse (text, &error);

  g_assert_no_error (error);
  g_assert_true (json_object_has_member (object, "return"));
  g_assert_cmpstr (json_object_get_string_member (object, "id"), ==, id);
}

/* Each asks for something of its own, and has to get that. */
static gpointer
call_many (gpointer data)
{
  Crowd *crowd = data;

  for (gsize i = 0; i < N_CALLS_PER_THREAD; i++)
    {
      g_autofree char *id = g_strdup_printf ("%p-%zu ä/", g_thread_self (), i);
      g_autofree char *message = g_strdup_printf ("{\"execute\": \"query-name\", \"id\": \"%s\"}", id);
      g_autoptr(GError) error = NULL;
      g_autoptr(GBytes) reply = aqmp_client_execute_raw_sync (crowd->client, message, NULL, NULL, &error);

      g_assert_no_error (error);
      check_id (reply, id);
    }

  if (g_atomic_int_dec_and_test (&crowd->n_left))
    g_main_loop_quit (crowd->loop);
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr(Qemu) qemu = qemu_new (QEMU_SYSTEM_NONE, QEMU_TRANSPORT_LISTENER, QEMU_FLAGS_NONE, NULL);
  g_autoptr(GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr(AqmpClient) client = NULL;
  GThread *threads[N_THREADS];
  Crowd crowd;

  if (qemu == NULL)
    return;

  client = connect_to (qemu);
  crowd = (Crowd) { client, loop, N_THREADS };
  for (gsize i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("caller", call_many, &crowd);
  g_main_loop_run (loop);
  for (gsize i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  disconnect_from (client);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu/T3/without-loop", test_without_loop);
  g_test_add_func ("/qemu/T3/quit", test_quit);
  g_test_add_func ("/qemu/T3/every-server", test_every_server);
  g_test_add_func ("/qemu/T3/plain-stream", test_plain_stream);
  g_test_add_func ("/qemu/T3/threads", test_threads);

  return g_test_run ();
}
