/*
 * test_mime.c - text parts of our own mails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/mail/mime.h"

#define QUOTED "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
#define UTF8 "Content-Type: text/x; charset=utf-8" QUOTED

static void
put(const char *text, char **part_out)
{
	size_t length;
	FILE *out = xopen_memstream(part_out, &length);

	mime_put_text(out, "text/x", text, strlen(text));
	xclose_memstream(out);
}

static void
a_part_is_labelled_by_what_it_holds(void **state)
{
	static const char *const rows[][2] = {
		{ "", "Content-Type: text/x\r\n\r\n" },
		{ "a = b \r\n", "Content-Type: text/x\r\n\r\na = b \r\n" },
		{ "ä = b\r\n", UTF8 "=C3=A4 =3D b\r\n" },
		{ "ä \r\n\t\r\n\r\n x\ty\r\n", UTF8 "=C3=A4=20\r\n=09\r\n\r\n x\ty\r\n" },
		{ "ä ", UTF8 "=C3=A4=20" },
		{ "ä\x7f\x01\r\n", UTF8 "=C3=A4=7F=01\r\n" },
		{ "\xe4\r\n", "Content-Type: text/x" QUOTED "=E4\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *part;

		put(rows[i][0], &part);

		if (strcmp(part, rows[i][1]) != 0)
			fail_msg("%zu: %s", i, part);
		free(part);
	}
}

/* Wherever a line has to go on in the next one. */
static void
lines_are_short_and_come_back(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 80; shift++) {
		char text[400], back[400];
		char *part, *at;
		size_t n = 0;

		for (size_t i = 0; i < 300; i++)
			text[i] = i < shift || i % 5 == 0 ? 'x' : "\xe2\x82\xac= "[i % 5];
		memcpy(text + 300, "\xc3\xa4\r\n", 5);
		put(text, &part);
		at = strstr(part, "\r\n\r\n") + 4;
		for (const char *line = at, *end; (end = strstr(line, "\r\n")); line = end + 2)
			assert_true(end - line <= 76);
		while (*at) {
			unsigned octet;

			if (strncmp(at, "=\r\n", 3) == 0) {
				at += 3;
			} else if (sscanf(at, "=%2X", &octet) == 1) {
				back[n++] = (char)octet;
				at += 3;
			} else {
				back[n++] = *at++;
			}
		}
		back[n] = '\0';
		assert_string_equal(back, text);
		free(part);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_is_labelled_by_what_it_holds),
		cmocka_unit_test(lines_are_short_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
