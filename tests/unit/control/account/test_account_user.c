/*
 * test_account_user.c - usernames: renewed with an overlap, changed, suspended, and in a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/account/account_user.h"
#include "control/account/accounts.h"
#include "control/account/transfer.h"
#include "control/config/directory.h"
#include "shared/account/scram.h"
#include "shared/base/loop.h"
#include "tests/unit/control/account/edit_rig.h"

#define HOUR_US (UINT64_C(3600) * 1000000)

static char id[16], username[64];

static const char *
reply(const char *key)
{
	return json_string_value(json_object_get(edit.reply, key));
}

static const json_t *
user(void)
{
	return directory_get(directory, "user", username);
}

static int
setup(void **state)
{
	json_t *body = parsed("{\"name\":\"A\",\"contact\":\"a@a.example\",\"domains\":"
			      "[\"a.example\"]}");

	(void)state;
	directory = directory_new();
	forget();
	assert_int_equal(account_create(&edit, body), 0);
	json_decref(body);
	apply();
	snprintf(id, sizeof id, "%s", reply("account"));
	snprintf(username, sizeof username, "%s", reply("username"));
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

static int
change(const char *text)
{
	json_t *body = parsed(text);
	int err;

	forget();
	err = account_change_user(&edit, id, username, body);
	if (!err)
		apply();
	json_decref(body);
	return err;
}

static int
renew(const char *text)
{
	json_t *body = parsed(text);
	int err;

	forget();
	err = account_password(&edit, id, body);
	if (!err)
		apply();
	json_decref(body);
	return err;
}

/* Which of the user's passwords this is: 0 the current one, -1 none. */
static int
which(const char *password)
{
	const json_t *former = json_object_get(user(), "former");
	struct scram_verifier all[4];
	size_t count = 1;

	assert_int_equal(
		scram_parse(json_string_value(json_object_get(user(), "verifier")), all), 0);
	for (size_t i = 0; i < json_array_size(former); i++)
		assert_int_equal(scram_parse(json_string_value(json_object_get(
						     json_array_get(former, i), "verifier")),
					 &all[count++]),
			0);
	return scram_check_any(all, count, password);
}

static void
a_renewed_password_works_beside_the_new_one_until_its_end(void **state)
{
	char first[64], second[64];
	const uint64_t now = clock_us();

	(void)state;
	snprintf(first, sizeof first, "%s", reply("password"));
	assert_int_equal(renew("{\"grace_hours\":24}"), 0);
	assert_non_null(reply("grace_until"));
	snprintf(second, sizeof second, "%s", reply("password"));
	assert_string_equal(user_state(user(), now), "grace");
	assert_int_equal(which(second), 0);
	assert_int_equal(which(first), 1);
	assert_false(user_former_is_over(user(), now + 23 * HOUR_US));
	assert_true(user_former_is_over(user(), now + 25 * HOUR_US));
	forget();
	assert_false(account_former_end(&edit, username, now + 23 * HOUR_US));
	forget();
	assert_true(account_former_end(&edit, username, now + 25 * HOUR_US));
	apply();
	assert_int_equal(which(first), -1);
	assert_int_equal(which(second), 0);
	assert_string_equal(user_state(user(), now), "active");
	forget(); /* another control process */
	assert_false(account_former_end(&edit, username, now + 25 * HOUR_US));
}

static void
a_renewal_without_grace_ends_all_others(void **state)
{
	char first[64], second[64];

	(void)state;
	snprintf(first, sizeof first, "%s", reply("password"));
	assert_int_equal(renew("{\"grace_hours\":1}"), 0);
	snprintf(second, sizeof second, "%s", reply("password"));
	assert_int_equal(renew("{}"), 0);
	assert_null(reply("grace_until"));
	assert_int_equal(which(first), -1);
	assert_int_equal(which(second), -1);
	assert_int_equal(which(reply("password")), 0);
}

