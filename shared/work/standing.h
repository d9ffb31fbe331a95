/*
 * standing.h - what follows when somebody went up or down the ladder of scores: an event, a metric,
 * a line in the log; and from STEP_HOLD on a suspension in relay.config, by which mail that has
 * passed the scanner already waits, too.
 */
#ifndef SHARED_STANDING_H
#define SHARED_STANDING_H

#include "shared/score/score.h"

struct queue;
struct standing;

struct standing *standing_new(struct queue *queue);
/* Takes NULL. */
void standing_free(struct standing **standing);
/* The key of that suspension; the caller frees it. NULL: the id is too long for one. */
char *standing_key(const char *account, enum rung rung, const char *id);
/* A score_step_cb; `arg` is the struct standing. */
void standing_tell(void *arg, const struct score_step *step);

#endif
