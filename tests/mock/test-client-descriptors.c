/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Q10: file descriptors that travel with commands. */

#include "descriptors-util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certificates.h"

/* --- With the first byte, and no other ---------------------------------------------------------------------------- */

/* All in one turn, so that they could be one write. */
static void
check_first_byte (Form form)
{
  Scene scene;
  g_auto (TestSlot) before = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) after = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  test_start (scene.client, "before", NULL, &before);
  scene_start (&scene, form, "getfd", NULL, &slot);
  test_start (scene.client, "after", NULL, &after);
  scene_assert_open (&scene, N_FILES);
  mock_expect (scene.mock, "{'execute': 'before'}");
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_expect (scene.mock, "{'execute': 'after'}");
  mock_return_to (scene.mock, 3, "{}");
  mock_return_to (scene.mock, 2, "{}");
  mock_return_to (scene.mock, 1, "{}");
  assert_succeeded (&before);
  assert_succeeded (&slot);
  assert_succeeded (&after);
  scene_assert_arrived (&scene, 2, 0, N_FILES);
  scene_assert_open (&scene, N_FILES);
  scene_end (&scene);
}

static void
test_first_byte_full (void)
{
  check_first_byte (FULL);
}

static void
test_first_byte_raw (void)
{
  check_first_byte (RAW);
}

/* By itself: nothing else is ever in the same write. */
static void
test_alone (void)
{
  Scene scene;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start (&scene, FULL, "getfd", NULL, &slot);
  test_dispatch_pending ();
  /* They are in the socket now. */
  scene_assert_open (&scene, 0);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&slot);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_end (&scene);
}

/* Other descriptors with each of several, some of which have none. */
static void
test_order (void)
{
  static const guint n_files[] = { 1, 2, 0, 3, 1, 0, 0, 2 };
  Scene scene;
  TestSlot slots[G_N_ELEMENTS (n_files)] = { TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  for (i = 0; i < G_N_ELEMENTS (n_files); i++)
    {
      g_autofree char *command = g_strdup_printf ("c-%u", i);
      g_autoptr (GUnixFDList) list = n_files[i] > 0 ? scene_list_files (&scene, N_FILES - n_files[i], n_files[i]) : NULL;

      start_with_list (scene.client, i % 2 == 0 ? FULL : RAW, command, list, -1, NULL, &slots[i]);
    }
  for (i = 0; i < G_N_ELEMENTS (n_files); i++)
    {
      g_autofree char *pattern = g_strdup_printf ("{'execute': 'c-%u'}", i);

      mock_expect_with_fds (scene.mock, pattern, n_files[i]);
    }
  /* Not one was answered, and all have come. */
  mock_wait_done (scene.mock);
  for (i = 0; i < G_N_ELEMENTS (n_files); i++)
    {
      scene_assert_arrived (&scene, i + 1, N_FILES - n_files[i], n_files[i]);
      mock_return_to (scene.mock, i + 1, "{}");
    }
  for (i = 0; i < G_N_ELEMENTS (n_files); i++)
    assert_succeeded (&slots[i]);
  scene_end (&scene);
}

/* The first byte finds room, and the rest goes in many pieces. */
static void
test_large_command (void)
{
  Scene scene;
  g_autofree char *padding = g_strnfill (2 * 1024 * 1024, 'x');
  g_autofree char *command = g_strdup_printf ("{\"execute\": \"plug\", \"arguments\": \"%s\"}", padding);
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) other = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_text (&scene, command, NULL, &slot);
  test_start (scene.client, "behind", NULL, &other);
  test_dispatch_pending ();
  /* Those have gone. */
  scene_assert_open (&scene, 0);
  mock_expect_with_fds (scene.mock, "{'execute': 'plug', 'arguments': '@ANY@'}", N_FILES);
  mock_return (scene.mock, "{}");
  mock_expect (scene.mock, "{'execute': 'behind'}");
  mock_return (scene.mock, "{}");
  assert_succeeded (&slot);
  assert_succeeded (&other);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_end (&scene);
}

/* Its turn comes later, behind what is stuck, and around what was taken back meanwhile. */
static void
test_behind_stuck_and_cancelled (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  TestSlot kept[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  TestSlot cancelled[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_plug (&scene, &plug);
  scene_start (&scene, FULL, "never", cancellable, &cancelled[0]);
  test_start (scene.client, "plain", NULL, &kept[0]);
  test_start (scene.client, "never", cancellable, &cancelled[1]);
  scene_start (&scene, RAW, "getfd", NULL, &kept[1]);
  scene_start (&scene, FULL, "never", cancellable, &cancelled[2]);
  scene_start (&scene, FULL, "add-fd", NULL, &kept[2]);
  scene_assert_open (&scene, 4 * N_FILES);
  g_cancellable_cancel (cancellable);
  for (i = 0; i < 3; i++)
    assert_cancelled (&cancelled[i]);
  scene_assert_open (&scene, 2 * N_FILES);

  scene_expect_plug (scene.mock);
  scene_answer_plug (scene.mock);
  mock_expect (scene.mock, "{'execute': 'plain'}");
  mock_return (scene.mock, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_return (scene.mock, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'add-fd'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&plug);
  for (i = 0; i < 3; i++)
    assert_succeeded (&kept[i]);
  scene_assert_arrived (&scene, 2, 0, N_FILES);
  scene_assert_arrived (&scene, 3, 0, N_FILES);
  scene_end (&scene);
}

/* What has come on the other end, byte by byte, up to the end of a command. Descriptors only with the first. */
static GArray *
receive_command (int fd)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (int));
  gboolean is_first = TRUE;
  char byte = '\0';

  while (byte != '}')
    {
      union
      {
        char           bytes[CMSG_SPACE (300 * sizeof (int))];
        struct cmsghdr header;
      } control;
      struct iovec vector = { &byte, 1 };
      struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                                .msg_controllen = sizeof control };
      struct cmsghdr *header;

      g_assert_cmpint (recvmsg (fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT), ==, 1);
      g_assert_cmpint (message.msg_flags & MSG_CTRUNC, ==, 0);
      header = CMSG_FIRSTHDR (&message);
      if (header != NULL)
        {
          g_assert_true (is_first);
          g_assert_cmpint (header->cmsg_level, ==, SOL_SOCKET);
          g_assert_cmpint (header->cmsg_type, ==, SCM_RIGHTS);
          g_array_append_vals (fds, CMSG_DATA (header), (guint) ((header->cmsg_len - CMSG_LEN (0)) / sizeof (int)));
          g_assert_null (CMSG_NXTHDR (&message, header));
        }
      is_first = FALSE;
    }

  return fds;
}

