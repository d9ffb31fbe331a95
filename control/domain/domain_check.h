/*
 * domain_check.h - looks at domains in the DNS, for the API. All on one loop.
 */
#ifndef CONTROL_DOMAIN_CHECK_H
#define CONTROL_DOMAIN_CHECK_H

#include <stdbool.h>

#include <jansson.h>

struct config;
struct domain_checks;
struct loop;

#define DOMAIN_CHECKS_MAX 8         /* at once, beside the daily ones */
#define DOMAIN_CHECKS_ACCOUNT_MAX 2 /* of one account */

struct domain_asked {
	const char *account, *domain; /* the domain in ASCII, lower case */
	const char *secret;           /* that tokens are derived from; the owner's */
	const json_t *dkim;           /* as in report.h; kept until the check ends */
	bool verified;                /* an operator vouches for the domain */
	bool daily;                   /* nobody waits for it: it takes nobody's place */
};

#define DOMAIN_TOKEN_SIZE 33
/* What proves in the DNS, as "shout=<token>" at _shout.<domain>, that the domain is the account's.
 */
void domain_token(const struct domain_asked *asked, char out[DOMAIN_TOKEN_SIZE]);

/* `report` is the callee's (report.h). */
typedef void (*domain_check_cb)(void *arg, json_t *report);

/* NULL after logging why. */
struct domain_checks *domain_checks_new(struct loop *loop, const struct config *config);
/* Must not be called from a callback. No check may be under way. */
void domain_checks_free(struct domain_checks **checks);

/* Begins a check, which takes 20 s at most: what DNS has not said then is unknown. 0; -EBUSY: too
 * many are under way; -EAGAIN: too many of this account. */
int domain_check(struct domain_checks *checks, const struct domain_asked *asked, domain_check_cb cb,
	void *arg);
/* Ends all checks at once, as if their time were over. */
void domain_checks_hurry(struct domain_checks *checks);

#endif
