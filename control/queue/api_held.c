/*
 * api_held.c - what an account itself may do with its mail that is not delivered yet: see what is
 * held, let go or give up what its own policy holds, say that a virus is none, try again.
 *
 * api -> [api_held] -> rules (api_rules.c), as operators make them, for one message of the account
 *
 * Held mail is let go by the account only where a policy holds it: unwanted or suspicious. A virus,
 * what could not be scanned and what is held for review are the operator's to judge.
 */
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/queue/listing.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/queue/event.h"
#include "shared/queue/rows.h"

struct decision {
	struct job job;
	const char *action; /* of a rule; NULL: a false alarm */
	uint8_t id[ID_SIZE];
	char id_text[ID_TEXT_SIZE], account[CALLER_ACCOUNT_MAX];
	bool operator;
	Row *row; /* of the message, the one that is held if one is; NULL: none */
	struct mail_event event;
};

static void
decision_release(struct job *job)
{
	struct decision *decision = (struct decision *)job;

	row_free(decision->row);
	mail_event_free(&decision->event);
	free(decision);
}

static void
on_row(void *arg, Row *row)
{
	struct decision *decision = arg;
	const bool better = !decision->row || row->state == ROW__STATE__HELD;

	if (strcmp(row->envelope->account, decision->account) != 0 || !better) {
		row_free(row);
		return;
	}
	row_free(decision->row);
	decision->row = row;
}

static bool
is_held(const struct decision *decision)
{
	return decision->row && decision->row->state == ROW__STATE__HELD;
}

static bool
is_policy(const Envelope *envelope)
{
	return (envelope->verdict == ENVELOPE__VERDICT__UNWANTED ||
		       envelope->verdict == ENVELOPE__VERDICT__SUSPICIOUS) &&
		!*envelope->hold;
}

static void
look(struct job *job)
{
	struct decision *decision = (struct decision *)job;
	const bool retry = decision->action && strcmp(decision->action, "retry") == 0;
	const bool release = decision->action && strcmp(decision->action, "release") == 0;

	rows_refresh(job->api->rows);
	rows_of(job->api->rows, decision->id, on_row, decision);
	if (retry) /* the rule finds it, wherever it is */
		return;
	if (!is_held(decision))
		fault_set(&job->fault, 404, "id", "no held message of the account has this id");
	else if (release && !decision->operator&& !is_policy(decision->row->envelope))
		fault_set(&job->fault, 403, "id",
			"it is not held by a policy: say that it is a false alarm, and the operator "
			"looks at it");
	else if (!decision->action && is_policy(decision->row->envelope))
		fault_set(&job->fault, 409, "id", "it is held by a policy: release it");
}

static void
on_told(void *arg, int err)
{
	struct exchange *x = arg;

	if (err)
		reply_not_taken(x, err);
	else
		reply_json(x, 202, json_pack("{s:s}", "id", x->parameters[1]));
}

/* The operator finds it among the events, and in the trace of the message. */
static void
tell_false_alarm(struct decision *decision)
{
	struct exchange *x = decision->job.exchange;
	const Envelope *envelope = decision->row->envelope;

	mail_event_begin_once(&decision->event, "false-alarm", envelope);
	json_str(&decision->event.json, "verdict", envelope_verdict_name(envelope->verdict));
	json_str(&decision->event.json, "signature", envelope->signature);
	json_str(&decision->event.json, "by", x->caller.name);
	mail_event_send(&decision->event, x->api->queue, on_told, x);
}

static void
decide(struct job *job)
{
	struct decision *decision = (struct decision *)job;
	json_t *selector;

	if (job->fault.status) {
		reply_fault(job->exchange, &job->fault);
	} else if (!decision->action) {
		tell_false_alarm(decision);
	} else {
		selector = json_pack(
			"{s:s, s:s}", "id", decision->id_text, "account", decision->account);
		rule_start(job->exchange, decision->action, selector);
		json_decref(selector);
	}
}

static void
start(struct exchange *x, const char *action)
{
	struct decision *decision;

	if (!directory_get(x->api->directory, "account", x->parameters[0])) {
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
		return;
	}
	decision = xcalloc(1, sizeof *decision);
	decision->job = (struct job){
		.exchange = x, .run = look, .then = decide, .release = decision_release
	};
	decision->action = action;
	decision->operator= caller_is_operator(&x->caller);
	text_copy(decision->account, sizeof decision->account, x->parameters[0]);
	if (id_parse(x->parameters[1], decision->id) < 0) {
		reply_error(x, 404, "id", "no message of the account has this id");
		decision_release(&decision->job);
		return;
	}
	id_format(decision->id, decision->id_text);
	job_start(&decision->job);
}

void
api_account_release(struct exchange *x)
{
	start(x, "release");
}

void
api_account_discard(struct exchange *x)
{
	start(x, "bounce");
}

void
api_account_retry(struct exchange *x)
{
	start(x, "retry");
}

void
api_account_false_alarm(struct exchange *x)
{
	start(x, NULL);
}
