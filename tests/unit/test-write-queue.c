/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The write queue: what was queued comes out in order, but for what was taken back in time. */

#include <malloc.h>
#include <string.h>

#include "aqmp-glib/aqmp-write-queue-private.h"

#define MAX_PIECES 16

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void
queue_text (AqmpWriteQueue *queue,
            guint64         token,
            const char     *text)
{
  g_string_append (aqmp_write_queue_begin (queue), text);
  aqmp_write_queue_commit (queue, token, NULL);
}

/* (transfer full): what peek shows, joined. */
static char *
peek_text (AqmpWriteQueue *queue,
           guint           max,
           guint          *n_pieces)
{
  GOutputVector pieces[MAX_PIECES];
  GString *text = g_string_new (NULL);
  GUnixFDList *fds;
  guint n = aqmp_write_queue_peek (queue, pieces, max, &fds);
  guint i;

  g_assert_cmpuint (n, <=, max);
  for (i = 0; i < n; i++)
    {
      g_assert_cmpuint (pieces[i].size, >, 0);
      g_string_append_len (text, pieces[i].buffer, pieces[i].size);
    }

  if (n_pieces != NULL)
    *n_pieces = n;
  return g_string_free (text, FALSE);
}

static void
assert_holds (AqmpWriteQueue *queue,
              const char     *expected)
{
  g_autofree char *text = peek_text (queue, MAX_PIECES, NULL);

  g_assert_cmpstr (text, ==, expected);
  g_assert_cmpuint (aqmp_write_queue_get_length (queue), ==, strlen (expected));
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static void
test_order (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  assert_holds (&queue, "");
  queue_text (&queue, 1, "one ");
  queue_text (&queue, 2, "two ");
  queue_text (&queue, 5, "five");
  assert_holds (&queue, "one two five");
  aqmp_write_queue_advance (&queue, 2);
  assert_holds (&queue, "e two five");
  queue_text (&queue, 6, " six");
  assert_holds (&queue, "e two five six");
  aqmp_write_queue_advance (&queue, 14);
  assert_holds (&queue, "");
  queue_text (&queue, 7, "seven");
  assert_holds (&queue, "seven");
  aqmp_write_queue_clear (&queue);
}

/* In one piece as long as nothing was taken back: one system call for all that waits. */
static void
test_one_piece (void)
{
  AqmpWriteQueue queue;
  guint n_pieces;
  guint i;

  aqmp_write_queue_init (&queue);
  for (i = 1; i <= 1000; i++)
    queue_text (&queue, i, "message");
  g_free (peek_text (&queue, MAX_PIECES, &n_pieces));
  g_assert_cmpuint (n_pieces, ==, 1);
  aqmp_write_queue_clear (&queue);
}

static void
test_rollback (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  g_string_append (aqmp_write_queue_begin (&queue), "never");
  aqmp_write_queue_rollback (&queue);
  assert_holds (&queue, "");

  queue_text (&queue, 1, "one");
  aqmp_write_queue_advance (&queue, 1);
  g_string_append (aqmp_write_queue_begin (&queue), "never");
  aqmp_write_queue_rollback (&queue);
  assert_holds (&queue, "ne");
  queue_text (&queue, 2, "two");
  assert_holds (&queue, "netwo");
  g_assert_false (aqmp_write_queue_remove (&queue, 3));
  aqmp_write_queue_clear (&queue);
}

static void
test_written_token (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 0);
  queue_text (&queue, 3, "abc");
  queue_text (&queue, 7, "def");
  queue_text (&queue, 8, "ghi");
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 0);
  aqmp_write_queue_advance (&queue, 1);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 3);
  aqmp_write_queue_advance (&queue, 2);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 3);
  aqmp_write_queue_advance (&queue, 1);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 7);
  aqmp_write_queue_advance (&queue, 5);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 8);
  assert_holds (&queue, "");
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 8);
  aqmp_write_queue_clear (&queue);
}

