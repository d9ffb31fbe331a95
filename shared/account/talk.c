/*
 * talk.c - records of sessions, gathered on the loop and kept in Redis for a day.
 *
 * ingress (record.c) -> [talk] -> Redis -> [talk] -> control (sessions, tests)
 *
 * Lost records are lost: without Redis, those of the last seconds at most are kept.
 */
#include "shared/account/talk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define FLUSH_MS 1000
#define TIMEOUT_MS 2000
#define KEY_SIZE 400
#define KEPT_S "86400"
#define INDEX "talk:addresses"
#define NODE_LENGTH 8
#define PLACES_MAX 2000   /* accounts' shelves a second */
#define STRANGERS_MAX 200 /* strangers' addresses a second */

static char refused[] = "talks: Redis refuses the script";

static const struct {
	const char *name;
	unsigned most;
} shelves[] = {
	[TALK_SHELF_SESSIONS] = { "sessions", TALK_SESSIONS },
	[TALK_SHELF_FAILED] = { "failed", TALK_FAILED },
	[TALK_SHELF_TRIED] = { "tried", TALK_FAILED },
	[TALK_SHELF_STRANGER] = { "stranger", TALK_STRANGER },
};

/* KEYS: hash, order, index of addresses; ARGV: how many are kept, the address ("": an account's),
 * how many addresses are kept, now, then session, when it began, and its record. */
static struct redis_script script = {
	.text = "local hash, order, index = KEYS[1], KEYS[2], KEYS[3]\n"
		"for i = 5, #ARGV, 3 do\n"
		"  redis.call('HSET', hash, ARGV[i], ARGV[i + 2])\n"
		"  redis.call('ZADD', order, ARGV[i + 1], ARGV[i])\n"
		"end\n"
		"local over = redis.call('ZCARD', order) - ARGV[1]\n"
		"if over > 0 then\n"
		"  for _, old in ipairs(redis.call('ZRANGE', order, 0, over - 1)) do\n"
		"    redis.call('HDEL', hash, old)\n"
		"    redis.call('ZREM', order, old)\n"
		"  end\n"
		"end\n"
		"redis.call('EXPIRE', hash, " KEPT_S ")\n"
		"redis.call('EXPIRE', order, " KEPT_S ")\n"
		"if ARGV[2] ~= '' then\n"
		"  redis.call('ZADD', index, ARGV[4], ARGV[2])\n"
		"  redis.call('EXPIRE', index, " KEPT_S ")\n"
		"  local many = redis.call('ZCARD', index) - ARGV[3]\n"
		"  if many > 0 then\n"
		"    for _, old in ipairs(redis.call('ZRANGE', index, 0, many - 1)) do\n"
		"      local key = 'talk:{' .. old .. '}:stranger'\n"
		"      redis.call('DEL', key, key .. ':order')\n"
		"      redis.call('ZREM', index, old)\n"
		"    end\n"
		"  end\n"
		"end\n"
		"return 0\n",
};

struct record {
	struct record *next;
	uint64_t session, began_us;
	char *text;
};

struct place {
	UT_hash_handle hh; /* by `key`: the shelf's number and whose it is */
	struct record *records;
	unsigned count;
	enum talk_shelf shelf;
	const char *whose; /* within `key` */
	char key[];
};

struct talks {
	struct redis *redis;
	struct timer flush;
	struct place *places;
	unsigned strangers;
	char node[NODE_LENGTH + 1]; /* sessions of another loop have the same numbers */
	void (*on_flush)(void *arg);
	void *arg;
};

/* Gathering */

static void
place_free(struct talks *talks, struct place *place)
{
	struct record *record;

	HASH_DEL(talks->places, place);
	talks->strangers -= place->shelf == TALK_SHELF_STRANGER;
	while ((record = place->records)) {
		place->records = record->next;
		free(record->text);
		free(record);
	}
	free(place);
}

static struct place *
place_find(struct talks *talks, enum talk_shelf shelf, const char *whose)
{
	char key[KEY_SIZE];
	struct place *place;

	snprintf(key, sizeof key, "%d%s", (int)shelf, whose);
	HASH_FIND_STR(talks->places, key, place);
	return place;
}

static struct place *
place_get(struct talks *talks, enum talk_shelf shelf, const char *whose)
{
	struct place *place = place_find(talks, shelf, whose);
	const size_t size = strlen(whose) + 2;

	if (place || size > KEY_SIZE - 32)
		return place;
	if (HASH_COUNT(talks->places) >= PLACES_MAX ||
		(shelf == TALK_SHELF_STRANGER && talks->strangers >= STRANGERS_MAX))
		return NULL;
	place = xcalloc(1, sizeof *place + size);
	place->shelf = shelf;
	snprintf(place->key, size, "%d%s", (int)shelf, whose);
	place->whose = place->key + 1;
	HASH_ADD_STR(talks->places, key, place);
	talks->strangers += shelf == TALK_SHELF_STRANGER;
	return place;
}

static struct record *
record_find(const struct place *place, uint64_t session)
{
	struct record *record = place->records;

	while (record && record->session != session)
		record = record->next;
	return record;
}

bool
talks_wanted(struct talks *talks, enum talk_shelf shelf, const char *whose, uint64_t session)
{
	const struct place *place = place_find(talks, shelf, whose);

	return !place || place->count < shelves[shelf].most || record_find(place, session);
}

void
talks_wake(struct talks *talks)
{
	if (!timer_is_set(&talks->flush))
		timer_set(&talks->flush, FLUSH_MS);
}

