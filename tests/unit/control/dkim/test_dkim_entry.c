/*
 * test_dkim_entry.c - the life of a domain's keys, by a clock of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/dkim/dkim_entry.h"
#include "shared/base/json_text.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)

static const uint8_t secret[DKIM_SECRET_SIZE] = "0123456789abcdef0123456789abcde";
static struct dkim_subject subject = { "a.example", "acme", secret, NULL, 1795492608000000 };

static const json_t *
key_at(const json_t *entry, size_t i, const char *selector)
{
	const json_t *key = json_array_get(json_object_get(entry, "keys"), i);

	assert_string_equal(json_text(key, "selector"), selector);
	return key;
}

static const char *
state_at(const json_t *entry, const char *selector)
{
	static char state[16];
	json_t *shown = dkim_entry_show(&subject, entry), *key;
	size_t i;

	*state = '\0';
	json_array_foreach(json_object_get(shown, "keys"), i, key)
	{
		if (strcmp(json_text(key, "selector"), selector) == 0)
			snprintf(state, sizeof state, "%s", json_text(key, "state"));
	}
	json_decref(shown);
	return state;
}

static void
take(json_t **entry, json_t *next)
{
	assert_non_null(next);
	assert_true(json_integer_value(json_object_get(next, "version")) >
		json_integer_value(json_object_get(*entry, "version")));
	json_decref(*entry);
	*entry = next;
}

static void
keys_turn_and_are_renewed_once_the_former_is_not_needed(void **state)
{
	json_t *entry = dkim_entry_enable(&subject, NULL, 1u << DKIM_ED25519), *was;
	struct fault fault = { 0 };
	const char *done;

	(void)state;
	assert_string_equal(state_at(entry, "shout1e"), "active");
	assert_string_equal(state_at(entry, "shout2e"), "next");
	take(&entry, dkim_entry_rotate(&subject, entry, false, &done, &fault));
	assert_string_equal(done, "switched");
	assert_string_equal(state_at(entry, "shout1e"), "former");
	assert_string_equal(state_at(entry, "shout2e"), "active");
	assert_null(dkim_entry_rotate(&subject, entry, false, &done, &fault));
	assert_int_equal(fault.status, 409);
	subject.now_us += 7 * DAY_US;
	was = json_deep_copy(key_at(entry, 0, "shout1e"));
	take(&entry, dkim_entry_rotate(&subject, entry, false, &done, &fault));
	assert_string_equal(done, "renewed");
	assert_string_equal(state_at(entry, "shout1e"), "next");
	assert_string_not_equal(
		json_text(key_at(entry, 1, "shout1e"), "record"), json_text(was, "record"));
	take(&entry, dkim_entry_rotate(&subject, entry, false, &done, &fault));
	assert_string_equal(done, "switched");
	assert_string_equal(state_at(entry, "shout1e"), "active");
	json_decref(was);
	json_decref(entry);
}

static void
enabling_again_keeps_keys_and_adds_what_is_missing(void **state)
{
	json_t *entry = dkim_entry_enable(&subject, NULL, 1u << DKIM_ED25519);
	json_t *first = json_deep_copy(json_object_get(entry, "keys"));

	(void)state;
	take(&entry, dkim_entry_disable(&subject, entry));
	assert_string_equal(state_at(entry, "shout1e"), "off");
	take(&entry, dkim_entry_enable(&subject, entry, 1u << DKIM_ED25519));
	assert_true(json_equal(json_object_get(entry, "keys"), first));
	take(&entry, dkim_entry_enable(&subject, entry, 3));
	assert_int_equal(json_array_size(json_object_get(entry, "keys")), 4);
	assert_string_equal(state_at(entry, "shout1"), "active");
	json_decref(first);
	json_decref(entry);
}

static void
another_accounts_keys_are_not_taken_over(void **state)
{
	struct dkim_subject thief = subject;
	json_t *entry = dkim_entry_enable(&subject, NULL, 1u << DKIM_ED25519), *taken;

	(void)state;
	thief.account = "thief";
	taken = dkim_entry_enable(&thief, entry, 1u << DKIM_ED25519);
	assert_string_equal(json_text(taken, "account"), "thief");
	assert_string_not_equal(json_text(key_at(taken, 0, "shout1e"), "record"),
		json_text(key_at(entry, 0, "shout1e"), "record"));
	json_decref(taken);
	json_decref(entry);
}

static void
no_sealed_key_is_shown(void **state)
{
	json_t *entry = dkim_entry_enable(&subject, NULL, 1u << DKIM_ED25519);
	json_t *shown[] = { dkim_entry_show(&subject, entry), dkim_entry_line(entry),
		dkim_entry_audit(entry), dkim_entry_audit(NULL) };

	(void)state;
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		char *text = json_dumps(shown[i], JSON_ENCODE_ANY);

		assert_null(strstr(text, "sealed"));
		assert_null(strstr(text, json_text(key_at(entry, 0, "shout1e"), "sealed")));
		free(text);
		json_decref(shown[i]);
	}
	json_decref(entry);
}

static void
algorithms_are_known_ones(void **state)
{
	static const struct {
		const char *body;
		unsigned found;
	} rows[] = {
		{ "{}", 1 },
		{ "{\"algorithms\":[\"rsa-sha256\",\"ed25519-sha256\"]}", 3 },
		{ "{\"algorithms\":[\"ed25519-sha256\"]}", 2 },
		{ "{\"algorithms\":[]}", 0 },
		{ "{\"algorithms\":[\"rsa-sha1\"]}", 0 },
		{ "{\"algorithms\":[1]}", 0 },
		{ "{\"algorithms\":\"rsa-sha256\"}", 0 },
		{ "{\"algorithm\":[\"rsa-sha256\"]}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *body = json_loads(rows[i].body, 0, NULL);
		struct fault fault = { 0 };

		assert_int_equal(dkim_algorithms_take(&fault, body), rows[i].found);
		assert_int_equal(fault.status, rows[i].found ? 0 : 400);
		json_decref(body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_turn_and_are_renewed_once_the_former_is_not_needed),
		cmocka_unit_test(enabling_again_keeps_keys_and_adds_what_is_missing),
		cmocka_unit_test(another_accounts_keys_are_not_taken_over),
		cmocka_unit_test(no_sealed_key_is_shown),
		cmocka_unit_test(algorithms_are_known_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
