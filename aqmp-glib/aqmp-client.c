/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-command-private.h"
#include "aqmp-error.h"
#include "aqmp-protocol-private.h"

/* Threads: the owner's, unless the documentation of a function says otherwise. */

/**
 * AqmpClient:
 *
 * A client of a QMP server: QEMU, its storage daemon, or its guest agent.
 *
 * QMP, the QEMU Machine Protocol, is how programs control a virtual machine: they send commands, the server answers
 * each with a reply, and it reports events on its own. All of them are JSON objects.
 *
 * The client takes the server's greeting, negotiates capabilities with it, sends commands, gives each caller the reply
 * to its command, and reports the events. It is connected with [method@Protocol.connect_async] or, on a stream that is
 * there already, with [method@Protocol.open_async]. Then:
 *
 * ```c
 * static void
 * on_status (GObject *object, GAsyncResult *result, gpointer user_data)
 * {
 *   g_autoptr (GError) error = NULL;
 *   g_autoptr (JsonNode) status = NULL;
 *
 *   status = aqmp_client_execute_finish (AQMP_CLIENT (object), result, &error);
 *   if (status == NULL)
 *     g_printerr ("%s\n", error->message);
 *   else
 *     g_print ("%s\n", json_object_get_string_member (json_node_get_object (status), "status"));
 * }
 *
 * aqmp_client_execute_async (client, "query-status", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, on_status, NULL);
 * ```
 *
 * A guest agent neither greets nor negotiates: set [property@Client:await-greeting] and [property@Client:negotiate] to
 * %FALSE for it.
 *
 * [method@Client.execute_async] and its relatives may be called from any thread; for the rest see [class@Protocol].
 * [method@Client.execute_sync] and its relatives block, and need no main loop.
 *
 * Since: 1.0
 */

enum
{
  PROP_AWAIT_GREETING = 1,
  PROP_NEGOTIATE,
  PROP_ENABLE_OOB,
  PROP_GREETING,
  PROP_OOB_ENABLED,
  PROP_CALL_TIMEOUT,
  N_PROPERTIES
};

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_TYPE_WITH_PRIVATE (AqmpClient, aqmp_client, AQMP_TYPE_PROTOCOL)

gint aqmp_client_private_offset;

/**
 * aqmp_client_new:
 * @name: (nullable): a name for the log, such as that of the virtual machine
 *
 * Makes a client. It does nothing until [method@Protocol.connect_async] or [method@Protocol.open_async] is called.
 *
 * Returns: (transfer full): a client
 *
 * Since: 1.0
 */
AqmpClient *
aqmp_client_new (const char *name)
{
  return g_object_new (AQMP_TYPE_CLIENT, "name", name, NULL);
}

/* --- What ties it to the protocol --------------------------------------------------------------------------------- */

/* A record with a handshake or an alert; a JSON text does not begin like that. */
static gboolean
is_tls (const guint8 *data)
{
  return data[0] == 0x16 || data[0] == 0x15;
}

gssize
aqmp_client_frame (AqmpProtocol  *protocol,
                   const guint8  *data,
                   gsize          length,
                   gsize          scanned,
                   gboolean       at_eof,
                   gsize         *payload_length,
                   GError       **error)
{
  AqmpClient *self = AQMP_CLIENT (protocol);
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  gssize found;

  if (scanned == 0)
    {
      gsize space = aqmp_json_skip_space (data, length);

      if (space > 0)
        {
          *payload_length = AQMP_PROTOCOL_NO_MESSAGE;
          return space;
        }
      if (length > 0 && is_tls (data))
        {
          g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_PARSE,
                               _("The peer speaks TLS instead of QMP; set “tls”, or have the peer do without"));
          return -1;
        }
      aqmp_json_scan_init (&priv->scan, aqmp_message_members);
    }

  found = aqmp_json_scan (&priv->scan, data, length, at_eof, error);
  if (found <= 0)
    return found;

  *payload_length = aqmp_client_ignores (self, data, found) ? AQMP_PROTOCOL_NO_MESSAGE : (gsize) found;
  return found + aqmp_json_skip_space (data + found, length - found);
}

