/*
 * use.h - when mail of an account was last accepted by which credential or address, and who logged
 * in or failed to. Redis keeps the times (use:{account} and logins:{account}, hashes).
 *
 * Uses are gathered for a second. Without Redis the gathering goes on, up to USES_MAX.
 */
#ifndef SHARED_USE_H
#define SHARED_USE_H

#include <stdint.h>

#include <jansson.h>

#include "shared/account/account.h"

struct loop;
struct redis;
struct uses;

#define USES_MAX 20000

struct uses *uses_new(struct loop *loop, struct redis *redis);
/* Sends the last uses, if Redis is up. Call it before redis_free(). Takes NULL. */
void uses_free(struct uses **uses);
enum use_kind {
	USE_CREDENTIAL, /* mail was accepted from this user */
	USE_ADDRESS,    /* mail was accepted from this client, which is known by its address */
	USE_LOGIN,      /* a user of the account logged in from this address */
	USE_LOGGED_IN,  /* this user logged in */
	USE_FAILED,     /* somebody failed to log in as this user */
};
/* Such a use happened now. `name` is the username, or the client's address; `from` (may be NULL):
 * the client's address of a user's use. On the loop. */
void uses_note(struct uses *uses, const char *account, enum use_kind kind, const char *name,
	const char *from);

/* One callback, as for redis_command(). `times` is {"user/NAME", "ip/NETWORK" or "from/NETWORK":
 * microseconds since 1970}, borrowed; NULL on an error. */
typedef void (*uses_cb)(void *arg, int err, const json_t *times);
void uses_read(struct redis *redis, const char *account, uses_cb cb, void *arg);

/* Likewise. The object has for each user that was used {"us", "from", "failures": how many logins
 * failed within a day, "failed_us", "failed_from"}, as far as they are known. `us` is the last
 * accepted mail's or login's. */
void logins_read(struct redis *redis, const char *account, uses_cb cb, void *arg);

#endif
