/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of the TLS handshake share: this side of it, and a peer that uses GIO alone. */

#pragma once

#include <gio/gio.h>
#include <string.h>

#include "aqmp-glib/aqmp-tls-private.h"

#include "certificates.h"
#include "util.h"

G_BEGIN_DECLS

/* ---- a peer ------------------------------------------------------------------------------------------------------ */

/* In a thread: shakes hands, and then writes "hello" and reads one byte; or waits for the end, if it is to be refused. Waits
   for nothing longer than the bound. */
typedef struct
{
  GIOStream             *base;         /* (owned) */
  gboolean               is_server;
  GTlsCertificate       *certificate;  /* (owned) (nullable) */
  GTlsDatabase          *database;     /* (owned) (nullable): NULL: any certificate will do */
  GTlsAuthenticationMode mode;         /* of a server */
  gboolean               is_polite;    /* ends with a goodbye */
  gboolean               is_refused;   /* glib-networking 2.74 leaks an error if a client then reads or writes */
  GError                *error;        /* (owned) (nullable): of the handshake */
  GThread               *thread;
} Peer;

gpointer peer_run (gpointer data);
void peer_end (Peer *self);

/* ---- this side --------------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpTls             tls;
  GSocketConnectable *address;      /* (owned) (nullable): NULL on the server's side */
  GIOStream          *base;         /* (owned) */
  GCancellable       *cancellable;  /* (owned) (nullable) */
  Peer                peer;
  guint               n_fds;        /* open before */

  gboolean            accepts;      /* whatever certificate it is asked about */
  int                 n_asked;      /* atomic */
  GTlsCertificateFlags asked_flags;
  GThread            *asked_thread; /* (unowned) */
  gboolean            asked_in_context;
  GMainContext       *context;      /* (unowned) (nullable): the one that it should be asked in */
} Fixture;

/* This side is the client. */
gboolean be_client (Fixture    *self,
                    const char *servers,
                    const char *host);
gboolean be_server (Fixture                *self,
                    GTlsAuthenticationMode  mode,
                    const char             *clients);
gboolean on_accept (gpointer              user_data,
                    GTlsCertificate      *certificate,
                    GTlsCertificateFlags  flags);
GIOStream *handshake (Fixture  *self,
                      GError  **error);
GIOStream *handshake_with_peer (Fixture  *self,
                                GError  **error);

/* Before the test fails. */
void explain_by_peer (Fixture *self);

/* Data both ways, and the end; all streams are gone afterwards. */
void assert_talks (Fixture   *self,
                   GIOStream *stream);
void expect_success (Fixture *self);

/* (transfer full): the message; nothing is left of the connection. */
char *expect_failure (Fixture *self,
                      GQuark   domain,
                      int      code);

#define assert_contains(text, part) \
  G_STMT_START { \
    if (strstr (text, part) == NULL) \
      { \
        g_test_message ("“%s” should be in “%s”", part, text); \
        g_test_fail (); \
      } \
  } G_STMT_END

/* ---- the tests --------------------------------------------------------------------------------------------------- */

/* As "/tls/PATH". */
void add (const char    *path,
          gconstpointer  data,
          void         (*func) (Fixture *self, gconstpointer data));

/* As g_test_init(); what GLib opens once and keeps is opened then. */
void init_tls_tests (int    *argc,
                     char ***argv);

G_END_DECLS
