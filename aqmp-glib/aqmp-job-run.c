/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-job-private.h"

#include <glib/gi18n-lib.h>

#include "aqmp-error.h"
#include "aqmp-protocol-private.h"
#include "aqmp-watch-private.h"

/* Threads: the owner's, but for the beginning and for cancelling, which are for any. */

/* Each change of the job, and each answer, leads to one look at what is to be done next; that is at most one command at a time. What
   was heard of the job before an answer came is newer than the answer: then the server is asked again.

   All of it runs in the owner's context, in the one that was this when it began: in a blocking call that is the call's own. */

typedef enum
{
  GOAL_REFRESH,  /* know */
  GOAL_STATUS,   /* see a certain status */
  GOAL_END,      /* see it gone */
} Goal;

struct _AqmpJobRun
{
  AqmpJob      *job;              /* (owned) */
  GTask        *task;             /* (owned) (nullable): until it is returned */
  gboolean      begun;            /* under the protocol's lock, as the task is before that */
  GMainContext *context;          /* (owned) (nullable): from then on */
  Goal          goal;
  char         *status;           /* (owned) (nullable): of GOAL_STATUS */
  AqmpWatch     watch;
  GCancellable *session_watch;    /* (owned): of the wait for the end of the session */
  gboolean      looking;          /* a look is to come */
  gboolean      seen;             /* the status that is waited for, be it gone by the time of the look */
  GSource      *progress_source;  /* (owned) (nullable) */
  gboolean      cancelled;
  gboolean      busy;             /* a command is to be answered */
  gboolean      asked;            /* the server has answered once */
  gboolean      stale;            /* the progress */
  gboolean      cancel_accepted;
  guint64       asked_visit;      /* when it last answered */
  guint64       acted_visit;      /* of the last command that was to change the status */
  guint64       cancel_visit;     /* likewise, of job-cancel */
  guint64       sent_visit;       /* of the command that is to be answered */
  GError       *refusal;          /* (owned) (nullable): of a command that was to change the status, at acted_visit */
};

#define NO_VISIT G_MAXUINT64

static void
run_clear (gpointer data)
{
  AqmpJobRun *run = data;

  g_assert (run->task == NULL);
  g_free (run->status);
  g_clear_error (&run->refusal);
  g_object_unref (run->session_watch);
  g_object_unref (run->job);
  g_clear_pointer (&run->context, g_main_context_unref);
}

void
aqmp_job_run_unref (gpointer run)
{
  g_atomic_rc_box_release_full (run, run_clear);
}

static AqmpJobRun *
run_ref (AqmpJobRun *run)
{
  return g_atomic_rc_box_acquire (run);
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

/* @error: (transfer full) (nullable) */
static void
end (AqmpJobRun *run,
     GError     *error)
{
  g_autoptr (GTask) task = g_steal_pointer (&run->task);

  aqmp_watch_stop (&run->watch);
  if (run->progress_source != NULL)
    g_source_destroy (run->progress_source);
  g_clear_pointer (&run->progress_source, g_source_unref);
  g_cancellable_cancel (run->session_watch);
  if (run->begun)
    aqmp_job_remove_run (run->job, run);

  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static GError *
failure (AqmpJobRun *run)
{
  const char *id = aqmp_job_get_id (run->job);
  const char *error = aqmp_job_get_error (run->job);

  if (run->cancel_accepted)
    return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("The job “%s” was cancelled"), id);
  if (error != NULL)
    return g_error_new (AQMP_ERROR, AQMP_ERROR_JOB, _("The job “%s” has failed: %s"), id, error);
  return g_error_new (AQMP_ERROR, AQMP_ERROR_JOB, _("The job “%s” has failed, or somebody has cancelled it"), id);
}

static GError *
unknown (AqmpJobRun *run)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                      _("The server has no job “%s”: either it was not begun, or it was over before this object was made"),
                      aqmp_job_get_id (run->job));
}

