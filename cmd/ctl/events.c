/*
 * events.c - the command that shows what happened, and what happens.
 *
 * Whoever follows asks for what came behind the last answer, and the API lets that question wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define PAGE_MAX 1000ul
#define SHOWN 100ul       /* unless --limit says otherwise */
#define SHOWN_BEFORE 10ul /* what follows */
#define WAIT_S 20ul
#define BREATH_MS 500 /* between answers that held something */

struct asking {
	const struct ctl *ctl;
	char *query; /* without limit, wait and place */
	char *after; /* NULL: not yet */
};

/* The place is kept for the next question. NULL after saying why not. */
static json_t *
ask(struct asking *asking, unsigned long limit, unsigned long wait_s)
{
	char *encoded = asking->after ? ctl_encode(asking->after) : NULL;
	char *path = xasprintf("%s%climit=%lu&wait=%lu%s%s", asking->query,
		strchr(asking->query, '?') ? '&' : '?', limit < PAGE_MAX ? limit : PAGE_MAX, wait_s,
		encoded ? "&after=" : "", encoded ? encoded : "");
	json_t *answer = ctl_request(asking->ctl, "GET", path, NULL);
	const char *place = json_string_value(json_object_get(answer, "place"));

	if (place) {
		free(asking->after);
		asking->after = xstrdup(place);
	}
	free(encoded);
	free(path);
	return answer;
}

/* How many. */
static size_t
show(const struct ctl *ctl, const json_t *answer)
{
	const json_t *events = json_object_get(answer, "events");
	json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		if (ctl->json)
			print_json(event);
		else
			print_event(event);
	}
	fflush(stdout);
	return json_array_size(events);
}

static void
show_next(const struct ctl *ctl, const json_t *answer, size_t shown)
{
	json_t *line;

	if (!ctl->json) {
		if (shown == 0)
			printf("Nothing. (Of many refusals of a client some are told by reason "
			       "alone: ask by --client, too.)\n");
		print_next(answer);
	} else if (json_is_string(json_object_get(answer, "next"))) {
		line = json_pack("{s:O}", "next", json_object_get(answer, "next"));
		print_json(line);
		json_decref(line);
	}
}

/* Pages up to `limit` events. An answer may be empty and have a next: the search takes long. */
static int
show_up_to(struct asking *asking, unsigned long limit, bool follow)
{
	json_t *answer;
	size_t shown = 0;
	bool more;

	do {
		answer = ask(asking, limit - shown, 0);
		if (!answer)
			return CTL_FAILED;
		shown += show(asking->ctl, answer);
		more = shown < limit && json_is_string(json_object_get(answer, "next"));
		if (!more && !follow)
			show_next(asking->ctl, answer, shown);
		json_decref(answer);
	} while (more);
	return CTL_OK;
}

static int
follow(struct asking *asking)
{
	const struct timespec breath = { BREATH_MS / 1000, BREATH_MS % 1000 * 1000000 };
	json_t *answer;

	while (!ferror(stdout) && (answer = ask(asking, PAGE_MAX, WAIT_S))) {
		if (show(asking->ctl, answer) > 0)
			nanosleep(&breath, NULL);
		json_decref(answer);
	}
	return CTL_FAILED;
}

int
events(const struct ctl *ctl)
{
	static const char *const names[] = { "id", "event", "account", "username", "client", "from",
		"to", "domain", "since", "until", NULL };
	const bool follows = ctl_has(ctl, "follow");
	const char *text = ctl_option(ctl, "limit");
	char *end = NULL;
	const unsigned long limit = text ? strtoul(text, &end, 10) : follows ? SHOWN_BEFORE : SHOWN;
	struct asking asking = { .ctl = ctl };
	int status;

	if (text && (!is_digit(*text) || *end || limit == 0)) {
		ctl_error(ctl, "--limit takes a number from 1");
		return CTL_USAGE;
	}
	if (follows && ctl_has(ctl, "until")) {
		ctl_error(ctl, "--follow has no end: --until does not go with it");
		return CTL_USAGE;
	}
	asking.query = ctl_query(ctl, "events", names);
	asking.after = ctl_has(ctl, "after") ? xstrdup(ctl_option(ctl, "after")) : NULL;
	status = show_up_to(&asking, limit, follows);
	if (follows && status == CTL_OK)
		status = follow(&asking);
	free(asking.query);
	free(asking.after);
	return status;
}
