/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-client.h"
#include "aqmp-event-queue-private.h"
#include "aqmp-message-private.h"
#include "aqmp-pending-private.h"

G_BEGIN_DECLS

/* Floor 3, file by file, besides the table of pending calls and the readings of messages and commands:
 *
 *   aqmp-client.c           the class: properties, and what ties it to the protocol
 *   aqmp-client-session.c   greeting and negotiation
 *   aqmp-client-route.c     what becomes of a message that arrives
 *   aqmp-client-calls.c     calls: from the caller to the outbound queue, and back
 *   aqmp-client-execute.c   what begins one: the asynchronous forms
 *   aqmp-client-sync.c      likewise: the blocking forms
 *   aqmp-client-listen.c    who listens for events, and what they get
 *   aqmp-client-wait.c      waiting for an event, with or without a command before it
 */
typedef struct
{
  /* Owner's context. */
  gboolean      await_greeting;
  gboolean      negotiate;
  gboolean      enable_oob;
  AqmpGreeting *greeting;        /* (owned) (nullable) */
  AqmpJsonScan  scan;            /* of the message that is being framed, or was framed last */
  char          heard_name[64];  /* of an event which is not ignored, for somebody hears it; "": it is none, or that was not found out */
  GTask        *establishing;    /* (owned) (nullable): while greeting and negotiating */
  GQueue        held_events;     /* (element-type GBytes): until the session runs */
  guint64       held_bytes;
  guint64       negotiation_serial;
  gboolean      asked_for_oob;   /* in the negotiation */
  gboolean      quit_answered;   /* the server said that it will leave */

  /* Under the protocol's lock. */
  AqmpPending   pending;
  guint64       last_serial;     /* of generated ids; never starts again */
  gboolean      ids_echoed;      /* a reply of this session carried an id */
  gboolean      oob_enabled;
  guint         call_timeout;
  GPtrArray    *queues;          /* (element-type AqmpEventQueue) (owned): of listeners */
} AqmpClientPrivate;

/* From the object to that; known once the class is. */
extern gint aqmp_client_private_offset;

static inline AqmpClientPrivate *
aqmp_client_get_private (AqmpClient *self)
{
  return G_STRUCT_MEMBER_P (self, aqmp_client_private_offset);
}

void               aqmp_client_set_greeting       (AqmpClient         *self,
                                                   AqmpGreeting       *greeting);
void               aqmp_client_set_oob_enabled    (AqmpClient         *self,
                                                   gboolean            oob_enabled);

/* Virtual function: greeting and negotiation. */
gboolean           aqmp_client_establish_session  (AqmpProtocol       *protocol,
                                                   GTask              *task,
                                                   GError            **error);

/* Virtual function: framing. The scanner of JSON does it: one pass finds where a message ends, whether it is valid, and where its
   parts are. */
gssize             aqmp_client_frame              (AqmpProtocol       *protocol,
                                                   const guint8       *data,
                                                   gsize               length,
                                                   gsize               scanned,
                                                   gboolean            at_eof,
                                                   gsize              *payload_length,
                                                   GError            **error);

/* Virtual function: routing. */
gboolean           aqmp_client_message_received   (AqmpProtocol       *protocol,
                                                   GBytes             *message,
                                                   GError            **error);
void               aqmp_client_dispatch_held      (AqmpClient         *self);
/* Whether the message that was just scanned is an event which nobody hears: then it need not even become a message. */
gboolean           aqmp_client_ignores            (AqmpClient         *self,
                                                   const guint8       *text,
                                                   gsize               length);

/* Whether any listener wants events of this name. Any thread. */
gboolean           aqmp_client_is_listened_for    (AqmpClient         *self,
                                                   const char         *name);
/* Hook: listeners come first. */
void               aqmp_client_hear_event         (AqmpProtocol       *protocol,
                                                   AqmpEvent          *event);
/* Any thread. A listener does not listen any more. */
void               aqmp_client_forget_queue       (AqmpClient         *self,
                                                   AqmpEventQueue     *queue);
/* Locked. (element-type GTask) (owned): whoever waits for an event of the session that has ended */
GQueue             aqmp_client_steal_waiters      (AqmpClient         *self);
/* At the very end: lets all filters go. */
void               aqmp_client_stop_queues        (AqmpClient         *self);

/* Locked. A call has left the table, so others that were held back may go. */
void               aqmp_client_release_calls      (AqmpClient         *self);

/* Hooks: the calls of a session that ends. */
gpointer           aqmp_client_steal_calls        (AqmpProtocol       *protocol);
gpointer           aqmp_client_steal_held_calls   (AqmpProtocol       *protocol);
void               aqmp_client_fail_calls         (AqmpProtocol       *protocol,
                                                   gpointer            calls,
                                                   const GError       *cause);

/* Begins a call. @call: (transfer full) if that succeeds. FALSE: nothing was sent, and nothing is pending. */
gboolean           aqmp_client_send_composed      (AqmpClient         *self,
                                                   AqmpCall           *call,
                                                   const char         *command,
                                                   JsonObject         *arguments,
                                                   GUnixFDList        *fd_list,
                                                   AqmpExecuteFlags    flags,
                                                   int                 timeout_ms,
                                                   GError            **error);
gboolean           aqmp_client_send_raw           (AqmpClient         *self,
                                                   AqmpCall           *call,
                                                   const char         *message,
                                                   GUnixFDList        *fd_list,
                                                   GError            **error);
/* Whoever has waited for it in the blocking form does not any more. FALSE: it is just being returned. */
gboolean           aqmp_client_give_up_call       (AqmpClient         *self,
                                                   AqmpCall           *call);
/* The tree of what a call that is not raw has returned. @reply: (transfer full) */
JsonNode          *aqmp_call_reply_build          (gpointer            reply,
                                                   GError            **error);

/* Returns a call that has left the table. @message: its reply */
void               aqmp_call_complete             (AqmpCall           *call,
                                                   const AqmpMessage  *message);

G_END_DECLS
