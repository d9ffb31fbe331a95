/*
 * limits_auth.c - how often a password may be wrong: by address, never by user.
 *
 * ingress's AUTH -> [limits_auth] -> Redis
 *
 * Failures fill a bucket of the client's address, whatever names the client tries. An address is an
 * IPv4 address or an IPv6 /64; the /48 around it has a larger bucket as well. When the bucket is
 * full, AUTH is refused without a check, except for users who logged in from the address within 30
 * days: one misconfigured printer behind an office's NAT does not lock out the office's mail
 * server. Failures of such users are answered late instead. Nothing is counted by user: a guesser
 * would lock the customer out. Passwords are random (control/account/accounts.c), so guessing from
 * many addresses fails, too.
 *
 * Each loop has a copy of the addresses it saw last, and asks Redis for an address at most once in
 * FRESH_MS. Without Redis the copy decides: the loop's own failures and the users it knows.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/account/limits_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define FAILURES 20u          /* at once */
#define FAILURE_US 6000000ull /* until one failure is forgotten */
#define WIDE 16u              /* an IPv6 /48 may fail as often as so many addresses */
#define LATE_MS 5000u         /* how late a failure beyond them is answered */
#define FRESH_MS 5000u
#define TOLD_MS 60000u /* how long a success need not be reported again */
#define VISITORS_MAX 10000u
#define USERS_MAX 100u /* known at one address */
#define TEXT_SIZE 64
#define KEY_SIZE 192

/* A user who is known at an address. */
struct user {
	char *name;       /* in lower case */
	uint64_t told_ms; /* when Redis was last told of a success; 0: never */
};

struct auth_waiter {
	struct auth_waiter *next;
	struct visitor *wide;
	char *username;
	limits_cb cb;
	void *arg;
};

/* A request under way. It outlives the visitor when the limits are freed. */
struct look {
	struct visitor *visitor, *wide;
};

/* An address, or the /48 around an IPv6 address. */
struct visitor {
	UT_hash_handle hh;
	char text[TEXT_SIZE]; /* the key */
	uint64_t empty_us;    /* when all of its failures are forgotten */
	uint64_t fetched_ms;
	struct user *users; /* the latest is last */
	size_t users_count;
	struct auth_waiter *waiters;
	struct look *look;
	unsigned references; /* other visitors' looks and waiters that point here */
};

struct auth_limits {
	struct visitor *visitors; /* the latest is last */
};

/* The parts of a client's address that are counted. `wide` is NULL for IPv4. */
struct place {
	struct visitor *own, *wide;
};

/* ---- visitors ---- */

static void
users_clear(struct visitor *visitor)
{
	for (size_t i = 0; i < visitor->users_count; i++)
		free(visitor->users[i].name);
	free(visitor->users);
	visitor->users = NULL;
	visitor->users_count = 0;
}

static void
visitor_free(struct auth_limits *auth, struct visitor *visitor)
{
	HASH_DEL(auth->visitors, visitor);
	users_clear(visitor);
	free(visitor);
}

static void
forget_oldest(struct auth_limits *auth)
{
	struct visitor *visitor = auth->visitors;

	while (visitor && (visitor->look || visitor->references))
		visitor = visitor->hh.next;
	if (visitor)
		visitor_free(auth, visitor);
}

static struct visitor *
visitor_get(struct auth_limits *auth, const char *text)
{
	struct visitor *visitor;

	HASH_FIND_STR(auth->visitors, text, visitor);
	if (visitor) {
		HASH_DEL(auth->visitors, visitor);
	} else {
		if (HASH_COUNT(auth->visitors) >= VISITORS_MAX)
			forget_oldest(auth);
		visitor = xcalloc(1, sizeof *visitor);
		snprintf(visitor->text, sizeof visitor->text, "%s", text);
	}
	HASH_ADD_STR(auth->visitors, text, visitor);
	return visitor;
}

static struct place
place_of(struct auth_limits *auth, const struct net_address *client)
{
	char ip[NET_TEXT_MAX], text[NET_TEXT_MAX], prefix[INET6_ADDRSTRLEN];
	char wide[TEXT_SIZE];
	struct in6_addr address;
	struct place place = { 0 };

	net_format_ip(client, ip);
	if (account_network_text(ip, text) < 0)
		snprintf(text, sizeof text, "%s", ip);
	place.own = visitor_get(auth, text);
	if (inet_pton(AF_INET6, ip, &address) == 1) {
		memset(&address.s6_addr[6], 0, 10);
		inet_ntop(AF_INET6, &address, prefix, sizeof prefix);
		snprintf(wide, sizeof wide, "%s/48", prefix);
		place.wide = visitor_get(auth, wide);
	}
	return place;
}

