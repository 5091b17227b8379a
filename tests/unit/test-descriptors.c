/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* File descriptors on their way out, on every floor that they pass: they go with the first byte of their own message, or are
   closed with it. */

#include "transport-fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-channel-private.h"
#include "aqmp-glib/aqmp-write-queue-private.h"

#include "syscall-counter.h"

/* ---- descriptors that can be told apart -------------------------------------------------------------------------- */

#define MAX_PIECES 16
#define LARGEST_LIST 253

/* (transfer full): @n_fds of them, of files that are read at the position @mark. */
static GUnixFDList *
make_fds (guint n_fds,
          off_t mark)
{
  GUnixFDList *list = g_unix_fd_list_new ();
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < n_fds; i++)
    {
      int fd = memfd_create ("marked", MFD_CLOEXEC);

      g_assert_no_errno (fd);
      g_assert_cmpint (lseek (fd, mark, SEEK_SET), ==, mark);
      g_assert_cmpint (g_unix_fd_list_append (list, fd, &error), ==, (int) i);
      g_assert_no_error (error);
      close (fd);
    }
  return list;
}

static void
expect_mark (int   fd,
             off_t mark)
{
  g_assert_no_errno (fcntl (fd, F_GETFD));
  g_assert_cmpint (lseek (fd, 0, SEEK_CUR), ==, mark);
}

