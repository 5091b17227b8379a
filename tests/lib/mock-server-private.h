/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The mock server's inside: mock-script.c appends steps, mock-server.c runs them one by one in the mock's thread and lets
 * the test wait for it, mock-steps.c has what each of them does.
 */

#pragma once

#include "mock-connection.h"
#include "mock-server.h"
#include "util.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct _MockStep MockStep;

/* Runs in the mock's thread; an error ends the script. */
typedef gboolean (*MockStepFunc) (MockServer *mock, MockStep *step, GError **error);

struct _MockStep
{
  MockStepFunc  func;
  const char   *name;           /* (unowned) */
  const char   *file;           /* (unowned) */
  int           line;
  guint         number;         /* from 1 */

  /* What the step needs of these. */
  char         *text;           /* (owned) (nullable) */
  gsize         length;         /* of text */
  JsonNode     *pattern;        /* (owned) (nullable) */
  gsize         chunk_size;
  guint64       amount;         /* count, limit, number of descriptors, gate */
  guint         time;           /* in the unit of the step */
  guint         n_continues;    /* a pause: how many mock_continue() it takes; 0 otherwise */
};

typedef struct
{
  char   *text;             /* (owned) */
  char   *id;               /* (owned) (nullable) */
  GArray *fds;              /* (owned) (nullable) (element-type int) */
} MockRequest;

struct _MockServer
{
  GThread            *thread;           /* (owned) */

  /* The test's side only. */
  MockTransport       transport;
  gboolean            is_connecting;
  const char         *here_file;        /* (unowned): who is calling */
  int                 here_line;
  TestTmpDir         *dir;              /* (owned) (nullable) */
  char               *path;             /* (owned) (nullable) */
  char               *address_text;     /* (owned) (nullable) */
  GIOStream          *client_stream;    /* (owned) (nullable): not taken yet */
  guint               n_pauses;         /* scripted */
  guint               n_gates;          /* scripted */

  /* Set before the thread starts. */
  GSocketAddress     *address;          /* (owned) (nullable) */
  int                 listen_fd;        /* (owned): -1: none */
  MockTlsAcceptor    *acceptor;         /* (owned) (nullable): listening, TLS */
  gboolean            is_polite;        /* TLS says goodbye */
  int                 wake_fd;          /* (owned) */

  /* The mock's thread only. */
  MockConnection      connection;
  gboolean            had_connection;
  gboolean            unread_is_fine;
  gboolean            is_tls_client;    /* connecting, TLS; set before the first step, as what follows */
  MockTlsIdentity     tls_identity;

  /* Shared, under the lock. */
  GMutex              lock;
  GCond               cond;             /* anything here has changed */
  GMainContext       *waiting;          /* (owned) (nullable): to be woken too */
  GQueue              script;           /* (element-type MockStep): the first may be running */
  guint               n_scripted;
  guint               n_done;
  guint               n_continued;
  guint               gate;             /* the latest reached */
  guint               n_accepted;
  GArray             *fillers;          /* (owned) (element-type int): connections that fill the backlog */
  GPtrArray          *requests;         /* (owned) (element-type MockRequest): the first is the negotiation's, or NULL */
  gboolean            is_finishing;     /* nothing will be scripted or continued any more */
  gboolean            is_abandoned;     /* and nobody wants to know */
  gboolean            is_over;          /* the thread is about to end */
  char               *failure;          /* (owned) (nullable) */
};

/* mock-server.c */

/* With the lock: something has changed. */
void     mock_notify       (MockServer  *mock);

/* (transfer full): printable, and not too long. */
#define MOCK_EXCERPT 400
char    *mock_excerpt      (const char  *bytes,
                            gsize        length);

void     mock_step_free    (MockStep    *step);
void     mock_request_free (MockRequest *request);
void     mock_close_fds    (GArray      *fds);

/* mock-steps.c */

/* Whether nothing is left that the script should have taken. */
gboolean mock_check_end    (MockServer  *mock,
                            GError     **error);

gboolean mock_run_accept              (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_close               (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_cut                 (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_delay               (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_drain_backlog       (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect              (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_bytes        (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_capabilities (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_eof          (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_gone         (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_goodbye      (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_no_tls       (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_nothing      (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_expect_text         (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_flood               (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_gate                (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_reset               (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_send                (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_send_bytes          (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_send_repeated       (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_shutdown_write      (MockServer *mock, MockStep *step, GError **error);
gboolean mock_run_stop_reading        (MockServer *mock, MockStep *step, GError **error);

G_END_DECLS
