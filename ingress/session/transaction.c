/*
 * transaction.c - one mail transaction, from MAIL to the answer of the queue.
 *
 * A session keeps its transaction from message to message. When the session goes while the queue
 * works on the message, the transaction stays behind, and on_queued() in accept.c frees it.
 */
#include "ingress/session/session_private.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define SLOWEST_BYTES_PER_S 500 /* over the whole message, beside one timeout */

struct transaction *
transaction_new(struct session *session)
{
	struct transaction *mail = xcalloc(1, sizeof *mail);

	mail->session = session->id;
	mail->worker = session->worker;
	envelope__init(&mail->envelope);
	draft_init(&mail->draft);
	return mail;
}

void
transaction_reset(struct transaction *mail)
{
	Recipient **recipients = mail->envelope.recipients;

	if (mail->taken)
		limits_give_back(mail->worker->limits, mail->account, &mail->user,
			(unsigned)mail->envelope.n_recipients);
	mail->taken = mail->open = mail->queued = mail->too_big = mail->sandbox = false;
	mail->user = (struct limits_user){ 0 };
	account_unref(mail->account);
	mail->account = NULL;
	mail->refused_recipients = 0;
	mail->announced = mail->received = 0;
	mail->judged = 0;
	draft_discard(&mail->draft);
	arena_reset(&mail->arena);
	envelope__init(&mail->envelope);
	mail->envelope.recipients = recipients;
}

void
transaction_leave(struct transaction **mail_ref)
{
	struct transaction *mail = *mail_ref;

	*mail_ref = NULL;
	if (!mail)
		return;
	mail->session = 0;
	if (mail->queued)
		return;
	transaction_reset(mail);
	draft_free(&mail->draft);
	arena_free(&mail->arena);
	free(mail->envelope.recipients);
	free(mail->mailboxes);
	free(mail);
}

const char *
transaction_text(struct transaction *mail, const char *text, size_t length)
{
	return arena_text(&mail->arena, text, length);
}

Recipient *
transaction_find_recipient(const struct transaction *mail, const char *mailbox)
{
	for (size_t i = 0; i < mail->envelope.n_recipients; i++)
		if (strcmp(mail->mailboxes[i], mailbox) == 0)
			return mail->envelope.recipients[i];
	return NULL;
}

Recipient *
transaction_add_recipient(struct transaction *mail, const char *mailbox)
{
	Envelope *envelope = &mail->envelope;
	Recipient *recipient = arena_get(&mail->arena, sizeof *recipient);

	if (envelope->n_recipients == mail->recipients_space) {
		mail->recipients_space = mail->recipients_space ? mail->recipients_space * 2 : 8;
		envelope->recipients = xrealloc(
			envelope->recipients, mail->recipients_space * sizeof(Recipient *));
		mail->mailboxes = xrealloc(
			mail->mailboxes, mail->recipients_space * sizeof *mail->mailboxes);
	}
	recipient__init(recipient);
	mail->mailboxes[envelope->n_recipients] = transaction_text(mail, mailbox, strlen(mailbox));
	envelope->recipients[envelope->n_recipients++] = recipient;
	return recipient;
}

uint64_t
transaction_time_left(const struct transaction *mail, uint64_t timeout)
{
	uint64_t now = clock_mono_ms();
	uint64_t end = mail->started_ms + timeout + mail->received * 1000 / SLOWEST_BYTES_PER_S;

	if (end <= now)
		return 0;
	return end - now < timeout ? end - now : timeout;
}
