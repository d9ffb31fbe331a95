/*
 * documents.c - entries of relay.config as documents in Redis.
 *
 * directory -> [documents] -> Redis -> account_store.c of every ingress
 *
 * A document is never replaced by an older version of itself; a document of another owner, or of an
 * older build, is no version. Every script begins with a check of the owner, so that no document is
 * touched unless Redis is ours at that moment. An empty Redis belongs to the owner that writes
 * first.
 */
#include "control/config/documents.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "control/config/directory.h"
#include "control/config/plan.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 5000
#define CLAIM "config:owner"
#define KEYS "config:keys"
#define MARKER "config:applied"
#define NETWORKS "ip:networks"
#define NOT_OURS (-1) /* a script's answer */

struct documents {
	struct redis *redis;
	const struct config *config;
	struct directory *directory;
	char owner[OWNER_ID_SIZE];
	json_t *written;    /* {account id: its domains in Redis; null: a deleted account} */
	json_t *wanted;     /* keys of documents that belong in Redis; NULL: not noted */
	uint64_t marked_us; /* the newest marker */
};

struct batch {
	struct documents *documents;
	unsigned pending;
	int err;
	documents_cb cb;
	void *arg;
};

/* The first keys and the first argument of every script that writes. */
#define SCRIPT_KEYS CLAIM, KEYS, MARKER
#define IF_OURS                                                                                    \
	"local owner = redis.call('GET', KEYS[1]) or ''\n"                                         \
	"if owner ~= ARGV[1] or owner == '' then\n"                                                \
	"  if owner ~= '' or redis.call('EXISTS', KEYS[2]) == 1 then return -1 end\n"              \
	"  if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1]) end\n"                        \
	"end\n"

/* A single address is found by its own key, so only networks are listed. */
static struct redis_script write_script = {
	.text = IF_OURS
	"local old = redis.call('GET', KEYS[4])\n"
	"if old then\n"
	"  local ok, document = pcall(cjson.decode, old)\n"
	"  if ok and type(document) == 'table' and (document.owner or '') == ARGV[1] and\n"
	"    (tonumber(document.version) or 0) > tonumber(ARGV[3]) then return 0 end\n"
	"end\n"
	"redis.call('SET', KEYS[4], ARGV[2])\n"
	"redis.call('SADD', KEYS[2], KEYS[4])\n"
	"if ARGV[4] ~= '' then redis.call('SADD', KEYS[5], ARGV[4]) end\n"
	"return 1\n",
};

static struct redis_script drop_script = {
	.text = IF_OURS "redis.call('DEL', KEYS[4])\n"
			"redis.call('SREM', KEYS[2], KEYS[4])\n"
			"if ARGV[2] ~= '' then redis.call('SREM', KEYS[5], ARGV[2]) end\n"
			"return 1\n",
};

/* An incomplete view stays incomplete: a missing marker is not set. */
static struct redis_script mark_script = {
	.text = IF_OURS
	"if ARGV[3] == '' and redis.call('EXISTS', KEYS[3]) == 0 then return 0 end\n"
	"redis.call('SET', KEYS[3], ARGV[2])\n"
	"return 1\n",
};

/* The marker goes first: a view that changes hands is not complete. */
static struct redis_script claim_script = {
	.text = "local owner = redis.call('GET', KEYS[1]) or ''\n"
		"if ARGV[2] == 'any' then\n"
		"  for _, key in ipairs(redis.call('SMEMBERS', KEYS[2])) do\n"
		"    redis.call('DEL', key)\n"
		"  end\n"
		"  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
		"elseif owner ~= ARGV[3] then\n"
		"  return -1\n"
		"elseif owner ~= ARGV[1] then\n"
		"  redis.call('DEL', KEYS[3])\n"
		"end\n"
		"redis.call('SET', KEYS[1], ARGV[1])\n"
		"return 1\n",
};

static struct redis_script look_script = {
	.text = "return {redis.call('GET', KEYS[1]), redis.call('EXISTS', KEYS[2]),\n"
		"  redis.call('GET', KEYS[3])}\n",
};

struct documents *
documents_new(const struct config *config, struct redis *redis, struct directory *directory)
{
	struct documents *documents = xcalloc(1, sizeof *documents);

	*documents = (struct documents){
		.config = config, .redis = redis, .directory = directory, .written = json_object()
	};
	return documents;
}

void
documents_free(struct documents **documents_ref)
{
	struct documents *documents = *documents_ref;

	if (!documents)
		return;
	*documents_ref = NULL;
	json_decref(documents->written);
	json_decref(documents->wanted);
	free(documents);
}

void
documents_set_owner(struct documents *documents, const char *owner)
{
	snprintf(documents->owner, sizeof documents->owner, "%s", owner);
}

uint64_t
documents_marked_us(const struct documents *documents)
{
	return documents->marked_us;
}

/* Batches */

struct batch *
batch_new(struct documents *documents, documents_cb cb, void *arg)
{
	struct batch *batch = xcalloc(1, sizeof *batch);

	*batch = (struct batch){ .documents = documents, .pending = 1, .cb = cb, .arg = arg };
	return batch;
}

