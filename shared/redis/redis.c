/*
 * redis.c - a pipelining Redis client on one loop.
 *
 * caller -> [redis] -> redis-server
 *
 * hiredis is the codec. The connection is a bufferevent of ours, and so are deadlines, TLS and
 * reconnecting. Redis answers in order, so commands wait in one ordered list; one timer waits for
 * the earliest deadline. Commands given within one turn of the loop leave in one write.
 *
 * A command whose deadline passed stays in the list without a callback; its late answer is dropped.
 * When a connection breaks, every command in the list ends at once. The next attempt follows after
 * a delay that doubles from 100 ms to 5 s. A server that is silent for 5 s after a deadline counts
 * as gone.
 */
#include "shared/redis/redis.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/evp.h>

#include "shared/base/timer.h"
#include "shared/redis/redis_private.h"

#define SILENCE_MAX_MS 5000
#define DEADLINE_STEP_MS 10 /* bounds how often the list is walked */
/* Without "*N\r\n", a formatted EVALSHA starts with this, up to the number of keys. */
#define EVALSHA_HEAD (sizeof "$7\r\nEVALSHA\r\n$40\r\n" - 1 + 40 + 2)

static void
command_free(struct command *command)
{
	free(command->text);
	free(command);
}

static void
command_finish(struct command *command, int err, const redisReply *reply)
{
	if (command->cb && !command->expired)
		command->cb(command->arg, err, (const struct redis_reply *)reply);
	command_free(command);
}

/* Ends a command. Its callback comes on the loop's next turn, so never inside the caller. */
void
redis_end(struct redis *redis, struct command *command, int err)
{
	command->err = err;
	list_add(&redis->ended, command);
	timer_soon(&redis->turn);
}

void
redis_leave(struct redis *redis)
{
	if (--redis->busy == 0 && redis->dead)
		redis_destroy(redis);
}

static bool
script_known(struct redis *redis, const struct redis_script *script)
{
	for (unsigned i = 0; i < redis->scripts_count; i++)
		if (redis->scripts[i] == script)
			return true;
	if (redis->scripts_count < SCRIPTS_MAX)
		redis->scripts[redis->scripts_count++] = script;
	return false;
}

static void
send_eval(struct redis *redis, const struct command *command)
{
	const char *head = memchr(command->text, '\n', command->length);
	const char *tail = head + 1 + EVALSHA_HEAD;
	const char *text = command->script->text;

	evbuffer_add_printf(
		redis->pending, "*%d\r\n$4\r\nEVAL\r\n$%zu\r\n", command->argc, strlen(text));
	evbuffer_add(redis->pending, text, strlen(text));
	evbuffer_add(redis->pending, "\r\n", 2);
	evbuffer_add(redis->pending, tail, command->length - (size_t)(tail - command->text));
}

/* The first use of a script on a connection is EVAL, which stores the script in the server. */
void
redis_send(struct redis *redis, struct command *command)
{
	command->sent = true;
	if (command->script && !script_known(redis, command->script)) {
		send_eval(redis, command);
	} else {
		evbuffer_add(redis->pending, command->text, command->length);
	}
	if (!command->script) {
		free(command->text);
		command->text = NULL;
	}
	timer_soon(&redis->turn);
}

static void
deadline_ensure(struct redis *redis, uint64_t at_ms, uint64_t now_ms)
{
	if (at_ms < now_ms + DEADLINE_STEP_MS)
		at_ms = now_ms + DEADLINE_STEP_MS;
	if (redis->deadline_ms && redis->deadline_ms <= at_ms)
		return;
	redis->deadline_ms = at_ms;
	timer_set(&redis->deadline, at_ms - now_ms);
}

static void
command_give(struct redis *redis, struct command *command, unsigned timeout_ms)
{
	const uint64_t now = clock_mono_ms();

	if (redis->dead || redis->state == ST_DOWN) {
		redis_end(redis, command, redis->dead ? -ECANCELED : -ENOTCONN);
		return;
	}
	command->deadline_ms = now + timeout_ms;
	command->given_us = clock_mono_us();
	list_add(&redis->commands, command);
	deadline_ensure(redis, command->deadline_ms, now);
	if (redis->state == ST_UP)
		redis_send(redis, command);
}

