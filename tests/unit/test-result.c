/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Results of calls: when they call back, and that nobody can tell that one serves several calls. */

#include "aqmp-glib/aqmp-result-private.h"
#include "aqmp-glib/aqmp-spare-private.h"

#include "util.h"

#define MOST_SPARE AQMP_MOST_SPARE

/* --- What is called back ------------------------------------------------------------------------------------------ */

typedef struct
{
  guint         n_calls;
  GMainContext *context;      /* (unowned): the thread-default one at that time */
  GAsyncResult *result;       /* (unowned): maybe no longer there */
  GAsyncResult *kept;         /* (owned) (nullable) */
  gboolean      keeps;
  void        (*on_result) (GAsyncResult *result);
} Caller;

static void
called_back (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  Caller *self = user_data;

  self->n_calls++;
  self->context = g_main_context_get_thread_default ();
  self->result = result;
  if (self->keeps)
    self->kept = g_object_ref (result);
  if (self->on_result != NULL)
    self->on_result (result);
}

static int tag;

static AqmpResult *
result_new (gpointer source,
            Caller  *caller)
{
  return aqmp_result_new (source, NULL, called_back, caller, &tag);
}

static gboolean
run_once (gpointer user_data)
{
  void (**func) (void) = user_data;

  (*func) ();
  return G_SOURCE_REMOVE;
}

/* Inside a dispatch of @context. */
static void
dispatch_in (GMainContext *context,
             void        (*func) (void))
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, run_once, &func, NULL);
  g_source_attach (source, context);
  while (!g_source_is_destroyed (source))
    g_main_context_iteration (context, FALSE);
}

static void
dispatch (void (*func) (void))
{
  dispatch_in (NULL, func);
}

/* What the functions in dispatches share. */
static struct
{
  GObject    *source;
  AqmpResult *result;
  Caller      caller;
} self;

static void
set_up (void)
{
  self.source = g_object_new (G_TYPE_OBJECT, NULL);
  self.caller = (Caller) { 0, };
}

static void
tear_down (void)
{
  g_clear_object (&self.caller.kept);
  g_object_unref (self.source);
}

static void
make (void)
{
  self.result = result_new (self.source, &self.caller);
}

static void
return_at_once (void)
{
  aqmp_result_return (g_steal_pointer (&self.result), NULL, NULL, NULL);
  g_assert_cmpuint (self.caller.n_calls, ==, 1);
}

static void
return_for_later (void)
{
  aqmp_result_return (g_steal_pointer (&self.result), NULL, NULL, NULL);
  g_assert_cmpuint (self.caller.n_calls, ==, 0);
}

/* --- When --------------------------------------------------------------------------------------------------------- */

static void
test_at_once (void)
{
  set_up ();
  make ();
  dispatch (return_at_once);
  tear_down ();
}

static void
test_outside (void)
{
  set_up ();
  make ();
  return_for_later ();
  test_wait_until (self.caller.n_calls == 1);
  tear_down ();
}

static void
make_and_return (void)
{
  make ();
  return_for_later ();
}

static void
test_where_it_was_made (void)
{
  set_up ();
  dispatch (make_and_return);
  test_wait_until (self.caller.n_calls == 1);
  tear_down ();
}

static void
test_in_another_context (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  set_up ();
  make ();
  dispatch_in (context, return_for_later);
  test_dispatch_pending ();
  g_assert_cmpuint (self.caller.n_calls, ==, 1);

  self.caller.n_calls = 0;
  g_main_context_push_thread_default (context);
  make ();
  g_main_context_pop_thread_default (context);
  dispatch (return_for_later);
  test_dispatch_pending ();
  g_assert_cmpuint (self.caller.n_calls, ==, 0);
  while (self.caller.n_calls == 0)
    g_main_context_iteration (context, TRUE);
  g_assert_true (self.caller.context == context);

  self.caller.n_calls = 0;
  g_main_context_push_thread_default (context);
  make ();
  g_main_context_pop_thread_default (context);
  dispatch_in (context, return_at_once);
  g_assert_true (self.caller.context == context);
  g_assert_null (g_main_context_get_thread_default ());
  tear_down ();
}

/* A source that is dispatched again and again, as a transport is. */
typedef struct
{
  gboolean begins_turns;
  guint    n_dispatches;
  guint    n_calls_at_return;
} Repeater;

