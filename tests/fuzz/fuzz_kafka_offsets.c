/*
 * fuzz_kafka_offsets.c - whatever stands in a commit's metadata is refused or taken over, and what
 * was taken over is written so that it is read as the same.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "shared/queue/kafka/consume/kafka_offsets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kafka_offsets *offsets, *again;
	char text[KAFKA_METADATA_MAX], second[KAFKA_METADATA_MAX];
	int64_t lowest = 0, promise = -1, promise_again = -1;
	size_t length;

	if (size < 8)
		return 0;
	memcpy(&lowest, data, 8);
	lowest = (int64_t)((uint64_t)lowest >> 1);
	offsets = kafka_offsets_new(lowest);
	if (kafka_offsets_unpack(offsets, (const char *)data + 8, size - 8, &promise)) {
		assert(promise >= lowest && kafka_offsets_lowest(offsets) == lowest);
		length = kafka_offsets_pack(offsets, promise, text);
		again = kafka_offsets_new(lowest);
		assert(kafka_offsets_unpack(again, text, length, &promise_again));
		assert(promise_again == promise);
		assert(kafka_offsets_pack(again, promise, second) == length);
		assert(!memcmp(text, second, length));
		kafka_offsets_free(&again);
	} else {
		assert(promise == -1);
		assert(kafka_offsets_pack(offsets, lowest, text) == 2);
	}
	kafka_offsets_free(&offsets);
	return 0;
}
