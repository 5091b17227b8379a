/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the mock server knows of JSON. On purpose not the library's own code. */

#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Finds the end of an object or array. Zero-initialised for a new value. */
typedef struct
{
  guint    depth;
  gboolean in_string;
  gboolean escaped;
} MockFramer;

/* TRUE if @byte was the last of the value. The first byte has to be { or [. */
gboolean  mock_framer_push   (MockFramer  *framer,
                              char         byte);

/* (transfer full): @text, single quotes made double if it has none of those. */
char     *mock_json_requote  (const char  *text);

/* Whether @value has the meaning of @pattern; see mock_expect() for what a pattern may say. */
gboolean  mock_json_matches  (JsonNode    *pattern,
                              JsonNode    *value);

/* (transfer full) (nullable): the text of the member "id" of the object that @text is. */
char     *mock_json_find_id  (const char  *text);

/* (transfer full): @text as a JSON string, quotes included. */
char     *mock_json_quote    (const char  *text);

G_END_DECLS
