/*
 * remainder.h - what is left of a record when a crash came while its rows were being written.
 */
#ifndef SENDER_REMAINDER_H
#define SENDER_REMAINDER_H

#include <stdbool.h>

#include "shared/mail/envelope.h"

struct mail;
struct sender;

/* The envelope of a redelivered record, with the recipients for whom no row was written. The caller
 * frees the envelope. NULL: no recipient is left. */
Envelope *remainder_of(const struct sender *sender, const Envelope *envelope);
/* Whether the mail already has a row with that site name. */
bool remainder_has_row(const struct mail *mail, const char *site);

#endif
