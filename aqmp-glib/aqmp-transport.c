/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-transport-private.h"

#include <glib-unix.h>
#include <glib/gi18n-lib.h>

#include "aqmp-channel-private.h"
#include "aqmp-nested-context-private.h"
#include "aqmp-write-queue-private.h"

#define MAX_PIECES 16
/* Writes in a row, to a peer that takes all of them; then others have their turn. */
#define MOST_WRITES 4096
/* How often word of the drain is put off because something was read: more than what a socket can hold. */
#define MOST_PUT_OFF 1024

struct _AqmpTransport
{
  gatomicrefcount               ref_count;
  GWeakRef                      owner;
  const AqmpTransportCallbacks *callbacks;
  GMainContext                 *context;   /* (owned) (nullable): where it is attached */

  /* Owner thread. */
  AqmpFraming    framing;
  guint64        max_message_size;
  gboolean       reading;
  gboolean       received;       /* something */
  gboolean       at_eof;
  gboolean       failed;

  GMutex         lock;           /* for all below; held only for moments, never while calling the owner */
  AqmpChannel   *channel;        /* (owned) (nullable): NULL once closed; replaced by nobody else */
  GSource       *source;         /* (owned) (nullable) */
  AqmpWriteQueue queue;
  gboolean       write_blocked;  /* until the channel is writable again */
  GError        *write_error;    /* (owned) (nullable): reported when all that had arrived is delivered */
  gboolean       work_requested;
  gboolean       drained_requested;
  guint          n_put_off;      /* rounds that put off telling so, because they had something to deliver */
  gboolean       polling;        /* the context may be waiting: only then does news need a wake-up */
};

typedef struct
{
  GSource           source;
  AqmpTransport    *transport;  /* (owned) */
  GPollFD           poll_fd;    /* of a socket */
  gboolean          polled;     /* whether poll_fd is in the context */
  AqmpNestedContext nested;     /* of any other channel */
} TransportSource;

static void
lock (AqmpTransport *self)
{
  g_mutex_lock (&self->lock);
}

static void
unlock (AqmpTransport *self)
{
  g_mutex_unlock (&self->lock);
}

/* Every prepare of the source looks at what is new, and one comes before the context waits. So news that comes while it
   is not waiting costs nothing, even from another thread. */
static void
unlock_and_wake (AqmpTransport *self)
{
  GMainContext *sleeper = self->polling && self->channel != NULL ? g_main_context_ref (self->context) : NULL;

  unlock (self);

  if (sleeper != NULL)
    {
      g_main_context_wakeup (sleeper);
      g_main_context_unref (sleeper);
    }
}

