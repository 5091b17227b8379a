/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The listening socket: whom it lets in, and whom it tells. */

#include "listener-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- one peer ---------------------------------------------------------------------------------------------------- */

#define N_PEERS 6

static void
test_one_peer (Fixture       *self,
               gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fds[N_PEERS];
  guint i;

  for (i = 0; i < N_PEERS; i++)
    fds[i] = connect_to (self->address);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  g_assert_cmpuint (owner->n_refused, ==, N_PEERS - 1);
  for (i = 1; i < N_PEERS; i++)
    g_assert_true (is_gone (fds[i]));
  /* The first that came. */
  assert_peers (owner->peer, fds[0]);

  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 1);
  for (i = 0; i < N_PEERS; i++)
    close (fds[i]);
}

/* Whoever comes then waits in vain, until the listener goes; but nobody is told of him. */
static void
test_called_once (Fixture       *self,
                  gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int first = connect_to (self->address);
  int second;

  owner->keeps = TRUE;
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  second = connect_to (self->address);
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 1);
  assert_peers (owner->peer, first);
  free_listener (owner);
  g_assert_true (is_gone (second));
  close (first);
  close (second);
}

/* Nobody listens any more once the listener is freed, not even while its owner is still being called. */
static void
try_again (TestOwner *owner)
{
  int fd = try_to_connect (owner->hook_data);

  g_assert_cmpint (fd, ==, -1);
  g_assert_cmpint (errno, ==, ECONNREFUSED);
}

static void
test_closed_at_once (Fixture       *self,
                     gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV4, 0);
  g_autoptr (TestOwner) owner = owner_new (address);
  g_autoptr (GSocketAddress) effective = g_object_ref (aqmp_listener_get_address (owner->listener));
  int fd = connect_to (effective);

  owner->on_peer = try_again;
  owner->hook_data = effective;
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  close (fd);
}

/* It is looked at when it comes. */
static void
test_peer_comes_later (Fixture       *self,
                       gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd;

  attach (owner);
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 0);
  fd = connect_to (self->address);
  test_wait_until (owner->n_calls > 0);
  assert_peers (owner->peer, fd);
  close (fd);
}

/* A peer that has gone again is a peer still: what it said can be read. */
static void
test_peer_gone (Fixture       *self,
                gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);
  int other;
  char byte;

  g_assert_cmpint (send (fd, "x", 1, MSG_NOSIGNAL), ==, 1);
  close (fd);
  other = connect_to (self->address);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_cmpuint (owner->n_refused, ==, 1);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (owner->peer), &byte, 1, NULL, NULL), ==, 1);
  g_assert_cmpint (g_socket_receive (g_socket_connection_get_socket (owner->peer), &byte, 1, NULL, NULL), ==, 0);
  g_assert_true (is_gone (other));
  close (other);
}

/* The same over TCP, with a reset. */
static void
test_peer_reset (Fixture       *self,
                 gconstpointer  data)
{
  g_autoptr (GSocketAddress) address = loopback (G_SOCKET_FAMILY_IPV4, 0);
  g_autoptr (TestOwner) owner = owner_new (address);
  const struct linger at_once = { 1, 0 };
  int fd = connect_to (aqmp_listener_get_address (owner->listener));

  g_assert_no_errno (setsockopt (fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  close (fd);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  g_assert_true (is_gone (get_fd (owner->peer)));
}

/* Somebody else, who has inherited the socket, takes the peer away: then there is none, and the next one counts. */
static gboolean
take_away (int           fd,
           GIOCondition  condition,
           gpointer      user_data)
{
  int *taken = user_data;

  *taken = accept (fd, NULL, NULL);
  g_assert_no_errno (*taken);
  return G_SOURCE_REMOVE;
}

static void
test_peer_taken_away (Fixture       *self,
                      gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  g_autoptr (GSource) source = NULL;
  int inherited = dup (find_listening_fd ());
  int taken = -1;
  int first;
  int second;

  /* Of the same priority, and attached before: both find the peer, and this one takes it. */
  source = g_unix_fd_source_new (inherited, G_IO_IN);
  g_source_set_callback (source, G_SOURCE_FUNC (take_away), &taken, NULL);
  g_source_attach (source, NULL);
  attach (owner);
  first = connect_to (self->address);
  test_dispatch_pending ();
  g_assert_cmpint (taken, >=, 0);
  g_assert_cmpint (owner->n_calls, ==, 0);

  second = connect_to (self->address);
  test_wait_until (owner->n_calls > 0);
  g_assert_no_error (owner->error);
  assert_peers (owner->peer, second);

  close (first);
  close (second);
  close (taken);
  close (inherited);
}

/* ---- no descriptors ---------------------------------------------------------------------------------------------- */

/* From now on only @n_more can be opened. (transfer full): to be given to allow_fds(). */
static struct rlimit
limit_fds (guint n_more)
{
  struct rlimit before;
  struct rlimit limit;
  int fds[10];
  guint i;

  /* Where the next ones would be. */
  g_assert_cmpuint (n_more, <, G_N_ELEMENTS (fds));
  for (i = 0; i <= n_more; i++)
    fds[i] = fcntl (0, F_DUPFD_CLOEXEC, 0);
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &before));
  limit = before;
  limit.rlim_cur = fds[n_more];
  for (i = 0; i <= n_more; i++)
    close (fds[i]);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  return before;
}

