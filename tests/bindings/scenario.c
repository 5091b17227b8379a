/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
/* scenario QEMU STORAGE_DAEMON: what each language does in its own way, here with a main loop and one callback after the other. */
#include <aqmp-glib/aqmp-glib.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#define N_IN_FLIGHT 50

typedef struct _Scenario Scenario;

/* Begins something, and sees to it that next() is called at its end. */
typedef void (*Step) (Scenario *self);

typedef struct
{
  const char *name;
  const char *arguments; /* (nullable) as JSON */
  void (*print) (Scenario *self, JsonNode *reply, const GError *error);
} Command;

struct _Scenario
{
  const char *qemu;
  const char *storage_daemon;
  GMainLoop *loop;             /* (owned) */
  const Step *step;            /* the one that comes next */
  const Command *command;      /* the one that is being executed */
  AqmpClient *client;          /* (owned) (nullable) */
  AqmpEventListener *listener; /* (owned) (nullable) */
  AqmpJob *job;                /* (owned) (nullable) */
  guint n_answers;
  guint n_right_answers;
};

static void
next (Scenario *self)
{
  (*self->step++) (self);
}

static void
check (const GError *error)
{
  if (error != NULL)
    errx (EXIT_FAILURE, "%s", error->message);
}

/* --- one command after the other --- */

static void execute_command (Scenario *self);

static void
on_reply (GObject *client, GAsyncResult *result, gpointer user_data)
{
  Scenario *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  if (self->command->print != NULL)
    self->command->print (self, reply, error);
  else
    check (error);
  self->command++;
  execute_command (self);
}

static void
execute_command (Scenario *self)
{
  g_autoptr (JsonObject) arguments = NULL;
  g_autoptr (GError) error = NULL;

  if (self->command->name == NULL)
    {
      next (self);
      return;
    }
  if (self->command->arguments != NULL)
    arguments = aqmp_arguments_parse (self->command->arguments, &error);
  check (error);
  aqmp_client_execute_async (self->client, self->command->name, arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, on_reply, self);
}

static void
execute_commands (Scenario *self, const Command *commands)
{
  self->command = commands;
  execute_command (self);
}

/* --- what they return --- */

static void
print_status (Scenario *self, JsonNode *reply, const GError *error)
{
  check (error);
  g_print ("query-status: %s\n", json_object_get_string_member (json_node_get_object (reply), "status"));
}

static void
print_name (Scenario *self, JsonNode *reply, const GError *error)
{
  check (error);
  g_print ("query-name: %s\n", json_object_get_string_member_with_default (json_node_get_object (reply), "name", "no name"));
}

static void
print_version (Scenario *self, JsonNode *reply, const GError *error)
{
  AqmpGreeting *greeting = aqmp_client_get_greeting (self->client);
  JsonObject *qemu;

  check (error);
  qemu = json_object_get_object_member (json_node_get_object (reply), "qemu");
  g_print ("query-version: %s\n",
           json_object_get_int_member (qemu, "major") == aqmp_greeting_get_major (greeting) &&
           json_object_get_int_member (qemu, "minor") == aqmp_greeting_get_minor (greeting) &&
           json_object_get_int_member (qemu, "micro") == aqmp_greeting_get_micro (greeting) ? "that of the greeting" : "another");
}

static void
print_machine (Scenario *self, JsonNode *reply, const GError *error)
{
  check (error);
  g_print ("qom-get: %s\n", g_str_has_suffix (json_node_get_string (reply), "-machine") ? "a machine" : "something else");
}

static void
print_answer (Scenario *self, JsonNode *reply, const GError *error)
{
  g_autofree char *answer = NULL;

  check (error);
  answer = g_strchomp (json_node_dup_string (reply));
  g_print ("human-monitor-command: %s\n", answer);
}

static void
print_node (JsonArray *nodes, guint i, JsonNode *element, gpointer wanted)
{
  JsonObject *node = json_node_get_object (element);
  const char *name = json_object_get_string_member (node, "node-name");
  JsonObject *image = json_object_get_object_member (node, "image");

  if (strcmp (name, wanted) == 0)
    g_print ("blockdev-add: %s with %" G_GINT64_FORMAT " bytes\n", name, json_object_get_int_member (image, "virtual-size"));
}

