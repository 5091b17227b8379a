/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-event-history-private.h"

/* Threads: the owner's; not locked. */

void
aqmp_event_history_init (AqmpEventHistory *self)
{
  self->events = NULL;
  self->size = 0;
  g_queue_init (&self->late);
}

void
aqmp_event_history_clear (AqmpEventHistory *self)
{
  g_queue_clear_full (&self->late, g_object_unref);
  g_clear_object (&self->events);
}

/* Not before: most listeners need none. And these are made in any thread, but GLib 2.74 races with itself where several make such a
   list. */
GListModel *
aqmp_event_history_get_list (AqmpEventHistory *self)
{
  if (self->events == NULL)
    self->events = g_list_store_new (AQMP_TYPE_EVENT);

  return G_LIST_MODEL (self->events);
}

/* Each change tells whoever watches, who may change the history again: so it is looked at anew each time, and the list is not
   needed afterwards. */
static void
make_room (GListStore *events,
           guint       size)
{
  guint length = g_list_model_get_n_items (G_LIST_MODEL (events));

  if (length > size)
    g_list_store_splice (events, 0, length - size, NULL, 0);
}

void
aqmp_event_history_append (AqmpEventHistory *self,
                           AqmpEvent        *event)
{
  g_autoptr (GListStore) events = NULL;

  if (self->size == 0)
    return;

  events = G_LIST_STORE (g_object_ref (aqmp_event_history_get_list (self)));
  make_room (events, self->size - 1);
  g_list_store_append (events, event);
}

gboolean
aqmp_event_history_append_later (AqmpEventHistory *self,
                                 AqmpEvent        *event)
{
  gboolean first = g_queue_is_empty (&self->late);

  if (self->late.length == self->size)
    g_object_unref (g_queue_pop_head (&self->late));
  g_queue_push_tail (&self->late, g_object_ref (event));
  return first;
}

void
aqmp_event_history_append_late (AqmpEventHistory *self)
{
  AqmpEvent *event;

  while ((event = g_queue_pop_head (&self->late)) != NULL)
    {
      aqmp_event_history_append (self, event);
      g_object_unref (event);
    }
}

void
aqmp_event_history_forget_late (AqmpEventHistory *self)
{
  g_queue_clear_full (&self->late, g_object_unref);
}

gboolean
aqmp_event_history_is_watched (AqmpEventHistory *self)
{
  return self->events != NULL &&
         g_signal_has_handler_pending (self->events, g_signal_lookup ("items-changed", G_TYPE_LIST_MODEL), 0, TRUE);
}

void
aqmp_event_history_set_size (AqmpEventHistory *self,
                             guint             size)
{
  g_autoptr (GListStore) events = self->events != NULL ? g_object_ref (self->events) : NULL;

  self->size = size;
  while (self->late.length > size)
    g_object_unref (g_queue_pop_head (&self->late));
  if (events != NULL)
    make_room (events, size);
}
