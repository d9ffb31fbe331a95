/*
 * documents.h - writes entries of relay.config into Redis, as the documents of account.h, while
 * Redis is ours: each write and removal checks the owner in the same step.
 */
#ifndef CONTROL_DOCUMENTS_H
#define CONTROL_DOCUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/config/view.h"

struct batch;
struct config;
struct directory;
struct documents;
struct redis;

struct documents *
documents_new(const struct config *config, struct redis *redis, struct directory *directory);
void documents_free(struct documents **documents);
/* Sets the owner that writes from now on; "" before relay.config has one. */
void documents_set_owner(struct documents *documents, const char *owner);

/* err: 0, an error of redis.h, -EIO when Redis refuses, -EPERM when its accounts are another
 * owner's. */
typedef void (*documents_cb)(void *arg, int err);
/* `view` is NULL on an error. */
typedef void (*documents_view_cb)(void *arg, int err, const struct view *view);

/* Asks whose accounts Redis has. */
void documents_look(struct documents *documents, documents_view_cb cb, void *arg);
/* Makes Redis ours if its owner is `from` (NULL: any owner, and Redis is emptied). */
void documents_claim(struct documents *documents, const char *from, documents_cb cb, void *arg);

/* Commands that share one callback, called when all have ended. `cb` may be NULL. */
struct batch *batch_new(struct documents *documents, documents_cb cb, void *arg);
/* Writes the directory's entry of a key of relay.config, or removes its document. */
void batch_push(struct batch *batch, const char *key);
/* Moves the marker; a missing marker is set only if `complete`. */
void batch_mark(struct batch *batch, bool complete);
void batch_end(struct batch *batch);

/* Around a rebuild. The documents that are pushed between begin and end are noted; at the end all
 * other documents are removed from Redis, and the view is complete. */
void documents_note(struct documents *documents);
void documents_prune(struct documents *documents, documents_cb cb, void *arg);
/* The time of the newest marker. */
uint64_t documents_marked_us(const struct documents *documents);

#endif
