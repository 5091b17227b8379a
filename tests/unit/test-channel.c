/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Channels: which kind serves which stream, and what each kind promises. */

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixconnection.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-channel-private.h"

#include "mock-server.h"
#include "util.h"

/* ---- streams of all kinds ---------------------------------------------------------------------------------------- */

/* A socket connection of a class that nobody knows: it might do anything to what is written. */
typedef struct
{
  GUnixConnection parent_instance;
} TestStrangeConnection;

typedef GUnixConnectionClass TestStrangeConnectionClass;

static GType test_strange_connection_get_type (void);

G_DEFINE_TYPE (TestStrangeConnection, test_strange_connection, G_TYPE_UNIX_CONNECTION)

static void
test_strange_connection_class_init (TestStrangeConnectionClass *klass)
{
}

static void
test_strange_connection_init (TestStrangeConnection *self)
{
}

typedef enum
{
  PLAIN,
  POLLABLE,
  NOT_POLLABLE,
  PIPES,
  PIPES_NOT_POLLABLE,
  BUFFERED,
  N_KINDS,
} Kind;

/* @peer_in: the peer reads there; @peer_out: it writes there. */
static GIOStream *
make_pipes (int *peer_in,
            int *peer_out)
{
  g_autoptr (GInputStream) input = NULL;
  g_autoptr (GOutputStream) output = NULL;
  int there[2];
  int here[2];

  g_assert_no_errno (pipe2 (there, O_CLOEXEC));
  g_assert_no_errno (pipe2 (here, O_CLOEXEC));
  input = g_unix_input_stream_new (here[0], TRUE);
  output = g_unix_output_stream_new (there[1], TRUE);
  *peer_in = there[0];
  *peer_out = here[1];
  return g_simple_io_stream_new (input, output);
}

/* A stream that keeps what is written until it is flushed. */
static GIOStream *
make_buffered (GIOStream *base)
{
  g_autoptr (GInputStream) input = g_buffered_input_stream_new (g_io_stream_get_input_stream (base));
  g_autoptr (GOutputStream) output = g_buffered_output_stream_new (g_io_stream_get_output_stream (base));
  GIOStream *stream = g_simple_io_stream_new (input, output);

  /* A stream that nobody holds closes itself, and so its two sides. */
  g_object_set_data_full (G_OBJECT (stream), "base", g_object_ref (base), g_object_unref);
  return stream;
}

static GIOStream *
make_stream (Kind  kind,
             int  *peer_in,
             int  *peer_out)
{
  g_autoptr (GIOStream) base = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  if (kind == PIPES || kind == PIPES_NOT_POLLABLE || kind == BUFFERED)
    base = make_pipes (peer_in, peer_out);
  else
    {
      g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
      socket = g_socket_new_from_fd (fds[0], &error);
      g_assert_no_error (error);
      base = G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
      *peer_in = fds[1];
      *peer_out = dup (fds[1]);
    }

  switch (kind)
    {
    case POLLABLE:
      return test_pollable_stream_new (base);
    case NOT_POLLABLE:
    case PIPES_NOT_POLLABLE:
      return test_plain_stream_new (base);
    case BUFFERED:
      return make_buffered (base);
    case PLAIN:
    case PIPES:
    case N_KINDS:
    default:
      return g_steal_pointer (&base);
    }
}

/* Any round that a transport would make. */
static void
drive (AqmpChannel *channel,
       gboolean     may_block)
{
  if (channel->context != NULL)
    g_main_context_iteration (channel->context, may_block);
}

static gssize
read_some (AqmpChannel  *channel,
           char         *buffer,
           gsize         length,
           GError      **error)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (TRUE)
    {
      g_autoptr (GError) local_error = NULL;
      gssize n_read = channel->kind->read (channel, (guint8 *) buffer, length, &local_error);

      if (n_read >= 0)
        return n_read;
      if (!g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return -1;
        }
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      channel->kind->watch (channel, TRUE, FALSE);
      drive (channel, TRUE);
    }
}

static gboolean
write_all (AqmpChannel  *channel,
           const char   *text,
           GError      **error)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  gsize done = 0;
  gsize length = strlen (text);

  while (done < length || channel->kind->get_unwritten (channel) > 0)
    {
      g_autoptr (GError) local_error = NULL;
      GOutputVector piece = { text + done, length - done };
      gssize n_written = channel->kind->write (channel, &piece, piece.size > 0 ? 1 : 0, NULL, &local_error);

      if (n_written >= 0)
        done += n_written;
      else if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          channel->kind->watch (channel, FALSE, TRUE);
          drive (channel, TRUE);
        }
      else
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    }
  return TRUE;
}

