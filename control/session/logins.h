/*
 * logins.h - who is logged in: sessions of people, in Redis alone. A Redis that was wiped has
 * none, and people log in anew.
 *
 *   session:{<hash of the secret>}   a hash, gone 30 min after its last use, 12 h after the login
 *   sessions:{<login>}               the hashes of a person's sessions
 *
 * All times are Redis's own, so that several control processes agree. Callbacks come on Redis's
 * loop; `err` is 0 or one of redis.h, or -EIO: Redis refuses.
 */
#ifndef CONTROL_LOGINS_H
#define CONTROL_LOGINS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/person_entry.h"
#include "control/people/secret.h"
#include "shared/base/net.h"

struct redis;

#define SESSION_IDLE_S 1800
#define SESSION_MAX_S 43200
#define SESSION_CODE_S 300 /* for the second factor */
#define SESSION_SUDO_S 300
#define SESSIONS_MAX 20 /* of a person: the oldest gives way */
#define SESSION_TRIES 5 /* wrong codes of the second factor */
#define SESSION_AGENT_SIZE 128

#define SESSION_SECRET_SIZE 44 /* 43 signs of 62: 256 bits */
#define SESSION_CSRF_SIZE 44

struct login_session {
	char id[SECRET_HASH_SIZE]; /* the secret's hash: proves nothing */
	char login[LOGIN_SIZE];
	char csrf[SESSION_CSRF_SIZE];
	int64_t epoch;      /* the person's at the login (person.h) */
	bool code;          /* the second factor is still to come */
	uint64_t created_s; /* since 1970 */
	uint64_t used_s;    /* the use before this one */
	uint64_t until_s;   /* when the session ends, unless it is used */
	unsigned sudo_s;    /* for how long secrets and people may be changed; 0: no more */
	char client[NET_TEXT_MAX];
	char agent[SESSION_AGENT_SIZE];
};

/* `session` NULL: there is none, or (err) it cannot be known. */
typedef void (*logins_cb)(void *arg, int err, const struct login_session *session);
typedef void (*logins_done_cb)(void *arg, int err);

/* Makes a session of `want` (login, epoch, code, client, agent), and ends `old` (a session's id;
 * NULL: none) in the same step. `secret` is the cookie's. */
void logins_create(struct redis *redis, const struct login_session *want, const char *old,
	char secret[SESSION_SECRET_SIZE], logins_cb cb, void *arg);
/* Finds the session of a cookie; `used`: its time begins anew. */
void logins_look(struct redis *redis, const char *secret, bool used, logins_cb cb, void *arg);
/* Ends a session of that login; it may have ended. */
void
logins_end(struct redis *redis, const char *id, const char *login, logins_done_cb cb, void *arg);
/* For SESSION_SUDO_S from now on the session may change secrets and people. */
void logins_sudo(struct redis *redis, const char *id, logins_done_cb cb, void *arg);
/* Counts a wrong code; the session ends after SESSION_TRIES. */
void logins_wrong_code(
	struct redis *redis, const char *id, const char *login, logins_done_cb cb, void *arg);
/* Keeps the secret of a second factor that is being set up; `take`: returns and drops it. */
void logins_keep_factor(
	struct redis *redis, const char *id, const char *secret, logins_done_cb cb, void *arg);
typedef void (*logins_factor_cb)(void *arg, int err, const char *secret);
void logins_take_factor(struct redis *redis, const char *id, logins_factor_cb cb, void *arg);
/* Notes that a step of the second factor was used. `cb` gets -EALREADY if it was used before. */
void logins_use_step(
	struct redis *redis, const char *login, uint64_t step, logins_done_cb cb, void *arg);

/* A person's sessions, with `own` (an id) marked "current", as the API shows them: an array. */
typedef void (*logins_list_cb)(void *arg, int err, json_t *sessions);
void logins_list(struct redis *redis, const char *login, const char *own, int64_t epoch,
	logins_list_cb cb, void *arg);
/* Ends all of a person's sessions but `own`, or with `short_id` (as shown) that one alone. `cb`
 * gets -ENOENT: there is none. */
void logins_end_of(struct redis *redis, const char *login, const char *own, const char *short_id,
	logins_done_cb cb, void *arg);

/* The part of an id that is shown. */
#define SESSION_SHORT 16

#endif
