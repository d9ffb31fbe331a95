/*
 * applier.c - writes relay.config's accounts into Redis.
 *
 * relay.config -> [applier] -> Redis -> account_store.c of every ingress
 *
 * Redis is a view that can be lost at any time. The key "config:applied" stands for a complete one:
 * it holds the time of the newest write and is asked for every second. When it is missing, or
 * older than what was written (an old snapshot came back), everything is written anew; what Redis
 * holds and relay.config does not is removed then. Until that is done the marker is absent, and
 * ingress turns nobody away for good. A document is never replaced by an older version of itself.
 */
#include "control/applier.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <jansson.h>

#include "control/directory.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/queue.h"
#include "shared/redis.h"

#define TIMEOUT_MS 5000
#define CHUNK 500 /* entries on their way at a time */
#define KEYS "config:keys"
#define MARKER "config:applied"
#define NETWORKS "ip:networks"

static struct redis_script write_script = {
	.text = "local old = redis.call('GET', KEYS[1])\n"
		"if old then\n"
		"  local ok, document = pcall(cjson.decode, old)\n"
		"  if ok and type(document) == 'table' and\n"
		"    (tonumber(document.version) or 0) > tonumber(ARGV[2]) then return 0 end\n"
		"end\n"
		"redis.call('SET', KEYS[1], ARGV[1])\n"
		"redis.call('SADD', KEYS[2], KEYS[1])\n"
		"return 1\n",
};

/* Commands whose end one callback waits for. */
struct batch {
	struct applier *applier;
	unsigned pending;
	int err;
	applier_cb cb;
	void *arg;
};

struct rebuild {
	struct rebuild *next; /* who else waits for it */
	applier_cb cb;
	void *arg;
};

struct applier {
	struct loop *loop;
	struct queue *queue;
	struct config_watch *watch;
	struct redis *redis;
	struct directory *directory;
	struct event *poll;
	bool loaded;        /* relay.config has been read once */
	bool dirty;         /* Redis may lack something */
	bool asked;         /* for the marker */
	bool rebuilding;    /* the fields below are its */
	uint64_t marker_us; /* the newest write */
	json_t *written;    /* account id: its domains in Redis */
	json_t *wanted;     /* keys of documents that belong there */
	json_t *todo;       /* keys of relay.config, an array */
	size_t at;          /* in it */
	struct rebuild *waiters;
	void (*on_loaded)(void *arg);
	void *loaded_arg;
};

static void rebuild_step(struct applier *applier);

/* Batches */

static struct batch *
batch_new(struct applier *applier, applier_cb cb, void *arg)
{
	struct batch *batch = xcalloc(1, sizeof *batch);

	*batch = (struct batch){ .applier = applier, .pending = 1, .cb = cb, .arg = arg };
	return batch;
}

static void
batch_done(struct batch *batch, int err)
{
	if (err && !batch->err)
		batch->err = err;
	if (--batch->pending > 0)
		return;
	if (batch->err)
		batch->applier->dirty = true;
	if (batch->cb)
		batch->cb(batch->arg, batch->err, 1);
	free(batch);
}

static void
on_written(void *arg, int err, const struct redis_reply *reply)
{
	if (!err && redis_reply_kind(reply) == REDIS_ERR) {
		LOG_WARN(
			"applier: Redis refuses a document", "error", redis_reply_str(reply, NULL));
		err = -EIO;
	}
	batch_done(arg, err);
}

static void
run(struct batch *batch, int argc, const char *const *argv)
{
	batch->pending++;
	redis_command(batch->applier->redis, TIMEOUT_MS, on_written, batch, argc, argv, NULL);
}

static void
write_document(struct batch *batch, const char *key, json_t *document, json_int_t version)
{
	char number[24];
	char *text = json_dumps(document, JSON_COMPACT);
	const char *argv[] = { key, KEYS, text, number };

	snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, version);
	batch->pending++;
	redis_run(batch->applier->redis, &write_script, TIMEOUT_MS, on_written, batch, 2, 4, argv);
	if (batch->applier->wanted)
		json_object_set_new(batch->applier->wanted, key, json_true());
	explicit_bzero(text, strlen(text));
	free(text);
	json_decref(document);
}

static void
drop_document(struct batch *batch, const char *key)
{
	const char *del[] = { "DEL", key }, *srem[] = { "SREM", KEYS, key };

	run(batch, 2, del);
	run(batch, 3, srem);
	if (strncmp(key, "ip:", 3) == 0) {
		const char *network[] = { "SREM", NETWORKS, key + 3 };

		run(batch, 3, network);
	}
	if (batch->applier->wanted)
		json_object_del(batch->applier->wanted, key);
}

/* Documents, as account.h says */

