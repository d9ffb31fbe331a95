/*
 * gather.h - notices of one kind to one mailbox: a few singly, more of them together in one mail an
 * hour. What is gathered lies in Redis, shared by all processes, until its mail is durable.
 */
#ifndef SHARED_GATHER_H
#define SHARED_GATHER_H

#include <stdbool.h>
#include <stddef.h>

struct gather;
struct gathered;
struct loop;
struct redis;

/* Entries that are due for `to`, by key, 500 at most. Ends with gather_done(), at once or later;
 * nothing else is due before. */
typedef void (*gather_due_cb)(void *arg, struct gathered *gathered);

struct gathered {
	const char *to;
	struct gathered_entry {
		char *key, *text;
	} * entries;
	size_t count; /* at least 1 */
	bool cut;
};

/* Only the first `count` fit into this mail: the others are due next. */
void gathered_cut(struct gathered *gathered, size_t count);

struct gather *gather_new(struct loop *loop, struct redis *redis, gather_due_cb on_due, void *arg);
/* Takes NULL. What is gathered stays. */
void gather_free(struct gather **gather);

/* Whether a notice of its own is to be sent now; otherwise `text` is gathered under `key` (26
 * characters, one an entry for ever). Without Redis there is no limit. `cb` comes exactly once, at
 * the latest from redis_free(). */
typedef void (*gather_cb)(void *arg, bool single);
void gather_add(struct gather *gather, const char *to, const char *key, const char *text,
	gather_cb cb, void *arg);

/* The mail is durable, or (err) it is to be tried again later. Frees `gathered`; `gather` is NULL
 * when it has been freed. */
void gather_done(struct gather *gather, struct gathered *gathered, int err);

#endif
