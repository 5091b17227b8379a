/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "line-protocol.h"

#include <string.h>

#include "util.h"

G_DEFINE_QUARK (line-error-quark, line_error)

static const char * const slot_names[LINE_N_SLOTS] = {
  "establish_session", "message_received", "filter_inbound", "filter_outbound", "frame", "session_ended",
  "runstate_changed", "event",
};

const char *
line_runstate_name (AqmpRunstate runstate)
{
  static const char * const names[] = { "idle", "connecting", "running", "disconnecting" };

  g_assert_cmpuint (runstate, <, G_N_ELEMENTS (names));
  return names[runstate];
}

/* ---- the trace --------------------------------------------------------------------------------------------------- */

struct _LineTrace
{
  GMutex     lock;
  GPtrArray *records;   /* (owned) (element-type LineRecord) */
  guint      n_frame;
};

static void
record_free (gpointer data)
{
  LineRecord *record = data;

  g_free (record->what);
  g_free (record);
}

static LineTrace *
line_trace_new (void)
{
  LineTrace *trace = g_atomic_rc_box_new0 (LineTrace);

  g_mutex_init (&trace->lock);
  trace->records = g_ptr_array_new_with_free_func (record_free);
  return trace;
}

LineTrace *
line_trace_ref (LineTrace *trace)
{
  return g_atomic_rc_box_acquire (trace);
}

static void
trace_destroy (gpointer data)
{
  LineTrace *trace = data;

  g_ptr_array_unref (trace->records);
  g_mutex_clear (&trace->lock);
}

void
line_trace_unref (LineTrace *trace)
{
  g_atomic_rc_box_release_full (trace, trace_destroy);
}

static void
trace_add (LineTrace    *trace,
           LineSlot      slot,
           AqmpRunstate  runstate,
           const char   *what)
{
  LineRecord *record = g_new0 (LineRecord, 1);
  GSource *source = g_main_current_source ();

  record->what = g_strdup (what);
  record->slot = slot;
  record->runstate = runstate;
  record->thread = g_thread_self ();
  record->context = source != NULL ? g_source_get_context (source) : NULL;
  record->depth = g_main_depth ();

  g_mutex_lock (&trace->lock);
  g_ptr_array_add (trace->records, record);
  g_mutex_unlock (&trace->lock);
}

void
line_trace_add (LineTrace  *trace,
                const char *what)
{
  trace_add (trace, LINE_N_SLOTS, AQMP_RUNSTATE_IDLE, what);
}

void
line_trace_clear (LineTrace *trace)
{
  g_mutex_lock (&trace->lock);
  g_ptr_array_set_size (trace->records, 0);
  g_mutex_unlock (&trace->lock);
}

guint
line_trace_get_length (LineTrace *trace)
{
  guint length;

  g_mutex_lock (&trace->lock);
  length = trace->records->len;
  g_mutex_unlock (&trace->lock);

  return length;
}

guint
line_trace_count (LineTrace  *trace,
                  const char *what)
{
  guint count = 0;
  guint i;

  g_mutex_lock (&trace->lock);
  for (i = 0; i < trace->records->len; i++)
    count += g_str_equal (((LineRecord *) g_ptr_array_index (trace->records, i))->what, what);
  g_mutex_unlock (&trace->lock);

  return count;
}

const LineRecord *
line_trace_get (LineTrace *trace,
                guint      number)
{
  const LineRecord *record;

  g_mutex_lock (&trace->lock);
  g_assert_cmpuint (number, <, trace->records->len);
  record = g_ptr_array_index (trace->records, number);
  g_mutex_unlock (&trace->lock);

  return record;
}

const LineRecord *
line_trace_find (LineTrace  *trace,
                 const char *what)
{
  const LineRecord *record = NULL;
  guint i;

  for (i = 0; i < line_trace_get_length (trace) && record == NULL; i++)
    {
      const LineRecord *candidate = line_trace_get (trace, i);

      if (g_str_equal (candidate->what, what))
        record = candidate;
    }

  if (record == NULL)
    g_error ("the trace has no “%s”", what);
  return record;
}

char *
line_trace_dup (LineTrace *trace)
{
  GString *text = g_string_new (NULL);
  guint i;

  g_mutex_lock (&trace->lock);
  for (i = 0; i < trace->records->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "",
                            ((LineRecord *) g_ptr_array_index (trace->records, i))->what);
  g_mutex_unlock (&trace->lock);

  return g_string_free (text, FALSE);
}

