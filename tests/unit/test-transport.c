/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The transport: the same behaviour over every kind of stream, driven by a main context or round by round. */

#include "transport-fixture.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "aqmp-glib/aqmp-error.h"

/* ---- messages both ways ------------------------------------------------------------------------------------------ */

static void
test_both_ways (Fixture       *self,
                gconstpointer  setup)
{
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_send (self->mock, "one\n");
  mock_expect_bytes (self->mock, "first\n", -1);
  mock_send (self->mock, "two\r\nthree\n");
  mock_expect_bytes (self->mock, "second\nthird\n", -1);

  drive_until (self, self->owner->n_messages == 1);
  queue_text (self, "first\n");
  drive_until (self, self->owner->n_messages == 3);
  queue_text (self, "second\n");
  queue_text (self, "third\n");
  flush (self);
  mock_block_done (self->mock);

  g_assert_cmpstr (self->owner->log->str, ==, "one;two;three;DRAINED;");
}

static void
test_one_byte_reads (Fixture       *self,
                     gconstpointer  setup)
{
  static const char text[] = "one\r\n\ntwo\n";
  guint i;

  aqmp_transport_set_reading (self->transport, TRUE);
  for (i = 0; i < sizeof text - 1; i++)
    {
      int n_unread = 1;

      mock_send_bytes (self->mock, text + i, 1);
      mock_block_done (self->mock);
      while (n_unread > 0)
        {
          drive_pending (self);
          g_assert_no_errno (ioctl (self->fd, FIONREAD, &n_unread));
        }
    }

  drive_until (self, self->owner->n_messages == 3);
  g_assert_cmpstr (self->owner->log->str, ==, "one;;two;");
}

static void
test_joined (Fixture       *self,
             gconstpointer  setup)
{
  aqmp_transport_set_reading (self->transport, TRUE);
  self->owner->quiet = TRUE;
  mock_send_repeated (self->mock, "a message\n", 5000);
  drive_until (self, self->owner->n_messages == 5000);
  mock_block_done (self->mock);
  drive_pending (self);
  g_assert_cmpuint (self->owner->n_messages, ==, 5000);
}

static void
expect_long (TestOwner  *owner,
             const char *text)
{
  Fixture *self = owner->hook_data;

  g_assert_true (self->owner == owner);
  g_assert_cmpuint (strspn (text, "x"), ==, 500000);
  g_assert_cmpuint (strlen (text), ==, 500000);
}

static void
test_long_message (Fixture       *self,
                   gconstpointer  setup)
{
  g_autofree char *text = g_strnfill (500001, 'x');

  text[500000] = '\n';
  self->owner->quiet = TRUE;
  self->owner->on_message = expect_long;
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_send_bytes (self->mock, text, -1);
  mock_send_bytes (self->mock, text, -1);
  drive_until (self, self->owner->n_messages == 2);
}

static void
test_last_line_without_newline (Fixture       *self,
                                gconstpointer  setup)
{
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_send (self->mock, "one\ntwo");
  mock_shutdown_write (self->mock);
  drive_until (self, self->owner->n_failed > 0);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;FAILED;");
}

static void
test_rollback (Fixture       *self,
               gconstpointer  setup)
{
  mock_expect_bytes (self->mock, "onetwo", -1);
  queue_text (self, "one");
  g_string_append (aqmp_transport_begin_message (self->transport), "never");
  aqmp_transport_rollback_message (self->transport);
  queue_text (self, "two");
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), ==, 6);
  flush (self);
  mock_block_done (self->mock);
}

static void
test_written_token (Fixture       *self,
                    gconstpointer  setup)
{
  guint64 first;
  guint64 second;
  guint64 third;

  mock_expect_bytes (self->mock, "onethree", -1);
  g_assert_cmpuint (aqmp_transport_get_written_token (self->transport), ==, 0);
  first = queue_text (self, "one");
  second = queue_text (self, "two");
  third = queue_text (self, "three");
  g_assert_true (aqmp_transport_remove_message (self->transport, second));
  g_assert_false (aqmp_transport_remove_message (self->transport, second));
  flush (self);
  g_assert_cmpuint (aqmp_transport_get_written_token (self->transport), ==, third);
  g_assert_false (aqmp_transport_remove_message (self->transport, first));
  g_assert_false (aqmp_transport_remove_message (self->transport, third));
  mock_block_done (self->mock);
}

