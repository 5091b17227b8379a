/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "mock-tls.h"

#include "util.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whole records: then nothing is left in the TLS library, which poll() would not know of. */
#define CHUNK 65536

/* ---- who the mock is --------------------------------------------------------------------------------------------- */

void
mock_tls_identity_copy (const MockTlsIdentity *self,
                        MockTlsIdentity       *copy)
{
  g_set_object (&copy->certificate, self->certificate);
  g_set_object (&copy->database, self->database);
  copy->mode = self->mode;
}

void
mock_tls_identity_clear (MockTlsIdentity *self)
{
  g_clear_object (&self->certificate);
  g_clear_object (&self->database);
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

struct _MockTls
{
  GSocket        *socket;          /* (owned) */
  GTlsConnection *connection;      /* (owned) */
  gboolean        is_at_end;       /* of what the peer sends */
  GError         *error;           /* (owned) (nullable): of reading; a second time GIO would tell another */
  gboolean        got_goodbye;
  gboolean        is_mid_record;   /* a send would block: a goodbye would have to wait for the rest */
  gboolean        said_goodbye;
  gsize           start;           /* of what was read and not taken */
  gsize           end;
  char            buffer[CHUNK];
};

typedef struct
{
  GCancellable *cancellable;    /* (owned) */
  GAsyncResult *result;         /* (owned) (nullable) */
  gboolean      is_late;
} Handshake;

static void
on_handshake_done (GObject      *source,
                   GAsyncResult *result,
                   gpointer      user_data)
{
  Handshake *handshake = user_data;

  handshake->result = g_object_ref (result);
}

static gboolean
on_handshake_late (gpointer user_data)
{
  Handshake *handshake = user_data;

  handshake->is_late = TRUE;
  g_cancellable_cancel (handshake->cancellable);

  return G_SOURCE_REMOVE;
}

static gboolean
on_woken (int          fd,
          GIOCondition condition,
          gpointer     user_data)
{
  Handshake *handshake = user_data;

  g_cancellable_cancel (handshake->cancellable);

  return G_SOURCE_REMOVE;
}

static void
attach (GMainContext *context,
        GSource      *source,
        GSourceFunc   callback,
        gpointer      user_data)
{
  g_source_set_callback (source, callback, user_data, NULL);
  g_source_attach (source, context);
}

/* GIO's blocking handshake knows no bound of its own: the asynchronous one, in a context of its own. */
static gboolean
shake_hands (GTlsConnection  *connection,
             int              wake_fd,
             GError         **error)
{
  g_autoptr(GMainContext) context = g_main_context_new ();
  g_autoptr(GSource) bound = g_timeout_source_new ((guint) (test_bound_us () / 1000));
  g_autoptr(GSource) wake = g_unix_fd_source_new (wake_fd, G_IO_IN);
  Handshake handshake = { g_cancellable_new (), NULL, FALSE };
  g_autoptr(GError) local_error = NULL;
  gboolean is_done;

  g_main_context_push_thread_default (context);
  attach (context, bound, on_handshake_late, &handshake);
  attach (context, wake, G_SOURCE_FUNC (on_woken), &handshake);
  g_tls_connection_handshake_async (connection, G_PRIORITY_DEFAULT, handshake.cancellable, on_handshake_done, &handshake);
  while (handshake.result == NULL)
    g_main_context_iteration (context, TRUE);
  is_done = g_tls_connection_handshake_finish (connection, handshake.result, &local_error);
  g_source_destroy (bound);
  g_source_destroy (wake);
  g_main_context_pop_thread_default (context);
  g_object_unref (handshake.result);
  g_object_unref (handshake.cancellable);

  if (!is_done && handshake.is_late)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, MOCK_TLS_HANDSHAKE "not done within the bound");
  else if (!is_done)
    g_propagate_prefixed_error (error, g_steal_pointer (&local_error), MOCK_TLS_HANDSHAKE);

  return is_done;
}

/* A client's connection asks only about flaws; a server's always, and refuses if nobody says that none is fine. */
static gboolean
accept_certificate (GTlsConnection       *connection,
                    GTlsCertificate      *certificate,
                    GTlsCertificateFlags  flaws,
                    gpointer              user_data)
{
  return flaws == 0 || g_tls_connection_get_database (connection) == NULL;
}

/* (transfer full): g_tls_client_connection_new() and g_tls_server_connection_new() read all that the system trusts, which takes
   more than 10 ms; with a database at once GIO does not. */
