/*
 * bounce.c - tells the sender of a mail what became of it (RFC 3464).
 *
 * sender:  settle -> [bounce] -> mail.ready
 *
 * The DSN is durable before the event of the end, and its id depends on what it is about alone:
 * after a crash in between it is made again, and the queue takes it as done. A DSN is about at most
 * CHUNK recipients, so that it always travels in memory. What was held for its content goes back
 * as its header alone.
 */
#include <stdlib.h>
#include <string.h>

#include "sender/dsn.h"
#include "sender/sender_private.h"
#include "shared/config.h"
#include "shared/log.h"
#include "shared/loop.h"

#define CHUNK 100

struct bounce {
	struct item *item;
	enum bounce_kind kind;
	queue_cb cb;
	void *arg;
	size_t from; /* the first target not yet told about */
	size_t original_size;
	char *original;
	struct dsn dsn;
	struct dsn_recipient recipients[CHUNK];
};

static void bounce_next(struct bounce *bounce);

static void
bounce_end(struct bounce *bounce, int err)
{
	bounce->cb(bounce->arg, err);
	free(bounce->original);
	free(bounce);
}

static void
on_put(void *arg, int err)
{
	struct bounce *bounce = arg;

	dsn_free(&bounce->dsn);
	if (err)
		bounce_end(bounce, err);
	else
		bounce_next(bounce);
}

static bool
is_about(const struct bounce *bounce, const struct target *target)
{
	const enum dsn_kind kind = bounce->kind == BOUNCE_FAILURE ? DSN_FAILURE : DSN_DELAY;
	const bool concerned = bounce->kind == BOUNCE_FAILURE ? target->state == TARGET_FAILED
							      : target->state == TARGET_DEFERRED;

	return concerned && target->outcome &&
		dsn_wanted(kind, bounce->item->mail->envelope, target->recipient);
}

static size_t
bounce_choose(struct bounce *bounce)
{
	struct item *item = bounce->item;
	size_t n = 0;

	for (; bounce->from < item->count && n < CHUNK; bounce->from++) {
		struct target *target = &item->targets[bounce->from];

		if (is_about(bounce, target))
			bounce->recipients[n++] = (struct dsn_recipient){ target->recipient,
				target->outcome };
	}
	return n;
}

static void
bounce_next(struct bounce *bounce)
{
	const struct sender *sender = bounce->item->mail->sender;
	const Envelope *envelope = bounce->item->mail->envelope;
	const size_t count = bounce_choose(bounce);
	uint64_t total = envelope->prefix.len + envelope->size;

	if ((bounce->item->held || bounce->item->released) && total <= DSN_ORIGINAL_MAX)
		total = DSN_ORIGINAL_MAX + 1;
	const struct dsn_input input = {
		.kind = bounce->kind == BOUNCE_FAILURE ? DSN_FAILURE : DSN_DELAY,
		.envelope = envelope,
		.recipients = bounce->recipients,
		.count = count,
		.hostname = sender->config->hostname,
		.now_us = clock_us(),
		.expires_us = retry_expiry_us(&sender->times, envelope, false),
		.original = bounce->original,
		.original_size = bounce->original_size,
		.original_total = total,
	};

	if (!count || !dsn_build(&input, &bounce->dsn)) {
		bounce_end(bounce, 0);
		return;
	}
	queue_put(sender->queue, TOPIC_READY, bounce->dsn.envelope,
		&(struct body){ .data = bounce->dsn.data, .size = bounce->dsn.size }, on_put,
		bounce);
}

static void
on_body(void *arg, int err, const void *data, size_t length)
{
	struct bounce *bounce = arg;
	const ProtobufCBinaryData *prefix = &bounce->item->mail->envelope->prefix;

	if (err)
		length = 0;
	bounce->original = xmalloc(prefix->len + length);
	if (prefix->len)
		memcpy(bounce->original, prefix->data, prefix->len);
	if (length)
		memcpy(bounce->original + prefix->len, data, length);
	bounce->original_size = prefix->len + length;
	bounce_next(bounce);
}

void
bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg)
{
	struct bounce *bounce = xcalloc(1, sizeof *bounce);

	*bounce = (struct bounce){ .item = item, .kind = kind, .cb = cb, .arg = arg };
	if (!bounce_choose(bounce)) {
		bounce_end(bounce, 0);
		return;
	}
	bounce->from = 0;
	queue_body(item->mail->sender->queue, item->mail->envelope, 0, DSN_ORIGINAL_MAX, on_body,
		bounce);
}
