/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "descriptors-util.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Files that can be told apart --------------------------------------------------------------------------------- */

File
file_open (void)
{
  File self = { .fd = memfd_create ("aqmp", MFD_CLOEXEC) };
  struct stat status;

  g_assert_cmpint (self.fd, >=, 0);
  g_assert_no_errno (fstat (self.fd, &status));
  self.device = status.st_dev;
  self.inode = status.st_ino;
  return self;
}

void
assert_is_file (const File *file,
                int         fd)
{
  struct stat status;

  g_assert_no_errno (fstat (fd, &status));
  g_assert_cmpuint (status.st_dev, ==, file->device);
  g_assert_cmpuint (status.st_ino, ==, file->inode);
}

/* --- A session, and some files to send ---------------------------------------------------------------------------- */

void
scene_begin_with (Scene        *self,
                  MockServer   *mock,
                  AqmpClient   *client,
                  MockGreeting  greeting)
{
  g_autoptr (GError) error = NULL;
  guint i;

  *self = (Scene) { .mock = mock, .client = client };
  for (i = 0; i < N_FILES; i++)
    self->files[i] = file_open ();
  mock_negotiate (mock, greeting);
  test_connect (client, mock, &error);
  g_assert_no_error (error);
  mock_wait_done (mock);
  self->n_fds = test_count_fds ();
}

void
scene_begin (Scene        *self,
             MockGreeting  greeting)
{
  scene_begin_with (self, mock_new (MOCK_TRANSPORT_UNIX), aqmp_client_new (NULL), greeting);
}

void
scene_guard (Scene *self)
{
  guint i;

  for (i = 0; i < N_GUARDS && !self->is_guarded; i++)
    self->guards[i] = file_open ();
  self->is_guarded = TRUE;
}

void
scene_free (Scene *self)
{
  guint i;

  mock_finish (self->mock);
  for (i = 0; i < N_GUARDS && self->is_guarded; i++)
    {
      assert_is_file (&self->guards[i], self->guards[i].fd);
      close (self->guards[i].fd);
    }
  for (i = 0; i < N_FILES; i++)
    {
      assert_is_file (&self->files[i], self->files[i].fd);
      close (self->files[i].fd);
    }
}

void
scene_end (Scene *self)
{
  scene_guard (self);
  test_ping (self->client, self->mock);
  mock_expect_eof (self->mock);
  test_client_close (self->client);
  /* A stream that cannot be polled is closed by this context. */
  mock_wait_done (self->mock);
  scene_free (self);
}

void
scene_end_failed (Scene *self)
{
  g_autoptr (GError) error = NULL;

  scene_guard (self);
  test_disconnect (self->client, NULL);
  mock_accept (self->mock);
  mock_negotiate (self->mock, MOCK_GREETING_PLAIN);
  test_connect (self->client, self->mock, &error);
  g_assert_no_error (error);
  scene_end (self);
}

GUnixFDList *
scene_list_files (Scene *scene,
                  guint  first,
                  guint  n_files)
{
  g_autoptr (GError) error = NULL;
  GUnixFDList *list = g_unix_fd_list_new ();
  guint i;

  for (i = first; i < first + n_files; i++)
    {
      g_unix_fd_list_append (list, scene->files[i].fd, &error);
      g_assert_no_error (error);
    }
  return list;
}

void
scene_assert_arrived (Scene *scene,
                      guint  request,
                      guint  first,
                      guint  n_files)
{
  guint i;

  for (i = 0; i < n_files; i++)
    assert_is_file (&scene->files[first + i], mock_get_fd (scene->mock, request, i));
  g_assert_cmpint (mock_get_fd (scene->mock, request, n_files), ==, -1);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

void
start_with_list (AqmpClient   *client,
                 Form          form,
                 const char   *command,
                 GUnixFDList  *list,
                 int           timeout_ms,
                 GCancellable *cancellable,
                 TestSlot     *slot)
{
  g_autofree char *message = g_strdup_printf ("{\"execute\": \"%s\"}", command);

  if (form == RAW)
    aqmp_client_execute_raw_async (client, message, list, cancellable, test_slot_callback, slot);
  else
    aqmp_client_execute_full_async (client, command, NULL, list, AQMP_EXECUTE_FLAGS_NONE, timeout_ms, cancellable,
                                    test_slot_callback, slot);
}

void
scene_start_timeout (Scene      *scene,
                     const char *command,
                     int         timeout_ms,
                     TestSlot   *slot)
{
  g_autoptr (GUnixFDList) list = scene_list_files (scene, 0, N_FILES);

  start_with_list (scene->client, FULL, command, list, timeout_ms, NULL, slot);
}

void
scene_start (Scene        *scene,
             Form          form,
             const char   *command,
             GCancellable *cancellable,
             TestSlot     *slot)
{
  g_autoptr (GUnixFDList) list = scene_list_files (scene, 0, N_FILES);

  start_with_list (scene->client, form, command, list, -1, cancellable, slot);
}

void
scene_start_text (Scene        *scene,
                  const char   *message,
                  GCancellable *cancellable,
                  TestSlot     *slot)
{
  g_autoptr (GUnixFDList) list = scene_list_files (scene, 0, N_FILES);

  aqmp_client_execute_raw_async (scene->client, message, list, cancellable, test_slot_callback, slot);
}

void
assert_succeeded (TestSlot *slot)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_no_error (error);
  g_assert_nonnull (result);
  g_assert_cmpuint (slot->n_calls, ==, 1);
}

