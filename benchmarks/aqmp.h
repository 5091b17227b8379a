/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The client over this library's public API, one kind of work a file. Option "form" says which functions it calls. */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

#include "bench.h"

G_BEGIN_DECLS

/* Connected; its owner is the default context. */
AqmpClient *new_session   (const Bench *bench);
/* And unrefs it. */
void        end_session   (AqmpClient  *client);

/* Calls in one of the asynchronous forms: "raw", "tree", or "parser", which is raw with json-glib's JsonParser after it. */
typedef struct
{
  const char *form;     /* (unowned) */
  char *message;        /* (owned): for the raw form */
  const char *command;  /* (unowned): for trees */
  JsonObject *arguments;/* (owned) (nullable) */
  JsonParser *parser;   /* (owned): used again and again */
} Call;

void        call_init     (Call                *self,
                           const Bench         *bench);
void        call_clear    (Call                *self);
void        call_start    (Call                *self,
                           AqmpClient          *client,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data);
/* Any failure ends the program. */
void        call_finish   (Call                *self,
                           GObject             *client,
                           GAsyncResult        *result);

void        run_calls     (Bench *bench);
void        run_blocking  (Bench *bench);
void        run_connects  (Bench *bench);
void        run_events    (Bench *bench);
void        run_memory    (Bench *bench);
void        run_pauses    (Bench *bench);
void        run_sessions  (Bench *bench);

G_END_DECLS
