/*
 * test_scram.c - verifiers: the RFC's vector, other programs' text form, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/scram.h"

static void
a_password_matches_its_own_verifier_only(void **state)
{
	char text[SCRAM_TEXT_MAX], again[SCRAM_TEXT_MAX];
	struct scram_verifier v;

	(void)state;
	assert_int_equal(scram_make("pencil", text), 0);
	assert_int_equal(scram_make("pencil", again), 0);
	assert_string_not_equal(text, again);
	assert_int_equal(scram_parse(text, &v), 0);
	assert_int_equal(v.iterations, SCRAM_ITERATIONS);
	assert_true(scram_check(&v, "pencil"));
	assert_false(scram_check(&v, "Pencil"));
	assert_false(scram_check(&v, ""));
	assert_false(scram_check(&v, "\a"));
}

/* Keys computed from the example of RFC 7677 3 (user, pencil, salt, 4096). */
static void
the_example_of_rfc_7677_checks(void **state)
{
	const char *text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
			   "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
			   "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	struct scram_verifier v;

	(void)state;
	assert_int_equal(scram_parse(text, &v), 0);
	assert_int_equal(v.salt_length, 16);
	assert_true(scram_check(&v, "pencil"));
	assert_false(scram_check(&v, "pencils"));
}

/* RFC 4013 3: a soft hyphen is mapped to nothing, roman numeral nine to IX. */
static void
passwords_are_saslprepped(void **state)
{
	char text[SCRAM_TEXT_MAX];
	struct scram_verifier v;

	(void)state;
	assert_int_equal(scram_make("I\xc2\xadX", text), 0);
	assert_int_equal(scram_parse(text, &v), 0);
	assert_true(scram_check(&v, "IX"));
	assert_true(scram_check(&v, "\xe2\x85\xa8"));
	assert_int_not_equal(scram_make("bell\a", text), 0);
	assert_int_not_equal(scram_make("", text), 0);
	assert_int_not_equal(scram_make("\xff\xfe", text), 0);
}

static void
what_is_no_verifier_is_refused(void **state)
{
	static const char *const bad[] = { "", "SCRAM-SHA-256$", "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:AAAA",
		"SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" };
	struct scram_verifier v;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_not_equal(scram_parse(bad[i], &v), 0);
}

static void
an_unknown_user_gets_one_verifier_that_nothing_matches(void **state)
{
	struct scram_verifier a, again, b;

	(void)state;
	scram_dummy("nobody", &a);
	scram_dummy("nobody", &again);
	scram_dummy("somebody", &b);
	assert_memory_equal(&a, &again, sizeof a);
	assert_memory_not_equal(a.salt, b.salt, a.salt_length);
	assert_int_equal(a.iterations, SCRAM_ITERATIONS);
	assert_false(scram_check(&a, "nobody"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_matches_its_own_verifier_only),
		cmocka_unit_test(the_example_of_rfc_7677_checks),
		cmocka_unit_test(passwords_are_saslprepped),
		cmocka_unit_test(what_is_no_verifier_is_refused),
		cmocka_unit_test(an_unknown_user_gets_one_verifier_that_nothing_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
