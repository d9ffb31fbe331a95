/*
 * print_users.c - an account's usernames, a line each and what is special about it below.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* "2026-12-01 06:50:47 from 192.0.2.7"; "" for none. The caller frees it. */
static char *
moment(const json_t *user, const char *key)
{
	const json_t *value = json_object_get(user, key);
	char *at = time_of(value, "at");
	char *text = xasprintf(
		"%s%s%s", at, *at ? " from " : "", *at ? text_of(value, "address") : "");

	free(at);
	return text;
}

static void
print_state(const json_t *user)
{
	char *until = time_of(user, "until");
	const char *label = text_of(user, "label"), *reason = text_of(user, "suspended");
	char *text = xasprintf("%s %s%s%s%s%s%s%s%s", text_of(user, "username"),
		text_of(user, "state"), *reason ? ": " : "", reason,
		*until ? ", the password before works until " : "", until, *label ? " (" : "",
		label, *label ? ")" : "");

	print_field("Username", text);
	free(until);
	free(text);
}

static void
print_use(const json_t *user)
{
	const json_int_t count = json_integer_value(json_object_get(user, "failures"));
	char *last = moment(user, "last"), *failed = moment(user, "last_failure");
	char *text = xasprintf(
		"%" JSON_INTEGER_FORMAT " failed logins within a day, last %s", count, failed);

	print_field("  last use", *last ? last : NULL);
	print_field("  failures", count > 0 ? text : NULL);
	free(last);
	free(failed);
	free(text);
}

static void
print_own(const json_t *user)
{
	const json_t *limits = json_object_get(user, "limits");
	char *networks = joined(json_object_get(user, "networks"), NULL);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)limits, key, value)
	{
		char *name = xasprintf("  %s", key);

		print_field(name, number_of(limits, key));
		free(name);
	}
	print_field("  only from", *networks ? networks : NULL);
	free(networks);
}

void
print_users(const json_t *users)
{
	json_t *user;
	size_t i;

	json_array_foreach(users, i, user)
	{
		print_state(user);
		print_use(user);
		print_own(user);
	}
}
