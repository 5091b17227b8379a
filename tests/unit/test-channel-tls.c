/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Channels over TLS: what was decrypted is read, records are as small as they should be, and the end is said or not said, but
   never waited for. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-channel-private.h"

#include "certificates.h"
#include "tls-pair.h"
#include "transport-fixture.h"

/* ---- a fixture --------------------------------------------------------------------------------------------------- */

typedef struct
{
  TlsPair      pair;
  AqmpChannel *channel;     /* (owned) (nullable): over the near end */
  guint        n_fds;       /* open before */
} TlsFixture;

static void
fixture_set_up (TlsFixture    *self,
                gconstpointer  tcp)
{
  if (!test_have_certificates ())
    return;

  self->n_fds = test_count_fds ();
  tls_pair_init (&self->pair, GPOINTER_TO_INT (tcp));
  self->channel = aqmp_channel_new (self->pair.near);
}

static void
fixture_tear_down (TlsFixture    *self,
                   gconstpointer  tcp)
{
  if (self->pair.near == NULL)
    return;

  if (self->channel != NULL)
    aqmp_channel_close (self->channel, NULL);
  tls_pair_clear (&self->pair);
  test_dispatch_pending ();
  assert_n_fds (self->n_fds);
}

static gboolean
give_up (gpointer user_data)
{
  g_error ("the channel's context sleeps");
  return G_SOURCE_REMOVE;
}

/* Waits for what the channel waits for. */
static void
wait_for_channel (AqmpChannel *channel,
                  gboolean     for_reading,
                  gboolean     for_writing)
{
  g_autoptr (GSource) bound = g_timeout_source_new ((guint) (test_bound_us () / 1000));

  g_source_set_callback (bound, give_up, NULL, NULL);
  g_source_attach (bound, channel->context);
  channel->kind->watch (channel, for_reading, for_writing);
  while (!g_main_context_iteration (channel->context, TRUE))
    ;
  g_source_destroy (bound);
}

static gssize
read_some (AqmpChannel *channel,
           char        *buffer,
           gsize        size)
{
  for (;;)
    {
      g_autoptr (GError) error = NULL;
      gssize n_read = channel->kind->read (channel, (guint8 *) buffer, size, &error);

      if (n_read >= 0)
        return n_read;
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
      wait_for_channel (channel, TRUE, FALSE);
    }
}

