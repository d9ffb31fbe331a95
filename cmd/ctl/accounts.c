/*
 * accounts.c - the commands about accounts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

static const struct {
	const char *option, *field;
} limit_options[] = {
	{ "messages-hour", "messages_hour" },
	{ "messages-day", "messages_day" },
	{ "recipients-hour", "recipients_hour" },
	{ "recipients-day", "recipients_day" },
};

json_t *
number_read(const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return end != text && !*end && !errno ? json_integer(n) : json_string(text);
}

static json_t *
domain_of(const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals)
		return json_pack("{s:s}", "name", text);
	return json_pack("{s:s%, s:o}", "name", text, (size_t)(equals - text), "mailboxes",
		number_read(equals + 1));
}

static json_t *
profile_body(const struct ctl *ctl)
{
	json_t *body = json_object(), *limits = json_object();

	ctl_set(ctl, body, "name");
	ctl_set(ctl, body, "contact");
	ctl_set(ctl, body, "language");
	ctl_set(ctl, body, "plan");
	ctl_set(ctl, body, "host");
	ctl_set(ctl, body, "owner");
	if (ctl_option(ctl, "reseller"))
		json_object_set_new(body, "reseller", number_read(ctl_option(ctl, "reseller")));
	ctl_set(ctl, body, "policy");
	if (ctl_option(ctl, "display-address"))
		json_object_set_new(
			body, "display_address", json_string(ctl_option(ctl, "display-address")));
	for (size_t i = 0; i < sizeof limit_options / sizeof *limit_options; i++) {
		const char *value = ctl_option(ctl, limit_options[i].option);

		if (value)
			json_object_set_new(limits, limit_options[i].field, number_read(value));
	}
	if (json_object_size(limits) > 0)
		json_object_set(body, "limits", limits);
	json_decref(limits);
	return body;
}

static void
print_mailboxes(const json_t *reply)
{
	const json_t *mailboxes = json_object_get(reply, "mailboxes");
	char *text = xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(mailboxes));

	print_field("Account", json_text(reply, "account"));
	print_field("Mailboxes", text);
	free(text);
}

void
print_done(const json_t *reply)
{
	static const char *const fields[][2] = {
		{ "Account", "account" },
		{ "Status", "status" },
		{ "Link", "path" },
		{ "Until", "until" },
		{ "State", "state" },
		{ "Kept until", "kept_until" },
		{ "Username", "username" },
		{ "Password", "password" },
		{ "Before works until", "grace_until" },
	};
	json_t *item;
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		print_field(fields[i][0], json_text(reply, fields[i][1]));
	print_mode(reply);
	json_array_foreach(json_object_get(reply, "addresses"), i, item)
		print_field("Address", json_string_value(item));
	json_array_foreach(json_object_get(reply, "mails"), i, item)
		print_field("Mail sent", json_string_value(item));
	json_array_foreach(json_object_get(reply, "mails_failed"), i, item)
		print_field("Mail NOT sent", json_string_value(item));
	item = json_object_get(json_object_get(reply, "rule"), "number");
	print_field("Rule", json_string_value(item));
	if (json_object_get(reply, "password"))
		printf("The password is stored nowhere: note it now.\n");
}

int
account_add(const struct ctl *ctl)
{
	json_t *body = profile_body(ctl), *domains = json_array(), *addresses = json_array();

	for (size_t i = 0; i < ctl->options_count; i++) {
		const struct ctl_option *option = &ctl->options[i];

		if (strcmp(option->name, "domain") == 0)
			json_array_append_new(domains, domain_of(option->value));
		else if (strcmp(option->name, "ip") == 0)
			json_array_append_new(addresses, json_string(option->value));
	}
	ctl_set(ctl, body, "mode");
	json_object_set_new(body, "domains", domains);
	if (json_array_size(addresses) > 0)
		json_object_set(body, "addresses", addresses);
	json_decref(addresses);
	if (ctl_has(ctl, "verified"))
		json_object_set_new(body, "verified", json_true());
	if (ctl_has(ctl, "pending"))
		json_object_set_new(body, "pending", json_true());
	return ctl_ask(ctl, "POST", xstrdup("accounts"), body, print_done);
}

int
account_list(const struct ctl *ctl)
{
	static const char *const names[] = { "deleted", "owner", NULL };

	return ctl_list(ctl, ctl_query(ctl, "accounts", names), "accounts", print_accounts);
}

char *
account_path(const struct ctl *ctl, const char *what)
{
	char *id = ctl_encode(ctl->words[0]);
	char *path = xasprintf("accounts/%s%s%s", id, what ? "/" : "", what ? what : "");

	free(id);
	return path;
}

char *
member_path(const struct ctl *ctl, const char *what, const char *name)
{
	char *encoded = ctl_encode(name), *tail = xasprintf("%s/%s", what, encoded);
	char *path = account_path(ctl, tail);

	free(encoded);
	free(tail);
	return path;
}

int
account_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", account_path(ctl, NULL), NULL, print_account);
}

/* NULL after saying why not. */
static json_t *
check_ask(const struct ctl *ctl, const char *domain)
{
	char *path = member_path(ctl, "domains", domain), *check = xasprintf("%s/check", path);
	json_t *report = ctl_request(ctl, "POST", check, NULL);

	free(path);
	free(check);
	return report;
}

/* The domains to be checked, for the caller to release; NULL after saying why not. */
static json_t *
domains_to_check(const struct ctl *ctl)
{
	const char *chosen = ctl_option(ctl, "domain");
	json_t *account, *domains;
	char *path;

	if (chosen)
		return json_pack("[{s:s}]", "name", chosen);
	path = account_path(ctl, NULL);
	account = ctl_request(ctl, "GET", path, NULL);
	free(path);
	if (!account)
		return NULL;
	domains = json_incref(json_object_get(account, "domains"));
	json_decref(account);
	return domains;
}

