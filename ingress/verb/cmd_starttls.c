/*
 * cmd_starttls.c - STARTTLS (RFC 3207). What was said before the handshake, and what was sent
 * behind the command in clear, could come from anyone on the way: both are forgotten.
 */
#include "ingress/verb/verb.h"

static void
start_handshake(struct session *session)
{
	session_forget(session);
	session_discard_input(session);
	session->state = ST_SHAKE;
	session->busy = false;
	wire_write(session->wire, "220 2.0.0 Go ahead\r\n", 20);
	if (!wire_flush(session->wire)) {
		session_close(session);
		return;
	}
	session_set_timeout(session, SHAKE_MS);
	wire_start_tls(session->wire, tls_server_session(session->listener->tls));
}

void
cmd_starttls(struct session *session, const struct command *command)
{
	if (session->tls[0])
		refuse(session, REFUSE_ORDER, "503 5.5.1 TLS is on already");
	else if (session->listener->config->tls != LISTEN_STARTTLS)
		refuse(session, REFUSE_ORDER, "502 5.5.1 No STARTTLS here");
	else if (command->args_length > 0)
		refuse(session, REFUSE_SYNTAX, "501 5.5.4 STARTTLS takes no parameter");
	else if (session_may_shake(session))
		start_handshake(session);
}
