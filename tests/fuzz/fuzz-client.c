/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A client, its user and its peer, all three of whom do what the input says.
 *
 * The first byte, with '0' for none of them, chooses Options. What follows is what the peer sends, but for '@' and a
 * letter, which ends what the peer sends at once and lets something happen: see do_step(). "@@" is a '@'. For instance:
 *
 *   0@e@i{"return": @i{}, "id": "aqmp-2"}@i@d
 *
 * executes a command, runs the loop, answers in two pieces with the loop running in between, and disconnects.
 *
 * Time stands still unless the input says otherwise, so that every run is like the one before. */

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "aqmp-glib/aqmp-client.h"
#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-greeting.h"
#include "aqmp-glib/aqmp-json-private.h"
#include "fuzz.h"

#define MAX_STEPS 300
#define MAX_DEPTH 3
/* Whatever does not become quiet in so many rounds never will. */
#define MANY_ROUNDS 2000
#define HIGHEST_FD 128

#define GREETING "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},\"package\":\"\"}," \
                 "\"capabilities\":[\"oob\"]}}"

typedef enum
{
  OPTION_NO_GREETING = 1 << 0,  /* the input has to greet and to negotiate itself */
  OPTION_AGENT = 1 << 1,        /* neither is wanted */
  OPTION_REENTRANT = 1 << 2,    /* callbacks, handlers and filters go on with the input */
  OPTION_SLOW_PEER = 1 << 3,    /* the connection holds little, and nobody reads unless told to */
  OPTION_POLLABLE = 1 << 4,     /* a stream that is served as if it were TLS */
  OPTION_SMALL = 1 << 5,        /* a low limit for messages */
  OPTION_EVENTS = 1 << 6,       /* somebody listens */
  OPTION_FILTERS = 1 << 7,      /* a subclass that filters */
} Options;

typedef enum
{
  CALL,
  CALL_FULL,
  CALL_RAW,
  OPEN,
  DISCONNECT,
  FLUSH,
  WAIT_RUNSTATE,
} Kind;

/* Something asynchronous that was started. */
typedef struct
{
  Kind          kind;
  GCancellable *cancellable;   /* (owned) */
  guint         n_completions;
} Operation;

typedef struct
{
  const guint8 *next;
  const guint8 *end;
  guint         options;
  guint         n_steps;
  guint         depth;
  gboolean      finishing;      /* the input does not matter any more */
  gboolean      begin_cancelled; /* the next operation */
  gint64        now;            /* microseconds */

  GMainContext *context;        /* (owned) */
  AqmpClient   *client;         /* (owned) (nullable) */
  guint         n_alive;        /* clients not finalized */
  AqmpRunstate  runstate;       /* announced last */
  GPtrArray    *operations;     /* (element-type Operation) */

  int           peer;           /* -1: none */
  GByteArray   *chunk;          /* what it is about to send */
  GByteArray   *received;       /* what it has received and not looked at */
  GPtrArray    *ids;            /* (element-type utf8): of the commands that it has received, as JSON text */
} Run;

static Run run;

static gboolean do_step (void);

/* --- Time --------------------------------------------------------------------------------------------------------- */

/* Instead of libc's. The fuzzer itself looks at other clocks. */
int
clock_gettime (clockid_t        clock_id,
               struct timespec *result)
{
  if (clock_id != CLOCK_MONOTONIC)
    return (int) syscall (SYS_clock_gettime, clock_id, result);

  result->tv_sec = run.now / G_USEC_PER_SEC;
  result->tv_nsec = run.now % G_USEC_PER_SEC * 1000;
  return 0;
}

static void
iterate (guint max_rounds)
{
  guint i;

  for (i = 0; i < max_rounds && g_main_context_iteration (run.context, FALSE); i++)
    ;
}

static void
settle (void)
{
  guint i;

  for (i = 0; g_main_context_iteration (run.context, FALSE); i++)
    CHECK (i < MANY_ROUNDS);
}

/* --- What is heard of the client ---------------------------------------------------------------------------------- */

/* In the middle of something, the input may go on. */
static void
react (void)
{
  if (run.finishing || !(run.options & OPTION_REENTRANT) || run.depth >= MAX_DEPTH)
    return;

  run.depth++;
  do_step ();
  run.depth--;
}

