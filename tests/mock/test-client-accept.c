/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A client that the server connects to: S8, S9, and Q2, Q3 and the rest of a session once more from that side. */

#include "client-util.h"
#include "listen-util.h"

#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static AqmpRunstate
get_state (AqmpClient *client)
{
  return aqmp_protocol_get_runstate (AQMP_PROTOCOL (client));
}

/* The client listens, and the mock connects as soon as it has something to do. */
static MockServer *
listen_for_mock (Site       *site,
                 AqmpClient *client)
{
  site_listen (site, client);
  return mock_new_connecting (site->bound);
}

static void
accept_session (AqmpClient *client)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  start_accept (client, NULL, &slot);
  finish_accept (client, &slot, &error);
  g_assert_no_error (error);
  g_assert_cmpint (get_state (client), ==, AQMP_RUNSTATE_RUNNING);
}

static void
accept_in_vain (AqmpClient  *client,
                GError     **error)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  start_accept (client, NULL, &slot);
  g_assert_false (finish_accept (client, &slot, error));
  g_assert_cmpint (get_state (client), ==, AQMP_RUNSTATE_IDLE);
  g_assert_null (aqmp_protocol_get_error (AQMP_PROTOCOL (client)));
}

/* Listens and accepts once more, for the whole of a session. */
static void
check_usable (Site       *site,
              AqmpClient *client)
{
  MockServer *mock = listen_for_mock (site, client);
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_OOB);
  accept_session (client);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_disconnect (client, &error);
  g_assert_no_error (error);
  mock_finish (mock);
}

/* ---- a session ---------------------------------------------------------------------------------------------------- */

static void
test_session (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_autoptr (MockServer) mock = NULL;
  g_autoptr (GString) names = g_string_new (NULL);
  g_autofree char *result = NULL;
  g_autofree char *raw = NULL;
  const char *version;
  AqmpClient *client = aqmp_client_new ("accepts");
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "event", G_CALLBACK (test_note_event), names);
  mock = listen_for_mock (&site, client);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  accept_session (client);
  site_expect_free (&site);
  g_assert_true (aqmp_client_get_oob_enabled (client));
  version = aqmp_greeting_get_version_string (aqmp_client_get_greeting (client));
  g_assert_true (g_str_has_prefix (version, "7.2.0"));

  test_ping (client, mock);
  mock_expect (mock, "{'execute': 'stop'}");
  mock_event (mock, "STOP", NULL);
  mock_return (mock, "{}");
  result = test_execute (client, "stop", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result, ==, "{}");
  test_wait_until (names->len > 0);
  g_assert_cmpstr (names->str, ==, "STOP ");

  mock_expect (mock, "{'execute': 'bad', 'id': 3}");
  mock_error (mock, "DeviceNotFound", "no such thing");
  raw = test_execute_raw (client, "{\"execute\": \"bad\", \"id\": 3}", &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (raw, "no such thing"));

  mock_expect_eof (mock);
  test_client_close (client);
}

/* A byte at a time is as good. */
static void
test_session_in_pieces (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);

  mock = listen_for_mock (&site, client);
  mock_send_split (mock, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, "
                   "\"capabilities\": []}}\r\n", 1, 0);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_send_split (mock, "{\"return\":\r\n {}, \"id\": @ID@}", 1, 0);
  accept_session (client);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

static void
test_neither_greeting_nor_negotiation (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);

  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_client_set_negotiate (client, FALSE);
  mock = listen_for_mock (&site, client);
  mock_expect (mock, "{'execute': 'ping', 'arguments': {'b': 1}}");
  accept_session (client);
  g_assert_null (aqmp_client_get_greeting (client));
  mock_return (mock, "{'pong': true}");
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *result = test_execute (client, "ping", "{\"b\": 1}", &error);

      g_assert_no_error (error);
      g_assert_cmpstr (result, ==, "{\"pong\":true}");
    }
  mock_expect_eof (mock);
  test_client_close (client);
}

/* One is served, the other is closed and counted; the one does not notice. */
static void
test_extra_peer (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_autoptr (TestLog) log = test_log_start ();
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  char byte;
  guint gate;
  int extra;

  mock = listen_for_mock (&site, client);
  mock_greet (mock, MOCK_GREETING_OOB);
  gate = mock_mark (mock);
  mock_block_reached (mock, gate);
  extra = site_dial (&site);

  mock_expect (mock, "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}");
  mock_return (mock, "{}");
  accept_session (client);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_INFO, "aqmp", "1 more peers"), ==, 1);
  g_assert_cmpint (recv (extra, &byte, 1, 0), ==, 0);
  close (extra);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_MASK & ~(G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG), NULL, NULL), ==, 0);
}

