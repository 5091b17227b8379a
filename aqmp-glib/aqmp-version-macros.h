/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <glib.h>

#include <aqmp-glib/aqmp-version.h>

#ifndef _AQMP_EXTERN
#define _AQMP_EXTERN extern
#endif

/**
 * AQMP_VERSION_1_0:
 *
 * Stands for version 1.0 in %AQMP_VERSION_MIN_REQUIRED and %AQMP_VERSION_MAX_ALLOWED.
 *
 * Since: 1.0
 */
#define AQMP_VERSION_1_0 (G_ENCODE_VERSION (1, 0))

/* The version that this header belongs to: a development version counts as the stable one it leads to. */
#define AQMP_VERSION_CURRENT AQMP_VERSION_1_0

/**
 * AQMP_VERSION_MIN_REQUIRED:
 *
 * Define it before including the header to be warned of what was deprecated up to that version.
 *
 * Since: 1.0
 */
#ifndef AQMP_VERSION_MIN_REQUIRED
#define AQMP_VERSION_MIN_REQUIRED AQMP_VERSION_CURRENT
#endif

/**
 * AQMP_VERSION_MAX_ALLOWED:
 *
 * Define it before including the header to be warned of what came after that version.
 *
 * Since: 1.0
 */
#ifndef AQMP_VERSION_MAX_ALLOWED
#define AQMP_VERSION_MAX_ALLOWED AQMP_VERSION_CURRENT
#endif

#define AQMP_AVAILABLE_IN_ALL _AQMP_EXTERN

#if AQMP_VERSION_MAX_ALLOWED < AQMP_VERSION_1_0
#define AQMP_AVAILABLE_IN_1_0 G_UNAVAILABLE (1, 0) _AQMP_EXTERN
#else
#define AQMP_AVAILABLE_IN_1_0 _AQMP_EXTERN
#endif
