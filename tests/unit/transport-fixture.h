/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* What the tests of the transport share: an owner that notes what it is told, and a transport with a peer, over a stream of
 * any kind, driven by a main context or round by round. */

#pragma once

#include <gio/gio.h>

#include "aqmp-glib/aqmp-transport-private.h"

#include "mock-server.h"
#include "util.h"

G_BEGIN_DECLS

/* ---- an owner ---------------------------------------------------------------------------------------------------- */

#define TEST_TYPE_OWNER (test_owner_get_type ())
G_DECLARE_FINAL_TYPE (TestOwner, test_owner, TEST, OWNER, GObject)

struct _TestOwner
{
  GObject        parent_instance;
  AqmpTransport *transport;    /* (owned) (nullable) */
  GString       *log;          /* (owned): what it was told: "text;" of messages, or "WORK;", "DRAINED;", "FAILED;" */
  GError        *error;        /* (owned) (nullable): of the failure */
  guint          n_messages;
  guint          n_work;
  guint          n_drained;
  guint          n_failed;
  gboolean       quiet;        /* counts only */
  gboolean       never_ends;   /* a frame function that waits for more even at EOF */

  /* What else to do. */
  void         (*on_frame)   (TestOwner *self);
  void         (*on_message) (TestOwner *self, const char *text);
  void         (*on_work)    (TestOwner *self);
  void         (*on_drained) (TestOwner *self);
  void         (*on_failed)  (TestOwner *self);
  gpointer       hook_data;
};

extern const AqmpTransportCallbacks owner_callbacks;

/* How many there are. */
int        count_owners     (void);

/* ---- a transport and its peer ------------------------------------------------------------------------------------ */

typedef enum
{
  SOCKET       = 1 << 0,
  POLLABLE     = 1 << 1,
  NOT_POLLABLE = 1 << 2,
  PIPES        = 1 << 3,
  EVERY_KIND   = SOCKET | POLLABLE | NOT_POLLABLE | PIPES,
  ATTACHED     = 1 << 8,   /* driven by its source in a main context */
  ITERATED     = 1 << 9,   /* driven by aqmp_transport_iterate() */
  EITHER_WAY   = ATTACHED | ITERATED,
} Setup;

typedef struct
{
  Setup          setup;
  guint          n_fds;       /* open before */
  MockServer    *mock;        /* (owned) */
  GMainContext  *context;     /* (owned) (nullable): thread-default; unless iterated */
  GSource       *tripwire;    /* (owned) (nullable): in the default context, which nobody may run when iterated */
  gboolean       tripped;
  TestOwner     *owner;       /* (owned) (nullable) */
  AqmpTransport *transport;   /* (unowned): the owner's */
  int            fd;          /* (unowned): that it reads */
  guint64        token;       /* the latest */
  gboolean       gone_is_fine; /* the peer may see a reset: it sent what nobody read */
  gboolean       peer_is_gone;
} Fixture;

/* (transfer full): a stream of that kind over @base. */
GIOStream *make_stream      (Setup               setup,
                             GIOStream          *base);

/* Whether the context waits, or is about to. Any thread. */
gboolean   context_is_polling (void);

/* One round. It says whether something happened; if something did, then not just when the time was up. */
gboolean   iterate          (Fixture            *self);


/* Runs it until @condition, which has to come true by what the transport does. */
#define drive_until(self, condition) \
  G_STMT_START { \
    if ((self)->setup & ATTACHED) \
      test_wait_until (condition); \
    else \
      while (!(condition)) \
        g_assert_true (iterate (self) || (condition)); \
  } G_STMT_END

/* All that there is to do now. */
void       drive_pending    (Fixture            *self);

guint64    queue_text       (Fixture            *self,
                             const char         *text);

/* Until all is written. */
void       flush            (Fixture            *self);

/* Nothing is done, and the wait is without end. */
void       assert_asleep    (Fixture            *self);

/* GIO's threads may take a moment longer to let go of what they used. */
void       assert_n_fds     (guint               n_fds);

/* GSocket makes it non-blocking, whatever it is asked to do itself. */
int        get_blocking_fd  (GSocketConnection  *connection);

/* ---- which test for which kind, driven how ----------------------------------------------------------------------- */

typedef void (*TestFunc) (Fixture *self, gconstpointer setup);

/* As "/transport/PATH/KIND/DRIVER", for each of @setups. */
void       add              (const char         *path,
                             Setup               setups,
                             TestFunc            func);

/* As g_test_init(); what GLib opens once and keeps is opened then. */
void       init_transport_tests (int            *argc,
                                 char         ***argv);

G_END_DECLS
