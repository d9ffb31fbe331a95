/*
 * kafka_offsets.c - finished ranges of a partition and their text in a commit's metadata.
 *
 * kafka_consumer -> [kafka_offsets] -> commit, and back on assignment. Pure.
 *
 * Ranges are kept sorted and apart. An unfinished record lies between each two, so there are never
 * more ranges than the window has records (or a commit told of). The text is "1", then numbers:
 * promise - lowest; then for each range its distance from the end of the range before (for the
 * first: from the lowest) and its length. A number is written in 5-bit digits, lowest first; every
 * digit but the last has 32 added, and 48 makes it printable.
 */
#include "shared/queue/kafka/consume/kafka_offsets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define VERSION '1'
#define DIGITS_MAX 13 /* 63 bits */

struct range {
	int64_t from, to; /* [from, to) */
};

struct kafka_offsets {
	int64_t lowest, next;
	struct range *ranges; /* all above lowest */
	size_t count, room;
};

struct kafka_offsets *
kafka_offsets_new(int64_t lowest)
{
	struct kafka_offsets *offsets = xcalloc(1, sizeof *offsets);

	assert(lowest >= 0);
	offsets->lowest = offsets->next = lowest;
	return offsets;
}

void
kafka_offsets_free(struct kafka_offsets **offsets)
{
	if (*offsets)
		free((*offsets)->ranges);
	free(*offsets);
	*offsets = NULL;
}

/* The first range that ends at or behind `offset`. Records mostly finish near the newest. */
static size_t
find(const struct kafka_offsets *offsets, int64_t offset)
{
	size_t low = 0, high = offsets->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (offsets->ranges[middle].to < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
replace(struct kafka_offsets *offsets, size_t at, size_t old, const struct range *with)
{
	size_t tail = offsets->count - at - old, new = with ? 1 : 0;

	if (offsets->count + new - old > offsets->room) {
		offsets->room = offsets->room ? offsets->room * 2 : 8;
		offsets->ranges = xrealloc(
			offsets->ranges, offsets->room * sizeof *offsets->ranges);
	}
	if (tail)
		memmove(offsets->ranges + at + new, offsets->ranges + at + old,
			tail * sizeof *offsets->ranges);
	if (with)
		offsets->ranges[at] = *with;
	offsets->count = offsets->count + new - old;
}

static void
finish_range(struct kafka_offsets *offsets, struct range range)
{
	size_t at, end;

	if (range.from < offsets->lowest)
		range.from = offsets->lowest;
	if (range.from >= range.to)
		return;
	at = end = find(offsets, range.from);
	while (end < offsets->count && offsets->ranges[end].from <= range.to) {
		if (offsets->ranges[end].from < range.from)
			range.from = offsets->ranges[end].from;
		if (offsets->ranges[end].to > range.to)
			range.to = offsets->ranges[end].to;
		end++;
	}
	if (range.from == offsets->lowest) {
		offsets->lowest = range.to;
		replace(offsets, at, end - at, NULL);
	} else {
		replace(offsets, at, end - at, &range);
	}
}

bool
kafka_offsets_receive(struct kafka_offsets *offsets, int64_t offset)
{
	size_t at;

	if (offset > offsets->next)
		finish_range(offsets, (struct range){ offsets->next, offset });
	if (offset >= offsets->next)
		offsets->next = offset + 1;
	if (offset < offsets->lowest)
		return false;
	at = find(offsets, offset + 1);
	return at == offsets->count || offsets->ranges[at].from > offset;
}

void
kafka_offsets_finish(struct kafka_offsets *offsets, int64_t offset)
{
	finish_range(offsets, (struct range){ offset, offset + 1 });
}

int64_t
kafka_offsets_lowest(const struct kafka_offsets *offsets)
{
	return offsets->lowest;
}

int64_t
kafka_offsets_next(const struct kafka_offsets *offsets)
{
	return offsets->next;
}

static size_t
put_number(char *out, uint64_t number)
{
	size_t at = 0;

	for (; number > 31; number >>= 5)
		out[at++] = (char)(48 + 32 + (number & 31));
	out[at++] = (char)(48 + number);
	return at;
}

size_t
kafka_offsets_pack(
	const struct kafka_offsets *offsets, int64_t promise, char out[KAFKA_METADATA_MAX])
{
	int64_t end = offsets->lowest;
	size_t at = 0;

	assert(promise >= end);
	out[at++] = VERSION;
	at += put_number(out + at, (uint64_t)(promise - end));
	for (size_t i = 0; i < offsets->count; i++) {
		const struct range *range = &offsets->ranges[i];

		if (at + (size_t)2 * DIGITS_MAX > KAFKA_METADATA_MAX)
			break;
		at += put_number(out + at, (uint64_t)(range->from - end));
		at += put_number(out + at, (uint64_t)(range->to - range->from));
		end = range->to;
	}
	return at;
}

struct input {
	const char *at, *end;
};

/* A distance that keeps `base` below the end of all offsets; -1 when there is none. */
static int64_t
take_number(struct input *input, int64_t base)
{
	uint64_t number = 0;

	for (unsigned digits = 0; digits < DIGITS_MAX && input->at < input->end; digits++) {
		unsigned digit = (unsigned)(unsigned char)*input->at++ - 48;

		if (digit > 63 || (digits == DIGITS_MAX - 1 && digit > 7))
			return -1;
		number |= (uint64_t)(digit & 31) << (5 * digits);
		if (digit < 32)
			return number < (uint64_t)(INT64_MAX - base) ? (int64_t)number : -1;
	}
	return -1;
}

/* 1: a range, 0: the end, -1: neither. */
static int
take_range(struct input *input, int64_t base, struct range *out)
{
	int64_t distance, length;

	if (input->at == input->end)
		return 0;
	distance = take_number(input, base);
	if (distance < 1)
		return -1;
	length = take_number(input, base + distance);
	if (length < 1)
		return -1;
	*out = (struct range){ base + distance, base + distance + length };
	return 1;
}

bool
kafka_offsets_unpack(
	struct kafka_offsets *offsets, const char *text, size_t length, int64_t *promise_out)
{
	struct input input = { text, text + length };
	int64_t end = offsets->lowest, promise;
	struct range range;
	int more;

	if (!length || *input.at++ != VERSION)
		return false;
	promise = take_number(&input, end);
	if (promise < 0)
		return false;
	for (struct input check = input; (more = take_range(&check, end, &range)) > 0;)
		end = range.to;
	if (more < 0)
		return false;
	*promise_out = offsets->lowest + promise;
	for (end = offsets->lowest; take_range(&input, end, &range) > 0; end = range.to)
		finish_range(offsets, range);
	return true;
}
