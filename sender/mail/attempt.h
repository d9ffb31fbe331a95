/*
 * attempt.h - connections: what the scheduler decides is done here.
 */
#ifndef SENDER_ATTEMPT_H
#define SENDER_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

struct item;
struct sender;

/* Asks the scheduler what to do, and does it, until there is nothing to do. */
void attempt_pump(struct sender *sender);
/* Breaks off the attempt at the item, if there is one whose message is not out. */
void attempt_break_off(const struct item *item);
/* Ends all attempts. `but_sent`: all but those that only await the reply to a message that is
 * out. */
void attempt_abort_all(struct sender *sender, bool but_sent);
void attempt_free_all(struct sender *sender);
/* A connection. Without an item the connection is idle, or is opening for the site's next
 * message. */
struct attempt_seen {
	const struct item *item;
	const char *site, *host; /* host: "" before there is one */
	bool opening;
	uint64_t since_us; /* since when the connection has had the item, or has been opening */
};
void attempt_each(struct sender *sender,
	void (*on_attempt)(void *arg, const struct attempt_seen *seen), void *arg);

#endif
