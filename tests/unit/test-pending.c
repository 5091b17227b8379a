/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The table of pending calls, and the ids by which they are found. */

#include "aqmp-glib/aqmp-pending-private.h"

#include <string.h>

/* --- Ids ---------------------------------------------------------------------------------------------------------- */

static gboolean
parse (AqmpCallId *id,
       const char *json)
{
  return aqmp_call_id_parse (id, (const guint8 *) json, strlen (json));
}

static void
check_equal (const char *first,
             const char *second,
             gboolean    equal)
{
  AqmpCallId a;
  AqmpCallId b;

  g_assert_true (parse (&a, first));
  g_assert_true (parse (&b, second));
  if (aqmp_call_id_equal (&a, &b) != equal || aqmp_call_id_equal (&b, &a) != equal)
    g_error ("%s and %s should be %s", first, second, equal ? "equal" : "different");
  aqmp_call_id_clear (&a);
  aqmp_call_id_clear (&b);
}

static void
test_generated (void)
{
  static const struct
  {
    const char *json;
    guint64     serial;
  } generated[] = {
    { "\"aqmp-1\"", 1 },
    { "\"aqmp-9223372036854775807\"", G_GUINT64_CONSTANT (9223372036854775807) },
    { "\"\\u0061qmp-12\"", 12 },
    { "\"aqmp\\u002d\\u0031\\u0032\"", 12 },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (generated); i++)
    {
      AqmpCallId id;

      g_assert_true (parse (&id, generated[i].json));
      g_assert_null (id.own);
      g_assert_cmpuint (id.serial, ==, generated[i].serial);
    }
}

/* Like one of ours, and yet not one: no call of ours is found by it. */
static void
test_not_generated (void)
{
  static const char * const other[] = {
    "\"\"", "\"a\"", "\"aqmp-\"", "\"aqmp-0\"", "\"aqmp-01\"", "\"aqmp-1 \"", "\" aqmp-1\"", "\"aqmp-1x\"", "\"aqmp--1\"",
    "\"Aqmp-1\"", "\"aqmp-18446744073709551617\"", "\"aqmp-1\\u0000\"", "1", "-1",
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (other); i++)
    {
      AqmpCallId id;

      g_assert_true (parse (&id, other[i]));
      g_assert_nonnull (id.own);
      g_assert_cmpuint (id.serial, ==, 0);
      aqmp_call_id_clear (&id);
      g_assert_null (id.own);
    }
}

