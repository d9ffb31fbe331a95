/*
 * lane.c - which egress IP an item leaves from, and the lanes of a site as one.
 *
 * pass -> [lane] -> egress (choice), schedule (a site for each lane)
 */
#include "sender/mail/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/egress/egress.h"
#include "sender/egress/limiter.h"
#include "sender/mail/item.h"
#include "sender/mail/sender.h"
#include "sender/reply/replies.h"
#include "sender/schedule/schedule.h"
#include "sender/smtp/client.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define PROBED_US 60000000u /* after the end of a lane's rest, others have tried it */
#define AGAIN_US 10000000u  /* when no IP can be used, and no end is known */

static void
lane_name(char out[LANE_NAME_MAX], const char *site, const char *ip)
{
	snprintf(out, LANE_NAME_MAX, "%s@%s", site, ip);
}

static void
item_set_lane(struct item *item, const char *ip)
{
	char name[LANE_NAME_MAX];
	char *egress = ip ? xstrdup(ip) : NULL;

	free(item->egress);
	free(item->lane);
	item->egress = egress;
	item->lane = NULL;
	if (!ip)
		return;
	lane_name(name, item->route->site, ip);
	item->lane = xstrdup(name);
}

/* Until when an item waits whose pool has no IP that can be used. A fault is ours. */
static uint64_t
wait_until(struct item *item, const char *pool, uint64_t now)
{
	const struct egress *egress = item->mail->sender->egress;
	const uint64_t until = egress_usable_at(egress, pool, now);

	item->pass.ours = egress_faulty(egress) > 0;
	return until > now ? until : now + AGAIN_US;
}

struct lane_wish {
	const struct item *item;
	bool overflows; /* no other IP is left than those that warm up, and are full */
};

/* A lane that rests in the whole cluster, because a host blamed its IP, is left;
 * what is too much for an IP that warms up goes from others. */
static bool
lane_is_usable(void *arg, const char *ip)
{
	const struct lane_wish *wish = arg;
	const struct item *item = wish->item;
	const struct sender *sender = item->mail->sender;
	char name[LANE_NAME_MAX];

	lane_name(name, item->route->site, ip);
	if (!sender->limiter || limiter_rests(sender->limiter, name, clock_us()))
		return !sender->limiter;
	return wish->overflows || !limiter_is_full(sender->limiter, name, clock_us());
}

bool
lane_is_kept(const struct item *item)
{
	return !item->held && item->reason && strcmp(item->reason, REASON_IP_BLAMED) == 0;
}

/* The blamed IP of an item is tried again a while after its lane's rest, when other mail has found
 * out whether it is still refused; or once an operator says that it is not. 0: now. */
static uint64_t
kept_until(const struct item *item, const struct egress_entry *entry, uint64_t now)
{
	const struct sender *sender = item->mail->sender;
	char name[LANE_NAME_MAX];
	uint64_t rest;

	if (entry->lifted_us > item->last_attempt_us)
		return entry->rest_until_us > now ? entry->rest_until_us : 0;
	lane_name(name, item->route->site, entry->ip);
	rest = sender->limiter ? limiter_rest_until(sender->limiter, name) : 0;
	if (entry->rest_until_us > rest)
		rest = entry->rest_until_us;
	if (rest < item->last_attempt_us + PROBED_US)
		rest = item->last_attempt_us;
	return rest + PROBED_US > now ? rest + PROBED_US : 0;
}

/* Chooses for an item that keeps its IP. */
static bool
choose_kept(struct item *item, const struct egress_entry *entry, uint64_t *until_us, uint64_t now)
{
	*until_us = kept_until(item, entry, now);
	if (*until_us)
		return false;
	item_set_lane(item, entry->ip);
	return true;
}

bool
lane_choose(struct item *item, uint64_t *until_us)
{
	const struct egress *egress = item->mail->sender->egress;
	const Envelope *envelope = item->mail->envelope;
	const uint64_t now = clock_us();
	const struct egress_entry *entry;
	struct lane_wish lane = { item, false };
	struct egress_wish wish;

	*until_us = 0;
	if (!egress_any(egress)) {
		item_set_lane(item, NULL);
		return true;
	}
	entry = item->egress && lane_is_kept(item) ? egress_find(egress, item->egress) : NULL;
	if (entry)
		return choose_kept(item, entry, until_us, now);
	wish = (struct egress_wish){ .account = envelope->account,
		.site = item->route->site,
		.kept = item->egress,
		.pool = egress_pool(egress, envelope, now),
		.lane_usable = lane_is_usable,
		.arg = &lane };
	entry = egress_choose(egress, &wish, now);
	if (!entry) {
		lane.overflows = true;
		entry = egress_choose(egress, &wish, now);
	}
	if (!entry) {
		*until_us = wait_until(item, wish.pool, now);
		return false;
	}
	item_set_lane(item, entry->ip);
	return true;
}

const char *
lane_of(const struct item *item)
{
	return item->lane ? item->lane : item->route->site;
}

