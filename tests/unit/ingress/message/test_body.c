/*
 * test_body.c - messages on their way in: the header's facts, fields that are taken out, spilling.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ingress/message/body.h"
#include "shared/mail/envelope.h"

#define TRACE "Received: by us\r\n"

static char spool[] = "/tmp/shout-test-body-XXXXXX";
static struct draft draft;
static struct arena arena;

static int
setup(void **state)
{
	(void)state;
	draft_init(&draft);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	draft_free(&draft);
	arena_free(&arena);
	return 0;
}

static void
feed(const char *data, size_t size, size_t step)
{
	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		memcpy(draft_room(&draft, n), data + at, n);
		draft_add(&draft, n);
	}
}

static void
start(void)
{
	draft_start(&draft, &arena, spool, "body", TRACE, strlen(TRACE));
}

/* The spill file's bytes, or the memory's; to be freed. */
static char *
content_of(const struct body *body)
{
	char *text = calloc(1, body->size + 1), path[256];
	FILE *file;

	if (body->data) {
		memcpy(text, body->data, body->size);
		return text;
	}
	snprintf(path, sizeof path, "%s/%s", spool, body->spill);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, body->size, file), body->size);
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
	return text;
}

static bool
file_exists(void)
{
	char path[256];

	snprintf(path, sizeof path, "%s/body", spool);
	return access(path, F_OK) == 0;
}

static const struct {
	const char *what, *in, *out;
} edits[] = {
	{ "nothing to take out", "From: a@b.example\r\n\r\nx\r\n",
		"From: a@b.example\r\n\r\nx\r\n" },
	{ "an empty message", "", "" },
	{ "no header", "\r\nBcc: x\r\n", "\r\nBcc: x\r\n" },
	{ "Bcc first", "Bcc: x@y.example\r\nTo: z\r\n\r\nx\r\n", "To: z\r\n\r\nx\r\n" },
	{ "Resent-Bcc", "Resent-To: z\r\nResent-Bcc: x@y.example\r\n\r\nx\r\n",
		"Resent-To: z\r\n\r\nx\r\n" },
	{ "Bcc last", "To: z\r\nbcc: x@y.example\r\n\r\nx\r\n", "To: z\r\n\r\nx\r\n" },
	{ "Bcc alone", "BCC:\r\n\r\nx\r\n", "\r\nx\r\n" },
	{ "Bcc folded", "A: 1\r\nBcc: x,\r\n\ty,\r\n z\r\nB: 2\r\n\r\nBcc: stays\r\n",
		"A: 1\r\nB: 2\r\n\r\nBcc: stays\r\n" },
	{ "Return-Path twice", "Return-Path: <a>\r\nA: 1\r\nReturn-Path: <b>\r\nB: 2\r\n\r\n",
		"A: 1\r\nB: 2\r\n\r\n" },
	{ "what only the scanner says",
		"X-Shout-Alert: clean\r\nA: 1\r\nx-shout-alert : a,\r\n b\r\n\r\n",
		"A: 1\r\n\r\n" },
	{ "names that begin alike", "Bcc-Not: 1\r\nReturn-Path-X: 2\r\n\r\n",
		"Bcc-Not: 1\r\nReturn-Path-X: 2\r\n\r\n" },
	{ "no body", "A: 1\r\nBcc: x\r\n", "A: 1\r\n" },
	{ "a body without an empty line", "A: 1\r\nBcc: x\r\nno field here\r\nBcc: y\r\n",
		"A: 1\r\n\r\nno field here\r\nBcc: y\r\n" },
	{ "a first line that begins with a blank", " x\r\nA: 1\r\n\r\ny\r\n",
		"\r\n x\r\nA: 1\r\n\r\ny\r\n" },
	{ "a first line of blanks", "\t \r\nBcc: x\r\n", "\r\n\t \r\nBcc: x\r\n" },
	{ "a first line that is no field", "hello\r\nA: 1\r\n", "\r\nhello\r\nA: 1\r\n" },
	{ "no field at all", "hello\r\n", "\r\nhello\r\n" },
	{ "a colon first", "A: 1\r\n: x\r\nB: 2\r\n", "A: 1\r\n\r\n: x\r\nB: 2\r\n" },
	{ "a blank in a name", "A: 1\r\nB c: 2\r\n", "A: 1\r\n\r\nB c: 2\r\n" },
	{ "8-bit in a name", "\xc3\xa9: 1\r\n", "\r\n\xc3\xa9: 1\r\n" },
	{ "a control character in a name", "A\x01: 1\r\n", "\r\nA\x01: 1\r\n" },
	{ "a colon in the fold", "A\r\n : 1\r\n", "\r\nA\r\n : 1\r\n" },
	{ "a fold of blanks stays", "A: 1\r\n \t\r\n 2\r\n\r\n", "A: 1\r\n \t\r\n 2\r\n\r\n" },
	{ "blanks before the colon", "A : 1\r\nB\t \t: 2\r\n :\r\n\r\nC : 3\r\n",
		"A: 1\r\nB: 2\r\n :\r\n\r\nC : 3\r\n" },
	{ "blanks before the colon of a Bcc", "Bcc : x\r\nReturn-Path\t: y\r\nA : 1\r\n\r\n",
		"A: 1\r\n\r\n" },
	{ "a mailbox file's line", "From a@b Mon\r\nA: 1\r\n\r\n",
		"X-Mailbox-Line: From a@b Mon\r\nA: 1\r\n\r\n" },
	{ "several, quoted and with colons",
		"From a 00:00\r\n>>From b\r\nBcc: x\r\nA : 1\r\n\r\nz\r\n",
		"X-Mailbox-Line: From a 00:00\r\nX-Mailbox-Line: >>From b\r\nA: 1\r\n\r\nz\r\n" },
	{ "a fold behind it is none", "From a\r\n x\r\nA: 1\r\n",
		"X-Mailbox-Line: From a\r\n\r\n x\r\nA: 1\r\n" },
	{ "such a line alone", "From a\r\n", "X-Mailbox-Line: From a\r\n" },
	{ "such a line in mid-header", "A: 1\r\nFrom a\r\nBcc: x\r\n",
		"A: 1\r\n\r\nFrom a\r\nBcc: x\r\n" },
	{ "such a line behind what goes", "Bcc: x\r\nFrom a\r\n", "\r\nFrom a\r\n" },
	{ "such a line in small letters", "from a\r\nA: 1\r\n", "\r\nfrom a\r\nA: 1\r\n" },
	{ "a From field with a blank is none", "From : a\r\n\r\n", "From: a\r\n\r\n" },
};

