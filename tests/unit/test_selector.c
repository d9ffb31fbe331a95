/* Which rows a selector means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/selector.h"

#define ID "01kasa7f3k2m7f3k2m7f3k2m7f"

static struct {
	uint8_t id[ID_SIZE];
	Recipient recipients[2], *pointers[2];
	Envelope envelope;
	Row row;
} t;

static int
setup(void **state)
{
	static const char *const addresses[] = { "a@One.example", "b@two.example" };

	(void)state;
	assert_int_equal(id_parse(ID, t.id), 0);
	for (int i = 0; i < 2; i++) {
		recipient__init(&t.recipients[i]);
		t.recipients[i].address = (char *)addresses[i];
		t.pointers[i] = &t.recipients[i];
	}
	envelope__init(&t.envelope);
	t.envelope.id = (ProtobufCBinaryData){ ID_SIZE, t.id };
	t.envelope.account = (char *)"7f3k2m";
	t.envelope.credential = (char *)"relay-17";
	t.envelope.recipients = t.pointers;
	t.envelope.n_recipients = 2;
	row__init(&t.row);
	t.row.envelope = &t.envelope;
	t.row.site = (char *)"mx1.mail.example-1a2b3c4d";
	return 0;
}

static const struct {
	const char *json;
	bool matches;
} table[] = {
	{"{\"id\":\"" ID "\"}",					    true },
	{ "{\"id\":\"01kasa7f3k2m7f3k2m7f3k2m7g\"}",                       false},
	{ "{\"site\":\"MX1.mail.example-1a2b3c4d\"}",                      true },
	{ "{\"site\":\"mx1.mail.example\"}",                               false},
	{ "{\"provider\":\"mx1.mail.example\"}",                           true },
	{ "{\"provider\":\"mail.example\"}",                               true },
	{ "{\"provider\":\".Mail.example\"}",                              true },
	{ "{\"provider\":\"ail.example\"}",                                false},
	{ "{\"provider\":\"mx1.mail.example-1a2b3c4d\"}",                  true },
	{ "{\"account\":\"7f3k2m\"}",				      true },
	{ "{\"account\":\"7f3k2n\"}",				      false},
	{ "{\"credential\":\"relay-17\"}",                                 true },
	{ "{\"credential\":\"RELAY-17\"}",                                 false},
	{ "{\"recipient_domain\":\"one.example\"}",                        true },
	{ "{\"recipient_domain\":\"three.example\"}",                      false},
	{ "{\"recipient_domain\":\"example\"}",                            false},
	{ "{\"egress_ip\":\"192.0.2.1\"}",                                 true },
	{ "{\"egress_ip\":\"192.0.2.2\"}",                                 false},
	{ "{\"account\":\"7f3k2m\",\"recipient_domain\":\"two.example\"}", true },
	{ "{\"account\":\"other\",\"recipient_domain\":\"two.example\"}",  false},
};

static void
all_that_is_given_must_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		json_t *json = json_loads(table[i].json, 0, NULL);
		struct selector selector;
		const char *field;

		assert_int_equal(selector_parse(&selector, json, &field), 0);
		if (selector_matches_row(&selector, &t.row, "192.0.2.1") != table[i].matches)
			fail_msg("%s", table[i].json);
		selector_wipe(&selector);
		json_decref(json);
	}
}

static void
what_cannot_be_understood_is_refused(void **state)
{
	static const char *const wrong[] = { "{}", "[]", "{\"id\":\"short\"}",
		"{\"colour\":\"red\"}", "{\"account\":7}", "{\"account\":\"\"}",
		"{\"account\":\"7f3k2m\",\"site\":\"\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		json_t *json = json_loads(wrong[i], 0, NULL);
		struct selector selector;
		const char *field;

		assert_true(selector_parse(&selector, json, &field) < 0);
		selector_wipe(&selector);
		json_decref(json);
	}
}

static void
a_rows_own_egress_address_counts_before_ours(void **state)
{
	json_t *json = json_loads("{\"egress_ip\":\"192.0.2.9\"}", 0, NULL);
	struct selector selector;
	const char *field;

	(void)state;
	assert_int_equal(selector_parse(&selector, json, &field), 0);
	assert_false(selector_matches_row(&selector, &t.row, "192.0.2.1"));
	t.row.egress = (char *)"192.0.2.9";
	assert_true(selector_matches_row(&selector, &t.row, "192.0.2.1"));
	assert_false(selector_is_site(&selector));
	selector_wipe(&selector);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_that_is_given_must_match, setup),
		cmocka_unit_test(what_cannot_be_understood_is_refused),
		cmocka_unit_test_setup(a_rows_own_egress_address_counts_before_ours, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
