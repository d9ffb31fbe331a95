/*
 * test_cookie.c - one cookie out of a field that anybody may have written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "control/people/cookie.h"

static void
a_cookie_is_found_once_or_not_at_all(void **state)
{
	static const struct {
		const char *field, *value;
	} rows[] = {
		{ "__Host-shout=abc", "abc" },
		{ "a=b; __Host-shout=abc", "abc" },
		{ "a=b;__Host-shout=abc;c=d", "abc" },
		{ "  __Host-shout=a-b_C9  ; c=d", "a-b_C9" },
		{ "__Host-shout=1234567", "1234567" },
		{ "__Host-shout=12345678", NULL }, /* 8 bytes with its end, and no more */
		{ "__Host-shout=", NULL },
		{ "__Host-shout", NULL },
		{ "__Host-shout=  ", NULL },
		{ "__Host-shout=a; __Host-shout=b", NULL },
		{ "__Host-shout=a; __Host-shout=a", NULL },
		{ "__Host-shout=a; __Host-shout=", NULL },
		{ "__host-shout=a", NULL },
		{ "x__Host-shout=a", NULL },
		{ "__Host-shoutx=a", NULL },
		{ "a=__Host-shout=b", NULL },
		{ "__Host-shout=\"a\"", NULL },
		{ "__Host-shout=a b", NULL },
		{ "__Host-shout=a,b", NULL },
		{ "__Host-shout=\xc3\xa8", NULL },
		{ ";;;; ;", NULL },
		{ "", NULL },
		{ NULL, NULL },
	};
	char out[8];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const bool found = cookie_find(rows[i].field, "__Host-shout", out, sizeof out);

		if (found != (rows[i].value != NULL) ||
			strcmp(out, rows[i].value ? rows[i].value : "") != 0)
			fail_msg("row %zu: \"%s\"", i, out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_is_found_once_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
