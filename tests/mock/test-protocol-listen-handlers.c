/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Handlers may do anything while a server starts, listens and accepts: T4. Each thing that can be done, in each place where it
 * can be done.
 */

#include "accept-util.h"

#include <string.h>
#include <sys/socket.h>

/* ---- what is done ------------------------------------------------------------------------------------------------ */

typedef struct
{
  Site          *site;
  LineProtocol  *reference;  /* (owned) (nullable): the only one */
  LineProtocol  *weak;
  Peer           peer;
  Peer           next_peer;
  TestSlot       next;       /* of the accept that a deed begins */
  gboolean       has_next;
  GSocketAddress *nowhere;   /* (owned): where nobody can listen */
  LineDeed       deed;
  guint          n_done;
  guint          n_results;  /* of the accept of the play */
} Scene;

static void
do_deed (LineProtocol *protocol,
         gpointer      user_data)
{
  Scene *scene = user_data;

  /* Once: what is done leads back to the same place. */
  if (scene->n_done++ == 0)
    scene->deed (protocol, scene);
}

static void
deed_disconnect (LineProtocol *protocol,
                 gpointer      user_data)
{
  line_disconnect (protocol, NULL);
}

static void
deed_disconnect_twice (LineProtocol *protocol,
                       gpointer      user_data)
{
  line_disconnect (protocol, NULL);
  line_disconnect (protocol, NULL);
}

static void
deed_fail (LineProtocol *protocol,
           gpointer      user_data)
{
  line_fail (protocol, NULL);
}

static void
deed_drop (LineProtocol *protocol,
           gpointer      user_data)
{
  g_clear_object (&((Scene *) user_data)->reference);
}

static void
deed_fail_and_drop (LineProtocol *protocol,
                    gpointer      user_data)
{
  line_fail (protocol, NULL);
  g_clear_object (&((Scene *) user_data)->reference);
}

static void
deed_disconnect_and_drop (LineProtocol *protocol,
                          gpointer      user_data)
{
  line_disconnect (protocol, NULL);
  g_clear_object (&((Scene *) user_data)->reference);
}

static void
deed_run_dispose (LineProtocol *protocol,
                  gpointer      user_data)
{
  g_object_run_dispose (G_OBJECT (protocol));
}

static void
deed_run_loop (LineProtocol *protocol,
               gpointer      user_data)
{
  test_dispatch_pending ();
}

static void
deed_disconnect_and_run (LineProtocol *protocol,
                         gpointer      user_data)
{
  line_disconnect_and_run (protocol, NULL);
}

static void
deed_fail_and_run (LineProtocol *protocol,
                   gpointer      user_data)
{
  line_fail (protocol, NULL);
  line_disconnect_and_run (protocol, NULL);
}

/* An accept where there may already be one, or may be no server. */
static void
deed_accept (LineProtocol *protocol,
             gpointer      user_data)
{
  aqmp_protocol_accept_async (AQMP_PROTOCOL (protocol), NULL, NULL, NULL);
}

static void
deed_accept_and_run (LineProtocol *protocol,
                     gpointer      user_data)
{
  deed_accept (protocol, user_data);
  test_dispatch_pending ();
}

/* The whole way round, at the same place. */
static void
deed_start_again (LineProtocol *protocol,
                  gpointer      user_data)
{
  Scene *scene = user_data;

  line_disconnect_and_run (protocol, NULL);
  site_listen (scene->site, protocol);
  start_accept (protocol, NULL, &scene->next);
  scene->has_next = TRUE;
}

static void
deed_start_again_and_run (LineProtocol *protocol,
                          gpointer      user_data)
{
  deed_start_again (protocol, user_data);
  test_dispatch_pending ();
}

/* Up to a session that runs. */
static void
deed_start_again_and_accept (LineProtocol *protocol,
                             gpointer      user_data)
{
  Scene *scene = user_data;

  deed_start_again (protocol, user_data);
  scene->next_peer.fd = site_dial (scene->site);
  wait_state (protocol, AQMP_RUNSTATE_RUNNING);
}