static void
open_client (AqmpClient        *client,
             GSocketConnection *connection)
{
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  aqmp_client_set_negotiate (client, FALSE);
  aqmp_client_set_await_greeting (client, FALSE);
  aqmp_protocol_open_async (AQMP_PROTOCOL (client), G_IO_STREAM (connection), NULL, test_slot_callback, &slot);
  result = test_await (&slot);
  aqmp_protocol_open_finish (AQMP_PROTOCOL (client), result, &error);
  g_assert_no_error (error);
}

/* The kernel takes 253 and not one more. */
#define MOST 253

static void
check_many (Form form)
{
  g_autoptr (GSocketConnection) ours = NULL;
  g_autoptr (GSocketConnection) theirs = NULL;
  AqmpClient *client = aqmp_client_new (NULL);
  g_autoptr (GArray) received = NULL;
  g_autoptr (GUnixFDList) list = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) refused = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  File files[MOST];
  int fds[MOST];
  guint i;

  test_socket_pair (&ours, &theirs);
  open_client (client, ours);
  for (i = 0; i < MOST; i++)
    {
      files[i] = file_open ();
      fds[i] = files[i].fd;
    }
  list = g_unix_fd_list_new_from_array (fds, MOST);

  start_with_list (client, form, "c", list, -1, NULL, &slot);
  g_unix_fd_list_append (list, fds[0], &error);
  g_assert_no_error (error);
  start_with_list (client, form, "c", list, -1, NULL, &refused);
  assert_failed (&refused, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "253");
  test_dispatch_pending ();

  received = receive_command (g_socket_get_fd (g_socket_connection_get_socket (theirs)));
  g_assert_cmpuint (received->len, ==, MOST);
  for (i = 0; i < MOST; i++)
    {
      assert_is_file (&files[i], g_array_index (received, int, i));
      assert_is_file (&files[i], fds[i]);
      close (g_array_index (received, int, i));
    }
  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (theirs)), "{\"return\": 1, \"id\": \"aqmp-1\"}", 29,
                             NULL, NULL, &error);
  g_assert_no_error (error);
  assert_succeeded (&slot);
  test_client_close (client);
}

static void
test_many_full (void)
{
  check_many (FULL);
}

static void
test_many_raw (void)
{
  check_many (RAW);
}

/* --- What else may be in a list, and become of it ----------------------------------------------------------------- */

/* Like none at all: with OOB, both are sent at once. */
static void
test_empty_list (void)
{
  Scene scene;
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_auto (TestSlot) full = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  start_with_list (scene.client, FULL, "a", list, -1, NULL, &full);
  start_with_list (scene.client, RAW, "b", list, -1, NULL, &raw);
  mock_expect (scene.mock, "{'execute': 'a'}");
  mock_expect (scene.mock, "{'execute': 'b'}");
  mock_return_to (scene.mock, 1, "{}");
  mock_return_to (scene.mock, 2, "{}");
  assert_succeeded (&full);
  assert_succeeded (&raw);
  scene_end (&scene);
}

/* Right after the call: the list gets more, its descriptors are closed, and it goes. */
static void
check_list_afterwards (Form form)
{
  Scene scene;
  GUnixFDList *list;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;
  gpointer watched;
  int *fds;
  int n_fds;
  int i;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  list = scene_list_files (&scene, 0, 2);
  start_with_list (scene.client, form, "getfd", list, -1, NULL, &slot);
  g_unix_fd_list_append (list, scene.files[2].fd, &error);
  g_assert_no_error (error);
  fds = g_unix_fd_list_steal_fds (list, &n_fds);
  for (i = 0; i < n_fds; i++)
    close (fds[i]);
  g_free (fds);
  watched = list;
  g_object_add_weak_pointer (G_OBJECT (list), &watched);
  g_object_unref (list);
  g_assert_null (watched);

  scene_assert_open (&scene, 2);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", 2);
  mock_return (scene.mock, "{}");
  assert_succeeded (&slot);
  scene_assert_arrived (&scene, 1, 0, 2);
  scene_end (&scene);
}

static void
test_list_afterwards_full (void)
{
  check_list_afterwards (FULL);
}

static void
test_list_afterwards_raw (void)
{
  check_list_afterwards (RAW);
}

/* The same list with two calls, and the same descriptor twice in it. */
static void
test_list_used_twice (void)
{
  Scene scene;
  g_autoptr (GUnixFDList) list = NULL;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  guint request;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  list = scene_list_files (&scene, 0, 1);
  g_unix_fd_list_append (list, scene.files[0].fd, NULL);
  start_with_list (scene.client, FULL, "a", list, -1, NULL, &first);
  start_with_list (scene.client, RAW, "b", list, -1, NULL, &second);
  g_assert_cmpint (g_unix_fd_list_get_length (list), ==, 2);
  mock_expect_with_fds (scene.mock, "{'execute': 'a'}", 2);
  mock_return (scene.mock, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'b'}", 2);
  mock_return (scene.mock, "{}");
  assert_succeeded (&first);
  assert_succeeded (&second);
  for (request = 1; request <= 2; request++)
    {
      assert_is_file (&scene.files[0], mock_get_fd (scene.mock, request, 0));
      assert_is_file (&scene.files[0], mock_get_fd (scene.mock, request, 1));
    }
  scene_end (&scene);
}

