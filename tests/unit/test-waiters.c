/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Watches and waiters: an operation returns exactly once, whoever ends it, in whichever thread. */

#include <string.h>

#include "aqmp-glib/aqmp-waiters-private.h"
#include "aqmp-glib/aqmp-watch-private.h"

#include "util.h"

/* ---- an operation under watch ------------------------------------------------------------------------------------ */

typedef struct
{
  AqmpWatch  watch;
  GError    *error;        /* (owned) (nullable): what it was told */
  guint      n_told;
  GThread   *told_in;
  gboolean   stop_inside;
  gboolean   is_patient;   /* when told urgently, asks to be told again */
  guint      n_put_off;
  int       *n_released;   /* atomic */
} Operation;

static void
operation_clear (gpointer data)
{
  Operation *self = data;

  g_clear_error (&self->error);
  g_atomic_int_inc (self->n_released);
}

static void
operation_unref (gpointer data)
{
  g_atomic_rc_box_release_full (data, operation_clear);
}

static gboolean
told (gpointer      operation,
      const GError *error,
      gboolean      urgently)
{
  Operation *self = operation;

  if (urgently && self->is_patient)
    {
      self->n_put_off++;
      return FALSE;
    }

  self->n_told++;
  self->told_in = g_thread_self ();
  g_clear_error (&self->error);
  self->error = g_error_copy (error);
  if (self->stop_inside)
    aqmp_watch_stop (&self->watch);
  return TRUE;
}

static Operation *
operation_new (GCancellable *cancellable,
               guint         timeout_ms,
               int          *n_released)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, NULL, NULL);
  Operation *self = g_atomic_rc_box_new0 (Operation);

  self->n_released = n_released;
  aqmp_watch_start (&self->watch, task, timeout_ms, told, self, operation_unref);
  return self;
}