int
account_check(const struct ctl *ctl)
{
	json_t *domains = domains_to_check(ctl), *reports = json_array(), *domain, *report;
	bool done = domains != NULL;
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		report = check_ask(ctl, text_of(domain, "name"));
		done = report != NULL;
		if (!done)
			break;
		if (!ctl->json)
			print_check(report);
		json_array_append_new(reports, report);
	}
	reports = json_pack("{s:o}", "domains", reports);
	if (done && ctl->json)
		print_json(reports);
	json_decref(reports);
	json_decref(domains);
	return done ? CTL_OK : CTL_FAILED;
}

int
account_status(const struct ctl *ctl)
{
	return ctl_ask(ctl, "POST", account_path(ctl, ctl->verb), NULL, print_done);
}

int
account_disable(const struct ctl *ctl)
{
	json_t *body = json_object();

	ctl_set(ctl, body, "reason");
	ctl_set(ctl, body, "until");
	return ctl_ask(ctl, "POST", account_path(ctl, "disable"), body, print_done);
}

int
account_domains(const struct ctl *ctl)
{
	return ctl_list(ctl, account_path(ctl, "domains"), "domains", print_domain_states);
}

int
account_delete(const struct ctl *ctl)
{
	static const char *const names[] = { "bounce", "now", NULL };
	char *path = account_path(ctl, NULL), *uri = ctl_query(ctl, path, names);

	free(path);
	return ctl_ask(ctl, "DELETE", uri, NULL, print_done);
}

/* --grace in days, as the API takes it; NULL after saying what is wrong. */
static json_t *
grace_days(const struct ctl *ctl, const char *text)
{
	const uint64_t day_ms = UINT64_C(24) * 3600 * 1000;
	uint64_t ms = 0;

	if (config_duration(text, &ms) < 0 || ms % day_ms != 0) {
		ctl_error(ctl, "--grace takes days, like 14d");
		return NULL;
	}
	return json_integer((json_int_t)(ms / day_ms));
}

static int
mode_switch(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "mode", ctl->words[1]), *addresses = json_array(), *days;
	const char *grace = ctl_option(ctl, "grace");

	for (size_t i = 0; i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, "ip") == 0)
			json_array_append_new(addresses, json_string(ctl->options[i].value));
	if (json_array_size(addresses) > 0)
		json_object_set(body, "addresses", addresses);
	json_decref(addresses);
	days = grace ? grace_days(ctl, grace) : NULL;
	if (grace && !days) {
		json_decref(body);
		return CTL_USAGE;
	}
	if (days)
		json_object_set_new(body, "grace_days", days);
	return ctl_ask(ctl, "PUT", account_path(ctl, "mode"), body, print_done);
}

int
account_mode(const struct ctl *ctl)
{
	const unsigned wishes = ctl_has(ctl, "undo") + ctl_has(ctl, "extend") + ctl_has(ctl, "end");
	const bool details = ctl_has(ctl, "ip") || ctl_has(ctl, "grace");

	if (wishes + (ctl->words_count > 1) != 1 || (wishes && details)) {
		ctl_error(
			ctl, "account mode needs one of credentials, ip, --undo, --extend, --end");
		return CTL_USAGE;
	}
	if (ctl_has(ctl, "undo"))
		return ctl_ask(ctl, "DELETE", account_path(ctl, "mode"), NULL, print_done);
	if (ctl_has(ctl, "extend"))
		return ctl_ask(ctl, "PATCH", account_path(ctl, "mode/grace"), NULL, print_done);
	if (ctl_has(ctl, "end"))
		return ctl_ask(ctl, "DELETE", account_path(ctl, "mode/grace"), NULL, print_done);
	return mode_switch(ctl);
}

int
account_change(const struct ctl *ctl)
{
	return ctl_ask(ctl, "PATCH", account_path(ctl, NULL), profile_body(ctl), print_done);
}

int
account_mailboxes(const struct ctl *ctl)
{
	json_t *domains = json_array();

	for (size_t i = 1; i < ctl->words_count; i++)
		json_array_append_new(domains, domain_of(ctl->words[i]));
	return ctl_ask(ctl, "PUT", account_path(ctl, "mailboxes"),
		json_pack("{s:o}", "domains", domains), print_mailboxes);
}

int
account_add_domain(const struct ctl *ctl)
{
	json_t *body = domain_of(ctl_option(ctl, "domain"));

	if (ctl_has(ctl, "verified"))
		json_object_set_new(body, "verified", json_true());
	return ctl_ask(ctl, "POST", account_path(ctl, "domains"), body, print_done);
}

int
account_remove_domain(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", member_path(ctl, "domains", ctl_option(ctl, "domain")), NULL,
		print_done);
}

int
account_add_address(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "address", ctl_option(ctl, "ip"));

	if (ctl_has(ctl, "waiting"))
		json_object_set_new(body, "waiting", json_true());
	return ctl_ask(ctl, "POST", account_path(ctl, "addresses"), body, print_done);
}

int
account_prove_address(const struct ctl *ctl)
{
	char *address = member_path(ctl, "addresses", ctl_option(ctl, "ip"));
	char *path = xasprintf("%s/proof", address);

	free(address);
	return ctl_ask(ctl, "POST", path, NULL, print_done);
}

int
account_remove_address(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", member_path(ctl, "addresses", ctl_option(ctl, "ip")), NULL,
		print_done);
}
