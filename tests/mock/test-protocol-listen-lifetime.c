/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Who keeps a server alive, how it goes, and what other threads may do to it: S8, S10, T1, T2. */

#include "accept-util.h"

#include <string.h>
#include <unistd.h>

/* ---- S10: what keeps it alive ------------------------------------------------------------------------------------ */

typedef struct
{
  LineProtocol *weak;
  gboolean      alive;    /* in the callback */
  gboolean      done;
} Watched;

static void
watch (LineProtocol *protocol,
       Watched      *watched)
{
  *watched = (Watched) { protocol, FALSE, FALSE };
  g_object_add_weak_pointer (G_OBJECT (protocol), (gpointer *) &watched->weak);
}

static void
on_done (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  Watched *watched = user_data;

  g_assert_false (watched->done);
  watched->alive = watched->weak != NULL && G_OBJECT (watched->weak) == source;
  watched->done = TRUE;
}

/* Whoever waits for the peer keeps the object; the callback done, nobody does. */
static void
test_accept_keeps_alive (gconstpointer data)
{
  gboolean at_once = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Watched watched;

  watch (protocol, &watched);
  if (at_once)
    aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (protocol), site.address, NULL, on_done, &watched);
  else
    {
      site_listen (&site, protocol);
      aqmp_protocol_accept_async (AQMP_PROTOCOL (protocol), NULL, on_done, &watched);
    }
  g_object_unref (protocol);
  test_dispatch_pending ();
  g_assert_nonnull (watched.weak);

  peer.fd = site_dial (&site);
  test_wait_until (watched.done);
  g_assert_true (watched.alive);
  test_dispatch_pending ();
  g_assert_null (watched.weak);
  peer_expect_eof (&peer);
}

static void
test_failing_accept_keeps_alive (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  Watched watched;

  watch (protocol, &watched);
  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (protocol), site.address, NULL, on_done, &watched);
  g_object_unref (protocol);
  peer.fd = site_dial (&site);
  peer_expect (&peer, "hi\n");
  g_assert_nonnull (watched.weak);
  peer_close (&peer);
  test_wait_until (watched.done);
  g_assert_true (watched.alive);
  test_dispatch_pending ();
  g_assert_null (watched.weak);
}

/* ---- S10: what does not ------------------------------------------------------------------------------------------ */

static void
on_signal (LineProtocol *protocol,
           gpointer      unused,
           LineTrace    *trace)
{
  line_trace_add (trace, "signal");
}

static gpointer
drop (gpointer data)
{
  g_object_unref (data);
  return NULL;
}

typedef enum
{
  DROP_HERE,
  DROP_ELSEWHERE,
  DROP_BY_DISPOSE,
} Way;

static const char * const way_names[] = { "last-unref", "last-unref-in-another-thread", "run-dispose" };

typedef struct
{
  When when;
  Way  way;
} GoneCase;

/* Here and now: the path is free, the peer sees the end, and nobody is told anything. */
static void
test_gone (gconstpointer data)
{
  const GoneCase *test = data;
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  LineProtocol *weak = protocol;
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
  g_autoptr (GError) error = NULL;

  g_signal_connect (protocol, "runstate-changed", G_CALLBACK (on_signal), trace);
  g_signal_connect (protocol, "notify", G_CALLBACK (on_signal), trace);
  go_as_far_as (test->when, &site, protocol, NULL, &peer, &slot);
  line_trace_clear (trace);
  g_object_add_weak_pointer (G_OBJECT (weak), (gpointer *) &weak);

  switch (test->way)
    {
    case DROP_ELSEWHERE:
      g_thread_join (g_thread_new ("drops", drop, protocol));
      break;
    case DROP_BY_DISPOSE:
      g_object_run_dispose (G_OBJECT (protocol));
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
      g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (protocol)));
      break;
    case DROP_HERE:
    default:
      g_object_unref (protocol);
    }

  site_expect_free (&site);
  if (has_accept (test->when))
    {
      g_assert_false (finish_accept (protocol, &slot, &error));
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      test_slot_clear (&slot);
      test_dispatch_pending ();
    }
  if (test->way == DROP_BY_DISPOSE)
    g_object_unref (protocol);
  g_assert_null (weak);
  if (peer.fd >= 0)
    peer_expect_eof (&peer);
  line_trace_expect (trace, "");
  test_dispatch_pending ();
  line_trace_expect (trace, "");
}