void
assert_failed (TestSlot   *slot,
               GQuark      domain,
               int         code,
               const char *text)
{
  g_autofree char *result = NULL;
  g_autoptr (GError) error = NULL;

  result = test_finish (slot, &error);
  g_assert_null (result);
  test_assert_error (error, domain, code, text);
  g_assert_cmpuint (slot->n_calls, ==, 1);
}

static char *
plug_text (void)
{
  g_autofree char *padding = g_strnfill (256 * 1024, 'x');

  return g_strdup_printf ("{\"execute\": \"plug\", \"id\": \"plug\", \"arguments\": \"%s\"}", padding);
}

void
scene_start_plug (Scene    *scene,
                  TestSlot *slot)
{
  GIOStream *stream = aqmp_protocol_get_stream (AQMP_PROTOCOL (scene->client));
  GSocket *socket = g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream));
  g_autofree char *command = plug_text ();
  g_autoptr (GError) error = NULL;

  g_socket_set_option (socket, SOL_SOCKET, SO_SNDBUF, 1, &error);
  g_assert_no_error (error);
  test_start_raw (scene->client, command, NULL, slot);
  test_dispatch_pending ();
  g_assert_cmpuint (aqmp_protocol_get_queued_bytes (AQMP_PROTOCOL (scene->client)), >, 128 * 1024);
}

void
scene_expect_plug (MockServer *mock)
{
  g_autofree char *command = plug_text ();

  mock_expect_bytes (mock, command, -1);
}

void
scene_answer_plug (MockServer *mock)
{
  mock_send_json (mock, "{'return': {}, 'id': 'plug'}");
}

void
scene_oob_ping (Scene *scene)
{
  guint i;

  mock_wait_done (scene->mock);
  for (i = 0; i < 2; i++)
    {
      g_autofree char *result = NULL;
      g_autoptr (GError) error = NULL;

      mock_expect (scene->mock, "{'exec-oob': 'oob-ping'}");
      mock_return (scene->mock, "{}");
      result = test_execute_raw (scene->client, "{\"exec-oob\": \"oob-ping\"}", &error);
      g_assert_no_error (error);
    }
}

void
scene_begin_held (Scene        *scene,
                  TestSlot     *outstanding,
                  GCancellable *cancellable,
                  int           timeout_ms,
                  TestSlot     *held)
{
  g_autoptr (GUnixFDList) list = NULL;

  scene_begin (scene, MOCK_GREETING_OOB);
  scene_start (scene, FULL, "getfd", NULL, outstanding);
  mock_expect_with_fds (scene->mock, "{'execute': 'getfd'}", N_FILES);
  mock_wait_done (scene->mock);
  scene->n_fds += N_FILES;
  scene_assert_open (scene, 0);
  list = scene_list_files (scene, 0, N_FILES);
  start_with_list (scene->client, FULL, "held", list, timeout_ms, cancellable, held);
  g_clear_object (&list);
  scene_assert_open (scene, N_FILES);
}

/* --- Running ------------------------------------------------------------------------------------------------------ */

static gboolean
tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* Each test is followed by a look at what is open. TLS shakes hands in a thread of GIO's, which lets go of its context in its
   own time. */
static void
run_counted (gconstpointer data)
{
  const SceneTest *test = data;
  guint n_fds = test_count_fds ();
  g_autofree char *before = test_list_fds ();

  test->func ();
  test_dispatch_pending ();
  if (test_count_fds () != n_fds)
    {
      g_autofree char *after = test_list_fds ();
      guint ticking = g_timeout_add (5, tick, NULL);

      g_test_message ("open before:\n%safter:\n%s", before, after);
      test_wait_until (test_count_fds () == n_fds);
      g_source_remove (ticking);
    }
}

int
scene_run_tests (const SceneTest *tests,
                 gsize            n_tests)
{
  Scene scene;
  gsize i;

  /* What GLib opens once and keeps. */
  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_end (&scene);

  for (i = 0; i < n_tests; i++)
    g_test_add_data_func (tests[i].path, &tests[i], run_counted);
  return g_test_run ();
}