static void
bcc_and_return_path_are_taken_out_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		struct body body;
		char *text;

		start();
		feed(edits[i].in, strlen(edits[i].in), 7);
		assert_int_equal(draft_finish(&draft, &body), 0);
		text = content_of(&body);
		assert_memory_equal(text, TRACE, strlen(TRACE));
		if (strcmp(text + strlen(TRACE), edits[i].out) != 0)
			fail_msg("%s: \"%s\"", edits[i].what, text + strlen(TRACE));
		free(text);
		draft_discard(&draft);
	}
}

static void
the_header_s_facts_are_read(void **state)
{
	const char *in = "Received: a\r\nFrom: \"A, B\" <a@b.example>, c@d.example\r\n"
			 "Received: b\r\nSender: s@e.example\r\nResent-From: r@f.example\r\n"
			 "Message-ID: <1@b.example>\r\nSubject: some\r\n thing\r\n\r\nFrom: no\r\n";
	const struct content *content = &draft.content;
	const struct originators *originators = &content->originators;
	struct body body;

	(void)state;
	start();
	feed(in, strlen(in), strlen(in));
	assert_int_equal(draft_finish(&draft, &body), 0);
	assert_int_equal(originators->from_fields, 1);
	assert_int_equal(originators->from.count, 2);
	assert_string_equal(originators->from.items[0].text, "a@b.example");
	assert_string_equal(originators->from.items[1].text, "c@d.example");
	assert_int_equal(originators->senders.count, 2);
	assert_string_equal(originators->senders.items[1].text, "r@f.example");
	assert_int_equal(content->received, 2);
	assert_string_equal(content->message_id, "<1@b.example>");
	assert_string_equal(content->subject, "some thing");
	assert_int_equal(content->missing, MISSING_DATE);
}

