/*
 * redis_memory.c - checks what Redis does when it is full. A Redis that evicts loses accounts, and
 * the ledger that keeps mail from being sent twice. A Redis without a limit is killed by the kernel
 * with all its data.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/check/check.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 2000
#define SENTINEL_MS 1000 /* what each sentinel that hangs adds */

struct question {
	struct findings *findings;
	struct loop *loop;
	const struct redis *redis;
};

/* Finds the value of "name:value\r\n" among the lines; false when there is none. */
static bool
field(const char *info, const char *name, char *out, size_t size)
{
	size_t length = strlen(name);
	const char *line = info;

	while (line && (strncmp(line, name, length) != 0 || line[length] != ':')) {
		line = strchr(line, '\n');
		line += line ? 1 : 0;
	}
	if (!line)
		return false;
	line += length + 1;
	text_clean(out, size, 0, line, strcspn(line, "\r\n"));
	return true;
}

static void
judge(struct findings *findings, const char *info)
{
	char limit[32], policy[64];

	if (!field(info, "maxmemory", limit, sizeof limit) ||
		!field(info, "maxmemory_policy", policy, sizeof policy)) {
		warn(findings, "Redis does not tell its maxmemory and maxmemory-policy");
		return;
	}
	if (strcmp(policy, "noeviction") != 0)
		warn(findings,
			"Redis drops what it holds when it is full (maxmemory-policy %s): set "
			"noeviction",
			policy);
	if (strcmp(limit, "0") == 0)
		warn(findings, "Redis has no memory limit: set maxmemory");
}

static void
no_answer(struct findings *findings, const char *why)
{
	const struct config *config = findings->config;

	if (config->redis.sentinels_count)
		fail(findings,
			"the Redis master %s does not answer (%s): no client is known; start it, or "
			"correct redis.sentinels, .master, .password and .tls",
			config->redis.master, why);
	else
		fail(findings,
			"Redis at %s does not answer (%s): no client is known; start it, or correct "
			"redis.address, .password and .tls",
			config->redis.address, why);
}

static void
on_info(void *arg, int err, const struct redis_reply *reply)
{
	struct question *question = arg;
	char text[256];
	size_t length;
	const char *said;

	if (err) {
		no_answer(question->findings,
			*redis_why(question->redis) ? redis_why(question->redis) : strerror(-err));
		loop_stop(question->loop);
		return;
	}
	if (redis_reply_kind(reply) == REDIS_STR) {
		judge(question->findings, redis_reply_str(reply, &length));
	} else {
		said = redis_reply_kind(reply) == REDIS_ERR ? redis_reply_str(reply, &length) : "";
		text_clean(text, sizeof text, 0, said, strlen(said));
		warn(question->findings, "Redis does not tell its memory settings: %s", text);
	}
}

/* A key that nobody else uses, and that is gone in a second. */
static void
on_written(void *arg, int err, const struct redis_reply *reply)
{
	struct question *question = arg;
	char text[256];
	const char *said;

	if (!err && redis_reply_kind(reply) == REDIS_ERR) {
		said = redis_reply_str(reply, NULL);
		text_clean(text, sizeof text, 0, said, strlen(said));
		fail(question->findings, "Redis takes no write: %s", text);
	} else if (err == -EAGAIN) {
		fail(question->findings,
			"Redis takes no write: it is full, read-only or loading (INFO says which)");
	}
	loop_stop(question->loop);
}

void
check_redis_memory(struct findings *findings)
{
	static const char *const words[] = { "INFO", "memory" };
	static const char *const write[] = { "SET", "shout:check", "1", "PX", "1000" };
	struct question question = { .findings = findings, .loop = loop_new("check") };
	struct redis *redis = redis_open(question.loop, findings->config);
	const unsigned ms = TIMEOUT_MS + findings->config->redis.sentinels_count * SENTINEL_MS;

	question.redis = redis;
	redis_command(redis, ms, on_info, &question, 2, words, NULL);
	redis_command(redis, ms, on_written, &question, 5, write, NULL);
	loop_run(question.loop);
	redis_free(&redis);
	loop_free(&question.loop);
}
