/*
 * fuzz_dsn.c - whatever clients, remotes and messages say, a report keeps its shape: lines of CRLF
 * within 998 octets, its own header, its three parts and no more, one status field of each name.
 * Texts are parted by the byte 0x1e; what is behind the last one is the original.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/policy/dsn.h"
#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the next text off, as a string. */
static char *
text_next(const uint8_t **data, size_t *size)
{
	const uint8_t *stop = *size ? memchr(*data, 0x1e, *size) : NULL;
	size_t length = stop ? (size_t)(stop - *data) : 0;
	char *text = strndup((const char *)*data, length);

	if (stop) {
		*data += length + 1;
		*size -= length + 1;
	}
	return text;
}

static size_t
count(const char *text, size_t length, const char *what)
{
	const char *end = text + length, *at = text;
	size_t n = 0;

	while ((at = memmem(at, (size_t)(end - at), what, strlen(what)))) {
		at += strlen(what);
		n++;
	}
	return n;
}

static void
check_lines(const char *text, size_t length)
{
	size_t line = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			assert(i && text[i - 1] == '\r');
		if (text[i] == '\r')
			assert(i + 1 < length && text[i + 1] == '\n');
		line = text[i] == '\n' ? 0 : line + (text[i] != '\r');
		assert(line <= 998);
	}
	assert(line == 0);
}

/* The second part, where nothing from outside may begin a line. */
static void
check_status(const char *text, size_t length, const char *boundary)
{
	static const char *const once[] = { "\r\nReporting-MTA:", "\r\nArrival-Date:",
		"\r\nFinal-Recipient:", "\r\nAction:", "\r\nStatus:" };
	const char *human = memmem(text, length, boundary, strlen(boundary));
	const char *from, *to, *end = text + length;

	assert(human);
	from = memmem(human + 1, (size_t)(end - human) - 1, boundary, strlen(boundary));
	assert(from);
	to = memmem(from + 1, (size_t)(end - from) - 1, boundary, strlen(boundary));
	assert(to);
	for (size_t i = 0; i < sizeof once / sizeof *once; i++)
		assert(count(from, (size_t)(to - from), once[i]) == 1);
}

static void
check(const struct dsn *dsn)
{
	char *text, boundary[64];
	size_t length, header, eight_bit;
	const char *at;

	dsn_build(dsn, &text, &length);
	check_lines(text, length);
	at = memmem(text, length, "\r\n\tboundary=\"", 13);
	assert(at);
	snprintf(boundary, sizeof boundary, "\r\n--%.*s", (int)strcspn(at + 13, "\""), at + 13);
	assert(count(text, length, boundary) == (dsn->original ? 4 : 3));
	check_status(text, length, boundary);
	at = memmem(text, length, "\r\n\r\n", 4);
	header = (size_t)(at - text);
	assert(count(text, header, "\r\nTo: ") == 1 && count(text, header, "\r\nFrom: ") == 1);
	eight_bit = count(text, header, "\r\nContent-Transfer-Encoding: 8bit");
	assert(count(text, header, "\r\n") == 8 + eight_bit);
	assert(text_is_ascii(at, (size_t)(text + length - at)) == !eight_bit);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Envelope envelope = ENVELOPE__INIT;
	Recipient recipient = RECIPIENT__INIT;
	struct outcome outcome = { .kind = OUTCOME_BOUNCE };
	struct dsn_recipient told = { &recipient, &outcome, 1, 2 };
	struct dsn dsn = { .kind = DSN_FAILURE,
		.about = &envelope,
		.recipients = &told,
		.count = 1,
		.hostname = "relay.example",
		.now_us = 3 };
	uint8_t id[ID_SIZE] = { 1 };
	char *texts[9];

	for (size_t i = 0; i < 9; i++)
		texts[i] = text_next(&data, &size);
	envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
	envelope.mail_from = texts[0];
	recipient.address = texts[1];
	recipient.orcpt = texts[2];
	envelope.envid = texts[3];
	envelope.ret = texts[4];
	envelope.subject = texts[5];
	snprintf(outcome.enhanced, sizeof outcome.enhanced, "%s", texts[6]);
	snprintf(outcome.host, sizeof outcome.host, "%s", texts[7]);
	snprintf(outcome.text, sizeof outcome.text, "%s", texts[8]);
	outcome.code = size % 2 ? 550 : 0;
	envelope.size = size;
	envelope.smtputf8 = size % 3 == 0;
	dsn.original = (const char *)data;
	dsn.original_length = size;
	check(&dsn);
	dsn.kind = DSN_DELAY;
	check(&dsn);
	dsn.kind = DSN_RELAYED;
	check(&dsn);
	dsn.original = NULL;
	dsn.original_length = 0;
	dsn.original_gone = true;
	check(&dsn);
	for (size_t i = 0; i < 9; i++)
		free(texts[i]);
	return 0;
}
