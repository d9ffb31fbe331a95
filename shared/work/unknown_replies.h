/*
 * unknown_replies.h - replies of remotes that no response rule knows: told in Redis by senders,
 * read by control. Those that differ in numbers and addresses only are one. There are at most
 * UNKNOWN_REPLIES_MAX; the one that was heard longest ago gives way.
 *
 * People look at them; no decision depends on them. Without Redis they are not kept.
 */
#ifndef SHARED_UNKNOWN_REPLIES_H
#define SHARED_UNKNOWN_REPLIES_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct redis;
struct unknown_replies;

#define UNKNOWN_REPLIES_MAX 500

struct unknown_replies *unknown_replies_new(struct loop *loop, struct redis *redis);
/* Tells what is not told yet. Call it before redis_free(). Takes NULL. */
void unknown_replies_free(struct unknown_replies **unknown);
/* `provider` may be "". The text holds no mail address. */
void unknown_replies_note(
	struct unknown_replies *unknown, const char *provider, const char *host, const char *text);

struct unknown_reply {
	uint64_t count, first_s, last_s; /* since 1970, by Redis's clock */
	const char *provider, *host, *text;
};
/* Calls back for each in no order, then once with NULL; `err` is then 0, or the error of redis.h.
 */
typedef void (*unknown_replies_cb)(void *arg, const struct unknown_reply *reply, int err);
void unknown_replies_read(struct redis *redis, unknown_replies_cb cb, void *arg);

#endif