/* ---- a peer that does not read ----------------------------------------------------------------------------------- */

#define BLOCK_SIZE 4000

static void
test_back_pressure (Fixture       *self,
                    gconstpointer  setup)
{
  g_autoptr (GString) expected = g_string_new (NULL);
  guint gate = mock_pause (self->mock);
  /* A pipe holds less; and the mock reads it byte by byte. */
  const guint n_blocks = self->setup & PIPES ? 50 : 200;
  guint i;

  mock_block_reached (self->mock, gate);
  for (i = 0; i < n_blocks; i++)
    {
      g_autofree char *block = g_strnfill (BLOCK_SIZE, 'a' + i % 26);

      queue_text (self, block);
      if (i != n_blocks - 10)
        g_string_append (expected, block);
    }
  mock_expect_bytes (self->mock, expected->str, -1);

  aqmp_transport_request_drained (self->transport);
  drive_pending (self);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), >, n_blocks * BLOCK_SIZE / 2);
  g_assert_cmpuint (self->owner->n_drained, ==, 0);
  g_assert_cmpuint (aqmp_transport_get_written_token (self->transport), >, 0);
  g_assert_cmpuint (aqmp_transport_get_written_token (self->transport), <, n_blocks / 2);
  assert_asleep (self);

  /* The first cannot be taken back any more, one at the end can. */
  g_assert_false (aqmp_transport_remove_message (self->transport, 1));
  g_assert_true (aqmp_transport_remove_message (self->transport, n_blocks - 9));

  mock_continue (self->mock);
  drive_until (self, self->owner->n_drained > 0);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), ==, 0);
  g_assert_cmpuint (aqmp_transport_get_written_token (self->transport), ==, n_blocks);
  mock_block_done (self->mock);
}

/* Blocked in one direction, the other goes on. */
static void
test_reads_while_blocked (Fixture       *self,
                          gconstpointer  setup)
{
  const gsize length = self->setup & PIPES ? 200000 : 800000;
  g_autofree char *block = g_strnfill (length, 'x');
  guint gate;

  mock_send (self->mock, "one\ntwo\n");
  gate = mock_pause (self->mock);
  mock_expect_bytes (self->mock, block, -1);
  mock_block_reached (self->mock, gate);

  queue_text (self, block);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 2);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), >, length / 2);
  mock_continue (self->mock);
  flush (self);
  mock_block_done (self->mock);
}

/* ---- pausing ----------------------------------------------------------------------------------------------------- */

static void
test_not_reading_at_first (Fixture       *self,
                           gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  mock_block_done (self->mock);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "");

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 1);
}

static void
pause_reading (TestOwner  *owner,
               const char *text)
{
  aqmp_transport_set_reading (owner->transport, FALSE);
}

static void
test_pause (Fixture       *self,
            gconstpointer  setup)
{
  self->owner->on_message = pause_reading;
  mock_send (self->mock, "one\ntwo\nthree\nfour");
  mock_block_done (self->mock);

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 1);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;");

  /* From what has arrived before. */
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 2);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;");

  self->owner->on_message = NULL;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 3);
  mock_send (self->mock, "teen\n");
  drive_until (self, self->owner->n_messages == 4);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;three;fourteen;");
}

/* Nor is it read from the peer: what is not wanted stays there. */
static void
test_pause_holds_peer_up (Fixture       *self,
                          gconstpointer  setup)
{
  g_autofree char *block = g_strnfill (1000000, 'x');
  guint gate;

  block[999999] = '\n';
  mock_send (self->mock, "one\n");
  mock_send_bytes (self->mock, block, -1);
  gate = mock_mark (self->mock);
  self->owner->quiet = TRUE;
  self->owner->on_message = pause_reading;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 1);
  assert_asleep (self);

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 2);
  mock_block_reached (self->mock, gate);
}

