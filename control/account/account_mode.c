/*
 * account_mode.c - how an account's servers are known, and the switch to the other mode.
 *
 * api (an operator's or a customer's wish) -> [account_mode] -> relay.config
 * rounds (what was seen, what is over)     ----^
 *
 * Only these edits change the states of account_mode.h, and each begins with the state that it
 * needs: an edit that comes twice, or from two control processes, is refused the second time.
 */
#include "control/account/account_mode.h"

#include <string.h>

#include "control/account/accounts_private.h"
#include "control/look/json_from.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/loop.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define GRACE_DAYS 14

static enum access_mode
other_mode(enum access_mode mode)
{
	return mode == ACCESS_IP ? ACCESS_CREDENTIALS : ACCESS_IP;
}

static json_t *
mode_json(enum access_mode mode)
{
	return json_string(access_mode_text(mode));
}

static uint64_t
time_of(const json_t *entry, const char *field)
{
	const json_int_t us = json_integer_value(json_object_get(entry, field));

	return us > 0 ? (uint64_t)us : 0;
}

/* Whether the account has a user, or an address, that counts. */
static bool
has_mode(const struct directory *directory, const char *id, enum access_mode mode)
{
	const char *kind = mode == ACCESS_IP ? "ip/" : "user/";
	const char *field = mode == ACCESS_IP ? "active" : "enabled", *key;
	json_t *value;

	json_object_foreach(directory_members(directory, id), key, value)
	{
		if (strncmp(key, kind, strlen(kind)) == 0 &&
			json_is_true(json_object_get(directory_entry(directory, key), field)))
			return true;
	}
	return false;
}

enum access_mode
account_mode(const struct directory *directory, const char *id)
{
	const json_t *account = directory_get(directory, "account", id);
	const enum access_mode mode = access_mode_read(json_text(account, "mode"));

	if (mode != ACCESS_NONE)
		return mode;
	return has_mode(directory, id, ACCESS_IP) && !has_mode(directory, id, ACCESS_CREDENTIALS)
		? ACCESS_IP
		: ACCESS_CREDENTIALS;
}

/* Edits */

static int
take_grace(struct fault *fault, const json_t *body, uint64_t *us_out)
{
	const json_t *value = json_object_get(body, "grace_days");
	const json_int_t days = value ? json_integer_value(value) : GRACE_DAYS;

	if (days < 0 || days > GRACE_DAYS_MAX)
		return fault_set(fault, 400, "grace_days", "a number from 0 to %d", GRACE_DAYS_MAX);
	*us_out = (uint64_t)days * DAY_US;
	return 0;
}

/* Refuses a switch to the mode in force, and one beside another. */
static int
may_switch(struct edit *edit, const json_t *account, enum access_mode now, enum access_mode to)
{
	const json_t *under_way = json_object_get(account, "switch");

	if (under_way)
		return fault_set(&edit->fault, 409, "mode",
			"a switch to %s is under way: take it back first",
			json_text(under_way, "to"));
	if (now == to)
		return fault_set(&edit->fault, 409, "mode", "the account's mode is %s already",
			access_mode_text(to));
	return 0;
}

/* Gives the account what the new mode needs. */
static int
equip(struct edit *edit, const char *id, const json_t *account, enum access_mode to,
	const json_t *addresses)
{
	if (has_mode(edit->directory, id, to) ||
		(to == ACCESS_IP && json_array_size(addresses) > 0))
		return 0;
	if (to == ACCESS_IP)
		return fault_set(&edit->fault, 409, "addresses",
			"mode ip needs an active address: the account has none");
	edit_add_user(edit, id, json_text(account, "name"), NULL);
	return 0;
}

static void
reply_mode(struct edit *edit, const json_t *account)
{
	account_mode_show(edit->reply, edit->directory, account);
}

int
account_mode_switch(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "mode", FIELD_TEXT },
		{ "grace_days", FIELD_NUMBER },
		{ "addresses", FIELD_LIST },
		{ 0 },
	};
	const enum access_mode to = access_mode_read(json_text(body, "mode"));
	json_t *account = edit_account(edit, id), *off;
	enum access_mode now;
	uint64_t grace_us = 0;

	if (!account || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (to == ACCESS_NONE)
		return fault_set(&edit->fault, 400, "mode", "one of: credentials, ip");
	if (edit->customer && json_object_get(body, "addresses"))
		return fault_set(&edit->fault, 403, "addresses",
			"an address counts once it is proved: add and prove it first");
	now = account_mode(edit->directory, id);
	if (take_grace(&edit->fault, body, &grace_us) < 0 ||
		edit_add_addresses(edit, id, json_object_get(body, "addresses")) < 0 ||
		may_switch(edit, account, now, to) < 0 ||
		equip(edit, id, account, to, json_object_get(body, "addresses")) < 0)
		return -1;
	json_object_set_new(account, "mode", mode_json(now));
	off = json_object_get(account, "off");
	json_object_set_new(account, "switch",
		json_pack("{s:s, s:I, s:I, s:O*}", "to", access_mode_text(to), "since_us",
			(json_int_t)clock_us(), "grace_us", (json_int_t)grace_us, "off", off));
	json_object_del(account, "off");
	json_object_del(account, "grace");
	reply_mode(edit, account);
	return 0;
}

