/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A peer that follows a script.
 *
 *   g_autoptr(MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
 *
 *   mock_negotiate (mock, MOCK_GREETING_OOB);
 *   mock_expect (mock, "{'execute': 'query-status'}");
 *   mock_return (mock, "{'running': true}");
 *   mock_expect_eof (mock);
 *   … connect to mock_get_connectable (mock), run the client …
 *   mock_finish (g_steal_pointer (&mock));
 *
 * The mock runs in its own thread on its own descriptors and needs no main loop. Each step function appends one step
 * and returns at once; steps run in order, as soon as those before are done, also while the test goes on appending. A
 * step that fails prints why, ends the script and closes the connection; waiting for the mock, or mock_finish(), then
 * ends the test with the number of the step, the line that scripted it, and what was got and expected.
 *
 * The first step that needs a connection waits for it. Nothing is read beyond what a step expects: what was not expected
 * yet stays in the kernel. Each step gives up when nothing has moved for test_bound_us() (10 s, AQMP_TEST_TIMEOUT_SCALE).
 *
 * Texts. Where a function takes JSON, a text without any double quote may use single quotes instead: they become double
 * quotes. A template may refer to requests that came before, by the exact bytes of their ids:
 *   @ID@       of the latest request            @ID:3@     of the third (from 1, over all connections of this mock)
 *   @ID:0@     of the latest qmp_capabilities that mock_negotiate() took, which does not count as a request
 * A request is what mock_expect(), mock_expect_text() or mock_expect_with_fds() took. One without id has none to refer to:
 * the step that does fails.
 *
 * Bytes that nobody expected are seen by mock_finish() only if they have come by then: end a script with mock_expect_eof()
 * where it matters.
 *
 * Threads: all functions are for the thread that called mock_new().
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  MOCK_TRANSPORT_UNIX,          /* listens on a socket in a private directory; or what test_transport_get() says instead */
  MOCK_TRANSPORT_TCP,           /* listens on 127.0.0.1, port chosen by the system */
  MOCK_TRANSPORT_TLS,           /* the same, speaking TLS: see mock_set_tls() */
  MOCK_TRANSPORT_SOCKETPAIR,    /* connected from the beginning; take the client's end with mock_get_stream() */
  MOCK_TRANSPORT_PIPES,         /* the same over two pipes */
} MockTransport;

typedef enum
{
  MOCK_GREETING_PLAIN,          /* no capabilities: QEMU's storage daemon, older QEMU */
  MOCK_GREETING_OOB,            /* offers oob */
} MockGreeting;

typedef struct _MockServer MockServer;

/* ---- life -------------------------------------------------------------------------------------------------------- */

MockServer *mock_new            (MockTransport       transport);

/* Connects instead of listening, for a client under test that listens. It connects when the first step that needs a
   connection runs, and again at mock_accept(); the address must be one that is listening by then. */
MockServer *mock_new_connecting (GSocketAddress     *address);

/* Who the mock is in TLS, and whom it trusts: names of directories as in certificates.h. Before anybody connects, or the first
   step.
     listening (MOCK_TRANSPORT_TLS): @own is the server; @mode: whether the client has to show a certificate, which has to be
       by the authority of @trusted (NULL: by anybody). By default "good", "good", G_TLS_AUTHENTICATION_NONE.
     connecting: it speaks TLS from now on; @own is the client (NULL: shows no certificate); the server has to be vm.example
       by the authority of @trusted (NULL: anybody).
   A listening mock shakes hands in a thread of its own with whoever connects, one after the other and whatever the script does:
   a connection is TLS's as soon as the client has made it, as it is the kernel's over UNIX and TCP. A handshake that fails
   fails the step that would take the connection, unless that is mock_expect_no_tls(). A connecting mock that closes before
   anything came may be seen to reset: a TLS 1.3 server sends something of its own then, which nobody reads. */
void        mock_set_tls        (MockServer             *mock,
                                 const char             *own,
                                 const char             *trusted,
                                 GTlsAuthenticationMode  mode);

/* Waits until the script is through (without iterating any main context, but see "plain" in transports.h), joins the thread and
   frees the mock. Ends the test if a step failed or was left over, if a mock_pause() was never continued, if bytes came that no
   step expected, or if somebody else is connecting whom no step accepts (unless the script never accepted anybody). */
