/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

/* Messages on their way out: their text in one buffer, and for each where it stands, so that one which has not begun to
   be written can still be taken back. File descriptors travel with the first byte of their message. Not locked: the owner
   does that. */
typedef struct
{
  GString *text;       /* (owned): what is not written yet, and may begin with some that is */
  guint64  text_start; /* position of its first byte in all that was ever queued */
  guint64  sent;       /* position up to which all is written or taken back */
  GArray  *records;    /* (owned) (element-type Record): in the order of their tokens */
  guint    first;      /* index of the first record that is not done with */
  guint    n_removed;  /* records not done with that were taken back */
  guint    n_with_fds; /* records whose descriptors are still here */
  gsize    composing;  /* where in @text the message being composed begins, or G_MAXSIZE */
  gsize    length;     /* bytes still to be written */
  guint64  written_token;
} AqmpWriteQueue;

void     aqmp_write_queue_init              (AqmpWriteQueue *self);
void     aqmp_write_queue_clear             (AqmpWriteQueue *self);

/* Compose a message by appending to the string that begin() returns; then commit it, or roll it back. Tokens name
   messages; each is greater than the one before. */
GString *aqmp_write_queue_begin             (AqmpWriteQueue *self);
/* @fds: (transfer full) (nullable): needs a message that is not empty */
void     aqmp_write_queue_commit            (AqmpWriteQueue *self,
                                             guint64         token,
                                             GUnixFDList    *fds);
void     aqmp_write_queue_rollback          (AqmpWriteQueue *self);

/* Takes a message back; FALSE if a byte of it is written already, or there is no such message. */
gboolean aqmp_write_queue_remove            (AqmpWriteQueue *self,
                                             guint64         token);

/* The next bytes to write, as at most @max pieces; returns how many. @fds: (out) (transfer none) (nullable): to be sent with
   the first of them; once that is written they are closed. */
guint    aqmp_write_queue_peek              (AqmpWriteQueue *self,
                                             GOutputVector  *pieces,
                                             guint           max,
                                             GUnixFDList   **fds);
void     aqmp_write_queue_advance           (AqmpWriteQueue *self,
                                             gsize           written);

gsize    aqmp_write_queue_get_length        (AqmpWriteQueue *self);
/* The token of the last message of which a byte is written; 0 for none. */
guint64  aqmp_write_queue_get_written_token (AqmpWriteQueue *self);

G_END_DECLS
