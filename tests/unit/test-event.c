/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <glib.h>
#include <math.h>
#include <string.h>

#include "aqmp-glib/aqmp-event-private.h"

#define N_THREADS 8

/* What the client does with an event that came: scans it, and hands over where its members are. */
static AqmpEvent *
event_from_wire (const char *json)
{
  static const char * const names[] = { "event", "timestamp", "data", NULL };
  g_autoptr (GBytes) message = g_bytes_new (json, strlen (json));
  g_autoptr (GError) error = NULL;
  g_autofree char *name = NULL;
  const guint8 *text = g_bytes_get_data (message, NULL);
  AqmpJsonScan scan;

  aqmp_json_validate (&scan, names, text, strlen (json), &error);
  g_assert_no_error (error);
  name = aqmp_json_dup_string (text + scan.members[0].start, scan.members[0].end - scan.members[0].start);

  return aqmp_event_new_from_message (name, message, scan.members[1], scan.members[2]);
}

static void
assert_bytes (AqmpEvent  *event,
              const char *expected)
{
  g_autoptr (GBytes) bytes = aqmp_event_to_bytes (event);

  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), expected, strlen (expected));
}

static JsonObject *
make_data (void)
{
  JsonObject *data = json_object_new ();
  JsonObject *inner = json_object_new ();

  json_object_set_int_member (inner, "exact", G_MININT64);
  json_object_set_boolean_member (data, "guest", TRUE);
  json_object_set_object_member (data, "inner", inner);
  json_object_set_null_member (data, "nothing");

  return data;
}

static void
test_wire_members (void)
{
  const char *json = "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"SHUTDOWN\","
                     " \"data\" : {\"guest\": true, \"reason\": \"guest-shutdown\", \"n\": 9223372036854775807} }";
  g_autoptr (AqmpEvent) event = event_from_wire (json);
  JsonObject *data = aqmp_event_get_data (event);

  g_assert_cmpstr (aqmp_event_get_name (event), ==, "SHUTDOWN");
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, G_GINT64_CONSTANT (1700000000123456));
  g_assert_nonnull (data);
  g_assert_true (json_object_is_immutable (data));
  g_assert_cmpstr (json_object_get_string_member (data, "reason"), ==, "guest-shutdown");
  g_assert_cmpint (json_object_get_int_member (data, "n"), ==, G_MAXINT64);
  g_assert_true (aqmp_event_get_data (event) == data);
  assert_bytes (event, json);
}

static void
test_wire_no_data (void)
{
  const char *json = "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":1,\"microseconds\":0}}";
  g_autoptr (AqmpEvent) event = event_from_wire (json);

  g_assert_null (aqmp_event_get_data (event));
  g_assert_null (aqmp_event_get_data (event));
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, G_USEC_PER_SEC);
  assert_bytes (event, json);
}

static void
test_wire_no_tree (void)
{
  const char * const cases[] =
  {
    "{\"event\": \"X\", \"data\": {\"text\": \"a\\u0000b\"}}",
    "{\"event\": \"X\", \"data\": {\"number\": 1e400}}",
    "{\"event\": \"X\", \"data\": []}",
    "{\"event\": \"X\", \"data\": null}",
    "{\"event\": \"X\", \"data\": \"text\"}",
    "{\"event\": \"X\", \"data\": 7}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AqmpEvent) event = event_from_wire (cases[i]);

      g_assert_null (aqmp_event_get_data (event));
      g_assert_null (aqmp_event_get_data (event));
      assert_bytes (event, cases[i]);
    }
}

static void
test_wire_empty_data (void)
{
  g_autoptr (AqmpEvent) event = event_from_wire ("{\"event\": \"X\", \"data\": {}}");

  g_assert_nonnull (aqmp_event_get_data (event));
  g_assert_cmpuint (json_object_get_size (aqmp_event_get_data (event)), ==, 0);
  g_assert_true (json_object_is_immutable (aqmp_event_get_data (event)));
}

typedef struct
{
  AqmpEvent *event;
  GMutex     start;
} ThreadTest;

static gpointer
get_data_in_thread (gpointer user_data)
{
  ThreadTest *test = user_data;

  g_mutex_lock (&test->start);
  g_mutex_unlock (&test->start);

  return aqmp_event_get_data (test->event);
}

