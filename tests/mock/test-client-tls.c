/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A client over TLS: the records that QEMU needs (Q13), replies and the end (Q2, Q12), descriptors (Q10), servers that connect. */

#include "client-util.h"
#include "tls-util.h"

#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#include "certificates.h"

/* ---- a client and its peer --------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpClient     *client;    /* (owned) (nullable) */
  TlsPeer         peer;
  GSocketAddress *address;   /* (owned): where the peer listens, if it does */
  TestSlot        slot;      /* of the attempt */
  GString        *text;      /* (owned): what came, and is no whole command yet, or belongs to the next */
} Session;

static void
session_init (Session *self)
{
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GError) error = NULL;

  memset (self, 0, sizeof *self);
  self->text = g_string_new (NULL);
  tls_peer_init (&self->peer, NULL, TRUE);
  self->peer.listener = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_assert_true (g_socket_bind (self->peer.listener, any, TRUE, NULL));
  g_assert_true (g_socket_listen (self->peer.listener, NULL));
  self->address = g_socket_get_local_address (self->peer.listener, NULL);

  self->client = aqmp_client_new (NULL);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (self->client), TRUE);
  tls_set_database (self->client, "good");
}

static void
session_clear (Session *self)
{
  tls_peer_clear (&self->peer);
  g_clear_object (&self->address);
  test_slot_clear (&self->slot);
  g_clear_object (&self->client);
  if (self->text != NULL)
    g_string_free (self->text, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Session, session_clear)

/* The peer has a connection, and nothing was said. */
static void
start_connect (Session *self)
{
  g_autoptr (GSocket) socket = NULL;

  aqmp_protocol_connect_async (AQMP_PROTOCOL (self->client), G_SOCKET_CONNECTABLE (self->address), NULL, test_slot_callback,
                               &self->slot);
  test_wait_until (g_socket_condition_check (self->peer.listener, G_IO_IN) != 0);
  socket = g_socket_accept (self->peer.listener, NULL, NULL);
  g_assert_nonnull (socket);
  tls_peer_cut (&self->peer);
  g_clear_object (&self->peer.connection);
  self->peer.connection = g_socket_connection_factory_create_connection (socket);
  g_socket_set_blocking (tls_peer_get_socket (&self->peer), FALSE);
}

static gboolean
finish_connect_of (Session  *self,
                   GError  **error)
{
  g_autoptr (GAsyncResult) result = test_await (&self->slot);

  return aqmp_protocol_connect_finish (AQMP_PROTOCOL (self->client), result, error);
}

static void
secure (Session *self)
{
  g_autoptr (GError) error = NULL;

  start_connect (self);
  tls_peer_shake_hands (&self->peer, &error);
  g_assert_no_error (error);
}

static void
send_greeting (TlsPeer *peer,
               int      major,
               int      minor)
{
  g_autofree char *greeting = g_strdup_printf ("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": %d, "
                                               "\"major\": %d}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n",
                                               minor, major);

  tls_peer_send (peer, greeting);
}

/* How long the first whole command is; 0 if there is none. No brace is in any string of these tests. */
static gsize
find_command (const char *text,
              gsize       length)
{
  int depth = 0;
  gsize i;

  for (i = 0; i < length; i++)
    {
      depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
      if (depth == 0)
        return i + 1;
    }
  return 0;
}

/* (transfer full): one command. @sizes: (nullable) (element-type guint): of the records that were read for it. */
static char *
take_command (Session *self,
              GArray  *sizes)
{
  gsize length = 0;
  char *command;

  while (length == 0)
    {
      g_autoptr (GBytes) record = NULL;
      const char *bytes;
      gsize n_bytes;
      guint size;

      /* Only a brace can be the end of one: all others need not be looked at. */
      if (self->text->len > 0 && self->text->str[self->text->len - 1] == '}')
        length = find_command (self->text->str, self->text->len);
      if (length > 0)
        break;

      record = tls_peer_next_record (&self->peer, NULL);
      g_assert_nonnull (record);
      bytes = g_bytes_get_data (record, &n_bytes);
      g_string_append_len (self->text, bytes, n_bytes);
      size = n_bytes;
      if (sizes != NULL)
        g_array_append_val (sizes, size);
    }

  command = g_strndup (self->text->str, length);
  g_string_erase (self->text, 0, length);
  return command;
}

/* (transfer full) */
static char *
get_id (const char *command)
{
  const char *id = strstr (command, "\"id\":\"");

  g_assert_nonnull (id);
  id += strlen ("\"id\":\"");
  return g_strndup (id, strcspn (id, "\""));
}

static void
send_return (TlsPeer    *peer,
             const char *command,
             const char *value)
{
  g_autofree char *id = get_id (command);
  g_autofree char *reply = g_strdup_printf ("{\"return\": %s, \"id\": \"%s\"}\r\n", value, id);

  tls_peer_send (peer, reply);
}

static void
negotiate (Session *self,
           int      major,
           int      minor)
{
  g_autofree char *command = NULL;
  g_autoptr (GError) error = NULL;

  secure (self);
  send_greeting (&self->peer, major, minor);
  command = take_command (self, NULL);
  g_assert_nonnull (strstr (command, "qmp_capabilities"));
  send_return (&self->peer, command, "{}");
  finish_connect_of (self, &error);
  g_assert_no_error (error);
}

static void
end (Session *self)
{
  test_client_close (g_steal_pointer (&self->client));
  tls_peer_expect_goodbye (&self->peer);
}

/* ---- Q13: which records ------------------------------------------------------------------------------------------ */

typedef struct
{
  const char *path;
  int         major;          /* of the greeting; 0: there is none */
  int         minor;
  guint       record_size;    /* the property */
  guint       expected;       /* 0: the last byte by itself; 16384: whole; else so many bytes */
} Records;

static const Records all_records[] = {
  { "7.2", 7, 2, 0, 0 },
  { "5.0", 5, 0, 0, 0 },
  { "2.12", 2, 12, 0, 0 },
  { "8.0", 8, 0, 0, 16384 },
  { "10.1", 10, 1, 0, 16384 },
  { "no-greeting", 0, 0, 0, 0 },
  { "7.2-and-1", 7, 2, 1, 1 },
  { "7.2-and-16384", 7, 2, 16384, 16384 },
  { "7.2-and-10", 7, 2, 10, 10 },
  { "8.0-and-1", 8, 0, 1, 1 },
  { "8.0-and-16384", 8, 0, 16384, 16384 },
  { "no-greeting-and-16384", 0, 0, 16384, 16384 },
  { "no-greeting-and-1", 0, 0, 1, 1 },
};

static void
check_sizes (GArray *sizes,
             gsize   length,
             guint   expected)
{
  gsize done = 0;
  guint i;

  for (i = 0; i < sizes->len; i++)
    {
      guint size = g_array_index (sizes, guint, i);

      if (expected == 0)
        g_assert_cmpuint (size, ==, i == 0 ? length - 1 : 1);
      else
        g_assert_cmpuint (size, ==, MIN (expected, length - done));
      done += size;
    }
  g_assert_cmpuint (done, ==, length);
  if (expected == 0)
    g_assert_cmpuint (sizes->len, ==, 2);
}

/* The command that is next. */
static void
expect_records (Session *self,
                guint    expected,
                char   **command)
{
  g_autoptr (GArray) sizes = g_array_new (FALSE, FALSE, sizeof (guint));

  *command = take_command (self, sizes);
  check_sizes (sizes, strlen (*command), expected);
}

static void
call (Session *self,
      guint    expected)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *command = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  test_start (self->client, "query-status", NULL, &slot);
  expect_records (self, expected, &command);
  send_return (&self->peer, command, "{}");
  result = test_finish (&slot, &error);
  g_assert_no_error (error);
}

