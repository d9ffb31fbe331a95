/*
 * test_dkim_key.c - keys: sealed and opened, never under another secret or name; relay.config's
 * keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/dkim/key.h"
#include "shared/dkim/keyring.h"

static const uint8_t secret[DKIM_SECRET_SIZE] = "0123456789abcdef0123456789abcde";
static const uint8_t other[DKIM_SECRET_SIZE] = "0123456789abcdef0123456789abcdX";

static void
a_sealed_key_opens_under_its_secret_and_name_alone(void **state)
{
	(void)state;
	for (enum dkim_algorithm i = 0; i < DKIM_ALGORITHMS; i++) {
		struct dkim_key *key = dkim_key_new(i), *opened;
		char *sealed = dkim_key_seal(key, secret, "a.example/s1"), *again, *record, *same;

		opened = dkim_key_open(sealed, secret, "a.example/s1");
		assert_non_null(opened);
		assert_int_equal(dkim_key_algorithm(opened), i);
		record = dkim_key_record(key);
		same = dkim_key_record(opened);
		assert_string_equal(record, same);
		assert_null(dkim_key_open(sealed, other, "a.example/s1"));
		assert_null(dkim_key_open(sealed, secret, "a.example/s2"));
		again = dkim_key_seal(key, secret, "a.example/s1");
		assert_string_not_equal(sealed, again); /* another nonce */
		for (size_t at = 0; at < strlen(sealed); at += 7) {
			const char was = sealed[at];

			sealed[at] = was == 'A' ? 'B' : 'A';
			assert_null(dkim_key_open(sealed, secret, "a.example/s1"));
			sealed[at] = was;
		}
		for (size_t end = strlen(sealed); end > 0; end -= end > 40 ? 40 : end) {
			sealed[end - 1] = '\0';
			assert_null(dkim_key_open(sealed, secret, "a.example/s1"));
		}
		free(sealed);
		free(again);
		free(record);
		free(same);
		dkim_key_free(&opened);
		dkim_key_free(&key);
	}
}

/* RFC 8463 4.2 */
static void
an_ed25519_record_has_the_raw_key(void **state)
{
	struct dkim_key *key = dkim_key_new(DKIM_ED25519);
	char *record = dkim_key_record(key);

	(void)state;
	assert_memory_equal(record, "v=DKIM1; k=ed25519; p=", 22);
	assert_int_equal(strlen(record), 22 + 44); /* 32 bytes in base 64 */
	free(record);
	dkim_key_free(&key);
}

static char *
entry_of(const char *account, const char *sealed, int active, bool enabled)
{
	return xasprintf("{\"account\":\"%s\",\"enabled\":%s,\"active\":%d,\"keys\":["
			 "{\"slot\":1,\"selector\":\"shout1\",\"sealed\":\"%s\"}]}",
		account, enabled ? "true" : "false", active, sealed);
}

static void
set(struct keyring *keyring, const char *domain, char *json, bool good)
{
	char *key = xasprintf("dkim/%s", domain);

	assert_int_equal(keyring_set(keyring, key, json), good);
	free(key);
	free(json);
}

static void
a_keyring_has_the_active_keys_of_domains(void **state)
{
	struct keyring *keyring = keyring_new(secret);
	struct dkim_key *key = dkim_key_new(DKIM_ED25519);
	char *sealed = dkim_key_seal(key, secret, "a.example/shout1");
	const struct keyring_domain *found;

	(void)state;
	assert_null(keyring_find(keyring, "a.example"));
	set(keyring, "a.example", entry_of("acme", sealed, 1, true), true);
	found = keyring_find(keyring, "a.example");
	assert_string_equal(found->account, "acme");
	assert_int_equal(found->count, 1);
	assert_string_equal(found->keys[0].selector, "shout1");
	/* an entry that was copied to another domain */
	set(keyring, "b.example", entry_of("acme", sealed, 1, true), false);
	assert_true(keyring_find(keyring, "b.example")->broken);
	assert_int_equal(keyring_count(keyring, true), 1);
	assert_int_equal(keyring_count(keyring, false), 2);
	set(keyring, "b.example", NULL, true);
	assert_null(keyring_find(keyring, "b.example"));
	set(keyring, "a.example", entry_of("acme", sealed, 2, true), false); /* no key is active */
	set(keyring, "a.example", entry_of("acme", sealed, 1, false), true);
	assert_null(keyring_find(keyring, "a.example"));
	set(keyring, "c.example", xstrdup("[]"), false);
	set(keyring, "c.example", xstrdup("{"), false);
	assert_true(keyring_set(keyring, "account/x", "{}"));
	free(sealed);
	dkim_key_free(&key);
	keyring_free(&keyring);
}

static void
without_the_secret_each_domain_is_broken(void **state)
{
	struct keyring *keyring = keyring_new(NULL);
	struct dkim_key *key = dkim_key_new(DKIM_ED25519);
	char *sealed = dkim_key_seal(key, secret, "a.example/shout1");

	(void)state;
	set(keyring, "a.example", entry_of("acme", sealed, 1, true), false);
	assert_true(keyring_find(keyring, "a.example")->broken);
	free(sealed);
	dkim_key_free(&key);
	keyring_free(&keyring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sealed_key_opens_under_its_secret_and_name_alone),
		cmocka_unit_test(an_ed25519_record_has_the_raw_key),
		cmocka_unit_test(a_keyring_has_the_active_keys_of_domains),
		cmocka_unit_test(without_the_secret_each_domain_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
