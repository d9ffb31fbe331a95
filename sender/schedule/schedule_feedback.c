/*
 * schedule_feedback.c - learns from a site's answers how many connections it bears, and when it
 * rests.
 *
 * sender:  attempt -> [schedule_feedback] -> schedule_next
 *
 * The limit grows by about one for each round of successes, and shrinks by one when the site fails.
 * The site rests after as many failures in a row as a site has connections at the start, or after a
 * long run without a success, or at once when a response rule says that the site refuses us. After
 * the rest a few messages probe the site. Messages that wait for the site meanwhile get its last
 * reply as their reason.
 *
 * A site's answer to one account's mail need not be about the site. So when nearly all failures
 * came from one account's transactions, the site rests for that account alone. The others go on.
 * When they fail too, the site rests for all.
 */
#include <stdlib.h>
#include <string.h>

#include "sender/schedule/schedule_private.h"
#include "shared/base/log.h"

#define DRY_NARROW 10 /* transactions without a success: one connection */
#define DRY_REST 20   /* transactions without a success: rest */
#define DRY_PROBE 5   /* the same after a rest, while the site is probed */
#define ALONE_SHARE 4 /* when others have a quarter of the failures, the rest is for all */

void
schedule_trouble_clear(struct schedule_site *site)
{
	free(site->trouble.reply);
	free(site->trouble.host);
	site->trouble = (struct schedule_trouble){ 0 };
}

void
schedule_blame_clear(struct schedule_site *site)
{
	free(site->blamed);
	site->blamed = NULL;
	site->blamed_count = site->other_count = 0;
	site->rests_alone = false;
}

/* A majority vote: over a long run, the account that caused most failures is blamed in the end. */
static void
site_blame(struct schedule_site *site, const char *account)
{
	unsigned count = site->other_count + 1;

	if (site->blamed && !strcmp(site->blamed, account)) {
		site->blamed_count++;
	} else if (site->rests_alone || (site->blamed && count <= site->blamed_count)) {
		site->other_count++;
	} else {
		free(site->blamed);
		site->blamed = xstrdup(account);
		site->other_count = site->blamed_count;
		site->blamed_count = count;
	}
}

static void
site_rests_alone(struct schedule_site *site)
{
	site->rests_alone = site->blamed &&
		ALONE_SHARE * site->other_count < site->blamed_count + site->other_count;
	site->blamed_count = site->other_count = 0;
}

/* A dry rest does not grow: messages that were put off have due times of their own. */
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
	site_rests_alone(site);
}

/* Whether the account is another than the one that the site rests for; false while the site rests
 * for all. */
static bool
is_other(const struct schedule_site *site, const char *account)
{
	return site->rests_alone && strcmp(site->blamed, account) != 0;
}

static bool
feedback_success(struct schedule *s, struct schedule_site *site, const char *account, uint64_t now)
{
	const bool rested = schedule_site_rests(s, site, now);

	site->failures = site->dry = site->rests = 0;
	site->probing = false;
	site->limit += 1 / site->limit;
	if (site->limit > s->options.concurrency_max)
		site->limit = s->options.concurrency_max;
	if (rested && is_other(site, account)) {
		site->other_count = 0;
		return false;
	}
	site->rest_until_us = 0;
	schedule_trouble_clear(site);
	schedule_blame_clear(site);
	return rested;
}

static void
feedback_count(struct schedule_site *site, const char *account, bool whole)
{
	if (whole) {
		site->failures++;
		site->limit = site->limit > 2 ? site->limit - 1 : 1;
	}
	if (whole || !site->shared)
		site->dry++;
	site_blame(site, account);
}

/* Whether the failure is another account's, while the site rests for one account alone. */
static bool
rest_widen(struct schedule_site *site)
{
	if (!site->failures && site->dry < DRY_PROBE)
		return false;
	site->rests_alone = false;
	return true;
}

static bool
feedback_failure(struct schedule *s, struct schedule_site *site, const char *account, bool whole,
	uint64_t now)
{
	const bool rests = schedule_site_rests(s, site, now);

	site->rests_alone &= rests;
	if (rests && !is_other(site, account))
		return false; /* a transaction that was under way when the rest began */
	feedback_count(site, account, whole);
	if (rests)
		return rest_widen(site);
	if (site->failures >= (site->probing ? 1 : s->options.concurrency_start))
		site_rest(s, site, false, now);
	else if (site->dry >= (site->probing ? DRY_PROBE : DRY_REST))
		site_rest(s, site, true, now);
	else if (site->dry >= DRY_NARROW)
		site->limit = 1;
	return schedule_site_rests(s, site, now);
}

bool
schedule_feedback(struct schedule *s, const struct schedule_connection *connection,
	enum schedule_feedback feedback, uint64_t now)
{
	struct schedule_site *site = connection->site;
	const char *account = connection->works_for->name;

	schedule_site_touch(s, site);
	switch (feedback) {
	case FEEDBACK_SUCCESS: return feedback_success(s, site, account, now);
	case FEEDBACK_TRANSIENT: return feedback_failure(s, site, account, false, now);
	case FEEDBACK_SITE: return feedback_failure(s, site, account, true, now);
	case FEEDBACK_NONE: break;
	}
	return false;
}

void
schedule_narrow(struct schedule_site *site, bool single)
{
	site->limit = single || site->limit < 2 ? 1 : site->limit / 2;
}

/* No account is to blame. A transaction that was under way when the rest began adds nothing. */
bool
schedule_break(struct schedule *s, const struct schedule_connection *connection, uint64_t break_us,
	uint64_t now)
{
	struct schedule_site *site = connection->site;
	const uint64_t longest = site->shared ? s->options.rest_shared_max_us
					      : s->options.rest_max_us;

	schedule_site_touch(s, site);
	if (schedule_site_rests(s, site, now) && !site->rests_alone)
		return false;
	schedule_blame_clear(site);
	site_rest(s, site, false, now);
	if (break_us > longest)
		break_us = longest;
	if (site->rest_until_us < now + break_us)
		site->rest_until_us = now + break_us;
	return true;
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
	void (*on_site)(void *arg, const struct schedule_seen *seen), void *arg)
{
	for (const struct schedule_site *site = s->sites; site; site = site->hh.next) {
		const uint64_t until = schedule_site_rests(s, site, now) ? site->rest_until_us : 0;

		if (until || site->trouble.reply)
			on_site(arg,
				&(struct schedule_seen){ .site = site->name,
					.account = until && site->rests_alone ? site->blamed : NULL,
					.rest_until_us = until,
					.trouble = &site->trouble });
	}
}

bool
schedule_rest_is_dry(struct schedule *s, const char *name)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && site->rest_is_dry;
}

uint64_t
schedule_rest_until(struct schedule *s, const char *name, const char *account, uint64_t now)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && schedule_site_rests_for(s, site, account, now) ? site->rest_until_us : 0;
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

void
schedule_rest(struct schedule *s, const char *name, uint64_t until_us, uint64_t now)
{
	struct schedule_site *site = schedule_site_find(s, name);

	if (!site || site->rest_until_us >= until_us)
		return;
	if (!schedule_site_rests(s, site, now)) {
		schedule_blame_clear(site);
		site_rest(s, site, false, now);
	}
	site->rests_alone = false;
	site->rest_until_us = until_us;
	schedule_site_touch(s, site);
}
