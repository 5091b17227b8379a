/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The client that one writes without this library: GSocketClient, GDataInputStream, JsonBuilder and JsonGenerator, JsonParser,
 * a GTask for each call, a hash table of those that wait, a signal for events. Everything asynchronous; nothing that a
 * reviewer would frown at, and nothing done to be fast.
 */

#include "obvious.h"

#include <string.h>

struct _ObviousClient
{
  GObject parent_instance;

  GSocketConnection *connection;        /* (owned) (nullable) */
  GDataInputStream *input;              /* (owned) (nullable) */
  GHashTable *calls;                    /* (owned): id → (owned) GTask */
  GQueue to_write;                      /* (owned) GBytes */
  gboolean writes;
  guint64 last_id;
  GCancellable *reading;                /* (owned) */
};

G_DEFINE_FINAL_TYPE (ObviousClient, obvious_client, G_TYPE_OBJECT)

static guint event_signal;

static void read_next (ObviousClient *self);
static void write_next (ObviousClient *self);

static void
fail_calls (ObviousClient *self,
            const GError  *error)
{
  g_autoptr (GHashTable) calls = g_steal_pointer (&self->calls);
  GHashTableIter iter;
  gpointer task;

  self->calls = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  g_hash_table_iter_init (&iter, calls);
  while (g_hash_table_iter_next (&iter, NULL, &task))
    g_task_return_error (task, g_error_copy (error));
}

static void
handle_reply (ObviousClient *self,
              JsonObject    *reply)
{
  const char *id = json_object_get_string_member_with_default (reply, "id", "");
  g_autofree gpointer key = NULL;
  g_autoptr (GTask) task = NULL;

  if (!g_hash_table_steal_extended (self->calls, id, &key, (gpointer *) &task))
    return;

  if (json_object_has_member (reply, "error"))
    {
      JsonObject *error = json_object_get_object_member (reply, "error");

      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", json_object_get_string_member (error, "desc"));
      return;
    }
  g_task_return_pointer (task, json_object_dup_member (reply, "return"), (GDestroyNotify) json_node_unref);
}

static void
handle_line (ObviousClient *self,
             const char    *line,
             gsize          length)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonObject *message;

  if (!json_parser_load_from_data (parser, line, length, &error))
    {
      fail_calls (self, error);
      return;
    }

  message = json_node_get_object (json_parser_get_root (parser));
  if (json_object_has_member (message, "event"))
    g_signal_emit (self, event_signal, 0, json_object_get_string_member (message, "event"),
                   json_object_has_member (message, "data") ? json_object_get_object_member (message, "data") : NULL);
  else
    handle_reply (self, message);
}

static void
on_line (GObject      *stream,
         GAsyncResult *result,
         gpointer      user_data)
{
  g_autoptr (ObviousClient) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  gsize length;

  line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (stream), result, &length, &error);
  if (line == NULL)
    {
      if (error == NULL)
        error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The connection was closed");
      fail_calls (self, error);
      return;
    }

  handle_line (self, line, length);
  read_next (self);
}

static void
read_next (ObviousClient *self)
{
  g_data_input_stream_read_line_async (self->input, G_PRIORITY_DEFAULT, self->reading, on_line, g_object_ref (self));
}

static void
on_written (GObject      *stream,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (ObviousClient) self = user_data;
  g_autoptr (GError) error = NULL;

  g_bytes_unref (g_queue_pop_head (&self->to_write));
  self->writes = FALSE;
  if (!g_output_stream_write_all_finish (G_OUTPUT_STREAM (stream), result, NULL, &error))
    fail_calls (self, error);
  else
    write_next (self);
}

static void
write_next (ObviousClient *self)
{
  GBytes *bytes = g_queue_peek_head (&self->to_write);
  GOutputStream *stream;

  if (self->writes || bytes == NULL)
    return;

  self->writes = TRUE;
  stream = g_io_stream_get_output_stream (G_IO_STREAM (self->connection));
  g_output_stream_write_all_async (stream, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), G_PRIORITY_DEFAULT, NULL,
                                   on_written, g_object_ref (self));
}

static GBytes *
build_command (const char *command,
               JsonObject *arguments,
               const char *id)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  char *text;
  gsize length;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "execute");
  json_builder_add_string_value (builder, command);
  if (arguments != NULL)
    {
      JsonNode *node = json_node_new (JSON_NODE_OBJECT);

      json_node_set_object (node, arguments);
      json_builder_set_member_name (builder, "arguments");
      json_builder_add_value (builder, node);
    }
  json_builder_set_member_name (builder, "id");
  json_builder_add_string_value (builder, id);
  json_builder_end_object (builder);

  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  text = json_generator_to_data (generator, &length);
  return g_bytes_new_take (text, length);
}

