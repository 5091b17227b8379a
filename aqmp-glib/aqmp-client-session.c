/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-error-private.h"
#include "aqmp-greeting-private.h"
#include "aqmp-protocol-private.h"

/* Threads: the owner's. Only what calls look at is changed under the protocol's lock. */

static void read_next (AqmpClient *self);

static void
succeed (AqmpClient *self)
{
  g_autoptr (GTask) task = g_steal_pointer (&aqmp_client_get_private (self)->establishing);

  g_task_return_boolean (task, TRUE);
}

static void
fail (AqmpClient *self,
      GError     *error)
{
  g_autoptr (GTask) task = g_steal_pointer (&aqmp_client_get_private (self)->establishing);

  g_task_return_error (task, error);
}

/* --- Events that come too early ----------------------------------------------------------------------------------- */

static void
hold_event (AqmpClient *self,
            GBytes     *message)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  guint64 limit = aqmp_protocol_get_max_message_size (AQMP_PROTOCOL (self));

  priv->held_bytes += g_bytes_get_size (message);
  if (priv->held_bytes > limit)
    {
      g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, limit);

      fail (self, g_error_new (AQMP_ERROR, AQMP_ERROR_MESSAGE_TOO_LARGE,
                               _("The server sent more than %s bytes of events before the session was established"), number));
      return;
    }

  g_queue_push_tail (&priv->held_events, g_bytes_ref (message));
  read_next (self);
}

/* --- Negotiation -------------------------------------------------------------------------------------------------- */

static void
negotiate (AqmpClient *self)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  g_autoptr (GBytes) message = NULL;
  char *text;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  priv->negotiation_serial = ++priv->last_serial;
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));
  /* The property may change before the reply comes, but what was asked for does not. */
  priv->asked_for_oob = priv->enable_oob && aqmp_greeting_has_capability (priv->greeting, "oob");

  text = g_strdup_printf ("{\"execute\":\"qmp_capabilities\"%s,\"id\":\"" AQMP_GENERATED_ID_PREFIX "%" G_GUINT64_FORMAT
                          "\"}",
                          priv->asked_for_oob ? ",\"arguments\":{\"enable\":[\"oob\"]}" : "", priv->negotiation_serial);
  message = g_bytes_new_take (text, strlen (text));
  /* Nobody need wait for it to be written: if that fails, so does the attempt. A task that is still waiting when the session
     runs would, after a blocking call, have its callback in a context that is no more. */
  aqmp_protocol_queue_message (AQMP_PROTOCOL (self), message);
  read_next (self);
}

static gboolean
is_negotiation_reply (AqmpClient        *self,
                      const AqmpMessage *message)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  const AqmpJsonSpan *span = &message->members[AQMP_MEMBER_ID];
  const AqmpCallId expected = { priv->negotiation_serial, NULL };
  AqmpCallId id;
  gboolean equal;

  if (!aqmp_message_has (message, AQMP_MEMBER_ID))
    return TRUE;

  equal = aqmp_call_id_parse (&id, message->text + span->start, span->end - span->start) &&
          aqmp_call_id_equal (&id, &expected);
  aqmp_call_id_clear (&id);
  return equal;
}

static void
take_negotiation_reply (AqmpClient        *self,
                        const AqmpMessage *message)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  g_autoptr (GError) reply_error = NULL;
  g_autoptr (GTask) task = NULL;

  if (!is_negotiation_reply (self, message))
    {
      aqmp_protocol_log (AQMP_PROTOCOL (self), G_LOG_LEVEL_INFO, "dropped a message that is no reply to the negotiation");
      read_next (self);
      return;
    }

  reply_error = aqmp_message_check_reply (message);
  if (reply_error == NULL && aqmp_message_has (message, AQMP_MEMBER_ERROR))
    reply_error = aqmp_message_get_error (message);
  if (reply_error != NULL)
    {
      fail (self, g_error_new (AQMP_ERROR, AQMP_ERROR_NEGOTIATION, _("The server refused the negotiation: %s"),
                               reply_error->message));
      return;
    }

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  priv->ids_echoed = aqmp_message_has (message, AQMP_MEMBER_ID);
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  task = g_object_ref (priv->establishing);
  aqmp_client_set_oob_enabled (self, priv->asked_for_oob);
  /* A handler of that may have ended the attempt. */
  if (priv->establishing == task)
    succeed (self);
}

/* --- Greeting ----------------------------------------------------------------------------------------------------- */

static GError *
no_greeting (const AqmpMessage *message)
{
  g_autofree char *excerpt = aqmp_excerpt (message->text, message->length);

  return g_error_new (AQMP_ERROR, AQMP_ERROR_GREETING,
                      _("The server’s first message is no greeting, as it has no member “QMP”: %s"), excerpt);
}

