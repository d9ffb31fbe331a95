/*
 * cmd_misc.c - the commands that carry no mail: RSET NOOP QUIT VRFY EXPN HELP, and all others.
 */
#include "ingress/verb/verb.h"

void
cmd_rset(struct session *session, const struct command *command)
{
	(void)command;
	if (session->mail)
		transaction_reset(session->mail);
	reply(session, "250 2.0.0 Ok");
}

void
cmd_noop(struct session *session, const struct command *command)
{
	(void)command;
	reply(session, "250 2.0.0 Ok");
}

void
cmd_quit(struct session *session, const struct command *command)
{
	(void)command;
	session->quit = true;
	session_end(session, "221 2.0.0 Bye");
}

/* VRFY and EXPN tell nobody which mailboxes exist (RFC 5321 7.3). */
void
cmd_vrfy(struct session *session, const struct command *command)
{
	(void)command;
	reply(session, "252 2.1.5 Send some mail, it will be tried");
}

void
cmd_help(struct session *session, const struct command *command)
{
	(void)command;
	reply(session, "214 2.0.0 %s", session->worker->ingress->config->ingress.help_url);
}

void
cmd_unknown(struct session *session, const struct command *command)
{
	(void)command;
	refuse(session, REFUSE_SYNTAX, "500 5.5.1 Unknown command");
}
