/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-nested-context-private.h"

/* Threads: the one that runs the context of the source; not locked. */

typedef struct
{
  int      fd;
  gushort  events;
  gpointer tag;    /* from g_source_add_unix_fd() */
} Watched;

static void
unwatch_all (AqmpNestedContext *self,
             GSource           *source)
{
  guint i;

  for (i = 0; i < self->watched->len; i++)
    g_source_remove_unix_fd (source, g_array_index (self->watched, Watched, i).tag);
  g_array_set_size (self->watched, 0);
}

static gboolean
watches_just (AqmpNestedContext *self,
              const GPollFD     *fds,
              guint              n_fds)
{
  guint i;

  if (self->watched->len != n_fds)
    return FALSE;

  for (i = 0; i < n_fds; i++)
    {
      const Watched *watched = &g_array_index (self->watched, Watched, i);

      if (watched->fd != fds[i].fd || watched->events != fds[i].events)
        return FALSE;
    }

  return TRUE;
}

static void
watch_just (AqmpNestedContext *self,
            GSource           *source,
            const GPollFD     *fds,
            guint              n_fds)
{
  guint i;

  /* Changing what is polled wakes the outer context up each time. */
  if (watches_just (self, fds, n_fds))
    return;

  unwatch_all (self, source);
  for (i = 0; i < n_fds; i++)
    {
      Watched watched = { fds[i].fd, fds[i].events, g_source_add_unix_fd (source, fds[i].fd, fds[i].events) };

      g_array_append_val (self->watched, watched);
    }
}

static GArray *
query (GMainContext *child,
       int           priority,
       int          *timeout)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (GPollFD));
  int needed = 4;

  do
    {
      g_array_set_size (fds, needed);
      needed = g_main_context_query (child, priority, timeout, (GPollFD *) (gpointer) fds->data, fds->len);
    }
  while (needed > (int) fds->len);

  g_array_set_size (fds, needed);
  return fds;
}

void
aqmp_nested_context_clear (AqmpNestedContext *self)
{
  g_clear_pointer (&self->watched, g_array_unref);
}

gboolean
aqmp_nested_context_prepare (AqmpNestedContext *self,
                             GSource           *source,
                             GMainContext      *child,
                             int               *timeout)
{
  g_autoptr (GArray) fds = NULL;
  int child_timeout;
  int priority;
  gboolean ready;

  if (self->watched == NULL)
    self->watched = g_array_new (FALSE, FALSE, sizeof (Watched));

  if (!g_main_context_acquire (child))
    return FALSE;
  ready = g_main_context_prepare (child, &priority);
  fds = query (child, ready ? priority : G_MAXINT, &child_timeout);
  g_main_context_release (child);

  if (ready)
    return TRUE;

  watch_just (self, source, (const GPollFD *) (gconstpointer) fds->data, fds->len);
  if (child_timeout >= 0 && (*timeout < 0 || child_timeout < *timeout))
    *timeout = child_timeout;
  return FALSE;
}

gboolean
aqmp_nested_context_check (AqmpNestedContext *self,
                           GSource           *source,
                           GMainContext      *child)
{
  gboolean ready = FALSE;
  guint i;

  for (i = 0; self->watched != NULL && i < self->watched->len; i++)
    ready = ready || g_source_query_unix_fd (source, g_array_index (self->watched, Watched, i).tag) != 0;

  if (ready)
    return TRUE;

  /* A timeout of the child that has passed shows only this way. */
  if (!g_main_context_acquire (child))
    return FALSE;
  ready = g_main_context_pending (child);
  g_main_context_release (child);
  return ready;
}
