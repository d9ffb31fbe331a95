/*
 * identify.c - which account a session speaks for: that of its credential, else of its address.
 *
 * ingress:  cmd_hello, cmd_mail -> [identify] -> account store -> back by session id
 *
 * The account is asked for anew for every message (the store's copies are seconds old at most), so
 * that a suspension reaches sessions that stay open for days. While Redis does not answer, or holds
 * records that cannot be read, a known session stays known, and refusals are temporary.
 */
#include "ingress/session/session_private.h"

#include <errno.h>
#include <stdlib.h>

static void
set_account(struct session *session, struct account *account)
{
	struct account *old = session->account;

	session->account = account ? account_ref(account) : NULL;
	account_unref(old);
}

static void
identified(struct session *session, int err, struct account *account)
{
	void (*then)(struct session * session) = session->then;

	session->then = NULL;
	if (err == -EAGAIN && session->account) {
		session->known = KNOWN_YES;
	} else {
		set_account(session, err == 0 ? account : NULL);
		session->known = err == 0 ? KNOWN_YES : err == -EAGAIN ? KNOWN_UNSURE : KNOWN_NO;
	}
	then(session);
}

static void
on_address(void *arg, int err, struct account *account)
{
	struct session *session = session_find(arg);

	if (session && session->then)
		identified(session, err, account);
}

static void
on_user(void *arg, int err, struct account *account, const char *verifier, bool enabled)
{
	struct session *session = session_find(arg);

	(void)verifier;
	if (!session || !session->then)
		return;
	if (err == 0 && !enabled) {
		err = account_store_sure(session->worker->accounts) ? -ENOENT : -EAGAIN;
		set_account(session, NULL);
	}
	identified(session, err, account);
}

void
session_identify(struct session *session, void (*then)(struct session *session))
{
	struct account_store *accounts = session->worker->accounts;

	session->then = then;
	if (session->credential)
		account_by_user(accounts, session->credential, on_user, session_arg(session));
	else
		account_by_address(accounts, &session->client, on_address, session_arg(session));
}

bool
session_may_auth(const struct session *session)
{
	const struct listen_config *listen = session->listener->config;

	if (session->tls[0] || listen->auth_without_tls == AUTH_ALWAYS)
		return listen->auth;
	return listen->auth && listen->auth_without_tls == AUTH_KNOWN_ADDRESSES &&
		session->known == KNOWN_YES;
}
