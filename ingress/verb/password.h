/*
 * password.h - checks passwords on a thread of its own, and remembers for a minute what was right.
 */
#ifndef INGRESS_PASSWORD_H
#define INGRESS_PASSWORD_H

#include <stdbool.h>

#include "shared/account/credential.h"
#include "shared/account/scram.h"

struct passwords;
struct passwords *passwords_new(void);
/* The loops that asked must have ended. */
void passwords_free(struct passwords **passwords);

/* Addresses take turns; an IPv6 /64 is one address. The callback is called later, on the calling
 * loop, and ends the check: `which` of the verifiers (scram_check_any()), PASSWORDS_MAX at most,
 * has the password; -1: none. */
#define PASSWORDS_MAX (1 + CREDENTIAL_FORMER_MAX)
typedef void (*password_cb)(void *arg, int which);
struct password_check;
struct password_check *passwords_check(struct passwords *passwords, const char *address,
	const struct scram_verifier *verifiers, size_t count, const char *password, password_cb cb,
	void *arg);
/* Ends the check without its callback. To be called on the loop that asked. */
void passwords_take_back(struct passwords *passwords, struct password_check *check);

/* One a loop. `verifier` is its text: a changed password makes another entry. */
struct password_cache;
struct password_cache *password_cache_new(void);
void password_cache_free(struct password_cache **cache);
void password_cache_add(struct password_cache *cache, const char *verifier, const char *password);
bool password_cache_has(struct password_cache *cache, const char *verifier, const char *password);

#endif
