/*
 * limits_private.h - what limits.c and limits_auth.c share.
 */
#ifndef SHARED_LIMITS_PRIVATE_H
#define SHARED_LIMITS_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/limits.h"
#include "shared/redis.h"

#define LIMITS_TIMEOUT_MS 2000

struct auth_limits;

struct limits {
	struct redis *redis;
	struct limits_options options;
	struct event *tick;
	void *tree;                     /* of buckets */
	struct bucket *newest, *oldest; /* by use */
	char node[64];                  /* this host, for its waiting rows */
	char id[17];                    /* this instance, for counting nodes */
	unsigned nodes;                 /* that share the limits */
	uint64_t counted_ms;            /* when they were counted */
	struct count *count;            /* the request for that */
	struct auth_limits *auth;
};

/* The script all of it runs. */
extern struct redis_script limits_script;

/* For calls whose answer does not matter, unless Redis refuses the script itself. */
void limits_on_told(void *arg, int err, const struct redis_reply *reply);

struct auth_limits *auth_limits_new(void);
void auth_limits_free(struct auth_limits **auth);

#endif
