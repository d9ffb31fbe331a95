/*
 * api_rules.c - the operators' commands: rules, which act once on waiting mail, and suspensions,
 * which last.
 *
 * shoutctl -> api -> [api_rules] -> relay.config -> senders
 *
 * Two equal suspensions are one, because a suspension's key is its selector.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>
#include <openssl/evp.h>

#include "control/http/api_private.h"
#include "control/http/entries.h"
#include "control/look/json_from.h"
#include "control/queue/match.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/http/problem.h"

#define SUSPENSION "suspension/"
#define SELECTOR_MAX 400 /* as text in a key; a longer selector is digested */
#define REASON_MAX 500
#define FOR_MAX_S (10L * 365 * 24 * 3600)
#define FIELDS "id, site, provider, account, credential, sender, recipient_domain, egress_ip"

/* Selectors */

int
take_selector_field(
	struct selector *selector, enum selector_field field, const char *text, struct fault *fault)
{
	if (*text && selector_set(selector, field, text) == 0)
		return 0;
	return fault_set(fault, 400, selector_names[field], "%s: it takes %s",
		*text ? "nothing can match this" : "this is empty", selector_right(field));
}

/* Reads a selector into its one form; -1 and the fault otherwise. The caller calls selector_wipe()
 * either way. */
static int
take_selector(struct selector *selector, const json_t *given, struct fault *fault)
{
	const char *text;
	size_t fields = 0;
	int err = 0;

	*selector = (struct selector){ 0 };
	if (!json_is_object(given))
		return fault_set(fault, 400, "selector", "an object is needed");
	for (int i = 0; i < SELECTOR_FIELDS && !err; i++) {
		const json_t *value = json_object_get(given, selector_names[i]);

		text = json_string_value(value);
		fields += value != NULL;
		if (value && !text)
			err = fault_set(fault, 400, selector_names[i], "a text is needed");
		else if (text)
			err = take_selector_field(selector, (enum selector_field)i, text, fault);
	}
	if (!err && (!fields || fields != json_object_size(given)))
		err = fault_set(
			fault, 400, "selector", "at least one of, and nothing but: " FIELDS);
	if (!err && (text = selector->text[SELECT_ACCOUNT]) && !account_id_valid(text))
		err = fault_set(fault, 400, "account", "no account has such an id");
	return err;
}

static json_t *
json_from_selector(const struct selector *selector)
{
	json_t *shown = json_object();

	for (int i = 0; i < SELECTOR_FIELDS; i++)
		if (selector->text[i])
			json_object_set_new(
				shown, selector_names[i], json_string(selector->text[i]));
	return shown;
}

/* A key has to be short: a long selector is digested. */
static char *
digest_of(char *key)
{
	unsigned char digest[32];
	char *text = xstrdup(SUSPENSION "sha256=");

	EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL);
	free(key);
	for (size_t i = 0; i < sizeof digest; i++) {
		char *longer = xasprintf("%s%02x", text, digest[i]);

		free(text);
		text = longer;
	}
	return text;
}

/* "suspension/account=1&site=x", or with a digest of that text; the caller frees it. */
static char *
suspension_key(const struct selector *selector)
{
	char *key = xstrdup(SUSPENSION), *longer, *value;
	const char *separator = "";

	for (int i = 0; i < SELECTOR_FIELDS; i++) {
		if (!selector->text[i])
			continue;
		value = evhttp_encode_uri(selector->text[i]);
		longer = xasprintf("%s%s%s=%s", key, separator, selector_names[i], value);
		free(value);
		free(key);
		key = longer;
		separator = "&";
	}
	return strlen(key) <= SELECTOR_MAX ? key : digest_of(key);
}

static bool
is_short(const json_t *body, const char *field, size_t max, struct fault *fault)
{
	const char *text = json_text(body, field);

	return utf8_count(text ? text : "") <= max ||
		fault_set(fault, 400, field, "a text of at most %zu characters", max) == 0;
}

static const char *
by(const struct exchange *x)
{
	const char *said = json_text(x->body, "by");

	if (said)
		return said;
	if (!caller_is_operator(&x->caller))
		return x->caller.name;
	return *x->claimed ? x->claimed : "operator";
}

/* Commands: the worker counts how much mail a command is about, then the command is carried out. */