/* A list, and a word when it goes. */
static GUnixFDList *
make_watched_fds (GUnixFDList **watch)
{
  *watch = make_fds (1, 0);
  g_object_add_weak_pointer (G_OBJECT (*watch), (gpointer *) watch);
  return *watch;
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static void
commit (AqmpWriteQueue *queue,
        guint64         token,
        const char     *text,
        GUnixFDList    *fds)
{
  g_string_append (aqmp_write_queue_begin (queue), text);
  aqmp_write_queue_commit (queue, token, fds);
}

static void
expect_next (AqmpWriteQueue *queue,
             const char     *text,
             GUnixFDList    *fds)
{
  g_autoptr (GString) found = g_string_new (NULL);
  GOutputVector pieces[MAX_PIECES];
  GUnixFDList *found_fds = (GUnixFDList *) &queue;
  guint n_pieces = aqmp_write_queue_peek (queue, pieces, MAX_PIECES, &found_fds);
  guint i;

  for (i = 0; i < n_pieces; i++)
    g_string_append_len (found, pieces[i].buffer, pieces[i].size);
  g_assert_cmpstr (found->str, ==, text);
  g_assert_true (found_fds == fds);
}

/* What is before goes alone; what is behind goes with it, up to the next that has descriptors. */
static void
test_queue_boundaries (void)
{
  AqmpWriteQueue queue;
  GUnixFDList *first;
  GUnixFDList *second;

  aqmp_write_queue_init (&queue);
  expect_next (&queue, "", NULL);
  commit (&queue, 1, "before1 ", NULL);
  commit (&queue, 2, "before2 ", NULL);
  commit (&queue, 3, "first ", make_watched_fds (&first));
  commit (&queue, 4, "behind1 ", NULL);
  commit (&queue, 5, "behind2 ", NULL);
  commit (&queue, 6, "second ", make_watched_fds (&second));
  commit (&queue, 7, "end", NULL);

  expect_next (&queue, "before1 before2 ", NULL);
  aqmp_write_queue_advance (&queue, 3);
  expect_next (&queue, "ore1 before2 ", NULL);
  aqmp_write_queue_advance (&queue, 13);
  expect_next (&queue, "first behind1 behind2 ", first);
  g_assert_nonnull (first);
  /* Nothing was written: they are still to go. */
  aqmp_write_queue_advance (&queue, 0);
  expect_next (&queue, "first behind1 behind2 ", first);
  g_assert_nonnull (first);

  /* One byte, and they have gone. */
  aqmp_write_queue_advance (&queue, 1);
  g_assert_null (first);
  expect_next (&queue, "irst behind1 behind2 ", NULL);
  aqmp_write_queue_advance (&queue, 21);
  expect_next (&queue, "second end", second);
  aqmp_write_queue_advance (&queue, 10);
  g_assert_null (second);
  expect_next (&queue, "", NULL);

  /* From now on it is as fast as ever. */
  g_assert_cmpuint (queue.n_with_fds, ==, 0);
  aqmp_write_queue_clear (&queue);
}

/* Two in a row, each by itself; and the very first. */
static void
test_queue_neighbours (void)
{
  AqmpWriteQueue queue;
  GUnixFDList *lists[3];
  guint i;

  aqmp_write_queue_init (&queue);
  for (i = 0; i < 3; i++)
    commit (&queue, i + 1, "x", make_watched_fds (&lists[i]));
  for (i = 0; i < 3; i++)
    {
      g_assert_nonnull (lists[i]);
      expect_next (&queue, "x", lists[i]);
      aqmp_write_queue_advance (&queue, 1);
      g_assert_null (lists[i]);
    }
  aqmp_write_queue_clear (&queue);
}

static void
test_queue_removed (void)
{
  AqmpWriteQueue queue;
  GUnixFDList *first;
  GUnixFDList *second;
  GUnixFDList *third;

  aqmp_write_queue_init (&queue);
  commit (&queue, 1, "stuck", NULL);
  aqmp_write_queue_advance (&queue, 1);
  commit (&queue, 2, "first ", make_watched_fds (&first));
  commit (&queue, 3, "second ", make_watched_fds (&second));
  commit (&queue, 4, "third ", make_watched_fds (&third));
  commit (&queue, 5, "end", NULL);

  g_assert_true (aqmp_write_queue_remove (&queue, 3));
  g_assert_null (second);
  g_assert_false (aqmp_write_queue_remove (&queue, 3));
  expect_next (&queue, "tuck", NULL);
  aqmp_write_queue_advance (&queue, 4);
  expect_next (&queue, "first ", first);
  g_assert_true (aqmp_write_queue_remove (&queue, 2));
  g_assert_null (first);
  expect_next (&queue, "third end", third);
  g_assert_true (aqmp_write_queue_remove (&queue, 4));
  g_assert_null (third);
  expect_next (&queue, "end", NULL);
  g_assert_cmpuint (queue.n_with_fds, ==, 0);
  aqmp_write_queue_clear (&queue);
}

/* Once a byte has gone, so have they; it cannot be taken back. */
static void
test_queue_partly_written (void)
{
  AqmpWriteQueue queue;
  GUnixFDList *fds;

  aqmp_write_queue_init (&queue);
  commit (&queue, 1, "first", make_watched_fds (&fds));
  aqmp_write_queue_advance (&queue, 2);
  g_assert_null (fds);
  g_assert_false (aqmp_write_queue_remove (&queue, 1));
  expect_next (&queue, "rst", NULL);
  aqmp_write_queue_clear (&queue);
}

static void
test_queue_cleared (void)
{
  AqmpWriteQueue queue;
  GUnixFDList *lists[3];
  guint n_fds = test_count_fds ();
  guint i;

  aqmp_write_queue_init (&queue);
  for (i = 0; i < 3; i++)
    commit (&queue, i + 1, "message", make_watched_fds (&lists[i]));
  g_assert_cmpuint (test_count_fds (), ==, n_fds + 3);
  aqmp_write_queue_advance (&queue, 1);
  g_assert_cmpuint (test_count_fds (), ==, n_fds + 2);
  aqmp_write_queue_clear (&queue);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  for (i = 0; i < 3; i++)
    g_assert_null (lists[i]);
}

/* What is cut out to save room takes the descriptors of others along. */
static void
test_queue_survives_compaction (void)
{
  AqmpWriteQueue queue;
  GUnixFDList *kept;
  guint64 token;

  aqmp_write_queue_init (&queue);
  commit (&queue, 1, "stuck", NULL);
  aqmp_write_queue_advance (&queue, 1);
  commit (&queue, 2, "kept", make_watched_fds (&kept));
  for (token = 3; token < 5000; token++)
    {
      commit (&queue, token, "a command that nobody will ever wait for again", token % 10 == 0 ? make_fds (1, 0) : NULL);
      g_assert_true (aqmp_write_queue_remove (&queue, token));
    }
  g_assert_cmpuint (queue.text->allocated_len, <=, 64 * 1024);
  g_assert_nonnull (kept);
  expect_next (&queue, "tuck", NULL);
  aqmp_write_queue_advance (&queue, 4);
  expect_next (&queue, "kept", kept);
  aqmp_write_queue_advance (&queue, 4);
  g_assert_null (kept);
  aqmp_write_queue_clear (&queue);
}

/* Against a plain list of what every byte should bring. */
typedef struct
{
  guint64      token;
  GString     *text;    /* (owned): what is left of it */
  gboolean     begun;
  GUnixFDList *fds;     /* (unowned) (nullable): with the first byte that is left; weakly, once it has gone */
  gboolean     had_fds;
} ModelMessage;

static void
model_message_free (gpointer data)
{
  ModelMessage *message = data;

  if (message->fds != NULL)
    g_object_remove_weak_pointer (G_OBJECT (message->fds), (gpointer *) &message->fds);
  g_string_free (message->text, TRUE);
  g_free (message);
}

/* What one write may take: to the next message with descriptors. */
static void
check_against_model (AqmpWriteQueue *queue,
                     GQueue         *model,
                     guint           max)
{
  ModelMessage *first = g_queue_peek_head (model);
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GString) found = g_string_new (NULL);
  GOutputVector pieces[MAX_PIECES];
  GUnixFDList *fds;
  guint n_pieces = aqmp_write_queue_peek (queue, pieces, max, &fds);
  GList *link;
  guint i;

  for (link = model->head; link != NULL; link = link->next)
    {
      ModelMessage *message = link->data;

      g_assert_true ((message->fds != NULL) == (message->had_fds && !message->begun));
      if (message->fds != NULL && message != first)
        break;
      g_string_append (expected, message->text->str);
    }
  for (i = 0; i < n_pieces; i++)
    g_string_append_len (found, pieces[i].buffer, pieces[i].size);
  g_assert_true (fds == (first != NULL ? first->fds : NULL));
  g_assert_true (g_str_has_prefix (expected->str, found->str));
  g_assert_true (expected->len == 0 || found->len > 0);
}