/* ---- the right kind ---------------------------------------------------------------------------------------------- */

static void
assert_kind (GIOStream   *stream,
             AqmpChannel *(*make) (GIOStream *stream))
{
  AqmpChannel *chosen = aqmp_channel_new (stream);
  AqmpChannel *wanted = make (stream);

  g_assert_true (chosen->kind == wanted->kind);
  aqmp_channel_close (wanted, NULL);
  aqmp_channel_close (chosen, NULL);
}

static void
test_kind_socketpair (void)
{
  int peer[2];
  g_autoptr (GIOStream) stream = make_stream (PLAIN, &peer[0], &peer[1]);

  assert_kind (stream, aqmp_channel_socket_new);
  close (peer[0]);
  close (peer[1]);
}

static void
test_kind_connection (gconstpointer transport)
{
  MockServer *mock = mock_new ((MockTransport) GPOINTER_TO_INT (transport));
  g_autoptr (GIOStream) stream = mock_get_stream (mock);

  assert_kind (stream, aqmp_channel_socket_new);
  mock_abandon (mock);
}

static void
test_kind_pollable (gconstpointer kind)
{
  int peer[2];
  g_autoptr (GIOStream) stream = make_stream ((Kind) GPOINTER_TO_INT (kind), &peer[0], &peer[1]);

  assert_kind (stream, aqmp_channel_pollable_new);
  close (peer[0]);
  close (peer[1]);
}

static void
test_kind_queued (gconstpointer kind)
{
  int peer[2];
  g_autoptr (GIOStream) stream = make_stream ((Kind) GPOINTER_TO_INT (kind), &peer[0], &peer[1]);

  assert_kind (stream, aqmp_channel_queued_new);
  close (peer[0]);
  close (peer[1]);
}

/* Files are no pipes: their streams have the interface, and say that they cannot be polled. */
static void
test_kind_file (void)
{
  g_autoptr (TestTmpDir) dir = test_tmp_dir_new ();
  g_autofree char *path = test_tmp_dir_build (dir, "file");
  g_autoptr (GInputStream) input = NULL;
  g_autoptr (GOutputStream) output = NULL;
  g_autoptr (GIOStream) stream = NULL;
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  g_assert_no_errno (fd);
  input = g_unix_input_stream_new (fd, FALSE);
  output = g_unix_output_stream_new (fd, FALSE);
  stream = g_simple_io_stream_new (input, output);
  assert_kind (stream, aqmp_channel_queued_new);
  close (fd);
}

/* Only the classes that are known to add nothing. */
static void
test_kind_subclass (void)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) stream = NULL;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], NULL);
  stream = g_object_new (test_strange_connection_get_type (), "socket", socket, NULL);
  g_assert_true (G_IS_SOCKET_CONNECTION (stream));
  assert_kind (stream, aqmp_channel_pollable_new);
  close (fds[1]);
}

/* ---- reading and writing ----------------------------------------------------------------------------------------- */