static GError *
not_seen (AqmpJobRun *run)
{
  return g_error_new (AQMP_ERROR, AQMP_ERROR_JOB, _("The job “%s” is gone, and nobody has seen how it ended"),
                      aqmp_job_get_id (run->job));
}

static void
end_by_fate (AqmpJobRun *run)
{
  switch (aqmp_job_get_fate (run->job))
    {
    case AQMP_JOB_SUCCEEDED:
      end (run, NULL);
      break;
    case AQMP_JOB_FAILED:
      end (run, failure (run));
      break;
    case AQMP_JOB_GONE:
      end (run, not_seen (run));
      break;
    case AQMP_JOB_UNKNOWN:
    case AQMP_JOB_ALIVE:
    default:
      end (run, unknown (run));
    }
}

static void
end_of_job (AqmpJobRun *run)
{
  if (run->goal != GOAL_STATUS || g_str_equal (run->status, "null"))
    end_by_fate (run);
  else if (aqmp_job_get_fate (run->job) == AQMP_JOB_FAILED)
    end (run, failure (run));
  else
    end (run, g_error_new (AQMP_ERROR, AQMP_ERROR_JOB, _("The job “%s” has ended, without having been “%s”"),
                           aqmp_job_get_id (run->job), run->status));
}

/* There is no session any more. The last that came of it may have been what was waited for. @error: (transfer full) */
static void
end_with_session (AqmpJobRun *run,
                  GError     *error)
{
  gboolean seen = run->goal == GOAL_STATUS && run->seen;

  if (run->goal == GOAL_REFRESH || (!seen && !aqmp_job_is_gone (run->job)))
    {
      end (run, error);
      return;
    }

  g_error_free (error);
  if (seen)
    end (run, NULL);
  else
    end_of_job (run);
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */

static void
execute (AqmpJobRun          *run,
         const char          *command,
         JsonObject          *arguments,
         GAsyncReadyCallback  callback)
{
  run->busy = TRUE;
  run->sent_visit = aqmp_job_get_visit (run->job);

  /* Whoever runs the context need not have made it the thread-default one. */
  g_main_context_push_thread_default (run->context);
  aqmp_client_execute_async (aqmp_job_get_client (run->job), command, arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, callback,
                             run_ref (run));
  g_main_context_pop_thread_default (run->context);
}

static void
asked (GObject      *client,
       GAsyncResult *result,
       gpointer      user_data)
{
  AqmpJobRun *run = user_data;
  GError *error = NULL;
  g_autoptr (JsonNode) answer = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  run->busy = FALSE;
  if (run->task == NULL)
    g_clear_error (&error);
  else if (answer == NULL)
    end_with_session (run, error);
  else if (!JSON_NODE_HOLDS_ARRAY (answer))
    end (run, g_error_new_literal (AQMP_ERROR, AQMP_ERROR_BAD_REPLY, _("The server’s answer to “query-jobs” is no array")));
  else
    {
      if (aqmp_job_take_answer (run->job, answer, run->sent_visit))
        {
          run->asked = TRUE;
          run->stale = FALSE;
          run->asked_visit = aqmp_job_get_visit (run->job);
        }
      aqmp_job_run_schedule (run);
    }
  aqmp_job_run_unref (run);
}

static void
ask (AqmpJobRun *run)
{
  execute (run, "query-jobs", NULL, asked);
}

/* What was refused because the job had already moved on is of no interest. @error: (transfer full) (nullable) */
static void
take_refusal (AqmpJobRun *run,
              GError     *error)
{
  run->busy = FALSE;
  if (run->task == NULL)
    g_clear_error (&error);
  else if (error != NULL && error->domain != AQMP_EXEC_ERROR)
    end_with_session (run, error);
  else
    {
      g_clear_error (&run->refusal);
      run->refusal = error;
      run->asked_visit = NO_VISIT;
      aqmp_job_run_schedule (run);
    }
}

static void
acted (GObject      *client,
       GAsyncResult *result,
       gpointer      user_data)
{
  AqmpJobRun *run = user_data;
  GError *error = NULL;
  G_GNUC_UNUSED g_autoptr (JsonNode) answer = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  take_refusal (run, error);
  aqmp_job_run_unref (run);
}

static void
cancel_answered (GObject      *client,
                 GAsyncResult *result,
                 gpointer      user_data)
{
  AqmpJobRun *run = user_data;
  GError *error = NULL;
  g_autoptr (JsonNode) answer = aqmp_client_execute_finish (AQMP_CLIENT (client), result, &error);

  run->cancel_accepted = run->cancel_accepted || answer != NULL;
  take_refusal (run, error);
  aqmp_job_run_unref (run);
}

static void
act (AqmpJobRun          *run,
     const char          *command,
     GAsyncReadyCallback  callback)
{
  g_autoptr (JsonObject) arguments = json_object_new ();

  json_object_set_string_member (arguments, "id", aqmp_job_get_id (run->job));
  execute (run, command, arguments, callback);
}

/* Once for each time that the job gets there. */
static void
advance (AqmpJobRun *run,
         const char *command)
{
  guint64 visit = aqmp_job_get_visit (run->job);

  if (run->acted_visit == visit)
    return;

  run->acted_visit = visit;
  act (run, command, acted);
}

static void
cancel_job (AqmpJobRun *run)
{
  run->cancel_visit = aqmp_job_get_visit (run->job);
  act (run, "job-cancel", cancel_answered);
}

/* --- What is to be done next -------------------------------------------------------------------------------------- */

static gboolean
is_any_of (const char *status,
           const char *first,
           const char *second,
           const char *third)
{
  return g_str_equal (status, first) || g_str_equal (status, second) || g_str_equal (status, third);
}

static gboolean
is_fresh (AqmpJobRun *run)
{
  return run->asked_visit == aqmp_job_get_visit (run->job);
}

/* Neither what is over already nor what was asked for before. */
static gboolean
has_to_cancel (AqmpJobRun *run,
               const char *status)
{
  return run->cancelled && !run->cancel_accepted && run->cancel_visit != aqmp_job_get_visit (run->job) &&
         !is_any_of (status, "aborting", "concluded", "null");
}

/* A job that finalizes and dismisses itself is only told to if the server says that it is still there. */
static void
take_to_end (AqmpJobRun *run,
             const char *status)
{
  if (has_to_cancel (run, status))
    cancel_job (run);
  else if (g_str_equal (status, "ready"))
    {
      if (!run->cancel_accepted)
        advance (run, "job-complete");
    }
  else if (is_any_of (status, "pending", "aborting", "concluded") && !is_fresh (run))
    ask (run);
  else if (g_str_equal (status, "pending"))
    advance (run, "job-finalize");
  else if (g_str_equal (status, "concluded"))
    advance (run, "job-dismiss");
}

/* It will be nothing else any more, but stays until somebody dismisses it. The answer has the reason, if it has failed. */
static void
end_of_kept_job (AqmpJobRun *run)
{
  if (is_fresh (run))
    end_of_job (run);
  else
    ask (run);
}

/* TRUE: it was, in one way or another. */
static gboolean
is_reached (AqmpJobRun *run,
            const char *status)
{
  if (run->goal == GOAL_REFRESH || (run->goal == GOAL_STATUS && run->seen))
    end (run, NULL);
  else if (aqmp_job_is_gone (run->job))
    end_of_job (run);
  else if (run->goal == GOAL_STATUS && g_str_equal (status, "concluded") && !g_str_equal (run->status, "null"))
    end_of_kept_job (run);
  else
    return FALSE;

  return TRUE;
}

/* TRUE: that is the end, or has to be asked about first. */
static gboolean
was_refused (AqmpJobRun *run)
{
  guint64 visit = aqmp_job_get_visit (run->job);

  if (run->refusal == NULL)
    return FALSE;

  if (run->acted_visit != visit && run->cancel_visit != visit)
    {
      g_clear_error (&run->refusal);
      return FALSE;
    }

  if (is_fresh (run))
    end (run, g_steal_pointer (&run->refusal));
  else
    ask (run);
  return TRUE;
}

static void
look (AqmpJobRun *run)
{
  const char *status = aqmp_job_get_status (run->job);

  if (run->task == NULL)
    return;

  if (run->cancelled && run->goal != GOAL_END)
    end (run, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled")));
  else if (run->busy)
    return;
  else if (!run->asked || run->stale)
    ask (run);
  else if (status == NULL)
    end (run, unknown (run));
  else if (!is_reached (run, status) && !was_refused (run) && run->goal == GOAL_END)
    take_to_end (run, status);
}

static gboolean
look_in_turn (gpointer user_data)
{
  AqmpJobRun *run = user_data;

  run->looking = FALSE;
  look (run);
  return G_SOURCE_REMOVE;
}

/* Never at once: an event or a reply is being delivered. */
void
aqmp_job_run_schedule (AqmpJobRun *run)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (aqmp_job_get_client (run->job));
  g_autoptr (GSource) source = NULL;

  run->seen = run->seen || aqmp_job_has_status (run->job, run->status);
  if (run->task == NULL || run->looking)
    return;

  run->looking = TRUE;
  if (run->context != aqmp_protocol_get_private (protocol)->context && aqmp_protocol_is_deferring (protocol))
    {
      aqmp_protocol_defer_call (protocol, look_in_turn, run_ref (run), aqmp_job_run_unref);
      return;
    }

  source = g_idle_source_new ();
  g_source_set_name (source, "[aqmp] what to do about a job");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, look_in_turn, run_ref (run), aqmp_job_run_unref);
  g_source_attach (source, run->context);
}

