/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The transport: the same behaviour over every kind of stream, driven by a main context or round by round. */

#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-transport-private.h"

#include "mock-server.h"
#include "syscall-counter.h"
#include "util.h"

/* ---- an owner ---------------------------------------------------------------------------------------------------- */

#define TEST_TYPE_OWNER (test_owner_get_type ())
G_DECLARE_FINAL_TYPE (TestOwner, test_owner, TEST, OWNER, GObject)

struct _TestOwner
{
  GObject        parent_instance;
  AqmpTransport *transport;    /* (owned) (nullable) */
  GString       *log;          /* (owned): what it was told: "text;" of messages, or "WORK;", "DRAINED;", "FAILED;" */
  GError        *error;        /* (owned) (nullable): of the failure */
  guint          n_messages;
  guint          n_work;
  guint          n_drained;
  guint          n_failed;
  gboolean       quiet;        /* counts only */
  gboolean       never_ends;   /* a frame function that waits for more even at EOF */

  /* What else to do. */
  void         (*on_frame)   (TestOwner *self);
  void         (*on_message) (TestOwner *self, const char *text);
  void         (*on_work)    (TestOwner *self);
  void         (*on_drained) (TestOwner *self);
  void         (*on_failed)  (TestOwner *self);
  gpointer       hook_data;
};

G_DEFINE_FINAL_TYPE (TestOwner, test_owner, G_TYPE_OBJECT)

static int n_owners;

static void
test_owner_finalize (GObject *object)
{
  TestOwner *self = TEST_OWNER (object);

  if (self->transport != NULL)
    aqmp_transport_close (self->transport);
  g_clear_pointer (&self->transport, aqmp_transport_unref);
  g_string_free (self->log, TRUE);
  g_clear_error (&self->error);
  g_atomic_int_add (&n_owners, -1);

  G_OBJECT_CLASS (test_owner_parent_class)->finalize (object);
}

static void
test_owner_class_init (TestOwnerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_owner_finalize;
}

static void
test_owner_init (TestOwner *self)
{
  self->log = g_string_new (NULL);
  g_atomic_int_inc (&n_owners);
}

/* Lines; one that is "bad" is an error. */
static gssize
owner_frame (gpointer       user_data,
             const guint8  *data,
             gsize          length,
             gsize          scanned,
             gboolean       at_eof,
             gsize         *payload_length,
             GError       **error)
{
  TestOwner *self = TEST_OWNER (user_data);
  gssize consumed = aqmp_framing_line (data, length, scanned, at_eof && !self->never_ends, payload_length);

  if (self->on_frame != NULL)
    self->on_frame (self);
  if (consumed == 4 && memcmp (data, "bad\n", 4) == 0)
    {
      g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_PARSE, "bad indeed");
      return -1;
    }
  return consumed;
}

static void
owner_message (gpointer  owner,
               GBytes   *message)
{
  TestOwner *self = TEST_OWNER (owner);
  gsize size;
  const char *data = g_bytes_get_data (message, &size);
  /* There is no pointer to an empty message's bytes. */
  g_autofree char *text = g_strndup (data != NULL ? data : "", size);

  self->n_messages++;
  if (!self->quiet)
    g_string_append_printf (self->log, "%s;", text);
  if (self->on_message != NULL)
    self->on_message (self, text);
}

static void
owner_work (gpointer owner)
{
  TestOwner *self = TEST_OWNER (owner);

  self->n_work++;
  g_string_append (self->log, "WORK;");
  if (self->on_work != NULL)
    self->on_work (self);
}

static void
owner_drained (gpointer owner)
{
  TestOwner *self = TEST_OWNER (owner);

  self->n_drained++;
  g_string_append (self->log, "DRAINED;");
  if (self->on_drained != NULL)
    self->on_drained (self);
}

static void
owner_failed (gpointer      owner,
              const GError *error)
{
  TestOwner *self = TEST_OWNER (owner);

  self->n_failed++;
  g_string_append (self->log, "FAILED;");
  g_clear_error (&self->error);
  self->error = g_error_copy (error);
  if (self->on_failed != NULL)
    self->on_failed (self);
}

static const AqmpTransportCallbacks owner_callbacks = {
  owner_frame, owner_message, owner_work, owner_drained, owner_failed,
};

/* ---- a transport and its peer ------------------------------------------------------------------------------------ */