static gboolean
is_closed (AqmpTransport *self)
{
  gboolean closed;

  lock (self);
  closed = self->channel == NULL;
  unlock (self);

  return closed;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static gsize
get_unwritten (AqmpTransport *self)
{
  return aqmp_write_queue_get_length (&self->queue) +
         (self->channel != NULL ? self->channel->kind->get_unwritten (self->channel) : 0);
}

/* Locked. */
static gboolean
can_write (AqmpTransport *self)
{
  return get_unwritten (self) > 0 && !self->write_blocked && self->write_error == NULL;
}

/* Locked. Calls nobody but the channel, so a socket's queue can be written from prepare. */
static void
write_queue (AqmpTransport *self)
{
  guint i;

  for (i = 0; i < MOST_WRITES && can_write (self); i++)
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

/* The owner may do anything in its callbacks: pause, close, run the loop and so come here again. So each turn looks at
   everything anew. */
static void
deliver (AqmpTransport *self,
         gpointer       owner)
{
  while (self->reading && !is_closed (self))
    {
      g_autoptr (GBytes) message = NULL;
      g_autoptr (GError) error = NULL;
      AqmpFramingResult result;

      result = aqmp_framing_next (&self->framing, self->max_message_size, self->at_eof, self->callbacks->frame, owner,
                                  &message, &error);
      if (is_closed (self))
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

  lock (self);
  requested = self->work_requested;
  self->work_requested = FALSE;
  unlock (self);

  return requested;
}

/* Who waits for the queue to drain may want to close then, so all that has arrived comes before that: a round that had
   something to deliver (@had_news) is not the one. But a peer that never stops sending does not put it off for ever. */
static gboolean
take_drained_request (AqmpTransport *self,
                      gboolean       had_news)
{
  gboolean due;

  lock (self);
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
  unlock (self);

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

  if (is_closed (self))
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

  lock (self);
  self->write_blocked = FALSE;
  write_queue (self);
  unlock (self);
}

static void
watch_channel (AqmpTransport *self)
{
  gboolean for_writing;

  lock (self);
  if (self->channel == NULL)
    {
      unlock (self);
      return;
    }
  for_writing = self->write_blocked;
  unlock (self);

  /* Unlocked, for a stream of any class may be asked to begin a transfer. Only this thread can close it now. */
  self->channel->kind->watch (self->channel, self->reading && !self->at_eof, for_writing);
}

static void
do_whole_round (AqmpTransport *self,
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
  if (!is_closed (self))
    {
      /* What the owner queued goes out now: prepare does not write to such a channel. */
      lock (self);
      write_queue (self);
      unlock (self);
      watch_channel (self);
    }
}

/* Locked. Whether there is something to do without waiting for the channel. */
static gboolean
is_ready (AqmpTransport *self)
{
  return self->work_requested || (self->drained_requested && get_unwritten (self) == 0) || has_news (self) ||
         (self->write_error != NULL && !self->failed);
}

/* --- The source --------------------------------------------------------------------------------------------------- */

/* A hung-up socket that nobody wants to read from would end every wait at once, so it is not polled then. */
static void
update_poll (TransportSource *source)
{
  AqmpTransport *self = source->transport;
  gboolean wanted;

  source->poll_fd.events = (self->reading && !self->at_eof ? G_IO_IN : 0) | (self->write_blocked ? G_IO_OUT : 0);
  wanted = source->poll_fd.events != 0;

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

  write_queue (self);
  update_poll (source);
  return is_ready (self) || can_write (self);
}

static gboolean
prepare_other (TransportSource *source,
               int             *timeout)
{
  AqmpTransport *self = source->transport;

  if (is_ready (self) || can_write (self))
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

  lock (self);
  if (self->channel != NULL)
    ready = self->channel->context == NULL ? prepare_socket (source) : prepare_other (source, timeout);
  self->polling = !ready;
  unlock (self);

  return ready;
}

static gboolean
transport_source_check (GSource *gsource)
{
  TransportSource *source = (TransportSource *) gsource;
  AqmpTransport *self = source->transport;
  gboolean ready = FALSE;

  lock (self);
  self->polling = FALSE;
  if (self->channel != NULL)
    {
      if (self->channel->context != NULL)
        ready = aqmp_nested_context_check (&source->nested, gsource, self->channel->context);
      else if (source->polled)
        ready = source->poll_fd.revents != 0;

      if (ready && source->poll_fd.revents & G_IO_OUT)
        self->write_blocked = FALSE;
      ready = ready || is_ready (self);
    }
  unlock (self);

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
  if (!is_closed (self))
    do_whole_round (self, owner, readable);
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

void
aqmp_transport_attach (AqmpTransport *self,
                       GMainContext  *context)
{
  TransportSource *source;

  g_assert (self->source == NULL && self->channel != NULL);

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
    watch_channel (self);
}

/* --- Without a context -------------------------------------------------------------------------------------------- */

static gboolean
wait_for_socket (AqmpTransport *self,
                 int            timeout_ms,
                 GCancellable  *cancellable,
                 gboolean      *readable)
{
  GPollFD fds[2] = { { .fd = self->channel->fd }, };
  guint n_fds = 1;

  fds[0].events = (self->reading && !self->at_eof ? G_IO_IN : 0) | (self->write_blocked ? G_IO_OUT : 0);
  if (fds[0].events == 0)
    fds[0].fd = -1;
  if (g_cancellable_make_pollfd (cancellable, &fds[1]))
    n_fds++;

  g_poll (fds, n_fds, timeout_ms);

  if (n_fds > 1)
    g_cancellable_release_fd (cancellable);

  *readable = (fds[0].revents & ~G_IO_OUT) != 0;
  if (fds[0].revents & G_IO_OUT)
    self->write_blocked = FALSE;
  return fds[0].revents != 0;
}

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

  watch_channel (self);
  /* A context that others may poll is woken up by each source that is attached; that is nothing to return for. */
  while (!g_main_context_iteration (context, TRUE))
    ;

  g_clear_pointer (&timeout, detach_end);
  if (cancelled != NULL)
    {
      detach_end (cancelled);
      g_cancellable_release_fd (cancellable);
    }
  return !ended;
}

gboolean
aqmp_transport_iterate (AqmpTransport *self,
                        int            timeout_ms,
                        GCancellable  *cancellable)
{
  g_autoptr (GObject) owner = g_weak_ref_get (&self->owner);
  gboolean readable = FALSE;
  gboolean happened;

  if (owner == NULL || is_closed (self))
    return FALSE;

  /* The owner may drop it while it is being called. */
  aqmp_transport_ref (self);

  lock (self);
  write_queue (self);
  happened = is_ready (self) || can_write (self);
  unlock (self);

  /* With something to do, whether there is something to read too still matters: it comes before word of the drain. */
  if (self->channel->context == NULL)
    happened = wait_for_socket (self, happened ? 0 : timeout_ms, cancellable, &readable) || happened;
  else if (!happened)
    happened = wait_for_other (self, timeout_ms, cancellable);
  if (happened)
    do_whole_round (self, owner, readable);

  aqmp_transport_unref (self);
  return happened;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

AqmpTransport *
aqmp_transport_new (GIOStream                    *stream,
                    GObject                      *owner,
                    const AqmpTransportCallbacks *callbacks)
{
  AqmpTransport *self = g_new0 (AqmpTransport, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_weak_ref_init (&self->owner, owner);
  g_mutex_init (&self->lock);
  self->callbacks = callbacks;
  self->channel = aqmp_channel_new (stream);
  self->max_message_size = G_MAXUINT64;
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
  g_clear_pointer (&self->context, g_main_context_unref);
  g_weak_ref_clear (&self->owner);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
aqmp_transport_close (AqmpTransport *self)
{
  AqmpChannel *channel;
  GSource *source;

  lock (self);
  channel = g_steal_pointer (&self->channel);
  source = g_steal_pointer (&self->source);
  unlock (self);

  if (source != NULL)
    {
      g_source_destroy (source);
      g_source_unref (source);
    }
  if (channel != NULL)
    aqmp_channel_close (channel, self->context);
}

void
aqmp_transport_set_reading (AqmpTransport *self,
                            gboolean       reading)
{
  self->reading = reading;
  if (reading && self->source != NULL && self->channel->context != NULL)
    watch_channel (self);
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
  lock (self);
  if (self->channel != NULL)
    {
      self->channel->largest_write = largest_write;
      self->channel->last_byte_apart = last_byte_apart;
    }
  unlock (self);
}

void
aqmp_transport_allow_goodbye (AqmpTransport *self)
{
  lock (self);
  if (self->channel != NULL)
    self->channel->says_goodbye = TRUE;
  unlock (self);
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

  lock (self);
  length = get_unwritten (self);
  unlock (self);

  return length;
}

/* --- Any thread --------------------------------------------------------------------------------------------------- */

GString *
aqmp_transport_begin_message (AqmpTransport *self)
{
  lock (self);
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
  unlock (self);
}

gboolean
aqmp_transport_remove_message (AqmpTransport *self,
                               guint64        token)
{
  gboolean removed;

  lock (self);
  removed = aqmp_write_queue_remove (&self->queue, token);
  unlock_and_wake (self);

  return removed;
}

guint
aqmp_transport_get_max_fds (AqmpTransport *self)
{
  guint max_fds;

  lock (self);
  max_fds = self->channel != NULL ? self->channel->max_fds : 0;
  unlock (self);

  return max_fds;
}

guint64
aqmp_transport_get_written_token (AqmpTransport *self)
{
  guint64 token;

  lock (self);
  token = aqmp_write_queue_get_written_token (&self->queue);
  unlock (self);

  return token;
}

void
aqmp_transport_request_work (AqmpTransport *self)
{
  lock (self);
  self->work_requested = TRUE;
  unlock_and_wake (self);
}

void
aqmp_transport_request_drained (AqmpTransport *self)
{
  lock (self);
  self->drained_requested = TRUE;
  unlock_and_wake (self);
}
