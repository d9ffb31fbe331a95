/*
 * test_address_state.c - how an address is proved, and how it lapses, by a clock that the test
 * sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/account/accounts.h"
#include "control/account/address_state.h"
#include "control/config/directory.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "tests/unit/control/account/edit_rig.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)

static char ours[16], theirs[16];

/* 0: done; else the refusal's status. */
static int
applied(int err)
{
	if (err)
		return edit.fault.status;
	apply();
	return 0;
}

static void
create(const char *domain, char id[16])
{
	json_t *body = json_pack(
		"{s:s, s:s, s:[s]}", "name", "n", "contact", "it@acme.example", "domains", domain);

	forget();
	assert_int_equal(applied(account_create(&edit, body)), 0);
	snprintf(id, 16, "%s", json_string_value(json_object_get(edit.reply, "account")));
	json_decref(body);
}

static int
add(const char *id, const char *address, bool waiting)
{
	json_t *body = json_pack("{s:s, s:b}", "address", address, "waiting", waiting);
	int status;

	forget();
	status = applied((waiting ? account_ask_address : account_add_address)(&edit, id, body));
	json_decref(body);
	return status;
}

static const char *
state_of(const char *network)
{
	const json_t *entry = directory_get(directory, "ip", network);

	return entry ? address_state(entry) : "none";
}

static const char *
owner_of(const char *network)
{
	return json_string_value(
		json_object_get(directory_get(directory, "ip", network), "account"));
}

/* Redis tells one time; whether a state changes. */
static bool
seen(const char *name, uint64_t us, uint64_t now_us)
{
	json_t *times = json_object();
	bool changed;

	if (name)
		json_object_set_new(times, name, json_integer((json_int_t)us));
	forget();
	changed = account_addresses_seen(&edit, ours, times, now_us);
	json_decref(times);
	if (changed)
		applied(0);
	return changed;
}

