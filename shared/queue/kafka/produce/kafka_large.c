/*
 * kafka_large.c - large records take turns, since their bodies are mapped while they are under way.
 *
 * kafka_produce() -> [kafka_large] -> kafka_handle, and on with each report
 *
 * Owns the copies of keys and headers of what waits. First come, first go.
 */
#include "shared/queue/kafka/produce/kafka_large.h"

#include <errno.h>

#include "shared/queue/kafka/produce/kafka_handle.h"

#define BYTES_MAX (128u * 1024 * 1024) /* mapped pages count as resident memory */
#define WAITING_MAX 1000

/* A record that alone is larger than the bound goes when no other is under way. */
static bool
fits(const struct kafka_large *large, const struct kafka_message *message)
{
	return !large->bytes_under_way || large->bytes_under_way + message->value_size <= BYTES_MAX;
}

int
kafka_large_enter(struct kafka_large *large, struct kafka_message *message)
{
	if (!large->waiting && fits(large, message)) {
		large->bytes_under_way += message->value_size;
		return 1;
	}
	if (large->waiting >= WAITING_MAX)
		return -ENOSPC;
	kafka_message_keep(message, false);
	if (!large->waiting)
		large->last = &large->first;
	message->next = NULL;
	*large->last = message;
	large->last = &message->next;
	large->waiting++;
	return 0;
}

static struct kafka_message *
take_first(struct kafka_large *large)
{
	struct kafka_message *message = large->first;

	large->first = message->next;
	message->next = NULL;
	large->waiting--;
	return message;
}

struct kafka_message *
kafka_large_leave(struct kafka_large *large, size_t bytes)
{
	struct kafka_message *next = NULL, **end = &next;

	large->bytes_under_way -= bytes;
	while (large->waiting && fits(large, large->first)) {
		*end = take_first(large);
		large->bytes_under_way += (*end)->value_size;
		end = &(*end)->next;
	}
	return next;
}

struct kafka_message *
kafka_large_expire(struct kafka_large *large, uint64_t before_us)
{
	struct kafka_message *late = NULL, **end = &late;

	while (large->waiting && large->first->asked_us < before_us) {
		*end = take_first(large);
		end = &(*end)->next;
	}
	return late;
}
