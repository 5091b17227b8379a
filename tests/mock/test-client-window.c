/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q9: with out-of-band execution negotiated, at most 8 in-band commands are outstanding; the others are held back.
 *
 * That a command has not been sent is shown by an out-of-band one, which overtakes: a mock that expects this next has seen
 * everything that was sent before. */

#include "client-util.h"

#include <math.h>
#include <string.h>

#define WINDOW 8
#define MOST_CALLS 1200

#define AT_LEAST_INFO \
  (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO)

/* Calls by number: the command of each is "c-NUMBER". */
typedef struct
{
  MockServer   *mock;                     /* (owned) */
  AqmpClient   *client;                   /* (owned) */
  TestSlot      slots[MOST_CALLS];
  GCancellable *cancellables[MOST_CALLS]; /* (owned) */
  guint         requests[MOST_CALLS];     /* what the mock calls them */
  guint         n_requests;
} Scene;

static Scene *
scene_new_with (AqmpClient   *client,
                MockGreeting  greeting)
{
  Scene *self = g_new0 (Scene, 1);
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < MOST_CALLS; i++)
    self->cancellables[i] = g_cancellable_new ();
  self->mock = mock_new (MOCK_TRANSPORT_UNIX);
  self->client = client;
  mock_negotiate (self->mock, greeting);
  test_connect (client, self->mock, &error);
  g_assert_no_error (error);
  return self;
}

static Scene *
scene_new (MockGreeting greeting)
{
  return scene_new_with (aqmp_client_new (NULL), greeting);
}

static void
scene_free (Scene *self)
{
  guint i;

  mock_finish (self->mock);
  for (i = 0; i < MOST_CALLS; i++)
    {
      g_assert_null (self->slots[i].result);
      g_object_unref (self->cancellables[i]);
    }
  g_free (self);
}

static void
scene_end (Scene *self)
{
  test_ping (self->client, self->mock);
  mock_expect_eof (self->mock);
  test_client_close (self->client);
  mock_wait_done (self->mock);
  scene_free (self);
}