/* (transfer full): the second of three is closed. To be freed with free_broken_list(). */
static GUnixFDList *
broken_list (Scene *scene)
{
  GUnixFDList *list = scene_list_files (scene, 0, 3);

  close (g_unix_fd_list_peek_fds (list, NULL)[1]);
  return list;
}

static void
free_broken_list (GUnixFDList *list)
{
  g_autofree int *fds = g_unix_fd_list_steal_fds (list, NULL);

  close (fds[0]);
  close (fds[2]);
  g_object_unref (list);
}

static void
check_closed_descriptor (Form form)
{
  Scene scene;
  GUnixFDList *list;
  g_auto (TestSlot) before = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) after = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "before", NULL, &before);
  list = broken_list (&scene);
  start_with_list (scene.client, form, "never", list, -1, NULL, &slot);
  free_broken_list (list);
  scene_start (&scene, RAW, "after", NULL, &after);
  scene_assert_open (&scene, 2 * N_FILES);
  assert_failed (&slot, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "number 2");

  mock_expect_with_fds (scene.mock, "{'execute': 'before'}", N_FILES);
  mock_return (scene.mock, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'after'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&before);
  assert_succeeded (&after);
  scene_assert_arrived (&scene, 2, 0, N_FILES);
  scene_end (&scene);
}

static void
test_closed_descriptor_full (void)
{
  check_closed_descriptor (FULL);
}

static void
test_closed_descriptor_raw (void)
{
  check_closed_descriptor (RAW);
}

/* Room for one copy of three. */
static void
check_out_of_descriptors (Form form)
{
  Scene scene;
  g_autoptr (GUnixFDList) list = NULL;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_auto (TestSlot) again = TEST_SLOT_INIT;
  struct rlimit limit;
  struct rlimit low;
  int next;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  list = scene_list_files (&scene, 0, N_FILES);
  next = fcntl (0, F_DUPFD_CLOEXEC, 3);
  g_assert_cmpint (next, >=, 0);
  close (next);
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  low = limit;
  low.rlim_cur = (rlim_t) next + 1;
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &low));
  start_with_list (scene.client, form, "never", list, -1, NULL, &slot);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  scene_assert_open (&scene, N_FILES);
  assert_failed (&slot, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES, g_strerror (EMFILE));

  /* It works again as soon as there is room. */
  start_with_list (scene.client, form, "getfd", list, -1, NULL, &again);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&again);
  scene_end (&scene);
}

static void
test_out_of_descriptors_full (void)
{
  check_out_of_descriptors (FULL);
}

static void
test_out_of_descriptors_raw (void)
{
  check_out_of_descriptors (RAW);
}

/* A child that is started meanwhile gets none; and none of them becomes somebody's standard input. */
static void
test_copies_are_close_on_exec (void)
{
  Scene scene;
  g_autoptr (GUnixFDList) list = NULL;
  g_auto (TestSlot) plug = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  int stdin_fd = fcntl (0, F_DUPFD_CLOEXEC, 3);
  guint n_copies = 0;
  int fd;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start_plug (&scene, &plug);
  list = scene_list_files (&scene, 0, N_FILES);
  g_assert_cmpint (stdin_fd, >=, 0);
  close (0);
  start_with_list (scene.client, FULL, "getfd", list, -1, NULL, &slot);
  g_assert_cmpint (fcntl (0, F_GETFD), ==, -1);
  g_assert_no_errno (dup2 (stdin_fd, 0));
  close (stdin_fd);
  g_clear_object (&list);
  for (fd = 3; fd < 1024; fd++)
    {
      struct stat status;

      if (fstat (fd, &status) != 0 || status.st_dev != scene.files[0].device || status.st_ino != scene.files[0].inode)
        continue;
      g_assert_cmpint (fcntl (fd, F_GETFD), ==, FD_CLOEXEC);
      n_copies++;
    }
  g_assert_cmpuint (n_copies, ==, 2);
  scene.n_fds--;

  scene_expect_plug (scene.mock);
  scene_answer_plug (scene.mock);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&plug);
  assert_succeeded (&slot);
  scene_end (&scene);
}

/* --- Filters, and the log ----------------------------------------------------------------------------------------- */

typedef enum
{
  FILTER_NOTHING,
  FILTER_REPLACE,
  FILTER_FAIL,
  FILTER_END_SESSION,
  FILTER_ITERATE,  /* until the test has cancelled something */
} Filtering;

#define FILTERING_TYPE_CLIENT (filtering_client_get_type ())
G_DECLARE_FINAL_TYPE (FilteringClient, filtering_client, FILTERING, CLIENT, AqmpClient)

struct _FilteringClient
{
  AqmpClient parent_instance;

  Filtering     filtering;
  GCancellable *cancellable;  /* (unowned) */
};

G_DEFINE_FINAL_TYPE (FilteringClient, filtering_client, AQMP_TYPE_CLIENT)

static GBytes *
filtering_client_outbound (AqmpProtocol  *protocol,
                           GBytes        *message,
                           GError       **error)
{
  FilteringClient *self = FILTERING_CLIENT (protocol);
  g_autoptr (GError) local_error = NULL;
  const char *text = g_bytes_get_data (message, NULL);
  gsize length = g_bytes_get_size (message);
  char *replacement;

  switch (self->filtering)
    {
    case FILTER_REPLACE:
      /* The first byte of it is another one than before. */
      replacement = g_strdup_printf ("\n {\"more\": 1, %.*s", (int) length - 1, text + 1);
      return g_bytes_new_take (replacement, strlen (replacement));
    case FILTER_FAIL:
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_EXISTS, "not this one");
      return NULL;
    case FILTER_END_SESSION:
      local_error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_EXISTS, "not this one");
      aqmp_protocol_fail (protocol, local_error);
      break;
    case FILTER_ITERATE:
      g_cancellable_cancel (self->cancellable);
      test_dispatch_pending ();
      break;
    case FILTER_NOTHING:
    default:
      break;
    }

  return g_bytes_ref (message);
}

