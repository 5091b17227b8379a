/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A listening socket that lets in one peer.
 *
 * It is bound and listens when it was made, so that peers can connect at once; they are looked at from when it is
 * attached. It holds its owner weakly, and takes a strong reference for as long as it
 * calls it.
 *
 * A UNIX socket is made without access for others, in the place of one that nobody listens on any more if need be; it is
 * unlinked when the listener is freed. Nothing else at its path is ever touched. */
typedef struct _AqmpListener AqmpListener;

/* In the context where it is attached, once: the owner then frees the listener. @peer: (nullable): or else @error says why there will be
   none. @n_refused: how many more were there, and were closed. */
typedef void (*AqmpListenerFunc) (gpointer           owner,
                                  GSocketConnection *peer,
                                  guint              n_refused,
                                  const GError      *error);

AqmpListener   *aqmp_listener_new         (GSocketAddress    *address,
                                           GError           **error);
/* (transfer none): where it listens, with the port that the system has chosen. */
GSocketAddress *aqmp_listener_get_address (AqmpListener      *self);
/* Leaves the context where it was attached before. */
void            aqmp_listener_attach      (AqmpListener      *self,
                                           GMainContext      *context,
                                           GObject           *owner,
                                           AqmpListenerFunc   func);
/* Any thread. Nothing is called after it but what is being called already. */
void            aqmp_listener_free        (AqmpListener      *self);

G_END_DECLS
