/*
 * search.h - finds messages in the trace, the newest first, or (open) those without an end, the
 * oldest first.
 *
 *   search = search_new(directory, &filter, 100, after);
 *   while (search_run(search, 50, &broken) == SEARCH_MORE) ...
 *   messages = search_take(search, &next);
 *   search_free(&search);
 *
 * A search runs in pieces, knows its place at any time, and reads no more than it has to: of the
 * given fields the rarest one leads, by its index, the others are held against what it finds.
 */
#ifndef CONTROL_TRACE_SEARCH_H
#define CONTROL_TRACE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/trace/day.h"

enum trace_field {
	TRACE_ACCOUNT,
	TRACE_SENDER,     /* an address; "<>" is the null sender */
	TRACE_CREDENTIAL, /* a username, or the address in IP mode */
	TRACE_MESSAGE_ID, /* of the header, with or without brackets */
	/* of one and the same recipient */
	TRACE_RECIPIENT, /* an address */
	TRACE_DOMAIN,
	TRACE_CLASS, /* of its last reply */
	TRACE_STATE,
	TRACE_FIELDS
};
/* "account", "sender", "credential", "message_id", "recipient", "domain", "class", "state" */
extern const char *const trace_names[TRACE_FIELDS];

struct trace_filter {
	char *texts[TRACE_FIELDS];   /* in the form that the rows have; NULL: any */
	uint64_t since_us, until_us; /* when the message was accepted: [since, until) */
	bool open;                   /* only messages that have no end yet */
	const uint8_t *id;           /* only this message, the caller's; NULL: any */
};

/* Asks for all messages. */
void filter_init(struct trace_filter *filter);
/* -EINVAL when nothing can match the text. */
int filter_set(struct trace_filter *filter, enum trace_field field, const char *text);
/* What would be right for a field, for people. */
const char *filter_right(enum trace_field field);
void filter_wipe(struct trace_filter *filter);

enum search_state { SEARCH_DONE, SEARCH_MORE, SEARCH_FAILED };

struct search;

/* `filter` is the caller's, and outlives the search. `after`: only messages behind that one; NULL:
 * all. */
struct search *search_new(const char *directory, const struct trace_filter *filter, size_t limit,
	const uint8_t *after);
/* Searches for some `ms`. SEARCH_FAILED: the file of the day `broken` ("": none) cannot be read. */
enum search_state search_run(struct search *search, unsigned ms, char broken[DAY_NAME_SIZE]);
/* What was found so far (the caller's from now on), and whether there is more behind `next`. */
json_t *search_take(struct search *search, bool *more, uint8_t next[ID_SIZE]);
void search_free(struct search **search);

/* One message with all that is known of it. `account`: only of that account; NULL: any. 0 or
 * -errno; -ENOENT: the trace has no such message. */
int
search_message(const char *directory, const uint8_t id[ID_SIZE], const char *account, json_t **out);

#endif
