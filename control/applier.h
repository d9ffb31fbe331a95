/*
 * applier.h - keeps Redis a view of relay.config: the one writer of the auth tables.
 */
#ifndef CONTROL_APPLIER_H
#define CONTROL_APPLIER_H

#include <stdbool.h>
#include <stdint.h>

struct applier;
struct directory;
struct loop;
struct queue;
struct redis;

struct applier *applier_new(
	struct loop *loop, struct queue *queue, struct redis *redis, struct directory *directory);
/* Watches relay.config from now on, and keeps `directory` too; `on_loaded` once that is whole. */
void applier_start(struct applier *applier, void (*on_loaded)(void *arg), void *arg);
/* On the loop, or once that no longer runs. */
void applier_free(struct applier **applier);

/* Whether Redis is told of this key of relay.config. */
bool applier_takes(const char *key);

/* err 0: done; entries: how many were written. */
typedef void (*applier_cb)(void *arg, int err, uint64_t entries);

/* Writes one entry of the directory into Redis, now; `cb` when Redis has it, or has not. */
void applier_push(struct applier *applier, const char *key, applier_cb cb, void *arg);

/* Writes everything anew, removes from Redis what relay.config does not know. */
void applier_rebuild(struct applier *applier, applier_cb cb, void *arg);

#endif
