/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The transport over TLS, driven either way. */

#include "transport-fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificates.h"
#include "tls-pair.h"

/* ---- a transport over the near end ------------------------------------------------------------------------------- */

typedef struct
{
  TlsPair        pair;
  guint          n_fds;      /* open before */
  gboolean       iterated;   /* not attached */
  GMainContext  *context;    /* (owned) (nullable) */
  TestOwner     *owner;      /* (owned) (nullable): NULL without TLS */
  AqmpTransport *transport;  /* (unowned): the owner's */
  guint64        token;
} TlsFixture;

static void
tls_set_up (TlsFixture    *self,
            gconstpointer  iterated)
{
  if (!test_have_certificates ())
    return;

  self->n_fds = test_count_fds ();
  self->iterated = GPOINTER_TO_INT (iterated);
  self->context = g_main_context_new ();
  g_main_context_push_thread_default (self->context);
  tls_pair_init (&self->pair, FALSE);
  self->owner = g_object_new (TEST_TYPE_OWNER, NULL);
  self->owner->transport = self->transport = aqmp_transport_new (self->pair.near, G_OBJECT (self->owner),
                                                                 &owner_callbacks);
  if (!self->iterated)
    aqmp_transport_attach (self->transport, self->context);
}

static void
tls_tear_down (TlsFixture    *self,
               gconstpointer  iterated)
{
  if (self->context == NULL)
    return;

  g_clear_object (&self->owner);
  g_assert_cmpint (fcntl (self->pair.near_fd, F_GETFD), ==, -1);
  tls_pair_clear (&self->pair);
  test_dispatch_pending ();
  g_main_context_pop_thread_default (self->context);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_assert_cmpint (count_owners (), ==, 0);
  assert_n_fds (self->n_fds);
}

#define tls_drive_until(self, condition) \
  G_STMT_START { \
    if ((self)->iterated) \
      while (!(condition)) \
        g_assert_true (aqmp_transport_iterate ((self)->transport, (int) (test_bound_us () / 1000), NULL) || (condition)); \
    else \
      test_wait_until (condition); \
  } G_STMT_END

static void
tls_queue (TlsFixture *self,
           const char *text)
{
  g_string_append (aqmp_transport_begin_message (self->transport), text);
  aqmp_transport_commit_message (self->transport, ++self->token, NULL);
}

static void
tls_flush (TlsFixture *self)
{
  guint before = self->owner->n_drained;

  aqmp_transport_request_drained (self->transport);
  tls_drive_until (self, self->owner->n_drained > before);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void
test_both_ways (TlsFixture    *self,
                gconstpointer  iterated)
{
  char buffer[100];

  if (self->owner == NULL)
    return;

  g_assert_cmpuint (aqmp_transport_get_max_fds (self->transport), ==, 0);
  aqmp_transport_set_reading (self->transport, TRUE);
  tls_pair_write (&self->pair, "one\ntwo\nth", 10);
  tls_drive_until (self, self->owner->n_messages == 2);
  tls_queue (self, "first\n");
  tls_flush (self);
  g_assert_cmpint (tls_pair_read (&self->pair, buffer, sizeof buffer, NULL), ==, 6);
  g_assert_cmpmem (buffer, 6, "first\n", 6);
  tls_pair_write (&self->pair, "ree\n", 4);
  tls_drive_until (self, self->owner->n_messages == 3);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;DRAINED;three;");
}

/* One message in one record, of any size: it arrives, though nothing comes after it. */
static void
test_large_records (TlsFixture    *self,
                    gconstpointer  iterated)
{
  gsize length;
  guint n = 0;

  if (self->owner == NULL)
    return;

  self->owner->quiet = TRUE;
  aqmp_transport_set_reading (self->transport, TRUE);
  for (length = 1; length <= 16384; length = length < 16 ? length + 1 : length * 2)
    {
      gssize around;

      for (around = -1; around <= 1; around++)
        {
          gsize size = MIN (MAX ((gssize) length + around, 1), 16384);
          g_autofree char *text = g_strnfill (size, 'x');

          text[size - 1] = '\n';
          tls_pair_write (&self->pair, text, size);
          n++;
          tls_drive_until (self, self->owner->n_messages == n);
        }
    }
}

/* Paused with the rest of a record decrypted already, and then read on. */
static void
pause_it (TestOwner  *owner,
          const char *text)
{
  aqmp_transport_set_reading (owner->transport, FALSE);
}

static void
test_pause (TlsFixture    *self,
            gconstpointer  iterated)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint i;

  if (self->owner == NULL)
    return;

  for (i = 0; i < 1000; i++)
    g_string_append_printf (text, "message %u\n", i);
  self->owner->quiet = TRUE;
  self->owner->on_message = pause_it;
  tls_pair_write (&self->pair, text->str, text->len);
  for (i = 0; i < 1000; i++)
    {
      aqmp_transport_set_reading (self->transport, TRUE);
      tls_drive_until (self, self->owner->n_messages == i + 1);
      while (self->iterated ? aqmp_transport_iterate (self->transport, 0, NULL)
                            : g_main_context_iteration (self->context, FALSE))
        ;
      g_assert_cmpuint (self->owner->n_messages, ==, i + 1);
    }
}

