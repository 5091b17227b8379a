/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The functions with which a test writes a script. */

#include "mock-server-private.h"

#include "mock-json.h"

#include <string.h>

/* A step is filled in between these two. */
static MockStep *
step_new (MockServer *mock,
          const char *name,
          MockStepFunc    func)
{
  MockStep *step = g_new0 (MockStep, 1);

  step->func = func;
  step->name = name;
  step->file = mock->here_file;
  step->line = mock->here_line;
  step->chunk_size = G_MAXSIZE / 2;

  return step;
}

static void
step_set_text (MockStep       *step,
               const void *bytes,
               gssize      length)
{
  step->length = length >= 0 ? (gsize) length : strlen (bytes);
  /* With a NUL behind it, whatever it is. */
  step->text = g_malloc (step->length + 1);
  memcpy (step->text, bytes, step->length);
  step->text[step->length] = '\0';
}

static void
step_append (MockServer *mock,
             MockStep       *step)
{
  g_mutex_lock (&mock->lock);
  step->number = ++mock->n_scripted;
  g_queue_push_tail (&mock->script, step);
  mock_notify (mock);
  g_mutex_unlock (&mock->lock);
}

static void
append_simple (MockServer *mock,
               const char *name,
               MockStepFunc    func)
{
  step_append (mock, step_new (mock, name, func));
}

/* Takes @text. */
static void
append_template (MockServer *mock,
                 const char *name,
                 char       *text)
{
  MockStep *step = step_new (mock, name, mock_run_send);

  step->text = text;
  step->length = strlen (text);
  step_append (mock, step);
}

void
(mock_accept) (MockServer *mock)
{
  append_simple (mock, "mock_accept", mock_run_accept);
}

void
(mock_close) (MockServer *mock)
{
  append_simple (mock, "mock_close", mock_run_close);
}

void
(mock_cut) (MockServer *mock)
{
  append_simple (mock, "mock_cut", mock_run_cut);
}

void
(mock_reset) (MockServer *mock)
{
  append_simple (mock, "mock_reset", mock_run_reset);
}

void
(mock_shutdown_write) (MockServer *mock)
{
  append_simple (mock, "mock_shutdown_write", mock_run_shutdown_write);
}

void
(mock_expect_no_tls) (MockServer *mock)
{
  append_simple (mock, "mock_expect_no_tls", mock_run_expect_no_tls);
}

void
(mock_drain_backlog) (MockServer *mock)
{
  append_simple (mock, "mock_drain_backlog", mock_run_drain_backlog);
}

static void
append_expect (MockServer *mock,
               const char *name,
               const char *pattern,
               guint       n_fds)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *text = mock_json_requote (pattern);
  MockStep *step = step_new (mock, name, mock_run_expect);

  step_set_text (step, text, -1);
  step->amount = n_fds;
  step->pattern = json_from_string (text, &error);
  if (step->pattern == NULL)
    g_error ("%s:%d: %s is no pattern: %s", mock->here_file, mock->here_line, pattern,
             error != NULL ? error->message : "it is empty");
  step_append (mock, step);
}

void
(mock_expect) (MockServer *mock,
               const char *pattern)
{
  append_expect (mock, "mock_expect", pattern, 0);
}

void
(mock_expect_with_fds) (MockServer *mock,
                        const char *pattern,
                        guint       n_fds)
{
  append_expect (mock, "mock_expect_with_fds", pattern, n_fds);
}

void
(mock_expect_text) (MockServer *mock,
                    const char *text)
{
  MockStep *step = step_new (mock, "mock_expect_text", mock_run_expect_text);

  step_set_text (step, text, -1);
  step_append (mock, step);
}

void
(mock_expect_bytes) (MockServer *mock,
                     const void *bytes,
                     gssize      length)
{
  MockStep *step = step_new (mock, "mock_expect_bytes", mock_run_expect_bytes);

  step_set_text (step, bytes, length);
  step_append (mock, step);
}

void
(mock_expect_eof) (MockServer *mock)
{
  append_simple (mock, "mock_expect_eof", mock_run_expect_eof);
}

void
(mock_expect_goodbye) (MockServer *mock)
{
  append_simple (mock, "mock_expect_goodbye", mock_run_expect_goodbye);
}

void
(mock_expect_gone) (MockServer *mock)
{
  append_simple (mock, "mock_expect_gone", mock_run_expect_gone);
}

void
(mock_expect_nothing) (MockServer *mock,
                       guint       milliseconds)
{
  MockStep *step = step_new (mock, "mock_expect_nothing", mock_run_expect_nothing);

  step->time = milliseconds;
  step_append (mock, step);
}

void
(mock_stop_reading) (MockServer *mock)
{
  append_simple (mock, "mock_stop_reading", mock_run_stop_reading);
}

