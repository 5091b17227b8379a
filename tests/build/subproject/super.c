/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "super.h"

/**
 * super_client_new:
 *
 * A type of the subproject in the GIR of the project.
 *
 * Returns: (transfer full): a client
 */
AqmpClient *
super_client_new (void)
{
  return aqmp_client_new ("super");
}
