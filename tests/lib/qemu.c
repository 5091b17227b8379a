/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "qemu.h"

#include "util.h"

#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <gio/gunixsocketaddress.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number under which the program finds the descriptor that it is given. */
#define CHILD_FD 10

/* And where it finds the one that tells when it is ready. */
#define READY_FD 11
#define READY_CHARDEV "socket,id=ready,fd=" G_STRINGIFY (READY_FD)

/* What the TLS credentials are called. */
#define TLS_ID "tls"

/* As QEMU's own: a third client is turned away with EAGAIN. */
#define BACKLOG 1

/* Whatever changes the machine that runs the test, or lets others do so. */
#define BLOCKED_AGENT_COMMANDS \
  "guest-shutdown,guest-suspend-disk,guest-suspend-ram,guest-suspend-hybrid,guest-set-time,guest-set-vcpus," \
  "guest-set-memory-blocks,guest-set-user-password,guest-exec,guest-exec-status,guest-fstrim,guest-fsfreeze-freeze," \
  "guest-fsfreeze-freeze-list,guest-fsfreeze-thaw,guest-file-open,guest-file-close,guest-file-read,guest-file-write," \
  "guest-file-seek,guest-file-flush,guest-ssh-add-authorized-keys,guest-ssh-remove-authorized-keys"

struct _Qemu
{
  QemuKind            kind;
  QemuTransport       transport;
  QemuFlags           flags;
  TestTmpDir         *dir;              /* (owned) */
  char               *path;             /* (owned) (nullable) */
  GSocketConnectable *connectable;      /* (owned) (nullable): where it listens */
  GSocketConnectable *peer;             /* (owned) (nullable): where it connects */
  char               *certificates;     /* (owned) (nullable): TLS */
  GIOStream          *stream;           /* (owned) (nullable): not taken yet */
  int                 pid;
  gboolean            is_reaped;
  int                 wait_status;      /* once reaped */
};

/* ---- programs --------------------------------------------------------------------------------------------------- */

/* (transfer full) (nullable) */
static char *
find_program (const char *program)
{
  char *path = g_find_program_in_path (program);

  /* The guest agent lives where only root looks. */
  if (path == NULL)
    {
      path = g_build_filename ("/usr/sbin", program, NULL);
      if (!g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        g_clear_pointer (&path, g_free);
    }

  return path;
}

gboolean
qemu_require_program (const char *program)
{
  g_autofree char *path = find_program (program);

  if (path != NULL)
    return TRUE;

  if (g_getenv ("AQMP_TEST_REQUIRE_ALL") != NULL)
    g_test_fail_printf ("%s is missing", program);
  else
    g_test_skip_printf ("%s is missing", program);

  return FALSE;
}

char *
qemu_create_image (const char *directory,
                   const char *name,
                   const char *format,
                   const char *size)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  const char *argv[] = { "qemu-img", "create", "-q", "-f", format, path, size, NULL };
  g_autoptr(GError) error = NULL;
  int wait_status;

  if (!qemu_require_program ("qemu-img"))
    return NULL;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &wait_status, &error);
  g_assert_no_error (error);
  g_spawn_check_wait_status (wait_status, &error);
  g_assert_no_error (error);

  return g_steal_pointer (&path);
}

/* ---- starting --------------------------------------------------------------------------------------------------- */

static const char *
get_program (QemuKind kind)
{
  switch (kind)
    {
    case QEMU_SYSTEM_NONE:
    case QEMU_SYSTEM_Q35:
      return "qemu-system-x86_64";

    case QEMU_STORAGE_DAEMON:
      return "qemu-storage-daemon";

    case QEMU_GUEST_AGENT:
      return "qemu-ga";

    default:
      g_assert_not_reached ();
    }
}

static void
add_arguments (GPtrArray *argv,
               ...) G_GNUC_NULL_TERMINATED;

static void
add_arguments (GPtrArray *argv,
               ...)
{
  const char *argument;
  va_list list;

  va_start (list, argv);
  while ((argument = va_arg (list, const char *)) != NULL)
    g_ptr_array_add (argv, g_strdup (argument));
  va_end (list);
}

/* (transfer full): @text as the value of an option. */
static char *
quote_option (const char *text)
{
  g_auto(GStrv) parts = g_strsplit (text, ",", -1);

  return g_strjoinv (",,", parts);
}

