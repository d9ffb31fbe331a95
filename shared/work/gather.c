/*
 * gather.c - notices of one kind to one mailbox: a few singly, more of them together.
 *
 * hold -> [gather] -> Redis -> [gather] of any process -> hold
 *
 *   notices:{held}:count:<to>   how many were sent singly within the hour
 *   notices:{held}:list:<to>    hash: key -> text of the notices that wait
 *   notices:{held}:due          mailboxes by the time at which their gathered notices are sent
 *
 * Once a notice for a mailbox waits, later ones wait as well. They are sent when the hour ends, or
 * when MANY have come. The process that takes a due mailbox has LEASE_MS to make the mail durable.
 * Then the entries are removed; otherwise another process takes the mailbox. So after a crash a
 * contact may hear of a message twice, but hears of each.
 */
#include "shared/work/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define SINGLE_MAX "5" /* an hour */
#define HOUR_MS "3600000"
#define MANY "500" /* entries of one mail */
#define LEASE_MS "120000"
#define POLL_MS 5000
#define TIMEOUT_MS 2000
#define KEY_SIZE 700
#define DUE "notices:{held}:due"

static char refused[] = "notices: Redis refuses a script";

#define NOW                                                                                        \
	"local time = redis.call('TIME')\n"                                                        \
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"

/* KEYS count, list, due; ARGV mailbox, key, text, most singly, hour, many, lease */
static struct redis_script add_script = {
	.text = NOW "local waiting = redis.call('HLEN', KEYS[2])\n"
		    "local sent = tonumber(redis.call('GET', KEYS[1]) or 0)\n"
		    "if waiting == 0 and sent < tonumber(ARGV[4]) then\n"
		    "  redis.call('INCR', KEYS[1])\n"
		    "  if sent == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end\n"
		    "  return 1\n"
		    "end\n"
		    "redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])\n"
		    "local due = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or math.huge)\n"
		    "local left = math.max(redis.call('PTTL', KEYS[1]), 0)\n"
		    "if waiting + 1 >= tonumber(ARGV[6]) then left = 0 end\n"
		    "if due > now + math.max(left, tonumber(ARGV[7])) then\n"
		    "  redis.call('ZADD', KEYS[3], now + left, ARGV[1])\n"
		    "end\n"
		    "return 0\n",
};

/* KEYS due; ARGV lease, prefix of lists, how many */
static struct redis_script take_script = {
	.text = NOW
	"local to = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]\n"
	"if not to then return {} end\n"
	"local entries, known, cursor, most = {}, {}, '0', tonumber(ARGV[3])\n"
	"repeat\n"
	"  local found = redis.call('HSCAN', ARGV[2] .. to, cursor, 'COUNT', most)\n"
	"  cursor = found[1]\n"
	"  for i = 1, #found[2], 2 do\n"
	"    if not known[found[2][i]] and #entries < 2 * most then\n"
	"      known[found[2][i]] = true\n"
	"      entries[#entries + 1] = found[2][i]\n"
	"      entries[#entries + 1] = found[2][i + 1]\n"
	"    end\n"
	"  end\n"
	"until cursor == '0' or #entries == 2 * most\n"
	"if #entries == 0 then redis.call('ZREM', KEYS[1], to) return {} end\n"
	"redis.call('ZADD', KEYS[1], now + ARGV[1], to)\n"
	"return {to, entries}\n",
};

/* KEYS list, due; ARGV mailbox, many, keys that were sent. When `many` entries are left, the
 * mailbox is due again at once, else in an hour. */
static struct redis_script done_script = {
	.text = NOW "for i = 3, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end\n"
		    "local left = redis.call('HLEN', KEYS[1])\n"
		    "if left == 0 then\n"
		    "  redis.call('ZREM', KEYS[2], ARGV[1])\n"
		    "elseif left >= tonumber(ARGV[2]) then\n"
		    "  redis.call('ZADD', KEYS[2], now, ARGV[1])\n"
		    "else\n"
		    "  redis.call('ZADD', KEYS[2], now + 3600000, ARGV[1])\n"
		    "end\n"
		    "return 0\n",
};

/* A request to Redis. It outlives a gather that is freed. */
struct asked {
	struct gather *gather;
	gather_cb cb;
	void *arg;
};

struct gather {
	struct redis *redis;
	struct timer poll;
	struct asked *taking;
	bool busy; /* a due mailbox is in hand */
	gather_due_cb on_due;
	void *arg;
};

static void
list_key(char key[KEY_SIZE], const char *to)
{
	snprintf(key, KEY_SIZE, "notices:{held}:list:%s", to);
}

/* The notice is sent singly unless Redis has surely stored it. */
static void
on_added(void *arg, int err, const struct redis_reply *reply)
{
	struct asked *asked = arg;

	redis_log_refusal(refused, err, reply);
	asked->cb(asked->arg,
		err || redis_reply_kind(reply) != REDIS_INT || redis_reply_int(reply) != 0);
	free(asked);
}

