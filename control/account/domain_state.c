/*
 * domain_state.c - whether an account has proved that a domain is its own.
 *
 * domain_watch (daily), api_domain (asked for) -> [domain_state] -> relay.config -> Redis
 *
 *   unverified   no record was seen yet: the domain may not send
 *   verified     the record was seen ("proof": "dns"), or an operator vouches for the domain
 *   lost         the record was missing in DOMAIN_MISSED_MAX daily checks. The domain may send for
 *                DOMAIN_GRACE_DAYS more, until "verified" becomes false; the record, seen again,
 *                makes it verified
 *
 * Only an answer of the DNS that has no such record counts as missing.
 */
#include "control/account/domain_state.h"

#include <string.h>

#include "control/account/accounts_private.h"
#include "shared/base/json_text.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define APART_US (DAY_US - DAY_US / 6) /* daily checks are 20 hours apart, or more */

static uint64_t
time_of(const json_t *domain, const char *field)
{
	const json_int_t us = json_integer_value(json_object_get(domain, field));

	return us > 0 ? (uint64_t)us : 0;
}

json_t *
domain_in_account(const json_t *account, const char *name)
{
	json_t *domain;
	size_t i;

	json_array_foreach(json_object_get(account, "domains"), i, domain)
	{
		if (strcmp(json_text(domain, "name"), name) == 0)
			return domain;
	}
	return NULL;
}

static bool
is_verified(const json_t *domain)
{
	return json_is_true(json_object_get(domain, "verified"));
}

const char *
domain_state(const json_t *domain)
{
	if (time_of(domain, "lost_us"))
		return "lost";
	return is_verified(domain) ? "verified" : "unverified";
}

bool
domain_is_vouched(const json_t *domain)
{
	return is_verified(domain) && !json_object_get(domain, "proof");
}

uint64_t
domain_refused_us(const json_t *domain)
{
	const uint64_t lost = time_of(domain, "lost_us");

	return lost ? lost + DOMAIN_GRACE_DAYS * DAY_US : 0;
}

static void
forget(json_t *domain)
{
	static const char *const fields[] = { "missed", "missed_us", "lost_us" };

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_del(domain, fields[i]);
}

void
domain_vouch(json_t *domain, bool verified)
{
	forget(domain);
	json_object_del(domain, "proof");
	json_object_set_new(domain, "verified", json_boolean(verified));
}

static void
prove(struct edit *edit, json_t *account, json_t *domain)
{
	forget(domain);
	json_object_set_new(domain, "proof", json_string("dns"));
	json_object_set_new(domain, "verified", json_true());
	account_begin(edit, account);
}

static void
miss(json_t *domain, uint64_t now_us)
{
	const json_int_t missed = json_integer_value(json_object_get(domain, "missed")) + 1;

	if (missed <= DOMAIN_MISSED_MAX) {
		json_object_set_new(domain, "missed", json_integer(missed));
		json_object_set_new(domain, "missed_us", json_integer((json_int_t)now_us));
	}
	if (missed == DOMAIN_MISSED_MAX)
		json_object_set_new(domain, "lost_us", json_integer((json_int_t)now_us));
	else if (missed > DOMAIN_MISSED_MAX)
		json_object_set_new(domain, "verified", json_false());
}

/* Whether a missing record means something new. */
static bool
miss_counts(const json_t *domain, uint64_t now_us)
{
	if (!is_verified(domain) || domain_is_vouched(domain))
		return false;
	if (time_of(domain, "lost_us"))
		return domain_refused_us(domain) <= now_us;
	return time_of(domain, "missed_us") + APART_US <= now_us;
}

static bool
changes(const json_t *domain, enum domain_seen seen, uint64_t now_us)
{
	switch (seen) {
	case DOMAIN_UNSURE: return false;
	case DOMAIN_SEEN: return !is_verified(domain) || time_of(domain, "missed_us");
	case DOMAIN_NOT_SEEN: return miss_counts(domain, now_us);
	}
	return false;
}

bool
account_domain_seen(
	struct edit *edit, const char *id, const char *name, enum domain_seen seen, uint64_t now_us)
{
	const json_t *entry = directory_get(edit->directory, "account", id);
	const json_t *before = domain_in_account(entry, name);
	json_t *account, *domain;

	edit->changes = json_object();
	edit->reply = json_pack("{s:s, s:s}", "account", id, "domain", name);
	if (!before || account_is_deleted(entry) || !changes(before, seen, now_us))
		return false;
	account = edit_entry(edit, "account", id);
	domain = domain_in_account(account, name);
	if (seen == DOMAIN_SEEN)
		prove(edit, account, domain);
	else
		miss(domain, now_us);
	json_object_set_new(edit->reply, "state", json_string(domain_state(domain)));
	return true;
}

int
domain_state_check(struct fault *fault, const json_t *domain)
{
	static const char *const times[] = { "missed_us", "lost_us" };
	const json_t *proof = json_object_get(domain, "proof");
	const json_t *missed = json_object_get(domain, "missed");

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (json_object_get(domain, times[i]) && !time_of(domain, times[i]))
			return fault_set(fault, 400, times[i], "a time in microseconds");
	if (proof && strcmp(json_string_value(proof), "dns") != 0)
		return fault_set(fault, 400, "proof", "dns, or nothing");
	if (missed &&
		(json_integer_value(missed) < 1 || json_integer_value(missed) > DOMAIN_MISSED_MAX))
		return fault_set(fault, 400, "missed", "a number from 1 to %d", DOMAIN_MISSED_MAX);
	return 0;
}
