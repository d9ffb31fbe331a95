/*
 * auth.h - an AUTH exchange, for cmd_auth.c and auth_scram.c.
 */
#ifndef INGRESS_AUTH_H
#define INGRESS_AUTH_H

#include "ingress/verb/password.h"
#include "ingress/verb/sasl.h"
#include "ingress/verb/verb.h"
#include "shared/account/scram.h"
#include "shared/base/timer.h"

struct mechanism;
struct Gsasl_session;

struct auth {
	const struct mechanism *mechanism;
	bool scram;
	char username[SASL_NAME_MAX + 1]; /* "": not known yet */
	char password[SASL_PASSWORD_MAX + 1];
	bool heard; /* the limits let the client try: unless the exchange succeeds it has failed */
	bool right; /* it has proved a password of the user */
	struct credential *credential; /* NULL: there is no such user */
	/* Of the passwords that work now, by their numbers in the credential; without a user one
	 * that nobody has. */
	struct scram_verifier verifiers[PASSWORDS_MAX];
	unsigned numbers[PASSWORDS_MAX];
	size_t verifiers_count;
	struct account *account;
	struct password_check *check; /* the check of the password, under way */
	struct Gsasl_session *gsasl;  /* SCRAM's */
	char *first, *challenge;      /* SCRAM: the client's first message, and our answer */
	bool proven;                  /* SCRAM: the client waits for our proof */
	struct timer late;            /* delays the answer to a failure */
};

/* Sends a challenge (base 64 already) and waits for a line. */
void auth_ask(struct session *session, const char *challenge);
/* The message with the username was read, with the result of sasl.h. Asks the limits and the
 * account store, then goes on in scram_challenge() or with the password. */
void auth_named(struct session *session, int err);
void auth_malformed(struct session *session);
void auth_unsure(struct session *session, const char *text);
/* A proof was wrong, or no proof can be right. */
void auth_failed(struct session *session);
/* The proof was right. Whether the user may log in; false after auth_failed(). */
bool auth_admitted(struct session *session);
void auth_succeeded(struct session *session);

/* auth_scram.c */
void scram_line(struct session *session, const char *text, size_t length);
void scram_challenge(struct session *session);
void scram_end(struct auth *auth);

#endif
