/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-protocol.h"
#include "aqmp-tls-private.h"
#include "aqmp-transport-private.h"
#include "aqmp-waiters-private.h"

G_BEGIN_DECLS

/* Floor 2, file by file:
 *
 *   aqmp-protocol.c            the class: properties, signals, defaults of the virtual functions
 *   aqmp-protocol-tls.c        the properties for TLS
 *   aqmp-protocol-owner.c      whose thread it is, and what others want done there
 *   aqmp-protocol-session.c    the state machine up: an attempt, until RUNNING
 *   aqmp-protocol-connect.c    what begins one: connect and open
 *   aqmp-protocol-listen.c     likewise: start_server and accept
 *   aqmp-protocol-sync.c       the blocking forms of both, and of the end
 *   aqmp-protocol-drive.c      what happens in the owner's thread while it blocks
 *   aqmp-protocol-handshake.c  reading and writing single messages meanwhile
 *   aqmp-protocol-teardown.c   the state machine down: fail, disconnect, dispose, all on one path
 *   aqmp-protocol-messages.c   messages in and out, filters, flush
 *
 * Thread rule: states change in the thread that runs the owner's context, and everything is called from there. What
 * other threads may look at or add to is under the lock. */

typedef struct _AqmpAttempt AqmpAttempt;

/* What a subclass inside the library needs and no virtual function offers. Set in its instance init. */
typedef struct
{
  /* A new attempt: forget what belonged to the session before. */
  void     (*session_starting) (AqmpProtocol *self);
  /* Locked, at the moment when the state is no longer RUNNING: hand over all calls. */
  gpointer (*steal_calls)      (AqmpProtocol *self);
  /* Locked, when a clean disconnect begins: hand over the calls that are not queued for writing. */
  gpointer (*steal_held_calls) (AqmpProtocol *self);
  /* The last step of a teardown; also for what steal_held_calls returned. @cause: (nullable) */
  void     (*fail_calls)       (AqmpProtocol *self,
                                gpointer      calls,
                                const GError *cause);
  /* The session runs, and whoever connected knows; nothing has been read since the handshake. */
  void     (*session_started)  (AqmpProtocol *self);
  /* An event, before it is told to anybody else. */
  void     (*hear_event)       (AqmpProtocol *self,
                                AqmpEvent    *event);
  /* A handshake that calls nobody and cannot end before something came from the peer: connect may begin it within the call. */
  gboolean (*waits_for_peer)   (AqmpProtocol *self);
  /* The running session has failed with this: was that to be expected? */
  gboolean (*is_expected_end)  (AqmpProtocol *self,
                                const GError *error);
  /* filter_outbound put @replacement in the place of @original. */
  gboolean (*check_filtered)   (AqmpProtocol  *self,
                                GBytes        *original,
                                GBytes        *replacement,
                                GError       **error);
  /* (transfer full): for the log, without secrets */
  char *   (*describe_message) (AqmpProtocol *self,
                                GBytes       *message);
} AqmpProtocolHooks;

