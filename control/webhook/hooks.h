/*
 * hooks.h - the webhooks that are served, what each has to be sent, and when. All calls are on the
 * thread of webhooks.c.
 *
 * Posts of a webhook begin in the order of events. It has HOOK_POSTS posts under way, or one while
 * it fails or is slow. What fails is tried again, and holds what comes behind it. A webhook whose
 * queue is full, or all queues together, is "behind": it hears no new events, but has a place in
 * mail.events, from which feed.c goes on once its queue is empty. So memory is bounded, a dead
 * receiver holds nobody else, and nothing is lost as long as events are kept.
 */
#ifndef CONTROL_HOOKS_H
#define CONTROL_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <uthash.h>

#define HOOK_QUEUE_MAX 100
#define HOOKS_QUEUED_MAX 20000 /* of all webhooks */
#define HOOK_POSTS 4           /* of a webhook at a time */
#define HOOKS_POSTS 64         /* of all webhooks */
#define HOOK_SLOW_MS 1000      /* such an answer is slow */

struct config;
struct hooks;

/* A place in mail.events, shared by what was read from there. */
struct place {
	unsigned references;
	char *text;
};
struct place *place_new(char *text); /* takes the text over; one reference */
void place_release(struct place **place);

struct hook {
	UT_hash_handle hh;
	char *id, *account;
	char *behind;      /* its place; "": since_us; NULL: it hears events as they come */
	uint64_t since_us; /* what happened before is not for it */
	unsigned queued;
	struct hook_private *own;
};

struct hooks_told {
	/* `try` {"at","event","event_id","status","ms","error","ok"} is the callee's. */
	void (*tried)(void *arg, const char *id, json_t *try);
	/* The webhook failed for control.webhooks.give_up, and is to be switched off. */
	void (*failed)(void *arg, const char *id, const char *why);
};

struct hooks *hooks_new(const struct config *config, const struct hooks_told *told, void *arg);
void hooks_free(struct hooks **hooks);

/* Serves these entries webhook/... and no others. */
void hooks_set(struct hooks *hooks, const json_t *entries);
size_t hooks_count(const struct hooks *hooks);
/* Whether the account has a webhook. */
bool hooks_of_account(const struct hooks *hooks, const char *account);

/* An event of an account, read behind `place`, for all its webhooks that are not behind. */
void
hooks_offer(struct hooks *hooks, const char *account, const json_t *event, struct place *place);
/* NULL: there is none. */
struct hook *hooks_find(const struct hooks *hooks, const char *id);
bool hook_has_room(const struct hooks *hooks, const struct hook *hook);
/* The same for one webhook that is behind and has room. */
void hook_take(struct hooks *hooks, struct hook *hook, const json_t *event, struct place *place);
/* A webhook that is behind and has nothing to send; NULL: none. They take turns. */
struct hook *hooks_next_behind(struct hooks *hooks);
/* The webhook goes on from there; NULL: it hears events as they come. Takes the text over. */
void hook_set_behind(struct hook *hook, char *place);

/* Sends what is due, and waits for up to `ms`. */
void hooks_run(struct hooks *hooks, unsigned ms);
/* From any thread: hooks_run() returns at once. */
void hooks_wake(struct hooks *hooks);
/* Posts a test to the webhook; `done` comes once. `try` is the callee's; NULL: there is no such
 * webhook. */
void
hooks_test(struct hooks *hooks, const char *id, void (*done)(void *arg, json_t *try), void *arg);

/* Forgets what is to be sent: another process does it. */
void hooks_drop(struct hooks *hooks);
/* {"at": now,"behind":{id: place},"failing":{id: since}}: where each webhook has to go on from. */
json_t *hooks_state(const struct hooks *hooks);
/* Likewise, from another process's state, for the webhooks that are set. One that the state does
 * not know, because it is newer or because there is no state (NULL), begins at its since_us, or
 * RESTART_US ago. */
#define RESTART_US (UINT64_C(10) * 60 * 1000000)
void hooks_restore(struct hooks *hooks, const json_t *state);

#endif
