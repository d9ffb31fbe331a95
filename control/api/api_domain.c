/*
 * api_domain.c - the API's look at an account's domain in the DNS.
 *
 * api -> [api_domain] -> domain_check -> reply
 */
#include <errno.h>
#include <string.h>

#include "control/domain/domain_check.h"
#include "control/http/api_private.h"
#include "shared/account/owner.h"

static void
on_checked(void *arg, json_t *report)
{
	struct exchange *x = arg;

	json_object_set_new(report, "account", json_string(x->parameters[0]));
	reply_json(x, 200, report);
}

/* The domain in the account; NULL: the account does not have it. */
static const json_t *
domain_in(const json_t *account, const char *name)
{
	json_t *domain;
	size_t i;

	json_array_foreach(json_object_get(account, "domains"), i, domain)
	{
		if (strcmp(json_string_value(json_object_get(domain, "name")), name) == 0)
			return domain;
	}
	return NULL;
}

/* The owner's secret, or of an older owner its id, as for owner_secret(). */
static const char *
secret_of(const struct directory *directory)
{
	const json_t *owner = directory_entry(directory, OWNER_KEY);
	const char *secret = json_string_value(json_object_get(owner, "secret"));

	return secret ? secret : json_string_value(json_object_get(owner, "id"));
}

static void
check(struct exchange *x, const struct domain_asked *asked)
{
	const int err = domain_check(x->api->checks, asked, on_checked, x);

	if (err)
		reply_error(x, 429, "", "%d checks %s are under way: try again in a moment",
			err == -EAGAIN ? DOMAIN_CHECKS_ACCOUNT_MAX : DOMAIN_CHECKS_MAX,
			err == -EAGAIN ? "of this account" : "of domains");
}

void
api_domain_check(struct exchange *x)
{
	const struct directory *directory = x->api->directory;
	const json_t *account = directory_get(directory, "account", x->parameters[0]);
	struct domain_asked asked = { .account = x->parameters[0] };
	const json_t *domain;
	char name[256];

	if (!account) {
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
		return;
	}
	domain = canonical_domain(x->parameters[1], name) < 0 ? NULL : domain_in(account, name);
	asked.domain = name;
	asked.secret = secret_of(directory);
	asked.verified = json_is_true(json_object_get(domain, "verified"));
	if (!domain)
		reply_error(x, 404, "domain", "account %s has no domain \"%.100s\"", asked.account,
			x->parameters[1]);
	else if (!asked.secret)
		reply_error(x, 503, "", "the accounts have no owner yet: try again in a moment");
	else
		check(x, &asked);
}
