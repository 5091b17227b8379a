/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* The signal accept-certificate, and the properties for TLS. */

#include "tls-util.h"

#include "certificates.h"

/* ---- a handler --------------------------------------------------------------------------------------------------- */

typedef struct
{
  gboolean              result;
  LineDeed              deed;         /* (nullable): done first */
  gpointer              data;

  guint                 n_calls;
  GTlsCertificate      *certificate;  /* (owned) (nullable) */
  GTlsCertificateFlags  flags;
  AqmpRunstate          runstate;
  GThread              *thread;       /* (unowned) */
  GMainContext         *context;      /* (unowned) (nullable): that it should be called in */
  gboolean              in_context;
} Handler;

#define HANDLER(result) { result, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, FALSE }

static gboolean
on_accept_certificate (LineProtocol         *protocol,
                       GTlsCertificate      *certificate,
                       GTlsCertificateFlags  flags,
                       gpointer              user_data)
{
  Handler *handler = user_data;

  handler->n_calls++;
  g_set_object (&handler->certificate, certificate);
  handler->flags = flags;
  handler->runstate = get_state (protocol);
  handler->thread = g_thread_self ();
  handler->in_context = handler->context != NULL && g_main_context_is_owner (handler->context);
  if (handler->deed != NULL)
    handler->deed (protocol, handler->data);
  return handler->result;
}

static void
handler_clear (Handler *handler)
{
  g_clear_object (&handler->certificate);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Handler, handler_clear)

static void
add_handler (TlsPair *pair,
             Handler *handler)
{
  g_signal_connect (pair->protocol, "accept-certificate", G_CALLBACK (on_accept_certificate), handler);
}

/* A peer whose certificate nobody knows here. */
static void
init_with_stranger (TlsPair *pair,
                    TlsRole  role)
{
  tls_pair_init (pair, role, role == TLS_CONNECTS ? TLS_OVER_TCP : TLS_OVER_UNIX);
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair->protocol), G_TLS_AUTHENTICATION_REQUIRED);
  tls_peer_set_certificate (&pair->peer, "other-ca", role == TLS_CONNECTS ? "server" : "client");
}

/* ---- whether and with what --------------------------------------------------------------------------------------- */

static void
test_accepted (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);

  init_with_stranger (&pair, GPOINTER_TO_INT (data));
  add_handler (&pair, &handler);
  tls_pair_connect (&pair);
  g_assert_cmpuint (handler.n_calls, ==, 1);
  g_assert_true (g_tls_certificate_is_same (handler.certificate, pair.peer.certificate));
  g_assert_cmpint (handler.flags, ==, G_TLS_CERTIFICATE_UNKNOWN_CA);
  g_assert_cmpint (handler.runstate, ==, AQMP_RUNSTATE_CONNECTING);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
  g_assert_cmpuint (handler.n_calls, ==, 1);
}

static void
test_refused (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (FALSE);
  g_autoptr (GError) error = NULL;

  init_with_stranger (&pair, GPOINTER_TO_INT (data));
  add_handler (&pair, &handler);
  g_assert_false (tls_pair_run (&pair, &error));
  assert_error_like (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE,
                     "Could not establish *: The certificate of the peer is not acceptable: *signed*");
  g_assert_cmpuint (handler.n_calls, ==, 1);
  tls_pair_check_failed (&pair);
  /* The one after that was fine. */
  g_assert_cmpuint (handler.n_calls, ==, 1);
}