static void
advance_model (GQueue *model,
               gsize   written)
{
  while (written > 0)
    {
      ModelMessage *message = g_queue_peek_head (model);
      gsize part = MIN (written, message->text->len);

      g_string_erase (message->text, 0, part);
      message->begun = TRUE;
      written -= part;
      if (message->text->len == 0)
        model_message_free (g_queue_pop_head (model));
    }
}

static void
queue_in_both (AqmpWriteQueue *queue,
               GQueue         *model,
               guint64         token,
               GRand          *random)
{
  ModelMessage *message = g_new0 (ModelMessage, 1);
  g_autofree char *filler = g_strnfill (g_rand_int_range (random, 1, g_rand_int_range (random, 0, 20) == 0 ? 4000 : 20),
                                        'a' + token % 26);

  message->token = token;
  message->text = g_string_new (filler);
  message->had_fds = g_rand_int_range (random, 0, 4) == 0;
  if (message->had_fds)
    make_watched_fds (&message->fds);
  commit (queue, token, filler, message->fds);
  g_queue_push_tail (model, message);
}

static void
remove_from_both (AqmpWriteQueue *queue,
                  GQueue         *model,
                  guint64         token)
{
  GList *link;

  for (link = model->head; link != NULL; link = link->next)
    {
      ModelMessage *message = link->data;

      if (message->token != token)
        continue;
      g_assert_cmpint (aqmp_write_queue_remove (queue, token), ==, !message->begun);
      if (message->begun)
        return;
      g_assert_null (message->fds);
      g_queue_delete_link (model, link);
      model_message_free (message);
      return;
    }
  g_assert_false (aqmp_write_queue_remove (queue, token));
}

static void
advance_both (AqmpWriteQueue *queue,
              GQueue         *model,
              GRand          *random)
{
  GOutputVector pieces[MAX_PIECES];
  GUnixFDList *fds;
  guint n_pieces = aqmp_write_queue_peek (queue, pieces, g_rand_int_range (random, 1, MAX_PIECES + 1), &fds);
  gsize available = 0;
  guint i;

  for (i = 0; i < n_pieces; i++)
    available += pieces[i].size;
  available = g_rand_boolean (random) ? available : (gsize) g_rand_int_range (random, 0, (gint32) available + 1);
  aqmp_write_queue_advance (queue, available);
  advance_model (model, available);
}

