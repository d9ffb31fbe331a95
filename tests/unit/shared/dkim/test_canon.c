/*
 * test_canon.c - relaxed forms of fields and bodies, also in pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/dkim/canon.h"
#include "shared/mail/header.h"

struct taken {
	char text[20000];
	size_t size;
};

static void
take(void *arg, const char *data, size_t size)
{
	struct taken *taken = arg;

	assert_true(taken->size + size <= sizeof taken->text);
	memcpy(taken->text + taken->size, data, size);
	taken->size += size;
}

/* The form of a text that comes as two pieces, and the second one byte by byte. */
static void
form_of(const char *text, size_t size, size_t cut, struct taken *taken)
{
	struct canon_body body = { .take = take, .arg = taken };

	taken->size = 0;
	canon_body_feed(&body, text, cut);
	for (size_t i = cut; i < size; i++)
		canon_body_feed(&body, text + i, 1);
	canon_body_end(&body);
}

static const struct {
	const char *body, *form;
} bodies[] = {
	{ "", "" },
	{ "\r\n", "" },
	{ " \t \r\n\r\n", "" },
	{ "a", "a\r\n" },
	{ "a\r\n", "a\r\n" },
	{ "a\r\n\r\n \r\n", "a\r\n" },
	{ "\r\n\r\na\r\n", "\r\n\r\na\r\n" },
	/* RFC 6376 3.4.5 */
	{ " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n" },
	{ "a \t\r\n\tb", "a\r\n b\r\n" },
	{ "a \rb \nc\r", "a \rb \nc\r\r\n" },
	{ "\r\r\n\r", "\r\r\n\r\r\n" },
	{ "\xe4 \xf6\r\n", "\xe4 \xf6\r\n" },
};

static void
bodies_have_one_form_however_they_come(void **state)
{
	static struct taken taken;

	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		const size_t size = strlen(bodies[i].body);

		for (size_t cut = 0; cut <= size; cut++) {
			form_of(bodies[i].body, size, cut, &taken);
			assert_int_equal(taken.size, strlen(bodies[i].form));
			assert_memory_equal(taken.text, bodies[i].form, taken.size);
		}
	}
}

static void
what_is_longer_than_the_buffer_is_whole(void **state)
{
	static struct taken taken;
	static char text[10000], form[10002];

	(void)state;
	memset(text, 'x', sizeof text);
	memset(form, 'x', sizeof text);
	memcpy(form + sizeof text, "\r\n", 2);
	text[5000] = form[5000] = ' ';
	for (size_t cut = 0; cut <= sizeof text; cut += 1250) {
		form_of(text, sizeof text, cut, &taken);
		assert_int_equal(taken.size, sizeof form);
		assert_memory_equal(taken.text, form, sizeof form);
	}
}

static const struct {
	const char *field, *form;
} fields[] = {
	/* RFC 6376 3.4.5 */
	{ "A: X\r\n", "a:X\r\n" },
	{ "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n" },
	{ "Subject:\r\n", "subject:\r\n" },
	{ "Subject: \t\r\n", "subject:\r\n" },
	{ "SubJect:a:  b\r\n  :c", "subject:a: b :c\r\n" },
	{ "X: \r\n \r\n a", "x:a\r\n" },
	{ "X: \xc3\xa4\r\n", "x:\xc3\xa4\r\n" },
};

static void
fields_have_their_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const size_t size = strlen(fields[i].field);
		char *copy = xmalloc(size), *out = xmalloc(size + 3);
		struct header_field field;
		size_t at = 0, length;

		memcpy(copy, fields[i].field, size);
		assert_int_equal(header_next(copy, size, &at, &field), 1);
		length = canon_field(&field, out);
		assert_int_equal(length, strlen(fields[i].form));
		assert_memory_equal(out, fields[i].form, length);
		free(copy);
		free(out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_have_one_form_however_they_come),
		cmocka_unit_test(what_is_longer_than_the_buffer_is_whole),
		cmocka_unit_test(fields_have_their_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
