/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-result-private.h"

#include "aqmp-spare-private.h"

/* Threads: made in the caller's, returned in any, called back and propagated in the caller's. Not locked: each of these comes
   before the next. */

struct _AqmpResult
{
  GObject parent_instance;

  GObject             *source_object;  /* (owned) */
  gpointer             source_tag;
  GMainContext        *context;        /* (owned) (nullable): NULL is the global default one */
  GCancellable        *cancellable;    /* (owned) (nullable) */
  GAsyncReadyCallback  callback;       /* (nullable) */
  gpointer             user_data;
  GSource             *made_in;        /* (unowned) (nullable): being dispatched when it was made; may be gone since */
  guint                turn;           /* which was then */

  gboolean             returned;
  gpointer             result;         /* (owned) (nullable) */
  GDestroyNotify       destroy;        /* (nullable) */
  GError              *error;          /* (owned) (nullable) */
};

static void aqmp_result_async_result_init (GAsyncResultIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (AqmpResult, aqmp_result, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_ASYNC_RESULT, aqmp_result_async_result_init))

/* --- Life --------------------------------------------------------------------------------------------------------- */

/* What a thread knows. */
static _Thread_local guint turn;
static _Thread_local AqmpSpare spare;

static void
clear (AqmpResult *self)
{
  if (self->destroy != NULL && self->result != NULL)
    self->destroy (g_steal_pointer (&self->result));
  g_clear_error (&self->error);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_clear_object (&self->source_object);
}

static void
let_go (AqmpResult *self)
{
  if (!aqmp_spare_is_unknown (self))
    {
      g_object_unref (self);
      return;
    }

  /* What it held may be somebody's last reference, and what comes of that let go of others. */
  clear (self);
  self->returned = FALSE;
  aqmp_spare_keep (&spare, self);
}

void
aqmp_result_begin_turn (void)
{
  turn++;
}

AqmpResult *
aqmp_result_new (gpointer             source_object,
                 GCancellable        *cancellable,
                 GAsyncReadyCallback  callback,
                 gpointer             user_data,
                 gpointer             source_tag)
{
  AqmpResult *self = aqmp_spare_take (&spare, AQMP_TYPE_RESULT);
  GMainContext *context = g_main_context_get_thread_default ();

  self->source_object = g_object_ref (source_object);
  self->source_tag = source_tag;
  self->context = context != NULL ? g_main_context_ref (context) : NULL;
  self->cancellable = cancellable != NULL ? g_object_ref (cancellable) : NULL;
  self->callback = callback;
  self->user_data = user_data;
  self->made_in = g_main_current_source ();
  self->turn = turn;
  return self;
}

gpointer
aqmp_result_get_source (AqmpResult *self)
{
  return self->source_object;
}

GMainContext *
aqmp_result_get_context (AqmpResult *self)
{
  return self->context != NULL ? self->context : g_main_context_default ();
}

GCancellable *
aqmp_result_get_cancellable (AqmpResult *self)
{
  return self->cancellable;
}

/* --- Returning ---------------------------------------------------------------------------------------------------- */

/* What the callback begins is to come back to the same context. */
static void
call_back (AqmpResult *self)
{
  gboolean pushes = g_main_context_get_thread_default () != self->context;

  if (self->callback == NULL)
    return;

  if (pushes)
    g_main_context_push_thread_default (self->context);
  self->callback (self->source_object, G_ASYNC_RESULT (self), self->user_data);
  if (pushes)
    g_main_context_pop_thread_default (self->context);
}

static gboolean
call_back_later (gpointer self)
{
  call_back (self);
  return G_SOURCE_REMOVE;
}

/* Called back inside the very dispatch that it was made in, whoever answers a callback with the next call could be inside
   ever more of them. A later one of the same source is taken for the same unless a turn has begun, which only makes it later; and
   the same one for a later, if something has run the loop in it and a turn has begun in there, so that nothing is inside any more. */
static gboolean
is_time_for_it (AqmpResult *self)
{
  GSource *source = g_main_current_source ();

  return source != NULL && g_source_get_context (source) == aqmp_result_get_context (self) &&
         (source != self->made_in || turn != self->turn);
}

/* The context is kept, too: once the source is attached another thread may be through with both, and GLib looks into the source
   for its context without any lock. */
static void
return_later (AqmpResult *self)
{
  g_autoptr (GMainContext) context = g_main_context_ref (aqmp_result_get_context (self));
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_name (source, "[aqmp] reply");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, call_back_later, self, g_object_unref);
  g_source_attach (source, context);
}

void
aqmp_result_return (AqmpResult     *self,
                    gpointer        result,
                    GDestroyNotify  destroy,
                    GError         *error)
{
  g_assert (!self->returned);
  self->returned = TRUE;
  self->result = result;
  self->destroy = destroy;
  self->error = error;

  if (!is_time_for_it (self))
    {
      return_later (self);
      return;
    }

  call_back (self);
  let_go (self);
}

gboolean
aqmp_result_is_valid (gpointer result,
                      gpointer source_object,
                      gpointer source_tag)
{
  return AQMP_IS_RESULT (result) && AQMP_RESULT (result)->source_object == source_object &&
         AQMP_RESULT (result)->source_tag == source_tag;
}

gpointer
aqmp_result_propagate (gpointer   result,
                       GError   **error)
{
  AqmpResult *self = AQMP_RESULT (result);

  if (self->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&self->error));
      return NULL;
    }

  self->destroy = NULL;
  return g_steal_pointer (&self->result);
}

/* --- Class -------------------------------------------------------------------------------------------------------- */

static gpointer
aqmp_result_get_user_data (GAsyncResult *result)
{
  return AQMP_RESULT (result)->user_data;
}

static GObject *
aqmp_result_get_source_object (GAsyncResult *result)
{
  return g_object_ref (AQMP_RESULT (result)->source_object);
}

static gboolean
aqmp_result_is_tagged (GAsyncResult *result,
                       gpointer      source_tag)
{
  return AQMP_RESULT (result)->source_tag == source_tag;
}

static void
aqmp_result_async_result_init (GAsyncResultIface *iface)
{
  iface->get_user_data = aqmp_result_get_user_data;
  iface->get_source_object = aqmp_result_get_source_object;
  iface->is_tagged = aqmp_result_is_tagged;
}

static void
aqmp_result_finalize (GObject *object)
{
  clear (AQMP_RESULT (object));

  G_OBJECT_CLASS (aqmp_result_parent_class)->finalize (object);
}

static void
aqmp_result_class_init (AqmpResultClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = aqmp_result_finalize;
}

static void
aqmp_result_init (AqmpResult *self)
{
}
