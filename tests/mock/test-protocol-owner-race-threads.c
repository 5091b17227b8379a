/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* T2, T3: one object and many threads: whose the next session is when all of them want it. */

#include "client-util.h"
#include "echo-peer.h"
#include "owner-util.h"
#include "session-util.h"

#include <string.h>
#include <gio/gunixsocketaddress.h>

#define MOST_THREADS 3

/* --- Threads ------------------------------------------------------------------------------------------------------ */

typedef struct _Game Game;
typedef struct _Player Player;

typedef void (*PlayerFunc) (Player *player);

struct _Player
{
  Game       *game;
  PlayerFunc  func;
  guint       number;
  GThread    *thread;
  guint       n_won;
};

struct _Game
{
  AqmpClient *client;
  gboolean    own_contexts;
  guint       n_rounds;
  guint       n_players;
  Player      players[MOST_THREADS];

  gint        turn;        /* atomic: whose it is */
  gint        n_inside;    /* atomic: sessions */
  gint        n_won;       /* atomic: of this round */

  GMutex      lock;
  GCond       changed;
  guint       n_waiting;
  guint       n_meetings;
};

/* All of them go on from here together. */
static void
meet (Game *game)
{
  guint number;

  g_mutex_lock (&game->lock);
  number = game->n_meetings;
  if (++game->n_waiting == game->n_players)
    {
      game->n_waiting = 0;
      game->n_meetings++;
      g_cond_broadcast (&game->changed);
    }
  while (game->n_meetings == number)
    g_cond_wait (&game->changed, &game->lock);
  g_mutex_unlock (&game->lock);
}

static gpointer
play (gpointer data)
{
  Player *player = data;
  g_autoptr (GMainContext) context = g_main_context_new ();

  if (player->game->own_contexts)
    g_main_context_push_thread_default (context);
  player->func (player);
  if (player->game->own_contexts)
    g_main_context_pop_thread_default (context);
  return NULL;
}

static void
game_begin (Game     *game,
            gboolean  own_contexts,
            guint     n_rounds)
{
  *game = (Game) {
    .client = echo_peer_new_client (ECHO_PEER_SILENT_AT_FIRST),
    .own_contexts = own_contexts,
    .n_rounds = test_scale_down (n_rounds),
  };
  g_mutex_init (&game->lock);
  g_cond_init (&game->changed);
}

static void
game_add (Game       *game,
          PlayerFunc  func)
{
  Player *player = &game->players[game->n_players];

  g_assert_cmpuint (game->n_players, <, MOST_THREADS);
  *player = (Player) { .game = game, .func = func, .number = game->n_players++ };
}

static void
game_play (Game *game)
{
  guint i;

  for (i = 0; i < game->n_players; i++)
    game->players[i].thread = g_thread_new ("player", play, &game->players[i]);
  for (i = 0; i < game->n_players; i++)
    g_thread_join (game->players[i].thread);
}

static void
game_end (Game *game)
{
  owner_check_session (game->client);
  owner_end_client (game->client);
  g_mutex_clear (&game->lock);
  g_cond_clear (&game->changed);
}

/* --- One after the other ------------------------------------------------------------------------------------------ */

/* The next one begins as soon as there is no session any more, that is, before this one's call has returned. */
static void
take_turns (Player *player)
{
  Game *game = player->game;
  guint i;

  for (i = 0; i < game->n_rounds; i++)
    {
      GIOStream *stream;
      EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);

      wait_elsewhere ((guint) g_atomic_int_get (&game->turn) == player->number);
      wait_elsewhere (aqmp_protocol_get_runstate (AQMP_PROTOCOL (game->client)) == AQMP_RUNSTATE_IDLE);
      owner_open_at_last (game->client, stream);
      owner_check_call (game->client, "t");
      g_atomic_int_set (&game->turn, (gint) ((player->number + 1) % game->n_players));
      owner_check_disconnect (game->client);
      owner_free_peer (peer, stream);
    }
}

static void
test_turns (gconstpointer own_contexts)
{
  Game game;

  game_begin (&game, GPOINTER_TO_INT (own_contexts), 300);
  game_add (&game, take_turns);
  game_add (&game, take_turns);
  game_play (&game);
  game_end (&game);
}

/* --- All at once -------------------------------------------------------------------------------------------------- */

static void
won (Player *player)
{
  g_assert_cmpint (g_atomic_int_add (&player->game->n_inside, 1), ==, 0);
  g_atomic_int_inc (&player->game->n_won);
  player->n_won++;
}

static void
leaving (Player *player)
{
  g_assert_cmpint (g_atomic_int_add (&player->game->n_inside, -1), ==, 1);
}