/* One that was taken back was never written, whatever comes after it. */
static void
test_written_token_skips_removed (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "abc");
  queue_text (&queue, 2, "def");
  g_assert_true (aqmp_write_queue_remove (&queue, 2));
  aqmp_write_queue_advance (&queue, 3);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 1);

  queue_text (&queue, 3, "ghi");
  g_assert_true (aqmp_write_queue_remove (&queue, 3));
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 1);
  aqmp_write_queue_clear (&queue);
}

/* ---- taking back ------------------------------------------------------------------------------------------------- */

static void
test_remove_unwritten (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "abc");
  queue_text (&queue, 2, "def");
  g_assert_true (aqmp_write_queue_remove (&queue, 1));
  assert_holds (&queue, "def");
  g_assert_false (aqmp_write_queue_remove (&queue, 1));
  g_assert_true (aqmp_write_queue_remove (&queue, 2));
  assert_holds (&queue, "");
  queue_text (&queue, 3, "ghi");
  assert_holds (&queue, "ghi");
  aqmp_write_queue_clear (&queue);
}

static void
test_remove_partly_written (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "abc");
  queue_text (&queue, 2, "def");
  aqmp_write_queue_advance (&queue, 1);
  g_assert_false (aqmp_write_queue_remove (&queue, 1));
  assert_holds (&queue, "bcdef");
  g_assert_true (aqmp_write_queue_remove (&queue, 2));
  assert_holds (&queue, "bc");
  aqmp_write_queue_clear (&queue);
}

static void
test_remove_written (void)
{
  AqmpWriteQueue queue;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "abc");
  queue_text (&queue, 2, "def");
  aqmp_write_queue_advance (&queue, 3);
  g_assert_false (aqmp_write_queue_remove (&queue, 1));
  /* Not a byte of this one is. */
  g_assert_true (aqmp_write_queue_remove (&queue, 2));
  assert_holds (&queue, "");
  g_assert_false (aqmp_write_queue_remove (&queue, 2));
  g_assert_false (aqmp_write_queue_remove (&queue, 99));
  aqmp_write_queue_clear (&queue);
}

static void
test_remove_in_the_middle (void)
{
  AqmpWriteQueue queue;
  g_autofree char *text = NULL;
  guint n_pieces;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "a1");
  queue_text (&queue, 2, "b2");
  queue_text (&queue, 3, "c3");
  queue_text (&queue, 4, "d4");
  queue_text (&queue, 5, "e5");
  g_assert_true (aqmp_write_queue_remove (&queue, 2));
  g_assert_true (aqmp_write_queue_remove (&queue, 4));

  text = peek_text (&queue, MAX_PIECES, &n_pieces);
  g_assert_cmpstr (text, ==, "a1c3e5");
  g_assert_cmpuint (n_pieces, ==, 3);

  /* Across the pieces, one byte at a time. */
  aqmp_write_queue_advance (&queue, 1);
  assert_holds (&queue, "1c3e5");
  aqmp_write_queue_advance (&queue, 1);
  assert_holds (&queue, "c3e5");
  aqmp_write_queue_advance (&queue, 3);
  assert_holds (&queue, "5");
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 5);
  aqmp_write_queue_clear (&queue);
}

/* Neighbours are one piece; and no more pieces than there is room for. */
static void
test_pieces (void)
{
  AqmpWriteQueue queue;
  g_autofree char *text = NULL;
  g_autofree char *start = NULL;
  guint n_pieces;
  guint i;

  aqmp_write_queue_init (&queue);
  for (i = 1; i <= 40; i++)
    {
      g_autofree char *message = g_strdup_printf ("%u,", i);

      queue_text (&queue, i, message);
    }
  for (i = 4; i <= 40; i += 4)
    g_assert_true (aqmp_write_queue_remove (&queue, i));

  text = peek_text (&queue, MAX_PIECES, &n_pieces);
  g_assert_cmpuint (n_pieces, ==, 10);
  g_assert_true (g_str_has_prefix (text, "1,2,3,5,6,7,9,10,11,13,"));
  g_assert_cmpuint (strlen (text), ==, aqmp_write_queue_get_length (&queue));

  start = peek_text (&queue, 2, &n_pieces);
  g_assert_cmpuint (n_pieces, ==, 2);
  g_assert_cmpstr (start, ==, "1,2,3,5,6,7,");
  aqmp_write_queue_clear (&queue);
}