int
account_mode_undo(struct edit *edit, const char *id)
{
	json_t *account = edit_account(edit, id), *under_way;
	json_t *off;

	if (!account)
		return -1;
	under_way = json_object_get(account, "switch");
	if (!under_way)
		return fault_set(&edit->fault, 409, "mode", "no switch of mode is under way");
	off = json_object_get(under_way, "off");
	if (off)
		json_object_set(account, "off", off);
	json_object_del(account, "switch");
	reply_mode(edit, account);
	return 0;
}

int
account_grace_extend(struct edit *edit, const char *id)
{
	json_t *account = edit_account(edit, id), *grace;
	uint64_t until;

	if (!account)
		return -1;
	grace = json_object_get(account, "grace");
	if (!grace)
		return fault_set(&edit->fault, 409, "grace", "no time of grace is running");
	if (json_is_true(json_object_get(grace, "extended")))
		return fault_set(
			&edit->fault, 409, "grace", "the time of grace was extended already");
	until = time_of(grace, "until_us") + time_of(grace, "length_us");
	json_object_set_new(grace, "until_us", json_integer((json_int_t)until));
	json_object_set_new(grace, "extended", json_true());
	json_object_del(grace, "told");
	json_object_del(grace, "used_us");
	reply_mode(edit, account);
	return 0;
}

int
account_grace_end(struct edit *edit, const char *id)
{
	json_t *account = edit_account(edit, id);
	enum access_mode mode;

	if (!account)
		return -1;
	if (json_object_get(account, "switch"))
		return fault_set(&edit->fault, 409, "grace",
			"no mail by the new mode was seen yet: the old one is needed");
	if (json_object_get(account, "off"))
		return fault_set(&edit->fault, 409, "grace", "mode %s is off already",
			json_text(account, "off"));
	mode = account_mode(edit->directory, id);
	if (!has_mode(edit->directory, id, mode))
		return fault_set(&edit->fault, 409, "grace",
			"mode %s has nothing that counts: the other one is needed",
			access_mode_text(mode));
	json_object_set_new(account, "mode", mode_json(mode));
	json_object_set_new(account, "off", mode_json(other_mode(mode)));
	json_object_del(account, "grace");
	reply_mode(edit, account);
	return 0;
}

/* Showing */

static json_t *
switch_shown(const json_t *under_way)
{
	return json_pack("{s:s, s:o, s:I}", "to", json_text(under_way, "to"), "since",
		json_from_time(time_of(under_way, "since_us")), "grace_days",
		(json_int_t)(time_of(under_way, "grace_us") / DAY_US));
}

static json_t *
grace_shown(const json_t *grace, enum access_mode of)
{
	return json_pack("{s:s, s:o, s:b}", "mode", access_mode_text(of), "until",
		json_from_time(time_of(grace, "until_us")), "extended",
		json_is_true(json_object_get(grace, "extended")));
}

void
account_mode_show(json_t *shown, const struct directory *directory, const json_t *account)
{
	const json_t *under_way = json_object_get(account, "switch");
	const json_t *grace = json_object_get(account, "grace");
	enum access_mode mode = access_mode_read(json_text(account, "mode"));

	if (mode == ACCESS_NONE)
		mode = account_mode(directory, json_text(account, "id"));
	json_object_set_new(shown, "mode", mode_json(mode));
	if (under_way)
		json_object_set_new(shown, "switch", switch_shown(under_way));
	if (grace)
		json_object_set_new(shown, "grace", grace_shown(grace, other_mode(mode)));
	if (json_object_get(account, "off"))
		json_object_set(shown, "off", json_object_get(account, "off"));
}

/* What happens by itself */

uint64_t
account_switch_since(const json_t *account)
{
	return time_of(json_object_get(account, "switch"), "since_us");
}

/* The newest use of a mode; 0: there is none. */
static uint64_t
newest_use(const json_t *times, enum access_mode mode)
{
	const char *kind = mode == ACCESS_IP ? "ip/" : "user/", *name;
	uint64_t newest = 0;
	json_t *value;

	json_object_foreach((json_t *)times, name, value)
	{
		const json_int_t us = json_integer_value(value);

		if (strncmp(name, kind, strlen(kind)) == 0 && us > 0 && (uint64_t)us > newest)
			newest = (uint64_t)us;
	}
	return newest;
}