guint
line_trace_get_n_frame (LineTrace *trace)
{
  guint n_frame;

  g_mutex_lock (&trace->lock);
  n_frame = trace->n_frame;
  g_mutex_unlock (&trace->lock);

  return n_frame;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

typedef struct
{
  char       *trigger;   /* (owned) (nullable) */
  LineDeed    deed;
  gpointer    data;
  LineResult  result;
} Rule;

typedef struct
{
  LineTrace *trace;      /* (owned) */
  Rule       rules[LINE_N_SLOTS];
  GTask     *task;       /* (owned) (nullable): kept */
} LineProtocolPrivate;

G_DEFINE_TYPE_WITH_PRIVATE (LineProtocol, line_protocol, AQMP_TYPE_PROTOCOL)

static LineProtocolPrivate *
get_private (gpointer self)
{
  return line_protocol_get_instance_private (LINE_PROTOCOL (self));
}

/* What to return; the deed is done. Keeps the object until then: the deed may drop the last reference of the test. */
static LineResult
obey (gpointer    self,
      LineSlot    slot,
      const char *text)
{
  const Rule *rule = &get_private (self)->rules[slot];
  LineResult result = rule->result;

  if (rule->trigger != NULL && g_strcmp0 (rule->trigger, text) != 0)
    return LINE_CHAIN_UP;
  if (rule->deed != NULL)
    rule->deed (LINE_PROTOCOL (self), rule->data);

  return result;
}

static void
record_call (gpointer    self,
             LineSlot    slot,
             const char *format,
             const char *text)
{
  g_autofree char *what = g_strconcat (format, text != NULL ? "(" : NULL, text, ")", NULL);

  trace_add (get_private (self)->trace, slot, aqmp_protocol_get_runstate (self), what);
}

static char *
dup_line (GBytes *message)
{
  gsize length;
  const char *text = g_bytes_get_data (message, &length);
  char *line = g_strndup (length > 0 ? text : "", length);

  return g_strchomp (line);
}

static void
set_error (LineSlot   slot,
           GError   **error)
{
  g_set_error (error, LINE_ERROR, slot, "%s raised", slot_names[slot]);
}

/* ---- what every line protocol implements ------------------------------------------------------------------------- */

static void
hello_came (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GBytes) message = NULL;
  g_autofree char *line = NULL;
  GError *error = NULL;

  message = aqmp_protocol_read_message_finish (AQMP_PROTOCOL (source), result, &error);
  if (message == NULL)
    {
      g_task_return_error (task, error);
      return;
    }

  line = dup_line (message);
  if (g_str_equal (line, "hello"))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_new_error (task, LINE_ERROR, LINE_ESTABLISH_SESSION, "“%s” is no greeting", line);
}

static void
hi_written (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (!aqmp_protocol_write_message_finish (AQMP_PROTOCOL (source), result, &error))
    g_task_return_error (task, error);
  else
    aqmp_protocol_read_message_async (AQMP_PROTOCOL (source), NULL, hello_came, g_object_ref (task));
}

static void
shake_hands (AqmpProtocol *self,
             GTask        *task)
{
  g_autoptr (GBytes) hi = g_bytes_new_static ("hi\n", 3);

  aqmp_protocol_write_message_async (self, hi, NULL, hi_written, g_object_ref (task));
}

static gboolean
line_establish_session (AqmpProtocol  *self,
                        GTask         *task,
                        GError       **error)
{
  LineResult result;

  record_call (self, LINE_ESTABLISH_SESSION, "establish", NULL);
  result = obey (self, LINE_ESTABLISH_SESSION, NULL);

  switch (result)
    {
    case LINE_RAISE:
      set_error (LINE_ESTABLISH_SESSION, error);
      return FALSE;
    case LINE_NOTHING:
      return FALSE;
    case LINE_HANDSHAKE:
      shake_hands (self, task);
      return TRUE;
    case LINE_KEEP_TASK:
      g_set_object (&get_private (self)->task, task);
      return TRUE;
    case LINE_DROP_TASK:
      return TRUE;
    case LINE_RETURN_TWICE:
      g_task_return_boolean (task, TRUE);
      g_task_return_boolean (task, FALSE);
      return TRUE;
    case LINE_RETURN_ERROR:
      g_task_return_new_error (task, LINE_ERROR, LINE_ESTABLISH_SESSION, "establish_session raised");
      return TRUE;
    case LINE_RETURN_FALSE:
      g_task_return_boolean (task, FALSE);
      return TRUE;
    case LINE_RETURN_AND_RAISE:
      g_task_return_boolean (task, TRUE);
      set_error (LINE_ESTABLISH_SESSION, error);
      return FALSE;
    default:
      return AQMP_PROTOCOL_CLASS (line_protocol_parent_class)->establish_session (self, task, error);
    }
}

