/*
 * prune.h - takes out of relay.config what is over: rules 6 days old (what waited then has met
 * them) that no mail on its way to the sender is older than, suspensions that have ended, and
 * accounts that were deleted ACCOUNT_KEPT_US ago. The only place that does.
 */
#ifndef CONTROL_PRUNE_H
#define CONTROL_PRUNE_H

struct commits;
struct directory;
struct loop;
struct prune;
struct queue;

struct prune *prune_new(struct loop *loop, struct queue *queue, struct directory *directory,
	struct commits *commits);
/* On the loop, once the directory is whole: now, and every hour. */
void prune_start(struct prune *prune);
/* On the loop, or once that no longer runs. */
void prune_free(struct prune **prune);

#endif
