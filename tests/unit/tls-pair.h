/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The two ends of a TLS connection in one thread, by GIO alone; and what can be seen of it on the way. */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  GSocketConnection *near_base;  /* (owned) */
  GSocketConnection *far_base;   /* (owned) */
  GIOStream         *near;       /* (owned): a client, which takes an EOF without goodbye for one */
  GIOStream         *far;        /* (owned): a server, which wants a goodbye */
  int                near_fd;    /* (unowned) */
  int                far_fd;     /* (unowned) */
} TlsPair;

/* Over a UNIX socket pair, or over TCP. Needs test_have_certificates(). */
void     tls_pair_init         (TlsPair   *self,
                                gboolean   tcp);
void     tls_pair_clear        (TlsPair   *self);

/* (transfer full) (element-type guint): how much is in each of the records that have come to the far end as a whole, and
   were not read yet. */
GArray  *tls_pair_list_records (TlsPair   *self);

/* Reads at the far end what has come, until there is no more: bytes, 0 at the end after a goodbye, or -1. */
gssize   tls_pair_read         (TlsPair   *self,
                                char      *buffer,
                                gsize      size,
                                GError   **error);

/* One record. */
void     tls_pair_write        (TlsPair     *self,
                                const char  *data,
                                gsize        length);

G_END_DECLS
