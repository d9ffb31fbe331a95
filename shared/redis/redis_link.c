/*
 * redis_link.c - the connection to Redis: made, lost, made again.
 *
 * down --> connecting (looks up the name first) --> hello (AUTH, PING) --> up
 *  ^__________|_______________|_______________________|     after 100 ms, doubled up to 5 s
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
#define CONNECT_TIMEOUT_MS 5000

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
	struct command *command;

	redis_complain(redis, "redis: no connection", why);
	redis_probe_down(redis, false, why);
	snprintf(redis->why, sizeof redis->why, "%s", why);
	redis_disconnect(redis);
	while ((command = list_pop(&redis->commands)))
		redis_end(redis, command, command->sent ? -ECONNRESET : -ENOTCONN);
	timer_set(&redis->retry, jitter(redis->backoff_ms));
	redis->backoff_ms = redis->backoff_ms * 2 < BACKOFF_MAX_MS ? redis->backoff_ms * 2
								   : BACKOFF_MAX_MS;
}

void
redis_destroy(struct redis *redis)
{
	timer_cancel(&redis->turn);
	timer_cancel(&redis->deadline);
	timer_cancel(&redis->retry);
	timer_cancel(&redis->pulse);
	evbuffer_free(redis->pending);
	tls_client_free(&redis->tls);
	if (redis->password)
		explicit_bzero(redis->password, strlen(redis->password));
	free(redis->password);
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

static void
hello_ask(struct redis *redis, int count, const char *const *words)
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
		hello_ask(redis, 2, auth);
	hello_ask(redis, 1, ping);
	words = redis_pulse(&count);
	if (redis->must_write)
		hello_ask(redis, count, words);
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
	timer_set(&redis->retry, CONNECT_TIMEOUT_MS);
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
static void
connect_start(struct redis *redis)
{
	if (!redis->named) {
		connect_to(redis, &redis->to);
		return;
	}
	redis->state = ST_CONNECTING;
	redis->resolve = resolve_start(redis->loop, redis->address, on_resolved, redis);
}

static void
tls_setup(struct redis *redis, const struct redis_options *options)
{
	char why[256];
	const char *colon = strrchr(options->address, ':');

	redis->host = xstrndup(options->address, (size_t)(colon - options->address));
	redis->tls = tls_client_new_verified(options->ca, why, sizeof why);
	if (!redis->tls)
		die("redis: cannot use TLS", why);
}

struct redis *
redis_new(struct loop *loop, const struct redis_options *options)
{
	struct redis *redis = xcalloc(1, sizeof *redis);

	redis->named = net_parse(options->address, &redis->to) < 0;
	redis->loop = loop;
	redis->address = xstrdup(options->address);
	redis->password = options->password ? xstrdup(options->password) : NULL;
	if (options->tls)
		tls_setup(redis, options);
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
	redis_probe_down(redis, true, "connecting");
	connect_start(redis);
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
