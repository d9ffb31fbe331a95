/*
 * dkim_entry.c - the life of a domain's keys.
 *
 * api_dkim -> [dkim_entry] -> relay.config -> keyring (scanner)
 */
#include "control/dkim/dkim_entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/look/json_from.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/dkim/keyring.h"

static json_int_t
number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void
set_number(json_t *object, const char *name, json_int_t value)
{
	json_object_set_new(object, name, json_integer(value));
}

/* Algorithms */

unsigned
dkim_algorithms_take(struct fault *fault, const json_t *body)
{
	static const struct field known[] = { { "algorithms", FIELD_LIST }, { 0 } };
	const json_t *names = json_object_get(body, "algorithms");
	unsigned found = 0;
	json_t *name;
	size_t i;

	if (fields_check(fault, body, known, NULL) < 0)
		return 0;
	if (!names)
		return 1u << DKIM_RSA;
	json_array_foreach((json_t *)names, i, name)
	{
		const enum dkim_algorithm algorithm = dkim_algorithm_find(json_string_value(name));

		if (algorithm == DKIM_ALGORITHMS) {
			fault_set(fault, 400, "algorithms",
				"each is one of: rsa-sha256, ed25519-sha256");
			return 0;
		}
		found |= 1u << algorithm;
	}
	if (!found)
		fault_set(fault, 400, "algorithms",
			"one of them is needed: rsa-sha256, ed25519-sha256");
	return found;
}

/* Making keys */

/* "shout1", or "shout1e" of Ed25519: a selector has one key. */
static void
selector_make(char out[DKIM_SELECTOR_MAX], json_int_t slot, enum dkim_algorithm algorithm)
{
	snprintf(out, DKIM_SELECTOR_MAX, "shout%d%s", (int)slot,
		algorithm == DKIM_ED25519 ? "e" : "");
}

static json_t *
key_make(const struct dkim_subject *subject, json_int_t slot, enum dkim_algorithm algorithm)
{
	struct dkim_key *key = dkim_key_new(algorithm);
	char selector[DKIM_SELECTOR_MAX], *name, *sealed, *record;
	json_t *made;

	selector_make(selector, slot, algorithm);
	name = keyring_name(subject->domain, selector);
	sealed = dkim_key_seal(key, subject->secret, name);
	record = dkim_key_record(key);
	made = json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "slot", slot, "selector",
		selector, "algorithm", dkim_algorithm_name(algorithm), "sealed", sealed, "record",
		record, "created_us", (json_int_t)subject->now_us, "used_us", (json_int_t)0,
		"until_us", (json_int_t)0);
	dkim_key_free(&key);
	free(name);
	free(sealed);
	free(record);
	return made;
}

static bool
has_key(const json_t *keys, json_int_t slot, enum dkim_algorithm algorithm)
{
	json_t *key;
	size_t i;

	json_array_foreach((json_t *)keys, i, key)
	{
		if (number(key, "slot") == slot &&
			dkim_algorithm_find(json_text(key, "algorithm")) == algorithm)
			return true;
	}
	return false;
}

static void
add_missing(const struct dkim_subject *subject, json_t *keys, unsigned algorithms)
{
	for (json_int_t slot = 1; slot <= DKIM_SLOTS; slot++)
		for (unsigned one = 0; one < DKIM_ALGORITHMS; one++)
			if (algorithms & 1u << one && !has_key(keys, slot, one))
				json_array_append_new(keys, key_make(subject, slot, one));
}

/* The keys of the slot sign from now on, or not any more. */
static void
mark_slot(json_t *entry, json_int_t slot, const char *field, json_int_t value)
{
	json_t *key;
	size_t i;

	json_array_foreach(json_object_get(entry, "keys"), i, key)
	{
		if (number(key, "slot") == slot && (value == 0 || number(key, field) == 0))
			set_number(key, field, value);
	}
}

static bool
is_of(const json_t *entry, const char *account)
{
	const char *of = json_text(entry, "account");

	return of && strcmp(of, account) == 0;
}

/* A changed copy with a later version. */
static json_t *
copy_of(const struct dkim_subject *subject, const json_t *before)
{
	json_t *entry = json_deep_copy(before);
	const json_int_t version = number(before, "version"), now = (json_int_t)subject->now_us;

	set_number(entry, "version", now > version ? now : version + 1);
	return entry;
}

json_t *
dkim_entry_enable(const struct dkim_subject *subject, const json_t *before, unsigned algorithms)
{
	json_t *fresh = json_pack("{s:I, s:s, s:s, s:b, s:I, s:[]}", "version",
		number(before, "version"), "domain", subject->domain, "account", subject->account,
		"enabled", 1, "active", (json_int_t)1, "keys");
	json_t *entry = copy_of(
		subject, before && is_of(before, subject->account) ? before : fresh);

	json_decref(fresh);
	json_object_set_new(entry, "enabled", json_true());
	add_missing(subject, json_object_get(entry, "keys"), algorithms);
	mark_slot(entry, number(entry, "active"), "used_us", (json_int_t)subject->now_us);
	mark_slot(entry, number(entry, "active"), "until_us", 0);
	return entry;
}

json_t *
dkim_entry_disable(const struct dkim_subject *subject, const json_t *before)
{
	json_t *entry = copy_of(subject, before);

	json_object_set_new(entry, "enabled", json_false());
	mark_slot(entry, number(entry, "active"), "until_us", (json_int_t)subject->now_us);
	return entry;
}