static void
test_queue_model (void)
{
  guint32 seed;

  for (seed = 1; seed <= 40; seed++)
    {
      g_autoptr (GRand) random = g_rand_new_with_seed (seed);
      guint n_fds = test_count_fds ();
      GQueue model = G_QUEUE_INIT;
      AqmpWriteQueue queue;
      guint64 token = 0;
      guint i;

      g_test_message ("seed %u", seed);
      aqmp_write_queue_init (&queue);
      for (i = 0; i < 300; i++)
        {
          switch (g_rand_int_range (random, 0, 6))
            {
            case 0:
            case 1:
              queue_in_both (&queue, &model, ++token, random);
              break;
            case 2:
            case 3:
              remove_from_both (&queue, &model,
                                g_rand_int_range (random, (gint32) MAX (token, 15) - 15, (gint32) token + 2));
              break;
            default:
              advance_both (&queue, &model, random);
            }
          check_against_model (&queue, &model, g_rand_int_range (random, 1, MAX_PIECES + 1));
        }
      aqmp_write_queue_clear (&queue);
      g_queue_clear_full (&model, model_message_free);
      g_assert_cmpuint (test_count_fds (), ==, n_fds);
    }
}

/* ---- what a peer receives ---------------------------------------------------------------------------------------- */

/* Reads one byte, and the descriptors that come with it: how many, all with @mark. Or -1 if there is none now. */
static int
receive_byte (int    fd,
              char  *byte,
              off_t  mark)
{
  union { char bytes[CMSG_SPACE (LARGEST_LIST * sizeof (int))]; struct cmsghdr header; } control;
  struct iovec vector = { byte, 1 };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
  struct cmsghdr *header;
  int n_fds = 0;
  gssize n_read;

  n_read = recvmsg (fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n_read <= 0)
    return -1;
  g_assert_cmpint (message.msg_flags & MSG_CTRUNC, ==, 0);

  for (header = CMSG_FIRSTHDR (&message); header != NULL; header = CMSG_NXTHDR (&message, header))
    {
      gsize size = header->cmsg_len - CMSG_LEN (0);
      gsize i;

      g_assert_cmpint (header->cmsg_type, ==, SCM_RIGHTS);
      for (i = 0; i < size; i += sizeof (int), n_fds++)
        {
          int received;

          memcpy (&received, CMSG_DATA (header) + i, sizeof received);
          expect_mark (received, mark);
          close (received);
        }
    }
  return n_fds;
}

