/*
 * dsn.c - the text of delivery status notifications.
 *
 * sender (end state, delay) -> [dsn] -> mail.ready
 *
 * Three parts (RFC 6522): what a person reads, what a program reads (RFC 3464, for UTF-8 addresses
 * RFC 6533), and the header of the message or all of it. Replies, addresses, ENVID and ORCPT were
 * written by others: each goes through put_words() or put_field(), which clean it, so that none can
 * begin a line of its own. The boundary holds an id that the message's author could not know, and
 * is not in the original whatever its author knew.
 */
#include "sender/dsn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/date.h"
#include "shared/header.h"
#include "shared/log.h"
#include "shared/text.h"

#define COLUMNS 76
#define LINE_MAX_BYTES 998 /* RFC 5322 2.1.1 */
#define VALUE_MAX 900      /* leaves room for the field's name */

static const struct {
	unsigned notify;
	const char *name, *action, *status; /* `status` when the remote gave none of that class */
	const char *subject, *opening, *advice;
} kinds[] = {
	[DSN_FAILURE] = {NOTIFY_FAILURE,  "failure", "failed",  "5.0.0",
			 "Your message could not be delivered",      "A message of yours could not be delivered to the recipients below.",
			 "What you can do: check the address for mistakes, and read the answer above:\r\n"
		"it comes from the recipient's mail server and says why it refused. If the\r\n"
		"address is right, tell the recipient in another way, who can ask whoever\r\n"
		"runs that server. We do not try again; you may send the message anew.\r\n"     },
	[DSN_DELAY] = { NOTIFY_DELAY,   "delay",   "delayed", "4.0.0",
			 "Your message is delayed (we keep trying)", "A message of yours has not been delivered yet to the recipients below.",
			 "You need not do anything: we keep trying, and tell you if we have to give\r\n"
		"up. Please do not send the message again.\r\n"                                 },
	[DSN_RELAYED] = { NOTIFY_SUCCESS, "relayed", "relayed", "2.0.0",
			 "Your message was handed over",             "A message of yours was taken by the mail server of the recipients below.",
			 "You need not do anything. That server does not confirm deliveries, so that\r\n"
		"this is the last we can tell; if it fails to deliver, it tells you itself.\r\n"},
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
	FILE *out = open_memstream(&text, &length);

	if (!out)
		die("out of memory", "open_memstream");
	for (size_t i = 0; i < dsn->count; i++)
		addresses[i] = dsn->recipients[i].recipient->address;
	qsort(addresses, dsn->count, sizeof *addresses, by_address);
	fprintf(out, "dsn %s", kinds[dsn->kind].name);
	for (size_t i = 0; i < dsn->count; i++)
		fprintf(out, "\n%s", addresses[i]);
	if (fclose(out))
		die("out of memory", "open_memstream");
	id_derive(id, dsn->about->id.data, text, length);
	free(text);
	free(addresses);
}

bool
dsn_is_8bit(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] > 127)
			return true;
	return false;
}

static bool
is_8bit(const char *text)
{
	return dsn_is_8bit(text, strlen(text));
}

/* What is being written. */
struct writer {
	FILE *out;
	const struct dsn *dsn;
	char boundary[ID_TEXT_SIZE + 16];
	bool utf8; /* a recipient's address needs RFC 6533 */
};

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

/* The rest of a line of which `column` columns are used, folded at blanks; lines that follow begin
 * with `indent`. */
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

/* RFC 3461 4. What is no xtext stays as it is. Cut at the room there is. */
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

/* ---- the first part: for a person ---- */