static gboolean
progress_is_stale (gpointer user_data)
{
  AqmpJobRun *run = user_data;

  run->stale = TRUE;
  look (run);
  return G_SOURCE_CONTINUE;
}

/* --- The beginning ------------------------------------------------------------------------------------------------ */

/* The last that came of it may have been that the job is over. */
static void
session_ended (GObject      *listener,
               GAsyncResult *result,
               gpointer      user_data)
{
  AqmpJobRun *run = user_data;
  GError *error = NULL;
  g_autoptr (AqmpEvent) none = aqmp_event_listener_next_finish (AQMP_EVENT_LISTENER (listener), result, &error);

  g_assert (none == NULL);
  if (run->task != NULL)
    end_with_session (run, error);
  else
    g_clear_error (&error);
  aqmp_job_run_unref (run);
}

static void
watch_progress (AqmpJobRun *run)
{
  guint interval = aqmp_job_get_progress_interval (run->job);

  if (interval == 0 || run->goal == GOAL_REFRESH)
    return;

  run->progress_source = g_timeout_source_new (interval);
  g_source_set_name (run->progress_source, "[aqmp] progress of a job");
  g_source_set_callback (run->progress_source, progress_is_stale, run_ref (run), aqmp_job_run_unref);
  g_source_attach (run->progress_source, run->context);
}

