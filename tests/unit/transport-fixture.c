/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "transport-fixture.h"

#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <string.h>

#include "aqmp-glib/aqmp-error.h"

#include "syscall-counter.h"

/* ---- an owner ---------------------------------------------------------------------------------------------------- */

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

const AqmpTransportCallbacks owner_callbacks = {
  owner_frame, owner_message, owner_work, owner_drained, owner_failed,
};

int
count_owners (void)
{
  return g_atomic_int_get (&n_owners);
}

/* ---- a transport and its peer ------------------------------------------------------------------------------------ */

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

gboolean
context_is_polling (void)
{
  return g_atomic_int_get (&recorded.is_polling);
}

static gboolean
on_tripwire (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_CONTINUE;
}

GIOStream *
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
void
assert_n_fds (guint n_fds)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (test_count_fds () > n_fds && g_get_monotonic_time () < deadline)
    g_thread_yield ();

  if (test_count_fds () > n_fds)
    {
      g_autofree char *fds = test_list_fds ();

      g_test_message ("%s", fds);
    }
  /* Or they had just begun to when the others were counted. */
  g_assert_cmpuint (test_count_fds (), <=, n_fds);
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
gboolean
iterate (Fixture *self)
{
  gint64 before = g_get_monotonic_time ();
  gboolean happened = aqmp_transport_iterate (self->transport, (int) (test_bound_us () / 1000), NULL);

  g_assert_cmpint (g_get_monotonic_time () - before, <, test_bound_us () - 1000);
  return happened;
}
/* All that there is to do now. */
void
drive_pending (Fixture *self)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  if (self->setup & ATTACHED)
    test_dispatch_pending ();
  else
    while (aqmp_transport_iterate (self->transport, 0, NULL))
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
}

guint64
queue_text (Fixture    *self,
            const char *text)
{
  g_string_append (aqmp_transport_begin_message (self->transport), text);
  aqmp_transport_commit_message (self->transport, ++self->token, NULL);
  return self->token;
}

/* Until all is written. */
void
flush (Fixture *self)
{
  guint before = self->owner->n_drained;

  aqmp_transport_request_drained (self->transport);
  drive_until (self, self->owner->n_drained > before);
  g_assert_cmpuint (aqmp_transport_get_queued_bytes (self->transport), ==, 0);
}

/* Nothing is done, and the wait is without end. What runs in other threads may wake it up a few times before. */
void
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
/* GSocket makes it non-blocking, whatever it is asked to do itself. */
int
get_blocking_fd (GSocketConnection *connection)
{
  int fd = g_socket_get_fd (g_socket_connection_get_socket (connection));

  g_assert_no_errno (fcntl (fd, F_SETFL, 0));
  return fd;
}

/* ---- which test for which kind, driven how ----------------------------------------------------------------------- */

void
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

void
init_transport_tests (int    *argc,
                      char ***argv)
{
  g_test_init (argc, argv, NULL);
  test_open_what_stays_open ();
}
