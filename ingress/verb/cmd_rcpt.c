/*
 * cmd_rcpt.c - RCPT TO (RFC 5321 4.1.1.3) with its DSN parameters (RFC 3461 4).
 */
#include "ingress/verb/verb.h"

#include <errno.h>
#include <string.h>

#include "shared/mail/address.h"

/* A client may well try a few recipients too many and send to them later. A client that goes on
 * and on is cut off. */
static void
too_many(struct session *session)
{
	unsigned max = session->worker->ingress->config->ingress.recipients_max;

	if (++session->mail->refused_recipients > max)
		refuse_end(session, REFUSE_RECIPIENTS, "421 4.5.3 Far too many recipients");
	else
		refuse(session, REFUSE_RECIPIENTS,
			"452 4.5.3 At most %u recipients, send the others in another message", max);
}

static bool
acceptable(struct session *session, const struct address *address)
{
	if (address->length == 0)
		refuse(session, REFUSE_SYNTAX, "501 5.1.3 Say RCPT TO:<address>");
	else if (!address->domain)
		refuse(session, REFUSE_RECIPIENT, "550 5.1.3 The recipient needs a domain");
	else if (address->utf8 && !session->mail->envelope.smtputf8)
		refuse(session, REFUSE_SYNTAX, "553 5.6.7 This address needs SMTPUTF8");
	else
		return true;
	return false;
}

/* The length of the command's path, or -EINVAL. Postmaster without a domain is our postmaster (RFC
 * 5321 4.5.1). */
static long
read_path(const struct session *session, const struct command *command, struct address *out)
{
	const char *ours = session->worker->ingress->config->ingress.postmaster;
	char mailbox[ADDRESS_CANONICAL_MAX];
	long taken = command->args ? address_parse_path(command->args, command->args_length, out)
				   : -EINVAL;

	if (taken < 0 || out->length == 0 || out->domain)
		return taken;
	address_canonical(out, mailbox);
	if (strcmp(mailbox, ADDRESS_POSTMASTER) == 0 && address_parse(ours, strlen(ours), out) < 0)
		return -EINVAL;
	return taken;
}

/* The notices that either RCPT asks for. 0: neither has NOTIFY (RFC 3461 4.1). */
static unsigned
notify_both(unsigned a, unsigned b)
{
	unsigned both = (a ? a : NOTIFY_FAILURE | NOTIFY_DELAY) |
		(b ? b : NOTIFY_FAILURE | NOTIFY_DELAY);

	if (a == b)
		return a;
	return both == NOTIFY_NEVER ? both : both & ~(unsigned)NOTIFY_NEVER;
}

/* A mailbox that is named several times is one recipient, as it was written first. */
static void
add_recipient(struct transaction *mail, Recipient *known, const struct address *address,
	const char *mailbox, const struct rcpt_parameters *given)
{
	Recipient *recipient = known;

	if (!known) {
		recipient = transaction_add_recipient(mail, mailbox);
		recipient->address = (char *)transaction_text(mail, address->text, address->length);
	}
	recipient->notify = known ? notify_both(known->notify, given->notify) : given->notify;
	if (given->orcpt.text && !*recipient->orcpt)
		recipient->orcpt = (char *)transaction_text(
			mail, given->orcpt.text, given->orcpt.length);
}

void
cmd_rcpt(struct session *session, const struct command *command)
{
	struct transaction *mail = session->mail;
	char mailbox[ADDRESS_CANONICAL_MAX];
	struct rcpt_parameters given;
	struct parameter bad;
	struct address address;
	Recipient *known;
	long taken;
	int err;

	if (!mail || !mail->open) {
		refuse(session, REFUSE_ORDER, "503 5.5.1 Say MAIL first");
		return;
	}
	taken = read_path(session, command, &address);
	if (taken < 0) {
		refuse(session, REFUSE_SYNTAX, "501 5.1.3 Say RCPT TO:<address>");
		return;
	}
	if (!acceptable(session, &address))
		return;
	err = rcpt_parameters_read(
		command->args + taken, command->args_length - (size_t)taken, &given, &bad);
	if (err) {
		refuse_parameter(session, err, "RCPT", &bad);
		return;
	}
	address_canonical(&address, mailbox);
	known = transaction_find_recipient(mail, mailbox);
	if (!known &&
		mail->envelope.n_recipients >=
			session->worker->ingress->config->ingress.recipients_max) {
		too_many(session);
		return;
	}
	add_recipient(mail, known, &address, mailbox, &given);
	reply(session, "250 2.1.5 Ok");
}
