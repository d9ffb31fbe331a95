/*
 * test_sasl.c - what clients say in AUTH: what is taken, what is refused, and that nothing is left
 * behind by what is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/verb/sasl.h"

#define N5 "abcde"
#define N255                                                                                       \
	N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5  \
		N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5 N5

/* A text with its NULs, in a copy of exact size. */
struct text {
	const char *bytes;
	size_t length;
};
#define T(literal)                                                                                 \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

static char *
exact(const struct text *text)
{
	char *copy = malloc(text->length ? text->length : 1);

	memcpy(copy, text->bytes, text->length);
	return copy;
}

static const struct {
	struct text text;
	const char *decoded; /* NULL: refused */
} bases[] = {
	{ T(""), "" },
	{ T("YQ=="), "a" },
	{ T("YWI="), "ab" },
	{ T("YWJj"), "abc" },
	{ T("YWJjZA=="), "abcd" },
	{ T("//++"), "\xff\xff\xbe" },
	{ T("Y"), NULL },
	{ T("YQ"), NULL },
	{ T("YQ="), NULL },
	{ T("YWJ"), NULL },
	{ T("YWJjZ"), NULL },
	{ T("="), NULL },
	{ T("=="), NULL },
	{ T("===="), NULL },
	{ T("Y==="), NULL },
	{ T("Y=Q="), NULL },
	{ T("YW=Q"), NULL },
	{ T("=YQ="), NULL },
	{ T("YQ==YQ=="), NULL },
	{ T("YWJj----"), NULL },
	{ T("YWJj\n\n\n\n"), NULL },
	{ T("----"), NULL },
	{ T(" YWJ"), NULL },
	{ T("YWJ "), NULL },
	{ T("YW J"), NULL },
	{ T("YW\tJ"), NULL },
	{ T("YWJj    "), NULL },
	{ T("YW\0j"), NULL },
	{ T("YWJ*"), NULL },
	{ T("YW_-"), NULL },
	{ T("YW\xc3\xa9"), NULL },
	{ T("*"), NULL },
};

static void
base_64_is_decoded_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
		char *text = exact(&bases[i].text), *out = malloc(bases[i].text.length + 1);
		long size = base64_read(text, bases[i].text.length, out);

		if (bases[i].decoded ? size != (long)strlen(bases[i].decoded) ||
					memcmp(out, bases[i].decoded, (size_t)size) != 0
				     : size != -EINVAL)
			fail_msg("%s: %ld", bases[i].text.bytes, size);
		free(out);
		free(text);
	}
}

static const struct {
	struct text text;
	const char *name; /* NULL: refused */
} names[] = {
	{ T("joe"), "joe" },
	{ T("Joe@ACME.Example"), "joe@acme.example" },
	{ T("a b"), "a b" },
	{ T("p\xc3\xa8"), "p\xc3\xa8" },
	{ T(N255), N255 },
	{ T(""), NULL },
	{ T(N255 "x"), NULL },
	{ T("joe\n"), NULL },
	{ T("joe\r\n"), NULL },
	{ T("joe\x01"), NULL },
	{ T("\x01joe"), NULL },
	{ T("jo\te"), NULL },
	{ T("joe\x7f"), NULL },
	{ T("joe\0"), NULL },
	{ T("joe\0x"), NULL },
	{ T("\0joe"), NULL },
};

static void
a_name_that_is_refused_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *text = exact(&names[i].text), out[SASL_NAME_MAX + 1] = "";
		bool good = sasl_name_read(text, names[i].text.length, out);

		if (good != (names[i].name != NULL) || strcmp(out, good ? names[i].name : "") != 0)
			fail_msg("%s: \"%s\"", names[i].text.bytes, out);
		free(text);
	}
}

static void
a_password_may_hold_anything_but_nul(void **state)
{
	char text[SASL_PASSWORD_MAX + 1], out[SASL_PASSWORD_MAX + 1] = "x";

	(void)state;
	assert_false(sasl_password_read("a\0b", 3, out));
	assert_string_equal(out, "x");
	assert_true(sasl_password_read("\t\x01 \xff", 4, out));
	assert_string_equal(out, "\t\x01 \xff");
	assert_true(sasl_password_read("", 0, out));
	assert_string_equal(out, "");
	memset(text, 'p', sizeof text);
	assert_false(sasl_password_read(text, sizeof text, out));
	assert_string_equal(out, "");
	assert_true(sasl_password_read(text, SASL_PASSWORD_MAX, out));
	assert_int_equal(strlen(out), SASL_PASSWORD_MAX);
}

static const struct {
	struct text text;
	int err;
	const char *name, *password; /* "" where nothing is written */
} plains[] = {
	{ T("\0joe\0secret"), 0, "joe", "secret" },
	{ T("\0Joe\0"), 0, "joe", "" },
	{ T("joe\0joe\0secret"), 0, "joe", "secret" },
	{ T("JOE\0joe\0secret"), 0, "joe", "secret" },
	{ T("joe\0JOE\0secret"), 0, "joe", "secret" },
	{ T("ann\0joe\0secret"), -EPERM, "joe", "secret" },
	{ T("jo\0joe\0secret"), -EPERM, "joe", "secret" },
	{ T("joee\0joe\0secret"), -EPERM, "joe", "secret" },
	{ T("joe\n\0joe\0secret"), -EPERM, "joe", "secret" },
	{ T(""), -EINVAL, "", "" },
	{ T("\0"), -EINVAL, "", "" },
	{ T("\0\0"), -EINVAL, "", "" },
	{ T("\0\0secret"), -EINVAL, "", "" },
	{ T("joe"), -EINVAL, "", "" },
	{ T("joe\0secret"), -EINVAL, "", "" },
	{ T("\0joe"), -EINVAL, "", "" },
	{ T("\0joe\0sec\0ret"), -EINVAL, "", "" },
	{ T("\0joe\0secret\0"), -EINVAL, "", "" },
	{ T("\0jo\x01e\0secret"), -EINVAL, "", "" },
	{ T("\0joe\r\0secret"), -EINVAL, "", "" },
	{ T("ann\0jo\ne\0secret"), -EINVAL, "", "" },
	{ T("\0" N255 "x\0secret"), -EINVAL, "", "" },
	{ T("\0joe\0" N255 N255 N255 N255 N255), -EINVAL, "", "" },
};