/* (transfer full): the options that say where to connect. */
static char *
get_peer_options (GSocketConnectable *peer)
{
  if (G_IS_UNIX_SOCKET_ADDRESS (peer))
    {
      GUnixSocketAddress *address = G_UNIX_SOCKET_ADDRESS (peer);
      gboolean is_abstract = g_unix_socket_address_get_address_type (address) == G_UNIX_SOCKET_ADDRESS_ABSTRACT;
      g_autofree char *path = quote_option (g_unix_socket_address_get_path (address));

      return g_strdup_printf ("path=%s%s", path, is_abstract ? ",abstract=on" : "");
    }

  if (G_IS_INET_SOCKET_ADDRESS (peer))
    {
      GInetSocketAddress *address = G_INET_SOCKET_ADDRESS (peer);
      g_autofree char *host = g_inet_address_to_string (g_inet_socket_address_get_address (address));

      return g_strdup_printf ("host=%s,port=%u", host, g_inet_socket_address_get_port (address));
    }

  g_assert_true (G_IS_NETWORK_ADDRESS (peer));

  return g_strdup_printf ("host=%s,port=%u", g_network_address_get_hostname (G_NETWORK_ADDRESS (peer)),
                          g_network_address_get_port (G_NETWORK_ADDRESS (peer)));
}

/* (transfer full) */
static char *
get_chardev (Qemu *qemu)
{
  const char *tls = qemu->certificates != NULL ? ",tls-creds=" TLS_ID : "";

  switch (qemu->transport)
    {
    case QEMU_TRANSPORT_LISTENER:
    case QEMU_TRANSPORT_TCP:
      return g_strdup_printf ("socket,id=qmp,fd=%d,server=on,wait=off%s", CHILD_FD, tls);

    case QEMU_TRANSPORT_PATH:
      return g_strdup_printf ("socket,id=qmp,path=%s,server=on,wait=off", qemu->path);

    case QEMU_TRANSPORT_ABSTRACT:
      return g_strdup_printf ("socket,id=qmp,path=%s,abstract=on,server=on,wait=off", qemu->path);

    case QEMU_TRANSPORT_SOCKETPAIR:
      return g_strdup_printf ("socket,id=qmp,fd=%d", CHILD_FD);

    case QEMU_TRANSPORT_STDIO:
      return g_strdup ("stdio,id=qmp,signal=off");

    case QEMU_TRANSPORT_CONNECTING:
      {
        g_autofree char *options = get_peer_options (qemu->peer);

        return g_strdup_printf ("socket,id=qmp,%s,server=off,reconnect=%d%s", options,
                                (qemu->flags & QEMU_FLAGS_RECONNECT) != 0 ? 1 : 0, tls);
      }

    default:
      g_assert_not_reached ();
    }
}

/* (transfer full) */
static char *
get_tls_object (Qemu *qemu)
{
  g_autofree char *directory = quote_option (qemu->certificates);

  /* It would not start with a certificate that has expired. */
  return g_strdup_printf ("tls-creds-x509,id=" TLS_ID ",dir=%s,endpoint=%s,verify-peer=%s,sanity-check=off", directory,
                          qemu->transport == QEMU_TRANSPORT_CONNECTING ? "client" : "server",
                          (qemu->flags & QEMU_FLAGS_VERIFY_PEER) != 0 ? "on" : "off");
}

/* A server accepts connections in one thread while another still sets up the monitor: a client that comes between is greeted
   twice, or what it sends is read by both. It is rare, but not so rare that a test would never see it. Likewise, whoever tries
   to connect again and again may never greet a peer that it finds at once. One more monitor tells when the first is ready.
   It is connected from the beginning, and has no such problem. */
static gboolean
has_ready_monitor (Qemu *qemu)
{
  return qemu->kind != QEMU_GUEST_AGENT && (qemu->connectable != NULL || qemu->peer != NULL);
}

