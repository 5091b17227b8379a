/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Connect, execute, disconnect, again and again: neither descriptors nor memory grow. */

#include "client-util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_CYCLE 1000
#define LAST_CYCLE 10000
#define MOST_GROWTH (256 * 1024)

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, " \
                 "\"capabilities\": [\"oob\"]}}\r\n"

/* A peer of constant size: a script would grow with each step. */
typedef struct
{
  TestTmpDir *dir;
  char       *path;
  int         listen_fd;
  gint        n_closed;  /* atomic: connections */
  GThread    *thread;
} Peer;

static void
send_text (int         fd,
           const char *text)
{
  /* A client that has gone already is none of its business. */
  if (send (fd, text, strlen (text), MSG_NOSIGNAL) < 0)
    g_assert_true (errno == EPIPE || errno == ECONNRESET);
}

static void
serve (int fd)
{
  char request[4096];
  ssize_t length;

  send_text (fd, "{\"event\": \"EARLY\"}\r\n" GREETING);
  while ((length = recv (fd, request, sizeof request - 1, 0)) > 0)
    {
      const char *id;

      request[length] = '\0';
      /* Several may come at once; each has an id. */
      for (id = strstr (request, "\"id\":\""); id != NULL; id = strstr (id, "\"id\":\""))
        {
          char reply[512];

          id += strlen ("\"id\":\"");
          g_snprintf (reply, sizeof reply, "{\"event\": \"STOP\", \"data\": {\"a\": [1]}}\r\n"
                      "{\"return\": {\"a\": [{\"b\": \"c\"}]}, \"id\": \"%.*s\"}\r\n", (int) strcspn (id, "\""), id);
          send_text (fd, reply);
        }
    }
}

static gpointer
serve_all (gpointer data)
{
  Peer *peer = data;
  int fd;

  test_mark_helper_thread ();
  while ((fd = accept (peer->listen_fd, NULL, NULL)) >= 0)
    {
      serve (fd);
      close (fd);
      g_atomic_int_inc (&peer->n_closed);
      g_main_context_wakeup (NULL);
    }
  return NULL;
}

static GSocketConnectable *
peer_begin (Peer *peer)
{
  struct sockaddr_storage native;
  g_autoptr (GError) error = NULL;
  GSocketConnectable *address;

  peer->n_closed = 0;
  peer->dir = test_tmp_dir_new ();
  peer->path = test_tmp_dir_build (peer->dir, "qmp.sock");
  address = aqmp_address_parse (peer->path, &error);
  g_assert_no_error (error);
  g_socket_address_to_native (G_SOCKET_ADDRESS (address), &native, sizeof native, &error);
  g_assert_no_error (error);
  peer->listen_fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_no_errno (bind (peer->listen_fd, (struct sockaddr *) &native,
                           (socklen_t) g_socket_address_get_native_size (G_SOCKET_ADDRESS (address))));
  g_assert_no_errno (listen (peer->listen_fd, 8));
  peer->thread = g_thread_new ("peer", serve_all, peer);
  return address;
}

static void
peer_end (Peer *peer)
{
  shutdown (peer->listen_fd, SHUT_RDWR);
  g_thread_join (peer->thread);
  close (peer->listen_fd);
  g_free (peer->path);
  test_tmp_dir_free (peer->dir);
}

static void
connect_to (AqmpClient         *client,
            GSocketConnectable *address)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (client), address, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
}

static void
note_event (AqmpClient *client,
            AqmpEvent  *event,
            guint      *n_events)
{
  g_assert_nonnull (aqmp_event_get_data (event));
  (*n_events)++;
}

/* One call of each form, and one that nobody waits for. */
static void
cycle (AqmpClient         *client,
       GSocketConnectable *address)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) cancelled = TEST_SLOT_INIT;
  g_autofree char *tree = NULL;
  g_autofree char *raw = NULL;
  g_autofree char *none = NULL;
  g_autoptr (GError) error = NULL;

  connect_to (client, address);
  tree = test_execute (client, "query-status", "{\"x\": [1, \"y\"]}", &error);
  g_assert_no_error (error);
  test_start (client, "slow", cancellable, &cancelled);
  raw = test_execute_raw (client, "{\"execute\": \"query-status\"}", &error);
  g_assert_no_error (error);
  g_cancellable_cancel (cancellable);
  none = test_finish (&cancelled, NULL);
  test_disconnect (client, &error);
  g_assert_no_error (error);
}

/* Its end of the last connection is closed a moment later than ours. */
static guint
count_fds (Peer *peer,
           guint n_connections)
{
  test_wait_until (g_atomic_int_get (&peer->n_closed) == (int) n_connections);
  return test_count_fds ();
}

/* @same: one client for all cycles; else a new one for each */
static void
check_leaks (gboolean same)
{
  g_autoptr (GSocketConnectable) address = NULL;
  AqmpClient *client = NULL;
  Peer peer;
  guint first_cycle = test_is_instrumented () ? 20 : FIRST_CYCLE;
  guint last_cycle = test_is_instrumented () ? 100 : LAST_CYCLE;
  guint n_events = 0;
  guint n_fds = 0;
  gsize rss = 0;
  gint64 growth;
  guint i;

  address = peer_begin (&peer);
  for (i = 0; i < last_cycle; i++)
    {
      if (i == first_cycle)
        {
          n_fds = count_fds (&peer, i);
          rss = test_get_rss ();
        }
      if (client == NULL)
        {
          client = aqmp_client_new (NULL);
          g_signal_connect (client, "event::STOP", G_CALLBACK (note_event), &n_events);
        }
      cycle (client, address);
      if (!same)
        g_clear_object (&client);
    }

  g_assert_cmpuint (count_fds (&peer, last_cycle), ==, n_fds);
  growth = (gint64) test_get_rss () - (gint64) rss;
  g_test_message ("%" G_GINT64_FORMAT " bytes more, %u events", growth, n_events);
  if (test_is_instrumented ())
    g_test_message ("instrumented: the resident set says nothing, not checked");
  else
    g_assert_cmpint (growth, <, MOST_GROWTH);
  g_assert_cmpuint (n_events, >, last_cycle);

  g_clear_object (&client);
  peer_end (&peer);
}

static void
test_same_client (void)
{
  check_leaks (TRUE);
}

static void
test_new_clients (void)
{
  check_leaks (FALSE);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/leaks/same-client", test_same_client);
  g_test_add_func ("/client/leaks/new-clients", test_new_clients);

  return g_test_run ();
}
