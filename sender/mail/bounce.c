/*
 * bounce.c - tells the sender of a mail what became of it (RFC 3464).
 *
 * sender:  settle -> [bounce] -> mail.ready
 *
 * The DSN is durable before the event. A DSN's id depends on its subject alone, so a DSN that is
 * made again after a crash in between is one that the queue knows.
 *
 * A DSN is about at most CHUNK recipients, so that it always fits into memory. Mail that was held
 * for its content goes back as its header alone. While the body cannot be read the DSN waits; when
 * the body is gone the DSN says so.
 */
#include "sender/mail/bounce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/sender.h"
#include "sender/policy/dsn.h"
#include "sender/policy/retry.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/mail/envelope.h"
#include "shared/queue/queue.h"

#define CHUNK DSN_RECIPIENTS_MAX

struct bounce {
	struct item *item;
	enum bounce_kind kind;
	queue_cb cb;
	void *arg;
	const size_t *indices;         /* relayed: the targets that the DSN is about */
	const struct outcome *outcome; /* of all these targets */
	size_t count, from;            /* `from`: the first target not yet looked at */
	size_t original_size;
	bool original_gone;
	char *original;
	char *text;
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

	free(bounce->text);
	bounce->text = NULL;
	if (err)
		bounce_end(bounce, err);
	else
		bounce_next(bounce);
}

static enum dsn_kind
dsn_kind(const struct bounce *bounce)
{
	static const enum dsn_kind kinds[] = { [BOUNCE_FAILURE] = DSN_FAILURE,
		[BOUNCE_DELAY] = DSN_DELAY,
		[BOUNCE_RELAYED] = DSN_RELAYED };

	return kinds[bounce->kind];
}

static bool
is_about(const struct bounce *bounce, const struct target *target)
{
	static const enum target_state concerned[] = { [BOUNCE_FAILURE] = TARGET_FAILED,
		[BOUNCE_DELAY] = TARGET_DEFERRED,
		[BOUNCE_RELAYED] = TARGET_RECORDING };
	const bool parked = bounce->kind == BOUNCE_DELAY && target->state == TARGET_OPEN;

	return (parked || target->state == concerned[bounce->kind]) &&
		(bounce->outcome || target->outcome) &&
		dsn_wanted(bounce->item->mail->envelope, target->recipient, dsn_kind(bounce));
}

static size_t
bounce_choose(struct bounce *bounce)
{
	struct item *item = bounce->item;
	const struct retry_times *times = &item->mail->sender->times;
	size_t n = 0;

	for (; bounce->from < bounce->count && n < CHUNK; bounce->from++) {
		const size_t at = bounce->indices ? bounce->indices[bounce->from] : bounce->from;
		const struct target *target = &item->targets[at];

		if (!is_about(bounce, target))
			continue;
		bounce->recipients[n++] = (struct dsn_recipient){
			.recipient = target->recipient,
			.outcome = bounce->outcome ? bounce->outcome : target->outcome,
			.last_attempt_us = item->last_attempt_us,
			.retry_until_us = retry_expiry_us(
				times, item->mail->envelope, item_wait(item)),
		};
	}
	return n;
}

static void
bounce_put(struct bounce *bounce, const struct dsn *dsn)
{
	const struct sender *sender = bounce->item->mail->sender;
	Recipient to = RECIPIENT__INIT, *list[] = { &to };
	Envelope envelope = ENVELOPE__INIT;
	char ascii[ADDRESS_ASCII_MAX];
	uint8_t id[ID_SIZE];
	size_t size;

	dsn_id(dsn, id);
	dsn_build(dsn, &bounce->text, &size);
	to.address = dsn->about->mail_from;
	to.notify = NOTIFY_NEVER;
	envelope.id = (ProtobufCBinaryData){ .data = id, .len = sizeof id };
	envelope.kind = ENVELOPE__KIND__DSN;
	envelope.accepted_us = dsn->now_us;
	envelope.size = size;
	envelope.recipients = list;
	envelope.n_recipients = 1;
	envelope.mime_8bit = !text_is_ascii(bounce->text, size);
	envelope.smtputf8 = !address_to_ascii(to.address, ascii);
	envelope.partition = dsn->about->partition;
	queue_put(sender->queue, TOPIC_READY, &envelope,
		&(struct body){ .data = bounce->text, .size = size }, on_put, bounce);
}

static void
bounce_next(struct bounce *bounce)
{
	const struct item *item = bounce->item;
	Envelope about = *item->mail->envelope;
	struct dsn dsn = {
		.kind = dsn_kind(bounce),
		.about = &about,
		.recipients = bounce->recipients,
		.count = bounce_choose(bounce),
		.original = bounce->original,
		.original_length = bounce->original_size,
		.original_gone = bounce->original_gone,
		.hostname = item->mail->sender->config->hostname,
		.now_us = clock_us(),
	};

	if (!dsn.count || item->mail->sender->ending) {
		bounce_end(bounce, dsn.count ? -ECANCELED : 0);
		return;
	}
	if (item->held || item->released)
		about.ret = (char *)"HDRS";
	bounce_put(bounce, &dsn);
}

static void
on_body(void *arg, int err, const void *data, size_t length)
{
	struct bounce *bounce = arg;

	if (err && err != -ENOENT) {
		bounce_end(bounce, err);
		return;
	}
	bounce->original_gone = err;
	if (length) {
		bounce->original = xmalloc(length);
		memcpy(bounce->original, data, length);
		bounce->original_size = length;
	}
	bounce_next(bounce);
}

static void
bounce_start(const struct bounce *what)
{
	struct bounce *bounce = xcalloc(1, sizeof *bounce);
	const struct item *item = what->item;

	*bounce = *what;
	if (!bounce_choose(bounce)) {
		bounce_end(bounce, 0);
		return;
	}
	bounce->from = 0;
	queue_body(item->mail->sender->queue, item->mail->envelope, 0, DSN_ORIGINAL_MAX, on_body,
		bounce);
}

void
bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg)
{
	bounce_start(&(struct bounce){
		.item = item, .kind = kind, .count = item->count, .cb = cb, .arg = arg });
}

void
bounce_send_relayed(struct item *item, const size_t *indices, size_t count,
	const struct outcome *outcome, queue_cb cb, void *arg)
{
	bounce_start(&(struct bounce){ .item = item,
		.kind = BOUNCE_RELAYED,
		.indices = indices,
		.count = count,
		.outcome = outcome,
		.cb = cb,
		.arg = arg });
}
