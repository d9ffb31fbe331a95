/*
 * rights.c - the table of roles, scopes and rights.
 */
#include "control/people/rights.h"

#include <stddef.h>
#include <string.h>

static const char *const roles[ROLES] = { "", "reader", "manager", "owner", "support", "postmaster",
	"admin" };
static const char *const scopes[SCOPES] = { "read", "trace", "write" };

/* The least role of a customer and of an operator (ROLE_NONE: none has the right), and the scope of
 * a token (0: none has). */
static const struct {
	enum role customer, operator;
	unsigned scope;
} needs[RIGHTS] = {
	/* clang-format off */
	[RIGHT_READ]       = { ROLE_READER,  ROLE_SUPPORT,    SCOPE_READ },
	[RIGHT_TRACE]      = { ROLE_READER,  ROLE_SUPPORT,    SCOPE_TRACE },
	[RIGHT_MANAGE]     = { ROLE_MANAGER, ROLE_SUPPORT,    SCOPE_WRITE },
	[RIGHT_OWN]        = { ROLE_OWNER,   ROLE_ADMIN,      0 },
	[RIGHT_LOOK]       = { ROLE_NONE,    ROLE_SUPPORT,    SCOPE_READ },
	[RIGHT_SERVE]      = { ROLE_NONE,    ROLE_SUPPORT,    SCOPE_WRITE },
	[RIGHT_RESELL]     = { ROLE_MANAGER, ROLE_SUPPORT,    SCOPE_WRITE },
	[RIGHT_RESELL_LOOK] = { ROLE_READER, ROLE_SUPPORT,    SCOPE_READ },
	[RIGHT_POSTMASTER] = { ROLE_NONE,    ROLE_POSTMASTER, SCOPE_WRITE },
	[RIGHT_ADMIN]      = { ROLE_NONE,    ROLE_ADMIN,      0 },
	/* clang-format on */
};

const char *
role_name(enum role role)
{
	return roles[role];
}

enum role
role_find(const char *name)
{
	for (int role = ROLE_READER; name && role < ROLES; role++)
		if (strcmp(roles[role], name) == 0)
			return (enum role)role;
	return ROLE_NONE;
}

bool
role_is_operator(enum role role)
{
	return role >= ROLE_SUPPORT;
}

const char *
scope_name(unsigned i)
{
	return scopes[i];
}

unsigned
scope_find(const char *name)
{
	for (unsigned i = 0; i < SCOPES; i++)
		if (strcmp(scopes[i], name) == 0)
			return 1u << i;
	return 0;
}

static bool
person_may(const struct caller *caller, enum right right)
{
	const enum role least = *caller->account ? needs[right].customer : needs[right].operator;

	if (role_is_operator(caller->role) != !*caller->account)
		return false; /* a customer's role without an account, or the other way round */
	return least != ROLE_NONE && caller->role >= least;
}

static bool
token_may(const struct caller *caller, enum right right)
{
	if (*caller->account && needs[right].customer == ROLE_NONE)
		return false;
	return (caller->scopes & needs[right].scope) != 0;
}

bool
caller_may(const struct caller *caller, enum right right)
{
	if (right <= RIGHT_NONE || right >= RIGHTS)
		return false;
	if (right == RIGHT_PUBLIC)
		return true;
	switch (caller->kind) {
	case CALLER_NOBODY: return false;
	case CALLER_ROOT: return right != RIGHT_SELF;
	case CALLER_TOKEN: return token_may(caller, right);
	case CALLER_PERSON: return right == RIGHT_SELF || person_may(caller, right);
	}
	return false;
}

bool
caller_sees(const struct caller *caller, const char *account)
{
	return caller->kind != CALLER_NOBODY &&
		(!*caller->account || strcmp(caller->account, account) == 0);
}

bool
caller_is_operator(const struct caller *caller)
{
	return caller->kind != CALLER_NOBODY && !*caller->account;
}
