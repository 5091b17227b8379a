/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-address.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "aqmp-error-private.h"

/* GIO wants room for a NUL behind a path and in front of an abstract name, and cuts silently what is longer. */
#define UNIX_NAME_MAX (sizeof (((struct sockaddr_un *) NULL)->sun_path) - 1)

static void G_GNUC_PRINTF (3, 4)
set_address_error (GError     **error,
                   const char  *address,
                   const char  *format,
                   ...)
{
  g_autofree char *reason = NULL;
  g_autofree char *excerpt = aqmp_excerpt (address, strlen (address));
  va_list args;

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
               /* Translators: the address that was given, what is wrong with it, then the forms, which stay as they are */
               _("Invalid address “%s”: %s. The forms are %s"),
               excerpt, reason,
               "/PATH, unix:PATH, unix-abstract:NAME, HOST:PORT, tcp:HOST:PORT, [IPV6]:PORT");
}

static GSocketConnectable *
parse_unix (const char              *address,
            const char              *name,
            GUnixSocketAddressType   type,
            GError                 **error)
{
  gsize length = strlen (name);

  if (length == 0)
    {
      if (type == G_UNIX_SOCKET_ADDRESS_ABSTRACT)
        set_address_error (error, address, _("the abstract name is empty"));
      else
        set_address_error (error, address, _("the path is empty"));
      return NULL;
    }

  if (length > UNIX_NAME_MAX)
    {
      set_address_error (error, address,
                         /* Translators: two lengths in bytes; the second is how long a socket’s path or name can be */
                         _("it is %zu bytes long where a socket can have %zu at most"),
                         length, UNIX_NAME_MAX);
      return NULL;
    }

  return G_SOCKET_CONNECTABLE (g_unix_socket_address_new_with_type (name, (int) length, type));
}

/* What a name cannot have in it, whether it is in a DNS or a file: better told here than by a resolver. */
static gboolean
host_is_plausible (const char *host)
{
  for (const char *p = host; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (g_unichar_isspace (c) || g_unichar_iscntrl (c) || *p == '/')
        return FALSE;
    }

  if (g_hostname_is_non_ascii (host))
    {
      g_autofree char *ascii = g_hostname_to_ascii (host);

      return ascii != NULL;
    }

  return TRUE;
}

/* @host_and_port: @address, or what follows "tcp:" in it */
static GSocketConnectable *
parse_inet (const char  *address,
            const char  *host_and_port,
            GError     **error)
{
  g_autofree char *host = NULL;
  const gboolean in_brackets = host_and_port[0] == '[';
  const char *port_text;
  guint64 port;
  GSocketAddress *numeric;

  if (in_brackets)
    {
      const char *closing = strchr (host_and_port, ']');

      if (closing == NULL)
        {
          set_address_error (error, address, _("the closing bracket is missing"));
          return NULL;
        }

      if (closing[1] != ':')
        {
          if (closing[1] == '\0')
            set_address_error (error, address, _("the port is missing"));
          else
            set_address_error (error, address, _("there is no colon after the closing bracket"));
          return NULL;
        }

      host = g_strndup (host_and_port + 1, (gsize) (closing - host_and_port) - 1);
      port_text = closing + 2;
    }
  else
    {
      const char *colon = strrchr (host_and_port, ':');

      if (colon == NULL)
        {
          set_address_error (error, address, _("the port is missing"));
          return NULL;
        }

      host = g_strndup (host_and_port, (gsize) (colon - host_and_port));
      port_text = colon + 1;

      if (strpbrk (host, "[]") != NULL)
        {
          set_address_error (error, address, _("there is a bracket in the wrong place"));
          return NULL;
        }

      /* "::1:4444" could be an address with or without a port. Where there is a slash, it rather is a URL. */
      if (strchr (host, ':') != NULL && strchr (host, '/') == NULL)
        {
          set_address_error (error, address,
                             _("it has more than one colon; an IPv6 address is written in brackets, as in [::1]:4444"));
          return NULL;
        }
    }

  if (host[0] == '\0')
    {
      set_address_error (error, address, _("the host is empty"));
      return NULL;
    }

  if (port_text[0] == '\0')
    {
      set_address_error (error, address, _("the port is missing"));
      return NULL;
    }

  if (!g_ascii_string_to_unsigned (port_text, 10, 0, G_MAXUINT16, &port, NULL))
    {
      set_address_error (error, address, _("the port is not a number from 0 to 65535"));
      return NULL;
    }

  /* It knows scope ids too, and asks no name server. */
  numeric = g_inet_socket_address_new_from_string (host, (guint) port);
  if (in_brackets)
    {
      if (numeric == NULL || g_socket_address_get_family (numeric) != G_SOCKET_FAMILY_IPV6)
        {
          g_clear_object (&numeric);
          set_address_error (error, address, _("what is in brackets is not an IPv6 address"));
          return NULL;
        }
    }

  if (numeric != NULL)
    return G_SOCKET_CONNECTABLE (numeric);

  if (!host_is_plausible (host))
    {
      set_address_error (error, address, _("the host has characters in it that no host name has"));
      return NULL;
    }

  return g_network_address_new (host, (guint16) port);
}

