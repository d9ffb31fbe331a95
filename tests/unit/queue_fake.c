/*
 * queue_fake.c - a queue in the memory of a test, in place of queue_lmdb.c and queue_kafka.c.
 */
#include "tests/unit/queue_fake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

static const struct queue_ops ops;
struct queue_fake fake;

static int
next_err(enum op kind)
{
	struct fake_fault *fault = &fake.fault[kind];

	if (!fault->times || (fault->after && fault->after--))
		return 0;
	fault->times--;
	return fault->err;
}

static void
call_free(struct fake_call *call)
{
	free(call->key);
	free(call->text);
}

static void
answer(struct fake_call call, int err)
{
	fake.done[call.kind] += !err;
	if (!err && fake.on_done)
		fake.on_done(&call);
	if (call.cb)
		call.cb(call.arg, err);
	call_free(&call);
}

static void
take(enum op kind, const char *key, const char *text, size_t length, queue_cb cb, void *arg)
{
	const struct fake_call call = { kind, key ? xstrdup(key) : NULL, xstrndup(text, length), cb,
		arg };

	fake.calls[kind]++;
	free(fake.last[kind]);
	fake.last[kind] = xstrdup(call.text);
	if (fake.on_call)
		fake.on_call(kind);
	assert(fake.waiting_count < FAKE_WAITING_MAX);
	if (fake.late[kind])
		fake.waiting[fake.waiting_count++] = call;
	else
		answer(call, next_err(kind));
}

bool
queue_fake_answer(int err)
{
	const struct fake_call call = fake.waiting[0];

	if (!fake.waiting_count)
		return false;
	memmove(fake.waiting, fake.waiting + 1, --fake.waiting_count * sizeof call);
	answer(call, err);
	return true;
}

void
queue_fake_reset(void)
{
	for (size_t i = 0; i < fake.waiting_count; i++)
		call_free(&fake.waiting[i]);
	for (size_t i = 0; i < OPS; i++)
		free(fake.last[i]);
	for (size_t i = 0; i < fake.stored_count; i++)
		row_free(fake.stored[i]);
	fake = (struct queue_fake){ .ops = ops,
		.queue = { &fake.ops },
		.rows = { &fake.ops },
		.record = { .ops = &fake.ops } };
}

static bool
is_of(const Row *row, const uint8_t *id, const char *site)
{
	return (!id || memcmp(row->envelope->id.data, id, ID_SIZE) == 0) &&
		(!site || strcmp(row->site, site) == 0);
}

/* Where the row is, or would be added. */
static size_t
place_of(const Row *row)
{
	size_t i = 0;

	while (i < fake.stored_count && !is_of(fake.stored[i], row->envelope->id.data, row->site))
		i++;
	return i;
}

void
queue_fake_store(const Row *row)
{
	const size_t i = place_of(row);

	if (i < fake.stored_count)
		row_free(fake.stored[i]);
	else
		fake.stored_count++;
	assert(i < FAKE_ROWS_MAX);
	fake.stored[i] = row_copy(row);
}

static void
fake_put(struct queue *queue, enum topic topic, const Envelope *envelope, const struct body *body,
	queue_cb cb, void *arg)
{
	fake.put_envelope = envelope;
	fake.put_body = *body;
	take(OP_PUT, NULL, body->data, body->size, cb, arg);
}

static void
fake_finish(struct record *record)
{
	fake.finished++;
}

static void
fake_abandon(struct record *record)
{
}

static void
fake_defer(struct record *record, Row *const *rows, size_t count, queue_cb cb, void *arg)
{
	for (size_t i = 0; i < count; i++)
		queue_fake_store(rows[i]);
	fake.deferred = count;
	take(OP_DEFER, NULL, "", 0, cb, arg);
}

static void
fake_row_put(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	queue_fake_store(row);
	take(OP_ROW_PUT, NULL, row->site, strlen(row->site), cb, arg);
}

static void
fake_row_remove(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	const size_t i = place_of(row);

	if (i < fake.stored_count) {
		row_free(fake.stored[i]);
		fake.stored[i] = fake.stored[--fake.stored_count];
	}
	take(OP_ROW_REMOVE, NULL, row->site, strlen(row->site), cb, arg);
}

static size_t
read_rows(const uint8_t *id, const char *site, queue_row_cb on_row, void *arg)
{
	Row *found[FAKE_ROWS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < fake.stored_count; i++)
		if (is_of(fake.stored[i], id, site) &&
			is_of(fake.stored[i], NULL, fake.readable_site))
			found[count++] = row_copy(fake.stored[i]);
	for (size_t i = 0; i < count; i++)
		on_row(arg, found[i]);
	return count;
}

/* All rows of a site come at once, and none after that. */
static size_t
fake_rows_due(struct rows *rows, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg)
{
	return from->id ? 0 : read_rows(NULL, from->site, on_row, arg);
}

static size_t
fake_rows_of(struct rows *rows, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	return read_rows(id, NULL, on_row, arg);
}

/* A sweep over all rows finds none: tests call what it would call. */
static size_t
fake_rows_scan(struct rows *rows, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	return 0;
}

static bool
fake_rows_mine(struct rows *rows, int partition)
{
	return true;
}

static struct {
	queue_body_cb cb;
	void *arg;
	const char *data;
	size_t length;
} piece; /* that is being read: one at a time */

static void
answer_read(evutil_socket_t fd, short what, void *arg)
{
	const int err = next_err(OP_BODY);

	piece.cb(piece.arg, err, err ? NULL : piece.data, err ? 0 : piece.length);
}

static void
fake_body(struct queue *queue, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg)
{
	const size_t size = strlen(fake.body), left = offset < size ? size - offset : 0;

	piece.cb = cb;
	piece.arg = arg;
	piece.data = fake.body + offset;
	piece.length = length < left ? length : left;
	fake.read_end = offset + length;
	fake.calls[OP_BODY]++;
	if (fake.on_call)
		fake.on_call(OP_BODY);
	if (fake.late[OP_BODY])
		event_base_once(loop_base(loop_current()), -1, EV_TIMEOUT, answer_read, NULL,
			&(struct timeval){ 0 });
	else
		answer_read(-1, 0, NULL);
}

static void
fake_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg)
{
	assert(strlen(json) == length);
	fake.class = class;
	take(OP_EVENT, NULL, json, length, cb, arg);
}

static void
fake_config_put(struct queue *queue, const char *key, const char *json, queue_cb cb, void *arg)
{
	take(OP_CONFIG, key, json, strlen(json), cb, arg);
}

static struct config_subscriber *
fake_config_subscribe(struct queue *queue, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	fake.on_entry = on_entry;
	fake.on_entry_arg = arg;
	return NULL;
}

static const struct queue_ops ops = {
	.put = fake_put,
	.abandon = fake_abandon,
	.finish = fake_finish,
	.defer = fake_defer,
	.body = fake_body,
	.row_put = fake_row_put,
	.row_remove = fake_row_remove,
	.rows_mine = fake_rows_mine,
	.rows_due = fake_rows_due,
	.rows_scan = fake_rows_scan,
	.rows_of = fake_rows_of,
	.config_put = fake_config_put,
	.config_subscribe = fake_config_subscribe,
	.event_put = fake_event_put,
};
