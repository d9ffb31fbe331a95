/*
 * dispatch.c - from a command line to the verb's file, past what holds for every verb.
 *
 * session -> [dispatch] -> cmd_*.c
 */
#include "ingress/verb/verb.h"

#include <string.h>
#include <strings.h>

#include "shared/base/text.h"

#define IDLE_COMMANDS_MAX 100 /* commands that lead nowhere, in a row */

enum verb_flag {
	V_LAST = 1,    /* nothing may be pipelined behind it (RFC 2920 3.1) */
	V_GREETED = 2, /* after EHLO or HELO */
	V_TLS = 4,     /* not before STARTTLS where the listener requires it (RFC 3207 4) */
	V_IDLE = 8,    /* leads nowhere */
};

static const struct {
	void (*run)(struct session *session, const struct command *command);
	unsigned flags;
} verbs[VERB_COUNT] = {
	[VERB_UNKNOWN] = { cmd_unknown, 0 },
	[VERB_HELO] = { cmd_helo, V_LAST | V_IDLE },
	[VERB_EHLO] = { cmd_ehlo, V_LAST | V_IDLE },
	[VERB_STARTTLS] = { cmd_starttls, 0 },
	[VERB_AUTH] = { cmd_auth, V_LAST | V_GREETED | V_TLS },
	[VERB_MAIL] = { cmd_mail, V_GREETED | V_TLS },
	[VERB_RCPT] = { cmd_rcpt, V_GREETED | V_TLS },
	[VERB_DATA] = { cmd_data, V_GREETED | V_TLS },
	[VERB_RSET] = { cmd_rset, V_IDLE },
	[VERB_NOOP] = { cmd_noop, V_IDLE },
	[VERB_QUIT] = { cmd_quit, 0 },
	[VERB_VRFY] = { cmd_vrfy, V_IDLE | V_TLS },
	[VERB_EXPN] = { cmd_vrfy, V_IDLE | V_TLS },
	[VERB_HELP] = { cmd_help, V_IDLE },
};

/* A browser that was lured to an SMTP port says this: the session ends before the browser's text
 * goes on in SMTP. */
static bool
is_http(const char *line, size_t length)
{
	static const char *const methods[] = { "GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ",
		"CONNECT " };

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (length >= strlen(methods[i]) &&
			strncasecmp(line, methods[i], strlen(methods[i])) == 0)
			return true;
	return false;
}

static bool
allowed(struct session *session, unsigned flags, const char *verb)
{
	const struct listen_config *listen = session->listener->config;

	if ((flags & V_LAST) && !session_alone(session, verb))
		return false;
	else if ((flags & V_TLS) && listen->tls_required && !session->tls[0])
		refuse(session, REFUSE_TLS, "530 5.7.0 Must issue a STARTTLS command first");
	else if ((flags & V_GREETED) && !session->greeted)
		refuse(session, REFUSE_ORDER, "503 5.5.1 Say EHLO or HELO first");
	else if ((flags & V_IDLE) && ++session->idle_commands > IDLE_COMMANDS_MAX)
		refuse_end(session, REFUSE_RATE, "421 4.7.0 Too many commands without a message");
	else
		return !(flags & V_IDLE) || session_may_try(session);
	return false;
}

static void
run_command(struct session *session, const char *line, size_t length)
{
	static const char *const names[] = { [VERB_HELO] = "HELO",
		[VERB_EHLO] = "EHLO",
		[VERB_AUTH] = "AUTH",
		[VERB_COUNT] = NULL };
	struct command command;

	command_parse(line, length, &command);
	session->verb = command.verb;
	session->said = command.args;
	session->said_length = command.args_length;
	if (command.verb == VERB_UNKNOWN && is_http(line, length)) {
		refuse_end(session, REFUSE_SYNTAX, "554 5.5.0 This is a mail server");
		return;
	}
	if (allowed(session, verbs[command.verb].flags, names[command.verb]))
		verbs[command.verb].run(session, &command);
}

static bool
has_controls(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return true;
	return false;
}

static void
run_line(struct session *session, const char *line, size_t length)
{
	session->busy = true;
	session->in_message = false;
	if (session->skip_line || length > COMMAND_LINE_MAX) {
		session->skip_line = false;
		session->state = ST_COMMAND;
		refuse(session, REFUSE_SYNTAX, "500 5.5.2 Line too long");
	} else if (has_controls(line, length)) {
		session->state = ST_COMMAND;
		refuse(session, REFUSE_SYNTAX, "500 5.5.2 Control characters in a command");
	} else if (text_has_hidden_controls(line, length)) {
		session->state = ST_COMMAND;
		refuse(session, REFUSE_SYNTAX, "501 5.5.2 Invisible characters in a command");
	} else if (session->state == ST_LINE) {
		auth_line(session, line, length);
	} else {
		run_command(session, line, length);
	}
}

static void
say_line(struct session *session, const char *line, size_t length)
{
	if (!session->skip_line && length <= COMMAND_LINE_MAX)
		dialogue_client(&session->record.dialogue, line, length, session->state == ST_LINE);
	run_line(session, line, length);
	session->said = NULL; /* it pointed into the line */
}

const struct session_verbs smtp_verbs = {
	.line = say_line,
	.data = data_input,
	.auth_name = auth_name,
	.auth_free = auth_free,
};