static gboolean
is_documented (Kind          kind,
               const GError *error)
{
  gboolean is_call = kind == CALL || kind == CALL_FULL || kind == CALL_RAW;

  /* They keep the domain and code of whatever the cause was. */
  if (kind == OPEN || kind == DISCONNECT)
    return error->domain == G_IO_ERROR || error->domain == AQMP_ERROR;

  if (error->domain == AQMP_EXEC_ERROR)
    return is_call && kind != CALL_RAW;

  if (error->domain == G_IO_ERROR)
    return error->code == G_IO_ERROR_CANCELLED ||
           (is_call && (error->code == G_IO_ERROR_TIMED_OUT || error->code == G_IO_ERROR_NOT_SUPPORTED));

  if (error->domain != AQMP_ERROR)
    return FALSE;

  switch ((AqmpError) error->code)
    {
    case AQMP_ERROR_INTERRUPTED:
      return TRUE;
    case AQMP_ERROR_STATE:
      return kind != WAIT_RUNSTATE;
    case AQMP_ERROR_INVALID_MESSAGE:
    case AQMP_ERROR_BAD_REPLY:
      return is_call;
    default:
      return FALSE;
    }
}

static void
check_error (Kind          kind,
             gboolean      succeeded,
             const GError *error)
{
  g_autoptr (GBytes) reply = NULL;

  CHECK (succeeded == (error == NULL));
  if (error == NULL)
    return;

  if (!is_documented (kind, error))
    fprintf (stderr, "%s, %d: %s\n", g_quark_to_string (error->domain), error->code, error->message);
  CHECK (is_documented (kind, error));
  CHECK (*error->message != '\0' && g_utf8_validate (error->message, -1, NULL));

  reply = aqmp_exec_error_get_reply (error);
  CHECK ((reply != NULL) == (error->domain == AQMP_EXEC_ERROR));
  CHECK ((aqmp_exec_error_get_class (error) != NULL) == (error->domain == AQMP_EXEC_ERROR));
}

static void
check_raw_reply (GBytes *reply)
{
  static const char * const names[] = { "return", "error", NULL };
  AqmpJsonScan scan;
  gsize length;
  const guint8 *text = g_bytes_get_data (reply, &length);

  CHECK (aqmp_json_validate (&scan, names, text, length, NULL));
  CHECK (scan.kind == '{');
  CHECK (scan.members[0].end > 0 || scan.members[1].end > 0);
}

static gboolean
finish_call (AqmpClient    *client,
             Kind           kind,
             GAsyncResult  *result,
             GError       **error)
{
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GBytes) reply = NULL;

  if (kind == CALL_RAW)
    reply = aqmp_client_execute_raw_finish (client, result, error);
  else if (kind == CALL_FULL)
    node = aqmp_client_execute_full_finish (client, result, error);
  else
    node = aqmp_client_execute_finish (client, result, error);

  if (reply != NULL)
    check_raw_reply (reply);
  return node != NULL || reply != NULL;
}

static void
completed (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Operation *operation = user_data;
  AqmpProtocol *protocol = AQMP_PROTOCOL (object);
  g_autoptr (GError) error = NULL;
  gboolean succeeded;

  CHECK (operation->n_completions++ == 0);

  switch (operation->kind)
    {
    case OPEN:
      succeeded = aqmp_protocol_open_finish (protocol, result, &error);
      break;
    case DISCONNECT:
      succeeded = aqmp_protocol_disconnect_finish (protocol, result, &error);
      break;
    case FLUSH:
      succeeded = aqmp_protocol_flush_finish (protocol, result, &error);
      break;
    case WAIT_RUNSTATE:
      succeeded = aqmp_protocol_wait_runstate_finish (protocol, result, NULL, &error);
      break;
    case CALL:
    case CALL_FULL:
    case CALL_RAW:
    default:
      succeeded = finish_call (AQMP_CLIENT (object), operation->kind, result, &error);
      break;
    }

  check_error (operation->kind, succeeded, error);
  react ();
}