static void
run_records (Session       *self,
             const Records *records)
{
  gboolean greets = records->major > 0;
  g_autofree char *negotiation = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (self->client), records->record_size);
  aqmp_client_set_await_greeting (self->client, greets);
  aqmp_client_set_negotiate (self->client, greets);
  secure (self);
  if (greets)
    {
      send_greeting (&self->peer, records->major, records->minor);
      expect_records (self, records->expected, &negotiation);
      send_return (&self->peer, negotiation, "{}");
    }
  finish_connect_of (self, &error);
  g_assert_no_error (error);
  call (self, records->expected);
  call (self, records->expected);
}

static void
test_records (gconstpointer data)
{
  g_auto (Session) session = { 0 };

  session_init (&session);
  run_records (&session, data);
  end (&session);
}

/* Each server is as it is: nothing is remembered of the one before. */
static void
test_records_of_each_session (void)
{
  static const Records sessions[] = {
    { NULL, 8, 0, 0, 16384 },
    { NULL, 0, 0, 0, 0 },
    { NULL, 8, 2, 0, 16384 },
    { NULL, 7, 2, 0, 0 },
    { NULL, 9, 0, 0, 16384 },
  };
  g_auto (Session) session = { 0 };
  gsize i;

  session_init (&session);
  for (i = 0; i < G_N_ELEMENTS (sessions); i++)
    {
      g_autoptr (GError) error = NULL;

      run_records (&session, &sessions[i]);
      test_disconnect (session.client, &error);
      g_assert_no_error (error);
      tls_peer_expect_goodbye (&session.peer);
    }
}