static void
test_threads (void)
{
  for (int round = 0; round < 50; round++)
    {
      g_autoptr (AqmpEvent) event = event_from_wire ("{\"event\": \"X\", \"data\": {\"a\": [1, 2, {\"b\": \"c\"}]}}");
      ThreadTest test = { .event = event };
      GThread *threads[N_THREADS];
      gpointer first = NULL;

      g_mutex_init (&test.start);
      g_mutex_lock (&test.start);
      for (int i = 0; i < N_THREADS; i++)
        threads[i] = g_thread_new ("get-data", get_data_in_thread, &test);
      g_mutex_unlock (&test.start);

      for (int i = 0; i < N_THREADS; i++)
        {
          gpointer data = g_thread_join (threads[i]);

          g_assert_nonnull (data);
          g_assert_true (first == NULL || data == first);
          first = data;
        }
      g_mutex_clear (&test.start);
    }
}

static void
test_new (void)
{
  g_autoptr (JsonObject) data = make_data ();
  g_autoptr (AqmpEvent) event = aqmp_event_new ("A \"quoted\" nämé", 1700000000000007, data);
  JsonObject *got;

  /* changed after the event has it */
  json_object_set_boolean_member (json_object_get_object_member (data, "inner"), "late", TRUE);
  json_object_remove_member (data, "guest");

  got = aqmp_event_get_data (event);
  g_assert_cmpstr (aqmp_event_get_name (event), ==, "A \"quoted\" nämé");
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, 1700000000000007);
  g_assert_nonnull (got);
  g_assert_true (json_object_is_immutable (got));
  g_assert_true (json_object_get_boolean_member (got, "guest"));
  g_assert_true (json_object_get_null_member (got, "nothing"));
  g_assert_cmpint (json_object_get_int_member (json_object_get_object_member (got, "inner"), "exact"), ==, G_MININT64);
  g_assert_false (json_object_has_member (json_object_get_object_member (got, "inner"), "late"));
  g_assert_true (aqmp_event_get_data (event) == got);
}

static void
test_argument_untouched (void)
{
  g_autoptr (JsonObject) data = make_data ();
  JsonObject *inner = json_object_get_object_member (data, "inner");

  {
    g_autoptr (AqmpEvent) event = aqmp_event_new ("X", -1, data);

    g_assert_nonnull (aqmp_event_get_data (event));
    g_assert_false (json_object_is_immutable (data));
    g_assert_false (json_object_is_immutable (inner));
  }

  g_assert_cmpuint (json_object_get_size (data), ==, 3);
  json_object_set_int_member (inner, "still", 1);
}

static void
test_sealed_argument (void)
{
  g_autoptr (JsonObject) data = make_data ();
  g_autoptr (AqmpEvent) event = NULL;

  json_object_seal (data);
  event = aqmp_event_new ("X", -1, data);
  g_assert_true (json_object_equal (aqmp_event_get_data (event), data));
}

static void
test_new_to_bytes (void)
{
  g_autoptr (JsonObject) data = json_object_new ();
  g_autoptr (AqmpEvent) whole = NULL;
  g_autoptr (AqmpEvent) bare = aqmp_event_new ("STOP", -1, NULL);
  g_autoptr (AqmpEvent) epoch = aqmp_event_new ("STOP", 0, NULL);
  g_autoptr (AqmpEvent) last = aqmp_event_new ("STOP", G_MAXINT64, NULL);

  json_object_set_boolean_member (data, "guest", FALSE);
  whole = aqmp_event_new ("RESET \"\n", 12000034, data);

  assert_bytes (whole, "{\"event\":\"RESET \\\"\\n\",\"data\":{\"guest\":false},"
                       "\"timestamp\":{\"seconds\":12,\"microseconds\":34}}");
  assert_bytes (bare, "{\"event\":\"STOP\"}");
  assert_bytes (epoch, "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":0,\"microseconds\":0}}");
  assert_bytes (last, "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":9223372036854,\"microseconds\":775807}}");
}

static void
test_round_trip (void)
{
  g_autoptr (JsonObject) data = make_data ();
  g_autoptr (AqmpEvent) event = aqmp_event_new ("X", 1700000000000007, data);
  g_autoptr (GBytes) bytes = aqmp_event_to_bytes (event);
  g_autofree char *text = g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  g_autoptr (AqmpEvent) again = event_from_wire (text);

  g_assert_cmpstr (aqmp_event_get_name (again), ==, "X");
  g_assert_cmpint (aqmp_event_get_timestamp (again), ==, 1700000000000007);
  g_assert_true (json_object_equal (aqmp_event_get_data (again), data));
}

