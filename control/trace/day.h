/*
 * day.h - the trace of one day: an SQLite file with the messages that were accepted on that day,
 * their recipients, and what happened to them.
 *
 * A row depends on the events alone, not on their order, nor on how often they come: an event that
 * comes twice changes nothing. One thread writes a day, any number may read it (WAL).
 *
 * Errors are -errno: -ENOENT no such file, -EBADMSG the file is broken, -ESTALE the file has the
 * form of another version, or no tables yet, -ENOSPC no room, -EIO anything else.
 */
#ifndef CONTROL_TRACE_DAY_H
#define CONTROL_TRACE_DAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/trace/day_name.h"
#include "shared/mail/envelope.h"

/* The states of a recipient, by the event that told it last. What is below TRACE_ENDS is open. */
enum trace_state {
	TRACE_ACCEPTED,
	TRACE_RELEASED,
	TRACE_HELD,
	TRACE_DEFERRED,
	TRACE_ENDS,
	TRACE_DELIVERED = TRACE_ENDS,
	TRACE_BOUNCED,
	TRACE_EXPIRED,
	TRACE_SANDBOXED,
	TRACE_STATES
};
extern const char *const trace_states[TRACE_STATES];
/* TRACE_STATES: there is none of that name. */
enum trace_state trace_state_find(const char *name);

struct day;
struct sqlite3;

/* Opens `directory`/`name`.db; for writing, the file is made when it is not there. 0 or -errno. */
int day_open(const char *directory, const char *name, bool write, struct day **out);
void day_close(struct day **day);
/* Whether the file can be read at all: 0 or -errno. */
int day_check(const char *directory, const char *name);
/* The connection, for statements of search.c. */
struct sqlite3 *day_connection(struct day *day);
/* What an error of the last call on the connection means: -errno. */
int day_error(struct sqlite3 *connection);

/* Writing, for the one thread: begin, any number of events, then commit or roll back. */
int day_begin(struct day *day);
/* Takes an event of a message of that day. `us`: the event's time. */
int day_take(struct day *day, const uint8_t id[ID_SIZE], uint64_t us, json_t *event);
int day_commit(struct day *day);
void day_rollback(struct day *day);

/* A message as the API shows it: {"id","at","account","from","message_id","credential","size",
 * "to"}, and with `whole` all that is known of it. 0 or -errno; -ENOENT: there is no such message.
 */
int day_message(struct day *day, const uint8_t id[ID_SIZE], bool whole, json_t **out);

#endif