typedef struct
{
  const char *name;
  LineDeed    deed;
} DeedCase;

static const DeedCase deed_cases[] = {
  { "disconnect", deed_disconnect },
  { "disconnect-twice", deed_disconnect_twice },
  { "fail", deed_fail },
  { "drop-last-reference", deed_drop },
  { "fail-and-drop-last-reference", deed_fail_and_drop },
  { "disconnect-and-drop-last-reference", deed_disconnect_and_drop },
  { "run-dispose", deed_run_dispose },
  { "run-loop", deed_run_loop },
  { "disconnect-and-run-loop", deed_disconnect_and_run },
  { "fail-disconnect-and-run-loop", deed_fail_and_run },
  { "accept", deed_accept },
  { "accept-and-run-loop", deed_accept_and_run },
  { "start-again", deed_start_again },
  { "start-again-and-run-loop", deed_start_again_and_run },
  { "start-again-and-accept", deed_start_again_and_accept },
};

/* ---- where it is done -------------------------------------------------------------------------------------------- */

typedef enum
{
  IN_RUNSTATE_CHANGED,
  IN_NOTIFY_RUNSTATE,
  IN_LISTEN_ADDRESS_SET,
  IN_LISTEN_ADDRESS_RESET,
  IN_NOTIFY_STREAM,
  IN_ESTABLISH_SESSION,
  IN_ACCEPT_CALLBACK,
} Where;

typedef struct
{
  const char   *name;
  Where         where;
  AqmpRunstate  runstate;
} PlaceCase;

static const PlaceCase place_cases[] = {
  { "runstate-changed-connecting", IN_RUNSTATE_CHANGED, AQMP_RUNSTATE_CONNECTING },
  { "runstate-changed-running", IN_RUNSTATE_CHANGED, AQMP_RUNSTATE_RUNNING },
  { "runstate-changed-disconnecting", IN_RUNSTATE_CHANGED, AQMP_RUNSTATE_DISCONNECTING },
  { "runstate-changed-idle", IN_RUNSTATE_CHANGED, AQMP_RUNSTATE_IDLE },
  { "notify-runstate-connecting", IN_NOTIFY_RUNSTATE, AQMP_RUNSTATE_CONNECTING },
  { "notify-runstate-disconnecting", IN_NOTIFY_RUNSTATE, AQMP_RUNSTATE_DISCONNECTING },
  { "notify-runstate-idle", IN_NOTIFY_RUNSTATE, AQMP_RUNSTATE_IDLE },
  { "listen-address-set", IN_LISTEN_ADDRESS_SET, AQMP_RUNSTATE_CONNECTING },
  { "listen-address-reset", IN_LISTEN_ADDRESS_RESET, AQMP_RUNSTATE_CONNECTING },
  { "notify-stream", IN_NOTIFY_STREAM, AQMP_RUNSTATE_CONNECTING },
  { "establish-session", IN_ESTABLISH_SESSION, AQMP_RUNSTATE_CONNECTING },
  { "accept-callback", IN_ACCEPT_CALLBACK, AQMP_RUNSTATE_RUNNING },
};

/* How the play goes until somebody does something. */
typedef enum
{
  PLAY_ACCEPT,            /* start_server, accept, a peer, the end */
  PLAY_PEER_FIRST,        /* start_server, a peer, accept, the end */
  PLAY_AT_ONCE,           /* start_server_and_accept, a peer, the end */
  PLAY_NOBODY_COMES,      /* start_server, accept, the end */
  PLAY_NOBODY_ACCEPTS,    /* start_server, a peer, the end */
  PLAY_CANNOT_LISTEN,     /* start_server fails */
  PLAY_CANNOT_SERVE,      /* start_server_and_accept fails */
  N_PLAYS
} Play;

