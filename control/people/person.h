/*
 * person.h - people who log in: changes of their entries of relay.config (person_entry.h).
 *
 * A person belongs to one account, or (without one) to the operator. The functions that change are
 * those of accounts.h: 0 with `changes` and `reply`, or -1 with `fault`. `account` NULL: the
 * operator's people. Where `body` is borrowed, it may be NULL.
 */
#ifndef CONTROL_PERSON_H
#define CONTROL_PERSON_H

#include <stdbool.h>
#include <stdint.h>

#include "control/account/accounts.h"
#include "control/account/person_entry.h"
#include "control/people/rights.h"
#include "control/people/secret.h"

#define INVITE_US (UINT64_C(7) * 24 * 3600 * 1000000)
#define RESET_US (UINT64_C(3600) * 1000000)

/* The problem of a change that would leave nobody who may manage people (409). */
#define LAST_OWNER "/problems/last-owner"
/* Whether the edit's fault is that one. */
bool person_was_last(const struct edit *edit);

/* {"login","name","role","language"} -> the person as person_show() has it. `link` gets the secret
 * of the invitation. */
int person_add(struct edit *edit, const char *account, const json_t *body, char link[SECRET_SIZE]);
/* {"name","role","language","second_factor": false}. Another role ends the person's sessions. */
int person_change(struct edit *edit, const char *account, const char *login, const json_t *body);
int person_remove(struct edit *edit, const char *account, const char *login);
/* A new link: an invitation for who has no password yet, else a reset. The one before ends. */
int
person_invite(struct edit *edit, const char *account, const char *login, char link[SECRET_SIZE]);

/* What a person asks for without a session, the login known: a link, unless a valid one is on its
 * way, so that no stranger's question ends it. -1 (409): there is nothing to do. */
bool person_may_ask_link(const struct directory *directory, const char *login);
int person_ask_link(struct edit *edit, const char *login, char link[SECRET_SIZE]);
/* The login whose link has this secret, or NULL: it is used, over or never was. */
const char *person_of_link(const struct directory *directory, const char *secret, uint64_t now_us);

/* What a person changes himself: {"name","language"}. */
int person_change_self(struct edit *edit, const char *login, const json_t *body);
/* A new password: the link ends, and so do the sessions. */
int person_set_verifier(struct edit *edit, const char *login, const char *verifier);
/* The second factor, with its recovery hashes (taken over); NULL, NULL: none any more. */
int person_set_totp(struct edit *edit, const char *login, const char *secret, json_t *recovery);
/* Drops a recovery code that was used. */
int person_use_recovery(struct edit *edit, const char *login, int place);

/* The entry; NULL: there is no such person, or his account is deleted. */
json_t *person_find(const struct directory *directory, const char *login);
/* The same, of that account or (NULL) of the operator's people. */
json_t *person_find_of(const struct directory *directory, const char *account, const char *login);
/* A person as the API shows it. */
json_t *person_show(const char *login, const json_t *entry);
/* Whether a list of the account's people (NULL: of the operator's) has the entry. */
bool person_is_of(const char *key, const json_t *entry, const char *account);
/* Which of a person's sessions are over: those of another epoch. */
json_int_t person_epoch(const json_t *entry);
void person_caller(const char *login, const json_t *entry, struct caller *out);

#endif