static struct command *
command_new(redis_cb cb, void *arg, int argc, const char *const *argv, const size_t *lengths)
{
	struct command *command = xcalloc(1, sizeof *command);
	const char **copy = xmalloc((size_t)argc * sizeof *copy);
	int length;

	memcpy(copy, argv, (size_t)argc * sizeof *copy); /* hiredis takes no const */
	length = redisFormatCommandArgv(&command->text, argc, copy, lengths);
	free(copy);
	if (length < 0)
		die("out of memory", "redisFormatCommandArgv");
	command->length = (size_t)length;
	command->argc = argc;
	command->cb = cb;
	command->arg = arg;
	return command;
}

void
redis_command(struct redis *redis, unsigned timeout_ms, redis_cb cb, void *arg, int argc,
	const char *const *argv, const size_t *lengths)
{
	command_give(redis, command_new(cb, arg, argc, argv, lengths), timeout_ms);
}

static void
script_name(struct redis_script *script)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* loops share a script */
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];

	pthread_mutex_lock(&lock);
	if (!script->sha1[0]) {
		EVP_Digest(script->text, strlen(script->text), digest, NULL, EVP_sha1(), NULL);
		for (int i = 19; i >= 0; i--) {
			script->sha1[2 * i + 1] = hex[digest[i] & 15];
			script->sha1[2 * i] = hex[digest[i] >> 4];
		}
	}
	pthread_mutex_unlock(&lock);
}

void
redis_run(struct redis *redis, struct redis_script *script, unsigned timeout_ms, redis_cb cb,
	void *arg, int keys, int argc, const char *const *argv)
{
	const char **full = xmalloc((size_t)(argc + 3) * sizeof *full);
	struct command *command;

	script_name(script);
	full[0] = "EVALSHA";
	full[1] = script->sha1;
	full[2] = log_int(keys);
	memcpy(full + 3, argv, (size_t)argc * sizeof *full);
	command = command_new(cb, arg, argc + 3, full, NULL);
	free(full);
	command->script = script;
	command_give(redis, command, timeout_ms);
}

/* Replies */

static bool
reply_starts(const redisReply *reply, const char *prefix)
{
	return (reply->type == REDIS_REPLY_ERROR || reply->type == REDIS_REPLY_STATUS) &&
		strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

/* Sends the text of a script that the server has lost (SCRIPT FLUSH), behind the commands sent
 * since. */
static void
script_again(struct redis *redis, struct command *command)
{
	list_add(&redis->commands, command);
	send_eval(redis, command);
	timer_soon(&redis->turn);
	command->script = NULL; /* a second NOSCRIPT is an error */
}

static void
hello_done(struct redis *redis)
{
	unsigned left_out;

	if (said_clear(&redis->said, &left_out) && !redis->aside)
		LOG_INFO("redis: connected", "address", redis->label, SAID_LEFT_OUT(left_out));
	redis->must_write = false;
	redis->backoff_ms = BACKOFF_MIN_MS;
	redis->state = ST_UP;
	redis_probe_up(redis);
	redis_master_up(redis);
	timer_cancel(&redis->retry);
	for (struct command *command = redis->commands.first; command; command = command->next)
		redis_send(redis, command);
}

/* Takes the answers to AUTH, PING, ROLE (with sentinels) and perhaps a write. A server is not up
 * that is still loading, wants another password, or turns out to be a replica. */
static void
hello_reply(struct redis *redis, const redisReply *reply)
{
	const char *doubt;

	if (reply->type == REDIS_REPLY_ERROR) {
		redis_count_refusal(redis, reply->str);
		redis_give_up(redis, reply->str);
		return;
	}
	redis_master_take(redis, reply);
	if (--redis->hello_replies > 0)
		return;
	doubt = redis_master_doubt(redis);
	if (doubt)
		redis_give_up(redis, doubt);
	else
		hello_done(redis);
}

/* Takes a refusal that is about Redis itself, not about the command. */
static void
take_error(struct redis *redis, struct command *command, const redisReply *reply)
{
	const enum redis_remedy remedy = redis_refused(redis, reply->str);

	command_finish(
		command, remedy == REDIS_NONE ? 0 : -EAGAIN, remedy == REDIS_NONE ? reply : NULL);
	if (remedy == REDIS_CONNECT && !redis->dead)
		redis_give_up(redis, reply->str);
}

static void
take_reply(struct redis *redis, const redisReply *reply)
{
	struct command *command;

	if (redis->state == ST_HELLO) {
		hello_reply(redis, reply);
		return;
	}
	command = list_pop(&redis->commands);
	if (!command) {
		redis_give_up(redis, "an answer that nobody asked for");
		return;
	}
	redis_measure(redis, clock_mono_us() - command->given_us);
	if (command->script && !command->expired && reply_starts(reply, "NOSCRIPT"))
		script_again(redis, command);
	else if (reply->type == REDIS_REPLY_ERROR)
		take_error(redis, command, reply);
	else
		command_finish(command, 0, reply);
}

/* Hands on the replies that have arrived whole. False: the connection is gone, or cannot go on. */
static bool
take_replies(struct redis *redis)
{
	void *reply;

	while (redis->reader) {
		if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
			redis_give_up(redis, redis->reader->errstr);
			return false;
		}
		if (!reply)
			return true;
		take_reply(redis, reply);
		freeReplyObject(reply);
	}
	return false;
}