static void
test_flags (void)
{
  const struct
  {
    const char *directory;
    const char *identity;
    GTlsCertificateFlags flags;
  } flaws[] = {
    { "other-ca", NULL, G_TLS_CERTIFICATE_UNKNOWN_CA },
    { "other-name", NULL, G_TLS_CERTIFICATE_BAD_IDENTITY },
    { "expired", NULL, G_TLS_CERTIFICATE_EXPIRED },
    { "good", "nobody.example", G_TLS_CERTIFICATE_BAD_IDENTITY },
    { "expired", "nobody.example", G_TLS_CERTIFICATE_EXPIRED | G_TLS_CERTIFICATE_BAD_IDENTITY },
    { "other-ca", "nobody.example", G_TLS_CERTIFICATE_UNKNOWN_CA | G_TLS_CERTIFICATE_BAD_IDENTITY },
  };
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (flaws); i++)
    {
      g_auto (TlsPair) pair = TLS_PAIR_INIT;
      g_auto (Handler) handler = HANDLER (TRUE);

      tls_pair_init (&pair, TLS_CONNECTS, TLS_OVER_TCP);
      tls_peer_set_certificate (&pair.peer, flaws[i].directory, "server");
      tls_set_identity (pair.protocol, flaws[i].identity);
      add_handler (&pair, &handler);
      tls_pair_connect (&pair);
      g_assert_cmpuint (handler.n_calls, ==, 1);
      g_assert_cmpint (handler.flags, ==, flaws[i].flags);
      tls_pair_end (&pair);
    }
}

/* Nobody is asked about what is fine, be it a server or a client. */
static void
test_not_asked (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (FALSE);

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  if (pair.role == TLS_ACCEPTS)
    {
      aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair.protocol), G_TLS_AUTHENTICATION_REQUIRED);
      tls_peer_set_certificate (&pair.peer, "good", "client");
    }
  add_handler (&pair, &handler);
  tls_pair_connect (&pair);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
  g_assert_cmpuint (handler.n_calls, ==, 0);
}

/* Nor about a certificate that no client has shown. */
static void
test_not_asked_about_none (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair.protocol), G_TLS_AUTHENTICATION_REQUIRED);
  add_handler (&pair, &handler);
  g_assert_false (tls_pair_run (&pair, &error));
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_CERTIFICATE_REQUIRED);
  g_assert_cmpuint (handler.n_calls, ==, 0);
  tls_pair_check_failed (&pair);
}

/* The first that accepts decides; those that refuse leave it to the next. */
static void
test_several_handlers (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) first = HANDLER (FALSE);
  g_auto (Handler) second = HANDLER (TRUE);
  g_auto (Handler) third = HANDLER (FALSE);

  init_with_stranger (&pair, TLS_CONNECTS);
  add_handler (&pair, &first);
  add_handler (&pair, &second);
  add_handler (&pair, &third);
  tls_pair_connect (&pair);
  g_assert_cmpuint (first.n_calls, ==, 1);
  g_assert_cmpuint (second.n_calls, ==, 1);
  g_assert_cmpuint (third.n_calls, ==, 0);
  tls_pair_end (&pair);
}

static void
test_all_refuse (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) first = HANDLER (FALSE);
  g_auto (Handler) second = HANDLER (FALSE);
  g_autoptr (GError) error = NULL;

  init_with_stranger (&pair, TLS_CONNECTS);
  add_handler (&pair, &first);
  add_handler (&pair, &second);
  g_assert_false (tls_pair_run (&pair, &error));
  g_assert_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
  g_assert_cmpuint (first.n_calls, ==, 1);
  g_assert_cmpuint (second.n_calls, ==, 1);
  tls_pair_check_failed (&pair);
}

/* One that was accepted once is asked about again next time. */
static void
test_asked_each_time (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);
  guint i;

  init_with_stranger (&pair, TLS_CONNECTS);
  add_handler (&pair, &handler);
  for (i = 1; i <= 3; i++)
    {
      tls_pair_connect (&pair);
      g_assert_cmpuint (handler.n_calls, ==, i);
      tls_pair_end (&pair);
      tls_peer_cut (&pair.peer);
      g_clear_object (&pair.peer.connection);
    }
}

/* ---- T1 ---------------------------------------------------------------------------------------------------------- */

