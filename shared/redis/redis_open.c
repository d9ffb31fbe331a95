/*
 * redis_open.c - a client as the settings want one.
 */
#include "shared/config/config.h"
#include "shared/redis/redis.h"

struct redis *
redis_open(struct loop *loop, const struct config *config)
{
	const struct redis_options options = {
		.address = config->redis.address,
		.sentinels = (const char *const *)config->redis.sentinels,
		.sentinels_count = config->redis.sentinels_count,
		.master = config->redis.master,
		.sentinel_password = config->redis.sentinel_password,
		.password = config->redis.password,
		.tls = config->redis.tls,
		.ca = config->redis.ca,
	};

	return redis_new(loop, &options);
}