static json_int_t
version_of(const json_t *entry)
{
	return json_integer_value(json_object_get(entry, "version"));
}

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
account_document(const json_t *entry, json_t *domains)
{
	static const char *const fields[] = { "version", "id", "name", "contact", "status",
		"policy", "limits" };
	json_t *document = json_object();

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (json_object_get(entry, fields[i]))
			json_object_set(document, fields[i], json_object_get(entry, fields[i]));
	json_object_set(document, "domains", domains);
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

/* A domain may have gone to another account meanwhile, which writes it itself. */
static void
drop_domains(struct batch *batch, const char *id, const json_t *keep)
{
	const struct applier *applier = batch->applier;
	json_t *domain;
	char key[300];
	size_t i;

	json_array_foreach(json_object_get(applier->written, id), i, domain)
	{
		const char *name = json_string_value(domain);
		const char *owner = directory_domain_owner(applier->directory, name);

		if (has_string(keep, name) || (owner && strcmp(owner, id) != 0))
			continue;
		snprintf(key, sizeof key, "domain:%s", name);
		drop_document(batch, key);
	}
}

static void
push_account(struct batch *batch, const char *id, const json_t *entry)
{
	json_t *domains = entry ? verified_domains(entry) : json_array(), *domain;
	char key[300];
	size_t i;

	drop_domains(batch, id, domains);
	snprintf(key, sizeof key, "account:{%s}", id);
	if (entry)
		write_document(batch, key, account_document(entry, domains), version_of(entry));
	else
		drop_document(batch, key);
	json_array_foreach(domains, i, domain)
	{
		snprintf(key, sizeof key, "domain:%s", json_string_value(domain));
		write_document(batch, key,
			json_pack("{s:s, s:I}", "account", id, "version", version_of(entry)),
			version_of(entry));
	}
	json_object_set_new(batch->applier->written, id, domains);
}

static void
push_member(struct batch *batch, const char *kind, const char *name, const json_t *entry)
{
	static const char *const fields[] = { "version", "account", "enabled", "verifier",
		"active" };
	json_t *document;
	char key[400];

	snprintf(key, sizeof key, "%s:%s", kind, name);
	if (!entry) {
		drop_document(batch, key);
		return;
	}
	document = json_object();
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (json_object_get(entry, fields[i]))
			json_object_set(document, fields[i], json_object_get(entry, fields[i]));
	write_document(batch, key, document, version_of(entry));
	/* Addresses are found by their own key; only what is wider has to be listed. */
	if (strcmp(kind, "ip") == 0 && strchr(name, '/')) {
		const char *argv[] = { "SADD", NETWORKS, name };

		run(batch, 3, argv);
	}
}

bool
applier_takes(const char *key)
{
	return strncmp(key, "account/", 8) == 0 || strncmp(key, "user/", 5) == 0 ||
		strncmp(key, "ip/", 3) == 0;
}

static void
push(struct batch *batch, const char *key)
{
	const json_t *entry = directory_entry(batch->applier->directory, key);

	if (strncmp(key, "account/", 8) == 0)
		push_account(batch, key + 8, entry);
	else if (strncmp(key, "user/", 5) == 0)
		push_member(batch, "user", key + 5, entry);
	else if (strncmp(key, "ip/", 3) == 0)
		push_member(batch, "ip", key + 3, entry);
}

/* The marker moves on where there is one: an incomplete view stays one. */
static void
mark(struct batch *batch, const char *how)
{
	struct applier *applier = batch->applier;
	char number[24];
	const char *argv[] = { "SET", MARKER, number, how };

	applier->marker_us = clock_us();
	snprintf(number, sizeof number, "%" PRIu64, applier->marker_us);
	run(batch, how ? 4 : 3, argv);
}

void
applier_push(struct applier *applier, const char *key, applier_cb cb, void *arg)
{
	struct batch *batch = batch_new(applier, cb, arg);

	push(batch, key);
	mark(batch, "XX");
	batch_done(batch, 0);
}

/* Writing everything anew */

static void
rebuild_end(struct applier *applier, int err)
{
	const uint64_t entries = applier->at;
	struct rebuild *waiter;

	applier->rebuilding = false;
	json_decref(applier->wanted);
	json_decref(applier->todo);
	applier->wanted = applier->todo = NULL;
	if (err)
		applier->dirty = true;
	else
		LOG_INFO("applier: Redis holds all of relay.config", "entries",
			log_int((int64_t)entries));
	while ((waiter = applier->waiters)) {
		applier->waiters = waiter->next;
		waiter->cb(waiter->arg, err, entries);
		free(waiter);
	}
}

static void
on_marked(void *arg, int err, uint64_t entries)
{
	(void)entries;
	rebuild_end(arg, err);
}

static void
on_keys(void *arg, int err, const struct redis_reply *reply)
{
	struct applier *applier = arg;
	struct batch *batch;

	if (err || redis_reply_kind(reply) != REDIS_LIST) {
		rebuild_end(applier, err ? err : -EIO);
		return;
	}
	batch = batch_new(applier, on_marked, applier);
	for (size_t i = 0; i < redis_reply_count(reply); i++) {
		const char *key = redis_reply_str(redis_reply_at(reply, i), NULL);

		if (key && !json_object_get(applier->wanted, key))
			drop_document(batch, key);
	}
	mark(batch, NULL);
	batch_done(batch, 0);
}

static void
on_chunk(void *arg, int err, uint64_t entries)
{
	(void)entries;
	if (err)
		rebuild_end(arg, err);
	else
		rebuild_step(arg);
}

static void
rebuild_step(struct applier *applier)
{
	static const char *const members[] = { "SMEMBERS", KEYS };
	const size_t count = json_array_size(applier->todo);
	const size_t end = applier->at + CHUNK < count ? applier->at + CHUNK : count;
	struct batch *batch;

	if (applier->at == count) {
		redis_command(applier->redis, TIMEOUT_MS, on_keys, applier, 2, members, NULL);
		return;
	}
	batch = batch_new(applier, on_chunk, applier);
	for (; applier->at < end; applier->at++)
		push(batch, json_string_value(json_array_get(applier->todo, applier->at)));
	batch_done(batch, 0);
}

static void
rebuild_start(struct applier *applier)
{
	const char *key;
	json_t *value;

	if (applier->rebuilding)
		return;
	applier->rebuilding = true;
	applier->dirty = false;
	applier->wanted = json_object();
	applier->todo = json_array();
	applier->at = 0;
	json_object_foreach(
		directory_entries(applier->directory), key, value) if (applier_takes(key))
		json_array_append_new(applier->todo, json_string(key));
	rebuild_step(applier);
}

void
applier_rebuild(struct applier *applier, applier_cb cb, void *arg)
{
	struct rebuild *waiter;

	if (!applier->loaded) {
		cb(arg, -EAGAIN, 0);
		return;
	}
	waiter = xmalloc(sizeof *waiter);
	*waiter = (struct rebuild){ applier->waiters, cb, arg };
	applier->waiters = waiter;
	rebuild_start(applier);
}

/* The marker, once a second */

static void
on_marker(void *arg, int err, const struct redis_reply *reply)
{
	struct applier *applier = arg;
	const char *text;

	applier->asked = false;
	if (err || redis_reply_kind(reply) == REDIS_ERR)
		return;
	text = redis_reply_str(reply, NULL);
	if (applier->dirty || !text || strtoull(text, NULL, 10) < applier->marker_us)
		rebuild_start(applier);
}

/* Sooner while it is known that something is missing. */
static void
poll_again(struct applier *applier)
{
	const struct timeval soon = { .tv_usec = 100000 }, second = { .tv_sec = 1 };

	event_add(applier->poll, applier->dirty || !applier->loaded ? &soon : &second);
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
	static const char *const argv[] = { "GET", MARKER };
	struct applier *applier = arg;

	(void)fd;
	(void)what;
	poll_again(applier);
	if (!applier->loaded || applier->rebuilding || applier->asked || !redis_up(applier->redis))
		return;
	applier->asked = true;
	redis_command(applier->redis, TIMEOUT_MS, on_marker, applier, 2, argv, NULL);
}

/* relay.config */

static void
on_entry(void *arg, const char *key, const char *text)
{
	struct applier *applier = arg;
	json_t *value, *have;

	if (!key) {
		applier->loaded = applier->dirty = true;
		applier->on_loaded(applier->loaded_arg);
		on_poll(-1, 0, applier);
		return;
	}
	have = directory_entry(applier->directory, key);
	value = text ? json_loads(text, 0, NULL) : NULL;
	if (text && !json_is_object(value)) {
		LOG_WARN("applier: an entry of relay.config is no JSON object", "key", key);
		json_decref(value);
		return;
	}
	/* The API's own changes are in the directory already, perhaps newer ones. */
	if (value ? have && version_of(have) >= version_of(value) : !have) {
		json_decref(value);
		return;
	}
	directory_set(applier->directory, key, value);
	if (applier->loaded && applier_takes(key))
		applier_push(applier, key, NULL, NULL);
}

struct applier *
applier_new(
	struct loop *loop, struct queue *queue, struct redis *redis, struct directory *directory)
{
	struct applier *applier = xcalloc(1, sizeof *applier);

	applier->loop = loop;
	applier->queue = queue;
	applier->redis = redis;
	applier->directory = directory;
	applier->written = json_object();
	applier->poll = event_new(loop_base(loop), -1, 0, on_poll, applier);
	return applier;
}

void
applier_start(struct applier *applier, void (*on_loaded)(void *arg), void *arg)
{
	applier->on_loaded = on_loaded;
	applier->loaded_arg = arg;
	poll_again(applier);
	applier->watch = queue_config_watch(applier->queue, applier->loop, on_entry, applier);
}

void
applier_free(struct applier **applier_ref)
{
	struct applier *applier = *applier_ref;

	if (!applier)
		return;
	*applier_ref = NULL;
	queue_config_unwatch(&applier->watch);
	event_free(applier->poll);
	json_decref(applier->written);
	free(applier);
}