void
redis_on_read(struct bufferevent *bev, void *arg)
{
	struct redis *redis = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	struct evbuffer_iovec piece;
	bool more = true;

	redis->busy++;
	redis->heard_ms = clock_mono_ms();
	while (more && evbuffer_peek(input, -1, NULL, &piece, 1) > 0) {
		if (redisReaderFeed(redis->reader, piece.iov_base, piece.iov_len) != REDIS_OK)
			die("out of memory", "redisReaderFeed");
		evbuffer_drain(input, piece.iov_len);
		more = take_replies(redis);
	}
	redis_leave(redis);
}

/* Timers */

/* Writing to the socket directly saves libevent's EV_WRITE, which costs two epoll_ctl a batch. */
void
redis_flush(struct redis *redis)
{
	if (!redis->bev || redis->state < ST_HELLO || evbuffer_get_length(redis->pending) == 0)
		return;
	if (!redis->tls && evbuffer_get_length(bufferevent_get_output(redis->bev)) == 0)
		evbuffer_write(redis->pending, bufferevent_getfd(redis->bev));
	if (evbuffer_get_length(redis->pending) > 0)
		bufferevent_write_buffer(redis->bev, redis->pending);
}

void
redis_deliver(struct redis *redis)
{
	struct command *command;

	while ((command = list_pop(&redis->ended)))
		command_finish(command, command->err, NULL);
}

void
redis_on_turn(void *arg)
{
	struct redis *redis = arg;

	redis->busy++;
	redis_deliver(redis);
	redis_flush(redis);
	redis_leave(redis);
}

static void
expire_unsent(struct redis *redis, uint64_t now)
{
	struct list all = redis->commands;
	struct command *command;

	if (!all.first)
		return;
	list_init(&redis->commands);
	while ((command = list_pop(&all))) {
		if (!command->sent && command->deadline_ms <= now)
			redis_end(redis, command, -ENOTCONN);
		else
			list_add(&redis->commands, command);
	}
}

static void
expire_sent(struct redis *redis, uint64_t now)
{
	struct command *command = redis->commands.first;

	while (command) {
		if (!command->expired && command->deadline_ms <= now) {
			command->expired = true;
			if (command->cb)
				command->cb(command->arg, -ETIMEDOUT, NULL);
			if (redis->dead)
				return; /* and so is the list */
		}
		command = command->next;
	}
}

static void
deadline_next(struct redis *redis, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (struct command *c = redis->commands.first; c; c = c->next)
		if (!c->expired && c->deadline_ms < next)
			next = c->deadline_ms;
	if (next == UINT64_MAX && redis->commands.first)
		next = now + SILENCE_MAX_MS;
	if (next != UINT64_MAX)
		deadline_ensure(redis, next, now);
}

static bool
silent(const struct redis *redis, uint64_t now)
{
	const struct command *first = redis->commands.first;

	return redis->state == ST_UP && first && first->expired &&
		now >= first->deadline_ms + SILENCE_MAX_MS &&
		now >= redis->heard_ms + SILENCE_MAX_MS;
}

void
redis_on_deadline(void *arg)
{
	struct redis *redis = arg;
	const uint64_t now = clock_mono_ms();

	redis->deadline_ms = 0;
	redis->busy++;
	if (redis->state != ST_UP)
		expire_unsent(redis, now);
	else
		expire_sent(redis, now);
	if (!redis->dead && silent(redis, now))
		redis_give_up(redis, "no answer for a long time");
	if (!redis->dead)
		deadline_next(redis, now);
	redis_leave(redis);
}
