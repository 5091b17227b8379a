/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The transport: closing it, entering it again, and other threads. */

#include "transport-fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static void
close_it (TestOwner *owner)
{
  Fixture *self = owner->hook_data;

  aqmp_transport_close (owner->transport);
  g_clear_pointer (&owner->transport, aqmp_transport_unref);
  self->transport = NULL;
}

static void
close_in_message (TestOwner  *owner,
                  const char *text)
{
  aqmp_transport_request_work (owner->transport);
  aqmp_transport_request_drained (owner->transport);
  close_it (owner);
}

static void
test_close_in_message (Fixture       *self,
                       gconstpointer  setup)
{
  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  self->owner->on_message = close_in_message;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "one;");
}

static void
test_close_in_frame (Fixture       *self,
                     gconstpointer  setup)
{
  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  self->owner->on_frame = close_it;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "");
}

static void
test_close_in_work (Fixture       *self,
                    gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  mock_block_done (self->mock);
  self->gone_is_fine = TRUE;
  self->owner->on_work = close_it;
  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_work (self->transport);
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "WORK;");
}

static void
test_close_in_drained (Fixture       *self,
                       gconstpointer  setup)
{
  mock_expect_bytes (self->mock, "last words\n", -1);
  self->owner->on_drained = close_it;
  queue_text (self, "last words\n");
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "DRAINED;");
}

static void
test_close_in_failed (Fixture       *self,
                      gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  mock_shutdown_write (self->mock);
  self->owner->on_failed = close_it;
  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->transport == NULL);
  g_assert_true (g_str_has_suffix (self->owner->log->str, "FAILED;"));
  g_assert_cmpuint (self->owner->n_failed, ==, 1);
}

/* The error it is told is the transport's own. */
static void
test_close_in_failed_by_write (Fixture       *self,
                               gconstpointer  setup)
{
  mock_close (self->mock);
  mock_block_done (self->mock);
  self->peer_is_gone = TRUE;
  self->owner->on_failed = close_it;
  queue_text (self, "to nobody\n");
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "FAILED;");
}

static void
test_close (Fixture       *self,
            gconstpointer  setup)
{
  guint64 token;

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_pending (self);
  token = queue_text (self, "never");
  aqmp_transport_close (self->transport);
  aqmp_transport_close (self->transport);

  /* All of these are harmless now. */
  aqmp_transport_request_work (self->transport);
  aqmp_transport_request_drained (self->transport);
  aqmp_transport_set_reading (self->transport, FALSE);
  aqmp_transport_set_reading (self->transport, TRUE);
  queue_text (self, "never");
  g_assert_true (aqmp_transport_remove_message (self->transport, token));
  g_assert_false (aqmp_transport_iterate (self->transport, -1, NULL));
  if (self->setup & ATTACHED)
    test_dispatch_pending ();
  g_assert_cmpstr (self->owner->log->str, ==, "");
}

/* Closing does not wait for a peer that does not read. */
static void
test_close_while_blocked (Fixture       *self,
                          gconstpointer  setup)
{
  g_autofree char *block = g_strnfill (3000000, 'x');

  queue_text (self, block);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_pending (self);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), >, 0);
  aqmp_transport_close (self->transport);
  self->gone_is_fine = TRUE;
}

/* ---- re-entrancy ------------------------------------------------------------------------------------------------- */

static void
wait_for_three (TestOwner  *owner,
                const char *text)
{
  Fixture *self = owner->hook_data;

  if (owner->n_messages > 1)
    return;
  mock_send (self->mock, "three\n");
  drive_until (self, owner->n_messages >= 3);
  g_string_append (owner->log, "(waited)");
}

static void
test_nested (Fixture       *self,
             gconstpointer  setup)
{
  self->owner->on_message = wait_for_three;
  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, strstr (self->owner->log->str, "(waited)") != NULL);
  mock_send (self->mock, "four\n");
  drive_until (self, self->owner->n_messages == 4);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;three;(waited)four;");
}

static void
wait_for_failure (TestOwner  *owner,
                  const char *text)
{
  Fixture *self = owner->hook_data;

  if (owner->n_messages > 1)
    return;
  drive_until (self, owner->n_failed > 0);
  g_string_append (owner->log, "(waited)");
}

static void
test_nested_failure (Fixture       *self,
                     gconstpointer  setup)
{
  self->owner->on_message = wait_for_failure;
  mock_send (self->mock, "one\ntwo\nthree\n");
  mock_shutdown_write (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, strstr (self->owner->log->str, "(waited)") != NULL);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;three;FAILED;(waited)");
}

static void
wait_for_close (TestOwner  *owner,
                const char *text)
{
  Fixture *self = owner->hook_data;

  if (owner->n_messages > 1)
    {
      close_it (owner);
      return;
    }
  drive_until (self, self->transport == NULL);
  g_string_append (owner->log, "(waited)");
}

