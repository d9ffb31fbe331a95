/*
 * test_accounts.c - what a request changes in relay.config, and what it is refused for.
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
#include "control/config/directory.h"
#include "shared/account/scram.h"
#include "shared/config/config.h"
#include "tests/unit/control/account/edit_rig.h"

static struct config config = {
	.limits.defaults = { .messages_hour = 1000, .messages_day = 7 },
};

typedef int (*edit_fn)(struct edit *edit, const char *id, const json_t *body);

static int
change(edit_fn fn, const char *id, const char *text)
{
	json_t *body = text ? parsed(text) : NULL;
	int err;

	forget();
	err = fn(&edit, id, body);
	json_decref(body);
	if (!err)
		apply();
	return err;
}

static int
create_fn(struct edit *e, const char *id, const json_t *body)
{
	(void)id;
	return account_create(e, body);
}

static int
add_user_fn(struct edit *e, const char *id, const json_t *body)
{
	(void)body;
	return account_add_user(e, id, NULL);
}

static const char *
reply(const char *key)
{
	return json_string_value(json_object_get(edit.reply, key));
}

/* A new account; its id. */
static void
create(const char *text, char id[16])
{
	assert_int_equal(change(create_fn, NULL, text), 0);
	snprintf(id, 16, "%s", reply("account"));
}

#define ACME                                                                                       \
	"{\"name\":\"Acme S.r.l.\",\"contact\":\"it@acme.example\",\"domains\":"                   \
	"[\"ACME.example\",{\"name\":\"b.example\",\"mailboxes\":5}],\"verified\":true}"

static int
setup(void **state)
{
	(void)state;
	directory = directory_new();
	edit.directory = directory;
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

static void
a_new_account_gets_a_user_whose_password_is_shown_and_not_kept(void **state)
{
	struct scram_verifier verifier;
	const json_t *user;
	char id[16], *all;

	(void)state;
	create(ACME, id);
	assert_int_equal(json_object_size(edit.reply), 3);
	assert_true(strlen(reply("password")) >= 20);
	assert_memory_equal(reply("username"), "acme-s-r-l-", 11);
	user = directory_get(directory, "user", reply("username"));
	assert_string_equal(json_string_value(json_object_get(user, "account")), id);
	assert_int_equal(
		scram_parse(json_string_value(json_object_get(user, "verifier")), &verifier), 0);
	assert_true(scram_check(&verifier, reply("password")));
	all = json_dumps(directory_entries(directory), 0);
	assert_null(strstr(all, reply("password")));
	free(all);
}

static void
domains_are_lower_case_and_verified_when_the_operator_says_so(void **state)
{
	char id[16];
	json_t *domains, *first;

	(void)state;
	create(ACME, id);
	domains = json_object_get(directory_get(directory, "account", id), "domains");
	first = json_array_get(domains, 0);
	assert_string_equal(json_string_value(json_object_get(first, "name")), "acme.example");
	assert_true(json_is_true(json_object_get(first, "verified")));
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(domains, 1), "mailboxes")), 5);
	assert_string_equal(directory_domain_owner(directory, "b.example"), id);
	assert_int_equal(change(account_add_domain, id, "{\"name\":\"c.example\"}"), 0);
	domains = json_object_get(directory_get(directory, "account", id), "domains");
	assert_true(json_is_false(json_object_get(json_array_get(domains, 2), "verified")));
	assert_int_equal(
		change(account_add_domain, id, "{\"name\":\"C.example\",\"verified\":true}"), 0);
	domains = json_object_get(directory_get(directory, "account", id), "domains");
	assert_int_equal(json_array_size(domains), 3);
	assert_true(json_is_true(json_object_get(json_array_get(domains, 2), "verified")));
}

static void
an_account_by_address_has_no_password(void **state)
{
	char id[16];

	(void)state;
	create("{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"d.example\"],"
	       "\"mode\":\"ip\",\"addresses\":[\"192.0.2.1\",\"2001:db8::7\"]}",
		id);
	assert_null(reply("password"));
	assert_non_null(directory_get(directory, "ip", "192.0.2.1"));
	assert_non_null(directory_get(directory, "ip", "2001:db8::/64"));
	assert_int_equal(json_object_size(directory_members(directory, id)), 2);
}