/* The property holds at once, and 0 is again what the server needs. */
static void
test_records_change (void)
{
  g_auto (Session) session = { 0 };

  session_init (&session);
  negotiate (&session, 7, 2);
  call (&session, 0);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), 16384);
  call (&session, 16384);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), 1);
  call (&session, 1);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), 0);
  call (&session, 0);
  end (&session);
}

/* A TLS stream that was opened is TLS all the same. */
static void
test_records_of_opened (void)
{
  g_autoptr (GSocketConnectable) identity = g_network_address_new ("vm.example", 0);
  g_autoptr (GTlsDatabase) database = test_certificates_get_database ("good");
  g_autoptr (GSocketConnection) base = NULL;
  GSocketConnection *other;
  g_autoptr (GIOStream) stream = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (Session) session = { 0 };
  g_autofree char *negotiation = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  session_init (&session);
  test_socket_pair (&base, &other);
  session.peer.connection = other;
  g_socket_set_blocking (tls_peer_get_socket (&session.peer), FALSE);
  stream = g_tls_client_connection_new (G_IO_STREAM (base), identity, &error);
  g_assert_no_error (error);
  g_tls_connection_set_database (G_TLS_CONNECTION (stream), database);
  aqmp_protocol_open_async (AQMP_PROTOCOL (session.client), stream, NULL, test_slot_callback, &slot);
  tls_peer_shake_hands (&session.peer, &error);
  g_assert_no_error (error);
  send_greeting (&session.peer, 7, 2);
  expect_records (&session, 0, &negotiation);
  send_return (&session.peer, negotiation, "{}");
  result = test_await (&slot);
  aqmp_protocol_open_finish (AQMP_PROTOCOL (session.client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  test_slot_clear (&slot);
  call (&session, 0);
  end (&session);
}

/* ---- Q13: QEMU 7.2 ----------------------------------------------------------------------------------------------- */

/* It takes a byte, and then waits until the socket is readable, whatever TLS has of the record still. */
typedef struct
{
  TlsPeer *peer;
  GSource *source;      /* (owned) */
  GString *got;         /* (owned): of the present command */
  guint    n_bytes;
  guint    n_answered;
} Qemu;

static gboolean
on_socket_readable (GSocket      *socket,
                    GIOCondition  condition,
                    gpointer      user_data)
{
  Qemu *self = user_data;
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (self->peer->tls));
  char byte;

  if (g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), &byte, 1, NULL, NULL) != 1)
    return G_SOURCE_REMOVE;

  self->n_bytes++;
  g_string_append_c (self->got, byte);
  if (byte == '}' && find_command (self->got->str, self->got->len) > 0)
    {
      self->n_answered++;
      send_return (self->peer, self->got->str, "{}");
      g_string_truncate (self->got, 0);
    }
  return G_SOURCE_CONTINUE;
}