/* As a QEMU does that was told to: it connects again each time. */
static void
test_session_after_session (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autofree char *first_id = NULL;
  guint i;

  for (i = 0; i < 5; i++)
    {
      MockServer *mock = listen_for_mock (&site, client);
      g_autofree char *request = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_null (aqmp_client_get_greeting (client));
      mock_negotiate (mock, i % 2 == 0 ? MOCK_GREETING_OOB : MOCK_GREETING_PLAIN);
      accept_session (client);
      g_assert_cmpint (aqmp_client_get_oob_enabled (client), ==, i % 2 == 0);
      test_ping (client, mock);
      request = mock_dup_request (mock, 1);
      /* Ids are never used again. */
      g_assert_cmpstr (request, !=, first_id);
      if (first_id == NULL)
        first_id = g_steal_pointer (&request);

      if (i == 3)
        {
          /* It dies. */
          mock_close (mock);
          test_wait_failed (client);
          g_assert_false (test_disconnect (client, &error));
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
        }
      else
        {
          mock_expect_eof (mock);
          test_disconnect (client, &error);
          g_assert_no_error (error);
        }
      g_assert_nonnull (aqmp_client_get_greeting (client));
      mock_finish (mock);
    }
  g_object_unref (client);
}

/* EOF after quit was answered is a clean end here too. */
static void
test_quit (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  mock = listen_for_mock (&site, client);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  accept_session (client);
  mock_expect (mock, "{'execute': 'quit'}");
  mock_return (mock, "{}");
  mock_close (mock);
  result = test_execute (client, "quit", NULL, &error);
  g_assert_no_error (error);
  test_wait_failed (client);
  test_client_close (client);
}

/* Nothing of an earlier session reaches the next. */
static void
test_queue_of_an_earlier_session (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  AqmpClient *client = aqmp_client_new (NULL);
  MockServer *mock;
  g_autoptr (GError) error = NULL;
  gsize i;

  mock = listen_for_mock (&site, client);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  accept_session (client);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    test_start (client, "never-again", NULL, &slots[i]);
  aqmp_protocol_fail (AQMP_PROTOCOL (client), NULL);
  for (i = 0; i < G_N_ELEMENTS (slots); i++)
    {
      g_autofree char *result = test_finish (&slots[i], &error);

      g_assert_null (result);
      g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
      g_clear_error (&error);
      test_slot_clear (&slots[i]);
    }
  g_assert_false (test_disconnect (client, NULL));
  mock_abandon (mock);

  check_usable (&site, client);
  test_client_close (client);
}

/* Descriptors go over what was accepted as over any other. */
static void
test_descriptors (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (MockServer) mock = NULL;
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_autofree char *result = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  gboolean possible = kind == SITE_PATH || kind == SITE_ABSTRACT;
  g_autoptr (GError) error = NULL;

  g_unix_fd_list_append (list, STDERR_FILENO, &error);
  g_assert_no_error (error);
  mock = listen_for_mock (&site, client);
  mock_negotiate (mock, MOCK_GREETING_OOB);
  if (possible)
    {
      mock_expect_with_fds (mock, "{'execute': 'getfd'}", 1);
      mock_return (mock, "{}");
    }
  accept_session (client);
  aqmp_client_execute_full_async (client, "getfd", NULL, list, AQMP_EXECUTE_FLAGS_NONE, -1, NULL, test_slot_callback, &slot);
  result = test_finish (&slot, &error);
  if (possible)
    g_assert_no_error (error);
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  test_slot_clear (&slot);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* Nothing can be executed before there is a session. */
static void
test_execute_while_listening (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) accepted = TEST_SLOT_INIT;
  AqmpClient *client = aqmp_client_new (NULL);
  guint i;

  site_listen (&site, client);
  for (i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *result = test_execute (client, "stop", NULL, &error);

      g_assert_null (result);
      test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
      test_check_message (error, "connecting", __FILE__, __LINE__, G_STRFUNC);
      test_check_message (error, "wait", __FILE__, __LINE__, G_STRFUNC);
      if (i == 0)
        start_accept (client, NULL, &accepted);
    }
  g_assert_cmpint (get_state (client), ==, AQMP_RUNSTATE_CONNECTING);
  test_disconnect (client, NULL);
  g_assert_false (finish_accept (client, &accepted, NULL));
  test_slot_clear (&accepted);
  test_client_close (client);
}