static void
print_added_node (Scenario *self, JsonNode *reply, const GError *error)
{
  check (error);
  json_array_foreach_element (json_node_get_array (reply), print_node, (gpointer) "node0");
}

static void
print_error (Scenario *self, JsonNode *reply, const GError *error)
{
  if (error == NULL || error->domain != AQMP_EXEC_ERROR)
    errx (EXIT_FAILURE, "%s has not been refused", self->command->name);
  g_print ("error: %s: %s\n", aqmp_exec_error_get_class (error), error->message);
}

/* --- steps --- */

static void
print_runstate (Scenario *self, const char *what)
{
  g_autoptr (GEnumClass) runstates = g_type_class_ref (AQMP_TYPE_RUNSTATE);

  g_print ("%s: %s\n", what,
           g_enum_get_value (runstates, aqmp_protocol_get_runstate (AQMP_PROTOCOL (self->client)))->value_nick);
}

static void
on_connected (GObject *client, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_connect_finish (AQMP_PROTOCOL (client), result, &error);
  check (error);
  next (user_data);
}

static void
connect_to (Scenario *self, const char *name, const char *address)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnectable) connectable = aqmp_address_parse (address, &error);

  check (error);
  self->client = aqmp_client_new (name);
  aqmp_protocol_connect_async (AQMP_PROTOCOL (self->client), connectable, NULL, on_connected, self);
}

static void
connect_to_qemu (Scenario *self)
{
  connect_to (self, "vm0", self->qemu);
}

static void
greeting (Scenario *self)
{
  AqmpGreeting *greeting = aqmp_client_get_greeting (self->client);
  int major = aqmp_greeting_get_major (greeting);
  g_autofree char *capabilities = g_strjoinv (" ", (char **) aqmp_greeting_get_capabilities (greeting));

  print_runstate (self, "connected");
  g_print ("greeting: QEMU %s with %s\n",
           major > 7 || (major == 7 && aqmp_greeting_get_minor (greeting) >= 2) ? "7.2 or newer" : "of long ago", capabilities);
  next (self);
}

static void
commands (Scenario *self)
{
  static const Command commands[] = {
    { "query-status", NULL, print_status },
    { "query-name", NULL, print_name },
    { "query-version", NULL, print_version },
    { "qom-get", "{\"path\": \"/machine\", \"property\": \"type\"}", print_machine },
    { "human-monitor-command", "{\"command-line\": \"levitate\"}", print_answer },
    { "blockdev-add",
      "{\"node-name\": \"node0\", \"driver\": \"raw\", \"file\": {\"driver\": \"null-co\", \"size\": 1099511627776}}", NULL },
    { "query-named-block-nodes", NULL, print_added_node },
    { "levitate", NULL, print_error },
    { "device_del", "{\"id\": \"nothing\"}", print_error },
    { NULL }
  };

  execute_commands (self, commands);
}

typedef struct
{
  Scenario *scenario;
  char *answer; /* (owned) the right one */
} Call;

static void
on_answer (GObject *client, GAsyncResult *result, gpointer user_data)
{
  g_autofree Call *call = user_data;
  g_autofree char *answer = g_steal_pointer (&call->answer);
  Scenario *self = call->scenario;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  check (error);
  if (strcmp (json_node_get_string (reply), answer) == 0)
    self->n_right_answers++;
  if (++self->n_answers < N_IN_FLIGHT)
    return;

  g_print ("in flight: %u of %d right\n", self->n_right_answers, N_IN_FLIGHT);
  next (self);
}

static void
in_flight (Scenario *self)
{
  for (guint i = 0; i < N_IN_FLIGHT; i++)
    {
      g_autoptr (JsonObject) arguments = json_object_new ();
      g_autofree char *line = g_strdup_printf ("no%u", i);
      Call *call = g_new0 (Call, 1);

      call->scenario = self;
      call->answer = g_strdup_printf ("unknown command: '%s'\r\n", line);
      json_object_set_string_member (arguments, "command-line", line);
      aqmp_client_execute_async (self->client, "human-monitor-command", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, on_answer, call);
    }
}

static void
on_event (GObject *listener, GAsyncResult *result, gpointer user_data)
{
  Scenario *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AqmpEvent) event = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, &error);

  check (error);
  g_print ("event: %s\n", aqmp_event_get_name (event));
  if (strcmp (aqmp_event_get_name (event), "STOP") == 0)
    {
      g_clear_object (&self->listener);
      next (self);
      return;
    }
  aqmp_event_listener_next_async (self->listener, NULL, on_event, self);
}