typedef struct
{
  const AqmpProtocolHooks *hooks;     /* never NULL */

  GMutex         lock;                /* taken before the transport's; never held while calling anybody's code */

  /* Under the lock; written only in the owner's context, but for the outbound messages. */
  AqmpRunstate   runstate;
  char          *name;                /* (owned) (nullable) */
  GMainContext  *context;             /* (owned) (nullable): the owner's; NULL before the first session */
  GThread       *owner_thread;        /* (owned) (nullable): the one that began the session */
  GThread       *claimer;             /* (owned) (nullable): the one that is beginning a session, or inside a blocking call */
  guint          n_claims;            /* of that thread, one inside the other */
  guint          n_telling;           /* deferred calls that the owner is just making */
  GQueue         invocations;         /* (element-type Invocation): what other threads want done in the owner's */
  GQueue         deferred_events;     /* (element-type Deferred) (owned): filled by the owner */
  GQueue         deferred_states;     /* likewise: states and properties */
  GQueue         deferred_calls;      /* likewise: all else */
  GSource       *deferral_marker;     /* (owned) (nullable): comes after all that was deferred */
  AqmpTransport *transport;           /* (owned) (nullable): while there is a stream */
  guint          n_becoming_idle;     /* IDLE, but the owner is still telling of it */
  guint64        last_token;          /* names outbound messages; never starts again */
  GQueue         unfiltered;          /* (element-type OutboundMessage): waiting for filter_outbound */
  gsize          unfiltered_bytes;
  GString       *composing;           /* (owned) (nullable): an outbound message that will be filtered */

  /* Owner's context. */
  AqmpAttempt   *attempt;             /* (owned) (nullable): while CONNECTING */
  guint64        session_serial;      /* counts the attempts */
  GIOStream     *stream;              /* (owned) (nullable) */
  GSocketAddress *listen_address;     /* (owned) (nullable): while listening */
  GError        *cause;               /* (owned) (nullable): why the session failed, until IDLE */
  GError        *result;              /* (owned) (nullable): what disconnect will report of it */
  gboolean       started;             /* messages are read and delivered */
  gboolean       flushing;            /* DISCONNECTING, but the session still writes, reads and routes */
  gboolean       over;                /* DISCONNECTING, and the session was torn down */
  gboolean       filtering;           /* inside filter_outbound */
  GBytes        *framed;              /* (unowned) (nullable): being delivered just as the framing found it */
  GSource       *flush_timeout_source; /* (owned) (nullable) */
  GSource       *finish_source;       /* (owned) (nullable): will end a disconnect */
  guint          n_vfuncs;            /* virtual functions that are running */
  guint          n_receiving;         /* of these, message_received */
  guint          n_drives;            /* blocking calls that drive the session */
  GMainContext  *outer_context;       /* (owned) (nullable): the owner's, while a blocking call has its own in @context */
  GMainContext  *inner_context;       /* (unowned) (nullable): that of the blocking call */
  gboolean       holds_outer;         /* and no other thread can run that meanwhile */
  GQueue         late_sources;        /* (element-type GSource) (owned): what was deferred, if another thread can */
  gboolean       has_deferred;        /* a blocking call has left something to the owner's context */
  gboolean       hears_all;           /* there was a handler for events of any name when that was looked for last */
  guint          n_dropped_events;    /* in the place of later ones */
  GQueue         handshake_inbox;     /* (element-type GBytes): read, but its reader was cancelled */

  AqmpWaiters    readers;             /* read_message: one at a time */
  AqmpWaiters    flushers;            /* flush, write_message */
  AqmpWaiters    disconnecters;       /* disconnect */
  AqmpWaiters    state_waiters[4];    /* wait_runstate, by the state that is known */

  AqmpTls        tls;                 /* for the next attempt */
  guint          tls_record_size;     /* 0: as large as the session needs them */
  gboolean       last_byte_apart;     /* the session needs a record of its own for it */
  guint64        max_message_size;
  guint          connect_timeout;
  guint          flush_timeout;
} AqmpProtocolPrivate;

/* From the object to that; known once the class is. */
extern gint aqmp_protocol_private_offset;

static inline AqmpProtocolPrivate *
aqmp_protocol_get_private (AqmpProtocol *self)
{
  return G_STRUCT_MEMBER_P (self, aqmp_protocol_private_offset);
}

static inline void
aqmp_protocol_lock (AqmpProtocol *self)
{
  g_mutex_lock (&aqmp_protocol_get_private (self)->lock);
}

static inline void
aqmp_protocol_unlock (AqmpProtocol *self)
{
  g_mutex_unlock (&aqmp_protocol_get_private (self)->lock);
}

/* --- For subclasses inside the library ---------------------------------------------------------------------------- */

void          aqmp_protocol_set_hooks             (AqmpProtocol            *self,
                                                   const AqmpProtocolHooks *hooks);

/* Locked. As the public function. */
gboolean      aqmp_protocol_require_runstate_locked (AqmpProtocol  *self,
                                                     AqmpRunstate   required,
                                                     GError       **error);

/* Locked, with a session: compose an outbound message by appending to the string; commit returns its token. @fds:
   (transfer full) (nullable): file descriptors that go with it, at most get_max_fds() */
GString      *aqmp_protocol_begin_message         (AqmpProtocol  *self);
guint64       aqmp_protocol_commit_message        (AqmpProtocol  *self,
                                                   GUnixFDList   *fds);
void          aqmp_protocol_rollback_message      (AqmpProtocol  *self);
/* Locked. How many file descriptors can go with a message: 0 unless the stream is a UNIX socket. */
guint         aqmp_protocol_get_max_fds           (AqmpProtocol  *self);
/* Locked. FALSE if it was written, at least partly. */
gboolean      aqmp_protocol_remove_message        (AqmpProtocol  *self,
                                                   guint64        token);
