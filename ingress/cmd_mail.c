/*
 * cmd_mail.c - MAIL FROM (RFC 5321 4.1.1.2): who sends, and whether the account may say so.
 */
#include "ingress/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "ingress/authorize.h"
#include "shared/address.h"

static bool
is_text(const struct parameter *p, const char *text)
{
	return p->value && p->value_length == strlen(text) &&
		strncasecmp(p->value, text, p->value_length) == 0;
}

static bool
read_size(const struct parameter *p, uint64_t *out)
{
	uint64_t size = 0;

	if (!p->value || p->value_length == 0 || p->value_length > 20)
		return false;
	for (size_t i = 0; i < p->value_length; i++) {
		if (p->value[i] < '0' || p->value[i] > '9')
			return false;
		if (size > (UINT64_MAX - 9) / 10)
			size = (UINT64_MAX - 9) / 10;
		size = size * 10 + (uint64_t)(p->value[i] - '0');
	}
	*out = size;
	return true;
}

static bool
read_body(const struct parameter *p, Envelope *envelope)
{
	envelope->body_8bit = is_text(p, "8BITMIME");
	return envelope->body_8bit || is_text(p, "7BIT");
}

static bool
read_ret(const struct parameter *p, Envelope *envelope)
{
	if (!is_text(p, "FULL") && !is_text(p, "HDRS"))
		return false;
	envelope->ret = is_text(p, "FULL") ? (char *)"FULL" : (char *)"HDRS";
	return true;
}

static bool
read_envid(const struct parameter *p, struct transaction *mail)
{
	char decoded[101];

	if (!p->value || p->value_length == 0 || p->value_length > 100 ||
		xtext_decode(p->value, p->value_length, decoded) < 0)
		return false;
	mail->envelope.envid = (char *)transaction_text(mail, p->value, p->value_length);
	return true;
}

/* 1 known and good, 0 unknown, -1 known and bad. */
static int
read_parameter(struct transaction *mail, const struct parameter *p)
{
	if (parameter_is(p, "SIZE"))
		return read_size(p, &mail->announced) ? 1 : -1;
	if (parameter_is(p, "BODY"))
		return read_body(p, &mail->envelope) ? 1 : -1;
	if (parameter_is(p, "RET"))
		return read_ret(p, &mail->envelope) ? 1 : -1;
	if (parameter_is(p, "ENVID"))
		return read_envid(p, mail) ? 1 : -1;
	if (parameter_is(p, "SMTPUTF8") && !p->value)
		return (mail->envelope.smtputf8 = true) ? 1 : -1;
	/* RFC 4954 5: what it names is nothing to us. */
	return parameter_is(p, "AUTH") ? 1 : 0;
}

/* false after refusing. */
static bool
read_parameters(struct session *session, const char *text, size_t length)
{
	struct parameter p;
	int more, known = 1;

	while ((more = parameter_next(&text, &length, &p)) == 1) {
		known = read_parameter(session->mail, &p);
		if (known != 1)
			break;
	}
	if (more < 0 || known < 0)
		refuse(session, REFUSE_SYNTAX, "501 5.5.4 Bad parameter of MAIL");
	else if (known == 0)
		refuse(session, REFUSE_SYNTAX, "555 5.5.4 Unknown parameter of MAIL");
	else
		return true;
	return false;
}

static void
nobody(struct session *session)
{
	if (session->known == KNOWN_UNSURE)
		refuse(session, REFUSE_UNAVAILABLE,
			"451 4.3.0 Cannot tell who you are, try again soon");
	else
		refuse(session, REFUSE_AUTH, "530 5.7.0 Authentication required");
}

/* The account is known, or surely not. */
static void
mail_identified(struct session *session)
{
	const struct ingress *ingress = session->worker->ingress;
	const struct account *account = session->account;
	struct transaction *mail = session->mail;

	if (!account)
		nobody(session);
	else if (!account->active)
		refuse(session, REFUSE_SUSPENDED, "550 5.7.1 This account is suspended, see %s",
			ingress->config->ingress.help_url);
	else if (!authorize_sender(account, mail->envelope.mail_from))
		refuse(session, REFUSE_ORIGINATOR,
			"550 5.7.1 <%s> is not yours to send from, see %s",
			mail->envelope.mail_from, ingress->config->ingress.help_url);
	else if (mail->announced > ingress->config->ingress.message_size_limit)
		refuse(session, REFUSE_SIZE, "552 5.3.4 Larger than %" PRIu64 " bytes",
			ingress->config->ingress.message_size_limit);
	else if (queue_space(ingress->queue) < 0)
		refuse(session, REFUSE_SPACE, "452 4.3.1 No space for mail, try again later");
	else {
		mail->account = account_ref(session->account);
		mail->open = true;
		reply(session, "250 2.1.0 Ok");
	}
}

void
cmd_mail(struct session *session, const struct command *command)
{
	struct address address;
	struct transaction *mail;
	long taken;

	if (!session->mail)
		session->mail = transaction_new(session);
	mail = session->mail;
	if (mail->open) {
		refuse(session, REFUSE_ORDER, "503 5.5.1 One MAIL at a time");
		return;
	}
	transaction_reset(mail);
	taken = command->args ? address_parse_path(command->args, command->args_length, &address)
			      : -EINVAL;
	if (taken < 0) {
		refuse(session, REFUSE_SYNTAX, "501 5.1.7 Say MAIL FROM:<address>");
		return;
	}
	mail->envelope.mail_from = (char *)transaction_text(mail, address.text, address.length);
	if (!read_parameters(session, command->args + taken, command->args_length - (size_t)taken))
		return;
	if (address.length > 0 && address.utf8 && !mail->envelope.smtputf8)
		refuse(session, REFUSE_SYNTAX, "553 5.6.7 This address needs SMTPUTF8");
	else
		session_identify(session, mail_identified);
}
