/*
 * commit.h - writes changes of relay.config, each with its event: whatever dies when, a change that
 * counts has its event (control/config/audit.h).
 */
#ifndef CONTROL_COMMIT_H
#define CONTROL_COMMIT_H

#include <stdbool.h>

#include <jansson.h>

#include "control/config/audit.h"

struct applier;
struct commits;
struct directory;
struct loop;
struct queue;

/* `alone`: no other process writes this relay.config. `applier` NULL: Redis is not told. All calls
 * are on `loop`. */
struct commits *commits_new(struct loop *loop, struct queue *queue, struct directory *directory,
	struct applier *applier, bool alone);
/* Call it once the directory is whole. From then on, what a dead process left to tell is told. */
void commits_start(struct commits *commits);
/* Calls `on_closed` once the queue owes no answer. No commit may begin after this call. */
void commits_close(struct commits *commits, void (*on_closed)(void *arg), void *arg);
/* Call it once nothing is under way. Takes NULL. */
void commits_free(struct commits **commits);

/* err: 0 when the change is durable and its event on its way; else the queue's error, and the
 * directory is as before (-ETIMEDOUT: the change may count all the same). applied_err: why Redis
 * was not told yet. */
typedef void (*commit_cb)(void *arg, int err, int applied_err);

struct change {
	const char *what; /* "account.create" */
	struct author author;
	json_t *entries; /* {key of relay.config: new entry, or null to remove it} */
	json_t *shown;   /* NULL, or what the event has as "changes" */
	json_t *secrets; /* NULL, or what a mail of this change tells, and nothing else keeps */
	json_t *mailed;  /* NULL, or an object that gets what the hook has to say */
};

/* A change that is durable, for who sends mails about it. All are borrowed until `cb`. */
struct commit_told {
	const char *id;  /* of the note: the same whenever the change is told */
	json_t *event;   /* of audit_note(); what is added as "unsent" is told to operators */
	json_t *secrets; /* NULL: there are none, or they went with the process that had them */
	bool lost;       /* they went */
	json_t *mailed;  /* NULL, or of the change */
};
struct commit_hooks {
	/* Sends the mails of a change. Each change is told, after a crash maybe twice, with the
	 * same id. False: it causes none, and `cb` is not called. Else `cb` says that the mails are
	 * durable, or (err) that they are to be tried again. */
	bool (*mail)(void *arg, const struct commit_told *told, queue_cb cb, void *cb_arg);
	/* Whether customers are told of a change later (`event`: of audit_note()). Its note stays,
	 * with "told", until commits_drop_note(). */
	bool (*gathers)(void *arg, const json_t *event);
	/* Whether this process tells what others left untold. */
	bool (*leads)(void *arg);
	void *arg;
};
/* Call it before commits_start(). The hooks are copied; each may be NULL. */
void commits_hook(struct commits *commits, const struct commit_hooks *hooks);

/* Removes a note that has "told". */
void commits_drop_note(struct commits *commits, const char *key);

/* Claims the entries in the directory at once, so that no two changes can both have a domain, then
 * writes the entries. Takes over the references of `change`; its texts may go after the call. `cb`
 * may be NULL. */
void commit_begin(struct commits *commits, const struct change *change, commit_cb cb, void *arg);

#endif