static void
events (Scenario *self)
{
  static const char * const names[] = { "STOP", "RESUME", NULL };

  self->listener = aqmp_client_listen (self->client, names, NULL, NULL, NULL);
  aqmp_event_listener_next_async (self->listener, NULL, on_event, self);
  /* Nobody waits for their replies: what counts is what they bring about. */
  aqmp_client_execute_async (self->client, "cont", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, NULL, NULL);
  aqmp_client_execute_async (self->client, "stop", NULL, AQMP_EXECUTE_FLAGS_NONE, NULL, NULL, NULL);
}

static void
on_cancelled (GObject *client, GAsyncResult *result, gpointer user_data)
{
  static const Command status[] = {
    { "query-status", NULL, print_status },
    { NULL }
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  g_print ("cancelled: %s\n", g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? "yes" : "no");
  execute_commands (user_data, status);
}

static void
cancel (Scenario *self)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  aqmp_client_execute_async (self->client, "query-name", NULL, AQMP_EXECUTE_FLAGS_NONE, cancellable, on_cancelled, self);
  g_cancellable_cancel (cancellable);
}

static void
on_disconnected (GObject *client, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  aqmp_protocol_disconnect_finish (AQMP_PROTOCOL (client), result, &error);
  check (error);
  next (user_data);
}

static void
disconnect (Scenario *self)
{
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (self->client), NULL, on_disconnected, self);
}

static void
connect_to_storage_daemon (Scenario *self)
{
  print_runstate (self, "disconnected");
  g_clear_object (&self->client);
  connect_to (self, "storage", self->storage_daemon);
}

static void
begin_job (Scenario *self)
{
  static const Command commands[] = {
    { "blockdev-add", "{\"node-name\": \"from\", \"driver\": \"null-co\", \"size\": 1048576, \"read-zeroes\": true}", NULL },
    { "blockdev-add", "{\"node-name\": \"to\", \"driver\": \"null-co\", \"size\": 1048576, \"read-zeroes\": true}", NULL },
    { "blockdev-backup", "{\"job-id\": \"copy0\", \"device\": \"from\", \"target\": \"to\", \"sync\": \"full\"}", NULL },
    { NULL }
  };

  print_runstate (self, "storage daemon");
  /* Before it begins, so that nothing of it is missed. */
  self->job = aqmp_job_new (self->client, "copy0");
  execute_commands (self, commands);
}

static void
on_job_refreshed (GObject *job, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  aqmp_job_refresh_finish (AQMP_JOB (job), result, &error);
  check (error);
  g_print ("job: %s %s\n", aqmp_job_get_id (AQMP_JOB (job)), aqmp_job_get_job_type (AQMP_JOB (job)));
  next (user_data);
}

static void
refresh_job (Scenario *self)
{
  aqmp_job_refresh_async (self->job, NULL, on_job_refreshed, self);
}

static void
on_job_ended (GObject *job, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  aqmp_job_run_finish (AQMP_JOB (job), result, &error);
  check (error);
  g_print ("job: %s, %.0f %%\n", aqmp_job_get_status (AQMP_JOB (job)), 100 * aqmp_job_get_progress (AQMP_JOB (job)));
  next (user_data);
}

static void
run_job (Scenario *self)
{
  aqmp_job_run_async (self->job, NULL, on_job_ended, self);
}

static void
end (Scenario *self)
{
  print_runstate (self, "storage daemon");
  g_main_loop_quit (self->loop);
}

static const Step steps[] = {
  connect_to_qemu, greeting, commands, in_flight, events, cancel, disconnect,
  connect_to_storage_daemon, begin_job, refresh_job, run_job, disconnect, end
};

int
main (int argc, char **argv)
{
  Scenario self = { .step = steps };

  if (argc != 3)
    errx (EXIT_FAILURE, "%s QEMU STORAGE_DAEMON", argv[0]);
  self.qemu = argv[1];
  self.storage_daemon = argv[2];
  self.loop = g_main_loop_new (NULL, FALSE);
  next (&self);
  g_main_loop_run (self.loop);

  g_object_unref (self.job);
  g_object_unref (self.client);
  g_main_loop_unref (self.loop);
  return EXIT_SUCCESS;
}
