/*
 * redis_link.c - the connection to Redis: made, lost, made again.
 *
 * down --> (searching: sentinels) --> connecting (looks up the name first) --> hello --> up
 *  ^________________|_________________|_________________________________________|________|
 *                                      after 100 ms, doubled up to 5 s; 1 s with sentinels
 *
 * Hello is AUTH and PING, with sentinels ROLE.
 */
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/util.h>

#include "shared/redis/redis_private.h"

#define BACKOFF_MAX_MS 5000
#define BACKOFF_SENTINELS_MAX_MS 1000 /* a new master may be named at any time */
#define CONNECT_TIMEOUT_MS 5000
#define CONNECT_SENTINELS_MS 2000 /* a sentinel may name a dead master, another the new one */

static void connect_start(struct redis *redis);

void
redis_disconnect(struct redis *redis)
{
	resolve_cancel(&redis->resolve);
	if (redis->bev)
		bufferevent_free(redis->bev);
	redis->bev = NULL;
	if (redis->reader)
		redisReaderFree(redis->reader);
	redis->reader = NULL;
	evbuffer_drain(redis->pending, evbuffer_get_length(redis->pending));
	redis->scripts_count = 0;
	redis->state = ST_DOWN;
}

static unsigned
jitter(unsigned ms)
{
	unsigned random;

	evutil_secure_rng_get_bytes(&random, sizeof random);
	return ms / 2 + random % (ms / 2 + 1);
}

void
redis_give_up(struct redis *redis, const char *why)
{
	const unsigned max_ms = redis->sentinels ? BACKOFF_SENTINELS_MAX_MS : BACKOFF_MAX_MS;
	struct command *command;

	redis_complain(redis, "redis: no connection", why);
	redis_probe_down(redis, false, why);
	snprintf(redis->why, sizeof redis->why, "%s", why);
	redis_master_lost(redis);
	redis_disconnect(redis);
	while ((command = list_pop(&redis->commands)))
		redis_end(redis, command, command->sent ? -ECONNRESET : -ENOTCONN);
	timer_set(&redis->retry, jitter(redis->backoff_ms));
	redis->backoff_ms = redis->backoff_ms * 2 < max_ms ? redis->backoff_ms * 2 : max_ms;
}

static void
secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void
redis_destroy(struct redis *redis)
{
	timer_cancel(&redis->turn);
	timer_cancel(&redis->deadline);
	timer_cancel(&redis->retry);
	timer_cancel(&redis->pulse);
	evbuffer_free(redis->pending);
	if (!redis->aside)
		tls_client_free(&redis->tls);
	secret_free(redis->password);
	secret_free(redis->sentinel_password);
	free(redis->master);
	free(redis->served);
	free(redis->address);
	free(redis->host);
	free(redis);
}

static void
on_retry(void *arg)
{
	struct redis *redis = arg;

	if (redis->state == ST_DOWN)
		connect_start(redis);
	else
		redis_give_up(redis, "connecting took too long");
}

/* Connecting */

void
redis_hello_ask(struct redis *redis, int count, const char *const *words)
{
	const char *argv[8]; /* hiredis takes no const */
	char *text;
	int length;

	memcpy(argv, words, (size_t)count * sizeof *argv);
	length = redisFormatCommandArgv(&text, count, argv, NULL);
	if (length < 0)
		die("out of memory", "redisFormatCommandArgv");
	bufferevent_write(redis->bev, text, (size_t)length);
	explicit_bzero(text, (size_t)length);
	redisFreeCommand(text);
	redis->hello_replies++;
}

static void
hello_start(struct redis *redis)
{
	static const char *const ping[] = { "PING" };
	const char *const auth[] = { "AUTH", redis->password };
	const char *const *words;
	int count;

	redis->state = ST_HELLO;
	redis->hello_replies = 0;
	if (redis->password)
		redis_hello_ask(redis, 2, auth);
	redis_hello_ask(redis, 1, ping);
	redis_master_ask(redis);
	words = redis_pulse(&count);
	if (redis->must_write)
		redis_hello_ask(redis, count, words);
}

static const char *
broken_why(const struct redis *redis, short what)
{
	const int err = EVUTIL_SOCKET_ERROR();

	if (what & BEV_EVENT_EOF)
		return "closed by the server";
	if (err)
		return strerror(err);
	return redis->tls ? tls_error() : "unknown";
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		hello_start(arg);
	else
		redis_give_up(arg, broken_why(arg, what));
}

static struct bufferevent *
bufferevent_make(struct redis *redis, int fd)
{
	struct event_base *base = loop_base(redis->loop);

	if (redis->tls)
		return bufferevent_openssl_socket_new(base, fd,
			tls_client_session(redis->tls, redis->host), BUFFEREVENT_SSL_CONNECTING,
			BEV_OPT_CLOSE_ON_FREE);
	return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
}