struct command {
	struct job job;
	struct selector selector;
	struct match match;
	uint64_t now_us;
	bool dry_run;
	const struct action *action; /* a rule's */
	char *key;                   /* a suspension's */
	json_t *entry;
	/* Makes the changes to write, and the answer (both taken over); on the loop. */
	void (*finish)(struct command *command, json_t *reply);
};

static void
command_run(struct job *job)
{
	struct command *command = (struct command *)job;
	struct api *api = job->api;

	command->match.selector = &command->selector;
	command->match.before_us = command->now_us;
	command->match.egress = api->egress ? api->egress : "";
	match_count(&command->match, api->queue, api->rows, &api->hurry);
}

static void
command_then(struct job *job)
{
	struct command *command = (struct command *)job;
	const struct match *match = &command->match;

	command->finish(command,
		json_pack("{s:I, s:b, s:b}", "matched", (json_int_t)match->matched, "exact",
			match->exact, "dry_run", command->dry_run));
}

static void
command_release(struct job *job)
{
	struct command *command = (struct command *)job;

	selector_wipe(&command->selector);
	json_decref(command->entry);
	free(command->key);
	free(command);
}

static struct command *
command_new(struct exchange *x, enum match_state state,
	void (*finish)(struct command *command, json_t *reply))
{
	struct command *command = xcalloc(1, sizeof *command);

	command->job = (struct job){
		.exchange = x, .run = command_run, .then = command_then, .release = command_release
	};
	command->finish = finish;
	command->match.state = state;
	command->now_us = clock_us();
	command->dry_run = json_is_true(json_object_get(x->body, "dry_run"));
	return command;
}

/* Starts the command, or ends it with the fault. */
static void
command_start(struct command *command, int err, const struct fault *fault)
{
	if (!err) {
		job_start(&command->job);
		return;
	}
	reply_fault(command->job.exchange, fault);
	command_release(&command->job);
}

/* Rules */

static const struct action {
	const char *name, *what;
	enum match_state state;
	const char *other; /* what to call matching mail in another state */
} actions[] = {
	{ "retry", "rule.retry", MATCH_WAITING, "held: a release lets it go" },
	{ "bounce", "rule.bounce", MATCH_ANY, "" },
	{ "release", "rule.release", MATCH_HELD, "not held" },
};

static const struct action *
action_of(const char *name)
{
	for (size_t i = 0; name && i < sizeof actions / sizeof *actions; i++)
		if (strcmp(name, actions[i].name) == 0)
			return &actions[i];
	return NULL;
}

static bool
is_rule(const char *key, const json_t *entry)
{
	(void)entry;
	return strncmp(key, "rule/", 5) == 0;
}

json_t *
json_from_rule(const json_t *entry)
{
	char number[24];
	json_t *shown;

	snprintf(number, sizeof number, "%020" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(entry, "number")));
	shown = json_pack("{s:s}", "number", number);
	json_object_set(shown, "action", json_object_get(entry, "action"));
	json_object_set(shown, "selector", json_object_get(entry, "selector"));
	json_object_set_new(shown, "accepted_before",
		json_from_time((uint64_t)json_integer_value(
			json_object_get(entry, "accepted_before_us"))));
	json_object_set(shown, "by", json_object_get(entry, "by"));
	return shown;
}

/* The operators' latest rules, which still count for mail that comes to the sender. */
void
api_rules_list(struct exchange *x)
{
	reply_entries(x, "rules", NULL, is_rule, true, json_from_rule);
}

/* Numbers grow, whatever the clock does and whichever control process made the last one: senders
 * take a smaller number for one that was carried out. */
static uint64_t
rule_number(struct api *api, uint64_t now)
{
	uint64_t newest = api->last_rule, number;
	const char *key;
	json_t *entry;

	json_object_foreach(directory_entries(api->directory), key, entry)
	{
		number = is_rule(key, entry) ? strtoull(key + 5, NULL, 10) : 0;
		newest = number > newest ? number : newest;
	}
	return api->last_rule = now > newest ? now : newest + 1;
}

/* A command that surely matches nothing is not stored. */
static void
rule_refuse(struct command *command, json_t *reply)
{
	const struct match *match = &command->match;
	const bool named = command->selector.text[SELECT_ID];
	json_t *problem;
	char *error = match->open
		? xasprintf("%s is open, but %s", named ? "it" : "what matches",
			  command->action->other)
		: xstrdup(named ? "no such message is open" : "no open message matches");

	problem = problem_json(command->job.exchange, 404, problem_of(404)->type,
		named ? "id" : "selector", error);
	json_object_update(reply, problem);
	json_decref(problem);
	free(error);
	reply_json(command->job.exchange, 404, reply);
}

