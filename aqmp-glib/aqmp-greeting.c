/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-greeting.h"
#include "aqmp-greeting-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-error.h"

struct _AqmpGreeting
{
  int    major;
  int    minor;
  int    micro;
  char  *package;        /* (owned) */
  char  *version_string; /* (owned) */
  char **capabilities;   /* (owned) */
};

G_DEFINE_BOXED_TYPE (AqmpGreeting, aqmp_greeting, aqmp_greeting_ref, aqmp_greeting_unref)

/* JSON's own names for its types, which are the same in every language. */
static const char *
node_type_name (JsonNode *node)
{
  switch (JSON_NODE_TYPE (node))
    {
    case JSON_NODE_OBJECT:
      return "object";

    case JSON_NODE_ARRAY:
      return "array";

    case JSON_NODE_NULL:
      return "null";

    case JSON_NODE_VALUE:
    default:
      switch (json_node_get_value_type (node))
        {
        case G_TYPE_STRING:
          return "string";

        case G_TYPE_BOOLEAN:
          return "boolean";

        case G_TYPE_INT64:
          return "integer";

        default:
          return "number";
        }
    }
}

/* @path is the whole way to the member, for the message; its last part is the member's name. */
static JsonNode *
require_member (JsonObject  *object,
                const char  *path,
                const char  *type_name,
                GError     **error)
{
  const char *dot = strrchr (path, '.');
  JsonNode *node = json_object_get_member (object, dot != NULL ? dot + 1 : path);

  if (node == NULL)
    {
      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: the name of a member, as in "version.qemu.major" */
                   _("The server’s greeting has no member “%s”"), path);
      return NULL;
    }

  if (!g_str_equal (node_type_name (node), type_name))
    {
      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: the name of a member, then two of JSON’s types, as in "string" and "array" */
                   _("Member “%s” of the server’s greeting is of type %s instead of %s"),
                   path, node_type_name (node), type_name);
      return NULL;
    }

  return node;
}

static gboolean
require_version_number (JsonObject  *object,
                        const char  *path,
                        int         *number,
                        GError     **error)
{
  JsonNode *node = require_member (object, path, "integer", error);
  gint64 value;

  if (node == NULL)
    return FALSE;

  value = json_node_get_int (node);
  if (value < 0 || value > G_MAXINT)
    {
      /* As text, because xgettext cannot read a format with a macro in it. */
      g_autofree char *value_text = g_strdup_printf ("%" G_GINT64_FORMAT, value);

      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: the name of a member, then its value, a number */
                   _("Member “%s” of the server’s greeting is %s, which is out of range"), path, value_text);
      return FALSE;
    }

  *number = (int) value;

  return TRUE;
}

static gboolean
require_capabilities (JsonObject   *object,
                      char       ***capabilities,
                      GError      **error)
{
  g_autoptr (GPtrArray) names = NULL;
  JsonNode *node = require_member (object, "capabilities", "array", error);
  JsonArray *array;
  guint length;

  if (node == NULL)
    return FALSE;

  array = json_node_get_array (node);
  length = json_array_get_length (array);
  names = g_ptr_array_new_full (length + 1, g_free);

  for (guint i = 0; i < length; i++)
    {
      JsonNode *element = json_array_get_element (array, i);

      if (!g_str_equal (node_type_name (element), "string"))
        {
          g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                       /* Translators: an index, then two of JSON’s types, as in "integer" and "string" */
                       _("Member “capabilities[%u]” of the server’s greeting is of type %s instead of %s"),
                       i, node_type_name (element), "string");
          return FALSE;
        }

      g_ptr_array_add (names, g_strdup (json_node_get_string (element)));
    }

  g_ptr_array_add (names, NULL);
  *capabilities = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);

  return TRUE;
}

/* Up to QEMU 2.10 the package came as " (name)": neither the space nor the parentheses are wanted twice. */
static char *
make_version_string (AqmpGreeting *self)
{
  g_autofree char *package = g_strstrip (g_strdup (self->package));
  g_autofree char *version = g_strdup_printf ("%d.%d.%d", self->major, self->minor, self->micro);

  if (package[0] == '\0')
    return g_steal_pointer (&version);

  if (package[0] == '(' && g_str_has_suffix (package, ")"))
    return g_strconcat (version, " ", package, NULL);

  return g_strconcat (version, " (", package, ")", NULL);
}

