/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-client-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-error-private.h"
#include "aqmp-event-private.h"
#include "aqmp-protocol-private.h"

/* Threads: the owner's. Only the table of calls is under the protocol's lock. */

/* --- Events ------------------------------------------------------------------------------------------------------- */

/* The text between the quotes, for names without escapes: all that exist. NULL for others. */
static const char *
plain_name (const guint8       *data,
            const AqmpJsonSpan *span,
            char               *buffer,
            gsize               size)
{
  const char *text = (const char *) data + span->start;
  gsize length = span->end - span->start;

  if (length - 1 > size || text[0] != '"' || memchr (text, '\\', length) != NULL)
    return NULL;

  memcpy (buffer, text + 1, length - 2);
  buffer[length - 2] = '\0';
  return buffer;
}

static gboolean
is_heard (AqmpClient *self,
          const char *name)
{
  return aqmp_protocol_is_event_heard (AQMP_PROTOCOL (self), name) || aqmp_client_is_listened_for (self, name);
}

/* FALSE: a subclass does one of that in its own way. */
static gboolean
frames_and_receives (AqmpProtocol *protocol)
{
  AqmpProtocolClass *klass = AQMP_PROTOCOL_GET_CLASS (protocol);

  return klass->frame == aqmp_client_frame && klass->message_received == aqmp_client_message_received;
}

gboolean
aqmp_client_ignores (AqmpClient   *self,
                     const guint8 *text,
                     gsize         length)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self);
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  const AqmpJsonSpan *span = &priv->scan.members[AQMP_MEMBER_EVENT];
  const char *name;

  *priv->heard_name = '\0';
  if (span->start == span->end || !aqmp_protocol_passes_on (protocol, length) || !frames_and_receives (protocol))
    return FALSE;

  name = plain_name (text, span, priv->heard_name, sizeof priv->heard_name);
  return name != NULL && *name != '\0' && !is_heard (self, name);
}

static void
emit_event (AqmpClient        *self,
            const char        *name,
            const AqmpMessage *message)
{
  AqmpEvent *event = aqmp_event_new_from_message (name, message->message, message->members[AQMP_MEMBER_TIMESTAMP],
                                                  message->members[AQMP_MEMBER_DATA]);

  aqmp_protocol_emit_event (AQMP_PROTOCOL (self), event);
  aqmp_event_let_go (event);
}

static void
route_event (AqmpClient        *self,
             const AqmpMessage *message)
{
  char buffer[64];
  const char *name = plain_name (message->text, &message->members[AQMP_MEMBER_EVENT], buffer, sizeof buffer);
  g_autofree char *unusual_name = NULL;

  if (name == NULL)
    name = unusual_name = aqmp_message_dup_string (message, AQMP_MEMBER_EVENT);

  if (name == NULL || *name == '\0')
    aqmp_protocol_log (AQMP_PROTOCOL (self), G_LOG_LEVEL_INFO, "dropped an event whose name is no usable string");
  else if (is_heard (self, name))
    emit_event (self, name, message);
}

void
aqmp_client_dispatch_held (AqmpClient *self)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  GBytes *bytes;

  while ((bytes = g_queue_pop_head (&priv->held_events)) != NULL)
    {
      AqmpMessage message;

      priv->held_bytes -= g_bytes_get_size (bytes);
      if (aqmp_message_init (&message, bytes, NULL))
        route_event (self, &message);
      g_bytes_unref (bytes);
    }
}

/* --- Replies ------------------------------------------------------------------------------------------------------ */

/* Locked. The call that a reply is for, or NULL. */
static AqmpCall *
find_call (AqmpClient        *self,
           const AqmpMessage *message)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  const AqmpJsonSpan *span = &message->members[AQMP_MEMBER_ID];
  AqmpCall *call = NULL;
  AqmpCallId id;

  if (!aqmp_message_has (message, AQMP_MEMBER_ID))
    {
      /* Old guest agents do not send ids back. */
      if (priv->ids_echoed)
        return NULL;
      return aqmp_pending_find_sole (&priv->pending, aqmp_protocol_get_written_token (AQMP_PROTOCOL (self)));
    }

  priv->ids_echoed = TRUE;
  if (aqmp_call_id_parse (&id, message->text + span->start, span->end - span->start))
    call = aqmp_pending_find (&priv->pending, &id);
  aqmp_call_id_clear (&id);
  return call;
}

