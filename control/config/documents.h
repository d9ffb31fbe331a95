/*
 * documents.h - entries of relay.config as the documents that account.h describes, written into
 * Redis while that is ours: each write and removal is one step with the check of the owner.
 */
#ifndef CONTROL_DOCUMENTS_H
#define CONTROL_DOCUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/config/view.h"

struct batch;
struct directory;
struct documents;
struct redis;

struct documents *documents_new(struct redis *redis, struct directory *directory);
void documents_free(struct documents **documents);
/* Who writes from now on; "" before relay.config has an owner. */
void documents_set_owner(struct documents *documents, const char *owner);

/* err: 0, that of redis.h, -EIO when Redis refuses, -EPERM when its accounts are another owner's.
 */
typedef void (*documents_cb)(void *arg, int err);
/* `view` is there unless err. */
typedef void (*documents_view_cb)(void *arg, int err, const struct view *view);

/* Whose accounts Redis holds. */
void documents_look(struct documents *documents, documents_view_cb cb, void *arg);
/* Makes Redis ours, if its owner is `from`; with NULL whoever it is, and nothing in it is kept. */
void documents_claim(struct documents *documents, const char *from, documents_cb cb, void *arg);

/* Commands whose end one callback waits for. `cb` may be NULL. */
struct batch *batch_new(struct documents *documents, documents_cb cb, void *arg);
/* Writes what the directory has for a key of relay.config, or removes it. */
void batch_push(struct batch *batch, const char *key);
/* Moves the marker; where there is none only if `complete`. */
void batch_mark(struct batch *batch, bool complete);
void batch_end(struct batch *batch);

/* Around a rebuild: what is pushed between the two is noted, and what Redis has beside that is
 * removed; then the view is complete. */
void documents_note(struct documents *documents);
void documents_prune(struct documents *documents, documents_cb cb, void *arg);
/* The time of the newest marker. */
uint64_t documents_marked_us(const struct documents *documents);

#endif