static void
qemu_start (Qemu    *self,
            TlsPeer *peer)
{
  *self = (Qemu) { .peer = peer, .got = g_string_new (NULL) };
  self->source = g_socket_create_source (tls_peer_get_socket (peer), G_IO_IN, NULL);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_socket_readable), self, NULL);
  g_source_attach (self->source, NULL);
}

static void
qemu_stop (Qemu *self)
{
  if (self->source == NULL)
    return;

  g_source_destroy (self->source);
  g_source_unref (self->source);
  g_string_free (self->got, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qemu, qemu_stop)

static void
start_with_qemu (Session *session,
                 Qemu    *qemu)
{
  secure (session);
  qemu_start (qemu, &session->peer);
  send_greeting (&session->peer, 7, 2);
}

static void
test_qemu_works (gconstpointer data)
{
  guint record_size = GPOINTER_TO_UINT (data);
  g_auto (Session) session = { 0 };
  g_auto (Qemu) qemu = { 0 };
  g_autofree char *one = NULL;
  g_autofree char *large_argument = NULL;
  g_autofree char *large = NULL;
  g_autoptr (GError) error = NULL;
  TestSlot slots[20] = { { 0 } };
  guint i;

  session_init (&session);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), record_size);
  start_with_qemu (&session, &qemu);
  finish_connect_of (&session, &error);
  g_assert_no_error (error);
  one = test_execute (session.client, "query-status", NULL, &error);
  g_assert_no_error (error);

  /* Many at once, and one of several records. */
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    test_start (session.client, "query-status", NULL, &slots[i]);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autofree char *result = test_finish (&slots[i], &error);

      g_assert_true ((result == NULL) == (error != NULL));

      g_assert_no_error (error);
      test_slot_clear (&slots[i]);
    }
  large_argument = g_strnfill (20000, 'x');
  large = g_strconcat ("{\"text\": \"", large_argument, "\"}", NULL);
  g_free (test_execute (session.client, "large", large, &error));
  g_assert_no_error (error);

  g_assert_cmpuint (qemu.n_answered, ==, 1 + 1 + G_N_ELEMENTS (slots) + 1);
  end (&session);
}

/* Without the work-around: it has all of the command, takes one byte of it, and waits for ever. */
static void
test_qemu_stalls (void)
{
  g_auto (Session) session = { 0 };
  g_auto (Qemu) qemu = { 0 };
  g_autoptr (GError) error = NULL;

  session_init (&session);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), 16384);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (session.client), 300);
  start_with_qemu (&session, &qemu);
  g_assert_false (finish_connect_of (&session, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "300 ms");
  g_assert_cmpuint (qemu.n_bytes, ==, 1);
  g_assert_cmpuint (qemu.n_answered, ==, 0);
}

/* Each further record gives it another byte, and switching the work-around on sets it free. */
static void
test_qemu_goes_on (void)
{
  g_auto (Session) session = { 0 };
  g_auto (Qemu) qemu = { 0 };
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_autofree char *one = NULL;
  g_autofree char *two = NULL;
  g_autoptr (GError) error = NULL;
  guint n_before;

  session_init (&session);
  start_with_qemu (&session, &qemu);
  finish_connect_of (&session, &error);
  g_assert_no_error (error);

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), 16384);
  n_before = qemu.n_bytes;
  test_start (session.client, "first", NULL, &first);
  test_wait_until (qemu.n_bytes == n_before + 1);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (session.client)), ==, 0);
  g_assert_cmpuint (qemu.n_bytes, ==, n_before + 1);
  g_assert_false (test_slot_is_done (&first));

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), 0);
  test_start (session.client, "second", NULL, &second);
  one = test_finish (&first, &error);
  g_assert_no_error (error);
  two = test_finish (&second, &error);
  g_assert_no_error (error);
  end (&session);
}

