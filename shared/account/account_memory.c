/*
 * account_memory.c - the last good copies of all loops, in one table under a lock.
 *
 * account_store (each loop) <-> [account_memory]
 *
 * The table has texts, not parsed accounts: references to an account are counted on one loop. The
 * table is bounded; the copy that was heard longest ago goes first. Copies of active clients are
 * heard every few seconds, so they stay.
 */
#include "shared/account/account_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/account/account_private.h"
#include "shared/base/log.h"
#include "shared/base/named.h"

#define COPIES_MAX 50000

struct copy {
	UT_hash_handle hh; /* by the time they were heard, the oldest first */
	char *text;
	uint64_t heard_ms;
	char marker[MARKER_SIZE];
	char key[];
};

static struct {
	pthread_mutex_t lock;
	struct copy *copies;
	unsigned holders;
} memory = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
account_copy_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
copy_drop(struct copy *copy)
{
	HASH_DEL(memory.copies, copy);
	account_copy_free(copy->text);
	free(copy);
}

void
account_memory_hold(void)
{
	pthread_mutex_lock(&memory.lock);
	memory.holders++;
	pthread_mutex_unlock(&memory.lock);
}

void
account_memory_let_go(void)
{
	pthread_mutex_lock(&memory.lock);
	if (--memory.holders == 0)
		while (memory.copies)
			copy_drop(memory.copies);
	pthread_mutex_unlock(&memory.lock);
}

static void
copy_fill(struct copy *copy, const struct account_copy *from)
{
	if (!copy->text || !from->text || strcmp(copy->text, from->text) != 0) {
		account_copy_free(copy->text);
		copy->text = from->text ? xstrdup(from->text) : NULL;
	}
	copy->heard_ms = from->heard_ms;
	snprintf(copy->marker, sizeof copy->marker, "%s", from->marker);
}

void
account_memory_put(const char *key, const struct account_copy *from)
{
	struct copy *copy;

	pthread_mutex_lock(&memory.lock);
	HASH_FIND_STR(memory.copies, key, copy);
	if (copy && from->heard_ms >= copy->heard_ms)
		HASH_DEL(memory.copies, copy); /* moves the copy to the end */
	else if (!copy && from->text)
		NAMED_NEW(key, key, copy);
	else
		copy = NULL;
	if (copy) {
		copy_fill(copy, from);
		HASH_ADD_STR(memory.copies, key, copy);
	}
	while (HASH_COUNT(memory.copies) > COPIES_MAX)
		copy_drop(memory.copies);
	pthread_mutex_unlock(&memory.lock);
}

bool
account_memory_get(const char *key, uint64_t after_ms, struct account_copy *copy_out, char *marker)
{
	struct copy *copy;
	bool found;

	pthread_mutex_lock(&memory.lock);
	HASH_FIND_STR(memory.copies, key, copy);
	found = copy && copy->heard_ms > after_ms;
	if (found) {
		snprintf(marker, MARKER_SIZE, "%s", copy->marker);
		*copy_out = (struct account_copy){
			.text = copy->text ? xstrdup(copy->text) : NULL,
			.heard_ms = copy->heard_ms,
			.marker = marker,
		};
	}
	pthread_mutex_unlock(&memory.lock);
	return found;
}
