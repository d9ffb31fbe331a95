/*
 * limits.h - limit decisions in Redis, one Lua call each (limits.lua, embedded at build time). GCRA
 * in microseconds by the server's TIME. The keys of an account share the tag {account}.
 *
 * limits_take() takes messages from small blocks of tokens: it answers at once from this loop's
 * block and asks Redis for the next one meanwhile. With Redis down it applies limit / N on its own
 * (N: nodes seen, at least 1) and lets known clients in.
 */
#ifndef SHARED_LIMITS_H
#define SHARED_LIMITS_H

#include <stdint.h>

#include "shared/account/account.h"

struct limits;

struct limits_options {
	struct account_limits defaults; /* of accounts that set none */
	unsigned in_flight_max;         /* accepted and not yet attempted, by recipients_weight() */
	unsigned waiting_max;           /* rows waiting */
	/* How many messages of all accounts have had no attempt yet. UINT64_MAX, or NULL for the
	 * function: nobody can tell. */
	uint64_t (*queued)(void *arg);
	void *queued_arg;
};

struct limits *
limits_new(struct loop *loop, struct redis *redis, const struct limits_options *options);
void limits_free(struct limits **limits);
/* New limits from the next message on: `defaults` and the two maxima. On the limits' loop. */
void limits_change(struct limits *limits, const struct limits_options *options);

/* A username with limits of its own, beside the account's. `name` NULL: it has none. */
struct limits_user {
	const char *name;
	uint64_t messages_hour, messages_day; /* 0: no limit */
};

/*
 * Asks whether the account, by that user, may send one more message to `recipients`. The callback
 * (maybe at once) gets 0, or the seconds to wait and a static text that names the limit ("messages
 * per hour").
 */
typedef void (*limits_cb)(void *arg, unsigned wait_s, const char *which);
void limits_take(struct limits *limits, const struct account *account,
	const struct limits_user *user, unsigned recipients, limits_cb cb, void *arg);
/* Gives back a message that was taken and then not accepted. */
void limits_give_back(struct limits *limits, const struct account *account,
	const struct limits_user *user, unsigned recipients);

/* For the sender: messages of the weight `n` had their first attempt or were held; how many rows of
 * the account wait now. Sent in batches. */
void limits_attempted(struct limits *limits, const char *account, unsigned n);
void limits_waiting(struct limits *limits, const char *account, int64_t rows);

/*
 * For AUTH: whether the client's address (an IPv6 /64 counts as one) may try. wait_s > 0: it has
 * failed too often to check one more password (454). Users who logged in from the address within 30
 * days are always checked.
 */
void limits_auth_allowed(struct limits *limits, const struct net_address *client,
	const char *username, limits_cb cb, void *arg);
/* For how many ms to delay the answer, because the address fails too often. */
unsigned limits_auth_failed(struct limits *limits, const struct net_address *client);
void limits_auth_succeeded(
	struct limits *limits, const struct net_address *client, const char *username);

#endif
