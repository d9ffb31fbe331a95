/*
 * people.c - the commands about people who log in: an account's, or the operator's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* "accounts/x/people", or "operators"; with `login` one of them, and behind it `tail`. The caller
 * frees it. */
static char *
path_of(const struct ctl *ctl, const char *login, const char *tail)
{
	const char *id = ctl_option(ctl, "account");
	char *account = id ? ctl_encode(id) : NULL, *name = login ? ctl_encode(login) : NULL;
	char *path = xasprintf("%s%s%s%s%s%s", account ? "accounts/" : "operators",
		account ? account : "", account ? "/people" : "", name ? "/" : "", name ? name : "",
		tail);

	free(account);
	free(name);
	return path;
}

static void
print_person(const json_t *person)
{
	print_field("Login", text_of(person, "login"));
	print_field("Name", json_text(person, "name"));
	print_field("Role", json_text(person, "role"));
	print_field("Account", json_text(person, "account"));
	print_field("Language", json_text(person, "language"));
	print_field("Password",
		json_is_true(json_object_get(person, "password")) ? "chosen" : "none yet");
	print_field("Second factor",
		json_is_true(json_object_get(person, "second_factor")) ? "yes" : "no");
	print_field("Last login", json_text(person, "last_login"));
	print_field("Link until", json_text(person, "link_until"));
	print_field("Link", json_text(person, "link"));
	if (json_array_size(json_object_get(person, "mails_failed")) > 0)
		printf("The mail with the link could not be sent.\n");
	else if (json_array_size(json_object_get(person, "mails")) > 0)
		printf("The link is on its way by mail, too.\n");
	if (json_object_get(person, "link"))
		printf("The link is stored nowhere: whoever has it chooses the password.\n");
}

static void
print_people(const json_t *reply)
{
	static const char *const heads[] = { "LOGIN", "NAME", "ROLE", "PASSWORD", "SECOND FACTOR",
		"LAST LOGIN" };
	json_t *rows = json_array(), *person, *people = json_object_get(reply, "people");
	size_t i;

	json_array_foreach(people, i, person)
	{
		char *last = time_of(person, "last_login");

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s, s]", text_of(person, "login"),
				text_of(person, "name"), text_of(person, "role"),
				json_is_true(json_object_get(person, "password")) ? "yes" : "no",
				json_is_true(json_object_get(person, "second_factor")) ? "yes"
										       : "no",
				last));
		free(last);
	}
	print_table(heads, 6, rows);
	print_count(reply, json_array_size(people), "people");
	print_next(reply);
	json_decref(rows);
}

int
person_add(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "login", ctl->words[0]);

	ctl_set(ctl, body, "name");
	ctl_set(ctl, body, "role");
	ctl_set(ctl, body, "language");
	return ctl_ask(ctl, "POST", path_of(ctl, NULL, ""), body, print_person);
}

int
person_list(const struct ctl *ctl)
{
	return ctl_list(ctl, path_of(ctl, NULL, ""), "people", print_people);
}

int
person_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, ctl->words[0], ""), NULL, print_person);
}

int
person_change(const struct ctl *ctl)
{
	json_t *body = json_object();

	ctl_set(ctl, body, "name");
	ctl_set(ctl, body, "role");
	ctl_set(ctl, body, "language");
	if (ctl_has(ctl, "no-second-factor"))
		json_object_set_new(body, "second_factor", json_false());
	return ctl_ask(ctl, "PATCH", path_of(ctl, ctl->words[0], ""), body, print_person);
}

int
person_remove(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", path_of(ctl, ctl->words[0], ""), NULL, print_person);
}

int
person_invite(const struct ctl *ctl)
{
	return ctl_ask(ctl, "POST", path_of(ctl, ctl->words[0], "/invite"), NULL, print_person);
}
