/*
 * print_check.c - prints what the DNS says of a domain.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

static void
print_record(const json_t *record)
{
	char *name = xasprintf("%s (%s)", text_of(record, "name"), text_of(record, "short"));

	print_field("  Record", text_of(record, "type"));
	print_field("    name", name);
	print_field("    value", text_of(record, "value"));
	free(name);
}

static void
print_row(const char *head, const json_t *row)
{
	const char *policy = text_of(row, "policy");
	char *state = xasprintf("%s%s%s%s%s", text_of(row, "state"), *policy ? ": " : "", policy,
		*policy ? ", by " : "", text_of(row, "of"));
	const json_t *record = json_object_get(row, "record");
	json_t *found;
	size_t i;

	print_field(head, state);
	free(state);
	print_field("  Problem", text_of(row, "problem"));
	json_array_foreach(json_object_get(row, "found"), i, found)
		print_field("  Found", json_string_value(found));
	if (json_is_object(record) && strcmp(text_of(row, "state"), "ok") != 0)
		print_record(record);
}

static void
print_dns(const json_t *dns)
{
	char *hosts = joined(json_object_get(dns, "hosts"), NULL);
	const char *name = text_of(dns, "name");
	char *text = xasprintf("%s%s%s%s%s", name, *name ? ", " : "", text_of(dns, "url"),
		*name ? ": " : "", hosts);

	print_field("DNS", text);
	free(text);
	free(hosts);
}

void
print_check(const json_t *report)
{
	const json_t *checks = json_object_get(report, "checks");
	char *text = xasprintf("%s: %s", text_of(report, "name"),
		json_is_true(json_object_get(report, "ready")) ? "ready" : "not ready");

	print_field("Domain", text);
	free(text);
	print_row("Ownership", json_object_get(checks, "ownership"));
	print_row("SPF", json_object_get(checks, "spf"));
	if (json_object_get(checks, "dkim"))
		print_row("DKIM", json_object_get(checks, "dkim"));
	print_row("DMARC", json_object_get(checks, "dmarc"));
	print_row("Zone", json_object_get(checks, "soa"));
	print_dns(json_object_get(report, "dns"));
}

/* "ok", or the name of each row that is not good. */
static char *
missing_of(const json_t *domain)
{
	static const char *const names[] = { "ownership", "spf", "dkim", "soa" };
	json_t *list = json_array();
	char *text;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const json_t *checks = json_object_get(domain, "checks");
		const char *state = text_of(json_object_get(checks, names[i]), "state");

		if (*state && strcmp(state, "ok") != 0 && strcmp(state, "operator") != 0 &&
			strcmp(state, "by-other-means") != 0)
			json_array_append_new(list, json_sprintf("%s %s", names[i], state));
	}
	text = joined(list, NULL);
	json_decref(list);
	return text;
}

void
print_domain_states(const json_t *reply)
{
	static const char *const heads[] = { "DOMAIN", "STATE", "READY", "MAILBOXES", "LOOKED AT",
		"MISSING" };
	json_t *rows = json_array(), *domain, *domains = json_object_get(reply, "domains");
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		const json_t *mailboxes = json_object_get(domain, "mailboxes");
		char *at = time_of(domain, "at"), *missing = missing_of(domain);

		json_array_append_new(rows,
			json_pack("[s, s, s, o, s, s]", text_of(domain, "name"),
				text_of(domain, "state"),
				json_is_true(json_object_get(domain, "ready")) ? "yes" : "no",
				json_sprintf(
					"%" JSON_INTEGER_FORMAT, json_integer_value(mailboxes)),
				at, missing));
		free(at);
		free(missing);
	}
	print_table(heads, 6, rows);
	print_count(reply, json_array_size(domains), "domains");
	print_next(reply);
	json_decref(rows);
}