/* The peer is in the kernel's hands when the last reference goes. */
static void
test_gone_with_peer_in_backlog (gconstpointer data)
{
  gboolean elsewhere = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (Peer) peer = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));

  site_listen (&site, protocol);
  peer.fd = site_dial (&site);
  line_trace_clear (trace);
  if (elsewhere)
    g_thread_join (g_thread_new ("drops", drop, protocol));
  else
    g_object_unref (protocol);
  site_expect_free (&site);
  peer_expect_eof (&peer);
  test_dispatch_pending ();
  line_trace_expect (trace, "");
}

static void
test_usable_after_run_dispose (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  g_autoptr (GError) error = NULL;

  site_listen (&site, protocol);
  g_object_run_dispose (G_OBJECT (protocol));
  start_accept (protocol, NULL, &slot);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, AQMP_ERROR, AQMP_ERROR_STATE, "*“idle”*start one first");
  test_slot_clear (&slot);
  end_object (&protocol);
}

/* ---- T2: the last reference, at any moment ----------------------------------------------------------------------- */

typedef struct
{
  LineProtocol *protocol;
  int           ready;   /* atomic: 1 when the thread may go */
} Dropper;

static gpointer
drop_at_once (gpointer data)
{
  Dropper *dropper = data;

  while (!g_atomic_int_get (&dropper->ready))
    g_thread_yield ();
  g_object_unref (dropper->protocol);
  return NULL;
}

/* The peer's arrival is being dispatched at that moment. */
static void
test_last_unref_while_a_peer_arrives (void)
{
  guint i;

  for (i = 0; i < 500; i++)
    {
      g_auto (Site) site = site_make (i % 10 == 0 ? SITE_PATH : SITE_ABSTRACT);
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new ();
      LineProtocol *weak = protocol;
      g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (protocol));
      Dropper dropper = { protocol, FALSE };
      GThread *thread = g_thread_new ("drops", drop_at_once, &dropper);

      g_object_add_weak_pointer (G_OBJECT (weak), (gpointer *) &weak);
      site_listen (&site, protocol);
      peer.fd = site_dial (&site);
      g_atomic_int_set (&dropper.ready, TRUE);
      if (i % 3 != 0)
        test_dispatch_pending ();
      g_thread_join (thread);
      test_dispatch_pending ();

      g_assert_null (weak);
      site_expect_free (&site);
      peer_expect_eof (&peer);
      line_trace_expect (trace, "connecting");
    }
}

/* The owner's thread waits in its loop meanwhile, and takes part in the end of it. */
typedef struct
{
  GMainContext *context;
  GMainLoop    *loop;
} Owner;

static gpointer
run_loop (gpointer data)
{
  Owner *owner = data;

  g_main_context_push_thread_default (owner->context);
  g_main_loop_run (owner->loop);
  g_main_context_pop_thread_default (owner->context);
  return NULL;
}

typedef struct
{
  Site         *site;
  LineProtocol *protocol;
  int           done;     /* atomic */
} Listening;

static gboolean
listen_there (gpointer user_data)
{
  Listening *listening = user_data;

  site_listen (listening->site, listening->protocol);
  g_atomic_int_set (&listening->done, TRUE);
  return G_SOURCE_REMOVE;
}

