/*
 * limits.h - limit decisions in Redis, one Lua call each (limits.lua, embedded at build time).
 * GCRA in microseconds with the server's TIME; the keys of an account share the tag {account}.
 *
 * The door takes messages in small blocks: limits_take() answers at once from what this loop holds
 * and asks Redis for more beside it. With Redis down it applies limit / N locally (N: nodes seen,
 * at least 1) and lets known clients in.
 */
#ifndef SHARED_LIMITS_H
#define SHARED_LIMITS_H

#include <stdint.h>

#include "shared/account/account.h"

struct limits;

struct limits_options {
	struct account_limits defaults; /* of accounts that have none of their own */
	unsigned in_flight_max;         /* accepted and not yet attempted, by recipients_weight() */
	unsigned waiting_max;           /* rows waiting */
	/* How many messages, of all accounts, have had no attempt yet; UINT64_MAX: nobody can tell.
	 * NULL: likewise. */
	uint64_t (*queued)(void *arg);
	void *queued_arg;
};

struct limits *
limits_new(struct loop *loop, struct redis *redis, const struct limits_options *options);
void limits_free(struct limits **limits);
/* Other limits, from the next message on: `defaults` and the two maxima. On its loop. */
void limits_change(struct limits *limits, const struct limits_options *options);

/*
 * May the account send one more message to `recipients`? Callback (maybe at once) with 0, or the
 * seconds to wait when not, and a static text that says which limit ("messages per hour").
 */
typedef void (*limits_cb)(void *arg, unsigned wait_s, const char *which);
void limits_take(struct limits *limits, const struct account *account, unsigned recipients,
	limits_cb cb, void *arg);
/* A taken message was not accepted after all. */
void limits_give_back(struct limits *limits, const struct account *account, unsigned recipients);

/* The sender's side: messages of the weight `n` had their first attempt, or were held; and how
 * many of its rows wait now. Sent in batches. */
void limits_attempted(struct limits *limits, const char *account, unsigned n);
void limits_waiting(struct limits *limits, const char *account, int64_t rows);

/*
 * AUTH, by the client's address (an IPv6 /64 is one). wait_s > 0: its failures are too many to
 * check one more (454); users who logged in from it within 30 days are always checked.
 */
void limits_auth_allowed(struct limits *limits, const struct net_address *client,
	const char *username, limits_cb cb, void *arg);
/* How many ms the answer has to wait, since the address fails too often. */
unsigned limits_auth_failed(struct limits *limits, const struct net_address *client);
void limits_auth_succeeded(
	struct limits *limits, const struct net_address *client, const char *username);

#endif