json_t *
rule_new(struct exchange *x, const char *action, const json_t *selector, uint64_t now_us,
	char key[RULE_KEY_SIZE])
{
	const uint64_t number = rule_number(x->api, now_us);

	snprintf(key, RULE_KEY_SIZE, "rule/%020" PRIu64, number);
	return json_pack("{s:I, s:s, s:O, s:I, s:s}", "number", (json_int_t)number, "action",
		action, "selector", selector, "accepted_before_us", (json_int_t)now_us, "by",
		by(x));
}

static void
rule_finish(struct command *command, json_t *reply)
{
	struct exchange *x = command->job.exchange;
	char key[RULE_KEY_SIZE];
	json_t *rule, *selector;

	if (!command->match.matched && command->match.exact) {
		rule_refuse(command, reply);
		return;
	}
	if (command->dry_run) {
		json_object_set_new(reply, "rule", json_null());
		reply_json(x, 200, reply);
		return;
	}
	selector = json_from_selector(&command->selector);
	rule = rule_new(x, command->action->name, selector, command->now_us, key);
	json_decref(selector);
	json_object_set_new(reply, "rule", json_from_rule(rule));
	commit_start(x, command->action->what, 201, json_pack("{s:o}", key, rule), reply);
}

static int
check_rule(const json_t *body, struct command *command, struct fault *fault)
{
	static const struct field known[] = {
		{ "action", FIELD_TEXT },
		{ "selector", FIELD_OBJECT },
		{ "by", FIELD_TEXT },
		{ "dry_run", FIELD_SWITCH },
		{ 0 },
	};

	if (fields_check(fault, body, known, NULL) < 0 || !is_short(body, "by", REASON_MAX, fault))
		return -1;
	command->action = action_of(json_text(body, "action"));
	if (!command->action)
		return fault_set(fault, 400, "action", "one of: retry, bounce, release");
	command->match.state = command->action->state;
	return take_selector(&command->selector, json_object_get(body, "selector"), fault);
}

void
api_rules_create(struct exchange *x)
{
	struct command *command = command_new(x, MATCH_ANY, rule_finish);
	struct fault fault;

	command_start(command, check_rule(x->body, command, &fault), &fault);
}

void
rule_start(struct exchange *x, const char *action, const json_t *selector)
{
	struct command *command = command_new(x, MATCH_ANY, rule_finish);
	struct fault fault;

	command->action = action_of(action);
	command->match.state = command->action->state;
	command_start(command, take_selector(&command->selector, selector, &fault), &fault);
}

/* Suspensions */

static json_t *
json_from_suspension(const json_t *entry)
{
	json_t *shown = json_object();

	json_object_set(shown, "selector", json_object_get(entry, "selector"));
	json_object_set(shown, "reason", json_object_get(entry, "reason"));
	json_object_set(shown, "by", json_object_get(entry, "by"));
	json_object_set_new(shown, "since",
		json_from_time((uint64_t)json_integer_value(json_object_get(entry, "since_us"))));
	json_object_set_new(shown, "until",
		json_from_time((uint64_t)json_integer_value(json_object_get(entry, "until_us"))));
	return shown;
}

static int
check_suspension(const json_t *body, struct command *command, struct fault *fault)
{
	static const struct field known[] = {
		{ "selector", FIELD_OBJECT },
		{ "reason", FIELD_TEXT },
		{ "seconds", FIELD_NUMBER },
		{ "by", FIELD_TEXT },
		{ "dry_run", FIELD_SWITCH },
		{ 0 },
	};
	const json_t *seconds = json_object_get(body, "seconds");

	if (fields_check(fault, body, known, NULL) < 0 ||
		!is_short(body, "by", REASON_MAX, fault) ||
		!is_short(body, "reason", REASON_MAX, fault))
		return -1;
	if (seconds && (json_integer_value(seconds) < 1 || json_integer_value(seconds) > FOR_MAX_S))
		return fault_set(fault, 400, "seconds", "a number from 1 to %ld", FOR_MAX_S);
	if (take_selector(&command->selector, json_object_get(body, "selector"), fault))
		return -1;
	command->key = suspension_key(&command->selector);
	return 0;
}