static void
test_properties (void)
{
  g_autoptr (JsonObject) data = make_data ();
  g_autoptr (AqmpEvent) event =
    g_object_new (AQMP_TYPE_EVENT, "data", data, "timestamp", G_GINT64_CONSTANT (5), "name", "X", NULL);
  g_autoptr (JsonObject) got = NULL;
  g_autofree char *name = NULL;
  gint64 timestamp = 0;

  g_object_get (event, "name", &name, "timestamp", &timestamp, "data", &got, NULL);
  g_assert_cmpstr (name, ==, "X");
  g_assert_cmpint (timestamp, ==, 5);
  g_assert_true (got == aqmp_event_get_data (event));
  g_assert_true (json_object_equal (got, data));
}

static void
test_default_properties (void)
{
  g_autoptr (AqmpEvent) event = g_object_new (AQMP_TYPE_EVENT, NULL);
  g_autoptr (AqmpEvent) repaired = g_object_new (AQMP_TYPE_EVENT, "name", "a\xff" "b", NULL);

  g_assert_cmpstr (aqmp_event_get_name (event), ==, "");
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, -1);
  g_assert_null (aqmp_event_get_data (event));
  assert_bytes (event, "{\"event\":\"\"}");

  g_assert_cmpstr (aqmp_event_get_name (repaired), ==, "a\xef\xbf\xbd" "b");
  assert_bytes (repaired, "{\"event\":\"a\xef\xbf\xbd" "b\"}");
}

/* Data at the depth limit is one level too deep inside the event. */
static JsonObject *
make_deep (int depth)
{
  JsonObject *object = json_object_new ();

  for (int i = 1; i < depth; i++)
    {
      JsonObject *outer = json_object_new ();

      json_object_set_object_member (outer, "x", object);
      object = outer;
    }

  return object;
}

static void
test_deep (void)
{
  g_autoptr (JsonObject) data = make_deep (AQMP_JSON_MAX_DEPTH - 1);
  g_autoptr (AqmpEvent) event = aqmp_event_new ("X", -1, data);

  g_assert_nonnull (aqmp_event_get_data (event));
}

static void
expect_event_without_data (JsonObject *data)
{
  g_autoptr (AqmpEvent) event = NULL;

  /* the critical message is what is expected here, not the end */
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR);
  event = aqmp_event_new ("FAULTY", 7, data);
  g_assert_nonnull (event);
  g_assert_null (aqmp_event_get_data (event));
  assert_bytes (event, "{\"event\":\"FAULTY\",\"timestamp\":{\"seconds\":0,\"microseconds\":7}}");
}

static void
test_data_unfit_for_json (gconstpointer user_data)
{
  const char *what = user_data;
  g_autoptr (JsonObject) data = NULL;

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_passed ();
      g_test_trap_assert_stderr ("*CRITICAL*left out*");
      return;
    }

  if (g_str_equal (what, "too-deep"))
    data = make_deep (AQMP_JSON_MAX_DEPTH);
  else
    {
      data = json_object_new ();
      if (g_str_equal (what, "nan"))
        json_object_set_double_member (data, "number", NAN);
      else
        json_object_set_string_member (data, "text", "\xff");
    }

  expect_event_without_data (data);
}

/* Whatever room an event has for its name. */
static void
test_wire_names (void)
{
  gsize length;

  for (length = 1; length < 300; length++)
    {
      g_autofree char *name = g_strnfill (length, 'N');
      g_autofree char *json = g_strdup_printf ("{\"event\": \"%s\"}", name);
      g_autoptr (AqmpEvent) event = event_from_wire (json);

      g_assert_cmpstr (aqmp_event_get_name (event), ==, name);
    }
}

static void
count (gpointer data)
{
  ++*(guint *) data;
}

static void
count_object (gpointer  data,
              GObject  *where)
{
  count (data);
}

static void
count_closure (gpointer  data,
               GClosure *closure)
{
  count (data);
}

/* Whoever watches an event learns that it has gone, exactly once. */
static void
test_end_is_told (void)
{
  AqmpEvent *event = event_from_wire ("{\"event\": \"STOP\"}");
  AqmpEvent *other = event_from_wire ("{\"event\": \"RESUME\"}");
  AqmpEvent *pointer = event;
  guint n_notified = 0;
  guint n_disconnected = 0;
  GWeakRef weak_ref;

  g_object_weak_ref (G_OBJECT (event), count_object, &n_notified);
  g_object_add_weak_pointer (G_OBJECT (event), (gpointer *) &pointer);
  g_weak_ref_init (&weak_ref, event);
  g_object_set_data_full (G_OBJECT (event), "test", &n_notified, count);
  g_signal_connect_data (event, "notify", G_CALLBACK (count_object), &n_disconnected, count_closure, 0);
  g_signal_connect_object (other, "notify", G_CALLBACK (count_object), event, 0);
  g_assert_true (g_signal_has_handler_pending (other, g_signal_lookup ("notify", G_TYPE_OBJECT), 0, TRUE));

  g_object_unref (event);
  g_assert_cmpuint (n_notified, ==, 2);
  g_assert_cmpuint (n_disconnected, ==, 1);
  g_assert_null (pointer);
  g_assert_null (g_weak_ref_get (&weak_ref));
  g_assert_false (g_signal_has_handler_pending (other, g_signal_lookup ("notify", G_TYPE_OBJECT), 0, TRUE));

  g_weak_ref_clear (&weak_ref);
  g_object_unref (other);
}

