/*
 * tokens.h - tokens of the API: who holds one may do what its scopes say, until its end, for one
 * account or (without an account) for all. relay.config has the hash alone.
 *
 * The functions that change are those of accounts.h: 0 with `changes` and `reply`, or -1 with
 * `fault`.
 */
#ifndef CONTROL_TOKENS_H
#define CONTROL_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/account/accounts.h"
#include "control/people/rights.h"

/* {"label","scopes":["read","trace","write"],"until": time or none} -> the token as token_show()
 * has it, and "secret", which is nowhere else. `account` NULL: for all accounts. */
int token_add(struct edit *edit, const char *account, const json_t *body, uint64_t now_us);
/* A token of that account; with NULL one of those for all accounts. */
int token_remove(struct edit *edit, const char *account, const char *id);
/* A token as the API shows it. */
json_t *token_show(const json_t *entry);
/* Whether a list of the account's tokens (NULL: of those for all accounts) has the entry. */
bool token_is_of(const char *key, const json_t *entry, const char *account);

/* Who holds the secret now; false: nobody, since the token is unknown or over, or its account is
 * deleted. */
bool token_caller(
	const struct directory *directory, const char *secret, uint64_t now_us, struct caller *out);

#endif