static void
test_last_unref_while_the_owner_runs (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (context, FALSE);
  Owner owner = { context, loop };
  GThread *thread = g_thread_new ("owner", run_loop, &owner);
  guint i;
  int fd;

  for (i = 0; i < 500; i++)
    {
      g_auto (Site) site = site_make (SITE_ABSTRACT);
      g_auto (Peer) peer = PEER_INIT;
      Listening listening = { &site, line_protocol_new (), FALSE };
      g_autoptr (LineTrace) trace = line_trace_ref (line_protocol_get_trace (listening.protocol));

      g_main_context_invoke (context, listen_there, &listening);
      while (!g_atomic_int_get (&listening.done))
        g_thread_yield ();
      if (i % 2 == 0)
        peer.fd = site_dial (&site);
      g_object_unref (listening.protocol);
      if (peer.fd >= 0)
        peer_expect_eof (&peer);
      /* Whether the last reference went here or there. */
      while ((fd = site_try (&site)) >= 0)
        close (fd);
      g_assert_cmpuint (line_trace_count (trace, "disconnecting"), ==, 0);
      g_assert_cmpuint (line_trace_count (trace, "establish"), ==, 0);
    }

  g_main_loop_quit (loop);
  g_thread_join (thread);
}

/* ---- T2: disconnecting ------------------------------------------------------------------------------------------- */

typedef struct
{
  LineProtocol *protocol;
  GError       *error;     /* (owned) (nullable) */
  int           done;      /* atomic */
} Ender;

static gpointer
disconnect_in_thread (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  Ender *ender = data;

  g_main_context_push_thread_default (context);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (ender->protocol), NULL, test_slot_callback, &slot);
  /* Awaiting checks that the callback runs in this thread. */
  finish_disconnect_of (ender->protocol, &slot, &ender->error);
  g_main_context_pop_thread_default (context);

  g_atomic_int_set (&ender->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_disconnect_in_thread (gconstpointer data)
{
  When when = GPOINTER_TO_INT (data);
  guint i;

  for (i = 0; i < 50; i++)
    {
      g_auto (Site) site = site_make (SITE_PATH);
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_auto (Peer) peer = PEER_INIT;
      LineProtocol *protocol = line_protocol_new ();
      LineTrace *trace = line_protocol_get_trace (protocol);
      Ender ender = { protocol, NULL, FALSE };
      GThread *thread;
      g_autoptr (GError) error = NULL;

      go_as_far_as (when, &site, protocol, NULL, &peer, &slot);
      thread = g_thread_new ("disconnects", disconnect_in_thread, &ender);
      test_wait_until (g_atomic_int_get (&ender.done));
      g_thread_join (thread);
      g_assert_no_error (ender.error);
      g_assert_cmpint (get_state (protocol), ==, AQMP_RUNSTATE_IDLE);
      site_expect_free (&site);
      g_assert_true (line_trace_find (trace, "disconnecting")->thread == g_thread_self ());
      g_assert_true (line_trace_find (trace, "idle")->thread == g_thread_self ());
      if (has_accept (when))
        {
          g_assert_false (finish_accept (protocol, &slot, &error));
          g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
        }
      peer_close (&peer);
      if (i == 0)
        check_accepts (&site, protocol);
      end_object (&protocol);
    }
}

static gpointer
fail_in_thread (gpointer data)
{
  line_fail (data, NULL);
  return NULL;
}

static void
test_fail_in_thread (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  LineProtocol *protocol = line_protocol_new ();
  GThread *thread;
  g_autoptr (GError) error = NULL;

  site_serve (&site, protocol, NULL, &slot);
  thread = g_thread_new ("fails", fail_in_thread, protocol);
  g_assert_false (finish_accept (protocol, &slot, &error));
  assert_error_like (error, LINE_ERROR, 99, "Could not establish a connection * “*”: deed");
  g_thread_join (thread);
  test_slot_clear (&slot);
  end_object (&protocol);
}

/* ---- T1 ---------------------------------------------------------------------------------------------------------- */

/* The one where the server was started, whatever else runs. */
static void
test_owner_context (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Peer) peer = PEER_INIT;
  g_autoptr (GMainContext) context = g_main_context_new ();
  LineProtocol *protocol = line_protocol_new ();
  LineTrace *trace = line_protocol_get_trace (protocol);
  g_autoptr (GError) error = NULL;
  guint i;

  line_protocol_set (protocol, LINE_ESTABLISH_SESSION, LINE_HANDSHAKE);
  g_main_context_push_thread_default (context);
  site_listen (&site, protocol);
  start_accept (protocol, NULL, &slot);
  g_main_context_pop_thread_default (context);

  peer.fd = site_dial (&site);
  test_dispatch_pending ();
  line_trace_expect (trace, "connecting");

  g_main_context_push_thread_default (context);
  peer_expect (&peer, "hi\n");
  peer_send (&peer, "hello\n");
  finish_accept (protocol, &slot, &error);
  g_assert_no_error (error);
  check_talks (protocol, &peer);
  disconnect_session (protocol, &error);
  g_assert_no_error (error);
  g_main_context_pop_thread_default (context);

  for (i = 1; i < line_trace_get_length (trace); i++)
    g_assert_true (line_trace_get (trace, i)->context == context);
  test_dispatch_pending ();

  /* And another the next time. */
  check_accepts (&site, protocol);
  g_assert_true (line_trace_find (trace, "receive(pong)")->context == g_main_context_default ());
  test_slot_clear (&slot);
  end_object (&protocol);
}

