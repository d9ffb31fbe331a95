/*
 * test_totp.c - codes of RFC 6238's table, clocks that are off, recovery codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/people/totp.h"

/* "12345678901234567890" in base32: appendix B of RFC 6238, of whose 8 digits ours are the last
 * 6. */
#define RFC_SECRET "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

static void
the_codes_are_those_of_the_rfc(void **state)
{
	static const struct {
		uint64_t time;
		const char *code;
	} rows[] = {
		{ 59, "287082" },
		{ 1111111109, "081804" },
		{ 1111111111, "050471" },
		{ 1234567890, "005924" },
		{ 2000000000, "279037" },
		{ 20000000000, "353130" },
	};
	char code[7];
	uint64_t step;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(totp_code(RFC_SECRET, rows[i].time / TOTP_STEP_S, code));
		assert_string_equal(code, rows[i].code);
		assert_true(totp_check(RFC_SECRET, rows[i].code, rows[i].time, &step));
		assert_int_equal(step, rows[i].time / TOTP_STEP_S);
	}
}

static void
a_clock_may_be_off_by_one_step(void **state)
{
	char code[7];
	uint64_t step;

	(void)state;
	totp_code(RFC_SECRET, 1000, code);
	for (uint64_t at = 998; at <= 1002; at++) {
		const bool near = at >= 999 && at <= 1001;

		assert_int_equal(totp_check(RFC_SECRET, code, at * TOTP_STEP_S, &step), near);
		if (near)
			assert_int_equal(step, 1000);
	}
}

static void
what_is_no_code_is_none(void **state)
{
	static const char *const bad[] = { "", "287 08", "28708", "2870820", "28708a", "٢٨٧٠٨٢",
		"-", "287082 0", "000000" };
	uint64_t step;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(totp_check(RFC_SECRET, bad[i], 59, &step));
	assert_true(totp_check(RFC_SECRET, " 287 082 ", 59, &step));
	assert_false(totp_check("short", "287082", 59, &step));
	assert_false(totp_check("gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "287082", 59, &step));
}

static void
a_new_secret_is_another_one(void **state)
{
	char one[TOTP_SECRET_SIZE], two[TOTP_SECRET_SIZE], *uri;

	(void)state;
	totp_secret_new(one);
	totp_secret_new(two);
	assert_true(totp_secret_valid(one) && totp_secret_valid(two));
	assert_string_not_equal(one, two);
	uri = totp_uri("Società \"X\"", "a+b@x.example", RFC_SECRET);
	assert_string_equal(uri,
		"otpauth://totp/Societ%C3%A0%20%22X%22:a%2Bb%40x.example?secret=" RFC_SECRET
		"&issuer=Societ%C3%A0%20%22X%22");
	free(uri);
}

static void
each_recovery_code_is_found_at_its_place(void **state)
{
	json_t *codes, *hashes;
	char spelt[40];

	(void)state;
	recovery_new(&codes, &hashes);
	assert_int_equal(json_array_size(codes), RECOVERY_CODES);
	for (int i = 0; i < RECOVERY_CODES; i++) {
		const char *code = json_string_value(json_array_get(codes, (size_t)i));

		assert_int_equal(strlen(code), RECOVERY_SIZE - 1);
		assert_int_equal(recovery_find(hashes, code), i);
		for (size_t j = 0; j <= strlen(code); j++)
			spelt[j] = (char)(code[j] >= 'a' ? code[j] - 32
					: code[j] == '-' ? ' '
							 : code[j]);
		assert_int_equal(recovery_find(hashes, spelt), i);
		spelt[0] = spelt[0] == '2' ? '3' : '2';
		assert_int_equal(recovery_find(hashes, spelt), -1);
	}
	assert_int_equal(recovery_find(hashes, ""), -1);
	assert_int_equal(recovery_find(NULL, "2222-2222-2222-2222"), -1);
	json_decref(codes);
	json_decref(hashes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_codes_are_those_of_the_rfc),
		cmocka_unit_test(a_clock_may_be_off_by_one_step),
		cmocka_unit_test(what_is_no_code_is_none),
		cmocka_unit_test(a_new_secret_is_another_one),
		cmocka_unit_test(each_recovery_code_is_found_at_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
