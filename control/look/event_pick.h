/*
 * event_pick.h - finds the events that a query asks for. Pure.
 *
 * All given fields must match. Mail addresses, machines' addresses and domains are brought to one
 * form first. A field that can match nothing is refused.
 */
#ifndef CONTROL_EVENT_PICK_H
#define CONTROL_EVENT_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "shared/base/net.h"

enum pick_field {
	PICK_ID,    /* a message's id */
	PICK_EVENT, /* names, separated by commas */
	PICK_ACCOUNT,
	PICK_USERNAME, /* also where it stands as credential */
	PICK_CLIENT,   /* an address or a network */
	PICK_FROM,     /* envelope or header; "<>" is the null sender */
	PICK_TO,       /* one of the recipients */
	PICK_DOMAIN,   /* the domain of any address above */
	PICK_FIELDS
};
/* "id", "event", "account", "username", "client", "from", "to", "domain" */
extern const char *const pick_names[PICK_FIELDS];

struct event_pick {
	char *text[PICK_FIELDS];   /* NULL: any */
	char *needle[PICK_FIELDS]; /* what a line must have, in lower case; NULL: anything */
	struct network client;
	uint64_t since_us, until_us; /* [since, until) */
};

/* Makes a query that asks for all events. */
void pick_init(struct event_pick *pick);
/* -EINVAL when nothing can match the text. */
int pick_set(struct event_pick *pick, enum pick_field field, const char *text);
/* What would be right for a field, for people. */
const char *pick_right(enum pick_field field);
void pick_wipe(struct event_pick *pick);

/* Looks at the line's text quickly: false when the event surely does not match. */
bool pick_may(const struct event_pick *pick, const char *line, size_t length);
bool pick_matches(const struct event_pick *pick, const json_t *event);

/* Whether the text has `needle` (lower case, ASCII) in any case. */
bool text_holds(const char *text, size_t length, const char *needle);
/* The time of an event; 0: it has none. */
uint64_t event_time_us(const json_t *event);

/* The one form of an address (brackets go), or of a domain; the caller frees it. NULL: it is none.
 */
char *pick_mailbox(const char *text);
char *pick_domain(const char *text);

/* Reads a time: "10m", "2h", "3d" ago, or a date by date_read(). 0 or -EINVAL. */
int pick_time(const char *text, uint64_t now_us, uint64_t *us_out);

#endif