bool
account_mode_seen(struct edit *edit, const char *id, const json_t *times, uint64_t now_us)
{
	const json_t *entry = directory_get(edit->directory, "account", id);
	const json_t *under_way = json_object_get(entry, "switch");
	const enum access_mode to = access_mode_read(json_text(under_way, "to"));
	const json_int_t length = json_integer_value(json_object_get(under_way, "grace_us"));
	json_t *account;

	if (!under_way || newest_use(times, to) <= account_switch_since(entry))
		return false;
	account = edit_account(edit, id);
	if (!account)
		return false;
	json_object_set_new(account, "mode", mode_json(to));
	json_object_set_new(account, "grace",
		json_pack("{s:I, s:I, s:b}", "until_us", (json_int_t)now_us + length, "length_us",
			length, "extended", 0));
	json_object_del(account, "switch");
	return true;
}

bool
account_grace_is_ending(const json_t *account, uint64_t now_us)
{
	const json_t *grace = json_object_get(account, "grace");
	const uint64_t until = time_of(grace, "until_us"), notice = GRACE_NOTICE_DAYS * DAY_US;

	return grace && !json_is_true(json_object_get(grace, "told")) &&
		!account_is_deleted(account) && time_of(grace, "length_us") > notice &&
		until > now_us && until <= now_us + notice;
}

bool
account_grace_notice(struct edit *edit, const char *id, const json_t *times, uint64_t now_us)
{
	const enum access_mode old = other_mode(account_mode(edit->directory, id));
	uint64_t used, begun;
	json_t *grace;

	if (!account_grace_is_ending(directory_get(edit->directory, "account", id), now_us))
		return false;
	grace = json_object_get(edit_account(edit, id), "grace");
	used = newest_use(times, old);
	begun = time_of(grace, "until_us") -
		(json_is_true(json_object_get(grace, "extended")) ? 2 : 1) *
			time_of(grace, "length_us");
	json_object_set_new(grace, "told", json_true());
	if (used > begun)
		json_object_set_new(grace, "used_us", json_integer((json_int_t)used));
	return true;
}

bool
account_grace_is_over(const json_t *account, uint64_t now_us)
{
	const json_t *grace = json_object_get(account, "grace");

	return grace && !account_is_deleted(account) && time_of(grace, "until_us") <= now_us;
}

/* From a file */

static int
check_switch(struct fault *fault, const json_t *under_way)
{
	static const struct field known[] = {
		{ "to", FIELD_TEXT },
		{ "since_us", FIELD_NUMBER },
		{ "grace_us", FIELD_NUMBER },
		{ "off", FIELD_TEXT },
		{ 0 },
	};
	const char *off = json_text(under_way, "off");

	if (fields_check(fault, under_way, known, "switch") < 0)
		return -1;
	if (!access_mode_read(json_text(under_way, "to")) || (off && !access_mode_read(off)))
		return fault_set(fault, 400, "switch.to", "one of: credentials, ip");
	if (!time_of(under_way, "since_us") ||
		time_of(under_way, "grace_us") > GRACE_DAYS_MAX * DAY_US)
		return fault_set(fault, 400, "switch.since_us", "a time in microseconds");
	return 0;
}

static int
check_grace(struct fault *fault, const json_t *grace)
{
	static const struct field known[] = {
		{ "until_us", FIELD_NUMBER },
		{ "length_us", FIELD_NUMBER },
		{ "extended", FIELD_SWITCH },
		{ "told", FIELD_SWITCH },
		{ "used_us", FIELD_NUMBER },
		{ 0 },
	};

	if (fields_check(fault, grace, known, "grace") < 0)
		return -1;
	if (!time_of(grace, "until_us") || time_of(grace, "length_us") > GRACE_DAYS_MAX * DAY_US)
		return fault_set(fault, 400, "grace.until_us", "a time in microseconds");
	return 0;
}

int
account_mode_check(struct fault *fault, const json_t *account)
{
	const char *mode = json_text(account, "mode"), *off = json_text(account, "off");
	const json_t *under_way = json_object_get(account, "switch");
	const json_t *grace = json_object_get(account, "grace");

	if (mode && !access_mode_read(mode))
		return fault_set(fault, 400, "mode", "one of: credentials, ip");
	if (off && (!access_mode_read(off) || !mode || strcmp(off, mode) == 0))
		return fault_set(fault, 400, "off", "the mode that is not in force");
	if ((under_way || grace) && (!mode || off || (under_way && grace)))
		return fault_set(fault, 400, under_way ? "switch" : "grace",
			"with a mode, and without the other and off");
	if (under_way && check_switch(fault, under_way) < 0)
		return -1;
	return grace ? check_grace(fault, grace) : 0;
}