void
talks_note(struct talks *talks, enum talk_shelf shelf, const char *whose, uint64_t session,
	uint64_t began_us, const char *text)
{
	struct place *place = place_get(talks, shelf, whose);
	struct record *record = place ? record_find(place, session) : NULL;

	if (!place || strlen(text) > TALK_RECORD_MAX ||
		(!record && place->count >= shelves[shelf].most))
		return;
	if (!record) {
		record = xcalloc(1, sizeof *record);
		record->session = session;
		record->began_us = began_us;
		record->next = place->records;
		place->records = record;
		place->count++;
	}
	free(record->text);
	record->text = xstrdup(text);
	talks_wake(talks);
}

/* Sending */

static void
place_send(struct talks *talks, const struct place *place)
{
	enum { FIXED = 7 };
	const int argc = FIXED + 3 * (int)place->count;
	const char **argv = xcalloc((size_t)argc, sizeof *argv);
	char keys[2][KEY_SIZE], most[12], addresses[12], now[24];
	char(*texts)[2][40] = xcalloc(place->count, sizeof *texts);
	const struct record *record = place->records;

	snprintf(keys[0], KEY_SIZE, "talk:{%s}:%s", place->whose, shelves[place->shelf].name);
	snprintf(keys[1], KEY_SIZE, "talk:{%s}:%s:order", place->whose, shelves[place->shelf].name);
	snprintf(most, sizeof most, "%u", shelves[place->shelf].most);
	snprintf(addresses, sizeof addresses, "%d", TALK_ADDRESSES);
	snprintf(now, sizeof now, "%" PRIu64, clock_us());
	argv[0] = keys[0];
	argv[1] = keys[1];
	argv[2] = INDEX;
	argv[3] = most;
	argv[4] = place->shelf == TALK_SHELF_STRANGER ? place->whose : "";
	argv[5] = addresses;
	argv[6] = now;
	for (unsigned i = 0; i < place->count; i++, record = record->next) {
		snprintf(texts[i][0], 40, "%s-%" PRIx64, talks->node, record->session);
		snprintf(texts[i][1], 40, "%" PRIu64, record->began_us);
		argv[FIXED + 3 * i] = texts[i][0];
		argv[FIXED + 3 * i + 1] = texts[i][1];
		argv[FIXED + 3 * i + 2] = record->text;
	}
	redis_run(talks->redis, &script, TIMEOUT_MS, redis_log_refusal, refused, 3, argc, argv);
	free(argv);
	free(texts);
}

static void
let_go(struct talks *talks, bool send)
{
	struct place *place, *next;

	HASH_ITER (hh, talks->places, place, next) {
		if (send)
			/* cppcheck-suppress uninitvar */
			place_send(talks, place);
		place_free(talks, place);
	}
}

static void
on_timer(void *arg)
{
	struct talks *talks = arg;

	if (talks->on_flush)
		talks->on_flush(talks->arg);
	timer_cancel(&talks->flush);
	if (redis_up(talks->redis))
		let_go(talks, true);
	else if (talks->places)
		talks_wake(talks);
}

struct talks *
talks_new(struct loop *loop, struct redis *redis, void (*on_flush)(void *arg), void *arg)
{
	struct talks *talks = xcalloc(1, sizeof *talks);

	talks->redis = redis;
	talks->on_flush = on_flush;
	talks->arg = arg;
	random_text(talks->node, NODE_LENGTH, "0123456789abcdef");
	timer_init(&talks->flush, loop, on_timer, talks);
	return talks;
}

void
talks_free(struct talks **talks_ref)
{
	struct talks *talks = *talks_ref;

	if (!talks)
		return;
	*talks_ref = NULL;
	let_go(talks, redis_up(talks->redis));
	timer_cancel(&talks->flush);
	free(talks);
}

/* Reading */

struct reading {
	talks_cb cb;
	void *arg;
};

static struct redis_script read_script = {
	.text = "local all = {}\n"
		"for _, key in ipairs(KEYS) do\n"
		"  for _, one in ipairs(redis.call('HVALS', key)) do all[#all + 1] = one end\n"
		"end\n"
		"return all\n",
};

static void
on_read(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	json_t *records = json_array();

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_LIST)
		err = -EPROTO;
	for (size_t i = 0; !err && i < redis_reply_count(reply); i++) {
		size_t length;
		const char *text = redis_reply_str(redis_reply_at(reply, i), &length);
		json_t *record = text ? json_loadb(text, length, 0, NULL) : NULL;

		if (json_is_object(record))
			json_array_append(records, record);
		json_decref(record);
	}
	reading.cb(reading.arg, err, err ? NULL : records);
	json_decref(records);
}

void
talks_read(struct redis *redis, const char *account, const char *const *addresses,
	size_t addresses_count, talks_cb cb, void *arg)
{
	char keys[3 + TALK_READ_ADDRESSES][KEY_SIZE];
	const char *argv[3 + TALK_READ_ADDRESSES];
	struct reading *reading = xmalloc(sizeof *reading);
	int count = 0;

	*reading = (struct reading){ cb, arg };
	for (int shelf = TALK_SHELF_SESSIONS; shelf <= TALK_SHELF_TRIED; shelf++)
		snprintf(keys[count++], KEY_SIZE, "talk:{%s}:%s", account, shelves[shelf].name);
	for (size_t i = 0; i < addresses_count && i < TALK_READ_ADDRESSES; i++)
		snprintf(keys[count++], KEY_SIZE, "talk:{%s}:stranger", addresses[i]);
	for (int i = 0; i < count; i++)
		argv[i] = keys[i];
	redis_run(redis, &read_script, TIMEOUT_MS, on_read, reading, count, count, argv);
}
