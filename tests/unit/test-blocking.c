/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Where a thread waits for what another one has for it. */

#include "aqmp-glib/aqmp-blocking-private.h"

#include "util.h"

#define N_RACES 2000

static guint n_freed;

static void
count_free (gpointer result)
{
  n_freed++;
  g_free (result);
}

/* ---- in one thread ----------------------------------------------------------------------------------------------- */

static void
test_result (void)
{
  g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_blocking_is_done (blocking));
  aqmp_blocking_return (blocking, g_strdup ("x"), count_free, NULL);
  g_assert_true (aqmp_blocking_is_done (blocking));
  g_assert_true (aqmp_blocking_wait (blocking, -1, NULL, &error));
  g_assert_no_error (error);
  result = aqmp_blocking_propagate (blocking, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "x");
}

static void
test_error (void)
{
  g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
  g_autoptr (GError) error = NULL;

  aqmp_blocking_return (blocking, NULL, NULL, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "why"));
  g_assert_true (aqmp_blocking_wait (blocking, -1, NULL, &error));
  g_assert_no_error (error);
  g_assert_null (aqmp_blocking_propagate (blocking, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_assert_cmpstr (error->message, ==, "why");
}

/* What nobody has asked for goes with it, once the last reference does. */
static void
test_not_propagated (void)
{
  AqmpBlocking *blocking = aqmp_blocking_new ();
  AqmpBlocking *failed = aqmp_blocking_new ();

  n_freed = 0;
  aqmp_blocking_return (blocking, g_strdup ("x"), count_free, NULL);
  aqmp_blocking_ref (blocking);
  aqmp_blocking_unref (blocking);
  g_assert_cmpuint (n_freed, ==, 0);
  aqmp_blocking_unref (blocking);
  g_assert_cmpuint (n_freed, ==, 1);

  aqmp_blocking_return (failed, NULL, NULL, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "why"));
  aqmp_blocking_unref (failed);
}

static void
test_timeout (void)
{
  g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;

  g_assert_false (aqmp_blocking_wait (blocking, aqmp_blocking_deadline (20), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 20 * 1000);

  /* A deadline that has passed is no longer waited for. */
  g_clear_error (&error);
  g_assert_false (aqmp_blocking_wait (blocking, start, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void
test_deadline (void)
{
  gint64 before = g_get_monotonic_time ();
  gint64 deadline = aqmp_blocking_deadline (G_MAXUINT);

  g_assert_cmpint (aqmp_blocking_deadline (0), ==, -1);
  g_assert_cmpint (deadline, >=, before + (gint64) G_MAXUINT * 1000);
  g_assert_cmpint (deadline, <=, g_get_monotonic_time () + (gint64) G_MAXUINT * 1000);
}

static void
test_cancelled_before (void)
{
  g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (aqmp_blocking_wait (blocking, -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* What was returned counts, whatever else there was. */
static void
test_returned_goes_first (void)
{
  g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  aqmp_blocking_return (blocking, NULL, NULL, NULL);
  g_cancellable_cancel (cancellable);
  g_assert_true (aqmp_blocking_wait (blocking, 0, cancellable, &error));
  g_assert_no_error (error);
}

/* Nothing is left at the cancellable that would keep the rest alive, or be called later. */
static void
test_leaves_cancellable (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  AqmpBlocking *blocking = aqmp_blocking_new ();
  guint signal_id = g_signal_lookup ("cancelled", G_TYPE_CANCELLABLE);

  n_freed = 0;
  g_assert_false (aqmp_blocking_wait (blocking, g_get_monotonic_time (), cancellable, NULL));
  g_assert_false (g_signal_has_handler_pending (cancellable, signal_id, 0, TRUE));
  aqmp_blocking_return (blocking, g_strdup ("x"), count_free, NULL);
  aqmp_blocking_unref (blocking);
  g_assert_cmpuint (n_freed, ==, 1);
  g_cancellable_cancel (cancellable);
}

/* ---- with another thread ----------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpBlocking *blocking;
  GCancellable *cancellable;
  gboolean      cancels;
  guint         pause;        /* turns of an empty loop */
} Other;

static gpointer
do_other (gpointer data)
{
  Other *other = data;
  volatile guint i;

  for (i = 0; i < other->pause; i++)
    ;
  if (other->cancels)
    g_cancellable_cancel (other->cancellable);
  else
    aqmp_blocking_return (other->blocking, g_strdup ("x"), count_free, NULL);
  return NULL;
}

static void
test_returned_meanwhile (void)
{
  guint i;

  for (i = 0; i < N_RACES; i++)
    {
      g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Other other = { blocking, NULL, FALSE, i % 100 * 100 };
      GThread *thread = g_thread_new ("other", do_other, &other);
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (aqmp_blocking_wait (blocking, i % 2 == 0 ? -1 : aqmp_blocking_deadline (60 * 1000),
                                         i % 4 < 2 ? cancellable : NULL, &error));
      g_assert_no_error (error);
      result = aqmp_blocking_propagate (blocking, &error);
      g_assert_cmpstr (result, ==, "x");
      g_thread_join (thread);
    }
}

/* Both at once. If it was cancelled first, a second wait without the cancellable gets what comes. */
static void
test_cancelled_meanwhile (void)
{
  guint n_cancelled = 0;
  guint i;

  for (i = 0; i < N_RACES; i++)
    {
      g_autoptr (AqmpBlocking) blocking = aqmp_blocking_new ();
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Other canceller = { blocking, cancellable, TRUE, 0 };
      Other returner = { blocking, NULL, FALSE, i % 50 * 200 };
      GThread *first = g_thread_new ("canceller", do_other, &canceller);
      GThread *second = g_thread_new ("returner", do_other, &returner);
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      if (!aqmp_blocking_wait (blocking, -1, cancellable, &error))
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          n_cancelled++;
          g_assert_true (aqmp_blocking_wait (blocking, -1, NULL, NULL));
        }
      result = aqmp_blocking_propagate (blocking, NULL);
      g_assert_cmpstr (result, ==, "x");
      g_thread_join (first);
      g_thread_join (second);
    }

  g_test_message ("%u of %d were cancelled first", n_cancelled, N_RACES);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/blocking/result", test_result);
  g_test_add_func ("/blocking/error", test_error);
  g_test_add_func ("/blocking/not-propagated", test_not_propagated);
  g_test_add_func ("/blocking/timeout", test_timeout);
  g_test_add_func ("/blocking/deadline", test_deadline);
  g_test_add_func ("/blocking/cancelled-before", test_cancelled_before);
  g_test_add_func ("/blocking/returned-goes-first", test_returned_goes_first);
  g_test_add_func ("/blocking/leaves-the-cancellable", test_leaves_cancellable);
  g_test_add_func ("/blocking/returned-meanwhile", test_returned_meanwhile);
  g_test_add_func ("/blocking/cancelled-meanwhile", test_cancelled_meanwhile);

  return g_test_run ();
}
