/*
 * tls_memory.c - which hosts completed TLS lately.
 *
 * client_connect -> [tls_memory] -> host_memory, Redis
 *
 * Redis is told of a host's TLS every ten minutes, with the time, and is asked when a host lacks
 * TLS. Owns the questions to Redis, and a list of the hosts that had TLS and lack it now. A host
 * that drops out of that list must lack TLS for another hour.
 */
#include "sender/smtp/tls_memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "sender/smtp/host_memory.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/redis/redis.h"

#define WAIT_MS 200
#define KEPT_S "604800"
#define HOST_MAX 256
#define KEY_MAX (HOST_MAX + 8)
#define LACKING_MAX 10000
#define GAP_MS (6 * TLS_PATIENCE_MS) /* after so long without a failure the hour begins anew */

struct lacking {
	UT_hash_handle hh; /* in order of their last failure */
	uint64_t since_ms, last_ms;
	char host[];
};

struct question {
	LIST_ENTRY(question) link;
	struct tls_memory *memory; /* NULL: the memory has gone */
	tls_lack_cb cb;
	void *arg;
	bool had;
	uint64_t asked_ms;
	char host[HOST_MAX];
};

struct tls_memory {
	struct redis *redis;
	struct host_memory *hosts;
	struct lacking *lacking;
	LIST_HEAD(, question) questions;
};

struct tls_memory *
tls_memory_new(struct redis *redis, struct host_memory *hosts)
{
	struct tls_memory *memory = xcalloc(1, sizeof *memory);

	memory->redis = redis;
	memory->hosts = hosts;
	LIST_INIT(&memory->questions);
	return memory;
}

static void
lacking_remove(struct tls_memory *memory, struct lacking *lacking)
{
	HASH_DEL(memory->lacking, lacking);
	free(lacking);
}

void
tls_memory_free(struct tls_memory **memory_ref)
{
	struct tls_memory *memory = *memory_ref;
	struct question *question;

	while (memory && (question = LIST_FIRST(&memory->questions))) {
		LIST_REMOVE(question, link);
		question->memory = NULL;
	}
	while (memory && memory->lacking)
		lacking_remove(memory, memory->lacking);
	free(memory);
	*memory_ref = NULL;
}

static void
key_of(const char *host, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "tls:{%s}", host);
}

static void
tell(struct tls_memory *memory, const char *host)
{
	char key[KEY_MAX], seconds[24];

	key_of(host, key);
	snprintf(seconds, sizeof seconds, "%" PRIu64, clock_us() / 1000000);
	redis_command(memory->redis, WAIT_MS, NULL, NULL, 5,
		(const char *const[]){ "SET", key, seconds, "EX", KEPT_S }, NULL);
}

void
tls_memory_done(struct tls_memory *memory, const char *host, uint64_t now_ms)
{
	struct lacking *lacking;

	HASH_FIND_STR(memory->lacking, host, lacking);
	if (lacking)
		lacking_remove(memory, lacking);
	host_memory_add(memory->hosts, host, HOST_HAD_TLS, now_ms);
	if (!memory->redis || !redis_up(memory->redis) ||
		host_memory_has(memory->hosts, host, HOST_TOLD_TLS, now_ms))
		return;
	host_memory_add(memory->hosts, host, HOST_TOLD_TLS, now_ms);
	tell(memory, host);
}

/* Since when the host has lacked TLS. */
static uint64_t
lacking_note(struct tls_memory *memory, const char *host, uint64_t now_ms)
{
	const size_t length = strlen(host);
	struct lacking *lacking;

	HASH_FIND_STR(memory->lacking, host, lacking);
	if (lacking) {
		HASH_DEL(memory->lacking, lacking);
	} else {
		if (HASH_COUNT(memory->lacking) == LACKING_MAX)
			lacking_remove(memory, memory->lacking);
		NAMED_NEW(host, host, lacking);
		lacking->since_ms = lacking->last_ms = now_ms;
	}
	if (now_ms - lacking->last_ms > GAP_MS)
		lacking->since_ms = now_ms;
	lacking->last_ms = now_ms;
	HASH_ADD_KEYPTR(hh, memory->lacking, lacking->host, length, lacking);
	return lacking->since_ms;
}

/* `age_s`: how old the last success is that any sender told of. */
static void
answer(struct tls_memory *memory, const struct question *question, uint64_t age_s)
{
	const uint64_t now = question->asked_ms;
	uint64_t since = now;
	enum tls_lack lack = TLS_LACK_USUAL;

	if (question->had) {
		since = lacking_note(memory, question->host, now);
		lack = now - since >= TLS_PATIENCE_MS && age_s >= TLS_PATIENCE_MS / 1000
			? TLS_LACK_LASTS
			: TLS_LACK_NEW;
	}
	question->cb(question->arg, question->host, lack, since);
}

static void
on_told(void *arg, int err, const struct redis_reply *reply)
{
	struct question *question = arg;
	const uint64_t now_s = clock_us() / 1000000;
	uint64_t age_s = UINT64_MAX, then_s;

	if (question->memory) {
		LIST_REMOVE(question, link);
		if (!err && redis_reply_kind(reply) == REDIS_STR) {
			then_s = strtoull(redis_reply_str(reply, NULL), NULL, 10);
			question->had = true;
			age_s = now_s > then_s ? now_s - then_s : 0;
		}
		answer(question->memory, question, age_s);
	}
	free(question);
}

static void
ask(struct tls_memory *memory, const struct question *what)
{
	struct question *question = xmalloc(sizeof *question);
	char key[KEY_MAX];

	*question = *what;
	question->memory = memory;
	LIST_INSERT_HEAD(&memory->questions, question, link);
	key_of(question->host, key);
	redis_command(memory->redis, WAIT_MS, on_told, question, 2,
		(const char *const[]){ "GET", key }, NULL);
}

void
tls_memory_lacks(
	struct tls_memory *memory, const char *host, uint64_t now_ms, tls_lack_cb cb, void *arg)
{
	struct question question = { .cb = cb, .arg = arg, .asked_ms = now_ms };

	snprintf(question.host, sizeof question.host, "%s", host);
	question.had = host_memory_has(memory->hosts, host, HOST_HAD_TLS, now_ms);
	if (memory->redis && redis_hopeful(memory->redis))
		ask(memory, &question);
	else
		answer(memory, &question, UINT64_MAX);
}
