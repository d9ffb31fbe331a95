/*
 * gather.h - notices of one kind to one mailbox: a few singly, more of them together in one mail an
 * hour. Gathered notices stay in Redis, shared by all processes, until their mail is durable.
 */
#ifndef SHARED_GATHER_H
#define SHARED_GATHER_H

#include <stdbool.h>
#include <stddef.h>

struct gather;
struct gathered;
struct loop;
struct redis;

/* The entries that are due for `to`, with their keys, at most 500. The callee ends with
 * gather_done(), at once or later; until then no other mailbox is due. */
typedef void (*gather_due_cb)(void *arg, struct gathered *gathered);

struct gathered {
	const char *to;
	struct gathered_entry {
		char *key, *text;
	} * entries;
	size_t count; /* at least 1 */
	bool cut;
};

/* Only the first `count` entries fit into this mail; the others are due next. */
void gathered_cut(struct gathered *gathered, size_t count);

struct gather *gather_new(struct loop *loop, struct redis *redis, gather_due_cb on_due, void *arg);
/* Takes NULL. Gathered notices stay in Redis. */
void gather_free(struct gather **gather);

/* Decides whether a notice is sent singly now (`single`), or its `text` is gathered under `key` (26
 * characters, a key of its own for each notice). Without Redis each is sent singly. `cb` comes
 * exactly once, from redis_free() at the latest. */
typedef void (*gather_cb)(void *arg, bool single);
void gather_add(struct gather *gather, const char *to, const char *key, const char *text,
	gather_cb cb, void *arg);

/* The mail is durable, or (err) is to be tried again later. Frees `gathered`. `gather` is NULL when
 * it has been freed. */
void gather_done(struct gather *gather, struct gathered *gathered, int err);

#endif
