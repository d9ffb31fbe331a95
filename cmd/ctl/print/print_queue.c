/*
 * print_queue.c - prints mail that is not delivered yet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

static const char *
or_dash(const char *text)
{
	return *text ? text : "-";
}

/* Lists */

/* "Acme (7f3k2m)" */
static char *
account_of(const json_t *row)
{
	const char *id = text_of(row, "account"), *name = text_of(row, "account_name");

	return *name ? xasprintf("%s (%s)", name, id) : xstrdup(or_dash(id));
}

/* The first recipient, and how many more there are. */
static char *
first_of(const json_t *to)
{
	const size_t count = json_array_size(to);
	const char *first = json_string_value(json_array_get(to, 0));

	return count > 1 ? xasprintf("%s and %zu more", first, count - 1)
			 : xstrdup(first ? first : "");
}

/* "host: reply", or only the host, or only the reply. */
static char *
said(const char *host, const char *reply)
{
	return xasprintf("%s%s%s", host, *host && *reply ? ": " : "", reply);
}

/* Which sender has the mail in hand; else the last reply to the mail, or to its site. */
static char *
news_of(const json_t *row)
{
	const json_t *hand = json_array_get(json_object_get(row, "in_hand"), 0);
	const json_t *site = json_object_get(row, "site_state");

	if (*text_of(row, "reason"))
		return xstrdup(text_of(row, "reason"));
	if (*text_of(hand, "host"))
		return xasprintf("%s %s", text_of(hand, "stage"), text_of(hand, "host"));
	if (json_object_get(row, "suspension"))
		return xasprintf("suspended%s%s", *text_of(row, "last_reply") ? "; " : "",
			text_of(row, "last_reply"));
	if (*text_of(row, "last_reply"))
		return said(text_of(row, "last_host"), text_of(row, "last_reply"));
	if (*text_of(site, "reply"))
		return said(text_of(site, "host"), text_of(site, "reply"));
	if (*text_of(site, "opening"))
		return xasprintf("connecting to %s", text_of(site, "opening"));
	return xstrdup("");
}

static json_t *
cells_of(const json_t *row)
{
	char *since = time_of(row, "since"), *next = time_of(row, "next_attempt");
	json_t *cells = json_pack("[s, s, s, s, s]", text_of(row, "id"), text_of(row, "state"),
		or_dash(since), number_of(row, "attempts"), or_dash(next));

	free(since);
	free(next);
	return cells;
}

static void
print_wrapped(const char *text)
{
	struct wrap wrap = { .indent = 4, .column = 4, .fresh = true };

	if (!*text)
		return;
	printf("    ");
	wrap_text(&wrap, text);
	putchar('\n');
}

/* From whom, to whom and where; below that line, why the mail waits. */
static void
print_about(const json_t *row)
{
	char *account = account_of(row), *to = first_of(json_object_get(row, "to"));
	char *news = news_of(row);
	const char *from = text_of(row, "from");
	char *text = xasprintf("%s to %s at %s, account %s", *from ? from : "<>", to,
		or_dash(text_of(row, "site")), account);

	print_wrapped(text);
	print_wrapped(news);
	free(text);
	free(news);
	free(to);
	free(account);
}

/* No sender has reported its mail in hand lately: then a state may be older than it seems. */
static void
print_unknown(const json_t *reply)
{
	if (json_is_false(json_object_get(reply, "in_hand_known")))
		printf("Redis does not answer: what is being scanned or attempted is not known.\n");
}

void
print_queue(const json_t *reply)
{
	static const char *const heads[] = { "ID", "STATE", "SINCE", "TRIES", "NEXT" };
	const json_t *numbers = json_object_get(reply, "queue");
	const json_t *shown = json_object_get(reply, "rows");
	json_t *rows = json_array(), *row;
	size_t i;

	json_array_foreach(shown, i, row) json_array_append_new(rows, cells_of(row));
	if (json_array_size(rows) > 0)
		print_rows(heads, sizeof heads / sizeof *heads, rows, shown, print_about);
	print_count(reply, json_array_size(rows), "not delivered yet");
	printf(" (queue: %s to scan, %s to send, %s waiting or held)\n",
		number_of(numbers, "inbound"), number_of(numbers, "ready"),
		number_of(numbers, "rows"));
	print_next(reply);
	print_unknown(reply);
	json_decref(rows);
}

