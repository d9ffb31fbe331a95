/*
 * commit.c - a change of relay.config and its event, neither without the other.
 *
 * api, prune -> [commit] -> relay.config -> Redis, mail.events
 *
 * No single step writes both. So the steps have a fixed order, and each waits until the step before
 * is durable:
 *
 *   1. note     audit/<number>: what will be changed, and by whom
 *   2. entries  of relay.config; a removed account last, since it names its users
 *   3. event    and Redis, and the mails to customers (which get ids made of the note's)
 *   4. note     removed, KEEP_MS later: by then the event is on the disk; one that caused mails
 * gets "mailed" at once
 *
 * A note may be found later: its process died, or the queue did not answer in time. Such a note is
 * compared with relay.config. The changes that are there are told, with the note's id, and the note
 * goes. Its mails go, too, unless it has "mailed"; but for secrets, which no note has.
 */
#include "control/config/commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "control/config/applier.h"
#include "control/config/directory.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/queue/config.h"

#define KEEP_MS 3000     /* three syncs of the events' files */
#define OVERDUE_MS 90000 /* each step is answered within QUEUE_LATE_MS */
#define SWEEP_MS 1000
#define KEY_SIZE 48

enum step { STEP_NOTE, STEP_ENTRIES, STEP_ACCOUNTS_GONE, STEP_TELL, STEP_DONE };

