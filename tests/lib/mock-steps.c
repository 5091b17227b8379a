/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What each step does; all of this runs in the mock's thread. */

#include "mock-server-private.h"

#include "mock-json.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- connections ------------------------------------------------------------------------------------------------- */

static gboolean
fail (GError     **error,
      const char  *message)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, message);

  return FALSE;
}

static gboolean
accept_one (MockServer  *mock,
            int         *fd,
            GError     **error)
{
  if (!mock_connection_wait (&mock->connection, mock->listen_fd, POLLIN, -1, error))
    {
      g_prefix_error (error, "nobody connected: ");
      return FALSE;
    }

  *fd = accept4 (mock->listen_fd, NULL, NULL, SOCK_CLOEXEC);
  if (*fd < 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "accept: %s", g_strerror (errno));
      return FALSE;
    }

  return TRUE;
}

static gboolean
connect_one (MockServer  *mock,
             int         *out_fd,
             GError     **error)
{
  struct sockaddr_storage native;
  gssize length = g_socket_address_get_native_size (mock->address);
  int socket_error = 0;
  socklen_t error_length = sizeof socket_error;
  int fd;

  if (!g_socket_address_to_native (mock->address, &native, sizeof native, error))
    return FALSE;

  fd = socket (native.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (fd, >=, 0);

  if (connect (fd, (struct sockaddr *) &native, (socklen_t) length) < 0)
    {
      if (errno != EINPROGRESS)
        socket_error = errno;
      else if (!mock_connection_wait (&mock->connection, fd, POLLOUT, -1, error))
        {
          close (fd);
          return FALSE;
        }
      else
        g_assert_no_errno (getsockopt (fd, SOL_SOCKET, SO_ERROR, &socket_error, &error_length));
    }

  if (socket_error != 0)
    {
      close (fd);
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "connect: %s", g_strerror (socket_error));
      return FALSE;
    }

  *out_fd = fd;

  return TRUE;
}

/* (transfer full) (nullable) */
static MockTls *
next_tls (MockServer  *mock,
          GError     **error)
{
  int fd;

  if (mock->is_connecting)
    return connect_one (mock, &fd, error) ? mock_tls_new (fd, TRUE, &mock->tls_identity, mock->wake_fd, error) : NULL;

  if (!mock_connection_wait (&mock->connection, mock_tls_acceptor_get_fd (mock->acceptor), POLLIN, -1, error))
    {
      g_prefix_error (error, "nobody connected: ");
      return NULL;
    }

  return mock_tls_acceptor_take (mock->acceptor, error);
}

static gboolean
speaks_tls (MockServer *mock)
{
  return mock->acceptor != NULL || mock->is_tls_client;
}

static gboolean
next_connection (MockServer  *mock,
                 GError     **error)
{
  if (mock->listen_fd < 0 && !mock->is_connecting)
    return fail (error, "this transport has one connection only");

  if (speaks_tls (mock))
    {
      MockTls *tls = next_tls (mock, error);

      if (tls == NULL)
        return FALSE;

      mock_connection_open_tls (&mock->connection, tls);
    }
  else
    {
      int fd;

      if (mock->is_connecting ? !connect_one (mock, &fd, error) : !accept_one (mock, &fd, error))
        return FALSE;

      mock_connection_open (&mock->connection, fd, fd);
    }

  mock->had_connection = TRUE;
  mock->unread_is_fine = FALSE;

  g_mutex_lock (&mock->lock);
  mock->n_accepted++;
  g_mutex_unlock (&mock->lock);

  return TRUE;
}

static gboolean
ensure_connection (MockServer  *mock,
                   GError     **error)
{
  if (mock_connection_is_open (&mock->connection))
    return TRUE;

  if (mock->had_connection)
    return fail (error, "the connection was closed by an earlier step; mock_accept() first");

  return next_connection (mock, error);
}

