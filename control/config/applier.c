/*
 * applier.c - keeps Redis a view of relay.config's accounts: when to write, and whether.
 *
 * relay.config -> [applier] -> documents -> Redis -> account_store.c of every ingress
 *
 * Redis is a view that can be lost at any time. Once a second the applier asks Redis whose accounts
 * it has, and for the marker. The marker stands for a complete view, and is the time of the newest
 * write. When the marker is missing, or older than the newest write (an old snapshot came back),
 * everything is written anew; then documents that relay.config does not have are removed.
 *
 * Redis is doubted (view.h) when its accounts are another owner's, or when an empty relay.config
 * would empty it. While Redis is doubted nothing is written or removed, until Redis is ours again
 * or an operator takes it over. A doubted Redis that is empty now is kept for its owner for
 * EMPTY_MS before it becomes ours.
 */
#include "control/config/applier.h"
#include "control/config/owner_entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "control/config/directory.h"
#include "control/config/documents.h"
#include "shared/account/owner.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/queue/config.h"
#include "shared/redis/redis.h"

#define CHUNK 500 /* entries on their way at the same time */
#define EMPTY_MS 10000
#define NOT_READ "relay.config has not been read yet; /readyz tells when it has"

struct rebuild {
	struct rebuild *next; /* the next one that waits for the same rebuild */
	applier_cb cb;
	void *arg;
};

/* A push under way. */
struct push {
	struct applier *applier;
	applier_cb cb;
	void *arg;
};

