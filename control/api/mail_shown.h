/*
 * mail_shown.h - how mail that is not delivered yet is shown: a record of a topic, or a row; with
 * what is known beside the queue: who has it in hand, what its site said, what suspends it.
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

/* In the order of the flow. In an attempt: a sender tells so (inflight.h), of a record or a row. */
enum mail_state {
	MAIL_INBOUND,    /* not scanned yet, or in a scan */
	MAIL_READY,      /* with a sender, or on its way to one */
	MAIL_ATTEMPTING, /* a host is being given it */
	MAIL_WAITING,    /* a row that is not held */
	MAIL_HELD,
	MAIL_STATES
};
extern const char *const mail_states[MAIL_STATES];

/* What is known beside the queue. Zero-initialise. */
struct surroundings {
	struct inflight *inflight; /* NULL: Redis does not tell */
	json_t *suspensions;       /* of suspensions_now() */
	struct suspended *suspended;
	size_t suspended_count;
	const char *egress; /* ours, where a row has none of its own */
};
/* Takes suspensions_now(); on the loop. */
void surroundings_take(struct surroundings *around, const struct api *api);
void surroundings_wipe(struct surroundings *around);

enum mail_state state_of_record(const struct surroundings *around, const struct queue_seen *seen);
enum mail_state state_of_row(const struct surroundings *around, const Row *row);
/* The record as a row that borrows all of it: at the site where somebody has it, else at "". */
Row row_of_record(const struct surroundings *around, const struct queue_seen *seen);
/* "suspension": the one that holds it back, if one does. */
void suspension_show(const struct surroundings *around, const Row *row, json_t *shown);
/* By an operator; what is held is not. */
bool is_suspended(const struct surroundings *around, const Row *row);
/* Of its last reply; of what its site said when it was never tried. */
void shown_class(const struct surroundings *around, const Row *row, char class[REPLY_CLASS_MAX]);

/* `since_us` is the record's; of a row, 0. */
json_t *mail_shown(const struct surroundings *around, const Row *row, enum mail_state state,
	uint64_t since_us);
/* What only one message is worth, too. */
void mail_show_whole(struct queue *queue, const Row *row, json_t *shown);
/* Names the accounts of rows (an array); on the loop. */
void accounts_name(const struct api *api, json_t *rows);
/* "in_hand_known" and "nodes": who tells what is in hand. */
void around_show(const struct surroundings *around, json_t *result);

#endif
