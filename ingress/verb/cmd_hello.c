/*
 * cmd_hello.c - HELO and EHLO (RFC 5321 4.1.1.1). Any name is accepted: old clients send their
 * Windows name, an address, or their user's first name.
 */
#include "ingress/verb/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
hello_reply(struct session *session)
{
	const struct config *config = session->worker->ingress->config;
	const struct listener *listener = session->listener;
	bool starttls = listener->config->tls == LISTEN_STARTTLS && !session->tls[0];

	if (!session->esmtp) {
		reply(session, "250 %s", config->hostname);
		return;
	}
	reply(session,
		"250-%s\r\n250-PIPELINING\r\n250-SIZE %" PRIu64
		"\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n%s%s250 ENHANCEDSTATUSCODES",
		config->hostname, config->ingress.message_size_limit,
		starttls ? "250-STARTTLS\r\n" : "",
		session_may_auth(session) ? "250-AUTH PLAIN LOGIN SCRAM-SHA-256\r\n" : "");
}

static void
hello(struct session *session, const struct command *command, bool esmtp)
{
	const struct listen_config *listen = session->listener->config;
	size_t length = command->args_length < HELO_MAX ? command->args_length : HELO_MAX;

	if (length == 0) {
		refuse(session, REFUSE_SYNTAX, "501 5.5.4 Say who you are: %s name",
			esmtp ? "EHLO" : "HELO");
		return;
	}
	if (session->mail)
		transaction_reset(session->mail);
	memcpy(session->helo, command->args, length);
	session->helo[length] = '\0';
	session->greeted = true;
	session->esmtp = esmtp;
	if (esmtp && listen->auth && !session->tls[0] &&
		listen->auth_without_tls == AUTH_KNOWN_ADDRESSES)
		session_identify(session, hello_reply);
	else
		hello_reply(session);
}

void
cmd_helo(struct session *session, const struct command *command)
{
	hello(session, command, false);
}

void
cmd_ehlo(struct session *session, const struct command *command)
{
	hello(session, command, true);
}