static const char * const play_names[N_PLAYS] = {
  "accept", "peer-first", "at-once", "nobody-comes", "nobody-accepts", "cannot-listen", "cannot-serve",
};

typedef struct
{
  Play             play;
  const PlaceCase *place;
  const DeedCase  *deed;
} Case;

/* Whether the play comes there by itself. */
static gboolean
leads_to (Play             play,
          const PlaceCase *place)
{
  gboolean fails = play == PLAY_CANNOT_LISTEN || play == PLAY_CANNOT_SERVE;
  gboolean runs = play == PLAY_ACCEPT || play == PLAY_PEER_FIRST || play == PLAY_AT_ONCE;

  switch (place->where)
    {
    case IN_RUNSTATE_CHANGED:
    case IN_NOTIFY_RUNSTATE:
      return runs || place->runstate != AQMP_RUNSTATE_RUNNING;
    case IN_LISTEN_ADDRESS_SET:
    case IN_LISTEN_ADDRESS_RESET:
      return !fails;
    case IN_NOTIFY_STREAM:
    case IN_ESTABLISH_SESSION:
      return runs;
    case IN_ACCEPT_CALLBACK:
    default:
      return play != PLAY_CANNOT_LISTEN && play != PLAY_NOBODY_ACCEPTS;
    }
}

static void
in_runstate_changed (LineProtocol *protocol,
                     AqmpRunstate  runstate,
                     Scene        *scene)
{
  const PlaceCase *place = g_object_get_data (G_OBJECT (protocol), "place");

  if (runstate == place->runstate)
    do_deed (protocol, scene);
}

static void
in_notify_runstate (LineProtocol *protocol,
                    GParamSpec   *pspec,
                    Scene        *scene)
{
  const PlaceCase *place = g_object_get_data (G_OBJECT (protocol), "place");

  if (get_state (protocol) == place->runstate)
    do_deed (protocol, scene);
}

static void
in_notify_listen_address (LineProtocol *protocol,
                          GParamSpec   *pspec,
                          Scene        *scene)
{
  const PlaceCase *place = g_object_get_data (G_OBJECT (protocol), "place");
  gboolean is_set = aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) != NULL;

  if (is_set == (place->where == IN_LISTEN_ADDRESS_SET))
    do_deed (protocol, scene);
}

static void
in_notify_stream (LineProtocol *protocol,
                  GParamSpec   *pspec,
                  Scene        *scene)
{
  do_deed (protocol, scene);
}

static void
accepted (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  Scene *scene = user_data;
  const PlaceCase *place = g_object_get_data (source, "place");

  scene->n_results++;
  if (place->where == IN_ACCEPT_CALLBACK)
    do_deed (LINE_PROTOCOL (source), scene);
}

static void
set_scene (const Case *test,
           Scene      *scene)
{
  LineProtocol *protocol = scene->reference;

  scene->deed = test->deed->deed;
  g_object_set_data (G_OBJECT (protocol), "place", (gpointer) test->place);
  switch (test->place->where)
    {
    case IN_RUNSTATE_CHANGED:
      g_signal_connect (protocol, "runstate-changed", G_CALLBACK (in_runstate_changed), scene);
      break;
    case IN_NOTIFY_RUNSTATE:
      g_signal_connect (protocol, "notify::runstate", G_CALLBACK (in_notify_runstate), scene);
      break;
    case IN_LISTEN_ADDRESS_SET:
    case IN_LISTEN_ADDRESS_RESET:
      g_signal_connect (protocol, "notify::listen-address", G_CALLBACK (in_notify_listen_address), scene);
      break;
    case IN_NOTIFY_STREAM:
      g_signal_connect (protocol, "notify::stream", G_CALLBACK (in_notify_stream), scene);
      break;
    case IN_ESTABLISH_SESSION:
      line_protocol_when (protocol, LINE_ESTABLISH_SESSION, NULL, do_deed, scene, LINE_CHAIN_UP);
      break;
    default:
      break;
    }
}

