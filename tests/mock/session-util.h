/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of AqmpProtocol do again and again: a peer at the other end of a socket pair, in the hands of the test,
 * and each asynchronous call with its wait.
 */

#pragma once

#include "connecting.h"
#include "line-protocol.h"
#include "mock-server.h"
#include "transports.h"
#include "util.h"

G_BEGIN_DECLS

/* Domain, code, and what the message says: a pattern with * and ?. */
#define assert_error_like(error, domain, code, pattern) \
  G_STMT_START { \
    g_assert_error (error, domain, (int) (code)); \
    if (!g_pattern_match_simple (pattern, (error)->message)) \
      g_assertion_message_cmpstr (G_LOG_DOMAIN, __FILE__, __LINE__, G_STRFUNC, "message is like " #pattern, \
                                  (error)->message, "like", pattern); \
  } G_STMT_END

/* ---- the peer ---------------------------------------------------------------------------------------------------- */

typedef struct
{
  int      fd;      /* -1: closed */
  GThread *echo;    /* (owned) (nullable) */
} Peer;

#define PEER_INIT { -1, NULL }

/* (transfer full): the other end */
GIOStream *peer_connect     (Peer       *peer);
void       peer_send        (Peer       *peer,
                             const char *text);
/* Exactly this is what comes next; iterates the thread-default context meanwhile. */
void       peer_expect      (Peer       *peer,
                             const char *text);
/* Nothing but the end of file. */
void       peer_expect_eof  (Peer       *peer);
/* Reads and forgets until the end of file, or a reset; returns how much there was. */
gsize      peer_drain       (Peer       *peer);
/* Nothing has come. */
void       peer_expect_none (Peer       *peer);
void       peer_close       (Peer       *peer);
/* So that the other end sees a reset: what came is left unread. */
void       peer_reset       (Peer       *peer);
/* From now on a thread sends back all that comes, until the other end closes. */
void       peer_echo        (Peer       *peer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Peer, peer_close)

/* ---- the object -------------------------------------------------------------------------------------------------- */

/* Opens on a new pair, and waits for the result. */
gboolean   open_session     (LineProtocol  *protocol,
                             Peer          *peer,
                             GError       **error);
/* A new object on a new pair, running. */
LineProtocol *new_session   (Peer          *peer);
void       start_open       (LineProtocol  *protocol,
                             Peer          *peer,
                             GCancellable  *cancellable,
                             TestSlot      *slot);
gboolean   finish_open      (LineProtocol  *protocol,
                             TestSlot      *slot,
                             GError       **error);

gboolean   connect_session  (LineProtocol  *protocol,
                             MockServer    *mock,
                             GCancellable  *cancellable,
                             GError       **error);
gboolean   finish_connect   (LineProtocol  *protocol,
                             TestSlot      *slot,
                             GError       **error);

gboolean   disconnect_session (LineProtocol *protocol,
                             GError       **error);
gboolean   finish_disconnect_of (LineProtocol *protocol,
                             TestSlot      *slot,
                             GError       **error);
gboolean   flush_session    (LineProtocol  *protocol,
                             GError       **error);
gboolean   finish_flush     (LineProtocol  *protocol,
                             TestSlot      *slot,
                             GError       **error);

AqmpRunstate get_state      (LineProtocol  *protocol);
void       wait_state       (LineProtocol  *protocol,
                             AqmpRunstate   runstate);
/* Until there is this in the trace. */
void       wait_trace       (LineProtocol  *protocol,
                             const char    *what);
/* Until so much is queued that nothing more goes out. */
void       fill_queue       (LineProtocol  *protocol);

/* Drops the reference, which has to be the last one. */
void       end_object       (LineProtocol **protocol);
/* Disconnects without an error, and then that. */
void       end_session      (LineProtocol **protocol);

/* The blocking forms, which have to succeed. */
void       open_blocking    (LineProtocol  *protocol,
                             Peer          *peer);
void       disconnect_blocking (LineProtocol *protocol);

/* A whole session works on this object. */
void       check_usable     (LineProtocol  *protocol);

GBytes    *bytes_of         (const char    *text);

G_END_DECLS
