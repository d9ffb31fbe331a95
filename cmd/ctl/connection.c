/*
 * connection.c - the commands about how an account's servers get in.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

#define POLL_S 2

int
account_sessions(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", account_path(ctl, "sessions"), NULL, print_sessions);
}

int
account_limits(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", account_path(ctl, "limits"), NULL, print_limits);
}

/* Whether no further look can tell more: all was seen, or something failed, or the time is over. */
static bool
is_over(const json_t *test)
{
	size_t i, seen = 0;
	json_t *step;

	json_array_foreach(json_object_get(test, "steps"), i, step)
	{
		if (strcmp(text_of(step, "state"), "failed") == 0)
			return true;
		seen += strcmp(text_of(step, "state"), "seen") == 0;
	}
	return seen == i || json_is_true(json_object_get(test, "over"));
}

/* Looks until the test is over; NULL after saying why not. */
static json_t *
watch(const struct ctl *ctl, const char *path, bool wait)
{
	const struct timespec pause = { POLL_S, 0 };
	json_t *test = ctl_request(ctl, "GET", path, NULL);

	while (wait && test && !is_over(test)) {
		json_decref(test);
		nanosleep(&pause, NULL);
		test = ctl_request(ctl, "GET", path, NULL);
	}
	return test;
}

/* The path of the test that --id names, or of a new one. The caller frees it; NULL after saying why
 * not. */
static char *
test_path(const struct ctl *ctl)
{
	const char *id = ctl_option(ctl, "id");
	char *start, *path;
	json_t *made;

	if (id)
		return member_path(ctl, "test", id);
	start = account_path(ctl, "test");
	made = ctl_request(ctl, "POST", start, NULL);
	free(start);
	path = made ? member_path(ctl, "test", text_of(made, "id")) : NULL;
	json_decref(made);
	return path;
}

int
account_test(const struct ctl *ctl)
{
	char *path = test_path(ctl);
	json_t *test = path ? watch(ctl, path, ctl_has(ctl, "wait")) : NULL;

	free(path);
	if (!test)
		return CTL_FAILED;
	if (ctl->json)
		print_json(test);
	else
		print_test(test);
	json_decref(test);
	return CTL_OK;
}