struct commits {
	struct loop *loop;
	struct queue *queue;
	struct directory *directory;
	struct applier *applier;
	bool alone;
	uint64_t started_us;
	unsigned open; /* commits, and events of notes that were found */
	json_t *mine;  /* notes under way: {key: true, or when (ms) the note may go} */
	struct timer timer;
	struct mail_event event;
	struct commit_hooks hooks;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

struct commit {
	struct commits *commits;
	commit_cb cb;
	void *arg;
	json_t *entries, *old, *note, *secrets, *mailed;
	char key[KEY_SIZE];
	enum step step;
	unsigned pending;
	int err, applied_err;
	bool untold; /* the sweep tells it again */
};

static void step_next(struct commit *commit);
static void remove_told(struct commits *commits, json_int_t now);
static void note_remove(struct commits *commits, const char *key);
static void note_told(struct commits *commits, const char *key);

/* A queue that is closed in order has synced the events, so no note is needed any more. */
static void
closed(struct commits *commits)
{
	remove_told(commits, INT64_MAX);
	commits->on_closed(commits->closed_arg);
}

static void
leave(struct commits *commits)
{
	if (--commits->open == 0 && commits->on_closed)
		closed(commits);
}

/* One commit's steps */

static void
commit_end(struct commit *commit)
{
	struct commits *commits = commit->commits;

	if (commit->err || commit->untold)
		json_object_del(commits->mine, commit->key); /* the sweep looks for the change */
	else
		note_told(commits, commit->key);
	if (commit->cb)
		commit->cb(commit->arg, commit->err, commit->applied_err);
	json_decref(commit->secrets);
	json_decref(commit->mailed);
	json_decref(commit->entries);
	json_decref(commit->old);
	json_decref(commit->note);
	free(commit);
	leave(commits);
}

static void
claim(struct commit *commit)
{
	struct directory *directory = commit->commits->directory;
	const char *key;
	json_t *value, *old;

	json_object_foreach(commit->entries, key, value)
	{
		old = directory_entry(directory, key);
		json_object_set_new(commit->old, key, old ? json_incref(old) : json_null());
		directory_set(directory, key, json_is_null(value) ? NULL : json_incref(value));
	}
}

/* Gives the claimed entries back, but for those that a later change has claimed since. */
static void
claim_undo(struct commit *commit)
{
	struct directory *directory = commit->commits->directory;
	const char *key;
	json_t *value, *old;

	json_object_foreach(commit->entries, key, value)
	{
		old = json_object_get(commit->old, key);
		if (directory_entry(directory, key) == (json_is_null(value) ? NULL : value))
			directory_set(directory, key, json_is_null(old) ? NULL : json_incref(old));
	}
}

static void
answered(struct commit *commit)
{
	if (--commit->pending > 0)
		return;
	if (commit->err) {
		claim_undo(commit);
		commit_end(commit);
	} else {
		step_next(commit);
	}
}

static void
on_put(void *arg, int err)
{
	struct commit *commit = arg;

	if (err)
		commit->err = err;
	answered(commit);
}

static void
put(struct commit *commit, const char *key, const json_t *value)
{
	char *text = json_is_null(value) ? xstrdup("") : json_dumps(value, JSON_COMPACT);

	if (!text)
		die("out of memory", "json_dumps");
	commit->pending++;
	queue_config_put(commit->commits->queue, key, text, on_put, commit);
	explicit_bzero(text, strlen(text));
	free(text);
}

static void
put_entries(struct commit *commit, bool accounts_gone)
{
	const char *key;
	json_t *value;

	json_object_foreach(commit->entries, key, value)
	{
		const bool gone = json_is_null(value) && strncmp(key, "account/", 8) == 0;

		if (gone == accounts_gone)
			put(commit, key, value);
	}
}

static void
on_pushed(void *arg, int err, uint64_t entries)
{
	struct commit *commit = arg;

	(void)entries;
	if (err)
		commit->applied_err = err;
	answered(commit);
}

static void
push_entries(struct commit *commit)
{
	struct applier *applier = commit->commits->applier;
	const char *key;
	json_t *value;

	json_object_foreach(commit->entries, key, value)
	{
		if (!applier || !applier_takes(key))
			continue;
		commit->pending++;
		applier_push(applier, key, on_pushed, commit);
	}
}

/* Notes from when on the note may go. */
static void
note_told(struct commits *commits, const char *key)
{
	const uint64_t until_ms = clock_mono_ms() + KEEP_MS;

	json_object_set_new(commits->mine, key, json_integer((json_int_t)until_ms));
}

static void
on_told(void *arg, int err)
{
	struct commit *commit = arg;

	commit->untold |= err != 0;
	answered(commit);
}

/* Writes the note anew, with `mark`. */
static void
note_mark(struct commits *commits, const char *key, const json_t *note, const char *mark)
{
	json_t *marked = json_copy((json_t *)(uintptr_t)note);
	char *text;

	json_object_set_new(marked, mark, json_true());
	json_object_set_new(marked, "version", json_integer(directory_version(note) + 1));
	text = json_dumps(marked, JSON_COMPACT);
	if (!text)
		die("out of memory", "json_dumps");
	directory_set(commits->directory, key, marked);
	queue_config_put(commits->queue, key, text, NULL, NULL);
	free(text);
}

static void
on_mailed(void *arg, int err)
{
	struct commit *commit = arg;

	commit->untold |= err != 0;
	if (!err)
		note_mark(commit->commits, commit->key, commit->note, "mailed");
	answered(commit);
}

static void
mail(struct commit *commit)
{
	const struct commit_hooks *hooks = &commit->commits->hooks;
	const struct commit_told told = { .id = commit->key + strlen(AUDIT_PREFIX),
		.event = json_object_get(commit->note, "event"),
		.secrets = commit->secrets,
		.mailed = commit->mailed };

	commit->pending++;
	if (!hooks->mail || !hooks->mail(hooks->arg, &told, on_mailed, commit))
		commit->pending--;
}

static void
tell(struct commit *commit)
{
	struct commits *commits = commit->commits;

	mail(commit);
	commit->pending++;
	audit_send(&commits->event, commits->queue, commit->note,
		commit->key + strlen(AUDIT_PREFIX), on_told, commit);
}

/* The step counts as pending itself, so that it cannot end before all of it has begun. */
static void
step_next(struct commit *commit)
{
	commit->step++;
	commit->pending = 1;
	switch (commit->step) {
	case STEP_NOTE: break;
	case STEP_ENTRIES: put_entries(commit, false); break;
	case STEP_ACCOUNTS_GONE: put_entries(commit, true); break;
	case STEP_TELL:
		push_entries(commit);
		tell(commit);
		break;
	case STEP_DONE: commit_end(commit); return;
	}
	answered(commit);
}

/* No two keys are alike: several processes make keys. */
static void
make_key(char key[KEY_SIZE])
{
	uint32_t random;

	if (RAND_bytes((unsigned char *)&random, sizeof random) != 1)
		die("no random numbers", "OpenSSL");
	snprintf(key, KEY_SIZE, AUDIT_PREFIX "%020" PRIu64 "-%08" PRIx32, clock_us(), random);
}

void
commit_begin(struct commits *commits, const struct change *change, commit_cb cb, void *arg)
{
	struct commit *commit = xcalloc(1, sizeof *commit);

	*commit = (struct commit){ .commits = commits,
		.cb = cb,
		.arg = arg,
		.entries = change->entries,
		.old = json_object(),
		.secrets = change->secrets,
		.mailed = json_incref(change->mailed),
		.step = STEP_NOTE,
		.pending = 1 };
	commits->open++;
	claim(commit);
	commit->note = audit_note(
		change->what, &change->author, commit->entries, commit->old, change->shown);
	json_decref(change->shown);
	if (commit->secrets)
		json_object_set_new(commit->note, "secrets", json_true());
	make_key(commit->key);
	json_object_set_new(commits->mine, commit->key, json_true());
	put(commit, commit->key, commit->note);
	answered(commit);
}

/* Notes without a commit under way */

struct found {
	struct commits *commits;
	json_t *note;
	unsigned pending;
	bool untold;
	char key[KEY_SIZE];
};

static void
note_remove(struct commits *commits, const char *key)
{
	json_object_del(commits->mine, key);
	directory_set(commits->directory, key, NULL);
	queue_config_put(commits->queue, key, "", NULL, NULL);
}

static void
found_answered(struct found *found)
{
	struct commits *commits = found->commits;

	if (--found->pending > 0)
		return;
	if (found->untold)
		json_object_del(commits->mine, found->key);
	else
		note_told(commits, found->key);
	json_decref(found->note);
	free(found);
	leave(commits);
}

static void
on_found_told(void *arg, int err)
{
	struct found *found = arg;

	found->untold |= err != 0;
	found_answered(found);
}

static void
on_found_mailed(void *arg, int err)
{
	struct found *found = arg;

	if (!err)
		note_mark(found->commits, found->key, found->note, "mailed");
	on_found_told(found, err);
}

static void
mail_found(struct found *found)
{
	const struct commit_hooks *hooks = &found->commits->hooks;
	const struct commit_told told = { .id = found->key + strlen(AUDIT_PREFIX),
		.event = json_object_get(found->note, "event"),
		.lost = json_is_true(json_object_get(found->note, "secrets")) };

	if (!hooks->mail || json_is_true(json_object_get(found->note, "mailed")))
		return;
	found->pending++;
	if (!hooks->mail(hooks->arg, &told, on_found_mailed, found))
		found->pending--;
}

static const json_t *
entry_of(const void *arg, const char *key)
{
	return directory_entry(arg, key);
}

/* The event may be there already, without what the process that wrote it did not live to do. So the
 * one that tells of it has an id of its own. */
static void
tell_found(struct found *found)
{
	struct commits *commits = found->commits;
	const bool unsent = json_object_get(json_object_get(found->note, "event"), "unsent");
	char id[KEY_SIZE + 8];

	snprintf(id, sizeof id, "%s%s", found->key + strlen(AUDIT_PREFIX), unsent ? "-unsent" : "");
	audit_send(&commits->event, commits->queue, found->note, id, on_found_told, found);
}

static void
note_settle(struct commits *commits, const char *key, const json_t *entry)
{
	json_t *note = json_deep_copy(entry);
	struct found *found;

	if (!audit_confirm(note, entry_of, commits->directory)) {
		json_decref(note);
		note_remove(commits, key);
		return;
	}
	found = xcalloc(1, sizeof *found);
	*found = (struct found){ .commits = commits, .note = note, .pending = 1 };
	snprintf(found->key, sizeof found->key, "%s", key);
	json_object_set_new(commits->mine, key, json_true());
	commits->open++;
	mail_found(found);
	tell_found(found);
}

/* Whether no commit works on the note: its process has died, or the commit is long overdue. */
static bool
is_left(const struct commits *commits, const char *key, const json_t *note, uint64_t now_us)
{
	const uint64_t made_us = strtoull(key + strlen(AUDIT_PREFIX), NULL, 10);

	return !json_object_get(commits->mine, key) && strlen(key) < KEY_SIZE &&
		!json_is_true(json_object_get(note, "told")) &&
		((commits->alone && made_us < commits->started_us) ||
			made_us + OVERDUE_MS * UINT64_C(1000) < now_us);
}

static void
sweep(struct commits *commits)
{
	const uint64_t now_us = clock_us();
	json_t *entry;
	void *next;
	const char *key;

	json_object_foreach_safe(directory_notes(commits->directory), next, key, entry)
	{
		char name[KEY_SIZE];

		if (!is_left(commits, key, entry, now_us))
			continue;
		snprintf(name, sizeof name, "%s", key); /* the entry may go with its key */
		note_settle(commits, name, entry);
	}
}

/* The note's event is on the disk. */
static void
note_over(struct commits *commits, const char *key)
{
	const struct commit_hooks *hooks = &commits->hooks;
	const json_t *note = directory_entry(commits->directory, key);

	if (note && hooks->gathers && hooks->gathers(hooks->arg, json_object_get(note, "event"))) {
		json_object_del(commits->mine, key);
		note_mark(commits, key, note, "told");
	} else {
		note_remove(commits, key);
	}
}

void
commits_drop_note(struct commits *commits, const char *key)
{
	note_remove(commits, key);
}

static void
remove_told(struct commits *commits, json_int_t now)
{
	const char *key;
	json_t *due;
	void *next;

	json_object_foreach_safe(commits->mine, next, key, due)
	{
		char name[KEY_SIZE];

		snprintf(name, sizeof name, "%s", key);
		if (json_is_integer(due) && json_integer_value(due) <= now)
			note_over(commits, name);
	}
}

static void
on_timer(void *arg)
{
	struct commits *commits = arg;

	if (commits->on_closed)
		return;
	timer_set(&commits->timer, SWEEP_MS);
	remove_told(commits, (json_int_t)clock_mono_ms());
	if (!commits->hooks.leads || commits->hooks.leads(commits->hooks.arg))
		sweep(commits);
}

struct commits *
commits_new(struct loop *loop, struct queue *queue, struct directory *directory,
	struct applier *applier, bool alone)
{
	struct commits *commits = xcalloc(1, sizeof *commits);

	*commits = (struct commits){ .loop = loop,
		.queue = queue,
		.directory = directory,
		.applier = applier,
		.alone = alone,
		.mine = json_object() };
	timer_init(&commits->timer, loop, on_timer, commits);
	return commits;
}

void
commits_hook(struct commits *commits, const struct commit_hooks *hooks)
{
	commits->hooks = *hooks;
}

void
commits_start(struct commits *commits)
{
	commits->started_us = clock_us();
	on_timer(commits);
}

void
commits_close(struct commits *commits, void (*on_closed)(void *arg), void *arg)
{
	commits->on_closed = on_closed;
	commits->closed_arg = arg;
	if (commits->open == 0)
		closed(commits);
}

void
commits_free(struct commits **commits_ref)
{
	struct commits *commits = *commits_ref;

	if (!commits)
		return;
	*commits_ref = NULL;
	timer_cancel(&commits->timer);
	mail_event_free(&commits->event);
	json_decref(commits->mine);
	free(commits);
}
