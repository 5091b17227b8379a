/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Uses something of each header; compiled as C and as C++, against the library installed, uninstalled and as a subproject. */
#include <aqmp-glib/aqmp-glib.h>

int
main (void)
{
  GError *error = NULL;
  AqmpClient *client = aqmp_client_new ("program");
  GSocketConnectable *address = aqmp_address_parse ("tcp:127.0.0.1:4444", &error);
  AqmpEvent *event = aqmp_event_new ("STOP", -1, NULL);

  g_assert_no_error (error);
  g_assert_true (AQMP_CHECK_VERSION (0, 90, 0));
  g_assert_true (aqmp_client_get_greeting (client) == NULL);
  g_assert_true (aqmp_protocol_get_runstate (AQMP_PROTOCOL (client)) == AQMP_RUNSTATE_IDLE);
  g_print ("%s %s\n", aqmp_protocol_get_name (AQMP_PROTOCOL (client)), aqmp_event_get_name (event));
  g_object_unref (event);
  g_object_unref (address);
  g_object_unref (client);
  return 0;
}