static void
test_remove_many (void)
{
  AqmpWriteQueue queue;
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GString) written = g_string_new (NULL);
  guint i;

  aqmp_write_queue_init (&queue);
  for (i = 1; i <= 20000; i++)
    {
      g_autofree char *message = g_strdup_printf ("%u,", i);

      queue_text (&queue, i, message);
      if (i % 1000 == 1)
        g_string_append (expected, message);
    }
  /* From both ends. */
  for (i = 1; i <= 10000; i++)
    {
      if (i % 1000 != 1)
        g_assert_true (aqmp_write_queue_remove (&queue, i));
      if ((20001 - i) % 1000 != 1)
        g_assert_true (aqmp_write_queue_remove (&queue, 20001 - i));
    }
  g_assert_cmpuint (aqmp_write_queue_get_length (&queue), ==, expected->len);

  while (aqmp_write_queue_get_length (&queue) > 0)
    {
      GOutputVector pieces[3];
      GUnixFDList *fds;
      guint n_pieces = aqmp_write_queue_peek (&queue, pieces, 3, &fds);
      gsize taken = 0;

      g_assert_cmpuint (n_pieces, >, 0);
      for (i = 0; i < n_pieces; i++)
        {
          g_string_append_len (written, pieces[i].buffer, pieces[i].size);
          taken += pieces[i].size;
        }
      aqmp_write_queue_advance (&queue, taken);
    }
  g_assert_cmpstr (written->str, ==, expected->str);
  aqmp_write_queue_clear (&queue);
}

/* Taking back the last ones while the first one is stuck: that is what time-outs do to a peer that hangs. */
static void
test_remove_behind_a_stuck_one (void)
{
  AqmpWriteQueue queue;
  guint i;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "stuck");
  aqmp_write_queue_advance (&queue, 1);
  for (i = 2; i < 5000; i++)
    {
      queue_text (&queue, i, "never to be written");
      g_assert_true (aqmp_write_queue_remove (&queue, i));
      assert_holds (&queue, "tuck");
    }
  aqmp_write_queue_advance (&queue, 4);
  assert_holds (&queue, "");
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 1);
  g_assert_cmpuint (queue.records->len, ==, 0);
  aqmp_write_queue_clear (&queue);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* With never an empty queue, what is written does not pile up. */
static void
test_compaction (void)
{
  AqmpWriteQueue queue;
  guint64 token = 1;
  guint i;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, token++, "0123456789");
  for (i = 0; i < 100000; i++)
    {
      queue_text (&queue, token++, "0123456789");
      aqmp_write_queue_advance (&queue, 10);
      g_assert_cmpuint (queue.text->len, <=, 64);
      g_assert_cmpuint (queue.records->len, <=, 8);
    }
  assert_holds (&queue, "0123456789");
  aqmp_write_queue_clear (&queue);
}

static void
test_gives_back (void)
{
  g_autofree char *big = g_strnfill (1000, 'x');
  AqmpWriteQueue queue;
  guint i;

  aqmp_write_queue_init (&queue);
  for (i = 1; i <= 2000; i++)
    queue_text (&queue, i, big);
  g_assert_cmpuint (queue.text->allocated_len, >=, 2000000);
  aqmp_write_queue_advance (&queue, 2000000);
  g_assert_cmpuint (queue.text->allocated_len, <=, 16384);
  g_assert_cmpuint (malloc_usable_size (queue.text->str), <=, 32768);
  g_assert_cmpuint (queue.records->len, ==, 0);

  /* The same by taking all back. */
  for (i = 1; i <= 2000; i++)
    queue_text (&queue, 2000 + i, big);
  for (i = 1; i <= 2000; i++)
    g_assert_true (aqmp_write_queue_remove (&queue, 4001 - i));
  g_assert_cmpuint (queue.text->allocated_len, <=, 16384);
  aqmp_write_queue_clear (&queue);
}

