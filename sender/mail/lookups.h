/*
 * lookups.h - the domains of a mail that are being looked up, with the recipients of each.
 */
#ifndef SENDER_LOOKUPS_H
#define SENDER_LOOKUPS_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/mail/envelope.h"

struct mail;
struct outcome;
struct route;

struct lookup {
	struct mail *mail;
	struct lookup *next;
	struct route *route;
	struct outcome *failure;
	size_t count, space;
	bool asked, answered;
	bool suspended; /* waits, whatever becomes of the other domains */
	Recipient **recipients;
	const char *parent; /* of the domain: its last two labels */
	char domain[256];
};

/* Adds the recipient to the look-up of its domain, or makes that look-up. */
void lookups_add(struct mail *mail, Recipient *recipient);
void lookup_free(struct lookup *lookup);
void lookups_free(struct mail *mail);
/* The next look-up to ask the resolver for; NULL: none for the time being. */
struct lookup *lookups_next(const struct mail *mail);
/* Marks the look-ups whose mail is suspended. */
void lookups_suspend(struct mail *mail);
/* Whether mail to both domains goes to the same hosts, and at the same time. */
bool lookup_same_way(const struct lookup *a, const struct lookup *b);
/* Ends the look-ups because the record becomes rows: each unanswered domain becomes an item, whose
 * row looks the domain up again. */
void lookups_give_up(struct mail *mail);
/* Drops the look-ups under way, once the resolver is gone. */
void lookups_forget(struct mail *mail);

#endif
