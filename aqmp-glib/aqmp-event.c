/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-event.h"
#include "aqmp-event-private.h"

#include <string.h>

#include "aqmp-spare-private.h"

/**
 * AqmpEvent:
 *
 * Something that happened on the server's side, and that it told without being asked.
 *
 * An event has a [property@Event:name], `SHUTDOWN` for instance, possibly [property@Event:data] of its own, and the
 * time at which it happened by the server's clock. [method@Event.to_bytes] has the whole of it exactly as it came.
 *
 * Events usually come from [signal@Protocol::event]; [ctor@Event.new] makes them for tests
 * and for subclasses of [class@Protocol].
 *
 * An event never changes, and may be used from any thread. One thing is to be minded: the references on a
 * [struct@Json.Object] are not counted atomically. Threads may read the data of one event at the same time, but may
 * not take or drop references on it at the same time, which language bindings do when they get it; such threads take
 * [method@Event.to_bytes].
 *
 * Since: 1.0
 */
struct _AqmpEvent
{
  GObject parent_instance;

  char         *name;      /* (nullable): NULL stands for ""; owned, if it is not @usual_name */
  char          usual_name[32];
  gint64        timestamp; /* of one made here: µs since the epoch, -1: unknown */
  GBytes       *text;      /* (owned) (nullable): JSON that has the data in it: the message as it came, or made here */
  AqmpJsonSpan  span;      /* of the data in the text; start == end: there is none */
  AqmpJsonSpan  time_span; /* likewise of the timestamp, from the wire */
  gboolean      from_wire; /* the text is the whole message */

  JsonObject   *tree;      /* (owned) (nullable), sealed; atomic: made when somebody asks, and then never changed */
};

G_DEFINE_FINAL_TYPE (AqmpEvent, aqmp_event, G_TYPE_OBJECT)

typedef enum
{
  PROP_NAME = 1,
  PROP_TIMESTAMP,
  PROP_DATA,
} AqmpEventProperty;

static GParamSpec *properties[PROP_DATA + 1];

/* The data as text is its own deep copy, and shows at once whether it can be told in JSON at all. The caller's object is
   neither kept nor changed. */
