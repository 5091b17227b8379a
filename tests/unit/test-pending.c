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
  AqmpCall *call = aqmp_call_new (aqmp_result_new (source, NULL, NULL, NULL, NULL));

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
  aqmp_result_return (g_steal_pointer (&call->result), NULL, NULL, NULL);
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

/* How many calls there are in the fullest bucket. */
static guint
longest_chain (AqmpPending *pending)
{
  guint longest = 0;
  gsize i;

  for (i = 0; i < (gsize) 1 << pending->n_bits; i++)
    {
      AqmpCall *call;
      guint length = 0;

      for (call = pending->buckets[i]; call != NULL; call = call->next)
        length++;
      longest = MAX (longest, length);
    }
  return longest;
}

/* The table grows and shrinks with them, and they spread over it: those that came in turn, and those that were left of many. */
static void
test_many (gconstpointer distance)
{
  const guint n_calls = 5000;
  const guint step = GPOINTER_TO_UINT (distance);
  AqmpPending pending;
  guint i;

  aqmp_pending_init (&pending);
  for (i = 0; i < n_calls; i++)
    add (&pending, call_new (1 + (guint64) i * step, NULL, i));
  g_assert_cmpuint (1u << pending.n_bits, >=, n_calls / 2);
  g_assert_cmpuint (longest_chain (&pending), <=, 4);

  for (i = 0; i < n_calls; i++)
    {
      AqmpCallId id = { 1 + (guint64) i * step, NULL };
      AqmpCall *call = aqmp_pending_find (&pending, &id);

      g_assert_nonnull (call);
      g_assert_cmpuint (call->id.serial, ==, id.serial);
      end (&pending, call);
      g_assert_null (aqmp_pending_find (&pending, &id));
    }
  g_assert_cmpuint (pending.n_bits, <=, 5);
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

/* --- Holding back -------------------------------------------------------------------------------------------------- */

/* What a call is like, in letters: "i" in-band, "o" out of band; capitals carry descriptors. */
static AqmpCall *
make_call (guint64 serial,
           char    kind)
{
  AqmpCall *call = call_new (serial, NULL, serial);

  call->out_of_band = g_ascii_tolower (kind) == 'o';
  call->carries_fds = g_ascii_isupper (kind);
  return call;
}

/* As the client does; leaves only the table's reference. Returns whether it was held back. */
static gboolean
add_kind (AqmpPending *pending,
          guint64      serial,
          char         kind)
{
  AqmpCall *call = make_call (serial, kind);
  gboolean held_back = aqmp_pending_has_to_wait (pending, call);

  g_assert_true (aqmp_pending_add (pending, call, held_back));
  g_assert_cmpint (call->state, ==, held_back ? AQMP_CALL_WAITING : AQMP_CALL_PENDING);
  return held_back;
}

static AqmpCall *
get (AqmpPending *pending,
     guint64      serial)
{
  const AqmpCallId id = { .serial = serial };
  AqmpCall *call = aqmp_pending_find (pending, &id);

  g_assert_nonnull (call);
  return call;
}

/* The next that may go is that one; 0 for none. */
static void
expect_release (AqmpPending *pending,
                guint64      serial)
{
  AqmpCall *call = aqmp_pending_release (pending);

  g_assert_cmpuint (call != NULL ? call->id.serial : 0, ==, serial);
  if (call != NULL)
    {
      g_assert_cmpint (call->state, ==, AQMP_CALL_PENDING);
      g_assert_true (g_queue_peek_tail (&pending->order) == call);
    }
}

/* Its reply has come. */
static void
answer (AqmpPending *pending,
        guint64      serial)
{
  end (pending, get (pending, serial));
}

static void
finish_table (AqmpPending *pending)
{
  AqmpCall *call;

  while ((call = aqmp_pending_steal_held (pending)) != NULL)
    {
      g_assert_cmpint (call->state, ==, AQMP_CALL_ENDED);
      aqmp_result_return (g_steal_pointer (&call->result), NULL, NULL, NULL);
      aqmp_call_unref (call);
    }
  while (!g_queue_is_empty (&pending->order))
    end (pending, g_queue_peek_head (&pending->order));
  g_assert_cmpuint (pending->n_in_band, ==, 0);
  g_assert_cmpuint (pending->n_with_fds, ==, 0);
  g_assert_cmpuint (pending->n_abandoned, ==, 0);
  g_assert_cmpuint (pending->n_by_serial, ==, 0);
  aqmp_pending_clear (pending);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
fill_in_band (AqmpPending *pending)
{
  guint64 serial;

  aqmp_pending_init (pending);
  for (serial = 1; serial <= AQMP_PENDING_MAX_IN_BAND; serial++)
    g_assert_false (add_kind (pending, serial, 'i'));
}

/* Eight, and then one for each that is answered, in order. */
static void
test_limit (void)
{
  AqmpPending pending;

  g_assert_cmpint (AQMP_PENDING_MAX_IN_BAND, ==, 8);
  fill_in_band (&pending);
  g_assert_true (add_kind (&pending, 9, 'i'));
  g_assert_true (add_kind (&pending, 10, 'i'));
  g_assert_true (add_kind (&pending, 11, 'i'));
  expect_release (&pending, 0);
  g_assert_cmpuint (pending.order.length, ==, 8);

  answer (&pending, 3);
  expect_release (&pending, 9);
  expect_release (&pending, 0);
  answer (&pending, 9);
  answer (&pending, 1);
  expect_release (&pending, 10);
  expect_release (&pending, 11);
  expect_release (&pending, 0);
  finish_table (&pending);
}

/* There is room again, but somebody was there before. */
static void
test_no_overtaking (void)
{
  AqmpPending pending;

  fill_in_band (&pending);
  g_assert_true (add_kind (&pending, 9, 'i'));
  answer (&pending, 1);
  g_assert_true (add_kind (&pending, 10, 'i'));
  expect_release (&pending, 9);
  expect_release (&pending, 0);
  answer (&pending, 2);
  expect_release (&pending, 10);
  finish_table (&pending);
}

/* What runs out of band has no limit, waits behind nobody, and takes no room. */
static void
test_out_of_band_overtakes (void)
{
  AqmpPending pending;
  guint64 serial;

  fill_in_band (&pending);
  g_assert_true (add_kind (&pending, 9, 'i'));
  for (serial = 20; serial < 40; serial++)
    g_assert_false (add_kind (&pending, serial, 'o'));
  g_assert_cmpuint (pending.n_in_band, ==, 8);
  answer (&pending, 20);
  expect_release (&pending, 0);
  answer (&pending, 1);
  expect_release (&pending, 9);
  finish_table (&pending);

  aqmp_pending_init (&pending);
  for (serial = 1; serial <= 20; serial++)
    g_assert_false (add_kind (&pending, serial, 'o'));
  for (serial = 21; serial <= 28; serial++)
    g_assert_false (add_kind (&pending, serial, 'i'));
  g_assert_true (add_kind (&pending, 29, 'i'));
  finish_table (&pending);
}

/* Its reply is still to come, so it counts. */
static void
test_abandoned_takes_room (void)
{
  AqmpPending pending;

  fill_in_band (&pending);
  aqmp_pending_abandon (&pending, get (&pending, 4));
  g_assert_true (add_kind (&pending, 9, 'i'));
  expect_release (&pending, 0);
  answer (&pending, 4);
  expect_release (&pending, 9);
  finish_table (&pending);
}

static void
test_one_with_fds (void)
{
  AqmpPending pending;

  aqmp_pending_init (&pending);
  g_assert_false (add_kind (&pending, 1, 'I'));
  g_assert_true (add_kind (&pending, 2, 'I'));
  /* Without, it need not wait for that; but it would overtake. */
  g_assert_true (add_kind (&pending, 3, 'i'));
  g_assert_false (add_kind (&pending, 4, 'o'));
  g_assert_true (add_kind (&pending, 5, 'I'));
  expect_release (&pending, 0);

  answer (&pending, 4);
  expect_release (&pending, 0);
  answer (&pending, 1);
  expect_release (&pending, 2);
  expect_release (&pending, 3);
  expect_release (&pending, 0);
  /* One without makes no room. */
  answer (&pending, 3);
  expect_release (&pending, 0);
  answer (&pending, 2);
  expect_release (&pending, 5);
  finish_table (&pending);
}

/* The others behind one with descriptors that is written wait for nothing. */
static void
test_others_with_fds_outstanding (void)
{
  AqmpPending pending;
  guint64 serial;

  aqmp_pending_init (&pending);
  g_assert_false (add_kind (&pending, 1, 'I'));
  for (serial = 2; serial <= 8; serial++)
    g_assert_false (add_kind (&pending, serial, 'i'));
  g_assert_true (add_kind (&pending, 9, 'i'));
  g_assert_cmpuint (pending.n_with_fds, ==, 1);
  finish_table (&pending);
}

/* Out of band, only descriptors hold one back, and then only those that have some. */
static void
test_out_of_band_with_fds (void)
{
  AqmpPending pending;

  fill_in_band (&pending);
  g_assert_false (add_kind (&pending, 20, 'O'));
  g_assert_true (add_kind (&pending, 21, 'O'));
  g_assert_true (add_kind (&pending, 22, 'O'));
  g_assert_false (add_kind (&pending, 23, 'o'));
  g_assert_true (add_kind (&pending, 9, 'I'));
  expect_release (&pending, 0);

  /* Room in band, but not for descriptors. */
  answer (&pending, 1);
  expect_release (&pending, 0);
  /* Those out of band first. */
  answer (&pending, 20);
  expect_release (&pending, 21);
  expect_release (&pending, 0);
  answer (&pending, 21);
  expect_release (&pending, 22);
  expect_release (&pending, 0);
  answer (&pending, 22);
  expect_release (&pending, 9);
  expect_release (&pending, 0);
  finish_table (&pending);
}

/* One of each kind waits: whichever can, goes. */
static void
test_in_band_while_out_of_band_waits (void)
{
  AqmpPending pending;

  fill_in_band (&pending);
  g_assert_false (add_kind (&pending, 20, 'O'));
  g_assert_true (add_kind (&pending, 21, 'O'));
  g_assert_true (add_kind (&pending, 9, 'i'));
  answer (&pending, 1);
  expect_release (&pending, 9);
  expect_release (&pending, 0);
  answer (&pending, 20);
  expect_release (&pending, 21);
  finish_table (&pending);
}

/* Its descriptors were sent, so the next ones would close them even now. */
static void
test_abandoned_with_fds (void)
{
  AqmpPending pending;

  aqmp_pending_init (&pending);
  g_assert_false (add_kind (&pending, 1, 'I'));
  aqmp_pending_abandon (&pending, get (&pending, 1));
  g_assert_true (add_kind (&pending, 2, 'I'));
  expect_release (&pending, 0);
  answer (&pending, 1);
  expect_release (&pending, 2);
  finish_table (&pending);
}

/* Given up while it is held back: whoever it held up may go. */
static void
test_remove_held (void)
{
  AqmpPending pending;

  fill_in_band (&pending);
  g_assert_true (add_kind (&pending, 9, 'i'));
  g_assert_true (add_kind (&pending, 10, 'i'));
  g_assert_true (add_kind (&pending, 11, 'i'));
  end (&pending, get (&pending, 10));
  g_assert_cmpuint (pending.n_in_band, ==, 8);
  answer (&pending, 1);
  answer (&pending, 2);
  expect_release (&pending, 9);
  expect_release (&pending, 11);
  expect_release (&pending, 0);
  finish_table (&pending);

  aqmp_pending_init (&pending);
  g_assert_false (add_kind (&pending, 1, 'I'));
  g_assert_true (add_kind (&pending, 2, 'I'));
  g_assert_true (add_kind (&pending, 3, 'i'));
  expect_release (&pending, 0);
  end (&pending, get (&pending, 2));
  g_assert_cmpuint (pending.n_with_fds, ==, 1);
  expect_release (&pending, 3);
  g_assert_false (add_kind (&pending, 4, 'i'));

  g_assert_true (add_kind (&pending, 20, 'O'));
  g_assert_true (add_kind (&pending, 21, 'O'));
  end (&pending, get (&pending, 20));
  answer (&pending, 1);
  expect_release (&pending, 21);
  finish_table (&pending);
}

/* It has its id, whether it was sent or not. */
static void
test_held_id_in_use (void)
{
  AqmpPending pending;
  AqmpCall *again = make_call (9, 'o');

  fill_in_band (&pending);
  g_assert_true (add_kind (&pending, 9, 'i'));
  g_assert_false (aqmp_pending_add (&pending, again, FALSE));
  g_assert_false (aqmp_pending_add (&pending, again, TRUE));
  g_assert_cmpuint (pending.in_band.length, ==, 1);
  g_assert_cmpuint (pending.out_of_band.length, ==, 0);
  finish_table (&pending);
  aqmp_result_return (g_steal_pointer (&again->result), NULL, NULL, NULL);
  aqmp_call_unref (again);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* A call that is not sent yet is not the one that a reply without id is for. */
static void
test_held_is_not_sole (void)
{
  AqmpPending pending;

  aqmp_pending_init (&pending);
  g_assert_false (add_kind (&pending, 1, 'I'));
  g_assert_true (add_kind (&pending, 2, 'I'));
  g_assert_true (aqmp_pending_find_sole (&pending, G_MAXUINT64) == get (&pending, 1));
  answer (&pending, 1);
  g_assert_null (aqmp_pending_find_sole (&pending, G_MAXUINT64));
  expect_release (&pending, 2);
  g_assert_true (aqmp_pending_find_sole (&pending, G_MAXUINT64) == get (&pending, 2));
  finish_table (&pending);
}

/* All of them, and nobody else. */
static void
test_steal_held (void)
{
  AqmpPending pending;
  guint n_stolen = 0;
  AqmpCall *call;

  fill_in_band (&pending);
  g_assert_false (add_kind (&pending, 20, 'O'));
  g_assert_true (add_kind (&pending, 9, 'i'));
  g_assert_true (add_kind (&pending, 21, 'O'));
  g_assert_true (add_kind (&pending, 10, 'I'));
  while ((call = aqmp_pending_steal_held (&pending)) != NULL)
    {
      n_stolen++;
      g_assert_true (call->id.serial == 9 || call->id.serial == 10 || call->id.serial == 21);
      g_assert_cmpint (call->state, ==, AQMP_CALL_ENDED);
      g_assert_null (aqmp_pending_find (&pending, &call->id));
      aqmp_result_return (g_steal_pointer (&call->result), NULL, NULL, NULL);
      aqmp_call_unref (call);
    }
  g_assert_cmpuint (n_stolen, ==, 3);
  g_assert_cmpuint (pending.order.length, ==, 9);
  g_assert_cmpuint (pending.n_in_band, ==, 8);
  g_assert_cmpuint (pending.n_with_fds, ==, 1);
  expect_release (&pending, 0);
  finish_table (&pending);
}

/* What a call holds goes with it: its command, and its descriptors. */
static void
test_call_owns (void)
{
  GUnixFDList *fds = g_unix_fd_list_new ();
  AqmpCall *call = make_call (1, 'I');

  g_object_add_weak_pointer (G_OBJECT (fds), (gpointer *) &fds);
  call->fds = fds;
  call->held_text = g_string_new ("a command");
  aqmp_result_return (g_steal_pointer (&call->result), NULL, NULL, NULL);
  aqmp_call_unref (call);
  g_assert_null (fds);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* In any order, whatever happens: the limits hold, in-band calls go in order, and in the end everybody has gone. */
static void
test_held_at_random (void)
{
  static const char kinds[] = "iiiiIooO";
  guint32 seed;

  for (seed = 1; seed <= 50; seed++)
    {
      g_autoptr (GRand) random = g_rand_new_with_seed (seed);
      AqmpPending pending;
      guint64 last_in_band = 0;
      guint64 serial = 0;
      guint i;

      aqmp_pending_init (&pending);
      for (i = 0; i < 400; i++)
        {
          AqmpCall *call;

          switch (g_rand_int_range (random, 0, 5))
            {
            case 0:
            case 1:
            case 2:
              {
                char kind = kinds[g_rand_int_range (random, 0, (gint32) strlen (kinds))];

                serial++;
                if (!add_kind (&pending, serial, kind) && g_ascii_tolower (kind) == 'i')
                  {
                    g_assert_true (g_queue_is_empty (&pending.in_band));
                    last_in_band = serial;
                  }
              }
              break;
            case 3:
              if (pending.order.length > 0)
                end (&pending, g_queue_peek_nth (&pending.order, g_rand_int_range (random, 0, pending.order.length)));
              break;
            default:
              if (pending.in_band.length > 0)
                end (&pending, g_queue_peek_nth (&pending.in_band, g_rand_int_range (random, 0, pending.in_band.length)));
            }

          while ((call = aqmp_pending_release (&pending)) != NULL)
            if (!call->out_of_band)
              {
                g_assert_cmpuint (call->id.serial, >, last_in_band);
                last_in_band = call->id.serial;
              }
          g_assert_cmpuint (pending.n_in_band, <=, AQMP_PENDING_MAX_IN_BAND);
          g_assert_cmpuint (pending.n_with_fds, <=, 1);
          /* Nobody waits without need. */
          g_assert_true (g_queue_is_empty (&pending.in_band) || pending.n_in_band == AQMP_PENDING_MAX_IN_BAND ||
                         (pending.n_with_fds == 1 && ((AqmpCall *) g_queue_peek_head (&pending.in_band))->carries_fds));
          g_assert_true (g_queue_is_empty (&pending.out_of_band) || pending.n_with_fds == 1);
        }
      finish_table (&pending);
    }
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
  g_test_add_data_func ("/pending/table/many-in-turn", GUINT_TO_POINTER (1), test_many);
  g_test_add_data_func ("/pending/table/every-sixteenth", GUINT_TO_POINTER (16), test_many);
  g_test_add_data_func ("/pending/table/every-thousandth", GUINT_TO_POINTER (1000), test_many);
  g_test_add_func ("/pending/Q5/table/id-in-use", test_id_in_use);
  g_test_add_func ("/pending/Q8/table/abandoned-counted", test_abandoned_counted);
  g_test_add_func ("/pending/Q4/table/sole-written", test_sole);
  g_test_add_func ("/pending/Q9/limit", test_limit);
  g_test_add_func ("/pending/Q9/no-overtaking", test_no_overtaking);
  g_test_add_func ("/pending/Q9/out-of-band-overtakes", test_out_of_band_overtakes);
  g_test_add_func ("/pending/Q9/abandoned-takes-room", test_abandoned_takes_room);
  g_test_add_func ("/pending/Q10/one-with-descriptors", test_one_with_fds);
  g_test_add_func ("/pending/Q10/others-go-on", test_others_with_fds_outstanding);
  g_test_add_func ("/pending/Q10/out-of-band", test_out_of_band_with_fds);
  g_test_add_func ("/pending/Q10/in-band-while-out-of-band-waits", test_in_band_while_out_of_band_waits);
  g_test_add_func ("/pending/Q10/abandoned", test_abandoned_with_fds);
  g_test_add_func ("/pending/Q9/remove-held", test_remove_held);
  g_test_add_func ("/pending/Q5/held-id-in-use", test_held_id_in_use);
  g_test_add_func ("/pending/Q4/held-is-not-sole", test_held_is_not_sole);
  g_test_add_func ("/pending/Q9/steal-held", test_steal_held);
  g_test_add_func ("/pending/call-owns", test_call_owns);
  g_test_add_func ("/pending/Q9/at-random", test_held_at_random);

  return g_test_run ();
}