/* What has come so far, as text: "3abc" are three descriptors with the letter a. The mark is the letter's code. */
static void
receive_all (int      fd,
             GString *received)
{
  char byte;
  int n_fds;

  for (;;)
    {
      /* Which mark is right the byte itself says. */
      if (recv (fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 1)
        return;
      n_fds = receive_byte (fd, &byte, byte);
      g_assert_cmpint (n_fds, >=, 0);
      if (n_fds > 0)
        g_string_append_printf (received, "%d", n_fds);
      g_string_append_c (received, byte);
    }
}

/* ---- the channel ------------------------------------------------------------------------------------------------- */

static void
test_channel_max_fds (void)
{
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (GIOStream) pollable = NULL;
  g_autoptr (GIOStream) plain = NULL;
  AqmpChannel *channel;

  test_socket_pair (&first, &second);
  channel = aqmp_channel_new (G_IO_STREAM (first));
  g_assert_cmpuint (channel->max_fds, ==, LARGEST_LIST);
  aqmp_channel_close (channel, NULL);

  pollable = test_pollable_stream_new (G_IO_STREAM (second));
  channel = aqmp_channel_new (pollable);
  g_assert_cmpuint (channel->max_fds, ==, 0);
  aqmp_channel_close (channel, NULL);

  plain = test_plain_stream_new (G_IO_STREAM (second));
  channel = aqmp_channel_new (plain);
  g_assert_cmpuint (channel->max_fds, ==, 0);
  aqmp_channel_close (channel, NULL);
}

static void
test_channel_max_fds_tcp (void)
{
  MockServer *mock = mock_new (MOCK_TRANSPORT_TCP);
  g_autoptr (GIOStream) stream = mock_get_stream (mock);
  AqmpChannel *channel = aqmp_channel_new (stream);

  g_assert_cmpuint (channel->max_fds, ==, 0);
  aqmp_channel_close (channel, NULL);
  mock_abandon (mock);
}

/* From one to all that the kernel takes. */
static void
test_channel_counts (void)
{
  static const guint counts[] = { 1, 2, 3, 17, 252, LARGEST_LIST };
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  GOutputVector piece = { "ab", 2 };
  AqmpChannel *channel;
  guint i;
  int fd;

  test_socket_pair (&first, &second);
  fd = get_blocking_fd (second);
  channel = aqmp_channel_new (G_IO_STREAM (first));
  for (i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      g_autoptr (GUnixFDList) fds = make_fds (counts[i], 'a');
      g_autoptr (GError) error = NULL;
      char byte;

      g_assert_cmpint (channel->kind->write (channel, &piece, 1, fds, &error), ==, 2);
      g_assert_no_error (error);
      /* They are still the caller's. */
      g_assert_cmpint (g_unix_fd_list_get_length (fds), ==, (int) counts[i]);
      g_assert_cmpint (receive_byte (fd, &byte, 'a'), ==, (int) counts[i]);
      g_assert_cmpint (receive_byte (fd, &byte, 'a'), ==, 0);
    }
  aqmp_channel_close (channel, NULL);
}

/* ---- the transport ----------------------------------------------------------------------------------------------- */

/* A transport over one end of a socket pair, and the other end. */
typedef struct
{
  guint              n_fds;     /* open before */
  GMainContext      *context;   /* (owned) */
  TestOwner         *owner;     /* (owned) (nullable) */
  AqmpTransport     *transport; /* (unowned): the owner's */
  GSocketConnection *peer;      /* (owned) */
  int                fd;        /* (unowned): of the peer */
  guint64            token;
} Pair;

static void
pair_set_up (Pair          *self,
             gconstpointer  data)
{
  g_autoptr (GSocketConnection) stream = NULL;
  int small = GPOINTER_TO_INT (data);

  self->n_fds = test_count_fds ();
  self->context = g_main_context_new ();
  g_main_context_push_thread_default (self->context);
  test_socket_pair (&stream, &self->peer);
  if (small > 0)
    g_assert_no_errno (setsockopt (g_socket_get_fd (g_socket_connection_get_socket (stream)), SOL_SOCKET, SO_SNDBUF, &small,
                                   sizeof small));
  self->fd = get_blocking_fd (self->peer);
  self->owner = g_object_new (TEST_TYPE_OWNER, NULL);
  self->owner->transport = self->transport = aqmp_transport_new (G_IO_STREAM (stream), G_OBJECT (self->owner),
                                                                 &owner_callbacks);
  aqmp_transport_attach (self->transport, self->context);
}

static void
pair_tear_down (Pair          *self,
                gconstpointer  data)
{
  g_clear_object (&self->owner);
  test_dispatch_pending ();
  g_clear_object (&self->peer);
  g_main_context_pop_thread_default (self->context);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_assert_cmpint (count_owners (), ==, 0);
  assert_n_fds (self->n_fds);
}

/* With descriptors whose mark is the first letter. */
static guint64
queue_with_fds (Pair       *self,
                const char *text,
                guint       n_fds)
{
  g_string_append (aqmp_transport_begin_message (self->transport), text);
  aqmp_transport_commit_message (self->transport, ++self->token, n_fds > 0 ? make_fds (n_fds, text[0]) : NULL);
  return self->token;
}

static void
drain (Pair *self)
{
  guint n_drained = self->owner->n_drained;

  aqmp_transport_request_drained (self->transport);
  test_wait_until (self->owner->n_drained > n_drained);
}

static void
expect_received (Pair       *self,
                 const char *expected)
{
  g_autoptr (GString) received = g_string_new (NULL);

  receive_all (self->fd, received);
  g_assert_cmpstr (received->str, ==, expected);
}

/* Each in the system call of its own first byte, and in as few as that allows. */
static void
test_transport_first_byte (Pair          *self,
                           gconstpointer  data)
{
  g_assert_cmpuint (aqmp_transport_get_max_fds (self->transport), ==, LARGEST_LIST);
  queue_with_fds (self, "alone ", 0);
  queue_with_fds (self, "before ", 0);
  queue_with_fds (self, "first ", 2);
  queue_with_fds (self, "behind ", 0);
  queue_with_fds (self, "second ", 1);
  queue_with_fds (self, "third ", 3);
  queue_with_fds (self, "end", 0);
  g_assert_cmpuint (test_count_fds (), ==, self->n_fds + 6 + 3);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  drain (self);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "sendmsg"), ==, 4);
  /* They are the peer's now. */
  g_assert_cmpuint (test_count_fds (), ==, self->n_fds + 3);
  expect_received (self, "alone before 2first behind 1second 3third end");

  /* And again, from an empty queue. */
  queue_with_fds (self, "x", 1);
  drain (self);
  queue_with_fds (self, "y", 0);
  drain (self);
  expect_received (self, "1xy");
}

