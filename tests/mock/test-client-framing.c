/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* M3: where one message ends and the next begins, however they arrive. */

#include "client-util.h"

#include <string.h>
#include <time.h>

/* --- A stream that gives few bytes at a time ---------------------------------------------------------------------- */

#define TRICKLE_TYPE_INPUT (trickle_input_get_type ())
G_DECLARE_FINAL_TYPE (TrickleInput, trickle_input, TRICKLE, INPUT, GMemoryInputStream)

struct _TrickleInput
{
  GMemoryInputStream parent_instance;

  gsize most;
};

G_DEFINE_FINAL_TYPE (TrickleInput, trickle_input, G_TYPE_MEMORY_INPUT_STREAM)

static gssize
trickle_input_read (GInputStream  *stream,
                    void          *buffer,
                    gsize          count,
                    GCancellable  *cancellable,
                    GError       **error)
{
  return G_INPUT_STREAM_CLASS (trickle_input_parent_class)->read_fn (stream, buffer,
                                                                     MIN (count, TRICKLE_INPUT (stream)->most),
                                                                     cancellable, error);
}

static void
trickle_input_class_init (TrickleInputClass *klass)
{
  G_INPUT_STREAM_CLASS (klass)->read_fn = trickle_input_read;
}

static void
trickle_input_init (TrickleInput *self)
{
}

/* What it takes in goes nowhere. */
static GIOStream *
trickle_stream_new (const char *text,
                    gsize       length,
                    gsize       most)
{
  g_autoptr (TrickleInput) input = g_object_new (TRICKLE_TYPE_INPUT, NULL);
  g_autoptr (GOutputStream) output = g_memory_output_stream_new_resizable ();

  input->most = most;
  g_memory_input_stream_add_data (G_MEMORY_INPUT_STREAM (input), text, (gssize) length, NULL);
  return g_simple_io_stream_new (G_INPUT_STREAM (input), output);
}

/* The names of the events in @text, read in pieces of @most bytes, until the stream ends. */
static char *
read_events (const char *text,
             gsize       length,
             gsize       most)
{
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GIOStream) stream = trickle_stream_new (text, length, most);
  g_autoptr (GString) names = g_string_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  aqmp_protocol_open_async (AQMP_PROTOCOL (client), stream, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_open_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  g_assert_error (aqmp_protocol_get_error (AQMP_PROTOCOL (client)), G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  test_disconnect (client, NULL);
  g_object_unref (client);
  return g_string_free (g_steal_pointer (&names), FALSE);
}

static const char stream_text[] =
  "{\"event\": \"LF\"}\n"
  "{\"event\": \"CRLF\"}\r\n"
  "{\"event\": \"NONE\"}"
  "{\"event\": \"PRETTY\",\r\n    \"data\": {\r\n        \"a\": [\r\n            1,\r\n            \"}]\\\"\\\\\"\r\n        ]\r\n    }\r\n}\r\n"
  "   \t \r\n\n\n  "
  "{\"event\": \"SPACE\"}        {\"event\": \"CLOSE\"}{}{\"a\":{}}"
  "{\"event\":\"M\xc3\xa9\\u00e9\\ud83d\\ude00\xf0\x9f\x98\x80\",\"data\":{\"n\":-1.5e-3,\"t\":[true,false,null]}}\r\n";

static void
test_every_split (void)
{
  gsize most;

  for (most = 1; most <= sizeof stream_text; most++)
    {
      g_autofree char *names = read_events (stream_text, sizeof stream_text - 1, most);

      g_assert_cmpstr (names, ==, "LF CRLF NONE PRETTY SPACE CLOSE Méé😀😀 ");
    }
}

/* The processor time for one event of about @size bytes that arrives in pieces of 16, in seconds. */
static double
measure (gsize size)
{
  g_autoptr (GString) text = g_string_new ("{\"event\": \"BIG\", \"data\": {\"a\": [0");
  struct timespec before;
  struct timespec after;
  g_autofree char *names = NULL;

  while (text->len < size)
    g_string_append (text, ", \"xxxxxxxxxxxxxxxxxxxx\", 1234567890, {\"y\": null}");
  g_string_append (text, "]}}");

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &before);
  names = read_events (text->str, text->len, 16);
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &after);
  g_assert_cmpstr (names, ==, "BIG ");
  return (double) (after.tv_sec - before.tv_sec) + 1e-9 * (double) (after.tv_nsec - before.tv_nsec);
}

/* Eight times as much takes about eight times as long; looking at everything again with each piece, 64 times. */
static void
test_linear (void)
{
  gsize small_size = test_is_instrumented () ? 20000 : 100000;
  double small_time = G_MAXDOUBLE;
  double large_time = G_MAXDOUBLE;
  guint i;

  for (i = 0; i < 3; i++)
    {
      small_time = MIN (small_time, measure (small_size));
      large_time = MIN (large_time, measure (8 * small_size));
    }
  g_test_message ("%.1f ms, %.1f ms: %.1f times", 1e3 * small_time, 1e3 * large_time, large_time / small_time);
  g_assert_cmpfloat (large_time, <, 24 * small_time);
}