static gboolean
repeat (gpointer user_data)
{
  Repeater *repeater = user_data;

  if (repeater->begins_turns)
    aqmp_result_begin_turn ();

  if (repeater->n_dispatches++ == 0)
    {
      make ();
      return G_SOURCE_CONTINUE;
    }

  aqmp_result_return (g_steal_pointer (&self.result), NULL, NULL, NULL);
  repeater->n_calls_at_return = self.caller.n_calls;
  return G_SOURCE_REMOVE;
}

/* The very same source, but another turn; without word of that it is done later, and is done. */
static void
test_next_turn (gconstpointer begins_turns)
{
  Repeater repeater = { .begins_turns = begins_turns != NULL };

  set_up ();
  g_idle_add (repeat, &repeater);
  test_wait_until (repeater.n_dispatches == 2 && self.caller.n_calls == 1);
  g_assert_cmpuint (repeater.n_calls_at_return, ==, repeater.begins_turns ? 1 : 0);
  tear_down ();
}

/* --- That one serves several calls -------------------------------------------------------------------------------- */

static guint n_finalized; /* atomic */
static void (*finalize) (GObject *object);

static void
count_finalize (GObject *object)
{
  g_atomic_int_inc (&n_finalized);
  finalize (object);
}

static void
watch_finalize (void)
{
  GObjectClass *klass = g_type_class_ref (AQMP_TYPE_RESULT);

  finalize = klass->finalize;
  klass->finalize = count_finalize;
}

/* Takes those that are spare, so that a test begins without any. */
static void
use_up_spare (void)
{
  AqmpResult *results[MOST_SPARE];
  guint i;

  set_up ();
  for (i = 0; i < MOST_SPARE; i++)
    results[i] = result_new (self.source, &self.caller);
  for (i = 0; i < MOST_SPARE; i++)
    g_object_unref (results[i]);
  tear_down ();
}

static void
free_value (gpointer freed)
{
  *(gboolean *) freed = TRUE;
}

static gboolean value_is_freed;

static void
return_value (void)
{
  aqmp_result_return (g_steal_pointer (&self.result), &value_is_freed, free_value, NULL);
}

static void
return_error (void)
{
  aqmp_result_return (g_steal_pointer (&self.result), NULL, NULL, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "no"));
}

static void
test_blank (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GObject) other_source = g_object_new (G_TYPE_OBJECT, NULL);
  g_autoptr (GError) error = NULL;
  GAsyncResult *result;
  int other_tag;

  use_up_spare ();
  set_up ();
  self.result = aqmp_result_new (self.source, cancellable, called_back, &self.caller, &tag);
  dispatch (return_error);
  self.result = aqmp_result_new (other_source, NULL, called_back, &self.caller, &other_tag);
  result = G_ASYNC_RESULT (self.result);

  g_assert_true (result == self.caller.result);
  g_assert_true (aqmp_result_is_valid (result, other_source, &other_tag));
  g_assert_false (aqmp_result_is_valid (result, other_source, &tag));
  g_assert_false (aqmp_result_is_valid (result, self.source, &other_tag));
  g_assert_null (aqmp_result_get_cancellable (self.result));
  g_assert_null (aqmp_result_propagate (result, &error));
  g_assert_no_error (error);

  self.caller.keeps = TRUE;
  value_is_freed = FALSE;
  dispatch (return_value);
  g_assert_true (aqmp_result_propagate (self.caller.kept, &error) == &value_is_freed);
  g_assert_no_error (error);
  tear_down ();
  g_assert_false (value_is_freed);
}

/* Nothing of a call is kept by what is spare. */
static void
test_holds_nothing (void)
{
  GCancellable *cancellable = g_cancellable_new ();
  GMainContext *context = g_main_context_new ();
  gpointer weak_cancellable = cancellable;
  GWeakRef source;

  use_up_spare ();
  set_up ();
  g_weak_ref_init (&source, self.source);
  g_object_add_weak_pointer (G_OBJECT (cancellable), &weak_cancellable);

  g_main_context_push_thread_default (context);
  self.result = aqmp_result_new (self.source, cancellable, called_back, &self.caller, &tag);
  g_main_context_pop_thread_default (context);
  g_object_unref (cancellable);
  tear_down ();
  value_is_freed = FALSE;
  dispatch_in (context, return_value);

  g_assert_cmpuint (self.caller.n_calls, ==, 1);
  g_assert_true (value_is_freed);
  g_assert_null (weak_cancellable);
  g_assert_null (g_weak_ref_get (&source));
  g_weak_ref_clear (&source);
  g_main_context_unref (context);
}