static gboolean
check_nothing_unread (MockServer  *mock,
                      GError     **error)
{
  char buffer[MOCK_EXCERPT + 1];
  gssize n_peeked;

  if (mock->unread_is_fine || mock->connection.in_fd < 0)
    return TRUE;

  n_peeked = mock_connection_peek_now (&mock->connection, buffer, sizeof buffer, NULL);
  if (n_peeked > 0)
    {
      g_autofree char *got = mock_excerpt (buffer, (gsize) n_peeked);

      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the client sent more than any step expected: %s", got);
      return FALSE;
    }

  return TRUE;
}

gboolean
mock_run_accept (MockServer  *mock,
                 MockStep    *step,
                 GError     **error)
{
  if (!mock->had_connection)
    return next_connection (mock, error);

  if (!check_nothing_unread (mock, error))
    return FALSE;

  mock_connection_close (&mock->connection, mock->is_polite);

  return next_connection (mock, error);
}

gboolean
mock_run_expect_no_tls (MockServer  *mock,
                        MockStep    *step,
                        GError     **error)
{
  g_autoptr(GError) local_error = NULL;
  MockTls *tls;

  if (!speaks_tls (mock))
    return fail (error, "this transport has no TLS");
  if (!check_nothing_unread (mock, error))
    return FALSE;

  mock_connection_close (&mock->connection, mock->is_polite);

  tls = next_tls (mock, &local_error);
  if (tls != NULL)
    {
      mock_tls_close (tls, FALSE);
      return fail (error, "the handshake went well");
    }

  /* There was no connection, or the test gave up. */
  if (!g_str_has_prefix (local_error->message, MOCK_TLS_HANDSHAKE)
      || g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)
      || g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  return TRUE;
}

gboolean
mock_run_close (MockServer  *mock,
                MockStep    *step,
                GError     **error)
{
  if (!ensure_connection (mock, error))
    return FALSE;

  mock_connection_close (&mock->connection, mock->is_polite);

  return TRUE;
}

gboolean
mock_run_cut (MockServer  *mock,
              MockStep    *step,
              GError     **error)
{
  if (!ensure_connection (mock, error))
    return FALSE;

  mock_connection_close (&mock->connection, FALSE);

  return TRUE;
}

gboolean
mock_run_reset (MockServer  *mock,
                MockStep    *step,
                GError     **error)
{
  return ensure_connection (mock, error) && mock_connection_reset (&mock->connection, error);
}

gboolean
mock_run_shutdown_write (MockServer  *mock,
                         MockStep    *step,
                         GError     **error)
{
  return ensure_connection (mock, error) && mock_connection_shutdown_write (&mock->connection, mock->is_polite, error);
}

gboolean
mock_run_drain_backlog (MockServer  *mock,
                        MockStep    *step,
                        GError     **error)
{
  guint n_fillers;

  g_mutex_lock (&mock->lock);
  n_fillers = mock->fillers->len;
  g_mutex_unlock (&mock->lock);

  for (guint i = 0; i < n_fillers; i++)
    {
      int fd;

      if (!accept_one (mock, &fd, error))
        return FALSE;
      close (fd);
    }

  return TRUE;
}

gboolean
mock_run_stop_reading (MockServer  *mock,
                       MockStep    *step,
                       GError     **error)
{
  int least = 1;

  if (!ensure_connection (mock, error))
    return FALSE;

  /* A pipe has no such option, and a UNIX socket does not care. */
  if (mock->connection.is_socket)
    g_assert_no_errno (setsockopt (mock->connection.in_fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least));
  mock->unread_is_fine = TRUE;

  return TRUE;
}

/* ---- templates --------------------------------------------------------------------------------------------------- */

