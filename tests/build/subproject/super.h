/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

AqmpClient *super_client_new (void);
