/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3, S7, S10: what a blocking call does for the session besides its own command; and how each of them ends when nobody helps. */

#include "echo-peer.h"
#include "sync-util.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a peer that only does what the test does -------------------------------------------------------------------- */

/* @fd: (out): its end; reading from it ends in time */
static GIOStream *
new_stream (int *fd)
{
  const struct timeval bound = { .tv_sec = test_bound_us () / G_USEC_PER_SEC };
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  *fd = fds[1];
  g_assert_no_errno (setsockopt (*fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound));
  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

/* Whatever comes before it. */
static void
expect_eof (int fd)
{
  char buffer[16384];
  gssize length;

  do
    length = recv (fd, buffer, sizeof buffer, 0);
  while (length > 0);
  g_assert_no_errno (length);
}

static void
send_event (int         fd,
            const char *name)
{
  g_autofree char *event = g_strdup_printf ("{\"event\": \"%s\"}\n", name);

  g_assert_cmpint (send (fd, event, strlen (event), MSG_NOSIGNAL), ==, strlen (event));
}

static AqmpClient *
open_obedient (GIOStream *stream)
{
  AqmpClient *client = sync_client_new ();
  g_autoptr (GError) error = NULL;

  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  aqmp_protocol_open_sync (AQMP_PROTOCOL (client), stream, NULL, &error);
  g_assert_no_error (error);
  return client;
}

static void
expect_state (AqmpClient   *client,
              AqmpRunstate  runstate)
{
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, runstate);
}

/* A session of its own works, and nothing else keeps the object alive. */
static void
end_client (AqmpClient *client)
{
  g_autoptr (GIOStream) stream = NULL;
  EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  aqmp_protocol_open_sync (AQMP_PROTOCOL (client), stream, NULL, &error);
  g_assert_no_error (error);
  result = sync_call (SYNC_EXECUTE, client, "t", NULL, &error);
  g_assert_no_error (error);
  g_clear_object (&stream);
  sync_client_close (client);
  echo_peer_free (peer);
}

/* ---- a virtual function disconnects ------------------------------------------------------------------------------ */

static void
disconnect_from_here (AqmpClient *client,
                      gpointer    slot)
{
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, slot);
}

static gboolean
finish_disconnect (AqmpClient  *client,
                   TestSlot    *slot,
                   GError     **error)
{
  g_autoptr (GAsyncResult) result = test_await (slot);

  return aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, error);
}

static void
expect_interrupted (AqmpClient *client,
                    SyncForm    form)
{
  g_autoptr (GError) error = NULL;
  SyncTrap trap;

  sync_trap_set (&trap);
  g_assert_null (sync_call (form, client, "silent", NULL, &error));
  sync_trap_check (&trap);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

/* @flush_timeout_ms: nothing has to be flushed, so it does not matter */
static void
check_disconnect_in_vfunc (SyncVfunc vfunc,
                           guint     flush_timeout_ms,
                           SyncForm  form)
{
  int fd;
  g_autoptr (GIOStream) stream = new_stream (&fd);
  AqmpClient *client = open_obedient (stream);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  g_clear_object (&stream);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), flush_timeout_ms);
  sync_client_once (client, vfunc, "GO", disconnect_from_here, &slot);
  send_event (fd, "GO");
  expect_interrupted (client, form);
  g_assert_false (test_slot_is_done (&slot));
  expect_state (client, AQMP_RUNSTATE_IDLE);
  expect_eof (fd);

  /* There is nothing to be disconnected any more. */
  g_assert_true (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_no_error (error);
  g_assert_true (finish_disconnect (client, &slot, &error));
  g_assert_no_error (error);
  close (fd);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 5000);
  end_client (client);
}

static void
test_disconnect_in_message_received (gconstpointer form)
{
  check_disconnect_in_vfunc (SYNC_IN_MESSAGE_RECEIVED, 0, GPOINTER_TO_INT (form));
  check_disconnect_in_vfunc (SYNC_IN_MESSAGE_RECEIVED, 50, GPOINTER_TO_INT (form));
}

static void
test_disconnect_in_filter_inbound (gconstpointer form)
{
  check_disconnect_in_vfunc (SYNC_IN_FILTER_INBOUND, 0, GPOINTER_TO_INT (form));
}