/* Locked. Messages up to this token were written, at least partly. */
guint64       aqmp_protocol_get_written_token     (AqmpProtocol  *self);

/* Whether the peer needs the last byte that it is sent in a TLS record of its own; not at the beginning of an attempt. */
void          aqmp_protocol_set_last_byte_apart   (AqmpProtocol  *self,
                                                   gboolean       last_byte_apart);

/* Inside message_received: whether @message is the very one that the frame function found last. */
gboolean      aqmp_protocol_is_as_framed          (AqmpProtocol  *self,
                                                   GBytes        *message);

/* Inside frame: whether a message of this length would go to message_received, and nobody else see it. */
gboolean      aqmp_protocol_passes_on             (AqmpProtocol  *self,
                                                   gsize          length);

/* Whether an event of this name would reach anybody. */
gboolean      aqmp_protocol_is_event_heard        (AqmpProtocol  *self,
                                                   const char    *name);

/* Before blocking. FALSE: this is inside one of the session's virtual functions. @context: (out) (transfer full) (nullable):
   the owner's, which no other thread can run until it is released; NULL if the session belongs to another thread */
gboolean      aqmp_protocol_acquire               (AqmpProtocol  *self,
                                                   GMainContext **context,
                                                   GError       **error);
GError       *aqmp_protocol_not_inside_vfunc      (AqmpProtocol  *self);
/* @context: (transfer full) (nullable) */
void          aqmp_protocol_release               (GMainContext  *context);
/* With the owner's context acquired: reads and writes, calling virtual functions and nobody else, until it is @done or the session is over.
   @deadline: monotonic, -1 for none. FALSE: G_IO_ERROR_CANCELLED or G_IO_ERROR_TIMED_OUT */
typedef gboolean (*AqmpDriveDone) (gpointer data);
gboolean      aqmp_protocol_drive                 (AqmpProtocol  *self,
                                                   AqmpDriveDone  done,
                                                   gpointer       data,
                                                   gint64         deadline,
                                                   GCancellable  *cancellable,
                                                   GError       **error);
/* Runs an asynchronous function to its end, for a blocking form of it. What is called meanwhile is the session's virtual functions,
   and what @begin itself makes the thread-default context call. (transfer full) (nullable): the result, for the finish
   function; NULL: not possible here. Any thread; in another than the owner's it waits for that. */
typedef void (*AqmpBeginFunc) (gpointer             data,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data);
GAsyncResult *aqmp_protocol_block                 (AqmpProtocol  *self,
                                                   AqmpBeginFunc  begin,
                                                   gpointer       data,
                                                   GError       **error);
/* Owner's thread: whether a blocking call is going on, so that nobody else may be called; and has that done later, in its turn, in
   the owner's context. Only destroyed, if another thread takes the object over before. */
gboolean      aqmp_protocol_is_deferring          (AqmpProtocol  *self);
void          aqmp_protocol_defer_call            (AqmpProtocol  *self,
                                                   GSourceFunc    func,
                                                   gpointer       data,
                                                   GDestroyNotify destroy);
/* (transfer none): where the owner's callbacks run, also during a blocking call that has a context of its own. */
GMainContext *aqmp_protocol_get_outer_context     (AqmpProtocol  *self);
/* Runs it in the owner's context: now, if this is the place. @func: returns G_SOURCE_REMOVE */
void          aqmp_protocol_invoke                (AqmpProtocol  *self,
                                                   GSourceFunc     func,
                                                   gpointer        data,
                                                   GDestroyNotify  destroy);
/* A task will be returned. */
void          aqmp_protocol_returns_task          (AqmpProtocol  *self);
/* Around calls of virtual functions; and around what message_received, but no other, calls that is free to block. */
static inline void
aqmp_protocol_enter_vfunc (AqmpProtocol *self)
{
  aqmp_protocol_get_private (self)->n_vfuncs++;
}

static inline void
aqmp_protocol_leave_vfunc (AqmpProtocol *self)
{
  aqmp_protocol_get_private (self)->n_vfuncs--;
}

guint         aqmp_protocol_suspend_vfuncs        (AqmpProtocol  *self);
void          aqmp_protocol_resume_vfuncs         (AqmpProtocol  *self,
                                                   guint          n_vfuncs);

/* A line in the log that says whose it is. */
void          aqmp_protocol_log                   (AqmpProtocol   *self,
                                                   GLogLevelFlags  level,
                                                   const char     *format,
                                                   ...) G_GNUC_PRINTF (3, 4);

