/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* For tests in which one object has several owners, one after the other or at the same time. */

#pragma once

#include "client-util.h"
#include "echo-peer.h"

G_BEGIN_DECLS

/* What another thread makes true, without waking anybody up. */
#define wait_elsewhere(condition) \
  G_STMT_START { \
    gint64 wait_deadline_ = g_get_monotonic_time () + test_bound_us (); \
    while (!(condition)) \
      { \
        g_assert_cmpint (g_get_monotonic_time (), <, wait_deadline_); \
        g_thread_yield (); \
      } \
  } G_STMT_END

/* A command, or its end, that has to succeed. */
void     owner_check_call       (AqmpClient *client,
                                 const char *command);
void     owner_check_disconnect (AqmpClient *client);

/* FALSE: another thread has the object. */
gboolean owner_try_open         (AqmpClient *client,
                                 GIOStream  *stream);
/* Again and again, until none has it any more. */
void     owner_open_at_last     (AqmpClient *client,
                                 GIOStream  *stream);
/* Closes the stream, too. */
void     owner_free_peer        (EchoPeer   *peer,
                                 GIOStream  *stream);
/* The object is usable: a whole session. */
void     owner_check_session    (AqmpClient *client);
/* Drops the reference, which has to be the last one. */
void     owner_end_client       (AqmpClient *client);

G_END_DECLS
