/*
 * told.c - tells operators which mail the sender has in hand (shared/work/inflight.h).
 *
 * attempt (connections), mail (records), schedule (sites) -> [told] -> inflight -> Redis
 *
 * Rows that only wait are not told: the queue shows them to everybody.
 */
#include "sender/operator/told.h"

#include "sender/mail/attempt.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/sender.h"
#include "sender/schedule/schedule.h"
#include "shared/base/json.h"
#include "shared/base/loop.h"
#include "shared/mail/envelope.h"
#include "shared/work/inflight.h"

struct telling {
	struct json *json;
	uint64_t now_us;
	unsigned count;
	int64_t untold;
};

static bool
is_slow(const struct telling *telling, uint64_t since_us)
{
	return since_us && since_us + INFLIGHT_SLOW_US <= telling->now_us;
}

static void
tell_mail(struct telling *telling, const struct mail *mail, const char *stage, const char *site,
	const char *host, uint64_t since_us)
{
	char id[ID_TEXT_SIZE];

	if (telling->count == INFLIGHT_MAIL_MAX) {
		telling->untold++;
		return;
	}
	telling->count++;
	id_format(mail->envelope->id.data, id);
	json_open(telling->json, NULL, '{');
	json_str(telling->json, "id", id);
	json_str(telling->json, "stage", stage);
	json_str(telling->json, "site", site);
	json_str(telling->json, "host", host && *host ? host : NULL);
	json_int(telling->json, "since", (int64_t)since_us);
	json_close(telling->json, '}');
}

/* A row is named after its site, or has a name of its own. */
static const char *
site_of(const struct item *item)
{
	return item->row ? item->site : item->route ? item->route->site : NULL;
}

static void
tell_attempt(void *arg, const struct attempt_seen *seen)
{
	struct telling *telling = arg;

	if (seen->item && is_slow(telling, seen->since_us))
		tell_mail(telling, seen->item->mail, "attempting", site_of(seen->item), seen->host,
			seen->since_us);
}

/* Tells a record's items that no attempt has. */
static void
tell_record(struct telling *telling, const struct mail *mail, uint64_t since_us)
{
	const struct item *item;

	if (mail->state == MAIL_ROUTING || TAILQ_EMPTY(&mail->items))
		tell_mail(telling, mail, "routing", NULL, NULL, since_us);
	else
		TAILQ_FOREACH (item, &mail->items, link)
			if (item->state == ITEM_WAITING)
				tell_mail(
					telling, mail, "scheduled", site_of(item), NULL, since_us);
}

static void
tell_records(struct telling *telling, struct sender *sender)
{
	const uint64_t mono = clock_mono_us();
	const struct mail *mail;
	uint64_t since;

	TAILQ_FOREACH (mail, &sender->arrivals, link) {
		since = telling->now_us - (mono - mail->arrived_us);
		if (!is_slow(telling, since))
			break;
		tell_record(telling, mail, since);
	}
}

static void
tell_lane(struct json *json, const char *lane)
{
	char site[SITE_NAME_MAX];

	lane_site(lane, site);
	json_str(json, "site", site);
	json_str(json, "egress_ip", lane_ip(lane));
}

static void
tell_opening(void *arg, const struct attempt_seen *seen)
{
	struct telling *telling = arg;

	if (seen->item || !seen->opening || !is_slow(telling, seen->since_us) ||
		telling->count == INFLIGHT_SITES_MAX)
		return;
	telling->count++;
	json_open(telling->json, NULL, '{');
	tell_lane(telling->json, seen->site);
	json_str(telling->json, "opening", *seen->host ? seen->host : NULL);
	json_int(telling->json, "opened", (int64_t)seen->since_us);
	json_close(telling->json, '}');
}

static void
tell_site(void *arg, const struct schedule_seen *seen)
{
	const struct schedule_trouble *trouble = seen->trouble;
	struct telling *telling = arg;

	if (telling->count == INFLIGHT_SITES_MAX)
		return;
	telling->count++;
	json_open(telling->json, NULL, '{');
	tell_lane(telling->json, seen->site);
	if (trouble->reply) {
		json_str(telling->json, "reply", trouble->reply);
		json_str(telling->json, "host", *trouble->host ? trouble->host : NULL);
		json_str(telling->json, "class", trouble->class);
		json_int(telling->json, "said", (int64_t)trouble->at_us);
	}
	if (seen->rest_until_us)
		json_int(telling->json, "next", (int64_t)seen->rest_until_us);
	json_str(telling->json, "rests_for", seen->account);
	json_close(telling->json, '}');
}

void
told_fill(void *arg, struct json *json)
{
	struct sender *sender = arg;
	struct telling telling = { .json = json, .now_us = clock_us() };

	json_open(json, "mail", '[');
	attempt_each(sender, tell_attempt, &telling);
	tell_records(&telling, sender);
	json_close(json, ']');
	telling.count = 0;
	json_open(json, "sites", '[');
	attempt_each(sender, tell_opening, &telling);
	schedule_each_trouble(sender->schedule, telling.now_us, tell_site, &telling);
	json_close(json, ']');
	if (telling.untold)
		json_int(json, "untold", telling.untold);
}