/* --- Between the files of this floor ------------------------------------------------------------------------------ */

extern const AqmpTransportCallbacks aqmp_protocol_transport_callbacks;

/* (transfer full) (nullable): any thread */
char         *aqmp_protocol_dup_name              (AqmpProtocol   *self);

/* (transfer full) (nullable): the owner's context, acquired, if this thread is the one that runs it or could */
GMainContext *aqmp_protocol_acquire_context       (AqmpProtocol   *self);
GMainContext *aqmp_protocol_acquire_context_locked (AqmpProtocol *self);

/* What was not done yet, now. Owner's thread, inside a blocking call. */
void          aqmp_protocol_serve_invocations     (AqmpProtocol   *self);
/* Likewise: what a disconnect that is going on waits for besides the stream. Returns when to call it again, monotonic, -1 for never. */
gint64        aqmp_protocol_serve_disconnect      (AqmpProtocol   *self);

/* What an owner has left undone, and another thread does not do. */
typedef struct
{
  GQueue        sources;  /* (element-type GSource) (owned): that were still to be dispatched */
  GMainContext *context;  /* (owned) (nullable): where they are; its thread may just be letting it go */
} AqmpLeft;

/* Locked. From now on no other thread can begin a session or take one over. FALSE: another thread has done so. @left: (inout):
   for drop_left() */
gboolean      aqmp_protocol_claim_locked          (AqmpProtocol   *self,
                                                   AqmpLeft       *left);
void          aqmp_protocol_unclaim_locked        (AqmpProtocol   *self);
/* Not locked. */
void          aqmp_protocol_drop_left             (AqmpProtocol   *self,
                                                   AqmpLeft       *left);
/* The same for an object that has to be idle: an attempt is about to begin, which unclaims it. */
gboolean      aqmp_protocol_claim_idle            (AqmpProtocol   *self,
                                                   GError        **error);
GError       *aqmp_protocol_owned_elsewhere       (AqmpProtocol   *self);

/* Begins what a task is for in the owner's context. Until then, cancelling the task returns it, but keeps nothing from
   beginning. @task: (transfer full); @begin: called with the task */
void          aqmp_protocol_begin_task            (AqmpProtocol   *self,
                                                   GTask          *task,
                                                   GSourceFunc     begin);

/* While a blocking call runs, instead of telling at once. FALSE: it does not. An event that nobody hears is not kept. */
gboolean      aqmp_protocol_defer_event           (AqmpProtocol   *self,
                                                   AqmpEvent      *event);
gboolean      aqmp_protocol_defer_runstate        (AqmpProtocol   *self,
                                                   AqmpRunstate    runstate);
gboolean      aqmp_protocol_defer_notify          (AqmpProtocol   *self,
                                                   GParamSpec     *property);
/* Now, as there is a state that comes behind them. */
void          aqmp_protocol_tell_deferred_states  (AqmpProtocol   *self);
/* The blocking call ends: see to it that nothing overtakes what it has deferred. */
void          aqmp_protocol_settle_deferral       (AqmpProtocol   *self,
                                                   GMainContext   *context);
void          aqmp_protocol_resume_deferral       (AqmpProtocol   *self);
void          aqmp_protocol_clear_deferred        (AqmpProtocol   *self);
/* @stolen: (inout) (element-type GSource) (owned) */
void          aqmp_protocol_steal_deferred_locked (AqmpProtocol   *self,
                                                   GQueue         *stolen);
/* The session is served by another context from now on. */
void          aqmp_protocol_attach_to_context     (AqmpProtocol   *self,
                                                   GMainContext   *context);
/* A part of that. */
void          aqmp_protocol_move_listener         (AqmpProtocol   *self,
                                                   GMainContext   *context);
/* Around the handlers of signals: what they begin is to go on after a blocking call that has a context of its own. */
guint         aqmp_protocol_leave_inner_context   (AqmpProtocol   *self,
                                                   GMainContext  **inner);
void          aqmp_protocol_reenter_inner_context (GMainContext   *inner,
                                                   guint           n_left);

const char   *aqmp_protocol_get_runstate_nick     (AqmpRunstate    runstate);
void          aqmp_protocol_set_runstate          (AqmpProtocol   *self,
                                                   AqmpRunstate    runstate);
