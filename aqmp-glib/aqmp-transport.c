/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-transport-inside-private.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/eventfd.h>

#include "aqmp-alloc-private.h"
#include "aqmp-nested-context-private.h"
#include "aqmp-result-private.h"

/* Threads: the owner's, unless the header says otherwise. What others may reach is under the transport's lock, in which nobody but
   the channel is called. */

#define MAX_PIECES 16
/* Writes in a row, to a peer that takes all of them; then others have their turn. */
#define MOST_WRITES 4096
/* How often word of the drain is put off because something was read: more than what a socket can hold. */
#define MOST_PUT_OFF 1024

typedef struct
{
  GSource           source;
  AqmpTransport    *transport;  /* (owned) */
  GPollFD           poll_fd;    /* of a socket */
  gboolean          polled;     /* whether poll_fd is in the context */
  AqmpNestedContext nested;     /* of any other channel */
} TransportSource;

/* Every prepare of the source looks at what is new, and one comes before the context waits; so does every iteration without
   one. So news that comes while nobody is waiting costs nothing, even from another thread. */
static void
unlock_and_wake (AqmpTransport *self)
{
  GMainContext *sleeper = NULL;

  if (self->poller != AQMP_POLLER_NONE && self->channel != NULL)
    {
      self->woken = TRUE;
      if (self->poller == AQMP_POLLER_CONTEXT)
        sleeper = g_main_context_ref (self->context);
      else if (self->channel->context != NULL)
        sleeper = g_main_context_ref (self->channel->context);
      else
        eventfd_write (self->wake_fd, 1);
    }
  aqmp_transport_unlock (self);

  if (sleeper != NULL)
    {
      g_main_context_wakeup (sleeper);
      g_main_context_unref (sleeper);
    }
}

/* Remembered: whoever iterates may just be about to wait. */
void
aqmp_transport_wake (AqmpTransport *self)
{
  aqmp_transport_lock (self);
  self->woken = TRUE;
  unlock_and_wake (self);
}

