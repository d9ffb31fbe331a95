/*
 * directory.c - relay.config in memory.
 *
 * queue (relay.config) -> [directory] -> applier -> Redis
 *                              \-> accounts, api
 */
#include "control/config/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/account/owner.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

struct directory {
	json_t *entries;  /* key: value */
	json_t *domains;  /* domain: account id */
	json_t *members;  /* account id: {key: true} */
	json_t *notes;    /* key: value */
	json_t *webhooks; /* key: value */
	json_t *secrets;  /* hash of a token's or a link's secret: key */
};

struct directory *
directory_new(void)
{
	struct directory *directory = xcalloc(1, sizeof *directory);

	directory->entries = json_object();
	directory->domains = json_object();
	directory->members = json_object();
	directory->notes = json_object();
	directory->webhooks = json_object();
	directory->secrets = json_object();
	return directory;
}

void
directory_free(struct directory **directory)
{
	if (!*directory)
		return;
	json_decref((*directory)->entries);
	json_decref((*directory)->domains);
	json_decref((*directory)->members);
	json_decref((*directory)->notes);
	json_decref((*directory)->webhooks);
	json_decref((*directory)->secrets);
	free(*directory);
	*directory = NULL;
}

static void
index_domains(struct directory *directory, const json_t *account, bool add)
{
	const char *id = json_text(account, "id");
	const json_t *domains = json_object_get(account, "domains");
	json_t *domain;
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		const char *name = json_text(domain, "name");
		const char *owner = name ? directory_domain_owner(directory, name) : NULL;

		if (!name || !id)
			continue;
		if (add)
			json_object_set_new(directory->domains, name, json_string(id));
		else if (owner && strcmp(owner, id) == 0)
			json_object_del(directory->domains, name);
	}
}

static void
index_member(struct directory *directory, const char *key, const json_t *entry, bool add)
{
	const char *account = json_text(entry, "account");
	json_t *keys = account ? json_object_get(directory->members, account) : NULL;

	if (!account)
		return;
	if (!keys && add) {
		keys = json_object();
		json_object_set_new(directory->members, account, keys);
	}
	if (add)
		json_object_set_new(keys, key, json_true());
	else if (keys && json_object_del(keys, key) == 0 && json_object_size(keys) == 0)
		json_object_del(directory->members, account);
}

static void
index_key(json_t *index, const char *key, json_t *entry, bool add)
{
	if (add)
		json_object_set(index, key, entry);
	else
		json_object_del(index, key);
}

static void
index_secret(struct directory *directory, const char *key, const json_t *entry, bool add)
{
	const char *hash = json_text(entry, "secret");

	if (!hash)
		return;
	if (add)
		json_object_set_new(directory->secrets, hash, json_string(key));
	else
		json_object_del(directory->secrets, hash);
}

static void
index_entry(struct directory *directory, const char *key, json_t *entry, bool add)
{
	if (strncmp(key, "account/", 8) == 0)
		index_domains(directory, entry, add);
	else if (strncmp(key, "audit/", 6) == 0)
		index_key(directory->notes, key, entry, add);
	else
		index_member(directory, key, entry, add);
	if (strncmp(key, "token/", 6) == 0 || strncmp(key, "person/", 7) == 0)
		index_secret(directory, key, entry, add);
	if (strncmp(key, "webhook/", 8) == 0)
		index_key(directory->webhooks, key, entry, add);
}

int
directory_set(struct directory *directory, const char *key, json_t *value)
{
	json_t *old = json_object_get(directory->entries, key);

	if (value && !json_is_object(value)) {
		json_decref(value);
		return -1;
	}
	if (old) {
		index_entry(directory, key, old, false);
		json_object_del(directory->entries, key);
	}
	if (value) {
		json_object_set_new(directory->entries, key, value);
		index_entry(directory, key, value, true);
	}
	return 0;
}

json_t *
directory_entry(const struct directory *directory, const char *key)
{
	return json_object_get(directory->entries, key);
}

json_t *
directory_get(const struct directory *directory, const char *kind, const char *name)
{
	char key[512];

	if (snprintf(key, sizeof key, "%s/%s", kind, name) >= (int)sizeof key)
		return NULL;
	return directory_entry(directory, key);
}

const char *
directory_secret(const struct directory *directory, const char *hash)
{
	return json_text(directory->secrets, hash);
}

json_t *
directory_entries(const struct directory *directory)
{
	return directory->entries;
}

json_t *
directory_notes(const struct directory *directory)
{
	return directory->notes;
}

json_t *
directory_webhooks(const struct directory *directory)
{
	return directory->webhooks;
}

const char *
directory_owner(const struct directory *directory)
{
	const char *id = json_text(directory_entry(directory, OWNER_KEY), "id");

	return id && strlen(id) == OWNER_ID_LENGTH ? id : "";
}

json_int_t
directory_version(const json_t *entry)
{
	return json_integer_value(json_object_get(entry, "version"));
}

bool
directory_is_account_key(const char *key)
{
	return strncmp(key, "account/", 8) == 0 || strncmp(key, "user/", 5) == 0 ||
		strncmp(key, "ip/", 3) == 0;
}

bool
directory_has_accounts(const struct directory *directory)
{
	const char *key;
	json_t *value;

	json_object_foreach(
		directory->entries, key, value) if (directory_is_account_key(key)) return true;
	return false;
}

const char *
directory_domain_owner(const struct directory *directory, const char *domain)
{
	return json_text(directory->domains, domain);
}

json_t *
directory_members(const struct directory *directory, const char *account)
{
	return json_object_get(directory->members, account);
}

json_t *
directory_accounts(const struct directory *directory)
{
	const char **ids = xmalloc(json_object_size(directory->entries) * sizeof *ids);
	json_t *list = json_array(), *value;
	const char *key;
	size_t count = 0;

	json_object_foreach(directory->entries, key, value) if (strncmp(key, "account/", 8) == 0)
		ids[count++] = key + 8;
	qsort(ids, count, sizeof *ids, text_order);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(ids[i]));
	free(ids);
	return list;
}

bool
account_is_deleted(const json_t *account)
{
	const char *status = json_text(account, "status");

	return status && strcmp(status, "deleted") == 0;
}

uint64_t
account_kept_until(const json_t *account)
{
	const json_int_t deleted = json_integer_value(json_object_get(account, "deleted_us"));

	return (uint64_t)(deleted > 0 ? deleted : 0) + ACCOUNT_KEPT_US;
}
