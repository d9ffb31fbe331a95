/*
 * test_rights.c - who may do what: each right for each role, scope and account.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "control/people/rights.h"

/* For each right the callers that have it, in this order: root; persons of an account: reader,
 * manager, owner; of the operator: support, postmaster, admin; an account's tokens: read, trace,
 * write; the operator's: read, trace, write. */
static const struct {
	enum right right;
	const char *allowed;
} rows[] = {
	/* clang-format off */
	{ RIGHT_NONE,       "- --- --- --- ---" },
	{ RIGHT_PUBLIC,     "+ +++ +++ +++ +++" },
	{ RIGHT_SELF,       "- +++ +++ --- ---" },
	{ RIGHT_READ,       "+ +++ +++ +-- +--" },
	{ RIGHT_TRACE,      "+ +++ +++ -+- -+-" },
	{ RIGHT_MANAGE,     "+ -++ +++ --+ --+" },
	{ RIGHT_OWN,        "+ --+ --+ --- ---" },
	{ RIGHT_LOOK,       "+ --- +++ --- +--" },
	{ RIGHT_SERVE,      "+ --- +++ --- --+" },
	{ RIGHT_RESELL,     "+ -++ +++ --+ --+" },
	{ RIGHT_RESELL_LOOK, "+ +++ +++ +-- +--" },
	{ RIGHT_POSTMASTER, "+ --- -++ --- --+" },
	{ RIGHT_ADMIN,      "+ --- --+ --- ---" },
	{ RIGHTS,           "- --- --- --- ---" },
	/* clang-format on */
};

static const struct caller callers[] = {
	{ .kind = CALLER_ROOT },
	{ .kind = CALLER_PERSON, .role = ROLE_READER, .account = "a" },
	{ .kind = CALLER_PERSON, .role = ROLE_MANAGER, .account = "a" },
	{ .kind = CALLER_PERSON, .role = ROLE_OWNER, .account = "a" },
	{ .kind = CALLER_PERSON, .role = ROLE_SUPPORT },
	{ .kind = CALLER_PERSON, .role = ROLE_POSTMASTER },
	{ .kind = CALLER_PERSON, .role = ROLE_ADMIN },
	{ .kind = CALLER_TOKEN, .scopes = SCOPE_READ, .account = "a" },
	{ .kind = CALLER_TOKEN, .scopes = SCOPE_TRACE, .account = "a" },
	{ .kind = CALLER_TOKEN, .scopes = SCOPE_WRITE, .account = "a" },
	{ .kind = CALLER_TOKEN, .scopes = SCOPE_READ },
	{ .kind = CALLER_TOKEN, .scopes = SCOPE_TRACE },
	{ .kind = CALLER_TOKEN, .scopes = SCOPE_WRITE },
};

static void
each_right_is_that_of_the_table(void **state)
{
	(void)state;
	assert_int_equal(sizeof rows / sizeof *rows, RIGHTS + 1);
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		const char *at = rows[row].allowed;

		for (size_t i = 0; i < sizeof callers / sizeof *callers; i++, at++) {
			at += *at == ' ';
			if (caller_may(&callers[i], rows[row].right) != (*at == '+'))
				fail_msg("right %zu, caller %zu", row, i);
		}
		assert_int_equal(*at, '\0');
	}
}

static void
nobody_and_who_fits_no_role_may_what_is_public_alone(void **state)
{
	static const struct caller odd[] = {
		{ .kind = CALLER_NOBODY, .role = ROLE_ADMIN, .scopes = 7 },
		{ .kind = CALLER_PERSON, .role = ROLE_OWNER },                 /* of no account */
		{ .kind = CALLER_PERSON, .role = ROLE_ADMIN, .account = "a" }, /* of an account */
		{ .kind = CALLER_PERSON, .role = ROLE_NONE, .account = "a" },
		{ .kind = CALLER_TOKEN, .scopes = 0, .account = "a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		for (int right = RIGHT_READ; right < RIGHTS; right++)
			assert_false(caller_may(&odd[i], (enum right)right));
}

static void
who_belongs_to_an_account_sees_that_one_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
		assert_true(caller_sees(&callers[i], "a"));
		assert_int_equal(caller_sees(&callers[i], "b"), !*callers[i].account);
		assert_int_equal(caller_sees(&callers[i], "aa"), !*callers[i].account);
		assert_int_equal(caller_sees(&callers[i], ""), !*callers[i].account);
	}
	assert_false(caller_sees(&(struct caller){ 0 }, ""));
}

static void
names_lead_back(void **state)
{
	(void)state;
	for (int role = ROLE_READER; role < ROLES; role++)
		assert_int_equal(role_find(role_name((enum role)role)), role);
	for (unsigned i = 0; i < SCOPES; i++)
		assert_int_equal(scope_find(scope_name(i)), 1u << i);
	assert_int_equal(role_find(""), ROLE_NONE);
	assert_int_equal(role_find("root"), ROLE_NONE);
	assert_int_equal(role_find(NULL), ROLE_NONE);
	assert_int_equal(scope_find("all"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_right_is_that_of_the_table),
		cmocka_unit_test(nobody_and_who_fits_no_role_may_what_is_public_alone),
		cmocka_unit_test(who_belongs_to_an_account_sees_that_one_alone),
		cmocka_unit_test(names_lead_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