/* The next session, after this one has ended. */
static void
connect_again (Scene        *scene,
               MockGreeting  greeting)
{
  g_autoptr (GError) error = NULL;

  mock_accept (scene->mock);
  mock_negotiate (scene->mock, greeting);
  test_connect (scene->client, scene->mock, &error);
  g_assert_no_error (error);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

static void
start (Scene *scene,
       guint  first,
       guint  n_calls)
{
  guint i;

  for (i = first; i < first + n_calls; i++)
    {
      g_autofree char *command = g_strdup_printf ("c-%u", i);

      test_start (scene->client, command, scene->cancellables[i], &scene->slots[i]);
    }
}

static void
start_text (Scene      *scene,
            guint       number,
            const char *message)
{
  test_start_raw (scene->client, message, scene->cancellables[number], &scene->slots[number]);
}

static void
note_request (Scene *scene,
              guint  number)
{
  scene->requests[number] = ++scene->n_requests;
}

static void
expect (Scene *scene,
        guint  first,
        guint  n_calls)
{
  guint i;

  for (i = first; i < first + n_calls; i++)
    {
      g_autofree char *pattern = g_strdup_printf ("{'execute': 'c-%u'}", i);

      mock_expect (scene->mock, pattern);
      note_request (scene, i);
    }
}

static void
expect_text (Scene      *scene,
             guint       number,
             const char *pattern)
{
  mock_expect (scene->mock, pattern);
  note_request (scene, number);
}

/* The reply is the number. */
static void
answer (Scene *scene,
        guint  first,
        guint  n_calls)
{
  guint i;

  for (i = first; i < first + n_calls; i++)
    {
      g_autofree char *value = g_strdup_printf ("%u", i);

      mock_return_to (scene->mock, scene->requests[i], value);
    }
}

static void
assert_answered (Scene *scene,
                 guint  first,
                 guint  n_calls)
{
  guint i;

  for (i = first; i < first + n_calls; i++)
    {
      g_autofree char *expected = g_strdup_printf ("%u", i);
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      result = test_finish (&scene->slots[i], &error);
      g_assert_no_error (error);
      g_assert_cmpstr (result, ==, expected);
      g_assert_cmpuint (scene->slots[i].n_calls, ==, 1);
    }
}

static void
assert_text_answered (Scene *scene,
                      guint  number)
{
  g_autofree char *result = NULL;
  g_autofree char *expected = g_strdup_printf ("{\"return\": %u, ", number);
  g_autoptr (GError) error = NULL;

  result = test_finish (&scene->slots[number], &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (result, expected));
}

static void
assert_failed (Scene      *scene,
               guint       first,
               guint       n_calls,
               GQuark      domain,
               int         code,
               const char *text)
{
  guint i;

  for (i = first; i < first + n_calls; i++)
    {
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      result = test_finish (&scene->slots[i], &error);
      g_assert_null (result);
      test_assert_error (error, domain, code, text);
      g_assert_cmpuint (scene->slots[i].n_calls, ==, 1);
    }
}

static void
assert_waiting (Scene *scene,
                guint  first,
                guint  n_calls)
{
  guint i;

  for (i = first; i < first + n_calls; i++)
    g_assert_false (test_slot_is_done (&scene->slots[i]));
}

static void
cancel (Scene *scene,
        guint  number)
{
  g_cancellable_cancel (scene->cancellables[number]);
  assert_failed (scene, number, 1, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
}

/* The mock has seen all that was sent, and this comes next; it is answered while the others are outstanding. With the first
   answer, everything that the mock has sent before has been handled; so what that released would come before the second. */
static void
check_nothing_else_sent (Scene *scene)
{
  guint i;

  mock_wait_done (scene->mock);
  for (i = 0; i < 2; i++)
    {
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      mock_expect (scene->mock, "{'exec-oob': 'oob'}");
      scene->n_requests++;
      mock_return (scene->mock, "'oob'");
      result = test_execute_raw (scene->client, "{\"exec-oob\": \"oob\"}", &error);
      g_assert_no_error (error);
      g_assert_nonnull (strstr (result, "\"return\": \"oob\""));
    }
}

/* As many as there is room for have come, out of @n_calls from 0 on. */
static Scene *
scene_new_full (guint n_calls)
{
  Scene *self = scene_new (MOCK_GREETING_OOB);

  start (self, 0, n_calls);
  expect (self, 0, WINDOW);
  check_nothing_else_sent (self);
  return self;
}

/* --- What makes room ---------------------------------------------------------------------------------------------- */

/* One for each that is answered, whichever it is, and in order. */
static void
test_reply (void)
{
  Scene *scene = scene_new_full (12);

  answer (scene, 3, 1);
  expect (scene, 8, 1);
  assert_answered (scene, 3, 1);
  check_nothing_else_sent (scene);
  answer (scene, 7, 1);
  answer (scene, 0, 1);
  expect (scene, 9, 2);
  check_nothing_else_sent (scene);
  answer (scene, 8, 1);
  expect (scene, 11, 1);
  check_nothing_else_sent (scene);
  assert_waiting (scene, 9, 3);
  answer (scene, 1, 2);
  answer (scene, 4, 3);
  answer (scene, 9, 3);
  assert_answered (scene, 0, 3);
  assert_answered (scene, 4, 8);
  scene_end (scene);
}

static void
test_error_reply (void)
{
  Scene *scene = scene_new_full (10);
  g_autofree char *reply = NULL;

  reply = g_strdup_printf ("{'error': {'class': 'GenericError', 'desc': 'no'}, 'id': @ID:%u@}", scene->requests[2]);
  mock_send_json (scene->mock, reply);
  expect (scene, 8, 1);
  assert_failed (scene, 2, 1, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR, "no");
  check_nothing_else_sent (scene);
  answer (scene, 0, 2);
  expect (scene, 9, 1);
  answer (scene, 3, 7);
  assert_answered (scene, 0, 2);
  assert_answered (scene, 3, 7);
  scene_end (scene);
}

/* Q6: of no use to the caller, but it was answered. */
static void
test_malformed_reply (void)
{
  Scene *scene = scene_new_full (10);
  g_autofree char *reply = NULL;

  reply = g_strdup_printf ("{'error': 5, 'id': @ID:%u@}", scene->requests[5]);
  mock_send_json (scene->mock, reply);
  expect (scene, 8, 1);
  assert_failed (scene, 5, 1, AQMP_ERROR, AQMP_ERROR_BAD_REPLY, "");
  check_nothing_else_sent (scene);
  answer (scene, 0, 5);
  expect (scene, 9, 1);
  answer (scene, 6, 4);
  assert_answered (scene, 0, 5);
  assert_answered (scene, 6, 4);
  scene_end (scene);
}

/* One that was given up after it was written stays outstanding until its reply comes. */
static void
test_reply_to_cancelled (void)
{
  Scene *scene = scene_new_full (11);

  cancel (scene, 1);
  cancel (scene, 6);
  check_nothing_else_sent (scene);
  answer (scene, 6, 1);
  expect (scene, 8, 1);
  check_nothing_else_sent (scene);
  answer (scene, 1, 1);
  expect (scene, 9, 1);
  check_nothing_else_sent (scene);
  answer (scene, 0, 1);
  expect (scene, 10, 1);
  answer (scene, 2, 4);
  answer (scene, 7, 4);
  assert_answered (scene, 0, 1);
  assert_answered (scene, 2, 4);
  assert_answered (scene, 7, 4);
  scene_end (scene);
}

static void
test_error_reply_to_timed_out (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  g_autofree char *reply = NULL;

  /* Long enough for it to be written in any case. */
  test_start_timeout (scene->client, "c-0", 300, &scene->slots[0]);
  start (scene, 1, 8);
  expect (scene, 0, WINDOW);
  assert_failed (scene, 0, 1, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "");
  check_nothing_else_sent (scene);
  reply = g_strdup_printf ("{'error': {'class': 'GenericError', 'desc': 'no'}, 'id': @ID:%u@}", scene->requests[0]);
  mock_send_json (scene->mock, reply);
  expect (scene, 8, 1);
  answer (scene, 1, 8);
  assert_answered (scene, 1, 8);
  scene_end (scene);
}

/* One that was not written yet was never outstanding: all in one turn. */
static void
test_cancelled_unwritten (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);

  start (scene, 0, 10);
  cancel (scene, 3);
  expect (scene, 0, 3);
  expect (scene, 4, 5);
  check_nothing_else_sent (scene);
  answer (scene, 0, 1);
  expect (scene, 9, 1);
  answer (scene, 1, 2);
  answer (scene, 4, 6);
  assert_answered (scene, 0, 3);
  assert_answered (scene, 4, 6);
  scene_end (scene);
}

/* --- Those that are held back ------------------------------------------------------------------------------------- */

/* Never sent; the others keep their order. */
static void
test_held_cancelled (void)
{
  Scene *scene = scene_new_full (13);

  cancel (scene, 9);
  cancel (scene, 8);
  cancel (scene, 12);
  check_nothing_else_sent (scene);
  answer (scene, 0, WINDOW);
  expect (scene, 10, 2);
  answer (scene, 10, 2);
  assert_answered (scene, 0, WINDOW);
  assert_answered (scene, 10, 2);
  scene_end (scene);
}

/* By either way to say how long a call may take. */
static void
test_held_timed_out (void)
{
  Scene *scene = scene_new_full (8);

  test_start_timeout (scene->client, "never", 20, &scene->slots[8]);
  aqmp_client_set_call_timeout (scene->client, 30);
  start (scene, 9, 1);
  aqmp_client_set_call_timeout (scene->client, 0);
  start (scene, 10, 1);
  assert_failed (scene, 8, 1, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "20 ms");
  assert_failed (scene, 9, 1, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "30 ms");
  answer (scene, 0, WINDOW);
  expect (scene, 10, 1);
  answer (scene, 10, 1);
  assert_answered (scene, 0, WINDOW);
  assert_answered (scene, 10, 1);
  scene_end (scene);
}

static void
test_held_is_not_queued (void)
{
  Scene *scene = scene_new_full (8);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint i;

  /* A stream that cannot be polled may tell of a write after the answer has come. */
  test_wait_until (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (scene->client)) == 0);
  start (scene, 8, 100);
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (scene->client)), ==, 0);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (scene->client)), ==, 0);

  /* So nothing has to wait for them. */
  aqmp_protocol_flush_async (AQMP_PROTOCOL (scene->client), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_flush_finish (AQMP_PROTOCOL (scene->client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  assert_waiting (scene, 0, 108);

  cancel (scene, 107);
  answer (scene, 0, WINDOW);
  for (i = WINDOW; i < 107; i++)
    {
      expect (scene, i, 1);
      answer (scene, i, 1);
    }
  assert_answered (scene, 0, 107);
  scene_end (scene);
}

/* M6: what the caller does with its arguments while the command waits. */
static void
test_held_arguments (void)
{
  Scene *scene = scene_new_full (8);
  JsonObject *arguments = json_object_new ();

  json_object_set_int_member (arguments, "x", 1);
  aqmp_client_execute_async (scene->client, "c-8", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback,
                             &scene->slots[8]);
  json_object_set_int_member (arguments, "x", 2);
  json_object_unref (arguments);
  answer (scene, 0, WINDOW);
  expect_text (scene, 8, "{'execute': 'c-8', 'arguments': {'x': 1}}");
  answer (scene, 8, 1);
  assert_answered (scene, 0, 9);
  scene_end (scene);
}

/* What cannot be sent fails at once, whether there is room or not, and takes no room. */
static void
test_invalid (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  g_autoptr (JsonObject) arguments = json_object_new ();
  guint round;
  guint i;

  json_object_set_double_member (arguments, "x", NAN);
  for (round = 0; round < 2; round++)
    {
      for (i = 0; i < 20; i++)
        {
          g_auto (TestSlot) slot = TEST_SLOT_INIT;
          g_autofree char *result = NULL;
          g_autoptr (GError) error = NULL;

          aqmp_client_execute_async (scene->client, "never", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, test_slot_callback,
                                     &slot);
          result = test_finish (&slot, &error);
          g_assert_null (result);
          g_assert_error (error, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE);
        }
      if (round == 0)
        {
          start (scene, 0, 9);
          expect (scene, 0, WINDOW);
          check_nothing_else_sent (scene);
        }
    }
  check_nothing_else_sent (scene);
  answer (scene, 0, WINDOW);
  expect (scene, 8, 1);
  answer (scene, 8, 1);
  assert_answered (scene, 0, 9);
  scene_end (scene);
}

/* A call out of the callback of another comes behind those that wait already. */
typedef struct
{
  Scene *scene;
  guint  number;
} Successor;

static void
start_successor (GObject      *object,
                 GAsyncResult *result,
                 gpointer      data)
{
  Successor *successor = data;

  start (successor->scene, successor->number, 1);
  test_slot_callback (object, result, &successor->scene->slots[0]);
}

static void
test_call_in_callback (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  Successor successor = { scene, 11 };

  aqmp_client_execute_async (scene->client, "c-0", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, start_successor, &successor);
  start (scene, 1, 10);
  expect (scene, 0, WINDOW);
  answer (scene, 0, 1);
  expect (scene, 8, 1);
  check_nothing_else_sent (scene);
  assert_answered (scene, 0, 1);
  answer (scene, 1, 3);
  expect (scene, 9, 3);
  answer (scene, 4, 8);
  assert_answered (scene, 1, 11);
  scene_end (scene);
}

/* --- Ids ---------------------------------------------------------------------------------------------------------- */

static void
assert_id_in_use (Scene      *scene,
                  guint       number,
                  const char *message)
{
  start_text (scene, number, message);
  assert_failed (scene, number, 1, AQMP_ERROR, AQMP_ERROR_INVALID_MESSAGE, "id");
}

static void
test_own_ids (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);

  start_text (scene, 0, "{\"execute\": \"a\", \"id\": 1}");
  expect_text (scene, 0, "{'execute': 'a', 'id': 1}");
  start (scene, 1, 7);
  expect (scene, 1, 7);
  start_text (scene, 8, "{\"execute\": \"b\", \"id\": \"mine\"}");
  start_text (scene, 9, "{\"execute\": \"c\", \"id\": 2}");
  check_nothing_else_sent (scene);

  /* Of one that is outstanding, and of one held back. */
  assert_id_in_use (scene, 20, "{\"execute\": \"never\", \"id\": 1}");
  assert_id_in_use (scene, 21, "{\"execute\": \"never\", \"id\": \"m\\u0069ne\"}");
  assert_id_in_use (scene, 22, "{\"exec-oob\": \"never\", \"id\": \"mine\"}");

  /* It is free again once the one held back is cancelled; but not if one that was written is. */
  cancel (scene, 8);
  cancel (scene, 0);
  assert_id_in_use (scene, 23, "{\"execute\": \"never\", \"id\": 1}");
  start_text (scene, 10, "{\"execute\": \"d\", \"id\": \"mine\"}");
  check_nothing_else_sent (scene);

  answer (scene, 0, 1);
  expect_text (scene, 9, "{'execute': 'c', 'id': 2}");
  answer (scene, 1, 1);
  expect_text (scene, 10, "{'execute': 'd', 'id': 'mine'}");
  answer (scene, 2, 6);
  answer (scene, 9, 2);
  assert_answered (scene, 1, 7);
  assert_text_answered (scene, 9);
  assert_text_answered (scene, 10);
  scene_end (scene);
}

/* --- Out of band -------------------------------------------------------------------------------------------------- */

/* Any number of them, with as many in-band ones outstanding and more held back. */
static void
test_oob_overtakes (void)
{
  Scene *scene = scene_new_full (12);
  guint i;

  for (i = 20; i < 50; i++)
    {
      g_autofree char *message = g_strdup_printf ("{\"exec-oob\": \"o-%u\"}", i);
      g_autofree char *pattern = g_strdup_printf ("{'exec-oob': 'o-%u'}", i);

      start_text (scene, i, message);
      expect_text (scene, i, pattern);
    }
  mock_wait_done (scene->mock);
  assert_waiting (scene, 0, 12);

  /* They make no room, and take none. */
  answer (scene, 20, 10);
  for (i = 20; i < 30; i++)
    assert_text_answered (scene, i);
  check_nothing_else_sent (scene);
  answer (scene, 0, 4);
  expect (scene, 8, 4);
  check_nothing_else_sent (scene);
  start (scene, 12, 1);
  check_nothing_else_sent (scene);
  answer (scene, 30, 20);
  answer (scene, 4, WINDOW);
  expect (scene, 12, 1);
  answer (scene, 12, 1);
  for (i = 30; i < 50; i++)
    assert_text_answered (scene, i);
  assert_answered (scene, 0, 13);
  scene_end (scene);
}

/* Those outstanding leave the window to in-band ones. */
static void
test_oob_takes_no_room (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  guint i;

  for (i = 20; i < 40; i++)
    {
      start_text (scene, i, "{\"exec-oob\": \"o\"}");
      expect_text (scene, i, "{'exec-oob': 'o'}");
    }
  start (scene, 0, 9);
  expect (scene, 0, WINDOW);
  check_nothing_else_sent (scene);
  answer (scene, 20, 20);
  answer (scene, 0, 1);
  expect (scene, 8, 1);
  answer (scene, 1, 8);
  for (i = 20; i < 40; i++)
    assert_text_answered (scene, i);
  assert_answered (scene, 0, 9);
  scene_end (scene);
}

/* --- Without OOB -------------------------------------------------------------------------------------------------- */

static void
check_no_limit (Scene *scene)
{
  start (scene, 0, 100);
  expect (scene, 0, 100);
  mock_wait_done (scene->mock);
  assert_waiting (scene, 0, 100);
  answer (scene, 0, 100);
  assert_answered (scene, 0, 100);

  start_text (scene, 100, "{\"exec-oob\": \"never\"}");
  assert_failed (scene, 100, 1, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "out-of-band");
}

static void
test_not_offered (void)
{
  Scene *scene = scene_new (MOCK_GREETING_PLAIN);

  check_no_limit (scene);
  scene_end (scene);
}

static void
test_not_enabled (void)
{
  Scene *scene = g_new0 (Scene, 1);
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < MOST_CALLS; i++)
    scene->cancellables[i] = g_cancellable_new ();
  scene->mock = mock_new (MOCK_TRANSPORT_UNIX);
  scene->client = aqmp_client_new (NULL);
  aqmp_client_set_enable_oob (scene->client, FALSE);
  mock_greet (scene->mock, MOCK_GREETING_OOB);
  mock_expect_text (scene->mock, "{\"execute\":\"qmp_capabilities\",\"id\":@ID@}");
  scene->n_requests++;
  mock_return (scene->mock, "{}");
  test_connect (scene->client, scene->mock, &error);
  g_assert_no_error (error);
  g_assert_false (aqmp_client_get_oob_enabled (scene->client));
  /* What was negotiated counts. */
  aqmp_client_set_enable_oob (scene->client, TRUE);
  check_no_limit (scene);
  scene_end (scene);
}

