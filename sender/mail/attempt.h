/*
 * attempt.h - connections: what the scheduler decides is done here.
 */
#ifndef SENDER_ATTEMPT_H
#define SENDER_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

struct item;
struct sender;

/* What the scheduler decides now is done. */
void attempt_pump(struct sender *sender);
/* Ends the attempt at the item before its message is out, if there is one. */
void attempt_break_off(const struct item *item);
/* `but_sent`: not those that only await the reply to a message that is out. */
void attempt_abort_all(struct sender *sender, bool but_sent);
void attempt_free_all(struct sender *sender);
/* A connection; without an item it is idle, or is being opened for whoever is next at the site. */
struct attempt_seen {
	const struct item *item;
	const char *site, *host; /* host: "" before there is one */
	bool opening;
	uint64_t since_us; /* that it has had the item, or that it is being opened */
};
void attempt_each(struct sender *sender,
	void (*on_attempt)(void *arg, const struct attempt_seen *seen), void *arg);

#endif
