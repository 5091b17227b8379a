/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Whether ThreadSanitizer would see a mistake of ours: a field of a protocol is read without the lock that it is under, while
 * the owner's thread changes it. Only built with ThreadSanitizer, for scripts/tsan.
 */

#include "aqmp-glib/aqmp-client.h"
#include "aqmp-glib/aqmp-protocol-private.h"

#define N_READS 1000

/* --- ThreadSanitizer's own functions, which have no header -------------------------------------------------------- */

void __tsan_on_report      (void   *report);
int  __tsan_get_report_mop (void   *report,
                            gsize   index,
                            int    *thread_id,
                            void  **address,
                            int    *size,
                            int    *is_write,
                            int    *is_atomic,
                            void  **trace,
                            gsize   trace_size);

static gpointer planted;        /* (unowned) (nullable): where it is; set while one thread runs */
static gint     n_found;        /* atomic: reports of that */
static gint     n_unexpected;   /* atomic: of anything else */

/* In whatever thread, with the sanitizer's lock. */
void
__tsan_on_report (void *report)
{
  void *address = NULL;
  void *trace[1];
  int unused;

  __tsan_get_report_mop (report, 0, &unused, &address, &unused, &unused, &unused, trace, G_N_ELEMENTS (trace));
  if (address != NULL && address == planted)
    g_atomic_int_inc (&n_found);
  else
    g_atomic_int_inc (&n_unexpected);
}

/* --- The race ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  AqmpProtocol *protocol;
  gboolean      locked;
  gint          ready;     /* atomic */
} Reader;

static gpointer
read_state (gpointer data)
{
  Reader *reader = data;
  guint n_idle = 0;
  guint i;

  /* Nothing that comes after this is ordered by it. */
  g_atomic_int_set (&reader->ready, TRUE);
  for (i = 0; i < N_READS; i++)
    {
      AqmpRunstate runstate;

      if (reader->locked)
        aqmp_protocol_lock (reader->protocol);
      runstate = aqmp_protocol_get_private (reader->protocol)->runstate;
      if (reader->locked)
        aqmp_protocol_unlock (reader->protocol);

      n_idle += runstate == AQMP_RUNSTATE_IDLE;
    }

  return GUINT_TO_POINTER (n_idle);
}

/* Its state changes, as in a disconnect, while another thread reads it. */
static void
change_while_read (gboolean locked)
{
  g_autoptr (AqmpProtocol) protocol = AQMP_PROTOCOL (aqmp_client_new (NULL));
  Reader reader = { protocol, locked, FALSE };
  GThread *thread;

  planted = &aqmp_protocol_get_private (protocol)->runstate;
  thread = g_thread_new ("reads", read_state, &reader);
  while (!g_atomic_int_get (&reader.ready))
    g_thread_yield ();

  aqmp_protocol_set_runstate (protocol, AQMP_RUNSTATE_DISCONNECTING);
  aqmp_protocol_set_runstate (protocol, AQMP_RUNSTATE_IDLE);
  g_thread_join (thread);
}

static void
test_with_lock (void)
{
  change_while_read (TRUE);
  g_assert_cmpint (g_atomic_int_get (&n_found), ==, 0);
  g_assert_cmpint (g_atomic_int_get (&n_unexpected), ==, 0);
}

static void
test_without_lock (void)
{
  change_while_read (FALSE);
  g_assert_cmpint (g_atomic_int_get (&n_found), >, 0);
  g_assert_cmpint (g_atomic_int_get (&n_unexpected), ==, 0);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/planted-race/not-reported-with-the-lock", test_with_lock);
  g_test_add_func ("/planted-race/reported-without-the-lock", test_without_lock);

  return g_test_run ();
}