typedef enum
{
  REPLY_ANSWERS,      /* a call that somebody waits for */
  REPLY_IS_SWALLOWED, /* somebody has given up waiting for it */
  REPLY_IS_UNKNOWN,
} ReplyFate;

/* @call: (out) (transfer full): what the reply answers, out of the table */
static ReplyFate
match_reply (AqmpClient         *self,
             const AqmpMessage  *message,
             AqmpCall          **call)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  ReplyFate fate = REPLY_ANSWERS;

  aqmp_protocol_lock (AQMP_PROTOCOL (self));
  *call = find_call (self, message);
  if (*call == NULL)
    fate = priv->pending.n_abandoned > 0 ? REPLY_IS_SWALLOWED : REPLY_IS_UNKNOWN;
  else
    {
      if ((*call)->state == AQMP_CALL_ABANDONED)
        fate = REPLY_IS_SWALLOWED;
      aqmp_pending_remove (&priv->pending, *call);
      aqmp_client_release_calls (self);
    }
  aqmp_protocol_unlock (AQMP_PROTOCOL (self));

  return fate;
}

static gboolean
drop_unknown (AqmpClient         *self,
              const AqmpMessage  *message,
              GError            **error)
{
  g_autoptr (GError) server_error = NULL;

  if (aqmp_message_has (message, AQMP_MEMBER_ID) || !aqmp_message_has (message, AQMP_MEMBER_ERROR))
    {
      aqmp_protocol_log (AQMP_PROTOCOL (self), G_LOG_LEVEL_INFO, "dropped a message that answers no call");
      return TRUE;
    }

  server_error = aqmp_message_get_error (message);
  g_set_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE, _("The server could not read what it was sent: %s"),
               server_error->message);
  return FALSE;
}

/* The callback is the caller's code, and no part of the virtual function that has led here. */
static void
complete (AqmpClient        *self,
          AqmpCall          *call,
          const AqmpMessage *message)
{
  guint n_vfuncs = aqmp_protocol_suspend_vfuncs (AQMP_PROTOCOL (self));

  aqmp_call_complete (call, message);
  aqmp_protocol_resume_vfuncs (AQMP_PROTOCOL (self), n_vfuncs);
}

static gboolean
route_reply (AqmpClient         *self,
             const AqmpMessage  *message,
             GError            **error)
{
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  AqmpCall *call;
  ReplyFate fate = match_reply (self, message, &call);

  if (call != NULL && call->quits && aqmp_message_has (message, AQMP_MEMBER_RETURN) &&
      !aqmp_message_has (message, AQMP_MEMBER_ERROR))
    priv->quit_answered = TRUE;

  if (fate == REPLY_ANSWERS)
    complete (self, call, message);

  g_clear_pointer (&call, aqmp_call_unref);
  return fate != REPLY_IS_UNKNOWN || drop_unknown (self, message, error);
}

/* --- Routing ------------------------------------------------------------------------------------------------------ */

/* Whether these very bytes were scanned last. A subclass that frames in its own way may have had others scanned, or none. */
static gboolean
is_scanned (AqmpProtocol *protocol,
            GBytes       *bytes)
{
  return AQMP_PROTOCOL_GET_CLASS (protocol)->frame == aqmp_client_frame && aqmp_protocol_is_as_framed (protocol, bytes);
}

gboolean
aqmp_client_message_received (AqmpProtocol  *protocol,
                              GBytes        *bytes,
                              GError       **error)
{
  AqmpClient *self = AQMP_CLIENT (protocol);
  AqmpClientPrivate *priv = aqmp_client_get_private (self);
  gboolean scanned = is_scanned (protocol, bytes);
  AqmpMessage message;
  gboolean is_message;

  /* What the framing has found out already need not be found out again. */
  if (scanned)
    is_message = aqmp_message_init_scanned (&message, bytes, &priv->scan, error);
  else
    is_message = aqmp_message_init (&message, bytes, error);

  if (!is_message)
    return FALSE;

  if (!aqmp_message_has (&message, AQMP_MEMBER_EVENT))
    return route_reply (self, &message, error);

  if (scanned && *priv->heard_name != '\0')
    emit_event (self, priv->heard_name, &message);
  else
    route_event (self, &message);
  return TRUE;
}