typedef enum
{
  SOCKET       = 1 << 0,
  POLLABLE     = 1 << 1,
  NOT_POLLABLE = 1 << 2,
  PIPES        = 1 << 3,
  EVERY_KIND   = SOCKET | POLLABLE | NOT_POLLABLE | PIPES,
  ATTACHED     = 1 << 8,   /* driven by its source in a main context */
  ITERATED     = 1 << 9,   /* driven by aqmp_transport_iterate() */
  EITHER_WAY   = ATTACHED | ITERATED,
} Setup;

typedef struct
{
  Setup          setup;
  guint          n_fds;       /* open before */
  MockServer    *mock;        /* (owned) */
  GMainContext  *context;     /* (owned) (nullable): thread-default; unless iterated */
  GSource       *tripwire;    /* (owned) (nullable): in the default context, which nobody may run when iterated */
  gboolean       tripped;
  TestOwner     *owner;       /* (owned) (nullable) */
  AqmpTransport *transport;   /* (unowned): the owner's */
  int            fd;          /* (unowned): that it reads */
  guint64        token;       /* the latest */
  gboolean       gone_is_fine; /* the peer may see a reset: it sent what nobody read */
  gboolean       peer_is_gone;
} Fixture;

/* How the context polled last. */
static struct
{
  int      shortened_to;  /* ms: no wait is longer; -1 for none */
  int      timeout;       /* that was asked for */
  int      result;
  int      is_polling;    /* atomic */
} recorded;

static int
recording_poll (GPollFD *fds,
                guint    n_fds,
                int      timeout)
{
  int real_timeout = timeout < 0 && recorded.shortened_to >= 0 ? recorded.shortened_to : timeout;

  recorded.timeout = timeout;
  g_atomic_int_set (&recorded.is_polling, timeout != 0);
  recorded.result = g_poll (fds, n_fds, real_timeout);
  g_atomic_int_set (&recorded.is_polling, FALSE);
  return recorded.result;
}

static gboolean
on_tripwire (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_CONTINUE;
}

static GIOStream *
make_stream (Setup      setup,
             GIOStream *base)
{
  if (setup & POLLABLE)
    return test_pollable_stream_new (base);
  if (setup & NOT_POLLABLE)
    return test_plain_stream_new (base);
  return g_object_ref (base);
}

static void
fixture_set_up (Fixture       *self,
                gconstpointer  setup)
{
  g_autoptr (GIOStream) base = NULL;
  g_autoptr (GIOStream) stream = NULL;

  self->setup = (Setup) GPOINTER_TO_INT (setup);
  self->n_fds = test_count_fds ();

  recorded.shortened_to = -1;
  if (self->setup & ATTACHED)
    {
      self->context = g_main_context_new ();
      g_main_context_set_poll_func (self->context, recording_poll);
      g_main_context_push_thread_default (self->context);
    }
  else
    {
      self->tripwire = g_idle_source_new ();
      g_source_set_callback (self->tripwire, on_tripwire, &self->tripped, NULL);
      g_source_attach (self->tripwire, NULL);
    }

  self->mock = mock_new (self->setup & PIPES ? MOCK_TRANSPORT_PIPES : MOCK_TRANSPORT_SOCKETPAIR);
  base = mock_get_stream (self->mock);
  self->fd = G_IS_SOCKET_CONNECTION (base)
               ? g_socket_get_fd (g_socket_connection_get_socket (G_SOCKET_CONNECTION (base)))
               : g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (g_io_stream_get_input_stream (base)));
  stream = make_stream (self->setup, base);

  self->owner = g_object_new (TEST_TYPE_OWNER, NULL);
  self->owner->hook_data = self;
  self->owner->transport = self->transport = aqmp_transport_new (stream, G_OBJECT (self->owner), &owner_callbacks);
  if (self->setup & ATTACHED)
    aqmp_transport_attach (self->transport, self->context);
}

/* GIO's threads may take a moment longer to let go of what they used. */
static void
assert_n_fds (guint n_fds)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  g_autofree char *fds = NULL;

  while (test_count_fds () > n_fds && g_get_monotonic_time () < deadline)
    g_thread_yield ();

  fds = test_list_fds ();
  g_test_message ("%s", fds);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
}