static void
batch_done(struct batch *batch, int err)
{
	if (err && !batch->err)
		batch->err = err;
	if (--batch->pending > 0)
		return;
	if (batch->cb)
		batch->cb(batch->arg, batch->err);
	free(batch);
}

void
batch_end(struct batch *batch)
{
	batch_done(batch, 0);
}

static void
on_written(void *arg, int err, const struct redis_reply *reply)
{
	if (!err && redis_reply_kind(reply) == REDIS_ERR) {
		LOG_WARN(
			"applier: Redis refuses a document", "error", redis_reply_str(reply, NULL));
		err = -EIO;
	} else if (!err && redis_reply_int(reply) == NOT_OURS) {
		err = -EPERM;
	}
	batch_done(arg, err);
}

static void
run(struct batch *batch, struct redis_script *script, int keys, int argc, const char *const *argv)
{
	batch->pending++;
	redis_run(batch->documents->redis, script, TIMEOUT_MS, on_written, batch, keys, argc, argv);
}

/* What "ip:networks" lists for a key: its network, or "". */
static const char *
network_of(const char *key)
{
	return strncmp(key, "ip:", 3) == 0 && strchr(key, '/') ? key + 3 : "";
}

static void
write_document(struct batch *batch, const char *key, json_t *document, json_int_t version)
{
	const struct documents *documents = batch->documents;
	const char *owner = documents->owner;
	const char *argv[] = { SCRIPT_KEYS, key, NETWORKS, owner, NULL, NULL, network_of(key) };
	char number[24], *text;

	json_object_set_new(document, "owner", json_string(owner));
	text = json_dumps(document, JSON_COMPACT);
	argv[6] = text;
	argv[7] = number;

	snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, version);
	run(batch, &write_script, 5, 9, argv);
	if (documents->wanted)
		json_object_set_new(documents->wanted, key, json_true());
	explicit_bzero(text, strlen(text));
	free(text);
	json_decref(document);
}

static void
drop_document(struct batch *batch, const char *key)
{
	const struct documents *documents = batch->documents;
	const char *argv[] = { SCRIPT_KEYS, key, NETWORKS, documents->owner, network_of(key) };

	run(batch, &drop_script, 5, 7, argv);
	if (documents->wanted)
		json_object_del(documents->wanted, key);
}

void
batch_mark(struct batch *batch, bool complete)
{
	struct documents *documents = batch->documents;
	const char *owner = documents->owner;
	char text[24 + OWNER_ID_SIZE];
	const char *argv[] = { SCRIPT_KEYS, owner, text, complete ? "complete" : "" };

	documents->marked_us = clock_us();
	snprintf(text, sizeof text, "%" PRIu64 "%s%s", documents->marked_us, *owner ? " " : "",
		owner);
	run(batch, &mark_script, 3, 6, argv);
}

/* Documents, as account.h says */

static json_t *
verified_domains(const json_t *account)
{
	json_t *names = json_array(), *domain;
	size_t i;

	json_array_foreach(json_object_get(account, "domains"), i,
		domain) if (json_is_true(json_object_get(domain, "verified")))
		json_array_append(names, json_object_get(domain, "name"));
	return names;
}

static json_t *
account_document(const struct config *config, const json_t *entry, json_t *domains)
{
	static const char *const fields[] = { "version", "id", "name", "contact", "status",
		"policy", "display_address", "off" };
	json_t *document = json_object();

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (json_object_get(entry, fields[i]))
			json_object_set(document, fields[i], json_object_get(entry, fields[i]));
	json_object_set(document, "domains", domains);
	json_object_set_new(document, "limits", plan_limits(config, entry));
	return document;
}

static bool
has_string(const json_t *list, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(
		list, i, item) if (strcmp(json_string_value(item), name) == 0) return true;
	return false;
}

/* A domain may belong to another account by now, which writes the domain itself. */
static void
drop_domains(struct batch *batch, const char *id, const json_t *keep)
{
	const struct documents *documents = batch->documents;
	json_t *domain;
	char key[300];
	size_t i;

	json_array_foreach(json_object_get(documents->written, id), i, domain)
	{
		const char *name = json_string_value(domain);
		const char *owner = directory_domain_owner(documents->directory, name);

		if (has_string(keep, name) || (owner && strcmp(owner, id) != 0))
			continue;
		snprintf(key, sizeof key, "domain:%s", name);
		drop_document(batch, key);
	}
}

/* A deleted account takes its users and addresses with it. */
static bool
is_of_deleted(const struct documents *documents, const json_t *member)
{
	const char *id = json_text(member, "account");

	return id && account_is_deleted(directory_get(documents->directory, "account", id));
}

