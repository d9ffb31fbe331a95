/*
 * audit.h - the event of a change of relay.config: who, what, each object before and after. Pure
 * but for audit_send().
 */
#ifndef CONTROL_AUDIT_H
#define CONTROL_AUDIT_H

#include <stdbool.h>

#include <jansson.h>

#include "shared/queue/event.h"

#define AUDIT_PREFIX "audit/" /* of the keys of notes in relay.config */

/* Who makes a change. Only `by` ("control.token", or "housekeeping") is proved. */
struct author {
	const char *by;
	const char *claimed; /* whom the client claims to work for; NULL: nobody */
	const char *client;  /* the client's address; NULL: this process makes the change */
};

/* The note of a change that is about to be written: {"version","event","expects"}. `entries` and
 * `old` are {key: entry, or null for none}. `shown`, if not NULL, is told instead of the
 * differences. The note has no secret. The caller releases it. */
json_t *audit_note(
	const char *what, const struct author *author, json_t *entries, json_t *old, json_t *shown);

/* Compares a note with relay.config: `entry` returns the value of a key, or NULL. Changes that are
 * not there are taken out of the note. False: none is there. */
bool audit_confirm(
	json_t *note, const json_t *(*entry)(const void *arg, const char *key), const void *arg);

/* Sends the note's event; its id is `id`, so that readers can drop a second one. */
void audit_send(struct mail_event *event, struct queue *queue, const json_t *note, const char *id,
	queue_cb cb, void *arg);

#endif