static void
a_domain_is_one_however_it_is_written(void **state)
{
	static const char *const same[] = { "m\xc3\xbcnchen.test", "M\xc3\x9cNCHEN.test.",
		"xn--mnchen-3ya.test", "XN--MNCHEN-3YA.Test", "mu\xcc\x88nchen\xe3\x80\x82test" };
	static const char *const none[] = { "\xf0\x9f\x98\x80.test", "-\xc3\xbc.test",
		"\xc2\xad.test", "other\xe2\x80\xa4test", "\xc3\xbc..test", "" };
	char id[16], other[16], body[128];
	json_t *domains;

	(void)state;
	create("{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"d.example\"]}", id);
	create("{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"e.example\"]}", other);
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		snprintf(body, sizeof body, "{\"name\":\"%s\",\"verified\":true}", same[i]);
		assert_int_equal(change(account_add_domain, id, body), 0);
		domains = json_object_get(directory_get(directory, "account", id), "domains");
		assert_int_equal(json_array_size(domains), 2);
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(domains, 1), "name")),
			"xn--mnchen-3ya.test");
		assert_int_equal(change(account_add_domain, other, body), -1);
		assert_int_equal(edit.fault.status, 409);
	}
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		snprintf(body, sizeof body, "{\"name\":\"%s\"}", none[i]);
		if (change(account_add_domain, id, body) != -1 || edit.fault.status != 400)
			fail_msg("%s", none[i]);
	}
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct row {
		const char *body, *field;
		int status;
	} rows[] = {
		{ "{}", "name", 400 },
		{ "[]", "", 400 },
		{ "{\"name\":\"a\\nb\"}", "name", 400 },
		{ "{\"name\":\"n\"}", "contact", 400 },
		{ "{\"name\":\"n\",\"contact\":\"postmaster\"}", "contact", 400 },
		{ "{\"name\":\"n\",\"contact\":\"<a@b.example>\"}", "contact", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\"}", "domains", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[]}", "domains", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"-\"]}", "domains[0]",
			400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"x.example\",7]}",
			"domains[1]", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"Acme.example\"]}",
			"domains[0]", 409 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[{\"name\":"
		  "\"x.example\",\"mailboxes\":-1}]}",
			"domains[0].mailboxes", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"x.example\"],"
		  "\"mode\":\"ip\"}",
			"addresses", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"x.example\"],"
		  "\"mode\":\"tls\"}",
			"mode", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"x.example\"],"
		  "\"addresses\":[\"host\"]}",
			"addresses[0]", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"policy\":\"forward\"}", "policy",
			400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"limits\":{\"messages_hour\":-1}}",
			"limits.messages_hour", 400 },
		{ "{\"name\":\"n\",\"contact\":\"a@b.example\",\"limits\":{\"speed\":1}}",
			"limits.speed", 400 },
		{ "{\"nmae\":\"n\"}", "nmae", 400 },
	};
	char id[16];

	(void)state;
	create(ACME, id);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(change(create_fn, NULL, rows[i].body), -1);
		assert_string_equal(edit.fault.field, rows[i].field);
		assert_int_equal(edit.fault.status, rows[i].status);
		assert_true(edit.fault.error[0]);
	}
}

#define NEW "{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"x.example\"],"

