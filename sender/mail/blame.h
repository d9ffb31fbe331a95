/*
 * blame.h - mail under work, and whether it has ended the process too often.
 */
#ifndef SENDER_BLAME_H
#define SENDER_BLAME_H

#include <stdbool.h>

struct item;
struct mail;

/* Whether the mail may be worked on now that its turn has come. False: working on the mail ended
 * the process too often. */
bool blame_allows(struct mail *mail);
/* The mail is under work (poison.h) while the mail, or one of its items, is marked. */
void mail_mark(struct mail *mail);
void mail_unmark(struct mail *mail);
void item_mark(struct item *item);
void item_unmark(struct item *item);

#endif
