/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* A protocol of lines whose virtual functions do what a test tells them to, and write down each call. A user of the
 * library as any other: it knows the public API only.
 *
 *   LineProtocol *protocol = line_protocol_new ();
 *
 *   line_protocol_set (protocol, LINE_FILTER_INBOUND, LINE_RAISE);
 *   line_protocol_when (protocol, LINE_MESSAGE_RECEIVED, "bye", line_disconnect, NULL, LINE_CHAIN_UP);
 *   … run a session …
 *   line_trace_expect (line_protocol_get_trace (protocol), "connecting establish running in(x) disconnecting idle");
 *
 * Three classes: that of line_protocol_new() implements everything; that of line_protocol_new_plain() leaves the filters
 * and the framing to the library; LINE_TYPE_BARE implements nothing at all.
 */

#pragma once

#include <aqmp-glib/aqmp-glib.h>

G_BEGIN_DECLS

#define LINE_TYPE_PROTOCOL (line_protocol_get_type ())
G_DECLARE_DERIVABLE_TYPE (LineProtocol, line_protocol, LINE, PROTOCOL, AqmpProtocol)

struct _LineProtocolClass
{
  AqmpProtocolClass parent_class;
};

#define LINE_TYPE_BARE (line_bare_get_type ())
GType line_bare_get_type (void);

LineProtocol *line_protocol_new       (void);
LineProtocol *line_protocol_new_plain (void);

/* ---- what the virtual functions do ------------------------------------------------------------------------------- */

typedef enum
{
  LINE_ESTABLISH_SESSION,
  LINE_MESSAGE_RECEIVED,
  LINE_FILTER_INBOUND,
  LINE_FILTER_OUTBOUND,
  LINE_FRAME,
  LINE_SESSION_ENDED,
  LINE_RUNSTATE_CHANGED,
  LINE_EVENT,
  LINE_N_SLOTS
} LineSlot;

typedef enum
{
  LINE_CHAIN_UP,        /* what the parent class does */
  LINE_RAISE,           /* FALSE, NULL or −1 with an error: LINE_ERROR, the slot as its code, "NAME raised" */
  LINE_NOTHING,         /* FALSE, NULL or −1 without an error */
  LINE_TAKE,            /* TRUE, without chaining up (message_received) */
  LINE_REPLACE,         /* filters: "new-" before the message; frame: messages end with a semicolon */
  LINE_OVERRUN,         /* frame: claims more than there is */

  /* establish_session: */
  LINE_HANDSHAKE,       /* writes "hi\n", waits for "hello"; anything else is an error as above */
  LINE_KEEP_TASK,       /* TRUE; the task is for line_protocol_steal_task() */
  LINE_DROP_TASK,       /* TRUE; never returned */
  LINE_RETURN_TWICE,    /* TRUE; success, and then FALSE */
  LINE_RETURN_ERROR,    /* TRUE; an error as above */
  LINE_RETURN_FALSE,    /* TRUE; FALSE without an error */
  LINE_RETURN_AND_RAISE, /* success, and then FALSE with an error */
} LineResult;

#define LINE_ERROR (line_error_quark ())
GQuark line_error_quark (void);

/* Runs first in the virtual function. */
typedef void (*LineDeed) (LineProtocol *self,
                          gpointer      data);

/* From now on. */
void   line_protocol_set        (LineProtocol  *self,
                                 LineSlot       slot,
                                 LineResult     result);

/* From now on for this message (without its line ending), state ("running") or event; NULL: for all. One rule for each slot.
   @deed: (nullable) */
void   line_protocol_when       (LineProtocol  *self,
                                 LineSlot       slot,
                                 const char    *trigger,
                                 LineDeed       deed,
                                 gpointer       data,
                                 LineResult     result);

/* (transfer full): of LINE_KEEP_TASK */
GTask *line_protocol_steal_task (LineProtocol  *self);

/* Deeds. */
void   line_disconnect          (LineProtocol  *self,
                                 gpointer       slot);        /* TestSlot *, or NULL */
void   line_fail                (LineProtocol  *self,
                                 gpointer       unused);      /* LINE_ERROR 99 "deed" */
void   line_drop_reference      (LineProtocol  *self,
                                 gpointer       reference);   /* LineProtocol ** */
void   line_run_dispose         (LineProtocol  *self,
                                 gpointer       unused);
void   line_run_loop            (LineProtocol  *self,
                                 gpointer       unused);      /* until nothing is ready */
void   line_disconnect_and_run  (LineProtocol  *self,
                                 gpointer       unused);      /* the loop, until it is idle */

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* Adds the line ending; has to succeed. */
void   line_protocol_send       (LineProtocol  *self,
                                 const char    *line);

/* ---- what was called --------------------------------------------------------------------------------------------- */

typedef struct
{
  char         *what;        /* (owned): "in(text)", "receive(text)", "out(text)", "establish", "ended(clean)", "ended(failed)",
                                "event(NAME)", a state, or what the test added */
  LineSlot      slot;        /* LINE_N_SLOTS: the test's */
  AqmpRunstate  runstate;    /* at that moment */
  GThread      *thread;      /* (unowned) */
  GMainContext *context;     /* (unowned) (nullable): that was being dispatched */
  int           depth;       /* of dispatch */
} LineRecord;

/* Outlives the object. Any thread. */
typedef struct _LineTrace LineTrace;

LineTrace        *line_protocol_get_trace (LineProtocol      *self);
LineTrace        *line_trace_ref          (LineTrace         *trace);
void              line_trace_unref        (LineTrace         *trace);
void              line_trace_add          (LineTrace         *trace,
                                           const char        *what);
void              line_trace_clear        (LineTrace         *trace);
guint             line_trace_count        (LineTrace         *trace,
                                           const char        *what);
guint             line_trace_get_length   (LineTrace         *trace);
/* The first of these, which there has to be; or by number. */
const LineRecord *line_trace_find         (LineTrace         *trace,
                                           const char        *what);
const LineRecord *line_trace_get          (LineTrace         *trace,
                                           guint              number);
/* (transfer full): separated by single spaces. Calls of frame are not in it. */
char             *line_trace_dup          (LineTrace         *trace);
guint             line_trace_get_n_frame  (LineTrace         *trace);

#define line_trace_expect(trace, expected) \
  G_STMT_START { \
    g_autofree char *line_trace_ = line_trace_dup (trace); \
    g_assert_cmpstr (line_trace_, ==, expected); \
  } G_STMT_END

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LineTrace, line_trace_unref)

const char       *line_runstate_name      (AqmpRunstate       runstate);

G_END_DECLS
