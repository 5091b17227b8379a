/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#include "aqmp-blocking-private.h"
#include "aqmp-result-private.h"
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
  AQMP_CALL_WAITING,    /* held back: its command is not queued for writing yet */
  AQMP_CALL_ABANDONED,  /* cancelled or timed out after it was written: its reply is swallowed */
  AQMP_CALL_ENDED,      /* no longer in the table: somebody is returning it */
} AqmpCallState;

/* A command that waits for its reply. An atomic GRcBox. */
typedef struct _AqmpCall AqmpCall;

struct _AqmpCall
{
  AqmpCallState state;
  GObject      *client;      /* (unowned) (nullable): the source of the result, which keeps it */
  AqmpResult   *result;      /* (owned) (nullable): NULL once abandoned, and for a blocking call */
  AqmpBlocking *blocking;    /* (owned) (nullable): of a blocking call, until it is abandoned */
  AqmpWatch     watch;       /* of the result */
  guint         timeout_ms;
  AqmpCallId    id;
  guint64       token;       /* of the outbound message */
  gboolean      raw;         /* the reply is wanted as text, be it an error */
  gboolean      quits;       /* it is the command that makes the server leave */
  gboolean      out_of_band;
  gboolean      carries_fds; /* it is, or was, sent with file descriptors */
  GUnixFDList  *fds;         /* (owned) (nullable): until it is queued for writing */
  GString      *held_text;   /* (owned) (nullable): of its command, while it is held back */
  GList         link;        /* in one of the table's queues */
  AqmpCall     *next;        /* (unowned) (nullable): in its bucket of the table, which holds no references */
};

/* @result: (transfer full) */
AqmpCall *aqmp_call_new          (AqmpResult   *result);
AqmpCall *aqmp_call_new_blocking (AqmpBlocking *blocking);
void      aqmp_call_unref        (gpointer      self);
/* It is in the table, and somebody waits for it. */
gboolean  aqmp_call_is_awaited   (AqmpCall     *self);
#define   aqmp_call_ref(self) ((AqmpCall *) g_atomic_rc_box_acquire (self))

/* How many in-band commands may be outstanding once out-of-band execution is negotiated. QEMU reads no further, and so does
   not see an out-of-band command either, while it has more. */
#define AQMP_PENDING_MAX_IN_BAND 8

/* All calls that wait for their replies, by id and in the order in which they were queued for writing; and those that are
   held back. The queues hold the references. Not locked: the client does that. */
typedef struct
{
  AqmpCall  **buckets;      /* (owned) (nullable): those with a serial, by that; 2^n_bits of them */
  guint       n_bits;
  guint       n_by_serial;
  GHashTable *by_own_id;    /* (owned) (element-type GBytes AqmpCall) */
  GQueue      order;        /* (element-type AqmpCall) */
  GQueue      in_band;      /* (element-type AqmpCall): held back */
  GQueue      out_of_band;  /* (element-type AqmpCall): held back, for their descriptors only */
  guint       n_abandoned;
  guint       n_in_band;    /* of those in @order */
  guint       n_with_fds;   /* of those in @order */
} AqmpPending;

void      aqmp_pending_init         (AqmpPending       *self);
void      aqmp_pending_clear        (AqmpPending       *self);

/* With out-of-band execution negotiated, whether the call has to be held back for now: because too many in-band commands are
   outstanding, or another with descriptors is (QEMU closes those that it has not taken when the next come), or one that was
   there before is held back. */
gboolean  aqmp_pending_has_to_wait  (AqmpPending       *self,
                                     AqmpCall          *call);
/* @call: (transfer full) if that succeeds. @held_back: it waits for release(). FALSE: the id is in use. */
gboolean  aqmp_pending_add          (AqmpPending       *self,
                                     AqmpCall          *call,
                                     gboolean           held_back);
/* (transfer none) (nullable): one that was held back and need not be any longer; it is PENDING now. */
AqmpCall *aqmp_pending_release      (AqmpPending       *self);
/* (transfer full) (nullable): removes any one call that is held back. */
AqmpCall *aqmp_pending_steal_held   (AqmpPending       *self);
AqmpCall *aqmp_pending_find         (AqmpPending       *self,
                                     const AqmpCallId  *id);
/* The only call of which something was written, if there is just one. */
AqmpCall *aqmp_pending_find_sole    (AqmpPending       *self,
                                     guint64            written_token);
/* The call stays for its reply, but nobody waits for it. */
void      aqmp_pending_abandon      (AqmpPending       *self,
                                     AqmpCall          *call);
/* The one way out: it is ENDED; the reference passes to the caller, who stops the watch and then returns the result. */
void      aqmp_pending_remove       (AqmpPending       *self,
                                     AqmpCall          *call);

G_END_DECLS
