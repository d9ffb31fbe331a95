/*
 * score_look.c - what is known of a rung, for people, and what people decide about it.
 *
 * control -> [score_look] -> Redis: score.lua
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/score/score_private.h"

#define LIST_TIMEOUT_MS 2000
#define FIGURES 10 /* of a rung, in score.lua's op_read() */

struct reading {
	enum rung rung;
	bool top;
	score_cb counts;
	score_json_cb json;
	void *arg;
};

static struct reading *
reading_new(const struct reading *as)
{
	struct reading *reading = xmalloc(sizeof *reading);

	*reading = *as;
	return reading;
}

static void
ask(struct redis *redis, const struct config *config, const char *account, enum rung rung,
	const char *id, const char *operation, struct score_call *call)
{
	struct score_keys keys;

	(void)redis;
	score_keys_make(&keys, account, rung == RUNG_CREDENTIAL && id ? id : "",
		rung == RUNG_ORIGINATOR && id ? id : "");
	score_call_begin(call, &keys, config, operation);
}

static int
check(int err, const struct redis_reply *reply, size_t count)
{
	if (err || redis_reply_count(reply) == count)
		return err;
	redis_log_refusal((void *)(uintptr_t) "scores: Redis refuses the script", 0, reply);
	return -EPROTO;
}

/* An account's counts */

static void
on_counts(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	uint64_t counts[SCORE_WINDOWS][SCORES];
	const struct redis_reply *all;

	free(arg);
	err = check(err, reply, RUNGS);
	all = err ? NULL : redis_reply_at(redis_reply_at(reply, RUNG_ACCOUNT), 6);
	for (size_t i = 0; !err && i < SCORE_WINDOWS * SCORES; i++)
		counts[i / SCORES][i % SCORES] = (uint64_t)redis_reply_int(redis_reply_at(all, i));
	reading.counts(reading.arg, err, err ? NULL : counts);
}

void
scores_read(struct redis *redis, const struct config *config, const char *account, score_cb cb,
	void *arg)
{
	struct score_call call;

	ask(redis, config, account, RUNG_ACCOUNT, NULL, "read", &call);
	score_call_run(&call, redis, on_counts,
		reading_new(&(struct reading){ .counts = cb, .arg = arg }));
}

/* One rung */

static json_t *
counts_json(const struct redis_reply *all)
{
	json_t *windows = json_object();

	for (size_t w = 0; w < SCORE_WINDOWS; w++) {
		json_t *window = json_object();

		for (size_t i = 0; i < SCORES; i++)
			json_object_set_new(window, score_names[i],
				json_integer(redis_reply_int(redis_reply_at(all, w * SCORES + i))));
		json_object_set_new(windows, score_windows[w], window);
	}
	return windows;
}

static json_int_t
int_at(const struct redis_reply *one, size_t i)
{
	return redis_reply_int(redis_reply_at(one, i));
}

static const char *
text_at(const struct redis_reply *one, size_t i)
{
	const char *text = redis_reply_str(redis_reply_at(one, i), NULL);

	return text ? text : "";
}

static json_t *
rung_json(const struct redis_reply *one, enum rung rung)
{
	const json_int_t step = int_at(one, 0);
	json_t *distinct = json_pack("{s:I}", "recipients", int_at(one, 7));

	if (rung == RUNG_ACCOUNT) {
		json_object_set_new(distinct, "originators", json_integer(int_at(one, 8)));
		json_object_set_new(distinct, "networks", json_integer(int_at(one, 9)));
	}
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:o, s:o}", "rung", rung_names[rung],
		"step", step_names[step >= 0 && step < STEPS ? step : 0], "since_us",
		int_at(one, 1) * 1000000, "why", text_at(one, 2), "threshold", text_at(one, 3),
		"expected", int_at(one, 4), "forgiven_us", int_at(one, 5) * 1000000, "counts",
		counts_json(redis_reply_at(one, 6)), "distinct", distinct);
}

static void
on_shown(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	const struct redis_reply *one;

	free(arg);
	err = check(err, reply, RUNGS);
	one = err ? NULL : redis_reply_at(reply, reading.rung);
	if (!err && redis_reply_count(one) != FIGURES)
		err = -EPROTO;
	reading.json(reading.arg, err, err ? NULL : rung_json(one, reading.rung));
}

void
scores_show(struct redis *redis, const struct config *config, const char *account, enum rung rung,
	const char *id, score_json_cb cb, void *arg)
{
	struct score_call call;

	ask(redis, config, account, rung, id, "read", &call);
	score_call_run(&call, redis, on_shown,
		reading_new(&(struct reading){ .rung = rung, .json = cb, .arg = arg }));
}

static void
on_forgiven(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	const json_int_t was = err ? 0 : redis_reply_int(reply);

	free(arg);
	reading.json(reading.arg, err,
		err ? NULL
		    : json_pack("{s:s}", "was", step_names[was >= 0 && was < STEPS ? was : 0]));
}

void
scores_forgive(struct redis *redis, const struct config *config, const char *account,
	enum rung rung, const char *id, bool false_alarm, score_json_cb cb, void *arg)
{
	struct score_call call;

	ask(redis, config, account, rung, id, "forgive", &call);
	score_call_number(&call, (uint64_t)rung + 1);
	score_call_text(&call, false_alarm ? "release" : "forgive");
	score_call_run(&call, redis, on_forgiven,
		reading_new(&(struct reading){ .json = cb, .arg = arg }));
}

/* Lists */

/* Reads "score:{ACCOUNT}:o:ID" behind what stands before it. */
static json_t *
member_json(const char *member)
{
	const char *brace = strstr(member, "score:{"), *end = brace ? strstr(brace, "}:") : NULL;
	enum rung rung = RUNG_ACCOUNT;
	const char *id = "";

	if (!end)
		return NULL;
	if (end[2] == 'c' || end[2] == 'o') {
		rung = end[2] == 'c' ? RUNG_CREDENTIAL : RUNG_ORIGINATOR;
		id = end[3] ? end + 4 : "";
	}
	return json_pack("{s:s%, s:s, s:s}", "account", brace + 7, (size_t)(end - brace - 7),
		"rung", rung_names[rung], "id", id);
}

static void
on_list(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	json_t *list = json_array();

	free(arg);
	for (size_t i = 0; !err && i + 1 < redis_reply_count(reply); i += 2) {
		json_t *one = member_json(text_at(reply, i));
		const long value = strtol(text_at(reply, i + 1), NULL, 10);

		if (!one)
			continue;
		if (reading.top)
			json_object_set_new(one, "recipients", json_integer(value));
		else
			json_object_set_new(one, "step",
				json_string(step_names[value >= 0 && value < STEPS ? value : 0]));
		json_array_append_new(list, one);
	}
	if (err)
		json_decref(list);
	reading.json(reading.arg, err, err ? NULL : list);
}

void
scores_list(struct redis *redis, bool top, unsigned limit, score_json_cb cb, void *arg)
{
	char key[64] = "scores:standing", last[16];
	const char *argv[] = { "ZREVRANGE", key, "0", last, "WITHSCORES" };

	if (top)
		snprintf(key, sizeof key, "scores:top:%llu",
			(unsigned long long)(clock_us() / 3600000000u));
	snprintf(last, sizeof last, "%u", limit ? limit - 1 : 0);
	redis_command(redis, LIST_TIMEOUT_MS, on_list,
		reading_new(&(struct reading){ .top = top, .json = cb, .arg = arg }), 5, argv,
		NULL);
}