/* A queue that empties again and again keeps its small buffer: no allocation per message. */
static void
test_keeps_little (void)
{
  AqmpWriteQueue queue;
  const char *buffer;
  guint i;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "a message of an ordinary length");
  aqmp_write_queue_advance (&queue, aqmp_write_queue_get_length (&queue));
  buffer = queue.text->str;
  for (i = 2; i < 1000; i++)
    {
      queue_text (&queue, i, "a message of an ordinary length");
      aqmp_write_queue_advance (&queue, aqmp_write_queue_get_length (&queue));
      g_assert_true (queue.text->str == buffer);
    }
  aqmp_write_queue_clear (&queue);
}

/* ---- against a model --------------------------------------------------------------------------------------------- */

/* The same queue, told in the plainest way. */
typedef struct
{
  guint64  token;
  GString *text;      /* (owned): what is left of it */
  gboolean begun;
} ModelMessage;

typedef struct
{
  GQueue  messages;   /* (element-type ModelMessage) */
  guint64 written_token;
} Model;

static void
model_message_free (gpointer data)
{
  ModelMessage *message = data;

  g_string_free (message->text, TRUE);
  g_free (message);
}

static void
model_queue (Model      *model,
             guint64     token,
             const char *text)
{
  ModelMessage *message = g_new0 (ModelMessage, 1);

  message->token = token;
  message->text = g_string_new (text);
  g_queue_push_tail (&model->messages, message);
}

static gboolean
model_remove (Model   *model,
              guint64  token)
{
  GList *link;

  for (link = model->messages.head; link != NULL; link = link->next)
    {
      ModelMessage *message = link->data;

      if (message->token != token)
        continue;
      if (message->begun)
        return FALSE;
      g_queue_delete_link (&model->messages, link);
      model_message_free (message);
      return TRUE;
    }

  return FALSE;
}

static void
model_advance (Model *model,
               gsize  written)
{
  while (written > 0)
    {
      ModelMessage *message = g_queue_peek_head (&model->messages);
      gsize part = MIN (written, message->text->len);

      g_string_erase (message->text, 0, part);
      message->begun = TRUE;
      model->written_token = message->token;
      written -= part;
      if (message->text->len == 0)
        model_message_free (g_queue_pop_head (&model->messages));
    }
}

static GString *
model_text (Model *model)
{
  GString *text = g_string_new (NULL);
  GList *link;

  for (link = model->messages.head; link != NULL; link = link->next)
    g_string_append (text, ((ModelMessage *) link->data)->text->str);
  return text;
}

static gsize
random_below (GRand *random,
              gsize  bound)
{
  return g_rand_int_range (random, 0, (gint32) bound);
}

static char *
random_text (GRand   *random,
             guint64  token)
{
  /* Mostly short, some long enough to make buffers grow. */
  gsize length = 1 + random_below (random, random_below (random, 20) == 0 ? 3000 : 30);
  g_autofree char *filler = g_strnfill (length, 'a' + token % 26);

  return g_strdup_printf ("%" G_GUINT64_FORMAT "%s", token, filler);
}

static void
assert_like_model (AqmpWriteQueue *queue,
                   Model          *model,
                   guint           max)
{
  g_autoptr (GString) expected = model_text (model);
  g_autofree char *text = peek_text (queue, max, NULL);

  g_assert_cmpuint (aqmp_write_queue_get_length (queue), ==, expected->len);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (queue), ==, model->written_token);
  g_assert_true (g_str_has_prefix (expected->str, text));
  g_assert_true (expected->len == 0 || text[0] != '\0');
}