static gpointer
run_owner (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);

  g_main_context_push_thread_default (context);
  init_with_stranger (&pair, GPOINTER_TO_INT (data));
  handler.context = context;
  add_handler (&pair, &handler);
  tls_pair_connect (&pair);
  g_assert_true (handler.thread == g_thread_self ());
  g_assert_true (handler.in_context);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
  tls_pair_clear (&pair);
  pair = (TlsPair) TLS_PAIR_INIT;
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_owner_context (gconstpointer data)
{
  g_thread_join (g_thread_new ("owner", run_owner, (gpointer) data));
}

static void
test_main_context (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);

  init_with_stranger (&pair, GPOINTER_TO_INT (data));
  handler.context = g_main_context_default ();
  add_handler (&pair, &handler);
  tls_pair_connect (&pair);
  g_assert_true (handler.thread == g_thread_self ());
  g_assert_true (handler.in_context);
  tls_pair_end (&pair);
}

/* Whoever runs the owner's context need not make it the thread's default once more. The peer has the default one. */
static void
test_context_that_is_not_default_any_more (gconstpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);
  g_autoptr (GAsyncResult) result G_GNUC_UNUSED = NULL;
  g_autoptr (GError) error = NULL;
  gint64 deadline = g_get_monotonic_time () + test_bound_us ();

  init_with_stranger (&pair, GPOINTER_TO_INT (data));
  handler.context = context;
  add_handler (&pair, &handler);
  g_main_context_push_thread_default (context);
  tls_pair_begin (&pair, NULL);
  g_main_context_pop_thread_default (context);

  tls_peer_begin_handshake (&pair.peer);
  while (get_state (pair.protocol) == AQMP_RUNSTATE_CONNECTING && g_get_monotonic_time () < deadline)
    {
      g_main_context_iteration (context, FALSE);
      /* The peer's. Nothing of the object may be in it. */
      g_main_context_iteration (NULL, FALSE);
    }
  g_assert_cmpint (get_state (pair.protocol), ==, AQMP_RUNSTATE_RUNNING);
  g_assert_cmpuint (handler.n_calls, ==, 1);
  g_assert_true (handler.in_context);

  g_main_context_push_thread_default (context);
  g_assert_true (tls_pair_finish (&pair, &error));
  disconnect_session (pair.protocol, &error);
  g_assert_no_error (error);
  end_object (&pair.protocol);
  g_main_context_pop_thread_default (context);
  g_assert_true (tls_peer_finish_handshake (&pair.peer, &error));
}

/* ---- what a handler does ----------------------------------------------------------------------------------------- */

typedef struct
{
  const char *path;
  LineDeed    deed;
  GQuark    (*domain) (void);
  int         code;
} Deed;

static void
cancel (LineProtocol *protocol,
        gpointer      cancellable)
{
  g_cancellable_cancel (cancellable);
}

static const Deed deeds[] = {
  { "disconnects", line_disconnect, aqmp_error_quark, AQMP_ERROR_INTERRUPTED },
  { "fails", line_fail, line_error_quark, 99 },
  { "cancels", cancel, g_io_error_quark, G_IO_ERROR_CANCELLED },
  { "disposes", line_run_dispose, aqmp_error_quark, AQMP_ERROR_INTERRUPTED },
};

