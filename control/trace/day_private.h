/*
 * day_private.h - what the files of a day share: its statements, and its epochs.
 *
 * An epoch is a range of ids, of some EPOCH_MESSAGES messages. An index over texts begins with the
 * number of the epoch: so new rows go to few pages of it, however many messages the day has. An id
 * has one epoch for ever, because a new epoch begins behind all ids that were seen.
 */
#ifndef CONTROL_DAY_PRIVATE_H
#define CONTROL_DAY_PRIVATE_H

#include <sqlite3.h>

#include "control/trace/day.h"

#define EPOCH_MESSAGES 65536

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	ACCEPTED,
	MENTIONED,
	SCANNED,
	NEW_RECIPIENT,
	STATE,
	STATE_OF_ALL,
	EVENT,
	NEW_EPOCH,
	NEWEST_OF_ALL,
	GET_MESSAGE,
	GET_RECIPIENTS,
	GET_EVENTS,
	STATEMENTS
};

struct epochs {
	uint8_t (*starts)[ID_SIZE]; /* the smallest id of each, ascending; the first is all zero */
	size_t count;
	uint8_t newest[ID_SIZE]; /* the greatest id that was seen */
	unsigned filled;         /* messages of the last epoch */
};

struct day {
	sqlite3 *connection;
	sqlite3_stmt *statements[STATEMENTS]; /* prepared when they are first used */
	struct epochs epochs;                 /* for writing only */
};

/* The statement, ready to be bound; NULL on an error. */
sqlite3_stmt *day_statement(struct day *day, enum statement which);

/* Runs a statement without result. */
int day_run(struct day *day, sqlite3_stmt *made);

/* Reads the epochs of the file. 0 or -errno. */
int epochs_load(struct day *day);
/* The number of the id's epoch. */
int epoch_of(const struct epochs *epochs, const uint8_t id[ID_SIZE]);
/* An event of the message comes: behind a full epoch the next one begins. 0 or -errno. */
int epoch_grow(struct day *day, const uint8_t id[ID_SIZE]);

#endif