static void
forget_last_session (AqmpProtocol *protocol)
{
  AqmpClient *self = AQMP_CLIENT (protocol);
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  aqmp_protocol_lock (protocol);
  priv->ids_echoed = FALSE;
  aqmp_protocol_unlock (protocol);

  priv->quit_answered = FALSE;

  /* A handler that runs the loop may be in the next session when it returns: then nothing may be left to forget. */
  g_object_freeze_notify (G_OBJECT (self));
  aqmp_client_set_greeting (self, NULL);
  aqmp_client_set_oob_enabled (self, FALSE);
  g_object_thaw_notify (G_OBJECT (self));
}

static void
session_started (AqmpProtocol *protocol)
{
  aqmp_client_dispatch_held (AQMP_CLIENT (protocol));
}

/* A server that has agreed to quit closes the connection, or resets it if it leaves something unread. */
static gboolean
is_expected_end (AqmpProtocol *protocol,
                 const GError *error)
{
  return aqmp_client_get_private (AQMP_CLIENT (protocol))->quit_answered && error->domain == G_IO_ERROR;
}

static gboolean
get_id (GBytes     *message,
        AqmpCallId *id,
        GError    **error)
{
  static const char * const names[] = { "id", NULL };
  AqmpJsonScan scan;
  gsize length;
  const guint8 *text = g_bytes_get_data (message, &length);

  *id = (AqmpCallId) { 0, NULL };
  if (!aqmp_json_validate (&scan, names, text, length, error))
    return FALSE;

  aqmp_call_id_parse (id, text + scan.members[0].start, scan.members[0].end - scan.members[0].start);
  return TRUE;
}

/* With another id, or none, the reply would never find its call. */
static gboolean
check_filtered (AqmpProtocol  *protocol,
                GBytes        *original,
                GBytes        *replacement,
                GError       **error)
{
  g_autoptr (GError) local_error = NULL;
  AqmpCallId before;
  AqmpCallId after;
  gboolean same;

  /* A subclass may send anything; only a command has something to keep. */
  if (!get_id (original, &before, NULL))
    return TRUE;

  same = get_id (replacement, &after, &local_error) && aqmp_call_id_equal (&before, &after);
  aqmp_call_id_clear (&before);
  aqmp_call_id_clear (&after);
  if (same)
    return TRUE;

  g_set_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE,
               /* Translators: the name of a class, then nothing, or a colon and what is wrong */
               _("filter_outbound() of %s has to leave a command valid JSON with the “id” that it had%s%s"),
               G_OBJECT_TYPE_NAME (protocol), local_error != NULL ? ": " : "",
               local_error != NULL ? local_error->message : "");
  return FALSE;
}

static char *
describe_message (AqmpProtocol *protocol,
                  GBytes       *message)
{
  gsize length;
  const guint8 *text = g_bytes_get_data (message, &length);

  return aqmp_json_redact (text, length);
}

static gboolean
waits_for_peer (AqmpProtocol *protocol)
{
  return AQMP_PROTOCOL_GET_CLASS (protocol)->establish_session == aqmp_client_establish_session &&
         aqmp_client_get_private (AQMP_CLIENT (protocol))->await_greeting;
}

static const AqmpProtocolHooks hooks = {
  .session_starting = forget_last_session,
  .session_started = session_started,
  .hear_event = aqmp_client_hear_event,
  .waits_for_peer = waits_for_peer,
  .steal_calls = aqmp_client_steal_calls,
  .steal_held_calls = aqmp_client_steal_held_calls,
  .fail_calls = aqmp_client_fail_calls,
  .is_expected_end = is_expected_end,
  .check_filtered = check_filtered,
  .describe_message = describe_message,
};

/* --- Properties --------------------------------------------------------------------------------------------------- */

