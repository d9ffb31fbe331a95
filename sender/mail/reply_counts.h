/*
 * reply_counts.h - counts what remotes' replies meant, for monitoring; and gathers those that no
 * rule knows, for whoever writes rules (shared/work/unknown_replies.h).
 */
#ifndef SENDER_REPLY_COUNTS_H
#define SENDER_REPLY_COUNTS_H

struct loop;
struct outcome;
struct redis;
struct reply_counts;

struct reply_counts *reply_counts_new(struct loop *loop, struct redis *redis);
/* Call it before redis_free(). Takes NULL. */
void reply_counts_free(struct reply_counts **counts);
/* Counts an outcome, once for each recipient or connection that has it. A delivery, and what no
 * remote said, does not count. */
void reply_count(struct reply_counts *counts, const struct outcome *outcome);

#endif