/* Without any of them, and with the last, it is one call for everything. */
static void
test_transport_few_calls (Pair          *self,
                          gconstpointer  data)
{
  guint i;

  queue_with_fds (self, "first ", 1);
  for (i = 0; i < 100; i++)
    queue_with_fds (self, "x", 0);
  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  drain (self);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "sendmsg"), ==, 1);
}

/* A message much larger than the socket's buffer: they go once, with its first part. */
static void
test_transport_partly_written (Pair          *self,
                               gconstpointer  data)
{
  g_autoptr (GString) expected = g_string_new ("start ");
  g_autoptr (GString) received = g_string_new (NULL);
  guint i;

  queue_with_fds (self, "start ", 0);
  for (i = 0; i < 5; i++)
    {
      g_autofree char *text = g_strnfill (30000, 'a' + i);

      queue_with_fds (self, text, i % 2 == 0 ? i + 1 : 0);
      if (i % 2 == 0)
        g_string_append_printf (expected, "%u", i + 1);
      g_string_append (expected, text);
    }
  aqmp_transport_request_drained (self->transport);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), >, 100000);

  while (self->owner->n_drained == 0)
    {
      receive_all (self->fd, received);
      g_main_context_iteration (self->context, FALSE);
    }
  receive_all (self->fd, received);
  g_assert_cmpstr (received->str, ==, expected->str);
}

/* The peer takes nothing: those behind can be taken back, and their descriptors go at once. */
static void
test_transport_removed (Pair          *self,
                        gconstpointer  data)
{
  g_autofree char *block = g_strnfill (500000, 's');
  guint64 first;
  guint64 second;
  guint n_fds;

  queue_with_fds (self, block, 1);
  test_dispatch_pending ();
  n_fds = test_count_fds ();
  first = queue_with_fds (self, "first", 2);
  second = queue_with_fds (self, "second", 3);
  g_assert_cmpuint (test_count_fds (), ==, n_fds + 5);
  g_assert_true (aqmp_transport_remove_message (self->transport, first));
  g_assert_cmpuint (test_count_fds (), ==, n_fds + 3);
  g_assert_false (aqmp_transport_remove_message (self->transport, first));
  g_assert_true (aqmp_transport_remove_message (self->transport, second));
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
}

/* Rolled back, it has none; what is queued when the transport goes is closed with it. */
static void
test_transport_closed (Pair          *self,
                       gconstpointer  data)
{
  g_autofree char *block = g_strnfill (500000, 's');

  queue_with_fds (self, block, 1);
  test_dispatch_pending ();
  queue_with_fds (self, "never", 3);
  g_string_append (aqmp_transport_begin_message (self->transport), "rolled back");
  aqmp_transport_rollback_message (self->transport);
  aqmp_transport_close (self->transport);
  g_assert_cmpuint (aqmp_transport_get_max_fds (self->transport), ==, 0);
  /* Queued after it: closed too. */
  queue_with_fds (self, "never", 2);
  g_clear_object (&self->owner);
  g_assert_cmpuint (test_count_fds (), ==, self->n_fds + 2);
}

/* The peer is gone. */
static void
test_transport_failed (Pair          *self,
                       gconstpointer  data)
{
  g_clear_object (&self->peer);
  queue_with_fds (self, "never", 3);
  queue_with_fds (self, "never", 2);
  test_wait_until (self->owner->n_failed > 0);
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_clear_object (&self->owner);
}

