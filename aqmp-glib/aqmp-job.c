/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-job-private.h"

#include "aqmp-protocol-private.h"
#include "aqmp-weak-ref-private.h"

/* Threads: the owner's, unless the documentation of a function says otherwise; not locked. */

/**
 * AqmpJob:
 *
 * A job of a QMP server: what commands such as `blockdev-mirror` begin, and what goes on when they have been answered.
 *
 * The object stands for the job with a certain id, whether there is one at the moment or not. It hears of everything that
 * happens to the job from the moment when it is made; so make it *before* the command that begins the job, which may be over before
 * the reply to that comes:
 *
 * ```c
 * g_autoptr (AqmpJob) job = aqmp_job_new (client, "copy0");
 * g_autoptr (JsonObject) arguments = aqmp_arguments_parse ("{\"job-id\": \"copy0\", …}", &error);
 * g_autoptr (JsonNode) reply = aqmp_client_execute_sync (client, "blockdev-backup", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, &error);
 *
 * if (reply == NULL || !aqmp_job_run_sync (job, NULL, &error))
 *   g_printerr ("%s\n", error->message);
 * ```
 *
 * [method@Job.run_async] takes it to its end, whatever that needs. The properties tell how it is going; they change, and are notified,
 * in the owner's context of the client.
 *
 * The client stays alive as long as the job object does. That may be made and dropped in any thread; the rest is to be called in
 * the owner's context, but for what says otherwise.
 *
 * Since: 1.0
 */
struct _AqmpJob
{
  GObject parent_instance;

  AqmpClient        *client;        /* (owned) */
  char              *id;            /* (owned) */
  AqmpEventListener *listener;      /* (owned) */

  /* Owner's thread. */
  char              *status;        /* (owned) (nullable): NULL until something is known */
  char              *type;          /* (owned) (nullable) */
  char              *error;         /* (owned) (nullable) */
  double             progress;
  guint              progress_interval;
  guint64            visit;
  gboolean           aborted;       /* it has failed, or was cancelled */
  gboolean           gone;          /* the server does not know it any more */
  gboolean           seen_whole;    /* nothing can have happened to it unseen since it was made, or was asked for */
  guint64            session;       /* in which that is so */
  GQueue             runs;          /* (element-type AqmpJobRun) (owned) */
  gboolean           notifying;     /* somebody is going to */
  guint              changed;       /* properties to be notified, one bit each */
};

G_DEFINE_FINAL_TYPE (AqmpJob, aqmp_job, G_TYPE_OBJECT)

typedef enum
{
  PROP_CLIENT = 1,
  PROP_ID,
  PROP_STATUS,
  PROP_TYPE,
  PROP_PROGRESS,
  PROP_ERROR,
  PROP_PROGRESS_INTERVAL,
} AqmpJobProperty;

static GParamSpec *properties[PROP_PROGRESS_INTERVAL + 1];

/* --- Telling ------------------------------------------------------------------------------------------------------ */

static gboolean
notify_now (gpointer user_data)
{
  g_autoptr (AqmpJob) self = g_weak_ref_get (user_data);
  guint changed;
  guint i;

  if (self == NULL)
    return G_SOURCE_REMOVE;

  self->notifying = FALSE;
  changed = self->changed;
  self->changed = 0;
  for (i = PROP_STATUS; i <= PROP_ERROR; i++)
    {
      if (changed & (1u << i))
        g_object_notify_by_pspec (G_OBJECT (self), properties[i]);
    }
  return G_SOURCE_REMOVE;
}

/* If it was not done because another thread has taken the client over, somebody has to do it later. */
static void
notify_done (gpointer data)
{
  g_autoptr (AqmpJob) self = g_weak_ref_get (data);

  if (self != NULL)
    self->notifying = FALSE;
  aqmp_weak_ref_free (data);
}

static void
notify_in_turn (AqmpJob *self)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (self->client);
  g_autoptr (GSource) source = NULL;

  if (aqmp_protocol_is_deferring (protocol))
    {
      aqmp_protocol_defer_call (protocol, notify_now, aqmp_weak_ref_new (self), notify_done);
      return;
    }

  source = g_idle_source_new ();
  g_source_set_name (source, "[aqmp] job");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, notify_now, aqmp_weak_ref_new (self), aqmp_weak_ref_free);
  g_source_attach (source, aqmp_protocol_get_private (protocol)->context);
}

