/*
 * rights.h - who asks the API, and what they may. Pure.
 */
#ifndef CONTROL_RIGHTS_H
#define CONTROL_RIGHTS_H

#include <stdbool.h>

/* What a route needs. What is not named is not allowed. */
enum right {
	RIGHT_NONE,        /* nobody may */
	RIGHT_PUBLIC,      /* anybody may, without a token */
	RIGHT_SELF,        /* a person, about himself */
	RIGHT_READ,        /* what one account is and does */
	RIGHT_TRACE,       /* what became of its mail */
	RIGHT_MANAGE,      /* changes of one account */
	RIGHT_OWN,         /* its people and tokens */
	RIGHT_LOOK,        /* what all accounts are and do */
	RIGHT_SERVE,       /* changes that only the operator's support makes */
	RIGHT_RESELL,      /* changes that support, or the reseller who owns an account, makes */
	RIGHT_RESELL_LOOK, /* lists of accounts; a reseller's are of those that he owns */
	RIGHT_POSTMASTER,  /* queue, rules, suspensions, the end of accounts */
	RIGHT_ADMIN,       /* files with secrets, and what changes everything */
	RIGHTS
};

/* From less to more: a customer's roles, then the operator's. */
enum role {
	ROLE_NONE,
	ROLE_READER,
	ROLE_MANAGER,
	ROLE_OWNER,
	ROLE_SUPPORT,
	ROLE_POSTMASTER,
	ROLE_ADMIN,
	ROLES
};
/* "reader", and back; ROLE_NONE for another text or NULL. */
const char *role_name(enum role role);
enum role role_find(const char *name);
bool role_is_operator(enum role role);

/* Of tokens. */
enum scope { SCOPE_READ = 1, SCOPE_TRACE = 2, SCOPE_WRITE = 4 };
#define SCOPES 3
/* "read", and back; 0 for another text. */
const char *scope_name(unsigned i); /* i < SCOPES */
unsigned scope_find(const char *name);

#define CALLER_ACCOUNT_MAX 64
#define CALLER_NAME_MAX 128

struct caller {
	enum { CALLER_NOBODY, CALLER_ROOT, CALLER_TOKEN, CALLER_PERSON } kind;
	enum role role;                   /* a person's */
	unsigned scopes;                  /* a token's */
	char account[CALLER_ACCOUNT_MAX]; /* the only account that the caller may touch; "": all */
	char name[CALLER_NAME_MAX];       /* for the audit: "control.token", "token:...", a login */
};

bool caller_may(const struct caller *caller, enum right right);
/* Whether the caller may know that the account is there. */
bool caller_sees(const struct caller *caller, const char *account);
/* Whether the caller works for the operator. */
bool caller_is_operator(const struct caller *caller);

#endif
