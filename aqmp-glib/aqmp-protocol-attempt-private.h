/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-listener-private.h"
#include "aqmp-protocol-private.h"
#include "aqmp-tls-private.h"
#include "aqmp-watch-private.h"

G_BEGIN_DECLS

/* How far an attempt has come. */
typedef enum
{
  AQMP_ATTEMPT_CONNECTING,    /* to the peer, or it has still to connect */
  AQMP_ATTEMPT_SECURING,      /* TLS is being agreed on */
  AQMP_ATTEMPT_ESTABLISHING,  /* there is a stream, and the session is being established on it */
} AqmpAttemptStage;

/* From IDLE until the session runs or cannot: one connect or open, or one start_server and the accept that follows. Callbacks
   hold it by reference; once it is over they find nothing to do. */
struct _AqmpAttempt
{
  AqmpProtocol       *self;         /* (unowned): kept alive by the task; without one callbacks get it in other ways */
  gboolean            over;
  GTask              *task;         /* (owned) (nullable): the caller's; NULL once it is over, and while nobody accepts */
  GMainContext       *context;      /* (owned): the owner's */
  GCancellable       *cancellable;  /* (owned): its own; the caller's is only watched */
  AqmpWatch           watch;        /* of the caller's cancellable and the time */
  GSocketConnectable *address;      /* (owned) (nullable) */
  guint               timeout_ms;
  AqmpTls             tls;
  AqmpAttemptStage    stage;

  /* Of a server. */
  gboolean            is_server;
  AqmpListener       *listener;     /* (owned) (nullable): until the first peer */
  GIOStream          *peer;         /* (owned) (nullable): it has come, and nobody accepts yet */
  GError             *peer_error;   /* (owned) (nullable): none will come, and nobody accepts yet */
  GError             *failure;      /* (owned) (nullable): why it failed */
};

AqmpAttempt *aqmp_attempt_ref             (AqmpAttempt        *attempt);
void         aqmp_attempt_unref           (gpointer            attempt);

/* In the thread-default context of the caller. */
AqmpAttempt *aqmp_attempt_new             (AqmpProtocol       *self,
                                           GSocketConnectable *address);
/* Into CONNECTING. It may be over when this returns: handlers can disconnect, and a task may be cancelled already. */
void         aqmp_attempt_begin           (AqmpAttempt        *attempt);
/* Watches the cancellable of its task, and the time from now on. */
void         aqmp_attempt_watch           (AqmpAttempt        *attempt,
                                           gboolean            with_timeout);
void         aqmp_attempt_check_cancelled (AqmpAttempt        *attempt);
/* Goes on with a connection: TLS, if wanted, then the session. */
void         aqmp_attempt_take_connection (AqmpAttempt        *attempt,
                                           GIOStream          *connection);
/* Goes on with a stream as it is. */
void         aqmp_attempt_start_session   (AqmpAttempt        *attempt,
                                           GIOStream          *stream);
/* (transfer full): what the caller is told of @error. */
GError      *aqmp_attempt_explain         (AqmpAttempt        *attempt,
                                           const GError       *error);

/* A task for connect, accept and the like. */
GTask       *aqmp_protocol_new_task       (AqmpProtocol        *self,
                                           GCancellable        *cancellable,
                                           GAsyncReadyCallback  callback,
                                           gpointer             user_data,
                                           gpointer             source_tag,
                                           const char          *name);

G_END_DECLS
