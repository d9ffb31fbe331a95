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
/* ROW_LATE: its time is up, or its originator is to be told that it is late. */
enum row_use { ROW_ATTEMPT, ROW_LATE, ROW_SUSPEND, ROW_BOUNCE };
/* Takes a row (also the memory) into work. When an operator wants some of its recipients bounced,
 * that is done first, and the others wait as they did. */
void mail_from_row(struct sender *sender, Row *row, enum row_use use);
/* Records that have been in hand for long (window.h) become rows; returns when to look again, 0:
 * never. */
uint64_t mail_age(struct sender *sender, uint64_t now_us);
/* Calls `fn` for each item of the records in hand; it may settle the item. */
void mail_each_item(struct sender *sender, void (*fn)(void *arg, struct item *item), void *arg);

#endif
