/*
 * routing.h - from the recipients of a mail to its items.
 */
#ifndef SENDER_ROUTING_H
#define SENDER_ROUTING_H

struct mail;

/* Looks up the sites of the mail's domains, then begins the mail's items. */
void routing_start(struct mail *mail);
/* Goes on: some answers came, or were waited for long enough. */
void routing_go_on(struct mail *mail);

#endif
