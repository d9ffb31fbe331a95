/*
 * test_account_mode.c - the switch from one mode to the other, by a clock that the test sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/account/account_mode.h"
#include "control/account/accounts.h"
#include "control/config/directory.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "tests/unit/control/account/edit_rig.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define SECOND_US UINT64_C(1000000)

static char id[16];

static int
applied(int err)
{
	if (!err)
		apply();
	return err;
}

/* Status 0: done; else the refusal's. */
static int
switch_to(const char *text)
{
	json_t *body = parsed(text);
	int err;

	forget();
	err = applied(account_mode_switch(&edit, id, body));
	json_decref(body);
	return err ? edit.fault.status : 0;
}

static int
do_edit(int (*fn)(struct edit *edit, const char *account))
{
	forget();
	return applied(fn(&edit, id)) ? edit.fault.status : 0;
}

static json_t *
account(void)
{
	return directory_get(directory, "account", id);
}

static const char *
word(const char *field)
{
	return json_string_value(json_object_get(account(), field));
}

/* What Redis tells: one use, so many microseconds after the switch began. */
static bool
seen(const char *name, int64_t later_us, uint64_t now_us)
{
	json_t *times = json_object();
	bool done;

	json_object_set_new(
		times, name, json_integer((json_int_t)account_switch_since(account()) + later_us));
	forget();
	done = account_mode_seen(&edit, id, times, now_us);
	json_decref(times);
	applied(done ? 0 : -1);
	return done;
}

static int
setup(void **state)
{
	json_t *body = parsed("{\"name\":\"Acme\",\"contact\":\"it@acme.example\","
			      "\"domains\":[\"acme.example\"],\"verified\":true}");

	(void)state;
	directory = directory_new();
	forget();
	assert_int_equal(applied(account_create(&edit, body)), 0);
	snprintf(id, sizeof id, "%s", json_string_value(json_object_get(edit.reply, "account")));
	json_decref(body);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	forget();
	directory_free(&directory);
	return 0;
}

#define TO_IP "{\"mode\":\"ip\",\"addresses\":[\"192.0.2.7\"]}"

static void
both_modes_count_until_the_new_one_is_seen(void **state)
{
	const uint64_t now = clock_us() + 100 * DAY_US;

	(void)state;
	assert_int_equal(switch_to(TO_IP), 0);
	assert_string_equal(word("mode"), "credentials");
	assert_null(word("off"));
	assert_false(account_grace_is_over(account(), now));
	assert_false(seen("user/acme-1", SECOND_US, now)); /* the old mode */
	assert_false(seen("ip/192.0.2.7", 0, now));        /* before the switch */
	assert_true(seen("ip/192.0.2.7", 1, now));
	assert_string_equal(word("mode"), "ip");
	assert_null(word("off"));
	assert_null(json_object_get(account(), "switch"));
	assert_false(seen("ip/192.0.2.7", 1, now)); /* a second control process */
}

static void
the_old_mode_is_off_when_the_time_of_grace_is_over(void **state)
{
	const uint64_t now = clock_us();

	(void)state;
	assert_int_equal(
		switch_to("{\"mode\":\"ip\",\"addresses\":[\"192.0.2.7\"],\"grace_days\":3}"), 0);
	assert_true(seen("ip/192.0.2.7", 1, now));
	assert_false(account_grace_is_over(account(), now + 3 * DAY_US - 1));
	assert_true(account_grace_is_over(account(), now + 3 * DAY_US));
	assert_int_equal(do_edit(account_grace_end), 0);
	assert_string_equal(word("off"), "credentials");
	assert_null(json_object_get(account(), "grace"));
	assert_false(account_grace_is_over(account(), now + 99 * DAY_US));
	assert_int_equal(do_edit(account_grace_end), 409);
}

static void
the_time_of_grace_is_extended_once(void **state)
{
	const uint64_t now = clock_us();

	(void)state;
	assert_int_equal(do_edit(account_grace_extend), 409);
	assert_int_equal(switch_to(TO_IP), 0);
	assert_int_equal(do_edit(account_grace_extend), 409);
	assert_true(seen("ip/192.0.2.7", 1, now));
	assert_int_equal(do_edit(account_grace_extend), 0);
	assert_false(account_grace_is_over(account(), now + 28 * DAY_US - 1));
	assert_true(account_grace_is_over(account(), now + 28 * DAY_US));
	assert_int_equal(do_edit(account_grace_extend), 409);
}

static void
a_switch_is_taken_back_until_its_mode_was_seen(void **state)
{
	(void)state;
	assert_int_equal(do_edit(account_mode_undo), 409);
	assert_int_equal(switch_to(TO_IP), 0);
	assert_int_equal(do_edit(account_grace_end), 409); /* nothing by the new mode yet */
	assert_int_equal(switch_to(TO_IP), 409);
	assert_int_equal(switch_to("{\"mode\":\"credentials\"}"), 409);
	assert_int_equal(do_edit(account_mode_undo), 0);
	assert_string_equal(word("mode"), "credentials");
	assert_null(json_object_get(account(), "switch"));
	assert_int_equal(switch_to(TO_IP), 0);
	assert_true(seen("ip/192.0.2.7", 1, clock_us()));
	assert_int_equal(do_edit(account_mode_undo), 409);
}

