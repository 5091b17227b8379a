/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* Waiting, capturing, counting and odd streams, for tests. Nothing here knows the library under test.
 *
 * Bounds: everything that waits gives up after test_bound_us(): 10 s times AQMP_TEST_TIMEOUT_SCALE (a number, 1 by
 * default; 20 is good for valgrind), and then aborts the test with the place and the condition.
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

#define TEST_BOUND_SECONDS 10

double test_timeout_scale (void);
gint64 test_bound_us      (void);

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* One wait: iterates a context until a deadline. For test_wait_until() and friends; rarely used directly. */
typedef struct
{
  GMainContext *context;    /* (owned) */
  GSource      *timeout;    /* (owned) */
  gboolean      expired;
} TestWait;

void test_wait_begin   (TestWait   *wait,
                        gint64      bound_us);
void test_wait_iterate (TestWait   *wait,
                        const char *file,
                        int         line,
                        const char *function,
                        const char *what);
void test_wait_end     (TestWait   *wait);

/* Iterates the thread-default main context until @condition, an expression that is evaluated again after each
   iteration, is true. Whatever makes it true must do so from this context, or wake the context up. */
#define test_wait_until(condition) \
  G_STMT_START { \
    TestWait test_wait_; \
    test_wait_begin (&test_wait_, test_bound_us ()); \
    while (!(condition)) \
      test_wait_iterate (&test_wait_, __FILE__, __LINE__, G_STRFUNC, #condition); \
    test_wait_end (&test_wait_); \
  } G_STMT_END

/* Dispatches what is ready in the thread-default main context, without blocking, until nothing is. Bounded: a source
   that is always ready ends the test. */
#define test_dispatch_pending() (test_dispatch_pending) (__FILE__, __LINE__, G_STRFUNC)
void (test_dispatch_pending) (const char *file,
                              int         line,
                              const char *function);

/* Where one asynchronous result arrives:
 *
 *   TestSlot slot = TEST_SLOT_INIT;
 *   g_autoptr(GAsyncResult) result = NULL;
 *
 *   aqmp_client_execute_async (client, "stop", NULL, 0, NULL, test_slot_callback, &slot);
 *   result = test_await (&slot);
 *
 * A callback that runs a second time, or in another thread than the one that awaits, ends the test. The slot must
 * outlive the call. test_await() empties the slot, so that it can be used again. */
typedef struct
{
  GObject      *source;     /* (owned) (nullable) */
  GAsyncResult *result;     /* (owned) (nullable): set once the callback has run */
  GThread      *thread;     /* (unowned): where the callback ran */
  guint         n_calls;    /* over the life of the slot */
} TestSlot;

#define TEST_SLOT_INIT { NULL, NULL, NULL, 0 }

void          test_slot_callback (GObject      *source,
                                  GAsyncResult *result,
                                  gpointer      slot);
gboolean      test_slot_is_done  (TestSlot     *slot);
void          test_slot_clear    (TestSlot     *slot);

/* (transfer full) */
#define test_await(slot) (test_await) (slot, __FILE__, __LINE__, G_STRFUNC)
GAsyncResult *(test_await)       (TestSlot     *slot,
                                  const char   *file,
                                  int           line,
                                  const char   *function);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TestSlot, test_slot_clear)

/* ---- helper threads ---------------------------------------------------------------------------------------------- */

/* The calling thread belongs to the test support (a mock peer): the system call counter leaves it out. */
void     test_mark_helper_thread (void);
gboolean test_is_helper_thread   (void);

/* ---- temporary directories --------------------------------------------------------------------------------------- */

/* A private directory (mode 0700) with a path short enough for sockets; removed with everything in it when freed. */
typedef struct _TestTmpDir TestTmpDir;

TestTmpDir *test_tmp_dir_new      (void);
void        test_tmp_dir_free     (TestTmpDir *dir);
const char *test_tmp_dir_get_path (TestTmpDir *dir);
char       *test_tmp_dir_build    (TestTmpDir *dir,
                                   const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestTmpDir, test_tmp_dir_free)

/* ---- what the process uses --------------------------------------------------------------------------------------- */

guint test_count_fds (void);    /* open descriptors */
char *test_list_fds  (void);    /* "0 → /dev/null\n…", for a message when the count is wrong */
gsize test_get_rss   (void);    /* resident set, in bytes */
/* What GLib opens once and keeps is no leak: before descriptors are counted. */
void  test_open_what_stays_open (void);

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* The two ends of a UNIX stream socket pair (both GUnixConnection), close-on-exec. */
void       test_socket_pair          (GSocketConnection **first,
                                      GSocketConnection **second);

/* Reads and writes @base, with streams that are not pollable: blocking calls only, so that GIO's asynchronous calls
   run in its worker threads. Closing it closes @base. */
GIOStream *test_plain_stream_new     (GIOStream          *base);

/* Reads and writes @base, with streams that are pollable because those of @base are; yet it is no GSocketConnection,
   and has no descriptor to be found. Closing it closes @base. */
GIOStream *test_pollable_stream_new  (GIOStream          *base);

/* ---- log --------------------------------------------------------------------------------------------------------- */

typedef struct
{
  GLogLevelFlags  level;
  char           *domain;       /* (owned) (nullable): GLIB_DOMAIN */
  char           *message;      /* (owned): MESSAGE */
  char           *name;         /* (owned) (nullable): AQMP_NAME */
  GHashTable     *fields;       /* (owned): every field of text, those above too */
} TestLogEntry;

/* Records all that is logged from here on, by any thread and at any level, instead of printing it: so a warning does
   not end a program that runs with fatal warnings, the test has to look. One recorder at a time. Debug output is
   enabled meanwhile (g_log_set_debug_enabled()), for code that asks before it formats. */
typedef struct _TestLog TestLog;

TestLog   *test_log_start (void);
void       test_log_stop  (TestLog        *log);

/* The entries so far, oldest first; they are taken out of the recorder. (transfer full) (element-type TestLogEntry) */
GPtrArray *test_log_steal (TestLog        *log);

/* How many entries so far have a level in @levels, the domain (NULL: any) and @text in their message (NULL: any). */
guint      test_log_count (TestLog        *log,
                           GLogLevelFlags  levels,
                           const char     *domain,
                           const char     *text);

/* One line per entry, for the message of a failing test. */
char      *test_log_dump  (TestLog        *log);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestLog, test_log_stop)

G_END_DECLS