struct auth_limits *
auth_limits_new(void)
{
	return xcalloc(1, sizeof(struct auth_limits));
}

/* ---- buckets ---- */

/* Seconds until one more failure fits. */
static unsigned
bucket_wait(const struct visitor *visitor, unsigned most)
{
	const uint64_t now = clock_mono_us();

	if (!visitor || visitor->empty_us <= now + (most - 1) * FAILURE_US)
		return 0;
	return (unsigned)((visitor->empty_us - now - (most - 1) * FAILURE_US) / 1000000) + 1;
}

static unsigned
place_wait(struct place place)
{
	const unsigned own = bucket_wait(place.own, FAILURES);
	const unsigned wide = bucket_wait(place.wide, FAILURES * WIDE);

	return own > wide ? own : wide;
}

/* A bucket overflows by one more bucket at most, so nobody waits longer than for two. */
static void
bucket_fill(struct visitor *visitor, unsigned most)
{
	const uint64_t now = clock_mono_us(), full = now + 2ull * most * FAILURE_US;

	if (!visitor)
		return;
	if (visitor->empty_us < now)
		visitor->empty_us = now;
	visitor->empty_us += FAILURE_US;
	if (visitor->empty_us > full)
		visitor->empty_us = full;
}

static void
bucket_take_over(struct visitor *visitor, int64_t ahead_us)
{
	const uint64_t empty_us = clock_mono_us() + (uint64_t)(ahead_us > 0 ? ahead_us : 0);

	if (visitor && visitor->empty_us < empty_us)
		visitor->empty_us = empty_us;
}

/* ---- users ---- */

static struct user *
user_find(const struct visitor *visitor, const char *name)
{
	for (size_t i = 0; i < visitor->users_count; i++)
		if (strcasecmp(visitor->users[i].name, name) == 0)
			return &visitor->users[i];
	return NULL;
}