/* Whoever has asked to run the job has cancelled that before it began, and is told already. */
static void
cancel_unseen (AqmpJobRun *run)
{
  g_autoptr (JsonObject) arguments = json_object_new ();

  json_object_set_string_member (arguments, "id", aqmp_job_get_id (run->job));
  aqmp_client_execute_async (aqmp_job_get_client (run->job), "job-cancel", arguments, AQMP_EXECUTE_FLAGS_NONE, NULL, NULL, NULL);
}

/* Owner's context, or that of the blocking call that this is. */
static gboolean
begin (gpointer user_data)
{
  AqmpJobRun *run = user_data;
  AqmpProtocol *protocol = AQMP_PROTOCOL (aqmp_job_get_client (run->job));
  AqmpProtocolPrivate *priv = aqmp_protocol_get_private (protocol);
  gboolean given_up;

  aqmp_protocol_lock (protocol);
  run->begun = TRUE;
  given_up = run->task == NULL;
  aqmp_protocol_unlock (protocol);
  if (given_up)
    {
      if (run->goal == GOAL_END)
        cancel_unseen (run);
      return G_SOURCE_REMOVE;
    }

  run->context = g_main_context_ref (g_task_get_context (run->task) == priv->context ? priv->context :
                                     aqmp_protocol_get_outer_context (protocol));
  aqmp_job_add_run (run->job, run);

  g_main_context_push_thread_default (run->context);
  aqmp_event_listener_next_async (aqmp_job_get_listener (run->job), run->session_watch, session_ended, run_ref (run));
  g_main_context_pop_thread_default (run->context);

  watch_progress (run);
  aqmp_job_run_schedule (run);
  return G_SOURCE_REMOVE;
}

