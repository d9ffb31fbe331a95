/*
 * test_egress.c - which egress IP a message leaves from: by pool and weight, always the same, and
 * another one only when that cannot be used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sender/egress/egress.h"

#define DAY UINT64_C(86400000000)
#define NOW (1000 * DAY)

static void
add(struct egress *egress, const char *ip, const char *pool, unsigned weight, uint64_t rest_us)
{
	char key[80], json[400];

	snprintf(key, sizeof key, "egress/%s", ip);
	snprintf(json, sizeof json,
		"{\"ip\":\"%s\",\"helo\":\"a.example\",\"pool\":\"%s\",\"weight\":%u,"
		"\"rest_until_us\":%llu}",
		ip, pool, weight, (unsigned long long)rest_us);
	assert_true(egress_set(egress, key, json, NOW));
}

static const char *
choose(const struct egress *egress, const char *account, const char *kept, const char *pool)
{
	const struct egress_wish wish = {
		.account = account, .site = "google", .kept = kept, .pool = pool
	};
	const struct egress_entry *entry = egress_choose(egress, &wish, NOW);

	return entry ? entry->ip : "";
}

static const char *
account(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof name, "account%u", i);
	return name;
}

static void
weights_share_the_accounts_and_an_ip_that_goes_moves_only_its_own(void **state)
{
	struct egress *egress = egress_new();
	static char before[10000][NET_TEXT_MAX];
	unsigned heavy = 0, moved = 0, of_gone = 0;

	(void)state;
	add(egress, "192.0.2.1", "good", 1, 0);
	add(egress, "192.0.2.2", "good", 1, 0);
	add(egress, "192.0.2.3", "good", 2, 0);
	add(egress, "192.0.2.9", "bounce", 1000, 0);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(before[i], sizeof before[i], "%s",
			choose(egress, account(i), NULL, "good"));
		heavy += strcmp(before[i], "192.0.2.3") == 0;
	}
	assert_in_range(heavy, 4800, 5200);
	assert_true(egress_set(egress, "egress/192.0.2.1", NULL, NOW));
	for (unsigned i = 0; i < 10000; i++) {
		const char *after = choose(egress, account(i), NULL, "good");

		of_gone += strcmp(before[i], "192.0.2.1") == 0;
		moved += strcmp(before[i], after) != 0;
	}
	assert_int_equal(moved, of_gone);
	assert_in_range(moved, 2300, 2700);
	egress_free(&egress);
}

static void
a_retry_keeps_its_ip_unless_that_rests_or_has_a_fault(void **state)
{
	struct egress *egress = egress_new();
	const char *other;

	(void)state;
	add(egress, "192.0.2.1", "good", 1, 0);
	add(egress, "192.0.2.2", "good", 1, 0);
	for (unsigned i = 0; i < 50; i++)
		assert_string_equal(choose(egress, account(i), "192.0.2.2", "good"), "192.0.2.2");
	/* also after it went to another pool */
	add(egress, "192.0.2.2", "suspect", 1, 0);
	assert_string_equal(choose(egress, "x", "192.0.2.2", "good"), "192.0.2.2");
	assert_true(egress_fault(egress, "192.0.2.2", "cannot be bound", NOW));
	assert_false(egress_fault(egress, "192.0.2.2", "cannot be bound", NOW));
	assert_int_equal(egress_faulty(egress), 1);
	other = choose(egress, "x", "192.0.2.2", "good");
	assert_string_equal(other, "192.0.2.1");
	/* it is tried again after a while */
	assert_true(egress_usable(egress, "192.0.2.2", NOW + EGRESS_FAULT_US));
	assert_false(egress_usable(egress, "192.0.2.2", NOW + EGRESS_FAULT_US - 1));
	assert_true(egress_works(egress, "192.0.2.2"));
	assert_int_equal(egress_faulty(egress), 0);
	add(egress, "192.0.2.2", "suspect", 1, NOW + DAY);
	assert_string_equal(choose(egress, "x", "192.0.2.2", "good"), "192.0.2.1");
	egress_free(&egress);
}

