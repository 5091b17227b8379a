/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Sessions with real servers, one step after the other: each function iterates the thread-default main context until what it
 * began is done (bounded, see util.h).
 */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

#include "qemu.h"
#include "util.h"

G_BEGIN_DECLS

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

/* By connecting where there is an address, else by opening the server's one stream. */
gboolean    session_connect      (AqmpClient          *client,
                                  Qemu                *qemu,
                                  GError             **error);

gboolean    session_connect_to   (AqmpClient          *client,
                                  GSocketConnectable  *address,
                                  GError             **error);

gboolean    session_open         (AqmpClient          *client,
                                  GIOStream           *stream,
                                  GError             **error);

gboolean    session_disconnect   (AqmpClient          *client,
                                  GError             **error);

/* (transfer full): a client with a session that runs; connecting must not fail. */
AqmpClient *session_new          (Qemu                *qemu);

/* Disconnects, which must not fail, and drops the reference. */
void        session_end          (AqmpClient          *client);

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* @arguments: (nullable): JSON text. (transfer full) (nullable) */
JsonNode   *session_execute      (AqmpClient          *client,
                                  const char          *command,
                                  const char          *arguments,
                                  GError             **error);

/* Has to succeed; the blocking form likewise. @arguments: (nullable): JSON text. */
void        session_do           (AqmpClient          *client,
                                  const char          *command,
                                  const char          *arguments);
void        session_do_sync      (AqmpClient          *client,
                                  const char          *command);

/* (transfer full) (nullable): the text of the reply. */
char       *session_execute_raw  (AqmpClient          *client,
                                  const char          *message,
                                  GError             **error);

/* Begins a command whose result goes to @slot. @arguments: (nullable): JSON text. */
void        session_begin        (AqmpClient          *client,
                                  const char          *command,
                                  const char          *arguments,
                                  GCancellable        *cancellable,
                                  TestSlot            *slot);

/* Its end. (transfer full) (nullable) */
JsonNode   *session_await        (TestSlot            *slot,
                                  GError             **error);

/* What works on any server at any time does: "query-version", of the major version that was greeted with. */
void        session_check_works  (AqmpClient          *client);

/* Waits until all that is queued was written. The server may not have read it. */
void        session_wait_written (AqmpClient          *client);

/* Queues more white space, which means nothing to the server, than the kernel takes from us as long as the server does not
   read. The session must be on a socket. */
void        session_stuff        (AqmpClient          *client);

/* Waits, without iterating the main context, until the server has sent something. The session must be on a socket. */
void        session_wait_arrived (AqmpClient          *client);

/* Makes QEMU hang in a command: begins a "blockdev-add" that talks to a block server which never answers; returns once QEMU
   has connected to that. (transfer full): hold it as long as QEMU has to hang. */
GObject    *session_begin_hang   (AqmpClient          *client,
                                  Qemu                *qemu,
                                  TestSlot            *slot);

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* Records the runstates that the client goes through, as "connecting running"; asserts that property and signal agree. */
GString    *session_record       (AqmpClient          *client);

G_END_DECLS
