/*
 * print.c - prints the API's answers for people.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define COLUMNS_MAX 10

void
print_json(const json_t *value)
{
	char *text = json_dumps(value, 0);

	if (!text)
		die("out of memory", "json_dumps");
	text = json_shown(text);
	printf("%s\n", text);
	explicit_bzero(text, strlen(text));
	free(text);
}

/* Prints text. A remote's text must neither move the cursor nor turn the text beside it around. */
void
print_clean(FILE *out, const char *text)
{
	size_t length = strlen(text);
	char *clean = xmalloc(length + 1);

	text_clean(clean, length + 1, 0, text, length);
	fputs(clean, out);
	free(clean);
}

/* The columns of one character: none for a combining one, two for a wide one. */
static size_t
width_of_one(const char *text, size_t length)
{
	mbstate_t state = { 0 };
	wchar_t character;
	int width = 1;

	if (mbrtowc(&character, text, length, &state) == length)
		width = wcwidth(character);
	return width < 0 ? 1 : (size_t)width;
}

size_t
width_of(const char *text)
{
	size_t left = strlen(text), width = 0, length;

	for (; left > 0; text += length, left -= length) {
		length = utf8_length(text, left);
		width += length && !text_is_hidden_control(text, length)
			? width_of_one(text, length)
			: 1;
		length = length ? length : 1;
	}
	return width;
}

static void
print_cell(const char *text, size_t width, bool last)
{
	print_clean(stdout, text);
	for (size_t i = width_of(text); !last && i < width + 2; i++)
		putchar(' ');
	if (last)
		putchar('\n');
}

void
print_rows(const char *const *heads, size_t columns, const json_t *rows, const json_t *about,
	void (*below)(const json_t *one))
{
	size_t widths[COLUMNS_MAX] = { 0 }, r, c;
	json_t *row, *cell;

	for (c = 0; c < columns; c++)
		widths[c] = width_of(heads[c]);
	json_array_foreach(rows, r, row)
		json_array_foreach(row, c, cell) if (width_of(json_string_value(cell)) > widths[c])
			widths[c] = width_of(json_string_value(cell));
	for (c = 0; c < columns; c++)
		print_cell(heads[c], widths[c], c == columns - 1);
	json_array_foreach(rows, r, row)
	{
		json_array_foreach(row, c, cell)
			print_cell(json_string_value(cell), widths[c], c == columns - 1);
		if (below)
			below(json_array_get(about, r));
	}
}

void
print_table(const char *const *heads, size_t columns, const json_t *rows)
{
	print_rows(heads, columns, rows, NULL, NULL);
}

void
print_field(const char *name, const char *value)
{
	if (!value || !*value)
		return;
	printf("%-14s", name);
	print_clean(stdout, value);
	putchar('\n');
}

const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_text(object, key);

	return text ? text : "";
}

const char *
number_of(const json_t *object, const char *key)
{
	return log_int(json_integer_value(json_object_get(object, key)));
}

char *
time_of(const json_t *object, const char *key)
{
	const char *whole = text_of(object, key);
	char *text = xstrndup(whole, strnlen(whole, 19));

	if (strlen(text) > 10)
		text[10] = ' ';
	return text;
}

char *
joined(const json_t *list, const char *key)
{
	char *text = xstrdup(""), *longer;
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *one = key ? text_of(item, key) : json_string_value(item);

		longer = xasprintf("%s%s%s", text, *text ? ", " : "", one ? one : "");
		free(text);
		text = longer;
	}
	return text;
}

/* Lists */

void
print_count(const json_t *reply, size_t shown, const char *what)
{
	const json_t *total = json_object_get(reply, "total");

	printf("%zu", shown);
	if (json_is_integer(total))
		printf(" of %s%s",
			json_is_false(json_object_get(reply, "total_exact")) ? "at least " : "",
			number_of(reply, "total"));
	printf(" %s", what);
}

void
print_next(const json_t *reply)
{
	const char *next = text_of(reply, "next");

	if (!*next)
		return;
	printf("More: --after ");
	print_clean(stdout, next);
	putchar('\n');
}

/* Accounts */

static void
print_domains(const json_t *domains)
{
	json_t *domain;
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		const json_t *mailboxes = json_object_get(domain, "mailboxes");
		char *text = xasprintf("%s%s%s%s", text_of(domain, "name"),
			json_is_true(json_object_get(domain, "verified")) ? "" : " (not verified)",
			mailboxes ? ", mailboxes: " : "",
			mailboxes ? number_of(domain, "mailboxes") : "");

		print_field("Domain", text);
		free(text);
	}
}