static void
test_neither_string_nor_integer (void)
{
  static const char * const other[] = {
    "", "null", "true", "false", "{}", "[]", "[1]", "1.0", "1e0", "-1.5", "18446744073709551616", "-9223372036854775809",
    "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (other); i++)
    {
      AqmpCallId id;

      if (parse (&id, other[i]))
        g_error ("%s was taken for an id", other[i]);
      g_assert_null (id.own);
    }
}

static void
test_equal (void)
{
  check_equal ("\"a\"", "\"\\u0061\"", TRUE);
  check_equal ("\"\\/\"", "\"/\"", TRUE);
  check_equal ("\"\\ud83d\\ude00\"", "\"😀\"", TRUE);
  check_equal ("\"aqmp-7\"", "\"aqmp-\\u0037\"", TRUE);
  check_equal ("0", "-0", TRUE);
  check_equal ("18446744073709551615", "18446744073709551615", TRUE);
  check_equal ("-9223372036854775808", "-9223372036854775808", TRUE);
}

static void
test_different (void)
{
  check_equal ("\"a\"", "\"b\"", FALSE);
  check_equal ("\"a\"", "\"a \"", FALSE);
  check_equal ("\"a\\u0000b\"", "\"a\\u0000c\"", FALSE);
  check_equal ("\"a\"", "\"a\\u0000\"", FALSE);
  check_equal ("\"1\"", "1", FALSE);
  check_equal ("\"aqmp-1\"", "1", FALSE);
  check_equal ("\"aqmp-1\"", "\"aqmp-2\"", FALSE);
  check_equal ("18446744073709551615", "-1", FALSE);
  check_equal ("9223372036854775808", "-9223372036854775808", FALSE);
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

static AqmpCall *
call_new (guint64     serial,
          const char *own,
          guint64     token)
{
  g_autoptr (GObject) source = g_object_new (G_TYPE_OBJECT, NULL);
  g_autoptr (GTask) task = g_task_new (source, NULL, NULL, NULL);
  AqmpCall *call = aqmp_call_new (task);

  if (own != NULL)
    g_assert_true (parse (&call->id, own));
  else
    call->id.serial = serial;
  call->token = token;
  return call;
}

/* Leaves only the table's reference. */
static void
add (AqmpPending *pending,
     AqmpCall    *call)
{
  g_assert_true (aqmp_pending_add (pending, call, FALSE));
  aqmp_call_unref (call);
}

static AqmpCall *
find (AqmpPending *pending,
      const char  *json)
{
  AqmpCallId id;
  AqmpCall *call;

  g_assert_true (parse (&id, json));
  call = aqmp_pending_find (pending, &id);
  aqmp_call_id_clear (&id);
  return call;
}

static void
end (AqmpPending *pending,
     AqmpCall    *call)
{
  aqmp_pending_remove (pending, call);
  g_assert_cmpint (call->state, ==, AQMP_CALL_ENDED);
  g_task_return_boolean (call->task, TRUE);
  aqmp_call_unref (call);
}

static void
test_add_find_remove (void)
{
  AqmpPending pending;
  AqmpCall *generated = call_new (5, NULL, 1);
  AqmpCall *string = call_new (0, "\"x\"", 2);
  AqmpCall *integer = call_new (0, "5", 3);

  aqmp_pending_init (&pending);
  add (&pending, generated);
  add (&pending, string);
  add (&pending, integer);
  g_assert_true (find (&pending, "\"aqmp-5\"") == generated);
  g_assert_true (find (&pending, "\"\\u0078\"") == string);
  g_assert_true (find (&pending, "5") == integer);
  g_assert_null (find (&pending, "\"5\""));
  g_assert_null (find (&pending, "\"aqmp-6\""));
  g_assert_cmpuint (pending.order.length, ==, 3);

  end (&pending, string);
  g_assert_null (find (&pending, "\"x\""));
  end (&pending, generated);
  g_assert_null (find (&pending, "\"aqmp-5\""));
  end (&pending, integer);
  g_assert_cmpuint (pending.order.length, ==, 0);
  aqmp_pending_clear (&pending);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
test_id_in_use (void)
{
  AqmpPending pending;
  AqmpCall *first = call_new (0, "\"x\"", 1);
  AqmpCall *second = call_new (0, "\"\\u0078\"", 2);

  aqmp_pending_init (&pending);
  add (&pending, first);
  g_assert_false (aqmp_pending_add (&pending, second, FALSE));
  g_assert_true (find (&pending, "\"x\"") == first);
  g_assert_cmpuint (pending.order.length, ==, 1);

  /* Abandoned, it still is. */
  aqmp_pending_abandon (&pending, first);
  g_assert_false (aqmp_pending_add (&pending, second, FALSE));
  end (&pending, first);
  add (&pending, second);
  end (&pending, second);
  aqmp_pending_clear (&pending);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
test_abandoned_counted (void)
{
  AqmpPending pending;
  AqmpCall *first = call_new (1, NULL, 1);
  AqmpCall *second = call_new (2, NULL, 2);

  aqmp_pending_init (&pending);
  add (&pending, first);
  add (&pending, second);
  g_assert_cmpuint (pending.n_abandoned, ==, 0);
  aqmp_pending_abandon (&pending, first);
  g_assert_cmpint (first->state, ==, AQMP_CALL_ABANDONED);
  g_assert_cmpuint (pending.n_abandoned, ==, 1);
  /* It is still found: by its late reply. */
  g_assert_true (find (&pending, "\"aqmp-1\"") == first);
  end (&pending, second);
  g_assert_cmpuint (pending.n_abandoned, ==, 1);
  end (&pending, first);
  g_assert_cmpuint (pending.n_abandoned, ==, 0);
  aqmp_pending_clear (&pending);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* The only one that was written, whatever waits behind it. */
static void
test_sole (void)
{
  AqmpPending pending;
  AqmpCall *first = call_new (1, NULL, 10);
  AqmpCall *second = call_new (2, NULL, 20);
  AqmpCall *third = call_new (3, NULL, 30);

  aqmp_pending_init (&pending);
  g_assert_null (aqmp_pending_find_sole (&pending, 100));
  add (&pending, first);
  g_assert_null (aqmp_pending_find_sole (&pending, 9));
  g_assert_true (aqmp_pending_find_sole (&pending, 10) == first);
  add (&pending, second);
  add (&pending, third);
  g_assert_true (aqmp_pending_find_sole (&pending, 10) == first);
  g_assert_true (aqmp_pending_find_sole (&pending, 19) == first);
  g_assert_null (aqmp_pending_find_sole (&pending, 20));
  end (&pending, first);
  g_assert_true (aqmp_pending_find_sole (&pending, 20) == second);
  /* A call that was given up counts, as its reply is still to come. */
  aqmp_pending_abandon (&pending, second);
  g_assert_true (aqmp_pending_find_sole (&pending, 20) == second);
  g_assert_null (aqmp_pending_find_sole (&pending, 30));
  end (&pending, third);
  g_assert_true (aqmp_pending_find_sole (&pending, 30) == second);
  end (&pending, second);
  aqmp_pending_clear (&pending);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pending/Q5/id/generated", test_generated);
  g_test_add_func ("/pending/Q5/id/not-generated", test_not_generated);
  g_test_add_func ("/pending/Q5/id/neither-string-nor-integer", test_neither_string_nor_integer);
  g_test_add_func ("/pending/Q5/id/equal-by-value", test_equal);
  g_test_add_func ("/pending/Q5/id/different", test_different);
  g_test_add_func ("/pending/table/add-find-remove", test_add_find_remove);
  g_test_add_func ("/pending/Q5/table/id-in-use", test_id_in_use);
  g_test_add_func ("/pending/Q8/table/abandoned-counted", test_abandoned_counted);
  g_test_add_func ("/pending/Q4/table/sole-written", test_sole);

  return g_test_run ();
}