/* One message */

static void
print_when(const char *name, const json_t *object, const char *key)
{
	char *text = time_of(object, key);

	print_field(name, text);
	free(text);
}

static void
print_suspension(const json_t *suspension)
{
	char *what = print_selector(json_object_get(suspension, "selector"));
	char *until = time_of(suspension, "until");
	char *text = xasprintf("%s%s%s%s%s", what, *until ? ", until " : "", until,
		*text_of(suspension, "reason") ? ": " : "", text_of(suspension, "reason"));

	if (suspension)
		print_field("Suspended", text);
	free(what);
	free(until);
	free(text);
}

/* "attempting at mx.a.example[192.0.2.1] since 2026-11-24 03:56:48 (relay1.example)" */
static void
print_hand(const json_t *entry)
{
	char *since = time_of(entry, "since");
	const char *host = text_of(entry, "host"), *site = text_of(entry, "site");
	char *text = xasprintf("%s%s%s%s%s (%s)", text_of(entry, "stage"),
		*host || *site ? " at " : "", *host ? host : site, *since ? " since " : "", since,
		text_of(entry, "node"));

	print_field("In hand", text);
	free(since);
	free(text);
}

static void
print_site(const json_t *state)
{
	char *text = said(text_of(state, "host"), text_of(state, "reply"));
	char *opened = time_of(state, "opened");
	char *opening = xasprintf("%s since %s", text_of(state, "opening"), opened);

	print_field("Site said", text);
	print_when("Site said at", state, "said");
	print_when("Site tried", state, "next");
	print_field("Rests for", text_of(state, "rests_for"));
	if (*text_of(state, "opening"))
		print_field("Connecting", opening);
	free(text);
	free(opened);
	free(opening);
}

static void
print_row(const json_t *row)
{
	char *to = joined(json_object_get(row, "to"), NULL), *account = account_of(row);
	const char *from = text_of(row, "from");
	json_t *entry;
	size_t i;

	print_field("Id", text_of(row, "id"));
	print_field("State", text_of(row, "state"));
	print_when("Since", row, "since");
	json_array_foreach(json_object_get(row, "in_hand"), i, entry) print_hand(entry);
	print_field("Site", text_of(row, "site"));
	print_field("Account", account);
	print_field("Credential", text_of(row, "credential"));
	print_field("From", *from ? from : "<>");
	print_field("To", to);
	print_field("Subject", text_of(row, "subject"));
	print_field("Size", number_of(row, "size"));
	print_when("Accepted", row, "accepted");
	print_field("Attempts", number_of(row, "attempts"));
	print_when("Last attempt", row, "last_attempt");
	print_when("Due", row, "due");
	print_when("Next attempt", row, "next_attempt");
	print_field("Body", text_of(row, "body"));
	print_field("Last host", text_of(row, "last_host"));
	print_field("Last reply", text_of(row, "last_reply"));
	print_site(json_object_get(row, "site_state"));
	print_field("Egress IP", text_of(row, "egress_ip"));
	print_field("Reason", text_of(row, "reason"));
	print_field("Signature", text_of(row, "signature"));
	print_suspension(json_object_get(row, "suspension"));
	free(to);
	free(account);
}

void
print_message(const json_t *reply)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(reply, "rows"), i, row)
	{
		if (i > 0)
			putchar('\n');
		print_row(row);
	}
	print_unknown(reply);
}

/* The summary: a line for each group and class of replies. */

static const char *const ages[] = { "5m", "1h", "4h", "1d", "older" };
#define AGES (sizeof ages / sizeof *ages)