static void
print_score(const json_t *score)
{
	const char *window;
	json_t *counts;

	json_object_foreach((json_t *)score, window, counts)
	{
		char *text = xasprintf(
			"%s: %s recipients, %s hard bounces (%s unknown users), %s viruses, "
			"%s alerts",
			window, number_of(counts, "recipients"), number_of(counts, "hard_bounces"),
			number_of(counts, "unknown_users"), number_of(counts, "viruses"),
			number_of(counts, "alerts"));

		print_field("Last", text);
		free(text);
	}
}

static void
print_limit(const json_t *account, const char *key, const json_t *value)
{
	const json_t *own = json_object_get(json_object_get(account, "limits"), key);
	const char *else_of = json_object_get(account, "plan") ? " (plan or default)"
							       : " (default)";
	char *number = xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	char *text = xasprintf(
		"%s %s%s", key, json_integer_value(value) ? number : "none", own ? "" : else_of);

	print_field("Limit", text);
	free(text);
	free(number);
}

/* With the host that the account leaves, while it does. */
static void
print_host(const json_t *account)
{
	char *until = time_of(account, "host_before_until");
	char *text = xasprintf("%s%s%s%s%s", text_of(account, "host"), *until ? ", also " : "",
		*until ? text_of(account, "host_before") : "", *until ? " until " : "", until);

	print_field("Host", text);
	free(text);
	free(until);
}

void
print_mode(const json_t *reply)
{
	const json_t *under_way = json_object_get(reply, "switch");
	const json_t *grace = json_object_get(reply, "grace");
	char *since = time_of(under_way, "since"), *until = time_of(grace, "until");
	char *to = xasprintf(
		"to %s, since %s; no mail by it was seen yet", text_of(under_way, "to"), since);
	char *old = xasprintf("%s until %s%s", text_of(grace, "mode"), until,
		json_is_true(json_object_get(grace, "extended")) ? " (extended)" : "");

	print_field("Mode", json_text(reply, "mode"));
	print_field("Switch", under_way ? to : NULL);
	print_field("Grace", grace ? old : NULL);
	print_field("Off", json_text(reply, "off"));
	free(since);
	free(until);
	free(to);
	free(old);
}

void
print_account(const json_t *account)
{
	char *deleted = time_of(account, "deleted"), *until = time_of(account, "kept_until");
	const char *key;
	json_t *item;
	size_t i;

	print_field("Account", text_of(account, "id"));
	print_field("Name", text_of(account, "name"));
	print_field("Contact", text_of(account, "contact"));
	print_field("Status", text_of(account, "status"));
	print_field("Deleted", deleted);
	print_field("Kept until", until);
	print_mode(account);
	print_field("Language", text_of(account, "language"));
	print_field("Plan", text_of(account, "plan"));
	print_host(account);
	print_field("Policy", text_of(account, "policy"));
	print_field("Display", text_of(account, "display_address"));
	print_domains(json_object_get(account, "domains"));
	print_users(json_object_get(account, "users"));
	json_array_foreach(json_object_get(account, "addresses"), i, item)
	{
		char *lapses = time_of(item, "lapses");
		char *text = xasprintf("%s %s%s%s", text_of(item, "address"),
			text_of(item, "state"), *lapses ? ", not used: until " : "", lapses);

		print_field("Address", text);
		free(text);
		free(lapses);
	}
	json_object_foreach(json_object_get(account, "limits_in_force"), key, item)
		print_limit(account, key, item);
	print_score(json_object_get(account, "score"));
	free(deleted);
	free(until);
}

void
print_accounts(const json_t *reply)
{
	static const char *const heads[] = { "ACCOUNT", "STATUS", "NAME", "DOMAINS", "USERS" };
	json_t *rows = json_array(), *account;
	size_t i;

	json_array_foreach(json_object_get(reply, "accounts"), i, account)
	{
		char *domains = joined(json_object_get(account, "domains"), "name");
		char *users = joined(json_object_get(account, "users"), "username");
		char *until = time_of(account, "kept_until");
		char *status = xasprintf(
			"%s%s%s", text_of(account, "status"), *until ? ", kept until " : "", until);

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", text_of(account, "id"), status,
				text_of(account, "name"), domains, users));
		free(until);
		free(status);
		free(domains);
		free(users);
	}
	print_table(heads, 5, rows);
	print_count(reply, json_array_size(rows), "accounts\n");
	print_next(reply);
	json_decref(rows);
}

/* Prints the rows, or `none`, and frees them. */
static void
print_listed(const json_t *reply, const char *const heads[5], json_t *rows, const char *none)
{
	if (json_array_size(rows) > 0)
		print_table(heads, 5, rows);
	else
		printf("%s\n", none);
	print_next(reply);
	json_decref(rows);
}

