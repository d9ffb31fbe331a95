/*
 * hasher.c - hashes people's passwords on a thread of its own.
 *
 * api (loop) -> [hasher: thread] -> api (loop)
 *
 * The costs are those that OWASP recommends for argon2id: 19 MiB, two passes, one lane.
 */
#include "control/people/hasher.h"

#include <stdlib.h>
#include <string.h>

#include <argon2.h>
#include <openssl/rand.h>

#include "control/people/secret.h"
#include "shared/base/fair.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#define MEMORY_KIB 19456
#define PASSES 2
#define LANES 1
#define SALT_BYTES 16
#define SUM_BYTES 32
#define CLIENT_SIZE 64

/* Of a password that nobody knows. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$c2hvdXRzaG91dHNob3V0cw$"
			     "Xw0sV3mVpSgnUuWvFQ9QOqkRkYyHcV2vYb0c1mJmK5k";

struct hashing {
	struct task task;
	struct hasher *hasher;
	struct hashing *next; /* in `open` */
	char client[CLIENT_SIZE];
	char *password, *verifier; /* verifier NULL: a new one is to be made */
	bool exists, good;
	char made[VERIFIER_SIZE];
	hasher_cb cb;
	void *arg;
};

struct hasher {
	struct loop *loop, *thread;
	struct hashing *open; /* waiting or under way; the loop's */
	unsigned count;
};

struct hasher *
hasher_new(struct loop *loop)
{
	struct hasher *hasher = xcalloc(1, sizeof *hasher);

	hasher->loop = loop;
	hasher->thread = loop_new("control-hashes");
	loop_start(hasher->thread);
	return hasher;
}

void
hasher_free(struct hasher **hasher_ref)
{
	struct hasher *hasher = *hasher_ref;

	if (!hasher)
		return;
	*hasher_ref = NULL;
	loop_stop(hasher->thread);
	loop_join(hasher->thread);
	loop_free(&hasher->thread);
	free(hasher);
}

static void
unlink_open(struct hashing *hashing)
{
	struct hashing **at = &hashing->hasher->open;

	while (*at != hashing)
		at = &(*at)->next;
	*at = hashing->next;
	hashing->hasher->count--;
}

static void
answer(struct task *task)
{
	struct hashing *hashing = (struct hashing *)task;

	unlink_open(hashing);
	hashing->cb(hashing->arg, hashing->good, hashing->made);
	secret_free(hashing->password);
	secret_free(hashing->verifier);
	explicit_bzero(hashing, sizeof *hashing);
	free(hashing);
}

static void
make(struct hashing *hashing)
{
	uint8_t salt[SALT_BYTES];
	int err;

	if (RAND_bytes(salt, sizeof salt) != 1)
		die("no random numbers", "OpenSSL");
	err = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, hashing->password,
		strlen(hashing->password), salt, sizeof salt, SUM_BYTES, hashing->made,
		sizeof hashing->made);
	if (err != ARGON2_OK)
		die("a password cannot be hashed", argon2_error_message(err));
	hashing->good = true;
}

static void
work(struct task *task)
{
	struct hashing *hashing = (struct hashing *)task;

	if (hashing->verifier)
		hashing->good = argon2id_verify(hashing->verifier, hashing->password,
					strlen(hashing->password)) == ARGON2_OK &&
			hashing->exists;
	else
		make(hashing);
	hashing->task.run = answer;
	loop_post(hashing->hasher->loop, &hashing->task);
}

/* Whether one more may wait. */
static bool
has_room(const struct hasher *hasher, const char *client)
{
	size_t used = 0;

	for (const struct hashing *at = hasher->open; at; at = at->next)
		used += strncmp(at->client, client, CLIENT_SIZE - 1) == 0;
	return fair_allows(used, HASHES_MAX - hasher->count);
}

static struct hashing *
begin(struct hasher *hasher, const char *client, const char *password, hasher_cb cb, void *arg)
{
	struct hashing *hashing = xcalloc(1, sizeof *hashing);

	*hashing = (struct hashing){ .task.run = work,
		.hasher = hasher,
		.next = hasher->open,
		.password = xstrdup(password),
		.cb = cb,
		.arg = arg };
	text_copy(hashing->client, sizeof hashing->client, client);
	hasher->open = hashing;
	hasher->count++;
	return hashing;
}

bool
hasher_check(struct hasher *hasher, const char *client, const char *password, const char *verifier,
	hasher_cb cb, void *arg)
{
	struct hashing *hashing;

	if (!has_room(hasher, client))
		return false;
	hashing = begin(hasher, client, password, cb, arg);
	hashing->exists = verifier != NULL;
	hashing->verifier = xstrdup(verifier ? verifier : nobody);
	loop_post(hasher->thread, &hashing->task);
	return true;
}

bool
hasher_make(
	struct hasher *hasher, const char *client, const char *password, hasher_cb cb, void *arg)
{
	struct hashing *hashing;

	if (!has_room(hasher, client))
		return false;
	hashing = begin(hasher, client, password, cb, arg);
	loop_post(hasher->thread, &hashing->task);
	return true;
}
