/*
 * redis_master.c - the master behind the sentinels: found, asked for its role, left for another.
 *
 * The sentinels say where the master is; only the server itself says whether it is one (ROLE), for
 * a sentinel may know of a failover late. So a demoted master is never written to, from the first
 * command on. An old master that the others cannot reach still calls itself the master: it is left
 * once more than half of the sentinels name another one.
 *
 * Each question to a sentinel is a short connection of its own, so nothing waits for a sentinel
 * that hangs. A sentinel that is itself not on this machine, but names an address of loopback or
 * none at all, was told of its master by that address: here that would be another Redis, or nobody.
 */
#include "shared/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "shared/base/text.h"
#include "shared/redis/redis_private.h"
#include "shared/redis/sentinels.h"

#define ASK_MS 1000 /* one sentinel's time, from connecting to its answer */
#define ROLE_TIMEOUT_MS 2000

static const char *const role[] = { "ROLE" };

/* One sentinel */

struct question {
	LIST_ENTRY(question) entry;
	struct redis *redis, *link;
	unsigned i;
	bool alone; /* belongs neither to a search nor to a poll */
	bool over;  /* the question is being freed; the link's last word does not count */
	redis_sentinel_cb cb;
	void *arg;
};

static void
question_free(struct question *question)
{
	LIST_REMOVE(question, entry);
	question->over = true;
	redis_free(&question->link);
	free(question);
}

/* "host:port" out of the two strings that a sentinel answers. Neither is trusted to be one. */
static bool
address_of(const struct redis_reply *reply, char *out, size_t size)
{
	static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    ".-_";
	const struct redis_reply *host = redis_reply_at(reply, 0), *port = redis_reply_at(reply, 1);
	struct net_address address;
	const char *name, *number;
	long value;

	if (redis_reply_kind(host) != REDIS_STR || redis_reply_kind(port) != REDIS_STR)
		return false;
	name = redis_reply_str(host, NULL);
	number = redis_reply_str(port, NULL);
	value = strspn(number, "0123456789") == strlen(number) ? strtol(number, NULL, 10) : 0;
	if (value < 1 || value > 65535)
		return false;
	if (net_parse_ip(name, (uint16_t)value, &address) == 0) {
		net_format(&address, out);
		return true;
	}
	return *name && name[strspn(name, signs)] == '\0' &&
		(size_t)snprintf(out, size, "%s:%ld", name, value) < size;
}

/* Whether the address means the machine of who asks, and the sentinel is on another one. */
static bool
is_its_own(const struct redis *link, const char *text)
{
	struct net_address named, peer;
	char ip[NET_TEXT_MAX];

	if (net_parse(text, &named) < 0)
		return false;
	net_format_ip(&named, ip);
	if (strcmp(ip, "0.0.0.0") == 0 || strcmp(ip, "::") == 0)
		return true;
	return net_is_loopback(&named) &&
		(net_peer(bufferevent_getfd(link->bev), &peer) < 0 || !net_is_loopback(&peer));
}

/* Reads an answer. "" is a good one, with the address. */
static const char *
judge(const struct question *question, const struct redis_reply *reply, char *address, char *why)
{
	const char *text;

	switch (redis_reply_kind(reply)) {
	case REDIS_NIL: return "it knows no such master";
	case REDIS_ERR:
		text = redis_reply_str(reply, NULL);
		text_clean(why, SENTINEL_WHY_SIZE, 0, text, strlen(text));
		return why;
	default: break;
	}
	if (redis_reply_count(reply) != 2 || !address_of(reply, address, SENTINEL_ADDRESS_SIZE))
		return "its answer is no address";
	if (!is_its_own(question->link, address))
		return "";
	snprintf(why, SENTINEL_WHY_SIZE, "it names its own loopback address, %s", address);
	return why;
}

static const char *
no_answer(const struct question *question, char *why)
{
	const char *text = redis_why(question->link);

	if (!*text)
		return "no answer within a second";
	text_clean(why, SENTINEL_WHY_SIZE, 0, text, strlen(text));
	return why;
}

static void
on_answer(void *arg, int err, const struct redis_reply *reply)
{
	struct question *question = arg;
	const redis_sentinel_cb cb = question->cb;
	void *cb_arg = question->arg;
	char address[SENTINEL_ADDRESS_SIZE] = "", buffer[SENTINEL_WHY_SIZE];
	const char *why;

	if (question->over)
		return;
	why = err ? no_answer(question, buffer) : judge(question, reply, address, buffer);
	sentinels_measure(question->redis->sentinels, question->i, why);
	question_free(question);
	cb(cb_arg, *why ? NULL : address, why);
}

static struct question *
question_ask(struct redis *redis, unsigned i, redis_sentinel_cb cb, void *arg)
{
	const char *const words[] = { "SENTINEL", "get-master-addr-by-name", redis->master };
	struct question *question = xcalloc(1, sizeof *question);

	*question = (struct question){ .redis = redis, .i = i, .cb = cb, .arg = arg };
	LIST_INSERT_HEAD(&redis->questions, question, entry);
	question->link = redis_new_aside(redis->loop, sentinels_address(redis->sentinels, i),
		redis->sentinel_password, redis->tls);
	redis_command(question->link, ASK_MS, on_answer, question, 3, words, NULL);
	return question;
}

