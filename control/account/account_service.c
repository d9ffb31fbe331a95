/*
 * account_service.c - what the service gives an account: a name of this relay to connect to, and
 * mailboxes within its plan.
 *
 * api -> accounts -> [account_service] -> plan
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/account/accounts.h"
#include "control/account/accounts_private.h"
#include "control/config/plan.h"
#include "control/look/json_from.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"

#define RESELLER_MAX 100000 /* accounts of one owner */

/* Hosts */

static bool
is_host(const struct config *config, const char *host)
{
	for (unsigned i = 0; host && i < config->service.hosts_count; i++)
		if (strcasecmp(config->service.hosts[i], host) == 0)
			return true;
	return false;
}

/* How many accounts each host has, in the order of service.hosts. */
static void
count_hosts(const struct edit *edit, unsigned *counts)
{
	const struct config *config = edit->config;
	const char *key;
	json_t *entry;

	json_object_foreach(directory_entries(edit->directory), key, entry)
	{
		const char *host = json_text(entry, "host");

		if (strncmp(key, "account/", 8) != 0 || !host || account_is_deleted(entry))
			continue;
		for (unsigned i = 0; i < config->service.hosts_count; i++)
			counts[i] += strcasecmp(config->service.hosts[i], host) == 0;
	}
}

void
host_assign(const struct edit *edit, json_t *account)
{
	const unsigned count = edit->config->service.hosts_count;
	unsigned *counts, least = 0;

	if (!count)
		return;
	counts = xcalloc(count, sizeof *counts);
	count_hosts(edit, counts);
	for (unsigned i = 1; i < count; i++)
		if (counts[i] < counts[least])
			least = i;
	json_object_set_new(account, "host", json_string(edit->config->service.hosts[least]));
	free(counts);
}

void
host_keep(const struct edit *edit, json_t *account)
{
	const json_t *have = directory_get(edit->directory, "account", json_text(account, "id"));
	json_t *host = json_object_get(have, "host");

	if (!edit->config->service.hosts_count || is_host(edit->config, json_text(account, "host")))
		return;
	if (is_host(edit->config, json_string_value(host)))
		json_object_set(account, "host", host);
	else
		host_assign(edit, account);
}

/* "a, b, c" */
static void
list_hosts(const struct config *config, char *out, size_t size)
{
	size_t at = 0;

	*out = '\0';
	for (unsigned i = 0; i < config->service.hosts_count && at < size; i++)
		at += (size_t)snprintf(
			out + at, size - at, "%s%s", i ? ", " : "", config->service.hosts[i]);
}

int
host_move(struct edit *edit, json_t *account, const json_t *body)
{
	const char *host = json_text(body, "host"), *before = json_text(account, "host");
	const uint64_t until_us = clock_us() + HOST_OVERLAP_US;
	char list[200];

	if (!host || (before && strcasecmp(host, before) == 0))
		return 0;
	list_hosts(edit->config, list, sizeof list);
	if (!is_host(edit->config, host))
		return fault_set(&edit->fault, 404, "host", "one of service.hosts: %s",
			*list ? list : "there is none");
	if (before) {
		json_object_set_new(account, "host_before", json_string(before));
		json_object_set_new(
			account, "host_before_until_us", json_integer((json_int_t)until_us));
	}
	return json_object_set(account, "host", json_object_get(body, "host"));
}

/* Resellers */

/* One level: whoever owns accounts is owned by none. */
static int
set_owner(struct edit *edit, json_t *account, const char *owner)
{
	const json_t *reseller = directory_get(edit->directory, "account", owner);

	if (strcmp(owner, "none") == 0) {
		json_object_del(account, "owner");
		return 0;
	}
	if (!reseller || account_is_deleted(reseller))
		return fault_set(
			&edit->fault, 404, "owner", "there is no account \"%.40s\"", owner);
	if (json_integer_value(json_object_get(reseller, "reseller")) <= 0)
		return fault_set(&edit->fault, 409, "owner", "account %.40s is no reseller", owner);
	return json_object_set_new(account, "owner", json_string(owner));
}

int
take_owner(struct edit *edit, json_t *account, const json_t *body)
{
	const char *owner = json_text(body, "owner");
	json_t *reseller = json_object_get(body, "reseller");
	const json_int_t count = json_integer_value(reseller);

	if (owner && set_owner(edit, account, owner) < 0)
		return -1;
	if (reseller && (count < 0 || count > RESELLER_MAX))
		return fault_set(
			&edit->fault, 400, "reseller", "a number from 0 to %d", RESELLER_MAX);
	if (reseller && count)
		json_object_set(account, "reseller", reseller);
	else if (reseller)
		json_object_del(account, "reseller");
	if (json_object_get(account, "owner") && json_object_get(account, "reseller"))
		return fault_set(&edit->fault, 409, owner ? "owner" : "reseller",
			"an account that is owned owns none");
	return 0;
}

/* Plans */

int
plan_known(struct edit *edit, const json_t *body)
{
	const char *plan = json_text(body, "plan");

	if (!plan || strcmp(plan, "none") == 0 || plan_find(edit->config, plan))
		return 0;
	return fault_set(&edit->fault, 404, "plan", "service.plans has no plan \"%.40s\"", plan);
}

int
plan_fits(struct edit *edit, const json_t *account)
{
	const struct plan_config *plan = plan_find(edit->config, json_text(account, "plan"));
	const json_int_t have = plan_mailboxes(account);

	if (!plan ||
		(have >= plan->mailboxes_min &&
			(!plan->mailboxes_max || have <= plan->mailboxes_max)))
		return 0;
	if (!plan->mailboxes_max)
		return fault_set(&edit->fault, 409, "mailboxes",
			"%lld in all: plan %s begins at %u", (long long)have, plan->name,
			plan->mailboxes_min);
	return fault_set(&edit->fault, 409, "mailboxes", "%lld in all: plan %s has %u to %u",
		(long long)have, plan->name, plan->mailboxes_min, plan->mailboxes_max);
}

json_t *
limits_in_force(const struct config *config, const json_t *account)
{
	const struct account_limits defaults = account_limits_default(config);
	const struct {
		const char *name;
		uint64_t number;
	} rows[] = {
		{ "messages_hour", defaults.messages_hour },
		{ "messages_day", defaults.messages_day },
		{ "recipients_hour", defaults.recipients_hour },
		{ "recipients_day", defaults.recipients_day },
	};
	json_t *own = plan_limits(config, account), *shown = json_object();

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *limit = json_object_get(own, rows[i].name);

		json_object_set_new(shown, rows[i].name,
			limit ? json_incref(limit) : json_integer((json_int_t)rows[i].number));
	}
	json_decref(own);
	return shown;
}

void
show_service(json_t *shown, const json_t *account)
{
	const json_t *until = json_object_get(account, "host_before_until_us");

	json_object_set_new(shown, "mailboxes", json_integer(plan_mailboxes(account)));
	if (!json_object_get(account, "language"))
		json_object_set_new(shown, "language", json_string("both"));
	json_object_del(shown, "host_before_until_us");
	if ((uint64_t)json_integer_value(until) > clock_us())
		json_object_set_new(shown, "host_before_until",
			json_from_time((uint64_t)json_integer_value(until)));
	else
		json_object_del(shown, "host_before");
}
