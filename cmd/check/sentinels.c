/*
 * sentinels.c - checks what each sentinel says. One that is of no use is no failure, as long as
 * another one names the master; whether that serves as one is checked as for any Redis.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/check/check.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/redis/redis.h"

struct survey {
	struct findings *findings;
	struct loop *loop;
	char *named; /* by the first that named a master */
	const char *by;
	unsigned open;
};

struct asked {
	struct survey *survey;
	const char *sentinel;
};

static void
on_said(void *arg, const char *address, const char *why)
{
	struct asked *asked = arg;
	struct survey *survey = asked->survey;

	if (!address) {
		warn(survey->findings, "sentinel %s names no master %s: %s", asked->sentinel,
			survey->findings->config->redis.master, why);
	} else if (!survey->named) {
		survey->named = xstrdup(address);
		survey->by = asked->sentinel;
	} else if (strcmp(survey->named, address) != 0) {
		warn(survey->findings,
			"the sentinels do not agree on the master: %s says %s, %s says %s",
			survey->by, survey->named, asked->sentinel, address);
	}
	if (--survey->open == 0)
		loop_stop(survey->loop);
}

void
check_sentinels(struct findings *findings)
{
	const struct config *config = findings->config;
	const unsigned count = config->redis.sentinels_count;
	struct survey survey = { .findings = findings, .open = count };
	struct asked *asked;
	struct redis *redis;

	if (!count)
		return;
	survey.loop = loop_new("check");
	redis = redis_open(survey.loop, config);
	asked = xcalloc(count, sizeof *asked);
	for (unsigned i = 0; i < count; i++) {
		asked[i] = (struct asked){ &survey, config->redis.sentinels[i] };
		redis_ask_sentinel(redis, i, on_said, &asked[i]);
	}
	loop_run(survey.loop);
	if (survey.named)
		printf("sentinels    name %s\n", survey.named);
	redis_free(&redis);
	loop_free(&survey.loop);
	free(survey.named);
	free(asked);
}