/* --- Over a socket ------------------------------------------------------------------------------------------------ */

static AqmpClient *
connect_to (MockServer *mock)
{
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  return test_client_new (mock);
}

/* A reply that is sent as @text (with the id of the request) is what it should be. */
static void
test_reply_form (gconstpointer text)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, text);
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"a\":[1,\"b\"]}");
  /* The next one too. */
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* QEMU with pretty=on, from the greeting on. */
static void
test_pretty_session (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_send (mock, "{\r\n    \"QMP\": {\r\n        \"version\": {\r\n            \"qemu\": {\r\n                \"micro\": 22,\r\n"
                   "                \"minor\": 2,\r\n                \"major\": 7\r\n            },\r\n"
                   "            \"package\": \"Debian\"\r\n        },\r\n        \"capabilities\": [\r\n            \"oob\"\r\n"
                   "        ]\r\n    }\r\n}\r\n");
  mock_expect (mock, "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}");
  mock_send (mock, "{\r\n    \"return\": {\r\n    },\r\n    \"id\": @ID@\r\n}\r\n");
  client = test_client_new (mock);
  g_assert_cmpstr (aqmp_greeting_get_version_string (aqmp_client_get_greeting (client)), ==, "7.2.22 (Debian)");

  mock_expect (mock, "{'execute': 'query-status'}");
  mock_send (mock, "{\r\n    \"return\": {\r\n        \"running\": true\r\n    },\r\n    \"id\": @ID@\r\n}\r\n");
  result = test_execute (client, "query-status", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"running\":true}");
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Each byte in a packet of its own, over TCP. */
static void
test_byte_by_byte (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'x'}");
  mock_send_split (mock, "{\"event\": \"STOP\"}\r\n{\"return\": {\"a\": [1, \"b\"]}, \"id\": @ID@}\r\n", 1, 200);
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"a\":[1,\"b\"]}");
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Blank space is no message, and counts against no bound. */
static void
test_much_blank_space (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (client), 1000);
  test_disconnect (client, NULL);
  mock_accept (mock);
  mock_negotiate (mock, MOCK_GREETING_PLAIN);
  test_connect (client, mock, &error);
  g_assert_no_error (error);

  mock_send_repeated (mock, " \t\r\n", 100000);
  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, "{\"return\": 1, \"id\": @ID@}");
  mock_send_repeated (mock, " \t\r\n", 100000);
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* A message without a line ending is there at once, not when the next one begins. */
static void
test_no_wait_for_line_ending (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = connect_to (mock);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_client_set_call_timeout (client, (guint) (test_bound_us () / 2000));
  mock_expect (mock, "{'execute': 'x'}");
  mock_send (mock, "{\"return\": 1, \"id\": @ID@}");
  result = test_execute (client, "x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "1");
  mock_expect_eof (mock);
  test_client_close (client);
}

#define MEMBERS "\"return\": {\"a\": [1, \"b\"]}, \"id\": @ID@"

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/M3/every-split", test_every_split);
  g_test_add_func ("/client/M3/linear-for-small-pieces", test_linear);
  g_test_add_data_func ("/client/M3/lf", "{" MEMBERS "}\n", test_reply_form);
  g_test_add_data_func ("/client/M3/crlf", "{" MEMBERS "}\r\n", test_reply_form);
  g_test_add_data_func ("/client/M3/no-line-ending", "{" MEMBERS "}", test_reply_form);
  g_test_add_data_func ("/client/M3/cr-alone", "{" MEMBERS "}\r", test_reply_form);
  g_test_add_data_func ("/client/M3/blank-space-around", " \n\t {" MEMBERS "} \t\n\n\r\n ", test_reply_form);
  g_test_add_data_func ("/client/M3/several-in-one-read", "{\"event\": \"A\"}{\"x\":1}\n\n{" MEMBERS "}{\"event\": \"B\"}\r\n",
                        test_reply_form);
  g_test_add_data_func ("/client/M3/pretty",
                        "{\r\n  \"return\":\r\n  {\n\"a\":[\t1 ,\r\n\"b\"]}\r\n , \"id\"  :\n@ID@\r\n\n}\r\n\n", test_reply_form);
  g_test_add_func ("/client/M3/pretty-session", test_pretty_session);
  g_test_add_func ("/client/M3/byte-by-byte", test_byte_by_byte);
  g_test_add_func ("/client/M3/much-blank-space", test_much_blank_space);
  g_test_add_func ("/client/M3/no-wait-for-a-line-ending", test_no_wait_for_line_ending);

  return g_test_run ();
}
