/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "echo-peer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define GREETING \
  "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},\"package\":\"\"},\"capabilities\":[\"oob\"]}}\r\n"
#define N_AT_ONCE 10

struct _EchoPeer
{
  int      fd;
  GThread *thread;
  guint    n_silent;  /* atomic */
  guint    n_events;  /* atomic */

  /* The thread's. */
  GString *request;   /* of which the end has not come */
  guint    depth;     /* of its braces */
  GString *replies;   /* not sent yet */
  GString *gates;     /* replies to what waits for "open" */
};

/* --- Answering ---------------------------------------------------------------------------------------------------- */

static gboolean
is_called (const char *request,
           const char *name)
{
  const char *key = "\"execute\":\"";
  const char *value = strstr (request, key);

  g_assert_nonnull (value);
  value += strlen (key);
  return g_str_has_prefix (value, name) && value[strlen (name)] == '"';
}

static void
append_events (EchoPeer *self,
               guint     n_events)
{
  while (n_events-- > 0)
    g_string_append_printf (self->replies, "{\"event\":\"NOTE\",\"data\":{\"n\":%d}}\r\n",
                            g_atomic_int_add (&self->n_events, 1) + 1);
}

static void
append_reply (GString    *replies,
              const char *request)
{
  const char *id = strstr (request, "\"id\":");

  g_assert_nonnull (id);
  g_string_append (replies, "{\"return\":");
  g_string_append (replies, request);
  g_string_append_c (replies, ',');
  g_string_append_len (replies, id, strcspn (id, ",}"));
  g_string_append (replies, "}\r\n");
}

static void
count_silent (EchoPeer *self)
{
  g_atomic_int_inc (&self->n_silent);
  g_main_context_wakeup (NULL);
}

static void
answer (EchoPeer   *self,
        const char *request)
{
  GString *replies = self->replies;

  if (is_called (request, "silent"))
    {
      count_silent (self);
      return;
    }
  if (is_called (request, "event"))
    append_events (self, 1);

  if (is_called (request, "gate"))
    {
      count_silent (self);
      replies = self->gates;
    }
  append_reply (replies, request);

  if (is_called (request, "open"))
    {
      g_string_append_len (self->replies, self->gates->str, self->gates->len);
      g_string_truncate (self->gates, 0);
    }
}

/* No string that the tests send has a brace. */
static void
take (EchoPeer   *self,
      const char *text,
      gsize       length)
{
  gsize i;

  for (i = 0; i < length; i++)
    {
      g_string_append_c (self->request, text[i]);
      if (text[i] == '{')
        self->depth++;
      else if (text[i] == '}' && --self->depth == 0)
        {
          answer (self, self->request->str);
          g_string_truncate (self->request, 0);
        }
    }
}

/* FALSE: the other end is closed. */
static gboolean
send_replies (EchoPeer *self)
{
  gsize done = 0;

  while (done < self->replies->len)
    {
      gssize n_sent = send (self->fd, self->replies->str + done, self->replies->len - done, MSG_NOSIGNAL);

      if (n_sent < 0)
        return FALSE;
      done += (gsize) n_sent;
    }

  g_string_truncate (self->replies, 0);
  return TRUE;
}

/* Little at a time, so that handling it takes many turns. */
static gpointer
flood (gpointer data)
{
  EchoPeer *self = data;
  const int size = 4096;

  test_mark_helper_thread ();
  g_assert_no_errno (setsockopt (self->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  do
    append_events (self, N_AT_ONCE);
  while (send_replies (self));

  return NULL;
}

static gpointer
run (gpointer data)
{
  EchoPeer *self = data;
  char buffer[16384];
  gssize length;

  test_mark_helper_thread ();
  while (send_replies (self) && (length = recv (self->fd, buffer, sizeof buffer, 0)) > 0)
    take (self, buffer, (gsize) length);

  return NULL;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

EchoPeer *
echo_peer_new (EchoPeerKind   kind,
               GIOStream    **stream)
{
  EchoPeer *self = g_new0 (EchoPeer, 1);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  *stream = G_IO_STREAM (g_socket_connection_factory_create_connection (socket));

  self->fd = fds[1];
  self->request = g_string_new (NULL);
  self->replies = g_string_new (kind == ECHO_PEER_OFFERS_OOB ? GREETING : NULL);
  self->gates = g_string_new (NULL);
  if (kind == ECHO_PEER_STARTS_WITH_EVENTS)
    append_events (self, N_AT_ONCE);
  self->thread = g_thread_new ("echo-peer", kind == ECHO_PEER_FLOODS ? flood : run, self);
  return self;
}

void
echo_peer_free (EchoPeer *self)
{
  g_thread_join (self->thread);
  close (self->fd);
  g_string_free (self->request, TRUE);
  g_string_free (self->replies, TRUE);
  g_string_free (self->gates, TRUE);
  g_free (self);
}

guint
echo_peer_get_n_silent (EchoPeer *self)
{
  return (guint) g_atomic_int_get (&self->n_silent);
}

guint
echo_peer_get_n_events (EchoPeer *self)
{
  return (guint) g_atomic_int_get (&self->n_events);
}

AqmpClient *
echo_peer_new_client (EchoPeerKind kind)
{
  AqmpClient *client = aqmp_client_new (NULL);

  aqmp_client_set_await_greeting (client, kind == ECHO_PEER_OFFERS_OOB);
  aqmp_client_set_negotiate (client, kind == ECHO_PEER_OFFERS_OOB);
  return client;
}

AqmpClient *
echo_peer_open (EchoPeer     **self,
                EchoPeerKind   kind)
{
  AqmpClient *client = echo_peer_new_client (kind);
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  *self = echo_peer_new (kind, &stream);
  aqmp_protocol_open_sync (AQMP_PROTOCOL (client), stream, NULL, &error);
  g_assert_no_error (error);
  return client;
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */

char *
echo_peer_command (const char *name,
                   guint       n)
{
  return g_strdup_printf ("{\"execute\":\"%s\",\"arguments\":{\"n\":%u}}", name, n);
}

gboolean
echo_peer_is_answer (const char *text,
                     const char *name,
                     guint       n)
{
  g_autofree char *members = g_strdup_printf ("\"execute\":\"%s\",\"arguments\":{\"n\":%u}", name, n);

  return strstr (text, members) != NULL;
}
