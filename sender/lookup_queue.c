/*
 * lookup_queue.c - whose DNS look-up begins next.
 *
 * site, site_address -> [lookup_queue] -> dns
 *
 * A turn is freed when its asker and libunbound are both done with it.
 */
#include "sender/lookup_queue.h"

#include <stdlib.h>

#include <event2/event.h>

#include "shared/fair.h"
#include "shared/log.h"
#include "shared/loop.h"

#define TURN_MS 500 /* what an account gets a round */
#define DEFER_TTL_S 30
#define DEFER_TTL_MAX_S 3600
#define COST_MS 50 /* what a look-up takes, as far as anybody knows */

struct lookup_queue {
	struct dns *dns;
	struct fair *fair;
	struct event *next;
	size_t under_way;
	bool stopped;
};

struct lookup_turn {
	struct fair_entry entry; /* first */
	struct lookup_queue *queue;
	void (*begin)(void *arg);
	void *arg;
	unsigned queries; /* libunbound works on */
	bool begun, ended;
	uint64_t begun_ms;
};

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
	struct lookup_queue *queue = arg;
	struct lookup_turn *turn;

	(void)fd, (void)what;
	while (!queue->stopped &&
		(turn = (struct lookup_turn *)fair_take(queue->fair, LOOKUPS_MAX))) {
		turn->begun = true;
		turn->begun_ms = clock_mono_ms();
		queue->under_way++;
		turn->begin(turn->arg);
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
		fair_done(queue->fair, &turn->entry, (unsigned)(clock_mono_ms() - turn->begun_ms));
		event_active(queue->next, 0, 0);
	} else {
		fair_remove(queue->fair, &turn->entry);
	}
	free(turn);
}

struct lookup_queue *
lookup_queue_new(struct dns *dns)
{
	struct lookup_queue *queue = xcalloc(1, sizeof *queue);

	queue->dns = dns;
	queue->fair = fair_new(TURN_MS);
	queue->next = event_new(loop_base(dns_loop(dns)), -1, 0, on_next, queue);
	if (!queue->next)
		die("out of memory", "event_new");
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
	event_free(queue->next);
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
lookup_turn_new(struct lookup_queue *queue, const char *account, bool again,
	void (*begin)(void *arg), void *arg)
{
	struct lookup_turn *turn = xcalloc(1, sizeof *turn);

	turn->queue = queue;
	turn->begin = begin;
	turn->arg = arg;
	fair_add(queue->fair, &turn->entry, account, COST_MS, again);
	event_active(queue->next, 0, 0);
	return turn;
}

void
lookup_turn_join(struct lookup_turn *turn, const char *account)
{
	fair_join(turn->queue->fair, &turn->entry, account);
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
