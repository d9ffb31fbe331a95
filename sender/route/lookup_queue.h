/*
 * lookup_queue.h - whose DNS look-up begins next, and how many are under way.
 *
 * Accounts take turns (fair.h), by the time that their look-ups took, and one account's leave room
 * for others; so do those below one domain, whose name servers may be slow, whoever asks. A look-up
 * counts for as long as libunbound works on any query of it, which may be longer than anybody waits
 * for its answer. One loop.
 */
#ifndef SENDER_LOOKUP_QUEUE_H
#define SENDER_LOOKUP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sender/route/dns.h"

/* Under way at once, each with a few queries of its own. */
#define LOOKUPS_MAX 128

struct lookup_queue;
struct lookup_turn;

struct lookup_queue *lookup_queue_new(struct dns *dns);
/* Nothing begins any more; before dns_free(). NULL is fine. */
void lookup_queue_stop(struct lookup_queue *queue);
/* After dns_free(), and after all turns have ended. */
void lookup_queue_free(struct lookup_queue **queue);
size_t lookup_queue_under_way(const struct lookup_queue *queue);

/* What names that are likely to have the same name servers share: the last two labels. */
const char *lookup_parent(const char *name);

/* Waits for a turn to look `name` up; `begin` is called once, never before this returns. `again`:
 * it failed before, and gives way to those of its account that did not. */
struct lookup_turn *lookup_turn_new(struct lookup_queue *queue, const char *name,
	const char *account, bool again, void (*begin)(void *arg), void *arg);
/* Another account waits for it, too: it has its turn by whichever has less to wait for. */
void lookup_turn_join(struct lookup_turn *turn, const char *account);
/* A query of it, once it has begun. */
void
lookup_turn_ask(struct lookup_turn *turn, const char *name, uint16_t type, dns_cb cb, void *arg);
/* Its answer is known, or nobody wants it. NULL is fine. */
void lookup_turn_end(struct lookup_turn *turn);

/* How long it is remembered that a look-up failed, so many times in a row: longer and longer, but
 * no longer than any mail waits before it is tried again. */
uint32_t lookup_defer_ttl_s(unsigned failures, uint64_t retry_max_ms);

#endif
