/*
 * mail_shown.h - shows mail that is not delivered yet: a record of a topic, or a row, with facts
 * from beside the queue: which sender has the mail in hand, what its site said, what suspends the
 * mail.
 */
#ifndef CONTROL_MAIL_SHOWN_H
#define CONTROL_MAIL_SHOWN_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "shared/mail/reply_class.h"
#include "shared/queue/records.h"
#include "shared/work/inflight.h"

struct api;

/* The states, in the order of the flow. ATTEMPTING is what a sender reports (inflight.h) of a
 * record or a row. */
enum mail_state {
	MAIL_INBOUND,    /* not scanned yet, or in a scan */
	MAIL_READY,      /* with a sender, or on its way to one */
	MAIL_ATTEMPTING, /* a host is being given the mail */
	MAIL_WAITING,    /* a row that is not held */
	MAIL_HELD,
	MAIL_STATES
};
extern const char *const mail_states[MAIL_STATES];

/* Facts from beside the queue. Zero-initialise. */
struct surroundings {
	struct inflight *inflight; /* NULL: Redis does not tell */
	json_t *suspensions;       /* from suspensions_now() */
	struct suspended *suspended;
	size_t suspended_count;
	const char *egress; /* ours, where a row has none of its own */
};
/* Fills in suspensions_now(); on the loop. */
void surroundings_take(struct surroundings *around, const struct api *api);
void surroundings_wipe(struct surroundings *around);

enum mail_state state_of_record(const struct surroundings *around, const struct queue_seen *seen);
enum mail_state state_of_row(const struct surroundings *around, const Row *row);
/* Fills a row that borrows from the record. Row.site is the site where a sender has the mail, else
 * "". */
Row row_of_record(const struct surroundings *around, const struct queue_seen *seen);
/* Adds "suspension": the one that keeps the row waiting, if one does. */
void suspension_show(const struct surroundings *around, const Row *row, json_t *shown);
/* Whether an operator has suspended the row; held mail is not suspended. */
bool is_suspended(const struct surroundings *around, const Row *row);
/* The class of the mail's last reply, or, if the mail was never tried, of what its site said. */
void shown_class(const struct surroundings *around, const Row *row, char class[REPLY_CLASS_MAX]);

/* Shows a row. `since_us` is a record's; 0 for a row. */
json_t *mail_shown(const struct surroundings *around, const Row *row, enum mail_state state,
	uint64_t since_us);
/* The same, with details that only a single message is worth. */
void mail_show_whole(struct queue *queue, const Row *row, json_t *shown);
/* Adds the accounts' names to the rows (an array); on the loop. */
void accounts_name(const struct api *api, json_t *rows);
/* Sets "in_hand_known" and "nodes": which senders report their mail in hand. */
void around_show(const struct surroundings *around, json_t *result);

#endif