/* (transfer full) (nullable): the template with the ids filled in; @own_id, if there is one, is that of @ID@. */
static char *
expand (MockServer  *mock,
        const char  *template,
        const char  *own_id,
        GError     **error)
{
  g_autoptr(GString) out = g_string_new (NULL);
  const char *rest = template;
  const char *mark;

  while ((mark = strstr (rest, "@ID")) != NULL)
    {
      guint n_requests;
      guint64 number;
      const char *end = mark + strlen ("@ID");
      MockRequest *request;

      g_string_append_len (out, rest, mark - rest);

      g_mutex_lock (&mock->lock);
      n_requests = mock->requests->len;
      number = n_requests - 1;
      if (*end == ':')
        number = g_ascii_strtoull (end + 1, (char **) &end, 10);
      request = number < n_requests ? g_ptr_array_index (mock->requests, number) : NULL;
      /* Requests are only added, and only by this thread. */
      g_mutex_unlock (&mock->lock);

      if (*end != '@')
        {
          g_string_append_len (out, mark, strlen ("@ID"));
          rest = mark + strlen ("@ID");
          continue;
        }

      if (own_id != NULL && end == mark + strlen ("@ID"))
        g_string_append (out, own_id);
      else if (request != NULL && request->id != NULL)
        g_string_append (out, request->id);
      else
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "request %" G_GUINT64_FORMAT " %s", number,
                       request != NULL ? "had no id" : "did not come yet");
          return NULL;
        }

      rest = end + 1;
    }

  g_string_append (out, rest);

  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* ---- expecting, in the mock's thread ----------------------------------------------------------------------------- */

/* Takes @fds. */
static void
remember_request (MockServer *mock,
                  const char *text,
                  const char *id,
                  GArray     *fds,
                  gboolean    is_negotiation)
{
  MockRequest *request = g_new0 (MockRequest, 1);

  request->text = g_strdup (text);
  request->id = g_strdup (id);
  request->fds = fds;

  g_mutex_lock (&mock->lock);
  if (is_negotiation)
    {
      mock_request_free (g_ptr_array_index (mock->requests, 0));
      g_ptr_array_index (mock->requests, 0) = request;
    }
  else
    {
      g_ptr_array_add (mock->requests, request);
    }
  g_mutex_unlock (&mock->lock);
}

static void
add_what_came (GError        **error,
               const GString  *text)
{
  g_autofree char *got = mock_excerpt (text->str, text->len);

  g_prefix_error (error, "after “%s”: ", got);
}

static gboolean
differ (GError        **error,
        const GString  *text)
{
  g_autofree char *got = mock_excerpt (text->str, text->len);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "got instead “%s”", got);

  return FALSE;
}

static gboolean
check_fds (const MockFds  *fds,
           guint64         n_expected,
           GError        **error)
{
  guint n_fds = fds->fds != NULL ? fds->fds->len : 0;

  if (n_fds > 0 && fds->offset != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                   "descriptors came with byte %" G_GSIZE_FORMAT ", not with the first", fds->offset);
      return FALSE;
    }

  if (n_fds != n_expected)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                   "%u descriptors came, not %" G_GUINT64_FORMAT, n_fds, n_expected);
      return FALSE;
    }

  return TRUE;
}

static gboolean
capabilities_match (JsonNode *value,
                    gboolean  wants_oob)
{
  JsonObject *request = JSON_NODE_HOLDS_OBJECT (value) ? json_node_get_object (value) : NULL;
  JsonObject *arguments = NULL;
  JsonArray *enable = NULL;

  if (request == NULL || g_strcmp0 (json_object_get_string_member_with_default (request, "execute", NULL),
                                    "qmp_capabilities") != 0)
    return FALSE;

  if (json_object_has_member (request, "arguments"))
    arguments = json_object_get_object_member (request, "arguments");
  if (arguments != NULL && json_object_has_member (arguments, "enable"))
    enable = json_object_get_array_member (arguments, "enable");

  if (!wants_oob)
    return enable == NULL || json_array_get_length (enable) == 0;

  return enable != NULL
         && json_array_get_length (enable) == 1
         && g_strcmp0 (json_array_get_string_element (enable, 0), "oob") == 0;
}