static void
check_next_is_another (void)
{
  AqmpResult *next = result_new (self.source, &self.caller);

  g_assert_false (G_ASYNC_RESULT (next) == self.caller.kept);
  g_object_unref (next);
}

static void
test_kept (void)
{
  use_up_spare ();
  set_up ();
  self.caller.keeps = TRUE;
  make ();
  value_is_freed = FALSE;
  dispatch (return_value);

  check_next_is_another ();
  g_assert_true (aqmp_result_is_valid (self.caller.kept, self.source, &tag));
  g_assert_true (g_async_result_get_user_data (self.caller.kept) == &self.caller);
  g_assert_true (aqmp_result_propagate (self.caller.kept, NULL) == &value_is_freed);
  tear_down ();
}

static GWeakRef weak_ref;
static gpointer weak_pointer;
static guint n_told;

static void
tell_of_data (gpointer data)
{
  n_told++;
}

static void
tell_of_object (gpointer  data,
                GObject  *where_it_was)
{
  n_told++;
}

static void
refer_by_weak_ref (GAsyncResult *result)
{
  g_weak_ref_init (&weak_ref, result);
}

static void
refer_by_weak_pointer (GAsyncResult *result)
{
  weak_pointer = result;
  g_object_add_weak_pointer (G_OBJECT (result), &weak_pointer);
}

static void
refer_by_notify (GAsyncResult *result)
{
  g_object_weak_ref (G_OBJECT (result), tell_of_object, NULL);
}

static void
refer_by_data (GAsyncResult *result)
{
  g_object_set_data_full (G_OBJECT (result), "data", &n_told, tell_of_data);
}

static void
tell_of_closure (gpointer  data,
                 GClosure *closure)
{
  n_told++;
}

static void
refer_by_closure (GAsyncResult *result)
{
  g_autoptr (GClosure) closure = g_closure_ref (g_cclosure_new_object (G_CALLBACK (g_test_skip), G_OBJECT (result)));

  g_closure_add_invalidate_notifier (closure, NULL, tell_of_closure);
  g_closure_sink (closure);
}

/* Whoever can tell that the object ends is told that it does. */
static void
check_told (void (*refer) (GAsyncResult *result),
            guint  n_to_be_told)
{
  guint before;

  use_up_spare ();
  set_up ();
  n_told = 0;
  before = g_atomic_int_get (&n_finalized);
  self.caller.on_result = refer;
  make ();
  dispatch (return_at_once);
  g_assert_cmpuint (n_told, ==, n_to_be_told);
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + 1);
  tear_down ();
}

static void
test_weakly_known (void)
{
  check_told (refer_by_weak_ref, 0);
  g_assert_null (g_weak_ref_get (&weak_ref));
  g_weak_ref_clear (&weak_ref);
  check_told (refer_by_weak_pointer, 0);
  g_assert_null (weak_pointer);
  check_told (refer_by_notify, 1);
  check_told (refer_by_data, 1);
  check_told (refer_by_closure, 1);
}

static void
toggled (gpointer  data,
         GObject  *object,
         gboolean  is_last)
{
  n_told += is_last;
}

static void
refer_by_toggle (GAsyncResult *result)
{
  g_object_add_toggle_ref (G_OBJECT (result), toggled, NULL);
}

/* As languages do: theirs is the last reference when the library has dropped its own. */
static void
test_toggled (void)
{
  guint before;

  use_up_spare ();
  before = g_atomic_int_get (&n_finalized);
  set_up ();
  n_told = 0;
  self.caller.on_result = refer_by_toggle;
  make ();
  dispatch (return_at_once);
  g_assert_cmpuint (n_told, ==, 1);
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before);
  g_object_remove_toggle_ref (G_OBJECT (self.caller.result), toggled, NULL);
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + 1);
  tear_down ();
}

static AqmpResult *many[MOST_SPARE + 36];

