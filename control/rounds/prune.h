/*
 * prune.h - removes from relay.config, as the only place: rules that are 6 days old (mail that
 * waited then has met them) and newer than no mail on its way to the sender, suspensions that have
 * ended, and accounts that were deleted ACCOUNT_KEPT_US ago.
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
/* Prunes now and every hour. Call it on the loop, once the directory is whole. */
void prune_start(struct prune *prune);
/* Call it on the loop, or once the loop no longer runs. */
void prune_free(struct prune **prune);

#endif
