/*
 * api_domain.c - the API's look at an account's domains: in the DNS, now; and what the last looks
 * saw.
 *
 * api -> [api_domain] -> domain_check -> domain_result -> commit -> reply
 *                    \-> domain_reports -> reply
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/domain_state.h"
#include "control/domain/domain_check.h"
#include "control/http/api_private.h"
#include "control/watch/domain_reports.h"
#include "control/watch/domain_result.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

/* A check */

static void
on_checked(void *arg, json_t *report)
{
	struct exchange *x = arg;
	struct edit edit = edit_of(x);
	bool changed;

	json_object_set_new(report, "account", json_string(x->parameters[0]));
	changed = domain_result_take(&edit, x->parameters[0], report, clock_us());
	json_decref(edit.reply);
	domain_report_keep(x->api->redis, x->parameters[0], report);
	if (changed && !applier_doubt(x->api->applier)) {
		commit_start(x, "domain.check", 200, edit.changes, report);
		return;
	}
	json_decref(edit.changes);
	reply_json(x, 200, report);
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

/* NULL after a reply. */
static const json_t *
account_of(struct exchange *x)
{
	const json_t *account = directory_get(x->api->directory, "account", x->parameters[0]);

	if (!account)
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	return account;
}

void
api_domain_check(struct exchange *x)
{
	const json_t *account = account_of(x), *domain;
	struct domain_asked asked;
	char name[256];

	if (!account)
		return;
	domain = canonical_domain(x->parameters[1], name) < 0 ? NULL
							      : domain_in_account(account, name);
	if (!domain)
		reply_error(x, 404, "domain", "account %s has no domain \"%.100s\"",
			x->parameters[0], x->parameters[1]);
	else if (!domain_asked_of(x->api->directory, x->parameters[0], domain, &asked))
		reply_error(x, 503, "", "the accounts have no owner yet: try again in a moment");
	else
		check(x, &asked);
}

/* The list */

struct listing {
	struct exchange *exchange;
	json_t *names, *next;
	size_t total;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(
		json_text(*(json_t *const *)a, "name"), json_text(*(json_t *const *)b, "name"));
}

/* The record that proves the domain, for one that was never looked at. */
static json_t *
record_of(const struct directory *directory, const char *account, const json_t *domain)
{
	char token[DOMAIN_TOKEN_SIZE];
	struct domain_asked asked;

	if (!domain_asked_of(directory, account, domain, &asked))
		return json_null();
	domain_token(&asked, token);
	return json_pack("{s:s, s:o, s:o}", "type", "TXT", "name",
		json_sprintf("_shout.%s", asked.domain), "value", json_sprintf("shout=%s", token));
}

/* A domain as relay.config and the last report have it. */
static json_t *
domain_shown(struct exchange *x, const json_t *domain, const json_t *report)
{
	static const char *const seen[] = { "at", "checks", "dns" };
	json_t *shown = json_pack("{s:O}", "name", json_object_get(domain, "name"));

	domain_result_show(shown, domain);
	json_object_set_new(
		shown, "record", record_of(x->api->directory, x->parameters[0], domain));
	json_object_set_new(shown, "ready",
		json_boolean(json_is_true(json_object_get(domain, "verified")) &&
			json_is_true(json_object_get(report, "ready"))));
	for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
		json_t *value = json_object_get(report, seen[i]);

		json_object_set_new(shown, seen[i], value ? json_incref(value) : json_null());
	}
	return shown;
}

static void
on_reports(void *arg, json_t *reports)
{
	struct listing listing = *(struct listing *)arg;
	struct exchange *x = listing.exchange;
	const json_t *account = directory_get(x->api->directory, "account", x->parameters[0]);
	json_t *list = json_array(), *name;
	size_t i;

	free(arg);
	json_array_foreach(listing.names, i, name)
	{
		const json_t *domain = domain_in_account(account, json_string_value(name));

		if (domain) /* it may have gone meanwhile */
			json_array_append_new(
				list, domain_shown(x, domain, json_array_get(reports, i)));
	}
	json_decref(reports);
	json_decref(listing.names);
	reply_json(x, 200,
		json_pack("{s:o, s:o, s:I}", "domains", list, "next", listing.next, "total",
			(json_int_t)listing.total));
}

void
api_domains_list(struct exchange *x)
{
	const json_t *account = account_of(x), *domains;
	struct listing *listing;
	const json_t **sorted;
	struct page page;
	size_t i;

	if (!account || !page_take(x, "domains", &page))
		return;
	domains = json_object_get(account, "domains");
	listing = xmalloc(sizeof *listing);
	*listing = (struct listing){ x, json_array(), NULL, json_array_size(domains) };
	sorted = xcalloc(listing->total + 1, sizeof *sorted);
	for (i = 0; i < listing->total; i++)
		sorted[i] = json_array_get(domains, i);
	qsort(sorted, listing->total, sizeof *sorted, by_name);
	for (i = 0; i < listing->total && json_array_size(listing->names) < page.limit; i++)
		if (!page.after || strcmp(json_text(sorted[i], "name"), page.after) > 0)
			json_array_append(listing->names, json_object_get(sorted[i], "name"));
	listing->next = page_next(x, "domains",
		i < listing->total && i > 0 ? json_text(sorted[i - 1], "name") : NULL);
	free(sorted);
	domain_reports_read(x->api->redis, x->parameters[0], listing->names, on_reports, listing);
}