/* Each of these was once taken, and something else done, or nothing. */
static void
what_is_not_understood_is_not_passed_over(void **state)
{
	static const struct row {
		edit_fn fn;
		const char *body, *field;
	} rows[] = {
		{ account_change, NULL, "" },
		{ account_change, "{}", "" },
		{ account_change, "[]", "" },
		{ account_change, "{\"limits\":{}}", "limits" },
		{ account_change, "{\"name\":\"n\",\"limits\":{}}", "limits" },
		{ account_change, "{\"limits\":null}", "limits" },
		{ account_change, "{\"limits\":[5]}", "limits" },
		{ account_change, "{\"limits\":{\"messages_hour\":\"5\"}}",
			"limits.messages_hour" },
		{ account_change, "{\"limits\":{\"messages_hour\":1.0}}", "limits.messages_hour" },
		{ account_change, "{\"limits\":{\"messages_hour\":null}}", "limits.messages_hour" },
		{ account_change, "{\"limits\":{\"messages_hour\":1000000000001}}",
			"limits.messages_hour" },
		{ account_change, "{\"messages_hour\":5}", "messages_hour" },
		{ account_change, "{\"status\":\"disabled\"}", "status" },
		{ account_change, "{\"domains\":[\"y.example\"]}", "domains" },
		{ account_change, "{\"name\":null}", "name" },
		{ account_change, "{\"name\":\"\"}", "name" },
		{ account_change, "{\"contact\":[]}", "contact" },
		{ account_change, "{\"policy\":\"Strict\"}", "policy" },
		{ account_change, "{\"Name\":\"n\"}", "Name" },
		{ account_password, "[]", "" },
		{ account_password, "{\"username\":5}", "username" },
		{ account_password, "{\"username\":null}", "username" },
		{ account_password, "{\"username\":\"\"}", "username" },
		{ account_password, "{\"password\":\"mine\"}", "password" },
		{ account_add_domain, NULL, "name" },
		{ account_add_domain, "[]", "" },
		{ account_add_domain, "{\"name\":5}", "name" },
		{ account_add_domain, "{\"verified\":true}", "name" },
		{ account_add_domain, "{\"name\":\"y.example\",\"verified\":\"yes\"}", "verified" },
		{ account_add_domain, "{\"name\":\"y.example\",\"verified\":null}", "verified" },
		{ account_add_domain, "{\"name\":\"y.example\",\"mailboxes\":\"5\"}", "mailboxes" },
		{ account_add_domain, "{\"name\":\"y.example\",\"mailboxes\":-5}", "mailboxes" },
		{ account_add_domain, "{\"domain\":\"y.example\"}", "domain" },
		{ account_add_address, NULL, "address" },
		{ account_add_address, "{}", "address" },
		{ account_add_address, "{\"address\":[\"192.0.2.1\"]}", "address" },
		{ account_add_address, "{\"ip\":\"192.0.2.1\"}", "ip" },
		{ create_fn, NEW "\"verified\":1}", "verified" },
		{ create_fn, NEW "\"verified\":\"true\"}", "verified" },
		{ create_fn, NEW "\"mode\":5}", "mode" },
		{ create_fn, NEW "\"addresses\":\"192.0.2.1\"}", "addresses" },
		{ create_fn, NEW "\"addresses\":[5]}", "addresses[0]" },
		{ create_fn, NEW "\"limits\":null}", "limits" },
		{ create_fn,
			"{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":\"x.example\"}",
			"domains" },
		{ create_fn,
			"{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":"
			"[{\"name\":\"x.example\",\"colour\":1}]}",
			"domains[0].colour" },
	};
	json_t *before, *after;
	char id[16];

	(void)state;
	create(ACME, id);
	before = json_deep_copy(directory_entries(directory));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(change(rows[i].fn, id, rows[i].body), -1);
		assert_int_equal(edit.fault.status,
			rows[i].fn == account_password &&
					!strcmp(rows[i].body, "{\"username\":\"\"}")
				? 404
				: 400);
		assert_string_equal(edit.fault.field, rows[i].field);
		assert_true(edit.fault.error[0]);
	}
	after = directory_entries(directory);
	assert_true(json_equal(before, after));
	json_decref(before);
}

/* Whoever asks for what is so already gets it. */
static void
the_same_value_again_is_fine(void **state)
{
	static const char *const bodies[] = { "{\"name\":\"Acme S.r.l.\"}",
		"{\"contact\":\"it@acme.example\"}", "{\"policy\":\"resent\"}",
		"{\"limits\":{\"messages_day\":7}}", "{\"limits\":{\"messages_day\":7}}",
		"{\"limits\":{\"messages_day\":0}}" };
	char id[16];

	(void)state;
	create(ACME, id);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_int_equal(change(account_change, id, bodies[i]), 0);
	assert_int_equal(change(account_add_domain, id, "{\"name\":\"acme.example\"}"), 0);
	assert_true(json_is_true(json_object_get(
		json_array_get(
			json_object_get(directory_get(directory, "account", id), "domains"), 0),
		"verified")));
}