/* Whatever it answers then. */
static void
do_deed (const Deed *deed,
         TlsRole     role,
         gboolean    answer)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (answer);
  g_auto (Handler) next = HANDLER (answer);
  g_autoptr (GError) error = NULL;

  init_with_stranger (&pair, role);
  handler.deed = deed->deed;
  handler.data = deed->deed == cancel ? cancellable : NULL;
  add_handler (&pair, &handler);
  add_handler (&pair, &next);

  tls_pair_begin (&pair, cancellable);
  tls_peer_begin_handshake (&pair.peer);
  g_assert_false (tls_pair_finish (&pair, &error));
  /* Cancelled and refused are both true. */
  if (deed->deed != cancel || answer || !g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
    g_assert_error (error, deed->domain (), deed->code);
  g_assert_cmpuint (handler.n_calls, ==, 1);
  tls_peer_finish_handshake (&pair.peer, NULL);

  g_signal_handlers_disconnect_by_data (pair.protocol, &handler);
  g_signal_handlers_disconnect_by_data (pair.protocol, &next);
  if (deed->deed == line_run_dispose)
    {
      line_trace_expect (line_protocol_get_trace (pair.protocol), "connecting");
      return;
    }
  /* What it answers is taken at its word, so the session may begin before the cancellation is noticed. */
  if (deed->deed == cancel && answer && line_trace_count (line_protocol_get_trace (pair.protocol), "establish") > 0)
    {
      line_trace_expect (line_protocol_get_trace (pair.protocol), "connecting establish ended(failed) disconnecting idle");
      return;
    }
  tls_pair_check_failed (&pair);
}

static void
test_deed (gconstpointer data)
{
  const Deed *deed = data;

  do_deed (deed, TLS_CONNECTS, TRUE);
  do_deed (deed, TLS_CONNECTS, FALSE);
  do_deed (deed, TLS_ACCEPTS, TRUE);
  do_deed (deed, TLS_ACCEPTS, FALSE);
}

/* The attempt keeps it alive. */
static void
test_drops_reference (gconstpointer data)
{
  gboolean answer = GPOINTER_TO_INT (data);
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (answer);
  LineProtocol *weak;

  init_with_stranger (&pair, TLS_CONNECTS);
  weak = pair.protocol;
  g_object_add_weak_pointer (G_OBJECT (weak), (gpointer *) &weak);
  handler.deed = line_drop_reference;
  handler.data = &pair.protocol;
  add_handler (&pair, &handler);

  tls_pair_begin (&pair, NULL);
  tls_peer_begin_handshake (&pair.peer);
  test_wait_until (test_slot_is_done (&pair.slot));
  g_assert_cmpuint (handler.n_calls, ==, 1);
  g_assert_null (pair.protocol);
  g_assert_nonnull (weak);
  g_assert_cmpint (get_state (weak), ==, answer ? AQMP_RUNSTATE_RUNNING : AQMP_RUNSTATE_IDLE);
  test_slot_clear (&pair.slot);
  test_dispatch_pending ();
  g_assert_null (weak);
  tls_peer_finish_handshake (&pair.peer, NULL);
}

/* It may change the properties, which are for the next attempt. */
static void
change_properties (LineProtocol *protocol,
                   gpointer      unused)
{
  aqmp_protocol_set_tls (AQMP_PROTOCOL (protocol), FALSE);
  aqmp_protocol_set_tls_database (AQMP_PROTOCOL (protocol), NULL);
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (protocol), NULL);
  tls_set_identity (protocol, "nobody.example");
}

static void
test_changes_properties (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);

  init_with_stranger (&pair, GPOINTER_TO_INT (data));
  handler.deed = change_properties;
  add_handler (&pair, &handler);
  tls_pair_connect (&pair);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* It takes its time: the peer gives up meanwhile. */
static void
cut_peer (LineProtocol *protocol,
          gpointer      peer)
{
  tls_peer_cut (peer);
}

