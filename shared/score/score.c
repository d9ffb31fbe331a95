/*
 * score.c - counts of mail, gathered on the loop and added up in Redis, and questions about them.
 *
 * sender (results), scanner (viruses; may it go on?) -> [score] -> Redis: score.lua
 *
 * The keys of an account share the tag {account}: score:{account}:a, :c:CREDENTIAL, :o:ORIGINATOR.
 */
#include "shared/score/score.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"
#include "shared/score/score_private.h"

#define FLUSH_MS 1000
#define FLUSH_BAD_MS 20   /* what may hold somebody cannot wait */
#define DELIVERED_MAX 200 /* gathered for one originator, then they go */

static char refused[] = "scores: Redis refuses the script";

struct gathered {
	UT_hash_handle hh; /* by key.all */
	struct score_keys keys;
	uint64_t n[SCORES];
	uint64_t places[DELIVERED_MAX];
	unsigned places_count;
};

/* What an account sent through an egress IP. */
struct through {
	UT_hash_handle hh; /* by key, two texts */
	unsigned n;
	char key[64 + SCORE_ACCOUNT_MAX];
};

struct scores {
	struct redis *redis;
	const struct config *config;
	struct timer flush;
	bool hurry; /* the flush comes soon */
	struct gathered *gathered;
	struct through *through;
	score_step_cb on_step;
	void *arg;
	struct call *calls; /* under way; their answers come after scores_free(), too */
};

/* A script call. */
struct call {
	struct call *next, **back;
	struct scores *scores; /* NULL: they have been freed */
	struct score_keys keys;
	score_pass_cb pass;
	void *arg;
};

static struct call *
call_new(struct scores *scores, const struct score_keys *keys, score_pass_cb pass, void *arg)
{
	struct call *call = xmalloc(sizeof *call);

	*call = (struct call){ scores->calls, &scores->calls, scores, *keys, pass, arg };
	if (scores->calls)
		scores->calls->back = &call->next;
	scores->calls = call;
	return call;
}

static void
call_leave(struct call *call)
{
	if (!call->scores)
		return;
	*call->back = call->next;
	if (call->next)
		call->next->back = call->back;
}

/* Tells of the steps that a call has changed. */
static void
tell_steps(const struct call *call, const struct redis_reply *changed)
{
	for (size_t i = 0; i < redis_reply_count(changed); i++) {
		const struct redis_reply *one = redis_reply_at(changed, i);
		struct score_step step = { .account = call->keys.account,
			.rung = (enum rung)(redis_reply_int(redis_reply_at(one, 0)) - 1),
			.was = (enum step)redis_reply_int(redis_reply_at(one, 1)),
			.step = (enum step)redis_reply_int(redis_reply_at(one, 2)),
			.why = redis_reply_str(redis_reply_at(one, 3), NULL),
			.limit = redis_reply_str(redis_reply_at(one, 4), NULL) };

		if (step.rung >= RUNGS || step.was >= STEPS || step.step >= STEPS)
			continue;
		step.id = score_keys_id(&call->keys, step.rung);
		call->scores->on_step(call->scores->arg, &step);
	}
}

static void
on_added(void *arg, int err, const struct redis_reply *reply)
{
	struct call *call = arg;

	redis_log_refusal(refused, err, reply);
	if (!err && redis_reply_count(reply) == 1 && call->scores && call->scores->on_step)
		tell_steps(call, redis_reply_at(reply, 0));
	call_leave(call);
	free(call);
}

/* Adding */

static void
send_one(struct scores *scores, const struct gathered *at)
{
	struct score_call ask;

	score_call_begin(&ask, &at->keys, scores->config, "add");
	for (int i = 0; i < SCORES; i++)
		score_call_number(&ask, at->n[i]);
	for (unsigned i = 0; i < at->places_count; i++)
		score_call_number(&ask, at->places[i]);
	score_call_run(&ask, scores->redis, on_added, call_new(scores, &at->keys, NULL, NULL));
}

static struct redis_script through_script = {
	.text = "redis.call('ZINCRBY', KEYS[1], ARGV[1], ARGV[2])\n"
		"return redis.call('EXPIRE', KEYS[1], 259200)\n",
};

static void
send_through(struct scores *scores, bool send)
{
	struct through *at, *next;
	char key[128], n[16];

	HASH_ITER (hh, scores->through, at, next) {
		const char *argv[] = { key, n, at->key + strlen(at->key) + 1 };

		HASH_DEL(scores->through, at);
		snprintf(key, sizeof key, "egress:{%s}:sent:%llu", at->key,
			(unsigned long long)(clock_us() / 86400000000u));
		snprintf(n, sizeof n, "%u", at->n);
		if (send)
			redis_run(scores->redis, &through_script, 2000, redis_log_refusal, refused,
				1, 3, argv);
		free(at);
	}
}

/* Sends all counts, or drops them. */
static void
let_go(struct scores *scores, bool send)
{
	struct gathered *at, *next;

	send_through(scores, send);

	HASH_ITER (hh, scores->gathered, at, next) {
		HASH_DEL(scores->gathered, at);
		if (send)
			send_one(scores, at);
		free(at);
	}
}

static void
on_flush(void *arg)
{
	struct scores *scores = arg;

	scores->hurry = false;
	if (redis_up(scores->redis))
		let_go(scores, true);
	else
		timer_set(&scores->flush, FLUSH_MS);
}

