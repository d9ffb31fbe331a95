/*
 * dsn_rig.h - a report to build, and what each report must be, whatever went into it.
 */
#ifndef TESTS_UNIT_DSN_RIG_H
#define TESTS_UNIT_DSN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/policy/dsn.h"
#include "shared/mail/address.h"
#include "shared/queue/queue.h"

#define NOW 1795428000000000 /* Mon, 23 Nov 2026 10:00:00 +0000 */
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const char original[] = "Subject: Ciao\r\nFrom: anna@customer.example\r\n\r\nthe body\r\n";

static uint8_t about_id[ID_SIZE] = { 1, 2, 3 };
static Envelope about;
static Recipient bob;
static struct outcome outcome;
static struct dsn_recipient told;
static struct dsn dsn;

static int
set_up(void **state)
{
	(void)state;
	about = (Envelope)ENVELOPE__INIT;
	about.id = (ProtobufCBinaryData){ ID_SIZE, about_id };
	about.accepted_us = NOW - 3600000000;
	about.size = sizeof original - 1;
	about.mail_from = (char *)"anna@customer.example";
	about.subject = (char *)"Ciao";
	bob = (Recipient)RECIPIENT__INIT;
	bob.address = (char *)"bob@remote.example";
	outcome = (struct outcome){
		.kind = OUTCOME_BOUNCE,
		.code = 550,
		.enhanced = "5.1.1",
		.text = "550 5.1.1 no such user",
		.host = "mx.remote.example[192.0.2.1]",
	};
	told = (struct dsn_recipient){ .recipient = &bob, .outcome = &outcome };
	told.last_attempt_us = NOW - 60000000;
	dsn = (struct dsn){
		.about = &about,
		.recipients = &told,
		.count = 1,
		.original = original,
		.original_length = sizeof original - 1,
		.hostname = "relay.example",
		.now_us = NOW,
	};
	return 0;
}

static void
read_boundary(const char *text, char boundary[64])
{
	const char *at = strstr(text, "boundary=\"");

	assert_non_null(at);
	assert_int_equal(sscanf(at, "boundary=\"%60[^\"]", boundary), 1);
}

static bool
is_8bit(const char *text, const char *end)
{
	for (; text < end; text++)
		if (*text & 0x80)
			return true;
	return false;
}

/* Between its own header and `end`, an entity holds 8-bit if and only if it says so. */
static void
check_label(const char *entity, const char *end)
{
	static const char label[] = "\r\nContent-Transfer-Encoding: 8bit\r\n";
	const char *body = strstr(entity, "\r\n\r\n");

	assert_true(body && body < end);
	assert_int_equal(is_8bit(body, end),
		memmem(entity, (size_t)(body + 2 - entity), label, sizeof label - 1) != NULL);
}

/* The report and each of its parts. */
static void
check_labels(const char *text, const char *boundary)
{
	char delimiter[80];
	const char *at, *next;

	snprintf(delimiter, sizeof delimiter, "\r\n--%s", boundary);
	check_label(text, text + strlen(text));
	for (at = strstr(text, delimiter); (next = strstr(at + 1, delimiter)); at = next)
		check_label(at + strlen(delimiter), next);
}

/* What every report must be, whatever went into it: CRLF lines of at most 998 octets, no control
 * characters, three parts, labelled by what they hold. */
static void
check_form(const char *text, size_t length)
{
	char boundary[64];
	size_t column = 0, parts = 0;

	assert_int_equal(strlen(text), length);
	read_boundary(text, boundary);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\r') {
			assert_int_equal(text[i + 1], '\n');
			i++;
			column = 0;
			continue;
		}
		if (column == 0 && strncmp(text + i, "--", 2) == 0)
			parts += strncmp(text + i + 2, boundary, strlen(boundary)) == 0;
		assert_true(text[i] == '\t' || (unsigned char)text[i] >= ' ');
		assert_true(++column <= 998);
	}
	assert_int_equal(parts, dsn.original ? 4 : 3);
	check_labels(text, boundary);
}

static char *
build(void)
{
	size_t length;
	char *text;

	dsn_build(&dsn, &text, &length);
	check_form(text, length);
	return text;
}

static void
assert_has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void
assert_lacks(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("\"%s\" is in:\n%s", what, text);
}

/* Builds, and checks for each of these; the list ends with NULL. */
static void
built_has(const char *const *what)
{
	char *text = build();

	for (; *what; what++)
		assert_has(text, *what);
	free(text);
}

#endif
