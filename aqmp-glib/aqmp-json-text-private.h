/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the files of aqmp-json share: the bytes of JSON strings and numbers. Nothing outside aqmp-json*.c includes this. */

#pragma once

#include <string.h>

#include <glib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

G_BEGIN_DECLS

/* What follows may be a piece of it: more bytes are needed to tell. */
#define AQMP_JSON_INCOMPLETE -1

/* What a run of plain string bytes consists of; a quote, a backslash and, but for trusted text, a control character end it. */
typedef enum
{
  AQMP_JSON_RUN_ASCII,   /* a byte that is not ASCII ends it too */
  AQMP_JSON_RUN_UTF8,    /* or what may be */
  AQMP_JSON_RUN_TRUSTED, /* text that was validated before */
} AqmpJsonRun;

static inline gboolean
aqmp_json_is_space (guint8 c)
{
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline gboolean
aqmp_json_is_digit (guint8 c)
{
  return c >= '0' && c <= '9';
}

static inline gboolean
aqmp_json_ends_run (guint8      c,
                    AqmpJsonRun run)
{
  if (c == '"' || c == '\\')
    return TRUE;
  return run != AQMP_JSON_RUN_TRUSTED && (c < 0x20 || (c >= 0x80 && run == AQMP_JSON_RUN_ASCII));
}

#ifdef __SSE2__

#define AQMP_JSON_BLOCK 16
#define AQMP_JSON_STOP_BITS 1

/* A bit for each of the 16 bytes that ends the run. */
static inline guint
aqmp_json_block_stops (const guint8 *p,
                       AqmpJsonRun   run)
{
  __m128i bytes = _mm_loadu_si128 ((const __m128i *) (const void *) p);
  __m128i stops = _mm_or_si128 (_mm_cmpeq_epi8 (bytes, _mm_set1_epi8 ('"')),
                                _mm_cmpeq_epi8 (bytes, _mm_set1_epi8 ('\\')));

  /* Compared as signed bytes, what is not ASCII is below the control characters. */
  if (run == AQMP_JSON_RUN_ASCII)
    stops = _mm_or_si128 (stops, _mm_cmplt_epi8 (bytes, _mm_set1_epi8 (0x20)));
  else if (run == AQMP_JSON_RUN_UTF8)
    stops = _mm_or_si128 (stops, _mm_cmpeq_epi8 (_mm_min_epu8 (bytes, _mm_set1_epi8 (0x1f)), bytes));

  return (guint) _mm_movemask_epi8 (stops);
}

static inline guint
aqmp_json_first_stop (guint stops)
{
  return (guint) __builtin_ctz (stops);
}

typedef guint AqmpJsonStops;

/* Whether the block up to the first of @stops is UTF-8; if there are none, its last character may be incomplete. Without branches: that
   costs the same for any mixture of scripts. */
static inline gboolean
aqmp_json_block_is_utf8 (const guint8 *p,
                         guint         stops)
{
  __m128i bytes = _mm_loadu_si128 ((const __m128i *) (const void *) p);
  __m128i before = _mm_slli_si128 (bytes, 1); /* in the place of each byte, the one before it */
  /* Compared as signed bytes, what is not ASCII is below what is. */
  __m128i below_90 = _mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0x90));
  __m128i below_a0 = _mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0xa0));
  __m128i below_c0 = _mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0xc0));
  guint not_ascii = (guint) _mm_movemask_epi8 (bytes);
  guint continuations = (guint) _mm_movemask_epi8 (below_c0);
  guint from_c0 = not_ascii ^ continuations;
  guint from_e0 = not_ascii ^ (guint) _mm_movemask_epi8 (_mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0xe0)));
  guint from_f0 = not_ascii ^ (guint) _mm_movemask_epi8 (_mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0xf0)));
  guint due = from_c0 << 1 | from_e0 << 2 | from_f0 << 3; /* where continuations have to be */
  /* Overlong forms, surrogates, and what is beyond U+10FFFF. */
  __m128i never = _mm_andnot_si128 (below_c0, _mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0xc2)));

  never = _mm_or_si128 (never, _mm_and_si128 (_mm_cmpeq_epi8 (before, _mm_set1_epi8 ((char) 0xe0)), below_a0));
  never = _mm_or_si128 (never, _mm_andnot_si128 (below_a0, _mm_cmpeq_epi8 (before, _mm_set1_epi8 ((char) 0xed))));
  never = _mm_or_si128 (never, _mm_and_si128 (_mm_cmpeq_epi8 (before, _mm_set1_epi8 ((char) 0xf0)), below_90));
  never = _mm_or_si128 (never, _mm_andnot_si128 (below_90, _mm_cmpeq_epi8 (before, _mm_set1_epi8 ((char) 0xf4))));
  never = _mm_or_si128 (never, _mm_andnot_si128 (_mm_cmplt_epi8 (bytes, _mm_set1_epi8 ((char) 0xf5)), bytes));

  /* Up to the stop, and that: it must not come in the middle of a character. */
  return (((due ^ continuations) | (guint) _mm_movemask_epi8 (never)) & (stops ^ (stops - 1)) & 0xffff) == 0;
}

