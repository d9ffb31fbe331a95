/*
 * kafka_offsets.h - which records of a partition are finished, in whatever order.
 *
 * Below `lowest` everything is finished: that is the offset to commit. What is finished above it
 * travels in the commit's metadata, so that the next owner takes up only what is unfinished.
 */
#ifndef SHARED_KAFKA_OFFSETS_H
#define SHARED_KAFKA_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_METADATA_MAX 4096 /* what a broker takes with an offset */

struct kafka_offsets;

/* A partition that is read from `lowest` on (>= 0). Never NULL. */
struct kafka_offsets *kafka_offsets_new(int64_t lowest);
void kafka_offsets_free(struct kafka_offsets **offsets);

/* A record came. False when it is finished already. Offsets that are skipped hold no record (they
 * were trimmed) and count as finished. */
bool kafka_offsets_receive(struct kafka_offsets *offsets, int64_t offset);
/* Any number of times, in any order; an offset below the lowest is let pass. */
void kafka_offsets_finish(struct kafka_offsets *offsets, int64_t offset);

/* The lowest unfinished offset, and the one behind the newest record that came. */
int64_t kafka_offsets_lowest(const struct kafka_offsets *offsets);
int64_t kafka_offsets_next(const struct kafka_offsets *offsets);

/*
 * Writes the metadata that belongs to a commit of the lowest: `promise` (no record from it on has
 * been handed out yet; >= lowest) and the finished ranges, lowest first, as far as there is room;
 * the others come again. Text, not NUL-terminated; returns its length.
 */
size_t kafka_offsets_pack(
	const struct kafka_offsets *offsets, int64_t promise, char out[KAFKA_METADATA_MAX]);
/* Takes over the metadata of a commit of `lowest` by kafka_offsets_new(). False, and nothing taken
 * over, when it is no such text. */
bool kafka_offsets_unpack(
	struct kafka_offsets *offsets, const char *text, size_t length, int64_t *promise_out);

#endif