/* ---- Q2 ---------------------------------------------------------------------------------------------------------- */

static void
test_leaves_before_greeting (gconstpointer data)
{
  gboolean goodbye = GPOINTER_TO_INT (data);
  g_auto (Session) session = { 0 };
  g_autoptr (GError) error = NULL;

  session_init (&session);
  secure (&session);
  if (goodbye)
    tls_peer_leave (&session.peer);
  else
    tls_peer_cut (&session.peer);
  g_assert_false (finish_connect_of (&session, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "Could not establish the session");
}

static void
test_silent_after_handshake (void)
{
  g_auto (Session) session = { 0 };
  g_autoptr (GError) error = NULL;

  session_init (&session);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (session.client), 300);
  secure (&session);
  g_assert_false (finish_connect_of (&session, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Could not establish the session: ");
  tls_peer_expect_cut (&session.peer);
}

/* With TLS 1.3 the server says no when the client thinks that it is through. Waiting for a greeting, it is told in any case. */
static void
test_missing_certificate (void)
{
  g_auto (Session) session = { 0 };
  g_autoptr (GError) error = NULL;

  session_init (&session);
  session.peer.mode = G_TLS_AUTHENTICATION_REQUIRED;
  start_connect (&session);
  g_assert_false (tls_peer_shake_hands (&session.peer, NULL));
  g_assert_false (finish_connect_of (&session, &error));
  /* What GIO makes of it depends on how the server leaves. */
  g_assert_true (error->domain == G_TLS_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED));
  test_check_message (error, "Could not establish the ", __FILE__, __LINE__, G_STRFUNC);
  /* TLS 1.2 fails in the handshake. */
  if (strstr (error->message, "handshake") == NULL)
    test_check_message (error, "certificate", __FILE__, __LINE__, G_STRFUNC);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (session.client)), ==, AQMP_RUNSTATE_IDLE);

  /* The same object, with one. */
  g_clear_error (&error);
  tls_set_certificate (session.client, "good", "client");
  negotiate (&session, 7, 2);
  call (&session, 0);
  end (&session);
}

static void
test_wrong_certificate (void)
{
  g_auto (Session) session = { 0 };
  g_autoptr (GError) error = NULL;

  session_init (&session);
  session.peer.mode = G_TLS_AUTHENTICATION_REQUIRED;
  tls_set_certificate (session.client, "other-ca", "client");
  start_connect (&session);
  g_assert_false (tls_peer_shake_hands (&session.peer, NULL));
  g_assert_false (finish_connect_of (&session, &error));
  g_assert_true (error->domain == G_TLS_ERROR || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED));
  test_check_message (error, "Could not establish the ", __FILE__, __LINE__, G_STRFUNC);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (session.client)), ==, AQMP_RUNSTATE_IDLE);
}

/* TLS is required, and the server greets plainly. */
static void
test_server_speaks_plain (void)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
  tls_set_database (client, "good");
  mock_greet (mock, MOCK_GREETING_OOB);
  mock_expect_gone (mock);
  g_assert_false (test_connect (client, mock, &error));
  g_assert_true (error->domain == G_TLS_ERROR);
  test_check_message (error, "TLS handshake", __FILE__, __LINE__, G_STRFUNC);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  g_object_unref (client);
}