/* (transfer full) */
static GPtrArray *
build_argv (Qemu               *qemu,
            const char * const *extra_args)
{
  g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  const char *directory = test_tmp_dir_get_path (qemu->dir);
  const char *pretty = (qemu->flags & QEMU_FLAGS_PRETTY) != 0 ? ",pretty=on" : "";
  g_autofree char *chardev = get_chardev (qemu);
  g_autofree char *monitor = NULL;

  g_ptr_array_add (argv, find_program (get_program (qemu->kind)));

  if (qemu->certificates != NULL)
    {
      g_autofree char *object = get_tls_object (qemu);

      add_arguments (argv, "--object", object, NULL);
    }

  switch (qemu->kind)
    {
    case QEMU_SYSTEM_NONE:
    case QEMU_SYSTEM_Q35:
      monitor = g_strconcat ("chardev=qmp,mode=control", pretty, NULL);
      if (qemu->kind == QEMU_SYSTEM_Q35)
        add_arguments (argv, "-M", "q35", "-S", "-m", "64", NULL);
      else
        add_arguments (argv, "-M", "none", NULL);
      add_arguments (argv, "-accel", "tcg", "-display", "none", "-nodefaults", "-no-user-config",
                     "-chardev", chardev, "-mon", monitor, NULL);
      if (has_ready_monitor (qemu))
        add_arguments (argv, "-chardev", READY_CHARDEV, "-mon", "chardev=ready,mode=control", NULL);
      break;

    case QEMU_STORAGE_DAEMON:
      monitor = g_strconcat ("chardev=qmp", pretty, NULL);
      add_arguments (argv, "--chardev", chardev, "--monitor", monitor, NULL);
      if (has_ready_monitor (qemu))
        add_arguments (argv, "--chardev", READY_CHARDEV, "--monitor", "chardev=ready", NULL);
      break;

    case QEMU_GUEST_AGENT:
      {
        g_autofree char *pid_file = test_tmp_dir_build (qemu->dir, "qga.pid");

        g_assert_cmpint (qemu->transport, ==, QEMU_TRANSPORT_PATH);
        add_arguments (argv, "-m", "unix-listen", "-p", qemu->path, "-t", directory, "-f", pid_file,
                       "-b", BLOCKED_AGENT_COMMANDS, NULL);
        break;
      }

    default:
      g_assert_not_reached ();
    }

  for (gsize i = 0; extra_args != NULL && extra_args[i] != NULL; i++)
    {
      g_auto(GStrv) parts = g_strsplit (extra_args[i], "@DIR@", -1);

      g_ptr_array_add (argv, g_strjoinv (directory, parts));
    }
  g_ptr_array_add (argv, NULL);

  return g_steal_pointer (&argv);
}

