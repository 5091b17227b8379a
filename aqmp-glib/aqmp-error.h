/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined (AQMP_GLIB_INSIDE) && !defined (AQMP_GLIB_COMPILATION)
#error "Only <aqmp-glib/aqmp-glib.h> can be included directly."
#endif

#include <gio/gio.h>

#include <aqmp-glib/aqmp-version-macros.h>

G_BEGIN_DECLS

/**
 * AQMP_ERROR:
 *
 * The domain of what goes wrong in the library itself; codes are [error@Error].
 *
 * Since: 1.0
 */
#define AQMP_ERROR (aqmp_error_quark ())

/**
 * AqmpError:
 * @AQMP_ERROR_FAILED: a virtual function failed without saying why
 * @AQMP_ERROR_STATE: the call is not possible in the present [enum@Runstate]
 * @AQMP_ERROR_GREETING: the server's greeting is not one
 * @AQMP_ERROR_NEGOTIATION: the server refused the capabilities negotiation
 * @AQMP_ERROR_PARSE: what arrived is not valid JSON, or nested too deeply
 * @AQMP_ERROR_UNEXPECTED_TYPE: valid JSON of a type that does not belong there
 * @AQMP_ERROR_MESSAGE_TOO_LARGE: a message exceeds [property@Protocol:max-message-size]
 * @AQMP_ERROR_SERVER_PARSE: the server said that it could not parse what we sent
 * @AQMP_ERROR_BAD_REPLY: the reply to this call is malformed, or holds a value that a [struct@Json.Node] cannot
 * @AQMP_ERROR_INTERRUPTED: the session ended, or was disconnected, before the operation was complete
 * @AQMP_ERROR_INVALID_MESSAGE: what the caller wants to send is not a valid message
 * @AQMP_ERROR_SCHEMA: reserved for what contradicts the server's schema
 * @AQMP_ERROR_EVENT: an event said that what a command had begun has failed
 * @AQMP_ERROR_JOB: a job has failed; the message is the server's
 *
 * What can go wrong in a session.
 *
 * Since: 1.0
 */
typedef enum
{
  AQMP_ERROR_FAILED,
  AQMP_ERROR_STATE,
  AQMP_ERROR_GREETING,
  AQMP_ERROR_NEGOTIATION,
  AQMP_ERROR_PARSE,
  AQMP_ERROR_UNEXPECTED_TYPE,
  AQMP_ERROR_MESSAGE_TOO_LARGE,
  AQMP_ERROR_SERVER_PARSE,
  AQMP_ERROR_BAD_REPLY,
  AQMP_ERROR_INTERRUPTED,
  AQMP_ERROR_INVALID_MESSAGE,
  AQMP_ERROR_SCHEMA,
  AQMP_ERROR_EVENT,
  AQMP_ERROR_JOB,
} AqmpError;

/**
 * AQMP_EXEC_ERROR:
 *
 * The domain of the errors with which a server answers a command; codes are [error@ExecError].
 *
 * Since: 1.0
 */
#define AQMP_EXEC_ERROR (aqmp_exec_error_quark ())

/**
 * AqmpExecError:
 * @AQMP_EXEC_ERROR_GENERIC_ERROR: `GenericError`
 * @AQMP_EXEC_ERROR_COMMAND_NOT_FOUND: `CommandNotFound`
 * @AQMP_EXEC_ERROR_DEVICE_NOT_ACTIVE: `DeviceNotActive`
 * @AQMP_EXEC_ERROR_DEVICE_NOT_FOUND: `DeviceNotFound`
 * @AQMP_EXEC_ERROR_KVM_MISSING_CAP: `KVMMissingCap`
 * @AQMP_EXEC_ERROR_OTHER: any other class; [func@ExecError.get_class] has its name
 *
 * The class of an error that the server answered a command with.
 *
 * Since: 1.0
 */
typedef enum
{
  AQMP_EXEC_ERROR_GENERIC_ERROR,
  AQMP_EXEC_ERROR_COMMAND_NOT_FOUND,
  AQMP_EXEC_ERROR_DEVICE_NOT_ACTIVE,
  AQMP_EXEC_ERROR_DEVICE_NOT_FOUND,
  AQMP_EXEC_ERROR_KVM_MISSING_CAP,
  AQMP_EXEC_ERROR_OTHER,
} AqmpExecError;

AQMP_AVAILABLE_IN_1_0
GQuark aqmp_error_quark (void);

AQMP_AVAILABLE_IN_1_0
GQuark aqmp_exec_error_quark (void);

AQMP_AVAILABLE_IN_1_0
const char *aqmp_exec_error_get_class (const GError *error);

AQMP_AVAILABLE_IN_1_0
GBytes *aqmp_exec_error_get_reply (const GError *error);

G_END_DECLS
