/*
 * api_test.c - a test of a customer's connection: it watches ten minutes of real sessions, and
 * sends nothing itself.
 *
 * api -> [api_test] -> Redis: test:{account}, and the records of sessions (talk.c)
 *                  -> steps -> trace (what became of the message) -> reply
 *
 * An account has one test at a time: a new one takes the place of the one before. All that a test
 * knows is in Redis, so that any control process can answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/connection/connection.h"
#include "control/connection/sessions.h"
#include "control/connection/steps.h"
#include "control/look/json_from.h"
#include "control/trace/search.h"
#include "control/trace/trace.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"
#include "shared/config/config.h"
#include "shared/redis/redis.h"

#define WATCH_US (UINT64_C(600) * 1000000)
#define KEPT_S "86400"
#define ID_LENGTH 16
#define TIMEOUT_MS 2000
#define KEY_SIZE 320

/* ---- the start ---- */

struct start {
	struct exchange *exchange;
	json_t *reply;
};

static void
on_stored(void *arg, int err, const struct redis_reply *reply)
{
	struct start start = *(struct start *)arg;

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_ERR) {
		reply_json(start.exchange, 201, start.reply);
		return;
	}
	json_decref(start.reply);
	reply_error(start.exchange, 503, "", "Redis does not answer: no test can begin now");
}

static void
key_of(const struct exchange *x, char key[KEY_SIZE])
{
	snprintf(key, KEY_SIZE, "test:{%s}", x->parameters[0]);
}

void
api_account_test_start(struct exchange *x)
{
	const uint64_t now = clock_us();
	const bool is_customer = !caller_is_operator(&x->caller);
	char id[ID_LENGTH + 1], key[KEY_SIZE], *text;
	const char *argv[] = { "SET", key, NULL, "EX", KEPT_S };
	struct start *start;
	json_t *test;

	if (!connection_account_there(x))
		return;
	random_text(id, ID_LENGTH, "23456789abcdefghjkmnpqrstuvwxyz");
	test = json_pack("{s:s, s:I, s:I, s:s?}", "id", id, "since_us", (json_int_t)now, "until_us",
		(json_int_t)now + (json_int_t)WATCH_US, "browser", is_customer ? x->client : NULL);
	text = json_dumps(test, JSON_COMPACT);
	key_of(x, key);
	argv[2] = text;
	start = xmalloc(sizeof *start);
	*start = (struct start){ x,
		json_pack("{s:s, s:o}", "id", id, "until", json_from_time(now + WATCH_US)) };
	redis_command(x->api->redis, TIMEOUT_MS, on_stored, start, 5, argv, NULL);
	json_decref(test);
	free(text);
}

/* ---- what was seen ---- */

struct watch {
	struct job job;
	json_t *test, *steps;
	uint8_t message[ID_SIZE];
	bool has_message;
	char *account;
};

static void
watch_release(struct job *job)
{
	struct watch *watch = (struct watch *)job;

	json_decref(watch->test);
	json_decref(watch->steps);
	free(watch->account);
	free(watch);
}

static uint64_t
time_of(const json_t *test, const char *name)
{
	const json_int_t us = json_integer_value(json_object_get(test, name));

	return us > 0 ? (uint64_t)us : 0;
}

static json_t *
answer(struct watch *watch)
{
	const uint64_t until = time_of(watch->test, "until_us");

	return json_pack("{s:O, s:o, s:o, s:b, s:O}", "id", json_object_get(watch->test, "id"),
		"since", json_from_time(time_of(watch->test, "since_us")), "until",
		json_from_time(until), "over", clock_us() >= until, "steps", watch->steps);
}

/* On the worker: what became of the message. A trace that cannot be read now has nothing yet. */
static void
watch_run(struct job *job)
{
	struct watch *watch = (struct watch *)job;
	json_t *message = NULL;

	if (watch->has_message &&
		search_message(trace_directory(job->api->trace), watch->message, watch->account,
			&message) == 0)
		steps_deliver(watch->steps, message);
	json_decref(message);
	job->result = answer(watch);
}

/* The ports that ingress listens on, for people. */
static void
ports_of(const struct config *config, char *out, size_t size)
{
	size_t at = 0;

	*out = '\0';
	for (unsigned i = 0; i < config->ingress.listen_count && at < size; i++) {
		const char *colon = strrchr(config->ingress.listen[i].address, ':');

		at += (size_t)snprintf(
			out + at, size - at, "%s%s", i ? ", " : "", colon ? colon + 1 : "");
	}
}

static void
on_records(void *arg, int err, const json_t *records)
{
	struct watch *watch = arg;
	struct exchange *x = watch->job.exchange;
	const char *host = json_text(
		directory_get(x->api->directory, "account", x->parameters[0]), "host");
	json_t *sorted = err ? NULL : sessions_sort(records);
	const char *message;
	char ports[100];
	struct steps_asked asked = { .sessions = sorted,
		.since_us = time_of(watch->test, "since_us"),
		.until_us = time_of(watch->test, "until_us"),
		.now_us = clock_us(),
		.host = host ? host : x->api->config->hostname,
		.ports = ports };

	if (err) {
		watch_release(&watch->job);
		reply_error(x, 503, "", "Redis does not answer: sessions are not known now");
		return;
	}
	ports_of(x->api->config, ports, sizeof ports);
	watch->steps = steps_see(&asked, &message);
	watch->has_message = message && id_parse(message, watch->message) == 0;
	json_decref(sorted);
	job_start(&watch->job);
}

static void
on_test(void *arg, int err, const struct redis_reply *reply)
{
	struct exchange *x = arg;
	const char *text = err ? NULL : redis_reply_str(reply, NULL);
	json_t *test = text ? json_loads(text, 0, NULL) : NULL;
	const char *id = json_text(test, "id");
	struct watch *watch;

	if (err) {
		reply_error(x, 503, "", "Redis does not answer: sessions are not known now");
		return;
	}
	if (!id || strcmp(id, x->parameters[1]) != 0) {
		json_decref(test);
		reply_error(x, 404, "id",
			"there is no such test, or a newer one: only the last is known, for a day");
		return;
	}
	watch = xcalloc(1, sizeof *watch);
	watch->job = (struct job){
		.exchange = x, .api = x->api, .run = watch_run, .release = watch_release
	};
	watch->test = test;
	watch->account = xstrdup(x->parameters[0]);
	records_read(x, json_text(test, "browser"), on_records, watch);
}

void
api_account_test_get(struct exchange *x)
{
	char key[KEY_SIZE];
	const char *argv[] = { "GET", key };

	if (!connection_account_there(x))
		return;
	key_of(x, key);
	redis_command(x->api->redis, TIMEOUT_MS, on_test, x, 2, argv, NULL);
}
