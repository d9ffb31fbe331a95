/*
 * events.c - the command that shows past events, and new ones as they come.
 *
 * To follow, the command asks for the events behind its last answer, and the API lets that question
 * wait. While control starts again the question is repeated. The place is kept, so that no event is
 * left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define PAGE_MAX 1000ul
#define SHOWN 100ul       /* unless --limit says otherwise */
#define SHOWN_BEFORE 10ul /* with --follow */
#define WAIT_S 20ul
#define BREATH_MS 500 /* between answers that had events */
#define AGAIN_FIRST_MS 500
#define AGAIN_MAX_MS 30000

struct asking {
	const struct ctl *ctl;
	char *query; /* the query without limit, wait and place */
	char *after; /* NULL: not yet */
};

/* Keeps the answer's place for the next question. NULL: there is no answer now, or, after saying
 * so, there will be none. */
static json_t *
ask_once(struct asking *asking, unsigned long limit, unsigned long wait_s,
	struct ctl_trouble *trouble)
{
	char *encoded = asking->after ? ctl_encode(asking->after) : NULL;
	char *path = xasprintf("%s%climit=%lu&wait=%lu%s%s", asking->query,
		strchr(asking->query, '?') ? '&' : '?', limit < PAGE_MAX ? limit : PAGE_MAX, wait_s,
		encoded ? "&after=" : "", encoded ? encoded : "");
	json_t *answer = ctl_poll(asking->ctl, path, trouble);
	const char *place = json_text(answer, "place");

	if (place) {
		free(asking->after);
		asking->after = xstrdup(place);
	}
	free(encoded);
	free(path);
	return answer;
}

/* NULL after saying why not. */
static json_t *
ask(struct asking *asking, unsigned long limit)
{
	struct ctl_trouble trouble;
	json_t *answer = ask_once(asking, limit, 0, &trouble);

	if (!answer && trouble.passes)
		ctl_error(asking->ctl, "%s", trouble.text);
	return answer;
}

static void
pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

/* Until somebody answers. NULL after saying why nobody will. */
static json_t *
ask_until_answered(struct asking *asking)
{
	unsigned again_ms = AGAIN_FIRST_MS;
	struct ctl_trouble trouble;
	json_t *answer;

	while (!(answer = ask_once(asking, PAGE_MAX, WAIT_S, &trouble)) && trouble.passes) {
		if (again_ms == AGAIN_FIRST_MS) {
			fputs("shoutctl: ", stderr);
			print_clean(stderr, trouble.text);
			fputs("; it is asked again until it answers\n", stderr);
		}
		pause_ms(again_ms);
		again_ms = again_ms < AGAIN_MAX_MS / 2 ? 2 * again_ms : AGAIN_MAX_MS;
	}
	if (answer && again_ms != AGAIN_FIRST_MS)
		fputs("shoutctl: it answers again\n", stderr);
	return answer;
}

/* How many events to show. */
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

/* Asks for pages until there are `limit` events. An answer may be empty and have a "next": the
 * search takes long. */
static int
show_up_to(struct asking *asking, unsigned long limit, bool follow)
{
	json_t *answer;
	size_t shown = 0;
	bool more;

	do {
		answer = ask(asking, limit - shown);
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
	json_t *answer;

	while (!ferror(stdout) && (answer = ask_until_answered(asking))) {
		if (show(asking->ctl, answer) > 0)
			pause_ms(BREATH_MS);
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