void
aqmp_client_set_greeting (AqmpClient   *self,
                          AqmpGreeting *greeting)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (priv->greeting == greeting)
    return;

  g_clear_pointer (&priv->greeting, aqmp_greeting_unref);
  priv->greeting = greeting != NULL ? aqmp_greeting_ref (greeting) : NULL;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_GREETING]);
}

void
aqmp_client_set_oob_enabled (AqmpClient *self,
                             gboolean    oob_enabled)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  if (priv->oob_enabled == oob_enabled)
    return;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  priv->oob_enabled = oob_enabled;
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_OOB_ENABLED]);
}

static void
set_boolean (AqmpClient *self,
             gboolean   *field,
             gboolean    value,
             guint       property_id)
{
  if (*field == !!value)
    return;

  *field = !!value;
  g_object_notify_by_pspec (G_OBJECT (self), properties[property_id]);
}

/**
 * aqmp_client_get_await_greeting: (get-property await-greeting)
 * @self: a client
 *
 * Gets whether connecting waits for the server's greeting. To be called in the owner's context.
 *
 * Returns: %TRUE if it does
 *
 * Since: 1.0
 */
gboolean
aqmp_client_get_await_greeting (AqmpClient *self)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), FALSE);

  return aqmp_client_get_private (self)->await_greeting;
}

/**
 * aqmp_client_set_await_greeting: (set-property await-greeting)
 * @self: a client
 * @await_greeting: %TRUE to wait
 *
 * Sets whether connecting waits for the server's greeting. Holds from the next session on. To be called in the owner's
 * context.
 *
 * Since: 1.0
 */
void
aqmp_client_set_await_greeting (AqmpClient *self,
                                gboolean    await_greeting)
{
  g_return_if_fail (AQMP_IS_CLIENT (self));

  set_boolean (self, &aqmp_client_get_private (self)->await_greeting, await_greeting, PROP_AWAIT_GREETING);
}

/**
 * aqmp_client_get_negotiate: (get-property negotiate)
 * @self: a client
 *
 * Gets whether connecting negotiates capabilities. To be called in the owner's context.
 *
 * Returns: %TRUE if it does
 *
 * Since: 1.0
 */
gboolean
aqmp_client_get_negotiate (AqmpClient *self)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), FALSE);

  return aqmp_client_get_private (self)->negotiate;
}

/**
 * aqmp_client_set_negotiate: (set-property negotiate)
 * @self: a client
 * @negotiate: %TRUE to negotiate
 *
 * Sets whether connecting negotiates capabilities, for which it waits for the greeting in any case. Holds from the next
 * session on. To be called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_client_set_negotiate (AqmpClient *self,
                           gboolean    negotiate)
{
  g_return_if_fail (AQMP_IS_CLIENT (self));

  set_boolean (self, &aqmp_client_get_private (self)->negotiate, negotiate, PROP_NEGOTIATE);
}

/**
 * aqmp_client_get_enable_oob: (get-property enable-oob)
 * @self: a client
 *
 * Gets whether out-of-band execution is negotiated if the server offers it. To be called in the owner's context.
 *
 * Returns: %TRUE if it is
 *
 * Since: 1.0
 */
gboolean
aqmp_client_get_enable_oob (AqmpClient *self)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), FALSE);

  return aqmp_client_get_private (self)->enable_oob;
}

/**
 * aqmp_client_set_enable_oob: (set-property enable-oob)
 * @self: a client
 * @enable_oob: %TRUE to negotiate it
 *
 * Sets whether out-of-band execution is negotiated if the server offers it. Holds from the next session on. To be
 * called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_client_set_enable_oob (AqmpClient *self,
                            gboolean    enable_oob)
{
  g_return_if_fail (AQMP_IS_CLIENT (self));

  set_boolean (self, &aqmp_client_get_private (self)->enable_oob, enable_oob, PROP_ENABLE_OOB);
}

/**
 * aqmp_client_get_oob_enabled: (get-property oob-enabled)
 * @self: a client
 *
 * Gets whether out-of-band execution was negotiated. To be called in the owner's context.
 *
 * Returns: %TRUE if it was, in this session or the last
 *
 * Since: 1.0
 */