static void
three_former_passwords_are_the_most(void **state)
{
	char first[64];

	(void)state;
	snprintf(first, sizeof first, "%s", reply("password"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(renew("{\"grace_hours\":1}"), 0);
	assert_int_equal(which(first), 3);
	assert_int_equal(renew("{\"grace_hours\":1}"), -1);
	assert_int_equal(edit.fault.status, 409);
	assert_string_equal(edit.fault.field, "grace_hours");
	assert_int_equal(renew("{\"grace_hours\":0}"), 0);
	assert_int_equal(renew("{\"grace_hours\":2161}"), -1);
	assert_int_equal(edit.fault.status, 400);
	assert_int_equal(renew("{\"grace_hours\":-1}"), -1);
}

static void
what_is_given_changes_and_the_rest_stays(void **state)
{
	const json_t *limits;

	(void)state;
	assert_int_equal(
		change("{\"label\":\"Stampante 2° piano\",\"limits\":{\"messages_hour\":5,"
		       "\"messages_day\":9},\"networks\":[\"192.0.2.0/24\",\"10.1.2.3\"]}"),
		0);
	assert_int_equal(change("{\"limits\":{\"messages_hour\":0}}"), 0);
	limits = json_object_get(user(), "limits");
	assert_int_equal(json_object_size(limits), 1);
	assert_int_equal(json_integer_value(json_object_get(limits, "messages_day")), 9);
	assert_int_equal(json_array_size(json_object_get(user(), "networks")), 2);
	assert_int_equal(change("{\"sandbox\":true}"), 0);
	assert_string_equal(user_state(user(), 1), "sandbox");
	assert_int_equal(change("{\"enabled\":false}"), 0);
	assert_string_equal(user_state(user(), 1), "disabled");
	assert_int_equal(change("{\"enabled\":true,\"sandbox\":false,\"label\":\"\","
				"\"networks\":[],\"limits\":{\"messages_day\":0}}"),
		0);
	assert_string_equal(user_state(user(), 1), "active");
	assert_null(json_object_get(user(), "label"));
	assert_null(json_object_get(user(), "networks"));
	assert_null(json_object_get(user(), "limits"));
	assert_null(json_object_get(user(), "sandbox"));
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *body, *field;
	} rows[] = {
		{ "{}", "" },
		{ "{\"label\":\"a\\nb\"}", "label" },
		{ "{\"label\":\"a\\u202eb\"}", "label" },
		{ "{\"label\":\"12345678901234567890123456789012345678901234567890123456789012345\"}",
			"label" },
		{ "{\"label\":7}", "label" },
		{ "{\"enabled\":\"on\"}", "enabled" },
		{ "{\"sandbox\":1}", "sandbox" },
		{ "{\"limits\":{\"messages_hour\":-1}}", "limits.messages_hour" },
		{ "{\"limits\":{\"messages_hour\":1000000000001}}", "limits.messages_hour" },
		{ "{\"limits\":{\"recipients_hour\":1}}", "limits.recipients_hour" },
		{ "{\"networks\":[\"10.0.0.0/8\",\"x\"]}", "networks[1]" },
		{ "{\"networks\":[5]}", "networks[0]" },
		{ "{\"networks\":\"10.0.0.0/8\"}", "networks" },
		{ "{\"suspended\":\"x\"}", "suspended" },
		{ "{\"verifier\":\"x\"}", "verifier" },
		{ "{\"mail\":true}", "mail" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(change(rows[i].body), -1);
		assert_int_equal(edit.fault.status, 400);
		assert_string_equal(edit.fault.field, rows[i].field);
	}
}

static void
another_accounts_user_is_not_found(void **state)
{
	char mine[64];

	(void)state;
	snprintf(mine, sizeof mine, "%s", username);
	setup(NULL); /* another directory, which has another user */
	snprintf(username, sizeof username, "%s", mine);
	assert_int_equal(change("{\"sandbox\":true}"), -1);
	assert_int_equal(edit.fault.status, 404);
	assert_string_equal(edit.fault.field, "username");
}

static void
only_the_operator_lets_a_suspended_user_go_on(void **state)
{
	json_t *reason = parsed("{\"reason\":\"sends viruses\"}"), *empty = parsed("{}");

	(void)state;
	forget();
	assert_int_equal(account_suspend_user(&edit, id, username, empty), -1);
	forget();
	assert_int_equal(account_suspend_user(&edit, id, username, reason), 0);
	apply();
	assert_int_equal(change("{\"enabled\":true}"), 0);
	assert_string_equal(user_state(user(), 1), "suspended");
	assert_int_equal(renew("{}"), 0);
	assert_string_equal(user_state(user(), 1), "suspended");
	forget();
	assert_int_equal(account_resume_user(&edit, id, username), 0);
	apply();
	assert_string_equal(user_state(user(), 1), "active");
	forget();
	assert_int_equal(account_resume_user(&edit, id, username), -1);
	assert_int_equal(edit.fault.status, 409);
	json_decref(reason);
	json_decref(empty);
}

static void
a_file_brings_it_back_as_it_was(void **state)
{
	json_t *reason = parsed("{\"reason\":\"r\"}"), *document, *before, *users, *former;

	(void)state;
	assert_int_equal(renew("{\"grace_hours\":24}"), 0);
	assert_int_equal(change("{\"label\":\"L\",\"sandbox\":true,\"limits\":{\"messages_day\":9},"
				"\"networks\":[\"192.0.2.0/24\"]}"),
		0);
	forget();
	assert_int_equal(account_suspend_user(&edit, id, username, reason), 0);
	apply();
	before = json_deep_copy(user());
	document = account_export(directory, id);
	forget();
	assert_int_equal(account_purge(&edit, id), 0);
	apply();
	assert_null(user());
	forget();
	assert_int_equal(account_import(&edit, document, false, false), 0);
	apply();
	json_object_set(before, "version", json_object_get(user(), "version"));
	assert_true(json_equal(before, user()));
	/* One salt for all passwords: the look-alike of another salt is refused. */
	users = json_object_get(document, "users");
	former = json_array_get(json_object_get(json_array_get(users, 0), "former"), 0);
	json_object_set_new(former, "verifier",
		json_string("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
			    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
			    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="));
	forget();
	assert_int_equal(account_import(&edit, document, true, false), -1);
	assert_string_equal(edit.fault.field, "users[0].former[0]");
	json_decref(before);
	json_decref(document);
	json_decref(reason);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(a_renewed_password_works_beside_the_new_one_until_its_end),
		TEST(a_renewal_without_grace_ends_all_others),
		TEST(three_former_passwords_are_the_most),
		TEST(what_is_given_changes_and_the_rest_stays),
		TEST(what_is_wrong_is_named),
		TEST(another_accounts_user_is_not_found),
		TEST(only_the_operator_lets_a_suspended_user_go_on),
		TEST(a_file_brings_it_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