static void
test_nested_close (Fixture       *self,
                   gconstpointer  setup)
{
  self->owner->on_message = wait_for_close;
  mock_send (self->mock, "one\ntwo\nthree\n");
  mock_block_done (self->mock);
  self->gone_is_fine = TRUE;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;(waited)");
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  Fixture *fixture;
  enum { COMMIT, WORK, DRAINED, REMOVE } what;
} Poke;

/* Once the context waits, which nothing but this will end. */
static gpointer
poke (gpointer data)
{
  Poke *self = data;
  AqmpTransport *transport = self->fixture->transport;
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (!context_is_polling ())
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_thread_yield ();
    }

  switch (self->what)
    {
    case COMMIT:
      queue_text (self->fixture, "wake up\n");
      break;
    case WORK:
      aqmp_transport_request_work (transport);
      break;
    case DRAINED:
      aqmp_transport_request_drained (transport);
      break;
    case REMOVE:
      g_assert_true (aqmp_transport_remove_message (transport, self->fixture->token));
      break;
    default:
      g_assert_not_reached ();
    }
  return NULL;
}

static void
test_wakes (Fixture       *self,
            gconstpointer  setup)
{
  Poke pokes[] = { { self, COMMIT }, { self, WORK }, { self, DRAINED } };
  guint i;

  mock_expect_bytes (self->mock, "wake up\n", -1);
  mock_send (self->mock, "woken\n");
  aqmp_transport_set_reading (self->transport, TRUE);

  for (i = 0; i < G_N_ELEMENTS (pokes); i++)
    {
      g_autoptr (GThread) thread = NULL;

      assert_asleep (self);
      thread = g_thread_new ("poke", poke, &pokes[i]);
      drive_until (self, self->owner->n_messages + self->owner->n_work + self->owner->n_drained == i + 1);
      g_thread_join (g_steal_pointer (&thread));
    }
  g_assert_cmpstr (self->owner->log->str, ==, "woken;WORK;DRAINED;");
}

/* The last message that keeps the queue from being drained is taken back in another thread. */
static void
test_removal_wakes (Fixture       *self,
                    gconstpointer  setup)
{
  Poke remove = { self, REMOVE };
  g_autoptr (GThread) thread = NULL;
  g_autofree char *block = g_strnfill (500000, 'x');
  guint64 blocked;

  queue_text (self, block);
  queue_text (self, "never\n");
  assert_asleep (self);
  blocked = aqmp_transport_get_queued_bytes (self->transport);
  thread = g_thread_new ("poke", poke, &remove);
  while (aqmp_transport_get_queued_bytes (self->transport) == blocked)
    g_main_context_iteration (self->context, TRUE);
  g_thread_join (g_steal_pointer (&thread));
  self->gone_is_fine = TRUE;
}

#define N_THREADS 4
#define N_EACH 500

typedef struct
{
  Fixture *fixture;
  guint    number;
  int     *n_running;   /* atomic */
} Writer;

/* Messages stay whole, and each thread's in order. The token is drawn under the transport's own lock. */
static gpointer
write_many (gpointer data)
{
  Writer *self = data;
  AqmpTransport *transport = self->fixture->transport;
  guint i;

  for (i = 0; i < N_EACH; i++)
    {
      GString *text = aqmp_transport_begin_message (transport);

      g_string_append_printf (text, "%u:%u\n", self->number, i);
      aqmp_transport_commit_message (transport, ++self->fixture->token, NULL);
    }

  g_atomic_int_add (self->n_running, -1);
  g_main_context_wakeup (self->fixture->context);
  return NULL;
}

static gpointer
read_all (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  GString *all = g_string_new (NULL);
  char buffer[4096];
  gssize n_read;

  while ((n_read = recv (fd, buffer, sizeof buffer, 0)) > 0)
    g_string_append_len (all, buffer, n_read);
  return g_string_free (all, FALSE);
}

static void
test_concurrent_commits (Fixture       *self,
                         gconstpointer  setup)
{
  Writer writers[N_THREADS];
  GThread *threads[N_THREADS];
  GThread *reader;
  guint next[N_THREADS] = { 0, };
  int n_running = N_THREADS;
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autofree char *all = NULL;
  g_auto (GStrv) lines = NULL;
  guint i;

  test_socket_pair (&first, &second);
  stream = make_stream (self->setup, G_IO_STREAM (first));
  owner->transport = aqmp_transport_new (stream, G_OBJECT (owner), &owner_callbacks);
  self->transport = owner->transport;
  aqmp_transport_attach (self->transport, self->context);
  reader = g_thread_new ("reader", read_all, GINT_TO_POINTER (get_blocking_fd (second)));

  for (i = 0; i < N_THREADS; i++)
    {
      writers[i] = (Writer) { self, i, &n_running };
      threads[i] = g_thread_new ("writer", write_many, &writers[i]);
    }
  test_wait_until (g_atomic_int_get (&n_running) == 0);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  aqmp_transport_request_drained (self->transport);
  test_wait_until (owner->n_drained == 1);
  aqmp_transport_close (self->transport);
  self->transport = self->owner->transport;

  all = g_thread_join (reader);
  lines = g_strsplit (all, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, N_THREADS * N_EACH + 1);
  for (i = 0; i < N_THREADS * N_EACH; i++)
    {
      guint number;
      guint count;

      g_assert_cmpint (sscanf (lines[i], "%u:%u", &number, &count), ==, 2);
      g_assert_cmpuint (number, <, N_THREADS);
      g_assert_cmpuint (count, ==, next[number]++);
    }
}

