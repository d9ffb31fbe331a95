/*
 * move.c - mail that waits for its turn in a lane that cannot be used takes another one.
 *
 * rule (relay.config), react (faults) -> [move] -> pass
 */
#include "sender/operator/move.h"

#include "sender/egress/egress.h"
#include "sender/egress/limiter.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/mail.h"
#include "sender/mail/pass.h"
#include "sender/mail/sender.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"

static bool
is_in_its_place(const struct item *item)
{
	const struct egress *egress = item->mail->sender->egress;

	if (lane_is_kept(item))
		return true;
	if (!item->lane)
		return !egress_any(egress);
	return egress_usable(egress, lane_ip(item->lane), clock_us()) &&
		!limiter_rests(item->mail->sender->limiter, item->lane, clock_us()) &&
		!limiter_is_full(item->mail->sender->limiter, item->lane, clock_us());
}

static void
item_move(void *arg, struct item *item)
{
	struct sender *sender = arg;

	if (item->state != ITEM_WAITING || is_in_its_place(item))
		return;
	schedule_remove(sender->schedule, &item->entry);
	pass_again(item);
}

static void
row_move(void *arg, struct loaded_row *row)
{
	struct item *item = item_of_row(row);

	if (item)
		item_move(arg, item);
}

void
move_lanes(struct sender *sender)
{
	metric_set(sender->metrics.egress_ips, (int64_t)egress_count(sender->egress));
	metric_set(sender->metrics.egress_unusable, (int64_t)egress_faulty(sender->egress));
	mail_each_item(sender, item_move, sender);
	deferral_each(sender->deferral, row_move, sender);
	deferral_poke(sender->deferral, NULL);
	sender_wake(sender);
}

void
move_on_rest(void *arg, const char *lane, uint64_t until_us)
{
	struct sender *sender = arg;
	char site[SITE_NAME_MAX];

	lane_site(lane, site);
	LOG_INFO("lane rests in the whole cluster", "site", site, "egress_ip", lane_ip(lane));
	schedule_rest(sender->schedule, lane, until_us, clock_us());
	move_lanes(sender);
}

void
move_on_full(void *arg)
{
	move_lanes(arg);
}
