/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "transports.h"

/* Which points run over which transports but unix, where all do. The first rule holds whose prefix is that of the path. */
typedef struct
{
  const char *prefix;
  const char *transports;    /* separated by blanks; "": none */
} Rule;

#define ALL "tcp tls tls-qemu plain"

static const Rule rules[] = {
  /* No mock, or one over something that the point says itself. */
  { "/client/M3/byte-by-byte", "" },
  { "/client/M3/every-split", "" },
  { "/client/M3/linear-for-small-pieces", "" },
  { "/client/Q3/no-handshake", "" },
  { "/client/T2/cancel-races-with-replies", "" },
  { "/client/leaks/", "" },
  { "/client/properties/", "" },
  { "/client/syscalls/", "" },

  /* A stream that cannot be polled tells what it has read or written, and is closed, a turn of the loop later: a reply that
     lies in the socket has not arrived, what was written may not count as written, and somebody has to run the loop. */
  { "/client/M1/outbound/runs-from-dispatch", "tcp tls tls-qemu" },
  { "/client/Q4/id-less-reply/swallowed-if-cancelled", "tcp tls tls-qemu" },
  { "/client/Q5/refused/in-use-by-a-cancelled-call", "tcp tls tls-qemu" },
  { "/client/Q8/arrived-reply-beats-cancel/behind-an-event", "tcp tls tls-qemu" },
  { "/client/Q8/arrived-reply-beats-cancel/in-the-socket", "tcp tls tls-qemu" },
  { "/client/Q8/arrived-reply-beats-cancel/timeout", "tcp tls tls-qemu" },
  { "/client/Q9/held/is-not-queued", "tcp tls tls-qemu" },
  { "/client/Q12/reply-before-", "tcp tls tls-qemu" },
  { "/client/S10/cancelled-call-keeps-nothing-alive", "tcp tls tls-qemu" },
  { "/client/S10/last-reference-closes-the-stream", "tcp tls tls-qemu" },
  { "/client/T2/owner-in-another-thread", "tcp tls tls-qemu" },

  /* What is written is so large that it fills buffers, which takes long in records of one byte. */
  { "/client/Q4/id-less-reply/unsent-calls-do-not-count", "tcp tls plain" },
  { "/client/Q8/cancel-before-written-is-never-sent/behind-others", "tcp tls plain" },
  { "/client/Q8/cancel-before-written-is-never-sent/timed-out", "tcp tls plain" },
  { "/client/Q8/partly-written-goes-out-whole", "tcp tls" },    /* plain: perhaps nothing was written yet */
  { "/client/S7/peer-that-never-reads", "tcp tls plain" },
  { "/client/S7/queued-is-sent-and-replies-routed-meanwhile", "tcp tls plain" },
  { "/client/S12/queued-never-reaches-a-later-session", "tcp tls plain" },

  /* With TLS a connection that ends early is said to end perhaps for the certificate. */
  { "/client/Q2/eof/", "tcp plain" },
  { "/protocol/S4/peer-leaves-while-establishing", "tcp plain" },

  /* A path to which nobody listens; TLS finds first that it is no name. */
  { "/client/S4/no-connection-keeps-domain-and-code", "tcp plain" },

  { "/client/", ALL },

  /* Of the tests of AqmpProtocol those that connect to a mock. The others are about its states, on a pair of sockets. */
  { "/protocol/M4/endless-message", "plain" },    /* TCP's buffers may hold it all */
  { "/protocol/S4/cancelled-before-the-call", ALL },
  { "/protocol/S4/silent-peer-until-connect-timeout", "tcp plain" },    /* too soon for a handshake */

  /* These know TCP and streams that cannot be polled by themselves. */
  { "/protocol/M7/no-sigpipe/unix", "tls tls-qemu" },
  { "/protocol/M7/one-byte-reads/unix", "tls tls-qemu" },
  { "/protocol/Q14/failure-closes/unix", "tls tls-qemu" },
  { "/protocol/Q14/last-reference-closes/unix", "tls tls-qemu" },
  { "/protocol/Q14/peer-cuts-off/unix", "tls tls-qemu" },
  { "/protocol/Q14/peer-that-never-reads/unix", "tls tls-qemu" },
  { "/protocol/Q14/whole-session/unix", "tls tls-qemu" },

  { "/", "" },
};

const char *
test_transport_get (void)
{
  const char *transport = g_getenv ("AQMP_TEST_TRANSPORT");

  return transport != NULL ? transport : "unix";
}

gboolean
test_transport_is (const char *transport)
{
  return g_str_equal (test_transport_get (), transport);
}

gboolean
test_transport_is_tls (void)
{
  return test_transport_is ("tls") || test_transport_is ("tls-qemu");
}

gboolean
test_transport_has_point (const char *path)
{
  const Rule *rule = rules;
  g_auto(GStrv) transports = NULL;

  if (test_transport_is ("unix"))
    return TRUE;

  while (!g_str_has_prefix (path, rule->prefix))
    rule++;
  transports = g_strsplit (rule->transports, " ", -1);

  return g_strv_contains ((const char * const *) transports, test_transport_get ());
}
