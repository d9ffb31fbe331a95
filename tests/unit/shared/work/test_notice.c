/*
 * test_notice.c - our own mails to customers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/work/notice.h"

static uint8_t id[ID_SIZE] = { 1, 2, 3 };

static char *
build(Envelope *about, size_t *size)
{
	const struct notice notice = {
		.hostname = "relay.example",
		.id = id,
		.to = "boss@customer.example",
		.now_us = 1795428000000000,
		.about = about,
		.held_lifetime_ms = 14ull * 24 * 3600 * 1000,
	};

	about->id = (ProtobufCBinaryData){ ID_SIZE, id };
	return notice_held(&notice, size);
}

static void
a_notice_is_a_mail_that_answers_to_nobody(void **state)
{
	static const char *const fields[] = {
		"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n",
		"\r\nFrom: Postmaster <postmaster@relay.example>\r\n",
		"\r\nTo: <boss@customer.example>\r\n",
		"\r\nMessage-ID: <",
		"@relay.example>\r\n",
		"\r\nAuto-Submitted: auto-replied\r\n",
		"\r\nContent-Type: text/plain; charset=utf-8\r\n",
		"\r\nSubject: Messaggio trattenuto: virus trovato / Message held: virus found\r\n",
	};
	Envelope about = ENVELOPE__INIT;
	size_t size;
	char *text;

	(void)state;
	about.verdict = ENVELOPE__VERDICT__INFECTED;
	text = build(&about, &size);
	assert_int_equal(strlen(text), size);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		assert_non_null(strstr(text, fields[i]));
	free(text);
}

static void
a_notice_names_the_message_in_both_languages(void **state)
{
	static const char *const words[] = { "contiene un virus", "contains a virus",
		"  Mittente / Sender: sales@customer.example\r\n", "  A / To: r0@x.example\r\n",
		"  A / To: r9@x.example\r\n", "  A / To: + 2\r\n",
		"  Oggetto / Subject: Offerta\r\n", "  Motivo / Reason: Eicar-Test\r\n",
		"14 giorni", "14 days" };
	Envelope about = ENVELOPE__INIT;
	Recipient recipients[12], *list[12];
	char addresses[12][24];
	size_t size;
	char *text;

	(void)state;
	for (int i = 0; i < 12; i++) {
		recipients[i] = (Recipient)RECIPIENT__INIT;
		snprintf(addresses[i], sizeof addresses[i], "r%d@x.example", i);
		recipients[i].address = addresses[i];
		list[i] = &recipients[i];
	}
	about.verdict = ENVELOPE__VERDICT__INFECTED;
	about.n_recipients = 12;
	about.recipients = list;
	about.mail_from = (char[]){ "sales@customer.example" };
	about.subject = (char[]){ "Offerta" };
	about.signature = (char[]){ "Eicar-Test" };
	text = build(&about, &size);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		assert_non_null(strstr(text, words[i]));
	assert_null(strstr(text, "r10@x.example"));
	free(text);
}

static void
what_could_not_be_scanned_is_not_called_a_virus(void **state)
{
	Envelope about = ENVELOPE__INIT;
	size_t size;
	char *text;

	(void)state;
	about.verdict = ENVELOPE__VERDICT__UNSCANNABLE;
	text = build(&about, &size);
	assert_null(strstr(text, "contains a virus"));
	assert_non_null(strstr(text, "could not be scanned"));
	free(text);
}

static void
an_alert_is_not_called_a_virus(void **state)
{
	static const struct {
		Envelope__Verdict verdict;
		const char *words;
	} rows[] = {
		{ ENVELOPE__VERDICT__UNWANTED, "potentially unwanted" },
		{ ENVELOPE__VERDICT__SUSPICIOUS, "looks suspicious" },
	};
	size_t size;
	char *text;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		Envelope about = ENVELOPE__INIT;

		about.verdict = rows[i].verdict;
		text = build(&about, &size);
		assert_null(strstr(text, "contains a virus"));
		assert_null(strstr(text, "contiene un virus"));
		assert_null(strstr(text, "could not be scanned"));
		assert_non_null(strstr(text, rows[i].words));
		free(text);
	}
}

static void
a_hostile_subject_adds_no_lines(void **state)
{
	Envelope about = ENVELOPE__INIT;
	size_t size;
	char *text;

	(void)state;
	about.subject = (char[]){ "a\r\nBcc: x@y.example\r\n\r\n\x1b[31m" };
	about.signature = (char[]){ "evil\nname" };
	text = build(&about, &size);
	assert_null(strstr(text, "\nBcc:"));
	assert_null(strstr(text, "\nname"));
	assert_null(strchr(text, '\x1b'));
	for (char *c = text; (c = strchr(c, '\n')); c++)
		assert_int_equal(c[-1], '\r');
	for (char *line = text, *end; (end = strstr(line, "\r\n")); line = end + 2)
		assert_true(end - line < 998);
	free(text);
}

static void
a_notice_is_ascii_for_every_host(void **state)
{
	static const Envelope__Verdict verdicts[] = { ENVELOPE__VERDICT__INFECTED,
		ENVELOPE__VERDICT__UNSCANNABLE, ENVELOPE__VERDICT__UNWANTED,
		ENVELOPE__VERDICT__SUSPICIOUS };
	size_t size;
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
		Envelope about = ENVELOPE__INIT;

		about.verdict = verdicts[i];
		about.subject = (char[]){ "perch\xc3\xa9" };
		text = build(&about, &size);
		for (const char *c = text; *c; c++)
			assert_false(*c & 0x80);
		assert_non_null(strstr(text,
			"\r\nContent-Type: text/plain; charset=utf-8\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
		assert_non_null(strstr(text, "  Oggetto / Subject: perch=C3=A9\r\n"));
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_notice_is_a_mail_that_answers_to_nobody),
		cmocka_unit_test(a_notice_names_the_message_in_both_languages),
		cmocka_unit_test(what_could_not_be_scanned_is_not_called_a_virus),
		cmocka_unit_test(an_alert_is_not_called_a_virus),
		cmocka_unit_test(a_hostile_subject_adds_no_lines),
		cmocka_unit_test(a_notice_is_ascii_for_every_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