/* For mock_expect() and the two like it: exactly one of step->pattern, step->text with is_text, or neither. */
static gboolean
take_request (MockServer  *mock,
              MockStep    *step,
              gboolean     is_text,
              gboolean     is_negotiation,
              GError     **error)
{
  g_autoptr(GString) text = g_string_new (NULL);
  g_autofree char *id = NULL;
  MockFds fds = { 0 };
  gboolean matches = FALSE;

  if (!ensure_connection (mock, error))
    return FALSE;

  if (!mock_connection_read_value (&mock->connection, !is_text, text, &fds, error))
    {
      add_what_came (error, text);
      g_clear_pointer (&fds.fds, mock_close_fds);
      return FALSE;
    }

  if (!check_fds (&fds, is_negotiation ? 0 : step->amount, error))
    {
      g_clear_pointer (&fds.fds, mock_close_fds);
      return FALSE;
    }

  id = mock_json_find_id (text->str);

  if (is_text)
    {
      g_autofree char *expected = expand (mock, step->text, id, error);

      matches = expected != NULL && strcmp (expected, text->str) == 0;
    }
  else
    {
      g_autoptr(JsonNode) value = json_from_string (text->str, error);

      matches = value != NULL
                && (is_negotiation ? capabilities_match (value, step->amount != 0)
                                   : mock_json_matches (step->pattern, value));
    }

  if (!matches)
    {
      g_clear_pointer (&fds.fds, mock_close_fds);
      if (error != NULL && *error != NULL)
        {
          add_what_came (error, text);
          return FALSE;
        }
      return differ (error, text);
    }

  remember_request (mock, text->str, id, fds.fds, is_negotiation);

  return TRUE;
}

gboolean
mock_run_expect (MockServer  *mock,
                 MockStep    *step,
                 GError     **error)
{
  return take_request (mock, step, FALSE, FALSE, error);
}

gboolean
mock_run_expect_text (MockServer  *mock,
                      MockStep    *step,
                      GError     **error)
{
  return take_request (mock, step, TRUE, FALSE, error);
}

gboolean
mock_run_expect_capabilities (MockServer  *mock,
                              MockStep    *step,
                              GError     **error)
{
  return take_request (mock, step, FALSE, TRUE, error);
}

gboolean
mock_run_expect_bytes (MockServer  *mock,
                       MockStep    *step,
                       GError     **error)
{
  g_autoptr(GString) text = g_string_new (NULL);
  MockFds fds = { 0 };
  gboolean ok;

  if (!ensure_connection (mock, error))
    return FALSE;

  if (!mock_connection_read_bytes (&mock->connection, step->length, text, &fds, error))
    {
      add_what_came (error, text);
      g_clear_pointer (&fds.fds, mock_close_fds);
      return FALSE;
    }

  ok = check_fds (&fds, 0, error);
  g_clear_pointer (&fds.fds, mock_close_fds);
  if (!ok)
    return FALSE;

  return memcmp (text->str, step->text, step->length) == 0 || differ (error, text);
}

gboolean
mock_run_expect_eof (MockServer  *mock,
                     MockStep    *step,
                     GError     **error)
{
  char buffer[MOCK_EXCERPT + 1];
  gssize n_peeked;

  if (!ensure_connection (mock, error))
    return FALSE;

  n_peeked = mock_connection_peek (&mock->connection, buffer, sizeof buffer, error);
  if (n_peeked > 0)
    {
      g_autofree char *got = mock_excerpt (buffer, (gsize) n_peeked);

      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "got instead “%s”", got);
      return FALSE;
    }

  return n_peeked == 0;
}

gboolean
mock_run_expect_goodbye (MockServer  *mock,
                         MockStep    *step,
                         GError     **error)
{
  if (!mock_run_expect_eof (mock, step, error))
    return FALSE;

  if (mock->connection.tls == NULL)
    return fail (error, "this transport has no TLS");

  return mock_tls_got_goodbye (mock->connection.tls) || fail (error, "the client did not say goodbye");
}

gboolean
mock_run_expect_gone (MockServer  *mock,
                      MockStep    *step,
                      GError     **error)
{
  return ensure_connection (mock, error) && mock_connection_read_until_gone (&mock->connection, error);
}

gboolean
mock_run_expect_nothing (MockServer  *mock,
                         MockStep    *step,
                         GError     **error)
{
  g_autoptr(GError) local_error = NULL;
  char buffer[MOCK_EXCERPT + 1];
  g_autofree char *got = NULL;
  gssize n_peeked;

  if (!ensure_connection (mock, error))
    return FALSE;

  if (!mock_connection_wait_input (&mock->connection, (gint64) step->time * 1000, &local_error))
    {
      if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  n_peeked = mock_connection_peek_now (&mock->connection, buffer, sizeof buffer, error);
  if (n_peeked < 0)
    return FALSE;
  if (n_peeked == 0)
    return fail (error, "the client closed the connection");

  got = mock_excerpt (buffer, (gsize) n_peeked);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "got “%s”", got);

  return FALSE;
}

