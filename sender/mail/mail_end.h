/*
 * mail_end.h - a mail leaves memory: finished, as rows, or given up.
 */
#ifndef SENDER_MAIL_END_H
#define SENDER_MAIL_END_H

struct mail;
struct sender;

/* Ends a record's mail if that is due, once an item has settled: finishes the record or writes
 * rows. */
void mail_check(struct mail *mail);
/* Gives the mail up: its record is delivered again; a row is stored already. */
void mail_abandon(struct mail *mail);
/* Gives up all mail at shutdown: records are delivered again; rows are stored already. */
void mail_drop_all(struct sender *sender);

#endif
