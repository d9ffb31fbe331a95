/*
 * limit_watch.h - tells accounts that a limit of theirs is nearly reached, or is.
 *
 * The leading control process looks at the counters in Redis of all active accounts, a few hundred
 * a second. An account is told at the parts of a limit that it chose (account_alerts.h), once a day
 * for each.
 */
#ifndef CONTROL_LIMIT_WATCH_H
#define CONTROL_LIMIT_WATCH_H

#include <stdint.h>

#include <jansson.h>

struct config;
struct directory;
struct leader;
struct limit_watch;
struct loop;
struct mailings;
struct redis;

struct limit_watch *
limit_watch_new(struct loop *loop, const struct config *config, struct redis *redis,
	const struct directory *directory, struct mailings *mailings, const struct leader *leader);
/* Once the directory is whole. On the loop. */
void limit_watch_start(struct limit_watch *watch);
/* No look begins after this call. On the loop. */
void limit_watch_close(struct limit_watch *watch);
/* Call it after redis_free(). Takes NULL. */
void limit_watch_free(struct limit_watch **watch);

/* How much of a limit is used, by the theoretical arrival time in Redis (limits.lua): messages or
 * recipients, from 0 to `limit`. Pure. */
double limit_used(uint64_t limit, uint64_t period_us, uint64_t tat_us, uint64_t now_us);
/* The greatest of the percents (a JSON list) that is reached; 0: none is. Pure. */
unsigned limit_reached(const json_t *percents, uint64_t limit, double used);

#endif
