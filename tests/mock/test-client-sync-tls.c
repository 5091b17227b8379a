/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T3, Q13: blocking calls over TLS, without any main loop. */

#include "sync-util.h"
#include "tls-util.h"

#include <string.h>

#include "certificates.h"

static AqmpClient *
new_client (const char *trusted)
{
  AqmpClient *client = aqmp_client_new (NULL);

  aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
  tls_set_database (client, trusted);
  return client;
}

static AqmpClient *
connect_client (MockServer *mock)
{
  AqmpClient *client = new_client ("good");
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, MOCK_GREETING_OOB);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_RUNNING);
  return client;
}

/* The rest of what TLS reads may come together, and is not in the socket any more when it is polled. */
static void
test_calls (gconstpointer record_size)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  g_autofree char *big = g_strnfill (300 * 1000, 'x');
  g_autofree char *json = g_strdup_printf ("{\"s\": \"%s\"}", big);
  g_autofree char *pattern = g_strdup_printf ("{\"execute\": \"big\", \"arguments\": %s}", json);
  g_autofree char *value = g_strdup_printf ("\"%s\"", big);
  AqmpClient *client = connect_client (mock);
  g_autoptr (JsonObject) arguments = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;
  SyncTrap trap;
  guint i;

  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (client), GPOINTER_TO_UINT (record_size));
  sync_trap_set (&trap);
  for (i = 0; i < 10 * SYNC_N_FORMS; i++)
    {
      if (i % 2 == 0)
        mock_event (mock, "BEFORE", NULL);
      sync_script (mock, "small", "1");
      sync_check (i % SYNC_N_FORMS, client, "small", "1");
    }

  mock_expect (mock, pattern);
  mock_return (mock, value);
  arguments = aqmp_arguments_parse (json, &error);
  g_assert_no_error (error);
  node = aqmp_client_execute_sync (client, "big", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (json_node_get_string (node), ==, big);
  aqmp_protocol_flush_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);

  mock_expect_eof (mock);
  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
  mock_block_done (mock);
  sync_trap_check (&trap);
  sync_client_close (client);
}

/* A call that times out, one that is cancelled, and a session that fails. */
static void
test_calls_end (gconstpointer form)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  AqmpClient *client = connect_client (mock);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SyncCanceller canceller = { .cancellable = cancellable };
  GThread *thread = sync_canceller_start (&canceller);
  g_autoptr (GError) error = NULL;

  mock_expect (mock, "{'execute': 'slow'}");
  aqmp_client_set_call_timeout (client, 20);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "slow", NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  aqmp_client_set_call_timeout (client, 0);
  mock_return (mock, "'late'");
  sync_ping (client, mock);

  sync_canceller_tell (client, &canceller);
  g_thread_join (thread);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "never-sent", cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  sync_ping (client, mock);

  mock_expect (mock, "{'execute': 'last'}");
  mock_close (mock);
  g_assert_null (sync_call (GPOINTER_TO_INT (form), client, "last", NULL, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
  g_clear_error (&error);
  g_assert_false (aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
  sync_client_close (client);
}

typedef struct
{
  gboolean  answer;
  GThread  *thread;   /* (unowned) */
  guint     n_asked;
} Judge;

static gboolean
on_accept_certificate (AqmpProtocol         *protocol,
                       GTlsCertificate      *certificate,
                       GTlsCertificateFlags  flags,
                       Judge                *judge)
{
  g_assert_true (g_thread_self () == judge->thread);
  g_assert_cmpint (flags & G_TLS_CERTIFICATE_UNKNOWN_CA, !=, 0);
  judge->n_asked++;
  return judge->answer;
}

/* By an authority that is not trusted: the handler decides, in this thread. */
static void
test_accept_certificate (gconstpointer answer)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  AqmpClient *client = new_client ("other-ca");
  Judge judge = { GPOINTER_TO_INT (answer), g_thread_self (), 0 };
  g_autoptr (GError) error = NULL;
  gboolean connected;
  SyncTrap trap;

  if (judge.answer)
    mock_negotiate (mock, MOCK_GREETING_PLAIN);
  else
    mock_expect_no_tls (mock);
  g_signal_connect (client, "accept-certificate", G_CALLBACK (on_accept_certificate), &judge);
  sync_trap_set (&trap);
  connected = aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  sync_trap_check (&trap);
  g_assert_cmpint (connected, ==, judge.answer);
  g_assert_cmpuint (judge.n_asked, ==, 1);
  if (judge.answer)
    {
      g_assert_no_error (error);
      sync_ping (client, mock);
      mock_expect_eof (mock);
    }
  else
    g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  sync_client_close (client);
}

/* The handshake goes on for ever. */
static void
test_silent_server (gconstpointer unused)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TCP);
  AqmpClient *client = new_client ("good");
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_connect_timeout (AQMP_PROTOCOL (client), 30);
  g_assert_false (aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  mock_abandon (g_steal_pointer (&mock));
  sync_client_close (client);
}

/* The owner is only answered after another thread is, for which it reads and writes. */
typedef struct
{
  AqmpClient *client;
  MockServer *mock;
  guint       own_arrived;
} Other;

static gpointer
call_from_thread (gpointer data)
{
  Other *other = data;

  mock_block_reached (other->mock, other->own_arrived);
  sync_check (SYNC_EXECUTE, other->client, "other", "2");
  return NULL;
}

static void
test_owner_serves_others (gconstpointer unused)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_TLS);
  AqmpClient *client = connect_client (mock);
  guint i;

  for (i = 0; i < 10; i++)
    {
      Other other = { client, mock, 0 };
      GThread *thread;

      mock_expect (mock, "{'execute': 'own'}");
      other.own_arrived = mock_mark (mock);
      sync_script (mock, "other", "2");
      mock_return_to (mock, 2 * i + 1, "1");
      thread = g_thread_new ("other", call_from_thread, &other);
      sync_check (i % SYNC_N_FORMS, client, "own", "1");
      g_thread_join (thread);
    }
  mock_expect_eof (mock);
  sync_client_close (client);
}

int
main (int    argc,
      char **argv)
{
  SyncForm form;

  g_test_init (&argc, &argv, NULL);

  tls_add ("/client/T3/tls/calls", test_calls, GUINT_TO_POINTER (0));
  tls_add ("/client/T3/tls/calls-in-records-of-one-byte", test_calls, GUINT_TO_POINTER (1));
  for (form = 0; form < SYNC_N_FORMS; form++)
    {
      g_autofree char *path = g_strdup_printf ("/client/T3/tls/%s/ends", sync_form_names[form]);

      tls_add (path, test_calls_end, GINT_TO_POINTER (form));
    }
  tls_add ("/client/T3/tls/certificate-is-accepted", test_accept_certificate, GINT_TO_POINTER (TRUE));
  tls_add ("/client/T3/tls/certificate-is-refused", test_accept_certificate, GINT_TO_POINTER (FALSE));
  tls_add ("/client/T3/tls/silent-server", test_silent_server, NULL);
  tls_add ("/client/T3/tls/owner-serves-others", test_owner_serves_others, NULL);

  return tls_run ();
}