/* Without a goodbye it is an EOF like any other. */
static void
test_eof (TlsFixture    *self,
          gconstpointer  iterated)
{
  if (self->owner == NULL)
    return;

  aqmp_transport_set_reading (self->transport, TRUE);
  tls_pair_write (&self->pair, "one\n", 4);
  shutdown (self->pair.far_fd, SHUT_WR);
  tls_drive_until (self, self->owner->n_failed > 0);
  g_assert_cmpstr (self->owner->log->str, ==, "one;FAILED;");
  g_assert_error (self->owner->error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void
expect_records (TlsFixture *self,
                guint       n_records,
                guint       first_length)
{
  g_autoptr (GArray) records = tls_pair_list_records (&self->pair);
  char buffer[1000];

  g_assert_cmpuint (records->len, ==, n_records);
  g_assert_cmpuint (g_array_index (records, guint, 0), ==, first_length);
  while (tls_pair_read (&self->pair, buffer, sizeof buffer, NULL) > 0)
    ;
}

static void
test_largest_write (TlsFixture    *self,
                    gconstpointer  iterated)
{
  if (self->owner == NULL)
    return;

  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 1, 10);

  aqmp_transport_set_portions (self->transport, 1, FALSE);
  tls_queue (self, "0123456789");
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 20, 1);

  aqmp_transport_set_portions (self->transport, 3, FALSE);
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 4, 3);

  aqmp_transport_set_portions (self->transport, 0, FALSE);
  tls_queue (self, "0123456789");
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 1, 20);
}

/* Of all that is queued, not of each message; also around what was taken back. */
static void
test_last_byte_apart (TlsFixture    *self,
                      gconstpointer  iterated)
{
  if (self->owner == NULL)
    return;

  aqmp_transport_set_portions (self->transport, 0, TRUE);
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 2, 9);
  tls_queue (self, "0123456789");
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 2, 19);

  tls_queue (self, "0123456789");
  tls_queue (self, "taken back");
  g_assert_true (aqmp_transport_remove_message (self->transport, self->token));
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 3, 10);

  aqmp_transport_set_portions (self->transport, 4, TRUE);
  tls_queue (self, "01234567");
  tls_flush (self);
  expect_records (self, 3, 4);
  aqmp_transport_set_portions (self->transport, 0, FALSE);
  tls_queue (self, "0123456789");
  tls_flush (self);
  expect_records (self, 1, 10);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void
expect_end (TlsFixture *self,
            gboolean    with_goodbye)
{
  g_autoptr (GError) error = NULL;
  char byte;

  g_assert_cmpint (tls_pair_read (&self->pair, &byte, 1, &error), ==, with_goodbye ? 0 : -1);
  if (!with_goodbye)
    g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_EOF);
}

static void
test_goodbye (TlsFixture    *self,
              gconstpointer  iterated)
{
  if (self->owner == NULL)
    return;

  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_allow_goodbye (self->transport);
  aqmp_transport_close (self->transport);
  expect_end (self, TRUE);
  /* Harmless now. */
  aqmp_transport_allow_goodbye (self->transport);
  aqmp_transport_set_portions (self->transport, 1, FALSE);
}

static void
test_no_goodbye (TlsFixture    *self,
                 gconstpointer  iterated)
{
  if (self->owner == NULL)
    return;

  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_close (self->transport);
  expect_end (self, FALSE);
}

/* Nobody has allowed it. */
static void
test_last_unref (TlsFixture    *self,
                 gconstpointer  iterated)
{
  if (self->owner == NULL)
    return;

  aqmp_transport_set_reading (self->transport, TRUE);
  g_clear_object (&self->owner);
  expect_end (self, FALSE);
}

/* The peer does not read. */
static void
test_close_while_blocked (TlsFixture    *self,
                          gconstpointer  iterated)
{
  g_autofree char *block = g_strnfill (3000000, 'x');

  if (self->owner == NULL)
    return;

  tls_queue (self, block);
  aqmp_transport_set_reading (self->transport, TRUE);
  if (self->iterated)
    while (aqmp_transport_iterate (self->transport, 0, NULL))
      ;
  else
    test_dispatch_pending ();
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), >, 1000000);
  aqmp_transport_allow_goodbye (self->transport);
  alarm ((guint) (test_bound_us () / G_USEC_PER_SEC));
  aqmp_transport_close (self->transport);
  alarm (0);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
add_both (const char *path,
          void      (*func) (TlsFixture *self, gconstpointer iterated))
{
  g_autofree char *attached = g_strdup_printf ("/transport-tls/%s/attached", path);
  g_autofree char *iterated = g_strdup_printf ("/transport-tls/%s/iterated", path);

  g_test_add (attached, TlsFixture, GINT_TO_POINTER (FALSE), tls_set_up, func, tls_tear_down);
  g_test_add (iterated, TlsFixture, GINT_TO_POINTER (TRUE), tls_set_up, func, tls_tear_down);
}

int
main (int   argc,
      char *argv[])
{
  init_transport_tests (&argc, &argv);

  add_both ("Q13/both-ways", test_both_ways);
  add_both ("Q13/large-records", test_large_records);
  add_both ("M7/pause", test_pause);
  add_both ("Q13/eof", test_eof);
  add_both ("Q13/largest-write", test_largest_write);
  add_both ("Q13/last-byte-apart", test_last_byte_apart);
  add_both ("Q13/goodbye", test_goodbye);
  add_both ("Q13/no-goodbye", test_no_goodbye);
  add_both ("S10/last-unref", test_last_unref);
  add_both ("S10/close-while-blocked", test_close_while_blocked);

  return g_test_run ();
}
