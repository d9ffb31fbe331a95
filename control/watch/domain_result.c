/*
 * domain_result.c - from a report of the DNS to the state of an account's domain.
 *
 * api_domain, domain_watch -> [domain_result] -> domain_state
 */
#include "control/watch/domain_result.h"

#include <string.h>

#include "control/account/domain_state.h"
#include "control/look/json_from.h"
#include "shared/account/owner.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* The owner's secret, or of an older owner its id, as for owner_secret(). */
static const char *
secret_of(const struct directory *directory)
{
	const json_t *owner = directory_entry(directory, OWNER_KEY);
	const char *secret = json_text(owner, "secret");

	return secret ? secret : json_text(owner, "id");
}

/* The keys that sign the mail of the account's domain, or NULL. */
static const json_t *
signing_keys(const struct directory *directory, const char *account, const char *domain)
{
	const json_t *entry = directory_get(directory, "dkim", domain);
	const char *of = json_text(entry, "account");

	return of && strcmp(of, account) == 0 && json_is_true(json_object_get(entry, "enabled"))
		? entry
		: NULL;
}

bool
domain_asked_of(const struct directory *directory, const char *account, const json_t *domain,
	struct domain_asked *out)
{
	*out = (struct domain_asked){ .account = account,
		.domain = json_text(domain, "name"),
		.secret = secret_of(directory),
		.dkim = signing_keys(directory, account, json_text(domain, "name")),
		.verified = domain_is_vouched(domain) };
	return out->secret != NULL;
}

void
domain_result_show(json_t *report, const json_t *domain)
{
	const json_t *mailboxes = json_object_get(domain, "mailboxes");
	const uint64_t refused = domain_refused_us(domain);

	json_object_set_new(report, "state", json_string(domain_state(domain)));
	json_object_set(report, "verified", json_object_get(domain, "verified"));
	json_object_set_new(report, "mailboxes", json_integer(json_integer_value(mailboxes)));
	if (refused)
		json_object_set_new(report, "refused_from", json_from_time(refused));
}

static const char *
state_of(const json_t *report, const char *check)
{
	const char *state = json_text(
		json_object_get(json_object_get(report, "checks"), check), "state");

	return state ? state : "unknown";
}

/* An operator's word needs no record. */
static enum domain_seen
seen_of(const json_t *report)
{
	const char *state = state_of(report, "ownership");

	return strcmp(state, "ok") == 0         ? DOMAIN_SEEN
		: strcmp(state, "missing") == 0 ? DOMAIN_NOT_SEEN
						: DOMAIN_UNSURE;
}

bool
domain_result_take(struct edit *edit, const char *account, json_t *report, uint64_t now_us)
{
	static const char *const told[] = { "status", "began" };
	const char *name = json_text(report, "name");
	const bool changed = account_domain_seen(edit, account, name, seen_of(report), now_us);
	const json_t *entry = directory_get(edit->directory, "account", account), *domain;
	char *key = xasprintf("account/%s", account);

	if (changed)
		entry = json_object_get(edit->changes, key);
	free(key);
	domain = domain_in_account(entry, name);
	if (domain)
		domain_result_show(report, domain);
	for (size_t i = 0; i < sizeof told / sizeof *told; i++)
		if (json_object_get(edit->reply, told[i]))
			json_object_set(report, told[i], json_object_get(edit->reply, told[i]));
	return changed;
}

static bool
is_broken(const char *state)
{
	static const char *const broken[] = { "missing", "two-records", "too-many-lookups",
		"syntax" };

	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		if (strcmp(state, broken[i]) == 0)
			return true;
	return false;
}

char *
domain_result_trouble(const json_t *report)
{
	const char *ownership = state_of(report, "ownership"), *spf = state_of(report, "spf");
	const char *dkim = state_of(report, "dkim");
	const bool refused = json_is_false(json_object_get(report, "verified"));

	if (!is_broken(ownership) && !is_broken(spf) && !is_broken(dkim))
		return NULL;
	return xasprintf("%s%s _shout %s, SPF %s, DKIM %s", json_text(report, "state"),
		refused ? " refused" : "", ownership, spf, dkim);
}