static void
test_peer_leaves_meanwhile (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (Handler) handler = HANDLER (TRUE);
  g_autoptr (GError) error = NULL;

  init_with_stranger (&pair, TLS_CONNECTS);
  handler.deed = cut_peer;
  handler.data = &pair.peer;
  add_handler (&pair, &handler);
  tls_pair_begin (&pair, NULL);
  tls_peer_begin_handshake (&pair.peer);
  if (tls_pair_finish (&pair, &error))
    {
      /* TLS 1.3: it had nothing more to say. */
      wait_state (pair.protocol, AQMP_RUNSTATE_DISCONNECTING);
      g_assert_false (disconnect_session (pair.protocol, &error));
    }
  g_assert_nonnull (error);
  g_assert_cmpuint (handler.n_calls, ==, 1);
  tls_peer_finish_handshake (&pair.peer, NULL);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

static void
test_defaults (void)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (line_protocol_new ());

  g_assert_false (aqmp_protocol_get_tls (protocol));
  g_assert_null (aqmp_protocol_get_tls_certificate (protocol));
  g_assert_null (aqmp_protocol_get_tls_database (protocol));
  g_assert_null (aqmp_protocol_get_tls_interaction (protocol));
  g_assert_cmpint (aqmp_protocol_get_tls_auth_mode (protocol), ==, G_TLS_AUTHENTICATION_NONE);
  g_assert_null (aqmp_protocol_get_tls_server_identity (protocol));
  g_assert_cmpuint (aqmp_protocol_get_tls_record_size (protocol), ==, 0);
  g_object_unref (protocol);
}

static void
count_notify (GObject    *object,
              GParamSpec *pspec,
              guint      *n)
{
  (*n)++;
}

static void
set_and_expect (gpointer    protocol,
                const char *name,
                GValue     *value,
                guint       n_expected)
{
  g_autofree char *signal = g_strconcat ("notify::", name, NULL);
  g_auto (GValue) got = G_VALUE_INIT;
  guint n_all = 0;
  guint n = 0;

  g_signal_connect (protocol, signal, G_CALLBACK (count_notify), &n);
  g_signal_connect (protocol, "notify", G_CALLBACK (count_notify), &n_all);
  g_object_set_property (protocol, name, value);
  g_signal_handlers_disconnect_by_func (protocol, count_notify, &n);
  g_signal_handlers_disconnect_by_func (protocol, count_notify, &n_all);
  g_assert_cmpuint (n, ==, n_expected);
  g_assert_cmpuint (n_all, ==, n_expected);

  g_object_get_property (protocol, name, &got);
  g_assert_true (G_VALUE_TYPE (&got) == G_PARAM_SPEC_VALUE_TYPE (g_object_class_find_property (G_OBJECT_GET_CLASS (protocol),
                                                                                               name)));
  g_assert_cmpint (g_param_values_cmp (g_object_class_find_property (G_OBJECT_GET_CLASS (protocol), name), &got, value), ==, 0);
}

/* A value twice, and what it was before twice: notified once each. */
static void
check_property (gpointer    protocol,
                const char *name,
                GValue     *value)
{
  g_auto (GValue) before = G_VALUE_INIT;

  g_object_get_property (protocol, name, &before);
  set_and_expect (protocol, name, &before, 0);
  set_and_expect (protocol, name, value, 1);
  set_and_expect (protocol, name, value, 0);
  set_and_expect (protocol, name, &before, 1);
  set_and_expect (protocol, name, value, 1);
  g_value_unset (value);
}

static void
check_object_property (gpointer    protocol,
                       const char *name,
                       GObject    *object)
{
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (protocol), name);
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_PARAM_SPEC_VALUE_TYPE (pspec));
  g_value_set_object (&value, object);
  check_property (protocol, name, &value);
}

/* (transfer full): that nobody else has, as certificates.h may. */
static GTlsCertificate *
load_certificate (const char *end)
{
  g_autofree char *certificate_file = g_strconcat (end, "-cert.pem", NULL);
  g_autofree char *key_file = g_strconcat (end, "-key.pem", NULL);
  g_autofree char *certificate_path = test_certificates_get_path ("good", certificate_file);
  g_autofree char *key_path = test_certificates_get_path ("good", key_file);
  g_autoptr (GError) error = NULL;
  GTlsCertificate *certificate = g_tls_certificate_new_from_files (certificate_path, key_path, &error);

  g_assert_no_error (error);
  return certificate;
}