/* Much more is queued than a socket takes. The peer does not read: only the flush timeout ends it, and the loop is not run. */
static void
test_disconnect_with_full_socket (gconstpointer data)
{
  guint flush_timeout_ms = GPOINTER_TO_UINT (data);
  int fd;
  g_autoptr (GIOStream) stream = new_stream (&fd);
  AqmpClient *client = open_obedient (stream);
  g_autofree char *big = g_strnfill (4 * 1000 * 1000, 'x');
  g_autoptr (JsonObject) arguments = json_object_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) big_slot = TEST_SLOT_INIT;
  g_autofree char *reply = NULL;
  g_autoptr (GError) error = NULL;

  g_clear_object (&stream);
  json_object_set_string_member (arguments, "big", big);
  aqmp_client_execute_async (client, "big", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback, &big_slot);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), flush_timeout_ms);
  sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, "GO", disconnect_from_here, &slot);
  send_event (fd, "GO");
  expect_interrupted (client, SYNC_EXECUTE);
  g_assert_true (sync_client_has_done (client, SYNC_IN_MESSAGE_RECEIVED));
  expect_state (client, AQMP_RUNSTATE_IDLE);
  g_assert_true (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_no_error (error);

  /* 0: nobody wants it flushed, so that is no failure. */
  g_assert_cmpint (finish_disconnect (client, &slot, &error), ==, flush_timeout_ms == 0);
  if (flush_timeout_ms > 0)
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  reply = test_finish (&big_slot, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  close (fd);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (client), 5000);
  end_client (client);
}

/* ---- a virtual function runs the loop ---------------------------------------------------------------------------- */

/* Never ready, wakes nobody up: it sees that the loop is about to wait. */
typedef struct
{
  GSource source;
  gint   *waiting;  /* atomic */
} Sentinel;

static gboolean
sentinel_prepare (GSource *source,
                  int     *timeout)
{
  *timeout = -1;
  g_atomic_int_set (((Sentinel *) source)->waiting, TRUE);
  return FALSE;
}

static GSourceFuncs sentinel_funcs = { .prepare = sentinel_prepare };

typedef struct
{
  AqmpClient *client;
  GThread    *thread;
  gint        waiting;  /* atomic */
  guint       delay_us;
  GError     *error;    /* (owned) (nullable) */
} Inner;

static gpointer
call_from_thread (gpointer data)
{
  Inner *inner = data;
  g_autoptr (JsonNode) node = NULL;
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (!g_atomic_int_get (&inner->waiting) && g_get_monotonic_time () < deadline)
    g_thread_yield ();
  /* With luck it does wait by now; there is no way to know. */
  g_usleep (inner->delay_us);
  node = aqmp_client_execute_sync (inner->client, "other", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, &inner->error);
  g_assert_true (node != NULL || inner->error != NULL);
  return NULL;
}

static void
nothing (AqmpClient *client,
         gpointer    data)
{
}

/* Until the answer to the other thread has come by, in this one. */
static void
run_loop_for_other (AqmpClient *client,
                    gpointer    data)
{
  Inner *inner = data;
  GSource *source = g_source_new (&sentinel_funcs, sizeof (Sentinel));

  ((Sentinel *) source)->waiting = &inner->waiting;
  g_source_attach (source, NULL);
  sync_client_once (client, SYNC_IN_FILTER_INBOUND, "other", nothing, NULL);
  inner->thread = g_thread_new ("other", call_from_thread, inner);
  test_wait_until (sync_client_has_done (client, SYNC_IN_FILTER_INBOUND));
  g_source_destroy (source);
  g_source_unref (source);
}

static void
test_loop_in_vfunc_serves_others (void)
{
  guint i;

  for (i = 0; i < 10; i++)
    {
      g_autoptr (GIOStream) stream = NULL;
      EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);
      AqmpClient *client = open_obedient (stream);
      Inner inner = { .client = client, .delay_us = 300 * i };
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      g_clear_object (&stream);
      sync_client_once (client, SYNC_IN_MESSAGE_RECEIVED, "trigger", run_loop_for_other, &inner);
      result = sync_call (i % 2 == 0 ? SYNC_EXECUTE : SYNC_EXECUTE_FULL, client, "trigger", NULL, &error);
      g_assert_no_error (error);
      g_assert_nonnull (result);
      g_thread_join (inner.thread);
      g_assert_no_error (inner.error);
      sync_client_close (client);
      echo_peer_free (peer);
    }
}

/* ---- the end without a loop -------------------------------------------------------------------------------------- */