static void
allow_fds (struct rlimit before)
{
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &before));
}

static void
test_no_fds (Fixture       *self,
             gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);
  struct rlimit before;

  attach (owner);
  before = limit_fds (0);
  while (owner->n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  allow_fds (before);
  g_assert_null (owner->peer);
  g_assert_error (owner->error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_assert_true (is_gone (fd));
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 1);
  close (fd);
}

/* Enough for the first: those that could not be closed one by one go with the listening socket. */
static void
test_one_fd (Fixture       *self,
             gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fds[N_PEERS];
  struct rlimit before;
  guint i;

  for (i = 0; i < N_PEERS; i++)
    fds[i] = connect_to (self->address);
  attach (owner);
  before = limit_fds (1);
  while (owner->n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  allow_fds (before);
  g_assert_no_error (owner->error);
  assert_peers (owner->peer, fds[0]);
  for (i = 1; i < N_PEERS; i++)
    g_assert_true (is_gone (fds[i]));
  for (i = 0; i < N_PEERS; i++)
    close (fds[i]);
}

static void
test_no_fds_to_listen (Fixture       *self,
                       gconstpointer  data)
{
  g_autoptr (GError) error = NULL;
  struct rlimit before = limit_fds (0);
  AqmpListener *listener = aqmp_listener_new (self->address, &error);

  allow_fds (before);
  g_assert_null (listener);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  /* With none left to look whether it is stale, it counts as live. */
  leave_stale (self->path);
  before = limit_fds (1);
  listener = aqmp_listener_new (self->address, &error);
  allow_fds (before);
  g_assert_null (listener);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_assert_true (g_file_test (self->path, G_FILE_TEST_EXISTS));
}

/* ---- the owner, threads ------------------------------------------------------------------------------------------ */

/* Nobody to be called: the source goes, and nothing keeps spinning. */
static void
test_owner_gone (Fixture       *self,
                 gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  AqmpListener *listener = g_steal_pointer (&owner->listener);
  int fd;

  aqmp_listener_attach (listener, NULL, G_OBJECT (owner), on_peer);
  g_object_unref (owner);
  g_assert_cmpint (count_owners (), ==, 0);
  fd = connect_to (self->address);
  test_dispatch_pending ();
  aqmp_listener_free (listener);
  g_assert_true (is_gone (fd));
  g_assert_false (g_file_test (self->path, G_FILE_TEST_EXISTS));
  close (fd);
}

static void
drop_owner (TestOwner *self)
{
  TestOwner **owner = self->hook_data;

  g_clear_object (owner);
  g_assert_cmpint (count_owners (), ==, 1);
  /* It is still whole. */
  g_assert_true (G_IS_SOCKET_CONNECTION (self->peer));
}

static void
test_owner_dropped_meanwhile (Fixture       *self,
                              gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd = connect_to (self->address);

  owner->on_peer = drop_owner;
  owner->hook_data = &owner;
  attach (owner);
  test_wait_until (owner == NULL);
  g_assert_cmpint (count_owners (), ==, 0);
  g_assert_true (is_gone (fd));
  close (fd);
}

/* Freed before anybody came, or with one who waits. */
static void
test_freed (Fixture       *self,
            gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd;

  g_object_unref (owner);
  owner = owner_new (self->address);
  attach (owner);
  fd = connect_to (self->address);
  g_clear_pointer (&owner->listener, aqmp_listener_free);
  test_dispatch_pending ();
  g_assert_cmpint (owner->n_calls, ==, 0);
  g_assert_true (is_gone (fd));
  g_object_unref (owner);
  close (fd);
}

static gpointer
run_until_called (gpointer data)
{
  TestOwner *owner = TEST_OWNER (data);
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  attach (owner);
  test_wait_until (owner->n_calls > 0);
  g_assert_true (owner->thread == g_thread_self ());
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* In the context where it is attached, whoever made it. */
static void
test_context (Fixture       *self,
              gconstpointer  data)
{
  g_autoptr (TestOwner) owner = owner_new (self->address);
  int fd = connect_to (self->address);

  g_thread_join (g_thread_new ("owner", run_until_called, owner));
  g_assert_no_error (owner->error);
  g_assert_true (owner->thread != g_thread_self ());
  assert_peers (owner->peer, fd);
  close (fd);
}

static gpointer
unref_elsewhere (gpointer owner)
{
  g_object_unref (owner);
  return NULL;
}

static void
test_freed_elsewhere (Fixture       *self,
                      gconstpointer  data)
{
  TestOwner *owner = owner_new (self->address);
  int fd = connect_to (self->address);

  attach (owner);
  g_thread_join (g_thread_new ("unref", unref_elsewhere, owner));
  g_assert_cmpint (count_owners (), ==, 0);
  g_assert_true (is_gone (fd));
  test_dispatch_pending ();
  close (fd);
}

/* A peer that comes at the very moment when, in another thread, the owner goes, or only the listener: it sees the end,
   and nothing is leaked. */
static void
count_call (TestOwner *self)
{
  guint *n_called = self->hook_data;

  n_called[self->error != NULL]++;
}

typedef struct
{
  TestOwner *owner;      /* (owned) */
  gboolean   whole;      /* the owner, not only its listener */
  guint      patience;
  int        ready;      /* atomic */
  int        go;         /* atomic */
  int        done;       /* atomic */
} Dropper;

static void
spin (guint n_rounds)
{
  volatile guint i;

  for (i = 0; i < n_rounds; i++)
    ;
}

static gpointer
drop (gpointer data)
{
  Dropper *self = data;

  g_atomic_int_set (&self->ready, TRUE);
  while (!g_atomic_int_get (&self->go))
    g_thread_yield ();
  spin (self->patience);

  if (!self->whole)
    free_listener (self->owner);
  g_object_unref (self->owner);
  g_atomic_int_set (&self->done, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_race (Fixture       *self,
           gconstpointer  data)
{
  guint n_rounds = 300 / (test_timeout_scale () > 4 ? 10 : 1);
  guint n_called[2] = { 0, 0 };
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      Dropper dropper = { .whole = GPOINTER_TO_INT (data), .patience = i * 37 % 4000 };
      TestOwner *owner = owner_new (self->address);
      int fd = connect_to (self->address);
      GThread *thread;

      attach (owner);
      dropper.owner = owner;
      owner->hook_data = n_called;
      owner->on_peer = count_call;
      thread = g_thread_new ("drop", drop, &dropper);
      while (!g_atomic_int_get (&dropper.ready))
        g_thread_yield ();
      g_atomic_int_set (&dropper.go, TRUE);
      spin (i * 101 % 4000);
      test_wait_until (g_atomic_int_get (&dropper.done));
      g_thread_join (thread);
      test_dispatch_pending ();
      g_assert_cmpint (count_owners (), ==, 0);
      g_assert_true (is_gone (fd));
      close (fd);
    }
  g_test_message ("called with a peer in %u of %u rounds, with an error in %u", n_called[0], n_rounds, n_called[1]);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  init_listener_tests (&argc, &argv);

  add ("S8/one-peer", NULL, test_one_peer);
  add ("S8/called-once", NULL, test_called_once);
  add ("S8/closed-at-once", NULL, test_closed_at_once);
  add ("S9/peer-comes-later", NULL, test_peer_comes_later);
  add ("S8/peer-gone", NULL, test_peer_gone);
  add ("S8/peer-reset", NULL, test_peer_reset);
  add ("S8/peer-taken-away", NULL, test_peer_taken_away);

  add ("S4/no-descriptors", NULL, test_no_fds);
  add ("S8/one-descriptor", NULL, test_one_fd);
  add ("S4/no-descriptors-to-listen", NULL, test_no_fds_to_listen);

  add ("S10/owner-gone", NULL, test_owner_gone);
  add ("T4/owner-dropped-meanwhile", NULL, test_owner_dropped_meanwhile);
  add ("S10/freed", NULL, test_freed);
  add ("T1/context", NULL, test_context);
  add ("T2/freed-elsewhere", NULL, test_freed_elsewhere);
  add ("T2/race/owner", GINT_TO_POINTER (TRUE), test_race);
  add ("T2/race/listener", GINT_TO_POINTER (FALSE), test_race);

  return g_test_run ();
}
