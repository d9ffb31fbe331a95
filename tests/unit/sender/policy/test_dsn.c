/*
 * test_dsn.c - reports of failed and delayed mail.
 */
#include "tests/unit/dsn_rig.h"

static void
whom_a_report_is_wanted_for(void **state)
{
	static const struct {
		uint32_t notify;
		bool failure, delay;
	} rows[] = {
		{ 0, true, true },
		{ NOTIFY_NEVER, false, false },
		{ NOTIFY_SUCCESS, false, false },
		{ NOTIFY_FAILURE, true, false },
		{ NOTIFY_DELAY, false, true },
		{ NOTIFY_FAILURE | NOTIFY_DELAY, true, true },
		{ NOTIFY_SUCCESS | NOTIFY_FAILURE, true, false },
		{ NOTIFY_NEVER | NOTIFY_FAILURE, false, false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		bob.notify = rows[i].notify;
		assert_int_equal(dsn_wanted(&about, &bob, DSN_FAILURE), rows[i].failure);
		assert_int_equal(dsn_wanted(&about, &bob, DSN_DELAY), rows[i].delay);
	}
}

static void
nobody_is_told_of_our_own_mail_or_of_the_null_senders(void **state)
{
	(void)state;
	about.kind = ENVELOPE__KIND__DSN;
	assert_false(dsn_wanted(&about, &bob, DSN_FAILURE));
	about.kind = ENVELOPE__KIND__NOTICE;
	assert_false(dsn_wanted(&about, &bob, DSN_FAILURE));
	about.kind = ENVELOPE__KIND__MAIL;
	about.mail_from = (char *)"";
	assert_false(dsn_wanted(&about, &bob, DSN_FAILURE));
}

static void
the_id_depends_on_message_kind_and_recipients_alone(void **state)
{
	static Recipient carl = RECIPIENT__INIT;
	static struct dsn_recipient both[2], turned[2];
	uint8_t first[ID_SIZE], second[ID_SIZE];

	(void)state;
	carl.address = (char *)"carl@remote.example";
	both[0] = turned[1] = told;
	both[1].recipient = turned[0].recipient = &carl;
	dsn.count = 2;
	dsn.recipients = both;
	dsn_id(&dsn, first);
	dsn.recipients = turned;
	dsn.now_us++;
	dsn_id(&dsn, second);
	assert_memory_equal(first, second, ID_SIZE);
	dsn.kind = DSN_DELAY;
	dsn_id(&dsn, second);
	assert_memory_not_equal(first, second, ID_SIZE);
	dsn.kind = DSN_FAILURE;
	dsn.count = 1;
	dsn_id(&dsn, second);
	assert_memory_not_equal(first, second, ID_SIZE);
}

static void
a_failure_says_what_happened_to_people_and_programs(void **state)
{
	static const char *const what[] = {
		"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n",
		"\r\nFrom: Mail Delivery System <postmaster@relay.example>\r\n",
		"\r\nTo: <anna@customer.example>\r\n",
		"\r\nAuto-Submitted: auto-replied\r\n",
		"\r\nMIME-Version: 1.0\r\n",
		"\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n",
		"\r\n<bob@remote.example>\r\n    The server: mx.remote.example[192.0.2.1]\r\n"
		"    It answered: 550 5.1.1 no such user\r\n",
		"\r\n    Subject: Ciao\r\n",
		"\r\nContent-Type: message/delivery-status\r\n\r\n"
		"Reporting-MTA: dns; relay.example\r\n"
		"Arrival-Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n"
		"\r\n"
		"Final-Recipient: rfc822;bob@remote.example\r\n"
		"Action: failed\r\n"
		"Status: 5.1.1\r\n"
		"Remote-MTA: dns; mx.remote.example\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
		"Last-Attempt-Date: Mon, 23 Nov 2026 09:59:00 +0000\r\n"
		"\r\n",
		"\r\nContent-Type: text/rfc822-headers\r\n\r\n"
		"Subject: Ciao\r\nFrom: anna@customer.example\r\n\r\n\r\n--=_",
		NULL,
	};

	(void)state;
	built_has(what);
}

static void
a_delay_says_until_when_we_try(void **state)
{
	static const char *const what[] = {
		"\r\nAction: delayed\r\nStatus: 4.0.0\r\n",
		"\r\nDiagnostic-Code: X-Shout; connection timed out\r\n",
		"\r\nWill-Retry-Until: Mon, 23 Nov 2026 10:16:40 +0000\r\n",
		"We try again until Mon, 23 Nov 2026 10:16:40 +0000.\r\n",
		"\r\nContent-Type: text/rfc822-headers\r\n",
		NULL,
	};

	(void)state;
	dsn.kind = DSN_DELAY;
	about.ret = (char *)"FULL";
	outcome = (struct outcome){ .kind = OUTCOME_DEFER, .text = "connection timed out" };
	told.retry_until_us = NOW + 1000000000;
	built_has(what);
}

static void
a_message_that_is_gone_is_said_to_be(void **state)
{
	static const char *const what[] = { "can no longer be read here and is not attached.",
		NULL };

	(void)state;
	dsn.original = NULL;
	dsn.original_gone = true;
	built_has(what);
}

static void
who_asked_for_success_hears_that_it_was_handed_over(void **state)
{
	static const char *const what[] = {
		"\r\nSubject: Your message was handed over\r\n",
		"\r\nAction: relayed\r\nStatus: 2.6.0\r\nRemote-MTA: dns; mx.remote.example\r\n",
		"\r\nDiagnostic-Code: smtp; 250 2.6.0 taken\r\n",
		"\r\nContent-Type: text/rfc822-headers\r\n",
		NULL,
	};

	(void)state;
	dsn.kind = DSN_RELAYED;
	about.ret = (char *)"FULL";
	assert_false(dsn_wanted(&about, &bob, DSN_RELAYED));
	bob.notify = NOTIFY_FAILURE | NOTIFY_DELAY;
	assert_false(dsn_wanted(&about, &bob, DSN_RELAYED));
	bob.notify = NOTIFY_SUCCESS;
	assert_true(dsn_wanted(&about, &bob, DSN_RELAYED));
	assert_false(dsn_wanted(&about, &bob, DSN_FAILURE));
	outcome = (struct outcome){ .kind = OUTCOME_DELIVERED,
		.code = 250,
		.enhanced = "2.6.0",
		.text = "250 2.6.0 taken",
		.host = "mx.remote.example[192.0.2.1]" };
	built_has(what);
}

static void
the_status_agrees_with_the_action(void **state)
{
	static const struct {
		const char *enhanced;
		enum dsn_kind kind;
		bool expired;
		const char *field;
	} rows[] = {
		{ "5.7.1", DSN_FAILURE, false, "Action: failed\r\nStatus: 5.7.1\r\n" },
		{ "4.2.2", DSN_FAILURE, false, "Action: failed\r\nStatus: 5.0.0\r\n" },
		{ "", DSN_FAILURE, false, "Action: failed\r\nStatus: 5.0.0\r\n" },
		{ "5.1\r\nX", DSN_FAILURE, false, "Action: failed\r\nStatus: 5.0.0\r\n" },
		{ "4.2.2", DSN_FAILURE, true, "Action: failed\r\nStatus: 5.4.7\r\n" },
		{ "5.7.0", DSN_FAILURE, true, "Action: failed\r\nStatus: 5.7.0\r\n" },
		{ "4.2.2", DSN_DELAY, false, "Action: delayed\r\nStatus: 4.2.2\r\n" },
		{ "5.2.2", DSN_DELAY, false, "Action: delayed\r\nStatus: 4.0.0\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const char *const what[] = { rows[i].field, NULL };

		snprintf(outcome.enhanced, sizeof outcome.enhanced, "%s", rows[i].enhanced);
		dsn.kind = rows[i].kind;
		outcome.kind = rows[i].expired ? OUTCOME_DEFER : OUTCOME_BOUNCE;
		built_has(what);
	}
}

static void
what_the_sender_named_comes_back_decoded(void **state)
{
	static const struct {
		const char *orcpt, *field;
	} rows[] = {
		{ "rfc822;bob+2Bx@remote.example",
			"\r\nOriginal-Recipient: rfc822;bob+x@remote.e" },
		{ "rfc822;bob+zz+2", "\r\nOriginal-Recipient: rfc822;bob+zz+2\r\n" },
		{ "rfc822;b+0D+0AAction:+20x", "\r\nOriginal-Recipient: rfc822;b  Action: x\r\n" },
		{ "utf-8;b\\x{E9}@x+2B", "\r\nOriginal-Recipient: utf-8;b\\x{E9}@x+2B\r\n" },
		{ "utf-8;bé\\x{2B}@x", "\r\nOriginal-Recipient: utf-8;b\\x{E9}\\x{2B}@x\r\n" },
		{ "X-odd;y", "\r\nOriginal-Recipient: X-odd;y\r\n" },
		{ "none", NULL },
		{ ";none", NULL },
		{ "a b;none", NULL },
	};

	(void)state;
	about.envid = (char *)"QQ+2B314";
	for (size_t i = 0; i < LENGTH(rows); i++) {
		char *text;

		bob.orcpt = (char *)(uintptr_t)rows[i].orcpt;
		text = build();
		assert_has(text, "\r\nOriginal-Envelope-Id: QQ+314\r\n");
		if (rows[i].field)
			assert_has(text, rows[i].field);
		else
			assert_lacks(text, "\r\nOriginal-Recipient");
		free(text);
	}
}

static void
the_whole_message_comes_back_when_asked_for_and_small(void **state)
{
	static const char whole[] = "\r\nContent-Type: message/rfc822\r\n\r\n"
				    "Date: now\r\nSubject: Ciao\r\nFrom: anna@customer.example\r\n"
				    "\r\nthe body\r\n\r\n--=_";
	static char prefix[] = "Date: now\r\n";
	char *text;

	(void)state;
	about.ret = (char *)"FULL";
	about.prefix = (ProtobufCBinaryData){ sizeof prefix - 1, (uint8_t *)prefix };
	text = build();
	assert_has(text, whole);
	free(text);
	about.ret = (char *)"HDRS";
	text = build();
	assert_has(text, "\r\nContent-Type: text/rfc822-headers\r\n\r\nDate: now\r\nSubject: C");
	assert_lacks(text, "the body");
	free(text);
	about.ret = (char *)"FULL";
	about.size = DSN_FULL_MAX + 1;
	text = build();
	assert_lacks(text, "the body");
	free(text);
}

static void
a_report_needs_no_original(void **state)
{
	char *text;

	(void)state;
	dsn.original = NULL;
	dsn.original_length = 0;
	text = build();
	assert_lacks(text, "rfc822-headers");
	free(text);
}

static void
utf8_addresses_are_reported_as_such(void **state)
{
	static const char *const what[] = {
		"\r\nTo: <änna@customer.example>\r\n",
		"\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit",
		"\r\nFinal-Recipient: utf-8;bøb@remote.example\r\n",
		"\r\nDiagnostic-Code: smtp; 550 nö\r\n",
		NULL,
	};

	(void)state;
	about.mail_from = (char *)"änna@customer.example";
	about.smtputf8 = true;
	bob.address = (char *)"bøb@remote.example";
	snprintf(outcome.text, sizeof outcome.text, "550 nö");
	built_has(what);
}

static void
text_is_in_a_form_that_every_host_takes(void **state)
{
	char *text;

	(void)state;
	snprintf(outcome.text, sizeof outcome.text, "550 nö \xff");
	text = build();
	assert_has(text,
		"\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\nThis is");
	assert_has(text, "It answered: 550 n=C3=B6 ?\r\n");
	assert_has(text, "\r\nDiagnostic-Code: smtp; 550 n? ?\r\n");
	free(text);
	snprintf(outcome.text, sizeof outcome.text, "550 no");
	text = build();
	assert_has(text, "\r\nContent-Type: text/plain\r\n\r\nThis is");
	assert_lacks(text, "Content-Transfer-Encoding");
	free(text);
}

#define HEADERS "\r\nContent-Type: text/rfc822-headers"
#define SAYS(label) "Content-Transfer-Encoding: " label "\r\n"

/* Only a sender whose address has no other form needs SMTPUTF8, and only a message that is returned
 * whole 8BITMIME: one that says what it holds. */
static void
a_report_is_as_plain_as_it_can_be(void **state)
{
	static const char quoted[] =
		"; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n";
	static const char eight[] = "\r\nContent-Transfer-Encoding: 8bit\r\n";
	static const struct {
		const char *from, *to, *original, *ret;
		bool smtputf8, ascii;
		const char *has[4];
	} rows[] = {
		{ "a@b.example", "c@d.example", "Subject: x\r\n\r\nx\r\n", "FULL", true, true,
			{ "\r\nContent-Type: message/rfc822\r\n\r\n",
				"Final-Recipient: rfc822;c@d.e" } },
		{ "a@b.example", "c@d.example", "Subject: ä\r\n\r\nx\r\n", "HDRS", false, true,
			{ HEADERS, quoted, "\r\n\r\nSubject: =C3=A4\r\n" } },
		{ "a@b.example", "c@d.example", "Subject: \xe4=\r\n\r\nx\r\n", "", true, true,
			{ HEADERS "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
				  "Subject: =E4=3D\r\n" } },
		{ "a@b.example", "c@d.example", "Subject: x\r\n\r\nä\r\n", "HDRS", false, true,
			{ HEADERS "\r\n\r\nSubject" } },
		{ "a@b.example", "c@d.example", SAYS("8BIT ") "\r\nä\r\n", "FULL", true, false,
			{ "\r\nContent-Type: message/rfc822", eight, "\r\n\r\nä\r\n" } },
		{ "a@b.example", "c@d.example", SAYS("binary") "\r\nä\r\n", "FULL", false, false,
			{ "\r\nContent-Type: message/rfc822", eight } },
		{ "a@b.example", "c@d.example", SAYS("7bit") "\r\nä\r\n", "FULL", false, true,
			{ HEADERS "\r\n\r\nContent-T" } },
		{ "a@b.example", "c@d.example", "Subject: x\r\n\r\nä\r\n", "FULL", false, true,
			{ HEADERS "\r\n\r\nSubject" } },
		{ "a@b.example", "c@d.example", SAYS("8bit") "To: ä@x\r\n\r\nä\r\n", "FULL", true,
			true, { HEADERS, quoted } },
		{ "a@b.example", "ø+1@d.example", "Subject: x\r\n\r\nx\r\n", "", true, true,
			{ "\r\nContent-Type: message/delivery-status\r\n\r\n",
				"\r\nFinal-Recipient: utf-8;\\x{F8}\\x{2B}1@d.example\r\n",
				"\r\n<=C3=B8+1@d.example>\r\n" } },
		{ "a@b.example", "c@bücher.example", "Subject: x\r\n\r\nx\r\n", "", true, true,
			{ "\r\nFinal-Recipient: rfc822;c@xn--bcher-kva.example\r\n" } },
		{ "a@bücher.example", "c@d.example", "Subject: x\r\n\r\nx\r\n", "", true, true,
			{ "\r\nTo: <a@xn--bcher-kva.example>\r\n" } },
		{ "ä@b.example", "c@d.example", "To: ä@x\r\n\r\nx\r\n", "FULL", true, false,
			{ "\r\nTo: <ä@b.example>\r\n",
				"\r\nContent-Type: message/delivery-status\r\n\r\n",
				"\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n" } },
		{ "ä@b.example", "ø@bücher.example", "To: ä@x\r\n\r\nx\r\n", "", true, false,
			{ "\r\nContent-Type: message/global-delivery-status\r\n"
			  "Content-Transfer-Encoding: 8bit",
				"\r\nFinal-Recipient: utf-8;ø@bücher.example\r\n",
				"\r\nContent-Type: message/global-headers\r\n"
				"Content-Transfer-Encoding: 8bit" } },
		{ "ä@b.example", "c@d.example", "Subject: \xe4\r\n\r\nx\r\n", "", true, false,
			{ HEADERS "\r\nContent-Transfer-Encoding: quoted-printable\r\n" } },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		char *text;

		about.mail_from = (char *)(uintptr_t)rows[i].from;
		about.ret = (char *)(uintptr_t)rows[i].ret;
		about.smtputf8 = rows[i].smtputf8;
		bob.address = (char *)(uintptr_t)rows[i].to;
		dsn.original = rows[i].original;
		dsn.original_length = about.size = strlen(rows[i].original);
		text = build();
		for (size_t n = 0; n < 4 && rows[i].has[n]; n++)
			assert_has(text, rows[i].has[n]);
		if (is_8bit(text, text + strlen(text)) == rows[i].ascii)
			fail_msg("row %zu:\n%s", i, text);
		free(text);
	}
}

/* Nothing of this may begin a line, in the header, in the status or as a boundary. */
#define EVIL "x\r\nBcc: evil@evil.example\r\n\r\n--=_\nAction: delivered\rAction: delivered\x01"

static void
nothing_from_outside_begins_a_line(void **state)
{
	char *text;

	(void)state;
	about.mail_from = about.subject = about.message_id = about.envid = (char *)EVIL;
	bob.address = (char *)EVIL;
	bob.orcpt = (char *)"rfc822;" EVIL;
	snprintf(outcome.text, sizeof outcome.text, "%s", EVIL);
	snprintf(outcome.host, sizeof outcome.host, "%s", EVIL);
	text = build();
	assert_lacks(text, "\nBcc:");
	assert_lacks(text, "\nAction: delivered");
	free(text);
}

static void
long_replies_are_folded(void **state)
{
	char *text;

	(void)state;
	memset(outcome.text, 'x', sizeof outcome.text - 1);
	for (size_t i = 9; i < 500; i += 10)
		outcome.text[i] = ' ';
	text = build();
	for (const char *line = text, *end; (end = strstr(line, "\r\n")); line = end + 2)
		assert_true(end - line <= 76);
	free(text);
	memset(outcome.text, 'x', sizeof outcome.text - 1);
	free(build());
}

static void
odd_originals_become_lines(void **state)
{
	static const struct {
		const char *original, *shown;
	} rows[] = {
		{ "A: 1\nB: 2\n\nbody", "\r\n\r\nA: 1\r\nB: 2\r\n\r\nbody\r\n" },
		{ "A: 1\rB: 2\r\n\r\nbody", "\r\n\r\nA: 1\r\nB: 2\r\n\r\nbody\r\n" },
		{ "A: 1", "\r\n\r\nA: 1\r\n\r\n\r\n--=_" },
		{ "no header at all\r\n", "\r\n\r\n\r\nno header at all\r\n" },
		{ "", "\r\n\r\n\r\n\r\n--=_" },
	};

	(void)state;
	about.ret = (char *)"FULL";
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const char *const what[] = { rows[i].shown, NULL };

		dsn.original = rows[i].original;
		dsn.original_length = about.size = strlen(rows[i].original);
		built_has(what);
	}
}

static void
a_field_that_is_cut_off_is_left_out(void **state)
{
	char *text;

	(void)state;
	dsn.original = "A: 1\r\nB: not whole";
	dsn.original_length = strlen(dsn.original);
	about.size = 100000;
	text = build();
	assert_has(text, "\r\n\r\nA: 1\r\n\r\n\r\n--=_");
	free(text);
}

/* As if its author had known the report's id (a second report is about the same message). */
static void
no_line_of_the_original_is_the_boundary(void **state)
{
	char *text = build(), *mail, boundary[64];
	int length;

	(void)state;
	read_boundary(text, boundary);
	free(text);
	length = asprintf(
		&mail, "Subject: Ciao\r\n\r\n--%s\r\n\r\nforged\r\n--%s--\r\n", boundary, boundary);
	assert_true(length > 0);
	about.ret = (char *)"FULL";
	dsn.original = mail;
	dsn.original_length = about.size = (size_t)length;
	text = build();
	assert_has(text, "\r\nforged\r\n");
	free(text);
	free(mail);
}

static void
long_lines_of_the_original_are_cut_between_characters(void **state)
{
	size_t size = 40000;
	char *mail = malloc(size + 1);

	(void)state;
	assert_non_null(mail);
	about.ret = (char *)"FULL";
	for (size_t shift = 0; shift < 3; shift++) {
		char *text;

		for (size_t i = 0; i < size; i++)
			mail[i] = "\xe2\x82\xac"[i % 3];
		memset(mail, 'x', 3 + shift);
		memcpy(mail, "A:", 2);
		memcpy(mail + 20000, "\r\n\r\n", 4);
		mail[size] = '\0';
		dsn.original = mail;
		dsn.original_length = about.size = size;
		text = build();
		for (const char *end = text; (end = strstr(end, "\r\n ")); end += 3)
			assert_true(end[3] == ' ' || ((unsigned char)end[3] & 0xc0) != 0x80);
		free(text);
	}
	free(mail);
}

static void
a_thousand_recipients_are_all_named(void **state)
{
	static Recipient recipients[1000];
	static struct dsn_recipient all[1000];
	static char addresses[1000][40];
	size_t named = 0;
	char *text;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		snprintf(addresses[i], sizeof addresses[i], "user%zu@remote.example", i);
		recipients[i] = (Recipient)RECIPIENT__INIT;
		recipients[i].address = addresses[i];
		all[i] = told;
		all[i].recipient = recipients + i;
	}
	dsn.recipients = all;
	dsn.count = 1000;
	text = build();
	for (const char *at = text; (at = strstr(at, "\r\n\r\nFinal-Recipient: rfc822;user")); at++)
		named++;
	assert_int_equal(named, 1000);
	assert_has(text, "\r\n<user999@remote.example>\r\n");
	free(text);
}