/* What cannot be polled, although it reads a descriptor: then GIO reads in a thread of its own, and cancelling ends that there. */
static GIOStream *
new_buffered_stream (int *fd)
{
  g_autoptr (GIOStream) base = new_stream (fd);
  int base_fd = g_socket_get_fd (g_socket_connection_get_socket (G_SOCKET_CONNECTION (base)));
  g_autoptr (GInputStream) raw_input = g_unix_input_stream_new (dup (base_fd), TRUE);
  g_autoptr (GOutputStream) raw_output = g_unix_output_stream_new (dup (base_fd), TRUE);
  g_autoptr (GInputStream) input = g_buffered_input_stream_new (raw_input);
  g_autoptr (GOutputStream) output = G_OUTPUT_STREAM (g_data_output_stream_new (raw_output));

  return g_simple_io_stream_new (input, output);
}

static AqmpClient *
open_buffered (int *fd)
{
  g_autoptr (GIOStream) stream = new_buffered_stream (fd);

  return open_obedient (stream);
}

static void
test_disconnect_unpollable_without_loop (void)
{
  guint i;

  for (i = 0; i < 20; i++)
    {
      int fd;
      AqmpClient *client = open_buffered (&fd);
      g_autoptr (GError) error = NULL;

      /* So that it is being read from. */
      if (i % 2 == 0)
        {
          g_assert_null (aqmp_client_execute_full_sync (client, "silent", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, 1, NULL,
                                                        &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
          g_clear_error (&error);
        }
      aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
      g_assert_no_error (error);
      expect_state (client, AQMP_RUNSTATE_IDLE);
      expect_eof (fd);
      close (fd);
      end_client (client);
    }
}

/* ---- giving up --------------------------------------------------------------------------------------------------- */

typedef gboolean (*Begin) (AqmpProtocol  *protocol,
                           gpointer       where,
                           GCancellable  *cancellable,
                           GError       **error);

static gboolean
begin_open (AqmpProtocol  *protocol,
            gpointer       stream,
            GCancellable  *cancellable,
            GError       **error)
{
  return aqmp_protocol_open_sync (protocol, stream, cancellable, error);
}

static gboolean
begin_server (AqmpProtocol  *protocol,
              gpointer       address,
              GCancellable  *cancellable,
              GError       **error)
{
  return aqmp_protocol_start_server_and_accept_sync (protocol, address, cancellable, error);
}

static void
expect_cancelled (AqmpClient   *client,
                  Begin         begin,
                  gpointer      where,
                  GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;
  SyncTrap trap;

  sync_trap_set (&trap);
  g_assert_false (begin (AQMP_PROTOCOL (client), where, cancellable, &error));
  sync_trap_check (&trap);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  expect_state (client, AQMP_RUNSTATE_IDLE);
}

static void
test_open_cancelled_before (void)
{
  int fd;
  g_autoptr (GIOStream) stream = new_stream (&fd);
  AqmpClient *client = sync_client_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  g_cancellable_cancel (cancellable);
  expect_cancelled (client, begin_open, stream, cancellable);
  g_assert_false (sync_client_has_done (client, SYNC_IN_ESTABLISH_SESSION));
  g_clear_object (&stream);
  expect_eof (fd);
  close (fd);
  end_client (client);
}

/* The peer never greets. */
static void
test_open_cancelled (void)
{
  int fd;
  g_autoptr (GIOStream) stream = new_stream (&fd);
  AqmpClient *client = sync_client_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SyncCanceller canceller = { .cancellable = cancellable };
  GThread *thread = sync_canceller_start (&canceller);

  sync_client_once (client, SYNC_IN_ESTABLISH_SESSION, NULL, sync_canceller_tell, &canceller);
  expect_cancelled (client, begin_open, stream, cancellable);
  g_assert_true (sync_client_has_done (client, SYNC_IN_ESTABLISH_SESSION));
  g_thread_join (thread);
  g_clear_object (&stream);
  expect_eof (fd);
  close (fd);
  end_client (client);
}

typedef struct
{
  TestTmpDir     *dir;      /* (owned) */
  GSocketAddress *address;  /* (owned) */
  GSocketConnection *peer;  /* (owned) (nullable) */
} Place;

static void
place_init (Place *place)
{
  g_autofree char *path = NULL;

  place->dir = test_tmp_dir_new ();
  path = test_tmp_dir_build (place->dir, "s");
  place->address = g_unix_socket_address_new (path);
  place->peer = NULL;
}

/* Nothing is left of a server that was given up. */
static void
place_clear (Place *place)
{
  const char *path = g_unix_socket_address_get_path (G_UNIX_SOCKET_ADDRESS (place->address));

  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_clear_object (&place->peer);
  g_object_unref (place->address);
  test_tmp_dir_free (place->dir);
}

static void
test_server_cancelled_before (void)
{
  AqmpClient *client = sync_client_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Place place;

  place_init (&place);
  g_cancellable_cancel (cancellable);
  expect_cancelled (client, begin_server, place.address, cancellable);
  g_assert_null (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client)));
  place_clear (&place);
  end_client (client);
}