static void
test_watch_nothing (void)
{
  int n_released = 0;
  Operation *operation = operation_new (NULL, 0, &n_released);

  g_assert_null (operation->watch.cancelled);
  g_assert_null (operation->watch.timed_out);
  aqmp_watch_stop (&operation->watch);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

static void
test_watch_cancelled_before (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int n_released = 0;
  Operation *operation;

  g_cancellable_cancel (cancellable);
  operation = operation_new (cancellable, 0, &n_released);
  /* Not from inside the call that starts it. */
  g_assert_cmpuint (operation->n_told, ==, 0);
  test_wait_until (operation->n_told == 1);
  test_dispatch_pending ();
  g_assert_cmpuint (operation->n_told, ==, 1);
  g_assert_error (operation->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  aqmp_watch_stop (&operation->watch);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

static void
test_watch_cancelled_while (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int n_released = 0;
  Operation *operation = operation_new (cancellable, 0, &n_released);

  test_dispatch_pending ();
  g_assert_cmpuint (operation->n_told, ==, 0);
  g_cancellable_cancel (cancellable);
  /* Cancelling only schedules. */
  g_assert_cmpuint (operation->n_told, ==, 0);
  test_wait_until (operation->n_told == 1);
  g_assert_error (operation->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  aqmp_watch_stop (&operation->watch);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

typedef struct
{
  Operation *operation;
  guint      n_told_before;  /* when something of ordinary priority ran that was ready as well */
  guint      n_put_off_before;
} Bystander;

static gboolean
look_around (gpointer user_data)
{
  Bystander *bystander = user_data;

  bystander->n_told_before = bystander->operation->n_told;
  bystander->n_put_off_before = bystander->operation->n_put_off;
  return G_SOURCE_REMOVE;
}

/* First of all; and if that is not wanted, after all that was ready too. */
static void
test_watch_order (gconstpointer data)
{
  gboolean is_patient = GPOINTER_TO_INT (data);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int n_released = 0;
  Operation *operation = operation_new (cancellable, 0, &n_released);
  Bystander bystander = { operation, G_MAXUINT, G_MAXUINT };

  operation->is_patient = is_patient;
  g_idle_add_full (G_PRIORITY_DEFAULT, look_around, &bystander, NULL);
  g_cancellable_cancel (cancellable);
  test_wait_until (operation->n_told == 1);
  test_wait_until (bystander.n_told_before != G_MAXUINT);
  g_assert_cmpuint (bystander.n_told_before, ==, is_patient ? 0 : 1);
  g_assert_cmpuint (bystander.n_put_off_before, ==, is_patient ? 1 : 0);
  test_dispatch_pending ();
  g_assert_cmpuint (operation->n_told, ==, 1);
  aqmp_watch_stop (&operation->watch);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

/* Stopped in time, even with the news already on its way. */
static void
test_watch_stopped (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int n_released = 0;
  Operation *operation = operation_new (cancellable, 1, &n_released);

  g_cancellable_cancel (cancellable);
  aqmp_watch_stop (&operation->watch);
  aqmp_watch_stop (&operation->watch);
  test_dispatch_pending ();
  g_assert_cmpuint (operation->n_told, ==, 0);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

static void
test_watch_stopped_inside (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int n_released = 0;
  Operation *operation = operation_new (cancellable, 1, &n_released);

  operation->stop_inside = TRUE;
  g_cancellable_cancel (cancellable);
  test_wait_until (operation->n_told == 1);
  g_assert_null (operation->watch.cancelled);
  g_assert_null (operation->watch.timed_out);
  test_dispatch_pending ();
  g_assert_cmpuint (operation->n_told, ==, 1);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

static void
test_watch_timeout (void)
{
  int n_released = 0;
  Operation *operation = operation_new (NULL, 10, &n_released);
  gint64 before = g_get_monotonic_time ();

  test_wait_until (operation->n_told == 1);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 9000);
  g_assert_error (operation->error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (operation->error->message, "10"));
  aqmp_watch_stop (&operation->watch);
  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 1);
}

/* The watch keeps the operation while it might tell it something. */
static void
test_watch_keeps_operation (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int n_released = 0;
  Operation *operation = operation_new (cancellable, 0, &n_released);

  operation_unref (operation);
  g_assert_cmpint (n_released, ==, 0);
  g_cancellable_cancel (cancellable);
  test_wait_until (n_released == 1);
}

static gpointer
cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

/* Told in the context of the task, wherever it is cancelled. */
static void
test_watch_cancelled_elsewhere (void)
{
  guint i;

  for (i = 0; i < 200; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      int n_released = 0;
      Operation *operation = operation_new (cancellable, 0, &n_released);
      GThread *thread = g_thread_new ("cancel", cancel, cancellable);

      if (i % 2 == 0)
        {
          test_wait_until (operation->n_told == 1);
          g_assert_true (operation->told_in == g_thread_self ());
        }
      aqmp_watch_stop (&operation->watch);
      operation_unref (operation);
      g_thread_join (thread);
      test_dispatch_pending ();
      g_assert_cmpint (n_released, ==, 1);
    }
}

/* ---- waiters ----------------------------------------------------------------------------------------------------- */

#define TEST_TYPE_OWNER (test_owner_get_type ())
G_DECLARE_FINAL_TYPE (TestOwner, test_owner, TEST, OWNER, GObject)

struct _TestOwner
{
  GObject     parent_instance;
  AqmpWaiters waiters;
};

G_DEFINE_FINAL_TYPE (TestOwner, test_owner, G_TYPE_OBJECT)

static int n_owners;

static void
test_owner_finalize (GObject *object)
{
  aqmp_waiters_clear (&TEST_OWNER (object)->waiters);
  g_atomic_int_add (&n_owners, -1);

  G_OBJECT_CLASS (test_owner_parent_class)->finalize (object);
}

static void
test_owner_class_init (TestOwnerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_owner_finalize;
}

static void
test_owner_init (TestOwner *self)
{
  aqmp_waiters_init (&self->waiters);
  g_atomic_int_inc (&n_owners);
}

/* In the order that they return. */
static GString *returned;

static void
on_returned (GObject      *source,
             GAsyncResult *result,
             gpointer      name)
{
  g_autoptr (GError) error = NULL;

  if (g_task_propagate_boolean (G_TASK (result), &error))
    g_string_append_printf (returned, "%s ", (const char *) name);
  else
    g_string_append_printf (returned, "%s:%s ", (const char *) name,
                            g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? "cancelled" : error->message);
}

static void
add (TestOwner    *owner,
     const char   *name,
     GCancellable *cancellable)
{
  aqmp_waiters_add (&owner->waiters, g_task_new (owner, cancellable, on_returned, (gpointer) name));
}

static void
return_first (TestOwner *owner)
{
  g_autoptr (GTask) task = aqmp_waiters_steal_first (&owner->waiters);

  g_assert_nonnull (task);
  g_task_return_boolean (task, TRUE);
}

static void
return_all (TestOwner    *owner,
            const GError *error)
{
  GQueue tasks = aqmp_waiters_steal (&owner->waiters);

  aqmp_waiters_return (&tasks, error);
}

static void
assert_returned (const char *expected)
{
  test_dispatch_pending ();
  g_assert_cmpstr (returned->str, ==, expected);
}

static void
test_steal_order (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);

  g_assert_true (aqmp_waiters_is_empty (&owner->waiters));
  g_assert_null (aqmp_waiters_steal_first (&owner->waiters));
  add (owner, "a", NULL);
  add (owner, "b", NULL);
  add (owner, "c", NULL);
  g_assert_false (aqmp_waiters_is_empty (&owner->waiters));
  return_first (owner);
  add (owner, "d", NULL);
  return_all (owner, NULL);
  g_assert_true (aqmp_waiters_is_empty (&owner->waiters));
  assert_returned ("a b c d ");
}

static void
test_return_error (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "sorry");

  add (owner, "a", NULL);
  add (owner, "b", NULL);
  return_all (owner, error);
  assert_returned ("a:sorry b:sorry ");
}

static void
test_cancel_before (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  g_cancellable_cancel (cancellable);
  add (owner, "a", NULL);
  add (owner, "b", cancellable);
  add (owner, "c", NULL);
  test_wait_until (returned->len > 0);
  return_all (owner, NULL);
  assert_returned ("b:cancelled a c ");
}

static void
test_cancel_while (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  add (owner, "a", NULL);
  add (owner, "b", cancellable);
  add (owner, "c", cancellable);
  assert_returned ("");
  g_cancellable_cancel (cancellable);
  g_assert_cmpstr (returned->str, ==, "");
  test_wait_until (returned->len > 20);
  assert_returned ("b:cancelled c:cancelled ");
  g_assert_false (aqmp_waiters_is_empty (&owner->waiters));
  return_first (owner);
  assert_returned ("b:cancelled c:cancelled a ");
}

/* Stolen is stolen: a cancellable can do nothing any more, not even cancelled before the task returned. */
static void
test_cancel_after (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GQueue tasks;

  add (owner, "a", cancellable);
  tasks = aqmp_waiters_steal (&owner->waiters);
  g_task_set_check_cancellable (g_queue_peek_head (&tasks), FALSE);
  g_cancellable_cancel (cancellable);
  assert_returned ("");
  aqmp_waiters_return (&tasks, NULL);
  assert_returned ("a ");
}

/* What the callbacks in the next tests do. */
static TestOwner *callback_owner;
static GCancellable *callback_cancellable;

static void
on_returned_add_another (GObject      *source,
                         GAsyncResult *result,
                         gpointer      name)
{
  on_returned (source, result, name);
  add (callback_owner, "another", NULL);
}

/* Who comes while the others return waits for the next time. */
static void
test_add_in_callback (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);

  callback_owner = owner;
  aqmp_waiters_add (&owner->waiters, g_task_new (owner, NULL, on_returned_add_another, (gpointer) "a"));
  add (owner, "b", NULL);
  test_dispatch_pending ();
  return_all (owner, NULL);
  assert_returned ("a b ");
  return_all (owner, NULL);
  assert_returned ("a b another ");
}

static void
on_returned_cancel (GObject      *source,
                    GAsyncResult *result,
                    gpointer      name)
{
  on_returned (source, result, name);
  g_cancellable_cancel (callback_cancellable);
}

/* A callback cancels the others that wait with the same cancellable, and itself. */
static void
test_cancel_in_callback (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  callback_cancellable = cancellable;
  aqmp_waiters_add (&owner->waiters, g_task_new (owner, cancellable, on_returned_cancel, (gpointer) "a"));
  add (owner, "b", cancellable);
  add (owner, "c", NULL);
  test_dispatch_pending ();
  return_first (owner);
  test_wait_until (strchr (returned->str, 'b') != NULL);
  assert_returned ("a b:cancelled ");
  return_all (owner, NULL);
  assert_returned ("a b:cancelled c ");
}

/* In the handler of "cancelled" itself, where taking a handler away would wait for itself. */
static void
on_cancelled (GCancellable *cancellable,
              TestOwner    *owner)
{
  return_all (owner, NULL);
}

static void
test_steal_in_cancelled_handler (void)
{
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GTask *task = g_task_new (owner, cancellable, on_returned, (gpointer) "a");

  g_task_set_check_cancellable (task, FALSE);
  g_signal_connect (cancellable, "cancelled", G_CALLBACK (on_cancelled), owner);
  aqmp_waiters_add (&owner->waiters, task);
  g_cancellable_cancel (cancellable);
  assert_returned ("a ");
  g_assert_true (aqmp_waiters_is_empty (&owner->waiters));
}

/* Those who wait keep the owner; nobody else has to. */
static void
test_keep_owner (void)
{
  TestOwner *owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  add (owner, "a", cancellable);
  g_object_unref (owner);
  g_assert_cmpint (n_owners, ==, 1);
  g_cancellable_cancel (cancellable);
  test_wait_until (returned->len > 0);
  test_dispatch_pending ();
  g_assert_cmpint (n_owners, ==, 0);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

#define N_ROUNDS 200
#define N_WAITERS 20

typedef struct
{
  TestOwner    *owner;
  GCancellable *cancellable;
  int           n_returned;   /* atomic */
  int           n_cancelled;  /* atomic */
} Race;

static void
on_race_returned (GObject      *source,
                  GAsyncResult *result,
                  gpointer      user_data)
{
  Race *race = user_data;

  if (!g_task_propagate_boolean (G_TASK (result), NULL))
    g_atomic_int_inc (&race->n_cancelled);
  g_atomic_int_inc (&race->n_returned);
}

static gpointer
add_many (gpointer data)
{
  Race *race = data;
  guint i;

  /* No context of its own: these return in the default one, which another thread runs meanwhile. */
  for (i = 0; i < N_WAITERS; i++)
    aqmp_waiters_add (&race->owner->waiters, g_task_new (race->owner, race->cancellable, on_race_returned, race));
  return NULL;
}

/* Added in one thread, cancelled before, returned in another: each returns once, and none stays behind. */
static void
test_added_elsewhere (void)
{
  guint i;

  for (i = 0; i < N_ROUNDS; i++)
    {
      g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Race race = { owner, cancellable, 0, 0 };
      GThread *thread;

      g_cancellable_cancel (cancellable);
      thread = g_thread_new ("add", add_many, &race);
      test_wait_until (g_atomic_int_get (&race.n_returned) == N_WAITERS);
      g_thread_join (thread);
      g_assert_cmpint (race.n_cancelled, ==, N_WAITERS);
      g_assert_true (aqmp_waiters_is_empty (&owner->waiters));
      g_assert_null (aqmp_waiters_steal_first (&owner->waiters));
      test_dispatch_pending ();
    }
}

/* Cancelled in one thread while another steals them. */
static void
test_cancelled_elsewhere (void)
{
  guint i;

  for (i = 0; i < N_ROUNDS; i++)
    {
      g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Race race = { owner, cancellable, 0, 0 };
      GThread *thread;

      add_many (&race);
      thread = g_thread_new ("cancel", cancel, cancellable);
      if (i % 2 == 0)
        g_main_context_iteration (NULL, FALSE);
      return_all (owner, NULL);
      test_wait_until (g_atomic_int_get (&race.n_returned) == N_WAITERS);
      g_thread_join (thread);
      test_dispatch_pending ();
      g_assert_cmpint (race.n_returned, ==, N_WAITERS);
      g_assert_true (aqmp_waiters_is_empty (&owner->waiters));
    }
}

static void
run (gconstpointer func)
{
  returned = g_string_new (NULL);
  ((void (*) (void)) func) ();
  test_dispatch_pending ();
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
  g_string_free (returned, TRUE);
}

#define add_test(path, func) g_test_add_data_func (path, (gconstpointer) (func), run)

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  add_test ("/watch/nothing", test_watch_nothing);
  add_test ("/watch/cancelled/before", test_watch_cancelled_before);
  add_test ("/watch/cancelled/while", test_watch_cancelled_while);
  add_test ("/watch/cancelled/elsewhere", test_watch_cancelled_elsewhere);
  g_test_add_data_func ("/watch/order/urgent", GINT_TO_POINTER (FALSE), test_watch_order);
  g_test_add_data_func ("/watch/order/patient", GINT_TO_POINTER (TRUE), test_watch_order);
  add_test ("/watch/stopped", test_watch_stopped);
  add_test ("/watch/stopped-inside", test_watch_stopped_inside);
  add_test ("/watch/timeout", test_watch_timeout);
  add_test ("/watch/keeps-operation", test_watch_keeps_operation);
  add_test ("/waiters/steal-order", test_steal_order);
  add_test ("/waiters/return-error", test_return_error);
  add_test ("/waiters/cancel/before", test_cancel_before);
  add_test ("/waiters/cancel/while", test_cancel_while);
  add_test ("/waiters/cancel/after", test_cancel_after);
  add_test ("/waiters/T4/add-in-callback", test_add_in_callback);
  add_test ("/waiters/T4/cancel-in-callback", test_cancel_in_callback);
  add_test ("/waiters/T4/steal-in-cancelled-handler", test_steal_in_cancelled_handler);
  add_test ("/waiters/S10/keep-owner", test_keep_owner);
  add_test ("/waiters/T2/added-elsewhere", test_added_elsewhere);
  add_test ("/waiters/T2/cancelled-elsewhere", test_cancelled_elsewhere);

  return g_test_run ();
}
