/*
 * schedule_feedback.c - what a site's answers teach: how many connections it bears, when it rests.
 *
 * sender:  attempt -> [schedule_feedback] -> schedule_next
 *
 * The limit grows by about one for each round of successes and shrinks by one when the site fails.
 * As many failures in a row as connections at the start, or a long run without a success, and it
 * rests; after that a few messages probe it. Who waits for it meanwhile hears what it said last.
 */
#include <stdlib.h>
#include <string.h>

#include "sender/schedule/schedule_private.h"
#include "shared/base/log.h"

#define DRY_NARROW 10 /* transactions without a success: one connection */
#define DRY_REST 20   /* and more: rest */
#define DRY_PROBE 5   /* after a rest */

void
schedule_trouble_clear(struct schedule_site *site)
{
	free(site->trouble.reply);
	free(site->trouble.host);
	site->trouble = (struct schedule_trouble){ 0 };
}

/* What was put off has times of its own to be tried at: a dry rest need not grow. */
static void
site_rest(struct schedule *s, struct schedule_site *site, bool dry, uint64_t now)
{
	const uint64_t longest = site->shared ? s->options.rest_shared_max_us
					      : s->options.rest_max_us;
	uint64_t rest = s->options.rest_first_us;

	for (unsigned i = 0; i < site->rests && rest < longest && !dry; i++)
		rest *= 2;
	if (rest > longest)
		rest = longest;
	site->rests++;
	site->rest_is_dry = dry;
	site->rest_until_us = now + rest;
	site->probing = true;
	site->failures = site->dry = 0;
	site->limit = 1;
}

static bool
feedback_success(struct schedule *s, struct schedule_site *site, uint64_t now)
{
	bool rested = schedule_site_rests(s, site, now);

	site->failures = site->dry = site->rests = 0;
	site->probing = false;
	site->rest_until_us = 0;
	schedule_trouble_clear(site);
	site->limit += 1 / site->limit;
	if (site->limit > s->options.concurrency_max)
		site->limit = s->options.concurrency_max;
	return rested;
}

static bool
feedback_failure(struct schedule *s, struct schedule_site *site, bool whole, uint64_t now)
{
	if (schedule_site_rests(s, site, now))
		return false; /* what was under way when the rest began */
	if (whole) {
		site->failures++;
		site->limit = site->limit > 2 ? site->limit - 1 : 1;
	}
	if (whole || !site->shared)
		site->dry++;
	if (site->failures >= (site->probing ? 1 : s->options.concurrency_start))
		site_rest(s, site, false, now);
	else if (site->dry >= (site->probing ? DRY_PROBE : DRY_REST))
		site_rest(s, site, true, now);
	else if (site->dry >= DRY_NARROW)
		site->limit = 1;
	return schedule_site_rests(s, site, now);
}

bool
schedule_feedback(struct schedule *s, struct schedule_site *site, enum schedule_feedback feedback,
	uint64_t now)
{
	schedule_site_touch(s, site);
	switch (feedback) {
	case FEEDBACK_SUCCESS: return feedback_success(s, site, now);
	case FEEDBACK_TRANSIENT: return feedback_failure(s, site, false, now);
	case FEEDBACK_SITE: return feedback_failure(s, site, true, now);
	case FEEDBACK_NONE: break;
	}
	return false;
}

void
schedule_troubled(
	struct schedule *s, struct schedule_site *site, const struct outcome *trouble, uint64_t now)
{
	if (!schedule_site_rests(s, site, now))
		return;
	schedule_trouble_clear(site);
	site->trouble.reply = xstrdup(trouble->text);
	site->trouble.host = xstrdup(trouble->host);
	memcpy(site->trouble.class, trouble->class, sizeof trouble->class);
	site->trouble.at_us = now;
}

const struct schedule_trouble *
schedule_trouble(struct schedule *s, const char *name)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && site->trouble.reply ? &site->trouble : NULL;
}

void
schedule_each_trouble(struct schedule *s, uint64_t now,
	void (*on_site)(void *arg, const char *site, uint64_t rest_until_us,
		const struct schedule_trouble *trouble),
	void *arg)
{
	for (const struct schedule_site *site = s->sites; site; site = site->hh.next) {
		const uint64_t until = schedule_site_rests(s, site, now) ? site->rest_until_us : 0;

		if (until || site->trouble.reply)
			on_site(arg, site->name, until, &site->trouble);
	}
}

bool
schedule_rest_is_dry(struct schedule *s, const char *name)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && site->rest_is_dry;
}

uint64_t
schedule_rest_until(struct schedule *s, const char *name, uint64_t now)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && schedule_site_rests(s, site, now) ? site->rest_until_us : 0;
}

size_t
schedule_room(struct schedule *s, const char *name, size_t window)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && site->probing && window > DRY_PROBE ? DRY_PROBE : window;
}

void
schedule_wake(struct schedule *s, const char *name)
{
	struct schedule_site *site = schedule_site_find(s, name);

	if (site)
		site->rest_until_us = 0;
}