/* The transport is closed as its owner goes, if it was not before; the peer sees it. */
static void
fixture_tear_down (Fixture       *self,
                   gconstpointer  setup)
{
  if (!self->peer_is_gone && self->gone_is_fine)
    mock_expect_gone (self->mock);
  else if (!self->peer_is_gone)
    mock_expect_eof (self->mock);

  g_clear_object (&self->owner);
  if (self->tripwire != NULL)
    {
      g_assert_false (self->tripped);
      g_source_destroy (self->tripwire);
      g_clear_pointer (&self->tripwire, g_source_unref);
    }
  /* Iterates the context that closing may need. */
  mock_wait_done (self->mock);
  test_dispatch_pending ();
  mock_finish (g_steal_pointer (&self->mock));

  if (self->context != NULL)
    {
      g_main_context_pop_thread_default (self->context);
      g_clear_pointer (&self->context, g_main_context_unref);
    }

  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
  assert_n_fds (self->n_fds);
}

/* One round. It says whether something happened; if something did, then not just when the time was up. */
static gboolean
iterate (Fixture *self)
{
  gint64 before = g_get_monotonic_time ();
  gboolean happened = aqmp_transport_iterate (self->transport, (int) (test_bound_us () / 1000), NULL);

  g_assert_cmpint (g_get_monotonic_time () - before, <, test_bound_us () - 1000);
  return happened;
}

/* Runs it until @condition, which has to come true by what the transport does. */
#define drive_until(self, condition) \
  G_STMT_START { \
    if ((self)->setup & ATTACHED) \
      test_wait_until (condition); \
    else \
      while (!(condition)) \
        g_assert_true (iterate (self) || (condition)); \
  } G_STMT_END

/* All that there is to do now. */
static void
drive_pending (Fixture *self)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  if (self->setup & ATTACHED)
    test_dispatch_pending ();
  else
    while (aqmp_transport_iterate (self->transport, 0, NULL))
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
}

static guint64
queue_text (Fixture    *self,
            const char *text)
{
  g_string_append (aqmp_transport_begin_message (self->transport), text);
  aqmp_transport_commit_message (self->transport, ++self->token, NULL);
  return self->token;
}

/* Until all is written. */
static void
flush (Fixture *self)
{
  guint before = self->owner->n_drained;

  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->owner->n_drained > before);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), ==, 0);
}

/* Nothing is done, and the wait is without end. What runs in other threads may wake it up a few times before. */
static void
assert_asleep (Fixture *self)
{
  guint n_asleep = 0;
  guint i;

  drive_pending (self);
  recorded.shortened_to = 5;

  for (i = 0; i < 50 && n_asleep < 2; i++)
    {
      if (self->setup & ATTACHED)
        {
          gboolean dispatched = g_main_context_iteration (self->context, TRUE);

          n_asleep = !dispatched && recorded.timeout == -1 && recorded.result == 0 ? n_asleep + 1 : 0;
        }
      else
        {
          guint64 n_calls;

          syscall_counter_reset (SYSCALL_COUNTER_THREAD);
          n_asleep = aqmp_transport_iterate (self->transport, 5, NULL) ? 0 : n_asleep + 1;
          n_calls = syscall_counter_get (SYSCALL_COUNTER_THREAD, "poll") +
                    syscall_counter_get (SYSCALL_COUNTER_THREAD, "__poll_chk");
          /* Attaching a source to the channel's context wakes that up. */
          g_assert_cmpuint (n_calls, <=, 5);
        }
    }

  recorded.shortened_to = -1;
  g_assert_cmpuint (n_asleep, ==, 2);
}

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

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static void
close_it (TestOwner *owner)
{
  Fixture *self = owner->hook_data;

  aqmp_transport_close (owner->transport);
  g_clear_pointer (&owner->transport, aqmp_transport_unref);
  self->transport = NULL;
}

static void
close_in_message (TestOwner  *owner,
                  const char *text)
{
  aqmp_transport_request_work (owner->transport);
  aqmp_transport_request_drained (owner->transport);
  close_it (owner);
}

static void
test_close_in_message (Fixture       *self,
                       gconstpointer  setup)
{
  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  self->owner->on_message = close_in_message;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "one;");
}

static void
test_close_in_frame (Fixture       *self,
                     gconstpointer  setup)
{
  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  self->owner->on_frame = close_it;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "");
}

static void
test_close_in_work (Fixture       *self,
                    gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  mock_block_done (self->mock);
  self->gone_is_fine = TRUE;
  self->owner->on_work = close_it;
  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_work (self->transport);
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "WORK;");
}

static void
test_close_in_drained (Fixture       *self,
                       gconstpointer  setup)
{
  mock_expect_bytes (self->mock, "last words\n", -1);
  self->owner->on_drained = close_it;
  queue_text (self, "last words\n");
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "DRAINED;");
}

