/*
 * score.c - rolling counts of accounts, gathered on the loop and added up in Redis (score.lua).
 *
 * sender, scanner -> [score] -> Redis -> [score] -> control (account show)
 */
#include "shared/account/score.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define FLUSH_MS 1000
#define TIMEOUT_MS 2000
#define KEY_SIZE 320

static char refused[] = "scores: Redis refuses the script";

const char *const score_names[SCORES] = { "recipients", "hard_bounces", "unknown_users", "viruses",
	"alerts" };
const char *const score_windows[SCORE_WINDOWS] = { "5m", "1h", "24h", "7d" };

static struct redis_script script = { .text =
#include "shared/account/score.lua.h"
};

struct gathered {
	UT_hash_handle hh; /* by account */
	char *account;
	uint64_t n[SCORES];
};

struct scores {
	struct redis *redis;
	struct timer flush;
	struct gathered *gathered;
};

static void
run(struct redis *redis, const char *account, const uint64_t n[SCORES], redis_cb cb, void *arg)
{
	char key[KEY_SIZE], numbers[SCORES][24];
	const char *argv[1 + SCORES] = { key };

	snprintf(key, sizeof key, "score:{%s}", account);
	for (int i = 0; i < SCORES; i++) {
		snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long)n[i]);
		argv[1 + i] = numbers[i];
	}
	redis_run(redis, &script, TIMEOUT_MS, cb, arg, 1, 1 + SCORES, argv);
}

/* Sends all counts, or drops them. */
static void
let_go(struct scores *scores, bool send)
{
	struct gathered *at, *next;

	HASH_ITER (hh, scores->gathered, at, next) {
		HASH_DEL(scores->gathered, at);
		if (send)
			run(scores->redis, at->account, at->n, redis_log_refusal, refused);
		free(at->account);
		free(at);
	}
}

static void
on_flush(void *arg)
{
	struct scores *scores = arg;

	if (redis_up(scores->redis))
		let_go(scores, true);
	else
		timer_set(&scores->flush, FLUSH_MS);
}

struct scores *
scores_new(struct loop *loop, struct redis *redis)
{
	struct scores *scores = xcalloc(1, sizeof *scores);

	scores->redis = redis;
	timer_init(&scores->flush, loop, on_flush, scores);
	return scores;
}

void
scores_free(struct scores **scores_ref)
{
	struct scores *scores = *scores_ref;

	if (!scores)
		return;
	*scores_ref = NULL;
	let_go(scores, redis_up(scores->redis));
	timer_cancel(&scores->flush);
	free(scores);
}

static struct gathered *
gathered_of(struct scores *scores, const char *account)
{
	struct gathered *gathered;

	HASH_FIND_STR(scores->gathered, account, gathered);
	if (gathered)
		return gathered;
	if (!scores->gathered)
		timer_set(&scores->flush, FLUSH_MS);
	gathered = xcalloc(1, sizeof *gathered);
	gathered->account = xstrdup(account);
	HASH_ADD_KEYPTR(hh, scores->gathered, gathered->account, strlen(account), gathered);
	return gathered;
}

void
scores_add(struct scores *scores, const char *account, enum score score, unsigned n)
{
	if (n && *account)
		gathered_of(scores, account)->n[score] += n;
}

struct reading {
	score_cb cb;
	void *arg;
};

static void
on_read(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	uint64_t counts[SCORE_WINDOWS][SCORES];

	free(arg);
	if (!err && redis_reply_count(reply) != SCORE_WINDOWS * SCORES) {
		redis_log_refusal(refused, 0, reply);
		err = -EPROTO;
	}
	for (size_t i = 0; !err && i < SCORE_WINDOWS * SCORES; i++)
		counts[i / SCORES][i % SCORES] = (uint64_t)redis_reply_int(
			redis_reply_at(reply, i));
	reading.cb(reading.arg, err, err ? NULL : counts);
}

void
scores_read(struct redis *redis, const char *account, score_cb cb, void *arg)
{
	static const uint64_t nothing[SCORES];
	struct reading *reading = xmalloc(sizeof *reading);

	*reading = (struct reading){ cb, arg };
	run(redis, account, nothing, on_read, reading);
}