static GTlsConnection *
connection_new (GSocketConnection     *base,
                gboolean               is_client,
                const MockTlsIdentity *identity)
{
  g_autoptr(GSocketConnectable) server = g_network_address_new ("vm.example", 0);
  GTlsBackend *backend = g_tls_backend_get_default ();
  g_autoptr(GError) error = NULL;
  gpointer connection;

  if (is_client)
    connection = g_initable_new (g_tls_backend_get_client_connection_type (backend), NULL, &error,
                                 "base-io-stream", base,
                                 "certificate", identity->certificate,
                                 "database", identity->database,
                                 "server-identity", server,
                                 NULL);
  else
    connection = g_initable_new (g_tls_backend_get_server_connection_type (backend), NULL, &error,
                                 "base-io-stream", base,
                                 "certificate", identity->certificate,
                                 "database", identity->database,
                                 "authentication-mode", identity->mode,
                                 NULL);
  g_assert_no_error (error);

  return connection;
}

MockTls *
mock_tls_new (int                     fd,
              gboolean                is_client,
              const MockTlsIdentity  *identity,
              int                     wake_fd,
              GError                **error)
{
  g_autoptr(GError) local_error = NULL;
  g_autoptr(GSocketConnection) base = NULL;
  MockTls *self = g_new0 (MockTls, 1);

  self->socket = g_socket_new_from_fd (fd, &local_error);
  g_assert_no_error (local_error);
  /* The end of the handshake is two small pieces. */
  g_socket_set_option (self->socket, IPPROTO_TCP, TCP_NODELAY, TRUE, NULL);
  base = g_socket_connection_factory_create_connection (self->socket);
  self->connection = connection_new (base, is_client, identity);
  g_signal_connect (self->connection, "accept-certificate", G_CALLBACK (accept_certificate), NULL);

  if (!shake_hands (self->connection, wake_fd, error))
    {
      mock_tls_close (self, FALSE);
      return NULL;
    }

  return self;
}

/* ---- one connection ---------------------------------------------------------------------------------------------- */

int
mock_tls_get_fd (MockTls *self)
{
  return g_socket_get_fd (self->socket);
}

gssize
mock_tls_peek (MockTls  *self,
               char     *buffer,
               gsize     size,
               GError  **error)
{
  gsize length;

  if (self->is_at_end)
    return 0;

  if (self->start == self->end && self->error == NULL)
    {
      GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (self->connection));
      g_autoptr(GError) local_error = NULL;
      gssize n_read;

      n_read = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), self->buffer, CHUNK, NULL,
                                                         &local_error);
      self->got_goodbye = n_read == 0;
      self->is_at_end = n_read == 0 || g_error_matches (local_error, G_TLS_ERROR, G_TLS_ERROR_EOF);
      if (self->is_at_end)
        return 0;

      if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return -1;
        }

      self->error = g_steal_pointer (&local_error);
      self->start = 0;
      self->end = (gsize) MAX (n_read, 0);
    }

  if (self->error != NULL)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return -1;
    }

  length = MIN (size, self->end - self->start);
  memcpy (buffer, self->buffer + self->start, length);

  return (gssize) length;
}

void
mock_tls_take (MockTls *self,
               gsize    length)
{
  g_assert_cmpuint (length, <=, self->end - self->start);
  self->start += length;
}

gssize
mock_tls_send (MockTls     *self,
               const char  *data,
               gsize        length,
               GError     **error)
{
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (self->connection));
  gssize n_sent;

  n_sent = g_pollable_output_stream_write_nonblocking (G_POLLABLE_OUTPUT_STREAM (output), data, length, NULL, error);
  self->is_mid_record = n_sent < 0;

  return n_sent;
}

gboolean
mock_tls_got_goodbye (MockTls *self)
{
  return self->got_goodbye;
}

gboolean
mock_tls_shutdown_write (MockTls   *self,
                         gboolean   is_polite,
                         GError   **error)
{
  if (is_polite)
    {
      self->said_goodbye = TRUE;
      return g_output_stream_close (g_io_stream_get_output_stream (G_IO_STREAM (self->connection)), NULL, error);
    }

  return g_socket_shutdown (self->socket, FALSE, TRUE, error);
}