#define ALL (MISSING_DATE | MISSING_MESSAGE_ID | MISSING_FROM)
#define FIELDS "Date: x\r\nMessage-ID: <y>\r\nFrom: a@b.example\r\n"

static const struct {
	const char *what, *in;
	unsigned missing;
} headers[] = {
	{ "all there", FIELDS "\r\nx\r\n", 0 },
	{ "with blanks before the colons",
		"Date : x\r\nMessage-ID\t: <y>\r\nFrom : a@b.example\r\n\r\n", 0 },
	{ "no header", "\r\n" FIELDS, ALL },
	{ "nothing", "", ALL },
	{ "behind a fold of nothing", " x\r\n" FIELDS "\r\n", ALL },
	{ "behind a line that is no field", "no field\r\n" FIELDS "\r\n", ALL },
	{ "behind a line in mid-header", "Date: x\r\nwrapped\r\n" FIELDS,
		MISSING_MESSAGE_ID | MISSING_FROM },
	{ "behind a mailbox file's line", "From a Mon\r\n" FIELDS "\r\n", 0 },
	{ "behind such a line in mid-header", "Date: x\r\nFrom a Mon\r\n" FIELDS,
		MISSING_MESSAGE_ID | MISSING_FROM },
	{ "a From that names nobody is one", "From: Automated:;\r\n\r\n",
		MISSING_DATE | MISSING_MESSAGE_ID },
};

static void
missing_fields_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct body body;

		start();
		feed(headers[i].in, strlen(headers[i].in), 5);
		assert_int_equal(draft_finish(&draft, &body), 0);
		if (draft.content.missing != headers[i].missing)
			fail_msg("%s: %u", headers[i].what, draft.content.missing);
		draft_discard(&draft);
	}
}

/* "A: 1", Bcc, an empty line, and `size` bytes of lines. */
static char *
large_message(size_t size, size_t *out_size)
{
	static const char header[] = "A: 1\r\nBcc: hidden@b.example\r\n\r\n";
	char *text = malloc(sizeof header + size);

	memcpy(text, header, sizeof header - 1);
	for (size_t i = 0; i < size; i++)
		text[sizeof header - 1 + i] = (char)(i % 78 == 76 ? '\r'
				: i % 78 == 77                    ? '\n'
								  : 'a' + i % 26);
	*out_size = sizeof header - 1 + size;
	return text;
}

static void
large_messages_spill_without_bcc(void **state)
{
	const size_t sizes[] = { QUEUE_INLINE_MAX - 100, QUEUE_INLINE_MAX, QUEUE_INLINE_MAX + 1,
		1000000 };
	const size_t start_of_body = strlen(TRACE "A: 1\r\n\r\n");

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t size;
		char *in = large_message(sizes[i], &size), *out;
		struct body body;

		start();
		feed(in, size, 16000);
		assert_int_equal(draft_finish(&draft, &body), 0);
		assert_int_equal(body.size, start_of_body + sizes[i]);
		assert_true((body.spill != NULL) == (sizes[i] > QUEUE_INLINE_MAX - 100));
		out = content_of(&body);
		assert_memory_equal(out, TRACE "A: 1\r\n\r\n", start_of_body);
		assert_memory_equal(out + start_of_body, in + size - sizes[i], sizes[i]);
		free(out);
		free(in);
		draft_discard(&draft);
		assert_false(file_exists());
	}
}

/* Whatever pieces the message comes in. */
static void
a_header_beyond_256_kib_is_refused(void **state)
{
	static const size_t pieces[] = { 1, 12, 4096, 16384, 65536, SIZE_MAX };
	const size_t fields = QUEUE_INLINE_MAX / 12, size = fields * 12 + 8;
	char *lines = malloc(size + 1);
	struct body body;

	(void)state;
	for (size_t i = 0; i < fields; i++)
		memcpy(lines + 12 * i, "X-Field: y\r\n", 12);
	memcpy(lines + 12 * fields, "\r\nbody\r\n", 9);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		start();
		feed(lines, size, pieces[i]);
		assert_int_equal(draft_finish(&draft, &body), -EMSGSIZE);
		draft_discard(&draft);
		assert_false(file_exists());
	}
	free(lines);
}

