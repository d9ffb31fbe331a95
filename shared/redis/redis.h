/*
 * redis.h - a pipelining client on one loop: unix, TCP or TLS, password, deadlines, reconnect with
 * backoff. One connection each, to an address or to the master that sentinels name.
 *
 * Every command gets exactly one callback, on the loop, never before the call returns:
 *   err 0          `reply` is the answer (which may be of kind REDIS_ERR)
 *   -ETIMEDOUT     no answer by the deadline (the command may have run)
 *   -ENOTCONN      Redis is not there; the command was not sent
 *   -EAGAIN        Redis refuses for its own sake (full, read-only, loading, ...)
 *   -ECONNRESET    the connection broke before the answer (the command may have run)
 *   -ECANCELED     redis_free() was called
 * Answers come in the order of the calls; a time-out comes at its deadline.
 *
 * A refusal with -EAGAIN is told in the log, by a metric and in /readyz. Where a new connection may
 * help, the client makes one.
 */
#ifndef SHARED_REDIS_H
#define SHARED_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct loop;
struct redis;
struct redis_reply;

struct redis_options {
	const char *address; /* "unix:/path" or "host:port"; the host may be a name */
	/* Or, with `address` NULL: who says where the master is, each "host:port". */
	const char *const *sentinels;
	unsigned sentinels_count;
	const char *master;            /* the sentinels' name for it */
	const char *sentinel_password; /* NULL: none */
	const char *password;          /* NULL: none */
	bool tls;                      /* also to the sentinels */
	const char *ca;                /* with tls: CA file, NULL: the system's */
};

enum redis_kind { REDIS_NIL, REDIS_STR, REDIS_INT, REDIS_LIST, REDIS_ERR };

enum redis_kind redis_reply_kind(const struct redis_reply *reply);
const char *redis_reply_str(const struct redis_reply *reply, size_t *length); /* STR, ERR */
int64_t redis_reply_int(const struct redis_reply *reply);
size_t redis_reply_count(const struct redis_reply *reply);
const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t i);

typedef void (*redis_cb)(void *arg, int err, const struct redis_reply *reply);
/* For commands whose answer nobody awaits: logs `message`, a text, when Redis refuses. */
void redis_log_refusal(void *message, int err, const struct redis_reply *reply);

/* Connects in the background and stays connected. Options are copied. */
struct redis *redis_new(struct loop *loop, const struct redis_options *options);
/* The same, by the settings. */
struct redis *redis_open(struct loop *loop, const struct config *config);
void redis_free(struct redis **redis);
/* Whether the client is connected, and no answer is beyond its deadline. */
bool redis_up(const struct redis *redis);
/* Why the last connection was lost or could not be made; "" when none failed. */
const char *redis_why(const struct redis *redis);
/* Whether asking is worth the wait: the client is connected or about to be, and Redis does not
 * hang. */
bool redis_hopeful(const struct redis *redis);

/* What a sentinel says: `address` of the master, "host:port"; or NULL, and `why` it names none. */
typedef void (*redis_sentinel_cb)(void *arg, const char *address, const char *why);
/* Asks sentinel number `i` of the options, beside what the client does. The callback comes once, on
 * the loop, within some two seconds; not after redis_free(). */
void redis_ask_sentinel(struct redis *redis, unsigned i, redis_sentinel_cb cb, void *arg);

/* `argv` is copied. `lengths` NULL: argv are C strings. `cb` may be NULL. */
void redis_command(struct redis *redis, unsigned timeout_ms, redis_cb cb, void *arg, int argc,
	const char *const *argv, const size_t *lengths);

/* A Lua script: sent as EVALSHA, or as EVAL when the server does not know it yet. */
struct redis_script {
	const char *text;
	char sha1[41]; /* filled at first use; zero-initialise */
};
/* The first `keys` of argv become KEYS, the others ARGV. */
void redis_run(struct redis *redis, struct redis_script *script, unsigned timeout_ms, redis_cb cb,
	void *arg, int keys, int argc, const char *const *argv);

#endif