static AqmpGreeting *
parse_greeting (const AqmpMessage  *message,
                GError            **error)
{
  const AqmpJsonSpan *span = &message->members[AQMP_MEMBER_QMP];
  g_autoptr (GError) local_error = NULL;
  AqmpGreeting *greeting;

  if (!aqmp_message_has (message, AQMP_MEMBER_QMP))
    {
      g_propagate_error (error, no_greeting (message));
      return NULL;
    }

  greeting = aqmp_greeting_new (message->text + span->start, span->end - span->start, &local_error);
  if (greeting == NULL)
    g_set_error_literal (error, AQMP_ERROR, AQMP_ERROR_GREETING, local_error->message);
  return greeting;
}

/* Before 8.0, QEMU takes one byte at a time, and waits for its socket to become readable in between: what TLS has taken from
   there already does not make it so. Everything but the last record gets through, and of that one byte. */
static gboolean
needs_last_byte_apart (AqmpGreeting *greeting)
{
  return aqmp_greeting_get_major (greeting) < 8;
}

static void
take_greeting (AqmpClient        *self,
               const AqmpMessage *message)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  g_autoptr (AqmpGreeting) greeting = NULL;
  g_autoptr (GTask) task = g_object_ref (priv->establishing);
  GError *error = NULL;

  greeting = parse_greeting (message, &error);
  if (greeting == NULL)
    {
      fail (self, error);
      return;
    }

  aqmp_protocol_set_last_byte_apart (AQMP_PROTOCOL (self), needs_last_byte_apart (greeting));
  aqmp_client_set_greeting (self, greeting);
  /* A handler of that may have ended the attempt. */
  if (priv->establishing != task)
    return;

  if (priv->negotiate)
    negotiate (self);
  else
    succeed (self);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static GError *
not_a_message (AqmpClient   *self,
               const GError *error)
{
  /* Whatever is wrong with the very first message, it is the greeting that is malformed. */
  if (error->code == AQMP_ERROR_UNEXPECTED_TYPE && aqmp_client_get_private (self)->greeting == NULL)
    return g_error_new_literal (AQMP_ERROR, AQMP_ERROR_GREETING, error->message);
  return g_error_copy (error);
}

/* QEMU 7.2 sends either, if rarely: a reply to what the client before has asked, ahead of the greeting; and a second greeting,
   to a client that connects while it is starting. */
static gboolean
is_stray (AqmpClient        *self,
          const AqmpMessage *message)
{
  gboolean is_reply = aqmp_message_has (message, AQMP_MEMBER_RETURN) || aqmp_message_has (message, AQMP_MEMBER_ERROR);
  gboolean has_id = aqmp_message_has (message, AQMP_MEMBER_ID);
  gboolean is_greeting = aqmp_message_has (message, AQMP_MEMBER_QMP);

  if (aqmp_client_get_private (self)->greeting == NULL)
    return is_reply && has_id && !is_greeting;
  return is_greeting && !is_reply && !has_id;
}

static void
take_message (AqmpClient *self,
              GBytes     *bytes)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  g_autoptr (GError) error = NULL;
  AqmpMessage message;

  if (!aqmp_message_init (&message, bytes, &error))
    fail (self, not_a_message (self, error));
  else if (aqmp_message_has (&message, AQMP_MEMBER_EVENT))
    hold_event (self, bytes);
  else if (is_stray (self, &message))
    {
      aqmp_protocol_log (AQMP_PROTOCOL (self), G_LOG_LEVEL_INFO, "dropped a message that is not meant for this session");
      read_next (self);
    }
  else if (priv->greeting == NULL)
    take_greeting (self, &message);
  else
    take_negotiation_reply (self, &message);
}

static void
message_read (GObject      *object,
              GAsyncResult *result,
              gpointer      user_data)
{
  AqmpClient *self = AQMP_CLIENT (object);
  g_autoptr (GTask) task = user_data;
  g_autoptr (GBytes) message = NULL;

  message = aqmp_protocol_read_message_finish (AQMP_PROTOCOL (object), result, NULL);

  /* No message means that the attempt has failed, and said so. */
  if (message != NULL && aqmp_client_get_private (self)->establishing == task)
    take_message (self, message);
}

static void
read_next (AqmpClient *self)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  aqmp_protocol_read_message_async (AQMP_PROTOCOL (self), NULL, message_read, g_object_ref (priv->establishing));
}

gboolean
aqmp_client_establish_session (AqmpProtocol  *protocol,
                               GTask         *task,
                               GError       **error)
{
  AqmpClient *self = AQMP_CLIENT (protocol);
  AqmpClientPrivate *priv = aqmp_client_get_private (self);

  /* Until its version is known. */
  aqmp_protocol_set_last_byte_apart (protocol, TRUE);

  if (!priv->await_greeting && !priv->negotiate)
    {
      g_task_return_boolean (task, TRUE);
      return TRUE;
    }

  g_set_object (&priv->establishing, task);
  read_next (self);
  return TRUE;
}
