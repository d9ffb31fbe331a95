/*
 * keyring.c - relay.config's keys, opened.
 *
 * relay.config -> [keyring] -> scanner
 */
#include "shared/dkim/keyring.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <uthash.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

struct entry {
	UT_hash_handle hh; /* by domain */
	char *domain;
	struct keyring_domain public;
};

struct keyring {
	bool has_secret;
	uint8_t secret[DKIM_SECRET_SIZE];
	struct entry *entries;
};

struct keyring *
keyring_new(const uint8_t secret[DKIM_SECRET_SIZE])
{
	struct keyring *keyring = xcalloc(1, sizeof *keyring);

	keyring->has_secret = secret != NULL;
	if (secret)
		memcpy(keyring->secret, secret, DKIM_SECRET_SIZE);
	return keyring;
}

static void
entry_free(struct keyring *keyring, struct entry *entry)
{
	HASH_DEL(keyring->entries, entry);
	for (size_t i = 0; i < entry->public.count; i++)
		dkim_key_free(&entry->public.keys[i].key);
	free(entry->public.account);
	free(entry->domain);
	free(entry);
}

void
keyring_free(struct keyring **keyring_ref)
{
	struct keyring *keyring = *keyring_ref;
	struct entry *entry, *next;

	if (!keyring)
		return;
	HASH_ITER (hh, keyring->entries, entry, next)
		entry_free(keyring, entry);
	explicit_bzero(keyring->secret, sizeof keyring->secret);
	free(keyring);
	*keyring_ref = NULL;
}

char *
keyring_name(const char *domain, const char *selector)
{
	return xasprintf("%s/%s", domain, selector);
}

static void
take_key(const struct keyring *keyring, struct entry *entry, const json_t *key)
{
	const char *selector = json_text(key, "selector"), *sealed = json_text(key, "sealed");
	struct keyring_domain *public = &entry->public;
	struct dkim_key *opened = NULL;
	char *name;

	if (selector && sealed && strlen(selector) < DKIM_SELECTOR_MAX && keyring->has_secret) {
		name = keyring_name(entry->domain, selector);
		opened = dkim_key_open(sealed, keyring->secret, name);
		free(name);
	}
	if (!opened || public->count == DKIM_ALGORITHMS) {
		dkim_key_free(&opened);
		public->broken = true;
		return;
	}
	text_copy(public->keys[public->count].selector, DKIM_SELECTOR_MAX, selector);
	public->keys[public->count++].key = opened;
}

static void
take_keys(const struct keyring *keyring, struct entry *entry, const json_t *value)
{
	const json_int_t active = json_integer_value(json_object_get(value, "active"));
	json_t *key;
	size_t i;

	json_array_foreach(json_object_get(value, "keys"), i, key)
	{
		if (json_integer_value(json_object_get(key, "slot")) == active)
			take_key(keyring, entry, key);
	}
	if (!entry->public.count)
		entry->public.broken = true;
}

bool
keyring_set(struct keyring *keyring, const char *key, const char *json)
{
	const char *domain = key + sizeof DKIM_PREFIX - 1;
	struct entry *entry;
	json_t *value;

	if (strncmp(key, DKIM_PREFIX, sizeof DKIM_PREFIX - 1) != 0)
		return true;
	HASH_FIND_STR(keyring->entries, domain, entry);
	if (entry)
		entry_free(keyring, entry);
	value = json ? json_loads(json, 0, NULL) : NULL;
	if (!json || json_is_false(json_object_get(value, "enabled"))) {
		json_decref(value);
		return true;
	}
	entry = xcalloc(1, sizeof *entry);
	entry->domain = xstrdup(domain);
	entry->public.account = xstrdup(
		json_text(value, "account") ? json_text(value, "account") : "");
	HASH_ADD_KEYPTR(hh, keyring->entries, entry->domain, strlen(entry->domain), entry);
	take_keys(keyring, entry, value);
	json_decref(value);
	return !entry->public.broken;
}

const struct keyring_domain *
keyring_find(const struct keyring *keyring, const char *domain)
{
	struct entry *entry;

	HASH_FIND_STR(keyring->entries, domain, entry);
	return entry ? &entry->public : NULL;
}

size_t
keyring_count(const struct keyring *keyring, bool broken)
{
	size_t count = 0;

	for (const struct entry *entry = keyring->entries; entry; entry = entry->hh.next)
		count += !broken || entry->public.broken;
	return count;
}