static void
aqmp_event_take_over_data (AqmpEvent  *self,
                           JsonObject *data)
{
  static const char * const names[] = { "data", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new ("{\"data\":");
  AqmpJsonScan scan;

  if (!aqmp_json_append_object (text, data, &error))
    {
      g_critical ("The data of event “%s” is left out: %s", aqmp_event_get_name (self), error->message);
      return;
    }

  /* What is just too deep once it is inside the event would make a message that nobody can read. */
  g_string_append_c (text, '}');
  if (!aqmp_json_validate (&scan, names, (const guint8 *) text->str, text->len, &error))
    {
      g_critical ("The data of event “%s” is left out: %s", aqmp_event_get_name (self), error->message);
      return;
    }

  self->span = scan.members[0];
  self->text = g_string_free_to_bytes (g_steal_pointer (&text));
}

static void
aqmp_event_get_property (GObject    *object,
                         guint       property_id,
                         GValue     *value,
                         GParamSpec *pspec)
{
  AqmpEvent *self = AQMP_EVENT (object);

  switch ((AqmpEventProperty) property_id)
    {
    case PROP_NAME:
      g_value_set_string (value, aqmp_event_get_name (self));
      break;

    case PROP_TIMESTAMP:
      g_value_set_int64 (value, aqmp_event_get_timestamp (self));
      break;

    case PROP_DATA:
      g_value_set_boxed (value, aqmp_event_get_data (self));
      break;

    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_event_set_property (GObject      *object,
                         guint         property_id,
                         const GValue *value,
                         GParamSpec   *pspec)
{
  AqmpEvent *self = AQMP_EVENT (object);

  switch ((AqmpEventProperty) property_id)
    {
    case PROP_NAME:
      if (g_value_get_string (value) != NULL)
        self->name = g_utf8_make_valid (g_value_get_string (value), -1);
      break;

    case PROP_TIMESTAMP:
      self->timestamp = g_value_get_int64 (value);
      break;

    case PROP_DATA:
      if (g_value_get_boxed (value) != NULL)
        aqmp_event_take_over_data (self, g_value_get_boxed (value));
      break;

    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
clear (AqmpEvent *self)
{
  if (self->name != self->usual_name)
    g_free (self->name);
  g_clear_pointer (&self->text, g_bytes_unref);
  g_clear_pointer (&self->tree, json_object_unref);
}

static void
aqmp_event_finalize (GObject *object)
{
  clear (AQMP_EVENT (object));

  G_OBJECT_CLASS (aqmp_event_parent_class)->finalize (object);
}

static void
aqmp_event_class_init (AqmpEventClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags =
    G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->get_property = aqmp_event_get_property;
  object_class->set_property = aqmp_event_set_property;
  object_class->finalize = aqmp_event_finalize;

  /**
   * AqmpEvent:name: (getter get_name)
   *
   * The name of the event, `SHUTDOWN` for instance. Given to the constructor as %NULL or not at all, it is empty; bytes
   * in it that are not UTF-8 become U+FFFD.
   *
   * Since: 1.0
   */
  properties[PROP_NAME] =
    g_param_spec_string ("name", NULL, NULL, NULL, flags);

  /**
   * AqmpEvent:timestamp: (getter get_timestamp)
   *
   * When the event happened by the server's clock, in microseconds since the epoch (1970-01-01 UTC); -1 if the server
   * does not know it.
   *
   * Since: 1.0
   */
  properties[PROP_TIMESTAMP] =
    g_param_spec_int64 ("timestamp", NULL, NULL, -1, G_MAXINT64, -1, flags);

  /**
   * AqmpEvent:data: (getter get_data)
   *
   * What the server says about the event, or %NULL; see [method@Event.get_data].
   *
   * An object given to the constructor is copied: it is neither kept nor changed. What cannot be told in JSON (text
   * that is not UTF-8, a number that is not finite) is a mistake of the programmer: it is reported with a critical
   * message, and the event has no data.
   *
   * Since: 1.0
   */
  properties[PROP_DATA] =
    g_param_spec_boxed ("data", NULL, NULL, JSON_TYPE_OBJECT, flags);

  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);
}

static void
aqmp_event_init (AqmpEvent *self)
{
  self->timestamp = -1;
}

/**
 * aqmp_event_new:
 * @name: the name of the event, in UTF-8
 * @timestamp: when it happened, in microseconds since the epoch; -1 if that is not known
 * @data: (nullable) (transfer none): what there is to say about it; it is copied, neither kept nor changed
 *
 * Makes an event that did not come from a server.
 *
 * If @data holds what cannot be told in JSON (text that is not UTF-8, a number that is not finite), that is reported
 * with a critical message and the event has no data.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the event
 *
 * Since: 1.0
 */
AqmpEvent *
aqmp_event_new (const char *name,
                gint64      timestamp,
                JsonObject *data)
{
  g_return_val_if_fail (name != NULL && g_utf8_validate (name, -1, NULL), NULL);
  g_return_val_if_fail (timestamp >= -1, NULL);

  return g_object_new (AQMP_TYPE_EVENT,
                       "name", name,
                       "timestamp", timestamp,
                       "data", data,
                       NULL);
}

/* Those that a thread can do without, for what comes from messages. */
static _Thread_local AqmpSpare spare;

void
aqmp_event_let_go (AqmpEvent *self)
{
  if (!aqmp_spare_is_unknown (self))
    {
      g_object_unref (self);
      return;
    }

  clear (self);
  self->name = NULL;
  aqmp_spare_keep (&spare, self);
}

AqmpEvent *
aqmp_event_new_from_message (const char   *name,
                             GBytes       *message,
                             AqmpJsonSpan  timestamp,
                             AqmpJsonSpan  data)
{
  AqmpEvent *self;
  gsize name_size;

  g_return_val_if_fail (name != NULL, NULL);
  g_return_val_if_fail (message != NULL, NULL);
  g_return_val_if_fail (timestamp.start <= timestamp.end && timestamp.end <= g_bytes_get_size (message), NULL);
  g_return_val_if_fail (data.start <= data.end && data.end <= g_bytes_get_size (message), NULL);

  self = aqmp_spare_take (&spare, AQMP_TYPE_EVENT);
  name_size = strlen (name) + 1;
  self->name = name_size <= sizeof self->usual_name ? self->usual_name : g_malloc (name_size);
  memcpy (self->name, name, name_size);
  self->text = g_bytes_ref (message);
  self->span = data;
  self->time_span = timestamp;
  self->from_wire = TRUE;

  return self;
}

/**
 * aqmp_event_get_name: (get-property name)
 * @self: an event
 *
 * The name of the event.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none): the name, valid as long as @self
 *
 * Since: 1.0
 */
const char *
aqmp_event_get_name (AqmpEvent *self)
{
  g_return_val_if_fail (AQMP_IS_EVENT (self), NULL);

  return self->name != NULL ? self->name : "";
}

/**
 * aqmp_event_get_timestamp: (get-property timestamp)
 * @self: an event
 *
 * When the event happened by the server's clock, in microseconds since the epoch (1970-01-01 UTC), as
 * [func@GLib.get_real_time] counts.
 *
 * May be called from any thread.
 *
 * Returns: the time; -1 if the server does not know it, or sent none that could be understood
 *
 * Since: 1.0
 */
gint64
aqmp_event_get_timestamp (AqmpEvent *self)
{
  const guint8 *text;

  g_return_val_if_fail (AQMP_IS_EVENT (self), -1);

  if (!self->from_wire)
    return self->timestamp;

  text = g_bytes_get_data (self->text, NULL);
  return aqmp_event_parse_timestamp (text + self->time_span.start, self->time_span.end - self->time_span.start);
}

/* (transfer full) (nullable) */
static JsonObject *
build_tree (AqmpEvent *self)
{
  const guint8 *text = g_bytes_get_data (self->text, NULL);
  JsonObject *tree = aqmp_json_build_object (text + self->span.start, self->span.end - self->span.start, NULL);

  if (tree != NULL)
    json_object_seal (tree);
  return tree;
}

/**
 * aqmp_event_get_data: (get-property data)
 * @self: an event
 *
 * What the server says about the event.
 *
 * The object is sealed: [method@Json.Object.is_immutable] is true for it, and nothing in it can be changed. It is made
 * when it is asked for first, and is the same one every time. Integers that fit a `gint64` are exact; those beyond
 * become rounded `double`s.
 *
 * Data that a [struct@Json.Object] cannot hold, which is valid JSON all the same, is not to be had here: text with a
 * NUL character in it, numbers beyond a `double`, and data that is no object. [method@Event.to_bytes] has it exactly.
 *
 * May be called from any thread. The references on the object are not counted atomically, though: no two threads may
 * take or drop references on it at the same time, as [method@Json.Object.ref] does and language bindings do by
 * themselves.
 *
 * Returns: (transfer none) (nullable): the data, valid as long as @self; %NULL if there is none, or none that can be
 *   held
 *
 * Since: 1.0
 */
JsonObject *
aqmp_event_get_data (AqmpEvent *self)
{
  JsonObject *tree;

  g_return_val_if_fail (AQMP_IS_EVENT (self), NULL);

  tree = g_atomic_pointer_get (&self->tree);
  if (tree != NULL || self->span.start == self->span.end)
    return tree;

  /* Two threads may ask at the same time: both build, and the first one's is kept. */
  tree = build_tree (self);
  if (tree != NULL && !g_atomic_pointer_compare_and_exchange (&self->tree, NULL, tree))
    {
      json_object_unref (tree);
      tree = g_atomic_pointer_get (&self->tree);
    }

  return tree;
}

/**
 * aqmp_event_matches:
 * @self: an event
 * @subset: (nullable) (transfer none): what has to be in the data, or %NULL for any event
 *
 * Whether all that @subset says is said by the event's data, too.
 *
 * Each member of @subset has to be there with a value that matches: an object matches if it has the members that are asked
 * for, whatever others it has; an array if it has as many elements, and each matches; all else if it is equal. Numbers are equal
 * by value, so 1 is 1.0. An event without data matches only %NULL and an object without members.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if it matches
 *
 * Since: 1.0
 */
gboolean
aqmp_event_matches (AqmpEvent  *self,
                    JsonObject *subset)
{
  JsonObject *data;

  g_return_val_if_fail (AQMP_IS_EVENT (self), FALSE);

  if (subset == NULL || json_object_get_size (subset) == 0)
    return TRUE;

  data = aqmp_event_get_data (self);
  return data != NULL && aqmp_json_object_matches (data, subset);
}

/**
 * aqmp_event_to_bytes:
 * @self: an event
 *
 * The whole event as the JSON text of one object.
 *
 * For an event that a server sent these are the very bytes that came, after [vfunc@Protocol.filter_inbound]. For one
 * that was made here it is `{"event":NAME,"data":{…},"timestamp":{"seconds":S,"microseconds":U}}`, without `data` if
 * it has none and without `timestamp` if that is not known.
 *
 * There is no line ending, and no NUL byte behind the text that could be relied on.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): the text, in UTF-8
 *
 * Since: 1.0
 */
GBytes *
aqmp_event_to_bytes (AqmpEvent *self)
{
  g_autoptr (GString) text = NULL;

  g_return_val_if_fail (AQMP_IS_EVENT (self), NULL);

  if (self->from_wire)
    return g_bytes_ref (self->text);

  text = g_string_new ("{\"event\":");

  /* The name is valid UTF-8 since it was set: this does not fail. */
  if (!aqmp_json_append_string (text, aqmp_event_get_name (self), NULL))
    g_string_append (text, "\"\"");

  if (self->span.start != self->span.end)
    {
      const char *data = g_bytes_get_data (self->text, NULL);

      g_string_append (text, ",\"data\":");
      g_string_append_len (text, data + self->span.start, (gssize) (self->span.end - self->span.start));
    }

  if (self->timestamp >= 0)
    g_string_append_printf (text,
                            ",\"timestamp\":{\"seconds\":%" G_GINT64_FORMAT ",\"microseconds\":%" G_GINT64_FORMAT "}",
                            self->timestamp / G_USEC_PER_SEC,
                            self->timestamp % G_USEC_PER_SEC);

  g_string_append_c (text, '}');

  return g_string_free_to_bytes (g_steal_pointer (&text));
}

gint64
aqmp_event_parse_timestamp (const guint8 *data,
                            gsize         length)
{
  static const char * const names[] = { "seconds", "microseconds", NULL };
  AqmpJsonScan scan;
  AqmpJsonSpan seconds_span;
  AqmpJsonSpan microseconds_span;
  gint64 seconds;
  gint64 microseconds;

  if (length == 0 || data[0] != '{')
    return -1;

  if (!aqmp_json_validate (&scan, names, data, length, NULL))
    return -1;

  seconds_span = scan.members[0];
  microseconds_span = scan.members[1];

  /* An absent member has no length, and is no integer. */
  if (!aqmp_json_get_int64 (data + seconds_span.start, seconds_span.end - seconds_span.start, &seconds) ||
      !aqmp_json_get_int64 (data + microseconds_span.start, microseconds_span.end - microseconds_span.start, &microseconds))
    return -1;

  /* A server without a clock sends -1 for both: unknown, not the last second of 1969. */
  if (seconds < 0 || microseconds < 0)
    return -1;

  if (seconds > (G_MAXINT64 - microseconds) / G_USEC_PER_SEC)
    return -1;

  return seconds * G_USEC_PER_SEC + microseconds;
}
