/*
 * rest.h - what a crash left of a record whose rows were being written.
 */
#ifndef SENDER_REST_H
#define SENDER_REST_H

#include <stdbool.h>

#include "shared/mail/envelope.h"

struct mail;
struct sender;

/* The envelope (own memory) of a redelivered record with those recipients that its rows do not
 * account for; NULL: nobody is left. */
Envelope *rest_of(const struct sender *sender, const Envelope *envelope);
/* Whether the mail has a row of that name already. */
bool rest_has_row(const struct mail *mail, const char *site);

#endif
