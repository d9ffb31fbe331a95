/*
 * admit.c - who a session's client is, and whether it may begin, go on, and stay.
 *
 * ingress:  session, cmd_*.c -> [admit] -> door
 *           cmd_hello, cmd_mail -> [admit] -> account store -> back by session id
 *
 * A session speaks for the account of its credential, else for that of its address. The account is
 * asked for anew for every message (the store's copies are seconds old at most), so that a
 * suspension reaches sessions that stay open for days. While Redis does not answer, or holds
 * records that cannot be read, a known session stays known, and refusals are temporary.
 */
#include "ingress/session/session_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/metrics/metrics.h"

struct turned_away
session_turned_away(enum door_answer answer)
{
	static const struct turned_away all[] = {
		[DOOR_FULL] = { "421 4.3.2 Too many connections, try again soon",
			REFUSE_CONNECTIONS },
		[DOOR_ADDRESS_FULL] = { "421 4.3.2 Too many connections from your address",
			REFUSE_CONNECTIONS },
		[DOOR_TOO_OFTEN] = { "421 4.7.0 Too many connections from your address in a minute",
			REFUSE_RATE },
	};

	return all[answer];
}

/* With implicit TLS, a client before its handshake cannot read a reply. */
static void
end_refused(struct session *session, struct turned_away away)
{
	if (session->listener->config->tls != LISTEN_IMPLICIT || session->tls[0]) {
		refuse_end(session, away.why, "%s", away.text);
		return;
	}
	metric_add(stats.refused[away.why], 1);
	session_tell(session, TALLY_REJECTED, refusal_name(away.why), away.text);
	session_close(session);
}

static bool
spend(struct session *session, enum door_rate rate, const char *text)
{
	if (guest_spend(session->guest, rate))
		return true;
	end_refused(session, (struct turned_away){ text, REFUSE_RATE });
	return false;
}

bool
session_may_shake(struct session *session)
{
	return spend(session, RATE_HANDSHAKES,
		"421 4.7.0 Too many TLS handshakes from your address in a minute");
}

bool
session_may_try(struct session *session)
{
	return spend(session, RATE_COMMANDS,
		"421 4.7.0 Too many commands without mail from your address in a minute");
}

void
session_known(struct session *session)
{
	guest_know(session->guest);
}

/* A stranger who gets further takes its place anew: it has not stood still. */
void
session_step(struct session *session)
{
	if (guest_is_stranger(session->guest))
		guest_place(session->guest, PLACE_STRANGER);
}

void
session_set_timeout(struct session *session, uint64_t ms)
{
	uint64_t most = guest_time_left(session->guest);

	wire_set_timeout(session->wire, ms < most ? ms : most);
}

void
session_set_client(struct session *session, const struct net_address *client)
{
	char text[NET_TEXT_MAX];

	session->client = *client;
	net_format_ip(&session->client, text);
	snprintf(session->client_text, sizeof session->client_text, "%.*s", CLIENT_TEXT_MAX - 1,
		text);
}

void
session_admit(struct session *session)
{
	if (session->listener->config->tls != LISTEN_IMPLICIT) {
		session_banner(session);
		return;
	}
	session->state = ST_SHAKE;
	session_set_timeout(session, SHAKE_MS);
	if (session_may_shake(session))
		wire_start_tls(session->wire, tls_server_session(session->listener->tls));
}

void
session_admit_named(struct session *session, const struct net_address *client)
{
	enum door_answer answer = guest_name(session->guest, client);

	session_set_client(session, client);
	if (answer == DOOR_OPEN)
		session_admit(session);
	else
		end_refused(session, session_turned_away(answer));
}

void
session_turn_out(void *arg)
{
	struct session *session = arg;

	if (session->state == ST_COMMAND || session->state == ST_LINE)
		refuse_end(session, REFUSE_CONNECTIONS,
			"421 4.3.2 Idle, and others need this connection");
	else
		session_close(session);
}

/* The account. */

static void
set_account(struct session *session, struct account *account)
{
	struct account *old = session->account;

	session->account = account ? account_ref(account) : NULL;
	account_unref(old);
}

void
session_set_grant(struct session *session, struct credential *grant)
{
	struct credential *old = session->grant;

	session->grant = grant ? credential_ref(grant) : NULL;
	credential_unref(old);
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
on_user(void *arg, int err, struct account *account, struct credential *credential)
{
	struct session *session = session_find(arg);

	if (!session || !session->then)
		return;
	if (err == 0)
		session_set_grant(session, credential);
	if (err == 0 &&
		!(credential_works(credential) &&
			credential_admits(credential, &session->client))) {
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