static GTlsDatabase *
load_database (void)
{
  g_autofree char *path = test_certificates_get_path ("good", "ca-cert.pem");
  g_autoptr (GError) error = NULL;
  GTlsDatabase *database = g_tls_file_database_new (path, &error);

  g_assert_no_error (error);
  return database;
}

static void
test_set_and_get (void)
{
  GTlsCertificate *certificate = load_certificate ("client");
  GTlsDatabase *database = load_database ();
  GTlsInteraction *interaction = g_object_new (G_TYPE_TLS_INTERACTION, NULL);
  GSocketConnectable *identity = g_network_address_new ("vm.example", 0);
  gpointer objects[] = { certificate, database, interaction, identity };
  AqmpProtocol *protocol = AQMP_PROTOCOL (line_protocol_new ());
  GValue value = G_VALUE_INIT;
  gsize i;

  g_value_init (&value, G_TYPE_BOOLEAN);
  g_value_set_boolean (&value, TRUE);
  check_property (protocol, "tls", &value);
  g_assert_true (aqmp_protocol_get_tls (protocol));

  g_value_init (&value, G_TYPE_TLS_AUTHENTICATION_MODE);
  g_value_set_enum (&value, G_TLS_AUTHENTICATION_REQUIRED);
  check_property (protocol, "tls-auth-mode", &value);
  g_assert_cmpint (aqmp_protocol_get_tls_auth_mode (protocol), ==, G_TLS_AUTHENTICATION_REQUIRED);

  g_value_init (&value, G_TYPE_UINT);
  g_value_set_uint (&value, 16384);
  check_property (protocol, "tls-record-size", &value);
  g_assert_cmpuint (aqmp_protocol_get_tls_record_size (protocol), ==, 16384);

  check_object_property (protocol, "tls-certificate", G_OBJECT (certificate));
  check_object_property (protocol, "tls-database", G_OBJECT (database));
  check_object_property (protocol, "tls-interaction", G_OBJECT (interaction));
  check_object_property (protocol, "tls-server-identity", G_OBJECT (identity));
  g_assert_true (aqmp_protocol_get_tls_certificate (protocol) == certificate);
  g_assert_true (aqmp_protocol_get_tls_database (protocol) == database);
  g_assert_true (aqmp_protocol_get_tls_interaction (protocol) == interaction);
  g_assert_true (aqmp_protocol_get_tls_server_identity (protocol) == identity);

  /* They go with the object. */
  for (i = 0; i < G_N_ELEMENTS (objects); i++)
    g_object_add_weak_pointer (objects[i], &objects[i]);
  g_object_unref (certificate);
  g_object_unref (database);
  g_object_unref (interaction);
  g_object_unref (identity);
  for (i = 0; i < G_N_ELEMENTS (objects); i++)
    g_assert_nonnull (objects[i]);
  g_object_unref (protocol);
  for (i = 0; i < G_N_ELEMENTS (objects); i++)
    g_assert_null (objects[i]);
}

/* The attempt lets go of what it has copied when it is over, and does not need the properties any more before. */
static void
test_references_of_attempt (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  gpointer certificate;
  gpointer database;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  certificate = load_certificate (pair.role == TLS_CONNECTS ? "client" : "server");
  database = load_database ();
  aqmp_protocol_set_tls_certificate (AQMP_PROTOCOL (pair.protocol), certificate);
  aqmp_protocol_set_tls_database (AQMP_PROTOCOL (pair.protocol), database);
  g_object_add_weak_pointer (certificate, &certificate);
  g_object_add_weak_pointer (database, &database);
  g_object_unref (certificate);
  g_object_unref (database);

  tls_pair_begin (&pair, NULL);
  change_properties (pair.protocol, NULL);
  g_assert_nonnull (certificate);
  g_assert_nonnull (database);
  g_assert_true (tls_peer_shake_hands (&pair.peer, NULL));
  g_assert_true (tls_pair_finish (&pair, NULL));
  tls_pair_end (&pair);
  tls_wait_gone (&certificate);
  tls_wait_gone (&database);
}

