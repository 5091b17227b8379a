/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of listening share: a place to listen at, and connecting to it by hand. */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

#include "util.h"

G_BEGIN_DECLS

typedef enum
{
  SITE_PATH,       /* in a private directory */
  SITE_ABSTRACT,
  SITE_TCP,        /* the system chooses the port */
  SITE_TCP6,
} SiteKind;

/* At its end nobody listens there any more, and nothing is left on disk: that is checked. */
typedef struct
{
  SiteKind        kind;
  TestTmpDir     *dir;      /* (owned) */
  char           *path;     /* (owned): a path in it, whatever the kind */
  GSocketAddress *address;  /* (owned): where to listen */
  GSocketAddress *bound;    /* (owned) (nullable): where somebody has listened, with the port */
} Site;

Site     site_make         (SiteKind        kind);
void     site_clear        (Site           *site);

/* start_server, which has to succeed. */
void     site_listen       (Site           *site,
                            gpointer        protocol);
/* start_server_and_accept; its result is for finish_accept(). */
void     site_serve        (Site           *site,
                            gpointer        protocol,
                            GCancellable   *cancellable,
                            TestSlot       *slot);
/* A connection to whoever listens there; there has to be somebody. */
int      site_dial         (Site           *site);
/* -1: nobody listens */
int      site_try          (Site           *site);
/* Nobody in this process listens, and the path is free. */
void     site_expect_free  (Site           *site);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Site, site_clear)

/* Whether this machine has it; else the test is skipped. */
gboolean site_is_possible  (SiteKind        kind);
/* "/protocol/S8/one-peer" and the kind */
char    *site_test_path    (const char     *path,
                            SiteKind        kind);
#define SITE_N_KINDS 4

/* Whether there is anything at the path. */
gboolean path_is_taken     (const char     *path);

/* (transfer full): of what aqmp_address_parse() takes, host names excepted. */
GSocketAddress *parse_socket_address (const char *address);

void     start_accept      (gpointer        protocol,
                            GCancellable   *cancellable,
                            TestSlot       *slot);
/* Of accept and of start_server_and_accept. */
gboolean finish_accept     (gpointer        protocol,
                            TestSlot       *slot,
                            GError        **error);

/* Runs the loop for so long: for behaviour that is made of time. */
void     pass_time         (guint           milliseconds);

G_END_DECLS