struct scores *
scores_new(struct loop *loop, struct redis *redis, const struct config *config,
	score_step_cb on_step, void *arg)
{
	struct scores *scores = xcalloc(1, sizeof *scores);

	scores->redis = redis;
	scores->config = config;
	scores->on_step = on_step;
	scores->arg = arg;
	timer_init(&scores->flush, loop, on_flush, scores);
	return scores;
}

void
scores_free(struct scores **scores_ref)
{
	struct scores *scores = *scores_ref;
	struct call *call;

	if (!scores)
		return;
	*scores_ref = NULL;
	let_go(scores, redis_up(scores->redis));
	while ((call = scores->calls)) {
		call_leave(call);
		call->scores = NULL;
	}
	timer_cancel(&scores->flush);
	free(scores);
}

static struct gathered *
gathered_of(struct scores *scores, const Envelope *envelope)
{
	struct gathered *gathered;
	struct score_keys keys;

	score_keys_make(&keys, envelope->account, envelope->credential, envelope->mail_from);
	HASH_FIND(hh, scores->gathered, &keys, sizeof keys, gathered);
	if (gathered)
		return gathered;
	if (!scores->gathered)
		timer_set(&scores->flush, FLUSH_MS);
	gathered = xcalloc(1, sizeof *gathered);
	gathered->keys = keys;
	HASH_ADD(hh, scores->gathered, keys, sizeof keys, gathered);
	return gathered;
}

void
scores_add(struct scores *scores, const Envelope *envelope, enum score score, unsigned n)
{
	if (!n || !*envelope->account)
		return;
	gathered_of(scores, envelope)->n[score] += n;
	if (score != SCORE_RECIPIENTS && !scores->hurry) {
		scores->hurry = true;
		timer_set(&scores->flush, FLUSH_BAD_MS);
	}
}

void
scores_through(struct scores *scores, const char *egress_ip, const char *account, unsigned n)
{
	struct through *through;
	char key[sizeof through->key] = "";
	const size_t first = strlen(egress_ip) + 1;

	if (!*account || first > 64 || strlen(account) >= SCORE_ACCOUNT_MAX)
		return;
	memcpy(key, egress_ip, first);
	memcpy(key + first, account, strlen(account));
	HASH_FIND(hh, scores->through, key, sizeof key, through);
	if (!through) {
		through = xcalloc(1, sizeof *through);
		memcpy(through->key, key, sizeof key);
		HASH_ADD(hh, scores->through, key, sizeof key, through);
		if (!timer_is_set(&scores->flush))
			timer_set(&scores->flush, FLUSH_MS);
	}
	through->n += n;
}

void
scores_delivered(struct scores *scores, const Envelope *envelope, const char *recipient)
{
	struct gathered *gathered;

	if (!*envelope->account)
		return;
	gathered = gathered_of(scores, envelope);
	if (gathered->places_count < DELIVERED_MAX)
		gathered->places[gathered->places_count++] = score_place(recipient);
	if (gathered->places_count < DELIVERED_MAX || !redis_up(scores->redis))
		return;
	HASH_DEL(scores->gathered, gathered);
	send_one(scores, gathered);
	free(gathered);
}

/* Passing */

static const struct score_verdict passes;

static void
on_passed(void *arg, int err, const struct redis_reply *reply)
{
	struct call *call = arg;
	struct score_verdict verdict = { 0 };

	redis_log_refusal(refused, err, reply);
	if (!err && redis_reply_count(reply) == 5) {
		verdict.step = (enum step)redis_reply_int(redis_reply_at(reply, 1));
		verdict.wait_ms = (unsigned)redis_reply_int(redis_reply_at(reply, 2));
		verdict.why = redis_reply_str(redis_reply_at(reply, 3), NULL);
		verdict.rung = (enum rung)(redis_reply_int(redis_reply_at(reply, 4)) - 1);
		if (verdict.step >= STEPS || verdict.rung >= RUNGS)
			verdict = passes;
		if (call->scores && call->scores->on_step)
			tell_steps(call, redis_reply_at(reply, 0));
	}
	if (call->scores)
		call->pass(call->arg, &verdict);
	call_leave(call);
	free(call);
}

static void
ask(struct scores *scores, const Envelope *envelope, size_t recipients, score_pass_cb cb, void *arg)
{
	struct score_keys keys;
	struct score_call ask;

	if (!*envelope->account || !redis_up(scores->redis) || !score_enabled(scores->config)) {
		cb(arg, &passes);
		return;
	}
	score_keys_make(&keys, envelope->account, envelope->credential, envelope->mail_from);
	score_call_begin(&ask, &keys, scores->config, "pass");
	score_call_text(&ask, *envelope->client ? envelope->client : "-");
	for (size_t i = 0; i < recipients; i++)
		score_call_number(&ask, score_place(envelope->recipients[i]->address));
	score_call_run(&ask, scores->redis, on_passed, call_new(scores, &keys, cb, arg));
}

void
scores_pass(struct scores *scores, const Envelope *envelope, score_pass_cb cb, void *arg)
{
	ask(scores, envelope, envelope->n_recipients, cb, arg);
}

void
scores_ask(struct scores *scores, const Envelope *envelope, score_pass_cb cb, void *arg)
{
	ask(scores, envelope, 0, cb, arg);
}