/* The other way round both wait for the other to begin: the time-out is all that ends it. */
static void
test_server_speaks_tls (void)
{
  g_auto (Session) session = { 0 };
  g_autoptr (GError) error = NULL;

  session_init (&session);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (session.client), FALSE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (session.client), 60);
  start_connect (&session);
  tls_peer_begin_handshake (&session.peer);
  g_assert_false (finish_connect_of (&session, &error));
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "60 ms");
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (session.client)), ==, AQMP_RUNSTATE_IDLE);
  g_assert_false (tls_peer_finish_handshake (&session.peer, NULL));
}

/* A server that connects here with TLS, which is not wanted: what comes is no greeting. */
static void
test_peer_connects_with_tls (void)
{
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TlsPeer) peer = { 0 };
  g_autoptr (GSocketClient) connector = g_socket_client_new ();
  g_autoptr (GAsyncResult) result = NULL;
  GSocketConnection *connection;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_start_server_and_accept_async (AQMP_PROTOCOL (client), any, NULL, test_slot_callback, &slot);
  connection = g_socket_client_connect (connector, G_SOCKET_CONNECTABLE (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client))),
                                        NULL, &error);
  g_assert_no_error (error);
  tls_peer_init (&peer, G_IO_STREAM (connection), FALSE);
  tls_peer_begin_handshake (&peer);
  result = test_await (&slot);
  g_assert_false (aqmp_protocol_start_server_and_accept_finish (AQMP_PROTOCOL (client), result, &error));
  g_assert_true (error->domain == AQMP_ERROR);
  test_check_message (error, "Could not establish the session: ", __FILE__, __LINE__, G_STRFUNC);
  g_assert_false (tls_peer_finish_handshake (&peer, NULL));
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);
  g_object_unref (client);
}

/* ---- Q12 --------------------------------------------------------------------------------------------------------- */

/* Two calls: the reply to the first has arrived, then the connection goes. */
static void
test_reply_before_failure (gconstpointer data)
{
  gboolean goodbye = GPOINTER_TO_INT (data);
  g_auto (Session) session = { 0 };
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_autofree char *command = NULL;
  g_autofree char *next = NULL;
  g_autofree char *result = NULL;
  g_autofree char *none = NULL;
  g_autoptr (GError) error = NULL;

  session_init (&session);
  negotiate (&session, 7, 2);
  test_start (session.client, "first", NULL, &first);
  test_start (session.client, "second", NULL, &second);
  command = take_command (&session, NULL);
  next = take_command (&session, NULL);
  send_return (&session.peer, command, "{\"a\": 1}");
  if (goodbye)
    tls_peer_leave (&session.peer);
  else
    tls_peer_cut (&session.peer);

  result = test_finish (&first, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{\"a\":1}");
  none = test_finish (&second, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  g_assert_false (test_disconnect (session.client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
}

/* QEMU answers and is gone, without a goodbye: a clean end. */
static void
test_quit (void)
{
  g_auto (Session) session = { 0 };
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *command = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  session_init (&session);
  negotiate (&session, 7, 2);
  test_start (session.client, "quit", NULL, &slot);
  command = take_command (&session, NULL);
  send_return (&session.peer, command, "{}");
  tls_peer_cut (&session.peer);
  result = test_finish (&slot, &error);
  g_assert_no_error (error);
  test_disconnect (session.client, &error);
  g_assert_no_error (error);
}

/* ---- large and many ---------------------------------------------------------------------------------------------- */

static void
test_large (gconstpointer data)
{
  guint record_size = GPOINTER_TO_UINT (data);
  gsize length = record_size == 1 ? 32 * 1024 : 1024 * 1024;
  g_auto (Session) session = { 0 };
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *argument = g_strnfill (length, 'x');
  g_autofree char *arguments = g_strconcat ("{\"text\": \"", argument, "\"}", NULL);
  g_autofree char *text = g_strnfill (5 * 1024 * 1024, 'y');
  g_autofree char *value = g_strconcat ("\"", text, "\"", NULL);
  g_autoptr (JsonObject) object = NULL;
  g_autofree char *command = NULL;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) sizes = g_array_new (FALSE, FALSE, sizeof (guint));
  guint i;

  session_init (&session);
  negotiate (&session, 7, 2);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (session.client), record_size);
  object = aqmp_arguments_parse (arguments, &error);
  g_assert_no_error (error);
  aqmp_client_execute_async (session.client, "large", object, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &slot);
  command = take_command (&session, sizes);
  for (i = 0; i < sizes->len; i++)
    g_assert_cmpuint (g_array_index (sizes, guint, i), <=, record_size);
  g_assert_nonnull (strstr (command, argument));
  send_return (&session.peer, command, value);
  result = test_finish (&slot, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (result), ==, 5 * 1024 * 1024 + 2);
  call (&session, record_size);
  end (&session);
}

static void
note_event (AqmpClient *client,
            AqmpEvent  *event,
            guint      *n)
{
  (*n)++;
}

static void
test_many (void)
{
  g_auto (Session) session = { 0 };
  TestSlot slots[100] = { { 0 } };
  g_autoptr (GError) error = NULL;
  guint n_events = 0;
  guint i;

  session_init (&session);
  aqmp_client_set_enable_oob (session.client, FALSE);
  negotiate (&session, 8, 0);
  g_signal_connect (session.client, "event::STOP", G_CALLBACK (note_event), &n_events);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    test_start (session.client, "query-status", NULL, &slots[i]);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autofree char *command = take_command (&session, NULL);
      g_autofree char *value = g_strdup_printf ("%u", i);

      tls_peer_send (&session.peer, "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\r\n");
      send_return (&session.peer, command, value);
    }
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autofree char *value = g_strdup_printf ("%u", i);
      g_autofree char *result = test_finish (&slots[i], &error);

      g_assert_no_error (error);
      g_assert_cmpstr (result, ==, value);
      test_slot_clear (&slots[i]);
    }
  g_assert_cmpuint (n_events, ==, G_N_ELEMENTS (slots));
  end (&session);
}