static gboolean
look_cancelled (gpointer user_data)
{
  AqmpJobRun *run = user_data;

  run->cancelled = TRUE;
  look (run);
  return G_SOURCE_REMOVE;
}

/* In the context of the caller. As long as the owner has not begun, there is nothing that would have to be ended. */
static gboolean
cancelled (gpointer      operation,
           const GError *error,
           gboolean      urgently)
{
  AqmpJobRun *run = operation;
  AqmpProtocol *protocol = AQMP_PROTOCOL (aqmp_job_get_client (run->job));
  g_autoptr (GTask) task = NULL;
  gboolean begun;

  aqmp_protocol_lock (protocol);
  begun = run->begun;
  if (!begun)
    task = g_steal_pointer (&run->task);
  aqmp_protocol_unlock (protocol);

  if (task != NULL)
    {
      aqmp_watch_stop (&run->watch);
      g_task_return_error (task, g_error_copy (error));
    }
  else if (begun)
    aqmp_protocol_invoke (protocol, look_cancelled, run_ref (run), aqmp_job_run_unref);
  return TRUE;
}

/* @status: (nullable): of GOAL_STATUS */
static void
start (AqmpJob             *self,
       Goal                 goal,
       const char          *status,
       GCancellable        *cancellable,
       GAsyncReadyCallback  callback,
       gpointer             user_data,
       gpointer             source_tag)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (aqmp_job_get_client (self));
  AqmpJobRun *run = g_atomic_rc_box_new0 (AqmpJobRun);
  GError *error = NULL;

  run->job = g_object_ref (self);
  run->goal = goal;
  run->status = g_strdup (status);
  run->session_watch = g_cancellable_new ();
  run->asked_visit = NO_VISIT;
  run->acted_visit = NO_VISIT;
  run->cancel_visit = NO_VISIT;
  run->task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (run->task, source_tag);
  g_task_set_name (run->task, "[aqmp] job");
  g_task_set_check_cancellable (run->task, FALSE);

  /* Nobody need wait for the owner to say so. */
  if (!aqmp_protocol_require_runstate (protocol, AQMP_RUNSTATE_RUNNING, &error))
    {
      end (run, error);
      aqmp_job_run_unref (run);
      return;
    }

  aqmp_watch_start (&run->watch, run->task, 0, cancelled, run, aqmp_job_run_unref);
  aqmp_protocol_invoke (protocol, begin, run, aqmp_job_run_unref);
}

/* --- Public ------------------------------------------------------------------------------------------------------- */

