/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "mock-server-private.h"

#include "certificates.h"
#include "transports.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <gio/gunixsocketaddress.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Small, so that mock_fill_backlog() is quick; large enough for any test that connects more than once. */
#define BACKLOG 8

void
mock_step_free (MockStep *step)
{
  g_free (step->text);
  g_clear_pointer (&step->pattern, json_node_unref);
  g_free (step);
}

void
mock_close_fds (GArray *fds)
{
  for (guint i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_array_unref (fds);
}

void
mock_request_free (MockRequest *request)
{
  if (request == NULL)
    return;

  g_free (request->text);
  g_free (request->id);
  g_clear_pointer (&request->fds, mock_close_fds);
  g_free (request);
}

/* With the lock. */
void
mock_notify (MockServer *mock)
{
  g_cond_broadcast (&mock->cond);
  if (mock->waiting != NULL)
    g_main_context_wakeup (mock->waiting);
}

/* (transfer full): printable, and not too long. */
char *
mock_excerpt (const char *bytes,
         gsize       length)
{
  GString *string = g_string_new (NULL);

  for (gsize i = 0; i < MIN (length, MOCK_EXCERPT); i++)
    {
      if (g_ascii_isprint (bytes[i]))
        g_string_append_c (string, bytes[i]);
      else if (bytes[i] == '\n')
        g_string_append (string, "\\n");
      else
        g_string_append_printf (string, "\\x%02x", (guint8) bytes[i]);
    }
  if (length > MOCK_EXCERPT)
    g_string_append_printf (string, "… (%" G_GSIZE_FORMAT " bytes)", length);

  return g_string_free (string, FALSE);
}

static char *
describe (MockStep *step)
{
  g_autofree char *detail = NULL;
  g_autofree char *file = g_path_get_basename (step->file);

  if (step->text != NULL)
    detail = mock_excerpt (step->text, step->length);

  return g_strdup_printf ("step %u, %s:%d %s%s%s", step->number, file, step->line, step->name,
                          detail != NULL ? " " : "", detail != NULL ? detail : "");
}

/* ---- the mock's thread ------------------------------------------------------------------------------------------- */

/* (transfer none) (nullable): the next step, NULL when there will be none. */
static MockStep *
next_step (MockServer *mock)
{
  MockStep *step;

  g_mutex_lock (&mock->lock);
  while (g_queue_is_empty (&mock->script) && !mock->is_finishing)
    g_cond_wait (&mock->cond, &mock->lock);
  step = g_queue_peek_head (&mock->script);
  g_mutex_unlock (&mock->lock);

  return step;
}

static void
step_done (MockServer *mock)
{
  g_mutex_lock (&mock->lock);
  mock_step_free (g_queue_pop_head (&mock->script));
  mock->n_done++;
  mock_notify (mock);
  g_mutex_unlock (&mock->lock);
}

/* Takes @failure. */
static void
set_failure (MockServer *mock,
             char       *failure)
{
  g_mutex_lock (&mock->lock);
  /* At once: with the connection gone the test may well fail for that before it asks the mock. */
  if (!mock->is_abandoned)
    g_printerr ("# mock server: %s\n", failure);
  mock->failure = failure;
  mock_notify (mock);
  g_mutex_unlock (&mock->lock);
}

static gpointer
mock_thread (gpointer data)
{
  MockServer *mock = data;
  gboolean has_failed = FALSE;
  sigset_t signals;
  MockStep *step;

  test_mark_helper_thread ();

  /* Writing into a pipe that nobody reads is an error code here, without changing what the process does with it. */
  sigemptyset (&signals);
  sigaddset (&signals, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &signals, NULL);

  while (!has_failed && (step = next_step (mock)) != NULL)
    {
      g_autoptr(GError) error = NULL;

      if (step->func (mock, step, &error))
        {
          step_done (mock);
        }
      else
        {
          g_autofree char *description = describe (step);

          set_failure (mock, g_strdup_printf ("%s: %s", description, error->message));
          has_failed = TRUE;
        }
    }

  if (!has_failed)
    {
      g_autoptr(GError) error = NULL;

      if (!mock_check_end (mock, &error))
        set_failure (mock, g_strdup_printf ("after the last step: %s", error->message));
    }

  mock_connection_close (&mock->connection, mock->is_polite);

  g_mutex_lock (&mock->lock);
  mock->is_over = TRUE;
  mock_notify (mock);
  g_mutex_unlock (&mock->lock);

  return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static MockServer *
mock_alloc (void)
{
  MockServer *mock = g_new0 (MockServer, 1);

  mock->listen_fd = -1;
  mock->wake_fd = eventfd (0, EFD_CLOEXEC);
  g_assert_cmpint (mock->wake_fd, >=, 0);
  mock->fillers = g_array_new (FALSE, FALSE, sizeof (int));
  mock->requests = g_ptr_array_new_with_free_func ((GDestroyNotify) mock_request_free);
  g_ptr_array_add (mock->requests, NULL);
  g_mutex_init (&mock->lock);
  g_cond_init (&mock->cond);
  g_queue_init (&mock->script);
  mock_connection_init (&mock->connection, mock->wake_fd);
  mock->is_polite = !test_transport_is ("tls-qemu");

  return mock;
}

static void
start_listening (MockServer *mock)
{
  struct sockaddr_storage native;
  socklen_t length = sizeof native;
  g_autoptr(GSocketAddress) wanted = NULL;
  g_autoptr(GError) error = NULL;

  if (mock->transport == MOCK_TRANSPORT_UNIX)
    {
      mock->dir = test_tmp_dir_new ();
      mock->path = test_tmp_dir_build (mock->dir, "mock.sock");
      wanted = g_unix_socket_address_new (mock->path);
    }
  else
    {
      wanted = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
    }

  g_socket_address_to_native (wanted, &native, sizeof native, &error);
  g_assert_no_error (error);
  mock->listen_fd = socket (native.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (mock->listen_fd, >=, 0);
  g_assert_no_errno (bind (mock->listen_fd, (struct sockaddr *) &native,
                           (socklen_t) g_socket_address_get_native_size (wanted)));
  g_assert_no_errno (listen (mock->listen_fd, BACKLOG));

  g_assert_no_errno (getsockname (mock->listen_fd, (struct sockaddr *) &native, &length));
  mock->address = g_socket_address_new_from_native (&native, length);
  if (mock->transport == MOCK_TRANSPORT_UNIX)
    mock->address_text = g_strdup_printf ("unix:%s", mock->path);
  else
    mock->address_text = g_strdup_printf ("tcp:127.0.0.1:%u",
                                          g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (mock->address)));
}

static void
make_socketpair (MockServer *mock)
{
  g_autoptr(GSocket) socket = NULL;
  g_autoptr(GError) error = NULL;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  mock_connection_open (&mock->connection, fds[0], fds[0]);
  socket = g_socket_new_from_fd (fds[1], &error);
  g_assert_no_error (error);
  mock->client_stream = G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
  mock->had_connection = TRUE;
  mock->n_accepted = 1;
}

static void
make_pipes (MockServer *mock)
{
  g_autoptr(GInputStream) input = NULL;
  g_autoptr(GOutputStream) output = NULL;
  int to_client[2];
  int from_client[2];

  g_assert_no_errno (pipe2 (to_client, O_CLOEXEC));
  g_assert_no_errno (pipe2 (from_client, O_CLOEXEC));
  mock_connection_open (&mock->connection, from_client[0], to_client[1]);
  input = g_unix_input_stream_new (to_client[0], TRUE);
  output = g_unix_output_stream_new (from_client[1], TRUE);
  mock->client_stream = g_simple_io_stream_new (input, output);
  mock->had_connection = TRUE;
  mock->n_accepted = 1;
}

MockServer *
mock_new (MockTransport transport)
{
  MockServer *mock = mock_alloc ();

  /* The whole suite over something else. */
  if (transport == MOCK_TRANSPORT_UNIX && test_transport_is ("tcp"))
    transport = MOCK_TRANSPORT_TCP;
  if (transport == MOCK_TRANSPORT_UNIX && test_transport_is_tls ())
    transport = MOCK_TRANSPORT_TLS;

  mock->transport = transport;
  switch (transport)
    {
    case MOCK_TRANSPORT_UNIX:
    case MOCK_TRANSPORT_TCP:
      start_listening (mock);
      break;

    case MOCK_TRANSPORT_TLS:
      start_listening (mock);
      mock->acceptor = mock_tls_acceptor_new (mock->listen_fd);
      mock_set_tls (mock, "good", "good",
                    test_transport_is ("tls-qemu") ? G_TLS_AUTHENTICATION_REQUIRED : G_TLS_AUTHENTICATION_NONE);
      break;

    case MOCK_TRANSPORT_SOCKETPAIR:
      make_socketpair (mock);
      break;

    case MOCK_TRANSPORT_PIPES:
      make_pipes (mock);
      break;

    default:
      g_assert_not_reached ();
    }

  mock->thread = g_thread_new ("mock-server", mock_thread, mock);

  return mock;
}

MockServer *
mock_new_connecting (GSocketAddress *address)
{
  MockServer *mock = mock_alloc ();

  mock->is_connecting = TRUE;
  mock->address = g_object_ref (address);
  mock->thread = g_thread_new ("mock-server", mock_thread, mock);

  return mock;
}

void
mock_set_tls (MockServer             *mock,
              const char             *own,
              const char             *trusted,
              GTlsAuthenticationMode  mode)
{
  g_auto(MockTlsIdentity) identity = { NULL };

  if (own != NULL)
    identity.certificate = test_certificates_load (own, mock->is_connecting ? "client" : "server");
  if (trusted != NULL)
    identity.database = test_certificates_get_database (trusted);
  identity.mode = mode;

  if (mock->is_connecting)
    {
      /* The thread looks at it in its first step, which comes to it under the lock. */
      g_assert_cmpuint (mock->n_scripted, ==, 0);
      mock_tls_identity_copy (&identity, &mock->tls_identity);
      mock->is_tls_client = TRUE;
    }
  else
    {
      g_assert_nonnull (mock->acceptor);
      g_assert_nonnull (identity.certificate);
      mock_tls_acceptor_set_identity (mock->acceptor, &identity);
    }
}

/* With the lock, after the thread has ended. (transfer full) (nullable) */
static char *
report (MockServer *mock)
{
  GString *text;

  if (mock->failure == NULL)
    return NULL;

  text = g_string_new ("mock server: ");
  g_string_append (text, mock->failure);

  /* The first is the one that failed. */
  for (GList *l = mock->script.head != NULL ? mock->script.head->next : NULL; l != NULL; l = l->next)
    {
      g_autofree char *description = describe (l->data);

      g_string_append_printf (text, "\nleft over: %s", description);
    }

  return g_string_free (text, FALSE);
}

static gboolean
on_deadline (gpointer user_data)
{
  return G_SOURCE_REMOVE;
}

/* With the lock, which is not held while the context runs. The caller holds a wait of mock_notify(). */
static void
iterate (MockServer   *mock,
         GMainContext *context,
         gint64        deadline)
{
  g_autoptr(GSource) timeout = g_timeout_source_new ((guint) (MAX (deadline - g_get_monotonic_time (), 0) / 1000));

  g_source_set_callback (timeout, on_deadline, NULL, NULL);
  g_source_attach (timeout, context);
  g_mutex_unlock (&mock->lock);
  g_main_context_iteration (context, TRUE);
  g_mutex_lock (&mock->lock);
  g_source_destroy (timeout);
}

/* Ends the thread, at the latest by @deadline, frees the mock, and returns what went wrong. (transfer full) (nullable) */
static char *
mock_end (MockServer *mock,
          gint64      deadline)
{
  char *message;

  g_mutex_lock (&mock->lock);
  mock->is_finishing = TRUE;
  mock_notify (mock);
  /* A stream that cannot be polled is closed a turn of the loop after the library said that it is idle. */
  if (test_transport_is ("plain"))
    {
      mock->waiting = g_main_context_ref_thread_default ();
      while (!mock->is_over && g_get_monotonic_time () < deadline)
        iterate (mock, mock->waiting, deadline);
      g_clear_pointer (&mock->waiting, g_main_context_unref);
    }
  while (!mock->is_over)
    {
      if (!g_cond_wait_until (&mock->cond, &mock->lock, deadline))
        break;
    }
  if (!mock->is_over)
    g_assert_no_errno (eventfd_write (mock->wake_fd, 1));
  g_mutex_unlock (&mock->lock);

  g_thread_join (mock->thread);
  g_clear_pointer (&mock->acceptor, mock_tls_acceptor_free);

  message = report (mock);

  for (guint i = 0; i < mock->fillers->len; i++)
    close (g_array_index (mock->fillers, int, i));
  g_array_unref (mock->fillers);
  g_ptr_array_unref (mock->requests);
  g_queue_clear_full (&mock->script, (GDestroyNotify) mock_step_free);
  g_mutex_clear (&mock->lock);
  g_cond_clear (&mock->cond);
  if (mock->listen_fd >= 0)
    close (mock->listen_fd);
  close (mock->wake_fd);
  g_clear_object (&mock->client_stream);
  g_clear_object (&mock->address);
  mock_tls_identity_clear (&mock->tls_identity);
  g_clear_pointer (&mock->dir, test_tmp_dir_free);
  g_free (mock->path);
  g_free (mock->address_text);
  g_free (mock->failure);
  g_free (mock);

  return message;
}

void
(mock_finish) (MockServer *mock,
               const char *file,
               int         line,
               const char *function)
{
  /* A second more than a step has, whose own message says more. */
  g_autofree char *message = mock_end (mock, g_get_monotonic_time () + test_bound_us () + G_USEC_PER_SEC);

  if (message != NULL)
    g_assertion_message (G_LOG_DOMAIN, file, line, function, message);
}

void
mock_abandon (MockServer *mock)
{
  g_mutex_lock (&mock->lock);
  mock->is_abandoned = TRUE;
  /* The first may be running. */
  while (mock->script.length > 1)
    mock_step_free (g_queue_pop_tail (&mock->script));
  g_mutex_unlock (&mock->lock);

  g_free (mock_end (mock, g_get_monotonic_time ()));
}

MockServer *
mock_at_ (MockServer *mock,
          const char *file,
          int         line)
{
  mock->here_file = file;
  mock->here_line = line;

  return mock;
}

/* ---- for the client ---------------------------------------------------------------------------------------------- */

GSocketConnectable *
mock_get_connectable (MockServer *mock)
{
  g_assert_cmpint (mock->listen_fd, >=, 0);

  return G_SOCKET_CONNECTABLE (mock->address);
}

const char *
mock_get_address (MockServer *mock)
{
  g_assert_nonnull (mock->address_text);

  return mock->address_text;
}

const char *
mock_get_path (MockServer *mock)
{
  return mock->path;
}

GIOStream *
mock_get_stream (MockServer *mock)
{
  g_autoptr(GSocketClient) client = NULL;
  g_autoptr(GError) error = NULL;
  GSocketConnection *connection;

  if (mock->listen_fd < 0)
    {
      g_assert_nonnull (mock->client_stream);
      return g_steal_pointer (&mock->client_stream);
    }

  client = g_socket_client_new ();
  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect (client, mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);

  if (mock->acceptor != NULL)
    {
      g_autoptr(GSocketConnection) base = connection;
      g_autoptr(GTlsDatabase) database = test_certificates_get_database ("good");
      g_autoptr(GTlsCertificate) certificate = test_certificates_load ("good", "client");
      GIOStream *stream = g_tls_client_connection_new (G_IO_STREAM (base), mock_get_connectable (mock), &error);

      g_assert_no_error (error);
      g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
      g_tls_connection_set_certificate (G_TLS_CONNECTION (stream), certificate);
      g_tls_connection_handshake (G_TLS_CONNECTION (stream), NULL, &error);
      g_assert_no_error (error);
      return stream;
    }

  return G_IO_STREAM (connection);
}

guint
mock_fill_backlog (MockServer *mock)
{
  struct sockaddr_storage native;
  g_autoptr(GError) error = NULL;
  guint n_fillers = 0;

  g_assert_nonnull (mock->path);
  g_socket_address_to_native (mock->address, &native, sizeof native, &error);
  g_assert_no_error (error);

  while (TRUE)
    {
      int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

      g_assert_cmpint (fd, >=, 0);
      if (connect (fd, (struct sockaddr *) &native,
                   (socklen_t) g_socket_address_get_native_size (mock->address)) < 0)
        {
          g_assert_cmpint (errno, ==, EAGAIN);
          close (fd);
          return n_fillers;
        }

      g_mutex_lock (&mock->lock);
      g_array_append_val (mock->fillers, fd);
      g_mutex_unlock (&mock->lock);
      n_fillers++;
    }
}

/* ---- the test and the script wait for each other ----------------------------------------------------------------- */

void
mock_continue (MockServer *mock)
{
  g_mutex_lock (&mock->lock);
  mock->n_continued++;
  mock_notify (mock);
  g_mutex_unlock (&mock->lock);
}

/* What the test waits for. */
typedef struct
{
  guint gate;
  guint n_done;
} Progress;

/* With the lock. A failure of the script ends the test. */
static gboolean
has_come_to (MockServer     *mock,
             const Progress *wanted)
{
  if (mock->gate >= wanted->gate && mock->n_done >= wanted->n_done)
    return TRUE;

  if (mock->failure != NULL)
    {
      g_autofree char *message = report (mock);

      g_assertion_message (G_LOG_DOMAIN, mock->here_file, mock->here_line, "waiting for the mock server", message);
    }

  return FALSE;
}

static gboolean
check_progress (MockServer     *mock,
                const Progress *wanted)
{
  gboolean is_there;

  g_mutex_lock (&mock->lock);
  is_there = has_come_to (mock, wanted);
  g_mutex_unlock (&mock->lock);

  return is_there;
}

static void
set_waiting (MockServer   *mock,
             GMainContext *context)
{
  g_mutex_lock (&mock->lock);
  g_clear_pointer (&mock->waiting, g_main_context_unref);
  mock->waiting = context;
  g_mutex_unlock (&mock->lock);
}

static void
wait_iterating (MockServer     *mock,
                const Progress *wanted)
{
  TestWait wait;
  const char *file = mock->here_file;
  int line = mock->here_line;

  /* The mock wakes the context up after each step; the condition is looked at before each iteration, so none is lost. */
  set_waiting (mock, g_main_context_ref_thread_default ());
  test_wait_begin (&wait, test_bound_us () + G_USEC_PER_SEC);
  while (!check_progress (mock, wanted))
    test_wait_iterate (&wait, file, line, "waiting for the mock server", "the mock server to get there");
  test_wait_end (&wait);
  set_waiting (mock, NULL);
}

static void
wait_blocking (MockServer     *mock,
               const Progress *wanted)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us () + G_USEC_PER_SEC;
  gboolean is_there;

  g_mutex_lock (&mock->lock);
  while (!(is_there = has_come_to (mock, wanted)))
    {
      if (!g_cond_wait_until (&mock->cond, &mock->lock, deadline))
        break;
    }
  g_mutex_unlock (&mock->lock);

  if (!is_there)
    g_assertion_message (G_LOG_DOMAIN, mock->here_file, mock->here_line, "waiting for the mock server",
                         "the mock server did not get there");
}

static Progress
all_scripted (MockServer *mock)
{
  Progress wanted = { 0, 0 };

  g_mutex_lock (&mock->lock);
  wanted.n_done = mock->n_scripted;
  g_mutex_unlock (&mock->lock);

  return wanted;
}

void
(mock_wait_reached) (MockServer *mock,
                     guint       gate)
{
  Progress wanted = { gate, 0 };

  wait_iterating (mock, &wanted);
}

void
(mock_block_reached) (MockServer *mock,
                      guint       gate)
{
  Progress wanted = { gate, 0 };

  wait_blocking (mock, &wanted);
}

void
(mock_wait_done) (MockServer *mock)
{
  Progress wanted = all_scripted (mock);

  wait_iterating (mock, &wanted);
}

void
(mock_block_done) (MockServer *mock)
{
  Progress wanted = all_scripted (mock);

  wait_blocking (mock, &wanted);
}

/* ---- what came --------------------------------------------------------------------------------------------------- */

char *
mock_dup_request (MockServer *mock,
                  guint       request)
{
  char *text;

  g_mutex_lock (&mock->lock);
  g_assert_cmpuint (request, >, 0);
  g_assert_cmpuint (request, <, mock->requests->len);
  text = g_strdup (((MockRequest *) g_ptr_array_index (mock->requests, request))->text);
  g_mutex_unlock (&mock->lock);

  return text;
}

int
mock_get_fd (MockServer *mock,
             guint       request,
             guint       index)
{
  GArray *fds;
  int fd = -1;

  g_mutex_lock (&mock->lock);
  g_assert_cmpuint (request, >, 0);
  g_assert_cmpuint (request, <, mock->requests->len);
  fds = ((MockRequest *) g_ptr_array_index (mock->requests, request))->fds;
  if (fds != NULL && index < fds->len)
    fd = g_array_index (fds, int, index);
  g_mutex_unlock (&mock->lock);

  return fd;
}

guint
mock_get_n_accepted (MockServer *mock)
{
  guint n_accepted;

  g_mutex_lock (&mock->lock);
  n_accepted = mock->n_accepted;
  g_mutex_unlock (&mock->lock);

  return n_accepted;
}
