/* SPDX-FileCopyrightText: 2026 The aqmp-glib authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "aqmp-pending-private.h"

#include <string.h>

#include "aqmp-alloc-private.h"
#include "aqmp-json-private.h"

/* Threads: any, under the protocol's lock, but for references and the decoding of ids. */

/* --- Ids ---------------------------------------------------------------------------------------------------------- */

static gboolean
parse_unsigned (const char *digits,
                gsize       length,
                guint64    *value)
{
  g_autofree char *text = g_strndup (digits, length);

  return g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, value, NULL) && (length == 1 || digits[0] != '0');
}

/* The fast way for what comes back nearly always: the very text that was sent. */
static gboolean
parse_generated (const char *text,
                 gsize       length,
                 guint64    *serial)
{
  const gsize prefix_length = strlen (AQMP_GENERATED_ID_PREFIX);
  guint64 value = 0;
  gsize i;

  if (length <= prefix_length || length > prefix_length + 19 ||
      memcmp (text, AQMP_GENERATED_ID_PREFIX, prefix_length) != 0 || text[prefix_length] == '0')
    return FALSE;

  for (i = prefix_length; i < length; i++)
    {
      if (!g_ascii_isdigit (text[i]))
        return FALSE;
      value = 10 * value + (guint64) (text[i] - '0');
    }

  *serial = value;
  return TRUE;
}

static GBytes *
own_id (char        type,
        const char *text,
        gsize       length)
{
  char *key = g_malloc (length + 1);

  key[0] = type;
  memcpy (key + 1, text, length);
  return g_bytes_new_take (key, length + 1);
}

static void
parse_string_id (AqmpCallId   *self,
                 const guint8 *data,
                 gsize         length)
{
  g_autoptr (GString) decoded = NULL;

  if (parse_generated ((const char *) data + 1, length - 2, &self->serial))
    return;

  decoded = g_string_new (NULL);
  aqmp_json_decode_string (data, length, decoded);
  if (!parse_generated (decoded->str, decoded->len, &self->serial))
    self->own = own_id ('s', decoded->str, decoded->len);
}

/* A server may write a number another way than it was sent, so it is the value that counts. QEMU knows integers up to
   2⁶⁴ − 1. */
static gboolean
parse_integer_id (AqmpCallId   *self,
                  const guint8 *data,
                  gsize         length)
{
  char decimal[32];
  gint64 value;
  guint64 large_value;

  if (aqmp_json_get_int64 (data, length, &value))
    g_snprintf (decimal, sizeof decimal, "%" G_GINT64_FORMAT, value);
  else if (parse_unsigned ((const char *) data, length, &large_value))
    g_snprintf (decimal, sizeof decimal, "%" G_GUINT64_FORMAT, large_value);
  else
    return FALSE;

  self->own = own_id ('i', decimal, strlen (decimal));
  return TRUE;
}

gboolean
aqmp_call_id_parse (AqmpCallId   *self,
                    const guint8 *data,
                    gsize         length)
{
  *self = (AqmpCallId) { 0, NULL };

  if (length == 0)
    return FALSE;

  if (data[0] != '"')
    return parse_integer_id (self, data, length);

  parse_string_id (self, data, length);
  return TRUE;
}

gboolean
aqmp_call_id_equal (const AqmpCallId *a,
                    const AqmpCallId *b)
{
  if (a->own == NULL || b->own == NULL)
    return a->own == b->own && a->serial == b->serial;
  return g_bytes_equal (a->own, b->own);
}

