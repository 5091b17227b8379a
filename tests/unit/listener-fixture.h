/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of the listening socket share: an owner, a place for a socket, and plain sockets to reach it with. */

#pragma once

#include <gio/gio.h>
#include <sys/un.h>

#include "aqmp-glib/aqmp-listener-private.h"

#include "util.h"

G_BEGIN_DECLS

/* ---- an owner ---------------------------------------------------------------------------------------------------- */

#define TEST_TYPE_OWNER (test_owner_get_type ())
G_DECLARE_FINAL_TYPE (TestOwner, test_owner, TEST, OWNER, GObject)

struct _TestOwner
{
  GObject            parent_instance;
  AqmpListener      *listener;   /* (owned) (nullable) */
  GSocketConnection *peer;       /* (owned) (nullable) */
  GError            *error;      /* (owned) (nullable) */
  guint              n_refused;
  int                n_calls;    /* atomic */
  GThread           *thread;     /* (unowned): where it was called */
  gboolean           keeps;      /* the listener, though it was told that this was all */
  void             (*on_peer) (TestOwner *self);
  gpointer           hook_data;
};

/* How many there are. */
int count_owners (void);

/* Any thread. */
void free_listener (TestOwner *self);
void on_peer (gpointer           owner,
              GSocketConnection *peer,
              guint              n_refused,
              const GError      *error);

/* (transfer full): one with a listener, which is not attached yet. */
TestOwner *owner_new (GSocketAddress *address);
void attach (TestOwner *self);

/* ---- a fixture --------------------------------------------------------------------------------------------------- */

typedef struct
{
  TestTmpDir     *dir;      /* (owned) */
  char           *path;     /* (owned): where nothing is yet */
  GSocketAddress *address;  /* (owned): that path */
  guint           n_fds;    /* open before */
} Fixture;

/* ---- plain sockets ----------------------------------------------------------------------------------------------- */

struct sockaddr_un unix_name (const char *path);

/* A socket bound to @path. */
int bind_plain (const char *path,
                int         type);

/* What a program leaves that has crashed. */
void leave_stale (const char *path);
int try_to_connect (GSocketAddress *address);
int connect_to (GSocketAddress *address);

/* The end, with or without a reset. */
gboolean is_gone (int fd);
int get_fd (GSocketConnection *connection);

/* @fd is the other end. */
void assert_peers (GSocketConnection *connection,
                   int                fd);

/* The only listening socket that there is. */
int find_listening_fd (void);
GSocketAddress *loopback (GSocketFamily family,
                          guint16       port);

/* ---- the tests --------------------------------------------------------------------------------------------------- */

/* As "/listener/PATH". */
void add (const char *path,
          gpointer    data,
          void      (*func) (Fixture *self, gconstpointer data));

/* As g_test_init(); what GLib opens once and keeps is opened then. */
void init_listener_tests (int    *argc,
                          char ***argv);

G_END_DECLS
