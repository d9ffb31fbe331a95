/*
 * ledger.c - what was delivered, in Redis.
 *
 * sender:  attempt -> remote's 250 -> [ledger] -> delivered event -> finish
 *
 * A batch is the question of one transaction: one MGET, or a pipelined SET for each recipient. The
 * first mail after a crash asks before Redis is connected and waits for the answer, since that mail
 * may have been delivered.
 */
#include "sender/mail/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/redis/redis.h"

#define WAIT_MS 200
#define EARLY_S "3600"
#define LATE_S "518400" /* 6 days: longer than mail lives */
#define KEY_MAX (sizeof "sent:{}:" + ID_TEXT_SIZE + 512)

static const char *const values[] = { [LEDGER_SENT] = "1", [LEDGER_RELAYED] = "2" };

struct ledger {
	struct redis *redis;
};

struct batch {
	size_t pending;
	ledger_cb done;
	ledger_check_cb checked;
	void *arg;
	size_t count;
	enum ledger_entry found[];
};

struct ledger *
ledger_new(struct redis *redis)
{
	struct ledger *ledger = xcalloc(1, sizeof *ledger);

	ledger->redis = redis;
	return ledger;
}

void
ledger_free(struct ledger **ledger)
{
	free(*ledger);
	*ledger = NULL;
}

static struct batch *
batch_new(size_t count, void *arg)
{
	struct batch *batch = xcalloc(1, sizeof *batch + count * sizeof *batch->found);

	batch->count = count;
	batch->arg = arg;
	return batch;
}

static void
ledger_key(char key[KEY_MAX], const uint8_t *id, const Recipient *recipient)
{
	char text[ID_TEXT_SIZE];

	id_format(id, text);
	snprintf(key, KEY_MAX, "sent:{%s}:%.500s", text, recipient->address);
}

static void
on_put(void *arg, int err, const struct redis_reply *reply)
{
	struct batch *batch = arg;

	(void)reply;
	if (err && err != -ECANCELED)
		LOG_DEBUG("delivery not in the ledger", "error", strerror(-err));
	if (--batch->pending)
		return;
	batch->done(batch->arg);
	free(batch);
}

void
ledger_put(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients, size_t count,
	enum ledger_entry entry, bool late, ledger_cb cb, void *arg)
{
	struct batch *batch;
	char key[KEY_MAX];

	if (!count || !redis_hopeful(ledger->redis)) {
		cb(arg);
		return;
	}
	batch = batch_new(0, arg);
	batch->done = cb;
	batch->pending = count;
	for (size_t i = 0; i < count; i++) {
		ledger_key(key, id, recipients[i]);
		redis_command(ledger->redis, WAIT_MS, on_put, batch, 5,
			(const char *const[]){
				"SET", key, values[entry], "EX", late ? LATE_S : EARLY_S },
			NULL);
	}
}

static enum ledger_entry
entry_of(const struct redis_reply *reply)
{
	const char *value;
	size_t length;

	if (redis_reply_kind(reply) != REDIS_STR)
		return LEDGER_NONE;
	value = redis_reply_str(reply, &length);
	return length == 1 && *value == *values[LEDGER_RELAYED] ? LEDGER_RELAYED : LEDGER_SENT;
}

static void
on_check(void *arg, int err, const struct redis_reply *reply)
{
	struct batch *batch = arg;

	if (!err && redis_reply_kind(reply) == REDIS_LIST &&
		redis_reply_count(reply) == batch->count)
		for (size_t i = 0; i < batch->count; i++)
			batch->found[i] = entry_of(redis_reply_at(reply, i));
	batch->checked(batch->arg, batch->found);
	free(batch);
}

void
ledger_check(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients, size_t count,
	ledger_check_cb cb, void *arg)
{
	struct batch *batch = batch_new(count, arg);
	const char **argv;
	char(*keys)[KEY_MAX];

	batch->checked = cb;
	if (!count || !redis_hopeful(ledger->redis)) {
		on_check(batch, -ENOTCONN, NULL);
		return;
	}
	argv = xmalloc((count + 1) * sizeof *argv);
	keys = xmalloc(count * sizeof *keys);
	argv[0] = "MGET";
	for (size_t i = 0; i < count; i++) {
		ledger_key(keys[i], id, recipients[i]);
		argv[i + 1] = keys[i];
	}
	redis_command(ledger->redis, WAIT_MS, on_check, batch, (int)count + 1, argv, NULL);
	free(keys);
	free(argv);
}
