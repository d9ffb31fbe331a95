/*
 * password.h - checks passwords on a thread of its own, and remembers for a minute what was right.
 */
#ifndef INGRESS_PASSWORD_H
#define INGRESS_PASSWORD_H

#include <stdbool.h>

#include "shared/scram.h"

struct passwords;
struct passwords *passwords_new(void);
/* After the loops that asked have ended. */
void passwords_free(struct passwords **passwords);

/* The callback comes on the calling loop, later. false: too many wait already, nothing comes. */
bool passwords_check(struct passwords *passwords, const struct scram_verifier *verifier,
	const char *password, void (*cb)(void *arg, bool right), void *arg);

/* One a loop. `verifier` is its text: a changed password makes another entry. */
struct password_cache;
struct password_cache *password_cache_new(void);
void password_cache_free(struct password_cache **cache);
void password_cache_add(struct password_cache *cache, const char *verifier, const char *password);
bool password_cache_has(struct password_cache *cache, const char *verifier, const char *password);

#endif
