/*
 * test_scram.c - verifiers: the RFC's vector, other programs' text form, and what is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/account/scram.h"

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
	char text[SCRAM_TEXT_MAX];
	struct scram_verifier real, a, again, b, elsewhere;

	(void)state;
	scram_dummy("key", "nobody", &a);
	scram_dummy("key", "NoBody", &again); /* a real user is found so, too */
	scram_dummy("key", "somebody", &b);
	scram_dummy("other key", "nobody", &elsewhere);
	assert_memory_equal(&a, &again, sizeof a);
	assert_memory_not_equal(a.salt, b.salt, a.salt_length);
	assert_memory_not_equal(a.salt, elsewhere.salt, a.salt_length);
	assert_false(scram_check(&a, "nobody"));
	assert_int_equal(scram_make("pencil", text), 0);
	assert_int_equal(scram_parse(text, &real), 0);
	assert_int_equal(a.iterations, real.iterations);
	assert_int_equal(a.salt_length, real.salt_length);
}

/* The processes of a cluster, before and after a restart, whatever version they are of. */
static void
the_salt_of_a_name_is_the_same_for_ever(void **state)
{
	static const uint8_t salt[] = { 0x6a, 0x01, 0x81, 0xad, 0xa3, 0x15, 0x74, 0x00, 0xcf, 0xc1,
		0x66, 0x35, 0x21, 0xf2, 0xb5, 0xc5 };
	struct scram_verifier v;

	(void)state;
	scram_dummy("0123456789abcdef0123456789abcdef", "ghost", &v);
	assert_memory_equal(v.salt, salt, sizeof salt);
}

/* The dialogue of RFC 7677 3. */
static void
a_proof_names_its_password(void **state)
{
	static const char first[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
	static const char answer[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				     "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
	static const char final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
	const char *text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
			   "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
			   "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	char other[SCRAM_TEXT_MAX], apart[SCRAM_TEXT_MAX];
	struct scram_verifier v[3];

	(void)state;
	assert_int_equal(scram_make_beside("other", text, other), 0);
	assert_int_equal(scram_make_beside("other", "none", apart), -EINVAL);
	assert_int_equal(scram_make("pencil", apart), 0);
	assert_int_equal(scram_parse(other, &v[0]), 0);
	assert_int_equal(scram_parse(text, &v[1]), 0);
	assert_int_equal(scram_parse(apart, &v[2]), 0);
	assert_memory_equal(v[0].salt, v[1].salt, sizeof v[0].salt);
	assert_int_equal(scram_check_any(v, 3, "other"), 0);
	assert_int_equal(scram_check_any(v, 3, "pencil"), 1);
	assert_int_equal(scram_check_any(v, 3, "pen"), -1);
	assert_int_equal(scram_proof_of(v, 3, first, answer, final), 1);
	assert_int_equal(scram_proof_of(v, 1, first, answer, final), -1);
	assert_int_equal(scram_proof_of(v, 3, "n,,n=user,r=x", answer, final), -1);
	assert_int_equal(scram_proof_of(v, 3, "user", answer, final), -1);
	assert_int_equal(scram_proof_of(v, 3, first, answer, "c=biws"), -1);
	assert_int_equal(scram_proof_of(v, 3, first, answer, "c=biws,p="), -1);
	assert_int_equal(scram_proof_of(v, 3, first, answer, "c=biws,p=AAAA"), -1);
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
		cmocka_unit_test(the_salt_of_a_name_is_the_same_for_ever),
		cmocka_unit_test(a_proof_names_its_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