static void
test_close_in_failed (Fixture       *self,
                      gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  mock_shutdown_write (self->mock);
  self->owner->on_failed = close_it;
  aqmp_transport_set_reading (self->transport, TRUE);
  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->transport == NULL);
  g_assert_true (g_str_has_suffix (self->owner->log->str, "FAILED;"));
  g_assert_cmpuint (self->owner->n_failed, ==, 1);
}

/* The error it is told is the transport's own. */
static void
test_close_in_failed_by_write (Fixture       *self,
                               gconstpointer  setup)
{
  mock_close (self->mock);
  mock_block_done (self->mock);
  self->peer_is_gone = TRUE;
  self->owner->on_failed = close_it;
  queue_text (self, "to nobody\n");
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "FAILED;");
}

static void
test_close (Fixture       *self,
            gconstpointer  setup)
{
  guint64 token;

  aqmp_transport_set_reading (self->transport, TRUE);
  drive_pending (self);
  token = queue_text (self, "never");
  aqmp_transport_close (self->transport);
  aqmp_transport_close (self->transport);

  /* All of these are harmless now. */
  aqmp_transport_request_work (self->transport);
  aqmp_transport_request_drained (self->transport);
  aqmp_transport_set_reading (self->transport, FALSE);
  aqmp_transport_set_reading (self->transport, TRUE);
  queue_text (self, "never");
  g_assert_true (aqmp_transport_remove_message (self->transport, token));
  g_assert_false (aqmp_transport_iterate (self->transport, -1, NULL));
  if (self->setup & ATTACHED)
    test_dispatch_pending ();
  g_assert_cmpstr (self->owner->log->str, ==, "");
}

/* Closing does not wait for a peer that does not read. */
static void
test_close_while_blocked (Fixture       *self,
                          gconstpointer  setup)
{
  g_autofree char *block = g_strnfill (3000000, 'x');

  queue_text (self, block);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_pending (self);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), >, 0);
  aqmp_transport_close (self->transport);
  self->gone_is_fine = TRUE;
}

/* ---- re-entrancy ------------------------------------------------------------------------------------------------- */

static void
wait_for_three (TestOwner  *owner,
                const char *text)
{
  Fixture *self = owner->hook_data;

  if (owner->n_messages > 1)
    return;
  mock_send (self->mock, "three\n");
  drive_until (self, owner->n_messages >= 3);
  g_string_append (owner->log, "(waited)");
}

static void
test_nested (Fixture       *self,
             gconstpointer  setup)
{
  self->owner->on_message = wait_for_three;
  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, strstr (self->owner->log->str, "(waited)") != NULL);
  mock_send (self->mock, "four\n");
  drive_until (self, self->owner->n_messages == 4);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;three;(waited)four;");
}

static void
wait_for_failure (TestOwner  *owner,
                  const char *text)
{
  Fixture *self = owner->hook_data;

  if (owner->n_messages > 1)
    return;
  drive_until (self, owner->n_failed > 0);
  g_string_append (owner->log, "(waited)");
}

static void
test_nested_failure (Fixture       *self,
                     gconstpointer  setup)
{
  self->owner->on_message = wait_for_failure;
  mock_send (self->mock, "one\ntwo\nthree\n");
  mock_shutdown_write (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, strstr (self->owner->log->str, "(waited)") != NULL);
  assert_asleep (self);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;three;FAILED;(waited)");
}

static void
wait_for_close (TestOwner  *owner,
                const char *text)
{
  Fixture *self = owner->hook_data;

  if (owner->n_messages > 1)
    {
      close_it (owner);
      return;
    }
  drive_until (self, self->transport == NULL);
  g_string_append (owner->log, "(waited)");
}

static void
test_nested_close (Fixture       *self,
                   gconstpointer  setup)
{
  self->owner->on_message = wait_for_close;
  mock_send (self->mock, "one\ntwo\nthree\n");
  mock_block_done (self->mock);
  self->gone_is_fine = TRUE;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;(waited)");
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  Fixture *fixture;
  enum { COMMIT, WORK, DRAINED, REMOVE } what;
} Poke;