static void
on_listening (AqmpClient    *client,
              GParamSpec    *property,
              SyncCanceller *canceller)
{
  if (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client)) != NULL)
    sync_canceller_tell (client, canceller);
}

static void
connect_to_place (AqmpClient *client,
                  GParamSpec *property,
                  Place      *place)
{
  g_autoptr (GSocketClient) socket_client = g_socket_client_new ();

  if (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client)) != NULL)
    {
      place->peer = g_socket_client_connect (socket_client, G_SOCKET_CONNECTABLE (place->address), NULL, NULL);
      g_assert_nonnull (place->peer);
    }
}

/* Nobody comes; or somebody does, and never greets. */
static void
check_server_cancelled (gboolean with_peer)
{
  AqmpClient *client = sync_client_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SyncCanceller canceller = { .cancellable = cancellable };
  GThread *thread = sync_canceller_start (&canceller);
  Place place;

  place_init (&place);
  if (with_peer)
    {
      g_signal_connect (client, "notify::listen-address", G_CALLBACK (connect_to_place), &place);
      sync_client_once (client, SYNC_IN_ESTABLISH_SESSION, NULL, sync_canceller_tell, &canceller);
    }
  else
    g_signal_connect (client, "notify::listen-address", G_CALLBACK (on_listening), &canceller);
  expect_cancelled (client, begin_server, place.address, cancellable);
  g_thread_join (thread);
  g_signal_handlers_disconnect_by_data (client, with_peer ? (gpointer) &place : &canceller);
  place_clear (&place);
  end_client (client);
}

static void
test_server_cancelled (void)
{
  check_server_cancelled (FALSE);
}

static void
test_server_cancelled_with_peer (void)
{
  check_server_cancelled (TRUE);
}

/* Counted from when a peer is there, which never greets. */
static void
test_server_timeout (void)
{
  AqmpClient *client = sync_client_new ();
  g_autoptr (GError) error = NULL;
  Place place;
  SyncTrap trap;

  place_init (&place);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 5);
  g_signal_connect (client, "notify::listen-address", G_CALLBACK (connect_to_place), &place);
  sync_trap_set (&trap);
  g_assert_false (begin_server (AQMP_PROTOCOL (client), place.address, NULL, &error));
  sync_trap_check (&trap);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "5 ms");
  expect_state (client, AQMP_RUNSTATE_IDLE);
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  g_signal_handlers_disconnect_by_data (client, &place);
  place_clear (&place);
  end_client (client);
}

