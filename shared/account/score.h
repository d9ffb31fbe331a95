/*
 * score.h - what an account's mail did, counted in Redis (score:{account}) over rolling windows of
 * 5 min, 1 h, 24 h and 7 d: what its reputation is judged by.
 *
 * Counting gathers for a second and is one script call an account. It holds up nothing: without
 * Redis it gathers on, and what breaks on the way is not counted again.
 */
#ifndef SHARED_SCORE_H
#define SHARED_SCORE_H

#include <stdint.h>

struct loop;
struct redis;
struct scores;

enum score {
	SCORE_RECIPIENTS,    /* that came to an end: delivered, refused or expired */
	SCORE_HARD_BOUNCES,  /* of them: refused for good, for the recipient's sake */
	SCORE_UNKNOWN_USERS, /* of those: there is no such user */
	SCORE_VIRUSES,       /* messages */
	SCORE_ALERTS,        /* messages that clamd calls unwanted or suspicious; held or not */
	SCORES
};
#define SCORE_WINDOWS 4
/* "recipients" and so on; "5m", "1h", "24h", "7d". */
extern const char *const score_names[SCORES];
extern const char *const score_windows[SCORE_WINDOWS];

struct scores *scores_new(struct loop *loop, struct redis *redis);
/* Tells what is left, if Redis is there. Before redis_free(). Takes NULL. */
void scores_free(struct scores **scores);
/* On the loop. An empty account (our own mail) is not counted. */
void scores_add(struct scores *scores, const char *account, enum score score, unsigned n);

typedef void (*score_cb)(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES]);
/* One callback, as of redis_command(); `counts` are NULL on an error. */
void scores_read(struct redis *redis, const char *account, score_cb cb, void *arg);

#endif
