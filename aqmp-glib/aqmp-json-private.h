/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define AQMP_JSON_MAX_DEPTH 1024 /* arrays and objects inside each other */
#define AQMP_JSON_MAX_NAMES 8

/* The place of a value in the text that holds it: bytes from the first of the text. Absent: start == end. */
typedef struct
{
  gsize start;
  gsize end;
} AqmpJsonSpan;

/* One pass over one JSON value: frames it, validates it (RFC 8259, UTF-8, depth) and notes where the members of the
   outermost object are whose names were asked for. Can stop at any byte and go on when more has arrived. */
typedef struct
{
  /* Results, complete once aqmp_json_scan() has returned the length. */
  char         kind;                          /* the first byte: { [ " t f n, and 0 for any number */
  guint8       has_escape;                    /* in a string or name */
  guint        has_nul : 1;                   /* a \u0000 in a string or name: no C string can hold it */
  guint        has_huge_number : 1;           /* a number beyond double: no JsonNode can hold it */
  guint        has_duplicate : 1;             /* one of the names more than once; the last one is noted */
  AqmpJsonSpan members[AQMP_JSON_MAX_NAMES];  /* by index into @names */
  gsize        position;                      /* the end of the value; before, where to go on */

  /* Private to the scanner. */
  const char * const *names;
  gsize    token_start;                       /* of the name or number that is being read */
  guint16  depth;
  guint8   state;
  guint8   number_state;
  guint8   name_escaped;
  gint8    member;                            /* index into @names of the member that is being read, or -1 */
  guint64  is_object[AQMP_JSON_MAX_DEPTH / 64];  /* by depth; never cleared */
} AqmpJsonScan;

/* @names: (nullable), NULL-terminated, at most AQMP_JSON_MAX_NAMES, outlives the scan; compared after decoding escapes. None is empty,
   nor has a quote in it. */
void        aqmp_json_scan_init     (AqmpJsonScan        *scan,
                                     const char * const  *names);

/* @data: the whole value so far, its first byte not white space; call again with the same bytes and more behind them.
   Returns the length of the value, 0 if it needs more, -1 with AQMP_ERROR_PARSE (with the byte offset and an excerpt).
   A number at the top ends where something else begins or at_eof. An incomplete value at_eof returns 0. */
gssize      aqmp_json_scan          (AqmpJsonScan        *scan,
                                     const guint8        *data,
                                     gsize                length,
                                     gboolean             at_eof,
                                     GError             **error);

/* How many of the first bytes are white space. */
gsize       aqmp_json_skip_space    (const guint8        *data,
                                     gsize                length);

/* @text is exactly one value with nothing but white space around it. Inits and runs @scan; its spans count from @text. */
gboolean    aqmp_json_validate      (AqmpJsonScan        *scan,
                                     const char * const  *names,
                                     const guint8        *text,
                                     gsize                length,
                                     GError             **error);

/* From here on @data is a value that was scanned. */

/* AQMP_ERROR_BAD_REPLY where no JsonNode can hold the value. Integers within int64 are exact, others become double. */
JsonNode   *aqmp_json_build         (const guint8        *data,
                                     gsize                length,
                                     GError             **error);

/* The same of an object, whose first byte is the brace; AQMP_ERROR_BAD_REPLY if it is none. */
JsonObject *aqmp_json_build_object  (const guint8        *data,
                                     gsize                length,
                                     GError             **error);

/* Appends what a string value decodes to, NUL bytes included; FALSE if it is no string. */
gboolean    aqmp_json_decode_string (const guint8        *data,
                                     gsize                length,
                                     GString             *decoded);

/* (nullable): no string, or one with a NUL. */
char       *aqmp_json_dup_string    (const guint8        *data,
                                     gsize                length);

/* FALSE if it is no integer within int64. No fraction and no exponent: 1.0 is no integer. */
gboolean    aqmp_json_get_int64     (const guint8        *data,
                                     gsize                length,
                                     gint64              *value);

/* Writing: appended to @out; on failure @out is as it was, with AQMP_ERROR_INVALID_MESSAGE saying where and what. */
gboolean    aqmp_json_append_node   (GString             *out,
                                     JsonNode            *node,
                                     GError             **error);
gboolean    aqmp_json_append_object (GString             *out,
                                     JsonObject          *object,
                                     GError             **error);
gboolean    aqmp_json_append_string (GString             *out,
                                     const char          *utf8,
                                     GError             **error);

/* Whether every member of @part is in @whole too, with a value that matches: objects likewise, arrays element by element, all else
   if it is equal. */
gboolean    aqmp_json_object_matches (JsonObject         *whole,
                                      JsonObject         *part);

/* A copy for the log: the values that can be passwords or secrets replaced by "***"; text that is no JSON is escaped. */
char       *aqmp_json_redact        (const guint8        *data,
                                     gsize                length);

G_END_DECLS