/* An EOF that nobody wants to know yet. */
static void
test_pause_before_eof (Fixture       *self,
                       gconstpointer  setup)
{
  self->owner->on_message = pause_reading;
  mock_send (self->mock, "one\n");
  mock_shutdown_write (self->mock);
  mock_block_done (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_messages == 1);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;");

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_failed == 1);
  g_assert_cmpstr (self->owner->log->str, ==, "one;FAILED;");
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void
test_eof (Fixture       *self,
          gconstpointer  setup)
{
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_shutdown_write (self->mock);
  drive_until (self, self->owner->n_failed > 0);
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_null (strstr (self->owner->error->message, "middle"));
  /* Once, and quietly from then on. */
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "FAILED;");
}

static void
test_eof_mid_message (Fixture       *self,
                      gconstpointer  setup)
{
  self->owner->never_ends = TRUE;
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_send (self->mock, "one\nbut tw");
  mock_shutdown_write (self->mock);
  drive_until (self, self->owner->n_failed > 0);
  g_assert_cmpstr (self->owner->log->str, ==, "one;FAILED;");
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_nonnull (strstr (self->owner->error->message, "middle"));
}

static void
test_eof_after_all_data (Fixture       *self,
                         gconstpointer  setup)
{
  mock_send_repeated (self->mock, "a message\n", 4000);
  mock_close (self->mock);
  mock_block_done (self->mock);
  self->owner->quiet = TRUE;
  self->peer_is_gone = TRUE;

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_failed > 0);
  g_assert_cmpuint (self->owner->n_messages, ==, 4000);
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

/* A framing error comes after the messages before it, and is the last word. */
static void
test_frame_error (Fixture       *self,
                  gconstpointer  setup)
{
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_send (self->mock, "one\ntwo\nbad\nthree\n");
  drive_until (self, self->owner->n_failed > 0);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;FAILED;");
  g_assert_error (self->owner->error, AQMP_ERROR, AQMP_ERROR_PARSE);
}

static void
test_max_message_size (Fixture       *self,
                       gconstpointer  setup)
{
  aqmp_transport_set_max_message_size (self->transport, 4);
  aqmp_transport_set_reading (self->transport, TRUE);
  mock_send (self->mock, "fits\ntoo long\nmore\n");
  drive_until (self, self->owner->n_failed > 0);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "fits;FAILED;");
  g_assert_error (self->owner->error, AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE);
}

/* The peer is reset with messages on the way here. */
static void
test_read_error_after_data (Fixture       *self,
                            gconstpointer  setup)
{
  mock_send (self->mock, "one\ntwo\n");
  mock_reset (self->mock);
  queue_text (self, "unexpected\n");
  flush (self);
  mock_block_done (self->mock);
  self->peer_is_gone = TRUE;

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_failed > 0);
  g_assert_cmpstr (self->owner->log->str, ==, "DRAINED;one;two;FAILED;");
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

/* Writing fails while there is something to read: that comes first. */
static void
test_write_error_after_data (Fixture       *self,
                             gconstpointer  setup)
{
  mock_send_repeated (self->mock, "a message\n", 4000);
  mock_close (self->mock);
  mock_block_done (self->mock);
  self->owner->quiet = TRUE;
  self->peer_is_gone = TRUE;

  queue_text (self, "to nobody\n");
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_failed > 0);
  g_assert_cmpuint (self->owner->n_messages, ==, 4000);
  g_assert_cmpuint (self->owner->n_failed, ==, 1);
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  assert_asleep (self);
  g_assert_cmpuint (self->owner->n_failed, ==, 1);
}