/* Nobody closes a second time what has a new owner by then. */
static void
test_transport_closed_once (Pair          *self,
                            gconstpointer  data)
{
  GUnixFDList *list = make_fds (3, 'm');
  int numbers[3];
  int reused[3];
  guint i;

  memcpy (numbers, g_unix_fd_list_peek_fds (list, NULL), sizeof numbers);
  g_string_append (aqmp_transport_begin_message (self->transport), "message");
  aqmp_transport_commit_message (self->transport, ++self->token, list);
  drain (self);

  /* The lowest numbers that are free are used first. */
  for (i = 0; i < 3; i++)
    {
      g_assert_cmpint (fcntl (numbers[i], F_GETFD), ==, -1);
      reused[i] = fcntl (0, F_DUPFD_CLOEXEC, numbers[i]);
      g_assert_cmpint (reused[i], ==, numbers[i]);
    }
  expect_received (self, "3message");
  queue_with_fds (self, "next", 1);
  drain (self);
  expect_received (self, "1next");
  g_clear_object (&self->owner);
  test_dispatch_pending ();
  for (i = 0; i < 3; i++)
    {
      g_assert_no_errno (fcntl (reused[i], F_GETFD));
      close (reused[i]);
    }
}

/* Driven by hand. */
static void
test_transport_iterated (Pair          *self,
                         gconstpointer  data)
{
  guint n_drained;

  queue_with_fds (self, "before ", 0);
  queue_with_fds (self, "first ", 2);
  aqmp_transport_request_drained (self->transport);
  n_drained = self->owner->n_drained;
  while (self->owner->n_drained == n_drained)
    g_assert_true (aqmp_transport_iterate (self->transport, (int) (test_bound_us () / 1000), NULL));
  expect_received (self, "before 2first ");
}

static void
test_no_fds (Fixture       *self,
             gconstpointer  setup)
{
  g_assert_cmpuint (aqmp_transport_get_max_fds (self->transport), ==, 0);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
add_pair (const char *path,
          int         send_buffer,
          void      (*func) (Pair *self, gconstpointer data))
{
  g_autofree char *full_path = g_strconcat ("/descriptors/transport/", path, NULL);

  g_test_add (full_path, Pair, GINT_TO_POINTER (send_buffer), pair_set_up, func, pair_tear_down);
}

int
main (int   argc,
      char *argv[])
{
  init_transport_tests (&argc, &argv);

  g_test_add_func ("/descriptors/queue/Q10/boundaries", test_queue_boundaries);
  g_test_add_func ("/descriptors/queue/Q10/neighbours", test_queue_neighbours);
  g_test_add_func ("/descriptors/queue/Q8/removed", test_queue_removed);
  g_test_add_func ("/descriptors/queue/Q10/partly-written", test_queue_partly_written);
  g_test_add_func ("/descriptors/queue/Q10/cleared", test_queue_cleared);
  g_test_add_func ("/descriptors/queue/Q10/survives-compaction", test_queue_survives_compaction);
  g_test_add_func ("/descriptors/queue/model", test_queue_model);
  g_test_add_func ("/descriptors/channel/Q10/max-fds", test_channel_max_fds);
  g_test_add_func ("/descriptors/channel/Q10/max-fds/tcp", test_channel_max_fds_tcp);
  g_test_add_func ("/descriptors/channel/Q10/counts", test_channel_counts);
  add_pair ("Q10/first-byte", 0, test_transport_first_byte);
  add_pair ("Q10/few-calls", 0, test_transport_few_calls);
  add_pair ("Q10/partly-written", 4096, test_transport_partly_written);
  add_pair ("Q10/partly-written/tiny", 1, test_transport_partly_written);
  add_pair ("Q8/removed", 4096, test_transport_removed);
  add_pair ("S5/closed", 4096, test_transport_closed);
  add_pair ("S5/failed", 0, test_transport_failed);
  add_pair ("Q10/closed-once", 0, test_transport_closed_once);
  add_pair ("Q10/iterated", 0, test_transport_iterated);
  add ("Q10/max-fds", POLLABLE | NOT_POLLABLE | PIPES | EITHER_WAY, test_no_fds);

  return g_test_run ();
}
