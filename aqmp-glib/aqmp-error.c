/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-error.h"
#include "aqmp-error-private.h"

#define EXCERPT_MAX_CHARS 80

typedef struct
{
  char   *other_class; /* (owned) (nullable): the name of the class where the code is OTHER */
  GBytes *reply;       /* (owned) (nullable) */
} AqmpExecErrorPrivate;

/* The classes that QAPI knows (qapi/error.json, QapiErrorClass). */
static const char * const class_names[] =
{
  [AQMP_EXEC_ERROR_GENERIC_ERROR] = "GenericError",
  [AQMP_EXEC_ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
  [AQMP_EXEC_ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
  [AQMP_EXEC_ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
  [AQMP_EXEC_ERROR_KVM_MISSING_CAP] = "KVMMissingCap",
};

static void
aqmp_exec_error_private_init (AqmpExecErrorPrivate *priv)
{
  /* GLib has zeroed it. */
}

static void
aqmp_exec_error_private_copy (const AqmpExecErrorPrivate *src,
                              AqmpExecErrorPrivate       *dest)
{
  dest->other_class = g_strdup (src->other_class);
  dest->reply = src->reply != NULL ? g_bytes_ref (src->reply) : NULL;
}

static void
aqmp_exec_error_private_clear (AqmpExecErrorPrivate *priv)
{
  g_clear_pointer (&priv->other_class, g_free);
  g_clear_pointer (&priv->reply, g_bytes_unref);
}

/**
 * aqmp_error_quark:
 *
 * The error domain of [error@Error].
 *
 * May be called from any thread.
 *
 * Returns: the domain
 *
 * Since: 1.0
 */
G_DEFINE_QUARK (aqmp-error-quark, aqmp_error)

/**
 * aqmp_exec_error_quark:
 *
 * The error domain of [error@ExecError].
 *
 * May be called from any thread.
 *
 * Returns: the domain
 *
 * Since: 1.0
 */
/* GLib's macro goes through bytes to what it has aligned itself. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-align"
G_DEFINE_EXTENDED_ERROR (AqmpExecError, aqmp_exec_error)
#pragma GCC diagnostic pop

/* An extended domain has to be registered before the first error of it is allocated, or the private data is looked for
   where none is. A binding that rebuilds an error from the names it knows may be the first to need the domain, before
   any function of ours has run: so it is registered when the library is loaded. */
static void __attribute__ ((constructor))
aqmp_error_register_domain (void)
{
  aqmp_exec_error_quark ();
}

GError *
aqmp_exec_error_new (const char *class_name,
                     const char *desc,
                     GBytes     *reply)
{
  AqmpExecErrorPrivate *priv;
  GError *error;
  gint code = AQMP_EXEC_ERROR_OTHER;

  g_return_val_if_fail (class_name != NULL, NULL);
  g_return_val_if_fail (desc != NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (class_names); i++)
    {
      if (g_str_equal (class_name, class_names[i]))
        {
          code = (gint) i;
          break;
        }
    }

  error = g_error_new_literal (AQMP_EXEC_ERROR, code, desc);
  priv = aqmp_exec_error_get_private (error);
  if (code == AQMP_EXEC_ERROR_OTHER)
    priv->other_class = g_strdup (class_name);
  if (reply != NULL)
    priv->reply = g_bytes_ref (reply);

  return error;
}

/**
 * aqmp_exec_error_get_class:
 * @error: (nullable): an error
 *
 * The name of the class of an error that a server answered a command with, as the server wrote it: `GenericError` for
 * instance.
 *
 * A language binding may have rebuilt the error from its domain, code and message. The class follows from the code
 * then; only for %AQMP_EXEC_ERROR_OTHER the name that the server sent is lost, and the answer is `Other`, which is no
 * class that a server of today sends. The whole reply, which [method@Client.execute_raw_async] returns, always has it.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none) (nullable): the name, valid as long as @error; %NULL if @error is %NULL or not of the domain
 *   [error@ExecError]
 *
 * Since: 1.0
 */
const char *
aqmp_exec_error_get_class (const GError *error)
{
  const AqmpExecErrorPrivate *priv;

  if (error == NULL || error->domain != AQMP_EXEC_ERROR)
    return NULL;

  if (error->code >= 0 && (gsize) error->code < G_N_ELEMENTS (class_names))
    return class_names[error->code];

  priv = aqmp_exec_error_get_private (error);

  return priv->other_class != NULL ? priv->other_class : "Other";
}

/**
 * aqmp_exec_error_get_reply:
 * @error: (nullable): an error
 *
 * The whole reply with which a server answered a command: the JSON text of one object with the member `error`, as it
 * came over the wire and through [vfunc@Protocol.filter_inbound].
 *
 * It is not there where a language binding has rebuilt the error from its domain, code and message.
 * [method@Client.execute_raw_async] returns such replies in every language.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full) (nullable): the reply; %NULL if it is not known, or @error is %NULL or not of the domain
 *   [error@ExecError]
 *
 * Since: 1.0
 */
GBytes *
aqmp_exec_error_get_reply (const GError *error)
{
  const AqmpExecErrorPrivate *priv;

  if (error == NULL || error->domain != AQMP_EXEC_ERROR)
    return NULL;

  priv = aqmp_exec_error_get_private (error);

  return priv->reply != NULL ? g_bytes_ref (priv->reply) : NULL;
}

/* What would act on a terminal or change the reading of the text around it is shown by its number instead. */
static gboolean
is_presentable (gunichar c)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_PRIVATE_USE:
      return FALSE;

    default:
      return g_unichar_isprint (c);
    }
}

/* A backslash that is in the data stays as it is: JSON is full of them, and an excerpt is for reading, not for undoing. */
char *
aqmp_excerpt (const void *data,
              gsize       length)
{
  const char *bytes = data;
  GString *text = g_string_sized_new (MIN (length, EXCERPT_MAX_CHARS) + 8);
  gsize n_chars = 0;

  while (length > 0)
    {
      gunichar c = g_utf8_get_char_validated (bytes, (gssize) MIN (length, 8));
      char piece[12]; /* "\U0010ffff" is the longest */
      gsize piece_chars;
      gsize n_bytes = 1;

      if (c == '\n' || c == '\r' || c == '\t')
        {
          g_snprintf (piece, sizeof piece, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
          piece_chars = 2;
        }
      else if (c == (gunichar) -1 || c == (gunichar) -2 || c < 0x80)
        {
          /* GLib 2.74 takes a NUL for an incomplete sequence: every single byte is judged by its own value. */
          guint8 byte = (guint8) *bytes;

          if (g_ascii_isprint ((char) byte))
            {
              piece[0] = (char) byte;
              piece[1] = '\0';
              piece_chars = 1;
            }
          else
            piece_chars = (gsize) g_snprintf (piece, sizeof piece, "\\x%02x", byte);
        }
      else
        {
          n_bytes = (gsize) (g_utf8_next_char (bytes) - bytes);
          if (is_presentable (c))
            {
              piece[g_unichar_to_utf8 (c, piece)] = '\0';
              piece_chars = 1;
            }
          else
            piece_chars = (gsize) g_snprintf (piece, sizeof piece, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
        }

      if (n_chars + piece_chars > EXCERPT_MAX_CHARS)
        {
          g_string_append (text, "…");
          break;
        }

      g_string_append (text, piece);
      n_chars += piece_chars;
      bytes += n_bytes;
      length -= n_bytes;
    }

  return g_string_free (text, FALSE);
}