/* The peer stops reading for good, but its writing side stays open: there is no EOF to wait for. */
static void
test_write_error_without_eof (Fixture       *self,
                              gconstpointer  setup)
{
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  int fd;

  test_socket_pair (&first, &second);
  stream = make_stream (self->setup, G_IO_STREAM (first));
  fd = g_socket_get_fd (g_socket_connection_get_socket (second));
  g_assert_no_errno (shutdown (fd, SHUT_RD));
  g_assert_cmpint (send (fd, "one\ntwo\n", 8, MSG_NOSIGNAL), ==, 8);

  owner->transport = aqmp_transport_new (stream, G_OBJECT (owner), &owner_callbacks);
  self->transport = owner->transport;
  if (self->setup & ATTACHED)
    aqmp_transport_attach (owner->transport, self->context);
  aqmp_transport_set_reading (owner->transport, TRUE);
  queue_text (self, "to nobody\n");
  drive_until (self, owner->n_failed > 0);
  g_assert_cmpstr (owner->log->str, ==, "one;two;FAILED;");
  g_assert_error (owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);

  g_io_stream_close (G_IO_STREAM (second), NULL, NULL);
  aqmp_transport_close (owner->transport);
  self->transport = self->owner->transport;
}

static void
test_write_error_not_reading (Fixture       *self,
                              gconstpointer  setup)
{
  mock_close (self->mock);
  mock_block_done (self->mock);
  self->peer_is_gone = TRUE;

  queue_text (self, "to nobody\n");
  drive_until (self, self->owner->n_failed > 0);
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "FAILED;");
}

/* A peer that has hung up does not keep the loop busy if nobody reads. */
static void
test_hung_up (Fixture       *self,
              gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  mock_close (self->mock);
  mock_block_done (self->mock);
  self->peer_is_gone = TRUE;
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "");

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->owner->n_failed > 0);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;FAILED;");
}

static void
test_idle (Fixture       *self,
           gconstpointer  setup)
{
  assert_asleep (self);
  aqmp_transport_set_reading (self->transport, TRUE);
  assert_asleep (self);
  aqmp_transport_set_reading (self->transport, FALSE);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "");
}

/* ---- work, drained ----------------------------------------------------------------------------------------------- */

static void
test_work (Fixture       *self,
           gconstpointer  setup)
{
  aqmp_transport_request_work (self->transport);
  aqmp_transport_request_work (self->transport);
  g_assert_cmpuint (self->owner->n_work, ==, 0);
  drive_until (self, self->owner->n_work > 0);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "WORK;");

  aqmp_transport_request_work (self->transport);
  drive_until (self, self->owner->n_work > 1);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "WORK;WORK;");
}

static void
work_again (TestOwner *owner)
{
  if (owner->n_work < 10)
    aqmp_transport_request_work (owner->transport);
}

static void
test_work_asks_for_more (Fixture       *self,
                         gconstpointer  setup)
{
  self->owner->on_work = work_again;
  aqmp_transport_request_work (self->transport);
  drive_until (self, self->owner->n_work == 10);
  assert_asleep (self);
  g_assert_cmpuint (self->owner->n_work, ==, 10);
}

static void
queue_in_work (TestOwner *owner)
{
  queue_text (owner->hook_data, "from work\n");
}

/* What is queued in a callback goes out without anything else happening. */
static void
test_queue_in_callback (Fixture       *self,
                        gconstpointer  setup)
{
  mock_expect_bytes (self->mock, "from work\n", -1);
  mock_send (self->mock, "received\n");
  self->owner->on_work = queue_in_work;
  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_work (self->transport);
  drive_until (self, self->owner->n_messages == 1);
  g_assert_cmpstr (self->owner->log->str, ==, "WORK;received;");
}

static void
test_drained (Fixture       *self,
              gconstpointer  setup)
{
  /* Empty: at once, but not from inside the request. */
  aqmp_transport_request_drained (self->transport);
  g_assert_cmpuint (self->owner->n_drained, ==, 0);
  drive_until (self, self->owner->n_drained > 0);

  /* Only when asked for. */
  mock_expect_bytes (self->mock, "one\ntwo\n", -1);
  queue_text (self, "one\n");
  assert_asleep (self);
  g_assert_cmpuint (self->owner->n_drained, ==, 1);

  queue_text (self, "two\n");
  flush (self);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "DRAINED;DRAINED;");
  mock_block_done (self->mock);
}

