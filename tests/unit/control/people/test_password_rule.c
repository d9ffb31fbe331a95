/*
 * test_password_rule.c - what a guesser tries first is no password.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "control/people/password_rule.h"

static void
what_a_guesser_tries_first_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"short",
		"elevensigns",
		"123456789012",
		"1234567890qwertyuiop",
		"qwertyuiop[]asd",
		"aaaaaaaaaaaaaaaa",
		"abababababab",
		"abcdefghijklmnop",
		"password1234",
		"Password2026!",
		"P@ssw0rd2026!",
		"passwordpassword",
		"Benvenuto2026!",
		"Juventus1897!!",
		"Forza Juventus 1897",
		"welcome-welcome-1",
		"anna.rossi.2026",
		"AnnaRossi2026!!",
		"acme-password-1",
		"Acme2026Acme2026",
		"line\nbreak in it",
		"bad utf8 \xff\xff\xff\xff\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!password_wrong(bad[i], "anna.rossi@acme.example", "Anna Rossi"))
			fail_msg("%s", bad[i]);
}

static void
what_nobody_guesses_is_taken(void **state)
{
	static const char *const good[] = {
		"correct horse battery staple",
		"heron kettle Oslo 41",
		"xK9#mQ2$vL7!",
		"più-di-così-non-si-può",
		"Anna Rossi drinks grappa with herons",
		"9471 0286 3350 7719",
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_null(password_wrong(good[i], "anna.rossi@acme.example", "Anna Rossi"));
	assert_null(password_wrong(good[0], NULL, NULL));
}

static void
the_longest_is_taken_and_no_longer(void **state)
{
	char text[PASSWORD_BYTES_MAX + 2] = "";

	(void)state;
	for (size_t i = 0; i <= PASSWORD_BYTES_MAX; i++)
		text[i] = "kq7!zr2?wm"[(i * i + i / 7) % 10];
	assert_non_null(password_wrong(text, NULL, NULL));
	text[PASSWORD_BYTES_MAX] = '\0';
	assert_null(password_wrong(text, NULL, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_guesser_tries_first_is_refused),
		cmocka_unit_test(what_nobody_guesses_is_taken),
		cmocka_unit_test(the_longest_is_taken_and_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