#define mock_finish(mock) (mock_finish) (mock, __FILE__, __LINE__, G_STRFUNC)
void      (mock_finish)         (MockServer         *mock,
                                 const char         *file,
                                 int                 line,
                                 const char         *function);

/* Drops the mock wherever the script stands, checking nothing. */
void        mock_abandon        (MockServer         *mock);

/* Leaving the scope checks as well. */
static inline void
mock_cleanup_ (MockServer *mock)
{
  (mock_finish) (mock, __FILE__, __LINE__, "end of scope");
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MockServer, mock_cleanup_)

/* ---- for the client ---------------------------------------------------------------------------------------------- */

/* (transfer none): UNIX, TCP and TLS only. */
GSocketConnectable *mock_get_connectable (MockServer *mock);

/* "unix:/tmp/…/mock.sock" or "tcp:127.0.0.1:PORT"; UNIX, TCP and TLS only. */
const char         *mock_get_address     (MockServer *mock);

/* (nullable): the path of the socket; UNIX only. */
const char         *mock_get_path        (MockServer *mock);

/* (transfer full): the client's end. The only one for SOCKETPAIR (a GSocketConnection) and PIPES (a GSimpleIOStream),
   to be called once; for UNIX, TCP and TLS (a GTlsConnection) a new connection each time. */
GIOStream          *mock_get_stream      (MockServer *mock);

/* ---- steps: connections ------------------------------------------------------------------------------------------ */

/* (These names record where they were called; they are functions all the same.) */
#define MOCK_HERE(mock) (mock_at_ (mock, __FILE__, __LINE__))
MockServer *mock_at_ (MockServer *mock,
                      const char *file,
                      int         line);

/* Closes the connection it has, if any (unread bytes are a failure), and waits for the next one. Before the first
   connection it is that one. */
#define mock_accept(mock) (mock_accept) (MOCK_HERE (mock))
void (mock_accept)         (MockServer   *mock);

/* Closes the connection now. If the client sent bytes that were not read, a UNIX or TCP client sees a reset, as from a
   real server. Not a failure. TLS says goodbye (close_notify) here, and wherever else the mock closes. */
#define mock_close(mock) (mock_close) (MOCK_HERE (mock))
void (mock_close)          (MockServer   *mock);

/* The same, but TLS does not say goodbye: QEMU never does. */
#define mock_cut(mock) (mock_cut) (MOCK_HERE (mock))
void (mock_cut)            (MockServer   *mock);

/* Makes the client see ECONNRESET. TCP and TLS: linger 0. UNIX: waits until there is something unread, then closes, so the
   client has to send something that no step expects. Not for PIPES. */
#define mock_reset(mock) (mock_reset) (MOCK_HERE (mock))
void (mock_reset)          (MockServer   *mock);

/* The client sees end of file (TLS: a goodbye); the other direction goes on. */
#define mock_shutdown_write(mock) (mock_shutdown_write) (MOCK_HERE (mock))
void (mock_shutdown_write) (MockServer   *mock);

/* TLS: the next connection comes to nothing, because the handshake fails on either side. */
#define mock_expect_no_tls(mock) (mock_expect_no_tls) (MOCK_HERE (mock))
void (mock_expect_no_tls)  (MockServer   *mock);

/* A mock that never accepts is one whose script is empty, or has nothing but mock_pause(). This fills the queue of such a
   listener (UNIX) at once, before it returns, until connect() says EAGAIN: that is how a third client finds a busy QEMU.
   Returns how many connections that took. Call it before the first step that accepts. */
guint mock_fill_backlog    (MockServer   *mock);

/* Step: accepts those fillers and closes them; the next connection to be accepted is then the client's. */
#define mock_drain_backlog(mock) (mock_drain_backlog) (MOCK_HERE (mock))
void (mock_drain_backlog)  (MockServer   *mock);

/* ---- steps: expecting -------------------------------------------------------------------------------------------- */

/* One whole JSON value (object or array), compared by meaning: the order of members does not matter, numbers must be of
   the same kind (1 is not 1.0). White space before it is skipped. If @pattern does not mention a member "id" at the top,
   then any id, or none, will do. Anywhere in the pattern, the string '@ANY@' stands for any value. The value must come
   without file descriptors. */
#define mock_expect(mock, pattern) (mock_expect) (MOCK_HERE (mock), pattern)
void (mock_expect)          (MockServer   *mock,
                             const char   *pattern);