bool
lane_limits_of(const struct item *item, struct lane_limits *limits_out)
{
	static const struct lane_limits usual = { .connections = 1000,
		.recipients = TRANSACTION_RECIPIENTS_MAX };
	const struct sender *sender = item->mail->sender;
	const bool own_only = !item->lane || item->route->smarthost;
	const struct egress_entry *entry;

	if (!sender->replies || !sender->limiter ||
		!replies_limits(sender->replies, item->route->hosts[0].name, own_only, limits_out))
		return false;
	if (item->route->smarthost && limits_out->mix_domains == MIX_UNSAID)
		limits_out->mix_domains = MIX_YES;
	lane_limits_fill(limits_out, &usual);
	entry = item->lane ? egress_find(sender->egress, item->egress) : NULL;
	limits_out->warming = entry && entry->warm_us;
	return true;
}

const struct schedule_trouble *
lane_trouble(const struct item *item)
{
	const struct sender *sender = item->mail->sender;
	const char *site = item->route ? item->route->site : item->site;

	if (item->lane)
		return schedule_trouble(sender->schedule, item->lane);
	return site ? lanes_trouble(sender, site) : NULL;
}

void
lane_site(const char *lane, char site_out[SITE_NAME_MAX])
{
	const char *at = strrchr(lane, '@');

	snprintf(site_out, SITE_NAME_MAX, "%.*s", (int)(at ? at - lane : (long)strlen(lane)), lane);
}

const char *
lane_ip(const char *lane)
{
	const char *at = strrchr(lane, '@');

	return at ? at + 1 : NULL;
}

/* Lanes of a site. */

struct lanes {
	const struct sender *sender;
	const char *site;
	uint64_t now, until;
	size_t window, room;
	const struct schedule_trouble *trouble;
};

static void
lanes_each(struct lanes *lanes, void (*fn)(struct lanes *lanes, const char *lane),
	void (*on_ip)(void *arg, const struct egress_entry *entry))
{
	if (egress_any(lanes->sender->egress))
		egress_each(lanes->sender->egress, on_ip, lanes);
	else
		fn(lanes, lanes->site);
}

static void
lane_rests(struct lanes *lanes, const char *lane)
{
	const uint64_t until = schedule_rest_until(lanes->sender->schedule, lane, NULL, lanes->now);

	lanes->until = until < lanes->until ? until : lanes->until;
}

static void
on_rest(void *arg, const struct egress_entry *entry)
{
	struct lanes *lanes = arg;
	char lane[LANE_NAME_MAX];

	lane_name(lane, lanes->site, entry->ip);
	lane_rests(lanes, lane);
}

uint64_t
lanes_rest_until(const struct sender *sender, const char *site, uint64_t now_us)
{
	struct lanes lanes = { .sender = sender, .site = site, .now = now_us, .until = UINT64_MAX };

	lanes_each(&lanes, lane_rests, on_rest);
	return lanes.until == UINT64_MAX ? 0 : lanes.until;
}

static void
lane_has_room(struct lanes *lanes, const char *lane)
{
	const size_t room = schedule_room(lanes->sender->schedule, lane, lanes->window);

	lanes->room = room > lanes->room ? room : lanes->room;
}

static void
on_room(void *arg, const struct egress_entry *entry)
{
	struct lanes *lanes = arg;
	char lane[LANE_NAME_MAX];

	lane_name(lane, lanes->site, entry->ip);
	lane_has_room(lanes, lane);
}

size_t
lanes_room(const struct sender *sender, const char *site, size_t window)
{
	struct lanes lanes = { .sender = sender, .site = site, .window = window };

	lanes_each(&lanes, lane_has_room, on_room);
	return lanes.room;
}

static void
lane_told(struct lanes *lanes, const char *lane)
{
	const struct schedule_trouble *trouble = schedule_trouble(lanes->sender->schedule, lane);

	if (trouble && (!lanes->trouble || trouble->at_us > lanes->trouble->at_us))
		lanes->trouble = trouble;
}

static void
on_trouble(void *arg, const struct egress_entry *entry)
{
	struct lanes *lanes = arg;
	char lane[LANE_NAME_MAX];

	lane_name(lane, lanes->site, entry->ip);
	lane_told(lanes, lane);
}

const struct schedule_trouble *
lanes_trouble(const struct sender *sender, const char *site)
{
	struct lanes lanes = { .sender = sender, .site = site };

	lanes_each(&lanes, lane_told, on_trouble);
	return lanes.trouble;
}

static void
lane_wakes(struct lanes *lanes, const char *lane)
{
	schedule_wake(lanes->sender->schedule, lane);
}

static void
on_wake(void *arg, const struct egress_entry *entry)
{
	struct lanes *lanes = arg;
	char lane[LANE_NAME_MAX];

	lane_name(lane, lanes->site, entry->ip);
	lane_wakes(lanes, lane);
}

void
lanes_wake(const struct sender *sender, const char *site)
{
	struct lanes lanes = { .sender = sender, .site = site };

	lanes_each(&lanes, lane_wakes, on_wake);
}
