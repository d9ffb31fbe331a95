/*
 * dsn.c - the text of delivery status notifications.
 *
 * sender (end state, delay) -> [dsn] -> mail.ready
 *
 * A report has three parts (RFC 6522): one for a person, one for a program (RFC 3464, for UTF-8
 * addresses RFC 6533), and the header of the message or the whole message. Each part is labelled by
 * its content. Nobody knows yet which host will take the report, so the report is ASCII. Two
 * reports are not: one that returns a message whole, and one to a sender whose address needs
 * SMTPUTF8 anyway.
 *
 * Replies, addresses, ENVID and ORCPT were written by others. Each goes through put_words() or
 * put_field(), which clean it, so that none can begin a line of its own. The boundary has an id
 * that the author of the message could not know, and is checked not to be in the original.
 */
#include "sender/policy/dsn_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"
#include "shared/mail/mime.h"

#define COLUMNS 76
#define VALUE_MAX 900 /* leaves room for the field's name */

static const struct {
	unsigned notify;
	const char *name, *action, *status; /* `status` when the remote gave none of that class */
	const char *subject, *opening, *advice;
} kinds[] = {
	[DSN_FAILURE] = { NOTIFY_FAILURE, "failure", "failed", "5.0.0",
		"Your message could not be delivered",
		"A message of yours could not be delivered to the recipients below.",
		"What you can do: check the address for mistakes, and read the answer above:\r\n"
		"it comes from the recipient's mail server and says why it refused. If the\r\n"
		"address is right, tell the recipient in another way, who can ask whoever\r\n"
		"runs that server. We do not try again; you may send the message anew.\r\n" },
	[DSN_DELAY] = { NOTIFY_DELAY, "delay", "delayed", "4.0.0",
		"Your message is delayed (we keep trying)",
		"A message of yours has not been delivered yet to the recipients below.",
		"You need not do anything: we keep trying, and tell you if we have to give\r\n"
		"up. Please do not send the message again.\r\n" },
	[DSN_RELAYED] = { NOTIFY_SUCCESS, "relayed", "relayed", "2.0.0",
		"Your message was handed over",
		"A message of yours was taken by the mail server of the recipients below.",
		"You need not do anything. That server does not confirm deliveries, so that\r\n"
		"this is the last we can tell; if it fails to deliver, it tells you itself.\r\n" },
};

bool
dsn_wanted(const Envelope *about, const Recipient *recipient, enum dsn_kind kind)
{
	uint32_t notify = recipient->notify ? recipient->notify : NOTIFY_FAILURE | NOTIFY_DELAY;

	if (!*about->mail_from || about->kind != ENVELOPE__KIND__MAIL || (notify & NOTIFY_NEVER))
		return false;
	return notify & kinds[kind].notify;
}

static int
by_address(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
dsn_id(const struct dsn *dsn, uint8_t id[ID_SIZE])
{
	char **addresses = xcalloc(dsn->count + 1, sizeof *addresses);
	char *text = NULL;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);

	for (size_t i = 0; i < dsn->count; i++)
		addresses[i] = dsn->recipients[i].recipient->address;
	qsort(addresses, dsn->count, sizeof *addresses, by_address);
	fprintf(out, "dsn %s", kinds[dsn->kind].name);
	for (size_t i = 0; i < dsn->count; i++)
		fprintf(out, "\n%s", addresses[i]);
	xclose_memstream(out);
	id_derive(id, dsn->about->id.data, text, length);
	free(text);
	free(addresses);
}

static bool
is_ascii(const char *text)
{
	return text_is_ascii(text, strlen(text));
}

/* ---- text of others ---- */

static void
ascii_only(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (!((unsigned char)*from & 0x80))
			*to++ = *from;
		else if ((unsigned char)*from & 0x40)
			*to++ = '?';
	*to = '\0';
}

/* "Name: value" of a status part, on one line: an address keeps its blanks. */
static void
put_field(struct writer *writer, const char *name, const char *type, const char *value)
{
	char clean[VALUE_MAX + 1] = "";

	text_clean(clean, sizeof clean, 0, value, strlen(value));
	if (!writer->utf8)
		ascii_only(clean);
	fprintf(writer->out, "%s: %s%s\r\n", name, type, clean);
}

static void
put_date(struct writer *writer, const char *name, uint64_t us)
{
	char date[DATE_SIZE];

	date_format(us, date);
	fprintf(writer->out, "%s: %s\r\n", name, date);
}