/* ---- Q10 --------------------------------------------------------------------------------------------------------- */

/* Nothing is sent, the descriptor stays the caller's, and the session goes on. */
static void
test_descriptors (gconstpointer data)
{
  gboolean raw = GPOINTER_TO_INT (data);
  g_auto (Session) session = { 0 };
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;
  int fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);

  g_assert_no_errno (fd);
  g_unix_fd_list_append (fds, fd, &error);
  g_assert_no_error (error);
  session_init (&session);
  negotiate (&session, 7, 2);
  if (raw)
    aqmp_client_execute_raw_async (session.client, "{\"execute\": \"getfd\"}", fds, NULL, test_slot_callback, &slot);
  else
    aqmp_client_execute_full_async (session.client, "getfd", NULL, fds, AQMP_EXECUTE_FLAGS_NONE, -1, NULL,
                                    test_slot_callback, &slot);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (session.client)), ==, 0);
  result = test_finish (&slot, &error);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "UNIX");
  g_assert_cmpint (g_unix_fd_list_get_length (fds), ==, 1);
  g_assert_no_errno (fcntl (fd, F_GETFD));
  close (fd);
  /* The next that comes is this. */
  call (&session, 0);
  end (&session);
}

/* ---- the mock, in a thread of its own ---------------------------------------------------------------------------- */

static void
test_mock (void)
{
  MockServer *mock = mock_new (MOCK_TRANSPORT_TLS);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
  tls_set_database (client, "good");
  mock_negotiate (mock, MOCK_GREETING_OOB);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_goodbye (mock);
  test_client_close (client);
  mock_finish (mock);
}

