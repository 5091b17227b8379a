/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "sync-util.h"

#include <string.h>

const char * const sync_form_names[SYNC_N_FORMS] = { "execute", "execute-full", "execute-raw" };

const char * const sync_vfunc_names[SYNC_N_VFUNCS] = {
  "establish-session", "message-received", "filter-inbound", "filter-outbound", "frame", "session-ended",
};

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static char *
read_raw_reply (GBytes  *reply,
                GError **error)
{
  g_autofree char *text = g_strndup (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
  g_autoptr (JsonObject) object = aqmp_arguments_parse (text, error);
  JsonObject *server_error;

  g_assert_nonnull (object);
  if (json_object_has_member (object, "return"))
    return json_to_string (json_object_get_member (object, "return"), FALSE);

  server_error = json_object_get_object_member (object, "error");
  g_assert_cmpstr (json_object_get_string_member (server_error, "class"), ==, "GenericError");
  g_set_error_literal (error, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR,
                       json_object_get_string_member (server_error, "desc"));
  return NULL;
}

char *
sync_call (SyncForm       form,
           AqmpClient    *client,
           const char    *command,
           GCancellable  *cancellable,
           GError       **error)
{
  g_autofree char *message = NULL;
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (JsonNode) node = NULL;

  switch (form)
    {
    case SYNC_EXECUTE:
      node = aqmp_client_execute_sync (client, command, NULL, AQMP_EXECUTE_FLAGS_NONE, cancellable, error);
      break;
    case SYNC_EXECUTE_FULL:
      node = aqmp_client_execute_full_sync (client, command, NULL, NULL, AQMP_EXECUTE_FLAGS_NONE, -1, cancellable, error);
      break;
    default:
      message = g_strdup_printf ("{\"execute\": \"%s\"}", command);
      reply = aqmp_client_execute_raw_sync (client, message, NULL, cancellable, error);
      return reply != NULL ? read_raw_reply (reply, error) : NULL;
    }

  return node != NULL ? json_to_string (node, FALSE) : NULL;
}

void
sync_script (MockServer *mock,
             const char *command,
             const char *value)
{
  g_autofree char *pattern = g_strdup_printf ("{\"execute\": \"%s\"}", command);

  mock_expect (mock, pattern);
  mock_return (mock, value);
}

void
sync_ping (AqmpClient *client,
           MockServer *mock)
{
  sync_script (mock, "ping", "{'pong': true}");
  sync_check (SYNC_EXECUTE, client, "ping", "{\"pong\":true}");
}

static AqmpClient *
connect_client (AqmpClient   *client,
                MockServer   *mock,
                MockGreeting  greeting)
{
  g_autoptr (GError) error = NULL;

  mock_negotiate (mock, greeting);
  aqmp_protocol_connect_sync (AQMP_PROTOCOL (client), mock_get_connectable (mock), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_RUNNING);
  return client;
}

AqmpClient *
sync_client_connect (MockServer   *mock,
                     MockGreeting  greeting)
{
  return connect_client (aqmp_client_new (NULL), mock, greeting);
}

AqmpClient *
sync_client_connect_obedient (MockServer   *mock,
                              MockGreeting  greeting)
{
  return connect_client (sync_client_new (), mock, greeting);
}

void
sync_client_close (AqmpClient *client)
{
  gpointer watched = client;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)), ==, AQMP_RUNSTATE_IDLE);

  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_object_unref (client);
  g_assert_null (watched);
}

/* ---- nothing else is dispatched ---------------------------------------------------------------------------------- */

static gboolean
spring (gpointer data)
{
  SyncTrap *trap = data;

  trap->n_sprung++;
  return G_SOURCE_CONTINUE;
}

void
sync_trap_set (SyncTrap *trap)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  trap->n_sprung = 0;
  trap->source = g_idle_source_new ();
  g_source_set_priority (trap->source, G_PRIORITY_HIGH);
  g_source_set_callback (trap->source, spring, trap, NULL);
  g_source_attach (trap->source, context);
}

void
sync_trap_check (SyncTrap *trap)
{
  g_source_destroy (trap->source);
  g_clear_pointer (&trap->source, g_source_unref);
  g_assert_cmpuint (trap->n_sprung, ==, 0);
}

/* ---- another thread cancels -------------------------------------------------------------------------------------- */

static gpointer
cancel_when_told (gpointer data)
{
  SyncCanceller *canceller = data;

  g_mutex_lock (&canceller->lock);
  while (!canceller->told)
    g_cond_wait (&canceller->changed, &canceller->lock);
  g_mutex_unlock (&canceller->lock);
  g_cancellable_cancel (canceller->cancellable);
  return NULL;
}

GThread *
sync_canceller_start (SyncCanceller *canceller)
{
  return g_thread_new ("canceller", cancel_when_told, canceller);
}

void
sync_canceller_tell (AqmpClient *client,
                     gpointer    data)
{
  SyncCanceller *canceller = data;

  g_mutex_lock (&canceller->lock);
  canceller->told = TRUE;
  g_cond_signal (&canceller->changed);
  g_mutex_unlock (&canceller->lock);
}