static void
run_against_model (guint32 seed,
                   guint   n_steps)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  AqmpWriteQueue queue;
  Model model = { G_QUEUE_INIT, 0 };
  guint64 token = 0;
  guint i;

  g_test_message ("seed %u", seed);
  aqmp_write_queue_init (&queue);

  for (i = 0; i < n_steps; i++)
    {
      guint max = g_rand_int_range (random, 1, MAX_PIECES + 1);

      switch (g_rand_int_range (random, 0, 8))
        {
        case 0:
        case 1:
        case 2:
          {
            g_autofree char *text = NULL;

            token += g_rand_int_range (random, 1, 4);
            text = random_text (random, token);
            queue_text (&queue, token, text);
            model_queue (&model, token, text);
          }
          break;

        case 3:
          g_string_append (aqmp_write_queue_begin (&queue), "rolled back");
          aqmp_write_queue_rollback (&queue);
          break;

        case 4:
        case 5:
          {
            /* Any token at all, often one that is there; some that never were. */
            guint64 which = random_below (random, token + 2);

            if (token > 30 && g_rand_boolean (random))
              which = token - random_below (random, 30);
            g_assert_cmpint (aqmp_write_queue_remove (&queue, which), ==, model_remove (&model, which));
          }
          break;

        case 6:
        case 7:
          {
            g_autofree char *text = peek_text (&queue, max, NULL);
            gsize available = strlen (text);
            gsize written = g_rand_boolean (random) ? available : random_below (random, available + 1);

            aqmp_write_queue_advance (&queue, written);
            model_advance (&model, written);
          }
          break;

        default:
          g_assert_not_reached ();
        }

      assert_like_model (&queue, &model, max);
    }

  aqmp_write_queue_clear (&queue);
  g_queue_clear_full (&model.messages, model_message_free);
}

static void
test_model (void)
{
  guint32 seed;

  for (seed = 1; seed <= 60; seed++)
    run_against_model (seed, 500);
}

/* A peer that takes nothing any more, and a caller whose commands time out one after the other. */
static void
test_removed_do_not_pile_up (void)
{
  AqmpWriteQueue queue;
  guint64 token;

  aqmp_write_queue_init (&queue);
  queue_text (&queue, 1, "stuck");
  aqmp_write_queue_advance (&queue, 2);
  queue_text (&queue, 2, " kept");

  for (token = 3; token < 100000; token++)
    {
      queue_text (&queue, token, "a command that nobody will ever wait for again");
      g_assert_true (aqmp_write_queue_remove (&queue, token));
      g_assert_cmpuint (queue.text->allocated_len, <=, 64 * 1024);
      g_assert_cmpuint (queue.records->len, <=, 1024);
    }

  queue_text (&queue, token, ".");
  assert_holds (&queue, "uck kept.");
  g_assert_false (aqmp_write_queue_remove (&queue, 1));
  aqmp_write_queue_advance (&queue, 4);
  g_assert_cmpuint (aqmp_write_queue_get_written_token (&queue), ==, 2);
  g_assert_false (aqmp_write_queue_remove (&queue, 2));
  g_assert_true (aqmp_write_queue_remove (&queue, token));
  assert_holds (&queue, "kept");
  aqmp_write_queue_clear (&queue);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/write-queue/order", test_order);
  g_test_add_func ("/write-queue/one-piece", test_one_piece);
  g_test_add_func ("/write-queue/rollback", test_rollback);
  g_test_add_func ("/write-queue/written-token", test_written_token);
  g_test_add_func ("/write-queue/written-token-skips-removed", test_written_token_skips_removed);
  g_test_add_func ("/write-queue/Q8/remove/unwritten", test_remove_unwritten);
  g_test_add_func ("/write-queue/Q8/remove/partly-written", test_remove_partly_written);
  g_test_add_func ("/write-queue/Q8/remove/written", test_remove_written);
  g_test_add_func ("/write-queue/Q8/remove/in-the-middle", test_remove_in_the_middle);
  g_test_add_func ("/write-queue/Q8/remove/pieces", test_pieces);
  g_test_add_func ("/write-queue/Q8/remove/many", test_remove_many);
  g_test_add_func ("/write-queue/Q8/remove/behind-a-stuck-one", test_remove_behind_a_stuck_one);
  g_test_add_func ("/write-queue/memory/compaction", test_compaction);
  g_test_add_func ("/write-queue/memory/gives-back", test_gives_back);
  g_test_add_func ("/write-queue/memory/keeps-little", test_keeps_little);
  g_test_add_func ("/write-queue/memory/removed-do-not-pile-up", test_removed_do_not_pile_up);
  g_test_add_func ("/write-queue/model", test_model);

  return g_test_run ();
}
