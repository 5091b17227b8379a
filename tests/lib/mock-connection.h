/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The mock's end of a connection: bounded I/O in the mock's own thread, which never takes more from the kernel than it was
 * asked to, and knows with which byte file descriptors came.
 *
 * Errors are G_IO_ERROR: TIMED_OUT when nothing moved for test_bound_us(), CANCELLED when the mock was told to give up,
 * CONNECTION_CLOSED at the end of file, else what errno means.
 */

#pragma once

#include "mock-tls.h"

G_BEGIN_DECLS

typedef struct
{
  int      in_fd;       /* -1: not connected */
  int      out_fd;      /* the same descriptor for sockets */
  int      wake_fd;     /* (unowned): readable when the mock has to give up */
  gboolean is_socket;
  gboolean is_unix;
  int      held;        /* the one byte that peeking at a pipe took out of it, or -1 */
  MockTls *tls;         /* (owned) (nullable): the descriptors are its socket's */
} MockConnection;

/* Descriptors that came with data. */
typedef struct
{
  GArray *fds;          /* (element-type int) */
  gsize   offset;       /* the (last) byte they came with, in the caller's buffer */
} MockFds;

void     mock_connection_init            (MockConnection  *self,
                                          int              wake_fd);
/* Takes the descriptors. */
void     mock_connection_open            (MockConnection  *self,
                                          int              in_fd,
                                          int              out_fd);
/* Takes the connection. */
void     mock_connection_open_tls        (MockConnection  *self,
                                          MockTls         *tls);
gboolean mock_connection_is_open         (MockConnection  *self);
/* @is_polite: TLS says goodbye. */
void     mock_connection_close           (MockConnection  *self,
                                          gboolean         is_polite);

/* Waits for @events on any descriptor. @timeout_us -1: for test_bound_us(). */
gboolean mock_connection_wait            (MockConnection  *self,
                                          int              fd,
                                          short            events,
                                          gint64           timeout_us,
                                          GError         **error);

/* Waits until there is something to look at, or the end of file, or an error. */
gboolean mock_connection_wait_input      (MockConnection  *self,
                                          gint64           timeout_us,
                                          GError         **error);

/* Looks at what is there without taking it: how many bytes of @buffer were filled; 0 is the end of file, -1 an error
   (WOULD_BLOCK if there is nothing). */
gssize   mock_connection_peek_now        (MockConnection  *self,
                                          char            *buffer,
                                          gsize            size,
                                          GError         **error);

/* The same, waiting for something. */
gssize   mock_connection_peek            (MockConnection  *self,
                                          char            *buffer,
                                          gsize            size,
                                          GError         **error);

/* One whole JSON object or array, appended to @text. On failure @text has what came, taken or not. */
gboolean mock_connection_read_value      (MockConnection  *self,
                                          gboolean         skip_space,
                                          GString         *text,
                                          MockFds         *fds,
                                          GError         **error);

/* @length bytes, the same. */
gboolean mock_connection_read_bytes      (MockConnection  *self,
                                          gsize            length,
                                          GString         *text,
                                          MockFds         *fds,
                                          GError         **error);

/* Reads and forgets, until the end of file or a reset. */
gboolean mock_connection_read_until_gone (MockConnection  *self,
                                          GError         **error);

gboolean mock_connection_send            (MockConnection  *self,
                                          const char      *data,
                                          gsize            length,
                                          GError         **error);

gboolean mock_connection_shutdown_write  (MockConnection  *self,
                                          gboolean         is_polite,
                                          GError         **error);
gboolean mock_connection_reset           (MockConnection  *self,
                                          GError         **error);

G_END_DECLS