/* ---- a class that does what it is told --------------------------------------------------------------------------- */

#define SYNC_TYPE_CLIENT (sync_client_get_type ())
G_DECLARE_FINAL_TYPE (SyncClient, sync_client, SYNC, CLIENT, AqmpClient)

typedef struct
{
  const char *trigger;  /* (unowned) (nullable) */
  SyncDeed    deed;     /* NULL: none any more */
  gpointer    data;
  gboolean    done;
} Rule;

struct _SyncClient
{
  AqmpClient parent_instance;

  Rule rules[SYNC_N_VFUNCS];
};

G_DEFINE_FINAL_TYPE (SyncClient, sync_client, AQMP_TYPE_CLIENT)

static void
obey (gpointer   protocol,
      SyncVfunc  vfunc,
      GBytes    *message)
{
  Rule *rule = &SYNC_CLIENT (protocol)->rules[vfunc];
  SyncDeed deed = rule->deed;
  g_autofree char *text = NULL;

  if (deed == NULL)
    return;

  if (rule->trigger != NULL)
    {
      text = g_strndup (g_bytes_get_data (message, NULL), g_bytes_get_size (message));
      if (strstr (text, rule->trigger) == NULL)
        return;
    }

  rule->deed = NULL;
  rule->done = TRUE;
  deed (AQMP_CLIENT (protocol), rule->data);
}

static gboolean
sync_client_establish_session (AqmpProtocol  *protocol,
                               GTask         *task,
                               GError       **error)
{
  obey (protocol, SYNC_IN_ESTABLISH_SESSION, NULL);
  return AQMP_PROTOCOL_CLASS (sync_client_parent_class)->establish_session (protocol, task, error);
}

static gboolean
sync_client_message_received (AqmpProtocol  *protocol,
                              GBytes        *message,
                              GError       **error)
{
  obey (protocol, SYNC_IN_MESSAGE_RECEIVED, message);
  return AQMP_PROTOCOL_CLASS (sync_client_parent_class)->message_received (protocol, message, error);
}

static GBytes *
sync_client_filter_inbound (AqmpProtocol  *protocol,
                            GBytes        *message,
                            GError       **error)
{
  obey (protocol, SYNC_IN_FILTER_INBOUND, message);
  return AQMP_PROTOCOL_CLASS (sync_client_parent_class)->filter_inbound (protocol, message, error);
}

static GBytes *
sync_client_filter_outbound (AqmpProtocol  *protocol,
                             GBytes        *message,
                             GError       **error)
{
  obey (protocol, SYNC_IN_FILTER_OUTBOUND, message);
  return AQMP_PROTOCOL_CLASS (sync_client_parent_class)->filter_outbound (protocol, message, error);
}

static gssize
sync_client_frame (AqmpProtocol  *protocol,
                   const guint8  *data,
                   gsize          length,
                   gsize          scanned,
                   gboolean       at_eof,
                   gsize         *payload_length,
                   GError       **error)
{
  obey (protocol, SYNC_IN_FRAME, NULL);
  return AQMP_PROTOCOL_CLASS (sync_client_parent_class)->frame (protocol, data, length, scanned, at_eof, payload_length,
                                                                error);
}

static void
sync_client_session_ended (AqmpProtocol *protocol,
                           const GError *cause)
{
  obey (protocol, SYNC_IN_SESSION_ENDED, NULL);
  AQMP_PROTOCOL_CLASS (sync_client_parent_class)->session_ended (protocol, cause);
}

static void
sync_client_class_init (SyncClientClass *klass)
{
  AqmpProtocolClass *protocol_class = AQMP_PROTOCOL_CLASS (klass);

  protocol_class->establish_session = sync_client_establish_session;
  protocol_class->message_received = sync_client_message_received;
  protocol_class->filter_inbound = sync_client_filter_inbound;
  protocol_class->filter_outbound = sync_client_filter_outbound;
  protocol_class->frame = sync_client_frame;
  protocol_class->session_ended = sync_client_session_ended;
}

static void
sync_client_init (SyncClient *self)
{
}

AqmpClient *
sync_client_new (void)
{
  return g_object_new (SYNC_TYPE_CLIENT, NULL);
}

void
sync_client_once (AqmpClient *client,
                  SyncVfunc   vfunc,
                  const char *trigger,
                  SyncDeed    deed,
                  gpointer    data)
{
  SYNC_CLIENT (client)->rules[vfunc] = (Rule) { trigger, deed, data, FALSE };
}

gboolean
sync_client_has_done (AqmpClient *client,
                      SyncVfunc   vfunc)
{
  return SYNC_CLIENT (client)->rules[vfunc].done;
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

void
sync_add_for_forms (const char    *prefix,
                    const char    *suffix,
                    GTestDataFunc  func)
{
  SyncForm form;

  for (form = 0; form < SYNC_N_FORMS; form++)
    {
      g_autofree char *path = g_strconcat (prefix, sync_form_names[form], suffix, NULL);

      g_test_add_data_func (path, GINT_TO_POINTER (form), func);
    }
}