/* Once the context waits, which nothing but this will end. */
static gpointer
poke (gpointer data)
{
  Poke *self = data;
  AqmpTransport *transport = self->fixture->transport;
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (!g_atomic_int_get (&recorded.is_polling))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_thread_yield ();
    }

  switch (self->what)
    {
    case COMMIT:
      queue_text (self->fixture, "wake up\n");
      break;
    case WORK:
      aqmp_transport_request_work (transport);
      break;
    case DRAINED:
      aqmp_transport_request_drained (transport);
      break;
    case REMOVE:
      g_assert_true (aqmp_transport_remove_message (transport, self->fixture->token));
      break;
    default:
      g_assert_not_reached ();
    }
  return NULL;
}

static void
test_wakes (Fixture       *self,
            gconstpointer  setup)
{
  Poke pokes[] = { { self, COMMIT }, { self, WORK }, { self, DRAINED } };
  guint i;

  mock_expect_bytes (self->mock, "wake up\n", -1);
  mock_send (self->mock, "woken\n");
  aqmp_transport_set_reading (self->transport, TRUE);

  for (i = 0; i < G_N_ELEMENTS (pokes); i++)
    {
      g_autoptr (GThread) thread = NULL;

      assert_asleep (self);
      thread = g_thread_new ("poke", poke, &pokes[i]);
      drive_until (self, self->owner->n_messages + self->owner->n_work + self->owner->n_drained == i + 1);
      g_thread_join (g_steal_pointer (&thread));
    }
  g_assert_cmpstr (self->owner->log->str, ==, "woken;WORK;DRAINED;");
}

/* The last message that keeps the queue from being drained is taken back in another thread. */
static void
test_removal_wakes (Fixture       *self,
                    gconstpointer  setup)
{
  Poke remove = { self, REMOVE };
  g_autoptr (GThread) thread = NULL;
  g_autofree char *block = g_strnfill (500000, 'x');
  guint64 blocked;

  queue_text (self, block);
  queue_text (self, "never\n");
  assert_asleep (self);
  blocked = aqmp_transport_get_queued_bytes (self->transport);
  thread = g_thread_new ("poke", poke, &remove);
  while (aqmp_transport_get_queued_bytes (self->transport) == blocked)
    g_main_context_iteration (self->context, TRUE);
  g_thread_join (g_steal_pointer (&thread));
  self->gone_is_fine = TRUE;
}

#define N_THREADS 4
#define N_EACH 500

typedef struct
{
  Fixture *fixture;
  guint    number;
  int     *n_running;   /* atomic */
} Writer;

/* Messages stay whole, and each thread's in order. The token is drawn under the transport's own lock. */
static gpointer
write_many (gpointer data)
{
  Writer *self = data;
  AqmpTransport *transport = self->fixture->transport;
  guint i;

  for (i = 0; i < N_EACH; i++)
    {
      GString *text = aqmp_transport_begin_message (transport);

      g_string_append_printf (text, "%u:%u\n", self->number, i);
      aqmp_transport_commit_message (transport, ++self->fixture->token, NULL);
    }

  g_atomic_int_add (self->n_running, -1);
  g_main_context_wakeup (self->fixture->context);
  return NULL;
}

/* GSocket makes it non-blocking, whatever it is asked to do itself. */
static int
get_blocking_fd (GSocketConnection *connection)
{
  int fd = g_socket_get_fd (g_socket_connection_get_socket (connection));

  g_assert_no_errno (fcntl (fd, F_SETFL, 0));
  return fd;
}

/* (transfer full): all that comes until the end. */
static gpointer
read_all (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  GString *all = g_string_new (NULL);
  char buffer[4096];
  gssize n_read;

  while ((n_read = recv (fd, buffer, sizeof buffer, 0)) > 0)
    g_string_append_len (all, buffer, n_read);
  return g_string_free (all, FALSE);
}

static void
test_concurrent_commits (Fixture       *self,
                         gconstpointer  setup)
{
  Writer writers[N_THREADS];
  GThread *threads[N_THREADS];
  GThread *reader;
  guint next[N_THREADS] = { 0, };
  int n_running = N_THREADS;
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autofree char *all = NULL;
  g_auto (GStrv) lines = NULL;
  guint i;

  test_socket_pair (&first, &second);
  stream = make_stream (self->setup, G_IO_STREAM (first));
  owner->transport = aqmp_transport_new (stream, G_OBJECT (owner), &owner_callbacks);
  self->transport = owner->transport;
  aqmp_transport_attach (self->transport, self->context);
  reader = g_thread_new ("reader", read_all, GINT_TO_POINTER (get_blocking_fd (second)));

  for (i = 0; i < N_THREADS; i++)
    {
      writers[i] = (Writer) { self, i, &n_running };
      threads[i] = g_thread_new ("writer", write_many, &writers[i]);
    }
  test_wait_until (g_atomic_int_get (&n_running) == 0);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  aqmp_transport_request_drained (self->transport);
  test_wait_until (owner->n_drained == 1);
  aqmp_transport_close (self->transport);
  self->transport = self->owner->transport;

  all = g_thread_join (reader);
  lines = g_strsplit (all, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, N_THREADS * N_EACH + 1);
  for (i = 0; i < N_THREADS * N_EACH; i++)
    {
      guint number;
      guint count;

      g_assert_cmpint (sscanf (lines[i], "%u:%u", &number, &count), ==, 2);
      g_assert_cmpuint (number, <, N_THREADS);
      g_assert_cmpuint (count, ==, next[number]++);
    }
}