static void
add_line(json_t *lines, const char *name, const char *class, const json_t *object,
	const json_t *by_age)
{
	json_t *cells = json_pack("[s, s, s]", name, class, number_of(object, "total"));

	for (size_t i = 0; i < AGES; i++) {
		const json_int_t count = json_integer_value(json_object_get(by_age, ages[i]));

		json_array_append_new(cells, json_string(count ? number_of(by_age, ages[i]) : "-"));
	}
	json_array_append_new(lines, cells);
}

/* The group's name stands in its first line only. */
static void
add_group(json_t *lines, const char *name, const json_t *group)
{
	json_t *reply;
	size_t i;

	json_array_foreach(json_object_get(group, "replies"), i, reply) add_line(lines,
		i ? "" : name, text_of(reply, "class"), reply, json_object_get(reply, "ages"));
}

static char *
name_of(const json_t *group, const char *by)
{
	if (strcmp(by, "account") == 0)
		return account_of(group);
	return xstrdup(or_dash(text_of(group, by)));
}

static void
print_states(const json_t *all)
{
	json_t *value;
	const char *state, *separator = "";

	json_object_foreach(json_object_get(all, "states"), state, value)
	{
		printf("%s%s %s", separator, number_of(json_object_get(all, "states"), state),
			state);
		separator = ", ";
	}
	putchar('\n');
}

/* Names the command to look further with. */
static void
print_hints(const json_t *all)
{
	static const struct {
		const char *class, *hint;
	} hints[] = {
		{ "never",
			"never: waits for its first attempt: shoutctl queue list --state attempting shows who is slow" },
		{ "dns", "dns: no host was found: is the resolver well? (/readyz, egress)" },
		{ "connect", "connect: no host took a connection" },
		{ "tls", "tls: a host cannot do the TLS that it wants" },
		{ "lost", "lost: hosts do not answer, or not in time" },
		{ "ours", "ours: this relay cannot, or may not, send it (/readyz)" },
		{ "held", "held: shoutctl queue list --state held; release or bounce it" },
	};
	json_t *reply;
	size_t i;

	if (json_integer_value(json_object_get(all, "suspended")))
		printf("%s suspended by an operator: shoutctl suspensions\n",
			number_of(all, "suspended"));
	if (json_integer_value(json_object_get(json_object_get(all, "states"), "inbound")))
		printf("inbound: waits for clamd, or is in a scan (/readyz, scanner)\n");
	for (size_t h = 0; h < sizeof hints / sizeof *hints; h++)
		json_array_foreach(json_object_get(all, "replies"), i,
			reply) if (strcmp(text_of(reply, "class"), hints[h].class) == 0)
			printf("%s\n", hints[h].hint);
	if (json_array_size(json_object_get(all, "replies")) > 0)
		printf("What was said: shoutctl queue list --provider NAME\n");
}

void
print_summary(const json_t *reply)
{
	const char *heads[3 + AGES] = { NULL, "LAST REPLY", "TOTAL", "<5m", "<1h", "<4h", "<1d",
		"OLDER" };
	const char *by = text_of(reply, "by");
	const json_t *all = json_object_get(reply, "all");
	json_t *lines = json_array(), *group;
	char *head = xstrdup(by), *name;
	size_t i;

	for (char *c = head; *c; c++)
		*c = (char)(*c >= 'a' && *c <= 'z' ? *c - ('a' - 'A') : *c);
	heads[0] = head;
	json_array_foreach(json_object_get(reply, "groups"), i, group)
	{
		name = name_of(group, by);
		add_group(lines, name, group);
		free(name);
	}
	add_group(lines, "(others)", json_object_get(reply, "others"));
	add_group(lines, "(all)", all);
	if (json_array_size(lines) > 0)
		print_table(heads, sizeof heads / sizeof *heads, lines);
	name = time_of(all, "oldest");
	printf("%s%s not delivered yet%s%s:\n",
		json_is_false(json_object_get(reply, "exact")) ? "at least " : "",
		number_of(all, "total"), *name ? ", since " : "", name);
	print_states(all);
	print_hints(all);
	print_unknown(reply);
	json_decref(lines);
	free(name);
	free(head);
}