/* The same, and the first byte of the value comes with exactly @n_fds file descriptors; none may come with another byte.
   The descriptors are kept until the mock is finished: see mock_get_fd(). UNIX and SOCKETPAIR only. */
#define mock_expect_with_fds(mock, pattern, n_fds) (mock_expect_with_fds) (MOCK_HERE (mock), pattern, n_fds)
void (mock_expect_with_fds) (MockServer   *mock,
                             const char   *pattern,
                             guint         n_fds);

/* One whole JSON value, compared byte for byte; white space before it is a difference. @ID@ stands for the id in this very
   value, whatever it is (@ID:n@ for earlier ones). Single quotes are just that. */
#define mock_expect_text(mock, text) (mock_expect_text) (MOCK_HERE (mock), text)
void (mock_expect_text)     (MockServer   *mock,
                             const char   *text);

/* Exactly these bytes next, whatever they mean; no ids. @length -1: @bytes ends with a NUL that is not part of it. */
#define mock_expect_bytes(mock, bytes, length) (mock_expect_bytes) (MOCK_HERE (mock), bytes, length)
void (mock_expect_bytes)    (MockServer   *mock,
                             const void   *bytes,
                             gssize        length);

/* The client closes, or shuts down its writing side, without another byte. A reset is no end of file. */
#define mock_expect_eof(mock) (mock_expect_eof) (MOCK_HERE (mock))
void (mock_expect_eof)      (MockServer   *mock);

/* The same, and TLS said goodbye. */
#define mock_expect_goodbye(mock) (mock_expect_goodbye) (MOCK_HERE (mock))
void (mock_expect_goodbye)  (MockServer   *mock);

/* The client closes, one way or the other, no matter how much it sends before: it is read and forgotten. */
#define mock_expect_gone(mock) (mock_expect_gone) (MOCK_HERE (mock))
void (mock_expect_gone)     (MockServer   *mock);

/* Neither a byte nor the end of file arrives within @milliseconds (not scaled). */
#define mock_expect_nothing(mock, milliseconds) (mock_expect_nothing) (MOCK_HERE (mock), milliseconds)
void (mock_expect_nothing)  (MockServer   *mock,
                             guint         milliseconds);

/* From here on nothing is read from this connection, with a receive buffer as small as the system allows (TCP; for UNIX the
   sender's buffer decides), and unread bytes are no failure. A later step that expects something reads again. */
#define mock_stop_reading(mock) (mock_stop_reading) (MOCK_HERE (mock))
void (mock_stop_reading)    (MockServer   *mock);

/* ---- steps: sending ---------------------------------------------------------------------------------------------- */

/* Sending waits, bounded, for a client that does not read. A client that has closed is a failure. */

/* A template, byte for byte: nothing is appended. */
#define mock_send(mock, text) (mock_send) (MOCK_HERE (mock), text)
void (mock_send)           (MockServer   *mock,
                            const char   *text);

/* A template in pieces of @chunk_size bytes, each in a call of its own (and, over TCP, a segment of its own; over TLS, a record
   of its own), with @delay_us between them. */
#define mock_send_split(mock, text, chunk_size, delay_us) \
  (mock_send_split) (MOCK_HERE (mock), text, chunk_size, delay_us)
void (mock_send_split)     (MockServer   *mock,
                            const char   *text,
                            gsize         chunk_size,
                            guint         delay_us);

/* No template: anything, NUL too. @length -1 as above. */
#define mock_send_bytes(mock, bytes, length) (mock_send_bytes) (MOCK_HERE (mock), bytes, length)
void (mock_send_bytes)     (MockServer   *mock,
                            const void   *bytes,
                            gssize        length);

/* A template (put together once) @count times, in large pieces: for floods of events. */
#define mock_send_repeated(mock, text, count) (mock_send_repeated) (MOCK_HERE (mock), text, count)
void (mock_send_repeated)  (MockServer   *mock,
                            const char   *text,
                            guint         count);

/* The same bytes again and again until the client closes: it must have done so before it has taken @limit bytes. */
#define mock_flood(mock, bytes, length, limit) (mock_flood) (MOCK_HERE (mock), bytes, length, limit)
void (mock_flood)          (MockServer   *mock,
                            const void   *bytes,
                            gssize        length,
                            guint64       limit);