/* Somebody has had it. */
static void
end_round (Player *player)
{
  meet (player->game);
  g_assert_cmpint (g_atomic_int_get (&player->game->n_won), >=, 1);
  meet (player->game);
  g_atomic_int_set (&player->game->n_won, 0);
}

static void
race_to_open (Player *player)
{
  Game *game = player->game;
  guint i;

  for (i = 0; i < game->n_rounds; i++)
    {
      GIOStream *stream;
      EchoPeer *peer = echo_peer_new (ECHO_PEER_SILENT_AT_FIRST, &stream);

      meet (game);
      if (owner_try_open (game->client, stream))
        {
          won (player);
          owner_check_call (game->client, "t");
          leaving (player);
          owner_check_disconnect (game->client);
        }
      end_round (player);
      owner_free_peer (peer, stream);
    }
}

static void
test_race_to_open (gconstpointer own_contexts)
{
  Game game;

  game_begin (&game, GPOINTER_TO_INT (own_contexts), 300);
  game_add (&game, race_to_open);
  game_add (&game, race_to_open);
  game_add (&game, race_to_open);
  game_play (&game);
  g_test_message ("%u, %u and %u of %u", game.players[0].n_won, game.players[1].n_won, game.players[2].n_won, game.n_rounds);
  game_end (&game);
}

/* Where one connects to. */
typedef struct
{
  TestTmpDir     *dir;
  GSocketAddress *address;
  GSocket        *socket;
} Listener;

static void
listener_begin (Listener *listener)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;

  listener->dir = test_tmp_dir_new ();
  path = test_tmp_dir_build (listener->dir, "s");
  listener->address = g_unix_socket_address_new (path);
  listener->socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_assert_true (g_socket_bind (listener->socket, listener->address, FALSE, NULL));
  g_assert_true (g_socket_listen (listener->socket, NULL));
}

static void
listener_end (Listener *listener)
{
  g_object_unref (listener->socket);
  g_object_unref (listener->address);
  test_tmp_dir_free (listener->dir);
}

/* The command has come to whom this session is with. */
static void
check_asynchronous_session (AqmpClient *client,
                            Listener   *listener)
{
  g_autoptr (GSocket) socket = g_socket_accept (listener->socket, NULL, NULL);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) flushed = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autofree char *reply = NULL;
  char text[200] = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (socket);
  test_start (client, "of-this-one", NULL, &slot);
  aqmp_protocol_flush_async (AQMP_PROTOCOL (client), NULL, test_slot_callback, &flushed);
  result = test_await (&flushed);
  g_assert_true (aqmp_protocol_flush_finish (AQMP_PROTOCOL (client), result, NULL));
  g_assert_cmpint (g_socket_receive_with_blocking (socket, text, sizeof text - 1, FALSE, NULL, NULL), >, 0);
  g_assert_nonnull (strstr (text, "of-this-one"));

  test_disconnect (client, &error);
  g_assert_no_error (error);
  reply = test_finish (&slot, &error);
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INTERRUPTED);
}

static void
race_to_connect (Player *player)
{
  Game *game = player->game;
  Listener listener;
  guint i;

  listener_begin (&listener);
  for (i = 0; i < game->n_rounds; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GError) error = NULL;

      meet (game);
      aqmp_protocol_connect_async (AQMP_PROTOCOL (game->client), G_SOCKET_CONNECTABLE (listener.address), NULL,
                                   test_slot_callback, &slot);
      result = test_await (&slot);
      if (aqmp_protocol_connect_finish (AQMP_PROTOCOL (game->client), result, &error))
        {
          won (player);
          leaving (player);
          check_asynchronous_session (game->client, &listener);
        }
      else
        test_assert_error (error, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
      end_round (player);
    }
  listener_end (&listener);
}

static void
test_race_of_connect_and_open (void)
{
  Game game;

  game_begin (&game, TRUE, 300);
  game_add (&game, race_to_connect);
  game_add (&game, race_to_open);
  game_play (&game);
  g_test_message ("%u and %u of %u", game.players[0].n_won, game.players[1].n_won, game.n_rounds);
  game_end (&game);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/protocol/T3/owner/threads-take-turns", GINT_TO_POINTER (FALSE), test_turns);
  g_test_add_data_func ("/protocol/T3/owner/threads-take-turns-in-their-own-contexts", GINT_TO_POINTER (TRUE), test_turns);
  g_test_add_data_func ("/protocol/T3/owner/threads-race-to-open", GINT_TO_POINTER (FALSE), test_race_to_open);
  g_test_add_data_func ("/protocol/T3/owner/threads-race-to-open-in-their-own-contexts", GINT_TO_POINTER (TRUE),
                        test_race_to_open);
  g_test_add_func ("/protocol/T3/owner/connect-async-races-open-sync", test_race_of_connect_and_open);

  return g_test_run ();
}
