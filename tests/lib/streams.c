/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Streams over other streams: one kind that cannot be polled, one that can but is no socket connection. */

#include "util.h"

/* ---- the halves: plain ------------------------------------------------------------------------------------------- */

#define TEST_TYPE_PLAIN_INPUT (test_plain_input_get_type ())
G_DECLARE_DERIVABLE_TYPE (TestPlainInput, test_plain_input, TEST, PLAIN_INPUT, GInputStream)

struct _TestPlainInputClass
{
  GInputStreamClass parent_class;
};

typedef struct
{
  GInputStream *base;    /* (owned) */
} TestPlainInputPrivate;

G_DEFINE_TYPE_WITH_PRIVATE (TestPlainInput, test_plain_input, G_TYPE_INPUT_STREAM)

static GInputStream *
get_base_input (gpointer stream)
{
  TestPlainInputPrivate *priv = test_plain_input_get_instance_private (stream);

  return priv->base;
}

static gssize
test_plain_input_read (GInputStream  *stream,
                       void          *buffer,
                       gsize          count,
                       GCancellable  *cancellable,
                       GError       **error)
{
  return g_input_stream_read (get_base_input (stream), buffer, count, cancellable, error);
}

static gboolean
test_plain_input_close (GInputStream  *stream,
                        GCancellable  *cancellable,
                        GError       **error)
{
  return g_input_stream_close (get_base_input (stream), cancellable, error);
}

static void
test_plain_input_finalize (GObject *object)
{
  TestPlainInputPrivate *priv = test_plain_input_get_instance_private (TEST_PLAIN_INPUT (object));

  g_clear_object (&priv->base);

  G_OBJECT_CLASS (test_plain_input_parent_class)->finalize (object);
}

static void
test_plain_input_class_init (TestPlainInputClass *klass)
{
  /* Only the blocking functions: GInputStream then runs them in its worker threads for the asynchronous ones. */
  G_INPUT_STREAM_CLASS (klass)->read_fn = test_plain_input_read;
  G_INPUT_STREAM_CLASS (klass)->close_fn = test_plain_input_close;
  G_OBJECT_CLASS (klass)->finalize = test_plain_input_finalize;
}

static void
test_plain_input_init (TestPlainInput *self)
{
}

#define TEST_TYPE_PLAIN_OUTPUT (test_plain_output_get_type ())
G_DECLARE_DERIVABLE_TYPE (TestPlainOutput, test_plain_output, TEST, PLAIN_OUTPUT, GOutputStream)

struct _TestPlainOutputClass
{
  GOutputStreamClass parent_class;
};

typedef struct
{
  GOutputStream *base;    /* (owned) */
} TestPlainOutputPrivate;

G_DEFINE_TYPE_WITH_PRIVATE (TestPlainOutput, test_plain_output, G_TYPE_OUTPUT_STREAM)

static GOutputStream *
get_base_output (gpointer stream)
{
  TestPlainOutputPrivate *priv = test_plain_output_get_instance_private (stream);

  return priv->base;
}

static gssize
test_plain_output_write (GOutputStream  *stream,
                         const void     *buffer,
                         gsize           count,
                         GCancellable   *cancellable,
                         GError        **error)
{
  return g_output_stream_write (get_base_output (stream), buffer, count, cancellable, error);
}

static gboolean
test_plain_output_flush (GOutputStream  *stream,
                         GCancellable   *cancellable,
                         GError        **error)
{
  return g_output_stream_flush (get_base_output (stream), cancellable, error);
}

static gboolean
test_plain_output_close (GOutputStream  *stream,
                         GCancellable   *cancellable,
                         GError        **error)
{
  return g_output_stream_close (get_base_output (stream), cancellable, error);
}

static void
test_plain_output_finalize (GObject *object)
{
  TestPlainOutputPrivate *priv = test_plain_output_get_instance_private (TEST_PLAIN_OUTPUT (object));

  g_clear_object (&priv->base);

  G_OBJECT_CLASS (test_plain_output_parent_class)->finalize (object);
}