/* Lets time pass: for behaviour that is made of time, not to wait for something. */
#define mock_delay(mock, milliseconds) (mock_delay) (MOCK_HERE (mock), milliseconds)
void (mock_delay)          (MockServer   *mock,
                            guint         milliseconds);

/* ---- steps: the usual, each a shorthand for those above, ended by CR LF as QEMU does ----------------------------- */

/* A template. */
#define mock_send_json(mock, text) (mock_send_json) (MOCK_HERE (mock), text)
void (mock_send_json)      (MockServer   *mock,
                            const char   *text);

/* The greeting of QEMU 7.2.0. */
#define mock_greet(mock, greeting) (mock_greet) (MOCK_HERE (mock), greeting)
void (mock_greet)          (MockServer   *mock,
                            MockGreeting  greeting);

/* The greeting, then the client's qmp_capabilities, which must enable oob exactly if it is offered, then success. */
#define mock_negotiate(mock, greeting) (mock_negotiate) (MOCK_HERE (mock), greeting)
void (mock_negotiate)      (MockServer   *mock,
                            MockGreeting  greeting);

/* {"return": @value, "id": the latest request's}; @value is JSON, e.g. "{}". */
#define mock_return(mock, value) (mock_return) (MOCK_HERE (mock), value)
void (mock_return)         (MockServer   *mock,
                            const char   *value);

/* The same for the @request-th request (from 1). */
#define mock_return_to(mock, request, value) (mock_return_to) (MOCK_HERE (mock), request, value)
void (mock_return_to)      (MockServer   *mock,
                            guint         request,
                            const char   *value);

/* {"error": {"class": …, "desc": …}, "id": the latest request's}; plain texts, escaped here. */
#define mock_error(mock, klass, desc) (mock_error) (MOCK_HERE (mock), klass, desc)
void (mock_error)          (MockServer   *mock,
                            const char   *klass,
                            const char   *desc);

/* {"timestamp": {"seconds": 1700000000, "microseconds": 123456}, "event": …, "data": …}; @data is JSON, NULL: no member. */
#define mock_event(mock, name, data) (mock_event) (MOCK_HERE (mock), name, data)
void (mock_event)          (MockServer   *mock,
                            const char   *name,
                            const char   *data);

/* ---- the test and the script wait for each other ----------------------------------------------------------------- */

/* Step: the script stands still until mock_continue(), bounded. Returns the number of this gate, from 1. */
#define mock_pause(mock) (mock_pause) (MOCK_HERE (mock))
guint (mock_pause)         (MockServer   *mock);

/* Step: a gate that is open: only something to wait for. Shares the numbers of mock_pause(). */
#define mock_mark(mock) (mock_mark) (MOCK_HERE (mock))
guint (mock_mark)          (MockServer   *mock);

/* Opens the first mock_pause() not continued yet; may come before the script gets there, or before it is scripted. */
void   mock_continue       (MockServer   *mock);

/* Until the script has reached that gate (all steps before it are done). The first iterates the thread-default main
   context of the caller meanwhile, the second just blocks. A failed step ends the test. */
#define mock_wait_reached(mock, gate) (mock_wait_reached) (MOCK_HERE (mock), gate)
void (mock_wait_reached)   (MockServer   *mock,
                            guint         gate);
#define mock_block_reached(mock, gate) (mock_block_reached) (MOCK_HERE (mock), gate)
void (mock_block_reached)  (MockServer   *mock,
                            guint         gate);

/* The same for all that is scripted so far. */
#define mock_wait_done(mock) (mock_wait_done) (MOCK_HERE (mock))
void (mock_wait_done)      (MockServer   *mock);
#define mock_block_done(mock) (mock_block_done) (MOCK_HERE (mock))
void (mock_block_done)     (MockServer   *mock);

/* ---- what came --------------------------------------------------------------------------------------------------- */

/* After waiting for the step that took it. Both count requests from 1 as @ID:n@ does. */

/* (transfer full): the exact text of a request. */
char  *mock_dup_request    (MockServer   *mock,
                            guint         request);

/* (transfer none): a descriptor that came with a request; -1 if there is none. Closed when the mock is finished. */
int    mock_get_fd         (MockServer   *mock,
                            guint         request,
                            guint         index);

/* How many connections were accepted so far. */
guint  mock_get_n_accepted (MockServer   *mock);

G_END_DECLS
