/*
 * test_domain_state.c - how a domain is verified, and lost, by a clock that the test sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/account/accounts.h"
#include "control/account/domain_state.h"
#include "control/config/directory.h"
#include "tests/unit/control/account/edit_rig.h"

#define HOUR_US (UINT64_C(3600) * 1000000)
#define DAY_US (24 * HOUR_US)
#define START_US (UINT64_C(1800000000) * 1000000)
#define DOMAIN "acme.example"

static char account[16];

static void
create(bool pending, bool verified)
{
	json_t *body = json_pack("{s:s, s:s, s:[s], s:b, s:b}", "name", "n", "contact",
		"it@acme.example", "domains", DOMAIN, "pending", pending, "verified", verified);

	forget();
	assert_int_equal(account_create(&edit, body), 0);
	snprintf(account, sizeof account, "%s",
		json_string_value(json_object_get(edit.reply, "account")));
	apply();
	json_decref(body);
}

static const json_t *
entry(void)
{
	return directory_get(directory, "account", account);
}

static const json_t *
domain(void)
{
	return domain_in_account(entry(), DOMAIN);
}

/* Whether the check changes anything. */
static bool
check(enum domain_seen seen, uint64_t now_us)
{
	bool changed;

	forget();
	changed = account_domain_seen(&edit, account, DOMAIN, seen, now_us);
	if (changed)
		apply();
	else
		assert_int_equal(json_object_size(edit.changes), 0);
	return changed;
}

static void
assert_domain(const char *state, bool verified)
{
	assert_string_equal(domain_state(domain()), state);
	assert_int_equal(json_is_true(json_object_get(domain(), "verified")), verified);
}

static const char *
status(void)
{
	return json_string_value(json_object_get(entry(), "status"));
}

static void
a_record_verifies_and_makes_a_pending_account_active(void **state)
{
	(void)state;
	create(true, false);
	assert_string_equal(status(), "pending");
	assert_false(check(DOMAIN_UNSURE, START_US));
	assert_false(check(DOMAIN_NOT_SEEN, START_US));
	assert_domain("unverified", false);
	assert_true(check(DOMAIN_SEEN, START_US));
	assert_domain("verified", true);
	assert_string_equal(status(), "active");
	assert_true(json_is_true(json_object_get(edit.reply, "began")));
	assert_false(check(DOMAIN_SEEN, START_US + DAY_US));
}

static void
an_account_that_is_active_does_not_begin_again(void **state)
{
	(void)state;
	create(false, false);
	assert_true(check(DOMAIN_SEEN, START_US));
	assert_null(json_object_get(edit.reply, "began"));
}

static void
three_days_without_the_record_lose_the_domain_and_seven_more_its_mail(void **state)
{
	(void)state;
	create(false, false);
	check(DOMAIN_SEEN, START_US);
	for (unsigned day = 1; day <= 2; day++) {
		assert_true(check(DOMAIN_NOT_SEEN, START_US + day * DAY_US));
		assert_domain("verified", true);
		assert_false(check(DOMAIN_NOT_SEEN, START_US + day * DAY_US + HOUR_US));
		assert_false(check(DOMAIN_UNSURE, START_US + day * DAY_US + 2 * HOUR_US));
	}
	assert_true(check(DOMAIN_NOT_SEEN, START_US + 3 * DAY_US));
	assert_domain("lost", true);
	assert_true(domain_refused_us(domain()) == START_US + 10 * DAY_US);
	assert_false(check(DOMAIN_NOT_SEEN, START_US + 10 * DAY_US - 1));
	assert_false(check(DOMAIN_UNSURE, START_US + 11 * DAY_US));
	assert_domain("lost", true);
	assert_true(check(DOMAIN_NOT_SEEN, START_US + 12 * DAY_US));
	assert_domain("lost", false);
	assert_false(check(DOMAIN_NOT_SEEN, START_US + 13 * DAY_US));
	assert_true(check(DOMAIN_SEEN, START_US + 14 * DAY_US));
	assert_domain("verified", true);
	assert_true(domain_refused_us(domain()) == 0);
}

static void
a_record_that_comes_back_begins_the_count_anew(void **state)
{
	(void)state;
	create(false, false);
	check(DOMAIN_SEEN, START_US);
	check(DOMAIN_NOT_SEEN, START_US + DAY_US);
	check(DOMAIN_NOT_SEEN, START_US + 2 * DAY_US);
	assert_true(check(DOMAIN_SEEN, START_US + 3 * DAY_US));
	check(DOMAIN_NOT_SEEN, START_US + 4 * DAY_US);
	check(DOMAIN_NOT_SEEN, START_US + 5 * DAY_US);
	assert_domain("verified", true);
	check(DOMAIN_NOT_SEEN, START_US + 6 * DAY_US);
	assert_domain("lost", true);
}

static void
what_an_operator_vouches_for_stays(void **state)
{
	(void)state;
	create(false, true);
	assert_true(domain_is_vouched(domain()));
	for (unsigned day = 0; day < 20; day++)
		assert_false(check(DOMAIN_NOT_SEEN, START_US + day * DAY_US));
	assert_false(check(DOMAIN_SEEN, START_US));
	assert_domain("verified", true);
}