static void
suspension_finish(struct command *command, json_t *reply)
{
	struct exchange *x = command->job.exchange;
	const char *reason = json_text(x->body, "reason");
	const json_int_t seconds = json_integer_value(json_object_get(x->body, "seconds"));
	const json_int_t now = (json_int_t)command->now_us;
	json_t *entry = json_pack("{s:I, s:o, s:s, s:s, s:I, s:I}", "version", now, "selector",
		json_from_selector(&command->selector), "reason", reason ? reason : "", "by", by(x),
		"since_us", now, "until_us", seconds ? now + seconds * 1000000 : 0);

	json_object_set_new(reply, "suspended", json_from_suspension(entry));
	if (!command->dry_run) {
		commit_start(
			x, "suspension.add", 201, json_pack("{s:o}", command->key, entry), reply);
		return;
	}
	json_decref(entry);
	reply_json(x, 200, reply);
}

void
api_suspensions_create(struct exchange *x)
{
	struct command *command = command_new(x, MATCH_WAITING, suspension_finish);
	struct fault fault;

	command_start(command, check_suspension(x->body, command, &fault), &fault);
}

/* The key of the suspension with the command's selector, as relay.config has it: an earlier version
 * knew several forms of a domain. NULL: there is no such suspension. */
static char *
suspension_find(const struct api *api, char *key)
{
	const char *at, *field;
	char *found = NULL;
	json_t *entry;

	if (directory_entry(api->directory, key))
		return key;
	json_object_foreach(directory_entries(api->directory), at, entry)
	{
		struct selector selector;
		char *other;

		if (found || strncmp(at, SUSPENSION, strlen(SUSPENSION)) != 0)
			continue;
		selector_parse(&selector, json_object_get(entry, "selector"), &field);
		other = suspension_key(&selector);
		found = strcmp(other, key) == 0 ? xstrdup(at) : NULL;
		free(other);
		selector_wipe(&selector);
	}
	free(key);
	return found;
}

static int
check_resume(struct exchange *x, struct command *command, struct fault *fault)
{
	json_t *given = json_object();
	int err;

	for (int i = 0; i < SELECTOR_FIELDS; i++)
		if (query_text(x, selector_names[i]))
			json_object_set_new(given, selector_names[i],
				json_string(query_text(x, selector_names[i])));
	err = take_selector(&command->selector, given, fault);
	if (!json_object_size(given))
		fault->status = 404; /* there is no such suspension */
	json_decref(given);
	if (err)
		return err;
	command->key = suspension_find(x->api, suspension_key(&command->selector));
	if (command->key)
		command->entry = json_incref(directory_entry(x->api->directory, command->key));
	return command->entry
		? 0
		: fault_set(fault, 404, "selector",
			  "nothing is suspended by exactly that: the list of suspensions tells "
			  "what is");
}

static void
resume_finish(struct command *command, json_t *reply)
{
	struct exchange *x = command->job.exchange;

	json_object_set_new(reply, "resumed", json_from_suspension(command->entry));
	if (command->dry_run)
		reply_json(x, 200, reply);
	else
		commit_start(x, "suspension.remove", 200, json_pack("{s:n}", command->key), reply);
}

void
api_suspensions_remove(struct exchange *x)
{
	const int dry_run = query_switch(x, "dry_run");
	struct command *command;
	struct fault fault;

	if (dry_run < 0)
		return;
	command = command_new(x, MATCH_WAITING, resume_finish);
	command->dry_run = dry_run > 0;
	command_start(command, check_resume(x, command, &fault), &fault);
}

static bool
is_active(const char *key, const json_t *entry)
{
	const uint64_t until = (uint64_t)json_integer_value(json_object_get(entry, "until_us"));

	return strncmp(key, SUSPENSION, strlen(SUSPENSION)) == 0 && (!until || until > clock_us());
}

json_t *
suspensions_now(const struct api *api)
{
	json_t *list = json_array(), *entry;
	const char *key;

	json_object_foreach(
		directory_entries(api->directory), key, entry) if (is_active(key, entry))
		json_array_append_new(list, json_from_suspension(entry));
	/* shares nothing with the directory: another thread may read the copy */
	entry = json_deep_copy(list);
	json_decref(list);
	return entry;
}

void
api_suspensions_list(struct exchange *x)
{
	reply_entries(x, "suspensions", NULL, is_active, false, json_from_suspension);
}