/* One who drops the last reference while messages come in. */
typedef struct
{
  TestOwner    *owner;     /* (owned) */
  GMainContext *context;
  int           fd;
  guint         patience;
  int           done;      /* atomic */
} Dropper;

static gpointer
drop_owner (gpointer data)
{
  Dropper *self = data;
  guint i = 0;

  /* Ends with EPIPE, when the transport has closed. */
  while (send (self->fd, "message\n", 8, MSG_NOSIGNAL) > 0)
    if (i++ == self->patience)
      g_clear_object (&self->owner);

  g_assert_null (self->owner);
  g_atomic_int_set (&self->done, TRUE);
  g_main_context_wakeup (self->context);
  return NULL;
}

static void
test_last_unref_elsewhere (Fixture       *self,
                           gconstpointer  setup)
{
  guint n_rounds = (self->setup & SOCKET ? 300 : 150) / (test_timeout_scale () > 4 ? 10 : 1);
  guint i;

  for (i = 0; i < n_rounds; i++)
    {
      g_autoptr (GSocketConnection) first = NULL;
      g_autoptr (GSocketConnection) second = NULL;
      g_autoptr (GIOStream) stream = NULL;
      g_autoptr (GThread) thread = NULL;
      Dropper dropper = { .context = self->context, .patience = i % 60 };

      test_socket_pair (&first, &second);
      stream = make_stream (self->setup, G_IO_STREAM (first));
      dropper.fd = get_blocking_fd (second);
      dropper.owner = g_object_new (TEST_TYPE_OWNER, NULL);
      dropper.owner->quiet = TRUE;
      dropper.owner->transport = aqmp_transport_new (stream, G_OBJECT (dropper.owner), &owner_callbacks);
      aqmp_transport_attach (dropper.owner->transport, self->context);
      aqmp_transport_set_reading (dropper.owner->transport, TRUE);
      g_clear_object (&stream);
      g_clear_object (&first);

      thread = g_thread_new ("dropper", drop_owner, &dropper);
      test_wait_until (g_atomic_int_get (&dropper.done));
      g_thread_join (g_steal_pointer (&thread));
      /* All but the fixture's own. */
      g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 1);
    }
  test_dispatch_pending ();
}

static void
drop_last (TestOwner  *owner,
           const char *text)
{
  Fixture *self = owner->hook_data;

  self->transport = NULL;
  g_clear_object (&self->owner);
}

/* The last reference, given up in a callback: it goes when that is over. */
static void
test_last_unref_in_callback (Fixture       *self,
                             gconstpointer  setup)
{
  mock_send (self->mock, "one\n");
  self->owner->on_message = drop_last;
  aqmp_transport_set_reading (self->transport, TRUE);
  drive_until (self, self->transport == NULL);
  g_assert_cmpint (g_atomic_int_get (&n_owners), ==, 0);
}

/* ---- without a context ------------------------------------------------------------------------------------------- */

static void
test_iterate_timeout (Fixture       *self,
                      gconstpointer  setup)
{
  gint64 before;

  aqmp_transport_set_reading (self->transport, TRUE);
  before = g_get_monotonic_time ();
  g_assert_false (aqmp_transport_iterate (self->transport, 30, NULL));
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 29000);
  g_assert_false (aqmp_transport_iterate (self->transport, 0, NULL));
}

