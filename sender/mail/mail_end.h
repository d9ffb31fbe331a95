/*
 * mail_end.h - a mail leaves memory: finished, as rows, or given up.
 */
#ifndef SENDER_MAIL_END_H
#define SENDER_MAIL_END_H

struct mail;
struct sender;

/* What is to be done with a record's mail now that one of its items has settled. */
void mail_check(struct mail *mail);
/* A record comes again, a row is stored anyway. */
void mail_abandon(struct mail *mail);
/* Gives up everything at shutdown: records come again, rows are stored anyway. */
void mail_drop_all(struct sender *sender);

#endif
