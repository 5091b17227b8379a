/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A context inside another: whatever wakes the inner one up wakes the outer one up. */

#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-nested-context-private.h"

#include "syscall-counter.h"
#include "util.h"

typedef struct
{
  GSource           source;
  AqmpNestedContext nested;
  GMainContext     *child;    /* (owned) */
  guint             n_dispatched;
} Nest;

static gboolean
nest_prepare (GSource *source,
              int     *timeout)
{
  Nest *self = (Nest *) source;

  *timeout = -1;
  return aqmp_nested_context_prepare (&self->nested, source, self->child, timeout);
}

static gboolean
nest_check (GSource *source)
{
  Nest *self = (Nest *) source;

  return aqmp_nested_context_check (&self->nested, source, self->child);
}

static gboolean
nest_dispatch (GSource     *source,
               GSourceFunc  callback,
               gpointer     user_data)
{
  Nest *self = (Nest *) source;

  self->n_dispatched++;
  g_main_context_iteration (self->child, FALSE);
  return G_SOURCE_CONTINUE;
}

static void
nest_finalize (GSource *source)
{
  Nest *self = (Nest *) source;

  aqmp_nested_context_clear (&self->nested);
  g_main_context_unref (self->child);
}

static GSourceFuncs nest_funcs = { nest_prepare, nest_check, nest_dispatch, nest_finalize, NULL, NULL };

static Nest *
nest_new (void)
{
  Nest *self = (Nest *) g_source_new (&nest_funcs, sizeof (Nest));

  self->child = g_main_context_new_with_flags (G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  g_source_attach (&self->source, NULL);
  return self;
}

static void
nest_free (Nest *self)
{
  g_source_destroy (&self->source);
  g_source_unref (&self->source);
}

static gboolean
count (gpointer user_data)
{
  ++*(guint *) user_data;
  return G_SOURCE_CONTINUE;
}

static gboolean
count_once (gpointer user_data)
{
  ++*(guint *) user_data;
  return G_SOURCE_REMOVE;
}

static gboolean
count_readable (int          fd,
                GIOCondition condition,
                gpointer     user_data)
{
  char byte;

  g_assert_cmpint (read (fd, &byte, 1), ==, 1);
  ++*(guint *) user_data;
  return G_SOURCE_CONTINUE;
}

static void
attach (Nest    *nest,
        GSource *source,
        guint   *counter,
        gboolean once)
{
  g_source_set_callback (source, once ? count_once : count, counter, NULL);
  g_source_attach (source, nest->child);
  g_source_unref (source);
}

static void
test_idle (void)
{
  Nest *nest = nest_new ();
  guint counter = 0;

  attach (nest, g_idle_source_new (), &counter, TRUE);
  test_wait_until (counter == 1);
  nest_free (nest);
}

static void
test_timeout (void)
{
  Nest *nest = nest_new ();
  gint64 before = g_get_monotonic_time ();
  guint counter = 0;

  attach (nest, g_timeout_source_new (20), &counter, TRUE);
  test_wait_until (counter == 1);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 19000);
  /* It waited; it did not ask again and again. */
  g_assert_cmpuint (nest->n_dispatched, <, 10);
  nest_free (nest);
}

static void
test_descriptor (void)
{
  Nest *nest = nest_new ();
  GSource *source;
  guint counter = 0;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  source = g_unix_fd_source_new (fds[0], G_IO_IN);
  g_source_set_callback (source, G_SOURCE_FUNC (count_readable), &counter, NULL);
  g_source_attach (source, nest->child);

  test_dispatch_pending ();
  g_assert_cmpuint (counter, ==, 0);
  g_assert_cmpint (write (fds[1], "xy", 2), ==, 2);
  test_wait_until (counter == 2);

  /* Gone again, it is polled no more. */
  g_source_destroy (source);
  g_source_unref (source);
  test_dispatch_pending ();
  nest->n_dispatched = 0;
  g_assert_cmpint (write (fds[1], "z", 1), ==, 1);
  test_dispatch_pending ();
  g_assert_cmpuint (counter, ==, 2);
  g_assert_cmpuint (nest->n_dispatched, ==, 0);

  nest_free (nest);
  close (fds[0]);
  close (fds[1]);
}

static gpointer
attach_elsewhere (gpointer data)
{
  Nest *nest = data;
  static guint counter;

  attach (nest, g_idle_source_new (), &counter, TRUE);
  return &counter;
}

static void
test_other_thread (void)
{
  Nest *nest = nest_new ();
  GThread *thread;
  const guint *counter;

  test_dispatch_pending ();
  thread = g_thread_new ("attach", attach_elsewhere, nest);
  test_wait_until (nest->n_dispatched > 0);
  counter = g_thread_join (thread);
  test_wait_until (*counter == 1);
  nest_free (nest);
}

static void
test_many_descriptors (void)
{
  Nest *nest = nest_new ();
  GSource *sources[20];
  guint counter = 0;
  int fds[20][2];
  guint i;

  for (i = 0; i < 20; i++)
    {
      g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]));
      sources[i] = g_unix_fd_source_new (fds[i][0], G_IO_IN);
      g_source_set_callback (sources[i], G_SOURCE_FUNC (count_readable), &counter, NULL);
      g_source_attach (sources[i], nest->child);
    }

  for (i = 0; i < 20; i++)
    {
      g_assert_cmpint (write (fds[i][1], "x", 1), ==, 1);
      test_wait_until (counter == i + 1);
    }

  for (i = 0; i < 20; i++)
    {
      g_source_destroy (sources[i]);
      g_source_unref (sources[i]);
      close (fds[i][0]);
      close (fds[i][1]);
    }
  nest_free (nest);
}

/* As long as the inner context waits for the same, the outer one is left alone: nothing wakes it up. */
static void
test_steady (void)
{
  Nest *nest = nest_new ();
  GSource *source;
  guint counter = 0;
  guint i;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  source = g_unix_fd_source_new (fds[0], G_IO_IN);
  g_source_set_callback (source, G_SOURCE_FUNC (count_readable), &counter, NULL);
  g_source_attach (source, nest->child);
  test_dispatch_pending ();

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  for (i = 0; i < 10; i++)
    g_assert_false (g_main_context_iteration (NULL, FALSE));
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "write"), ==, 0);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "read"), ==, 0);

  g_source_destroy (source);
  g_source_unref (source);
  nest_free (nest);
  close (fds[0]);
  close (fds[1]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/nested-context/idle", test_idle);
  g_test_add_func ("/nested-context/timeout", test_timeout);
  g_test_add_func ("/nested-context/descriptor", test_descriptor);
  g_test_add_func ("/nested-context/many-descriptors", test_many_descriptors);
  g_test_add_func ("/nested-context/other-thread", test_other_thread);
  g_test_add_func ("/nested-context/steady", test_steady);

  return g_test_run ();
}
