/*
 * authorize.h - who may be named as originator of a message. Pure: account and addresses in, a
 * decision out.
 */
#ifndef INGRESS_AUTHORIZE_H
#define INGRESS_AUTHORIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "ingress/message/originators.h"
#include "shared/account/account.h"

enum authorize {
	AUTHORIZE_PASS,
	AUTHORIZE_REFUSE, /* the address is not the account's to use */
	AUTHORIZE_ASK,    /* a foreign domain: passes unless it is another account's */
	AUTHORIZE_TWO_FROM,
	AUTHORIZE_BAD_FROM,   /* From cannot be read */
	AUTHORIZE_BAD_SENDER, /* a Sender or Resent- field cannot be read */
	AUTHORIZE_TURNED,     /* what a field shows is not what it holds */
	AUTHORIZE_LONG_FROM,  /* more mailboxes than can be judged */
	AUTHORIZE_LONG,       /* more mailboxes than can be judged in all fields together */
	AUTHORIZE_NO_FROM,    /* From holds no address */
};

/* MAIL FROM: the null sender "", or a mailbox in one of the account's domains. */
bool authorize_sender(const struct account *account, const char *mail_from);

/*
 * Judges the header's originators. `*at` counts the originators judged already: start with 0, and
 * after AUTHORIZE_ASK call again with `*at` as it stands. The originator that is refused or in
 * question has the number `*at` - 1.
 */
enum authorize authorize_header(const struct account *account, const char *mail_from,
	const struct originators *originators, size_t *at);

/* The originator of that number. `*where` names its place: "From", "Sender" or "The name". */
const struct originator *
authorize_originator(const struct originators *originators, size_t number, const char **where);

#endif