/* "xxx": so long. */
static char *
long_text(const char *prefix, size_t length)
{
	char *text = malloc(length + 1);
	size_t used = strlen(prefix);

	assert_non_null(text);
	memcpy(text, prefix, used);
	memset(text + used, 'x', length - used);
	text[length] = '\0';
	return text;
}

/* `text` all of one character, but for its first and every `step`-th octets. */
static void
fill(char *text, size_t size, const char *with, size_t step)
{
	size_t length = strlen(with);

	for (size_t i = 0; i < size; i++)
		if (text[i] == 'x')
			text[i] = with[i % length];
	for (size_t i = step; step && i < size; i += step)
		text[i] = ' ';
}

/* Whatever its texts are made of. */
static void
check_largest(const char *with)
{
	struct dsn_recipient all[DSN_RECIPIENTS_MAX];
	char *address = long_text("", ADDRESS_MAX), *orcpt = long_text("utf-8;", 500);
	char *subject = long_text("", 200), *message_id = long_text("", 998);
	char *mail = long_text("X: ", DSN_ORIGINAL_MAX), *text;
	size_t length;

	fill(address, ADDRESS_MAX, with, 0);
	fill(orcpt, 500, with, 0);
	fill(subject, 200, with, 0);
	fill(message_id, 998, with, 0);
	fill(mail, DSN_ORIGINAL_MAX, with, 0);
	bob.address = address;
	bob.orcpt = orcpt;
	about.subject = subject;
	about.message_id = message_id;
	memset(outcome.host, 'h', sizeof outcome.host - 1);
	memset(outcome.text, 'x', sizeof outcome.text - 1);
	fill(outcome.text, sizeof outcome.text - 1, with, 38); /* the folds that cost most */
	for (size_t i = 0; i < DSN_RECIPIENTS_MAX; i++)
		all[i] = told;
	dsn.recipients = all;
	dsn.count = DSN_RECIPIENTS_MAX;
	for (size_t i = 99; i < DSN_ORIGINAL_MAX - 1; i += 100)
		memcpy(mail + i - 1, "\r\nX:", 4);
	dsn.original = mail;
	dsn.original_length = about.size = DSN_ORIGINAL_MAX;
	dsn_build(&dsn, &text, &length);
	assert_true(length > DSN_HEADER_MAX);
	assert_true(length <= QUEUE_INLINE_MAX);
	free(text);
	free(mail);
	free(message_id);
	free(subject);
	free(orcpt);
	free(address);
}

