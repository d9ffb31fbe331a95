/*
 * attempt.h - how often somebody may try a password, a code, or have a reset mailed. In Redis, so
 * that several control processes count together.
 *
 * From the fifth failure on there is a wait that doubles: for the pair of login and network (up to
 * 5 min), for the network (1 min; of IPv6 a /48), and for the login (30 s). Where the person has
 * logged in from the network before, only the pair counts: no stranger's failures elsewhere make
 * the person wait. Counts are kept in 65,536 places each and end an hour after the last attempt, so
 * that strangers cost bounded keys; two that share a place wait for each other, which is rare, and
 * bounded.
 */
#ifndef CONTROL_ATTEMPT_H
#define CONTROL_ATTEMPT_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/person_entry.h"
#include "shared/base/net.h"

struct redis;

#define ATTEMPT_FREE 5   /* failures without a wait */
#define RESETS_LOGIN 3   /* mails a day to one login */
#define RESETS_CLIENT 10 /* questions an hour of one network */

struct attempt {
	char login[LOGIN_SIZE];     /* whatever was typed */
	char network[NET_TEXT_MAX]; /* an IPv6 /64 is one */
	char wide[NET_TEXT_MAX];    /* whose failures count together: an IPv6 /48, or the same */
};

/* `client`: an address. */
void attempt_init(struct attempt *attempt, const char *login, const char *client);

/* `wait_s` 0: go on. The attempt counts as failed until attempt_good(), so that many at once are
 * counted, too. err: of redis.h, or -EIO. */
typedef void (*attempt_cb)(void *arg, int err, unsigned wait_s);
void attempt_begin(struct redis *redis, const struct attempt *attempt, attempt_cb cb, void *arg);
/* It was right. `is_new`: the person logged in before, but never from this network. */
typedef void (*attempt_good_cb)(void *arg, int err, bool is_new);
void
attempt_good(struct redis *redis, const struct attempt *attempt, attempt_good_cb cb, void *arg);
/* When each of the people ([{"login"}, ...]) last proved who he is: an array of times in s since
 * 1970, 0 for never or not known; NULL when Redis does not answer. `times` goes after the call. */
typedef void (*attempt_last_cb)(void *arg, const json_t *times);
void attempt_last(struct redis *redis, const json_t *people, attempt_last_cb cb, void *arg);
/* Whether a reset may be mailed: wait_s is 0 then. */
void attempt_reset(struct redis *redis, const struct attempt *attempt, attempt_cb cb, void *arg);

#endif
