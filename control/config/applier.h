/*
 * applier.h - keeps Redis a view of relay.config: the only writer of the auth tables.
 */
#ifndef CONTROL_APPLIER_H
#define CONTROL_APPLIER_H

#include <stdbool.h>
#include <stdint.h>

struct applier;
struct config;
struct directory;
struct loop;
struct queue;
struct redis;

struct applier *applier_new(const struct config *config, struct loop *loop, struct queue *queue,
	struct redis *redis, struct directory *directory);
struct applier_hooks {
	void (*on_loaded)(void *arg); /* `directory` is whole */
	/* Called as soon as it is known whose accounts Redis has, or that Redis is away; then at
	 * each change. `doubt`: as applier_doubt(). */
	void (*on_state)(void *arg, const char *doubt);
};
/* Subscribes to relay.config, and keeps `directory` up to date, too. */
void applier_start(struct applier *applier, const struct applier_hooks *hooks, void *arg);
/* Calls `on_closed` once the queue owes no answer. On the loop. */
void applier_close(struct applier *applier, void (*on_closed)(void *arg), void *arg);
/* Call it on the loop, or once the loop no longer runs. */
void applier_free(struct applier **applier);

/* Whether this key of relay.config goes to Redis. */
bool applier_takes(const char *key);

/* err 0: done; `entries` were written. */
typedef void (*applier_cb)(void *arg, int err, uint64_t entries);

/* Writes one entry of the directory into Redis, and calls `cb` when Redis has it, or has not. */
void applier_push(struct applier *applier, const char *key, applier_cb cb, void *arg);

/* Writes everything anew, and removes from Redis what relay.config does not have. -EPERM while
 * Redis is doubted, unless `take_over`; -EAGAIN before relay.config has been read. */
void applier_rebuild(struct applier *applier, bool take_over, applier_cb cb, void *arg);

/* Whether relay.config has been read. */
bool applier_loaded(const struct applier *applier);
/* Why accounts cannot be changed now, or NULL: relay.config has not been read yet, or the accounts
 * in Redis are another owner's (view.h). */
const char *applier_doubt(const struct applier *applier);

#endif