/* Without waiting at all, what is there is taken. */
static void
test_iterate_no_wait (Fixture       *self,
                      gconstpointer  setup)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  mock_send (self->mock, "one\ntwo\n");
  mock_block_done (self->mock);
  aqmp_transport_set_reading (self->transport, TRUE);
  if (self->setup & NOT_POLLABLE)
    /* Somebody else reads it, which takes a moment. */
    while (self->owner->n_messages < 2 && g_get_monotonic_time () < deadline)
      {
        aqmp_transport_iterate (self->transport, 0, NULL);
        g_thread_yield ();
      }
  else
    g_assert_true (aqmp_transport_iterate (self->transport, 0, NULL));
  g_assert_cmpstr (self->owner->log->str, ==, "one;two;");
  g_assert_false (aqmp_transport_iterate (self->transport, 0, NULL));
}

static gpointer
cancel_later (gpointer cancellable)
{
  /* Most often the other thread waits by then; it makes no difference. */
  g_usleep (5000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_iterate_cancellable (Fixture       *self,
                          gconstpointer  setup)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread;

  aqmp_transport_set_reading (self->transport, TRUE);
  thread = g_thread_new ("cancel", cancel_later, cancellable);
  g_assert_false (aqmp_transport_iterate (self->transport, -1, cancellable));
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  g_thread_join (thread);

  /* Cancelled before. */
  g_assert_false (aqmp_transport_iterate (self->transport, -1, cancellable));

  /* The stream is none the worse for it. */
  mock_send (self->mock, "one\n");
  drive_until (self, self->owner->n_messages == 1);
}

/* One and the same transport, now by its source and now by hand. */
static void
test_interleaved (Fixture       *self,
                  gconstpointer  setup)
{
  guint i;

  aqmp_transport_set_reading (self->transport, TRUE);
  for (i = 0; i < 50; i++)
    {
      g_autofree char *request = g_strdup_printf ("request %u\n", i);
      g_autofree char *reply = g_strdup_printf ("reply %u\n", i);

      mock_expect_bytes (self->mock, request, -1);
      mock_send (self->mock, reply);
      queue_text (self, request);
      if (i % 3 == 0)
        while (self->owner->n_messages <= i)
          g_assert_true (iterate (self));
      else
        drive_until (self, self->owner->n_messages > i);
    }
  assert_asleep (self);
  g_assert_cmpuint (self->owner->n_messages, ==, 50);
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

#define N_WARM_UP 20
#define N_CALLS 1000

static gpointer
echo (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);
  char buffer[64];
  gssize n_read;

  test_mark_helper_thread ();
  while ((n_read = recv (fd, buffer, sizeof buffer, 0)) > 0)
    g_assert_cmpint (send (fd, buffer, n_read, MSG_NOSIGNAL), ==, n_read);
  return NULL;
}

static void
send_next (TestOwner  *owner,
           const char *text)
{
  if (owner->n_messages < N_WARM_UP + N_CALLS)
    queue_text (owner->hook_data, "next\n");
}

/* A call that is sent, waited for and received: sendmsg(), poll(), recv(). */
static void
test_three_calls (Fixture       *self,
                  gconstpointer  setup)
{
  g_autoptr (GSocketConnection) first = NULL;
  g_autoptr (GSocketConnection) second = NULL;
  g_autoptr (TestOwner) owner = g_object_new (TEST_TYPE_OWNER, NULL);
  g_autofree char *table = NULL;
  GThread *thread;
  int fd;

  test_socket_pair (&first, &second);
  fd = get_blocking_fd (second);
  thread = g_thread_new ("echo", echo, GINT_TO_POINTER (fd));

  owner->quiet = TRUE;
  owner->on_message = send_next;
  owner->hook_data = self;
  owner->transport = aqmp_transport_new (G_IO_STREAM (first), G_OBJECT (owner), &owner_callbacks);
  self->transport = owner->transport;
  aqmp_transport_attach (self->transport, self->context);
  aqmp_transport_set_reading (self->transport, TRUE);
  queue_text (self, "first\n");
  while (owner->n_messages < N_WARM_UP)
    g_main_context_iteration (self->context, TRUE);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  while (owner->n_messages < N_WARM_UP + N_CALLS)
    g_main_context_iteration (self->context, TRUE);
  table = syscall_counter_table (SYSCALL_COUNTER_THREAD);
  g_test_message ("%s", table);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "write"), ==, 0);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "read"), ==, 0);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "recv"), ==, N_CALLS);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "sendmsg"), ==, N_CALLS);
  g_assert_cmpuint (syscall_counter_total (SYSCALL_COUNTER_THREAD), ==, 3 * N_CALLS);

  aqmp_transport_close (self->transport);
  g_thread_join (thread);
  self->transport = self->owner->transport;
}