/* Never at once: an event is being delivered, and may be inside a blocking call. */
static void
notify_later (AqmpJob         *self,
              AqmpJobProperty  property)
{
  self->changed |= 1u << property;
  if (!self->notifying)
    {
      self->notifying = TRUE;
      notify_in_turn (self);
    }
}

static void
set_string (AqmpJob         *self,
            char           **field,
            const char      *value,
            AqmpJobProperty  property)
{
  if (g_strcmp0 (*field, value) == 0)
    return;

  g_free (*field);
  *field = g_strdup (value);
  notify_later (self, property);
}

static void
set_progress (AqmpJob *self,
              double   progress)
{
  progress = CLAMP (progress, 0.0, 1.0);
  if (self->progress == progress)
    return;

  self->progress = progress;
  notify_later (self, PROP_PROGRESS);
}

static void
tell_runs (AqmpJob *self)
{
  GList *link;

  for (link = self->runs.head; link != NULL; link = link->next)
    aqmp_job_run_schedule (link->data);
}

/* --- What becomes known ------------------------------------------------------------------------------------------- */

/* (nullable) */
static const char *
get_string (JsonObject *object,
            const char *name)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, name) : NULL;

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

/* Of a job that is gone, another one may have the id. */
static void
forget (AqmpJob *self)
{
  self->aborted = FALSE;
  self->gone = FALSE;
  set_string (self, &self->type, NULL, PROP_TYPE);
  set_string (self, &self->error, NULL, PROP_ERROR);
  set_progress (self, 0.0);
}

static void
set_status (AqmpJob    *self,
            const char *status)
{
  if (g_strcmp0 (self->status, status) == 0)
    return;

  if (self->gone || g_strcmp0 (status, "created") == 0)
    forget (self);

  self->visit++;
  self->aborted = self->aborted || g_strcmp0 (status, "aborting") == 0;
  self->gone = g_strcmp0 (status, "null") == 0;
  set_string (self, &self->status, status, PROP_STATUS);
  tell_runs (self);
}

static gboolean
is_this_session (AqmpJob *self)
{
  return self->session == aqmp_protocol_get_private (AQMP_PROTOCOL (self->client))->session_serial;
}

/* In another session than before anything may have happened meanwhile. */
static void
enter_session (AqmpJob *self)
{
  if (!is_this_session (self))
    self->seen_whole = FALSE;
  self->session = aqmp_protocol_get_private (AQMP_PROTOCOL (self->client))->session_serial;
}

/* The server speaks of a job: in another session than before, it may be another one. */
static void
meet (AqmpJob *self)
{
  if (!is_this_session (self))
    forget (self);
  enter_session (self);
}

/* Once all is known that there is to be known at the moment. */
static void
consider_success (AqmpJob *self)
{
  if (aqmp_job_get_fate (self) == AQMP_JOB_SUCCEEDED)
    set_progress (self, 1.0);
}

static void
hear_status (AqmpJob    *self,
             JsonObject *data)
{
  const char *status = get_string (data, "status");

  if (status == NULL || g_strcmp0 (get_string (data, "id"), self->id) != 0)
    return;

  meet (self);
  /* A job that fails does so later, and not without saying. */
  if (!g_str_equal (status, "concluded") && !g_str_equal (status, "null"))
    self->seen_whole = TRUE;
  set_status (self, status);
  consider_success (self);
}

/* The status does not tell why. */
static void
hear_block_job_end (AqmpJob    *self,
                    JsonObject *data)
{
  if (g_strcmp0 (get_string (data, "device"), self->id) != 0)
    return;

  set_string (self, &self->type, get_string (data, "type"), PROP_TYPE);
  if (get_string (data, "error") != NULL)
    set_string (self, &self->error, get_string (data, "error"), PROP_ERROR);
}

/* Takes everything in as it arrives, and wants none of it kept. */
static gboolean
hear (AqmpEvent *event,
      gpointer   user_data)
{
  g_autoptr (AqmpJob) self = g_weak_ref_get (user_data);
  JsonObject *data = aqmp_event_get_data (event);

  if (self == NULL || data == NULL)
    return FALSE;

  if (g_str_equal (aqmp_event_get_name (event), "JOB_STATUS_CHANGE"))
    hear_status (self, data);
  else
    hear_block_job_end (self, data);
  return FALSE;
}