static void
an_address_belongs_to_one_account(void **state)
{
	char a[16], b[16];

	(void)state;
	create(ACME, a);
	create("{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"d.example\"]}", b);
	assert_int_equal(change(account_add_address, a, "{\"address\":\"192.0.2.1\"}"), 0);
	assert_int_equal(change(account_add_address, a, "{\"address\":\"192.0.2.1/32\"}"), 0);
	assert_int_equal(json_object_size(edit.changes), 1); /* the account's own version alone */
	assert_int_equal(change(account_add_address, b, "{\"address\":\"192.0.2.1\"}"), -1);
	assert_int_equal(edit.fault.status, 409);
	forget();
	assert_int_equal(account_remove_address(&edit, b, "192.0.2.1"), -1);
	assert_int_equal(edit.fault.status, 404);
	forget();
	assert_int_equal(account_remove_address(&edit, a, "192.0.2.1"), 0);
	apply();
	assert_null(directory_get(directory, "ip", "192.0.2.1"));
	assert_int_equal(change(account_add_address, b, "{\"address\":\"192.0.2.1\"}"), 0);
}

static void
a_network_is_bounded(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{ "0.0.0.0/0", false },
		{ "10.0.0.0/2", false },
		{ "10.1.0.0/15", false },
		{ "10.1.0.0/16", true },
		{ "127.0.0.1/16", true },
		{ "::/0", false },
		{ "::ffff:0.0.0.0/0", false },
		{ "2001:db8::/31", false },
		{ "2001:db8::/32", true },
		{ "::1", true },
	};
	char id[16], body[80];

	(void)state;
	create(ACME, id);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(body, sizeof body, "{\"address\":\"%s\"}", rows[i].text);
		assert_int_equal(change(account_add_address, id, body), rows[i].ok ? 0 : -1);
		if (rows[i].ok)
			continue;
		assert_int_equal(edit.fault.status, 400);
		assert_string_equal(edit.fault.field, "address");
		assert_non_null(strstr(edit.fault.error, "/16 or longer (IPv6: /32)"));
	}
}

static void
networks_of_two_accounts_do_not_overlap(void **state)
{
	static const struct {
		const char *text, *overlaps; /* NULL: none */
	} rows[] = {
		{ "192.0.2.7", "192.0.2.0/24" },
		{ "192.0.2.128/25", "192.0.2.0/24" },
		{ "192.0.2.0/24", "192.0.2.0/24" },
		{ "192.0.0.0/16", "192.0.2.0/24" },
		{ "192.0.3.0/24", NULL },
		{ "198.51.100.0/24", "198.51.100.9" },
		{ "198.51.100.10", NULL },
		{ "2001:db8:0:1::/64", "2001:db8::/48" },
		{ "2001:db8:0:1:2:3:4:5", "2001:db8::/48" },
		{ "2001:db8::/32", "2001:db8::/48" },
		{ "2001:db8:1::/48", NULL },
	};
	char a[16], b[16], body[80];

	(void)state;
	create(ACME, a);
	create("{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"d.example\"]}", b);
	assert_int_equal(change(account_add_address, a, "{\"address\":\"192.0.2.0/24\"}"), 0);
	assert_int_equal(change(account_add_address, a, "{\"address\":\"192.0.2.7\"}"), 0);
	assert_int_equal(account_remove_address(&edit, a, "192.0.2.7"), 0);
	apply();
	assert_int_equal(change(account_add_address, a, "{\"address\":\"198.51.100.9\"}"), 0);
	assert_int_equal(change(account_add_address, a, "{\"address\":\"2001:db8::/48\"}"), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(body, sizeof body, "{\"address\":\"%s\"}", rows[i].text);
		assert_int_equal(change(account_add_address, b, body), rows[i].overlaps ? -1 : 0);
		if (!rows[i].overlaps)
			continue;
		assert_int_equal(edit.fault.status, 409);
		assert_non_null(strstr(edit.fault.error, rows[i].overlaps));
		assert_non_null(strstr(edit.fault.error, a));
	}
}