/* Writes the words of a line, of which `column` columns are used, folded at blanks; the next lines
 * begin with `indent`. */
static void
put_words(
	struct writer *writer, size_t column, const char *indent, const char *text, bool keep_utf8)
{
	char clean[VALUE_MAX + 1] = "", *save = clean, *word;

	text_clean(clean, sizeof clean, 0, text, strlen(text));
	if (!keep_utf8)
		ascii_only(clean);
	while ((word = strsep(&save, " "))) {
		size_t length = strlen(word);

		if (!length)
			continue;
		if (column + 1 + length > COLUMNS) {
			fprintf(writer->out, "\r\n%s", indent);
			column = strlen(indent);
		} else {
			fputc(' ', writer->out);
			column++;
		}
		fputs(word, writer->out);
		column += length;
	}
	fputs("\r\n", writer->out);
}

static int
hex_digit(char c)
{
	return is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes xtext (RFC 3461 4). Text that is no xtext stays as it is. Cut to the room. */
static void
xtext_decode(const char *text, char *out, size_t size)
{
	size_t at = 0;

	while (*text && at < size - 1) {
		int high = *text == '+' ? hex_digit(text[1]) : -1;
		int low = high < 0 ? -1 : hex_digit(text[2]);

		if (low >= 0 && (high || low)) {
			out[at++] = (char)(high << 4 | low);
			text += 3;
		} else {
			out[at++] = *text++;
		}
	}
	out[at] = '\0';
}

/* ---- parts ---- */

void
dsn_part_begin(struct writer *writer)
{
	writer->out = xopen_memstream(&writer->part, &writer->part_length);
}

void
dsn_part_end(struct writer *writer, const char *type)
{
	const char *label = "Content-Transfer-Encoding: 8bit\r\n";

	xclose_memstream(writer->out);
	if (text_is_ascii(writer->part, writer->part_length))
		label = "";
	fprintf(writer->body, "--%s\r\nContent-Type: %s\r\n%s\r\n", writer->boundary, type, label);
	fwrite(writer->part, 1, writer->part_length, writer->body);
	free(writer->part);
}

void
dsn_part_end_text(struct writer *writer, const char *type)
{
	xclose_memstream(writer->out);
	fprintf(writer->body, "--%s\r\n", writer->boundary);
	mime_put_text(writer->body, type, writer->part, writer->part_length);
	free(writer->part);
}

/* ---- the first part: for a person ---- */

static void
put_quoted(struct writer *writer, const char *name, const char *text)
{
	if (!*text)
		return;
	fprintf(writer->out, "    %s:", name);
	put_words(writer, strlen(name) + 5, "        ", text, true);
}

static void
put_message(struct writer *writer)
{
	const Envelope *about = writer->dsn->about;
	char id[ID_TEXT_SIZE], date[DATE_SIZE];

	id_format(about->id.data, id);
	date_format(about->accepted_us, date);
	fputs("The message:\r\n\r\n", writer->out);
	put_quoted(writer, "Subject", about->subject);
	put_quoted(writer, "Message-ID", about->message_id);
	put_quoted(writer, "Received", date);
	put_quoted(writer, "Id here", id);
	if (writer->dsn->original_gone)
		fputs("\r\nThe message itself can no longer be read here and is not attached.\r\n",
			writer->out);
	fputs("\r\n", writer->out);
}

static bool
is_expired(const struct writer *writer, const struct outcome *outcome)
{
	return writer->dsn->kind == DSN_FAILURE && outcome->kind == OUTCOME_DEFER;
}

static void
put_ambiguous(struct writer *writer, uint32_t times)
{
	if (!times || writer->dsn->kind != DSN_FAILURE)
		return;
	fprintf(writer->out,
		"    It was sent in full %" PRIu32
		" time%s without an answer from the server, so that\r\n"
		"    IT MAY HAVE BEEN DELIVERED. Ask the recipient before you send it again.\r\n",
		times, times > 1 ? "s" : "");
}

/* What the reply means, in a sentence; and that it is for us to mend, where it is. */
static void
put_meaning(struct writer *writer, const struct outcome *outcome)
{
	if (!outcome->meant || outcome->meaning.class == MEANING_OTHER ||
		outcome->kind == OUTCOME_DELIVERED)
		return;
	put_quoted(writer, "That means", meaning_text(outcome->meaning.class));
	if (blame_is_ours(outcome->meaning.blame))
		fputs("    This is a problem of ours, and not of your message.\r\n", writer->out);
}

static void
put_told(struct writer *writer, const struct dsn_recipient *told)
{
	const struct outcome *outcome = told->outcome;
	const char *what = "The reason:";
	char clean[VALUE_MAX + 1] = "";

	text_clean(
		clean, sizeof clean, 0, told->recipient->address, strlen(told->recipient->address));
	fprintf(writer->out, "<%s>\r\n", clean);
	put_ambiguous(writer, told->recipient->ambiguous);
	if (is_expired(writer, outcome) && !outcome->ambiguous)
		fputs("    It could not be delivered in the time that we keep trying.\r\n",
			writer->out);
	put_quoted(writer, "The server", outcome->host);
	if (outcome->code && *outcome->host)
		what = "It answered:";
	if (*outcome->text) {
		fprintf(writer->out, "    %s", what);
		put_words(writer, strlen(what) + 4, "        ", outcome->text, true);
	}
	put_meaning(writer, outcome);
	if (writer->dsn->kind == DSN_DELAY && told->retry_until_us) {
		char date[DATE_SIZE];

		date_format(told->retry_until_us, date);
		fprintf(writer->out, "    We try again until %s.\r\n", date);
	}
	fputs("\r\n", writer->out);
}

static void
put_advice(struct writer *writer)
{
	fputs(kinds[writer->dsn->kind].advice, writer->out);
	fprintf(writer->out,
		"\r\nIf you think that the mistake is ours, write to\r\npostmaster@%s and name the "
		"Id given above.\r\n\r\n",
		writer->dsn->hostname);
}

static void
put_human(struct writer *writer)
{
	dsn_part_begin(writer);
	fprintf(writer->out, "This is the mail system at %s.\r\n\r\n%s\r\n\r\n",
		writer->dsn->hostname, kinds[writer->dsn->kind].opening);
	for (size_t i = 0; i < writer->dsn->count; i++)
		put_told(writer, writer->dsn->recipients + i);
	put_message(writer);
	put_advice(writer);
	dsn_part_end_text(writer, "text/plain");
}

/* ---- the second part: for a program ---- */

/* Status, whose class must agree with the action. */
static const char *
status(const struct writer *writer, const struct outcome *outcome)
{
	const char *code = outcome->enhanced;
	const char *ours = kinds[writer->dsn->kind].status;

	if (code[0] == ours[0] && code[1] == '.' && !code[strspn(code, "0123456789.")])
		return code;
	if (is_expired(writer, outcome)) /* RFC 3463 3.5 */
		return outcome->ambiguous ? "5.4.2" : "5.4.7";
	return ours;
}

/* RFC 6533 3: 8-bit only in a report that is sent with SMTPUTF8. */
static void
address_for_status(
	const struct writer *writer, const char *address, bool escaped, char *out, size_t size)
{
	if (writer->utf8)
		text_clean(out, size, 0, address, strlen(address));
	else
		address_to_xtext(address, escaped, out, size);
}

static void
put_final_recipient(struct writer *writer, const char *address)
{
	char text[VALUE_MAX] = "", ascii[ADDRESS_ASCII_MAX];

	if (is_ascii(address)) {
		put_field(writer, "Final-Recipient", "rfc822;", address);
	} else if (!writer->utf8 && address_to_ascii(address, ascii)) {
		put_field(writer, "Final-Recipient", "rfc822;", ascii);
	} else {
		address_for_status(writer, address, false, text, sizeof text);
		put_field(writer, "Final-Recipient", "utf-8;", text);
	}
}

static void
put_original_recipient(struct writer *writer, const char *orcpt)
{
	const char *semicolon = strchr(orcpt, ';');
	char type[64] = "", address[VALUE_MAX] = "";

	if (!semicolon || semicolon == orcpt || (size_t)(semicolon - orcpt) > sizeof type - 2)
		return;
	for (const char *c = orcpt; c < semicolon; c++)
		if (!is_alnum(*c) && *c != '-')
			return;
	memcpy(type, orcpt, (size_t)(semicolon - orcpt) + 1);
	/* RFC 6533 3: an address of this type has an escape of its own, which stays. */
	if (text_is(type, strlen(type) - 1, "utf-8"))
		address_for_status(writer, semicolon + 1, true, address, sizeof address);
	else
		xtext_decode(semicolon + 1, address, sizeof address);
	put_field(writer, "Original-Recipient", type, address);
}

/* "mx1.example[192.0.2.1]" is mx1.example; without a name it is the address in brackets. */
static void
put_remote(struct writer *writer, const char *host)
{
	char name[OUTCOME_HOST_MAX];
	size_t length = strcspn(host, "[");

	if (!length)
		length = strlen(host);
	if (!length || length >= sizeof name)
		return;
	memcpy(name, host, length);
	name[length] = '\0';
	put_field(writer, "Remote-MTA", "dns; ", name);
}

static void
put_recipient(struct writer *writer, const struct dsn_recipient *told)
{
	const Recipient *recipient = told->recipient;
	const struct outcome *outcome = told->outcome;
	const char *code = outcome->code ? "Diagnostic-Code: smtp;" : "Diagnostic-Code: X-Shout;";

	fputs("\r\n", writer->out);
	put_original_recipient(writer, recipient->orcpt);
	put_final_recipient(writer, recipient->address);
	fprintf(writer->out, "Action: %s\r\nStatus: %s\r\n", kinds[writer->dsn->kind].action,
		status(writer, outcome));
	put_remote(writer, outcome->host);
	if (*outcome->text) {
		fputs(code, writer->out);
		put_words(writer, strlen(code), "    ", outcome->text, writer->utf8);
	}
	if (told->last_attempt_us)
		put_date(writer, "Last-Attempt-Date", told->last_attempt_us);
	if (writer->dsn->kind == DSN_DELAY && told->retry_until_us)
		put_date(writer, "Will-Retry-Until", told->retry_until_us);
}

static void
put_status(struct writer *writer)
{
	const struct dsn *dsn = writer->dsn;
	char envid[VALUE_MAX];

	dsn_part_begin(writer);
	put_field(writer, "Reporting-MTA", "dns; ", dsn->hostname);
	if (*dsn->about->envid) {
		xtext_decode(dsn->about->envid, envid, sizeof envid);
		put_field(writer, "Original-Envelope-Id", "", envid);
	}
	put_date(writer, "Arrival-Date", dsn->about->accepted_us);
	for (size_t i = 0; i < dsn->count; i++)
		put_recipient(writer, dsn->recipients + i);
	fputs("\r\n", writer->out);
	fflush(writer->out);
	dsn_part_end(writer,
		text_is_ascii(writer->part, writer->part_length)
			? "message/delivery-status"
			: "message/global-delivery-status");
}

/* ---- all of it ---- */

/* A text that is not in the original begins none of its lines (RFC 2046 5.1.1). */
static void
choose_boundary(struct writer *writer, const char *id)
{
	const struct dsn *dsn = writer->dsn;
	unsigned n = 0;

	do
		snprintf(writer->boundary, sizeof writer->boundary, "=_%s.%u", id, n++);
	while (dsn->original &&
		memmem(dsn->original, dsn->original_length, writer->boundary,
			strlen(writer->boundary)));
}

static void
put_header(FILE *out, const struct writer *writer, const char *id, bool eight_bit)
{
	const struct dsn *dsn = writer->dsn;
	char date[DATE_SIZE], to[ADDRESS_ASCII_MAX] = "";

	date_format(dsn->now_us, date);
	text_clean(to, sizeof to, 0, writer->to, strlen(writer->to));
	fprintf(out,
		"Date: %s\r\n"
		"From: Mail Delivery System <postmaster@%s>\r\n"
		"To: <%s>\r\n"
		"Message-ID: <%s@%s>\r\n"
		"Subject: %s\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"%s"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n"
		"\tboundary=\"%s\"\r\n"
		"\r\n",
		date, dsn->hostname, to, id, dsn->hostname, kinds[dsn->kind].subject,
		eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "", writer->boundary);
}

void
dsn_build(const struct dsn *dsn, char **text_out, size_t *length_out)
{
	struct writer writer = { .dsn = dsn };
	char id_text[ID_TEXT_SIZE], *body = NULL;
	uint8_t id[ID_SIZE];
	size_t length;
	FILE *out;

	dsn_id(dsn, id);
	id_format(id, id_text);
	choose_boundary(&writer, id_text);
	writer.utf8 = !address_to_ascii(dsn->about->mail_from, writer.to);
	writer.body = xopen_memstream(&body, &length);
	put_human(&writer);
	put_status(&writer);
	if (dsn->original)
		dsn_put_original(&writer);
	fprintf(writer.body, "\r\n--%s--\r\n", writer.boundary);
	xclose_memstream(writer.body);
	out = xopen_memstream(text_out, length_out);
	put_header(out, &writer, id_text, !text_is_ascii(body, length));
	fwrite(body, 1, length, out);
	xclose_memstream(out);
	free(body);
}
