/*
 * users.c - the commands about an account's usernames.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

#define HOUR_MS (UINT64_C(3600) * 1000)

/* For a new password: whether it goes by mail, too. */
static json_t *
mail_body(const struct ctl *ctl)
{
	json_t *body = json_object();

	if (ctl_has(ctl, "mail"))
		json_object_set_new(body, "mail", json_true());
	return body;
}

/* --grace in hours, as the API takes it; NULL after saying what is wrong. */
static json_t *
grace_hours(const struct ctl *ctl, const char *text)
{
	uint64_t ms = 0;

	if (strcmp(text, "0") != 0 && (config_duration(text, &ms) < 0 || ms % HOUR_MS != 0)) {
		ctl_error(ctl, "--grace takes days or hours, like 7d or 12h, or 0");
		return NULL;
	}
	return json_integer((json_int_t)(ms / HOUR_MS));
}

int
account_password(const struct ctl *ctl)
{
	const char *grace = ctl_option(ctl, "grace");
	json_t *hours = grace ? grace_hours(ctl, grace) : NULL, *body;

	if (grace && !hours)
		return CTL_USAGE;
	body = mail_body(ctl);
	ctl_set(ctl, body, "username");
	if (hours)
		json_object_set_new(body, "grace_hours", hours);
	return ctl_ask(ctl, "POST", account_path(ctl, "password"), body, print_done);
}

static void
set_limits(const struct ctl *ctl, json_t *body)
{
	const char *hour = ctl_option(ctl, "messages-hour"), *day = ctl_option(ctl, "messages-day");
	json_t *limits = json_object();

	if (hour)
		json_object_set_new(limits, "messages_hour", number_read(hour));
	if (day)
		json_object_set_new(limits, "messages_day", number_read(day));
	if (json_object_size(limits) > 0)
		json_object_set(body, "limits", limits);
	json_decref(limits);
}

/* "--network any" is an empty list. */
static void
set_networks(const struct ctl *ctl, json_t *body)
{
	json_t *networks = json_array();

	for (size_t i = 0; i < ctl->options_count; i++) {
		const struct ctl_option *option = &ctl->options[i];

		if (strcmp(option->name, "network") == 0 && strcmp(option->value, "any") != 0)
			json_array_append_new(networks, json_string(option->value));
	}
	if (ctl_has(ctl, "network"))
		json_object_set(body, "networks", networks);
	json_decref(networks);
}

/* "on" and "off"; anything else goes to the API, which says what is wrong. */
static void
set_switch(const struct ctl *ctl, json_t *body, const char *option)
{
	const char *text = ctl_option(ctl, option);

	if (text)
		json_object_set_new(body, option,
			strcmp(text, "on") == 0            ? json_true()
				: strcmp(text, "off") == 0 ? json_false()
							   : json_string(text));
}

static json_t *
user_body(const struct ctl *ctl, json_t *body)
{
	ctl_set(ctl, body, "label");
	set_switch(ctl, body, "sandbox");
	set_limits(ctl, body);
	set_networks(ctl, body);
	return body;
}

int
account_add_user(const struct ctl *ctl)
{
	return ctl_ask(ctl, "POST", account_path(ctl, "users"), user_body(ctl, mail_body(ctl)),
		print_done);
}

/* "accounts/ID/users/NAME", or below it */
static char *
user_path(const struct ctl *ctl, const char *what)
{
	char *user = member_path(ctl, "users", ctl_option(ctl, "username"));
	char *path = what ? xasprintf("%s/%s", user, what) : xstrdup(user);

	free(user);
	return path;
}

int
account_change_user(const struct ctl *ctl)
{
	json_t *body = user_body(ctl, json_object());

	set_switch(ctl, body, "enabled");
	return ctl_ask(ctl, "PATCH", user_path(ctl, NULL), body, print_done);
}

int
account_suspend_user(const struct ctl *ctl)
{
	json_t *body = json_object();

	ctl_set(ctl, body, "reason");
	return ctl_ask(ctl, "POST", user_path(ctl, "suspend"), body, print_done);
}

int
account_resume_user(const struct ctl *ctl)
{
	return ctl_ask(ctl, "POST", user_path(ctl, "resume"), NULL, print_done);
}

int
account_remove_user(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", user_path(ctl, NULL), NULL, print_done);
}