static void
test_plain_output_class_init (TestPlainOutputClass *klass)
{
  G_OUTPUT_STREAM_CLASS (klass)->write_fn = test_plain_output_write;
  G_OUTPUT_STREAM_CLASS (klass)->flush = test_plain_output_flush;
  G_OUTPUT_STREAM_CLASS (klass)->close_fn = test_plain_output_close;
  G_OBJECT_CLASS (klass)->finalize = test_plain_output_finalize;
}

static void
test_plain_output_init (TestPlainOutput *self)
{
}

/* ---- the halves: pollable ---------------------------------------------------------------------------------------- */

typedef struct
{
  TestPlainInput parent_instance;
} TestPollableInput;

typedef TestPlainInputClass TestPollableInputClass;

static GType test_pollable_input_get_type (void);
static void test_pollable_input_iface_init (GPollableInputStreamInterface *iface);

G_DEFINE_TYPE_WITH_CODE (TestPollableInput, test_pollable_input, TEST_TYPE_PLAIN_INPUT,
                         G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_INPUT_STREAM, test_pollable_input_iface_init))

static gboolean
test_pollable_input_can_poll (GPollableInputStream *stream)
{
  return g_pollable_input_stream_can_poll (G_POLLABLE_INPUT_STREAM (get_base_input (stream)));
}

static gboolean
test_pollable_input_is_readable (GPollableInputStream *stream)
{
  return g_pollable_input_stream_is_readable (G_POLLABLE_INPUT_STREAM (get_base_input (stream)));
}

static GSource *
test_pollable_input_create_source (GPollableInputStream *stream,
                                   GCancellable         *cancellable)
{
  g_autoptr(GSource) child = NULL;

  child = g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (get_base_input (stream)), NULL);

  /* So that the callback is given this stream, not the base. */
  return g_pollable_source_new_full (stream, child, cancellable);
}

static gssize
test_pollable_input_read_nonblocking (GPollableInputStream  *stream,
                                      void                  *buffer,
                                      gsize                  count,
                                      GError               **error)
{
  return g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (get_base_input (stream)),
                                                   buffer, count, NULL, error);
}

static void
test_pollable_input_iface_init (GPollableInputStreamInterface *iface)
{
  iface->can_poll = test_pollable_input_can_poll;
  iface->is_readable = test_pollable_input_is_readable;
  iface->create_source = test_pollable_input_create_source;
  iface->read_nonblocking = test_pollable_input_read_nonblocking;
}

static void
test_pollable_input_class_init (TestPollableInputClass *klass)
{
}

static void
test_pollable_input_init (TestPollableInput *self)
{
}

typedef struct
{
  TestPlainOutput parent_instance;
} TestPollableOutput;

typedef TestPlainOutputClass TestPollableOutputClass;

static GType test_pollable_output_get_type (void);
static void test_pollable_output_iface_init (GPollableOutputStreamInterface *iface);

G_DEFINE_TYPE_WITH_CODE (TestPollableOutput, test_pollable_output, TEST_TYPE_PLAIN_OUTPUT,
                         G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_OUTPUT_STREAM, test_pollable_output_iface_init))

static gboolean
test_pollable_output_can_poll (GPollableOutputStream *stream)
{
  return g_pollable_output_stream_can_poll (G_POLLABLE_OUTPUT_STREAM (get_base_output (stream)));
}

static gboolean
test_pollable_output_is_writable (GPollableOutputStream *stream)
{
  return g_pollable_output_stream_is_writable (G_POLLABLE_OUTPUT_STREAM (get_base_output (stream)));
}

static GSource *
test_pollable_output_create_source (GPollableOutputStream *stream,
                                    GCancellable          *cancellable)
{
  g_autoptr(GSource) child = NULL;

  child = g_pollable_output_stream_create_source (G_POLLABLE_OUTPUT_STREAM (get_base_output (stream)), NULL);

  return g_pollable_source_new_full (stream, child, cancellable);
}

static gssize
test_pollable_output_write_nonblocking (GPollableOutputStream  *stream,
                                        const void             *buffer,
                                        gsize                   count,
                                        GError                **error)
{
  return g_pollable_output_stream_write_nonblocking (G_POLLABLE_OUTPUT_STREAM (get_base_output (stream)),
                                                     buffer, count, NULL, error);
}

