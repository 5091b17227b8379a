/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Callbacks and handlers may do anything: T4. Each thing that can be done, in each place where it can be done. */

#include "session-util.h"

#include <string.h>
#include <sys/socket.h>

/* ---- what is done ------------------------------------------------------------------------------------------------ */

typedef struct
{
  LineProtocol *reference;  /* (owned) (nullable): the only one */
  LineProtocol *weak;
  Peer          peer;
  Peer          next_peer;
  TestSlot      next;
  LineDeed      deed;
  guint         n_done;
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

static void
deed_send (LineProtocol *protocol,
           gpointer      user_data)
{
  g_autoptr (GBytes) message = bytes_of ("more\n");

  aqmp_protocol_send_message (AQMP_PROTOCOL (protocol), message, NULL);
}

/* The whole way round, into the next session. */
static void
deed_begin_anew (LineProtocol *protocol,
                 gpointer      user_data)
{
  Scene *scene = user_data;
  g_autoptr (GIOStream) stream = peer_connect (&scene->next_peer);

  line_disconnect_and_run (protocol, NULL);
  aqmp_protocol_open_async (AQMP_PROTOCOL (protocol), stream, NULL, test_slot_callback, &scene->next);
}

static void
deed_begin_anew_and_run (LineProtocol *protocol,
                         gpointer      user_data)
{
  deed_begin_anew (protocol, user_data);
  test_dispatch_pending ();
}

typedef struct
{
  const char *name;
  LineDeed    deed;
  gboolean    runs_loop;
} DeedCase;

static const DeedCase deed_cases[] = {
  { "disconnect", deed_disconnect, FALSE },
  { "disconnect-twice", deed_disconnect_twice, FALSE },
  { "fail", deed_fail, FALSE },
  { "drop-last-reference", deed_drop, FALSE },
  { "fail-and-drop-last-reference", deed_fail_and_drop, FALSE },
  { "run-dispose", deed_run_dispose, FALSE },
  { "send", deed_send, FALSE },
  { "run-loop", deed_run_loop, TRUE },
  { "disconnect-and-run-loop", deed_disconnect_and_run, TRUE },
  { "fail-disconnect-and-run-loop", deed_fail_and_run, TRUE },
  { "begin-next-session", deed_begin_anew, TRUE },
  { "begin-next-session-and-run-loop", deed_begin_anew_and_run, TRUE },
};

/* ---- where it is done -------------------------------------------------------------------------------------------- */

typedef enum
{
  IN_SLOT,
  IN_NOTIFY_RUNSTATE,
  IN_NOTIFY_STREAM,
  IN_EVENT_HANDLER,
  IN_OPEN_CALLBACK,
  IN_DISCONNECT_CALLBACK,
  IN_FLUSH_CALLBACK,
  IN_WAIT_CALLBACK,
} Where;

typedef struct
{
  const char *name;
  Where       where;
  LineSlot    slot;
  const char *trigger;
} PlaceCase;

static const PlaceCase place_cases[] = {
  { "establish-session", IN_SLOT, LINE_ESTABLISH_SESSION, NULL },
  { "message-received", IN_SLOT, LINE_MESSAGE_RECEIVED, NULL },
  { "filter-inbound", IN_SLOT, LINE_FILTER_INBOUND, NULL },
  { "filter-outbound", IN_SLOT, LINE_FILTER_OUTBOUND, NULL },
  { "frame", IN_SLOT, LINE_FRAME, NULL },
  { "session-ended", IN_SLOT, LINE_SESSION_ENDED, NULL },
  { "runstate-changed-connecting", IN_SLOT, LINE_RUNSTATE_CHANGED, "connecting" },
  { "runstate-changed-running", IN_SLOT, LINE_RUNSTATE_CHANGED, "running" },
  { "runstate-changed-disconnecting", IN_SLOT, LINE_RUNSTATE_CHANGED, "disconnecting" },
  { "runstate-changed-idle", IN_SLOT, LINE_RUNSTATE_CHANGED, "idle" },
  { "event", IN_SLOT, LINE_EVENT, NULL },
  { "event-handler", IN_EVENT_HANDLER, LINE_N_SLOTS, NULL },
  { "notify-runstate", IN_NOTIFY_RUNSTATE, LINE_N_SLOTS, NULL },
  { "notify-stream", IN_NOTIFY_STREAM, LINE_N_SLOTS, NULL },
  { "open-callback", IN_OPEN_CALLBACK, LINE_N_SLOTS, NULL },
  { "disconnect-callback", IN_DISCONNECT_CALLBACK, LINE_N_SLOTS, NULL },
  { "flush-callback", IN_FLUSH_CALLBACK, LINE_N_SLOTS, NULL },
  { "wait-callback", IN_WAIT_CALLBACK, LINE_N_SLOTS, NULL },
};

typedef struct
{
  const PlaceCase *place;
  const DeedCase  *deed;
} Case;

static void
in_callback (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  do_deed (LINE_PROTOCOL (source), user_data);
}

static void
in_notify (LineProtocol *protocol,
           GParamSpec   *pspec,
           Scene        *scene)
{
  do_deed (protocol, scene);
}

static void
in_event (LineProtocol *protocol,
          AqmpEvent    *event,
          Scene        *scene)
{
  do_deed (protocol, scene);
}

static void
set_scene (const Case *test,
           Scene      *scene)
{
  const PlaceCase *place = test->place;

  scene->deed = test->deed->deed;
  switch (place->where)
    {
    case IN_SLOT:
      line_protocol_when (scene->reference, place->slot, place->trigger, do_deed, scene, LINE_CHAIN_UP);
      break;
    case IN_NOTIFY_RUNSTATE:
      g_signal_connect (scene->reference, "notify::runstate", G_CALLBACK (in_notify), scene);
      break;
    case IN_NOTIFY_STREAM:
      g_signal_connect (scene->reference, "notify::stream", G_CALLBACK (in_notify), scene);
      break;
    case IN_EVENT_HANDLER:
      g_signal_connect (scene->reference, "event::STOP", G_CALLBACK (in_event), scene);
      break;
    default:
      break;
    }
}

static gboolean
has_session (Scene *scene)
{
  return scene->reference != NULL && get_state (scene->reference) == AQMP_RUNSTATE_RUNNING && scene->next_peer.fd < 0;
}

static void
give_peer (Scene      *scene,
           const char *text)
{
  /* The other end may be closed already. */
  send (scene->peer.fd, text, strlen (text), MSG_NOSIGNAL);
}

/* A session with everything in it. After each step there may be none, or no object. */
static void
play (const Case *test,
      Scene      *scene)
{
  Where where = test->place->where;
  g_autoptr (GIOStream) stream = peer_connect (&scene->peer);
  g_autoptr (AqmpEvent) event = aqmp_event_new ("STOP", -1, NULL);

  if (where == IN_WAIT_CALLBACK)
    aqmp_protocol_wait_runstate_async (AQMP_PROTOCOL (scene->reference), AQMP_RUNSTATE_IDLE, NULL, in_callback, scene);
  aqmp_protocol_open_async (AQMP_PROTOCOL (scene->reference), stream, NULL,
                            where == IN_OPEN_CALLBACK ? in_callback : NULL, scene);
  test_dispatch_pending ();

  if (has_session (scene))
    {
      give_peer (scene, "one\ntwo\n");
      test_dispatch_pending ();
    }
  if (has_session (scene))
    {
      g_autoptr (LineProtocol) held = g_object_ref (scene->reference);

      aqmp_protocol_emit_event (AQMP_PROTOCOL (held), event);
      test_dispatch_pending ();
    }
  if (has_session (scene))
    {
      line_protocol_send (scene->reference, "three");
      line_protocol_send (scene->reference, "four");
      aqmp_protocol_flush_async (AQMP_PROTOCOL (scene->reference), NULL, where == IN_FLUSH_CALLBACK ? in_callback : NULL,
                                 scene);
      test_dispatch_pending ();
    }
  if (scene->reference != NULL && scene->next_peer.fd < 0)
    {
      aqmp_protocol_disconnect_async (AQMP_PROTOCOL (scene->reference), NULL,
                                      where == IN_DISCONNECT_CALLBACK ? in_callback : NULL, scene);
      test_dispatch_pending ();
    }
}

static void
test_anything (gconstpointer data)
{
  const Case *test = data;
  Scene scene = { line_protocol_new (), NULL, PEER_INIT, PEER_INIT, TEST_SLOT_INIT, };

  scene.weak = scene.reference;
  g_object_add_weak_pointer (G_OBJECT (scene.weak), (gpointer *) &scene.weak);
  /* A filter that waits for the end of the session holds it up itself. */
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (scene.reference), 20);
  set_scene (test, &scene);
  play (test, &scene);
  g_assert_cmpuint (scene.n_done, >, 0);

  /* The next session was begun, and is sound; or the object is idle, and the next can begin. */
  if (scene.next_peer.fd >= 0)
    {
      g_autoptr (GError) error = NULL;

      finish_open (scene.reference, &scene.next, &error);
      g_assert_no_error (error);
      g_assert_cmpint (get_state (scene.reference), ==, AQMP_RUNSTATE_RUNNING);
      line_protocol_send (scene.reference, "ping");
      peer_expect (&scene.next_peer, "ping\n");
      disconnect_session (scene.reference, &error);
      g_assert_no_error (error);
      peer_expect_eof (&scene.next_peer);
    }

  if (scene.reference != NULL)
    {
      if (get_state (scene.reference) != AQMP_RUNSTATE_IDLE)
        disconnect_session (scene.reference, NULL);
      if (test->deed->deed != deed_run_dispose)
        check_usable (scene.reference);
      test_dispatch_pending ();
      g_clear_object (&scene.reference);
    }
  test_dispatch_pending ();
  g_assert_null (scene.weak);

  /* The peer has seen the end, whichever way it came. */
  peer_drain (&scene.peer);
  peer_close (&scene.peer);
  peer_close (&scene.next_peer);
}

int
main (int    argc,
      char **argv)
{
  static Case cases[G_N_ELEMENTS (place_cases) * G_N_ELEMENTS (deed_cases)];
  Case *next = cases;
  gsize i;
  gsize j;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (place_cases); i++)
    for (j = 0; j < G_N_ELEMENTS (deed_cases); j++)
      {
        g_autofree char *path = g_strconcat ("/protocol/T4/", place_cases[i].name, "/", deed_cases[j].name, NULL);

        /* Framing is no callback: it looks at bytes, and must not have others put in their place meanwhile. */
        if (place_cases[i].slot == LINE_FRAME && deed_cases[j].runs_loop)
          continue;

        *next = (Case) { &place_cases[i], &deed_cases[j] };
        g_test_add_data_func (path, next++, test_anything);
      }

  return g_test_run ();
}
