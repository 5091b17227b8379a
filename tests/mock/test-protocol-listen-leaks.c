/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Start a server, accept, disconnect, again and again: neither descriptors nor memory grow. */

#include "client-util.h"
#include "listen-util.h"

#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_CYCLE 1000
#define LAST_CYCLE 10000
#define MOST_GROWTH (256 * 1024)

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, " \
                 "\"capabilities\": [\"oob\"]}}\r\n"

/* ---- a peer of constant size ------------------------------------------------------------------------------------- */

static void
send_text (int         fd,
           const char *text)
{
  g_assert_cmpint (send (fd, text, strlen (text), MSG_NOSIGNAL), ==, (gssize) strlen (text));
}

/* A request is there; it is answered. */
static gboolean
answer (int          fd,
        GIOCondition condition,
        gpointer     user_data)
{
  gboolean *answered = user_data;
  char request[4096];
  char reply[512];
  const char *id;
  gssize length = recv (fd, request, sizeof request - 1, MSG_DONTWAIT);

  g_assert_cmpint (length, >, 0);
  request[length] = '\0';
  id = strstr (request, "\"id\":\"");
  g_assert_nonnull (id);
  id += strlen ("\"id\":\"");
  g_snprintf (reply, sizeof reply, "{\"event\": \"STOP\", \"data\": {\"a\": [1]}}\r\n"
              "{\"return\": {\"a\": [{\"b\": \"c\"}]}, \"id\": \"%.*s\"}\r\n", (int) strcspn (id, "\""), id);
  send_text (fd, reply);
  *answered = TRUE;
  return G_SOURCE_REMOVE;
}

static void
answer_next (int fd)
{
  gboolean answered = FALSE;

  g_unix_fd_add (fd, G_IO_IN, answer, &answered);
  test_wait_until (answered);
}

/* ---- cycles ------------------------------------------------------------------------------------------------------ */

typedef struct
{
  Site       *site;
  AqmpClient *client;
  guint       n_events;
} Scene;

static void
note_event (AqmpClient *client,
            AqmpEvent  *event,
            Scene      *scene)
{
  g_assert_nonnull (aqmp_event_get_data (event));
  scene->n_events++;
}

/* With a second peer, which is closed. */
static void
run_session (Scene    *scene,
             gboolean  at_once)
{
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  g_auto (TestSlot) called = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;
  int extra;
  int fd;

  if (at_once)
    site_serve (scene->site, scene->client, NULL, &accepted);
  else
    site_listen (scene->site, scene->client);
  fd = site_dial (scene->site);
  extra = site_dial (scene->site);
  send_text (fd, GREETING);
  if (!at_once)
    start_accept (scene->client, NULL, &accepted);
  answer_next (fd);
  finish_accept (scene->client, &accepted, &error);
  g_assert_no_error (error);

  test_start (scene->client, "query-status", NULL, &called);
  answer_next (fd);
  result = test_finish (&called, &error);
  g_assert_no_error (error);
  test_disconnect (scene->client, &error);
  g_assert_no_error (error);
  close (extra);
  close (fd);
}

/* One that comes to nothing, in one way or another. */
static void
run_attempt (Scene *scene,
             guint  which)
{
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int fd = -1;

  site_listen (scene->site, scene->client);
  switch (which)
    {
    case 0:
      /* Nobody accepts, nobody comes. */
      test_disconnect (scene->client, NULL);
      return;
    case 1:
      start_accept (scene->client, cancellable, &accepted);
      g_cancellable_cancel (cancellable);
      break;
    case 2:
      close (site_dial (scene->site));
      start_accept (scene->client, cancellable, &accepted);
      break;
    case 3:
      fd = site_dial (scene->site);
      send_text (fd, "{\"nonsense\": 1}\r\n");
      start_accept (scene->client, NULL, &accepted);
      break;
    default:
      /* The peer waits when it is over. */
      fd = site_dial (scene->site);
      test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (scene->client)) == NULL);
      test_disconnect (scene->client, NULL);
      close (fd);
      return;
    }
  g_assert_false (finish_accept (scene->client, &accepted, NULL));
  if (fd >= 0)
    close (fd);
}

#define N_ATTEMPTS 5

static void
run_cycle (Scene *scene,
           guint  cycle)
{
  run_session (scene, cycle % 2 == 0);
  run_attempt (scene, cycle % N_ATTEMPTS);
  /* And one that cannot listen at all. */
  if (cycle % 16 == 0)
    {
      g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");

      g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (scene->client), nowhere, NULL, NULL));
    }
}

/* @same: one client for all cycles; else a new one for each */
static void
check_leaks (SiteKind kind,
             gboolean same,
             guint    last_cycle)
{
  g_auto (Site) site = site_make (kind);
  Scene scene = { &site, NULL, 0 };
  guint first_cycle = test_is_instrumented () ? 20 : FIRST_CYCLE;
  guint n_fds = 0;
  gsize rss = 0;
  gint64 growth;
  guint i;

  if (test_is_instrumented ())
    last_cycle = 100;

  for (i = 0; i < last_cycle; i++)
    {
      if (i == first_cycle)
        {
          n_fds = test_count_fds ();
          rss = test_get_rss ();
        }
      if (scene.client == NULL)
        {
          scene.client = aqmp_client_new (NULL);
          g_signal_connect (scene.client, "event::STOP", G_CALLBACK (note_event), &scene);
        }
      run_cycle (&scene, i);
      if (!same)
        g_clear_object (&scene.client);
    }

  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  growth = (gint64) test_get_rss () - (gint64) rss;
  g_test_message ("%" G_GINT64_FORMAT " bytes more, %u events", growth, scene.n_events);
  if (test_is_instrumented ())
    g_test_message ("instrumented: the resident set says nothing, not checked");
  else
    g_assert_cmpint (growth, <, MOST_GROWTH);
  g_assert_cmpuint (scene.n_events, >=, last_cycle);

  g_clear_object (&scene.client);
}

static void
test_same_client (void)
{
  check_leaks (SITE_PATH, TRUE, LAST_CYCLE);
}

static void
test_new_clients (void)
{
  check_leaks (SITE_ABSTRACT, FALSE, LAST_CYCLE);
}

/* Fewer: each leaves the kernel a port to remember. */
static void
test_tcp (void)
{
  check_leaks (SITE_TCP, TRUE, 3000);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/listening/leaks/same-client", test_same_client);
  g_test_add_func ("/protocol/listening/leaks/new-clients", test_new_clients);
  g_test_add_func ("/protocol/listening/leaks/tcp", test_tcp);

  return g_test_run ();
}