static void
a_domain_that_was_removed_may_go_to_another(void **state)
{
	char a[16], b[16];

	(void)state;
	create(ACME, a);
	create("{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[\"d.example\"]}", b);
	assert_int_equal(change(account_add_domain, b, "{\"name\":\"b.example\"}"), -1);
	assert_int_equal(edit.fault.status, 409);
	forget();
	assert_int_equal(account_remove_domain(&edit, a, "B.example"), 0);
	apply();
	assert_int_equal(change(account_add_domain, b, "{\"name\":\"b.example\"}"), 0);
	assert_string_equal(directory_domain_owner(directory, "b.example"), b);
	forget();
	assert_int_equal(account_remove_domain(&edit, a, "b.example"), -1);
}

static void
a_new_password_replaces_the_old_one(void **state)
{
	char id[16], old[64], username[64];
	struct scram_verifier verifier;
	const json_t *user;

	(void)state;
	create(ACME, id);
	snprintf(old, sizeof old, "%s", reply("password"));
	snprintf(username, sizeof username, "%s", reply("username"));
	assert_int_equal(change(account_password, id, NULL), 0);
	assert_string_equal(reply("username"), username);
	user = directory_get(directory, "user", username);
	assert_int_equal(
		scram_parse(json_string_value(json_object_get(user, "verifier")), &verifier), 0);
	assert_false(scram_check(&verifier, old));
	assert_true(scram_check(&verifier, reply("password")));
	assert_int_equal(change(account_password, id, "{\"username\":\"other\"}"), -1);
	assert_int_equal(edit.fault.status, 404);
	assert_int_equal(change(add_user_fn, id, NULL), 0);
	assert_int_equal(change(account_password, id, NULL), -1); /* which of the two? */
	assert_string_equal(edit.fault.field, "username");
	forget();
	assert_int_equal(account_remove_user(&edit, id, username), 0);
	apply();
	assert_null(directory_get(directory, "user", username));
}

static void
every_change_is_a_newer_version(void **state)
{
	json_int_t before, after;
	char id[16];

	(void)state;
	create(ACME, id);
	for (int i = 0; i < 5; i++) {
		before = json_integer_value(
			json_object_get(directory_get(directory, "account", id), "version"));
		forget();
		assert_int_equal(
			(i % 2 ? account_enable(&edit, id) : account_disable(&edit, id, NULL)), 0);
		apply();
		after = json_integer_value(
			json_object_get(directory_get(directory, "account", id), "version"));
		assert_true(after > before);
	}
	assert_int_equal(change(account_change, id,
				 "{\"limits\":{\"messages_day\":9},\"policy\":\"strict\"}"),
		0);
	assert_int_equal(change(account_change, "nobody", "{}"), -1);
	assert_int_equal(edit.fault.status, 404);
}

static void
an_account_is_shown_without_secrets(void **state)
{
	char id[16], *text;
	json_t *shown;

	(void)state;
	create(ACME, id);
	assert_int_equal(change(account_add_address, id, "{\"address\":\"192.0.2.1\"}"), 0);
	shown = account_show(directory, &config, id);
	text = json_dumps(shown, 0);
	assert_null(strstr(text, "SCRAM"));
	assert_int_equal(json_array_size(json_object_get(shown, "users")), 1);
	assert_int_equal(json_array_size(json_object_get(shown, "addresses")), 1);
	free(text);
	json_decref(shown);
	assert_null(account_show(directory, &config, "nobody"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(a_new_account_gets_a_user_whose_password_is_shown_and_not_kept),
		TEST(domains_are_lower_case_and_verified_when_the_operator_says_so),
		TEST(an_account_by_address_has_no_password),
		TEST(a_domain_is_one_however_it_is_written),
		TEST(what_is_wrong_is_named),
		TEST(what_is_not_understood_is_not_passed_over),
		TEST(the_same_value_again_is_fine),
		TEST(an_address_belongs_to_one_account),
		TEST(a_network_is_bounded),
		TEST(networks_of_two_accounts_do_not_overlap),
		TEST(a_domain_that_was_removed_may_go_to_another),
		TEST(a_new_password_replaces_the_old_one),
		TEST(every_change_is_a_newer_version),
		TEST(an_account_is_shown_without_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