/* Twice for each message, so without the lock. */
gboolean
aqmp_transport_is_closed (AqmpTransport *self)
{
  return g_atomic_pointer_get (&self->channel) == NULL;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static gsize
get_unwritten (AqmpTransport *self)
{
  return aqmp_write_queue_get_length (&self->queue) +
         (self->channel != NULL ? self->channel->kind->get_unwritten (self->channel) : 0);
}

/* Locked. */
gboolean
aqmp_transport_can_write (AqmpTransport *self)
{
  return get_unwritten (self) > 0 && !self->write_blocked && self->write_error == NULL;
}

/* Locked. Calls nobody but the channel, so a socket's queue can be written from prepare. */
void
aqmp_transport_write_queue (AqmpTransport *self)
{
  guint i;

  for (i = 0; i < MOST_WRITES && aqmp_transport_can_write (self); i++)
    {
      g_autoptr (GError) error = NULL;
      GOutputVector pieces[MAX_PIECES];
      GUnixFDList *fds;
      guint n_pieces = aqmp_write_queue_peek (&self->queue, pieces, MAX_PIECES, &fds);
      gssize n_written = self->channel->kind->write (self->channel, pieces, n_pieces, fds, &error);

      if (n_written >= 0)
        aqmp_write_queue_advance (&self->queue, n_written);
      else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        self->write_blocked = TRUE;
      else
        self->write_error = g_steal_pointer (&error);
    }
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static void
report_failure (AqmpTransport *self,
                gpointer       owner,
                const GError  *error)
{
  self->reading = FALSE;
  self->failed = TRUE;
  self->callbacks->failed (owner, error);
}

static void
report_eof (AqmpTransport *self,
            gpointer       owner)
{
  g_autoptr (GError) error = NULL;

  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED,
                               aqmp_framing_get_held (&self->framing) > 0
                                 ? _("The peer closed the connection in the middle of a message")
                                 : _("The peer closed the connection"));
  report_failure (self, owner, error);
}

/* Put on hold by what it called. */
static gboolean
is_held (AqmpTransport *self)
{
  return self->on_hold && !self->iterating;
}

/* The owner may do anything in its callbacks: pause, close, run the loop and so come here again. So each turn looks at
   everything anew. */
static void
deliver (AqmpTransport *self,
         gpointer       owner)
{
  while (self->reading && !is_held (self) && !aqmp_transport_is_closed (self))
    {
      g_autoptr (GBytes) message = NULL;
      g_autoptr (GError) error = NULL;
      AqmpFramingResult result;

      result = aqmp_framing_next (&self->framing, self->max_message_size, self->at_eof, self->callbacks->frame, owner,
                                  &message, &error);
      if (aqmp_transport_is_closed (self))
        return;

      switch (result)
        {
        case AQMP_FRAMING_MESSAGE:
          self->callbacks->message (owner, message);
          break;
        case AQMP_FRAMING_ERROR:
          report_failure (self, owner, error);
          return;
        case AQMP_FRAMING_NEED_MORE:
        default:
          if (self->at_eof)
            report_eof (self, owner);
          return;
        }
    }
}

/* Reads once. Reading on until the stream has no more would cost a system call each time only to learn that, and let a
   fast peer keep the loop. Returns whether anything came. */
static gboolean
read_once (AqmpTransport *self,
           gpointer       owner)
{
  g_autoptr (GError) error = NULL;
  guint8 *buffer;
  gsize room;
  gssize n_read;

  buffer = aqmp_framing_reserve (&self->framing, &room);
  n_read = self->channel->kind->read (self->channel, buffer, room, &error);

  self->received = self->received || n_read > 0;
  if (n_read > 0)
    aqmp_framing_commit (&self->framing, n_read);
  else if (n_read == 0)
    self->at_eof = TRUE;
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    {
      report_failure (self, owner, error);
      return FALSE;
    }
  else if (self->write_error != NULL)
    {
      report_failure (self, owner, self->write_error);
      return FALSE;
    }

  deliver (self, owner);
  return n_read > 0;
}

/* With nobody reading there is nothing that could come before it. */
static void
report_write_error (AqmpTransport *self,
                    gpointer       owner)
{
  if (self->write_error != NULL && !self->failed)
    report_failure (self, owner, self->write_error);
}

static gboolean
has_news (AqmpTransport *self)
{
  return self->reading && (self->at_eof || aqmp_framing_has_news (&self->framing));
}

/* --- A round ------------------------------------------------------------------------------------------------------ */

static gboolean
take_work_request (AqmpTransport *self)
{
  gboolean requested;

  aqmp_transport_lock (self);
  requested = self->work_requested;
  self->work_requested = FALSE;
  aqmp_transport_unlock (self);

  return requested;
}

/* Who waits for the queue to drain may want to close then, so all that has arrived comes before that: a round that had
   something to deliver (@had_news) is not the one. But a peer that never stops sending does not put it off for ever. */
static gboolean
take_drained_request (AqmpTransport *self,
                      gboolean       had_news)
{
  gboolean due;

  aqmp_transport_lock (self);
  due = self->channel != NULL && self->drained_requested && get_unwritten (self) == 0;
  if (due && had_news && self->n_put_off < MOST_PUT_OFF)
    {
      self->n_put_off++;
      due = FALSE;
    }
  else
    {
      self->n_put_off = 0;
      self->drained_requested = self->drained_requested && !due;
    }
  aqmp_transport_unlock (self);

  return due;
}

/* What there is to do once something happened; @readable: reading may yield something. */
static void
do_round (AqmpTransport *self,
          gpointer       owner,
          gboolean       readable)
{
  gboolean had_news = FALSE;

  if (take_work_request (self))
    self->callbacks->work (owner);

  if (aqmp_transport_is_closed (self))
    return;

  if (!self->reading)
    report_write_error (self, owner);
  else if (has_news (self))
    {
      deliver (self, owner);
      had_news = TRUE;
    }
  else if (readable || self->write_error != NULL)
    had_news = read_once (self, owner);

  if (take_drained_request (self, had_news))
    self->callbacks->drained (owner);
}

/* Runs the channel's own context, and sees to it that it wakes up for what the next round waits for. */
static void
run_channel (AqmpTransport *self)
{
  g_main_context_iteration (self->channel->context, FALSE);

  aqmp_transport_lock (self);
  self->write_blocked = FALSE;
  aqmp_transport_write_queue (self);
  aqmp_transport_unlock (self);
}

void
aqmp_transport_watch_channel (AqmpTransport *self)
{
  gboolean for_writing;

  aqmp_transport_lock (self);
  if (self->channel == NULL)
    {
      aqmp_transport_unlock (self);
      return;
    }
  for_writing = self->write_blocked;
  aqmp_transport_unlock (self);

  /* Unlocked, for a stream of any class may be asked to begin a transfer. Only this thread can close it now. */
  self->channel->kind->watch (self->channel, self->reading && !self->at_eof, for_writing);
}

void
aqmp_transport_do_whole_round (AqmpTransport *self,
                               gpointer       owner,
                               gboolean       readable)
{
  if (self->channel->context == NULL)
    {
      do_round (self, owner, readable);
      return;
    }

  run_channel (self);
  do_round (self, owner, TRUE);
  if (!aqmp_transport_is_closed (self))
    {
      /* What the owner queued goes out now: prepare does not write to such a channel. */
      aqmp_transport_lock (self);
      aqmp_transport_write_queue (self);
      aqmp_transport_unlock (self);
      aqmp_transport_watch_channel (self);
    }
}

/* Locked. Whether there is something to do without waiting for the channel. */
gboolean
aqmp_transport_is_ready (AqmpTransport *self)
{
  return self->work_requested || (self->drained_requested && get_unwritten (self) == 0) || has_news (self) ||
         (self->write_error != NULL && !self->failed);
}

/* --- The source --------------------------------------------------------------------------------------------------- */

/* A hung-up socket that nobody wants to read from would end every wait at once, so it is not polled then. But taking it out and
   putting it back wakes the context up each time, so it stays if there is no wait: what is ready goes on at once. */
static void
update_poll (TransportSource *source,
             gboolean         ready)
{
  AqmpTransport *self = source->transport;
  gboolean wanted;

  source->poll_fd.events = (self->reading && !self->at_eof && !self->on_hold ? G_IO_IN : 0) |
                           (self->write_blocked ? G_IO_OUT : 0);
  wanted = source->poll_fd.events != 0 || (ready && source->polled);

  if (wanted && !source->polled)
    g_source_add_poll (&source->source, &source->poll_fd);
  else if (!wanted && source->polled)
    g_source_remove_poll (&source->source, &source->poll_fd);
  source->polled = wanted;
}

static gboolean
prepare_socket (TransportSource *source)
{
  AqmpTransport *self = source->transport;

  gboolean ready;

  aqmp_transport_write_queue (self);
  ready = !self->on_hold && (aqmp_transport_is_ready (self) || aqmp_transport_can_write (self));
  update_poll (source, ready);
  return ready;
}

static gboolean
prepare_other (TransportSource *source,
               int             *timeout)
{
  AqmpTransport *self = source->transport;

  if (self->on_hold)
    return FALSE;

  if (aqmp_transport_is_ready (self) || aqmp_transport_can_write (self))
    return TRUE;
  return aqmp_nested_context_prepare (&source->nested, &source->source, self->channel->context, timeout);
}

static gboolean
transport_source_prepare (GSource *gsource,
                          int     *timeout)
{
  TransportSource *source = (TransportSource *) gsource;
  AqmpTransport *self = source->transport;
  gboolean ready = FALSE;

  *timeout = -1;

  aqmp_transport_lock (self);
  if (self->channel != NULL)
    ready = self->channel->context == NULL ? prepare_socket (source) : prepare_other (source, timeout);
  self->poller = ready ? AQMP_POLLER_NONE : AQMP_POLLER_CONTEXT;
  aqmp_transport_unlock (self);

  return ready;
}

static gboolean
transport_source_check (GSource *gsource)
{
  TransportSource *source = (TransportSource *) gsource;
  AqmpTransport *self = source->transport;
  gboolean ready = FALSE;

  aqmp_transport_lock (self);
  self->poller = AQMP_POLLER_NONE;
  if (self->channel != NULL)
    {
      if (self->channel->context != NULL)
        ready = !self->on_hold && aqmp_nested_context_check (&source->nested, gsource, self->channel->context);
      else if (source->polled)
        ready = source->poll_fd.revents != 0;

      if (ready && source->poll_fd.revents & G_IO_OUT)
        self->write_blocked = FALSE;
      ready = !self->on_hold && (ready || aqmp_transport_is_ready (self));
    }
  aqmp_transport_unlock (self);

  return ready;
}

static gboolean
transport_source_dispatch (GSource     *gsource,
                           GSourceFunc  callback,
                           gpointer     user_data)
{
  TransportSource *source = (TransportSource *) gsource;
  AqmpTransport *self = source->transport;
  gboolean readable = source->polled && (source->poll_fd.revents & ~G_IO_OUT) != 0;
  gpointer owner = g_weak_ref_get (&self->owner);

  /* Whoever drops the last reference elsewhere at this moment either comes first, and there is nobody to call, or only
     drops it after this dispatch. */
  if (owner == NULL)
    return G_SOURCE_REMOVE;

  source->poll_fd.revents = 0;
  aqmp_result_begin_turn ();
  /* Another source of this turn may have put it on hold. */
  if (!aqmp_transport_is_closed (self) && !is_held (self))
    aqmp_transport_do_whole_round (self, owner, readable);
  g_object_unref (owner);

  return G_SOURCE_CONTINUE;
}

static void
transport_source_finalize (GSource *gsource)
{
  TransportSource *source = (TransportSource *) gsource;

  aqmp_nested_context_clear (&source->nested);
  aqmp_transport_unref (source->transport);
}

static GSourceFuncs transport_source_funcs = {
  transport_source_prepare,
  transport_source_check,
  transport_source_dispatch,
  transport_source_finalize,
  NULL,
  NULL,
};

static void
detach (AqmpTransport *self)
{
  GSource *source;

  aqmp_transport_lock (self);
  source = g_steal_pointer (&self->source);
  g_clear_pointer (&self->context, g_main_context_unref);
  self->poller = AQMP_POLLER_NONE;
  aqmp_transport_unlock (self);

  if (source != NULL)
    {
      g_source_destroy (source);
      g_source_unref (source);
    }
}

void
aqmp_transport_attach (AqmpTransport *self,
                       GMainContext  *context)
{
  TransportSource *source;

  g_assert (self->channel != NULL);

  detach (self);

  source = (TransportSource *) g_source_new (&transport_source_funcs, sizeof (TransportSource));
  source->transport = aqmp_transport_ref (self);
  source->poll_fd.fd = self->channel->fd;
  g_source_set_name (&source->source, "[aqmp] transport");
  /* So that GLib need not take the descriptor out of the poll and put it back around every dispatch, and so that a
     handler may run the context: reading is ready for being entered again. */
  g_source_set_can_recurse (&source->source, TRUE);

  self->context = context != NULL ? g_main_context_ref (context) : g_main_context_ref (g_main_context_default ());
  self->source = g_source_ref (&source->source);
  g_source_attach (&source->source, self->context);
  g_source_unref (&source->source);

  if (self->channel->context != NULL)
    aqmp_transport_watch_channel (self);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

AqmpTransport *
aqmp_transport_new (GIOStream                    *stream,
                    GObject                      *owner,
                    const AqmpTransportCallbacks *callbacks)
{
  AqmpTransport *self = aqmp_new0 (AqmpTransport);

  g_atomic_ref_count_init (&self->ref_count);
  g_weak_ref_init (&self->owner, owner);
  g_mutex_init (&self->lock);
  self->callbacks = callbacks;
  self->channel = aqmp_channel_new (stream);
  self->max_message_size = G_MAXUINT64;
  self->wake_fd = -1;
  aqmp_framing_init (&self->framing);
  aqmp_write_queue_init (&self->queue);

  return self;
}

AqmpTransport *
aqmp_transport_ref (AqmpTransport *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
aqmp_transport_unref (AqmpTransport *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  aqmp_transport_close (self);
  aqmp_framing_clear (&self->framing);
  aqmp_write_queue_clear (&self->queue);
  g_clear_error (&self->write_error);
  if (self->wake_fd >= 0)
    g_close (self->wake_fd, NULL);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_weak_ref_clear (&self->owner);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static void
close_channel (AqmpTransport *self,
               GMainContext  *context,
               gboolean       may_block)
{
  AqmpChannel *channel;
  GSource *source;

  aqmp_transport_lock (self);
  channel = self->channel;
  g_atomic_pointer_set (&self->channel, NULL);
  source = g_steal_pointer (&self->source);
  aqmp_transport_unlock (self);

  if (source != NULL)
    {
      g_source_destroy (source);
      g_source_unref (source);
    }
  if (channel != NULL)
    {
      channel->may_block = may_block;
      aqmp_channel_close (channel, context != NULL ? context : self->context);
    }
}

void
aqmp_transport_close (AqmpTransport *self)
{
  close_channel (self, NULL, FALSE);
}

void
aqmp_transport_close_in_call (AqmpTransport *self,
                              GMainContext  *context)
{
  close_channel (self, context, TRUE);
}

void
aqmp_transport_set_reading (AqmpTransport *self,
                            gboolean       reading)
{
  self->reading = reading;
  if (reading && self->source != NULL && self->channel->context != NULL)
    aqmp_transport_watch_channel (self);
}

void
aqmp_transport_hold (AqmpTransport *self,
                     gboolean       on_hold)
{
  aqmp_transport_lock (self);
  self->on_hold = on_hold;
  unlock_and_wake (self);
}

void
aqmp_transport_set_max_message_size (AqmpTransport *self,
                                     guint64        max_message_size)
{
  self->max_message_size = max_message_size;
}

void
aqmp_transport_set_portions (AqmpTransport *self,
                             gsize          largest_write,
                             gboolean       last_byte_apart)
{
  aqmp_transport_lock (self);
  if (self->channel != NULL)
    {
      self->channel->largest_write = largest_write;
      self->channel->last_byte_apart = last_byte_apart;
    }
  aqmp_transport_unlock (self);
}

void
aqmp_transport_allow_goodbye (AqmpTransport *self)
{
  aqmp_transport_lock (self);
  if (self->channel != NULL)
    self->channel->says_goodbye = TRUE;
  aqmp_transport_unlock (self);
}

gboolean
aqmp_transport_has_received (AqmpTransport *self)
{
  return self->received;
}

gsize
aqmp_transport_get_queued_bytes (AqmpTransport *self)
{
  gsize length;

  aqmp_transport_lock (self);
  length = get_unwritten (self);
  aqmp_transport_unlock (self);

  return length;
}

/* --- Any thread --------------------------------------------------------------------------------------------------- */

GString *
aqmp_transport_begin_message (AqmpTransport *self)
{
  aqmp_transport_lock (self);
  return aqmp_write_queue_begin (&self->queue);
}

void
aqmp_transport_commit_message (AqmpTransport *self,
                               guint64        token,
                               GUnixFDList   *fds)
{
  aqmp_write_queue_commit (&self->queue, token, fds);
  unlock_and_wake (self);
}

void
aqmp_transport_rollback_message (AqmpTransport *self)
{
  aqmp_write_queue_rollback (&self->queue);
  aqmp_transport_unlock (self);
}

gboolean
aqmp_transport_remove_message (AqmpTransport *self,
                               guint64        token)
{
  gboolean removed;

  aqmp_transport_lock (self);
  removed = aqmp_write_queue_remove (&self->queue, token);
  unlock_and_wake (self);

  return removed;
}

guint
aqmp_transport_get_max_fds (AqmpTransport *self)
{
  guint max_fds;

  aqmp_transport_lock (self);
  max_fds = self->channel != NULL ? self->channel->max_fds : 0;
  aqmp_transport_unlock (self);

  return max_fds;
}

guint64
aqmp_transport_get_written_token (AqmpTransport *self)
{
  guint64 token;

  aqmp_transport_lock (self);
  token = aqmp_write_queue_get_written_token (&self->queue);
  aqmp_transport_unlock (self);

  return token;
}

void
aqmp_transport_request_work (AqmpTransport *self)
{
  aqmp_transport_lock (self);
  self->work_requested = TRUE;
  unlock_and_wake (self);
}

void
aqmp_transport_request_drained (AqmpTransport *self)
{
  aqmp_transport_lock (self);
  self->drained_requested = TRUE;
  unlock_and_wake (self);
}
