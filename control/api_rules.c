/*
 * api_rules.c - the operator's commands: rules, done once to what waits, and suspensions, which
 * last.
 *
 * shoutctl -> api -> [api_rules] -> relay.config -> senders
 *
 * The same suspension twice is one: its key is its selector.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "control/api_private.h"
#include "shared/log.h"
#include "shared/selector.h"

#define SELECTOR_MAX 400 /* as text in a key */
#define REASON_MAX 500
#define FOR_MAX_S (10L * 365 * 24 * 3600)
#define FIELDS "id, site, provider, account, credential, recipient_domain, egress_ip"

/* Selectors */

/* As it is compared: an address in its usual form, names in lower case. NULL: no such address. */
static json_t *
value_of(int field, const char *text)
{
	char address[INET6_ADDRSTRLEN], *lower;
	unsigned char bytes[16];
	const int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	json_t *value;

	if (field == SELECT_EGRESS)
		return inet_pton(family, text, bytes) == 1
			? json_string(inet_ntop(family, bytes, address, sizeof address))
			: NULL;
	if (field != SELECT_DOMAIN && field != SELECT_SITE && field != SELECT_PROVIDER)
		return json_string(text);
	lower = xstrdup(text);
	for (char *c = lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	value = json_string(lower);
	free(lower);
	return value;
}

/* The selector as it is stored, or NULL and the fault. */
static json_t *
take_selector(const json_t *given, struct fault *fault)
{
	struct selector selector;
	const char *field = NULL;
	json_t *taken = json_object(), *value;
	int err = json_is_object(given) ? selector_parse(&selector, given, &field) : -1;

	if (!json_is_object(given))
		fault_set(fault, 400, "selector", "an object is needed");
	else if (err && field && strcmp(field, "id") == 0)
		fault_set(fault, 400, "id", "26 signs of a message id");
	else if (err && field)
		fault_set(fault, 400, field, "texts that are not empty: " FIELDS);
	else if (err)
		fault_set(fault, 400, "selector", "at least one of: " FIELDS);
	for (int i = 0; !err && i < SELECTOR_FIELDS; i++) {
		if (!selector.text[i])
			continue;
		value = value_of(i, selector.text[i]);
		if (!value)
			err = fault_set(fault, 400, selector_names[i], "an address is needed");
		else
			json_object_set_new(taken, selector_names[i], value);
	}
	if (json_is_object(given))
		selector_wipe(&selector);
	if (!err)
		return taken;
	json_decref(taken);
	return NULL;
}

/* "suspension/account=1&site=x", the caller's to free. */
static char *
suspension_key(const json_t *selector, struct fault *fault)
{
	char *key = xstrdup("suspension/"), *longer, *value;
	const char *separator = "";

	for (int i = 0; i < SELECTOR_FIELDS; i++) {
		const char *text = json_string_value(json_object_get(selector, selector_names[i]));

		if (!text)
			continue;
		value = evhttp_encode_uri(text);
		longer = xasprintf("%s%s%s=%s", key, separator, selector_names[i], value);
		free(value);
		free(key);
		key = longer;
		separator = "&";
	}
	if (strlen(key) <= SELECTOR_MAX)
		return key;
	fault_set(fault, 400, "selector", "too long");
	free(key);
	return NULL;
}

static bool
is_short(const json_t *body, const char *field, size_t max, struct fault *fault)
{
	const json_t *value = json_object_get(body, field);

	return json_string_length(value) <= max ||
		fault_set(fault, 400, field, "a text of at most %zu bytes", max) == 0;
}

static const char *
by(const json_t *body)
{
	const char *who = json_string_value(json_object_get(body, "by"));

	return who ? who : "operator";
}

/* Rules */

static bool
is_action(const char *text)
{
	return text &&
		(!strcmp(text, "retry") || !strcmp(text, "bounce") || !strcmp(text, "release"));
}

static json_t *
check_rule(const json_t *body, struct fault *fault)
{
	static const struct field known[] = {
		{"action",      FIELD_TEXT },
                { "selector",            FIELD_OBJECT },
                { "by",FIELD_TEXT },
                { 0        }
	};

	if (fields_check(fault, body, known, NULL) < 0 || !is_short(body, "by", REASON_MAX, fault))
		return NULL;
	if (!is_action(json_string_value(json_object_get(body, "action")))) {
		fault_set(fault, 400, "action", "one of: retry, bounce, release");
		return NULL;
	}
	return take_selector(json_object_get(body, "selector"), fault);
}

void
api_rules_create(struct exchange *x)
{
	const uint64_t now = clock_us();
	struct fault fault;
	json_t *selector = check_rule(x->body, &fault), *rule;
	char key[32];

	if (!selector) {
		reply_fault(x, &fault);
		return;
	}
	x->api->last_rule = now > x->api->last_rule ? now : x->api->last_rule + 1;
	snprintf(key, sizeof key, "rule/%020" PRIu64, x->api->last_rule);
	rule = json_pack("{s:I, s:O, s:o, s:I, s:s}", "number", (json_int_t)x->api->last_rule,
		"action", json_object_get(x->body, "action"), "selector", selector,
		"accepted_before_us", (json_int_t)now, "by", by(x->body));
	commit_start(x, 201, json_pack("{s:o}", key, rule),
		json_pack("{s:s, s:O}", "rule", key + 5, "entry", rule));
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

static json_t *
check_suspension(const json_t *body, struct fault *fault)
{
	static const struct field known[] = {
		{"selector",  FIELD_OBJECT },
                { "reason",          FIELD_TEXT },
                { "seconds",FIELD_NUMBER },
		{ "by",  FIELD_TEXT },
                { 0         }
	};
	const json_t *seconds = json_object_get(body, "seconds");

	if (fields_check(fault, body, known, NULL) < 0 ||
		!is_short(body, "by", REASON_MAX, fault) ||
		!is_short(body, "reason", REASON_MAX, fault))
		return NULL;
	if (seconds &&
		(json_integer_value(seconds) < 1 || json_integer_value(seconds) > FOR_MAX_S)) {
		fault_set(fault, 400, "seconds", "a number from 1 to %ld", FOR_MAX_S);
		return NULL;
	}
	return take_selector(json_object_get(body, "selector"), fault);
}

void
api_suspensions_create(struct exchange *x)
{
	const uint64_t now = clock_us();
	const char *reason = json_string_value(json_object_get(x->body, "reason"));
	json_int_t seconds = json_integer_value(json_object_get(x->body, "seconds"));
	struct fault fault;
	json_t *selector = check_suspension(x->body, &fault), *entry;
	char *key = selector ? suspension_key(selector, &fault) : NULL;

	if (!key) {
		json_decref(selector);
		reply_fault(x, &fault);
		return;
	}
	entry = json_pack("{s:I, s:o, s:s, s:s, s:I, s:I}", "version", (json_int_t)now, "selector",
		selector, "reason", reason ? reason : "", "by", by(x->body), "since_us",
		(json_int_t)now, "until_us",
		seconds ? (json_int_t)now + seconds * 1000000 : (json_int_t)0);
	commit_start(x, 201, json_pack("{s:o}", key, entry),
		json_pack("{s:o}", "suspended", json_from_suspension(entry)));
	free(key);
}

void
api_suspensions_remove(struct exchange *x)
{
	json_t *given = json_object(), *selector = NULL, *entry;
	struct fault fault;
	char *key = NULL;

	for (int i = 0; i < SELECTOR_FIELDS; i++) {
		const char *text = query_text(x, selector_names[i]);

		if (text)
			json_object_set_new(given, selector_names[i], json_string(text));
	}
	if ((selector = take_selector(given, &fault)))
		key = suspension_key(selector, &fault);
	entry = key ? directory_entry(x->api->directory, key) : NULL;
	if (key && !entry)
		fault_set(&fault, 404, "selector",
			"nothing is suspended by exactly that: the list of suspensions tells what "
			"is");
	if (entry)
		commit_start(x, 200, json_pack("{s:n}", key),
			json_pack("{s:o}", "resumed", json_from_suspension(entry)));
	else
		reply_fault(x, &fault);
	json_decref(given);
	json_decref(selector);
	free(key);
}

static bool
is_active(const char *key, const json_t *entry)
{
	const uint64_t until = (uint64_t)json_integer_value(json_object_get(entry, "until_us"));

	return strncmp(key, "suspension/", 11) == 0 && (!until || until > clock_us());
}

json_t *
suspensions_now(const struct api *api)
{
	json_t *list = json_array(), *entry;
	const char *key;

	json_object_foreach(
		directory_entries(api->directory), key, entry) if (is_active(key, entry))
		json_array_append_new(list, json_from_suspension(entry));
	/* nothing shared with the directory: another thread may read it */
	entry = json_deep_copy(list);
	json_decref(list);
	return entry;
}

void
api_suspensions_list(struct exchange *x)
{
	reply_json(x, 200, json_pack("{s:o}", "suspensions", suspensions_now(x->api)));
}
