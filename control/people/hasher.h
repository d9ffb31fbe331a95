/*
 * hasher.h - the thread that hashes people's passwords (argon2id, RFC 9106), each of which takes
 * some 20 ms and 19 MiB. What waits is bounded, and so is one client's share of that.
 */
#ifndef CONTROL_HASHER_H
#define CONTROL_HASHER_H

#include <stdbool.h>

#define VERIFIER_SIZE 128
#define HASHES_MAX 32 /* waiting, and the one under way */

struct hasher;
struct loop;

/* Never NULL. Answers come on `loop`. */
struct hasher *hasher_new(struct loop *loop);
/* Call it once no answer is owed. Takes NULL. */
void hasher_free(struct hasher **hasher);

/* `good`: the password is that of the verifier. `verifier`: of a new one. */
typedef void (*hasher_cb)(void *arg, bool good, const char *verifier);

/* Checks a password. `verifier` NULL: there is none, and the answer, no, takes as long. `client`
 * is whose share it is. False, and no answer will come: too much waits, for all or for this
 * client. All may go after the call. */
bool hasher_check(struct hasher *hasher, const char *client, const char *password,
	const char *verifier, hasher_cb cb, void *arg);
/* Makes a verifier. */
bool hasher_make(
	struct hasher *hasher, const char *client, const char *password, hasher_cb cb, void *arg);

#endif
