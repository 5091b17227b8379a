/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "aqmp-json-private.h"
#include "aqmp-pending-private.h"

G_BEGIN_DECLS

/* A command that the caller has written as JSON text, checked. */
typedef struct
{
  const char *text;        /* (unowned): from its first brace */
  gsize       length;
  gboolean    has_id;
  AqmpCallId  id;          /* (owned): if it has one */
  gboolean    out_of_band;
  gboolean    quits;
} AqmpCommand;

/* AQMP_ERROR_INVALID_MESSAGE says what is wrong with it. */
gboolean aqmp_command_parse  (AqmpCommand  *self,
                              const char   *message,
                              GError      **error);
void     aqmp_command_clear  (AqmpCommand  *self);

/* As it was written, with an id put in if it had none. */
void     aqmp_command_append (AqmpCommand  *self,
                              guint64       serial,
                              GString      *out);

/* The other way: a command from its parts. AQMP_ERROR_INVALID_MESSAGE if they cannot be written as JSON; then @out is as
   it was. */
gboolean aqmp_command_compose (const char   *command,
                               gboolean      out_of_band,
                               JsonObject   *arguments,
                               guint64       serial,
                               GString      *out,
                               GError      **error);

gboolean aqmp_command_name_quits (const char *command);

G_END_DECLS
