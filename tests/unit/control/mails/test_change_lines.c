/*
 * test_change_lines.c - a change of an account in words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/mails/change_lines.h"
#include "shared/base/log.h"

static void
lines_are(const char *changes, enum notice_language language, unsigned count, const char *expected)
{
	json_t *list = json_loads(changes, 0, NULL), *event;
	char *text = NULL;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);

	assert_non_null(list);
	event = json_pack("{s:s, s:o}", "what", "account.change", "changes", list);
	assert_int_equal(change_lines(out, language, event), count);
	xclose_memstream(out);
	assert_string_equal(text, expected);
	free(text);
	json_decref(event);
}

static void
what_differs_is_told_in_both_languages(void **state)
{
	static const char changes[] =
		"[{\"object\":\"account/a\",\"before\":{\"contact\":\"a@x.example\",\"domains\":[]},"
		"\"after\":{\"contact\":\"b@x.example\",\"domains\":[{\"name\":\"y.example\","
		"\"mailboxes\":3}]}}]";

	(void)state;
	lines_are(changes, NOTICE_ITALIAN, 2,
		"  contatto: a@x.example -> b@x.example\n  domini: - -> y.example (3)\n");
	lines_are(changes, NOTICE_ENGLISH, 2,
		"  contact: a@x.example -> b@x.example\n  domains: - -> y.example (3)\n");
}

static void
a_member_comes_goes_or_has_a_new_password(void **state)
{
	(void)state;
	lines_are("[{\"object\":\"user/u\",\"before\":null,\"after\":{\"enabled\":true}}]",
		NOTICE_ENGLISH, 1, "  username u: added\n");
	lines_are("[{\"object\":\"ip/192.0.2.1\",\"before\":{\"active\":true},\"after\":null}]",
		NOTICE_ITALIAN, 1, "  indirizzo 192.0.2.1: tolto\n");
	lines_are("[{\"object\":\"user/u\",\"before\":{\"verifier\":\"(secret)\"},"
		  "\"after\":{\"verifier\":\"(secret)\"}}]",
		NOTICE_ENGLISH, 1, "  username u, password: a new one\n");
}

static void
what_customers_have_no_word_for_is_not_told(void **state)
{
	(void)state;
	lines_are("[]", NOTICE_ENGLISH, 0, "");
	lines_are("[{\"object\":\"account/a\",\"before\":{\"created_us\":1},\"after\":{}},"
		  "{\"object\":\"rule/1\",\"before\":null,\"after\":{\"name\":\"x\"}},"
		  "{\"object\":\"account/b\",\"before\":null,\"after\":{\"name\":\"x\"}}]",
		NOTICE_ENGLISH, 0, "");
	lines_are("[{\"before\":5}, 7]", NOTICE_ENGLISH, 0, "");
}

static void
no_value_writes_a_line_of_its_own(void **state)
{
	(void)state;
	lines_are("[{\"object\":\"account/a\",\"before\":{\"name\":\"x\"},"
		  "\"after\":{\"name\":\"y\\r\\n\\r\\nPay here\"}}]",
		NOTICE_ENGLISH, 1, "  name: x -> y    Pay here\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_differs_is_told_in_both_languages),
		cmocka_unit_test(a_member_comes_goes_or_has_a_new_password),
		cmocka_unit_test(what_customers_have_no_word_for_is_not_told),
		cmocka_unit_test(no_value_writes_a_line_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
