/*
 * score.h - what an account's mail did: the numbers that its reputation is judged by. Redis counts
 * them (score:{account}) over rolling windows of 5 min, 1 h, 24 h and 7 d.
 *
 * Counts are gathered for a second and sent in one script call for each account. Nothing waits for
 * that: without Redis the gathering goes on, and counts of a call that breaks are lost.
 */
#ifndef SHARED_SCORE_H
#define SHARED_SCORE_H

#include <stdint.h>

struct loop;
struct redis;
struct scores;

enum score {
	SCORE_RECIPIENTS,    /* that were delivered, refused or expired */
	SCORE_HARD_BOUNCES,  /* recipients refused for good, for their own sake */
	SCORE_UNKNOWN_USERS, /* hard bounces because there is no such user */
	SCORE_VIRUSES,       /* messages */
	SCORE_ALERTS,        /* messages that clamd calls unwanted or suspicious; held or not */
	SCORES
};
#define SCORE_WINDOWS 4
/* "recipients" and so on; "5m", "1h", "24h", "7d". */
extern const char *const score_names[SCORES];
extern const char *const score_windows[SCORE_WINDOWS];

struct scores *scores_new(struct loop *loop, struct redis *redis);
/* Sends the last counts, if Redis is up. Call it before redis_free(). Takes NULL. */
void scores_free(struct scores **scores);
/* On the loop. Our own mail (account "") is not counted. */
void scores_add(struct scores *scores, const char *account, enum score score, unsigned n);

typedef void (*score_cb)(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES]);
/* One callback, as for redis_command(). `counts` is NULL on an error. */
void scores_read(struct redis *redis, const char *account, score_cb cb, void *arg);

#endif
