/*
 * feed.h - reads mail.events for the webhooks: what is new for all of them, and what was missed for
 * one that is behind, each from its own place. All calls are on the thread of webhooks.c.
 */
#ifndef CONTROL_FEED_H
#define CONTROL_FEED_H

#include <stdbool.h>

#include <jansson.h>

struct feed;
struct hooks;
struct queue;

struct feed *feed_new(struct queue *queue, struct hooks *hooks);
void feed_free(struct feed **feed);

/* Begins at what feed_state() of another process said; NULL or what is no place: at now. */
void feed_open(struct feed *feed, const json_t *state);
void feed_close(struct feed *feed);
bool feed_is_open(const struct feed *feed);
/* Reads for some `ms`. False: there is no more for now. */
bool feed_run(struct feed *feed, unsigned ms);
/* {"head": place} and the webhooks' (hooks_state()); the caller releases it. */
json_t *feed_state(const struct feed *feed);

#endif