/* In the child: nothing but what is safe after fork(). */
static void
on_child_setup (gpointer user_data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

/* (transfer full): another descriptor of @socket, which closes its own. */
static int
dup_fd (GSocket *socket)
{
  int fd = fcntl (g_socket_get_fd (socket), F_DUPFD_CLOEXEC, 3);

  g_assert_cmpint (fd, >=, 0);

  return fd;
}

/* (transfer full): a descriptor that listens on @address; what that has become is qemu->connectable. */
static int
start_listening (Qemu           *qemu,
                 GSocketAddress *address)
{
  g_autoptr(GSocket) socket = NULL;
  g_autoptr(GError) error = NULL;
  GSocketAddress *local;

  socket = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_socket_bind (socket, address, FALSE, &error);
  g_assert_no_error (error);
  g_socket_set_listen_backlog (socket, BACKLOG);
  g_socket_listen (socket, &error);
  g_assert_no_error (error);

  local = g_socket_get_local_address (socket, &error);
  g_assert_no_error (error);
  qemu->connectable = G_SOCKET_CONNECTABLE (local);

  return dup_fd (socket);
}

/* Whether somebody listens on @path, without connecting: a server that serves one client at a time would notice. */
static gboolean
is_listening (const char *path)
{
  g_autofree char *table = NULL;
  g_auto(GStrv) lines = NULL;

  g_assert_true (g_file_get_contents ("/proc/net/unix", &table, NULL, NULL));
  lines = g_strsplit (table, "\n", -1);

  for (gsize i = 0; lines[i] != NULL; i++)
    {
      unsigned int line_flags;

      /* Num: RefCount Protocol Flags Type St Inode Path; __SO_ACCEPTCON is 0x10000. */
      if (g_str_has_suffix (lines[i], path)
          && sscanf (lines[i], "%*s %*x %*x %x", &line_flags) == 1
          && (line_flags & 0x10000) != 0)
        return TRUE;
    }

  return FALSE;
}

static void
wait_until_listening (Qemu *qemu)
{
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  while (!is_listening (qemu->path))
    {
      if (waitpid (qemu->pid, NULL, WNOHANG) != 0)
        g_error ("%s ended before it listened on %s", get_program (qemu->kind), qemu->path);
      if (g_get_monotonic_time () > deadline)
        g_error ("%s does not listen on %s", get_program (qemu->kind), qemu->path);

      /* Nothing tells when a socket begins to listen. */
      g_usleep (500);
    }
}

/* Reads a line, and forgets it. */
static void
skip_line (Qemu *qemu,
           int   fd)
{
  char byte = '\0';

  while (byte != '\n')
    {
      struct pollfd poll_fd = { fd, POLLIN, 0 };

      if (poll (&poll_fd, 1, (int) (test_bound_us () / 1000)) != 1)
        g_error ("%s does not begin to work", get_program (qemu->kind));
      if (read (fd, &byte, 1) != 1)
        g_error ("%s ended before it began to work", get_program (qemu->kind));
    }
}

/* On a monitor that nobody uses. A greeting would not be enough: monitors that are set up in one go are so in any order. A
   command is only read after that. */
static void
wait_until_ready (Qemu              *qemu,
                  GSocketConnection *monitor)
{
  static const char command[] = "{\"execute\": \"qmp_capabilities\"}";
  int fd = g_socket_get_fd (g_socket_connection_get_socket (monitor));

  skip_line (qemu, fd);
  g_assert_cmpint (write (fd, command, strlen (command)), ==, strlen (command));
  skip_line (qemu, fd);
}

/* Makes what is to be there before the program is. Returns the descriptor that it finds as CHILD_FD (transfer full), or -1. */
static int
prepare (Qemu *qemu)
{
  g_autoptr(GSocketAddress) address = NULL;

  switch (qemu->transport)
    {
    case QEMU_TRANSPORT_LISTENER:
      qemu->path = test_tmp_dir_build (qemu->dir, "qmp.sock");
      address = g_unix_socket_address_new (qemu->path);
      return start_listening (qemu, address);

    case QEMU_TRANSPORT_TCP:
      address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
      return start_listening (qemu, address);

    case QEMU_TRANSPORT_PATH:
      qemu->path = test_tmp_dir_build (qemu->dir, "qmp.sock");
      qemu->connectable = G_SOCKET_CONNECTABLE (g_unix_socket_address_new (qemu->path));
      return -1;

    case QEMU_TRANSPORT_ABSTRACT:
      /* Nobody else makes this name. */
      qemu->path = test_tmp_dir_build (qemu->dir, "qmp.abstract");
      address = g_unix_socket_address_new_with_type (qemu->path, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
      qemu->connectable = G_SOCKET_CONNECTABLE (g_steal_pointer (&address));
      return -1;

    case QEMU_TRANSPORT_SOCKETPAIR:
      {
        g_autoptr(GSocketConnection) theirs = NULL;
        GSocketConnection *ours;

        test_socket_pair (&ours, &theirs);
        qemu->stream = G_IO_STREAM (ours);
        return dup_fd (g_socket_connection_get_socket (theirs));
      }

    case QEMU_TRANSPORT_STDIO:
    case QEMU_TRANSPORT_CONNECTING:
      return -1;

    default:
      g_assert_not_reached ();
    }
}

/* @peer, @certificates: (nullable) */
static Qemu *
start (QemuKind            kind,
       QemuTransport       transport,
       GSocketConnectable *peer,
       const char         *certificates,
       QemuFlags           flags,
       const char * const *extra_args)
{
  g_autoptr(GPtrArray) argv = NULL;
  g_autoptr(GError) error = NULL;
  gboolean has_pipes = transport == QEMU_TRANSPORT_STDIO;
  GSpawnFlags spawn_flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES;
  g_autoptr(GSocketConnection) ready = NULL;
  int child_fds[2];
  int fds[2];
  gsize n_fds = 0;
  int stdin_fd;
  int stdout_fd;
  Qemu *qemu;

  g_assert_true ((transport == QEMU_TRANSPORT_CONNECTING) == (peer != NULL));

  if (!qemu_require_program (get_program (kind)))
    return NULL;

  qemu = g_new0 (Qemu, 1);
  qemu->kind = kind;
  qemu->transport = transport;
  qemu->flags = flags;
  qemu->dir = test_tmp_dir_new ();
  qemu->certificates = g_strdup (certificates);
  g_set_object (&qemu->peer, peer);

  fds[0] = prepare (qemu);
  if (fds[0] >= 0)
    child_fds[n_fds++] = CHILD_FD;
  if (has_ready_monitor (qemu))
    {
      g_autoptr(GSocketConnection) theirs = NULL;

      test_socket_pair (&ready, &theirs);
      child_fds[n_fds] = READY_FD;
      fds[n_fds++] = dup_fd (g_socket_connection_get_socket (theirs));
    }

  if (!has_pipes)
    spawn_flags |= G_SPAWN_STDOUT_TO_DEV_NULL;
  if ((flags & QEMU_FLAGS_QUIET) != 0)
    spawn_flags |= G_SPAWN_STDERR_TO_DEV_NULL;

  /* Not a GSubprocess: that keeps descriptors in a thread of GLib's for a while after the process has ended, and a test may
     want to count them. */
  argv = build_argv (qemu, extra_args);
  g_spawn_async_with_pipes_and_fds (NULL, (const char * const *) argv->pdata, NULL, spawn_flags,
                                    on_child_setup, NULL, -1, -1, -1, fds, child_fds, n_fds, &qemu->pid,
                                    has_pipes ? &stdin_fd : NULL, has_pipes ? &stdout_fd : NULL, NULL, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < n_fds; i++)
    close (fds[i]);

  if (has_pipes)
    {
      g_autoptr(GInputStream) input = g_unix_input_stream_new (stdout_fd, TRUE);
      g_autoptr(GOutputStream) output = g_unix_output_stream_new (stdin_fd, TRUE);

      qemu->stream = g_simple_io_stream_new (input, output);
    }
  if (transport == QEMU_TRANSPORT_PATH || transport == QEMU_TRANSPORT_ABSTRACT)
    wait_until_listening (qemu);
  if (ready != NULL)
    wait_until_ready (qemu, ready);

  return qemu;
}

Qemu *
qemu_new (QemuKind            kind,
          QemuTransport       transport,
          QemuFlags           flags,
          const char * const *extra_args)
{
  return start (kind, transport, NULL, NULL, flags, extra_args);
}

Qemu *
qemu_new_tls (QemuKind            kind,
              const char         *certificates,
              QemuFlags           flags,
              const char * const *extra_args)
{
  return start (kind, QEMU_TRANSPORT_TCP, NULL, certificates, flags, extra_args);
}

Qemu *
qemu_new_connecting (QemuKind            kind,
                     GSocketConnectable *address,
                     const char         *certificates,
                     QemuFlags           flags,
                     const char * const *extra_args)
{
  return start (kind, QEMU_TRANSPORT_CONNECTING, address, certificates, flags, extra_args);
}

/* ---- while it runs ---------------------------------------------------------------------------------------------- */

GSocketConnectable *
qemu_get_connectable (Qemu *qemu)
{
  return qemu->connectable;
}

const char *
qemu_get_path (Qemu *qemu)
{
  return qemu->transport != QEMU_TRANSPORT_ABSTRACT ? qemu->path : NULL;
}

GIOStream *
qemu_get_stream (Qemu *qemu)
{
  g_autoptr(GSocketClient) client = NULL;
  g_autoptr(GError) error = NULL;
  GSocketConnection *connection;

  if (qemu->connectable == NULL)
    {
      g_assert_nonnull (qemu->stream);
      return g_steal_pointer (&qemu->stream);
    }

  client = g_socket_client_new ();
  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect (client, qemu->connectable, NULL, &error);
  g_assert_no_error (error);

  return G_IO_STREAM (connection);
}

const char *
qemu_get_directory (Qemu *qemu)
{
  return test_tmp_dir_get_path (qemu->dir);
}

int
qemu_get_pid (Qemu *qemu)
{
  return qemu->pid;
}

void
qemu_freeze (Qemu *qemu)
{
  g_assert_no_errno (kill (qemu->pid, SIGSTOP));
}

void
qemu_thaw (Qemu *qemu)
{
  g_assert_no_errno (kill (qemu->pid, SIGCONT));
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

void
qemu_kill (Qemu *qemu)
{
  if (qemu->is_reaped)
    return;

  g_assert_no_errno (kill (qemu->pid, SIGKILL));
  qemu_wait_exit (qemu);
}

int
qemu_wait_exit (Qemu *qemu)
{
  if (!qemu->is_reaped)
    {
      struct pollfd poll_fd = { .events = POLLIN };

      /* Where the kernel does not offer this, the wait has no bound. */
      poll_fd.fd = (int) syscall (SYS_pidfd_open, qemu->pid, 0);
      if (poll_fd.fd >= 0)
        {
          if (poll (&poll_fd, 1, (int) (test_bound_us () / 1000)) == 0)
            g_error ("%s does not end", get_program (qemu->kind));
          close (poll_fd.fd);
        }

      g_assert_cmpint (waitpid (qemu->pid, &qemu->wait_status, 0), ==, qemu->pid);
      qemu->is_reaped = TRUE;
    }

  if (WIFEXITED (qemu->wait_status))
    return WEXITSTATUS (qemu->wait_status);

  return 128 + WTERMSIG (qemu->wait_status);
}

void
qemu_free (Qemu *qemu)
{
  qemu_kill (qemu);

  g_clear_object (&qemu->stream);
  g_clear_object (&qemu->connectable);
  g_clear_object (&qemu->peer);
  test_tmp_dir_free (qemu->dir);
  g_free (qemu->path);
  g_free (qemu->certificates);
  g_free (qemu);
}
