/*
 * account_domain.c - which domains an account has: added by an operator or by the account itself,
 * changed, removed.
 *
 * api -> accounts -> [account_domain] -> domain_state
 *
 * A domain belongs to one account, verified or not.
 */
#include <stdio.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "control/account/domain_state.h"
#include "shared/base/json_text.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

/* The domain in the account's list, added if it is missing. */
static json_t *
domain_of(json_t *account, const char *name)
{
	json_t *domain = domain_in_account(account, name);

	if (domain)
		return domain;
	domain = json_pack("{s:s, s:b}", "name", name, "verified", 0);
	json_array_append_new(json_object_get(account, "domains"), domain);
	return domain;
}

/* A domain in UTF-8 without A-labels can belong to nobody. */
int
canonical_domain(const char *text, char out[256])
{
	const size_t length = text ? strlen(text) : 0;

	return length <= 253 && address_domain_valid(text, length) &&
			address_domain_canonical(text, length, out) &&
			text_is_ascii(out, strlen(out)) && address_domain_valid(out, strlen(out))
		? 0
		: -1;
}

static size_t
count_unverified(const json_t *account)
{
	size_t count = 0, i;
	json_t *domain;

	json_array_foreach(json_object_get(account, "domains"), i, domain)
		count += !json_is_true(json_object_get(domain, "verified"));
	return count;
}

/* Whether the account itself may add or change the domain: it proves a domain by the DNS alone. */
static int
may_add(struct edit *edit, const json_t *account, const json_t *item, const char *name)
{
	if (json_object_get(item, "verified"))
		return fault_set(&edit->fault, 403, "verified",
			"a domain is verified by its TXT record, which a check looks for");
	if (!strchr(name, '.'))
		return fault_set(&edit->fault, 400, "name", "a domain like acme.example is needed");
	if (!domain_in_account(account, name) &&
		count_unverified(account) >= DOMAINS_UNVERIFIED_MAX)
		return fault_set(&edit->fault, 409, "name",
			"%d domains are not verified yet: verify or remove some first",
			DOMAINS_UNVERIFIED_MAX);
	return 0;
}

/* `item`: "d.example" or {"name","mailboxes","verified"}; `in` where it stands, NULL: it is the
 * body. */
static int
add_domain(struct edit *edit, json_t *account, const json_t *item, bool verified, const char *in)
{
	static const struct field known[] = {
		{ "name", FIELD_TEXT },
		{ "mailboxes", FIELD_NUMBER },
		{ "verified", FIELD_SWITCH },
		{ 0 },
	};
	const char *id = json_text(account, "id"), *owner;
	const char *field = in ? in : "name";
	json_t *mailboxes = json_object_get(item, "mailboxes"), *domain;
	char name[256];

	if (!json_is_string(item) && fields_check(&edit->fault, item, known, in) < 0)
		return -1;
	if (canonical_domain(
		    json_string_value(json_is_object(item) ? json_object_get(item, "name") : item),
		    name) < 0)
		return fault_set(&edit->fault, 400, field, "a domain like acme.example is needed");
	if (json_integer_value(mailboxes) < 0 || json_integer_value(mailboxes) > MAILBOXES_MAX) {
		snprintf(name, sizeof name, "%s%smailboxes", in ? in : "", in ? "." : "");
		return fault_set(&edit->fault, 400, name, "a number from 0 to %d", MAILBOXES_MAX);
	}
	owner = directory_domain_owner(edit->directory, name);
	if (owner && strcmp(owner, id) != 0)
		return taken(edit, field, name, owner);
	if (edit->customer && may_add(edit, account, item, name) < 0)
		return -1;
	domain = domain_of(account, name);
	if (mailboxes)
		json_object_set(domain, "mailboxes", mailboxes);
	if (json_object_get(item, "verified"))
		verified = json_is_true(json_object_get(item, "verified"));
	else if (!verified)
		return 0;
	domain_vouch(domain, verified);
	if (verified)
		account_begin(edit, account);
	return 0;
}

int
edit_add_domains(struct edit *edit, json_t *account, const json_t *list, bool verified)
{
	char field[32];
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return fault_set(&edit->fault, 400, "domains", "a list of at least one domain");
	json_array_foreach(list, i, item)
	{
		snprintf(field, sizeof field, "domains[%zu]", i);
		if (add_domain(edit, account, item, verified, field) < 0)
			return -1;
	}
	return 0;
}

int
account_add_domain(struct edit *edit, const char *id, const json_t *body)
{
	json_t *account = edit_account(edit, id);

	if (!account || add_domain(edit, account, body, false, NULL) < 0)
		return -1;
	return json_object_get(body, "mailboxes") ? plan_fits(edit, account) : 0;
}

int
account_remove_domain(struct edit *edit, const char *id, const char *domain)
{
	char name[256] = "";
	json_t *account = edit_any_account(edit, id), *item;
	json_t *domains = json_object_get(account, "domains");
	size_t i;

	if (!account)
		return -1;
	address_domain_canonical(domain, strlen(domain), name);
	json_array_foreach(domains, i, item)
	{
		if (strcmp(json_text(item, "name"), name) == 0) {
			json_array_remove(domains, i);
			return 0;
		}
	}
	return fault_set(&edit->fault, 404, "domain", "the account has no \"%.200s\"", domain);
}