static int
setup(void **state)
{
	(void)state;
	directory = directory_new();
	create("acme.example", ours);
	create("other.example", theirs);
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
what_is_typed_in_is_an_address_of_the_internet(void **state)
{
	static const char *const none[] = { "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
		"127.0.0.1", "169.254.1.1", "192.0.2.1", "198.51.100.1", "203.0.113.9", "0.0.0.0",
		"224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00::1", "2001:db8::1",
		"2002:102:304::1", "8.8.8.0/24", "2a00:1450::/48", "no", "" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(add(ours, none[i], true), 400);
	assert_int_equal(add(ours, "8.8.4.4", true), 0);
	assert_int_equal(add(ours, "2a00:1450::77", true), 0);
	assert_string_equal(state_of("8.8.4.4"), "waiting");
	assert_string_equal(state_of("2a00:1450::/64"), "waiting");
	assert_int_equal(add(ours, "8.8.4.4", true), 409);
	assert_int_equal(add(ours, "10.1.2.3", false), 0); /* an operator may */
}

static void
the_relays_own_addresses_and_proxies_are_refused(void **state)
{
	char *proxies[] = { "9.9.9.0/24" }, *addresses[] = { "1.1.1.1" };

	(void)state;
	config.control.proxies = proxies;
	config.control.proxies_count = 1;
	config.service.addresses = addresses;
	config.service.addresses_count = 1;
	assert_int_equal(add(ours, "9.9.9.9", true), 400);
	assert_int_equal(add(ours, "1.1.1.1", true), 400);
	memset(&config, 0, sizeof config);
	assert_int_equal(add(ours, "9.9.9.9", true), 0);
}

static void
anothers_active_address_is_taken_and_its_owner_is_not_named(void **state)
{
	(void)state;
	assert_int_equal(add(theirs, "8.8.4.4", false), 0);
	assert_int_equal(add(theirs, "9.9.0.0/16", false), 0);
	assert_int_equal(add(ours, "8.8.4.4", true), 409);
	assert_null(strstr(edit.fault.error, theirs));
	assert_int_equal(add(ours, "9.9.9.9", true), 409);
	assert_null(strstr(edit.fault.error, theirs));
}

/* Else anybody could keep an address from its owner by typing it in. */
static void
an_address_that_only_waits_keeps_nobody_out(void **state)
{
	(void)state;
	assert_int_equal(add(theirs, "8.8.4.4", true), 0);
	assert_int_equal(add(ours, "8.8.4.4", true), 0);
	assert_string_equal(owner_of("8.8.4.4"), ours);
	assert_int_equal(add(theirs, "8.8.4.4", false), 0); /* an operator decides */
	assert_string_equal(owner_of("8.8.4.4"), theirs);
	assert_string_equal(state_of("8.8.4.4"), "active");
}

static void
a_login_from_the_address_proves_it(void **state)
{
	const uint64_t now = clock_us() + DAY_US;

	(void)state;
	assert_int_equal(add(ours, "8.8.4.4", true), 0);
	assert_false(seen(NULL, 0, now));
	assert_false(seen("from/8.8.4.5", now, now));
	assert_false(seen("from/8.8.4.4", 1, now)); /* before it was asked for */
	assert_true(seen("from/8.8.4.4", now, now));
	assert_string_equal(state_of("8.8.4.4"), "active");
	assert_false(seen("from/8.8.4.4", now, now));
}

static void
an_idle_address_lapses_after_its_notice_and_is_proved_anew(void **state)
{
	const uint64_t start = clock_us() + 1000000;

	(void)state;
	assert_int_equal(add(ours, "8.8.4.4", false), 0);
	assert_int_equal(add(ours, "9.9.0.0/16", false), 0); /* a network never lapses */
	assert_false(seen(NULL, 0, start + 24 * DAY_US));
	assert_true(seen(NULL, 0, start + 25 * DAY_US));
	assert_string_equal(state_of("8.8.4.4"), "lapsing");
	assert_false(seen(NULL, 0, start + 30 * DAY_US - 1));
	assert_true(seen(NULL, 0, start + 30 * DAY_US));
	assert_string_equal(state_of("8.8.4.4"), "lapsed");
	assert_false(seen("ip/8.8.4.4", start + 30 * DAY_US, start + 30 * DAY_US));
	assert_false(seen("from/8.8.4.4", start, start + 31 * DAY_US)); /* an old login */
	assert_true(seen("from/8.8.4.4", start + 31 * DAY_US, start + 31 * DAY_US));
	assert_string_equal(state_of("8.8.4.4"), "active");
	assert_string_equal(state_of("9.9.0.0/16"), "active");
}

static void
mail_from_a_lapsing_address_keeps_it(void **state)
{
	const uint64_t start = clock_us() + 1000000;

	(void)state;
	assert_int_equal(add(ours, "8.8.4.4", false), 0);
	assert_true(seen(NULL, 0, start + 25 * DAY_US));
	assert_true(seen("ip/8.8.4.4", start + 26 * DAY_US, start + 27 * DAY_US));
	assert_string_equal(state_of("8.8.4.4"), "active");
	assert_false(seen(NULL, 0, start + 50 * DAY_US)); /* 24 days after the mail */
	assert_true(seen(NULL, 0, start + 51 * DAY_US));
}

/* A backup, and what an older build wrote, say nothing of the last month. */
static void
no_address_lapses_without_its_notice(void **state)
{
	const uint64_t now = clock_us();
	json_t *entry;

	(void)state;
	assert_int_equal(add(ours, "8.8.4.4", false), 0);
	entry = directory_get(directory, "ip", "8.8.4.4");
	json_object_set_new(entry, "used_us", json_integer(1));
	assert_true(seen(NULL, 0, now));
	assert_string_equal(state_of("8.8.4.4"), "lapsing");
	json_object_del(directory_get(directory, "ip", "8.8.4.4"), "used_us");
	json_object_del(directory_get(directory, "ip", "8.8.4.4"), "lapses_us");
	assert_true(seen(NULL, 0, now));
	assert_string_equal(state_of("8.8.4.4"), "active");
	assert_false(seen(NULL, 0, now + 24 * DAY_US));
}

static void
make_link(char token[128])
{
	const char *path;

	forget();
	assert_int_equal(applied(account_address_link(&edit, ours, "8.8.4.4")), 0);
	path = json_string_value(json_object_get(edit.reply, "path"));
	assert_memory_equal(path, "/p/", 3);
	snprintf(token, 128, "%s", path + 3);
}

static int
open_from(const char *token, const char *client)
{
	forget();
	return applied(account_address_open(&edit, token, client));
}

static void
a_link_counts_once_from_its_own_address(void **state)
{
	char token[128], older[128], *all;

	(void)state;
	forget();
	assert_int_equal(applied(account_address_link(&edit, ours, "8.8.4.4")), 404);
	assert_int_equal(add(ours, "8.8.4.4", true), 0);
	make_link(older);
	make_link(token);
	all = json_dumps(directory_entries(directory), 0);
	assert_null(strstr(all, strchr(token, '-') + 1)); /* only the hash is kept */
	free(all);
	assert_int_equal(open_from(older, "8.8.4.4"), 404);
	assert_int_equal(open_from("", "8.8.4.4"), 404);
	assert_int_equal(open_from("-", "8.8.4.4"), 404);
	assert_int_equal(open_from(theirs, "8.8.4.4"), 404);
	assert_int_equal(open_from(token, "8.8.8.8"), 403);
	assert_string_equal(state_of("8.8.4.4"), "waiting");
	assert_int_equal(open_from(token, "8.8.4.4"), 0);
	assert_string_equal(state_of("8.8.4.4"), "active");
	assert_int_equal(open_from(token, "8.8.4.4"), 404);
	forget();
	assert_int_equal(applied(account_address_link(&edit, ours, "8.8.4.4")), 409);
}

static void
a_link_is_a_day_old_at_most(void **state)
{
	char token[128];
	json_t *proof;

	(void)state;
	assert_int_equal(add(ours, "8.8.4.4", true), 0);
	make_link(token);
	proof = json_object_get(directory_get(directory, "ip", "8.8.4.4"), "proof");
	assert_true((uint64_t)json_integer_value(json_object_get(proof, "until_us")) <=
		clock_us() + DAY_US);
	json_object_set_new(proof, "until_us", json_integer((json_int_t)clock_us() - 1));
	assert_int_equal(open_from(token, "8.8.4.4"), 404);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_typed_in_is_an_address_of_the_internet),
		TEST(the_relays_own_addresses_and_proxies_are_refused),
		TEST(anothers_active_address_is_taken_and_its_owner_is_not_named),
		TEST(an_address_that_only_waits_keeps_nobody_out),
		TEST(a_login_from_the_address_proves_it),
		TEST(an_idle_address_lapses_after_its_notice_and_is_proved_anew),
		TEST(mail_from_a_lapsing_address_keeps_it),
		TEST(no_address_lapses_without_its_notice),
		TEST(a_link_counts_once_from_its_own_address),
		TEST(a_link_is_a_day_old_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
