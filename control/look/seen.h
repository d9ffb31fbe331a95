/*
 * seen.h - which messages were seen in which topic, when mail is read in the order of its flow: it
 * moves on meanwhile, and what is seen twice counts once, where it was seen last.
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
	void *what; /* the caller's; NULL: it counts for nothing */
};

/* Zero-initialise. */
struct seen {
	struct seen_mail *mail; /* by id, once settled */
	size_t count, space;
};

void seen_add(struct seen *seen, const uint8_t id[ID_SIZE], enum topic topic, void *what);
/* All topics are read: of each message the record in its last topic stays, `drop` gets `what` of
 * the others (not NULL). */
void seen_settle(struct seen *seen, void (*drop)(void *arg, void *what), void *arg);
/* The rest only once it is settled. */
const struct seen_mail *seen_find(const struct seen *seen, const uint8_t id[ID_SIZE]);
/* A row tells what has become of the record: its `what` the first time, then NULL. */
void *seen_forget(struct seen *seen, const uint8_t id[ID_SIZE]);
/* Frees what it holds. */
void seen_wipe(struct seen *seen);

#endif
