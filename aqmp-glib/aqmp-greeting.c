/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-greeting.h"
#include "aqmp-greeting-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-alloc-private.h"
#include "aqmp-error.h"
#include "aqmp-json-private.h"

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

/* JSON text that was validated. length 0: absent */
typedef struct
{
  const guint8 *text;
  gsize         length;
} Value;

/* JSON's own names for its types, which are the same in every language. */
static const char *
type_name (const Value *value)
{
  gint64 integer;

  switch (value->text[0])
    {
    case '{':
      return "object";

    case '[':
      return "array";

    case '"':
      return "string";

    case 't':
    case 'f':
      return "boolean";

    case 'n':
      return "null";

    default:
      return aqmp_json_get_int64 (value->text, value->length, &integer) ? "integer" : "number";
    }
}

/* The members of an object by their names. */
static void
look_up (const Value        *object,
         const char * const *names,
         Value              *members)
{
  AqmpJsonScan scan;
  gboolean valid = aqmp_json_validate (&scan, names, object->text, object->length, NULL);
  guint i;

  g_assert (valid);
  for (i = 0; names[i] != NULL; i++)
    members[i] = (Value) { object->text + scan.members[i].start, scan.members[i].end - scan.members[i].start };
}

/* @path: the whole way to the member, for the message */
static gboolean
require (const Value  *member,
         const char   *path,
         const char   *required_type,
         GError      **error)
{
  if (member->length == 0)
    {
      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: the name of a member, as in "version.qemu.major" */
                   _("The server’s greeting has no member “%s”"), path);
      return FALSE;
    }

  if (!g_str_equal (type_name (member), required_type))
    {
      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: the name of a member, then two of JSON’s types, as in "string" and "array" */
                   _("Member “%s” of the server’s greeting is of type %s instead of %s"),
                   path, type_name (member), required_type);
      return FALSE;
    }

  return TRUE;
}

static gboolean
require_version_number (const Value  *member,
                        const char   *path,
                        int          *number,
                        GError      **error)
{
  gint64 value;

  if (!require (member, path, "integer", error))
    return FALSE;

  aqmp_json_get_int64 (member->text, member->length, &value);
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
require_numbers (const Value   *qemu,
                 AqmpGreeting  *self,
                 GError       **error)
{
  static const char * const names[] = { "major", "minor", "micro", NULL };
  Value numbers[G_N_ELEMENTS (names) - 1];

  if (!require (qemu, "version.qemu", "object", error))
    return FALSE;

  look_up (qemu, names, numbers);
  return require_version_number (&numbers[0], "version.qemu.major", &self->major, error) &&
         require_version_number (&numbers[1], "version.qemu.minor", &self->minor, error) &&
         require_version_number (&numbers[2], "version.qemu.micro", &self->micro, error);
}

static gboolean
require_package (const Value  *package,
                 char        **text,
                 GError      **error)
{
  g_autoptr (JsonNode) node = NULL;

  if (!require (package, "version.package", "string", error))
    return FALSE;

  node = aqmp_json_build (package->text, package->length, error);
  *text = node != NULL ? json_node_dup_string (node) : NULL;
  return node != NULL;
}

static gboolean
require_string (JsonNode  *element,
                guint      position,
                GError   **error)
{
  g_autofree char *text = NULL;
  Value value;

  if (JSON_NODE_HOLDS_VALUE (element) && json_node_get_value_type (element) == G_TYPE_STRING)
    return TRUE;

  text = json_to_string (element, FALSE);
  value = (Value) { (const guint8 *) text, strlen (text) };
  g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
               /* Translators: an index, then two of JSON’s types, as in "integer" and "string" */
               _("Member “capabilities[%u]” of the server’s greeting is of type %s instead of %s"),
               position, type_name (&value), "string");
  return FALSE;
}

static gboolean
require_capabilities (const Value   *capabilities,
                      char        ***names,
                      GError       **error)
{
  g_autoptr (GPtrArray) strings = NULL;
  g_autoptr (JsonNode) node = NULL;
  JsonArray *array;
  guint length;

  if (!require (capabilities, "capabilities", "array", error))
    return FALSE;

  node = aqmp_json_build (capabilities->text, capabilities->length, error);
  if (node == NULL)
    return FALSE;

  array = json_node_get_array (node);
  length = json_array_get_length (array);
  strings = g_ptr_array_new_full (length + 1, g_free);

  for (guint i = 0; i < length; i++)
    {
      JsonNode *element = json_array_get_element (array, i);

      if (!require_string (element, i, error))
        return FALSE;
      g_ptr_array_add (strings, json_node_dup_string (element));
    }

  g_ptr_array_add (strings, NULL);
  *names = (char **) g_ptr_array_free (g_steal_pointer (&strings), FALSE);

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

static gboolean
fill (AqmpGreeting  *self,
      const Value   *greeting,
      GError       **error)
{
  static const char * const names[] = { "version", "capabilities", NULL };
  static const char * const version_names[] = { "qemu", "package", NULL };
  Value members[G_N_ELEMENTS (names) - 1];
  Value version_members[G_N_ELEMENTS (version_names) - 1];

  look_up (greeting, names, members);
  if (!require (&members[0], "version", "object", error))
    return FALSE;

  look_up (&members[0], version_names, version_members);
  return require_numbers (&version_members[0], self, error) &&
         require_package (&version_members[1], &self->package, error) &&
         require_capabilities (&members[1], &self->capabilities, error);
}

AqmpGreeting *
aqmp_greeting_new (const guint8  *text,
                   gsize          length,
                   GError       **error)
{
  g_autoptr (AqmpGreeting) self = NULL;
  const Value greeting = { text, length };

  g_return_val_if_fail (length > 0, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (text[0] != '{')
    {
      g_set_error (error, AQMP_ERROR, AQMP_ERROR_GREETING,
                   /* Translators: two of JSON’s types, as in "array" and "object" */
                   _("The server’s greeting is of type %s instead of %s"),
                   type_name (&greeting), "object");
      return NULL;
    }

  self = aqmp_atomic_rc_box_new0 (AqmpGreeting);
  if (!fill (self, &greeting, error))
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
