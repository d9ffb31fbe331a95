/*
 * password.c - checks passwords on a thread of its own, and remembers for a minute what was right.
 *
 * ingress:  cmd_auth -> [password] -> back on the asking loop
 *
 * PBKDF2 takes milliseconds by design, so it never runs on a loop. Addresses take turns: a check
 * waits for one check of each other address, however many those have asked for. A session that ends
 * takes its check back, so no more checks wait than there are sessions. The cache holds passwords
 * that were right: no password itself, only an HMAC of (verifier, password), under a key that dies
 * with the process.
 */
#include "ingress/verb/password.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define CACHE_SIZE 1024u
#define CACHE_MS 60000

struct password_check {
	struct task task; /* first */
	TAILQ_ENTRY(password_check) next;
	struct line *line; /* NULL: no longer in one */
	struct loop *asker;
	struct scram_verifier verifiers[PASSWORDS_MAX];
	size_t verifiers_count;
	password_cb cb; /* NULL: taken back */
	void *arg;
	int which;
	char password[];
};

TAILQ_HEAD(checks, password_check);

/* The checks of an address that wait. */
struct line {
	TAILQ_ENTRY(line) next;
	struct checks checks;
	char address[];
};

struct passwords {
	struct loop *loop;
	struct task turn;
	pthread_mutex_t lock; /* for all below, and for the waiting checks */
	bool turning;
	TAILQ_HEAD(, line) lines; /* whose turn it is first */
};

static void on_turn(struct task *task);

struct passwords *
passwords_new(void)
{
	struct passwords *passwords = xcalloc(1, sizeof *passwords);

	passwords->loop = loop_new("password");
	passwords->turn.run = on_turn;
	pthread_mutex_init(&passwords->lock, NULL);
	TAILQ_INIT(&passwords->lines);
	loop_start(passwords->loop);
	return passwords;
}

/* Takes the check out of its line. The line goes to the end of the lines, or away when it is
 * empty. */
static void
leave_line(struct passwords *passwords, struct password_check *check)
{
	struct line *line = check->line;

	TAILQ_REMOVE(&line->checks, check, next);
	TAILQ_REMOVE(&passwords->lines, line, next);
	check->line = NULL;
	if (TAILQ_EMPTY(&line->checks))
		free(line);
	else
		TAILQ_INSERT_TAIL(&passwords->lines, line, next);
}

static void
check_free(struct password_check *check)
{
	explicit_bzero(check->password, strlen(check->password));
	free(check);
}

void
passwords_free(struct passwords **passwords_ref)
{
	struct passwords *passwords = *passwords_ref;
	struct line *line;

	if (!passwords)
		return;
	loop_stop(passwords->loop);
	loop_join(passwords->loop);
	while ((line = TAILQ_FIRST(&passwords->lines))) {
		struct password_check *check = TAILQ_FIRST(&line->checks);

		leave_line(passwords, check);
		check_free(check);
	}
	loop_free(&passwords->loop);
	pthread_mutex_destroy(&passwords->lock);
	free(passwords);
	*passwords_ref = NULL;
}

static void
on_answer(struct task *task)
{
	struct password_check *check = (struct password_check *)task;

	if (check->cb)
		check->cb(check->arg, check->which);
	check_free(check);
}

static struct password_check *
next_check(struct passwords *passwords)
{
	struct line *line = TAILQ_FIRST(&passwords->lines);
	struct password_check *check = line ? TAILQ_FIRST(&line->checks) : NULL;

	if (check)
		leave_line(passwords, check);
	passwords->turning = check != NULL;
	return check;
}

static void
on_turn(struct task *task)
{
	struct passwords *passwords = container_of(task, struct passwords, turn);
	struct password_check *check;

	pthread_mutex_lock(&passwords->lock);
	check = next_check(passwords);
	pthread_mutex_unlock(&passwords->lock);
	if (!check)
		return;
	check->which = scram_check_any(check->verifiers, check->verifiers_count, check->password);
	check->task.run = on_answer;
	loop_post(check->asker, &check->task);
	loop_post(passwords->loop, &passwords->turn);
}

static struct line *
line_of(struct passwords *passwords, const char *address)
{
	const size_t size = strlen(address) + 1;
	struct line *line;

	TAILQ_FOREACH (line, &passwords->lines, next)
		if (strcmp(line->address, address) == 0)
			return line;
	line = xmalloc(sizeof *line + size);
	memcpy(line->address, address, size);
	TAILQ_INIT(&line->checks);
	TAILQ_INSERT_TAIL(&passwords->lines, line, next);
	return line;
}

struct password_check *
passwords_check(struct passwords *passwords, const char *address,
	const struct scram_verifier *verifiers, size_t count, const char *password, password_cb cb,
	void *arg)
{
	const size_t size = strlen(password) + 1;
	struct password_check *check = xcalloc(1, sizeof *check + size);
	bool turning;

	check->asker = loop_current();
	memcpy(check->verifiers, verifiers, count * sizeof *verifiers);
	check->verifiers_count = count;
	check->cb = cb;
	check->arg = arg;
	memcpy(check->password, password, size);
	pthread_mutex_lock(&passwords->lock);
	check->line = line_of(passwords, address);
	TAILQ_INSERT_TAIL(&check->line->checks, check, next);
	turning = passwords->turning;
	passwords->turning = true;
	pthread_mutex_unlock(&passwords->lock);
	if (!turning)
		loop_post(passwords->loop, &passwords->turn);
	return check;
}

void
passwords_take_back(struct passwords *passwords, struct password_check *check)
{
	bool waits;

	pthread_mutex_lock(&passwords->lock);
	waits = check->line != NULL;
	if (waits)
		leave_line(passwords, check);
	pthread_mutex_unlock(&passwords->lock);
	check->cb = NULL; /* read on this loop only */
	if (waits)
		check_free(check);
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

/* The entry for a verifier and a password. The verifier's salt is random, so it stands for the
 * user, too. */
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
