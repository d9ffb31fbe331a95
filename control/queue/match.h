/*
 * match.h - counts the mail that an operator's command is about: waiting, or on its way.
 */
#ifndef CONTROL_MATCH_H
#define CONTROL_MATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/selector.h"

struct queue;
struct rows;

/* The state of the mail that the command is for. */
enum match_state {
	MATCH_ANY,     /* not delivered yet */
	MATCH_WAITING, /* not delivered yet, and not held */
	MATCH_HELD
};

struct match {
	const struct selector *selector;
	enum match_state state;
	uint64_t before_us; /* only mail accepted before, unless the selector names a message */
	const char *egress; /* sender.egress, for mail without an egress of its own */
	/* results */
	uint64_t matched; /* messages */
	bool open;        /* some mail matches, in any state */
	bool exact;       /* false: there may be more, for not everything could be seen, or what is
			     on its way has no site yet */
};

/* Counts; blocks. Gives up (not exact) when `hurry` is set. */
void
match_count(struct match *match, struct queue *queue, struct rows *rows, const atomic_bool *hurry);

#endif