/* --- The end of a session ----------------------------------------------------------------------------------------- */

/* With a reason, and each of them once. */
static void
test_failure (void)
{
  Scene *scene = scene_new_full (20);
  g_autoptr (GError) error = NULL;

  cancel (scene, 2);
  mock_close (scene->mock);
  assert_failed (scene, 0, 2, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "The peer closed the connection");
  assert_failed (scene, 3, 17, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "The peer closed the connection");
  g_assert_false (test_disconnect (scene->client, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);

  /* S12: nothing of them reaches the next one, which has all the room. */
  connect_again (scene, MOCK_GREETING_OOB);
  start (scene, 20, 9);
  expect (scene, 20, WINDOW);
  check_nothing_else_sent (scene);
  answer (scene, 20, 1);
  expect (scene, 28, 1);
  answer (scene, 21, 8);
  assert_answered (scene, 20, 9);
  scene_end (scene);
}

/* Whether there is a window each session finds out anew. */
static void
test_other_negotiation_next (void)
{
  Scene *scene = scene_new_full (10);
  g_autoptr (GError) error = NULL;

  mock_close (scene->mock);
  assert_failed (scene, 0, 10, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  test_disconnect (scene->client, NULL);
  connect_again (scene, MOCK_GREETING_PLAIN);
  start (scene, 10, 50);
  expect (scene, 10, 50);
  answer (scene, 10, 50);
  assert_answered (scene, 10, 50);
  mock_expect_eof (scene->mock);
  test_disconnect (scene->client, &error);
  g_assert_no_error (error);

  connect_again (scene, MOCK_GREETING_OOB);
  start (scene, 60, 9);
  expect (scene, 60, WINDOW);
  check_nothing_else_sent (scene);
  answer (scene, 60, WINDOW);
  expect (scene, 68, 1);
  answer (scene, 68, 1);
  assert_answered (scene, 60, 9);
  mock_expect_eof (scene->mock);
  test_disconnect (scene->client, &error);
  g_assert_no_error (error);

  /* Not negotiated at all. */
  aqmp_client_set_negotiate (scene->client, FALSE);
  mock_accept (scene->mock);
  mock_greet (scene->mock, MOCK_GREETING_OOB);
  test_connect (scene->client, scene->mock, &error);
  g_assert_no_error (error);
  start (scene, 70, 50);
  expect (scene, 70, 50);
  answer (scene, 70, 50);
  assert_answered (scene, 70, 50);
  scene_end (scene);
}

/* The eighth does not fit the socket's buffer, so there is something to flush; the first seven can still be answered. */
static void
start_plug (Scene *scene,
            guint  number)
{
  g_autofree char *padding = g_strnfill (8 * 1024 * 1024, 'x');
  g_autofree char *message = g_strdup_printf ("{\"execute\": \"plug\", \"arguments\": \"%s\"}", padding);

  start_text (scene, number, message);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (scene->client)), >, 1024 * 1024);
}