static void
runstate_changed (AqmpProtocol *protocol,
                  AqmpRunstate  runstate)
{
  static const gboolean possible[4][4] = {
    [AQMP_RUNSTATE_IDLE] = { [AQMP_RUNSTATE_CONNECTING] = TRUE, [AQMP_RUNSTATE_DISCONNECTING] = TRUE },
    [AQMP_RUNSTATE_CONNECTING] = { [AQMP_RUNSTATE_RUNNING] = TRUE, [AQMP_RUNSTATE_DISCONNECTING] = TRUE },
    [AQMP_RUNSTATE_RUNNING] = { [AQMP_RUNSTATE_DISCONNECTING] = TRUE },
    [AQMP_RUNSTATE_DISCONNECTING] = { [AQMP_RUNSTATE_IDLE] = TRUE },
  };

  if ((gpointer) protocol != run.client)
    return;

  /* Handlers that nest transitions may hear of them in another order. */
  CHECK (run.options & OPTION_REENTRANT || possible[run.runstate][runstate]);
  run.runstate = runstate;
  react ();
}

static void
event_received (AqmpProtocol *protocol,
                AqmpEvent    *event)
{
  g_autoptr (GBytes) bytes = aqmp_event_to_bytes (event);
  const char *name = aqmp_event_get_name (event);
  JsonObject *data = aqmp_event_get_data (event);

  CHECK (*name != '\0' && g_utf8_validate (name, -1, NULL));
  CHECK (aqmp_event_get_timestamp (event) >= -1);
  CHECK (g_bytes_get_size (bytes) > 0);
  if (data != NULL)
    CHECK (json_object_get_size (data) < MANY_ROUNDS * 100);
  react ();
}

static void
check_greeting (AqmpGreeting *greeting)
{
  CHECK (aqmp_greeting_get_major (greeting) >= 0);
  CHECK (aqmp_greeting_get_minor (greeting) >= 0);
  CHECK (aqmp_greeting_get_micro (greeting) >= 0);
  CHECK (g_utf8_validate (aqmp_greeting_get_package (greeting), -1, NULL));
  CHECK (*aqmp_greeting_get_version_string (greeting) != '\0');
  CHECK (aqmp_greeting_get_capabilities (greeting) != NULL);
}

static void
property_changed (GObject    *object,
                  GParamSpec *pspec)
{
  g_auto (GValue) value = G_VALUE_INIT;

  g_object_get_property (object, pspec->name, &value);
  if (G_VALUE_HOLDS (&value, AQMP_TYPE_GREETING) && g_value_get_boxed (&value) != NULL)
    check_greeting (g_value_get_boxed (&value));
  react ();
}

/* --- The client and a subclass of it ------------------------------------------------------------------------------ */

typedef AqmpClient FuzzClient;
typedef AqmpClientClass FuzzClientClass;
typedef AqmpClient FilteringClient;
typedef AqmpClientClass FilteringClientClass;

static GType fuzz_client_get_type (void);
static GType filtering_client_get_type (void);

G_DEFINE_TYPE (FuzzClient, fuzz_client, AQMP_TYPE_CLIENT)
G_DEFINE_TYPE (FilteringClient, filtering_client, fuzz_client_get_type ())

static void
session_ended (AqmpProtocol *protocol,
               const GError *cause)
{
  if (!(run.options & OPTION_REENTRANT))
    {
      CHECK (aqmp_protocol_get_stream (protocol) == NULL);
      CHECK (aqmp_protocol_get_runstate (protocol) == AQMP_RUNSTATE_DISCONNECTING);
    }
  react ();
}

static void
fuzz_client_finalize (GObject *object)
{
  run.n_alive--;
  G_OBJECT_CLASS (fuzz_client_parent_class)->finalize (object);
}

static void
fuzz_client_class_init (FuzzClientClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fuzz_client_finalize;
  AQMP_PROTOCOL_CLASS (klass)->session_ended = session_ended;
}

static void
fuzz_client_init (FuzzClient *self)
{
  run.n_alive++;
}

static gboolean
contains (GBytes     *message,
          const char *what)
{
  gsize length;
  gconstpointer text = g_bytes_get_data (message, &length);

  return memmem (text, length, what, strlen (what)) != NULL;
}

static GBytes *
filter_inbound (AqmpProtocol  *protocol,
                GBytes        *message,
                GError       **error)
{
  gsize length;
  gconstpointer text = g_bytes_get_data (message, &length);

  react ();
  if (contains (message, "fail-without-error"))
    return NULL;
  if (contains (message, "garble"))
    return g_bytes_new (text, length - 1);
  return g_bytes_new (text, length);
}