/* With a body of `size` in all, so that what is put in makes it larger than memory may hold. */
static void
what_grows_beyond_memory_spills(void **state)
{
	static const char *const starts[] = { "no field\r\n", "From a Mon\r\n\r\n" };
	static const char *const outs[] = { TRACE "\r\nno field\r\n",
		TRACE "X-Mailbox-Line: From a Mon\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t size = QUEUE_INLINE_MAX - strlen(TRACE) - strlen(starts[i]);
		char *lines = calloc(1, size + 3), *out;
		struct body body;

		memset(lines, 'x', size);
		memcpy(lines, "X: ", 3);
		memcpy(lines + size - 2, "\r\n", 2);
		start();
		feed(starts[i], strlen(starts[i]), 99);
		feed(lines, size, 16000);
		assert_int_equal(draft_finish(&draft, &body), 0);
		assert_non_null(body.spill);
		assert_int_equal(body.size, strlen(outs[i]) + size);
		out = content_of(&body);
		assert_memory_equal(out, outs[i], strlen(outs[i]));
		assert_memory_equal(out + strlen(outs[i]), lines, size);
		free(out);
		free(lines);
		draft_discard(&draft);
	}
}

/* A header ends at its last field, however long the line is that ends it. */
static void
a_long_line_that_is_no_field_ends_a_header(void **state)
{
	char *line = malloc(600000);
	struct body body;
	char *out;

	(void)state;
	memset(line, 'x', 600000);
	start();
	feed("A: 1\r\n", 6, 6);
	feed(line, 600000, 16000);
	feed(": y\r\n", 5, 5);
	assert_int_equal(draft_finish(&draft, &body), 0);
	assert_int_equal(body.size, strlen(TRACE "A: 1\r\n\r\n: y\r\n") + 600000);
	out = content_of(&body);
	assert_memory_equal(out, TRACE "A: 1\r\n\r\nxxx", strlen(TRACE "A: 1\r\n\r\nxxx"));
	free(out);
	free(line);
}

/* However many lines of a mailbox file there are, what they become is bounded. */
static void
no_more_than_100_lines_of_a_mailbox_file_are_named(void **state)
{
	struct body body;
	char *out;

	(void)state;
	start();
	for (int i = 0; i < 150; i++)
		feed("From a\r\n", 8, 8);
	assert_int_equal(draft_finish(&draft, &body), 0);
	assert_int_equal(body.size, strlen(TRACE) + 150 * 8 + 100 * 16 + 2);
	out = content_of(&body);
	assert_memory_equal(out + strlen(TRACE) + 100 * 24, "\r\nFrom a\r\n", 10);
	free(out);
}

static void
a_file_that_the_queue_took_stays(void **state)
{
	struct body body;
	size_t size;
	char *in = large_message(400000, &size), path[256];

	(void)state;
	start();
	feed(in, size, 16000);
	assert_int_equal(draft_finish(&draft, &body), 0);
	draft_release(&draft);
	draft_discard(&draft);
	assert_true(file_exists());
	snprintf(path, sizeof path, "%s/body", spool);
	assert_int_equal(unlink(path), 0);
	free(in);
}

static void
a_disk_error_is_told_at_the_end(void **state)
{
	struct body body;
	size_t size;
	char *in = large_message(400000, &size);

	(void)state;
	draft_start(&draft, &arena, "/nonexistent", "body", TRACE, strlen(TRACE));
	feed(in, size, 16000);
	assert_int_equal(draft_finish(&draft, &body), -ENOENT);
	free(in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			bcc_and_return_path_are_taken_out_and_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(the_header_s_facts_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_fields_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(large_messages_spill_without_bcc, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_header_beyond_256_kib_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_grows_beyond_memory_spills, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_long_line_that_is_no_field_ends_a_header, setup, teardown),
		cmocka_unit_test_setup_teardown(
			no_more_than_100_lines_of_a_mailbox_file_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_the_queue_took_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_error_is_told_at_the_end, setup, teardown),
	};
	int failed;

	if (!mkdtemp(spool))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(spool);
	return failed;
}
