/*
 * pass.c - a pass over an item's recipients: it begins, waits for its turn, and comes to its end.
 *
 * sender:  routing -> [pass] -> schedule -> attempt -> [pass] -> settle
 *
 * An item does not wait for its turn in memory while its site rests or its mail is suspended: the
 * item is parked, and becomes a row.
 */
#include "sender/mail/pass.h"

#include <string.h>

#include "sender/egress/limiter.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/mail_end.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle.h"
#include "sender/mail/suspend.h"
#include "sender/policy/outcome.h"
#include "sender/schedule/schedule.h"
#include "shared/base/loop.h"

#define COST_BYTES (64u * 1024)

static unsigned
item_cost(const struct item *item)
{
	uint64_t cost = 1 + item->mail->envelope->size / COST_BYTES;

	return cost > SCHEDULE_COST_MAX ? SCHEDULE_COST_MAX : (unsigned)cost;
}

static void
item_schedule(struct item *item)
{
	struct sender *sender = item->mail->sender;
	struct lane_limits limits;

	if (item->mail->lost) {
		item_enter(item, ITEM_NEW);
		item_unmark(item);
		mail_check(item->mail);
		return;
	}
	if (item_unwanted(item)) {
		settle_unwanted(item, 0);
		return;
	}
	item_enter(item, ITEM_WAITING);
	item_unmark(item);
	schedule_add(sender->schedule, &item->entry, lane_of(item), item->route->smarthost,
		item->mail->envelope->account, item_cost(item), item->attempts == 0, clock_us());
	if (lane_limits_of(item, &limits))
		limiter_use(sender->limiter, lane_of(item), item->route->site,
			item->lane ? item->egress : "", &limits);
	sender_wake(sender);
}

static bool
item_undecided(const struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state == TARGET_OPEN)
			return true;
	return false;
}

void
pass_count_attempt(struct item *item)
{
	if (item->pass.counted)
		return;
	item->pass.counted = true;
	item->attempts++;
	item->last_attempt_us = clock_us();
	if (!item->first_attempt_us)
		item->first_attempt_us = item->last_attempt_us;
}

/* A row waits for the timer of the site it is named after. A row with another name than its route's
 * site needs a time of its own, and so does mail of a site that put off one message after the
 * other: a greylisting site takes mail that it has seen before, so that mail goes first. So does
 * mail of a lane: another lane of the site may work. */
static uint64_t
own_timer(const struct item *item, uint64_t until)
{
	const struct sender *sender = item->mail->sender;

	return item->lane || schedule_rest_is_dry(sender->schedule, lane_of(item)) ||
			(item->row && strcmp(item->site, item->route->site))
		? until
		: 0;
}

/* Whether the mail must wait, and until when by a time of its own (0: as long as its site says). */
static bool
must_wait(struct item *item, uint64_t *until_out)
{
	struct sender *sender = item->mail->sender;
	const uint64_t now = clock_us();
	const char *account = item->mail->envelope->account;
	const bool lane = lane_choose(item, until_out);
	uint64_t until;

	if (suspensions_mark(sender->suspensions, item)) {
		*until_out = 0;
		return true;
	}
	if (!lane)
		return true;
	until = schedule_rest_until(sender->schedule, lane_of(item), account, now);
	*until_out = own_timer(item, until);
	return until || (!item->row && schedule_crowded(sender->schedule, lane_of(item), account));
}

/* No route was found, because of a fault of this machine. */
static bool
is_ours(const struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state == TARGET_DEFERRED && item->targets[i].outcome->local)
			return true;
	return false;
}

void
pass_begin(struct item *item)
{
	uint64_t until;

	if (!item->route || !item_undecided(item)) {
		item_mark(item);
		item->pass.ours = is_ours(item);
		if (!item->pass.ours)
			pass_count_attempt(item);
		item_enter(item, ITEM_SETTLING);
		settle_advance(item);
	} else if (!item_unwanted(item) && must_wait(item, &until))
		settle_park(item, until);
	else
		item_schedule(item);
}

void
pass_go_on(struct item *item)
{
	if (item_undecided(item)) {
		item_schedule(item);
		return;
	}
	item_enter(item, ITEM_SETTLING);
	settle_advance(item);
}

void
pass_again(struct item *item)
{
	item_enter(item, ITEM_NEW);
	pass_begin(item);
}

void
pass_fail(struct item *item, const struct outcome *failure)
{
	item_mark(item);
	item->pass.ours = failure->local;
	if (!item->pass.ours)
		pass_count_attempt(item);
	item->pass.unsent = true;
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state == TARGET_OPEN)
			target_set(&item->targets[i],
				failure->kind == OUTCOME_BOUNCE ? TARGET_FAILED : TARGET_DEFERRED,
				failure);
	item_enter(item, ITEM_SETTLING);
	settle_advance(item);
}

void
pass_put_off(struct item *item)
{
	const struct sender *sender = item->mail->sender;

	settle_park(item,
		own_timer(item,
			schedule_rest_until(sender->schedule, lane_of(item),
				item->mail->envelope->account, clock_us())));
}