/* One who drops the last reference while messages come in. */
typedef struct
{
  TestOwner    *owner;     /* (owned) */
  GMainContext *context;
  int           fd;
  guint         patience;
  int           done;      /* atomic */
} Dropper;

static gpointer
drop_owner (gpointer data)
{
  Dropper *self = data;
  guint i = 0;

  /* Ends with EPIPE, when the transport has closed. */
  while (send (self->fd, "message\n", 8, MSG_NOSIGNAL) > 0)
    if (i++ == self->patience)
      g_clear_object (&self->owner);

  g_assert_null (self->owner);
  g_atomic_int_set (&self->done, TRUE);
  g_main_context_wakeup (self->context);
  return NULL;
}

static void
test_last_unref_elsewhere (Fixture       *self,
                           gconstpointer  setup)
{
  guint n_rounds = (self->setup & SOCKET ? 300 : 150) / (test_timeout_scale () > 4 ? 10 : 1);
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      g_autoptr (GSocketConnection) first = NULL;
      g_autoptr (GSocketConnection) second = NULL;
      g_autoptr (GIOStream) stream = NULL;
      g_autoptr (GThread) thread = NULL;
      Dropper dropper = { .context = self->context, .patience = i % 60 };

      test_socket_pair (&first, &second);
      stream = make_stream (self->setup, G_IO_STREAM (first));
      dropper.fd = get_blocking_fd (second);
      dropper.owner = g_object_new (TEST_TYPE_OWNER, NULL);
      dropper.owner->quiet = TRUE;
      dropper.owner->transport = aqmp_transport_new (stream, G_OBJECT (dropper.owner), &owner_callbacks);
      aqmp_transport_attach (dropper.owner->transport, self->context);
      aqmp_transport_set_reading (dropper.owner->transport, TRUE);
      g_clear_object (&stream);
      g_clear_object (&first);

      thread = g_thread_new ("dropper", drop_owner, &dropper);
      test_wait_until (g_atomic_int_get (&dropper.done));
      g_thread_join (g_steal_pointer (&thread));
      /* All but the fixture's own. */
      g_assert_cmpint (count_owners (), ==, 1);
    }
  test_dispatch_pending ();
}

static void
drop_last (TestOwner  *owner,
           const char *text)
{
  Fixture *self = owner->hook_data;

  self->transport = NULL;
  g_clear_object (&self->owner);
}

/* The last reference, given up in a callback: it goes when that is over. */
static void
test_last_unref_in_callback (Fixture       *self,
                             gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  self->owner->on_message = drop_last;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpint (count_owners (), ==, 0);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  const Setup all = EVERY_KIND | EITHER_WAY;
  const Setup over_sockets = SOCKET | POLLABLE | NOT_POLLABLE;

  init_transport_tests (&argc, &argv);

  add ("S5/close", all, test_close);
  add ("S10/close-while-blocked", all, test_close_while_blocked);
  add ("T4/close-in-message", all, test_close_in_message);
  add ("T4/close-in-frame", all, test_close_in_frame);
  add ("T4/close-in-work", all, test_close_in_work);
  add ("T4/close-in-drained", all, test_close_in_drained);
  add ("T4/close-in-failed", all, test_close_in_failed);
  add ("T4/close-in-failed-by-write", all, test_close_in_failed_by_write);
  add ("T4/nested", all, test_nested);
  add ("T4/nested-failure", all, test_nested_failure);
  add ("T4/nested-close", all, test_nested_close);
  add ("T4/last-unref-in-callback", all, test_last_unref_in_callback);
  add ("T2/wakes", EVERY_KIND | ATTACHED, test_wakes);
  add ("T2/removal-wakes", EVERY_KIND | ATTACHED, test_removal_wakes);
  add ("T2/concurrent-commits", over_sockets | ATTACHED, test_concurrent_commits);
  add ("T2/last-unref-elsewhere", over_sockets | ATTACHED, test_last_unref_elsewhere);

  return g_test_run ();
}