static void
the_largest_report_fits_the_queue(void **state)
{
	(void)state;
	check_largest("x");
	check_largest("+");
	check_largest("=");
	check_largest("ä");
	check_largest("α");
	check_largest("😀");
	check_largest("\xe4");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(whom_a_report_is_wanted_for),
		TEST(nobody_is_told_of_our_own_mail_or_of_the_null_senders),
		TEST(the_id_depends_on_message_kind_and_recipients_alone),
		TEST(a_failure_says_what_happened_to_people_and_programs),
		TEST(a_delay_says_until_when_we_try),
		TEST(a_message_that_is_gone_is_said_to_be),
		TEST(who_asked_for_success_hears_that_it_was_handed_over),
		TEST(the_status_agrees_with_the_action),
		TEST(what_the_sender_named_comes_back_decoded),
		TEST(the_whole_message_comes_back_when_asked_for_and_small),
		TEST(a_report_needs_no_original),
		TEST(utf8_addresses_are_reported_as_such),
		TEST(text_is_in_a_form_that_every_host_takes),
		TEST(a_report_is_as_plain_as_it_can_be),
		TEST(nothing_from_outside_begins_a_line),
		TEST(long_replies_are_folded),
		TEST(odd_originals_become_lines),
		TEST(a_field_that_is_cut_off_is_left_out),
		TEST(no_line_of_the_original_is_the_boundary),
		TEST(long_lines_of_the_original_are_cut_between_characters),
		TEST(a_thousand_recipients_are_all_named),
		TEST(the_largest_report_fits_the_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