/* (transfer none) (nullable) */
static JsonObject *
find_entry (JsonNode   *answer,
            const char *id)
{
  JsonArray *array = JSON_NODE_HOLDS_ARRAY (answer) ? json_node_get_array (answer) : NULL;
  guint length = array != NULL ? json_array_get_length (array) : 0;
  guint i;

  for (i = 0; i < length; i++)
    {
      JsonNode *node = json_array_get_element (array, i);

      if (JSON_NODE_HOLDS_OBJECT (node) && g_strcmp0 (get_string (json_node_get_object (node), "id"), id) == 0)
        return json_node_get_object (node);
    }

  return NULL;
}

static double
get_number (JsonObject *object,
            const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node) : 0.0;
}

static void
take_entry (AqmpJob    *self,
            JsonObject *entry)
{
  double total = get_number (entry, "total-progress");

  meet (self);
  self->seen_whole = TRUE;
  if (get_string (entry, "status") != NULL)
    set_status (self, get_string (entry, "status"));
  set_string (self, &self->type, get_string (entry, "type"), PROP_TYPE);
  if (get_string (entry, "error") != NULL)
    set_string (self, &self->error, get_string (entry, "error"), PROP_ERROR);
  if (total > 0.0)
    set_progress (self, get_number (entry, "current-progress") / total);
  consider_success (self);
}

/* What was not at its end when it was last heard of has come there unseen. */
static void
take_absence (AqmpJob *self)
{
  enter_session (self);
  if (g_strcmp0 (self->status, "concluded") != 0)
    self->seen_whole = FALSE;
  set_status (self, "null");
}

gboolean
aqmp_job_take_answer (AqmpJob  *self,
                      JsonNode *answer,
                      guint64   visit)
{
  JsonObject *entry = find_entry (answer, self->id);

  if (self->visit != visit)
    return FALSE;

  if (entry != NULL)
    take_entry (self, entry);
  else if (self->status != NULL && !self->gone)
    take_absence (self);
  return TRUE;
}

AqmpJobFate
aqmp_job_get_fate (AqmpJob *self)
{
  gboolean concluded = g_strcmp0 (self->status, "concluded") == 0;

  if (self->status == NULL)
    return AQMP_JOB_UNKNOWN;
  if (!self->gone && !concluded)
    return AQMP_JOB_ALIVE;
  if (self->aborted || self->error != NULL)
    return AQMP_JOB_FAILED;
  return self->seen_whole ? AQMP_JOB_SUCCEEDED : AQMP_JOB_GONE;
}

gboolean
aqmp_job_has_status (AqmpJob    *self,
                     const char *status)
{
  return is_this_session (self) && g_strcmp0 (self->status, status) == 0;
}

gboolean
aqmp_job_is_gone (AqmpJob *self)
{
  return self->gone;
}

guint64
aqmp_job_get_visit (AqmpJob *self)
{
  return self->visit;
}

AqmpEventListener *
aqmp_job_get_listener (AqmpJob *self)
{
  return self->listener;
}

void
aqmp_job_add_run (AqmpJob    *self,
                  AqmpJobRun *run)
{
  g_queue_push_tail (&self->runs, g_atomic_rc_box_acquire (run));
}

void
aqmp_job_remove_run (AqmpJob    *self,
                     AqmpJobRun *run)
{
  if (g_queue_remove (&self->runs, run))
    aqmp_job_run_unref (run);
}

/* --- Public ------------------------------------------------------------------------------------------------------- */

/**
 * aqmp_job_new:
 * @client: a client
 * @id: the id of a job, which need not exist yet
 *
 * Makes an object that stands for a job. Nothing is asked of the server yet.
 *
 * May be called from any thread.
 *
 * Returns: (transfer full): a job
 *
 * Since: 1.0
 */
AqmpJob *
aqmp_job_new (AqmpClient *client,
              const char *id)
{
  g_return_val_if_fail (AQMP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (id != NULL, NULL);

  return g_object_new (AQMP_TYPE_JOB, "client", client, "id", id, NULL);
}

/**
 * aqmp_job_get_client: (get-property client)
 * @self: a job
 *
 * Gets the client of the server that has the job.
 *
 * May be called from any thread.
 *
 * Returns: (transfer none): the client, valid as long as @self
 *
 * Since: 1.0
 */
AqmpClient *
aqmp_job_get_client (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), NULL);

  return self->client;
}