/* All that is queued goes out in one call. */
static void
test_one_write (Fixture       *self,
                gconstpointer  setup)
{
  g_autoptr (GString) expected = g_string_new (NULL);
  guint i;

  for (i = 0; i < 100; i++)
    {
      g_autofree char *text = g_strdup_printf ("message %u\n", i);

      queue_text (self, text);
      if (i % 10 == 5)
        g_assert_true (aqmp_transport_remove_message (self->transport, self->token));
      else
        g_string_append (expected, text);
    }
  mock_expect_bytes (self->mock, expected->str, -1);

  syscall_counter_reset (SYSCALL_COUNTER_THREAD);
  g_main_context_iteration (self->context, FALSE);
  g_assert_cmpuint (syscall_counter_get (SYSCALL_COUNTER_THREAD, "sendmsg"), ==, 1);
  mock_block_done (self->mock);
}

/* ---- which test for which kind, driven how ----------------------------------------------------------------------- */

typedef void (*TestFunc) (Fixture *self, gconstpointer setup);

static void
add (const char *path,
     Setup       setups,
     TestFunc    func)
{
  static const struct { Setup setup; const char *name; } kinds[] = {
    { SOCKET, "socket" }, { POLLABLE, "pollable" }, { NOT_POLLABLE, "not-pollable" }, { PIPES, "pipes" },
  };
  static const struct { Setup setup; const char *name; } drivers[] = {
    { ATTACHED, "attached" }, { ITERATED, "iterated" },
  };
  guint i;
  guint j;

  for (i = 0; i < G_N_ELEMENTS (kinds); i++)
    for (j = 0; j < G_N_ELEMENTS (drivers); j++)
      {
        g_autofree char *full_path = g_strdup_printf ("/transport/%s/%s/%s", path, kinds[i].name, drivers[j].name);
        Setup setup = kinds[i].setup | drivers[j].setup;

        if ((setups & setup) == setup)
          g_test_add (full_path, Fixture, GINT_TO_POINTER ((int) setup), fixture_set_up, func, fixture_tear_down);
      }
}

static void
do_nothing (GTask        *task,
            gpointer      source_object,
            gpointer      task_data,
            GCancellable *cancellable)
{
  g_task_return_boolean (task, TRUE);
}

/* What GLib opens once and keeps is no leak. */
static void
open_what_stays_open (void)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);

  g_main_context_default ();
  g_task_run_in_thread_sync (task, do_nothing);
}

int
main (int   argc,
      char *argv[])
{
  const Setup all = EVERY_KIND | EITHER_WAY;
  const Setup can_be_polled = SOCKET | POLLABLE | PIPES;
  const Setup over_sockets = SOCKET | POLLABLE | NOT_POLLABLE;

  g_test_init (&argc, &argv, NULL);
  open_what_stays_open ();

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
  add ("S5/close", all, test_close);
  add ("S10/close-while-blocked", all, test_close_while_blocked);
  add ("T4/close-in-message", all, test_close_in_message);
  add ("T4/close-in-frame", all, test_close_in_frame);
  add ("T4/close-in-work", all, test_close_in_work);
  add ("T4/close-in-drained", all, test_close_in_drained);
  add ("T4/close-in-failed", all, test_close_in_failed);
  add ("T4/close-in-failed-by-write", all, test_close_in_failed_by_write);
  add ("T4/nested", all, test_nested);
  add ("T4/nested-failure", all, test_nested_failure);
  add ("T4/nested-close", all, test_nested_close);
  add ("T4/last-unref-in-callback", all, test_last_unref_in_callback);
  add ("T2/wakes", EVERY_KIND | ATTACHED, test_wakes);
  add ("T2/removal-wakes", EVERY_KIND | ATTACHED, test_removal_wakes);
  add ("T2/concurrent-commits", over_sockets | ATTACHED, test_concurrent_commits);
  add ("T2/last-unref-elsewhere", over_sockets | ATTACHED, test_last_unref_elsewhere);
  add ("iterate/timeout", EVERY_KIND | ITERATED, test_iterate_timeout);
  add ("iterate/no-wait", EVERY_KIND | ITERATED, test_iterate_no_wait);
  add ("iterate/cancellable", EVERY_KIND | ITERATED, test_iterate_cancellable);
  add ("iterate/interleaved", EVERY_KIND | ATTACHED, test_interleaved);
  add ("system-calls/three", SOCKET | ATTACHED, test_three_calls);
  add ("system-calls/one-write", SOCKET | ATTACHED, test_one_write);

  return g_test_run ();
}
