/*
 * mail.h - a message comes into memory, from a record of mail.ready or from a row.
 */
#ifndef SENDER_MAIL_H
#define SENDER_MAIL_H

#include <stdint.h>

#include "shared/queue/queue.h"

struct item;
struct sender;

void mail_on_record(void *arg, struct record *record);
/* What a row is loaded for. ROW_LATE: its time is up, or its originator gets a delay DSN. */
enum row_use { ROW_ATTEMPT, ROW_LATE, ROW_SUSPEND, ROW_BOUNCE };
/* Takes a row into work, and owns the row's memory. Recipients that an operator wants bounced are
 * bounced first; the others wait as before. */
void mail_from_row(struct sender *sender, Row *row, enum row_use use);
/* Turns records that have been in hand for long (window.h) into rows. Returns when to look again;
 * 0: never. */
uint64_t mail_age(struct sender *sender, uint64_t now_us);
/* Calls `fn` for each item of the records in hand; `fn` may settle the item. */
void mail_each_item(struct sender *sender, void (*fn)(void *arg, struct item *item), void *arg);

#endif
