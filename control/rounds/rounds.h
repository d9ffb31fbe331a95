/*
 * rounds.h - what happens to accounts by itself, by what was seen and by the clock: a switch of
 * mode comes into force, a time of grace or a suspension ends, an address is proved or lapses.
 *
 * The leading control process makes rounds. What is to be done stands in relay.config, so a process
 * that dies leaves nothing undone, and a second one finds it done. Nothing ends unless Redis's
 * clock agrees with ours.
 */
#ifndef CONTROL_ROUNDS_H
#define CONTROL_ROUNDS_H

struct applier;
struct commits;
struct directory;
struct leader;
struct loop;
struct redis;
struct rounds;

struct rounds *rounds_new(struct loop *loop, struct redis *redis, struct directory *directory,
	struct applier *applier, struct commits *commits, const struct leader *leader);
/* Call it on the loop, once the directory is whole. */
void rounds_start(struct rounds *rounds);
/* No change begins after this call. On the loop. */
void rounds_close(struct rounds *rounds);
/* Call it after redis_free(), once the loop no longer runs. */
void rounds_free(struct rounds **rounds);

#endif