static void
test_reads_and_writes (gconstpointer kind)
{
  int peer[2];
  g_autoptr (GIOStream) stream = make_stream ((Kind) GPOINTER_TO_INT (kind), &peer[0], &peer[1]);
  AqmpChannel *channel = aqmp_channel_new (stream);
  g_autoptr (GError) error = NULL;
  char buffer[16];

  g_assert_cmpint (channel->kind->read (channel, (guint8 *) buffer, sizeof buffer, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_clear_error (&error);

  g_assert_cmpint (write (peer[1], "hello", 5), ==, 5);
  g_assert_cmpint (read_some (channel, buffer, 3, &error), ==, 3);
  g_assert_cmpmem (buffer, 3, "hel", 3);
  g_assert_cmpint (read_some (channel, buffer, sizeof buffer, &error), ==, 2);
  g_assert_cmpmem (buffer, 2, "lo", 2);

  g_assert_true (write_all (channel, "goodbye", &error));
  g_assert_cmpuint (channel->kind->get_unwritten (channel), ==, 0);
  g_assert_cmpint (read (peer[0], buffer, sizeof buffer), ==, 7);
  g_assert_cmpmem (buffer, 7, "goodbye", 7);

  close (peer[0]);
  close (peer[1]);
  g_assert_cmpint (read_some (channel, buffer, sizeof buffer, &error), ==, 0);
  g_assert_no_error (error);
  /* And again: an EOF stays. */
  g_assert_cmpint (read_some (channel, buffer, sizeof buffer, &error), ==, 0);
  aqmp_channel_close (channel, NULL);
}

static void
test_writes_a_lot (gconstpointer kind)
{
  int peer[2];
  g_autoptr (GIOStream) stream = make_stream ((Kind) GPOINTER_TO_INT (kind), &peer[0], &peer[1]);
  AqmpChannel *channel = aqmp_channel_new (stream);
  g_autofree char *text = g_malloc (400001);
  g_autoptr (GString) received = g_string_new (NULL);
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  gsize done = 0;
  guint i;

  for (i = 0; i < 400000; i++)
    text[i] = 'a' + i / 7 % 26;
  text[i] = '\0';
  g_assert_no_errno (fcntl (peer[0], F_SETFL, O_NONBLOCK));

  while (received->len < 400000)
    {
      char buffer[10000];
      GOutputVector piece = { text + done, 400000 - done };
      gssize n_written = channel->kind->write (channel, &piece, piece.size > 0 ? 1 : 0, NULL, NULL);
      gssize n_read;

      if (n_written > 0)
        done += n_written;
      drive (channel, FALSE);
      n_read = read (peer[0], buffer, sizeof buffer);
      if (n_read > 0)
        g_string_append_len (received, buffer, n_read);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    }

  g_assert_cmpstr (received->str, ==, text);
  /* Word of the last write may still be on its way. */
  g_assert_true (write_all (channel, "", NULL));
  g_assert_cmpuint (channel->kind->get_unwritten (channel), ==, 0);
  aqmp_channel_close (channel, NULL);
  close (peer[0]);
  close (peer[1]);
}

/* ---- SIGPIPE ----------------------------------------------------------------------------------------------------- */

static void
expect_broken (AqmpChannel *channel)
{
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < 3; i++)
    {
      g_assert_false (write_all (channel, "to nobody", &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
      g_clear_error (&error);
    }
}

/* In a process that has SIGPIPE kill it. */
static void
test_sigpipe (gconstpointer data)
{
  Kind kind = (Kind) GPOINTER_TO_INT (data);
  g_autoptr (GIOStream) stream = NULL;
  AqmpChannel *channel;
  int peer[2];

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_passed ();
      return;
    }

  /* GIO ignores the signal as soon as it uses a socket, so it is made deadly after that. But a thread of GIO writes for
     the queued kind: there it is the library that has to see to it. */
  if (kind == PIPES_NOT_POLLABLE || kind == BUFFERED)
    signal (SIGPIPE, SIG_DFL);
  stream = make_stream (kind, &peer[0], &peer[1]);
  if (kind != PIPES_NOT_POLLABLE && kind != BUFFERED)
    signal (SIGPIPE, SIG_DFL);
  close (peer[0]);
  close (peer[1]);
  channel = aqmp_channel_new (stream);
  expect_broken (channel);
  aqmp_channel_close (channel, NULL);
}

/* The pollable kind leaves the signal mask, and a signal that is somebody else's, as they were. */
static void
test_sigpipe_leaves_no_trace (void)
{
  g_autoptr (GIOStream) stream = NULL;
  AqmpChannel *channel;
  sigset_t set;
  sigset_t before;
  int peer[2];

  stream = make_stream (PIPES, &peer[0], &peer[1]);
  close (peer[0]);
  close (peer[1]);
  channel = aqmp_channel_new (stream);
  signal (SIGPIPE, SIG_DFL);

  expect_broken (channel);
  pthread_sigmask (SIG_SETMASK, NULL, &set);
  g_assert_false (sigismember (&set, SIGPIPE));

  /* Blocked by the program: still, and with nothing left behind. */
  sigemptyset (&set);
  sigaddset (&set, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &set, &before);
  expect_broken (channel);
  sigpending (&set);
  g_assert_false (sigismember (&set, SIGPIPE));
  pthread_sigmask (SIG_SETMASK, NULL, &set);
  g_assert_true (sigismember (&set, SIGPIPE));

  /* One that was pending before is still. */
  raise (SIGPIPE);
  expect_broken (channel);
  sigpending (&set);
  g_assert_true (sigismember (&set, SIGPIPE));

  signal (SIGPIPE, SIG_IGN);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  aqmp_channel_close (channel, NULL);
}

/* ---- a stream that wants the very same bytes again, as TLS does -------------------------------------------------- */

#define TEST_TYPE_FUSSY (test_fussy_get_type ())
G_DECLARE_FINAL_TYPE (TestFussy, test_fussy, TEST, FUSSY, GOutputStream)

struct _TestFussy
{
  GOutputStream parent_instance;
  GString      *written;       /* (owned): what was taken */
  GString      *refused;       /* (owned) (nullable): what has to come again */
  guint         n_refusals;    /* still to come */
  gsize         most;          /* taken at once */
};

static void test_fussy_iface_init (GPollableOutputStreamInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (TestFussy, test_fussy, G_TYPE_OUTPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_OUTPUT_STREAM, test_fussy_iface_init))

static gboolean
test_fussy_can_poll (GPollableOutputStream *stream)
{
  return TRUE;
}

static gboolean
test_fussy_is_writable (GPollableOutputStream *stream)
{
  return TRUE;
}

static GSource *
test_fussy_create_source (GPollableOutputStream *stream,
                          GCancellable          *cancellable)
{
  g_autoptr (GSource) now = g_timeout_source_new (0);

  return g_pollable_source_new_full (stream, now, cancellable);
}

static gssize
test_fussy_write_nonblocking (GPollableOutputStream  *stream,
                              const void             *buffer,
                              gsize                   count,
                              GError                **error)
{
  TestFussy *self = TEST_FUSSY (stream);

  if (self->refused != NULL)
    g_assert_cmpmem (buffer, count, self->refused->str, self->refused->len);
  else
    self->refused = g_string_new_len (buffer, count);

  if (self->n_refusals > 0)
    {
      self->n_refusals--;
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "not yet");
      return -1;
    }

  g_string_free (self->refused, TRUE);
  self->refused = NULL;
  count = MIN (count, self->most);
  g_string_append_len (self->written, buffer, count);
  return count;
}

static void
test_fussy_iface_init (GPollableOutputStreamInterface *iface)
{
  iface->can_poll = test_fussy_can_poll;
  iface->is_writable = test_fussy_is_writable;
  iface->create_source = test_fussy_create_source;
  iface->write_nonblocking = test_fussy_write_nonblocking;
}

static void
test_fussy_finalize (GObject *object)
{
  TestFussy *self = TEST_FUSSY (object);

  g_string_free (self->written, TRUE);
  if (self->refused != NULL)
    g_string_free (self->refused, TRUE);

  G_OBJECT_CLASS (test_fussy_parent_class)->finalize (object);
}

static void
test_fussy_class_init (TestFussyClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = test_fussy_finalize;
}

static void
test_fussy_init (TestFussy *self)
{
  self->written = g_string_new (NULL);
  self->most = G_MAXSIZE;
}

static void
test_same_bytes_again (void)
{
  g_autoptr (TestFussy) output = g_object_new (TEST_TYPE_FUSSY, NULL);
  g_autoptr (GInputStream) input = g_memory_input_stream_new ();
  g_autoptr (GIOStream) stream = g_simple_io_stream_new (input, G_OUTPUT_STREAM (output));
  AqmpChannel *channel = aqmp_channel_new (stream);
  GOutputVector first = { "first ", 6 };
  GOutputVector other = { "another", 7 };
  g_autoptr (GError) error = NULL;

  output->n_refusals = 2;
  /* Taken, for it was tried. */
  g_assert_cmpint (channel->kind->write (channel, &first, 1, NULL, &error), ==, 6);
  g_assert_cmpuint (channel->kind->get_unwritten (channel), ==, 6);
  /* The queue may have changed; that waits its turn. */
  g_assert_cmpint (channel->kind->write (channel, &other, 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_clear_error (&error);
  g_assert_cmpint (channel->kind->write (channel, &other, 1, NULL, &error), ==, 7);
  g_assert_cmpuint (channel->kind->get_unwritten (channel), ==, 0);
  g_assert_cmpstr (output->written->str, ==, "first another");
  aqmp_channel_close (channel, NULL);
}

/* Taken in part, and the rest refused. */
static void
test_same_bytes_after_part (void)
{
  g_autoptr (TestFussy) output = g_object_new (TEST_TYPE_FUSSY, NULL);
  g_autoptr (GInputStream) input = g_memory_input_stream_new ();
  g_autoptr (GIOStream) stream = g_simple_io_stream_new (input, G_OUTPUT_STREAM (output));
  AqmpChannel *channel = aqmp_channel_new (stream);
  g_autofree char *text = g_strnfill (50000, 'x');
  g_autoptr (GError) error = NULL;

  output->most = 1000;
  output->n_refusals = 5;
  g_assert_true (write_all (channel, text, &error));
  g_assert_cmpstr (output->written->str, ==, text);
  aqmp_channel_close (channel, NULL);
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static gboolean
is_at_eof (int fd)
{
  char byte;

  return recv (fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Each kind at rest: at once, with no context to run. */
static void
test_close (gconstpointer kind)
{
  int peer[2];
  g_autoptr (GIOStream) stream = make_stream ((Kind) GPOINTER_TO_INT (kind), &peer[0], &peer[1]);
  AqmpChannel *channel = aqmp_channel_new (stream);
  char byte;

  aqmp_channel_close (channel, NULL);
  g_assert_true (g_io_stream_is_closed (stream));
  g_assert_cmpint (read (peer[0], &byte, 1), ==, 0);
  close (peer[0]);
  close (peer[1]);
}

/* A read is under way in a thread of GIO's: the end comes with the owner's context. */
static void
test_close_while_reading (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  GIOStream *stream;
  AqmpChannel *channel;
  guint n_fds;
  int peer[2];

  n_fds = test_count_fds ();
  stream = make_stream (NOT_POLLABLE, &peer[0], &peer[1]);
  g_object_add_weak_pointer (G_OBJECT (stream), (gpointer *) &stream);
  channel = aqmp_channel_new (stream);
  g_object_unref (stream);
  channel->kind->watch (channel, TRUE, FALSE);
  aqmp_channel_close (channel, context);

  while (stream != NULL)
    {
      g_main_context_iteration (context, TRUE);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    }
  g_assert_true (is_at_eof (peer[0]));
  close (peer[0]);
  close (peer[1]);
  while (g_main_context_iteration (context, FALSE))
    ;
  /* GIO's thread may take a moment longer to let go of what it used. */
  while (test_count_fds () > n_fds && g_get_monotonic_time () < deadline)
    g_thread_yield ();
  g_assert_cmpuint (test_count_fds (), <=, n_fds);
}

/* The same for a write that the peer does not take. */
static void
test_close_while_writing (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  g_autofree char *block = g_strnfill (16384, 'x');
  GOutputVector piece = { block, 16384 };
  GIOStream *stream;
  AqmpChannel *channel;
  int peer[2];
  int small = 2048;

  stream = make_stream (NOT_POLLABLE, &peer[0], &peer[1]);
  g_object_add_weak_pointer (G_OBJECT (stream), (gpointer *) &stream);
  g_assert_no_errno (setsockopt (peer[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
  channel = aqmp_channel_new (stream);
  g_object_unref (stream);
  while (channel->kind->write (channel, &piece, 1, NULL, NULL) > 0)
    drive (channel, FALSE);
  aqmp_channel_close (channel, context);

  while (stream != NULL)
    {
      g_main_context_iteration (context, TRUE);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    }
  close (peer[0]);
  close (peer[1]);
  while (g_main_context_iteration (context, FALSE))
    ;
}

/* As long as nobody runs that context, the stream stays open: its read cannot end elsewhere. Nothing is lost, either:
   the end comes as soon as somebody does. */
static void
test_close_waits_for_context (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  AqmpChannel *channel;
  GIOStream *stream;
  int peer[2];

  stream = make_stream (NOT_POLLABLE, &peer[0], &peer[1]);
  g_object_add_weak_pointer (G_OBJECT (stream), (gpointer *) &stream);
  channel = aqmp_channel_new (stream);
  g_object_unref (stream);
  channel->kind->watch (channel, TRUE, FALSE);
  aqmp_channel_close (channel, context);
  g_assert_nonnull (stream);
  g_assert_false (g_io_stream_is_closed (stream));
  g_assert_false (is_at_eof (peer[0]));

  while (stream != NULL)
    {
      g_main_context_iteration (context, TRUE);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    }
  g_assert_true (is_at_eof (peer[0]));
  close (peer[0]);
  close (peer[1]);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static guint64
open_fds (void)
{
  guint64 set = 0;
  int fd;

  for (fd = 0; fd < 64; fd++)
    if (fcntl (fd, F_GETFD) >= 0)
      set |= G_GUINT64_CONSTANT (1) << fd;
  return set;
}

/* Whatever a channel opens for itself is not for child processes. */
static void
test_close_on_exec (gconstpointer kind)
{
  int peer[2];
  guint64 before = open_fds ();
  g_autoptr (GIOStream) stream = make_stream ((Kind) GPOINTER_TO_INT (kind), &peer[0], &peer[1]);
  AqmpChannel *channel = aqmp_channel_new (stream);
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint64 opened;
  int fd;

  channel->kind->watch (channel, TRUE, TRUE);
  drive (channel, FALSE);
  g_assert_cmpint (fcntl (peer[1], F_SETFD, FD_CLOEXEC), ==, 0);
  opened = open_fds () & ~before;
  g_assert_cmpuint (opened, !=, 0);
  for (fd = 0; fd < 64; fd++)
    if (opened & (G_GUINT64_CONSTANT (1) << fd))
      g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);

  g_object_add_weak_pointer (G_OBJECT (stream), (gpointer *) &stream);
  aqmp_channel_close (channel, context);
  while (!g_io_stream_is_closed (stream))
    g_main_context_iteration (context, TRUE);
  g_object_remove_weak_pointer (G_OBJECT (stream), (gpointer *) &stream);
  close (peer[0]);
  close (peer[1]);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
add_for_each_kind (const char    *path,
                   GTestDataFunc  func)
{
  static const char * const names[N_KINDS] = { "socket", "pollable", "not-pollable", "pipes", "pipes-not-pollable",
                                               "buffered" };
  guint i;

  for (i = 0; i < N_KINDS; i++)
    {
      g_autofree char *full_path = g_strdup_printf ("/channel/%s/%s", path, names[i]);

      g_test_add_data_func (full_path, GUINT_TO_POINTER (i), func);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  test_open_what_stays_open ();

  g_test_add_func ("/channel/kind/socketpair", test_kind_socketpair);
  g_test_add_data_func ("/channel/kind/unix", GINT_TO_POINTER (MOCK_TRANSPORT_UNIX), test_kind_connection);
  g_test_add_data_func ("/channel/kind/tcp", GINT_TO_POINTER (MOCK_TRANSPORT_TCP), test_kind_connection);
  g_test_add_data_func ("/channel/kind/pollable", GINT_TO_POINTER (POLLABLE), test_kind_pollable);
  g_test_add_data_func ("/channel/kind/pipes", GINT_TO_POINTER (PIPES), test_kind_pollable);
  g_test_add_data_func ("/channel/kind/not-pollable", GINT_TO_POINTER (NOT_POLLABLE), test_kind_queued);
  g_test_add_data_func ("/channel/kind/pipes-not-pollable", GINT_TO_POINTER (PIPES_NOT_POLLABLE), test_kind_queued);
  g_test_add_data_func ("/channel/kind/buffered", GINT_TO_POINTER (BUFFERED), test_kind_queued);
  g_test_add_func ("/channel/kind/file", test_kind_file);
  g_test_add_func ("/channel/kind/subclass-of-socket-connection", test_kind_subclass);
  add_for_each_kind ("Q14/reads-and-writes", test_reads_and_writes);
  add_for_each_kind ("M7/writes-a-lot", test_writes_a_lot);
  add_for_each_kind ("M7/sigpipe", test_sigpipe);
  g_test_add_func ("/channel/M7/sigpipe-leaves-no-trace", test_sigpipe_leaves_no_trace);
  g_test_add_func ("/channel/Q13/same-bytes-again", test_same_bytes_again);
  g_test_add_func ("/channel/Q13/same-bytes-after-part", test_same_bytes_after_part);
  add_for_each_kind ("S5/close", test_close);
  g_test_add_func ("/channel/S5/close/while-reading", test_close_while_reading);
  g_test_add_func ("/channel/S5/close/while-writing", test_close_while_writing);
  g_test_add_func ("/channel/S5/close/waits-for-context", test_close_waits_for_context);
  add_for_each_kind ("M7/close-on-exec", test_close_on_exec);

  return g_test_run ();
}
