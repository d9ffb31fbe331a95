/*
 * match.h - how much mail an operator's command is about: what waits, and what is on its way.
 */
#ifndef CONTROL_MATCH_H
#define CONTROL_MATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/selector.h"

struct queue;
struct rows;

/* Whose state the command is for. */
enum match_state {
	MATCH_ANY,     /* not delivered yet */
	MATCH_WAITING, /* likewise, and not held */
	MATCH_HELD
};

struct match {
	const struct selector *selector;
	enum match_state state;
	uint64_t before_us; /* accepted before it, unless the selector names a message */
	const char *egress; /* ours, where a message has none of its own */
	/* results */
	uint64_t matched; /* messages */
	bool open;        /* something matches, in whatever state */
	bool exact;       /* false: there may be more, for not everything could be seen, or what is
			     on its way has no site yet */
};

/* Blocks. Gives up (not exact) when `hurry` is set. */
void
match_count(struct match *match, struct queue *queue, struct rows *rows, const atomic_bool *hurry);

#endif
