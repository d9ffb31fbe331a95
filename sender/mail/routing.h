/*
 * routing.h - from the recipients of a mail to its items.
 */
#ifndef SENDER_ROUTING_H
#define SENDER_ROUTING_H

struct mail;

/* Finds the sites of the mail's domains, then begins its items. */
void routing_start(struct mail *mail);
/* Some answers are there, or have been waited for long enough. */
void routing_go_on(struct mail *mail);

#endif