typedef struct
{
  const char *path;
  const char *json;
  gint64      expected;
} TimestampCase;

static const TimestampCase timestamp_cases[] =
{
  { "exact", "{\"seconds\": 1267020223, \"microseconds\": 435656}", G_GINT64_CONSTANT (1267020223435656) },
  { "microseconds-first", "{\"microseconds\":1,\"seconds\":2}", 2000001 },
  { "extra-members", "{\"seconds\": 1, \"x\": {\"seconds\": 5}, \"microseconds\": 1}", 1000001 },
  { "epoch", "{\"seconds\": 0, \"microseconds\": 0}", 0 },
  { "more-than-a-second", "{\"seconds\": 1, \"microseconds\": 2000000}", 3000000 },
  { "last", "{\"seconds\": 9223372036854, \"microseconds\": 775807}", G_MAXINT64 },
  { "unknown-stays-minus-one", "{\"seconds\": -1, \"microseconds\": -1}", -1 },
  { "unknown-seconds-only", "{\"seconds\": -1, \"microseconds\": 0}", -1 },
  { "unknown-with-microseconds", "{\"seconds\": -1, \"microseconds\": 999999}", -1 },
  { "negative-seconds", "{\"seconds\": -2, \"microseconds\": 0}", -1 },
  { "negative-microseconds", "{\"seconds\": 5, \"microseconds\": -1}", -1 },
  { "first-overflow", "{\"seconds\": 9223372036854, \"microseconds\": 775808}", -1 },
  { "overflow-seconds", "{\"seconds\": 9223372036854775807, \"microseconds\": 0}", -1 },
  { "overflow-microseconds", "{\"seconds\": 1, \"microseconds\": 9223372036854775807}", -1 },
  { "beyond-int64", "{\"seconds\": 9223372036854775808, \"microseconds\": 0}", -1 },
  { "fraction", "{\"seconds\": 1.5, \"microseconds\": 0}", -1 },
  { "text", "{\"seconds\": \"1\", \"microseconds\": 0}", -1 },
  { "null-member", "{\"seconds\": null, \"microseconds\": 0}", -1 },
  { "no-seconds", "{\"microseconds\": 0}", -1 },
  { "no-microseconds", "{\"seconds\": 1}", -1 },
  { "empty", "{}", -1 },
  { "number", "1700000000", -1 },
  { "array", "[1, 2]", -1 },
  { "null", "null", -1 },
  { "absent", "", -1 },
};

static void
test_timestamp (gconstpointer data)
{
  const TimestampCase *test = data;

  g_assert_cmpint (aqmp_event_parse_timestamp ((const guint8 *) test->json, strlen (test->json)), ==, test->expected);
}

/* With -m perf: what an event that somebody hears costs. */
static void
test_cost (void)
{
  const char *json = "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, \"event\": \"SHUTDOWN\"}";
  g_autoptr (GBytes) message = g_bytes_new_static (json, strlen (json));
  const AqmpJsonSpan none = { 0, 0 };
  const guint n = 1000000;
  double elapsed;

  if (!g_test_perf ())
    {
      g_test_skip ("not a performance run");
      return;
    }

  g_test_timer_start ();
  for (guint i = 0; i < n; i++)
    g_object_unref (aqmp_event_new_from_message ("SHUTDOWN", message, none, none));
  elapsed = g_test_timer_elapsed ();
  g_test_minimized_result (elapsed * 1e9 / n, "event object: %.0f ns", elapsed * 1e9 / n);

  g_test_timer_start ();
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (aqmp_event_parse_timestamp ((const guint8 *) json + 14, 47), >, 0);
  elapsed = g_test_timer_elapsed ();
  g_test_minimized_result (elapsed * 1e9 / n, "timestamp: %.0f ns", elapsed * 1e9 / n);
}

/* --- One that serves for several ---------------------------------------------------------------------------------- */

#define FULL_EVENT \
  "{\"event\":\"AN_EVENT_WHOSE_NAME_IS_LONGER_THAN_USUAL\",\"timestamp\":{\"seconds\":1,\"microseconds\":2},\"data\":{\"a\":1}}"

