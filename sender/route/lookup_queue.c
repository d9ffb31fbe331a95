/*
 * lookup_queue.c - whose DNS look-up begins next.
 *
 * site, site_address -> [lookup_queue] -> dns
 *
 * A turn is freed when its asker and libunbound are both done with it. A turn whose parent domain
 * has its share stands aside with the other turns of that parent, by account, until some of the
 * running ones end.
 */
#include "sender/route/lookup_queue.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/fair.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/base/timer.h"

#define TURN_MS 500 /* an account's time in each round */
#define DEFER_TTL_S 30
#define DEFER_TTL_MAX_S 3600
#define COST_MS 50 /* a look-up's time, before it is known */
#define EASED 2    /* turns that come back for each one that ended */

struct parent {
	UT_hash_handle hh;
	size_t turns, under_way;
	struct fair *aside;
	char name[];
};

struct lookup_queue {
	struct dns *dns;
	struct fair *fair;
	struct timer next;
	struct parent *parents;
	size_t under_way;
	bool stopped;
};

struct lookup_turn {
	struct fair_entry entry; /* first */
	struct lookup_queue *queue;
	struct parent *parent;
	void (*begin)(void *arg);
	void *arg;
	unsigned queries; /* that libunbound works on */
	bool begun, ended, aside;
	uint64_t begun_ms;
};

const char *
lookup_parent(const char *name)
{
	const char *parent = name + strlen(name);

	for (unsigned dots = 0; parent > name; parent--)
		if (parent[-1] == '.' && ++dots == 2)
			break;
	return parent;
}

static struct parent *
parent_get(struct lookup_queue *queue, const char *name)
{
	struct parent *parent;

	NAMED_GET(queue->parents, name, name, parent);
	if (!parent->aside)
		parent->aside = fair_new(TURN_MS);
	return parent;
}

static struct fair *
turn_fair(const struct lookup_turn *turn)
{
	return turn->aside ? turn->parent->aside : turn->queue->fair;
}

static void
turn_move(struct lookup_turn *turn, bool aside)
{
	char *account = xstrdup(fair_account_of(&turn->entry));
	const bool again = turn->entry.again;

	fair_remove(turn_fair(turn), &turn->entry);
	turn->aside = aside;
	fair_add(turn_fair(turn), &turn->entry, account, COST_MS, again);
	free(account);
}

static void
parent_leave(struct lookup_queue *queue, struct parent *parent)
{
	struct fair_entry *entry;

	for (int i = 0; i < EASED && (entry = fair_peek(parent->aside, FAIR_ENDLESS)); i++)
		turn_move((struct lookup_turn *)entry, false);
	if (--parent->turns)
		return;
	fair_free(&parent->aside);
	HASH_DEL(queue->parents, parent);
	free(parent);
}

static void
turn_begin(struct lookup_turn *turn)
{
	fair_take(turn->queue->fair, LOOKUPS_MAX);
	turn->begun = true;
	turn->begun_ms = clock_mono_ms();
	turn->queue->under_way++;
	turn->parent->under_way++;
	turn->begin(turn->arg);
}

static void
on_next(void *arg)
{
	struct lookup_queue *queue = arg;
	struct lookup_turn *turn;

	while (!queue->stopped &&
		(turn = (struct lookup_turn *)fair_peek(queue->fair, LOOKUPS_MAX))) {
		if (fair_allows(turn->parent->under_way, LOOKUPS_MAX - queue->under_way))
			turn_begin(turn);
		else
			turn_move(turn, true);
	}
}

static void
turn_free_if_over(struct lookup_turn *turn)
{
	struct lookup_queue *queue = turn->queue;

	if (!turn->ended || turn->queries)
		return;
	if (turn->begun) {
		queue->under_way--;
		turn->parent->under_way--;
		fair_done(queue->fair, &turn->entry, (unsigned)(clock_mono_ms() - turn->begun_ms));
	} else {
		fair_remove(turn_fair(turn), &turn->entry);
	}
	parent_leave(queue, turn->parent);
	timer_soon(&queue->next);
	free(turn);
}

struct lookup_queue *
lookup_queue_new(struct dns *dns)
{
	struct lookup_queue *queue = xcalloc(1, sizeof *queue);

	queue->dns = dns;
	queue->fair = fair_new(TURN_MS);
	timer_init(&queue->next, dns_loop(dns), on_next, queue);
	return queue;
}

void
lookup_queue_stop(struct lookup_queue *queue)
{
	if (queue)
		queue->stopped = true;
}

void
lookup_queue_free(struct lookup_queue **queue_ref)
{
	struct lookup_queue *queue = *queue_ref;

	if (!queue)
		return;
	timer_cancel(&queue->next);
	fair_free(&queue->fair);
	free(queue);
	*queue_ref = NULL;
}

size_t
lookup_queue_under_way(const struct lookup_queue *queue)
{
	return queue->under_way;
}

struct lookup_turn *
lookup_turn_new(struct lookup_queue *queue, const char *name, const char *account, bool again,
	void (*begin)(void *arg), void *arg)
{
	struct lookup_turn *turn = xcalloc(1, sizeof *turn);

	turn->queue = queue;
	turn->parent = parent_get(queue, lookup_parent(name));
	turn->parent->turns++;
	turn->begin = begin;
	turn->arg = arg;
	fair_add(queue->fair, &turn->entry, account, COST_MS, again);
	timer_soon(&queue->next);
	return turn;
}

void
lookup_turn_join(struct lookup_turn *turn, const char *account)
{
	fair_join(turn_fair(turn), &turn->entry, account);
}

static void
on_over(void *arg)
{
	struct lookup_turn *turn = arg;

	turn->queries--;
	turn_free_if_over(turn);
}

void
lookup_turn_ask(struct lookup_turn *turn, const char *name, uint16_t type, dns_cb cb, void *arg)
{
	turn->queries++;
	dns_query_over(dns_resolve(turn->queue->dns, name, type, cb, arg), on_over, turn);
}

void
lookup_turn_end(struct lookup_turn *turn)
{
	if (!turn)
		return;
	turn->ended = true;
	turn_free_if_over(turn);
}

uint32_t
lookup_defer_ttl_s(unsigned failures, uint64_t retry_max_ms)
{
	const uint64_t retry_s = retry_max_ms / 1000;
	uint32_t ttl_s = DEFER_TTL_S;

	while (failures-- > 1 && ttl_s < DEFER_TTL_MAX_S)
		ttl_s *= 2;
	if (ttl_s > DEFER_TTL_MAX_S)
		ttl_s = DEFER_TTL_MAX_S;
	return ttl_s > retry_s ? (uint32_t)retry_s : ttl_s;
}
