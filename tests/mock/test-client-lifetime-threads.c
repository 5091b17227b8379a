/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The last reference to a client goes in another thread than the owner's, at all times: T2, S10. */

#include "client-util.h"
#include "echo-peer.h"

/* --- Another thread ----------------------------------------------------------------------------------------------- */

typedef void (*ClientFunc) (AqmpClient *client);

/* It is handed clients, and drops each as soon as @before has returned. */
typedef struct
{
  GThread     *thread;
  GAsyncQueue *clients;
  ClientFunc   before;     /* (nullable) */
  gint         n_dropped;  /* atomic */
} Dropper;

static gpointer
drop_clients (gpointer data)
{
  Dropper *dropper = data;
  gpointer client;

  /* Itself means the end. */
  while ((client = g_async_queue_pop (dropper->clients)) != dropper)
    {
      if (dropper->before != NULL)
        dropper->before (client);
      g_object_unref (client);
      g_atomic_int_inc (&dropper->n_dropped);
      g_main_context_wakeup (NULL);
    }

  return NULL;
}

static void
dropper_start (Dropper    *dropper,
               ClientFunc  before)
{
  *dropper = (Dropper) { .clients = g_async_queue_new (), .before = before };
  dropper->thread = g_thread_new ("drops", drop_clients, dropper);
}

static void
dropper_stop (Dropper *dropper)
{
  g_async_queue_push (dropper->clients, dropper);
  g_thread_join (dropper->thread);
  g_async_queue_unref (dropper->clients);
}

/* Runs the main context, where the session is, until the client has been dropped: then it is gone. The peer sees the end, or
   it could not be freed; and no handler, of which @n_calls tells, is called after that. */
static void
give_away (Dropper    *dropper,
           AqmpClient *client,
           EchoPeer   *peer,
           guint      *n_calls)
{
  int n_dropped = g_atomic_int_get (&dropper->n_dropped);
  gpointer watched = client;
  guint n_calls_then;

  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_async_queue_push (dropper->clients, client);
  test_wait_until (g_atomic_int_get (&dropper->n_dropped) > n_dropped);
  g_assert_null (watched);

  n_calls_then = *n_calls;
  echo_peer_free (peer);
  test_dispatch_pending ();
  g_assert_cmpuint (*n_calls, ==, n_calls_then);
}

/* --- While data arrives ------------------------------------------------------------------------------------------- */

static void
count_event (AqmpClient *client,
             AqmpEvent  *event,
             guint      *n_events)
{
  (*n_events)++;
}

/* One that was given up keeps nothing alive, but is still in the table. */
static void
abandon_call (AqmpClient *client)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *no_result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (client, "silent", cancellable, &slot);
  g_main_context_iteration (NULL, FALSE);
  g_cancellable_cancel (cancellable);
  no_result = test_finish (&slot, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
drop_clients_elsewhere (EchoPeerKind kind,
                        ClientFunc   before,
                        guint        n_rounds)
{
  guint n_fds = 0;
  guint n_events = 0;
  Dropper dropper;
  guint i;
  guint j;

  dropper_start (&dropper, before);
  for (i = 0; i < n_rounds; i++)
    {
      EchoPeer *peer;
      AqmpClient *client = echo_peer_open (&peer, kind);

      g_signal_connect (client, "event", G_CALLBACK (count_event), &n_events);
      if (i % 4 == 0)
        abandon_call (client);
      for (j = 0; j < i % 5; j++)
        g_main_context_iteration (NULL, FALSE);
      give_away (&dropper, client, peer, &n_events);

      /* GLib has some of its own from now on. */
      if (i == 0)
        n_fds = test_count_fds ();
    }
  dropper_stop (&dropper);

  g_assert_true (kind != ECHO_PEER_FLOODS || n_events > 0);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
}

static void
test_while_data_arrives (void)
{
  drop_clients_elsewhere (ECHO_PEER_FLOODS, NULL, test_scale_down (10000));
}

/* The owner sleeps in its poll, and has nothing to do with it. */
static void
test_while_nothing_arrives (void)
{
  drop_clients_elsewhere (ECHO_PEER_SILENT_AT_FIRST, NULL, test_scale_down (2000));
}

/* --- Right after a call ------------------------------------------------------------------------------------------- */

/* The owner has just returned the call, and may still be busy with it. */
static void
call_blocking (AqmpClient *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = NULL;

  reply = aqmp_client_execute_sync (client, "event", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
  g_assert_no_error (error);
}

static void
call_in_own_context (AqmpClient *client)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  result = test_execute (client, "event", NULL, &error);
  g_assert_no_error (error);
  g_main_context_pop_thread_default (context);
}

/* It ends the session first. */
static void
disconnect_blocking (AqmpClient *client)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
}

static void
test_after_blocking_call (void)
{
  drop_clients_elsewhere (ECHO_PEER_SILENT_AT_FIRST, call_blocking, test_scale_down (2000));
}

static void
test_after_call (void)
{
  drop_clients_elsewhere (ECHO_PEER_SILENT_AT_FIRST, call_in_own_context, test_scale_down (2000));
}

static void
test_after_disconnect (void)
{
  drop_clients_elsewhere (ECHO_PEER_SILENT_AT_FIRST, disconnect_blocking, test_scale_down (2000));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/T2/last-reference-while-data-arrives", test_while_data_arrives);
  g_test_add_func ("/client/T2/last-reference-while-nothing-arrives", test_while_nothing_arrives);
  g_test_add_func ("/client/T2/last-reference-after-a-blocking-call", test_after_blocking_call);
  g_test_add_func ("/client/T2/last-reference-after-a-call", test_after_call);
  g_test_add_func ("/client/T2/last-reference-after-disconnect", test_after_disconnect);

  return g_test_run ();
}