static GBytes *
filter_outbound (AqmpProtocol  *protocol,
                 GBytes        *message,
                 GError       **error)
{
  gsize length;
  const char *text = g_bytes_get_data (message, &length);

  react ();
  if (contains (message, "fail-without-error"))
    return NULL;
  if (contains (message, "lose-id"))
    return g_bytes_new_static ("{\"execute\":\"x\"}", strlen ("{\"execute\":\"x\"}"));
  if (contains (message, "as-it-is"))
    return g_bytes_ref (message);
  return g_bytes_new_take (g_strdup_printf ("%.*s ", (int) length, text), length + 1);
}

static void
filtering_client_class_init (FilteringClientClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->filter_inbound = filter_inbound;
  AQMP_PROTOCOL_CLASS (klass)->filter_outbound = filter_outbound;
}

static void
filtering_client_init (FilteringClient *self)
{
}

static void
make_client (void)
{
  gboolean greeted = !(run.options & OPTION_AGENT);
  GType type = run.options & OPTION_FILTERS ? filtering_client_get_type () : fuzz_client_get_type ();

  run.client = g_object_new (type, "await-greeting", greeted, "negotiate", greeted, "call-timeout", 10000, NULL);
  run.runstate = AQMP_RUNSTATE_IDLE;
  g_signal_connect (run.client, "runstate-changed", G_CALLBACK (runstate_changed), NULL);
  g_signal_connect (run.client, "notify", G_CALLBACK (property_changed), NULL);
  if (run.options & OPTION_EVENTS)
    g_signal_connect (run.client, "event", G_CALLBACK (event_received), NULL);
}

/* --- The peer ----------------------------------------------------------------------------------------------------- */

/* A subclass of a socket's stream is not taken for a plain socket. */
typedef GSocketConnection FuzzConnection;
typedef GSocketConnectionClass FuzzConnectionClass;

static GType fuzz_connection_get_type (void);

G_DEFINE_TYPE (FuzzConnection, fuzz_connection, G_TYPE_SOCKET_CONNECTION)

static void
fuzz_connection_class_init (FuzzConnectionClass *klass)
{
}

static void
fuzz_connection_init (FuzzConnection *self)
{
}