static gboolean
finish (AqmpJob       *self,
        GAsyncResult  *result,
        gpointer       source_tag,
        GError       **error)
{
  g_return_val_if_fail (AQMP_IS_JOB (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, source_tag), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

typedef struct
{
  AqmpJob      *self;
  Goal          goal;
  const char   *status;       /* (nullable) */
  gpointer      source_tag;
  GCancellable *cancellable;  /* (nullable) */
} Arguments;

static void
start_blocking (gpointer             data,
                GAsyncReadyCallback  callback,
                gpointer             user_data)
{
  Arguments *arguments = data;

  start (arguments->self, arguments->goal, arguments->status, arguments->cancellable, callback, user_data,
         arguments->source_tag);
}

static gboolean
block (Arguments  *arguments,
       GError    **error)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (aqmp_job_get_client (arguments->self));
  g_autoptr (GAsyncResult) result = aqmp_protocol_block (protocol, start_blocking, arguments, error);

  return result != NULL && g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * aqmp_job_run_async:
 * @self: a job
 * @cancellable: (nullable): cancels the job
 * @callback: (scope async) (closure user_data): called when the job is at its end
 * @user_data: data for @callback
 *
 * Takes a job to its end: one that is ready is completed, one that waits to be finalized or dismissed is, and those that do so by
 * themselves are let be. When this is over the server does not know the job any more.
 *
 * To wait for a mirror only until it is ready, and decide then, there is [method@Job.wait_status_async].
 *
 * If @cancellable is cancelled, the job is, and is taken to its end all the same; only then the callback is called. (In another
 * thread than the owner's, before the owner has begun, the callback is called at once, and the job cancelled when the owner gets to
 * it.) A job that is paused stays so until somebody resumes it.
 *
 * May be called from any thread; in another than the owner's it takes effect once the owner's context runs.
 *
 * Since: 1.0
 */
void
aqmp_job_run_async (AqmpJob             *self,
                    GCancellable        *cancellable,
                    GAsyncReadyCallback  callback,
                    gpointer             user_data)
{
  g_return_if_fail (AQMP_IS_JOB (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  start (self, GOAL_END, NULL, cancellable, callback, user_data, aqmp_job_run_async);
}

/**
 * aqmp_job_run_finish:
 * @self: a job
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells how a job has ended that [method@Job.run_async] has taken there.
 *
 * The error is [error@Error.JOB] if the job has failed, or was cancelled by somebody else; %G_IO_ERROR_CANCELLED if it was cancelled
 * here (a job that succeeded before that could be has succeeded); %G_IO_ERROR_NOT_FOUND if there is no such job, and nothing was
 * heard of one since @self was made; that of the server's if it refused to complete, finalize, dismiss or cancel the job;
 * [error@Error.BAD_REPLY] if its answer to `query-jobs` is no array; and [error@Error.STATE] or [error@Error.INTERRUPTED] without a session, or when that ends first.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if the job has succeeded
 *
 * Since: 1.0
 */
gboolean
aqmp_job_run_finish (AqmpJob       *self,
                     GAsyncResult  *result,
                     GError       **error)
{
  return finish (self, result, aqmp_job_run_async, error);
}

/**
 * aqmp_job_run_sync:
 * @self: a job
 * @cancellable: (nullable): cancels the job
 * @error: return location for an error
 *
 * Takes a job to its end, as [method@Job.run_async] does, and waits for that.
 *
 * It needs a running loop as little, or as much, as [method@EventListener.next_sync]. May be called from any thread.
 *
 * Returns: %TRUE if the job has succeeded
 *
 * Since: 1.0
 */
gboolean
aqmp_job_run_sync (AqmpJob       *self,
                   GCancellable  *cancellable,
                   GError       **error)
{
  Arguments arguments = { self, GOAL_END, NULL, aqmp_job_run_async, cancellable };

  g_return_val_if_fail (AQMP_IS_JOB (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, error);
}

/**
 * aqmp_job_wait_status_async:
 * @self: a job
 * @status: the status to wait for, in the server's words, such as `ready`
 * @cancellable: (nullable): gives up waiting; the job goes on
 * @callback: (scope async) (closure user_data): called when the job has that status
 * @user_data: data for @callback
 *
 * Waits until a job has a certain status, doing nothing to it.
 *
 * A status that the job passes through at once, such as `pending` when it finalizes itself, may not be seen.
 *
 * May be called from any thread; in another than the owner's it takes effect once the owner's context runs.
 *
 * Since: 1.0
 */
void
aqmp_job_wait_status_async (AqmpJob             *self,
                            const char          *status,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_return_if_fail (AQMP_IS_JOB (self));
  g_return_if_fail (status != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  start (self, GOAL_STATUS, status, cancellable, callback, user_data, aqmp_job_wait_status_async);
}

/**
 * aqmp_job_wait_status_finish:
 * @self: a job
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells whether a job has got the status that [method@Job.wait_status_async] has waited for.
 *
 * The error is [error@Error.JOB] if the job has come to its end without that; else those of [method@Job.run_finish].
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if it has
 *
 * Since: 1.0
 */
gboolean
aqmp_job_wait_status_finish (AqmpJob       *self,
                             GAsyncResult  *result,
                             GError       **error)
{
  return finish (self, result, aqmp_job_wait_status_async, error);
}

/**
 * aqmp_job_wait_status_sync:
 * @self: a job
 * @status: the status to wait for, in the server's words, such as `ready`
 * @cancellable: (nullable): gives up waiting; the job goes on
 * @error: return location for an error
 *
 * Waits until a job has a certain status, as [method@Job.wait_status_async] does.
 *
 * It needs a running loop as little, or as much, as [method@EventListener.next_sync]. May be called from any thread.
 *
 * Returns: %TRUE if it has
 *
 * Since: 1.0
 */
gboolean
aqmp_job_wait_status_sync (AqmpJob       *self,
                           const char    *status,
                           GCancellable  *cancellable,
                           GError       **error)
{
  Arguments arguments = { self, GOAL_STATUS, status, aqmp_job_wait_status_async, cancellable };

  g_return_val_if_fail (AQMP_IS_JOB (self), FALSE);
  g_return_val_if_fail (status != NULL, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, error);
}

/**
 * aqmp_job_refresh_async:
 * @self: a job
 * @cancellable: (nullable): gives up waiting
 * @callback: (scope async) (closure user_data): called when the server has answered
 * @user_data: data for @callback
 *
 * Asks the server for the status, the progress and all else that the properties tell.
 *
 * May be called from any thread; in another than the owner's it takes effect once the owner's context runs.
 *
 * Since: 1.0
 */
void
aqmp_job_refresh_async (AqmpJob             *self,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  g_return_if_fail (AQMP_IS_JOB (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  start (self, GOAL_REFRESH, NULL, cancellable, callback, user_data, aqmp_job_refresh_async);
}

/**
 * aqmp_job_refresh_finish:
 * @self: a job
 * @result: the result that the callback was given
 * @error: return location for an error
 *
 * Tells whether the server was asked as [method@Job.refresh_async] does; errors are those of [method@Job.run_finish], but for the end
 * of the job, which is none.
 *
 * May be called from any thread.
 *
 * Returns: %TRUE if the properties are up to date
 *
 * Since: 1.0
 */
gboolean
aqmp_job_refresh_finish (AqmpJob       *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  return finish (self, result, aqmp_job_refresh_async, error);
}

/**
 * aqmp_job_refresh_sync:
 * @self: a job
 * @cancellable: (nullable): gives up waiting
 * @error: return location for an error
 *
 * Asks the server for what the properties tell, as [method@Job.refresh_async] does, and waits for the answer.
 *
 * It needs a running loop as little, or as much, as [method@EventListener.next_sync]. May be called from any thread.
 *
 * Returns: %TRUE if the properties are up to date
 *
 * Since: 1.0
 */
gboolean
aqmp_job_refresh_sync (AqmpJob       *self,
                       GCancellable  *cancellable,
                       GError       **error)
{
  Arguments arguments = { self, GOAL_REFRESH, NULL, aqmp_job_refresh_async, cancellable };

  g_return_val_if_fail (AQMP_IS_JOB (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return block (&arguments, error);
}
