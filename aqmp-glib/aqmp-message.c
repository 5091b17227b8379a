/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-message-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "aqmp-error-private.h"

/* Threads: any; nothing is shared. */

const char * const aqmp_message_members[] = {
  [AQMP_MEMBER_RETURN] = "return",
  [AQMP_MEMBER_ID] = "id",
  [AQMP_MEMBER_EVENT] = "event",
  [AQMP_MEMBER_TIMESTAMP] = "timestamp",
  [AQMP_MEMBER_DATA] = "data",
  [AQMP_MEMBER_ERROR] = "error",
  [AQMP_MEMBER_QMP] = "QMP",
  [AQMP_N_MEMBERS] = NULL,
};

G_STATIC_ASSERT (AQMP_N_MEMBERS <= AQMP_JSON_MAX_NAMES);

gboolean
aqmp_message_init_scanned (AqmpMessage         *self,
                           GBytes              *message,
                           const AqmpJsonScan  *scan,
                           GError             **error)
{
  self->message = message;
  self->text = g_bytes_get_data (message, &self->length);

  if (scan->kind != '{')
    {
      g_autofree char *excerpt = aqmp_excerpt (self->text, self->length);

      g_set_error (error, AQMP_ERROR, AQMP_ERROR_UNEXPECTED_TYPE, _("The peer sent something that is no JSON object: %s"),
                   excerpt);
      return FALSE;
    }

  memcpy (self->members, scan->members, sizeof self->members);
  return TRUE;
}

gboolean
aqmp_message_init (AqmpMessage  *self,
                   GBytes       *message,
                   GError      **error)
{
  AqmpJsonScan scan;
  gsize length;
  const guint8 *text = g_bytes_get_data (message, &length);

  return aqmp_json_validate (&scan, aqmp_message_members, text, length, error) &&
         aqmp_message_init_scanned (self, message, &scan, error);
}

gboolean
aqmp_message_has (const AqmpMessage *self,
                  AqmpMember         member)
{
  return self->members[member].end > self->members[member].start;
}

static const guint8 *
get_text (const AqmpMessage *self,
          AqmpMember         member,
          gsize             *length)
{
  const AqmpJsonSpan *span = &self->members[member];

  *length = span->end - span->start;
  return self->text + span->start;
}

JsonNode *
aqmp_message_build (const AqmpMessage  *self,
                    AqmpMember          member,
                    GError            **error)
{
  gsize length;
  const guint8 *text = get_text (self, member, &length);

  return aqmp_json_build (text, length, error);
}

char *
aqmp_message_dup_string (const AqmpMessage *self,
                         AqmpMember         member)
{
  gsize length;
  const guint8 *text = get_text (self, member, &length);

  return aqmp_message_has (self, member) ? aqmp_json_dup_string (text, length) : NULL;
}

static GError *
bad_reply (const AqmpMessage *self,
           const char        *what)
{
  g_autofree char *excerpt = aqmp_excerpt (self->text, self->length);

  return g_error_new (AQMP_ERROR, AQMP_ERROR_BAD_REPLY, _("The server’s reply is malformed: %s: %s"), what, excerpt);
}

/* Where class and description are, or what is wrong with the “error”. */
static const char *
scan_error (const AqmpMessage *self,
            AqmpJsonScan      *scan)
{
  static const char * const names[] = { "class", "desc", NULL };
  gsize length;
  const guint8 *text = get_text (self, AQMP_MEMBER_ERROR, &length);

  if (!aqmp_json_validate (scan, names, text, length, NULL) || scan->kind != '{')
    return _("its “error” is no object");
  if (scan->members[0].end == scan->members[0].start || text[scan->members[0].start] != '"')
    return _("its “error” has no “class” that is a string");
  if (scan->members[1].end == scan->members[1].start || text[scan->members[1].start] != '"')
    return _("its “error” has no “desc” that is a string");
  return NULL;
}

static char *
dup_span (const AqmpMessage  *self,
          const AqmpJsonSpan *span)
{
  gsize length;
  const guint8 *text = get_text (self, AQMP_MEMBER_ERROR, &length);

  return aqmp_json_dup_string (text + span->start, span->end - span->start);
}

GError *
aqmp_message_get_error (const AqmpMessage *self)
{
  g_autofree char *class_name = NULL;
  g_autofree char *desc = NULL;
  AqmpJsonScan scan;
  const char *flaw = scan_error (self, &scan);

  if (flaw != NULL)
    return bad_reply (self, flaw);

  class_name = dup_span (self, &scan.members[0]);
  desc = dup_span (self, &scan.members[1]);
  if (class_name == NULL || desc == NULL)
    return bad_reply (self, _("its “error” contains a NUL character, which no GError can hold; the raw form of the reply "
                              "(execute_raw) has it exactly"));

  return aqmp_exec_error_new (class_name, desc, self->message);
}

GError *
aqmp_message_check_reply (const AqmpMessage *self)
{
  if (aqmp_message_has (self, AQMP_MEMBER_ERROR))
    {
      AqmpJsonScan scan;
      const char *flaw = scan_error (self, &scan);

      return flaw != NULL ? bad_reply (self, flaw) : NULL;
    }

  if (!aqmp_message_has (self, AQMP_MEMBER_RETURN))
    return bad_reply (self, _("it has neither “return” nor “error”"));
  return NULL;
}
