/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The transport: driven without a context, and what driving it costs. */

#include "transport-fixture.h"

#include <sys/socket.h>

#include "syscall-counter.h"

/* ---- without a context ------------------------------------------------------------------------------------------- */

static void
test_iterate_timeout (Fixture       *self,
                      gconstpointer  setup)
{
  gint64 before;

  aqmp_transport_set_reading (self->transport, TRUE);
  before = g_get_monotonic_time ();
  g_assert_false (aqmp_transport_iterate (self->transport, 30, NULL));
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 29000);
  g_assert_false (aqmp_transport_iterate (self->transport, 0, NULL));
}

/* Without waiting at all, what is there is taken. */
static void
test_iterate_no_wait (Fixture       *self,
                      gconstpointer  setup)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  if (self->setup & NOT_POLLABLE)
    /* Somebody else reads it, which takes a moment. */
    while (self->owner->n_messages < 2 && g_get_monotonic_time () < deadline)
      {
        aqmp_transport_iterate (self->transport, 0, NULL);
        g_thread_yield ();
      }
  else
    g_assert_true (aqmp_transport_iterate (self->transport, 0, NULL));
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;");
  g_assert_false (aqmp_transport_iterate (self->transport, 0, NULL));
}

static gpointer
cancel_later (gpointer cancellable)
{
  /* Most often the other thread waits by then; it makes no difference. */
  g_usleep (5000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_iterate_cancellable (Fixture       *self,
                          gconstpointer  setup)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread;

  aqmp_transport_set_reading (self->transport, TRUE);
  thread = g_thread_new ("cancel", cancel_later, cancellable);
  g_assert_false (aqmp_transport_iterate (self->transport, -1, cancellable));
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  g_thread_join (thread);

  /* Cancelled before. */
  g_assert_false (aqmp_transport_iterate (self->transport, -1, cancellable));

  /* The stream is none the worse for it. */
  mock_send (self->mock, "one\n");
  drive_until (self, self->owner->n_messages == 1);
}

/* One and the same transport, now by its source and now by hand. */
static void
test_interleaved (Fixture       *self,
                  gconstpointer  setup)
{
  guint i;

  aqmp_transport_set_reading (self->transport, TRUE);
  for (i = 0; i < 50; i++)
    {
      g_autofree char *request = g_strdup_printf ("request %u\n", i);
      g_autofree char *reply = g_strdup_printf ("reply %u\n", i);

      mock_expect_bytes (self->mock, request, -1);
      mock_send (self->mock, reply);
      queue_text (self, request);
      if (i % 3 == 0)
        while (self->owner->n_messages <= i)
          g_assert_true (iterate (self));
      else
        drive_until (self, self->owner->n_messages > i);
    }
  assert_asleep (self);
  g_assert_cmpuint (self->owner->n_messages, ==, 50);
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

#define N_WARM_UP 20
#define N_CALLS 1000

static gpointer
echo (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  char buffer[64];
  gssize n_read;

  test_mark_helper_thread ();
  while ((n_read = recv (fd, buffer, sizeof buffer, 0)) > 0)
    g_assert_cmpint (send (fd, buffer, n_read, MSG_NOSIGNAL), ==, n_read);
  return NULL;
}

static void
send_next (TestOwner  *owner,
           const char *text)
{
  if (owner->n_messages < N_WARM_UP + N_CALLS)
    queue_text (owner->hook_data, "next\n");
}

/* A call that is sent, waited for and received: sendmsg(), poll(), recv(). */
static void
test_three_calls (Fixture       *self,
                  gconstpointer  setup)
{
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autofree char *table = NULL;
  GThread *thread;
  int fd;

  test_socket_pair (&first, &second);
  fd = get_blocking_fd (second);
  thread = g_thread_new ("echo", echo, GINT_TO_POINTER (fd));

  owner->quiet = TRUE;
  owner->on_message = send_next;
  owner->hook_data = self;
  owner->transport = aqmp_transport_new (G_IO_STREAM (first), G_OBJECT (owner), &owner_callbacks);
  self->transport = owner->transport;
  aqmp_transport_attach (self->transport, self->context);
  aqmp_transport_set_reading (self->transport, TRUE);
  queue_text (self, "first\n");
  while (owner->n_messages < N_WARM_UP)
    g_main_context_iteration (self->context, TRUE);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  while (owner->n_messages < N_WARM_UP + N_CALLS)
    g_main_context_iteration (self->context, TRUE);
  table = syscall_counter_table (SYSCALL_COUNTER_THREAD);
  g_test_message ("%s", table);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "write"), ==, 0);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "read"), ==, 0);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "recv"), ==, N_CALLS);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "sendmsg"), ==, N_CALLS);
  g_assert_cmpuint (syscall_counter_total (SYSCALL_COUNTER_THREAD), ==, 3 * N_CALLS);

  aqmp_transport_close (self->transport);
  g_thread_join (thread);
  self->transport = self->owner->transport;
}

/* All that is queued goes out in one call. */
static void
test_one_write (Fixture       *self,
                gconstpointer  setup)
{
  g_autoptr (GString) expected = g_string_new (NULL);
  guint i;

  for (i = 0; i < 100; i++)
    {
      g_autofree char *text = g_strdup_printf ("message %u\n", i);

      queue_text (self, text);
      if (i % 10 == 5)
        g_assert_true (aqmp_transport_remove_message (self->transport, self->token));
      else
        g_string_append (expected, text);
    }
  mock_expect_bytes (self->mock, expected->str, -1);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  g_main_context_iteration (self->context, FALSE);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "sendmsg"), ==, 1);
  mock_block_done (self->mock);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  init_transport_tests (&argc, &argv);

  add ("iterate/timeout", EVERY_KIND | ITERATED, test_iterate_timeout);
  add ("iterate/no-wait", EVERY_KIND | ITERATED, test_iterate_no_wait);
  add ("iterate/cancellable", EVERY_KIND | ITERATED, test_iterate_cancellable);
  add ("iterate/interleaved", EVERY_KIND | ATTACHED, test_interleaved);
  add ("system-calls/three", SOCKET | ATTACHED, test_three_calls);
  add ("system-calls/one-write", SOCKET | ATTACHED, test_one_write);

  return g_test_run ();
}
