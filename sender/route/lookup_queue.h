/*
 * lookup_queue.h - whose DNS look-up begins next, and how many are under way.
 *
 * Accounts take turns (fair.h), by the time that their look-ups took, and no account takes all the
 * room. No parent domain takes all the room either, whoever asks: its name servers may be slow. A
 * look-up counts for as long as libunbound works on any of its queries, which may be longer than
 * anybody waits for the answer. One loop.
 */
#ifndef SENDER_LOOKUP_QUEUE_H
#define SENDER_LOOKUP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/dns/dns.h"

/* Look-ups under way at the same time, each with a few queries. */
#define LOOKUPS_MAX 128

struct lookup_queue;
struct lookup_turn;

struct lookup_queue *lookup_queue_new(struct dns *dns);
/* Stops beginning look-ups. Call it before dns_free(). Takes NULL. */
void lookup_queue_stop(struct lookup_queue *queue);
/* Call it after dns_free(), and after all turns have ended. */
void lookup_queue_free(struct lookup_queue **queue);
size_t lookup_queue_under_way(const struct lookup_queue *queue);

/* The parent of a name, its last two labels: names with one parent are likely to have the same name
 * servers. */
const char *lookup_parent(const char *name);

/* Waits for a turn to look `name` up. Calls `begin` once, never before lookup_turn_new() returns.
 * `again`: the look-up failed before, and gives way to its account's other look-ups. */
struct lookup_turn *lookup_turn_new(struct lookup_queue *queue, const char *name,
	const char *account, bool again, void (*begin)(void *arg), void *arg);
/* Another account waits for the look-up, too: its turn comes by the account that has less to wait
 * for. */
void lookup_turn_join(struct lookup_turn *turn, const char *account);
/* Adds a query to a look-up that has begun. */
void
lookup_turn_ask(struct lookup_turn *turn, const char *name, uint16_t type, dns_cb cb, void *arg);
/* Ends the turn: the answer is known, or nobody wants it. Takes NULL. */
void lookup_turn_end(struct lookup_turn *turn);

/* How long a failure is remembered after so many failures in a row: longer and longer, but no
 * longer than any mail waits before it is tried again. */
uint32_t lookup_defer_ttl_s(unsigned failures, uint64_t retry_max_ms);

#endif