void
obvious_client_execute_async (ObviousClient       *self,
                              const char          *command,
                              JsonObject          *arguments,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);
  char *id = g_strdup_printf ("obvious-%" G_GUINT64_FORMAT, ++self->last_id);

  g_task_set_source_tag (task, obvious_client_execute_async);
  g_queue_push_tail (&self->to_write, build_command (command, arguments, id));
  g_hash_table_insert (self->calls, id, task);
  write_next (self);
}

JsonNode *
obvious_client_execute_finish (ObviousClient  *self,
                               GAsyncResult   *result,
                               GError        **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_negotiated (GObject      *client,
               GAsyncResult *result,
               gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (JsonNode) reply = obvious_client_execute_finish (OBVIOUS_CLIENT (client), result, &error);

  if (reply == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static void
on_greeting (GObject      *stream,
             GAsyncResult *result,
             gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  ObviousClient *self = g_task_get_source_object (task);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *line = NULL;
  GError *error = NULL;
  gsize length;

  line = g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (stream), result, &length, &error);
  if (line == NULL || !json_parser_load_from_data (parser, line, length, &error))
    {
      if (error == NULL)
        error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The connection was closed");
      g_task_return_error (task, error);
      return;
    }

  read_next (self);
  obvious_client_execute_async (self, "qmp_capabilities", NULL, on_negotiated, g_steal_pointer (&task));
}

static void
on_connected (GObject      *socket_client,
              GAsyncResult *result,
              gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  ObviousClient *self = g_task_get_source_object (task);
  GError *error = NULL;

  self->connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (socket_client), result, &error);
  if (self->connection == NULL)
    {
      g_task_return_error (task, error);
      return;
    }

  self->input = g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (self->connection)));
  g_data_input_stream_set_newline_type (self->input, G_DATA_STREAM_NEWLINE_TYPE_CR_LF);
  g_data_input_stream_read_line_async (self->input, G_PRIORITY_DEFAULT, NULL, on_greeting, g_steal_pointer (&task));
}

void
obvious_client_connect_async (ObviousClient       *self,
                              GSocketConnectable  *address,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  g_autoptr (GSocketClient) socket_client = g_socket_client_new ();
  GTask *task = g_task_new (self, NULL, callback, user_data);

  g_task_set_source_tag (task, obvious_client_connect_async);
  g_socket_client_connect_async (socket_client, address, NULL, on_connected, task);
}

gboolean
obvious_client_connect_finish (ObviousClient  *self,
                               GAsyncResult   *result,
                               GError        **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
on_closed (GObject      *connection,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;

  if (g_io_stream_close_finish (G_IO_STREAM (connection), result, NULL))
    g_task_return_boolean (task, TRUE);
}

void
obvious_client_disconnect_async (ObviousClient       *self,
                                 GAsyncReadyCallback  callback,
                                 gpointer             user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);

  g_task_set_source_tag (task, obvious_client_disconnect_async);
  g_cancellable_cancel (self->reading);
  g_io_stream_close_async (G_IO_STREAM (self->connection), G_PRIORITY_DEFAULT, NULL, on_closed, task);
}

gboolean
obvious_client_disconnect_finish (ObviousClient  *self,
                                  GAsyncResult   *result,
                                  GError        **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
obvious_client_finalize (GObject *object)
{
  ObviousClient *self = OBVIOUS_CLIENT (object);

  g_clear_object (&self->input);
  g_clear_object (&self->connection);
  g_clear_object (&self->reading);
  g_hash_table_unref (self->calls);
  g_queue_clear_full (&self->to_write, (GDestroyNotify) g_bytes_unref);
  G_OBJECT_CLASS (obvious_client_parent_class)->finalize (object);
}

static void
obvious_client_class_init (ObviousClientClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = obvious_client_finalize;
  event_signal = g_signal_new ("event", OBVIOUS_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                               G_TYPE_NONE, 2, G_TYPE_STRING, JSON_TYPE_OBJECT);
}

static void
obvious_client_init (ObviousClient *self)
{
  self->calls = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  g_queue_init (&self->to_write);
  self->reading = g_cancellable_new ();
}

ObviousClient *
obvious_client_new (void)
{
  return g_object_new (OBVIOUS_TYPE_CLIENT, NULL);
}
