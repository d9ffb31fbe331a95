/*
 * replies.h - what a remote's reply means, for people: what is wrong, what they can do, what we do;
 * in Italian and in English. Pure.
 */
#ifndef CONTROL_TRACE_REPLIES_H
#define CONTROL_TRACE_REPLIES_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* What the texts name. NULL, or 0: it is not known, and they say it in general. */
struct reply_facts {
	const char *site, *domain, *from; /* the remote; the sender's domain; the sender */
	bool ended;                       /* this was the last word, else we try again */
	uint64_t until_us;                /* until when we try */
};

/* {"it":{"what","you","we"},"en":{...}}; null for a class that is not in the table. */
json_t *reply_meaning(const char *class, const struct reply_facts *facts);

#endif