static void
ask_one(void *arg, unsigned i, redis_sentinel_cb cb, void *cb_arg)
{
	question_ask(arg, i, cb, cb_arg);
}

void
redis_ask_sentinel(struct redis *redis, unsigned i, redis_sentinel_cb cb, void *arg)
{
	question_ask(redis, i, cb, arg)->alone = true;
}

static void
questions_end(struct redis *redis, bool alone_too)
{
	struct question *question, *following;

	for (question = LIST_FIRST(&redis->questions); question; question = following) {
		following = LIST_NEXT(question, entry);
		if (alone_too || !question->alone)
			question_free(question);
	}
}

/* The search */

void
redis_master_init(struct redis *redis, const struct redis_options *options)
{
	redis->sentinels = sentinels_new(redis->loop, options, ask_one, redis);
	redis->master = xstrdup(options->master);
	if (options->sentinel_password)
		redis->sentinel_password = xstrdup(options->sentinel_password);
	LIST_INIT(&redis->questions);
	snprintf(redis->label, sizeof redis->label, "master %s", redis->master);
}

void
redis_master_free(struct redis *redis)
{
	questions_end(redis, true);
	sentinels_free(&redis->sentinels);
}

static void
on_found(void *arg, const char *address, const char *why)
{
	struct redis *redis = arg;

	if (!address) {
		snprintf(redis->label, sizeof redis->label, "master %s", redis->master);
		redis_give_up(redis, why);
		return;
	}
	redis->state = ST_CONNECTING;
	redis_set_address(redis, address);
	snprintf(redis->label, sizeof redis->label, "master %s at %s", redis->master, address);
	redis_connect(redis);
}

void
redis_master_search(struct redis *redis)
{
	redis->state = ST_SEARCHING;
	sentinels_search(redis->sentinels, on_found, redis);
}

/* The role */

/* Writes what speaks against the server; "" when it says that it is a master. */
static void
judge_role(const struct redis_reply *reply, char *out, size_t size)
{
	const size_t count = redis_reply_count(reply);
	const char *words[3] = { "", "", "" };
	size_t used;

	for (size_t i = 0; i < 2 && i < count; i++)
		if (redis_reply_kind(redis_reply_at(reply, i)) == REDIS_STR)
			words[i] = redis_reply_str(redis_reply_at(reply, i), NULL);
	if (strcmp(words[0], "master") == 0) {
		*out = '\0';
	} else if (strcmp(words[0], "slave") == 0) {
		used = (size_t)snprintf(
			out, size, "it is a replica, not the master; its master is ");
		text_clean(out, size, used, words[1], strlen(words[1]));
	} else {
		snprintf(out, size, "it does not say that it is a master");
	}
}

void
redis_master_ask(struct redis *redis)
{
	if (!redis->sentinels)
		return;
	snprintf(redis->doubt, sizeof redis->doubt, "it does not say that it is a master");
	redis_hello_ask(redis, 1, role);
}

void
redis_master_take(struct redis *redis, const redisReply *reply)
{
	if (redis->sentinels && reply->type == REDIS_REPLY_ARRAY)
		judge_role((const struct redis_reply *)reply, redis->doubt, sizeof redis->doubt);
}

const char *
redis_master_doubt(const struct redis *redis)
{
	return *redis->doubt ? redis->doubt : NULL;
}

static void
on_role(void *arg, int err, const struct redis_reply *reply)
{
	struct redis *redis = arg;

	if (err || redis_reply_kind(reply) == REDIS_ERR)
		return;
	judge_role(reply, redis->doubt, sizeof redis->doubt);
	if (*redis->doubt)
		redis_give_up(redis, redis->doubt);
}

void
redis_master_pulse(struct redis *redis)
{
	if (redis->sentinels)
		redis_command(redis, ROLE_TIMEOUT_MS, on_role, redis, 1, role, NULL);
}

/* Others */

static void
on_moved(void *arg, const char *address, const char *why)
{
	struct redis *redis = arg;
	char text[256];

	(void)why;
	snprintf(text, sizeof text, "the sentinels name another master: %s", address);
	redis_give_up(redis, text);
}

void
redis_master_up(struct redis *redis)
{
	if (!redis->sentinels)
		return;
	if (redis->served && strcmp(redis->served, redis->address) != 0) {
		LOG_WARN("redis: another master", "master", redis->master, "address",
			redis->address, "before", redis->served);
		redis_count_move();
	}
	free(redis->served);
	redis->served = xstrdup(redis->address);
	sentinels_poll(redis->sentinels, redis->address, on_moved, redis);
}

void
redis_master_lost(struct redis *redis)
{
	if (!redis->sentinels)
		return;
	questions_end(redis, false);
	sentinels_rest(redis->sentinels);
	if (redis->state == ST_CONNECTING || redis->state == ST_HELLO)
		sentinels_distrust(redis->sentinels);
}
