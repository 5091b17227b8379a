/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "aqmp-json-private.h"

G_BEGIN_DECLS

/* What a message of a QMP server can say at its outermost level; what comes often is looked for first. */
typedef enum
{
  AQMP_MEMBER_RETURN,
  AQMP_MEMBER_ID,
  AQMP_MEMBER_EVENT,
  AQMP_MEMBER_TIMESTAMP,
  AQMP_MEMBER_DATA,
  AQMP_MEMBER_ERROR,
  AQMP_MEMBER_QMP,
  AQMP_N_MEMBERS
} AqmpMember;

/* The names for the scanner, in that order. */
extern const char * const aqmp_message_members[];

/* A message from a server, and where its parts are. Valid as long as the message is. */
typedef struct
{
  GBytes       *message;  /* (unowned) */
  const guint8 *text;
  gsize         length;
  AqmpJsonSpan  members[AQMP_N_MEMBERS];
} AqmpMessage;

/* From what the framing has found already. @scan: of this very message. AQMP_ERROR_UNEXPECTED_TYPE if it is no object. */
gboolean    aqmp_message_init_scanned (AqmpMessage         *self,
                                       GBytes              *message,
                                       const AqmpJsonScan  *scan,
                                       GError             **error);
/* From any bytes. AQMP_ERROR_PARSE as well. */
gboolean    aqmp_message_init         (AqmpMessage         *self,
                                       GBytes              *message,
                                       GError             **error);

gboolean    aqmp_message_has          (const AqmpMessage   *self,
                                       AqmpMember           member);
JsonNode   *aqmp_message_build        (const AqmpMessage   *self,
                                       AqmpMember           member,
                                       GError             **error);
/* (nullable): the member is not there, no string, or none that C can hold */
char       *aqmp_message_dup_string   (const AqmpMessage   *self,
                                       AqmpMember           member);

/* The error that a server has answered with (AQMP_EXEC_ERROR), or AQMP_ERROR_BAD_REPLY if it is malformed. */
GError     *aqmp_message_get_error    (const AqmpMessage   *self);
/* NULL if it is a sound reply, with a return or an error; else AQMP_ERROR_BAD_REPLY. */
GError     *aqmp_message_check_reply  (const AqmpMessage   *self);

G_END_DECLS
