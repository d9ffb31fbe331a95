/*
 * password.c - checks passwords on a thread of its own, and remembers for a minute what was right.
 *
 * ingress:  cmd_auth -> [password] -> back on the asking loop
 *
 * PBKDF2 takes milliseconds by design, so it never runs on a loop. The number of waiting checks is
 * bounded: a flood of logins gets 454 instead of a queue that outlives the clients' patience. The
 * cache holds no password, only HMACs of (verifier, password) under a key that dies with the
 * process.
 */
#include "ingress/password.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "shared/log.h"
#include "shared/loop.h"

#define WAITING_MAX 256u
#define CACHE_SIZE 1024u
#define CACHE_MS 60000

struct passwords {
	struct loop *loop;
	atomic_uint waiting;
};

struct job {
	struct task task;
	struct passwords *passwords;
	struct loop *asker;
	struct scram_verifier verifier;
	void (*cb)(void *arg, bool right);
	void *arg;
	bool right;
	char password[];
};

struct passwords *
passwords_new(void)
{
	struct passwords *passwords = xcalloc(1, sizeof *passwords);

	passwords->loop = loop_new("password");
	loop_start(passwords->loop);
	return passwords;
}

void
passwords_free(struct passwords **passwords_ref)
{
	struct passwords *passwords = *passwords_ref;

	if (!passwords)
		return;
	loop_stop(passwords->loop);
	loop_join(passwords->loop);
	loop_free(&passwords->loop);
	free(passwords);
	*passwords_ref = NULL;
}

static void
on_answer(struct task *task)
{
	struct job *job = (struct job *)task;

	job->cb(job->arg, job->right);
	free(job);
}

static void
on_job(struct task *task)
{
	struct job *job = (struct job *)task;

	job->right = scram_check(&job->verifier, job->password);
	explicit_bzero(job->password, strlen(job->password));
	atomic_fetch_sub(&job->passwords->waiting, 1);
	job->task.run = on_answer;
	loop_post(job->asker, &job->task);
}

bool
passwords_check(struct passwords *passwords, const struct scram_verifier *verifier,
	const char *password, void (*cb)(void *arg, bool right), void *arg)
{
	size_t size = strlen(password) + 1;
	struct job *job;

	if (atomic_fetch_add(&passwords->waiting, 1) >= WAITING_MAX) {
		atomic_fetch_sub(&passwords->waiting, 1);
		return false;
	}
	job = xcalloc(1, sizeof *job + size);
	job->task.run = on_job;
	job->passwords = passwords;
	job->asker = loop_current();
	job->verifier = *verifier;
	job->cb = cb;
	job->arg = arg;
	memcpy(job->password, password, size);
	loop_post(passwords->loop, &job->task);
	return true;
}

struct entry {
	uint8_t mac[32];
	uint64_t until_ms;
};

struct password_cache {
	uint8_t key[32];
	struct entry entries[CACHE_SIZE];
};

struct password_cache *
password_cache_new(void)
{
	struct password_cache *cache = xcalloc(1, sizeof *cache);

	if (getrandom(cache->key, sizeof cache->key, 0) != (ssize_t)sizeof cache->key)
		die("no random numbers", strerror(errno));
	return cache;
}

void
password_cache_free(struct password_cache **cache)
{
	if (*cache)
		explicit_bzero(*cache, sizeof **cache);
	free(*cache);
	*cache = NULL;
}

/* The verifier's salt is random, so it stands for the user, too. */
static struct entry *
find(struct password_cache *cache, const char *verifier, const char *password, uint8_t mac[32])
{
	size_t first = strlen(verifier) + 1, second = strlen(password);
	char *text = xmalloc(first + second + 1);
	unsigned at;

	memcpy(text, verifier, first);
	memcpy(text + first, password, second);
	if (!HMAC(EVP_sha256(), cache->key, sizeof cache->key, (unsigned char *)text,
		    first + second, mac, NULL))
		die("cannot hash", "password cache");
	explicit_bzero(text, first + second);
	free(text);
	at = mac[0] | (unsigned)mac[1] << 8;
	return &cache->entries[at % CACHE_SIZE];
}

void
password_cache_add(struct password_cache *cache, const char *verifier, const char *password)
{
	uint8_t mac[32];
	struct entry *entry = find(cache, verifier, password, mac);

	memcpy(entry->mac, mac, sizeof mac);
	entry->until_ms = clock_mono_ms() + CACHE_MS;
}

bool
password_cache_has(struct password_cache *cache, const char *verifier, const char *password)
{
	uint8_t mac[32];
	struct entry *entry = find(cache, verifier, password, mac);

	return entry->until_ms > clock_mono_ms() && CRYPTO_memcmp(entry->mac, mac, sizeof mac) == 0;
}