/**
 * aqmp_address_parse:
 * @address: (nullable): where a server is, in one of the forms below
 *
 * Reads the address of a server from text, for [method@Protocol.connect_async].
 *
 * | form                             | what it is |
 * |----------------------------------|------------|
 * | `/run/vm.sock`, `run/vm.sock`    | the path of a UNIX socket: there is a slash, and no colon before it |
 * | `unix:/run/vm.sock`, `unix:name` | the path of a UNIX socket, whatever it looks like |
 * | `unix-abstract:name`             | the name of an abstract UNIX socket (Linux), without the NUL byte in front |
 * | `127.0.0.1:4444`, `[::1]:4444`   | a numeric address and a port; with a scope id as in `[fe80::1%eth0]:4444` |
 * | `vm.example.org:4444`            | the name of a host and a port; it is resolved when a connection is made |
 * | `tcp:` before host and port      | the same, also for a host by the name of `unix` |
 *
 * The path of a UNIX socket, and the name of an abstract one, have 107 bytes at most. Nothing in them is an escape. A
 * path that is not valid UTF-8 can be had from [ctor@Gio.UnixSocketAddress.new].
 *
 * The port is a decimal number from 0 to 65535. Port 0 is of use for listening only: the system chooses one.
 *
 * The result is a [class@Gio.UnixSocketAddress] for paths and abstract names, a [class@Gio.InetSocketAddress] for
 * numeric addresses, and a [class@Gio.NetworkAddress] for names of hosts. All but the last are
 * [class@Gio.SocketAddress]es, which can also be listened on. Nothing is looked up, neither in the file system nor on
 * the network, except the network interface of a scope id.
 *
 * An address that is %NULL, empty or of none of the forms fails with %G_IO_ERROR_INVALID_ARGUMENT; the message says
 * what is wrong with it.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): what to connect to; %NULL with @error set if @address cannot be understood
 *
 * Since: 1.0
 */
GSocketConnectable *
aqmp_address_parse (const char  *address,
                    GError     **error)
{
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  /* It often comes straight from a configuration or the environment: not a mistake of the programmer. */
  if (address == NULL || address[0] == '\0')
    {
      set_address_error (error, "", _("it is empty"));
      return NULL;
    }

  if (!g_utf8_validate (address, -1, NULL))
    {
      set_address_error (error, address, _("it is not valid UTF-8"));
      return NULL;
    }

  if (g_str_has_prefix (address, "unix:"))
    return parse_unix (address, address + strlen ("unix:"), G_UNIX_SOCKET_ADDRESS_PATH, error);

  if (g_str_has_prefix (address, "unix-abstract:"))
    return parse_unix (address, address + strlen ("unix-abstract:"), G_UNIX_SOCKET_ADDRESS_ABSTRACT, error);

  if (g_str_has_prefix (address, "tcp:"))
    return parse_inet (address, address + strlen ("tcp:"), error);

  if (address[strcspn (address, ":/")] == '/')
    return parse_unix (address, address, G_UNIX_SOCKET_ADDRESS_PATH, error);

  return parse_inet (address, address, error);
}
