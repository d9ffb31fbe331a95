/*
 * client_envelope.c - MAIL and RCPT as the host takes them, and whether it takes them at all.
 *
 * client_mail -> [client_envelope]
 *
 * Parameters that the host does not offer are left out, or written in another form (RFC 6531, RFC
 * 6533).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "sender/smtp/client_private.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

#define ORCPT_MAX 500 /* RFC 3461 4.2 */

uint64_t
client_message_size(const struct transaction *transaction)
{
	return transaction->envelope->prefix.len + transaction->envelope->size;
}

static bool
is_ascii(const char *text)
{
	return text_is_ascii(text, strlen(text));
}

/*
 * Whether the mail needs SMTPUTF8 whatever form is chosen (RFC 6531 3.2): for an address in the
 * envelope or, when the client asked for SMTPUTF8, for one in the header. Other 8-bit in a header
 * is sent as it came, as is the mail of clients that did not ask: hosts have always taken both, and
 * a bounce would lose mail.
 */
static bool
needs_smtputf8(const struct transaction *transaction, const char *recipient)
{
	const Envelope *envelope = transaction->envelope;
	char ascii[ADDRESS_ASCII_MAX];

	return (envelope->smtputf8 && envelope->header_utf8) ||
		!address_to_ascii(envelope->mail_from, ascii) ||
		!address_to_ascii(recipient, ascii);
}

bool
client_may_have(const struct client *client, size_t i)
{
	const struct transaction *transaction = client->transaction;

	return (client->offers & OFFER_SMTPUTF8) ||
		!needs_smtputf8(transaction, transaction->recipients[i]->address);
}

/* Writes the address in ASCII for a host that does not know SMTPUTF8. */
static void
add_path(struct client *client, const char *command, const char *address)
{
	char ascii[ADDRESS_ASCII_MAX];

	if (!(client->offers & OFFER_SMTPUTF8) && address_to_ascii(address, ascii))
		address = ascii;
	evbuffer_add_printf(client->conn.out, "%s:<%s>", command, address);
}

/* RFC 6531 3.4: said whenever the mail has an address that is not ASCII, or the client asked for
 * SMTPUTF8. */
static bool
wants_smtputf8(const struct transaction *transaction)
{
	const Envelope *envelope = transaction->envelope;

	if (envelope->smtputf8 || envelope->header_utf8 || !is_ascii(envelope->mail_from))
		return true;
	for (size_t i = 0; i < transaction->count; i++)
		if (!is_ascii(transaction->recipients[i]->address))
			return true;
	return false;
}

void
client_add_mail(struct client *client)
{
	const Envelope *envelope = client->transaction->envelope;
	struct evbuffer *out = client->conn.out;

	add_path(client, "MAIL FROM", envelope->mail_from);
	if (client->offers & OFFER_SIZE)
		evbuffer_add_printf(out, " SIZE=%llu",
			(unsigned long long)client_message_size(client->transaction));
	if ((client->offers & OFFER_8BITMIME) && envelope->mime_8bit)
		evbuffer_add_printf(out, " BODY=8BITMIME");
	if ((client->offers & OFFER_SMTPUTF8) && wants_smtputf8(client->transaction))
		evbuffer_add_printf(out, " SMTPUTF8");
	if ((client->offers & OFFER_DSN) && envelope->ret[0])
		evbuffer_add_printf(out, " RET=%s", envelope->ret);
	if ((client->offers & OFFER_DSN) && envelope->envid[0] && is_ascii(envelope->envid))
		evbuffer_add_printf(out, " ENVID=%s", envelope->envid);
	evbuffer_add(out, "\r\n", 2);
}

static void
add_notify(struct evbuffer *out, unsigned notify)
{
	if (notify & NOTIFY_NEVER) {
		evbuffer_add_printf(out, " NOTIFY=NEVER");
		return;
	}
	evbuffer_add_printf(out, " NOTIFY=%s%s%s%s%s", notify & NOTIFY_SUCCESS ? "SUCCESS" : "",
		(notify & NOTIFY_SUCCESS) && (notify & (NOTIFY_FAILURE | NOTIFY_DELAY)) ? "," : "",
		notify & NOTIFY_FAILURE ? "FAILURE" : "",
		(notify & NOTIFY_FAILURE) && (notify & NOTIFY_DELAY) ? "," : "",
		notify & NOTIFY_DELAY ? "DELAY" : "");
}

/* An address of type utf-8 has an ASCII form (RFC 6533 3), which every host takes. */
static void
add_orcpt(struct evbuffer *out, const char *orcpt)
{
	char text[ORCPT_MAX + 1];
	bool whole = address_to_xtext(orcpt, true, text, sizeof text);

	if (is_ascii(orcpt) || (whole && strncasecmp(orcpt, "utf-8;", 6) == 0))
		evbuffer_add_printf(out, " ORCPT=%s", is_ascii(orcpt) ? orcpt : text);
}

void
client_add_rcpt(struct client *client, size_t i)
{
	const Recipient *recipient = client->transaction->recipients[i];
	struct evbuffer *out = client->conn.out;

	add_path(client, "RCPT TO", recipient->address);
	if ((client->offers & OFFER_DSN) && recipient->notify)
		add_notify(out, recipient->notify);
	if ((client->offers & OFFER_DSN) && recipient->orcpt[0])
		add_orcpt(out, recipient->orcpt);
	evbuffer_add(out, "\r\n", 2);
}
