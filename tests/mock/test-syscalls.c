/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A sequential call on a UNIX socket costs three system calls: one that writes, one that waits, one that reads. Every call
   of every function is counted, in all threads but the peer's. */

#include "client-util.h"

#include <string.h>

#include "syscall-counter.h"

#define N_CALLS 1000
#define WARM_UP 100

/* --- The peer ----------------------------------------------------------------------------------------------------- */

/* Answers each command with as little as possible, but for what the mock would do for every single one. */
static gpointer
answer_all (gpointer data)
{
  g_autoptr (GSocketConnection) peer = data;
  GSocket *socket = g_socket_connection_get_socket (peer);
  char request[4096];
  gssize length;

  test_mark_helper_thread ();
  while ((length = g_socket_receive (socket, request, sizeof request - 1, NULL, NULL)) > 0)
    {
      char reply[256];
      const char *id;

      request[length] = '\0';
      /* {"execute":"c","id":"aqmp-N"}, or {"id":"aqmp-N","execute":"c"} */
      id = strstr (request, "\"id\":\"") + strlen ("\"id\":\"");
      g_snprintf (reply, sizeof reply, "{\"return\": {}, \"id\": \"%.*s\"}\r\n", (int) strcspn (id, "\""), id);
      g_socket_send (socket, reply, strlen (reply), NULL, NULL);
    }
  return NULL;
}

typedef struct
{
  AqmpClient *client;
  GThread    *peer;
  GMainLoop  *loop;
  gboolean    raw;
  guint       n_left;
} Session;

static void
session_begin (Session  *session,
               gboolean  raw)
{
  GSocketConnection *ours;
  GSocketConnection *theirs;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  test_socket_pair (&ours, &theirs);
  session->client = aqmp_client_new (NULL);
  session->peer = g_thread_new ("peer", answer_all, theirs);
  session->loop = g_main_loop_new (NULL, FALSE);
  session->raw = raw;
  aqmp_client_set_await_greeting (session->client, FALSE);
  aqmp_client_set_negotiate (session->client, FALSE);
  aqmp_protocol_open_async (AQMP_PROTOCOL (session->client), G_IO_STREAM (ours), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_open_finish (AQMP_PROTOCOL (session->client), result, &error);
  g_assert_no_error (error);
  g_object_unref (ours);
}

static void
session_end (Session *session)
{
  test_client_close (session->client);
  g_main_loop_unref (session->loop);
  g_thread_join (session->peer);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

static void call_next (Session *session);

static void
call_ended (GObject      *object,
            GAsyncResult *result,
            gpointer      data)
{
  Session *session = data;
  g_autoptr (GError) error = NULL;

  if (session->raw)
    {
      g_autoptr (GBytes) reply = aqmp_client_execute_raw_finish (session->client, result, &error);

      g_assert_no_error (error);
      g_assert_nonnull (reply);
    }
  else
    {
      g_autoptr (JsonNode) node = aqmp_client_execute_finish (session->client, result, &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }

  session->n_left--;
  call_next (session);
}

static void
call_next (Session *session)
{
  if (session->n_left == 0)
    g_main_loop_quit (session->loop);
  else if (session->raw)
    aqmp_client_execute_raw_async (session->client, "{\"execute\": \"c\"}", NULL, NULL, call_ended, session);
  else
    aqmp_client_execute_async (session->client, "c", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_ended, session);
}

/* A loop that runs all the time: each call is made in the callback of the one before. */
static void
make_calls_in_loop (Session *session,
                    guint    n_calls)
{
  session->n_left = n_calls;
  call_next (session);
  g_main_loop_run (session->loop);
}

static void
note_end (GObject      *object,
          GAsyncResult *result,
          gpointer      data)
{
  g_set_object ((GAsyncResult **) data, result);
}

/* A context that is iterated until the reply is there, and not in between. */
static void
make_calls_iterating (Session *session,
                      guint    n_calls)
{
  guint i;

  for (i = 0; i < n_calls; i++)
    {
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) node = NULL;
      g_autoptr (GBytes) reply = NULL;

      if (session->raw)
        aqmp_client_execute_raw_async (session->client, "{\"execute\": \"c\"}", NULL, NULL, note_end, &result);
      else
        aqmp_client_execute_async (session->client, "c", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, note_end, &result);
      while (result == NULL)
        g_main_context_iteration (NULL, TRUE);
      if (session->raw)
        reply = aqmp_client_execute_raw_finish (session->client, result, &error);
      else
        node = aqmp_client_execute_finish (session->client, result, &error);
      g_assert_no_error (error);
    }
}

static void
check_three (gboolean raw,
             void   (*make_calls) (Session *session,
                                   guint    n_calls))
{
  Session session;
  guint64 total;
  g_autofree char *table = NULL;

  session_begin (&session, raw);
  make_calls (&session, WARM_UP);

  syscall_counter_reset (SYSCALL_COUNTER_PROCESS);
  make_calls (&session, N_CALLS);
  total = syscall_counter_total (SYSCALL_COUNTER_PROCESS);
  table = syscall_counter_table (SYSCALL_COUNTER_PROCESS);

  g_test_message ("%s", table);
  if (total < 3 * N_CALLS - 10 || total > 3 * N_CALLS + 10)
    g_error ("%d calls cost %" G_GUINT64_FORMAT " system calls: %s", N_CALLS, total, table);
  session_end (&session);
}

static void
test_tree_in_loop (void)
{
  check_three (FALSE, make_calls_in_loop);
}

static void
test_raw_in_loop (void)
{
  check_three (TRUE, make_calls_in_loop);
}

static void
test_tree_iterating (void)
{
  check_three (FALSE, make_calls_iterating);
}

static void
test_raw_iterating (void)
{
  check_three (TRUE, make_calls_iterating);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/syscalls/three-per-call/tree-in-loop", test_tree_in_loop);
  g_test_add_func ("/client/syscalls/three-per-call/raw-in-loop", test_raw_in_loop);
  g_test_add_func ("/client/syscalls/three-per-call/tree-iterating", test_tree_iterating);
  g_test_add_func ("/client/syscalls/three-per-call/raw-iterating", test_raw_iterating);

  return g_test_run ();
}
