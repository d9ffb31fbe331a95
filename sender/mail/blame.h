/*
 * blame.h - mail under work, and whether it has ended the process too often.
 */
#ifndef SENDER_BLAME_H
#define SENDER_BLAME_H

#include <stdbool.h>

struct item;
struct mail;

/* Whether the mail, whose turn has come, may be worked on: it has not ended the process too often.
 */
bool blame_allows(struct mail *mail);
/* Somebody works on it, or on the item; nobody does at the moment. For poison.h. */
void mail_mark(struct mail *mail);
void mail_unmark(struct mail *mail);
void item_mark(struct item *item);
void item_unmark(struct item *item);

#endif