/* ---- the play ---------------------------------------------------------------------------------------------------- */

/* The server of the play, which no deed has ended. */
static gboolean
goes_on (Scene *scene)
{
  return scene->reference != NULL && !scene->has_next;
}

static void
play_start (const Case *test,
            Scene      *scene)
{
  gboolean fails = test->play == PLAY_CANNOT_LISTEN || test->play == PLAY_CANNOT_SERVE;
  GSocketAddress *address = fails ? scene->nowhere : scene->site->address;
  GSocketAddress *effective = NULL;
  GError *error = NULL;

  if (test->play == PLAY_AT_ONCE || test->play == PLAY_CANNOT_SERVE)
    {
      aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (scene->reference), address, NULL, accepted, scene);
      test_dispatch_pending ();
      return;
    }

  /* What it says goes together, whatever was done meanwhile. */
  if (aqmp_protocol_start_server (AQMP_PROTOCOL (scene->reference), address, &effective, &error))
    {
      g_assert_no_error (error);
      g_assert_true (G_IS_SOCKET_ADDRESS (effective));
      if (goes_on (scene) && aqmp_protocol_get_listen_address (AQMP_PROTOCOL (scene->reference)) != NULL)
        g_assert_true (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (scene->reference)) == effective);
      g_object_unref (effective);
    }
  else
    {
      g_assert_nonnull (error);
      g_assert_null (effective);
      g_error_free (error);
    }
}

static void
play_accept (Scene *scene)
{
  if (goes_on (scene))
    aqmp_protocol_accept_async (AQMP_PROTOCOL (scene->reference), NULL, accepted, scene);
  test_dispatch_pending ();
}

static void
play_peer (Scene *scene)
{
  /* Also if nobody but the accept has the object any more. */
  if (!scene->has_next)
    scene->peer.fd = site_try (scene->site);
  test_dispatch_pending ();
}

static void
play (const Case *test,
      Scene      *scene)
{
  play_start (test, scene);

  switch (test->play)
    {
    case PLAY_ACCEPT:
      play_accept (scene);
      play_peer (scene);
      break;
    case PLAY_PEER_FIRST:
      play_peer (scene);
      play_accept (scene);
      break;
    case PLAY_AT_ONCE:
    case PLAY_NOBODY_ACCEPTS:
      play_peer (scene);
      break;
    case PLAY_NOBODY_COMES:
      play_accept (scene);
      break;
    default:
      test_dispatch_pending ();
    }

  if (goes_on (scene))
    {
      line_disconnect (scene->reference, NULL);
      test_dispatch_pending ();
    }
}