static void
a_pool_that_rests_lets_its_mail_wait_and_leaves_the_good_pool_clean(void **state)
{
	struct egress *egress = egress_new();

	(void)state;
	add(egress, "192.0.2.1", "good", 1, 0);
	add(egress, "192.0.2.2", "suspect", 1, NOW + DAY);
	add(egress, "192.0.2.3", "suspect", 1, NOW + 2 * DAY);
	assert_string_equal(choose(egress, "x", NULL, "suspect"), "");
	assert_int_equal(egress_usable_at(egress, "suspect", NOW), NOW + DAY);
	assert_int_equal(egress_usable_at(egress, "good", NOW), 0);
	egress_free(&egress);
}

static void
ipv6_is_used_by_a_pool_without_ipv4_only(void **state)
{
	struct egress *egress = egress_new();

	(void)state;
	add(egress, "2001:db8::1", "good", 1000, 0);
	assert_string_equal(choose(egress, "x", NULL, "good"), "2001:db8::1");
	add(egress, "192.0.2.1", "good", 1, 0);
	for (unsigned i = 0; i < 50; i++)
		assert_string_equal(choose(egress, account(i), NULL, "good"), "192.0.2.1");
	egress_free(&egress);
}

static void
the_kind_of_mail_and_the_age_of_the_account_choose_the_pool(void **state)
{
	struct egress *egress = egress_new();
	Envelope envelope;
	char young[64];

	(void)state;
	envelope__init(&envelope);
	envelope.account = (char *)"k3m9x2p7qa";
	envelope.mail_from = (char *)"a@b.example";
	add(egress, "192.0.2.1", "good", 1, 0);
	snprintf(
		young, sizeof young, "{\"created_us\":%llu}", (unsigned long long)(NOW - 13 * DAY));
	assert_true(egress_set(egress, "account/k3m9x2p7qa", young, NOW));
	/* no pool "new": the good one serves all */
	assert_string_equal(egress_pool(egress, &envelope, NOW), "good");
	add(egress, "192.0.2.2", "new", 1, 0);
	add(egress, "192.0.2.3", "bounce", 1, 0);
	assert_string_equal(egress_pool(egress, &envelope, NOW), "new");
	envelope.suspect = true;
	assert_string_equal(
		egress_pool(egress, &envelope, NOW), "good"); /* there is no such pool */
	envelope.suspect = false;
	assert_string_equal(egress_pool(egress, &envelope, NOW + DAY), "good");
	envelope.mail_from = (char *)"";
	assert_string_equal(egress_pool(egress, &envelope, NOW), "bounce");
	envelope.mail_from = (char *)"postmaster@relay.example";
	envelope.kind = ENVELOPE__KIND__NOTICE;
	assert_string_equal(egress_pool(egress, &envelope, NOW), "bounce");
	egress_free(&egress);
}

static void
an_entry_that_cannot_be_read_is_not_used(void **state)
{
	struct egress *egress = egress_new();

	(void)state;
	add(egress, "192.0.2.1", "good", 1, 0);
	assert_false(egress_set(egress, "egress/192.0.2.1", "{}", NOW));
	assert_false(egress_any(egress));
	/* an entry is about the IP of its key */
	assert_false(egress_set(egress, "egress/192.0.2.1",
		"{\"ip\":\"192.0.2.2\",\"helo\":\"a.example\",\"pool\":\"good\",\"weight\":1}",
		NOW));
	assert_true(egress_set(egress, "egress/192.0.2.1", NULL, NOW));
	assert_true(egress_set(egress, "user/x", "{}", NOW));
	egress_free(&egress);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights_share_the_accounts_and_an_ip_that_goes_moves_only_its_own),
		cmocka_unit_test(a_retry_keeps_its_ip_unless_that_rests_or_has_a_fault),
		cmocka_unit_test(
			a_pool_that_rests_lets_its_mail_wait_and_leaves_the_good_pool_clean),
		cmocka_unit_test(ipv6_is_used_by_a_pool_without_ipv4_only),
		cmocka_unit_test(the_kind_of_mail_and_the_age_of_the_account_choose_the_pool),
		cmocka_unit_test(an_entry_that_cannot_be_read_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