static gboolean
line_message_received (AqmpProtocol  *self,
                       GBytes        *message,
                       GError       **error)
{
  g_autofree char *line = dup_line (message);

  record_call (self, LINE_MESSAGE_RECEIVED, "receive", line);

  switch ((int) obey (self, LINE_MESSAGE_RECEIVED, line))
    {
    case LINE_RAISE:
      set_error (LINE_MESSAGE_RECEIVED, error);
      return FALSE;
    case LINE_NOTHING:
      return FALSE;
    case LINE_TAKE:
      return TRUE;
    default:
      return AQMP_PROTOCOL_CLASS (line_protocol_parent_class)->message_received (self, message, error);
    }
}

static void
line_session_ended (AqmpProtocol *self,
                    const GError *cause)
{
  record_call (self, LINE_SESSION_ENDED, "ended", cause == NULL ? "clean" : "failed");
  obey (self, LINE_SESSION_ENDED, NULL);
  AQMP_PROTOCOL_CLASS (line_protocol_parent_class)->session_ended (self, cause);
}

static void
line_runstate_changed (AqmpProtocol *self,
                       AqmpRunstate  runstate)
{
  trace_add (get_private (self)->trace, LINE_RUNSTATE_CHANGED, aqmp_protocol_get_runstate (self),
             line_runstate_name (runstate));
  obey (self, LINE_RUNSTATE_CHANGED, line_runstate_name (runstate));
  AQMP_PROTOCOL_CLASS (line_protocol_parent_class)->runstate_changed (self, runstate);
}

static void
line_event (AqmpProtocol *self,
            AqmpEvent    *event)
{
  record_call (self, LINE_EVENT, "event", aqmp_event_get_name (event));
  obey (self, LINE_EVENT, aqmp_event_get_name (event));
  AQMP_PROTOCOL_CLASS (line_protocol_parent_class)->event (self, event);
}

static void
line_protocol_finalize (GObject *object)
{
  LineProtocolPrivate *priv = get_private (object);
  guint i;

  for (i = 0; i < LINE_N_SLOTS; i++)
    g_free (priv->rules[i].trigger);
  g_clear_object (&priv->task);
  line_trace_unref (priv->trace);

  G_OBJECT_CLASS (line_protocol_parent_class)->finalize (object);
}

static void
line_protocol_class_init (LineProtocolClass *klass)
{
  AqmpProtocolClass *protocol_class = AQMP_PROTOCOL_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = line_protocol_finalize;
  protocol_class->establish_session = line_establish_session;
  protocol_class->message_received = line_message_received;
  protocol_class->session_ended = line_session_ended;
  protocol_class->runstate_changed = line_runstate_changed;
  protocol_class->event = line_event;
}

static void
line_protocol_init (LineProtocol *self)
{
  get_private (self)->trace = line_trace_new ();
}

/* ---- the one with filters and framing of its own ----------------------------------------------------------------- */

typedef LineProtocol LineFull;
typedef LineProtocolClass LineFullClass;

static GType line_full_get_type (void);

G_DEFINE_TYPE (LineFull, line_full, LINE_TYPE_PROTOCOL)

static GBytes *
replace (GBytes *message)
{
  GString *text = g_string_new ("new-");
  gsize length;
  const char *data = g_bytes_get_data (message, &length);

  g_string_append_len (text, data, length);
  return g_string_free_to_bytes (text);
}

static GBytes *
filter (LineSlot       slot,
        const char    *what,
        AqmpProtocol  *self,
        GBytes        *message,
        gboolean      *chain_up,
        GError       **error)
{
  g_autofree char *line = dup_line (message);

  *chain_up = FALSE;
  record_call (self, slot, what, line);

  switch ((int) obey (self, slot, line))
    {
    case LINE_RAISE:
      set_error (slot, error);
      return NULL;
    case LINE_NOTHING:
      return NULL;
    case LINE_REPLACE:
      return replace (message);
    default:
      *chain_up = TRUE;
      return NULL;
    }
}

static GBytes *
full_filter_inbound (AqmpProtocol  *self,
                     GBytes        *message,
                     GError       **error)
{
  gboolean chain_up;
  GBytes *filtered = filter (LINE_FILTER_INBOUND, "in", self, message, &chain_up, error);

  return chain_up ? AQMP_PROTOCOL_CLASS (line_full_parent_class)->filter_inbound (self, message, error) : filtered;
}

static GBytes *
full_filter_outbound (AqmpProtocol  *self,
                      GBytes        *message,
                      GError       **error)
{
  gboolean chain_up;
  GBytes *filtered = filter (LINE_FILTER_OUTBOUND, "out", self, message, &chain_up, error);

  return chain_up ? AQMP_PROTOCOL_CLASS (line_full_parent_class)->filter_outbound (self, message, error) : filtered;
}

static gssize
frame_semicolons (const guint8 *data,
                  gsize         length,
                  gsize        *payload_length)
{
  const guint8 *end = memchr (data, ';', length);

  if (end == NULL)
    return 0;
  *payload_length = end - data;
  /* Nothing between two of them is no message. */
  if (*payload_length == 0)
    *payload_length = AQMP_PROTOCOL_NO_MESSAGE;
  return end - data + 1;
}

