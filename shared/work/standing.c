/*
 * standing.c - tells of steps of the ladder.
 *
 * score -> [standing] -> mail.events, relay.config (suspension/score=...) -> sender
 *
 * The step counts in Redis already. An event that a crash loses leaves the step where the API shows
 * it.
 */
#include "shared/work/standing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/config.h"
#include "shared/queue/event.h"

struct standing {
	struct queue *queue;
	struct mail_event event;
	struct metric *steps[STEPS];
};

struct standing *
standing_new(struct queue *queue)
{
	struct standing *standing = xcalloc(1, sizeof *standing);

	standing->queue = queue;
	for (int i = 0; i < STEPS; i++) {
		char labels[32];

		snprintf(labels, sizeof labels, "step=\"%s\"", step_names[i]);
		standing->steps[i] = metric_counter("shout_score_steps_total",
			"Originators, credentials and accounts that came to a step of the ladder",
			labels);
	}
	return standing;
}

void
standing_free(struct standing **standing)
{
	if (!*standing)
		return;
	mail_event_free(&(*standing)->event);
	free(*standing);
	*standing = NULL;
}

/* What ends the step. */
static const char *
way_out(enum step step)
{
	switch (step) {
	case STEP_NONE: return NULL;
	case STEP_HOLD:
	case STEP_BLOCK: return "shoutctl score release or forgive";
	default: return "by itself, when the figures fall";
	}
}

#define KEY_MAX 470

char *
standing_key(const char *account, enum rung rung, const char *id)
{
	char *key = xasprintf("suspension/score=%s/%s/%s", account, rung_names[rung], id);

	if (strlen(key) <= KEY_MAX)
		return key;
	free(key);
	return NULL;
}

static void
on_suspended(void *arg, int err)
{
	(void)arg;
	if (err)
		LOG_ERROR("a sender on hold cannot be suspended: what the scanner passed goes out",
			"error", strerror(-err));
}

/* Equal suspensions have one key, so that several processes may write it. */
static void
suspend(struct standing *standing, const struct score_step *step)
{
	char *key = standing_key(step->account, step->rung, step->id), *text;
	json_t *selector = json_pack("{s:s}", "account", step->account), *entry;
	const json_int_t now = (json_int_t)clock_us();

	if (step->rung == RUNG_ORIGINATOR)
		json_object_set_new(selector, "sender", json_string(*step->id ? step->id : "<>"));
	if (step->rung == RUNG_CREDENTIAL)
		json_object_set_new(selector, "credential", json_string(step->id));
	entry = json_pack("{s:I, s:o, s:s, s:s, s:I, s:I}", "version", now, "selector", selector,
		"reason", step->why, "by", "score", "since_us", now, "until_us", (json_int_t)0);
	text = entry ? json_dumps(entry, JSON_COMPACT) : NULL;
	if (key && text)
		queue_config_put(standing->queue, key, text, on_suspended, NULL);
	free(key);
	free(text);
	json_decref(entry);
}

void
standing_tell(void *arg, const struct score_step *step)
{
	struct standing *standing = arg;
	struct json *json = &standing->event.json;

	metric_add(standing->steps[step->step], 1);
	if (step->step >= STEP_HOLD && step->was < STEP_HOLD)
		suspend(standing, step);
	if (step->step >= STEP_HOLD)
		LOG_WARN("mail is held: somebody's mail hurts the relay", "account", step->account,
			"rung", rung_names[step->rung], "who", step->id, "why", step->why);
	mail_event_begin(&standing->event, "standing", NULL);
	json_str(json, "account", step->account);
	json_str(json, "rung", rung_names[step->rung]);
	json_str(json, "who", step->rung == RUNG_ACCOUNT ? step->account : step->id);
	json_str(json, "before", step_names[step->was]);
	json_str(json, "step", step_names[step->step]);
	if (step->step) {
		json_str(json, "reason", step->why);
		json_str(json, "threshold", step->limit);
		json_str(json, "way_out", way_out(step->step));
	}
	mail_event_send(&standing->event, standing->queue, NULL, NULL);
}