static void
push_member(struct batch *batch, const char *kind, const char *name, const json_t *entry)
{
	static const char *const fields[] = { "version", "account", "enabled", "verifier", "former",
		"suspended", "sandbox", "limits", "networks", "active" };
	json_t *document;
	char key[400];

	snprintf(key, sizeof key, "%s:%s", kind, name);
	if (!entry || is_of_deleted(batch->documents, entry)) {
		drop_document(batch, key);
		return;
	}
	document = json_object();
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (json_object_get(entry, fields[i]))
			json_object_set(document, fields[i], json_object_get(entry, fields[i]));
	write_document(batch, key, document, directory_version(entry));
}

static void
push_key(struct batch *batch, const char *key)
{
	const json_t *entry = directory_entry(batch->documents->directory, key);

	if (strncmp(key, "user/", 5) == 0)
		push_member(batch, "user", key + 5, entry);
	else if (strncmp(key, "ip/", 3) == 0)
		push_member(batch, "ip", key + 3, entry);
}

static void
push_members(struct batch *batch, const char *id)
{
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(batch->documents->directory, id), key, value)
		push_key(batch, key);
}

static void
push_account(struct batch *batch, const char *id, const json_t *entry)
{
	const bool deleted = account_is_deleted(entry);
	const bool was_deleted = json_is_null(json_object_get(batch->documents->written, id));
	json_t *domains = entry && !deleted ? verified_domains(entry) : json_array(), *domain;
	char key[300];
	size_t i;

	drop_domains(batch, id, domains);
	if (deleted || was_deleted)
		push_members(batch, id);
	snprintf(key, sizeof key, "account:{%s}", id);
	if (entry && !deleted)
		write_document(batch, key,
			account_document(batch->documents->config, entry, domains),
			directory_version(entry));
	else
		drop_document(batch, key);
	json_array_foreach(domains, i, domain)
	{
		snprintf(key, sizeof key, "domain:%s", json_string_value(domain));
		write_document(batch, key,
			json_pack("{s:s, s:I}", "account", id, "version", directory_version(entry)),
			directory_version(entry));
	}
	if (!deleted) {
		json_object_set_new(batch->documents->written, id, domains);
		return;
	}
	json_object_set_new(batch->documents->written, id, json_null());
	json_decref(domains);
}

void
batch_push(struct batch *batch, const char *key)
{
	const json_t *entry = directory_entry(batch->documents->directory, key);

	if (strncmp(key, "account/", 8) == 0)
		push_account(batch, key + 8, entry);
	else
		push_key(batch, key);
}

/* The end of a rebuild */

void
documents_note(struct documents *documents)
{
	json_decref(documents->wanted);
	documents->wanted = json_object();
}

static void
on_keys(void *arg, int err, const struct redis_reply *reply)
{
	struct batch *batch = arg;
	struct documents *documents = batch->documents;

	if (!err && redis_reply_kind(reply) != REDIS_LIST)
		err = -EIO;
	for (size_t i = 0; !err && i < redis_reply_count(reply); i++) {
		const char *key = redis_reply_str(redis_reply_at(reply, i), NULL);

		if (key && !json_object_get(documents->wanted, key))
			drop_document(batch, key);
	}
	json_decref(documents->wanted);
	documents->wanted = NULL;
	if (!err)
		batch_mark(batch, true);
	batch_done(batch, err);
}

void
documents_prune(struct documents *documents, documents_cb cb, void *arg)
{
	static const char *const argv[] = { "SMEMBERS", KEYS };

	redis_command(documents->redis, TIMEOUT_MS, on_keys, batch_new(documents, cb, arg), 2, argv,
		NULL);
}

/* The owner */

void
documents_claim(struct documents *documents, const char *from, documents_cb cb, void *arg)
{
	struct batch *batch = batch_new(documents, cb, arg);
	const char *argv[] = { SCRIPT_KEYS, NETWORKS, documents->owner, from ? "from" : "any",
		from ? from : "" };

	run(batch, &claim_script, 4, 7, argv);
	batch_end(batch);
}

struct look {
	documents_view_cb cb;
	void *arg;
};

static void
on_look(void *arg, int err, const struct redis_reply *reply)
{
	struct look look = *(struct look *)arg;
	struct view view = { .owner = "" };
	const char *owner, *marker;

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_LIST)
		err = -EIO;
	if (err) {
		look.cb(look.arg, err, NULL);
		return;
	}
	owner = redis_reply_str(redis_reply_at(reply, 0), NULL);
	marker = redis_reply_str(redis_reply_at(reply, 2), NULL);
	snprintf(view.owner, sizeof view.owner, "%s", owner ? owner : "");
	view.accounts = redis_reply_int(redis_reply_at(reply, 1)) > 0;
	if (marker)
		view_take_marker(&view, marker);
	look.cb(look.arg, 0, &view);
}

void
documents_look(struct documents *documents, documents_view_cb cb, void *arg)
{
	static const char *const argv[] = { SCRIPT_KEYS };
	struct look *look = xmalloc(sizeof *look);

	*look = (struct look){ cb, arg };
	redis_run(documents->redis, &look_script, TIMEOUT_MS, on_look, look, 3, 3, argv);
}