static void
test_anything (gconstpointer data)
{
  const Case *test = data;
  g_auto (Site) site = site_make (SITE_PATH);
  Scene scene = { &site, line_protocol_new (), NULL, PEER_INIT, PEER_INIT, TEST_SLOT_INIT, };
  gboolean has_result = test->play != PLAY_CANNOT_LISTEN && test->play != PLAY_NOBODY_ACCEPTS;
  guint n_fds = test_count_fds ();

  scene.nowhere = parse_socket_address ("/nowhere/at/all.sock");
  scene.weak = scene.reference;
  g_object_add_weak_pointer (G_OBJECT (scene.weak), (gpointer *) &scene.weak);
  set_scene (test, &scene);
  play (test, &scene);
  g_assert_cmpuint (scene.n_done, >, 0);

  /* The next session was begun, and is sound; or the object is idle, and the next can begin. */
  if (scene.has_next)
    {
      g_autoptr (GError) error = NULL;

      if (scene.next_peer.fd < 0)
        scene.next_peer.fd = site_dial (&site);
      finish_accept (scene.reference, &scene.next, &error);
      g_assert_no_error (error);
      g_assert_cmpint (get_state (scene.reference), ==, AQMP_RUNSTATE_RUNNING);
      check_talks (scene.reference, &scene.next_peer);
      disconnect_session (scene.reference, &error);
      g_assert_no_error (error);
      peer_expect_eof (&scene.next_peer);
      test_slot_clear (&scene.next);
    }

  if (scene.reference != NULL)
    {
      if (get_state (scene.reference) != AQMP_RUNSTATE_IDLE)
        disconnect_session (scene.reference, NULL);
      if (test->deed->deed != deed_run_dispose)
        {
          check_usable (scene.reference);
          check_accepts (&site, scene.reference);
        }
      test_dispatch_pending ();
      g_clear_object (&scene.reference);
    }
  test_dispatch_pending ();
  g_assert_null (scene.weak);

  /* Its callback was called, once, if it was called at all. */
  if (!has_result)
    g_assert_cmpuint (scene.n_results, ==, 0);
  else
    g_assert_cmpuint (scene.n_results, <=, 1);

  /* The peer has seen the end, whichever way it came. */
  if (scene.peer.fd >= 0)
    peer_drain (&scene.peer);
  peer_close (&scene.peer);
  peer_close (&scene.next_peer);
  g_clear_object (&scene.nowhere);
  g_clear_object (&site.bound);
  /* Two, at most, are of the main loop. */
  g_assert_cmpuint (test_count_fds (), <=, n_fds + 2);
}

/* ---- what start_server says of it -------------------------------------------------------------------------------- */

static void
on_connecting (LineProtocol *protocol,
               AqmpRunstate  runstate,
               LineDeed      deed)
{
  if (runstate == AQMP_RUNSTATE_CONNECTING)
    deed (protocol, NULL);
}

static void
on_address (LineProtocol *protocol,
            GParamSpec   *pspec,
            LineDeed      deed)
{
  if (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) != NULL)
    deed (protocol, NULL);
}

/* The handler's error is the cause. */
static void
check_ended_by (const char *signal,
                GCallback   callback,
                LineDeed    deed,
                gboolean    at_once,
                GQuark      domain,
                int         code,
                const char *pattern)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  GSocketAddress *effective = NULL;
  g_autoptr (GError) error = NULL;
  gulong handler = g_signal_connect (protocol, signal, callback, deed);

  if (at_once)
    {
      site_serve (&site, protocol, NULL, &slot);
      g_assert_false (finish_accept (protocol, &slot, &error));
    }
  else
    g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), site.address, &effective, &error));
  assert_error_like (error, domain, code, pattern);
  g_assert_null (effective);
  g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
  site_expect_free (&site);

  g_signal_handler_disconnect (protocol, handler);
  check_usable (protocol);
  check_accepts (&site, protocol);
  end_object (&protocol);
}

static void
test_disconnected_by_handler (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);

  check_ended_by ("runstate-changed", G_CALLBACK (on_connecting), line_disconnect, at_once, AQMP_ERROR,
                  AQMP_ERROR_INTERRUPTED, "Could not establish a connection * “*”: *disconnected*");
  check_ended_by ("notify::listen-address", G_CALLBACK (on_address), line_disconnect, at_once, AQMP_ERROR,
                  AQMP_ERROR_INTERRUPTED, "Could not establish a connection * “*”: *disconnected*");
}

static void
test_failed_by_handler (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);

  check_ended_by ("runstate-changed", G_CALLBACK (on_connecting), line_fail, at_once, LINE_ERROR, 99,
                  "Could not establish a connection * “*”: deed");
  check_ended_by ("notify::listen-address", G_CALLBACK (on_address), line_fail, at_once, LINE_ERROR, 99,
                  "Could not establish a connection * “*”: deed");
}

/* It may be accepted as soon as it is a server. */
static void
begin_accept (LineProtocol *protocol,
              gpointer      runstate,
              TestSlot     *slot)
{
  if (slot->n_calls == 0 && get_state (protocol) == AQMP_RUNSTATE_CONNECTING)
    {
      g_signal_handlers_disconnect_by_data (protocol, slot);
      start_accept (protocol, NULL, slot);
    }
}