void
(mock_send) (MockServer *mock,
             const char *text)
{
  append_template (mock, "mock_send", g_strdup (text));
}

void
(mock_send_split) (MockServer *mock,
                   const char *text,
                   gsize       chunk_size,
                   guint       delay_us)
{
  MockStep *step = step_new (mock, "mock_send_split", mock_run_send);

  g_assert_cmpuint (chunk_size, >, 0);
  step_set_text (step, text, -1);
  step->chunk_size = chunk_size;
  step->time = delay_us;
  step_append (mock, step);
}

void
(mock_send_bytes) (MockServer *mock,
                   const void *bytes,
                   gssize      length)
{
  MockStep *step = step_new (mock, "mock_send_bytes", mock_run_send_bytes);

  step_set_text (step, bytes, length);
  step_append (mock, step);
}

void
(mock_send_repeated) (MockServer *mock,
                      const char *text,
                      guint       count)
{
  MockStep *step = step_new (mock, "mock_send_repeated", mock_run_send_repeated);

  step_set_text (step, text, -1);
  step->amount = count;
  step_append (mock, step);
}

void
(mock_flood) (MockServer *mock,
              const void *bytes,
              gssize      length,
              guint64     limit)
{
  MockStep *step = step_new (mock, "mock_flood", mock_run_flood);

  step_set_text (step, bytes, length);
  g_assert_cmpuint (step->length, >, 0);
  step->amount = limit;
  step_append (mock, step);
}

void
(mock_delay) (MockServer *mock,
              guint       milliseconds)
{
  MockStep *step = step_new (mock, "mock_delay", mock_run_delay);

  step->time = milliseconds;
  step_append (mock, step);
}

void
(mock_send_json) (MockServer *mock,
                  const char *text)
{
  g_autofree char *json = mock_json_requote (text);

  append_template (mock, "mock_send_json", g_strconcat (json, "\r\n", NULL));
}

void
(mock_greet) (MockServer   *mock,
              MockGreeting  greeting)
{
  append_template (mock, "mock_greet",
                   g_strdup_printf ("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, "
                                    "\"package\": \"mock\"}, \"capabilities\": [%s]}}\r\n",
                                    greeting == MOCK_GREETING_OOB ? "\"oob\"" : ""));
}

void
(mock_negotiate) (MockServer   *mock,
                  MockGreeting  greeting)
{
  MockStep *step;

  (mock_greet) (mock, greeting);

  step = step_new (mock, greeting == MOCK_GREETING_OOB ? "mock_negotiate: qmp_capabilities with oob"
                                                       : "mock_negotiate: qmp_capabilities without oob",
                   mock_run_expect_capabilities);
  step->amount = greeting == MOCK_GREETING_OOB;
  step_append (mock, step);

  append_template (mock, "mock_negotiate", g_strdup ("{\"return\": {}, \"id\": @ID:0@}\r\n"));
}

void
(mock_return) (MockServer *mock,
               const char *value)
{
  g_autofree char *json = mock_json_requote (value);

  append_template (mock, "mock_return", g_strdup_printf ("{\"return\": %s, \"id\": @ID@}\r\n", json));
}

void
(mock_return_to) (MockServer *mock,
                  guint       request,
                  const char *value)
{
  g_autofree char *json = mock_json_requote (value);

  append_template (mock, "mock_return_to", g_strdup_printf ("{\"return\": %s, \"id\": @ID:%u@}\r\n", json, request));
}

void
(mock_error) (MockServer *mock,
              const char *klass,
              const char *desc)
{
  g_autofree char *quoted_class = mock_json_quote (klass);
  g_autofree char *quoted_desc = mock_json_quote (desc);

  append_template (mock, "mock_error",
                   g_strdup_printf ("{\"id\": @ID@, \"error\": {\"class\": %s, \"desc\": %s}}\r\n",
                                    quoted_class, quoted_desc));
}

void
(mock_event) (MockServer *mock,
              const char *name,
              const char *data)
{
  g_autofree char *quoted_name = mock_json_quote (name);
  g_autofree char *json = data != NULL ? mock_json_requote (data) : NULL;

  append_template (mock, "mock_event",
                   g_strdup_printf ("{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, "
                                    "\"event\": %s%s%s}\r\n",
                                    quoted_name, json != NULL ? ", \"data\": " : "", json != NULL ? json : ""));
}

guint
(mock_pause) (MockServer *mock)
{
  MockStep *step = step_new (mock, "mock_pause", mock_run_gate);

  step->amount = ++mock->n_gates;
  step->n_continues = ++mock->n_pauses;
  step_append (mock, step);

  return mock->n_gates;
}

guint
(mock_mark) (MockServer *mock)
{
  MockStep *step = step_new (mock, "mock_mark", mock_run_gate);

  step->amount = ++mock->n_gates;
  step_append (mock, step);

  return mock->n_gates;
}