gboolean
aqmp_client_get_oob_enabled (AqmpClient *self)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), FALSE);

  return aqmp_client_get_private (self)->oob_enabled;
}

/**
 * aqmp_client_get_greeting: (get-property greeting)
 * @self: a client
 *
 * Gets the greeting of the server in this session, or in the last one if there is none now. To be called in the owner's
 * context.
 *
 * Returns: (nullable) (transfer none): the greeting, or %NULL if none has come
 *
 * Since: 1.0
 */
AqmpGreeting *
aqmp_client_get_greeting (AqmpClient *self)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (self), NULL);

  return aqmp_client_get_private (self)->greeting;
}

/**
 * aqmp_client_get_call_timeout: (get-property call-timeout)
 * @self: a client
 *
 * Gets how long a command may take. May be called from any thread.
 *
 * Returns: a number of milliseconds, 0 for no limit
 *
 * Since: 1.0
 */
guint
aqmp_client_get_call_timeout (AqmpClient *self)
{
  guint call_timeout;

  g_return_val_if_fail (AQMP_IS_CLIENT (self), 0);

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  call_timeout = aqmp_client_get_private (self)->call_timeout;
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  return call_timeout;
}

/**
 * aqmp_client_set_call_timeout: (set-property call-timeout)
 * @self: a client
 * @call_timeout: a number of milliseconds, 0 for no limit
 *
 * Sets how long a command may take, from the call until the reply. Holds for the calls that follow. To be called in the
 * owner's context.
 *
 * Since: 1.0
 */
void
aqmp_client_set_call_timeout (AqmpClient *self,
                              guint       call_timeout)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  g_return_if_fail (AQMP_IS_CLIENT (self));

  if (priv->call_timeout == call_timeout)
    return;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  priv->call_timeout = call_timeout;
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_CALL_TIMEOUT]);
}

/* --- The class ---------------------------------------------------------------------------------------------------- */