static void
put_part(struct writer *writer, const char *type, bool eight_bit)
{
	fprintf(writer->out, "--%s\r\nContent-Type: %s\r\n%s\r\n", writer->boundary, type,
		eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

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
put_told(struct writer *writer, const struct dsn_recipient *told)
{
	const struct outcome *outcome = told->outcome;
	const char *what = "The reason:";
	char clean[VALUE_MAX + 1] = "";

	text_clean(
		clean, sizeof clean, 0, told->recipient->address, strlen(told->recipient->address));
	fprintf(writer->out, "<%s>\r\n", clean);
	if (is_expired(writer, outcome))
		fputs("    It could not be delivered in the time that we keep trying.\r\n",
			writer->out);
	if (outcome->code && *outcome->host) {
		put_quoted(writer, "The server", outcome->host);
		what = "It answered:";
	}
	if (*outcome->text) {
		fprintf(writer->out, "    %s", what);
		put_words(writer, strlen(what) + 4, "        ", outcome->text, true);
	}
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
	put_part(writer, "text/plain; charset=utf-8", true);
	fprintf(writer->out, "This is the mail system at %s.\r\n\r\n%s\r\n\r\n",
		writer->dsn->hostname, kinds[writer->dsn->kind].opening);
	for (size_t i = 0; i < writer->dsn->count; i++)
		put_told(writer, writer->dsn->recipients + i);
	put_message(writer);
	put_advice(writer);
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
	return is_expired(writer, outcome) ? "5.4.7" : ours; /* RFC 3463 3.5 */
}

static void
put_original_recipient(struct writer *writer, const char *orcpt)
{
	const char *semicolon = strchr(orcpt, ';');
	char type[64] = "", address[VALUE_MAX];

	if (!semicolon || semicolon == orcpt || (size_t)(semicolon - orcpt) > sizeof type - 2)
		return;
	for (const char *c = orcpt; c < semicolon; c++)
		if (!is_alnum(*c) && *c != '-')
			return;
	memcpy(type, orcpt, (size_t)(semicolon - orcpt) + 1);
	/* RFC 6533 3: an address of this type has an escape of its own, which stays. */
	if (text_is(type, strlen(type) - 1, "utf-8"))
		snprintf(address, sizeof address, "%s", semicolon + 1);
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
	put_field(writer, "Final-Recipient", is_8bit(recipient->address) ? "utf-8;" : "rfc822;",
		recipient->address);
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

	put_part(writer,
		writer->utf8 ? "message/global-delivery-status" : "message/delivery-status",
		writer->utf8);
	put_field(writer, "Reporting-MTA", "dns; ", dsn->hostname);
	if (*dsn->about->envid) {
		xtext_decode(dsn->about->envid, envid, sizeof envid);
		put_field(writer, "Original-Envelope-Id", "", envid);
	}
	put_date(writer, "Arrival-Date", dsn->about->accepted_us);
	for (size_t i = 0; i < dsn->count; i++)
		put_recipient(writer, dsn->recipients + i);
	fputs("\r\n", writer->out);
}

/* ---- the third part: the message ---- */

/* Where a line of `length` bytes that is too long is cut: not inside a character. */
static size_t
cut(const char *line, size_t length, size_t most)
{
	size_t at = most;

	if (length <= most)
		return length;
	while (at > most - 4 && ((unsigned char)line[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Lines of any ending; too long ones go on in lines that begin with `fold`. */
static void
put_lines(struct writer *writer, const char *text, size_t length, const char *fold)
{
	const char *end = length ? text + length : text;

	while (text < end) {
		const char *stop = text;
		size_t room = LINE_MAX_BYTES;

		while (stop < end && *stop != '\r' && *stop != '\n')
			stop++;
		for (size_t part;
			(part = cut(text, (size_t)(stop - text), room)) > 0 && text + part < stop;
			text += part) {
			fwrite(text, 1, part, writer->out);
			fprintf(writer->out, "\r\n%s", fold);
			room = LINE_MAX_BYTES - strlen(fold);
		}
		fwrite(text, 1, (size_t)(stop - text), writer->out);
		fputs("\r\n", writer->out);
		text = stop + (end - stop > 1 && stop[0] == '\r' && stop[1] == '\n' ? 2 : 1);
	}
}

/* Where the header's last field ends; a field cut off by the end of what we have is left out. */
static size_t
header_length(const struct dsn *dsn, size_t *body)
{
	struct header_field field;
	size_t at = 0, length = 0;

	while (header_next(dsn->original, dsn->original_length, &at, &field)) {
		if (at == dsn->original_length && at < dsn->about->size)
			break;
		length = at;
	}
	*body = at;
	return length;
}

static bool
returns_all(const struct dsn *dsn)
{
	return dsn->kind == DSN_FAILURE &&
		text_is(dsn->about->ret, strlen(dsn->about->ret), "FULL") &&
		dsn->about->size <= DSN_FULL_MAX && dsn->original_length == dsn->about->size;
}

static void
put_original(struct writer *writer)
{
	static const char *const types[2][2] = {
		{"text/rfc822-headers",     "message/rfc822"},
		{ "message/global-headers", "message/global"},
	};
	const struct dsn *dsn = writer->dsn;
	const ProtobufCBinaryData *prefix = &dsn->about->prefix;
	bool all = returns_all(dsn), eight_bit;
	size_t body, header = header_length(dsn, &body);

	eight_bit = dsn_is_8bit((const char *)prefix->data, prefix->len) ||
		dsn_is_8bit(dsn->original, all ? dsn->original_length : header);
	put_part(writer, types[dsn->about->smtputf8][all], eight_bit);
	put_lines(writer, (const char *)prefix->data, prefix->len, " ");
	put_lines(writer, dsn->original, header, " ");
	fputs("\r\n", writer->out);
	if (all)
		put_lines(writer, dsn->original + body, dsn->original_length - body, "");
}

/* ---- all of it ---- */

/* What is not in the original begins none of its lines (RFC 2046 5.1.1). */
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
put_header(struct writer *writer, const uint8_t id[ID_SIZE])
{
	const struct dsn *dsn = writer->dsn;
	char text[ID_TEXT_SIZE], date[DATE_SIZE], to[VALUE_MAX + 1] = "";

	id_format(id, text);
	date_format(dsn->now_us, date);
	text_clean(to, sizeof to, 0, dsn->about->mail_from, strlen(dsn->about->mail_from));
	choose_boundary(writer, text);
	fprintf(writer->out,
		"Date: %s\r\n"
		"From: Mail Delivery System <postmaster@%s>\r\n"
		"To: <%s>\r\n"
		"Message-ID: <%s@%s>\r\n"
		"Subject: %s\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n"
		"\tboundary=\"%s\"\r\n"
		"\r\n",
		date, dsn->hostname, to, text, dsn->hostname, kinds[dsn->kind].subject,
		writer->boundary);
}

void
dsn_build(const struct dsn *dsn, char **text_out, size_t *length_out)
{
	struct writer writer = { .out = open_memstream(text_out, length_out), .dsn = dsn };
	uint8_t id[ID_SIZE];

	if (!writer.out)
		die("out of memory", "open_memstream");
	for (size_t i = 0; i < dsn->count; i++)
		writer.utf8 = writer.utf8 || is_8bit(dsn->recipients[i].recipient->address);
	dsn_id(dsn, id);
	put_header(&writer, id);
	put_human(&writer);
	put_status(&writer);
	if (dsn->original)
		put_original(&writer);
	fprintf(writer.out, "\r\n--%s--\r\n", writer.boundary);
	if (fclose(writer.out))
		die("out of memory", "open_memstream");
}
