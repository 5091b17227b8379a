/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "server-texts.h"

typedef void (*AppendEntry) (GString *text,
                             guint    i);

static void
append_schema_object (GString *text,
                      guint    i)
{
  g_string_append_printf (text,
                          "{\"name\": \"%u\", \"members\": [{\"name\": \"device\", \"type\": \"str\"}, "
                          "{\"name\": \"speed\", \"default\": null, \"type\": \"int\"}, "
                          "{\"name\": \"on-error\", \"default\": null, \"type\": \"%u\"}, "
                          "{\"name\": \"auto-finalize\", \"type\": \"bool\"}], \"meta-type\": \"object\"}",
                          i, i + 1);
}

static void
append_schema_enum (GString *text,
                    guint    i)
{
  g_string_append_printf (text,
                          "{\"name\": \"%u\", \"members\": [{\"name\": \"none\"}, {\"name\": \"guest-reset\"}, "
                          "{\"name\": \"host-ui\"}, {\"name\": \"pause\"}], \"meta-type\": \"enum\", "
                          "\"values\": [\"none\", \"guest-reset\", \"host-ui\", \"pause\"]}",
                          i);
}

static void
append_schema_command (GString *text,
                       guint    i)
{
  g_string_append_printf (text,
                          "{\"name\": \"query-block-%u\", \"ret-type\": \"[%u]\", \"meta-type\": \"command\", "
                          "\"arg-type\": \"%u\"}",
                          i, i + 1, i + 2);
}

static void
append_schema_entry (GString *text,
                     guint    i)
{
  switch (i % 8)
    {
    case 1:
    case 5:
      append_schema_command (text, i);
      break;

    case 3:
      append_schema_enum (text, i);
      break;

    default:
      append_schema_object (text, i);
      break;
    }
}

static void
append_text_entry (GString *text,
                   guint    i)
{
  g_string_append_printf (text,
                          "{\"имя\": \"объект-%u\", \"メンバー\": [{\"名前\": \"装置\", \"型\": \"文字列\"}, "
                          "{\"имя\": \"скорость\", \"Größe\": null, \"тип\": \"число-€\"}, "
                          "{\"имя\": \"при-ошибке\", \"Größe\": null, \"тип\": \"🙂%u\"}, "
                          "{\"名前\": \"自動終了\", \"型\": \"🚀真偽値\"}], \"вид\": \"предмет\"}",
                          i, i + 1);
}

/* The last member is a string that fills up what is left. */
static GString *
make_array (gsize       size,
            AppendEntry append_entry)
{
  GString *text = g_string_sized_new (size + 1024);
  gsize whole = 1;
  guint i = 0;

  g_string_append_c (text, '[');
  while (text->len + 4 <= size)
    {
      whole = text->len;
      append_entry (text, i++);
      g_string_append (text, ", ");
    }

  if (size < 5)
    {
      g_string_assign (text, "[]");
      return text;
    }
  g_string_truncate (text, whole);
  g_string_append_c (text, '"');
  while (text->len + 2 < size)
    g_string_append_c (text, 'x');
  g_string_append (text, "\"]");

  return text;
}

static GString *
make_events (const char *data)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < TEXTS_N_EVENTS; i++)
    g_string_append_printf (text,
                            "{\"timestamp\": {\"seconds\": 1600000000, \"microseconds\": %u}, "
                            "\"event\": \"RTC_CHANGE\"%s}\r\n",
                            100000 + i, data);

  return text;
}

static void
free_text (gpointer text)
{
  g_string_free (text, TRUE);
}

void
texts_init (Texts *self)
{
  self->schema = make_array (TEXTS_SCHEMA_SIZE, append_schema_entry);
  self->text = make_array (TEXTS_SCHEMA_SIZE, append_text_entry);
  self->events = make_events ("");
  self->data_events = make_events (", \"data\": {\"offset\": 78, \"qom-path\": \"/machine/rtc\"}");
  self->sized = g_hash_table_new_full (NULL, NULL, NULL, free_text);
}

const GString *
texts_sized (Texts *self,
             gsize  size)
{
  GString *text = g_hash_table_lookup (self->sized, GSIZE_TO_POINTER (size));

  if (text == NULL)
    {
      text = make_array (size, append_schema_entry);
      g_hash_table_insert (self->sized, GSIZE_TO_POINTER (size), text);
    }

  return text;
}