static void
change_and_note (LineProtocol *protocol,
                 gpointer      trace)
{
  change_properties (protocol, NULL);
  line_trace_add (trace, "changed");
}

/* ---- when the properties are read -------------------------------------------------------------------------------- */

/* TLS was on when the attempt began. */
static void
test_changed_during_attempt (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  tls_pair_start_attempt (&pair, NULL);
  change_properties (pair.protocol, NULL);
  aqmp_protocol_set_tls_auth_mode (AQMP_PROTOCOL (pair.protocol), G_TLS_AUTHENTICATION_REQUIRED);
  tls_pair_join (&pair);
  tls_peer_shake_hands (&pair.peer, &error);
  g_assert_no_error (error);
  tls_pair_finish (&pair, &error);
  g_assert_no_error (error);
  g_assert_true (G_IS_TLS_CONNECTION (aqmp_protocol_get_stream (AQMP_PROTOCOL (pair.protocol))));
  tls_pair_ping (&pair);
  /* Nor does the session mind. */
  line_protocol_when (pair.protocol, LINE_MESSAGE_RECEIVED, "x", change_and_note,
                      line_protocol_get_trace (pair.protocol), LINE_CHAIN_UP);
  tls_peer_send (&pair.peer, "x\n");
  wait_trace (pair.protocol, "changed");
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* TLS was off. */
static void
test_switched_on_during_attempt (gconstpointer data)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_autoptr (GError) error = NULL;
  char line[6] = "";

  tls_pair_init (&pair, GPOINTER_TO_INT (data), TLS_OVER_UNIX);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair.protocol), FALSE);
  tls_pair_start_attempt (&pair, NULL);
  aqmp_protocol_set_tls (AQMP_PROTOCOL (pair.protocol), TRUE);
  tls_pair_join (&pair);
  tls_pair_finish (&pair, &error);
  g_assert_no_error (error);
  line_protocol_send (pair.protocol, "ping");
  tls_peer_wait_readable (&pair.peer);
  g_assert_cmpint (g_socket_receive (tls_peer_get_socket (&pair.peer), line, 5, NULL, NULL), ==, 5);
  g_assert_cmpstr (line, ==, "ping\n");
  disconnect_session (pair.protocol, &error);
  g_assert_no_error (error);
}

/* start_server() is when, not accept(). */
static void
test_changed_before_accept (void)
{
  g_auto (TlsPair) pair = TLS_PAIR_INIT;
  g_auto (TestSlot) slot = TEST_SLOT_INIT;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  tls_pair_init (&pair, TLS_ACCEPTS, TLS_OVER_UNIX);
  aqmp_protocol_start_server (AQMP_PROTOCOL (pair.protocol), G_SOCKET_ADDRESS (pair.address), NULL, &error);
  g_assert_no_error (error);
  change_properties (pair.protocol, NULL);
  aqmp_protocol_accept_async (AQMP_PROTOCOL (pair.protocol), NULL, test_slot_callback, &slot);
  tls_pair_join (&pair);
  tls_peer_shake_hands (&pair.peer, &error);
  g_assert_no_error (error);
  result = test_await (&slot);
  aqmp_protocol_accept_finish (AQMP_PROTOCOL (pair.protocol), result, &error);
  g_assert_no_error (error);
  tls_pair_ping (&pair);
  tls_pair_end (&pair);
}

/* A plain stream stays plain. */
static void
test_ignored_by_open (void)
{
  g_auto (TestSlot) slot G_GNUC_UNUSED = TEST_SLOT_INIT;
  g_auto (Peer) peer G_GNUC_UNUSED = PEER_INIT;
  LineProtocol *protocol = line_protocol_new ();

  aqmp_protocol_set_tls (AQMP_PROTOCOL (protocol), TRUE);
  aqmp_protocol_set_tls_record_size (AQMP_PROTOCOL (protocol), 1);
  check_usable (protocol);
  end_object (&protocol);
}