void
aqmp_call_id_clear (AqmpCallId *self)
{
  g_clear_pointer (&self->own, g_bytes_unref);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

static AqmpCall *
call_new (void)
{
  AqmpCall *self = aqmp_atomic_rc_box_new0 (AqmpCall);

  self->link.data = self;
  return self;
}

AqmpCall *
aqmp_call_new (AqmpResult *result)
{
  AqmpCall *self = call_new ();

  self->result = result;
  self->client = aqmp_result_get_source (result);
  return self;
}

AqmpCall *
aqmp_call_new_blocking (AqmpBlocking *blocking)
{
  AqmpCall *self = call_new ();

  self->blocking = aqmp_blocking_ref (blocking);
  return self;
}

gboolean
aqmp_call_is_awaited (AqmpCall *self)
{
  return self->state == AQMP_CALL_PENDING || self->state == AQMP_CALL_WAITING;
}

static void
call_clear (gpointer data)
{
  AqmpCall *self = data;

  g_clear_object (&self->result);
  g_clear_pointer (&self->blocking, aqmp_blocking_unref);
  aqmp_call_id_clear (&self->id);
  g_clear_object (&self->fds);
  if (self->held_text != NULL)
    g_string_free (self->held_text, TRUE);
}

void
aqmp_call_unref (gpointer self)
{
  g_atomic_rc_box_release_full (self, call_clear);
}

/* --- By serial ---------------------------------------------------------------------------------------------------- */

/* Chains through the calls themselves: no call in flight but goes in and out here once, and a GHashTable would be a tenth of what
   it costs. */

#define FEWEST_BITS 4

/* Multiplied with 2⁶⁴ divided by the golden ratio, numbers in any regular distance spread evenly over the upper bits. */
static AqmpCall **
bucket_of (AqmpPending *self,
           guint64      serial)
{
  return &self->buckets[(serial * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)) >> (64 - self->n_bits)];
}

static void
put (AqmpPending *self,
     AqmpCall    *call)
{
  AqmpCall **bucket = bucket_of (self, call->id.serial);

  call->next = *bucket;
  *bucket = call;
}

static void
resize (AqmpPending *self,
        guint        n_bits)
{
  g_autofree AqmpCall **old = g_steal_pointer (&self->buckets);
  gsize n_old = old != NULL ? (gsize) 1 << self->n_bits : 0;
  gsize i;

  self->n_bits = n_bits;
  self->buckets = g_new0 (AqmpCall *, (gsize) 1 << n_bits);
  for (i = 0; i < n_old; i++)
    {
      AqmpCall *call = old[i];

      while (call != NULL)
        {
          AqmpCall *next = call->next;

          put (self, call);
          call = next;
        }
    }
}

static AqmpCall *
find_by_serial (AqmpPending *self,
                guint64      serial)
{
  AqmpCall *call = self->n_by_serial > 0 ? *bucket_of (self, serial) : NULL;

  while (call != NULL && call->id.serial != serial)
    call = call->next;
  return call;
}

static void
add_by_serial (AqmpPending *self,
               AqmpCall    *call)
{
  if (self->buckets == NULL)
    resize (self, FEWEST_BITS);
  else if (self->n_by_serial >> self->n_bits > 0)
    resize (self, self->n_bits + 1);

  put (self, call);
  self->n_by_serial++;
}