static void
plain_is_read_or_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof plains / sizeof *plains; i++) {
		char *text = exact(&plains[i].text);
		char name[SASL_NAME_MAX + 1] = "", password[SASL_PASSWORD_MAX + 1] = "";
		int err = sasl_plain_read(text, plains[i].text.length, name, password);

		if (err != plains[i].err || strcmp(name, plains[i].name) != 0 ||
			strcmp(password, plains[i].password) != 0)
			fail_msg("row %zu: %d \"%s\" \"%s\"", i, err, name, password);
		free(text);
	}
}

static const struct {
	struct text text;
	int err;
	const char *name;
} scrams[] = {
	{ T("n,,n=joe,r=abc"), 0, "joe" },
	{ T("y,,n=joe,r=abc"), 0, "joe" },
	{ T("n,,n=JOE@Acme.example,r=abc"), 0, "joe@acme.example" },
	{ T("n,,n=a=2Cb=3Dc,r=abc"), 0, "a,b=c" },
	{ T("n,,n=" N255 ",r=abc"), 0, N255 },
	{ T("n,a=joe,n=joe,r=abc"), 0, "joe" },
	{ T("y,a=joe,n=joe,r=abc"), 0, "joe" },
	{ T("n,a=JOE,n=joe,r=abc"), 0, "joe" },
	{ T("n,a=a=2Cb,n=a=2Cb,r=abc"), 0, "a,b" },
	{ T("n,a=ann,n=joe,r=abc"), -EPERM, "joe" },
	{ T("y,a=ann,n=joe,r=abc"), -EPERM, "joe" },
	{ T("n,a=joee,n=joe,r=abc"), -EPERM, "joe" },
	{ T("n,a=,n=joe,r=abc"), -EINVAL, "" },
	{ T("n,a=joe,n=,r=abc"), -EINVAL, "" },
	{ T("n,a=jo\x01e,n=joe,r=abc"), -EINVAL, "" },
	{ T("n,a=jo=2ce,n=joe,r=abc"), -EINVAL, "" },
	{ T("n,a=joe"), -EINVAL, "" },
	{ T("n,a=joe,"), -EINVAL, "" },
	{ T("n,joe,n=joe,r=abc"), -EINVAL, "" },
	{ T("n,,n=,r=abc"), -EINVAL, "" },
	{ T("n,,n=joe"), -EINVAL, "" },
	{ T("n,,n=jo\ne,r=abc"), -EINVAL, "" },
	{ T("n,,n=jo\0e,r=abc"), -EINVAL, "" },
	{ T("n,,n=jo=e,r=abc"), -EINVAL, "" },
	{ T("n,,n=joe=2,r=abc"), -EINVAL, "" },
	{ T("n,,n=joe=,r=abc"), -EINVAL, "" },
	{ T("n,,n=joe=2c,r=abc"), -EINVAL, "" },
	{ T("n,,n=" N255 "x,r=abc"), -EINVAL, "" },
	{ T("n,,m=x,n=joe,r=abc"), -EINVAL, "" },
	{ T("p=tls-unique,,n=joe,r=abc"), -EINVAL, "" },
	{ T("x,,n=joe,r=abc"), -EINVAL, "" },
	{ T("n=joe,r=abc"), -EINVAL, "" },
	{ T("n,,r=abc,n=joe"), -EINVAL, "" },
	{ T("hello"), -EINVAL, "" },
	{ T(""), -EINVAL, "" },
	{ T("n"), -EINVAL, "" },
	{ T("n,"), -EINVAL, "" },
	{ T("n,,"), -EINVAL, "" },
	{ T("n,,n="), -EINVAL, "" },
};

static void
scram_is_read_or_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scrams / sizeof *scrams; i++) {
		char *text = exact(&scrams[i].text), name[SASL_NAME_MAX + 1] = "";
		int err = sasl_scram_read(text, scrams[i].text.length, name);

		if (err != scrams[i].err || strcmp(name, scrams[i].name) != 0)
			fail_msg("%s: %d \"%s\"", scrams[i].text.bytes, err, name);
		free(text);
		for (size_t cut = 0; cut < scrams[i].text.length; cut++) {
			struct text part = { scrams[i].text.bytes, cut };

			text = exact(&part);
			sasl_scram_read(text, cut, name);
			free(text);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_64_is_decoded_or_refused),
		cmocka_unit_test(a_name_that_is_refused_leaves_nothing),
		cmocka_unit_test(a_password_may_hold_anything_but_nul),
		cmocka_unit_test(plain_is_read_or_leaves_nothing),
		cmocka_unit_test(scram_is_read_or_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
