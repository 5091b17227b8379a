/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of listeners and of waits for events do again and again. */

#pragma once

#include "sync-util.h"

G_BEGIN_DECLS

/* A connected client; the mock negotiates. Its session is driven by the loop. */
AqmpClient        *event_connect      (MockServer         *mock);

/* All in one piece, so that they are read at once. @names: with a blank between them */
void               event_send_at_once (MockServer         *mock,
                                       const char         *names);

/* Without a filter. @names: (nullable): with a blank between them */
AqmpEventListener *event_listen       (AqmpClient         *client,
                                       const char         *names);

/* Takes all that waits to be taken, without waiting: the names, each with a blank behind it. */
char              *event_take         (AqmpEventListener  *listener);
#define event_check_taken(listener, expected) \
  G_STMT_START { \
    g_autofree char *event_names_ = event_take (listener); \
    g_assert_cmpstr (event_names_, ==, expected); \
  } G_STMT_END

/* The next one, in two steps and in one, with the loop. The name. */
void               event_start_next   (AqmpEventListener  *listener,
                                       GCancellable       *cancellable,
                                       TestSlot           *slot);
AqmpEvent         *event_finish       (TestSlot           *slot,
                                       GError            **error);
AqmpEvent         *event_next         (AqmpEventListener  *listener,
                                       GError            **error);
#define event_check_next(listener, expected) \
  G_STMT_START { \
    g_autoptr (GError) event_error_ = NULL; \
    g_autoptr (AqmpEvent) event_ = event_next (listener, &event_error_); \
    g_assert_no_error (event_error_); \
    g_assert_cmpstr (aqmp_event_get_name (event_), ==, expected); \
  } G_STMT_END
#define event_check_finish(slot, expected) \
  G_STMT_START { \
    g_autoptr (GError) event_error_ = NULL; \
    g_autoptr (AqmpEvent) event_ = event_finish (slot, &event_error_); \
    g_assert_no_error (event_error_); \
    g_assert_cmpstr (aqmp_event_get_name (event_), ==, expected); \
  } G_STMT_END
#define event_check_failure(slot, domain, code, text) \
  G_STMT_START { \
    g_autoptr (GError) event_error_ = NULL; \
    g_assert_null (event_finish (slot, &event_error_)); \
    test_assert_error (event_error_, domain, code, text); \
  } G_STMT_END

/* The same without any loop. */
#define event_check_next_sync(listener, expected) \
  G_STMT_START { \
    g_autoptr (GError) event_error_ = NULL; \
    g_autoptr (AqmpEvent) event_ = aqmp_event_listener_next_sync (listener, NULL, &event_error_); \
    g_assert_no_error (event_error_); \
    g_assert_cmpstr (aqmp_event_get_name (event_), ==, expected); \
  } G_STMT_END

/* Drops the last reference: that it was the last is checked. */
void               event_forget       (AqmpEventListener  *listener);

/* Ends the session, which the mock expects, and the client. */
void               event_close        (AqmpClient         *client,
                                       MockServer         *mock);

/* How many events were made and are gone since the last call. */
guint              event_count_made   (void);

G_END_DECLS
