/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>

#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

/**
 * AqmpRunstate:
 * @AQMP_RUNSTATE_IDLE: no session, none being made
 * @AQMP_RUNSTATE_CONNECTING: a connection or its session is being established
 * @AQMP_RUNSTATE_RUNNING: a session is up; messages flow
 * @AQMP_RUNSTATE_DISCONNECTING: the session is over or ending; after a failure it stays so until
 *   [method@Protocol.disconnect_async] is called
 *
 * The state that an [class@Protocol] is in.
 *
 * Since: 1.0
 */
typedef enum
{
  AQMP_RUNSTATE_IDLE,
  AQMP_RUNSTATE_CONNECTING,
  AQMP_RUNSTATE_RUNNING,
  AQMP_RUNSTATE_DISCONNECTING,
} AqmpRunstate;

/**
 * AqmpExecuteFlags:
 * @AQMP_EXECUTE_FLAGS_NONE: an ordinary, in-band command
 * @AQMP_EXECUTE_FLAGS_OOB: out of band: at once, whatever other commands are being executed. Only few commands can be, and
 *   only if [property@Client:oob-enabled] is %TRUE
 *
 * How a command is executed.
 *
 * Since: 1.0
 */
typedef enum /*< flags >*/
{
  AQMP_EXECUTE_FLAGS_NONE = 0,
  AQMP_EXECUTE_FLAGS_OOB = 1 << 0,
} AqmpExecuteFlags;

G_END_DECLS
