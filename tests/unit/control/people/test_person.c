/*
 * test_person.c - people as entries: who may be added, changed, removed; links; sessions that end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/control/account/edit_rig.h"

#include "control/people/person.h"
#include "shared/base/json_text.h"
#include "shared/base/loop.h"

#define ID "k3m9x2p7qa"
#define ANNA "anna@acme.example"

static char secret[SECRET_SIZE];

static int
setup(void **state)
{
	(void)state;
	directory = directory_new();
	forget();
	directory_set(directory, "account/" ID,
		parsed("{\"id\": \"" ID
		       "\", \"name\": \"Acme\", \"status\": \"active\", \"domains\": []}"));
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
add(const char *account, const char *login, const char *role)
{
	json_t *body = json_pack("{s:s, s:s, s:s}", "login", login, "name", "N", "role", role);
	int err;

	forget();
	err = person_add(&edit, account, body, secret);
	json_decref(body);
	if (!err)
		apply();
	return err;
}

static int
change(const char *account, const char *login, const char *text)
{
	json_t *body = parsed(text);
	int err;

	forget();
	err = person_change(&edit, account, login, body);
	json_decref(body);
	if (!err)
		apply();
	return err;
}

static int
take_away(const char *account, const char *login)
{
	int err;

	forget();
	err = person_remove(&edit, account, login);
	if (!err)
		apply();
	return err;
}

static json_int_t
epoch_of(const char *login)
{
	return person_epoch(person_find(directory, login));
}

static void
a_login_is_one_persons(void **state)
{
	(void)state;
	assert_int_equal(add(ID, "Anna@ACME.example", "owner"), 0);
	assert_non_null(person_find_of(directory, ID, ANNA));
	assert_null(person_find_of(directory, NULL, ANNA));
	assert_int_equal(add(NULL, ANNA, "admin"), -1);
	assert_int_equal(edit.fault.status, 409);
	assert_int_equal(add("nobody2345", "b@acme.example", "owner"), -1);
	assert_int_equal(edit.fault.status, 404);
	assert_int_equal(add(ID, "b@acme.example", "admin"), -1);
	assert_string_equal(edit.fault.field, "role");
	assert_int_equal(add(NULL, "b@acme.example", "owner"), -1);
	assert_string_equal(edit.fault.field, "role");
}

static void
the_last_owner_and_the_last_admin_stay(void **state)
{
	(void)state;
	add(ID, ANNA, "owner");
	add(ID, "bob@acme.example", "manager");
	add(NULL, "boss@provider.example", "admin");
	assert_int_equal(take_away(ID, ANNA), -1);
	assert_true(person_was_last(&edit));
	assert_int_equal(change(ID, ANNA, "{\"role\": \"manager\"}"), -1);
	assert_true(person_was_last(&edit));
	assert_int_equal(change(ID, ANNA, "{\"role\": \"owner\", \"name\": \"A\"}"), 0);
	assert_int_equal(take_away(NULL, "boss@provider.example"), -1);
	assert_true(person_was_last(&edit));
	assert_int_equal(change(ID, "bob@acme.example", "{\"role\": \"owner\"}"), 0);
	assert_int_equal(take_away(ID, ANNA), 0);
	assert_int_equal(take_away(ID, "bob@acme.example"), -1);
	assert_int_equal(take_away(ID, ANNA), -1);
	assert_int_equal(edit.fault.status, 404);
	assert_false(person_was_last(&edit));
}

static void
a_link_counts_until_its_end_or_the_next_one(void **state)
{
	char first[SECRET_SIZE];

	(void)state;
	add(ID, ANNA, "owner");
	memcpy(first, secret, sizeof first);
	assert_string_equal(person_of_link(directory, first, clock_us()), ANNA);
	assert_string_equal(
		person_of_link(directory, first, clock_us() + INVITE_US - 60000000), ANNA);
	assert_null(person_of_link(directory, first, clock_us() + INVITE_US));
	assert_null(person_of_link(directory, "", clock_us()));
	forget();
	assert_int_equal(person_ask_link(&edit, ANNA, secret), -1); /* one is valid */
	forget();
	assert_int_equal(person_invite(&edit, ID, ANNA, secret), 0);
	apply();
	assert_null(person_of_link(directory, first, clock_us()));
	assert_string_equal(person_of_link(directory, secret, clock_us()), ANNA);
	forget();
	assert_int_equal(person_set_verifier(&edit, ANNA, "$argon2id$v"), 0);
	apply();
	assert_null(person_of_link(directory, secret, clock_us()));
	forget();
	assert_int_equal(person_ask_link(&edit, ANNA, secret), 0);
	apply();
	assert_string_equal(json_text(person_find(directory, ANNA), "link"), "reset");
	assert_null(person_of_link(directory, secret, clock_us() + RESET_US));
	forget();
	assert_int_equal(person_ask_link(&edit, "nobody@acme.example", secret), -1);
}