/* A QEMU that connects, and is the client in TLS. */
static void
test_mock_connects (gconstpointer data)
{
  GTlsAuthenticationMode mode = GPOINTER_TO_INT (data);
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) effective = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;
  MockServer *mock;

  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (client), mode);
  tls_set_certificate (client, "good", "server");
  tls_set_database (client, "good");
  aqmp_protocol_start_server (AQMP_PROTOCOL (client), any, &effective, &error);
  g_assert_no_error (error);
  mock = mock_new_connecting (effective);
  mock_set_tls (mock, mode == G_TLS_AUTHENTICATION_NONE ? NULL : "good", "good", G_TLS_AUTHENTICATION_NONE);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_accept_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  test_ping (client, mock);
  mock_expect_goodbye (mock);
  test_slot_clear (&slot);
  g_clear_object (&result);
  test_client_close (client);
  mock_finish (mock);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  for (i = 0; i < G_N_ELEMENTS (all_records); i++)
    {
      g_autofree char *path = g_strconcat ("/client/tls/Q13/records/", all_records[i].path, NULL);

      tls_add (path, test_records, &all_records[i]);
    }
  tls_add ("/client/tls/Q13/records/of-each-session", test_records_of_each_session, NULL);
  tls_add ("/client/tls/Q13/records/change", test_records_change, NULL);
  tls_add ("/client/tls/Q13/records/of-an-opened-stream", test_records_of_opened, NULL);
  tls_add ("/client/tls/Q13/qemu-7.2/works", test_qemu_works, GUINT_TO_POINTER (0));
  tls_add ("/client/tls/Q13/qemu-7.2/works-with-1", test_qemu_works, GUINT_TO_POINTER (1));
  tls_add ("/client/tls/Q13/qemu-7.2/stalls-without", test_qemu_stalls, NULL);
  tls_add ("/client/tls/Q13/qemu-7.2/goes-on-with-more", test_qemu_goes_on, NULL);

  tls_add ("/client/tls/Q2/leaves-before-greeting/with-goodbye", test_leaves_before_greeting, GINT_TO_POINTER (TRUE));
  tls_add ("/client/tls/Q2/leaves-before-greeting/without", test_leaves_before_greeting, GINT_TO_POINTER (FALSE));
  tls_add ("/client/tls/Q2/silent-after-handshake", test_silent_after_handshake, NULL);
  tls_add ("/client/tls/S4/missing-certificate", test_missing_certificate, NULL);
  tls_add ("/client/tls/S4/wrong-certificate", test_wrong_certificate, NULL);
  tls_add ("/client/tls/S4/server-speaks-plain", test_server_speaks_plain, NULL);
  tls_add ("/client/tls/S4/server-speaks-tls", test_server_speaks_tls, NULL);
  tls_add ("/client/tls/S4/peer-connects-with-tls", test_peer_connects_with_tls, NULL);

  tls_add ("/client/tls/Q12/reply-before-failure/with-goodbye", test_reply_before_failure, GINT_TO_POINTER (TRUE));
  tls_add ("/client/tls/Q12/reply-before-failure/without", test_reply_before_failure, GINT_TO_POINTER (FALSE));
  tls_add ("/client/tls/S5/quit", test_quit, NULL);
  tls_add ("/client/tls/M7/large/16384", test_large, GUINT_TO_POINTER (16384));
  tls_add ("/client/tls/M7/large/1000", test_large, GUINT_TO_POINTER (1000));
  tls_add ("/client/tls/M7/large/1", test_large, GUINT_TO_POINTER (1));
  tls_add ("/client/tls/M7/many", test_many, NULL);
  tls_add ("/client/tls/Q10/execute-full", test_descriptors, GINT_TO_POINTER (FALSE));
  tls_add ("/client/tls/Q10/execute-raw", test_descriptors, GINT_TO_POINTER (TRUE));

  tls_add ("/client/tls/mock/listens", test_mock, NULL);
  tls_add ("/client/tls/mock/connects", test_mock_connects, GINT_TO_POINTER (G_TLS_AUTHENTICATION_NONE));
  tls_add ("/client/tls/mock/connects-and-shows-a-certificate", test_mock_connects,
           GINT_TO_POINTER (G_TLS_AUTHENTICATION_REQUIRED));

  return tls_run ();
}
