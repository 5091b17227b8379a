/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Commands with file descriptors: a session, some files to send, and what is open. */

#pragma once

#include <gio/gunixfdlist.h>
#include <sys/types.h>

#include "client-util.h"

G_BEGIN_DECLS

/* ---- files that can be told apart -------------------------------------------------------------------------------- */

typedef struct
{
  dev_t device;
  ino_t inode;
  int   fd;
} File;

File         file_open            (void);
/* That file is open at this descriptor. */
void         assert_is_file       (const File    *file,
                                   int            fd);

/* ---- a session ---------------------------------------------------------------------------------------------------- */

#define N_FILES 3
#define N_GUARDS 32

typedef struct
{
  MockServer *mock;             /* (owned) */
  AqmpClient *client;           /* (owned) */
  File        files[N_FILES];
  File        guards[N_GUARDS];
  gboolean    is_guarded;
  guint       n_fds;            /* that are open in all when nothing goes on */
} Scene;

void         scene_begin          (Scene         *self,
                                   MockGreeting   greeting);
/* Takes both. */
void         scene_begin_with     (Scene         *self,
                                   MockServer    *mock,
                                   AqmpClient    *client,
                                   MockGreeting   greeting);
/* With OOB. One command with descriptors outstanding, which the mock has, and so the next, "held", is held back. */
void         scene_begin_held     (Scene         *self,
                                   TestSlot      *outstanding,
                                   GCancellable  *cancellable,
                                   int            timeout_ms,
                                   TestSlot      *held);
/* The session still works; then it and all of the rest end. */
void         scene_end            (Scene         *self);
/* The session has failed. The next one works, and gets nothing of this one (S12); then all ends. */
void         scene_end_failed     (Scene         *self);
/* Takes the numbers that were closed, as both do: whoever closes one of them again closes one of these, which is noticed at the
   end. */
void         scene_guard          (Scene         *self);
/* The mock and the files. Whatever became of what was sent: these are the caller's, and open. */
void         scene_free           (Scene         *self);

/* As many descriptors are open besides those that were there from the beginning; the mock keeps what it gets. */
#define scene_assert_open(scene, n) \
  G_STMT_START { \
    g_autofree char *list_ = test_list_fds (); \
    if (test_count_fds () != (scene)->n_fds + (n)) \
      g_error ("%s:%d: %u descriptors, not %d more than %u: %s", __FILE__, __LINE__, test_count_fds (), (int) (n), \
               (scene)->n_fds, list_); \
  } G_STMT_END

/* These files came with a request. */
void         scene_assert_arrived (Scene         *self,
                                   guint          request,
                                   guint          first,
                                   guint          n_files);

/* ---- calls -------------------------------------------------------------------------------------------------------- */

typedef enum
{
  FULL,
  RAW,
} Form;

/* (transfer full): with descriptors of its own for the files from @first on. */
GUnixFDList *scene_list_files     (Scene         *self,
                                   guint          first,
                                   guint          n_files);
/* @timeout_ms: FULL only */
void         start_with_list      (AqmpClient    *client,
                                   Form           form,
                                   const char    *command,
                                   GUnixFDList   *list,
                                   int            timeout_ms,
                                   GCancellable  *cancellable,
                                   TestSlot      *slot);
/* With all files. */
void         scene_start          (Scene         *self,
                                   Form           form,
                                   const char    *command,
                                   GCancellable  *cancellable,
                                   TestSlot      *slot);
void         scene_start_timeout  (Scene         *self,
                                   const char    *command,
                                   int            timeout_ms,
                                   TestSlot      *slot);
void         scene_start_text     (Scene         *self,
                                   const char    *message,
                                   GCancellable  *cancellable,
                                   TestSlot      *slot);

void         assert_succeeded     (TestSlot      *slot);
void         assert_failed        (TestSlot      *slot,
                                   GQuark         domain,
                                   int            code,
                                   const char    *text);
#define assert_cancelled(slot) assert_failed ((slot), G_IO_ERROR, G_IO_ERROR_CANCELLED, "")
#define assert_timed_out(slot) assert_failed ((slot), G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "")
#define assert_interrupted(slot) assert_failed ((slot), AQMP_ERROR, AQMP_ERROR_INTERRUPTED, "")

/* A command that does not fit the socket's buffer: what is queued behind it waits until the mock reads it. Not one of the mock's
   requests. From then on the buffer holds very little: the mock reads byte by byte what was written just before descriptors. */
void         scene_start_plug     (Scene         *self,
                                   TestSlot      *slot);
void         scene_expect_plug    (MockServer    *mock);
void         scene_answer_plug    (MockServer    *mock);

/* Nothing has been sent that the mock has not seen: this would come behind it. And with the first answer, everything that the
   mock has sent before has been handled; what that released would come before the second. Two requests. */
void         scene_oob_ping       (Scene         *self);

/* ---- running ------------------------------------------------------------------------------------------------------ */

typedef struct
{
  void       (*func) (void);
  const char  *path;
} SceneTest;

/* After each of them as many descriptors are open as before. For main(), after g_test_init(). */
int          scene_run_tests      (const SceneTest *tests,
                                   gsize            n_tests);

G_END_DECLS
