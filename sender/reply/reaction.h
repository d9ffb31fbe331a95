/*
 * reaction.h - what a response rule has the sender do. Pure.
 */
#ifndef SENDER_REACTION_H
#define SENDER_REACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/meaning.h"

enum reaction {
	REACTION_BOUNCE = 1 << 0,  /* give the recipient up */
	REACTION_RETRY = 1 << 1,   /* later, as any mail that has to wait */
	REACTION_SLOW = 1 << 2,    /* half as many connections */
	REACTION_SINGLE = 1 << 3,  /* one connection */
	REACTION_BREAK = 1 << 4,   /* the site rests, for `break_s` */
	REACTION_REST_IP = 1 << 5, /* the site rests for this address of ours */
	REACTION_HOLD = 1 << 6,    /* the mail waits although it was refused for good */
	REACTION_TELL = 1 << 7,    /* the customer can mend it */
	REACTION_PAGE = 1 << 8,    /* an operator has to */
};

struct reactions {
	unsigned set;     /* of enum reaction */
	uint32_t break_s; /* 0: as long as the scheduler thinks right */
};

#define REACTIONS_TEXT_MAX 96

/* Adds "bounce", "break 30m" ... False: there is no such reaction. */
bool reactions_add(struct reactions *reactions, const char *text);
/* What a rule does that names no reaction. */
struct reactions reactions_usual(enum blame blame);
/* What is wrong with the reactions to what blames this one; NULL: nothing. */
const char *reactions_wrong(const struct reactions *reactions, enum blame blame);
/* What is left of them for a reply with this code: only a 5xx ends anything, or pages. */
struct reactions reactions_for_code(const struct reactions *reactions, int code);
/* "hold, rest-ip, page" */
void reactions_text(const struct reactions *reactions, char out[REACTIONS_TEXT_MAX]);

#endif