void
gather_add(struct gather *gather, const char *to, const char *key, const char *text, gather_cb cb,
	void *arg)
{
	char count[KEY_SIZE], list[KEY_SIZE];
	const char *argv[] = { count, list, DUE, to, key, text, SINGLE_MAX, HOUR_MS, MANY,
		LEASE_MS };
	struct asked *asked = xmalloc(sizeof *asked);

	*asked = (struct asked){ gather, cb, arg };
	snprintf(count, sizeof count, "notices:{held}:count:%s", to);
	list_key(list, to);
	redis_run(gather->redis, &add_script, TIMEOUT_MS, on_added, asked, 3, 10, argv);
}

/* ---- what is due ---- */

static int
compare(const void *a, const void *b)
{
	return strcmp(
		((const struct gathered_entry *)a)->key, ((const struct gathered_entry *)b)->key);
}

static struct gathered *
gathered_new(const char *to, const struct redis_reply *pairs)
{
	const size_t count = redis_reply_count(pairs) / 2;
	struct gathered *gathered = xcalloc(1, sizeof *gathered);

	gathered->to = xstrdup(to);
	gathered->entries = xcalloc(count, sizeof *gathered->entries);
	for (size_t i = 0; i < count; i++) {
		const char *key = redis_reply_str(redis_reply_at(pairs, 2 * i), NULL);
		const char *text = redis_reply_str(redis_reply_at(pairs, 2 * i + 1), NULL);

		if (key && text)
			gathered->entries[gathered->count++] =
				(struct gathered_entry){ xstrdup(key), xstrdup(text) };
	}
	qsort(gathered->entries, gathered->count, sizeof *gathered->entries, compare);
	return gathered;
}

void
gathered_cut(struct gathered *gathered, size_t count)
{
	for (size_t i = count; i < gathered->count; i++) {
		free(gathered->entries[i].key);
		free(gathered->entries[i].text);
	}
	gathered->cut = true;
	gathered->count = count;
}

static void
gathered_free(struct gathered *gathered)
{
	gathered_cut(gathered, 0);
	free(gathered->entries);
	free((char *)(uintptr_t)gathered->to);
	free(gathered);
}

void
gather_done(struct gather *gather, struct gathered *gathered, int err)
{
	const size_t argc = 4 + gathered->count;
	const char **argv;
	char list[KEY_SIZE];

	if (gather)
		gather->busy = false;
	if (gather && !err) {
		argv = xcalloc(argc, sizeof *argv);
		list_key(list, gathered->to);
		argv[0] = list;
		argv[1] = DUE;
		argv[2] = gathered->to;
		argv[3] = gathered->cut ? "1" : MANY;
		for (size_t i = 0; i < gathered->count; i++)
			argv[4 + i] = gathered->entries[i].key;
		redis_run(gather->redis, &done_script, TIMEOUT_MS, redis_log_refusal, refused, 2,
			(int)argc, argv);
		free(argv);
		timer_soon(&gather->poll); /* another mailbox may be due */
	}
	gathered_free(gathered);
}

static void
on_taken(void *arg, int err, const struct redis_reply *reply)
{
	struct asked *taking = arg;
	struct gather *gather = taking->gather;
	struct gathered *gathered;

	free(taking);
	if (!gather)
		return;
	gather->taking = NULL;
	redis_log_refusal(refused, err, reply);
	if (err || redis_reply_count(reply) != 2)
		return;
	gathered = gathered_new(
		redis_reply_str(redis_reply_at(reply, 0), NULL), redis_reply_at(reply, 1));
	gather->busy = true;
	gather->on_due(gather->arg, gathered);
}

static void
on_poll(void *arg)
{
	struct gather *gather = arg;
	const char *argv[] = { DUE, LEASE_MS, "notices:{held}:list:", MANY };

	if (gather->taking || gather->busy || !redis_up(gather->redis))
		return;
	gather->taking = xmalloc(sizeof *gather->taking);
	*gather->taking = (struct asked){ .gather = gather };
	redis_run(gather->redis, &take_script, TIMEOUT_MS, on_taken, gather->taking, 1, 4, argv);
}

struct gather *
gather_new(struct loop *loop, struct redis *redis, gather_due_cb on_due, void *arg)
{
	struct gather *gather = xcalloc(1, sizeof *gather);

	*gather = (struct gather){ .redis = redis, .on_due = on_due, .arg = arg };
	timer_init(&gather->poll, loop, on_poll, gather);
	timer_repeat(&gather->poll, POLL_MS);
	return gather;
}

void
gather_free(struct gather **gather_ref)
{
	struct gather *gather = *gather_ref;

	if (!gather)
		return;
	*gather_ref = NULL;
	if (gather->taking)
		gather->taking->gather = NULL;
	timer_cancel(&gather->poll);
	free(gather);
}