/* A burst leaves no big table behind. */
static void
remove_by_serial (AqmpPending *self,
                  AqmpCall    *call)
{
  AqmpCall **position = bucket_of (self, call->id.serial);

  while (*position != call)
    position = &(*position)->next;
  *position = call->next;
  self->n_by_serial--;

  if (self->n_bits > FEWEST_BITS && self->n_by_serial >> (self->n_bits - 3) == 0)
    resize (self, self->n_bits - 1);
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

void
aqmp_pending_init (AqmpPending *self)
{
  *self = (AqmpPending) {
    .by_own_id = g_hash_table_new (g_bytes_hash, g_bytes_equal),
  };
}

void
aqmp_pending_clear (AqmpPending *self)
{
  g_assert (g_queue_is_empty (&self->order));
  g_assert (g_queue_is_empty (&self->in_band) && g_queue_is_empty (&self->out_of_band));
  g_assert (self->n_by_serial == 0);
  g_clear_pointer (&self->buckets, g_free);
  g_clear_pointer (&self->by_own_id, g_hash_table_unref);
}

AqmpCall *
aqmp_pending_find (AqmpPending      *self,
                   const AqmpCallId *id)
{
  if (id->own != NULL)
    return g_hash_table_lookup (self->by_own_id, id->own);
  return find_by_serial (self, id->serial);
}

static gboolean
has_room (AqmpPending *self,
          AqmpCall    *call)
{
  if (!call->out_of_band && self->n_in_band >= AQMP_PENDING_MAX_IN_BAND)
    return FALSE;
  return !call->carries_fds || self->n_with_fds == 0;
}

/* Whatever can be released has been, so of those out of band only one that has no room itself finds others before it. */
gboolean
aqmp_pending_has_to_wait (AqmpPending *self,
                          AqmpCall    *call)
{
  return !has_room (self, call) || (!call->out_of_band && !g_queue_is_empty (&self->in_band));
}

static void
append_to_order (AqmpPending *self,
                 AqmpCall    *call)
{
  call->state = AQMP_CALL_PENDING;
  g_queue_push_tail_link (&self->order, &call->link);
  self->n_in_band += !call->out_of_band;
  self->n_with_fds += call->carries_fds;
}

static GQueue *
queue_of_held (AqmpPending *self,
               AqmpCall    *call)
{
  return call->out_of_band ? &self->out_of_band : &self->in_band;
}

gboolean
aqmp_pending_add (AqmpPending *self,
                  AqmpCall    *call,
                  gboolean     held_back)
{
  if (aqmp_pending_find (self, &call->id) != NULL)
    return FALSE;

  if (call->id.own != NULL)
    g_hash_table_insert (self->by_own_id, call->id.own, call);
  else
    add_by_serial (self, call);

  if (held_back)
    {
      call->state = AQMP_CALL_WAITING;
      g_queue_push_tail_link (queue_of_held (self, call), &call->link);
    }
  else
    append_to_order (self, call);

  return TRUE;
}

AqmpCall *
aqmp_pending_release (AqmpPending *self)
{
  AqmpCall *call = g_queue_peek_head (&self->out_of_band);

  if (call == NULL || !has_room (self, call))
    call = g_queue_peek_head (&self->in_band);
  if (call == NULL || !has_room (self, call))
    return NULL;

  g_queue_unlink (queue_of_held (self, call), &call->link);
  append_to_order (self, call);
  return call;
}

AqmpCall *
aqmp_pending_steal_held (AqmpPending *self)
{
  AqmpCall *call = g_queue_peek_head (&self->in_band);

  if (call == NULL)
    call = g_queue_peek_head (&self->out_of_band);
  if (call != NULL)
    aqmp_pending_remove (self, call);
  return call;
}

/* They are written in their order, so two looks are enough. */
AqmpCall *
aqmp_pending_find_sole (AqmpPending *self,
                        guint64      written_token)
{
  AqmpCall *first = g_queue_peek_head (&self->order);
  AqmpCall *second = g_queue_peek_nth (&self->order, 1);

  if (first == NULL || first->token > written_token)
    return NULL;
  if (second != NULL && second->token <= written_token)
    return NULL;
  return first;
}

void
aqmp_pending_abandon (AqmpPending *self,
                      AqmpCall    *call)
{
  call->state = AQMP_CALL_ABANDONED;
  self->n_abandoned++;
}

static void
remove_from_queue (AqmpPending *self,
                   AqmpCall    *call)
{
  if (call->state == AQMP_CALL_WAITING)
    {
      g_queue_unlink (queue_of_held (self, call), &call->link);
      return;
    }

  g_queue_unlink (&self->order, &call->link);
  self->n_in_band -= !call->out_of_band;
  self->n_with_fds -= call->carries_fds;
}

void
aqmp_pending_remove (AqmpPending *self,
                     AqmpCall    *call)
{
  remove_from_queue (self, call);
  if (call->state == AQMP_CALL_ABANDONED)
    self->n_abandoned--;
  call->state = AQMP_CALL_ENDED;

  if (call->id.own != NULL)
    g_hash_table_remove (self->by_own_id, call->id.own);
  else
    remove_by_serial (self, call);
}