/* ---- S9: early --------------------------------------------------------------------------------------------------- */

static void
test_greeting_before_accept (gconstpointer data)
{
  SiteKind kind = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (kind);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  guint greeted;

  mock = listen_for_mock (&site, client);
  mock_greet (mock, MOCK_GREETING_PLAIN);
  greeted = mock_mark (mock);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_return (mock, "{}");
  mock_wait_reached (mock, greeted);
  test_wait_until (aqmp_protocol_get_listen_address (AQMP_PROTOCOL (client)) == NULL);
  test_dispatch_pending ();
  /* It was not read yet. */
  g_assert_null (aqmp_client_get_greeting (client));
  g_assert_cmpint (get_state (client), ==, AQMP_RUNSTATE_CONNECTING);
  accept_session (client);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
}

/* It connects, greets, and is gone before anybody accepts. */
static void
test_gone_before_accept (gconstpointer data)
{
  gboolean greets = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  MockServer *mock;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  mock = listen_for_mock (&site, client);
  if (greets)
    mock_greet (mock, MOCK_GREETING_OOB);
  else
    mock_accept (mock);
  mock_close (mock);
  mock_wait_done (mock);
  mock_finish (mock);

  accept_in_vain (client, &error);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "Could not establish the session: ");
  check_usable (&site, client);
  test_client_close (client);
}

static void
test_silent_peer (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30);
  mock = listen_for_mock (&site, client);
  mock_expect_eof (mock);
  accept_in_vain (client, &error);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "30 ms");
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  check_usable (&site, client);
  test_client_close (client);
}

static void
test_silent_after_greeting (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 100);
  mock = listen_for_mock (&site, client);
  mock_greet (mock, MOCK_GREETING_OOB);
  /* The negotiation, if it came that far. */
  mock_expect_gone (mock);
  accept_in_vain (client, &error);
  test_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "100 ms");
  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30000);
  check_usable (&site, client);
  test_client_close (client);
}

/* ---- S6, S4: while it is greeted --------------------------------------------------------------------------------- */

typedef enum
{
  BEFORE_GREETING,
  BEFORE_NEGOTIATION_REPLY,
} Moment;

/* The peer stands still there. */
static MockServer *
stand_still (Moment        moment,
             Site         *site,
             AqmpClient   *client,
             GCancellable *cancellable,
             TestSlot     *slot)
{
  MockServer *mock = listen_for_mock (site, client);
  guint reached;

  mock_accept (mock);
  if (moment == BEFORE_NEGOTIATION_REPLY)
    {
      mock_greet (mock, MOCK_GREETING_OOB);
      mock_expect (mock, "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}");
    }
  reached = mock_mark (mock);
  mock_expect_eof (mock);
  start_accept (client, cancellable, slot);
  mock_wait_reached (mock, reached);
  test_wait_until (aqmp_protocol_get_stream (AQMP_PROTOCOL (client)) != NULL);
  return mock;
}

static void
test_disconnect_while_greeting (gconstpointer data)
{
  Moment moment = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  AqmpClient *client = aqmp_client_new (NULL);
  MockServer *mock = stand_still (moment, &site, client, NULL, &slot);
  g_autoptr (GError) error = NULL;

  test_disconnect (client, &error);
  g_assert_no_error (error);
  g_assert_false (finish_accept (client, &slot, &error));
  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "Could not establish the session: ");
  mock_finish (mock);
  test_slot_clear (&slot);
  check_usable (&site, client);
  test_client_close (client);
}