static struct user *
user_add(struct visitor *visitor, const char *name)
{
	struct user *user = user_find(visitor, name);

	if (user)
		return user;
	if (visitor->users_count == USERS_MAX) {
		free(visitor->users[0].name);
		memmove(visitor->users, visitor->users + 1,
			--visitor->users_count * sizeof *visitor->users);
	}
	visitor->users = xrealloc(
		visitor->users, (visitor->users_count + 1) * sizeof *visitor->users);
	user = &visitor->users[visitor->users_count++];
	*user = (struct user){ .name = xstrdup(name) };
	for (char *c = user->name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	return user;
}

/* Takes over the users that Redis names, and keeps those whose success Redis may not know yet. */
static void
users_take_over(struct visitor *visitor, const struct redis_reply *names)
{
	struct visitor old = *visitor;

	visitor->users = NULL;
	visitor->users_count = 0;
	for (size_t i = 0; i < redis_reply_count(names); i++) {
		const char *name = redis_reply_str(redis_reply_at(names, i), NULL);
		const struct user *before = name ? user_find(&old, name) : NULL;

		if (name)
			user_add(visitor, name)->told_ms = before ? before->told_ms : 0;
	}
	for (size_t i = 0; i < old.users_count; i++)
		if (clock_mono_ms() - old.users[i].told_ms < TOLD_MS && old.users[i].told_ms)
			user_add(visitor, old.users[i].name)->told_ms = old.users[i].told_ms;
	users_clear(&old);
}

/* ---- Redis ---- */

/* KEYS: failures of the address, users known there, failures of its /48. */
static void
run(struct limits *limits, const char *operation, struct place place, const char *username,
	redis_cb cb, void *arg)
{
	const char *own = place.own->text, *tag = place.wide ? place.wide->text : own;
	char keys[3][KEY_SIZE], cost[24], most[24], most_wide[24];
	const char *argv[] = { keys[0], keys[1], keys[2], operation, username, cost, most,
		most_wide };

	/* All keys of a decision share one tag. */
	snprintf(keys[0], KEY_SIZE, "auth:{%s}:failed:%s", tag, own);
	snprintf(keys[1], KEY_SIZE, "auth:{%s}:known:%s", tag, own);
	snprintf(keys[2], KEY_SIZE, "auth:{%s}:failed", tag);
	snprintf(cost, sizeof cost, "%llu", FAILURE_US);
	snprintf(most, sizeof most, "%u", FAILURES);
	snprintf(most_wide, sizeof most_wide, "%u", place.wide ? FAILURES * WIDE : 0);
	redis_run(limits->redis, &limits_script, LIMITS_TIMEOUT_MS, cb, arg, 3, 8, argv);
}

static void
answer(struct place place, const char *username, limits_cb cb, void *arg)
{
	const unsigned wait_s = user_find(place.own, username) ? 0 : place_wait(place);

	cb(arg, wait_s, wait_s ? "authentication failures" : NULL);
}

static void
answer_waiters(struct visitor *visitor)
{
	struct auth_waiter *waiter = visitor->waiters, *next;

	visitor->waiters = NULL;
	for (; waiter; waiter = next) {
		next = waiter->next;
		if (waiter->wide)
			waiter->wide->references--;
		answer((struct place){ visitor, waiter->wide }, waiter->username, waiter->cb,
			waiter->arg);
		free(waiter->username);
		free(waiter);
	}
}

static void
on_looked(void *arg, int err, const struct redis_reply *reply)
{
	struct look *look = arg;
	struct visitor *visitor = look->visitor;

	if (visitor) {
		visitor->look = NULL;
		if (look->wide)
			look->wide->references--;
		if (!err && redis_reply_count(reply) == 3) {
			bucket_take_over(visitor, redis_reply_int(redis_reply_at(reply, 0)));
			bucket_take_over(look->wide, redis_reply_int(redis_reply_at(reply, 1)));
			users_take_over(visitor, redis_reply_at(reply, 2));
			visitor->fetched_ms = clock_mono_ms();
		}
		limits_on_told(NULL, err, reply);
		visitor->references++; /* the callbacks may drop the visitor */
		answer_waiters(visitor);
		visitor->references--;
	}
	free(look);
}

static void
look(struct limits *limits, struct place place)
{
	if (place.own->look)
		return;
	place.own->look = xmalloc(sizeof *place.own->look);
	*place.own->look = (struct look){ place.own, place.wide };
	if (place.wide)
		place.wide->references++;
	run(limits, "auth_look", place, "", on_looked, place.own->look);
}

/* ---- what AUTH asks ---- */

void
limits_auth_allowed(struct limits *limits, const struct net_address *client, const char *username,
	limits_cb cb, void *arg)
{
	const struct place place = place_of(limits->auth, client);
	const uint64_t fetched_ms = place.own->fetched_ms;
	struct auth_waiter *waiter;

	if ((fetched_ms && clock_mono_ms() - fetched_ms < FRESH_MS) || !redis_up(limits->redis)) {
		answer(place, username, cb, arg);
		return;
	}
	waiter = xmalloc(sizeof *waiter);
	*waiter = (struct auth_waiter){ place.own->waiters, place.wide, xstrdup(username), cb,
		arg };
	place.own->waiters = waiter;
	if (place.wide)
		place.wide->references++;
	look(limits, place);
}

unsigned
limits_auth_failed(struct limits *limits, const struct net_address *client)
{
	const struct place place = place_of(limits->auth, client);
	const unsigned late_ms = place_wait(place) ? LATE_MS : 0;

	bucket_fill(place.own, FAILURES);
	bucket_fill(place.wide, FAILURES * WIDE);
	run(limits, "auth_failed", place, "", limits_on_told, NULL);
	return late_ms;
}

void
limits_auth_succeeded(struct limits *limits, const struct net_address *client, const char *username)
{
	const struct place place = place_of(limits->auth, client);
	struct user *user = user_add(place.own, username);
	const uint64_t now = clock_mono_ms();

	if (user->told_ms && now - user->told_ms < TOLD_MS)
		return;
	user->told_ms = now;
	run(limits, "auth_succeeded", place, user->name, limits_on_told, NULL);
}

/* Waiters are let through: limits that end lock nobody out. */
void
auth_limits_free(struct auth_limits **auth)
{
	struct visitor *v, *next;

	for (v = (*auth)->visitors; v; v = v->hh.next) {
		if (v->look)
			v->look->visitor = NULL;
		answer_waiters(v);
	}
	HASH_ITER (hh, (*auth)->visitors, v, next)
		visitor_free(*auth, v);
	free(*auth);
	*auth = NULL;
}