static void
filtering_client_class_init (FilteringClientClass *klass)
{
  AQMP_PROTOCOL_CLASS (klass)->filter_outbound = filtering_client_outbound;
}

static void
filtering_client_init (FilteringClient *self)
{
}

static void
scene_begin_filtering (Scene        *self,
                       MockGreeting  greeting,
                       Filtering     filtering)
{
  scene_begin_with (self, mock_new (MOCK_TRANSPORT_UNIX), g_object_new (FILTERING_TYPE_CLIENT, NULL), greeting);
  FILTERING_CLIENT (self->client)->filtering = filtering;
}

/* Between others, in both forms. */
static void
test_filter_keeps (void)
{
  Scene scene;
  TestSlot slots[5] = { TEST_SLOT_INIT };
  guint i;

  scene_begin_filtering (&scene, MOCK_GREETING_PLAIN, FILTER_NOTHING);
  scene_start (&scene, FULL, "a", NULL, &slots[0]);
  test_start (scene.client, "b", NULL, &slots[1]);
  scene_start (&scene, RAW, "c", NULL, &slots[2]);
  scene_start (&scene, RAW, "d", NULL, &slots[3]);
  test_start (scene.client, "e", NULL, &slots[4]);
  scene_assert_open (&scene, 3 * N_FILES);
  for (i = 0; i < 5; i++)
    {
      g_autofree char *pattern = g_strdup_printf ("{'execute': '%c'}", 'a' + (int) i);

      mock_expect_with_fds (scene.mock, pattern, i == 1 || i == 4 ? 0 : N_FILES);
      mock_return (scene.mock, "{}");
    }
  for (i = 0; i < 5; i++)
    assert_succeeded (&slots[i]);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_assert_arrived (&scene, 3, 0, N_FILES);
  scene_assert_arrived (&scene, 4, 0, N_FILES);
  scene_end (&scene);
}

/* The whole of what the filter made goes out, with the descriptors at its very beginning. */
static void
test_filter_replaces (void)
{
  g_autoptr (GSocketConnection) ours = NULL;
  g_autoptr (GSocketConnection) theirs = NULL;
  AqmpClient *client = g_object_new (FILTERING_TYPE_CLIENT, NULL);
  File file = file_open ();
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  TestSlot slots[3] = { TEST_SLOT_INIT, TEST_SLOT_INIT, TEST_SLOT_INIT };
  guint i;

  test_socket_pair (&ours, &theirs);
  open_client (client, ours);
  FILTERING_CLIENT (client)->filtering = FILTER_REPLACE;
  g_unix_fd_list_append (list, file.fd, NULL);
  for (i = 0; i < 3; i++)
    start_with_list (client, i == 2 ? RAW : FULL, "c", i == 0 ? NULL : list, -1, cancellable, &slots[i]);
  test_dispatch_pending ();
  for (i = 0; i < 3; i++)
    {
      g_autoptr (GArray) received = receive_command (g_socket_get_fd (g_socket_connection_get_socket (theirs)));

      g_assert_cmpuint (received->len, ==, i == 0 ? 0 : 1);
      if (received->len == 0)
        continue;
      assert_is_file (&file, g_array_index (received, int, 0));
      close (g_array_index (received, int, 0));
    }
  g_cancellable_cancel (cancellable);
  for (i = 0; i < 3; i++)
    assert_cancelled (&slots[i]);
  close (file.fd);
  test_client_close (client);
}

/* In the same turn as the call: the filter never sees it. */
static void
test_filter_cancelled_before (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  scene_begin_filtering (&scene, MOCK_GREETING_PLAIN, FILTER_FAIL);
  scene_start (&scene, FULL, "never", cancellable, &slot);
  scene_assert_open (&scene, N_FILES);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&slot);
  scene_assert_open (&scene, 0);
  FILTERING_CLIENT (scene.client)->filtering = FILTER_NOTHING;
  scene_end (&scene);
}

/* While the filter has it: too late to take it back. */
static void
test_filter_cancelled_meanwhile (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  scene_begin_filtering (&scene, MOCK_GREETING_PLAIN, FILTER_ITERATE);
  FILTERING_CLIENT (scene.client)->cancellable = cancellable;
  scene_start (&scene, FULL, "getfd", cancellable, &slot);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  assert_cancelled (&slot);
  mock_wait_done (scene.mock);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  FILTERING_CLIENT (scene.client)->filtering = FILTER_NOTHING;
  mock_return (scene.mock, "{}");
  scene_end (&scene);
}

/* The session ends in the filter, with one more behind it. */
static void
check_filter_fails (Filtering filtering)
{
  Scene scene;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;

  scene_begin_filtering (&scene, MOCK_GREETING_PLAIN, filtering);
  mock_expect_eof (scene.mock);
  scene_start (&scene, FULL, "never", NULL, &first);
  scene_start (&scene, RAW, "never", NULL, &second);
  scene_assert_open (&scene, 2 * N_FILES);
  assert_failed (&first, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "not this one");
  assert_failed (&second, AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "not this one");
  mock_wait_done (scene.mock);
  test_dispatch_pending ();
  /* The mock's end is still open. */
  scene_assert_open (&scene, -1);
  FILTERING_CLIENT (scene.client)->filtering = FILTER_NOTHING;
  scene_end_failed (&scene);
}

static void
test_filter_fails (void)
{
  check_filter_fails (FILTER_FAIL);
}

static void
test_filter_ends_session (void)
{
  check_filter_fails (FILTER_END_SESSION);
}

/* With the log on, messages go another way. Whether it is on is looked at once only: a process of its own. */
static void
check_wire (void)
{
  g_autoptr (TestLog) log = test_log_start ();
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  check_first_byte (FULL);
  check_first_byte (RAW);

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  scene_start (&scene, FULL, "never", cancellable, &slot);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&slot);
  scene_assert_open (&scene, 0);
  scene_end (&scene);
  g_assert_cmpuint (test_log_count (log, G_LOG_LEVEL_DEBUG, "aqmp", "getfd"), ==, 2);
}

