/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A peer that answers commands as fast as it can, in a thread of its own: for when how many come, and in which order, cannot be
 * known, so that no script would do.
 *
 *   {"execute":"any","arguments":{"n":1},"id":ID}   →   {"return":{"execute":"any","arguments":{"n":1},"id":ID},"id":ID}
 *
 * But "silent" is not answered; "gate" is answered right after the next "open"; and "event" is answered after an event NOTE,
 * whose data is {"n":N}, where N counts them from 1.
 */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

G_BEGIN_DECLS

typedef struct _EchoPeer EchoPeer;

typedef enum
{
  ECHO_PEER_SILENT_AT_FIRST,    /* no greeting */
  ECHO_PEER_OFFERS_OOB,
  ECHO_PEER_STARTS_WITH_EVENTS, /* no greeting either */
  ECHO_PEER_FLOODS,             /* sends such events as long as it can, and answers nothing */
} EchoPeerKind;

/* @stream: (out) (transfer full): the other end */
EchoPeer *echo_peer_new          (EchoPeerKind   kind,
                                  GIOStream    **stream);
/* Once the other end is closed: waits for the thread. */
void      echo_peer_free         (EchoPeer      *self);

/* How many commands of the name "silent" or "gate" have come, each of which wakes the default context up; and how many events
   went out. */
guint     echo_peer_get_n_silent (EchoPeer      *self);
guint     echo_peer_get_n_events (EchoPeer      *self);

/* A client for such a peer; its settings are those for it, and no session has begun. */
AqmpClient *echo_peer_new_client (EchoPeerKind   kind);
/* Such a client with a session, which belongs to this thread. */
AqmpClient *echo_peer_open       (EchoPeer     **self,
                                  EchoPeerKind   kind);

/* A command as text, the way that the library writes it. */
char     *echo_peer_command      (const char    *name,
                                  guint          n);
/* Whether this is the answer to it, as text: the whole or what "return" has. */
gboolean  echo_peer_is_answer    (const char    *text,
                                  const char    *name,
                                  guint          n);

G_END_DECLS