/* ---- sending, in the mock's thread ------------------------------------------------------------------------------- */

gboolean
mock_run_send (MockServer  *mock,
               MockStep    *step,
               GError     **error)
{
  g_autofree char *text = NULL;
  gsize length;

  if (!ensure_connection (mock, error))
    return FALSE;

  text = expand (mock, step->text, NULL, error);
  if (text == NULL)
    return FALSE;
  length = strlen (text);

  for (gsize offset = 0; offset < length; offset += step->chunk_size)
    {
      if (offset > 0 && step->time > 0)
        g_usleep (step->time);

      if (!mock_connection_send (&mock->connection, text + offset, MIN (step->chunk_size, length - offset), error))
        return FALSE;
    }

  return TRUE;
}

gboolean
mock_run_send_bytes (MockServer  *mock,
                     MockStep    *step,
                     GError     **error)
{
  return ensure_connection (mock, error)
         && mock_connection_send (&mock->connection, step->text, step->length, error);
}

gboolean
mock_run_send_repeated (MockServer  *mock,
                        MockStep    *step,
                        GError     **error)
{
  g_autofree char *text = NULL;
  g_autoptr(GString) block = g_string_new (NULL);

  if (!ensure_connection (mock, error))
    return FALSE;

  text = expand (mock, step->text, NULL, error);
  if (text == NULL)
    return FALSE;

  for (guint64 i = 0; i < step->amount; i++)
    {
      g_string_append (block, text);
      if (block->len < 65536 && i + 1 < step->amount)
        continue;

      if (!mock_connection_send (&mock->connection, block->str, block->len, error))
        {
          g_prefix_error (error, "in repetition %" G_GUINT64_FORMAT ": ", i + 1);
          return FALSE;
        }
      g_string_truncate (block, 0);
    }

  return TRUE;
}

gboolean
mock_run_flood (MockServer  *mock,
                MockStep    *step,
                GError     **error)
{
  if (!ensure_connection (mock, error))
    return FALSE;

  for (guint64 n_sent = 0; n_sent < step->amount; n_sent += step->length)
    {
      g_autoptr(GError) local_error = NULL;

      if (mock_connection_send (&mock->connection, step->text, step->length, &local_error))
        continue;

      if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED))
        return TRUE;

      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  return fail (error, "the client took it all");
}

gboolean
mock_run_delay (MockServer  *mock,
                MockStep    *step,
                GError     **error)
{
  g_autoptr(GError) local_error = NULL;

  if (!mock_connection_wait (&mock->connection, -1, 0, (gint64) step->time * 1000, &local_error)
      && !g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  return TRUE;
}

gboolean
mock_run_gate (MockServer  *mock,
               MockStep    *step,
               GError     **error)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();
  gboolean is_open;
  gboolean is_finishing;

  g_mutex_lock (&mock->lock);
  mock->gate = (guint) step->amount;
  mock_notify (mock);
  while (mock->n_continued < step->n_continues && !mock->is_finishing)
    {
      if (!g_cond_wait_until (&mock->cond, &mock->lock, deadline))
        break;
    }
  is_open = mock->n_continued >= step->n_continues;
  is_finishing = mock->is_finishing;
  g_mutex_unlock (&mock->lock);

  if (!is_open)
    return fail (error, is_finishing ? "the test finished without mock_continue()" : "no mock_continue() within the bound");

  return TRUE;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

gboolean
mock_check_end (MockServer  *mock,
                GError     **error)
{
  struct pollfd poll_fd = { .fd = mock->listen_fd, .events = POLLIN };

  if (!check_nothing_unread (mock, error))
    return FALSE;

  if (mock->listen_fd >= 0 && mock->had_connection
      && (poll (&poll_fd, 1, 0) == 1 || (mock->acceptor != NULL && mock_tls_acceptor_count (mock->acceptor) > 0)))
    return fail (error, "somebody connected whom no step accepted");

  return TRUE;
}
