/*
 * react.h - what an attempt's outcome does to its lane, beside the mail.
 */
#ifndef SENDER_REACT_H
#define SENDER_REACT_H

#include "sender/schedule/schedule.h"

struct outcome;
struct sender;
struct transaction;

/* The site's answer to the connection, which is busy or opening. `trouble` is what the site said;
 * NULL: the site did what it was asked. */
void react_site(struct sender *sender, struct schedule_connection *connection,
	enum schedule_feedback feedback, const struct outcome *trouble);
/* The same by the outcomes of a transaction that ended. */
void react_transaction(struct sender *sender, struct schedule_connection *connection,
	const struct transaction *transaction);
/* The egress IP cannot be used; or a connection was had from it. */
void react_egress_failed(struct sender *sender, const char *ip, const char *why);
void react_egress_stands(struct sender *sender, const char *ip);

#endif