static void
test_wire (void)
{
  if (g_test_subprocess ())
    {
      check_wire ();
      return;
    }

  g_setenv ("AQMP_DEBUG", "wire", TRUE);
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_unsetenv ("AQMP_DEBUG");
  g_test_trap_assert_passed ();
}

/* --- Where they cannot be sent ------------------------------------------------------------------------------------ */

static void
assert_not_supported (Scene *scene)
{
  g_auto (TestSlot) full = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;

  scene_start (scene, FULL, "never", NULL, &full);
  scene_start (scene, RAW, "never", NULL, &raw);
  /* With TLS, one from the handshake may be open for a little longer. */
  if (!aqmp_protocol_get_tls (AQMP_PROTOCOL (scene->client)))
    scene_assert_open (scene, 0);
  /* Never from inside the call. */
  g_assert_false (test_slot_is_done (&full));
  assert_failed (&full, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "UNIX socket");
  assert_failed (&raw, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "UNIX socket");
}

/* An empty list is nothing that could not be sent. */
static void
check_without_fds (Scene *scene)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_auto (TestSlot) slot = TEST_SLOT_INIT;

  mock_expect (scene->mock, "{'execute': 'a'}");
  mock_return (scene->mock, "{}");
  start_with_list (scene->client, FULL, "a", list, -1, NULL, &slot);
  assert_succeeded (&slot);
}

static void
check_not_supported (MockTransport transport)
{
  Scene scene;
  AqmpClient *client = aqmp_client_new (NULL);

  if (transport == MOCK_TRANSPORT_TLS)
    {
      g_autoptr (GTlsDatabase) database = test_certificates_get_database ("good");

      aqmp_protocol_set_tls (AQMP_PROTOCOL (client), TRUE);
      aqmp_protocol_set_tls_database (AQMP_PROTOCOL (client), database);
    }
  scene_begin_with (&scene, mock_new (transport), client, MOCK_GREETING_OOB);
  assert_not_supported (&scene);
  check_without_fds (&scene);
  scene_end (&scene);
}

static void
test_tcp (void)
{
  check_not_supported (MOCK_TRANSPORT_TCP);
}

static void
test_tls (void)
{
  if (test_have_certificates ())
    check_not_supported (MOCK_TRANSPORT_TLS);
}

/* @wrap: (nullable): what is put around the stream */
static void
check_stream (MockTransport   transport,
              GIOStream    *(*wrap) (GIOStream *base),
              gboolean        supported)
{
  Scene scene = { .mock = mock_new (transport), .client = aqmp_client_new (NULL) };
  g_autoptr (GIOStream) base = mock_get_stream (scene.mock);
  g_autoptr (GIOStream) stream = wrap != NULL ? wrap (base) : g_object_ref (base);
  g_auto (TestSlot) opened = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint i;

  for (i = 0; i < N_FILES; i++)
    scene.files[i] = file_open ();
  mock_negotiate (scene.mock, MOCK_GREETING_PLAIN);
  aqmp_protocol_open_async (AQMP_PROTOCOL (scene.client), stream, NULL, test_slot_callback, &opened);
  result = test_await (&opened);
  aqmp_protocol_open_finish (AQMP_PROTOCOL (scene.client), result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  scene.n_fds = test_count_fds ();

  if (supported)
    {
      scene_start (&scene, FULL, "getfd", NULL, &slot);
      mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
      mock_return (scene.mock, "{}");
      assert_succeeded (&slot);
      scene_assert_arrived (&scene, 1, 0, N_FILES);
    }
  else
    assert_not_supported (&scene);
  check_without_fds (&scene);
  scene_end (&scene);
}

static void
test_pipes (void)
{
  check_stream (MOCK_TRANSPORT_PIPES, NULL, FALSE);
}

static void
test_plain_stream (void)
{
  check_stream (MOCK_TRANSPORT_SOCKETPAIR, test_plain_stream_new, FALSE);
}

static void
test_pollable_stream (void)
{
  check_stream (MOCK_TRANSPORT_SOCKETPAIR, test_pollable_stream_new, FALSE);
}

static void
test_socketpair (void)
{
  check_stream (MOCK_TRANSPORT_SOCKETPAIR, NULL, TRUE);
}

static void
assert_state (Scene *scene)
{
  g_auto (TestSlot) full = TEST_SLOT_INIT;
  g_auto (TestSlot) raw = TEST_SLOT_INIT;
  guint n_fds = test_count_fds ();

  scene_start (scene, FULL, "never", NULL, &full);
  scene_start (scene, RAW, "never", NULL, &raw);
  g_assert_cmpuint (test_count_fds (), ==, n_fds);
  assert_failed (&full, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
  assert_failed (&raw, AQMP_ERROR, AQMP_ERROR_STATE, "AqmpClient");
}

/* Before a session, while it is being established, after it failed, and after it was disconnected. */
static void
test_no_session (void)
{
  Scene scene = { .mock = mock_new (MOCK_TRANSPORT_UNIX), .client = aqmp_client_new (NULL) };
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint asked;
  guint i;

  for (i = 0; i < N_FILES; i++)
    scene.files[i] = file_open ();
  assert_state (&scene);

  mock_greet (scene.mock, MOCK_GREETING_PLAIN);
  mock_expect (scene.mock, "{'execute': 'qmp_capabilities'}");
  asked = mock_pause (scene.mock);
  mock_return (scene.mock, "{}");
  mock_close (scene.mock);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (scene.client), mock_get_connectable (scene.mock), NULL, test_slot_callback, &slot);
  mock_wait_reached (scene.mock, asked);
  assert_state (&scene);

  mock_continue (scene.mock);
  result = test_await (&slot);
  aqmp_protocol_connect_finish (AQMP_PROTOCOL (scene.client), result, &error);
  g_assert_no_error (error);
  test_wait_failed (scene.client);
  assert_state (&scene);

  g_assert_false (test_disconnect (scene.client, &error));
  assert_state (&scene);
  g_object_unref (scene.client);
  scene_free (&scene);
}

/* --- From several threads ----------------------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_CALLS 25

typedef struct
{
  Scene *scene;
  Form   form;
  int   *n_finished;  /* atomic */
} Caller;