static void
test_accept_in_handler (gconstpointer data)
{
  const char *signal = data;
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, signal, G_CALLBACK (begin_accept), &slot);
  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

/* Accepted by a handler before it was found out that nobody can listen: both get the cause. */
static void
test_accept_in_handler_of_failing_server (void)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GSocketAddress) nowhere = parse_socket_address ("/nowhere/at/all.sock");
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (begin_accept), &slot);
  g_assert_false (aqmp_protocol_start_server (AQMP_PROTOCOL (protocol), nowhere, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "Could not establish a connection * “*”: *");
  check_usable (protocol);
  end_object (&protocol);
}

/* The peer has come, listening is over by then, and the handler of that accepts it. */
static void
accept_when_reset (LineProtocol *protocol,
                   GParamSpec   *pspec,
                   Scene        *scene)
{
  if (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)) != NULL)
    return;

  site_expect_free (scene->site);
  start_accept (protocol, NULL, &scene->next);
}

static void
test_accept_when_peer_has_come (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (Peer) peer = PEER_INIT;
  Scene scene = { .site = &site };
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, "notify::listen-address", G_CALLBACK (accept_when_reset), &scene);
  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  finish_accept (protocol, &scene.next, &error);
  g_assert_no_error (error);
  test_slot_clear (&scene.next);
  g_assert_cmpuint (line_trace_count (line_protocol_get_trace (protocol), "establish"), ==, 1);
  check_talks (protocol, &peer);
  end_session (&protocol);
}

int
main (int    argc,
      char **argv)
{
  static Case cases[N_PLAYS * G_N_ELEMENTS (place_cases) * G_N_ELEMENTS (deed_cases)];
  Case *next = cases;
  Play which;
  gsize i;
  gsize j;

  g_test_init (&argc, &argv, NULL);

  for (which = 0; which < N_PLAYS; which++)
    for (i = 0; i < G_N_ELEMENTS (place_cases); i++)
      for (j = 0; leads_to (which, &place_cases[i]) && j < G_N_ELEMENTS (deed_cases); j++)
        {
          g_autofree char *path = g_strconcat ("/protocol/T4/server/", play_names[which], "/", place_cases[i].name, "/",
                                               deed_cases[j].name, NULL);

          *next = (Case) { which, &place_cases[i], &deed_cases[j] };
          g_test_add_data_func (path, next++, test_anything);
        }

  g_test_add_data_func ("/protocol/T4/start-server-disconnected-by-handler", GINT_TO_POINTER (FALSE),
                        test_disconnected_by_handler);
  g_test_add_data_func ("/protocol/T4/start-server-and-accept-disconnected-by-handler", GINT_TO_POINTER (TRUE),
                        test_disconnected_by_handler);
  g_test_add_data_func ("/protocol/T4/start-server-failed-by-handler", GINT_TO_POINTER (FALSE), test_failed_by_handler);
  g_test_add_data_func ("/protocol/T4/start-server-and-accept-failed-by-handler", GINT_TO_POINTER (TRUE),
                        test_failed_by_handler);
  g_test_add_data_func ("/protocol/T4/accept-in-handler/runstate-changed", "runstate-changed", test_accept_in_handler);
  g_test_add_data_func ("/protocol/T4/accept-in-handler/notify-runstate", "notify::runstate", test_accept_in_handler);
  g_test_add_data_func ("/protocol/T4/accept-in-handler/notify-listen-address", "notify::listen-address",
                        test_accept_in_handler);
  g_test_add_func ("/protocol/T4/accept-in-handler/of-failing-server", test_accept_in_handler_of_failing_server);
  g_test_add_func ("/protocol/T4/accept-in-handler/peer-has-come", test_accept_when_peer_has_come);

  return g_test_run ();
}
