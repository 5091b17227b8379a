/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "aqmp-watch-private.h"

G_BEGIN_DECLS

#define AQMP_GENERATED_ID_PREFIX "aqmp-"

/* Names a call: a number that makes a generated id, or what the caller's own id decodes to. */
typedef struct
{
  guint64  serial;  /* 0: the caller's own */
  GBytes  *own;     /* (owned) (nullable): 's' and the characters, or 'i' and the decimal digits */
} AqmpCallId;

/* FALSE: neither a string nor an integer. @data: a value that was scanned. */
gboolean aqmp_call_id_parse (AqmpCallId   *self,
                             const guint8 *data,
                             gsize         length);
gboolean aqmp_call_id_equal (const AqmpCallId *a,
                             const AqmpCallId *b);
void     aqmp_call_id_clear (AqmpCallId   *self);

typedef enum
{
  AQMP_CALL_PENDING,
  AQMP_CALL_ABANDONED,  /* cancelled or timed out after it was written: its reply is swallowed */
  AQMP_CALL_ENDED,      /* no longer in the table: somebody is returning it */
} AqmpCallState;

/* A command that waits for its reply. An atomic GRcBox. */
typedef struct
{
  AqmpCallState state;
  GObject      *client;   /* (owned) (nullable) */
  GTask        *task;     /* (owned) (nullable): NULL once abandoned */
  AqmpWatch     watch;
  AqmpCallId    id;
  guint64       token;    /* of the outbound message */
  gboolean      quits;    /* it is the command that makes the server leave */
  GList         link;     /* in the table's order */
} AqmpCall;

AqmpCall *aqmp_call_new   (GTask    *task);
void      aqmp_call_unref (gpointer  self);
#define   aqmp_call_ref(self) ((AqmpCall *) g_atomic_rc_box_acquire (self))

/* All calls that wait, by id and in the order in which they were queued. Not locked: the client does that. */
typedef struct
{
  GHashTable *by_serial;    /* (owned) (element-type guint64 AqmpCall) */
  GHashTable *by_own_id;    /* (owned) (element-type GBytes AqmpCall) */
  GQueue      order;        /* (element-type AqmpCall): holds the references */
  guint       n_abandoned;
} AqmpPending;

void      aqmp_pending_init         (AqmpPending       *self);
void      aqmp_pending_clear        (AqmpPending       *self);

/* FALSE: the id is in use. */
gboolean  aqmp_pending_add          (AqmpPending       *self,
                                     AqmpCall          *call);
AqmpCall *aqmp_pending_find         (AqmpPending       *self,
                                     const AqmpCallId  *id);
/* The only call of which something was written, if there is just one. */
AqmpCall *aqmp_pending_find_sole    (AqmpPending       *self,
                                     guint64            written_token);
/* The call stays for its reply, but nobody waits for it. */
void      aqmp_pending_abandon      (AqmpPending       *self,
                                     AqmpCall          *call);
/* The one way out: it is ENDED; the reference passes to the caller, who stops the watch and then returns the task. */
void      aqmp_pending_remove       (AqmpPending       *self,
                                     AqmpCall          *call);

G_END_DECLS
