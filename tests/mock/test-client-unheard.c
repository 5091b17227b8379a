/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* M1: an event that nobody hears need not become a message; but it does for whoever could see that. And what the framing has found
   out about a message is used for that message only. */

#include "client-util.h"

#include <string.h>

static guint n_seen; /* messages, by one of the subclasses */

/* --- Subclasses ---------------------------------------------------------------------------------------------------- */

typedef struct { AqmpClient parent_instance; } FilteringClient;
typedef struct { AqmpClientClass parent_class; } FilteringClientClass;
GType filtering_client_get_type (void);
G_DEFINE_TYPE (FilteringClient, filtering_client, AQMP_TYPE_CLIENT)

static GBytes *
filter (AqmpProtocol  *protocol,
        GBytes        *message,
        GError       **error)
{
  n_seen++;
  return g_bytes_ref (message);
}

static void
filtering_client_class_init (FilteringClientClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->filter_inbound = filter;
}

static void
filtering_client_init (FilteringClient *self)
{
}

typedef struct { AqmpClient parent_instance; } ReceivingClient;
typedef struct { AqmpClientClass parent_class; } ReceivingClientClass;
GType receiving_client_get_type (void);
G_DEFINE_TYPE (ReceivingClient, receiving_client, AQMP_TYPE_CLIENT)

static gboolean
receive (AqmpProtocol  *protocol,
         GBytes        *message,
         GError       **error)
{
  n_seen++;
  return AQMP_PROTOCOL_CLASS (receiving_client_parent_class)->message_received (protocol, message, error);
}

static void
receiving_client_class_init (ReceivingClientClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->message_received = receive;
}

static void
receiving_client_init (ReceivingClient *self)
{
}

/* Frames by lines. */
typedef struct { AqmpClient parent_instance; } FramingClient;
typedef struct { AqmpClientClass parent_class; } FramingClientClass;
GType framing_client_get_type (void);
G_DEFINE_TYPE (FramingClient, framing_client, AQMP_TYPE_CLIENT)

static gboolean framing_scans_too;

static gssize
frame_line (AqmpProtocol  *protocol,
            const guint8  *data,
            gsize          length,
            gsize          scanned,
            gboolean       at_eof,
            gsize         *payload_length,
            GError       **error)
{
  const guint8 *end = memchr (data, '\n', length);
  gsize ignored;

  if (end == NULL)
    return at_eof ? (gssize) (*payload_length = length) : 0;

  /* What it finds is not what is taken. */
  if (framing_scans_too)
    AQMP_PROTOCOL_CLASS (framing_client_parent_class)->frame (protocol, (const guint8 *) "{\"event\":\"OTHERS\",\"data\":{}}", 28,
                                                              0, FALSE, &ignored, NULL);
  *payload_length = (gsize) (end - data);
  return end + 1 - data;
}

static void
framing_client_class_init (FramingClientClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->frame = frame_line;
}

static void
framing_client_init (FramingClient *self)
{
}

/* --- Reading to the end -------------------------------------------------------------------------------------------- */

/* What a stream of @text makes such a client fail with. */
static GError *
read_all (GType       type,
          const char *text,
          guint64     max_message_size,
          GString    *heard)            /* (nullable): the names of events */
{
  AqmpClient *client = g_object_new (type, "await-greeting", FALSE, "negotiate", FALSE, NULL);
  AqmpProtocol *protocol = AQMP_PROTOCOL (client);
  g_autoptr (GInputStream) input = g_memory_input_stream_new_from_data (text, -1, NULL);
  g_autoptr (GOutputStream) output = g_memory_output_stream_new_resizable ();
  g_autoptr (GIOStream) stream = g_simple_io_stream_new (input, output);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GError *cause;

  n_seen = 0;
  aqmp_protocol_set_max_message_size (protocol, max_message_size);
  if (heard != NULL)
    g_signal_connect (client, "event", G_CALLBACK (test_note_event), heard);
  aqmp_protocol_open_async (protocol, stream, NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_open_finish (protocol, result, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  cause = g_error_copy (aqmp_protocol_get_error (protocol));
  test_disconnect (client, NULL);
  g_object_unref (client);
  return cause;
}

static const char three_events[] = "{\"event\":\"A\"}\n {\"event\":\"B\",\"data\":{}}\n{\"event\":\"C\"}\n";

static void
assert_eof (GError *error)
{
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_error_free (error);
}

/* --- Tests --------------------------------------------------------------------------------------------------------- */

static void
test_seen_by_filter (void)
{
  assert_eof (read_all (filtering_client_get_type (), three_events, 1000, NULL));
  g_assert_cmpuint (n_seen, ==, 3);
}

static void
test_seen_by_message_received (void)
{
  assert_eof (read_all (receiving_client_get_type (), three_events, 1000, NULL));
  g_assert_cmpuint (n_seen, ==, 3);
}

static void
test_too_large (void)
{
  g_autofree char *blanks = g_strnfill (200, 'x');
  g_autofree char *text = g_strdup_printf ("{\"event\":\"A\"}{\"event\":\"B\",\"data\":{\"x\":\"%s\"}}", blanks);
  g_autoptr (GError) error = read_all (AQMP_TYPE_CLIENT, text, 100, NULL);

  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE);
}

static void
test_name_is_no_string (void)
{
  g_autoptr (TestLog) log = test_log_start ();

  assert_eof (read_all (AQMP_TYPE_CLIENT, "{\"event\":7}{\"event\":\"\"}{\"event\":\"a\\u0000\"}{\"event\":\"A\"}", 1000, NULL));
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "no usable string"), ==, 3);
}

static void
check_wire_log (void)
{
  g_autoptr (TestLog) log = test_log_start ();

  assert_eof (read_all (AQMP_TYPE_CLIENT, three_events, 1000, NULL));
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_DEBUG, "aqmp", "\"event\""), ==, 3);
}

/* Whether it is on is looked at once only: a process of its own. */
static void
test_seen_by_wire_log (void)
{
  if (g_test_subprocess ())
    {
      check_wire_log ();
      return;
    }

  g_setenv ("AQMP_DEBUG", "wire", TRUE);
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_unsetenv ("AQMP_DEBUG");
  g_test_trap_assert_passed ();
}

/* A frame function that does not chain up, and one that does with other bytes of the same length. */
static void
test_own_framing (gconstpointer scans_too)
{
  g_autoptr (GString) heard = g_string_new (NULL);

  framing_scans_too = GPOINTER_TO_INT (scans_too);
  assert_eof (read_all (framing_client_get_type (), "{\"event\":\"A\"}\n{\"event\":\"B\",\"data\":{\"a\":1}}\n", 1000, heard));
  g_assert_cmpstr (heard->str, ==, "A B ");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/M1/unheard/seen-by-filter-inbound", test_seen_by_filter);
  g_test_add_func ("/client/M1/unheard/seen-by-message-received", test_seen_by_message_received);
  g_test_add_func ("/client/M1/unheard/seen-by-the-wire-log", test_seen_by_wire_log);
  g_test_add_func ("/client/M4/unheard/too-large", test_too_large);
  g_test_add_func ("/client/M1/unheard/name-is-no-usable-string", test_name_is_no_string);
  g_test_add_data_func ("/client/M1/own-framing/does-not-chain-up", GINT_TO_POINTER (FALSE), test_own_framing);
  g_test_add_data_func ("/client/M1/own-framing/scans-other-bytes", GINT_TO_POINTER (TRUE), test_own_framing);

  return g_test_run ();
}