static void
test_pollable_output_iface_init (GPollableOutputStreamInterface *iface)
{
  iface->can_poll = test_pollable_output_can_poll;
  iface->is_writable = test_pollable_output_is_writable;
  iface->create_source = test_pollable_output_create_source;
  iface->write_nonblocking = test_pollable_output_write_nonblocking;
}

static void
test_pollable_output_class_init (TestPollableOutputClass *klass)
{
}

static void
test_pollable_output_init (TestPollableOutput *self)
{
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

#define TEST_TYPE_IO_STREAM (test_io_stream_get_type ())
G_DECLARE_FINAL_TYPE (TestIOStream, test_io_stream, TEST, IO_STREAM, GIOStream)

struct _TestIOStream
{
  GIOStream      parent_instance;
  GIOStream     *base;      /* (owned) */
  GInputStream  *input;     /* (owned) */
  GOutputStream *output;    /* (owned) */
};

G_DEFINE_FINAL_TYPE (TestIOStream, test_io_stream, G_TYPE_IO_STREAM)

static GInputStream *
test_io_stream_get_input_stream (GIOStream *stream)
{
  return TEST_IO_STREAM (stream)->input;
}

static GOutputStream *
test_io_stream_get_output_stream (GIOStream *stream)
{
  return TEST_IO_STREAM (stream)->output;
}

static gboolean
test_io_stream_close (GIOStream     *stream,
                      GCancellable  *cancellable,
                      GError       **error)
{
  TestIOStream *self = TEST_IO_STREAM (stream);
  gboolean closed;

  closed = G_IO_STREAM_CLASS (test_io_stream_parent_class)->close_fn (stream, cancellable, error);

  /* Closing the halves of a socket connection does not close the socket. */
  return g_io_stream_close (self->base, cancellable, closed ? error : NULL) && closed;
}

static void
test_io_stream_finalize (GObject *object)
{
  TestIOStream *self = TEST_IO_STREAM (object);

  /* What was not closed was closed by the parent's dispose. */
  g_clear_object (&self->input);
  g_clear_object (&self->output);
  g_clear_object (&self->base);

  G_OBJECT_CLASS (test_io_stream_parent_class)->finalize (object);
}

static void
test_io_stream_class_init (TestIOStreamClass *klass)
{
  G_IO_STREAM_CLASS (klass)->get_input_stream = test_io_stream_get_input_stream;
  G_IO_STREAM_CLASS (klass)->get_output_stream = test_io_stream_get_output_stream;
  G_IO_STREAM_CLASS (klass)->close_fn = test_io_stream_close;
  G_OBJECT_CLASS (klass)->finalize = test_io_stream_finalize;
}

static void
test_io_stream_init (TestIOStream *self)
{
}

static GIOStream *
wrap (GIOStream *base,
      GType      input_type,
      GType      output_type)
{
  TestIOStream *self = g_object_new (TEST_TYPE_IO_STREAM, NULL);
  TestPlainInputPrivate *input;
  TestPlainOutputPrivate *output;

  self->base = g_object_ref (base);
  self->input = g_object_new (input_type, NULL);
  self->output = g_object_new (output_type, NULL);

  input = test_plain_input_get_instance_private (TEST_PLAIN_INPUT (self->input));
  input->base = g_object_ref (g_io_stream_get_input_stream (base));
  output = test_plain_output_get_instance_private (TEST_PLAIN_OUTPUT (self->output));
  output->base = g_object_ref (g_io_stream_get_output_stream (base));

  return G_IO_STREAM (self);
}

GIOStream *
test_plain_stream_new (GIOStream *base)
{
  return wrap (base, TEST_TYPE_PLAIN_INPUT, TEST_TYPE_PLAIN_OUTPUT);
}

GIOStream *
test_pollable_stream_new (GIOStream *base)
{
  g_assert_true (G_IS_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (base)));
  g_assert_true (G_IS_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (base)));

  return wrap (base, test_pollable_input_get_type (), test_pollable_output_get_type ());
}
