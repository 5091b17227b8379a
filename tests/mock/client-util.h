/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A client and what the tests of it do again and again: each call here is one of the library's with its wait. */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

#include "connecting.h"
#include "mock-server.h"
#include "transports.h"
#include "util.h"

G_BEGIN_DECLS

/* Text of @error: what is expected in it is there, and it is no longer than a person would read. */
#define test_assert_error(error, domain, code, text) \
  G_STMT_START { \
    g_assert_error ((error), (domain), (code)); \
    test_check_message ((error), (text), __FILE__, __LINE__, G_STRFUNC); \
  } G_STMT_END

void        test_check_message   (const GError  *error,
                                  const char    *text,
                                  const char    *file,
                                  int            line,
                                  const char    *function);

/* A new client, connected. */
AqmpClient *test_client_new      (MockServer    *mock);

gboolean    test_connect         (AqmpClient    *client,
                                  MockServer    *mock,
                                  GError       **error);
gboolean    test_disconnect      (AqmpClient    *client,
                                  GError       **error);

/* Disconnects, without an error, and drops the last reference: that it was the last is checked. */
void        test_client_close    (AqmpClient    *client);

/* Iterates until the session has ended. */
void        test_wait_failed     (AqmpClient    *client);

/* The result as JSON text. */
char       *test_execute         (AqmpClient    *client,
                                  const char    *command,
                                  const char    *arguments,
                                  GError       **error);
char       *test_execute_raw     (AqmpClient    *client,
                                  const char    *message,
                                  GError       **error);

/* The same in two steps. */
void        test_start           (AqmpClient    *client,
                                  const char    *command,
                                  GCancellable  *cancellable,
                                  TestSlot      *slot);
void        test_start_timeout   (AqmpClient    *client,
                                  const char    *command,
                                  int            timeout_ms,
                                  TestSlot      *slot);
void        test_start_raw       (AqmpClient    *client,
                                  const char    *message,
                                  GCancellable  *cancellable,
                                  TestSlot      *slot);
/* Of whichever of the three it was. */
char       *test_finish          (TestSlot      *slot,
                                  GError       **error);

/* A command, expected by the mock and answered: the session works. */
void        test_ping            (AqmpClient    *client,
                                  MockServer    *mock);

/* A handler of the event signal: appends the name and a blank. */
void        test_note_event      (AqmpClient    *client,
                                  AqmpEvent     *event,
                                  GString       *names);

/* Sanitizers and valgrind: what counts memory has nothing to say there. */
gboolean    test_is_instrumented (void);
/* So many times; but in valgrind, which runs one thread at a time, a hundredth. */
guint       test_scale_down      (guint          n_times);

G_END_DECLS
