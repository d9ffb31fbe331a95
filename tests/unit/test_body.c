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

#include "ingress/body.h"
#include "shared/envelope.h"

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
	{"nothing to take out",           "From: a@b.example\r\n\r\nx\r\n",
         "From: a@b.example\r\n\r\nx\r\n"										     },
	{ "an empty message",             "",							     ""                  },
	{ "no header",                    "\r\nBcc: x\r\n",					       "\r\nBcc: x\r\n"    },
	{ "Bcc first",                    "Bcc: x@y.example\r\nTo: z\r\n\r\nx\r\n",                       "To: z\r\n\r\nx\r\n"},
	{ "Resent-Bcc",                   "Resent-To: z\r\nResent-Bcc: x@y.example\r\n\r\nx\r\n",
         "Resent-To: z\r\n\r\nx\r\n"											  },
	{ "Bcc last",                     "To: z\r\nbcc: x@y.example\r\n\r\nx\r\n",                       "To: z\r\n\r\nx\r\n"},
	{ "Bcc alone",                    "BCC:\r\n\r\nx\r\n",					    "\r\nx\r\n"         },
	{ "Bcc folded",                   "A: 1\r\nBcc: x,\r\n\ty,\r\n z\r\nB: 2\r\n\r\nBcc: stays\r\n",
         "A: 1\r\nB: 2\r\n\r\nBcc: stays\r\n"										 },
	{ "Return-Path twice",            "Return-Path: <a>\r\nA: 1\r\nReturn-Path: <b>\r\nB: 2\r\n\r\n",
         "A: 1\r\nB: 2\r\n\r\n"											       },
	{ "names that begin alike",       "Bcc-Not: 1\r\nReturn-Path-X: 2\r\n\r\n",
         "Bcc-Not: 1\r\nReturn-Path-X: 2\r\n\r\n"									     },
	{ "no body",		      "A: 1\r\nBcc: x\r\n",					   "A: 1\r\n"          },
	{ "a body without an empty line", "A: 1\r\nBcc: x\r\nno field here\r\nBcc: y\r\n",
         "A: 1\r\nno field here\r\nBcc: y\r\n"										},
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
	struct body body;

	(void)state;
	start();
	feed(in, strlen(in), strlen(in));
	assert_int_equal(draft_finish(&draft, &body), 0);
	assert_int_equal(content->from_fields, 1);
	assert_int_equal(content->from.count, 2);
	assert_string_equal(content->from.text[0], "a@b.example");
	assert_string_equal(content->from.text[1], "c@d.example");
	assert_int_equal(content->senders.count, 2);
	assert_string_equal(content->senders.text[1], "r@f.example");
	assert_int_equal(content->received, 2);
	assert_string_equal(content->message_id, "<1@b.example>");
	assert_string_equal(content->subject, "some thing");
	assert_int_equal(content->missing, MISSING_DATE);
}

static void
missing_fields_are_named(void **state)
{
	struct body body;

	(void)state;
	start();
	feed("\r\nhello\r\n", 9, 9);
	assert_int_equal(draft_finish(&draft, &body), 0);
	assert_int_equal(draft.content.missing, MISSING_DATE | MISSING_MESSAGE_ID | MISSING_FROM);
	assert_int_equal(draft.content.from_fields, 0);
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

static void
a_header_beyond_256_kib_is_refused(void **state)
{
	struct body body;

	(void)state;
	start();
	for (int i = 0; i < 30000; i++)
		feed("X-Field: y\r\n", 12, 12);
	feed("\r\nbody\r\n", 8, 8);
	assert_int_equal(draft_finish(&draft, &body), -EMSGSIZE);
	draft_discard(&draft);
	assert_false(file_exists());
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