/* Nothing wakes it up. */
static void
assert_channel_asleep (AqmpChannel *channel)
{
  g_autoptr (GError) error = NULL;
  guint8 byte;
  guint i;

  g_assert_cmpint (channel->kind->read (channel, &byte, 1, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  for (i = 0; i < 20; i++)
    {
      channel->kind->watch (channel, TRUE, FALSE);
      while (g_main_context_iteration (channel->context, FALSE))
        ;
    }
  /* All it was, was attaching. */
  channel->kind->watch (channel, TRUE, FALSE);
  g_assert_false (g_main_context_pending (channel->context));
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* All of a record can be read, with a buffer of any size, though the socket has nothing more to announce. */
static void
test_reads_record_to_its_end (TlsFixture    *self,
                              gconstpointer  tcp)
{
  static const gsize sizes[] = { 1, 7, 100, 999, 1000, 1001, 16384, 20000 };
  static const gsize lengths[] = { 1, 1000, 2000, 16384 };
  guint i;
  guint j;

  for (i = 0; i < G_N_ELEMENTS (sizes) && self->channel != NULL; i++)
    for (j = 0; j < G_N_ELEMENTS (lengths); j++)
      {
        g_autofree char *text = g_strnfill (lengths[j], 'a' + j);
        g_autofree char *received = g_malloc (lengths[j]);
        g_autofree char *buffer = g_malloc (sizes[i]);
        gsize done = 0;

        /* Byte by byte that takes long, and shows no more. */
        if (lengths[j] > 1000 * sizes[i])
          continue;
        tls_pair_write (&self->pair, text, lengths[j]);
        while (done < lengths[j])
          {
            g_autoptr (GError) error = NULL;
            gssize n_read;

            /* As a transport does: one read for each wait. */
            wait_for_channel (self->channel, TRUE, FALSE);
            n_read = self->channel->kind->read (self->channel, (guint8 *) buffer, sizes[i], &error);
            if (n_read < 0)
              continue;
            memcpy (received + done, buffer, n_read);
            done += n_read;
          }
        g_assert_cmpmem (received, done, text, lengths[j]);
        assert_channel_asleep (self->channel);
      }
}

/* Paused in the middle of a record, and then read on. */
static void
test_reads_on_after_pause (TlsFixture    *self,
                           gconstpointer  tcp)
{
  g_autoptr (GError) error = NULL;
  char buffer[10];

  if (self->channel == NULL)
    return;

  tls_pair_write (&self->pair, "0123456789abcdefghij", 20);
  g_assert_cmpint (read_some (self->channel, buffer, 10), ==, 10);
  self->channel->kind->watch (self->channel, TRUE, FALSE);
  self->channel->kind->watch (self->channel, FALSE, FALSE);
  g_assert_false (g_main_context_pending (self->channel->context));
  wait_for_channel (self->channel, TRUE, FALSE);
  g_assert_cmpint (self->channel->kind->read (self->channel, (guint8 *) buffer, 10, &error), ==, 10);
  g_assert_cmpmem (buffer, 10, "abcdefghij", 10);
  assert_channel_asleep (self->channel);
}

/* Several records, then the end. GIO tells it once: to read again would be an error. */
static void
read_to_eof (TlsFixture *self,
             gboolean    with_goodbye)
{
  g_autoptr (GString) received = g_string_new (NULL);
  char buffer[4];
  gssize n_read;

  tls_pair_write (&self->pair, "one, ", 5);
  tls_pair_write (&self->pair, "two, ", 5);
  tls_pair_write (&self->pair, "three", 5);
  if (with_goodbye)
    g_io_stream_close (self->pair.far, NULL, NULL);
  else
    g_assert_no_errno (shutdown (self->pair.far_fd, SHUT_WR));
  while ((n_read = read_some (self->channel, buffer, sizeof buffer)) > 0)
    g_string_append_len (received, buffer, n_read);
  g_assert_cmpint (n_read, ==, 0);
  g_assert_cmpstr (received->str, ==, "one, two, three");
}

static void
test_reads_to_eof (TlsFixture    *self,
                   gconstpointer  tcp)
{
  if (self->channel != NULL)
    read_to_eof (self, FALSE);
}

static void
test_reads_to_goodbye (TlsFixture    *self,
                       gconstpointer  tcp)
{
  if (self->channel != NULL)
    read_to_eof (self, TRUE);
}

/* Also of a stream that somebody else has made, who would rather have a goodbye: JSON shows whether a message is whole. */
static void
test_reads_to_eof_of_stricter_stream (TlsFixture    *self,
                                      gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  g_tls_connection_set_require_close_notify (G_TLS_CONNECTION (self->pair.near), TRUE);
  read_to_eof (self, FALSE);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void
write_all (AqmpChannel *channel,
           const char  *text,
           gsize        length)
{
  gsize done = 0;

  while (done < length)
    {
      GOutputVector piece = { text + done, length - done };
      g_autoptr (GError) error = NULL;
      gssize n_written = channel->kind->write (channel, &piece, 1, NULL, &error);

      g_assert_no_error (error);
      done += n_written;
    }
  g_assert_cmpuint (channel->kind->get_unwritten (channel), ==, 0);
}

static void
expect_records (TlsFixture  *self,
                guint        n_records,
                const guint *lengths)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  g_autoptr (GArray) records = NULL;
  char buffer[65536];
  guint i;

  /* TCP may take a moment. */
  for (;;)
    {
      records = tls_pair_list_records (&self->pair);
      if (records->len >= n_records)
        break;
      g_clear_pointer (&records, g_array_unref);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_thread_yield ();
    }
  g_assert_cmpuint (records->len, ==, n_records);
  for (i = 0; i < n_records; i++)
    g_assert_cmpuint (g_array_index (records, guint, i), ==, lengths[i]);
  while (tls_pair_read (&self->pair, buffer, sizeof buffer, NULL) > 0)
    ;
}

static void
test_record_size (TlsFixture    *self,
                  gconstpointer  tcp)
{
  const guint whole[] = { 12 };
  const guint fives[] = { 5, 5, 2 };
  const guint ones[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
  const guint large[] = { 16384, 3616 };
  g_autofree char *much = g_strnfill (20000, 'x');

  if (self->channel == NULL)
    return;

  write_all (self->channel, "Hello, world", 12);
  expect_records (self, 1, whole);
  self->channel->largest_write = 5;
  write_all (self->channel, "Hello, world", 12);
  expect_records (self, 3, fives);
  self->channel->largest_write = 1;
  write_all (self->channel, "Hello, world", 12);
  expect_records (self, 12, ones);
  self->channel->largest_write = 100000;
  write_all (self->channel, much, 20000);
  expect_records (self, 2, large);
  self->channel->largest_write = 0;
  write_all (self->channel, much, 20000);
  expect_records (self, 2, large);
}

/* The last byte that there is comes by itself, whatever the others do. */
static void
test_last_byte_apart (TlsFixture    *self,
                      gconstpointer  tcp)
{
  const guint apart[] = { 11, 1 };
  const guint alone[] = { 1 };
  const guint fives[] = { 5, 5, 1, 1 };
  const guint ones[] = { 1, 1, 1 };
  const guint full[] = { 16383, 1 };
  const guint more_than_full[] = { 16384, 1 };
  g_autofree char *much = g_strnfill (20000, 'x');

  if (self->channel == NULL)
    return;

  self->channel->last_byte_apart = TRUE;
  write_all (self->channel, "Hello, world", 12);
  expect_records (self, 2, apart);
  write_all (self->channel, "H", 1);
  expect_records (self, 1, alone);
  write_all (self->channel, much, 16384);
  expect_records (self, 2, full);
  write_all (self->channel, much, 16385);
  expect_records (self, 2, more_than_full);
  self->channel->largest_write = 5;
  write_all (self->channel, "Hello, world", 12);
  expect_records (self, 4, fives);
  self->channel->largest_write = 1;
  write_all (self->channel, "abc", 3);
  expect_records (self, 3, ones);
}

static gsize
limit (AqmpChannel *channel,
       gsize        first_size,
       gsize        second_size)
{
  GOutputVector pieces[] = { { NULL, first_size }, { NULL, second_size } };

  return aqmp_channel_limit_write (channel, pieces, second_size > 0 ? 2 : 1, 100);
}

static void
test_limit_write (void)
{
  AqmpChannel channel = { .largest_write = 0 };

  g_assert_cmpuint (limit (&channel, 10, 0), ==, 10);
  g_assert_cmpuint (limit (&channel, 10, 10), ==, 10);
  g_assert_cmpuint (limit (&channel, 1000, 0), ==, 100);
  channel.largest_write = 7;
  g_assert_cmpuint (limit (&channel, 10, 0), ==, 7);
  g_assert_cmpuint (limit (&channel, 3, 10), ==, 3);
  channel.largest_write = 700;
  g_assert_cmpuint (limit (&channel, 1000, 0), ==, 100);

  channel.largest_write = 0;
  channel.last_byte_apart = TRUE;
  g_assert_cmpuint (limit (&channel, 10, 0), ==, 9);
  g_assert_cmpuint (limit (&channel, 10, 1), ==, 10);
  g_assert_cmpuint (limit (&channel, 1, 0), ==, 1);
  g_assert_cmpuint (limit (&channel, 101, 0), ==, 100);
  g_assert_cmpuint (limit (&channel, 100, 0), ==, 99);
}

/* The queued kind has the same limit. */
static void
test_queued_write_size (void)
{
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (GIOStream) stream = NULL;
  GOutputVector piece = { "Hello, world", 12 };
  AqmpChannel *channel;

  test_socket_pair (&first, &second);
  stream = test_plain_stream_new (G_IO_STREAM (first));
  channel = aqmp_channel_new (stream);
  channel->largest_write = 5;
  g_assert_cmpint (channel->kind->write (channel, &piece, 1, NULL, NULL), ==, 5);
  while (channel->kind->get_unwritten (channel) > 0)
    g_main_context_iteration (channel->context, TRUE);
  aqmp_channel_close (channel, NULL);
}

/* ---- goodbye ----------------------------------------------------------------------------------------------------- */

/* Both the stream and what it runs over, for real. */
static void
assert_closed (TlsPair *pair)
{
  g_assert_true (g_io_stream_is_closed (pair->near));
  g_assert_true (g_io_stream_is_closed (G_IO_STREAM (pair->near_base)));
  g_assert_true (g_socket_is_closed (g_socket_connection_get_socket (pair->near_base)));
  g_assert_cmpint (fcntl (pair->near_fd, F_GETFD), ==, -1);
}

/* Reads what the far end has, without waiting, up to the end. */
static void
expect_end (TlsPair *pair,
            gboolean with_goodbye)
{
  g_autoptr (GError) error = NULL;
  char buffer[65536];
  gssize n_read;

  do
    n_read = tls_pair_read (pair, buffer, sizeof buffer, &error);
  while (n_read > 0);

  if (with_goodbye)
    {
      g_assert_no_error (error);
      g_assert_cmpint (n_read, ==, 0);
    }
  else
    g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_EOF);
}

/* Whatever blocks from now on ends the test. */
static void
close_within_bound (TlsFixture *self)
{
  gint64 before = g_get_monotonic_time ();

  alarm ((guint) (test_bound_us () / G_USEC_PER_SEC));
  aqmp_channel_close (g_steal_pointer (&self->channel), NULL);
  alarm (0);
  g_test_message ("%" G_GINT64_FORMAT " µs", g_get_monotonic_time () - before);
}

static void
test_goodbye (TlsFixture    *self,
              gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  write_all (self->channel, "last words", 10);
  self->channel->says_goodbye = TRUE;
  close_within_bound (self);
  assert_closed (&self->pair);
  expect_end (&self->pair, TRUE);
}

static void
test_no_goodbye (TlsFixture    *self,
                 gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  write_all (self->channel, "last words", 10);
  close_within_bound (self);
  assert_closed (&self->pair);
  expect_end (&self->pair, FALSE);
}

/* As when the last reference goes in another thread. */
static gpointer
close_it (gpointer channel)
{
  aqmp_channel_close (channel, NULL);
  return NULL;
}

static void
test_goodbye_elsewhere (TlsFixture    *self,
                        gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  self->channel->kind->watch (self->channel, TRUE, FALSE);
  self->channel->says_goodbye = TRUE;
  g_thread_join (g_thread_new ("close", close_it, g_steal_pointer (&self->channel)));
  assert_closed (&self->pair);
  expect_end (&self->pair, TRUE);
}

/* Until nothing more goes in: a record may be stuck half way. */
static void
fill (TlsFixture *self)
{
  g_autofree char *block = g_strnfill (16384, 'x');
  GOutputVector piece = { block, 16384 };

  while (self->channel->kind->write (self->channel, &piece, 1, NULL, NULL) > 0)
    ;
  g_assert_cmpuint (self->channel->kind->get_unwritten (self->channel), >, 0);
}

/* The peer does not read, so there is no room for a goodbye: then there is none. */
static void
test_no_room (TlsFixture    *self,
              gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  fill (self);
  self->channel->says_goodbye = TRUE;
  close_within_bound (self);
  assert_closed (&self->pair);
}

/* All has gone into the socket, which is full now. */
static void
test_no_room_all_written (TlsFixture    *self,
                          gconstpointer  tcp)
{
  char buffer[1024];

  if (self->channel == NULL)
    return;

  fill (self);
  while (self->channel->kind->get_unwritten (self->channel) > 0)
    {
      if (recv (self->pair.far_fd, buffer, sizeof buffer, MSG_DONTWAIT) < 0)
        g_thread_yield ();
      self->channel->kind->write (self->channel, NULL, 0, NULL, NULL);
    }
  self->channel->says_goodbye = TRUE;
  close_within_bound (self);
  assert_closed (&self->pair);
}

static void
test_no_room_no_goodbye (TlsFixture    *self,
                         gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  fill (self);
  close_within_bound (self);
  assert_closed (&self->pair);
}

/* The peer has read a little; but the rest of a record would go before the goodbye. */
static void
leave_little_room (TlsFixture *self)
{
  char byte;

  fill (self);
  while (!(g_socket_condition_check (g_socket_connection_get_socket (self->pair.near_base), G_IO_OUT) & G_IO_OUT))
    if (recv (self->pair.far_fd, &byte, 1, MSG_DONTWAIT) < 0)
      g_thread_yield ();
  self->channel->says_goodbye = TRUE;
  close_within_bound (self);
  assert_closed (&self->pair);
}

static void
test_little_room (TlsFixture    *self,
                  gconstpointer  tcp)
{
  if (self->channel != NULL)
    leave_little_room (self);
}

/* A socket that says it has room as soon as it has any, which is less than a record. */
static void
test_little_room_in_small_buffer (TlsFixture    *self,
                                  gconstpointer  tcp)
{
  const int small = 1;

  if (self->channel == NULL)
    return;

  g_assert_no_errno (setsockopt (self->pair.near_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
  leave_little_room (self);
}

/* The peer has gone. */
static void
test_goodbye_to_nobody (TlsFixture    *self,
                        gconstpointer  tcp)
{
  if (self->channel == NULL)
    return;

  g_io_stream_close (G_IO_STREAM (self->pair.far_base), NULL, NULL);
  self->channel->says_goodbye = TRUE;
  close_within_bound (self);
  assert_closed (&self->pair);
}

/* GSocketClient hands out TLS in a wrapper that is a TCP connection itself. */
static void
close_wrapped (TlsFixture *self,
               gboolean    says_goodbye)
{
  g_autoptr (GIOStream) wrapper = NULL;

  if (self->channel == NULL)
    return;

  aqmp_channel_close (g_steal_pointer (&self->channel), NULL);
  tls_pair_clear (&self->pair);
  tls_pair_init (&self->pair, TRUE);
  wrapper = G_IO_STREAM (g_tcp_wrapper_connection_new (self->pair.near,
                                                       g_socket_connection_get_socket (self->pair.near_base)));
  self->channel = aqmp_channel_new (wrapper);
  g_assert_cmpint (self->channel->fd, ==, -1);
  write_all (self->channel, "last words", 10);
  self->channel->says_goodbye = says_goodbye;
  close_within_bound (self);
  g_assert_true (g_io_stream_is_closed (wrapper));
  g_assert_cmpint (fcntl (self->pair.near_fd, F_GETFD), ==, -1);
  expect_end (&self->pair, says_goodbye);
}

static void
test_wrapped (TlsFixture    *self,
              gconstpointer  tcp)
{
  close_wrapped (self, FALSE);
}

static void
test_wrapped_goodbye (TlsFixture    *self,
                      gconstpointer  tcp)
{
  close_wrapped (self, TRUE);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
add_each (const char *path,
          void      (*func) (TlsFixture *self, gconstpointer tcp))
{
  g_autofree char *unix_path = g_strdup_printf ("/channel-tls/%s/unix", path);
  g_autofree char *tcp_path = g_strdup_printf ("/channel-tls/%s/tcp", path);

  g_test_add (unix_path, TlsFixture, GINT_TO_POINTER (FALSE), fixture_set_up, func, fixture_tear_down);
  g_test_add (tcp_path, TlsFixture, GINT_TO_POINTER (TRUE), fixture_set_up, func, fixture_tear_down);
}

int
main (int   argc,
      char *argv[])
{
  init_transport_tests (&argc, &argv);

  add_each ("Q13/reads-record-to-its-end", test_reads_record_to_its_end);
  add_each ("Q13/reads-on-after-pause", test_reads_on_after_pause);
  add_each ("Q13/reads-to-eof/usual", test_reads_to_eof);
  add_each ("Q13/reads-to-goodbye", test_reads_to_goodbye);
  add_each ("Q13/reads-to-eof/stricter", test_reads_to_eof_of_stricter_stream);
  add_each ("Q13/record-size", test_record_size);
  add_each ("Q13/last-byte-apart", test_last_byte_apart);
  g_test_add_func ("/channel-tls/Q13/limit-write", test_limit_write);
  g_test_add_func ("/channel-tls/Q13/queued-write-size", test_queued_write_size);
  add_each ("Q13/goodbye", test_goodbye);
  add_each ("Q13/no-goodbye", test_no_goodbye);
  add_each ("Q13/goodbye-elsewhere", test_goodbye_elsewhere);
  add_each ("S10/no-room", test_no_room);
  add_each ("S10/no-room-all-written", test_no_room_all_written);
  add_each ("S10/no-room-no-goodbye", test_no_room_no_goodbye);
  add_each ("S10/little-room", test_little_room);
  add_each ("S10/little-room-in-small-buffer", test_little_room_in_small_buffer);
  add_each ("Q13/goodbye-to-nobody", test_goodbye_to_nobody);
  g_test_add ("/channel-tls/Q14/wrapped", TlsFixture, GINT_TO_POINTER (TRUE), fixture_set_up, test_wrapped,
              fixture_tear_down);
  g_test_add ("/channel-tls/Q14/wrapped-goodbye", TlsFixture, GINT_TO_POINTER (TRUE), fixture_set_up, test_wrapped_goodbye,
              fixture_tear_down);

  return g_test_run ();
}
