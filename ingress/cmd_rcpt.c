/*
 * cmd_rcpt.c - RCPT TO (RFC 5321 4.1.1.3) with its DSN parameters (RFC 3461 4).
 */
#include "ingress/session_private.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "shared/address.h"

#define ORCPT_MAX 500 /* RFC 3461 4.2 */

static const struct {
	const char *name;
	unsigned bit;
} notify_names[] = {
	{"NEVER",    NOTIFY_NEVER  },
	{ "SUCCESS", NOTIFY_SUCCESS},
	{ "FAILURE", NOTIFY_FAILURE},
	{ "DELAY",   NOTIFY_DELAY  },
};

static unsigned
notify_bit(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof notify_names / sizeof *notify_names; i++)
		if (strlen(notify_names[i].name) == length &&
			strncasecmp(notify_names[i].name, name, length) == 0)
			return notify_names[i].bit;
	return 0;
}

static bool
read_notify(const struct parameter *p, unsigned *out)
{
	const char *at = p->value, *end = at ? at + p->value_length : NULL;

	for (*out = 0; at; at = at < end ? at + 1 : NULL) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t length = (size_t)((comma ? comma : end) - at);
		unsigned bit = notify_bit(at, length);

		if (!bit)
			return false;
		*out |= bit;
		at += length;
	}
	return *out && (!(*out & NOTIFY_NEVER) || *out == NOTIFY_NEVER);
}

static bool
read_orcpt(const struct parameter *p, struct transaction *mail, const char **out)
{
	char decoded[ORCPT_MAX + 1];
	const char *semicolon = p->value ? memchr(p->value, ';', p->value_length) : NULL;

	if (!semicolon || semicolon == p->value || p->value_length > ORCPT_MAX ||
		xtext_decode(semicolon + 1, p->value_length - (size_t)(semicolon + 1 - p->value),
			decoded) < 0)
		return false;
	*out = transaction_text(mail, p->value, p->value_length);
	return true;
}

struct options {
	unsigned notify;
	const char *orcpt;
};

/* false after refusing. */
static bool
read_parameters(struct session *session, const char *text, size_t length, struct options *out)
{
	struct parameter p;
	bool known = true, good = true;
	int more;

	while (known && good && (more = parameter_next(&text, &length, &p)) != 0) {
		if (more < 0)
			good = false;
		else if (parameter_is(&p, "NOTIFY"))
			good = read_notify(&p, &out->notify);
		else if (parameter_is(&p, "ORCPT"))
			good = read_orcpt(&p, session->mail, &out->orcpt);
		else
			known = false;
	}
	if (!good)
		refuse(session, REFUSE_SYNTAX, "501 5.5.4 Bad parameter of RCPT");
	else if (!known)
		refuse(session, REFUSE_SYNTAX, "555 5.5.4 Unknown parameter of RCPT");
	return good && known;
}

static bool
is_known(const Envelope *envelope, const struct address *address)
{
	for (size_t i = 0; i < envelope->n_recipients; i++) {
		const char *text = envelope->recipients[i]->address;

		if (strncmp(text, address->text, address->length) == 0 &&
			text[address->length] == '\0')
			return true;
	}
	return false;
}

/* A client may well try a few too many and send the rest later; one that goes on and on may not. */
static void
too_many(struct session *session)
{
	unsigned max = session->worker->ingress->config->ingress.recipients_max;

	if (++session->mail->refused_recipients > max)
		session_end(session, "421 4.5.3 Far too many recipients");
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

void
cmd_rcpt(struct session *session, const struct command *command)
{
	struct transaction *mail = session->mail;
	struct options options = { 0 };
	struct address address;
	Recipient *recipient;
	long taken;

	if (!mail || !mail->open) {
		refuse(session, REFUSE_ORDER, "503 5.5.1 Say MAIL first");
		return;
	}
	taken = command->args ? address_parse_path(command->args, command->args_length, &address)
			      : -EINVAL;
	if (taken < 0) {
		refuse(session, REFUSE_SYNTAX, "501 5.1.3 Say RCPT TO:<address>");
		return;
	}
	if (!acceptable(session, &address) ||
		!read_parameters(session, command->args + taken,
			command->args_length - (size_t)taken, &options))
		return;
	if (mail->envelope.n_recipients >=
		session->worker->ingress->config->ingress.recipients_max) {
		too_many(session);
		return;
	}
	if (!is_known(&mail->envelope, &address)) {
		recipient = transaction_add_recipient(mail);
		recipient->address = (char *)transaction_text(mail, address.text, address.length);
		recipient->notify = options.notify;
		if (options.orcpt)
			recipient->orcpt = (char *)options.orcpt;
	}
	reply(session, "250 2.1.5 Ok");
}