/* Taking back the last message drains the queue as well. */
static void
test_drained_by_removal (Fixture       *self,
                         gconstpointer  setup)
{
  guint64 token = queue_text (self, "never\n");

  aqmp_transport_request_drained (self->transport);
  g_assert_true (aqmp_transport_remove_message (self->transport, token));
  drive_until (self, self->owner->n_drained == 1);
}

/* Who waits for that may be about to close: what has arrived comes first. */
static void
test_drained_after_data (Fixture       *self,
                         gconstpointer  setup)
{
  mock_expect_bytes (self->mock, "last words\n", -1);
  mock_send (self->mock, "one\ntwo\n");

  /* Written and answered before the transport looks. */
  queue_text (self, "last words\n");
  flush (self);
  mock_block_done (self->mock);
  g_string_truncate (self->owner->log, 0);

  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->owner->n_drained == 2);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;DRAINED;");
}

/* The same when it takes more than one read. (What a stream that cannot be polled holds shows only when a read ends.) */
static void
test_drained_after_much_data (Fixture       *self,
                              gconstpointer  setup)
{
  mock_send_repeated (self->mock, "a message\n", 4000);
  mock_block_done (self->mock);
  self->owner->quiet = TRUE;

  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->owner->n_drained == 1);
  g_assert_cmpuint (self->owner->n_messages, ==, 4000);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int   argc,
      char *argv[])
{
  const Setup all = EVERY_KIND | EITHER_WAY;
  const Setup can_be_polled = SOCKET | POLLABLE | PIPES;
  const Setup over_sockets = SOCKET | POLLABLE | NOT_POLLABLE;

  init_transport_tests (&argc, &argv);

  add ("Q14/both-ways", all, test_both_ways);
  add ("M7/one-byte-reads", all, test_one_byte_reads);
  add ("M7/joined", all, test_joined);
  add ("M7/long-message", all, test_long_message);
  add ("M2/last-line-without-newline", all, test_last_line_without_newline);
  add ("M4/max-message-size", all, test_max_message_size);
  add ("rollback", all, test_rollback);
  add ("Q8/written-token", all, test_written_token);
  add ("M7/back-pressure", all, test_back_pressure);
  add ("M7/reads-while-blocked", all, test_reads_while_blocked);
  add ("M7/not-reading-at-first", all, test_not_reading_at_first);
  add ("M7/pause", all, test_pause);
  add ("M7/pause-holds-peer-up", all, test_pause_holds_peer_up);
  add ("M7/pause-before-eof", all, test_pause_before_eof);
  add ("S5/eof", all, test_eof);
  add ("S5/eof-mid-message", all, test_eof_mid_message);
  add ("S5/eof-after-all-data", all, test_eof_after_all_data);
  add ("Q12/frame-error-after-data", all, test_frame_error);
  add ("Q12/read-error-after-data", over_sockets | EITHER_WAY, test_read_error_after_data);
  add ("Q12/write-error-after-data", can_be_polled | EITHER_WAY, test_write_error_after_data);
  add ("Q12/write-error-without-eof", SOCKET | POLLABLE | EITHER_WAY, test_write_error_without_eof);
  add ("S5/write-error-not-reading", all, test_write_error_not_reading);
  add ("sleeps/hung-up", all, test_hung_up);
  add ("sleeps/idle", all, test_idle);
  add ("work", all, test_work);
  add ("work-asks-for-more", all, test_work_asks_for_more);
  add ("queue-in-callback", all, test_queue_in_callback);
  add ("S7/drained", all, test_drained);
  add ("S7/drained-by-removal", all, test_drained_by_removal);
  add ("S7/drained-after-data", can_be_polled | EITHER_WAY, test_drained_after_data);
  add ("S7/drained-after-much-data", can_be_polled | EITHER_WAY, test_drained_after_much_data);

  return g_test_run ();
}
