/*
 * refuse.c - a refusal: counted by its reason, told by an event, answered.
 *
 * ingress:  cmd_*.c, accept, admit, session -> [refuse] -> tally, session
 *
 * The event names the sender and recipients that the command was about, so it is made before the
 * transaction is forgotten.
 */
#include "ingress/session/session_private.h"
#include "shared/base/timer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/mail/address.h"
#include "shared/metrics/metrics.h"

#define KEY_SHOWN 40
#define NEWS_MS 1000

/* ---- what it was about ---- */

static const char *
command_name(const struct session *session)
{
	static const char *const names[VERB_COUNT] = { [VERB_UNKNOWN] = "?",
		[VERB_HELO] = "HELO",
		[VERB_EHLO] = "EHLO",
		[VERB_STARTTLS] = "STARTTLS",
		[VERB_AUTH] = "AUTH",
		[VERB_MAIL] = "MAIL",
		[VERB_RCPT] = "RCPT",
		[VERB_DATA] = "DATA",
		[VERB_RSET] = "RSET",
		[VERB_NOOP] = "NOOP",
		[VERB_QUIT] = "QUIT",
		[VERB_VRFY] = "VRFY",
		[VERB_EXPN] = "EXPN",
		[VERB_HELP] = "HELP" };

	if (!session->started)
		return "connect";
	return session->in_message ? "end of data" : names[session->verb];
}

/* The mailbox of a refused MAIL or RCPT, or the text in its place. */
static void
said_address(const char *args, size_t length, char out[ADDRESS_MAX + 1])
{
	struct address address;
	const char *open = memchr(args, '<', length), *close;

	if (address_parse_path(args, length, &address) >= 0) {
		args = address.text;
		length = address.length;
	} else if (open) {
		length -= (size_t)(open + 1 - args);
		args = open + 1;
		close = memchr(args, '>', length);
		length = close ? (size_t)(close - args) : length;
	}
	length = length < ADDRESS_MAX ? length : ADDRESS_MAX;
	if (length > 0)
		memcpy(out, args, length);
	out[length] = '\0';
}

/* Copies addresses one behind the other, as far as there is room, and an empty one last. */
static void
list_recipients(const Envelope *envelope, char out[TALLY_TO_SIZE])
{
	size_t at = 0, size;

	for (size_t i = 0; i < envelope->n_recipients; i++) {
		size = strlen(envelope->recipients[i]->address) + 1;
		if (at + size >= TALLY_TO_SIZE)
			break;
		memcpy(out + at, envelope->recipients[i]->address, size);
		at += size;
	}
	out[at] = '\0';
}

static void
name_mail(const struct session *session, struct tally_case *told, char from[ADDRESS_MAX + 1],
	char to[TALLY_TO_SIZE])
{
	const struct transaction *mail = session->mail;
	const bool said = session->said && !session->in_message;

	if (mail && (mail->open || session->verb == VERB_MAIL || *mail->envelope.mail_from))
		told->from = mail->envelope.mail_from;
	if (mail && mail->envelope.n_recipients > 0) {
		list_recipients(&mail->envelope, to);
		told->to = to;
		told->recipients = (unsigned)mail->envelope.n_recipients;
	}
	if (said && session->verb == VERB_MAIL) {
		said_address(session->said, session->said_length, from);
		told->from = from;
	} else if (said && session->verb == VERB_RCPT) {
		memset(to, 0, ADDRESS_MAX + 2);
		said_address(session->said, session->said_length, to);
		told->to = to;
		told->recipients = 1;
	}
}

void
worker_tell(struct worker *worker, const struct tally_case *told)
{
	if (tally_add(worker->tally, told) && !timer_is_set(&worker->news))
		timer_set(&worker->news, NEWS_MS);
}

void
session_tell(
	const struct session *session, enum tally_kind kind, const char *reason, const char *reply)
{
	const struct account *account = session->account;
	const char *tried = session->worker->ingress->verbs->auth_name(session);
	char from[ADDRESS_MAX + 1], to[TALLY_TO_SIZE];
	struct tally_case told = { .kind = kind,
		.client = session->client_text,
		.account = account ? account->id : NULL,
		.username = tried ? tried : session->credential,
		.helo = session->helo,
		.command = command_name(session),
		.reason = reason,
		.reply = reply };

	name_mail(session, &told, from, to);
	worker_tell(session->worker, &told);
}

/* ---- the refusal itself ---- */

/* Formats the reply, counts the refusal and tells of it. */
__attribute__((format(printf, 4, 0))) static void
state(struct session *session, enum refusal why, char text[REPLY_MAX], const char *format,
	va_list args)
{
	vsnprintf(text, REPLY_MAX, format, args);
	record_refusal(session, command_name(session), text);
	metric_add(stats.refused[why], 1);
	session_tell(session, TALLY_REJECTED, refusal_name(why), text);
}

static void
answer(struct session *session, enum refusal why, const char *text)
{
	static const char too_many[] = "421 4.7.0 Too many errors";

	session->worker->ingress->verbs->auth_free(session);
	if (refusal_is_fault(why) &&
		++session->errors > session->worker->ingress->config->ingress.errors_max) {
		session_tell(session, TALLY_REJECTED, "errors", too_many);
		session_end(session, "%s\r\n%s", text, too_many);
		return;
	}
	if (!refusal_is_fault(why) || session_may_try(session))
		reply(session, "%s", text);
}

void
refuse(struct session *session, enum refusal why, const char *format, ...)
{
	char text[REPLY_MAX];
	va_list args;

	va_start(args, format);
	state(session, why, text, format, args);
	va_end(args);
	answer(session, why, text);
}

void
refuse_message(struct session *session, enum refusal why, const char *format, ...)
{
	char text[REPLY_MAX];
	va_list args;

	va_start(args, format);
	state(session, why, text, format, args);
	va_end(args);
	transaction_reset(session->mail);
	answer(session, why, text);
}

void
refuse_login(struct session *session, const char *reason, const char *text)
{
	metric_add(stats.auth_failed, 1);
	metric_add(stats.refused[REFUSE_AUTH], 1);
	record_refusal(session, command_name(session), text);
	session_tell(session, TALLY_AUTH_FAILED, reason, text);
	answer(session, REFUSE_AUTH, text);
}

void
refuse_end(struct session *session, enum refusal why, const char *format, ...)
{
	char text[REPLY_MAX];
	va_list args;

	va_start(args, format);
	state(session, why, text, format, args);
	va_end(args);
	session_end(session, "%s", text);
}

void
refuse_parameter(struct session *session, int err, const char *verb, const struct parameter *bad)
{
	int length = bad->key_length < KEY_SHOWN ? (int)bad->key_length : KEY_SHOWN;

	refuse(session, REFUSE_SYNTAX, "%s parameter of %s%s%.*s",
		err == -ENOTSUP ? "555 5.5.4 Unknown" : "501 5.5.4 Bad or repeated", verb,
		length ? ": " : "", length, length ? bad->key : "");
}