AqmpGreeting *
aqmp_greeting_new (JsonNode  *greeting,
                   GError   **error)
{
  g_autoptr (AqmpGreeting) self = NULL;
  JsonObject *root;
  JsonObject *version;
  JsonObject *numbers;
  JsonNode *node;

  g_return_val_if_fail (greeting != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (!JSON_NODE_HOLDS_OBJECT (greeting))
    {
      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: two of JSON’s types, as in "array" and "object" */
                   _("The server’s greeting is of type %s instead of %s"),
                   node_type_name (greeting), "object");
      return NULL;
    }

  self = g_atomic_rc_box_new0 (AqmpGreeting);
  root = json_node_get_object (greeting);

  node = require_member (root, "version", "object", error);
  if (node == NULL)
    return NULL;
  version = json_node_get_object (node);

  node = require_member (version, "version.qemu", "object", error);
  if (node == NULL)
    return NULL;
  numbers = json_node_get_object (node);

  if (!require_version_number (numbers, "version.qemu.major", &self->major, error) ||
      !require_version_number (numbers, "version.qemu.minor", &self->minor, error) ||
      !require_version_number (numbers, "version.qemu.micro", &self->micro, error))
    return NULL;

  node = require_member (version, "version.package", "string", error);
  if (node == NULL)
    return NULL;
  self->package = g_strdup (json_node_get_string (node));

  if (!require_capabilities (root, &self->capabilities, error))
    return NULL;

  self->version_string = make_version_string (self);

  return g_steal_pointer (&self);
}

static void
aqmp_greeting_clear (gpointer data)
{
  AqmpGreeting *self = data;

  g_free (self->package);
  g_free (self->version_string);
  g_strfreev (self->capabilities);
}

/**
 * aqmp_greeting_ref:
 * @self: a greeting
 *
 * Takes a reference on the greeting.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): @self
 *
 * Since: 1.0
 */
AqmpGreeting *
aqmp_greeting_ref (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return g_atomic_rc_box_acquire (self);
}

/**
 * aqmp_greeting_unref:
 * @self: (transfer full): a greeting
 *
 * Drops a reference on the greeting; the last one frees it.
 *
 * May be called from any thread.
 *
 * Since: 1.0
 */
void
aqmp_greeting_unref (AqmpGreeting *self)
{
  g_return_if_fail (self != NULL);

  g_atomic_rc_box_release_full (self, aqmp_greeting_clear);
}

/**
 * aqmp_greeting_get_major:
 * @self: a greeting
 *
 * The first number of the server's version: 7 in 7.2.22.
 *
 * May be called from any thread.
 *
 * Returns: the number, never negative
 *
 * Since: 1.0
 */
int
aqmp_greeting_get_major (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->major;
}

/**
 * aqmp_greeting_get_minor:
 * @self: a greeting
 *
 * The second number of the server's version: 2 in 7.2.22.
 *
 * May be called from any thread.
 *
 * Returns: the number, never negative
 *
 * Since: 1.0
 */
int
aqmp_greeting_get_minor (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->minor;
}

/**
 * aqmp_greeting_get_micro:
 * @self: a greeting
 *
 * The third number of the server's version: 22 in 7.2.22. From 50 on it is a development version, from 90 on a release
 * candidate.
 *
 * May be called from any thread.
 *
 * Returns: the number, never negative
 *
 * Since: 1.0
 */
int
aqmp_greeting_get_micro (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->micro;
}

/**
 * aqmp_greeting_get_package:
 * @self: a greeting
 *
 * What whoever built the server calls the build, as it was sent: `Debian 1:7.2+dfsg-7+deb12u18` for instance. It is
 * empty where nobody gave it a name.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none): the name, possibly empty, valid as long as @self
 *
 * Since: 1.0
 */
const char *
aqmp_greeting_get_package (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->package;
}

/**
 * aqmp_greeting_get_version_string:
 * @self: a greeting
 *
 * The version for people to read: `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`, or `7.2.22` alone where the package is
 * empty.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none): the version, valid as long as @self
 *
 * Since: 1.0
 */
const char *
aqmp_greeting_get_version_string (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->version_string;
}

/**
 * aqmp_greeting_get_capabilities:
 * @self: a greeting
 *
 * The names of the capabilities that the server offers, `oob` for instance, in its order. Whether one is in use is
 * decided in the negotiation; see [property@Client:oob-enabled].
 *
 * May be called from any thread.
 *
 * Returns: (transfer none) (array zero-terminated=1): the names, possibly none, valid as long as @self
 *
 * Since: 1.0
 */
const char * const *
aqmp_greeting_get_capabilities (AqmpGreeting *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return (const char * const *) self->capabilities;
}

/**
 * aqmp_greeting_has_capability:
 * @self: a greeting
 * @name: the name of a capability, as in `oob`
 *
 * Whether the server offers a capability.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if it does
 *
 * Since: 1.0
 */
gboolean
aqmp_greeting_has_capability (AqmpGreeting *self,
                              const char   *name)
{
  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (name != NULL, FALSE);

  return g_strv_contains ((const char * const *) self->capabilities, name);
}