static void
test_accept_cancelled_before (void)
{
  AqmpClient *client = sync_client_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Place place;

  place_init (&place);
  g_assert_true (aqmp_protocol_start_server (AQMP_PROTOCOL (client), place.address, NULL, &error));
  g_cancellable_cancel (cancellable);
  g_assert_false (aqmp_protocol_accept_sync (AQMP_PROTOCOL (client), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  expect_state (client, AQMP_RUNSTATE_IDLE);
  place_clear (&place);
  end_client (client);
}

static void
test_running_cancelled_before (void)
{
  int fd;
  g_autoptr (GIOStream) stream = new_stream (&fd);
  AqmpClient *client = open_obedient (stream);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  SyncForm form;

  g_clear_object (&stream);
  g_cancellable_cancel (cancellable);
  for (form = 0; form < SYNC_N_FORMS; form++)
    {
      g_assert_null (sync_call (form, client, "t", cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&error);
    }
  g_assert_false (aqmp_protocol_flush_sync (AQMP_PROTOCOL (client), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  expect_state (client, AQMP_RUNSTATE_RUNNING);

  /* That ends the wait only. */
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_true (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_no_error (error);
  expect_state (client, AQMP_RUNSTATE_IDLE);
  expect_eof (fd);
  close (fd);
  end_client (client);
}

/* ---- the owner is gone ------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpClient   *client;
  GMainContext *context;
  EchoPeer     *peer;
} Orphan;

static gpointer
own_and_end (gpointer data)
{
  Orphan *orphan = data;

  g_main_context_push_thread_default (orphan->context);
  orphan->client = echo_peer_open (&orphan->peer, ECHO_PEER_SILENT_AT_FIRST);
  g_main_context_pop_thread_default (orphan->context);
  return NULL;
}

typedef gboolean (*OrphanCall) (AqmpClient   *client,
                                GCancellable *cancellable,
                                GError      **error);

static gboolean
call_orphan (AqmpClient   *client,
             GCancellable *cancellable,
             GError      **error)
{
  g_autofree char *result = sync_call (SYNC_EXECUTE, client, "t", cancellable, error);

  return result != NULL;
}

static gboolean
call_orphan_raw (AqmpClient   *client,
                 GCancellable *cancellable,
                 GError      **error)
{
  g_autofree char *result = sync_call (SYNC_EXECUTE_RAW, client, "t", cancellable, error);

  return result != NULL;
}

static gboolean
flush_orphan (AqmpClient   *client,
              GCancellable *cancellable,
              GError      **error)
{
  return aqmp_protocol_flush_sync (AQMP_PROTOCOL (client), cancellable, error);
}

static gboolean
disconnect_orphan (AqmpClient   *client,
                   GCancellable *cancellable,
                   GError      **error)
{
  return aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), cancellable, error);
}

/* Nobody will ever do what the owner has to: the calls end with what was given to end them. @own_context: else nobody runs the
   default one, which the thread has left behind */
static void
test_owner_has_ended (gconstpointer own_context)
{
  static const OrphanCall calls[] = { call_orphan, call_orphan_raw, flush_orphan, disconnect_orphan };
  Orphan orphan = { .context = own_context ? g_main_context_new () : g_main_context_ref (g_main_context_default ()) };
  g_autoptr (GError) error = NULL;
  guint i;

  g_thread_join (g_thread_new ("owner", own_and_end, &orphan));
  for (i = 0; i < 3; i++)
    {
      g_assert_null (aqmp_client_execute_full_sync (orphan.client, "t", NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, 1, NULL, &error));
      test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "1 ms");
      g_clear_error (&error);
    }
  for (i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      SyncCanceller canceller = { .cancellable = cancellable };
      GThread *thread = sync_canceller_start (&canceller);

      sync_canceller_tell (orphan.client, &canceller);
      g_assert_false (calls[i] (orphan.client, cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&error);
      g_thread_join (thread);
    }
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (orphan.client)), ==, 0);
  expect_state (orphan.client, AQMP_RUNSTATE_RUNNING);

  /* Whoever runs its context is the owner: then what was asked for happens. */
  g_main_context_push_thread_default (orphan.context);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (orphan.client)) == AQMP_RUNSTATE_IDLE);
  echo_peer_free (orphan.peer);
  end_client (orphan.client);
  g_main_context_pop_thread_default (orphan.context);
  g_main_context_unref (orphan.context);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  sync_add_for_forms ("/client/S7/", "/disconnect-in-message-received", test_disconnect_in_message_received);
  sync_add_for_forms ("/client/S7/", "/disconnect-in-filter-inbound", test_disconnect_in_filter_inbound);
  g_test_add_data_func ("/client/S7/disconnect-in-message-received-with-full-socket", GUINT_TO_POINTER (50),
                        test_disconnect_with_full_socket);
  g_test_add_data_func ("/client/S7/disconnect-in-message-received-with-full-socket-at-once", GUINT_TO_POINTER (0),
                        test_disconnect_with_full_socket);
  g_test_add_func ("/client/T3/loop-in-message-received-serves-others", test_loop_in_vfunc_serves_others);

  g_test_add_func ("/client/S5/unpollable-stream-is-closed-without-loop", test_disconnect_unpollable_without_loop);

  g_test_add_func ("/client/T3/open-sync/cancelled-before", test_open_cancelled_before);
  g_test_add_func ("/client/T3/open-sync/cancelled-from-other-thread", test_open_cancelled);
  g_test_add_func ("/client/T3/start-server-and-accept-sync/cancelled-before", test_server_cancelled_before);
  g_test_add_func ("/client/T3/start-server-and-accept-sync/cancelled-while-listening", test_server_cancelled);
  g_test_add_func ("/client/T3/start-server-and-accept-sync/cancelled-with-peer", test_server_cancelled_with_peer);
  g_test_add_func ("/client/T3/start-server-and-accept-sync/timeout", test_server_timeout);
  g_test_add_func ("/client/T3/accept-sync/cancelled-before", test_accept_cancelled_before);
  g_test_add_func ("/client/T3/running/cancelled-before", test_running_cancelled_before);

  g_test_add_data_func ("/client/T3/owner-has-ended/own-context", GINT_TO_POINTER (TRUE), test_owner_has_ended);
  g_test_add_data_func ("/client/T3/owner-has-ended/default-context", GINT_TO_POINTER (FALSE), test_owner_has_ended);

  return g_test_run ();
}
