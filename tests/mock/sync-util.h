/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of blocking calls do again and again. */

#pragma once

#include "client-util.h"

G_BEGIN_DECLS

/* ---- calls ------------------------------------------------------------------------------------------------------- */

typedef enum
{
  SYNC_EXECUTE,
  SYNC_EXECUTE_FULL,
  SYNC_EXECUTE_RAW,
  SYNC_N_FORMS
} SyncForm;

extern const char * const sync_form_names[SYNC_N_FORMS];

/* A blocking call of that form: what the command has returned, as JSON text. What the server answers with an error is a
   AQMP_EXEC_ERROR for each form. */
char       *sync_call            (SyncForm       form,
                                  AqmpClient    *client,
                                  const char    *command,
                                  GCancellable  *cancellable,
                                  GError       **error);
/* Has to succeed, and return this. */
#define sync_check(form, client, command, result) \
  G_STMT_START { \
    g_autoptr (GError) sync_error_ = NULL; \
    g_autofree char *sync_result_ = sync_call (form, client, command, NULL, &sync_error_); \
    \
    g_assert_no_error (sync_error_); \
    g_assert_cmpstr (sync_result_, ==, result); \
  } G_STMT_END

/* The mock expects the command and returns the value. */
void        sync_script          (MockServer    *mock,
                                  const char    *command,
                                  const char    *value);
/* Works: a command, expected by the mock and answered. Without any main loop. */
void        sync_ping            (AqmpClient    *client,
                                  MockServer    *mock);

/* A new client, connected to the mock, which negotiates: without any main loop. */
AqmpClient *sync_client_connect  (MockServer    *mock,
                                  MockGreeting   greeting);
/* The same with a client that does what it is told: see below. */
AqmpClient *sync_client_connect_obedient (MockServer *mock,
                                  MockGreeting   greeting);
/* Disconnects, without an error, and drops the last reference, which has to be the last one. Only the first needs no main
   loop. */
void        sync_client_close    (AqmpClient    *client);

/* ---- nothing else is dispatched ---------------------------------------------------------------------------------- */

/* A source of the test's in the thread-default context, of high priority and always ready. */
typedef struct
{
  GSource *source;    /* (owned) (nullable) */
  guint    n_sprung;
} SyncTrap;

void        sync_trap_set        (SyncTrap      *trap);
/* It was not dispatched. Removes it. */
void        sync_trap_check      (SyncTrap      *trap);

/* ---- another thread cancels -------------------------------------------------------------------------------------- */

/* Once it is told, by a virtual function for one. Join the thread. */
typedef struct
{
  GCancellable *cancellable;
  GMutex        lock;
  GCond         changed;
  gboolean      told;
} SyncCanceller;

GThread    *sync_canceller_start (SyncCanceller *canceller);
/* A deed. */
void        sync_canceller_tell  (AqmpClient    *client,
                                  gpointer       canceller);

/* ---- a class that does what it is told --------------------------------------------------------------------------- */

typedef enum
{
  SYNC_IN_ESTABLISH_SESSION,
  SYNC_IN_MESSAGE_RECEIVED,
  SYNC_IN_FILTER_INBOUND,
  SYNC_IN_FILTER_OUTBOUND,
  SYNC_IN_FRAME,
  SYNC_IN_SESSION_ENDED,
  SYNC_N_VFUNCS
} SyncVfunc;

extern const char * const sync_vfunc_names[SYNC_N_VFUNCS];

typedef void (*SyncDeed) (AqmpClient *client,
                          gpointer    data);

/* A subclass of AqmpClient, not connected. */
AqmpClient *sync_client_new      (void);
/* The next call of that virtual function does this first. With a @trigger: the next whose message has this in it. */
void        sync_client_once     (AqmpClient    *client,
                                  SyncVfunc      vfunc,
                                  const char    *trigger,
                                  SyncDeed       deed,
                                  gpointer       data);
/* Whether it has come to that. */
gboolean    sync_client_has_done (AqmpClient    *client,
                                  SyncVfunc      vfunc);

/* ---- paths ------------------------------------------------------------------------------------------------------- */

/* A test for each form, whose name is between the two; the form is its data. */
void        sync_add_for_forms   (const char    *prefix,
                                  const char    *suffix,
                                  GTestDataFunc  func);

G_END_DECLS