static void
the_epoch_changes_with_what_ends_sessions(void **state)
{
	json_int_t epoch;

	(void)state;
	add(ID, ANNA, "owner");
	add(ID, "bob@acme.example", "owner");
	epoch = epoch_of(ANNA);
	change(ID, ANNA, "{\"name\": \"A\", \"language\": \"it\", \"role\": \"owner\"}");
	assert_int_equal(epoch_of(ANNA), epoch);
	change(ID, ANNA, "{\"role\": \"reader\"}");
	assert_int_equal(epoch_of(ANNA), epoch + 1);
	change(ID, ANNA, "{\"second_factor\": false}");
	assert_int_equal(epoch_of(ANNA), epoch + 2);
	forget();
	person_set_verifier(&edit, ANNA, "$argon2id$v");
	apply();
	assert_int_equal(epoch_of(ANNA), epoch + 3);
}

static void
who_is_of_a_deleted_account_is_nobody(void **state)
{
	(void)state;
	add(ID, ANNA, "owner");
	assert_non_null(person_find(directory, ANNA));
	directory_set(directory, "account/" ID,
		parsed("{\"id\": \"" ID
		       "\", \"name\": \"Acme\", \"status\": \"deleted\", \"domains\": []}"));
	assert_null(person_find(directory, ANNA));
	assert_null(person_of_link(directory, secret, clock_us()));
	forget();
	assert_int_equal(person_ask_link(&edit, ANNA, secret), -1);
	assert_int_equal(change(ID, ANNA, "{\"name\": \"A\"}"), -1);
	assert_int_equal(edit.fault.status, 404);
}

static void
what_is_shown_has_no_secret(void **state)
{
	json_t *shown;
	char *text;

	(void)state;
	add(ID, ANNA, "owner");
	forget();
	person_set_totp(
		&edit, ANNA, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", json_pack("[s]", "5ec7e7"));
	apply();
	shown = person_show(ANNA, person_find(directory, ANNA));
	text = json_dumps(shown, 0);
	assert_null(strstr(text, "GEZD"));
	assert_null(strstr(text, "5ec7e7"));
	assert_null(strstr(text, "secret"));
	assert_true(json_is_true(json_object_get(shown, "second_factor")));
	free(text);
	json_decref(shown);
}

static void
a_login_has_one_form(void **state)
{
	static const char *const bad[] = { "", "a", "@x.example", "a@", "a b@x.example",
		"<a@x.example>", "a@x@y.example", "\"a\"@x.example", "a@[192.0.2.1]",
		"a\n@x.example", "a/b@x.example", "\xc3\xa8@x.example", "a@x..example" };
	char out[LOGIN_SIZE], text[400];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (login_canonical(bad[i], out) || *out)
			fail_msg("%s -> %s", bad[i], out);
	assert_false(login_canonical(NULL, out));
	assert_true(login_canonical("A.b+C@X.Example", out));
	assert_string_equal(out, "a.b+c@x.example");
	snprintf(text, sizeof text, "%0130d@x.example", 1);
	assert_false(login_canonical(text, out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_login_is_one_persons, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_last_owner_and_the_last_admin_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_link_counts_until_its_end_or_the_next_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_epoch_changes_with_what_ends_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_is_of_a_deleted_account_is_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_shown_has_no_secret, setup, teardown),
		cmocka_unit_test(a_login_has_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
