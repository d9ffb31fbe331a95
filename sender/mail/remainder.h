/*
 * remainder.h - what a crash left of a record whose rows were being written.
 */
#ifndef SENDER_REMAINDER_H
#define SENDER_REMAINDER_H

#include <stdbool.h>

#include "shared/mail/envelope.h"

struct mail;
struct sender;

/* The envelope (own memory) of a redelivered record with those recipients that its rows do not
 * account for; NULL: nobody is left. */
Envelope *remainder_of(const struct sender *sender, const Envelope *envelope);
/* Whether the mail has a row of that name already. */
bool remainder_has_row(const struct mail *mail, const char *site);

#endif