/* Threads with a server each, which know nothing of each other. */
static gpointer
serve_alone (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < 20; i++)
    {
      g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
      Site site = { SITE_PATH, dir, test_tmp_dir_build (dir, "listen.sock"), NULL, NULL };
      LineProtocol *protocol = line_protocol_new ();

      site.address = parse_socket_address (site.path);
      check_accepts (&site, protocol);
      end_object (&protocol);
      g_assert_false (path_is_taken (site.path));
      g_free (site.path);
      g_object_unref (site.address);
      g_object_unref (site.bound);
    }
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_threads_share_nothing (void)
{
  GThread *threads[4];
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("serves", serve_alone, NULL);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int    argc,
      char **argv)
{
  static GoneCase cases[(WHEN_GREETING + 1) * G_N_ELEMENTS (way_names)];
  static const char * const when_names[] = { "listening", "peer-waits", "accepting", "peer-has-come", "greeting" };
  GoneCase *next = cases;
  When when;
  Way way;

  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/protocol/S10/accept-keeps-alive", GINT_TO_POINTER (FALSE), test_accept_keeps_alive);
  g_test_add_data_func ("/protocol/S10/start-server-and-accept-keeps-alive", GINT_TO_POINTER (TRUE), test_accept_keeps_alive);
  g_test_add_func ("/protocol/S10/failing-accept-keeps-alive", test_failing_accept_keeps_alive);

  for (when = WHEN_LISTENING; when <= WHEN_GREETING; when++)
    for (way = DROP_HERE; way <= DROP_BY_DISPOSE; way++)
      {
        g_autofree char *path = g_strconcat ("/protocol/S10/server-gone/", way_names[way], "/", when_names[when], NULL);

        /* Whoever accepts holds it. */
        if (way != DROP_BY_DISPOSE && has_accept (when))
          continue;
        *next = (GoneCase) { when, way };
        g_test_add_data_func (path, next++, test_gone);
      }
  g_test_add_data_func ("/protocol/S10/server-gone/last-unref/peer-in-backlog", GINT_TO_POINTER (FALSE),
                        test_gone_with_peer_in_backlog);
  g_test_add_data_func ("/protocol/S10/server-gone/last-unref-in-another-thread/peer-in-backlog", GINT_TO_POINTER (TRUE),
                        test_gone_with_peer_in_backlog);
  g_test_add_func ("/protocol/S10/no-server-after-run-dispose", test_usable_after_run_dispose);

  g_test_add_func ("/protocol/T2/last-unref-while-a-peer-arrives", test_last_unref_while_a_peer_arrives);
  g_test_add_func ("/protocol/T2/last-unref-while-the-owner-listens", test_last_unref_while_the_owner_runs);
  add_for_each ("/protocol/T2/disconnect-of-server-from-a-thread", WHEN_LISTENING, test_disconnect_in_thread);
  g_test_add_func ("/protocol/T2/fail-of-server-from-a-thread", test_fail_in_thread);
  g_test_add_func ("/protocol/T1/server-runs-in-the-context-where-it-was-started", test_owner_context);
  g_test_add_func ("/protocol/T5/servers-in-threads", test_threads_share_nothing);

  return g_test_run ();
}