static void
return_many (void)
{
  guint i;

  for (i = 0; i < G_N_ELEMENTS (many); i++)
    aqmp_result_return (many[i], NULL, NULL, NULL);
}

static void
make_and_return_many (void)
{
  guint i;

  for (i = 0; i < G_N_ELEMENTS (many); i++)
    many[i] = result_new (self.source, &self.caller);
  dispatch (return_many);
}

static void
test_bounded (void)
{
  guint before;

  use_up_spare ();
  set_up ();
  before = g_atomic_int_get (&n_finalized);
  make_and_return_many ();
  g_assert_cmpuint (self.caller.n_calls, ==, G_N_ELEMENTS (many));
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + G_N_ELEMENTS (many) - MOST_SPARE);

  make_and_return_many ();
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + 2 * (G_N_ELEMENTS (many) - MOST_SPARE));
  tear_down ();
}

static void
return_many_inside (gpointer data)
{
  return_many ();
}

static void
return_with_many_inside (void)
{
  aqmp_result_return (g_steal_pointer (&self.result), &self, return_many_inside, NULL);
}

/* What a result held lets go of others when it is freed, and these take all the room there is. */
static void
test_no_room_after_all (void)
{
  guint before, i;

  use_up_spare ();
  set_up ();
  before = g_atomic_int_get (&n_finalized);
  make ();
  for (i = 0; i < G_N_ELEMENTS (many); i++)
    many[i] = result_new (self.source, &self.caller);
  dispatch (return_with_many_inside);
  g_assert_cmpuint (self.caller.n_calls, ==, G_N_ELEMENTS (many) + 1);
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + G_N_ELEMENTS (many) + 1 - MOST_SPARE);
  tear_down ();
}

static _Thread_local AqmpSpare others;
static gpointer other;

/* Also of other classes. */
static gpointer
do_calls (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  other = aqmp_spare_take (&others, G_TYPE_OBJECT);
  aqmp_spare_keep (&others, other);
  g_object_add_weak_pointer (other, &other);

  g_main_context_push_thread_default (context);
  set_up ();
  make ();
  dispatch_in (context, return_at_once);
  tear_down ();
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_end_of_thread (void)
{
  guint before = g_atomic_int_get (&n_finalized);

  g_thread_join (g_thread_new ("caller", do_calls, NULL));
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + 1);
  g_assert_null (other);
}

static gpointer
return_in_context (gpointer context)
{
  dispatch_in (context, return_at_once);
  return NULL;
}

/* A thread that has made none, but runs the context where they come back. */
static void
test_end_of_other_thread (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint before;

  use_up_spare ();
  before = g_atomic_int_get (&n_finalized);
  set_up ();
  g_main_context_push_thread_default (context);
  make ();
  g_main_context_pop_thread_default (context);
  g_thread_join (g_thread_new ("runs context", return_in_context, context));
  g_assert_cmpuint (g_atomic_int_get (&n_finalized), ==, before + 1);
  tear_down ();
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  watch_finalize ();

  g_test_add_func ("/result/calls-back/at-once", test_at_once);
  g_test_add_func ("/result/calls-back/outside-any-dispatch", test_outside);
  g_test_add_func ("/result/calls-back/not-where-it-was-made", test_where_it_was_made);
  g_test_add_func ("/result/calls-back/not-in-another-context", test_in_another_context);
  g_test_add_data_func ("/result/calls-back/in-the-next-turn", "turns", test_next_turn);
  g_test_add_data_func ("/result/calls-back/later-without-turns", NULL, test_next_turn);
  g_test_add_func ("/result/spare/blank", test_blank);
  g_test_add_func ("/result/spare/holds-nothing", test_holds_nothing);
  g_test_add_func ("/result/spare/not-if-kept", test_kept);
  g_test_add_func ("/result/spare/not-if-weakly-known", test_weakly_known);
  g_test_add_func ("/result/spare/not-if-toggled", test_toggled);
  g_test_add_func ("/result/spare/bounded", test_bounded);
  g_test_add_func ("/result/spare/no-room-after-all", test_no_room_after_all);
  g_test_add_func ("/result/spare/end-of-thread", test_end_of_thread);
  g_test_add_func ("/result/spare/end-of-thread-that-called-back", test_end_of_other_thread);

  return g_test_run ();
}