/**
 * aqmp_job_get_id: (get-property id)
 * @self: a job
 *
 * Gets the id of the job.
 *
 * May be called from any thread.
 *
 * Returns: the id, valid as long as @self
 *
 * Since: 1.0
 */
const char *
aqmp_job_get_id (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), NULL);

  return self->id;
}

/**
 * aqmp_job_get_status: (get-property status)
 * @self: a job
 *
 * Gets the status of the job, in the server's words: `created`, `running`, `paused`, `ready`, `standby`, `waiting`, `pending`,
 * `aborting`, `concluded`, or `null` when it is gone.
 *
 * To be called in the owner's context.
 *
 * Returns: (nullable): the status, valid until it changes; %NULL if nothing is known yet
 *
 * Since: 1.0
 */
const char *
aqmp_job_get_status (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), NULL);

  return self->status;
}

/**
 * aqmp_job_get_job_type: (get-property type)
 * @self: a job
 *
 * Gets what kind of job it is, in the server's words: `mirror`, `backup`, `create` and so on.
 *
 * To be called in the owner's context.
 *
 * Returns: (nullable): the type, valid until it changes; %NULL if that is not known yet
 *
 * Since: 1.0
 */
const char *
aqmp_job_get_job_type (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), NULL);

  return self->type;
}

/**
 * aqmp_job_get_progress: (get-property progress)
 * @self: a job
 *
 * Gets how much of the job is done, as the server has last told.
 *
 * To be called in the owner's context.
 *
 * Returns: from 0.0 to 1.0
 *
 * Since: 1.0
 */
double
aqmp_job_get_progress (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), 0.0);

  return self->progress;
}

/**
 * aqmp_job_get_error: (get-property error)
 * @self: a job
 *
 * Gets why the job has failed, in the server's words.
 *
 * To be called in the owner's context.
 *
 * Returns: (nullable): a message, valid until it changes; %NULL if it has not failed, or did not say why yet
 *
 * Since: 1.0
 */
const char *
aqmp_job_get_error (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), NULL);

  return self->error;
}

/**
 * aqmp_job_get_progress_interval: (get-property progress-interval)
 * @self: a job
 *
 * Gets how often the server is asked for the progress. To be called in the owner's context.
 *
 * Returns: a number of milliseconds; 0 for never
 *
 * Since: 1.0
 */
guint
aqmp_job_get_progress_interval (AqmpJob *self)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), 0);

  return self->progress_interval;
}

/**
 * aqmp_job_set_progress_interval: (set-property progress-interval)
 * @self: a job
 * @progress_interval: a number of milliseconds; 0 for never
 *
 * Sets how often the server is asked for the progress, from the next [method@Job.run_async] or [method@Job.wait_status_async] on. To be
 * called in the owner's context.
 *
 * Since: 1.0
 */
void
aqmp_job_set_progress_interval (AqmpJob *self,
                                guint    progress_interval)
{
  g_return_if_fail (AQMP_IS_JOB (self));
  g_return_if_fail (progress_interval <= G_MAXINT);

  if (self->progress_interval == progress_interval)
    return;

  self->progress_interval = progress_interval;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_PROGRESS_INTERVAL]);
}

/* --- Class -------------------------------------------------------------------------------------------------------- */