/* Nothing of the event before shows. */
static void
test_spare_is_blank (void)
{
  AqmpEvent *event = event_from_wire (FULL_EVENT);
  gpointer before = event;
  g_autofree char *name = NULL;
  JsonObject *data = NULL;
  gint64 timestamp;

  g_assert_nonnull (aqmp_event_get_data (event));
  aqmp_event_let_go (event);

  event = event_from_wire ("{\"event\":\"A\"}");
  g_assert_true (event == before);
  g_object_get (event, "name", &name, "timestamp", &timestamp, "data", &data, NULL);
  g_assert_cmpstr (name, ==, "A");
  g_assert_cmpint (timestamp, ==, -1);
  g_assert_null (data);
  assert_bytes (event, "{\"event\":\"A\"}");

  aqmp_event_let_go (event);
  event = event_from_wire (FULL_EVENT);
  g_assert_true (event == before);
  g_assert_cmpint (aqmp_event_get_timestamp (event), ==, 1000002);
  g_assert_cmpint (json_object_get_int_member (aqmp_event_get_data (event), "a"), ==, 1);
  g_object_unref (event);
}

/* What somebody keeps, or would miss, is let alone. */
static void
test_spare_is_unknown (void)
{
  AqmpEvent *kept = event_from_wire (FULL_EVENT);
  AqmpEvent *watched = event_from_wire (FULL_EVENT);
  gpointer pointer = watched;
  AqmpEvent *next;

  aqmp_event_let_go (g_object_ref (kept));
  next = event_from_wire ("{\"event\":\"A\"}");
  g_assert_true (next != kept);
  g_assert_cmpint (json_object_get_int_member (aqmp_event_get_data (kept), "a"), ==, 1);
  g_object_unref (next);
  g_object_unref (kept);

  g_object_add_weak_pointer (G_OBJECT (watched), &pointer);
  aqmp_event_let_go (watched);
  g_assert_null (pointer);
}

static gpointer
let_go_in_thread (gpointer data)
{
  AqmpEvent *event = event_from_wire (FULL_EVENT);

  g_assert_nonnull (aqmp_event_get_data (event));
  aqmp_event_let_go (event);
  aqmp_event_let_go (aqmp_event_new ("A", 1, NULL));
  return NULL;
}

/* What a thread has left is freed with it, once. */
static void
test_spare_ends_with_thread (void)
{
  g_thread_join (g_thread_new ("lets go", let_go_in_thread, NULL));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/event/spare/blank", test_spare_is_blank);
  g_test_add_func ("/event/spare/only-if-unknown", test_spare_is_unknown);
  g_test_add_func ("/event/spare/ends-with-thread", test_spare_ends_with_thread);
  g_test_add_func ("/event/wire/members", test_wire_members);
  g_test_add_func ("/event/wire/names", test_wire_names);
  g_test_add_func ("/event/wire/end-is-told", test_end_is_told);
  g_test_add_func ("/event/wire/no-data", test_wire_no_data);
  g_test_add_func ("/event/wire/empty-data", test_wire_empty_data);
  g_test_add_func ("/event/M5/data-that-no-tree-holds", test_wire_no_tree);
  g_test_add_func ("/event/threads/one-tree-for-all", test_threads);
  g_test_add_func ("/event/new/data-is-a-copy", test_new);
  g_test_add_func ("/event/new/M6/argument-untouched", test_argument_untouched);
  g_test_add_func ("/event/new/sealed-argument", test_sealed_argument);
  g_test_add_func ("/event/new/to-bytes", test_new_to_bytes);
  g_test_add_func ("/event/new/round-trip", test_round_trip);
  g_test_add_func ("/event/new/properties", test_properties);
  g_test_add_func ("/event/new/no-properties", test_default_properties);
  g_test_add_func ("/event/new/depth-limit", test_deep);
  g_test_add_data_func ("/event/new/M6/nan", "nan", test_data_unfit_for_json);
  g_test_add_data_func ("/event/new/M6/not-utf8", "not-utf8", test_data_unfit_for_json);
  g_test_add_data_func ("/event/new/M6/too-deep", "too-deep", test_data_unfit_for_json);

  for (gsize i = 0; i < G_N_ELEMENTS (timestamp_cases); i++)
    {
      g_autofree char *path = g_strconcat ("/event/Q15/timestamp-", timestamp_cases[i].path, NULL);

      g_test_add_data_func (path, &timestamp_cases[i], test_timestamp);
    }

  g_test_add_func ("/event/cost", test_cost);

  return g_test_run ();
}
