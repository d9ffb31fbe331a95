/*
 * seen.h - remembers which messages were seen in which topic. Mail is read in the order of its flow
 * and moves on meanwhile: a message that is seen twice counts once, where it was seen last.
 */
#ifndef CONTROL_SEEN_H
#define CONTROL_SEEN_H

#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"
#include "shared/queue/call.h"

struct seen_mail {
	uint8_t id[ID_SIZE];
	enum topic topic;
	void *what; /* the caller's; NULL: the message does not count */
};

/* Zero-initialise. */
struct seen {
	struct seen_mail *mail; /* by id, once settled */
	size_t count, space;
};

void seen_add(struct seen *seen, const uint8_t id[ID_SIZE], enum topic topic, void *what);
/* Call it when all topics are read. Of each message the record in its last topic stays; `drop` gets
 * the `what` of the others (not NULL). */
void seen_settle(struct seen *seen, void (*drop)(void *arg, void *what), void *arg);
/* Finds a message; only after seen_settle(). */
const struct seen_mail *seen_find(const struct seen *seen, const uint8_t id[ID_SIZE]);
/* The message became a row: returns its record's `what` the first time, then NULL. */
void *seen_forget(struct seen *seen, const uint8_t id[ID_SIZE]);
/* Frees the memory of the struct. */
void seen_wipe(struct seen *seen);

#endif