static void
an_operator_may_vouch_for_what_was_lost(void **state)
{
	json_t *body = json_pack("{s:s, s:b}", "name", DOMAIN, "verified", true);

	(void)state;
	create(false, false);
	check(DOMAIN_SEEN, START_US);
	for (unsigned day = 1; day <= 12; day++)
		check(DOMAIN_NOT_SEEN, START_US + day * DAY_US);
	assert_domain("lost", false);
	forget();
	assert_int_equal(account_add_domain(&edit, account, body), 0);
	apply();
	assert_domain("verified", true);
	assert_true(domain_is_vouched(domain()));
	json_decref(body);
}

static void
a_deleted_account_proves_nothing(void **state)
{
	(void)state;
	create(true, false);
	forget();
	assert_int_equal(account_delete(&edit, account), 0);
	apply();
	assert_false(check(DOMAIN_SEEN, START_US));
	assert_domain("unverified", false);
}

static void
a_customer_verifies_nothing_and_hears_of_nobody(void **state)
{
	char other[16];
	json_t *vouch = json_pack("{s:s, s:b}", "name", "new.example", "verified", true);
	json_t *theirs = json_pack("{s:s}", "name", DOMAIN);
	json_t *own = json_pack("{s:s, s:i}", "name", "new.example", "mailboxes", 3);

	(void)state;
	create(false, true);
	memcpy(other, account, sizeof other);
	forget();
	json_t *body = json_pack("{s:s, s:s, s:[s]}", "name", "n", "contact", "a@b.example",
		"domains", "second.example");
	assert_int_equal(account_create(&edit, body), 0);
	json_decref(body);
	snprintf(account, sizeof account, "%s",
		json_string_value(json_object_get(edit.reply, "account")));
	apply();
	forget();
	edit.customer = true;
	assert_int_equal(account_add_domain(&edit, account, vouch), -1);
	assert_int_equal(edit.fault.status, 403);
	forget();
	edit.customer = true;
	assert_int_equal(account_add_domain(&edit, account, theirs), -1);
	assert_int_equal(edit.fault.status, 409);
	assert_null(strstr(edit.fault.error, other));
	assert_non_null(strstr(edit.fault.error, "registered already"));
	forget();
	edit.customer = true;
	assert_int_equal(account_add_domain(&edit, account, own), 0);
	apply();
	assert_string_equal(domain_state(domain_in_account(entry(), "new.example")), "unverified");
	json_decref(vouch);
	json_decref(theirs);
	json_decref(own);
}

static void
a_customer_has_so_many_unverified_domains_and_no_more(void **state)
{
	char name[32];
	json_t *body;

	(void)state;
	create(false, true);
	for (unsigned i = 0; i <= DOMAINS_UNVERIFIED_MAX; i++) {
		snprintf(name, sizeof name, "d%u.example", i);
		body = json_pack("{s:s}", "name", name);
		forget();
		edit.customer = true;
		assert_int_equal(account_add_domain(&edit, account, body),
			i < DOMAINS_UNVERIFIED_MAX ? 0 : -1);
		if (i < DOMAINS_UNVERIFIED_MAX)
			apply();
		json_decref(body);
	}
	assert_int_equal(edit.fault.status, 409);
}

static void
a_suspension_has_a_reason_and_an_end(void **state)
{
	json_t *body = json_pack(
		"{s:s, s:s}", "reason", "too many complaints", "until", "2199-01-01T00:00:00Z");
	json_t *past = json_pack("{s:s}", "until", "2020-01-01T00:00:00Z");

	(void)state;
	create(false, true);
	forget();
	assert_int_equal(account_disable(&edit, account, past), -1);
	assert_string_equal(edit.fault.field, "until");
	forget();
	assert_int_equal(account_disable(&edit, account, body), 0);
	apply();
	assert_string_equal(status(), "disabled");
	assert_string_equal(
		json_string_value(json_object_get(entry(), "reason")), "too many complaints");
	assert_false(account_is_due(entry(), START_US));
	assert_true(account_is_due(entry(), UINT64_C(8000000000) * 1000000));
	forget();
	assert_int_equal(account_enable(&edit, account), 0);
	apply();
	assert_string_equal(status(), "active");
	assert_null(json_object_get(entry(), "reason"));
	assert_false(account_is_due(entry(), UINT64_MAX));
	json_decref(body);
	json_decref(past);
}

static int
start(void **state)
{
	(void)state;
	directory = directory_new();
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	forget();
	directory_free(&directory);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_record_verifies_and_makes_a_pending_account_active, start, stop),
		cmocka_unit_test_setup_teardown(
			an_account_that_is_active_does_not_begin_again, start, stop),
		cmocka_unit_test_setup_teardown(
			three_days_without_the_record_lose_the_domain_and_seven_more_its_mail,
			start, stop),
		cmocka_unit_test_setup_teardown(
			a_record_that_comes_back_begins_the_count_anew, start, stop),
		cmocka_unit_test_setup_teardown(what_an_operator_vouches_for_stays, start, stop),
		cmocka_unit_test_setup_teardown(
			an_operator_may_vouch_for_what_was_lost, start, stop),
		cmocka_unit_test_setup_teardown(a_deleted_account_proves_nothing, start, stop),
		cmocka_unit_test_setup_teardown(
			a_customer_verifies_nothing_and_hears_of_nobody, start, stop),
		cmocka_unit_test_setup_teardown(
			a_customer_has_so_many_unverified_domains_and_no_more, start, stop),
		cmocka_unit_test_setup_teardown(a_suspension_has_a_reason_and_an_end, start, stop),
	};

	return cmocka_run_group_tests_name("domain_state", tests, NULL, NULL);
}
