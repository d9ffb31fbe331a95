/*
 * cmd_mail.c - MAIL FROM (RFC 5321 4.1.1.2): who sends, and whether the account may say so.
 */
#include "ingress/verb/verb.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ingress/message/authorize.h"
#include "shared/mail/address.h"

static void
nobody(struct session *session)
{
	if (session->known == KNOWN_UNSURE)
		refuse(session, REFUSE_UNAVAILABLE,
			"451 4.3.0 Cannot tell who you are, try again soon");
	else
		refuse(session, REFUSE_AUTH, "530 5.7.0 Authentication required");
}

/* The account has switched to the other mode, and its time of grace is over. */
static void
old_mode(struct session *session)
{
	const char *url = session->worker->ingress->config->ingress.help_url;

	if (session->mail->mode == ACCESS_IP)
		refuse(session, REFUSE_AUTH,
			"530 5.7.0 Authentication required: your account uses credentials now, "
			"see %s",
			url);
	else
		refuse(session, REFUSE_AUTH,
			"550 5.7.1 Your account sends from its addresses now, without a login, "
			"see %s",
			url);
}

/* What the username may do holds for the whole transaction. */
static void
take_grant(struct transaction *mail, const char *username, const struct credential *grant)
{
	mail->sandbox = grant->sandbox;
	if (grant->messages_hour || grant->messages_day)
		mail->user = (struct limits_user){
			.name = transaction_text(mail, username, strlen(username)),
			.messages_hour = grant->messages_hour,
			.messages_day = grant->messages_day,
		};
}

/* The account is known, or the client surely has none. */
static void
mail_identified(struct session *session)
{
	const struct ingress *ingress = session->worker->ingress;
	const struct account *account = session->account;
	struct transaction *mail = session->mail;

	mail->mode = session->credential ? ACCESS_CREDENTIALS : ACCESS_IP;
	if (!account)
		nobody(session);
	else if ((!account->active || account->off == mail->mode ||
			 !authorize_sender(account, mail->envelope.mail_from)) &&
		!account_store_sure(session->worker->accounts))
		refuse(session, REFUSE_UNAVAILABLE,
			"451 4.3.0 Cannot check your account now, try again soon");
	else if (!account->active)
		refuse(session, REFUSE_SUSPENDED, "550 5.7.1 This account is %s, see %s",
			account->pending ? "not active yet: verify a domain" : "suspended",
			ingress->config->ingress.help_url);
	else if (account->off == mail->mode)
		old_mode(session);
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
		session_known(session);
		mail->account = account_ref(session->account);
		if (session->grant)
			take_grant(mail, session->credential, session->grant);
		mail->open = true;
		record_mail(session);
		reply(session, "250 2.1.0 Ok");
	}
}

static void
set_parameters(struct transaction *mail, const struct mail_parameters *given)
{
	Envelope *envelope = &mail->envelope;

	mail->announced = given->size;
	envelope->body_8bit = given->body_8bit;
	envelope->smtputf8 = given->smtputf8;
	envelope->ret = (char *)given->ret;
	if (given->envid.text)
		envelope->envid = (char *)transaction_text(
			mail, given->envid.text, given->envid.length);
}

void
cmd_mail(struct session *session, const struct command *command)
{
	struct mail_parameters given;
	struct parameter bad;
	struct address address;
	struct transaction *mail;
	long taken;
	int err;

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
	err = mail_parameters_read(
		command->args + taken, command->args_length - (size_t)taken, &given, &bad);
	if (err) {
		refuse_parameter(session, err, "MAIL", &bad);
		return;
	}
	if (address.length > 0 && address.utf8 && !given.smtputf8) {
		refuse(session, REFUSE_SYNTAX, "553 5.6.7 This address needs SMTPUTF8");
		return;
	}
	mail->envelope.mail_from = (char *)transaction_text(mail, address.text, address.length);
	set_parameters(mail, &given);
	session_identify(session, mail_identified);
}