/* What is not in range is a mistake of the program, and changes nothing. */
static void
test_record_size_out_of_range (void)
{
  AqmpProtocol *protocol = AQMP_PROTOCOL (line_protocol_new ());

  g_test_expect_message ("aqmp", G_LOG_LEVEL_CRITICAL, "*tls_record_size*");
  aqmp_protocol_set_tls_record_size (protocol, 16385);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (aqmp_protocol_get_tls_record_size (protocol), ==, 0);
  g_object_unref (protocol);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void
add_both (const char  *path,
          TlsTestFunc  func)
{
  g_autofree char *connect = g_strconcat (path, "/connect", NULL);
  g_autofree char *accept = g_strconcat (path, "/accept", NULL);

  tls_add (connect, func, GINT_TO_POINTER (TLS_CONNECTS));
  tls_add (accept, func, GINT_TO_POINTER (TLS_ACCEPTS));
}

int
main (int    argc,
      char **argv)
{
  gsize i;

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/protocol/tls/properties/defaults", test_defaults);
  g_test_add_func ("/protocol/tls/properties/record-size-out-of-range", test_record_size_out_of_range);
  g_test_add_func ("/protocol/tls/properties/ignored-by-open", test_ignored_by_open);
  tls_add ("/protocol/tls/properties/set-and-get", test_set_and_get, NULL);
  add_both ("/protocol/tls/properties/references-of-the-attempt", test_references_of_attempt);
  add_both ("/protocol/tls/properties/changed-during-the-attempt", test_changed_during_attempt);
  add_both ("/protocol/tls/properties/switched-on-during-the-attempt", test_switched_on_during_attempt);
  tls_add ("/protocol/tls/properties/changed-before-accept", test_changed_before_accept, NULL);

  add_both ("/protocol/tls/accept-certificate/accepted", test_accepted);
  add_both ("/protocol/tls/accept-certificate/refused", test_refused);
  add_both ("/protocol/tls/accept-certificate/not-asked-about-what-is-fine", test_not_asked);
  tls_add ("/protocol/tls/accept-certificate/not-asked-about-none", test_not_asked_about_none, NULL);
  tls_add ("/protocol/tls/accept-certificate/flags", test_flags, NULL);
  tls_add ("/protocol/tls/accept-certificate/several-handlers", test_several_handlers, NULL);
  tls_add ("/protocol/tls/accept-certificate/all-refuse", test_all_refuse, NULL);
  tls_add ("/protocol/tls/accept-certificate/asked-each-time", test_asked_each_time, NULL);
  add_both ("/protocol/tls/T1/accept-certificate/thread-with-context", test_owner_context);
  add_both ("/protocol/tls/T1/accept-certificate/main-context", test_main_context);
  add_both ("/protocol/tls/T1/accept-certificate/context-not-default-any-more", test_context_that_is_not_default_any_more);
  for (i = 0; i < G_N_ELEMENTS (deeds); i++)
    {
      g_autofree char *path = g_strconcat ("/protocol/tls/T4/accept-certificate/", deeds[i].path, NULL);

      tls_add (path, test_deed, &deeds[i]);
    }
  tls_add ("/protocol/tls/T4/accept-certificate/drops-reference-and-accepts", test_drops_reference, GINT_TO_POINTER (TRUE));
  tls_add ("/protocol/tls/T4/accept-certificate/drops-reference-and-refuses", test_drops_reference, GINT_TO_POINTER (FALSE));
  add_both ("/protocol/tls/T4/accept-certificate/changes-properties", test_changes_properties);
  tls_add ("/protocol/tls/accept-certificate/peer-leaves-meanwhile", test_peer_leaves_meanwhile, NULL);

  return tls_run ();
}