/* Tells everybody of a transition that was made. They may make others. */
void          aqmp_protocol_announce_runstate     (AqmpProtocol   *self,
                                                   AqmpRunstate    runstate);
/* The same, without what was deferred before it. */
void          aqmp_protocol_tell_runstate         (AqmpProtocol   *self,
                                                   AqmpRunstate    runstate);
/* Emits it, whatever is going on. */
void          aqmp_protocol_tell_event            (AqmpProtocol   *self,
                                                   AqmpEvent      *event);
void          aqmp_protocol_wake_state_waiters    (AqmpProtocol   *self);
/* Locked. This thread, which runs @context, owns the session. */
void          aqmp_protocol_set_owner_locked      (AqmpProtocol   *self,
                                                   GMainContext   *context);
void          aqmp_protocol_set_stream            (AqmpProtocol   *self,
                                                   GIOStream      *stream);
void          aqmp_protocol_set_listen_address    (AqmpProtocol   *self,
                                                   GSocketAddress *address);
/* Asks the handlers of the signal. */
gboolean      aqmp_protocol_accept_certificate    (AqmpProtocol        *self,
                                                   GTlsCertificate     *certificate,
                                                   GTlsCertificateFlags flags);

/* The properties for TLS, whose ids begin with that one. FALSE: it is none of them. */
#define AQMP_PROTOCOL_FIRST_TLS_PROPERTY 100
void          aqmp_protocol_tls_class_init        (GObjectClass   *klass);
gboolean      aqmp_protocol_tls_get_property      (AqmpProtocol   *self,
                                                   guint           property_id,
                                                   GValue         *value);
gboolean      aqmp_protocol_tls_set_property      (AqmpProtocol   *self,
                                                   guint           property_id,
                                                   const GValue   *value);
/* The session has a transport now. */
void          aqmp_protocol_apply_record_size     (AqmpProtocol   *self);

/* An error that a virtual function left, or else one that names the function. */
GError       *aqmp_protocol_error_from_vfunc      (AqmpProtocol   *self,
                                                   const char     *function,
                                                   GError         *error);

/* Ends whatever is going on; nothing if nothing is. */
void          aqmp_protocol_fail_session          (AqmpProtocol   *self,
                                                   const GError   *error);
/* The one teardown path. @cause: (nullable): a clean end. @result: (nullable): what disconnect will report */
void          aqmp_protocol_tear_down             (AqmpProtocol   *self,
                                                   const GError   *cause,
                                                   const GError   *result);
/* The same, and on to IDLE. */
void          aqmp_protocol_end                   (AqmpProtocol   *self,
                                                   const GError   *cause,
                                                   const GError   *result);
void          aqmp_protocol_dispose_session       (AqmpProtocol   *self);

/* With an attempt. */
void          aqmp_protocol_attempt_fail          (AqmpProtocol   *self,
                                                   const GError   *error);
/* Whether the handshake is going on: messages can be read and written one by one. */
gboolean      aqmp_protocol_is_establishing       (AqmpProtocol   *self);
/* Gives up the attempt without telling anybody. Returns its task: (transfer full) (nullable). @cancellable: (out)
   (optional) (transfer full): what is left to be cancelled, which calls whoever watches it: not before the state fits */
GTask        *aqmp_protocol_abandon_attempt       (AqmpProtocol   *self,
                                                   GCancellable  **cancellable);

void          aqmp_protocol_handshake_received    (AqmpProtocol   *self,
                                                   GBytes         *message);
/* The session runs; these tasks of its handshake were not returned before. @reader: (nullable) */
void          aqmp_protocol_return_handshake_tasks  (AqmpProtocol  *self,
                                                     GTask         *reader,
                                                     GQueue        *writers);
/* Before that: who cannot be told later. */
GQueue        aqmp_protocol_steal_handshake_writers (AqmpProtocol  *self);

/* The default of both filters. */
GBytes       *aqmp_protocol_pass_on               (AqmpProtocol   *self,
                                                   GBytes         *message,
                                                   GError        **error);
void          aqmp_protocol_queue_message         (AqmpProtocol   *self,
                                                   GBytes         *message);
/* Whether anything is still to be written. */
gboolean      aqmp_protocol_has_outbound          (AqmpProtocol   *self);
void          aqmp_protocol_clear_outbound        (AqmpProtocol   *self);
/* @task: of a flush */
gboolean      aqmp_protocol_begin_flush           (gpointer        task);

G_END_DECLS
