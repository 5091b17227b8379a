/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "owner-util.h"

/* Most of what can go wrong here is a call that waits for ever: it shall not be one that another thread could end. */
static int
get_bound_ms (void)
{
  return (int) (test_bound_us () / 1000);
}

void
owner_check_call (AqmpClient *client,
            const char *command)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = aqmp_client_execute_full_sync (client, command, NULL, NULL, AQMP_EXECUTE_FLAGS_NONE,
                                                             get_bound_ms (), NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);
}

void
owner_check_disconnect (AqmpClient *client)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_disconnect_sync (AQMP_PROTOCOL (client), NULL, &error);
  g_assert_no_error (error);
}

gboolean
owner_try_open (AqmpClient *client,
          GIOStream  *stream)
{
  g_autoptr (GError) error = NULL;

  if (aqmp_protocol_open_sync (AQMP_PROTOCOL (client), stream, NULL, &error))
    return TRUE;

  test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
  return FALSE;
}

/* Who has ended the last session, may be about to return, or to be called back. */
void
owner_open_at_last (AqmpClient *client,
              GIOStream  *stream)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (!owner_try_open (client, stream))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_usleep (100);
    }
}

void
owner_free_peer (EchoPeer  *peer,
           GIOStream *stream)
{
  g_io_stream_close (stream, NULL, NULL);
  g_object_unref (stream);
  echo_peer_free (peer);
}

void
owner_check_session (AqmpClient *client)
{
  GIOStream *stream;
  EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);

  owner_open_at_last (client, stream);
  owner_check_call (client, "t");
  owner_check_disconnect (client);
  owner_free_peer (peer, stream);
}

void
owner_end_client (AqmpClient *client)
{
  gpointer watched = client;

  test_dispatch_pending ();
  g_object_add_weak_pointer (G_OBJECT (client), &watched);
  g_object_unref (client);
  g_assert_null (watched);
}
