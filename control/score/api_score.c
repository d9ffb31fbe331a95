/*
 * api_score.c - scores for people.
 *
 * api -> [api_score] -> Redis (score.lua); a release also -> relay.config: rule/<number> -> sender
 *
 * Without Redis nothing is known and nothing can be decided (503).
 */
#include "control/score/api_score.h"

#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/look/json_from.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/score/score.h"
#include "shared/work/standing.h"

#define NULL_SENDER "<>"

/* Whose score: an originator's, whatever credential is named beside it, else a credential's, else
 * the account's. */
struct subject {
	enum rung rung;
	const char *id; /* as the caller wrote it; "" for the account */
};

static void
no_redis(struct exchange *x, int err)
{
	reply_error(x, 503, "", "Redis does not answer: %s", strerror(-err));
}

/* Lists */

static void
reply_list(struct exchange *x, int err, const char *name, json_t *list)
{
	json_t *one;
	size_t i;

	if (err) {
		no_redis(x, err);
		return;
	}
	json_array_foreach(list, i, one)
	{
		const char *account = json_text(one, "account");
		const json_t *entry = directory_get(x->api->directory, "account", account);
		const char *shown = json_text(entry, "name");

		json_object_set_new(one, "name", shown ? json_string(shown) : json_null());
		if (strcmp(json_text(one, "rung"), rung_names[RUNG_ORIGINATOR]) == 0 &&
			!*json_text(one, "id"))
			json_object_set_new(one, "id", json_string(NULL_SENDER));
	}
	reply_json(x, 200, json_pack("{s:o}", name, list));
}

static void
on_standing(void *arg, int err, json_t *list)
{
	reply_list(arg, err, "standing", list);
}

static void
on_top(void *arg, int err, json_t *list)
{
	reply_list(arg, err, "top", list);
}

static void
list(struct exchange *x, bool top, score_json_cb cb)
{
	const long limit = query_number(x, "limit", 100, 1, 1000);

	if (limit > 0)
		scores_list(x->api->redis, top, (unsigned)limit, cb, x);
}

void
api_score_list(struct exchange *x)
{
	list(x, false, on_standing);
}

void
api_score_top(struct exchange *x)
{
	list(x, true, on_top);
}

/* One */

static bool
account_is_there(struct exchange *x)
{
	if (directory_get(x->api->directory, "account", x->parameters[0]))
		return true;
	reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	return false;
}

/* Whether some mail can have the text there; false after a reply. NULL is fine. */
static bool
is_right(struct exchange *x, const char *name, enum selector_field field, const char *text)
{
	struct selector selector = { 0 };
	const bool good = !text || selector_set(&selector, field, text) == 0;

	selector_wipe(&selector);
	if (!good)
		reply_error(x, 400, name, "%s is needed", selector_right(field));
	return good;
}

/* Sets `out` by what was given (NULL: not); false after a reply. */
static bool
subject_take(
	struct exchange *x, const char *originator, const char *credential, struct subject *out)
{
	out->rung = originator ? RUNG_ORIGINATOR : credential ? RUNG_CREDENTIAL : RUNG_ACCOUNT;
	out->id = originator ? originator : credential ? credential : "";
	if (!is_right(x, "originator", SELECT_SENDER, originator) ||
		!is_right(x, "credential", SELECT_CREDENTIAL, credential))
		return false;
	if (out->rung == RUNG_ORIGINATOR && strcmp(out->id, NULL_SENDER) == 0)
		out->id = "";
	return true;
}

static void
show_time(json_t *found, const char *from, const char *to)
{
	const json_int_t us = json_integer_value(json_object_get(found, from));

	json_object_set_new(found, to, json_from_time((uint64_t)us));
	json_object_del(found, from);
}

