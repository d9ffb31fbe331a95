/*
 * webhooks.h - serves the webhooks: a thread that reads mail.events and posts, while this process
 * leads the control processes.
 *
 * How far each webhook is stands in Redis ("webhooks") for the next leader, and in
 * state_dir/webhooks for this process, should Redis have forgotten. An event comes at least once:
 * again after a crash, or when the leader changes; a receiver knows it by its id.
 */
#ifndef CONTROL_WEBHOOKS_H
#define CONTROL_WEBHOOKS_H

#include <jansson.h>

struct commits;
struct config;
struct directory;
struct leader;
struct loop;
struct queue;
struct redis;
struct webhooks;

#define WEBHOOK_TRIES 50 /* that are kept, a list in Redis for each webhook */

struct webhooks_parts {
	const struct config *config;
	struct queue *queue;
	struct loop *loop; /* all calls are on this loop */
	struct redis *redis;
	struct directory *directory;
	struct commits *commits;
	const struct leader *leader;
};

struct webhooks *webhooks_new(const struct webhooks_parts *parts);
/* Call it once the directory is whole. */
void webhooks_start(struct webhooks *webhooks);
/* Waits for the thread. Tests under way are answered. No call may follow but webhooks_free(). */
void webhooks_close(struct webhooks *webhooks);
/* Call it once the loop runs no more, after redis_free(). Takes NULL. */
void webhooks_free(struct webhooks **webhooks);

/* The callee's: a try as `webhook tries` shows it; NULL: there is no such webhook now. */
typedef void (*webhook_test_cb)(void *arg, json_t *try);
/* Posts an event "test" now, whether or not this process leads. */
void webhooks_test(struct webhooks *webhooks, const char *id, webhook_test_cb cb, void *arg);

/* The key of the list of tries in Redis, the newest first; the caller frees it. */
char *webhook_tries_key(const char *id);

#endif