static gpointer
call_in_thread (gpointer data)
{
  Caller *caller = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  guint i;

  g_main_context_push_thread_default (context);
  for (i = 0; i < N_CALLS; i++)
    {
      g_auto (TestSlot) slot = TEST_SLOT_INIT;

      scene_start (caller->scene, caller->form, "getfd", NULL, &slot);
      assert_succeeded (&slot);
    }
  g_main_context_pop_thread_default (context);

  g_atomic_int_inc (caller->n_finished);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
check_threads (MockGreeting greeting)
{
  Scene scene;
  Caller callers[N_THREADS];
  GThread *threads[N_THREADS];
  int n_finished = 0;
  guint i;

  scene_begin (&scene, greeting);
  for (i = 0; i < N_THREADS * N_CALLS; i++)
    {
      mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
      mock_return (scene.mock, "{}");
    }
  for (i = 0; i < N_THREADS; i++)
    {
      callers[i] = (Caller) { &scene, i % 2 == 0 ? FULL : RAW, &n_finished };
      threads[i] = g_thread_new ("caller", call_in_thread, &callers[i]);
    }
  test_wait_until (g_atomic_int_get (&n_finished) == N_THREADS);
  for (i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  scene_assert_open (&scene, N_THREADS * N_CALLS * N_FILES);
  for (i = 0; i < N_THREADS * N_CALLS; i++)
    scene_assert_arrived (&scene, i + 1, 0, N_FILES);
  scene_end (&scene);
}

static void
test_threads (void)
{
  check_threads (MOCK_GREETING_PLAIN);
}

static void
test_threads_oob (void)
{
  check_threads (MOCK_GREETING_OOB);
}

/* --- One at a time once OOB is negotiated ------------------------------------------------------------------------- */

/* 1: getfd, 2 and 3: out of band, 4 and 5: those that have waited, in their order. */
static void
test_one_outstanding (void)
{
  Scene scene;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) third = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "getfd", NULL, &first);
  scene_start (&scene, RAW, "second", NULL, &second);
  test_start (scene.client, "third", NULL, &third);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'second'}", N_FILES);
  mock_expect (scene.mock, "{'execute': 'third'}");
  mock_return_to (scene.mock, 4, "{}");
  mock_return_to (scene.mock, 5, "{}");
  assert_succeeded (&first);
  assert_succeeded (&second);
  assert_succeeded (&third);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_assert_arrived (&scene, 4, 0, N_FILES);
  scene_end (&scene);
}

/* An error is an answer. */
static void
test_error_reply_releases (void)
{
  Scene scene;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "getfd", NULL, &first);
  scene_start (&scene, FULL, "second", NULL, &second);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_error (scene.mock, "GenericError", "no");
  mock_expect_with_fds (scene.mock, "{'execute': 'second'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_failed (&first, AQMP_EXEC_ERROR, AQMP_EXEC_ERROR_GENERIC_ERROR, "no");
  assert_succeeded (&second);
  scene_end (&scene);
}

/* Plain commands before one with descriptors do not hold it back; those that follow it while it is not held go along. */
static void
test_plain_ones_outstanding (void)
{
  Scene scene;
  TestSlot slots[4] = { TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  test_start (scene.client, "a", NULL, &slots[0]);
  scene_start (&scene, FULL, "b", NULL, &slots[1]);
  test_start (scene.client, "c", NULL, &slots[2]);
  scene_start (&scene, FULL, "d", NULL, &slots[3]);
  mock_expect (scene.mock, "{'execute': 'a'}");
  mock_expect_with_fds (scene.mock, "{'execute': 'b'}", N_FILES);
  mock_expect (scene.mock, "{'execute': 'c'}");
  /* Answers to others release nothing. */
  mock_return_to (scene.mock, 1, "{}");
  mock_return_to (scene.mock, 3, "{}");
  assert_succeeded (&slots[0]);
  assert_succeeded (&slots[2]);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 2, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'd'}", N_FILES);
  mock_return (scene.mock, "{}");
  for (i = 1; i < 4; i += 2)
    assert_succeeded (&slots[i]);
  scene_end (&scene);
}

/* Out of band too, one waits for another; but it overtakes those in-band. */
static void
test_oob_with_descriptors_waits (void)
{
  Scene scene;
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) in_band = TEST_SLOT_INIT;
  TestSlot out_of_band[2] = { TEST_SLOT_INIT, TEST_SLOT_INIT };

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start_text (&scene, "{\"exec-oob\": \"first\"}", NULL, &first);
  scene_start (&scene, FULL, "in-band", NULL, &in_band);
  scene_start_text (&scene, "{\"exec-oob\": \"second\"}", NULL, &out_of_band[0]);
  scene_start_text (&scene, "{\"exec-oob\": \"third\"}", NULL, &out_of_band[1]);
  mock_expect_with_fds (scene.mock, "{'exec-oob': 'first'}", N_FILES);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  mock_expect_with_fds (scene.mock, "{'exec-oob': 'second'}", N_FILES);
  assert_succeeded (&first);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 4, "{}");
  mock_expect_with_fds (scene.mock, "{'exec-oob': 'third'}", N_FILES);
  assert_succeeded (&out_of_band[0]);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 7, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'in-band'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&out_of_band[1]);
  assert_succeeded (&in_band);
  scene_end (&scene);
}

/* Given up after it was written, it still is outstanding. */
static void
check_given_up_outstanding (gboolean by_time)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) third = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  if (by_time)
    scene_start_timeout (&scene, "getfd", 300, &first);
  else
    scene_start (&scene, FULL, "getfd", cancellable, &first);
  scene_start (&scene, FULL, "second", NULL, &second);
  test_start (scene.client, "third", NULL, &third);
  mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", N_FILES);
  mock_wait_done (scene.mock);
  g_cancellable_cancel (cancellable);
  if (by_time)
    assert_timed_out (&first);
  else
    assert_cancelled (&first);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'second'}", N_FILES);
  mock_return (scene.mock, "{}");
  mock_expect (scene.mock, "{'execute': 'third'}");
  mock_return (scene.mock, "{}");
  assert_succeeded (&second);
  assert_succeeded (&third);
  scene_end (&scene);
}