/* Rotation */

/* Until when the keys of the slot have signed, the latest one; 0: none of them ever has. */
static json_int_t
slot_until(const json_t *entry, json_int_t slot)
{
	json_int_t until = 0;
	json_t *key;
	size_t i;

	json_array_foreach(json_object_get(entry, "keys"), i, key)
	{
		if (number(key, "slot") == slot && number(key, "used_us") &&
			number(key, "until_us") >= until)
			until = number(key, "until_us") ? number(key, "until_us") : 1;
	}
	return until;
}

static void
renew_slot(const struct dkim_subject *subject, json_t *entry, json_int_t slot)
{
	json_t *keys = json_object_get(entry, "keys"), *key;
	unsigned algorithms = 0;

	for (size_t i = json_array_size(keys); i > 0; i--) {
		key = json_array_get(keys, i - 1);
		if (number(key, "slot") != slot)
			continue;
		algorithms |= 1u << dkim_algorithm_find(json_text(key, "algorithm"));
		json_array_remove(keys, i - 1);
	}
	add_missing(subject, keys, algorithms & ((1u << DKIM_ALGORITHMS) - 1));
}

json_t *
dkim_entry_rotate(const struct dkim_subject *subject, const json_t *before, bool now,
	const char **done_out, struct fault *fault)
{
	const json_int_t active = number(before, "active"), other = active == 1 ? 2 : 1;
	const json_int_t until = slot_until(before, other), at = (json_int_t)subject->now_us;
	json_t *entry;

	if (until && !now && at < until + (json_int_t)DKIM_FORMER_KEPT_US) {
		fault_set(fault, 409, "now",
			"mail signed by the former key may still be on its way: 7 days after the "
			"last rotation, or with \"now\": true");
		return NULL;
	}
	entry = copy_of(subject, before);
	if (until) {
		*done_out = "renewed";
		renew_slot(subject, entry, other);
		return entry;
	}
	*done_out = "switched";
	set_number(entry, "active", other);
	mark_slot(entry, active, "until_us", at);
	mark_slot(entry, other, "used_us", at);
	return entry;
}

/* Showing */

json_t *
dkim_entry_line(const json_t *entry)
{
	json_t *names = json_array(), *key;
	const char *account = json_text(entry, "account");
	size_t i;

	json_array_foreach(json_object_get(entry, "keys"), i, key)
	{
		if (number(key, "slot") == number(entry, "active"))
			json_array_append(names, json_object_get(key, "selector"));
	}
	return json_pack("{s:s, s:s?, s:b, s:o}", "domain", json_text(entry, "domain"), "account",
		account && *account ? account : NULL, "enabled",
		json_is_true(json_object_get(entry, "enabled")), "selectors", names);
}

static const char *
state_of(const json_t *entry, const json_t *key)
{
	if (number(key, "slot") == number(entry, "active"))
		return json_is_true(json_object_get(entry, "enabled")) ? "active" : "off";
	return number(key, "used_us") ? "former" : "next";
}

static json_t *
time_or_null(json_int_t us)
{
	return us ? json_from_time((uint64_t)us) : json_null();
}

static json_t *
key_show(const struct dkim_subject *subject, const json_t *entry, const json_t *key)
{
	const char *selector = json_text(key, "selector"), *value = json_text(key, "record");
	char *name = xasprintf("%s._domainkey.%s", selector, subject->domain), *target = NULL;
	const bool ours = subject->zone && *subject->account;
	json_t *shown;

	if (ours)
		target = xasprintf("%s.%s.%s", selector, subject->domain, subject->zone);
	shown = json_pack("{s:s, s:s, s:s, s:o, s:o, s:{s:s, s:s, s:s}}", "selector", selector,
		"algorithm", json_text(key, "algorithm"), "state", state_of(entry, key), "created",
		time_or_null(number(key, "created_us")), "used",
		time_or_null(number(key, "used_us")), "record", "type", ours ? "CNAME" : "TXT",
		"name", name, "value", ours ? target : value);
	json_object_set_new(shown, "published",
		ours ? json_pack("{s:s, s:s, s:s}", "type", "TXT", "name", target, "value", value)
		     : json_null());
	free(name);
	free(target);
	return shown;
}

json_t *
dkim_entry_show(const struct dkim_subject *subject, const json_t *entry)
{
	json_t *keys = json_array(), *key;
	size_t i;

	json_array_foreach(json_object_get(entry, "keys"), i, key)
	{
		json_array_append_new(keys, key_show(subject, entry, key));
	}
	return json_pack("{s:s, s:s?, s:b, s:o}", "domain", subject->domain, "account",
		*subject->account ? subject->account : NULL, "enabled",
		json_is_true(json_object_get(entry, "enabled")), "keys", keys);
}

json_t *
dkim_entry_audit(const json_t *entry)
{
	json_t *shown, *names = json_array(), *key;
	size_t i;

	if (!json_is_object(entry)) {
		json_decref(names);
		return json_null();
	}
	json_array_foreach(json_object_get(entry, "keys"), i, key)
	{
		char *text = xasprintf("%s %s %s", json_text(key, "selector"),
			json_text(key, "algorithm"), state_of(entry, key));

		json_array_append_new(names, json_string(text));
		free(text);
	}
	shown = json_pack(
		"{s:O, s:o}", "enabled", json_object_get(entry, "enabled"), "keys", names);
	return shown;
}