static void
aqmp_job_get_property (GObject    *object,
                       guint       property_id,
                       GValue     *value,
                       GParamSpec *pspec)
{
  AqmpJob *self = AQMP_JOB (object);

  switch ((AqmpJobProperty) property_id)
    {
    case PROP_CLIENT:
      g_value_set_object (value, self->client);
      break;

    case PROP_ID:
      g_value_set_string (value, self->id);
      break;

    case PROP_STATUS:
      g_value_set_string (value, self->status);
      break;

    case PROP_TYPE:
      g_value_set_string (value, self->type);
      break;

    case PROP_PROGRESS:
      g_value_set_double (value, self->progress);
      break;

    case PROP_ERROR:
      g_value_set_string (value, self->error);
      break;

    case PROP_PROGRESS_INTERVAL:
      g_value_set_uint (value, self->progress_interval);
      break;

    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_job_set_property (GObject      *object,
                       guint         property_id,
                       const GValue *value,
                       GParamSpec   *pspec)
{
  AqmpJob *self = AQMP_JOB (object);

  switch ((AqmpJobProperty) property_id)
    {
    case PROP_CLIENT:
      self->client = g_value_dup_object (value);
      break;

    case PROP_ID:
      self->id = g_strdup (g_value_get_string (value) != NULL ? g_value_get_string (value) : "");
      break;

    case PROP_PROGRESS_INTERVAL:
      aqmp_job_set_progress_interval (self, g_value_get_uint (value));
      break;

    case PROP_STATUS:
    case PROP_TYPE:
    case PROP_PROGRESS:
    case PROP_ERROR:
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
aqmp_job_constructed (GObject *object)
{
  static const char * const names[] = { "JOB_STATUS_CHANGE", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED", NULL };
  AqmpJob *self = AQMP_JOB (object);

  G_OBJECT_CLASS (aqmp_job_parent_class)->constructed (object);

  /* Without a client there is nothing to be heard; that was a mistake, which using it will tell. */
  if (self->client == NULL)
    self->client = aqmp_client_new (NULL);
  self->listener = aqmp_client_listen (self->client, names, hear, aqmp_weak_ref_new (self), aqmp_weak_ref_free);
}

static void
aqmp_job_dispose (GObject *object)
{
  AqmpJob *self = AQMP_JOB (object);

  aqmp_event_listener_stop (self->listener);

  G_OBJECT_CLASS (aqmp_job_parent_class)->dispose (object);
}

static void
aqmp_job_finalize (GObject *object)
{
  AqmpJob *self = AQMP_JOB (object);

  g_object_unref (self->listener);
  g_object_unref (self->client);
  g_free (self->id);
  g_free (self->status);
  g_free (self->type);
  g_free (self->error);

  G_OBJECT_CLASS (aqmp_job_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  const GParamFlags once = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  /**
   * AqmpJob:client: (getter get_client)
   *
   * The client of the server that has the job.
   *
   * Since: 1.0
   */
  properties[PROP_CLIENT] = g_param_spec_object ("client", NULL, NULL, AQMP_TYPE_CLIENT, once);

  /**
   * AqmpJob:id: (getter get_id)
   *
   * The id of the job.
   *
   * Since: 1.0
   */
  properties[PROP_ID] = g_param_spec_string ("id", NULL, NULL, "", once);

  /**
   * AqmpJob:status: (getter get_status)
   *
   * The status of the job, in the server's words, or %NULL if nothing is known yet; see [method@Job.get_status]. What changes it is
   * the event `JOB_STATUS_CHANGE`, and what the server answers when it is asked.
   *
   * Since: 1.0
   */
  properties[PROP_STATUS] = g_param_spec_string ("status", NULL, NULL, NULL, readable);

  /**
   * AqmpJob:type: (getter get_job_type)
   *
   * What kind of job it is, in the server's words, or %NULL if that is not known yet.
   *
   * Since: 1.0
   */
  properties[PROP_TYPE] = g_param_spec_string ("type", NULL, NULL, NULL, readable);

  /**
   * AqmpJob:progress: (getter get_progress)
   *
   * How much of the job is done, from 0 to 1. It is asked for whenever the server is asked for anything about the job, and every
   * [property@Job:progress-interval] meanwhile; a job that has succeeded is at 1.
   *
   * Since: 1.0
   */
  properties[PROP_PROGRESS] = g_param_spec_double ("progress", NULL, NULL, 0.0, 1.0, 0.0, readable);

  /**
   * AqmpJob:error: (getter get_error)
   *
   * Why the job has failed, in the server's words, or %NULL.
   *
   * Since: 1.0
   */
  properties[PROP_ERROR] = g_param_spec_string ("error", NULL, NULL, NULL, readable);

  /**
   * AqmpJob:progress-interval: (getter get_progress_interval) (setter set_progress_interval)
   *
   * How often the server is asked for the progress while [method@Job.run_async] or [method@Job.wait_status_async] waits, in
   * milliseconds; 0 for never.
   *
   * Since: 1.0
   */
  properties[PROP_PROGRESS_INTERVAL] = g_param_spec_uint ("progress-interval", NULL, NULL, 0, G_MAXINT, 1000, writable);

  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);
}

static void
aqmp_job_class_init (AqmpJobClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = aqmp_job_get_property;
  object_class->set_property = aqmp_job_set_property;
  object_class->constructed = aqmp_job_constructed;
  object_class->dispose = aqmp_job_dispose;
  object_class->finalize = aqmp_job_finalize;
  install_properties (object_class);
}

static void
aqmp_job_init (AqmpJob *self)
{
  self->progress_interval = 1000;
  g_queue_init (&self->runs);
}