static GIOStream *
make_connection (int *peer)
{
  g_autoptr (GSocket) socket = NULL;
  int fds[2];

  CHECK (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  *peer = fds[1];
  if (run.options & OPTION_SLOW_PEER)
    setsockopt (fds[0], SOL_SOCKET, SO_SNDBUF, &(int) { 1 }, sizeof (int));

  socket = g_socket_new_from_fd (fds[0], NULL);
  CHECK (socket != NULL);
  if (run.options & OPTION_POLLABLE)
    return g_object_new (fuzz_connection_get_type (), "socket", socket, NULL);
  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

static void
peer_leave (void)
{
  if (run.peer >= 0)
    close (run.peer);
  run.peer = -1;
}

static void
peer_begin (int peer)
{
  peer_leave ();
  run.peer = peer;
  g_byte_array_set_size (run.received, 0);
  g_ptr_array_set_size (run.ids, 0);
}

static void
peer_send (gconstpointer data,
           gsize         length)
{
  if (run.peer >= 0 && length > 0)
    send (run.peer, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* All that the client sends has to be commands. */
static void
take_commands (void)
{
  static const char * const names[] = { "execute", "exec-oob", "id", NULL };

  for (;;)
    {
      const guint8 *text = run.received->data;
      gsize length = run.received->len;
      gsize space = aqmp_json_skip_space (text, length);
      AqmpJsonScan scan;
      gssize found;

      text += space;
      length -= space;
      if (length == 0)
        return;

      aqmp_json_scan_init (&scan, names);
      found = aqmp_json_scan (&scan, text, length, FALSE, NULL);
      CHECK (found >= 0);
      if (found == 0)
        return;

      CHECK (scan.kind == '{' && !scan.has_duplicate);
      CHECK ((scan.members[0].end > 0) != (scan.members[1].end > 0));
      if (scan.members[2].end > 0)
        g_ptr_array_add (run.ids, g_strndup ((const char *) text + scan.members[2].start,
                                             scan.members[2].end - scan.members[2].start));
      g_byte_array_remove_range (run.received, 0, (guint) (space + found));
    }
}

static void
peer_read (void)
{
  guint8 buffer[4096];
  gssize n_read;

  while (run.peer >= 0 && (n_read = recv (run.peer, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
    {
      g_byte_array_append (run.received, buffer, (guint) n_read);
      take_commands ();
    }
}

static void
peer_answer (guint8 which)
{
  g_autofree char *id = NULL;
  g_autofree char *reply = NULL;

  peer_read ();
  if (run.ids->len == 0)
    return;

  id = g_ptr_array_steal_index (run.ids, which % run.ids->len);
  reply = g_strdup_printf ("{\"return\":{},\"id\":%s}", id);
  peer_send (reply, strlen (reply));
}

/* --- The user ----------------------------------------------------------------------------------------------------- */

static Operation *
begin_operation (Kind kind)
{
  Operation *operation = g_new0 (Operation, 1);

  operation->kind = kind;
  operation->cancellable = g_cancellable_new ();
  if (run.begin_cancelled)
    g_cancellable_cancel (operation->cancellable);
  run.begin_cancelled = FALSE;
  g_ptr_array_add (run.operations, operation);
  return operation;
}

static void
operation_free (gpointer data)
{
  Operation *operation = data;

  g_object_unref (operation->cancellable);
  g_free (operation);
}

static void
cancel (guint8 which)
{
  Operation *operation;

  if (run.operations->len == 0)
    return;

  operation = run.operations->pdata[run.operations->len - 1 - which % run.operations->len];
  g_cancellable_cancel (operation->cancellable);
}

static void
call (const char *command,
      JsonObject *arguments)
{
  Operation *operation = begin_operation (CALL);

  aqmp_client_execute_async (run.client, command, arguments, AQMP_EXECUTE_FLAGS_NONE, operation->cancellable, completed,
                             operation);
}

static void
call_with_timeout (void)
{
  Operation *operation = begin_operation (CALL_FULL);

  aqmp_client_execute_full_async (run.client, "query-status", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, 1000,
                                  operation->cancellable, completed, operation);
}

static void
call_raw (const char *message)
{
  Operation *operation = begin_operation (CALL_RAW);

  aqmp_client_execute_raw_async (run.client, message, NULL, operation->cancellable, completed, operation);
}

/* @how: how many descriptors, and in which form */
static void
call_with_descriptors (guint8 how)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  guint form = how / 4 % 3;
  Operation *operation = begin_operation (form == 0 ? CALL_FULL : CALL_RAW);
  guint i;

  for (i = 0; i < how % 4; i++)
    CHECK (g_unix_fd_list_append (list, 2, NULL) >= 0);

  if (form == 0)
    aqmp_client_execute_full_async (run.client, "getfd", NULL, list, AQMP_EXECUTE_FLAGS_NONE, -1, operation->cancellable,
                                    completed, operation);
  else
    aqmp_client_execute_raw_async (run.client, form == 1 ? "{\"execute\":\"getfd\"}" : "{\"exec-oob\":\"getfd\"}", list,
                                   operation->cancellable, completed, operation);
}

static void
call_with_arguments (const char *json)
{
  g_autoptr (GError) error = NULL;
  JsonObject *arguments = aqmp_arguments_parse (json, &error);

  CHECK ((arguments == NULL) == (error != NULL));
  if (error != NULL)
    CHECK (g_error_matches (error, AQMP_ERROR, AQMP_ERROR_PARSE) ||
           g_error_matches (error, AQMP_ERROR, AQMP_ERROR_UNEXPECTED_TYPE) ||
           g_error_matches (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE));

  call ("qom-get", arguments);
  g_clear_pointer (&arguments, json_object_unref);
}

static void
open_connection (void)
{
  g_autoptr (GIOStream) stream = NULL;
  int peer;
  Operation *operation;

  stream = make_connection (&peer);
  /* Before the call: handlers may already speak to it. */
  if (aqmp_protocol_get_runstate (AQMP_PROTOCOL (run.client)) == AQMP_RUNSTATE_IDLE)
    peer_begin (peer);
  else
    close (peer);

  operation = begin_operation (OPEN);
  aqmp_protocol_open_async (AQMP_PROTOCOL (run.client), stream, operation->cancellable, completed, operation);
}

static void
disconnect (void)
{
  Operation *operation = begin_operation (DISCONNECT);

  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (run.client), operation->cancellable, completed, operation);
}

static void
flush (void)
{
  Operation *operation = begin_operation (FLUSH);

  aqmp_protocol_flush_async (AQMP_PROTOCOL (run.client), operation->cancellable, completed, operation);
}

static void
wait_runstate (void)
{
  Operation *operation = begin_operation (WAIT_RUNSTATE);
  AqmpProtocol *protocol = AQMP_PROTOCOL (run.client);

  aqmp_protocol_wait_runstate_async (protocol, aqmp_protocol_get_runstate (protocol), operation->cancellable, completed,
                                     operation);
}

static void
send_message (void)
{
  g_autoptr (GBytes) message = g_bytes_new_static ("{\"execute\":\"x\"}", strlen ("{\"execute\":\"x\"}"));
  g_autoptr (GError) error = NULL;

  if (!aqmp_protocol_send_message (AQMP_PROTOCOL (run.client), message, &error))
    CHECK (g_error_matches (error, AQMP_ERROR, AQMP_ERROR_STATE));
}

static void
fail (void)
{
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "The input says so");

  aqmp_protocol_fail (AQMP_PROTOCOL (run.client), error);
}

/* Nothing may begin inside it: GObject goes on to disconnect and forget everybody afterwards. */
static void
dispose (void)
{
  guint options = run.options;

  run.options &= ~(guint) OPTION_REENTRANT;
  g_object_run_dispose (G_OBJECT (run.client));
  run.options = options;
  run.runstate = AQMP_RUNSTATE_IDLE;
}

/* --- The input ---------------------------------------------------------------------------------------------------- */

static guint8
next_byte (void)
{
  return run.next < run.end ? *run.next++ : '\0';
}

static guint8
next_digit (void)
{
  return (guint8) (next_byte () - '0');
}

/* (transfer full) */
static char *
next_line (void)
{
  const guint8 *start = run.next;

  while (run.next < run.end && *run.next != '\n')
    run.next++;
  return g_strndup ((const char *) start, (gsize) (run.next++ - start));
}

/* What the user does. Without a client, nothing. */
static void
let_user (guint8 what)
{
  g_autofree char *line = what == 'a' || what == 'n' || what == 'r' ? next_line () : NULL;
  g_autoptr (AqmpClient) kept = run.client != NULL ? g_object_ref (run.client) : NULL;

  if (run.next > run.end)
    run.next = run.end;
  if (kept == NULL)
    return;

  switch (what)
    {
    case 'e':
      call ("query-status", NULL);
      break;
    case 'n':
      call (line, NULL);
      break;
    case 'a':
      call_with_arguments (line);
      break;
    case 'r':
      call_raw (line);
      break;
    case 'q':
      call ("quit", NULL);
      break;
    case 't':
      call_with_timeout ();
      break;
    case 'F':
      call_with_descriptors (next_digit ());
      break;
    case 'o':
      open_connection ();
      break;
    case 'd':
      disconnect ();
      break;
    case 'f':
      flush ();
      break;
    case 'w':
      wait_runstate ();
      break;
    case 's':
      send_message ();
      break;
    case 'x':
      fail ();
      break;
    case 'X':
      aqmp_protocol_fail (AQMP_PROTOCOL (run.client), NULL);
      break;
    case 'u':
      g_clear_object (&run.client);
      break;
    case 'U':
      dispose ();
      break;
    case 'z':
      aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (run.client), 0);
      break;
    default:
      break;
    }
}

/* After '@'. */
static void
let_happen (guint8 what)
{
  switch (what)
    {
    case '1':
      iterate (1);
      break;
    case 'i':
      iterate (10);
      break;
    case 'S':
      settle ();
      break;
    case 'T':
      run.now += 6 * G_USEC_PER_SEC;
      break;
    case 'k':
      run.begin_cancelled = TRUE;
      break;
    case 'c':
      cancel (next_digit ());
      break;
    case 'N':
      if (run.client == NULL)
        make_client ();
      break;
    case 'G':
      peer_send (GREETING, strlen (GREETING));
      break;
    case 'p':
      peer_answer (next_digit ());
      break;
    case 'R':
      peer_read ();
      break;
    case 'h':
      if (run.peer >= 0)
        shutdown (run.peer, SHUT_WR);
      break;
    case 'H':
      peer_leave ();
      break;
    default:
      let_user (what);
      break;
    }
}

/* FALSE: there are no more. */
static gboolean
do_step (void)
{
  guint8 what = '\0';

  if (run.next == run.end || run.n_steps++ >= MAX_STEPS)
    return FALSE;

  g_byte_array_set_size (run.chunk, 0);
  while (run.next < run.end && what == '\0')
    {
      guint8 byte = *run.next++;

      if (byte == '@' && (what = next_byte ()) != '@')
        break;
      what = '\0';
      g_byte_array_append (run.chunk, &byte, 1);
    }

  peer_send (run.chunk->data, run.chunk->len);
  let_happen (what);
  return TRUE;
}

/* --- A run -------------------------------------------------------------------------------------------------------- */

/* Up to RUNNING, or, if the input is to do that, until the connection is there. */
static void
begin (void)
{
  guint options = run.options;

  run.options &= ~(guint) OPTION_REENTRANT;
  make_client ();
  open_connection ();

  if (!(options & (OPTION_NO_GREETING | OPTION_AGENT)))
    {
      peer_send (GREETING, strlen (GREETING));
      settle ();
      peer_answer (0);
      settle ();
      CHECK (run.runstate == AQMP_RUNSTATE_RUNNING);
    }

  if (options & OPTION_SMALL)
    aqmp_protocol_set_max_message_size (AQMP_PROTOCOL (run.client), 64);
  run.options = options;
}

static void
check_idle (AqmpProtocol *protocol)
{
  CHECK (aqmp_protocol_get_runstate (protocol) == AQMP_RUNSTATE_IDLE);
  CHECK (run.runstate == AQMP_RUNSTATE_IDLE);
  CHECK (aqmp_protocol_get_error (protocol) == NULL);
  CHECK (aqmp_protocol_get_stream (protocol) == NULL);
  CHECK (aqmp_protocol_get_queued_bytes (protocol) == 0);
}

static void
check_completed (gboolean also_waits)
{
  guint i;

  for (i = 0; i < run.operations->len; i++)
    {
      Operation *operation = run.operations->pdata[i];

      CHECK (operation->n_completions == 1 || (operation->kind == WAIT_RUNSTATE && !also_waits));
    }
}

static void
finish (void)
{
  guint i;

  run.finishing = TRUE;
  run.begin_cancelled = FALSE;

  if (run.client != NULL)
    disconnect ();
  settle ();
  /* Longer than any timeout. */
  run.now += 100 * G_USEC_PER_SEC;
  settle ();
  if (run.client != NULL)
    check_idle (AQMP_PROTOCOL (run.client));

  peer_read ();
  peer_leave ();
  settle ();
  check_completed (FALSE);

  for (i = 0; i < run.operations->len; i++)
    g_cancellable_cancel (((Operation *) run.operations->pdata[i])->cancellable);
  settle ();
  check_completed (TRUE);

  g_clear_object (&run.client);
  settle ();
  CHECK (run.n_alive == 0);
}

static void
run_input (const guint8 *data,
           gsize         size)
{
  run = (Run) {
    .next = data,
    .end = data + size,
    .peer = -1,
    .now = G_USEC_PER_SEC,
    .context = g_main_context_new (),
    .chunk = g_byte_array_new (),
    .received = g_byte_array_new (),
    .operations = g_ptr_array_new_with_free_func (operation_free),
    .ids = g_ptr_array_new_with_free_func (g_free),
  };
  run.options = next_digit ();
  g_main_context_push_thread_default (run.context);

  begin ();
  while (do_step ())
    ;
  finish ();

  g_main_context_pop_thread_default (run.context);
  g_main_context_unref (run.context);
  g_byte_array_unref (run.chunk);
  g_byte_array_unref (run.received);
  g_ptr_array_unref (run.operations);
  g_ptr_array_unref (run.ids);
}

static guint
count_fds (void)
{
  guint n_open = 0;
  int fd;

  for (fd = 0; fd < HIGHEST_FD; fd++)
    n_open += fcntl (fd, F_GETFD) >= 0;
  return n_open;
}

/* Nothing that a peer or a user does may lead to a warning. */
static GLogWriterOutput
check_log (GLogLevelFlags   level,
           const GLogField *fields,
           gsize            n_fields,
           gpointer         user_data)
{
  if ((level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)) == 0)
    return G_LOG_WRITER_HANDLED;

  g_log_writer_standard_streams (level, fields, n_fields, NULL);
  fflush (NULL);
  __builtin_trap ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data,
                        size_t         size)
{
  static gboolean initialized = FALSE;
  guint n_fds;

  if (!initialized)
    {
      initialized = TRUE;
      g_log_set_writer_func (check_log, NULL, NULL);
      /* What GIO opens once and keeps. */
      run_input ((const guint8 *) "0@e@d", 5);
    }

  n_fds = count_fds ();
  run_input (data, size);
  CHECK (count_fds () == n_fds);
  return 0;
}
