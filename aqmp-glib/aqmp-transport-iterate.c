/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-transport-inside-private.h"

#include <glib-unix.h>
#include <sys/eventfd.h>

/* Threads: the owner's. */

/* In milliseconds, if nothing can wake us up: descriptors have run out. */
#define LONGEST_SLEEP 50

/* --- Waiting for a socket ----------------------------------------------------------------------------------------- */

static gboolean
wait_for_socket (AqmpTransport *self,
                 int            timeout_ms,
                 GCancellable  *cancellable,
                 gboolean      *readable)
{
  /* poll() takes no notice of a descriptor below 0. */
  GPollFD fds[3] = {
    { .fd = self->channel->fd },
    { .fd = self->wake_fd, .events = G_IO_IN },
  };
  guint n_fds = 2;

  fds[0].events = (self->reading && !self->at_eof ? G_IO_IN : 0) | (self->write_blocked ? G_IO_OUT : 0);
  if (fds[0].events == 0)
    fds[0].fd = -1;
  if (g_cancellable_make_pollfd (cancellable, &fds[2]))
    n_fds++;

  g_poll (fds, n_fds, self->wake_fd >= 0 || (timeout_ms >= 0 && timeout_ms < LONGEST_SLEEP) ? timeout_ms : LONGEST_SLEEP);

  if (n_fds > 2)
    g_cancellable_release_fd (cancellable);
  if (fds[1].revents != 0)
    {
      eventfd_t count;

      eventfd_read (self->wake_fd, &count);
    }

  *readable = (fds[0].revents & ~G_IO_OUT) != 0;
  if (fds[0].revents & G_IO_OUT)
    self->write_blocked = FALSE;
  return fds[0].revents != 0 || fds[1].revents != 0;
}

/* --- Waiting for another channel ---------------------------------------------------------------------------------- */

static gboolean
end_wait (gpointer user_data)
{
  gboolean *ended = user_data;

  *ended = TRUE;
  return G_SOURCE_CONTINUE;
}

static gboolean
end_wait_cancelled (int          fd,
                    GIOCondition condition,
                    gpointer     user_data)
{
  return end_wait (user_data);
}

/* What the channel waits for goes before the end of the wait. */
static void
attach_end (GSource      *source,
            GSourceFunc   callback,
            gboolean     *ended,
            GMainContext *context)
{
  g_source_set_priority (source, G_PRIORITY_LOW);
  g_source_set_callback (source, callback, ended, NULL);
  g_source_attach (source, context);
}

static void
detach_end (GSource *source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

static gboolean
was_woken (AqmpTransport *self)
{
  gboolean woken;

  aqmp_transport_lock (self);
  woken = self->woken;
  aqmp_transport_unlock (self);

  return woken;
}

static gboolean
wait_for_other (AqmpTransport *self,
                int            timeout_ms,
                GCancellable  *cancellable)
{
  GMainContext *context = self->channel->context;
  GSource *timeout = timeout_ms < 0 ? NULL : g_timeout_source_new (timeout_ms);
  GSource *cancelled = NULL;
  GPollFD poll_fd;
  gboolean ended = FALSE;

  if (timeout != NULL)
    attach_end (timeout, end_wait, &ended, context);
  /* Not g_cancellable_source_new(): GLib 2.74 leaks one that is destroyed while another thread cancels. */
  if (g_cancellable_make_pollfd (cancellable, &poll_fd))
    {
      cancelled = g_unix_fd_source_new (poll_fd.fd, G_IO_IN);
      attach_end (cancelled, G_SOURCE_FUNC (end_wait_cancelled), &ended, context);
    }

  aqmp_transport_watch_channel (self);
  /* A context that others may poll is woken up by each source that is attached; that is nothing to return for. */
  while (!g_main_context_iteration (context, TRUE) && !was_woken (self))
    ;

  g_clear_pointer (&timeout, detach_end);
  if (cancelled != NULL)
    {
      detach_end (cancelled);
      g_cancellable_release_fd (cancellable);
    }
  return !ended;
}

/* --- A round ------------------------------------------------------------------------------------------------------ */

/* Locked. From here on other threads wake us up with what they queue. */
static void
expect_news (AqmpTransport *self)
{
  if (self->wake_fd < 0 && self->channel->context == NULL)
    self->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  self->poller = AQMP_POLLER_ITERATE;
}

/* Returns whether there is something to do. */
static gboolean
wait_for_something (AqmpTransport *self,
                    int            timeout_ms,
                    GCancellable  *cancellable,
                    gboolean      *readable)
{
  gboolean happened;

  aqmp_transport_lock (self);
  aqmp_transport_write_queue (self);
  happened = self->woken || aqmp_transport_is_ready (self) || aqmp_transport_can_write (self);
  self->woken = FALSE;
  if (!happened)
    expect_news (self);
  aqmp_transport_unlock (self);

  /* With something to do, whether there is something to read too still matters: it comes before word of the drain. */
  if (self->channel->context == NULL)
    happened = wait_for_socket (self, happened ? 0 : timeout_ms, cancellable, readable) || happened;
  else if (!happened)
    happened = wait_for_other (self, timeout_ms, cancellable);

  aqmp_transport_lock (self);
  self->poller = AQMP_POLLER_NONE;
  aqmp_transport_unlock (self);

  return happened;
}

/* Returns what it was. */
static gboolean
set_iterating (AqmpTransport *self,
               gboolean       iterating)
{
  gboolean before;

  aqmp_transport_lock (self);
  before = self->iterating;
  self->iterating = iterating;
  aqmp_transport_unlock (self);

  return before;
}

gboolean
aqmp_transport_iterate (AqmpTransport *self,
                        int            timeout_ms,
                        GCancellable  *cancellable)
{
  g_autoptr (GObject) owner = g_weak_ref_get (&self->owner);
  gboolean readable = FALSE;
  gboolean was_iterating;
  gboolean happened;

  if (owner == NULL || aqmp_transport_is_closed (self))
    return FALSE;

  /* The owner may drop it while it is being called, and iterate again. */
  aqmp_transport_ref (self);
  was_iterating = set_iterating (self, TRUE);

  happened = wait_for_something (self, timeout_ms, cancellable, &readable);
  if (happened)
    aqmp_transport_do_whole_round (self, owner, readable);

  set_iterating (self, was_iterating);
  aqmp_transport_unref (self);
  return happened;
}