static void
call_again (GObject      *object,
            GAsyncResult *result,
            gpointer      data)
{
  Successor *successor = data;

  start (successor->scene, successor->number, 1);
  test_slot_callback (object, result, &successor->scene->slots[8]);
}

static void
test_disconnect_begins (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  Successor successor = { scene, 30 };
  g_auto (TestSlot) disconnected = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (scene->client), 60000);
  start (scene, 0, 7);
  start_plug (scene, 7);
  aqmp_client_execute_async (scene->client, "never", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, call_again, &successor);
  start (scene, 9, 5);
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (scene->client), NULL, test_slot_callback, &disconnected);

  assert_failed (scene, 8, 6, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  assert_failed (scene, 30, 1, AQMP_ERROR, AQMP_ERROR_STATE, "");
  assert_waiting (scene, 0, 8);
  g_assert_false (test_slot_is_done (&disconnected));
  start (scene, 31, 1);
  assert_failed (scene, 31, 1, AQMP_ERROR, AQMP_ERROR_STATE, "");

  expect (scene, 0, 7);
  answer (scene, 0, 7);
  assert_answered (scene, 0, 7);
  g_assert_false (test_slot_is_done (&disconnected));
  expect_text (scene, 7, "{'execute': 'plug', 'arguments': '@ANY@'}");
  mock_expect_eof (scene->mock);
  result = test_await (&disconnected);
  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (scene->client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  assert_failed (scene, 7, 1, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");

  connect_again (scene, MOCK_GREETING_OOB);
  scene_end (scene);
}

/* Nothing to flush, or no time for it: all of them fail, one way or the other. */
static void
check_disconnect (guint flush_timeout_ms)
{
  Scene *scene = scene_new_full (16);
  g_autoptr (GError) error = NULL;

  mock_expect_eof (scene->mock);
  aqmp_protocol_set_flush_timeout (AQMP_PROTOCOL (scene->client), flush_timeout_ms);
  test_disconnect (scene->client, &error);
  g_assert_no_error (error);
  assert_failed (scene, 0, 16, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  connect_again (scene, MOCK_GREETING_OOB);
  scene_end (scene);
}

static void
test_disconnect_flush (void)
{
  check_disconnect (5000);
}

static void
test_disconnect_no_flush (void)
{
  check_disconnect (0);
}

static void
test_dispose (void)
{
  Scene *scene = scene_new_full (16);

  mock_expect_eof (scene->mock);
  g_object_run_dispose (G_OBJECT (scene->client));
  assert_failed (scene, 0, 16, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "");
  g_assert_cmpuint (G_OBJECT (scene->client)->ref_count, ==, 1);
  g_object_unref (scene->client);
  mock_wait_done (scene->mock);
  scene_free (scene);
}

/* --- Strange replies ---------------------------------------------------------------------------------------------- */

/* Nothing of that makes room. */
static void
test_strays (void)
{
  Scene *scene = scene_new_full (10);

  mock_send_json (scene->mock, "{'return': {}, 'id': 'nobody'}");
  mock_send_json (scene->mock, "{'return': {}, 'id': 'aqmp-100000'}");
  mock_send_json (scene->mock, "{'return': {}, 'id': [1]}");
  mock_send_json (scene->mock, "{'return': {}}");
  mock_send_json (scene->mock, "{'error': {'class': 'GenericError', 'desc': 'no'}, 'id': 'nobody'}");
  mock_event (scene->mock, "STOP", NULL);
  check_nothing_else_sent (scene);

  /* Twice the same is once. */
  answer (scene, 4, 1);
  answer (scene, 4, 1);
  expect (scene, 8, 1);
  check_nothing_else_sent (scene);

  /* Without an id, an error may be that of a call that was given up. */
  cancel (scene, 0);
  mock_send_json (scene->mock, "{'error': {'class': 'GenericError', 'desc': 'no'}}");
  check_nothing_else_sent (scene);
  answer (scene, 0, 4);
  expect (scene, 9, 1);
  answer (scene, 5, 5);
  assert_answered (scene, 1, 9);
  scene_end (scene);
}

/* Q4: the server could not read something; nobody knows what. */
static void
test_error_without_id (void)
{
  Scene *scene = scene_new_full (10);
  g_autoptr (GError) error = NULL;

  mock_send_json (scene->mock, "{'error': {'class': 'GenericError', 'desc': 'what?'}}");
  mock_expect_eof (scene->mock);
  assert_failed (scene, 0, 10, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "what?");
  g_assert_false (test_disconnect (scene->client, &error));
  g_assert_error (error, AQMP_ERROR, AQMP_ERROR_SERVER_PARSE);
  connect_again (scene, MOCK_GREETING_OOB);
  scene_end (scene);
}

/* A server that answers what it was not sent: believed, and not sent any more; nothing is answered with that. */
static void
test_answered_unsent (void)
{
  Scene *scene = scene_new_full (8);

  start_text (scene, 8, "{\"execute\": \"held\", \"id\": \"x\"}");
  start (scene, 9, 2);
  mock_send_json (scene->mock, "{'return': 8, 'id': 'x'}");
  assert_text_answered (scene, 8);
  check_nothing_else_sent (scene);
  answer (scene, 0, 1);
  expect (scene, 9, 1);
  check_nothing_else_sent (scene);
  answer (scene, 1, 1);
  expect (scene, 10, 1);
  answer (scene, 2, 6);
  answer (scene, 9, 2);
  assert_answered (scene, 0, WINDOW);
  assert_answered (scene, 9, 2);
  scene_end (scene);
}

/* --- A filter ----------------------------------------------------------------------------------------------------- */

typedef AqmpClient FilteringClient;
typedef AqmpClientClass FilteringClientClass;

static GType filtering_client_get_type (void);

G_DEFINE_TYPE (FilteringClient, filtering_client, AQMP_TYPE_CLIENT)

static GBytes *
filter_outbound (AqmpProtocol  *protocol,
                 GBytes        *message,
                 GError       **error)
{
  char *text = g_strdup_printf ("{\"more\": 1, %.*s", (int) g_bytes_get_size (message) - 1,
                                (const char *) g_bytes_get_data (message, NULL) + 1);

  return g_bytes_new_take (text, strlen (text));
}

static void
filtering_client_class_init (FilteringClientClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->filter_outbound = filter_outbound;
}

static void
filtering_client_init (FilteringClient *self)
{
}

static void
test_filter (void)
{
  Scene *scene = scene_new_with (g_object_new (filtering_client_get_type (), NULL), MOCK_GREETING_OOB);
  guint i;

  start (scene, 0, 20);
  for (i = 0; i < 20; i++)
    {
      g_autofree char *pattern = g_strdup_printf ("{'execute': 'c-%u', 'more': 1}", i);

      if (i >= WINDOW)
        answer (scene, i - WINDOW, 1);
      expect_text (scene, i, pattern);
    }
  answer (scene, 12, WINDOW);
  assert_answered (scene, 0, 20);
  mock_expect_eof (scene->mock);
  test_client_close (scene->client);
  mock_wait_done (scene->mock);
  scene_free (scene);
}

/* --- Many --------------------------------------------------------------------------------------------------------- */

#define MANY 1000

/* A random one of those outstanding is answered each time. */
static void
test_many (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  guint outstanding[WINDOW];
  guint i;

  start (scene, 0, MANY);
  expect (scene, 0, WINDOW);
  for (i = 0; i < WINDOW; i++)
    outstanding[i] = i;
  for (i = WINDOW; i < MANY; i++)
    {
      guint which = (guint) g_rand_int_range (random, 0, WINDOW);

      answer (scene, outstanding[which], 1);
      expect (scene, i, 1);
      outstanding[which] = i;
    }
  for (i = 0; i < WINDOW; i++)
    answer (scene, outstanding[i], 1);
  assert_answered (scene, 0, MANY);
  scene_end (scene);
}

#define N_THREADS 4
#define N_CALLS 5
#define N_ROUNDS 20

typedef struct
{
  AqmpClient *client;
  guint       number;
  int        *n_started;   /* atomic: calls */
  int        *n_finished;  /* atomic: threads */
} Caller;

/* Several calls at a time, all of them in one round are started before the first can be answered. */
static gpointer
call_in_thread (gpointer data)
{
  Caller *caller = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint round;
  guint i;

  g_main_context_push_thread_default (context);
  for (round = 0; round < N_ROUNDS; round++)
    {
      TestSlot slots[N_CALLS] = { TEST_SLOT_INIT };

      for (i = 0; i < N_CALLS; i++)
        {
          g_autofree char *message = g_strdup_printf ("{\"execute\": \"t\", \"id\": \"%u-%u-%u\"}", caller->number, round, i);

          test_start_raw (caller->client, message, NULL, &slots[i]);
          g_atomic_int_inc (caller->n_started);
          g_main_context_wakeup (NULL);
        }
      for (i = 0; i < N_CALLS; i++)
        {
          g_autofree char *id = g_strdup_printf ("\"%u-%u-%u\"", caller->number, round, i);
          g_autofree char *result = NULL;
          g_autoptr (GError) error = NULL;

          result = test_finish (&slots[i], &error);
          g_assert_no_error (error);
          g_assert_nonnull (strstr (result, id));
        }
    }
  g_main_context_pop_thread_default (context);

  g_atomic_int_inc (caller->n_finished);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
test_threads (void)
{
  Scene *scene = scene_new (MOCK_GREETING_OOB);
  Caller callers[N_THREADS];
  GThread *threads[N_THREADS];
  int n_started = 0;
  int n_finished = 0;
  guint round;
  guint i;

  for (i = 0; i < N_THREADS; i++)
    {
      callers[i] = (Caller) { scene->client, i, &n_started, &n_finished };
      threads[i] = g_thread_new ("caller", call_in_thread, &callers[i]);
    }
  for (round = 0; round < N_ROUNDS; round++)
    {
      const guint n_calls = N_THREADS * N_CALLS;

      test_wait_until ((guint) g_atomic_int_get (&n_started) == (round + 1) * n_calls);
      for (i = 0; i < WINDOW; i++)
        expect_text (scene, i, "{'execute': 't'}");
      check_nothing_else_sent (scene);
      for (i = 0; i < n_calls; i++)
        {
          answer (scene, i, 1);
          if (i + WINDOW < n_calls)
            expect_text (scene, i + WINDOW, "{'execute': 't'}");
        }
    }
  test_wait_until (g_atomic_int_get (&n_finished) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  scene_end (scene);
}

/* Threads that cancel what they have called, outstanding or held back, while all goes on. */
#define N_CANCELLED_ROUNDS 50

static gpointer
cancel_in_thread (gpointer data)
{
  Caller *caller = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GRand) random = g_rand_new_with_seed (caller->number);
  guint round;
  guint i;

  g_main_context_push_thread_default (context);
  for (round = 0; round < N_CANCELLED_ROUNDS; round++)
    {
      TestSlot slots[N_CALLS] = { TEST_SLOT_INIT };
      GCancellable *cancellables[N_CALLS];

      for (i = 0; i < N_CALLS; i++)
        {
          cancellables[i] = g_cancellable_new ();
          test_start_raw (caller->client, "{\"execute\": \"t\"}", cancellables[i], &slots[i]);
        }
      for (i = 0; i < N_CALLS; i++)
        {
          g_autofree char *result = NULL;
          g_autoptr (GError) error = NULL;

          if (g_rand_boolean (random))
            g_cancellable_cancel (cancellables[i]);
          result = test_finish (&slots[i], &error);
          if (error != NULL)
            g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          g_assert_cmpuint (slots[i].n_calls, ==, 1);
          g_object_unref (cancellables[i]);
        }
    }
  g_main_context_pop_thread_default (context);

  g_atomic_int_inc (caller->n_finished);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* Answers whatever comes, until the end of file. How many of them are outstanding at most is all that is looked at. */
typedef struct
{
  GIOStream *stream;
  guint      n_requests;
} Peer;

static gpointer
answer_in_thread (gpointer data)
{
  Peer *peer = data;
  GInputStream *input = g_io_stream_get_input_stream (peer->stream);
  GOutputStream *output = g_io_stream_get_output_stream (peer->stream);
  g_autoptr (GString) received = g_string_new (NULL);
  const char *greeting = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, "
                         "\"capabilities\": [\"oob\"]}}";
  char buffer[4096];
  gssize n_read;

  test_mark_helper_thread ();
  g_output_stream_write_all (output, greeting, strlen (greeting), NULL, NULL, NULL);
  while ((n_read = g_input_stream_read (input, buffer, sizeof buffer, NULL, NULL)) > 0)
    {
      guint n_together = 0;
      const char *id;
      const char *end;

      g_string_append_len (received, buffer, n_read);
      while ((id = strstr (received->str, "\"id\":\"")) != NULL && (end = strchr (id, '}')) != NULL)
        {
          g_autofree char *reply = g_strdup_printf ("{\"return\": {}, %.*s}\r\n", (int) (end - id), id);

          peer->n_requests++;
          n_together++;
          g_output_stream_write_all (output, reply, strlen (reply), NULL, NULL, NULL);
          g_string_erase (received, 0, end + 1 - received->str);
        }
      g_assert_cmpuint (n_together, <=, WINDOW);
    }

  return NULL;
}

static void
test_threads_that_cancel (void)
{
  g_autoptr (GSocketConnection) ours = NULL;
  g_autoptr (GSocketConnection) theirs = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autofree char *last = NULL;
  g_autoptr (GError) error = NULL;
  Caller callers[N_THREADS];
  GThread *threads[N_THREADS];
  GThread *answerer;
  Peer peer = { NULL, 0 };
  int n_finished = 0;
  guint i;

  test_socket_pair (&ours, &theirs);
  peer.stream = G_IO_STREAM (theirs);
  answerer = g_thread_new ("peer", answer_in_thread, &peer);
  aqmp_protocol_open_async (AQMP_PROTOCOL (client), G_IO_STREAM (ours), NULL, test_slot_callback, &opened);
  result = test_await (&opened);
  aqmp_protocol_open_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);

  for (i = 0; i < N_THREADS; i++)
    {
      callers[i] = (Caller) { client, i, NULL, &n_finished };
      threads[i] = g_thread_new ("caller", cancel_in_thread, &callers[i]);
    }
  test_wait_until (g_atomic_int_get (&n_finished) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);

  /* There is room for this one at least. */
  last = test_execute (client, "last", NULL, &error);
  g_assert_no_error (error);
  test_client_close (client);
  g_thread_join (answerer);
  g_assert_cmpuint (peer.n_requests, <=, N_THREADS * N_CANCELLED_ROUNDS * N_CALLS + 2);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/client/Q9/window/reply", test_reply);
  g_test_add_func ("/client/Q9/window/error-reply", test_error_reply);
  g_test_add_func ("/client/Q9/window/malformed-reply", test_malformed_reply);
  g_test_add_func ("/client/Q9/window/reply-to-a-cancelled-one", test_reply_to_cancelled);
  g_test_add_func ("/client/Q9/window/error-reply-to-a-timed-out-one", test_error_reply_to_timed_out);
  g_test_add_func ("/client/Q9/window/cancelled-unwritten", test_cancelled_unwritten);
  g_test_add_func ("/client/Q9/held/cancelled", test_held_cancelled);
  g_test_add_func ("/client/Q9/held/timed-out", test_held_timed_out);
  g_test_add_func ("/client/Q9/held/is-not-queued", test_held_is_not_queued);
  g_test_add_func ("/client/Q9/held/call-in-callback", test_call_in_callback);
  g_test_add_func ("/client/M6/held-arguments", test_held_arguments);
  g_test_add_func ("/client/M6/invalid-takes-no-room", test_invalid);
  g_test_add_func ("/client/Q5/own-ids-in-the-window", test_own_ids);
  g_test_add_func ("/client/Q9/oob/overtakes", test_oob_overtakes);
  g_test_add_func ("/client/Q9/oob/takes-no-room", test_oob_takes_no_room);
  g_test_add_func ("/client/Q9/no-limit/not-offered", test_not_offered);
  g_test_add_func ("/client/Q9/no-limit/not-enabled", test_not_enabled);
  g_test_add_func ("/client/S12/window/failure", test_failure);
  g_test_add_func ("/client/S12/window/other-negotiation-next", test_other_negotiation_next);
  /* Too much for a server that takes one byte out of each record. */
  if (!test_transport_is ("tls-qemu"))
    g_test_add_func ("/client/S7/window/disconnect-begins", test_disconnect_begins);
  g_test_add_func ("/client/S7/window/flush", test_disconnect_flush);
  g_test_add_func ("/client/S7/window/no-flush", test_disconnect_no_flush);
  g_test_add_func ("/client/S10/window/dispose", test_dispose);
  g_test_add_func ("/client/Q4/window/strays", test_strays);
  g_test_add_func ("/client/Q4/window/error-without-id", test_error_without_id);
  g_test_add_func ("/client/Q4/window/answered-without-being-sent", test_answered_unsent);
  g_test_add_func ("/client/M1/window/filter", test_filter);
  g_test_add_func ("/client/Q9/window/many", test_many);
  g_test_add_func ("/client/T2/window/threads", test_threads);
  g_test_add_func ("/client/T2/window/threads-that-cancel", test_threads_that_cancel);

  return g_test_run ();
}