static void
test_cancelled_outstanding (void)
{
  check_given_up_outstanding (FALSE);
}

static void
test_timed_out_outstanding (void)
{
  check_given_up_outstanding (TRUE);
}

/* Given up before it was written, it does not hold anything back any more. */
static void
test_cancelled_first_unwritten (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) first = TEST_SLOT_INIT;
  g_auto (TestSlot) second = TEST_SLOT_INIT;
  g_auto (TestSlot) third = TEST_SLOT_INIT;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "never", cancellable, &first);
  scene_start (&scene, RAW, "second", NULL, &second);
  test_start (scene.client, "third", NULL, &third);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&first);
  mock_expect_with_fds (scene.mock, "{'execute': 'second'}", N_FILES);
  mock_expect (scene.mock, "{'execute': 'third'}");
  mock_return_to (scene.mock, 1, "{}");
  mock_return_to (scene.mock, 2, "{}");
  assert_succeeded (&second);
  assert_succeeded (&third);
  scene_assert_arrived (&scene, 1, 0, N_FILES);
  scene_end (&scene);
}

/* The one held back goes away: the plain ones behind it need not wait for anything. */
static void
test_cancelled_held_releases (void)
{
  Scene scene;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) held = TEST_SLOT_INIT;
  g_auto (TestSlot) behind = TEST_SLOT_INIT;

  scene_begin_held (&scene, &outstanding, cancellable, -1, &held);
  test_start (scene.client, "behind", NULL, &behind);
  scene_oob_ping (&scene);
  g_cancellable_cancel (cancellable);
  assert_cancelled (&held);
  mock_expect (scene.mock, "{'execute': 'behind'}");
  mock_return (scene.mock, "{}");
  assert_succeeded (&behind);
  mock_return_to (scene.mock, 1, "{}");
  assert_succeeded (&outstanding);
  scene_end (&scene);
}

/* The filter's queue has the same order. */
static void
test_one_outstanding_filtered (void)
{
  Scene scene;
  TestSlot slots[4] = { TEST_SLOT_INIT };
  guint i;

  scene_begin_filtering (&scene, MOCK_GREETING_OOB, FILTER_NOTHING);
  scene_start (&scene, FULL, "c-0", NULL, &slots[0]);
  scene_start (&scene, FULL, "c-1", NULL, &slots[1]);
  test_start (scene.client, "c-2", NULL, &slots[2]);
  scene_start (&scene, RAW, "c-3", NULL, &slots[3]);
  mock_expect_with_fds (scene.mock, "{'execute': 'c-0'}", N_FILES);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'c-1'}", N_FILES);
  mock_expect (scene.mock, "{'execute': 'c-2'}");
  assert_succeeded (&slots[0]);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 4, "{}");
  mock_return_to (scene.mock, 5, "{}");
  mock_expect_with_fds (scene.mock, "{'execute': 'c-3'}", N_FILES);
  mock_return (scene.mock, "{}");
  for (i = 1; i < 4; i++)
    assert_succeeded (&slots[i]);
  scene_end (&scene);
}

/* The window of 8 counts those with descriptors too, and one of these waits for both. */
static void
test_window_and_descriptors (void)
{
  Scene scene;
  TestSlot slots[8] = { TEST_SLOT_INIT };
  g_auto (TestSlot) ninth = TEST_SLOT_INIT;
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  scene_start (&scene, FULL, "c-0", NULL, &slots[0]);
  for (i = 1; i < 8; i++)
    test_start (scene.client, "plain", NULL, &slots[i]);
  scene_start (&scene, FULL, "ninth", NULL, &ninth);
  mock_expect_with_fds (scene.mock, "{'execute': 'c-0'}", N_FILES);
  for (i = 1; i < 8; i++)
    mock_expect (scene.mock, "{'execute': 'plain'}");
  scene_oob_ping (&scene);
  /* Room for one more, but not for one with descriptors. */
  mock_return_to (scene.mock, 2, "{}");
  assert_succeeded (&slots[1]);
  scene_oob_ping (&scene);
  mock_return_to (scene.mock, 1, "{}");
  assert_succeeded (&slots[0]);
  mock_expect_with_fds (scene.mock, "{'execute': 'ninth'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&ninth);
  for (i = 2; i < 8; i++)
    {
      mock_return_to (scene.mock, i + 1, "{}");
      assert_succeeded (&slots[i]);
    }
  scene_end (&scene);
}

/* A new session after one that failed with descriptors outstanding and held back. */
static void
test_next_session (void)
{
  Scene scene;
  g_auto (TestSlot) outstanding = TEST_SLOT_INIT;
  g_auto (TestSlot) held = TEST_SLOT_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GError) error = NULL;

  scene_begin_held (&scene, &outstanding, NULL, -1, &held);
  mock_close (scene.mock);
  assert_interrupted (&outstanding);
  assert_interrupted (&held);
  test_disconnect (scene.client, NULL);
  mock_accept (scene.mock);
  mock_negotiate (scene.mock, MOCK_GREETING_OOB);
  test_connect (scene.client, scene.mock, &error);
  g_assert_no_error (error);
  scene_start (&scene, FULL, "new", NULL, &slot);
  mock_expect_with_fds (scene.mock, "{'execute': 'new'}", N_FILES);
  mock_return (scene.mock, "{}");
  assert_succeeded (&slot);
  scene_assert_arrived (&scene, 2, 0, N_FILES);
  scene_end (&scene);
}

#define N_IN_A_ROW 20

