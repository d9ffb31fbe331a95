/*
 * audit.h - what a change of relay.config is told as: who, what, each object before and after. Pure
 * but for audit_send().
 */
#ifndef CONTROL_AUDIT_H
#define CONTROL_AUDIT_H

#include <stdbool.h>

#include <jansson.h>

#include "shared/queue/event.h"

#define AUDIT_PREFIX "audit/" /* of the keys of notes in relay.config */

/* Who makes a change. Only `by` is proved: "control.token", or "housekeeping". */
struct author {
	const char *by;
	const char *claimed; /* whom the client says that it works for; NULL: it does not say */
	const char *client;  /* its address; NULL: it is this process */
};

/* The note of a change that is about to be written: {"version","event","expects"}. `entries` and
 * `old` are {key: entry, or null for none}. `shown`, if not NULL, is told instead of them. Holds no
 * secret. The caller's to release. */
json_t *audit_note(
	const char *what, const struct author *author, json_t *entries, json_t *old, json_t *shown);

/* How much of a note's change is found: the value of each key, or NULL, by `entry`. What is not
 * found is taken out of the note; false: nothing was. */
bool audit_confirm(
	json_t *note, const json_t *(*entry)(const void *arg, const char *key), const void *arg);

/* Sends the note's event; its id is `id`, so that readers can drop a second one. */
void audit_send(struct mail_event *event, struct queue *queue, const json_t *note, const char *id,
	queue_cb cb, void *arg);

#endif
