/*
 * commit.h - writes changes of relay.config, each with the event that tells of it: a change that
 * counts has one, whatever dies when (control/config/audit.h).
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

/* `alone`: no other process writes this relay.config. `applier` NULL: nobody tells Redis. All calls
 * are on `loop`. */
struct commits *commits_new(struct loop *loop, struct queue *queue, struct directory *directory,
	struct applier *applier, bool alone);
/* Once the directory is whole: what a process that died left to tell is told now and then. */
void commits_start(struct commits *commits);
/* `on_closed` once the queue owes no answer; nothing may be begun after this. */
void commits_close(struct commits *commits, void (*on_closed)(void *arg), void *arg);
/* Once nothing is under way. Takes NULL. */
void commits_free(struct commits **commits);

/* err: 0, when all of it is durable and its event is on its way; else the queue's, and the
 * directory is as before (-ETIMEDOUT: it may count all the same). applied_err: why Redis was not
 * told of it, yet. */
typedef void (*commit_cb)(void *arg, int err, int applied_err);

struct change {
	const char *what; /* "account.create" */
	struct author author;
	json_t *entries; /* {key of relay.config: new entry, or null to remove it} */
	json_t *shown;   /* NULL, or what the event has as "changes" */
};

/* Claims the entries in the directory at once, so that no two changes can both have a domain, then
 * writes them. Takes the references of `change`; its texts may go afterwards. `cb` may be NULL. */
void commit_begin(struct commits *commits, const struct change *change, commit_cb cb, void *arg);

#endif