static void
connect_to(struct redis *redis, const struct net_address *to)
{
	const int fd = net_connect(to, NULL);

	if (fd < 0) {
		redis_give_up(redis, strerror(-fd));
		return;
	}
	redis->bev = bufferevent_make(redis, fd);
	redis->reader = redisReaderCreate();
	if (!redis->bev || !redis->reader)
		die("out of memory", "redis");
	redis->state = ST_CONNECTING;
	timer_set(&redis->retry, redis->sentinels ? CONNECT_SENTINELS_MS : CONNECT_TIMEOUT_MS);
	bufferevent_setcb(redis->bev, redis_on_read, NULL, on_event, redis);
	bufferevent_enable(redis->bev, EV_READ | EV_WRITE);
	if (!redis->tls)
		bufferevent_socket_connect(redis->bev, NULL, 0); /* connect() is under way */
}

static void
on_resolved(void *arg, const struct net_address *addresses, size_t count, const char *why)
{
	struct redis *redis = arg;

	redis->resolve = NULL;
	if (count)
		connect_to(redis, &addresses[redis->tries++ % count]);
	else
		redis_give_up(redis, why);
}

/* A name is looked up each time, since its server may have moved. */
void
redis_connect(struct redis *redis)
{
	if (!redis->named) {
		connect_to(redis, &redis->to);
		return;
	}
	redis->state = ST_CONNECTING;
	redis->resolve = resolve_start(redis->loop, redis->address, on_resolved, redis);
}

static void
connect_start(struct redis *redis)
{
	if (redis->sentinels)
		redis_master_search(redis);
	else
		redis_connect(redis);
}

void
redis_set_address(struct redis *redis, const char *address)
{
	const char *colon = strrchr(address, ':');
	const bool brackets = address[0] == '['; /* of an IPv6 address */

	free(redis->address);
	free(redis->host);
	redis->address = xstrdup(address);
	redis->host = xstrndup(address + brackets, (size_t)(colon - address) - 2 * brackets);
	redis->named = net_parse(address, &redis->to) < 0;
	snprintf(redis->label, sizeof redis->label, "%s", address);
}

static struct redis *
redis_make(struct loop *loop, const char *password)
{
	struct redis *redis = xcalloc(1, sizeof *redis);

	redis->loop = loop;
	redis->password = password ? xstrdup(password) : NULL;
	list_init(&redis->commands);
	list_init(&redis->ended);
	redis->backoff_ms = BACKOFF_MIN_MS;
	redis->pending = evbuffer_new();
	timer_init(&redis->turn, loop, redis_on_turn, redis);
	timer_init(&redis->deadline, loop, redis_on_deadline, redis);
	timer_init(&redis->retry, loop, on_retry, redis);
	timer_init(&redis->pulse, loop, redis_on_pulse, redis);
	if (!redis->pending)
		die("out of memory", "redis");
	return redis;
}

static void
tls_setup(struct redis *redis, const char *ca)
{
	char why[256];

	redis->tls = tls_client_new_verified(ca, why, sizeof why);
	if (!redis->tls)
		die("redis: cannot use TLS", why);
}

struct redis *
redis_new(struct loop *loop, const struct redis_options *options)
{
	struct redis *redis = redis_make(loop, options->password);

	if (options->tls)
		tls_setup(redis, options->ca);
	if (options->address)
		redis_set_address(redis, options->address);
	else
		redis_master_init(redis, options);
	redis_probe_down(redis, true, "connecting");
	connect_start(redis);
	return redis;
}

struct redis *
redis_new_aside(
	struct loop *loop, const char *address, const char *password, struct tls_client *tls)
{
	struct redis *redis = redis_make(loop, password);

	redis->aside = true;
	redis->tls = tls;
	redis_set_address(redis, address);
	redis_connect(redis);
	return redis;
}

void
redis_free(struct redis **redis_ref)
{
	struct redis *redis = *redis_ref;
	struct command *command;

	if (!redis)
		return;
	*redis_ref = NULL;
	redis->dead = true;
	redis_probe_leave(redis);
	redis_master_free(redis);
	redis->busy++;
	redis_flush(redis); /* the last commands may be reports that nobody waits for */
	redis_disconnect(redis);
	while ((command = list_pop(&redis->commands)))
		redis_end(redis, command, -ECANCELED);
	redis_deliver(redis);
	redis_leave(redis);
}

bool
redis_up(const struct redis *redis)
{
	const struct command *first = redis->commands.first;

	return redis->state == ST_UP && !(first && first->expired);
}

const char *
redis_why(const struct redis *redis)
{
	return redis->why;
}

bool
redis_hopeful(const struct redis *redis)
{
	const struct command *first = redis->commands.first;

	return redis->state != ST_DOWN && !(first && first->expired);
}
