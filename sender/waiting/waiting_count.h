/*
 * waiting_count.h - counts the rows of each account, in our partitions.
 */
#ifndef SENDER_WAITING_COUNT_H
#define SENDER_WAITING_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct waiting_count;

/* How many rows the account has now. */
typedef void (*waiting_cb)(void *arg, const char *account, int64_t rows);

struct waiting_count *waiting_count_new(waiting_cb cb, void *arg);
void waiting_count_free(struct waiting_count **count);
/* The partition is ours, and none of its rows is counted yet. */
void waiting_count_begin(struct waiting_count *count, uint32_t partition);
/* Another process has the partition: its rows count no more. */
void waiting_count_forget(struct waiting_count *count, uint32_t partition);
/* Counts `n` rows more (or fewer); does nothing when their partition is not ours. */
void waiting_count_add(struct waiting_count *count, const Envelope *envelope, int n);
/* The number of rows of all accounts. */
size_t waiting_count_rows(const struct waiting_count *count);

#endif
