/*
 * test_sign.c - a signature does not depend on how the message came; what cannot be signed says so.
 * tests/e2e/test_dkim.py has signatures verified by other programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "shared/base/log.h"
#include "shared/dkim/key.h"
#include "shared/dkim/sign.h"

#define MAIL                                                                                       \
	"Received: by us\r\nFrom: a@a.example\r\nTo: one\r\nTO : two\r\nsubject: x\r\n y\r\n\r\n"  \
	"body \t of\r\n\r\nlines\r\n\r\n"

static struct dkim_key *key;

static char *
field_of(const char *text, size_t size, size_t cut)
{
	struct dkim_signing *signing = dkim_signing_new();
	const struct dkim_by by = { "a.example", "s1", key, 1795492608 };
	char *field;

	dkim_signing_feed(signing, text, cut);
	for (size_t i = cut; i < size; i++)
		dkim_signing_feed(signing, text + i, 1);
	assert_int_equal(dkim_signing_end(signing), 0);
	field = dkim_signing_field(signing, &by);
	dkim_signing_free(&signing);
	return field;
}

/* Ed25519 has one signature for a text. */
static void
pieces_do_not_matter(void **state)
{
	char *whole = field_of(MAIL, sizeof MAIL - 1, sizeof MAIL - 1), *cut;

	(void)state;
	assert_non_null(strstr(whole, "h=From:From:Subject:To:To;"));
	assert_non_null(strstr(whole, "t=1795492608;"));
	assert_int_equal(strcmp(whole + strlen(whole) - 2, "\r\n"), 0);
	for (size_t i = 0; i < sizeof MAIL; i++) {
		cut = field_of(MAIL, sizeof MAIL - 1, i);
		assert_string_equal(cut, whole);
		free(cut);
	}
	free(whole);
}

static int
end_of(const char *text)
{
	struct dkim_signing *signing = dkim_signing_new();
	int err;

	dkim_signing_feed(signing, text, strlen(text));
	err = dkim_signing_end(signing);
	dkim_signing_free(&signing);
	return err;
}

static void
one_from_is_needed(void **state)
{
	(void)state;
	assert_int_equal(end_of("From: a@b\r\n\r\n"), 0);
	assert_int_equal(end_of("From: a@b\r\n"), 0); /* no empty line, no body */
	assert_int_equal(end_of("To: a@b\r\n\r\nFrom: in the body\r\n"), -EINVAL);
	assert_int_equal(end_of("From: a@b\r\nfrom : c@d\r\n\r\n"), -EINVAL);
	assert_int_equal(end_of("\r\nFrom: in the body\r\n"), -EINVAL);
	assert_int_equal(end_of(""), -EINVAL);
}

static void
a_huge_header_is_refused_and_not_kept(void **state)
{
	static char line[64 * 1024];
	struct dkim_signing *signing = dkim_signing_new();

	(void)state;
	memset(line, 'x', sizeof line);
	dkim_signing_feed(signing, "From: a@b\r\nX: ", 14);
	for (int i = 0; i < 1000; i++)
		dkim_signing_feed(signing, line, sizeof line);
	dkim_signing_feed(signing, "\r\n\r\n", 4);
	assert_int_equal(dkim_signing_end(signing), -EMSGSIZE);
	dkim_signing_free(&signing);
}

static void
of_many_fields_of_a_name_the_lowest_are_signed(void **state)
{
	char *text = NULL, *field;
	unsigned count = 0;
	size_t size;
	FILE *out = xopen_memstream(&text, &size);

	(void)state;
	fputs("From: a@b\r\n", out);
	for (int i = 0; i < 200; i++)
		fprintf(out, "To: n%d\r\n", i);
	fputs("\r\n", out);
	xclose_memstream(out);
	field = field_of(text, size, size);
	for (const char *at = strstr(field, "h="); (at = strstr(at, "To")); at++)
		count++;
	assert_int_equal(count, DKIM_SAME_MAX);
	free(field);
	free(text);
}

static void
an_added_field_is_there(void **state)
{
	struct dkim_signing *signing = dkim_signing_new();
	const struct dkim_by by = { "a.example", "s1", key, 0 };
	char *before, *after;

	(void)state;
	dkim_signing_feed(signing, MAIL, sizeof MAIL - 1);
	assert_int_equal(dkim_signing_end(signing), 0);
	assert_false(dkim_signing_has(signing, "Feedback-ID"));
	before = dkim_signing_field(signing, &by);
	dkim_signing_add(signing, "Feedback-ID: x\r\n", 16);
	assert_true(dkim_signing_has(signing, "feedback-id"));
	after = dkim_signing_field(signing, &by);
	assert_string_not_equal(before, after);
	assert_non_null(strstr(after, "Feedback-ID"));
	free(before);
	free(after);
	dkim_signing_free(&signing);
}

static int
make_key(void **state)
{
	(void)state;
	key = dkim_key_new(DKIM_ED25519);
	return 0;
}

static int
free_key(void **state)
{
	(void)state;
	dkim_key_free(&key);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_do_not_matter),
		cmocka_unit_test(one_from_is_needed),
		cmocka_unit_test(a_huge_header_is_refused_and_not_kept),
		cmocka_unit_test(of_many_fields_of_a_name_the_lowest_are_signed),
		cmocka_unit_test(an_added_field_is_there),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