static void
test_cancelled_while_greeting (gconstpointer data)
{
  Moment moment = GPOINTER_TO_INT (data);
  g_auto (Site) site = site_make (SITE_PATH);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  AqmpClient *client = aqmp_client_new (NULL);
  MockServer *mock = stand_still (moment, &site, client, cancellable, &slot);
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (finish_accept (client, &slot, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (strstr (error->message, "Could not"));
  mock_finish (mock);
  test_slot_clear (&slot);
  check_usable (&site, client);
  test_client_close (client);
}

/* ---- Q2: a peer that cannot be talked to ------------------------------------------------------------------------- */

typedef struct
{
  const char *name;
  const char *greeting;    /* sent as it is; NULL: a good one */
  const char *reply;       /* (nullable): to the negotiation */
  gboolean    waits;       /* for the end, rather than to go itself */
  int         code;        /* AQMP_ERROR; 0: G_IO_ERROR_CONNECTION_CLOSED */
  const char *what;
} Refusal;

static const Refusal refusals[] = {
  { "no-greeting-but-json", "{\"return\": {}}\r\n", NULL, TRUE, AQMP_ERROR_GREETING, "{\"return\": {}}" },
  { "malformed-greeting", "{\"QMP\": {\"capabilities\": []}}\r\n", NULL, TRUE, AQMP_ERROR_GREETING, "“version”" },
  { "malformed-capabilities",
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, \"capabilities\": 1}}",
    NULL, TRUE, AQMP_ERROR_GREETING, "array" },
  { "not-json", "SSH-2.0-OpenSSH_9.2p1\r\n", NULL, TRUE, AQMP_ERROR_PARSE, "SSH-2.0" },
  { "eof-before-greeting", "", NULL, FALSE, 0, "" },
  { "eof-in-greeting", "{\"QMP\": {\"vers", NULL, FALSE, 0, "" },
  { "refused", NULL, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"monitor is on fire\"}, \"id\": @ID@}\r\n", TRUE,
    AQMP_ERROR_NEGOTIATION, "monitor is on fire" },
  { "refused-without-id", NULL, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"which command?\"}}\r\n", TRUE,
    AQMP_ERROR_NEGOTIATION, "which command?" },
  { "eof-instead-of-reply", NULL, "", FALSE, 0, "" },
  { "eof-in-reply", NULL, "{\"ret", FALSE, 0, "" },
  { "no-json-instead-of-reply", NULL, "nonsense\r\n", TRUE, AQMP_ERROR_PARSE, "nonsense" },
};

static void
test_refusal (gconstpointer data)
{
  const Refusal *refusal = data;
  g_auto (Site) site = site_make (SITE_PATH);
  MockServer *mock;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  mock = listen_for_mock (&site, client);
  mock_accept (mock);
  if (refusal->greeting != NULL)
    mock_send (mock, refusal->greeting);
  else
    {
      mock_greet (mock, MOCK_GREETING_OOB);
      mock_expect (mock, "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}");
      mock_send (mock, refusal->reply);
    }
  if (refusal->waits)
    mock_expect_eof (mock);
  else
    mock_close (mock);

  accept_in_vain (client, &error);
  if (refusal->code != 0)
    test_assert_error (error, AQMP_ERROR, refusal->code, refusal->what);
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  g_assert_true (g_str_has_prefix (error->message, "Could not establish the session: "));
  mock_finish (mock);
  check_usable (&site, client);
  test_client_close (client);
}

/* ---- Q3: events that come too early ------------------------------------------------------------------------------ */

typedef struct
{
  GString *names;
  guint    n_too_early;
} Heard;

static void
on_event (AqmpClient *client,
          AqmpEvent  *event,
          Heard      *heard)
{
  g_string_append_printf (heard->names, "%s ", aqmp_event_get_name (event));
  if (get_state (client) != AQMP_RUNSTATE_RUNNING)
    heard->n_too_early++;
}

static void
test_early_events (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  g_autoptr (MockServer) mock = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  Heard heard = { g_string_new (NULL), 0 };

  g_signal_connect (client, "event", G_CALLBACK (on_event), &heard);
  mock = listen_for_mock (&site, client);
  mock_event (mock, "FIRST", NULL);
  mock_event (mock, "SECOND", "{'a': 1}");
  mock_greet (mock, MOCK_GREETING_PLAIN);
  mock_event (mock, "THIRD", NULL);
  mock_expect (mock, "{'execute': 'qmp_capabilities'}");
  mock_event (mock, "FOURTH", NULL);
  mock_return (mock, "{}");
  mock_event (mock, "FIFTH", NULL);
  accept_session (client);
  test_wait_until (g_str_has_suffix (heard.names->str, "FIFTH "));
  g_assert_cmpstr (heard.names->str, ==, "FIRST SECOND THIRD FOURTH FIFTH ");
  g_assert_cmpuint (heard.n_too_early, ==, 0);
  test_ping (client, mock);
  mock_expect_eof (mock);
  test_client_close (client);
  g_string_free (heard.names, TRUE);
}

/* Those of a peer that nobody accepts are not even read; those of one that is refused are dropped. */
static void
test_early_events_of_failed_attempt (void)
{
  g_auto (Site) site = site_make (SITE_PATH);
  MockServer *mock;
  AqmpClient *client = aqmp_client_new (NULL);
  Heard heard = { g_string_new (NULL), 0 };
  g_autoptr (GError) error = NULL;

  g_signal_connect (client, "event", G_CALLBACK (on_event), &heard);
  mock = listen_for_mock (&site, client);
  mock_event (mock, "FIRST", NULL);
  mock_send_json (mock, "{'return': {}}");
  mock_expect_eof (mock);
  accept_in_vain (client, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_GREETING);
  mock_finish (mock);

  mock = listen_for_mock (&site, client);
  mock_event (mock, "SECOND", NULL);
  mock_wait_done (mock);
  test_disconnect (client, NULL);
  mock_abandon (mock);

  check_usable (&site, client);
  g_assert_cmpstr (heard.names->str, ==, "");
  test_client_close (client);
  g_string_free (heard.names, TRUE);
}

static void
add_for_kinds (const char    *path,
               GTestDataFunc  func)
{
  SiteKind kind;

  for (kind = SITE_PATH; kind <= SITE_TCP6; kind++)
    {
      g_autofree char *full = site_test_path (path, kind);

      if (site_is_possible (kind))
        g_test_add_data_func (full, GINT_TO_POINTER (kind), func);
    }
}

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  add_for_kinds ("/client/S8/session", test_session);
  add_for_kinds ("/client/S8/session-in-pieces", test_session_in_pieces);
  add_for_kinds ("/client/S8/extra-peer", test_extra_peer);
  add_for_kinds ("/client/S8/session-after-session", test_session_after_session);
  add_for_kinds ("/client/S8/descriptors", test_descriptors);
  g_test_add_func ("/client/S8/quit", test_quit);
  g_test_add_func ("/client/S8/neither-greeting-nor-negotiation", test_neither_greeting_nor_negotiation);
  g_test_add_func ("/client/S2/execute-while-listening", test_execute_while_listening);
  g_test_add_func ("/client/S12/accepted/queue-of-an-earlier-session", test_queue_of_an_earlier_session);

  add_for_kinds ("/client/S9/greeting-before-accept", test_greeting_before_accept);
  g_test_add_data_func ("/client/S9/gone-before-accept", GINT_TO_POINTER (FALSE), test_gone_before_accept);
  g_test_add_data_func ("/client/S9/greeted-and-gone-before-accept", GINT_TO_POINTER (TRUE), test_gone_before_accept);
  g_test_add_func ("/client/S9/silent-peer", test_silent_peer);
  g_test_add_func ("/client/S9/silent-after-greeting", test_silent_after_greeting);

  g_test_add_data_func ("/client/S6/accepted/disconnect-before-greeting", GINT_TO_POINTER (BEFORE_GREETING),
                        test_disconnect_while_greeting);
  g_test_add_data_func ("/client/S6/accepted/disconnect-before-negotiation-reply", GINT_TO_POINTER (BEFORE_NEGOTIATION_REPLY),
                        test_disconnect_while_greeting);
  g_test_add_data_func ("/client/S4/accepted/cancelled-before-greeting", GINT_TO_POINTER (BEFORE_GREETING),
                        test_cancelled_while_greeting);
  g_test_add_data_func ("/client/S4/accepted/cancelled-before-negotiation-reply", GINT_TO_POINTER (BEFORE_NEGOTIATION_REPLY),
                        test_cancelled_while_greeting);

  for (i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      g_autofree char *path = g_strconcat ("/client/Q2/accepted/", refusals[i].name, NULL);

      g_test_add_data_func (path, &refusals[i], test_refusal);
    }

  g_test_add_func ("/client/Q3/accepted/early-events", test_early_events);
  g_test_add_func ("/client/Q3/accepted/early-events-of-failed-attempt", test_early_events_of_failed_attempt);

  return g_test_run ();
}
