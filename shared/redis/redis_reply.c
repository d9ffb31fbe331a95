/*
 * redis_reply.c - reading replies, without hiredis's types.
 */
#include <assert.h>

#include <hiredis/hiredis.h>

#undef REDIS_ERR /* hiredis's status code has the name of a kind of reply */
#include "shared/base/log.h"
#include "shared/redis/redis.h"

static const redisReply *
inner(const struct redis_reply *reply)
{
	return (const redisReply *)reply;
}

enum redis_kind
redis_reply_kind(const struct redis_reply *reply)
{
	switch (inner(reply)->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS: return REDIS_STR;
	case REDIS_REPLY_INTEGER: return REDIS_INT;
	case REDIS_REPLY_ARRAY: return REDIS_LIST;
	case REDIS_REPLY_ERROR: return REDIS_ERR;
	default: return REDIS_NIL;
	}
}

const char *
redis_reply_str(const struct redis_reply *reply, size_t *length)
{
	const enum redis_kind kind = redis_reply_kind(reply);

	if (kind != REDIS_STR && kind != REDIS_ERR)
		return NULL;
	if (length)
		*length = inner(reply)->len;
	return inner(reply)->str;
}

int64_t
redis_reply_int(const struct redis_reply *reply)
{
	return redis_reply_kind(reply) == REDIS_INT ? inner(reply)->integer : 0;
}

size_t
redis_reply_count(const struct redis_reply *reply)
{
	return redis_reply_kind(reply) == REDIS_LIST ? inner(reply)->elements : 0;
}

const struct redis_reply *
redis_reply_at(const struct redis_reply *reply, size_t i)
{
	assert(i < redis_reply_count(reply));
	return (const struct redis_reply *)inner(reply)->element[i];
}

void
redis_log_refusal(void *message, int err, const struct redis_reply *reply)
{
	if (!err && redis_reply_kind(reply) == REDIS_ERR)
		LOG_WARN(message, "error", redis_reply_str(reply, NULL));
}
