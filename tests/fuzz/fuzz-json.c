/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Bytes from a hostile peer against all that looks at JSON text. */

#include <string.h>

#include "aqmp-glib/aqmp-error.h"
#include "aqmp-glib/aqmp-json-private.h"
#include "fuzz.h"

static const char * const names[] = { "return", "error", "event", "id", "a", "\xc3\xa9", NULL };

static gboolean
same_results (const AqmpJsonScan *a,
              const AqmpJsonScan *b)
{
  return a->kind == b->kind && a->has_nul == b->has_nul && a->has_huge_number == b->has_huge_number &&
         a->has_duplicate == b->has_duplicate && memcmp (a->members, b->members, sizeof a->members) == 0;
}

/* Every piece is a block of its own: a look beyond it is seen. */
static void
check_pieces (const guint8       *data,
              gsize               size,
              const AqmpJsonScan *whole,
              gssize              expected,
              guint               seed)
{
  AqmpJsonScan scan;
  gsize seen = 0;
  gssize result;

  aqmp_json_scan_init (&scan, names);
  do
    {
      g_autofree guint8 *copy = NULL;

      seed = seed * 1103515245 + 12345;
      seen = MIN (size, seen + (seed >> 16) % 23 + 1);
      copy = g_memdup2 (data, seen);
      result = aqmp_json_scan (&scan, copy, seen, seen == size, NULL);
    }
  while (result == 0 && seen < size);

  CHECK (result == expected);
  if (result > 0)
    CHECK (same_results (whole, &scan));
}

static void
check_span (const guint8       *data,
            const AqmpJsonSpan *span)
{
  AqmpJsonScan scan;

  if (span->start == span->end)
    return;
  CHECK (aqmp_json_validate (&scan, NULL, data + span->start, span->end - span->start, NULL));
}

static void
check_decoders (const guint8       *data,
                gsize               length,
                const AqmpJsonScan *scan)
{
  g_autoptr (GString) decoded = g_string_new (NULL);
  g_autofree char *dup = aqmp_json_dup_string (data, length);
  gint64 value;

  if (aqmp_json_decode_string (data, length, decoded))
    {
      CHECK (scan->kind == '"');
      CHECK ((dup != NULL) == !scan->has_nul);
      CHECK (scan->has_nul || g_utf8_validate (decoded->str, (gssize) decoded->len, NULL));
    }
  if (aqmp_json_get_int64 (data, length, &value))
    CHECK (scan->kind == 0);
}

static void
check_tree (const guint8       *data,
            gsize               length,
            const AqmpJsonScan *scan)
{
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (JsonNode) again = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  AqmpJsonScan rescan;

  node = aqmp_json_build (data, length, &error);
  CHECK ((node == NULL) == (scan->has_nul || scan->has_huge_number));
  if (node == NULL)
    {
      CHECK (g_error_matches (error, AQMP_ERROR, AQMP_ERROR_BAD_REPLY));
      return;
    }

  CHECK (aqmp_json_append_node (text, node, NULL));
  CHECK (aqmp_json_validate (&rescan, names, (const guint8 *) text->str, text->len, NULL));
  again = aqmp_json_build ((const guint8 *) text->str, text->len, NULL);
  CHECK (again != NULL && json_node_equal (node, again));
}

static void
check_redaction (const guint8 *data,
                 gsize         size,
                 gboolean      is_json)
{
  g_autofree char *redacted = aqmp_json_redact (data, size);
  AqmpJsonScan scan;

  CHECK (g_utf8_validate (redacted, -1, NULL));
  if (is_json)
    CHECK (aqmp_json_validate (&scan, NULL, (const guint8 *) redacted, strlen (redacted), NULL));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data,
                        size_t         size)
{
  g_autoptr (GError) error = NULL;
  AqmpJsonScan scan, valid;
  gssize length;
  guint i;

  aqmp_json_scan_init (&scan, names);
  length = aqmp_json_scan (&scan, data, size, TRUE, &error);
  CHECK (length <= (gssize) size);
  CHECK ((length < 0) == g_error_matches (error, AQMP_ERROR, AQMP_ERROR_PARSE));
  CHECK (error == NULL || g_utf8_validate (error->message, -1, NULL));
  check_pieces (data, size, &scan, length, (guint) size);
  check_pieces (data, size, &scan, length, size > 0 ? data[size - 1] : 1);

  if (length > 0)
    {
      g_autofree guint8 *copy = g_memdup2 (data, length);

      for (i = 0; i < AQMP_JSON_MAX_NAMES; i++)
        check_span (copy, &scan.members[i]);
      check_decoders (copy, length, &scan);
      check_tree (copy, length, &scan);
    }
  check_redaction (data, size, aqmp_json_validate (&valid, NULL, data, size, NULL));
  return 0;
}