static void
on_shown(void *arg, int err, json_t *found)
{
	struct exchange *x = arg;
	const char *originator = query_text(x, "originator"), *user = query_text(x, "credential");

	if (err) {
		no_redis(x, err);
		return;
	}
	show_time(found, "since_us", "since");
	show_time(found, "forgiven_us", "forgiven_until");
	json_object_set_new(found, "account", json_string(x->parameters[0]));
	json_object_set_new(found, "id",
		json_string(originator ? originator
				: user ? user
				       : x->parameters[0]));
	reply_json(x, 200, found);
}

void
api_account_score(struct exchange *x)
{
	struct subject subject;

	if (account_is_there(x) &&
		subject_take(x, query_text(x, "originator"), query_text(x, "credential"), &subject))
		scores_show(x->api->redis, x->api->config, x->parameters[0], subject.rung,
			subject.id, on_shown, x);
}

/* Decisions */

static json_t *
selector_of(const struct exchange *x)
{
	json_t *selector = json_pack("{s:s}", "account", x->parameters[0]);
	const char *originator = json_text(x->body, "originator");
	const char *credential = json_text(x->body, "credential");

	if (originator)
		json_object_set_new(selector, "sender", json_string(originator));
	if (credential)
		json_object_set_new(selector, "credential", json_string(credential));
	return selector;
}

/* The suspension that came with the step goes with it. */
static void
end_suspension(struct exchange *x, json_t *changes)
{
	struct subject subject;
	struct selector selector = { 0 };
	char *key;

	if (!subject_take(x, json_text(x->body, "originator"), json_text(x->body, "credential"),
		    &subject))
		return;
	if (subject.rung == RUNG_ORIGINATOR && *subject.id &&
		selector_set(&selector, SELECT_SENDER, subject.id) == 0)
		subject.id = selector.text[SELECT_SENDER];
	key = standing_key(x->parameters[0], subject.rung, subject.id);
	if (key && directory_entry(x->api->directory, key))
		json_object_set_new(changes, key, json_null());
	selector_wipe(&selector);
	free(key);
}

/* The step has ended, and what it holds may go. */
static void
on_released(void *arg, int err, json_t *found)
{
	struct exchange *x = arg;
	char key[RULE_KEY_SIZE];
	json_t *selector, *rule, *changes = json_object();

	if (err) {
		json_decref(changes);
		no_redis(x, err);
		return;
	}
	end_suspension(x, changes);
	selector = selector_of(x);
	rule = rule_new(x, "release", selector, clock_us(), key);
	json_object_set_new(found, "rule", json_from_rule(rule));
	json_decref(selector);
	json_object_set_new(changes, key, rule);
	commit_start(x, "score.release", 200, changes, found);
}

static void
on_forgiven(void *arg, int err, json_t *found)
{
	struct exchange *x = arg;
	json_t *changes = json_object();

	if (!err)
		end_suspension(x, changes);
	if (err)
		no_redis(x, err);
	else if (json_object_size(changes)) {
		commit_start(x, "score.forgive", 200, changes, found);
		return;
	} else {
		reply_json(x, 200, found);
	}
	json_decref(changes);
}

static void
decide(struct exchange *x, bool release)
{
	static const struct field known[] = { { "originator", FIELD_TEXT },
		{ "credential", FIELD_TEXT }, { 0 } };
	const char *doubt = applier_doubt(x->api->applier);
	struct fault fault = { 0 };
	struct subject subject;

	if (fields_check(&fault, x->body, known, NULL) < 0) {
		reply_fault(x, &fault);
		return;
	}
	if (!subject_take(x, json_text(x->body, "originator"), json_text(x->body, "credential"),
		    &subject) ||
		!account_is_there(x))
		return;
	if (doubt)
		reply_error(x, 503, "", "%s", doubt);
	else
		scores_forgive(x->api->redis, x->api->config, x->parameters[0], subject.rung,
			subject.id, release, release ? on_released : on_forgiven, x);
}

void
api_score_release(struct exchange *x)
{
	decide(x, true);
}

void
api_score_forgive(struct exchange *x)
{
	decide(x, false);
}