void
mock_tls_close (MockTls  *self,
                gboolean  is_polite)
{
  struct pollfd poll_fd = { .fd = mock_tls_get_fd (self), .events = POLLOUT };

  /* Saying goodbye may block. */
  if (is_polite && !self->said_goodbye && !self->is_mid_record && poll (&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLOUT)
    g_output_stream_close (g_io_stream_get_output_stream (G_IO_STREAM (self->connection)), NULL, NULL);

  /* First, so that the rest has nobody to tell. */
  g_socket_close (self->socket, NULL);
  g_io_stream_close (G_IO_STREAM (self->connection), NULL, NULL);
  g_object_unref (self->connection);
  g_object_unref (self->socket);
  g_clear_error (&self->error);
  g_free (self);
}

/* ---- the thread that takes connections in ------------------------------------------------------------------------ */

typedef struct
{
  MockTls *tls;      /* (owned) (nullable) */
  GError  *error;    /* (owned) (nullable) */
} Arrival;

struct _MockTlsAcceptor
{
  GThread         *thread;        /* (owned) */
  int              listen_fd;     /* (unowned) */
  int              stop_fd;       /* (owned) */
  int              ready_fd;      /* (owned): counts the arrivals */

  /* Shared, under the lock. */
  GMutex           lock;
  MockTlsIdentity  identity;
  GQueue           arrivals;      /* (element-type Arrival) */
};

static void
arrival_free (Arrival *arrival)
{
  if (arrival->tls != NULL)
    mock_tls_close (arrival->tls, FALSE);
  g_clear_error (&arrival->error);
  g_free (arrival);
}

static void
take_in (MockTlsAcceptor *self,
         int              fd)
{
  g_auto(MockTlsIdentity) identity = { NULL };
  Arrival *arrival = g_new0 (Arrival, 1);

  g_mutex_lock (&self->lock);
  mock_tls_identity_copy (&self->identity, &identity);
  g_mutex_unlock (&self->lock);

  arrival->tls = mock_tls_new (fd, FALSE, &identity, self->stop_fd, &arrival->error);

  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->arrivals, arrival);
  g_assert_no_errno (eventfd_write (self->ready_fd, 1));
  g_mutex_unlock (&self->lock);
}

static gpointer
acceptor_thread (gpointer data)
{
  MockTlsAcceptor *self = data;
  struct pollfd poll_fds[] = {
    { .fd = self->stop_fd, .events = POLLIN },
    { .fd = self->listen_fd, .events = POLLIN },
  };
  sigset_t signals;

  test_mark_helper_thread ();
  sigemptyset (&signals);
  sigaddset (&signals, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &signals, NULL);

  while (TRUE)
    {
      int n_ready = poll (poll_fds, G_N_ELEMENTS (poll_fds), -1);
      int fd;

      if (n_ready < 0)
        {
          g_assert_cmpint (errno, ==, EINTR);
          continue;
        }

      if (poll_fds[0].revents != 0)
        return NULL;

      fd = accept4 (self->listen_fd, NULL, NULL, SOCK_CLOEXEC);
      if (fd >= 0)
        take_in (self, fd);
    }
}

MockTlsAcceptor *
mock_tls_acceptor_new (int listen_fd)
{
  MockTlsAcceptor *self = g_new0 (MockTlsAcceptor, 1);

  self->listen_fd = listen_fd;
  self->stop_fd = eventfd (0, EFD_CLOEXEC);
  g_assert_no_errno (self->stop_fd);
  self->ready_fd = eventfd (0, EFD_CLOEXEC | EFD_SEMAPHORE);
  g_assert_no_errno (self->ready_fd);
  g_mutex_init (&self->lock);
  g_queue_init (&self->arrivals);
  self->thread = g_thread_new ("mock-tls", acceptor_thread, self);

  return self;
}

void
mock_tls_acceptor_free (MockTlsAcceptor *self)
{
  g_assert_no_errno (eventfd_write (self->stop_fd, 1));
  g_thread_join (self->thread);

  g_queue_clear_full (&self->arrivals, (GDestroyNotify) arrival_free);
  mock_tls_identity_clear (&self->identity);
  g_mutex_clear (&self->lock);
  close (self->stop_fd);
  close (self->ready_fd);
  g_free (self);
}

void
mock_tls_acceptor_set_identity (MockTlsAcceptor       *self,
                                const MockTlsIdentity *identity)
{
  g_mutex_lock (&self->lock);
  mock_tls_identity_copy (identity, &self->identity);
  g_mutex_unlock (&self->lock);
}

int
mock_tls_acceptor_get_fd (MockTlsAcceptor *self)
{
  return self->ready_fd;
}

MockTls *
mock_tls_acceptor_take (MockTlsAcceptor  *self,
                        GError          **error)
{
  Arrival *arrival;
  eventfd_t one;
  MockTls *tls;

  g_assert_no_errno (eventfd_read (self->ready_fd, &one));
  g_mutex_lock (&self->lock);
  arrival = g_queue_pop_head (&self->arrivals);
  g_mutex_unlock (&self->lock);

  tls = g_steal_pointer (&arrival->tls);
  if (tls == NULL)
    g_propagate_error (error, g_steal_pointer (&arrival->error));
  arrival_free (arrival);

  return tls;
}

guint
mock_tls_acceptor_count (MockTlsAcceptor *self)
{
  guint count = 0;

  g_mutex_lock (&self->lock);
  for (GList *l = self->arrivals.head; l != NULL; l = l->next)
    count += ((Arrival *) l->data)->tls != NULL;
  g_mutex_unlock (&self->lock);

  return count;
}
