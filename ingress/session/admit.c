/*
 * admit.c - a session's dealings with the door: whether it may begin, go on, and stay.
 *
 * ingress:  session, cmd_*.c -> [admit] -> door
 */
#include "ingress/session/session_private.h"

#include <stdio.h>

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

bool
session_may_shake(struct session *session)
{
	static const struct turned_away away = {
		"421 4.7.0 Too many TLS handshakes from your address in a minute", REFUSE_RATE
	};

	if (guest_spend(session->guest, RATE_HANDSHAKES))
		return true;
	end_refused(session, away);
	return false;
}

bool
session_may_try(struct session *session)
{
	static const struct turned_away away = {
		"421 4.7.0 Too many commands without mail from your address in a minute",
		REFUSE_RATE
	};

	if (guest_spend(session->guest, RATE_COMMANDS))
		return true;
	end_refused(session, away);
	return false;
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
