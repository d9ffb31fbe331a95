/*
 * notices.c - the commands about mails of the service to a customer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* "accounts/<the account named>/<what>"; the caller frees it. */
static char *
path_of(const struct ctl *ctl, const char *what)
{
	char *id = ctl_encode(ctl->words[0]);
	char *path = xasprintf("accounts/%s/%s", id, what);

	free(id);
	return path;
}

static void
print_mailed(const json_t *reply)
{
	json_t *item;
	size_t i;

	print_field("Account", json_text(reply, "account"));
	print_field("Username", json_text(reply, "username"));
	json_array_foreach(json_object_get(reply, "mails"), i, item)
		printf("A mail is on its way: %s.\n", json_string_value(item));
	json_array_foreach(json_object_get(reply, "mails_failed"), i, item)
		printf("A mail could not be sent: %s.\n", json_string_value(item));
}

int
account_mail(const struct ctl *ctl)
{
	json_t *body = json_object();
	char *what = xasprintf("notices/%s/send", ctl->verb), *path = path_of(ctl, what);

	free(what);
	ctl_set(ctl, body, "username");
	return ctl_ask(ctl, "POST", path, body, print_mailed);
}

static void
print_notices(const json_t *reply)
{
	static const char *const heads[] = { "SENT", "MAIL", "ABOUT", "TO" };
	json_t *rows = json_array(), *notice, *notices = json_object_get(reply, "notices");
	size_t i;

	json_array_foreach(notices, i, notice)
	{
		char *at = time_of(notice, "at");

		json_array_append_new(rows,
			json_pack("[s, s, s, s]", at, text_of(notice, "mail"),
				text_of(notice, "about"), text_of(notice, "to")));
		free(at);
	}
	print_table(heads, 4, rows);
	print_count(reply, json_array_size(notices), "mails");
	json_decref(rows);
}

int
account_notices(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, "notices"), NULL, print_notices);
}

/* Alerts */

static void
print_alerts(const json_t *reply)
{
	static const char *const heads[] = { "MAIL", "TO" };
	const json_t *alerts = json_object_get(reply, "alerts");
	json_t *rows = json_array(), *list, *percent;
	const char *mail;
	size_t i;

	if (!alerts)
		alerts = reply;
	json_object_foreach(json_object_get(alerts, "mails"), mail, list)
	{
		char *to = joined(list, NULL);

		json_array_append_new(rows, json_pack("[s, s]", mail, *to ? to : "nobody"));
		free(to);
	}
	print_table(heads, 2, rows);
	json_decref(rows);
	printf("Told at:");
	json_array_foreach(json_object_get(alerts, "limits"), i, percent)
		printf(" %" JSON_INTEGER_FORMAT "%%", json_integer_value(percent));
	printf(" of a limit\n");
}

/* "a,b" as a list; "nobody": an empty one; "contact" as it is. */
static json_t *
mailboxes_of(const char *text)
{
	json_t *list;

	if (strcmp(text, "contact") == 0)
		return json_string(text);
	list = json_array();
	if (strcmp(text, "nobody") == 0)
		return list;
	for (size_t length; *text; text += length + (text[length] == ',')) {
		length = strcspn(text, ",");
		json_array_append_new(list, json_stringn(text, length));
	}
	return list;
}

/* "80,100" as numbers, "default" as it is; NULL: it is neither. */
static json_t *
percents_of(const char *text)
{
	json_t *list;
	char *end;

	if (strcmp(text, "default") == 0)
		return json_string(text);
	list = json_array();
	for (; *text; text = end + (*end == ',')) {
		json_array_append_new(list, json_integer(strtol(text, &end, 10)));
		if (end == text || (*end && *end != ',')) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int
set_alerts(const struct ctl *ctl)
{
	json_t *mails = json_object(), *body = json_object(), *limits;
	const char *at = ctl_option(ctl, "at");

	for (size_t i = 1; i < ctl->words_count; i++) {
		const char *word = ctl->words[i], *equals = strchr(word, '=');
		char *mail = equals ? xstrndup(word, (size_t)(equals - word)) : xstrdup(word);

		json_object_set_new(mails, mail, mailboxes_of(equals ? equals + 1 : "contact"));
		free(mail);
	}
	if (json_object_size(mails) > 0)
		json_object_set(body, "mails", mails);
	json_decref(mails);
	limits = at ? percents_of(at) : NULL;
	if (at && !limits) {
		json_decref(body);
		ctl_error(ctl, "--at: percents like 80,100, or default");
		return CTL_USAGE;
	}
	if (limits)
		json_object_set_new(body, "limits", limits);
	return ctl_ask(ctl, "PUT", path_of(ctl, "alerts"), body, print_alerts);
}

int
account_alerts(const struct ctl *ctl)
{
	if (ctl->words_count > 1 || ctl_has(ctl, "at"))
		return set_alerts(ctl);
	return ctl_ask(ctl, "GET", path_of(ctl, "alerts"), NULL, print_alerts);
}