static gssize
full_frame (AqmpProtocol  *self,
            const guint8  *data,
            gsize          length,
            gsize          scanned,
            gboolean       at_eof,
            gsize         *payload_length,
            GError       **error)
{
  LineTrace *trace = get_private (self)->trace;

  g_mutex_lock (&trace->lock);
  trace->n_frame++;
  g_mutex_unlock (&trace->lock);

  switch ((int) obey (self, LINE_FRAME, NULL))
    {
    case LINE_RAISE:
      set_error (LINE_FRAME, error);
      return -1;
    case LINE_NOTHING:
      return -1;
    case LINE_OVERRUN:
      *payload_length = 0;
      return length + 1;
    case LINE_REPLACE:
      return frame_semicolons (data, length, payload_length);
    default:
      return AQMP_PROTOCOL_CLASS (line_full_parent_class)->frame (self, data, length, scanned, at_eof, payload_length,
                                                                  error);
    }
}

static void
line_full_class_init (LineFullClass *klass)
{
  AqmpProtocolClass *protocol_class = AQMP_PROTOCOL_CLASS (klass);

  protocol_class->filter_inbound = full_filter_inbound;
  protocol_class->filter_outbound = full_filter_outbound;
  protocol_class->frame = full_frame;
}

static void
line_full_init (LineFull *self)
{
}

/* ---- the one that implements nothing ----------------------------------------------------------------------------- */

typedef AqmpProtocol LineBare;
typedef AqmpProtocolClass LineBareClass;

G_DEFINE_TYPE (LineBare, line_bare, AQMP_TYPE_PROTOCOL)

static void
line_bare_class_init (LineBareClass *klass)
{
}

static void
line_bare_init (LineBare *self)
{
}

/* ---- for the tests ----------------------------------------------------------------------------------------------- */

LineProtocol *
line_protocol_new (void)
{
  return g_object_new (line_full_get_type (), NULL);
}

LineProtocol *
line_protocol_new_plain (void)
{
  return g_object_new (LINE_TYPE_PROTOCOL, NULL);
}

void
line_protocol_when (LineProtocol *self,
                    LineSlot      slot,
                    const char   *trigger,
                    LineDeed      deed,
                    gpointer      data,
                    LineResult    result)
{
  Rule *rule = &get_private (self)->rules[slot];

  g_free (rule->trigger);
  rule->trigger = g_strdup (trigger);
  rule->deed = deed;
  rule->data = data;
  rule->result = result;
}

void
line_protocol_set (LineProtocol *self,
                   LineSlot      slot,
                   LineResult    result)
{
  line_protocol_when (self, slot, NULL, NULL, NULL, result);
}

GTask *
line_protocol_steal_task (LineProtocol *self)
{
  g_assert_nonnull (get_private (self)->task);
  return g_steal_pointer (&get_private (self)->task);
}

LineTrace *
line_protocol_get_trace (LineProtocol *self)
{
  return get_private (self)->trace;
}

void
line_protocol_send (LineProtocol *self,
                    const char   *line)
{
  g_autofree char *text = g_strconcat (line, "\n", NULL);
  g_autoptr (GBytes) message = g_bytes_new (text, strlen (text));
  g_autoptr (GError) error = NULL;

  aqmp_protocol_send_message (AQMP_PROTOCOL (self), message, &error);
  g_assert_no_error (error);
}

/* ---- deeds ------------------------------------------------------------------------------------------------------- */

void
line_disconnect (LineProtocol *self,
                 gpointer      slot)
{
  aqmp_protocol_disconnect_async (AQMP_PROTOCOL (self), NULL, slot != NULL ? test_slot_callback : NULL, slot);
}

void
line_fail (LineProtocol *self,
           gpointer      unused)
{
  g_autoptr (GError) error = g_error_new_literal (LINE_ERROR, 99, "deed");

  aqmp_protocol_fail (AQMP_PROTOCOL (self), error);
}

void
line_drop_reference (LineProtocol *self,
                     gpointer      reference)
{
  g_clear_object ((LineProtocol **) reference);
}

void
line_run_dispose (LineProtocol *self,
                  gpointer      unused)
{
  g_object_run_dispose (G_OBJECT (self));
}

void
line_run_loop (LineProtocol *self,
               gpointer      unused)
{
  test_dispatch_pending ();
}

void
line_disconnect_and_run (LineProtocol *self,
                         gpointer      unused)
{
  line_disconnect (self, NULL);
  test_wait_until (aqmp_protocol_get_runstate (AQMP_PROTOCOL (self)) == AQMP_RUNSTATE_IDLE);
}
