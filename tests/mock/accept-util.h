/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A line protocol that listens, and how far it has come. */

#pragma once

#include "listen-util.h"
#include "session-util.h"

G_BEGIN_DECLS

/* A session works, both ways. */
void     check_talks    (LineProtocol *protocol,
                         Peer         *peer);
/* From idle: a whole session with a peer that connects there. */
void     check_accepts  (Site         *site,
                         LineProtocol *protocol);

/* The moments between start_server and a session that greets. */
typedef enum
{
  WHEN_LISTENING,
  WHEN_PEER_WAITS,        /* and nobody accepts it */
  WHEN_ACCEPTING,
  WHEN_PEER_HAS_COME,     /* and the loop has not run since */
  WHEN_GREETING,
  /* Added to those from WHEN_ACCEPTING on: by start_server_and_accept. */
  WHEN_AT_ONCE = 0x10,
} When;

/* As far as that. @slot: of accept, if that has been called by then */
void     go_as_far_as   (When          when,
                         Site         *site,
                         LineProtocol *protocol,
                         GCancellable *cancellable,
                         Peer         *peer,
                         TestSlot     *slot);
gboolean has_accept     (When          when);
gboolean is_greeting    (When          when);
/* (transfer none): a pattern of the message then, of @cause. */
const char *explained   (When          when,
                         const char   *cause);

/* A test for each of these moments from @first on. */
void     add_for_each   (const char    *path,
                         When           first,
                         GTestDataFunc  func);

G_END_DECLS