struct applier {
	struct loop *loop;
	struct queue *queue;
	struct config_subscriber *subscriber;
	struct redis *redis;
	struct directory *directory;
	struct documents *documents;
	struct timer poll;
	char owner[OWNER_ID_SIZE]; /* relay.config's owner, durable; "": none */
	json_t *owners;  /* all that relay.config has had: two controls may make one each */
	bool loaded;     /* relay.config has been read once */
	bool dirty;      /* Redis may lack something */
	bool asked;      /* Redis was asked whose accounts it has */
	bool take_over;  /* whoever owns the accounts in Redis */
	bool owning;     /* an owner is on its way to relay.config */
	bool rebuilding; /* `todo` and `at` belong to the rebuild */
	json_t *todo;    /* the keys to write, an array */
	size_t at;       /* the place in `todo` */
	struct rebuild *waiters;
	bool orphaned;       /* the last verdict was VIEW_ORPHAN */
	uint64_t doubted_ms; /* when Redis was last doubted */
	char doubt[VIEW_TEXT_MAX + 1];
	bool told; /* on_state was called */
	const struct applier_hooks *hooks;
	void *arg;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static void look(struct applier *applier);

/* Telling others */

const char *
applier_doubt(const struct applier *applier)
{
	return !applier->loaded ? NOT_READ : *applier->doubt ? applier->doubt : NULL;
}

bool
applier_loaded(const struct applier *applier)
{
	return applier->loaded;
}

static void
set_doubt(struct applier *applier, const char *text)
{
	if (applier->told && strcmp(text, applier->doubt) == 0)
		return;
	if (*text)
		LOG_ERROR("applier: these are not our accounts", "error", text);
	else if (*applier->doubt)
		LOG_INFO("applier: Redis is ours again");
	snprintf(applier->doubt, sizeof applier->doubt, "%s", text);
	applier->told = true;
	applier->hooks->on_state(applier->arg, *text ? text : NULL);
}

/* Called once the owner is durable. The process's ingress compares this owner with what Redis
 * says. */
static void
set_owner(struct applier *applier)
{
	snprintf(applier->owner, sizeof applier->owner, "%s", directory_owner(applier->directory));
	json_object_set_new(applier->owners, applier->owner, json_true());
	documents_set_owner(applier->documents, applier->owner);
	owner_set(applier->owner);
}

/* Single entries */

bool
applier_takes(const char *key)
{
	return directory_is_account_key(key);
}

static void
on_pushed(void *arg, int err)
{
	struct push push = *(struct push *)arg;

	free(arg);
	if (err)
		push.applier->dirty = true;
	if (push.cb)
		push.cb(push.arg, err, 1);
}

void
applier_push(struct applier *applier, const char *key, applier_cb cb, void *arg)
{
	struct push *push = xmalloc(sizeof *push);
	struct batch *batch;

	*push = (struct push){ applier, cb, arg };
	set_owner(applier);
	batch = batch_new(applier->documents, on_pushed, push);
	batch_push(batch, key);
	batch_mark(batch, false);
	batch_end(batch);
}

/* Writing everything anew */

static void
waiters_end(struct applier *applier, int err, uint64_t entries)
{
	struct rebuild *waiter;

	applier->take_over = false;
	while ((waiter = applier->waiters)) {
		applier->waiters = waiter->next;
		waiter->cb(waiter->arg, err, entries);
		free(waiter);
	}
}

static void
rebuild_end(struct applier *applier, int err)
{
	const uint64_t entries = applier->at;

	applier->rebuilding = false;
	json_decref(applier->todo);
	applier->todo = NULL;
	if (err)
		applier->dirty = true;
	else
		LOG_INFO("applier: Redis holds all of relay.config", "entries",
			log_int((int64_t)entries));
	if (!err)
		set_doubt(applier, "");
	waiters_end(applier, err, entries);
}

static void
on_pruned(void *arg, int err)
{
	rebuild_end(arg, err);
}

static void
on_chunk(void *arg, int err)
{
	struct applier *applier = arg;
	const size_t count = json_array_size(applier->todo);
	const size_t end = applier->at + CHUNK < count ? applier->at + CHUNK : count;
	struct batch *batch;

	if (err) {
		rebuild_end(applier, err);
	} else if (applier->at == count) {
		documents_prune(applier->documents, on_pruned, applier);
	} else {
		batch = batch_new(applier->documents, on_chunk, applier);
		for (; applier->at < end; applier->at++)
			batch_push(batch,
				json_string_value(json_array_get(applier->todo, applier->at)));
		batch_end(batch);
	}
}

/* `from`: the owner that Redis names; NULL: any. */
static void
rebuild_start(struct applier *applier, const char *from)
{
	const char *key;
	json_t *value;

	applier->rebuilding = true;
	applier->dirty = false;
	applier->todo = json_array();
	applier->at = 0;
	documents_note(applier->documents);
	json_object_foreach(
		directory_entries(applier->directory), key, value) if (applier_takes(key))
		json_array_append_new(applier->todo, json_string(key));
	if (*applier->owner)
		documents_claim(applier->documents, from, on_chunk, applier);
	else
		on_chunk(applier, 0);
}

void
applier_rebuild(struct applier *applier, bool take_over, applier_cb cb, void *arg)
{
	struct rebuild *waiter;

	if (!applier->loaded) {
		cb(arg, -EAGAIN, 0);
		return;
	}
	waiter = xmalloc(sizeof *waiter);
	*waiter = (struct rebuild){ applier->waiters, cb, arg };
	applier->waiters = waiter;
	applier->take_over |= take_over;
	look(applier);
}

/* Makes an owner for relay.config, unless one is on its way. */

static void
on_owner(void *arg, int err)
{
	struct applier *applier = arg;

	applier->owning = false;
	if (applier->on_closed) {
		applier->on_closed(applier->closed_arg);
	} else if (err) {
		directory_set(applier->directory, OWNER_KEY, NULL);
		waiters_end(applier, err, 0);
	} else {
		set_owner(applier);
		look(applier);
	}
}

static void
make_owner(struct applier *applier)
{
	json_t *entry;
	char *text;

	if (*directory_owner(applier->directory) || applier->on_closed)
		return;
	entry = owner_entry_new();
	text = json_dumps(entry, JSON_COMPACT);
	directory_set(applier->directory, OWNER_KEY, entry);
	applier->owning = true;
	queue_config_put(applier->queue, OWNER_KEY, text, on_owner, applier);
	free(text);
}

/* Asking whose accounts Redis has */

static struct truth
truth_of(const struct applier *applier, const struct view *view)
{
	struct truth truth = {
		.accounts = directory_has_accounts(applier->directory),
		.theirs = json_object_get(applier->owners, view->owner) != NULL,
	};

	snprintf(truth.owner, sizeof truth.owner, "%s", applier->owner);
	return truth;
}

/* Redis stays an orphan while relay.config is being put back, entry by entry. */
static enum view_verdict
judge(struct applier *applier, const struct view *view, const struct truth *truth)
{
	enum view_verdict verdict = view_judge(view, truth);

	if (applier->orphaned && view->accounts && !applier->waiters && !view_is_doubted(verdict))
		verdict = VIEW_ORPHAN;
	applier->orphaned = verdict == VIEW_ORPHAN;
	return verdict;
}

static void
doubt(struct applier *applier, const struct view *view, const struct truth *truth)
{
	char text[VIEW_TEXT_MAX + 1];

	applier->doubted_ms = clock_mono_ms();
	view_explain(view, truth, text);
	set_doubt(applier, text);
	waiters_end(applier, -EPERM, 0);
}

/* Whether the owner of an empty Redis may still come and fill it. */
static bool
is_left(const struct applier *applier, const struct view *view)
{
	return !*view->owner && !view->accounts && applier->doubted_ms &&
		clock_mono_ms() - applier->doubted_ms < EMPTY_MS;
}

static void
keep_up(struct applier *applier, const struct view *view, enum view_verdict verdict)
{
	set_doubt(applier, "");
	if (verdict == VIEW_FILL || applier->dirty || applier->waiters ||
		view->marked_us < documents_marked_us(applier->documents))
		rebuild_start(applier, view->owner);
}

static void
on_view(void *arg, int err, const struct view *view)
{
	struct applier *applier = arg;
	enum view_verdict verdict;
	struct truth truth;

	applier->asked = false;
	if (err) {
		if (!applier->told)
			set_doubt(applier, "");
		waiters_end(applier, err, 0);
		return;
	}
	truth = truth_of(applier, view);
	verdict = judge(applier, view, &truth);
	if (applier->take_over && *truth.owner)
		rebuild_start(applier, NULL);
	else if (applier->take_over || verdict == VIEW_UNOWNED)
		make_owner(applier);
	else if (view_is_doubted(verdict))
		doubt(applier, view, &truth);
	else if (applier->waiters || !is_left(applier, view))
		keep_up(applier, view, verdict);
}

static void
look(struct applier *applier)
{
	if (!applier->loaded || applier->rebuilding || applier->asked)
		return;
	applier->asked = true;
	documents_look(applier->documents, on_view, applier);
}

/* Asks sooner while Redis is known to lack something. */
static void
poll_again(struct applier *applier)
{
	const bool missing = applier->dirty && !*applier->doubt;

	timer_set(&applier->poll, missing || !applier->loaded ? 100 : 1000);
}

static void
on_poll(void *arg)
{
	struct applier *applier = arg;

	poll_again(applier);
	if (redis_up(applier->redis))
		look(applier);
	else if (applier->loaded && !applier->told && !redis_hopeful(applier->redis))
		set_doubt(applier, ""); /* Redis does not answer: /readyz tells of Redis itself */
}

/* relay.config */

/* The last entry of the log counts: every control sees the same entry last. */
static void
on_owner_entry(struct applier *applier, json_t *value)
{
	directory_set(applier->directory, OWNER_KEY, value);
	set_owner(applier);
}

static void
on_entry(void *arg, const char *key, const char *text)
{
	struct applier *applier = arg;
	json_t *value, *have;

	if (!key) {
		applier->loaded = applier->dirty = true;
		applier->hooks->on_loaded(applier->arg);
		on_poll(applier);
		return;
	}
	have = directory_entry(applier->directory, key);
	value = text ? json_loads(text, 0, NULL) : NULL;
	if (text && !json_is_object(value)) {
		LOG_WARN("applier: an entry of relay.config is no JSON object", "key", key);
		json_decref(value);
		return;
	}
	if (strcmp(key, OWNER_KEY) == 0) {
		on_owner_entry(applier, value);
		return;
	}
	/* The directory already has the API's own changes, perhaps newer ones. */
	if (value ? have && directory_version(have) >= directory_version(value) : !have) {
		json_decref(value);
		return;
	}
	directory_set(applier->directory, key, value);
	if (applier->loaded && !*applier->doubt && applier_takes(key))
		applier_push(applier, key, NULL, NULL);
}

struct applier *
applier_new(const struct config *config, struct loop *loop, struct queue *queue,
	struct redis *redis, struct directory *directory)
{
	struct applier *applier = xcalloc(1, sizeof *applier);

	applier->loop = loop;
	applier->queue = queue;
	applier->redis = redis;
	applier->directory = directory;
	applier->documents = documents_new(config, redis, directory);
	applier->owners = json_object();
	timer_init(&applier->poll, loop, on_poll, applier);
	return applier;
}

void
applier_start(struct applier *applier, const struct applier_hooks *hooks, void *arg)
{
	applier->hooks = hooks;
	applier->arg = arg;
	poll_again(applier);
	applier->subscriber = queue_config_subscribe(
		applier->queue, applier->loop, on_entry, applier);
}

void
applier_close(struct applier *applier, void (*on_closed)(void *arg), void *arg)
{
	applier->on_closed = on_closed;
	applier->closed_arg = arg;
	if (!applier->owning)
		on_closed(arg);
}

void
applier_free(struct applier **applier_ref)
{
	struct applier *applier = *applier_ref;

	if (!applier)
		return;
	*applier_ref = NULL;
	queue_config_unsubscribe(&applier->subscriber);
	timer_cancel(&applier->poll);
	documents_free(&applier->documents);
	json_decref(applier->owners);
	free(applier);
}