static void
aqmp_client_get_property (GObject    *object,
                          guint       property_id,
                          GValue     *value,
                          GParamSpec *pspec)
{
  AqmpClient *self = AQMP_CLIENT (object);

  switch (property_id)
    {
    case PROP_AWAIT_GREETING:
      g_value_set_boolean (value, aqmp_client_get_await_greeting (self));
      break;
    case PROP_NEGOTIATE:
      g_value_set_boolean (value, aqmp_client_get_negotiate (self));
      break;
    case PROP_ENABLE_OOB:
      g_value_set_boolean (value, aqmp_client_get_enable_oob (self));
      break;
    case PROP_GREETING:
      g_value_set_boxed (value, aqmp_client_get_greeting (self));
      break;
    case PROP_OOB_ENABLED:
      g_value_set_boolean (value, aqmp_client_get_oob_enabled (self));
      break;
    case PROP_CALL_TIMEOUT:
      g_value_set_uint (value, aqmp_client_get_call_timeout (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_client_set_property (GObject      *object,
                          guint         property_id,
                          const GValue *value,
                          GParamSpec   *pspec)
{
  AqmpClient *self = AQMP_CLIENT (object);

  switch (property_id)
    {
    case PROP_AWAIT_GREETING:
      aqmp_client_set_await_greeting (self, g_value_get_boolean (value));
      break;
    case PROP_NEGOTIATE:
      aqmp_client_set_negotiate (self, g_value_get_boolean (value));
      break;
    case PROP_ENABLE_OOB:
      aqmp_client_set_enable_oob (self, g_value_get_boolean (value));
      break;
    case PROP_CALL_TIMEOUT:
      aqmp_client_set_call_timeout (self, g_value_get_uint (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_client_finalize (GObject *object)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (AQMP_CLIENT (object));

  aqmp_pending_clear (&priv->pending);
  g_clear_pointer (&priv->greeting, aqmp_greeting_unref);
  aqmp_client_stop_queues (AQMP_CLIENT (object));

  G_OBJECT_CLASS (aqmp_client_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  /**
   * AqmpClient:await-greeting: (getter get_await_greeting) (setter set_await_greeting)
   *
   * Whether connecting waits for the server's greeting. QEMU greets, a guest agent does not.
   *
   * Since: 1.0
   */
  properties[PROP_AWAIT_GREETING] = g_param_spec_boolean ("await-greeting", NULL, NULL, TRUE, writable);

  /**
   * AqmpClient:negotiate: (getter get_negotiate) (setter set_negotiate)
   *
   * Whether connecting negotiates capabilities. QEMU executes no other command before that. The greeting is then
   * awaited whatever [property@Client:await-greeting] says.
   *
   * Since: 1.0
   */
  properties[PROP_NEGOTIATE] = g_param_spec_boolean ("negotiate", NULL, NULL, TRUE, writable);

  /**
   * AqmpClient:enable-oob: (getter get_enable_oob) (setter set_enable_oob)
   *
   * Whether the negotiation asks for out-of-band execution if the server offers it.
   *
   * With it, a few commands can be executed at once, without waiting for the commands before them: those that are given
   * %AQMP_EXECUTE_FLAGS_OOB, or `exec-oob` in the place of `execute` in [method@Client.execute_raw_async].
   *
   * Since: 1.0
   */
  properties[PROP_ENABLE_OOB] = g_param_spec_boolean ("enable-oob", NULL, NULL, TRUE, writable);

  /**
   * AqmpClient:greeting: (getter get_greeting)
   *
   * What the server said of itself. Kept after the session, until the next one begins.
   *
   * Since: 1.0
   */
  properties[PROP_GREETING] = g_param_spec_boxed ("greeting", NULL, NULL, AQMP_TYPE_GREETING, readable);

  /**
   * AqmpClient:oob-enabled: (getter get_oob_enabled)
   *
   * Whether out-of-band execution was negotiated. Kept after the session, until the next one begins.
   *
   * Since: 1.0
   */
  properties[PROP_OOB_ENABLED] = g_param_spec_boolean ("oob-enabled", NULL, NULL, FALSE, readable);

  /**
   * AqmpClient:call-timeout: (getter get_call_timeout) (setter set_call_timeout)
   *
   * How many milliseconds a command may take, from the call until the reply; then it fails with %G_IO_ERROR_TIMED_OUT.
   * 0, the default, is no limit.
   *
   * The time that a command is held back counts, in which it waits for others to be answered or for a peer that does not read: one
   * that times out meanwhile is never sent. See [method@Client.execute_async] and [method@Client.execute_full_async] for what is
   * held back.
   *
   * Since: 1.0
   */
  properties[PROP_CALL_TIMEOUT] = g_param_spec_uint ("call-timeout", NULL, NULL, 0, G_MAXUINT, 0, writable);

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
aqmp_client_class_init (AqmpClientClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  AqmpProtocolClass *protocol_class = AQMP_PROTOCOL_CLASS (klass);

  aqmp_client_private_offset = AqmpClient_private_offset;

  object_class->get_property = aqmp_client_get_property;
  object_class->set_property = aqmp_client_set_property;
  object_class->finalize = aqmp_client_finalize;

  protocol_class->establish_session = aqmp_client_establish_session;
  protocol_class->message_received = aqmp_client_message_received;
  protocol_class->frame = aqmp_client_frame;

  install_properties (object_class);
}

static void
aqmp_client_init (AqmpClient *self)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  priv->await_greeting = TRUE;
  priv->negotiate = TRUE;
  priv->enable_oob = TRUE;
  g_queue_init (&priv->held_events);
  aqmp_pending_init (&priv->pending);
  priv->queues = g_ptr_array_new_with_free_func (aqmp_event_queue_unref);
  aqmp_protocol_set_hooks (AQMP_PROTOCOL (self), &hooks);
}