/* Suspensions */

char *
print_selector(const json_t *selector)
{
	char *text = xstrdup(""), *longer;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)selector, key, value)
	{
		longer = xasprintf("%s%s%s %s", text, *text ? ", " : "", key,
			json_string_value(value) ? json_string_value(value) : "");
		free(text);
		text = longer;
	}
	return text;
}

void
print_suspensions(const json_t *reply)
{
	static const char *const heads[] = { "WHAT", "SINCE", "UNTIL", "BY", "REASON" };
	json_t *rows = json_array(), *entry;
	size_t i;

	json_array_foreach(json_object_get(reply, "suspensions"), i, entry)
	{
		char *what = print_selector(json_object_get(entry, "selector"));
		char *since = time_of(entry, "since"), *until = time_of(entry, "until");

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", what, since, *until ? until : "-",
				text_of(entry, "by"), text_of(entry, "reason")));
		free(what);
		free(since);
		free(until);
	}
	print_listed(reply, heads, rows, "Nothing is suspended.");
}

void
print_replies(const json_t *reply)
{
	static const char *const heads[] = { "COUNT", "LAST", "PROVIDER", "HOST", "REPLY" };
	const json_t *replies = json_object_get(reply, "replies");
	json_t *rows = json_array(), *entry;
	size_t i;

	json_array_foreach(replies, i, entry)
	{
		char *last = time_of(entry, "last");
		const char *provider = text_of(entry, "provider");

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", number_of(entry, "count"), last,
				*provider ? provider : "-", text_of(entry, "host"),
				text_of(entry, "reply")));
		free(last);
	}
	if (i)
		print_table(heads, 5, rows);
	else
		printf("No reply is unknown.\n");
	json_decref(rows);
}

void
print_rules(const json_t *reply)
{
	static const char *const heads[] = { "RULE", "ACTION", "WHAT", "ACCEPTED BEFORE", "BY" };
	json_t *rows = json_array(), *rule;
	size_t i;

	json_array_foreach(json_object_get(reply, "rules"), i, rule)
	{
		char *what = print_selector(json_object_get(rule, "selector"));
		char *before = time_of(rule, "accepted_before");

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", text_of(rule, "number"),
				text_of(rule, "action"), what, before, text_of(rule, "by")));
		free(what);
		free(before);
	}
	print_listed(reply, heads, rows, "There are no rules.");
}

/* What could not be read */

void
print_bad_list(const json_t *reply)
{
	static const char *const heads[] = { "TABLE", "SIZE", "ID", "SITE", "KEY" };
	json_t *rows = json_array(), *entry;
	size_t i;

	json_array_foreach(json_object_get(reply, "bad"), i, entry) json_array_append_new(rows,
		json_pack("[s, s, s, s, s]", text_of(entry, "table"), number_of(entry, "size"),
			text_of(entry, "id"), text_of(entry, "site"), text_of(entry, "key")));
	if (json_array_size(rows) > 0)
		print_table(heads, 5, rows);
	print_count(reply, json_array_size(rows), "set aside");
	if (json_object_get(reply, "machine"))
		printf(" on %s; the other machines' are in state_dir/bad there",
			text_of(reply, "machine"));
	putchar('\n');
	print_next(reply);
	json_decref(rows);
}

/* The byte that two hex digits stand for, or -1 at the end of the digits. */
static int
byte_at(const char *hex)
{
	const char pair[3] = { hex[0], hex[0] ? hex[1] : '\0', '\0' };

	return pair[1] ? (int)strtol(pair, NULL, 16) : -1;
}

void
print_bad_raw(const json_t *reply)
{
	int byte;

	for (const char *hex = text_of(reply, "value"); (byte = byte_at(hex)) >= 0; hex += 2)
		putchar(byte);
}

void
print_bad(const json_t *reply)
{
	const char *hex = text_of(reply, "value");
	const size_t size = strlen(hex) / 2;

	print_field("Table", text_of(reply, "table"));
	print_field("Id", text_of(reply, "id"));
	print_field("Site", text_of(reply, "site"));
	print_field("Size", number_of(reply, "size"));
	for (size_t at = 0; at < size; at += 16) {
		char text[17] = "";

		printf("%08zx ", at);
		for (size_t i = 0; i < 16; i++) {
			const int byte = at + i < size ? byte_at(hex + 2 * (at + i)) : -1;

			printf(byte < 0 ? "   " : " %02x", (unsigned)byte);
			text[i] = (char)(byte < 0 ? ' ' : byte < 0x20 || byte > 0x7e ? '.' : byte);
		}
		printf("  %s\n", text);
	}
}