/* The mode that a switch goes back to counts at once, and is off again when the switch is taken
 * back. */
static void
a_switch_back_opens_what_was_off(void **state)
{
	(void)state;
	assert_int_equal(switch_to(TO_IP), 0);
	assert_true(seen("ip/192.0.2.7", 1, clock_us()));
	assert_int_equal(do_edit(account_grace_end), 0);
	assert_int_equal(switch_to("{\"mode\":\"credentials\"}"), 0);
	assert_null(word("off"));
	assert_null(json_object_get(edit.reply, "password")); /* the user is still there */
	assert_int_equal(do_edit(account_mode_undo), 0);
	assert_string_equal(word("off"), "credentials");
	assert_string_equal(word("mode"), "ip");
}

static void
an_account_gets_what_its_new_mode_needs(void **state)
{
	const char *key;
	char username[128] = "";
	json_t *value;

	(void)state;
	assert_int_equal(switch_to("{\"mode\":\"ip\"}"), 409); /* no address */
	assert_string_equal(edit.fault.field, "addresses");
	assert_int_equal(switch_to("{\"mode\":\"ip\",\"addresses\":[\"no\"]}"), 400);
	assert_int_equal(switch_to("{\"mode\":\"ip\",\"grace_days\":91}"), 400);
	assert_int_equal(switch_to("{\"mode\":\"both\"}"), 400);
	assert_int_equal(switch_to("{\"mode\":\"credentials\"}"), 409); /* is so */
	assert_null(json_object_get(account(), "switch"));
	assert_int_equal(switch_to(TO_IP), 0);
	assert_true(seen("ip/192.0.2.7", 1, clock_us()));
	json_object_foreach(
		directory_members(directory, id), key, value) if (strncmp(key, "user/", 5) == 0)
		snprintf(username, sizeof username, "%s", key + 5);
	forget();
	assert_int_equal(applied(account_remove_user(&edit, id, username)), 0);
	assert_int_equal(switch_to("{\"mode\":\"credentials\"}"), 0);
	assert_non_null(json_object_get(edit.reply, "password"));
}

static void
what_a_file_says_is_checked(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{ "{}", 0 },
		{ "{\"mode\":\"ip\"}", 0 },
		{ "{\"mode\":\"ip\",\"off\":\"credentials\"}", 0 },
		{ "{\"mode\":\"ip\",\"off\":\"ip\"}", -1 },
		{ "{\"off\":\"ip\"}", -1 },
		{ "{\"mode\":\"both\"}", -1 },
		{ "{\"mode\":\"ip\",\"switch\":{\"to\":\"credentials\",\"since_us\":1}}", 0 },
		{ "{\"mode\":\"ip\",\"switch\":{\"to\":\"no\",\"since_us\":1}}", -1 },
		{ "{\"mode\":\"ip\",\"switch\":{\"to\":\"credentials\"}}", -1 },
		{ "{\"mode\":\"ip\",\"switch\":{\"to\":\"credentials\",\"since_us\":1,\"x\":1}}",
			-1 },
		{ "{\"switch\":{\"to\":\"credentials\",\"since_us\":1}}", -1 },
		{ "{\"mode\":\"ip\",\"grace\":{\"until_us\":5}}", 0 },
		{ "{\"mode\":\"ip\",\"grace\":{\"until_us\":0}}", -1 },
		{ "{\"mode\":\"ip\",\"off\":\"credentials\",\"grace\":{\"until_us\":5}}", -1 },
	};
	struct fault fault;
	json_t *entry;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		entry = parsed(rows[i].text);
		assert_int_equal(account_mode_check(&fault, entry), rows[i].err);
		json_decref(entry);
	}
}

/* An address that was only typed in makes nobody a customer. */
static void
a_customer_brings_no_addresses_unproved(void **state)
{
	json_t *body = parsed("{\"mode\":\"ip\",\"addresses\":[\"192.0.2.1\"]}");

	(void)state;
	forget();
	edit.customer = true;
	assert_int_equal(account_mode_switch(&edit, id, body), -1);
	assert_int_equal(edit.fault.status, 403);
	assert_string_equal(edit.fault.field, "addresses");
	json_decref(body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			both_modes_count_until_the_new_one_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_old_mode_is_off_when_the_time_of_grace_is_over, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_time_of_grace_is_extended_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_switch_is_taken_back_until_its_mode_was_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(a_switch_back_opens_what_was_off, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_customer_brings_no_addresses_unproved, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_account_gets_what_its_new_mode_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_file_says_is_checked, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
