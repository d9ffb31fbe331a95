/*
 * owner.c - whose accounts this process serves. One for the process, under a lock.
 *
 * relay.config -> [owner] -> account_store.c of every loop
 */
#include "shared/account/owner.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"

static struct {
	pthread_mutex_t lock;
	/* under lock */
	bool unread;
	char id[OWNER_ID_SIZE], secret[OWNER_ID_SIZE];
} owner = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
owner_set(const char *id)
{
	pthread_mutex_lock(&owner.lock);
	snprintf(owner.id, sizeof owner.id, "%s", id);
	pthread_mutex_unlock(&owner.lock);
}

enum owner_match
owner_compare(const char *id)
{
	enum owner_match match;

	pthread_mutex_lock(&owner.lock);
	match = owner.unread                ? OWNER_NOT_READ
		: strcmp(owner.id, id) == 0 ? OWNER_SAME
					    : OWNER_OTHER;
	pthread_mutex_unlock(&owner.lock);
	return match;
}

void
owner_secret(char out[OWNER_ID_SIZE])
{
	pthread_mutex_lock(&owner.lock);
	memcpy(out, owner.secret, OWNER_ID_SIZE);
	pthread_mutex_unlock(&owner.lock);
}

static void
set_secret(const char *secret)
{
	pthread_mutex_lock(&owner.lock);
	snprintf(owner.secret, sizeof owner.secret, "%s", secret ? secret : "");
	pthread_mutex_unlock(&owner.lock);
}

static void
set_unread(bool unread)
{
	pthread_mutex_lock(&owner.lock);
	owner.unread = unread;
	pthread_mutex_unlock(&owner.lock);
}

void
owner_on_entry(void *arg, const char *key, const char *json)
{
	json_t *entry;
	const char *id, *secret;

	(void)arg;
	if (!key) {
		set_unread(false);
	} else if (strcmp(key, OWNER_KEY) == 0) {
		entry = json ? json_loads(json, 0, NULL) : NULL;
		id = json_text(entry, "id");
		owner_set(id ? id : "");
		secret = json_text(entry, "secret");
		set_secret(secret ? secret : id);
		json_decref(entry);
	}
}

void
owner_await(void)
{
	set_unread(true);
}
