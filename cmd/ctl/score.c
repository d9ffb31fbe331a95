/*
 * score.c - the commands about scores.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

static char *
path_of(const struct ctl *ctl, const char *behind)
{
	static const char *const names[] = { "originator", "credential", NULL };
	char *account = ctl_encode(ctl->words[0]);
	char *path = xasprintf("accounts/%s/score%s", account, behind), *whole;

	free(account);
	if (*behind)
		return path;
	whole = ctl_query(ctl, path, names);
	free(path);
	return whole;
}

static void
print_counts(const json_t *counts)
{
	static const char *const heads[] = { "WINDOW", "SENT", "NEW", "ENDED", "HARD", "UNKNOWN",
		"COMPLAINTS", "VIRUSES", "ALERTS", "SPAM" };
	static const char *const names[] = { "sent", "strangers", "recipients", "hard_bounces",
		"unknown_users", "complaints", "viruses", "alerts", "spam" };
	static const char *const windows[] = { "5m", "1h", "24h", "7d" };
	json_t *rows = json_array();

	for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
		const json_t *window = json_object_get(counts, windows[w]);
		json_t *row = json_pack("[s]", windows[w]);

		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			json_array_append_new(row, json_string(number_of(window, names[i])));
		json_array_append_new(rows, row);
	}
	print_table(heads, sizeof heads / sizeof *heads, rows);
	json_decref(rows);
}

static void
print_score(const json_t *reply)
{
	char *since = time_of(reply, "since"), *forgiven = time_of(reply, "forgiven_until");
	char *who = xasprintf("%s %s", text_of(reply, "rung"), text_of(reply, "id"));

	print_field("Who", who);
	print_field("Step", text_of(reply, "step"));
	if (strcmp(text_of(reply, "step"), "none") != 0) {
		print_field("Since", since);
		print_field("Why", text_of(reply, "why"));
		print_field("Threshold", text_of(reply, "threshold"));
	}
	print_field("Expected", number_of(reply, "expected"));
	if (*forgiven)
		print_field("Forgiven until", forgiven);
	print_counts(json_object_get(reply, "counts"));
	free(who);
	free(since);
	free(forgiven);
}

static void
print_list(const json_t *list, const char *head, const char *field)
{
	const char *const heads[] = { "ACCOUNT", "NAME", "RUNG", "WHO", head };
	json_t *rows = json_array(), *one;
	size_t i;

	json_array_foreach((json_t *)list, i, one)
	{
		const char *value = json_text(one, field);

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", text_of(one, "account"), text_of(one, "name"),
				text_of(one, "rung"), text_of(one, "id"),
				value ? value : number_of(one, field)));
	}
	print_table(heads, 5, rows);
	json_decref(rows);
}

static void
print_standing(const json_t *reply)
{
	print_list(json_object_get(reply, "standing"), "STEP", "step");
}

static void
print_top(const json_t *reply)
{
	print_list(json_object_get(reply, "top"), "RECIPIENTS", "recipients");
}

static void
print_decided(const json_t *reply)
{
	printf("The step %s has ended%s.\n", text_of(reply, "was"),
		json_object_get(reply, "rule") ? ", and what it held goes on" : "");
}

static int
decide(const struct ctl *ctl, const char *what)
{
	json_t *body = json_object();

	ctl_set(ctl, body, "originator");
	ctl_set(ctl, body, "credential");
	return ctl_ask(ctl, "POST", path_of(ctl, what), body, print_decided);
}

int
score_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, ""), NULL, print_score);
}

int
score_list(const struct ctl *ctl)
{
	static const char *const names[] = { "limit", NULL };

	return ctl_ask(ctl, "GET", ctl_query(ctl, "score", names), NULL, print_standing);
}

int
score_release(const struct ctl *ctl)
{
	return decide(ctl, "/release");
}

int
score_forgive(const struct ctl *ctl)
{
	return decide(ctl, "/forgive");
}

int
top(const struct ctl *ctl)
{
	static const char *const names[] = { "limit", NULL };

	return ctl_ask(ctl, "GET", ctl_query(ctl, "score/top", names), NULL, print_top);
}
