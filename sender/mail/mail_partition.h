/*
 * mail_partition.h - a partition comes or goes, with the mail in memory.
 */
#ifndef SENDER_MAIL_PARTITION_H
#define SENDER_MAIL_PARTITION_H

#include <stdint.h>

struct sender;

/* Another process has the partition: gives up its mail that is not under way. */
void mail_lost(struct sender *sender, uint32_t partition);
void mail_gained(struct sender *sender, uint32_t partition);

#endif