/* All called at once. */
static void
test_twenty_in_a_row (void)
{
  Scene scene;
  TestSlot slots[N_IN_A_ROW] = { TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_PLAIN);
  for (i = 0; i < N_IN_A_ROW; i++)
    {
      g_autoptr (GUnixFDList) list = scene_list_files (&scene, i % N_FILES, 1);

      start_with_list (scene.client, i % 2 == 0 ? FULL : RAW, "getfd", list, -1, NULL, &slots[i]);
      mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", 1);
    }
  scene_assert_open (&scene, N_IN_A_ROW);
  /* Without OOB, none waits for the one before. */
  mock_wait_done (scene.mock);
  for (i = 0; i < N_IN_A_ROW; i++)
    {
      scene_assert_arrived (&scene, i + 1, i % N_FILES, 1);
      mock_return_to (scene.mock, i + 1, "{}");
    }
  for (i = 0; i < N_IN_A_ROW; i++)
    assert_succeeded (&slots[i]);
  scene_end (&scene);
}

static void
test_twenty_in_a_row_oob (void)
{
  Scene scene;
  TestSlot slots[N_IN_A_ROW] = { TEST_SLOT_INIT };
  guint i;

  scene_begin (&scene, MOCK_GREETING_OOB);
  for (i = 0; i < N_IN_A_ROW; i++)
    {
      g_autoptr (GUnixFDList) list = scene_list_files (&scene, i % N_FILES, 1);

      start_with_list (scene.client, i % 2 == 0 ? FULL : RAW, "getfd", list, -1, NULL, &slots[i]);
    }
  scene_assert_open (&scene, N_IN_A_ROW);
  for (i = 0; i < N_IN_A_ROW; i++)
    {
      mock_expect_with_fds (scene.mock, "{'execute': 'getfd'}", 1);
      scene_oob_ping (&scene);
      scene_assert_arrived (&scene, 3 * i + 1, i % N_FILES, 1);
      /* That which the mock has is the only one that has left. */
      scene_assert_open (&scene, N_IN_A_ROW);
      mock_return_to (scene.mock, 3 * i + 1, "{}");
      assert_succeeded (&slots[i]);
    }
  scene_end (&scene);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const SceneTest tests[] = {
  { test_first_byte_full, "/client/Q10/first-byte/full" },
  { test_first_byte_raw, "/client/Q10/first-byte/raw" },
  { test_alone, "/client/Q10/first-byte/alone" },
  { test_order, "/client/Q10/order-among-commands" },
  { test_large_command, "/client/Q10/first-byte/large-command" },
  { test_behind_stuck_and_cancelled, "/client/Q10/first-byte/behind-stuck-and-cancelled-ones" },
  { test_many_full, "/client/Q10/253-and-254/full" },
  { test_many_raw, "/client/Q10/253-and-254/raw" },
  { test_empty_list, "/client/Q10/list/empty" },
  { test_list_afterwards_full, "/client/Q10/list/changed-closed-and-freed-afterwards/full" },
  { test_list_afterwards_raw, "/client/Q10/list/changed-closed-and-freed-afterwards/raw" },
  { test_list_used_twice, "/client/Q10/list/used-twice" },
  { test_closed_descriptor_full, "/client/Q10/list/closed-descriptor/full" },
  { test_closed_descriptor_raw, "/client/Q10/list/closed-descriptor/raw" },
  { test_out_of_descriptors_full, "/client/Q10/list/out-of-descriptors/full" },
  { test_out_of_descriptors_raw, "/client/Q10/list/out-of-descriptors/raw" },
  { test_copies_are_close_on_exec, "/client/M7/copies-are-close-on-exec" },
  { test_filter_keeps, "/client/M1/descriptors/filter-keeps-the-message" },
  { test_filter_replaces, "/client/M1/descriptors/filter-replaces-the-message" },
  { test_filter_cancelled_before, "/client/M1/descriptors/cancelled-before-the-filter" },
  { test_filter_cancelled_meanwhile, "/client/M1/descriptors/cancelled-in-the-filter" },
  { test_filter_fails, "/client/M1/descriptors/filter-fails" },
  { test_filter_ends_session, "/client/M1/descriptors/filter-ends-the-session" },
  { test_wire, "/client/S11/descriptors-with-the-wire-log" },
  { test_tcp, "/client/Q10/not-supported/tcp" },
  { test_tls, "/client/Q10/not-supported/tls" },
  { test_pipes, "/client/Q10/not-supported/pipes" },
  { test_plain_stream, "/client/Q10/not-supported/plain-stream" },
  { test_pollable_stream, "/client/Q10/not-supported/pollable-stream" },
  { test_socketpair, "/client/Q10/supported/socketpair" },
  { test_no_session, "/client/S2/descriptors-without-a-session" },
  { test_threads, "/client/T2/descriptors/threads" },
  { test_threads_oob, "/client/T2/descriptors/threads-oob" },
  { test_one_outstanding, "/client/Q10/oob/one-outstanding" },
  { test_error_reply_releases, "/client/Q10/oob/error-reply-releases" },
  { test_plain_ones_outstanding, "/client/Q10/oob/plain-ones-outstanding" },
  { test_oob_with_descriptors_waits, "/client/Q10/oob/exec-oob-with-descriptors-waits" },
  { test_cancelled_outstanding, "/client/Q10/oob/cancelled-outstanding" },
  { test_timed_out_outstanding, "/client/Q10/oob/timed-out-outstanding" },
  { test_cancelled_first_unwritten, "/client/Q10/oob/cancelled-unwritten" },
  { test_cancelled_held_releases, "/client/Q10/oob/cancelled-held-back-releases-others" },
  { test_one_outstanding_filtered, "/client/Q10/oob/filtered" },
  { test_window_and_descriptors, "/client/Q9/oob/window-and-descriptors" },
  { test_next_session, "/client/S12/descriptors-in-the-next-session" },
  { test_twenty_in_a_row, "/client/Q10/twenty-in-a-row/plain" },
  { test_twenty_in_a_row_oob, "/client/Q10/twenty-in-a-row/oob" },
};

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  return scene_run_tests (tests, G_N_ELEMENTS (tests));
}