#else

#define AQMP_JSON_BLOCK 8
#define AQMP_JSON_STOP_BITS 8
#define AQMP_JSON_EACH_BYTE(byte) (G_GUINT64_CONSTANT (0x0101010101010101) * (byte))

/* The high bit of each of the 8 bytes that ends the run, the first byte lowest. No sum here carries into the next byte. */
static inline guint64
aqmp_json_block_stops (const guint8 *p,
                       AqmpJsonRun   run)
{
  guint64 bytes, low, not_quote, not_backslash, stops;

  memcpy (&bytes, p, sizeof bytes);
  bytes = GUINT64_FROM_LE (bytes);
  low = bytes & AQMP_JSON_EACH_BYTE (0x7f);
  not_quote = (low ^ AQMP_JSON_EACH_BYTE ('"')) + AQMP_JSON_EACH_BYTE (0x7f);
  not_backslash = (low ^ AQMP_JSON_EACH_BYTE ('\\')) + AQMP_JSON_EACH_BYTE (0x7f);
  stops = ~(not_quote & not_backslash);

  if (run != AQMP_JSON_RUN_TRUSTED)
    stops |= ~(low + AQMP_JSON_EACH_BYTE (0x60));
  stops = run == AQMP_JSON_RUN_ASCII ? stops | bytes : stops & ~bytes;

  return stops & AQMP_JSON_EACH_BYTE (0x80);
}

static inline guint
aqmp_json_first_stop (guint64 stops)
{
  return (guint) __builtin_ctzll (stops) / 8;
}

typedef guint64 AqmpJsonStops;

#endif

/* The same of the bytes from @p to @end, which are fewer than a block, but not the first ones in memory: a block ends there. */
static inline AqmpJsonStops
aqmp_json_tail_stops (const guint8 *p,
                      const guint8 *end,
                      AqmpJsonRun   run)
{
  gsize skipped = AQMP_JSON_BLOCK - (end - p);

  return aqmp_json_block_stops (end - AQMP_JSON_BLOCK, run) >> (skipped * AQMP_JSON_STOP_BITS);
}

/* The first byte that ends the run, or @end. */
static inline const guint8 *
aqmp_json_skip_run (const guint8 *p,
                    const guint8 *end,
                    AqmpJsonRun   run)
{
  while (end - p >= AQMP_JSON_BLOCK)
    {
      AqmpJsonStops stops = aqmp_json_block_stops (p, run);

      if (stops != 0)
        return p + aqmp_json_first_stop (stops);
      p += AQMP_JSON_BLOCK;
    }

  while (p < end && !aqmp_json_ends_run (*p, run))
    p++;
  return p;
}

/* Where the UTF-8 ends: @end, or the first byte of a character that is invalid or incomplete. */
const guint8  *aqmp_json_skip_utf8        (const guint8 *p,
                                           const guint8 *end);

/* The length of the character of more than one byte at @p, 0 if it is not UTF-8, or AQMP_JSON_INCOMPLETE. */
gint           aqmp_json_utf8_length      (const guint8 *p,
                                           const guint8 *end);

/* The length of the escape sequence at the backslash @p, both halves of a surrogate pair included, 0 if it is none, or
   AQMP_JSON_INCOMPLETE. */
gint           aqmp_json_read_escape      (const guint8 *p,
                                           const guint8 *end,
                                           gunichar     *character);

/* @p is behind the opening quote of a string that was validated. Returns its closing quote, or @end if there is none. */
const guint8  *aqmp_json_find_close       (const guint8 *p,
                                           const guint8 *end);

/* Decodes the inside of a string that was validated to @out, which has at least @close - @p bytes, and returns how many it
   took. */
gsize          aqmp_json_decode_text      (const guint8 *p,
                                           const guint8 *close,
                                           char         *out,
                                           gboolean     *has_nul);

/* Infinity if it is beyond double. */
gdouble        aqmp_json_number_to_double (const guint8 *text,
                                           gsize         length);

G_END_DECLS
