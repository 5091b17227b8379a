/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What a busy QEMU 7.2 was seen to send during the handshake, though it is not meant for this session. */

#include "client-util.h"

#define GREETING \
  "{'QMP': {'version': {'qemu': {'micro': 22, 'minor': 2, 'major': 7}, 'package': ''}, 'capabilities': []}}"

static void
check_strays (const char *before_greeting,
              const char *before_reply,
              int         code)
{
  g_autoptr (MockServer) mock = mock_new (MOCK_TRANSPORT_UNIX);
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GError) error = NULL;

  if (before_greeting != NULL)
    mock_send_json (mock, before_greeting);
  if (code != AQMP_ERROR_GREETING)
    {
      mock_send_json (mock, GREETING);
      mock_expect (mock, "{'execute': 'qmp_capabilities'}");
      if (before_reply != NULL)
        mock_send_json (mock, before_reply);
      if (code < 0)
        mock_send_json (mock, "{'return': {}, 'id': @ID@}");
    }

  if (code < 0)
    {
      test_connect (client, mock, &error);
      g_assert_no_error (error);
      test_ping (client, mock);
    }
  else
    {
      g_assert_false (test_connect (client, mock, &error));
      g_assert_error (error, AQMP_ERROR, code);
    }
  mock_expect_eof (mock);
  test_client_close (client);
}

/* What a client before has asked, and did not wait for. */
static void
test_late_reply (void)
{
  check_strays ("{'return': {}, 'id': 'aqmp-3'}", NULL, -1);
}

static void
test_late_error (void)
{
  check_strays ("{'id': 17, 'error': {'class': 'GenericError', 'desc': 'too late'}}", NULL, -1);
}

/* Without an id it could be anything. */
static void
test_reply_without_id (void)
{
  check_strays ("{'return': {}}", NULL, AQMP_ERROR_GREETING);
}

/* To a client that connects while QEMU is starting. */
static void
test_second_greeting (void)
{
  check_strays (NULL, GREETING, -1);
}

static void
test_neither (void)
{
  check_strays (NULL, "{'else': 1}", AQMP_ERROR_NEGOTIATION);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q2/strays/late-reply-before-greeting", test_late_reply);
  g_test_add_func ("/client/Q2/strays/late-error-before-greeting", test_late_error);
  g_test_add_func ("/client/Q2/strays/reply-without-id-is-no-greeting", test_reply_without_id);
  g_test_add_func ("/client/Q2/strays/second-greeting", test_second_greeting);
  g_test_add_func ("/client/Q2/strays/neither-return-nor-error", test_neither);

  return g_test_run ();
}
