/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#define AQMP_GLIB_INSIDE

#include <aqmp-glib/aqmp-address.h>
#include <aqmp-glib/aqmp-client.h>
#include <aqmp-glib/aqmp-enum-types.h>
#include <aqmp-glib/aqmp-enums.h>
#include <aqmp-glib/aqmp-error.h>
#include <aqmp-glib/aqmp-event.h>
#include <aqmp-glib/aqmp-event-listener.h>
#include <aqmp-glib/aqmp-greeting.h>
#include <aqmp-glib/aqmp-job.h>
#include <aqmp-glib/aqmp-protocol.h>
#include <aqmp-glib/aqmp-version.h>
#include <aqmp-glib/aqmp-version-macros.h>

#undef AQMP_GLIB_INSIDE
